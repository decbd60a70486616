//! Container names and ports of the host that move from one service to another.
//!
//! Owns who holds what a new container needs, and whether that one makes way in this run. The holder is only stopped
//! before the new container comes up, and removed or replaced after it has become healthy: if the new one cannot
//! come, the holder is started again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::work::{MakesWay, ProjectWork};
use super::{Action, ActionKind, ProjectChange};
use crate::base::diagnostic::{Diagnostic, Location};
use crate::compose::model::{Port, Project, Service};
use crate::state::container::{ContainerState, ListedContainer, PublishedPort};
use crate::state::deployed::{Deployed, ProjectState};

/// What only one container of a host can have.
#[derive(Clone, Copy)]
enum Need<'a> {
    Name(&'a str),
    Port(&'a Port),
}

impl fmt::Display for Need<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "the container name `{name}`"),
            Self::Port(port) => write!(f, "port {}/{}", port.first, port.protocol),
        }
    }
}

impl<'a> Need<'a> {
    /// What a service needs, each with its location. Of a range of ports, Docker takes any that is free.
    fn of(service: &'a Service) -> Vec<(Self, &'a Location)> {
        let name = service.container_name.iter().map(|(name, at)| (Self::Name(name), at));
        let ports = service.ports.iter().filter(|port| port.first == port.last);
        name.chain(ports.map(|port| (Self::Port(port), &port.at))).collect()
    }

    fn is_held_by(self, container: &ListedContainer) -> bool {
        match self {
            Self::Name(name) => container.name == name,
            Self::Port(port) => container.ports.iter().any(|held| overlaps(port, held)),
        }
    }

    /// Whether a container of this service needs it, too.
    fn is_needed_by(self, service: &Service) -> bool {
        match self {
            Self::Name(name) => service.container_name.as_ref().is_some_and(|(other, _)| other == name),
            Self::Port(port) => service.ports.iter().any(|other| {
                other.protocol == port.protocol && other.first <= port.first && port.first <= other.last
            }),
        }
    }
}

/// Whether a port that is wanted and one that is held exclude each other.
fn overlaps(wanted: &Port, held: &PublishedPort) -> bool {
    let address = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let same_address = match (address(&wanted.host_ip), address(&held.address)) {
        (Some(a), Some(b)) => {
            a.is_ipv4() == b.is_ipv4() && (a == b || a.is_unspecified() || b.is_unspecified())
        }
        // Without an address, a port is published on all of them.
        _ => true,
    };
    same_address && held.protocol == wanted.protocol && (held.first..=held.last).contains(&wanted.first)
}

/// Who holds what a service needs.
enum Holder<'a> {
    /// A container of a service that makes way.
    MakesWay(MakesWay),
    /// One that stays, and what it is.
    Stays { what: String, help: &'a str },
}

/// Enters what makes way for each project, blocks the projects for which nothing does, and puts those that make way
/// after those that need it. Returns notes. Without facts about containers there is nothing to enter.
pub(super) fn enter(works: &mut Vec<ProjectWork>, deployed: &Deployed) -> Vec<Diagnostic> {
    let mut notes = Vec::new();
    let Some(containers) = deployed.containers.known() else { return notes };
    // A project that gets blocked makes way for no other one.
    loop {
        let mut blocked = Vec::new();
        for index in 0..works.len() {
            let (makes_way, problems) = needs(works, index, containers, deployed);
            works[index].makes_way = makes_way;
            if !problems.is_empty() {
                blocked.push((index, problems));
            }
        }
        blocked.extend(exchanges(works));
        blocked.extend(held_back(works, containers, deployed));
        if blocked.is_empty() {
            break;
        }
        for (index, problems) in blocked {
            works[index].plan.problems.extend(problems);
        }
    }
    for index in 0..works.len() {
        let name = works[index].name().to_owned();
        for holder in works[index].makes_way.clone() {
            notes.push(holder.note(&works[index]));
            let is_circle = comes_after(works, &name, &holder.project);
            if let Some(other) = works.iter_mut().find(|work| *work.name() == holder.project)
                && !is_circle
                && !other.plan.after.contains(&name)
            {
                other.plan.after.push(name.clone());
            }
        }
    }
    if !notes.is_empty() {
        sort(works);
    }
    notes
}

