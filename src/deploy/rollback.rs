//! Goes back to an earlier release with what the host has kept, without the repository.
//!
//! A rollback is a sync whose tree is that release: the same plan, the same order, the same health.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::elsewhere::elsewhere;
use super::host_only::{learn, settle};
use super::kept::{kept, shown};
use super::session::wants;
use super::{Prepared, Reached, Session, Target};
use crate::apply::BackTo;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, Result};
use crate::base::manifest::Manifest;
use crate::base::path::RootPath;
use crate::compose::model::Service;
use crate::config::selection::{Known, Selected, Selection};
use crate::host::facts::{facts, facts_with_containers, host_only, probe_new};
use crate::host::mend::mend;
use crate::host::releases::{ReleaseImage, releases, snapshot};
use crate::host::{Command, Driver, Transport};
use crate::images::reference::familiar;
use crate::outcome::history::before;
use crate::plan::{
    self, Action, ActionKind, Cause, HostWork, Origin, PlanOptions, ProjectChange, ProjectWork, Reason,
};
use crate::state::container::Container;
use crate::state::deployed::{Damage, Deployed, Held, ProjectState, SHARED, State, unit};
use crate::state::question::HostOnlyQuestion;
use crate::state::wanted::Wanted;

/// A rollback of one host.
#[derive(Debug)]
pub struct Rollback {
    /// The release to go back to; `None`: the one before the deployed one.
    pub to: Option<u64>,
    /// The projects that go back; `None`: all.
    pub selection: Option<Selection>,
}

/// An image that a service ran in the release, while it runs another one of that name now.
struct Moved<'a> {
    project: &'a str,
    service: &'a Service,
    then: &'a ReleaseImage,
    now: &'a Container,
}

impl Rollback {
    /// Runs. The commit comes with the result.
    ///
    /// # Errors
    ///
    /// When the host is not reached, or does not keep what it takes. What fails later is in the outcome.
    pub async fn run(
        &self,
        session: &Session<'_>,
        transport: &dyn Transport,
    ) -> Result<(Option<String>, Reached)> {
        let prepared = session.unless_stopped(self.prepare(session, transport)).await?;
        let commit = prepared.work.commit.clone();
        Ok((commit, session.finish(prepared).await?))
    }

    /// Finds out what there is to do. That changes nothing but who holds the lock.
    async fn prepare(&self, session: &Session<'_>, transport: &dyn Transport) -> Result<Prepared> {
        let driver = session.start(transport).await?;
        session.open(&driver, session.access(None)).await?;
        let mut deployed = if session.options.no_restart {
            facts(&driver, &[].into()).await?
        } else {
            facts_with_containers(&driver, &[].into()).await?
        };
        mend(&driver, &mut deployed).await?;
        session.write_rebuilt_state(&driver, &deployed).await?;
        let cut_off = session.enter_cut_off(&driver, &mut deployed).await?;
        let release = self.release(&driver, &deployed).await?;
        let (past, images) = snapshot(&driver, release).await?.ok_or_else(|| not_kept(release))?;
        if let Some(damage) = past.damaged.first() {
            return Err(is_damaged(release, damage));
        }
        let selected = self.selected(&[&deployed.state, &past.state])?;
        let root = &session.target.root;
        let contents = Mutex::default();
        let mut wanted = kept(&driver, &past, root, &contents, None).await?.map_err(|path| is_lost(&path))?;
        let question = HostOnlyQuestion::of(&wanted);
        learn(&mut deployed, host_only(&driver, &question).await?);
        let first = wanted.clone();
        let read = async |settings: &_| {
            kept(&driver, &past, root, &contents, Some((settings, &first)))
                .await?
                .map_err(|path| is_lost(&path))
        };
        wanted = settle(&driver, &mut deployed, question, wanted, read).await?;
        deployed.elsewhere = elsewhere(&driver, root, &wanted, &deployed).await?;
        let wants = wants(&wanted, |project| selected.selects(project));
        probe_new(&driver, &wants, &mut deployed).await?;
        if self.selection.is_some() {
            // The host as a whole is not at that release then.
            wanted.commit.clone_from(&deployed.state.commit);
        }
        let mut work = self.plan(session.target, release, &selected, &wanted, &deployed, &past);
        if !session.options.no_restart {
            self.restore_images(&driver, release, &images, &selected, &mut work).await?;
        }
        work.notes.extend(cut_off);
        session.plan_networks(&driver, &mut work).await?;
        session.plan_ways_back(&driver, &mut deployed, &mut work).await?;
        let back_to = Some(BackTo { release, is_whole: self.selection.is_none() });
        Ok(Prepared { driver, deployed, work, newest: None, back_to, content: Arc::new(|_| None) })
    }

