//! Reads what a tree wants on a host.
//!
//! An edge: it hashes files and starts threads. The value that it returns is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ciphertext::Ciphertext;
use super::{ProjectDir, Refused, Snapshot, models, owner, project_dirs};
use crate::base::commit::label;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::base::manifest::Manifest;
use crate::base::path::RootPath;
use crate::compose::model::{Project, ProjectSettings};
use crate::compose::{self, ProjectCache};
use crate::config::layout::Layout;
use crate::state::unusable::{Unusable, UnusableFile, problems};
use crate::state::wanted::{AbsentProject, Wanted, WantedProject};

/// Reads what the tree wants on a host: the projects that `runs` accepts, with everything they read.
///
/// `root` is the absolute path of the root on the host.
///
/// # Errors
///
/// If two folders are the same project, or a file can no longer be read. Problems of a single project are in
/// its model.
pub fn read(
    tree: &dyn Snapshot,
    layout: &Layout,
    root: &str,
    runs: &dyn Fn(&str, &ProjectSettings) -> bool,
) -> Result<Wanted> {
    read_again(&ProjectCache::default(), tree, layout, root, runs)
}

/// Reads a tree that has much in common with the one that was read last; otherwise like [`read`].
///
/// # Errors
///
/// Those of [`read`].
pub fn read_again(
    cache: &ProjectCache,
    tree: &dyn Snapshot,
    layout: &Layout,
    root: &str,
    runs: &dyn Fn(&str, &ProjectSettings) -> bool,
) -> Result<Wanted> {
    let dirs = project_dirs(tree, layout)?;
    refuse_hidden_projects(tree, layout, &dirs)?;
    let absent = absent_projects(tree, layout, &dirs);
    let absent: Vec<AbsentProject> =
        absent.into_iter().filter(|project| runs(&project.name, &ProjectSettings::default())).collect();
    let models = models(cache, tree, &dirs, root);
    let (loaded, others): (Vec<(&ProjectDir, Project)>, Vec<_>) =
        dirs.iter().zip(models).partition(|(dir, model)| runs(&dir.name, &model.settings));
    let others = others.into_iter().map(|(dir, _)| dir.name.clone()).collect();
    let mut files: BTreeMap<&RootPath, Vec<&RootPath>> =
        loaded.iter().map(|(dir, _)| (&dir.dir, Vec::new())).collect();
    // What is there of a project whose compose file is not belongs to none.
    let is_absent = |path: &RootPath| {
        let above = std::iter::successors(path.parent(), RootPath::parent);
        let nearest = |dir: RootPath| {
            let is_project = dirs.binary_search_by(|project| project.dir.cmp(&dir)).is_ok();
            let is_absent = absent.iter().any(|project| project.dir == dir);
            (is_project || is_absent).then_some(is_absent)
        };
        !absent.is_empty() && above.into_iter().find_map(nearest) == Some(true)
    };
    for path in tree.nodes().keys().filter(|path| !is_absent(path) && !is_of_the_repository(layout, path)) {
        if let Some(files) = owner(&dirs, path).and_then(|owner| files.get_mut(&owner.dir)) {
            files.push(path);
        }
    }
    // The folder of a project that does not run here belongs to no project.
    let is_shared = |path: &RootPath| {
        is_absent(path) || owner(&dirs, path).is_none_or(|owner| !files.contains_key(&owner.dir))
    };
    let mut shared: BTreeSet<&RootPath> = BTreeSet::new();
    for (_, model) in &loaded {
        let definition = model.definition_files.iter().map(|file| &file.path);
        let reads = model.services.values().flat_map(|service| &service.reads).map(|read| &read.path);
        for path in definition.chain(reads) {
            let within = tree
                .nodes()
                .range::<RootPath, _>(path..)
                .map(|(path, _)| path)
                .take_while(|below| below.as_str().starts_with(path.as_str()));
            shared.extend(within.filter(|below| below.is_within(path) && is_shared(below)));
        }
    }
    // What a project reads of a submodule whose files are not known.
    for (dir, model) in &loaded {
        let reads = model.services.values().flat_map(|service| &service.reads).map(|read| &read.path);
        for path in reads.filter(|path| !tree.nodes().contains_key(*path) && tree.is_closed(path)) {
            match files.get_mut(&dir.dir).filter(|_| path.is_within(&dir.dir)) {
                Some(own) => own.push(path),
                None => drop(shared.insert(path)),
            }
        }
    }
    // One call hashes everything in parallel.
    let all = tree.manifest(&mut files.values().flatten().chain(&shared).copied())?;
    let of = |paths: &mut dyn Iterator<Item = &&RootPath>| {
        Manifest(paths.filter_map(|path| Some(((*path).clone(), all.get(path)?.clone()))).collect())
    };
    let shared = of(&mut shared.iter());
    let manifests: BTreeMap<&RootPath, Manifest> =
        files.iter().map(|(dir, paths)| (*dir, of(&mut paths.iter()))).collect();
    let unusable = tree.unusable();
    let project = |(dir, model): &(&ProjectDir, Project)| {
        let mut project = WantedProject {
            name: dir.name.clone(),
            path: dir.repo_path.clone(),
            model: model.clone(),
            manifest: manifests.get(&dir.dir).cloned().unwrap_or_default(),
            refused: Vec::new(),
            placeholders: BTreeSet::new(),
            notes: Vec::new(),
        };
        let concerns = |path: &RootPath| owner(&dirs, path) == Some(dir) || project.reads(path);
        let refused = tree.refused().iter().filter(|refused| concerns(&refused.path));
        let mut refused: Vec<Diagnostic> = refused.map(|refused| refused.why.clone()).collect();
        // A submodule may hold what the project reads.
        let outside = project.reads_outside();
        let holds = |file: &UnusableFile| {
            file.why == Unusable::Submodule && outside.iter().any(|path| path.is_within(&file.path))
        };
        let lacking: Vec<&UnusableFile> =
            unusable.iter().filter(|file| concerns(&file.path) || holds(file)).collect();
        refused.extend(problems(lacking.iter().copied()));
        project.refused = refused;
        let Ciphertext { errors, warnings, files } = Ciphertext::of(tree, &project.model);
        project.refused.extend(errors);
        project.notes = warnings;
        project.placeholders = lacking.into_iter().map(|file| file.repo_path.clone()).chain(files).collect();
        project
    };
    let projects = loaded.iter().map(project).map(Arc::new).collect();
    let changes = tree.changes().to_vec();
    let commit = tree.commit().map(|hash| label(hash, !changes.is_empty()));
    Ok(Wanted { commit, changes, absent, unusable, projects, others, shared })
}

