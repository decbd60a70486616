//! The error that Gatus shows for its external endpoint.

use super::{RunDetails, bounded, has_failed, heading};
use crate::outcome::Outcome;

/// Most characters of the error: it is part of an address.
const ERROR: usize = 500;

/// Why a deploy failed, with a link to the run; `None` if it did not.
#[must_use]
pub fn gatus_error(run: &RunDetails, outcome: &Outcome) -> Option<String> {
    if !has_failed(outcome) {
        return None;
    }
    let hosts = outcome.hosts.iter();
    let first = hosts.flat_map(|host| {
        let own = host.failure.iter().flat_map(|failure| &failure.diagnostics);
        let own = own.map(|why| why.message.clone());
        let projects = host.projects.iter().flat_map(|project| {
            project.problems.iter().map(move |why| format!("{}: {}", project.name, why.message))
        });
        own.chain(projects)
    });
    let why = first.into_iter().next().map(|why| format!(": {why}")).unwrap_or_default();
    let link = run.link().map(|url| format!(" ({url})")).unwrap_or_default();
    Some(format!("{}{link}", bounded(&format!("{}{why}", heading(outcome)), ERROR)))
}
