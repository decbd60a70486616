//! A model of a host: files, records, containers, and what each command of the driver does to them.

use std::collections::{BTreeMap, BTreeSet};

use ghdeploy::base::manifest::{Digest, Entry, Kind, Manifest, push_line};
use ghdeploy::base::path::RootPath;
use serde_json::{Value, json};

/// Path → entry.
pub(crate) type Files = BTreeMap<RootPath, Entry>;

/// A container of some project.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) project: String,
    pub(crate) service: String,
    /// The files on the host when it was created, and when it last read its inputs.
    pub(crate) created: Files,
    pub(crate) seen: Files,
    /// How often it is listed until it has exited; `None`: it keeps running.
    pub(crate) runs_for: Option<u32>,
    pub(crate) started: u64,
    /// Whether `docker stop` has stopped it.
    pub(crate) is_stopped: bool,
    /// The image that it runs.
    pub(crate) image: u32,
}

/// Content of one unit in the stage.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Stage {
    lists: BTreeMap<String, String>,
    /// `files/PATH` or `inplace/PATH` → digest of the content that arrived.
    files: BTreeMap<String, Digest>,
    pub(crate) is_candidate: bool,
}

/// The host.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Host {
    pub(crate) files: Files,
    pub(crate) manifests: BTreeMap<String, String>,
    pub(crate) pending: BTreeMap<String, String>,
    pub(crate) state: Option<Value>,
    pub(crate) history: Vec<Value>,
    /// The note of the run that is under way.
    pub(crate) note: Option<Value>,
    pub(crate) containers: Vec<Container>,
    pub(crate) objects: BTreeSet<Digest>,
    /// Content that came with the upload, to be kept.
    pub(crate) sent: BTreeSet<Digest>,
    pub(crate) stage: BTreeMap<String, Stage>,
    /// The state and the manifests of each release.
    pub(crate) releases: BTreeMap<u64, (Value, BTreeMap<String, String>)>,
    pub(crate) clock: u64,
    /// A container that was started while this content lies there exits at once.
    pub(crate) poison: Vec<(RootPath, Digest)>,
    /// One-shots, and how often they are listed until they have exited.
    pub(crate) one_shots: BTreeMap<String, u32>,
    /// Whether Docker is missing.
    pub(crate) has_no_docker: bool,
    /// The version of Compose; empty: a recent one.
    pub(crate) compose_version: String,
    /// Compose's names of projects that differ from their folder.
    pub(crate) names: BTreeMap<String, String>,
    /// The name of an image → the image that it names now, counted from 0; each build makes a new one.
    pub(crate) images: BTreeMap<String, u32>,
    /// The references of images that the host does not have.
    pub(crate) lacks: BTreeSet<String>,
    /// The references of images that no registry has.
    pub(crate) unfindable: BTreeSet<String>,
    /// How the engine reaches registries, if that is not known by the default.
    pub(crate) registries: Option<String>,
    /// Path → digest of env files that only the host has.
    pub(crate) env_files: BTreeMap<String, String>,
    /// Directories outside the root.
    pub(crate) directories: BTreeSet<String>,
    /// The hooks that ran.
    pub(crate) hooks: Vec<String>,
    /// What ran when each kept release was made.
    pub(crate) release_images: BTreeMap<u64, Vec<String>>,
    /// The id of an image that a container outside of all projects uses.
    pub(crate) other_image: Option<String>,
    /// Id of an image → its names, if it has any.
    pub(crate) image_tags: BTreeMap<String, Vec<String>>,
    /// Ids of the images that were removed.
    pub(crate) removed_images: Vec<String>,
    /// Networks that exist.
    pub(crate) networks: BTreeSet<String>,
    /// Forbidden things that a step did.
    pub(crate) wrong: Vec<String>,
}

/// Answer of the driver: lines of events, and the exit status.
pub(crate) type Answer = (Vec<Value>, i32);

fn ok() -> Answer {
    (Vec::new(), 0)
}

pub(crate) fn refused(why: &str) -> Answer {
    (vec![json!({"event": "output", "text": why})], 1)
}

/// The lines of `old` after `changes`.
fn changed(old: &str, changes: &str) -> String {
    let (mut left, mut new) = (old.lines(), Vec::new());
    for change in changes.lines() {
        match change.split_at(1) {
            ("=", count) => new.extend(left.by_ref().take(count.parse().unwrap())),
            ("-", "") => drop(left.next()),
            ("+", line) => new.push(line),
            _ => panic!("{change}"),
        }
    }
    new.iter().map(|line| format!("{line}\n")).collect()
}

