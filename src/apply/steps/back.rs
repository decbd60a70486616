//! Steps of the rollback.

use std::collections::{BTreeMap, BTreeSet};

use super::{Blame, List, Only, Operation, Step, Up, acting, by_namespaces, own, removed};
use crate::compose::model::{Reaction, ShareOf, SharedPart};
use crate::plan::{Cause, MakesWay, ProjectWork, ServiceImage, WellVersion};
use crate::state::container::{Container, ContainerState, HealthStatus};
use crate::state::deployed::ServiceState;
use crate::state::wanted::reaction_key;

/// All steps of a rollback blame this: the actions are over.
const BLAME: Blame = Blame::Afterwards;

/// Steps that undo a run, of which these steps have begun. Services that none of them has touched stay as they are. If
/// an earlier run has left the project halfway, they lead to the last version that was well. `halfway` are the services
/// of which a recreate was interrupted: Docker may still be about to stop their old containers.
#[must_use]
pub fn rollback(
    work: &ProjectWork,
    before: &[Container],
    begun: &[Step],
    halfway: &BTreeSet<String>,
) -> Vec<Step> {
    let begun = Begun(begun);
    if let Some(way_back) = &work.way_back {
        return return_to(work, way_back.version.as_ref(), before, begun);
    }
    let before: Vec<&Container> = own(work, before).collect();
    let ran: BTreeSet<&str> = before.iter().map(|container| container.service.as_str()).collect();
    let acting = acting(&work.plan);
    let mut list = List::default();
    let is_missing = |service: &str| {
        let actions = work.plan.actions.iter().filter(|action| action.service.as_deref() == Some(service));
        let mut reasons = actions.flat_map(|action| &action.reasons).peekable();
        reasons.peek().is_some() && reasons.all(|reason| matches!(reason.cause, Cause::Missing { .. }))
    };
    // New containers go while the files that describe them are still there. Containers that were only missing
    // are part of the release that comes back, so they stay if they are healthy.
    let (healed, new): (Vec<&String>, Vec<&String>) = acting
        .iter()
        .filter(|service| !ran.contains(service.as_str()))
        .partition(|service| is_missing(service));
    for service in new {
        list.push(Operation::Remove, vec![service.clone()], BLAME);
    }
    for service in &healed {
        list.push_only(Only::Unwell, Operation::Remove, vec![(*service).clone()], BLAME);
    }
    if before.is_empty() && healed.is_empty() {
        list.push(Operation::Down, Vec::new(), BLAME);
    }
    list.push(Operation::RestoreFiles, Vec::new(), BLAME);
    let can_move = |container: &&&Container| {
        let name = &container.image_name;
        !name.starts_with("sha256:") && !name.contains('@') && *name != container.image
    };
    let images = before.iter().filter(can_move);
    // An image that is gone cannot be tagged; the `up` below fails if that matters.
    list.tags(images.map(|container| (container.image.as_str(), container.image_name.as_str())), true);
    let parked = begun.parked();
    if !begun.has_acted() && parked.is_empty() {
        return list.0;
    }
    // What did not run before because of its own failure would fail here, too.
    let had_failed = |service: &String| {
        is_missing(service)
            && before
                .iter()
                .all(|container| container.service != *service || container.state != ContainerState::Running)
    };
    let again = acting.into_iter().filter(|_| begun.has_acted());
    let again: Vec<String> =
        again.filter(|service| ran.contains(service.as_str()) && !had_failed(service)).collect();
    if !again.is_empty() {
        list.push(Operation::Heal, Vec::new(), BLAME);
    }
    // What made way for services that are removed again comes back first, because others may need it. What made way for
    // one that stays has to wait for it.
    let (late, early): (Vec<MakesWay>, Vec<MakesWay>) = parked
        .iter()
        .cloned()
        .partition(|holder| holder.needed_by.iter().any(|service| ran.contains(service.as_str())));
    let is_parked = |service: &String| {
        parked.iter().any(|holder| holder.project == work.name() && holder.service == *service)
    };
    let (replaced, others): (Vec<String>, Vec<String>) = again.iter().cloned().partition(is_parked);
    list.unpark(early);
    list.push_only(Only::All, Operation::Up(Up::Previous), others.clone(), BLAME);
    list.unpark(late);
    // They may have been replaced or removed by then.
    let was_running = |service: &str| {
        let mut own = before.iter().filter(|container| container.service == service);
        own.any(|container| container.state == ContainerState::Running)
    };
    let removed: Vec<&String> = removed(work).filter(|service| was_running(service)).collect();
    let replaced = replaced
        .into_iter()
        .chain(removed.iter().filter(|service| begun.does(&Operation::Remove, service)).copied().cloned());
    list.push_only(Only::All, Operation::Up(Up::Previous), replaced.collect(), BLAME);
    let none = BTreeMap::new();
    let services = work.wanted.as_ref().map_or(&none, |wanted| &wanted.model.services);
    let shrinks = |name: &str| {
        let scale =
            services.get(name).and_then(|service| service.scale).and_then(|scale| scale.try_into().ok());
        let own = before.iter().filter(|container| container.service == name).count();
        scale.is_some_and(|scale: usize| own > scale)
    };
    for services in by_namespaces(services, others) {
        // What was asked of a container is not always seen from outside, or not yet.
        let (asked, spared) = services
            .into_iter()
            .partition(|service| begun.has_asked(service) || halfway.contains(service) || shrinks(service));
        list.push_only(Only::Kept, Operation::Restart, asked, BLAME);
        list.push_only(Only::Touched, Operation::Restart, spared, BLAME);
    }
    let was_healthy = |service: &&String| {
        before.iter().any(|container| {
            container.service == **service
                && container.state == ContainerState::Running
                && container.health != Some(HealthStatus::Unhealthy)
        })
    };
    let back =
        removed.into_iter().filter(|service| is_parked(service) || begun.does(&Operation::Remove, service));
    let healthy: Vec<String> = again.iter().chain(back).filter(was_healthy).cloned().collect();
    list.push_only(Only::All, Operation::AwaitHealthy, healthy, BLAME);
    list.0
}

