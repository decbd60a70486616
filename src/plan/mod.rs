//! Plans: what would change on the hosts, and why.
//!
//! A plan is a pure value made of facts. [`HostWork`] adds what carrying it out takes. Tests, comments and
//! people read its JSON form, version 2:
//!
//! ```json
//! {"version": 2, "commit": "…", "hosts": [{"name": "web", "projects": [
//!   {"name": "blog", "path": "services/blog", "change": "changed",
//!    "files": [{"path": "services/blog/nginx.conf", "change": "modified"}],
//!    "actions": [{"kind": "restart", "service": "web",
//!                 "reasons": [{"path": "services/blog/nginx.conf", "line": null, "cause": "file", …}]}]}]}]}
//! ```

mod actions;
pub mod age;
pub mod containers;
mod files;
mod host;
mod invalidate;
mod making_way;
mod options;
mod order;
mod partial;
mod problems;
mod shared_files;
mod standings;
mod work;

pub(crate) use actions::shares_namespace;
pub use host::host;
pub use invalidate::{is_unknown, while_acting};
pub use making_way::{held_by_others, may_be_held};
pub use options::{Origin, PlanOptions};
pub use order::circles;
pub use problems::{
    damaged, differs_from_commit, elsewhere, left_to_hosts, no_project_of_hook, no_service_of_hook, rivals,
    same_folder_name, same_name, unset,
};
pub use work::{HostWork, MakesWay, ProjectWork, ServiceImage, SharedWork, WayBack, WellVersion};

use serde::{Deserialize, Serialize};

use crate::base::commit::label;
use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::error::Exit;
use crate::base::manifest::Entry;
use crate::base::path::RootPath;
use crate::compose::model::{BuiltOf, Hook, Reaction, ReadMethod};

/// Version of the JSON form of plans and outcomes.
pub const VERSION: u32 = 2;

/// Plan for every host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// The commit of the wanted tree; `None` outside of git.
    pub commit: Option<String>,
    /// Whether the wanted tree differs from that commit.
    #[serde(default)]
    pub dirty: bool,
    /// The commit that it is compared with, if that is a revision and not a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// One entry per host.
    pub hosts: Vec<HostPlan>,
}

/// Plan for one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostPlan {
    /// The host's name.
    pub name: String,
    /// Notes that belong to no action: drift, projects that have left the repository.
    pub notes: Vec<Diagnostic>,
    /// External networks that are made because the host lacks them and the configuration names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Every project, the unchanged ones too, in the order in which they are brought up.
    pub projects: Vec<ProjectPlan>,
    /// Files outside the projects' folders that projects read; shown with each of their readers.
    #[serde(skip)]
    pub shared: Vec<FileChange>,
}

/// Plan for one project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectPlan {
    /// Its name.
    pub name: String,
    /// Its folder in the repository.
    pub path: String,
    /// Change to it as a whole.
    pub change: ProjectChange,
    /// Images that have to be built for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageToBuild>,
    /// Its compose files by their paths in the repository, each merged over the one before.
    #[serde(skip)]
    pub compose_files: Vec<String>,
    /// Its files that change, and changed files outside its folder that it reads.
    pub files: Vec<FileChange>,
    /// Actions of its services, in order.
    pub actions: Vec<Action>,
    /// Actions that stay owed, because their services do not take part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<Action>,
    /// Hooks that run before and after them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// Why it cannot be deployed; unless empty, nothing in it is touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Diagnostic>,
    /// Projects that are brought up before it.
    #[serde(skip)]
    pub after: Vec<String>,
}

/// Image that has to be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageToBuild {
    /// The service.
    pub service: String,
    /// What it is built from.
    #[serde(flatten)]
    pub of: BuiltOf,
    /// Its name in the compose file.
    pub image: Option<String>,
}

/// Change to a project as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProjectChange {
    /// The host does not have it yet.
    Added,
    /// Files differ or actions are owed.
    Changed,
    /// It is no longer in the repository.
    Removed,
    /// Nothing to do.
    Unchanged,
}

/// Change to one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileChange {
    /// Its path in the repository.
    pub path: String,
    /// The kind of change.
    pub change: FileChangeKind,
    /// Its path below the root.
    #[serde(skip)]
    pub at: RootPath,
    /// The entry that the host has there now.
    #[serde(skip)]
    pub before: Option<Entry>,
    /// The wanted entry; `None`: the file is removed.
    #[serde(skip)]
    pub after: Option<Entry>,
    /// Whether it is written in place: a container that only gets a signal, a command or nothing keeps the
    /// inode of a single-file mount.
    #[serde(skip)]
    pub in_place: bool,
}

