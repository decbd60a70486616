//! Converts the long form of a service into the model.
//!
//! Owns the search for the files that a service reads, its dependencies, and the variables that only the host
//! knows.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::context::{LoadContext, ResolvedPath};
use super::digest::DefinitionHasher;
use super::load::{Definition, Model};
use super::model::{
    BuiltOf, Dependency, HostVariables, OtherImage, Port, PullPolicy, Read, ReadMethod, RestartPolicy,
    Service,
};
use super::remote::Reference;
use super::scalar;
use super::settings::{self, ServiceSettings};
use super::variables::Variables;
use super::words::ResourceKind;
use super::yaml::{Map, Mark, Node, Text, Value};
use crate::base::diagnostic::{Diagnostic, Location, nearest};
use crate::base::path::RootPath;

/// Number of names among which the nearest one is searched.
const MAX_COMPARED: usize = 200;

/// State that the services of a project share while they are read.
pub(super) struct ProjectScope<'m> {
    /// The project's name.
    pub(super) project: &'m str,
    /// Its merged files.
    pub(super) model: &'m Model,
    /// The variables of the tree.
    pub(super) variables: &'m Variables,
    /// Env files that were read, by path.
    pub(super) env_files: BTreeMap<RootPath, Rc<Variables>>,
    /// Those of them that use variables.
    pub(super) asking_files: BTreeSet<RootPath>,
    /// Digests of top-level networks and volumes, and the unknown variables in them.
    resources: BTreeMap<(ResourceKind, Rc<str>), Rc<Resource>>,
}

/// Top-level network or volume.
struct Resource {
    /// Its name in Docker.
    docker_name: String,
    /// The digest of its definition.
    digest: String,
    /// Unknown variables in it.
    unknown: BTreeSet<Rc<str>>,
    /// Whether a variable that only the host may define counts in it.
    is_asking: bool,
}

impl<'m> ProjectScope<'m> {
    /// Creates the state before any service is read.
    pub(super) fn new(project: &'m str, model: &'m Model, variables: &'m Variables) -> Self {
        Self {
            project,
            model,
            variables,
            env_files: BTreeMap::new(),
            asking_files: BTreeSet::new(),
            resources: BTreeMap::new(),
        }
    }
}

/// Reads one service of a model.
pub(super) fn read(
    context: &mut LoadContext<'_>,
    shared: &mut ProjectScope<'_>,
    name: &str,
    definition: &Definition,
) -> Service {
    let mut reader = ServiceReader {
        model: shared.model,
        context,
        shared,
        name,
        at: definition.at,
        body: &definition.body,
        reads: Vec::new(),
        seen: BTreeSet::new(),
        host_binds: Vec::new(),
        host_env_files: Vec::new(),
        host_variables: HostVariables::Unused,
        unknown: BTreeSet::new(),
        digest: DefinitionHasher::new(),
        unhashed: None,
        built_of: None,
    };
    reader.run(definition)
}

/// State of reading one service.
pub(super) struct ServiceReader<'r, 'm, 'a> {
    /// The state of loading the project.
    pub(super) context: &'r mut LoadContext<'a>,
    /// The state that its services share.
    pub(super) shared: &'r mut ProjectScope<'m>,
    /// Names of variables that only the host may know.
    pub(super) unknown: BTreeSet<Rc<str>>,
    /// The digest of the definition.
    pub(super) digest: DefinitionHasher,
    /// The merged files of the project.
    pub(super) model: &'m Model,
    /// The name of the service.
    pub(super) name: &'r str,
    /// Everything it reads.
    pub(super) reads: Vec<Read>,
    seen: BTreeSet<(RootPath, ReadMethod, Location, Option<String>)>,
    /// Mark of its key.
    pub(super) at: Mark,
    body: &'r Map,
    unhashed: Option<DefinitionHasher>,
    /// The sources of its image.
    pub(super) built_of: Option<BuiltOf>,
    /// Paths that it reads elsewhere on the host.
    pub(super) host_binds: Vec<(String, Location)>,
    /// Env files elsewhere on the host.
    host_env_files: Vec<(String, Location)>,
    /// The use that it makes of variables of the host.
    pub(super) host_variables: HostVariables,
}

