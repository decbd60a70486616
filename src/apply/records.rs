//! What is recorded on the host: the state while projects are worked on, and the release at the end.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use tokio::sync::Mutex;

use super::Task;
use crate::base::error::{Error, Result};
use crate::host::{Command, Driver};
use crate::outcome::history::{Release, ReleasedProject};
use crate::outcome::{ProjectOutcome, ProjectResult};
use crate::plan::{Action, ActionKind, MakesWay, ProjectWork, while_acting};
use crate::state::container::Container;
use crate::state::deployed::{ProjectState, State};

/// The records of a host, as an apply changes them.
pub(super) struct Records<'a> {
    task: &'a Task<'a>,
    driver: &'a Driver,
    /// What is recorded by now.
    state: Mutex<State>,
}

impl<'a> Records<'a> {
    pub(super) fn new(task: &'a Task<'a>) -> Self {
        Self {
            task,
            driver: task.driver,
            state: Mutex::new(task.work.noted.as_ref().unwrap_or(&task.deployed.state).clone()),
        }
    }

    /// The number of the release in the making.
    fn release(&self) -> u64 {
        self.task.deployed.state.release + 1
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
            match recorded {
                Some(recorded) => drop(state.projects.insert(project.to_owned(), recorded)),
                None => drop(state.projects.remove(project)),
            }
            to_json(&*state)?
        };
        self.write_state(json).await
    }

    /// Records that services are about to act. Until the result is recorded, what they run with is unknown.
    pub(super) async fn write_acting(&self, work: &ProjectWork) -> Result<()> {
        let unknown = || ProjectState { services: BTreeMap::new(), ..work.state.clone() };
        let recorded = work.recorded.clone().unwrap_or_else(unknown);
        let acting = while_acting(&recorded, &work.state, &work.plan.actions);
        self.write(work.name(), Some(acting)).await
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
    /// look. Unless services have acted,
    /// nothing is lost if the run ends here, and the record is only written with the release.
    pub(super) async fn write_done(
        &self,
        work: &ProjectWork,
        is_owed: bool,
        has_acted: bool,
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
            state.release = self.release();
            state.commit.clone_from(&self.task.work.commit);
            state.at = Some(self.task.settings.at.clone());
            state.projects.insert(work.name().to_owned(), project);
            to_json(&*state)?
        };
        if has_acted { self.write_state(json).await } else { Ok(()) }
    }

    async fn write_state(&self, json: String) -> Result<()> {
        let reply = self.driver.call(&Command::State(json)).await?;
        if reply.is_ok() {
            return Ok(());
        }
        let words = reply.output.join("; ");
        Err(Error::unforeseen(format!("the state could not be written on the host: {words}")))
    }

    /// Writes the release, if there is one, and clears the stage.
    pub(super) async fn close(
        &self,
        results: &BTreeMap<String, ProjectOutcome>,
        has_shared: bool,
    ) -> Result<()> {
        let settings = self.task.settings;
        let finish = Command::Finish { keep: settings.keep };
        // The driver clears the stage by itself once its jobs have ended: a stopped run does not wait for
        // them.
        let is_stopped = self.task.stop.is_requested();
        if !has_shared && results.values().all(|outcome| outcome.result != ProjectResult::Done) {
            return if is_stopped { Ok(()) } else { self.driver.call(&finish).await.map(drop) };
        }
        let state = {
            let mut state = self.state.lock().await;
            state.release = self.release();
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
            to_json(&*state)?
        };
        let project = |outcome: &ProjectOutcome| {
            let ProjectOutcome { change, result, .. } = *outcome;
            (outcome.name.clone(), ReleasedProject { change, result })
        };
        let line = to_json(&Release {
            release: self.release(),
            commit: self.task.work.commit.clone(),
            at: settings.at.clone(),
            actor: settings.actor.clone(),
            run_url: settings.run_url.clone(),
            back_to: settings.back_to.map(|to| to.release),
            projects: results.values().map(project).collect(),
        })?;
        // Sent together: the driver runs them one after the other.
        let commands = [Command::State(state), Command::History(line), Command::Release(self.release())];
        let written = commands.len();
        let commands: Vec<Command> = commands.into_iter().chain((!is_stopped).then_some(finish)).collect();
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

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::unforeseen(error.to_string()))
}
