//! Model of a project, as the reader returns it. Values only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::path::RootPath;
use crate::config::compose_files::ComposeFiles;

/// Project as Compose would load it from its folder.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder.
    pub dir: RootPath,
    /// Compose's project name: `COMPOSE_PROJECT_NAME`, `name:` or the normalised folder name.
    pub name: String,
    /// Location of `name:`, if the name comes from there.
    pub name_at: Option<Location>,
    /// The `.env` whose `COMPOSE_PROJECT_NAME` decides over `name:`, as messages show it; `None`: none does.
    pub named_in: Option<String>,
    /// The files that the model is made of: compose files, overrides, `.env`, files that are extended or
    /// included. Includes files that would be read but do not exist in the tree.
    pub definition_files: Vec<DefinitionFile>,
    /// Those of them that `include` names.
    pub included: BTreeSet<RootPath>,
    /// The compose files that Compose merges, in their order.
    pub compose_files: Vec<RootPath>,
    /// The compose and env files of the configuration, as far as they exist.
    pub options: ComposeFiles,
    /// The env files among them, in the place of `.env`, as far as they are below the root.
    pub env_files: Vec<RootPath>,
    /// Whether `COMPOSE_FILE` or the configuration names them. Otherwise they have Compose's default names.
    pub are_named: bool,
    /// Whether a `.env` that only the host has decides with what it says to Compose.
    pub follows_host: bool,
    /// The folder that relative paths start from. Compose labels its containers with it.
    pub working_dir: RootPath,
    /// The services by name, including those that no profile activates.
    pub services: BTreeMap<String, Service>,
    /// Names of networks (as Docker sees them) that this project creates.
    pub owned_networks: Vec<String>,
    /// Names of networks (as Docker sees them) that must exist before it starts (`external: true`).
    pub external_networks: Vec<String>,
    /// The volumes that active services use, and their networks that are external or have settings.
    pub resources: Vec<Resource>,
    /// The variables that the compose files refer to and the tree does not define, by name.
    pub undefined_variables: BTreeMap<String, UndefinedVariable>,
    /// The top-level `x-ghdeploy`.
    pub settings: ProjectSettings,
    /// Errors and warnings. A project with an error must not be deployed.
    pub diagnostics: Vec<Diagnostic>,
}

impl Project {
    /// Whether a host may have a `.env` of its own for it, because the tree has none.
    #[must_use]
    pub fn has_host_env(&self) -> bool {
        self.definition_files.iter().any(|file| !file.present && file.path.file_name() == ".env")
    }

    /// Whether `COMPOSE_FILE` in a `.env` that only a host has may name a file, by its place and name.
    #[must_use]
    pub fn may_be_named(&self, path: &RootPath) -> bool {
        let name = path.file_name();
        let is_yaml = name.ends_with(".yml") || name.ends_with(".yaml");
        self.has_host_env()
            && path.parent().as_ref() == Some(&self.dir)
            && (name.starts_with("compose") || name.starts_with("docker-compose"))
            && is_yaml
            && !self.definition_files.iter().any(|file| file.path == *path)
    }
}

/// Variable that compose files refer to and that only a host may define.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndefinedVariable {
    /// The most that any of them needs of it.
    pub need: VariableNeed,
    /// The first place that needs it so.
    pub at: Location,
}

/// What a reference to a variable needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableNeed {
    /// Nothing: it has a default (`${X:-d}`), or says what takes its place (`${X:+r}`).
    Nothing,
    /// A value (`$X`, `${X}`). Compose takes an empty text for one that is not set.
    Value,
    /// A value that may be empty (`${X?message}`).
    Required,
    /// A value that is not empty (`${X:?message}`).
    NotEmpty,
}

/// Network or volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// `network` or `volume`.
    pub kind: &'static str,
    /// Its key in the compose file.
    pub key: String,
    /// Its name in Docker.
    pub name: String,
    /// Whether a variable that only the host may define counts in that name.
    pub is_named_by_host: bool,
    /// The name as the compose file writes it, if it does. It may be shown; values of variables may not.
    pub name_written: Option<String>,
    /// Whether it must exist (`external: true`).
    pub is_external: bool,
    /// Its settings: `driver`, `driver_opts.o`, `labels.x`, `subnet`, `internal`, `attachable`, `enable_ipv6`.
    /// `None`: only the host knows the value.
    pub settings: Vec<(String, Option<String>)>,
    /// Its location.
    pub at: Option<Location>,
}

