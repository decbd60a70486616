//! What Compose reads on a host beside managed files: compose files of a default name, the host's own `.env`,
//! env files.
//!
//! Of an env file, only a keyed digest and Compose's own variables are known here; the rest of it stays on
//! the host. Pure values; [`crate::host`] fetches them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::diagnostic::Location;
use crate::base::path::RootPath;
use crate::compose::model::{
    DefinitionFile, HostVariables, Project, ReadMethod, Service, UndefinedVariable, VariableNeed,
};
use crate::compose::{FILES, OVERRIDES};

/// Name of the file that Compose substitutes variables from.
const DOTENV: &str = ".env";

/// Variables of the session that the driver and Docker get; `host/driver/start.sh` has the same list. These say
/// where programs, Docker Engine and its configuration are; any other one could decide over what the compose
/// files and the `.env` on the host say.
pub const SESSION_VARIABLES: [&str; 30] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PWD",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "SSH_AUTH_SOCK",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "DOCKER_API_VERSION",
    "DOCKER_BUILDKIT",
    "BUILDX_BUILDER",
    "BUILDX_CONFIG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];

/// What only the host has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostOnly {
    /// Name of the key that the digests were made with; `None`: there is no key, so no digest is known.
    pub key: Option<String>,
    /// The env files that were asked for.
    pub env_files: BTreeMap<String, EnvFile>,
    /// The assignments of Compose's own variables in each `.env` that has some.
    pub settings: BTreeMap<RootPath, Arc<[u8]>>,
    /// What each `.env` that can be read says of the variables that were asked for.
    pub variables: BTreeMap<RootPath, BTreeMap<String, VariableState>>,
    /// The compose files of a default name that the tree lacks.
    pub compose_files: BTreeSet<RootPath>,
}

/// What an env file says of a variable. Its value is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VariableState {
    /// It is not there.
    Unset,
    /// Its value is empty.
    Empty,
    /// It has a value.
    Set,
}

/// State of an env file that only the host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvFile {
    /// There is none.
    Missing,
    /// It cannot be read, or there is no key.
    Unknown,
    /// Its keyed digest.
    Known(String),
}

/// Env file that a service reads and that only the host may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEnvFile {
    /// A path below the root, an absolute one or one that starts with `~/`.
    pub path: String,
    /// The way in which it is read; `None`: its variables are substituted in the definition.
    pub how: Option<ReadMethod>,
    /// The line that names it, or the service.
    pub at: Location,
}

/// Whether a variable of the session may have this name.
#[must_use]
pub fn is_of_session(name: &str) -> bool {
    SESSION_VARIABLES.contains(&name)
}

/// The default names of compose files, then those of overrides, each in Compose's order of preference.
pub fn compose_names() -> impl Iterator<Item = &'static str> {
    FILES.into_iter().chain(OVERRIDES)
}

impl EnvFile {
    /// Mark of a file that does not exist.
    const MISSING: &str = "-";

    /// The text by which a later run recognises this state; `None`: it is not known. A digest comes with the
    /// name of its key, `KEY.DIGEST`.
    #[must_use]
    pub fn mark(&self, key: Option<&str>) -> Option<String> {
        match self {
            Self::Missing => Some(Self::MISSING.to_owned()),
            Self::Unknown => None,
            Self::Known(digest) => Some(format!("{}.{digest}", key?)),
        }
    }

    /// Compares what was there with what is there now.
    #[must_use]
    pub fn compare(old: &str, new: &str) -> EnvFileChange {
        let key = |mark: &str| mark.split_once('.').map(|(key, _)| key.to_owned());
        match (key(old), key(new)) {
            _ if old == new => EnvFileChange::Same,
            (Some(old), Some(new)) if old != new => EnvFileChange::Unknown,
            _ => EnvFileChange::Changed,
        }
    }
}

/// Change of an env file between two marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvFileChange {
    /// It is as it was.
    Same,
    /// Its content differs, or it came or went.
    Changed,
    /// The digests were made with different keys.
    Unknown,
}

impl HostOnly {
    /// What a service reads of env files that only the host has, as marks. Where nothing is known, what was
    /// `recorded` stays.
    #[must_use]
    pub fn marks(
        &self,
        project: &Project,
        service: &Service,
        recorded: Option<&BTreeMap<String, String>>,
    ) -> BTreeMap<String, String> {
        let of = |file: HostEnvFile| {
            let now = self.env_files.get(&file.path).and_then(|file| file.mark(self.key.as_deref()));
            let mark = now.or_else(|| recorded?.get(&file.path).cloned())?;
            Some((file.path, mark))
        };
        env_files(project, service).filter_map(of).collect()
    }

    /// Adds what else is known.
    pub fn extend(&mut self, other: Self) {
        self.key = other.key.or(self.key.take());
        self.env_files.extend(other.env_files);
        self.settings.extend(other.settings);
        self.variables.extend(other.variables);
        self.compose_files.extend(other.compose_files);
    }

