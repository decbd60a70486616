//! A tree as one host runs it: with the compose files and env files that the configuration names for it.
//!
//! Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Refused, Snapshot, TreeFile};
use crate::base::error::Result;
use crate::base::manifest::Manifest;
use crate::base::path::RootPath;
use crate::compose::{Files, NodeKind};
use crate::config::compose_files::ComposeFiles;
use crate::state::unusable::UnusableFile;

/// Tree with the options of Compose for one host.
pub struct ForHost<'t> {
    tree: &'t dyn Snapshot,
    options: &'t ComposeFiles,
}

impl<'t> ForHost<'t> {
    /// The tree with these options.
    #[must_use]
    pub fn new(tree: &'t dyn Snapshot, options: &'t ComposeFiles) -> Self {
        Self { tree, options }
    }
}

impl std::fmt::Debug for ForHost<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForHost").field("options", self.options).finish_non_exhaustive()
    }
}

impl Files for ForHost<'_> {
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
        self.tree.host_settings(path)
    }

    fn options(&self, _dir: &RootPath) -> ComposeFiles {
        self.options.clone()
    }
}

impl Snapshot for ForHost<'_> {
    fn nodes(&self) -> &BTreeMap<RootPath, TreeFile> {
        self.tree.nodes()
    }

    fn manifest(&self, paths: &mut dyn Iterator<Item = &RootPath>) -> Result<Manifest> {
        self.tree.manifest(paths)
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
