//! Loads the compose files of a project into one model.
//!
//! Owns the order of things, which is Compose's: substitute variables, bring services into long
//! form, apply `extends`, then `include`, then merge over the files before.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::canonical;
use super::context::{Context, Place};
use super::dotenv;
use super::keys;
use super::merge;
use super::variables::{self, Variables};
use super::yaml::{Entry, Map, Mark, Node, Tag, Text, Value};
use crate::path::RootPath;

/// Longest chain of `extends` or of `include`.
const MAX_CHAIN: usize = 100;

/// A project's files merged into one.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// `services:` by name.
    pub(super) services: BTreeMap<Rc<str>, Definition>,
    /// `networks:` by name.
    pub(super) networks: Map,
    /// `volumes:` by name.
    pub(super) volumes: Map,
    /// `configs:` by name.
    pub(super) configs: Map,
    /// `secrets:` by name.
    pub(super) secrets: Map,
    /// The top-level `x-ghdeploy`.
    pub(super) settings: Option<Node>,
}

/// A service in long form.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    /// Where its key stands in the file that names it last.
    pub(super) at: Mark,
    /// Every place that contributes: its own first, then what it extends.
    pub(super) places: Vec<Mark>,
    /// The attributes.
    pub(super) body: Map,
    tag: Tag,
}

type Services = BTreeMap<Rc<str>, Definition>;

/// Loads files one over the other.
pub(super) struct Loader<'c, 'a> {
    context: &'c mut Context<'a>,
    variables: Rc<Variables>,
    /// Services of extended files, in long form, before their own `extends`.
    extended: BTreeMap<u32, Rc<Services>>,
}

impl<'c, 'a> Loader<'c, 'a> {
    /// A loader that substitutes these variables.
    pub(super) fn new(context: &'c mut Context<'a>, variables: Rc<Variables>) -> Self {
        Self { context, variables, extended: BTreeMap::new() }
    }

    /// Merges `files` in their order. Relative paths in them start from `base`; `named_at` says
    /// who wants them, `chain` which files include them.
    pub(super) fn load(
        &mut self,
        files: &[RootPath],
        base: &RootPath,
        named_at: Option<Mark>,
        chain: &[RootPath],
    ) -> Model {
        let mut model = Model::default();
        for file in files {
            let (source, documents) = self.context.documents(file, base);
            let Some(documents) = documents else {
                let at = named_at.unwrap_or(Mark { source, line: 1, column: 1 });
                let shown = self.context.files.shown(file);
                self.context.error(at, format!("there is no file {shown}"));
                continue;
            };
            for document in documents.iter() {
                if !self.context.pay(document.size(), document.at) {
                    return model;
                }
                let read = self.document(document, source, file, base, chain);
                self.merge(&mut model, read);
            }
        }
        model
    }

    fn merge(&mut self, model: &mut Model, over: Model) {
        for (name, over) in over.services {
            match model.services.remove(&name) {
                _ if over.tag == Tag::Reset => {}
                Some(mut base) if over.tag == Tag::None => {
                    let body = merge::service(self.context, base.body, over.body);
                    base.places.extend(over.places);
                    let merged = Definition { at: over.at, places: base.places, body, tag: Tag::None };
                    model.services.insert(name, merged);
                }
                _ => {
                    model.services.insert(name, Definition { tag: Tag::None, ..over });
                }
            }
        }
        let pairs = [
            (&mut model.networks, over.networks),
            (&mut model.volumes, over.volumes),
            (&mut model.configs, over.configs),
            (&mut model.secrets, over.secrets),
        ];
        for (base, over) in pairs {
            *base = merge::resources(self.context, std::mem::take(base), over);
        }
        model.settings = over.settings.or(model.settings.take());
    }

    fn document(
        &mut self,
        document: &Node,
        source: u32,
        file: &RootPath,
        base: &RootPath,
        chain: &[RootPath],
    ) -> Model {
        let node = interpolate(self.context, document, &self.variables);
        let at = node.at;
        let Value::Map(mut top) = node.value else {
            self.context.error(at, format!("a compose file must be a mapping, not {}", node.kind()));
            return Model::default();
        };
        keys::check(self.context, &top, keys::TOP, "the project");
        let services = self.services(top.remove("services"));
        let mut model =
            Model { settings: top.remove("x-ghdeploy").map(|entry| entry.node), ..Model::default() };
        model.networks = self.resources("network", top.remove("networks"));
        model.volumes = self.resources("volume", top.remove("volumes"));
        model.configs = self.resources("config", top.remove("configs"));
        model.secrets = self.resources("secret", top.remove("secrets"));
        let mut done = Services::new();
        for name in services.keys() {
            let mut links = vec![(source, Rc::clone(name))];
            if let Some(definition) = self.extend(source, &services, name, &mut done, &mut links) {
                model.services.insert(Rc::clone(name), definition);
            }
        }
        if let Some(include) = top.remove("include") {
            let mut chain = chain.to_vec();
            chain.push(file.clone());
            self.includes(&mut model, include.node, base, &chain);
        }
        model
    }

