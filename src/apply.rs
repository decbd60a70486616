//! Carries out a plan on a host: the one place with effects.
//!
//! Owns the order of effects, which is what users' data depends on:
//!
//! 1. upload into the stage; nothing live is touched until all of a project has arrived;
//! 2. for every project: check the candidate with Compose, check bind sources, pull images;
//! 3. shared files, then project by project in order: swap files in, act on services, wait until
//!    they are well, record; or, if that fails, bring the old state back.
//!
//! Decides nothing about what is to be done: that is the plan's business.

pub mod health;
mod project;
mod rollback;
mod services;
pub mod stage;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Mutex, OnceCell, Semaphore, watch};

use crate::deployed::{Deployed, SHARED, State, unit};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, HostState, Result};
use crate::event::{Event, Observer};
use crate::host::{Command, Container, Driver, Transport, upload};
use crate::outcome::{
    ActionOutcome, ActionResult, HostFailure, HostOutcome, ProjectOutcome, ProjectResult, ServiceLog,
};
use crate::path::RootPath;
use crate::plan::{FileChange, ProjectChange, ProjectPlan, Work};
use crate::wanted::{Wanted, WantedProject};
use stage::{Source, Unit};

/// How many projects are worked on at a time: enough to hide waiting, few enough for a small server.
const PARALLEL_PROJECTS: usize = 4;

/// How a plan is carried out.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Files only: Docker is not asked for anything, and the actions stay owed.
    pub no_restart: bool,
    /// How long services may take to get well.
    pub health_timeout: Duration,
    /// How long a service must run without a restart.
    pub stable_for: Duration,
    /// How many of its last log lines are shown of a container that fails.
    pub log_lines: u32,
    /// The time of the release, RFC 3339.
    pub at: String,
    /// Who makes it, for the history.
    pub actor: Option<String>,
    /// The page of the workflow run, for the history.
    pub run_url: Option<String>,
}

/// Where the content of a file below the root comes from.
pub type Content = Arc<dyn Fn(&RootPath) -> Option<Source> + Send + Sync>;

/// What carrying out a plan takes.
#[derive(Clone)]
pub struct Task<'a> {
    /// The plan.
    pub work: &'a Work,
    /// The tree that it was made of.
    pub wanted: &'a Wanted,
    /// What the host had.
    pub deployed: &'a Deployed,
    /// How it is carried out.
    pub settings: &'a Settings,
    /// The root on the host, absolute.
    pub root: &'a str,
    /// The way to the host, for the upload.
    pub transport: &'a dyn Transport,
    /// The driver, which holds the lock.
    pub driver: &'a Driver,
    /// Who is told what happens.
    pub observer: &'a dyn Observer,
    /// The files.
    pub content: Content,
}

impl std::fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("host", &self.work.plan.name).finish_non_exhaustive()
    }
}

/// A task under way.
struct Apply<'a> {
    task: Task<'a>,
    /// What is recorded on the host by now.
    state: Mutex<State>,
    /// The containers as they were before anything was done.
    before: OnceCell<Result<Vec<Container>>>,
}

/// Why a project was not deployed, and what of it is on the host.
#[derive(Debug, Clone, Default)]
struct Failure {
    problems: Vec<Diagnostic>,
    logs: Vec<ServiceLog>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { problems: error.diagnostics, logs: Vec::new() }
    }
}

impl Failure {
    fn new(problem: Diagnostic) -> Self {
        Self { problems: vec![problem], logs: Vec::new() }
    }
}

/// Carries out a plan. What fails is in the outcome.
pub async fn apply(task: Task<'_>) -> HostOutcome {
    let state = Mutex::new(task.deployed.state.clone());
    let apply = Apply { task, state, before: OnceCell::new() };
    let outcome = apply.run().await;
    apply.task.observer.on(Event::Done { host: apply.task.work.plan.name.clone() });
    outcome
}

