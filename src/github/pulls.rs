//! Pull requests, as far as a comment needs them.

use super::client::{ApiError, Client};
use super::models::{NewestCommit, PullRequest, PullRequestState};
use super::trigger::HeadBranch;

/// Newest commit of a pull request.
///
/// # Errors
///
/// When GitHub refuses or is not reached.
pub(super) async fn head(client: &Client, repository: &str, number: u64) -> Result<String, ApiError> {
    let pull: NewestCommit = client.get(&format!("/repos/{repository}/pulls/{number}")).await?;
    Ok(pull.head.sha)
}

/// Whether `branch` is that of `pull`. The same commit may be the newest one of an internal pull request and of a
/// fork's.
fn is_of(branch: &HeadBranch, pull: &PullRequest) -> bool {
    let repo = pull.head.repo.as_ref();
    repo.is_some_and(|repo| repo.full_name.eq_ignore_ascii_case(&branch.repository))
        && branch.name.as_ref().is_none_or(|name| *name == pull.head.r#ref)
}

/// Numbers of the open pull requests of a repository whose newest commit is `head` on `branch`.
///
/// # Errors
///
/// When GitHub refuses or is not reached.
pub async fn open_at(
    client: &Client,
    repository: &str,
    head: &str,
    branch: &HeadBranch,
) -> Result<Vec<u64>, ApiError> {
    let route = format!("/repos/{repository}/commits/{head}/pulls");
    let pulls: Vec<PullRequest> = client.list(&route, None).await?;
    Ok(numbers(&pulls, repository, head, branch))
}

fn numbers(pulls: &[PullRequest], repository: &str, head: &str, branch: &HeadBranch) -> Vec<u64> {
    // The commit may lie in pull requests of other repositories too.
    let is_ours = |pull: &PullRequest| {
        pull.base.repo.as_ref().is_some_and(|repo| repo.full_name.eq_ignore_ascii_case(repository))
    };
    let is_it = |pull: &&PullRequest| {
        pull.state == PullRequestState::Open && pull.head.sha == head && is_ours(pull) && is_of(branch, pull)
    };
    pulls.iter().filter(is_it).map(|pull| pull.number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn found(head: &Value, state: &str) -> Vec<u64> {
        let pull =
            json!({"number": 7, "state": state, "head": head, "base": {"repo": {"full_name": "ann/side"}}});
        let pulls = [serde_json::from_value(pull).unwrap()];
        let branch = HeadBranch { repository: "bob/side".to_owned(), name: Some("topic".to_owned()) };
        numbers(&pulls, "Ann/Side", "aaaa", &branch)
    }

    #[test]
    fn a_pull_request_is_found_by_commit_repository_and_branch() {
        let head = |sha: &str, repo: &Value, branch: &str| json!({"sha": sha, "ref": branch, "repo": repo});
        let bob = json!({"full_name": "Bob/side"});
        assert_eq!(found(&head("aaaa", &bob, "topic"), "open"), [7]);
        for (head, state) in [
            (head("bbbb", &bob, "topic"), "open"),
            (head("aaaa", &bob, "other"), "open"),
            (head("aaaa", &bob, "topic"), "closed"),
            (head("aaaa", &json!({"full_name": "ann/side"}), "topic"), "open"),
            // A fork that was deleted.
            (head("aaaa", &Value::Null, "topic"), "open"),
        ] {
            assert_eq!(found(&head, state), [0; 0], "{head} {state}");
        }
    }
}
