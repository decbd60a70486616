//! Deploys a repository of Docker Compose service folders over SSH and restarts only what is
//! affected. See ARCHITECTURE.md for the flow of data.

pub mod compose;
pub mod deployed;
pub mod diagnostic;
pub mod error;
pub mod host;
pub mod manifest;
pub mod outcome;
pub mod path;
pub mod plan;
pub mod wanted;
