//! The order in which projects are brought up.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::Diagnostic;
use crate::wanted::WantedProject;

/// For each project the ones that come before it: those that its `x-ghdeploy.after` names, and
/// those that make a network which it uses as `external`.
pub(super) fn before(projects: &[WantedProject]) -> BTreeMap<String, BTreeSet<String>> {
    let names: BTreeSet<&str> = projects.iter().map(|project| project.name.as_str()).collect();
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for project in projects {
        for network in &project.model.owned_networks {
            owners.insert(network, &project.name);
        }
    }
    let of = |project: &WantedProject| {
        let after = project.model.settings.after.iter().map(String::as_str);
        let networks = project
            .model
            .external_networks
            .iter()
            .filter_map(|network| owners.get(network.as_str()).copied());
        after
            .chain(networks)
            .filter(|name| names.contains(name) && *name != project.name)
            .map(str::to_owned)
            .collect()
    };
    projects.iter().map(|project| (project.name.clone(), of(project))).collect()
}

/// The projects in an order in which each comes after all that are before it. A cycle is cut, by
/// name, and told.
pub(super) fn order(before: &mut BTreeMap<String, BTreeSet<String>>) -> (Vec<String>, Vec<Diagnostic>) {
    let (mut order, mut notes): (Vec<String>, Vec<Diagnostic>) = (Vec::new(), Vec::new());
    let mut left: BTreeSet<String> = before.keys().cloned().collect();
    while !left.is_empty() {
        let ready: Vec<String> =
            left.iter().filter(|name| before[*name].is_disjoint(&left)).cloned().collect();
        if ready.is_empty() {
            let cut = left.iter().next().cloned().unwrap_or_default();
            let cycle: Vec<&str> = before[&cut].intersection(&left).map(String::as_str).collect();
            notes.push(
                Diagnostic::warning(
                    format!("the order of projects has a cycle: {cut} comes after {}", cycle.join(", ")),
                    None,
                )
                .help("remove one of the `after` entries or external networks that make it"),
            );
            if let Some(all) = before.get_mut(&cut) {
                all.retain(|name| !left.contains(name));
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
