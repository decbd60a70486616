//! Files that git tracks in the working directory.
//!
//! Owns one `git ls-files`, which is started on the first question: a fresh checkout holds no ignored file.
//! An edge: it starts a process.

use std::path::Path;

use crate::base::error::Result;
use crate::config::layout::Layout;
use crate::tree::git::command::{git, run};

/// Files in git's index below the fixed prefixes.
pub(super) struct Tracked<'a> {
    dir: &'a Path,
    is_work_tree: bool,
    layout: &'a Layout,
    /// Sorted paths from `dir`, once they have been read.
    paths: Option<Vec<Vec<u8>>>,
}

impl<'a> Tracked<'a> {
    /// The index of the work tree around `dir`. Without a work tree or git, nothing is tracked.
    pub(super) fn new(dir: &'a Path, is_work_tree: bool, layout: &'a Layout) -> Self {
        Self { dir, is_work_tree, layout, paths: None }
    }

    /// Whether a path from `dir` is a tracked file or a folder that holds one.
    ///
    /// # Errors
    ///
    /// If git fails.
    pub(super) fn holds(&mut self, path: &[u8]) -> Result<bool> {
        let paths = match &self.paths {
            Some(paths) => paths,
            None => {
                self.paths.insert(if self.is_work_tree { list(self.dir, self.layout)? } else { Vec::new() })
            }
        };
        let at = paths.partition_point(|tracked| tracked.as_slice() < path);
        if paths.get(at).is_some_and(|tracked| tracked == path) {
            return Ok(true);
        }
        // `a-b` sorts between `a` and `a/x`.
        let folder = [path, b"/"].concat();
        let at = paths.partition_point(|tracked| *tracked < folder);
        Ok(paths.get(at).is_some_and(|tracked| tracked.starts_with(&folder)))
    }
}

fn list(dir: &Path, layout: &Layout) -> Result<Vec<Vec<u8>>> {
    let mut command = git(dir);
    command.args(["ls-files", "-z", "--"]);
    command.args(layout.prefixes().iter().map(|prefix| if prefix.is_empty() { "." } else { prefix }));
    match run(&mut command) {
        Ok(listing) => {
            let mut paths: Vec<Vec<u8>> = listing
                .split(|byte| *byte == 0)
                .filter(|path| !path.is_empty())
                .map(<[u8]>::to_vec)
                .collect();
            paths.sort();
            Ok(paths)
        }
        Err(err) if err.is_without_git() => Ok(Vec::new()),
        Err(err) => Err(err.into_error("list the files that git tracks", dir)),
    }
}
