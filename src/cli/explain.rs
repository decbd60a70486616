//! `explain`: which services read a file, by which line, and what a change to it would do.

use std::path::{Component, Path};

use super::args::ExplainArgs;
use super::context::Context;
use crate::base::diagnostic::{Diagnostic, Location, suggestion};
use crate::base::error::{Error, Exit, Result};
use crate::base::path::RootPath;
use crate::compose::model::{Project, Read, ReadMethod, Service};
use crate::compose::{self, Alternative, Files as _};
use crate::outcome::queries::{Explanation, Explanations, PathReader, Reading, if_host_variables};
use crate::plan::ActionKind;
use crate::report::{Format, render};
use crate::state::wanted::Reactions;
use crate::tree::disk::DiskTree;
use crate::tree::{OnHost, ProjectDir, Snapshot, owner, project_dirs};

pub(super) fn run(context: &Context, args: &ExplainArgs) -> Result<Exit> {
    let tree = DiskTree::open(&context.dir, &context.config.services, &context.config.sync)?;
    let targets = context.targets_or_any()?;
    let (root, options) =
        targets.first().map(|target| (target.root.clone(), target.compose.clone())).unwrap_or_default();
    let for_first = OnHost::new(&tree).compose(&options);
    let dirs = project_dirs(&for_first, &context.config.services)?;
    let projects: Vec<(&ProjectDir, Project)> =
        dirs.iter().map(|dir| (dir, compose::load(&for_first, &dir.dir, &root))).collect();
    let (mut paths, mut unknown) = (Vec::new(), Vec::new());
    for text in &args.paths {
        let path = repo_path(&context.dir, &context.place.path(text))?;
        let known = context.dir.join(&path).symlink_metadata().is_ok();
        let at = context.config.services.root_path(&path);
        if context.dir.join(&path).is_dir() {
            paths.push(folder(&tree, &dirs, &projects, at.as_ref(), path));
            continue;
        }
        let mut readers: Vec<PathReader> =
            at.iter().flat_map(|at| self::readers(&projects, at, &path)).collect();
        let alternatives = alternatives(&tree, &projects, &root, at.as_ref(), &dirs);
        let note = at.as_ref().filter(|at| {
            let may_be_named = |(_, project): &(&ProjectDir, Project)| project.may_be_named(at);
            let is_one = |(_, alternative): &(&ProjectDir, Alternative)| alternative.file == **at;
            readers.is_empty() && (projects.iter().any(may_be_named) || alternatives.iter().any(is_one))
        });
        let note = note.map(|_| "a host whose own .env names it in COMPOSE_FILE reads it".to_owned());
        if let Some(at) = at.as_ref().filter(|_| note.is_none()) {
            readers.extend(further_readers(&tree, &projects, alternatives, at, &path));
        }
        let synced = at.as_ref().is_some_and(|at| {
            tree.nodes().contains_key(at) && (owner(&dirs, at).is_some() || !readers.is_empty())
        });
        let is_nothing = !known && readers.is_empty() && note.is_none();
        if is_nothing {
            let message = format!("{text} is not in the repository, and no service reads it");
            unknown.push(Diagnostic::error(message, None).help(near_files(&tree, &path)));
        }
        // In a text, the error says it. Other forms have every path that was asked for.
        if !is_nothing || context.format != Format::Text {
            paths.push(Explanation { path, known, managed: synced, readers, note });
        }
    }
    let explanations = Explanations { paths };
    context.print(|out| render(&explanations, context.format, out, context.style))?;
    if unknown.is_empty() { Ok(Exit::Done) } else { Err(Error::invalid(unknown)) }
}

/// What reads a folder as a whole, or a file in it.
fn folder(
    tree: &DiskTree,
    dirs: &[ProjectDir],
    projects: &[(&ProjectDir, Project)],
    at: Option<&RootPath>,
    path: String,
) -> Explanation {
    let inside = |file: &&RootPath| {
        path.is_empty() || tree.shown(file).strip_prefix(&path).is_some_and(|rest| rest.starts_with('/'))
    };
    let files: Vec<&RootPath> = tree.nodes().keys().filter(inside).collect();
    let mut all: Vec<PathReader> = at.iter().flat_map(|at| readers(projects, at, &path)).collect();
    let mut unread = 0;
    for file in &files {
        let found = readers(projects, file, &tree.shown(file));
        unread += usize::from(found.is_empty());
        for reader in found {
            // A compose file concerns each of its services once.
            let is_same = |other: &PathReader| {
                (&other.project, &other.service, other.how, &other.at)
                    == (&reader.project, &reader.service, reader.how, &reader.at)
            };
            if !all.iter().any(is_same) {
                all.push(reader);
            }
        }
    }
    let managed = files.iter().any(|file| owner(dirs, file).is_some());
    let note = match (files.len(), unread) {
        (0, _) => "a folder without files that are synced".to_owned(),
        (1, 0) => "a folder with 1 file".to_owned(),
        (1, _) => "a folder with 1 file, which no service reads".to_owned(),
        (all, 0) => format!("a folder with {all} files"),
        (all, unread) => format!("a folder with {all} files, {unread} of which no service reads"),
    };
    Explanation {
        path: if path.is_empty() { ".".to_owned() } else { path },
        known: true,
        managed,
        readers: all,
        note: Some(note),
    }
}

/// Advice on a path that does not exist: the nearest files.
pub(super) fn near_files(tree: &DiskTree, path: &str) -> String {
    let shown: Vec<String> = tree.nodes().keys().map(|file| tree.shown(file)).collect();
    let mut known: Vec<&str> = shown.iter().map(String::as_str).collect();
    let folders: std::collections::BTreeSet<&str> =
        shown.iter().flat_map(|file| file.match_indices('/').map(|(end, _)| &file[..end])).collect();
    known.extend(folders);
    let advice = suggestion(path, "files", &known);
    match advice.starts_with("the files are:") {
        true => "name a file or folder by its path, such as services/blog/compose.yml".to_owned(),
        false => advice,
    }
}

