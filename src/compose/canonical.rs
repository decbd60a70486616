//! Brings a service into its long form.
//!
//! Owns the equivalence of short and long syntax: in long form `environment` is a mapping even if it was
//! written as a list, a volume is a mapping with a type, a command is a list. Merging, hashing and the search
//! for files see only this form.

use std::rc::Rc;

use super::context::LoadContext;
use super::keys;
use super::scalar;
use super::short;
use super::words::ResourceKind;
use super::yaml::{Map, MapEntry, Mark, Node, Tag, Text, Value};

/// Returns the long form of a service.
pub(super) fn service(context: &mut LoadContext<'_>, name: &str, node: Node) -> Option<Map> {
    let at = node.at;
    let map = match node.value {
        Value::Map(map) => map,
        Value::Null => Map::new(),
        _ => {
            context.error(at, format!("service `{name}` must be a mapping, not {}", node.kind()));
            return None;
        }
    };
    let owner = format!("service `{name}`");
    keys::check(context, &map, keys::SERVICE, &owner);
    Some(each(map, |key, entry| attribute(context, &owner, key, entry)))
}

/// Returns the long form of a relative of a service: a hook, or a job.
pub(super) fn container(context: &mut LoadContext<'_>, owner: &str, node: Node) -> Node {
    let Node { at, tag, value } = node;
    let value = match value {
        Value::Map(map) => Value::Map(each(map, |key, node| attribute(context, owner, key, node))),
        other => other,
    };
    Node { at, tag, value }
}

/// Returns the long form of a network, volume, config, secret or model.
pub(super) fn resource(context: &mut LoadContext<'_>, kind: ResourceKind, name: &str, node: Node) -> Node {
    let Node { at, tag, value } = node;
    let owner = format!("{kind} `{name}`");
    let map = match value {
        Value::Map(map) => map,
        _ => return Node { at, tag, value: Value::Map(Map::new()) },
    };
    let known = match kind {
        ResourceKind::Network => keys::NETWORK,
        ResourceKind::Volume => keys::VOLUME,
        ResourceKind::Config | ResourceKind::Secret => keys::FILE_OBJECT,
        ResourceKind::Model => keys::MODEL,
    };
    keys::check(context, &map, known, &owner);
    let mut map = each(map, |key, entry| match key {
        "labels" | "driver_opts" => key_values(context, &owner, key, entry, false),
        _ => entry,
    });
    // The old form `external: {name: x}`.
    let old = map.get("external").and_then(|entry| entry.node.get("name").cloned());
    if let Some(entry) = map.get_mut("external") {
        let is_external = match &entry.node.value {
            Value::Map(_) => true,
            Value::Text(text) => scalar::boolean(&text.text).unwrap_or(false),
            _ => false,
        };
        entry.node.value = Value::Text(Text::quoted(if is_external { "true" } else { "false" }));
    }
    if let Some(name) = old {
        map.entry(Rc::from("name")).or_insert(MapEntry { at: name.at, node: name });
    }
    Node { at, tag, value: Value::Map(map) }
}

fn each(map: Map, mut change: impl FnMut(&str, Node) -> Node) -> Map {
    map.into_iter()
        .map(|(key, entry)| {
            let keep = entry.node.tag == Tag::Reset || key.starts_with("x-");
            let node = if keep { entry.node } else { change(&key, entry.node) };
            (key, MapEntry { at: entry.at, node })
        })
        .collect()
}

fn attribute(context: &mut LoadContext<'_>, owner: &str, key: &str, node: Node) -> Node {
    if matches!(node.value, Value::Null) {
        return node;
    }
    match key {
        "environment" => key_values(context, owner, key, node, true),
        "labels" | "annotations" | "sysctls" | "storage_opt" => key_values(context, owner, key, node, false),
        "command" | "entrypoint" => command(context, owner, key, node),
        "dns" | "dns_search" | "tmpfs" | "label_file" => strings(context, owner, key, node),
        "cap_add"
        | "cap_drop"
        | "device_cgroup_rules"
        | "dns_opt"
        | "expose"
        | "external_links"
        | "group_add"
        | "links"
        | "profiles"
        | "security_opt"
        | "volumes_from" => list(context, owner, key, node, |_, item| item),
        "ports" => ports(context, owner, node),
        "volumes" => list(context, owner, key, node, |context, item| volume(context, owner, item)),
        "devices" => list(context, owner, key, node, short::device),
        "configs" | "secrets" => {
            list(context, owner, key, node, |context, item| named(context, owner, key, item, "source"))
        }
        "env_file" => {
            let node = as_list(node);
            list(context, owner, key, node, |context, item| named(context, owner, key, item, "path"))
        }
        "networks" | "depends_on" | "models" => by_name(context, owner, key, node),
        "pre_start" | "post_start" | "pre_stop" => {
            list(context, owner, key, node, |context, item| container(context, owner, item))
        }
        "extra_hosts" => short::hosts(context, owner, node),
        "build" => build(context, owner, node),
        "healthcheck" => {
            nested(context, owner, key, keys::HEALTHCHECK, node, |context, key, node| match key {
                "test" => health_test(context, owner, node),
                _ => node,
            })
        }
        "logging" => nested(context, owner, key, keys::LOGGING, node, |context, key, node| match key {
            "options" => key_values(context, owner, "logging.options", node, false),
            _ => node,
        }),
        "deploy" => nested(context, owner, key, keys::DEPLOY, node, |context, key, node| match key {
            "labels" => key_values(context, owner, "deploy.labels", node, false),
            _ => node,
        }),
        _ => node,
    }
}

