//! What happens to the files of a host: the part of a plan about units and their manifests.

use super::Planner;
use crate::base::diagnostic::Diagnostic;
use crate::base::manifest::Manifest;
use crate::base::path::RootPath;
use crate::compose::model::Reaction;
use crate::plan::files::UnitFiles;
use crate::plan::work::ProjectWork;
use crate::plan::{Action, ActionKind, FileChange, FileChangeKind, problems};
use crate::state::deployed::{Found, SHARED, unit};
use crate::state::wanted::{Reactions, WantedProject, is_file};

impl Planner<'_> {
    /// The shared files that are removed once every project is deployed. What is in the way of a file that
    /// comes, or of a reader that has to notice, goes at once.
    pub(super) fn leaving(&self, changes: &[FileChange]) -> Manifest {
        let Some(old) = self.deployed.manifests.get(SHARED) else { return Manifest::default() };
        let comes = |file: &FileChange| file.after.is_some() && file.change == FileChangeKind::Added;
        let is_in_the_way = |path: &RootPath| {
            let mut all = changes.iter().filter(|file| comes(file));
            all.any(|file| file.at.is_within(path) || path.is_within(&file.at))
        };
        let leaving = changes.iter().filter(|file| {
            file.after.is_none()
                && !self.selected.iter().any(|project| project.reads(&file.at))
                && !is_in_the_way(&file.at)
        });
        Manifest(leaving.filter_map(|file| Some((file.at.clone(), old.get(&file.at)?.clone()))).collect())
    }

    /// The changes of a unit, and whether its manifest has to be replaced.
    pub(super) fn unit(&self, unit: &str, wanted: &Manifest) -> (Vec<FileChange>, bool) {
        let elsewhere = |path: &RootPath| self.files.contains_key(path);
        let files = UnitFiles {
            unit,
            wanted,
            deployed: self.deployed,
            elsewhere: &elsewhere,
            shown: self.shown,
            adopt: self.options.adopt,
        };
        (files.changes(), files.needs_record())
    }

    /// A note on the files that `--adopt` takes over with another content.
    pub(super) fn adopted(&self, works: &[ProjectWork]) -> Option<Diagnostic> {
        let adopted = works.iter().filter(|_| self.options.adopt).flat_map(|work| {
            let own = unit(work.name());
            work.plan.files.iter().filter(move |file| {
                matches!(self.deployed.found.get(&file.at), Some(Found::Entry(_)))
                    && !self.deployed.manages(&own, &file.at)
                    && matches!(file.change, FileChangeKind::Modified | FileChangeKind::Removed)
            })
        });
        problems::adopted(&adopted.map(|file| file.path.as_str()).collect())
    }

    /// Compose files that only the host has and that Compose would read for a project. They are in the way
    /// unless the repository wins: then they are removed.
    pub(super) fn rivals(&self, project: &WantedProject) -> Vec<FileChange> {
        let own = unit(&project.name);
        let rivals = self.deployed.host_only.rivals(&project.model).map(|(path, _)| path);
        let rivals = rivals.filter(|path| !self.deployed.manages(&own, path));
        let change = |path: &RootPath| {
            let before = match self.deployed.found.get(path) {
                Some(Found::Entry(entry)) => Some(entry.clone()),
                _ => None,
            };
            let wins = self.options.adopt && before.is_some();
            let change = if wins { FileChangeKind::Removed } else { FileChangeKind::Conflict };
            let path_shown = (self.shown)(path);
            FileChange { path: path_shown, change, at: path.clone(), before, after: None, in_place: false }
        };
        rivals.map(change).collect()
    }

    /// The shared manifest to record: where an unmanaged file is in the way, the old entry stays.
    pub(super) fn without_conflicts(&self, changes: &[FileChange]) -> Manifest {
        let mut shared = self.shared.clone();
        for file in changes.iter().filter(|file| file.change == FileChangeKind::Conflict) {
            let old = self.deployed.manifests.get(SHARED).and_then(|old| old.get(&file.at));
            match old {
                Some(old) => drop(shared.0.insert(file.at.clone(), old.clone())),
                None => drop(shared.0.remove(&file.at)),
            }
        }
        shared
    }
}

/// Marks the files that a running container keeps by their inode to be written in place.
pub(super) fn write_in_place<'f>(
    project: &WantedProject,
    actions: &[Action],
    files: impl Iterator<Item = &'f mut FileChange>,
) {
    let starts = |name: &str| {
        let starting = |action: &&Action| {
            matches!(action.kind, ActionKind::Up | ActionKind::Recreate | ActionKind::Restart)
        };
        actions.iter().filter(starting).any(|action| action.service.as_deref() == Some(name))
    };
    let running: Vec<Reactions<'_>> = project
        .model
        .services
        .iter()
        .filter(|(name, service)| service.active && !starts(name))
        .map(|(_, service)| Reactions::new(&project.model, service))
        .collect();
    for file in files {
        let is_replaced =
            file.before.as_ref().is_some_and(is_file) && file.after.as_ref().is_some_and(is_file);
        let keeps_running =
            |to: &Reaction| matches!(to, Reaction::Signal(_) | Reaction::Exec(_) | Reaction::None);
        file.in_place |= is_replaced
            && running
                .iter()
                .any(|service| service.mounts_file(&file.at) && keeps_running(service.to(&file.at)));
    }
}
