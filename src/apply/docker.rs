//! What Docker on the host is asked.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::engine::{Call, Engine};
use super::words::{Failed, Vocabulary, explain};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, Result};
use crate::host::engine;
use crate::host::{Command, ComposeFolder, Driver, HookContainer, Reply};
use crate::outcome::ServiceLog;
use crate::state::container::{Container, Containers, DockerFailure, ListedContainer, read_listed};
use crate::state::deployed::ProjectState;
use crate::state::reach::{Reach, ReachedBy};

/// Docker on the host of an apply.
pub(super) struct Docker<'a> {
    driver: &'a Driver,
    /// How many of its last log lines are shown of a container.
    log_lines: u32,
    /// Ids of the containers that the plan was made for.
    known_ids: Vec<String>,
    /// The containers before anything was done.
    before: OnceCell<Result<Vec<Container>>>,
    /// The version of the engine.
    version: OnceCell<Result<Reply>>,
    /// How the engine is reached.
    reach: OnceCell<Result<EngineReach>>,
    /// The containers at the last look.
    last_seen: Mutex<Vec<Container>>,
    /// The containers at the last look that projects share, and when it began.
    shared_look: Mutex<Option<(Instant, Vec<Container>)>>,
    /// All containers, with the ports that they publish.
    listed: OnceCell<Result<Vec<ListedContainer>>>,
    /// Platforms of images by their references, if the host has all of them.
    platforms: OnceCell<BTreeMap<String, Option<String>>>,
    networks: OnceCell<Result<Reply>>,
    volumes: OnceCell<Result<Reply>>,
}

/// What may keep an engine from what a project needs.
#[derive(Debug, Clone)]
pub(super) struct EngineReach {
    pub(super) reach: Reach,
    pub(super) is_elsewhere: bool,
    /// The parts of Docker's interface that a proxy refuses, such as `POST /containers`.
    pub(super) refused: Vec<&'static str>,
}

/// Facts about an image.
#[derive(Debug, Deserialize)]
pub(super) struct ImageFacts {
    pub(super) id: String,
    pub(super) digests: Option<Vec<String>>,
    pub(super) labels: Option<BTreeMap<String, String>>,
}

/// The form of [`ImageFacts`], as `docker image inspect` fills it in, one line per image.
const IMAGE_FORMAT: &str =
    r#"{"id":{{json .Id}},"digests":{{json .RepoDigests}},"labels":{{json .Config.Labels}}}"#;

/// The form of [`ListedContainer`], of which only id, name, project, state and ports are asked here.
const LIST_FORMAT: &str = "{{.ID}}\t{{.Names}}\t{{.Label \"com.docker.compose.project\"}}\t\t\t\t{{.State}}\t{{.Status}}\t{{.Ports}}\t\t\t";

impl<'a> Docker<'a> {
    pub(super) fn new(driver: &'a Driver, log_lines: u32, known: &Containers) -> Self {
        let known: &[ListedContainer] = if let Containers::Known(known) = known { known } else { &[] };
        Self {
            driver,
            log_lines,
            known_ids: known.iter().map(|container| container.id.clone()).collect(),
            before: OnceCell::new(),
            version: OnceCell::new(),
            reach: OnceCell::new(),
            last_seen: Mutex::default(),
            shared_look: Mutex::default(),
            listed: OnceCell::new(),
            platforms: OnceCell::new(),
            networks: OnceCell::new(),
            volumes: OnceCell::new(),
        }
    }

    /// Makes a call for a project.
    pub(super) async fn call(&self, call: &Call, of: &ProjectState, folder: ComposeFolder) -> Result<Reply> {
        self.driver.call(&Self::command(call, of, folder)).await
    }

    /// The command for a call.
    pub(super) fn command(call: &Call, of: &ProjectState, folder: ComposeFolder) -> Command {
        let ProjectState { dir, project, compose, .. } = of;
        match call {
            Call::Compose(words) => {
                Command::Compose { dir: dir.to_string(), folder, argv: compose_argv(of, words) }
            }
            Call::Hook { argv, timeout_secs, container } => Command::Hook {
                dir: dir.to_string(),
                timeout_secs: *timeout_secs,
                container: HookContainer::Compose(container.clone()),
                argv: compose.argv().into_iter().chain(argv.iter().cloned()).collect(),
            },
            Call::Host { argv, timeout_secs } => Command::Hook {
                dir: dir.to_string(),
                timeout_secs: *timeout_secs,
                container: HookContainer::None,
                argv: argv.clone(),
            },
            Call::Docker(argv) => Command::Docker(argv.clone()),
            Call::Remove(service) => Command::Remove { project: project.clone(), service: service.clone() },
        }
    }

