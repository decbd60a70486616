//! Keeps what was read, so that a second tree that says the same is not read again.
//!
//! Owns the proof that it says the same: a project is made of nothing but the answers that a tree gave to
//! the reader's questions, so equal answers make an equal project.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::model::Project;
use super::{Files, NodeKind};
use crate::base::path::RootPath;

/// The projects that were loaded last, by their folder and by the root on the host.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<(RootPath, String), Known>>);

/// A project with the answers that it is made of.
type Known = Arc<(Answers, Project)>;

impl Memory {
    /// Loads a project as [`super::load`] does.
    pub fn load(&self, files: &dyn Files, dir: &RootPath, root: &str) -> Project {
        let key = (dir.clone(), root.to_owned());
        let known = lock(&self.0).get(&key).cloned();
        if let Some(known) = known.filter(|known| known.0.are_of(files)) {
            return known.1.clone();
        }
        let asked = Asked { files, answers: Mutex::default() };
        let project = super::load(&asked, dir, root);
        let answers = asked.answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        lock(&self.0).insert(key, Arc::new((answers, project.clone())));
        project
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a tree answered.
#[derive(Debug, Default)]
struct Answers {
    kinds: BTreeMap<RootPath, Option<NodeKind>>,
    contents: BTreeMap<RootPath, Content>,
    shown: BTreeMap<RootPath, String>,
}

type Content = Result<Option<Arc<[u8]>>, String>;

impl Answers {
    fn are_of(&self, files: &dyn Files) -> bool {
        let same = |a: &Content, b: &Content| match (a, b) {
            (Ok(Some(a)), Ok(Some(b))) => Arc::ptr_eq(a, b) || a == b,
            (a, b) => a == b,
        };
        self.kinds.iter().all(|(path, kind)| files.kind(path) == *kind)
            && self.contents.iter().all(|(path, content)| same(&files.read(path), content))
            && self.shown.iter().all(|(path, shown)| files.shown(path) == *shown)
    }
}

/// A tree whose answers are kept.
struct Asked<'f> {
    files: &'f dyn Files,
    answers: Mutex<Answers>,
}

impl Files for Asked<'_> {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        let kind = self.files.kind(path);
        lock(&self.answers).kinds.insert(path.clone(), kind);
        kind
    }

    fn read(&self, path: &RootPath) -> Content {
        let content = self.files.read(path);
        lock(&self.answers).contents.insert(path.clone(), content.clone());
        content
    }

    fn shown(&self, path: &RootPath) -> String {
        let shown = self.files.shown(path);
        lock(&self.answers).shown.insert(path.clone(), shown.clone());
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::Tree;
    use super::*;

    #[test]
    fn only_what_a_project_is_made_of_makes_it_another() {
        let compose = "services: {web: {image: 'a:${TAG}', volumes: ['./conf:/conf'], env_file: [{path: e, required: false}]}}";
        let base =
            [("blog/compose.yml", compose), ("blog/.env", "TAG=1"), ("blog/conf", "1"), ("blog/README", "1")];
        let load = |memory: &Memory, files: &[(&str, &str)]| {
            memory.load(&Tree::new(files), &RootPath::new("blog").unwrap(), "/srv/services")
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
            let memory = Memory::default();
            let first = load(&memory, &base);
            let second = load(&memory, &files);
            let own = load(&Memory::default(), &files);
            assert_eq!(shown(&second), shown(&own), "{files:?}");
            assert_eq!(shown(&second) != shown(&first), is_read, "{files:?}");
        }
    }
}
