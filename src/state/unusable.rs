//! Files of the commit that the working directory does not have as they are.
//!
//! Owns what each case is called and what to do about it. What is less than the commit must never look as if it
//! was removed, and a placeholder must never be deployed. Pure values; [`crate::tree::disk`] finds them.

use crate::base::diagnostic::Diagnostic;
use crate::base::path::RootPath;

/// File, or a submodule, of the commit that cannot be deployed as it is in the working directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnusableFile {
    /// Why.
    pub why: Unusable,
    /// Its path below the root.
    pub path: RootPath,
    /// Its path in the repository.
    pub repo_path: String,
}

/// Why a file cannot be deployed as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unusable {
    /// A sparse checkout leaves it out.
    Sparse,
    /// It is a submodule that was not fetched.
    Submodule,
    /// It was deleted, and git does not know why.
    Deleted,
    /// It is the pointer of [Git LFS](https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md) to a file.
    Pointer,
    /// It is encrypted by [git-crypt](https://www.agwa.name/projects/git-crypt/).
    GitCrypt,
    /// It is a symbolic link that git has written as a plain file (`core.symlinks=false`).
    LinkAsText,
    /// It has an unresolved merge conflict.
    Unmerged,
}

/// Number of files that a message names.
const SHOWN: usize = 3;

impl Unusable {
    /// Recognises a placeholder by the first bytes of a file of `size` bytes.
    #[must_use]
    pub fn of_content(start: &[u8], size: u64) -> Option<Self> {
        // The specification limits a pointer to less than 1024 bytes. The second name is that of its first
        // versions.
        let is_pointer = [&b"version https://git-lfs"[..], b"version https://hawser.github.com/"]
            .iter()
            .any(|version| start.starts_with(version));
        if size < 1024 && is_pointer {
            return Some(Self::Pointer);
        }
        start.starts_with(b"\0GITCRYPT\0").then_some(Self::GitCrypt)
    }

    /// Whether nothing of the file is there.
    #[must_use]
    pub fn is_absent(self) -> bool {
        matches!(self, Self::Sparse | Self::Submodule | Self::Deleted)
    }

    /// What is wrong with one file, with several, and what to do.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Sparse => (
                "is in the commit and not in the sparse checkout",
                "are in the commit and not in the sparse checkout",
                "remove `sparse-checkout` from actions/checkout, or run `git sparse-checkout disable`: a self-hosted runner keeps what an earlier job has set",
            ),
            Self::Submodule => (
                "is a submodule that is not checked out",
                "are submodules that are not checked out",
                "set `submodules: true` for actions/checkout, or run `git submodule update --init`",
            ),
            Self::Deleted => (
                "is in the commit and was deleted from the working directory",
                "are in the commit and were deleted from the working directory",
                "bring it back with `git restore`, or remove it from the repository with `git rm`",
            ),
            Self::Pointer => (
                "is a pointer of Git LFS and not the file itself",
                "are pointers of Git LFS and not the files themselves",
                "set `lfs: true` for actions/checkout, or run `git lfs pull`",
            ),
            Self::GitCrypt => (
                "is encrypted by git-crypt",
                "are encrypted by git-crypt",
                "run `git-crypt unlock` after the checkout",
            ),
            Self::LinkAsText => (
                "is a symbolic link in the commit and a plain file here",
                "are symbolic links in the commit and plain files here",
                "check out with `git -c core.symlinks=true`, on a filesystem that has links",
            ),
            Self::Unmerged => (
                "has an unresolved merge conflict",
                "have unresolved merge conflicts",
                "resolve it and commit the result",
            ),
        }
    }
}

/// One error for each kind among `files`, which names the first of them.
#[must_use]
pub fn problems<'a>(files: impl IntoIterator<Item = &'a UnusableFile>) -> Vec<Diagnostic> {
    let mut files: Vec<&UnusableFile> = files.into_iter().collect();
    files.sort();
    files.dedup();
    let same = files.chunk_by(|one, other| one.why == other.why);
    same.map(|files| {
        let (one, several, help) = files[0].why.words();
        let message = match files {
            [file] => format!("`{}` {one}", file.repo_path),
            files => {
                format!("{} {several}", listed(files.iter().map(|file| file.repo_path.as_str()), files.len()))
            }
        };
        Diagnostic::error(message, None).help(help)
    })
    .collect()
}

/// Names the first of `number` files.
#[must_use]
pub fn listed<'a>(files: impl Iterator<Item = &'a str>, number: usize) -> String {
    let shown: Vec<String> = files.take(SHOWN).map(|file| format!("`{file}`")).collect();
    let shown = shown.join(", ");
    if number > SHOWN { format!("{number} files ({shown}, …)") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_recognised_by_their_first_bytes() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
        assert_eq!(Unusable::of_content(pointer, 120), Some(Unusable::Pointer));
        assert_eq!(Unusable::of_content(pointer, 2000), None, "a text about pointers");
        assert_eq!(Unusable::of_content(b"\0GITCRYPT\0\x01", 11), Some(Unusable::GitCrypt));
        assert_eq!(Unusable::of_content(b"version: 3\n", 11), None);
        assert_eq!(Unusable::of_content(b"", 0), None);
    }

    #[test]
    fn files_of_a_kind_are_one_problem_that_names_the_first() {
        let file = |why, name: &str| UnusableFile {
            why,
            path: RootPath::new(name).unwrap(),
            repo_path: format!("services/{name}"),
        };
        let all = ["blog/e", "blog/d", "blog/c", "blog/b"].map(|name| file(Unusable::Sparse, name));
        let files: Vec<_> = all.into_iter().chain([file(Unusable::Pointer, "blog/a")]).collect();
        let found = problems(&files);
        let messages: Vec<&str> = found.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "4 files (`services/blog/b`, `services/blog/c`, `services/blog/d`, …) are in the commit and not in the sparse checkout",
                "`services/blog/a` is a pointer of Git LFS and not the file itself"
            ]
        );
    }
}
