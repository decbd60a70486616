//! What is wanted on a host: projects with their files and what their services read.
//!
//! Owns the digests that show whether a running service has what is wanted: see [`service_state`]. Pure;
//! [`crate::tree::read`] fills it in.

use std::collections::BTreeMap;
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};
use sha2::{Digest as _, Sha256};

use crate::base::diagnostic::Diagnostic;
use crate::base::manifest::{Digest, Entry, Kind, Manifest, push_line};
use crate::base::path::RootPath;
use crate::compose::model::{How, Project, Reaction, Read, Service};
use crate::compose::{DIGEST_SCHEME, NodeKind};
use crate::state::deployed::ServiceState;

/// What the tree wants of one host.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The commit of the tree; `None` outside of git.
    pub commit: Option<String>,
    /// The projects, in the order of names.
    pub projects: Vec<Arc<WantedProject>>,
    /// The files outside the projects' folders that projects read.
    pub shared: Manifest,
}

/// What the tree wants of one project.
#[derive(Debug, Clone)]
pub struct WantedProject {
    /// The project.
    pub name: String,
    /// Its folder in the repository.
    pub path: String,
    /// What its compose files say.
    pub model: Project,
    /// Its files.
    pub manifest: Manifest,
    /// Why it cannot be deployed though its model may be fine: something of it had to be left out.
    pub refused: Vec<Diagnostic>,
}

impl WantedProject {
    /// Whether the project reads the file at `path`, which lies outside its folder.
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
}

/// What a service whose containers are started with `files` on the host is started with: the record
/// for the state, and what it is compared with.
///
/// The inputs are kept by what a change of them means, so that the record alone tells what is owed;
/// `all` is the digest of all of them whatever they mean, so that a change of `x-ghdeploy` alone
/// owes nothing.
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
    reads.sort_by(|a, b| (&a.path, a.how, &a.target).cmp(&(&b.path, b.how, &b.target)));
    reads.dedup_by(|a, b| a.path == b.path && a.how.is_input() == b.how.is_input());
    for read in reads {
        for (path, entry) in below(files, &read.path).filter(|(path, _)| read.covers(path)) {
            let mut line = String::new();
            // Of the mode only the executable bit comes from the repository.
            let entry = Entry { mode: entry.mode & 0o111, ..(*entry).clone() };
            push_line(&mut line, path, &entry);
            if read.how == How::Build {
                build.get_or_insert_default().update(line.as_bytes());
            } else if read.how.is_input() {
                let key = reaction_key(reactions.to(path));
                by.entry(key).or_default().update(line.as_bytes());
                by.entry(ALL.to_owned()).or_default().update(line.as_bytes());
            } else if !read.unknown.is_empty() {
                // The reader does not know whether this is the env file, so it has not read it.
                possible.get_or_insert_default().update(line.as_bytes());
            }
        }
    }
    let short = |hasher: Sha256| Digest::from_hasher(hasher).as_str()[..DIGEST_CHARS].to_owned();
    // A service is built anew when its `build:` changes or anything in its context does.
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
        inputs: by.into_iter().map(|(key, hasher)| (key, short(hasher))).collect(),
    }
}

/// The key of the digest over all inputs.
pub const ALL: &str = "all";

/// 128 bits tell changes apart, and the state stays small.
const DIGEST_CHARS: usize = 32;

/// The key of a reaction in [`ServiceState::inputs`].
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

/// All files at or below `dir`.
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

/// What a change of each input of a service means.
#[derive(Debug)]
pub struct Reactions<'a> {
    service: &'a Service,
    dir: &'a RootPath,
    globs: Vec<(GlobMatcher, &'a Reaction)>,
}

impl<'a> Reactions<'a> {
    /// Prepares the globs of the service's `x-ghdeploy.paths`. One that cannot be read matches
    /// nothing; `check` has told of it.
    #[must_use]
    pub fn new(model: &'a Project, service: &'a Service) -> Self {
        let globs = service.on_change.paths.iter().filter_map(|(glob, reaction)| {
            let glob =
                GlobBuilder::new(glob.trim_start_matches("./")).literal_separator(true).build().ok()?;
            Some((glob.compile_matcher(), reaction))
        });
        Self { service, dir: &model.dir, globs: globs.collect() }
    }

    /// What a change of the file at `path` means.
    #[must_use]
    pub fn to(&self, path: &RootPath) -> &'a Reaction {
        if self.globs.is_empty() {
            return &self.service.on_change.default;
        }
        let relative = match path.relative_to(self.dir) {
            Some(relative) => relative.to_owned(),
            // A shared file: as the compose file would name it.
            None => format!("{}{path}", "../".repeat(self.dir.components().count())),
        };
        self.globs
            .iter()
            .find(|(glob, _)| glob.is_match(&relative))
            .map_or(&self.service.on_change.default, |(_, reaction)| reaction)
    }

    /// Whether a service mounts the file at `path` by itself, so that a rename is not seen by a
    /// container that keeps running.
    #[must_use]
    pub fn mounts_file(&self, path: &RootPath) -> bool {
        self.service
            .reads
            .iter()
            .any(|read| read.how.is_input() && read.path == *path && read.kind == Some(NodeKind::File))
    }
}

/// Every file that the host will have when `projects` are as wanted and all else is as it is.
#[must_use]
pub fn union<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> BTreeMap<&'a RootPath, &'a Entry> {
    manifests.into_iter().flat_map(|manifest| &manifest.0).collect()
}

/// Whether a manifest entry is a regular file.
#[must_use]
pub fn is_file(entry: &Entry) -> bool {
    entry.kind == Kind::File
}
