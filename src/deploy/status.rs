//! What is deployed on a host, what has drifted, what is owed, and the services with their containers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Mutex;

use super::elsewhere::elsewhere;
use super::host_only::{learn, settle};
use super::kept::{kept, shown};
use super::worktree::known;
use super::{Access, Session, Target, Worktree};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, Result};
use crate::base::path::RootPath;
use crate::compose::Files as _;
use crate::config::selection::{Selected, Selection};
use crate::host::facts::{facts_with_containers, host_only};
use crate::host::mend::mend;
use crate::host::{Command, Driver, Transport};
use crate::outcome::queries::{
    ContainerStatus, HostStatus, OwedAction, ProjectStatus, ServiceCondition, ServiceStatus,
};
use crate::plan::containers::{End, Expected, Standing, standing};
use crate::plan::{self, Lack, PlanOptions};
use crate::state::container::{Container, ContainerState, HealthStatus, ListedContainer};
use crate::state::deployed::{Deployed, ProjectState, unit};
use crate::state::question::HostOnlyQuestion;
use crate::state::wanted::{Wanted, WantedProject};
use crate::tree::disk::DiskTree;
use crate::tree::release::Contents;

/// The status of a host. `selection` are the projects and services that are shown; `None`:
/// all.
///
/// # Errors
///
/// When the host is not reached, or its records cannot be read.
pub async fn status(
    session: &Session<'_>,
    worktree: &Worktree,
    selection: Option<&Selection>,
    transport: &dyn Transport,
) -> Result<HostStatus> {
    let driver = session.start(transport).await?;
    session.open(&driver, Access::Read).await?;
    let mut deployed = facts_with_containers(&driver, &BTreeMap::new()).await?;
    mend(&driver, &mut deployed).await?;
    let wanted = wanted(session.target, worktree, &driver, &mut deployed).await;
    // Without a tree that can be read, the host's own projects are all that is known.
    let mut known = known(wanted.as_ref().ok().map(|(_, wanted)| wanted), &deployed.state);
    let names = worktree.project_names(session.target).await.unwrap_or_default();
    names.iter().for_each(|name| known.add_project(name));
    selection.map_or(Ok(()), |selection| selection.refuse_unknown(&known))?;
    let asked = selection.map_or_else(Selected::default, |selection| selection.among(&known));
    let mut problems = Vec::new();
    let mut seen = match &wanted {
        Ok((tree, wanted)) => seen(session.target, tree, wanted, &deployed),
        Err(_) => BTreeMap::new(),
    };
    let selects = |name: &String| asked.selects(name);
    let others = deployed.state.projects.keys().filter(|name| selects(name) && !seen.contains_key(*name));
    let others: BTreeSet<String> = others.cloned().collect();
    let untold = seen_on_host(session.target, &driver, &deployed, others, &mut seen).await?;
    // It knows when containers were started.
    let reply = driver.call(&Command::Containers).await?;
    if (!reply.is_ok() || deployed.containers.known().is_none()) && !deployed.state.projects.is_empty() {
        let message = format!("Docker on the host does not list its containers: {}", reply.output.join("; "));
        problems.push(Diagnostic::error(message, None).help("run ghdeploy doctor"));
    }
    let inspected = reply.into_containers();
    driver.end().await;
    let obstacles = match &wanted {
        Ok((tree, wanted)) => obstacles(wanted, &deployed, &|path| tree.shown(path)),
        Err(_) => Vec::new(),
    };
    problems.extend(deployed.damaged.iter().map(plan::damaged));
    let is_unknown = !problems.is_empty();
    problems.extend(obstacles.into_iter().chain(untold));
    let state = &deployed.state;
    let selected = state.projects.iter().filter(|(name, _)| selects(name));
    let projects = selected.map(|(name, project)| {
        let manifest = deployed.manifests.get(&unit(name));
        let paths = manifest.into_iter().flat_map(|manifest| manifest.0.keys());
        let drift = paths.filter(|path| deployed.found.contains_key(*path));
        let listed = deployed.containers.known().unwrap_or_default();
        let own: Vec<&ListedContainer> = listed
            .iter()
            .filter(|container| container.project == project.project && !container.is_oneoff)
            .filter(|container| asked.selects_service(name, &container.service))
            .filter(|container| {
                project.services.contains_key(&container.service)
                    || !state.projects.iter().any(|(other, recorded)| {
                        other != name
                            && recorded.project == project.project
                            && recorded.services.contains_key(&container.service)
                    })
            })
            .collect();
        let seen = seen.get(name);
        let services = match deployed.containers.known() {
            Some(_) => services(project, seen, &own),
            None => Vec::new(),
        };
        let is_asked = |service: &str| asked.selects_service(name, service);
        let services = services.into_iter().filter(|service| is_asked(&service.service)).collect();
        let owed = seen.map(|seen| seen.owed.clone()).unwrap_or_default();
        let owed = owed.into_iter().filter(|owed| is_asked(&owed.service)).collect();
        ProjectStatus {
            name: name.clone(),
            path: if project.dir.is_root() { ".".to_owned() } else { project.dir.to_string() },
            release: Some(project.release).filter(|release| *release > 0),
            commit: project.commit.clone(),
            left: project.held.as_ref().map(|held| held.release),
            drift: drift.map(ToString::to_string).collect(),
            owed,
            services,
            containers: containers(&own, &inspected),
        }
    });
    let ago = |at: &String| {
        let seconds = |text: &str| text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
        let secs = seconds(&(session.options.clock)())? - seconds(at)?;
        u64::try_from(secs).ok()
    };
    Ok(HostStatus {
        name: session.target.name.clone(),
        release: Some(state.release).filter(|release| *release > 0),
        commit: state.commit.clone(),
        deployed_at: state.at.clone(),
        deployed_secs_ago: state.at.as_ref().and_then(ago),
        repository: state.repository.shown(),
        projects: projects.collect(),
        problems,
        is_unknown,
    })
}

