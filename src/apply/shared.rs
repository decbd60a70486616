//! Shared files: they change for all of the projects that read them, or for none.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::Mutex;

use super::failure::Failure;
use super::stage::Unit;
use super::swap::{restore, swap};
use crate::base::diagnostic::Diagnostic;
use crate::base::path::RootPath;
use crate::host::Driver;
use crate::outcome::{ActionResult, ProjectOutcome, ProjectResult};
use crate::plan::{FileChange, HostWork, ProjectPlan, ProjectWork};
use crate::state::deployed::{Deployed, SHARED};

/// Unit in the stage that removes the shared files which no project reads any more. It ends in `+last`: the
/// driver records its manifest as that of [`SHARED`].
const SHARED_LAST: &str = "+shared+last";

/// The shared files of a host, as an apply changes them.
pub(super) struct SharedFiles<'a> {
    driver: &'a Driver,
    work: &'a HostWork,
    deployed: &'a Deployed,
    progress: Mutex<SwapProgress>,
}

/// How far the shared files have come.
#[derive(Debug, Default)]
struct SwapProgress {
    /// Whether the new ones are in place.
    swapped: bool,
    /// The projects that act on changed ones and have not failed.
    readers: BTreeSet<String>,
}

impl<'a> SharedFiles<'a> {
    pub(super) fn new(driver: &'a Driver, work: &'a HostWork, deployed: &'a Deployed) -> Self {
        Self { driver, work, deployed, progress: Mutex::default() }
    }

    /// Their units in the stage, with those files that are to be staged.
    pub(super) fn units(&self, is_staged: impl Fn(&FileChange) -> bool) -> Vec<Unit> {
        let shared = &self.work.shared;
        let old = self.deployed.manifests.get(SHARED);
        let at_first = shared.manifest_at_first(old);
        let Some(manifest) = at_first.as_ref().or(old).or(shared.manifest.as_ref()) else {
            return Vec::new();
        };
        let (last, first): (Vec<&FileChange>, Vec<&FileChange>) =
            shared.files.iter().filter(|file| is_staged(file)).partition(|file| shared.leaves(file));
        let stays = BTreeSet::new();
        let mut unit = Unit::new(SHARED, &first, manifest, self.deployed, &[], &stays);
        if let Some(recorded) = self.deployed.manifests.get(SHARED) {
            unit.shorten(recorded, manifest);
        }
        let mut units = vec![unit];
        if let Some(end) = shared.manifest.as_ref().filter(|_| !last.is_empty()) {
            let between = Deployed {
                manifests: [(SHARED_LAST.to_owned(), manifest.clone())].into(),
                ..Deployed::default()
            };
            units.push(Unit::new(SHARED_LAST, &last, end, &between, &[], &stays));
        }
        units
    }

    /// Whether they change before any project does.
    fn change_at_first(&self) -> bool {
        let shared = &self.work.shared;
        shared.manifest_at_first(self.deployed.manifests.get(SHARED)).is_some()
            || shared.files.iter().any(|file| !shared.leaves(file))
    }

    /// Removes those that no project reads any more. They stay if a project that may read them is not
    /// deployed as planned. Returns whether they are gone.
    pub(super) async fn remove_last(
        &self,
        results: &BTreeMap<String, ProjectOutcome>,
    ) -> Result<bool, Failure> {
        let leaving = &self.work.shared.leaving;
        let may_read = |work: &&ProjectWork| {
            let Some(recorded) = &work.recorded else { return false };
            let reads = recorded.reads.as_ref();
            reads.is_none_or(|reads| reads.iter().any(|path| leaving.within(path).next().is_some()))
        };
        let is_as_planned = |work: &ProjectWork| match results.get(work.name()) {
            Some(outcome) => {
                let is_owed = outcome.actions.iter().any(|action| action.result == ActionResult::Owed);
                outcome.result == ProjectResult::Done && !is_owed
            }
            None => work.plan.is_empty(),
        };
        if leaving.0.is_empty() || !self.work.projects.iter().filter(may_read).all(is_as_planned) {
            return Ok(false);
        }
        swap(self.driver, SHARED_LAST).await.map_err(|(failure, _)| failure)?;
        Ok(true)
    }

