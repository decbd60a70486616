//! Reads compose files the way Docker Compose does, without Docker.
//!
//! Owns the answer to two questions about a project: what each service is (a digest of its merged,
//! normalised definition) and which files it reads. Pure: files come through [`Files`], nothing is
//! executed, no environment variable of this process is looked at.

pub mod model;

use std::sync::Arc;

use crate::path::RootPath;

/// What lies at a path of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file, or a symbolic link to one inside the tree.
    File,
    /// A directory, or a symbolic link to one inside the tree.
    Dir,
}

/// The files of a tree as the host will see them.
pub trait Files {
    /// What lies at `path`; `None` when nothing does (symbolic links are followed).
    fn kind(&self, path: &RootPath) -> Option<NodeKind>;

    /// The content of the file at `path`; `None` when there is no such file.
    ///
    /// # Errors
    ///
    /// When the file exists and cannot be read.
    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String>;

    /// Where `path` lies in the repository, for messages.
    fn shown(&self, path: &RootPath) -> String;
}
