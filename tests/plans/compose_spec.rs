//! The compose reader and the JSON schema of the Compose Specification: it knows every key, and each on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ghdeploy::base::diagnostic::Diagnostic;
use ghdeploy::base::path::RootPath;
use ghdeploy::compose::model::{Project, Service};
use ghdeploy::compose::{self, Files, NodeKind};
use serde_json::{Value, json};

use super::spec::{Schema, document, keys};

/// A tree in which everything that examples name exists.
struct Tree(String);

impl Files for Tree {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        match path.as_str() {
            "" | "blog" | "blog/part" => Some(NodeKind::Dir),
            _ => self.read(path).ok().flatten().map(|_| NodeKind::File),
        }
    }

    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        let text = match path.as_str() {
            "blog/compose.yaml" => &self.0,
            "blog/part.yml" => "services: {one: {command: part}}",
            "blog/other.yml" => "services: {one: {command: other}}",
            "blog/one" => "A=\"1\"",
            "blog/two" => "A=\"2\"",
            _ => return Ok(None),
        };
        Ok(Some(Arc::from(text.as_bytes())))
    }

    fn shown(&self, path: &RootPath) -> String {
        path.to_string()
    }
}

fn load(top: &Value) -> Project {
    let tree = Tree(document(top).to_string());
    compose::load(&tree, &RootPath::new("blog").unwrap(), "/srv/services")
}

/// What is wrong in a compose file. An unknown key counts, although it is a warning.
fn wrong(top: &Value) -> Vec<String> {
    let project = load(top);
    let counts = |found: &&Diagnostic| found.is_error() || found.message.contains("unknown key");
    let shown =
        |found: &Diagnostic| format!("{} {}", found.message, found.help.as_deref().unwrap_or_default());
    project.diagnostics.iter().filter(counts).map(shown).collect()
}

fn expect_none(found: Vec<String>) {
    assert!(found.is_empty(), "{} of them:\n{}", found.len(), found.join("\n"));
}

#[test]
fn examples_are_what_the_schema_allows() {
    let schema = Schema::read();
    let validator = jsonschema::validator_for(&schema.root).unwrap();
    let mut found = Vec::new();
    for place in schema.places() {
        for value in place.examples(&schema) {
            let document = document(&place.with(&value));
            if let Err(why) = validator.validate(&document) {
                found.push(format!("{}: {value}: {why}", place.path));
            }
        }
    }
    expect_none(found);
}

/// Values that the schema allows, and at which Compose crashes.
const CRASHES: &[&str] = &["build.additional_contexts.*: null", "pid: null"];

#[test]
fn everything_that_the_schema_allows_is_accepted() {
    let schema = Schema::read();
    let mut found = Vec::new();
    for place in schema.places() {
        for value in place.examples(&schema) {
            let said = format!("{}: {value}", place.path);
            let wrong = wrong(&place.with(&value));
            let is_accepted = wrong.is_empty() || CRASHES.iter().any(|crash| said.ends_with(crash));
            if !is_accepted {
                found.push(format!("{said}: {}", wrong.join("; ")));
            }
        }
    }
    expect_none(found);
}

#[test]
fn a_key_that_the_schema_does_not_have_is_called_unknown() {
    let schema = Schema::read();
    let mut found = Vec::new();
    for place in schema.places() {
        for one in &place.alternatives {
            let is_closed =
                ["additionalProperties", "unevaluatedProperties"].iter().any(|key| one[*key] == false);
            let named: Vec<&str> = keys(one).filter_map(|(key, _)| key).collect();
            if !is_closed || named.is_empty() {
                continue;
            }
            let value = schema.least(&place.path, one);
            let with = |key: &str| {
                let mut value = value.clone();
                value[key] = json!("one");
                wrong(&place.with(&value)).join("; ")
            };
            if !with("quantum").contains("unknown key `quantum`") {
                found.push(format!("{}: quantum: {}", place.path, with("quantum")));
            }
            // A typo in the middle of the longest key.
            let longest = named.iter().max_by_key(|key| key.len()).unwrap();
            let (start, end) = longest.split_at(longest.len() / 2);
            let typo = format!("{start}q{end}");
            if longest.len() >= 4 && !with(&typo).contains(&format!("did you mean `{longest}`?")) {
                found.push(format!("{}: {typo}: {}", place.path, with(&typo)));
            }
        }
    }
    expect_none(found);
}

#[test]
fn a_mapping_without_a_key_that_it_needs_is_an_error() {
    let schema = Schema::read();
    let mut found = Vec::new();
    for place in schema.places() {
        for one in &place.alternatives {
            for key in one["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let mut value = schema.least(&place.path, one);
                value.as_object_mut().unwrap().remove(key);
                let wrong = wrong(&place.with(&value)).join("; ");
                if wrong.is_empty() {
                    found.push(format!("{} without `{key}`: {value}", place.path));
                }
            }
        }
    }
    expect_none(found);
}

