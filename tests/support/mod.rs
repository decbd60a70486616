//! Parts that several test binaries share. None of them knows what a test is about.
//!
//! `bed` stands beside this module: it needs an sshd and Docker, so only the binaries that have them include
//! it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod program;
pub(crate) mod projects;
pub(crate) mod random;
pub(crate) mod repo;
pub(crate) mod wait;
