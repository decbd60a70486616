//! The keys of the Compose Specification.
//!
//! Owns the lists of keys that some version of Compose knows
//! (<https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json>). A key that is newer
//! than these lists must stay a warning.

use super::context::LoadContext;
use super::yaml::Map;
use crate::base::diagnostic::{Diagnostic, nearest};

/// Top-level keys.
pub(super) const TOP: &[&str] = &[
    "version", "name", "include", "services", "jobs", "models", "networks", "volumes", "secrets", "configs",
];

/// Keys of an `include` in long form.
pub(super) const INCLUDE: &[&str] = &["env_file", "path", "project_directory"];

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
    "pre_start",
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
    "umask",
    "use_api_socket",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "volumes_from",
    "working_dir",
];

/// Keys of a service that its one-off relatives lack: a job, and a container of `pre_start`.
pub(super) const SERVICE_ONLY: &[&str] = &[
    "attach",
    "container_name",
    "deploy",
    "develop",
    "extends",
    "external_links",
    "links",
    "post_start",
    "pre_start",
    "pre_stop",
    "profiles",
    "provider",
    "restart",
    "scale",
];

/// Further keys of a service that a container of `pre_start` lacks.
pub(super) const WORKLOAD: &[&str] =
    &["build", "depends_on", "expose", "healthcheck", "ports", "stdin_open", "tty"];

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
    "no_cache_filter",
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

/// Keys of a top-level model.
pub(super) const MODEL: &[&str] = &["context_size", "model", "name", "runtime_flags"];

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

/// Reports the keys of a mapping that are not among the known ones.
pub(super) fn check(context: &mut LoadContext<'_>, map: &Map, known: &[&str], owner: &str) {
    for (key, entry) in map {
        if context.is_full() {
            break;
        }
        if let Some(problem) = unknown(key, known, owner) {
            let at = Some(context.location(entry.at));
            context.note(Diagnostic { at, ..problem });
        }
    }
}

/// The problem of a key that is not among the known ones. One that is close to a known one is a typo, which Compose
/// refuses. Any other may belong to a newer Compose.
pub(super) fn unknown(key: &str, known: &[&str], owner: &str) -> Option<Diagnostic> {
    if key.starts_with("x-") || known.contains(&key) {
        return None;
    }
    let message = format!("{owner}: unknown key `{key}`");
    Some(match misspelled(key, known) {
        Some(near) => Diagnostic::error(message, None).help(format!("did you mean `{near}`?")),
        None => Diagnostic::warning(message, None).help(
            "ghdeploy does not know it, and Compose refuses a key that it does not know: correct it if it is a mistake, or make sure that the Compose of the host is new enough to know it",
        ),
    })
}

/// The known key that a misspelled one stands for. New keys are often made of the words of old ones (`pre_start`,
/// `post_stop`), so fewer edits count than elsewhere: a quarter of the length.
fn misspelled<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = nearest(key, known)?;
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let edits = strsim::osa_distance(&plain(key), &plain(near));
    (edits <= (near.len() / 4).max(1)).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_the_nearest_key() {
        for (typo, meant) in [
            ("volume", "volumes"),
            ("enviroment", "environment"),
            ("enviorment", "environment"),
            ("depends-on", "depends_on"),
            ("imaeg", "image"),
            ("Restart", "restart"),
            ("helthchek", "healthcheck"),
            ("network-mode", "network_mode"),
        ] {
            assert_eq!(misspelled(typo, SERVICE), Some(meant));
        }
        for key in ["something_else", "post_stop", "pre_init", "post_create", "on_start", &"x".repeat(10_000)]
        {
            assert_eq!(misspelled(key, SERVICE), None, "{key}");
        }
    }
}
