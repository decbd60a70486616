//! Asks a driver for what is deployed on a host, and for what lies at paths.

use std::collections::{BTreeMap, BTreeSet};

use super::comparison;
use super::driver::{Driver, Reply, lacks};
use super::protocol::{Command, DriverEvent, FailureKind, NO_ANSWER, Want};
use crate::base::error::{Error, Exit, Result};
use crate::base::manifest::{Digest, Entry, Kind, Manifest, read_line, unescape};
use crate::base::path::RootPath;
use crate::state::container::{Containers, DockerFailure, ListedContainer, read_inspected, read_listed};
use crate::state::deployed::{Damage, Deployed, Found, STATE_FILE, STATE_VERSION, State, read_found};
use crate::state::host_only::{EnvFile, HostOnly, VariableState};
use crate::state::question::HostOnlyQuestion;

/// Goes to the root: to read, or to write with the lock. `on_busy` gets the description of each run that
/// holds the lock meanwhile.
///
/// # Errors
///
/// When the host lacks a tool, the root cannot be written, or the lock is not acquired in time.
pub async fn open(
    driver: &Driver,
    command: &Command,
    root: &str,
    on_busy: impl FnMut(&serde_json::Value) + Send,
) -> Result<()> {
    try_open(driver, command, root, on_busy).await.map_err(|(_, error)| error)
}

/// Does the same as [`open`]; the error comes with the kind of failure, if the driver has told one.
///
/// # Errors
///
/// As [`open`].
pub async fn try_open(
    driver: &Driver,
    command: &Command,
    root: &str,
    mut on_busy: impl FnMut(&serde_json::Value) + Send,
) -> Result<(), (Option<FailureKind>, Error)> {
    let reply = driver
        .call_with(command, |event| {
            if let DriverEvent::Busy { holder } = event {
                on_busy(holder);
            }
        })
        .await
        .map_err(|error| (None, error))?;
    if reply.is_ok() {
        return Ok(());
    }
    let failure = reply.events.iter().find_map(|event| match event {
        DriverEvent::Failure { kind } => Some(*kind),
        _ => None,
    });
    let output = reply.output.join("; ");
    let error = match failure {
        Some(FailureKind::Tools) => lacks(output.trim()),
        Some(FailureKind::Write) if output.contains("No space left") => Error::new(Exit::Unreachable, format!("the host's disk is full: {output}")).help("make room below the root"),
        Some(FailureKind::Write) => not_writable(root, &reply.output),
        Some(FailureKind::Records) if output.contains(": Permission denied") => {
            not_writable(root, &reply.output)
        }
        Some(FailureKind::Records) => Error::new(Exit::Unreachable, output)
            .help("ghdeploy did not make it like this: remove it or move it away, and run the command again"),
        Some(FailureKind::Busy) => Error::new(Exit::Unreachable, format!("timed out waiting for the host's lock: {} holds it", holder_in_words(last_holder(&reply)))).help("wait for the other run, or pass a longer --lock-wait; the lock is released when the last process of its run exits"),
        _ => Error::new(Exit::Unreachable, format!("the driver failed to open {root} on the host: {output}")),
    };
    Err((failure, error))
}

/// What [`Command::Room`] reports: KiB that are free, and the nearest folder that exists.
#[must_use]
pub fn free_room(output: &[String]) -> Option<(u64, &str)> {
    let (kib, at) = output.first()?.split_once(' ')?;
    Some((kib.parse().ok()?, at))
}

/// Error about a root that the user may not read or write, by what the driver says.
#[must_use]
pub fn not_writable(root: &str, output: &[String]) -> Error {
    let (message, help) = obstacle_in_words(root, output);
    Error::new(Exit::Unreachable, message).help(help)
}

