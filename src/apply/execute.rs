//! Carries steps out, and waits until services are healthy.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::engine::Call;
use super::failure::{Failure, ProjectFailureKind};
use super::health::{Expectation, HealthVerdict, HealthWatch, Unhealthy};
use super::namespaces::{BadProvider, bad_providers};
use super::run::ProjectRun;
use super::steps::{Blame, Only, Operation, Step, Up, was_touched, with_dependencies};
use super::stop::StopRequest;
use super::swap::{restore, restore_well};
use super::words::is_of_docker;
use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::error::Result;
use crate::compose::model::{Condition, Hook, HookKind};
use crate::host::{ComposeFolder, Reply, TIMED_OUT};
use crate::outcome::{ActionResult, ServiceLog};
use crate::plan::Action;
use crate::state::container::{Container, ContainerState, HealthStatus};
use crate::state::deployed::{ProjectState, unit};

/// How often Docker is asked while services become healthy. One `docker inspect` costs the host some 50 ms.
const POLL: Duration = Duration::from_millis(500);

/// Time after which a wait says what it waits for.
const SILENCE: Duration = Duration::from_secs(5);

/// Direction in which steps are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Toward what is wanted; a stop is obeyed between steps.
    Forward,
    /// Back to what was there before; never stopped half way.
    Back,
}

/// A step that failed.
pub(super) struct StepFailure {
    pub(super) failure: Failure,
    /// What it blames; never [`Blame::Service`].
    pub(super) blames: Blame,
    /// The steps that have begun, this one included.
    pub(super) begun: Vec<Step>,
}