fn listed(text: &str) -> Manifest {
    Manifest::from_text(text).unwrap()
}

impl Host {
    /// Carries out a command. With `half` it stops in the middle and fails.
    pub(crate) fn obey(&mut self, words: &[&str], list: &[String], half: bool) -> Answer {
        match words {
            ["open", ..] => ok(),
            ["facts", what, ..] => {
                let middle = list.iter().position(|line| line == "?").unwrap();
                let (mut events, rc) = self.facts(&list[..middle], *what == "containers");
                events.extend(self.host_only(&list[middle + 1..]));
                (events, rc)
            }
            ["host_only"] => (self.host_only(list), 0),
            ["probe", how] => self.probe(*how == "hash", list),
            ["candidate", unit] => match self.arrived(unit) {
                Ok(()) => {
                    self.stage.get_mut(*unit).unwrap().is_candidate = true;
                    ok()
                }
                Err(why) => refused(&why),
            },
            ["swap", unit] => self.swap(unit, half),
            ["restore", unit] => self.restore(unit),
            ["restore", unit, "well-"] => self.restore_well(unit),
            // It is replaced as a whole or not at all.
            ["state", ..] if half => refused("No space left on device"),
            ["state", ..] => {
                self.state = Some(serde_json::from_str(&list[0]).unwrap());
                ok()
            }
            ["history", ..] => {
                self.history.push(serde_json::from_str(&list[0]).unwrap());
                ok()
            }
            ["stage_kept", unit] => self.fetch(unit),
            ["release", number] => {
                self.objects.append(&mut self.sent);
                let kept = (self.state.clone().unwrap(), self.manifests.clone());
                self.releases.insert(number.parse().unwrap(), kept);
                let line = |one: &Container| {
                    format!("sha256:{} {} {} {}:1", one.image, one.project, one.service, one.service)
                };
                self.release_images
                    .insert(number.parse().unwrap(), self.containers.iter().map(line).collect());
                ok()
            }
            ["note"] => {
                self.note = list
                    .first()
                    .filter(|line| !line.is_empty())
                    .map(|line| serde_json::from_str(line).unwrap());
                ok()
            }
            ["releases"] => self.tell_releases(),
            ["snapshot", number, what] => self.tell_snapshot(number.parse().unwrap(), *what == "all"),
            ["finish", keep, stay @ ..] => {
                self.stage.clear();
                let old = self.releases.len().saturating_sub(keep.parse().unwrap());
                let old: Vec<u64> = self.releases.keys().copied().take(old).collect();
                let stays = |number: &u64| !old.contains(number) || stay.contains(&&*number.to_string());
                self.releases.retain(|number, _| stays(number));
                self.release_images.retain(|number, _| stays(number));
                ok()
            }
            ["room"] => (vec![json!({"event": "output", "text": "1000000 /srv"})], 0),
            ["script"] => ok(),
            _ if self.has_no_docker => refused("sh: docker: not found"),
            ["containers", ..] => self.tell_containers(),
            ["docker", "compose", "version", "--short"] => {
                let version =
                    if self.compose_version.is_empty() { "2.26.1-4" } else { &self.compose_version };
                (vec![json!({"event": "output", "text": version})], 0)
            }
            ["docker", "tag", image, name] => {
                self.images
                    .insert((*name).to_owned(), image.strip_prefix("sha256:").unwrap().parse().unwrap());
                ok()
            }
            [
                "docker",
                "image",
                "inspect",
                "--format",
                "{{.Os}}/{{.Architecture}}/{{.Variant}}",
                names @ ..,
            ] => {
                let is_missing = |name: &&&str| self.lacks.contains(**name);
                let there = names.iter().filter(|name| !is_missing(name));
                let lines = there.map(|_| json!({"event": "output", "text": "linux/amd64/"})).collect();
                (lines, i32::from(names.iter().any(|name| is_missing(&name))))
            }
            ["docker", "manifest", "inspect", name] if self.unfindable.contains(*name) => {
                refused(&format!("no such manifest: docker.io/library/{name}"))
            }
            ["docker", "info", ..] => {
                let way = self.registries.as_deref().unwrap_or("0|||127.0.0.0/8 ");
                (vec![json!({"event": "output", "text": way})], 0)
            }
            ["hook", dir, _, _, "--ansi", "never", argv @ ..] => {
                self.hooks.push(format!("{dir}: {}", argv.join(" ")));
                if half { refused("it stopped half way") } else { ok() }
            }
            ["hook", dir, _, "@", argv @ ..] => {
                self.hooks.push(format!("{dir}: host {}", argv.join(" ")));
                if half { refused("it stopped half way") } else { ok() }
            }
            ["list", ..] | ["make_folders"] => ok(),
            ["docker", what @ ("stop" | "start"), ids @ ..] => {
                for id in ids {
                    self.set_stopped(id, *what == "stop");
                }
                ok()
            }
            ["images"] => {
                let lines = self.release_images.values().flatten();
                (lines.map(|line| json!({"event": "image", "text": line})).collect(), 0)
            }
            ["docker", "ps", "--all", "--quiet", "--no-trunc"] => {
                let ids =
                    self.containers.iter().map(|container| json!({"event": "output", "text": container.id}));
                (ids.collect(), 0)
            }
            ["docker", "inspect", "--type", "container", "--format", "{{.Image}}", ids @ ..] => {
                let of =
                    |id: &&str| self.containers.iter().find(|container| container.id == **id).unwrap().image;
                let lines =
                    ids.iter().map(|id| json!({"event": "output", "text": format!("sha256:{}", of(id))}));
                (
                    lines
                        .chain(self.other_image.iter().map(|id| json!({"event": "output", "text": id})))
                        .collect(),
                    0,
                )
            }
            ["docker", "image", "inspect", "--format", format, ids @ ..] if format.contains("RepoTags") => {
                let is_there = |id: &&&str| !self.removed_images.contains(&id.to_string());
                let tags = |id: &str| self.image_tags.get(id).cloned().unwrap_or_default();
                let lines = ids.iter().filter(is_there);
                let lines = lines.map(
                    |id| json!({"event": "output", "text": json!({"id": id, "tags": tags(id)}).to_string()}),
                );
                (lines.collect(), i32::from(!ids.iter().all(|id| is_there(&id))))
            }
            ["docker", "image", "rm", "--no-prune", _] if half => {
                refused("Error response from daemon: conflict: unable to delete")
            }
            ["docker", "image", "rm", "--no-prune", id] => {
                self.removed_images.push((*id).to_owned());
                ok()
            }
            ["docker", "network", "inspect", "--format", format, names @ ..] => {
                let there = names.iter().filter(|name| self.networks.contains(**name));
                let shown = |name: &&str| match *format {
                    "{{.Name}}" => (*name).to_owned(),
                    _ => json!({"name": name}).to_string(),
                };
                let mut lines: Vec<_> =
                    there.map(|name| json!({"event": "output", "text": shown(name)})).collect();
                let missing = names.iter().filter(|name| !self.networks.contains(**name));
                lines.extend(missing.map(
                    |name| json!({"event": "output", "text": format!("Error: No such network: {name}")}),
                ));
                let is_all = names.iter().all(|name| self.networks.contains(*name));
                (lines, i32::from(!is_all))
            }
            ["docker", "network", "create", .., name] => {
                if half {
                    return refused(
                        "Error response from daemon: Pool overlaps with other one on this address space",
                    );
                }
                if !self.networks.insert((*name).to_owned()) {
                    return refused(&format!(
                        "Error response from daemon: network with name {name} already exists"
                    ));
                }
                ok()
            }
            ["docker", ..] => ok(),
            ["pull", image, _] => {
                assert_eq!(list[0], r#"{"credHelpers":{"ghcr.io":"ghdeploy"}}"#);
                assert_eq!(list[1], r#"{"Secret":"hunter2","ServerURL":"ghcr.io","Username":"ann"}"#);
                if half {
                    return refused("Error response from daemon: unauthorized: hunter2");
                }
                self.lacks.remove(*image);
                ok()
            }
            ["remove", project, service] => {
                self.containers
                    .retain(|container| (&*container.project, &*container.service) != (*project, *service));
                ok()
            }
            ["act", dir, _, "--ansi", "never", argv @ ..] => {
                let (mut events, rc) = self.compose(dir, true, argv, half);
                if rc == 0 {
                    events.extend(self.tell_containers().0);
                }
                (events, rc)
            }
            ["compose", dir, place, _, "--ansi", "never", argv @ ..] => {
                self.compose(dir, *place == "live", argv, half)
            }
            words => refused(&format!("unknown command {words:?}")),
        }
    }

    fn host_only(&self, question: &[String]) -> Vec<Value> {
        let env_files = question.iter().filter(|line| line.starts_with("s ") || line.starts_with("d "));
        let digests = env_files.map(|line| {
            let path = line.rsplit_once(' ').unwrap().1;
            let digest = self.env_files.get(path).map_or("-", String::as_str);
            json!({"event": "env", "text": format!("d {digest}")})
        });
        [json!({"event": "env", "text": "k 01234567"})].into_iter().chain(digests).collect()
    }

    fn facts(&self, wants: &[String], containers: bool) -> Answer {
        let mut events = Vec::new();
        events.extend(self.note.iter().map(|note| json!({"event": "note", "text": note.to_string()})));
        events.extend(self.state.iter().map(|state| json!({"event": "state", "state": state})));
        for (which, manifests) in [("manifest", &self.manifests), ("pending", &self.pending)] {
            for (unit, text) in manifests {
                let digest = listed(text).digest();
                if which == "manifest" && wants.contains(&format!("{unit} {}", digest.as_str())) {
                    events.push(json!({"event": "same", "unit": unit}));
                    continue;
                }
                events.push(json!({"event": which, "unit": unit}));
                let lines = text.lines().chain(["\\end"]);
                events.extend(lines.map(|line| json!({"event": "entry", "text": line})));
            }
        }
        for (path, entry) in self.manifests.values().flat_map(|text| listed(text).0) {
            if self.files.get(&path) != Some(&entry) {
                events.push(json!({"event": "found", "text": self.look(&path)}));
            }
        }
        if containers {
            events.extend(self.list_containers());
        }
        (events, 0)
    }

    fn look(&self, path: &RootPath) -> String {
        let mut line = String::new();
        match self.files.get(path) {
            Some(entry) => push_line(&mut line, path, &Entry { size: 0, ..entry.clone() }),
            None if self.files.keys().any(|file| file.is_within(path)) => line = format!("d 644 0 - {path}"),
            None => line = format!("m 644 0 - {path}"),
        }
        line.trim_end().to_owned()
    }

    fn probe(&self, hash: bool, list: &[String]) -> Answer {
        let look = |line: &String| {
            let name = line.split_once(' ').unwrap().1;
            let text = if name.starts_with('/') {
                let kind = if self.directories.contains(name) { 'd' } else { 'm' };
                format!("{kind} 0 0 - {name}")
            } else {
                self.look(&RootPath::new(name).unwrap())
            };
            (!hash || !text.starts_with('m')).then(|| json!({"event": "found", "text": text}))
        };
        (list.iter().filter(|line| !line.starts_with("u ")).filter_map(look).collect(), 0)
    }

    /// Takes an upload as the new stage.
    pub(crate) fn receive(&mut self, tar: &[u8]) -> Result<(), String> {
        self.stage.clear();
        self.sent.clear();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(tar));
        for entry in archive.entries().map_err(|error| error.to_string())? {
            let mut entry = entry.map_err(|error| error.to_string())?;
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).map_err(|error| error.to_string())?;
            if path == "+copies" {
                let copies = String::from_utf8(content).unwrap();
                self.sent.extend(copies.lines().map(|line| Digest::from_text(&line[..64])));
                continue;
            }
            let (unit, name) = path.split_once('/').unwrap();
            if unit == "+objects" {
                assert_eq!(name, Digest::of(&content).as_str());
                self.sent.insert(Digest::of(&content));
                continue;
            }
            let stage = self.stage.entry(unit.to_owned()).or_default();
            if name.contains('/') {
                stage.files.insert(name.to_owned(), Digest::of(&content));
            } else {
                stage.lists.insert(name.to_owned(), String::from_utf8(content).unwrap());
            }
        }
        for (unit, stage) in &mut self.stage {
            if let Some(changes) = stage.lists.get("changes") {
                let old = self.manifests[unit].clone();
                let new = changed(&old, changes);
                stage.lists.extend([("old".to_owned(), old), ("new".to_owned(), new)]);
            }
        }
        Ok(())
    }

