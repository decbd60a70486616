//! Compares the compose reader with Docker Compose.
//!
//! Needs `docker compose` and fails without it, but uses no daemon. Both read every folder of
//! `tests/compose_fixtures/projects` and of `services`. The documents of `tests/compose_fixtures/digests` are
//! compared with each other by digest and by `config --hash`. `COMPOSE_CORPUS` names more folders of
//! projects, separated by colons, and `COMPOSE_GENERATED` is the number of generated projects.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod empty_values;
#[expect(dead_code, reason = "tests/plans uses the rest")]
#[path = "../support/compose_spec.rs"]
mod spec;
mod specification;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use ghdeploy::base::diagnostic::Diagnostic;
use ghdeploy::base::path::RootPath;
use ghdeploy::compose::model::{Project, ReadMethod};
use ghdeploy::compose::{self, Files, NodeKind};
use serde_json::Value;

/// Folder of this machine, with some files replaced by others (`None`: removed).
struct Folder {
    root: PathBuf,
    replaced: BTreeMap<RootPath, Option<Arc<[u8]>>>,
}

impl Folder {
    fn new(root: &Path) -> Self {
        let root = root.canonicalize().unwrap();
        Self { root, replaced: BTreeMap::new() }
    }

    /// Defines the variables that only the host knows, both here and in a file for Compose.
    fn define_unknown(&mut self, dir: &str) -> Option<tempfile::NamedTempFile> {
        let project = self.load(dir);
        let unknown: BTreeSet<&String> =
            project.services.values().flat_map(|service| &service.unknown_variables).collect();
        if unknown.is_empty() {
            return None;
        }
        let path = RootPath::new(&format!("{dir}/.env")).unwrap();
        let mut content = self.read(&path).unwrap().map(|content| content.to_vec()).unwrap_or_default();
        for name in unknown {
            let is_path = name.ends_with("_DIR") || name.ends_with("_PATH");
            let value = if is_path { "/opt/unknown" } else { "127.0.0.1" };
            content.extend(format!("\n{name}={value}").bytes());
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &content).unwrap();
        self.replaced.insert(path, Some(Arc::from(content)));
        Some(file)
    }

    fn load(&self, dir: &str) -> Project {
        compose::load(self, &RootPath::new(dir).unwrap(), self.root.to_str().unwrap())
    }
}

impl Files for Folder {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        match self.replaced.get(path) {
            Some(file) => file.as_ref().map(|_| NodeKind::File),
            None => {
                let meta = std::fs::metadata(self.root.join(path.as_str())).ok()?;
                Some(if meta.is_dir() { NodeKind::Dir } else { NodeKind::File })
            }
        }
    }

    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        if let Some(file) = self.replaced.get(path) {
            return Ok(file.clone());
        }
        Ok(std::fs::read(self.root.join(path.as_str())).ok().map(Arc::from))
    }

    fn shown(&self, path: &RootPath) -> String {
        path.to_string()
    }
}

/// Runs `docker compose` in a folder with an empty environment.
fn docker_compose(dir: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("docker")
        .arg("compose")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("PWD", dir)
        .env("HOME", std::env::var_os("HOME").unwrap_or_default())
        .output()
        .expect("this test needs Docker Compose");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!stderr.contains("is not a docker command"), "this test needs Docker Compose");
    if output.status.success() { Ok(String::from_utf8(output.stdout).unwrap()) } else { Err(stderr) }
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns every project: the folder that holds it and its name.
fn projects() -> Vec<(PathBuf, String)> {
    let mut projects = Vec::new();
    let mut roots = vec![repository().join("tests/compose_fixtures/projects"), repository().join("services")];
    roots.extend(std::env::var_os("COMPOSE_CORPUS").iter().flat_map(std::env::split_paths));
    for root in roots {
        let folder = Folder::new(&root);
        let mut names: Vec<String> = std::fs::read_dir(&root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| compose::find(&folder, &RootPath::new(name).unwrap()))
            .collect();
        names.sort();
        projects.extend(names.into_iter().map(|name| (root.clone(), name)));
    }
    projects
}

