//! What became of a plan.
//!
//! Owns the outcome: the plan once more with a result on every project and action. Pure values.

pub mod event;
pub mod history;
pub mod queries;

use serde::{Deserialize, Serialize};

use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Exit, HostState};
use crate::compose::model::Hook;
use crate::plan::{Action, FileChange, ImageToBuild, ProjectChange};

/// What became of a plan on every host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// [`crate::plan::VERSION`].
    pub version: u32,
    /// The commit that was wanted; `None` outside of git.
    pub commit: Option<String>,
    /// One a host.
    pub hosts: Vec<HostOutcome>,
}

/// What became of a plan on one host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostOutcome {
    /// The host's name.
    pub name: String,
    /// The release that the host is at now; `None` before the first.
    pub release: Option<u64>,
    /// The release that it went back to, if this is a rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u64>,
    /// Whether this run changed anything there.
    pub changed: bool,
    /// As in the plan.
    pub notes: Vec<Diagnostic>,
    /// As in the plan, with results.
    pub projects: Vec<ProjectOutcome>,
    /// Why nothing could be done on the host at all, and its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<HostFailure>,
}

/// A failure that stopped a whole host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostFailure {
    /// The exit code that it asks for.
    #[serde(skip)]
    pub exit: Exit,
    /// What happened.
    pub diagnostics: Vec<Diagnostic>,
    /// What state the host is in.
    pub state: HostState,
}

/// What became of one project.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProjectOutcome {
    /// The project.
    pub name: String,
    /// Its folder in the repository.
    pub path: String,
    /// As in the plan.
    pub change: ProjectChange,
    /// As in the plan.
    pub files: Vec<FileChange>,
    /// As in the plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageToBuild>,
    /// As in the plan, with results.
    pub actions: Vec<ActionOutcome>,
    /// As in the plan, with results.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookOutcome>,
    /// The images that the services run by now that have acted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<RunningImage>,
    /// What was kept of a project that was taken down: `volume blog_rows`, `blog/.env`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// What became of it.
    pub result: ProjectResult,
    /// Why it failed, with the last log lines of failing containers; empty when it did not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Diagnostic>,
    /// The last lines that failing containers logged, by service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<ServiceLog>,
}

/// The image that a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunningImage {
    /// The service.
    pub service: String,
    /// The image as the definition names it.
    pub image: String,
    /// The digest by which its registry knows it; `None`: it comes from none.
    pub digest: Option<String>,
    /// The commit that it says it was built of.
    pub revision: Option<String>,
}

/// The last lines that a container logged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceLog {
    /// The service.
    pub service: String,
    /// The lines, oldest first, without control characters.
    pub lines: Vec<String>,
}

/// An action and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActionOutcome {
    /// The action.
    #[serde(flatten)]
    pub action: Action,
    /// What became of it.
    pub result: ActionResult,
}

/// A hook and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HookOutcome {
    /// The hook.
    #[serde(flatten)]
    pub hook: Hook,
    /// What became of it.
    pub result: ActionResult,
}

/// What became of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectResult {
    /// There was nothing to do.
    Unchanged,
    /// All was done.
    Done,
    /// It failed before anything of it was changed.
    NothingChanged,
    /// It failed and is as it was before.
    RolledBack,
    /// It was stopped in the middle: its files are in place, and the next sync does what is owed.
    Interrupted,
    /// It failed, and so did the way back, or nobody knows.
    Unknown,
}

/// What became of an action or a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionResult {
    /// It was carried out, and the service is well.
    Done,
    /// It was not carried out, and the next sync owes it still.
    Owed,
    /// It was carried out and the service is not well, or it could not be carried out.
    Failed,
    /// It was not reached.
    Skipped,
}

impl Outcome {
    /// The exit code that the results ask for: the worst of all hosts.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.hosts.iter().map(HostOutcome::exit).max_by_key(|exit| severity(*exit)).unwrap_or(Exit::Done)
    }
}

impl HostOutcome {
    /// The exit code that the result asks for.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match &self.failure {
            Some(failure) if failure.state == HostState::Unknown => return Exit::NeedsLook,
            // Nothing of any project was reached.
            Some(failure) if failure.state == HostState::Unchanged => return failure.exit,
            _ => {}
        }
        let projects = self.projects.iter().map(|project| match project.result {
            ProjectResult::Unchanged | ProjectResult::Done => Exit::Done,
            ProjectResult::NothingChanged | ProjectResult::RolledBack => Exit::RolledBack,
            ProjectResult::Interrupted | ProjectResult::Unknown => Exit::NeedsLook,
        });
        let failure = self.failure.iter().map(|failure| failure.exit);
        failure.chain(projects).max_by_key(|exit| severity(*exit)).unwrap_or(Exit::Done)
    }
}

/// Which of two exit codes says more: a host that needs a look beats everything.
fn severity(exit: Exit) -> u8 {
    match exit {
        Exit::Done | Exit::Pending => 0,
        Exit::Usage => 1,
        Exit::GateClosed => 2,
        Exit::Unreachable => 3,
        Exit::RolledBack => 4,
        Exit::Unforeseen => 5,
        Exit::NeedsLook => 6,
    }
}
