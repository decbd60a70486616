//! One run on one host: from the connection to the outcome.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use serde_json::json;

use super::Target;
use super::host_only::learn;
use super::networks::plan_networks;
use crate::apply::engine::Compose;
use crate::apply::stop::{Stop, StopRequest};
use crate::apply::{BackTo, ContentSource, Settings, Task, apply, foresee, way_back};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, HostState, Result};
use crate::base::manifest::Manifest;
use crate::compose::model::Service;
use crate::config::{Health, Network};
use crate::host::facts::{facts_and_host_only, free_room, holder_in_words, not_writable, open};
use crate::host::mend::mend;
use crate::host::{Command, Driver, Notices, Start, Transport, is_full};
use crate::images::login::{RegistryLogin, may_need_login};
use crate::outcome::event::{Event, Observer};
use crate::outcome::{HostFailure, HostOutcome};
use crate::plan::{HostPlan, HostWork, ProjectWork};
use crate::state::deployed::{Commit, Deployed, SHARED, STATE_FILE, unit};
use crate::state::question::HostOnlyQuestion;
use crate::state::wanted::Wanted;

/// Pauses before further tries when a host is not reached. A server that restarts its sshd, or has too many
/// logins at a time, is back within seconds, and a user does not notice more.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// RunOptions of a run that changes a host.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Show the plan and change nothing.
    pub dry_run: bool,
    /// Files only; actions stay owed.
    pub no_restart: bool,
    /// How long to wait for another run's lock.
    pub lock_wait: Duration,
    /// When a service counts as healthy.
    pub health: Health,
    /// How many releases the host keeps, at least 1.
    pub keep: u32,
    /// Whether images that a root has replaced are removed once no kept release needs them.
    pub prune_images: bool,
    /// Whether images that are built from the repository must be tested ones from a registry.
    pub require_tested: bool,
    /// Logins to registries, each for the time of a pull.
    pub logins: Vec<RegistryLogin>,
    /// External networks that are made where a host lacks them.
    pub networks: Vec<Network>,
    /// Who deploys.
    pub identity: Identity,
    /// Returns the present time, RFC 3339 in UTC.
    pub clock: fn() -> String,
}

/// Who deploys, for those who wait for the lock and for the history.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The actor of the workflow run, or the user of this machine.
    pub actor: Option<String>,
    /// The page of the workflow run.
    pub run_url: Option<String>,
}

/// The present time, RFC 3339 in UTC, to the second.
#[must_use]
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}

/// One run on one host.
#[derive(Clone)]
pub struct Session<'a> {
    /// The host.
    pub target: &'a Target,
    /// The options of the run.
    pub options: &'a RunOptions,
    /// Receives what happens.
    pub observer: &'a dyn Observer,
    /// Whether the run is to end early.
    pub stop: Stop,
    /// Notices about the connection, which [`Session::over`] reports.
    pub notices: Notices,
}

/// How a root is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// To look only: without the lock, and nothing is created.
    Read,
    /// To change it, with the lock.
    Write {
        /// The commit that the run deploys, for those who wait.
        commit: Option<String>,
    },
}

/// Everything that was found out before anything is done.
pub struct Prepared {
    /// The driver; with the lock if the run changes anything.
    pub driver: Driver,
    /// What the host has.
    pub deployed: Deployed,
    /// What there is to do.
    pub work: HostWork,
    /// The newest commit that was ever deployed, once this is; `None`: as before.
    pub newest: Option<Commit>,
    /// The release that is gone back to.
    pub back_to: Option<BackTo>,
    /// The content of files.
    pub content: ContentSource,
}

/// How far a run has come.
#[derive(Debug)]
pub enum Reached {
    /// It was a dry run.
    Planned(HostPlan),
    /// The plan was carried out, successfully or not.
    Applied(HostOutcome),
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("target", &self.target).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("work", &self.work).finish_non_exhaustive()
    }
}

