//! What is recorded on the host: the state while projects are worked on, and the release at the end.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use tokio::sync::Mutex;

use super::Task;
use super::way_back::last_well;
use crate::base::error::{Error, Exit, Result};
use crate::host::releases::{releases, state_of};
use crate::host::{Command, Driver, ReleaseImages, Reply};
use crate::outcome::history::{Release, ReleasedProject, RunNote};
use crate::outcome::{ActionResult, ProjectOutcome, ProjectResult};
use crate::plan::{Action, ActionKind, MakesWay, ProjectWork, while_acting};
use crate::state::container::{Container, Containers};
use crate::state::deployed::{ProjectState, State, Unsettled, UsedImages};

/// The records of a host, as an apply changes them.
pub(super) struct Records<'a> {
    task: &'a Task<'a>,
    driver: &'a Driver,
    /// What is recorded by now.
    state: Mutex<State>,
    /// The last release in which each project was well, for those that were asked for.
    well: Mutex<BTreeMap<String, Option<u64>>>,
}

impl<'a> Records<'a> {
    pub(super) fn new(task: &'a Task<'a>) -> Self {
        Self {
            task,
            driver: task.driver,
            state: Mutex::new(task.work.noted.as_ref().unwrap_or(&task.deployed.state).clone()),
            well: Mutex::default(),
        }
    }

    /// The number of the release in the making.
    fn release(&self) -> u64 {
        self.task.deployed.state.next_release()
    }

    /// Records what is known by now and owes no action. Not to have it recorded is no failure: the next run
    /// knows it, too.
    pub(super) async fn write_noted(&self) {
        if self.task.work.noted.is_some() {
            let json = to_json(&*self.state.lock().await);
            if let Ok(json) = json {
                let written = self.write_state(json).await;
                tracing::debug!(is_ok = written.is_ok(), "state noted");
            }
        }
    }

    /// Records a project as `recorded`, or as not deployed.
    pub(super) async fn write(&self, project: &str, recorded: Option<ProjectState>) -> Result<()> {
        let json = {
            let mut state = self.state.lock().await;
            replace(&mut state, project, recorded);
            to_json(&*state)?
        };
        self.write_state(json).await
    }

    /// Does the same after a rollback. If the host does not take the record, the project is not as recorded, and
    /// no later record of another one may say so.
    pub(super) async fn write_back(&self, project: &str, recorded: Option<ProjectState>) -> Result<()> {
        self.write_or_revert(project, recorded, false).await
    }

    /// Records a project that is healthy again, or not deployed any more; it is no longer unsettled.
    pub(super) async fn settle(&self, project: &str, recorded: Option<ProjectState>) -> Result<()> {
        self.write_or_revert(project, recorded, true).await
    }

    async fn write_or_revert(
        &self,
        project: &str,
        recorded: Option<ProjectState>,
        is_settled: bool,
    ) -> Result<()> {
        let (before, json) = {
            let mut state = self.state.lock().await;
            let before = state.clone();
            replace(&mut state, project, recorded);
            if is_settled {
                state.unsettled.remove(project);
            }
            (before, to_json(&*state)?)
        };
        let written = self.write_state(json).await;
        if written.is_err() {
            let mut state = self.state.lock().await;
            let State { mut projects, mut unsettled, .. } = before;
            replace(&mut state, project, projects.remove(project));
            state.unsettled.extend(unsettled.remove(project).map(|old| (project.to_owned(), old)));
        }
        written
    }

    /// Records that services are about to act. Until the result is recorded, what they run with is unknown.
    pub(super) async fn write_acting(&self, work: &ProjectWork) -> Result<()> {
        let acting = self.acting(work).await?;
        self.send(&acting).await
    }

    /// The command for that, which must be sent before any other record.
    pub(super) async fn acting(&self, work: &ProjectWork) -> Result<Command> {
        // No release has it yet.
        let unknown = || ProjectState { services: BTreeMap::new(), release: 0, ..work.state.clone() };
        let recorded = work.recorded.clone().unwrap_or_else(unknown);
        let acting = while_acting(&recorded, &work.state, &work.plan.actions);
        let mut state = self.state.lock().await;
        replace(&mut state, work.name(), Some(acting));
        Ok(Command::State(to_json(&*state)?))
    }

