//! File changes of a unit, computed from its manifests.

use std::collections::BTreeSet;

use super::{FileChange, FileChangeKind};
use crate::base::manifest::{Entry, Manifest};
use crate::base::path::RootPath;
use crate::state::deployed::{Deployed, Found, SHARED, has_content, is_same};

/// Facts that decide about the files of one unit.
pub(super) struct UnitFiles<'a> {
    /// The unit.
    pub(super) unit: &'a str,
    /// Its wanted manifest.
    pub(super) wanted: &'a Manifest,
    /// What the host has.
    pub(super) deployed: &'a Deployed,
    /// Paths that another unit has or will have: they stay when this unit drops them.
    pub(super) elsewhere: &'a dyn Fn(&RootPath) -> bool,
    /// The path in the repository of a path below the root.
    pub(super) shown: &'a dyn Fn(&RootPath) -> String,
    /// Whether the repository wins over unmanaged files.
    pub(super) adopt: bool,
}

impl UnitFiles<'_> {
    /// The changes, sorted by path. A file that is already as wanted is no change, even if it was not managed
    /// until now.
    pub(super) fn changes(&self) -> Vec<FileChange> {
        // The case of nearly all units in nearly all runs.
        if self.deployed.found.is_empty() && !self.needs_record() {
            return Vec::new();
        }
        let manifests = [self.deployed.manifests.get(self.unit), self.deployed.pending.get(self.unit)];
        let known = manifests.into_iter().flatten().flat_map(|manifest| manifest.0.keys());
        let paths: BTreeSet<&RootPath> = known.chain(self.wanted.0.keys()).collect();
        paths.into_iter().filter_map(|path| self.change(path)).collect()
    }

    /// Whether the manifest on the host has to be replaced, although no file may change.
    pub(super) fn needs_record(&self) -> bool {
        self.deployed.pending.contains_key(self.unit)
            || match self.deployed.manifests.get(self.unit) {
                Some(deployed) => deployed != self.wanted,
                None => !self.wanted.0.is_empty(),
            }
    }

    fn change(&self, path: &RootPath) -> Option<FileChange> {
        let there = self.deployed.at(self.unit, path);
        let after = self.wanted.get(path);
        let kind = match after {
            Some(wanted) if is_same(&there, wanted) && !self.other_mode(path, wanted) => return None,
            // What cannot be seen and is not to change stays as it is.
            Some(wanted) if there == Found::Unreadable && self.is_recorded(path, wanted) => return None,
            Some(wanted) if has_content(&there, wanted) => FileChangeKind::Mode,
            Some(_) => self.kind(path, &there),
            None if (self.elsewhere)(path) || there == Found::Missing => return None,
            None if matches!(there, Found::Behind { .. }) && self.unit != SHARED => FileChangeKind::Conflict,
            None => match self.kind(path, &there) {
                FileChangeKind::Modified => FileChangeKind::Removed,
                // Something that is no longer our file is not ours to remove.
                _ if !matches!(there, Found::Entry(_)) => return None,
                kind => kind,
            },
        };
        let before = match there {
            Found::Entry(entry) => Some(entry),
            _ => None,
        };
        Some(FileChange {
            path: (self.shown)(path),
            change: kind,
            at: path.clone(),
            before,
            after: after.cloned(),
            in_place: false,
        })
    }

    /// Whether the file was deployed as it is wanted, and no other version of it may have arrived since.
    fn is_recorded(&self, path: &RootPath, wanted: &Entry) -> bool {
        let is = |manifest: &Manifest| manifest.get(path).is_none_or(|put| put == wanted);
        let deployed = self.deployed.manifests.get(self.unit);
        deployed.is_some_and(|manifest| manifest.get(path) == Some(wanted))
            && self.deployed.pending.get(self.unit).is_none_or(is)
    }

    /// Whether the file was deployed with other permissions than are wanted now. Of those, the driver reports
    /// only the executable bit.
    fn other_mode(&self, path: &RootPath, wanted: &Entry) -> bool {
        let put = self.deployed.manifests.get(self.unit).and_then(|manifest| manifest.get(path));
        put.is_some_and(|put| put.same_content(wanted) && put.mode != wanted.mode)
    }

    fn kind(&self, path: &RootPath, there: &Found) -> FileChangeKind {
        let managed = self.deployed.manages(self.unit, path);
        let recorded = self.deployed.manifests.get(self.unit);
        let ours = || recorded.into_iter().chain(self.deployed.pending.get(self.unit));
        match there {
            // A file that an interrupted run was about to add is not on the host yet.
            Found::Missing if recorded.is_some_and(|manifest| manifest.get(path).is_some()) => {
                FileChangeKind::Drift
            }
            Found::Missing => FileChangeKind::Added,
            Found::Entry(entry) if self.deployed.put(self.unit, path, entry) => FileChangeKind::Modified,
            Found::Entry(_) if managed => FileChangeKind::Drift,
            Found::Entry(_) if self.adopt => FileChangeKind::Modified,
            // A directory of our own files makes room for a file: they are removed first.
            Found::Directory if ours().any(|manifest| manifest.within(path).next().is_some()) => {
                FileChangeKind::Added
            }
            // An empty one holds nothing that could be lost.
            Found::EmptyDirectory => FileChangeKind::Added,
            Found::Entry(_) | Found::Directory | Found::Unreadable | Found::Other | Found::Behind { .. } => {
                FileChangeKind::Conflict
            }
        }
    }
}
