//! Actions that a change requires, computed from `docker compose config` alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::Actions;
use crate::history::History;

/// All projects by name; `None` for one that Compose refuses.
pub(crate) type Projects = BTreeMap<String, Option<Rc<Resolved>>>;

/// Project as Compose resolves it, with the content of the files that it names.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// All services, including those of inactive profiles.
    names: BTreeSet<String>,
    /// The services that a plain `up` starts.
    active: BTreeMap<String, Service>,
}

/// Parts of a service that decide about its actions.
#[derive(Debug, PartialEq)]
struct Service {
    /// Parts whose change a plain `up` applies.
    definition: Value,
    /// Parts whose change only a recreate applies.
    inline: Value,
    /// Its build and the content of that; `None` if it is not built.
    build: Option<Value>,
    /// The mounted content.
    content: BTreeMap<String, String>,
    /// Whether it asks for a recreate if that changes.
    recreates: bool,
    /// Whether it asks for less than a restart. A service that starts anew does not need that.
    is_mild: bool,
    /// Services that it is restarted with or after.
    follows: Vec<String>,
}

/// Asks Compose, and caches the answers.
#[derive(Default)]
pub(crate) struct Oracle {
    answers: HashMap<String, Option<Rc<Value>>>,
}

impl Oracle {
    /// Resolves every project of the checked-out commit.
    pub(crate) fn projects(&mut self, history: &History) -> Projects {
        let projects = history.projects();
        // Files outside the projects may be part of any of them.
        let outside = history.outside();
        projects
            .into_iter()
            .map(|name| {
                let dir = history.top().join("services").join(&name);
                let key = format!("{name} {} {outside}", content(&dir).unwrap_or_default());
                let options = history.options(&dir);
                let answer = self.answers.entry(key).or_insert_with(|| ask(&dir, &options)).clone();
                (name, answer.map(|answer| Rc::new(resolve(&answer))))
            })
            .collect()
    }
}

/// Returns the resolved configuration with the list of active services.
fn ask(dir: &Path, options: &[String]) -> Option<Rc<Value>> {
    let compose = |args: &[&str]| -> Option<Vec<u8>> {
        let mut command = Command::new("docker");
        command.arg("compose").args(options).args(args).current_dir(dir).env_clear();
        command.env("PATH", std::env::var_os("PATH")?).env("HOME", "/root").env("PWD", dir);
        let output = command.output().expect("this test needs Docker Compose");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("is not a docker command"), "this test needs Docker Compose");
        output.status.success().then_some(output.stdout)
    };
    // The JSON format would leave out keys that start with `x-`.
    let config = compose(&["--profile", "*", "config"])?;
    let mut config: Value = serde_yaml::from_slice(&config).unwrap();
    let active = compose(&["config", "--services"])?;
    let active: Vec<&str> = std::str::from_utf8(&active).unwrap().lines().collect();
    config["active"] = json!(active);
    Some(Rc::new(config))
}

