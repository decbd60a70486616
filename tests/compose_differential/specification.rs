//! What the JSON schema of the Compose Specification allows, as far as this Compose knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ghdeploy::base::path::RootPath;
use serde_json::{Value, json};

use super::spec::{Schema, document};
use super::{Folder, docker_compose, expect_nothing};

/// Files that examples name.
const FILES: &[(&str, &str)] = &[
    ("one", "A=\"1\""),
    ("two", "A=\"2\""),
    ("part.yml", "services: {one: {command: part}}"),
    ("other.yml", "services: {one: {command: other}}"),
];

/// An example of a service, a network, …
#[derive(Debug, Clone)]
struct Example {
    /// The keys that lead to the value.
    path: String,
    /// The section that it is in.
    section: String,
    /// The service, network, …
    node: Value,
    /// The number of the place and of the type of the value: examples that differ in the value alone have the same.
    place: (usize, usize),
}

impl Example {
    /// Whether the key of a path is in it.
    fn has(&self, path: &str) -> bool {
        let mut values = vec![&self.node];
        for part in path.split('.').skip(2) {
            values = values
                .into_iter()
                .flat_map(|value| match (part, value) {
                    ("*", Value::Object(map)) => map.values().collect(),
                    ("[]", Value::Array(items)) => items.iter().collect(),
                    (part, value) => value.get(part).into_iter().collect::<Vec<_>>(),
                })
                .collect();
        }
        self.section == path || path.starts_with(&format!("{}.", self.section)) && !values.is_empty()
    }
}

fn examples() -> Vec<Example> {
    let schema = Schema::read();
    let mut found = Vec::new();
    for (number, place) in schema.places().into_iter().enumerate() {
        let Some((section, _)) = place.path.split_once(".*") else { continue };
        for (kind, one) in place.alternatives.iter().enumerate() {
            for value in schema.examples(&place.path, one) {
                let node = place.with(&value)[section]["one"].clone();
                let (path, section) = (place.path.clone(), section.to_owned());
                found.push(Example { path, section, node, place: (number, kind) });
            }
        }
    }
    found
}

/// A compose file with all of these examples, named `x0`, `x1`, ….
fn together(examples: &[&Example], unknown: &BTreeSet<String>) -> Value {
    let mut whole = document(&json!({}));
    for (number, example) in examples.iter().enumerate() {
        whole[&example.section][format!("x{number}")] = example.node.clone();
    }
    // What the examples refer to is there without sections that Compose does not know.
    for path in unknown {
        let key = path.trim_start_matches("services.*.");
        let service = &mut whole["services"]["user"];
        service.as_object_mut().unwrap().remove(key);
        whole.as_object_mut().unwrap().remove(path);
    }
    whole
}

