//! `sync`: brings the hosts to this tree.
//!
//! Owns the order of a run: the tree is read while the connection is made, the host's facts come with
//! the first exec, the plan follows from both, and an apply follows from the plan.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::{OnceCell, Semaphore};

use super::Context;
use super::announce::Announcer;
use super::args::SyncArgs;
use super::hosts::{Target, selection};
use super::publish::Shown;
use super::run::{Reached, carry_out, holder, not_begun, settings, unless_stopped, with_host};
use super::signals;
use crate::apply::stage::Source;
use crate::apply::stop::Stop;
use crate::apply::{Content, Settings, Task};
use crate::base::error::{Error, Exit, HostState, Result};
use crate::base::manifest::Manifest;
use crate::compose::Files;
use crate::config::globs::ProjectGlobs;
use crate::host::facts::{facts, holder_in_words, open, probe_new};
use crate::host::{Command, Driver, Transport};
use crate::outcome::Outcome;
use crate::outcome::event::{Event, Observer};
use crate::plan::age::{Age, Ages};
use crate::plan::{self, HostPlan, Options, Plan, VERSION, Work};
use crate::report::Format;
use crate::report::progress::observer;
use crate::state::deployed::{Commit, Deployed, SHARED, unit};
use crate::state::wanted::Wanted;
use crate::tree;
use crate::tree::disk::DiskTree;
use crate::tree::git::Repository;
use crate::tree::{NodeWhat, Snapshot};

/// One run of `sync`.
struct Run<'a> {
    context: &'a Context,
    args: &'a SyncArgs,
    selection: Option<ProjectGlobs>,
    /// Read once, while the first host is connected to.
    tree: OnceCell<Result<Arc<DiskTree>>>,
    observer: Box<dyn Observer>,
    stop: Stop,
}

/// What was found out before anything is done.
struct Found {
    driver: Driver,
    tree: Arc<DiskTree>,
    wanted: Arc<Wanted>,
    deployed: Deployed,
    work: Work,
    /// The newest commit once this is deployed; `None`: as before.
    newest: Option<Commit>,
}

