//! What git knows about the working directory: its commit, the files of the index, and what differs.
//!
//! Owns one `git status` and one `git ls-files`, which run while the directory is walked and files are hashed, and one
//! more `git ls-files` for each submodule.
//! An edge: it starts processes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Child;

use crate::base::error::Result;
use crate::config::layout::Layout;
use crate::tree::git::command::{GitError, finish, git, run, spawn};

/// Git at work on a working directory.
pub(super) struct Checkout<'a> {
    dir: &'a Path,
    status: Option<Result<Child, GitError>>,
    listing: Option<Result<Child, GitError>>,
    /// Sorted by path, once they have been read.
    entries: Option<Vec<IndexEntry>>,
}

/// File in git's index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndexEntry {
    /// Its path from the folder of `ghdeploy.yml`.
    pub(super) path: Vec<u8>,
    /// Its kind.
    pub(super) kind: IndexKind,
}

/// Kind of an [`IndexEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum IndexKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A submodule.
    Submodule,
    /// One that a sparse checkout leaves out of the working directory.
    Skipped,
    /// One with a merge conflict.
    Unmerged,
}

/// What `git status` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct WorkingState {
    /// The commit; `None` before the first one, and without git.
    pub(super) commit: Option<String>,
    /// What differs from it.
    pub(super) changes: Vec<Change>,
}

/// Path that differs from the commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The path from the top of the work tree; that of a folder ends with a slash.
    pub(super) path: Vec<u8>,
    /// Whether git does not track it.
    pub(super) is_untracked: bool,
}

impl<'a> Checkout<'a> {
    /// Asks about the working directory around `dir`, below the fixed prefixes. Without a work tree or git,
    /// nothing is tracked and nothing differs.
    pub(super) fn new(dir: &'a Path, is_work_tree: bool, layout: &Layout) -> Self {
        let start = |options: &[&str], words: &[&str]| {
            let mut command = git(dir);
            for option in options {
                command.args(["-c", option]);
            }
            command.args(words).arg("--");
            command.args(layout.prefixes().iter().map(|prefix| if prefix.is_empty() { "." } else { prefix }));
            spawn(&mut command)
        };
        let status = [
            "status",
            "--porcelain=v2",
            "--branch",
            "-z",
            "--untracked-files=all",
            "--ignore-submodules=none",
        ];
        // Without these, the user's configuration would change what is listed.
        let options = ["status.relativePaths=false", "status.renames=false", "status.showStash=false"];
        Self {
            dir,
            status: is_work_tree.then(|| start(&options, &status)),
            listing: is_work_tree.then(|| start(&[], &["ls-files", "-s", "-t", "-z"])),
            entries: None,
        }
    }

    /// The files of the index, sorted by path.
    ///
    /// # Errors
    ///
    /// If git fails.
    pub(super) fn entries(&mut self) -> Result<&[IndexEntry]> {
        if self.entries.is_none() {
            let listing = match self.listing.take().map(|child| child.and_then(finish)) {
                Some(Ok(listing)) => listing,
                Some(Err(err)) if !err.is_without_git() && !is_inside_submodule(&err) => {
                    return Err(err.into_error("list the files that git tracks", self.dir));
                }
                Some(Err(_)) | None => Vec::new(),
            };
            let mut entries = IndexEntry::read_all(&listing);
            // A submodule that is checked out has an index of its own.
            let mut submodules: Vec<Vec<u8>> = submodules_of(&entries);
            while let Some(path) = submodules.pop() {
                let top = self.dir.join(OsStr::from_bytes(&path));
                if top.join(".git").symlink_metadata().is_err() {
                    continue;
                }
                let listing = run(git(&top).args(["ls-files", "-s", "-t", "-z"]))
                    .map_err(|err| err.into_error("list the files that git tracks", &top))?;
                let mut own = IndexEntry::read_all(&listing);
                for entry in &mut own {
                    entry.path = [&path[..], b"/", &entry.path[..]].concat();
                }
                submodules.extend(submodules_of(&own));
                entries.append(&mut own);
            }
            entries.sort();
            self.entries = Some(entries);
        }
        Ok(self.entries.as_deref().unwrap_or_default())
    }

    /// Whether a path from `dir` is a tracked file or a folder that holds one.
    ///
    /// # Errors
    ///
    /// If git fails.
    pub(super) fn holds(&mut self, path: &[u8]) -> Result<bool> {
        let entries = self.entries()?;
        let at = entries.partition_point(|entry| entry.path.as_slice() < path);
        if entries.get(at).is_some_and(|entry| entry.path == path) {
            return Ok(true);
        }
        // `a-b` sorts between `a` and `a/x`.
        let folder = [path, b"/"].concat();
        let at = entries.partition_point(|entry| entry.path < folder);
        Ok(entries.get(at).is_some_and(|entry| entry.path.starts_with(&folder)))
    }

