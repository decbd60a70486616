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

mod heal;
pub mod health;
mod hooks;
mod images;
mod project;
mod release;
mod rollback;
mod services;
pub mod stage;
pub mod stop;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Mutex, OnceCell, Semaphore, watch};

use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, HostState, Result};
use crate::base::path::RootPath;
use crate::host::{Command, Driver, Transport, Upload, upload};
use crate::outcome::event::{Event, Observer};
use crate::outcome::{
    ActionOutcome, ActionResult, HookOutcome, HostOutcome, ProjectOutcome, ProjectResult, ServiceLog,
};
use crate::plan::{FileChange, ProjectChange, ProjectPlan, Work};
use crate::state::container::Container;
use crate::state::deployed::{Commit, Deployed, SHARED, State, unit};
use crate::state::wanted::{Wanted, WantedProject};
use stage::{Source, Unit};
use stop::{Stop, Urgency};

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
    /// How many releases the host keeps, at least 1.
    pub keep: u32,
    /// Whether images that are built of the repository must be the tested ones, out of a registry.
    pub require_tested: bool,
    /// The newest commit that was ever deployed once this is; `None`: as before.
    pub newest: Option<Commit>,
    /// What is gone back to: then the host has the content of all files.
    pub back_to: Option<BackTo>,
    /// The time of the release, RFC 3339.
    pub at: String,
    /// Who makes it, for the history.
    pub actor: Option<String>,
    /// The page of the workflow run, for the history.
    pub run_url: Option<String>,
}

/// What a rollback goes back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackTo {
    /// The release.
    pub release: u64,
    /// Whether all projects go back.
    pub is_whole: bool,
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
    /// Whether somebody wants it to end before it is through.
    pub stop: Stop,
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
    /// The containers as they were seen last.
    seen: Mutex<Vec<Container>>,
    /// What became of the shared files.
    shared: Mutex<Shared>,
    /// What became of the hooks of a project so far, in their order.
    hooked: Mutex<BTreeMap<String, Vec<ActionResult>>>,
}

/// What became of the shared files so far.
#[derive(Debug, Default)]
struct Shared {
    /// Whether they are in place.
    swapped: bool,
    /// The projects that act on changed ones and have not failed.
    readers: BTreeSet<String>,
}

/// Why a project was not deployed, and what of it is on the host.
#[derive(Debug, Clone, Default)]
struct Failure {
    problems: Vec<Diagnostic>,
    logs: Vec<ServiceLog>,
    /// Whether the host is gone, so that nothing more can be done there.
    lost: bool,
    /// Whether it is no failure: somebody wanted it to end.
    is_stopped: bool,
    /// Whether no service had acted by then.
    is_early: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { lost: error.exit == Exit::Unreachable, problems: error.diagnostics, ..Self::default() }
    }
}

impl Failure {
    fn new(problem: Diagnostic) -> Self {
        Self { problems: vec![problem], ..Self::default() }
    }
}

