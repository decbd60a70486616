//! Asks a driver what a host has.

use std::collections::BTreeMap;

use super::driver::{Driver, Reply, lacks};
use super::protocol::{Command, DriverEvent, FailureKind};
use crate::base::error::{Error, Exit, Result};
use crate::base::manifest::{Entry, Kind, Manifest, read_line};
use crate::base::path::RootPath;
use crate::state::deployed::{Deployed, Found, STATE_VERSION, State, read_found};

/// Goes to the root, to read or with the lock to write. `on_busy` is told who holds the lock.
///
/// # Errors
///
/// When the host lacks a tool, the root cannot be written, or the lock is not had in time.
pub async fn open(
    driver: &Driver,
    command: &Command,
    root: &str,
    mut on_busy: impl FnMut(&serde_json::Value) + Send,
) -> Result<()> {
    let reply = driver
        .call_with(command, |event| {
            if let DriverEvent::Busy { holder } = event {
                on_busy(holder);
            }
        })
        .await?;
    if reply.is_ok() {
        return Ok(());
    }
    let failure = reply.events.iter().find_map(|event| match event {
        DriverEvent::Failure { kind } => Some(*kind),
        _ => None,
    });
    let words = reply.output.join("; ");
    Err(match failure {
        Some(FailureKind::Tools) => lacks(words.trim()),
        Some(FailureKind::Write) if words.contains("No space left") => Error::new(Exit::Unreachable, format!("the host's disk is full: {words}")).help("make room below the root"),
        Some(FailureKind::Write) => Error::new(Exit::Unreachable, format!("the user of the connection may not write below {root}: {words}"))
            .help(format!("on the host, as root: install -d -o <user> {root}; or choose another --root")),
        Some(FailureKind::Busy) => Error::new(Exit::Unreachable, format!("the lock of the host was not had in time: {} holds it", holder_in_words(last_holder(&reply)))).help("wait for the other run or give --lock-wait more time; a lock is free as soon as the last process of its run is gone"),
        _ => Error::new(Exit::Unreachable, format!("the host did not take up work: {words}")),
    })
}

fn last_holder(reply: &Reply) -> &serde_json::Value {
    let holders = reply.events.iter().rev().filter_map(|event| match event {
        DriverEvent::Busy { holder } => Some(holder),
        _ => None,
    });
    holders.into_iter().next().unwrap_or(&serde_json::Value::Null)
}

/// Who holds a lock, since when, and the page of the run.
#[must_use]
pub fn holder_in_words(holder: &serde_json::Value) -> String {
    let text = |key: &str| holder.get(key).and_then(serde_json::Value::as_str);
    let since = text("since").map(|since| format!(" since {since}"));
    let run = text("run").map(|run| format!(", {run}"));
    [Some(text("actor").unwrap_or("somebody").to_owned()), since, run].into_iter().flatten().collect()
}

/// Asks for the state and all that deviates from `wants`: unit → wanted manifest.
///
/// # Errors
///
/// When the connection is lost, or the records on the host are not ours to read.
pub async fn facts(driver: &Driver, wants: &BTreeMap<String, Manifest>) -> Result<Deployed> {
    let command = Command::Facts {
        wants: wants
            .iter()
            .map(|(unit, manifest)| (unit.clone(), manifest.digest().as_str().to_owned()))
            .collect(),
    };
    let reply = driver.call(&command).await?;
    if !reply.is_ok() {
        return Err(broken("the records"));
    }
    records(reply.events, wants)
}

/// Puts together what events tell of a host's records. `wants` has the manifests that it calls the same.
pub(super) fn records(events: Vec<DriverEvent>, wants: &BTreeMap<String, Manifest>) -> Result<Deployed> {
    let mut deployed = Deployed::default();
    // Where the entries that follow belong.
    let mut current: Option<(bool, String)> = None;
    for event in events {
        match event {
            DriverEvent::State { state } => deployed.state = read_state(state)?,
            DriverEvent::Same { unit } => {
                let manifest = wants.get(&unit).cloned().unwrap_or_default();
                deployed.manifests.insert(unit, manifest);
            }
            DriverEvent::Manifest { unit } => {
                deployed.manifests.insert(unit.clone(), Manifest::default());
                current = Some((false, unit));
            }
            DriverEvent::Pending { unit } => {
                deployed.pending.insert(unit.clone(), Manifest::default());
                current = Some((true, unit));
            }
            DriverEvent::Entry { text } => {
                let (path, entry) = read_line(&text).ok_or_else(|| broken("a manifest"))?;
                if let Some((pending, unit)) = &current {
                    let manifests = if *pending { &mut deployed.pending } else { &mut deployed.manifests };
                    manifests.entry(unit.clone()).or_default().0.insert(path, entry);
                }
            }
            DriverEvent::Found { text } => {
                let (path, found) = read_found(&text).ok_or_else(|| broken("an answer"))?;
                deployed.found.insert(path, found);
            }
            _ => {}
        }
    }
    Ok(deployed)
}

fn read_state(state: serde_json::Value) -> Result<State> {
    match state.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(STATE_VERSION) => {
            serde_json::from_value(state).map_err(|_| broken("state.json"))
        }
        Some(version) => Err(Error::new(
            Exit::Unreachable,
            format!("the host's state has version {version}, which this ghdeploy does not know"),
        )
        .help("use the ghdeploy that wrote it, or a newer one")),
        None => Err(broken("state.json")),
    }
}

fn broken(what: &str) -> Error {
    Error::new(Exit::Unreachable, format!("{what} below .ghdeploy on the host cannot be read")).help("it was changed by something else; move .ghdeploy aside and run `ghdeploy sync`: files that are as wanted are taken over, others are reported")
}

/// Asks what lies at paths that no manifest lists, so that nobody's file is overwritten. First whole
/// folders are asked for: what is not there holds nothing.
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
        // What lies behind a link of ours that goes does not lie where the new file will.
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
    let tops: std::collections::BTreeSet<&str> =
        new.iter().filter_map(|path| path.components().next()).collect();
    let reply = driver
        .call(&Command::Probe { hash: false, paths: tops.into_iter().map(str::to_owned).collect() })
        .await?;
    let there: std::collections::BTreeSet<RootPath> = found(&reply)
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
    let reply = driver.call(&Command::Probe { hash: true, paths: asked }).await?;
    deployed.found.extend(found(&reply));
    Ok(())
}

/// What a probe has found, of paths below the root.
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

/// Whether there is a file, a directory or something else at each of these paths, which may be
/// absolute or start with `~/`.
///
/// # Errors
///
/// When the connection is lost.
pub async fn types(driver: &Driver, paths: &[String]) -> Result<Vec<Found>> {
    let reply = driver.call(&Command::Probe { hash: false, paths: paths.to_vec() }).await?;
    let mut by_line = reply.events.iter().filter_map(|event| match event {
        DriverEvent::Found { text } => text.chars().next(),
        _ => None,
    });
    let found = paths.iter().map(|_| match by_line.next() {
        Some('f' | 'F') => Found::Entry(Entry {
            kind: Kind::File,
            mode: 0o644,
            size: 0,
            digest: crate::base::manifest::Digest::from_text("-"),
        }),
        Some('d' | 'D') => Found::Directory,
        Some('o' | 'O') => Found::Other,
        _ => Found::Missing,
    });
    Ok(found.collect())
}
