//! What a workflow run on GitHub knows, and GitHub's API.
//!
//! Owns the event that started a run, and every call of the API. What is said there (comments, deployments,
//! statuses) is made elsewhere; here it is brought there. An edge, but for [`trigger`].

pub mod checks;
pub mod client;
pub mod comment;
pub mod deployment;
pub mod http;
mod models;
pub mod pulls;
mod run;
pub mod trigger;

pub use run::WorkflowRun;
