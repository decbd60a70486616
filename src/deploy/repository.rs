//! The repository that a run deploys, compared with the one that a host was deployed from.

use std::path::Path;

use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::state::deployed::Deployed;
use crate::state::repository::{Kinship, RepositoryMarks, name_of};
use crate::tree::git::Repository;

/// Repository that a workflow run belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunRepository {
    /// `owner/name`.
    pub name: Option<String>,
    /// Its id with its server: `github.com#1296269`.
    pub id: Option<String>,
}

/// The repository of a folder.
#[derive(Debug, Default)]
pub(super) struct OwnRepository {
    repository: Option<Repository>,
    pub(super) marks: RepositoryMarks,
}

impl OwnRepository {
    /// Reads the marks of the repository around `dir`. Those of the workflow run count only if it runs in the
    /// same one: a workflow may check out another repository.
    pub(super) fn read(dir: &Path, run: &RunRepository) -> Self {
        let repository = Repository::open(dir).ok();
        let origin = repository.as_ref().and_then(Repository::origin);
        let origin = origin.and_then(|address| name_of(address.reveal()));
        let run_name = run.name.as_deref().and_then(name_of);
        let is_of_run = origin.is_none() || origin == run_name;
        let mut marks = RepositoryMarks::default();
        marks.ids.extend(run.id.clone().filter(|_| is_of_run));
        marks.names.extend(origin.or(run_name));
        marks.roots.extend(repository.iter().flat_map(Repository::first_commits));
        Self { repository, marks }
    }

    /// The relation to the repository that the host was deployed from.
    pub(super) fn kinship(&self, deployed: &Deployed) -> Kinship {
        let state = &deployed.state;
        let newest = state.newest.as_ref().map(|newest| &newest.commit);
        let commits = [newest, state.commit.as_ref()];
        let has = |commit: &String| self.repository.as_ref().is_some_and(|own| own.has(commit));
        let has_deployed = || commits.into_iter().flatten().any(has);
        match self.marks.kinship(&state.repository, false) {
            Kinship::Same => Kinship::Same,
            _ => self.marks.kinship(&state.repository, has_deployed()),
        }
    }
}

/// Judges whether a run may change a host that was deployed from a repository of this kinship. `leaving` are
/// the projects that it would take down. Returns a note.
///
/// # Errors
///
/// If the host belongs to another repository, or it is not certain that projects left this one.
pub(super) fn judge(
    kinship: Kinship,
    own: &RepositoryMarks,
    owner: &RepositoryMarks,
    root: &str,
    leaving: &[&str],
) -> Result<Option<Diagnostic>> {
    let owner = owner.shown().unwrap_or_else(|| "another repository".to_owned());
    let here = own.shown().unwrap_or_else(|| "a folder without git".to_owned());
    let hand_over = "--new-repository hands the root over to this one";
    match kinship {
        Kinship::Same => Ok(None),
        Kinship::Other => {
            let message = format!(
                "{root} belongs to another repository: it was deployed from {owner}, and this is {here}"
            );
            Err(Error::usage(message).help(format!(
                "give each repository a root of its own (`root:` in ghdeploy.yml, or --root); {hand_over}"
            )))
        }
        Kinship::Related | Kinship::Unknown if !leaving.is_empty() => {
            let message = format!(
                "--prune would take down {}, but it is not certain that {root} belongs to this repository: it was deployed from {owner}, and this is {here}",
                leaving.join(", ")
            );
            Err(Error::usage(message).help(format!(
                "if it is the same, renamed or moved, {hand_over}; in a workflow, `fetch-depth: 0` may show that"
            )))
        }
        Kinship::Related => {
            let message =
                format!("{root} was deployed from {owner}, and this is {here}, a fork or a new name of it");
            Ok(Some(
                Diagnostic::warning(message, None)
                    .help(format!("projects that are only in the other one stay; {hand_over}")),
            ))
        }
        Kinship::Unknown => Ok(None),
    }
}
