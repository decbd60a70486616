//! Reads the projects of a tree side by side.
//!
//! Owns the threads for it. An edge; [`crate::compose`] reads each project.

use std::panic::resume_unwind;
use std::thread;

use super::{ProjectDir, Snapshot};
use crate::compose::ProjectCache;
use crate::compose::model::Project;

/// Reads the projects in these folders, on as many threads as there are cores, and returns them in the order
/// of the folders. `root` is the absolute path of the root on the host.
#[must_use]
pub fn models(cache: &ProjectCache, tree: &dyn Snapshot, dirs: &[ProjectDir], root: &str) -> Vec<Project> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let load = |dir: &ProjectDir| cache.load(tree, &dir.dir, root);
    thread::scope(|scope| {
        let parts = dirs.chunks(dirs.len().div_ceil(threads).max(1));
        let parts = parts.map(|part| scope.spawn(move || part.iter().map(load).collect::<Vec<_>>()));
        let parts: Vec<_> = parts.collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}
