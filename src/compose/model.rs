//! What the reader finds out about a project. Values only.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::path::RootPath;

/// A project as Compose would load it from its folder.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder.
    pub dir: RootPath,
    /// Compose's project name: `COMPOSE_PROJECT_NAME`, `name:` or the normalised folder name.
    pub name: String,
    /// Where `name:` stands, if that is where it comes from.
    pub name_at: Option<Location>,
    /// Every file whose content makes the model: compose files, overrides, `.env`, files that are
    /// extended or included. Also those that are read if present but do not exist in the tree.
    pub definition_files: Vec<DefinitionFile>,
    /// The compose files that Compose reads, one over the other.
    pub compose_files: Vec<RootPath>,
    /// The services by name, inactive ones (profiles) included.
    pub services: BTreeMap<String, Service>,
    /// Names of networks (as Docker sees them) that this project creates.
    pub owned_networks: Vec<String>,
    /// Names of networks (as Docker sees them) that must exist before it starts (`external: true`).
    pub external_networks: Vec<String>,
    /// The top-level `x-ghdeploy`.
    pub settings: ProjectSettings,
    /// Everything wrong or doubtful. A project with an error must not be deployed.
    pub diagnostics: Vec<Diagnostic>,
}

/// A file that takes part in the model of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionFile {
    /// The file.
    pub path: RootPath,
    /// Whether the tree holds it. A `.env` that only the host has is listed as absent.
    pub present: bool,
}

/// The top-level `x-ghdeploy` of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectSettings {
    /// Names of the hosts that run it; empty: those whose `projects` match.
    pub hosts: Vec<String>,
    /// Projects that must be up before this one.
    pub after: Vec<String>,
    /// Where those are named.
    pub after_at: Option<Location>,
    /// What runs before its containers are replaced and after its services are well, in order.
    pub hooks: Vec<Hook>,
}

/// A command that goes with a deploy of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// When it runs.
    pub when: When,
    /// The service: the hook runs when this one is started anew.
    pub service: String,
    /// Where it runs.
    pub kind: HookKind,
    /// The command and its arguments. They may hold what is nobody's business, so no result shows them.
    #[serde(skip)]
    pub argv: Vec<String>,
    /// How long it may take, in seconds.
    #[serde(skip)]
    pub timeout_secs: u64,
    /// Where it stands.
    #[serde(skip)]
    pub at: Location,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Before any container of the project is replaced.
    Before,
    /// Once all its services are well.
    After,
}

/// Where a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookKind {
    /// In a container of its own, made of the new image and definition.
    Run,
    /// In the container of the service.
    Exec,
}

impl Hook {
    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.when {
            When::Before => "hook `before`",
            When::After => "hook `after`",
        }
    }
}

/// A service of a project.
#[derive(Debug, Clone)]
pub struct Service {
    /// Where its key stands in the compose file that names it last.
    pub at: Location,
    /// Whether it is started by a plain `up`: no profiles, or one that is active. (That an active
    /// service needs it does not start it: Compose refuses such a project.)
    pub active: bool,
    /// Hex sha256 of the merged, normalised definition as Compose's own hash would see it (without
    /// build, pull_policy, scale, depends_on, profiles), with the content of its env files.
    pub definition: String,
    /// Every place of the files that make this definition, the main compose file first: the reasons
    /// to show when `definition` changes.
    pub defined_at: Vec<Location>,
    /// Hex sha256 of what its containers are made of that Compose's hash leaves out, so that only a
    /// recreate brings it: inline `content:`/`environment:` of its configs and secrets, the files
    /// that the others come from, the names of its networks and volumes. `None` without any.
    pub unhashed: Option<String>,
    /// The files and directories it reads. Where an unknown variable decides, those that it may be:
    /// the folder before the variable, or what the tree has by the name that follows it.
    pub reads: Vec<Read>,
    /// Bind sources outside the root, or that hold a variable only the host knows: text after
    /// interpolation (unknown variables stay `${NAME}`), and the line.
    pub host_binds: Vec<(String, Location)>,
    /// The image reference after interpolation.
    pub image: Option<String>,
    /// Where that stands.
    pub image_at: Option<Location>,
    /// The name of its container, if it has one of its own, and where that stands.
    pub container_name: Option<(String, Location)>,
    /// The ports of the host that it asks for, as far as they are known.
    pub ports: Vec<Port>,
    /// Hex sha256 of `build:`, without the content of what it names; `None` when it is not built.
    pub build: Option<String>,
    /// What its image is built of; `None` when it is not built.
    pub built_of: Option<BuiltOf>,
    /// Whether it asks for no container at all (`scale: 0`, `deploy: {replicas: 0}`).
    pub scaled_to_zero: bool,
    /// What it waits for.
    pub depends_on: BTreeMap<String, Dependency>,
    /// What a change of its inputs means (`x-ghdeploy` of the service).
    pub on_change: OnChange,
    /// Names of variables that the tree does not define and that have no default: only the host
    /// may know them.
    pub unknown_variables: Vec<String>,
}