/// What keeps the user from reading or writing a root, and what to do, by what the driver says: what is closed, lines
/// `@owner` and `@user`.
#[must_use]
pub fn obstacle_in_words(root: &str, output: &[String]) -> (String, String) {
    let of = |key: &str| output.iter().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let said: Vec<&str> =
        output.iter().map(String::as_str).filter(|line| !line.starts_with('@') && !line.is_empty()).collect();
    let said = said.join("; ");
    let path = |end: &str| said.strip_suffix(end);
    let user = of("@user ").unwrap_or("<user>");
    let owner = of("@owner ").map(|owner| format!(", which belongs to {owner}")).unwrap_or_default();
    let who = of("@user ")
        .map_or_else(|| "the user of the connection".to_owned(), |user| format!("the user {user}"));
    let message = format!("{who} may not write below {root}: {said}");
    let records = format!("{}/.ghdeploy", root.trim_end_matches('/'));
    let help = if let Some(at) = path(": cannot be entered") {
        format!("on the host, as root: chmod o+x {at}{owner}; or choose another --root")
    } else if let Some(at) = path(": Permission denied").filter(|at| at.starts_with(&records)) {
        format!(
            "another user has deployed there, perhaps by sudo: {at} is not {user}'s{owner}. On the host, as root: chown -R {user} {records}"
        )
    } else if path(": Permission denied") == Some(root.trim_end_matches('/')) {
        let whose = of("@owner ").map(|owner| format!("it belongs to {owner}: ")).unwrap_or_default();
        format!("{whose}on the host, as root: install -d -o {user} {root}; or choose another --root")
    } else if path(": Read-only file system").is_some() {
        "mount it for writing: a file system that Linux has made read-only often has errors (dmesg)"
            .to_owned()
    } else if path(": Not a directory").is_some() {
        "move it away, or choose another --root".to_owned()
    } else {
        format!("on the host, as root: install -d -o {user} {root}; or choose another --root")
    };
    (message, help)
}

fn last_holder(reply: &Reply) -> &serde_json::Value {
    let holders = reply.events.iter().rev().filter_map(|event| match event {
        DriverEvent::Busy { holder } => Some(holder),
        _ => None,
    });
    holders.into_iter().next().unwrap_or(&serde_json::Value::Null)
}

/// Description of the holder of a lock: its actor, since when, and the page of the run.
#[must_use]
pub fn holder_in_words(holder: &serde_json::Value) -> String {
    let text = |key: &str| holder.get(key).and_then(serde_json::Value::as_str);
    let since = text("since").map(|since| format!(" since {since}"));
    let run = text("run").map(|run| format!(", {run}"));
    [Some(text("actor").unwrap_or("another run").to_owned()), since, run].into_iter().flatten().collect()
}

/// Asks for the state and everything that deviates from `wants`: unit → wanted manifest.
///
/// # Errors
///
/// When the connection is lost, or the records on the host cannot be read.
pub async fn facts(driver: &Driver, wants: &BTreeMap<String, Manifest>) -> Result<Deployed> {
    Ok(facts_and_host_only(driver, wants, &HostOnlyQuestion::default(), false).await?.0)
}

/// Asks for the same as [`facts`], and for the containers. If Docker does not list them, the facts say so.
///
/// # Errors
///
/// As [`facts`].
pub async fn facts_with_containers(driver: &Driver, wants: &BTreeMap<String, Manifest>) -> Result<Deployed> {
    Ok(facts_and_host_only(driver, wants, &HostOnlyQuestion::default(), true).await?.0)
}

/// Asks for the same as [`facts`], for what only the host has, and perhaps for the containers.
///
/// # Errors
///
/// As [`facts`] and [`host_only`].
pub async fn facts_and_host_only(
    driver: &Driver,
    wants: &BTreeMap<String, Manifest>,
    question: &HostOnlyQuestion,
    containers: bool,
) -> Result<(Deployed, HostOnlyAnswer)> {
    let command = Command::Facts {
        containers,
        wants: wants
            .iter()
            .map(|(unit, manifest)| Want {
                unit: unit.clone(),
                digest: manifest.digest(),
                is_long: manifest.0.len() >= comparison::LONG,
            })
            .collect(),
        question: question.clone(),
    };
    let mut reply = driver.call(&command).await?;
    if !reply.is_ok() {
        return Err(broken("the records"));
    }
    compare(driver, wants, &mut reply.events).await?;
    let (containers, host_only) = (listed(&reply), read_host_only(&reply, question)?);
    Ok((Deployed { containers, ..records(reply.events, wants)? }, host_only))
}

