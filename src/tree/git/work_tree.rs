//! Finds the git work tree around a folder.
//!
//! Owns where its top and its git directory are, without starting git: most folders hold no ignored file, and
//! for those no process is needed. An edge: it reads the filesystem.

use std::path::{Path, PathBuf};

use crate::tree::regular;

/// Git work tree, and the place of a folder in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkTree {
    /// Its topmost folder.
    pub(crate) top: PathBuf,
    /// Path from the top to the folder, with a trailing slash; `""` for the top.
    pub(crate) inside: String,
    /// Directory that all work trees of the repository share; it holds `info/exclude`.
    pub(crate) common_dir: PathBuf,
}

impl WorkTree {
    /// Finds the work tree around `dir`; `None` if there is none or its path is not UTF-8.
    pub(crate) fn find(dir: &Path) -> Option<Self> {
        let dir = dir.canonicalize().ok()?;
        let (top, git_dir) = dir.ancestors().find_map(|top| Some((top, git_dir(top)?)))?;
        let mut inside = dir.strip_prefix(top).ok()?.to_str()?.to_owned();
        if !inside.is_empty() {
            inside.push('/');
        }
        let common_dir = match text_of(&git_dir.join("commondir")) {
            Some(common) => git_dir.join(common.trim_end()),
            None => git_dir,
        };
        Some(Self { top: top.to_owned(), inside, common_dir })
    }

    /// Whether the repository is a shallow clone.
    pub(crate) fn is_shallow(&self) -> bool {
        self.common_dir.join("shallow").exists()
    }
}

/// Text of a file of git that holds a path; `None` if there is none.
fn text_of(path: &Path) -> Option<String> {
    String::from_utf8(regular::read(path, 64 << 10).ok()?).ok()
}

/// Git directory of the work tree at `top`: `.git`, or the directory that a file of that name points to.
fn git_dir(top: &Path) -> Option<PathBuf> {
    let git = top.join(".git");
    let git_dir = match text_of(&git) {
        Some(text) => top.join(text.strip_prefix("gitdir: ")?.trim_end()),
        None => git,
    };
    git_dir.join("HEAD").symlink_metadata().is_ok().then_some(git_dir)
}