/// The status of a host that could not be asked.
#[must_use]
pub fn unknown(target: &Target, error: Error) -> HostStatus {
    HostStatus {
        name: target.name.clone(),
        release: None,
        commit: None,
        deployed_at: None,
        deployed_secs_ago: None,
        repository: None,
        projects: Vec::new(),
        problems: error.diagnostics,
        is_unknown: true,
    }
}

/// The containers of a project, by service and number.
fn containers(own: &[&ListedContainer], inspected: &[Container]) -> Vec<ContainerStatus> {
    let mut own = own.to_vec();
    own.sort_by_key(|container| (&container.service, container.number, &container.name));
    let shown = own.into_iter().map(|container| {
        let details = inspected.iter().find(|details| details.id.starts_with(&container.id));
        // Docker's zero time: never started.
        let since = details.map(|details| details.started.clone()).filter(|since| !since.starts_with("0001"));
        let image = details.map_or(&container.image, |details| &details.image_name);
        ContainerStatus {
            service: container.service.clone(),
            name: container.name.clone(),
            state: container.state.clone(),
            health: container.health.clone(),
            since,
            image: image.clone(),
            exit_code: container.exit_code,
            age: Some(container.since.clone()).filter(|age| !age.is_empty()),
            ports: container.ports.clone(),
        }
    });
    shown.collect()
}

/// The services of a project: those that are expected, and those that have a container all the same.
fn services(project: &ProjectState, seen: Option<&Seen>, own: &[&ListedContainer]) -> Vec<ServiceStatus> {
    // Without the files that were deployed, the records say what is expected.
    let recorded = || {
        let expected = |(name, state): (&String, &crate::state::deployed::ServiceState)| {
            let expected = Expected { scale: state.scale, policy: None, is_one_shot: state.completed };
            (name.clone(), (expected, None))
        };
        project.services.iter().map(expected).collect()
    };
    let expected: BTreeMap<String, (Expected, Option<Standing>)> = match seen {
        Some(seen) => seen.services.clone(),
        None => recorded(),
    };
    let names: BTreeSet<&String> =
        expected.keys().chain(own.iter().map(|container| &container.service)).collect();
    let of = |name: &String| {
        let own: Vec<&ListedContainer> =
            own.iter().copied().filter(|container| container.service == *name).collect();
        let (scale, condition) = match expected.get(name) {
            None => (Some(0), ServiceCondition::Unexpected),
            Some((expected, known)) => {
                let judged = known.clone().unwrap_or_else(|| standing(expected, &own));
                let condition = match seen.is_some_and(|seen| seen.provided.contains(name)) {
                    true if own.is_empty() => ServiceCondition::Provided,
                    _ => condition(expected, &judged, &own),
                };
                (expected.scale, condition)
            }
        };
        ServiceStatus { service: name.clone(), expected: scale, containers: own.len(), condition }
    };
    names.into_iter().map(of).collect()
}