impl<'r> ServiceReader<'r, '_, '_> {
    fn run(&mut self, definition: &Definition) -> Service {
        for (key, entry) in self.body {
            if !key.starts_with("x-") {
                collect_unknown(&entry.node, &mut self.unknown);
                if self.context.asks_host(&entry.node) {
                    self.asks(HostVariables::Definition);
                }
            }
        }
        let remote_base = self.remote_base();
        if remote_base.is_none() && !["image", "build", "provider"].iter().any(|key| self.set(key).is_some())
        {
            self.context
                .error(definition.at, format!("service `{}` has neither an image nor a build", self.name));
        }
        self.check_limits();
        self.check_scale();
        self.check_network_mode();
        self.digest.service(self.context, self.body);
        for reference in &self.context.remote_includes {
            self.digest.add(reference);
        }
        if let Some((file, base)) = remote_base {
            self.digest.add(file);
            self.digest.add(base);
        }
        self.environment();
        self.labels();
        self.networks();
        self.models();
        self.volumes();
        self.file_objects();
        self.pre_start();
        self.build();
        if !self.unknown.is_empty() {
            self.asks(HostVariables::Definition);
        }
        let depends_on = self.dependencies();
        self.provided_variables(&depends_on);
        let ServiceSettings { on_change, health_timeout } =
            settings::service(self.context, self.body.get("x-ghdeploy").map(|entry| &entry.node));
        let mut seen = BTreeSet::new();
        let defined_at: Vec<Location> = definition
            .places
            .iter()
            .map(|place| self.context.location(*place))
            .filter(|place| seen.insert(place.clone()))
            .collect();
        Service {
            at: self.context.location(definition.at),
            active: false,
            definition: std::mem::replace(&mut self.digest, DefinitionHasher::new()).hex(),
            defined_at,
            unhashed: self.unhashed.take().map(DefinitionHasher::hex),
            reads: std::mem::take(&mut self.reads),
            host_binds: std::mem::take(&mut self.host_binds),
            image: self.set("image").and_then(Node::as_str).map(str::to_owned),
            image_written: self
                .set("image")
                .and_then(|node| Some(self.context.quote(node.at, node.as_str()?))),
            image_at: self.set("image").map(|node| self.context.location(node.at)),
            other_images: self.other_images(),
            has_remote_base: remote_base.is_some(),
            provider: self.provider(),
            pull_policy: self
                .set("pull_policy")
                .and_then(Node::as_str)
                .map(PullPolicy::from_word)
                .unwrap_or_default(),
            platform: self
                .set("platform")
                .and_then(certain)
                .filter(|text| !text.is_empty())
                .map(str::to_owned),
            container_name: self.container_name(),
            ports: self.ports(),
            build: self.build_digest(),
            built_of: self.built_of.take(),
            healthcheck_written: self.healthcheck_written(),
            health_timeout,
            scale: self.scale(),
            restart: self.restart_policy(),
            shares: self.shares(),
            depends_on,
            on_change,
            unknown_variables: self.unknown.iter().map(ToString::to_string).collect(),
            host_variables: self.host_variables,
            host_env_files: std::mem::take(&mut self.host_env_files),
        }
    }

    /// Notes that a variable counts that only the host may define.
    pub(super) fn asks(&mut self, how: HostVariables) {
        self.host_variables = self.host_variables.max(how);
    }

    fn container_name(&self) -> Option<(String, Location)> {
        let node = self.set("container_name")?;
        let name = certain(node).filter(|name| !name.is_empty())?;
        Some((name.to_owned(), self.context.location(node.at)))
    }

    /// The published ports, without those that only the host knows.
    fn ports(&self) -> Vec<Port> {
        // Docker publishes nothing then.
        if matches!(self.set("network_mode").and_then(Node::as_str), Some("host" | "none")) {
            return Vec::new();
        }
        let port = |item: &Node| {
            let text = |key: &str| item.get(key).map_or(Some(""), certain);
            let published = text("published").filter(|published| !published.is_empty())?;
            let (first, last) = published.split_once('-').unwrap_or((published, published));
            let protocol = text("protocol").filter(|protocol| !protocol.is_empty()).unwrap_or("tcp");
            Some(Port {
                host_ip: text("host_ip")?.to_owned(),
                first: first.parse().ok()?,
                last: last.parse().ok()?,
                protocol: protocol.to_owned(),
                at: self.context.location(item.at),
            })
        };
        self.items("ports").iter().filter_map(port).collect()
    }

