//! Finds hooks that never run because no active profile starts their service.

use super::HostProjects;
use crate::base::diagnostic::Diagnostic;
use crate::compose::model::Project;

pub(super) fn check(host: &HostProjects<'_>) -> Vec<Diagnostic> {
    host.projects.iter().flat_map(|project| idle(&project.model)).collect()
}

fn idle(project: &Project) -> impl Iterator<Item = Diagnostic> {
    let is_inactive = |service: &str| project.services.get(service).is_some_and(|service| !service.active);
    let hooks = project.settings.hooks.iter().filter_map(|hook| Some((hook, hook.own_service()?)));
    hooks.filter(move |(_, service)| is_inactive(service)).map(|(hook, service)| {
        let message = format!("{} never runs: no profile starts service `{service}`", hook.name());
        Diagnostic::warning(message, Some(hook.at.clone())).help(
            "a hook runs when its service starts: name an active service, or set COMPOSE_PROFILES in the project's .env",
        )
    })
}
