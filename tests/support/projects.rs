//! A folder with projects that exists for one test.

use super::repo::Repo;

/// A folder that is no git repository, with projects below `services/`. Paths are relative to that.
pub(crate) struct Projects(Repo);

impl Projects {
    /// A folder with these files, each as its path and content.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let projects = Self(Repo::without_git());
        std::fs::create_dir(projects.0.path("services")).unwrap();
        for (path, content) in files {
            projects.write(path, content);
        }
        projects
    }

    /// The folder above `services/`.
    pub(crate) fn top(&self) -> &std::path::Path {
        self.0.top()
    }

    pub(crate) fn write(&self, path: &str, content: &str) -> &Self {
        self.0.write(format!("services/{path}"), content);
        self
    }

    pub(crate) fn link(&self, path: &str, target: &str) -> &Self {
        self.0.link(&format!("services/{path}"), target);
        self
    }

    pub(crate) fn make_executable(&self, path: &str) -> &Self {
        self.0.chmod(&format!("services/{path}"), 0o755);
        self
    }

    pub(crate) fn remove(&self, path: &str) -> &Self {
        self.0.remove(&format!("services/{path}"));
        self
    }
}
