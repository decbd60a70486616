//! How the containers of a project stand, and what its plan says about them.

use std::collections::{BTreeMap, BTreeSet};

use super::containers::{Expected, Remark, Standing, standing};
use super::{Action, ActionKind, Cause, DefinitionChange, Lack, problems};
use crate::base::diagnostic::Diagnostic;
use crate::compose::model::{Condition, Dependency, Service, ShareOf, SharedPart};
use crate::state::container::{ContainerState, Containers, ListedContainer};
use crate::state::deployed::ProjectState;
use crate::state::wanted::WantedProject;

/// What the containers of the active services of a deployed project say; empty if they are not known.
pub(super) fn standings(
    project: &WantedProject,
    recorded: Option<&ProjectState>,
    containers: &Containers,
) -> BTreeMap<String, Standing> {
    let (Some(all), Some(recorded)) = (containers.known(), recorded) else { return BTreeMap::new() };
    let services = &project.model.services;
    let of = |(name, service): (&String, &Service)| {
        let state = recorded.services.get(name).filter(|_| service.active)?;
        let is_waited_for = services.values().any(|other| {
            let waits = |how: &Dependency| how.condition == Condition::Completed;
            other.active && other.depends_on.get(name).is_some_and(waits)
        });
        let expected = Expected {
            scale: service.scale,
            policy: service.restart.clone(),
            is_one_shot: state.completed || is_waited_for,
        };
        let own: Vec<&ListedContainer> =
            all.iter().filter(|container| container.is_of(&recorded.project, name)).collect();
        let mut standing = standing(&expected, &own);
        if standing.lack.is_none() && own.iter().any(|own| has_lost_namespace(project, service, own, all)) {
            standing.lack = Some(Lack::LostNamespace);
        }
        Some((name.clone(), standing))
    };
    services.iter().filter_map(of).collect()
}

/// Whether a container uses a namespace of one that has been replaced.
fn has_lost_namespace(
    project: &WantedProject,
    service: &Service,
    container: &ListedContainer,
    all: &[ListedContainer],
) -> bool {
    let Some(inspected) = container.inspected.as_ref().filter(|_| container.state == ContainerState::Running)
    else {
        return false;
    };
    let modes = [&inspected.network_mode, &inspected.pid_mode, &inspected.ipc_mode];
    let ids: Vec<&str> = modes.into_iter().filter_map(|mode| mode.strip_prefix("container:")).collect();
    let is_there = |id: &&str| all.iter().any(|other| id.starts_with(&other.id));
    if ids.iter().all(is_there) {
        return false;
    }
    // A container that no compose file describes is not listed, so it may be there.
    service.shares.iter().filter(|share| share.what == SharedPart::Namespace).any(|share| match &share.of {
        ShareOf::Service(other) => all.iter().any(|there| there.is_of(&project.model.name, other)),
        ShareOf::Container(name) => all.iter().any(|there| there.name == *name),
    })
}

/// Notes about containers that a sync leaves alone, or starts only because of `actions`.
pub(super) fn remarks(
    project: &WantedProject,
    standings: &BTreeMap<String, Standing>,
    actions: &[Action],
) -> Vec<Diagnostic> {
    let starting: BTreeSet<&str> = actions
        .iter()
        .filter(|action| matches!(action.kind, ActionKind::Up | ActionKind::Recreate | ActionKind::Restart))
        .filter_map(|action| action.service.as_deref())
        .collect();
    let mut needed: BTreeSet<&str> = actions
        .iter()
        .filter(|action| matches!(action.kind, ActionKind::Up | ActionKind::Recreate))
        .filter_map(|action| action.service.as_deref())
        .collect();
    // An `up` starts what the service depends on, too.
    loop {
        let services = needed.iter().filter_map(|name| project.model.services.get(*name));
        let more: Vec<&str> = services
            .flat_map(|service| service.depends_on.keys())
            .map(String::as_str)
            .filter(|name| !needed.contains(name))
            .collect();
        if more.is_empty() {
            break;
        }
        needed.extend(more);
    }
    let mut notes = Vec::new();
    for (name, standing) in standings {
        let Some(service) = project.model.services.get(name) else { continue };
        let starts = starting.contains(name.as_str()) || needed.contains(name.as_str());
        let is_scaled = actions.iter().any(|action| {
            let scaled = Cause::Definition { change: DefinitionChange::Scale };
            action.service.as_ref() == Some(name)
                && action.reasons.iter().any(|reason| reason.cause == scaled)
        });
        // That the surplus ones go is what the plan says then.
        let remarks = standing.remarks.iter();
        let remarks = remarks.filter(|remark| !is_scaled || !matches!(remark, Remark::Excess { .. }));
        // A restart starts what there is; only an `up` looks at how many there should be.
        let ups = needed.contains(name.as_str());
        notes.extend(remarks.map(|remark| {
            let starts = if matches!(remark, Remark::Excess { .. }) { ups } else { starts };
            problems::remark(project, name, service, remark, starts)
        }));
    }
    notes
}
