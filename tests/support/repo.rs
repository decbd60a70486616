//! A git repository that exists for one test: files and commits. It never runs the program.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// Date of the first git command, in seconds since 1970.
pub(crate) const BEGINNING: u64 = 1_700_000_000;

/// A temporary repository with a fixed author and fixed dates, without the user's git configuration.
pub(crate) struct Repo {
    top: PathBuf,
    /// Git commands so far: each runs one second after the one before it.
    commands: AtomicU64,
    /// `None` if the folder belongs to a larger one that is removed as a whole.
    folder: Option<tempfile::TempDir>,
}

impl Repo {
    /// An empty repository on the branch `main`.
    pub(crate) fn new() -> Self {
        let repo = Self::without_git();
        repo.init();
        repo
    }

    /// An empty folder that is no repository.
    pub(crate) fn without_git() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        Self { top, commands: AtomicU64::new(0), folder: Some(folder) }
    }

    /// An empty repository at this path. The caller removes it.
    pub(crate) fn at(top: PathBuf) -> Self {
        fs::create_dir_all(&top).unwrap();
        let repo = Self { top, commands: AtomicU64::new(0), folder: None };
        repo.init();
        repo
    }

    fn init(&self) {
        self.git(&["init", "-q", "-b", "main"]);
    }

    /// The top folder.
    pub(crate) fn top(&self) -> &Path {
        &self.top
    }

    /// Path of a file or folder, given relative to the top.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.top.join(path)
    }

    /// Leaves the repository on the disk and returns its path.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.folder.take().map(tempfile::TempDir::keep);
        self.top
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Makes a symbolic link.
    pub(crate) fn link(&self, path: &str, target: &str) -> &Self {
        symlink(target, self.path(path)).unwrap();
        self
    }

    /// Sets the permission bits of a file.
    pub(crate) fn chmod(&self, path: &str, mode: u32) -> &Self {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Removes a file, or a folder with all that is in it.
    pub(crate) fn remove(&self, path: &str) -> &Self {
        let path = self.path(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        self
    }

    /// Content of a file.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Runs `git` and returns its output, without line ends at the end.
    #[track_caller]
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let second = BEGINNING + self.commands.fetch_add(1, Ordering::Relaxed);
        self.git_at(&format!("@{second} +0000"), args)
    }

    /// Runs `git` at a date of the test's own.
    #[track_caller]
    pub(crate) fn git_at(&self, date: &str, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(args).current_dir(&self.top).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "Tester")
                .env(format!("GIT_{role}_EMAIL"), "tester@example.org")
                .env(format!("GIT_{role}_DATE"), date);
        }
        let output = git.output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Commits the folder as it is, even if nothing changed, and returns the commit's id.
    #[track_caller]
    pub(crate) fn commit(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "a change"]);
        self.head()
    }

    /// Id of the checked-out commit.
    pub(crate) fn head(&self) -> String {
        self.sha("HEAD")
    }

    /// Id of a revision.
    pub(crate) fn sha(&self, revision: &str) -> String {
        self.git(&["rev-parse", revision])
    }
}
