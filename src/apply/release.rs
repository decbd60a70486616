//! The end of an apply: the release is written down, and the outcome is put together.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::{Apply, told};
use crate::error::{Error, HostState, Result};
use crate::host::Command;
use crate::outcome::{ActionResult, HostFailure, HostOutcome, ProjectOutcome, ProjectResult};
use crate::plan::ProjectPlan;

impl Apply<'_> {
    /// Writes the release down and clears the stage.
    pub(super) async fn close(&self, results: &BTreeMap<String, ProjectOutcome>, shared: bool) -> Result<()> {
        let through = results.values().filter(|outcome| outcome.result == ProjectResult::Done);
        let names: Vec<&str> = through.map(|outcome| outcome.name.as_str()).collect();
        if names.is_empty() && !shared {
            return self.task.driver.call(&Command::Finish).await.map(drop);
        }
        let release = self.task.deployed.state.release + 1;
        let state = {
            let mut state = self.state.lock().await;
            state.release = release;
            state.commit.clone_from(&self.task.wanted.commit);
            state.at = Some(self.task.settings.at.clone());
            serde_json::to_string(&*state).map_err(|error| Error::unforeseen(error.to_string()))?
        };
        let settings = self.task.settings;
        let line = serde_json::json!({
            "release": release, "commit": self.task.wanted.commit, "at": settings.at, "actor": settings.actor, "run_url": settings.run_url,
            "projects": results.values().map(|outcome| (outcome.name.clone(), serde_json::json!({"change": outcome.change, "result": outcome.result}))).collect::<BTreeMap<_, _>>(),
        });
        // Sent together: the driver takes them one after the other.
        let commands = [Command::State(state), Command::History(line.to_string()), Command::Finish];
        let replies = join_all(commands.iter().map(|command| self.task.driver.call(command))).await;
        // A stage that cannot be cleared is cleared by the next run.
        for reply in replies.into_iter().take(2) {
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
            changed: done,
            notes: plan.notes.clone(),
            projects,
            failure,
        }
    }
}
