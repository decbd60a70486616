//! Images: their names, the gate that decides whether they may be built, and the results of builds.

pub mod builds;
pub mod gate;
pub mod platform;
pub mod reference;