    /// Finds what the containers of `pre_start` read. They have attributes like a service.
    fn pre_start(&mut self) {
        let service = self.body;
        for hook in self.items("pre_start").iter().filter_map(Node::as_map) {
            let before = self.reads.len();
            self.body = hook;
            self.environment();
            self.labels();
            self.volumes();
            self.file_objects();
            self.body = service;
            self.reads.iter_mut().skip(before).for_each(|read| read.by_pre_start = true);
        }
    }

    /// The images of mounts and of `pre_start`, as far as they are known.
    fn other_images(&self) -> Vec<OtherImage> {
        let hooks = self.items("pre_start").iter().filter_map(Node::as_map);
        let bodies = || std::iter::once(self.body).chain(hooks.clone());
        let lists = bodies().filter_map(|body| body.get("volumes")?.node.as_list());
        let is_image = |mount: &&Node| mount.get("type").and_then(Node::as_str) == Some("image");
        let mounted = lists.flatten().filter(is_image).filter_map(|mount| mount.get("source"));
        let run = hooks.clone().filter_map(|hook| hook.get("image").map(|entry| &entry.node));
        let own = self.set("image").and_then(Node::as_str);
        let of = |node: &Node| {
            let image = certain(node).filter(|image| !image.is_empty() && Some(*image) != own)?.to_owned();
            let written = self.context.quote(node.at, &image);
            Some(OtherImage { image, written, at: self.context.location(node.at) })
        };
        mounted.chain(run).filter_map(of).collect()
    }

    fn build_digest(&mut self) -> Option<String> {
        self.set("build")?;
        let mut digest = DefinitionHasher::new();
        for (_, build) in self.builds() {
            digest.build(self.context, build);
        }
        Some(digest.hex())
    }

    /// The test of the healthcheck, its values as the names of their variables.
    fn healthcheck_written(&self) -> Option<String> {
        let test = self.set("healthcheck")?.get("test")?;
        let written = |node: &Node| node.as_str().map(|text| self.context.quote(node.at, text));
        match &test.value {
            Value::List(items) => {
                // A test in one string has become two items.
                let is_test = |item: &&Node| !matches!(item.as_str(), Some("CMD" | "CMD-SHELL"));
                Some(items.iter().filter(is_test).filter_map(written).collect::<Vec<_>>().join(" "))
            }
            _ => written(test),
        }
        .filter(|written| !written.is_empty())
    }

    fn provider(&self) -> Option<String> {
        self.set("provider")?.get("type")?.as_str().map(str::to_owned)
    }

    /// Adds the providers that it depends on: Compose gives it the variables that they answer with.
    fn provided_variables(&mut self, depends_on: &BTreeMap<String, Dependency>) {
        for name in depends_on.keys() {
            let body = self.model.services.get(name.as_str()).map(|definition| &definition.body);
            if let Some(provider) = body.and_then(|body| body.get("provider")) {
                self.digest.add(name);
                self.digest.provider(self.context, &provider.node);
            }
        }
    }

    fn scale(&self) -> Option<u32> {
        if self.set("provider").is_some() {
            return Some(0);
        }
        let replicas = self.set("deploy").and_then(|deploy| deploy.get("replicas"));
        let is_known = self.remote_base().is_none();
        match self.set("scale").or(replicas.filter(|node| !matches!(node.value, Value::Null))) {
            Some(node) if self.context.asks_host(node) => None,
            Some(node) => scalar::number(certain(node)?)?.parse().ok(),
            None => is_known.then_some(1),
        }
    }

    /// What it extends if Compose fetches that: the file and the service.
    fn remote_base(&self) -> Option<(&'r str, &'r str)> {
        let extends = self.set("extends")?;
        let file = certain(extends.get("file")?)?;
        matches!(Reference::of(file), Reference::Remote { .. })
            .then(|| (file, extends.get("service").and_then(Node::as_str).unwrap_or_default()))
    }

    /// `restart` counts before `deploy.restart_policy`, as in Compose.
    fn restart_policy(&self) -> Option<RestartPolicy> {
        if let Some(node) = self.set("restart").filter(|node| node.as_str() != Some("")) {
            return certain(node).map(RestartPolicy::from_word);
        }
        match self.set("deploy").and_then(|deploy| deploy.get("restart_policy")).and_then(Node::as_map) {
            // Docker's default for services.
            Some(policy) => match policy.get("condition") {
                Some(entry) => certain(&entry.node).map(RestartPolicy::from_word),
                None => Some(RestartPolicy::No),
            },
            None => self.remote_base().is_none().then_some(RestartPolicy::No),
        }
    }

