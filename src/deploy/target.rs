//! The hosts that a run works on.

use crate::base::error::{Error, Result};
use crate::compose::model::ProjectSettings;
use crate::config::address::{HostAddress, HostRoot};
use crate::config::compose_files::ComposeFiles;
use crate::config::docker::DockerAddress;
use crate::config::globs::ProjectGlobs;
use crate::config::{Config, Host};
use crate::host::credentials::Credentials;
use crate::host::{Local, Ssh, SshOptions, Transport};

/// A host that a run works on.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in plans and messages.
    pub name: String,
    /// The options that name it on a command line: `--host web`.
    pub options: String,
    /// Its address.
    pub address: HostAddress,
    /// The root, absolute.
    pub root: String,
    /// The projects that it runs.
    pub projects: ProjectGlobs,
    /// The files that Compose is told to read there.
    pub compose: ComposeFiles,
    /// The engine that `docker` talks to there, if the configuration says so.
    pub docker: Option<DockerAddress>,
    /// Whether the configuration names it, so that a project can ask for it.
    pub is_named: bool,
}

impl Target {
    /// The hosts that were asked for by name or address, or else all of the configuration. `root` replaces
    /// the root of each.
    ///
    /// # Errors
    ///
    /// When there is none, one is no host, or two of them are the same server and root.
    pub fn all(config: &Config, asked: &[&str], root: Option<&str>) -> Result<Vec<Self>> {
        let mut targets: Vec<Self> = Vec::new();
        for text in asked {
            let target = match config.hosts.iter().find(|host| host.name == *text) {
                Some(host) => Self::configured(config, host, root)?,
                None => Self::addressed(config, text, root)?,
            };
            let is_same = |there: &&Self| there.name == target.name;
            match targets.iter().find(is_same) {
                None => targets.push(target),
                // Another port of one address is another host.
                Some(there) if there.address != target.address => {
                    targets.push(Self { name: (*text).to_owned(), ..target });
                }
                Some(_) => {}
            }
        }
        if targets.is_empty() {
            targets = config
                .hosts
                .iter()
                .map(|host| Self::configured(config, host, root))
                .collect::<Result<_>>()?;
        }
        refuse_twins(&targets)?;
        if targets.is_empty() {
            return Err(Error::usage("no host is given")
                .help("name one with --host user@address, or list hosts in ghdeploy.yml"));
        }
        Ok(targets)
    }

    /// The same, but where no host is given, one that stands for any host.
    ///
    /// # Errors
    ///
    /// As [`Target::all`].
    pub fn all_or_any(config: &Config, asked: &[&str], root: Option<&str>) -> Result<Vec<Self>> {
        if asked.is_empty() && config.hosts.is_empty() {
            return Ok(vec![Self {
                name: "any".to_owned(),
                options: String::new(),
                address: HostAddress::Local { root: None },
                root: root_or(root, None)?,
                projects: ProjectGlobs::default(),
                compose: config.compose.for_host("any"),
                docker: None,
                is_named: false,
            }]);
        }
        Self::all(config, asked, root)
    }

    fn configured(config: &Config, host: &Host, root: Option<&str>) -> Result<Self> {
        let own = match &host.address {
            HostAddress::Local { root: Some(root) } => root,
            _ => &host.root,
        };
        Ok(Self {
            name: host.name.clone(),
            options: options(&host.name, root),
            address: host.address.clone(),
            root: root_or(root, Some(own))?,
            projects: host.projects.clone(),
            compose: host.compose.as_ref().unwrap_or(&config.compose).for_host(&host.name),
            docker: host.docker.clone(),
            is_named: true,
        })
    }

    fn addressed(config: &Config, text: &str, root: Option<&str>) -> Result<Self> {
        let address: HostAddress = text.parse().map_err(|error| Error::usage(format!("--host: {error}")))?;
        if let Some(host) = config.hosts.iter().find(|host| host.address == address) {
            return Self::configured(config, host, root);
        }
        let (name, own) = match &address {
            HostAddress::Local { root } => ("local".to_owned(), root.clone()),
            HostAddress::Ssh { destination, .. } => (destination.clone(), None),
        };
        Ok(Self {
            compose: config.compose.for_host(&name),
            docker: None,
            name,
            options: options(text, root),
            root: root_or(root, own.as_ref())?,
            address,
            projects: ProjectGlobs::default(),
            is_named: false,
        })
    }

    /// Whether a project runs on this host. What a project asks for itself comes first; it can only ask for a
    /// host that has a name.
    #[must_use]
    pub fn runs(&self, project: &str, settings: &ProjectSettings) -> bool {
        if self.is_named && !settings.hosts.is_empty() {
            return settings.hosts.contains(&self.name);
        }
        self.projects.selects(project)
    }

    /// The transport to the host.
    #[must_use]
    pub fn transport(&self, credentials: &Credentials, accept_new_host_key: bool) -> Box<dyn Transport> {
        match &self.address {
            HostAddress::Local { .. } => Box::new(Local::default()),
            HostAddress::Ssh { destination, user, port } => Box::new(Ssh::new(SshOptions {
                destination: destination.clone(),
                user: user.clone(),
                port: *port,
                key: credentials.key.clone(),
                known_hosts: credentials.known_hosts.clone(),
                config: credentials.config.clone(),
                accept_new_host_key,
            })),
        }
    }
}

/// The options that name a host on a command line.
fn options(host: &str, root: Option<&str>) -> String {
    let quoted =
        |text: &str| shlex::try_quote(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned);
    let root = root.map(|root| format!(" --root {}", quoted(root))).unwrap_or_default();
    format!("--host {}{root}", quoted(host))
}

fn root_or(root: Option<&str>, otherwise: Option<&HostRoot>) -> Result<String> {
    match root {
        Some(text) => {
            let root: HostRoot = text.parse().map_err(|error| Error::usage(format!("--root: {error}")))?;
            Ok(root.as_str().to_owned())
        }
        None => Ok(otherwise.cloned().unwrap_or_default().as_str().to_owned()),
    }
}

/// Refuses two hosts that are one: each would wait for the other's lock, and undo what it did.
fn refuse_twins(targets: &[Target]) -> Result<()> {
    for (number, target) in targets.iter().enumerate() {
        let is_same = |other: &&Target| other.address == target.address && other.root == target.root;
        if let Some(twin) = targets[..number].iter().find(is_same) {
            let message = format!("hosts {} and {} are the same server and root", twin.name, target.name);
            return Err(Error::usage(message).help("leave one of them out, or give it another root"));
        }
    }
    Ok(())
}
