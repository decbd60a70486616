//! Signals: the first one stops a run gracefully, or at once if it changes no host.
//!
//! GitHub cancels a job with SIGINT, 7.5 s later with SIGTERM, and 2.5 s later with SIGKILL. So the first
//! signal ends a run after the step under way, and the second one immediately. A terminal that closes, or an ssh
//! session that ends, sends SIGHUP: it is handled like the others, or it would cut the run off.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::apply::stop::{Stop, StopRequest};
use crate::outcome::event::{Event, Observer};

/// Whether a signal has come to a run that handles them.
static IS_STOPPED: AtomicBool = AtomicBool::new(false);

/// Whether a signal has asked this run to stop.
pub(super) fn is_stopped() -> bool {
    IS_STOPPED.load(Ordering::Relaxed)
}

/// Handles SIGINT, SIGTERM and SIGHUP from now on.
pub(super) fn listen() -> Stop {
    let (sender, stop) = Stop::channel();
    let is_hangup_ignored =
        std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status));
    let signals =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()));
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = signals else {
        // Without handlers a signal just kills the process, and the next run finishes the work.
        return stop;
    };
    // Under nohup a hangup stays ignored.
    let obeys_hangup = !is_hangup_ignored;
    tokio::spawn(async move {
        for request in [StopRequest::Graceful, StopRequest::Immediate] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv(), if obeys_hangup => {}
            }
            IS_STOPPED.store(true, Ordering::Relaxed);
            tracing::debug!(?request, "stop requested");
            sender.send_replace(request);
        }
        std::future::pending::<()>().await;
    });
    stop
}

/// What the first signal does.
const FIRST: &str = "a step that is under way on the host is finished first; press Ctrl-C again to end now, while the step continues there";

/// What the second one does.
const SECOND: &str = "ending now; a step that is under way continues on the host";

/// Does `work`, and says at once what a signal does that comes meanwhile.
pub(super) async fn announcing<T>(stop: &Stop, observer: &dyn Observer, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    for (request, text) in [(StopRequest::Graceful, FIRST), (StopRequest::Immediate, SECOND)] {
        tokio::select! {
            // It is said even if the work ends at once.
            biased;
            () = stop.requested(request) => observer.on(Event::Stopping { text: text.to_owned() }),
            done = &mut work => return done,
        }
    }
    work.await
}

/// Exit code after a cancellation: that of a shell whose command SIGINT has ended.
const CANCELLED: i32 = 130;

/// Calls `last` and exits on the first SIGINT or SIGTERM, for commands that change no host: they have nothing to
/// finish.
pub(super) fn on_cancellation(last: impl FnOnce() + Send + 'static) {
    let (ready, is_ready) = std::sync::mpsc::channel();
    let wait = async move {
        let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return };
        let _ = ready.send(());
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        last();
        let _ = writeln!(std::io::stderr().lock(), "cancelled");
        #[expect(clippy::exit, reason = "the other thread is in the middle of its work")]
        std::process::exit(CANCELLED);
    };
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(wait);
        }
    });
    // Without handlers a signal just kills the process.
    let _ = is_ready.recv();
}

/// Whether a process ignores SIGHUP, by its `/proc/PID/status`.
fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // One bit per signal; SIGHUP is the first.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_seen() {
        assert!(ignores_hangup("Name:\tghdeploy\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