    /// The value of an attribute, unless it is absent or null.
    pub(super) fn set(&self, key: &str) -> Option<&'r Node> {
        let body: &'r Map = self.body;
        body.get(key).map(|entry| &entry.node).filter(|node| !matches!(node.value, Value::Null))
    }

    /// The items of an attribute that is a list.
    pub(super) fn items(&self, key: &str) -> &'r [Node] {
        self.set(key).and_then(Node::as_list).unwrap_or(&[])
    }

    /// Records that the service reads a path. Returns the path if it is below the root.
    pub(super) fn read(
        &mut self,
        text: &Text,
        at: Mark,
        how: ReadMethod,
        target: Option<String>,
        required: bool,
    ) -> Option<RootPath> {
        match self.context.resolve(text, at) {
            ResolvedPath::Tree(path) => {
                let kind = self.context.files.kind(&path);
                let written = self.context.before_substitution(at);
                let at = self.context.location(at);
                if self.seen.insert((path.clone(), how, at.clone(), target.clone())) {
                    let read = Read { kind, target, required, written, ..Read::new(path.clone(), how, at) };
                    self.push_read(read);
                }
                Some(path)
            }
            ResolvedPath::Host(path) => {
                if let Some(path) = self.context.possible(text, at) {
                    let kind = self.context.files.kind(&path);
                    let at = self.context.location(at);
                    let unknown = text.unknown.iter().map(ToString::to_string).collect();
                    let target = target.clone();
                    self.push_read(Read { kind, target, unknown, ..Read::new(path, how, at) });
                }
                if how.is_input() {
                    let at = self.context.location(at);
                    self.host_binds.push((path, at));
                } else if matches!(how, ReadMethod::EnvFile | ReadMethod::LabelFile)
                    && text.unknown.is_empty()
                {
                    let at = self.context.location(at);
                    self.host_env_files.push((path, at));
                }
                None
            }
            ResolvedPath::Invalid => None,
        }
    }

    /// Records a read. What links on its way lead to is read, too, as far as the tree has it.
    pub(super) fn push_read(&mut self, read: Read) {
        let way = self.context.files.way(&read.path).into_iter().filter(|step| *step != read.path);
        let steps: Vec<Read> =
            way.map(|path| Read { kind: self.context.files.kind(&path), path, ..read.clone() }).collect();
        self.reads.push(read);
        self.reads.extend(steps.into_iter().filter(|step| step.kind.is_some() || !step.how.is_input()));
    }

    fn networks(&mut self) {
        for name in network_keys(self.body) {
            let options = self.set("networks").and_then(|node| node.get(name));
            self.digest.attachment(self.context, options);
            match self.model.networks.get(name) {
                Some(entry) => self.resource(ResourceKind::Network, name, Some(&entry.node)),
                None if name == "default" => self.resource(ResourceKind::Network, name, None),
                None => {
                    let at = self.body.get("networks").map(|entry| entry.at);
                    let at = self
                        .set("networks")
                        .and_then(Node::as_map)
                        .and_then(|map| map.get(name))
                        .map(|entry| entry.at)
                        .or(at);
                    if let Some(at) = at {
                        self.undefined(at, "uses network", name, &self.model.networks);
                    }
                }
            }
        }
    }

    /// Adds the models that it uses: `up` configures them, and gives the containers their names.
    fn models(&mut self) {
        for (name, entry) in self.set("models").and_then(Node::as_map).into_iter().flatten() {
            match self.model.models.get(name) {
                Some(model) => self.resource(ResourceKind::Model, name, Some(&model.node)),
                None => self.undefined(entry.at, "uses model", name, &self.model.models),
            }
        }
    }

    /// Reports an undefined name, with the nearest known one, unless a file that Compose fetches may define it.
    pub(super) fn undefined<T>(&mut self, at: Mark, does: &str, name: &str, known: &BTreeMap<Rc<str>, T>) {
        if !self.context.remote_includes.is_empty() {
            return;
        }
        let quoted = self.context.quote(at, name);
        let message = format!("service `{}` {does} `{quoted}`, which is not defined", self.name);
        let mut diagnostic = Diagnostic::error(message, Some(self.context.location(at)));
        // No suggestion for the value of a variable, which it could reveal, or among very many names, which
        // is slow.
        if quoted == name
            && known.len() <= MAX_COMPARED
            && let Some(near) = nearest(name, &known.keys().map(|key| &**key).collect::<Vec<_>>())
        {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.context.note(diagnostic);
    }

    /// Adds a top-level network, volume or model. Its definition goes into the digest of what Compose hashes,
    /// because newer versions recreate a service if a resource of it changes. The name of a network or volume goes
    /// into the digest of what no version hashes.
    pub(super) fn resource(&mut self, kind: ResourceKind, name: &str, node: Option<&Node>) {
        let key = (kind, Rc::from(name));
        let found = match self.shared.resources.get(&key) {
            Some(found) => Rc::clone(found),
            None => {
                let mut unknown = BTreeSet::new();
                let mut digest = DefinitionHasher::new();
                let mut docker_name = format!("{}_{name}", self.shared.project);
                if let Some(node) = node {
                    collect_unknown(node, &mut unknown);
                    docker_name = docker_name_of(self.shared.project, name, node);
                }
                digest.resource(self.context, kind, name, node);
                let is_asking = node.is_some_and(|node| self.context.asks_host(node));
                let found = Rc::new(Resource { docker_name, digest: digest.hex(), unknown, is_asking });
                self.shared.resources.insert(key, Rc::clone(&found));
                found
            }
        };
        if !self.context.pay(found.unknown.len(), self.at) {
            return;
        }
        self.digest.add(&found.digest);
        if kind != ResourceKind::Model {
            self.unhashed(&[kind.word(), name, &found.docker_name]);
        }
        self.unknown.extend(found.unknown.iter().cloned());
        if found.is_asking {
            self.asks(HostVariables::Definition);
        }
    }

    /// Adds texts to the digest of what only a recreate updates.
    pub(super) fn unhashed(&mut self, texts: &[&str]) {
        let digest = self.unhashed.get_or_insert_with(DefinitionHasher::new);
        texts.iter().for_each(|text| digest.add(text));
    }
}