pub(super) async fn run(context: &Context, args: &SyncArgs) -> Result<Exit> {
    let targets = context.targets()?;
    let selection = selection(&args.select)?;
    let announcer = (!args.dry_run).then(|| Announcer::new(context));
    let mut observer = observer(context.progress, targets.len(), context.stderr);
    if let Some(announcer) = &announcer {
        observer = announcer.observing(observer);
    }
    let stop = signals::listen();
    let run = Run { context, args, selection, tree: OnceCell::new(), observer, stop };
    let results = run.hosts(&targets).await;
    let commit =
        run.tree.get().and_then(|tree| tree.as_ref().ok()).and_then(|tree| tree.commit().map(str::to_owned));
    // Spinners go before results are written.
    drop(run.observer);
    let alone = match results.as_slice() {
        [Err(error)] => Some(error.clone().on_host(&targets[0].name, HostState::Unchanged)),
        _ => None,
    };
    let (mut plans, mut outcomes) = (Vec::new(), Vec::new());
    for (target, result) in targets.iter().zip(results) {
        match result {
            Ok(Reached::Planned(plan)) => plans.push(plan),
            Ok(Reached::Applied(outcome)) => outcomes.push(outcome),
            Err(error) => outcomes.push(not_begun(target, error.exit, error.diagnostics)),
        }
    }
    let outcome = Outcome { version: VERSION, commit: commit.clone(), hosts: outcomes };
    // With one host there is nothing beside its failure that a report could tell.
    let alone = alone.filter(|_| context.format != Format::Json);
    if let Some(announcer) = announcer {
        let exit = outcome.exit();
        let result = match alone {
            Some(error) => Err(error),
            None => context.publish(Shown::Outcome(&outcome), exit).map(|()| exit),
        };
        announcer.finish(context, &outcome, &run.stop).await;
        return result;
    }
    if let Some(error) = alone {
        return Err(error);
    }
    // What is not known of a host stands in its place.
    let failed = outcome.exit();
    for host in outcome.hosts {
        let notes = host.failure.into_iter().flat_map(|failure| failure.diagnostics).collect();
        plans.push(HostPlan { name: host.name, notes, projects: Vec::new(), shared: Vec::new() });
    }
    let plan = Plan { version: VERSION, commit, base: None, hosts: plans };
    let exit = if failed == Exit::Done { plan_exit(&plan, args.select.exit_code) } else { failed };
    context.publish(Shown::Plan(&plan), exit)?;
    Ok(exit)
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
    /// Works on the hosts in the order of their listing, so many at a time.
    async fn hosts(&self, targets: &[Target]) -> Vec<Result<Reached>> {
        let turns = Semaphore::new(self.args.parallel);
        let failed: OnceCell<(String, Exit)> = OnceCell::new();
        let one = async |target: &Target| {
            let _turn = turns.acquire().await;
            if let Some((name, exit)) = failed.get().filter(|_| self.args.fail_fast) {
                let message = format!("not begun, for host {name} failed");
                return Err(Error::new(*exit, message).help("--fail-fast asks for that"));
            }
            let result = self.host(target).await;
            let exit = match &result {
                Ok(Reached::Planned(_)) => Exit::Done,
                Ok(Reached::Applied(outcome)) => outcome.exit(),
                Err(error) => error.exit,
            };
            if exit != Exit::Done {
                // Only the first one counts.
                let _ = failed.set((target.name.clone(), exit));
            }
            result
        };
        join_all(targets.iter().map(one)).await
    }

    async fn host(&self, target: &Target) -> Result<Reached> {
        let once = async |transport: &dyn Transport| self.on(target, transport).await;
        with_host(self.context, target, &*self.observer, &self.stop, once).await
    }

    async fn on(&self, target: &Target, transport: &dyn Transport) -> Result<Reached> {
        let Found { driver, tree, wanted, deployed, work, newest } =
            unless_stopped(&self.stop, self.look(target, transport)).await?;
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
        let settings = Settings { newest, ..settings(self.context, self.args.no_restart) };
        let task = Task {
            work: &work,
            wanted: &wanted,
            deployed: &deployed,
            settings: &settings,
            root: &target.root,
            transport,
            driver: &driver,
            observer: &*self.observer,
            stop: self.stop.clone(),
            content,
        };
        let outcome = carry_out(task).await;
        driver.end().await;
        Ok(Reached::Applied(outcome))
    }

    /// Finds out what there is to do. Nothing changes by that but who holds the lock.
    async fn look(&self, target: &Target, transport: &dyn Transport) -> Result<Found> {
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
        let mut work = self.plan(target, &tree, &wanted, &deployed)?;
        let newest = self.judge_age(&wanted, &deployed, &mut work)?;
        Ok(Found { driver, tree, wanted, deployed, work, newest })
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
            tree::read(&*snapshot, &layout, &target.root, &|name, settings| target.runs(name, settings))
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
            holder: holder(self.context, wanted.commit.as_deref()),
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
            require_tested: self.context.config.gate.require_tested,
            ..Options::new(&selects)
        };
        Ok(plan::host(&target.name, wanted, deployed, &options, &|path| tree.shown(path)))
    }

    /// Refuses to go back to an older commit than was deployed, and notes what is doubtful about it. Tells
    /// which commit is the newest once the plan is carried out.
    fn judge_age(&self, wanted: &Wanted, deployed: &Deployed, work: &mut Work) -> Result<Option<Commit>> {
        let state = &deployed.state;
        let Some(wanted) = &wanted.commit else { return Ok(None) };
        if work.is_idle() {
            return Ok(None);
        }
        let Ok(repository) = Repository::open(&self.context.dir) else { return Ok(None) };
        let wanted = Commit { commit: wanted.clone(), committed: repository.committed(wanted) };
        let by_commit = || state.commit.clone().map(|commit| Commit { commit, committed: None });
        let Some(deployed) = state.newest.clone().or_else(by_commit) else { return Ok(Some(wanted)) };
        let ages = Ages {
            is_ancestor: repository.is_ancestor(&wanted.commit, &deployed.commit),
            is_descendant: repository.is_ancestor(&deployed.commit, &wanted.commit),
            is_shallow: repository.is_shallow(),
            wanted: wanted.clone(),
            deployed,
        };
        match ages.judge() {
            Age::Newer => Ok(Some(wanted)),
            Age::Doubtful(note) => {
                work.plan.notes.push(note);
                Ok(Some(wanted))
            }
            Age::Older(_) if self.args.allow_older => Ok(None),
            Age::Older(why) => Err(Error::invalid(vec![why])),
        }
    }
}

async fn in_background<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::unforeseen(format!("failed to read the repository: {error}")))?
}