fn resolve(config: &Value) -> Resolved {
    let services = config["services"].as_object().cloned().unwrap_or_default();
    let active = config["active"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    Resolved {
        active: active.map(|name| (name.to_owned(), service(config, &services[name]))).collect(),
        names: services.keys().cloned().collect(),
    }
}

fn service(config: &Value, body: &Value) -> Service {
    let mut definition = body.as_object().unwrap().clone();
    definition.retain(|key, _| {
        !key.starts_with("x-")
            && !["build", "pull_policy", "scale", "depends_on", "profiles"].contains(&key.as_str())
    });
    let (mut inline, mut files) = (Map::new(), BTreeMap::new());
    let mut file = |path: &Value| {
        let path = path.as_str().unwrap().to_owned();
        files.insert(path.clone(), content(Path::new(&path)).unwrap_or_default());
    };
    for volume in body["volumes"].as_array().into_iter().flatten() {
        let source = volume["source"].as_str().unwrap_or_default();
        if volume["type"] == "bind" {
            file(&volume["source"]);
        } else if let Some(named) = config["volumes"].get(source) {
            let mut named = named.clone();
            inline.insert(format!("volume {source}"), named["name"].take());
            if named["driver_opts"]["o"] == "bind" {
                file(&named["driver_opts"]["device"]);
            }
            definition.insert(format!("volume {source}"), named);
        }
    }
    for name in body["networks"].as_object().into_iter().flat_map(Map::keys) {
        let mut network = config["networks"][name].clone();
        inline.insert(format!("network {name}"), network["name"].take());
        definition.insert(format!("network {name}"), network);
    }
    for key in ["configs", "secrets"] {
        for used in body[key].as_array().into_iter().flatten() {
            let source = used["source"].as_str().unwrap();
            let object = &config[key][source];
            let from = ["file", "content", "environment"].map(|from| object[from].clone());
            inline.insert(format!("{key} {source}"), json!(from));
            if object["file"].is_string() {
                file(&object["file"]);
            }
        }
    }
    let build = body.get("build").map(|build| {
        let context = Path::new(build["context"].as_str().unwrap());
        let dockerfile = context.join(build["dockerfile"].as_str().unwrap_or("Dockerfile"));
        let others = build["additional_contexts"].as_object().into_iter().flatten();
        let others: Vec<_> = others.map(|(_, path)| content(Path::new(path.as_str().unwrap()))).collect();
        json!([build, content(context), content(&dockerfile), others])
    });
    let follows = body["depends_on"].as_object().into_iter().flatten();
    let follows = follows
        .filter(|(_, how)| how["condition"] == "service_completed_successfully" || how["restart"] == true)
        .map(|(name, _)| name.clone());
    Service {
        definition: Value::Object(definition),
        inline: Value::Object(inline),
        build,
        content: files,
        recreates: body["x-ghdeploy"]["on-change"] == "recreate",
        is_mild: body["x-ghdeploy"]["on-change"].is_object(),
        follows: follows.collect(),
    }
}

/// Returns a digest of a file or of everything in a folder; `None` if it does not exist.
fn content(path: &Path) -> Option<String> {
    let mut digest = Sha256::new();
    if path.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let below: Vec<_> =
            names.iter().filter_map(|name| Some((name, content(&path.join(name))?))).collect();
        if below.is_empty() {
            return None;
        }
        below.iter().for_each(|(name, content)| digest.update(format!("{name:?} {content}\n")));
    } else {
        digest.update(fs::read(path).ok()?);
    }
    Some(format!("{:x}", digest.finalize()))
}

/// Returns the required actions, and the projects that Compose accepts both before and after.
pub(crate) fn actions(before: &Projects, after: &Projects) -> (Actions, BTreeSet<String>) {
    let (mut actions, mut known) = (Actions::new(), BTreeSet::new());
    for (project, now) in after {
        let Some(now) = now else { continue };
        let old = match before.get(project) {
            Some(Some(old)) => Some(old),
            Some(None) => continue,
            None => None,
        };
        known.insert(project.clone());
        let mut kinds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, service) in &now.active {
            let old = old.and_then(|old| old.active.get(name));
            kinds.insert(name, one(old, service));
        }
        loop {
            let starts = |name: &str| kinds.get(name).is_some_and(|kinds| starts(kinds));
            let follower = now.active.iter().find(|(name, service)| {
                !starts(name) && service.follows.iter().any(|dependency| starts(dependency))
            });
            let Some((name, _)) = follower else { break };
            // A service that starts anew needs nothing less.
            kinds.insert(name, BTreeSet::from(["content", "started"]));
        }
        for (name, mut kinds) in kinds {
            kinds.remove("started");
            if !kinds.is_empty() {
                let kinds = kinds.into_iter().map(str::to_owned).collect();
                actions.insert((project.clone(), name.to_owned()), kinds);
            }
        }
        for gone in old.iter().flat_map(|old| old.active.keys()).filter(|name| !now.names.contains(*name)) {
            actions.insert((project.clone(), gone.clone()), BTreeSet::from(["remove".to_owned()]));
        }
    }
    (actions, known)
}

fn starts(kinds: &BTreeSet<&str>) -> bool {
    ["up", "recreate", "started"].iter().any(|kind| kinds.contains(kind))
}

/// Returns the kinds of actions for one service. `started` marks a restart, which `content` need not be.
fn one(old: Option<&Service>, now: &Service) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    let Some(old) = old else {
        kinds.insert("up");
        kinds.extend(now.build.is_some().then_some("build"));
        return kinds;
    };
    if old.definition != now.definition {
        kinds.insert("up");
    } else if old.inline != now.inline && now.inline != json!({}) {
        kinds.insert("recreate");
    }
    if now.build.is_some() && old.build != now.build {
        kinds.insert("build");
        if !kinds.contains("recreate") {
            kinds.insert("up");
        }
    }
    if old.content == now.content {
        return kinds;
    }
    // A build may result in the existing image. Then nothing starts anew.
    let suffices =
        if now.is_mild || !kinds.contains("build") { starts(&kinds) } else { kinds.contains("recreate") };
    if now.recreates {
        if old.definition == now.definition {
            kinds.remove("up");
            kinds.insert("recreate");
        }
    } else if !suffices {
        kinds.insert("content");
        kinds.extend((!now.is_mild).then_some("started"));
    }
    kinds
}