/// Returns the text of a node without unknown variables.
pub(super) fn certain(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) if text.unknown.is_empty() => Some(&text.text),
        _ => None,
    }
}

/// Returns the keys of the networks that a service joins.
pub(super) fn network_keys(body: &Map) -> Vec<&str> {
    let is_set = |key: &str| body.get(key).is_some_and(|entry| !matches!(entry.node.value, Value::Null));
    if is_set("network_mode") {
        return Vec::new();
    }
    let named: Vec<&str> = body
        .get("networks")
        .and_then(|entry| entry.node.as_map())
        .map(|map| map.keys().map(|key| &**key).collect())
        .unwrap_or_default();
    if named.is_empty() { vec!["default"] } else { named }
}

/// Returns the name of a top-level network or volume in Docker.
pub(super) fn docker_name_of(project: &str, key: &str, node: &Node) -> String {
    let name = node.get("name").and_then(Node::as_str).filter(|name| !name.is_empty());
    match name {
        Some(name) => name.to_owned(),
        None if is_external(node) => key.to_owned(),
        None => format!("{project}_{key}"),
    }
}

/// Whether a top-level network or volume is external to the project.
pub(super) fn is_external(node: &Node) -> bool {
    node.get("external").and_then(Node::as_str) == Some("true")
}

