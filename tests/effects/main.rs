//! The order of effects of a sync, and the state after any of them fails, over a transport whose other end is
//! a small model of a host.

#![expect(clippy::unwrap_used, reason = "in a test bed that cannot be made, a panic is the message")]

mod bench;
mod cut_off;
mod docker;
mod dry_runs;
mod every_step;
mod host;
mod networks;
mod one_shots;
mod order;
mod peer;
mod prune;
mod pulls;
mod real_driver;
mod removals;
mod setbacks;
mod sources;
#[path = "../support/mod.rs"]
mod support;
mod without_docker;
