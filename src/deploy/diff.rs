//! How the content of files on a host differs from that of the tree.

use std::collections::BTreeMap;

use super::host_only::settle;
use super::session::wants;
use super::worktree::known;
use super::{Access, Session, Worktree};
use crate::base::diff::{is_secret_name, unified};
use crate::base::error::{Error, Exit, Result};
use crate::base::path::RootPath;
use crate::compose::Files as _;
use crate::compose::model::ReadMethod;
use crate::config::selection::{Selected, Selection};
use crate::host::Transport;
use crate::host::facts::probe_new;
use crate::host::releases::{KeptContent, contents};
use crate::outcome::queries::FileDiff;
use crate::plan::{self, FileChange, PlanOptions};
use crate::state::deployed::{Found, State};
use crate::state::question::HostOnlyQuestion;
use crate::state::wanted::Wanted;
use crate::tree::disk::DiskTree;

/// Size of the largest file whose content is shown, in bytes: more than people write or read.
const MAX_BYTES: u64 = 1 << 20;

/// A comparison of content.
pub struct Diff<'a> {
    /// The tree.
    pub worktree: &'a Worktree,
    /// The projects that take part; `None`: all.
    pub selection: Option<Selection>,
    /// Whether projects that have left the repository count.
    pub prune: bool,
    /// Whether a path of the repository was asked for.
    pub concerns: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Diff<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Diff").field("selection", &self.selection).finish_non_exhaustive()
    }
}

impl Diff<'_> {
    /// The files of one host that differ, by path.
    ///
    /// # Errors
    ///
    /// When the host is not reached, or a file of the tree cannot be read.
    pub async fn run(&self, session: &Session<'_>, transport: &dyn Transport) -> Result<Vec<FileDiff>> {
        let (tree, wanted) = self.worktree.wanted(session.target).await?;
        let driver = session.start(transport).await?;
        let first = self.selection.as_ref();
        let first =
            first.map_or_else(Selected::default, |all| all.among(&known(Some(&wanted), &State::default())));
        let asked = wants(&wanted, |name| first.selects(name));
        let question = HostOnlyQuestion::of(&wanted);
        let mut deployed = session.open_with_facts(&driver, Access::Read, &asked, &question).await?;
        let read = async |settings: &_| self.worktree.wanted_with(session.target, settings, &wanted).await;
        let wanted = settle(&driver, &mut deployed, question, wanted.clone(), read).await?;
        let selection = self.selection.as_ref();
        let selected = self.worktree.selected(session.target, selection, &wanted, &deployed).await?;
        selected.refuse_services("diff")?;
        let selects = |name: &str| selected.selects(name);
        probe_new(&driver, &wants(&wanted, selects), &mut deployed).await?;
        let options = PlanOptions { prune: self.prune, ..PlanOptions::new(&selects) };
        let work = plan::host(&session.target.name, &wanted, &deployed, &options, &|path| tree.shown(path));
        let all = work.projects.iter().flat_map(|work| &work.plan.files).chain(&work.shared.files);
        let by_path: BTreeMap<&str, &FileChange> =
            all.filter(|file| (self.concerns)(&file.path)).map(|file| (file.path.as_str(), file)).collect();
        let files: Vec<&FileChange> = by_path.into_values().collect();
        let wants = files.iter().map(|file| (None, file.at.clone())).collect();
        let found = contents(&driver, wants, MAX_BYTES).await?;
        driver.end().await;
        let difference = |(file, there): (&FileChange, KeptContent)| match deployed.found.get(&file.at) {
            Some(Found::Behind { link, target }) => Ok(FileDiff {
                path: file.path.clone(),
                change: file.change,
                diff: None,
                note: Some(format!(
                    "not shown: {} on the host is a link to {target}",
                    file.shown_above(link)
                )),
            }),
            _ => difference(file, &there, &tree, &wanted),
        };
        files.into_iter().zip(found).map(difference).collect()
    }
}

/// How one file differs.
fn difference(file: &FileChange, there: &KeptContent, tree: &DiskTree, wanted: &Wanted) -> Result<FileDiff> {
    let shown = |diff, note: Option<&str>| FileDiff {
        path: file.path.clone(),
        change: file.change,
        diff,
        note: note.map(str::to_owned),
    };
    if may_hold_secrets(&file.at, wanted) || is_private(file) || *there == KeptContent::Private {
        return Ok(shown(None, Some("not shown: it may hold secrets")));
    }
    let old = match there {
        KeptContent::Bytes(bytes) => Some(bytes),
        KeptContent::Missing | KeptContent::Private => None,
        KeptContent::Large => return Ok(shown(None, Some("too large to be shown"))),
    };
    let new = match &file.after {
        Some(entry) if entry.size > MAX_BYTES => return Ok(shown(None, Some("too large to be shown"))),
        Some(_) => tree.content(&file.at).map_err(|error| {
            Error::new(Exit::Unforeseen, format!("failed to read {}: {error}", file.path))
        })?,
        None => None,
    };
    Ok(match unified(&file.path, old.map(AsRef::as_ref), new.as_deref()) {
        Some(text) => shown(Some(text), None),
        None => shown(None, Some("binary")),
    })
}

/// Whether only its owner may read a file, here or there.
fn is_private(file: &FileChange) -> bool {
    file.before.iter().chain(&file.after).any(|entry| entry.mode & 0o077 == 0)
}

fn may_hold_secrets(path: &RootPath, wanted: &Wanted) -> bool {
    let services = wanted.projects.iter().flat_map(|project| project.model.services.values());
    let mut reads = services.flat_map(|service| &service.reads);
    is_secret_name(path.file_name())
        || reads.any(|read| matches!(read.how, ReadMethod::Secret | ReadMethod::EnvFile) && read.covers(path))
}