/// Why new containers of `services` cannot come: one that belongs to no Compose project, among `containers`, holds
/// what they need.
#[must_use]
pub fn held_by_others(model: &Project, services: &[&str], containers: &[ListedContainer]) -> Vec<Diagnostic> {
    let needed = services.iter().filter_map(|name| model.services.get_key_value(*name));
    let needs =
        needed.flat_map(|(name, service)| Need::of(service).into_iter().map(move |need| (name, need)));
    let problems = needs.filter_map(|(name, (need, at))| {
        let mut others = containers.iter().filter(|container| container.project.is_empty());
        let holder = others.find(|container| need.is_held_by(container))?;
        let message = format!(
            "service `{name}` needs {need}, which is held by container `{}`, which belongs to no project",
            holder.name
        );
        let help = "stop and remove that container on the host, or choose another name or port";
        Some(Diagnostic::error(message, Some(at.clone())).help(help))
    });
    problems.collect()
}

/// Whether a service has a name or a port that another container may hold.
#[must_use]
pub fn may_be_held(service: &Service) -> bool {
    !Need::of(service).is_empty()
}

/// What makes way for a project, and why it is blocked.
fn needs(
    works: &[ProjectWork],
    index: usize,
    containers: &[ListedContainer],
    deployed: &Deployed,
) -> (Vec<MakesWay>, Vec<Diagnostic>) {
    let work = &works[index];
    let (mut makes_way, mut problems): (Vec<MakesWay>, Vec<Diagnostic>) = (Vec::new(), Vec::new());
    let Some(wanted) = work.wanted.as_deref().filter(|_| work.plan.problems.is_empty()) else {
        return (makes_way, problems);
    };
    for (name, service) in wanted.model.services.iter().filter(|(_, service)| service.active) {
        if service.is_scaled_to_zero() || !creates(work, name) {
            continue;
        }
        let is_own = |container: &&ListedContainer| container.is_of(&work.state.project, name);
        for (need, at) in Need::of(service) {
            let mut own = containers.iter().filter(is_own);
            if own.any(|container| need.is_held_by(container)) {
                continue;
            }
            let holders =
                containers.iter().filter(|container| !is_own(container) && need.is_held_by(container));
            for container in holders {
                match holder(works, work, (name, need), container, deployed) {
                    Holder::MakesWay(holder) => {
                        match makes_way.iter_mut().find(|known| known.id == holder.id) {
                            Some(known) => {
                                known.has_name |= holder.has_name;
                                known.needed_by.extend(holder.needed_by);
                            }
                            None => makes_way.push(holder),
                        }
                    }
                    Holder::Stays { what, help } => {
                        let message = format!("service `{name}` needs {need}, which is held by {what}");
                        problems.push(Diagnostic::error(message, Some(at.clone())).help(help));
                    }
                }
            }
        }
    }
    (makes_way, problems)
}

