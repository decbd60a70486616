//! Hashes the definition of a service.
//!
//! Owns the normal form that is hashed. The digest changes exactly if Compose's own hash of the service
//! changes. Mappings are hashed in the order of their keys, numbers, sizes and durations by value, paths by
//! their target.

use sha2::{Digest as _, Sha256};

use super::context::{LoadContext, ResolvedPath};
use super::scalar;
use super::words::{MountType, ResourceKind, secret_path};
use super::yaml::{Map, Node, Text, Value};

/// Attributes that Compose leaves out of its hash, or that are hashed in another way.
const APART: &[&str] = &[
    "build",
    "pull_policy",
    "scale",
    "depends_on",
    "profiles",
    "extends",
    "env_file",
    "label_file",
    "environment",
    "labels",
    "networks",
];

/// Lists that differ from an absent one even if they are empty.
const KEPT_EMPTY: &[&str] = &["command", "entrypoint"];

/// Parents of mappings whose keys belong to the user, so that none is left out because of its value.
const FREE: &[&str] = &[
    "environment",
    "labels",
    "annotations",
    "sysctls",
    "options",
    "driver_opts",
    "storage_opt",
    "models",
    "networks",
];

/// Hasher of a definition.
pub(super) struct DefinitionHasher(Sha256);

impl DefinitionHasher {
    /// Creates an empty hasher.
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    /// Adds a text with its length, so that no two sequences of texts have the same bytes.
    pub(super) fn add(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    /// The digest in hexadecimal.
    pub(super) fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Adds the attributes of a service that Compose hashes as they are.
    pub(super) fn service(&mut self, context: &mut LoadContext<'_>, body: &Map) {
        for (key, entry) in body {
            if !APART.contains(&&**key) && !key.starts_with("x-") {
                self.entry(context, key, key, &entry.node);
            }
        }
    }

    /// Adds a `provider`.
    pub(super) fn provider(&mut self, context: &mut LoadContext<'_>, node: &Node) {
        self.node(context, "provider", "provider", node);
    }

    /// Adds `build` without the content of the context.
    pub(super) fn build(&mut self, context: &mut LoadContext<'_>, node: &Node) {
        self.node(context, "build", "build", node);
    }

    /// Adds the options with which a service joins a network.
    pub(super) fn attachment(&mut self, context: &mut LoadContext<'_>, options: Option<&Node>) {
        if let Some(Node { value: Value::Map(map), .. }) = options {
            self.add("options");
            for (key, entry) in map {
                self.entry(context, "networks", key, &entry.node);
            }
        }
        self.add("attached");
    }

    /// Adds the definition of a top-level network or volume, without its name.
    pub(super) fn resource(
        &mut self,
        context: &mut LoadContext<'_>,
        kind: ResourceKind,
        name: &str,
        node: Option<&Node>,
    ) {
        self.add(kind.word());
        self.add(name);
        for (key, entry) in node.and_then(Node::as_map).into_iter().flatten() {
            let is_empty = entry.node.as_map().is_some_and(Map::is_empty);
            if &**key == "name" || key.starts_with("x-") || is_empty {
                continue;
            }
            let folder = node.filter(|_| kind == ResourceKind::Volume && &**key == "driver_opts");
            match folder.and_then(bound_folder) {
                Some(device) => self.path(context, device),
                None => self.entry(context, kind.word(), key, &entry.node),
            }
        }
        self.add("end");
    }

    fn entry(&mut self, context: &mut LoadContext<'_>, path: &str, key: &str, node: &Node) {
        if is_default(path, key, node) {
            return;
        }
        self.add(key);
        self.node(context, path, key, node);
    }

    fn node(&mut self, context: &mut LoadContext<'_>, path: &str, key: &str, node: &Node) {
        if path == "secrets"
            && let Some(map) = node.as_map().filter(|map| !map.contains_key("target"))
        {
            self.add(&secret_path(text_of(map, "source").unwrap_or("")));
        } else if let Some(target) = node.get("target").filter(|_| path == "secrets") {
            self.add(target.as_str().unwrap_or(""));
        }
        match &node.value {
            Value::Null => self.add("null"),
            Value::Text(text) => {
                self.add("text");
                let normal = normal(path, key, text);
                self.add(&normal);
            }
            Value::List(items) => {
                self.add("list");
                if path == "extra_hosts" {
                    let mut hosts: Vec<&str> = items.iter().filter_map(Node::as_str).collect();
                    // The sort is stable: addresses of one name keep their order.
                    hosts.sort_by_key(|host| host.split('=').next().unwrap_or("").to_owned());
                    hosts.iter().for_each(|host| self.add(host));
                } else {
                    for item in items {
                        self.node(context, path, key, item);
                    }
                }
                self.add("end");
            }
            Value::Map(map) => {
                self.add("map");
                let is_bind = path == "volumes" && MountType::of(map) == MountType::Bind;
                let is_free = FREE.contains(&key) || path == "ulimits";
                for (key, entry) in map {
                    if path == "secrets" && &**key == "target" {
                        continue;
                    }
                    if is_bind && &**key == "source" || path == "develop.watch" && &**key == "path" {
                        self.add(key);
                        self.path(context, &entry.node);
                    } else if is_free {
                        self.add(key);
                        self.node(context, &format!("{path}.*"), "", &entry.node);
                    } else if !(key.starts_with("x-") || path == "deploy" && &**key == "replicas") {
                        self.entry(context, &format!("{path}.{key}"), key, &entry.node);
                    }
                }
                self.add("end");
            }
        }
    }

    fn path(&mut self, context: &mut LoadContext<'_>, node: &Node) {
        let Value::Text(text) = &node.value else { return self.add("none") };
        match context.resolve(text, node.at) {
            ResolvedPath::Tree(path) => {
                self.add("tree");
                self.add(path.as_str());
            }
            ResolvedPath::Host(path) => {
                self.add("host");
                self.add(&path);
            }
            ResolvedPath::Invalid => self.add("none"),
        }
    }
}

/// Returns the device of a volume that is a bind mount by its `driver_opts`.
pub(super) fn bound_folder(node: &Node) -> Option<&Node> {
    let is_local = matches!(node.get("driver").and_then(Node::as_str), None | Some("local"));
    let options = node.get("driver_opts").filter(|_| is_local)?;
    let flags = options.get("o").and_then(Node::as_str)?;
    let binds = flags.split(',').any(|flag| matches!(flag.trim(), "bind" | "rbind"));
    options.get("device").filter(|_| binds)
}

fn text_of<'m>(map: &'m Map, key: &str) -> Option<&'m str> {
    map.get(key).and_then(|entry| entry.node.as_str())
}

