//! Loads the compose files of a project into one model.
//!
//! Owns the order of the steps, which is that of Compose: substitute variables, bring services into long
//! form, apply `extends`, then `include`, then merge over the files before.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::canonical;
use super::context::{LoadContext, ResolvedPath};
use super::dotenv;
use super::keys;
use super::merge;
use super::shapes;
use super::variables::{self, Variables};
use super::words::ResourceKind;
use super::yaml::{Map, MapEntry, Mark, Node, Tag, Text, Value, text_size};
use crate::base::diagnostic::Diagnostic;
use crate::base::path::RootPath;
use crate::base::secret::has_password_hash;

/// Length of the longest chain of `extends` or of `include`.
pub(super) const MAX_CHAIN: usize = 100;

/// Files of a project merged into one.
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
    /// `models:` by name.
    pub(super) models: Map,
    /// The top-level `x-ghdeploy`.
    pub(super) settings: Option<Node>,
}

/// Service in long form.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    /// Mark of its key in the last file that defines it.
    pub(super) at: Mark,
    /// Marks of all definitions that contribute: its own first, then those that it extends.
    pub(super) places: Vec<Mark>,
    /// The attributes.
    pub(super) body: Map,
    tag: Tag,
}

/// Services by name.
pub(super) type Services = BTreeMap<Rc<str>, Definition>;

/// Loader that merges files one over the other.
pub(super) struct Loader<'c, 'a> {
    /// The state of loading the project.
    pub(super) context: &'c mut LoadContext<'a>,
    /// The variables that are substituted.
    pub(super) variables: Rc<Variables>,
    /// Services of extended files, in long form, before their own `extends`.
    pub(super) extended: BTreeMap<u32, Rc<Services>>,
}

impl<'c, 'a> Loader<'c, 'a> {
    /// Creates a loader that substitutes these variables.
    pub(super) fn new(context: &'c mut LoadContext<'a>, variables: Rc<Variables>) -> Self {
        Self { context, variables, extended: BTreeMap::new() }
    }

    /// Loads and merges `files` in their order. Relative paths in them start from `base`, `named_at` returns
    /// where a file is named, and `chain` holds the files that include them.
    pub(super) fn load(
        &mut self,
        files: &[RootPath],
        base: &RootPath,
        named_at: &dyn Fn(usize) -> Option<Mark>,
        chain: &[RootPath],
    ) -> Model {
        let mut model = Model::default();
        for (index, file) in files.iter().enumerate() {
            let (source, documents) = self.context.documents(file, base);
            let Some(documents) = documents else {
                let at = named_at(index).unwrap_or(Mark { source, line: 1, column: 1 });
                let shown = self.context.quote_file(at, file);
                match self.context.on_host(at) {
                    Some(host) => {
                        let message = format!(
                            "`COMPOSE_FILE` in {host} on the host names {shown}, which is not in the repository"
                        );
                        let help = "bring that file into the repository, or leave it out of `COMPOSE_FILE`";
                        self.context.note(Diagnostic::error(message, None).help(help));
                    }
                    None => self.context.error(at, format!("there is no file {shown}")),
                }
                continue;
            };
            for document in documents.iter() {
                if !self.context.pay(document.size(), document.at) {
                    return model;
                }
                let read = self.document(document, source, file, chain);
                self.merge(&mut model, read);
                let services: Vec<(&[Mark], &Map)> =
                    model.services.values().map(|service| (&*service.places, &service.body)).collect();
                let sections = [
                    ("networks", &model.networks),
                    ("volumes", &model.volumes),
                    ("configs", &model.configs),
                    ("secrets", &model.secrets),
                    ("models", &model.models),
                ];
                shapes::settle(self.context, &services, sections);
            }
        }
        model
    }

    fn merge(&mut self, model: &mut Model, over: Model) {
        for (name, over) in over.services {
            let below = model.services.remove(&name);
            if over.tag == Tag::Reset {
                continue;
            }
            let mut definition = match below.filter(|_| over.tag == Tag::None) {
                Some(mut base) => {
                    let body = merge::service(self.context, base.body, over.body);
                    base.places.extend(over.places);
                    Definition { at: over.at, places: base.places, body, tag: Tag::None }
                }
                None => Definition { tag: Tag::None, ..over },
            };
            merge::clear_tags(&mut definition.body);
            model.services.insert(name, definition);
        }
        let pairs = [
            (&mut model.networks, over.networks),
            (&mut model.volumes, over.volumes),
            (&mut model.configs, over.configs),
            (&mut model.secrets, over.secrets),
            (&mut model.models, over.models),
        ];
        for (base, over) in pairs {
            *base = merge::resources(self.context, std::mem::take(base), over);
            merge::clear_tags(base);
        }
        model.settings = over.settings.or(model.settings.take());
    }

