//! Equality of definitions: changes that make another service, and other notations of the same one.

use super::fake::{FakeTree, messages, project, web};
use super::model::{Condition, Project};

/// Returns the definition of `web` with these attributes and an image.
fn definition(attributes: &str) -> String {
    definition_in(attributes, "")
}

fn definition_in(attributes: &str, others: &str) -> String {
    let compose = format!(
        "services:\n  web: {{image: a, {attributes}}}\n  db: {{image: b}}\nconfigs: {{c: {{file: ./c}}}}\nsecrets: {{s: {{file: ./s}}}}\n{others}"
    );
    let files = [("blog/compose.yml", compose.as_str()), ("blog/c", ""), ("blog/s", ""), ("blog/x/y", "")];
    web(&FakeTree::new(&files).load()).definition.clone()
}

#[track_caller]
fn same(pairs: &[(&str, &str)]) {
    for (one, other) in pairs {
        assert_eq!(definition(one), definition(other), "{one} is not {other}");
    }
}

#[track_caller]
fn different(pairs: &[(&str, &str)]) {
    for (one, other) in pairs {
        assert_ne!(definition(one), definition(other), "{one} is {other}");
    }
}

#[test]
fn sizes_durations_and_amounts_are_compared_by_value() {
    same(&[
        ("mem_limit: 1g", "mem_limit: 1024m"),
        ("shm_size: '64mb'", "shm_size: 67108864"),
        ("deploy: {resources: {limits: {memory: 1g}}}", "deploy: {resources: {limits: {memory: 1024m}}}"),
        ("stop_grace_period: 90s", "stop_grace_period: 1m30s"),
        ("healthcheck: {test: x, interval: 60s}", "healthcheck: {test: x, interval: 1m}"),
        ("cpus: '0.50'", "cpus: 0.5"),
        ("pids_limit: 10", "pids_limit: '10'"),
        ("ulimits: {nofile: 1024}", "ulimits: {nofile: '1024'}"),
        ("read_only: true", "read_only: 'true'"),
    ]);
    different(&[
        ("mem_limit: 1g", "mem_limit: 2g"),
        ("stop_grace_period: 90s", "stop_grace_period: 91s"),
        ("cpus: '0.50'", "cpus: 0.6"),
        ("ulimits: {nofile: 1024}", "ulimits: {nofile: 1025}"),
        ("ulimits: {nofile: {soft: 1, hard: 2}}", "ulimits: {nofile: {soft: 1, hard: 3}}"),
        ("read_only: true", "read_only: false"),
    ]);
}

#[test]
fn text_that_only_resembles_a_size_a_time_or_a_number_stays_text() {
    different(&[
        ("hostname: '1k'", "hostname: '1024'"),
        ("hostname: '60s'", "hostname: '1m'"),
        ("hostname: '1.0'", "hostname: '1'"),
        ("cpuset: '1.0'", "cpuset: '1'"),
        ("hostname: 'true'", "hostname: 'yes'"),
        ("logging: {options: {size: 1k}}", "logging: {options: {size: '1024'}}"),
        ("sysctls: {a: '1.0'}", "sysctls: {a: '1'}"),
    ]);
}

#[test]
fn default_values_are_not_part_of_the_definition() {
    same(&[
        ("privileged: false", ""),
        ("tty: 'false'", ""),
        ("mem_limit: 0", ""),
        ("pids_limit: 0", ""),
        ("hostname: ''", ""),
        ("dns: []", ""),
        ("healthcheck: {test: x, x-why: y}", "healthcheck: {test: x}"),
        ("deploy: {mode: replicated, replicas: 3}", "deploy: {mode: replicated}"),
    ]);
    different(&[
        ("init: false", ""),
        ("attach: false", ""),
        ("command: []", ""),
        ("entrypoint: []", ""),
        ("hostname: '0'", ""),
        ("hostname: 'false'", ""),
        ("cpuset: '0'", ""),
        ("ports: [{target: 80, published: '0'}]", "ports: [{target: 80}]"),
        (
            "volumes: [{type: bind, source: ./x, target: /x, bind: {create_host_path: false}}]",
            "volumes: [{type: bind, source: ./x, target: /x, bind: {propagation: ''}}]",
        ),
        ("deploy: {mode: global}", "deploy: {mode: replicated}"),
        ("logging: {options: {a: ''}}", "logging: {options: {b: ''}}"),
    ]);
}

#[test]
fn order_counts_except_among_the_names_of_extra_hosts() {
    same(&[("extra_hosts: ['a=1.1.1.1', 'b=2.2.2.2']", "extra_hosts: ['b=2.2.2.2', 'a=1.1.1.1']")]);
    different(&[
        ("extra_hosts: ['a=1.1.1.1', 'a=2.2.2.2']", "extra_hosts: ['a=2.2.2.2', 'a=1.1.1.1']"),
        ("dns: [1.1.1.1, 8.8.8.8]", "dns: [8.8.8.8, 1.1.1.1]"),
        ("cap_add: [A, B]", "cap_add: [A]"),
    ]);
}

