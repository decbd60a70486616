//! A wish from outside that an apply end before it is through.

use tokio::sync::watch;

use super::{Apply, Failure};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit};

/// How urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Urgency {
    /// Nobody wants it to end.
    #[default]
    None,
    /// It ends when the step in hand is through: SIGINT.
    InOrder,
    /// It ends at once, whatever is under way: a second signal.
    AtOnce,
}

/// Whether somebody wants an apply to end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Urgency>);

impl Stop {
    /// A wish, and the end by which it is expressed.
    #[must_use]
    pub fn channel() -> (watch::Sender<Urgency>, Self) {
        let (sender, receiver) = watch::channel(Urgency::None);
        (sender, Self(receiver))
    }

    /// A wish that is never expressed.
    #[must_use]
    pub fn never() -> Self {
        Self::channel().1
    }

    /// Whether it is wanted.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        *self.0.borrow() != Urgency::None
    }

    /// Waits until it is wanted this urgently.
    pub async fn wanted(&self, urgency: Urgency) {
        if self.0.clone().wait_for(|wanted| *wanted >= urgency).await.is_err() {
            // Nobody can want it any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Error {
    /// A run that was stopped before it changed anything.
    #[must_use]
    pub fn stopped() -> Self {
        Self::new(Exit::Unreachable, "stopped by a signal")
    }
}

impl Failure {
    /// A project that was not reached, or was brought back before its services acted.
    pub(super) fn stopped() -> Self {
        let message = "stopped by a signal before anything of it was changed";
        Self { is_stopped: true, ..Self::new(Diagnostic::error(message, None)) }
    }

    /// A project whose services have acted.
    pub(super) fn interrupted() -> Self {
        let message =
            "stopped by a signal in the middle: its files are in place, and what was not done stays owed";
        let problem = Diagnostic::error(message, None).help("the next `ghdeploy sync` finishes it");
        Self { is_stopped: true, ..Self::new(problem) }
    }
}

impl Apply<'_> {
    /// Goes on unless somebody wants it to end.
    pub(super) fn go_on(&self) -> Result<(), Failure> {
        if self.task.stop.is_wanted() { Err(Failure::interrupted()) } else { Ok(()) }
    }
}
