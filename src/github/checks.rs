//! What GitHub knows of the tests of a commit.

use std::collections::BTreeSet;

use super::client::{Client, Failure};
use crate::images::gate::checks::Check;

/// The checks of a commit.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// All check runs and commit statuses.
    pub checks: Vec<Check>,
    /// The suites that are not through, so that more runs may come of them; without the one of this very run, which is
    /// not through as long as anybody asks.
    pub running: BTreeSet<u64>,
}

/// All that GitHub knows of the tests of a commit; `own_run` is the number of the run that asks.
///
/// # Errors
///
/// When GitHub refuses or is not reached.
pub async fn checks(client: &Client, repository: &str, sha: &str, own_run: u64) -> Result<Checks, Failure> {
    let route = format!("/repos/{repository}/commits/{sha}");
    // The suites first: what is through then has no more runs than are listed afterwards.
    let suites = client.list(&format!("{route}/check-suites"), Some("check_suites")).await?;
    // Of each suite the newest run of a name; which of several suites counts is decided by who judges.
    let runs = client.list(&format!("{route}/check-runs"), Some("check_runs")).await?;
    let statuses = client.list(&format!("{route}/statuses"), None).await?;
    let unreadable = || Failure::Unreachable("it lists a check that cannot be read".to_owned());
    let runs = runs.iter().map(|run| Check::of_run(run).ok_or_else(unreadable));
    let statuses = statuses.iter().map(|status| Check::of_status(status).ok_or_else(unreadable));
    let checks: Vec<Check> = runs.chain(statuses).collect::<Result<_, _>>()?;
    let own = format!("/actions/runs/{own_run}/");
    let is_own = |suite: u64| {
        checks.iter().any(|check| {
            check.suite == Some(suite) && check.url.as_deref().is_some_and(|url| url.contains(&own))
        })
    };
    let running = suites
        .iter()
        .filter(|suite| suite["status"] != "completed")
        .filter_map(|suite| suite["id"].as_u64())
        .filter(|suite| !is_own(*suite))
        .collect();
    Ok(Checks { checks, running })
}
