//! Results of the commands that change nothing: `explain`, `status`, `diff`, `history`, `doctor`, `check`.
//!
//! Owns their shape. Pure values, which `deploy` and `cli` produce and `report` shows.

use serde::Serialize;

use crate::base::diagnostic::{Diagnostic, Location};
use crate::compose::model::{ReadMethod, VariableNeed};
use crate::outcome::history::Release;
use crate::plan::{ActionKind, FileChangeKind};
use crate::state::container::{ContainerState, HealthStatus, PublishedPort};

/// Result of `explain`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanations {
    /// One per path.
    pub paths: Vec<Explanation>,
}

/// Readers of one path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The path in the repository, as it was given.
    pub path: String,
    /// Whether the tree holds it.
    pub known: bool,
    /// Whether it is synced to a host; `false`: it is ignored or lies outside of every project.
    pub managed: bool,
    /// Its readers, in the order of projects and services.
    pub readers: Vec<PathReader>,
    /// What only a host can decide about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Service that reads a path.
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
    /// The action that a change of the path causes.
    #[serde(flatten)]
    pub kind: ActionKind,
    /// A condition in words: `only if ${DATA_DIR} leads there on the host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Condition under which a service reads a path with variables that only the host knows.
#[must_use]
pub fn if_host_variables(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|variable| format!("${{{variable}}}")).collect();
    format!("only if {} leads there on the host", names.join(" and "))
}

/// Way in which a service reads a path: [`ReadMethod`], or as a part of its definition.
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
    /// Its word in the JSON form.
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

/// Result of `status`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// One per host.
    pub hosts: Vec<HostStatus>,
}

/// Release, projects and containers of one host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostStatus {
    /// The host's name.
    pub name: String,
    /// Its current release; `None` before the first.
    pub release: Option<u64>,
    /// The commit of that release; `None` outside of git.
    pub commit: Option<String>,
    /// Time of that release, in RFC 3339; `None` before the first.
    pub deployed_at: Option<String>,
    /// How long ago that was, in seconds, by the clock of this machine.
    #[serde(skip)]
    pub deployed_secs_ago: Option<u64>,
    /// The repository that it was deployed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Its projects by name.
    pub projects: Vec<ProjectStatus>,
    /// Causes why something could not be read, and what is in the way of a deployed project.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Diagnostic>,
    /// Whether something could not be read.
    #[serde(skip)]
    pub is_unknown: bool,
}

/// Release, drift, owed actions and containers of one project.
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
    /// The release that a rollback left, until something else is deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// Managed files, below the root, that were changed on the host.
    pub drift: Vec<String>,
    /// Actions that an earlier run did not finish.
    pub owed: Vec<OwedAction>,
    /// Its services, those without a container included, by name.
    pub services: Vec<ServiceStatus>,
    /// Its containers.
    pub containers: Vec<ContainerStatus>,
}

/// State of a service: what is expected of its containers, and whether they meet that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceStatus {
    /// The service.
    pub service: String,
    /// How many containers it should have; `None`: the number is unknown, but at least one.
    pub expected: Option<u32>,
    /// How many it has.
    pub containers: usize,
    /// The worst condition of any of them.
    pub condition: ServiceCondition,
}

/// Condition of a service, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceCondition {
    /// It has a container although no active service of the compose files has this name.
    Unexpected,
    /// No container is wanted.
    ScaledToZero,
    /// A provider takes the place of its containers.
    Provided,
    /// It has completed, as a one-shot does.
    Completed,
    /// It runs, and its healthcheck passes if it has one.
    Running,
    /// It runs, and its healthcheck has not passed yet.
    Starting,
    /// Somebody has paused it.
    Paused,
    /// Somebody has stopped it.
    Stopped,
    /// It exits, and Docker restarts it.
    Restarting,
    /// It runs, and its healthcheck fails.
    Unhealthy,
    /// Its container was never started.
    NotStarted,
    /// It has failed.
    Failed,
    /// It has no container, or too few.
    Missing,
}

impl ServiceCondition {
    /// Whether nobody has to look at it.
    #[must_use]
    pub fn is_good(self) -> bool {
        self <= Self::Starting
    }

    /// Its words in a text.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Unexpected => "not in use",
            Self::ScaledToZero => "scaled to 0",
            Self::Provided => "has a provider",
            Self::Completed => "completed",
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Restarting => "restarting",
            Self::Unhealthy => "unhealthy",
            Self::NotStarted => "not started",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

impl Status {
    /// Whether every host could be asked and is as it should be: no drift, nothing owed, every service in good
    /// condition.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let is_good = |project: &ProjectStatus| {
            project.drift.is_empty()
                && project.owed.is_empty()
                && project.services.iter().all(|service| service.condition.is_good())
        };
        self.hosts.iter().all(|host| host.problems.is_empty() && host.projects.iter().all(is_good))
    }
}