/// File that the model of a project is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionFile {
    /// The file.
    pub path: RootPath,
    /// Whether the tree has it. A `.env` that only the host has is listed as absent.
    pub present: bool,
}

/// The top-level `x-ghdeploy` of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectSettings {
    /// Names of the hosts that run it. If empty, the hosts whose `projects` match run it.
    pub hosts: Vec<String>,
    /// Projects that are deployed before this one.
    pub after: Vec<String>,
    /// Location of `after`.
    pub after_at: Option<Location>,
    /// How long its services may take to become healthy (`health.timeout`).
    pub health_timeout: Option<Duration>,
    /// Commands that run before its containers are replaced and after its services are healthy, in their
    /// order.
    pub hooks: Vec<Hook>,
}

/// Command that runs with a deploy of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// When it runs.
    pub when: HookPhase,
    /// The other project whose service it is; `None`: it is the project's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The service; `None` for a command on the host that belongs to none. If it is the project's own, the hook runs if
    /// this service is started, and otherwise if any service of the project is.
    pub service: Option<String>,
    /// The way in which it runs.
    pub kind: HookKind,
    /// The command and its arguments. They may hold secrets, so no result shows them.
    #[serde(skip)]
    pub argv: Vec<String>,
    /// Timeout in seconds.
    #[serde(skip)]
    pub timeout_secs: u64,
    /// Its location.
    #[serde(skip)]
    pub at: Location,
}

/// Phase of a deploy in which a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookPhase {
    /// Before any container of the project is replaced.
    Before,
    /// Once all services of the project are healthy.
    After,
}

/// Way in which a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookKind {
    /// In a container of its own, created from the new image and definition.
    Run,
    /// In the container of the service.
    Exec,
    /// On the host, in the project's folder.
    Host,
}

impl Hook {
    /// The service of the project that it belongs to.
    #[must_use]
    pub fn own_service(&self) -> Option<&str> {
        self.service.as_deref().filter(|_| self.project.is_none())
    }

    /// The project and the service of another project in whose container it runs.
    #[must_use]
    pub fn other(&self) -> Option<(&str, &str)> {
        Some((self.project.as_deref()?, self.service.as_deref()?))
    }

    /// Where it runs: `web`, or `proxy/caddy` of another project; `None`: on the host.
    #[must_use]
    pub fn container(&self) -> Option<String> {
        let service = self.service.as_ref().filter(|_| self.kind != HookKind::Host)?;
        Some(match &self.project {
            Some(project) => format!("{project}/{service}"),
            None => service.clone(),
        })
    }

    /// Where it runs, in words that follow its name.
    #[must_use]
    pub fn place(&self) -> String {
        match (self.container(), &self.project) {
            (None, _) => "on the host".to_owned(),
            (Some(container), None) => format!("of service `{container}`"),
            (Some(container), Some(_)) => format!("in `{container}`"),
        }
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.when {
            HookPhase::Before => "hook `before`",
            HookPhase::After => "hook `after`",
        }
    }
}

