//! Values without content: nothing at all, an empty text, list or mapping, for every key that Compose knows.

use std::path::Path;
use std::sync::Arc;

use ghdeploy::base::diagnostic::Diagnostic;
use ghdeploy::base::path::RootPath;

use super::{Folder, all, docker_compose, expect_nothing};

/// The values.
const VALUES: &[&str] = &["", "''", "[]", "{}"];

/// Keys of a service, as far as all supported versions of Compose know them.
const SERVICE: &str = "annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs \
     container_name cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset \
     credential_spec depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search domainname \
     entrypoint env_file environment expose extends external_links extra_hosts group_add healthcheck hostname image \
     init ipc isolation labels links logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit \
     network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports privileged profiles \
     pull_policy read_only restart runtime scale secrets security_opt shm_size stdin_open stop_grace_period \
     stop_signal storage_opt sysctls tmpfs tty ulimits user userns_mode uts volumes volumes_from working_dir";

/// Keys in attributes of a service. `KEY` is one of the keys, `@` its value.
const WITHIN: &[(&str, &str)] = &[
    ("blkio_config: {KEY: @}", "device_read_bps weight weight_device"),
    (
        "build: {context: ., KEY: @}",
        "additional_contexts args cache_from cache_to dockerfile dockerfile_inline \
         extra_hosts isolation labels network no_cache platforms privileged pull secrets shm_size ssh tags target \
         ulimits",
    ),
    ("build: {KEY: @}", "context"),
    ("build: {context: ., KEY: {d: @}}", "args labels ulimits"),
    ("credential_spec: {KEY: @}", "config file registry"),
    ("configs: [{source: c, KEY: @}]", "gid mode target uid"),
    ("secrets: [{source: s, KEY: @}]", "gid mode target uid"),
    ("depends_on: {base: {condition: service_started, KEY: @}}", "required restart"),
    ("depends_on: {base: {KEY: @}}", "condition"),
    (
        "deploy: {KEY: @}",
        "endpoint_mode labels mode placement replicas resources restart_policy rollback_config \
         update_config",
    ),
    ("deploy: {placement: {KEY: @}}", "constraints max_replicas_per_node preferences"),
    ("deploy: {resources: {KEY: @}}", "limits reservations"),
    ("deploy: {resources: {limits: {KEY: @}}}", "cpus memory pids"),
    ("deploy: {resources: {reservations: {KEY: @}}}", "cpus devices generic_resources memory"),
    ("deploy: {restart_policy: {KEY: @}}", "condition delay max_attempts window"),
    ("deploy: {update_config: {KEY: @}}", "delay failure_action max_failure_ratio monitor order parallelism"),
    ("develop: {KEY: @}", "watch"),
    ("env_file: [{path: e.env, KEY: @}]", "required"),
    ("extends: {service: base, KEY: @}", "file"),
    ("healthcheck: {test: x, KEY: @}", "disable interval retries start_interval start_period timeout"),
    ("healthcheck: {KEY: @}", "test"),
    ("logging: {KEY: @}", "driver options"),
    ("networks: {n: {KEY: @}}", "aliases ipv4_address ipv6_address link_local_ips mac_address priority"),
    ("ports: [{target: 80, KEY: @}]", "app_protocol mode name protocol published"),
    ("volumes: [{type: volume, target: /x, KEY: @}]", "bind consistency read_only source tmpfs volume"),
    ("KEY: {base: @}", "annotations depends_on environment labels storage_opt sysctls ulimits"),
    ("KEY: {n: @}", "networks"),
    (
        "KEY: [@]",
        "annotations cap_add cap_drop command configs depends_on device_cgroup_rules devices dns dns_opt \
         dns_search entrypoint env_file environment expose external_links extra_hosts group_add labels links \
         networks ports profiles secrets security_opt sysctls tmpfs volumes volumes_from",
    ),
];

/// Keys at the top, and in what is defined there.
const TOP: &[(&str, &str)] = &[
    ("KEY: @", "include networks volumes configs secrets version"),
    ("KEY: {x: @}", "networks volumes configs secrets"),
    (
        "networks: {x: {KEY: @}}",
        "attachable driver driver_opts enable_ipv6 external internal ipam labels name",
    ),
    ("networks: {x: {driver_opts: {KEY: @}}}", "d"),
    ("networks: {x: {ipam: {KEY: @}}}", "config driver options"),
    ("networks: {x: {ipam: {config: [{KEY: @}]}}}", "aux_addresses gateway ip_range subnet"),
    ("volumes: {x: {KEY: @}}", "driver driver_opts external labels name"),
    ("volumes: {x: {labels: {KEY: @}}}", "l"),
    ("configs: {x: {file: ./f, KEY: @}}", "external labels name template_driver"),
    ("configs: {x: {KEY: @}}", "content environment file"),
    ("secrets: {x: {file: ./f, KEY: @}}", "driver driver_opts external labels name template_driver"),
    ("secrets: {x: {KEY: @}}", "environment file"),
];

