//! State that the parts of the reader share while one project is loaded.
//!
//! Owns the list of files that were read, the diagnostics so far, the budget that bounds the work, and the
//! rule that resolves a path in a compose file.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::Files;
use super::model::{DefinitionFile, UndefinedVariable, VariableNeed};
use super::yaml::{self, Mark, Node, Text, Value};
use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::path::{PathError, RootPath};

/// Number of nodes that loading a project may copy and merge: those of two of the largest files.
const MAX_NODES: usize = 500_000;

/// Number of diagnostics that are kept for one project.
const MAX_DIAGNOSTICS: usize = 500;

/// Number of files that one project may read.
pub(super) const MAX_FILES: usize = 1_000;

/// File in one role: a file that is read with two base folders is two sources.
#[derive(Debug)]
struct SourceFile {
    /// Folder that relative paths in it start from.
    base: RootPath,
    shown: String,
    /// Its path on the host, if only the host has it.
    on_host: Option<String>,
}

/// Target of a path in a compose file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ResolvedPath {
    /// A path below the root.
    Tree(RootPath),
    /// A path elsewhere on the host, or one that a variable decides: the text after substitution.
    Host(String),
    /// An invalid path, which has been reported.
    Invalid,
}

/// Value that Compose refuses because of its shape, in a definition that may yet be merged with others.
#[derive(Debug)]
pub(super) struct WrongShape {
    /// The keys that lead to it.
    pub(super) path: Vec<Rc<str>>,
    /// Its mark.
    pub(super) at: Mark,
    /// Whether a value of another file or of an extended service may take its place.
    pub(super) may_be_filled: bool,
    /// What is wrong.
    pub(super) diagnostic: Diagnostic,
}

/// State of loading one project.
pub(super) struct LoadContext<'a> {
    /// The files of the tree.
    pub(super) files: &'a dyn Files,
    /// The diagnostics so far.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The files that the model is made of.
    pub(super) definition_files: Vec<DefinitionFile>,
    /// Those of them that `include` names.
    pub(super) included: BTreeSet<RootPath>,
    /// What `include` names and Compose fetches. What it defines is not known.
    pub(super) remote_includes: Vec<Rc<str>>,
    /// Values that Compose refuses, by the mark of the definition that they are in.
    pub(super) wrong_shapes: BTreeMap<Mark, Vec<WrongShape>>,
    /// Variables that the tree does not define, with what the compose files need of them.
    pub(super) undefined: BTreeMap<Rc<str>, (VariableNeed, Mark)>,
    /// Top-level keys without a value in the file that is read.
    pub(super) empty_sections: Vec<(Rc<str>, Diagnostic)>,
    /// Files that Compose refuses because `services` has no value, unless nothing runs at all.
    pub(super) without_services: Vec<Diagnostic>,
    root: &'a str,
    sources: Vec<SourceFile>,
    indices: BTreeMap<(RootPath, RootPath), u32>,
    parsed: BTreeMap<u32, Rc<[Node]>>,
    written: BTreeMap<Mark, Rc<str>>,
    /// Scalars with a variable that the tree does not define, also if they have a default for it.
    asking: BTreeSet<Mark>,
    nodes: usize,
    exhausted: bool,
}

impl<'a> LoadContext<'a> {
    /// Creates the state; `root` is the absolute root on the host.
    pub(super) fn new(files: &'a dyn Files, root: &'a str) -> Self {
        Self {
            files,
            diagnostics: Vec::new(),
            definition_files: Vec::new(),
            included: BTreeSet::new(),
            remote_includes: Vec::new(),
            wrong_shapes: BTreeMap::new(),
            undefined: BTreeMap::new(),
            empty_sections: Vec::new(),
            without_services: Vec::new(),
            root: root.trim_end_matches('/'),
            sources: Vec::new(),
            indices: BTreeMap::new(),
            parsed: BTreeMap::new(),
            written: BTreeMap::new(),
            asking: BTreeSet::new(),
            nodes: 0,
            exhausted: false,
        }
    }

    /// The location of a mark.
    pub(super) fn location(&self, at: Mark) -> Location {
        let path = self.sources.get(at.source as usize).map(|source| source.shown.clone());
        Location { path: path.unwrap_or_default(), line: at.line as usize, column: at.column as usize }
    }

