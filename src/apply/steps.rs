//! What a project's plan means in steps.
//!
//! Owns which services take part in which operation, in which order, and which action a failing step
//! blames; and the steps of the rollback. Pure: lists of values, made of the work on a project and the
//! containers that were there before. How an operation is carried out is the engine's business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::compose::model::{Condition, Dependency, Hook, HookPhase, Reaction, Service, ShareOf, SharedPart};
use crate::plan::{
    Action, ActionKind, Cause, MakesWay, ProjectPlan, ProjectWork, ServiceImage, WellVersion,
    shares_namespace,
};
use crate::state::container::{Container, ContainerState, HealthStatus};
use crate::state::deployed::ServiceState;
use crate::state::wanted::reaction_key;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub operation: Operation,
    /// The services that it is done to; empty for an operation on the whole project.
    pub services: Vec<String>,
    /// Which of those services take part, known only when the step's turn has come.
    pub only: Only,
    /// What a failure of the step blames.
    pub blames: Blame,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Clears up after a recreate that was interrupted.
    Heal,
    /// Builds images.
    Build,
    /// Points a tag at an image that the host has.
    Tag {
        /// The id of the image.
        image: String,
        /// The tag, such as `app:1`.
        name: String,
        /// Whether the image may be gone.
        is_optional: bool,
    },
    /// Runs a hook.
    Hook(Hook),
    /// Creates and starts containers.
    Up(Up),
    /// Restarts containers.
    Restart,
    /// Sends a signal.
    Signal(String),
    /// Runs a command in the running container.
    Exec(Vec<String>),
    /// Stops and removes the containers of a service, volumes kept.
    Remove,
    /// Stops and removes all containers of the project, volumes kept.
    Down,
    /// Stops a container of another service, which makes way for a new one.
    Park(MakesWay),
    /// Starts that container again, if it is still there.
    Unpark(MakesWay),
    /// Restores the files that were there before.
    RestoreFiles,
    /// Waits until one-shots have completed.
    AwaitCompletion,
    /// Waits until services are healthy.
    AwaitHealthy,
}

/// Which containers an [`Operation::Up`] replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Up {
    /// Those whose definition has changed.
    Changed,
    /// All.
    Recreate,
    /// Those that are missing.
    Missing,
    /// Those whose definition has changed, with images that are on the host.
    Previous,
    /// All, with images that are on the host.
    Return,
    /// None: what a hook's service depends on is only started.
    Needed,
}

/// Which services of a step take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// All.
    All,
    /// Those that still have a container from before the run.
    Kept,
}

/// What a failing step blames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// No action: no service has acted yet.
    Beforehand,
    /// The action with this number, counted from 0.
    Action(usize),
    /// The action of the service that is unhealthy.
    Service,
    /// No action: all of them were carried out.
    Afterwards,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = self.services.join(", ");
        match &self.operation {
            Operation::Heal => f.write_str("clear up after an interrupted recreate"),
            Operation::Build => write!(f, "build {services}"),
            Operation::Tag { name, .. } => write!(f, "tag {name}"),
            Operation::Hook(hook) => write!(f, "{} {services}", hook.name()),
            Operation::Up(Up::Recreate) => write!(f, "recreate {services}"),
            Operation::Up(_) => write!(f, "up {services}"),
            Operation::Restart => write!(f, "restart {services}"),
            Operation::Signal(_) => write!(f, "signal {services}"),
            Operation::Exec(_) => write!(f, "exec in {services}"),
            Operation::Remove => write!(f, "remove {services}"),
            Operation::Down => f.write_str("take down"),
            Operation::Park(holder) => write!(f, "stop {}, which makes way", holder.name),
            Operation::Unpark(holder) => write!(f, "start {} again", holder.name),
            Operation::RestoreFiles => f.write_str("restore files"),
            Operation::AwaitCompletion => write!(f, "wait until {services} completes"),
            Operation::AwaitHealthy => f.write_str("wait until healthy"),
        }
    }
}

