//! What a project's plan means in steps.
//!
//! Owns which services take part in which operation, in which order, and which action a failing step
//! blames; and the steps of the rollback. Pure: lists of values, made of the work on a project and the
//! containers that were there before. How an operation is carried out is the engine's business.

mod back;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::compose::model::{
    Condition, Dependency, Hook, HookKind, HookPhase, Reaction, Service, ShareOf, SharedPart,
};
use crate::plan::{Action, ActionKind, MakesWay, ProjectPlan, ProjectWork, is_unknown, shares_namespace};
use crate::state::container::{Container, ContainerState};
use crate::state::deployed::ServiceState;
use crate::state::wanted::reaction_key;

pub use back::{rollback, was_touched};

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
    /// Stops containers that make way for new ones.
    Park(Vec<MakesWay>),
    /// Starts those containers again, as far as they are still there.
    Unpark(Vec<MakesWay>),
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
    /// Of those, the ones that do not run as they did before; see [`was_touched`].
    Touched,
    /// Those without a container, or with one that is not well.
    Unwell,
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
            Operation::Hook(hook) => {
                write!(f, "{} {}", hook.name(), hook.container().as_deref().unwrap_or("on the host"))
            }
            Operation::Up(Up::Recreate) => write!(f, "recreate {services}"),
            Operation::Up(_) => write!(f, "up {services}"),
            Operation::Restart => write!(f, "restart {services}"),
            Operation::Signal(_) => write!(f, "signal {services}"),
            Operation::Exec(_) => write!(f, "exec in {services}"),
            Operation::Remove => write!(f, "remove {services}"),
            Operation::Down => f.write_str("take down"),
            Operation::Park(holders) => write!(f, "stop {}", names(holders)),
            Operation::Unpark(holders) => write!(f, "start {} again", names(holders)),
            Operation::RestoreFiles => f.write_str("restore files"),
            Operation::AwaitCompletion => write!(f, "wait until {services} completes"),
            Operation::AwaitHealthy => f.write_str("wait until healthy"),
        }
    }
}

fn names(holders: &[MakesWay]) -> String {
    let names: Vec<&str> = holders.iter().map(|holder| holder.name.as_str()).collect();
    names.join(", ")
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
    let parks = parks(work, before);
    // What a hook needs is started before it.
    let is_early = hooks_start_new(work, before);
    if is_early {
        list.park(&parks);
    }
    list.hooks(plan, HookPhase::Before, Blame::Beforehand);
    if !is_early {
        list.park(&parks);
    }
    list.group(plan, &ActionKind::Up, Operation::Up(Up::Changed));
    list.group(plan, &ActionKind::Recreate, Operation::Up(Up::Recreate));
    list.recreate_kept(work);
    list.restart(work, before);
    for (number, action) in plan.actions.iter().enumerate() {
        let operation = match &action.kind {
            ActionKind::Signal { signal } => Operation::Signal(signal.clone()),
            ActionKind::Exec { argv } => Operation::Exec(argv.clone()),
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
    // Nothing is removed before all else has gone well: until then, it can come back as it was.
    for (number, action) in plan.actions.iter().enumerate().filter(|(_, action)| is_removal(action)) {
        let services = action.service.iter().cloned().collect();
        list.push(Operation::Remove, services, Blame::Action(number));
    }
    list.0
}

fn is_removal(action: &Action) -> bool {
    action.kind == ActionKind::Remove
}

/// Services whose containers the plan removes.
fn removed(work: &ProjectWork) -> impl Iterator<Item = &String> {
    work.plan.actions.iter().filter(|action| is_removal(action)).filter_map(|action| action.service.as_ref())
}

/// Containers that stop before new ones come up: those that hold what a new one needs, and those of removed services.
/// A removed service may be an old name of a new one, and nobody sees everything that the two must not use at the
/// same time: a volume, a lock, a queue.
fn parks(work: &ProjectWork, before: &[Container]) -> Vec<MakesWay> {
    let mut parks = work.makes_way.clone();
    let creates =
        |action: &Action| matches!(action.kind, ActionKind::Build | ActionKind::Up | ActionKind::Recreate);
    if !work.plan.actions.iter().any(creates) {
        return parks;
    }
    for service in removed(work) {
        for container in own(work, before).filter(|container| container.service == *service) {
            let leaving = leaving(work, container);
            if (leaving.runs || leaving.has_name) && !parks.iter().any(|known| known.id == leaving.id) {
                parks.push(leaving);
            }
        }
    }
    parks
}

/// A container of a removed service, which makes way for the new ones.
fn leaving(work: &ProjectWork, container: &Container) -> MakesWay {
    let name = container.plain_name();
    let services = work.wanted.iter().flat_map(|wanted| &wanted.model.services);
    let needs = |service: &Service| {
        service.active && service.container_name.as_ref().is_some_and(|(its, _)| its == name)
    };
    let needed_by: BTreeSet<String> =
        services.filter(|(_, service)| needs(service)).map(|(service, _)| service.clone()).collect();
    MakesWay {
        id: container.short_id().to_owned(),
        name: name.to_owned(),
        service: container.service.clone(),
        project: work.name().to_owned(),
        path: work.plan.path.clone(),
        has_name: !needed_by.is_empty(),
        needed_by,
        runs: matches!(
            container.state,
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
        ),
    }
}

/// The containers of the project that `up` has made.
fn own<'c>(work: &ProjectWork, containers: &'c [Container]) -> impl Iterator<Item = &'c Container> {
    let project = &work.state.project;
    containers.iter().filter(move |container| container.project == *project && !container.is_oneoff())
}

