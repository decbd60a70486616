//! Notifies others of a deploy while it runs: GitHub's deployments and statuses, chats, Gatus, a webhook.
//!
//! Owns when a notification is sent and where. [`crate::report::notification`] owns the texts. A notification
//! never holds a deploy up and never makes one fail: what could not be sent becomes a note for the user.

mod address;
mod chat;
mod discord;
mod gatus;
mod github;
mod ntfy;
mod slack;
mod telegram;
mod webhook;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::base::diagnostic::Diagnostic;
use crate::base::error::Exit;
use crate::config;
use crate::github::WorkflowRun;
use crate::outcome::Outcome;
use crate::outcome::event::{Event, Observer};
use crate::report::notification::RunDetails;

use self::address::Variables;
use self::chat::{Chat, Form, Room};
use self::gatus::Gatus;
use self::github::GitHubChannel;
use self::webhook::Webhook;

/// The longest time that the end of a deploy waits for notifications.
const TIMEOUT: Duration = Duration::from_secs(90);

/// The configuration of all notifications of one run.
#[derive(Debug)]
pub struct NotifierSettings<'a> {
    /// The channels, and whether the start of a deploy is news.
    pub notify: &'a config::notify::Notify,
    /// Which records GitHub gets.
    pub github: config::GitHub,
    /// The address at which people see what runs on a host, by host.
    pub urls: BTreeMap<String, String>,
    /// The workflow run around this process.
    pub workflow: Option<&'a WorkflowRun>,
    /// What is known of the run before it begins.
    pub details: RunDetails,
}

/// The start of a deploy to one host.
struct Started {
    host: String,
    /// The projects that change, in order.
    projects: Vec<String>,
    commit: Option<String>,
}

/// A place that is notified. Each method returns notes about what could not be sent.
trait Channel: Send {
    /// Notifies of the start of a deploy to one host.
    fn started<'a>(&'a mut self, started: &'a Started) -> BoxFuture<'a, Vec<String>>;

    /// Notifies of the result of the deploy to all hosts.
    fn finished<'a>(&'a mut self, outcome: &'a Outcome) -> BoxFuture<'a, Vec<String>>;
}

enum Message {
    Started(Started),
    Finished(Box<Outcome>),
}

/// Sends the notifications of one run, in a task of its own.
#[derive(Debug)]
pub struct Notifier {
    messages: UnboundedSender<Message>,
    task: JoinHandle<Vec<String>>,
}

impl Notifier {
    /// Starts the task; returns warnings about channels that are configured and cannot be used. Must be called
    /// inside of a runtime.
    #[must_use]
    pub fn new(settings: NotifierSettings<'_>) -> (Self, Vec<Diagnostic>) {
        let (messages, mut received) = unbounded_channel();
        let (mut channels, warnings) = channels(settings);
        let task = tokio::spawn(async move {
            let mut notes = Vec::new();
            while let Some(message) = received.recv().await {
                for channel in &mut channels {
                    notes.extend(match &message {
                        Message::Started(started) => channel.started(started).await,
                        Message::Finished(outcome) => channel.finished(outcome).await,
                    });
                }
            }
            notes
        });
        (Self { messages, task }, warnings)
    }

    /// Returns an observer that passes every event on to `inner`.
    #[must_use]
    pub fn observing(&self, inner: Box<dyn Observer>) -> Box<dyn Observer> {
        Box::new(NotifyingObserver { inner, messages: self.messages.clone() })
    }

    /// Notifies of the result and waits until all is sent, but for no more than 90 s and not once `stopped`
    /// is ready. Returns notes about what could not be sent. All observers must be dropped before.
    pub async fn finish(self, outcome: &Outcome, stopped: impl Future<Output = ()>) -> Vec<String> {
        let Self { messages, mut task } = self;
        // A task that has ended has left its notes.
        let _ = messages.send(Message::Finished(Box::new(outcome.clone())));
        drop(messages);
        let failed = |why: String| vec![format!("notifications were not sent: {why}")];
        let notes = tokio::select! {
            notes = &mut task => notes.unwrap_or_else(|error| failed(error.to_string())),
            () = tokio::time::sleep(TIMEOUT) => failed(format!("timed out after {} s", TIMEOUT.as_secs())),
            () = stopped => failed("an immediate stop was requested".to_owned()),
        };
        task.abort();
        notes
    }
}

/// The channels that are configured, with warnings about those that cannot be used.
fn channels(settings: NotifierSettings<'_>) -> (Vec<Box<dyn Channel>>, Vec<Diagnostic>) {
    let NotifierSettings { notify, github, urls, workflow, details } = settings;
    let of = |kind| Variables { kind, workflow };
    let chat = |form: Form, room: Room| {
        boxed(Some(Chat { room, form, details: details.clone(), start: notify.start }))
    };
    let plain = |kind, variable: &Option<String>, form| {
        let address = of(kind).address(variable.as_deref())?;
        Ok(address.and_then(|address| chat(form, Room { address, also: Vec::new() })))
    };
    let telegram = || match &notify.telegram {
        Some(telegram) => telegram::room(telegram, of("Telegram")),
        None => Ok(None),
    };
    let ntfy = || match &notify.ntfy {
        Some(ntfy) => ntfy::topic(ntfy, of("ntfy")),
        None => Ok(None),
    };
    let gatus = || match &notify.gatus {
        Some(gatus) => Gatus::new(gatus, of("Gatus"), details.clone()),
        None => Ok(None),
    };
    let webhook = || {
        let address = of("webhook").address(notify.webhook.as_deref())?;
        let details = details.clone();
        Ok(address.and_then(|address| boxed(Some(Webhook { address, details, start: notify.start }))))
    };
    let found: [Result<Option<Box<dyn Channel>>, Diagnostic>; 7] = [
        GitHubChannel::new(workflow, github, urls).map(boxed),
        plain("Slack", &notify.slack, slack::FORM),
        plain("Discord", &notify.discord, discord::FORM),
        telegram().map(|room| room.and_then(|room| chat(telegram::FORM, room))),
        ntfy().map(|topic| topic.and_then(|topic| chat(ntfy::FORM, topic))),
        gatus().map(boxed),
        webhook(),
    ];
    let (mut channels, mut warnings) = (Vec::new(), Vec::new());
    for channel in found {
        match channel {
            Ok(channel) => channels.extend(channel),
            Err(warning) => warnings.push(warning),
        }
    }
    (channels, warnings)
}

fn boxed<C: Channel + 'static>(channel: Option<C>) -> Option<Box<dyn Channel>> {
    Some(Box::new(channel?))
}

/// Whether people want to know of an outcome: it failed, or something changed.
fn is_news(outcome: &Outcome) -> bool {
    outcome.exit() != Exit::Done || outcome.hosts.iter().any(|host| host.changed)
}

struct NotifyingObserver {
    inner: Box<dyn Observer>,
    messages: UnboundedSender<Message>,
}

impl Observer for NotifyingObserver {
    fn on(&self, event: Event) {
        if let Event::Planned { host, projects, commit } = &event
            && !projects.is_empty()
        {
            let started = Started { host: host.clone(), projects: projects.clone(), commit: commit.clone() };
            let _ = self.messages.send(Message::Started(started));
        }
        self.inner.on(event);
    }
}