/// Replaces each event about a long manifest that differs by its entries.
async fn compare(
    driver: &Driver,
    wants: &BTreeMap<String, Manifest>,
    events: &mut Vec<DriverEvent>,
) -> Result<()> {
    let differ =
        events.extract_if(.., |event| matches!(event, DriverEvent::Differs { .. })).collect::<Vec<_>>();
    let asked = differ.into_iter().filter_map(|event| match event {
        DriverEvent::Differs { unit, digest } => Some(compared(driver, unit, wants, digest)),
        _ => None,
    });
    for told in futures_util::future::join_all(asked).await {
        events.extend(told?);
    }
    Ok(())
}

/// The events about the recorded manifest of a unit, which has this digest.
async fn compared(
    driver: &Driver,
    unit: String,
    wants: &BTreeMap<String, Manifest>,
    digest: String,
) -> Result<Vec<DriverEvent>> {
    let wanted = wants.get(&unit).ok_or_else(|| broken("the records"))?;
    let ask = async |checks| {
        let reply = driver.call(&Command::Manifest { unit: unit.clone(), checks }).await?;
        if reply.is_ok() { Ok(reply.events) } else { Err(broken("the records")) }
    };
    let said = ask(comparison::checks(wanted)).await?;
    let said = said.iter().filter_map(|event| match event {
        DriverEvent::Entry { text } => Some(text.as_str()),
        _ => None,
    });
    let recorded = comparison::recorded(&wanted.to_text(), said);
    let Some(recorded) = recorded.filter(|text| Digest::of(text.as_bytes()).as_str() == digest) else {
        // Two lines may have the same check, and the record may be damaged.
        return ask(String::new()).await;
    };
    let lines = recorded.lines().map(str::to_owned).chain(["\\end".to_owned()]);
    let entries = lines.map(|text| DriverEvent::Entry { text });
    Ok([DriverEvent::Manifest { unit }].into_iter().chain(entries).collect())
}

/// The containers that a reply lists.
fn listed(reply: &Reply) -> Containers {
    let mut all: Vec<ListedContainer> = Vec::new();
    let mut known = Containers::NotAsked;
    for event in &reply.events {
        match event {
            DriverEvent::Listed { text } => all.extend(read_listed(text)),
            DriverEvent::Inspected { text } => {
                if let Some((id, inspected)) = read_inspected(text)
                    && let Some(container) = all.iter_mut().find(|container| container.id == id)
                {
                    container.inspected = Some(inspected);
                }
            }
            DriverEvent::Docker { rc: 0 } => known = Containers::Known(std::mem::take(&mut all)),
            DriverEvent::Docker { rc: NO_ANSWER } => known = Containers::Unknown(DockerFailure::NoAnswer),
            DriverEvent::Docker { .. } => {
                known = Containers::Unknown(DockerFailure::of(&reply.output));
            }
            _ => {}
        }
    }
    known
}

