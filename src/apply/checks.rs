//! Checks of a project before anything of it changes: Compose accepts it, what it mounts is there, its
//! images are on the host and, if that is required, tested.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use futures_util::future::{join, join3};

use super::docker::{Docker, EngineReach};
use super::engine::Call;
use super::failure::Failure;
use super::run::ProjectRun;
use super::words::{Unset, Vocabulary, explain_driver, unset_variables};
use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::path::{RootPath, looks_like_a_file};
use crate::compose::model::{ReadMethod, Service};
use crate::host::facts::types;
use crate::host::{Command, ComposeFolder, Reply};
use crate::images::reference::{INPUTS, REVISION};
use crate::plan::{ActionKind, ProjectChange, held_by_others, may_be_held};
use crate::state::deployed::{Found, unit};
use crate::state::reach::PROXY_HELP;
use crate::state::wanted::WantedProject;

/// A path that only the host has.
struct HostPath<'a> {
    service: &'a str,
    path: String,
    /// The text that names it, if a variable has a part in it.
    written: Option<&'a str>,
    must_be_file: bool,
    /// The folder that Docker would make if it is missing, if it is below the root.
    folder: Option<&'a RootPath>,
    at: &'a Location,
}

impl ProjectRun<'_> {
    /// Checks all that can be checked before anything of the project changes.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        let Some(wanted) = self.work.wanted.as_deref() else {
            // Of a project that is taken down, Compose reads the files that are there.
            return if self.acts() { self.check_reach(None).await } else { Ok(()) };
        };
        let is_redefined = self.is_redefined(wanted);
        if self.acts() {
            self.check_reach(Some(wanted)).await?;
            self.check_engine().await?;
        } else if !is_redefined || !self.has_engine().await {
            return Ok(());
        }
        let is_validated = self.can_be_validated(wanted) && self.host.is_staged.load(Ordering::Relaxed);
        let folder = match is_validated {
            true => ComposeFolder::Candidate { unit: unit(self.work.name()) },
            // The host has what Compose reads already, but maybe not the images.
            false => ComposeFolder::Live,
        };
        let surroundings = async {
            if !self.acts() {
                return Ok(());
            }
            let (sources, others, resources) =
                join3(self.check_sources(wanted), self.check_others(wanted), self.check_resources(wanted))
                    .await;
            sources.and(others).and(resources)
        };
        let validity = async { if is_validated { self.validate(wanted).await } else { Ok(()) } };
        let (surroundings, validity) = join(surroundings, validity).await;
        surroundings.and(validity)?;
        if !self.acts() {
            return Ok(());
        }
        if is_validated || !is_redefined {
            self.check_host_names(wanted, &folder).await?;
        }
        self.pull(wanted, &folder).await
    }

    /// Whether [`ProjectRun::check`] asks the host anything.
    pub(super) fn is_checked(&self) -> bool {
        self.acts() || self.work.wanted.as_deref().is_none_or(|wanted| self.is_redefined(wanted))
    }

    /// Whether anything changes of what Compose reads.
    fn is_redefined(&self, wanted: &WantedProject) -> bool {
        let defines = |path| read_by_compose(wanted).contains(path);
        let plan = &self.work.plan;
        plan.change == ProjectChange::Added || plan.files.iter().any(|file| defines(&file.at))
    }

    /// Whether Compose has anything to check. It refuses `services` without a value.
    fn can_be_validated(&self, wanted: &WantedProject) -> bool {
        self.is_redefined(wanted) && !wanted.model.services.is_empty()
    }

    /// The commands that check the project with Compose, if it acts and there is anything to check.
    pub(super) fn validation(&self) -> Option<[Command; 2]> {
        let wanted = self.work.wanted.as_deref()?;
        (self.acts() && self.can_be_validated(wanted)).then(|| self.validation_steps())
    }

    fn validation_steps(&self) -> [Command; 2] {
        let unit = unit(self.work.name());
        let folder = ComposeFolder::Candidate { unit: unit.clone() };
        let validate = Docker::command(&self.host.task.engine.validate(), &self.work.state, folder);
        [Command::Candidate(unit), validate]
    }

    /// Checks that Compose accepts the project as it will be, and finds every variable set.
    async fn validate(&self, wanted: &WantedProject) -> Result<(), Failure> {
        self.report("check with Compose");
        let validate = self.host.task.engine.validate();
        let ahead = self.host.validated.lock().await.take().filter(|(of, _)| of == self.work.name());
        let replies = match ahead {
            Some((_, replies)) => replies,
            None => self.host.task.driver.call_in_turn(&self.validation_steps()).await?,
        };
        let output = match replies.as_slice() {
            [_, validated] if validated.is_ok() => &validated.output,
            [_, refused] => return Err(Failure::new(self.explain(&validate, &refused.output))),
            staging => {
                let output: &[String] = staging.first().map_or(&[], |reply| &reply.output);
                return Err(Failure::new(explain_driver("staging", output)));
            }
        };
        let unset = unset_variables(output, &self.vocabulary());
        if unset == Unset::default() { Ok(()) } else { Err(self.are_unset(wanted, &unset)) }
    }

    /// Variables that only an empty text stands for.
    fn are_unset(&self, wanted: &WantedProject, unset: &Unset) -> Failure {
        let dotenv = wanted.model.dir.join(".env").unwrap_or_default();
        let dotenv = format!("{}/{dotenv}", self.host.task.root.trim_end_matches('/'));
        let mut problems = Vec::new();
        if let Some(first) = unset.named.first() {
            let (noun, verb, them) = match unset.named.len() {
                1 => ("variable", "is", "it"),
                _ => ("variables", "are", "each"),
            };
            let message = format!("{noun} {} {verb} not set on the host", unset.named.join(", "));
            let uses = |service: &&Service| service.unknown_variables.contains(first);
            let at = wanted.model.services.values().find(uses).map(|service| service.at.clone());
            problems.push(Diagnostic::error(message, at).help(format!(
                "set {them} in {dotenv} on the host, or give a default in the compose file: ${{{first}:-}}",
            )));
        }
        if unset.has_pieces {
            let message =
                "a value in .env or in an env file has a `$`, and Compose takes what follows for a variable";
            problems.push(Diagnostic::error(message, None).help(format!(
                "look in {dotenv} on the host: put the value in single quotes, or write `$$` for `$`",
            )));
        }
        Failure::of(problems)
    }

    async fn has_engine(&self) -> bool {
        let version = self.host.docker.version(&self.host.task.engine.probe()).await;
        version.is_ok_and(Reply::is_ok)
    }

    /// Checks that the engine answers, may be changed, and has the files that the services which act mount.
    async fn check_reach(&self, wanted: Option<&WantedProject>) -> Result<(), Failure> {
        let docker = &self.host.docker;
        let (before, reach) = tokio::join!(docker.before(), docker.reach());
        before?;
        let EngineReach { reach, is_elsewhere, refused } = reach?;
        if !refused.is_empty() {
            let message = format!(
                "the proxy before Docker at {} refuses {}",
                reach.shown_address(),
                refused.join(", ")
            );
            return Err(Failure::new(Diagnostic::error(message, None).help(PROXY_HELP)));
        }
        if !is_elsewhere {
            return Ok(());
        }
        let services = wanted.iter().flat_map(|wanted| self.acting(wanted));
        let mounted = services.filter_map(|(name, service)| {
            let inputs = service.reads.iter().filter(|read| read.how.is_input()).map(|read| &read.at);
            Some((name, inputs.chain(service.host_binds.iter().map(|(_, at)| at)).next()?))
        });
        let problem = |(name, at): (&str, &Location)| {
            let message = format!(
                "service `{name}` mounts a path of this host, and the engine is on another machine: {}",
                reach.shown_address()
            );
            Diagnostic::error(message, Some(at.clone())).help("deploy to that machine itself; or let docker use this host's own engine: unset DOCKER_HOST there, or write `docker: {host: unix:///var/run/docker.sock}` for the host in ghdeploy.yml")
        };
        let problems: Vec<Diagnostic> = mounted.map(problem).collect();
        if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
    }

    /// The services that get a container, or whose container does something.
    fn acting<'w>(&'w self, wanted: &'w WantedProject) -> impl Iterator<Item = (&'w str, &'w Service)> {
        let actions = self.work.plan.actions.iter();
        let acting: BTreeSet<&str> = actions
            .filter(|action| !matches!(action.kind, ActionKind::Remove | ActionKind::None))
            .filter_map(|action| action.service.as_deref())
            .collect();
        let services = wanted.model.services.iter().map(|(name, service)| (name.as_str(), service));
        services.filter(move |(name, _)| acting.contains(name))
    }

    /// Checks that the engine is there.
    async fn check_engine(&self) -> Result<(), Failure> {
        let probe = self.host.task.engine.probe();
        let version = self.host.docker.version(&probe).await?;
        if version.is_ok() { Ok(()) } else { Err(Failure::new(self.explain(&probe, &version.output))) }
    }

    /// Makes a call that must succeed.
    pub(super) async fn call(&self, call: &Call, folder: ComposeFolder) -> Result<Reply, Failure> {
        let reply = self.host.docker.call(call, &self.work.state, folder).await?;
        if reply.is_ok() { Ok(reply) } else { Err(Failure::new(self.explain(call, &reply.output))) }
    }

    /// The services that get a container.
    pub(super) fn created(&self) -> impl Iterator<Item = &str> {
        let actions = self.work.plan.actions.iter();
        let creates = actions.filter(|action| matches!(action.kind, ActionKind::Up | ActionKind::Recreate));
        creates.filter_map(|action| action.service.as_deref())
    }

    /// Checks that no container outside of all projects holds a name or a port that a new container needs. Those of
    /// projects are in the plan.
    async fn check_others(&self, wanted: &WantedProject) -> Result<(), Failure> {
        let needs = |name: &&str| wanted.model.services.get(*name).is_some_and(may_be_held);
        let services: Vec<&str> = self.created().filter(needs).collect();
        if services.is_empty() {
            return Ok(());
        }
        let problems = held_by_others(&wanted.model, &services, self.host.docker.listed().await?);
        if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
    }

    /// Checks bind sources that only the host has: Docker makes a directory, owned by root, in place of one
    /// that is missing, even where a file is meant.
    async fn check_sources(&self, wanted: &WantedProject) -> Result<(), Failure> {
        let asked: Vec<HostPath<'_>> =
            self.acting(wanted).flat_map(|(name, service)| host_paths(name, service)).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let paths: Vec<String> = asked.iter().map(|asked| asked.path.clone()).collect();
        let found = types(self.host.task.driver, &paths).await?;
        let vocabulary = self.vocabulary();
        let shown = |path: &str| {
            let inside = path.strip_prefix(wanted.model.dir.as_str()).and_then(|rest| rest.strip_prefix('/'));
            inside.map_or_else(
                || format!("{}/{path}", self.host.task.root),
                |inside| format!("{}/{inside}", wanted.path),
            )
        };
        let problems =
            asked.iter().zip(&found).filter_map(|(asked, found)| asked.problem(found, &vocabulary, shown));
        let problems: Vec<Diagnostic> = problems.collect();
        let missing = asked.iter().zip(&found).filter(|(_, found)| **found == Found::Missing);
        let missing: Vec<RootPath> = missing.filter_map(|(asked, _)| asked.folder.cloned()).collect();
        self.host.missing_folders.lock().await.insert(self.work.name().to_owned(), missing);
        if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
    }

    /// The services whose image must be a tested one: those that are built from the repository and come
    /// from a registry.
    pub(super) fn tested<'w>(&'w self, wanted: &'w WantedProject) -> Vec<(&'w str, &'w Service)> {
        if !self.host.task.settings.require_tested {
            return Vec::new();
        }
        let services = self.created().filter_map(|name| wanted.model.services.get_key_value(name));
        services
            .filter(|(_, service)| service.build.is_some())
            .map(|(name, service)| (name.as_str(), service))
            .collect()
    }

    /// Checks that images carry the mark of what is deployed: they were built from this commit, or from one
    /// in which everything that they are built from was the same.
    pub(super) async fn check_tested(&self, services: &[(&str, &Service)]) -> Result<(), Failure> {
        let mut problems = Vec::new();
        for (name, service) in services {
            let Some(image) = service.image.as_deref().filter(|image| !image.contains("${")) else {
                continue;
            };
            let facts = self.host.docker.images(&BTreeSet::from([image.to_owned()])).await;
            let labels = facts.into_iter().next().map(|facts| facts.labels.unwrap_or_default());
            let why = match &labels {
                None => "the host does not have it".to_owned(),
                Some(labels) => {
                    let revision = labels.get(REVISION).filter(|text| !text.is_empty());
                    let inputs = labels.get(INPUTS).filter(|text| !text.is_empty());
                    let wanted = self.work.state.services.get(*name).and_then(|state| state.build.as_ref());
                    if (revision.is_some() && revision == self.host.task.work.commit.as_ref())
                        || (inputs.is_some() && inputs == wanted)
                    {
                        continue;
                    }
                    match revision {
                        Some(revision) => format!("it was built from commit {revision}"),
                        None => "it does not say from which commit it was built".to_owned(),
                    }
                }
            };
            let message = format!(
                "the image {image} of service `{name}` is not the one that was tested for this commit: {why}"
            );
            let at = service.image_at.clone().or_else(|| Some(service.at.clone()));
            problems.push(Diagnostic::error(message, at).help(
                "build it first with `ghdeploy build --push`; gate.require_tested in ghdeploy.yml asks for that",
            ));
        }
        if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
    }
}

