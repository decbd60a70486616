//! A webhook that gets our own JSON.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::address::Address;
use super::{Channel, Started, is_news};
use crate::base::error::Exit;
use crate::outcome::Outcome;
use crate::report::notification::{RunDetails, webhook};

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