/// Kind of a change to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileChangeKind {
    /// The host does not have it yet.
    Added,
    /// The content differs from what was deployed last.
    Modified,
    /// It is no longer wanted.
    Removed,
    /// Only the executable bit differs.
    Mode,
    /// The host's version is neither what was deployed last nor what is wanted; a copy of it is kept.
    Drift,
    /// An unmanaged file with other content is in the way.
    Conflict,
}

/// Action of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// What is done.
    #[serde(flatten)]
    pub kind: ActionKind,
    /// The service; `None` for `down` only.
    pub service: Option<String>,
    /// Its causes; at least one.
    pub reasons: Vec<Reason>,
}

/// Kind of an action, with what it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ActionKind {
    /// `docker compose build`, followed by an `up`.
    Build,
    /// `docker compose up -d`.
    Up,
    /// `docker compose restart`.
    Restart,
    /// `docker compose up -d --force-recreate`.
    Recreate,
    /// `docker compose kill -s`.
    Signal {
        /// The signal, such as `SIGHUP`.
        signal: String,
    },
    /// `docker compose exec -T`.
    Exec {
        /// The command and its arguments.
        argv: Vec<String>,
    },
    /// Nothing: the service notices the change by itself.
    None,
    /// Its containers are stopped and removed.
    Remove,
    /// `docker compose down`, volumes kept.
    Down,
}

impl ActionKind {
    /// The word in the JSON form.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Up => "up",
            Self::Restart => "restart",
            Self::Recreate => "recreate",
            Self::Signal { .. } => "signal",
            Self::Exec { .. } => "exec",
            Self::None => "none",
            Self::Remove => "remove",
            Self::Down => "down",
        }
    }
}

impl From<&Reaction> for ActionKind {
    fn from(reaction: &Reaction) -> Self {
        match reaction {
            Reaction::Restart => Self::Restart,
            Reaction::Recreate => Self::Recreate,
            Reaction::Signal(signal) => Self::Signal { signal: signal.clone() },
            Reaction::Exec(argv) => Self::Exec { argv: argv.clone() },
            Reaction::None => Self::None,
        }
    }
}

/// Cause of an action and its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// The file.
    pub path: String,
    /// The line in it, where one line is the cause; `None` for the content as a whole.
    pub line: Option<usize>,
    /// How the service reads that file; `None` for its definition and for other causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<ReadMethod>,
    /// The line of the compose file that makes the service read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Location>,
    /// The kind of cause, with what else belongs to it.
    #[serde(flatten)]
    pub cause: Cause,
}

impl Reason {
    /// A cause at one line of a compose file.
    #[must_use]
    pub fn at(place: &Location, cause: Cause) -> Self {
        Self { path: place.path.clone(), line: Some(place.line), how: None, by: None, cause }
    }
}

/// Cause of an action: the `cause` of a reason in the JSON form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "lowercase")]
pub enum Cause {
    /// `file`: the content of a file that the service reads differs.
    File {
        /// Variables that only the host knows and that decide whether the service reads it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unknown: Vec<String>,
    },
    /// `definition`: the compose files define the service otherwise.
    Definition {
        /// In which way.
        #[serde(default, skip_serializing_if = "DefinitionChange::is_plain")]
        change: DefinitionChange,
    },
    /// `image`: the reference leads to another image.
    Image {
        /// The reference in the compose file.
        reference: String,
        /// Id or digest of the image that runs.
        from: String,
        /// Id or digest of the image that is to run.
        to: String,
    },
    /// `new`: the host does not have it yet.
    New {
        /// The project as a whole, or a service of a known one.
        what: NewPart,
    },
    /// `forced`: `--force` was given.
    Forced,
    /// `owed`: an earlier run put the files in place and did not finish.
    Owed {
        /// The release that changed the project last, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<u64>,
    },
    /// `follows`: another service of the project acts.
    Follows {
        /// That service.
        service: String,
        /// The relation between the two.
        relation: Relation,
    },
    /// `drift`: a file that the service reads was changed on the host.
    Drift,
    /// `taken_over`: its container was started in another folder.
    #[serde(rename = "taken_over")]
    TakenOver {
        /// That folder on the host.
        from: String,
    },
    /// `missing`: a container that should run is not there, or has ended although it should not.
    Missing {
        /// In which way.
        container: Lack,
    },
}

