//! Wanted state of a host: projects with their files and the inputs of their services.
//!
//! Owns the digests that show whether a running service is up to date: see [`service_state`]. Pure;
//! `tree::read` creates the values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};
use sha2::{Digest as _, Sha256};

use crate::base::diagnostic::{Diagnostic, Severity};
use crate::base::manifest::{Digest, Entry, Kind, Manifest, push_line};
use crate::base::path::RootPath;
use crate::compose::model::{Project, Reaction, Read, ReadMethod, Service};
use crate::compose::{DIGEST_SCHEME, NodeKind};
use crate::state::deployed::ServiceState;
use crate::state::unusable::{Unusable, UnusableFile, problems};

/// Wanted state of one host.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The [label](crate::base::commit) of the tree's commit; `None` outside git.
    pub commit: Option<String>,
    /// Paths in the repository of the files that differ from the commit, sorted.
    pub changes: Vec<String>,
    /// The projects of the commit that are not there, and what of each. Some may have been deployed under a name
    /// that only the host knows: see [`Wanted::lacks`].
    pub absent: Vec<AbsentProject>,
    /// Everything of the commit that is not there as it is.
    pub unusable: Vec<UnusableFile>,
    /// The projects, sorted by name.
    pub projects: Vec<Arc<WantedProject>>,
    /// Names of the projects that run on other hosts.
    pub others: BTreeSet<String>,
    /// The files outside the projects' folders that projects read.
    pub shared: Manifest,
}

/// Project of the commit whose compose file is not there as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsentProject {
    /// Its name.
    pub name: String,
    /// Its folder below the root.
    pub dir: RootPath,
    /// Its folder in the repository.
    pub path: String,
}

impl Wanted {
    /// What is not there of the folder `dir` below the root. A submodule may hold the folder.
    pub fn lacking<'a>(&'a self, dir: &'a RootPath) -> impl Iterator<Item = &'a UnusableFile> {
        let concerns = |file: &&UnusableFile| {
            file.why.is_absent() && (file.path.is_within(dir) || dir.is_within(&file.path))
        };
        self.unusable.iter().filter(concerns)
    }

    /// What is wrong with each project that is not there, by name.
    pub fn absent_problems(&self) -> impl Iterator<Item = (&str, Vec<Diagnostic>)> {
        self.absent.iter().map(|project| (project.name.as_str(), problems(self.lacking(&project.dir))))
    }

    /// Warnings about submodules that are not there and concern no known project: they may hold some.
    #[must_use]
    pub fn unknown_submodules(&self) -> Vec<Diagnostic> {
        let dirs = || self.projects.iter().map(|project| &project.model.dir);
        let concerns = |file: &UnusableFile| {
            dirs().any(|dir| file.path.is_within(dir))
                || self.projects.iter().any(|project| {
                    project.reads(&file.path)
                        || project.reads_outside().iter().any(|path| path.is_within(&file.path))
                })
        };
        let unknown = self.unusable.iter().filter(|file| file.why == Unusable::Submodule && !concerns(file));
        let mut notes = problems(unknown);
        notes.iter_mut().for_each(|note| note.severity = Severity::Warning);
        notes
    }

    /// Whether a folder that is not wanted may still be in the commit: something of it is not there.
    #[must_use]
    pub fn lacks(&self, dir: &RootPath) -> bool {
        self.lacking(dir).next().is_some()
    }
}

/// Wanted state of one project.
#[derive(Debug, Clone)]
pub struct WantedProject {
    /// The project.
    pub name: String,
    /// Its folder in the repository.
    pub path: String,
    /// The project as its compose files define it.
    pub model: Project,
    /// Its files.
    pub manifest: Manifest,
    /// Reasons why it cannot be deployed even if its model is valid: files that had to be left out, that are not
    /// there, or that are encrypted.
    pub refused: Vec<Diagnostic>,
    /// Paths in the repository of those of its files whose content is not the real one, which `refused` says. What
    /// else is wrong in them means nothing.
    pub placeholders: BTreeSet<String>,
    /// What is worth knowing about its files.
    pub notes: Vec<Diagnostic>,
}

