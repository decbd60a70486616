//! Fuzzes a `.env`, which is also the env file and the label file of a service.
#![no_main]

use ghdeploy_fuzz::{Tree, VARIABLES};
use libfuzzer_sys::fuzz_target;

const COMPOSE: &str = "\
services:
  web: {image: '${A}${B:-b}', env_file: [web.env, {path: raw.env, format: raw}]}
  app: {image: '${C-c}', label_file: web.env}
";

fuzz_target!(|data: &[u8]| {
    Tree::default()
        .with("blog/compose.yml", COMPOSE)
        .with("blog/.env", [VARIABLES.as_bytes(), data].concat())
        .with("blog/web.env", data)
        .with("blog/raw.env", data)
        .check();
});
