//! What decides about a plan besides facts.

use std::collections::BTreeSet;
use std::fmt;

/// Choices that decide about a plan besides facts.
pub struct PlanOptions<'a> {
    /// Whether a project takes part.
    pub selects: &'a dyn Fn(&str) -> bool,
    /// The services of a project that take part; `None`: all of them.
    pub services: &'a dyn Fn(&str) -> Option<BTreeSet<String>>,
    /// Whether every service that takes part is recreated, whatever is owed.
    pub force: bool,
    /// Whether projects that have left the repository are taken down.
    pub prune: bool,
    /// Whether the repository wins over unmanaged files of other content.
    pub adopt: bool,
    /// Whether a version that a rollback left may be deployed again.
    pub allow_held: bool,
    /// Whether containers that were started in another folder are recreated.
    pub take_over: bool,
    /// Whether images that are built from the repository come tested from a registry, and are never built on
    /// the host.
    pub require_tested: bool,
    /// The root on the host, absolute, for messages; empty if it is not known.
    pub root: &'a str,
    /// The origin of what is wanted.
    pub origin: Origin,
}

/// The origin of what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// The repository.
    #[default]
    Repository,
    /// A release that the host has kept.
    Release(u64),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository => f.write_str("the repository"),
            Self::Release(number) => write!(f, "release {number}"),
        }
    }
}

impl<'a> PlanOptions<'a> {
    /// A plain comparison of the selected projects with the repository.
    #[must_use]
    pub fn new(selects: &'a dyn Fn(&str) -> bool) -> Self {
        let (force, prune, adopt, allow_held, take_over) = (false, false, false, false, false);
        let (require_tested, root, origin) = (false, "", Origin::Repository);
        let services = &|_: &str| None;
        Self { selects, services, force, prune, adopt, allow_held, take_over, require_tested, root, origin }
    }
}

impl fmt::Debug for PlanOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanOptions")
            .field("force", &self.force)
            .field("prune", &self.prune)
            .field("adopt", &self.adopt)
            .field("allow_held", &self.allow_held)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