impl WantedProject {
    /// The errors in its compose files and env files.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        let is_real = |error: &&Diagnostic| {
            error.is_error() && error.at.as_ref().is_none_or(|at| !self.placeholders.contains(&at.path))
        };
        self.model.diagnostics.iter().filter(is_real)
    }

    /// Whether the project reads the file at `path`, which is outside its folder.
    #[must_use]
    pub fn reads(&self, path: &RootPath) -> bool {
        let is_definition = self.model.definition_files.iter().any(|file| file.path == *path);
        is_definition
            || self
                .model
                .services
                .values()
                .flat_map(|service| &service.reads)
                .any(|read| path.is_within(&read.path))
    }

    /// The paths outside its folder that the project reads, for [`crate::state::deployed::ProjectState::reads`]. None is below another.
    #[must_use]
    pub fn reads_outside(&self) -> Vec<RootPath> {
        let definition = self.model.definition_files.iter().map(|file| &file.path);
        let reads = self.model.services.values().flat_map(|service| &service.reads).map(|read| &read.path);
        let outside: BTreeSet<&RootPath> =
            definition.chain(reads).filter(|path| !path.is_within(&self.model.dir)).collect();
        let is_below = |path: &RootPath| {
            std::iter::successors(path.parent(), RootPath::parent).any(|above| outside.contains(&above))
        };
        outside.iter().filter(|path| !is_below(path)).map(|path| (*path).clone()).collect()
    }

    /// Whether it is known that the project cannot be deployed, and what it reads may not be.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        !self.refused.is_empty() || self.model.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Returns the record of a service whose containers are started while the host has `files`.
///
/// The inputs are grouped by the reaction to their change, so the record alone shows which action is owed.
/// `all` is the digest of all inputs, so a change of `x-ghdeploy` alone owes no action.
#[must_use]
pub fn service_state(
    model: &Project,
    service: &Service,
    files: &BTreeMap<&RootPath, &Entry>,
) -> ServiceState {
    let reactions = Reactions::new(model, service);
    let mut by: BTreeMap<String, Sha256> = BTreeMap::new();
    let mut build: Option<Sha256> = None;
    let mut possible: Option<Sha256> = None;
    let mut reads: Vec<&Read> = service.reads.iter().collect();
    let key = |read: &Read| (read.path.clone(), !read.by_pre_start, read.how, read.target.clone());
    reads.sort_by_cached_key(|read| key(read));
    reads.dedup_by(|a, b| a.path == b.path && a.how.is_input() == b.how.is_input());
    for read in reads {
        for (path, entry) in below(files, &read.path).filter(|(path, _)| read.covers(path)) {
            let mut line = String::new();
            // Only the executable bit of the mode comes from the repository.
            let entry = Entry { mode: entry.mode & 0o111, ..(*entry).clone() };
            push_line(&mut line, path, &entry);
            if read.how == ReadMethod::Build {
                build.get_or_insert_default().update(line.as_bytes());
            } else if read.how.is_input() {
                let key = reaction_key(reactions.of(read, path));
                by.entry(key).or_default().update(line.as_bytes());
                by.entry(ALL.to_owned()).or_default().update(line.as_bytes());
            } else if !read.unknown.is_empty() {
                // The reader did not read it, because a variable decides whether this is the env file.
                possible.get_or_insert_default().update(line.as_bytes());
            }
        }
    }
    let short = |hasher: Sha256| Digest::from_hasher(hasher).as_str()[..DIGEST_CHARS].to_owned();
    // A service is rebuilt if its `build:` or anything in its context changes.
    let build = service.build.as_ref().map(|definition| {
        let mut build = build.unwrap_or_default();
        build.update(definition.as_bytes());
        short(build)
    });
    let definition = match possible {
        Some(mut possible) => {
            possible.update(service.definition.as_bytes());
            short(possible)
        }
        None => service.definition.chars().take(DIGEST_CHARS).collect(),
    };
    ServiceState {
        scheme: DIGEST_SCHEME,
        definition,
        unhashed: service.unhashed.as_ref().map(|digest| digest.chars().take(DIGEST_CHARS).collect()),
        build,
        scale: service.scale,
        completed: false,
        inputs: by.into_iter().map(|(key, hasher)| (key, short(hasher))).collect(),
        env_files: BTreeMap::new(),
    }
}

