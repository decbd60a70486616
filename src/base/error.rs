//! Failures of commands: each kind has one documented exit code.
//!
//! Owns the exit codes and the parts of an error: what happened, where, what to do, and the state of the
//! host. Never prints.

use std::fmt;

use serde::Serialize;

use crate::base::diagnostic::Diagnostic;

/// Exit codes of the command line, as documented in `ghdeploy --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// A bug or an unforeseen failure.
    Unforeseen = 1,
    /// Usage or configuration: the command line, `ghdeploy.yml` or a compose file.
    Usage = 2,
    /// The gate is closed: a requirement for the commit is not proven.
    GateClosed = 3,
    /// The host was not reached, lacks something, or its lock was not acquired in time; or GitHub was not reached
    /// or limits its calls.
    Unreachable = 4,
    /// A deploy failed; the host is as it was before.
    RolledBack = 5,
    /// A deploy failed, and the state of the host must be checked.
    NeedsLook = 6,
    /// With `--exit-code`: there is something to do.
    Pending = 10,
}

impl Exit {
    /// The process exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// State of a host after a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// Nothing was changed.
    Unchanged,
    /// Every change was rolled back.
    RolledBack {
        /// The release that the host is at again.
        release: u64,
    },
    /// The state must be checked.
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

/// Failure of a whole command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The exit code.
    pub exit: Exit,
    /// What happened, where, and what to do. Never empty.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether another try may succeed and does no harm, because nothing was changed.
    pub is_transient: bool,
    /// The name of the host and its state, if a host is involved.
    pub host: Option<(String, HostState)>,
}

/// Result of the fallible parts of the program.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Creates a failure with one message and no location.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::of(exit, vec![Diagnostic::error(message, None)])
    }

    /// Creates a failure with these messages.
    #[must_use]
    pub fn of(exit: Exit, diagnostics: Vec<Diagnostic>) -> Self {
        Self { exit, diagnostics, is_transient: false, host: None }
    }

    /// Creates a failure of usage or configuration.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Creates a failure that the program did not foresee.
    #[must_use]
    pub fn unforeseen(message: impl Into<String>) -> Self {
        Self::new(Exit::Unforeseen, message)
    }

    /// Creates a failure of usage or configuration with locations.
    #[must_use]
    pub fn invalid(diagnostics: Vec<Diagnostic>) -> Self {
        Self::of(Exit::Usage, diagnostics)
    }

    /// Adds advice to the last message.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        if let Some(last) = self.diagnostics.last_mut() {
            last.help = Some(help.into());
        }
        self
    }

    /// Marks the failure as transient.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.is_transient = true;
        self
    }

    /// Adds the host and its state.
    #[must_use]
    pub fn on_host(mut self, name: &str, state: HostState) -> Self {
        self.host = Some((name.to_owned(), state));
        self
    }
}

impl fmt::Display for Error {
    /// Writes one line. The renderers show everything.
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