    /// Records that a container of another project has made way: unless that project is deployed, or the container is
    /// started again, it owes its service an `up`.
    pub(super) async fn write_parked(&self, holder: &MakesWay) -> Result<()> {
        let Some(recorded) = self.task.deployed.state.projects.get(&holder.project) else { return Ok(()) };
        let up = Action { kind: ActionKind::Up, service: Some(holder.service.clone()), reasons: Vec::new() };
        let recorded = while_acting(recorded, recorded, &[up]);
        self.write(&holder.project, Some(recorded)).await
    }

    /// Records that a container of another project runs again.
    pub(super) async fn write_unparked(&self, holder: &MakesWay) -> Result<()> {
        self.write(&holder.project, self.task.deployed.state.projects.get(&holder.project).cloned()).await
    }

    /// Records what the containers of a project run with now. With `is_owed` its actions were left out, and
    /// their services keep the old record, so that the next sync owes them. `seen` are the containers at the last
    /// look. Unless services have acted, nothing is lost if the run ends here, and the record is only written with the
    /// release; `is_last`: that comes next.
    pub(super) async fn write_done(
        &self,
        work: &ProjectWork,
        is_owed: bool,
        has_acted: bool,
        is_last: bool,
        seen: &[Container],
    ) -> Result<()> {
        let mut project = work.state.clone();
        for (name, service) in project.services.iter_mut().filter(|_| has_acted) {
            let own = seen.iter().filter(|container| container.is_of(&work.state.project, name));
            let mut own = own.filter(|container| !container.is_oneoff()).peekable();
            if own.peek().is_some() {
                service.completed = own.all(Container::has_succeeded);
            }
        }
        if is_owed {
            let owed = work.plan.actions.iter().filter(|action| action.kind != ActionKind::None);
            for service in owed.filter_map(|action| action.service.as_ref()) {
                match work.recorded.as_ref().and_then(|recorded| recorded.services.get(service)) {
                    Some(recorded) => drop(project.services.insert(service.clone(), recorded.clone())),
                    None => drop(project.services.remove(service)),
                }
            }
        }
        let json = {
            let mut state = self.state.lock().await;
            let mut left = work.plan.actions.iter().filter(|_| is_owed).chain(&work.plan.owed);
            if !left.any(|action| action.kind != ActionKind::None) {
                state.unsettled.remove(work.name());
            }
            state.projects.insert(work.name().to_owned(), project);
            to_json(&*state)?
        };
        if has_acted && !is_last { self.write_state(json).await } else { Ok(()) }
    }

    /// Compose's names of the projects of this root, also of those that this run takes down.
    pub(super) async fn compose_projects(&self) -> BTreeSet<String> {
        let state = self.state.lock().await;
        let projects = state.projects.values().chain(self.task.deployed.state.projects.values());
        projects.map(|project| project.project.clone()).collect()
    }

    /// Notes images that releases use; they are recorded with the release.
    pub(super) async fn use_images(&self, used: UsedImages) {
        let mut state = self.state.lock().await;
        for (id, names) in used {
            state.images.entry(id).or_default().extend(names);
        }
    }

    /// The images that releases are known to have used.
    pub(super) async fn known_images(&self) -> UsedImages {
        self.state.lock().await.images.clone()
    }

    /// Records that images are gone.
    pub(super) async fn forget_images(&self, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let json = {
            let mut state = self.state.lock().await;
            state.images.retain(|id, _| !ids.contains(id));
            to_json(&*state)?
        };
        self.write_state(json).await
    }

    async fn write_state(&self, json: String) -> Result<()> {
        self.send(&Command::State(json)).await
    }

    async fn send(&self, record: &Command) -> Result<()> {
        Self::written(&self.driver.call(record).await?)
    }

    /// What the reply to a record means.
    pub(super) fn written(reply: &Reply) -> Result<()> {
        if reply.is_ok() {
            return Ok(());
        }
        let words = reply.output.join("; ");
        Err(Error::unforeseen(format!("the state could not be written on the host: {words}")))
    }

