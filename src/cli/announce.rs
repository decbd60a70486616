//! Tells others of a deploy while it goes on: GitHub's deployments and statuses, Slack, a webhook.
//!
//! Owns who is told when. It never holds a deploy up, and never makes one fail that worked: what could not be told is
//! a note at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::context::Context;
use crate::apply::stop::{Stop, StopRequest};
use crate::base::error::Exit;
use crate::base::secret::Secret;
use crate::github::client::{Client, Failure};
use crate::github::deployment::{Deployments, Subject};
use crate::github::http::{self, Answer};
use crate::outcome::Outcome;
use crate::outcome::event::{Event, Observer};
use crate::report::announce::{Run, short, slack_finished, slack_started, webhook};
use crate::report::workflow::mask;

/// How long a deploy that is through waits for those who are told.
const PATIENCE: Duration = Duration::from_secs(90);

/// Tells others of one run.
pub(super) struct Announcer {
    news: UnboundedSender<News>,
    task: JoinHandle<Vec<String>>,
}

enum News {
    Begun { host: String, projects: Vec<String>, commit: Option<String> },
    Ended(Box<Outcome>),
}

impl Announcer {
    /// Makes ready to tell whoever is to be told. Must be called inside of a runtime.
    pub(super) fn new(context: &Context) -> Self {
        let (news, mut heard) = unbounded_channel();
        let mut teller = Teller::new(context);
        let task = tokio::spawn(async move {
            while let Some(news) = heard.recv().await {
                match news {
                    News::Begun { host, projects, commit } => teller.begun(host, &projects, commit).await,
                    News::Ended(outcome) => teller.ended(&outcome).await,
                }
            }
            teller.notes
        });
        Self { news, task }
    }

    /// An observer that passes on to `shown` all that it hears.
    pub(super) fn observing(&self, shown: Box<dyn Observer>) -> Box<dyn Observer> {
        Box::new(Listener { shown, news: self.news.clone() })
    }

    /// Tells what became of it, and says what could not be told. All observers of it must be gone. Who wants an end
    /// at once has it.
    pub(super) async fn finish(self, context: &Context, outcome: &Outcome, stop: &Stop) {
        let Self { news, mut task } = self;
        // Whoever does not listen any more has said so in its notes.
        let _ = news.send(News::Ended(Box::new(outcome.clone())));
        drop(news);
        let notes = tokio::select! {
            notes = &mut task => notes.unwrap_or_else(|error| vec![format!("others were not told: {error}")]),
            () = tokio::time::sleep(PATIENCE) => vec![format!("others were not told within {} s", PATIENCE.as_secs())],
            () = stop.requested(StopRequest::Immediate) => vec!["others were not told, for an end was wanted at once".to_owned()],
        };
        task.abort();
        notes.iter().for_each(|note| context.say(note));
    }
}

struct Listener {
    shown: Box<dyn Observer>,
    news: UnboundedSender<News>,
}

impl Observer for Listener {
    fn on(&self, event: Event) {
        if let Event::Planned { host, projects, commit } = &event
            && !projects.is_empty()
        {
            let begun =
                News::Begun { host: host.clone(), projects: projects.clone(), commit: commit.clone() };
            let _ = self.news.send(begun);
        }
        self.shown.on(event);
    }
}

/// The place of a webhook: an address that is a secret.
struct Hook {
    what: &'static str,
    url: Secret,
}

struct Teller {
    run: Run,
    deployments: Option<Deployments>,
    /// Which of them are wanted.
    wants: crate::config::GitHub,
    urls: BTreeMap<String, String>,
    slack: Option<Hook>,
    webhook: Option<Hook>,
    start: bool,
    /// The deployment of each host, as far as it is known.
    begun: BTreeMap<String, Option<u64>>,
    notes: Vec<String>,
}