    /// What `git status` says.
    ///
    /// # Errors
    ///
    /// If git fails.
    pub(super) fn state(&mut self) -> Result<WorkingState> {
        let mut found = self.status.take().map(|child| child.and_then(finish));
        if matches!(&found, Some(Err(err)) if is_inside_submodule(err)) {
            let words = ["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no"];
            found = Some(run(git(self.dir).args(words)));
        }
        match found {
            Some(Ok(text)) => Ok(WorkingState::read(&text)),
            Some(Err(err)) if !err.is_without_git() => Err(err.into_error("read the commit", self.dir)),
            Some(Err(_)) | None => Ok(WorkingState::default()),
        }
    }
}

/// Whether the fixed prefixes are in a submodule, of whose files git says nothing here.
fn is_inside_submodule(err: &GitError) -> bool {
    matches!(err, GitError::Failed(message) if message.contains("is in submodule"))
}

impl Drop for Checkout<'_> {
    fn drop(&mut self) {
        for mut child in [self.status.take(), self.listing.take()].into_iter().flatten().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn submodules_of(entries: &[IndexEntry]) -> Vec<Vec<u8>> {
    let submodules = entries.iter().filter(|entry| entry.kind == IndexKind::Submodule);
    submodules.map(|entry| entry.path.clone()).collect()
}

impl IndexEntry {
    fn read_all(listing: &[u8]) -> Vec<Self> {
        listing.split(|byte| *byte == 0).filter_map(Self::read).collect()
    }

    /// Reads `TAG MODE NAME STAGE<TAB>PATH`, a line of `git ls-files -s -t`.
    fn read(line: &[u8]) -> Option<Self> {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let mut fields = std::str::from_utf8(&line[..tab]).ok()?.split(' ');
        let (tag, mode, _, stage) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let kind = match (stage, tag, mode) {
            ("0", "S", _) => IndexKind::Skipped,
            ("0", _, "160000") => IndexKind::Submodule,
            ("0", _, "120000") => IndexKind::Link,
            ("0", ..) => IndexKind::File,
            _ => IndexKind::Unmerged,
        };
        Some(Self { path: line[tab + 1..].to_vec(), kind })
    }
}

impl WorkingState {
    /// Reads the [porcelain format v2](https://git-scm.com/docs/git-status#_porcelain_format_version_2).
    fn read(text: &[u8]) -> Self {
        let mut state = Self::default();
        let mut lines = text.split(|byte| *byte == 0);
        while let Some(line) = lines.next() {
            let (fields, is_untracked) = match line {
                [b'#', ..] => {
                    let oid =
                        std::str::from_utf8(line).ok().and_then(|line| line.strip_prefix("# branch.oid "));
                    // `(initial)` before the first commit.
                    state.commit =
                        oid.filter(|oid| !oid.starts_with('(')).map(str::to_owned).or(state.commit);
                    continue;
                }
                [b'?', ..] => (1, true),
                [b'1', ..] => (8, false),
                [b'2', ..] => {
                    // The path that it was renamed from.
                    lines.next();
                    (9, false)
                }
                [b'u', ..] => (10, false),
                _ => continue,
            };
            if let Some(path) = line.splitn(fields + 1, |byte| *byte == b' ').nth(fields) {
                state.changes.push(Change { path: path.to_vec(), is_untracked });
            }
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_whatever_the_names() {
        let text = b"# branch.oid 1a2b\0# branch.head main\x001 .M N... 100644 100644 100644 a b services/a b\x002 R. N... 100644 100644 100644 a b R100 services/new\0services/old\0u UU N... 100644 100644 100644 100644 a b c services/x\0? services/\xff\n\0";
        let state = WorkingState::read(text);
        assert_eq!(state.commit.as_deref(), Some("1a2b"));
        let changes: Vec<(&[u8], bool)> =
            state.changes.iter().map(|change| (change.path.as_slice(), change.is_untracked)).collect();
        assert_eq!(
            changes,
            [
                (&b"services/a b"[..], false),
                (b"services/new", false),
                (b"services/x", false),
                (b"services/\xff\n", true)
            ]
        );
        assert_eq!(WorkingState::read(b"# branch.oid (initial)\0"), WorkingState::default());
    }

    #[test]
    fn the_index_tells_files_from_what_is_not_there() {
        let kind = |line: &str| IndexEntry::read(line.as_bytes()).unwrap().kind;
        assert_eq!(kind("H 100644 aa 0\ta b"), IndexKind::File);
        assert_eq!(kind("H 120000 aa 0\ta"), IndexKind::Link);
        assert_eq!(kind("H 160000 aa 0\ta"), IndexKind::Submodule);
        assert_eq!(kind("S 100644 aa 0\ta"), IndexKind::Skipped);
        assert_eq!(kind("M 100644 aa 2\ta"), IndexKind::Unmerged);
        assert_eq!(IndexEntry::read(b""), None);
    }
}
