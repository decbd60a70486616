//! Carries out a plan on a host.
//!
//! Owns the order of effects, which is what users' data depends on:
//!
//! 1. upload into the stage; nothing live is touched until all of a project has arrived;
//! 2. for every project: check the candidate with Compose, check bind sources, pull images;
//! 3. shared files, then project by project in order: swap files in, act on services, wait until they are
//!    healthy, record; or, if that fails, roll back.
//!
//! The plan decides what to do, [`steps`] what that means in steps, and the [`engine`] what it means in
//! commands. The rest of this folder carries it out.

mod checks;
mod docker;
pub mod engine;
mod execute;
mod failure;
pub mod health;
mod host;
mod images;
mod namespaces;
pub mod networks;
mod project;
mod prune;
mod pull;
mod records;
mod resources;
mod run;
mod shared;
pub mod stage;
pub mod steps;
pub mod stop;
mod swap;
pub mod way_back;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::diagnostic::Diagnostic;
use crate::base::error::Result;
use crate::base::path::RootPath;
use crate::host::Driver;
use crate::images::login::RegistryLogin;
use crate::outcome::HostOutcome;
use crate::outcome::event::{Event, Observer};
use crate::plan::HostWork;
use crate::state::deployed::{Commit, Deployed};
use engine::Engine;
use run::HostRun;
use stage::Source;
use stop::Stop;

/// Number of projects that are worked on at a time: enough to hide waiting, few enough for a small server.
const PARALLEL_PROJECTS: usize = 4;

/// Settings of an apply.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Files only: Docker is not used, and the actions stay owed.
    pub no_restart: bool,
    /// How long services may take to become healthy.
    pub health_timeout: Duration,
    /// How long a service must run without a restart.
    pub stable_for: Duration,
    /// Number of last log lines that are shown of a container that fails.
    pub log_lines: u32,
    /// How many releases the host keeps, at least 1.
    pub keep: u32,
    /// Whether images that this root has replaced are removed once no kept release needs them.
    pub prune_images: bool,
    /// Whether images that are built from the repository must be tested ones from a registry.
    pub require_tested: bool,
    /// Logins to registries, each for the time of a pull.
    pub logins: Vec<RegistryLogin>,
    /// The newest commit that was ever deployed, once this is; `None`: as before.
    pub newest: Option<Commit>,
    /// The target of a rollback, for which the host has the content of all files.
    pub back_to: Option<BackTo>,
    /// The time of the release, RFC 3339.
    pub at: String,
    /// Who makes it.
    pub actor: Option<String>,
    /// The page of the workflow run.
    pub run_url: Option<String>,
    /// The options that name the host on a command line: `--host web`.
    pub host_options: String,
}

/// Target of a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackTo {
    /// The release.
    pub release: u64,
    /// Whether all projects go back.
    pub is_whole: bool,
}

/// Returns the source of the content of a file below the root.
pub type ContentSource = Arc<dyn Fn(&RootPath) -> Option<Source> + Send + Sync>;

/// Everything that an apply takes.
#[derive(Clone)]
pub struct Task<'a> {
    /// The work.
    pub work: &'a HostWork,
    /// What the host had.
    pub deployed: &'a Deployed,
    /// Its settings.
    pub settings: &'a Settings,
    /// What runs the host's projects.
    pub engine: &'a dyn Engine,
    /// The root on the host, absolute.
    pub root: &'a str,
    /// The driver, which holds the lock.
    pub driver: &'a Driver,
    /// Receives what happens.
    pub observer: &'a dyn Observer,
    /// Requests to end early.
    pub stop: Stop,
    /// The content of files.
    pub content: ContentSource,
    /// Whether nothing on the host may change.
    pub only_looks: bool,
}

/// What a run would find before it changes anything.
#[derive(Debug, Clone, Default)]
pub struct Foreseen {
    /// Why projects would not be deployed, by their names.
    pub problems: BTreeMap<String, Vec<Diagnostic>>,
    /// What cannot be known without a change.
    pub notes: Vec<Diagnostic>,
}

impl std::fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("host", &self.work.host).finish_non_exhaustive()
    }
}

/// Carries the work on a host out. Failures are in the outcome.
pub async fn apply(task: Task<'_>) -> HostOutcome {
    let outcome = HostRun::new(&task).run().await;
    task.observer.on(Event::Done { host: task.work.host.clone() });
    outcome
}

/// Makes the checks that [`apply`] makes before anything changes, in the same order and with the same words,
/// and changes nothing.
///
/// # Errors
///
/// When the connection is lost, or a file cannot be read.
pub async fn foresee(task: Task<'_>) -> Result<Foreseen> {
    HostRun::new(&task).foresee().await
}
