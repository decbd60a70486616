//! Caches projects, so that a second tree with the same compose files is not parsed again.
//!
//! Owns the proof that a project is the same: it is made only of the answers of a tree to the reader's
//! questions, so equal answers make an equal project.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::model::Project;
use super::{Files, NodeKind};
use crate::base::path::RootPath;
use crate::config::compose_files::ComposeFiles;

/// Projects that were loaded last, by folder and root on the host.
#[derive(Debug, Default)]
pub struct ProjectCache(Mutex<BTreeMap<(RootPath, String), CachedProject>>);

/// Project with the answers that it is made of.
type CachedProject = Arc<(Answers, Project)>;

impl ProjectCache {
    /// Loads a project like [`super::load`].
    pub fn load(&self, files: &dyn Files, dir: &RootPath, root: &str) -> Project {
        let key = (dir.clone(), root.to_owned());
        let cached = lock(&self.0).get(&key).cloned();
        if let Some(cached) = cached.filter(|cached| cached.0.match_files(files)) {
            return cached.1.clone();
        }
        let recording = RecordingFiles { files, answers: Mutex::default() };
        let project = super::load(&recording, dir, root);
        let answers = recording.answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        lock(&self.0).insert(key, Arc::new((answers, project.clone())));
        project
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers of a tree.
#[derive(Debug, Default)]
struct Answers {
    kinds: BTreeMap<RootPath, Option<NodeKind>>,
    contents: BTreeMap<RootPath, ReadResult>,
    shown: BTreeMap<RootPath, String>,
    ways: BTreeMap<RootPath, Vec<RootPath>>,
    lists: BTreeMap<RootPath, Vec<RootPath>>,
    options: BTreeMap<RootPath, ComposeFiles>,
    settings: BTreeMap<RootPath, Option<Arc<[u8]>>>,
}

type ReadResult = Result<Option<Arc<[u8]>>, String>;

impl Answers {
    fn match_files(&self, files: &dyn Files) -> bool {
        let same = |a: &ReadResult, b: &ReadResult| match (a, b) {
            (Ok(Some(a)), Ok(Some(b))) => Arc::ptr_eq(a, b) || a == b,
            (a, b) => a == b,
        };
        self.kinds.iter().all(|(path, kind)| files.kind(path) == *kind)
            && self.contents.iter().all(|(path, content)| same(&files.read(path), content))
            && self.shown.iter().all(|(path, shown)| files.shown(path) == *shown)
            && self.ways.iter().all(|(path, way)| files.way(path) == *way)
            && self.lists.iter().all(|(dir, list)| files.list(dir) == *list)
            && self.options.iter().all(|(dir, options)| files.options(dir) == *options)
            && self.settings.iter().all(|(path, settings)| files.host_settings(path) == *settings)
    }
}

/// Tree whose answers are recorded.
struct RecordingFiles<'f> {
    files: &'f dyn Files,
    answers: Mutex<Answers>,
}

impl Files for RecordingFiles<'_> {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        let kind = self.files.kind(path);
        lock(&self.answers).kinds.insert(path.clone(), kind);
        kind
    }

    fn read(&self, path: &RootPath) -> ReadResult {
        let content = self.files.read(path);
        lock(&self.answers).contents.insert(path.clone(), content.clone());
        content
    }

    fn shown(&self, path: &RootPath) -> String {
        let shown = self.files.shown(path);
        lock(&self.answers).shown.insert(path.clone(), shown.clone());
        shown
    }

    fn way(&self, path: &RootPath) -> Vec<RootPath> {
        let way = self.files.way(path);
        lock(&self.answers).ways.insert(path.clone(), way.clone());
        way
    }

    fn list(&self, dir: &RootPath) -> Vec<RootPath> {
        let list = self.files.list(dir);
        lock(&self.answers).lists.insert(dir.clone(), list.clone());
        list
    }

    fn options(&self, dir: &RootPath) -> ComposeFiles {
        let options = self.files.options(dir);
        lock(&self.answers).options.insert(dir.clone(), options.clone());
        options
    }

    fn widened(&self) -> Option<String> {
        self.files.widened()
    }

    fn host_settings(&self, path: &RootPath) -> Option<Arc<[u8]>> {
        let settings = self.files.host_settings(path);
        lock(&self.answers).settings.insert(path.clone(), settings.clone());
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeTree;
    use super::*;

    #[test]
    fn only_files_of_the_model_change_a_project() {
        let compose = "services: {web: {image: 'a:${TAG}', volumes: ['./conf:/conf'], env_file: [{path: e, required: false}]}}";
        let base =
            [("blog/compose.yml", compose), ("blog/.env", "TAG=1"), ("blog/conf", "1"), ("blog/README", "1")];
        let load = |cache: &ProjectCache, files: &[(&str, &str)]| {
            cache.load(&FakeTree::new(files), &RootPath::new("blog").unwrap(), "/srv/services")
        };
        let shown = |project: &Project| format!("{project:?}");
        let with = |path: &'static str, content: &'static str| {
            let mut files: Vec<(&str, &str)> =
                base.iter().filter(|(name, _)| *name != path).copied().collect();
            files.push((path, content));
            files
        };
        for (files, is_read) in [
            (with("blog/README", "2"), false),
            (with("blog/conf", "2"), false),
            (with("blog/.env", "TAG=2"), true),
            (with("blog/e", "A=1"), true),
            (with("blog/compose.override.yml", "services: {web: {hostname: x}}"), true),
            (with("blog/conf/a", ""), false),
            (base[1..].to_vec(), true),
        ] {
            let cache = ProjectCache::default();
            let first = load(&cache, &base);
            let second = load(&cache, &files);
            let own = load(&ProjectCache::default(), &files);
            assert_eq!(shown(&second), shown(&own), "{files:?}");
            assert_eq!(shown(&second) != shown(&first), is_read, "{files:?}");
        }
    }
}
