//! `rollback`: back to an earlier release, out of what the host has kept, without the repository.
//!
//! Going back is a sync whose tree is that release: the same plan, the same order, the same health.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Context;
use super::announce::Announcer;
use super::args::RollbackArgs;
use super::hosts::{Target, selection};
use super::publish::Shown;
use super::run::{Reached, carry_out, holder, not_begun, settings, unless_stopped, with_host};
use super::signals;
use crate::apply::stop::Stop;
use crate::apply::{BackTo, Settings, Task};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, HostState, Result};
use crate::base::manifest::Manifest;
use crate::compose::model::Service;
use crate::config::globs::ProjectGlobs;
use crate::host::facts::{facts, holder_in_words, open, probe_new};
use crate::host::releases::{Content, Image, contents, releases, snapshot};
use crate::host::{self, Command, Driver, Transport};
use crate::outcome::Outcome;
use crate::outcome::event::{Event, Observer};
use crate::outcome::history::before;
use crate::plan::{
    self, Action, ActionKind, Cause, Options, Origin, Plan, ProjectChange, Reason, VERSION, Work,
};
use crate::report::Format;
use crate::report::progress::observer;
use crate::state::container::Container;
use crate::state::deployed::{Deployed, Held, SHARED, unit};
use crate::state::wanted::Wanted;
use crate::tree;
use crate::tree::release::{Contents, ReleaseTree};

/// Size of the largest file that is read to understand a project, in bytes.
const MAX_BYTES: u64 = crate::compose::MAX_BYTES as u64;

/// How many files of projects may name further ones, each by another: Compose's `include` and `extends`
/// are seldom nested at all.
const MAX_ROUNDS: usize = 50;

pub(super) async fn run(context: &Context, args: &RollbackArgs) -> Result<Exit> {
    let targets = context.targets()?;
    let [target] = targets.as_slice() else {
        return Err(Error::usage("a rollback is of one host: their releases are not the same")
            .help("name it with --host"));
    };
    let selection = selection(&args.select)?;
    let announcer = (!args.dry_run).then(|| Announcer::new(context));
    let mut observer = observer(context.progress, 1, context.stderr);
    if let Some(announcer) = &announcer {
        observer = announcer.observing(observer);
    }
    let stop = signals::listen();
    let run = Run { context, args, target, selection, observer: &*observer, stop: stop.clone() };
    let once = async |transport: &dyn Transport| run.on(transport).await;
    let reached = with_host(context, target, run.observer, &run.stop, once).await;
    drop(observer);
    let (outcome, alone) = match reached {
        Ok((commit, Reached::Planned(plan))) => {
            let plan = Plan { version: VERSION, commit, base: None, hosts: vec![plan] };
            let exit = super::sync::plan_exit(&plan, args.select.exit_code);
            context.publish(Shown::Plan(&plan), exit)?;
            return Ok(exit);
        }
        Ok((commit, Reached::Applied(outcome))) => {
            (Outcome { version: VERSION, commit, hosts: vec![outcome] }, None)
        }
        Err(error) => {
            let outcome = not_begun(target, error.exit, error.diagnostics.clone());
            let error = error.on_host(&target.name, HostState::Unchanged);
            (Outcome { version: VERSION, commit: None, hosts: vec![outcome] }, Some(error))
        }
    };
    // A program is told in its own form.
    let result = match alone.filter(|_| context.format != Format::Json) {
        Some(error) => Err(error),
        None => context.publish(Shown::Outcome(&outcome), outcome.exit()).map(|()| outcome.exit()),
    };
    if let Some(announcer) = announcer {
        announcer.finish(context, &outcome, &stop).await;
    }
    result
}

/// One rollback.
struct Run<'a> {
    context: &'a Context,
    args: &'a RollbackArgs,
    target: &'a Target,
    selection: Option<ProjectGlobs>,
    observer: &'a dyn Observer,
    stop: Stop,
}

/// What was found out before anything is done.
struct Found {
    driver: Driver,
    release: u64,
    wanted: Wanted,
    deployed: Deployed,
    work: Work,
}