/// Steps that carry the actions of a project out. `before` are the containers before the run.
#[must_use]
pub fn forward(work: &ProjectWork, before: &[Container]) -> Vec<Step> {
    let plan = &work.plan;
    let mut list = List::default();
    list.push(Operation::Heal, Vec::new(), Blame::Action(0));
    list.group(plan, &ActionKind::Build, Operation::Build);
    for (image, name) in &work.images {
        let operation = Operation::Tag { image: image.clone(), name: name.clone(), is_optional: false };
        list.push(operation, Vec::new(), Blame::Action(0));
    }
    list.hooks(plan, HookPhase::Before, Blame::Beforehand);
    for holder in &work.makes_way {
        list.push(Operation::Park(holder.clone()), Vec::new(), Blame::Action(0));
    }
    list.group(plan, &ActionKind::Up, Operation::Up(Up::Changed));
    list.group(plan, &ActionKind::Recreate, Operation::Up(Up::Recreate));
    list.recreate_kept(work);
    list.restart(work, before);
    for (number, action) in plan.actions.iter().enumerate() {
        let operation = match &action.kind {
            ActionKind::Signal { signal } => Operation::Signal(signal.clone()),
            ActionKind::Exec { argv } => Operation::Exec(argv.clone()),
            ActionKind::Remove => Operation::Remove,
            _ => continue,
        };
        let services = action.service.iter().cloned().collect();
        list.push(operation, services, Blame::Action(number));
    }
    let runs = |name: &String| {
        let service = work.wanted.as_ref().and_then(|wanted| wanted.model.services.get(name));
        service.is_none_or(|service| !service.is_scaled_to_zero())
    };
    let acting: Vec<String> = acting(plan).into_iter().filter(runs).collect();
    if !acting.is_empty() {
        list.push(Operation::AwaitHealthy, acting, Blame::Service);
    }
    list.hooks(plan, HookPhase::After, Blame::Afterwards);
    list.0
}

/// Steps that undo a run. Unless a service `has_acted`, none is touched. If an earlier run has left the project
/// halfway, they lead to the last version that was well.
#[must_use]
pub fn rollback(work: &ProjectWork, before: &[Container], has_acted: bool) -> Vec<Step> {
    if let Some(way_back) = &work.way_back {
        return return_to(work, way_back.version.as_ref(), has_acted);
    }
    let project = &work.state.project;
    let before: Vec<&Container> =
        before.iter().filter(|container| container.project == *project && !container.is_oneoff()).collect();
    let ran: BTreeSet<&str> = before.iter().map(|container| container.service.as_str()).collect();
    let acting = acting(&work.plan);
    let blame = Blame::Afterwards;
    let mut list = List::default();
    // New containers go while the files that describe them are still there.
    for service in acting.iter().filter(|service| !ran.contains(service.as_str())) {
        list.push(Operation::Remove, vec![service.clone()], blame);
    }
    if before.is_empty() {
        list.push(Operation::Down, Vec::new(), blame);
    }
    list.push(Operation::RestoreFiles, Vec::new(), blame);
    let tags: BTreeSet<(&str, &str)> = before
        .iter()
        .filter(|container| {
            let name = &container.image_name;
            !name.starts_with("sha256:") && !name.contains('@') && *name != container.image
        })
        .map(|container| (container.image.as_str(), container.image_name.as_str()))
        .collect();
    for (image, name) in tags {
        // An image that is gone cannot be tagged; the `up` below fails if that matters.
        let operation = Operation::Tag { image: image.to_owned(), name: name.to_owned(), is_optional: true };
        list.push(operation, Vec::new(), blame);
    }
    let removed = work.plan.actions.iter().filter(|action| action.kind == ActionKind::Remove);
    let removed = removed.filter_map(|action| action.service.clone());
    // What did not run before because of its own failure would fail here, too.
    let had_failed = |service: &String| {
        let actions = work.plan.actions.iter().filter(|action| action.service.as_ref() == Some(service));
        let mut reasons = actions.flat_map(|action| &action.reasons).peekable();
        reasons.peek().is_some()
            && reasons.all(|reason| matches!(reason.cause, Cause::Missing { .. }))
            && before
                .iter()
                .all(|container| container.service != *service || container.state != ContainerState::Running)
    };
    let again: Vec<String> = acting
        .into_iter()
        .chain(removed)
        .filter(|service| ran.contains(service.as_str()) && !had_failed(service))
        .collect();
    if !has_acted {
        return list.0;
    }
    // What made way comes back once the new containers have gone. It is started then, and needs no restart.
    let is_parked = |service: &String| {
        let mut own = work.makes_way.iter().filter(|holder| holder.project == work.name());
        own.any(|holder| holder.service == *service)
    };
    let (parked, others): (Vec<String>, Vec<String>) = again.iter().cloned().partition(is_parked);
    if !again.is_empty() {
        list.push(Operation::Heal, Vec::new(), blame);
    }
    if !others.is_empty() {
        list.push(Operation::Up(Up::Previous), others.clone(), blame);
    }
    for holder in &work.makes_way {
        list.push(Operation::Unpark(holder.clone()), Vec::new(), blame);
    }
    if !parked.is_empty() {
        list.push(Operation::Up(Up::Previous), parked, blame);
    }
    if again.is_empty() {
        return list.0;
    }
    let none = BTreeMap::new();
    let services = work.wanted.as_ref().map_or(&none, |wanted| &wanted.model.services);
    for services in by_namespaces(services, others) {
        list.push_kept(Operation::Restart, services, blame);
    }
    let was_healthy = |service: &&String| {
        before.iter().any(|container| {
            container.service == **service
                && container.state == ContainerState::Running
                && container.health != Some(HealthStatus::Unhealthy)
        })
    };
    let healthy: Vec<String> = again.iter().filter(was_healthy).cloned().collect();
    if !healthy.is_empty() {
        list.push(Operation::AwaitHealthy, healthy, blame);
    }
    list.0
}

