//! Waiting for something to happen.

use std::time::{Duration, Instant};

/// Polls until `is` is true, which must happen within a minute.
#[track_caller]
pub(crate) fn until(what: &str, is: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
