//! What runs a host's projects.
//!
//! The seam between steps and the commands of an engine. An engine is pure: it returns calls and makes
//! none, so that what would run can be printed and compared.

mod compose;

use std::collections::BTreeSet;
use std::fmt;

use super::steps::Operation;
use crate::compose::model::Hook;
use crate::plan::ProjectWork;
use crate::state::container::Container;

pub use compose::Compose;

/// An engine: how operations on the services of a project are carried out.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Calls that carry out `operation` on `services`, in their order. `before` are the containers before the
    /// run. Operations on files and waiting need no call.
    fn calls(
        &self,
        operation: &Operation,
        services: &[&str],
        work: &ProjectWork,
        before: &[Container],
    ) -> Vec<Call>;

    /// Calls that clear up what an interrupted recreate has left among `containers`.
    fn heal(&self, project: &str, containers: &[Container]) -> Vec<Call>;

    /// The services of a project of which a recreate was interrupted.
    fn halfway(&self, project: &str, containers: &[Container]) -> BTreeSet<String>;

    /// Whether a call failed because a container has the name already.
    fn is_name_conflict(&self, output: &[String]) -> bool;

    /// Whether a call failed because the container is not there.
    fn is_missing(&self, output: &[String]) -> bool;

    /// The call that validates the definition of a project.
    fn validate(&self) -> Call;

    /// The call that pulls the image of a service.
    fn pull(&self, service: &str) -> Call;

    /// The call that pulls an image, for another platform than the host's if one is named.
    fn pull_image(&self, image: &str, platform: Option<&str>) -> Call;

    /// Whether a hook would pull an image again for which the login is gone by then. Compose before
    /// [2.33](https://github.com/docker/compose/pull/12397) cannot be told not to.
    fn pulls_again(&self, work: &ProjectWork, hook: &Hook) -> bool;

    /// The call that succeeds if an image can be pulled, and pulls nothing. `is_insecure` if the engine itself
    /// does not ask its registry for a certificate.
    fn find_image(&self, image: &str, is_insecure: bool) -> Call;

    /// The call that prints how the engine reaches registries: the number of mirrors, whether it uses a
    /// proxy, and the registries and networks without certificates, separated by `|`.
    fn registries(&self) -> Call;

    /// The call that prints the reference of a service's image, and of those of services that it needs.
    fn image_names(&self, service: &str) -> Call;

    /// The call that prints the platform of each image, `linux/amd64/`, and fails if the host lacks one.
    fn image_platforms(&self, images: &[&str]) -> Call;

    /// The call that prints the version of the engine.
    fn probe(&self) -> Call;
}

/// A call to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `docker compose` in the project's folder.
    Compose(Vec<String>),
    /// `docker compose` in the project's folder, with a time limit.
    Hook {
        /// The arguments after `docker compose`.
        argv: Vec<String>,
        /// The limit, in seconds.
        timeout_secs: u64,
        /// The container that it makes; it is removed first if it is there, and when the time is over.
        container: Option<String>,
    },
    /// A command on the host, in the project's folder, with a time limit.
    Host {
        /// The command and its arguments.
        argv: Vec<String>,
        /// The limit, in seconds.
        timeout_secs: u64,
    },
    /// `docker`.
    Docker(Vec<String>),
    /// Stops and removes the containers of a service by their labels, volumes kept.
    Remove(String),
}

impl Call {
    /// What it is called in messages: `docker compose up`.
    #[must_use]
    pub fn name(&self) -> String {
        let first = |argv: &[String]| argv.first().cloned().unwrap_or_default();
        match self {
            Self::Compose(argv) | Self::Hook { argv, .. } => format!("docker compose {}", first(argv)),
            Self::Host { argv, .. } => first(argv),
            Self::Docker(argv) => format!("docker {}", first(argv)),
            Self::Remove(service) => format!("removing {service}"),
        }
    }
}

impl Call {
    /// Whether it only takes care of what may happen to the host meanwhile. Not every version of Docker can do that.
    #[must_use]
    pub fn is_precaution(&self) -> bool {
        matches!(self, Self::Docker(argv) if argv.first().is_some_and(|word| word == "update"))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compose(argv) => write!(f, "docker compose {}", argv.join(" ")),
            Self::Hook { argv, timeout_secs, .. } => {
                write!(f, "docker compose {} (at most {timeout_secs} s)", argv.join(" "))
            }
            Self::Host { argv, timeout_secs } => write!(f, "{} (at most {timeout_secs} s)", argv.join(" ")),
            Self::Docker(argv) => write!(f, "docker {}", argv.join(" ")),
            Self::Remove(service) => write!(f, "stop and remove the containers of {service}"),
        }
    }
}
