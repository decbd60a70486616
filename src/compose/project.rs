//! Assembles a project from its model.
//!
//! Owns the parts that concern several services: which of them are active, and the networks that they share
//! with other projects.

use std::collections::{BTreeMap, BTreeSet};

use super::Files;
use super::context::LoadContext;
use super::discover;
use super::hooks;
use super::load::{Loader, Model};
use super::merge;
use super::model::{Port, Project, Resource, Service};
use super::service::{self, ProjectScope};
use super::settings;
use super::words::MountType;
use super::yaml::{Map, Node, Value};

use crate::base::diagnostic::Diagnostic;
use crate::base::path::RootPath;

/// Number of services of a circle that a message names.
const MAX_SHOWN: usize = 20;

/// Loads the project in `dir`.
pub(super) fn load(files: &dyn Files, dir: &RootPath, root: &str) -> Project {
    let mut context = LoadContext::new(files, root);
    let found = discover::discover(&mut context, dir, root);
    let mut loader = Loader::new(&mut context, found.variables.clone());
    let mut model = loader.load(&found.files, &found.base, &|_| found.named_at, &[]);
    for definition in model.services.values_mut() {
        merge::settle(&mut definition.body);
    }
    if found.files.is_empty() {
        let shown = files.shown(dir);
        context.note(Diagnostic::error(format!("there is no compose file in {shown}"), None));
    } else if !model.services.is_empty() {
        for diagnostic in std::mem::take(&mut context.without_services) {
            context.note(diagnostic);
        }
    }
    if model.services.is_empty() && !context.remote_includes.is_empty() {
        let message =
            "every service of the project comes from a remote `include`, so a deploy would start none";
        let help = "put the files into the repository, or define the services here that are to run";
        context.note(Diagnostic::error(message, None).help(help));
    }
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    let mut shared = ProjectScope::new(&found.name, &model, &found.variables);
    for (name, definition) in &model.services {
        let read = service::read(&mut context, &mut shared, name, definition);
        services.insert(name.to_string(), read);
    }
    activate(&model, &found.profiles, &mut services);
    check_dependencies(&services, &mut context);
    check_copies(&model, &services, &mut context);
    let settings = settings::project(&mut context, model.settings.as_ref());
    let names: Vec<&str> = services.keys().map(String::as_str).collect();
    hooks::check(&mut context, &settings.hooks, &names);
    let resources = resources(&context, &found.name, &model, &services);
    let (owned_networks, external_networks) = networks(&found.name, &model, &services);
    let follows_host = context.follows_host();
    let undefined_variables = context.undefined_variables();
    let mut definition_files = context.definition_files;
    let mut places: BTreeMap<&RootPath, usize> = BTreeMap::new();
    for (place, path) in found.files.iter().enumerate() {
        places.entry(path).or_insert(place);
    }
    definition_files.sort_by_key(|file| places.get(&file.path).copied().unwrap_or(usize::MAX));
    Project {
        dir: dir.clone(),
        name: found.name,
        name_at: found.name_at,
        named_in: found.named_in,
        compose_files: found.files.clone(),
        are_named: found.named_at.is_some(),
        follows_host,
        working_dir: found.base,
        definition_files,
        included: context.included,
        options: found.options,
        env_files: found.env_files,
        services,
        owned_networks,
        external_networks,
        resources,
        undefined_variables,
        settings,
        diagnostics: context.diagnostics,
    }
}

/// Marks the services that a plain `up` starts: those without profiles or with an active one.
fn activate(model: &Model, profiles: &BTreeSet<String>, services: &mut BTreeMap<String, Service>) {
    let mut pending: Vec<String> = Vec::new();
    for (name, definition) in &model.services {
        let own: Vec<&str> = definition
            .body
            .get("profiles")
            .and_then(|entry| entry.node.as_list())
            .map(|items| items.iter().filter_map(Node::as_str).collect())
            .unwrap_or_default();
        let is_on = |profile: &&str| profiles.contains("*") || profiles.contains(*profile);
        if own.is_empty() || own.iter().any(is_on) {
            pending.push(name.to_string());
        }
    }
    for name in pending {
        if let Some(service) = services.get_mut(&name) {
            service.active = true;
        }
    }
}