/// Who holds a need, as far as this run is concerned.
fn holder<'a>(
    works: &[ProjectWork],
    work: &ProjectWork,
    (needing, need): (&str, Need<'_>),
    container: &ListedContainer,
    deployed: &Deployed,
) -> Holder<'a> {
    let ListedContainer { project, service, name, .. } = container;
    let stays = |what: String, help| Holder::Stays { what, help };
    // Several projects may have had one name of Compose's; one that is in the repository comes first.
    let is_its = |other: &&ProjectWork| {
        let recorded = other.recorded.as_ref().map(|recorded: &ProjectState| &recorded.project);
        recorded == Some(project) || other.wanted.is_some() && other.state.project == *project
    };
    let mut owners: Vec<&ProjectWork> = works.iter().filter(is_its).collect();
    let has_it = |other: &ProjectWork| {
        let recorded =
            other.recorded.as_ref().is_some_and(|recorded| recorded.services.contains_key(service));
        recorded || other.state.services.contains_key(service)
    };
    owners.sort_by_key(|other| {
        (!has_it(other) || other.wanted.is_none(), other.name() != work.name(), other.wanted.is_none())
    });
    let Some(owner) = owners.first().copied() else {
        let recorded = deployed.state.projects.values().find(|recorded| recorded.project == *project);
        return match recorded {
            Some(recorded) => stays(
                format!("service `{service}` of {}, which this run does not touch", recorded.path),
                "deploy both projects in one run",
            ),
            None => stays(
                format!(
                    "container `{name}` of Compose's project `{project}`, which ghdeploy does not manage"
                ),
                "stop and remove that container on the host, or choose another name or port",
            ),
        };
    };
    let path = &owner.plan.path;
    if container.is_oneoff {
        return stays(
            format!("container `{name}`, which `docker compose run` has started in {path}"),
            "wait until it ends, or remove it on the host",
        );
    }
    if !owner.plan.problems.is_empty() {
        return stays(
            format!("service `{service}` of {path}, which cannot be deployed itself"),
            "fix that project first",
        );
    }
    let makes_way = || {
        Holder::MakesWay(MakesWay {
            id: container.id.clone(),
            name: name.clone(),
            service: service.clone(),
            project: owner.name().to_owned(),
            path: path.clone(),
            has_name: matches!(need, Need::Name(_)),
            needed_by: [needing.to_owned()].into(),
            runs: !matches!(
                container.state,
                ContainerState::Created | ContainerState::Exited | ContainerState::Dead
            ),
        })
    };
    if owner.plan.change == ProjectChange::Removed {
        let is_down = owner.plan.actions.iter().any(|action| action.kind == ActionKind::Down);
        return if is_down {
            makes_way()
        } else {
            stays(
                format!("service `{service}` of {path}, which is no longer in the repository"),
                "--prune takes that project down, once the new container can come",
            )
        };
    }
    let model = owner.wanted.as_ref().and_then(|wanted| wanted.model.services.get(service));
    let drops = model.is_none_or(|wanted| !wanted.active || !need.is_needed_by(wanted));
    if drops && (removes(owner, service) || creates(owner, service)) {
        return makes_way();
    }
    let whose = if owner.name() == work.name() { "this project".to_owned() } else { path.clone() };
    stays(
        format!("service `{service}` of {whose}"),
        "give one of them another name or port, or remove the other service",
    )
}

fn acts(work: &ProjectWork, service: &str, is_kind: impl Fn(&ActionKind) -> bool) -> bool {
    let is_its = |action: &&Action| action.service.as_deref() == Some(service);
    work.plan.actions.iter().filter(is_its).any(|action| is_kind(&action.kind))
}

/// Whether the plan gives a service another container.
fn creates(work: &ProjectWork, service: &str) -> bool {
    acts(work, service, |kind| matches!(kind, ActionKind::Up | ActionKind::Recreate | ActionKind::Build))
}

fn removes(work: &ProjectWork, service: &str) -> bool {
    acts(work, service, |kind| *kind == ActionKind::Remove)
}

/// Problems of projects whose containers would make way for a blocked project: then no container would have the
/// name or the port.
fn held_back(
    works: &[ProjectWork],
    containers: &[ListedContainer],
    deployed: &Deployed,
) -> Vec<(usize, Vec<Diagnostic>)> {
    let mut held: BTreeMap<usize, Vec<Diagnostic>> = BTreeMap::new();
    for work in works.iter().filter(|work| !work.plan.problems.is_empty()) {
        let services = work.wanted.iter().flat_map(|wanted| &wanted.model.services);
        for (name, service) in services.filter(|(_, service)| service.active && !service.is_scaled_to_zero())
        {
            for (need, _) in Need::of(service) {
                for container in containers.iter().filter(|container| need.is_held_by(container)) {
                    let Holder::MakesWay(holder) = holder(works, work, (name, need), container, deployed)
                    else {
                        continue;
                    };
                    let owner = works.iter().position(|other| other.name() == holder.project);
                    let Some(owner) = owner.filter(|_| holder.project != work.name()) else { continue };
                    let message = format!(
                        "container `{}` makes way only together with {}, which cannot be deployed",
                        holder.name, work.plan.path
                    );
                    let problems = held.entry(owner).or_default();
                    if problems.iter().all(|known| known.message != message) {
                        problems.push(Diagnostic::error(message, None).help("fix that project first"));
                    }
                }
            }
        }
    }
    held.into_iter().collect()
}

