//! Compose reader: loads compose files like Docker Compose, without Docker.
//!
//! Owns the answers to two questions about a project: what each service is (a digest of its merged,
//! normalised definition) and which files it reads. Pure: files come through [`Files`], nothing is executed,
//! and no environment variable of this process is read.

pub mod model;

mod alternatives;
mod cache;
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
mod merge;
mod mounts;
mod project;
mod relations;
mod remote;
mod scalar;
mod service;
mod settings;
mod shapes;
mod short;
#[cfg(test)]
mod tests;
mod variables;
mod words;
mod yaml;

use std::sync::Arc;

pub use alternatives::{Alternative, alternatives};
pub use cache::ProjectCache;
pub use discover::{FILES, OVERRIDES};
pub use dockerignore::Ignored;

use crate::base::path::RootPath;
use crate::config::compose_files::ComposeFiles;
use model::Project;

/// Version of the digests of a service. It must be increased whenever an unchanged definition gets another
/// digest. A host with digests of an older version then lets Compose decide what is recreated, instead of
/// recreating everything.
pub const DIGEST_SCHEME: u32 = 1;

/// Size of the largest file that is read, in bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// Whether `dir` holds a project: a compose file with one of Compose's names, or a `.env` that names one.
#[must_use]
pub fn find(files: &dyn Files, dir: &RootPath) -> bool {
    discover::find(files, dir)
}

/// Whether a file of this name can make its folder a project.
#[must_use]
pub fn makes_project(name: &str) -> bool {
    discover::makes_project(name)
}

/// Loads the project in `dir` like `docker compose` in that folder on the host.
///
/// `root` is the absolute path of the root on the host, such as `/srv/services`. An absolute path below it
/// means the file of the tree. Problems are in [`Project::diagnostics`], and the rest of the project is
/// loaded all the same.
#[must_use]
pub fn load(files: &dyn Files, dir: &RootPath, root: &str) -> Project {
    project::load(files, dir, root)
}

/// Kind of a path in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file, or a symbolic link to one inside the tree.
    File,
    /// A directory, or a symbolic link to one inside the tree.
    Dir,
}

/// Files of a tree as the host will see them. Several threads load projects at the same time.
pub trait Files: Sync {
    /// The kind of `path` once symbolic links are followed; `None` if it does not exist.
    fn kind(&self, path: &RootPath) -> Option<NodeKind>;

    /// The content of the file at `path`; `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// If the file exists but cannot be read.
    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String>;

    /// The path in the repository, for messages.
    fn shown(&self, path: &RootPath) -> String;

    /// The symbolic links on the way to `path`, in their order, and the path that they lead to. Empty if no link
    /// is on the way, or if they lead out of the tree.
    fn way(&self, _path: &RootPath) -> Vec<RootPath> {
        Vec::new()
    }

    /// The compose and env files of the configuration, for the project's folder `dir`.
    fn options(&self, _dir: &RootPath) -> ComposeFiles {
        ComposeFiles::default()
    }

    /// The files that lie directly in the directory `dir`.
    fn list(&self, _dir: &RootPath) -> Vec<RootPath> {
        Vec::new()
    }

    /// The pattern for `services` by which the folder above the root would be the root; `None` if there is none in
    /// the repository.
    fn widened(&self) -> Option<String> {
        None
    }

    /// The assignments of Compose's own variables in a `.env` at `path` that only the host has, as they are
    /// written there. `None`: it has none, or the host is not known.
    fn host_settings(&self, _path: &RootPath) -> Option<Arc<[u8]>> {
        None
    }
}