/// Collects the unknown variables of a node.
pub(super) fn collect_unknown(node: &Node, out: &mut BTreeSet<Rc<str>>) {
    match &node.value {
        Value::Null => {}
        Value::Text(text) => out.extend(text.unknown.iter().cloned()),
        Value::List(items) => items.iter().for_each(|item| collect_unknown(item, out)),
        Value::Map(map) => map.values().for_each(|entry| collect_unknown(&entry.node, out)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeTree, messages, project, project as project_of, web};
    use crate::base::diagnostic::Diagnostic;

    fn digest(compose: &str) -> String {
        web(&project(compose)).definition.clone()
    }

    #[test]
    fn a_name_from_a_variable_is_quoted_as_it_was_written() {
        let compose = "\
services:
  a: {image: x, depends_on: ['$S'], networks: ['$S'], configs: ['$S'], volumes: ['v$S:/v'], ipc: 'service:$S'}
  b: {image: x, extends: '$S'}
  c: {image: x, extends: {service: '$S', file: compose.yml}}
  d: {image: x, extends: {service: a, file: 'no$S.yml'}}
  hunter3: {image: x}
include: ['no$S.yml', {path: ['no$S.yml']}]
";
        let found =
            messages(&FakeTree::new(&[("blog/compose.yml", compose), ("blog/.env", "S=hunter2")]).load());
        assert_eq!(found.len(), 10, "{found:#?}");
        for message in found {
            assert!(message.contains("$S") && !message.contains("hunter"), "{message}");
        }
    }

    #[test]
    fn attributes_that_compose_does_not_hash_do_not_change_the_definition() {
        let base = digest("services: {web: {image: a}, db: {image: b}}");
        for attribute in [
            "build: .",
            "depends_on: [db]",
            "profiles: [x]",
            "pull_policy: always",
            "scale: 3",
            "x-anything: {a: b}",
            "x-ghdeploy: {on-change: none}",
        ] {
            assert_eq!(
                digest(&format!("services: {{web: {{image: a, {attribute}}}, db: {{image: b}}}}")),
                base,
                "{attribute}"
            );
        }
    }

    #[test]
    fn a_service_has_its_own_networks_or_those_of_another() {
        let compose = "services: {web: {image: a, network_mode: host, networks: [x]}}\nnetworks: {x: {}}";
        assert_eq!(
            messages(&project(compose)),
            [
                "services/blog/compose.yml:1:42: service `web`: `network_mode` and `networks` exclude each other"
            ]
        );
        web(&project("services: {web: {image: a, network_mode: host, networks: {}}}"));
    }

    #[test]
    fn comments_order_quotes_and_anchors_do_not_change_the_definition() {
        let one = "services: {web: {image: a, hostname: h, environment: {A: '1', B: x}, restart: always}}";
        let other = "\
x-common: &common # shared
  restart: \"always\"
  environment: &env {B: x}
services:
  web:
    <<: *common
    hostname: 'h'
    environment:
      A: 1
      <<: *env
    image: a
";
        assert_eq!(digest(one), digest(other));
    }

    #[test]
    fn the_content_of_env_files_is_part_of_the_definition_and_that_of_binds_is_not() {
        let load = |env: &str, conf: &str| {
            let compose = "services: {web: {image: a, env_file: e.env, volumes: ['./conf:/c'], configs: [c]}}\n\
                           configs: {c: {file: conf}}";
            let tree =
                FakeTree::new(&[("blog/compose.yml", compose), ("blog/e.env", env), ("blog/conf", conf)]);
            let project = tree.load();
            let service = web(&project);
            (service.definition.clone(), service.unhashed.clone())
        };
        assert_eq!(load("A=1", "x"), load("# note\nA='1'\n", "y"));
        assert_ne!(load("A=1", "x").0, load("A=2", "x").0);
    }

    #[test]
    fn changes_that_only_a_recreate_applies_have_a_digest_of_their_own() {
        let digests = |top: &str| {
            let compose = format!("services: {{web: {{image: a, configs: [c], networks: [n]}}}}\n{top}");
            let project = project(&compose);
            let service = web(&project);
            (service.definition.clone(), service.unhashed.clone().unwrap())
        };
        let base = digests("configs: {c: {content: one}}\nnetworks: {n: {}}");
        for top in [
            "configs: {c: {content: two}}\nnetworks: {n: {}}",
            "configs: {c: {file: ./one}}\nnetworks: {n: {}}",
            "configs: {c: {content: one}}\nnetworks: {n: {name: other}}",
        ] {
            let other = digests(top);
            assert_eq!(base.0, other.0, "{top}");
            assert_ne!(base.1, other.1, "{top}");
        }
        assert_ne!(base.0, digests("configs: {c: {content: one}}\nnetworks: {n: {internal: true}}").0);
    }

    #[test]
    fn a_model_is_a_part_of_the_definition_of_the_services_that_use_it() {
        let load = |models: &str, top: &str| {
            project(&format!(
                "services: {{web: {{image: a, models: {models}}}}}\nmodels: {{llm: {top}, other: {{model: x}}}}"
            ))
        };
        let short = load("[llm]", "{model: ai/small}");
        assert_eq!(web(&short).definition, web(&load("{llm: }", "{model: ai/small, name: n}")).definition);
        for (models, top) in [
            ("[llm]", "{model: ai/large}"),
            ("[llm]", "{model: ai/small, context_size: 1024}"),
            ("[llm]", "{model: ai/small, runtime_flags: [--x]}"),
            ("{llm: {endpoint_var: URL}}", "{model: ai/small}"),
            ("{llm: {model_var: NAME}}", "{model: ai/small}"),
            ("[llm, other]", "{model: ai/small}"),
        ] {
            assert_ne!(web(&short).definition, web(&load(models, top)).definition, "{models} {top}");
        }
        assert_eq!(
            messages(&load("[llm, othr]", "{}")),
            [
                "services/blog/compose.yml:2:15: model `llm` is empty (remove it, or give it a value: a mapping)",
                "services/blog/compose.yml:1:42: service `web` uses model `othr`, which is not defined (did you mean \
                 `other`?)",
            ]
        );
        assert_eq!(
            messages(&load("[llm]", "{name: x}")),
            ["services/blog/compose.yml:2:15: model `llm`: `model` is missing"]
        );
    }

    #[test]
    fn a_container_of_pre_start_has_files_and_an_image_of_its_own() {
        let load = |hook: &str, env: &str| {
            let compose = format!(
                "services: {{web: {{image: a, pre_start: [{{command: x, {hook}}}]}}}}\nconfigs: {{c: {{file: ./c}}}}"
            );
            FakeTree::new(&[("blog/compose.yml", &*compose), ("blog/e.env", env), ("blog/c", "")]).load()
        };
        let project = load("image: tool:1, env_file: e.env, volumes: ['./c:/c'], configs: [c]", "A=1");
        let service = web(&project);
        let reads: Vec<String> = service
            .reads
            .iter()
            .map(|read| format!("{:?} {} {}", read.how, read.path, read.by_pre_start))
            .collect();
        assert_eq!(reads, ["EnvFile blog/e.env true", "Bind blog/c true", "Config blog/c true"]);
        let images: Vec<&str> = service.other_images.iter().map(|other| other.image.as_str()).collect();
        assert_eq!(images, ["tool:1"]);
        let changed = load("image: tool:1, env_file: e.env, volumes: ['./c:/c'], configs: [c]", "A=2");
        assert_ne!(service.definition, web(&changed).definition);
        let list = load("environment: [A=1, B=2]", "");
        assert_eq!(web(&list).definition, web(&load("environment: {B: 2, A: '1'}", "")).definition);
        assert!(web(&load("image: a", "")).other_images.is_empty());
    }

    #[test]
    fn a_service_with_a_provider_has_no_containers() {
        let found =
            project("services: {web: {provider: {type: awesomecloud, options: {a: b}}}, db: {image: x}}");
        assert_eq!((web(&found).provider.as_deref(), web(&found).scale), (Some("awesomecloud"), Some(0)));
        assert_eq!((found.services["db"].provider.as_deref(), found.services["db"].scale), (None, Some(1)));
        let of = |option: &str| {
            let provider = format!("provider: {{type: awesomecloud, options: {{a: {option}}}}}");
            let services =
                format!("web: {{image: x, depends_on: [db]}}, db: {{{provider}}}, other: {{image: x}}");
            let found = project(&format!("services: {{{services}}}"));
            (web(&found).definition.clone(), found.services["other"].definition.clone())
        };
        assert_ne!(of("b").0, of("c").0);
        assert_eq!(of("b").1, of("c").1);
        let of = |provider: &str| messages(&project(&format!("services: {{web: {{provider: {provider}}}}}")));
        assert_eq!(
            of("{options: {a: b}}"),
            ["services/blog/compose.yml:1:28: service `web`, `provider`: `type` is missing"]
        );
    }

    #[test]
    fn jobs_are_checked_and_not_started() {
        let jobs =
            |jobs: &str| messages(&project(&format!("services: {{web: {{image: a}}}}\njobs: {{{jobs}}}")));
        assert_eq!(
            jobs(
                "a: {image: x, triggers: {manual: true}}, b: {image: x, triggers: {schedule: ['0 * * * *']}}"
            ),
            [
                "services/blog/compose.yml:2:8: job `a` is not started by a deploy (to start it, run on the host: docker \
                 compose run --rm a)",
                "services/blog/compose.yml:2:49: job `b` has a schedule, with which Docker Compose 5.7 refuses to bring \
                 the project up (run it by a scheduler of your own, such as cron or a service with a crontab)",
            ]
        );
        assert!(jobs("a: {image: x}")[0].contains("job `a`: `triggers` is missing"));
        assert!(jobs("a: {imag: x, triggers: {manual: true}}")[0].contains("did you mean `image`?"));
        assert!(jobs("a: {restart: always, triggers: {manual: true}}")[0].contains("unknown key `restart`"));
    }

    #[test]
    fn variables_in_inline_content_count_with_their_values() {
        let load = |content: &str, value: &str| {
            let compose = format!(
                "services: {{web: {{image: a, configs: [c]}}}}\nconfigs: {{c: {{content: '{content}'}}}}"
            );
            let env = format!("A={value}");
            let project = FakeTree::new(&[("blog/compose.yml", &*compose), ("blog/.env", &*env)]).load();
            web(&project).unhashed.clone()
        };
        assert_ne!(load("x ${A}", "1"), load("x ${A}", "2"));
        assert_eq!(load("x ${A}", "1"), load("x 1", "2"));
        assert_eq!(load("x $${A}", "1"), load("x $${A}", "2"));
        assert_ne!(load("x $${A}", "1"), load("x ${A}", "1"));
    }

    #[test]
    fn one_changed_service_of_five_changes_one_definition() {
        let load = |image: &str| {
            let services = ["web", "b", "c", "d"].map(|name| format!("  {name}: {{image: x}}\n")).concat();
            let project = project(&format!("services:\n{services}  e: {{image: {image}}}\n"));
            project.services.into_iter().map(|(name, service)| (name, service.definition)).collect::<Vec<_>>()
        };
        let (before, after) = (load("y"), load("z"));
        let changed: Vec<_> =
            before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| a.0.as_str()).collect();
        assert_eq!(changed, ["e"]);
    }

    #[test]
    fn a_reference_to_a_service_is_a_dependency() {
        let project = project(
            "services: {web: {image: a, network_mode: 'service:b', links: ['c:alias'], volumes_from: ['d:ro', \
             'container:x'], depends_on: {c: {condition: service_healthy}}}, b: {image: b}, c: {image: c}, \
             d: {image: d}}",
        );
        let waits: Vec<String> = web(&project)
            .depends_on
            .iter()
            .map(|(name, wait)| format!("{name} {} {}", wait.condition, wait.restart))
            .collect();
        assert_eq!(waits, ["b service_started true", "c service_healthy false", "d service_started false"]);
    }

    #[test]
    fn undefined_references_are_errors_with_their_location() {
        let found = messages(&project(
            "services:\n  web:\n    image: a\n    networks: [n]\n    volumes: ['v1:/v']\n    configs: [c]\n    \
             secrets: [s]\n    depends_on: [d, baer]\n  bare: {hostname: h}\n",
        ));
        assert_eq!(
            found,
            [
                "services/blog/compose.yml:9:3: service `bare` has neither an image nor a build",
                "services/blog/compose.yml:4:16: service `web` uses network `n`, which is not defined",
                "services/blog/compose.yml:5:15: service `web` uses volume `v1`, which is not defined",
                "services/blog/compose.yml:6:15: service `web` uses config `c`, which is not defined",
                "services/blog/compose.yml:7:15: service `web` uses secret `s`, which is not defined",
                "services/blog/compose.yml:8:21: service `web` depends on `baer`, which is not defined (did you mean `bare`?)",
                "services/blog/compose.yml:8:18: service `web` depends on `d`, which is not defined",
            ]
        );
    }

    #[test]
    fn a_typo_in_a_key_is_an_error_with_a_suggestion_and_an_unknown_key_a_warning() {
        let project = project("services: {web: {image: a, enviroment: {A: b}}}\nservice: {}");
        assert!(project.diagnostics.iter().all(Diagnostic::is_error));
        let newer = project_of("services: {web: {image: a, quantum_link: {A: b}}}");
        assert!(newer.diagnostics.iter().any(|found| !found.is_error()));
        assert!(!newer.diagnostics.iter().any(Diagnostic::is_error));
        let found = messages(&project).join("\n");
        assert!(found.contains("`service` (did you mean `services`?)"), "{found}");
        assert!(found.contains("`enviroment` (did you mean `environment`?)"), "{found}");
    }
}