/// Builds a host's records out of events. `wants` has the manifests that an event of kind `same` refers to.
pub(super) fn records(events: Vec<DriverEvent>, wants: &BTreeMap<String, Manifest>) -> Result<Deployed> {
    let mut deployed = Deployed::default();
    let damage = |file: String, is_missing| Damage { file, is_missing, instead: None };
    let mut has_state = false;
    let mut lists: Vec<List> = Vec::new();
    for event in events {
        match event {
            DriverEvent::Note { text } => deployed.note = Some(text),
            DriverEvent::State { state } => {
                has_state = true;
                match read_state(state)? {
                    Some(state) => deployed.state = state,
                    None => deployed.damaged.push(damage(STATE_FILE.to_owned(), false)),
                }
            }
            DriverEvent::Same { unit } => {
                let manifest = wants.get(&unit).cloned().unwrap_or_default();
                deployed.manifests.insert(unit, manifest);
            }
            DriverEvent::Manifest { unit } => lists.push(List::new(unit, false)),
            DriverEvent::Pending { unit } => lists.push(List::new(unit, true)),
            DriverEvent::Entry { text } => {
                if let Some(list) = lists.last_mut() {
                    list.read(&text);
                }
            }
            DriverEvent::Found { text } => {
                let (path, found) = read_found(&text).ok_or_else(|| broken("an answer"))?;
                deployed.found.insert(path, found);
            }
            DriverEvent::Link { text } => deployed.links.extend(read_links([text])?),
            _ => {}
        }
    }
    for List { unit, is_pending, manifest, is_damaged, .. } in lists.into_iter().map(List::ended) {
        if is_damaged {
            let folder = if is_pending { "pending" } else { "manifest" };
            deployed.damaged.push(damage(format!("{folder}/{unit}"), false));
        }
        // What is left of a damaged manifest still tells which content is ours, but not that all of it is
        // there.
        if is_pending || is_damaged {
            deployed.pending.entry(unit).or_default().0.extend(manifest.0);
        } else {
            deployed.manifests.insert(unit, manifest);
        }
    }
    if !has_state && !deployed.manifests.is_empty() {
        deployed.damaged.push(damage(STATE_FILE.to_owned(), true));
    }
    let manifests = deployed.manifests.values().chain(deployed.pending.values());
    let paths: Vec<RootPath> = if deployed.links.is_empty() {
        Vec::new()
    } else {
        manifests.flat_map(|manifest| manifest.0.keys().cloned()).collect()
    };
    deployed.bar(paths);
    Ok(deployed)
}

/// A manifest that the driver reports.
struct List {
    unit: String,
    is_pending: bool,
    manifest: Manifest,
    is_damaged: bool,
    has_end: bool,
}

impl List {
    fn new(unit: String, is_pending: bool) -> Self {
        Self { unit, is_pending, manifest: Manifest::default(), is_damaged: false, has_end: false }
    }

    /// Reads a line. Of a damaged manifest, only lines that are whole count: half a path may be that of a file
    /// which is not ours.
    fn read(&mut self, text: &str) {
        let has_digest =
            |entry: &Entry| entry.digest.as_str().len() == 64 && entry.digest.as_str().bytes().all(is_hex);
        let is_plain = |text: &str| text.starts_with(['F', 'L']) || !text.contains('\\');
        match read_line(text) {
            Some((path, entry)) if has_digest(&entry) && is_plain(text) && !path.is_root() => {
                self.manifest.0.insert(path, entry);
            }
            _ if text == "\\end" => self.has_end = true,
            _ => self.is_damaged = true,
        }
    }

    /// The same at its end, which a file that was cut off does not have. No manifest is empty.
    fn ended(mut self) -> Self {
        self.is_damaged |= !self.has_end || (self.manifest.0.is_empty() && !self.is_pending);
        self
    }
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// Reads reports about links: the path of each, and its target.
fn read_links(texts: impl IntoIterator<Item = String>) -> Result<BTreeMap<RootPath, String>> {
    let read = |text: &str| {
        let (line, target) = text.split_once('\t')?;
        let path = match line.split_at_checked(2)? {
            ("p ", path) => path.to_owned(),
            ("P ", path) => unescape(path)?,
            _ => return None,
        };
        Some((RootPath::new(&path).ok()?, target.to_owned()))
    };
    texts.into_iter().map(|text| read(&text).ok_or_else(|| broken("an answer"))).collect()
}

/// Reads a state; `None` if it is damaged.
fn read_state(state: serde_json::Value) -> Result<Option<State>> {
    match state.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(STATE_VERSION) => Ok(serde_json::from_value(state).ok()),
        Some(version) => Err(Error::new(
            Exit::Unreachable,
            format!("the host's state has version {version}, which this version of ghdeploy does not know"),
        )
        .help("use the version of ghdeploy that wrote it, or a newer one")),
        None => Ok(None),
    }
}

fn broken(what: &str) -> Error {
    Error::new(Exit::Unreachable, format!("{what} below .ghdeploy on the host cannot be read")).help("something else has changed it; move .ghdeploy aside and run `ghdeploy sync`: files that match the repository are adopted, others are reported")
}

