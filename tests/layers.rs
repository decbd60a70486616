//! Holds the layering: what is pure stays pure, what renders decides nothing, imports run one way.
//!
//! Reads the sources, not the program: a comment, a string and what is compiled for tests only do not
//! count.

#![expect(clippy::unwrap_used, reason = "in a test bed that cannot be made, a panic is the message")]

use std::fs;
use std::path::{Path, PathBuf};

/// The modules, lowest first. A module imports itself and what stands above it in this table.
const ORDER: &[&str] = &[
    "base", "config", "compose", "state", "tree", "plan", "lint", "outcome", "images", "github", "host",
    "apply", "report", "cli",
];

/// Modules that are values and functions of values.
const PURE: &[&str] = &[
    "base",
    "config",
    "compose",
    "state",
    "plan",
    "lint",
    "outcome",
    "images",
    "github::event",
    "github::marker",
    "host::key",
    "apply::health",
    "apply::words",
];

/// What has effects, tells the time, or runs something.
const EFFECTS: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "std::thread",
    "std::os",
    "std::time::SystemTime",
    "std::time::Instant",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "tokio",
    "openssh",
    "octocrab",
    "jiff",
    "tempfile",
    "walkdir",
];

/// Values that live in a module of effects.
const VALUES: &[&str] = &[
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::process::ExitCode",
    "std::os::unix::ffi",
];

/// What no renderer imports.
const NOT_RENDERED: &[&str] = &[
    "crate::host",
    "crate::apply",
    "crate::tree",
    "tokio",
    "openssh",
    "std::fs",
    "std::process",
    "std::net",
];

/// What is wrong with the imports of a module: `path`, such as `report::json`, with this source.
fn violations(module: &str, source: &str) -> Vec<String> {
    let used = paths(module, &without_tests(&without_comments_and_strings(source)).0);
    let mut wrong = Vec::new();
    let mut tell = |path: &str, why: &str| wrong.push(format!("{module} uses {path}: {why}"));
    let top = module.split("::").next().unwrap_or_default();
    let level = |name: &str| ORDER.iter().position(|known| *known == name);
    for path in &used {
        let is = |prefix: &&str| within(path, prefix);
        if PURE.iter().any(|pure| within(module, pure)) && EFFECTS.iter().any(is) && !VALUES.iter().any(is) {
            tell(path, "the pure core has no effects");
        }
        if top == "report" && module != "report::progress" && NOT_RENDERED.iter().any(is) {
            tell(path, "a renderer decides and does nothing");
        }
        let Some(to) = path.strip_prefix("crate::").and_then(|path| path.split("::").next()) else {
            continue;
        };
        match (level(top), level(to)) {
            // What `crate::` is followed by may also be an item of lib.rs or of the file itself.
            (_, None) | (None, _) => {}
            (Some(from), Some(to)) if from >= to => {}
            _ => tell(path, "imports run one way, see the table"),
        }
    }
    wrong.dedup();
    wrong
}