/// The projects that would be with one more compose file. Only the project that the path is in may have such a
/// file that reads it by a relative path of its own folder, and others by a path to a shared file.
fn alternatives<'p>(
    tree: &DiskTree,
    projects: &[(&'p ProjectDir, Project)],
    root: &str,
    at: Option<&RootPath>,
    dirs: &[ProjectDir],
) -> Vec<(&'p ProjectDir, Alternative)> {
    let Some(at) = at else { return Vec::new() };
    let owned_by = owner(dirs, at);
    let concerned = projects.iter().filter(|(dir, _)| owned_by.is_none_or(|owner| owner == *dir));
    concerned
        .flat_map(|(dir, project)| {
            let below =
                tree.nodes().keys().filter(|path| path.is_within(&dir.dir) && owner(dirs, path) == Some(dir));
            compose::alternatives(tree, project, root, below).into_iter().map(|found| (*dir, found))
        })
        .collect()
}

/// The readers that a path has only on a host whose own `.env` names one more compose file.
fn further_readers(
    tree: &DiskTree,
    projects: &[(&ProjectDir, Project)],
    alternatives: Vec<(&ProjectDir, Alternative)>,
    at: &RootPath,
    shown: &str,
) -> Vec<PathReader> {
    let known = readers(projects, at, shown);
    let mut all: Vec<PathReader> = Vec::new();
    for (dir, Alternative { file, project }) in alternatives {
        let if_named = format!("only on a host whose own .env names {} in COMPOSE_FILE", tree.shown(&file));
        let more = readers(&[(dir, project)], at, shown);
        let is_new = |reader: &PathReader| {
            let is_same = |other: &PathReader| {
                (&other.project, &other.service, other.how) == (&reader.project, &reader.service, reader.how)
            };
            reader.how != Reading::Definition && !known.iter().chain(&all).any(is_same)
        };
        let more: Vec<PathReader> = more.into_iter().filter(is_new).collect();
        all.extend(more.into_iter().map(|reader| {
            let detail = reader.detail.into_iter().chain([if_named.clone()]).collect::<Vec<_>>().join(", ");
            PathReader { detail: Some(detail), ..reader }
        }));
    }
    all
}

/// A path relative to the top of the repository, however the user typed it.
fn repo_path(dir: &Path, text: &str) -> Result<String> {
    let path = Path::new(text);
    let relative = if path.is_absolute() {
        let top = dir.canonicalize().map_err(|error| Error::usage(format!("{}: {error}", dir.display())))?;
        path.strip_prefix(&top)
            .map(Path::to_owned)
            .map_err(|_| Error::usage(format!("{text} does not lie in the repository")))?
    } else {
        path.to_owned()
    };
    let mut parts: Vec<&str> = Vec::new();
    for component in relative.components() {
        match component {
            Component::Normal(part) => {
                parts.push(part.to_str().ok_or_else(|| Error::usage(format!("{text:?} is not UTF-8")))?);
            }
            Component::ParentDir if parts.pop().is_none() => {
                return Err(Error::usage(format!("{text} does not lie in the repository")));
            }
            _ => {}
        }
    }
    Ok(parts.join("/"))
}

/// The readers of the file at a path below the root, which messages call `shown`.
fn readers(projects: &[(&ProjectDir, Project)], at: &RootPath, shown: &str) -> Vec<PathReader> {
    let mut readers = Vec::new();
    for (dir, project) in projects {
        let defines = project.definition_files.iter().any(|file| file.path == *at);
        let mut places = project.services.values().flat_map(|service| &service.defined_at);
        let holds_services = places.any(|place| place.path == shown);
        for (name, service) in &project.services {
            let mut push = |how: Reading, line: &Location, kind: ActionKind, detail: Option<String>| {
                let profile = (!service.active).then(|| {
                    let decides =
                        if project.has_host_env() { ", which a host's own .env may decide" } else { "" };
                    format!("only while its profile is active{decides}")
                });
                let detail: Vec<String> = detail.into_iter().chain(profile).collect();
                let detail = (!detail.is_empty()).then(|| detail.join(", "));
                readers.push(PathReader {
                    project: dir.name.clone(),
                    service: name.clone(),
                    how,
                    at: line.clone(),
                    kind,
                    detail,
                });
            };
            for read in service.reads.iter().filter(|read| read.covers(at)) {
                let detail = (!read.unknown.is_empty()).then(|| if_host_variables(&read.unknown));
                push(read.how.into(), &read.at, kind(project, service, read, at), detail);
            }
            // A compose file concerns the services that it defines; any service may use a `.env`.
            for place in service.defined_at.iter().filter(|place| place.path == shown) {
                push(
                    Reading::Definition,
                    place,
                    ActionKind::Up,
                    Some("if its definition changes".to_owned()),
                );
            }
            if defines && !holds_services {
                let note = "if it uses what changes".to_owned();
                push(Reading::Definition, &service.at, ActionKind::Up, Some(note));
            }
        }
    }
    readers
}

/// The action that a change to a file would cause in a service that reads it.
fn kind(project: &Project, service: &Service, read: &Read, at: &RootPath) -> ActionKind {
    match read.how {
        ReadMethod::EnvFile | ReadMethod::LabelFile => ActionKind::Up,
        ReadMethod::Build => ActionKind::Build,
        ReadMethod::Bind | ReadMethod::Config | ReadMethod::Secret => {
            ActionKind::from(Reactions::new(project, service).of(read, at))
        }
    }
}