#[test]
fn a_value_of_a_shape_that_the_schema_does_not_allow_is_an_error() {
    let schema = Schema::read();
    let mut found = BTreeSet::new();
    for place in schema.places() {
        if place.path.is_empty() {
            continue;
        }
        let scalar = ["string", "number", "integer", "boolean"].iter().any(|kind| place.takes(kind));
        for (is_allowed, value) in [
            (scalar, json!("one")),
            (place.takes("array"), json!(["one"])),
            (place.takes("object"), json!({"one": "one"})),
        ] {
            let said = format!("{}: {value}", place.path);
            if !is_allowed && wrong(&place.with(&value)).is_empty() {
                found.insert(said);
            }
        }
    }
    expect_none(found.into_iter().collect());
}

/// What differs between two projects. Of a service: `definition` (an `up`), `recreate` (which Compose does not see),
/// `build`, the `files` that it reads, its `image` and others that it needs, `pull`, `ports`, `scale`, `order` (what it
/// waits for), `shares` (whose namespaces and volumes it uses), `active` (profiles), `end` (the restart policy), `names` (of
/// containers), `provider`. Of all: `services` (which there are), `project` (its name), `resources` (networks and volumes).
fn differences(one: &Project, other: &Project) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let names: BTreeSet<&String> = one.services.keys().chain(other.services.keys()).collect();
    for name in names {
        let (Some(a), Some(b)) = (one.services.get(name), other.services.get(name)) else {
            found.insert("services");
            continue;
        };
        let images = |service: &Service| -> Vec<String> {
            service.other_images.iter().map(|other| other.image.clone()).collect()
        };
        let paths = |service: &Service| -> Vec<String> {
            let reads = service.reads.iter().map(|read| format!("{:?} {}", read.how, read.path));
            reads.chain(service.host_binds.iter().map(|(path, _)| path.clone())).collect()
        };
        for (word, differs) in [
            ("definition", a.definition != b.definition),
            ("recreate", a.unhashed != b.unhashed),
            ("build", a.build != b.build),
            ("files", paths(a) != paths(b)),
            ("image", (&a.image, &a.platform) != (&b.image, &b.platform)),
            ("image", images(a) != images(b)),
            ("provider", a.provider != b.provider),
            ("pull", a.pull_policy != b.pull_policy),
            ("ports", a.ports != b.ports),
            ("scale", a.scale != b.scale),
            ("order", a.depends_on != b.depends_on),
            ("shares", a.shares != b.shares),
            ("active", a.active != b.active),
            ("end", a.restart != b.restart),
            (
                "names",
                a.container_name.as_ref().map(|(name, _)| name)
                    != b.container_name.as_ref().map(|(name, _)| name),
            ),
        ] {
            if differs {
                found.insert(word);
            }
        }
    }
    let settings = |project: &Project| -> Vec<String> {
        project
            .resources
            .iter()
            .map(|resource| format!("{} {:?} {}", resource.name, resource.settings, resource.is_external))
            .collect()
    };
    let files = |project: &Project| -> Vec<RootPath> {
        project.definition_files.iter().map(|file| file.path.clone()).collect()
    };
    for (word, differs) in [
        ("project", one.name != other.name),
        ("resources", settings(one) != settings(other) || one.owned_networks != other.owned_networks),
        ("files", files(one) != files(other)),
    ] {
        if differs {
            found.insert(word);
        }
    }
    found
}

