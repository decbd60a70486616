//! RunOptions, configuration and surroundings that every command works with.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::Args;
use super::place::Place;
use crate::apply::stop::Stop;
use crate::base::diagnostic::suggestion;
use crate::base::error::{Error, Result};
use crate::config::Config;
use crate::config::selection::Selection;
use crate::deploy::{Identity, RunOptions, RunRepository, Session, Target, Worktree, now};
use crate::github;
use crate::host::credentials::Credentials;
use crate::host::{Notices, Transport, knows_alias};
use crate::images::reference;
use crate::outcome::event::Silent;
use crate::report::progress::Progress;
use crate::report::{Format, Style};
use crate::tree::regular;

/// RunOptions, configuration and surroundings of a command.
#[derive(Debug)]
pub(super) struct Context {
    /// The folder of the repository.
    pub(super) dir: PathBuf,
    /// The same, and where paths on the command line start from.
    pub(super) place: Place,
    pub(super) args: Args,
    pub(super) config: Config,
    /// Credentials for ssh; empty for commands that need no host.
    pub(super) credentials: Credentials,
    pub(super) format: Format,
    /// Style of stdout.
    pub(super) style: Style,
    /// Style of stderr.
    pub(super) stderr: Style,
    pub(super) progress: Progress,
    /// The workflow run that this process is part of.
    pub(super) workflow: Option<github::WorkflowRun>,
    /// The same, or a repository that was named by hand, for calls to GitHub.
    pub(super) github: Option<github::WorkflowRun>,
    /// Projects and services whose shared tags the matrix may name, once that was found out.
    pub(super) movable: OnceCell<BTreeSet<(String, String)>>,
}

