//! Finds the projects of a tree.
//!
//! Owns which directories are projects, their names, and which project a file belongs to. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::Snapshot;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::base::path::RootPath;
use crate::compose;
use crate::config::layout::Layout;

/// Directory that holds a project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProjectDir {
    /// Its path below the root.
    pub dir: RootPath,
    /// The name of the project: its path below the root, such as `blog` or `web/blog`.
    pub name: String,
    /// Its path in the repository.
    pub repo_path: String,
}

/// Returns the projects of a tree, sorted by directory. A project is a directory that a pattern of the layout
/// matches and that holds a compose file. A symbolic link to a directory is not a project.
///
/// # Errors
///
/// If folders of two fixed prefixes map to the same project; names both.
pub fn project_dirs(tree: &dyn Snapshot, layout: &Layout) -> Result<Vec<ProjectDir>> {
    let mut problems = Vec::new();
    let mut projects = Vec::new();
    for (dir, repo_paths) in dirs(tree) {
        if !repo_paths.iter().any(|repo_path| layout.is_project_dir(repo_path)) || !compose::find(tree, &dir)
        {
            continue;
        }
        let mut repo_paths = repo_paths.into_iter();
        let (Some(repo_path), second) = (repo_paths.next(), repo_paths.next()) else { continue };
        if let Some(second) = second {
            problems.push(
                Diagnostic::error(
                    format!("`{repo_path}` and `{second}` both map to the project `{dir}`"),
                    None,
                )
                .help("rename one of them, or give both one pattern in `services`, such as `*/*`"),
            );
            continue;
        }
        projects.push(ProjectDir { name: dir.to_string(), dir, repo_path: repo_path.to_owned() });
    }
    if problems.is_empty() { Ok(projects) } else { Err(Error::invalid(problems)) }
}

/// Returns the project that a file belongs to: the innermost one around it. `projects` is the result of
/// [`project_dirs`].
#[must_use]
pub fn owner<'p>(projects: &'p [ProjectDir], path: &RootPath) -> Option<&'p ProjectDir> {
    std::iter::successors(path.parent(), RootPath::parent).find_map(|dir| {
        let index = projects.binary_search_by(|project| project.dir.cmp(&dir)).ok()?;
        projects.get(index)
    })
}

/// Every directory except the root, with the folders of the repository that its files come from.
fn dirs(tree: &dyn Snapshot) -> BTreeMap<RootPath, BTreeSet<&str>> {
    let mut dirs: BTreeMap<RootPath, BTreeSet<&str>> = BTreeMap::new();
    let mut last = ("", "");
    for (path, node) in tree.nodes() {
        let mut here = (dir_name(path.as_str()), dir_name(&node.repo_path));
        // Most neighbours share their directory.
        if here == last {
            continue;
        }
        last = here;
        while !here.0.is_empty() {
            let known = match dirs.get_mut(here.0) {
                Some(known) => known,
                None => match RootPath::new(here.0) {
                    Ok(dir) => dirs.entry(dir).or_default(),
                    Err(_) => break,
                },
            };
            if !known.insert(here.1) {
                break;
            }
            here = (dir_name(here.0), dir_name(here.1));
        }
    }
    dirs
}

fn dir_name(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