fn compose(folder: &Path, document: &Value, args: &[&str]) -> Result<String, String> {
    let folder = tempfile::tempdir_in(folder).unwrap();
    std::fs::create_dir(folder.path().join("part")).unwrap();
    for (name, content) in FILES.iter().copied().chain([("compose.yaml", &*document.to_string())]) {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    docker_compose(folder.path(), args)
}

/// The path of a key that Compose does not know, if it says so.
fn unknown_key(said: &str) -> Option<String> {
    let (before, key) = match said.split_once(" Additional property ") {
        Some((before, rest)) => (before, rest.split(' ').next()?),
        None => {
            let (before, rest) = said.split_once(" additional properties '")?;
            (before, rest.split('\'').next()?)
        }
    };
    let parent = before.rsplit(' ').next()?;
    let part = |(number, part): (usize, &str)| match part {
        "one" => "*".to_owned(),
        _ if number == 1 => "*".to_owned(),
        part if part.bytes().all(|byte| byte.is_ascii_digit()) => "[]".to_owned(),
        part => part.to_owned(),
    };
    if parent.is_empty() || parent == "(root)" {
        return Some(key.to_owned());
    }
    let parts: Vec<String> = parent.split('.').enumerate().map(part).collect();
    Some(format!("{}.{key}", parts.join(".")))
}

/// What Compose makes of examples.
#[derive(Default)]
struct Verdict<'e> {
    /// Those that it accepts.
    accepted: Vec<&'e Example>,
    /// Those that it refuses, each with what it says.
    refused: Vec<(&'e Example, String)>,
    /// The paths of keys that it does not know. Examples of them are in neither.
    unknown: BTreeSet<String>,
}

impl<'e> Verdict<'e> {
    fn of(folder: &Path, mut examples: Vec<&'e Example>, mut unknown: BTreeSet<String>) -> Self {
        examples.retain(|example| !unknown.iter().any(|path| example.has(path)));
        loop {
            let Err(said) = compose(folder, &together(&examples, &unknown), &["config", "-q"]) else {
                return Self { accepted: examples, refused: Vec::new(), unknown };
            };
            if let Some(key) = unknown_key(&said)
                && unknown.insert(key.clone())
            {
                examples.retain(|example| !example.has(&key));
                continue;
            }
            if let [example] = examples[..] {
                return Self { refused: vec![(example, said)], unknown, ..Self::default() };
            }
            let other = examples.split_off(examples.len() / 2);
            let mut whole = Self::of(folder, examples, unknown);
            let rest = Self::of(folder, other, whole.unknown);
            whole.accepted.extend(rest.accepted);
            whole.refused.extend(rest.refused);
            return Self { unknown: rest.unknown, ..whole };
        }
    }
}

/// Values that the schema allows and that some Compose refuses or crashes at, by the end of their path.
const REFUSED: &[&str] = &[
    "build.secrets.[].mode",
    "blkio_config.weight",
    "blkio_config.weight_device.[].weight",
    "build.additional_contexts.*",
    "build.ulimits.*",
    "build.ulimits.*.hard",
    "build.ulimits.*.soft",
    "develop.watch.[].ignore",
    "env_file.[]",
    "env_file.[].format",
    "secrets.*.external",
    "services.*.pid",
    "volumes.[].tmpfs.mode",
];

/// Keys that versions of Compose hash in different ways. Before 5.5, `config --hash` has the names of env files and not
/// what is in them; 2.26 also hashes `depends_on`, and does not hash `gw_priority`; `pull_refresh_after` counts since 5.7.
const NOT_COMPARED: &[&str] = &["depends_on", "env_file", "gw_priority", "pull_refresh_after"];

#[test]
fn what_the_schema_allows_is_accepted_and_hashed_as_compose_does() {
    let folder = tempfile::tempdir().unwrap();
    let examples = examples();
    let Verdict { accepted, refused, unknown } =
        Verdict::of(folder.path(), examples.iter().collect(), BTreeSet::new());
    let is_known = |example: &Example| REFUSED.iter().any(|end| example.path.ends_with(end));
    let surprises = refused.iter().filter(|(example, _)| !is_known(example)).map(|(example, said)| {
        let said = said.lines().next().unwrap_or_default();
        format!("Compose refuses what the schema allows: {}: {}: {said}", example.path, example.node)
    });
    expect_nothing(surprises.collect());
    assert!(accepted.len() > 1000, "{} of {}; unknown: {unknown:?}", accepted.len(), examples.len());

    let services: Vec<&Example> =
        accepted.into_iter().filter(|example| example.section == "services").collect();
    let whole = together(&services, &unknown);
    let printed = compose(folder.path(), &whole, &["config", "--hash", "*"]).unwrap();
    let hashes: BTreeMap<&str, &str> = printed.lines().filter_map(|line| line.split_once(' ')).collect();
    let path = |name: &str| RootPath::new(&format!("proj/{name}")).unwrap();
    let mut own = Folder { root: "/nonexistent".into(), replaced: [].into() };
    own.replaced.insert(path("compose.yaml"), Some(Arc::from(whole.to_string().as_bytes())));
    for (name, content) in FILES {
        own.replaced.insert(path(name), Some(Arc::from(content.as_bytes())));
    }
    let project = own.load("proj");
    let mut compared = 0;
    let mut found: BTreeSet<String> = BTreeSet::new();
    for (number, pair) in services.windows(2).enumerate() {
        let [one, other] = pair else { continue };
        let names = [format!("x{number}"), format!("x{}", number + 1)];
        let theirs = names.each_ref().map(|name| hashes.get(&**name));
        let skips = |key: &&str| one.path.split('.').any(|part| part == *key);
        if one.place != other.place || theirs.contains(&None) || NOT_COMPARED.iter().any(skips) {
            continue;
        }
        let ours = names.each_ref().map(|name| &project.services[name].definition);
        compared += 1;
        if (theirs[0] == theirs[1]) != (ours[0] == ours[1]) {
            let word = if theirs[0] == theirs[1] { "the same" } else { "different" };
            found.insert(format!("{}: {word} for Compose: {} and {}", one.path, one.node, other.node));
        }
    }
    assert!(compared > 250, "{compared}");
    expect_nothing(found.into_iter().collect());
}

/// Each takes a run of Compose. By default, every twelfth is tried; with `COMPOSE_EMPTY=all`, each.
#[test]
fn shapes_that_are_an_error_are_refused_by_compose() {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::read();
    let mut documents = Vec::new();
    for place in schema.places().iter().filter(|place| !place.path.is_empty()) {
        for (value, kinds) in [
            (json!("one"), &["string", "number", "integer", "boolean"][..]),
            (json!(["one"]), &["array"]),
            (json!({"one": "one"}), &["object"]),
        ] {
            let document = document(&place.with(&value));
            if !kinds.iter().any(|kind| place.takes(kind))
                && !super::empty_values::errors(&document.to_string()).is_empty()
            {
                documents.push((format!("{}: {value}", place.path), document));
            }
        }
    }
    assert!(documents.len() > 500, "{}", documents.len());
    let step = if std::env::var("COMPOSE_EMPTY").is_ok_and(|which| which == "all") { 1 } else { 12 };
    let sample: Vec<_> = documents.iter().step_by(step).collect();
    expect_nothing(super::all(&sample, |(said, document)| {
        match compose(folder.path(), document, &["config", "-q"]) {
            Ok(_) => vec![format!("an error where Compose sees none: {said}")],
            Err(_) => Vec::new(),
        }
    }));
}
