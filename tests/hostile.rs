//! Hostile input: it ends in an error or in the right answer, in bounded time and memory, and no message
//! holds the value of a variable.

#![expect(clippy::unwrap_used, reason = "if a test cannot be set up, a panic is the message")]

#[path = "hostile/binary.rs"]
mod binary;
#[path = "hostile/host.rs"]
mod host;
#[path = "hostile/reader.rs"]
mod reader;
#[path = "support/mod.rs"]
mod support;
