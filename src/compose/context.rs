//! What the parts of the reader share while they read one project.
//!
//! Owns the list of files that were read, the problems found so far, the budget that bounds the
//! work, and the rule that turns a path in a compose file into one below the root.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::Files;
use super::model::DefinitionFile;
use super::yaml::{self, Mark, Node, Text};
use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::path::{PathError, RootPath};

/// Nodes that all files of a project may be copied and merged into: two of the largest files.
const MAX_NODES: usize = 500_000;

/// Problems that are noted for one project.
const MAX_DIAGNOSTICS: usize = 500;

/// Files that one project may read.
pub(super) const MAX_FILES: usize = 1_000;

/// A file as it was read in one role: the same file extended from two places is two sources.
#[derive(Debug)]
struct Source {
    /// The folder that relative paths in it start from.
    base: RootPath,
    shown: String,
}

/// Where a path in a compose file leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Below the root.
    Tree(RootPath),
    /// Elsewhere on the host, or unknown: the text after substitution.
    Host(String),
    /// Nowhere; an error has been noted.
    Invalid,
}

/// The state of reading one project.
pub(super) struct Context<'a> {
    /// The files of the tree.
    pub(super) files: &'a dyn Files,
    /// Everything wrong or doubtful so far.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The files that make the model.
    pub(super) definition_files: Vec<DefinitionFile>,
    root: &'a str,
    sources: Vec<Source>,
    indices: BTreeMap<(RootPath, RootPath), u32>,
    parsed: BTreeMap<u32, Rc<[Node]>>,
    written: BTreeMap<Mark, Rc<str>>,
    nodes: usize,
    exhausted: bool,
}

impl<'a> Context<'a> {
    /// Starts with no file read; `root` is the absolute root on the host.
    pub(super) fn new(files: &'a dyn Files, root: &'a str) -> Self {
        Self {
            files,
            diagnostics: Vec::new(),
            definition_files: Vec::new(),
            root: root.trim_end_matches('/'),
            sources: Vec::new(),
            indices: BTreeMap::new(),
            parsed: BTreeMap::new(),
            written: BTreeMap::new(),
            nodes: 0,
            exhausted: false,
        }
    }

    /// The place of a mark, for people.
    pub(super) fn location(&self, at: Mark) -> Location {
        let path = self.sources.get(at.source as usize).map(|source| source.shown.clone());
        Location { path: path.unwrap_or_default(), line: at.line as usize, column: at.column as usize }
    }

    /// Notes an error.
    pub(super) fn error(&mut self, at: Mark, message: impl Into<String>) {
        let at = self.location(at);
        self.note(Diagnostic::error(message, Some(at)));
    }

    /// Notes a warning.
    pub(super) fn warning(&mut self, at: Mark, message: impl Into<String>) {
        let at = self.location(at);
        self.note(Diagnostic::warning(message, Some(at)));
    }

