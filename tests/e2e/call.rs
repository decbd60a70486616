//! Runs `ghdeploy` as a user would.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::bed::{Bed, ran};

/// One run of `ghdeploy`, to be.
#[must_use]
pub(crate) struct Call<'a> {
    bed: &'a Bed,
    host: Option<String>,
    known_hosts: Option<OsString>,
    key: OsString,
    key_variable: Option<OsString>,
    args: Vec<OsString>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(bed: &'a Bed, args: &[&str]) -> Self {
        let user = ran(std::process::Command::new("id").arg("-un"));
        let host = Some(format!("{}@127.0.0.1:{}", user.trim(), bed.sshd.port));
        Self {
            bed,
            host,
            known_hosts: Some(bed.sshd.known_hosts().into()),
            key: bed.sshd.client_key().into(),
            key_variable: None,
            args: args.iter().map(OsString::from).collect(),
        }
    }

    /// With more arguments.
    pub(crate) fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.args.extend(args.map(OsString::from));
        self
    }

    /// To another host, with the usual port if it has none.
    pub(crate) fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// To the hosts of the configuration.
    pub(crate) fn without_host(mut self) -> Self {
        (self.host, self.known_hosts) = (None, None);
        self
    }

    /// With another key.
    pub(crate) fn ssh_key(mut self, key: &str) -> Self {
        self.key = key.into();
        self
    }

    /// With this in GHDEPLOY_SSH_KEY instead of a key on the command line.
    pub(crate) fn key_variable(mut self, value: impl Into<OsString>) -> Self {
        self.key_variable = Some(value.into());
        self
    }

    /// As another user of the same host.
    pub(crate) fn user(self, user: &str) -> Self {
        let host = format!("{user}@127.0.0.1:{}", self.bed.sshd.port);
        self.host(host)
    }

    pub(crate) fn known_hosts(mut self, file: Option<&Path>) -> Self {
        self.known_hosts = file.map(Into::into);
        self
    }

    /// The program with all its arguments and nothing of this machine's environment but PATH.
    pub(crate) fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ghdeploy"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.bed.path("home"));
        command
            .env("USER", "tester")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("TMPDIR", self.bed.path("tmp"));
        command.arg("-C").arg(self.bed.path("repo")).args(&self.args);
        if let Some(host) = &self.host {
            command.args(["--host", host]);
            if !host.starts_with("local:") {
                command.arg("--root").arg(self.bed.path("root"));
                match &self.key_variable {
                    Some(value) => command.env("GHDEPLOY_SSH_KEY", value),
                    None => command.arg("--ssh-key").arg(&self.key),
                };
            }
        }
        if let Some(file) = &self.known_hosts {
            command.arg("--known-hosts").arg(file);
        }
        command
    }

    /// Runs it. The unmanaged files on the host must be the same before and after.
    pub(crate) fn run(self) -> Ran {
        let shown = format!("{:?}", self.args);
        let mut command = assert_cmd::Command::from_std(self.command());
        let output = self.bed.guarding(|| command.timeout(Duration::from_secs(120)).output().unwrap());
        Ran::of(shown, &output)
    }
}

/// What became of a run.
pub(crate) struct Ran {
    shown: String,
    code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// What became of a run with these arguments.
    pub(crate) fn of(shown: String, output: &std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { shown, code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Claims how it exits.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit of {}", self.all());
        self
    }

    /// Claims that it says this, on stdout or stderr.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.all().contains(words), "{words:?} is not in {}", self.all());
        self
    }

    /// Claims that it never says this.
    #[track_caller]
    pub(crate) fn never_says(self, words: &str) -> Self {
        assert!(!self.all().contains(words), "{words:?} is in {}", self.all());
        self
    }

    /// Claims that the very last line, the state of the host, ends so.
    #[track_caller]
    pub(crate) fn ends_with(self, words: &str) -> Self {
        let text = if self.stdout.trim().is_empty() { &self.stderr } else { &self.stdout };
        let last = text.lines().last().unwrap_or_default();
        assert!(last.ends_with(words), "{words:?} is not the end of {}", self.all());
        self
    }

    /// How it exits.
    pub(crate) fn code(&self) -> Option<i32> {
        self.code
    }

    /// The result as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.all()))
    }

    pub(crate) fn all(&self) -> String {
        format!(
            "ghdeploy {} (exit {:?})\n--- stdout\n{}\n--- stderr\n{}",
            self.shown, self.code, self.stdout, self.stderr
        )
    }
}
