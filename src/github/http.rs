//! Calls over HTTPS: how long they may take, when another try makes sense, and nothing of what they are for.
//!
//! An edge. Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY`), certificates those of the
//! machine.

use std::time::Duration;

/// How long the other side may take for one call.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The pauses before another try of what fails for a reason that passes.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// How long GitHub asks to wait after its secondary limit where it names no time
/// ([best practices](https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api)).
const SECONDARY: Duration = Duration::from_secs(60);

/// A client for all calls of this process.
///
/// # Errors
///
/// When the certificates of this machine cannot be read.
pub fn client() -> Result<reqwest::Client, String> {
    // A second one is refused, and the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .user_agent(concat!("ghdeploy/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(TIMEOUT / 2)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::limited(3));
    client.build().map_err(|error| words(&error))
}

/// What an answer says about another try.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status; `None`: there was none, for the other side was not reached.
    pub status: Option<u16>,
    /// The seconds in `Retry-After`.
    pub retry_after: Option<u64>,
    /// Seconds until the rate limit is full again, if it is used up.
    pub limited_for: Option<u64>,
    /// Whether the answer speaks of GitHub's secondary rate limit.
    pub is_secondary: bool,
}

impl Answer {
    /// Whether it was refused for there were too many.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        let refused = matches!(self.status, Some(403 | 429));
        refused && (self.status == Some(429) || self.asks().is_some())
    }

    /// How long to wait before another try, `tries` having failed; `None`: there is none, it would fail
    /// again.
    #[must_use]
    pub fn pause(&self, tries: usize) -> Option<Duration> {
        let pause = PAUSES.get(tries).copied()?;
        match self.status {
            Some(403 | 429) if self.is_limited() => Some(self.asks().unwrap_or(pause).max(pause / 4)),
            None | Some(408 | 500..) => Some(self.retry_after.map_or(pause, Duration::from_secs)),
            _ => None,
        }
    }

    fn asks(&self) -> Option<Duration> {
        let asked = self.retry_after.or(self.limited_for).map(Duration::from_secs);
        asked.or_else(|| self.is_secondary.then_some(SECONDARY))
    }
}

/// What went wrong, without the address: in that of a webhook lies a secret.
pub(crate) fn words(error: &reqwest::Error) -> String {
    let mut words = if error.is_timeout() { "no answer in time".to_owned() } else { String::new() };
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        words = inner.to_string();
        source = inner.source();
    }
    if words.is_empty() { "the call failed".to_owned() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(answer: Answer, tries: usize) -> Option<u128> {
        answer.pause(tries).map(|pause| pause.as_millis())
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_not() {
        let of = |status| Answer { status, ..Answer::default() };
        for status in [None, Some(500), Some(502), Some(503), Some(408)] {
            assert_eq!(
                (0..4).map(|tries| pause(of(status), tries)).collect::<Vec<_>>(),
                [Some(1000), Some(2000), Some(4000), None]
            );
        }
        for status in [301, 400, 401, 403, 404, 409, 410, 422] {
            assert_eq!(pause(of(Some(status)), 0), None, "{status}");
        }
        assert_eq!(pause(of(Some(429)), 1), Some(2000));
    }

    #[test]
    fn a_limit_is_waited_for_as_long_as_it_asks() {
        let limited = Answer { status: Some(403), limited_for: Some(30), ..Answer::default() };
        assert!(limited.is_limited());
        assert_eq!(pause(limited, 0), Some(30_000));
        let after =
            Answer { status: Some(429), retry_after: Some(7), limited_for: Some(3000), ..Answer::default() };
        assert_eq!(pause(after, 0), Some(7_000));
        let secondary = Answer { status: Some(403), is_secondary: true, ..Answer::default() };
        assert_eq!(pause(secondary, 2), Some(60_000));
        assert!(!Answer { status: Some(403), ..Answer::default() }.is_limited());
        assert!(!Answer { status: Some(404), retry_after: Some(1), ..Answer::default() }.is_limited());
    }
}
