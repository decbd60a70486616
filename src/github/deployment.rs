//! Deployments and commit statuses: how GitHub shows a deploy beside its commit and its environment.
//!
//! Owns the order. A deployment is made when work begins, and ends with a status. After a success the
//! deployments before it become inactive.

use serde::de::IgnoredAny;

use super::client::{ApiError, Client};
use super::models::{
    Deployment, DeploymentState, DeploymentStatus, NewCommitStatus, NewDeployment, NewDeploymentStatus,
    StatusState,
};

/// Task of our deployments. It distinguishes them from others in the same environment.
const TASK: &str = "deploy:ghdeploy";

/// How many earlier deployments are looked at. Only killed runs leave more than one active.
const BEFORE: usize = 10;

/// Client of a repository's deployments and commit statuses.
#[derive(Debug, Clone)]
pub struct Deployments {
    /// The client of the API.
    pub client: Client,
    /// `owner/name` of the repository.
    pub repository: String,
    /// The page of this run.
    pub log_url: Option<String>,
}

/// Ending of a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What was wanted runs.
    Success,
    /// The files are in place, and the next deploy owes what makes them run.
    Owed,
    /// It failed.
    Failure,
}

/// The subject of a deployment.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The host, which is the environment.
    pub environment: &'a str,
    /// The address at which people see what is deployed there.
    pub url: Option<&'a str>,
    /// The commit.
    pub commit: &'a str,
}

impl Deployments {
    /// Records the start of a deploy; returns the number of the deployment.
    ///
    /// # Errors
    ///
    /// When GitHub refuses or is not reached.
    pub async fn begin(&self, subject: Subject<'_>) -> Result<u64, ApiError> {
        let deployment = NewDeployment {
            r#ref: subject.commit,
            task: TASK,
            // Nothing is merged and no check is awaited: the decision to deploy has been made.
            auto_merge: false,
            required_contexts: &[],
            environment: subject.environment,
            description: "ghdeploy",
        };
        let Deployment { id } = self.client.post(&self.route(""), &deployment).await?;
        self.set(id, DeploymentState::InProgress, "being deployed", subject.url).await?;
        Ok(id)
    }

    /// Records the ending. After a success the deployments before it become inactive; one that is owed waits, and
    /// those before it stay what runs.
    ///
    /// # Errors
    ///
    /// See [`Deployments::begin`].
    pub async fn end(
        &self,
        id: u64,
        subject: Subject<'_>,
        ending: Ending,
        description: &str,
    ) -> Result<(), ApiError> {
        let state = match ending {
            Ending::Success => DeploymentState::Success,
            Ending::Owed => DeploymentState::Pending,
            Ending::Failure => DeploymentState::Failure,
        };
        self.set(id, state, description, subject.url).await?;
        if ending != Ending::Success {
            return Ok(());
        }
        let route = self.route(&format!(
            "?environment={}&task={}&per_page={BEFORE}",
            encoded(subject.environment),
            encoded(TASK)
        ));
        let known: Vec<Deployment> = self.client.get(&route).await?;
        for Deployment { id: before } in known.into_iter().filter(|known| known.id < id) {
            let route = self.route(&format!("/{before}/statuses?per_page=1"));
            let statuses: Vec<DeploymentStatus> = self.client.get(&route).await?;
            let state = statuses.into_iter().next().map_or(DeploymentState::Pending, |status| status.state);
            if is_active(&state) {
                self.set(before, DeploymentState::Inactive, "replaced", None).await?;
            }
        }
        Ok(())
    }

    /// Sets the status of a commit.
    ///
    /// # Errors
    ///
    /// See [`Deployments::begin`].
    pub async fn commit(
        &self,
        subject: Subject<'_>,
        ending: Ending,
        description: &str,
    ) -> Result<(), ApiError> {
        let status = NewCommitStatus {
            state: match ending {
                Ending::Success => StatusState::Success,
                Ending::Owed => StatusState::Pending,
                Ending::Failure => StatusState::Failure,
            },
            context: format!("ghdeploy/{}", subject.environment),
            description,
            target_url: self.log_url.as_deref(),
        };
        let route = format!("/repos/{}/statuses/{}", self.repository, subject.commit);
        self.client.post::<IgnoredAny>(&route, &status).await.map(drop)
    }

    async fn set(
        &self,
        id: u64,
        state: DeploymentState,
        description: &str,
        url: Option<&str>,
    ) -> Result<(), ApiError> {
        let status = NewDeploymentStatus {
            state,
            description,
            auto_inactive: false,
            log_url: self.log_url.as_deref(),
            environment_url: url,
        };
        self.client.post::<IgnoredAny>(&self.route(&format!("/{id}/statuses")), &status).await.map(drop)
    }

    fn route(&self, rest: &str) -> String {
        format!("/repos/{}/deployments{rest}", self.repository)
    }
}

fn is_active(state: &DeploymentState) -> bool {
    match state {
        DeploymentState::Success
        | DeploymentState::InProgress
        | DeploymentState::Queued
        | DeploymentState::Pending => true,
        DeploymentState::Error
        | DeploymentState::Failure
        | DeploymentState::Inactive
        | DeploymentState::Other(_) => false,
    }
}
/// A value of a query.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut word, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => word.push(byte.into()),
            byte => word.push_str(&format!("%{byte:02X}")),
        }
        word
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_of_any_name_is_one_value() {
        assert_eq!(encoded("web-1.example_x"), "web-1.example_x");
        assert_eq!(encoded("a&b=ö/ c"), "a%26b%3D%C3%B6%2F%20c");
    }
}
