//! Results of commands, and events of an apply.
//!
//! Owns the outcome: the plan with a result on every project and action. Pure values.

pub mod event;
pub mod history;
pub mod queries;

use serde::{Deserialize, Serialize};

use crate::base::commit::label;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Exit, HostState};
use crate::compose::model::Hook;
use crate::plan::{Action, ActionKind, FileChange, ImageToBuild, ProjectChange};

/// Result of a plan on every host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// [`crate::plan::VERSION`].
    pub version: u32,
    /// The wanted commit; `None` outside of git.
    pub commit: Option<String>,
    /// Whether what was wanted differs from that commit.
    pub dirty: bool,
    /// One per host.
    pub hosts: Vec<HostOutcome>,
}

/// Result of a plan on one host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostOutcome {
    /// The host's name.
    pub name: String,
    /// Current release of the host; `None` before the first.
    pub release: Option<u64>,
    /// The release that a rollback restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u64>,
    /// Whether this run changed anything there.
    pub changed: bool,
    /// As planned.
    pub notes: Vec<Diagnostic>,
    /// External networks that were made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Images that releases of this root used, that no kept release needs any more, and that were removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed_images: Vec<RemovedImage>,
    /// Those of the plan, with results.
    pub projects: Vec<ProjectOutcome>,
    /// The failure that stopped the whole host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<HostFailure>,
}

/// Image that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemovedImage {
    /// Its id, `sha256:…`.
    pub id: String,
    /// The name that it had; `None`: none, or one that a variable of the host decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl RemovedImage {
    /// Its name, or else the first 12 digits of its id.
    #[must_use]
    pub fn short(&self) -> &str {
        let id = self.id.strip_prefix("sha256:").unwrap_or(&self.id);
        self.name.as_deref().unwrap_or_else(|| id.get(..12).unwrap_or(id))
    }
}

/// Failure that stopped a whole host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostFailure {
    /// Its exit code.
    #[serde(skip)]
    pub exit: Exit,
    /// What happened.
    pub diagnostics: Vec<Diagnostic>,
    /// The state of the host.
    pub state: HostState,
}

/// Result of one project.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProjectOutcome {
    /// The project.
    pub name: String,
    /// Its folder in the repository.
    pub path: String,
    /// As planned.
    pub change: ProjectChange,
    /// As planned.
    pub files: Vec<FileChange>,
    /// As planned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageToBuild>,
    /// Those of the plan, with results.
    pub actions: Vec<ActionOutcome>,
    /// Those of the plan, with results.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookOutcome>,
    /// Current images of the services that were acted on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<RunningImage>,
    /// Volumes and files that remain of a project that was taken down: `volume blog_rows`, `blog/.env`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// The result.
    pub result: ProjectResult,
    /// The release whose version it has again, if that is not the version from before the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u64>,
    /// Causes of its failure; empty if it succeeded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Diagnostic>,
    /// The last lines that failing containers logged, by service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<ServiceLog>,
}

/// Image that a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunningImage {
    /// The service.
    pub service: String,
    /// The image as the definition names it.
    pub image: String,
    /// Its digest in the registry; `None` if it comes from none.
    pub digest: Option<String>,
    /// The commit that its label names as its source.
    pub revision: Option<String>,
}

/// Last log lines of a container.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceLog {
    /// The service.
    pub service: String,
    /// The lines, oldest first, without control characters.
    pub lines: Vec<String>,
}

/// Action with its result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActionOutcome {
    /// The action.
    #[serde(flatten)]
    pub action: Action,
    /// The result.
    pub result: ActionResult,
}

/// Hook with its result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HookOutcome {
    /// The hook.
    #[serde(flatten)]
    pub hook: Hook,
    /// The result.
    pub result: ActionResult,
}

/// Result of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectResult {
    /// There was nothing to do.
    Unchanged,
    /// Everything was done.
    Done,
    /// It failed before anything of it was changed.
    NothingChanged,
    /// It failed and was rolled back.
    RolledBack,
    /// It was stopped in the middle: its files are in place, and the next sync does what is owed.
    Interrupted,
    /// It failed, and the rollback failed too or its state is unknown.
    Unknown,
}

/// Result of an action or a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionResult {
    /// It was carried out, and the service is healthy.
    Done,
    /// It was not carried out, and the next sync still owes it.
    Owed,
    /// It could not be carried out, or the service is unhealthy.
    Failed,
    /// It was not reached.
    Skipped,
}

impl Outcome {
    /// The label of what was wanted: its commit, marked if it differs from it.
    #[must_use]
    pub fn label(&self) -> Option<String> {
        self.commit.as_deref().map(|hash| label(hash, self.dirty))
    }

    /// Number of actions that this run has left to the next one.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.hosts.iter().map(HostOutcome::owed).sum()
    }

    /// Exit code: that of the worst host.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.hosts.iter().map(HostOutcome::exit).max_by_key(|exit| severity(*exit)).unwrap_or(Exit::Done)
    }
}

impl HostOutcome {
    /// Number of actions that this run has left to the next one, as `--no-restart` does.
    #[must_use]
    pub fn owed(&self) -> usize {
        let done = self.projects.iter().filter(|project| project.result == ProjectResult::Done);
        let is_owed =
            |done: &&ActionOutcome| done.result == ActionResult::Owed && done.action.kind != ActionKind::None;
        done.flat_map(|project| &project.actions).filter(is_owed).count()
    }

    /// Exit code of this host.
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

/// The exit code of the worse of two hosts; work that is pending counts only where nothing is wrong.
#[must_use]
pub fn worse(one: Exit, other: Exit) -> Exit {
    if severity(one) > severity(other) { one } else { other }
}

/// Rank of an exit code. A host that needs a look outranks everything.
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