/// Service of a project.
#[derive(Debug, Clone)]
pub struct Service {
    /// Location of its key in the last compose file that defines it.
    pub at: Location,
    /// Whether a plain `up` starts it: it has no profiles, or an active one. A dependency of an active
    /// service does not become active: Compose refuses such a project.
    pub active: bool,
    /// Hex sha256 of the merged, normalised definition. Like Compose's own hash, it leaves out `build`,
    /// `pull_policy`, `scale`, `depends_on` and `profiles`, and includes the content of env files.
    pub definition: String,
    /// Locations of all parts of this definition, the main compose file first. They are the reasons to show
    /// if `definition` changes.
    pub defined_at: Vec<Location>,
    /// Hex sha256 of everything else that its containers are created from and that Compose's hash leaves out,
    /// so that a change needs a recreate: inline `content:`/`environment:` of its configs and secrets, the
    /// paths of the others, the names of its networks and volumes. `None` if it has none of these.
    pub unhashed: Option<String>,
    /// The files and directories that it reads. If an unknown variable decides, the ones that it may read:
    /// the folder before the variable, or a path in the tree that ends like the text after it.
    pub reads: Vec<Read>,
    /// Bind sources outside the root or with a variable that only the host knows: the text after
    /// interpolation, in which unknown variables stay `${NAME}`, and its location.
    pub host_binds: Vec<(String, Location)>,
    /// The image reference after interpolation.
    pub image: Option<String>,
    /// The image as the file writes it. It may be shown; values of variables may not.
    pub image_written: Option<String>,
    /// Location of `image`.
    pub image_at: Option<Location>,
    /// Images that it needs beside its own: those of mounts (`type: image`) and of `pre_start`.
    pub other_images: Vec<OtherImage>,
    /// When its image is pulled.
    pub pull_policy: PullPolicy,
    /// Whether it extends a service in a file that Compose fetches, so that only its own part is known.
    pub has_remote_base: bool,
    /// What provides it in the place of containers (`provider.type`): Compose runs a plugin or program of that name.
    pub provider: Option<String>,
    /// The platform of its image (`platform`), unless only the host knows it.
    pub platform: Option<String>,
    /// Its `container_name` with its location, if it has one.
    pub container_name: Option<(String, Location)>,
    /// The ports of the host that it publishes, as far as they are known.
    pub ports: Vec<Port>,
    /// Hex sha256 of `build:` without the content of the files that it names; `None` if it has no `build:`.
    pub build: Option<String>,
    /// The sources of its image; `None` if it has no `build:`.
    pub built_of: Option<BuiltOf>,
    /// The test of its healthcheck as the file writes it. It may be shown; values of variables may not.
    pub healthcheck_written: Option<String>,
    /// How long it may take to become healthy (`health.timeout` in its `x-ghdeploy`).
    pub health_timeout: Option<Duration>,
    /// The number of its containers (`scale`, `deploy.replicas`, or 1; 0 with a `provider`); `None` if only the host
    /// knows it.
    pub scale: Option<u32>,
    /// Its restart policy; `None` if only the host knows it.
    pub restart: Option<RestartPolicy>,
    /// The containers whose namespaces or volumes it uses.
    pub shares: Vec<Share>,
    /// The services that it waits for.
    pub depends_on: BTreeMap<String, Dependency>,
    /// The reactions to changes of its inputs (`x-ghdeploy` of the service).
    pub on_change: OnChange,
    /// Names of variables without a default that the tree does not define. Only the host may know them.
    pub unknown_variables: Vec<String>,
    /// The use that it makes of variables in a `.env` that only the host has.
    pub host_variables: HostVariables,
    /// Env files and label files outside the root: the path as it is written, and its location.
    pub host_env_files: Vec<(String, Location)>,
}

/// Use that a service makes of variables that the tree does not define, also of those with a default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostVariables {
    /// None.
    #[default]
    Unused,
    /// In its definition, so that an `up` applies another value.
    Definition,
    /// As the content of a config or secret, which only a recreate applies.
    Content,
}

/// When the image of a service is pulled
/// ([`pull_policy`](https://docs.docker.com/reference/compose-file/services/#pull_policy)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// `missing`, `if_not_present`, nothing, or a word that only the host or another version knows: if the
    /// host does not have it.
    #[default]
    Missing,
    /// `always`.
    Always,
    /// `never`.
    Never,
    /// `build`: it is built instead.
    Build,
    /// `daily`, `weekly`, `every_…`: if it is missing or old; how old it is, Compose finds out.
    Refresh,
}

impl PullPolicy {
    /// Reads the policy in Compose's word.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "always" => Self::Always,
            "never" => Self::Never,
            "build" => Self::Build,
            "daily" | "weekly" => Self::Refresh,
            word if word.starts_with("every_") => Self::Refresh,
            _ => Self::Missing,
        }
    }
}

impl Service {
    /// Whether it has no containers: `scale: 0`, `deploy: {replicas: 0}`, or a `provider`.
    #[must_use]
    pub fn is_scaled_to_zero(&self) -> bool {
        self.scale == Some(0)
    }
}

/// Restart policy of a container
/// ([`restart`](https://docs.docker.com/reference/compose-file/services/#restart)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// `no`.
    #[default]
    No,
    /// `on-failure`: after an exit with another status than 0, up to some number of times.
    OnFailure,
    /// `always`.
    Always,
    /// `unless-stopped`.
    UnlessStopped,
    /// A word that this version does not know.
    Other(String),
}

impl RestartPolicy {
    /// Reads the policy in Docker's word, or in that of `deploy.restart_policy`. What follows a colon is a number
    /// of times.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word.split(':').next().unwrap_or_default() {
            "" | "no" | "none" | "false" => Self::No,
            "on-failure" => Self::OnFailure,
            "always" | "any" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            word => Self::Other(word.to_owned()),
        }
    }
}