    fn services(&mut self, entry: Option<Entry>) -> Services {
        let mut services = Services::new();
        let Some(entry) = entry else { return services };
        let map = match entry.node.value {
            Value::Map(map) => map,
            Value::Null => return services,
            _ => {
                let kind = entry.node.kind();
                self.context.error(entry.node.at, format!("`services` must be a mapping, not {kind}"));
                return services;
            }
        };
        for (name, Entry { at, node }) in map {
            if name.starts_with("x-") {
                continue;
            }
            if name.contains(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
                self.context
                    .error(at, "the name of a service may hold only letters, digits, `.`, `_` and `-`");
                continue;
            }
            let tag = node.tag;
            let body = match tag {
                Tag::Reset => Some(Map::new()),
                _ => canonical::service(self.context, &name, node),
            };
            if let Some(body) = body {
                services.insert(name, Definition { at, places: vec![at], body, tag });
            }
        }
        services
    }

    fn resources(&mut self, kind: &str, entry: Option<Entry>) -> Map {
        let Some(entry) = entry else { return Map::new() };
        match entry.node.value {
            Value::Map(map) => map
                .into_iter()
                .filter(|(name, _)| !name.starts_with("x-"))
                .map(|(name, Entry { at, node })| {
                    let node = match node.tag {
                        Tag::Reset => node,
                        _ => canonical::resource(self.context, kind, &name, node),
                    };
                    (name, Entry { at, node })
                })
                .collect(),
            Value::Null => Map::new(),
            _ => {
                let kind_found = entry.node.kind();
                self.context.error(entry.node.at, format!("`{kind}s` must be a mapping, not {kind_found}"));
                Map::new()
            }
        }
    }

    /// The service with everything it extends merged below it.
    fn extend(
        &mut self,
        source: u32,
        services: &Services,
        name: &str,
        done: &mut Services,
        links: &mut Vec<(u32, Rc<str>)>,
    ) -> Option<Definition> {
        if let Some(definition) = done.get(name) {
            return Some(definition.clone());
        }
        let mut definition = services.get(name)?.clone();
        let Some(extends) = definition.body.remove("extends") else {
            if !self.context.pay(definition.body.len(), definition.at) {
                return None;
            }
            done.insert(Rc::from(name), definition.clone());
            return Some(definition);
        };
        let node = extends.node;
        if node.tag == Tag::Reset || matches!(node.value, Value::Null) {
            return Some(definition);
        }
        let (wanted, file) = match &node.value {
            Value::Text(text) => (Some(Rc::clone(&text.text)), None),
            Value::Map(map) => {
                let service = map.get("service").and_then(|entry| match &entry.node.value {
                    Value::Text(text) => Some(Rc::clone(&text.text)),
                    _ => None,
                });
                (service, map.get("file").map(|entry| entry.node.clone()))
            }
            Value::Null | Value::List(_) => (None, None),
        };
        let Some(wanted) = wanted else {
            self.context.error(node.at, format!("service `{name}`: `extends` needs the name of a service"));
            return Some(definition);
        };
        let base = match file {
            None if !services.contains_key(&wanted) => {
                self.context.error(
                    node.at,
                    format!("service `{name}` extends `{wanted}`, which is not in this file"),
                );
                None
            }
            None => {
                self.link(source, &wanted, node.at, links)?;
                let base = self.extend(source, services, &wanted, done, links);
                links.pop();
                base
            }
            Some(file) => self.extend_from_file(name, &wanted, &file, links),
        };
        let Some(base) = base else { return Some(definition) };
        let size: usize = base.body.values().map(|entry| entry.node.size()).sum();
        if !self.context.pay(size, definition.at) {
            return None;
        }
        definition.places.extend(base.places);
        definition.body = merge::extended(self.context, base.body, definition.body);
        if links.first().is_some_and(|(first, _)| *first == source) {
            done.insert(Rc::from(name), definition.clone());
        }
        Some(definition)
    }

