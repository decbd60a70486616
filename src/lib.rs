//! Deploys a repository of Docker Compose service folders over SSH and restarts only what is
//! affected. See ARCHITECTURE.md for the flow of data.

pub mod apply;
pub mod base;
pub mod cli;
pub mod compose;
pub mod config;
pub mod deploy;
pub mod github;
pub mod host;
pub mod images;
pub mod lint;
pub mod notify;
pub mod outcome;
pub mod plan;
pub mod report;
pub mod state;
pub mod tree;