/// Steps that lead to a version that was well; without one, to nothing at all. Services that neither this run nor
/// the one that was cut off has touched stay as they are.
fn return_to(work: &ProjectWork, version: Option<&WellVersion>, has_acted: bool) -> Vec<Step> {
    let blame = Blame::Afterwards;
    let mut list = List::default();
    let Some(WellVersion { state, images, .. }) = version else {
        list.push(Operation::Down, Vec::new(), blame);
        list.push(Operation::RestoreFiles, Vec::new(), blame);
        list.unpark(work, has_acted);
        return list.0;
    };
    let acting = acting(&work.plan);
    for service in acting.iter().filter(|service| !state.services.contains_key(*service)) {
        list.push(Operation::Remove, vec![service.clone()], blame);
    }
    list.push(Operation::RestoreFiles, Vec::new(), blame);
    let can_move = |image: &&ServiceImage| !image.name.starts_with("sha256:") && !image.name.contains('@');
    let tags: BTreeSet<(&str, &str)> =
        images.iter().filter(can_move).map(|image| (image.id.as_str(), image.name.as_str())).collect();
    for (image, name) in tags {
        let operation = Operation::Tag { image: image.to_owned(), name: name.to_owned(), is_optional: false };
        list.push(operation, Vec::new(), blame);
    }
    let recorded = |service: &str| work.recorded.as_ref().and_then(|recorded| recorded.services.get(service));
    let is_touched =
        |service: &str, well: &ServiceState| {
            acting.iter().any(|name| name == service)
                || recorded(service) != Some(well)
                || work.plan.actions.iter().any(|action| {
                    action.kind == ActionKind::Remove && action.service.as_deref() == Some(service)
                })
        };
    // A one-shot has run already; what waits for it starts it if it has to.
    let ran = |service: &str| images.is_empty() || images.iter().any(|image| image.service == service);
    let again: Vec<String> = state
        .services
        .iter()
        .filter(|(service, well)| ran(service) && is_touched(service, well))
        .map(|(service, _)| service.clone())
        .collect();
    let is_parked = |service: &String| {
        let mut own = work.makes_way.iter().filter(|holder| holder.project == work.name());
        own.any(|holder| holder.service == *service)
    };
    let (parked, others): (Vec<String>, Vec<String>) = again.iter().cloned().partition(is_parked);
    if !again.is_empty() {
        list.push(Operation::Heal, Vec::new(), blame);
    }
    // They may have been started with any content, by this run or by the one that was cut off.
    if !others.is_empty() {
        list.push(Operation::Up(Up::Return), others, blame);
    }
    list.unpark(work, has_acted);
    if !parked.is_empty() {
        list.push(Operation::Up(Up::Return), parked, blame);
    }
    if !again.is_empty() {
        list.push(Operation::AwaitHealthy, again, blame);
    }
    list.0
}