    fn fetch(&mut self, unit: &str) -> Answer {
        let Some(stage) = self.stage.get_mut(unit) else { return refused("nothing is staged") };
        for (list, dir) in [("put", "files"), ("in_place", "inplace")] {
            for (path, entry) in listed(&stage.lists[list]).0 {
                if !self.objects.contains(&entry.digest) {
                    return refused(&format!("no longer on the host: {path}"));
                }
                stage.files.insert(format!("{dir}/{path}"), entry.digest);
            }
        }
        ok()
    }

    /// Other content in every staged file.
    pub(crate) fn garble(&mut self) {
        let files = self.stage.values_mut().flat_map(|stage| stage.files.values_mut());
        files.for_each(|digest| *digest = Digest::of(b"garbled"));
    }

    fn arrived(&self, unit: &str) -> Result<(), String> {
        let stage = self.stage.get(unit).ok_or("nothing is staged")?;
        for (list, dir) in [("put", "files"), ("in_place", "inplace")] {
            for (path, entry) in listed(&stage.lists[list]).0 {
                if stage.files.get(&format!("{dir}/{path}")) != Some(&entry.digest) {
                    return Err(format!("staged files did not arrive as they were sent: {path}"));
                }
            }
        }
        Ok(())
    }

    fn swap(&mut self, unit: &str, half: bool) -> Answer {
        if let Err(why) = self.arrived(unit) {
            return refused(&why);
        }
        let stage = self.stage[unit].clone();
        let list = |name: &str| listed(&stage.lists[name]).0;
        for (path, entry) in list("keep") {
            if self.files.get(&path).is_none_or(|there| there.digest != entry.digest) {
                return refused(&format!("changed before it could be replaced: {path}"));
            }
            self.objects.insert(entry.digest);
        }
        let unit = unit.trim_end_matches("+last");
        self.pending.insert(unit.to_owned(), stage.lists["new"].clone());
        for path in list("delete").keys() {
            self.files.remove(path);
        }
        for (number, (path, entry)) in list("in_place").into_iter().chain(list("put")).enumerate() {
            if half && number > 0 {
                break;
            }
            if let Some(there) = self.files.get(&path)
                && !self.objects.contains(&there.digest)
                && there.digest != entry.digest
            {
                self.wrong.push(format!("{path} was overwritten and is not kept"));
            }
            self.files.insert(path, entry);
        }
        if half {
            return refused("No space left on device");
        }
        self.record(unit);
        ok()
    }

