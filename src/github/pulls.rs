//! Pull requests, as far as a comment needs them.

use super::client::{ApiError, Client};
use super::models::{PullRequest, PullRequestState};

/// Newest commit of a pull request.
///
/// # Errors
///
/// When GitHub refuses or is not reached.
pub(super) async fn head(client: &Client, repository: &str, number: u64) -> Result<String, ApiError> {
    let pull: PullRequest = client.get(&format!("/repos/{repository}/pulls/{number}")).await?;
    Ok(pull.head.sha)
}

/// Numbers of the open pull requests of a repository whose newest commit is `head`.
///
/// # Errors
///
/// When GitHub refuses or is not reached.
pub async fn open_at(client: &Client, repository: &str, head: &str) -> Result<Vec<u64>, ApiError> {
    let route = format!("/repos/{repository}/commits/{head}/pulls");
    let pulls: Vec<PullRequest> = client.list(&route, None).await?;
    // The commit may lie in pull requests of other repositories too.
    let is_ours = |pull: &PullRequest| {
        pull.base.repo.as_ref().is_some_and(|repo| repo.full_name.eq_ignore_ascii_case(repository))
    };
    let found = pulls
        .iter()
        .filter(|pull| pull.state == PullRequestState::Open && pull.head.sha == head && is_ours(pull));
    Ok(found.map(|pull| pull.number).collect())
}
