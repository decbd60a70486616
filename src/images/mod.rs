//! Images: their names, logins to their registries, the gate that decides whether they may be built, and the results of builds.

pub mod bake;
pub mod builds;
pub mod gate;
pub mod login;
pub mod moving;
pub mod platform;
pub mod reference;