/// What an image is built of, with paths as in the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltOf {
    /// The folder that the build sees, or the address of one.
    pub context: String,
    /// The Dockerfile; `None`: it is written in the compose file, or lies in a context that is no folder here.
    pub dockerfile: Option<String>,
    /// The stage of it that is the image.
    pub target: Option<String>,
}

/// A published port, or any free one of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The address; empty for all.
    pub host_ip: String,
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The line that says so.
    pub at: Location,
}

/// One entry of `depends_on`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dependency {
    /// What it waits for.
    pub condition: Condition,
    /// `restart: true`: Compose restarts this service with its dependency.
    pub restart: bool,
    /// `required: false` tolerates its absence.
    pub required: bool,
}

/// Condition under which a dependency counts as met
/// ([`depends_on`](https://docs.docker.com/reference/compose-file/services/#depends_on)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// `service_started`.
    #[default]
    Started,
    /// `service_healthy`.
    Healthy,
    /// `service_completed_successfully`.
    Completed,
    /// A word that this version does not know.
    Other(String),
}

impl Condition {
    /// Reads the condition in Compose's word.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "service_started" => Self::Started,
            "service_healthy" => Self::Healthy,
            "service_completed_successfully" => Self::Completed,
            word => Self::Other(word.to_owned()),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::Completed => "service_completed_successfully",
            Self::Other(word) => word,
        })
    }
}

/// A file or directory that a service reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The path below the root. For a directory everything below it counts.
    pub path: RootPath,
    /// How it is read.
    pub how: How,
    /// The line that says so.
    pub at: Location,
    /// What the tree holds there; `None` when nothing: only the host may have it.
    pub kind: Option<super::NodeKind>,
    /// Where the container sees it (binds, configs, secrets).
    pub target: Option<String>,
    /// Whether its absence is allowed (`env_file: required: false`).
    pub required: bool,
    /// Names of variables that only the host knows and that decide whether it is this path. Then it
    /// may be, so a change of it acts.
    pub unknown: Vec<String>,
    /// What it does not see below the path: of a build context what `.dockerignore` names.
    pub ignored: super::Ignored,
}

impl Read {
    /// A read of which no more is known: nothing need be there.
    #[must_use]
    pub fn new(path: RootPath, how: How, at: Location) -> Self {
        let (kind, target, required) = (None, None, false);
        Self {
            path,
            how,
            at,
            kind,
            target,
            required,
            unknown: Vec::new(),
            ignored: super::Ignored::default(),
        }
    }

    /// Whether it takes in the content at `path`.
    #[must_use]
    pub fn covers(&self, path: &RootPath) -> bool {
        path.relative_to(&self.path).is_some_and(|below| !self.ignored.hides(below))
    }
}

/// How a service reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// A bind mount, also through a volume with `driver_opts.device`.
    Bind,
    /// `configs:` with `file:`.
    Config,
    /// `secrets:` with `file:`.
    Secret,
    /// `env_file:`; part of the definition.
    EnvFile,
    /// `label_file:`; part of the definition.
    LabelFile,
    /// Build context, Dockerfile or additional context.
    Build,
}

impl How {
    /// Whether Compose does not watch the content, so that an action is ours to owe.
    #[must_use]
    pub fn is_input(self) -> bool {
        matches!(self, Self::Bind | Self::Config | Self::Secret)
    }
}

/// What a change of a service's inputs means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnChange {
    /// For every path that `paths` does not name.
    pub default: Reaction,
    /// Globs relative to the project's folder, most specific first, each with its own reaction.
    pub paths: Vec<(String, Reaction)>,
}

/// How a running service takes up new content.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reaction {
    /// `docker compose restart`.
    #[default]
    Restart,
    /// `docker compose up -d --force-recreate`.
    Recreate,
    /// `docker compose kill -s SIGNAL`.
    Signal(String),
    /// `docker compose exec -T SERVICE ARGV…`.
    Exec(Vec<String>),
    /// It watches the file itself.
    None,
}
