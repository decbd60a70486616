//! The driver itself: the real script under every shell that it is meant for, on a real filesystem.
//!
//! Each test runs under dash, bash, bash as `sh`, and BusyBox with nothing but BusyBox's own tools.
//! A shell that is missing fails its tests.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bed;
mod disk_full;
mod drift;
mod ends;
mod jobs;
mod killed;
mod names;
mod opening;
mod probes;
mod random;
mod releases;
mod swaps;