#[test]
fn a_path_counts_by_its_target() {
    same(&[
        ("volumes: ['./x:/x']", "volumes: ['/srv/services/blog/x:/x']"),
        (
            "volumes: ['./x:/x']",
            "volumes: [{type: bind, source: x, target: /x, bind: {create_host_path: true}}]",
        ),
        (
            "develop: {watch: [{path: ./x, action: rebuild}]}",
            "develop: {watch: [{path: /srv/services/blog/x, action: rebuild}]}",
        ),
    ]);
    different(&[
        ("volumes: ['./x:/x']", "volumes: ['./x/y:/x']"),
        ("volumes: ['/etc/a:/x']", "volumes: ['/etc/b:/x']"),
        ("volumes: ['./x:/x']", "volumes: ['./x:/y']"),
        (
            "develop: {watch: [{path: ./x, action: rebuild}]}",
            "develop: {watch: [{path: ./x, action: restart}]}",
        ),
    ]);
}

#[test]
fn a_secret_is_mounted_by_its_name_unless_it_has_a_target() {
    same(&[("secrets: [s]", "secrets: [{source: s, target: /run/secrets/s}]")]);
    different(&[
        ("secrets: [s]", "secrets: [{source: s, target: /run/secrets/t}]"),
        ("secrets: [s]", "secrets: [{source: s, mode: 0400}]"),
        ("configs: [c]", "configs: [{source: c, target: /c2}]"),
    ]);
}

#[test]
fn short_and_long_forms_are_the_same() {
    same(&[
        ("healthcheck: {test: curl x}", "healthcheck: {test: [CMD-SHELL, curl x]}"),
        ("logging: {options: [a=b]}", "logging: {options: {a: b}}"),
        ("deploy: {labels: [a=b]}", "deploy: {labels: {a: b}}"),
        ("labels: [a=b, c]", "labels: {a: b, c: ''}"),
        ("labels: {a: null}", "labels: {a: ''}"),
        ("labels: [a=010]", "labels: {a: '010'}"),
        ("sysctls: [a=010]", "sysctls: {a: '010'}"),
        ("annotations: [a]", "annotations: {a: null}"),
        ("networks: [default]", "networks: {default: null}"),
        ("command: a 'b c'", "command: [a, b c]"),
        ("dns: 1.1.1.1", "dns: [1.1.1.1]"),
        ("logging: null", ""),
        ("logging: {driver: local, options: null}", "logging: {driver: local}"),
    ]);
    different(&[
        ("labels: {a: b}", "labels: {a: c}"),
        ("environment: [A=1]", "environment: [A=2]"),
        ("environment: {A: null}", "environment: {A: ''}"),
        ("environment: [A]", "environment: ['A=']"),
        ("healthcheck: {test: [CMD, x]}", "healthcheck: {test: x}"),
    ]);
}

#[test]
fn the_definition_of_a_network_or_volume_is_part_of_those_that_use_it() {
    let of = |others: &str| definition_in("networks: [n], volumes: ['v:/v']", others);
    let base = of("networks: {n: {}}\nvolumes: {v: {}}\n");
    for others in [
        "networks: {n: null}\nvolumes: {v: null}\n",
        "networks: {n: {driver_opts: {}, x-a: b}}\nvolumes: {v: {labels: {}}}\n",
        "networks: {n: {name: other}}\nvolumes: {v: {name: other}}\n",
    ] {
        assert_eq!(of(others), base, "{others}");
    }
    for others in [
        "networks: {n: {driver: macvlan}}\nvolumes: {v: {}}\n",
        "networks: {n: {internal: true}}\nvolumes: {v: {}}\n",
        "networks: {n: {labels: {a: b}}}\nvolumes: {v: {}}\n",
        "networks: {n: {}}\nvolumes: {v: {driver: other}}\n",
        "networks: {n: {}}\nvolumes: {v: {driver_opts: {a: b}}}\n",
    ] {
        assert_ne!(of(others), base, "{others}");
    }
    let lists = "networks: {n: {driver_opts: [a=b], labels: [c=d]}}\nvolumes: {v: {labels: [e=f]}}\n";
    let maps = "networks: {n: {driver_opts: {a: b}, labels: {c: d}}}\nvolumes: {v: {labels: {e: f}}}\n";
    assert_eq!(of(lists), of(maps));
    let bound = |device: &str, kind: &str| {
        of(&format!(
            "networks: {{n: {{}}}}\nvolumes: {{v: {{driver_opts: {{type: {kind}, o: bind, device: {device}}}}}}}\n"
        ))
    };
    assert_eq!(bound("./x", "none"), bound("/srv/services/blog/x", "none"));
    assert_ne!(bound("./x", "none"), bound("./x/y", "none"));
}

#[test]
fn the_options_of_a_joined_network_are_part_of_the_definition() {
    let of = |options: &str| definition_in(&format!("networks: {{n: {options}}}"), "networks: {n: {}}\n");
    assert_ne!(of("{aliases: [a]}"), of("{aliases: [b]}"));
    assert_ne!(of("{aliases: [a]}"), of("null"));
    assert_ne!(definition("network_mode: host"), definition(""));
}

