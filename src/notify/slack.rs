//! Slack, through an incoming webhook.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::webhook::Address;
use super::{Channel, Started, is_news};
use crate::outcome::Outcome;
use crate::report::notification::{RunDetails, slack_finished, slack_started};

/// A Slack channel.
pub(super) struct Slack {
    pub(super) address: Address,
    pub(super) details: RunDetails,
    /// Whether the start of a deploy is sent too.
    pub(super) start: bool,
}

impl Channel for Slack {
    fn started<'a>(&'a mut self, started: &'a Started) -> BoxFuture<'a, Vec<String>> {
        async {
            if !self.start {
                return Vec::new();
            }
            let commit = started.commit.as_deref();
            let message = slack_started(&self.details, &started.host, &started.projects, commit);
            self.address.send(&message).await.into_iter().collect()
        }
        .boxed()
    }

    fn finished<'a>(&'a mut self, outcome: &'a Outcome) -> BoxFuture<'a, Vec<String>> {
        async {
            if !is_news(outcome) {
                return Vec::new();
            }
            self.address.send(&slack_finished(&self.details, outcome)).await.into_iter().collect()
        }
        .boxed()
    }
}