/// The worst condition of the containers of a service.
fn condition(expected: &Expected, standing: &Standing, own: &[&ListedContainer]) -> ServiceCondition {
    if expected.scale == Some(0) {
        return if own.is_empty() { ServiceCondition::ScaledToZero } else { ServiceCondition::Unexpected };
    }
    match standing.lack {
        Some(Lack::Absent | Lack::Fewer { .. }) => return ServiceCondition::Missing,
        Some(Lack::LostNamespace) => return ServiceCondition::Failed,
        _ => {}
    }
    let of = |container: &&ListedContainer| match End::of(container, expected.policy.as_ref()) {
        End::Vanishes => ServiceCondition::Missing,
        End::Lacks(Lack::NeverStarted) => ServiceCondition::NotStarted,
        End::Lacks(_) | End::Failed => ServiceCondition::Failed,
        End::Stopped => ServiceCondition::Stopped,
        End::Paused => ServiceCondition::Paused,
        End::Completed => ServiceCondition::Completed,
        End::Runs if container.state == ContainerState::Restarting => ServiceCondition::Restarting,
        End::Runs => match container.health {
            Some(HealthStatus::Unhealthy) => ServiceCondition::Unhealthy,
            Some(HealthStatus::Starting) => ServiceCondition::Starting,
            _ => ServiceCondition::Running,
        },
    };
    // Nobody misses a one-shot that has completed.
    own.iter().map(of).max().unwrap_or(ServiceCondition::Completed)
}

/// What the files that were deployed show of a project.
#[derive(Debug, Default)]
struct Seen {
    /// What earlier runs have left to do, and what the containers owe.
    owed: Vec<OwedAction>,
    /// What is expected of each active service, and how its containers meet that, as far as it was ever started.
    services: BTreeMap<String, (Expected, Option<Standing>)>,
    /// The services that have a provider in the place of containers.
    provided: BTreeSet<String>,
}

/// What the tree shows, of the projects of which it has the files that are deployed.
fn seen(target: &Target, tree: &DiskTree, wanted: &Wanted, deployed: &Deployed) -> BTreeMap<String, Seen> {
    let is_same = |name: &str| {
        let mut own = wanted.projects.iter().filter(|project| project.name == name);
        own.any(|project| deployed.manifests.get(&unit(name)) == Some(&project.manifest))
    };
    compared(target, wanted, deployed, &is_same, &|path| tree.shown(path))
}

/// What a comparison of the selected projects with the records shows.
fn compared(
    target: &Target,
    wanted: &Wanted,
    deployed: &Deployed,
    selects: &dyn Fn(&str) -> bool,
    shown: &dyn Fn(&RootPath) -> String,
) -> BTreeMap<String, Seen> {
    let work = plan::host(&target.name, wanted, deployed, &PlanOptions::new(selects), shown);
    let of = |work: plan::ProjectWork| {
        let plan::ProjectWork { plan, wanted, standings, .. } = work;
        let actions = plan.actions.into_iter();
        let owed =
            actions.filter_map(|action| Some(OwedAction { service: action.service?, kind: action.kind }));
        let model = wanted.as_ref().map(|wanted| &wanted.model.services);
        let active = || model.into_iter().flatten().filter(|(_, service)| service.active);
        let provided = active().filter(|(_, service)| service.provider.is_some());
        let provided = provided.map(|(name, _)| name.clone()).collect();
        let services = active().map(|(name, service)| {
            let expected =
                Expected { scale: service.scale, policy: service.restart.clone(), is_one_shot: false };
            (name.clone(), (expected, standings.get(name).cloned()))
        });
        (plan.name, Seen { owed: owed.collect(), services: services.collect(), provided })
    };
    work.projects.into_iter().filter(|work| work.wanted.is_some()).map(of).collect()
}

