//! Advice of `check`: compose projects that are valid and still fail or surprise.
//!
//! Owns the list of rules. Each rule is a file that says what it finds and why; to add one, write the file
//! and add a line to [`RULES`]. A rule is a pure function and prints no content of a file.

mod container_names;
mod idle_hooks;
mod image_names;
mod image_tags;
mod missing_files;
mod published_ports;
mod secrets;

use std::sync::Arc;

use crate::base::diagnostic::{Diagnostic, Location};
use crate::compose::Files;
use crate::compose::model::Service;
use crate::state::wanted::WantedProject;

/// The rules. `check` sorts what they find, so their order has no meaning.
const RULES: &[fn(&HostProjects<'_>) -> Vec<Diagnostic>] = &[
    container_names::check,
    idle_hooks::check,
    image_names::check,
    image_tags::check,
    missing_files::check,
    published_ports::check,
    secrets::check,
];

/// The projects that one host may run.
#[derive(Clone, Copy)]
pub struct HostProjects<'a> {
    /// The projects.
    pub projects: &'a [Arc<WantedProject>],
    /// The files of the repository.
    pub files: &'a dyn Files,
    /// Whether `ghdeploy.yml` names the host. If it does, all these projects run on it. If not, projects that
    /// ask for different hosts may never meet.
    pub is_named: bool,
}

/// Applies all rules to the projects of one host.
#[must_use]
pub fn lint(host: &HostProjects<'_>) -> Vec<Diagnostic> {
    RULES.iter().flat_map(|rule| rule(host)).collect()
}

/// A service and its project.
#[derive(Clone, Copy)]
struct HostService<'a> {
    project: &'a WantedProject,
    name: &'a str,
    service: &'a Service,
}

impl HostService<'_> {
    /// The service for messages, with its project.
    fn shown(&self) -> String {
        format!("service `{}` of `{}`", self.name, self.project.name)
    }

    /// Whether it is the same service.
    fn is(&self, other: &Self) -> bool {
        (&self.project.name, self.name) == (&other.project.name, other.name)
    }
}

impl<'a> HostProjects<'a> {
    /// The services of all projects, inactive ones included.
    fn services(&self) -> impl Iterator<Item = HostService<'a>> + use<'a> {
        self.projects.iter().flat_map(|project| {
            let services = project.model.services.iter();
            services.map(move |(name, service)| HostService { project, name, service })
        })
    }

    /// A conflict of two services: an error if both are known to run on one host, otherwise a warning.
    fn conflict(
        &self,
        message: String,
        at: &Location,
        one: &HostService<'_>,
        other: &HostService<'_>,
    ) -> Diagnostic {
        let at = Some(at.clone());
        let hosts = |service: &HostService<'_>| service.project.model.settings.hosts.clone();
        if self.is_named || hosts(one) == hosts(other) {
            Diagnostic::error(message, at)
        } else {
            Diagnostic::warning(message, at)
        }
    }
}
