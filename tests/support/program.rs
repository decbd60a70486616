//! Runs of the program in an environment of the test's own.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use serde_json::Value;

/// `ghdeploy -C dir` with `home` as its home directory. Of this machine's environment it gets `PATH` alone:
/// no `GHDEPLOY_*` or `GITHUB_*` variable, and no git configuration.
pub(crate) fn ghdeploy(dir: &Path, home: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ghdeploy"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home);
    command.env("USER", "tester").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command.arg("-C").arg(dir);
    command
}

/// Longest run: an engine that builds images on a busy machine stays well below.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs a command without stdin. It is killed if it takes longer than five minutes.
pub(crate) fn run(command: &mut Command) -> Output {
    feed(command, "")
}

/// Runs a command with this on its stdin, and takes it: a command runs once.
pub(crate) fn feed(command: &mut Command, stdin: &str) -> Output {
    let command = std::mem::replace(command, Command::new("false"));
    let shown = command.get_args().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let home = command.get_envs().find(|(name, _)| *name == "HOME").and_then(|(_, value)| value);
    let home = home.map(|home| home.to_string_lossy().into_owned());
    let output = assert_cmd::Command::from_std(command).write_stdin(stdin).timeout(LIMIT).output();
    let mut output = Output::new(shown, &output.unwrap());
    if let Some(home) = home {
        output.stdout = output.stdout.replace(&home, "~");
        output.stderr = output.stderr.replace(&home, "~");
    }
    output
}

/// Waits for a run whose stdout and stderr are pipes. It is killed if it takes longer than `limit`.
pub(crate) fn wait(child: Child, shown: String, limit: Duration) -> Output {
    let (ended, watch) = mpsc::channel::<()>();
    let id = child.id().to_string();
    let watchdog = std::thread::spawn(move || {
        let is_late = watch.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if is_late {
            let _ = Command::new("kill").args(["-9", &id]).status();
        }
        is_late
    });
    let output = Output::new(shown, &child.wait_with_output().unwrap());
    drop(ended);
    assert!(!watchdog.join().unwrap(), "it does not end within {limit:?}: {}", output.all());
    output
}

/// Output and exit code of a run. The home directory reads `~`.
#[derive(Debug)]
pub(crate) struct Output {
    shown: String,
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// The output of a run that messages show as `shown`.
    pub(crate) fn new(shown: String, output: &std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { shown, code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code of {}", self.all());
        self
    }

    /// Asserts that stdout or stderr contains this.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.contains(text), "{text:?} is not in {}", self.all());
        self
    }

    /// Asserts that neither stdout nor stderr contains this.
    #[track_caller]
    pub(crate) fn never_prints(self, text: &str) -> Self {
        assert!(!self.contains(text), "{text:?} is in {}", self.all());
        self
    }

    /// Whether stdout or stderr contains this.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    /// Asserts the end of the last line, which is about the state of the host.
    #[track_caller]
    pub(crate) fn ends_with(self, text: &str) -> Self {
        let printed = if self.stdout.trim().is_empty() { &self.stderr } else { &self.stdout };
        let last = printed.lines().last().unwrap_or_default();
        assert!(last.ends_with(text), "{text:?} is not the end of {}", self.all());
        self
    }

    /// stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.all()))
    }

    /// The command, its exit code and all that it printed.
    pub(crate) fn all(&self) -> String {
        format!(
            "ghdeploy {} (exit {:?})\n--- stdout\n{}\n--- stderr\n{}",
            self.shown, self.code, self.stdout, self.stderr
        )
    }
}