impl ProjectRun<'_> {
    /// Carries steps out, one after the other, up to the first that fails.
    pub(super) async fn carry_out(&self, steps: &[Step], direction: Direction) -> Result<(), StepFailure> {
        for (number, step) in steps.iter().enumerate() {
            self.step(step, direction).await.map_err(|(failure, unhealthy)| {
                let blames = match (step.blames, self.action_of(&unhealthy)) {
                    (Blame::Service, action) => Blame::Action(action.unwrap_or(0)),
                    (Blame::Action(_), Some(action)) => Blame::Action(action),
                    (blames, _) => blames,
                };
                StepFailure { failure, blames, begun: steps[..=number].to_vec() }
            })?;
        }
        Ok(())
    }

    /// The first action of a service that is unhealthy.
    fn action_of(&self, unhealthy: &[Unhealthy]) -> Option<usize> {
        let is_its = |action: &Action| {
            unhealthy.iter().any(|unhealthy| action.service.as_deref() == Some(&unhealthy.service))
        };
        self.work.plan.actions.iter().position(is_its)
    }

    async fn step(&self, step: &Step, direction: Direction) -> Result<(), (Failure, Vec<Unhealthy>)> {
        let plain = |failure: Failure| (failure, Vec::new());
        // Only right after an operation it shows how the containers are.
        let seen = self.seen.lock().await.take();
        let services: Vec<&str> = match step.only {
            Only::All => step.services.iter().map(String::as_str).collect(),
            Only::Kept | Only::Touched | Only::Unwell => {
                let taking_part = self.taking_part(step, seen.as_deref()).await;
                taking_part.map_err(|error| plain(error.into()))?
            }
        };
        if services.is_empty() && !step.services.is_empty() {
            *self.seen.lock().await = seen;
            return Ok(());
        }
        if direction == Direction::Forward && self.host.task.stop.is_requested() {
            return Err(plain(Failure::interrupted()));
        }
        match &step.operation {
            Operation::Heal => self.heal(direction).await.map(drop).map_err(plain),
            Operation::RestoreFiles => self.restore_files().await.map_err(plain),
            Operation::Hook(hook) => {
                self.report(step.to_string());
                self.hook(hook).await.map_err(plain)
            }
            Operation::AwaitCompletion => self.wait(self.completion(&step.services), direction, seen).await,
            Operation::AwaitHealthy => {
                let stable_for = self.host.task.settings.stable_for;
                let before = self.host.docker.before().await.map_err(|error| plain(error.into()))?;
                self.wait(self.health(&step.services, stable_for).since(before), direction, seen).await
            }
            operation => {
                let shown = services.iter().map(|service| (*service).to_owned()).collect();
                // What went along with the swap has been reported.
                if self.ahead.lock().await.is_none() {
                    // The name of an image may come from a variable.
                    self.report(match operation {
                        Operation::Tag { .. } => "tag an image".to_owned(),
                        _ => Step { services: shown, ..step.clone() }.to_string(),
                    });
                }
                let failure = match self.operate(operation, &services).await {
                    Ok(()) => return Ok(()),
                    Err(failure) => failure,
                };
                if matches!(operation, Operation::Up(_) | Operation::Restart)
                    && failure.kind == ProjectFailureKind::Failed
                    && let Ok(containers) = self.host.docker.containers().await
                {
                    return Err(self.blame_providers(failure, services, &[], &containers).await);
                }
                Err(plain(failure))
            }
        }
    }

    /// Puts the containers first that `services` join and that are not well, and are not among the `known`.
    async fn blame_providers(
        &self,
        mut failure: Failure,
        services: Vec<&str>,
        known: &[Unhealthy],
        containers: &[Container],
    ) -> (Failure, Vec<Unhealthy>) {
        let mut unhealthy = Vec::new();
        let Some(wanted) = self.work.wanted.as_deref() else { return (failure, unhealthy) };
        let needed = with_dependencies(&wanted.model.services, services.into_iter().collect(), |_, _| true);
        let is_known =
            |bad: &BadProvider| known.iter().any(|known| bad.service.as_deref() == Some(&known.service));
        let before = self.host.docker.before().await.unwrap_or_default();
        let bad = bad_providers(&wanted.model, needed, containers, before);
        for (place, bad) in bad.into_iter().filter(|bad| !is_known(bad)).enumerate() {
            let BadProvider { service, shown, user, container, why } = bad;
            let at = service.as_deref().and_then(|service| self.place_of(service));
            let message = format!("{shown}, whose namespace service `{user}` uses, {why}");
            failure.problems.insert(place, Diagnostic::error(message, at));
            let Some(service) = service else { continue };
            let log = self.host.docker.log(&service, &container).await;
            failure.logs.extend(Some(log).filter(|log| !log.lines.is_empty()));
            unhealthy.push(Unhealthy { service, container, why, is_late: false });
        }
        (failure, unhealthy)
    }

    /// Those services of a step that take part, as the containers are now; they may have been `seen` just before.
    async fn taking_part<'s>(&self, step: &'s Step, seen: Option<&[Container]>) -> Result<Vec<&'s str>> {
        let before = self.host.docker.before().await?;
        let now = match seen {
            Some(seen) => Cow::Borrowed(seen),
            None => Cow::Owned(self.host.docker.containers().await?),
        };
        let project = &self.work.state.project;
        let is_old = |container: &Container| before.iter().any(|old| old.id == container.id);
        let takes_part = |service: &&str| match step.only {
            Only::All => true,
            Only::Kept => now.iter().any(|container| container.is_of(project, service) && is_old(container)),
            Only::Touched => was_touched(self.work, service, before, &now),
            Only::Unwell => {
                let mut own = now.iter().filter(|container| container.is_of(project, service)).peekable();
                own.peek().is_none() || own.any(|container| !is_well(container))
            }
        };
        Ok(step.services.iter().map(String::as_str).filter(takes_part).collect())
    }

    /// Makes the engine's calls for an operation.
    async fn operate(&self, operation: &Operation, services: &[&str]) -> Result<(), Failure> {
        let engine = self.host.task.engine;
        let before = self.host.docker.before().await?;
        // A container that made way may have been removed or replaced since.
        let may_be_gone = matches!(operation, Operation::Park(_) | Operation::Unpark(_));
        let may_fail = matches!(operation, Operation::Tag { is_optional: true, .. });
        let starts = matches!(operation, Operation::Up(_) | Operation::Restart);
        let calls = engine.calls(operation, services, self.work, before);
        for (number, call) in calls.iter().enumerate() {
            let is_last = number + 1 == calls.len();
            let mut reply =
                if starts && is_last { self.act_and_look(call).await } else { self.make(call).await };
            // Only Docker's own state shows by now which container has the name.
            if matches!(operation, Operation::Up(_))
                && reply.as_ref().is_ok_and(|reply| !reply.is_ok() && engine.is_name_conflict(&reply.output))
                && self.heal(Direction::Back).await.is_ok_and(|healed| healed)
            {
                reply = self.make(call).await;
            }
            match reply {
                Ok(reply) if reply.is_ok() => {}
                Ok(reply) if may_be_gone && engine.is_missing(&reply.output) => {}
                Ok(_) if call.is_precaution() => {}
                _ if may_fail => {}
                Ok(reply) => return Err(self.failure_of(operation, call, services, &reply)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Why an operation failed. What a command of the user printed is a log of its container.
    fn failure_of(&self, operation: &Operation, call: &Call, services: &[&str], reply: &Reply) -> Failure {
        let (Operation::Exec(_), [service, ..]) = (operation, services) else {
            return Failure::new(self.explain(call, &reply.output));
        };
        let message = format!("the command in service `{service}` exited with status {}", reply.rc);
        let mut failure = Failure::new(Diagnostic::error(message, self.place_of(service)));
        failure.logs.extend(self.last_lines(service, reply));
        failure
    }

    /// The last lines that a command in a container printed, as many as are shown.
    fn last_lines(&self, service: &str, reply: &Reply) -> Option<ServiceLog> {
        let shown = usize::try_from(self.host.task.settings.log_lines).unwrap_or(usize::MAX);
        // Messages of Compose and Docker, unlike those of the container, are not shown.
        let printed: Vec<&String> = reply.output.iter().filter(|line| !is_of_docker(line)).collect();
        let skipped = printed.len().saturating_sub(shown);
        let lines: Vec<String> = printed.into_iter().skip(skipped).cloned().collect();
        (!lines.is_empty()).then(|| ServiceLog { service: service.to_owned(), lines })
    }

    async fn make(&self, call: &Call) -> Result<Reply> {
        self.host.docker.call(call, &self.work.state, ComposeFolder::Live).await
    }

    /// Makes a call, and notes how the containers look then.
    async fn act_and_look(&self, call: &Call) -> Result<Reply> {
        let ahead = self.ahead.lock().await.take().filter(|(of, _)| of == call);
        let (reply, seen) = match ahead {
            Some((_, reply)) => self.host.docker.acted(reply).await,
            None => self.host.docker.act(call, &self.work.state).await?,
        };
        *self.seen.lock().await = seen;
        Ok(reply)
    }

    /// Clears up after an interrupted recreate; whether there was one.
    async fn heal(&self, direction: Direction) -> Result<bool, Failure> {
        let now;
        let containers = match direction {
            Direction::Forward => self.host.docker.before().await?,
            Direction::Back => {
                now = self.host.docker.containers().await?;
                &now
            }
        };
        let calls = self.host.task.engine.heal(&self.work.state.project, containers);
        for call in &calls {
            self.report("clear up after an interrupted recreate");
            let reply = self.make(call).await?;
            if !reply.is_ok() {
                return Err(Failure::new(self.explain(call, &reply.output)));
            }
        }
        Ok(!calls.is_empty())
    }

    async fn restore_files(&self) -> Result<(), Failure> {
        let (driver, unit) = (self.host.task.driver, unit(self.work.name()));
        match &self.work.way_back {
            Some(_) => restore_well(driver, &unit).await?,
            None => restore(driver, &unit).await?,
        }
        self.host.shared.restore_for(self.work.name()).await
    }

    /// Runs a hook and records its result.
    async fn hook(&self, hook: &Hook) -> Result<(), Failure> {
        let end = self.run_hook(hook).await;
        let result = if end.is_ok() { ActionResult::Done } else { ActionResult::Failed };
        self.hooks.lock().await.push(result);
        end
    }

    async fn run_hook(&self, hook: &Hook) -> Result<(), Failure> {
        if let (HookKind::Run, Some(service)) = (hook.kind, hook.own_service()) {
            self.start_needed(service).await?;
        }
        let operation = Operation::Hook(hook.clone());
        let calls = self.host.task.engine.calls(&operation, &[], self.work, &[]);
        let state = match &hook.project {
            None => &self.work.state,
            Some(project) => self.other_state(project).ok_or_else(|| {
                let message =
                    format!("{} {} failed: the project is not on the host", hook.name(), hook.place());
                Failure::new(Diagnostic::error(message, Some(hook.at.clone())))
            })?,
        };
        for call in &calls {
            let reply = self.host.docker.call(call, state, ComposeFolder::Live).await?;
            if !reply.is_ok() {
                return Err(self.hook_failure(hook, call, &reply));
            }
        }
        Ok(())
    }

    /// Another project, as it is on the host by now.
    fn other_state(&self, project: &str) -> Option<&ProjectState> {
        let recorded = || self.host.task.deployed.state.projects.get(project);
        let wanted = self.host.task.work.project(project).filter(|work| work.plan.problems.is_empty());
        wanted.filter(|work| work.wanted.is_some()).map(|work| &work.state).or_else(recorded)
    }

    fn hook_failure(&self, hook: &Hook, call: &Call, reply: &Reply) -> Failure {
        let why = match (reply.rc, hook.kind) {
            (TIMED_OUT, HookKind::Run | HookKind::Host) => {
                format!("it timed out after {} s", hook.timeout_secs)
            }
            (TIMED_OUT, HookKind::Exec) => {
                format!("it timed out after {} s, and may still run in the container", hook.timeout_secs)
            }
            (126 | 127, HookKind::Host) => format!(
                "it exited with status {}: the host has no such command, or it is not executable",
                reply.rc
            ),
            (status, _) => format!("it exited with status {status}"),
        };
        let message = format!("{} {} failed: {why}", hook.name(), hook.place());
        let lines = self.last_lines(&hook.container().unwrap_or_else(|| "host".to_owned()), reply);
        let help = match &lines {
            None => "it printed nothing, or health.log_lines is 0",
            Some(_) => "its last lines are shown below",
        };
        let mut failure = Failure::new(Diagnostic::error(message, Some(hook.at.clone())).help(help));
        if lines.is_none() && reply.output.iter().any(|line| is_of_docker(line)) {
            failure.problems.push(self.explain(call, &reply.output));
        }
        failure.logs.extend(lines);
        failure
    }

    /// Starts the dependencies of a service that do not run yet, as on a first deploy, and leaves the others
    /// alone: Compose itself would recreate those whose definition has changed.
    async fn start_needed(&self, service: &str) -> Result<(), Failure> {
        let Some(wanted) = self.work.wanted.as_deref() else { return Ok(()) };
        let project = &self.work.state.project;
        let now = self.host.docker.containers().await?;
        let is_there = |service: &str| {
            let mut own = now.iter().filter(|container| container.is_of(project, service));
            own.any(|container| container.state == ContainerState::Running || container.has_succeeded())
        };
        let all = &wanted.model.services;
        let runs =
            |name: &str| all.get(name).is_some_and(|service| service.active && !service.is_scaled_to_zero());
        let needed = with_dependencies(all, [service].into(), |name, _| runs(name));
        let missing: Vec<&str> =
            needed.into_iter().filter(|needed| *needed != service && !is_there(needed)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.operate(&Operation::Up(Up::Needed), &missing).await?;
        let completes = |name: &str| {
            let mut waits = all.values().flat_map(|service| &service.depends_on);
            waits.any(|(needed, how)| needed == name && how.condition == Condition::Completed)
        };
        let (one_shots, running): (Vec<String>, Vec<String>) =
            missing.into_iter().map(str::to_owned).partition(|service| completes(service));
        let watches =
            [(self.completion(&one_shots), &one_shots), (self.health(&running, Duration::ZERO), &running)];
        for (watch, services) in watches {
            if !services.is_empty() {
                let seen = self.seen.lock().await.take();
                self.watch(watch, seen).await.map_err(|(failure, _)| failure)?;
            }
        }
        Ok(())
    }

    async fn wait(
        &self,
        watch: HealthWatch<'_>,
        direction: Direction,
        seen: Option<Vec<Container>>,
    ) -> Result<(), (Failure, Vec<Unhealthy>)> {
        let had_slot = self.free_slot();
        let end = match direction {
            Direction::Back => self.watch(watch, seen).await,
            Direction::Forward => tokio::select! {
                end = self.watch(watch, seen) => end,
                () = self.host.task.stop.requested(StopRequest::Graceful) => {
                    Err((Failure::interrupted(), Vec::new()))
                }
            },
        };
        if had_slot {
            self.take_slot().await;
        }
        end
    }

    /// A watch of services that must become healthy.
    fn health<'w>(&'w self, services: &'w [String], stable_for: Duration) -> HealthWatch<'w> {
        let watch = HealthWatch::new(&self.work.state.project, services, stable_for, self.health_timeout());
        watch.expecting(self.expected(services))
    }

    /// A watch of one-shots that must complete.
    fn completion<'w>(&'w self, services: &'w [String]) -> HealthWatch<'w> {
        let watch = HealthWatch::until_completed(&self.work.state.project, services, self.health_timeout());
        watch.expecting(self.expected(services))
    }

    /// How long services of the project may take to become healthy.
    fn health_timeout(&self) -> Duration {
        let own = self.work.wanted.as_ref().and_then(|wanted| wanted.model.settings.health_timeout);
        own.unwrap_or(self.host.task.settings.health_timeout)
    }

    fn expected<'w>(&self, services: &'w [String]) -> BTreeMap<&'w str, Expectation> {
        let model = self.work.wanted.as_ref().map(|wanted| &wanted.model);
        let expected = |name: &'w String| {
            let service = model?.services.get(name)?;
            let (timeout, test) = (service.health_timeout, service.healthcheck_written.clone());
            // What a remote base says of it is not known, and it seldom says that there is none.
            let may_be_none = service.scale.is_none() && !service.has_remote_base;
            Some((name.as_str(), Expectation { timeout, test, may_be_none }))
        };
        services.iter().filter_map(expected).collect()
    }

    /// Waits until services are healthy, or reports which are not, with their last log lines. `seen` are the containers
    /// right after the operation before, if the host has looked then.
    async fn watch(
        &self,
        mut watch: HealthWatch<'_>,
        mut seen: Option<Vec<Container>>,
    ) -> Result<(), (Failure, Vec<Unhealthy>)> {
        self.report("wait until healthy");
        let settings = self.host.task.settings;
        let begin = Instant::now();
        let mut shown = Vec::new();
        let (unhealthy, containers) = loop {
            // Other projects wait, too. What one of them has just seen is as good.
            let now = Instant::now();
            let earliest = now.checked_sub(POLL / 2).map_or(begin, |recent| recent.max(begin));
            let (at, containers) = match seen.take() {
                Some(seen) => (begin, seen),
                None => {
                    let seen = self.host.docker.containers_since(earliest).await;
                    seen.map_err(|error| (error.into(), Vec::new()))?
                }
            };
            let elapsed = at.duration_since(begin);
            match watch.see(&containers, elapsed) {
                HealthVerdict::Healthy => return Ok(()),
                HealthVerdict::Unhealthy(unhealthy) => break (unhealthy, containers),
                HealthVerdict::Waiting(waiting) => {
                    if elapsed > SILENCE + settings.stable_for && waiting != shown {
                        self.report(format!("wait for {}", waiting.join("; ")));
                        shown = waiting;
                    }
                    sleep(POLL).await;
                }
            }
        };
        let mut failure = Failure::default();
        for Unhealthy { service, container, why, is_late } in &unhealthy {
            let log = self.host.docker.log(service, container).await;
            let logged = match (log.lines.is_empty(), settings.log_lines) {
                (false, _) => "its last log lines are shown below",
                (true, 0) => "its log is not shown, because health.log_lines is 0",
                (true, _) => "it has logged nothing",
            };
            let limit = match is_late {
                true => "; `health.timeout` in ghdeploy.yml or x-ghdeploy sets how long it may take",
                false => "",
            };
            let message = format!("service `{service}` is unhealthy: {why}");
            let problem = Diagnostic::error(message, self.place_of(service));
            failure.problems.push(problem.help(format!("{logged}{limit}")));
            failure.logs.extend(Some(log).filter(|log| !log.lines.is_empty()));
        }
        let services = unhealthy.iter().map(|unhealthy| unhealthy.service.as_str()).collect();
        let (failure, blamed) = self.blame_providers(failure, services, &unhealthy, &containers).await;
        Err((failure, if blamed.is_empty() { unhealthy } else { blamed }))
    }

    fn place_of(&self, service: &str) -> Option<Location> {
        let services = &self.work.wanted.as_ref()?.model.services;
        services.get(service).map(|service| service.at.clone())
    }

    /// The last log lines of the project's containers that have failed since this run began.
    pub(super) async fn logs_of_failed(&self) -> Vec<ServiceLog> {
        let docker = &self.host.docker;
        let (Ok(before), Ok(now)) = (docker.before().await, docker.containers().await) else {
            return Vec::new();
        };
        let is_old = |container: &Container| {
            before.iter().any(|old| old.id == container.id && old.started == container.started)
        };
        let has_failed = |container: &&Container| match container.state {
            ContainerState::Exited | ContainerState::Dead => container.exit_code != 0,
            ContainerState::Restarting => true,
            _ => container.health == Some(HealthStatus::Unhealthy),
        };
        let own = now.iter().filter(|container| container.project == self.work.state.project);
        let mut logs = Vec::new();
        for container in own.filter(|container| !is_old(container)).filter(has_failed) {
            let log = docker.log(&container.service, &container.id).await;
            logs.extend(Some(log).filter(|log| !log.lines.is_empty()));
        }
        logs
    }
}

/// Whether a container runs, and nothing speaks against its going on.
fn is_well(container: &Container) -> bool {
    container.state == ContainerState::Running
        && container.restarts == 0
        && container.health != Some(HealthStatus::Unhealthy)
}