/// Whether a file is about the repository and not about a project that fills it.
fn is_of_the_repository(layout: &Layout, path: &RootPath) -> bool {
    let mut names = path.components();
    let about = match names.next() {
        Some(".github") => true,
        Some("ghdeploy.yml" | ".gitignore" | ".gitattributes" | ".gitmodules" | ".ghdeployignore") => {
            names.next().is_none()
        }
        _ => false,
    };
    about && layout.top() == Some("")
}

/// The projects whose compose file is in the commit and not there. Whether a submodule is one is not known.
fn absent_projects(tree: &dyn Snapshot, layout: &Layout, dirs: &[ProjectDir]) -> Vec<AbsentProject> {
    let mut absent: Vec<AbsentProject> = Vec::new();
    for file in tree.unusable().iter().filter(|file| file.why.is_absent() && file.why != Unusable::Submodule)
    {
        let (path, name) = file.repo_path.rsplit_once('/').unwrap_or(("", &file.repo_path));
        let Some(dir) = file.path.parent() else { continue };
        let is_known =
            dirs.iter().any(|project| project.dir == dir) || absent.iter().any(|project| project.dir == dir);
        if compose::makes_project(name) && name != ".env" && layout.is_project_dir(path) && !is_known {
            let ProjectDir { dir, name, repo_path } = ProjectDir::new(dir, path);
            absent.push(AbsentProject { name, path: repo_path, dir });
        }
    }
    absent
}

/// Fails if the file that makes a folder a project cannot be deployed: the project would look removed.
fn refuse_hidden_projects(tree: &dyn Snapshot, layout: &Layout, dirs: &[ProjectDir]) -> Result<()> {
    let hides = |refused: &&Refused| {
        let dir =
            refused.path.parent().filter(|dir| layout.repo_paths(dir).any(|dir| layout.is_project_dir(&dir)));
        let makes = compose::makes_project(refused.path.file_name());
        makes && dir.is_some_and(|dir| dirs.iter().all(|project| project.dir != dir))
    };
    let hidden: Vec<Diagnostic> =
        tree.refused().iter().filter(hides).map(|refused| refused.why.clone()).collect();
    if hidden.is_empty() { Ok(()) } else { Err(Error::invalid(hidden)) }
}