impl Run<'_> {
    async fn on(&self, transport: &dyn Transport) -> Result<(Option<String>, Reached)> {
        let Found { driver, release, wanted, deployed, work } =
            unless_stopped(&self.stop, self.look(transport)).await?;
        if self.args.dry_run {
            driver.end().await;
            self.observer.on(Event::Done { host: self.target.name.clone() });
            return Ok((wanted.commit, Reached::Planned(work.plan)));
        }
        let back_to = Some(BackTo { release, is_whole: self.selection.is_none() });
        let settings =
            Settings { back_to, require_tested: false, ..settings(self.context, self.args.no_restart) };
        let task = Task {
            work: &work,
            wanted: &wanted,
            deployed: &deployed,
            settings: &settings,
            root: &self.target.root,
            transport,
            driver: &driver,
            observer: self.observer,
            stop: self.stop.clone(),
            content: Arc::new(|_| None),
        };
        let outcome = carry_out(task).await;
        driver.end().await;
        Ok((wanted.commit, Reached::Applied(outcome)))
    }

    /// Finds out what there is to do. Nothing changes by that but who holds the lock.
    async fn look(&self, transport: &dyn Transport) -> Result<Found> {
        let (name, root) = (&self.target.name, &self.target.root);
        let driver = Driver::start(transport).await?;
        self.observer.on(Event::Connected { host: name.clone() });
        let command = if self.args.dry_run {
            Command::OpenToRead { root: root.clone() }
        } else {
            let (root, wait_secs) = (root.clone(), self.args.lock_wait.as_secs());
            Command::OpenToWrite { root, wait_secs, holder: holder(self.context, None) }
        };
        open(&driver, &command, root, |holder| {
            self.observer.on(Event::Waiting { host: name.clone(), holder: holder_in_words(holder) });
        })
        .await?;
        let mut deployed = facts(&driver, &[].into()).await?;
        let release = self.release(&driver, &deployed).await?;
        let (past, images) = snapshot(&driver, release).await?.ok_or_else(|| not_kept(release))?;
        let mut wanted = self.wanted(&driver, &past).await?;
        let own = wanted.projects.iter().filter(|project| self.selects(&project.name));
        let wants = own
            .map(|project| (unit(&project.name), project.manifest.clone()))
            .chain([(SHARED.to_owned(), wanted.shared.clone())])
            .collect();
        probe_new(&driver, &wants, &mut deployed).await?;
        if self.selection.is_some() {
            // The host as a whole is not at that release then.
            wanted.commit.clone_from(&deployed.state.commit);
        }
        let mut work = self.plan(release, &wanted, &deployed, &past);
        if !self.args.no_restart {
            self.bring_images_back(&driver, release, &wanted, &images, &mut work).await?;
        }
        Ok(Found { driver, release, wanted, deployed, work })
    }

    fn selects(&self, project: &str) -> bool {
        self.selection.as_ref().is_none_or(|globs| globs.selects(project))
    }

    /// The release to go back to: the one that was asked for, or the last one before what is deployed of
    /// the host or, if one project was asked for, of that.
    async fn release(&self, driver: &Driver, deployed: &Deployed) -> Result<u64> {
        let kept = releases(driver).await?.kept;
        if let Some(release) = self.args.to() {
            return if kept.contains(&release) { Ok(release) } else { Err(not_kept(release)) };
        }
        let state = &deployed.state;
        let present = if self.selection.is_none() {
            state.back_to.unwrap_or(state.release)
        } else {
            let selected: BTreeSet<u64> = state
                .projects
                .iter()
                .filter(|(name, _)| self.selects(name))
                .map(|(_, project)| project.back_to.unwrap_or(project.release))
                .collect();
            match selected.into_iter().collect::<Vec<_>>().as_slice() {
                [] => return Err(Error::usage("--project matches no project that is deployed")),
                [one] => *one,
                _ => {
                    return Err(Error::usage("these projects were deployed in several releases")
                        .help("say with --to which one to go back to; `ghdeploy history` lists them"));
                }
            }
        };
        before(&kept, present).ok_or_else(|| {
            Error::usage(format!("the host keeps no release before {present}"))
                .help("`ghdeploy history` lists those that it keeps; `keep` in ghdeploy.yml says how many")
        })
    }

    /// What that release wanted of the host. Its files are asked for as they are needed to know.
    async fn wanted(&self, driver: &Driver, past: &Deployed) -> Result<Wanted> {
        let mut known = Contents::new();
        for _ in 0..MAX_ROUNDS {
            let missing = {
                let tree = ReleaseTree::new(past, &known)?;
                let wanted = tree::read(&tree, tree.layout(), &self.target.root, &|_, _| true);
                let missing = tree.missing();
                if missing.is_empty() {
                    return wanted;
                }
                missing
            };
            let wants = missing.iter().map(|(digest, path)| (Some(digest.clone()), path.clone())).collect();
            let found = contents(driver, wants, MAX_BYTES).await?;
            for ((digest, path), content) in missing.into_iter().zip(found) {
                let Content::Bytes(bytes) = content else {
                    let message = format!("the content that {path} had then is no longer on the host");
                    return Err(Error::new(Exit::RolledBack, message).help("go back with the repository: check the commit out and run `ghdeploy sync --allow-older`"));
                };
                known.insert(digest, bytes);
            }
        }
        Err(Error::unforeseen("the projects of that release name too many files, each by another"))
    }

    fn plan(&self, release: u64, wanted: &Wanted, deployed: &Deployed, past: &Deployed) -> Work {
        let selects = |name: &str| self.selects(name);
        let options =
            Options { allow_held: true, origin: Origin::Release(release), ..Options::new(&selects) };
        let path = |path: &crate::base::path::RootPath| shown(past, deployed, path);
        let mut work = plan::host(&self.target.name, wanted, deployed, &options, &path);
        let shared =
            deployed.manifests.get(SHARED).map_or_else(|| Manifest::default().digest(), Manifest::digest);
        let plans = &work.plan.projects;
        for (name, work) in &mut work.projects {
            if let Some(then) = past.state.projects.get(name) {
                work.state.commit.clone_from(&then.commit);
                work.state.back_to = Some(then.back_to.unwrap_or(then.release));
            }
            // What is left must not come again by itself: that is what the repository has, however far back
            // one goes.
            let now = deployed.state.projects.get(name);
            let changes = plans.iter().any(|plan| plan.name == *name && !plan.files.is_empty());
            let left = now.zip(deployed.manifests.get(&unit(name))).filter(|_| changes);
            let left = left.map(|(now, manifest)| Held {
                release: now.release,
                manifest: manifest.digest().as_str().to_owned(),
                shared: shared.as_str().to_owned(),
            });
            work.state.held = now.and_then(|now| now.held.clone()).or(left);
        }
        work
    }
}

