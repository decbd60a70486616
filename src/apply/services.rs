//! The actions of a project: what Compose is told, how the services fare, and the way back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::heal::is_name_conflict;
use super::health::{Sick, Verdict, Watch};
use super::stop::Urgency;
use super::words::explain;
use super::{Apply, Failure};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, Result};
use crate::base::path::RootPath;
use crate::compose::model::{Condition, Dependency, Reaction, Service, When};
use crate::host::{Command, Event, Place, Reply};
use crate::outcome::ServiceLog;
use crate::plan::{Action, ActionKind, ProjectPlan};
use crate::state::container::{Container, ContainerState, HealthStatus};
use crate::state::deployed::{ServiceState, unit};
use crate::state::wanted::reaction_key;

/// How often Docker is asked while services get well. One `docker inspect` costs the host some 50 ms.
const POLL: Duration = Duration::from_millis(500);

impl Apply<'_> {
    pub(super) async fn compose_at(&self, dir: &RootPath, place: Place, argv: &[&str]) -> Result<Reply> {
        let argv = ["--ansi", "never"].into_iter().chain(argv.iter().copied()).map(str::to_owned).collect();
        self.task.driver.call(&Command::Compose { dir: dir.to_string(), place, argv }).await
    }

    /// Every container of every project.
    pub(super) async fn containers(&self) -> Result<Vec<Container>> {
        let reply = self.task.driver.call(&Command::Containers).await?;
        if !reply.is_ok() {
            let problem = explain("asking Docker for its containers", &reply.output);
            return Err(Error::of(Exit::RolledBack, vec![problem]));
        }
        let containers = reply.events.into_iter().filter_map(|event| match event {
            Event::Container { container } => Some(*container),
            _ => None,
        });
        let containers: Vec<Container> = containers.collect();
        self.seen.lock().await.clone_from(&containers);
        Ok(containers)
    }

    /// Carries the actions out and waits until the services are well. The error comes with the number
    /// of the action that failed.
    pub(super) async fn act(&self, plan: &ProjectPlan) -> Result<(), (Failure, usize)> {
        let work = &self.task.work.projects[&plan.name];
        let dir = &work.state.dir;
        self.note_acting(plan).await.map_err(|error| (error.into(), 0))?;
        let before = self.before().await.map_err(|error| (error.into(), 0))?;
        self.heal(plan, before).await.map_err(|failure| (failure, 0))?;
        let expect = |what: &str, reply: Result<Reply>, at: usize| {
            let reply = reply.map_err(|error| (error.into(), at))?;
            if reply.is_ok() {
                Ok(())
            } else {
                Err((Failure::new(explain(&format!("docker compose {what}"), &reply.output)), at))
            }
        };
        let run = async |step: String, argv: Vec<&str>, at: usize| {
            self.go_on().map_err(|failure| (failure, at))?;
            self.step(plan, &step);
            expect(argv[0], self.compose_at(dir, Place::Live, &argv).await, at)
        };
        for kind in [ActionKind::Build, ActionKind::Up, ActionKind::Recreate] {
            if kind == ActionKind::Up {
                for (id, name) in &work.images {
                    let tag = ["tag", id, name].map(str::to_owned).to_vec();
                    let reply = self
                        .task
                        .driver
                        .call(&Command::Docker(tag))
                        .await
                        .map_err(|error| (error.into(), 0))?;
                    self.expect("docker tag", reply).map_err(|failure| (failure, 0))?;
                }
                let hooks = self.hooks(plan, When::Before).await;
                hooks.map_err(|failure| (Failure { is_early: true, ..failure }, 0))?;
            }
            let of_group = |action: &&Action| action.kind == kind;
            let services: Vec<&str> =
                plan.actions.iter().filter(of_group).filter_map(|action| action.service.as_deref()).collect();
            let Some(at) = plan.actions.iter().position(|action| of_group(&action)) else { continue };
            let step = format!("{} {}", kind.word(), services.join(", "));
            if kind == ActionKind::Build {
                run(step, ["build"].into_iter().chain(services).collect(), at).await?;
            } else {
                self.go_on().map_err(|failure| (failure, at))?;
                self.step(plan, &step);
                let option = if kind == ActionKind::Up { "--quiet-pull" } else { "--force-recreate" };
                expect("up", self.up(plan, &[option], services).await, at)?;
            }
        }
        self.recreate_left(plan).await?;
        self.restart(plan).await?;
        for (at, action) in plan.actions.iter().enumerate() {
            let Some(service) = action.service.as_deref() else { continue };
            match &action.kind {
                ActionKind::Signal { signal } => {
                    run(format!("signal {service}"), vec!["kill", "-s", signal, service], at).await?;
                }
                ActionKind::Exec { argv } => {
                    run(
                        format!("exec in {service}"),
                        ["exec", "-T", service].into_iter().chain(argv.iter().map(String::as_str)).collect(),
                        at,
                    )
                    .await?;
                }
                ActionKind::Remove => {
                    self.go_on().map_err(|failure| (failure, at))?;
                    self.step(plan, format!("remove {service}"));
                    let command =
                        Command::Remove { project: work.state.project.clone(), service: service.to_owned() };
                    let reply = self.task.driver.call(&command).await.map_err(|error| (error.into(), at))?;
                    self.expect(&format!("removing {service}"), reply).map_err(|failure| (failure, at))?;
                }
                _ => {}
            }
        }
        let project = self.project(plan);
        let runs = |name: &String| {
            project
                .and_then(|project| project.model.services.get(name))
                .is_none_or(|service| !service.scaled_to_zero)
        };
        let acted: Vec<String> = acted(plan).into_iter().filter(runs).collect();
        let failing = |sick: &[Sick]| {
            let of =
                |action: &Action| sick.iter().any(|sick| action.service.as_deref() == Some(&sick.service));
            plan.actions.iter().position(of).unwrap_or(0)
        };
        tokio::select! {
            end = self.wait(plan, &acted, self.task.settings.stable_for) => end,
            () = self.task.stop.wanted(Urgency::InOrder) => Err((Failure::interrupted(), Vec::new())),
        }
        .map_err(|(failure, sick)| (failure, failing(&sick)))?;
        // No action has failed then.
        self.hooks(plan, When::After).await.map_err(|failure| (failure, plan.actions.len()))
    }

    /// `docker compose up` of `services`. Compose looks after what they wait for, and its hash of a
    /// definition knows of it: a container made by `--no-deps` is recreated as soon as something that
    /// waits for it comes up. But Compose would also run one-shots again that have done their work and
    /// have no part in the plan. So those who wait for such a one, and they alone, are started without
    /// what they wait for, though together with what of it does not run.
    pub(super) async fn up(
        &self,
        plan: &ProjectPlan,
        options: &[&str],
        services: Vec<&str>,
    ) -> Result<Reply> {
        let work = &self.task.work.projects[&plan.name];
        let none = BTreeMap::new();
        let all = self.project(plan).map_or(&none, |project| &project.model.services);
        let before = self.before().await?;
        let is = |name: &str, state: ContainerState| {
            let of = |c: &&Container| c.is_of(&work.state.project, name);
            before.iter().filter(of).any(|c| c.state == state && c.exit_code == 0)
        };
        let acted = acted(plan);
        let has_ended = |name: &str, how: &Dependency| {
            how.condition == Condition::Completed
                && is(name, ContainerState::Exited)
                && !acted.iter().any(|acting| acting == name)
        };
        let (alone, with): (Vec<&str>, Vec<&str>) = services.into_iter().partition(|name| {
            let needs = needs(all, [*name].into(), |_, _| true);
            needs
                .into_iter()
                .filter_map(|name| all.get(name))
                .any(|service| service.depends_on.iter().any(|(name, how)| has_ended(name, how)))
        });
        let alone = needs(all, alone.into_iter().collect(), |name, how| {
            !has_ended(name, how)
                && !is(name, ContainerState::Running)
                && all.get(name).is_some_and(|service| service.active)
        });
        let mut reply = Reply::default();
        for (no_deps, services) in [(None, with), (Some("--no-deps"), alone.into_iter().collect())] {
            if !services.is_empty() && reply.is_ok() {
                let argv = ["up", "-d"].into_iter().chain(options.iter().copied()).chain(no_deps);
                let argv: Vec<&str> = argv.chain(services).collect();
                reply = self.compose_at(&work.state.dir, Place::Live, &argv).await?;
                // Only Docker's own state tells by now what is in the way.
                if is_name_conflict(&reply)
                    && self.heal(plan, &self.containers().await?).await.is_ok_and(|healed| healed)
                {
                    reply = self.compose_at(&work.state.dir, Place::Live, &argv).await?;
                }
            }
        }
        Ok(reply)
    }

    /// Restarts what is owed a restart: first the services that others wait for to end, then, once
    /// those have, the others. A container that an `up` has renewed has everything new already.
    async fn restart(&self, plan: &ProjectPlan) -> Result<(), (Failure, usize)> {
        let work = &self.task.work.projects[&plan.name];
        let before = self.before().await.map_err(|error| (error.into(), 0))?;
        let was_there =
            |service: &str| before.iter().any(|c| c.project == work.state.project && c.service == service);
        let inputs = |service: &str| {
            let wanted = work.state.services.get(service).map(|state| &state.inputs);
            match work.recorded.as_ref().and_then(|recorded| recorded.services.get(service)) {
                Some(recorded) => wanted.is_none_or(|wanted| recorded.inputs != *wanted),
                None => was_there(service) && self.may_have_older_inputs(plan, service),
            }
        };
        // An `up` that Compose sees no reason for leaves the container with its old content.
        let owes = |action: &&Action| {
            action.kind == ActionKind::Restart
                || (action.kind == ActionKind::Up && action.service.as_deref().is_some_and(inputs))
        };
        let owed: BTreeSet<&str> =
            plan.actions.iter().filter(owes).filter_map(|action| action.service.as_deref()).collect();
        if owed.is_empty() {
            return Ok(());
        }
        let at = plan.actions.iter().position(|action| owes(&action)).unwrap_or(0);
        let Some(project) = self.project(plan) else { return Ok(()) };
        let ends: BTreeSet<&str> = owed
            .iter()
            .filter_map(|name| project.model.services.get(*name))
            .flat_map(|service| &service.depends_on)
            .filter(|(_, dependency)| dependency.condition == Condition::Completed)
            .map(|(name, _)| name.as_str())
            .collect();
        let first: Vec<&str> = owed.intersection(&ends).copied().collect();
        self.restart_now(plan, &first, at).await?;
        let running: Vec<String> =
            acted(plan).into_iter().filter(|name| ends.contains(name.as_str())).collect();
        if !running.is_empty() {
            let project = &self.task.work.projects[&plan.name].state.project;
            let ended = Watch::until_ended(project, &running);
            tokio::select! {
                end = self.watch(plan, ended) => end.map_err(|(failure, _)| (failure, at)),
                () = self.task.stop.wanted(Urgency::InOrder) => Err((Failure::interrupted(), at)),
            }?;
        }
        let then: Vec<&str> = owed.difference(&ends).copied().collect();
        self.restart_now(plan, &then, at).await
    }

    /// Whether a container that was there before anything was recorded of its service may run with other
    /// content than is there now: this run brings some, or an earlier one did and was cut off.
    fn may_have_older_inputs(&self, plan: &ProjectPlan, service: &str) -> bool {
        let service = self.project(plan).and_then(|project| project.model.services.get(service));
        let inputs = || service.iter().flat_map(|service| &service.reads).filter(|read| read.how.is_input());
        let was_deployed = self.task.deployed.manifests.contains_key(&unit(&plan.name));
        was_deployed && inputs().next().is_some()
            || plan.files.iter().any(|file| inputs().any(|read| read.covers(&file.at)))
    }

    /// Recreates what an `up` has left as it was, though it changes in a way that Compose does not see or
    /// reads content that it asks to be recreated for.
    async fn recreate_left(&self, plan: &ProjectPlan) -> Result<(), (Failure, usize)> {
        let work = &self.task.work.projects[&plan.name];
        let differs = |service: &str| {
            let recorded = work.recorded.as_ref().and_then(|recorded| recorded.services.get(service));
            let is_owed = |old: &ServiceState, new: &ServiceState| {
                let inputs =
                    |state: &ServiceState| state.inputs.get(&reaction_key(&Reaction::Recreate)).cloned();
                old.scheme == new.scheme && old.unhashed != new.unhashed || inputs(old) != inputs(new)
            };
            recorded.zip(work.state.services.get(service)).is_some_and(|(old, new)| is_owed(old, new))
        };
        let ups = plan.actions.iter().filter(|action| action.kind == ActionKind::Up);
        let services: Vec<&str> =
            ups.filter_map(|action| action.service.as_deref()).filter(|service| differs(service)).collect();
        let at = plan.actions.iter().position(|action| action.kind == ActionKind::Up).unwrap_or(0);
        let left = self.not_renewed(plan, services).await.map_err(|error| (error.into(), at))?;
        if left.is_empty() {
            return Ok(());
        }
        self.go_on().map_err(|failure| (failure, at))?;
        self.step(plan, format!("recreate {}", left.join(", ")));
        let reply = self.up(plan, &["--force-recreate"], left).await.map_err(|error| (error.into(), at))?;
        if reply.is_ok() {
            Ok(())
        } else {
            Err((Failure::new(explain("docker compose up", &reply.output)), at))
        }
    }

    /// Those of `services` that still have a container from before.
    async fn not_renewed<'s>(&self, plan: &ProjectPlan, mut services: Vec<&'s str>) -> Result<Vec<&'s str>> {
        if services.is_empty() {
            return Ok(services);
        }
        let project = &self.task.work.projects[&plan.name].state.project;
        let old: BTreeSet<&str> =
            self.before().await?.iter().map(|container| container.id.as_str()).collect();
        let now = self.containers().await?;
        let stays = |service: &str| {
            now.iter().any(|c| c.project == *project && c.service == service && old.contains(c.id.as_str()))
        };
        services.retain(|service| stays(service));
        Ok(services)
    }

    async fn restart_now(
        &self,
        plan: &ProjectPlan,
        services: &[&str],
        at: usize,
    ) -> Result<(), (Failure, usize)> {
        let state = &self.task.work.projects[&plan.name].state;
        let before = self.before().await.map_err(|error| (error.into(), at))?;
        let is_there =
            |service: &&str| before.iter().any(|c| c.project == state.project && c.service == **service);
        let (mut services, gone): (Vec<&str>, Vec<&str>) =
            services.iter().partition(|service| is_there(service));
        // What was removed by hand cannot be restarted.
        if !gone.is_empty() {
            self.step(plan, format!("up {}", gone.join(", ")));
            let reply = self.up(plan, &[], gone).await.map_err(|error| (error.into(), at))?;
            self.expect("docker compose up", reply).map_err(|failure| (failure, at))?;
        }
        if plan.actions.iter().any(|action| matches!(action.kind, ActionKind::Up | ActionKind::Recreate)) {
            services = self.not_renewed(plan, services).await.map_err(|error| (error.into(), at))?;
        }
        if services.is_empty() {
            return Ok(());
        }
        self.go_on().map_err(|failure| (failure, at))?;
        self.step(plan, format!("restart {}", services.join(", ")));
        for argv in restarts(&services, &state.project, before) {
            let reply =
                self.compose_at(&state.dir, Place::Live, &argv).await.map_err(|error| (error.into(), at))?;
            if !reply.is_ok() {
                return Err((Failure::new(explain("docker compose restart", &reply.output)), at));
            }
        }
        Ok(())
    }

    /// Waits until `services` are well, or says which are not, with what they logged last.
    pub(super) async fn wait(
        &self,
        plan: &ProjectPlan,
        services: &[String],
        stable_for: Duration,
    ) -> Result<(), (Failure, Vec<Sick>)> {
        if services.is_empty() {
            return Ok(());
        }
        let project = &self.task.work.projects[&plan.name].state.project;
        self.watch(plan, Watch::new(project, services, stable_for)).await
    }

    pub(super) async fn watch(
        &self,
        plan: &ProjectPlan,
        mut watch: Watch<'_>,
    ) -> Result<(), (Failure, Vec<Sick>)> {
        self.step(plan, "wait until well");
        let begin = Instant::now();
        let sick = loop {
            let containers = self.containers().await.map_err(|error| (error.into(), Vec::new()))?;
            match watch.see(&containers, begin.elapsed()) {
                Verdict::Well => return Ok(()),
                Verdict::Sick(sick) => break sick,
                Verdict::Waiting(_)
                    if begin.elapsed() > self.task.settings.health_timeout.max(watch.stable_for()) =>
                {
                    break watch.overdue(&containers);
                }
                Verdict::Waiting(_) => sleep(POLL).await,
            }
        };
        let mut failure = Failure::default();
        for sick in &sick {
            let log = self.log(sick).await;
            let logged = match (log.lines.is_empty(), self.task.settings.log_lines) {
                (false, _) => "the last lines that it logged are shown below; ",
                (true, 0) => "",
                (true, _) => "it has logged nothing; ",
            };
            let message = format!("service `{}` is not well: {}", sick.service, sick.why);
            failure.problems.push(
                Diagnostic::error(message, self.place(plan, &sick.service))
                    .help(format!("{logged}health.timeout in ghdeploy.yml says how long it may take")),
            );
            failure.logs.extend(Some(log).filter(|log| !log.lines.is_empty()));
        }
        Err((failure, sick))
    }

    fn place(&self, plan: &ProjectPlan, service: &str) -> Option<crate::base::diagnostic::Location> {
        self.project(plan)?.model.services.get(service).map(|service| service.at.clone())
    }

    /// What the containers of a project logged last that have failed since this run began.
    pub(super) async fn logs_of_failed(&self, plan: &ProjectPlan) -> Vec<ServiceLog> {
        let project = &self.task.work.projects[&plan.name].state.project;
        let (Ok(before), Ok(now)) = (self.before().await, self.containers().await) else { return Vec::new() };
        let is_old = |c: &Container| before.iter().any(|old| old.id == c.id && old.started == c.started);
        let failed = |c: &&Container| match c.state {
            ContainerState::Exited | ContainerState::Dead => c.exit_code != 0,
            ContainerState::Restarting => true,
            _ => c.health == Some(HealthStatus::Unhealthy),
        };
        let mut logs = Vec::new();
        for container in now.iter().filter(|c| c.project == *project && !is_old(c)).filter(failed) {
            let (service, id) = (container.service.clone(), container.id.clone());
            let log = self.log(&Sick { service, container: id, why: String::new() }).await;
            logs.extend(Some(log).filter(|log| !log.lines.is_empty()));
        }
        logs
    }

    async fn log(&self, sick: &Sick) -> ServiceLog {
        let lines = self.task.settings.log_lines;
        let mut log = ServiceLog { service: sick.service.clone(), lines: Vec::new() };
        if lines > 0 && !sick.container.is_empty() {
            let argv = ["logs", "--tail", &lines.to_string(), &sick.container].map(str::to_owned).to_vec();
            log.lines = self
                .task
                .driver
                .call(&Command::Docker(argv))
                .await
                .map(|reply| reply.output)
                .unwrap_or_default();
        }
        log
    }
}

