//! Vocabulary of all modules: paths, manifests, diagnostics, exit codes.
//!
//! Pure. Imports no other module of this crate.

pub mod commit;
pub mod diagnostic;
pub mod diff;
pub mod duration;
pub mod error;
pub mod manifest;
pub mod path;
pub mod patterns;
pub mod secret;