    fn record(&mut self, unit: &str) {
        match self.pending.remove(unit) {
            Some(text) if !text.is_empty() => drop(self.manifests.insert(unit.to_owned(), text)),
            _ => drop(self.manifests.remove(unit)),
        }
    }

    /// Brings back the version that was well.
    fn restore_well(&mut self, unit: &str) -> Answer {
        let Some(stage) = self.stage.get(unit).cloned() else { return refused("nothing is staged") };
        let list = |name: &str| listed(&stage.lists[name]).0;
        if let Some((path, _)) =
            list("well-undo").iter().find(|(_, entry)| !self.objects.contains(&entry.digest))
        {
            return refused(&format!("no longer on the host: {path}"));
        }
        for path in list("well-added").keys() {
            self.files.remove(path);
        }
        self.files.extend(list("well-undo"));
        self.pending.insert(unit.to_owned(), stage.lists["well-old"].clone());
        self.record(unit);
        ok()
    }

    fn tell_releases(&self) -> Answer {
        let lines = self.history.iter().map(|line| json!({"event": "history", "text": line.to_string()}));
        let kept = self.releases.keys().map(|number| json!({"event": "kept", "text": number.to_string()}));
        (lines.chain(kept).collect(), 0)
    }

    fn tell_snapshot(&self, number: u64, is_whole: bool) -> Answer {
        let Some((state, manifests)) = self.releases.get(&number) else { return (Vec::new(), 1) };
        let mut events = vec![json!({"event": "state", "state": state})];
        for (unit, text) in manifests.iter().filter(|_| is_whole) {
            events.push(json!({"event": "manifest", "unit": unit}));
            let lines = text.lines().chain(["\\end"]);
            events.extend(lines.map(|line| json!({"event": "entry", "text": line})));
        }
        (events, 0)
    }