/// Steps that take a project down, volumes kept.
#[must_use]
pub fn take_down(work: &ProjectWork) -> Vec<Step> {
    let mut list = List::default();
    if work.was_deployed {
        list.push(Operation::Down, Vec::new(), Blame::Action(0));
        return list.0;
    }
    // An earlier run was interrupted after it had removed the files that Compose would need.
    let recorded = work.recorded.iter().flat_map(|recorded| recorded.services.keys());
    for service in recorded {
        list.push(Operation::Remove, vec![service.clone()], Blame::Action(0));
    }
    list.0
}

/// Services whose containers the plan starts, restarts or talks to.
#[must_use]
pub fn acting(plan: &ProjectPlan) -> Vec<String> {
    let acts =
        |action: &&Action| !matches!(action.kind, ActionKind::None | ActionKind::Remove | ActionKind::Down);
    let services = plan.actions.iter().filter(acts).filter_map(|action| action.service.clone());
    services.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Services in groups, each after those whose namespaces it uses: a container joins them when it starts, so the
/// others must run by then.
fn by_namespaces(all: &BTreeMap<String, Service>, mut names: Vec<String>) -> Vec<Vec<String>> {
    let mut groups = Vec::new();
    while !names.is_empty() {
        let waits = |name: &String| {
            let shares = all.get(name).into_iter().flat_map(|service| &service.shares);
            let mut shares = shares.filter(|share| share.what == SharedPart::Namespace);
            shares.any(|share| matches!(&share.of, ShareOf::Service(other) if names.contains(other) && other != name))
        };
        let (later, now): (Vec<String>, Vec<String>) = names.iter().cloned().partition(waits);
        if now.is_empty() {
            // Docker refuses such a circle anyway.
            groups.push(later);
            break;
        }
        groups.push(now);
        names = later;
    }
    groups
}

/// `names` and the services that they depend on, directly or not, as far as a dependency `counts`.
pub(super) fn with_dependencies<'s>(
    all: &'s BTreeMap<String, Service>,
    mut names: BTreeSet<&'s str>,
    counts: impl Fn(&str, &Dependency) -> bool,
) -> BTreeSet<&'s str> {
    let mut open: Vec<&str> = names.iter().copied().collect();
    while let Some(name) = open.pop() {
        let Some(service) = all.get(name) else { continue };
        for (name, _) in service.depends_on.iter().filter(|(name, how)| counts(name, how)) {
            if names.insert(name) {
                open.push(name);
            }
        }
    }
    names
}

/// A list in the making.
#[derive(Debug, Default)]
struct List(Vec<Step>);

impl List {
    fn push(&mut self, operation: Operation, services: Vec<String>, blames: Blame) {
        self.0.push(Step { operation, services, only: Only::All, blames });
    }

    fn push_kept(&mut self, operation: Operation, services: Vec<String>, blames: Blame) {
        self.0.push(Step { operation, services, only: Only::Kept, blames });
    }

    /// Brings what made way back, once the new containers have gone.
    fn unpark(&mut self, work: &ProjectWork, has_acted: bool) {
        for holder in work.makes_way.iter().filter(|_| has_acted) {
            self.push(Operation::Unpark(holder.clone()), Vec::new(), Blame::Afterwards);
        }
    }

    /// One step for all actions of a kind.
    fn group(&mut self, plan: &ProjectPlan, kind: &ActionKind, operation: Operation) {
        let is_kind = |action: &&Action| action.kind == *kind;
        let Some(first) = plan.actions.iter().position(|action| is_kind(&action)) else { return };
        let services = plan.actions.iter().filter(is_kind).filter_map(|action| action.service.clone());
        self.push(operation, services.collect(), Blame::Action(first));
    }

    fn hooks(&mut self, plan: &ProjectPlan, when: HookPhase, blames: Blame) {
        for hook in plan.hooks.iter().filter(|hook| hook.when == when) {
            self.push(Operation::Hook(hook.clone()), vec![hook.service.clone()], blames);
        }
    }

    /// Recreates what an `up` leaves as it was although it changes in a way that Compose does not see, or
    /// reads content that it asks to be recreated for.
    fn recreate_kept(&mut self, work: &ProjectWork) {
        let recreates = |state: &ServiceState| state.inputs.get(&reaction_key(&Reaction::Recreate)).cloned();
        let differs = |service: &&str| {
            let old = work.recorded.as_ref().and_then(|recorded| recorded.services.get(*service));
            let new = work.state.services.get(*service);
            old.zip(new).is_some_and(|(old, new)| {
                old.scheme == new.scheme && old.unhashed != new.unhashed || recreates(old) != recreates(new)
            })
        };
        let is_up = |action: &&Action| action.kind == ActionKind::Up;
        let actions = &work.plan.actions;
        let Some(first) = actions.iter().position(|action| is_up(&action)) else { return };
        let services = actions.iter().filter(is_up).filter_map(|action| action.service.as_deref());
        let services: Vec<String> = services.filter(differs).map(str::to_owned).collect();
        if !services.is_empty() {
            self.push_kept(Operation::Up(Up::Recreate), services, Blame::Action(first));
        }
    }

