//! A project of which only some services take part.
//!
//! Its files are put in place as a whole. What the other services owe stays owed, as with `--no-restart`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, ActionKind, Cause, NewPart};
use crate::compose::model::{Project, Service, ShareOf};
use crate::state::deployed::{ProjectState, ServiceState};

/// Splits actions into those that are carried out and those that stay owed. With the services that were `asked` for
/// go those that an `up` of them brings up first, those that follow them, and, if a service gets its first container,
/// those that are removed: one of them may be its old name.
pub(super) fn split(
    actions: Vec<Action>,
    asked: &BTreeSet<String>,
    project: &Project,
) -> (Vec<Action>, Vec<Action>) {
    let mut acting: BTreeSet<&str> = asked.iter().map(String::as_str).collect();
    loop {
        let before = acting.len();
        for action in &actions {
            let Some(service) = action.service.as_deref() else { continue };
            if follows(action, &acting, &actions) {
                acting.insert(service);
            }
            if acting.contains(service) && brings_up(action) {
                acting.extend(needed(service, &project.services).into_iter().filter(|needed| {
                    let mut own = actions.iter().filter(|action| action.service.as_deref() == Some(needed));
                    own.any(brings_up)
                }));
                if action.reasons.iter().any(|reason| reason.cause == Cause::New { what: NewPart::Service }) {
                    let removed = actions.iter().filter(|action| action.kind == ActionKind::Remove);
                    acting.extend(removed.filter_map(|action| action.service.as_deref()));
                }
            }
        }
        if acting.len() == before {
            break;
        }
    }
    let acting: BTreeSet<String> = acting.into_iter().map(str::to_owned).collect();
    actions.into_iter().partition(|action| {
        action.kind == ActionKind::None
            || action.service.as_ref().is_none_or(|service| acting.contains(service))
    })
}

/// Leaves the records of services as they are whose actions stay owed, so that the next run owes them.
pub(super) fn keep_records(
    services: &mut BTreeMap<String, ServiceState>,
    recorded: Option<&ProjectState>,
    owed: &[Action],
) {
    for service in owed.iter().filter_map(|action| action.service.as_ref()) {
        match recorded.and_then(|recorded| recorded.services.get(service)) {
            Some(recorded) => drop(services.insert(service.clone(), recorded.clone())),
            None => drop(services.remove(service)),
        }
    }
}

fn brings_up(action: &Action) -> bool {
    matches!(action.kind, ActionKind::Build | ActionKind::Up | ActionKind::Recreate)
}

/// Whether an action is owed because a service acts that takes part.
fn follows(action: &Action, acting: &BTreeSet<&str>, actions: &[Action]) -> bool {
    action.reasons.iter().any(|reason| match &reason.cause {
        Cause::Follows { service, .. } => {
            // One of another project, which acts.
            if service.contains('/') {
                return true;
            }
            acting.contains(service.as_str())
                && actions.iter().any(|other| other.service.as_ref() == Some(service))
        }
        _ => false,
    })
}

/// The services that Compose brings up before this one.
fn needed<'p>(service: &str, all: &'p BTreeMap<String, Service>) -> BTreeSet<&'p str> {
    let of = |name: &str| {
        let service = all.get(name).into_iter();
        service.flat_map(|service| {
            let shares = service.shares.iter().filter_map(|share| match &share.of {
                ShareOf::Service(other) => Some(other.as_str()),
                ShareOf::Container(_) => None,
            });
            service.depends_on.keys().map(String::as_str).chain(shares)
        })
    };
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&str> = of(service).collect();
    while let Some(name) = open.pop() {
        if needed.insert(name) {
            open.extend(of(name));
        }
    }
    needed
}
