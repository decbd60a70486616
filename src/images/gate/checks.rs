//! Check runs and commit statuses, GitHub's record of the tests of a commit. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Finding;

/// Standing of a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The proof is there.
    Proven,
    /// It is not proven yet.
    Pending,
    /// It cannot be proven any more.
    Failed,
}

/// Check run or commit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name, or the context of a status.
    pub name: String,
    /// Whether it is a check run; otherwise it is a commit status.
    pub is_run: bool,
    /// The app that made a check run.
    pub app: String,
    /// Its number. A newer check has a higher one.
    pub id: u64,
    /// How it ended; `None`: it has not.
    pub conclusion: Option<Conclusion>,
    /// Its page.
    pub url: Option<String>,
    /// The suite that it belongs to, such as the run of a workflow.
    pub suite: Option<u64>,
}

/// Conclusion of a check run, state of a commit status, or result of a job, in GitHub's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// `success`, the only one that proves anything.
    Success,
    /// `failure`.
    Failure,
    /// `error`, of a commit status.
    Error,
    /// `neutral`.
    Neutral,
    /// `cancelled`.
    Cancelled,
    /// `skipped`.
    Skipped,
    /// `timed_out`.
    TimedOut,
    /// `action_required`.
    ActionRequired,
    /// `startup_failure`.
    StartupFailure,
    /// `stale`: GitHub gave up on it after two weeks.
    Stale,
    /// It ended, and GitHub does not say how.
    #[serde(skip)]
    Missing,
    /// A word that this version does not know.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Neutral => "neutral",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::TimedOut => "timed_out",
            Self::ActionRequired => "action_required",
            Self::StartupFailure => "startup_failure",
            Self::Stale => "stale",
            Self::Missing => "without a conclusion",
            Self::Other(word) => word,
        })
    }
}

impl Check {
    /// Its standing: only success is a proof. GitHub's own rules take a skipped check for passed. Here it
    /// proves nothing, because nothing was tested.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.conclusion {
            None => Standing::Pending,
            Some(Conclusion::Success) => Standing::Proven,
            Some(_) => Standing::Failed,
        }
    }

    /// Its conclusion in words.
    #[must_use]
    pub fn says(&self) -> String {
        self.conclusion.as_ref().map_or_else(|| "pending".to_owned(), Conclusion::to_string)
    }

    pub(super) fn found(&self) -> Finding {
        Finding {
            name: self.name.clone(),
            says: self.says(),
            at: self.url.clone().or_else(|| Some(self.app.clone())),
            totals: None,
        }
    }
}

/// Returns the check that counts for each name and app. Of check runs, that is one in progress, or else the
/// newest: the last run of a test decides, and one in progress may change the result. Of statuses it is the
/// newest, because a pending status is followed by another and never changed.
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