/// Steps that lead to a version that was well; without one, to nothing at all. Services that neither this run nor
/// the one that was cut off has touched stay as they are.
fn return_to(
    work: &ProjectWork,
    version: Option<&WellVersion>,
    before: &[Container],
    begun: Begun<'_>,
) -> Vec<Step> {
    let parked = begun.parked();
    let mut list = List::default();
    let Some(WellVersion { state, images, .. }) = version else {
        list.push(Operation::Down, Vec::new(), BLAME);
        for service in removed(work) {
            list.push(Operation::Remove, vec![service.clone()], BLAME);
        }
        list.push(Operation::RestoreFiles, Vec::new(), BLAME);
        list.unpark(parked.into_iter().filter(|holder| holder.project != work.name()).collect());
        return list.0;
    };
    let acting = acting(&work.plan);
    for service in acting.iter().chain(removed(work)).filter(|service| !state.services.contains_key(*service))
    {
        list.push(Operation::Remove, vec![service.clone()], BLAME);
    }
    list.push(Operation::RestoreFiles, Vec::new(), BLAME);
    let can_move = |image: &&ServiceImage| !image.name.starts_with("sha256:") && !image.name.contains('@');
    let images_of = images.iter().filter(can_move);
    list.tags(images_of.map(|image| (image.id.as_str(), image.name.as_str())), false);
    let recorded = |service: &str| work.recorded.as_ref().and_then(|recorded| recorded.services.get(service));
    let is_removed = |service: &str| removed(work).any(|removed| removed == service);
    let is_touched = |service: &str, well: &ServiceState| {
        acting.iter().any(|name| name == service) || recorded(service) != Some(well) || is_removed(service)
    };
    // A one-shot has run already; what waits for it starts it if it has to.
    let ran = |service: &str| images.is_empty() || images.iter().any(|image| image.service == service);
    let again: Vec<String> = state
        .services
        .iter()
        .filter(|(service, well)| ran(service) && is_touched(service, well))
        .map(|(service, _)| service.clone())
        .collect();
    // A container that this run or the one that was cut off has only stopped reads everything anew when it starts.
    // Others may have been started with any content.
    let rests = |service: &str| {
        let mut containers = own(work, before).filter(|container| container.service == service).peekable();
        is_removed(service)
            && recorded(service)
                .zip(state.services.get(service))
                .is_some_and(|(recorded, well)| is_made_of(recorded, well))
            && containers.peek().is_some()
            && containers.all(|container| {
                container.state == ContainerState::Exited
                    || parked.iter().any(|holder| container.id.starts_with(&holder.id))
            })
    };
    let is_parked = |service: &str| {
        parked.iter().any(|holder| holder.project == work.name() && holder.service == service)
    };
    let (resting, others): (Vec<String>, Vec<String>) =
        again.iter().cloned().partition(|service| rests(service));
    let (replaced, others): (Vec<String>, Vec<String>) =
        others.into_iter().partition(|service| is_parked(service));
    if !again.is_empty() {
        list.push(Operation::Heal, Vec::new(), BLAME);
    }
    let (late, early): (Vec<MakesWay>, Vec<MakesWay>) = parked
        .iter()
        .cloned()
        .partition(|holder| holder.needed_by.iter().any(|service| state.services.contains_key(service)));
    let (resting_late, resting): (Vec<String>, Vec<String>) =
        resting.into_iter().partition(|service| late.iter().any(|holder| holder.service == *service));
    list.unpark(early);
    list.push_only(Only::All, Operation::Up(Up::Previous), resting, BLAME);
    list.push_only(Only::All, Operation::Up(Up::Return), others, BLAME);
    list.unpark(late);
    list.push_only(Only::All, Operation::Up(Up::Previous), resting_late, BLAME);
    list.push_only(Only::All, Operation::Up(Up::Return), replaced, BLAME);
    list.push_only(Only::All, Operation::AwaitHealthy, again, BLAME);
    list.0
}

