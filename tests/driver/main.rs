//! Tests of the driver: the real script under every shell that it supports, on a real filesystem.
//!
//! Each test runs under dash, bash, bash as `sh`, and BusyBox with only BusyBox's own tools. A missing shell
//! fails its tests.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bed;
mod comparisons;
mod containers;
mod damaged;
mod disk_full;
mod drift;
mod externals;
mod host_only;
mod in_turn;
mod jobs;
mod killed;
mod links;
mod names;
mod opening;
mod probes;
mod pulls;
mod random;
mod releases;
mod stops;
mod swaps;
mod uploads;
mod way_back;