/// Whether a value is the default, which Compose's hash leaves out.
fn is_default(path: &str, key: &str, node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::List(items) => items.is_empty() && !KEPT_EMPTY.contains(&path),
        Value::Map(_) => false,
        Value::Text(text) => match key {
            "init" | "attach" | "published" | "create_host_path" => false,
            key if is_boolean(key) => scalar::boolean(&text.text) == Some(false),
            key if is_amount(key) || is_size(key) => scalar::number(&text.text).as_deref() == Some("0"),
            _ => text.text.is_empty(),
        },
    }
}

fn normal(path: &str, key: &str, text: &Text) -> String {
    let found = if key.is_empty() {
        None
    } else if is_boolean(key) {
        scalar::boolean(&text.text).map(|value| value.to_string())
    } else if is_size(key) {
        scalar::bytes(&text.text).map(|value| value.to_string())
    } else if is_duration(key) {
        scalar::duration(&text.text).map(|value| value.to_string())
    } else if is_amount(key) || path == "ulimits.*" {
        scalar::number(&text.text)
    } else {
        None
    };
    found.unwrap_or_else(|| scalar::display(text))
}

fn is_boolean(key: &str) -> bool {
    matches!(
        key,
        "privileged"
            | "read_only"
            | "tty"
            | "stdin_open"
            | "init"
            | "oom_kill_disable"
            | "disable"
            | "create_host_path"
            | "nocopy"
            | "attach"
            | "use_api_socket"
            | "external"
            | "internal"
            | "attachable"
            | "enable_ipv4"
            | "enable_ipv6"
    )
}

fn is_size(key: &str) -> bool {
    matches!(key, "mem_limit" | "mem_reservation" | "memswap_limit" | "shm_size" | "memory" | "size" | "rate")
}

fn is_duration(key: &str) -> bool {
    matches!(
        key,
        "stop_grace_period"
            | "interval"
            | "timeout"
            | "start_period"
            | "start_interval"
            | "delay"
            | "monitor"
            | "window"
    )
}

fn is_amount(key: &str) -> bool {
    key.starts_with("cpu") && key != "cpuset"
        || matches!(
            key,
            "retries"
                | "pids_limit"
                | "oom_score_adj"
                | "mem_swappiness"
                | "target"
                | "published"
                | "priority"
                | "soft"
                | "hard"
                | "pids"
                | "weight"
                | "parallelism"
                | "max_attempts"
        )
}
