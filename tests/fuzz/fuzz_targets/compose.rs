//! Fuzzes a compose file, and one that it may include or extend.
#![no_main]

use ghdeploy_fuzz::{Tree, VARIABLES, parts};
use libfuzzer_sys::fuzz_target;

const OTHER: &[u8] = b"services: {base: {image: '${I}', environment: {A: $N}, volumes: ['./a:/a']}}\n";

fuzz_target!(|data: &[u8]| {
    let mut parts = parts(data);
    Tree::default()
        .with("blog/compose.yml", parts.next().unwrap_or_default())
        .with("blog/other.yml", parts.next().unwrap_or(OTHER))
        .with("blog/.env", VARIABLES)
        .check();
});
