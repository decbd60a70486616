//! The notifier of a run, made of the configuration and the workflow run.

use super::context::Context;
use crate::apply::stop::{Stop, StopRequest};
use crate::notify::{Notifier, NotifierSettings};
use crate::outcome::Outcome;
use crate::report::notification::RunDetails;

impl Context {
    /// Starts the notifier of this run, and reports first what it cannot use. Must be called inside of a
    /// runtime.
    pub(super) fn notifier(&self) -> Notifier {
        let identity = self.identity();
        let hosts = self.config.hosts.iter();
        let (notifier, warnings) = Notifier::new(NotifierSettings {
            notify: &self.config.notify,
            github: self.config.github,
            urls: hosts.filter_map(|host| Some((host.name.clone(), host.url.clone()?))).collect(),
            workflow: self.workflow.as_ref(),
            details: RunDetails {
                repository: self.workflow.as_ref().and_then(|run| run.repository.clone()),
                actor: identity.actor,
                run_url: identity.run_url,
            },
        });
        self.warn(&warnings);
        notifier
    }

    /// Waits until the notifications of an outcome are sent, unless an immediate stop is requested, and shows
    /// what could not be sent.
    pub(super) async fn notified(&self, notifier: Notifier, outcome: &Outcome, stop: &Stop) {
        for note in notifier.finish(outcome, stop.requested(StopRequest::Immediate)).await {
            self.say(&note);
        }
    }
}
