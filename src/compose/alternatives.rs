//! Compose files that only the host can add to a project: `COMPOSE_FILE` in its own `.env` may name them.
//!
//! Owns which files those are, and what the project would be with each.

use std::sync::Arc;

use super::model::{Project, Service};
use super::project::load;
use super::{Files, NodeKind};
use crate::base::path::RootPath;

/// Number of such files that are looked at: a folder with more of them is no project of one person.
const MAX_FILES: usize = 20;

/// Project as it would be with one more compose file.
#[derive(Debug)]
pub struct Alternative {
    /// That file.
    pub file: RootPath,
    /// The project with it.
    pub project: Project,
}

impl Alternative {
    /// The active services that read the file at `path` and do not without this compose file.
    pub fn further_readers<'a>(
        &'a self,
        without: &'a Project,
        path: &'a RootPath,
    ) -> impl Iterator<Item = &'a str> {
        let reads = |service: &Service| service.reads.iter().any(|read| read.covers(path));
        let active = self.project.services.iter().filter(|(_, service)| service.active);
        active.filter_map(move |(name, service)| {
            let is_known = without.services.get(name).is_some_and(reads);
            (!is_known && reads(service)).then_some(name.as_str())
        })
    }
}

/// The files among `paths` that `COMPOSE_FILE` in a `.env` of the host may add to a project, each with the project
/// that would be: YAML files with services in the project's folder. Empty if the tree has a `.env`.
pub fn alternatives<'a>(
    files: &dyn Files,
    project: &Project,
    root: &str,
    paths: impl Iterator<Item = &'a RootPath>,
) -> Vec<Alternative> {
    if !project.has_host_env() {
        return Vec::new();
    }
    let dir = &project.dir;
    let named: Vec<&str> = project.compose_files.iter().filter_map(|file| file.relative_to(dir)).collect();
    let is_free = |path: &&RootPath| {
        let is_known = project.definition_files.iter().any(|file| file.path == **path);
        let name = path.as_str();
        !is_known && (name.ends_with(".yml") || name.ends_with(".yaml")) && !name.contains([':', '\'', '\n'])
    };
    let with = |file: &RootPath| {
        let own = file.relative_to(dir)?;
        let defines = files.read(file).ok()??;
        let mut lines = defines.split(|byte| *byte == b'\n');
        if !lines.any(|line| line.starts_with(b"services:")) {
            return None;
        }
        let list = named.iter().copied().chain([own]).collect::<Vec<&str>>().join(":");
        let settings = format!("COMPOSE_FILE='{list}'\n").into_bytes().into();
        let files = Named { files, dotenv: dir.join(".env").ok()?, settings };
        Some(Alternative { file: file.clone(), project: load(&files, dir, root) })
    };
    paths.filter(is_free).filter_map(with).take(MAX_FILES).collect()
}

/// Files of a tree, with settings that a host might have.
struct Named<'f> {
    files: &'f dyn Files,
    dotenv: RootPath,
    settings: Arc<[u8]>,
}

impl Files for Named<'_> {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        self.files.kind(path)
    }

    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        self.files.read(path)
    }

    fn shown(&self, path: &RootPath) -> String {
        self.files.shown(path)
    }

    fn host_settings(&self, path: &RootPath) -> Option<Arc<[u8]>> {
        (*path == self.dotenv).then(|| Arc::clone(&self.settings))
    }
}
