//! The workflow run around this process, and GitHub's API.
//!
//! Owns the event that started a run, and every call of the API. [`crate::report`] owns the texts of comments
//! and statuses. An edge, except for [`refusal`] and [`trigger`].

pub mod branches;
pub mod checks;
pub mod client;
pub mod comment;
pub mod deployment;
pub mod http;
mod models;
pub mod pulls;
pub mod refusal;
mod run;
pub mod trigger;
pub mod workflow;

pub use run::{ThisJob, WorkflowRun};
