//! Finds values that Compose refuses because of their shape: a key without a value, an empty text where a
//! number is wanted, a list where a mapping is wanted.
//!
//! Owns the shapes that Compose accepts for each key. What it refuses in all versions is an error, so the table
//! is wider than the schema of any one of them
//! (<https://github.com/compose-spec/compose-go/blob/main/schema/compose-spec.json>). Whether a text is a valid
//! number or duration is not decided here.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::LazyLock;

use super::context::{LoadContext, WrongShape};
use super::keys;
use super::scalar::timestamp;
use super::yaml::{Map, MapEntry, Mark, Node, Tag, Value};
use crate::base::diagnostic::Diagnostic;

/// No value at all.
const NULL: u8 = 1;
/// A scalar that is not empty.
const SCALAR: u8 = 2;
/// An empty text.
const EMPTY: u8 = 4;
/// A list, which may be empty.
const LIST: u8 = 8;
/// A mapping that is not empty.
const FILLED: u8 = 16;
/// An empty mapping.
const BARE: u8 = 32;
const TEXT: u8 = SCALAR | EMPTY;
const MAP: u8 = FILLED | BARE;

/// Shapes by key, of all keys that have a shape here. `*` is any key, `[]` an item of a list.
const TABLE: &[(&str, u8, &str)] = &[
    ("top", TEXT, "name version"),
    ("top", MAP, "configs jobs models networks secrets services volumes"),
    ("top", LIST | NULL, "include"),
    (
        "service",
        TEXT,
        "cgroup_parent container_name cpuset domainname hostname ipc isolation mac_address network_mode pid \
         platform pull_refresh_after restart runtime stop_signal user userns_mode uts working_dir",
    ),
    (
        "service",
        SCALAR,
        "attach cgroup cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus \
         image init mem_limit mem_reservation mem_swappiness memswap_limit oom_kill_disable oom_score_adj \
         pids_limit privileged pull_policy read_only scale shm_size stdin_open stop_grace_period tty \
         use_api_socket",
    ),
    ("service", SCALAR | NULL, "umask"),
    ("service", SCALAR | FILLED, "extends"),
    ("service", TEXT | LIST | NULL, "command entrypoint"),
    ("service", TEXT | LIST, "dns dns_search tmpfs"),
    ("service", SCALAR | LIST, "env_file gpus label_file"),
    ("service", TEXT | MAP, "build"),
    (
        "service",
        LIST,
        "cap_add cap_drop configs device_cgroup_rules devices dns_opt expose external_links group_add links \
         ports post_start pre_start pre_stop profiles secrets security_opt volumes volumes_from",
    ),
    ("service", LIST | MAP, "annotations depends_on environment extra_hosts labels models networks sysctls"),
    ("service", MAP, "blkio_config credential_spec healthcheck logging storage_opt ulimits"),
    ("service", FILLED, "provider"),
    ("service", MAP | NULL, "deploy develop"),
    (
        "service",
        TEXT,
        "cap_add.[] cap_drop.[] command.[] device_cgroup_rules.[] dns.[] dns_opt.[] dns_search.[] \
         entrypoint.[] environment.[] expose.[] external_links.[] group_add.[] labels.[] annotations.[] \
         profiles.[] security_opt.[] sysctls.[] tmpfs.[]",
    ),
    (
        "service",
        SCALAR,
        "depends_on.[] extra_hosts.[] label_file.[] links.[] models.[] networks.[] volumes_from.[]",
    ),
    ("service", SCALAR | FILLED, "configs.[] env_file.[] ports.[] secrets.[] volumes.[]"),
    ("service", TEXT | FILLED, "devices.[]"),
    ("service", TEXT | NULL, "environment.* labels.* annotations.* sysctls.* storage_opt.*"),
    ("service", SCALAR | FILLED, "ulimits.*"),
    ("service", FILLED, "depends_on.*"),
    ("service", MAP | NULL, "models.* networks.*"),
    ("service", SCALAR, "depends_on.*.condition depends_on.*.required depends_on.*.restart"),
    ("service", TEXT, "networks.*.ipv4_address networks.*.ipv6_address networks.*.mac_address"),
    ("service", TEXT, "networks.*.aliases.[] networks.*.driver_opts.* networks.*.interface_name"),
    ("service", TEXT, "networks.*.gw_priority networks.*.link_local_ips.[]"),
    ("service", TEXT, "networks.*.use_service_name_alias"),
    ("service", TEXT, "models.*.endpoint_var models.*.model_var"),
    ("service", TEXT, "devices.[].permissions devices.[].source devices.[].target"),
    ("service", TEXT, "ulimits.*.hard ulimits.*.soft extra_hosts.*.[]"),
    ("service", LIST, "networks.*.aliases networks.*.link_local_ips"),
    ("service", MAP, "networks.*.driver_opts"),
    ("service", SCALAR, "networks.*.priority"),
    ("service", SCALAR, "extends.service"),
    ("service", SCALAR | NULL, "extends.file"),
    ("service.blkio_config", SCALAR, "weight"),
    (
        "service.blkio_config",
        LIST,
        "device_read_bps device_read_iops device_write_bps device_write_iops weight_device",
    ),
    ("limit", FILLED, "."),
    ("limit", TEXT, "path rate weight"),
    ("device", FILLED, "."),
    ("device", LIST, "capabilities device_ids"),
    ("device", TEXT, "capabilities.[] count device_ids.[] driver options.[]"),
    ("device", LIST | MAP, "options"),
    ("device", TEXT | NULL, "options.*"),
    ("service.credential_spec", TEXT, "config file registry"),
    ("service.develop", LIST, "watch"),
    ("service.develop.watch.[]", FILLED, "."),
    ("service.develop.watch.[]", TEXT, "action path target"),
    ("service.develop.watch.[]", TEXT | LIST, "ignore include"),
    ("service.develop.watch.[]", TEXT, "ignore.[] include.[]"),
    ("service.develop.watch.[]", SCALAR, "initial_sync"),
    ("service.develop.watch.[]", FILLED, "exec"),
    ("hook", FILLED, "."),
    ("hook", TEXT | LIST | NULL, "command"),
    ("hook", TEXT, "command.[] user working_dir environment.[]"),
    ("hook", SCALAR, "privileged"),
    ("hook", LIST | MAP, "environment"),
    ("hook", TEXT | NULL, "environment.*"),
    ("service.pre_start.[]", FILLED, "."),
    ("service.pre_start.[]", SCALAR, "per_replica"),
    ("service.provider", TEXT, "type"),
    ("service.provider", MAP, "options"),
    ("service.provider", TEXT | LIST, "options.*"),
    ("service.provider", TEXT, "options.*.[]"),
    ("service.build", TEXT, "context dockerfile dockerfile_inline isolation network provenance sbom target"),
    ("service.build", SCALAR, "no_cache privileged pull shm_size"),
    ("service.build", TEXT | LIST, "no_cache_filter"),
    ("service.build", LIST, "cache_from cache_to entitlements platforms secrets tags"),
    ("service.build", LIST | MAP, "additional_contexts args extra_hosts labels ssh"),
    ("service.build", MAP, "ulimits"),
    ("service.build", SCALAR | FILLED, "ulimits.* secrets.[]"),
    ("service.build", TEXT, "cache_from.[] cache_to.[] platforms.[] tags.[] additional_contexts.*"),
    ("service.build", TEXT | NULL, "args.* labels.* ssh.*"),
    ("service.build", TEXT | LIST, "extra_hosts.*"),
    ("service.build", TEXT, "entitlements.[] extra_hosts.[] extra_hosts.*.[] no_cache_filter.[] ssh.[]"),
    ("service.build", TEXT, "ulimits.*.hard ulimits.*.soft"),
    ("service.build.secrets.[]", TEXT, "gid mode source target uid"),
    ("service.configs.[]", TEXT, "gid target uid"),
    ("service.configs.[]", SCALAR, "mode source"),
    ("service.secrets.[]", TEXT, "gid target uid"),
    ("service.secrets.[]", SCALAR, "mode source"),
    ("service.env_file.[]", SCALAR, "path required"),
    ("service.env_file.[]", TEXT, "format"),
    ("service.ports.[]", TEXT, "app_protocol host_ip mode name protocol published"),
    ("service.ports.[]", SCALAR, "target"),
    ("service.volumes.[]", TEXT, "consistency source target type"),
    ("service.volumes.[]", SCALAR, "read_only"),
    ("service.volumes.[]", MAP, "bind image tmpfs volume"),
    ("service.volumes.[].bind", TEXT, "create_host_path propagation recursive selinux"),
    ("service.volumes.[].image", TEXT, "subpath"),
    ("service.volumes.[].tmpfs", TEXT, "mode size"),
    ("service.volumes.[].volume", TEXT, "labels.[] nocopy subpath"),
    ("service.volumes.[].volume", LIST | MAP, "labels"),
    ("service.volumes.[].volume", TEXT | NULL, "labels.*"),
    ("service.deploy", TEXT, "endpoint_mode mode"),
    ("service.deploy", SCALAR, "replicas"),
    ("service.deploy", LIST | MAP, "labels"),
    ("service.deploy", MAP, "placement resources restart_policy rollback_config update_config"),
    ("service.deploy", TEXT | NULL, "labels.*"),
    ("service.deploy", LIST, "placement.constraints placement.preferences"),
    ("service.deploy", TEXT, "placement.constraints.[] placement.preferences.[].spread"),
    ("service.deploy", FILLED, "placement.preferences.[]"),
    ("service.deploy", SCALAR, "placement.max_replicas_per_node"),
    ("service.deploy.resources", MAP, "limits reservations"),
    ("service.deploy.resources", SCALAR, "limits.cpus limits.memory limits.pids"),
    ("service.deploy.resources", SCALAR, "reservations.cpus reservations.memory"),
    ("service.deploy.resources", LIST, "reservations.devices reservations.generic_resources"),
    ("service.deploy.resources.reservations.generic_resources.[]", MAP, "."),
    ("service.deploy.resources.reservations.generic_resources.[]", MAP, "discrete_resource_spec"),
    ("service.deploy.resources.reservations.generic_resources.[].discrete_resource_spec", TEXT, "kind value"),
    ("service.deploy.restart_policy", TEXT, "condition"),
    ("service.deploy.restart_policy", SCALAR, "delay max_attempts window"),
    ("service.deploy.update_config", TEXT, "failure_action"),
    ("service.deploy.update_config", SCALAR, "delay max_failure_ratio monitor order parallelism"),
    ("service.deploy.rollback_config", TEXT, "failure_action"),
    ("service.deploy.rollback_config", SCALAR, "delay max_failure_ratio monitor order parallelism"),
    ("service.healthcheck", TEXT | LIST, "test"),
    ("service.healthcheck", TEXT, "test.[]"),
    ("service.healthcheck", SCALAR, "disable interval retries start_interval start_period timeout"),
    ("service.logging", TEXT, "driver"),
    ("service.logging", MAP, "options"),
    ("service.logging", TEXT | NULL, "options.*"),
    ("network", MAP | NULL, "."),
    ("network", TEXT, "driver name ipam.driver"),
    ("network", SCALAR, "attachable enable_ipv4 enable_ipv6 internal"),
    ("network", SCALAR | MAP, "external"),
    ("network", MAP, "driver_opts ipam ipam.options"),
    ("network", TEXT, "driver_opts.* external.name"),
    ("network", LIST | MAP, "labels"),
    ("network", TEXT | NULL, "labels.*"),
    ("network", LIST, "ipam.config"),
    ("network.ipam.config.[]", TEXT, "gateway ip_range subnet"),
    ("network.ipam.config.[]", MAP, ". aux_addresses"),
    ("network.ipam.config.[]", TEXT, "aux_addresses.*"),
    ("network", TEXT, "ipam.options.*"),
    ("volume", MAP | NULL, "."),
    ("volume", TEXT, "driver name driver_opts.* external.name"),
    ("volume", SCALAR | MAP, "external"),
    ("volume", MAP, "driver_opts"),
    ("volume", LIST | MAP, "labels"),
    ("volume", TEXT | NULL, "labels.*"),
    ("config", FILLED, "."),
    ("config", TEXT, "file name template_driver"),
    ("config", SCALAR, "content environment"),
    ("config", SCALAR | MAP, "external"),
    ("config", TEXT, "external.name"),
    ("config", LIST | MAP, "labels"),
    ("secret", FILLED, "."),
    ("secret", TEXT, "driver file name template_driver"),
    ("secret", SCALAR, "environment"),
    ("secret", SCALAR | MAP, "external"),
    ("secret", TEXT, "external.name"),
    ("secret", MAP, "driver_opts"),
    ("secret", LIST | MAP, "labels"),
    ("model", FILLED, "."),
    ("model", TEXT, "model name"),
    ("model", SCALAR, "context_size"),
    ("model", LIST, "runtime_flags"),
    ("model", TEXT, "runtime_flags.[]"),
    ("job", FILLED, ". triggers"),
    ("job", SCALAR, "triggers.manual"),
    ("job", TEXT, "profiles.[]"),
    ("job.triggers.schedule.[]", TEXT, "concurrency cron missed_fires timezone"),
    ("job", LIST, "profiles triggers.schedule"),
    ("job", SCALAR | FILLED, "triggers.schedule.[]"),
];

