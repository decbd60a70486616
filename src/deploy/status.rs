//! What is deployed on a host, what has drifted, what is owed, and the containers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::host_only::{learn, settle};
use super::{Access, Session, Target, Worktree};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::base::path::RootPath;
use crate::compose::Files as _;
use crate::host::facts::{facts, host_only};
use crate::host::{Command, Driver, Transport};
use crate::outcome::queries::{self, HostStatus, OwedAction, ProjectStatus};
use crate::plan::{self, PlanOptions};
use crate::state::container::Container;
use crate::state::deployed::{Deployed, unit};
use crate::state::question::HostOnlyQuestion;
use crate::state::wanted::Wanted;
use crate::tree::disk::DiskTree;

/// The status of a host.
///
/// # Errors
///
/// When the host is not reached, or its records cannot be read.
pub async fn status(
    session: &Session<'_>,
    worktree: &Worktree,
    transport: &dyn Transport,
) -> Result<HostStatus> {
    let driver = session.start(transport).await?;
    session.open(&driver, Access::Read).await?;
    let mut deployed = facts(&driver, &BTreeMap::new()).await?;
    let wanted = wanted(session.target, worktree, &driver, &mut deployed).await;
    let reply = driver.call(&Command::Containers).await?;
    let mut problems = Vec::new();
    if !reply.is_ok() && !deployed.state.projects.is_empty() {
        let message = format!("Docker on the host does not list its containers: {}", reply.output.join("; "));
        problems.push(Diagnostic::error(message, None).help("run ghdeploy doctor"));
    }
    let mut containers = reply.into_containers();
    containers.retain(|container| !container.is_oneoff());
    driver.end().await;
    let (owed, rivals) = match &wanted {
        Ok((tree, wanted)) => (
            owed(session.target, tree, wanted, &deployed),
            rivals(wanted, &deployed, &|path| tree.shown(path)),
        ),
        Err(_) => (BTreeMap::new(), Vec::new()),
    };
    problems.extend(rivals);
    let state = &deployed.state;
    let projects = state.projects.iter().map(|(name, project)| {
        let manifest = deployed.manifests.get(&unit(name));
        let paths = manifest.into_iter().flat_map(|manifest| manifest.0.keys());
        let drift = paths.filter(|path| deployed.found.contains_key(*path));
        let own = containers.iter().filter(|container| container.project == project.project);
        ProjectStatus {
            name: name.clone(),
            path: project.dir.to_string(),
            release: Some(project.release),
            commit: project.commit.clone(),
            left: project.held.as_ref().map(|held| held.release),
            drift: drift.map(ToString::to_string).collect(),
            owed: owed.get(name).cloned().unwrap_or_default(),
            containers: own.map(shown).collect(),
        }
    });
    Ok(HostStatus {
        name: session.target.name.clone(),
        release: Some(state.release).filter(|release| *release > 0),
        commit: state.commit.clone(),
        deployed_at: state.at.clone(),
        projects: projects.collect(),
        problems,
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
        projects: Vec::new(),
        problems: error.diagnostics,
    }
}

fn shown(container: &Container) -> queries::ContainerStatus {
    queries::ContainerStatus {
        service: container.service.clone(),
        name: container.name.trim_start_matches('/').to_owned(),
        state: container.state.clone(),
        health: container.health.clone(),
        // Docker's zero time: never started.
        since: Some(container.started.clone()).filter(|since| !since.starts_with("0001")),
        image: container.image_name.clone(),
    }
}

/// What earlier runs have left to do: services whose record is not what the deployed files ask for. Only the
/// tree shows that, and only while it has the files that are deployed.
fn owed(
    target: &Target,
    tree: &DiskTree,
    wanted: &Wanted,
    deployed: &Deployed,
) -> BTreeMap<String, Vec<OwedAction>> {
    let is_same = |name: &str| {
        let mut own = wanted.projects.iter().filter(|project| project.name == name);
        own.any(|project| deployed.manifests.get(&unit(name)) == Some(&project.manifest))
    };
    let options = PlanOptions::new(&is_same);
    let work = plan::host(&target.name, wanted, deployed, &options, &|path| tree.shown(path));
    let of = |plan: plan::ProjectPlan| {
        let actions = plan.actions.into_iter();
        let owed =
            actions.filter_map(|action| Some(OwedAction { service: action.service?, kind: action.kind }));
        (plan.name, owed.collect())
    };
    work.projects.into_iter().map(|work| of(work.plan)).collect()
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
    Ok((tree, wanted))
}

/// Compose files that only the host has and that decide what runs in deployed projects.
fn rivals(wanted: &Wanted, deployed: &Deployed, shown: &dyn Fn(&RootPath) -> String) -> Vec<Diagnostic> {
    let is_deployed = |name: &str| deployed.state.projects.contains_key(name);
    let projects = wanted.projects.iter().filter(|project| is_deployed(&project.name));
    projects.flat_map(|project| plan::rivals(project, deployed, shown)).collect()
}