fn within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The source with blanks for comments and for the content of literals.
fn without_comments_and_strings(source: &str) -> String {
    let bytes: Vec<char> = source.chars().collect();
    let mut plain = String::with_capacity(source.len());
    let at = |index: usize| bytes.get(index).copied().unwrap_or('\0');
    let mut i = 0;
    while i < bytes.len() {
        match (at(i), at(i + 1)) {
            ('/', '/') => {
                while i < bytes.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            ('/', '*') => {
                while i < bytes.len() && (at(i), at(i + 1)) != ('*', '/') {
                    i += 1;
                }
                i += 2;
            }
            ('r', '"' | '#') if i == 0 || !(at(i - 1).is_alphanumeric() || at(i - 1) == '_') => {
                let hashes = bytes[i + 1..].iter().take_while(|c| **c == '#').count();
                if at(i + 1 + hashes) != '"' {
                    plain.push('r'); // a raw identifier
                    i += 1;
                    continue;
                }
                i += 2 + hashes;
                while i < bytes.len()
                    && !(at(i) == '"'
                        && bytes[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes)
                {
                    i += 1;
                }
                i += 1 + hashes;
                plain.push_str("\"\"");
            }
            ('"', _) => {
                i += 1;
                while i < bytes.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
                plain.push_str("\"\"");
            }
            // A character, not a lifetime.
            ('\'', '\\') => {
                i += 3;
                while i < bytes.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            ('\'', _) if at(i + 2) == '\'' => i += 3,
            (c, _) => {
                plain.push(c);
                i += 1;
            }
        }
    }
    plain
}

/// The source without what is compiled for tests only, and the names of modules that are.
fn without_tests(source: &str) -> (String, Vec<String>) {
    let (mut kept, mut names) = (String::new(), Vec::new());
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let item = lines.next().unwrap_or_default();
        if let Some(name) = item.trim().strip_suffix(';').and_then(|item| item.split("mod ").nth(1)) {
            names.push(name.to_owned());
        } else if !item.trim_end().ends_with('}') && !item.trim_end().ends_with(';') {
            let indent = item.len() - item.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            while lines.next().is_some_and(|line| line.trim_end() != end) {}
        }
    }
    (kept, names)
}

/// Every path that a source names, `use` lists written out, those of this crate from `crate::` on.
fn paths(module: &str, source: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            let mut word = c.to_string();
            while let Some(next) = chars.next_if(|next| next.is_alphanumeric() || *next == '_') {
                word.push(next);
            }
            tokens.push(word);
        } else if c == ':' && chars.next_if_eq(&':').is_some() {
            tokens.push("::".to_owned());
        } else if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    let mut found = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let starts = is_word(&tokens[i]) && (i == 0 || tokens[i - 1] != "::");
        i = if tokens[i] == "use" {
            tree(&tokens, i + 1, "", &mut found)
        } else if starts {
            tree(&tokens, i, "", &mut found)
        } else {
            i + 1
        };
    }
    found.retain(|path: &String| {
        path.contains("::") || ["tokio", "openssh", "octocrab", "jiff"].contains(&path.as_str())
    });
    found.into_iter().map(|path| absolute(module, &path)).collect()
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Reads one path or list of paths from `i` on; what follows it.
fn tree(tokens: &[String], mut i: usize, prefix: &str, found: &mut Vec<String>) -> usize {
    let mut path = prefix.to_owned();
    let token = |i: usize| tokens.get(i).map_or("", String::as_str);
    if token(i) == "::" {
        i += 1;
    }
    loop {
        if token(i) == "{" && path.ends_with("::") {
            i += 1;
            while i < tokens.len() && token(i) != "}" {
                i = match token(i) {
                    "," => i + 1,
                    "as" => i + 2,
                    _ => tree(tokens, i, &path, found).max(i + 1),
                };
            }
            return i + 1;
        }
        if !is_word(token(i)) {
            break;
        }
        path.push_str(token(i));
        i += 1;
        if token(i) != "::" || !(is_word(token(i + 1)) || token(i + 1) == "{" || token(i + 1) == "*") {
            break;
        }
        path.push_str("::");
        i += 1;
    }
    found.push(path.trim_end_matches("::").to_owned());
    i
}

/// `super::` and `self::` written out.
fn absolute(module: &str, path: &str) -> String {
    let mut here: Vec<&str> = module.split("::").collect();
    let mut rest = path;
    let mut is_relative = false;
    loop {
        if let Some(after) = rest.strip_prefix("super::") {
            here.pop();
            rest = after;
        } else if let Some(after) = rest.strip_prefix("self::") {
            rest = after;
        } else {
            break;
        }
        is_relative = true;
    }
    match (is_relative, here.is_empty()) {
        (false, _) => path.to_owned(),
        (true, true) => format!("crate::{rest}"),
        (true, false) => format!("crate::{}::{rest}", here.join("::")),
    }
}

/// Every source of the program with its module, without those that are compiled for tests only.
fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<PathBuf> = Vec::new();
    let mut dirs = vec![src.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(path);
            }
        }
    }
    let module = |path: &Path| {
        let below = path.strip_prefix(&src).unwrap().with_extension("");
        let path = below.to_string_lossy().replace('/', "::");
        path.strip_suffix("::mod").map_or(path.clone(), str::to_owned)
    };
    let read: Vec<(String, String)> =
        files.iter().map(|path| (module(path), fs::read_to_string(path).unwrap())).collect();
    let for_tests: Vec<String> = read
        .iter()
        .flat_map(|(module, source)| {
            without_tests(source)
                .1
                .into_iter()
                .map(move |name| if module == "lib" { name } else { format!("{module}::{name}") })
        })
        .collect();
    read.into_iter().filter(|(module, _)| !for_tests.iter().any(|test| within(module, test))).collect()
}

