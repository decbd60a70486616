//! Merges one definition over another by Compose's rules
//! (<https://docs.docker.com/reference/compose-file/merge/>).
//!
//! Works on long forms only.

use std::collections::BTreeMap;

use super::context::LoadContext;
use super::short;
use super::words::secret_path;
use super::yaml::{Map, MapEntry, Node, Tag, Value};

/// Treatment of `!reset` and `!override` after they were applied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tags {
    /// They are dropped.
    Spent,
    /// They are kept, to be applied to the files before too.
    Kept,
}

/// Merges a service over the one with that name in the files before.
pub(super) fn service(context: &mut LoadContext<'_>, base: Map, over: Map) -> Map {
    mapping(context, Tags::Spent, "services", base, over)
}

/// Merges a service over the one it extends.
pub(super) fn extended(context: &mut LoadContext<'_>, mut base: Map, over: Map) -> Map {
    // Tags apply only to the service that they are written in.
    clear_tags(&mut base);
    mapping(context, Tags::Kept, "services", base, over)
}

/// Merges top-level networks, volumes, configs or secrets.
pub(super) fn resources(context: &mut LoadContext<'_>, base: Map, over: Map) -> Map {
    mapping(context, Tags::Spent, "resources", base, over)
}

fn mapping(context: &mut LoadContext<'_>, tags: Tags, path: &str, mut base: Map, over: Map) -> Map {
    for (key, entry) in over {
        let MapEntry { at, mut node } = entry;
        let below = base.remove(&key);
        if node.tag == Tag::Reset && tags == Tags::Spent {
            continue;
        }
        let replaces = node.tag != Tag::None || key.starts_with("x-");
        if let Some(below) = below.filter(|_| !replaces) {
            node = value(context, tags, &join(path, &key), below.node, node);
        } else if tags == Tags::Spent {
            node.tag = Tag::None;
        }
        base.insert(key, MapEntry { at, node });
    }
    base
}

fn join(path: &str, key: &str) -> String {
    match path {
        "services" => key.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

fn value(context: &mut LoadContext<'_>, tags: Tags, path: &str, base: Node, over: Node) -> Node {
    // In a mapping of names to values, a later value replaces an earlier one even if it is null.
    let replaces = matches!(path, "command" | "entrypoint" | "healthcheck.test")
        || is_within(path, &["environment", "labels", "annotations", "sysctls", "ulimits"])
        || is_within(path, &["build.args", "build.labels", "build.additional_contexts"])
        || is_within(path, &["deploy.labels"]);
    if replaces {
        return over;
    }
    if matches!(over.value, Value::Null) {
        return base;
    }
    let at = over.at;
    let tag = base.tag;
    let (base, over) = match path {
        "extra_hosts" if base.as_list().is_some() != over.as_list().is_some() => (listed(base), listed(over)),
        _ => (base, over),
    };
    let merged = match (base.value, over.value) {
        (Value::Map(base), Value::Map(over)) => {
            let drivers = driver(&base).zip(driver(&over)).filter(|_| path == "logging");
            if drivers.is_some_and(|(base, over)| base != over) {
                Value::Map(over)
            } else {
                Value::Map(mapping(context, tags, path, base, over))
            }
        }
        (Value::List(mut base), Value::List(over)) => {
            if !context.pay(base.len() + over.len(), at) {
                return Node { at, tag, value: Value::List(over) };
            }
            if path.ends_with(".ipam.config") {
                return Node { at, tag, value: Value::List(subnets(base, over)) };
            }
            base.extend(over);
            Value::List(unique(path, base))
        }
        (Value::Null | Value::Text(_), over) => over,
        (base, over) => {
            let kind = Node::new(at, base).kind();
            let over = Node::new(at, over);
            context.error(at, format!("`{path}`: {} cannot override {kind}", over.kind()));
            return over;
        }
    };
    Node { at, tag, value: merged }
}

/// Returns hosts as a list.
fn listed(hosts: Node) -> Node {
    match hosts.value {
        Value::Map(map) => Node { value: Value::List(short::host_list(&map)), ..hosts },
        _ => hosts,
    }
}

fn is_within(path: &str, parents: &[&str]) -> bool {
    parents.iter().any(|parent| path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('.')))
}

/// Returns the driver of a `logging`. Without a driver it merges with any other.
fn driver(logging: &Map) -> Option<&str> {
    logging.get("driver").and_then(|entry| entry.node.as_str())
}

/// Merges `ipam.config` by subnet.
fn subnets(base: Vec<Node>, over: Vec<Node>) -> Vec<Node> {
    let subnet = |node: &Node| node.get("subnet").and_then(Node::as_str).map(str::to_owned);
    let mut out = base;
    for node in over {
        match out.iter_mut().find(|known| subnet(known) == subnet(&node)) {
            Some(known) => *known = node,
            None => out.push(node),
        }
    }
    out
}

/// Drops items that a later item of the list replaces. Volumes are identified by target, ports by what they
/// publish, names by themselves.
fn unique(path: &str, items: Vec<Node>) -> Vec<Node> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut out: Vec<Node> = Vec::with_capacity(items.len());
    for item in items {
        let Some(key) = identity(path, &item) else {
            out.push(item);
            continue;
        };
        match places.get(&key) {
            Some(index) => out[*index] = item,
            None => {
                places.insert(key, out.len());
                out.push(item);
            }
        }
    }
    out
}