    /// The path on the host of the file that a mark is in, if only the host has that file.
    pub(super) fn on_host(&self, at: Mark) -> Option<&str> {
        self.sources.get(at.source as usize)?.on_host.as_deref()
    }

    /// Whether a file was read that only the host has.
    pub(super) fn follows_host(&self) -> bool {
        self.sources.iter().any(|source| source.on_host.is_some())
    }

    /// Reports an error.
    pub(super) fn error(&mut self, at: Mark, message: impl Into<String>) {
        let diagnostic = self.error_at(at, message.into());
        self.note(diagnostic);
    }

    /// Reports an error with advice.
    pub(super) fn error_with(&mut self, at: Mark, message: impl Into<String>, help: &str) {
        let diagnostic = self.error_at(at, message.into()).help(help);
        self.note(diagnostic);
    }

    fn error_at(&self, at: Mark, message: String) -> Diagnostic {
        // No line of the repository is to blame for what a file of the host says.
        match self.on_host(at) {
            Some(path) => Diagnostic::error(format!("{path} on the host: {message}"), None),
            None => Diagnostic::error(message, Some(self.location(at))),
        }
    }

    /// Reports a warning.
    pub(super) fn warning(&mut self, at: Mark, message: impl Into<String>) {
        let at = self.location(at);
        self.note(Diagnostic::warning(message, Some(at)));
    }

