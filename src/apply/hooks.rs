//! Hooks: what a project does before its containers are replaced, and once its services are well.
//!
//! `before` runs in a container of its own, made of the new image and definition, in the live folder with the
//! new files: relative binds and env files mean there what they will mean. Nothing of the project has been
//! replaced by then.

use std::collections::BTreeSet;

use super::health::Watch;
use super::services::needs;
use super::words::explain;
use super::{Apply, Failure};
use crate::base::diagnostic::Diagnostic;
use crate::compose::model::{Condition, Hook, HookKind, When};
use crate::host::{Command, LATE, Place};
use crate::outcome::{ActionResult, ProjectOutcome, ServiceLog};
use crate::plan::ProjectPlan;
use crate::state::container::ContainerState;

impl Apply<'_> {
    /// Runs the hooks of a project whose time has come, one after the other.
    pub(super) async fn hooks(&self, plan: &ProjectPlan, when: When) -> Result<(), Failure> {
        for hook in plan.hooks.iter().filter(|hook| hook.when == when) {
            self.go_on()?;
            self.step(plan, format!("{} {}", hook.name(), hook.service));
            let end = self.hook(plan, hook).await;
            let result = if end.is_ok() { ActionResult::Done } else { ActionResult::Failed };
            self.hooked.lock().await.entry(plan.name.clone()).or_default().push(result);
            end?;
        }
        Ok(())
    }

    /// Says of each hook in the outcome of a project that failed what became of it: a plan has them in the order
    /// in which they run.
    pub(super) async fn tell_hooks(&self, plan: &ProjectPlan, outcome: &mut ProjectOutcome) {
        let results = self.hooked.lock().await.remove(&plan.name).unwrap_or_default();
        for (hook, result) in outcome.hooks.iter_mut().zip(results) {
            hook.result = result;
        }
    }

    async fn hook(&self, plan: &ProjectPlan, hook: &Hook) -> Result<(), Failure> {
        if hook.kind == HookKind::Run {
            self.start_needed(plan, &hook.service).await?;
        }
        let state = &self.task.work.projects[&plan.name].state;
        // No project name has a dot: no other service of any project comes to the same name.
        let name = format!("{}.{}.hook", state.project, hook.service);
        let options: &[&str] = match hook.kind {
            HookKind::Run => &["run", "--rm", "-T", "--no-deps", "--name", &name],
            HookKind::Exec => &["exec", "-T"],
        };
        let argv = options.iter().copied().chain([hook.service.as_str()]);
        let command = Command::Hook {
            dir: state.dir.to_string(),
            timeout_secs: hook.timeout_secs,
            container: (hook.kind == HookKind::Run).then(|| name.clone()),
            argv: argv.map(str::to_owned).chain(hook.argv.iter().cloned()).collect(),
        };
        let reply = self.task.driver.call(&command).await?;
        if reply.is_ok() {
            return Ok(());
        }
        let why = match (reply.rc, hook.kind) {
            (LATE, HookKind::Run) => format!("it was not through after {} s", hook.timeout_secs),
            (LATE, HookKind::Exec) => {
                format!("it was not through after {} s, and may go on in the container", hook.timeout_secs)
            }
            (status, _) => format!("it exited with status {status}"),
        };
        let message = format!("{} of service `{}` failed: {why}", hook.name(), hook.service);
        let shown = usize::try_from(self.task.settings.log_lines).unwrap_or(usize::MAX);
        let lines = reply.output.iter().rev().take(shown).rev().cloned().collect::<Vec<_>>();
        let help = if lines.is_empty() {
            "it has printed nothing, or health.log_lines is 0"
        } else {
            "its last lines are shown below"
        };
        let mut failure = Failure::new(Diagnostic::error(message, Some(hook.at.clone())).help(help));
        failure.logs.extend(
            Some(ServiceLog { service: hook.service.clone(), lines }).filter(|log| !log.lines.is_empty()),
        );
        Err(failure)
    }

    /// Starts what a service waits for and does not run yet, as on a first deploy, and leaves the rest as it
    /// is: Compose itself would recreate what has another definition now.
    async fn start_needed(&self, plan: &ProjectPlan, service: &str) -> Result<(), Failure> {
        let Some(project) = self.project(plan) else { return Ok(()) };
        let name = &self.task.work.projects[&plan.name].state.project;
        let now = self.containers().await?;
        let is_there = |service: &str| {
            now.iter().any(|c| {
                c.project == *name
                    && c.service == service
                    && (c.state == ContainerState::Running || c.has_succeeded())
            })
        };
        let all = &project.model.services;
        let runs =
            |name: &str| all.get(name).is_some_and(|service| service.active && !service.scaled_to_zero);
        let needed = needs(all, [service].into(), |name, _| runs(name));
        let missing: Vec<&str> =
            needed.into_iter().filter(|needed| *needed != service && !is_there(needed)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let argv: Vec<&str> =
            ["up", "-d", "--no-recreate"].into_iter().chain(missing.iter().copied()).collect();
        let reply = self.compose_at(&project.model.dir, Place::Live, &argv).await?;
        if !reply.is_ok() {
            return Err(Failure::new(explain("docker compose up", &reply.output)));
        }
        let ends: BTreeSet<&str> = all
            .values()
            .flat_map(|service| &service.depends_on)
            .filter(|(_, how)| how.condition == Condition::Completed)
            .map(|(name, _)| name.as_str())
            .collect();
        let (ending, running): (Vec<String>, Vec<String>) =
            missing.into_iter().map(str::to_owned).partition(|service| ends.contains(service.as_str()));
        if !ending.is_empty() {
            self.watch(plan, Watch::until_ended(name, &ending)).await.map_err(|(failure, _)| failure)?;
        }
        if !running.is_empty() {
            let well = Watch::new(name, &running, std::time::Duration::ZERO);
            self.watch(plan, well).await.map_err(|(failure, _)| failure)?;
        }
        Ok(())
    }
}
