//! GitHub's deployments and commit statuses.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{Channel, Started, TIMEOUT};
use crate::base::commit::hash;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::Exit;
use crate::config;
use crate::github::WorkflowRun;
use crate::github::client::{ApiError, Client};
use crate::github::deployment::{Deployments, Ending, Subject};
use crate::outcome::Outcome;
use crate::report::notification::status_description;

/// The deployments and statuses of a repository.
pub(super) struct GitHubChannel {
    /// `None` once GitHub could not be reached: another attempt would only delay the end.
    deployments: Option<Deployments>,
    config: config::GitHub,
    urls: BTreeMap<String, String>,
    /// The number of each host's deployment.
    started: BTreeMap<String, u64>,
}

impl GitHubChannel {
    /// The channel; `None` outside of a workflow run, without a token, or if the configuration turns it off.
    ///
    /// # Errors
    ///
    /// A warning when the token was given and is empty, or the client cannot be built.
    pub(super) fn new(
        workflow: Option<&WorkflowRun>,
        config: config::GitHub,
        urls: BTreeMap<String, String>,
    ) -> Result<Option<Self>, Diagnostic> {
        let Some(run) = workflow.filter(|_| config.deployments || config.statuses) else { return Ok(None) };
        if run.is_token_empty {
            let message = "no deployment and no commit status on GitHub: `github-token` is empty";
            return Err(Diagnostic::warning(message, None).help(format!(
                "leave it out, so that it is the job's own token, or: {}",
                run.reason_for_empty_secrets()
            )));
        }
        let (Some(token), Some(repository)) = (&run.token, &run.repository) else { return Ok(None) };
        let client = Client::new(&run.api, token, TIMEOUT / 2).map_err(|failure| {
            Diagnostic::warning(format!("no deployment and no commit status on GitHub: {failure}"), None)
        })?;
        let deployments = Deployments { client, repository: repository.clone(), log_url: run.url() };
        Ok(Some(Self { deployments: Some(deployments), config, urls, started: BTreeMap::new() }))
    }

    async fn start(&mut self, started: &Started) -> Option<String> {
        let (Some(deployments), Some(commit), true) =
            (&self.deployments, &started.commit, self.config.deployments)
        else {
            return None;
        };
        let url = self.urls.get(&started.host).map(String::as_str);
        let commit = hash(commit);
        match deployments.begin(Subject { environment: &started.host, url, commit }).await {
            Ok(id) => {
                self.started.insert(started.host.clone(), id);
                None
            }
            Err(failure) => {
                if !matches!(failure, ApiError::Refused { .. }) {
                    self.deployments = None;
                }
                Some(missing("deployment", "deployments", &failure))
            }
        }
    }

    async fn finish(&self, outcome: &Outcome) -> Vec<String> {
        let mut notes = Vec::new();
        let (Some(deployments), Some(commit)) = (&self.deployments, &outcome.commit) else { return notes };
        for host in &outcome.hosts {
            let ending = match (host.exit(), host.owed()) {
                (Exit::Done, 0) => Ending::Success,
                (Exit::Done, _) => Ending::Owed,
                _ => Ending::Failure,
            };
            let text = status_description(host);
            let url = self.urls.get(&host.name).map(String::as_str);
            let subject = Subject { environment: &host.name, url, commit };
            if let Some(id) = self.started.get(&host.name)
                && let Err(failure) = deployments.end(*id, subject, ending, &text).await
            {
                notes.push(missing("end of the deployment", "deployments", &failure));
            }
            if self.config.statuses
                && let Err(failure) = deployments.commit(subject, ending, &text).await
            {
                notes.push(missing("commit status", "statuses", &failure));
            }
        }
        notes
    }
}

impl Channel for GitHubChannel {
    fn started<'a>(&'a mut self, started: &'a Started) -> BoxFuture<'a, Vec<String>> {
        self.start(started).map(|note| note.into_iter().collect()).boxed()
    }

    fn finished<'a>(&'a mut self, outcome: &'a Outcome) -> BoxFuture<'a, Vec<String>> {
        self.finish(outcome).boxed()
    }
}

/// A note about a record that GitHub did not accept, with what to do about it.
fn missing(record: &str, permission: &str, failure: &ApiError) -> String {
    match failure.advice(&format!("{permission}: write")) {
        Some(advice) => format!(
            "no {record} on GitHub ({failure}): {advice}; or set `github: {{{permission}: false}}` in ghdeploy.yml"
        ),
        None => format!("no {record} on GitHub: {failure}"),
    }
}