/// The effect of every key whose values the schema describes: what differs if its value does (see [`differences`]), the
/// keys that lead to it, and the keys. Those of a container of `pre_start` are a part of the definition unless they are
/// here; a job has no effect.
const CLASSES: &[(&str, &str, &str)] = &[
    ("", "", "version"),
    ("", "configs.*", "external external.name labels.* labels.[] name template_driver"),
    ("", "models.*", "name"),
    ("", "secrets.*", "driver driver_opts.* external external.name labels.* labels.[] name template_driver"),
    ("", "services.*", "env_file.[].required"),
    ("active", "services.*", "profiles.[]"),
    (
        "build",
        "services.*.build",
        "args.* args.[] cache_from.[] cache_to.[] dockerfile_inline entitlements.[] extra_hosts.* \
         extra_hosts.*.[] extra_hosts.[] isolation labels.* labels.[] network no_cache no_cache_filter \
         no_cache_filter.[] platforms.[] privileged provenance pull sbom secrets.[].gid secrets.[].mode \
         secrets.[].target secrets.[].uid shm_size ssh.* ssh.[] tags.[] target ulimits.* ulimits.*.hard \
         ulimits.*.soft",
    ),
    ("build files", "services.*", "build"),
    (
        "build files",
        "services.*.build",
        "additional_contexts.* additional_contexts.[] context dockerfile secrets.[] secrets.[].source",
    ),
    ("definition", "models.*", "context_size model runtime_flags.[]"),
    (
        "definition",
        "networks.*",
        "enable_ipv4 ipam.config.[].aux_addresses.* ipam.config.[].gateway ipam.config.[].ip_range \
         ipam.driver ipam.options.*",
    ),
    (
        "definition",
        "services.*",
        "annotations.* annotations.[] attach cap_add.[] cap_drop.[] cgroup cgroup_parent command command.[] \
         configs.[].gid configs.[].mode configs.[].uid cpu_count cpu_percent cpu_period cpu_quota \
         cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec.config credential_spec.file \
         credential_spec.registry device_cgroup_rules.[] devices.[] devices.[].permissions devices.[].source \
         devices.[].target dns dns.[] dns_opt.[] dns_search dns_search.[] domainname entrypoint entrypoint.[] \
         env_file.[].format environment.* environment.[] expose.[] extends extends.service external_links.[] \
         extra_hosts.* extra_hosts.*.[] extra_hosts.[] gpus group_add.[] pull_refresh_after hostname init ipc isolation labels.* \
         labels.[] logging.driver logging.options.* mac_address mem_limit mem_reservation mem_swappiness \
         memswap_limit models.*.endpoint_var models.*.model_var models.[] network_mode oom_kill_disable \
         oom_score_adj pid pids_limit privileged provider.options.* provider.options.*.[] read_only runtime \
         secrets.[].gid secrets.[].mode secrets.[].uid security_opt.[] shm_size stdin_open stop_grace_period \
         stop_signal sysctls.* sysctls.[] tmpfs tmpfs.[] tty ulimits.* ulimits.*.hard ulimits.*.soft umask \
         use_api_socket user userns_mode uts working_dir",
    ),
    (
        "definition",
        "services.*.blkio_config",
        "device_read_bps.[].path device_read_bps.[].rate device_read_iops.[].path device_read_iops.[].rate \
         device_write_bps.[].path device_write_bps.[].rate device_write_iops.[].path \
         device_write_iops.[].rate weight weight_device.[].path weight_device.[].weight",
    ),
    (
        "definition",
        "services.*.deploy",
        "endpoint_mode labels.* labels.[] mode placement.constraints.[] placement.max_replicas_per_node \
         placement.preferences.[].spread resources.limits.cpus resources.limits.memory resources.limits.pids \
         resources.reservations.cpus resources.reservations.devices.[].capabilities.[] \
         resources.reservations.devices.[].count resources.reservations.devices.[].device_ids.[] \
         resources.reservations.devices.[].driver resources.reservations.devices.[].options.* \
         resources.reservations.devices.[].options.[] \
         resources.reservations.generic_resources.[].discrete_resource_spec.kind \
         resources.reservations.generic_resources.[].discrete_resource_spec.value \
         resources.reservations.memory restart_policy.delay restart_policy.max_attempts restart_policy.window \
         rollback_config.delay rollback_config.failure_action rollback_config.max_failure_ratio \
         rollback_config.monitor rollback_config.order rollback_config.parallelism update_config.delay \
         update_config.failure_action update_config.max_failure_ratio update_config.monitor \
         update_config.order update_config.parallelism",
    ),
    (
        "definition",
        "services.*.develop.watch.[]",
        "action exec.command exec.command.[] exec.environment.* exec.environment.[] exec.privileged exec.user \
         exec.working_dir ignore ignore.[] include include.[] initial_sync path target",
    ),
    ("definition", "services.*.gpus.[]", "capabilities.[] count device_ids.[] driver options.* options.[]"),
    (
        "definition",
        "services.*.healthcheck",
        "disable interval retries start_interval start_period test test.[] timeout",
    ),
    (
        "definition",
        "services.*.networks.*",
        "aliases.[] driver_opts.* gw_priority interface_name ipv4_address ipv6_address link_local_ips.[] \
         mac_address priority use_service_name_alias",
    ),
    ("definition", "services.*.ports.[]", "app_protocol host_ip mode name protocol target"),
    (
        "definition",
        "services.*.post_start.[]",
        "command command.[] environment.* environment.[] privileged user working_dir",
    ),
    (
        "definition",
        "services.*.pre_stop.[]",
        "command command.[] environment.* environment.[] privileged user working_dir",
    ),
    (
        "definition",
        "services.*.volumes.[]",
        "bind.create_host_path bind.propagation bind.recursive bind.selinux consistency image.subpath \
         read_only target tmpfs.mode tmpfs.size volume.labels.* volume.labels.[] volume.nocopy volume.subpath",
    ),
    ("definition end", "services.*", "restart"),
    ("definition end", "services.*.deploy", "restart_policy.condition"),
    ("definition files", "", "include.[]"),
    ("definition files", "include.[]", "path path.[]"),
    (
        "definition files",
        "services.*",
        "env_file env_file.[] env_file.[].path extends.file label_file label_file.[] pre_start.[].env_file \
         pre_start.[].env_file.[] pre_start.[].env_file.[].path pre_start.[].label_file \
         pre_start.[].label_file.[]",
    ),
    (
        "definition files recreate",
        "services.*",
        "configs.[] configs.[].source pre_start.[].configs.[] pre_start.[].configs.[].source \
         pre_start.[].secrets.[] pre_start.[].secrets.[].source secrets.[] secrets.[].source",
    ),
    ("definition files image recreate", "services.*", "pre_start.[].volumes.[].type volumes.[].type"),
    ("definition image", "services.*", "image platform pre_start.[].image"),
    ("definition names", "services.*", "container_name"),
    ("definition order", "services.*", "links.[]"),
    ("definition order shares", "services.*", "volumes_from.[]"),
    ("definition ports", "services.*", "ports.[]"),
    ("definition ports", "services.*.ports.[]", "published"),
    ("definition provider", "services.*", "provider.type"),
    (
        "definition recreate",
        "services.*",
        "configs.[].target pre_start.[].configs.[].target pre_start.[].secrets.[].target \
         pre_start.[].volumes.[] pre_start.[].volumes.[].source secrets.[].target",
    ),
    ("definition recreate resources", "networks.*", "external"),
    ("definition recreate resources", "services.*", "networks.[] volumes.[]"),
    ("definition recreate resources", "services.*.volumes.[]", "source"),
    ("definition recreate resources", "volumes.*", "external"),
    (
        "definition resources",
        "networks.*",
        "attachable driver driver_opts.* enable_ipv6 internal ipam.config.[].subnet labels.* labels.[]",
    ),
    ("definition resources", "volumes.*", "driver driver_opts.* labels.* labels.[]"),
    ("files", "include.[]", "env_file env_file.[] project_directory"),
    ("files recreate", "configs.*", "file"),
    ("files recreate", "secrets.*", "file"),
    (
        "order",
        "services.*",
        "depends_on.*.condition depends_on.*.required depends_on.*.restart depends_on.[]",
    ),
    ("project recreate resources", "", "name"),
    ("pull", "services.*", "pull_policy"),
    ("recreate", "configs.*", "content environment"),
    ("recreate", "secrets.*", "environment"),
    ("recreate resources", "networks.*", "external.name name"),
    ("recreate resources", "volumes.*", "external.name name"),
    ("scale", "services.*", "scale"),
    ("scale", "services.*.deploy", "replicas"),
];