fn identity(path: &str, item: &Node) -> Option<String> {
    let get = |key: &str| item.get(key).and_then(Node::as_str);
    match path {
        "volumes" | "devices" => get("target").map(str::to_owned),
        "ports" => Some(format!(
            "{}:{}:{}/{}",
            get("host_ip").unwrap_or("0.0.0.0"),
            get("published").unwrap_or(""),
            get("target").unwrap_or(""),
            get("protocol").unwrap_or("tcp")
        )),
        "configs" | "secrets" => match (get("target"), get("source")) {
            (Some(target), _) => Some(target.to_owned()),
            (None, Some(source)) if path == "secrets" => Some(secret_path(source)),
            (None, source) => source.map(|source| format!("/{source}")),
        },
        "env_file" => get("path").map(str::to_owned),
        "cap_add" | "cap_drop" | "dns" | "dns_opt" | "dns_search" | "links" | "profiles" | "tmpfs"
        | "build.tags" | "build.platforms" => {
            item.as_str().map(|text| text.split('=').next().unwrap_or("").to_owned())
        }
        "expose" | "label_file" | "extra_hosts" => item.as_str().map(str::to_owned),
        _ if path.starts_with("extra_hosts.") => item.as_str().map(str::to_owned),
        _ if path.starts_with("networks.")
            && (path.ends_with(".aliases") || path.ends_with(".link_local_ips")) =>
        {
            item.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

/// Drops tags that were applied, and values with `!reset`.
pub(super) fn clear_tags(map: &mut Map) {
    map.retain(|_, entry| entry.node.tag != Tag::Reset);
    for entry in map.values_mut() {
        entry.node.tag = Tag::None;
        match &mut entry.node.value {
            Value::Map(map) => clear_tags(map),
            Value::List(items) => items.retain(|item| item.tag != Tag::Reset),
            Value::Null | Value::Text(_) => {}
        }
    }
}

/// Removes duplicate items from the lists of a service.
pub(super) fn settle(service: &mut Map) {
    if let Some(hosts) = service.get_mut("extra_hosts") {
        hosts.node = listed(hosts.node.clone());
    }
    settle_below("services", service);
}

fn settle_below(path: &str, map: &mut Map) {
    for (key, entry) in map.iter_mut() {
        match &mut entry.node.value {
            Value::List(items) => *items = unique(&join(path, key), std::mem::take(items)),
            Value::Map(map) => settle_below(&join(path, key), map),
            Value::Null | Value::Text(_) => {}
        }
    }
}

/// Whether two nodes are equal, regardless of their marks.
pub(super) fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Null, Value::Null) => true,
        (Value::Text(a), Value::Text(b)) => a.text == b.text,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => same_map(a, b),
        _ => false,
    }
}