impl Teller {
    fn new(context: &Context) -> Self {
        let (config, workflow) = (&context.config, context.workflow.as_ref());
        let mut notes = Vec::new();
        let mut hook = |what: &'static str, variable: Option<&String>| {
            let variable = variable?;
            let Some(url) = std::env::var(variable).ok().filter(|url| !url.trim().is_empty()) else {
                if workflow.is_some() {
                    notes.push(format!("nobody is told by {what}: the variable {variable} is not set"));
                }
                return None;
            };
            let url = url.trim();
            if workflow.is_some() {
                let _ = mask(&mut std::io::stderr().lock(), url);
            }
            if !url.starts_with("https://") && !url.starts_with("http://") {
                notes.push(format!("nobody is told by {what}: the variable {variable} holds no address"));
                return None;
            }
            Some(Hook { what, url: Secret::new(url) })
        };
        let slack = hook("Slack", config.notify.slack.as_ref());
        let webhook = hook("the webhook", config.notify.webhook.as_ref());
        let wants = config.github;
        let identity = context.identity();
        let mut deployments = None;
        if let Some(run) = workflow.filter(|_| wants.deployments || wants.statuses)
            && let (Some(token), Some(repository)) = (&run.token, &run.repository)
        {
            match Client::new(&run.api, token, PATIENCE / 2) {
                Ok(client) => {
                    deployments =
                        Some(Deployments { client, repository: repository.clone(), log_url: run.url() });
                }
                Err(failure) => notes.push(failure.to_string()),
            }
        }
        Self {
            run: Run {
                repository: workflow.and_then(|run| run.repository.clone()),
                actor: identity.actor,
                run_url: identity.run_url,
            },
            deployments,
            wants,
            urls: config
                .hosts
                .iter()
                .filter_map(|host| Some((host.name.clone(), host.url.clone()?)))
                .collect(),
            slack,
            webhook,
            start: config.notify.start,
            begun: BTreeMap::new(),
            notes,
        }
    }

    async fn begun(&mut self, host: String, projects: &[String], commit: Option<String>) {
        let mut id = None;
        if let (Some(deployments), Some(commit), true) = (&self.deployments, &commit, self.wants.deployments)
        {
            let subject =
                Subject { environment: &host, url: self.urls.get(&host).map(String::as_str), commit };
            match deployments.begin(subject).await {
                Ok(made) => id = Some(made),
                Err(failure) => {
                    self.notes.push(lacking("deployment", "deployments", &failure));
                    // Whoever is not there now would only cost more time at the end.
                    if matches!(failure, Failure::Unreachable(_) | Failure::Limited { .. }) {
                        self.deployments = None;
                    }
                }
            }
        }
        if self.start {
            if let Some(hook) = &self.slack {
                let told = slack_started(&self.run, &host, projects, commit.as_deref());
                self.notes.extend(tell(hook, &told).await);
            }
            if let Some(hook) = &self.webhook {
                let told = webhook("started", &self.run, std::slice::from_ref(&host), None);
                self.notes.extend(tell(hook, &told).await);
            }
        }
        self.begun.insert(host, id);
    }

    async fn ended(&mut self, outcome: &Outcome) {
        if let (Some(deployments), Some(commit)) = (&self.deployments, &outcome.commit) {
            for host in &outcome.hosts {
                let (is_well, text) = (host.exit() == Exit::Done, short(host));
                let subject = Subject {
                    environment: &host.name,
                    url: self.urls.get(&host.name).map(String::as_str),
                    commit,
                };
                if let Some(id) = self.begun.get(&host.name).copied().flatten()
                    && let Err(failure) = deployments.end(id, subject, is_well, &text).await
                {
                    self.notes.push(lacking("end of the deployment", "deployments", &failure));
                }
                if self.wants.statuses
                    && let Err(failure) = deployments.commit(subject, is_well, &text).await
                {
                    self.notes.push(lacking("commit status", "statuses", &failure));
                }
            }
        }
        let is_well = outcome.exit() == Exit::Done;
        // That nothing had to be done is no news.
        if is_well && !outcome.hosts.iter().any(|host| host.changed) {
            return;
        }
        if let Some(hook) = &self.slack {
            self.notes.extend(tell(hook, &slack_finished(&self.run, outcome)).await);
        }
        if let Some(hook) = &self.webhook {
            let event = if is_well { "succeeded" } else { "failed" };
            let hosts: Vec<String> = outcome.hosts.iter().map(|host| host.name.clone()).collect();
            self.notes.extend(tell(hook, &webhook(event, &self.run, &hosts, Some(outcome))).await);
        }
    }
}

/// What is said of something that GitHub did not take, with what to do about it.
fn lacking(what: &str, permission: &str, failure: &Failure) -> String {
    match failure {
        Failure::Refused { status: 401 | 403 | 404, .. } => format!(
            "no {what} on GitHub ({failure}): give the job `permissions: {permission}: write`, or set `github: {{{permission}: false}}` in ghdeploy.yml"
        ),
        failure => format!("no {what} on GitHub: {failure}"),
    }
}

/// Sends a message to a webhook; returns what went wrong.
async fn tell(hook: &Hook, message: &serde_json::Value) -> Option<String> {
    let failed = |why: String| Some(format!("{} was not told: {why}", hook.what));
    let client = match http::client() {
        Ok(client) => client,
        Err(why) => return failed(why),
    };
    let mut tries = 0;
    loop {
        let sent = client.post(hook.url.reveal()).json(message).send().await;
        let (answer, why) = match &sent {
            Ok(response) if response.status().is_success() => return None,
            Ok(response) => {
                let after =
                    response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
                let status = response.status();
                let answer =
                    Answer { status: Some(status.as_u16()), retry_after: after, ..Answer::default() };
                (answer, format!("it answers with {status}"))
            }
            Err(error) => (Answer::default(), http::words(error)),
        };
        match answer.pause(tries) {
            Some(pause) if pause < PATIENCE / 3 => tokio::time::sleep(pause).await,
            _ => return failed(why),
        }
        tries += 1;
    }
}
