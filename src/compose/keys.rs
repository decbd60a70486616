//! The keys of the Compose Specification.
//!
//! Owns the lists of keys that some version of Compose knows
//! (<https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json>). A key that is newer
//! than these lists must stay a warning.

use super::context::LoadContext;
use super::yaml::Map;
use crate::base::diagnostic::{Diagnostic, nearest};

/// Top-level keys.
pub(super) const TOP: &[&str] =
    &["version", "name", "include", "services", "models", "networks", "volumes", "secrets", "configs"];

/// Keys of a service.
pub(super) const SERVICE: &[&str] = &[
    "annotations",
    "attach",
    "blkio_config",
    "build",
    "cap_add",
    "cap_drop",
    "cgroup",
    "cgroup_parent",
    "command",
    "configs",
    "container_name",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "credential_spec",
    "depends_on",
    "deploy",
    "develop",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extends",
    "external_links",
    "extra_hosts",
    "gpus",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ipc",
    "isolation",
    "label_file",
    "labels",
    "links",
    "logging",
    "mac_address",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "models",
    "network_mode",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "post_start",
    "pre_stop",
    "privileged",
    "profiles",
    "provider",
    "pull_policy",
    "pull_refresh_after",
    "read_only",
    "restart",
    "runtime",
    "scale",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "storage_opt",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "use_api_socket",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "volumes_from",
    "working_dir",
];

/// Keys of a service whose value is a scalar.
pub(super) const SCALAR: &[&str] = &[
    "attach",
    "cgroup",
    "cgroup_parent",
    "container_name",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "domainname",
    "hostname",
    "image",
    "init",
    "ipc",
    "isolation",
    "mac_address",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "network_mode",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "privileged",
    "pull_policy",
    "read_only",
    "restart",
    "runtime",
    "scale",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "tty",
    "user",
    "userns_mode",
    "uts",
    "working_dir",
];

/// Keys of `build`.
pub(super) const BUILD: &[&str] = &[
    "additional_contexts",
    "args",
    "cache_from",
    "cache_to",
    "context",
    "dockerfile",
    "dockerfile_inline",
    "entitlements",
    "extra_hosts",
    "isolation",
    "labels",
    "network",
    "no_cache",
    "platforms",
    "privileged",
    "provenance",
    "pull",
    "sbom",
    "secrets",
    "shm_size",
    "ssh",
    "tags",
    "target",
    "ulimits",
];

/// Keys of `healthcheck`.
pub(super) const HEALTHCHECK: &[&str] =
    &["disable", "interval", "retries", "start_interval", "start_period", "test", "timeout"];

/// Keys of `logging`.
pub(super) const LOGGING: &[&str] = &["driver", "options"];

/// Keys of `deploy`.
pub(super) const DEPLOY: &[&str] = &[
    "endpoint_mode",
    "labels",
    "mode",
    "placement",
    "replicas",
    "resources",
    "restart_policy",
    "rollback_config",
    "update_config",
];

/// Keys of a port in long form.
pub(super) const PORT: &[&str] =
    &["app_protocol", "host_ip", "mode", "name", "protocol", "published", "target"];

/// Keys of a volume of a service in long form.
pub(super) const MOUNT: &[&str] =
    &["bind", "consistency", "image", "read_only", "source", "target", "tmpfs", "type", "volume"];

/// Keys of a top-level network.
pub(super) const NETWORK: &[&str] = &[
    "attachable",
    "driver",
    "driver_opts",
    "enable_ipv4",
    "enable_ipv6",
    "external",
    "internal",
    "ipam",
    "labels",
    "name",
];

/// Keys of a top-level volume.
pub(super) const VOLUME: &[&str] = &["driver", "driver_opts", "external", "labels", "name"];

/// Keys of a top-level config or secret.
pub(super) const FILE_OBJECT: &[&str] = &[
    "content",
    "driver",
    "driver_opts",
    "environment",
    "external",
    "file",
    "labels",
    "name",
    "template_driver",
];

/// Reports keys that no version of Compose knows.
pub(super) fn check(context: &mut LoadContext<'_>, map: &Map, known: &[&str], owner: &str) {
    for (key, entry) in map {
        if context.is_full() {
            break;
        }
        if !key.starts_with("x-") && !known.contains(&&**key) {
            let at = context.location(entry.at);
            let message = format!("{owner}: unknown key `{key}`");
            // A key that is close to a known one is a typo, which Compose would refuse. Any other key may
            // belong to a newer Compose.
            context.note(match nearest(key, known) {
                Some(near) => Diagnostic::error(message, Some(at)).help(format!("did you mean `{near}`?")),
                None => Diagnostic::warning(message, Some(at)),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_the_nearest_key() {
        assert_eq!(nearest("volume", SERVICE), Some("volumes"));
        assert_eq!(nearest("enviroment", SERVICE), Some("environment"));
        assert_eq!(nearest("depends-on", SERVICE), Some("depends_on"));
        assert_eq!(nearest("imaeg", SERVICE), Some("image"));
        assert_eq!(nearest("something_else", SERVICE), None);
        assert_eq!(nearest(&"x".repeat(10_000), SERVICE), None);
    }
}
