//! Reads compose files the way Docker Compose does, without Docker.
//!
//! Owns the answer to two questions about a project: what each service is (a digest of its merged,
//! normalised definition) and which files it reads. Pure: files come through [`Files`], nothing is
//! executed, no environment variable of this process is looked at.

pub mod model;

mod canonical;
mod checks;
mod context;
mod digest;
mod discover;
mod dockerignore;
mod dotenv;
mod environment;
mod extends;
mod extension;
#[cfg(test)]
mod fake;
mod hooks;
mod include;
mod keys;
mod load;
mod memory;
mod merge;
mod mounts;
mod project;
mod scalar;
mod service;
mod settings;
mod short;
mod variables;
mod words;
mod yaml;

use std::sync::Arc;

pub use dockerignore::Ignored;
pub use memory::Memory;

use crate::base::path::RootPath;
use model::Project;

/// The way in which the digests of a service are made. It changes with every change that gives an
/// unchanged definition another digest: then Compose is asked what is to be recreated, instead of
/// everything being recreated.
pub const DIGEST_SCHEME: u32 = 1;

/// Size of the largest file that is read, in bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// Whether `dir` holds a project: a compose file by one of Compose's names, or a `.env` that names
/// one.
#[must_use]
pub fn find(files: &dyn Files, dir: &RootPath) -> bool {
    discover::find(files, dir)
}

/// Whether a file of this name can make its folder a project.
#[must_use]
pub fn makes_project(name: &str) -> bool {
    discover::makes_project(name)
}

/// Loads the project in `dir` as `docker compose` would, run in that folder on the host.
///
/// `root` is the absolute path of the root on the host, such as `/srv/services`: an absolute path
/// below it is the same file as the tree's. Whatever is wrong goes to
/// [`Project::diagnostics`], with as much of the project as can be understood.
#[must_use]
pub fn load(files: &dyn Files, dir: &RootPath, root: &str) -> Project {
    project::load(files, dir, root)
}

/// What lies at a path of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file, or a symbolic link to one inside the tree.
    File,
    /// A directory, or a symbolic link to one inside the tree.
    Dir,
}

/// The files of a tree as the host will see them. Projects are read on several threads.
pub trait Files: Sync {
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
