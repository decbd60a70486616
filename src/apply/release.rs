//! The end of an apply: the release is written down, and the outcome is put together.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::{Apply, told};
use crate::base::error::{Error, HostState, Result};
use crate::host::Command;
use crate::outcome::history::{Release, ReleasedProject};
use crate::outcome::{ActionResult, HostFailure, HostOutcome, ProjectOutcome, ProjectResult};
use crate::plan::ProjectPlan;

impl Apply<'_> {
    /// Writes the release down and clears the stage.
    pub(super) async fn close(&self, results: &BTreeMap<String, ProjectOutcome>, shared: bool) -> Result<()> {
        let through = results.values().filter(|outcome| outcome.result == ProjectResult::Done);
        let names: Vec<&str> = through.map(|outcome| outcome.name.as_str()).collect();
        let finish = Command::Finish { keep: self.task.settings.keep };
        // The driver clears up by itself once its jobs are through: who was stopped does not wait for them.
        let is_stopped = self.task.stop.is_wanted();
        if names.is_empty() && !shared {
            return if is_stopped { Ok(()) } else { self.task.driver.call(&finish).await.map(drop) };
        }
        let release = self.task.deployed.state.release + 1;
        let state = {
            let mut state = self.state.lock().await;
            state.release = release;
            state.commit.clone_from(&self.task.wanted.commit);
            state.at = Some(self.task.settings.at.clone());
            if let Some(newest) = &self.task.settings.newest {
                state.newest = Some(newest.clone());
            }
            state.back_to = self.task.settings.back_to.filter(|to| to.is_whole).map(|to| to.release);
            serde_json::to_string(&*state).map_err(|error| Error::unforeseen(error.to_string()))?
        };
        let settings = self.task.settings;
        let project = |outcome: &ProjectOutcome| {
            let ProjectOutcome { change, result, .. } = *outcome;
            (outcome.name.clone(), ReleasedProject { change, result })
        };
        let line = Release {
            release,
            commit: self.task.wanted.commit.clone(),
            at: settings.at.clone(),
            actor: settings.actor.clone(),
            run_url: settings.run_url.clone(),
            back_to: settings.back_to.map(|to| to.release),
            projects: results.values().map(project).collect(),
        };
        let line = serde_json::to_string(&line).map_err(|error| Error::unforeseen(error.to_string()))?;
        // Sent together: the driver takes them one after the other.
        let finish = (!is_stopped).then_some(finish);
        let commands = [Command::State(state), Command::History(line), Command::Release(release)];
        let commands: Vec<Command> = commands.into_iter().chain(finish).collect();
        let replies = join_all(commands.iter().map(|command| self.task.driver.call(command))).await;
        // A stage that cannot be cleared is cleared by the next run.
        for reply in replies.into_iter().take(3) {
            let reply = reply?;
            if !reply.is_ok() {
                return Err(Error::unforeseen(format!(
                    "the release could not be written down on the host: {}",
                    reply.output.join("; ")
                )));
            }
        }
        Ok(())
    }

    pub(super) fn outcome(
        &self,
        mut results: BTreeMap<String, ProjectOutcome>,
        shared: bool,
        failure: Option<(Error, HostState)>,
    ) -> HostOutcome {
        let plan = &self.task.work.plan;
        let done = shared || results.values().any(|project| project.result == ProjectResult::Done);
        let owes = |plan: &ProjectPlan| self.task.settings.no_restart && !plan.actions.is_empty();
        let projects = plan.projects.iter().map(|plan| {
            results.remove(&plan.name).unwrap_or_else(|| {
                match (&failure, plan.problems.is_empty(), plan.is_empty()) {
                    // Nothing but what stays owed.
                    (None, true, _) if owes(plan) => told(plan, ProjectResult::Done, ActionResult::Owed),
                    (None, true, _) | (Some(_), true, true) => {
                        told(plan, ProjectResult::Unchanged, ActionResult::Skipped)
                    }
                    _ => told(plan, ProjectResult::NothingChanged, ActionResult::Skipped),
                }
            })
        });
        let projects: Vec<ProjectOutcome> = projects.collect();
        let before = self.task.deployed.state.release;
        let release = if done { Some(before + 1) } else { Some(before).filter(|release| *release > 0) };
        let failure = failure.map(|(error, state)| HostFailure {
            exit: error.exit,
            diagnostics: error.diagnostics,
            state,
        });
        HostOutcome {
            name: plan.name.clone(),
            release,
            back_to: self.task.settings.back_to.filter(|_| done).map(|to| to.release),
            changed: done,
            notes: plan.notes.clone(),
            projects,
            failure,
        }
    }
}