/// Carries out a plan. What fails is in the outcome.
pub async fn apply(task: Task<'_>) -> HostOutcome {
    let state = Mutex::new(task.deployed.state.clone());
    let apply = Apply {
        task,
        state,
        before: OnceCell::new(),
        seen: Mutex::default(),
        shared: Mutex::default(),
        hooked: Mutex::default(),
    };
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
            commit: self.task.wanted.commit.clone(),
        });
        let uploaded = tokio::select! {
            uploaded = self.upload(&ready) => uploaded,
            () = self.task.stop.wanted(Urgency::InOrder) => {
                let stopped = |plan: &&ProjectPlan| {
                    let outcome = self.failed(plan, ProjectResult::NothingChanged, Failure::stopped());
                    (plan.name.clone(), outcome)
                };
                return self.outcome(ready.iter().map(stopped).collect(), false, None);
            }
        };
        if let Err(error) = uploaded {
            return self.outcome(results, false, Some((error, HostState::Unchanged)));
        }
        // Every project is checked before anything of any is changed.
        let permits = Semaphore::new(PARALLEL_PROJECTS);
        let checks = join_all(ready.iter().map(|plan| async {
            let _permit = permits.acquire().await;
            self.prepare(plan).await
        }));
        // What is under way by then (an image that is pulled) changes nothing that is live, and ends by itself.
        let checks = tokio::select! {
            checks = checks => checks,
            () = self.task.stop.wanted(Urgency::InOrder) => vec![Err(Failure::stopped()); ready.len()],
        };
        let mut able = Vec::new();
        let mut lost = None;
        for (plan, check) in ready.into_iter().zip(checks) {
            match check {
                Ok(()) => able.push(plan),
                Err(failure) => {
                    lost = lost.or_else(|| failure.lost.then(|| failure.problems.clone()));
                    let failed = self.failed(plan, ProjectResult::NothingChanged, failure);
                    results.insert(plan.name.clone(), failed);
                }
            }
        }
        if let Some(diagnostics) = lost {
            let error = Error::of(Exit::Unreachable, diagnostics);
            return self.outcome(BTreeMap::new(), false, Some((error, HostState::Unchanged)));
        }
        self.hold_back(&mut able, &mut results);
        if has_shared
            && (!able.is_empty() || results.is_empty())
            && let Err((failure, result)) = self.swap_shared(&able).await
        {
            let state =
                if result == ProjectResult::Unknown { HostState::Unknown } else { HostState::Unchanged };
            let error = Error::of(Exit::RolledBack, failure.problems);
            return self.outcome(results, false, Some((error, state)));
        }
        // Files that other projects read are there before anybody acts on them.
        for plan in able.iter().filter(|plan| self.task.work.projects[&plan.name].goes_first) {
            if let Err((failure, result)) = self.swap_project(plan).await {
                results.insert(plan.name.clone(), self.failed(plan, result, failure));
            }
        }
        able.retain(|plan| !results.contains_key(&plan.name));
        for (name, outcome) in self.bring_up(&able, &permits).await {
            results.insert(name, outcome);
        }
        self.put_shared_back(&results).await;
        let shared = self.shared.lock().await.swapped;
        let closing = self.close(&results, shared).await;
        if closing.is_ok() && !self.task.stop.is_wanted() {
            self.note_images(&mut results).await;
        }
        self.outcome(results, shared, closing.err().map(|error| (error, HostState::Unknown)))
    }

    /// Changed shared files go in for all of their readers or for none: a project that failed its check
    /// must not find new files below it. So whoever shares one with it waits, too.
    fn hold_back<'p>(&self, able: &mut Vec<&'p ProjectPlan>, results: &mut BTreeMap<String, ProjectOutcome>) {
        let shared = &self.task.work.plan.shared;
        let changes = |plan: &ProjectPlan| -> Vec<RootPath> {
            let is_shared = |file: &&FileChange| shared.iter().any(|shared| shared.at == file.at);
            plan.files.iter().filter(is_shared).map(|file| file.at.clone()).collect()
        };
        let plans = &self.task.work.plan.projects;
        loop {
            let failed: Vec<&ProjectPlan> = plans
                .iter()
                .filter(|plan| results.contains_key(&plan.name) || !plan.problems.is_empty())
                .collect();
            let held = able.iter().enumerate().find_map(|(index, plan)| {
                let mine = changes(plan);
                let with =
                    failed.iter().find(|failed| changes(failed).iter().any(|path| mine.contains(path)))?;
                Some((index, with.name.clone()))
            });
            let Some((index, with)) = held else { return };
            let plan: &'p ProjectPlan = able.remove(index);
            let problem = Diagnostic::error(
                format!("it shares a changed file with {with}, which failed its check"),
                None,
            )
            .help(format!("mend {with} first: shared files go in for all of their readers at once"));
            results.insert(
                plan.name.clone(),
                self.failed(plan, ProjectResult::NothingChanged, Failure::new(problem)),
            );
        }
    }

    async fn swap_shared(&self, able: &[&ProjectPlan]) -> Result<(), (Failure, ProjectResult)> {
        let is_able = |plan: &ProjectPlan| able.iter().any(|able| able.name == plan.name);
        let waits = self.task.work.plan.projects.iter().any(|plan| self.reads_shared(plan) && !is_able(plan));
        if waits {
            return Ok(());
        }
        self.swap(SHARED).await?;
        let mut shared = self.shared.lock().await;
        shared.swapped = true;
        let acts = |plan: &&&ProjectPlan| self.reads_shared(plan) && !plan.actions.is_empty();
        shared.readers = able.iter().filter(acts).map(|plan| plan.name.clone()).collect();
        Ok(())
    }

    /// Puts shared files back when a run was stopped before anybody acted on them.
    async fn put_shared_back(&self, results: &BTreeMap<String, ProjectOutcome>) {
        let mut shared = self.shared.lock().await;
        let is_as_before =
            |result| matches!(result, ProjectResult::NothingChanged | ProjectResult::RolledBack);
        let readers = self.task.work.plan.projects.iter().filter(|plan| self.reads_shared(plan));
        let mut results = readers.filter_map(|plan| results.get(&plan.name));
        if shared.swapped && self.task.stop.is_wanted() && results.all(|outcome| is_as_before(outcome.result))
        {
            let reply = self.task.driver.call(&Command::Restore(SHARED.to_owned())).await;
            shared.swapped = !reply.is_ok_and(|reply| reply.is_ok());
        }
    }

    /// Whether a project reads a shared file that changes.
    fn reads_shared(&self, plan: &ProjectPlan) -> bool {
        let shared = &self.task.work.plan.shared;
        plan.files.iter().any(|file| shared.iter().any(|shared| shared.at == file.at))
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
            units.push(Unit::new(SHARED, &changes, manifest, self.task.deployed, &[], &BTreeSet::new()));
        }
        if self.task.settings.back_to.is_some() {
            return self.stage_on_host(units).await;
        }
        let content = Arc::clone(&self.task.content);
        let files = units.iter().map(|unit| unit.files.len()).sum();
        let bytes = units.iter().map(Unit::bytes).sum();
        let pack = move |out: &mut dyn std::io::Write| stage::pack(&units, &*content, out);
        upload(self.task.driver, self.task.transport, self.task.root, Upload { pack, files, bytes }).await
    }

    /// Stages files that the host has kept.
    async fn stage_on_host(&self, mut units: Vec<Unit>) -> Result<()> {
        for unit in &mut units {
            unit.files.clear();
        }
        let names: Vec<String> = units.iter().map(|unit| unit.name.clone()).collect();
        let bytes = units.iter().map(Unit::bytes).sum();
        let pack = move |out: &mut dyn std::io::Write| stage::pack(&units, &|_| None, out);
        upload(self.task.driver, self.task.transport, self.task.root, Upload { pack, files: 0, bytes })
            .await?;
        for name in names {
            let reply = self.task.driver.call(&Command::Fetch(name)).await?;
            if !reply.is_ok() {
                let error = Error::new(Exit::RolledBack, reply.output.join("; "));
                return Err(error.help(
                    "go back with the repository: check the commit out and run `ghdeploy sync --allow-older`",
                ));
            }
        }
        Ok(())
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
        Unit::new(&name, &own, &work.manifest, self.task.deployed, &reads, &stays)
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

/// The plan of a project with the same result on every action and hook.
fn told(plan: &ProjectPlan, result: ProjectResult, actions: ActionResult) -> ProjectOutcome {
    ProjectOutcome {
        name: plan.name.clone(),
        path: plan.path.clone(),
        change: plan.change,
        images: plan.images.clone(),
        files: plan.files.clone(),
        actions: plan
            .actions
            .iter()
            .map(|action| ActionOutcome { action: action.clone(), result: actions })
            .collect(),
        hooks: plan.hooks.iter().map(|hook| HookOutcome { hook: hook.clone(), result: actions }).collect(),
        running: Vec::new(),
        kept: Vec::new(),
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
