//! Configuration in `ghdeploy.yml`.
//!
//! Owns the meaning of its keys, their defaults and the messages about them. Reads text, never a file or the
//! environment: a variable is named here and looked up elsewhere.

pub mod address;
pub mod compose_files;
pub mod docker;
pub mod globs;
pub mod layout;
mod locate;
pub mod notify;
mod raw;
pub mod selection;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::patterns::Patterns;
use crate::config::layout::Layout;

use crate::base::duration::parse_duration;
use address::{HostAddress, HostRoot};
use compose_files::ComposeFiles;
use docker::DockerAddress;
use globs::ProjectGlobs;
use locate::{KeyStep, locate};
use notify::Notify;
use raw::{Raw, RawCompose, RawDocker, RawHost, RawNetwork, RawRegistry, Scalar, Texts};

/// Size of the largest file that is read, in bytes: enough for about a thousand hosts.
pub const MAX_BYTES: usize = 64 << 10;

/// Number of problems that are reported for one file.
const MAX_PROBLEMS: usize = 100;

/// Configuration of a repository.
#[derive(Debug, Clone)]
pub struct Config {
    /// `services`: where projects lie in the repository.
    pub services: Layout,
    /// `hosts`, in the order of the file.
    pub hosts: Vec<Host>,
    /// `sync`: which files are wanted.
    pub sync: FileRules,
    /// `health`: when a service counts as healthy.
    pub health: Health,
    /// `compose`: the compose and env files of a project, on hosts without `compose` of their own.
    pub compose: ComposeFiles,
    /// `gate`: what must have passed before an image is built.
    pub gate: GateConfig,
    /// `build.registry`: the registry and path of images that name none, such as `ghcr.io/ann`.
    pub registry: Option<String>,
    /// `build.branch`: the branch whose newest commit gets the tags that servers pull; `None`: the default branch.
    pub branch: Option<String>,
    /// `registries`: logins to registries, in the order of the file.
    pub registries: Vec<Registry>,
    /// `networks`: external networks that are made where a host lacks them, in the order of the file.
    pub networks: Vec<Network>,
    /// `notify`: where notifications go.
    pub notify: Notify,
    /// `github`: what a workflow run reports to GitHub.
    pub github: GitHub,
    /// `prune`: whether projects that were removed from the repository are taken down.
    pub prune: bool,
    /// `prune_images`: whether images that a root has replaced are removed once no kept release needs them.
    pub prune_images: bool,
    /// `keep`: number of releases that a host keeps for rollbacks, at least 1.
    pub keep: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            services: Layout::default(),
            hosts: Vec::new(),
            sync: FileRules::default(),
            health: Health::default(),
            compose: ComposeFiles::default(),
            gate: GateConfig::default(),
            registry: None,
            branch: None,
            registries: Vec::new(),
            networks: Vec::new(),
            notify: Notify::default(),
            github: GitHub::default(),
            prune: false,
            prune_images: false,
            keep: 10,
        }
    }
}

/// Server that runs projects.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name in messages, plans and `--host`.
    pub name: String,
    /// Its address.
    pub address: HostAddress,
    /// The directory that holds its projects.
    pub root: HostRoot,
    /// The projects that it runs, unless a project names its hosts itself.
    pub projects: ProjectGlobs,
    /// The compose and env files of a project there; `None`: those of all hosts.
    pub compose: Option<ComposeFiles>,
    /// The engine that its `docker` talks to; `None`: the one that it talks to by itself.
    pub docker: Option<DockerAddress>,
    /// Web address of what runs there, for links.
    pub url: Option<String>,
}

/// Login to a registry for the time of a pull. The configuration has no password, only the name of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// The registry as in the names of images: `ghcr.io`, `127.0.0.1:5000`; `docker.io` is Docker Hub.
    pub name: String,
    /// The user name.
    pub username: Username,
    /// Name of the environment variable that holds the password or token.
    pub password: String,
}

/// User name of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Username {
    /// The name itself.
    Literal(String),
    /// The name of the environment variable that holds it, written as `${VARIABLE}`.
    Variable(String),
}

