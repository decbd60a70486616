//! A host and a project under way: what carrying their plan out takes, and what its parts share.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

use super::docker::Docker;
use super::engine::Call;
use super::failure::Failure;
use super::records::Records;
use super::shared::SharedFiles;
use super::stage::Source;
use super::words::{self, Failed, Vocabulary};
use super::{PARALLEL_PROJECTS, Task};
use crate::base::diagnostic::Diagnostic;
use crate::base::path::RootPath;
use crate::host::Reply;
use crate::outcome::event::Event;
use crate::outcome::{ActionOutcome, ActionResult, HookOutcome, ProjectOutcome, ProjectResult, RemovedImage};
use crate::plan::{ActionKind, ProjectPlan, ProjectWork};
use crate::state::container::Container;

/// Largest file in which names for messages are looked up, in bytes.
const MAX_SOURCE: u64 = 1 << 20;

/// One host under way.
pub(super) struct HostRun<'a> {
    pub(super) task: &'a Task<'a>,
    pub(super) docker: Docker<'a>,
    pub(super) records: Records<'a>,
    pub(super) shared: SharedFiles<'a>,
    /// Folders below the root that services mount and the host lacked when their projects were checked.
    pub(super) missing_folders: Mutex<BTreeMap<String, Vec<RootPath>>>,
    /// Images that were removed, and warnings about those that were not.
    pub(super) pruned: std::sync::Mutex<(Vec<RemovedImage>, Vec<Diagnostic>)>,
    /// Names of the networks that were made.
    pub(super) made_networks: std::sync::Mutex<Vec<String>>,
    /// Whether the stage holds what Compose is to read.
    pub(super) is_staged: AtomicBool,
    /// What a run that only looks cannot know.
    pub(super) notes: Mutex<Vec<Diagnostic>>,
    /// The replies to the check of a project with Compose that went along with the upload, with its name.
    pub(super) validated: Mutex<Option<(String, Vec<Reply>)>>,
    /// The reply to the swap of the only project, if that went along with the upload.
    pub(super) swapped: Mutex<Option<Vec<Reply>>>,
    /// How many projects are still to be brought up, those among them that are under way.
    pub(super) under_way: AtomicUsize,
    /// How many projects may be worked on at a time. One that waits until its services are healthy does not count.
    pub(super) slots: Semaphore,
}

impl<'a> HostRun<'a> {
    pub(super) fn new(task: &'a Task<'a>) -> Self {
        Self {
            task,
            docker: Docker::new(task.driver, task.settings.log_lines, &task.deployed.containers),
            records: Records::new(task),
            shared: SharedFiles::new(task.driver, task.work, task.deployed),
            missing_folders: Mutex::default(),
            pruned: std::sync::Mutex::default(),
            made_networks: std::sync::Mutex::default(),
            is_staged: AtomicBool::new(true),
            notes: Mutex::default(),
            validated: Mutex::default(),
            swapped: Mutex::default(),
            under_way: AtomicUsize::new(0),
            slots: Semaphore::new(PARALLEL_PROJECTS),
        }
    }

    /// The host's name.
    pub(super) fn name(&self) -> &str {
        &self.task.work.host
    }
}

/// One project under way.
pub(super) struct ProjectRun<'a> {
    pub(super) host: &'a HostRun<'a>,
    pub(super) work: &'a ProjectWork,
    /// Results of its hooks so far, in their order.
    pub(super) hooks: Mutex<Vec<ActionResult>>,
    /// The first call of its steps and the reply, if it went along with the swap.
    pub(super) ahead: Mutex<Option<(Call, Reply)>>,
    /// The containers right after its last operation, if they were seen then.
    pub(super) seen: Mutex<Option<Vec<Container>>>,
    /// Its place among the projects that are worked on, while it has one.
    slot: std::sync::Mutex<Option<SemaphorePermit<'a>>>,
}

impl<'a> ProjectRun<'a> {
    pub(super) fn new(host: &'a HostRun<'a>, work: &'a ProjectWork) -> Self {
        Self {
            host,
            work,
            hooks: Mutex::default(),
            ahead: Mutex::default(),
            seen: Mutex::default(),
            slot: std::sync::Mutex::default(),
        }
    }

    /// Waits for a place among the projects that are worked on.
    pub(super) async fn take_slot(&self) {
        let slot = self.host.slots.acquire().await.ok();
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = slot;
    }

    /// Gives its place to another project. Returns whether it had one.
    pub(super) fn free_slot(&self) -> bool {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    /// Whether the engine has anything to do for the project.
    pub(super) fn acts(&self) -> bool {
        let mut actions = self.work.plan.actions.iter();
        !self.host.task.settings.no_restart && actions.any(|action| action.kind != ActionKind::None)
    }

    /// What may be named in messages about the project.
    pub(super) fn vocabulary(&self) -> Vocabulary<'_> {
        let model = self.work.wanted.as_deref().map(|wanted| &wanted.model);
        let text = |path: &RootPath| match (self.host.task.content)(path)? {
            Source::File(file) => {
                let is_small = |data: std::fs::Metadata| data.is_file() && data.len() <= MAX_SOURCE;
                let is_read = std::fs::metadata(&file).is_ok_and(is_small);
                is_read.then(|| std::fs::read_to_string(file).ok()).flatten()
            }
            Source::Link(_) => None,
        };
        let sources = model.map(words::sources).unwrap_or_default();
        let texts = sources.into_iter().filter_map(|path| Some((self.shown(path), text(path)?)));
        Vocabulary::new(model, texts.collect())
    }

    /// Says why a call failed.
    pub(super) fn explain(&self, call: &Call, output: &[String]) -> Diagnostic {
        let vocabulary = self.vocabulary();
        // The driver keeps there what a failed command printed: by the time that anyone looks, the files that
        // made it fail have been rolled back.
        let log = format!("{}/.ghdeploy/failed.log on the host", self.host.task.root);
        let see = match self.host.task.only_looks {
            false => format!("all of it is at the end of {log}"),
            true => format!("`ghdeploy sync` keeps all of it in {log}"),
        };
        let version = self.host.docker.known_version().filter(|_| matches!(call, Call::Compose(_)));
        let failed = Failed { what: &call.name(), see: Some(&see), version: version.as_deref() };
        words::explain(failed, output, &vocabulary)
    }

    /// The path in the repository of a file of the project; of others, the path below the root.
    fn shown(&self, path: &RootPath) -> String {
        let wanted = self.work.wanted.as_deref();
        let inside = wanted.and_then(|wanted| {
            let inside = path.as_str().strip_prefix(wanted.model.dir.as_str())?;
            Some(format!("{}/{}", wanted.path, inside.strip_prefix('/')?))
        });
        inside.unwrap_or_else(|| path.to_string())
    }

    /// Reports that a step begins.
    pub(super) fn report(&self, step: impl Into<String>) {
        self.host.task.observer.on(Event::Step {
            host: self.host.name().to_owned(),
            project: self.work.name().to_owned(),
            step: step.into(),
        });
    }
}

/// The plan of a project with the same result for every action and hook.
pub(super) fn outcome_of(plan: &ProjectPlan, result: ProjectResult, actions: ActionResult) -> ProjectOutcome {
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
        back_to: None,
        problems: plan.problems.clone(),
        logs: Vec::new(),
    }
}

/// The outcome of a project that failed before any action was done.
pub(super) fn failed(plan: &ProjectPlan, result: ProjectResult, failure: Failure) -> ProjectOutcome {
    let outcome = outcome_of(plan, result, ActionResult::Skipped);
    ProjectOutcome { problems: failure.problems, logs: failure.logs, ..outcome }
}