/// Shapes that several attributes of a service have.
const REPEATED: &[(&str, &str)] = &[
    ("hook", "post_start.[] pre_stop.[] develop.watch.[].exec"),
    (
        "limit",
        "blkio_config.device_read_bps.[] blkio_config.device_read_iops.[] blkio_config.device_write_bps.[] \
         blkio_config.device_write_iops.[] blkio_config.weight_device.[]",
    ),
    ("device", "gpus.[] deploy.resources.reservations.devices.[]"),
];

/// Keys without which Compose refuses a mapping.
const REQUIRED: &[(&str, &str)] = &[
    ("job", "triggers"),
    ("job.triggers.schedule.[]", "cron"),
    ("hook", "command"),
    ("model", "model"),
    ("service.depends_on.*", "condition"),
    ("service.develop.watch.[]", "action path"),
    ("service.devices.[]", "source"),
    ("service.env_file.[]", "path"),
    ("service.provider", "type"),
    ("service.ulimits.*", "hard soft"),
    ("service.build.ulimits.*", "hard soft"),
];

/// Mappings whose keys are all known, with those that have no shape in the table. Services, jobs and the top level are
/// in [`keys`].
const CLOSED: &[(&str, &str)] = &[
    ("service.blkio_config", ""),
    ("service.build.secrets.[]", ""),
    ("service.build.ulimits.*", ""),
    ("service.configs.[]", ""),
    ("service.credential_spec", ""),
    ("service.depends_on.*", ""),
    ("limit", ""),
    ("device", ""),
    ("service.deploy.placement", ""),
    ("service.deploy.placement.preferences.[]", ""),
    ("service.deploy.resources", ""),
    ("service.deploy.resources.limits", ""),
    ("service.deploy.resources.reservations", ""),
    ("service.deploy.resources.reservations.generic_resources.[]", ""),
    ("service.deploy.resources.reservations.generic_resources.[].discrete_resource_spec", ""),
    ("service.deploy.restart_policy", ""),
    ("service.deploy.rollback_config", ""),
    ("service.deploy.update_config", ""),
    ("hook", ""),
    ("job.triggers", ""),
    ("job.triggers.schedule.[]", ""),
    ("service.develop", ""),
    ("service.develop.watch.[]", ""),
    ("service.devices.[]", "permissions source target"),
    ("service.env_file.[]", "format"),
    ("service.extends", ""),
    ("service.models.*", "endpoint_var model_var"),
    ("service.networks.*", "gw_priority interface_name use_service_name_alias"),
    ("service.provider", "options type"),
    ("service.secrets.[]", ""),
    ("service.ulimits.*", "hard soft"),
    ("service.volumes.[].bind", "create_host_path propagation recursive selinux"),
    ("service.volumes.[].image", "subpath"),
    ("service.volumes.[].tmpfs", "mode size"),
    ("service.volumes.[].volume", "labels nocopy subpath"),
    ("network.external", ""),
    ("volume.external", ""),
    ("network.ipam", ""),
    ("network.ipam.config.[]", ""),
];