/// Whether the container of a service was made of what is `well`, as far as Compose does not see that by itself.
fn is_made_of(recorded: &ServiceState, well: &ServiceState) -> bool {
    let key = reaction_key(&Reaction::Recreate);
    recorded.unhashed == well.unhashed && recorded.inputs.get(&key) == well.inputs.get(&key)
}

/// Whether a service still has a container from `before` the run that does not run as it did then: it was started
/// since, has ended or become unhealthy, or uses a namespace of a container that was started or replaced.
#[must_use]
pub fn was_touched(work: &ProjectWork, service: &str, before: &[Container], now: &[Container]) -> bool {
    let of = |containers, service: &str| -> Vec<&Container> {
        own(work, containers).filter(|container| container.service == service).collect()
    };
    let differs = |old: &Container, new: &Container| {
        let is_unhealthy = |container: &Container| container.health == Some(HealthStatus::Unhealthy);
        old.started != new.started
            || old.state == ContainerState::Running && new.state != ContainerState::Running
            || is_unhealthy(new) && !is_unhealthy(old)
    };
    let (old, new) = (of(before, service), of(now, service));
    let kept = new.iter().filter_map(|new| Some((old.iter().find(|old| old.id == new.id)?, new)));
    let kept: Vec<_> = kept.collect();
    let shares = work.wanted.iter().filter_map(|wanted| wanted.model.services.get(service));
    let mut shares = shares.flat_map(|service| &service.shares);
    let has_moved = |other: &str| {
        let (old, new) = (of(before, other), of(now, other));
        old.len() != new.len()
            || !new.iter().all(|new| old.iter().any(|old| old.id == new.id && old.started == new.started))
    };
    !kept.is_empty()
        && (kept.iter().any(|(old, new)| differs(old, new))
            || shares.any(|share| {
                share.what == SharedPart::Namespace
                    && matches!(&share.of, ShareOf::Service(other) if has_moved(other))
            }))
}

/// Steps of a run that have begun; the last one may have failed.
#[derive(Clone, Copy)]
struct Begun<'a>(&'a [Step]);

impl Begun<'_> {
    /// Whether services have acted.
    fn has_acted(self) -> bool {
        let acts = |step: &Step| {
            matches!(
                step.operation,
                Operation::Up(_)
                    | Operation::Restart
                    | Operation::Signal(_)
                    | Operation::Exec(_)
                    | Operation::Remove
                    | Operation::Down
            )
        };
        self.0.iter().any(acts)
    }

    /// The containers that have made way.
    fn parked(self) -> Vec<MakesWay> {
        let parks = self.0.iter().filter_map(|step| match &step.operation {
            Operation::Park(holders) => Some(holders),
            _ => None,
        });
        parks.flatten().cloned().collect()
    }

    /// Whether an operation on a service has begun.
    fn does(self, operation: &Operation, service: &str) -> bool {
        let mut steps = self.0.iter().filter(|step| step.operation == *operation);
        steps.any(|step| step.services.iter().any(|name| name == service))
    }

    /// Whether a container of a service may have got a signal or a command, or may be restarted soon.
    fn has_asked(self, service: &str) -> bool {
        let asks = |step: &&Step| {
            matches!(step.operation, Operation::Signal(_) | Operation::Exec(_) | Operation::Restart)
        };
        self.0.iter().filter(asks).any(|step| step.services.iter().any(|name| name == service))
    }
}

impl List {
    /// Points the names of images at what they meant: pairs of id and name.
    fn tags<'a>(&mut self, images: impl Iterator<Item = (&'a str, &'a str)>, is_optional: bool) {
        for (image, name) in images.collect::<BTreeSet<_>>() {
            let operation = Operation::Tag { image: image.to_owned(), name: name.to_owned(), is_optional };
            self.push(operation, Vec::new(), BLAME);
        }
    }

    /// Brings back what made way.
    fn unpark(&mut self, holders: Vec<MakesWay>) {
        if !holders.is_empty() {
            self.push(Operation::Unpark(holders), Vec::new(), BLAME);
        }
    }
}
