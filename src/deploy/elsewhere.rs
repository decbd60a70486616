//! Containers of wanted projects that were started in another folder.
//!
//! A service that is recreated from another folder finds its relative paths there: a database starts on an
//! empty folder.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::error::Result;
use crate::compose::model::Project;
use crate::host::{Command, Driver};
use crate::state::container::ListedContainer;
use crate::state::deployed::{Deployed, Elsewhere};
use crate::state::wanted::Wanted;

/// Finds the projects with such containers. Only if a folder has another name than it should have, the host
/// is asked where it leads to.
///
/// # Errors
///
/// When the connection is lost.
pub(super) async fn elsewhere(
    driver: &Driver,
    root: &str,
    wanted: &Wanted,
    deployed: &Deployed,
) -> Result<BTreeMap<String, Elsewhere>> {
    let Some(containers) = deployed.containers.known() else { return Ok(BTreeMap::new()) };
    let mut found: BTreeMap<(&str, String), (String, BTreeSet<String>)> = BTreeMap::new();
    for project in &wanted.projects {
        let here = folder(root, project.model.working_dir.as_str());
        for container in containers {
            let is_its = container.project == project.model.name && !container.is_oneoff;
            let there = container.working_dir.trim_end_matches('/');
            // Another folder may be a part of what Compose takes for one project.
            let service = &container.service;
            let is_of_other = !project.model.services.contains_key(service)
                && (wanted.projects.iter().any(|other| {
                    other.model.name == project.model.name && other.model.services.contains_key(service)
                }) || deployed.state.projects.iter().any(|(name, other)| {
                    *name != project.name
                        && other.project == project.model.name
                        && other.services.contains_key(service)
                }));
            if !is_its
                || is_of_other
                || there.is_empty()
                || there == here
                || has_moved(container, &project.model, root, deployed)
            {
                continue;
            }
            let there = (project.name.as_str(), there.to_owned());
            let (_, services) = found.entry(there).or_insert_with(|| (here.clone(), BTreeSet::new()));
            services.insert(container.service.clone());
        }
    }
    if found.is_empty() {
        return Ok(BTreeMap::new());
    }
    let paths = found.iter().flat_map(|((_, there), (here, _))| [there.clone(), here.clone()]);
    let reply = driver.call(&Command::Folders(paths.collect())).await?;
    let mut real = reply.output.iter().map(String::as_str);
    let mut elsewhere: BTreeMap<String, Elsewhere> = BTreeMap::new();
    for ((project, folder), (here, services)) in found {
        let (there, own) = (real.next().unwrap_or("+"), real.next().unwrap_or("+"));
        // A folder that is gone has no data that could be left behind.
        if there == "-" || there != "+" && there == own {
            continue;
        }
        let entry = elsewhere.entry(project.to_owned()).or_insert_with(|| Elsewhere {
            folder,
            here,
            services: BTreeSet::new(),
        });
        entry.services.extend(services);
    }
    Ok(elsewhere)
}

/// Whether a container comes from another folder of the same root because its project's folder was renamed in
/// the repository, and leaves no data behind there.
fn has_moved(container: &ListedContainer, model: &Project, root: &str, deployed: &Deployed) -> bool {
    let is_ours = deployed.state.projects.values().any(|recorded| {
        recorded.project == model.name && (container.working_dir == folder(root, recorded.dir.as_str()))
    });
    let reads = model.services.values().flat_map(|service| &service.reads);
    let mut data = reads
        .filter(|read| read.how.is_input() && read.kind.is_none() && read.path.is_within(&model.working_dir));
    is_ours && data.next().is_none()
}

fn folder(root: &str, below: &str) -> String {
    format!("{}/{below}", root.trim_end_matches('/')).trim_end_matches('/').to_owned()
}