impl Session<'_> {
    /// Does `once` over a connection that `connect` opens. While it fails for a reason that may pass, before
    /// anything was changed, it is tried again.
    ///
    /// # Errors
    ///
    /// What `once` failed with last, or that a stop was requested.
    pub async fn over<T>(
        &self,
        connect: impl Fn() -> Box<dyn Transport>,
        once: impl AsyncFn(&dyn Transport) -> Result<T>,
    ) -> Result<T> {
        self.report(|host| Event::Started { host });
        let mut pauses = PAUSES.into_iter();
        loop {
            let transport = connect();
            let note = |text| self.report(|host| Event::Note { host, text });
            let result = self.notices.shown_during(once(&*transport), note).await;
            tokio::select! {
                () = transport.close() => {}
                () = self.stop.requested(StopRequest::Immediate) => {}
            }
            let error = match result {
                Err(error) if error.is_transient && !self.stop.is_requested() => error,
                result => return result,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            let text = format!("{error}; trying again in {} s", pause.as_secs());
            self.report(|host| Event::Note { host, text });
            self.unless_stopped(async {
                tokio::time::sleep(pause).await;
                Ok(())
            })
            .await?;
        }
    }

    /// The result of what changes nothing, unless a stop is requested meanwhile.
    ///
    /// # Errors
    ///
    /// As `looking`, or that a stop was requested.
    pub async fn unless_stopped<T>(&self, looking: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            result = looking => result,
            () = self.stop.requested(StopRequest::Graceful) => Err(Error::stopped()),
        }
    }

    /// Starts the driver.
    ///
    /// # Errors
    ///
    /// When the host is not reached or cannot run it.
    pub async fn start(&self, transport: &dyn Transport) -> Result<Driver> {
        let start = Start { lists_containers: !self.options.no_restart, docker: self.target.docker.as_ref() };
        let driver = Driver::start_with(transport, start, self.notices.clone()).await?;
        self.report(|host| Event::Connected { host });
        Ok(driver)
    }

    /// Opens the root.
    ///
    /// # Errors
    ///
    /// When the host lacks something, or another run holds the lock for too long.
    pub async fn open(&self, driver: &Driver, access: Access) -> Result<()> {
        let root = self.target.root.clone();
        let command = match access {
            Access::Read => Command::OpenToRead { root },
            Access::Write { commit } => Command::OpenToWrite {
                root,
                wait_secs: self.options.lock_wait.as_secs(),
                holder: self.holder(commit.as_deref()),
            },
        };
        open(driver, &command, &self.target.root, |holder| {
            let holder = holder_in_words(holder);
            self.report(|host| Event::Waiting { host, holder });
        })
        .await
    }

    /// How a run with these options opens the root.
    pub(super) fn access(&self, commit: Option<&str>) -> Access {
        if self.options.dry_run { Access::Read } else { Access::Write { commit: commit.map(str::to_owned) } }
    }

    /// Opens the root and asks what the host has, of which `wants` is known, and what only it has: one round
    /// trip brings all of it. Unless the run touches files only, that includes the containers.
    ///
    /// # Errors
    ///
    /// As [`Session::open`], or when the host's records cannot be read.
    pub async fn open_with_facts(
        &self,
        driver: &Driver,
        access: Access,
        wants: &BTreeMap<String, Manifest>,
        question: &HostOnlyQuestion,
    ) -> Result<Deployed> {
        let asking = facts_and_host_only(driver, wants, question, !self.options.no_restart);
        let (opened, asked) = tokio::join!(self.open(driver, access), asking);
        opened?;
        let (mut deployed, host_only) = asked?;
        mend(driver, &mut deployed).await?;
        learn(&mut deployed, host_only);
        Ok(deployed)
    }

    /// Writes a state that has been rebuilt, unless this is a dry run. The lock must be held.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or the host cannot write it.
    pub(super) async fn write_rebuilt_state(&self, driver: &Driver, deployed: &Deployed) -> Result<()> {
        let is_rebuilt = deployed.damaged.iter().any(|damage| damage.file == STATE_FILE);
        if self.options.dry_run || !is_rebuilt {
            return Ok(());
        }
        let json = serde_json::to_string(&deployed.state)
            .map_err(|error| Error::unforeseen(format!("failed to write the state: {error}")))?;
        let reply = driver.call(&Command::State(json)).await?;
        if reply.is_ok() {
            return Ok(());
        }
        let message = format!(
            "the state on the host is damaged, and a new one cannot be written: {}",
            reply.output.join("; ")
        );
        Err(Error::new(Exit::Unreachable, message)
            .help("make room on the host's disk, and run the command again"))
    }

    /// Enters a run that was cut off into the history, unless this run changes nothing. Returns a note about it.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or the records on the host cannot be read or written.
    pub(super) async fn enter_cut_off(
        &self,
        driver: &Driver,
        deployed: &mut Deployed,
    ) -> Result<Option<Diagnostic>> {
        if self.options.dry_run { Ok(None) } else { way_back::enter_cut_off(driver, deployed).await }
    }

    /// Finds where a failure leads back to, for projects that an earlier run has left halfway.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or the records on the host cannot be read.
    pub(super) async fn plan_ways_back(
        &self,
        driver: &Driver,
        deployed: &mut Deployed,
        work: &mut HostWork,
    ) -> Result<()> {
        if self.options.dry_run || self.options.no_restart {
            return Ok(());
        }
        way_back::plan_ways_back(driver, deployed, work).await
    }

    /// Plans the external networks that the host lacks and the configuration names.
    ///
    /// # Errors
    ///
    /// When the connection is lost.
    pub(super) async fn plan_networks(&self, driver: &Driver, work: &mut HostWork) -> Result<()> {
        if self.options.no_restart {
            return Ok(());
        }
        plan_networks(driver, &self.options.networks, work).await
    }

    /// Does what there is to do, or ends with the plan of a dry run.
    ///
    /// # Errors
    ///
    /// In a dry run, when the connection is lost, the host lacks room, or a stop is requested.
    pub async fn finish(&self, prepared: Prepared) -> Result<Reached> {
        let Prepared { driver, deployed, mut work, newest, back_to, content } = prepared;
        pull_ahead(&mut work, &self.options.logins);
        let RunOptions { health, identity, .. } = self.options;
        let settings = Settings {
            no_restart: self.options.no_restart,
            health_timeout: health.timeout,
            stable_for: health.stable_for,
            log_lines: health.log_lines,
            keep: self.options.keep,
            prune_images: self.options.prune_images,
            require_tested: self.options.require_tested && back_to.is_none(),
            logins: self.options.logins.clone(),
            newest,
            back_to,
            at: (self.options.clock)(),
            actor: identity.actor.clone(),
            run_url: identity.run_url.clone(),
            host_options: self.target.options.clone(),
        };
        let task = Task {
            work: &work,
            deployed: &deployed,
            settings: &settings,
            engine: &Compose,
            root: &self.target.root,
            driver: &driver,
            observer: self.observer,
            stop: self.stop.clone(),
            content,
            only_looks: self.options.dry_run,
        };
        if self.options.dry_run {
            let looks = async {
                let (foreseen, room) = tokio::join!(foresee(task), self.check_room(&driver, &work));
                room.and(foreseen)
            };
            let foreseen = self.unless_stopped(looks).await;
            driver.end().await;
            self.report(|host| Event::Done { host });
            let foreseen = foreseen?;
            for ProjectWork { plan, .. } in &mut work.projects {
                if let Some(problems) = foreseen.problems.get(&plan.name) {
                    plan.block(problems.clone());
                }
            }
            work.notes.extend(foreseen.notes);
            if self.options.no_restart && work.projects.iter().any(|work| !work.plan.actions.is_empty()) {
                work.notes.push(Diagnostic::warning(
                    "with --no-restart, the actions stay owed to the next sync",
                    None,
                ));
            }
            return Ok(Reached::Planned(work.plan()));
        }
        let outcome = tokio::select! {
            outcome = apply(task) => outcome,
            () = self.stop.requested(StopRequest::Immediate) => stopped_immediately(&work, &deployed),
        };
        tokio::select! {
            () = driver.end() => {}
            () = self.stop.requested(StopRequest::Immediate) => {}
        }
        Ok(Reached::Applied(outcome))
    }

    /// Checks that the user may write below the root, and that there is room for the files that would be sent. What
    /// they replace is kept, too, but takes no more room.
    async fn check_room(&self, driver: &Driver, work: &HostWork) -> Result<()> {
        if work.is_idle() {
            return Ok(());
        }
        let files = work.projects.iter().filter(|work| work.plan.problems.is_empty());
        let files = files.flat_map(|work| &work.plan.files).filter_map(|file| file.after.as_ref());
        let bytes: u64 = files.map(|after| after.size).sum();
        let reply = driver.call(&Command::Room).await?;
        if !reply.is_ok() {
            return Err(not_writable(&self.target.root, &reply.output));
        }
        match free_room(&reply.output) {
            Some((kib, _)) if kib.saturating_mul(1024) < bytes => Err(is_full(&self.target.root)),
            _ => Ok(()),
        }
    }

    pub(super) fn report(&self, event: impl FnOnce(String) -> Event) {
        self.observer.on(event(self.target.name.clone()));
    }

    /// Who holds the lock from now on, for those who wait for it.
    fn holder(&self, commit: Option<&str>) -> String {
        let Identity { actor, run_url } = &self.options.identity;
        let since = (self.options.clock)();
        json!({"actor": actor, "commit": commit, "run": run_url, "since": since, "pid": std::process::id()})
            .to_string()
    }
}

