//! One project on its way: checked before anything is touched, swapped in, acted on, or taken back.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{explain, unset_variables};
use super::{Apply, Failure, told};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit};
use crate::base::path::looks_like_a_file;
use crate::compose::model::{How, Service};
use crate::host::facts::types;
use crate::host::{Command, Place, Reply};
use crate::outcome::{ActionResult, ProjectOutcome, ProjectResult};
use crate::plan::{ActionKind, ProjectChange, ProjectPlan, acting};
use crate::state::deployed::{Found, ProjectState, unit};
use crate::state::wanted::WantedProject;

impl Apply<'_> {
    /// Checks all that can be checked of a project before anything of it changes.
    pub(super) async fn prepare(&self, plan: &ProjectPlan) -> Result<(), Failure> {
        let Some(project) = self.project(plan) else {
            // A project that is taken down: Compose is asked with the files that are there.
            return if self.acts(plan) {
                self.before().await.map(drop).map_err(Failure::from)
            } else {
                Ok(())
            };
        };
        let own_unit = unit(&plan.name);
        let defines = |path| super::read_by_compose(project).contains(path);
        let redefined =
            plan.change == ProjectChange::Added || plan.files.iter().any(|file| defines(&file.at));
        if self.acts(plan) {
            self.before().await?;
            self.check_sources(plan, project).await?;
        }
        if !redefined {
            if !self.acts(plan) {
                return Ok(());
            }
            self.check_compose(plan).await?;
            // What Compose reads is on the host already; what it is to run may not be.
            return match self.tested(plan, project).is_empty() {
                true => Ok(()),
                false => self.pull(plan, project, Place::Live).await,
            };
        }
        if !self.acts(plan) && !self.has_docker().await {
            return Ok(());
        }
        self.step(plan, "check with Compose");
        self.expect("staging", self.task.driver.call(&Command::Candidate(own_unit.clone())).await?)?;
        let place = Place::Candidate { unit: own_unit };
        let reply = self.compose_at(&project.model.dir, place.clone(), &["config", "-q"]).await?;
        if !reply.is_ok() {
            return Err(Failure::new(explain("docker compose config", &reply.output)));
        }
        let unset = unset_variables(&reply.output);
        if !unset.is_empty() {
            let names = unset.join(", ");
            return Err(Failure::new(Diagnostic::error(format!("not set on the host: {names}"), None).help(
                format!(
                    "set them in {}/{}/.env on the host, or give a default: ${{{}:-}}",
                    self.task.root, project.model.dir, unset[0]
                ),
            )));
        }
        self.pull(plan, project, place).await
    }

    /// Whether Docker has anything to do for the project.
    pub(super) fn acts(&self, plan: &ProjectPlan) -> bool {
        !self.task.settings.no_restart && plan.actions.iter().any(|action| action.kind != ActionKind::None)
    }

    async fn has_docker(&self) -> bool {
        let reply =
            self.task.driver.call(&Command::Docker(vec!["compose".to_owned(), "version".to_owned()])).await;
        reply.is_ok_and(|reply| reply.is_ok())
    }

    async fn check_compose(&self, plan: &ProjectPlan) -> Result<(), Failure> {
        self.step(plan, "check Compose");
        let reply =
            self.task.driver.call(&Command::Docker(vec!["compose".to_owned(), "version".to_owned()])).await?;
        if reply.is_ok() {
            Ok(())
        } else {
            Err(Failure::new(explain("docker compose version", &reply.output)))
        }
    }

    /// Pulls images that the host does not have. The old containers run on meanwhile.
    async fn pull(&self, plan: &ProjectPlan, project: &WantedProject, place: Place) -> Result<(), Failure> {
        let pulls = |service: &Service| service.image.is_some() && service.build.is_none();
        let services = plan
            .actions
            .iter()
            .filter(|action| matches!(action.kind, ActionKind::Up | ActionKind::Recreate))
            .filter_map(|action| action.service.as_deref());
        let services: Vec<&str> =
            services.filter(|name| project.model.services.get(*name).is_some_and(pulls)).collect();
        let tested = self.tested(plan, project);
        if (services.is_empty() && tested.is_empty()) || !self.acts(plan) {
            return Ok(());
        }
        self.step(plan, "pull images");
        // A tag that the host has already may mean another image by now.
        let names = tested.iter().map(|(name, _)| *name).collect();
        for (policy, services) in [(&["missing", "--ignore-buildable"][..], services), (&["always"], names)] {
            if services.is_empty() {
                continue;
            }
            let argv: Vec<&str> =
                ["pull", "--quiet", "--policy"].iter().chain(policy).chain(&services).copied().collect();
            let reply = self.compose_at(&project.model.dir, place.clone(), &argv).await?;
            if !reply.is_ok() {
                return Err(Failure::new(explain("pulling images", &reply.output)));
            }
        }
        self.check_tested(plan, &tested).await
    }

    /// Checks bind sources that only the host has: Docker makes a directory, owned by root, of what
    /// is missing, also where a file is meant.
    async fn check_sources(&self, plan: &ProjectPlan, project: &WantedProject) -> Result<(), Failure> {
        let acting: BTreeSet<&str> = plan
            .actions
            .iter()
            .filter(|action| !matches!(action.kind, ActionKind::Remove | ActionKind::None))
            .filter_map(|action| action.service.as_deref())
            .collect();
        let mut asked = Vec::new();
        for (name, service) in
            project.model.services.iter().filter(|(name, _)| acting.contains(name.as_str()))
        {
            for read in service.reads.iter().filter(|read| read.kind.is_none() && read.how.is_input()) {
                let must_be_file = matches!(read.how, How::Config | How::Secret)
                    || looks_like_a_file(read.path.as_str())
                    || read.target.as_deref().is_some_and(looks_like_a_file);
                asked.push((name, read.path.to_string(), must_be_file, &read.at));
            }
            for (source, at) in service.host_binds.iter().filter(|(source, _)| !source.contains("${")) {
                asked.push((name, source.clone(), looks_like_a_file(source), at));
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let paths: Vec<String> = asked.iter().map(|(_, path, _, _)| path.clone()).collect();
        let found = types(self.task.driver, &paths).await?;
        let mut problems = Vec::new();
        for ((service, path, must_be_file, at), found) in asked.into_iter().zip(found) {
            let what = match found {
                Found::Missing if must_be_file => "is neither in the repository nor on the host",
                Found::Directory if must_be_file => "is a directory on the host, though a file is meant",
                _ => continue,
            };
            let help = if what.starts_with("is a dir") {
                "Docker makes such a directory when the file is missing: remove it if it is empty, and put the file there"
            } else {
                "add it to the repository, or put it on the host first; Docker would make a directory in its place"
            };
            problems.push(
                Diagnostic::error(
                    format!("service `{service}` mounts {path}, which {what}"),
                    Some(at.clone()),
                )
                .help(help),
            );
        }
        if problems.is_empty() { Ok(()) } else { Err(Failure { problems, ..Failure::default() }) }
    }

    /// Deploys a project that has been checked.
    pub(super) async fn deploy(&self, plan: &ProjectPlan) -> ProjectOutcome {
        let work = &self.task.work.projects[&plan.name];
        let (acts, owed) = (self.acts(plan), self.task.settings.no_restart);
        if self.task.stop.is_wanted() && !work.goes_first {
            return self.failed(plan, ProjectResult::NothingChanged, Failure::stopped());
        }
        if plan.change == ProjectChange::Removed {
            return self.take_down(plan, &work.state).await;
        }
        if !work.goes_first
            && let Err((failure, result)) = self.swap_project(plan).await
        {
            return self.failed(plan, result, failure);
        }
        if acts && self.task.stop.is_wanted() {
            return self.put_back(plan).await;
        }
        let mut outcome =
            told(plan, ProjectResult::Done, if owed { ActionResult::Owed } else { ActionResult::Done });
        for action in outcome.actions.iter_mut().filter(|action| action.action.kind == ActionKind::None) {
            action.result = ActionResult::Done;
        }
        if acts && let Err((mut failure, at)) = self.act(plan).await {
            if failure.is_stopped {
                let mut outcome = self.failed(plan, ProjectResult::Interrupted, failure);
                self.tell_hooks(plan, &mut outcome).await;
                outcome.actions.iter_mut().for_each(|action| action.result = ActionResult::Owed);
                return outcome;
            }
            if failure.logs.is_empty() && self.task.settings.log_lines > 0 {
                failure.logs = self.logs_of_failed(plan).await;
            }
            let back = self.roll_back(plan, failure.is_early).await;
            let problems = std::mem::take(&mut failure.problems)
                .into_iter()
                .chain(back.err().into_iter().flat_map(|failure| failure.problems))
                .collect::<Vec<_>>();
            let failure_is_early = failure.is_early;
            let result = if problems.iter().any(|problem| problem.message.starts_with(ROLLBACK_FAILED)) {
                ProjectResult::Unknown
            } else {
                ProjectResult::RolledBack
            };
            let mut outcome = self.failed(plan, result, Failure { problems, ..failure });
            self.tell_hooks(plan, &mut outcome).await;
            for (number, action) in outcome.actions.iter_mut().enumerate() {
                action.result = match number.cmp(&at) {
                    _ if failure_is_early => ActionResult::Skipped,
                    std::cmp::Ordering::Less => ActionResult::Done,
                    std::cmp::Ordering::Equal => ActionResult::Failed,
                    std::cmp::Ordering::Greater => ActionResult::Skipped,
                };
            }
            return outcome;
        }
        if let Err(error) = self.record(plan, owed, acts).await {
            return self.failed(plan, ProjectResult::Unknown, error.into());
        }
        outcome
    }

    /// Puts the files of a project back that was stopped before its services acted. Shared ones stay: they
    /// are others', too, and what reads them is owed.
    async fn put_back(&self, plan: &ProjectPlan) -> ProjectOutcome {
        match self.task.driver.call(&Command::Restore(unit(&plan.name))).await {
            Ok(reply) if reply.is_ok() => {
                self.failed(plan, ProjectResult::NothingChanged, Failure::stopped())
            }
            Ok(reply) => {
                self.failed(plan, ProjectResult::Unknown, Failure::new(back_failed(&reply.output.join("; "))))
            }
            Err(error) => self.failed(plan, ProjectResult::Unknown, error.into()),
        }
    }

    /// Swaps the files of a project in, if any of them or the books about them change.
    pub(super) async fn swap_project(&self, plan: &ProjectPlan) -> Result<(), (Failure, ProjectResult)> {
        let work = &self.task.work.projects[&plan.name];
        // Before the files that show it are replaced.
        if work.drifted {
            let noted = self.note(plan, work.recorded.clone()).await;
            noted.map_err(|error| (error.into(), ProjectResult::NothingChanged))?;
        }
        if !work.needs_record && plan.files.is_empty() {
            return Ok(());
        }
        self.step(plan, "swap files");
        self.swap(&unit(&plan.name)).await
    }

    /// Takes a project down that has left the repository: containers, then managed files.
    async fn take_down(&self, plan: &ProjectPlan, state: &ProjectState) -> ProjectOutcome {
        self.step(plan, "take down");
        if plan.actions.iter().any(|action| action.kind == ActionKind::Down) {
            if let Err(error) = self.note_acting(plan).await {
                return self.failed(plan, result_of(&error), error.into());
            }
            if let Err(failure) = self.down(&plan.name, state).await {
                return self.failed(plan, ProjectResult::Unknown, failure);
            }
        }
        // The containers are gone by now, whatever became of the files.
        if let Err((failure, _)) = self.swap(&unit(&plan.name)).await {
            return self.failed(plan, ProjectResult::Unknown, failure);
        }
        if let Err(error) = self.note(plan, None).await {
            return self.failed(plan, ProjectResult::Unknown, error.into());
        }
        let kept = self.kept(state).await;
        ProjectOutcome { kept, ..told(plan, ProjectResult::Done, ActionResult::Done) }
    }

    /// What is left of a project that was taken down. It is told only: not to know it is no failure.
    async fn kept(&self, state: &ProjectState) -> Vec<String> {
        let label = format!("label=com.docker.compose.project={}", state.project);
        let list = ["volume", "ls", "-q", "--filter", &label].map(str::to_owned).to_vec();
        // Without Docker there may be volumes all the same.
        let volumes = match self.task.settings.no_restart {
            true => None,
            false => self.task.driver.call(&Command::Docker(list)).await.ok(),
        };
        let files = self.task.driver.call(&Command::Left(state.dir.clone())).await;
        let volumes = volumes.filter(Reply::is_ok).into_iter().flat_map(|reply| reply.output);
        let files = files.into_iter().flat_map(|reply| reply.output);
        let volumes = volumes.map(|volume| format!("volume {volume}"));
        volumes.chain(files.map(|file| format!("{}/{file}", state.dir))).collect()
    }

    async fn down(&self, name: &str, state: &ProjectState) -> Result<(), Failure> {
        if self.task.deployed.manifests.contains_key(&unit(name)) {
            let down = self.compose_at(&state.dir, Place::Live, &["down"]).await?;
            return self.expect("docker compose down", down).map(drop);
        }
        // An earlier run was cut off after the files had gone: there is nothing left to ask Compose with.
        for service in self.recorded_services(name) {
            let command = Command::Remove { project: state.project.clone(), service };
            self.expect("removing containers", self.task.driver.call(&command).await?)?;
        }
        Ok(())
    }

    fn recorded_services(&self, name: &str) -> Vec<String> {
        let recorded = self.task.deployed.state.projects.get(name);
        recorded.into_iter().flat_map(|recorded| recorded.services.keys().cloned()).collect()
    }

    /// Swaps the files of a unit in; half a swap is undone.
    pub(super) async fn swap(&self, unit: &str) -> Result<(), (Failure, ProjectResult)> {
        let driver = self.task.driver;
        let failure = match driver.call(&Command::Swap(unit.to_owned())).await {
            Ok(reply) if reply.is_ok() => return Ok(()),
            Ok(reply) => Failure::new(Diagnostic::error(
                format!("the files could not be put in place: {}", reply.output.join("; ")),
                None,
            )),
            Err(error) => return Err((error.into(), ProjectResult::Unknown)),
        };
        match driver.call(&Command::Restore(unit.to_owned())).await {
            Ok(reply) if reply.is_ok() => Err((failure, ProjectResult::NothingChanged)),
            Ok(reply) => Err((with(failure, back_failed(&reply.output.join("; "))), ProjectResult::Unknown)),
            Err(error) => Err((with(failure, back_failed(&error.to_string())), ProjectResult::Unknown)),
        }
    }

    /// Notes on the host what is recorded of a project, or that nothing is.
    pub(super) async fn note(&self, plan: &ProjectPlan, recorded: Option<ProjectState>) -> Result<(), Error> {
        let json = {
            let mut state = self.state.lock().await;
            match recorded {
                Some(recorded) => drop(state.projects.insert(plan.name.clone(), recorded)),
                None => drop(state.projects.remove(&plan.name)),
            }
            serde_json::to_string(&*state).map_err(|error| Error::unforeseen(error.to_string()))?
        };
        self.write_state(json).await
    }

    /// Notes that services are about to act. Until what comes of it is recorded, nobody knows what
    /// they run with.
    pub(super) async fn note_acting(&self, plan: &ProjectPlan) -> Result<(), Error> {
        let work = &self.task.work.projects[&plan.name];
        let unknown = || ProjectState { services: BTreeMap::new(), ..work.state.clone() };
        let recorded = work.recorded.clone().unwrap_or_else(unknown);
        self.note(plan, Some(acting(&recorded, &work.state, &plan.actions))).await
    }

    async fn write_state(&self, json: String) -> Result<(), Error> {
        let reply = self.task.driver.call(&Command::State(json)).await?;
        if reply.is_ok() {
            return Ok(());
        }
        Err(Error::unforeseen(format!(
            "the state could not be written on the host: {}",
            reply.output.join("; ")
        )))
    }

    /// Notes what the containers run with now; a service with an action that was not carried out
    /// keeps its old record, so that the next sync owes it.
    async fn record(&self, plan: &ProjectPlan, owed: bool, write: bool) -> Result<(), Error> {
        let work = &self.task.work.projects[&plan.name];
        let mut project = work.state.clone();
        if owed {
            for service in plan
                .actions
                .iter()
                .filter(|action| action.kind != ActionKind::None)
                .filter_map(|action| action.service.as_ref())
            {
                match work.recorded.as_ref().and_then(|recorded| recorded.services.get(service)) {
                    Some(recorded) => drop(project.services.insert(service.clone(), recorded.clone())),
                    None => drop(project.services.remove(service)),
                }
            }
        }
        let json = {
            let mut state = self.state.lock().await;
            state.release = self.task.deployed.state.release + 1;
            state.commit.clone_from(&self.task.wanted.commit);
            state.at = Some(self.task.settings.at.clone());
            state.projects.insert(plan.name.clone(), project);
            serde_json::to_string(&*state).map_err(|error| Error::unforeseen(error.to_string()))?
        };
        // Without actions nothing is lost if the run ends here: the closing write has it.
        if write { self.write_state(json).await } else { Ok(()) }
    }

    pub(super) fn expect(&self, what: &str, reply: Reply) -> Result<Reply, Failure> {
        if reply.is_ok() { Ok(reply) } else { Err(Failure::new(explain(what, &reply.output))) }
    }
}

/// How the message of a failed way back begins.
pub(super) const ROLLBACK_FAILED: &str = "the way back failed";

pub(super) fn back_failed(why: &str) -> Diagnostic {
    Diagnostic::error(format!("{ROLLBACK_FAILED}: {why}"), None).help("look at the host: `ghdeploy status`; replaced files are in .ghdeploy/objects; the next `ghdeploy sync` tries again")
}

/// What is known of a project whose record could not be written before anything of it was changed.
fn result_of(error: &Error) -> ProjectResult {
    if error.exit == Exit::Unreachable { ProjectResult::Unknown } else { ProjectResult::NothingChanged }
}

fn with(mut failure: Failure, more: Diagnostic) -> Failure {
    failure.problems.push(more);
    failure
}
