//! Finds the files, variables and name of a project.
//!
//! Owns what Compose does before it reads YAML: default file names, overrides, `.env`,
//! `COMPOSE_FILE`, the project's name and its profiles
//! (<https://docs.docker.com/compose/how-tos/environment-variables/envvars/>).

use std::rc::Rc;

use super::context::{Context, Place};
use super::load::read_env_files;
use super::variables::{self, Value as Variable, Variables};
use super::yaml::{self, Mark, Text};
use super::{Files, NodeKind};
use crate::path::RootPath;

/// Compose's file names, the preferred one first.
const FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// Its names for the file that is merged over the first, the preferred one first.
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What is known of a project before its files are read.
pub(super) struct Start {
    /// The compose files in the order in which they are merged.
    pub(super) files: Vec<RootPath>,
    /// Where relative paths start.
    pub(super) base: RootPath,
    /// The variables of the tree.
    pub(super) variables: Rc<Variables>,
    /// The project's name.
    pub(super) name: String,
    /// Profiles that `COMPOSE_PROFILES` activates.
    pub(super) profiles: Vec<String>,
}

/// Whether `dir` holds a project.
pub(super) fn find(files: &dyn Files, dir: &RootPath) -> bool {
    if default_file(files, dir, &FILES).is_some() {
        return true;
    }
    let Ok(dotenv) = dir.join(".env") else { return false };
    if files.kind(&dotenv) != Some(NodeKind::File) {
        return false;
    }
    let mut context = Context::new(files, "/");
    let variables = read_env_files(&mut context, &[dotenv], &Variables::default());
    variables.get("COMPOSE_FILE").is_some()
}

/// Finds what `docker compose` would load in `dir`.
pub(super) fn start(context: &mut Context<'_>, dir: &RootPath, root: &str) -> Start {
    let mut variables = dotenv(context, dir, &Variables::default());
    let listed = variables.get("COMPOSE_FILE").filter(|value| !value.text.is_empty()).cloned();
    let mut files = Vec::new();
    let mut base = dir.clone();
    match listed {
        Some(list) => {
            let separator = variables.get("COMPOSE_PATH_SEPARATOR").map(|value| value.text.clone());
            let separator = separator.filter(|text| !text.is_empty()).unwrap_or_else(|| ":".into());
            files = named_files(context, dir, &list, &separator);
            if let Some(parent) = files.first().and_then(RootPath::parent) {
                base = parent;
            }
            if base != *dir {
                // The folder of the first file has a `.env` of its own, which loses to this one's.
                let own = dotenv(context, &base, &variables);
                variables.fill(&own);
            }
        }
        None => {
            files.extend(default_file(context.files, dir, &FILES));
            files.extend(default_file(context.files, dir, &OVERRIDES));
        }
    }
    let name = name(context, &files, &base, root, &variables);
    if variables.get("COMPOSE_PROJECT_NAME").is_none_or(|value| value.text.is_empty()) {
        variables.set("COMPOSE_PROJECT_NAME", Variable { text: name.clone(), ..Variable::default() });
    }
    let profiles = variables.get("COMPOSE_PROFILES").map(|value| value.text.clone()).unwrap_or_default();
    let profiles = profiles.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    Start { files, base, profiles: profiles.collect(), variables: Rc::new(variables), name }
}

fn dotenv(context: &mut Context<'_>, dir: &RootPath, environment: &Variables) -> Variables {
    match dir.join(".env") {
        Ok(path) if context.files.kind(&path) != Some(NodeKind::Dir) => {
            read_env_files(context, &[path], environment)
        }
        _ => Variables::default(),
    }
}

fn default_file(files: &dyn Files, dir: &RootPath, names: &[&str]) -> Option<RootPath> {
    let mut paths = names.iter().filter_map(|name| dir.join(name).ok());
    paths.find(|path| files.kind(path) == Some(NodeKind::File))
}

fn named_files(context: &mut Context<'_>, dir: &RootPath, list: &Variable, separator: &str) -> Vec<RootPath> {
    let dotenv = dir.join(".env").unwrap_or_default();
    let at = Mark { source: context.source(&dotenv, dir), line: 1, column: 1 };
    let mut files = Vec::new();
    for name in list.text.split(separator).filter(|name| !name.is_empty()) {
        let unknown: Vec<Rc<str>> = list.unknown.iter().cloned().collect();
        let text = Text { text: Rc::from(name), plain: false, unknown: Rc::from(unknown) };
        match context.resolve(&text, at) {
            Place::Tree(path) => files.push(path),
            Place::Host(_) => context.error(at, "`COMPOSE_FILE` names a file that only the host has"),
            Place::Invalid => {}
        }
    }
    files
}

/// `COMPOSE_PROJECT_NAME`, the last `name:` of the files, or the folder's name.
fn name(
    context: &mut Context<'_>,
    files: &[RootPath],
    base: &RootPath,
    root: &str,
    variables: &Variables,
) -> String {
    if let Some(value) = variables.get("COMPOSE_PROJECT_NAME").filter(|value| !value.text.is_empty()) {
        let name = value.text.clone();
        if value.unknown.is_empty() && name != normalised(&name) {
            let dotenv = base.join(".env").unwrap_or_default();
            let at = Mark { source: context.source(&dotenv, base), line: 1, column: 1 };
            let message = "`COMPOSE_PROJECT_NAME` may hold only lowercase letters, digits, `-` and `_`, \
                           and must start with a letter or digit";
            context.error(at, message);
        }
        return name;
    }
    let mut name = None;
    for file in files {
        let (_, documents) = context.documents(file, base);
        for document in documents.iter().flat_map(|documents| documents.iter()) {
            if let Some(yaml::Value::Text(text)) = document.get("name").map(|node| &node.value) {
                let value = variables::substitute(&text.text, &|name| variables.get(name));
                name = value.ok().map(|value| value.text).or(name);
            }
        }
    }
    match name {
        Some(name) if !name.is_empty() => normalised(&name),
        _ if base.is_root() => normalised(root.rsplit('/').find(|part| !part.is_empty()).unwrap_or("")),
        _ => normalised(base.file_name()),
    }
}

/// A folder's name as the name of a project.
fn normalised(name: &str) -> String {
    let lower = name.to_lowercase();
    let kept: String = lower
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        .collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}