/// Asks what lies at wanted paths that no manifest lists, so that no unmanaged file is overwritten. It asks
/// for the top folders first: one that does not exist holds nothing.
///
/// # Errors
///
/// When the connection is lost.
pub async fn probe_new(
    driver: &Driver,
    wants: &BTreeMap<String, Manifest>,
    deployed: &mut Deployed,
) -> Result<()> {
    let mut new: Vec<&RootPath> = Vec::new();
    for (unit, manifest) in wants {
        let known = deployed.manifests.get(unit);
        // A path through one of our links that will be removed leads elsewhere than the new file will.
        let behind_link = |path: &RootPath| {
            std::iter::successors(path.parent(), RootPath::parent).any(|dir| {
                known.and_then(|known| known.get(&dir)).is_some_and(|entry| entry.kind == Kind::Symlink)
            })
        };
        let is_new = |path: &&RootPath| {
            !deployed.found.contains_key(*path) && known.is_none_or(|known| known.get(path).is_none())
        };
        new.extend(manifest.0.keys().filter(is_new).filter(|path| !behind_link(path)));
    }
    if new.is_empty() {
        return Ok(());
    }
    let tops: BTreeSet<&str> = new.iter().filter_map(|path| path.components().next()).collect();
    let reply = driver
        .call(&Command::Probe {
            hash: false,
            units: Vec::new(),
            paths: tops.into_iter().map(str::to_owned).collect(),
        })
        .await?;
    let there: BTreeSet<RootPath> = found(&reply)
        .into_iter()
        .filter(|(_, found)| *found != Found::Missing)
        .map(|(path, _)| path)
        .collect();
    let asked: Vec<String> = new
        .into_iter()
        .filter(|path| {
            path.components()
                .next()
                .and_then(|top| RootPath::new(top).ok())
                .is_some_and(|top| there.contains(&top))
        })
        .map(ToString::to_string)
        .collect();
    if asked.is_empty() {
        return Ok(());
    }
    let units = wants.keys().cloned().collect();
    let reply = driver.call(&Command::Probe { hash: true, units, paths: asked.clone() }).await?;
    deployed.found.extend(found(&reply));
    let links = reply.events.into_iter().filter_map(|event| match event {
        DriverEvent::Link { text } => Some(text),
        _ => None,
    });
    deployed.links.extend(read_links(links)?);
    deployed.bar(asked.iter().filter_map(|path| RootPath::new(path).ok()));
    Ok(())
}

/// Asks what Compose reads beside managed files, and adds it to what is known of the host.
///
/// # Errors
///
/// When the connection is lost, or the answer does not fit the question.
pub async fn host_only(driver: &Driver, question: &HostOnlyQuestion) -> Result<HostOnlyAnswer> {
    if question.is_empty() {
        return Ok(HostOnlyAnswer::default());
    }
    read_host_only(&driver.call(&Command::HostOnly(question.clone())).await?, question)
}

fn read_host_only(reply: &Reply, question: &HostOnlyQuestion) -> Result<HostOnlyAnswer> {
    let lost = || Error::unforeseen("the host's answer about env files cannot be parsed");
    if !reply.is_ok() {
        return Err(lost());
    }
    let found = reply.events.iter().filter_map(|event| match event {
        DriverEvent::ComposeFile { text } => read_found(text),
        _ => None,
    });
    let mut answer = HostOnlyAnswer { found: found.collect(), ..HostOnlyAnswer::default() };
    let known = &mut answer.host_only;
    known.compose_files = answer.found.iter().map(|(path, _)| path.clone()).collect();
    let mut settings: BTreeMap<RootPath, Vec<u8>> = BTreeMap::new();
    let mut asked = question.env_files.keys();
    let mut current = None;
    for event in &reply.events {
        let DriverEvent::Env { text } = event else { continue };
        match text.split_at_checked(2).ok_or_else(lost)? {
            ("k ", "-") => {}
            // Enough to tell two keys apart.
            ("k ", name) => known.key = Some(name.chars().take(8).collect()),
            ("d ", digest) => {
                let path = asked.next().ok_or_else(lost)?;
                let file = match digest {
                    "-" => EnvFile::Missing,
                    "+" => EnvFile::Unknown,
                    digest => EnvFile::Known(digest.to_owned()),
                };
                known.env_files.insert(path.clone(), file);
                current = RootPath::new(path).ok();
            }
            ("v ", assignment) => {
                let path = current.clone().ok_or_else(lost)?;
                let lines = settings.entry(path).or_default();
                lines.extend_from_slice(assignment.as_bytes());
                lines.push(b'\n');
            }
            // Of a file elsewhere on the host, variables do not count.
            ("n " | "f " | "e ", _) if current.is_none() => {}
            ("n ", _) => {
                let path = current.clone().ok_or_else(lost)?;
                let unset = question.variables.iter().map(|name| (name.clone(), VariableState::Unset));
                known.variables.insert(path, unset.collect());
            }
            (kind @ ("f " | "e "), name) => {
                let path = current.as_ref().ok_or_else(lost)?;
                let state = if kind == "e " { VariableState::Empty } else { VariableState::Set };
                let variables = known.variables.get_mut(path).ok_or_else(lost)?;
                *variables.get_mut(name).ok_or_else(lost)? = state;
            }
            _ => return Err(lost()),
        }
    }
    if asked.next().is_some() {
        return Err(lost());
    }
    known.settings = settings.into_iter().map(|(path, lines)| (path, lines.into())).collect();
    Ok(answer)
}

