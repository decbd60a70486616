//! The layers, and the rules for their imports.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Sources, within};

/// Sort of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Values and functions of values. Imports what is pure, and nothing else.
    Pure,
    /// Reads facts: files, git, the host, GitHub.
    Edge,
    /// Changes a host, or notifies others.
    Effects,
    /// The command line.
    Top,
}

/// The folders of src, lowest first. A folder imports those above it in this table.
pub(crate) const LAYERS: &[(&str, Sort)] = &[
    ("base", Sort::Pure),
    ("config", Sort::Pure),
    ("compose", Sort::Pure),
    ("state", Sort::Pure),
    ("plan", Sort::Pure),
    ("images", Sort::Pure),
    ("lint", Sort::Pure),
    ("outcome", Sort::Pure),
    ("report", Sort::Pure),
    ("tree", Sort::Edge),
    ("host", Sort::Edge),
    ("github", Sort::Edge),
    ("apply", Sort::Effects),
    ("deploy", Sort::Effects),
    ("notify", Sort::Effects),
    ("cli", Sort::Top),
];

/// Pure modules in folders that are not pure. They import no impure part of their own folder either.
const PURE_PARTS: &[&str] = &[
    "github::trigger",
    "github::workflow",
    "host::key",
    "apply::engine",
    "apply::health",
    "apply::steps",
    "apply::words",
];

/// Modules that draw on the terminal, in a folder that is pure otherwise.
const IMPURE_PARTS: &[&str] = &["report::progress"];

/// Paths with effects, clocks or processes.
const EFFECTS: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// Values that live in a module of effects.
const VALUES: &[&str] = &[
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::os::unix::ffi",
    "std::process::ExitCode",
];

/// Methods of `std::path::Path` that access the filesystem.
const PATH_METHODS: &[&str] =
    &["canonicalize", "exists", "metadata", "read_dir", "read_link", "symlink_metadata", "try_exists"];

/// The crates that a pure module may use.
const PURE_CRATES: &[&str] = &[
    "anstyle",
    "base64",
    "encoding_rs",
    "globset",
    "ignore",
    "roxmltree",
    "saphyr_parser",
    "serde",
    "serde_json",
    "serde_yaml",
    "sha2",
    "similar",
    "strsim",
    "thiserror",
];

/// Whether a module is pure.
pub(crate) fn is_pure(module: &str) -> bool {
    let is_within = |part: &&str| within(module, part);
    let top = module.split("::").next().unwrap_or_default();
    let is_layer = LAYERS.contains(&(top, Sort::Pure)) && !IMPURE_PARTS.iter().any(is_within);
    is_layer || PURE_PARTS.iter().any(is_within)
}

/// Returns the imports that the layers forbid, one line for each. `crates` are the dependencies of the
/// program.
pub(crate) fn violations(sources: &Sources, crates: &[String]) -> Vec<String> {
    let level = |module: &str| {
        let top = module.split("::").next().unwrap_or_default();
        LAYERS.iter().position(|(folder, _)| *folder == top)
    };
    let mut wrong = Vec::new();
    for module in sources.modules() {
        for import in sources.imports(module) {
            if is_pure(module) && !is_pure(import) {
                wrong.push(format!("{module} is pure and imports {import}, which is not"));
            } else if let (Some(from), Some(to)) = (level(module), level(import))
                && from < to
            {
                wrong.push(format!("{module} imports {import}, which stands above it"));
            }
        }
        if is_pure(module) {
            for path in sources.external(module).iter().filter(|path| has_effects(path, crates)) {
                wrong.push(format!("{module} is pure and uses {path}"));
            }
            for method in sources.methods(module).filter(|method| PATH_METHODS.contains(method)) {
                wrong.push(format!("{module} is pure and calls .{method}()"));
            }
        }
    }
    wrong
}

/// Whether a path of another crate may have an effect.
fn has_effects(path: &str, crates: &[String]) -> bool {
    let (path, is_glob) = path.strip_suffix("::*").map_or((path, false), |path| (path, true));
    let name = path.split("::").next().unwrap_or_default();
    if crates.iter().any(|known| known == name) {
        return !PURE_CRATES.contains(&name);
    }
    let is_effect = |effect: &&str| within(path, effect) || is_glob && within(effect, path);
    EFFECTS.iter().any(is_effect) && !VALUES.iter().any(|value| within(path, value))
}

/// Returns the import circles in the folders of src, as `folder: part, part`. A part is a file or a folder.
/// Imports from and by the folder's own mod.rs do not count.
pub(crate) fn circles(sources: &Sources) -> Vec<String> {
    let mut folders: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for module in sources.modules() {
        for import in sources.imports(module) {
            let parts = |module| str::split(module, "::").filter(|part| !part.is_empty()).collect::<Vec<_>>();
            let (from, to) = (parts(module), parts(import));
            let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
            if let (Some(part), Some(other)) = (from.get(shared), to.get(shared)) {
                let parts = folders.entry(from[..shared].join("::")).or_default();
                parts.entry((*part).to_owned()).or_default().insert((*other).to_owned());
            }
        }
    }
    let mut found = BTreeSet::new();
    for (folder, parts) in &folders {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            parts.keys().map(|part| (&**part, reach(parts, part))).collect();
        for (part, others) in reached.iter().filter(|(part, others)| others.contains(*part)) {
            let is_mutual = |other: &&&str| reached.get(**other).is_some_and(|back| back.contains(part));
            let circle: Vec<&str> = others.iter().filter(is_mutual).copied().collect();
            let folder = if folder.is_empty() { "src" } else { folder };
            found.insert(format!("{folder}: {}", circle.join(", ")));
        }
    }
    found.into_iter().collect()
}

/// Returns the parts of a folder that one of them imports, directly or not.
fn reach<'p>(parts: &'p BTreeMap<String, BTreeSet<String>>, from: &'p str) -> BTreeSet<&'p str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(part) = next.pop() {
        next.extend(
            parts.get(part).into_iter().flatten().map(String::as_str).filter(|to| reached.insert(*to)),
        );
    }
    reached
}