    /// What the selection means, of the projects in these states.
    fn selected(&self, states: &[&State]) -> Result<Selected> {
        let Some(selection) = &self.selection else { return Ok(Selected::default()) };
        let mut all = Known::default();
        for (name, project) in states.iter().flat_map(|state| &state.projects) {
            all.add_services(name, project.services.keys());
        }
        selection.refuse_unknown(&all)?;
        let selected = selection.among(&all);
        selected.refuse_services("rollback")?;
        Ok(selected)
    }

    /// The release to go back to: the one that was asked for, or the last one before what is deployed of the
    /// host or, if projects were asked for, of those.
    async fn release(&self, driver: &Driver, deployed: &Deployed) -> Result<u64> {
        let kept = releases(driver).await?.kept;
        if let Some(release) = self.to {
            return if kept.contains(&release) { Ok(release) } else { Err(not_kept(release)) };
        }
        let state = &deployed.state;
        let present = if self.selection.is_none() {
            // After a run that was cut off, the host is no longer what the last release has.
            state.cut_off.or(state.back_to).unwrap_or(state.release)
        } else {
            let asked = self.selected(&[state])?;
            let selected = state.projects.iter().filter(|(name, _)| asked.selects(name));
            let present = |(name, project): (&String, &ProjectState)| match state.unsettled.get(name) {
                Some(unsettled) => unsettled.run,
                None => project.back_to.unwrap_or(project.release),
            };
            let selected: BTreeSet<u64> = selected.map(present).collect();
            match selected.into_iter().collect::<Vec<_>>().as_slice() {
                [] => return Err(Error::usage("no project is deployed")),
                [one] => *one,
                _ => {
                    return Err(Error::usage("these projects were deployed in several releases")
                        .help("name the release with --to; `ghdeploy history` lists them"));
                }
            }
        };
        before(&kept, present).ok_or_else(|| {
            Error::usage(format!("the host keeps no release before {present}"))
                .help("`ghdeploy history` lists those that it keeps; `keep` in ghdeploy.yml sets how many")
        })
    }

    fn plan(
        &self,
        target: &Target,
        release: u64,
        selected: &Selected,
        wanted: &Wanted,
        deployed: &Deployed,
        past: &Deployed,
    ) -> HostWork {
        let selects = |name: &str| selected.selects(name);
        let options = PlanOptions {
            allow_held: true,
            root: &target.root,
            origin: Origin::Release(release),
            ..PlanOptions::new(&selects)
        };
        let mut work =
            plan::host(&target.name, wanted, deployed, &options, &|path| shown(past, deployed, path));
        let shared =
            deployed.manifests.get(SHARED).map_or_else(|| Manifest::default().digest(), Manifest::digest);
        for ProjectWork { plan, state, .. } in &mut work.projects {
            if let Some(then) = past.state.projects.get(&plan.name) {
                state.commit.clone_from(&then.commit);
                state.back_to = Some(then.back_to.unwrap_or(then.release));
            }
            // The version that is left must not come again by itself: it is what the repository has, however
            // far back one goes.
            let now = deployed.state.projects.get(&plan.name);
            let left = now.zip(deployed.manifests.get(&unit(&plan.name))).filter(|_| !plan.files.is_empty());
            let left = left.map(|(now, manifest)| Held {
                release: now.release,
                manifest: manifest.digest().as_str().to_owned(),
                shared: shared.as_str().to_owned(),
            });
            state.held = now.and_then(|now| now.held.clone()).or(left);
        }
        work
    }

