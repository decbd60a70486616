//! Runs that were cut off: they are entered into the history, and what they left halfway finds the last release
//! in which it was well.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;

use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::base::manifest::Manifest;
use crate::base::path::RootPath;
use crate::host::releases::{ReleaseImage, releases, snapshot};
use crate::host::{Command, Driver, ReleaseImages};
use crate::outcome::ProjectResult;
use crate::outcome::history::{Release, RunNote};
use crate::plan::{HostWork, ProjectChange, ServiceImage, WayBack, WellVersion};
use crate::state::deployed::{Deployed, ProjectState, SHARED, State, Unsettled, unit};

/// What a release has of the host.
type Past = Arc<(Deployed, Vec<ReleaseImage>)>;

/// Enters the run that was cut off before this one, if there is such a run: a line of the history with its
/// number, and what it has left halfway. Returns a note about it.
///
/// # Errors
///
/// When the connection is lost, or the records cannot be written.
pub async fn enter_cut_off(driver: &Driver, deployed: &mut Deployed) -> Result<Option<Diagnostic>> {
    let Some(note) = deployed.note.take() else { return Ok(None) };
    // A note that cannot be read was not written by a run that has changed anything.
    let Ok(RunNote { mut line, absent }) = serde_json::from_str(&note) else {
        written(&driver.call(&Command::Note(String::new())).await?)?;
        return Ok(None);
    };
    let number = line.release;
    let past = releases(driver).await?;
    let is_entered =
        past.lines.iter().filter_map(|line| Release::from_line(line)).any(|old| old.release == number);
    let mut commands = Vec::new();
    let mut told = None;
    if deployed.state.release == number {
        // Everything was done but the last records.
        line.cut_off = false;
        line.projects.retain(|name, _| is_done(deployed, name, number));
        line.projects.values_mut().for_each(|project| project.result = ProjectResult::Done);
        let release = Command::Release { number, images: ReleaseImages::Listed };
        commands.extend((!past.kept.contains(&number)).then_some(release));
    } else {
        let halfway = judge(driver, deployed, &mut line, &past.kept, &absent).await?;
        deployed.state.cut_off = Some(number);
        commands.push(Command::State(to_json(&deployed.state)?));
        told = Some(note_about(&line, &halfway));
    }
    if !is_entered {
        commands.push(Command::History(to_json(&line)?));
    }
    commands.push(Command::Note(String::new()));
    for reply in join_all(commands.iter().map(|command| driver.call(command))).await {
        written(&reply?)?;
    }
    Ok(told)
}

/// Finds out how far a run has come with each of its projects, and records those that it has left halfway.
async fn judge(
    driver: &Driver,
    deployed: &mut Deployed,
    line: &mut Release,
    kept: &[u64],
    absent: &[String],
) -> Result<Vec<String>> {
    let number = line.release;
    let names: BTreeSet<&str> = line
        .projects
        .keys()
        .filter(|name| !is_done(deployed, name, number) && !deployed.state.unsettled.contains_key(*name))
        .map(String::as_str)
        .collect();
    let well = last_well(driver, kept, names).await?;
    let mut halfway = Vec::new();
    for (name, project) in &mut line.projects {
        if is_done(deployed, name, number) {
            project.result = ProjectResult::Done;
            deployed.state.unsettled.remove(name);
            continue;
        }
        let is_untouched = match well.get(name) {
            Some((_, past)) => is_as_in(name, &past.0, deployed),
            None => !deployed.state.unsettled.contains_key(name) && is_nowhere(name, deployed),
        };
        if is_untouched {
            project.result = ProjectResult::NothingChanged;
            continue;
        }
        project.result = ProjectResult::Interrupted;
        halfway.push(name.clone());
        deployed.state.unsettled.entry(name.clone()).or_insert_with(|| Unsettled {
            run: number,
            well: well.get(name).map(|(release, _)| *release),
            was_absent: absent.contains(name),
        });
    }
    Ok(halfway)
}

/// Whether the run with this number has recorded the project as deployed, or taken it down.
fn is_done(deployed: &Deployed, name: &str, number: u64) -> bool {
    deployed.state.projects.get(name).is_some_and(|project| project.release == number)
}

/// Whether the host has nothing of a project.
fn is_nowhere(name: &str, deployed: &Deployed) -> bool {
    let unit = unit(name);
    !deployed.state.projects.contains_key(name)
        && !deployed.manifests.contains_key(&unit)
        && !deployed.pending.contains_key(&unit)
}

/// Whether a project is as a release has it, the shared files included.
fn is_as_in(name: &str, past: &Deployed, deployed: &Deployed) -> bool {
    [unit(name).as_str(), SHARED].iter().all(|unit| {
        !deployed.pending.contains_key(*unit) && past.manifests.get(*unit) == deployed.manifests.get(*unit)
    }) && past.state.projects.get(name) == deployed.state.projects.get(name)
}

