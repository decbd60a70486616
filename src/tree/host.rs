//! A tree as one host runs it: with the compose files and env files that the configuration names for it, and the
//! settings that the host has in its own `.env` files.
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

/// Tree with what one host adds to it.
pub struct OnHost<'t> {
    tree: &'t dyn Snapshot,
    compose: Option<&'t ComposeFiles>,
    settings: Option<&'t BTreeMap<RootPath, Arc<[u8]>>>,
    /// The files of the tree that were read before.
    known: BTreeMap<&'t RootPath, &'t Entry>,
}

impl<'t> OnHost<'t> {
    /// The tree with nothing added yet.
    #[must_use]
    pub fn new(tree: &'t dyn Snapshot) -> Self {
        Self { tree, compose: None, settings: None, known: BTreeMap::new() }
    }

    /// The same with the compose and env files of this host.
    #[must_use]
    pub fn compose(self, compose: &'t ComposeFiles) -> Self {
        Self { compose: Some(compose), ..self }
    }

    /// The same with the settings of the host. `known` is what was read of the tree without them: its files are
    /// not hashed again.
    #[must_use]
    pub fn settings(self, settings: &'t BTreeMap<RootPath, Arc<[u8]>>, known: &'t Wanted) -> Self {
        let manifests = known.projects.iter().map(|project| &project.manifest).chain([&known.shared]);
        Self { settings: Some(settings), known: union(manifests), ..self }
    }
}

impl std::fmt::Debug for OnHost<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let settings = self.settings.map(BTreeMap::keys);
        f.debug_struct("OnHost")
            .field("compose", &self.compose)
            .field("settings", &settings)
            .finish_non_exhaustive()
    }
}

impl Files for OnHost<'_> {
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

    fn list(&self, dir: &RootPath) -> Vec<RootPath> {
        self.tree.list(dir)
    }

    fn widened(&self) -> Option<String> {
        self.tree.widened()
    }

    fn host_settings(&self, path: &RootPath) -> Option<Arc<[u8]>> {
        self.settings?.get(path).filter(|_| self.tree.kind(path).is_none()).cloned()
    }

    fn options(&self, dir: &RootPath) -> ComposeFiles {
        self.compose.cloned().unwrap_or_else(|| self.tree.options(dir))
    }
}

impl Snapshot for OnHost<'_> {
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

    fn unusable(&self) -> Vec<UnusableFile> {
        self.tree.unusable()
    }

    fn is_closed(&self, path: &RootPath) -> bool {
        self.tree.is_closed(path)
    }

    fn was_deployed(&self) -> bool {
        self.tree.was_deployed()
    }

    fn changes(&self) -> &[String] {
        self.tree.changes()
    }
}
