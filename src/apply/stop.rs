//! A request from outside that an apply end before it is done.

use tokio::sync::watch;

use crate::base::error::{Error, Exit};

/// How urgently an apply is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum StopRequest {
    /// No stop was requested.
    #[default]
    None,
    /// After the step under way: the first signal.
    Graceful,
    /// At once; the step under way continues on the host: the second signal.
    Immediate,
}

/// Receiving end of stop requests.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<StopRequest>);

impl Stop {
    /// Creates a stop, and the end through which it is requested.
    #[must_use]
    pub fn channel() -> (watch::Sender<StopRequest>, Self) {
        let (sender, receiver) = watch::channel(StopRequest::None);
        (sender, Self(receiver))
    }

    /// Creates a stop that is never requested.
    #[must_use]
    pub fn never() -> Self {
        Self::channel().1
    }

    /// Whether a stop was requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() != StopRequest::None
    }

    /// Waits until a stop of at least this urgency is requested.
    pub async fn requested(&self, request: StopRequest) {
        if self.0.clone().wait_for(|requested| *requested >= request).await.is_err() {
            // The sender is gone: no request can come any more.
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
