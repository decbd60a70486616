//! What GitHub's API takes and answers, as far as it is used here.
//!
//! Each type holds the fields that are read and no others, because an Enterprise Server of some age lacks
//! fields that GitHub's own description requires. A word that GitHub may add to is an enum with `Other`.

use serde::{Deserialize, Serialize};

use crate::images::gate::checks::Conclusion;

/// A [repository](https://docs.github.com/rest/repos/repos).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Repository {
    pub(super) default_branch: String,
}

/// A [branch](https://docs.github.com/rest/branches/branches).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Branch {
    pub(super) commit: BranchCommit,
}

/// The newest commit of a branch.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct BranchCommit {
    pub(super) sha: String,
}

/// A [check run](https://docs.github.com/rest/checks/runs).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CheckRun {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) status: Option<CheckStatus>,
    pub(super) conclusion: Option<Conclusion>,
    pub(super) app: Option<App>,
    pub(super) html_url: Option<String>,
    pub(super) details_url: Option<String>,
    pub(super) check_suite: Option<SuiteId>,
    pub(super) external_id: Option<String>,
    pub(super) started_at: Option<String>,
    pub(super) completed_at: Option<String>,
}

/// The app that made a check run.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct App {
    pub(super) slug: Option<String>,
    pub(super) name: Option<String>,
}

/// A reference to a check suite.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SuiteId {
    pub(super) id: u64,
}

/// A [check suite](https://docs.github.com/rest/checks/suites), such as the run of a workflow.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CheckSuite {
    pub(super) id: u64,
    pub(super) status: Option<CheckStatus>,
    pub(super) conclusion: Option<Conclusion>,
    pub(super) app: Option<App>,
    pub(super) created_at: Option<String>,
    pub(super) updated_at: Option<String>,
}

/// A [run of a workflow](https://docs.github.com/rest/actions/workflow-runs).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ActionsRun {
    pub(super) id: u64,
    /// The workflow's name, or its path.
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) event: String,
    pub(super) status: Option<CheckStatus>,
    pub(super) check_suite_id: Option<u64>,
    pub(super) run_attempt: Option<u64>,
    /// When its latest attempt started.
    pub(super) run_started_at: Option<String>,
    pub(super) workflow_id: Option<u64>,
    /// Its branch or tag.
    pub(super) head_branch: Option<String>,
    pub(super) head_repository: Option<RepositoryRef>,
    /// The pull requests of its branch; none if that is in a fork.
    pub(super) pull_requests: Option<Vec<PullRequestNumber>>,
}

/// A reference to a pull request.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PullRequestNumber {
    pub(super) number: u64,
}

/// Progress of a check run or a check suite.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CheckStatus {
    Queued,
    InProgress,
    Completed,
    Waiting,
    Requested,
    Pending,
    #[serde(untagged)]
    Other(String),
}

/// A [commit status](https://docs.github.com/rest/commits/statuses).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CommitStatus {
    pub(super) id: u64,
    pub(super) state: StatusState,
    pub(super) context: String,
    pub(super) target_url: Option<String>,
}

/// State of a commit status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StatusState {
    Error,
    Failure,
    Pending,
    Success,
    #[serde(untagged)]
    Other(String),
}

/// A commit status to be set.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NewCommitStatus<'a> {
    pub(super) state: StatusState,
    pub(super) context: String,
    pub(super) description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target_url: Option<&'a str>,
}

/// A [deployment](https://docs.github.com/rest/deployments/deployments).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Deployment {
    pub(super) id: u64,
}

/// A deployment to be made.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NewDeployment<'a> {
    pub(super) r#ref: &'a str,
    pub(super) task: &'a str,
    pub(super) auto_merge: bool,
    pub(super) required_contexts: &'a [&'a str],
    pub(super) environment: &'a str,
    pub(super) description: &'a str,
}

/// A [deployment status](https://docs.github.com/rest/deployments/statuses).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct DeploymentStatus {
    pub(super) state: DeploymentState,
}

/// State of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeploymentState {
    Error,
    Failure,
    Inactive,
    InProgress,
    Pending,
    Queued,
    Success,
    #[serde(untagged)]
    Other(String),
}

/// A deployment status to be made.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NewDeploymentStatus<'a> {
    pub(super) state: DeploymentState,
    pub(super) description: &'a str,
    pub(super) auto_inactive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) environment_url: Option<&'a str>,
}

/// A [comment](https://docs.github.com/rest/issues/comments) on an issue or a pull request.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct IssueComment {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) html_url: String,
    pub(super) body: Option<String>,
    pub(super) user: Option<User>,
}

/// The text of a comment to be made or changed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NewComment<'a> {
    pub(super) body: &'a str,
}

/// A user.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct User {
    pub(super) login: String,
    pub(super) r#type: Option<UserType>,
}

/// Type of a user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) enum UserType {
    Bot,
    Organization,
    User,
    #[serde(untagged)]
    Other(String),
}

/// A [pull request](https://docs.github.com/rest/pulls/pulls).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PullRequest {
    pub(super) number: u64,
    pub(super) state: PullRequestState,
    pub(super) head: PullRequestHead,
    pub(super) base: PullRequestBase,
}

/// A pull request, as far as its newest commit goes.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct NewestCommit {
    pub(super) head: PullRequestHead,
}

/// State of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PullRequestState {
    Open,
    Closed,
    #[serde(untagged)]
    Other(String),
}

/// The branch of a pull request.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PullRequestHead {
    pub(super) sha: String,
    /// Its branch.
    #[serde(default)]
    pub(super) r#ref: String,
    /// Its repository; `None` if that is a fork that was deleted.
    #[serde(default)]
    pub(super) repo: Option<RepositoryRef>,
}

/// The branch that a pull request is to be merged into.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PullRequestBase {
    pub(super) repo: Option<RepositoryRef>,
}

/// A repository.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RepositoryRef {
    pub(super) full_name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_word_that_github_adds_later_is_read_as_other() {
        let run = json!({"id": 1, "name": "test", "status": "dreaming", "conclusion": "splendid"});
        let run: CheckRun = serde_json::from_value(run).unwrap();
        assert_eq!(run.status, Some(CheckStatus::Other("dreaming".to_owned())));
        assert_eq!(run.conclusion, Some(Conclusion::Other("splendid".to_owned())));
        for (word, state) in [
            ("in_progress", DeploymentState::InProgress),
            ("asleep", DeploymentState::Other("asleep".to_owned())),
        ] {
            assert_eq!(serde_json::from_value::<DeploymentState>(json!(word)).unwrap(), state);
            assert_eq!(serde_json::to_value(&state).unwrap(), json!(word));
        }
    }

    #[test]
    fn fields_that_an_older_server_lacks_are_not_needed() {
        let comment: IssueComment = serde_json::from_value(json!({"id": 1, "user": null})).unwrap();
        assert!(comment.body.is_none() && comment.user.is_none() && comment.html_url.is_empty());
    }
}