/// Action that the next sync will carry out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OwedAction {
    /// The service.
    pub service: String,
    /// The kind.
    #[serde(flatten)]
    pub kind: ActionKind,
}

/// State of a container, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerStatus {
    /// The service that it belongs to.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: ContainerState,
    /// The result of its healthcheck; `None` without one.
    pub health: Option<HealthStatus>,
    /// Time of its start, in RFC 3339.
    pub since: Option<String>,
    /// The image reference that it was made from.
    pub image: String,
    /// The exit status, if it has exited.
    pub exit_code: Option<i64>,
    /// For how long it has been in that state, in Docker's words: `3 hours`.
    pub age: Option<String>,
    /// The ports of the host that it publishes.
    pub ports: Vec<PublishedPort>,
}

impl ContainerStatus {
    /// Whether it runs, and its healthcheck passes if it has one.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.state == ContainerState::Running
            && self.health.as_ref().is_none_or(|health| *health == HealthStatus::Healthy)
    }
}

/// Result of `diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiffReport {
    /// One per host.
    pub hosts: Vec<HostDiff>,
}

/// Differing files of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostDiff {
    /// The host's name.
    pub name: String,
    /// The files that differ, by path.
    pub files: Vec<FileDiff>,
    /// Causes why they could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Diagnostic>,
}

/// Difference of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDiff {
    /// Its path in the repository.
    pub path: String,
    /// The change that a sync would make.
    pub change: FileChangeKind,
    /// The unified diff from the host's content to the wanted one; `None` if it is not shown.
    pub diff: Option<String>,
    /// The reason why the diff is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Result of `history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct History {
    /// One per host.
    pub hosts: Vec<HostHistory>,
}

/// Releases of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostHistory {
    /// The host's name.
    pub name: String,
    /// Its releases, the last one first.
    pub releases: Vec<PastRelease>,
    /// Whether only those of some projects are listed.
    #[serde(skip)]
    pub is_selection: bool,
    /// Causes why they could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Diagnostic>,
}

/// Release, and whether `rollback` can restore it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PastRelease {
    /// The release.
    #[serde(flatten)]
    pub release: Release,
    /// Whether the host keeps it, so that `rollback` can restore it.
    #[serde(rename = "kept")]
    pub is_kept: bool,
}

/// Result of `doctor`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checkup {
    /// One per host.
    pub hosts: Vec<HostCheckup>,
}

/// Result of `doctor` for one host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostCheckup {
    /// The host's name.
    pub name: String,
    /// The checks, in order.
    pub steps: Vec<CheckupStep>,
    /// Its engine, if it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineFacts>,
}

/// Engine of a host, and how `docker` reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineFacts {
    /// Its kind.
    pub kind: EngineKind,
    /// Its version: `28.5.2`.
    pub version: String,
    /// Whether it runs without the rights of root.
    pub rootless: bool,
    /// Its address, without a password: `unix:///var/run/docker.sock`.
    pub address: String,
    /// What names the address: `default`, `DOCKER_HOST`, `context` or `ghdeploy.yml`.
    pub named_by: &'static str,
    /// The context that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Whether it is on another machine than the host.
    pub elsewhere: bool,
    /// The parts of Docker's interface that a proxy refuses: `POST /containers`.
    pub refused: Vec<&'static str>,
}

/// Kind of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// Docker Engine.
    Docker,
    /// Podman, through its socket that speaks Docker's language.
    Podman,
}

/// One check of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckupStep {
    /// Its subject: `docker compose`.
    pub what: String,
    /// The result.
    pub result: CheckupResult,
    /// The finding: `2.26.1`.
    pub detail: String,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Result of one check of `doctor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckupResult {
    /// As it must be.
    Ok,
    /// A sync works; something else may not.
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

/// Result of `check`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// Number of projects.
    pub projects: usize,
    /// Number of their services.
    pub services: usize,
    /// All errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// The variables that hosts must define, by project.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<ProjectVariables>,
    /// Folders that would be projects by their place and are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOutFolder>,
}

/// Variables that the compose files of a project refer to and the repository does not define.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProjectVariables {
    /// The project.
    pub project: String,
    /// The variables by name.
    pub variables: Vec<VariableUse>,
}

/// Use of a variable that the repository does not define.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VariableUse {
    /// The variable.
    pub name: String,
    /// What the compose files need of it.
    pub need: VariableNeed,
    /// The first place that needs it so.
    pub at: Location,
}

/// Folder with a compose file that is no project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LeftOutFolder {
    /// Its path in the repository.
    pub path: String,
    /// Why: the part of the path that begins with `.` or `_`, or `!` for a pattern in `services`.
    pub by: String,
}

impl CheckReport {
    /// Whether every project can be deployed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}
