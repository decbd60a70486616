//! Texts that may be shown: those that stand in the compose files of a project, as they were written.
//!
//! A message of Docker or Compose quotes values that come from the host's `.env`. Whether a quoted text is such
//! a value cannot be seen in it. But every reader of the messages can see the repository, so
//! exactly what occurs there may be shown.

use std::collections::BTreeSet;

use crate::base::diagnostic::Location;
use crate::base::path::RootPath;
use crate::compose::NodeKind;
use crate::compose::model::{Project, ReadMethod};

/// What may be named in messages about one project.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary<'a> {
    model: Option<&'a Project>,
    /// The content of its compose files and Dockerfiles.
    texts: Vec<String>,
    /// Their paths in the repository.
    paths: Vec<String>,
}

impl<'a> Vocabulary<'a> {
    /// The vocabulary of a project; `texts` is the content of its [`sources`], each with its path in the repository.
    pub(crate) fn new(model: Option<&'a Project>, texts: Vec<(String, String)>) -> Self {
        let (paths, texts) = texts.into_iter().unzip();
        Self { model, texts, paths }
    }

    /// Whether a text stands in the files as it is, not as a part of a longer word.
    pub(super) fn knows(&self, text: &str) -> bool {
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let stands = |file: &String| {
            file.match_indices(text).any(|(at, _)| {
                let (before, after) = (&file[..at], &file[at + text.len()..]);
                let goes_on_before = is_part(before.chars().next_back()) && is_part(text.chars().next());
                let goes_on_after = is_part(after.chars().next()) && is_part(text.chars().next_back());
                !goes_on_before && !goes_on_after
            })
        };
        !text.is_empty() && self.texts.iter().any(stands)
    }

    /// Whether a text may be shown; without the files of the project, as in a rollback, any text that is not a
    /// value of the host.
    pub(crate) fn may_name(&self, text: &str) -> bool {
        self.texts.is_empty() || self.knows(text)
    }

    /// The text in backticks, or another word for it where it may not be shown.
    pub(super) fn show(&self, text: &str, otherwise: &str) -> String {
        if self.knows(text) { format!("`{text}`") } else { otherwise.to_owned() }
    }

