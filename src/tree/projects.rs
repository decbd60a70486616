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
    /// The name of the project: its path below the root, such as `blog` or `web/blog`; `.` for the root itself.
    pub name: String,
    /// Its path in the repository; `.` for the top.
    pub repo_path: String,
}

impl ProjectDir {
    /// The project in a directory.
    pub(super) fn new(dir: RootPath, repo_path: &str) -> Self {
        let or_dot = |path: &str| if path.is_empty() { ".".to_owned() } else { path.to_owned() };
        Self { name: or_dot(dir.as_str()), repo_path: or_dot(repo_path), dir }
    }
}

/// Returns the projects of a tree, sorted by directory. A project is a directory that a pattern of the layout
/// matches and that holds a compose file. A symbolic link to a directory is not a project.
///
/// A directory whose compose file a project around it includes is a part of that project. The directory that is the
/// root on the host is a project if a pattern names its compose file, if that file includes others, or if there is no
/// other project. In the second case, all directories are parts of it: those that it does not include do not run.
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
        projects.push(ProjectDir::new(dir, repo_path));
    }
    if !problems.is_empty() {
        return Err(Error::invalid(problems));
    }
    let mut inner = without_parts(tree, projects);
    let Some(top) = layout.top().filter(|_| compose::find(tree, &RootPath::root())) else { return Ok(inner) };
    let is_named = layout.is_named(top);
    if is_named || inner.is_empty() || includes(tree, &RootPath::root()) {
        if !is_named {
            inner.clear();
        }
        inner.insert(0, ProjectDir::new(RootPath::root(), top));
        inner = without_parts(tree, inner);
    }
    Ok(inner)
}

/// Leaves out the projects whose compose file a project around them includes.
fn without_parts(tree: &dyn Snapshot, projects: Vec<ProjectDir>) -> Vec<ProjectDir> {
    let is_around =
        |outer: &ProjectDir, inner: &ProjectDir| outer.dir != inner.dir && inner.dir.is_within(&outer.dir);
    let around = projects.iter().filter(|outer| projects.iter().any(|inner| is_around(outer, inner)));
    let included: BTreeSet<RootPath> =
        around.flat_map(|outer| compose::load(tree, &outer.dir, "/").included).collect();
    let is_part = |project: &ProjectDir| {
        compose::FILES
            .iter()
            .filter_map(|name| project.dir.join(name).ok())
            .any(|file| included.contains(&file))
    };
    projects.into_iter().filter(|project| included.is_empty() || !is_part(project)).collect()
}

/// Whether the compose file in a directory includes others. One that cannot be read and has the word counts, too: it
/// must not look like a file that includes none.
fn includes(tree: &dyn Snapshot, dir: &RootPath) -> bool {
    let project = compose::load(tree, dir, "/");
    let has_word = |file: &RootPath| {
        let content = tree.read(file).ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&content).lines().any(|line| line.starts_with("include:"))
    };
    !project.included.is_empty() || project.compose_files.iter().any(has_word)
}

/// Warnings about compose files that no project runs, although their directories look like projects: beside a project
/// in the root that does not include them.
#[must_use]
pub fn left_out(tree: &dyn Snapshot, layout: &Layout, projects: &[ProjectDir]) -> Vec<Diagnostic> {
    let shown = |dir: &RootPath| {
        compose::FILES.iter().find_map(|name| {
            let file = dir.join(name).ok()?;
            (tree.kind(&file)? == compose::NodeKind::File).then(|| tree.shown(&file))
        })
    };
    let Some(top) = layout.top() else { return Vec::new() };
    let root = projects.first().filter(|project| project.dir.is_root());
    let Some(root) = root else {
        let Some(file) = shown(&RootPath::root()).filter(|_| !projects.is_empty()) else { return Vec::new() };
        let reads = |dir: &ProjectDir| {
            let model = compose::load(tree, &dir.dir, "/");
            model.definition_files.iter().any(|read| read.path.parent().is_some_and(|dir| dir.is_root()))
        };
        // A file that others extend is no project.
        if projects.iter().any(reads) {
            return Vec::new();
        }
        let message = format!("{file} belongs to no project, and nothing in it runs");
        let help = format!(
            "to deploy it as a project beside the others, add `{file}` to `services` in ghdeploy.yml; otherwise list it in `.ghdeployignore`"
        );
        return vec![Diagnostic::warning(message, None).help(help)];
    };
    let included = compose::load(tree, &root.dir, "/").included;
    let mut notes = Vec::new();
    for (dir, repo_paths) in dirs(tree) {
        let is_known = projects.iter().any(|project| project.dir == dir);
        let may_be = repo_paths.iter().any(|repo_path| layout.is_project_dir(repo_path));
        if is_known || !may_be || included.iter().any(|file| file.parent().as_ref() == Some(&dir)) {
            continue;
        }
        let Some(file) = shown(&dir) else { continue };
        let by = shown(&root.dir).unwrap_or_else(|| top.to_owned());
        notes.push(
            Diagnostic::warning(format!("{by} does not include {file}, and nothing in it runs"), None).help(format!(
                "include it; or write `services: [{by}, …]` in ghdeploy.yml with a pattern for the folders that are projects of their own; or list it in `.ghdeployignore`"
            )),
        );
    }
    notes
}

/// The directories with a compose file that would be projects by their place and that the layout leaves out, by their
/// paths in the repository, each with [why](Layout::left_out).
#[must_use]
pub fn skipped(tree: &dyn Snapshot, layout: &Layout) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (dir, repo_paths) in dirs(tree) {
        let why = repo_paths.iter().find_map(|path| Some((*path, layout.left_out(path)?)));
        if let Some((path, why)) = why.filter(|_| compose::find(tree, &dir)) {
            found.push((path.to_owned(), why.to_owned()));
        }
    }
    found
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
