//! The whole program against a real sshd, a real Docker Engine and a real Compose.
//!
//! Each test has a [`bed::Bed`] of its own, and looks at real containers: ids, start times, content.
//! A missing sshd or Docker fails a test; nothing is skipped.
#![expect(clippy::unwrap_used, reason = "in a test bed that cannot be made, a panic is the message")]

mod act;
mod act_gate;
mod action;
mod ages;
#[path = "../support/bed/mod.rs"]
mod bed;
mod builds;
mod chats;
mod comments;
mod conditions;
mod conflicts;
mod containers;
mod content;
mod definitions;
mod dry_runs;
mod edits;
mod empty_secrets;
mod endings;
mod engines;
mod files;
mod gates;
mod github;
mod health;
mod hooks;
mod host_only;
mod hosts;
mod idle;
mod ignored;
mod invalid;
mod killed;
mod layouts;
mod logins;
mod made_networks;
mod making_way;
mod names;
mod network;
mod own_engine;
mod owners;
mod partial;
mod projects;
mod providers;
mod pruned_images;
mod pulls;
mod reach;
mod reactions;
mod readme;
mod registry;
mod registry_logins;
mod renames;
mod reports;
mod resources;
mod rollback;
mod runner;
mod secrets;
mod services;
mod setbacks;
mod stopped;
#[path = "../support/mod.rs"]
mod support;
mod users;
mod variables;