/// Shape of a value and of what is in it.
#[derive(Debug, Default, Clone)]
struct Shape {
    /// What the value may be; 0: anything.
    takes: u8,
    /// The keys without which Compose refuses it.
    required: Vec<&'static str>,
    /// Whether Compose refuses keys that are not among its parts.
    is_closed: bool,
    /// The shapes of what is in it, by key.
    parts: BTreeMap<&'static str, Shape>,
}

impl Shape {
    /// The shape of what is at a path in it.
    fn at(&mut self, path: &'static str) -> &mut Self {
        let parts = path.split('.').filter(|part| !part.is_empty());
        parts.fold(self, |shape, part| shape.parts.entry(part).or_default())
    }
}

static SHAPES: LazyLock<Shape> = LazyLock::new(|| {
    let mut root = Shape::default();
    for (prefix, takes, paths) in TABLE {
        for path in paths.split_whitespace() {
            root.at(prefix).at(path).takes = *takes;
        }
    }
    for (path, keys) in REQUIRED {
        root.at(path).required.extend(keys.split_whitespace());
    }
    for (path, more) in CLOSED {
        let shape = root.at(path);
        shape.is_closed = true;
        for key in more.split_whitespace() {
            shape.at(key);
        }
    }
    for (kind, places) in REPEATED {
        let shape = root.at(kind).clone();
        for place in places.split_whitespace() {
            *root.at("service").at(place) = shape.clone();
        }
    }
    root.at("service.deploy.resources.reservations.devices.[]").required.push("capabilities");
    // A job and a container of `pre_start` have most attributes of a service.
    let service = root.at("service").clone();
    let relative = |shape: &mut Shape, without: &[&[&str]]| {
        let keys = keys::SERVICE.iter().filter(|key| !without.iter().any(|keys| keys.contains(key)));
        for key in keys {
            let attribute = service.parts.get(key).cloned().unwrap_or_default();
            shape.parts.entry(key).or_insert(attribute);
        }
        shape.is_closed = true;
    };
    relative(root.at("job"), &[keys::SERVICE_ONLY]);
    relative(root.at("service.pre_start.[]"), &[keys::SERVICE_ONLY, keys::WORKLOAD]);
    root
});