/// Runs a check for every item on as many threads as there are cores, and collects the results.
fn all<T: Sync>(items: &[T], check: impl Fn(&T) -> Vec<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let found = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    let said = check(item);
                    found.lock().unwrap().extend(said);
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort();
    found
}

fn expect_nothing(found: Vec<String>) {
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

fn names(lines: &str) -> BTreeSet<String> {
    lines.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn projects_are_read_like_compose_reads_them() {
    let projects = projects();
    let compared = AtomicUsize::new(0);
    expect_nothing(all(&projects, |(root, name)| {
        let said = compare(root, name, &compared);
        said.into_iter().map(|line| format!("{name}: {line}")).collect()
    }));
    assert!(compared.into_inner() > 25, "Compose refused most of the projects");
}

/// Returns the differences between the reader and Compose for a project. Counts the projects that Compose
/// accepts.
fn compare(root: &Path, name: &str, compared: &AtomicUsize) -> Vec<String> {
    let mut folder = Folder::new(root);
    let dir = folder.root.join(name);
    let lacks_env_file = lacks_env_file(&folder.load(name));
    let file = folder.define_unknown(name);
    let mine = folder.load(name);
    let env: Vec<&str> = file.iter().flat_map(|file| ["--env-file", file.path().to_str().unwrap()]).collect();
    // Several containers of one name or host port fail only when they are started.
    let is_of_copies = |found: &Diagnostic| {
        found.message.contains("can have its `container_name`")
            || found.message.contains("cannot all publish")
    };
    let errors = mine.diagnostics.iter().filter(|found| found.is_error() && !is_of_copies(found));
    let errors: Vec<String> = errors.map(|found| format!("{found:?}")).collect();
    let active = docker_compose(&dir, &[&env[..], &["config", "--services"]].concat());
    let json = docker_compose(&dir, &[&env[..], &["--profile", "*", "config", "--format", "json"]].concat());
    let (active, json) = match (active, json) {
        (Ok(active), Ok(json)) => {
            compared.fetch_add(1, Ordering::Relaxed);
            (names(&active), serde_json::from_str::<Value>(&json).unwrap())
        }
        // An env file that only the host has is not an error of the tree.
        _ if lacks_env_file => return Vec::new(),
        // If Compose refuses a key or a name, the reader must at least warn about it.
        _ if !mine.diagnostics.is_empty() => return Vec::new(),
        (active, json) => {
            let said = active.err().or(json.err());
            return vec![format!("Compose refuses it, the reader finds nothing: {said:?}")];
        }
    };
    let mut out: Vec<String> =
        errors.into_iter().map(|error| format!("an error where Compose sees none: {error}")).collect();
    let mut differ = |what: &str, mine: &BTreeSet<String>, theirs: &BTreeSet<String>| {
        if mine != theirs {
            let missing: Vec<_> = theirs.difference(mine).collect();
            let extra: Vec<_> = mine.difference(theirs).collect();
            out.push(format!("{what}: missing {missing:?}, too many {extra:?}"));
        }
    };
    let my_active: BTreeSet<String> =
        mine.services.iter().filter(|(_, service)| service.active).map(|(name, _)| name.clone()).collect();
    differ("active services", &my_active, &active);

    differ("project name", &BTreeSet::from([mine.name.clone()]), &BTreeSet::from([text(&json["name"])]));
    differ("services", &mine.services.keys().cloned().collect(), &keys(&json["services"]));
    let raw = [&env[..], &["--profile", "*", "config", "--no-interpolate", "--format", "json"]].concat();
    let raw: Value = serde_json::from_str(&docker_compose(&dir, &raw).unwrap_or("null".into())).unwrap();
    for (service, mine) in &mine.services {
        let theirs = &json["services"][service];
        let below = |path: &str| {
            let path = Path::new(path).strip_prefix(&folder.root).ok()?;
            Some(path.to_str().unwrap().to_owned())
        };
        let of = |how: &[ReadMethod]| -> BTreeSet<String> {
            mine.reads
                .iter()
                .filter(|read| how.contains(&read.how))
                .map(|read| read.path.to_string())
                .collect()
        };
        let mut binds = BTreeSet::new();
        let mut host_binds = BTreeSet::new();
        for volume in items(&theirs["volumes"]) {
            let source = match volume["type"].as_str() {
                Some("bind") => text(&volume["source"]),
                Some("volume") => {
                    let named = &json["volumes"][text(&volume["source"])]["driver_opts"];
                    if named["o"] != "bind" {
                        continue;
                    }
                    text(&named["device"])
                }
                _ => continue,
            };
            match below(&source) {
                Some(path) => binds.insert(path),
                None => host_binds.insert(source),
            };
        }
        differ(&format!("{service}: binds"), &of(&[ReadMethod::Bind]), &binds);
        let mine_host = mine.host_binds.iter().map(|(path, _)| path.clone()).collect();
        differ(&format!("{service}: binds of the host"), &mine_host, &host_binds);
        for (how, key) in [(ReadMethod::Config, "configs"), (ReadMethod::Secret, "secrets")] {
            let files = items(&theirs[key])
                .iter()
                .filter_map(|used| json[key][text(&used["source"])]["file"].as_str().and_then(below))
                .collect();
            differ(&format!("{service}: {key}"), &of(&[how]), &files);
        }
        let env_files: BTreeSet<String> = items(&raw["services"][service]["env_file"])
            .iter()
            .filter_map(|file| below(file["path"].as_str().or(file.as_str())?))
            .collect();
        if !raw.is_null() {
            differ(&format!("{service}: env files"), &of(&[ReadMethod::EnvFile]), &env_files);
        }
        let build = &theirs["build"];
        let mut contexts: BTreeSet<String> = build["context"].as_str().and_then(below).into_iter().collect();
        for context in build["additional_contexts"].as_object().into_iter().flat_map(|map| map.values()) {
            contexts.extend(context.as_str().and_then(below));
        }
        if let (Some(context), Some(file)) = (build["context"].as_str(), build["dockerfile"].as_str()) {
            let path = below(&format!("{context}/{file}"));
            contexts
                .extend(path.filter(|path| of(&[ReadMethod::Build]).contains(path) || file != "Dockerfile"));
        }
        differ(&format!("{service}: build"), &of(&[ReadMethod::Build]), &contexts);
        let dependency = |(name, waits): (&String, &Value)| {
            format!(
                "{name} {} {} {}",
                text(&waits["condition"]),
                waits["restart"] == true,
                waits["required"] != false
            )
        };
        let theirs = theirs["depends_on"].as_object().into_iter().flatten().map(dependency).collect();
        let mine = mine
            .depends_on
            .iter()
            .map(|(name, waits)| format!("{name} {} {} {}", waits.condition, waits.restart, waits.required))
            .collect();
        differ(&format!("{service}: depends_on"), &mine, &theirs);
    }
    out
}

fn lacks_env_file(project: &Project) -> bool {
    let mut reads = project.services.values().flat_map(|service| &service.reads);
    reads.any(|read| read.how == ReadMethod::EnvFile && read.required && read.kind.is_none())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect()
}

/// The definition that Compose prints once overrides, `extends`, `include`, variables and env files are
/// applied must have the same digest as its sources.
#[test]
fn a_resolved_project_has_the_digests_of_its_sources() {
    expect_nothing(all(&projects(), |(root, name)| same_digests(root, name)));
}

fn same_digests(root: &Path, name: &str) -> Vec<String> {
    let mut folder = Folder::new(root);
    let dir = folder.root.join(name);
    let file = folder.define_unknown(name);
    let before = folder.load(name);
    let env: Vec<&str> = file.iter().flat_map(|file| ["--env-file", file.path().to_str().unwrap()]).collect();
    let args = [&env[..], &["--profile", "*", "config"]].concat();
    let Ok(resolved) = docker_compose(&dir, &args) else { return Vec::new() };
    let resolved = in_old_words(&resolved);
    let path = |file: &str| RootPath::new(&format!("{name}/{file}")).unwrap();
    for file in before.definition_files {
        folder.replaced.insert(file.path, None);
    }
    for file in ["compose.yaml", ".env", "compose.override.yml"] {
        folder.replaced.insert(path(file), None);
    }
    folder.replaced.insert(path("compose.yaml"), Some(Arc::from(resolved.as_bytes())));
    let after = folder.load(name);
    let mut out = Vec::new();
    for (service, before) in &before.services {
        match after.services.get(service) {
            Some(after) if after.definition != before.definition => {
                out.push(format!("{name}: `{service}` differs from what Compose makes of it"));
            }
            Some(_) => {}
            None => out.push(format!("{name}: `{service}` is lost")),
        }
    }
    out
}

/// A definition that Compose has printed, as 2.26 would print it. Version 2.40 prints modes in quotes, in which 2.26
/// reads another number, and version 5 leaves `create_host_path: true` out.
fn in_old_words(printed: &str) -> String {
    static IS_5: LazyLock<bool> = LazyLock::new(|| {
        let version = docker_compose(Path::new("/"), &["version", "--short"]).unwrap();
        version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()) >= Some(5)
    });
    let lines: Vec<&str> = printed.lines().collect();
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let is_bind = *IS_5 && matches!(line.trim(), "bind:" | "bind: {}");
        if is_bind {
            let inside =
                lines[number + 1..].iter().take_while(|inside| inside.starts_with(&" ".repeat(indent + 1)));
            let is_said = inside.clone().any(|inside| inside.contains("create_host_path"));
            out.push_str(&format!("{}bind:\n", " ".repeat(indent)));
            if !is_said {
                out.push_str(&format!("{}create_host_path: true\n", " ".repeat(indent + 2)));
            }
        } else if let Some((before, octal)) = line.split_once("mode: \"0") {
            out.push_str(&format!("{before}mode: 0{}\n", octal.trim_end_matches('"')));
        } else {
            out.push_str(&format!("{line}\n"));
        }
    }
    out
}