    /// Restarts what is owed a restart: first the one-shots that others wait for, then, once those have
    /// completed, the others. A container that an `up` has replaced has everything new already.
    fn restart(&mut self, work: &ProjectWork, before: &[Container]) {
        let Some(wanted) = &work.wanted else { return };
        let is_there =
            |service: &str| before.iter().any(|container| container.is_of(&work.state.project, service));
        let has_new_inputs = |service: &str| {
            let wanted = work.state.services.get(service).map(|state| &state.inputs);
            match work.recorded.as_ref().and_then(|recorded| recorded.services.get(service)) {
                Some(recorded) => wanted.is_none_or(|wanted| recorded.inputs != *wanted),
                None => is_there(service) && may_have_older_inputs(work, service),
            }
        };
        // An `up` for which Compose sees no reason leaves the container with its old content.
        let is_owed = |action: &&Action| {
            action.kind == ActionKind::Restart
                || (action.kind == ActionKind::Up && action.service.as_deref().is_some_and(has_new_inputs))
        };
        let actions = &work.plan.actions;
        let owed: BTreeSet<&str> =
            actions.iter().filter(is_owed).filter_map(|action| action.service.as_deref()).collect();
        let Some(first) = actions.iter().position(|action| is_owed(&action)) else { return };
        let blames = Blame::Action(first);
        let one_shots: BTreeSet<&str> = owed
            .iter()
            .filter_map(|name| wanted.model.services.get(*name))
            .flat_map(|service| &service.depends_on)
            .filter(|(_, dependency)| dependency.condition == Condition::Completed)
            .map(|(name, _)| name.as_str())
            .collect();
        let replaces =
            actions.iter().any(|action| matches!(action.kind, ActionKind::Up | ActionKind::Recreate));
        let only = if replaces { Only::Kept } else { Only::All };
        // The namespace that its new container has joined is gone, too.
        let follows = |service: &String| {
            actions.iter().any(|action| {
                action.kind == ActionKind::Restart
                    && action.service.as_ref() == Some(service)
                    && action.reasons.iter().any(shares_namespace)
            })
        };
        let restart_all = |list: &mut Self, services: &mut dyn Iterator<Item = &&str>| {
            let services = services.map(|service| (*service).to_owned()).collect();
            for services in by_namespaces(&wanted.model.services, services) {
                let (there, gone): (Vec<String>, Vec<String>) =
                    services.into_iter().partition(|service| is_there(service));
                // A container that was removed by hand cannot be restarted.
                if !gone.is_empty() {
                    list.push(Operation::Up(Up::Missing), gone, blames);
                }
                let (following, there): (Vec<String>, Vec<String>) = there.into_iter().partition(follows);
                for (services, only) in [(there, only), (following, Only::All)] {
                    if !services.is_empty() {
                        list.0.push(Step { operation: Operation::Restart, services, only, blames });
                    }
                }
            }
        };
        restart_all(self, &mut owed.intersection(&one_shots));
        let running: Vec<String> =
            acting(&work.plan).into_iter().filter(|name| one_shots.contains(name.as_str())).collect();
        if !running.is_empty() {
            self.push(Operation::AwaitCompletion, running, blames);
        }
        restart_all(self, &mut owed.difference(&one_shots));
    }
}

/// Whether a container that was there before anything was recorded of its service may run with other
/// content than is there now: this run brings some, or an earlier one did and was interrupted.
fn may_have_older_inputs(work: &ProjectWork, service: &str) -> bool {
    let service = work.wanted.as_ref().and_then(|wanted| wanted.model.services.get(service));
    let inputs = || service.iter().flat_map(|service| &service.reads).filter(|read| read.how.is_input());
    work.was_deployed && inputs().next().is_some()
        || work.plan.files.iter().any(|file| inputs().any(|read| read.covers(&file.at)))
}