impl Apply<'_> {
    fn host(&self) -> &str {
        &self.task.work.plan.name
    }

    /// The projects with something to do, in order.
    fn ready(&self) -> Vec<&ProjectPlan> {
        let works = &self.task.work.projects;
        let no_restart = self.task.settings.no_restart;
        let acts = |plan: &ProjectPlan| if no_restart { false } else { !plan.actions.is_empty() };
        let stays = |plan: &ProjectPlan| no_restart && plan.change == ProjectChange::Removed;
        let busy = |plan: &&ProjectPlan| {
            !stays(plan)
                && plan.problems.is_empty()
                && (!plan.files.is_empty()
                    || acts(plan)
                    || works.get(&plan.name).is_some_and(|work| work.needs_record))
        };
        self.task.work.plan.projects.iter().filter(busy).collect()
    }

    async fn run(&self) -> HostOutcome {
        let ready = self.ready();
        let mut results: BTreeMap<String, ProjectOutcome> = BTreeMap::new();
        let has_shared = self.task.work.shared.is_some() || !self.task.work.plan.shared.is_empty();
        if ready.is_empty() && !has_shared {
            return self.outcome(results, false, None);
        }
        self.task.observer.on(Event::Planned {
            host: self.host().to_owned(),
            projects: ready.iter().map(|plan| plan.name.clone()).collect(),
        });
        if let Err(error) = self.upload(&ready).await {
            return self.outcome(results, false, Some((error, HostState::Unchanged)));
        }
        // Every project is checked before anything of any is changed.
        let permits = Semaphore::new(PARALLEL_PROJECTS);
        let checks = join_all(ready.iter().map(|plan| async {
            let _permit = permits.acquire().await;
            self.prepare(plan).await
        }));
        let mut able = Vec::new();
        for (plan, check) in ready.into_iter().zip(checks.await) {
            match check {
                Ok(()) => able.push(plan),
                Err(failure) => drop(
                    results
                        .insert(plan.name.clone(), self.failed(plan, ProjectResult::NothingChanged, failure)),
                ),
            }
        }
        if has_shared
            && (!able.is_empty() || results.is_empty())
            && let Err((failure, result)) = self.swap(SHARED).await
        {
            let state =
                if result == ProjectResult::Unknown { HostState::Unknown } else { HostState::Unchanged };
            let error =
                Error { exit: crate::error::Exit::RolledBack, diagnostics: failure.problems, host: None };
            return self.outcome(results, false, Some((error, state)));
        }
        // Files that other projects read are there before anybody acts on them.
        for plan in able.iter().filter(|plan| self.task.work.projects[&plan.name].goes_first) {
            if let Err((failure, result)) = self.swap_project(plan).await {
                results.insert(plan.name.clone(), self.failed(plan, result, failure));
            }
        }
        able.retain(|plan| !results.contains_key(&plan.name));
        let changed = !able.is_empty() || has_shared;
        for (name, outcome) in self.bring_up(&able, &permits).await {
            results.insert(name, outcome);
        }
        let closing = self.close(&results).await;
        self.outcome(results, changed, closing.err().map(|error| (error, HostState::Unknown)))
    }

    /// Brings projects up, each after those that come before it, the others side by side.
    async fn bring_up(&self, able: &[&ProjectPlan], permits: &Semaphore) -> Vec<(String, ProjectOutcome)> {
        let gates: BTreeMap<&str, watch::Sender<bool>> =
            able.iter().map(|plan| (plan.name.as_str(), watch::Sender::new(false))).collect();
        let one = async |plan: &&ProjectPlan| {
            for name in &plan.after {
                if let Some(gate) = gates.get(name.as_str()) {
                    // The sender lives as long as this function.
                    let _ = gate.subscribe().wait_for(|through| *through).await;
                }
            }
            let outcome = {
                let _permit = permits.acquire().await;
                self.deploy(plan).await
            };
            self.task.observer.on(Event::Finished {
                host: self.host().to_owned(),
                project: plan.name.clone(),
                result: outcome.result,
            });
            if let Some(gate) = gates.get(plan.name.as_str()) {
                gate.send_replace(true);
            }
            (plan.name.clone(), outcome)
        };
        join_all(able.iter().map(one)).await
    }

    async fn upload(&self, ready: &[&ProjectPlan]) -> Result<()> {
        let mut units: Vec<Unit> = ready.iter().map(|plan| self.unit(plan)).collect();
        if let Some(manifest) =
            self.task.work.shared.as_ref().or_else(|| self.task.deployed.manifests.get(SHARED))
        {
            let changes: Vec<&FileChange> = self.task.work.plan.shared.iter().collect();
            units.push(Unit::new(
                SHARED,
                &changes,
                manifest,
                self.task.deployed.manifests.get(SHARED),
                &[],
                &BTreeSet::new(),
            ));
        }
        let content = Arc::clone(&self.task.content);
        upload(self.task.transport, self.task.root, move |out| stage::pack(&units, &*content, out)).await
    }

    fn unit(&self, plan: &ProjectPlan) -> Unit {
        let work = &self.task.work.projects[&plan.name];
        let project = self.project(plan);
        let shared: BTreeSet<&RootPath> = self.task.work.plan.shared.iter().map(|file| &file.at).collect();
        let own: Vec<&FileChange> = plan.files.iter().filter(|file| !shared.contains(&file.at)).collect();
        let reads = project.map(read_by_compose).unwrap_or_default();
        let name = unit(&plan.name);
        // A directory that a container mounts stays, or the container would hold on to a dead one.
        let mounted = project
            .into_iter()
            .flat_map(|project| project.model.services.values())
            .flat_map(|service| &service.reads);
        let mut stays: BTreeSet<RootPath> =
            mounted.filter(|read| read.how.is_input()).map(|read| read.path.clone()).collect();
        for path in work.manifest.0.keys() {
            let mut dir = path.parent();
            while let Some(parent) = dir {
                dir = parent.parent();
                stays.insert(parent);
            }
        }
        Unit::new(&name, &own, &work.manifest, self.task.deployed.manifests.get(&name), &reads, &stays)
    }

    fn project(&self, plan: &ProjectPlan) -> Option<&WantedProject> {
        self.task.wanted.projects.iter().find(|project| project.name == plan.name)
    }

    /// The containers as they were before anything was done; asked once.
    ///
    /// # Errors
    ///
    /// When Docker does not answer.
    async fn before(&self) -> Result<&Vec<Container>> {
        self.before.get_or_init(|| self.containers()).await.as_ref().map_err(Clone::clone)
    }

    /// Writes the release down and clears the stage.
    async fn close(&self, results: &BTreeMap<String, ProjectOutcome>) -> Result<()> {
        let through = results.values().filter(|outcome| outcome.result == ProjectResult::Done);
        let names: Vec<&str> = through.map(|outcome| outcome.name.as_str()).collect();
        if names.is_empty() && self.task.work.plan.shared.is_empty() {
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
        for reply in join_all(commands.iter().map(|command| self.task.driver.call(command))).await {
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

    fn outcome(
        &self,
        mut results: BTreeMap<String, ProjectOutcome>,
        changed: bool,
        failure: Option<(Error, HostState)>,
    ) -> HostOutcome {
        let plan = &self.task.work.plan;
        let left = if self.task.settings.no_restart { ActionResult::Owed } else { ActionResult::Skipped };
        let projects = plan.projects.iter().map(|plan| {
            results.remove(&plan.name).unwrap_or_else(|| {
                match (&failure, plan.problems.is_empty(), plan.is_empty()) {
                    (None, true, _) | (Some(_), true, true) => told(plan, ProjectResult::Unchanged, left),
                    _ => told(plan, ProjectResult::NothingChanged, ActionResult::Skipped),
                }
            })
        });
        let projects: Vec<ProjectOutcome> = projects.collect();
        let done = projects.iter().any(|project| project.result == ProjectResult::Done)
            || (changed && !plan.shared.is_empty());
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

    fn failed(&self, plan: &ProjectPlan, result: ProjectResult, failure: Failure) -> ProjectOutcome {
        let outcome = told(plan, result, ActionResult::Skipped);
        ProjectOutcome { problems: failure.problems, logs: failure.logs, ..outcome }
    }

    fn step(&self, plan: &ProjectPlan, step: impl Into<String>) {
        self.task.observer.on(Event::Step {
            host: self.host().to_owned(),
            project: plan.name.clone(),
            step: step.into(),
        });
    }
}

/// The plan of a project with the same result on every action.
fn told(plan: &ProjectPlan, result: ProjectResult, actions: ActionResult) -> ProjectOutcome {
    ProjectOutcome {
        name: plan.name.clone(),
        path: plan.path.clone(),
        change: plan.change,
        files: plan.files.clone(),
        actions: plan
            .actions
            .iter()
            .map(|action| ActionOutcome { action: action.clone(), result: actions })
            .collect(),
        result,
        problems: plan.problems.clone(),
        logs: Vec::new(),
    }
}

/// The files that Compose itself reads of a project.
fn read_by_compose(project: &WantedProject) -> Vec<RootPath> {
    let definition = project.model.definition_files.iter().map(|file| file.path.clone());
    let reads = project.model.services.values().flat_map(|service| &service.reads);
    let others = reads
        .filter(|read| !read.how.is_input() && read.how != crate::compose::model::How::Build)
        .map(|read| read.path.clone());
    definition.chain(others).collect::<BTreeSet<_>>().into_iter().collect()
}
