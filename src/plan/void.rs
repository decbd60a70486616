//! Records that say nothing any more: nobody knows what the containers of a service run with.
//!
//! A void digest equals no other, so whatever is wanted next is owed.

use super::{Action, ActionKind, FileChange, FileChangeKind};
use crate::compose::model::{How, Reaction};
use crate::state::deployed::{ProjectState, ServiceState};
use crate::state::wanted::{ALL, Reactions, WantedProject, reaction_key};

const VOID: &str = "void";

/// Voids what was recorded of services that read a file which was changed on the host: nobody knows
/// whether they run with that change.
pub(super) fn drifted(project: &WantedProject, recorded: &mut ProjectState, files: &[FileChange]) {
    for file in files.iter().filter(|file| file.change == FileChangeKind::Drift) {
        let defines = project.model.definition_files.iter().any(|definition| definition.path == file.at);
        for (name, service) in &project.model.services {
            let Some(record) = recorded.services.get_mut(name) else { continue };
            if defines {
                VOID.clone_into(&mut record.definition);
            }
            let reactions = Reactions::new(&project.model, service);
            for read in service.reads.iter().filter(|read| read.covers(&file.at)) {
                if read.how.is_input() {
                    void_inputs(record, &reaction_key(reactions.to(&file.at)));
                } else if read.how == How::Build {
                    record.build = Some(VOID.to_owned());
                } else {
                    VOID.clone_into(&mut record.definition);
                }
            }
        }
    }
}

/// What is recorded while `actions` bring services to what is `wanted`: a run that is cut off among them leaves services
/// half way to what it wanted, and the next one may want what was there before.
#[must_use]
pub fn acting(recorded: &ProjectState, wanted: &ProjectState, actions: &[Action]) -> ProjectState {
    let mut acting = recorded.clone();
    for action in actions {
        let of = |(name, _): &(&String, &mut ServiceState)| {
            action.service.as_deref().is_none_or(|service| service == *name)
        };
        for (name, record) in acting.services.iter_mut().filter(of) {
            void(record, &action.kind);
            // Only then a recreate is under way that Compose sees no reason for.
            let wanted = wanted.services.get(name).and_then(|wanted| wanted.unhashed.as_ref());
            if action.kind == ActionKind::Recreate
                || action.kind != ActionKind::None && record.unhashed.as_ref() != wanted
            {
                record.unhashed = record.unhashed.as_ref().map(|_| VOID.to_owned());
            }
        }
    }
    acting
}

fn void(record: &mut ServiceState, kind: &ActionKind) {
    match kind {
        ActionKind::None => {}
        ActionKind::Restart => void_inputs(record, &reaction_key(&Reaction::Restart)),
        ActionKind::Signal { signal } => {
            void_inputs(record, &reaction_key(&Reaction::Signal(signal.clone())))
        }
        ActionKind::Exec { argv } => void_inputs(record, &reaction_key(&Reaction::Exec(argv.clone()))),
        ActionKind::Build => record.build = Some(VOID.to_owned()),
        ActionKind::Up | ActionKind::Recreate | ActionKind::Remove | ActionKind::Down => {
            VOID.clone_into(&mut record.definition);
            record.inputs.values_mut().for_each(|digest| VOID.clone_into(digest));
        }
    }
}

fn void_inputs(record: &mut ServiceState, key: &str) {
    for key in [key, ALL] {
        record.inputs.insert(key.to_owned(), VOID.to_owned());
    }
}