    /// Whether a service has this name.
    pub(super) fn service<'s>(&self, name: &'s str) -> Option<&'s str> {
        self.model.is_some_and(|model| model.services.contains_key(name)).then_some(name)
    }

    /// The service that a container belongs to, by the name that Compose or the file gives it.
    pub(super) fn service_of(&self, container: &str) -> Option<&str> {
        let model = self.model?;
        let container = container.trim_start_matches('/');
        let is_its = |name: &str, service: &crate::compose::model::Service| {
            service.container_name.as_ref().is_some_and(|(own, _)| own == container)
                || container.strip_prefix(&model.name).is_some_and(|rest| {
                    let rest = rest.trim_start_matches(['-', '_', '.']);
                    rest.strip_prefix(name).is_some_and(|number| {
                        let number = number.trim_start_matches(['-', '_', '.']);
                        number == "hook" || number.bytes().all(|byte| byte.is_ascii_digit())
                    })
                })
        };
        model.services.iter().find(|(name, service)| is_its(name, service)).map(|(name, _)| name.as_str())
    }

    /// The location of a service.
    pub(super) fn place(&self, service: &str) -> Option<Location> {
        self.model?.services.get(service).map(|service| service.at.clone())
    }

    /// The first place that refers to a variable which the repository does not define.
    pub(super) fn place_of_variable(&self, name: &str) -> Option<Location> {
        self.model?.undefined_variables.get(name).map(|variable| variable.at.clone())
    }

    /// A line of the compose file, if the project has only one.
    pub(super) fn place_of_line(&self, line: u32) -> Option<Location> {
        let is_yaml = |path: &&String| path.ends_with(".yml") || path.ends_with(".yaml");
        let mut files = self.paths.iter().filter(is_yaml);
        let (file, None) = (files.next()?, files.next()) else { return None };
        Some(Location { path: file.clone(), line: line as usize, column: 1 })
    }

    /// The location of an attribute that Compose names as a path, `services.web.ports.[].target`: the deepest key of
    /// it that has a line of its own, or the service.
    pub(super) fn place_of_attribute(&self, path: &str) -> Option<Location> {
        let mut parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty());
        let (top, name) = (parts.next()?, parts.next()?);
        let service = self.model?.services.get(name).filter(|_| top == "services")?;
        let keys: Vec<&str> = parts.filter(|part| !part.bytes().all(|byte| byte.is_ascii_digit())).collect();
        let found = service.defined_at.iter().filter_map(|at| {
            let place = self.paths.iter().position(|path| *path == at.path)?;
            Some(below(self.texts.get(place)?, at, &keys))
        });
        // Of several definitions, the one that has most of the path.
        let deepest = found.max_by_key(|(depth, _)| *depth).map(|(_, at)| at);
        Some(deepest.unwrap_or_else(|| service.at.clone()))
    }

    /// The key of a network or volume by its name in Docker, if it may be shown.
    pub(super) fn resource<'n>(&self, name: &'n str) -> Option<&'n str> {
        let own = self.model.and_then(|model| name.strip_prefix(&model.name)?.strip_prefix(['_', '-']));
        own.filter(|key| self.knows(key)).or_else(|| Some(name).filter(|name| self.knows(name)))
    }

    /// A file by its path on the host, relative to the project's folder, if it may be shown.
    pub(super) fn file<'n>(&self, path: &'n str) -> Option<&'n str> {
        let dir = self.model?.dir.as_str();
        // A candidate has all paths as they are below the root.
        let below_root = path.split_once("/candidate/").map_or(path, |(_, below)| below);
        let inside = match path.rsplit_once(&format!("/{dir}/")) {
            Some((_, inside)) => inside,
            None => below_root,
        };
        let name = inside.rsplit('/').next().unwrap_or(inside);
        let is_compose = self.model?.compose_files.iter().any(|file| file.file_name() == name);
        let is_read = self.model?.definition_files.iter().any(|file| file.path.as_str() == inside);
        (inside == ".env" || is_compose || is_read || self.knows(inside)).then_some(inside)
    }

    /// Whether a compose file refers to a variable of this name. A name that it does not know is a piece of a
    /// value with a `$` in it.
    pub(super) fn refers_to(&self, name: &str) -> bool {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let refers = |file: &String| {
            ["$", "${"].iter().any(|start| {
                file.match_indices(&format!("{start}{name}"))
                    .any(|(at, found)| !file[at + found.len()..].starts_with(is_name))
            })
        };
        // Files of a release are on the host only.
        let unknown = || {
            let services = self.model.into_iter().flat_map(|model| model.services.values());
            services.flat_map(|service| &service.unknown_variables).any(|unknown| unknown == name)
        };
        if self.texts.is_empty() { unknown() } else { self.texts.iter().any(refers) }
    }

    /// The message of `${NAME:?message}` as it was written.
    pub(super) fn required_message(&self, name: &str) -> Option<&str> {
        ["${NAME:?", "${NAME?"].iter().find_map(|form| {
            let form = form.replace("NAME", name);
            let (_, after) = self.texts.iter().find_map(|file| file.split_once(&form))?;
            let message = after.split(['}', '\n']).next()?.trim();
            Some(message).filter(|message| !message.is_empty())
        })
    }

    /// An attribute that Compose names as a path, `services.web.ports.[].target` or
    /// `services[web].healthcheck.interval`: the service, if it is one's, and the words for it.
    pub(super) fn attribute<'n>(&self, path: &'n str) -> Option<(Option<&'n str>, String)> {
        let mut parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty());
        let top = parts.next()?;
        let service = match top {
            "services" => Some(self.service(parts.next()?)?),
            "networks" | "volumes" | "configs" | "secrets" | "include" | "name" => None,
            _ => return self.knows(top).then(|| (None, format!("`{top}`"))),
        };
        let known = parts.take_while(|part| self.knows(part)).collect::<Vec<_>>().join(".");
        Some(match (service, known.as_str()) {
            (Some(service), "") => (Some(service), format!("service `{service}`")),
            (Some(service), known) => (Some(service), format!("`{known}` of service `{service}`")),
            (None, "") => (None, format!("`{top}`")),
            (None, known) => (None, format!("`{top}.{known}`")),
        })
    }
}

/// Follows keys down from the one at `at`, as far as each has a line of its own. Returns how many were found, and where
/// the last one is.
fn below(text: &str, at: &Location, keys: &[&str]) -> (usize, Location) {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (mut place, mut found) = (at.clone(), 0);
    for key in keys {
        let own = lines.get(place.line - 1).map_or(0, |line| indent(line));
        let is_key = |line: &str| {
            let line = line.trim_start_matches([' ', '-', '"', '\'']);
            let rest = line.strip_prefix(key).map(|rest| rest.trim_start_matches(['"', '\'']));
            rest.is_some_and(|rest| rest.starts_with(':'))
        };
        let is_empty = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
        let inside = lines.iter().enumerate().skip(place.line);
        let mut inside = inside.take_while(|(_, line)| is_empty(line) || indent(line) > own);
        let Some((index, line)) = inside.find(|(_, line)| is_key(line)) else { break };
        place = Location { line: index + 1, column: indent(line) + 1, ..place };
        found += 1;
    }
    (found, place)
}

/// The files of a project whose texts may be shown: its compose files and Dockerfiles.
pub(crate) fn sources(model: &Project) -> BTreeSet<&RootPath> {
    let is_yaml = |name: &str| name.ends_with(".yml") || name.ends_with(".yaml");
    let more = model.definition_files.iter().map(|file| &file.path);
    let files = model.compose_files.iter().chain(more.filter(|path| is_yaml(path.file_name())));
    let reads = model.services.values().flat_map(|service| &service.reads);
    let dockerfiles = reads.filter(|read| read.how == ReadMethod::Build && read.kind == Some(NodeKind::File));
    files.chain(dockerfiles.map(|read| &read.path)).collect()
}