/// Adds what the files on the host show of the projects `names`, whose files the tree does not have as they are
/// deployed. Returns what cannot be told.
///
/// # Errors
///
/// When the connection is lost.
async fn seen_on_host(
    target: &Target,
    driver: &Driver,
    deployed: &Deployed,
    mut names: BTreeSet<String>,
    seen: &mut BTreeMap<String, Seen>,
) -> Result<Vec<Diagnostic>> {
    let known = Mutex::default();
    let mut problems = Vec::new();
    let unknown = |project: &ProjectState, why: String| {
        let message = format!("what the services of {} owe is not known: {why}", project.path);
        Diagnostic::warning(message, None).help("`ghdeploy sync --dry-run` compares them with this tree")
    };
    while !names.is_empty() {
        let mut own = deployed.clone();
        own.state.projects.retain(|name, _| names.contains(name));
        let lost = match on_host(target, driver, deployed, &own, &known).await {
            Ok(Ok((wanted, deployed))) => {
                let of = |path: &RootPath| shown(&own, &deployed, path);
                seen.extend(compared(target, &wanted, &deployed, &|name| names.contains(name), &of));
                break;
            }
            Err(error) if error.exit == Exit::Unreachable => return Err(error),
            Err(error) => {
                problems
                    .extend(own.state.projects.values().map(|project| unknown(project, error.to_string())));
                break;
            }
            Ok(Err(lost)) => lost,
        };
        let why = format!("{lost} is no longer on the host as it was deployed");
        let reads = |project: &ProjectState| {
            let outside = project.reads.iter().flatten();
            lost.is_within(&project.dir) || outside.into_iter().any(|path| lost.is_within(path))
        };
        let (without, with): (Vec<_>, Vec<_>) =
            own.state.projects.iter().partition(|(_, project)| reads(project));
        // Each round knows at least one project less.
        let without = if without.is_empty() { with } else { without };
        for (name, project) in without {
            names.remove(name);
            problems.push(unknown(project, why.clone()));
        }
    }
    Ok(problems)
}

/// What the projects in the records `own` wanted of the host, and what is known of the host then. The inner error
/// is a file whose content is not known.
async fn on_host(
    target: &Target,
    driver: &Driver,
    deployed: &Deployed,
    own: &Deployed,
    known: &Mutex<Contents>,
) -> Result<std::result::Result<(Wanted, Deployed), RootPath>> {
    let first = match kept(driver, own, &target.root, known, None).await? {
        Ok(wanted) => wanted,
        Err(lost) => return Ok(Err(lost)),
    };
    let mut deployed = deployed.clone();
    let question = HostOnlyQuestion::of(&first);
    learn(&mut deployed, host_only(driver, &question).await?);
    let lost = Mutex::default();
    let read =
        async |settings: &_| match kept(driver, own, &target.root, known, Some((settings, &first))).await? {
            Ok(wanted) => Ok(wanted),
            Err(path) => {
                *lost.lock().await = Some(path);
                Ok(first.clone())
            }
        };
    let wanted = settle(driver, &mut deployed, question, first.clone(), read).await?;
    Ok(match lost.into_inner() {
        Some(path) => Err(path),
        None => Ok((wanted, deployed)),
    })
}

/// The tree and what it wants of the host, with the settings that the host has.
async fn wanted(
    target: &Target,
    worktree: &Worktree,
    driver: &Driver,
    deployed: &mut Deployed,
) -> Result<(Arc<DiskTree>, Wanted)> {
    let (tree, wanted) = worktree.wanted(target).await?;
    let question = HostOnlyQuestion::of(&wanted);
    learn(deployed, host_only(driver, &question).await?);
    let read = async |settings: &_| worktree.wanted_with(target, settings, &wanted).await;
    let wanted = settle(driver, deployed, question, wanted.clone(), read).await?;
    deployed.elsewhere = elsewhere(driver, &target.root, &wanted, deployed).await?;
    Ok((tree, wanted))
}

/// What stands in the way of deployed projects: compose files that only the host has, a `.env` of the host that
/// cannot be followed, containers that were started in another folder.
fn obstacles(wanted: &Wanted, deployed: &Deployed, shown: &dyn Fn(&RootPath) -> String) -> Vec<Diagnostic> {
    let is_deployed = |name: &str| deployed.state.projects.contains_key(name);
    let projects = wanted.projects.iter().filter(|project| is_deployed(&project.name));
    let problems = |project: &Arc<WantedProject>| {
        let elsewhere = deployed.elsewhere.get(&project.name);
        let elsewhere = elsewhere.map(|elsewhere| plan::elsewhere(elsewhere, project));
        let own = project.model.diagnostics.iter().filter(|found| found.is_error());
        let own = own.filter(|_| project.model.follows_host).cloned();
        let rivals = plan::rivals(project, deployed, shown).into_iter();
        rivals.chain(own).chain(elsewhere).collect::<Vec<Diagnostic>>()
    };
    projects.flat_map(problems).collect()
}
