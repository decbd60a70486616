//! Projects, a host, and syncs between them.

use std::sync::Arc;
use std::time::Duration;

use ghdeploy::apply::BackTo;
use ghdeploy::base::error::{Error, Exit};
use ghdeploy::base::path::RootPath;
use ghdeploy::base::secret::Secret;
use ghdeploy::compose::model::Reaction;
use ghdeploy::config::address::HostAddress;
use ghdeploy::config::globs::ProjectGlobs;
use ghdeploy::config::layout::Layout;
use ghdeploy::config::{FileRules, Health, Network};
use ghdeploy::deploy::sync::Sync;
use ghdeploy::deploy::{self, Identity, Reached, RunRepository, Session, Target, Worktree};
use ghdeploy::host::Notices;
use ghdeploy::images::login::RegistryLogin;
use ghdeploy::outcome::event::{Event, Observer};
use ghdeploy::outcome::{ActionResult, HostOutcome, Outcome, ProjectOutcome, ProjectResult};
use ghdeploy::plan::{HostPlan, VERSION};
use ghdeploy::state::wanted::{Reactions, Wanted};
use ghdeploy::tree;
use ghdeploy::tree::disk::DiskTree;

use crate::host::{Files, Host};
use crate::peer::{Fault, Peer};
pub(crate) use crate::support::projects::Projects;

pub(crate) const ROOT: &str = "/srv/services";

/// Options of a sync.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ask {
    pub(crate) force: bool,
    pub(crate) prune: bool,
    pub(crate) no_restart: bool,
    /// A registry with a login.
    pub(crate) login: Option<&'static str>,
    /// Replaced images are removed, and two releases are kept.
    pub(crate) prune_images: bool,
    /// A network that is made if it is missing.
    pub(crate) network: Option<&'static str>,
    /// The release to roll back to. The projects must be those that the host had then.
    pub(crate) back_to: Option<u64>,
    /// How long a service has to run before it counts as healthy.
    pub(crate) stable_for: Duration,
    /// The commands that go wrong, counted from 0, and how.
    pub(crate) faults: [Option<(usize, Fault)>; 2],
}

/// Result of a sync.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) commands: Vec<String>,
    pub(crate) outcome: HostOutcome,
    pub(crate) exit: Exit,
    pub(crate) host: Host,
}

impl Projects {
    fn tree(&self) -> Arc<DiskTree> {
        Arc::new(DiskTree::open(self.top(), &Layout::default(), &FileRules::default()).unwrap())
    }

    pub(crate) fn wanted(&self) -> Wanted {
        tree::read(&*self.tree(), &Layout::default(), ROOT, &|_, _| true).unwrap()
    }

    /// A host to which the projects were deployed.
    pub(crate) fn deployed(&self) -> Host {
        let run = self.sync(&Host::default(), Ask::default());
        assert_eq!(run.exit, Exit::Done, "{run:#?}");
        run.host
    }

    /// Runs a sync in a runtime of its own.
    pub(crate) fn sync(&self, host: &Host, ask: Ask) -> Run {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let peer = Peer::new(host.clone(), ask.faults);
        let result = runtime.block_on(self.run(&peer, ask, false));
        let line = peer.line();
        let outcome = match result.unwrap_or_else(|error| panic!("{error}")) {
            Reached::Applied(outcome) => outcome,
            Reached::Planned(plan) => panic!("nothing was carried out: {plan:#?}"),
        };
        let all = Outcome { version: VERSION, commit: None, dirty: false, hosts: vec![outcome.clone()] };
        Run { commands: line.commands.clone(), exit: all.exit(), outcome, host: line.host.clone() }
    }

