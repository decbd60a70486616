//! Finds two services with the same `container_name`. Docker starts only the first of them.

use std::collections::BTreeMap;

use super::{HostProjects, HostService};
use crate::base::diagnostic::Diagnostic;

pub(super) fn check(host: &HostProjects<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut named: BTreeMap<&str, HostService<'_>> = BTreeMap::new();
    for this in host.services().filter(|this| this.service.active) {
        if let Some((name, at)) = &this.service.container_name
            && let Some(other) = named.insert(name, this)
        {
            let (this_shown, other_shown) = (this.shown(), other.shown());
            let message = format!("{this_shown} has the container name `{name}` of {other_shown}");
            found.push(host.conflict(message, at, &this, &other).help(
                "a host has one container of a name: change one of the names, or remove it and let Compose choose",
            ));
        }
    }
    found
}