#[test]
fn an_external_network_may_be_named_in_the_old_way() {
    let of = |network: &str| {
        project(&format!("services: {{web: {{image: a, networks: [n]}}}}\nnetworks: {{n: {network}}}"))
    };
    let names = |project: &Project| project.external_networks.iter().cloned().collect::<Vec<_>>();
    for network in
        ["{external: {name: shared}}", "{external: true, name: shared}", "{external: 'yes', name: shared}"]
    {
        assert_eq!(names(&of(network)), ["shared"], "{network}");
    }
    assert_eq!(names(&of("{external: true}")), ["n"]);
    assert_eq!(names(&of("{external: false, name: shared}")), Vec::<String>::new());
}

#[test]
fn attributes_of_the_wrong_form_are_errors() {
    for (attributes, message) in [
        ("environment: 5", "`environment` must be a mapping or a list, not"),
        ("labels: {a: [b]}", "`labels.a` must be a scalar, not"),
        ("labels: [[b]]", "`labels` must be a list of `KEY=value`, not"),
        ("command: {a: b}", "`command` must be a string or a list, not"),
        ("command: 'a \"b'", "`command` has an open quote"),
        ("hostname: [a]", "`hostname` must be a scalar, not"),
        ("cap_add: a", "`cap_add` must be a list, not"),
        ("healthcheck: a", "`healthcheck` must be a mapping, not"),
        ("healthcheck: {test: {a: b}}", "`healthcheck.test` must be a string or a list, not"),
        ("ports: [[80]]", "`ports` must be a list of ports, not"),
        ("ports: ['a:b:c:d']", "invalid port mapping"),
        ("volumes: [[x]]", "`volumes` must be a list of volumes, not"),
        ("volumes: [{source: x, target: /x}]", "a volume in long form needs a `type`"),
        ("configs: [[x]]", "`configs` must be a list of names or mappings, not"),
        ("depends_on: db", "`depends_on` must be a mapping or a list, not"),
        ("depends_on: [[db]]", "`depends_on` must be a list of names, not"),
    ] {
        let found = messages(&project(&format!(
            "services:\n  web: {{image: a, {attributes}}}\n  db: {{image: b}}\n"
        )));
        assert!(found.len() == 1 && found[0].contains(message), "{attributes}: {found:?}, not {message}");
    }
}

#[test]
fn two_values_of_one_limit_must_be_equal() {
    let found = |old: &str, new: &str| {
        messages(&project(&format!("services: {{web: {{image: a, {old}, deploy: {{resources: {new}}}}}}}")))
            .len()
    };
    for (old, new, errors) in [
        ("mem_limit: 1g", "{limits: {memory: 1024m}}", 0),
        ("mem_limit: 1g", "{limits: {memory: 2g}}", 1),
        ("mem_limit: 1g", "{reservations: {memory: 2g}}", 0),
        ("mem_reservation: 1g", "{reservations: {memory: 2g}}", 1),
        ("cpus: 0.5", "{limits: {cpus: '0.50'}}", 0),
        ("cpus: 0.5", "{limits: {cpus: '0.6'}}", 1),
        ("pids_limit: 5", "{limits: {pids: 6}}", 1),
        ("mem_limit: '${A}'", "{limits: {memory: 2g}}", 0),
        ("mem_limit: 1g", "{limits: {memory: '${A}'}}", 0),
    ] {
        assert_eq!(found(old, new), errors, "{old} {new}");
    }
}

/// Loads a project of a compose file and an override file.
fn overridden(base: &str, over: &str) -> Project {
    FakeTree::new(&[
        ("blog/compose.yml", &format!("services: {{web: {{image: a, {base}}}}}")),
        ("blog/compose.override.yml", &format!("services: {{web: {over}}}")),
    ])
    .load()
}

#[test]
fn a_reset_key_counts_as_absent() {
    let plain = definition("");
    for (base, over) in [
        ("environment: {A: b}", "{environment: {A: !reset null}}"),
        ("labels: {a: b}", "{labels: {a: !reset x}}"),
        ("hostname: h", "{hostname: !reset null}"),
        ("ports: ['80:80']", "{ports: !reset []}"),
        ("dns: [1.1.1.1]", "{dns: !reset x}"),
        ("healthcheck: {test: x}", "{healthcheck: !reset null}"),
        ("healthcheck: {test: x}", "{healthcheck: !reset x}"),
    ] {
        assert_eq!(web(&overridden(base, over)).definition, plain, "{base} {over}");
    }
    let kept = overridden("environment: {A: b, C: d}", "{environment: {A: !reset null}}");
    assert_eq!(web(&kept).definition, definition("environment: {C: d}"));
}

#[test]
fn a_dependency_without_a_condition_waits_for_the_start() {
    let compose = "services:\n  web: {image: a, depends_on: [db]}\n  db: {image: b}\n";
    let project = project(compose);
    assert_eq!(web(&project).depends_on["db"].condition, Condition::Started);
}
