//! Calls of GitHub's REST API.
//!
//! Owns retries, rate limits and pages. octocrab owns addresses, tokens and the cache; ARCHITECTURE says why
//! its own models and handlers are not used. The types of what is sent and answered are in [`super::models`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::BodyExt as _;
use octocrab::Octocrab;
use octocrab::service::middleware::cache::mem::InMemoryCache;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::base::secret::Secret;
use crate::github::http::{self, Answer};
use crate::github::refusal::RefusalCause;

/// Items per page, GitHub's maximum.
const PAGE: usize = 100;

/// Most pages that are read of one list. Beyond lies an endless loop of the server.
const MAX_PAGES: usize = 100;

/// Client of the API, with a token.
#[derive(Debug, Clone)]
pub struct Client {
    octocrab: Octocrab,
    /// The token, to keep it out of messages.
    token: Secret,
    /// Time that one call may wait for rate limits, in all.
    patience: Duration,
    /// Takes notes about long waits.
    note: Option<fn(&str)>,
}

/// Wait from which on it is worth a note.
const LONG: Duration = Duration::from_secs(10);

/// Failure of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// GitHub refused it.
    #[error("GitHub says {status}: {message}")]
    Refused {
        /// The status.
        status: u16,
        /// GitHub's message.
        message: String,
        /// The reason, as far as the answer tells.
        cause: RefusalCause,
    },
    /// A limit lasts longer than a call may wait.
    #[error("GitHub limits calls for {} more and says {status}: {message}", shown(*for_secs))]
    Limited {
        /// The status.
        status: u16,
        /// GitHub's message.
        message: String,
        /// The time until the next attempt makes sense, in seconds.
        for_secs: u64,
    },
    /// GitHub was not reached, or something else answered.
    #[error("GitHub was not reached: {0}")]
    Unreachable(String),
    /// GitHub's answer lacks something.
    #[error("GitHub's answer cannot be used: {0}")]
    Unusable(String),
}

impl ApiError {
    /// Whether GitHub was not reached, could not answer, or limits its calls: nothing is wrong with the call.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.is_transient() || matches!(self, Self::Limited { .. })
    }

    /// What to do about it. `permission` is what the call needs: `pull-requests: write`.
    #[must_use]
    pub fn advice(&self, permission: &str) -> Option<String> {
        match self {
            Self::Refused { cause, .. } => cause.advice(permission),
            _ => None,
        }
    }

    /// When to run the job again after a failure that is not the call's fault.
    #[must_use]
    pub fn when_again(&self) -> String {
        match self {
            Self::Limited { for_secs, .. } => format!("run the job again in {}", shown(*for_secs)),
            _ => "run the job again".to_owned(),
        }
    }

    /// Whether a later call may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Unusable(_) => true,
            Self::Refused { status, .. } => *status >= 500,
            Self::Limited { .. } => false,
        }
    }

    /// Whether the thing that the call was about does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404 | 410, .. })
    }
}

