//! Fuzzes every file of a project: compose file, override, `.env`, an env file, and one to extend or include.
#![no_main]

use ghdeploy_fuzz::{Tree, VARIABLES, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = parts(data);
    let mut next = || parts.next().unwrap_or_default();
    Tree::default()
        .with("blog/compose.yml", next())
        .with("blog/compose.override.yml", next())
        .with("blog/.env", [VARIABLES.as_bytes(), next()].concat())
        .with("blog/web.env", next())
        .with("blog/other.yml", next())
        .check();
});
