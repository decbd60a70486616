//! Reads the env files and label files of a service.
//!
//! Owns their precedence: a later file wins over an earlier one, and the service's own keys win over all
//! files.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::dotenv;
use super::model::{HostVariables, ReadMethod};
use super::scalar;
use super::service::ServiceReader;
use super::variables::{Variable, Variables};
use super::yaml::{Mark, Node, Text, Value, text_size};
use crate::base::path::RootPath;

/// File with assignments that a service names.
struct AssignmentFile {
    text: Text,
    at: Mark,
    required: bool,
    /// Whether values are literal: quotes and variables have no meaning.
    is_raw: bool,
}

impl ServiceReader<'_, '_, '_> {
    /// Adds the environment of the container to the digest.
    pub(super) fn environment(&mut self) {
        let mut values: BTreeMap<Rc<str>, Option<String>> = BTreeMap::new();
        let mut known = Variables::default();
        for file in self.files_of("env_file") {
            let Some(path) = self.read(&file.text, file.at, ReadMethod::EnvFile, None, file.required) else {
                self.digest.add(&file.text.text);
                continue;
            };
            match self.assignments(&path, &file, &known) {
                Some(read) => {
                    for (name, value) in read.iter() {
                        self.unknown.extend(value.unknown.iter().cloned());
                        known.set(name, value.clone());
                        values.insert(Rc::from(name), Some(value.text.clone()));
                    }
                }
                // Only the host has it, so only a change of its path is noticed.
                None if file.required => {
                    self.digest.add("absent");
                    self.digest.add(path.as_str());
                }
                None => {}
            }
        }
        for (name, entry) in self.set("environment").and_then(Node::as_map).into_iter().flatten() {
            let value = match &entry.node.value {
                Value::Text(text) => Some(text.text.to_string()),
                _ => match self.shared.variables.get(name) {
                    Some(value) if !self.context.pay(text_size(&value.text), entry.at) => break,
                    value => value.map(|value| value.text.clone()),
                },
            };
            if value.is_none() {
                // A name without a value passes on what the host's `.env` has.
                self.asks(HostVariables::Definition);
            }
            // A name without a value does not hide the value of an env file.
            if value.is_some() || !values.contains_key(name) {
                values.insert(Rc::clone(name), value);
            }
        }
        self.digest.add("environment");
        for (name, value) in values {
            self.digest.add(&name);
            self.digest.add(if value.is_some() { "=" } else { "" });
            self.digest.add(value.as_deref().unwrap_or(""));
        }
    }

    /// Adds the labels of the container to the digest.
    pub(super) fn labels(&mut self) {
        let mut values: BTreeMap<Rc<str>, String> = BTreeMap::new();
        for file in self.files_of("label_file") {
            let Some(path) = self.read(&file.text, file.at, ReadMethod::LabelFile, None, true) else {
                continue;
            };
            match self.assignments(&path, &file, &Variables::default()) {
                Some(read) => {
                    for (name, value) in read.iter() {
                        self.unknown.extend(value.unknown.iter().cloned());
                        values.insert(Rc::from(name), value.text.clone());
                    }
                }
                None => {
                    self.digest.add("absent");
                    self.digest.add(path.as_str());
                }
            }
        }
        for (name, entry) in self.set("labels").and_then(Node::as_map).into_iter().flatten() {
            values.insert(Rc::clone(name), entry.node.as_str().unwrap_or("").to_owned());
        }
        self.digest.add("labels");
        for (name, value) in values {
            self.digest.add(&name);
            self.digest.add(&value);
        }
    }

    fn files_of(&self, key: &str) -> Vec<AssignmentFile> {
        let mut files = Vec::new();
        for item in self.items(key) {
            let path = item.get("path").unwrap_or(item);
            if let Value::Text(text) = &path.value {
                let required = item.get("required").and_then(Node::as_str).and_then(scalar::boolean);
                let is_raw = item.get("format").and_then(Node::as_str) == Some("raw");
                let required = required.unwrap_or(true);
                files.push(AssignmentFile { text: text.clone(), at: path.at, required, is_raw });
            }
        }
        files
    }

    /// The variables of a file; `None` if the tree lacks it. Its problems are reported. A file that uses no
    /// variable of the files before it is read once for all services.
    fn assignments(
        &mut self,
        path: &RootPath,
        file: &AssignmentFile,
        known: &Variables,
    ) -> Option<Rc<Variables>> {
        let read = self.assignments_of(path, file, known);
        if self.shared.asking_files.contains(path) {
            self.asks(HostVariables::Definition);
        }
        read
    }

    fn assignments_of(
        &mut self,
        path: &RootPath,
        file: &AssignmentFile,
        known: &Variables,
    ) -> Option<Rc<Variables>> {
        let is_shared = known.is_empty() && !file.is_raw;
        if let Some(read) = self.shared.env_files.get(path).filter(|_| is_shared) {
            let read = Rc::clone(read);
            let is_paid = self.context.pay(read.size(), file.at);
            return Some(if is_paid { read } else { Rc::default() });
        }
        let bytes = match self.context.files.read(path) {
            Ok(bytes) => bytes?,
            Err(message) => {
                self.context.error(file.at, message);
                return Some(Rc::default());
            }
        };
        if !self.context.pay(dotenv::size(&bytes), file.at) {
            return Some(Rc::default());
        }
        let read = if file.is_raw {
            raw(&bytes, self.shared.variables)
        } else {
            match dotenv::parse(&bytes, &[self.shared.variables, known]) {
                Ok(read) => {
                    if bytes.contains(&b'$') || !read.inherited.is_empty() {
                        self.shared.asking_files.insert(path.clone());
                    }
                    read.variables
                }
                Err(problem) => {
                    let base = path.parent().unwrap_or_default();
                    let source = self.context.source(path, &base);
                    let at = Mark { source, line: problem.line as u32, column: 1 };
                    self.context.error(at, problem.message);
                    Variables::default()
                }
            }
        };
        if !self.context.pay(read.size(), file.at) {
            return Some(Rc::default());
        }
        let read = Rc::new(read);
        if is_shared {
            self.shared.env_files.insert(path.clone(), Rc::clone(&read));
        }
        Some(read)
    }
}