/// Checks a top-level key. Returns `false`, and reports it, if the value is not to be read. One without a value may be
/// filled by the files before: see [`settle`].
pub(super) fn check_top(context: &mut LoadContext<'_>, key: &Rc<str>, entry: &MapEntry) -> bool {
    let shape = SHAPES.parts.get("top").and_then(|top| top.parts.get(&**key));
    let Some(shape) = shape.filter(|_| entry.node.tag != Tag::Reset) else { return true };
    let mut finder = Finder { context, owner: "the project", found: Vec::new() };
    let fits = finder.fits(shape, &[Rc::clone(key)], entry.at, &entry.node);
    for wrong in finder.found {
        if wrong.may_be_filled {
            context.empty_sections.push((Rc::clone(key), wrong.diagnostic));
        } else {
            context.note(wrong.diagnostic);
        }
    }
    fits
}

/// Takes the values out of a definition (`kind`: `service`, `network`, …) that Compose refuses. They are
/// reported once it is known what the definition is merged with: see [`settle`]. `at` is the mark of its key.
pub(super) fn check(context: &mut LoadContext<'_>, kind: &str, owner: &str, at: Mark, node: &mut Node) {
    let Some(shape) = SHAPES.parts.get(kind).filter(|_| node.tag != Tag::Reset) else { return };
    warn_of_dates(context, node);
    let mut finder = Finder { context, owner, found: Vec::new() };
    if finder.fits(shape, &[], at, node) {
        finder.check(shape, &[], node);
    }
    let found = finder.found;
    if !found.is_empty() {
        context.wrong_shapes.insert(at, found);
    }
}