    /// Whether any of them, or their manifest, is to change.
    pub(super) fn change(&self) -> bool {
        self.work.shared.manifest.is_some() || !self.work.shared.files.is_empty()
    }

    /// Whether a project reads one that changes.
    pub(super) fn are_read_by(&self, plan: &ProjectPlan) -> bool {
        !self.read_by(plan).is_empty()
    }

    /// Whether the new ones are in place.
    pub(super) async fn are_swapped(&self) -> bool {
        self.progress.lock().await.swapped
    }

    /// The changed ones that a project reads.
    fn read_by<'p>(&self, plan: &'p ProjectPlan) -> BTreeSet<&'p RootPath> {
        let is_shared = |path: &&RootPath| self.work.shared.files.iter().any(|shared| shared.at == **path);
        plan.files.iter().map(|file| &file.at).filter(is_shared).collect()
    }

    /// A project among `able` that has to wait because it shares a changed file with one that failed, and
    /// why: that one must not find new files below it.
    pub(super) fn held_back(
        &self,
        able: &[&ProjectWork],
        results: &BTreeMap<String, ProjectOutcome>,
    ) -> Option<(usize, Failure)> {
        let has_failed =
            |work: &&ProjectWork| results.contains_key(work.name()) || !work.plan.problems.is_empty();
        let failed: Vec<&ProjectWork> = self.work.projects.iter().filter(has_failed).collect();
        able.iter().enumerate().find_map(|(index, work)| {
            let own = self.read_by(&work.plan);
            let with = failed.iter().find(|failed| !self.read_by(&failed.plan).is_disjoint(&own))?.name();
            let message = format!("it shares a changed file with {with}, which failed its check");
            let help = format!("fix {with} first: shared files change for all of their readers at once");
            Some((index, Failure::new(Diagnostic::error(message, None).help(help))))
        })
    }

    /// Puts them in place, unless a project that reads one is not among `able`.
    pub(super) async fn swap_for(&self, able: &[&ProjectWork]) -> Result<(), (Failure, ProjectResult)> {
        let is_able = |work: &ProjectWork| able.iter().any(|able| able.name() == work.name());
        let is_waited_for = |work: &ProjectWork| self.are_read_by(&work.plan) && !is_able(work);
        if !self.change_at_first() || self.work.projects.iter().any(is_waited_for) {
            return Ok(());
        }
        swap(self.driver, SHARED).await?;
        let mut progress = self.progress.lock().await;
        progress.swapped = true;
        let acts = |work: &&&ProjectWork| self.are_read_by(&work.plan) && !work.plan.actions.is_empty();
        progress.readers = able.iter().filter(acts).map(|work| work.name().to_owned()).collect();
        Ok(())
    }

    /// Restores them when a run was stopped before any project acted on them.
    pub(super) async fn restore_unused(&self, results: &BTreeMap<String, ProjectOutcome>) {
        let mut progress = self.progress.lock().await;
        let is_as_before = |outcome: &ProjectOutcome| {
            matches!(outcome.result, ProjectResult::NothingChanged | ProjectResult::RolledBack)
        };
        let readers = self.work.projects.iter().filter(|work| self.are_read_by(&work.plan));
        let mut results = readers.filter_map(|work| results.get(work.name()));
        if progress.swapped && results.all(is_as_before) {
            progress.swapped = restore(self.driver, SHARED).await.is_err();
        }
    }

    /// Restores them when no project but `name` still acts on them.
    pub(super) async fn restore_for(&self, name: &str) -> Result<(), Failure> {
        let is_last = {
            let mut progress = self.progress.lock().await;
            let is_last = progress.swapped && progress.readers.remove(name) && progress.readers.is_empty();
            progress.swapped &= !is_last;
            is_last
        };
        if is_last { restore(self.driver, SHARED).await } else { Ok(()) }
    }
}