/// Returns the lines `NAME=value` of a file with literal values. A name alone passes on what is `outside`.
fn raw(bytes: &[u8], outside: &Variables) -> Variables {
    let mut variables = Variables::default();
    let text = String::from_utf8_lossy(bytes);
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim_start);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.split_once('=') {
            Some((name, value)) => {
                variables.set(name, Variable { text: value.to_owned(), ..Variable::default() });
            }
            None => {
                if let Some(value) = outside.get(line) {
                    variables.set(line, value.clone());
                }
            }
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::fake::{FakeTree, messages};
    use super::super::{Files, NodeKind, load};
    use super::RootPath;

    /// Tree that counts how often its env file is read.
    struct CountedTree(FakeTree, AtomicUsize);

    impl Files for CountedTree {
        fn kind(&self, path: &RootPath) -> Option<NodeKind> {
            self.0.kind(path)
        }

        fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
            if path.as_str().ends_with("/a.env") {
                self.1.fetch_add(1, Ordering::Relaxed);
            }
            self.0.read(path)
        }

        fn shown(&self, path: &RootPath) -> String {
            self.0.shown(path)
        }
    }

    #[test]
    fn a_raw_env_file_is_taken_literally() {
        let definition = |format: &str, env: &str| {
            let compose = format!("services: {{web: {{image: x, env_file: [{{path: a.env{format}}}]}}}}");
            let files = [("blog/compose.yml", &*compose), ("blog/a.env", env), ("blog/.env", "OUT=1")];
            let project = FakeTree::new(&files).load();
            assert_eq!(messages(&project), Vec::<String>::new());
            project.services["web"].definition.clone()
        };
        let raw = |env: &str| definition(", format: raw", env);
        assert_ne!(raw("A='$OUT'"), definition("", "A='$OUT'"));
        assert_eq!(raw("\u{feff}# note\n\n  A=1 # 2\r\nOUT\nGONE\n"), raw("OUT=1\nA=1 # 2"));
        assert_ne!(raw("A='1'"), raw("A=1"));
    }

    #[test]
    fn an_env_file_is_read_once_for_all_services() {
        let services = ["a", "b", "c"].map(|name| format!("{name}: {{image: x, env_file: a.env}}"));
        let compose = format!("services: {{{}}}", services.join(", "));
        let tree = FakeTree::new(&[("blog/compose.yml", &compose), ("blog/a.env", "A=1")]);
        let tree = CountedTree(tree, AtomicUsize::new(0));
        let project = load(&tree, &RootPath::new("blog").unwrap(), "/srv/services");
        assert_eq!(messages(&project), Vec::<String>::new());
        assert_eq!(tree.1.into_inner(), 1);
    }
}
