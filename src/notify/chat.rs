//! Chats: people are notified of what changed or failed, and of the start if they want that.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::address::Address;
use super::{Channel, Started, is_news};
use crate::outcome::Outcome;
use crate::report::notification::RunDetails;

/// A chat, whatever it is called.
pub(super) struct Chat {
    pub(super) room: Room,
    pub(super) form: Form,
    pub(super) details: RunDetails,
    /// Whether the start of a deploy is sent too.
    pub(super) start: bool,
}

/// Where messages go.
pub(super) struct Room {
    pub(super) address: Address,
    /// What every message says besides its text, such as the topic.
    pub(super) also: Vec<(&'static str, Value)>,
}

/// The messages of one kind of chat.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) started: fn(&RunDetails, &str, &[String], Option<&str>) -> Value,
    pub(super) finished: fn(&RunDetails, &Outcome) -> Value,
}

impl Chat {
    async fn send(&self, mut message: Value) -> Vec<String> {
        for (key, value) in &self.room.also {
            message[*key] = value.clone();
        }
        self.room.address.send(&message).await.into_iter().collect()
    }
}

impl Channel for Chat {
    fn started<'a>(&'a mut self, started: &'a Started) -> BoxFuture<'a, Vec<String>> {
        async {
            if !self.start {
                return Vec::new();
            }
            let commit = started.commit.as_deref();
            let message = (self.form.started)(&self.details, &started.host, &started.projects, commit);
            self.send(message).await
        }
        .boxed()
    }

    fn finished<'a>(&'a mut self, outcome: &'a Outcome) -> BoxFuture<'a, Vec<String>> {
        async {
            if !is_news(outcome) {
                return Vec::new();
            }
            self.send((self.form.finished)(&self.details, outcome)).await
        }
        .boxed()
    }
}
