//! Webhooks: where they are, how a message is sent to one, and the one that gets our own JSON.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::{Channel, Started, TIMEOUT, is_news};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::Exit;
use crate::base::secret::Secret;
use crate::github::WorkflowRun;
use crate::github::http::{self, Answer};
use crate::outcome::Outcome;
use crate::report::notification::{RunDetails, webhook};
use crate::report::workflow::mask;

/// Most attempts after the first one.
const RETRIES: usize = 3;

/// The address of a webhook, which is a secret.
pub(super) struct Address {
    /// What it is for: `Slack`, `webhook`.
    kind: &'static str,
    url: Secret,
}

/// Reads the address of a webhook from an environment variable, and hides it in a workflow's log.
///
/// # Errors
///
/// A warning when a workflow run lacks the variable, or it holds no URL.
pub(super) fn address(
    kind: &'static str,
    variable: Option<&str>,
    workflow: Option<&WorkflowRun>,
) -> Result<Option<Address>, Diagnostic> {
    let Some(variable) = variable else { return Ok(None) };
    let missing = |why: &str| {
        Diagnostic::warning(format!("no {kind} notification: the variable {variable} {why}"), None)
    };
    let given = std::env::var(variable).ok();
    let Some(url) = given.as_deref().map(str::trim).filter(|url| !url.is_empty()) else {
        return match workflow {
            Some(run) if given.is_some() => Err(missing("is empty").help(run.reason_for_empty_secrets())),
            Some(_) => {
                let help =
                    format!("set it in `env:` of the job: `{variable}: ${{{{ secrets.{variable} }}}}`");
                Err(missing("is not set").help(help))
            }
            None => Ok(None),
        };
    };
    if workflow.is_some() {
        let _ = mask(&mut std::io::stderr().lock(), url);
    }
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(missing("does not hold a URL"));
    }
    Ok(Some(Address { kind, url: Secret::new(url) }))
}

impl Address {
    /// Sends a message; returns a note if that fails.
    pub(super) async fn send(&self, message: &Value) -> Option<String> {
        let failed = |why: String| Some(format!("no {} notification: {why}", self.kind));
        let client = match http::client() {
            Ok(client) => client,
            Err(why) => return failed(why),
        };
        let mut tries = 0;
        loop {
            let sent = client.post(self.url.reveal()).json(message).send().await;
            let (answer, why) = match &sent {
                Ok(response) if response.status().is_success() => return None,
                Ok(response) => {
                    let header = response.headers().get("retry-after");
                    let retry_after = header.and_then(|value| value.to_str().ok()?.parse().ok());
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

/// A webhook that gets a document of ours.
pub(super) struct Webhook {
    pub(super) address: Address,
    pub(super) details: RunDetails,
    /// Whether the start of a deploy is sent too.
    pub(super) start: bool,
}

impl Channel for Webhook {
    fn started<'a>(&'a mut self, started: &'a Started) -> BoxFuture<'a, Vec<String>> {
        async {
            if !self.start {
                return Vec::new();
            }
            let message = webhook("started", &self.details, std::slice::from_ref(&started.host), None);
            self.address.send(&message).await.into_iter().collect()
        }
        .boxed()
    }

    fn finished<'a>(&'a mut self, outcome: &'a Outcome) -> BoxFuture<'a, Vec<String>> {
        async {
            if !is_news(outcome) {
                return Vec::new();
            }
            let event = if outcome.exit() == Exit::Done { "succeeded" } else { "failed" };
            let hosts: Vec<String> = outcome.hosts.iter().map(|host| host.name.clone()).collect();
            let message = webhook(event, &self.details, &hosts, Some(outcome));
            self.address.send(&message).await.into_iter().collect()
        }
        .boxed()
    }
}
