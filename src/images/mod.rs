//! Images: what they are called, whether they may be built, and what became of a build.

pub mod builds;
pub mod gate;
pub mod reference;