/// Checks a job, which is merged with nothing that is read here.
pub(super) fn check_job(context: &mut LoadContext<'_>, owner: &str, at: Mark, node: &mut Node) {
    let Some(shape) = SHAPES.parts.get("job").filter(|_| node.tag != Tag::Reset) else { return };
    let mut finder = Finder { context, owner, found: Vec::new() };
    if finder.fits(shape, &[], at, node) {
        finder.check(shape, &[], node);
    }
    finder.found.into_iter().for_each(|wrong| context.note(wrong.diagnostic));
}

/// Warns of dates without quotes. They are texts to Compose 2.26, and 2.40 refuses the file.
fn warn_of_dates(context: &mut LoadContext<'_>, node: &Node) {
    match &node.value {
        Value::Text(text) if text.plain && timestamp(&text.text).is_some() => {
            let written = context.quote(node.at, &text.text);
            let message = format!(
                "`{written}` without quotes is a date, which newer versions of Docker Compose refuse"
            );
            let warning = Diagnostic::warning(message, Some(context.location(node.at)));
            context.note(warning.help(format!("write '{written}'")));
        }
        Value::Null | Value::Text(_) => {}
        Value::List(items) => items.iter().for_each(|item| warn_of_dates(context, item)),
        Value::Map(map) => {
            let entries = map.iter().filter(|(key, _)| !key.starts_with("x-"));
            entries.for_each(|(_, entry)| warn_of_dates(context, &entry.node));
        }
    }
}

