//! Why a project was not deployed.

use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit};
use crate::outcome::ServiceLog;

/// Reason why a project was not deployed.
#[derive(Debug, Clone, Default)]
pub(super) struct Failure {
    pub(super) problems: Vec<Diagnostic>,
    pub(super) logs: Vec<ServiceLog>,
    pub(super) kind: ProjectFailureKind,
}

/// Kind of a [`Failure`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ProjectFailureKind {
    /// The host refused something, or a service is unhealthy.
    #[default]
    Failed,
    /// The connection is lost: nothing more can be done on the host.
    Lost,
    /// A stop was requested.
    Stopped,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = if error.exit == Exit::Unreachable {
            ProjectFailureKind::Lost
        } else {
            ProjectFailureKind::Failed
        };
        Self { problems: error.diagnostics, logs: Vec::new(), kind }
    }
}

impl Failure {
    /// A failure with one message.
    pub(super) fn new(problem: Diagnostic) -> Self {
        Self::of(vec![problem])
    }

    /// A failure with these messages.
    pub(super) fn of(problems: Vec<Diagnostic>) -> Self {
        Self { problems, ..Self::default() }
    }

    /// A project that was not reached, or that was restored before its services acted.
    pub(super) fn stopped() -> Self {
        let problem = Diagnostic::error("stopped by a signal before anything of it was changed", None);
        Self { kind: ProjectFailureKind::Stopped, ..Self::new(problem) }
    }

    /// A project some of whose services have acted.
    pub(super) fn interrupted() -> Self {
        let message =
            "stopped by a signal in the middle: its files are in place, and what was not done stays owed";
        let problem = Diagnostic::error(message, None).help("the next `ghdeploy sync` finishes it");
        Self { kind: ProjectFailureKind::Stopped, ..Self::new(problem) }
    }

    /// A rollback that failed, for this reason.
    pub(super) fn rollback(why: &str) -> Self {
        Self::new(Diagnostic::error(format!("the rollback failed: {why}"), None).help(
            "look at the host: `ghdeploy status`; replaced files are in .ghdeploy/objects; the next \
             `ghdeploy sync` tries again",
        ))
    }

    /// A rollback to the last release in which the project was well that failed or cannot be done, for this
    /// reason. `command` leads there.
    pub(super) fn way_back(why: &str, command: Option<&str>) -> Self {
        let Some(command) = command else { return Self::rollback(why) };
        let message = format!("the rollback failed: {why}");
        Self::new(Diagnostic::error(message, None).help(format!("run `{command}`")))
    }

    /// The same failure with further messages.
    pub(super) fn and(mut self, more: Self) -> Self {
        self.problems.extend(more.problems);
        self
    }

    /// Its messages as one text.
    pub(super) fn words(&self) -> String {
        let words: Vec<&str> = self.problems.iter().map(|problem| problem.message.as_str()).collect();
        words.join("; ")
    }
}