/// Use of what belongs to another container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The other container.
    pub of: ShareOf,
    /// What is used of it.
    pub what: SharedPart,
}

/// The container of which something is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareOf {
    /// A service of the same project.
    Service(String),
    /// A container of this name, of whatever project.
    Container(String),
}

/// What a container uses of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedPart {
    /// A namespace: `network_mode`, `pid`, `ipc`. It ends when that container stops.
    Namespace,
    /// Its mounts: `volumes_from`. They are those of the time at which the container was created.
    Volumes,
}

/// Sources of an image, with paths in the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltOf {
    /// The folder of the build context, or a remote address.
    pub context: String,
    /// Whether the context is a remote address.
    #[serde(skip)]
    pub is_remote: bool,
    /// The Dockerfile; `None` if it is inline or in a remote context.
    pub dockerfile: Option<String>,
    /// The build stage (`target`).
    pub target: Option<String>,
}

/// Image that a service needs beside its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherImage {
    /// The reference after interpolation.
    pub image: String,
    /// The reference as the file writes it. It may be shown; values of variables may not.
    pub written: String,
    /// Its location.
    pub at: Location,
}

/// Published port, or a range of which Docker takes any free port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The address on the host; empty for all addresses.
    pub host_ip: String,
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
    /// The protocol, such as `tcp` or `udp`.
    pub protocol: String,
    /// Its location.
    pub at: Location,
}

/// Entry of `depends_on`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dependency {
    /// The condition that it waits for.
    pub condition: Condition,
    /// Whether Compose restarts this service with its dependency (`restart: true`).
    pub restart: bool,
    /// Whether the dependency must exist (`required`).
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

/// File or directory that a service reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The path below the root. A directory stands for everything below it.
    pub path: RootPath,
    /// The text that names it, if a variable has a part in it. It may be shown; values may not.
    pub written: Option<String>,
    /// The way in which it is read.
    pub how: ReadMethod,
    /// Its location.
    pub at: Location,
    /// Its kind in the tree; `None` if the tree lacks it and only the host may have it.
    pub kind: Option<super::NodeKind>,
    /// The path in the container, for binds, configs and secrets.
    pub target: Option<String>,
    /// Whether it must exist. An env file with `required: false` need not.
    pub required: bool,
    /// Names of variables that only the host knows and that decide whether the service reads this path. It
    /// may, so a change of the path causes an action.
    pub unknown: Vec<String>,
    /// Whether a container of `pre_start` reads it, too. Compose runs those only before it starts a new container, and
    /// not when it restarts one.
    pub by_pre_start: bool,
    /// The files below the path that it does not see: those that the `.dockerignore` of a build context
    /// excludes.
    pub ignored: super::Ignored,
}

impl Read {
    /// Creates a read of an optional path.
    #[must_use]
    pub fn new(path: RootPath, how: ReadMethod, at: Location) -> Self {
        let (kind, target, required) = (None, None, false);
        Self {
            path,
            written: None,
            how,
            at,
            kind,
            target,
            required,
            unknown: Vec::new(),
            by_pre_start: false,
            ignored: super::Ignored::default(),
        }
    }

    /// Whether the service sees the content at `path`.
    #[must_use]
    pub fn covers(&self, path: &RootPath) -> bool {
        path.relative_to(&self.path).is_some_and(|below| !self.ignored.hides(below))
    }
}

/// Way in which a service reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadMethod {
    /// A bind mount, also through a volume with `driver_opts.device`.
    Bind,
    /// `configs:` with `file:`.
    Config,
    /// `secrets:` with `file:`.
    Secret,
    /// `env_file:`, which is part of the definition.
    EnvFile,
    /// `label_file:`, which is part of the definition.
    LabelFile,
    /// A build context, a Dockerfile or an additional context.
    Build,
}

impl ReadMethod {
    /// Whether Compose ignores changes of the content, so that ghdeploy must react to them.
    #[must_use]
    pub fn is_input(self) -> bool {
        matches!(self, Self::Bind | Self::Config | Self::Secret)
    }
}

/// Reactions to changes of a service's inputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnChange {
    /// The reaction for paths that no glob of `paths` matches.
    pub default: Reaction,
    /// Globs relative to the project's folder, most specific first, each with its own reaction.
    pub paths: Vec<(String, Reaction)>,
}

/// Reaction of a running service to changed content.
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
    /// Nothing, because the service watches the file itself.
    None,
}