#[test]
fn every_key_has_the_effect_that_it_should_have() {
    let join = |prefix: &str, key: &str| format!("{prefix}.{key}").trim_start_matches('.').to_owned();
    let mut classes: BTreeMap<String, &str> = BTreeMap::new();
    for (words, prefix, keys) in CLASSES {
        classes.extend(keys.split_whitespace().map(|key| (join(prefix, key), *words)));
    }
    let schema = Schema::read();
    let mut effects: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for place in schema.places() {
        let is_scalar = |one: &&Value| !matches!(one["type"].as_str(), Some("object" | "array" | "null"));
        for one in place.alternatives.iter().filter(is_scalar) {
            let examples = schema.examples(&place.path, one);
            let mut projects: Vec<Project> = examples.iter().map(|value| load(&place.with(value))).collect();
            if projects.len() == 1 {
                projects.push(load(&place.without()));
            }
            let effect = effects.entry(place.path.clone()).or_default();
            for pair in projects.windows(2) {
                effect.extend(differences(&pair[0], &pair[1]));
            }
        }
    }
    let mut found: Vec<String> = Vec::new();
    for (path, effect) in &effects {
        let effect = effect.iter().copied().collect::<Vec<_>>().join(" ");
        let wanted = match classes.remove(path) {
            Some(words) => words,
            None if path.starts_with("jobs.") => "",
            None if path.starts_with("services.*.pre_start.[].") => "definition",
            None => {
                found.push(format!("{path} has no class; its effect is `{effect}`"));
                continue;
            }
        };
        if wanted != effect {
            found.push(format!("{path} should have the effect `{wanted}`, not `{effect}`"));
        }
    }
    found.extend(classes.keys().map(|path| format!("{path} is not in the schema")));
    expect_none(found);
}
