//! Calls of GitHub's REST API.
//!
//! Owns tries, rate limits and pages. Answers are read as JSON values by those who asked, as little of them as they
//! need: an Enterprise Server of some age lacks fields that a client of today knows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::BodyExt as _;
use octocrab::Octocrab;
use octocrab::service::middleware::cache::mem::InMemoryCache;
use serde_json::Value;

use crate::base::secret::Secret;
use crate::github::http::{self, Answer};

/// How many items a page has, GitHub's most.
const PAGE: usize = 100;

/// How many pages are read: what is beyond is a loop of the other side.
const MAX_PAGES: usize = 100;

/// A way to the API with a token.
#[derive(Debug, Clone)]
pub struct Client {
    octocrab: Octocrab,
    /// How long is waited for rate limits, in all.
    patience: Duration,
}

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Reply {
    /// What it holds; `null` if that is nothing.
    pub body: Value,
    /// Whether there is another page.
    pub has_next: bool,
}

/// Why a call had no success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The API says no.
    #[error("GitHub says {status}: {message}")]
    Refused {
        /// The status.
        status: u16,
        /// In GitHub's words.
        message: String,
    },
    /// There were too many calls, and the wait is too long.
    #[error("GitHub's rate limit is used up for {for_secs} s")]
    Limited {
        /// For how long, in seconds.
        for_secs: u64,
    },
    /// The API was not reached, or does not answer in its form.
    #[error("GitHub was not reached: {0}")]
    Unreachable(String),
}

/// What is done to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

impl Client {
    /// A way to the API at this address. Must be called inside of a runtime.
    ///
    /// # Errors
    ///
    /// When the address is none, or the certificates of this machine cannot be read.
    pub fn new(api: &str, token: &Secret, patience: Duration) -> Result<Self, Failure> {
        Self::made(api, token, patience, false)
    }

    /// The same for who asks one thing again and again: what has not changed is not sent again, and does not count for
    /// the rate limit.
    ///
    /// # Errors
    ///
    /// As [`Client::new`].
    pub fn remembering(api: &str, token: &Secret, patience: Duration) -> Result<Self, Failure> {
        Self::made(api, token, patience, true)
    }

    fn made(api: &str, token: &Secret, patience: Duration, remembers: bool) -> Result<Self, Failure> {
        let unreachable = |error: String| Failure::Unreachable(error);
        let mut builder = Octocrab::builder()
            .base_uri(api.trim_end_matches('/'))
            .map_err(|_| unreachable(format!("{api} is no address of an API")))?
            .personal_token(token.reveal());
        if remembers {
            builder = builder.cache(InMemoryCache::new());
        }
        let octocrab = builder
            .build_with_reqwest(http::client().map_err(unreachable)?)
            .map_err(|_| unreachable("its client cannot be made".to_owned()))?;
        Ok(Self { octocrab, patience })
    }

    /// Reads something.
    ///
    /// # Errors
    ///
    /// As [`Failure`] has it.
    pub async fn get(&self, route: &str) -> Result<Reply, Failure> {
        self.call(Verb::Get, route, None).await
    }

