//! Signals: a run that is told to end does so in order.
//!
//! GitHub cancels a job by SIGINT, 7.5 s later by SIGTERM, and 2.5 s later by SIGKILL. So the first signal
//! ends a run after the step in hand, and the second one at once.

use tokio::signal::unix::{SignalKind, signal};

use crate::apply::stop::{Stop, Urgency};

/// Takes SIGINT and SIGTERM from now on.
pub(super) fn listen() -> Stop {
    let (sender, stop) = Stop::channel();
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        // Without them a signal just kills us, and the next run finishes the work.
        return stop;
    };
    tokio::spawn(async move {
        for urgency in [Urgency::InOrder, Urgency::AtOnce] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tracing::debug!(?urgency, "told to end");
            sender.send_replace(urgency);
        }
        std::future::pending::<()>().await;
    });
    stop
}