/// What a host is asked to compare: the manifests of the projects that are selected, and of shared files.
pub(super) fn wants(wanted: &Wanted, selects: impl Fn(&str) -> bool) -> BTreeMap<String, Manifest> {
    let projects = wanted.projects.iter().filter(|project| selects(&project.name));
    projects
        .map(|project| (unit(&project.name), project.manifest.clone()))
        .chain([(SHARED.to_owned(), wanted.shared.clone())])
        .collect()
}

/// Notes which services may have an image of a registry with a login.
fn pull_ahead(work: &mut HostWork, logins: &[RegistryLogin]) {
    for project in &mut work.projects {
        let Some(wanted) = project.wanted.clone() else { continue };
        let services = wanted.model.services.iter();
        let may_need =
            |service: &Service| service.image.as_deref().is_some_and(|image| may_need_login(logins, image));
        let of = services.filter(|(_, service)| service.active && may_need(service));
        project.pulls_ahead = of.map(|(name, _)| name.clone()).collect();
    }
}

/// The outcome of a run that was stopped in the middle of a step, which continues on the host.
fn stopped_immediately(work: &HostWork, deployed: &Deployed) -> HostOutcome {
    let diagnostic =
        Diagnostic::error("stopped immediately by a second signal, in the middle of a step", None).help(
            "the step continues on the host and holds the lock until it ends; then run `ghdeploy sync`",
        );
    HostOutcome {
        name: work.host.clone(),
        release: Some(deployed.state.release).filter(|release| *release > 0),
        back_to: None,
        changed: true,
        notes: work.notes.clone(),
        networks: Vec::new(),
        removed_images: Vec::new(),
        projects: Vec::new(),
        failure: Some(HostFailure {
            exit: Exit::NeedsLook,
            diagnostics: vec![diagnostic],
            state: HostState::Unknown,
        }),
    }
}
