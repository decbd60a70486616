//! Events of an apply, as they happen.
//!
//! Owns the events and the trait that receives them. Events are news, not results. The result of a plan is in
//! the [`crate::outcome::Outcome`] alone, and no decision depends on an event.

use crate::outcome::ProjectResult;

/// News about a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Work on the host begins; it is not connected yet.
    Started {
        /// The host's name.
        host: String,
    },
    /// The host answered.
    Connected {
        /// The host's name.
        host: String,
    },
    /// Another run holds the host's lock, and this one waits for it.
    Waiting {
        /// The host's name.
        host: String,
        /// The holder, in words.
        holder: String,
    },
    /// The plan is made. Projects that cannot be deployed are finished before.
    Planned {
        /// The host's name.
        host: String,
        /// The projects that change, in order.
        projects: Vec<String>,
        /// The wanted commit; `None` outside of git.
        commit: Option<String>,
    },
    /// A project begins a step, such as `pull images` or `restart web`.
    Step {
        /// The host's name.
        host: String,
        /// The project.
        project: String,
        /// The step in the imperative.
        step: String,
    },
    /// A project is done, successfully or not.
    Finished {
        /// The host's name.
        host: String,
        /// The project.
        project: String,
        /// The result.
        result: ProjectResult,
        /// Why it failed, in one line.
        why: Option<String>,
    },
    /// A note that belongs to no project.
    Note {
        /// The host's name.
        host: String,
        /// One line, in lowercase.
        text: String,
    },
    /// A stop was requested.
    Stopping {
        /// What happens now: one line, in lowercase.
        text: String,
    },
    /// The host is done; no event about it follows.
    Done {
        /// The host's name.
        host: String,
    },
}

/// Receiver of events. Several hosts call it at the same time, and it must not block.
pub trait Observer: Send + Sync {
    /// Receives one event.
    fn on(&self, event: Event);
}

/// Observer of quiet runs, which shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _event: Event) {}
}