/// Reports circles of dependencies, and active services that depend on an inactive one. Compose refuses both.
fn check_dependencies(services: &BTreeMap<String, Service>, context: &mut LoadContext<'_>) {
    for (name, service) in services.iter().filter(|(_, service)| service.active) {
        for (needed, wait) in &service.depends_on {
            if wait.required && services.get(needed).is_some_and(|needed| !needed.active) {
                let message =
                    format!("service `{name}` depends on `{needed}`, whose profiles are not active");
                let help = format!("give `{name}` the same profiles, or write `required: false`");
                context.note(Diagnostic::error(message, Some(service.at.clone())).help(help));
            }
        }
    }
    // Removes services without open dependencies until only circles and what depends on them are left.
    let mut waiting: BTreeMap<&str, BTreeSet<&str>> = services
        .iter()
        .map(|(name, service)| {
            let known = service.depends_on.keys().filter(|needed| services.contains_key(*needed));
            (name.as_str(), known.map(String::as_str).collect())
        })
        .collect();
    let mut waited_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, needs) in &waiting {
        needs.iter().for_each(|needed| waited_by.entry(needed).or_default().push(name));
    }
    let mut free: Vec<&str> =
        waiting.iter().filter(|(_, needs)| needs.is_empty()).map(|(name, _)| *name).collect();
    while let Some(name) = free.pop() {
        waiting.remove(name);
        for waiter in waited_by.get(name).into_iter().flatten() {
            if let Some(needs) = waiting.get_mut(waiter)
                && needs.remove(name)
                && needs.is_empty()
            {
                free.push(waiter);
            }
        }
    }
    // A walk from any of them ends in a circle.
    let Some((first, _)) = waiting.first_key_value() else { return };
    let mut chain: Vec<&str> = vec![first];
    let mut places = BTreeMap::from([(*first, 0)]);
    while let Some(next) = chain.last().and_then(|last| waiting.get(last)).and_then(BTreeSet::first) {
        if let Some(start) = places.insert(next, chain.len()) {
            let mut circle = chain.split_off(start);
            circle.push(next);
            let at = services.get(*next).map(|service| service.at.clone());
            if circle.len() > MAX_SHOWN {
                circle.splice(MAX_SHOWN / 2..circle.len() - MAX_SHOWN / 2, ["…"]);
            }
            let message = format!("services depend on each other in a circle: {}", circle.join(" -> "));
            context.note(Diagnostic::error(message, at));
            return;
        }
        chain.push(next);
    }
}

/// Reports services of several containers that want what only one of them can have: a name, which Compose refuses,
/// and fixed ports of the host, of which Docker gives each to one container.
fn check_copies(model: &Model, services: &BTreeMap<String, Service>, context: &mut LoadContext<'_>) {
    for (name, service) in services.iter().filter(|(_, service)| service.active) {
        let Some(copies) = service.scale.filter(|scale| *scale > 1) else { continue };
        if let Some((_, at)) = &service.container_name {
            let message = format!(
                "service `{name}` has {copies} containers, and only one can have its `container_name`"
            );
            let help = "leave `container_name` out, or have one container";
            context.note(Diagnostic::error(message, Some(at.clone())).help(help));
        }
        // With the network of another container or of the host, none is published.
        let body = model.services.get(name.as_str()).map(|definition| &definition.body);
        if body.is_some_and(|body| body.contains_key("network_mode")) {
            continue;
        }
        for (place, port) in service.ports.iter().enumerate() {
            let is_same = |other: &&Port| {
                (&other.host_ip, other.first, other.last, &other.protocol)
                    == (&port.host_ip, port.first, port.last, &port.protocol)
            };
            // Each of several entries of one range takes one port of it.
            let needed = u64::from(copies) * service.ports.iter().filter(is_same).count() as u64;
            let is_repeated = service.ports.iter().take(place).any(|other| is_same(&other));
            let there = u64::from(port.last.saturating_sub(port.first)) + 1;
            if needed > there && !is_repeated {
                let ports = match port.first == port.last {
                    true => format!("port {}/{}", port.first, port.protocol),
                    false => format!("ports {}-{}/{}", port.first, port.last, port.protocol),
                };
                let message = format!(
                    "service `{name}` has {copies} containers, which cannot all publish {ports} of the host"
                );
                let help = format!(
                    "publish a range of as many ports, such as \"8000-{}:80\", or none and let a proxy reach the containers",
                    7999 + copies
                );
                context.note(Diagnostic::error(message, Some(port.at.clone())).help(help));
            }
        }
    }
}