    /// Reads all pages of a list. `list` names the field that holds it; `None`: the answer itself is it.
    ///
    /// # Errors
    ///
    /// As [`Failure`] has it.
    pub async fn list(&self, route: &str, list: Option<&str>) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let sign = if route.contains('?') { '&' } else { '?' };
        for page in 1..=MAX_PAGES {
            let mut reply = self.get(&format!("{route}{sign}per_page={PAGE}&page={page}")).await?;
            let found = match list {
                Some(list) => reply.body[list].take(),
                None => reply.body.take(),
            };
            let Value::Array(found) = found else {
                return Err(Failure::Unreachable("it does not answer with a list".to_owned()));
            };
            items.extend(found);
            if !reply.has_next {
                let total = reply.body["total_count"].as_u64();
                // Something came or went between two pages, or one of them was lost.
                return match total {
                    Some(total) if total != items.len() as u64 => {
                        Err(Failure::Unreachable(format!("it lists {} of {total}", items.len())))
                    }
                    _ => Ok(items),
                };
            }
        }
        Err(Failure::Unreachable(format!("its list does not end after {MAX_PAGES} pages")))
    }

    /// Makes something.
    ///
    /// # Errors
    ///
    /// As [`Failure`] has it. After [`Failure::Unreachable`] it may have been made all the same.
    pub async fn post(&self, route: &str, body: &Value) -> Result<Reply, Failure> {
        self.call(Verb::Post, route, Some(body)).await
    }

    /// Changes something.
    ///
    /// # Errors
    ///
    /// As [`Failure`] has it.
    pub async fn patch(&self, route: &str, body: &Value) -> Result<Reply, Failure> {
        self.call(Verb::Patch, route, Some(body)).await
    }

    /// Removes something. What is gone already is no failure.
    ///
    /// # Errors
    ///
    /// As [`Failure`] has it.
    pub async fn delete(&self, route: &str) -> Result<(), Failure> {
        match self.call(Verb::Delete, route, None).await {
            Ok(_) | Err(Failure::Refused { status: 404 | 410, .. }) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    async fn call(&self, verb: Verb, route: &str, body: Option<&Value>) -> Result<Reply, Failure> {
        let mut left = self.patience;
        let mut tries = 0;
        loop {
            let (answer, failure) = match self.once(verb, route, body).await {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            tracing::debug!(?verb, route, %failure, "a call of the API failed");
            let Some(pause) = answer.pause(tries) else { return Err(failure) };
            if answer.is_limited() && pause > left {
                return Err(Failure::Limited { for_secs: pause.as_secs() });
            }
            left = left.saturating_sub(pause);
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    async fn once(&self, verb: Verb, route: &str, body: Option<&Value>) -> Result<Reply, (Answer, Failure)> {
        let lost = |words: String| (Answer::default(), Failure::Unreachable(words));
        let sent = match verb {
            Verb::Get => self.octocrab._get(route).await,
            Verb::Post => self.octocrab._post(route, body).await,
            Verb::Patch => self.octocrab._patch(route, body).await,
            Verb::Delete => self.octocrab._delete(route, None::<&()>).await,
        };
        let response = sent.map_err(|error| lost(reason(&error)))?;
        let (head, content) = response.into_parts();
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let status = head.status.as_u16();
        let has_next = header("link").is_some_and(|link| link.contains("rel=\"next\""));
        let number = |name: &str| header(name).and_then(|value| value.trim().parse::<u64>().ok());
        let is_used_up = number("x-ratelimit-remaining") == Some(0);
        let limited_for = number("x-ratelimit-reset").filter(|_| is_used_up).map(|reset| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            // A second more, for clocks differ.
            reset.saturating_sub(now) + 1
        });
        let retry_after = number("retry-after");
        let content = content.collect().await.map_err(|error| lost(reason(&error)))?.to_bytes();
        let parsed = serde_json::from_slice::<Value>(&content);
        if head.status.is_success() {
            return match parsed {
                Ok(body) => Ok(Reply { body, has_next }),
                Err(_) if content.is_empty() => Ok(Reply { body: Value::Null, has_next }),
                Err(_) => Err(lost("its answer is no JSON".to_owned())),
            };
        }
        let said = parsed.ok().and_then(|body| body.get("message")?.as_str().map(str::to_owned));
        let message: String = said.unwrap_or_else(|| head.status.to_string()).chars().take(300).collect();
        let is_secondary = message.contains("secondary rate limit");
        let answer = Answer { status: Some(status), retry_after, limited_for, is_secondary };
        Err((answer, Failure::Refused { status, message }))
    }
}

/// The innermost reason, which is the one that tells; the others repeat each other.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
