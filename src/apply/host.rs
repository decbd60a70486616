//! One host under way: the order of effects over its projects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;

use super::checks::read_by_compose;
use super::failure::{Failure, ProjectFailureKind};
use super::pull::created_images;
use super::records::Records;
use super::run::{HostRun, ProjectRun, failed, outcome_of};
use super::stage::{self, Unit};
use super::stop::StopRequest;
use super::{Foreseen, Task};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, HostState, Result};
use crate::base::path::RootPath;
use crate::host::{Command, Reply, Upload, upload};
use crate::outcome::event::Event;
use crate::outcome::{ActionResult, HostFailure, HostOutcome, ProjectOutcome, ProjectResult};
use crate::plan::{ActionKind, FileChange, ProjectChange, ProjectPlan, ProjectWork};
use crate::state::deployed::unit;
use crate::state::versions::{PACKAGES, too_old};

/// Longest wait for a host to take the note about a run back, after the upload has failed or was stopped.
const WITHDRAWAL_LIMIT: Duration = Duration::from_secs(5);

/// Size in bytes up to which the files of a project are put in place together with their upload.
const AT_ONCE: u64 = 256 << 10;

/// Outcomes of projects, by name.
type Results = BTreeMap<String, ProjectOutcome>;

impl<'a> HostRun<'a> {
    /// The projects with something to do, in order.
    fn busy(&self) -> Vec<&'a ProjectWork> {
        let no_restart = self.task.settings.no_restart;
        let is_busy = |work: &&ProjectWork| {
            let stays = no_restart && work.plan.change == ProjectChange::Removed;
            let acts = !no_restart && !work.plan.actions.is_empty();
            !stays
                && work.plan.problems.is_empty()
                && (!work.plan.files.is_empty() || acts || work.needs_record)
        };
        self.task.work.projects.iter().filter(is_busy).collect()
    }

    /// Carries the work on the host out.
    pub(super) async fn run(&self) -> HostOutcome {
        let busy = self.busy();
        let mut results = Results::new();
        for work in self.task.work.projects.iter().filter(|work| !work.plan.problems.is_empty()) {
            self.finished(work, ProjectResult::NothingChanged, &work.plan.problems);
        }
        if busy.is_empty() && !self.shared.change() {
            self.records.write_noted().await;
            return self.outcome(results, false, None);
        }
        self.planned(&busy);
        let stop = &self.task.stop;
        let at_once = self.goes_at_once(&busy);
        let staged = tokio::select! {
            (staged, ()) = futures_util::future::join(self.stage(&busy, at_once), self.look_ahead(&busy)) => Some(staged),
            () = stop.requested(StopRequest::Graceful), if at_once.is_none() => None,
        };
        let mut is_withdrawn = true;
        if !matches!(staged, Some(Ok(()))) {
            // The host may have noted the run all the same. If it answers no more, the next run finds that nothing
            // is halfway.
            let withdrawn = tokio::time::timeout(WITHDRAWAL_LIMIT, self.records.withdraw_note()).await;
            is_withdrawn = matches!(withdrawn, Ok(Ok(())));
        }
        match (staged, at_once) {
            (Some(Ok(())), _) => {}
            // The connection is lost, and the files may have been put in place before.
            (Some(Err(error)), Some(work)) if !is_withdrawn => {
                self.finished(work, ProjectResult::Unknown, &error.diagnostics);
                let outcome = failed(&work.plan, ProjectResult::Unknown, error.into());
                results.insert(work.name().to_owned(), outcome);
                return self.outcome(results, false, None);
            }
            (Some(Err(error)), _) => {
                return self.outcome(results, false, Some((error, HostState::Unchanged)));
            }
            (None, _) => {
                for work in &busy {
                    self.enter(&mut results, work, Failure::stopped());
                }
                return self.outcome(results, false, None);
            }
        }
        // Every project is checked before anything of any is changed.
        let checks = join_all(busy.iter().map(|work| async {
            let _slot = self.slots.acquire().await;
            let checked = ProjectRun::new(self, work).check().await;
            // Others may still be pulling for long.
            if let Err(failure) = &checked
                && failure.kind == ProjectFailureKind::Failed
            {
                self.finished(work, ProjectResult::NothingChanged, &failure.problems);
            }
            checked
        }));
        // What is under way when a stop is requested (a pull) changes nothing that is live, and ends by
        // itself.
        let checks = async {
            tokio::select! {
                checks = checks => checks,
                () = stop.requested(StopRequest::Graceful), if at_once.is_none() => vec![Err(Failure::stopped()); busy.len()],
            }
        };
        let checks = checks.await;
        let mut able = Vec::new();
        for (work, check) in busy.into_iter().zip(checks) {
            match check {
                Ok(()) => able.push(work),
                Err(failure) if failure.kind == ProjectFailureKind::Lost => {
                    let error = Error::of(Exit::Unreachable, failure.problems);
                    return self.outcome(Results::new(), false, Some((error, HostState::Unchanged)));
                }
                // That has been reported.
                Err(failure) if failure.kind == ProjectFailureKind::Failed => {
                    let outcome = failed(&work.plan, ProjectResult::NothingChanged, failure);
                    results.insert(work.name().to_owned(), outcome);
                }
                Err(failure) => self.enter(&mut results, work, failure),
            }
        }
        self.make_networks(&mut able, &mut results).await;
        self.hold_back(&mut able, &mut results, |work, failure| {
            self.finished(work, ProjectResult::NothingChanged, &failure.problems);
        });
        if self.shared.change()
            && (!able.is_empty() || results.is_empty())
            && let Err((failure, result)) = self.shared.swap_for(&able).await
        {
            let state =
                if result == ProjectResult::Unknown { HostState::Unknown } else { HostState::Unchanged };
            if state == HostState::Unchanged {
                // If that fails, the next run finds that nothing is halfway.
                let _ = self.records.withdraw_note().await;
            }
            let error = Error::of(Exit::RolledBack, failure.problems);
            return self.outcome(results, false, Some((error, state)));
        }
        let runs: Vec<ProjectRun<'_>> = able.into_iter().map(|work| ProjectRun::new(self, work)).collect();
        // Files that other projects read are in place before any project acts on them.
        for run in runs.iter().filter(|run| run.work.goes_first) {
            if let Err((failure, result)) = run.swap().await {
                self.finished(run.work, result, &failure.problems);
                let outcome = failed(&run.work.plan, result, failure);
                results.insert(run.work.name().to_owned(), outcome);
            }
        }
        let runs: Vec<&ProjectRun<'_>> =
            runs.iter().filter(|run| !results.contains_key(run.work.name())).collect();
        results.extend(self.bring_up(&runs).await);
        if stop.is_requested() {
            self.shared.restore_unused(&results).await;
        }
        let mut has_shared = self.shared.are_swapped().await;
        let mut last = Ok(());
        if !stop.is_requested() {
            match self.shared.remove_last(&results).await {
                Ok(are_removed) => has_shared |= are_removed,
                Err(failure) => last = Err(Error::of(Exit::Unforeseen, failure.problems)),
            }
        }
        let prunes = self.task.settings.prune_images
            && !self.task.settings.no_restart
            && !stop.is_requested()
            && results.values().any(|outcome| outcome.result == ProjectResult::Done);
        if prunes {
            // Before the records of releases that are not kept any more have gone.
            self.note_images().await;
        }
        let seen = self.docker.last_seen().await;
        let running = async {
            if stop.is_requested() { Vec::new() } else { self.running_images(&results, &seen).await }
        };
        // Docker is asked while the driver writes the records.
        let closing = self.records.close(&results, has_shared, &seen);
        let (running, closing) = futures_util::future::join(running, closing).await;
        let closing = closing.and(last);
        if closing.is_ok() {
            for (project, image) in running {
                results.entry(project).and_modify(|outcome| outcome.running.push(image));
            }
            if prunes && !stop.is_requested() {
                self.prune_images().await;
            }
        }
        self.outcome(results, has_shared, closing.err().map(|error| (error, HostState::Unknown)))
    }

    /// Reports the projects that have something to do.
    fn planned(&self, busy: &[&ProjectWork]) {
        self.task.observer.on(Event::Planned {
            host: self.name().to_owned(),
            projects: busy.iter().map(|work| work.name().to_owned()).collect(),
            commit: self.task.work.commit.clone(),
        });
    }

    /// Reports that a project is done, with the first of its problems.
    fn finished(&self, work: &ProjectWork, result: ProjectResult, problems: &[Diagnostic]) {
        self.task.observer.on(Event::Finished {
            host: self.name().to_owned(),
            project: work.name().to_owned(),
            result,
            why: problems.first().map(|problem| problem.message.clone()),
        });
    }

    /// Enters and reports a project of which nothing was changed.
    pub(super) fn enter(&self, results: &mut Results, work: &ProjectWork, failure: Failure) {
        self.finished(work, ProjectResult::NothingChanged, &failure.problems);
        let outcome = failed(&work.plan, ProjectResult::NothingChanged, failure);
        results.insert(work.name().to_owned(), outcome);
    }

    /// A project among `able` that is left alone because one with which it exchanges a name or a port is not able:
    /// what has one keeps it until another can come, and what needs one waits until it is free.
    fn held_back(&self, able: &[&ProjectWork]) -> Option<(usize, Failure)> {
        let is_able = |name: &str| able.iter().any(|able| able.name() == name);
        let works = || self.task.work.projects.iter();
        let of = |work: &&ProjectWork| {
            let needs = work.makes_way.iter().find(|holder| !is_able(&holder.project));
            let needs = needs.map(|holder| (holder, holder.path.as_str()));
            let makes = works().filter(|other| !is_able(other.name())).find_map(|other| {
                let holder = other.makes_way.iter().find(|holder| holder.project == work.name())?;
                Some((holder, other.plan.path.as_str()))
            });
            needs.or(makes).map(|(holder, path)| making_way_failed(&holder.name, path))
        };
        if self.task.settings.no_restart {
            return None;
        }
        able.iter().enumerate().find_map(|(index, work)| Some((index, of(work)?)))
    }

    /// Why a project is left alone after the others: one that needs a container of it to make way did not come up.
    fn still_needed(
        &self,
        work: &ProjectWork,
        results: &BTreeMap<&str, watch::Sender<Option<ProjectResult>>>,
    ) -> Option<Failure> {
        work.plan.after.iter().find_map(|name| {
            let other = self.task.work.project(name)?;
            let holder = other.makes_way.iter().find(|holder| holder.project == work.name())?;
            let result = *results.get(name.as_str())?.borrow();
            (result != Some(ProjectResult::Done)).then(|| making_way_failed(&holder.name, &other.plan.path))
        })
    }

    /// Brings projects up, each after those that come before it, the others side by side.
    async fn bring_up(&self, runs: &[&ProjectRun<'_>]) -> Vec<(String, ProjectOutcome)> {
        let gates: BTreeMap<&str, watch::Sender<Option<ProjectResult>>> =
            runs.iter().map(|run| (run.work.name(), watch::Sender::new(None))).collect();
        self.under_way.store(runs.len(), Ordering::Relaxed);
        let one = async |run: &&ProjectRun<'_>| {
            let name = run.work.name();
            for before in &run.work.plan.after {
                if let Some(gate) = gates.get(before.as_str()) {
                    // The sender lives as long as this function.
                    let _ = gate.subscribe().wait_for(Option::is_some).await;
                }
            }
            // Putting files in place is one step of the driver, which takes one after the other.
            if run.acts() {
                run.take_slot().await;
            }
            let outcome = match self.still_needed(run.work, &gates).filter(|_| !self.task.settings.no_restart)
            {
                Some(failure) => run.hold_back(failure).await,
                None => run.deploy().await,
            };
            run.free_slot();
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            self.finished(run.work, outcome.result, &outcome.problems);
            if let Some(gate) = gates.get(name) {
                gate.send_replace(Some(outcome.result));
            }
            (name.to_owned(), outcome)
        };
        join_all(runs.iter().map(one)).await
    }

    /// Makes all checks that come before the first change. Of a failure of the whole host, nothing else is
    /// told.
    pub(super) async fn foresee(&self) -> Result<Foreseen> {
        let busy = self.busy();
        let mut results = Results::new();
        for work in self.task.work.projects.iter().filter(|work| !work.plan.problems.is_empty()) {
            self.finished(work, ProjectResult::NothingChanged, &work.plan.problems);
        }
        if busy.is_empty() {
            return Ok(Foreseen::default());
        }
        self.planned(&busy);
        let (uploaded, ()) =
            futures_util::future::join(self.upload_and_check(&busy, None), self.look_ahead(&busy)).await;
        if let Err(error) = uploaded {
            if error.is_transient || error.exit != Exit::Unreachable {
                return Err(error);
            }
            self.is_staged.store(false, Ordering::Relaxed);
            let message = format!("the projects are not checked with Compose on {}: {error}", self.name());
            let help = error.diagnostics.first().and_then(|problem| problem.help.clone());
            let note = Diagnostic { help, ..Diagnostic::warning(message, None) };
            self.notes.lock().await.push(note);
        }
        let checks = join_all(busy.iter().map(|work| async {
            let _slot = self.slots.acquire().await;
            ProjectRun::new(self, work).check().await
        }));
        let mut able = Vec::new();
        for (work, check) in busy.iter().copied().zip(checks.await) {
            match check {
                Ok(()) => able.push(work),
                Err(failure) if failure.kind == ProjectFailureKind::Lost => {
                    return Err(Error::of(Exit::Unreachable, failure.problems));
                }
                Err(failure) => self.enter(&mut results, work, failure),
            }
        }
        self.hold_back(&mut able, &mut results, |work, failure| {
            self.finished(work, ProjectResult::NothingChanged, &failure.problems);
        });
        let notes = std::mem::take(&mut *self.notes.lock().await);
        let notes = notes.into_iter().chain(self.docker.known_version().and_then(|version| old(&version)));
        let problems = results.into_iter().map(|(name, outcome)| (name, outcome.problems));
        Ok(Foreseen { problems: problems.collect(), notes: notes.collect() })
    }

    /// Takes those out of `able` that are left alone because of another one that failed.
    fn hold_back<'w>(
        &self,
        able: &mut Vec<&'w ProjectWork>,
        results: &mut Results,
        report: impl Fn(&ProjectWork, &Failure),
    ) {
        while let Some((index, failure)) =
            self.shared.held_back(able, results).or_else(|| self.held_back(able))
        {
            let work: &'w ProjectWork = able.remove(index);
            report(work, &failure);
            let outcome = failed(&work.plan, ProjectResult::NothingChanged, failure);
            results.insert(work.name().to_owned(), outcome);
        }
    }

    /// The project whose files are put in place together with the upload: the only one, nothing is asked before, and
    /// what is sent arrives before anybody could stop the run.
    fn goes_at_once<'w>(&self, busy: &[&'w ProjectWork]) -> Option<&'w ProjectWork> {
        let &[only] = busy else { return None };
        let run = ProjectRun::new(self, only);
        let makes_way = self.task.work.projects.iter().any(|work| !work.makes_way.is_empty());
        let sent: u64 =
            only.plan.files.iter().filter_map(|file| file.after.as_ref()).map(|after| after.size).sum();
        let is_asked = run.is_checked() || makes_way || only.is_invalidated || self.shared.change();
        let is_sent = self.task.settings.back_to.is_none() && sent <= AT_ONCE;
        (run.swaps() && !is_asked && is_sent && !self.task.stop.is_requested()).then_some(only)
    }

    /// Stages everything, has the host note the run, and puts the files of `at_once` in place.
    async fn stage(&self, busy: &[&ProjectWork], at_once: Option<&ProjectWork>) -> Result<()> {
        let note = self.records.note(busy)?;
        if self.task.settings.back_to.is_some() {
            // The files come from the host itself.
            self.upload(busy, &[]).await?;
            return Records::noted(&self.task.driver.call(&note).await?);
        }
        if let Some(work) = at_once {
            let mut replies = self.upload(busy, &[note, Command::Swap(unit(work.name()))]).await?.into_iter();
            replies.next().map_or(Ok(()), |reply| Records::noted(&reply))?;
            *self.swapped.lock().await = Some(replies.collect());
            return Ok(());
        }
        let noted = self.upload_and_check(busy, Some(note)).await?;
        noted.map_or(Ok(()), |reply| Records::noted(&reply))
    }

    /// Uploads everything into the stage. Then the host carries `first` out, whose reply is returned, and, if there is
    /// only one project, checks that with Compose. Of several, only so many are checked at a time.
    async fn upload_and_check(&self, busy: &[&ProjectWork], first: Option<Command>) -> Result<Option<Reply>> {
        let only = if let [only] = busy { Some(ProjectRun::new(self, only)) } else { None };
        let check = only.as_ref().and_then(ProjectRun::validation);
        let has_first = first.is_some();
        let then: Vec<Command> = first.into_iter().chain(check.into_iter().flatten()).collect();
        let mut replies = self.upload(busy, &then).await?.into_iter();
        let first = if has_first { replies.next() } else { None };
        if let Some(only) = only.filter(|_| replies.len() > 0) {
            *self.validated.lock().await = Some((only.work.name().to_owned(), replies.collect()));
        }
        Ok(first)
    }

    /// Asks the host, while it gets the files, what the checks and the steps of projects will need.
    async fn look_ahead(&self, busy: &[&ProjectWork]) {
        let acting = || busy.iter().filter(|work| ProjectRun::new(self, work).acts());
        let version = async {
            let is_asked =
                |work: &&ProjectWork| work.wanted.is_some() && ProjectRun::new(self, work).is_checked();
            if busy.iter().any(is_asked) {
                let _ = self.docker.version(&self.task.engine.probe()).await;
            }
        };
        let containers = async {
            if acting().next().is_some() {
                let _ = futures_util::future::join(self.docker.reach(), self.docker.before()).await;
            }
        };
        let images = async {
            let created = acting().flat_map(|work| created_images(work)).collect();
            self.docker.ask_for_images(self.task.engine, created).await;
        };
        let well = async {
            let owes = |work: &&&ProjectWork| {
                let mut actions = work.plan.actions.iter();
                let is_unsettled = self.task.deployed.state.unsettled.contains_key(work.name());
                self.task.settings.no_restart
                    && !is_unsettled
                    && actions.any(|action| action.kind != ActionKind::None)
            };
            // Without an answer it is asked again.
            let _ =
                self.records.ask_for_well(busy.iter().filter(owes).map(|work| work.name()).collect()).await;
        };
        futures_util::future::join4(version, images, containers, well).await;
    }

    /// Uploads everything into the stage. Steps of the driver follow, whose replies are returned; or none of them if
    /// the files come from the host itself.
    async fn upload(&self, busy: &[&ProjectWork], then: &[Command]) -> Result<Vec<Reply>> {
        let only_looks = self.task.only_looks;
        let reads: BTreeSet<RootPath> = match only_looks {
            false => BTreeSet::new(),
            true => busy.iter().filter_map(|work| work.wanted.as_deref()).flat_map(read_by_compose).collect(),
        };
        let is_staged = |file: &FileChange| !only_looks || reads.contains(&file.at);
        let mut units: Vec<Unit> = busy.iter().map(|work| self.unit(work, is_staged)).collect();
        units.extend(self.shared.units(is_staged));
        if self.task.settings.back_to.is_some() {
            return self.stage_on_host(units).await.map(|()| Vec::new());
        }
        let content = Arc::clone(&self.task.content);
        let files = units.iter().map(|unit| unit.files.len()).sum();
        let pack = move |out: &mut dyn std::io::Write| match only_looks {
            false => stage::pack(&units, &*content, out),
            true => stage::pack_to_look(&units, &*content, out),
        };
        let Task { driver, root, .. } = self.task;
        upload(driver, root, Upload { pack, files }, then).await
    }

    /// Stages files that the host has kept.
    async fn stage_on_host(&self, mut units: Vec<Unit>) -> Result<()> {
        for unit in &mut units {
            unit.files.clear();
        }
        let names: Vec<String> = units.iter().map(|unit| unit.name.clone()).collect();
        let pack = move |out: &mut dyn std::io::Write| stage::pack(&units, &|_| None, out);
        let Task { driver, root, .. } = self.task;
        upload(driver, root, Upload { pack, files: 0 }, &[]).await?;
        for name in names {
            let reply = driver.call(&Command::StageKept(name)).await?;
            if !reply.is_ok() {
                let error = Error::new(Exit::RolledBack, reply.output.join("; "));
                return Err(error.help(
                    "go back with the repository: check the commit out and run `ghdeploy sync --allow-older`",
                ));
            }
        }
        Ok(())
    }

    /// The unit of a project's own files, with those that are to be staged.
    fn unit(&self, work: &ProjectWork, is_staged: impl Fn(&FileChange) -> bool) -> Unit {
        let shared: BTreeSet<&RootPath> = self.task.work.shared.files.iter().map(|file| &file.at).collect();
        let own = work.plan.files.iter().filter(|file| !shared.contains(&file.at) && is_staged(file));
        let own: Vec<&FileChange> = own.collect();
        let wanted = work.wanted.as_deref();
        // A directory that a container mounts stays, or the container would keep a deleted one.
        let services = wanted.into_iter().flat_map(|wanted| wanted.model.services.values());
        let inputs = services.flat_map(|service| &service.reads).filter(|read| read.how.is_input());
        let mut stays: BTreeSet<RootPath> = inputs.map(|read| read.path.clone()).collect();
        for path in work.manifest.0.keys() {
            stays.extend(std::iter::successors(path.parent(), RootPath::parent));
        }
        let reads = wanted.map(read_by_compose).unwrap_or_default();
        let mut unit =
            Unit::new(&unit(work.name()), &own, &work.manifest, self.task.deployed, &reads, &stays);
        if let Some(way_back) = &work.way_back {
            unit.lead_back(&work.manifest, &way_back.manifest());
        }
        if let Some(recorded) = self.task.deployed.manifests.get(&unit.name) {
            unit.shorten(recorded, &work.manifest);
        }
        unit
    }

    /// The outcome of the host.
    fn outcome(
        &self,
        mut results: Results,
        has_shared: bool,
        failure: Option<(Error, HostState)>,
    ) -> HostOutcome {
        let work = self.task.work;
        let changed = has_shared || results.values().any(|project| project.result == ProjectResult::Done);
        let owes = |plan: &ProjectPlan| self.task.settings.no_restart && !plan.actions.is_empty();
        let projects = work.projects.iter().map(|ProjectWork { plan, .. }| {
            results.remove(&plan.name).unwrap_or_else(|| {
                match (&failure, plan.problems.is_empty(), plan.is_empty()) {
                    // Nothing but actions that stay owed.
                    (None, true, _) if owes(plan) => {
                        outcome_of(plan, ProjectResult::Done, ActionResult::Owed)
                    }
                    (None, true, _) | (Some(_), true, true) => {
                        outcome_of(plan, ProjectResult::Unchanged, ActionResult::Skipped)
                    }
                    _ => outcome_of(plan, ProjectResult::NothingChanged, ActionResult::Skipped),
                }
            })
        });
        let projects = projects.collect();
        let before = self.task.deployed.state.release;
        let release = if changed { self.task.deployed.state.next_release() } else { before };
        let (removed_images, warnings) = self.pruned.lock().map(|noted| noted.clone()).unwrap_or_default();
        let failure = failure.map(|(error, state)| HostFailure {
            exit: error.exit,
            diagnostics: error.diagnostics,
            state,
        });
        HostOutcome {
            name: work.host.clone(),
            release: Some(release).filter(|release| *release > 0),
            back_to: self.task.settings.back_to.filter(|_| changed).map(|to| to.release),
            changed,
            notes: work
                .notes
                .iter()
                .cloned()
                .chain(self.docker.known_version().and_then(|version| old(&version)))
                .chain(warnings)
                .collect(),
            networks: self.made_networks.lock().map(|made| made.clone()).unwrap_or_default(),
            removed_images,
            projects,
            failure,
        }
    }
}

/// A note that the engine is older than the oldest that is supported.
fn old(version: &str) -> Option<Diagnostic> {
    let why = too_old(version)?;
    let message =
        format!("Docker Compose on the host is too old: {why}, and may fail in the middle of a deploy");
    Some(Diagnostic::warning(message, None).help(format!("{PACKAGES}, in a newer version")))
}

/// Why a project is left alone: the container `name` makes way only if the project at `path` is deployed too.
fn making_way_failed(name: &str, path: &str) -> Failure {
    let message = format!("container `{name}` makes way only together with {path}, which failed");
    Failure::new(
        Diagnostic::error(message, None)
            .help(format!("fix {path} first: nothing is taken down before the new container can come")),
    )
}
