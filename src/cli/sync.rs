//! `sync`: brings the hosts to this tree.
//!
//! Owns the order of a run: the tree is read while the connection is made, the host's facts come with
//! the first exec, the plan follows from both, and an apply follows from the plan.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::OnceCell;

use super::Context;
use super::args::SyncArgs;
use super::hosts::{Target, selection};
use crate::apply::stage::Source;
use crate::apply::{Content, Settings, Task, apply};
use crate::compose::Files;
use crate::config::globs::ProjectGlobs;
use crate::deployed::{Deployed, SHARED, unit};
use crate::error::{Error, Exit, HostState, Result};
use crate::event::{Event, Observer};
use crate::host::facts::{facts, holder_in_words, open, probe_new};
use crate::host::{Command, Driver, Transport};
use crate::manifest::Manifest;
use crate::outcome::{HostFailure, HostOutcome, Outcome};
use crate::plan::{self, HostPlan, Options, Plan, VERSION, Work};
use crate::report::progress::observer;
use crate::report::{render_outcome, render_plan};
use crate::tree::disk::DiskTree;
use crate::tree::git::Repository;
use crate::tree::{NodeWhat, Snapshot};
use crate::wanted::{self, Wanted};

/// One run of `sync`.
struct Run<'a> {
    context: &'a Context,
    args: &'a SyncArgs,
    selection: Option<ProjectGlobs>,
    /// Read once, while the first host is connected to.
    tree: OnceCell<Result<Arc<DiskTree>>>,
    observer: Box<dyn Observer>,
}

/// How far a run on one host has come.
enum Reached {
    Planned(HostPlan),
    Applied(HostOutcome),
}