/// Whether two mappings are equal, regardless of their marks.
pub(super) fn same_map(a: &Map, b: &Map) -> bool {
    a.len() == b.len()
        && a.iter().all(|(key, entry)| b.get(key).is_some_and(|other| same(&entry.node, &other.node)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fake::{FakeTree, web};
    use crate::compose::model::Service;

    fn merged(base: &str, over: &str) -> Service {
        let base = format!("services: {{web: {{image: a, {base}}}}}");
        let over = format!("services: {{web: {{{over}}}}}");
        let tree = FakeTree::new(&[("blog/compose.yml", &base), ("blog/compose.override.yml", &over)]);
        web(&tree.load()).clone()
    }

    fn alone(attributes: &str) -> Service {
        merged(attributes, "")
    }

    #[test]
    fn each_attribute_merges_by_its_own_rule() {
        for (base, over, wanted) in [
            ("command: [a, b]", "command: c", "command: [c]"),
            ("environment: {A: 1, B: 2}", "environment: [B=3]", "environment: {A: 1, B: 3}"),
            ("labels: [a=1]", "labels: {b: 2}", "labels: {a: 1, b: 2}"),
            (
                "ports: ['80:80']",
                "ports: [{target: 80, published: 80}, '81:81']",
                "ports: ['80:80', '81:81']",
            ),
            ("volumes: ['./a:/x', './b:/y']", "volumes: ['./c:/x:ro']", "volumes: ['./c:/x:ro', './b:/y']"),
            ("dns: 1.1.1.1", "dns: [2.2.2.2, 1.1.1.1]", "dns: [1.1.1.1, 2.2.2.2]"),
            (
                "healthcheck: {test: a, retries: 3}",
                "healthcheck: {test: [CMD, b]}",
                "healthcheck: {test: [CMD, b], retries: 3}",
            ),
            (
                "ulimits: {nofile: 5, nproc: 6}",
                "ulimits: {nofile: {soft: 1, hard: 2}}",
                "ulimits: {nofile: {soft: 1, hard: 2}, nproc: 6}",
            ),
            ("logging: {driver: a, options: {x: 1}}", "logging: {driver: b}", "logging: {driver: b}"),
            (
                "logging: {driver: a, options: {x: 1}}",
                "logging: {options: {y: 2}}",
                "logging: {driver: a, options: {x: 1, y: 2}}",
            ),
            ("hostname: a", "hostname: b", "hostname: b"),
            ("ports: ['80:80']", "ports: !reset []", "tty: false"),
            ("ports: ['80:80']", "ports: !override ['81:81']", "ports: ['81:81']"),
            ("environment: {A: 1, B: 2}", "environment: {A: !reset null}", "environment: {B: 2}"),
            ("tmpfs: /a", "tmpfs: [/a, /b]", "tmpfs: [/a, /b]"),
            ("extra_hosts: {a: 1.1.1.1}", "extra_hosts: {a: 2.2.2.2}", "extra_hosts: ['a:2.2.2.2']"),
            ("extra_hosts: ['a:1.1.1.1']", "extra_hosts: ['a:1.1.1.1']", "extra_hosts: ['a:1.1.1.1']"),
            (
                "extra_hosts: {a: 1.1.1.1}",
                "extra_hosts: ['a=2.2.2.2']",
                "extra_hosts: {a: [1.1.1.1, 2.2.2.2]}",
            ),
            ("cap_add: [A]", "cap_add: [A, B]", "cap_add: [A, B]"),
            (
                "networks: {default: {aliases: [x, y, x]}}",
                "networks: {default: {aliases: [y, z]}}",
                "networks: {default: {aliases: [x, y, z]}}",
            ),
            ("expose: [80]", "expose: ['80', 81]", "expose: [80, 81]"),
            ("devices: ['/dev/a:/dev/x']", "devices: ['/dev/b:/dev/x']", "devices: ['/dev/b:/dev/x']"),
            ("environment: {A: b}", "environment: {A: null}", "environment: {A: null}"),
            (
                "extra_hosts: {a: 1.1.1.1, b: 2.2.2.2}",
                "extra_hosts: {a: !reset null}",
                "extra_hosts: {b: 2.2.2.2}",
            ),
            (
                "extra_hosts: ['a=1.1.1.1']",
                "extra_hosts: !override ['b=2.2.2.2']",
                "extra_hosts: ['b=2.2.2.2']",
            ),
        ] {
            assert_eq!(merged(base, over).definition, alone(wanted).definition, "{base} | {over}");
        }
    }

    #[test]
    fn a_later_item_of_one_list_replaces_the_same_one() {
        for (repeated, wanted) in [
            ("volumes: ['./x:/x', './y:/x']", "volumes: ['./y:/x']"),
            ("networks: {default: {aliases: [x, x]}}", "networks: {default: {aliases: [x]}}"),
        ] {
            assert_eq!(alone(repeated).definition, alone(wanted).definition, "{repeated}");
        }
        let constraints =
            |items: &str| alone(&format!("deploy: {{placement: {{constraints: [{items}]}}}}")).definition;
        assert_ne!(constraints("a, a"), constraints("a"), "a list without names keeps its duplicates");
    }

    #[test]
    fn an_env_file_that_is_named_again_keeps_its_place() {
        let of = |over: &str| {
            let tree = FakeTree::new(&[
                ("blog/compose.yml", "services: {web: {image: a, env_file: [a.env, b.env]}}"),
                ("blog/compose.override.yml", &format!("services: {{web: {{{over}}}}}")),
                ("blog/a.env", "X=1"),
                ("blog/b.env", "X=2"),
            ]);
            web(&tree.load()).definition.clone()
        };
        assert_eq!(of("env_file: a.env"), of(""));
    }

    #[test]
    fn merging_two_lists_costs_as_much_as_they_are_long() {
        let list = |prefix: &str| {
            let items: Vec<String> = (0..1000).map(|number| format!("{prefix}{number}")).collect();
            format!("cap_add: [{}]", items.join(", "))
        };
        merged(&list("A"), &list("B"));
    }

    #[test]
    fn a_reset_value_is_absent_even_if_no_file_before_has_it() {
        assert_eq!(alone("ports: !reset ['80:80']").definition, alone("").definition);
        let health = alone("healthcheck: {test: x, retries: !reset 3}");
        assert_eq!(health.definition, alone("healthcheck: {test: x}").definition);
    }

    #[test]
    fn tags_of_an_extending_service_apply_to_the_files_before() {
        let tree = FakeTree::new(&[
            ("blog/compose.yml", "services: {web: {image: a, ports: ['80:80'], dns: [1.1.1.1]}}"),
            (
                "blog/compose.override.yml",
                "services: {common: {image: a, hostname: h}, \
                 web: {extends: common, ports: !reset [], dns: !override [2.2.2.2]}}",
            ),
        ]);
        assert_eq!(web(&tree.load()).definition, alone("hostname: h, dns: [2.2.2.2]").definition);
    }

    #[test]
    fn tags_of_an_extended_service_apply_to_it_alone() {
        let tree = FakeTree::new(&[
            (
                "blog/compose.yml",
                "services: {common: {image: c, ports: ['81:81']}, web: {image: a, ports: ['80:80']}}",
            ),
            ("blog/compose.override.yml", "services: {common: {ports: !reset []}, web: {extends: common}}"),
        ]);
        assert_eq!(web(&tree.load()).definition, alone("ports: ['80:80']").definition);
    }

    proptest! {
        #[test]
        fn an_override_wins_name_by_name(
            base in proptest::collection::btree_map("[A-D]", "[a-z]{0,3}", 0..4),
            over in proptest::collection::btree_map("[A-D]", "[a-z]{0,3}", 0..4),
        ) {
            let shown = |map: &std::collections::BTreeMap<String, String>| {
                let pairs: Vec<String> = map.iter().map(|(name, value)| format!("{name}: '{value}'")).collect();
                format!("environment: {{{}}}", pairs.join(", "))
            };
            let mut both = base.clone();
            both.extend(over.clone());
            prop_assert_eq!(merged(&shown(&base), &shown(&over)).definition, alone(&shown(&both)).definition);
        }
    }
}
