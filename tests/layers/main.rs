//! Checks the layers: pure modules stay pure, imports run one way, and ARCHITECTURE.md lists the layers that
//! are built.
//!
//! Reads the sources, not the program.

#![expect(clippy::unwrap_used, reason = "if a test cannot read its input, a panic is the message")]

mod rules;
mod source;

use std::fs;
use std::path::Path;

use rules::{LAYERS, Sort, circles, is_pure, violations};
use source::{Sources, within};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn sources() -> Sources {
    let sources = Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.modules().count() > 60, "only {} sources were found", sources.modules().count());
    sources
}

/// Returns the dependencies of the program, by the names that paths use.
fn crates() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    dependencies.lines().filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_"))).collect()
}

/// Returns the violations of a source in a program with all modules that it imports.
fn violations_of(module: &str, text: &str) -> Vec<String> {
    let others =
        ["base::path", "compose::yaml", "tree::disk", "host", "cli", "apply::words", "report::progress"];
    let folders = LAYERS.iter().map(|(folder, _)| *folder);
    let mut texts: Vec<(String, String)> =
        folders.chain(others).chain([""]).map(|module| (module.to_owned(), String::new())).collect();
    texts.retain(|(other, _)| other != module);
    texts.push((module.to_owned(), text.to_owned()));
    violations(&Sources::of(texts), &crates())
}