pub(super) async fn run(context: &Context, args: &SyncArgs) -> Result<Exit> {
    let targets = context.targets()?;
    let selection = selection(&args.select)?;
    let observer = observer(context.progress, targets.len(), context.stderr);
    let run = Run { context, args, selection, tree: OnceCell::new(), observer };
    let results = join_all(targets.iter().map(|target| run.host(target))).await;
    let commit =
        run.tree.get().and_then(|tree| tree.as_ref().ok()).and_then(|tree| tree.commit().map(str::to_owned));
    // Spinners go before results are written.
    drop(run.observer);
    let (mut plans, mut outcomes, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (target, result) in targets.iter().zip(results) {
        match result {
            Ok(Reached::Planned(plan)) => plans.push(plan),
            Ok(Reached::Applied(outcome)) => outcomes.push(outcome),
            Err(error) => {
                let failure = HostFailure {
                    exit: error.exit,
                    diagnostics: error.diagnostics.clone(),
                    state: HostState::Unchanged,
                };
                outcomes.push(HostOutcome {
                    name: target.name.clone(),
                    release: None,
                    back_to: None,
                    changed: false,
                    notes: Vec::new(),
                    projects: Vec::new(),
                    failure: Some(failure),
                });
                errors.push(error.on_host(&target.name, HostState::Unchanged));
            }
        }
    }
    // With one host there is nothing beside its failure that a report could tell.
    if targets.len() == 1
        && context.format != crate::report::Format::Json
        && let Some(error) = errors.pop()
    {
        return Err(error);
    }
    if args.dry_run && errors.is_empty() {
        let plan = Plan { version: VERSION, commit, hosts: plans };
        context.print(|out| render_plan(context.format, out, &plan, context.style))?;
        return Ok(plan_exit(&plan, args.select.exit_code));
    }
    let outcome = Outcome { version: VERSION, commit, hosts: outcomes };
    context.print(|out| render_outcome(context.format, out, &outcome, context.style))?;
    Ok(outcome.exit())
}

/// What a plan comes to: problems that a sync would stop at count as its failure.
pub(super) fn plan_exit(plan: &Plan, exit_code: bool) -> Exit {
    if plan.hosts.iter().flat_map(|host| &host.projects).any(|project| !project.problems.is_empty()) {
        Exit::Usage
    } else if exit_code && !plan.is_empty() {
        Exit::Pending
    } else {
        Exit::Done
    }
}

impl Run<'_> {
    async fn host(&self, target: &Target) -> Result<Reached> {
        self.observer.on(Event::Started { host: target.name.clone() });
        let transport = target.transport(self.context);
        let result = self.on(target, &*transport).await;
        transport.close().await;
        result
    }

    async fn on(&self, target: &Target, transport: &dyn Transport) -> Result<Reached> {
        // Hashing goes on while ssh shakes hands, and while the driver takes the lock.
        let connected = async {
            let driver = Driver::start(transport).await?;
            self.observer.on(Event::Connected { host: target.name.clone() });
            Ok::<_, Error>(driver)
        };
        let read = self.read(target);
        let (driver, read) = tokio::join!(connected, read);
        let (tree, wanted) = read?;
        let driver = driver?;
        let wants = self.wants(&wanted);
        let command = self.opening(target, &wanted);
        let opened = open(&driver, &command, &target.root, |holder| {
            self.observer.on(Event::Waiting { host: target.name.clone(), holder: holder_in_words(holder) });
        });
        // Both go out at once: one round trip brings the lock and the facts.
        let (opened, asked) = tokio::join!(opened, facts(&driver, &wants));
        opened?;
        let mut deployed = asked?;
        probe_new(&driver, &wants, &mut deployed).await?;
        let work = self.plan(target, &tree, &wanted, &deployed)?;
        self.refuse_older(&wanted, &deployed, &work)?;
        if self.args.dry_run {
            driver.end().await;
            self.observer.on(Event::Done { host: target.name.clone() });
            return Ok(Reached::Planned(work.plan));
        }
        let content: Content = {
            let tree = Arc::clone(&tree);
            Arc::new(move |path| match &tree.nodes().get(path)?.what {
                NodeWhat::Symlink { target } => Some(Source::Link(target.clone())),
                NodeWhat::File { .. } => tree.source(path).map(Source::File),
            })
        };
        let settings = settings(self.context, self.args.no_restart);
        let task = Task {
            work: &work,
            wanted: &wanted,
            deployed: &deployed,
            settings: &settings,
            root: &target.root,
            transport,
            driver: &driver,
            observer: &*self.observer,
            content,
        };
        let outcome = apply(task).await;
        driver.end().await;
        Ok(Reached::Applied(outcome))
    }

    async fn read(&self, target: &Target) -> Result<(Arc<DiskTree>, Arc<Wanted>)> {
        let config = &self.context.config;
        let tree = self.tree.get_or_init(|| async {
            let (dir, layout, rules): (PathBuf, _, _) =
                (self.context.dir.clone(), config.services.clone(), config.sync.clone());
            in_background(move || DiskTree::open(&dir, &layout, &rules).map(Arc::new)).await
        });
        let tree = Arc::clone(tree.await.as_ref().map_err(Clone::clone)?);
        let (snapshot, layout, target) = (Arc::clone(&tree), config.services.clone(), target.clone());
        let wanted = in_background(move || {
            wanted::read(&*snapshot, &layout, &target.root, &|name, settings| target.runs(name, settings))
        })
        .await?;
        Ok((tree, Arc::new(wanted)))
    }

    fn wants(&self, wanted: &Wanted) -> BTreeMap<String, Manifest> {
        let projects = wanted.projects.iter().filter(|project| self.selects(&project.name));
        projects
            .map(|project| (unit(&project.name), project.manifest.clone()))
            .chain([(SHARED.to_owned(), wanted.shared.clone())])
            .collect()
    }

    fn selects(&self, project: &str) -> bool {
        self.selection.as_ref().is_none_or(|globs| globs.selects(project))
    }

    fn opening(&self, target: &Target, wanted: &Wanted) -> Command {
        if self.args.dry_run {
            return Command::OpenToRead { root: target.root.clone() };
        }
        Command::OpenToWrite {
            root: target.root.clone(),
            wait_secs: self.args.lock_wait.as_secs(),
            holder: holder(wanted.commit.as_deref()),
        }
    }

    fn plan(&self, target: &Target, tree: &DiskTree, wanted: &Wanted, deployed: &Deployed) -> Result<Work> {
        let selects = |name: &str| self.selects(name);
        if !wanted
            .projects
            .iter()
            .map(|project| &project.name)
            .chain(deployed.state.projects.keys())
            .any(|name| selects(name))
        {
            let error = if self.selection.is_some() {
                Error::usage("--project matches no project")
            } else {
                Error::usage(format!("no project is to run on {}", target.name))
            };
            return Err(error.help("`ghdeploy check` tells how many projects there are; `services` in ghdeploy.yml says where they are"));
        }
        let options = Options {
            force: self.args.force,
            prune: self.args.prune || self.context.config.prune,
            adopt: self.args.adopt,
            allow_held: self.args.allow_older,
            ..Options::new(&selects)
        };
        Ok(plan::host(&target.name, wanted, deployed, &options, &|path| tree.shown(path)))
    }

    /// Refuses to go back to a commit that the deployed one was made from: a re-run of an old workflow
    /// must not undo a newer deploy.
    fn refuse_older(&self, wanted: &Wanted, deployed: &Deployed, work: &Work) -> Result<()> {
        let (Some(wanted), Some(deployed)) = (&wanted.commit, &deployed.state.commit) else { return Ok(()) };
        if self.args.allow_older || wanted == deployed || work.is_idle() {
            return Ok(());
        }
        let is_older = Repository::open(&self.context.dir)
            .is_ok_and(|repository| repository.is_ancestor(wanted, deployed) == Some(true));
        if !is_older {
            return Ok(());
        }
        Err(Error::usage(format!("commit {wanted:.10} is older than {deployed:.10}, which is deployed"))
            .help("check out the newer commit, or go back on purpose with --allow-older"))
    }
}

/// How a plan is carried out.
pub(super) fn settings(context: &Context, no_restart: bool) -> Settings {
    let health = &context.config.health;
    Settings {
        no_restart,
        health_timeout: health.timeout,
        stable_for: health.stable_for,
        log_lines: health.log_lines,
        keep: context.config.keep,
        back_to: None,
        at: now(),
        actor: actor(),
        run_url: run_url(),
    }
}

/// Who holds the lock from now on, for those who wait for it.
pub(super) fn holder(commit: Option<&str>) -> String {
    json!({"actor": actor(), "commit": commit, "run": run_url(), "since": now(), "pid": std::process::id()})
        .to_string()
}

async fn in_background<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::unforeseen(format!("failed to read the repository: {error}")))?
}

/// The present time, RFC 3339 in UTC, to the second.
fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Who deploys: the actor of the workflow, or the user of this machine.
fn actor() -> Option<String> {
    variable("GITHUB_ACTOR").or_else(|| variable("USER")).or_else(|| variable("LOGNAME"))
}

/// The page of the workflow run.
fn run_url() -> Option<String> {
    Some(format!(
        "{}/{}/actions/runs/{}",
        variable("GITHUB_SERVER_URL")?,
        variable("GITHUB_REPOSITORY")?,
        variable("GITHUB_RUN_ID")?
    ))
}