fn wrong(context: &mut LoadContext<'_>, owner: &str, key: &str, wanted: &str, node: &Node) {
    context.error(node.at, format!("{owner}: `{key}` must be {wanted}, not {}", node.kind()));
}

/// Returns a mapping from a mapping or a list of `KEY=value`. A name without a value stays null for
/// `environment`, which passes it on from outside; elsewhere it is empty.
fn key_values(context: &mut LoadContext<'_>, owner: &str, key: &str, node: Node, passes_on: bool) -> Node {
    let Node { at, tag, value } = node;
    let mut map = Map::new();
    match value {
        Value::Null => {}
        Value::Map(entries) => {
            for (name, entry) in entries {
                let node = match &entry.node.value {
                    _ if entry.node.tag == Tag::Reset => entry.node,
                    Value::Null if passes_on => entry.node,
                    Value::Null => Node::text(entry.node.at, ""),
                    Value::Text(text) => shown(&entry.node, text),
                    _ => {
                        let what = format!("{key}.{name}");
                        wrong(context, owner, &what, "a scalar", &entry.node);
                        continue;
                    }
                };
                map.insert(name, MapEntry { at: entry.at, node });
            }
        }
        Value::List(items) => {
            for item in items {
                let at = item.at;
                let Value::Text(text) = &item.value else {
                    wrong(context, owner, key, "a list of `KEY=value`", &item);
                    continue;
                };
                let text = text.clone();
                let (name, value) = match text.text.split_once('=') {
                    Some((name, value)) => {
                        (name, Value::Text(Text { text: Rc::from(value), plain: false, ..text.clone() }))
                    }
                    None if passes_on => (&*text.text, Value::Null),
                    None => (&*text.text, Value::Text(Text::quoted(""))),
                };
                map.insert(Rc::from(name), MapEntry { at, node: Node::new(at, value) });
            }
        }
        Value::Text(_) => {
            let node = Node { at, tag, value };
            wrong(context, owner, key, "a mapping or a list", &node);
        }
    }
    Node { at, tag, value: Value::Map(map) }
}

fn shown(node: &Node, text: &Text) -> Node {
    let text =
        Text { text: Rc::from(scalar::display(text)), plain: false, unknown: Rc::clone(&text.unknown) };
    Node { at: node.at, tag: node.tag, value: Value::Text(text) }
}

fn as_list(node: Node) -> Node {
    match node.value {
        Value::List(_) | Value::Null => node,
        _ => {
            let Node { at, tag, value } = node;
            Node { at, tag, value: Value::List(vec![Node::new(at, value)]) }
        }
    }
}

fn strings(context: &mut LoadContext<'_>, owner: &str, key: &str, node: Node) -> Node {
    list(context, owner, key, as_list(node), |_, item| item)
}

