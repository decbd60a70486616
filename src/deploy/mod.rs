//! Runs on hosts: connect, open, facts, plan, age, apply, record.
//!
//! Owns that order, for every command that works on a host. It prints nothing and parses no options: a
//! [`Session`] has all that a run needs, and a run ends in a value.

pub mod diff;
mod elsewhere;
pub mod history;
mod host_only;
mod hosts;
mod kept;
mod networks;
mod repository;
pub mod rollback;
mod session;
pub mod status;
pub mod sync;
mod target;
pub mod variables;
mod worktree;

pub use hosts::{failed_before_start, on_each, plan_of};
pub use repository::RunRepository;
pub use session::{Access, Identity, Prepared, Reached, RunOptions, Session, now};
pub use target::Target;
pub use worktree::Worktree;
pub(crate) use worktree::known;
