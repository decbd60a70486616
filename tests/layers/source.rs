//! Reads the sources of the program: its modules, and the imports of each.
//!
//! Comments, literals and code that is compiled for tests only are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Number of re-exports that are followed for one path.
const MAX_REEXPORTS: usize = 8;

/// The source files of a crate by module: `""` is lib.rs, `compose` is compose/mod.rs.
#[derive(Default)]
pub(crate) struct Sources(BTreeMap<String, Source>);

/// Imports, paths and method calls of one file.
#[derive(Default)]
struct Source {
    /// The names that a `use` brings in, each with the whole path.
    imports: BTreeMap<String, String>,
    /// Every path, relative ones from `crate` on. The first name may be one of `imports`.
    paths: BTreeSet<String>,
    /// The names of methods that are called.
    methods: BTreeSet<String>,
    /// The files that are compiled for tests only.
    test_modules: Vec<String>,
}

impl Sources {
    /// The sources below `src`.
    pub(crate) fn read(src: &Path) -> Self {
        let mut files: Vec<PathBuf> = Vec::new();
        let mut dirs = vec![src.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    files.push(path);
                }
            }
        }
        let module = |file: &Path| {
            let path = file.strip_prefix(src).unwrap().with_extension("");
            let path = path.to_string_lossy().replace('/', "::");
            if path == "lib" { String::new() } else { path.strip_suffix("::mod").unwrap_or(&path).to_owned() }
        };
        Self::of(files.iter().map(|file| (module(file), fs::read_to_string(file).unwrap())))
    }

    /// Sources from texts by module.
    pub(crate) fn of(texts: impl IntoIterator<Item = (String, String)>) -> Self {
        let read = |(module, text): (String, String)| {
            let stream: TokenStream = text.parse().unwrap_or_else(|err| panic!("{module}: {err}"));
            let mut source = Source::default();
            source.read(&module, stream);
            (module, source)
        };
        let mut sources: BTreeMap<String, Source> = texts.into_iter().map(read).collect();
        let for_tests: Vec<String> =
            sources.values().flat_map(|source| source.test_modules.iter().cloned()).collect();
        sources.retain(|module, _| !for_tests.iter().any(|test| within(module, test)));
        Self(sources)
    }

    /// The modules that are files.
    pub(crate) fn modules(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The paths into other crates that a module names.
    pub(crate) fn external(&self, module: &str) -> BTreeSet<String> {
        let paths = self.paths(module).into_iter();
        paths.filter(|path| !within(path, "crate")).collect()
    }

    /// The methods that a module calls.
    pub(crate) fn methods(&self, module: &str) -> impl Iterator<Item = &str> {
        self.0[module].methods.iter().map(String::as_str)
    }

    /// The modules that a module imports, including those that only re-export a name.
    pub(crate) fn imports(&self, module: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for path in self.paths(module) {
            self.follow(&path, MAX_REEXPORTS, &mut found);
        }
        found.remove(module);
        found
    }

    /// The paths of a module, from `crate` or the name of another crate on.
    fn paths(&self, module: &str) -> BTreeSet<String> {
        let paths = self.0[module].paths.iter();
        // Twice: a `use` may start at a name that another one brings in.
        paths.map(|path| self.whole(module, &self.whole(module, path))).collect()
    }

    /// A path of a module with its first name resolved, if that is an import or a child module.
    fn whole(&self, module: &str, path: &str) -> String {
        let (first, rest) = path.split_once("::").unwrap_or((path, ""));
        let child = join(module, first);
        let start = match self.0[module].imports.get(first) {
            Some(import) if import != path => import.clone(),
            None if self.0.contains_key(&child) => join("crate", &child),
            _ => return path.to_owned(),
        };
        if rest.is_empty() { start } else { join(&start, rest) }
    }

    /// Adds the modules that a path leads through: the longest one that is a file, and those from which that
    /// file imports the rest of the path.
    fn follow<'s>(&'s self, path: &str, reexports: usize, found: &mut BTreeSet<&'s str>) {
        let Some(rest) = path.strip_prefix("crate::") else { return };
        let mut module = String::new();
        let mut names = rest.split("::").peekable();
        while let Some(child) =
            names.peek().map(|name| join(&module, name)).filter(|m| self.0.contains_key(m))
        {
            module = child;
            names.next();
        }
        let Some((module, source)) = self.0.get_key_value(&module) else { return };
        found.insert(module);
        let Some(import) = names.next().and_then(|name| source.imports.get(name)) else { return };
        if reexports > 0 {
            let path = std::iter::once(import.as_str()).chain(names).collect::<Vec<_>>().join("::");
            self.follow(&self.whole(module, &path), reexports - 1, found);
        }
    }
}