#[test]
fn the_sources_keep_to_their_layers() {
    let wrong = violations(&sources(), &crates());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_folder_has_an_import_circle() {
    let found = circles(&sources());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn pure_folders_stand_below_edges_and_those_below_effects() {
    let order = [Sort::Pure, Sort::Edge, Sort::Effects, Sort::Top];
    let rank = |sort: &Sort| order.iter().position(|other| other == sort);
    assert!(LAYERS.is_sorted_by_key(|(_, sort)| rank(sort)));
}

#[test]
fn the_architecture_page_lists_these_layers() {
    let page = read("ARCHITECTURE.md");
    let mut rows = page.lines().skip_while(|line| !line.starts_with("| folder |")).skip(2);
    let mut drawn = Vec::new();
    while let Some(row) = rows.next().filter(|row| row.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [folder, _, sort] = cells[..] else { panic!("a row of three cells: {row}") };
        drawn.push(format!("{} {sort}", folder.trim_matches('`')));
    }
    let sorts = |sort: &Sort| match sort {
        Sort::Pure => "pure",
        Sort::Edge => "edge",
        Sort::Effects => "effects",
        Sort::Top => "top",
    };
    let held: Vec<String> = LAYERS.iter().map(|(folder, sort)| format!("{folder} {}", sorts(sort))).collect();
    assert_eq!(drawn, held, "the table in ARCHITECTURE.md and LAYERS");
    let sources = sources();
    let built = sources.modules().filter(|module| !matches!(*module, "" | "main"));
    for folder in built.map(|module| module.split("::").next().unwrap_or_default()) {
        assert!(LAYERS.iter().any(|(known, _)| *known == folder), "src/{folder} has no place in LAYERS");
    }
    for (folder, _) in LAYERS {
        assert!(sources.modules().any(|module| module == *folder), "there is no src/{folder}");
    }
}

#[test]
fn the_command_line_is_imported_by_main_only() {
    let sources = sources();
    for module in sources.modules() {
        let imports = sources.imports(module);
        if module == "main" {
            assert!(imports.iter().all(|import| within(import, "cli")), "{imports:?}");
        } else if !within(module, "cli") {
            assert!(!imports.iter().any(|import| within(import, "cli")), "{module}");
        }
    }
}

#[test]
fn a_violation_is_caught_however_it_is_written() {
    for (module, text) in [
        ("plan::actions", "use std::fs;"),
        ("plan::actions", "use std::{collections::BTreeMap, env};"),
        ("plan", "fn f() { let _ = std::process::Command::new(\"x\"); }"),
        ("plan", "fn f() { let _ = ::std::process::Command::new(\"x\"); }"),
        ("plan", "use std::time::*;"),
        ("plan", "fn f(path: &std::path::Path) -> bool { path.exists() }"),
        ("plan", "fn f() -> String { format!(\"{:?}\", std::env::args()) }"),
        ("state::wanted", "use tokio::sync::Mutex;"),
        ("base::manifest", "use {std::{time::{Duration, SystemTime}}};"),
        ("base::manifest", "use std::time as t; fn f() { t::Instant::now(); }"),
        ("base::manifest", "use std::io::{self, Write}; fn f() { io::stdout(); }"),
        ("config::address", "use std::net::{Ipv6Addr, TcpStream};"),
        ("apply::health", "use jiff::Timestamp;"),
        ("apply::health", "use super::stage;"),
        ("compose::mounts", "use super::super::tree::disk::DiskTree;"),
        ("compose::mounts", "mod inner { use super::super::super::tree::disk::DiskTree; }"),
        ("plan", "use crate::{apply::apply, base::path::RootPath};"),
        ("plan", "fn f(x: &crate::host::Driver) {}"),
        ("plan", "use crate::apply::words::explain;"),
        ("report::json", "use crate::host::Container;"),
        ("report", "use crate::report::progress::Progress;"),
        ("report::text::plan", "use super::super::super::tree::Snapshot;"),
        ("report", "use tokio;"),
        ("tree::disk", "use crate::cli;"),
        ("apply::stage", "use crate::cli::main;"),
    ] {
        let wrong = violations_of(module, text);
        assert_eq!(wrong.len(), 1, "{module}: {text}: {wrong:?}");
    }
}

#[test]
fn comments_strings_and_tests_do_not_count_as_imports() {
    for (module, text) in [
        ("plan", "/// As [`crate::host`] says. std::fs\nuse std::collections::BTreeMap; // tokio::spawn"),
        (
            "plan",
            "const X: &str = \"use std::fs; \\\" crate::cli::x\"; const Y: &str = r#\"tokio::\"x\"#; const Q: char = '\"';",
        ),
        ("plan", "fn a() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n    fn x() {\n    }\n}\n"),
        ("plan", "#[cfg(test)]\nmod fake;\nuse crate::base::path::RootPath;\n"),
        ("compose", "use super::base::path::RootPath; use self::yaml::Node; use std::time::Duration;"),
        ("compose", "use yaml::Node; fn f() -> Result<(), std::io::Error> { yaml::parse() }"),
        ("config::address", "use std::net::{IpAddr as Ip, Ipv6Addr};"),
        ("report::progress", "use std::io::stderr;"),
        ("apply::services", "use tokio::time::sleep; use crate::host::Driver; use super::words::explain;"),
    ] {
        assert_eq!(violations_of(module, text), Vec::<String>::new(), "{module}: {text}");
    }
}

#[test]
fn purity_is_by_folder_with_named_parts() {
    assert!(is_pure("compose::yaml") && is_pure("report::text::plan") && is_pure("host::key"));
    assert!(!is_pure("report::progress") && !is_pure("host") && !is_pure("host::keys") && !is_pure("main"));
}

#[test]
fn an_import_circle_is_caught_through_re_exports() {
    let circles_of = |texts: &[(&str, &str)]| {
        circles(&Sources::of(texts.iter().map(|(module, text)| ((*module).to_owned(), (*text).to_owned()))))
    };
    let folder = ("a", "mod b; mod c; mod d; pub use b::B; pub use c::{C as See}; use d::D;");
    assert_eq!(
        circles_of(&[
            folder,
            ("a::b", "use super::See;"),
            ("a::c", "use crate::a::d::x;"),
            ("a::d", "use super::B;")
        ]),
        ["a: b, c, d"]
    );
    assert_eq!(
        circles_of(&[folder, ("a::b", "use super::folder_word;"), ("a::c", "use super::B;"), ("a::d", "")]),
        [""; 0]
    );
    assert_eq!(
        circles_of(&[
            ("a", ""),
            ("a::b", "use super::c::d::D;"),
            ("a::c", ""),
            ("a::c::d", "use crate::a::b::B;")
        ]),
        ["a: b, c"]
    );
    assert_eq!(
        circles_of(&[
            ("a::b", "#[cfg(test)] use super::c::C; #[cfg(test)] mod fake;"),
            ("a::c", "use super::b;")
        ]),
        [""; 0]
    );
}