/// Reports what is wrong in the definitions that a model is made of: its `services`, each with the marks of all
/// definitions that contribute, and the other sections by their keys.
pub(super) fn settle(
    context: &mut LoadContext<'_>,
    services: &[(&[Mark], &Map)],
    sections: [(&'static str, &Map); 5],
) {
    for (key, diagnostic) in std::mem::take(&mut context.empty_sections) {
        let is_filled = match &*key {
            "services" => !services.is_empty(),
            key => sections.iter().any(|(other, map)| *other == key && !map.is_empty()),
        };
        match &*key {
            _ if is_filled => {}
            // That no service is left at all is not an error.
            "services" => context.without_services.push(diagnostic),
            _ => context.note(diagnostic),
        }
    }
    if context.wrong_shapes.is_empty() {
        return;
    }
    let mut found = Vec::new();
    let mut collect = |place: &Mark, body: &Map| {
        for wrong in context.wrong_shapes.get(place).into_iter().flatten() {
            let is_filled = value_at(body, &wrong.path)
                .is_some_and(|node| node.at != wrong.at && !matches!(node.value, Value::Null));
            if !(wrong.may_be_filled && is_filled) {
                found.push(wrong.diagnostic.clone());
            }
        }
    };
    for (places, body) in services {
        places.iter().for_each(|place| collect(place, body));
    }
    let none = Map::new();
    for entry in sections.iter().flat_map(|(_, entries)| entries.values()) {
        collect(&entry.at, entry.node.as_map().unwrap_or(&none));
    }
    found.into_iter().for_each(|diagnostic| context.note(diagnostic));
}

fn value_at<'m>(body: &'m Map, path: &[Rc<str>]) -> Option<&'m Node> {
    let (first, rest) = path.split_first()?;
    let node = &body.get(first)?.node;
    if rest.is_empty() { Some(node) } else { value_at(node.as_map()?, rest) }
}

struct Finder<'c, 'a> {
    context: &'c LoadContext<'a>,
    /// What the values belong to, for messages.
    owner: &'c str,
    found: Vec<WrongShape>,
}

impl Finder<'_, '_> {
    /// Checks what is in a value, and takes out what does not fit. A null stays: it may be merged away.
    fn check(&mut self, shape: &Shape, path: &[Rc<str>], node: &mut Node) {
        if shape.parts.is_empty() {
            return;
        }
        if shape.is_closed
            && let Value::Map(map) = &node.value
        {
            self.unknown(shape, path, map);
        }
        if let Value::Map(map) = &node.value {
            self.missing(shape, path, node.at, map);
        }
        match &mut node.value {
            Value::Map(map) => map.retain(|key, entry| {
                let own = shape.parts.get(&**key).or_else(|| shape.parts.get("*"));
                let Some(own) = own.filter(|_| !key.starts_with("x-") && entry.node.tag != Tag::Reset) else {
                    return true;
                };
                let path = [path, &[Rc::clone(key)]].concat();
                let fits = self.fits(own, &path, entry.at, &entry.node);
                if fits {
                    self.check(own, &path, &mut entry.node);
                }
                fits || matches!(entry.node.value, Value::Null)
            }),
            Value::List(items) => {
                let Some(own) = shape.parts.get("[]") else { return };
                let path = [path, &[Rc::from("[]")]].concat();
                items.retain_mut(|item| {
                    let fits = item.tag == Tag::Reset || self.fits(own, &path, item.at, item);
                    if fits {
                        self.check(own, &path, item);
                    }
                    fits
                });
            }
            Value::Null | Value::Text(_) => {}
        }
    }

    /// What a mapping belongs to, for messages about its keys.
    fn owner_of(&self, path: &[Rc<str>]) -> String {
        let keys: Vec<&str> = path.iter().map(|part| &**part).filter(|part| *part != "[]").collect();
        if keys.is_empty() { self.owner.to_owned() } else { format!("{}, `{}`", self.owner, keys.join(".")) }
    }