/// Whether a hook that runs before the services act starts a service that has no container yet.
fn hooks_start_new(work: &ProjectWork, before: &[Container]) -> bool {
    let Some(wanted) = &work.wanted else { return false };
    let all = &wanted.model.services;
    let hooks = work.plan.hooks.iter();
    let hooks = hooks.filter(|hook| hook.when == HookPhase::Before && hook.kind == HookKind::Run);
    let is_new = |hook: &Hook, name: &str| {
        hook.service.as_deref() != Some(name) && !own(work, before).any(|container| container.service == name)
    };
    hooks.into_iter().any(|hook| {
        let needed = with_dependencies(all, hook.own_service().into_iter().collect(), |name, _| {
            all.get(name).is_some_and(|service| service.active)
        });
        needed.into_iter().any(|name| is_new(hook, name))
    })
}

/// Steps that take a project down, volumes kept.
#[must_use]
pub fn take_down(work: &ProjectWork) -> Vec<Step> {
    let mut list = List::default();
    // Unless the host still has the files that Compose needs: an earlier run was interrupted after it had removed them.
    let has_files = work.was_deployed;
    if has_files {
        list.push(Operation::Down, Vec::new(), Blame::Action(0));
    }
    // A run that was interrupted may have left services that those files no longer define.
    let recorded = work.recorded.iter().flat_map(|recorded| &recorded.services);
    for (service, _) in recorded.filter(|(_, state)| !has_files || is_unknown(state)) {
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

    fn push_only(&mut self, only: Only, operation: Operation, services: Vec<String>, blames: Blame) {
        if !services.is_empty() {
            self.0.push(Step { operation, services, only, blames });
        }
    }

    fn park(&mut self, holders: &[MakesWay]) {
        if !holders.is_empty() {
            self.push(Operation::Park(holders.to_vec()), Vec::new(), Blame::Action(0));
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
            let services = hook.own_service().map(str::to_owned).into_iter().collect();
            self.push(Operation::Hook(hook.clone()), services, blames);
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
        self.push_only(Only::Kept, Operation::Up(Up::Recreate), services, Blame::Action(first));
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
        let is_provided =
            |name: &str| wanted.model.services.get(name).is_some_and(|service| service.provider.is_some());
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
                    list.push_only(only, Operation::Restart, services, blames);
                }
            }
        };
        restart_all(self, &mut owed.intersection(&one_shots));
        let running: Vec<String> = acting(&work.plan)
            .into_iter()
            .filter(|name| one_shots.contains(name.as_str()) && !is_provided(name))
            .collect();
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
