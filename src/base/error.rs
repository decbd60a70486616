//! How the program fails: one kind of failure, one documented exit code.
//!
//! Owns the exit codes and the three parts of a message (what, where, what to do) with the state
//! of the host at its end. Never prints.

use std::fmt;

use serde::Serialize;

use crate::base::diagnostic::Diagnostic;

/// The exit codes of the command line, as documented in `ghdeploy --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// A bug or an unforeseen failure.
    Unforeseen = 1,
    /// Usage or configuration: the command line, `ghdeploy.yml` or a compose file.
    Usage = 2,
    /// The gate is closed: what must be proven of a commit is not.
    GateClosed = 3,
    /// The host was not reached, lacks something, or its lock was not had in time.
    Unreachable = 4,
    /// A deploy failed; the host is as it was before.
    RolledBack = 5,
    /// A deploy failed and the host's state needs a look.
    NeedsLook = 6,
    /// With `--exit-code`: there is something to do.
    Pending = 10,
}

impl Exit {
    /// The number for the shell.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// What a failure left behind on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// Nothing was changed.
    Unchanged,
    /// Everything that was changed is back as in this release.
    RolledBack {
        /// The release that the host is back at.
        release: u64,
    },
    /// Nobody knows without a look.
    Unknown,
}

impl fmt::Display for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("nothing was changed"),
            Self::RolledBack { release } => write!(f, "rolled back to release {release}"),
            Self::Unknown => f.write_str("unknown: run ghdeploy status"),
        }
    }
}

/// A failure of a whole command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The exit code.
    pub exit: Exit,
    /// What happened, where and what to do; at least one.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether it may pass by itself, and nothing was changed: then another try does no harm.
    pub is_transient: bool,
    /// The name of the host that it is about, and what state that host is in.
    pub host: Option<(String, HostState)>,
}

/// What fallible parts of the program return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure with one message and no place.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::of(exit, vec![Diagnostic::error(message, None)])
    }

    /// A failure with these messages.
    #[must_use]
    pub fn of(exit: Exit, diagnostics: Vec<Diagnostic>) -> Self {
        Self { exit, diagnostics, is_transient: false, host: None }
    }

    /// A failure of usage or configuration.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A failure that no part of the program foresaw.
    #[must_use]
    pub fn unforeseen(message: impl Into<String>) -> Self {
        Self::new(Exit::Unforeseen, message)
    }

    /// A failure of usage or configuration with places.
    #[must_use]
    pub fn invalid(diagnostics: Vec<Diagnostic>) -> Self {
        Self::of(Exit::Usage, diagnostics)
    }

    /// The same with advice on the last message.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        if let Some(last) = self.diagnostics.last_mut() {
            last.help = Some(help.into());
        }
        self
    }

    /// The same, which may pass by itself.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.is_transient = true;
        self
    }

    /// The same about a host.
    #[must_use]
    pub fn on_host(mut self, name: &str, state: HostState) -> Self {
        self.host = Some((name.to_owned(), state));
        self
    }
}

impl fmt::Display for Error {
    /// One line; the renderers show the whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, diagnostic) in self.diagnostics.iter().enumerate() {
            if number > 0 {
                f.write_str("; ")?;
            }
            f.write_str(&diagnostic.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
