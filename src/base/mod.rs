//! Vocabulary that every other module uses: paths, manifests, messages, exit codes.
//!
//! Pure, and imports nothing of this crate outside of itself.

pub mod diagnostic;
pub mod diff;
pub mod duration;
pub mod error;
pub mod manifest;
pub mod path;
pub mod patterns;
pub mod secret;