#[test]
fn digests_differ_where_compose_hashes_differ() {
    let fixtures = repository().join("tests/compose_fixtures/digests");
    let mut groups: Vec<PathBuf> =
        std::fs::read_dir(&fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    groups.sort();
    assert!(groups.len() >= 5);
    expect_nothing(all(&groups, |group| {
        let content = std::fs::read_to_string(group).unwrap();
        let documents: Vec<&str> = content.split("\n---\n").collect();
        // A mode in quotes is decimal to Compose 2.26 and octal to 2.40. A digest that is the same for two texts
        // must be so with both.
        let may_differ = group.ends_with("modes.yaml");
        let both: Vec<_> = documents.iter().map(|document| (hashes(document), digests(document))).collect();
        let mut out = Vec::new();
        for (i, (hashes, digests)) in both.iter().enumerate() {
            for (j, (other_hashes, other_digests)) in both.iter().enumerate().take(i) {
                for (service, hash) in hashes {
                    let Some(other) = other_hashes.get(service) else { continue };
                    let same = digests.get(service) == other_digests.get(service);
                    if same != (hash == other) && (same || !may_differ) {
                        let theirs = if hash == other { "the same" } else { "different" };
                        out.push(format!(
                            "`{service}` is {theirs} for Compose:\n{}\n{}",
                            documents[i], documents[j]
                        ));
                    }
                }
            }
        }
        out
    }));
}

fn hashes(document: &str) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yaml");
    std::fs::write(&file, document).unwrap();
    let args =
        ["--project-directory", "/srv/services/proj", "-f", file.to_str().unwrap(), "config", "--hash", "*"];
    let lines = docker_compose(folder.path(), &args).unwrap_or_else(|err| panic!("{err}\n{document}"));
    lines.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

fn digests(document: &str) -> BTreeMap<String, String> {
    let path = RootPath::new("proj/compose.yaml").unwrap();
    let replaced = BTreeMap::from([(path, Some(Arc::from(document.as_bytes())))]);
    let folder = Folder { root: "/nonexistent".into(), replaced };
    let project = folder.load("proj");
    project.services.into_iter().map(|(name, service)| (name, service.definition)).collect()
}

/// Attributes of generated services, some with a variable, in short and long syntax.
const ATTRIBUTES: &[&str] = &[
    "command: run --flag '$A b'",
    "command: [run, \"${B:-x y}\"]",
    "environment: {A: \"${A}\", N: 1.50, E: , T: true}",
    "environment: [A=1, \"B=${UNSET:-${A}}\", A]",
    "env_file: one.env",
    "env_file: [one.env, {path: two.env, required: false}]",
    "volumes: [\"./one:/one\", \"named:/named:ro\", \"/etc/hosts:/h:ro\"]",
    "volumes: [{type: bind, source: ../shared, target: /one}, {type: tmpfs, target: /t}]",
    "volumes: [\"${DIR}/two:/two\", \"./one:/other\"]",
    "ports: [\"80:80\", \"${PORT:-90}:90/udp\"]",
    "ports: [{target: 80, published: \"80\"}, 443]",
    "labels: {a: \"${A}\", b: 2}",
    "labels: [b=3, c]",
    "networks: [front]",
    "networks: {front: {aliases: [x]}, default: {}}",
    "configs: [conf]",
    "configs: [{source: conf, target: /etc/conf}]",
    "secrets: [key]",
    "healthcheck: {test: check me, interval: 90s}",
    "healthcheck: {test: [CMD, check], retries: 3}",
    "logging: {driver: local, options: {max-size: 1m}}",
    "logging: {options: {max-file: 3}}",
    "deploy: {resources: {limits: {cpus: 0.50, memory: 64M}}}",
    "mem_limit: ${MEM:-32m}",
    "restart: unless-stopped",
    "hostname: h-${A}",
    "build: {context: ./app, args: {X: \"${A}\"}}",
    "build: .",
    "extra_hosts: [\"a:1.2.3.4\"]",
    "extra_hosts: {b: 4.3.2.1}",
    "tmpfs: /tmp",
    "tmpfs: [/tmp, /run]",
    "ulimits: {nofile: 5}",
    "cap_add: [A, B]",
    "dns: 1.1.1.1",
    "profiles: [debug]",
    "stop_grace_period: 1m",
    "init: true",
    "x-note: {a: b}",
    "<<: *common",
    "sysctls: {net.core.somaxconn: 1024}",
    "sysctls: [net.core.somaxconn=512, net.ipv4.ip_forward=1]",
    "devices: [\"/dev/a:/dev/b:rw\", /dev/c]",
    "annotations: {a: b}",
    "annotations: [a=c, \"d=${A}\"]",
    "deploy: {labels: [a=b], resources: {reservations: {memory: 1g}}, restart_policy: {condition: on-failure, delay: 5s}}",
    "deploy: {labels: {a: c}, replicas: 2}",
    "ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}",
    "cap_drop: [ALL]",
    "dns_search: [a.b, c.d, a.b]",
    "expose: [80, \"81\", \"80\"]",
    "security_opt: [\"no-new-privileges:true\"]",
    "user: 1000:1000",
    "user: \"0\"",
    "shm_size: 64m",
    "cpus: 0.5",
    "entrypoint: /run 'a b' \"c d\"",
    "entrypoint: []",
    "command: []",
    "depends_on: [base]",
    "depends_on: {base: {condition: service_healthy, restart: true}}",
    "networks: {front: {ipv4_address: 10.0.0.5, priority: 5, aliases: [x, y]}}",
    "ports: [\"127.0.0.1:8000-8002:9000-9002\", \"53:53/udp\", 70]",
    "configs: [{source: conf, mode: 0440, uid: \"1\"}]",
    "secrets: [{source: key, target: other}, {source: key, mode: 256}]",
    "volumes: [{type: volume, source: named, target: /n, volume: {nocopy: true}}, /anonymous]",
    "volumes: [\"./one:/one:ro,z\", \".:/all\"]",
    "oom_score_adj: -5",
    "read_only: true",
    "ipc: service:base",
    "network_mode: host",
    "stop_signal: SIGINT",
    "scale: 2",
    "mac_address: 02:42:ac:11:65:43",
    "labels: {n: 0x10, f: 1.0, b: true, e: , z: 007}",
    "environment: {N: 0o17, F: 1e3, D: 2001-01-01, S: '0x1'}",
    "healthcheck: {disable: true}",
    "healthcheck: {test: NONE, start_period: 1m30s}",
    "build: {context: ./app, dockerfile: other.Dockerfile, tags: [a, b, a], additional_contexts: {x: ./x}}",
    "blkio_config: {weight: 300, device_read_bps: [{path: /dev/sda, rate: 12mb}]}",
    "x-more: [1, 2]",
    "<<: [*common, {init: true}]",
    "extends: base",
    "extends: {file: other.yml, service: far}",
    "volumes: !reset []",
    "environment: !override {ONLY: me}",
];

/// Lines of generated `.env` files.
const ASSIGNMENTS: &[&str] = &[
    "A=one",
    "A='single $B'",
    "export B=\"two ${A:-none} \\\"q\\\"\"",
    "B = spaced # note",
    "DIR=./sub",
    "PORT=91",
    "MEM=\"48m\"",
    "COMPOSE_PROFILES=debug,other",
    "# nothing",
    "A=$${B}",
];

#[test]
fn generated_projects_are_read_like_compose_reads_them() {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    let attributes = || vec(proptest::sample::select(ATTRIBUTES), 0..7);
    let project = (
        vec(attributes(), 1..4),
        proptest::option::of(vec(attributes(), 1..3)),
        vec(proptest::sample::select(ASSIGNMENTS), 0..5),
        any::<bool>(),
    );
    // A fixed seed, so that a failure can be reproduced.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let count = std::env::var("COMPOSE_GENERATED").map_or(40, |text| text.parse().unwrap());
    let names: Vec<String> = (0..count).map(|index| format!("p{index}")).collect();
    for name in &names {
        let (services, over, env, includes) = project.new_tree(&mut runner).unwrap().current();
        let dir = folder.path().join(name);
        std::fs::create_dir_all(dir.join("app")).unwrap();
        let write = |file: &str, content: &str| std::fs::write(dir.join(file), content).unwrap();
        // DIR is a path, so it is always defined.
        write(".env", &format!("DIR=./dir\n{}\n", env.join("\n")));
        write("one.env", "FROM_FILE=1\nA=file ${A:-unset}\n");
        write("conf", "");
        write("key", "");
        write("other.yml", "services: {far: {image: far, volumes: [\"./far:/far\"], env_file: one.env}}\n");
        write("part.yml", "services: {part: {image: \"part:${A:-none}\", volumes: [\"./part:/part\"]}}\n");
        let include = if includes { "include: [part.yml]\n" } else { "" };
        let top = "x-common: &common {restart: always, environment: {C: c}}\n";
        let bottom = "networks: {front: {}}\nvolumes: {named: {}}\nconfigs: {conf: {file: ./conf}}\nsecrets: {key: {file: key}}\n";
        let base = "  base: {image: base, environment: {BASE: 1}, volumes: [\"./base:/one\"]}\n";
        let main = format!("{include}{top}services:\n{base}{}{bottom}", written(&services, "image: a"));
        write("compose.yaml", &main);
        if let Some(over) = over {
            let over: Vec<_> = over.into_iter().take(services.len()).collect();
            let text = written(&over, "hostname: over").replace("extends: base", "init: false");
            write("compose.override.yaml", &format!("{top}services:\n{text}"));
        }
    }
    let compared = AtomicUsize::new(0);
    let found = all(&names, |name| {
        let mut said = compare(folder.path(), name, &compared);
        said.extend(same_digests(folder.path(), name));
        let dir = folder.path().join(name);
        let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap_or_default();
        let shown = format!("{}\n{}\n{}", read(".env"), read("compose.yaml"), read("compose.override.yaml"));
        said.into_iter().map(|line| format!("{name}: {line}\n{shown}")).collect()
    });
    expect_nothing(found);
    assert!(compared.into_inner() > 20, "Compose refused most of the projects");
}

/// Returns services with these attributes, each key once.
fn written(services: &[Vec<&str>], first: &str) -> String {
    let mut text = String::new();
    for (index, attributes) in services.iter().enumerate() {
        text += &format!("  s{index}:\n    {first}\n");
        let mut keys = BTreeSet::from([first.split(':').next().unwrap()]);
        for attribute in attributes {
            if keys.insert(attribute.split(':').next().unwrap()) {
                text += &format!("    {attribute}\n");
            }
        }
    }
    text
}