/// A time for people: `45 s`, `12 min`. Minutes are rounded up.
fn shown(secs: u64) -> String {
    if secs < 120 { format!("{secs} s") } else { format!("{} min", secs.div_ceil(60)) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

/// A body, and whether the list that it is a part of goes on.
struct Page {
    body: Value,
    has_next: bool,
}

impl Client {
    /// Client of the API at an address. Must be called inside of a runtime.
    ///
    /// # Errors
    ///
    /// When the address is invalid, or the certificates of this machine cannot be read.
    pub fn new(api: &str, token: &Secret, patience: Duration) -> Result<Self, ApiError> {
        Self::build(api, token, patience, false)
    }

    /// Client with a cache, for a caller that polls: an answer that has not changed is not sent again and
    /// does not count towards the rate limit.
    ///
    /// # Errors
    ///
    /// See [`Client::new`].
    pub fn with_cache(api: &str, token: &Secret, patience: Duration) -> Result<Self, ApiError> {
        Self::build(api, token, patience, true)
    }

    fn build(api: &str, token: &Secret, patience: Duration, has_cache: bool) -> Result<Self, ApiError> {
        let mut builder = Octocrab::builder()
            .base_uri(api.trim_end_matches('/'))
            .map_err(|_| ApiError::Unreachable(format!("{api} is not the address of an API")))?
            .personal_token(token.reveal());
        if has_cache {
            builder = builder.cache(InMemoryCache::new());
        }
        let octocrab = builder
            .build_with_reqwest(http::client().map_err(ApiError::Unreachable)?)
            .map_err(|_| ApiError::Unreachable("its client cannot be built".to_owned()))?;
        Ok(Self { octocrab, token: token.clone(), patience, note: None })
    }

    /// Passes notes about long waits on to `note`, if there is one.
    #[must_use]
    pub fn noting(self, note: Option<fn(&str)>) -> Self {
        Self { note, ..self }
    }

    /// Reads something.
    ///
    /// # Errors
    ///
    /// See [`ApiError`].
    pub async fn get<T: DeserializeOwned>(&self, route: &str) -> Result<T, ApiError> {
        typed(self.call(Verb::Get, route, None).await?.body)
    }

    /// Reads all pages of a list. `field` names the field that holds the items; `None`: the answer is the
    /// list.
    ///
    /// # Errors
    ///
    /// See [`ApiError`].
    pub async fn list<T: DeserializeOwned>(
        &self,
        route: &str,
        field: Option<&str>,
    ) -> Result<Vec<T>, ApiError> {
        let mut items: Vec<T> = Vec::new();
        let separator = if route.contains('?') { '&' } else { '?' };
        for page in 1..=MAX_PAGES {
            let route = format!("{route}{separator}per_page={PAGE}&page={page}");
            let Page { mut body, has_next } = self.call(Verb::Get, &route, None).await?;
            let found = match field {
                Some(field) => body[field].take(),
                None => body.take(),
            };
            items.extend(typed::<Vec<T>>(found)?);
            if !has_next {
                let total = body["total_count"].as_u64();
                // An item appeared or disappeared between two pages, or a page was lost.
                return match total {
                    Some(total) if total != items.len() as u64 => {
                        Err(ApiError::Unusable(format!("it lists {} of {total}", items.len())))
                    }
                    _ => Ok(items),
                };
            }
        }
        Err(ApiError::Unusable(format!("its list does not end after {MAX_PAGES} pages")))
    }

    /// Creates something.
    ///
    /// # Errors
    ///
    /// See [`ApiError`]. It may exist despite [`ApiError::Unreachable`] and [`ApiError::Unusable`].
    pub async fn post<T: DeserializeOwned>(&self, route: &str, body: &impl Serialize) -> Result<T, ApiError> {
        typed(self.call(Verb::Post, route, Some(&sent(body)?)).await?.body)
    }

    /// Changes something.
    ///
    /// # Errors
    ///
    /// See [`ApiError`].
    pub async fn patch<T: DeserializeOwned>(
        &self,
        route: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        typed(self.call(Verb::Patch, route, Some(&sent(body)?)).await?.body)
    }

    /// Removes something. If it does not exist, that is no failure.
    ///
    /// # Errors
    ///
    /// See [`ApiError`].
    pub async fn delete(&self, route: &str) -> Result<(), ApiError> {
        match self.call(Verb::Delete, route, None).await {
            Err(error) if !error.is_missing() => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes a call, and retries it for reasons that pass.
    async fn call(&self, verb: Verb, route: &str, body: Option<&Value>) -> Result<Page, ApiError> {
        let mut left = self.patience;
        let mut tries = 0;
        loop {
            let (answer, error) = match self.once(verb, route, body).await {
                Ok(page) => return Ok(page),
                Err(failed) => failed,
            };
            tracing::debug!(?verb, route, %error, "a call of the API failed");
            let Some(pause) = answer.pause(tries) else { return Err(error) };
            if answer.is_limited() && pause > left {
                return Err(match error {
                    ApiError::Refused { status, message, .. } => {
                        ApiError::Limited { status, message, for_secs: pause.as_secs().max(1) }
                    }
                    error => error,
                });
            }
            left = left.saturating_sub(pause);
            if let Some(note) = self.note.filter(|_| pause >= LONG) {
                note(&format!("waiting {} for GitHub ({error})", shown(pause.as_secs())));
            }
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    /// A message without the token. GitHub does not repeat it, but what stands in GitHub's place might.
    fn without_token(&self, message: &str) -> String {
        let token = self.token.reveal();
        if token.len() < SHORTEST_TOKEN { message.to_owned() } else { message.replace(token, "***") }
    }

    async fn once(&self, verb: Verb, route: &str, body: Option<&Value>) -> Result<Page, (Answer, ApiError)> {
        let lost = |words: String| (Answer::default(), ApiError::Unreachable(words));
        let sent = match verb {
            Verb::Get => self.octocrab._get(route).await,
            Verb::Post => self.octocrab._post(route, body).await,
            Verb::Patch => self.octocrab._patch(route, body).await,
            Verb::Delete => self.octocrab._delete(route, None::<&()>).await,
        };
        let response = sent.map_err(|error| lost(innermost(&error)))?;
        let (head, content) = response.into_parts();
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let status = head.status.as_u16();
        let has_next = header("link").is_some_and(|link| link.contains("rel=\"next\""));
        let number = |name: &str| header(name).and_then(|value| value.trim().parse::<u64>().ok());
        let is_used_up = number("x-ratelimit-remaining") == Some(0);
        let limited_for = number("x-ratelimit-reset").filter(|_| is_used_up).map(|reset| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            // One second is added because clocks differ.
            reset.saturating_sub(now) + 1
        });
        let retry_after = number("retry-after");
        let content = content.collect().await.map_err(|error| lost(innermost(&error)))?.to_bytes();
        let parsed = serde_json::from_slice::<Value>(&content);
        if head.status.is_success() {
            return match parsed {
                Ok(body) => Ok(Page { body, has_next }),
                Err(_) if content.is_empty() => Ok(Page { body: Value::Null, has_next }),
                Err(_) => Err(lost("the answer is not JSON".to_owned())),
            };
        }
        let message = parsed.ok().as_ref().and_then(message_of).unwrap_or_else(|| head.status.to_string());
        let message: String = self.without_token(&message).chars().take(300).collect();
        let answer = Answer { status: Some(status), retry_after, limited_for, is_limit: is_limit(&message) };
        let cause = RefusalCause::read(status, &message, header("x-accepted-github-permissions"));
        Err((answer, ApiError::Refused { status, message, cause }))
    }
}

/// Shortest token that is looked for in messages. Nobody has a shorter one.
const SHORTEST_TOKEN: usize = 4;

/// Whether a message names a limit: the primary or the [secondary](
/// https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api) one, or the abuse detection of an older
/// Enterprise Server.
fn is_limit(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("rate limit") || message.contains("abuse detection")
}

/// GitHub's message, with its details: `Validation Failed: body is too long`.
fn message_of(body: &Value) -> Option<String> {
    let message = body.get("message")?.as_str()?;
    let detail = |error: &Value| match (error.as_str(), error["message"].as_str()) {
        (Some(text), _) | (None, Some(text)) => Some(text.to_owned()),
        (None, None) => {
            let words = ["resource", "field", "code"].into_iter().filter_map(|name| error[name].as_str());
            Some(words.collect::<Vec<_>>().join(" ")).filter(|words| !words.is_empty())
        }
    };
    let details: Vec<String> = body["errors"].as_array().into_iter().flatten().filter_map(detail).collect();
    if details.is_empty() {
        Some(message.to_owned())
    } else {
        Some(format!("{message}: {}", details.join("; ")))
    }
}

fn typed<T: DeserializeOwned>(body: Value) -> Result<T, ApiError> {
    serde_json::from_value(body).map_err(|error| ApiError::Unusable(error.to_string()))
}

fn sent(body: &impl Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(body).map_err(|error| ApiError::Unusable(error.to_string()))
}

/// The innermost cause of an error; those around it only repeat it.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_has_its_details() {
        let of = |body: Value| message_of(&body);
        assert_eq!(of(json!({"message": "Not Found"})).as_deref(), Some("Not Found"));
        let errors = json!([{"resource": "Issue", "code": "custom", "field": "body", "message": "body is too long"},
            {"resource": "Status", "code": "missing_field", "field": "state"}, "No commit found"]);
        assert_eq!(
            of(json!({"message": "Validation Failed", "errors": errors})).as_deref(),
            Some("Validation Failed: body is too long; Status state missing_field; No commit found")
        );
        assert_eq!(of(json!({"error": "x"})), None);
        assert_eq!(of(json!("x")), None);
    }

    #[test]
    fn limits_are_told_from_other_refusals() {
        for (message, is) in [
            ("API rate limit exceeded for installation ID 1.", true),
            (
                "You have exceeded a secondary rate limit and have been temporarily blocked from content creation.",
                true,
            ),
            ("You have triggered an abuse detection mechanism. Please wait a few minutes.", true),
            ("Resource not accessible by integration", false),
        ] {
            assert_eq!(is_limit(message), is, "{message}");
        }
    }
}
