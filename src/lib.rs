//! Deploys a repository of Docker Compose service folders over SSH and restarts only what is
//! affected. See ARCHITECTURE.md for the flow of data.

pub mod answers;
pub mod apply;
pub mod builds;
pub mod cli;
pub mod compose;
pub mod config;
pub mod deployed;
pub mod diagnostic;
pub mod diff;
pub mod duration;
pub mod error;
pub mod event;
pub mod gate;
pub mod github;
pub mod history;
pub mod host;
pub mod http;
pub mod image;
pub mod layout;
pub mod lint;
pub mod manifest;
pub mod outcome;
pub mod path;
mod patterns;
pub mod plan;
pub mod report;
pub mod secret;
pub mod tree;
pub mod wanted;
