//! Runs of `ghdeploy` on the bed's repository and host.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use super::{Bed, stdout_of};
use crate::support::program::{self, Output};

/// A run of `ghdeploy` that has not started yet.
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
        let user = stdout_of(Command::new("id").arg("-un"));
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

    /// Adds arguments.
    pub(crate) fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.args.extend(args.map(OsString::from));
        self
    }

    /// Sets another host.
    pub(crate) fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Takes the hosts from the configuration.
    pub(crate) fn without_host(mut self) -> Self {
        (self.host, self.known_hosts) = (None, None);
        self
    }

    /// Sets another key.
    pub(crate) fn ssh_key(mut self, key: &str) -> Self {
        self.key = key.into();
        self
    }

    /// Puts the key in GHDEPLOY_SSH_KEY instead of on the command line.
    pub(crate) fn key_variable(mut self, value: impl Into<OsString>) -> Self {
        self.key_variable = Some(value.into());
        self
    }

    /// Logs in as another user of the same host.
    pub(crate) fn user(self, user: &str) -> Self {
        let host = format!("{user}@127.0.0.1:{}", self.bed.sshd.port);
        self.host(host)
    }

    pub(crate) fn known_hosts(mut self, file: Option<&Path>) -> Self {
        self.known_hosts = file.map(Into::into);
        self
    }

    /// The program with all its arguments and a clean environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = program::ghdeploy(&self.bed.path("repo"), &self.bed.path("home"));
        command.env("TMPDIR", self.bed.path("tmp")).args(&self.args);
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

    /// Runs it, and asserts that the guarded files on the host are the same before and after.
    pub(crate) fn run(self) -> Output {
        self.bed.guarding(|| program::run(&mut self.command()))
    }
}
