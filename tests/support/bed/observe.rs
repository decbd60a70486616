//! The state of containers and files, and whether it matches a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed::{Bed, engine, privileged, stdout_of};

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) started: String,
    pub(crate) state: String,
    pub(crate) health: String,
    /// Number of restarts by Docker itself.
    pub(crate) again: String,
}

/// Containers by `project/service`.
pub(crate) type Containers = BTreeMap<String, Container>;

/// A successful deploy.
#[derive(Debug)]
pub(crate) struct Change {
    /// Actions of the plan: `restart app/web`.
    pub(crate) actions: Vec<String>,
    /// Fates of containers: `app/web restarted`. Unchanged ones are left out.
    pub(crate) fates: Vec<String>,
    /// Files of the plan: `modified services/app/web.conf`.
    pub(crate) files: Vec<String>,
}

impl Bed {
    /// All containers of this bed.
    pub(crate) fn containers(&self) -> Containers {
        let prefix = format!("{}-", self.id);
        let ids = engine::listed("/containers/json", "name", &prefix);
        let containers = ids.iter().filter_map(|listed| {
            let container = engine::container(listed["Id"].as_str().unwrap())?;
            let text = |pointer: &str| container.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let label = |name: &str| {
                container["Config"]["Labels"][format!("com.docker.compose.{name}")]
                    .as_str()
                    .unwrap_or_default()
            };
            Some((
                format!("{}/{}", label("project").strip_prefix(&prefix).unwrap(), label("service")),
                Container {
                    id: text("/Id").unwrap(),
                    started: text("/State/StartedAt").unwrap(),
                    state: text("/State/Status").unwrap(),
                    health: text("/State/Health/Status").unwrap_or_else(|| "-".to_owned()),
                    again: container["RestartCount"].to_string(),
                },
            ))
        });
        let all: Vec<_> = containers.collect();
        let by_name: Containers = all.iter().cloned().collect();
        assert_eq!(all.len(), by_name.len(), "a service has several containers: {all:?}");
        by_name
    }

    /// Output of a command in the container of `project/service`.
    #[track_caller]
    pub(crate) fn inside(&self, service: &str, argv: &[&str]) -> String {
        let containers = self.containers();
        let container = containers.get(service).unwrap_or_else(|| panic!("{service} has no container"));
        stdout_of(Command::new("docker").args(["exec", &container.id]).args(argv))
    }

