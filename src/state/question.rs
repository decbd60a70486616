//! Question to a host about what only it has, from what is wanted of it.

use std::collections::{BTreeMap, BTreeSet};

use super::host_only::{compose_names, dotenvs, is_of_session, named_env_files};
use super::wanted::Wanted;
use crate::base::manifest::Manifest;
use crate::base::path::RootPath;

/// Length of the names of variables that are asked for, in bytes: the driver passes them to awk in one variable of the
/// environment, which Linux limits to 128 KiB. What is left out is not known to be unset.
const MAX_VARIABLES: usize = 64 << 10;

/// Question about what only the host has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostOnlyQuestion {
    /// Folders of projects, with the default names of compose files that the tree has there, as indices of
    /// [`compose_names`](super::host_only::compose_names).
    pub folders: BTreeMap<RootPath, Vec<usize>>,
    /// Env files that the tree lacks: a path below the root, an absolute one or one that starts with `~/`,
    /// and whether Compose's own variables in it count.
    pub env_files: BTreeMap<String, bool>,
    /// The variables that compose files refer to and the tree does not define: which of them such a file defines.
    pub variables: BTreeSet<String>,
}

impl HostOnlyQuestion {
    /// The question about what is wanted.
    #[must_use]
    pub fn of(wanted: &Wanted) -> Self {
        let mut question = Self::default();
        let mut length = 0;
        for project in &wanted.projects {
            let names = names_in_tree(&project.model.dir, &project.manifest);
            question.folders.insert(project.model.dir.clone(), names);
            for path in dotenvs(&project.model) {
                question.env_files.insert(path.to_string(), true);
            }
            for name in project.model.undefined_variables.keys().filter(|name| !is_of_session(name)) {
                if length + name.len() <= MAX_VARIABLES && question.variables.insert(name.clone()) {
                    length += name.len() + 1;
                }
            }
            for file in project.model.services.values().flat_map(named_env_files) {
                question.env_files.entry(file.path).or_insert(false);
            }
        }
        question
    }

    /// The question about the compose files in a folder.
    #[must_use]
    pub fn of_folder(dir: &RootPath, manifest: &Manifest) -> Self {
        let folders = BTreeMap::from([(dir.clone(), names_in_tree(dir, manifest))]);
        Self { folders, ..Self::default() }
    }

    /// What this question asks and `asked` has not.
    #[must_use]
    pub fn beyond(mut self, asked: &Self) -> Self {
        self.folders.retain(|dir, _| !asked.folders.contains_key(dir));
        self.env_files.retain(|path, _| !asked.env_files.contains_key(path));
        self
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.env_files.is_empty()
    }

    /// Adds what another question asks.
    pub fn extend(&mut self, other: Self) {
        self.folders.extend(other.folders);
        self.env_files.extend(other.env_files);
        self.variables.extend(other.variables);
    }
}

/// The default names of compose files that the tree has in the folder of a project.
fn names_in_tree(dir: &RootPath, manifest: &Manifest) -> Vec<usize> {
    let has = |name: &str| dir.join(name).is_ok_and(|path| manifest.get(&path).is_some());
    compose_names().enumerate().filter(|(_, name)| has(name)).map(|(index, _)| index).collect()
}