    fn extend_from_file(
        &mut self,
        name: &str,
        wanted: &Rc<str>,
        file: &Node,
        links: &mut Vec<(u32, Rc<str>)>,
    ) -> Option<Definition> {
        let path = self.file_named(file, &format!("service `{name}`: `extends.file`"))?;
        let base = path.parent().unwrap_or_default();
        let (source, documents) = self.context.documents(&path, &base);
        let Some(documents) = documents else {
            let shown = self.context.files.shown(&path);
            self.context
                .error(file.at, format!("service `{name}` extends a file that does not exist: {shown}"));
            return None;
        };
        let services = match self.extended.get(&source) {
            Some(services) => Rc::clone(services),
            None => {
                let mut services = Services::new();
                for document in documents.iter() {
                    if !self.context.pay(document.size(), document.at) {
                        return None;
                    }
                    let node = interpolate(self.context, document, &self.variables);
                    if let Value::Map(mut top) = node.value {
                        services.extend(self.services(top.remove("services")));
                    }
                }
                let services = Rc::new(services);
                self.extended.insert(source, Rc::clone(&services));
                services
            }
        };
        if !services.contains_key(wanted) {
            let shown = self.context.files.shown(&path);
            self.context
                .error(file.at, format!("service `{name}` extends `{wanted}`, which is not in {shown}"));
            return None;
        }
        self.link(source, wanted, file.at, links)?;
        let found = self.extend(source, &services, wanted, &mut Services::new(), links);
        links.pop();
        found
    }

    /// Adds a link to a chain of `extends`, unless it closes a circle.
    fn link(
        &mut self,
        source: u32,
        service: &Rc<str>,
        at: Mark,
        links: &mut Vec<(u32, Rc<str>)>,
    ) -> Option<()> {
        let link = (source, Rc::clone(service));
        if links.contains(&link) {
            links.push(link);
            let name = |(source, service): &(u32, Rc<str>)| {
                let file = self.context.location(Mark { source: *source, line: 1, column: 1 }).path;
                format!("`{service}` in {file}")
            };
            let chain: Vec<String> = links.iter().map(name).collect();
            self.context
                .error(at, format!("services extend each other in a circle: {}", chain.join(" extends ")));
            return None;
        }
        if links.len() >= MAX_CHAIN {
            self.context.error(at, format!("a chain of more than {MAX_CHAIN} `extends`"));
            return None;
        }
        links.push(link);
        Some(())
    }

    fn file_named(&mut self, node: &Node, what: &str) -> Option<RootPath> {
        let Value::Text(text) = &node.value else {
            self.context.error(node.at, format!("{what} must be the path of a file"));
            return None;
        };
        if is_remote(&text.text) {
            self.context.warning(node.at, format!("{what} is remote: what it says is not known here"));
            return None;
        }
        match self.context.resolve(text, node.at) {
            Place::Tree(path) => Some(path),
            Place::Host(_) => {
                self.context.error(node.at, format!("{what} leads to a file that only the host has"));
                None
            }
            Place::Invalid => None,
        }
    }

    fn includes(&mut self, model: &mut Model, include: Node, base: &RootPath, chain: &[RootPath]) {
        let at = include.at;
        let Value::List(items) = include.value else {
            self.context.error(at, "`include` must be a list");
            return;
        };
        for item in items {
            let (paths, directory, env_files) = match &item.value {
                Value::Text(_) => (vec![item.clone()], None, Vec::new()),
                Value::Map(map) => {
                    let get = |key: &str| map.get(key).map(|entry| entry.node.clone());
                    (texts(get("path")), get("project_directory"), texts(get("env_file")))
                }
                _ => (Vec::new(), None, Vec::new()),
            };
            if paths.is_empty() {
                self.context.error(item.at, "an `include` needs a path");
                continue;
            }
            let files: Vec<RootPath> =
                paths.iter().filter_map(|path| self.file_named(path, "`include`")).collect();
            let Some(first) = files.first().filter(|_| files.len() == paths.len()) else { continue };
            if let Some(start) = chain.iter().position(|file| file == first) {
                let shown = |file: &RootPath| self.context.files.shown(file);
                let mut circle: Vec<String> = chain[start..].iter().map(shown).collect();
                circle.push(shown(first));
                self.context.error(
                    item.at,
                    format!("files include each other in a circle: {}", circle.join(" includes ")),
                );
                continue;
            }
            if chain.len() >= MAX_CHAIN {
                self.context.error(item.at, format!("a chain of more than {MAX_CHAIN} `include`"));
                continue;
            }
            let directory = match directory {
                Some(node) => match self.file_named(&node, "`project_directory`") {
                    Some(path) => path,
                    None => continue,
                },
                None => first.parent().unwrap_or_default(),
            };
            let variables = self.included_variables(&env_files, &directory, base);
            let mut loader = Loader::new(self.context, variables);
            let included = loader.load(&files, &directory, Some(item.at), chain);
            self.import(model, included, item.at);
        }
    }