    /// Waits until a command of `sh` in the container of `project/service` prints this.
    #[track_caller]
    pub(crate) fn wait_for_output(&self, service: &str, command: &str, wanted: &str) {
        let begin = Instant::now();
        loop {
            let printed = self.inside(service, &["sh", "-c", &format!("{command} 2>/dev/null || true")]);
            if printed.trim() == wanted {
                return;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(10),
                "`{command}` in {service} prints {printed:?}, never {wanted:?}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// An environment variable in the container of `project/service`.
    #[track_caller]
    pub(crate) fn env(&self, service: &str, name: &str) -> String {
        self.inside(service, &["sh", "-c", &format!("printf %s \"${name}\"")])
    }

    /// A field of `docker inspect` of the container of `project/service`.
    pub(crate) fn inspect(&self, service: &str, format: &str) -> String {
        stdout_of(Command::new("docker").args([
            "inspect",
            "--format",
            format,
            &self.containers()[service].id,
        ]))
        .trim()
        .to_owned()
    }

    /// Deploys the repository, and asserts that exactly what the plan says happens to containers, and that
    /// nothing is owed afterwards.
    #[track_caller]
    pub(crate) fn deploy(&self) -> Change {
        self.deploy_with([])
    }

    /// [`Bed::deploy`] with options.
    #[track_caller]
    pub(crate) fn deploy_with<const N: usize>(&self, options: [&str; N]) -> Change {
        self.commit();
        let before = self.containers();
        let planned = self
            .call(["sync", "--dry-run", "--exit-code", "--format", "json"])
            .args(options)
            .run()
            .exits(10)
            .json();
        assert_eq!(self.containers(), before, "a dry run touched containers");
        let outcome = self.call(["sync", "--format", "json"]).args(options).run().exits(0).json();
        let fates = fates(&before, &self.containers());
        let change = Change {
            actions: actions(&planned),
            files: files(&planned),
            fates: fates.iter().map(|(name, fate)| format!("{name} {fate}")).collect(),
        };
        assert_eq!(actions(&outcome), change.actions, "done is not what was planned");
        for action in each(&outcome, "actions") {
            assert_eq!(action.1["result"], "done", "{action:?}");
        }
        assert_eq!(fates, acting(&change.actions, &before), "seen is not what was planned: {change:?}");
        self.call(["sync", "--dry-run", "--exit-code"]).args(options).run().exits(0);
        change
    }

    /// Owner, mode, size, times, inode, link target and digest of everything below a directory. Waits for a
    /// driver that is still writing its records after the end of its run.
    pub(crate) fn listing(&self, path: &str) -> String {
        let lock = self.root(".ghdeploy/lock");
        if lock.exists() {
            // With a limit, because a test may hold the lock itself.
            let _ = privileged(["flock", "-w", "2"]).arg(lock).arg("true").status();
        }
        let script = r#"[ -e "$1" ] || exit 0; cd "$1" && find . -printf '%p %y %m %U:%G %s %T@ %C@ %i %l\n' && find . -type f -exec sha256sum {} +"#;
        stdout_of(privileged(["sh", "-c", script, "sh"]).arg(self.path(path)))
    }
}

/// Paths that differ in two listings, without the records that change when a run takes the lock and
/// checks for drift.
pub(crate) fn differences<'a>(before: &'a str, after: &'a str) -> Vec<&'a str> {
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) =
        (before.lines().collect(), after.lines().collect());
    let path = |line: &&'a str| {
        if line.starts_with("./") {
            line.split(' ').next().unwrap()
        } else {
            line.rsplit("  ").next().unwrap()
        }
    };
    let records = [
        "./.ghdeploy",
        "./.ghdeploy/lock",
        "./.ghdeploy/lock.json",
        "./.ghdeploy/heartbeat",
        "./.ghdeploy/listing",
        "./.ghdeploy/proof.0",
        "./.ghdeploy/names.0",
    ];
    let paths: BTreeSet<&str> =
        before.symmetric_difference(&after).map(path).filter(|path| !records.contains(path)).collect();
    paths.into_iter().collect()
}

/// Fates of containers, without the unchanged ones.
pub(crate) fn fates(before: &Containers, after: &Containers) -> BTreeMap<String, &'static str> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let fate = |name: &String| match (before.get(name), after.get(name)) {
        (None, _) => Some("started"),
        (_, None) => Some("removed"),
        (Some(old), Some(new)) if old.id != new.id => Some("recreated"),
        (Some(old), Some(new)) if old.started != new.started => Some("restarted"),
        _ => None,
    };
    names.into_iter().filter_map(|name| Some((name.clone(), fate(name)?))).collect()
}

/// Fates of containers that follow from the actions of a plan.
fn acting(actions: &[String], before: &Containers) -> BTreeMap<String, &'static str> {
    let mut acting = BTreeMap::new();
    for action in actions {
        let (kind, name) = action.split_once(' ').unwrap();
        let fate = match kind {
            "up" | "recreate" if before.contains_key(name) => "recreated",
            "up" => "started",
            "restart" => "restarted",
            "remove" => "removed",
            "down" => {
                let project = name.trim_end_matches('-');
                acting.extend(
                    before
                        .keys()
                        .filter(|name| name.starts_with(project))
                        .map(|name| (name.clone(), "removed")),
                );
                continue;
            }
            _ => continue,
        };
        acting.insert(name.to_owned(), fate);
    }
    acting
}

/// Items of a list in every project of a plan or an outcome, with the project's name.
pub(crate) fn each<'a>(value: &'a Value, list: &str) -> Vec<(&'a str, &'a Value)> {
    let projects =
        value["hosts"].as_array().unwrap().iter().flat_map(|host| host["projects"].as_array().unwrap());
    projects
        .flat_map(|project| {
            project[list].as_array().unwrap().iter().map(|item| (project["name"].as_str().unwrap(), item))
        })
        .collect()
}

/// Actions of a plan or an outcome: `restart app/web`, `down app/-`.
pub(crate) fn actions(value: &Value) -> Vec<String> {
    each(value, "actions")
        .into_iter()
        .map(|(project, action)| {
            format!(
                "{} {project}/{}",
                action["kind"].as_str().unwrap(),
                action["service"].as_str().unwrap_or("-")
            )
        })
        .collect()
}

/// Files of a plan or an outcome: `modified services/app/web.conf`.
pub(crate) fn files(value: &Value) -> Vec<String> {
    each(value, "files")
        .into_iter()
        .map(|(_, file)| format!("{} {}", file["change"].as_str().unwrap(), file["path"].as_str().unwrap()))
        .collect()
}