/// Returns the volumes that active services use, and their networks that are external or have settings.
fn resources(
    context: &LoadContext<'_>,
    project: &str,
    model: &Model,
    services: &BTreeMap<String, Service>,
) -> Vec<Resource> {
    let mut used: BTreeSet<(&'static str, &str)> = BTreeSet::new();
    let is_active = |name: &str| services.get(name).is_some_and(|service| service.active);
    for (_, definition) in model.services.iter().filter(|(name, _)| is_active(name)) {
        used.extend(service::network_keys(&definition.body).into_iter().map(|key| ("network", key)));
        let mounts = definition.body.get("volumes").and_then(|entry| entry.node.as_list()).unwrap_or(&[]);
        let named =
            mounts.iter().filter_map(Node::as_map).filter(|mount| MountType::of(mount) == MountType::Volume);
        let sources = named.filter_map(|mount| mount.get("source").and_then(|entry| entry.node.as_str()));
        used.extend(sources.map(|key| ("volume", key)));
    }
    let mut resources = Vec::new();
    for (kind, key) in used {
        let entries = if kind == "network" { &model.networks } else { &model.volumes };
        let Some((_, entry)) = entries.get_key_value(key) else { continue };
        let node = &entry.node;
        let is_external = service::is_external(node);
        let settings = if is_external { Vec::new() } else { resource_settings(node) };
        if kind == "network" && !is_external && settings.is_empty() {
            continue;
        }
        resources.push(Resource {
            kind,
            key: key.to_owned(),
            name: service::docker_name_of(project, key, node),
            is_named_by_host: node.get("name").is_some_and(|name| context.asks_host(name)),
            name_written: node.get("name").and_then(|name| Some(context.quote(name.at, name.as_str()?))),
            is_external,
            settings,
            at: Some(context.location(entry.at)),
        });
    }
    resources
}

/// Returns the settings of a network or volume that Docker can be asked for.
fn resource_settings(node: &Node) -> Vec<(String, Option<String>)> {
    let text = |node: &Node| match &node.value {
        Value::Text(text) => Some((text.unknown.is_empty()).then(|| text.text.to_string())),
        _ => None,
    };
    let mut settings = Vec::new();
    for key in ["driver", "internal", "attachable", "enable_ipv6"] {
        if let Some(value) = node.get(key).and_then(text) {
            settings.push((key.to_owned(), value));
        }
    }
    for map in ["driver_opts", "labels"] {
        for (key, entry) in node.get(map).and_then(Node::as_map).into_iter().flatten() {
            if let Some(value) = text(&entry.node) {
                settings.push((format!("{map}.{key}"), value));
            }
        }
    }
    let pools = node.get("ipam").and_then(|ipam| ipam.get("config")).and_then(Node::as_list).unwrap_or(&[]);
    let subnets = pools.iter().filter_map(|pool| pool.get("subnet").and_then(text));
    settings.extend(subnets.map(|subnet| ("subnet".to_owned(), subnet)));
    settings
}

/// Returns the names of the networks that active services create, and of the external ones that they need.
fn networks(
    project: &str,
    model: &Model,
    services: &BTreeMap<String, Service>,
) -> (Vec<String>, Vec<String>) {
    let mut owned = BTreeSet::new();
    let mut external = BTreeSet::new();
    let none =
        Node::new(super::yaml::Mark { source: 0, line: 1, column: 1 }, super::yaml::Value::Map(Map::new()));
    for (name, definition) in &model.services {
        if !services.get(&**name).is_some_and(|service| service.active) {
            continue;
        }
        for key in service::network_keys(&definition.body) {
            let node = model.networks.get(key).map_or(&none, |entry| &entry.node);
            let docker = service::docker_name_of(project, key, node);
            if service::is_external(node) {
                external.insert(docker)
            } else {
                owned.insert(docker)
            };
        }
    }
    (owned.into_iter().collect(), external.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeTree, messages, project, web};

    #[test]
    fn profiles_decide_what_is_active() {
        let compose = "services: {web: {image: a}, debug: {image: b, profiles: [debug, dev]}}";
        let active = |dotenv: &str| {
            let project = FakeTree::new(&[("blog/compose.yml", compose), ("blog/.env", dotenv)]).load();
            web(&project);
            project.services["debug"].active
        };
        assert!(!active(""));
        assert!(active("COMPOSE_PROFILES=x, dev"));
        assert!(active("COMPOSE_PROFILES=*"));
        assert!(!active("COMPOSE_PROFILES=other"));
    }

    #[test]
    fn own_and_external_networks_are_distinguished() {
        let project = project(
            "services: {web: {image: a, networks: [front, web, named]}, b: {image: b}, \
             off: {image: c, networks: [unused], profiles: [x]}, host: {image: d, network_mode: host}}\n\
             networks: {front: {}, web: {external: true}, named: {external: true, name: other}, unused: {}, lone: {}}",
        );
        web(&project);
        assert_eq!(project.owned_networks, ["blog_default", "blog_front"]);
        assert_eq!(project.external_networks, ["other", "web"]);
    }

    #[test]
    fn circular_and_inactive_dependencies_are_errors() {
        let found = messages(&project(
            "services: {a: {image: a, depends_on: [b]}, b: {image: b, depends_on: [c]}, \
             c: {image: c, depends_on: [b]}, d: {image: d, depends_on: [e]}, e: {image: e, profiles: [x]}}",
        ));
        assert!(found[0].contains("service `d` depends on `e`, whose profiles are not active"), "{found:?}");
        assert!(found[1].ends_with("services depend on each other in a circle: b -> c -> b"), "{found:?}");
    }

    #[test]
    fn several_containers_need_several_ports_and_no_name() {
        let name = "service `web` has 2 containers, and only one can have its `container_name`";
        let port = |ports: &str| {
            format!("service `web` has 2 containers, which cannot all publish {ports} of the host")
        };
        for (attributes, said) in [
            ("scale: 2, container_name: x", Some(name.to_owned())),
            ("deploy: {replicas: 2}, container_name: x", Some(name.to_owned())),
            ("scale: 2, container_name: x, profiles: [off]", None),
            ("scale: 1, container_name: x, ports: ['80:80']", None),
            ("scale: 0, container_name: x", None),
            ("scale: '${N}', container_name: x", None),
            ("scale: '${N:-2}', container_name: x", None),
            ("scale: 2, container_name: '${X}'", None),
            ("scale: 2, ports: ['80:80']", Some(port("port 80/tcp"))),
            ("deploy: {replicas: 2}, ports: ['127.0.0.1:53:53/udp']", Some(port("port 53/udp"))),
            ("scale: 2, ports: ['8000-8001:80-81']", Some(port("port 8000/tcp"))),
            ("scale: 2, ports: ['8000-8010:80']", None),
            ("scale: 2, ports: ['8000-8001:80']", None),
            ("scale: 2, ports: ['8000-8002:80', '8000-8002:81']", Some(port("ports 8000-8002/tcp"))),
            ("scale: 2, ports: ['8000-8003:80', '8000-8003:81']", None),
            ("scale: 2, ports: ['80']", None),
            ("scale: 2, ports: ['${P}:80']", None),
            ("scale: 2, ports: [{target: 80, published: '80'}]", Some(port("port 80/tcp"))),
            ("scale: 2, ports: ['80:80'], network_mode: host", None),
            ("scale: 2, ports: ['80:80'], profiles: [off]", None),
        ] {
            let found = messages(&project(&format!(
                "services: {{web: {{image: a, {attributes}}}, b: {{image: b}}}}"
            )));
            let found: Vec<&String> =
                found.iter().filter(|message| message.contains("2 containers")).collect();
            match said {
                None => assert_eq!(found, [""; 0], "{attributes}"),
                Some(said) => {
                    assert!(found[0].contains(&said), "{attributes}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn a_number_of_containers_is_a_whole_number() {
        let wrong = |key: &str| format!("service `web`: `{key}` is not a number of containers");
        for (attributes, said) in [
            ("scale: lots", Some(wrong("scale"))),
            ("scale: -1", Some(wrong("scale"))),
            ("scale: 1.5", Some(wrong("scale"))),
            ("scale: ''", Some("service `web`: `scale` is an empty text".to_owned())),
            ("scale: true", Some(wrong("scale"))),
            ("deploy: {replicas: lots}", Some(wrong("deploy.replicas"))),
            ("deploy: {replicas: -2}", Some(wrong("deploy.replicas"))),
            ("scale: '2'", None),
            ("scale: 2.0", None),
            ("scale: '${N}'", None),
            ("scale: '${N:-lots}'", None),
            ("scale: 2, deploy: {replicas: 2}", None),
            ("scale: 2, deploy: {}", None),
            (
                "scale: 2, deploy: {replicas: 3}",
                Some("service `web`: `scale` and `deploy.replicas` have different values".to_owned()),
            ),
        ] {
            let found = messages(&project(&format!("services: {{web: {{image: a, {attributes}}}}}")));
            match said {
                None => assert_eq!(found, [""; 0], "{attributes}"),
                Some(said) => {
                    assert!(found.len() == 1 && found[0].contains(&said), "{attributes}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn a_long_circle_is_shown_without_its_middle() {
        let circle = |length: usize| {
            let service = |i: usize| format!("s{i:02}: {{image: a, depends_on: [s{:02}]}}", (i + 1) % length);
            let services: Vec<String> = (0..length).map(service).collect();
            let found = messages(&project(&format!("services: {{{}}}", services.join(", "))));
            found[0].rsplit_once(": ").unwrap().1.to_owned()
        };
        let names = |range: std::ops::Range<usize>| range.map(|i| format!("s{i:02} -> ")).collect::<String>();
        assert_eq!(circle(30), format!("{}… -> {}s00", names(0..10), names(21..30)));
        assert_eq!(circle(19), format!("{}s00", names(0..19)));
    }

    #[test]
    fn the_files_of_the_model_are_listed_with_the_main_one_first() {
        let tree = FakeTree::new(&[
            ("blog/compose.override.yml", "services: {web: {hostname: h}}"),
            (
                "blog/compose.yaml",
                "include: [part.yml]\nservices: {web: {extends: {file: ../shared/base.yml, service: base}}}",
            ),
            ("blog/part.yml", "services: {part: {image: p}}"),
            ("shared/base.yml", "services: {base: {image: a}}"),
        ]);
        let project = tree.load();
        let files: Vec<String> =
            project.definition_files.iter().map(|file| format!("{} {}", file.path, file.present)).collect();
        assert_eq!(
            files,
            [
                "blog/compose.yaml true",
                "blog/compose.override.yml true",
                "blog/.env false",
                "shared/base.yml true",
                "blog/part.yml true",
            ]
        );
        let places: Vec<String> = web(&project).defined_at.iter().map(ToString::to_string).collect();
        assert_eq!(
            places,
            [
                "services/blog/compose.yaml:2:12",
                "services/shared/base.yml:1:12",
                "services/blog/compose.override.yml:1:12",
            ]
        );
    }

    #[test]
    fn a_folder_without_a_compose_file_is_an_error() {
        let found = messages(&FakeTree::new(&[("blog/readme", "")]).load());
        assert_eq!(found, [": there is no compose file in services/blog"]);
    }
}