/// External network that is made where a host lacks it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Its name in Docker.
    pub name: String,
    /// The driver; `None`: Docker's default, `bridge`.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: Vec<(String, String)>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its subnet; `None`: Docker chooses one.
    pub subnet: Option<String>,
    /// Whether it leads nowhere else.
    pub internal: bool,
    /// Whether containers that no stack has may join an overlay network.
    pub attachable: bool,
    /// Whether it has IPv6.
    pub enable_ipv6: bool,
}

/// Rules for wanted files, in addition to `.gitignore` and `.ghdeployignore`. Both lists have the syntax of a
/// `.gitignore` beside `ghdeploy.yml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileRules {
    /// Files that are not wanted although git tracks them.
    pub ignore: Vec<String>,
    /// Files that are wanted, whatever excludes them.
    pub include: Vec<String>,
}

/// Conditions under which a service counts as healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// How long it may take to become healthy.
    pub timeout: Duration,
    /// How long it must neither exit nor restart.
    pub stable_for: Duration,
    /// Number of log lines that are shown if it stays unhealthy.
    pub log_lines: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(120), stable_for: Duration::from_secs(5), log_lines: 20 }
    }
}

/// Requirements for building an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateConfig {
    /// Names of check runs and commit statuses, or globs for them; `{project}` in one stands for the project.
    pub checks: Vec<String>,
    /// Names of checks that must not exist, or globs for them.
    pub forbid: Vec<String>,
    /// Globs for JUnit XML files.
    pub junit: Vec<String>,
    /// Whether the jobs that this job needs must have succeeded.
    pub needs: bool,
    /// Number of tests that must have run in the reports of each glob.
    pub min_tests: u64,
    /// Whether a deploy accepts only images that were built from the deployed commit and pulled from their
    /// registry.
    pub require_tested: bool,
    /// How long results may stay pending.
    pub timeout: Duration,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            checks: Vec::new(),
            forbid: Vec::new(),
            junit: Vec::new(),
            needs: false,
            min_tests: 1,
            require_tested: false,
            timeout: Duration::from_secs(30 * 60),
        }
    }
}

/// Reports to GitHub from a workflow run that has a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GitHub {
    /// Deployments: one per host, whose name is the environment.
    pub deployments: bool,
    /// The commit status.
    pub statuses: bool,
}

impl Default for GitHub {
    fn default() -> Self {
        Self { deployments: true, statuses: true }
    }
}

impl Config {
    /// Parses the text of a `ghdeploy.yml`; `shown` is its name in messages.
    ///
    /// # Errors
    ///
    /// The first syntax error, or all unknown keys, wrong types and invalid values with their locations.
    pub fn from_yaml(text: &str, shown: &str) -> Result<Self, Vec<Diagnostic>> {
        if text.len() > MAX_BYTES {
            let at = Location { path: shown.to_owned(), line: 1, column: 1 };
            let message = format!("the file is larger than {} KiB", MAX_BYTES >> 10);
            return Err(vec![Diagnostic::error(message, Some(at))]);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (raw, problems) = raw::read(text, shown);
        let Some(raw) = raw else { return Err(problems) };
        let mut reader = ConfigReader { text, shown, problems };
        let config = reader.config(raw);
        reader.problems.sort_by(|a, b| a.at.cmp(&b.at));
        if reader.problems.is_empty() { Ok(config) } else { Err(reader.problems) }
    }
}

/// Validates values and collects the problems.
struct ConfigReader<'a> {
    text: &'a str,
    shown: &'a str,
    problems: Vec<Diagnostic>,
}

