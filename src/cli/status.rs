//! `status`: what is deployed on the hosts, what has drifted, what is owed, and the containers.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::Context;
use super::hosts::Target;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, Result};
use crate::compose::Files;
use crate::host::facts::{facts, open};
use crate::host::{self, Command, Driver, Event};
use crate::outcome::answers::{Container, HostStatus, Owed, ProjectStatus, Status};
use crate::plan::{self, Options};
use crate::report::render_status;
use crate::state::deployed::{Deployed, unit};
use crate::tree;
use crate::tree::disk::DiskTree;

pub(super) async fn run(context: &Context) -> Result<Exit> {
    let targets = context.targets()?;
    let hosts = join_all(targets.iter().map(|target| async {
        let transport = target.transport(context);
        let status = host(context, target, &*transport).await;
        transport.close().await;
        status.unwrap_or_else(|error| HostStatus {
            name: target.name.clone(),
            release: None,
            commit: None,
            deployed_at: None,
            projects: Vec::new(),
            problems: error.diagnostics,
        })
    }));
    let status = Status { hosts: hosts.await };
    context.print(|out| render_status(context.format, out, &status, context.style))?;
    Ok(if status.hosts.iter().all(|host| host.problems.is_empty()) { Exit::Done } else { Exit::Unreachable })
}

async fn host(context: &Context, target: &Target, transport: &dyn host::Transport) -> Result<HostStatus> {
    let driver = Driver::start(transport).await?;
    open(&driver, &Command::OpenToRead { root: target.root.clone() }, &target.root, |_| {}).await?;
    let deployed = facts(&driver, &BTreeMap::new()).await?;
    let reply = driver.call(&Command::Containers).await?;
    let mut problems = Vec::new();
    if !reply.is_ok() && !deployed.state.projects.is_empty() {
        problems.push(
            Diagnostic::error(
                format!("Docker on the host does not tell of its containers: {}", reply.output.join("; ")),
                None,
            )
            .help("run ghdeploy doctor"),
        );
    }
    let containers: Vec<crate::state::container::Container> = reply
        .events
        .into_iter()
        .filter_map(|event| if let Event::Container { container } = event { Some(*container) } else { None })
        .collect();
    driver.end().await;
    let owed = owed(context, target, &deployed);
    let state = &deployed.state;
    let projects = state.projects.iter().map(|(name, project)| {
        let unit = unit(name);
        let drift = deployed
            .manifests
            .get(&unit)
            .into_iter()
            .flat_map(|manifest| manifest.0.keys())
            .filter(|&path| deployed.found.contains_key(path));
        let own = containers
            .iter()
            .filter(|container| container.project == project.project && !container.is_oneoff());
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
        name: target.name.clone(),
        release: Some(state.release).filter(|release| *release > 0),
        commit: state.commit.clone(),
        deployed_at: state.at.clone(),
        projects: projects.collect(),
        problems,
    })
}

fn shown(container: &crate::state::container::Container) -> Container {
    Container {
        service: container.service.clone(),
        name: container.name.trim_start_matches('/').to_owned(),
        state: container.state.clone(),
        health: container.health.clone(),
        since: Some(container.started.clone()).filter(|since| !since.starts_with("0001")),
        image: container.image_name.clone(),
    }
}

/// What earlier runs have left to do: services whose record is not what the deployed files ask for.
/// Only the tree can tell, and only while it has the files that are deployed.
fn owed(context: &Context, target: &Target, deployed: &Deployed) -> BTreeMap<String, Vec<Owed>> {
    let read = || -> Result<_, Error> {
        let tree = DiskTree::open(&context.dir, &context.config.services, &context.config.sync)?;
        let wanted = tree::read(&tree, &context.config.services, &target.root, &|name, settings| {
            target.runs(name, settings)
        })?;
        let same = |name: &str| {
            wanted.projects.iter().any(|project| {
                project.name == name && deployed.manifests.get(&unit(name)) == Some(&project.manifest)
            })
        };
        Ok(plan::host(&target.name, &wanted, deployed, &Options::new(&same), &|path| tree.shown(path)).plan)
    };
    let Ok(plan) = read() else { return BTreeMap::new() };
    let of = |project: crate::plan::ProjectPlan| {
        let owed = project
            .actions
            .into_iter()
            .filter_map(|action| Some(Owed { service: action.service?, kind: action.kind }));
        (project.name, owed.collect())
    };
    plan.projects.into_iter().map(of).collect()
}
