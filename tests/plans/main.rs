//! Plans of small real trees: the actions that follow from a change, and their reasons.

#![expect(clippy::unwrap_used, reason = "in a test bed that cannot be made, a panic is the message")]

mod bases;
mod bench;
mod command_line;
mod compose_spec;
mod containers;
mod edges;
mod files;
mod held;
mod host_only;
mod inputs;
mod interrupted;
mod layouts;
mod making_way;
mod order;
mod partial;
mod projects;
mod properties;
mod reactions;
mod records;
mod reports;
mod rows;
mod services;
mod shared;
#[path = "../support/compose_spec.rs"]
mod spec;
mod steps;
mod submodules;
#[path = "../support/mod.rs"]
mod support;
mod tested;
mod whole;
mod workflow;