/// Problems of projects that exchange names or ports: if the second one failed, the first could not go back.
fn exchanges(works: &[ProjectWork]) -> Vec<(usize, Vec<Diagnostic>)> {
    let needs =
        |a: &ProjectWork, b: &ProjectWork| a.makes_way.iter().any(|holder| holder.project == b.name());
    let with = |work: &ProjectWork| {
        let mut others = works.iter().filter(|other| other.name() != work.name());
        others.find(|other| needs(work, other) && needs(other, work)).map(|other| other.plan.path.clone())
    };
    let problem = |other: String| {
        let message = format!("it exchanges container names or ports with {other}");
        let help =
            "move them in two deploys: the first takes them from one project, the second gives them to it";
        vec![Diagnostic::error(message, None).help(help)]
    };
    works.iter().enumerate().filter_map(|(index, work)| Some((index, problem(with(work)?)))).collect()
}

/// Whether `name` comes after `other`, directly or not.
fn comes_after(works: &[ProjectWork], name: &str, other: &str) -> bool {
    let (mut open, mut seen) = (vec![name], BTreeSet::new());
    while let Some(next) = open.pop() {
        if next == other {
            return true;
        }
        if seen.insert(next) {
            let after = works.iter().find(|work| work.name() == next).map(|work| &work.plan.after);
            open.extend(after.into_iter().flatten().map(String::as_str));
        }
    }
    false
}

/// Puts each project after those that it comes after, and otherwise leaves the order.
fn sort(works: &mut Vec<ProjectWork>) {
    let mut left = std::mem::take(works);
    while !left.is_empty() {
        let is_ready = |work: &ProjectWork| {
            !left.iter().any(|other| {
                other.name() != work.name() && work.plan.after.iter().any(|name| *name == other.name())
            })
        };
        let at = left.iter().position(is_ready).unwrap_or(0);
        works.push(left.remove(at));
    }
}

impl MakesWay {
    fn note(&self, work: &ProjectWork) -> Diagnostic {
        let what = if self.has_name { "its name" } else { "its port" };
        let message = if self.path == work.plan.path {
            format!(
                "container `{}` of {} stops before the service that needs {what} comes up",
                self.name, self.path
            )
        } else {
            format!(
                "container `{}` of {} stops first, because {} needs {what}",
                self.name, self.path, work.plan.path
            )
        };
        Diagnostic::warning(message, None).help("if the new container cannot come, this one is started again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_overlap_by_address_family_protocol_and_number() {
        let wanted = |host_ip: &str, first: u16| Port {
            host_ip: host_ip.to_owned(),
            first,
            last: first,
            protocol: "tcp".to_owned(),
            at: Location { path: String::new(), line: 1, column: 1 },
        };
        let held = |address: &str, first: u16, last: u16| PublishedPort {
            address: address.to_owned(),
            first,
            last,
            container: "80".to_owned(),
            protocol: "tcp".to_owned(),
        };
        assert!(overlaps(&wanted("", 80), &held("0.0.0.0", 80, 80)));
        assert!(overlaps(&wanted("", 80), &held("[::1]", 80, 80)));
        assert!(overlaps(&wanted("127.0.0.1", 85), &held("0.0.0.0", 80, 90)));
        assert!(overlaps(&wanted("::", 80), &held("[::1]", 80, 80)));
        assert!(!overlaps(&wanted("127.0.0.1", 80), &held("[::]", 80, 80)), "another family");
        assert!(!overlaps(&wanted("127.0.0.1", 80), &held("10.0.0.1", 80, 80)));
        assert!(!overlaps(&wanted("", 81), &held("0.0.0.0", 80, 80)));
        assert!(!overlaps(&Port { protocol: "udp".to_owned(), ..wanted("", 80) }, &held("0.0.0.0", 80, 80)));
    }
}
