//! A tree together with the settings that a host has in its own `.env` files.
//!
//! Owns the rule that those count only where the tree has no `.env`. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Refused, Snapshot, TreeFile};
use crate::base::error::Result;
use crate::base::manifest::{Entry, Manifest};
use crate::base::path::RootPath;
use crate::compose::{Files, NodeKind};
use crate::config::compose_files::ComposeFiles;
use crate::state::unusable::UnusableFile;
use crate::state::wanted::{Wanted, union};

/// Tree with the settings of a host.
pub struct WithSettings<'t> {
    tree: &'t dyn Snapshot,
    settings: &'t BTreeMap<RootPath, Arc<[u8]>>,
    /// The files of the tree that were read before.
    known: BTreeMap<&'t RootPath, &'t Entry>,
}

impl<'t> WithSettings<'t> {
    /// The tree with the `settings` of a host. `known` is what was read of the tree without them: its files
    /// are not hashed again.
    #[must_use]
    pub fn new(
        tree: &'t dyn Snapshot,
        settings: &'t BTreeMap<RootPath, Arc<[u8]>>,
        known: &'t Wanted,
    ) -> Self {
        let manifests = known.projects.iter().map(|project| &project.manifest).chain([&known.shared]);
        Self { tree, settings, known: union(manifests) }
    }
}

impl std::fmt::Debug for WithSettings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WithSettings").field("settings", &self.settings.keys()).finish_non_exhaustive()
    }
}

impl Files for WithSettings<'_> {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        self.tree.kind(path)
    }

    fn read(&self, path: &RootPath) -> std::result::Result<Option<Arc<[u8]>>, String> {
        self.tree.read(path)
    }

    fn shown(&self, path: &RootPath) -> String {
        self.tree.shown(path)
    }

    fn way(&self, path: &RootPath) -> Vec<RootPath> {
        self.tree.way(path)
    }

    fn widened(&self) -> Option<String> {
        self.tree.widened()
    }

    fn list(&self, dir: &RootPath) -> Vec<RootPath> {
        self.tree.list(dir)
    }

    fn options(&self, dir: &RootPath) -> ComposeFiles {
        self.tree.options(dir)
    }

    fn host_settings(&self, path: &RootPath) -> Option<Arc<[u8]>> {
        self.settings.get(path).filter(|_| self.tree.kind(path).is_none()).cloned()
    }
}

impl Snapshot for WithSettings<'_> {
    fn nodes(&self) -> &BTreeMap<RootPath, TreeFile> {
        self.tree.nodes()
    }

    fn manifest(&self, paths: &mut dyn Iterator<Item = &RootPath>) -> Result<Manifest> {
        let (mut manifest, mut new) = (Manifest::default(), Vec::new());
        for path in paths {
            match self.known.get(path) {
                Some(entry) => drop(manifest.0.insert(path.clone(), (*entry).clone())),
                None => new.push(path),
            }
        }
        manifest.0.extend(self.tree.manifest(&mut new.into_iter())?.0);
        Ok(manifest)
    }

    fn commit(&self) -> Option<&str> {
        self.tree.commit()
    }

    fn refused(&self) -> &[Refused] {
        self.tree.refused()
    }

    fn changes(&self) -> &[String] {
        self.tree.changes()
    }

    fn was_deployed(&self) -> bool {
        self.tree.was_deployed()
    }

    fn is_closed(&self, path: &RootPath) -> bool {
        self.tree.is_closed(path)
    }

    fn unusable(&self) -> Vec<UnusableFile> {
        self.tree.unusable()
    }
}