    fn document(&mut self, document: &Node, source: u32, file: &RootPath, chain: &[RootPath]) -> Model {
        let node = interpolate(self.context, document, &self.variables);
        let at = node.at;
        let Value::Map(mut top) = node.value else {
            let message = format!("a compose file must be a mapping, not {}", node.kind());
            self.context.error_with(at, message, "write `services: {}` if nothing is to run");
            return Model::default();
        };
        keys::check(self.context, &top, keys::TOP, "the project");
        top.retain(|key, entry| shapes::check_top(self.context, key, entry));
        let services = self.services(top.remove("services"));
        let mut model =
            Model { settings: top.remove("x-ghdeploy").map(|entry| entry.node), ..Model::default() };
        model.networks = self.resources(ResourceKind::Network, &mut top);
        model.volumes = self.resources(ResourceKind::Volume, &mut top);
        model.configs = self.resources(ResourceKind::Config, &mut top);
        model.secrets = self.resources(ResourceKind::Secret, &mut top);
        model.models = self.resources(ResourceKind::Model, &mut top);
        self.jobs(&mut top);
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
            self.includes(&mut model, include.node, &chain);
        }
        model
    }

    /// Returns the services in long form, before `extends`.
    pub(super) fn services(&mut self, entry: Option<MapEntry>) -> Services {
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
        for (name, MapEntry { at, mut node }) in map {
            if name.contains(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
                self.context
                    .error(at, "the name of a service may hold only letters, digits, `.`, `_` and `-`");
                continue;
            }
            shapes::check(self.context, "service", &format!("service `{name}`"), at, &mut node);
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

    /// Checks jobs, which `up` does not start.
    fn jobs(&mut self, top: &mut Map) {
        let Some(MapEntry { node: Node { value: Value::Map(map), .. }, .. }) = top.remove("jobs") else {
            return;
        };
        for (name, MapEntry { at, mut node }) in map.into_iter().filter(|(name, _)| !name.starts_with("x-")) {
            let owner = format!("job `{name}`");
            shapes::check_job(self.context, &owner, at, &mut node);
            let node = canonical::container(self.context, &owner, node);
            let schedule = node.get("triggers").and_then(|triggers| triggers.get("schedule"));
            let (message, help) = match schedule.and_then(Node::as_list) {
                Some(times) if !times.is_empty() => (
                    format!(
                        "{owner} has a schedule, with which Docker Compose 5.7 refuses to bring the project up"
                    ),
                    "run it by a scheduler of your own, such as cron or a service with a crontab".to_owned(),
                ),
                _ => (
                    format!("{owner} is not started by a deploy"),
                    format!("to start it, run on the host: docker compose run --rm {name}"),
                ),
            };
            let warning = Diagnostic::warning(message, Some(self.context.location(at)));
            self.context.note(warning.help(help));
        }
    }

    fn resources(&mut self, kind: ResourceKind, top: &mut Map) -> Map {
        // Any other value was reported with the shapes of the file.
        let Some(MapEntry { node: Node { value: Value::Map(map), .. }, .. }) = top.remove(kind.key()) else {
            return Map::new();
        };
        map.into_iter()
            .filter(|(name, _)| !name.starts_with("x-"))
            .map(|(name, MapEntry { at, mut node })| {
                if node.tag != Tag::Reset {
                    shapes::check(self.context, kind.word(), &format!("{kind} `{name}`"), at, &mut node);
                    node = canonical::resource(self.context, kind, &name, node);
                }
                (name, MapEntry { at, node })
            })
            .collect()
    }

    /// Returns the path of a file that another file names; `None` if it is not in the tree.
    pub(super) fn file_named(&mut self, node: &Node, what: &str) -> Option<RootPath> {
        let Value::Text(text) = &node.value else {
            self.context.error(node.at, format!("{what} must be the path of a file"));
            return None;
        };
        match self.context.resolve(text, node.at) {
            ResolvedPath::Tree(path) => Some(path),
            ResolvedPath::Host(_) => {
                self.context.error(node.at, format!("{what} leads to a file that only the host has"));
                None
            }
            ResolvedPath::Invalid => None,
        }
    }
}

/// Reads env files one over the other. In substitutions, `environment` wins.
pub(super) fn read_env_files(
    context: &mut LoadContext<'_>,
    paths: &[RootPath],
    environment: &Variables,
) -> Variables {
    let mut all = Variables::default();
    for path in paths {
        let source = context.source(path, &RootPath::root());
        match context.read(path) {
            Ok(Some(bytes)) => {
                if !context.pay(dotenv::size(&bytes), Mark { source, line: 1, column: 1 }) {
                    return all;
                }
                match dotenv::parse(&bytes, &[environment, &all]) {
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
            Ok(None) => {
                for (name, value) in host_settings(context, path, environment, &all).iter() {
                    all.set(name, value.clone());
                }
            }
            Err(message) => context.error(Mark { source, line: 1, column: 1 }, message),
        }
    }
    all
}

/// Reads Compose's own variables in an env file that only the host has. One that depends on a variable which
/// is not Compose's is an error: its value stays on the host.
fn host_settings(
    context: &mut LoadContext<'_>,
    path: &RootPath,
    environment: &Variables,
    before: &Variables,
) -> Variables {
    let mut known = Variables::default();
    let Some(bytes) = context.files.host_settings(path) else { return known };
    let at = Mark { source: context.source(path, &RootPath::root()), line: 1, column: 1 };
    if !context.pay(dotenv::size(&bytes), at) {
        return known;
    }
    match dotenv::parse(&bytes, &[environment, before]) {
        Ok(read) => {
            for (name, value) in read.variables.iter() {
                if value.unknown.is_empty() {
                    known.set(name, value.clone());
                    continue;
                }
                // What looks like the name of a variable may be a part of a value.
                let host = context.on_host(at).unwrap_or_default();
                let message = format!("`{name}` in {host} on the host depends on values that stay there");
                context.note(Diagnostic::error(message, None).help(format!("write `{name}` out")));
            }
        }
        Err(problem) => context.error(at, problem.message),
    }
    known
}

/// Returns the items of a scalar or a list.
pub(super) fn texts(node: Option<Node>) -> Vec<Node> {
    match node {
        None => Vec::new(),
        Some(Node { value: Value::List(items), .. }) => items,
        Some(Node { value: Value::Null, .. }) => Vec::new(),
        Some(node) => vec![node],
    }
}

/// Substitutes variables in every scalar.
pub(super) fn interpolate(context: &mut LoadContext<'_>, node: &Node, variables: &Variables) -> Node {
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
            let entry = |(key, entry): (&Rc<str>, &MapEntry)| {
                let node = interpolate(context, &entry.node, variables);
                (Rc::clone(key), MapEntry { at: entry.at, node })
            };
            Value::Map(map.iter().map(entry).collect())
        }
    };
    Node { at: node.at, tag: node.tag, value }
}

fn substituted(context: &mut LoadContext<'_>, at: Mark, text: &Text, variables: &Variables) -> Text {
    context.written(at, &text.text);
    let is_asking = Cell::new(false);
    let lookup = |name: &str| {
        let value = variables.get(name);
        is_asking.set(is_asking.get() || value.is_none());
        value
    };
    let value = variables::substitute(&text.text, &lookup);
    if is_asking.get() {
        context.asking(at);
        if has_password_hash(&text.text) {
            let message = "a `$` in what looks like the hash of a password begins a variable for Compose";
            context.error_with(at, message, "write `$$` for each `$` in it");
        } else {
            for (name, need) in variables::references(&text.text) {
                if variables.get(name).is_none() {
                    context.undefined(name, need, at);
                }
            }
        }
    }
    match value {
        Ok(value) if context.pay(text_size(&value.text), at) => {
            Text { text: Rc::from(value.text), plain: false, unknown: value.unknown.into_iter().collect() }
        }
        Ok(_) => Text::quoted(""),
        Err(problem) => {
            context.error(at, problem.to_string());
            text.clone()
        }
    }
}