    /// The variables for included files: those of the includer win over the files' own.
    fn included_variables(
        &mut self,
        env_files: &[Node],
        directory: &RootPath,
        _base: &RootPath,
    ) -> Rc<Variables> {
        let mut variables = (*self.variables).clone();
        let mut paths = Vec::new();
        for node in env_files {
            paths.extend(self.file_named(node, "`include.env_file`"));
        }
        if env_files.is_empty() {
            paths.extend(directory.join(".env"));
        }
        let own = read_env_files(self.context, &paths, &variables);
        variables.fill(&own);
        Rc::new(variables)
    }

    fn import(&mut self, model: &mut Model, from: Model, at: Mark) {
        for (name, definition) in from.services {
            match model.services.get(&name) {
                Some(known) if !merge::same_map(&known.body, &definition.body) => {
                    self.context
                        .error(at, format!("included service `{name}` conflicts with another of that name"));
                }
                Some(_) => {}
                None => {
                    model.services.insert(name, definition);
                }
            }
        }
        let pairs = [
            ("network", &mut model.networks, from.networks),
            ("volume", &mut model.volumes, from.volumes),
            ("config", &mut model.configs, from.configs),
            ("secret", &mut model.secrets, from.secrets),
        ];
        for (kind, own, from) in pairs {
            for (name, entry) in from {
                match own.get(&name) {
                    Some(known) if !merge::same(&known.node, &entry.node) => {
                        self.context.error(
                            at,
                            format!("included {kind} `{name}` conflicts with another of that name"),
                        );
                    }
                    Some(_) => {}
                    None => {
                        own.insert(name, entry);
                    }
                }
            }
        }
    }
}

/// Reads env files one over the other; `environment` wins in what they substitute.
pub(super) fn read_env_files(
    context: &mut Context<'_>,
    paths: &[RootPath],
    environment: &Variables,
) -> Variables {
    let mut all = Variables::default();
    for path in paths {
        let source = context.source(path, &RootPath::root());
        match context.read(path) {
            Ok(Some(bytes)) => {
                let mut known = environment.clone();
                known.fill(&all);
                match dotenv::parse(&bytes, &known) {
                    Ok(read) => {
                        for (name, value) in read.variables.iter() {
                            all.set(name, value.clone());
                        }
                    }
                    Err(problem) => {
                        let at = Mark { source, line: problem.line as u32, column: 1 };
                        context.error(at, problem.message);
                    }
                }
            }
            Ok(None) => {}
            Err(message) => context.error(Mark { source, line: 1, column: 1 }, message),
        }
    }
    all
}

/// The items of a scalar or a list.
fn texts(node: Option<Node>) -> Vec<Node> {
    match node {
        None => Vec::new(),
        Some(Node { value: Value::List(items), .. }) => items,
        Some(Node { value: Value::Null, .. }) => Vec::new(),
        Some(node) => vec![node],
    }
}

/// Whether a reference names something that is fetched.
pub(super) fn is_remote(text: &str) -> bool {
    text.contains("://")
        || text.starts_with("git@")
        || text.starts_with("github.com/")
        || text.starts_with("oci:")
}

/// Substitutes variables in every scalar.
pub(super) fn interpolate(context: &mut Context<'_>, node: &Node, variables: &Variables) -> Node {
    let value = match &node.value {
        Value::Null => Value::Null,
        Value::Text(text) if text.text.contains('$') => {
            Value::Text(substituted(context, node.at, text, variables))
        }
        Value::Text(text) => Value::Text(text.clone()),
        Value::List(items) => {
            Value::List(items.iter().map(|item| interpolate(context, item, variables)).collect())
        }
        Value::Map(map) => {
            let entry = |(key, entry): (&Rc<str>, &Entry)| {
                let node = interpolate(context, &entry.node, variables);
                (Rc::clone(key), Entry { at: entry.at, node })
            };
            Value::Map(map.iter().map(entry).collect())
        }
    };
    Node { at: node.at, tag: node.tag, value }
}

fn substituted(context: &mut Context<'_>, at: Mark, text: &Text, variables: &Variables) -> Text {
    match variables::substitute(&text.text, &|name| variables.get(name)) {
        // What variables expand to counts as nodes of 64 bytes.
        Ok(value) if context.pay(value.text.len() / 64, at) => {
            Text { text: Rc::from(value.text), plain: false, unknown: value.unknown.into_iter().collect() }
        }
        Ok(_) => Text::quoted(""),
        Err(problem) => {
            context.error(at, problem.to_string());
            text.clone()
        }
    }
}