    /// The variables that the compose files of a project need and the host does not define. Empty if that is not
    /// known: a `.env` of it was not asked for or cannot be read, a link leads to it, or an env file elsewhere is read.
    #[must_use]
    pub fn unset<'p>(&self, project: &'p Project) -> Vec<(&'p str, &'p UndefinedVariable)> {
        let is_elsewhere = |file: &String| file.starts_with(['/', '~']);
        // What the tree lacks beside these is what a link of it leads to.
        let is_other =
            |file: &&DefinitionFile| !file.present && !dotenvs(project).any(|dotenv| *dotenv == file.path);
        if project.options.env_files.iter().any(is_elsewhere)
            || project.definition_files.iter().any(|file| is_other(&file))
        {
            return Vec::new();
        }
        let mut files = Vec::new();
        for path in dotenvs(project) {
            match (self.env_files.get(path.as_str()), self.variables.get(path)) {
                (Some(EnvFile::Missing), _) => {}
                (Some(_), Some(variables)) => files.push(variables),
                _ => return Vec::new(),
            }
        }
        let state_of = |name: &String| {
            let mut states = files.iter().map(|variables| variables.get(name).copied());
            states.try_fold(VariableState::Unset, |all, state| Some(all.max(state?)))
        };
        let is_unset = |(name, variable): &(&String, &UndefinedVariable)| match state_of(name) {
            _ if is_of_session(name) => false,
            Some(VariableState::Unset) => variable.need > VariableNeed::Nothing,
            Some(VariableState::Empty) => variable.need == VariableNeed::NotEmpty,
            Some(VariableState::Set) | None => false,
        };
        let undefined = project.undefined_variables.iter().filter(is_unset);
        undefined.map(|(name, variable)| (name.as_str(), variable)).collect()
    }

    /// The compose files that only the host has and that Compose would read for a project, each with the file
    /// of the tree that it replaces; `None`: it is merged over them.
    pub fn rivals<'a>(
        &'a self,
        project: &'a Project,
    ) -> impl Iterator<Item = (&'a RootPath, Option<&'a RootPath>)> {
        let own = &project.compose_files;
        let rivals = self.rivals_in(&project.dir, |path| own.contains(path));
        rivals.filter(|_| !project.are_named).map(move |(rival, names)| {
            let is_of_kind = |file: &&RootPath| names.contains(&file.file_name());
            (rival, own.iter().find(is_of_kind))
        })
    }

    /// The compose files that only the host has and that Compose would read in a folder, each with the default
    /// names of its kind. `is_own` tells the files that ghdeploy manages.
    pub fn rivals_in<'a>(
        &'a self,
        dir: &'a RootPath,
        is_own: impl Fn(&RootPath) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a RootPath, &'static [&'static str])> {
        [&FILES[..], &OVERRIDES[..]].into_iter().filter_map(move |names| {
            for name in names {
                let path = dir.join(name).ok()?;
                if is_own(&path) {
                    return None;
                }
                if let Some(rival) = self.compose_files.get(&path) {
                    return Some((rival, names));
                }
            }
            None
        })
    }
}

/// The env files that a service reads and that only the host may have.
pub fn env_files<'a>(project: &'a Project, service: &'a Service) -> impl Iterator<Item = HostEnvFile> {
    let is_asking = service.host_variables != HostVariables::Unused;
    let substituted = dotenvs(project).filter(move |_| is_asking).map(|path| HostEnvFile {
        path: path.to_string(),
        how: None,
        at: service.at.clone(),
    });
    substituted.chain(named_env_files(service))
}

/// The env files that a service names and the tree lacks.
pub(super) fn named_env_files(service: &Service) -> impl Iterator<Item = HostEnvFile> {
    let is_env_file = |how: ReadMethod| matches!(how, ReadMethod::EnvFile | ReadMethod::LabelFile);
    let below = service.reads.iter().filter(move |read| read.kind.is_none() && is_env_file(read.how));
    let below = below.filter(|read| read.unknown.is_empty()).map(|read| HostEnvFile {
        path: read.path.to_string(),
        how: Some(read.how),
        at: read.at.clone(),
    });
    let elsewhere = service.host_env_files.iter().map(|(path, at)| HostEnvFile {
        path: path.clone(),
        how: Some(ReadMethod::EnvFile),
        at: at.clone(),
    });
    below.chain(elsewhere)
}

/// The `.env` files from which a project's variables come and which the tree lacks.
pub fn dotenvs(project: &Project) -> impl Iterator<Item = &RootPath> {
    let absent = project.definition_files.iter().filter(|file| !file.present).map(|file| &file.path);
    absent.filter(|path| path.file_name() == DOTENV || project.env_files.contains(path))
}
