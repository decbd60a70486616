//! Brings a host to the tree of a repository.

use std::sync::Arc;

use super::elsewhere::elsewhere;
use super::host_only::{learn, settle};
use super::repository::{OwnRepository, RunRepository, judge};
use super::session::wants;
use super::worktree::known;
use super::{Prepared, Reached, Session, Target, Worktree};
use crate::apply::ContentSource;
use crate::apply::stage::Source;
use crate::base::commit::hash;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::compose::Files as _;
use crate::config::selection::{Selected, Selection};
use crate::host::facts::{host_only, probe_new};
use crate::host::{Driver, Transport};
use crate::plan::age::{Age, Ages};
use crate::plan::{self, HostWork, PlanOptions};
use crate::state::deployed::{Commit, Deployed, ProjectState, State, unit};
use crate::state::question::HostOnlyQuestion;
use crate::state::repository::{Kinship, RepositoryMarks};
use crate::state::wanted::Wanted;
use crate::tree::disk::DiskTree;
use crate::tree::git::Repository;
use crate::tree::{Snapshot as _, TreeFileKind};

/// A sync of one tree to any number of hosts.
#[derive(Debug)]
pub struct Sync<'a> {
    /// The tree.
    pub worktree: &'a Worktree,
    /// The projects and services that take part; `None`: all.
    pub selection: Option<Selection>,
    /// Recreate every service that takes part, whatever is owed.
    pub force: bool,
    /// Take projects down that have left the repository.
    pub prune: bool,
    /// Let the repository win over unmanaged files of other content.
    pub adopt: bool,
    /// Deploy a commit that is older than the deployed one, or that was rolled back from.
    pub allow_older: bool,
    /// Recreate containers that were started in another folder.
    pub take_over: bool,
    /// Let the root belong to this repository from now on.
    pub new_repository: bool,
    /// The repository of the workflow run.
    pub run_repository: RunRepository,
}

