//! Calls over HTTPS: the client, its timeouts, and when another attempt makes sense.
//!
//! An edge. Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY`), certificates those of the
//! machine.

use std::time::Duration;

/// Timeout of one call.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Pauses before the next attempt after a failure that may pass.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// Time that GitHub asks callers to wait after a limit, if it names none
/// ([best practices](https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api)).
const UNNAMED: Duration = Duration::from_secs(60);

/// Longest pause before another attempt during a limit, if the limit itself asks for less.
const LONGEST: Duration = Duration::from_secs(32);

/// Creates a client.
///
/// # Errors
///
/// When the certificates of this machine cannot be read.
pub fn client() -> Result<reqwest::Client, String> {
    // If one is installed already, it stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .user_agent(concat!("ghdeploy/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(TIMEOUT / 2)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::limited(3));
    client.build().map_err(|error| words(&error))
}

/// Properties of an answer that decide about another attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status; `None` if the server was not reached.
    pub status: Option<u16>,
    /// The seconds in `Retry-After`.
    pub retry_after: Option<u64>,
    /// Seconds until the rate limit resets, if it is used up.
    pub limited_for: Option<u64>,
    /// Whether its words name a limit.
    pub is_limit: bool,
}

impl Answer {
    /// Whether the call was refused because there were too many.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        let refused = matches!(self.status, Some(403 | 429));
        refused && (self.status == Some(429) || self.asks().is_some())
    }

    /// Pause before the next attempt, after `tries` retries; `None` if it would fail again. A limit may be
    /// waited for at any length: the pauses become longer, and the caller decides when to give up.
    #[must_use]
    pub fn pause(&self, tries: usize) -> Option<Duration> {
        if self.is_limited() {
            let least = PAUSES[0] / 4 * 2u32.saturating_pow(u32::try_from(tries).unwrap_or(u32::MAX));
            return Some(self.asks().unwrap_or(PAUSES[0]).max(least.min(LONGEST)));
        }
        let pause = PAUSES.get(tries).copied()?;
        match self.status {
            None | Some(408 | 500..) => Some(self.retry_after.map_or(pause, Duration::from_secs)),
            _ => None,
        }
    }

    fn asks(&self) -> Option<Duration> {
        let asked = self.retry_after.or(self.limited_for).map(Duration::from_secs);
        asked.or_else(|| self.is_limit.then_some(UNNAMED))
    }
}

/// Cause of an error, without the address. The address of a webhook is a secret.
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
    fn transient_failures_are_retried_and_others_are_not() {
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
        assert_eq!(pause(of(Some(429)), 1), Some(1000));
    }

    #[test]
    fn the_pause_is_as_long_as_a_rate_limit_asks() {
        let limited = Answer { status: Some(403), limited_for: Some(30), ..Answer::default() };
        assert!(limited.is_limited());
        assert_eq!(pause(limited, 0), Some(30_000));
        let after =
            Answer { status: Some(429), retry_after: Some(7), limited_for: Some(3000), ..Answer::default() };
        assert_eq!(pause(after, 0), Some(7_000));
        let secondary = Answer { status: Some(403), is_limit: true, ..Answer::default() };
        assert_eq!(pause(secondary, 2), Some(60_000));
        // However often it asks for less, the pauses become longer.
        let often = Answer { status: Some(403), retry_after: Some(0), ..Answer::default() };
        let pauses: Vec<_> = [0, 1, 2, 5, 40].into_iter().map(|tries| pause(often, tries)).collect();
        assert_eq!(pauses, [Some(250), Some(500), Some(1000), Some(8000), Some(32_000)]);
        assert!(!Answer { status: Some(403), ..Answer::default() }.is_limited());
        assert!(!Answer { status: Some(404), retry_after: Some(1), ..Answer::default() }.is_limited());
    }
}