impl ConfigReader<'_> {
    fn config(&mut self, raw: Raw) -> Config {
        let default = Config::default();
        let health = Health {
            timeout: self.duration(&["health", "timeout"], raw.health.timeout, default.health.timeout),
            stable_for: self.duration(
                &["health", "stable_for"],
                raw.health.stable_for,
                default.health.stable_for,
            ),
            log_lines: raw.health.log_lines.unwrap_or(default.health.log_lines),
        };
        let keep = raw.keep.unwrap_or(default.keep);
        if raw.gate.min_tests == Some(0) {
            self.problem(
                &["gate", "min_tests"],
                None,
                "at least 1 test must have run, otherwise nothing is proven",
            );
        }
        if keep == 0 {
            self.problem(&["keep"], None, "at least 1 release must be kept, the one that runs");
        }
        let gate = GateConfig {
            // The name of a check can look like a broken glob: `test [3.12`.
            checks: raw.gate.checks.map(|texts| texts.items).unwrap_or_default(),
            forbid: raw.gate.forbid.map(|texts| texts.items).unwrap_or_default(),
            junit: self.globs("junit", raw.gate.junit),
            needs: raw.gate.needs,
            require_tested: raw.gate.require_tested,
            min_tests: raw.gate.min_tests.map_or(default.gate.min_tests, u64::from),
            timeout: self.duration(&["gate", "timeout"], raw.gate.timeout, default.gate.timeout),
        };
        Config {
            services: raw.services.map_or(default.services, |texts| self.layout(&texts)),
            hosts: self.hosts(raw.hosts.0),
            sync: FileRules {
                ignore: self.file_patterns("ignore", raw.sync.ignore),
                include: self.file_patterns("include", raw.sync.include),
            },
            health,
            compose: self.compose_files(&["compose"], raw.compose),
            gate,
            registry: raw.build.registry.and_then(|registry| self.registry(registry)),
            branch: raw.build.branch.and_then(|branch| self.branch(branch)),
            registries: self.registries(raw.registries.0),
            networks: self.networks(raw.networks.0),
            notify: self.notify(raw.notify),
            github: GitHub {
                deployments: raw.github.deployments.unwrap_or(default.github.deployments),
                statuses: raw.github.statuses.unwrap_or(default.github.statuses),
            },
            prune: raw.prune,
            prune_images: raw.prune_images,
            keep,
        }
    }

    /// Records a problem with the value that the keys lead to, or with one item of it.
    fn problem(&mut self, keys: &[&str], item: Option<usize>, message: impl Into<String>) {
        // The location of each is searched for from the start of the file.
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let steps: Vec<_> = keys.iter().map(|key| KeyStep::Key(key)).chain(item.map(KeyStep::Item)).collect();
        let (line, column) = locate(self.text, &steps);
        let at = Location { path: self.shown.to_owned(), line, column };
        self.problems.push(Diagnostic::error(format!("{}: {}", keys.join("."), message.into()), Some(at)));
    }

    fn duration(&mut self, keys: &[&str], text: Option<String>, default: Duration) -> Duration {
        let Some(text) = text else { return default };
        parse_duration(&text).unwrap_or_else(|message| {
            self.problem(keys, None, message);
            default
        })
    }

    fn layout(&mut self, texts: &Texts) -> Layout {
        if texts.items.is_empty() {
            self.problem(&["services"], None, "an empty list holds no projects; leave the key out");
        }
        for (index, pattern) in texts.items.iter().enumerate() {
            if let Err(err) = Layout::new(&[pattern]) {
                self.problem(&["services"], texts.is_list.then_some(index), err.to_string());
            }
        }
        Layout::new(&texts.items).unwrap_or_default()
    }

    fn hosts(&mut self, raw: Vec<(String, RawHost)>) -> Vec<Host> {
        let mut hosts: Vec<Host> = Vec::with_capacity(raw.len());
        for (name, host) in raw {
            if hosts.iter().any(|known| known.name == name) {
                self.problem(&["hosts", &name], None, "there are two hosts of this name");
                continue;
            }
            hosts.push(self.host(name, host));
        }
        hosts
    }

    fn host(&mut self, name: String, raw: RawHost) -> Host {
        let RawHost { mapping: raw, is_address } = raw;
        let keys = ["hosts", name.as_str()];
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.starts_with(['-', '.']) || !name.chars().all(plain) {
            self.problem(&keys, None, "a host's name is made of letters, digits, `.`, `_` and `-`");
        }
        let address = raw.ssh.parse().unwrap_or_else(|err: address::AddressError| {
            let of = if is_address { &keys[..] } else { &[keys[0], keys[1], "ssh"] };
            self.problem(of, None, err.to_string());
            HostAddress::Local { root: None }
        });
        let root = raw.root.map(|root| {
            root.parse().unwrap_or_else(|err: address::RootError| {
                self.problem(&[keys[0], keys[1], "root"], None, err.to_string());
                HostRoot::default()
            })
        });
        let own = match &address {
            HostAddress::Local { root } => root.clone(),
            HostAddress::Ssh { .. } => None,
        };
        if let (Some(root), Some(own)) = (&root, &own)
            && root != own
        {
            self.problem(&[keys[0], keys[1], "root"], None, format!("`ssh` names another root, `{own}`"));
        }
        let projects = raw.projects.map_or_else(ProjectGlobs::default, |texts| {
            ProjectGlobs::new(&texts.items).unwrap_or_else(|(index, message)| {
                let item = texts.is_list.then_some(index);
                self.problem(&[keys[0], keys[1], "projects"], item, message);
                ProjectGlobs::default()
            })
        });
        let compose = raw.compose.map(|raw| self.compose_files(&[keys[0], keys[1], "compose"], raw));
        let docker = raw.docker.and_then(|raw| self.docker(keys, raw));
        let is_address = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        if raw.url.as_ref().is_some_and(|url| !is_address(url)) {
            self.problem(&[keys[0], keys[1], "url"], None, "expected an address that begins with https://");
        }
        Host {
            url: raw.url.filter(is_address),
            address,
            root: root.or(own).unwrap_or_default(),
            projects,
            compose,
            docker,
            name,
        }
    }

    fn docker(&mut self, [hosts, name]: [&str; 2], raw: RawDocker) -> Option<DockerAddress> {
        let keys = |key: &'static str| [hosts, name, "docker", key];
        let (key, read) = match (raw.host, raw.context) {
            (Some(host), None) => ("host", DockerAddress::host(&host)),
            (None, Some(context)) => ("context", DockerAddress::context(&context)),
            _ => {
                let message =
                    "expected either `host`, the address of an engine, or `context`, the name of a context";
                self.problem(&[hosts, name, "docker"], None, message);
                return None;
            }
        };
        read.map_err(|why| self.problem(&keys(key), None, why)).ok()
    }

    fn file_patterns(&mut self, key: &str, texts: Option<Texts>) -> Vec<String> {
        let Some(texts) = texts else { return Vec::new() };
        for (index, pattern) in texts.items.iter().enumerate() {
            let item = texts.is_list.then_some(index);
            if let Some((_, reason)) = Patterns::parse(pattern).1.into_iter().next() {
                self.problem(&["sync", key], item, format!("`{pattern}` is not a pattern: {reason}"));
            } else if pattern.contains('\n') {
                self.problem(&["sync", key], item, "a pattern is one line; write a list of patterns");
            }
        }
        texts.items
    }

    fn compose_files(&mut self, keys: &[&str], raw: RawCompose) -> ComposeFiles {
        let mut of = |key: &'static str, texts: Option<Texts>| {
            let Some(texts) = texts else { return Vec::new() };
            for (index, file) in texts.items.iter().enumerate() {
                let what = match file.as_str() {
                    "" => "an empty text names no file",
                    file if file.contains(['\0', '\n']) => "the name of a file is one line",
                    file if key == "files" && file.starts_with('/') => {
                        "a compose file is named by its path from the project's folder"
                    }
                    _ => continue,
                };
                let keys: Vec<&str> = keys.iter().copied().chain([key]).collect();
                self.problem(&keys, texts.is_list.then_some(index), what);
            }
            texts.items
        };
        ComposeFiles { files: of("files", raw.files), env_files: of("env_files", raw.env_files) }
    }

    fn globs(&mut self, key: &str, texts: Option<Texts>) -> Vec<String> {
        let Some(texts) = texts else { return Vec::new() };
        for (index, pattern) in texts.items.iter().enumerate() {
            // `{project}` is a placeholder. As a glob it is valid too.
            if let Err(err) = globset::Glob::new(pattern) {
                let item = texts.is_list.then_some(index);
                self.problem(&["gate", key], item, format!("`{pattern}` is not a glob: {}", err.kind()));
            }
        }
        texts.items
    }

    fn registry(&mut self, text: String) -> Option<String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c);
        if !text.is_empty() && text.chars().all(plain) && !text.starts_with(['-', '/', ':']) {
            return Some(text);
        }
        self.problem(
            &["build", "registry"],
            None,
            "expected a registry and a path in small letters, such as ghcr.io/ann",
        );
        None
    }

    fn branch(&mut self, text: String) -> Option<String> {
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
        if !text.is_empty() && !text.starts_with(['-', '/']) && !text.contains("..") && !text.contains(is_odd)
        {
            return Some(text);
        }
        self.problem(&["build", "branch"], None, "expected the name of a branch, such as main");
        None
    }

    fn registries(&mut self, raw: Vec<(String, RawRegistry)>) -> Vec<Registry> {
        let mut registries: Vec<Registry> = Vec::with_capacity(raw.len());
        for (written, RawRegistry { username, password }) in raw {
            let keys = |key: &'static str| ["registries", written.as_str(), key];
            let password = self.variable(&keys("password"), password.0);
            let variable = username.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
            let username = match variable {
                Some(name) => self.variable(&keys("username"), name.to_owned()).map(Username::Variable),
                None if username.is_empty() || username.contains(char::is_control) => {
                    self.problem(&keys("username"), None, "a user name is one line, and not empty");
                    None
                }
                None => Some(Username::Literal(username)),
            };
            let Some(name) = registry_name(&written) else {
                let message = "expected the name of a registry as it begins the names of its images, such as ghcr.io or docker.io";
                self.problem(&["registries", &written], None, message);
                continue;
            };
            if registries.iter().any(|known| known.name == name) {
                self.problem(&["registries", &written], None, "there are two logins to this registry");
                continue;
            }
            if let (Some(username), Some(password)) = (username, password) {
                registries.push(Registry { name, username, password });
            }
        }
        registries
    }

    fn networks(&mut self, raw: Vec<(String, RawNetwork)>) -> Vec<Network> {
        let mut networks: Vec<Network> = Vec::with_capacity(raw.len());
        for (name, raw) in raw {
            // Docker's own rule for names of networks.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
            let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_plain);
            if !is_name {
                let message = format!("`{name}` is no name of a network: letters, digits, `_`, `.` and `-`");
                self.problem(&["networks"], None, message);
            } else if ["bridge", "host", "none", "default"].contains(&name.as_str()) {
                self.problem(&["networks"], None, format!("`{name}` is Docker's own and exists everywhere"));
            } else if networks.iter().any(|known| known.name == name) {
                self.problem(&["networks"], None, format!("`{name}` is there twice"));
            }
            let pairs =
                |map: BTreeMap<String, Scalar>| map.into_iter().map(|(key, value)| (key, value.0)).collect();
            let RawNetwork { driver, driver_opts, labels, subnet, internal, attachable, enable_ipv6 } = raw;
            networks.push(Network {
                name,
                driver,
                driver_opts: pairs(driver_opts),
                labels: pairs(labels),
                subnet,
                internal,
                attachable,
                enable_ipv6,
            });
        }
        networks
    }

    fn variable(&mut self, keys: &[&str], name: String) -> Option<String> {
        let head = |c: char| c.is_ascii_alphabetic() || c == '_';
        let tail = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.starts_with(head) && name.chars().all(tail) {
            return Some(name);
        }
        // The text may be the secret itself, so it is not repeated.
        self.problem(keys, None, "expected the name of an environment variable, never its value");
        None
    }
}

/// The name of a registry, in small letters; all of Docker Hub's are `docker.io`. `None`: this is none.
fn registry_name(written: &str) -> Option<String> {
    let name = written.to_ascii_lowercase();
    if ["index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"].contains(&name.as_str()) {
        return Some("docker.io".to_owned());
    }
    let (host, port) = name.split_once(':').map_or((name.as_str(), None), |(host, port)| (host, Some(port)));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let is_host = host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.chars().all(is_plain);
    let looks_like_one = host.contains('.') || port.is_some() || host == "localhost";
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    (is_host && looks_like_one && is_port).then_some(name)
}

#[cfg(test)]
mod tests;