    /// Notes a problem unless it has been noted before: a file that two services extend is looked
    /// at twice.
    pub(super) fn note(&mut self, diagnostic: Diagnostic) {
        if !self.is_full() && !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Whether so much is wrong that nothing more is noted.
    pub(super) fn is_full(&self) -> bool {
        self.diagnostics.len() >= MAX_DIAGNOSTICS
    }

    /// Notes how the scalar at a place was written before variables were substituted in it.
    pub(super) fn written(&mut self, at: Mark, text: &Rc<str>) {
        self.written.insert(at, Rc::clone(text));
    }

    /// What stands at a place, for messages: as it was written, for values of variables may be secret.
    pub(super) fn quote(&self, at: Mark, text: &str) -> String {
        self.written.get(&at).map_or(text, |written| written).to_owned()
    }

    /// The file that is named at a place, for messages.
    pub(super) fn quote_file(&self, at: Mark, path: &RootPath) -> String {
        self.written.get(&at).map_or_else(|| self.files.shown(path), ToString::to_string)
    }

    /// Pays for copying or merging nodes; `false` when the budget is spent, which is noted once.
    pub(super) fn pay(&mut self, nodes: usize, at: Mark) -> bool {
        self.nodes += nodes;
        if self.nodes > MAX_NODES && !self.exhausted {
            self.exhausted = true;
            self.error(at, format!("the project grows to more than {MAX_NODES} nodes"));
        }
        !self.exhausted
    }

    /// The index of a file that is read with `base` as the start of its relative paths.
    pub(super) fn source(&mut self, path: &RootPath, base: &RootPath) -> u32 {
        let files = self.files;
        let sources = &mut self.sources;
        *self.indices.entry((path.clone(), base.clone())).or_insert_with(|| {
            sources.push(Source { base: base.clone(), shown: files.shown(path) });
            (sources.len() - 1) as u32
        })
    }

    /// Notes that a file is part of the model, and reads it; `None` when the tree lacks it.
    pub(super) fn read(&mut self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        let content = self.files.read(path);
        let present = !matches!(content, Ok(None));
        if !self.definition_files.iter().any(|file| file.path == *path) {
            if self.definition_files.len() >= MAX_FILES {
                return Err(format!("the project reads more than {MAX_FILES} files"));
            }
            self.definition_files.push(DefinitionFile { path: path.clone(), present });
        }
        content
    }

    /// The documents of a compose file; `None` when the tree lacks it. Its problems are noted.
    pub(super) fn documents(&mut self, path: &RootPath, base: &RootPath) -> (u32, Option<Rc<[Node]>>) {
        let source = self.source(path, base);
        if let Some(documents) = self.parsed.get(&source) {
            return (source, Some(Rc::clone(documents)));
        }
        let at = Mark { source, line: 1, column: 1 };
        let bytes = match self.read(path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return (source, None),
            Err(message) => {
                self.error(at, message);
                return (source, Some(Rc::from([])));
            }
        };
        let (documents, problems) = yaml::parse(source, &bytes);
        for problem in problems {
            self.error(problem.at, problem.message);
        }
        if documents.is_empty() && !self.diagnostics.iter().any(Diagnostic::is_error) {
            self.error(at, "the compose file is empty");
        }
        let documents: Rc<[Node]> = Rc::from(documents);
        self.parsed.insert(source, Rc::clone(&documents));
        (source, Some(documents))
    }

    /// What a path that an unknown variable decides about may be: better one restart too many. Of
    /// `./conf/${X}` all of `./conf`; of `${X}/conf/app.yml` what the project's folder has by that name
    /// and place.
    pub(super) fn possible(&mut self, text: &Text, at: Mark) -> Option<RootPath> {
        if text.unknown.is_empty() {
            return None;
        }
        let (before, rest) = text.text.split_once("${")?;
        if before.starts_with(['.', '/']) {
            let (folder, _) = before.rsplit_once('/')?;
            return match self.resolve(&Text::quoted(folder), at) {
                Place::Tree(path) if !path.is_root() => Some(path),
                _ => None,
            };
        }
        let (_, after) = rest.split_once('}').filter(|_| before.is_empty())?;
        let certain = match after.split_once("${") {
            Some((certain, _)) => certain.rsplit_once('/')?.0,
            None => after,
        };
        let certain = certain.strip_prefix('/').filter(|certain| !certain.is_empty())?;
        let own = self.sources.get(at.source as usize).map(|source| source.base.clone())?;
        let mut from = Some(own.clone());
        while let Some(folder) = from {
            let path = folder.join(certain).ok()?;
            if path != own && path.is_within(&own) && self.files.kind(&path).is_some() {
                return Some(path);
            }
            from = folder.parent();
        }
        None
    }

    /// Where a path that stands at `at` leads.
    pub(super) fn resolve(&mut self, text: &Text, at: Mark) -> Place {
        let path = &*text.text;
        let is_drive = matches!(path.as_bytes(), [b'a'..=b'z' | b'A'..=b'Z', b':', b'/' | b'\\', ..]);
        if !text.unknown.is_empty() || path.starts_with('~') || is_drive {
            return Place::Host(path.to_owned());
        }
        if path.starts_with('/') {
            let clean = clean_absolute(path);
            let below = match clean.strip_prefix(self.root) {
                Some("") => Some(""),
                Some(below) => below.strip_prefix('/'),
                None => None,
            };
            return match below.map(RootPath::new) {
                Some(Ok(path)) => Place::Tree(path),
                _ => Place::Host(path.to_owned()),
            };
        }
        let base = self.sources.get(at.source as usize).map(|source| source.base.clone());
        match base.unwrap_or_default().join(path) {
            Ok(path) => Place::Tree(path),
            Err(PathError::AboveRoot(_)) => {
                let at = self.location(at);
                let message = "a relative path leads above the folder that holds the projects";
                let help = "write the absolute path on the host, or move the file into the repository";
                self.note(Diagnostic::error(message, Some(at)).help(help));
                Place::Invalid
            }
            Err(_) => {
                self.error(at, "a path holds a NUL byte");
                Place::Invalid
            }
        }
    }
}

/// Resolves `.` and `..` in an absolute path by text, as Go's `filepath.Clean`.
pub(super) fn clean_absolute(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