impl HostPath<'_> {
    /// What is wrong with what was found there. `shown` names a path below the root.
    fn problem(
        &self,
        found: &Found,
        vocabulary: &Vocabulary<'_>,
        shown: impl Fn(&str) -> String,
    ) -> Option<Diagnostic> {
        let Self { service, path, written, must_be_file, at, .. } = self;
        let (what, help) = match found {
            Found::Missing if *must_be_file => (
                "is neither in the repository nor on the host",
                "add it to the repository, or put it on the host first; Docker would make a directory in its place",
            ),
            Found::Directory | Found::EmptyDirectory if *must_be_file => (
                "is a directory on the host, though a file is meant",
                "Docker makes such a directory when the file is missing: remove it if it is empty, and put the file there",
            ),
            _ => return None,
        };
        let shown = match written {
            Some(written) => (*written).to_owned(),
            None if !path.starts_with('/') => shown(path),
            None if vocabulary.may_name(path) => path.clone(),
            None => "a path that a variable names".to_owned(),
        };
        let message = format!("service `{service}` mounts {shown}, which {what}");
        Some(Diagnostic::error(message, Some((*at).clone())).help(help))
    }
}

/// The paths that a service mounts and only the host has.
fn host_paths<'a>(name: &'a str, service: &'a Service) -> Vec<HostPath<'a>> {
    let inputs = service.reads.iter().filter(|read| read.kind.is_none() && read.how.is_input());
    let inputs = inputs.map(|read| {
        let must_be_file = matches!(read.how, ReadMethod::Config | ReadMethod::Secret)
            || looks_like_a_file(read.path.as_str())
            || read.target.as_deref().is_some_and(looks_like_a_file);
        let folder = (!must_be_file && read.unknown.is_empty()).then_some(&read.path);
        let (path, written) = (read.path.to_string(), read.written.as_deref());
        HostPath { service: name, path, written, must_be_file, folder, at: &read.at }
    });
    let binds = service.host_binds.iter().filter(|(source, _)| !source.contains("${"));
    let binds = binds.map(|(source, at)| HostPath {
        service: name,
        path: source.clone(),
        written: None,
        must_be_file: looks_like_a_file(source),
        folder: None,
        at,
    });
    inputs.chain(binds).collect()
}

/// The files that Compose itself reads of a project.
pub(super) fn read_by_compose(project: &WantedProject) -> Vec<RootPath> {
    let definition = project.model.definition_files.iter().map(|file| file.path.clone());
    let reads = project.model.services.values().flat_map(|service| &service.reads);
    let others = reads.filter(|read| !read.how.is_input() && read.how != ReadMethod::Build);
    let others = others.map(|read| read.path.clone());
    definition.chain(others).collect::<BTreeSet<_>>().into_iter().collect()
}