/// For each of these projects the newest of the `kept` releases in which it was well, if there is one.
pub(super) async fn last_well(
    driver: &Driver,
    kept: &[u64],
    mut names: BTreeSet<&str>,
) -> Result<BTreeMap<String, (u64, Past)>> {
    let mut found = BTreeMap::new();
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    while let Some(release) = kept.pop().filter(|_| !names.is_empty()) {
        let Some(past) = snapshot(driver, release).await? else { continue };
        if !past.0.damaged.is_empty() {
            continue;
        }
        let past = Arc::new(past);
        let state: &State = &past.0.state;
        names.retain(|name| {
            if state.unsettled.contains_key(*name) {
                return true;
            }
            if state.projects.contains_key(*name) {
                found.insert((*name).to_owned(), (release, Arc::clone(&past)));
            }
            false
        });
    }
    Ok(found)
}

fn note_about(line: &Release, halfway: &[String]) -> Diagnostic {
    let who = line.actor.as_deref().map(|actor| format!(" of {actor}")).unwrap_or_default();
    let page = line.run_url.as_deref().map(|url| format!(", {url}")).unwrap_or_default();
    let what = if halfway.is_empty() {
        "nothing of it is left halfway".to_owned()
    } else {
        format!("it left halfway: {}", halfway.join(", "))
    };
    let message = format!("run {}{who} at {}{page} was cut off; {what}", line.release, line.at);
    Diagnostic::warning(message, None)
}

/// Finds where a failure leads back to, for each project that an earlier run has left halfway and that is to
/// act now. A project of which nothing is left to do has settled.
///
/// # Errors
///
/// When the connection is lost, or the records on the host cannot be read.
pub async fn plan_ways_back(driver: &Driver, deployed: &mut Deployed, work: &mut HostWork) -> Result<()> {
    let mut read: BTreeMap<u64, Option<Past>> = BTreeMap::new();
    for project in &mut work.projects {
        let name = project.plan.name.clone();
        let Some(unsettled) = deployed.state.unsettled.get(&name) else { continue };
        if project.plan.is_empty() && project.plan.problems.is_empty() {
            deployed.state.unsettled.remove(&name);
            continue;
        }
        if project.plan.actions.is_empty() || project.plan.change == ProjectChange::Removed {
            continue;
        }
        let past = match unsettled.well {
            None => None,
            Some(release) => {
                if let Entry::Vacant(place) = read.entry(release) {
                    place.insert(snapshot(driver, release).await?.map(Arc::new));
                }
                read.get(&release).cloned().flatten()
            }
        };
        project.way_back = Some(way_back(&name, unsettled, past.as_deref(), deployed));
    }
    Ok(())
}

fn way_back(
    name: &str,
    unsettled: &Unsettled,
    past: Option<&(Deployed, Vec<ReleaseImage>)>,
    deployed: &Deployed,
) -> WayBack {
    let nowhere = |obstacle: Option<String>| WayBack { release: unsettled.well, version: None, obstacle };
    let Some(release) = unsettled.well else {
        let unknown =
            || format!("run {} left it halfway, and in no release it was seen healthy", unsettled.run);
        return nowhere((!unsettled.was_absent).then(unknown));
    };
    let Some((past, images)) = past else {
        return nowhere(Some(format!("release {release} is no longer on the host")));
    };
    let Some(state) = past.state.projects.get(name) else {
        return nowhere(Some(format!("release {release} does not have it")));
    };
    let image = |image: &ReleaseImage| ServiceImage {
        service: image.service.clone(),
        id: image.id.clone(),
        name: image.name.clone(),
    };
    let moved = || format!("shared files that it reads are not those of release {release}");
    WayBack {
        release: Some(release),
        obstacle: have_moved(state, past, deployed).then(moved),
        version: Some(WellVersion {
            state: state.clone(),
            manifest: past.manifests.get(&unit(name)).cloned().unwrap_or_default(),
            images: images.iter().filter(|image| image.project == state.project).map(image).collect(),
        }),
    }
}

/// Whether shared files that a project reads are not what they were in a release.
fn have_moved(state: &ProjectState, past: &Deployed, deployed: &Deployed) -> bool {
    if deployed.pending.contains_key(SHARED) {
        return true;
    }
    let none = Manifest::default();
    let (then, now) =
        (past.manifests.get(SHARED).unwrap_or(&none), deployed.manifests.get(SHARED).unwrap_or(&none));
    let differs = |path: &&RootPath| then.get(path) != now.get(path);
    let paths: BTreeSet<&RootPath> = then.0.keys().chain(now.0.keys()).collect();
    let is_read = |path: &&RootPath| match &state.reads {
        Some(reads) => reads.iter().any(|read| path.is_within(read)),
        None => true,
    };
    paths.into_iter().filter(is_read).any(|path| differs(&path))
}

fn written(reply: &crate::host::Reply) -> Result<()> {
    if reply.is_ok() {
        return Ok(());
    }
    let words = reply.output.join("; ");
    Err(Error::unforeseen(format!("the run that was cut off could not be recorded on the host: {words}")))
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::unforeseen(error.to_string()))
}
