//! Which hosts a command works on, the way to each, and which projects it runs.

use super::Context;
use super::args::SelectArgs;
use crate::base::error::{Error, Result};
use crate::compose::model::ProjectSettings;
use crate::config::Host;
use crate::config::address::{HostAddress, HostRoot};
use crate::config::globs::ProjectGlobs;
use crate::host::{Local, Ssh, SshOptions, Transport};

/// A host that a command works on.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Its name in plans and messages.
    pub(super) name: String,
    /// The way to it.
    pub(super) address: HostAddress,
    /// The root, absolute.
    pub(super) root: String,
    /// The projects that it runs.
    projects: ProjectGlobs,
    /// Whether the configuration names it, so that a project can ask for it.
    pub(super) named: bool,
}

impl Target {
    /// Whether a project runs on this host. What a project asks for itself comes first; it can only
    /// ask for a host that has a name.
    pub(super) fn runs(&self, project: &str, settings: &ProjectSettings) -> bool {
        if self.named && !settings.hosts.is_empty() {
            return settings.hosts.contains(&self.name);
        }
        self.projects.selects(project)
    }

    /// The way to the host.
    pub(super) fn transport(&self, context: &Context) -> Box<dyn Transport> {
        match &self.address {
            HostAddress::Local { .. } => Box::new(Local::default()),
            HostAddress::Ssh { destination, user, port } => Box::new(Ssh::new(SshOptions {
                destination: destination.clone(),
                user: user.clone(),
                port: *port,
                key: context.credentials.key.clone(),
                known_hosts: context.credentials.known_hosts.clone(),
                config: context.credentials.config.clone(),
                accept_new_host_key: context.args.accept_new_host_key,
            })),
        }
    }
}

impl Context {
    /// The hosts that were asked for, or else all of the configuration.
    ///
    /// # Errors
    ///
    /// When there is none, or one is no host.
    pub(super) fn targets(&self) -> Result<Vec<Target>> {
        let mut targets: Vec<Target> = Vec::new();
        for text in self.args.hosts() {
            let target = match self.config.hosts.iter().find(|host| host.name == text) {
                Some(host) => self.named(host)?,
                None => self.by_address(text)?,
            };
            let is_same = |there: &&Target| there.name == target.name;
            match targets.iter().find(is_same) {
                None => targets.push(target),
                // Another port of one address is another host.
                Some(there) if there.address != target.address => {
                    targets.push(Target { name: text.to_owned(), ..target });
                }
                Some(_) => {}
            }
        }
        if targets.is_empty() {
            targets = self.config.hosts.iter().map(|host| self.named(host)).collect::<Result<_>>()?;
        }
        refuse_twins(&targets)?;
        if targets.is_empty() {
            return Err(Error::usage("no host is given")
                .help("name one with --host user@address, or list hosts in ghdeploy.yml"));
        }
        Ok(targets)
    }

    /// The same, but where no host is given, one that stands for whatever it will be.
    pub(super) fn targets_or_any(&self) -> Result<Vec<Target>> {
        if self.args.hosts().next().is_none() && self.config.hosts.is_empty() {
            return Ok(vec![Target {
                name: "any".to_owned(),
                address: HostAddress::Local { root: None },
                root: self.root(None)?,
                projects: ProjectGlobs::default(),
                named: false,
            }]);
        }
        self.targets()
    }

    fn named(&self, host: &Host) -> Result<Target> {
        let root = match &host.address {
            HostAddress::Local { root: Some(root) } => root,
            _ => &host.root,
        };
        Ok(Target {
            name: host.name.clone(),
            address: host.address.clone(),
            root: self.root(Some(root))?,
            projects: host.projects.clone(),
            named: true,
        })
    }

    fn by_address(&self, text: &str) -> Result<Target> {
        let address: HostAddress = text.parse().map_err(|error| Error::usage(format!("--host: {error}")))?;
        if let Some(host) = self.config.hosts.iter().find(|host| host.address == address) {
            return self.named(host);
        }
        let (name, root) = match &address {
            HostAddress::Local { root } => ("local".to_owned(), root.clone()),
            HostAddress::Ssh { destination, .. } => (destination.clone(), None),
        };
        Ok(Target {
            name,
            root: self.root(root.as_ref())?,
            address,
            projects: ProjectGlobs::default(),
            named: false,
        })
    }

    fn root(&self, otherwise: Option<&HostRoot>) -> Result<String> {
        match self.args.root() {
            Some(text) => Ok(text
                .parse::<HostRoot>()
                .map_err(|error| Error::usage(format!("--root: {error}")))?
                .as_str()
                .to_owned()),
            None => Ok(otherwise.cloned().unwrap_or_default().as_str().to_owned()),
        }
    }
}

/// Refuses two hosts that are one: each would wait for the other's lock, and undo what it did.
fn refuse_twins(targets: &[Target]) -> Result<()> {
    for (number, target) in targets.iter().enumerate() {
        let is_same = |other: &&Target| other.address == target.address && other.root == target.root;
        if let Some(twin) = targets[..number].iter().find(is_same) {
            return Err(Error::usage(format!(
                "hosts {} and {} are the same server and root",
                twin.name, target.name
            ))
            .help("leave one of them out, or give it another root"));
        }
    }
    Ok(())
}

/// The globs of `--project`, and whether any project has to match.
///
/// # Errors
///
/// When one is no glob.
pub(super) fn selection(select: &SelectArgs) -> Result<Option<ProjectGlobs>> {
    let globs = select.projects();
    if globs.is_empty() {
        return Ok(None);
    }
    ProjectGlobs::new(&globs).map(Some).map_err(|(_, why)| Error::usage(format!("--project: {why}")))
}
