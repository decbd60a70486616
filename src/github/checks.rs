//! The checks of a commit, as GitHub records them.

use std::collections::BTreeSet;

use super::client::{ApiError, Client};
use super::models::{CheckRun, CheckStatus, CheckSuite, CommitStatus, StatusState};
use crate::images::gate::checks::{Check, Conclusion};

/// The checks of a commit.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// All check runs and commit statuses.
    pub checks: Vec<Check>,
    /// The suites that are not completed, so that more runs may come of them. The suite of the asking run is
    /// left out: it cannot complete while the run asks.
    pub running: BTreeSet<u64>,
}

/// Reads all checks of a commit; `own_run` is the number of the run that asks.
///
/// # Errors
///
/// When GitHub refuses or is not reached.
pub async fn checks(client: &Client, repository: &str, sha: &str, own_run: u64) -> Result<Checks, ApiError> {
    let route = format!("/repos/{repository}/commits/{sha}");
    // The suites come first: a suite that is completed by then gets no more runs than are listed afterwards.
    let suites: Vec<CheckSuite> = client.list(&format!("{route}/check-suites"), Some("check_suites")).await?;
    // GitHub lists the newest run of each name per suite. The gate decides which of several suites counts.
    let runs: Vec<CheckRun> = client.list(&format!("{route}/check-runs"), Some("check_runs")).await?;
    let statuses: Vec<CommitStatus> = client.list(&format!("{route}/statuses"), None).await?;
    let checks: Vec<Check> =
        runs.into_iter().map(Check::from).chain(statuses.into_iter().map(Check::from)).collect();
    let own = format!("/actions/runs/{own_run}/");
    let is_own = |suite: u64| {
        checks.iter().any(|check| {
            check.suite == Some(suite) && check.url.as_deref().is_some_and(|url| url.contains(&own))
        })
    };
    let running = suites
        .iter()
        .filter(|suite| suite.status != Some(CheckStatus::Completed))
        .map(|suite| suite.id)
        .filter(|suite| !is_own(*suite))
        .collect();
    Ok(Checks { checks, running })
}

impl From<CheckRun> for Check {
    fn from(run: CheckRun) -> Self {
        let is_completed = run.status == Some(CheckStatus::Completed);
        Self {
            name: run.name,
            is_run: true,
            app: run.app.and_then(|app| app.slug.or(app.name)).unwrap_or_default(),
            id: run.id,
            conclusion: is_completed.then(|| run.conclusion.unwrap_or(Conclusion::Missing)),
            url: run.html_url.or(run.details_url),
            suite: run.check_suite.map(|suite| suite.id),
        }
    }
}

impl From<CommitStatus> for Check {
    fn from(status: CommitStatus) -> Self {
        Self {
            name: status.context,
            is_run: false,
            app: "status".to_owned(),
            id: status.id,
            conclusion: match status.state {
                StatusState::Pending => None,
                StatusState::Success => Some(Conclusion::Success),
                StatusState::Failure => Some(Conclusion::Failure),
                StatusState::Error => Some(Conclusion::Error),
                StatusState::Other(word) => Some(Conclusion::Other(word)),
            },
            url: status.target_url,
            suite: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_has_a_conclusion_only_once_it_is_completed() {
        let of = |run: serde_json::Value| Check::from(serde_json::from_value::<CheckRun>(run).unwrap());
        let running = json!({"id": 1, "name": "test", "status": "in_progress", "conclusion": "success"});
        assert_eq!(of(running).conclusion, None);
        let completed = json!({"id": 1, "name": "test", "status": "completed", "conclusion": null});
        assert_eq!(of(completed).conclusion, Some(Conclusion::Missing));
    }

    #[test]
    fn a_run_and_a_status_are_read_the_way_github_lists_them() {
        let run = json!({
            "name": "test", "id": 7, "status": "completed", "conclusion": "success",
            "html_url": "https://github.test/7", "app": {"slug": "github-actions"}, "check_suite": {"id": 3},
        });
        let run = Check::from(serde_json::from_value::<CheckRun>(run).unwrap());
        assert_eq!(
            (run.app.as_str(), run.suite, run.conclusion),
            ("github-actions", Some(3), Some(Conclusion::Success))
        );
        assert_eq!(run.url.as_deref(), Some("https://github.test/7"));
        let of = |state: &str| {
            let status =
                json!({"context": "ci/test", "id": 9, "state": state, "target_url": "https://ci.test/9"});
            Check::from(serde_json::from_value::<CommitStatus>(status).unwrap())
        };
        let conclusions = ["success", "pending", "failure", "error"].map(|state| of(state).conclusion);
        let expected = [Some(Conclusion::Success), None, Some(Conclusion::Failure), Some(Conclusion::Error)];
        assert_eq!(conclusions, expected);
        let status = of("success");
        assert_eq!((status.name.as_str(), status.is_run, status.id), ("ci/test", false, 9));
        assert_eq!(status.url.as_deref(), Some("https://ci.test/9"));
    }
}