/// What only the host has, and what lies at the paths of its compose files.
#[derive(Debug, Default)]
pub struct HostOnlyAnswer {
    /// What Compose reads.
    pub host_only: HostOnly,
    /// The compose files among it.
    pub found: Vec<(RootPath, Found)>,
}

/// Results of a probe, for paths below the root.
#[must_use]
pub fn found(reply: &Reply) -> Vec<(RootPath, Found)> {
    reply
        .events
        .iter()
        .filter_map(|event| match event {
            DriverEvent::Found { text } => read_found(text),
            _ => None,
        })
        .collect()
}

/// Asks whether a file, a directory or something else lies at each of these paths, which may be absolute or
/// start with `~/`.
///
/// # Errors
///
/// When the connection is lost.
pub async fn types(driver: &Driver, paths: &[String]) -> Result<Vec<Found>> {
    let command = Command::Probe { hash: false, units: Vec::new(), paths: paths.to_vec() };
    let reply = driver.call(&command).await?;
    let mut by_line = reply.events.iter().filter_map(|event| match event {
        DriverEvent::Found { text } => text.chars().next(),
        _ => None,
    });
    let found = paths.iter().map(|_| match by_line.next() {
        Some('f' | 'F') => {
            Found::Entry(Entry { kind: Kind::File, mode: 0o644, size: 0, digest: Digest::from_text("-") })
        }
        Some('d' | 'D') => Found::Directory,
        Some('o' | 'O') => Found::Other,
        _ => Found::Missing,
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_is_closed_is_explained_by_what_is_closed() {
        let help = |said: &str| {
            let output = [said.to_owned(), "@owner root".to_owned(), "@user deploy".to_owned()];
            let error = not_writable("/srv/services", &output);
            assert_eq!(
                error.to_string(),
                format!("the user deploy may not write below /srv/services: {said}")
            );
            error.diagnostics[0].help.clone().unwrap()
        };
        assert_eq!(
            help("/srv: Permission denied"),
            "on the host, as root: install -d -o deploy /srv/services; or choose another --root"
        );
        assert_eq!(
            help("/srv/services: Permission denied"),
            "it belongs to root: on the host, as root: install -d -o deploy /srv/services; or choose another --root"
        );
        assert_eq!(
            help("/srv: cannot be entered"),
            "on the host, as root: chmod o+x /srv, which belongs to root; or choose another --root"
        );
        assert_eq!(
            help("/srv/services/.ghdeploy/lock: Permission denied"),
            "another user has deployed there, perhaps by sudo: /srv/services/.ghdeploy/lock is not deploy's, which \
             belongs to root. On the host, as root: chown -R deploy /srv/services/.ghdeploy"
        );
        assert!(help("/srv/services: Read-only file system").contains("mount it for writing"));
        // What an unforeseen failure prints.
        let error = not_writable("/srv/services", &["mkdir: cannot create directory".to_owned()]);
        assert!(error.to_string().starts_with("the user of the connection may not write"), "{error}");
    }
}