impl Sync<'_> {
    /// Runs on one host.
    ///
    /// # Errors
    ///
    /// When the host is not reached, nothing can be planned, or the commit is older than the deployed one.
    /// What fails later is in the outcome.
    pub async fn run(&self, session: &Session<'_>, transport: &dyn Transport) -> Result<Reached> {
        let prepared = session.unless_stopped(self.prepare(session, transport)).await?;
        session.finish(prepared).await
    }

    /// Finds out what there is to do. That changes nothing but who holds the lock.
    ///
    /// # Errors
    ///
    /// As [`Sync::run`].
    pub async fn prepare(&self, session: &Session<'_>, transport: &dyn Transport) -> Result<Prepared> {
        // Files are hashed while ssh shakes hands.
        let (driver, read, own) = tokio::join!(
            session.start(transport),
            self.worktree.wanted(session.target),
            self.worktree.repository(&self.run_repository),
        );
        let ((tree, wanted), own) = (read?, own?);
        let driver = driver?;
        let first = self.selection.as_ref();
        let first =
            first.map_or_else(Selected::default, |all| all.among(&known(Some(&wanted), &State::default())));
        let asked = wants(&wanted, |project| first.selects(project));
        let access = session.access(wanted.commit.as_deref());
        let question = HostOnlyQuestion::of(&wanted);
        let mut deployed = session.open_with_facts(&driver, access, &asked, &question).await?;
        session.write_rebuilt_state(&driver, &deployed).await?;
        let read = async |settings: &_| self.worktree.wanted_with(session.target, settings, &wanted).await;
        let wanted = settle(&driver, &mut deployed, question, wanted.clone(), read).await?;
        let selection = self.selection.as_ref();
        let selected = self.worktree.selected(session.target, selection, &wanted, &deployed).await?;
        probe_new(&driver, &wants(&wanted, |project| selected.selects(project)), &mut deployed).await?;
        self.learn_of_leaving(&driver, &wanted, &selected, &mut deployed).await?;
        let cut_off = session.enter_cut_off(&driver, &mut deployed).await?;
        // Containers may run from another folder, the root may belong to another repository: either is said
        // before anything is planned.
        deployed.elsewhere = elsewhere(&driver, &session.target.root, &wanted, &deployed).await?;
        let judged = self.judge_repository(session.target, &wanted, &selected, &deployed, &own)?;
        let mut work = self.plan(session, &tree, &wanted, &selected, &deployed)?;
        work.notes.extend(cut_off);
        self.record_repository(judged, &own, &deployed, &mut work);
        if !work.is_idle() {
            work.notes.extend(plan::differs_from_commit(&wanted));
        }
        let newest = self.judge_age(&wanted, &deployed, &mut work)?;
        session.plan_networks(&driver, &mut work).await?;
        session.plan_ways_back(&driver, &mut deployed, &mut work).await?;
        Ok(Prepared { driver, deployed, work, newest, back_to: None, content: content(tree) })
    }

    fn plan(
        &self,
        session: &Session<'_>,
        tree: &DiskTree,
        wanted: &Wanted,
        selected: &Selected,
        deployed: &Deployed,
    ) -> Result<HostWork> {
        let wanted_names = wanted.projects.iter().map(|project| &project.name);
        let has_any = wanted_names.chain(deployed.state.projects.keys()).next().is_some();
        if !has_any {
            return Err(nothing_to_run(session.target));
        }
        let selects = |name: &str| selected.selects(name);
        let services = |name: &str| selected.services(name).cloned();
        let options = PlanOptions {
            services: &services,
            force: self.force,
            prune: self.prune,
            adopt: self.adopt,
            allow_held: self.allow_older,
            take_over: self.take_over,
            require_tested: session.options.require_tested,
            root: &session.target.root,
            ..PlanOptions::new(&selects)
        };
        Ok(plan::host(&session.target.name, wanted, deployed, &options, &|path| tree.shown(path)))
    }

    /// The projects that have left the repository and that this run takes down.
    fn leaving<'d>(
        &self,
        wanted: &Wanted,
        selected: &Selected,
        deployed: &'d Deployed,
    ) -> impl Iterator<Item = (&'d str, &'d ProjectState)> {
        let is_wanted = |name: &str| wanted.projects.iter().any(|project| project.name == name);
        let all = deployed.state.projects.iter().map(|(name, state)| (name.as_str(), state));
        let goes = |name: &str| selected.selects(name) && selected.services(name).is_none();
        all.filter(move |(name, _)| self.prune && goes(name) && !is_wanted(name))
    }

    /// Asks for compose files that only the host has in the folders of projects that are taken down.
    async fn learn_of_leaving(
        &self,
        driver: &Driver,
        wanted: &Wanted,
        selected: &Selected,
        deployed: &mut Deployed,
    ) -> Result<()> {
        let mut question = HostOnlyQuestion::default();
        for (name, state) in self.leaving(wanted, selected, deployed) {
            if let Some(manifest) = deployed.manifests.get(&unit(name)) {
                question.extend(HostOnlyQuestion::of_folder(&state.dir, manifest));
            }
        }
        if !question.is_empty() {
            learn(deployed, host_only(driver, &question).await?);
        }
        Ok(())
    }

    /// Refuses a root of another repository. Returns whether it is the same, and a note.
    fn judge_repository(
        &self,
        target: &Target,
        wanted: &Wanted,
        selected: &Selected,
        deployed: &Deployed,
        own: &OwnRepository,
    ) -> Result<(Kinship, Option<Diagnostic>)> {
        if self.new_repository {
            return Ok((Kinship::Same, None));
        }
        let kinship = own.kinship(deployed);
        let leaving: Vec<&str> = self.leaving(wanted, selected, deployed).map(|(name, _)| name).collect();
        let owner = &deployed.state.repository;
        Ok((kinship, judge(kinship, &own.marks, owner, &target.root, &leaving)?))
    }

    /// Adds what is known of the repository to the records.
    fn record_repository(
        &self,
        (kinship, note): (Kinship, Option<Diagnostic>),
        own: &OwnRepository,
        deployed: &Deployed,
        work: &mut HostWork,
    ) {
        work.notes.extend(note);
        if kinship != Kinship::Same {
            return;
        }
        let mut marks =
            if self.new_repository { RepositoryMarks::default() } else { deployed.state.repository.clone() };
        marks.learn(&own.marks);
        if marks != deployed.state.repository {
            work.noted.get_or_insert_with(|| deployed.state.clone()).repository = marks;
        }
    }

    /// Refuses a commit that is older than the deployed one, and notes what is doubtful about its age.
    /// Returns the newest commit once the plan is carried out.
    fn judge_age(&self, wanted: &Wanted, deployed: &Deployed, work: &mut HostWork) -> Result<Option<Commit>> {
        let state = &deployed.state;
        let Some(wanted) = &wanted.commit else { return Ok(None) };
        if work.is_idle() {
            return Ok(None);
        }
        let Ok(repository) = Repository::open(self.worktree.dir()) else { return Ok(None) };
        let wanted = hash(wanted);
        let wanted = Commit { commit: wanted.to_owned(), committed: repository.committed(wanted) };
        let last = || {
            state.commit.as_deref().map(|commit| Commit { commit: hash(commit).to_owned(), committed: None })
        };
        let Some(deployed) = state.newest.clone().or_else(last) else { return Ok(Some(wanted)) };
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
                work.notes.push(note);
                Ok(Some(wanted))
            }
            Age::Older(_) if self.allow_older => Ok(None),
            Age::Older(why) => Err(Error::invalid(vec![why])),
        }
    }
}

fn nothing_to_run(target: &Target) -> Error {
    Error::usage(format!("no project is to run on {}", target.name)).help(
        "`ghdeploy check` shows how many projects there are; `services` in ghdeploy.yml sets where they are",
    )
}

/// The content of the files of a tree.
fn content(tree: Arc<DiskTree>) -> ContentSource {
    Arc::new(move |path| match &tree.nodes().get(path)?.what {
        TreeFileKind::Symlink { target } => Some(Source::Link(target.clone())),
        TreeFileKind::File { .. } => tree.source(path).map(Source::File),
    })
}
