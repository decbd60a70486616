//! The way back: files, images and containers of a project as they were before.

use std::collections::BTreeSet;

use super::project::back_failed;
use super::services::{acted, restarts};
use super::words::explain;
use super::{Apply, Failure};
use crate::base::error::Result;
use crate::host::{Command, Place, Reply};
use crate::plan::{ActionKind, ProjectPlan};
use crate::state::container::{Container, ContainerState, HealthStatus};
use crate::state::deployed::{SHARED, unit};

impl Apply<'_> {
    /// Brings back what was there before: files, images, containers, records.
    /// When no service has acted (`is_early`), none is touched.
    pub(super) async fn roll_back(&self, plan: &ProjectPlan, is_early: bool) -> Result<(), Failure> {
        self.bring_back(plan, is_early).await?;
        // Its services run with shared files that others keep: what is noted while they act stays.
        if self.reads_shared(plan) && self.shared.lock().await.swapped {
            return Ok(());
        }
        let recorded = self.task.work.projects[&plan.name].recorded.clone();
        self.note(plan, recorded).await.map_err(|error| Failure::new(back_failed(&error.to_string())))
    }

    async fn bring_back(&self, plan: &ProjectPlan, is_early: bool) -> Result<(), Failure> {
        self.step(plan, "roll back");
        let work = &self.task.work.projects[&plan.name];
        let (project, dir) = (&work.state.project, &work.state.dir);
        let failed = |what: &str| Failure::new(back_failed(what));
        let before: Vec<&Container> = self
            .before()
            .await
            .map_err(|error| failed(&error.to_string()))?
            .iter()
            .filter(|c| c.project == *project && !c.is_oneoff())
            .collect();
        let ran: BTreeSet<&str> = before.iter().map(|container| container.service.as_str()).collect();
        // What this deploy has brought goes while the files that describe it are still there.
        let acted = acted(plan);
        for service in acted.iter().filter(|service| !ran.contains(service.as_str())) {
            let command = Command::Remove { project: project.clone(), service: service.clone() };
            self.done(self.task.driver.call(&command).await, "removing what is new")?;
        }
        if before.is_empty() {
            self.done(self.compose_at(dir, Place::Live, &["down"]).await, "docker compose down")?;
        }
        self.done(
            self.task.driver.call(&Command::Restore(unit(&plan.name))).await,
            "putting the files back",
        )?;
        if self.is_last_reader(plan).await {
            self.done(
                self.task.driver.call(&Command::Restore(SHARED.to_owned())).await,
                "putting shared files back",
            )?;
        }
        let mut tags: BTreeSet<(&str, &str)> = BTreeSet::new();
        for container in before.iter().filter(|c| {
            !c.image_name.starts_with("sha256:") && !c.image_name.contains('@') && c.image_name != c.image
        }) {
            tags.insert((&container.image, &container.image_name));
        }
        for (image, name) in tags {
            // An image that is gone cannot be tagged; the `up` below says so if that matters.
            let _ = self
                .task
                .driver
                .call(&Command::Docker(["tag", image, name].map(str::to_owned).to_vec()))
                .await;
        }
        let again: Vec<&str> = acted
            .iter()
            .map(String::as_str)
            .chain(removed(plan))
            .filter(|service| ran.contains(service))
            .collect();
        if again.is_empty() || is_early {
            return Ok(());
        }
        let now = self.containers().await.map_err(|error| failed(&error.to_string()))?;
        self.heal(plan, &now).await.map_err(|failure| failed(&failure.problems[0].message))?;
        let options = ["--no-build", "--pull", "never"];
        self.done(self.up(plan, &options, again.clone()).await, "docker compose up")?;
        let now = self.containers().await.map_err(|error| failed(&error.to_string()))?;
        let same = |service: &str| {
            now.iter().any(|c| {
                c.project == *project && c.service == service && before.iter().any(|old| old.id == c.id)
            })
        };
        let content: Vec<&str> = again.iter().copied().filter(|service| same(service)).collect();
        if !content.is_empty() {
            for argv in restarts(&content, project, &now) {
                self.done(self.compose_at(dir, Place::Live, &argv).await, "docker compose restart")?;
            }
        }
        let well: Vec<String> = again
            .iter()
            .filter(|service| {
                before.iter().any(|c| {
                    c.service == **service
                        && c.state == ContainerState::Running
                        && c.health != Some(HealthStatus::Unhealthy)
                })
            })
            .map(ToString::to_string)
            .collect();
        match self.wait(plan, &well, self.task.settings.stable_for).await {
            Ok(()) => Ok(()),
            Err((failure, _)) => Err(failed(
                &failure
                    .problems
                    .iter()
                    .map(|problem| problem.message.clone())
                    .collect::<Vec<_>>()
                    .join("; "),
            )),
        }
    }

    /// Whether shared files have changed for this project and for no other that still acts on them.
    async fn is_last_reader(&self, plan: &ProjectPlan) -> bool {
        let mut shared = self.shared.lock().await;
        let is_last = shared.swapped && shared.readers.remove(&plan.name) && shared.readers.is_empty();
        shared.swapped &= !is_last;
        is_last
    }

    fn done(&self, reply: Result<Reply>, what: &str) -> Result<(), Failure> {
        match reply {
            Ok(reply) if reply.is_ok() => Ok(()),
            Ok(reply) => Err(Failure::new(back_failed(&explain(what, &reply.output).message))),
            Err(error) => Err(Failure::new(back_failed(&error.to_string()))),
        }
    }
}

fn removed(plan: &ProjectPlan) -> impl Iterator<Item = &str> {
    plan.actions
        .iter()
        .filter(|action| action.kind == ActionKind::Remove)
        .filter_map(|action| action.service.as_deref())
}
