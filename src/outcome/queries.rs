//! What the commands that change nothing answer: `explain`, `status`, `diff`, `history`, `doctor`, `check`.
//!
//! Owns the shape of those answers. Pure values; who finds them out and who shows them is elsewhere.

use serde::Serialize;

use crate::base::diagnostic::{Diagnostic, Location};
use crate::compose::model::ReadMethod;
use crate::outcome::history::Release;
use crate::plan::{ActionKind, FileChangeKind};
use crate::state::container::{ContainerState, HealthStatus};

/// What `explain` says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanations {
    /// One per path.
    pub paths: Vec<Explanation>,
}

/// What `explain` says about one path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The path in the repository, as asked for.
    pub path: String,
    /// Whether the tree holds it.
    pub known: bool,
    /// Whether it is synced to a host; `false`: it is ignored or lies outside of every project.
    pub managed: bool,
    /// Who reads it, in the order of projects and services.
    pub readers: Vec<PathReader>,
}

/// A service that reads a path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathReader {
    /// The project.
    pub project: String,
    /// The service.
    pub service: String,
    /// How it reads the path.
    pub how: Reading,
    /// The line that says so.
    pub at: Location,
    /// What a change of the path would do.
    #[serde(flatten)]
    pub kind: ActionKind,
    /// In words, what the rest does not say: `only if ${DATA_DIR} leads there on the host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The condition under which a service reads a path that contains variables which only the host knows.
#[must_use]
pub fn if_host_variables(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|variable| format!("${{{variable}}}")).collect();
    format!("only if {} leads there on the host", names.join(" and "))
}

/// How a service reads a path: [`ReadMethod`], or as a part of its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// A compose file, an override, a `.env`, a file that is extended or included.
    Definition,
    /// A bind mount.
    Bind,
    /// `configs:` with `file:`.
    Config,
    /// `secrets:` with `file:`.
    Secret,
    /// `env_file:`.
    EnvFile,
    /// `label_file:`.
    LabelFile,
    /// Build context, Dockerfile or additional context.
    Build,
}

impl Reading {
    /// The word in the JSON form.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Definition => "definition",
            Self::Bind => "bind",
            Self::Config => "config",
            Self::Secret => "secret",
            Self::EnvFile => "env_file",
            Self::LabelFile => "label_file",
            Self::Build => "build",
        }
    }
}

impl From<ReadMethod> for Reading {
    fn from(how: ReadMethod) -> Self {
        match how {
            ReadMethod::Bind => Self::Bind,
            ReadMethod::Config => Self::Config,
            ReadMethod::Secret => Self::Secret,
            ReadMethod::EnvFile => Self::EnvFile,
            ReadMethod::LabelFile => Self::LabelFile,
            ReadMethod::Build => Self::Build,
        }
    }
}

/// What `status` says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// One a host.
    pub hosts: Vec<HostStatus>,
}

/// What is deployed on one host and how it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostStatus {
    /// The host's name.
    pub name: String,
    /// The release that it is at; `None` before the first.
    pub release: Option<u64>,
    /// The commit of that release; `None` outside of git.
    pub commit: Option<String>,
    /// When that release was applied, in RFC 3339; `None` before the first.
    pub deployed_at: Option<String>,
    /// Its projects by name.
    pub projects: Vec<ProjectStatus>,
    /// Why nothing, or not all, could be found out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Diagnostic>,
}

/// What is deployed of one project and how it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProjectStatus {
    /// The project.
    pub name: String,
    /// Its folder below the root.
    pub path: String,
    /// The release that changed it last.
    pub release: Option<u64>,
    /// The commit of that release; `None` outside of git.
    pub commit: Option<String>,
    /// The release that a rollback went back from, while nothing else was deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// Managed files, below the root, that are not as they were deployed.
    pub drift: Vec<String>,
    /// Actions that an earlier run did not finish.
    pub owed: Vec<OwedAction>,
    /// Its containers.
    pub containers: Vec<ContainerStatus>,
}

/// An action that the next sync will carry out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OwedAction {
    /// The service.
    pub service: String,
    /// The kind.
    #[serde(flatten)]
    pub kind: ActionKind,
}

/// A container as Docker describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerStatus {
    /// The service that it belongs to.
    pub service: String,
    /// Its name.
    pub name: String,
    /// What it does now.
    pub state: ContainerState,
    /// The result of its healthcheck; `None` without one.
    pub health: Option<HealthStatus>,
    /// When it was started, in RFC 3339.
    pub since: Option<String>,
    /// The image reference that it was made from.
    pub image: String,
}

impl ContainerStatus {
    /// Whether it runs and no healthcheck says otherwise.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.state == ContainerState::Running
            && self.health.as_ref().is_none_or(|health| *health == HealthStatus::Healthy)
    }
}

/// What `diff` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiffReport {
    /// One a host.
    pub hosts: Vec<HostDiff>,
}

/// How the files of one host differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostDiff {
    /// The host's name.
    pub name: String,
    /// The files that differ, by path.
    pub files: Vec<FileDiff>,
    /// Why they could not be found out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Diagnostic>,
}

/// How one file differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDiff {
    /// Where it lies in the repository.
    pub path: String,
    /// What a sync would do to it.
    pub change: FileChangeKind,
    /// The unified diff from what the host has to what is wanted; `None` when it is not shown.
    pub diff: Option<String>,
    /// Why the diff is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What `history` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct History {
    /// One a host.
    pub hosts: Vec<HostHistory>,
}

/// The releases of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostHistory {
    /// The host's name.
    pub name: String,
    /// Its releases, the last one first.
    pub releases: Vec<PastRelease>,
    /// Why they could not be found out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Diagnostic>,
}

/// A release, and whether there is a way back to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PastRelease {
    /// The release.
    #[serde(flatten)]
    pub release: Release,
    /// Whether the host keeps it, so that `rollback` can go back to it.
    #[serde(rename = "kept")]
    pub is_kept: bool,
}

/// What `doctor` says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checkup {
    /// One a host.
    pub hosts: Vec<HostCheckup>,
}

/// What `doctor` says about one host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostCheckup {
    /// The host's name.
    pub name: String,
    /// What was looked at, in order.
    pub steps: Vec<CheckupStep>,
}

/// One thing that `doctor` looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckupStep {
    /// What was looked at: `docker compose`.
    pub what: String,
    /// How it is.
    pub result: CheckupResult,
    /// What was found: `2.26.1`.
    pub detail: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// How something is that `doctor` looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckupResult {
    /// As it must be.
    Ok,
    /// A sync works, and something else may not.
    Warning,
    /// A sync would fail.
    Failed,
}

impl Checkup {
    /// Whether a sync to every host can work.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.hosts.iter().flat_map(|host| &host.steps).all(|step| step.result != CheckupResult::Failed)
    }
}

/// What `check` says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// How many projects were read.
    pub projects: usize,
    /// How many services they have.
    pub services: usize,
    /// Everything wrong or doubtful.
    pub diagnostics: Vec<Diagnostic>,
}

impl CheckReport {
    /// Whether every project can be deployed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}