    /// The command that notes that this run is about to change these projects. Until the note is removed, the next
    /// run takes it for one that was cut off.
    pub(super) fn note(&self, busy: &[&ProjectWork]) -> Result<Command> {
        let deployed = self.task.deployed;
        let has_container = |work: &ProjectWork| match &deployed.containers {
            Containers::Known(all) => all.iter().any(|container| container.project == work.state.project),
            // When in doubt, there is one.
            _ => true,
        };
        let is_absent =
            |work: &&&ProjectWork| work.recorded.is_none() && !work.was_deployed && !has_container(work);
        let planned = |work: &&ProjectWork| {
            let released = ReleasedProject { change: work.plan.change, result: ProjectResult::Interrupted };
            (work.name().to_owned(), released)
        };
        let note = RunNote {
            line: Release { cut_off: true, ..self.line(busy.iter().map(planned).collect()) },
            absent: busy.iter().filter(is_absent).map(|work| work.name().to_owned()).collect(),
        };
        Ok(Command::Note(to_json(&note)?))
    }

    /// What the reply to the note means.
    pub(super) fn noted(reply: &Reply) -> Result<()> {
        if reply.is_ok() {
            return Ok(());
        }
        let message = format!("the run could not be noted on the host: {}", reply.output.join("; "));
        Err(Error::new(Exit::Unreachable, message)
            .help("make room below the root, and make .ghdeploy writable"))
    }

    /// Removes the note of a run that has changed nothing.
    pub(super) async fn withdraw_note(&self) -> Result<()> {
        self.driver.call(&Command::Note(String::new())).await.map(drop)
    }

    /// Line of the history about this run.
    fn line(&self, projects: BTreeMap<String, ReleasedProject>) -> Release {
        let settings = self.task.settings;
        Release {
            release: self.release(),
            commit: self.task.work.commit.clone(),
            at: settings.at.clone(),
            actor: settings.actor.clone(),
            run_url: settings.run_url.clone(),
            back_to: settings.back_to.map(|to| to.release),
            cut_off: false,
            projects,
        }
    }

    /// Asks for the last release in which each of these projects was well, unless that is known.
    pub(super) async fn ask_for_well(
        &self,
        mut names: BTreeSet<&str>,
    ) -> Result<BTreeMap<String, Option<u64>>> {
        let mut known = self.well.lock().await;
        names.retain(|name| !known.contains_key(*name));
        if !names.is_empty() {
            let last = self.task.deployed.state.release;
            // Mostly it is the last one.
            let state = if last > 0 { state_of(self.driver, last).await? } else { None };
            let (in_last, older): (BTreeSet<&str>, _) = names.iter().partition(|name| {
                state.as_ref().is_some_and(|state| {
                    state.projects.contains_key(**name) && !state.unsettled.contains_key(**name)
                })
            });
            known.extend(in_last.into_iter().map(|name| (name.to_owned(), Some(last))));
            names = older;
        }
        if !names.is_empty() {
            let kept = match self.task.deployed.state.release {
                0 => Vec::new(),
                _ => releases(self.driver).await?.kept,
            };
            let well = last_well(self.driver, &kept, names.clone()).await?;
            let of = |name: &str| well.get(name).map(|(release, _)| *release);
            known.extend(names.into_iter().map(|name| (name.to_owned(), of(name))));
        }
        Ok(known.clone())
    }

    /// Records the projects that are halfway now, or whose services are still to act.
    async fn unsettle(&self, results: &BTreeMap<String, ProjectOutcome>) -> Result<()> {
        let mut state = self.state.lock().await;
        let is_owed = |outcome: &ProjectOutcome| {
            outcome.result == ProjectResult::Done
                && outcome.actions.iter().any(|action| action.result == ActionResult::Owed)
        };
        let left = results.values().filter(|outcome| is_halfway(outcome) || is_owed(outcome));
        let left: Vec<&ProjectOutcome> =
            left.filter(|outcome| !state.unsettled.contains_key(&outcome.name)).collect();
        if left.is_empty() {
            return Ok(());
        }
        let well = self.ask_for_well(left.iter().map(|outcome| outcome.name.as_str()).collect()).await?;
        for outcome in left {
            let well = well.get(&outcome.name).copied().flatten();
            if well.is_some() || is_halfway(outcome) {
                let unsettled = Unsettled { run: self.release(), well, was_absent: false };
                state.unsettled.insert(outcome.name.clone(), unsettled);
            }
        }
        Ok(())
    }

