//! What happens while hosts are worked on, as it happens.
//!
//! Owns the events and the one trait that takes them. What applies a plan says what it is doing;
//! who shows that, and how, is decided elsewhere. Events are news, not results: what became of a
//! plan is in the [`crate::outcome::Outcome`] alone, and nothing may depend on an event.

use crate::outcome::ProjectResult;

/// One piece of news about a host.
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
    /// Somebody else has the host's lock, and it is waited for.
    Waiting {
        /// The host's name.
        host: String,
        /// Who has the lock, in words.
        holder: String,
    },
    /// It is known what there is to do.
    Planned {
        /// The host's name.
        host: String,
        /// The projects with something to do, in order.
        projects: Vec<String>,
        /// The commit that is wanted; `None` outside of git.
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
    /// A project is through, well or not.
    Finished {
        /// The host's name.
        host: String,
        /// The project.
        project: String,
        /// What became of it.
        result: ProjectResult,
    },
    /// Something worth saying that belongs to no project.
    Note {
        /// The host's name.
        host: String,
        /// One line, in lowercase.
        text: String,
    },
    /// Nothing more comes about the host.
    Done {
        /// The host's name.
        host: String,
    },
}

/// What takes events. Called from several hosts' work at the same time, and must not block.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn on(&self, event: Event);
}

/// The observer of quiet runs: it shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _event: Event) {}
}
