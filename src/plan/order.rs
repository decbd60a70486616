//! The order in which projects are brought up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::diagnostic::{Diagnostic, Location};
use crate::compose::model::{Service, ShareOf};
use crate::state::wanted::WantedProject;

/// Warnings about projects that come after each other in a circle.
#[must_use]
pub fn circles(projects: &[Arc<WantedProject>]) -> Vec<Diagnostic> {
    order(&mut before(projects), &|name| place(projects, name)).1
}

/// The line that gives a project its place in the order.
pub(super) fn place(projects: &[Arc<WantedProject>], name: &str) -> Option<Location> {
    let project = projects.iter().find(|project| project.name == name)?;
    let first = project.model.services.values().next().map(|service| service.at.clone());
    project.model.settings.after_at.clone().or(first)
}

/// The project and the service that make the container of this name.
pub(super) fn container_owner<'p>(
    projects: &'p [Arc<WantedProject>],
    container: &str,
) -> Option<(&'p str, &'p str)> {
    let is_its = |project: &WantedProject, name: &str, service: &Service| match &service.container_name {
        Some((own, _)) => own == container,
        None => format!("{}-{name}-1", project.model.name) == container,
    };
    projects.iter().find_map(|project| {
        let mut services = project.model.services.iter();
        let (name, _) = services.find(|(name, service)| is_its(project, name, service))?;
        Some((project.name.as_str(), name.as_str()))
    })
}

/// The projects that come before each project: those that its `x-ghdeploy.after` names, those that define a
/// network which it uses as `external`, and those that make a container whose namespace or volumes it uses, or in which
/// a hook of it runs.
pub(super) fn before(projects: &[Arc<WantedProject>]) -> BTreeMap<String, BTreeSet<String>> {
    let names: BTreeSet<&str> = projects.iter().map(|project| project.name.as_str()).collect();
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for project in projects {
        for network in &project.model.owned_networks {
            owners.insert(network, &project.name);
        }
    }
    let of = |project: &Arc<WantedProject>| {
        let after = project.model.settings.after.iter().map(String::as_str);
        let networks = project
            .model
            .external_networks
            .iter()
            .filter_map(|network| owners.get(network.as_str()).copied());
        let shares = project.model.services.values().flat_map(|service| &service.shares);
        let containers = shares.filter_map(|share| match &share.of {
            ShareOf::Container(name) => Some(container_owner(projects, name)?.0),
            ShareOf::Service(_) => None,
        });
        let hooks = project.model.settings.hooks.iter().filter_map(|hook| hook.project.as_deref());
        after
            .chain(hooks)
            .chain(networks)
            .chain(containers)
            .filter(|name| names.contains(name) && *name != project.name)
            .map(str::to_owned)
            .collect()
    };
    let mut before: BTreeMap<String, BTreeSet<String>> =
        projects.iter().map(|project| (project.name.clone(), of(project))).collect();
    one_by_one(projects, &mut before);
    before
}

/// Puts folders that are one project for Compose one after the other, in the order that they have anyway: two runs of
/// Compose at a time would both make the networks of that project.
fn one_by_one(projects: &[Arc<WantedProject>], before: &mut BTreeMap<String, BTreeSet<String>>) {
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    for project in projects {
        *groups.entry(&project.model.name).or_default() += 1;
    }
    if groups.values().all(|folders| *folders < 2) {
        return;
    }
    let name_of =
        |name: &str| projects.iter().find(|project| project.name == name).map(|p| p.model.name.as_str());
    let mut last: BTreeMap<&str, String> = BTreeMap::new();
    for name in order(&mut before.clone(), &|_| None).0 {
        let Some(group) = name_of(&name) else { continue };
        if let Some(earlier) = last.insert(group, name.clone())
            && let Some(all) = before.get_mut(&name)
        {
            all.insert(earlier);
        }
    }
}

/// Number of projects of a circle that a message names.
const MAX_SHOWN: usize = 20;

/// The projects, each after all those that come `before` it. One step of a circle is left out, with a
/// warning; `at` returns the line that gives a project its place.
pub(super) fn order(
    before: &mut BTreeMap<String, BTreeSet<String>>,
    at: &dyn Fn(&str) -> Option<Location>,
) -> (Vec<String>, Vec<Diagnostic>) {
    let (mut order, mut notes): (Vec<String>, Vec<Diagnostic>) = (Vec::new(), Vec::new());
    let mut left: BTreeSet<String> = before.keys().cloned().collect();
    while !left.is_empty() {
        let ready: Vec<String> =
            left.iter().filter(|name| before[*name].is_disjoint(&left)).cloned().collect();
        if ready.is_empty() {
            let circle = circle(before, &left);
            let (first, next) = (circle[0].clone(), circle.get(1).unwrap_or(&circle[0]).clone());
            let mut shown: Vec<&str> = circle.iter().map(String::as_str).chain([first.as_str()]).collect();
            if shown.len() > MAX_SHOWN {
                shown.splice(MAX_SHOWN / 2..shown.len() - MAX_SHOWN / 2, ["…"]);
            }
            let message = format!("projects come after each other in a circle: {}", shown.join(" after "));
            notes.push(Diagnostic::warning(message, at(&first)).help(format!(
                "`{first}` does not wait for `{next}` now: remove one of the `after` entries or external networks that make it",
            )));
            if let Some(all) = before.get_mut(&first) {
                all.remove(&next);
            }
            continue;
        }
        for name in ready {
            left.remove(&name);
            order.push(name);
        }
    }
    (order, notes)
}

/// A circle among projects each of which comes after another of them; it starts with the first by name.
fn circle(before: &BTreeMap<String, BTreeSet<String>>, left: &BTreeSet<String>) -> Vec<String> {
    let mut chain: Vec<&String> = left.first().into_iter().collect();
    while let Some(next) = chain.last().and_then(|last| before[*last].intersection(left).next()) {
        if let Some(start) = chain.iter().position(|name| *name == next) {
            let mut circle = chain.split_off(start);
            let first = (0..circle.len()).min_by_key(|index| circle[*index]).unwrap_or(0);
            circle.rotate_left(first);
            return circle.into_iter().cloned().collect();
        }
        chain.push(next);
    }
    chain.into_iter().cloned().collect()
}