impl Cause {
    /// A changed file that the service certainly reads.
    #[must_use]
    pub fn file() -> Self {
        Self::File { unknown: Vec::new() }
    }

    /// A definition that differs and that a plain `up` applies.
    #[must_use]
    pub fn definition() -> Self {
        Self::Definition { change: DefinitionChange::Plain }
    }
}

/// Way in which a definition differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefinitionChange {
    /// `docker compose up` sees and applies it.
    #[default]
    Plain,
    /// `docker compose up` does not see it: inline `configs`.
    Unseen,
    /// Another number of containers: `scale`, `deploy.replicas`.
    Scale,
    /// Another version of ghdeploy recorded it with other digests; `docker compose up` decides.
    Unknown,
    /// The service is no longer in the compose files.
    ServiceRemoved,
    /// The project is no longer in the repository, or was not in the release that is restored.
    ProjectRemoved,
}

impl DefinitionChange {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}

/// What a host does not have yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewPart {
    /// The whole project.
    Project,
    /// A service of a project that it has.
    Service,
}

/// Why a service follows another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// It waits for that one-shot to complete.
    WaitsForCompletion,
    /// Its `depends_on` says `restart: true`.
    RestartsWith,
    /// It uses a namespace of that one: `network_mode`, `pid`, `ipc`.
    SharesNamespace,
    /// It uses the volumes of that one: `volumes_from`.
    SharesVolumes,
}

/// Way in which a container does not run that should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Lack {
    /// The service has none.
    Absent,
    /// The service has fewer than it should.
    Fewer {
        /// How many it should have.
        wanted: u32,
        /// How many it has.
        found: u32,
    },
    /// It was made and never started.
    NeverStarted,
    /// Docker failed to start it, although its restart policy asks for that.
    StartFailed,
    /// It exited again and again, and Docker no longer restarts it.
    GaveUp {
        /// The last exit status.
        exit_code: i64,
    },
    /// Docker could not remove it entirely.
    Dead,
    /// It uses a namespace of a container that no longer exists.
    LostNamespace,
}

impl Plan {
    /// The label of the wanted tree: its commit, marked if the tree differs from it.
    #[must_use]
    pub fn label(&self) -> Option<String> {
        self.commit.as_deref().map(|hash| label(hash, self.dirty))
    }

    /// How a command that shows the plan ends. Problems at which a sync would stop count as its failure; with
    /// `exit_code` so does work that is pending.
    #[must_use]
    pub fn exit(&self, exit_code: bool) -> Exit {
        if self.hosts.iter().flat_map(|host| &host.projects).any(|project| !project.problems.is_empty()) {
            Exit::Usage
        } else if exit_code && !self.is_empty() {
            Exit::Pending
        } else {
            Exit::Done
        }
    }

    /// How a dry run ends: at problems as the run itself would.
    #[must_use]
    pub fn exit_of_dry_run(&self, exit_code: bool) -> Exit {
        match self.exit(exit_code) {
            Exit::Usage => Exit::RolledBack,
            exit => exit,
        }
    }

    /// Whether there is nothing to do on any host.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.iter().all(HostPlan::is_empty)
    }
}

impl FileChange {
    /// The path in the repository of a folder above the file. `path` is the folder's path below the root.
    #[must_use]
    pub fn shown_above(&self, path: &RootPath) -> String {
        format!("{}{path}", self.path.strip_suffix(self.at.as_str()).unwrap_or_default())
    }
}

impl HostPlan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.projects.iter().all(ProjectPlan::is_empty)
    }
}

impl ProjectPlan {
    /// Whether there is nothing to do. A removed project that is only reported counts as nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.actions.is_empty() && self.problems.is_empty()
    }

    /// Blocks it: nothing in it is touched, for these reasons.
    pub fn block(&mut self, problems: Vec<Diagnostic>) {
        self.problems.extend(problems);
        self.actions.clear();
        self.hooks.clear();
    }

    /// Whether images have to be built for it, and may be: of a project that cannot be deployed, none is.
    #[must_use]
    pub fn builds(&self) -> bool {
        !self.images.is_empty() && self.problems.is_empty()
    }
}
