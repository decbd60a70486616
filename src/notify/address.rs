//! Addresses and tokens from the environment, and how a message is sent to one.

use reqwest::{RequestBuilder, Url};
use serde_json::Value;

use super::TIMEOUT;
use crate::base::diagnostic::Diagnostic;
use crate::base::secret::Secret;
use crate::github::WorkflowRun;
use crate::github::http::{self, Answer};
use crate::report::workflow::mask;

/// Most attempts after the first one.
const RETRIES: usize = 3;

/// Where the addresses and tokens of one channel come from.
#[derive(Clone, Copy)]
pub(super) struct Variables<'a> {
    /// What they are for: `Slack`, `webhook`.
    pub(super) kind: &'static str,
    pub(super) workflow: Option<&'a WorkflowRun>,
}

/// The address of a channel, which is a secret, like the token that it takes.
pub(super) struct Address {
    kind: &'static str,
    url: Url,
    token: Option<Secret>,
}

impl Variables<'_> {
    /// The value of a variable, hidden in a workflow's log; `None` where it is not set outside of a workflow run.
    ///
    /// # Errors
    ///
    /// A warning when a workflow run lacks the variable.
    pub(super) fn value(self, variable: &str) -> Result<Option<Secret>, Diagnostic> {
        let given = std::env::var(variable).ok();
        let Some(value) = given.as_deref().map(str::trim).filter(|value| !value.is_empty()) else {
            return match self.workflow {
                Some(run) if given.is_some() => {
                    Err(self.unusable(variable, "is empty").help(run.reason_for_empty_secrets()))
                }
                Some(_) => {
                    let help =
                        format!("set it in `env:` of the job: `{variable}: ${{{{ secrets.{variable} }}}}`");
                    Err(self.unusable(variable, "is not set").help(help))
                }
                None => Ok(None),
            };
        };
        if self.workflow.is_some() {
            let _ = mask(&mut std::io::stderr().lock(), value);
        }
        Ok(Some(Secret::new(value)))
    }

    /// The address in a variable.
    ///
    /// # Errors
    ///
    /// A warning when a workflow run lacks the variable, or it holds no URL.
    pub(super) fn url(self, variable: &str) -> Result<Option<Url>, Diagnostic> {
        let Some(value) = self.value(variable)? else { return Ok(None) };
        let url = Url::parse(value.reveal()).ok();
        let url = url.filter(|url| matches!(url.scheme(), "https" | "http") && url.host_str().is_some());
        url.map(Some).ok_or_else(|| self.unusable(variable, "does not hold a URL"))
    }

    /// The same, for a message that needs no token.
    ///
    /// # Errors
    ///
    /// As [`Variables::url`].
    pub(super) fn address(self, variable: Option<&str>) -> Result<Option<Address>, Diagnostic> {
        let Some(variable) = variable else { return Ok(None) };
        Ok(self.url(variable)?.map(|url| Address::new(self.kind, url, None)))
    }

    /// A warning that a variable is of no use.
    pub(super) fn unusable(self, variable: &str, why: &str) -> Diagnostic {
        Diagnostic::warning(format!("no {} notification: the variable {variable} {why}", self.kind), None)
    }
}

impl Address {
    /// An address; `token` is sent with each message.
    pub(super) fn new(kind: &'static str, url: Url, token: Option<Secret>) -> Self {
        Self { kind, url, token }
    }

    /// Sends a message; returns a note if that fails.
    pub(super) async fn send(&self, message: &Value) -> Option<String> {
        self.post(self.url.clone(), |request| request.json(message)).await
    }

    /// Sends these parameters without a body; returns a note if that fails.
    pub(super) async fn send_parameters(&self, parameters: &[(&str, &str)]) -> Option<String> {
        let mut url = self.url.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        self.post(url, |request| request).await
    }

    async fn post(&self, url: Url, body: impl Fn(RequestBuilder) -> RequestBuilder) -> Option<String> {
        let failed = |why: String| Some(format!("no {} notification: {why}", self.kind));
        let client = match http::client() {
            Ok(client) => client,
            Err(why) => return failed(why),
        };
        let mut tries = 0;
        loop {
            let request = client.post(url.clone());
            let request = match &self.token {
                Some(token) => request.bearer_auth(token.reveal()),
                None => request,
            };
            let sent = body(request).send().await;
            let (answer, why) = match &sent {
                Ok(response) if response.status().is_success() => return None,
                Ok(response) => {
                    let header = response.headers().get("retry-after");
                    // Discord gives fractions of a second.
                    let retry_after = header.and_then(|value| whole_seconds(value.to_str().ok()?));
                    let status = response.status();
                    let answer = Answer { status: Some(status.as_u16()), retry_after, ..Answer::default() };
                    (answer, format!("the server answered {status}"))
                }
                Err(error) => (Answer::default(), http::words(error)),
            };
            match answer.pause(tries) {
                Some(pause) if tries < RETRIES && pause < TIMEOUT / 3 => tokio::time::sleep(pause).await,
                _ => return failed(why),
            }
            tries += 1;
        }
    }
}

/// A number of seconds, rounded up.
fn whole_seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let more = u64::from(fraction.chars().any(|digit| digit != '0'));
    whole.parse::<u64>().ok()?.checked_add(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_rounded_up() {
        for (text, seconds) in
            [("1", Some(1)), ("0.31", Some(1)), ("2.0", Some(2)), ("soon", None), ("", None)]
        {
            assert_eq!(whole_seconds(text), seconds, "{text}");
        }
    }
}
