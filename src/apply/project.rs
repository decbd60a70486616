//! One project under way: put in place, acted on, recorded, or rolled back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use super::docker::Docker;
use super::engine::Call;
use super::execute::{Direction, StepFailure};
use super::failure::{Failure, ProjectFailureKind};
use super::records::Records;
use super::run::{ProjectRun, failed, outcome_of};
use super::steps::{self, Blame, Only, Operation, Step};
use super::swap::{restore, swap, swap_and, swapped};
use crate::base::error::{Error, Exit, Result};
use crate::base::manifest::{Entry, Manifest};
use crate::base::path::RootPath;
use crate::host::facts::found;
use crate::host::{Command, Reply};
use crate::outcome::{ActionOutcome, ActionResult, ProjectOutcome, ProjectResult};
use crate::plan::{ActionKind, MakesWay, ProjectChange, WayBack};
use crate::state::deployed::{is_same, unit};

impl ProjectRun<'_> {
    /// Deploys the project, which has been checked.
    pub(super) async fn deploy(&self) -> ProjectOutcome {
        let plan = &self.work.plan;
        let stop = &self.host.task.stop;
        let is_in_place = self.work.goes_first || self.host.swapped.lock().await.is_some();
        if stop.is_requested() && !is_in_place {
            return failed(plan, ProjectResult::NothingChanged, Failure::stopped());
        }
        if plan.change == ProjectChange::Removed {
            return self.take_down().await;
        }
        let acting = if self.work.goes_first { Ok(None) } else { self.swap_to_act().await };
        let acting = match acting {
            Ok(acting) => acting,
            Err((failure, result)) => return failed(plan, result, failure),
        };
        if self.acts() {
            if stop.is_requested() && self.ahead.lock().await.is_none() {
                return self.restore_before_acting(acting.is_some()).await;
            }
            if let Err(failure) = self.act(acting).await {
                return self.failed_to_act(failure).await;
            }
        }
        let is_owed = self.host.task.settings.no_restart;
        let seen = self.host.docker.last_seen().await;
        let (has_acted, is_last) = (self.acts(), self.host.under_way.load(Ordering::Relaxed) == 1);
        let written = self.host.records.write_done(self.work, is_owed, has_acted, is_last, &seen).await;
        if let Err(error) = written {
            return failed(plan, ProjectResult::Unknown, error.into());
        }
        let result = if is_owed { ActionResult::Owed } else { ActionResult::Done };
        let mut outcome = outcome_of(plan, ProjectResult::Done, result);
        for action in outcome.actions.iter_mut().filter(|action| action.action.kind == ActionKind::None) {
            action.result = ActionResult::Done;
        }
        let left = plan.owed.iter().cloned();
        outcome.actions.extend(left.map(|action| ActionOutcome { action, result: ActionResult::Owed }));
        outcome
    }

    /// Puts the project's files in place, if any of them or the records about them change.
    pub(super) async fn swap(&self) -> Result<(), (Failure, ProjectResult)> {
        self.invalidate().await?;
        self.swap_and(Vec::new()).await.map(drop)
    }

    /// Records what is no longer valid, before the files that show it are replaced.
    async fn invalidate(&self) -> Result<(), (Failure, ProjectResult)> {
        if !self.work.is_invalidated {
            return Ok(());
        }
        let written = self.host.records.write(self.work.name(), self.work.recorded.clone()).await;
        written.map_err(|error| (error.into(), ProjectResult::NothingChanged))
    }

    /// Puts the project's files in place, and if services act then, records that at once and makes their first call, if
    /// nothing is decided before it. Returns whether the record was written, if it was tried.
    async fn swap_to_act(&self) -> Result<Option<Result<()>>, (Failure, ProjectResult)> {
        let records = &self.host.records;
        if !self.acts() || !self.swaps() {
            return self.swap().await.map(|()| None);
        }
        self.invalidate().await?;
        self.report("swap files");
        let first = self.first_call().await;
        let act = first.as_ref().and_then(|(step, call)| {
            self.report(step.to_string());
            // A restart makes no container.
            let ids = match step.operation {
                Operation::Restart => self.host.docker.known_ids().to_vec(),
                _ => Vec::new(),
            };
            Docker::act_command(call, &self.work.state, ids)
        });
        // Nothing is waited for between the record and what sends it: it holds what other projects have recorded.
        let acting = records.acting(self.work).await;
        let acting = acting.map_err(|error| (error.into(), ProjectResult::NothingChanged))?;
        let then = [acting].into_iter().chain(act).collect();
        match swap_and(self.host.task.driver, &unit(self.work.name()), then).await {
            Ok(replies) => {
                let mut replies = replies.into_iter();
                let written = replies.next().map(|reply| Records::written(&reply));
                *self.ahead.lock().await = first.map(|(_, call)| call).zip(replies.next());
                Ok(written)
            }
            Err((failure, ProjectResult::NothingChanged)) => {
                // Other projects may have recorded it with theirs.
                let written = records.write_back(self.work.name(), self.work.recorded.clone()).await;
                Err(match written {
                    Ok(()) => (failure, ProjectResult::NothingChanged),
                    Err(error) => (failure.and(error.into()), ProjectResult::Unknown),
                })
            }
            Err(end) => Err(end),
        }
    }

    /// The first call of the project's steps, if it is one that acts and nothing comes before it.
    async fn first_call(&self) -> Option<(Step, Call)> {
        let has_folders =
            self.host.missing_folders.lock().await.get(self.work.name()).is_some_and(|all| !all.is_empty());
        if has_folders || self.made_way().next().is_some() {
            return None;
        }
        let before = self.host.docker.before().await.ok()?;
        let engine = self.host.task.engine;
        let steps = steps::forward(self.work, before);
        let [Step { operation: Operation::Heal, .. }, first, ..] = steps.as_slice() else { return None };
        let acts =
            matches!(first.operation, Operation::Up(_) | Operation::Restart) && first.only == Only::All;
        if !acts || !engine.heal(&self.work.state.project, before).is_empty() {
            return None;
        }
        let services: Vec<&str> = first.services.iter().map(String::as_str).collect();
        match engine.calls(&first.operation, &services, self.work, before).as_slice() {
            [call @ Call::Compose(_)] => Some((first.clone(), call.clone())),
            _ => None,
        }
    }

    /// Whether any of the project's files or the records about them change.
    pub(super) fn swaps(&self) -> bool {
        self.work.needs_record || !self.work.plan.files.is_empty()
    }

    /// Puts the project's files in place. Once that has succeeded, `then` is carried out; see [`swap_and`].
    async fn swap_and(&self, then: Vec<Command>) -> Result<Vec<Reply>, (Failure, ProjectResult)> {
        if !self.swaps() {
            return Ok(Vec::new());
        }
        self.report("swap files");
        let unit = unit(self.work.name());
        let ahead = self.host.swapped.lock().await.take();
        match ahead {
            Some(replies) => swapped(self.host.task.driver, &unit, replies).await,
            None => swap_and(self.host.task.driver, &unit, then).await,
        }
    }

    /// Carries the actions out and waits until the services are healthy. `acting`: whether it was recorded that they
    /// act, if that was tried.
    async fn act(&self, acting: Option<Result<()>>) -> Result<(), StepFailure> {
        let at_first =
            |error: Error| StepFailure { failure: error.into(), blames: Blame::Action(0), begun: Vec::new() };
        let acting = match acting {
            Some(acting) => acting,
            None => self.host.records.write_acting(self.work).await,
        };
        acting.map_err(at_first)?;
        for holder in self.made_way() {
            self.host.records.write_parked(holder).await.map_err(at_first)?;
        }
        let folders = self.host.missing_folders.lock().await.remove(self.work.name()).unwrap_or_default();
        if !folders.is_empty() {
            // Where the user may not, Docker makes them.
            self.host.task.driver.call(&Command::MakeFolders(folders)).await.map_err(at_first)?;
        }
        let before = self.host.docker.before().await.map_err(at_first)?;
        self.carry_out(&steps::forward(self.work, before), Direction::Forward).await
    }

    /// The containers of other projects that make way.
    fn made_way(&self) -> impl Iterator<Item = &MakesWay> {
        self.work.makes_way.iter().filter(|holder| holder.project != self.work.name())
    }

    /// The outcome of a project that is left alone because of another one. Its files may be in place already.
    pub(super) async fn hold_back(&self, failure: Failure) -> ProjectOutcome {
        if self.work.goes_first
            && let Err(why) = restore(self.host.task.driver, &unit(self.work.name())).await
        {
            return failed(&self.work.plan, ProjectResult::Unknown, Failure::rollback(&why.words()));
        }
        failed(&self.work.plan, ProjectResult::NothingChanged, failure)
    }

    /// The outcome after an action failed or a stop was requested among them.
    async fn failed_to_act(&self, failure: StepFailure) -> ProjectOutcome {
        let plan = &self.work.plan;
        let StepFailure { mut failure, blames, begun } = failure;
        if failure.kind == ProjectFailureKind::Stopped {
            let mut outcome = failed(plan, ProjectResult::Interrupted, failure);
            self.report_hooks(&mut outcome).await;
            outcome.actions.iter_mut().for_each(|action| action.result = ActionResult::Owed);
            return outcome;
        }
        if failure.logs.is_empty() && self.host.task.settings.log_lines > 0 {
            failure.logs = self.logs_of_failed().await;
        }
        let (failure, result) = match self.roll_back(&begun).await {
            Ok(()) => (failure, ProjectResult::RolledBack),
            Err(why) => (failure.and(why), ProjectResult::Unknown),
        };
        let mut outcome = failed(plan, result, failure);
        if result == ProjectResult::RolledBack {
            outcome.back_to = self.work.way_back.as_ref().and_then(|way_back| way_back.release);
        }
        self.report_hooks(&mut outcome).await;
        for (number, action) in outcome.actions.iter_mut().enumerate() {
            action.result = match blames {
                Blame::Action(at) if number == at => ActionResult::Failed,
                Blame::Action(at) if number > at => ActionResult::Skipped,
                Blame::Beforehand => ActionResult::Skipped,
                Blame::Action(_) | Blame::Service | Blame::Afterwards => ActionResult::Done,
            };
        }
        outcome
    }

    /// Undoes the run, of which these steps have begun: files, images, containers, records.
    async fn roll_back(&self, begun: &[Step]) -> Result<(), Failure> {
        self.report("roll back");
        if let Some(way_back) = &self.work.way_back {
            return self.go_back(way_back, begun).await;
        }
        let because = |failure: Failure| Failure::rollback(&failure.words());
        let before = self.host.docker.before().await.map_err(|error| because(error.into()))?;
        let steps = steps::rollback(self.work, before, begun, &self.halfway().await);
        self.carry_out(&steps, Direction::Back).await.map_err(|failed| because(failed.failure))?;
        for holder in self.made_way() {
            self.host.records.write_unparked(holder).await.map_err(|error| because(error.into()))?;
        }
        // Its services run with shared files that other projects keep: what was recorded while they act
        // stays.
        if self.host.shared.are_read_by(&self.work.plan) && self.host.shared.are_swapped().await {
            return Ok(());
        }
        let written = self.host.records.write_back(self.work.name(), self.work.recorded.clone()).await;
        written.map_err(|error| because(error.into()))
    }

    /// The services of which a recreate was interrupted; without an answer of Docker, all of them.
    async fn halfway(&self) -> BTreeSet<String> {
        match self.host.docker.containers().await {
            Ok(containers) => self.host.task.engine.halfway(&self.work.state.project, &containers),
            Err(_) => steps::acting(&self.work.plan).into_iter().collect(),
        }
    }

    /// Brings the last version back that was well. An earlier run has left what was there before this one.
    async fn go_back(&self, way_back: &WayBack, begun: &[Step]) -> Result<(), Failure> {
        let name = self.work.name();
        let command = way_back.release.map(|release| {
            let name = shlex::try_quote(name).unwrap_or(name.into());
            let host = &self.host.task.settings.host_options;
            format!("ghdeploy rollback --to {release} --project {name} {host}")
        });
        let because = |why: &str| Failure::way_back(why, command.as_deref());
        if let Some(obstacle) = &way_back.obstacle {
            return Err(because(obstacle));
        }
        let before =
            self.host.docker.before().await.map_err(|error| because(&Failure::from(error).words()))?;
        let steps = steps::rollback(self.work, before, begun, &self.halfway().await);
        let done = self.carry_out(&steps, Direction::Back).await;
        done.map_err(|failed| because(&failed.failure.words()))?;
        for holder in self.made_way() {
            let written = self.host.records.write_unparked(holder).await;
            written.map_err(|error| because(&Failure::from(error).words()))?;
        }
        if self.host.shared.are_read_by(&self.work.plan) && self.host.shared.are_swapped().await {
            return Err(because("other projects keep the new version of shared files that it reads"));
        }
        self.prove(&way_back.manifest()).await.map_err(|why| because(&why))?;
        let recorded = way_back.version.as_ref().map(|version| version.state.clone());
        let written = self.host.records.settle(name, recorded).await;
        written.map_err(|error| because(&Failure::from(error).words()))
    }

    /// Proves that the host has the files of a manifest.
    async fn prove(&self, manifest: &Manifest) -> Result<(), String> {
        if manifest.0.is_empty() {
            return Ok(());
        }
        let paths = manifest.0.keys().map(ToString::to_string).collect();
        let reply = self
            .host
            .task
            .driver
            .call(&Command::Probe { hash: true, units: vec![unit(self.work.name())], paths })
            .await;
        let there: BTreeMap<_, _> = match reply {
            Ok(reply) => found(&reply).into_iter().collect(),
            Err(error) => return Err(error.to_string()),
        };
        let is_there =
            |path: &RootPath, entry: &Entry| there.get(path).is_some_and(|found| is_same(found, entry));
        match manifest.0.iter().find(|(path, entry)| !is_there(path, entry)) {
            Some((path, _)) => Err(format!("{path} below the root has other content")),
            None => Ok(()),
        }
    }

    /// Restores the files of a project that was stopped before its services acted, and its record. Shared files stay:
    /// they belong to others, too, and what reads them is owed.
    async fn restore_before_acting(&self, is_recorded: bool) -> ProjectOutcome {
        let restored = restore(self.host.task.driver, &unit(self.work.name())).await;
        let restored = match restored {
            Ok(()) if is_recorded => {
                let written = self.host.records.write_back(self.work.name(), self.work.recorded.clone());
                written.await.map_err(Failure::from)
            }
            restored => restored,
        };
        match restored {
            Ok(()) => failed(&self.work.plan, ProjectResult::NothingChanged, Failure::stopped()),
            Err(why) => failed(&self.work.plan, ProjectResult::Unknown, Failure::rollback(&why.words())),
        }
    }

    /// Takes a project down that has left the repository: containers, then managed files.
    async fn take_down(&self) -> ProjectOutcome {
        let plan = &self.work.plan;
        self.report("take down");
        if plan.actions.iter().any(|action| action.kind == ActionKind::Down) {
            if let Err(error) = self.host.records.write_acting(self.work).await {
                let is_lost = error.exit == Exit::Unreachable;
                let result = if is_lost { ProjectResult::Unknown } else { ProjectResult::NothingChanged };
                return failed(plan, result, error.into());
            }
            if let Err(StepFailure { failure, .. }) =
                self.carry_out(&steps::take_down(self.work), Direction::Back).await
            {
                return failed(plan, ProjectResult::Unknown, failure);
            }
        }
        // The containers are gone by now, whatever becomes of the files.
        if let Err((failure, _)) = swap(self.host.task.driver, &unit(self.work.name())).await {
            return failed(plan, ProjectResult::Unknown, failure);
        }
        if let Err(error) = self.host.records.settle(self.work.name(), None).await {
            return failed(plan, ProjectResult::Unknown, error.into());
        }
        let kept = self.kept().await;
        ProjectOutcome { kept, ..outcome_of(plan, ProjectResult::Done, ActionResult::Done) }
    }

    /// What is left of a project that was taken down. It is only reported, so not to know it is no failure.
    async fn kept(&self) -> Vec<String> {
        let state = &self.work.state;
        let label = format!("label=com.docker.compose.project={}", state.project);
        // Without Docker there may be volumes all the same.
        let volumes = match self.host.task.settings.no_restart {
            true => None,
            false => self.host.docker.run(&["volume", "ls", "-q", "--filter", &label]).await.ok(),
        };
        let files = self.host.task.driver.call(&Command::List(state.dir.clone())).await;
        let volumes = volumes.filter(Reply::is_ok).into_iter().flat_map(|reply| reply.output);
        let files = files.into_iter().flat_map(|reply| reply.output);
        let volumes = volumes.map(|volume| format!("volume {volume}"));
        let below = |file: String| state.dir.join(&file).map_or(file, |path| path.to_string());
        volumes.chain(files.filter(|file| file != ".ghdeploy").map(below)).collect()
    }

    /// Enters the result of each hook; a plan lists hooks in the order in which they run.
    async fn report_hooks(&self, outcome: &mut ProjectOutcome) {
        for (hook, result) in outcome.hooks.iter_mut().zip(self.hooks.lock().await.iter()) {
            hook.result = *result;
        }
    }
}