    /// Writes the release, or, if none was made but a project is halfway, that the run was cut off, and clears the
    /// stage. `seen` are the containers at the last look, or nothing.
    pub(super) async fn close(
        &self,
        results: &BTreeMap<String, ProjectOutcome>,
        has_shared: bool,
        seen: &[Container],
    ) -> Result<()> {
        let settings = self.task.settings;
        let is_release = has_shared || results.values().any(|outcome| outcome.result == ProjectResult::Done);
        let images = match seen {
            [] => ReleaseImages::ListedLater,
            seen => ReleaseImages::Known(seen.iter().filter_map(image_line).collect()),
        };
        let mut commands = Vec::new();
        if is_release || results.values().any(is_halfway) {
            self.unsettle(results).await?;
            let mut state = self.state.lock().await;
            if is_release {
                state.release = self.release();
                state.cut_off = None;
                state.commit.clone_from(&self.task.work.commit);
                state.at = Some(settings.at.clone());
                if let Some(newest) = &settings.newest {
                    state.newest = Some(newest.clone());
                }
                state.back_to = settings.back_to.filter(|to| to.is_whole).map(|to| to.release);
                // An older version may not have recorded this.
                for work in self.task.work.projects.iter().filter(|work| work.plan.is_empty()) {
                    if let (Some(_), Some(recorded)) = (&work.wanted, state.projects.get_mut(work.name())) {
                        recorded.reads.clone_from(&work.state.reads);
                    }
                }
            } else {
                state.cut_off = Some(self.release());
            }
            commands.push(Command::State(to_json(&*state)?));
            commands.extend(is_release.then_some(Command::Release { number: self.release(), images }));
            let project = |outcome: &ProjectOutcome| {
                let ProjectOutcome { change, result, .. } = *outcome;
                (outcome.name.clone(), ReleasedProject { change, result })
            };
            let line = self.line(results.values().map(project).collect());
            commands.push(Command::History(to_json(&Release { cut_off: !is_release, ..line })?));
        }
        commands.push(Command::Note(String::new()));
        let written = commands.len();
        // The driver clears the stage by itself once its jobs have ended: a stopped run does not wait for
        // them.
        if !self.task.stop.is_requested() {
            let stay: BTreeSet<u64> = {
                let state = self.state.lock().await;
                state.unsettled.values().filter_map(|unsettled| unsettled.well).collect()
            };
            commands.push(Command::Finish { keep: settings.keep, stay: stay.into_iter().collect() });
        }
        // Sent together: the driver runs them one after the other.
        let replies = join_all(commands.iter().map(|command| self.driver.call(command))).await;
        // A stage that could not be cleared is cleared by the next run.
        for reply in replies.into_iter().take(written) {
            let reply = reply?;
            if !reply.is_ok() {
                let words = reply.output.join("; ");
                return Err(Error::unforeseen(format!(
                    "the release could not be recorded on the host: {words}"
                )));
            }
        }
        Ok(())
    }
}

/// The line about a container in the list of a release's images.
fn image_line(container: &Container) -> Option<String> {
    let Container { image, project, service, image_name, .. } = container;
    (!container.is_oneoff()).then(|| format!("{image} {project} {service} {image_name}"))
}

/// Replaces or removes the record of a project.
fn replace(state: &mut State, project: &str, recorded: Option<ProjectState>) {
    match recorded {
        Some(recorded) => drop(state.projects.insert(project.to_owned(), recorded)),
        None => drop(state.projects.remove(project)),
    }
}

/// Whether a project was left halfway.
fn is_halfway(outcome: &ProjectOutcome) -> bool {
    matches!(outcome.result, ProjectResult::Interrupted | ProjectResult::Unknown)
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::unforeseen(error.to_string()))
}