#[test]
fn the_sources_keep_to_their_layers() {
    let sources = sources();
    assert!(sources.len() > 60, "only {} sources were found", sources.len());
    let wrong: Vec<String> = sources.iter().flat_map(|(module, source)| violations(module, source)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_place_in_the_table() {
    let sources = sources();
    let lib = &sources.iter().find(|(module, _)| module == "lib").unwrap().1;
    let declared = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in declared {
        assert!(ORDER.contains(&module), "{module} has no place in ORDER");
    }
}

#[test]
fn the_command_line_is_imported_by_main_only() {
    let used: Vec<String> = sources()
        .iter()
        .filter(|(module, _)| module == "main")
        .flat_map(|(module, source)| paths(module, &without_comments_and_strings(source)))
        .collect();
    assert!(
        used.iter().filter(|path| within(path, "ghdeploy")).all(|path| within(path, "ghdeploy::cli")),
        "{used:?}"
    );
    assert_eq!(
        violations("apply::stage", "use crate::cli::main;"),
        ["apply::stage uses crate::cli::main: imports run one way, see the table"]
    );
}

#[test]
fn a_violation_is_caught_however_it_is_written() {
    for (module, source) in [
        ("plan::actions", "use std::fs;"),
        ("plan::actions", "use std::{collections::BTreeMap, env};"),
        ("plan", "fn f() { let _ = std::process::Command::new(\"x\"); }"),
        ("state::wanted", "use tokio::sync::Mutex;"),
        ("base::manifest", "use {std::{time::{Duration, SystemTime}}};"),
        ("base::manifest", "use std::time as t; fn f() { std::time::Instant::now(); }"),
        ("config::address", "use std::net::{Ipv6Addr, TcpStream};"),
        ("apply::health", "use jiff::Timestamp;"),
        ("compose::mounts", "use super::super::tree::disk::DiskTree;"),
        ("plan", "use crate::{apply::apply, path::RootPath};"),
        ("plan", "fn f(x: &crate::host::Driver) {}"),
        ("report::json", "use crate::host::Container;"),
        ("report::text::plan", "use super::super::super::tree::Snapshot;"),
        ("report", "use tokio;"),
        ("tree::disk", "use crate::plan;"),
    ] {
        assert_eq!(
            violations(module, source).len(),
            1,
            "{module}: {source}: {:?}",
            violations(module, source)
        );
    }
}

#[test]
fn what_is_no_import_is_none() {
    for (module, source) in [
        ("plan", "/// As [`crate::host`] says. std::fs\nuse std::collections::BTreeMap; // tokio::spawn"),
        (
            "plan",
            "const X: &str = \"use std::fs; \\\" crate::cli::x\"; const Y: &str = r#\"tokio::\"x\"#; const Q: char = '\"';",
        ),
        ("plan", "fn a() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n    fn x() {\n    }\n}\n"),
        ("plan", "#[cfg(test)]\nmod fake;\nuse crate::base::path::RootPath;\n"),
        ("compose", "use super::path::RootPath; use self::model::Project; use std::time::Duration;"),
        ("config::address", "use std::net::{IpAddr as Ip, Ipv6Addr};"),
        ("report::progress", "use std::io::stderr;"),
        ("apply::services", "use tokio::time::sleep; use crate::host::Driver; use super::words::explain;"),
    ] {
        assert_eq!(violations(module, source), Vec::<String>::new(), "{module}: {source}");
    }
    assert_eq!(without_tests("#[cfg(test)]\nmod fake;\n").1, ["fake"]);
}