    /// Plans that services run the images again that they ran in that release, where the name means another
    /// image by now.
    async fn restore_images(
        &self,
        driver: &Driver,
        release: u64,
        images: &[ReleaseImage],
        selected: &Selected,
        work: &mut HostWork,
    ) -> Result<()> {
        let now = driver.call(&Command::Containers).await?.into_containers();
        let wanted: Vec<_> = work.projects.iter().filter_map(|project| project.wanted.clone()).collect();
        let selected = wanted.iter().filter(|project| selected.selects(&project.name));
        let services = selected.flat_map(|project| {
            let services = project.model.services.iter().filter(|(_, service)| service.active);
            services.map(move |(name, service)| (project, name, service))
        });
        let moved: Vec<Moved<'_>> = services
            .filter_map(|(project, name, service)| {
                let is_its =
                    |image: &&ReleaseImage| image.project == project.model.name && image.service == *name;
                let then = images.iter().find(is_its)?;
                // A name with a digest cannot mean another image.
                let can_move = !then.name.contains('@') && !then.name.starts_with("sha256:");
                let image = service.image.as_deref().filter(|_| service.build.is_none());
                let is_named = image.is_some_and(|image| is_same_name(image, &then.name));
                let mut own = now.iter().filter(|container| container.is_of(&then.project, name));
                let now = own.find(|container| container.image != then.id)?;
                (can_move && is_named).then_some(Moved { project: &project.name, service, then, now })
            })
            .collect();
        if moved.is_empty() {
            return Ok(());
        }
        let ids = moved.iter().map(|moved| moved.then.id.clone());
        let argv = ["image", "inspect", "--format", "{{.Id}}"].map(str::to_owned).into_iter().chain(ids);
        let there = driver.call(&Command::Docker(argv.collect())).await?.output;
        for moved in moved {
            let Some(project) = work.projects.iter_mut().find(|work| work.plan.name == moved.project) else {
                continue;
            };
            if there.contains(&moved.then.id) {
                moved.plan(project);
            } else {
                work.notes.push(moved.is_gone(release));
            }
        }
        Ok(())
    }
}

/// Whether two names mean the same image. Podman puts a registry before the name of one that has none.
fn is_same_name(one: &str, other: &str) -> bool {
    let own = |name: &str| familiar(name.strip_prefix("localhost/").unwrap_or(name));
    own(one) == own(other)
}

impl Moved<'_> {
    /// Plans that the service runs its earlier image.
    fn plan(&self, project: &mut ProjectWork) {
        let Self { service, then, now, .. } = self;
        let name = service.image.clone().unwrap_or_else(|| then.name.clone());
        project.images.push((then.id.clone(), name.clone()));
        let plan = &mut project.plan;
        let acts = plan.actions.iter().any(|action| {
            action.service.as_ref() == Some(&then.service)
                && matches!(action.kind, ActionKind::Up | ActionKind::Recreate)
        });
        if acts {
            return;
        }
        let cause = Cause::Image { reference: name, from: now.image.clone(), to: then.id.clone() };
        let (service, reasons) = (Some(then.service.clone()), vec![Reason::at(&service.at, cause)]);
        plan.actions.insert(0, Action { kind: ActionKind::Up, service, reasons });
        if plan.change == ProjectChange::Unchanged {
            plan.change = ProjectChange::Changed;
        }
    }

    fn is_gone(&self, release: u64) -> Diagnostic {
        let Self { project, service, then, .. } = self;
        let message = format!(
            "the image that {project}/{} ran in release {release} is no longer on the host",
            then.service
        );
        let note = Diagnostic::warning(message, Some(service.at.clone()));
        note.help(format!("it runs the image that {} names now", then.name))
    }
}

fn is_lost(path: &RootPath) -> Error {
    let message =
        format!("the content that {path} below the root had in that release is no longer on the host");
    Error::new(Exit::RolledBack, message)
        .help("go back with the repository: check the commit out and run `ghdeploy sync --allow-older`")
}

fn is_damaged(release: u64, damage: &Damage) -> Error {
    let message = format!(".ghdeploy/releases/{release}/{} on the host is damaged", damage.file);
    Error::new(Exit::RolledBack, message).help(
        "go back to another release (`ghdeploy history` lists them), or check its commit out and run `ghdeploy sync --allow-older`",
    )
}

fn not_kept(release: u64) -> Error {
    Error::usage(format!("the host does not keep release {release}"))
        .help("`ghdeploy history` lists those that it keeps; `keep` in ghdeploy.yml sets how many")
}

#[cfg(test)]
mod tests {
    use super::is_same_name;

    #[test]
    fn names_are_the_same_with_the_registry_that_podman_puts_before_them() {
        for (one, other, is_same) in [
            ("app:1", "localhost/app:1", true),
            ("redis", "docker.io/library/redis:latest", true),
            ("ghcr.io/ann/app:1", "ghcr.io/ann/app:1", true),
            ("app:1", "app:2", false),
            ("app:1", "ghcr.io/ann/app:1", false),
        ] {
            assert_eq!(is_same_name(one, other), is_same, "{one} {other}");
        }
    }
}
