//! Fuzzes a text with variables, wherever a compose file may have one.
#![no_main]

use ghdeploy_fuzz::{Tree, VARIABLES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // In double quotes, with everything that has a meaning in YAML escaped.
    let quoted: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() || c > '~' => format!("\\U{:08x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    let compose = format!(
        "name: \"{quoted}\"
services:
  web:
    image: \"{quoted}\"
    environment: {{A: \"{quoted}\"}}
    volumes: [\"{quoted}\", \"./{quoted}:/a\", {{type: bind, source: \"{quoted}\", target: /b}}]
    ports: [\"{quoted}\", \"{quoted}:80\"]
    command: \"{quoted}\"
    depends_on: [\"{quoted}\"]
    networks: [\"{quoted}\"]
    configs: [\"{quoted}\"]
    env_file: {{path: \"{quoted}\", required: false}}
    extends: \"{quoted}\"
    mem_limit: \"{quoted}\"
    build: \"{quoted}\"
  ok: {{image: \"{quoted}\", environment: [\"A={quoted}\"]}}
include: [\"{quoted}\"]
"
    );
    let only_ok = format!("services: {{ok: {{image: \"i{quoted}\", environment: [\"A={quoted}\"]}}}}\n");
    for compose in [compose, only_ok] {
        Tree::default().with("blog/compose.yml", compose).with("blog/.env", VARIABLES).check();
    }
});