fn list(
    context: &mut LoadContext<'_>,
    owner: &str,
    key: &str,
    node: Node,
    mut change: impl FnMut(&mut LoadContext<'_>, Node) -> Node,
) -> Node {
    let Node { at, tag, value } = node;
    let Value::List(items) = value else {
        wrong(context, owner, key, "a list", &Node { at, tag, value });
        return Node { at, tag, value: Value::List(Vec::new()) };
    };
    let items = items
        .into_iter()
        .filter(|item| !matches!(item.value, Value::Null))
        .map(|item| change(context, item))
        .collect();
    Node { at, tag, value: Value::List(items) }
}

fn command(context: &mut LoadContext<'_>, owner: &str, key: &str, node: Node) -> Node {
    let Node { at, tag, value } = node;
    let items = match &value {
        Value::Text(text) => {
            let Some(words) = scalar::words(&text.text) else {
                context.error(at, format!("{owner}: `{key}` has an open quote"));
                return Node { at, tag, value: Value::List(Vec::new()) };
            };
            words
                .into_iter()
                .map(|word| Text { text: Rc::from(word), plain: false, unknown: Rc::clone(&text.unknown) })
                .map(|word| Node::new(at, Value::Text(word)))
                .collect()
        }
        Value::List(items) => items.clone(),
        _ => {
            wrong(context, owner, key, "a string or a list", &Node { at, tag, value });
            Vec::new()
        }
    };
    Node { at, tag, value: Value::List(items) }
}

fn health_test(context: &mut LoadContext<'_>, owner: &str, node: Node) -> Node {
    let Node { at, tag, value } = node;
    match value {
        Value::Text(_) => {
            let items = vec![Node::text(at, "CMD-SHELL"), Node::new(at, value)];
            Node { at, tag, value: Value::List(items) }
        }
        Value::List(_) => Node { at, tag, value },
        _ => {
            wrong(context, owner, "healthcheck.test", "a string or a list", &Node { at, tag, value });
            Node { at, tag, value: Value::List(Vec::new()) }
        }
    }
}

fn ports(context: &mut LoadContext<'_>, owner: &str, node: Node) -> Node {
    let node = list(context, owner, "ports", node, |_, item| item);
    let Node { at, tag, value } = node;
    let mut ports = Vec::new();
    if let Value::List(items) = value {
        for item in items {
            // A range is expanded below, unless the budget is spent.
            if !context.pay(1, item.at) {
                break;
            }
            match &item.value {
                Value::Text(text) => match short::ports(item.at, text) {
                    Some(found) if context.pay(4 * found.len(), item.at) => ports.extend(found),
                    Some(_) => {}
                    None => context.error(item.at, format!("{owner}: invalid port mapping")),
                },
                Value::Map(map) => {
                    keys::check(context, map, keys::PORT, owner);
                    let mut map = map.clone();
                    for (key, default) in [("protocol", "tcp"), ("mode", "ingress")] {
                        let node = Node::text(item.at, default);
                        map.entry(Rc::from(key)).or_insert(MapEntry { at: item.at, node });
                    }
                    ports.push(Node::new(item.at, Value::Map(map)));
                }
                _ => wrong(context, owner, "ports", "a list of ports", &item),
            }
        }
    }
    Node { at, tag, value: Value::List(ports) }
}

fn volume(context: &mut LoadContext<'_>, owner: &str, item: Node) -> Node {
    match &item.value {
        Value::Text(text) => match short::volume(item.at, text) {
            Ok(node) => node,
            Err(message) => {
                context.error(item.at, format!("{owner}: {message}"));
                Node::new(item.at, Value::Map(Map::new()))
            }
        },
        Value::Map(map) => {
            keys::check(context, map, keys::MOUNT, owner);
            if !map.contains_key("type") {
                context.error(item.at, format!("{owner}: a volume in long form needs a `type`"));
            }
            item
        }
        _ => {
            wrong(context, owner, "volumes", "a list of volumes", &item);
            Node::new(item.at, Value::Map(Map::new()))
        }
    }
}

/// Returns a mapping from a short form that is the value of one of its keys.
fn named(context: &mut LoadContext<'_>, owner: &str, key: &str, item: Node, short: &str) -> Node {
    match &item.value {
        Value::Text(_) => {
            let at = item.at;
            let map = Map::from([(Rc::from(short), MapEntry { at, node: item })]);
            Node::new(at, Value::Map(map))
        }
        Value::Map(_) => item,
        _ => {
            wrong(context, owner, key, "a list of names or mappings", &item);
            Node::new(item.at, Value::Map(Map::new()))
        }
    }
}

/// Returns a mapping by name from a mapping or a list of names, as in `networks` and `depends_on`.
fn by_name(context: &mut LoadContext<'_>, owner: &str, key: &str, node: Node) -> Node {
    let Node { at, tag, value } = node;
    let map = match value {
        Value::Map(map) => map,
        Value::List(items) => {
            let mut map = Map::new();
            for item in items {
                let Some(name) = item.as_str() else {
                    wrong(context, owner, key, "a list of names", &item);
                    continue;
                };
                let value = if key == "depends_on" { started(item.at) } else { Value::Null };
                map.insert(Rc::from(name), MapEntry { at: item.at, node: Node::new(item.at, value) });
            }
            map
        }
        _ => {
            wrong(context, owner, key, "a mapping or a list", &Node { at, tag, value });
            Map::new()
        }
    };
    Node { at, tag, value: Value::Map(map) }
}

fn started(at: Mark) -> Value {
    let condition = Node::text(at, "service_started");
    Value::Map(Map::from([(Rc::from("condition"), MapEntry { at, node: condition })]))
}

fn build(context: &mut LoadContext<'_>, owner: &str, node: Node) -> Node {
    let node = match &node.value {
        Value::Text(_) => {
            let tag = node.tag;
            let at = node.at;
            let map = Map::from([(Rc::from("context"), MapEntry { at, node })]);
            Node { at, tag, value: Value::Map(map) }
        }
        _ => node,
    };
    nested(context, owner, "build", keys::BUILD, node, |context, key, node| match key {
        "args" => key_values(context, owner, "build.args", node, true),
        "labels" | "additional_contexts" => key_values(context, owner, key, node, false),
        _ => node,
    })
}

fn nested(
    context: &mut LoadContext<'_>,
    owner: &str,
    key: &str,
    known: &[&str],
    node: Node,
    mut change: impl FnMut(&mut LoadContext<'_>, &str, Node) -> Node,
) -> Node {
    let Node { at, tag, value } = node;
    let map = match value {
        Value::Map(map) => {
            keys::check(context, &map, known, &format!("{owner}, `{key}`"));
            each(map, |key, node| change(context, key, node))
        }
        Value::Null => Map::new(),
        _ => {
            wrong(context, owner, key, "a mapping", &Node { at, tag, value });
            Map::new()
        }
    };
    Node { at, tag, value: Value::Map(map) }
}
