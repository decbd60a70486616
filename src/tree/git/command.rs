//! Runs the `git` command.
//!
//! Owns how git is started, so that it neither writes, pages nor prompts and ignores the variables of a hook,
//! and the messages when it fails. An edge: it starts processes.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::base::error::{Error, Exit};
use crate::base::secret::secret_variables;

/// Longest run of a git command. Fetching a commit of a large repository takes minutes.
const LIMIT: Duration = Duration::from_secs(300);

/// Variables that would point git at a repository other than the one around the folder. Git sets them for its
/// hooks.
const FOREIGN: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_GLOB_PATHSPECS",
];

/// Failure of a git command.
#[derive(Debug)]
pub(crate) enum GitError {
    /// There is no `git` command.
    Missing,
    /// It could not be started.
    Io(io::Error),
    /// It failed with this message.
    Failed(String),
    /// It did not end within this time.
    TimedOut(Duration),
}

/// Returns a git command that runs in a folder.
pub(crate) fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    for name in FOREIGN {
        command.env_remove(name);
    }
    for name in secret_variables(std::env::vars_os().map(|(name, _)| name)) {
        command.env_remove(name);
    }
    command
        .current_dir(dir)
        .args(["-c", "core.quotePath=false", "--no-pager"])
        // A program that the configuration of the repository names may wait for ever.
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .env("GIT_ASKPASS", "true")
        .env("SSH_ASKPASS_REQUIRE", "never")
        // Its own group, so that what it has started ends with it.
        .process_group(0)
        .env("GIT_OPTIONAL_LOCKS", "0")
        // Paths are literal: a folder may be called `:(glob)`.
        .env("GIT_LITERAL_PATHSPECS", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Starts a process.
pub(crate) fn spawn(command: &mut Command) -> Result<Child, GitError> {
    command.spawn().map_err(|err| match err.kind() {
        io::ErrorKind::NotFound => GitError::Missing,
        _ => GitError::Io(err),
    })
}

/// Runs a process to its end and returns what it wrote.
pub(crate) fn run(command: &mut Command) -> Result<Vec<u8>, GitError> {
    finish(spawn(command)?)
}

/// Waits for a process and returns what it wrote.
pub(crate) fn finish(child: Child) -> Result<Vec<u8>, GitError> {
    finish_within(child, LIMIT)
}

fn finish_within(child: Child, limit: Duration) -> Result<Vec<u8>, GitError> {
    let group = Pid::from_child(&child);
    let (ended, end) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let is_late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if is_late {
            let _ = kill_process_group(group, Signal::KILL);
        }
        is_late
    });
    let output = child.wait_with_output();
    drop(ended);
    if watchdog.join().unwrap_or(false) {
        return Err(GitError::TimedOut(limit));
    }
    let Output { status, stdout, stderr } = output.map_err(GitError::Io)?;
    if status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&stderr).trim().to_owned();
    Err(GitError::Failed(if stderr.is_empty() { status.to_string() } else { stderr }))
}

impl GitError {
    /// Whether there is no repository, or no git to read it with.
    pub(crate) fn is_without_git(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Io(_) | Self::TimedOut(_) => false,
            Self::Failed(message) => message.contains("not a git repository"),
        }
    }

    /// The failure as an error of the program; `what` completes "failed to …".
    pub(crate) fn into_error(self, what: &str, dir: &Path) -> Error {
        match self {
            Self::Missing => Error::usage(format!("failed to {what}: there is no `git` command"))
                .help("install git, or run where it is on PATH"),
            Self::Io(err) => Error::new(Exit::Unforeseen, format!("failed to {what}: {err}")),
            Self::TimedOut(limit) => Error::new(
                Exit::Unforeseen,
                format!("failed to {what}: git did not end within {} s", limit.as_secs()),
            )
            .help(format!(
                "run it by hand in {}: a program that it starts, or the disk, may hang",
                dir.display()
            )),
            Self::Failed(message) if message.contains("not a git repository") => {
                Error::usage(format!("failed to {what}: {} is in no git repository", dir.display()))
                    .help("run in a clone of the repository, or name one with -C")
            }
            Self::Failed(message)
                if message.contains("dubious ownership") || message.contains("unsafe repository") =>
            {
                let owned = dir.canonicalize().unwrap_or_else(|_| PathBuf::from(dir));
                let top = owned.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(&owned);
                Error::usage(format!(
                    "failed to {what}: {} belongs to another user, so git does not trust it",
                    top.display()
                ))
                .help(format!("git config --global --add safe.directory '{}'", top.display()))
            }
            Self::Failed(message) => {
                let first = message.lines().next().unwrap_or("").trim_start_matches("fatal: ");
                Error::new(Exit::Unforeseen, format!("failed to {what}: git says: {first}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_of_another_user_says_how_to_trust_it() {
        let failed = GitError::Failed(
            "fatal: detected dubious ownership in repository at '/x'\nTo add an exception …".into(),
        );
        let err = failed.into_error("read the commit", Path::new("/"));
        assert_eq!(
            err.to_string(),
            "failed to read the commit: / belongs to another user, so git does not trust it"
        );
        assert_eq!(err.diagnostics[0].help.as_deref(), Some("git config --global --add safe.directory '/'"));
    }

    #[test]
    fn each_failure_says_what_to_do() {
        let help = |err: GitError| err.into_error("read HEAD", Path::new("/")).diagnostics[0].help.clone();
        assert!(help(GitError::Missing).unwrap().contains("install git"));
        assert!(help(GitError::Failed("fatal: not a git repository (or …".into())).unwrap().contains("-C"));
        assert!(GitError::Missing.is_without_git());
        assert!(!GitError::Failed("fatal: bad".into()).is_without_git());
    }

    #[test]
    fn a_command_that_hangs_ends_with_all_that_it_has_started() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & sleep 1000"]).process_group(0).stdout(Stdio::piped());
        let child = spawn(command.current_dir(dir.path())).unwrap();
        let err = finish_within(child, Duration::from_millis(200)).unwrap_err();
        let err = err.into_error("read the commit", Path::new("/x"));
        assert_eq!(err.to_string(), "failed to read the commit: git did not end within 0 s");
    }

    #[test]
    fn a_failing_process_returns_its_message() {
        let dir = tempfile::tempdir().unwrap();
        let err = run(git(dir.path()).args(["no-such-command"])).unwrap_err();
        assert!(matches!(err, GitError::Failed(message) if message.contains("no-such-command")));
    }
}
