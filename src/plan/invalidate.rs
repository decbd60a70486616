//! Records that are no longer valid: what the containers of a service run with is unknown.
//!
//! An invalid digest equals no other, so whatever is wanted next is owed.

use super::{Action, ActionKind, FileChange, FileChangeKind};
use crate::compose::model::{Reaction, ReadMethod};
use crate::state::deployed::{ProjectState, ServiceState};
use crate::state::wanted::{ALL, Reactions, WantedProject, reaction_key};

const INVALID: &str = "invalid";

/// Invalidates what was recorded of services that read a file which was changed on the host: whether they
/// run with that change is unknown.
pub(super) fn drifted(project: &WantedProject, recorded: &mut ProjectState, files: &[FileChange]) {
    for file in files.iter().filter(|file| file.change == FileChangeKind::Drift) {
        let defines = project.model.definition_files.iter().any(|definition| definition.path == file.at);
        for (name, service) in &project.model.services {
            let Some(record) = recorded.services.get_mut(name) else { continue };
            if defines {
                INVALID.clone_into(&mut record.definition);
            }
            let reactions = Reactions::new(&project.model, service);
            for read in service.reads.iter().filter(|read| read.covers(&file.at)) {
                if read.how.is_input() {
                    invalidate_inputs(record, &reaction_key(reactions.of(read, &file.at)));
                } else if read.how == ReadMethod::Build {
                    record.build = Some(INVALID.to_owned());
                } else {
                    INVALID.clone_into(&mut record.definition);
                }
            }
        }
    }
}

/// Record of a project while `actions` bring its services to what is `wanted`. A run that is interrupted then
/// leaves services half way, and the next run may want what was there before.
#[must_use]
pub fn while_acting(recorded: &ProjectState, wanted: &ProjectState, actions: &[Action]) -> ProjectState {
    let mut record = recorded.clone();
    // Some services may run in the new version by then.
    if let (Some(reads), Some(new)) = (&mut record.reads, &wanted.reads) {
        reads.extend(
            new.iter().filter(|path| !recorded.reads.iter().flatten().any(|old| old == *path)).cloned(),
        );
    }
    // A service that is about to get its first container: a later version may lack it, and has to remove it.
    for action in actions.iter().filter(|action| matches!(action.kind, ActionKind::Up | ActionKind::Recreate))
    {
        let Some((name, state)) =
            action.service.as_ref().and_then(|service| wanted.services.get_key_value(service))
        else {
            continue;
        };
        record.services.entry(name.clone()).or_insert_with(|| state.clone());
    }
    for action in actions {
        let of = |(name, _): &(&String, &mut ServiceState)| {
            action.service.as_deref().is_none_or(|service| service == *name)
        };
        for (name, service) in record.services.iter_mut().filter(of) {
            invalidate(service, &action.kind);
            // Only then is a recreate under way for which Compose sees no reason.
            let wanted = wanted.services.get(name).and_then(|wanted| wanted.unhashed.as_ref());
            let makes = !matches!(action.kind, ActionKind::None | ActionKind::Remove | ActionKind::Down);
            if action.kind == ActionKind::Recreate || makes && service.unhashed.as_ref() != wanted {
                service.unhashed = service.unhashed.as_ref().map(|_| INVALID.to_owned());
            }
        }
    }
    record
}

/// Whether it is unknown how the containers of a service are defined: a run was interrupted while they acted.
#[must_use]
pub fn is_unknown(record: &ServiceState) -> bool {
    record.definition == INVALID
}

fn invalidate(record: &mut ServiceState, kind: &ActionKind) {
    match kind {
        ActionKind::None => {}
        ActionKind::Restart => invalidate_inputs(record, &reaction_key(&Reaction::Restart)),
        ActionKind::Signal { signal } => {
            invalidate_inputs(record, &reaction_key(&Reaction::Signal(signal.clone())));
        }
        ActionKind::Exec { argv } => invalidate_inputs(record, &reaction_key(&Reaction::Exec(argv.clone()))),
        ActionKind::Build => record.build = Some(INVALID.to_owned()),
        ActionKind::Up | ActionKind::Recreate => {
            INVALID.clone_into(&mut record.definition);
            record.inputs.values_mut().for_each(|digest| INVALID.clone_into(digest));
        }
        // As long as the container is there, it was made of the same.
        ActionKind::Remove | ActionKind::Down => {
            INVALID.clone_into(&mut record.definition);
            let made_of = reaction_key(&Reaction::Recreate);
            let inputs = record.inputs.iter_mut().filter(|(key, _)| **key != made_of);
            inputs.for_each(|(_, digest)| INVALID.clone_into(digest));
        }
    }
}

fn invalidate_inputs(record: &mut ServiceState, key: &str) {
    for key in [key, ALL] {
        record.inputs.insert(key.to_owned(), INVALID.to_owned());
    }
}