impl Run<'_> {
    /// Plans that services run the images again that they ran in that release, where their name means another
    /// one by now.
    async fn bring_images_back(
        &self,
        driver: &Driver,
        release: u64,
        wanted: &Wanted,
        images: &[Image],
        work: &mut Work,
    ) -> Result<()> {
        let reply = driver.call(&Command::Containers).await?;
        let now: Vec<Container> = reply
            .events
            .into_iter()
            .filter_map(|event| {
                if let host::Event::Container { container } = event { Some(*container) } else { None }
            })
            .collect();
        let mut moved: Vec<(&str, &Service, &Image, &Container)> = Vec::new();
        for project in wanted.projects.iter().filter(|project| self.selects(&project.name)) {
            for (name, service) in project.model.services.iter().filter(|(_, service)| service.active) {
                let is_it = |image: &&Image| image.project == project.model.name && image.service == *name;
                let Some(then) = images.iter().find(is_it) else { continue };
                let runs_other = now.iter().find(|c| c.is_of(&then.project, name) && c.image != then.id);
                // What is named by its content cannot mean another one.
                let is_name = !then.name.contains('@') && !then.name.starts_with("sha256:");
                if let Some(runs) = runs_other
                    && is_name
                    && service.image.as_ref() == Some(&then.name)
                    && service.build.is_none()
                {
                    moved.push((&project.name, service, then, runs));
                }
            }
        }
        if moved.is_empty() {
            return Ok(());
        }
        let ids = moved.iter().map(|(_, _, then, _)| then.id.clone());
        let argv = ["image", "inspect", "--format", "{{.Id}}"].map(str::to_owned).into_iter().chain(ids);
        let there = driver.call(&Command::Docker(argv.collect())).await?.output;
        for (project, service, then, runs) in moved {
            let Some(plan) = work.plan.projects.iter_mut().find(|plan| plan.name == project) else {
                continue;
            };
            if !there.contains(&then.id) {
                let message = format!(
                    "the image that {project}/{} ran in release {release} is no longer on the host",
                    then.service
                );
                let note = Diagnostic::warning(message, Some(service.at.clone()));
                work.plan.notes.push(note.help(format!("it runs what is called {} now", then.name)));
                continue;
            }
            if let Some(work) = work.projects.get_mut(project) {
                work.images.push((then.id.clone(), then.name.clone()));
            }
            let acts = plan.actions.iter().any(|action| {
                action.service.as_ref() == Some(&then.service)
                    && matches!(action.kind, ActionKind::Up | ActionKind::Recreate)
            });
            if !acts {
                let cause = Cause::Image {
                    reference: then.name.clone(),
                    from: runs.image.clone(),
                    to: then.id.clone(),
                };
                let reason = Reason::at(&service.at, cause);
                plan.actions.insert(
                    0,
                    Action {
                        kind: ActionKind::Up,
                        service: Some(then.service.clone()),
                        reasons: vec![reason],
                    },
                );
                if plan.change == ProjectChange::Unchanged {
                    plan.change = ProjectChange::Changed;
                }
            }
        }
        Ok(())
    }
}

/// Where a path lies in the repository, as far as the records tell.
fn shown(past: &Deployed, deployed: &Deployed, path: &crate::base::path::RootPath) -> String {
    let all = past.state.projects.values().chain(deployed.state.projects.values());
    let within = |project: &crate::state::deployed::ProjectState| {
        Some(format!("{}/{}", project.path, path.relative_to(&project.dir)?))
    };
    all.clone()
        .find_map(within)
        .or_else(|| {
            let prefix = all.clone().find_map(|project| project.path.strip_suffix(project.dir.as_str()))?;
            Some(format!("{prefix}{path}"))
        })
        .unwrap_or_else(|| path.to_string())
}

fn not_kept(release: u64) -> Error {
    Error::usage(format!("the host does not keep release {release}"))
        .help("`ghdeploy history` lists those that it keeps; `keep` in ghdeploy.yml says how many")
}