    /// Makes a call that acts on services of a project. Once it has succeeded, the host looks at the containers at
    /// once; it returns what was seen, unless Docker did not answer that.
    pub(super) async fn act(
        &self,
        call: &Call,
        project: &ProjectState,
    ) -> Result<(Reply, Option<Vec<Container>>)> {
        match Self::act_command(call, project, Vec::new()) {
            Some(command) => Ok(self.acted(self.driver.call(&command).await?).await),
            None => Ok((self.call(call, project, ComposeFolder::Live).await?, None)),
        }
    }

    /// The command for such a call, if it is one of Compose, which looks at the containers with these ids, or at all.
    pub(super) fn act_command(call: &Call, project: &ProjectState, ids: Vec<String>) -> Option<Command> {
        let Call::Compose(words) = call else { return None };
        Some(Command::Act { dir: project.dir.to_string(), ids, argv: compose_argv(project, words) })
    }

    /// Ids of the containers that the plan was made for.
    pub(super) fn known_ids(&self) -> &[String] {
        &self.known_ids
    }

    /// What the reply to it shows.
    pub(super) async fn acted(&self, reply: Reply) -> (Reply, Option<Vec<Container>>) {
        let seen = reply.clone().into_containers();
        if seen.is_empty() {
            return (reply, None);
        }
        self.last_seen.lock().await.clone_from(&seen);
        (reply, Some(seen))
    }

    /// Runs `docker` with these arguments.
    pub(super) async fn run(&self, argv: &[&str]) -> Result<Reply> {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        self.driver.call(&Command::Docker(argv)).await
    }

    /// Every container of every project.
    ///
    /// # Errors
    ///
    /// When Docker does not answer.
    pub(super) async fn containers(&self) -> Result<Vec<Container>> {
        self.look(&Command::Containers).await
    }

    async fn look(&self, command: &Command) -> Result<Vec<Container>> {
        let reply = self.driver.call(command).await?;
        if !reply.is_ok() {
            // The host's own engine is explained like that of any other command.
            if DockerFailure::of(&reply.output) == DockerFailure::NotRunning
                && let Ok(EngineReach { reach, .. }) = self.reach().await
                && reach.by != ReachedBy::Default
            {
                let problem = Diagnostic::error(format!("the engine at {} does not answer", reach.shown()), None)
                    .help("start it, or let docker on the host talk to another one; `ghdeploy doctor` shows what names it");
                return Err(Error::of(Exit::RolledBack, vec![problem]));
            }
            let failed = Failed {
                what: "listing containers",
                see: Some("to see why, run on the host: docker ps -a"),
                version: None,
            };
            let problem = explain(failed, &reply.output, &Vocabulary::default());
            return Err(Error::of(Exit::RolledBack, vec![problem]));
        }
        let containers = reply.into_containers();
        self.last_seen.lock().await.clone_from(&containers);
        Ok(containers)
    }

    /// The same at a look that began at `earliest` or later, and when it began. However many projects wait, the
    /// host looks once for all of them.
    ///
    /// # Errors
    ///
    /// When Docker does not answer.
    pub(super) async fn containers_since(&self, earliest: Instant) -> Result<(Instant, Vec<Container>)> {
        let mut look = self.shared_look.lock().await;
        if let Some(look) = look.as_ref().filter(|(at, _)| *at >= earliest) {
            return Ok(look.clone());
        }
        let at = Instant::now();
        let containers = self.containers().await?;
        Ok(look.insert((at, containers)).clone())
    }

    /// The containers before anything was done; asked once.
    ///
    /// # Errors
    ///
    /// When Docker does not answer.
    pub(super) async fn before(&self) -> Result<&[Container]> {
        let look = match self.known_ids.as_slice() {
            [] => Command::Containers,
            ids => Command::ContainersOf(ids.to_vec()),
        };
        let before = self.before.get_or_init(|| self.look(&look)).await;
        before.as_deref().map_err(Clone::clone)
    }

    /// The version of the engine, as its call `probe` prints it; asked once.
    ///
    /// # Errors
    ///
    /// When the connection is lost.
    pub(super) async fn version(&self, probe: &Call) -> Result<&Reply> {
        let nowhere = ProjectState::default();
        let asked = self.version.get_or_init(|| self.call(probe, &nowhere, ComposeFolder::Live)).await;
        asked.as_ref().map_err(Clone::clone)
    }

    /// How the engine is reached, before anything is done; asked once. Only an engine behind an address is asked itself:
    /// one behind a socket has the files of the host, and its socket is rarely a proxy's.
    ///
    /// # Errors
    ///
    /// When the connection is lost.
    pub(super) async fn reach(&self) -> Result<&EngineReach> {
        let ask = async || {
            let reach = engine::reach(self.driver).await?;
            if reach.is_socket() {
                return Ok(EngineReach { reach, is_elsewhere: false, refused: Vec::new() });
            }
            let (name, refused) =
                tokio::join!(engine::machine_of_engine(self.driver), engine::refused(self.driver));
            Ok(EngineReach { is_elsewhere: reach.is_elsewhere(name?.as_deref()), refused: refused?, reach })
        };
        self.reach.get_or_init(ask).await.as_ref().map_err(Clone::clone)
    }