    /// Runs a dry run in a runtime of its own. Returns its commands and its plan.
    pub(crate) fn dry_run(&self, host: &Host, ask: Ask) -> (Vec<String>, HostPlan) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let peer = Peer::new(host.clone(), ask.faults);
        let result = runtime.block_on(self.run(&peer, ask, true));
        let line = peer.line();
        match result.unwrap_or_else(|error| panic!("{error}")) {
            Reached::Planned(plan) => (line.commands.clone(), plan),
            Reached::Applied(outcome) => panic!("it was no dry run: {outcome:#?}"),
        }
    }

    async fn run(&self, peer: &Peer, ask: Ask, dry_run: bool) -> Result<Reached, Error> {
        let worktree = Worktree::new(self.top().to_owned(), Layout::default(), FileRules::default());
        let sync = Sync {
            worktree: &worktree,
            selection: None,
            force: ask.force,
            prune: ask.prune,
            adopt: false,
            allow_older: false,
            take_over: false,
            new_repository: false,
            run_repository: RunRepository::default(),
        };
        let target = Target {
            compose: ghdeploy::config::compose_files::ComposeFiles::default(),
            docker: None,
            name: "web".to_owned(),
            options: "--host web".to_owned(),
            address: HostAddress::Local { root: None },
            root: ROOT.to_owned(),
            projects: ProjectGlobs::default(),
            is_named: false,
        };
        let options = deploy::RunOptions {
            dry_run,
            no_restart: ask.no_restart,
            lock_wait: Duration::ZERO,
            health: Health { timeout: Duration::from_secs(3), stable_for: ask.stable_for, log_lines: 0 },
            keep: if ask.prune_images { 2 } else { 10 },
            prune_images: ask.prune_images,
            require_tested: false,
            logins: ask.login.map(login).into_iter().collect(),
            networks: ask.network.map(network).into_iter().collect(),
            identity: Identity::default(),
            clock: || "2026-01-01T00:00:00Z".to_owned(),
        };
        let observer = Arming(peer);
        let session = Session {
            target: &target,
            options: &options,
            observer: &observer,
            stop: peer.stop(),
            notices: Notices::default(),
        };
        let mut prepared = sync.prepare(&session, peer).await?;
        prepared.back_to = ask.back_to.map(|release| BackTo { release, is_whole: true });
        session.finish(prepared).await
    }

    /// What on the host is not as wanted: files, records, containers that run with something else.
    pub(crate) fn misses(&self, host: &Host) -> Vec<String> {
        let wanted = self.wanted();
        let mut misses = host.wrong.clone();
        let manifests = wanted.projects.iter().map(|project| &project.manifest).chain([&wanted.shared]);
        for (path, entry) in manifests
            .flat_map(|manifest| &manifest.0)
            .filter(|(path, entry)| host.files.get(*path) != Some(*entry))
        {
            misses.push(format!("{path} is not {}", entry.digest.as_str()));
        }
        misses.extend(host.pending.keys().map(|unit| format!("{unit} is pending")));
        for project in &wanted.projects {
            let recorded = host.state.as_ref().map(|state| &state["projects"][&project.name]["services"]);
            let own = host.containers.iter().filter(|container| container.project == project.model.name);
            let left = own.filter(|container| !project.model.services.contains_key(&container.service));
            misses.extend(left.map(|container| format!("{}/{} is left", project.name, container.service)));
            for (name, service) in project.model.services.iter().filter(|(_, service)| service.active) {
                if recorded.is_none_or(|services| services[name].is_null()) {
                    misses.push(format!("{}/{name} is not recorded", project.name));
                }
                let Some(container) =
                    host.containers.iter().find(|c| c.project == project.model.name && c.service == *name)
                else {
                    misses.push(format!("{}/{name} does not run", project.name));
                    continue;
                };
                if container.is_stopped {
                    misses.push(format!("{}/{name} is stopped", project.name));
                }
                let reactions = Reactions::new(&project.model, service);
                let input = |path: &RootPath| {
                    *reactions.to(path) != Reaction::None
                        && service.reads.iter().any(|read| read.how.is_input() && read.covers(path))
                };
                let defines = |path: &RootPath| {
                    service.reads.iter().any(|read| !read.how.is_input() && read.covers(path))
                };
                for (seen, what, counts) in [
                    (&container.seen, "inputs", &input as &dyn Fn(&RootPath) -> bool),
                    (&container.created, "definition", &defines),
                ] {
                    let of = |files: &Files| {
                        files
                            .iter()
                            .filter(|(path, _)| counts(path))
                            .map(|(path, entry)| (path.clone(), entry.digest.clone()))
                            .collect::<Vec<_>>()
                    };
                    if of(seen) != of(&host.files) {
                        misses.push(format!("{}/{name} runs with other {what}", project.name));
                    }
                }
            }
        }
        misses
    }
}

fn login(registry: &str) -> RegistryLogin {
    RegistryLogin {
        registry: registry.to_owned(),
        variable: "TOKEN".to_owned(),
        credentials: Ok(("ann".to_owned(), Secret::new("hunter2"))),
    }
}

fn network(name: &str) -> Network {
    Network { name: name.to_owned(), internal: true, ..Network::default() }
}

/// Arms a peer as soon as the plan is made.
struct Arming<'a>(&'a Peer);

impl Observer for Arming<'_> {
    fn on(&self, event: Event) {
        if matches!(event, Event::Planned { .. }) {
            self.0.line().is_armed = true;
        }
    }
}

impl Run {
    pub(crate) fn project(&self, name: &str) -> &ProjectOutcome {
        self.outcome.projects.iter().find(|project| project.name == name).unwrap()
    }

    pub(crate) fn result(&self, name: &str) -> ProjectResult {
        self.project(name).result
    }

    /// `kind service: result` of each action of a project.
    pub(crate) fn actions(&self, name: &str) -> Vec<(String, ActionResult)> {
        let actions = self.project(name).actions.iter();
        actions
            .map(|of| {
                (
                    format!("{} {}", of.action.kind.word(), of.action.service.as_deref().unwrap_or("-")),
                    of.result,
                )
            })
            .collect()
    }

    /// The position of a command among the commands.
    pub(crate) fn at(&self, command: &str) -> usize {
        self.commands
            .iter()
            .position(|there| there == command)
            .unwrap_or_else(|| panic!("no {command:?} in {:#?}", self.commands))
    }

    pub(crate) fn did(&self, start: &str) -> bool {
        self.commands.iter().any(|command| command.starts_with(start))
    }
}
