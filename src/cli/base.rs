//! The revision that a plan compares with when `--base` names none: the base of the workflow run's event.
//!
//! An unknown base never means that nothing has changed: then everything counts as changed, and a note says
//! why.

use super::context::Context;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::github::WorkflowRun;
use crate::github::trigger::{PullRequestTrigger, Trigger};
use crate::tree::git::{Depth, Login, Repository};

/// Base of a plan.
pub(super) struct Base {
    /// The full name of the commit; `None`: with nothing.
    pub(super) commit: Option<String>,
    /// A note about it for the reader.
    pub(super) note: Option<Diagnostic>,
}

/// The base of the revision `head`, given by its full name.
///
/// # Errors
///
/// When the event is about another commit than the one that is checked out.
pub(super) fn base(context: &Context, repository: &Repository, head: &str) -> Result<Base> {
    let Some(run) = &context.workflow else {
        return Ok(unknown("no base revision is given", Some("--base names the revision to compare with")));
    };
    let finder = Finder { run, repository };
    match &run.trigger {
        Err(error) => Ok(unknown(error, Some("--base names the revision to compare with"))),
        Ok(Trigger::Push { before: Some(before) }) => {
            Ok(finder.known(before, "what the branch was at before this push"))
        }
        Ok(Trigger::Push { before: None }) => {
            Ok(unknown("this is the first push of a branch, or a tag", None))
        }
        Ok(Trigger::MergeGroup { base, .. }) => Ok(finder.known(base, "the base of the merge group")),
        Ok(Trigger::PullRequest(pull)) => finder.of_pull_request(pull, head),
        Ok(Trigger::WorkflowRun { .. }) => {
            Ok(unknown("a run that follows another workflow compares with nothing", None))
        }
        Ok(Trigger::Other { name }) => Ok(unknown(&format!("a run by {name} compares with nothing"), None)),
    }
}

/// Advice about a commit that a clone lacks.
const DEEPER: &str = "set `fetch-depth: 0` for actions/checkout";

fn unknown(why: &str, help: Option<&str>) -> Base {
    let note = Diagnostic::warning(format!("{why}, so everything counts as added"), None);
    Base { commit: None, note: Some(Diagnostic { help: help.map(str::to_owned), ..note }) }
}

fn found(commit: String) -> Base {
    Base { commit: Some(commit), note: None }
}

struct Finder<'a> {
    run: &'a WorkflowRun,
    repository: &'a Repository,
}

impl Finder<'_> {
    /// The base of a commit that the event names.
    fn known(&self, commit: &str, what: &str) -> Base {
        match self.had(commit) {
            Ok(()) => found(commit.to_owned()),
            Err(why) => unknown(&format!("{what}, {commit}, cannot be fetched ({why})"), Some(DEEPER)),
        }
    }

    /// The base of what the pull request changes once it is merged.
    fn of_pull_request(&self, pull: &PullRequestTrigger, head: &str) -> Result<Base> {
        let parents = self.repository.parents(head).unwrap_or_default();
        // actions/checkout checks out the merge that GitHub has tried. Its first parent is the branch.
        if let [onto, merged] = parents.as_slice()
            && *merged == pull.head
        {
            return Ok(self.known(onto, "the base of the pull request"));
        }
        if head != pull.head {
            let what = if pull.is_target && head == pull.base {
                "the target branch is checked out, not the pull request"
            } else {
                "neither the pull request nor its merge is checked out"
            };
            return Err(Error::usage(what)
                .help("run the plan on `pull_request`, for which actions/checkout checks out the merge, or pass both --base and --head"));
        }
        let parted = || self.repository.merge_base(&pull.base, head);
        // In a shallow clone the merge base that git finds may be too old.
        if !self.repository.is_shallow()
            && let Some(base) = parted()
        {
            return Ok(found(base));
        }
        let fetched = self.repository.fetch(&[&pull.base, head], Depth::All, self.login());
        Ok(match (parted(), fetched) {
            (Some(base), Ok(())) => found(base),
            (_, Err(why)) => {
                unknown(&format!("the merge base with {} cannot be fetched ({why})", pull.base), Some(DEEPER))
            }
            (None, Ok(())) => unknown("the pull request has no commit in common with its base", None),
        })
    }

    /// Makes sure that the clone holds a commit.
    fn had(&self, commit: &str) -> Result<(), String> {
        if self.repository.has(commit) {
            return Ok(());
        }
        self.repository.fetch(&[commit], Depth::Named, self.login())?;
        if self.repository.has(commit) { Ok(()) } else { Err("it was fetched and is not there".to_owned()) }
    }

    fn login(&self) -> Option<Login<'_>> {
        Some(Login { server: &self.run.server, token: self.run.token.as_ref()? })
    }
}