    /// Notes the keys that a mapping needs and does not have.
    fn missing(&mut self, shape: &Shape, path: &[Rc<str>], at: Mark, map: &Map) {
        for key in shape.required.iter().filter(|key| !map.contains_key(**key)) {
            let message = format!("{}: `{key}` is missing", self.owner_of(path));
            let diagnostic = Diagnostic::error(message, Some(self.context.location(at)));
            let may_be_filled = !path.iter().any(|part| &**part == "[]");
            let path = [path, &[Rc::from(*key)]].concat();
            self.found.push(WrongShape { path, at, may_be_filled, diagnostic });
        }
    }

    /// Notes the keys of a mapping that Compose does not know.
    fn unknown(&mut self, shape: &Shape, path: &[Rc<str>], map: &Map) {
        let known: Vec<&str> = shape.parts.keys().copied().filter(|key| *key != "[]").collect();
        let owner = self.owner_of(path);
        for (key, entry) in map {
            if let Some(problem) = keys::unknown(key, &known, &owner) {
                let diagnostic = Diagnostic { at: Some(self.context.location(entry.at)), ..problem };
                let path = [path, &[Rc::clone(key)]].concat();
                self.found.push(WrongShape { path, at: entry.node.at, may_be_filled: false, diagnostic });
            }
        }
    }

    /// Whether a value has a shape, not counting what is in it. Notes it if not. `key_at` is the mark of its key.
    fn fits(&mut self, shape: &Shape, path: &[Rc<str>], key_at: Mark, node: &Node) -> bool {
        let takes = shape.takes;
        let is = match &node.value {
            Value::Null => NULL,
            // What the host may define is not known to be empty.
            Value::Text(text) if text.text.is_empty() && !self.context.asks_host(node) => EMPTY,
            Value::Text(_) => SCALAR,
            Value::List(_) => LIST,
            Value::Map(map) if map.is_empty() => BARE,
            Value::Map(_) => FILLED,
        };
        if takes == 0 || takes & is != 0 {
            return true;
        }
        let is_item = path.last().is_some_and(|last| &**last == "[]");
        let keys: Vec<&str> = path.iter().map(|part| &**part).filter(|part| *part != "[]").collect();
        let (owner, keys, wanted) = (self.owner, keys.join("."), words(takes));
        let (what, it) = match (is_item, keys.is_empty()) {
            (true, _) => (format!("{owner}: an item of `{keys}`"), "the item"),
            (false, false) => (format!("{owner}: `{keys}`"), "the key"),
            (false, true) => (owner.to_owned(), "it"),
        };
        let problem = match is {
            NULL => "has no value",
            EMPTY if takes & SCALAR != 0 => "is an empty text",
            BARE if takes & FILLED != 0 => "is empty",
            _ => "",
        };
        let diagnostic = if problem.is_empty() {
            let message = format!("{what} must be {wanted}, not {}", node.kind());
            Diagnostic::error(message, Some(self.context.location(node.at)))
        } else {
            // The mark of nothing is where the next thing begins.
            let at = if is == NULL { key_at } else { node.at };
            let help = format!("remove {it}, or give it a value: {wanted}");
            Diagnostic::error(format!("{what} {problem}"), Some(self.context.location(at))).help(help)
        };
        let may_be_filled = is == NULL && !path.iter().any(|part| &**part == "[]");
        self.found.push(WrongShape { path: path.to_vec(), at: node.at, may_be_filled, diagnostic });
        false
    }
}

