//! Both sides of the comparison as values: what is wanted and what is deployed.

pub mod container;
pub mod deployed;
pub mod host_only;
pub mod question;
pub mod reach;
pub mod repository;
pub mod unusable;
pub mod versions;
pub mod wanted;