/// Cases in which versions of Compose differ, or in which a container could not start.
const DIFFER: &[&str] = &["container_name: ''", "mac_address: ''", "extra_hosts: ['']"];

/// A compose file of one case, and what is special in it.
struct Case {
    special: String,
    document: String,
    is_service: bool,
}

fn cases() -> Vec<Case> {
    let of = |template: &str, keys: &str, is_service: bool| -> Vec<Case> {
        let each = |key: &str| {
            let special = VALUES.iter().map(|value| template.replace("KEY", key).replace('@', value));
            special.collect::<Vec<_>>()
        };
        let special = keys.split_whitespace().flat_map(each).filter(|special| !DIFFER.contains(&&**special));
        let whole = |special: String| {
            let document =
                if is_service { document(&[&special]) } else { format!("{}{special}\n", document(&[])) };
            Case { special, document, is_service }
        };
        special.map(whole).collect()
    };
    let mut cases = of("KEY: @", SERVICE, true);
    cases.extend(WITHIN.iter().flat_map(|(template, keys)| of(template, keys, true)));
    cases.extend(TOP.iter().flat_map(|(template, keys)| of(template, keys, false)));
    cases
}

/// A compose file with a service for each of these attributes.
fn document(attributes: &[&str]) -> String {
    let service = |(number, attribute): (usize, &&str)| {
        let image = if attribute.starts_with("image:") { "" } else { "image: a, " };
        format!("  s{number}: {{{image}{attribute}}}\n")
    };
    let services: String = attributes.iter().enumerate().map(service).collect();
    let resources = match attributes {
        [] => "",
        _ => "networks: {n: {}}\nconfigs: {c: {file: ./f}}\nsecrets: {s: {file: ./f}}\n",
    };
    format!("services:\n  base: {{image: b}}\n{services}{resources}")
}

/// The errors of the reader in a compose file.
pub(super) fn errors(document: &str) -> Vec<Diagnostic> {
    let path = |name: &str| RootPath::new(&format!("proj/{name}")).unwrap();
    let content = |text: &str| Some(Arc::from(text.as_bytes()));
    let mut folder = Folder { root: "/nonexistent".into(), replaced: [].into() };
    folder.replaced.insert(path("compose.yaml"), content(document));
    folder.replaced.insert(path("e.env"), content(""));
    folder.load("proj").diagnostics.into_iter().filter(Diagnostic::is_error).collect()
}

fn accepts(folder: &Path, document: &str) -> Result<(), String> {
    let folder = tempfile::tempdir_in(folder).unwrap();
    for (name, content) in [("compose.yaml", document), ("e.env", ""), ("f", "")] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    docker_compose(folder.path(), &["config", "-q"]).map(drop)
}

/// Compose names only the first thing that it refuses, so each of them takes a run of it. By default, every eighth of
/// them is tried; with `COMPOSE_EMPTY=all`, each.
#[test]
fn values_without_content_are_refused_like_compose_refuses_them() {
    let folder = tempfile::tempdir().unwrap();
    let (refused, accepted): (Vec<_>, Vec<_>) =
        cases().into_iter().partition(|case| !errors(&case.document).is_empty());
    assert!(refused.len() > 500 && accepted.len() > 150, "{} {}", refused.len(), accepted.len());
    let step = if std::env::var("COMPOSE_EMPTY").is_ok_and(|which| which == "all") { 1 } else { 8 };
    let sample: Vec<&Case> = refused.iter().step_by(step).collect();
    expect_nothing(all(&sample, |case| match accepts(folder.path(), &case.document) {
        Ok(()) => {
            vec![format!("an error where Compose sees none: {} {:?}", case.special, errors(&case.document))]
        }
        Err(_) => Vec::new(),
    }));
    // What both accept, Compose reads at once.
    let services: Vec<&str> =
        accepted.iter().filter(|case| case.is_service).map(|case| &*case.special).collect();
    let mut documents = vec![document(&services)];
    documents.extend(accepted.iter().filter(|case| !case.is_service).map(|case| case.document.clone()));
    expect_nothing(all(&documents, |document| match accepts(folder.path(), document) {
        Ok(()) => Vec::new(),
        Err(said) => vec![format!("Compose refuses it, the reader finds nothing: {said}\n{document}")],
    }));
}
