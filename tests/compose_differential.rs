//! Holds the compose reader against Docker Compose itself.
//!
//! Needs `docker compose` and fails without it; no daemon is asked. Every folder of
//! `tests/compose_fixtures/projects` and of `services` is read by both, and every document of
//! `tests/compose_fixtures/digests` is compared with every other by digest and by `config --hash`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ghdeploy::compose::model::{How, Project};
use ghdeploy::compose::{self, Files, NodeKind};
use ghdeploy::path::RootPath;
use serde_json::Value;

/// A folder of this machine, with some files replaced by others (`None`: removed).
struct Folder {
    root: PathBuf,
    replaced: BTreeMap<RootPath, Option<Arc<[u8]>>>,
}

impl Folder {
    fn new(root: &Path) -> Self {
        let root = root.canonicalize().unwrap();
        Self { root, replaced: BTreeMap::new() }
    }

    /// Defines the variables that only the host knows, here and in a file for Compose.
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

/// Runs `docker compose` in a folder, in an environment that defines nothing.
fn docker_compose(dir: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("docker")
        .arg("compose")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
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

/// Every project: the folder that holds it and its name.
fn projects() -> Vec<(PathBuf, String)> {
    let mut projects = Vec::new();
    for root in [repository().join("tests/compose_fixtures/projects"), repository().join("services")] {
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

/// Runs a check for every item on as many threads as there are cores, and collects what it says.
fn all<T: Sync>(items: &[T], check: impl Fn(&T) -> Vec<String> + Sync) -> Vec<String> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let found = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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
fn projects_are_read_as_compose_reads_them() {
    let projects = projects();
    assert!(projects.len() > 30, "only {} projects found", projects.len());
    expect_nothing(all(&projects, |(root, name)| {
        let said = compare(root, name);
        said.into_iter().map(|line| format!("{name}: {line}")).collect()
    }));
}

fn compare(root: &Path, name: &str) -> Vec<String> {
    let mut folder = Folder::new(root);
    let dir = folder.root.join(name);
    let lacks_env_file = lacks_env_file(&folder.load(name));
    let file = folder.define_unknown(name);
    let mine = folder.load(name);
    let env: Vec<&str> = file.iter().flat_map(|file| ["--env-file", file.path().to_str().unwrap()]).collect();
    let errors: Vec<String> =
        mine.diagnostics.iter().filter(|found| found.is_error()).map(|found| format!("{found:?}")).collect();
    let active = docker_compose(&dir, &[&env[..], &["config", "--services"]].concat());
    let json = docker_compose(&dir, &[&env[..], &["--profile", "*", "config", "--format", "json"]].concat());
    let (active, json) = match (active, json) {
        (Ok(active), Ok(json)) => (names(&active), serde_json::from_str::<Value>(&json).unwrap()),
        // An env file that only the host has is no error of the tree.
        _ if lacks_env_file => return Vec::new(),
        // What Compose refuses for a key or a name must at least be pointed at.
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
        let of = |how: &[How]| -> BTreeSet<String> {
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
        differ(&format!("{service}: binds"), &of(&[How::Bind]), &binds);
        let mine_host = mine.host_binds.iter().map(|(path, _)| path.clone()).collect();
        differ(&format!("{service}: binds of the host"), &mine_host, &host_binds);
        for (how, key) in [(How::Config, "configs"), (How::Secret, "secrets")] {
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
            differ(&format!("{service}: env files"), &of(&[How::EnvFile]), &env_files);
        }
        let build = &theirs["build"];
        let mut contexts: BTreeSet<String> = build["context"].as_str().and_then(below).into_iter().collect();
        for context in build["additional_contexts"].as_object().into_iter().flat_map(|map| map.values()) {
            contexts.extend(context.as_str().and_then(below));
        }
        if let (Some(context), Some(file)) = (build["context"].as_str(), build["dockerfile"].as_str()) {
            let path = below(&format!("{context}/{file}"));
            contexts.extend(path.filter(|path| of(&[How::Build]).contains(path) || file != "Dockerfile"));
        }
        differ(&format!("{service}: build"), &of(&[How::Build]), &contexts);
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
    reads.any(|read| read.how == How::EnvFile && read.required && read.kind.is_none())
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

/// What Compose prints as the result of overrides, `extends`, `include`, variables and env files
/// must be the same definition as the files that it came from.
#[test]
fn a_resolved_project_has_the_digests_of_its_sources() {
    expect_nothing(all(&projects(), |(root, name)| {
        let mut folder = Folder::new(root);
        let dir = folder.root.join(name);
        let file = folder.define_unknown(name);
        let before = folder.load(name);
        let env: Vec<&str> =
            file.iter().flat_map(|file| ["--env-file", file.path().to_str().unwrap()]).collect();
        let args = [&env[..], &["--profile", "*", "config"]].concat();
        let Ok(resolved) = docker_compose(&dir, &args) else { return Vec::new() };
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
    }));
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
        let both: Vec<_> = documents.iter().map(|document| (hashes(document), digests(document))).collect();
        let mut out = Vec::new();
        for (i, (hashes, digests)) in both.iter().enumerate() {
            for (j, (other_hashes, other_digests)) in both.iter().enumerate().take(i) {
                for (service, hash) in hashes {
                    let Some(other) = other_hashes.get(service) else { continue };
                    let same = digests.get(service) == other_digests.get(service);
                    if same != (hash == other) {
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