/// Key of the digest over all inputs.
pub const ALL: &str = "all";

/// Length of a digest in the state, in hex digits: 128 bits distinguish all changes and keep the state small.
const DIGEST_CHARS: usize = 32;

/// Key of a reaction in [`ServiceState::inputs`].
#[must_use]
pub fn reaction_key(reaction: &Reaction) -> String {
    match reaction {
        Reaction::Restart => "restart".to_owned(),
        Reaction::Recreate => "recreate".to_owned(),
        Reaction::Signal(signal) => format!("signal {signal}"),
        Reaction::Exec(argv) => format!("exec {argv:?}"),
        Reaction::None => "none".to_owned(),
    }
}

/// Returns all files at or below `dir`.
pub fn below<'a>(
    files: &'a BTreeMap<&'a RootPath, &'a Entry>,
    dir: &'a RootPath,
) -> impl Iterator<Item = (&'a RootPath, &'a Entry)> {
    files
        .range::<&RootPath, _>(dir..)
        .map(|(path, entry)| (*path, *entry))
        .take_while(|(path, _)| path.as_str().starts_with(dir.as_str()))
        .filter(|(path, _)| path.is_within(dir))
}

/// Reactions to changes of a service's inputs.
#[derive(Debug)]
pub struct Reactions<'a> {
    service: &'a Service,
    dir: &'a RootPath,
    globs: Vec<(GlobMatcher, &'a Reaction)>,
}

impl<'a> Reactions<'a> {
    /// Compiles the globs of the service's `x-ghdeploy.paths`. An invalid glob matches nothing; `check`
    /// reports it.
    #[must_use]
    pub fn new(model: &'a Project, service: &'a Service) -> Self {
        let globs = service.on_change.paths.iter().filter_map(|(glob, reaction)| {
            let glob =
                GlobBuilder::new(glob.trim_start_matches("./")).literal_separator(true).build().ok()?;
            Some((glob.compile_matcher(), reaction))
        });
        Self { service, dir: &model.dir, globs: globs.collect() }
    }

    /// The reaction to a change of the file at `path`.
    #[must_use]
    pub fn to(&self, path: &RootPath) -> &'a Reaction {
        if self.globs.is_empty() {
            return &self.service.on_change.default;
        }
        let relative = match path.relative_to(self.dir) {
            Some(relative) => relative.to_owned(),
            // A shared file has the path that the compose file would use.
            None => format!("{}{path}", "../".repeat(self.dir.components().count())),
        };
        self.globs
            .iter()
            .find(|(glob, _)| glob.is_match(&relative))
            .map_or(&self.service.on_change.default, |(_, reaction)| reaction)
    }

    /// The reaction to a change of the file at `path` as the service reads it. What a container of `pre_start` reads
    /// takes effect only before a new container.
    #[must_use]
    pub fn of(&self, read: &Read, path: &RootPath) -> &'a Reaction {
        match self.to(path) {
            Reaction::None => &Reaction::None,
            _ if read.by_pre_start => &Reaction::Recreate,
            reaction => reaction,
        }
    }

    /// Whether a service mounts the file at `path` itself. A running container does not see a rename of such
    /// a file.
    #[must_use]
    pub fn mounts_file(&self, path: &RootPath) -> bool {
        self.service
            .reads
            .iter()
            .any(|read| read.how.is_input() && read.path == *path && read.kind == Some(NodeKind::File))
    }
}

/// Returns the files that the host will have once `projects` are deployed and everything else stays the same.
#[must_use]
pub fn union<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> BTreeMap<&'a RootPath, &'a Entry> {
    manifests.into_iter().flat_map(|manifest| &manifest.0).collect()
}

/// Whether a manifest entry is a regular file.
#[must_use]
pub fn is_file(entry: &Entry) -> bool {
    entry.kind == Kind::File
}