/// The shapes in words.
fn words(takes: u8) -> String {
    let words: Vec<&str> = [(TEXT, "a scalar"), (MAP, "a mapping"), (LIST, "a list")]
        .into_iter()
        .filter(|(shape, _)| takes & shape != 0)
        .map(|(_, word)| word)
        .collect();
    words.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeTree, messages, project};

    fn found(attributes: &str) -> Vec<String> {
        messages(&project(&format!("services:\n  web: {{image: a, {attributes}}}\n")))
    }

    #[test]
    fn a_key_without_a_value_is_an_error_at_its_key() {
        assert_eq!(
            messages(&project(
                "services:\n  web:\n    image: a\n    environment:\n      # A: b\n    tty: true\n"
            )),
            ["services/blog/compose.yml:4:5: service `web`: `environment` has no value \
                 (remove the key, or give it a value: a mapping or a list)"]
        );
        for (attributes, said) in [
            ("healthcheck: {interval: }", "`healthcheck.interval` has no value"),
            ("cpus: ''", "`cpus` is an empty text (remove the key, or give it a value: a scalar)"),
            (
                "depends_on: {db: {}}",
                "`depends_on.db` is empty (remove the key, or give it a value: a mapping)",
            ),
            ("ports: [null]", "an item of `ports` has no value (remove the item"),
            ("deploy: {resources: []}", "`deploy.resources` must be a mapping, not a list"),
            (
                "deploy: {resources: {limit: {cpus: 1}}}",
                "`deploy.resources`: unknown key `limit` (did you mean",
            ),
        ] {
            assert!(found(attributes)[0].contains(said), "{attributes}: {:?}", found(attributes));
        }
        let found =
            messages(&project("services: {web: {image: a}}\nnetworks:\nvolumes: {v: {driver_opts: }}\n"));
        assert_eq!(
            found,
            [
                "services/blog/compose.yml:2:1: the project: `networks` has no value (remove the key, or give it a \
                 value: a mapping)",
                "services/blog/compose.yml:3:15: volume `v`: `driver_opts` has no value (remove the key, or give it \
                 a value: a mapping)",
            ]
        );
    }

    #[test]
    fn a_date_without_quotes_is_a_warning() {
        assert_eq!(
            found("environment: {SINCE: 2024-05-01, UNTIL: '2025-05-01'}, x-since: 2024-05-01"),
            [
                "services/blog/compose.yml:2:40: `2024-05-01` without quotes is a date, which newer versions of Docker \
              Compose refuse (write '2024-05-01')"
            ]
        );
    }

    #[test]
    fn what_compose_takes_for_empty_is_no_error() {
        for attributes in [
            "command: , entrypoint: , deploy: , develop: ",
            "environment: {A: }, labels: {l: }, sysctls: {s: }",
            "environment: {}, labels: [], ports: [], networks: {}, depends_on: []",
            "hostname: '', restart: '', user: '', build: ''",
            "networks: {default: }, x-note: ",
            "cpus: '${CPUS:-}'",
        ] {
            assert_eq!(found(attributes), Vec::<String>::new(), "{attributes}");
        }
        assert_eq!(
            messages(&project("include:\nservices: {web: {image: a}}\nnetworks: {n: }\nx-a:\n")),
            [""; 0]
        );
    }

    #[test]
    fn a_value_elsewhere_takes_the_place_of_none_over_it_but_not_below() {
        let both = |below: &str, over: &str| {
            let below = format!("services: {{web: {{image: a, {below}}}}}");
            let over = format!("services: {{web: {{{over}}}}}");
            let tree = [("blog/compose.yml", &*below), ("blog/compose.override.yml", &*over)];
            messages(&FakeTree::new(&tree).load())
        };
        assert_eq!(both("environment: {A: b}, ports: ['80:80']", "environment: , ports: "), [""; 0]);
        assert_eq!(both("deploy: {mode: replicated}", "deploy: {mode: }"), [""; 0]);
        assert!(both("environment: ", "environment: {A: b}")[0].contains("`environment` has no value"));
        assert!(
            both("tty: true", "environment: ")[0].contains("compose.override.yml:1:18: service `web`: `envi")
        );
        let extends = |own: &str, base: &str| {
            let compose = format!("services: {{web: {{extends: {{file: base.yml, service: base}}, {own}}}}}");
            let base =
                format!("services: {{base: {{image: a, {base}}}, unused: {{image: a, environment: }}}}");
            messages(&FakeTree::new(&[("blog/compose.yml", &*compose), ("blog/base.yml", &*base)]).load())
        };
        assert_eq!(extends("environment: ", "environment: {A: b}"), [""; 0]);
        assert_eq!(extends("environment: {A: b}", "environment: "), [""; 0]);
        assert!(extends("tty: true", "environment: ")[0].starts_with("services/blog/base.yml:1:"));
    }

    #[test]
    fn a_project_may_have_no_services_and_a_file_of_several_may_not() {
        for nothing in ["services: {}", "services:\n  # web: {image: a}\n", "networks: {n: {}}"] {
            assert_eq!(messages(&project(nothing)), [""; 0], "{nothing}");
        }
        let tree = [
            ("blog/compose.yml", "services:\n"),
            ("blog/compose.override.yml", "services: {web: {image: a}}"),
        ];
        assert!(
            messages(&FakeTree::new(&tree).load())[0]
                .contains("compose.yml:1:1: the project: `services` has no")
        );
    }
}
