//! Check runs and commit statuses: what GitHub knows of the tests of a commit. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Found;

/// How something that is required stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It is there, and successful.
    Proven,
    /// It may come to that.
    Pending,
    /// It is something else.
    Failed,
}

/// A check run or a commit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name, or the context of a status.
    pub name: String,
    /// Whether it is a check run; otherwise it is a commit status.
    pub is_run: bool,
    /// The app that made a check run.
    pub app: String,
    /// A number that is higher the newer it is.
    pub id: u64,
    /// How it ended, in GitHub's word; `None`: it has not.
    pub conclusion: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// The suite that it is one of, such as the run of a workflow.
    pub suite: Option<u64>,
}

impl Check {
    /// Reads a check run, as `GET /repos/{owner}/{repo}/commits/{ref}/check-runs` lists them. `None` if it is none.
    #[must_use]
    pub fn of_run(run: &Value) -> Option<Self> {
        let text = |pointer: &str| run.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let is_over = run["status"] == "completed";
        Some(Self {
            name: text("/name")?,
            is_run: true,
            app: text("/app/slug").or_else(|| text("/app/name")).unwrap_or_default(),
            id: run["id"].as_u64()?,
            // What is over and does not say how is no success.
            conclusion: is_over
                .then(|| text("/conclusion").unwrap_or_else(|| "without a conclusion".to_owned())),
            url: text("/html_url").or_else(|| text("/details_url")),
            suite: run.pointer("/check_suite/id").and_then(Value::as_u64),
        })
    }

    /// Reads a commit status, as `GET /repos/{owner}/{repo}/commits/{ref}/statuses` lists them.
    #[must_use]
    pub fn of_status(status: &Value) -> Option<Self> {
        let text = |name: &str| status[name].as_str().map(str::to_owned);
        let state = text("state")?;
        Some(Self {
            name: text("context")?,
            is_run: false,
            app: "status".to_owned(),
            id: status["id"].as_u64()?,
            conclusion: (state != "pending").then_some(state),
            url: text("target_url"),
            suite: None,
        })
    }

    /// How it stands: only success is a proof. A skipped check counts for GitHub's own rules as passed, and here as what
    /// it is: nobody has tested anything.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.conclusion.as_deref() {
            None => Standing::Pending,
            Some("success") => Standing::Proven,
            Some(_) => Standing::Failed,
        }
    }

    /// What it says.
    #[must_use]
    pub fn says(&self) -> &str {
        self.conclusion.as_deref().unwrap_or("pending")
    }

    pub(super) fn found(&self) -> Found {
        Found {
            name: self.name.clone(),
            says: self.says().to_owned(),
            at: self.url.clone().or_else(|| Some(self.app.clone())),
            totals: None,
        }
    }
}

/// Of all runs of one name by one app the one that counts: one that is not over yet, or else the newest. A test that
/// was run again is what its last run says, and what runs now may say otherwise. Of statuses the newest counts: one that
/// was pending is not changed but followed by another.
pub(super) fn latest(checks: Vec<&Check>) -> Vec<&Check> {
    let mut latest: Vec<&Check> = Vec::new();
    for check in checks {
        let weight = |check: &Check| (check.is_run && check.conclusion.is_none(), check.id);
        match latest
            .iter_mut()
            .find(|known| known.name == check.name && known.app == check.app && known.is_run == check.is_run)
        {
            Some(known) if weight(check) > weight(known) => *known = check,
            Some(_) => {}
            None => latest.push(check),
        }
    }
    latest
}