    /// Adds a diagnostic unless it is a duplicate: a file that two services extend is checked twice.
    pub(super) fn note(&mut self, diagnostic: Diagnostic) {
        if !self.is_full() && !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Whether the limit of diagnostics is reached.
    pub(super) fn is_full(&self) -> bool {
        self.diagnostics.len() >= MAX_DIAGNOSTICS
    }

    /// Records a scalar with a variable that only the host may define.
    pub(super) fn asking(&mut self, at: Mark) {
        self.asking.insert(at);
    }

    /// Records a variable that the tree does not define.
    pub(super) fn undefined(&mut self, name: &str, need: VariableNeed, at: Mark) {
        let known = self.undefined.entry(Rc::from(name)).or_insert((need, at));
        if (need, std::cmp::Reverse(at)) > (known.0, std::cmp::Reverse(known.1)) {
            *known = (need, at);
        }
    }

    /// The variables that the tree does not define.
    pub(super) fn undefined_variables(&self) -> BTreeMap<String, UndefinedVariable> {
        let shown = |(name, (need, at)): (&Rc<str>, &(VariableNeed, Mark))| {
            (name.to_string(), UndefinedVariable { need: *need, at: self.location(*at) })
        };
        self.undefined.iter().map(shown).collect()
    }

    /// Whether a variable that only the host may define counts in a node.
    pub(super) fn asks_host(&self, node: &Node) -> bool {
        !self.asking.is_empty()
            && (self.asking.contains(&node.at)
                || match &node.value {
                    Value::Null | Value::Text(_) => false,
                    Value::List(items) => items.iter().any(|item| self.asks_host(item)),
                    Value::Map(map) => map.values().any(|entry| self.asks_host(&entry.node)),
                })
    }

    /// Records a scalar as it was written before substitution.
    pub(super) fn written(&mut self, at: Mark, text: &Rc<str>) {
        self.written.insert(at, Rc::clone(text));
    }

    /// The text at a mark for messages, as it was written: values of variables may be secret.
    pub(super) fn quote(&self, at: Mark, text: &str) -> String {
        self.written.get(&at).map_or(text, |written| written).to_owned()
    }

    /// The text at a mark before substitution, if a variable was substituted in it.
    pub(super) fn before_substitution(&self, at: Mark) -> Option<String> {
        self.written.get(&at).map(ToString::to_string)
    }

    /// The file that is named at a mark, for messages.
    pub(super) fn quote_file(&self, at: Mark, path: &RootPath) -> String {
        self.written.get(&at).map_or_else(|| self.files.shown(path), ToString::to_string)
    }

    /// Pays for copying or merging nodes. Returns `false` if the budget is spent, which is reported once.
    pub(super) fn pay(&mut self, nodes: usize, at: Mark) -> bool {
        self.nodes += nodes;
        if self.nodes > MAX_NODES && !self.exhausted {
            self.exhausted = true;
            self.error(at, format!("the project grows to more than {MAX_NODES} nodes"));
        }
        !self.exhausted
    }

    /// The index of the source for a file whose relative paths start from `base`.
    pub(super) fn source(&mut self, path: &RootPath, base: &RootPath) -> u32 {
        let (files, root) = (self.files, self.root);
        let sources = &mut self.sources;
        *self.indices.entry((path.clone(), base.clone())).or_insert_with(|| {
            let on_host = files.host_settings(path).map(|_| format!("{root}/{path}"));
            sources.push(SourceFile { base: base.clone(), shown: files.shown(path), on_host });
            (sources.len() - 1) as u32
        })
    }

    /// Reads a file and records it as part of the model; `None` if the tree lacks it.
    pub(super) fn read(&mut self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        let content = self.files.read(path);
        let present = !matches!(content, Ok(None));
        if !self.definition_files.iter().any(|file| file.path == *path) {
            if self.definition_files.len() >= MAX_FILES {
                return Err(format!("the project reads more than {MAX_FILES} files"));
            }
            self.definition_files.push(DefinitionFile { path: path.clone(), present });
            for step in self.files.way(path) {
                if !self.definition_files.iter().any(|file| file.path == step) {
                    self.definition_files.push(DefinitionFile { path: step, present });
                }
            }
        }
        content
    }

    /// Parses the documents of a compose file and reports its problems; `None` if the tree lacks it.
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
            let help =
                "bring its content back: it may have been lost; write `services: {}` if nothing is to run";
            self.error_with(at, "the compose file is empty", help);
        }
        let documents: Rc<[Node]> = Rc::from(documents);
        self.parsed.insert(source, Rc::clone(&documents));
        (source, Some(documents))
    }

    /// The path that a text with an unknown variable may mean, because an unnecessary restart is better than
    /// a missing one. For `./conf/${X}` it is `./conf`, for `${X}/conf/app.yml` a path in the project's
    /// folder that ends like that.
    pub(super) fn possible(&mut self, text: &Text, at: Mark) -> Option<RootPath> {
        if text.unknown.is_empty() {
            return None;
        }
        let (before, rest) = text.text.split_once("${")?;
        if before.starts_with(['.', '/']) {
            let (folder, _) = before.rsplit_once('/')?;
            return match self.resolve(&Text::quoted(folder), at) {
                ResolvedPath::Tree(path) if !path.is_root() => Some(path),
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

    /// Resolves the path at `at`.
    pub(super) fn resolve(&mut self, text: &Text, at: Mark) -> ResolvedPath {
        let path = &*text.text;
        let is_drive = matches!(path.as_bytes(), [b'a'..=b'z' | b'A'..=b'Z', b':', b'/' | b'\\', ..]);
        if !text.unknown.is_empty() || path.starts_with('~') || is_drive {
            return ResolvedPath::Host(path.to_owned());
        }
        if path.starts_with('/') {
            let clean = clean_absolute(path);
            let below = match clean.strip_prefix(self.root) {
                Some("") => Some(""),
                Some(below) => below.strip_prefix('/'),
                None => None,
            };
            return match below.map(RootPath::new) {
                Some(Ok(path)) => ResolvedPath::Tree(path),
                _ => ResolvedPath::Host(path.to_owned()),
            };
        }
        let base = self.sources.get(at.source as usize).map(|source| source.base.clone());
        match base.unwrap_or_default().join(path) {
            Ok(path) => ResolvedPath::Tree(path),
            Err(PathError::AboveRoot(_)) => {
                let at = self.location(at);
                let message = "a relative path leads above the folder that holds the projects";
                let help = match self.files.widened() {
                    Some(pattern) => format!(
                        "write `services: \"{pattern}\"` in ghdeploy.yml, and set the host's `root` to the folder that holds the first of these folders there: then what lies beside it has its place on the host, too; or write the absolute path on the host"
                    ),
                    None => {
                        "write the absolute path on the host, or move the file into the repository".to_owned()
                    }
                };
                self.note(Diagnostic::error(message, Some(at)).help(help));
                ResolvedPath::Invalid
            }
            Err(_) => {
                self.error(at, "a path holds a NUL byte");
                ResolvedPath::Invalid
            }
        }
    }
}

/// Resolves `.` and `..` in an absolute path by text, like Go's `filepath.Clean`.
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