impl Source {
    /// Reads the tokens of a module, and of the modules that are written in it.
    fn read(&mut self, module: &str, stream: TokenStream) {
        let mut tokens = Vec::new();
        self.flatten(module, stream, &mut tokens);
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let before = |back: usize| at.checked_sub(back).map_or("", |at| tokens[at].as_str());
            if token == "use" {
                at = self.path(module, &tokens, at + 1, "", true);
            } else if token == "mod" {
                at += 2;
            } else if is_word(token) && (before(1) != "::" || !(is_word(before(2)) || before(2) == ">")) {
                if before(1) == "." && tokens.get(at + 1).is_some_and(|next| next == "(") {
                    self.methods.insert(token.clone());
                }
                at = self.path(module, &tokens, at, "", false);
            } else {
                at += 1;
            }
        }
    }

    /// Lists the words and marks of a stream, without code that is compiled for tests only.
    fn flatten(&mut self, module: &str, stream: TokenStream, tokens: &mut Vec<String>) {
        let mut is_test = false;
        let mut item: Vec<String> = Vec::new();
        for tree in stream {
            let ends_item = match &tree {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                TokenTree::Punct(mark) => mark.as_char() == ';',
                _ => false,
            };
            if is_test {
                item.push(tree.to_string());
                if ends_item {
                    is_test = false;
                    if let [.., is_module, name, end] = &item[..]
                        && (is_module.as_str(), end.as_str()) == ("mod", ";")
                    {
                        self.test_modules.push(join(module, name));
                    }
                    item.clear();
                }
                continue;
            }
            match tree {
                TokenTree::Group(group) if is_cfg_test(tokens, group.stream()) => is_test = true,
                TokenTree::Group(group) => match &tokens[..] {
                    [.., is_module, name] if is_module == "mod" && group.delimiter() == Delimiter::Brace => {
                        self.read(&join(module, name), group.stream());
                    }
                    _ => {
                        let (open, close) = match group.delimiter() {
                            Delimiter::Parenthesis => ("(", ")"),
                            Delimiter::Brace => ("{", "}"),
                            Delimiter::Bracket => ("[", "]"),
                            Delimiter::None => ("", ""),
                        };
                        tokens.push(open.to_owned());
                        self.flatten(module, group.stream(), tokens);
                        tokens.push(close.to_owned());
                    }
                },
                TokenTree::Ident(word) => tokens.push(word.to_string()),
                TokenTree::Punct(mark)
                    if mark.as_char() == ':' && tokens.last().is_some_and(|last| last == ":") =>
                {
                    tokens.pop();
                    tokens.push("::".to_owned());
                }
                TokenTree::Punct(mark) => tokens.push(mark.to_string()),
                TokenTree::Literal(_) => tokens.push("\"\"".to_owned()),
            }
        }
    }

    /// Reads one path, or the list of paths of a `use`, from `at` on; returns what follows it.
    fn path(&mut self, module: &str, tokens: &[String], mut at: usize, prefix: &str, is_use: bool) -> usize {
        let token = |at: usize| tokens.get(at).map_or("", String::as_str);
        let mut path = prefix.to_owned();
        if token(at) == "::" {
            at += 1;
        }
        loop {
            match token(at) {
                "{" if is_use => {
                    at += 1;
                    while at < tokens.len() && token(at) != "}" {
                        at = if token(at) == "," {
                            at + 1
                        } else {
                            self.path(module, tokens, at, &path, true)
                        };
                    }
                    return at + 1;
                }
                "*" if is_use => {
                    self.paths.insert(format!("{}::*", absolute(module, &path)));
                    return at + 1;
                }
                "self" if !path.is_empty() => {}
                word if is_word(word) => path = join(&path, word),
                _ => return at + 1,
            }
            at += 1;
            if token(at) != "::" || !(is_word(token(at + 1)) || is_use && matches!(token(at + 1), "{" | "*"))
            {
                break;
            }
            at += 1;
        }
        if matches!(path.as_str(), "crate" | "super" | "self") {
            return at; // of `pub(super)`, or the value
        }
        let path = absolute(module, &path);
        if is_use {
            let mut name = path.rsplit("::").next().unwrap_or_default();
            if token(at) == "as" {
                name = token(at + 1);
                at += 2;
            }
            self.imports.insert(name.to_owned(), path.clone());
        }
        self.paths.insert(path);
        at
    }
}

/// Whether a group closes `#[cfg(test)]`.
fn is_cfg_test(before: &[String], group: TokenStream) -> bool {
    let text: String = group.to_string().split_whitespace().collect();
    before.last().is_some_and(|last| last == "#") && text == "cfg(test)"
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Whether a path is `prefix` or lies below it.
pub(crate) fn within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The path of a name in a module.
fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// Resolves `super` and `self` in a path of a module.
fn absolute(module: &str, path: &str) -> String {
    let mut here: Vec<&str> = module.split("::").filter(|name| !name.is_empty()).collect();
    let mut names = path.split("::").peekable();
    if !matches!(names.peek(), Some(&("self" | "super"))) {
        // main.rs is a crate of its own beside the library.
        let in_library = path.strip_prefix("ghdeploy::").map(|rest| format!("crate::{rest}"));
        return in_library.unwrap_or_else(|| path.to_owned());
    }
    while let Some(name) = names.next_if(|name| matches!(*name, "self" | "super")) {
        if name == "super" {
            here.pop();
        }
    }
    std::iter::once("crate").chain(here).chain(names).collect::<Vec<_>>().join("::")
}