    fn restore(&mut self, unit: &str) -> Answer {
        let Some(stage) = self.stage.get(unit).cloned() else { return refused("nothing is staged") };
        let unit = unit.trim_end_matches("+last");
        let list = |name: &str| listed(&stage.lists[name]).0;
        for path in list("added").keys() {
            self.files.remove(path);
        }
        for (path, entry) in list("undo") {
            // A file that was not replaced is as it was, or has been edited meanwhile.
            let came = |list: &str| listed(&stage.lists[list]).get(&path).map(|entry| entry.digest.clone());
            let there = self.files.get(&path).map(|entry| entry.digest.clone());
            if there.is_some() && there != came("put") && there != came("in_place") {
                continue;
            }
            if !self.objects.contains(&entry.digest) {
                return refused(&format!("{path} is not kept"));
            }
            self.files.insert(path, entry);
        }
        self.pending.insert(unit.to_owned(), stage.lists["old"].clone());
        self.record(unit);
        ok()
    }

    /// Puts an unmanaged file on the host.
    pub(crate) fn put_by_hand(&mut self, path: &str, content: &str) {
        let entry = Entry {
            kind: Kind::File,
            mode: 0o644,
            size: content.len() as u64,
            digest: Digest::of(content.as_bytes()),
        };
        self.files.insert(RootPath::new(path).unwrap(), entry);
    }
}
