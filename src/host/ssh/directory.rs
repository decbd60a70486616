//! Private directories for control sockets, and what is left of those of killed runs.

use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::tree::regular;

/// A new directory that only this user can enter, and that no other run touches while this one lives.
#[derive(Debug)]
pub(in crate::host) struct PrivateDirectory {
    directory: tempfile::TempDir,
    /// Locked for as long as this process lives.
    _lock: std::fs::File,
}

impl PrivateDirectory {
    pub(in crate::host) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn new_in(parent: &Path) -> std::io::Result<Self> {
        let private = std::fs::Permissions::from_mode(0o700);
        let directory =
            tempfile::Builder::new().prefix(PREFIX).permissions(private.clone()).tempdir_in(parent)?;
        // Whatever the umask is.
        std::fs::set_permissions(directory.path(), private)?;
        let lock = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.path().join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { directory, _lock: lock })
    }
}

/// Makes a directory for sockets whose path leaves room for the name of a control socket: the path of a Unix
/// socket has at most 108 bytes on Linux, and ssh needs 27 of them.
pub(in crate::host) fn short_directory() -> std::io::Result<PrivateDirectory> {
    let default = std::env::temp_dir();
    let parent = if default.as_os_str().len() <= 40 { default } else { PathBuf::from("/tmp") };
    sweep(&parent);
    PrivateDirectory::new_in(&parent)
}

/// First letters of the names of these directories.
const PREFIX: &str = "ghd-";

/// Name of the file in such a directory that a living run has locked.
const LOCK: &str = "lock";

/// Age from which a directory counts as left over: longer than any login takes.
const LEFT_OVER_AFTER: Duration = Duration::from_secs(600);

/// Removes the directories of killed runs: nobody holds the lock in them. Their sockets are not contacted, because
/// what listens there may hang. Those of other users cannot be removed, and do not matter.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        let is_left_over = |meta: &std::fs::Metadata| {
            meta.is_dir()
                && meta.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFT_OVER_AFTER))
        };
        // This does not follow links.
        if !is_ours || !entry.metadata().is_ok_and(|meta| is_left_over(&meta)) {
            continue;
        }
        let is_held = regular::open(&entry.path().join(LOCK))
            .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err());
        if !is_held && std::fs::remove_dir_all(entry.path()).is_ok() {
            tracing::debug!(path = %entry.path().display(), "removed the directory of a killed run");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_killed_runs_are_removed() {
        use std::process::Command;
        let temp = tempfile::tempdir().unwrap();
        let make = |name: &str, is_old: bool| {
            let dir = temp.path().join(name);
            std::fs::create_dir_all(dir.join("inner")).unwrap();
            std::fs::write(dir.join("inner/log"), "").unwrap();
            if is_old {
                assert!(
                    Command::new("touch").args(["-d", "1 hour ago"]).arg(&dir).status().unwrap().success()
                );
            }
            dir
        };
        let (left, fresh, other) = (make("ghd-left", true), make("ghd-fresh", false), make("other", true));
        let used = PrivateDirectory::new_in(temp.path()).unwrap();
        assert_eq!(used.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let age = |path: &Path| {
            assert!(Command::new("touch").args(["-d", "1 hour ago"]).arg(path).status().unwrap().success());
        };
        age(used.path());
        // A master that never answers, and a lock that cannot be opened without waiting.
        let hangs = make("ghd-hangs", false);
        let _listener = std::os::unix::net::UnixListener::bind(hangs.join("inner/master")).unwrap();
        assert!(Command::new("mkfifo").arg(hangs.join(LOCK)).status().unwrap().success());
        age(&hangs);
        std::os::unix::fs::symlink(&other, temp.path().join("ghd-link")).unwrap();
        sweep(temp.path());
        assert!(!left.exists() && !hangs.exists());
        for stays in [fresh, other.join("inner/log"), used.path().to_owned(), temp.path().join("ghd-link")] {
            assert!(stays.exists(), "{}", stays.display());
        }
    }
}
