//! Check runs and commit statuses, GitHub's record of the tests of a commit. Pure.

use std::collections::BTreeMap;
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// The suite that it belongs to. A run of a workflow is a suite, and all attempts of it are the same one.
    pub suite: Option<u64>,
    /// The app's own mark of it, which can be the same for all runs of the same job.
    pub mark: Option<String>,
    /// When it started, in seconds since 1970.
    pub started: Option<i64>,
    /// When it ended, in seconds since 1970.
    pub completed: Option<i64>,
    /// The run of a workflow that it is a job of, as far as that is known.
    pub workflow: Option<Workflow>,
    /// Its relation to the process that judges.
    pub relation: Relation,
}

/// Run of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workflow {
    /// Its number. A newer run has a higher one.
    pub run: u64,
    /// The workflow's name.
    pub name: String,
    /// The event that started the run.
    pub event: String,
    /// Mark of all runs that do the same: the same workflow for the same event, branch and pull requests.
    /// `None` if a run can have inputs of its own.
    pub series: Option<String>,
    /// Whether a newer run of the series is under way.
    pub is_followed: bool,
    /// Whether the run has had one attempt only.
    pub is_first_attempt: bool,
    /// When the attempt under way started, in seconds since 1970; `None` if none is, or if it is the first
    /// one.
    pub restarted: Option<i64>,
}

/// Job of the run that judges which does not exist yet, because it waits for others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobToCome {
    /// Its name, up to the part that is not known yet.
    pub name: String,
    /// Whether that is the whole name.
    pub is_whole: bool,
    /// Whether it waits for the job that judges, so that this one cannot wait for it.
    pub is_after: bool,
}

impl JobToCome {
    /// Its name, with `…` for the part that is not known.
    pub(super) fn shown(&self) -> String {
        format!("{}{}", self.name, if self.is_whole { "" } else { "…" })
    }
}

/// Relation of a check to the process that judges it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Relation {
    /// It has nothing to do with it.
    #[default]
    Other,
    /// It is another job of the same run of a workflow.
    SameRun,
    /// It is the job that judges.
    SameJob,
}

/// Beginning of the statuses that ghdeploy itself sets beside a commit. They show a deploy and prove no test.
pub const OWN_STATUSES: &str = "ghdeploy/";

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
            _ if self.is_run_again() => Standing::Pending,
            None => Standing::Pending,
            Some(Conclusion::Success) => Standing::Proven,
            Some(_) => Standing::Failed,
        }
    }

    /// Its conclusion in words.
    #[must_use]
    pub fn says(&self) -> String {
        match &self.conclusion {
            Some(before) if self.is_run_again() => format!("pending: it was {before}, and is running again"),
            Some(conclusion) => conclusion.to_string(),
            None => "pending".to_owned(),
        }
    }

    /// Whether a new attempt of its run, or a newer run that does the same, is under way and may replace it.
    fn is_run_again(&self) -> bool {
        self.workflow.as_ref().is_some_and(|workflow| {
            let times = workflow.restarted.zip(self.started);
            workflow.is_followed || times.is_some_and(|(restarted, started)| started < restarted)
        })
    }

    /// Whether it is a status that ghdeploy itself set.
    pub(super) fn is_own_status(&self) -> bool {
        !self.is_run && self.name.starts_with(OWN_STATUSES)
    }

    /// Its names as GitHub's pages show them: `CI / test (push)`, and without the event.
    pub(super) fn shown(&self) -> Option<[String; 2]> {
        let workflow = self.workflow.as_ref()?;
        let plain = format!("{} / {}", workflow.name, self.name.trim());
        Some([format!("{plain} ({})", workflow.event), plain])
    }

    /// Whether a text is its name, or the one that GitHub's pages show.
    pub(super) fn is_called(&self, text: &str) -> bool {
        self.name.trim() == text || self.shown().is_some_and(|shown| shown.iter().any(|name| name == text))
    }

    pub(super) fn found(&self) -> Finding {
        Finding {
            name: self.name.clone(),
            says: self.says(),
            at: self.url.clone().or_else(|| Some(self.app.clone())),
            totals: None,
        }
    }

    /// Whether it is a later run of the same thing as `older`, and so replaces its result. They have the same
    /// name, app and suite.
    ///
    /// One suite can have two jobs of one name, such as those of a matrix with a fixed name. Their times overlap, or
    /// there is no other attempt. Where neither is known, the newer one replaces the older one, as on GitHub's
    /// pages.
    fn replaces(&self, older: &Self) -> bool {
        if older.conclusion.is_none() {
            return false;
        }
        // A new attempt can list a job that it does not run once more.
        let is_copy = self.completed.is_some()
            && (self.started, self.completed) == (older.started, older.completed)
            && (&self.conclusion, &self.mark) == (&older.conclusion, &older.mark);
        let is_only_attempt = self.workflow.as_ref().is_some_and(|workflow| workflow.is_first_attempt);
        let overlaps =
            older.completed.zip(self.started).is_some_and(|(completed, started)| started < completed);
        is_copy || !(is_only_attempt || overlaps)
    }
}

/// Returns the checks that count, in the order of their numbers.
///
/// Of statuses, that is the newest of each context, because a pending status is followed by another and never
/// changed. A check run replaces another one only within the same suite, or within a series of runs that do
/// the same: anywhere else it is another test, or the same one of another event, with other inputs, or merged
/// into another branch.
pub(super) fn latest(mut checks: Vec<&Check>) -> Vec<&Check> {
    checks.sort_by_key(|check| check.id);
    let mut groups: BTreeMap<(&str, bool, &str, Option<u64>), Vec<&Check>> = BTreeMap::new();
    for check in checks {
        let group = groups.entry((&check.name, check.is_run, &check.app, check.suite)).or_default();
        let replaced = group.iter().enumerate().filter(|(_, known)| !check.is_run || check.replaces(known));
        // Of several, the one with its mark; otherwise a success, so that a failure stays.
        let weight = |known: &Check| {
            let has_mark = known.mark.is_some() && known.mark == check.mark;
            (has_mark, known.standing() == Standing::Proven)
        };
        if let Some(place) = replaced.max_by_key(|(_, known)| weight(known)).map(|(place, _)| place) {
            group.remove(place);
        }
        group.push(check);
    }
    let mut latest: Vec<&Check> = groups.into_values().flatten().collect();
    let series = |check: &Check| {
        let workflow = check.workflow.clone()?;
        Some(((check.name.clone(), workflow.series?), workflow.run))
    };
    let mut newest: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (series, run) in latest.iter().filter_map(|check| series(check)) {
        let known = newest.entry(series).or_default();
        *known = run.max(*known);
    }
    latest.retain(|check| series(check).is_none_or(|(series, run)| newest.get(&series) == Some(&run)));
    latest.sort_by_key(|check| check.id);
    latest
}