    /// The version of the engine, if it was asked for and is there.
    pub(super) fn known_version(&self) -> Option<String> {
        let reply = self.version.get()?.as_ref().ok().filter(|reply| reply.is_ok())?;
        Some(reply.output.join(" "))
    }

    /// All containers of the host before anything was done, those of no project too; asked once.
    ///
    /// # Errors
    ///
    /// When Docker does not answer.
    pub(super) async fn listed(&self) -> Result<&[ListedContainer]> {
        let list = async || {
            let reply = self.run(&["ps", "--all", "--format", LIST_FORMAT]).await?;
            if !reply.is_ok() {
                let failed = Failed {
                    what: "listing containers",
                    see: Some("to see why, run on the host: docker ps -a"),
                    version: None,
                };
                let problem = explain(failed, &reply.output, &Vocabulary::default());
                return Err(Error::of(Exit::RolledBack, vec![problem]));
            }
            Ok(reply.output.iter().filter_map(|line| read_listed(line)).collect())
        };
        self.listed.get_or_init(list).await.as_deref().map_err(Clone::clone)
    }

    /// Asks for the platforms of images, in one call; see [`Docker::platforms`].
    pub(super) async fn ask_for_images(&self, engine: &dyn Engine, references: BTreeSet<String>) {
        if references.is_empty() {
            return;
        }
        let ask = async || {
            let names: Vec<&str> = references.iter().map(String::as_str).collect();
            let call = engine.image_platforms(&names);
            let reply = self.call(&call, &ProjectState::default(), ComposeFolder::Live).await;
            let lines = reply.ok().filter(Reply::is_ok).map(|reply| reply.output).unwrap_or_default();
            // Which of several names Docker does not know, its answer does not tell on all versions.
            let is_whole = lines.len() == references.len();
            let platforms =
                if is_whole { lines.into_iter().map(Some).collect() } else { vec![None; references.len()] };
            references.iter().cloned().zip(platforms).collect()
        };
        self.platforms.get_or_init(ask).await;
    }

    /// The platform of each image, `linux/amd64/`, if the host has all that were asked for. Nothing, if the host lacks
    /// one of exactly these; `None`, if something else was asked.
    pub(super) fn platforms(&self, references: &[&str]) -> Option<Vec<String>> {
        let asked = self.platforms.get()?;
        let known: Option<Vec<&Option<String>>> = references.iter().map(|name| asked.get(*name)).collect();
        let known: Vec<String> = known?.into_iter().flatten().cloned().collect();
        (known.len() == references.len() || asked.len() == references.len()).then_some(known)
    }

    /// Networks or volumes of these names, each in `format`; asked once for each kind, with the names of every project.
    ///
    /// # Errors
    ///
    /// When the connection is lost.
    pub(super) async fn resources(
        &self,
        kind: &'static str,
        format: &str,
        names: BTreeSet<&str>,
    ) -> Result<&Reply> {
        let cell = if kind == "network" { &self.networks } else { &self.volumes };
        let argv: Vec<&str> = [kind, "inspect", "--format", format].into_iter().chain(names).collect();
        cell.get_or_init(|| self.run(&argv)).await.as_ref().map_err(Clone::clone)
    }

    /// The containers at the last look.
    pub(super) async fn last_seen(&self) -> Vec<Container> {
        self.last_seen.lock().await.clone()
    }

    /// Facts about images, by their names or ids; images that Docker does not know are left out.
    pub(super) async fn images(&self, names: &BTreeSet<String>) -> Vec<ImageFacts> {
        let names = names.iter().map(String::as_str);
        let argv: Vec<&str> =
            ["image", "inspect", "--format", IMAGE_FORMAT].into_iter().chain(names).collect();
        let reply = self.run(&argv).await;
        let lines = reply.into_iter().flat_map(|reply| reply.output);
        lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
    }

    /// The last log lines of a container of `service`; empty without a container.
    pub(super) async fn log(&self, service: &str, container: &str) -> ServiceLog {
        let mut log = ServiceLog { service: service.to_owned(), lines: Vec::new() };
        if self.log_lines > 0 && !container.is_empty() {
            let reply = self.run(&["logs", "--tail", &self.log_lines.to_string(), container]).await;
            log.lines = reply.map(|reply| reply.output).unwrap_or_default();
        }
        log
    }
}

/// The arguments after `docker compose` for a call on a project.
fn compose_argv(project: &ProjectState, words: &[String]) -> Vec<String> {
    let argv = ["--ansi", "never"].map(str::to_owned).into_iter().chain(project.compose.argv());
    argv.chain(words.iter().cloned()).collect()
}
