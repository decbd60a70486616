//! Signals: the first one stops a run gracefully.
//!
//! GitHub cancels a job with SIGINT, 7.5 s later with SIGTERM, and 2.5 s later with SIGKILL. So the first
//! signal ends a run after the step under way, and the second one immediately.

use tokio::signal::unix::{SignalKind, signal};

use crate::apply::stop::{Stop, StopRequest};

/// Handles SIGINT and SIGTERM from now on.
pub(super) fn listen() -> Stop {
    let (sender, stop) = Stop::channel();
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        // Without handlers a signal just kills the process, and the next run finishes the work.
        return stop;
    };
    tokio::spawn(async move {
        for request in [StopRequest::Graceful, StopRequest::Immediate] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tracing::debug!(?request, "stop requested");
            sender.send_replace(request);
        }
        std::future::pending::<()>().await;
    });
    stop
}
