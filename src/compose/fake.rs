//! A tree in memory for the tests of the reader.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{Project, Service};
use super::{Files, NodeKind};
use crate::base::path::RootPath;

/// Files by path. A directory exists if it has a file.
pub(super) struct FakeTree(BTreeMap<String, Vec<u8>>);

impl FakeTree {
    /// Creates a tree of these files.
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec())).collect())
    }

    /// The project in `blog`, below `/srv/services` on the host.
    pub(super) fn load(&self) -> Project {
        super::load(self, &RootPath::new("blog").unwrap(), "/srv/services")
    }
}

impl Files for FakeTree {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        if self.0.contains_key(path.as_str()) {
            return Some(NodeKind::File);
        }
        let below = format!("{path}/");
        self.0.keys().any(|file| path.is_root() || file.starts_with(&below)).then_some(NodeKind::Dir)
    }

    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        Ok(self.0.get(path.as_str()).map(|content| Arc::from(content.as_slice())))
    }

    fn list(&self, dir: &RootPath) -> Vec<RootPath> {
        let paths = self.0.keys().filter_map(|path| RootPath::new(path).ok());
        paths.filter(|path| path.parent().as_ref() == Some(dir)).collect()
    }

    fn shown(&self, path: &RootPath) -> String {
        format!("services/{path}")
    }
}

/// Loads a project of one compose file.
pub(super) fn project(compose: &str) -> Project {
    FakeTree::new(&[("blog/compose.yml", compose)]).load()
}

/// Returns the service `web` of a project without diagnostics.
pub(super) fn web(project: &Project) -> &Service {
    assert_eq!(messages(project), Vec::<String>::new());
    &project.services["web"]
}

/// Returns the diagnostics of a project, each with its location.
pub(super) fn messages(project: &Project) -> Vec<String> {
    let show = |found: &crate::base::diagnostic::Diagnostic| {
        let at = found.at.as_ref().map(ToString::to_string).unwrap_or_default();
        let help = found.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{at}: {}{help}", found.message)
    };
    project.diagnostics.iter().map(show).collect()
}