/// The commands that restart `services`. Those that are given no time to stop get one second: a
/// restart without any makes Docker Engine 20.10 unmount the new root file system, so that nothing can
/// be executed in the container any more, its healthcheck neither.
pub(super) fn restarts<'a>(
    services: &[&'a str],
    project: &str,
    containers: &[Container],
) -> Vec<Vec<&'a str>> {
    let at_once = |service: &&&str| {
        containers
            .iter()
            .any(|c| c.project == project && c.service == ***service && c.stop_timeout == Some(0))
    };
    let (hasty, patient): (Vec<&str>, Vec<&str>) = services.iter().partition(|service| at_once(service));
    let commands =
        [(vec!["restart", "--no-deps"], patient), (vec!["restart", "--no-deps", "--timeout", "1"], hasty)];
    commands
        .into_iter()
        .filter(|(_, services)| !services.is_empty())
        .map(|(argv, services)| argv.into_iter().chain(services).collect())
        .collect()
}

/// `names` and what they wait for, directly or not, as far as that `counts`.
pub(super) fn needs<'s>(
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

/// The services whose containers the plan starts, restarts or talks to.
pub(super) fn acted(plan: &ProjectPlan) -> Vec<String> {
    let acts = plan
        .actions
        .iter()
        .filter(|action| !matches!(action.kind, ActionKind::None | ActionKind::Remove | ActionKind::Down));
    acts.filter_map(|action| action.service.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}