impl Context {
    /// Writes a result to stdout. A closed pipe (`| head`) is no failure.
    pub(super) fn print(&self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        match write(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::unforeseen(format!("failed to write to stdout: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes a remark to stderr. A closed stderr is no failure.
    pub(super) fn say(&self, remark: &str) {
        if let Some(note) = self.note() {
            note(remark);
        }
    }

    /// Writes remarks to stderr; `None` if they are turned off.
    pub(super) fn note(&self) -> Option<fn(&str)> {
        (!self.args.quiet).then_some(super::remark as fn(&str))
    }

    /// The text of a file of the repository, to show the line that a message is about.
    pub(super) fn source(&self, path: &str) -> Option<String> {
        source(&self.dir, path)
    }

    /// The hosts that were asked for, or else all of the configuration.
    ///
    /// # Errors
    ///
    /// When there is none, or one is no host.
    pub(super) fn targets(&self) -> Result<Vec<Target>> {
        self.refuse_unknown_hosts()?;
        Target::all(&self.config, &self.args.hosts().collect::<Vec<_>>(), self.args.root())
    }

    /// The same, but where no host is given, one that stands for any host.
    ///
    /// # Errors
    ///
    /// When one is no host.
    pub(super) fn targets_or_any(&self) -> Result<Vec<Target>> {
        self.refuse_unknown_hosts()?;
        Target::all_or_any(&self.config, &self.args.hosts().collect::<Vec<_>>(), self.args.root())
    }

    /// Refuses a single word as a host that is neither in the configuration, which has others, nor known to
    /// ssh, nor the name of a machine.
    fn refuse_unknown_hosts(&self) -> Result<()> {
        let known: Vec<&str> = self.config.hosts.iter().map(|host| host.name.as_str()).collect();
        let is_word =
            |text: &&str| !text.contains(['@', '.', ':', '/']) && *text != "local" && !known.contains(text);
        for text in self.args.hosts().filter(is_word).filter(|_| !known.is_empty()) {
            let is_machine = || (text, 22).to_socket_addrs().is_ok_and(|mut found| found.next().is_some());
            if text.starts_with('-')
                || knows_alias(text, self.args.credentials().config.as_deref())
                || is_machine()
            {
                continue;
            }
            let message =
                format!("--host: `{text}` is neither a host of the configuration nor an alias of ssh");
            return Err(Error::usage(message).help(suggestion(text, "hosts", &known)));
        }
        Ok(())
    }

    /// The transport to a host.
    pub(super) fn transport(&self, target: &Target) -> Box<dyn Transport> {
        target.transport(&self.credentials, self.args.accept_new_host_key)
    }

    /// The working directory of the repository.
    pub(super) fn worktree(&self) -> Worktree {
        Worktree::new(self.dir.clone(), self.config.services.clone(), self.config.sync.clone())
    }

    /// Who deploys: the actor of the workflow run, or the user of this machine.
    pub(super) fn identity(&self) -> Identity {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let run = self.workflow.as_ref();
        let actor = run.and_then(|run| run.actor.clone());
        Identity {
            actor: actor.or_else(|| variable("USER")).or_else(|| variable("LOGNAME")),
            run_url: run.and_then(github::WorkflowRun::url),
        }
    }

    /// The repository of the workflow run.
    pub(super) fn run_repository(&self) -> RunRepository {
        let run = self.workflow.as_ref();
        RunRepository {
            name: run.and_then(|run| run.repository.clone()),
            id: run.and_then(github::WorkflowRun::repository_id),
        }
    }

    /// RunOptions of a run that only looks.
    pub(super) fn looking(&self) -> RunOptions {
        self.deploying(true, true, Duration::ZERO)
    }

    /// RunOptions of a run that changes hosts, unless it is a `dry_run`.
    pub(super) fn deploying(&self, dry_run: bool, no_restart: bool, lock_wait: Duration) -> RunOptions {
        RunOptions {
            dry_run,
            no_restart,
            lock_wait,
            health: self.config.health.clone(),
            keep: self.config.keep,
            prune_images: self.config.prune_images,
            require_tested: self.config.gate.require_tested,
            logins: self.logins(),
            networks: self.config.networks.clone(),
            identity: self.identity(),
            clock: now,
        }
    }

    /// Runs `once` on a host, over a connection of its own. A host that is not reached for a reason that may
    /// pass is tried again.
    ///
    /// # Errors
    ///
    /// What `once` failed with last, or that a stop was requested.
    pub(super) async fn on<T>(
        &self,
        session: &Session<'_>,
        once: impl AsyncFn(&Session<'_>, &dyn Transport) -> Result<T>,
    ) -> Result<T> {
        let connect = || self.transport(session.target);
        session.over(connect, async |transport: &dyn Transport| once(session, transport).await).await
    }

    /// Runs `once` on a host to look only; it is tried once.
    ///
    /// # Errors
    ///
    /// What `once` failed with.
    pub(super) async fn look<T>(
        &self,
        target: &Target,
        once: impl AsyncFn(&Session<'_>, &dyn Transport) -> Result<T>,
    ) -> Result<T> {
        let (options, transport) = (self.looking(), self.transport(target));
        let notices = Notices::default();
        let session = Session {
            target,
            options: &options,
            observer: &Silent,
            stop: Stop::never(),
            notices: notices.clone(),
        };
        let note = |text: String| self.say(&format!("{}: {text}", target.name));
        let result = notices.shown_during(once(&session, &*transport), note).await;
        transport.close().await;
        result
    }

    /// Where images without a name of their own go.
    pub(super) fn registry(&self) -> String {
        let run = self.github.as_ref();
        let (server, repository) =
            run.map_or(("", None), |run| (run.server.as_str(), run.repository.as_deref()));
        let own = std::env::var("GHDEPLOY_REGISTRY").ok().filter(|registry| !registry.is_empty());
        own.or_else(|| self.config.registry.clone())
            .unwrap_or_else(|| reference::registry(server, repository.unwrap_or("local")))
    }
}

/// What `--project` and the names behind a command select; `None`: everything.
///
/// # Errors
///
/// When one is no glob.
pub(super) fn selection(globs: &[&str]) -> Result<Option<Selection>> {
    if globs.is_empty() {
        return Ok(None);
    }
    Selection::new(globs).map(Some).map_err(|(_, why)| Error::usage(format!("projects: {why}")))
}

/// Largest source of which a line is shown, in bytes.
const MAX_SOURCE: u64 = 1 << 20;

/// The text of a file of the repository, to show the line that a message is about.
pub(super) fn source(dir: &Path, path: &str) -> Option<String> {
    if regular::leads_out(dir, path.as_ref()) {
        return None;
    }
    String::from_utf8(regular::read(&dir.join(path), MAX_SOURCE).ok()?).ok()
}
