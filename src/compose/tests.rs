//! Equality of definitions: changes that make another service, and other notations of the same one.

use super::fake::{FakeTree, messages, project, web};
use super::model::{Condition, Project, RestartPolicy};

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
            "develop: {watch: [{path: ./x, action: rebuild, ignore: [a]}]}",
            "develop: {watch: [{path: ./x, action: rebuild, ignore: [b]}]}",
        ),
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
        ("deploy: {labels: [a=b]}", "deploy: {labels: {a: b}}"),
        ("labels: [a=b, c]", "labels: {a: b, c: ''}"),
        ("labels: {a: null}", "labels: {a: ''}"),
        ("labels: [a=010]", "labels: {a: '010'}"),
        ("sysctls: [a=010]", "sysctls: {a: '010'}"),
        ("annotations: [a]", "annotations: {a: null}"),
        ("networks: [default]", "networks: {default: null}"),
        ("command: a 'b c'", "command: [a, b c]"),
        ("dns: 1.1.1.1", "dns: [1.1.1.1]"),
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
    let of = |others: &str| definition_in("networks: [n], volumes: ['data:/v']", others);
    let base = of("networks: {n: {}}\nvolumes: {data: {}}\n");
    for others in [
        "networks: {n: null}\nvolumes: {data: null}\n",
        "networks: {n: {driver_opts: {}, x-a: b}}\nvolumes: {data: {labels: {}}}\n",
        "networks: {n: {name: other}}\nvolumes: {data: {name: other}}\n",
    ] {
        assert_eq!(of(others), base, "{others}");
    }
    for others in [
        "networks: {n: {driver: macvlan}}\nvolumes: {data: {}}\n",
        "networks: {n: {internal: true}}\nvolumes: {data: {}}\n",
        "networks: {n: {labels: {a: b}}}\nvolumes: {data: {}}\n",
        "networks: {n: {}}\nvolumes: {data: {driver: other}}\n",
        "networks: {n: {}}\nvolumes: {data: {driver_opts: {a: b}}}\n",
    ] {
        assert_ne!(of(others), base, "{others}");
    }
    let lists = "networks: {n: {driver_opts: {a: b}, labels: [c=d]}}\nvolumes: {data: {labels: [e=f]}}\n";
    let maps = "networks: {n: {driver_opts: {a: b}, labels: {c: d}}}\nvolumes: {data: {labels: {e: f}}}\n";
    assert_eq!(of(lists), of(maps));
    let bound = |device: &str, kind: &str| {
        of(&format!(
            "networks: {{n: {{}}}}\nvolumes: {{data: {{driver_opts: {{type: {kind}, o: bind, device: {device}}}}}}}\n"
        ))
    };
    assert_eq!(bound("./x", "none"), bound("/srv/services/blog/x", "none"));
    assert_ne!(bound("./x", "none"), bound("./x/y", "none"));
    let labelled = |label: &str| {
        of(&format!(
            "networks: {{n: {{}}}}\nvolumes: {{data: {{labels: {{a: {label}}}, driver_opts: {{type: none, o: bind, device: ./x}}}}}}\n"
        ))
    };
    assert_ne!(labelled("b"), labelled("c"));
}

#[test]
fn a_named_volume_counts_by_its_name_in_any_folder() {
    let compose = "services: {web: {image: a, volumes: ['data:/v']}}\nvolumes: {data: {}}\n";
    let below = [("blog/.env", "COMPOSE_FILE=sub/a.yml\n"), ("blog/sub/a.yml", compose)];
    assert_eq!(of_files(&below), of_files(&[("blog/compose.yml", compose)]));
}

#[test]
fn the_options_of_a_joined_network_are_part_of_the_definition() {
    let of = |options: &str| definition_in(&format!("networks: {{n: {options}}}"), "networks: {n: {}}\n");
    assert_ne!(of("{aliases: [a]}"), of("{aliases: [b]}"));
    assert_ne!(of("{aliases: [a]}"), of("null"));
    assert_ne!(definition("network_mode: host"), definition(""));
}

#[test]
fn a_service_with_a_network_mode_joins_no_network() {
    let of = |attributes: &str| {
        ["{}", "{driver: x}"]
            .map(|network| definition_in(attributes, &format!("networks: {{default: {network}}}\n")))
    };
    for (attributes, joins) in [("network_mode: host", false), ("", true)] {
        let [one, other] = of(attributes);
        assert_eq!(one != other, joins, "{attributes}");
    }
}

#[test]
fn an_external_network_may_be_named_in_the_old_way() {
    let of = |network: &str| {
        project(&format!("services: {{web: {{image: a, networks: [n]}}}}\nnetworks: {{n: {network}}}"))
    };
    let names = |project: &Project| project.external_networks.to_vec();
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
        ("environment: 5", "`environment` must be a mapping or a list, not a scalar"),
        ("labels: {a: [b]}", "`labels.a` must be a scalar, not a list"),
        ("labels: [[b]]", "an item of `labels` must be a scalar, not a list"),
        ("command: {a: b}", "`command` must be a scalar or a list, not a mapping"),
        ("command: 'a \"b'", "`command` has an open quote"),
        ("hostname: [a]", "`hostname` must be a scalar, not"),
        ("cap_add: a", "`cap_add` must be a list, not"),
        ("healthcheck: a", "`healthcheck` must be a mapping, not"),
        ("healthcheck: {test: {a: b}}", "`healthcheck.test` must be a scalar or a list, not"),
        ("ports: [[80]]", "an item of `ports` must be a scalar or a mapping, not"),
        ("ports: ['a:b:c:d']", "invalid port mapping"),
        ("volumes: [[x]]", "an item of `volumes` must be a scalar or a mapping, not"),
        ("volumes: [{source: x, target: /x}]", "a volume in long form needs a `type`"),
        ("configs: [[x]]", "an item of `configs` must be a scalar or a mapping, not"),
        ("depends_on: db", "`depends_on` must be a mapping or a list, not"),
        ("depends_on: [[db]]", "an item of `depends_on` must be a scalar, not"),
        ("extra_hosts: {h: null}", "host `h` needs an address"),
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
        ("labels: {a: b}", "{labels: {a: !reset null}}"),
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

/// The definition of `web` in a project of these files.
fn of_files(files: &[(&str, &str)]) -> String {
    web(&FakeTree::new(files).load()).definition.clone()
}

#[test]
fn numbers_and_booleans_without_quotes_are_what_yaml_makes_of_them() {
    same(&[
        ("hostname: False", "hostname: 'false'"),
        ("hostname: 0x10", "hostname: '16'"),
        ("hostname: 0o17", "hostname: '15'"),
        ("hostname: 0b11", "hostname: '3'"),
        ("hostname: -012", "hostname: '-10'"),
        ("hostname: 1_000", "hostname: '1000'"),
        ("hostname: 1.50", "hostname: '1.5'"),
        ("hostname: 12345678.0", "hostname: '1.2345678e+07'"),
        ("hostname: 0.00001", "hostname: '1e-05'"),
        ("hostname: 1e3", "hostname: '1000'"),
        ("hostname: 0.0", "hostname: '0'"),
        ("hostname: 1.2.3", "hostname: '1.2.3'"),
        ("hostname: 1e3x", "hostname: '1e3x'"),
        ("hostname: .e1", "hostname: '.e1'"),
    ]);
    different(&[("hostname: 0x10", "hostname: '0x10'")]);
}

#[test]
fn every_unit_of_sizes_and_durations_counts() {
    for (size, bytes) in [
        ("10b", "10"),
        ("1k", "1024"),
        ("1kib", "1024"),
        ("1m", "1048576"),
        ("0.5g", "536870912"),
        ("1t", "1099511627776"),
        ("1p", "1125899906842624"),
    ] {
        same(&[(&format!("mem_limit: {size}"), &format!("mem_limit: {bytes}"))]);
    }
    different(&[("mem_limit: 1x", "mem_limit: 1y")]);
    for (one, other) in [
        ("1h", "60m"),
        ("1d", "24h"),
        ("1w", "7d"),
        ("1500ms", "1s500ms"),
        ("2us", "2000ns"),
        ("1.5m", "90s"),
        ("0", "0s"),
    ] {
        same(&[(&format!("stop_grace_period: {one}"), &format!("stop_grace_period: {other}"))]);
    }
    different(&[
        ("stop_grace_period: 1m1s", "stop_grace_period: 1m"),
        ("stop_grace_period: 10x", "stop_grace_period: 10y"),
    ]);
}

#[test]
fn an_environment_is_what_the_container_gets() {
    let of = |attributes: &str, dotenv: &str, file: &str| {
        let compose = format!("services: {{web: {{image: a, {attributes}}}}}");
        of_files(&[("blog/compose.yml", &compose), ("blog/.env", dotenv), ("blog/a.env", file)])
    };
    let plain = of("environment: {A: '1'}", "", "");
    // A name alone has the value of `.env`.
    assert_eq!(of("environment: [A]", "A=1\n", ""), plain);
    assert_ne!(of("environment: [A]", "A=2\n", ""), plain);
    assert_ne!(of("environment: [A]", "", ""), plain);
    // It does not hide what an env file says, a value does.
    assert_eq!(of("env_file: a.env, environment: [A]", "", "A=1\n"), plain);
    assert_eq!(of("env_file: a.env, environment: {A: '1'}", "", "A=2\n"), plain);
    assert_eq!(of("env_file: a.env", "B=1\n", "A=$B\n"), plain);
    assert_eq!(of("env_file: [{path: a.env, format: raw}]", "B=1\n", "# A=2\nA=1\n"), plain);
    assert_ne!(of("env_file: [{path: a.env, format: raw}]", "B=1\n", "A=$B\n"), plain);
    let shared =
        "services: {web: {image: a, env_file: [{path: a.env, format: raw}]}, b: {image: b, env_file: a.env}}";
    assert_ne!(
        of_files(&[("blog/compose.yml", shared), ("blog/a.env", "A='1'\n")]),
        plain,
        "of a file that another service reads with quotes the raw text counts"
    );
}

#[test]
fn an_env_file_uses_the_variables_of_the_files_that_its_service_names_before_it() {
    let compose =
        |web: &str| format!("services: {{a: {{image: a, env_file: b.env}}, web: {{image: a, {web}}}}}");
    let of = |web: &str| {
        of_files(&[("blog/compose.yml", &compose(web)), ("blog/a.env", "X=1\n"), ("blog/b.env", "Y=$X\n")])
    };
    assert_eq!(of("env_file: [a.env, b.env]"), of("environment: {X: '1', Y: '1'}"));
}

#[test]
fn an_env_file_that_the_tree_lacks_counts_by_its_path_if_it_is_required() {
    let of = |file: &str| definition(&format!("env_file: [{file}]"));
    assert_ne!(of("{path: no.env}"), definition(""));
    assert_ne!(of("{path: no.env}"), of("{path: nil.env}"));
    assert_eq!(of("{path: no.env, required: false}"), definition(""));
    assert_ne!(definition("label_file: no.labels"), definition("label_file: nil.labels"));
}

#[test]
fn a_later_file_replaces_what_is_the_same_and_adds_the_rest() {
    let merged = |base: &str, over: &str| web(&overridden(base, &format!("{{{over}}}"))).definition.clone();
    for (base, over, result) in [
        ("volumes: ['./x:/x']", "volumes: ['./y:/x']", "volumes: ['./y:/x']"),
        ("volumes: ['./x:/x']", "volumes: ['./y:/y']", "volumes: ['./x:/x', './y:/y']"),
        ("ports: ['80:80']", "ports: ['80:80', '81:81']", "ports: ['80:80', '81:81']"),
        ("cap_add: [A, B]", "cap_add: [B, C]", "cap_add: [A, B, C]"),
        ("dns: [1.1.1.1]", "dns: 1.1.1.1", "dns: 1.1.1.1"),
        ("expose: ['80']", "expose: ['80', '81']", "expose: ['80', '81']"),
        (
            "extra_hosts: ['a=1.1.1.1']",
            "extra_hosts: ['a=1.1.1.1', 'b=1.1.1.1']",
            "extra_hosts: ['a=1.1.1.1', 'b=1.1.1.1']",
        ),
        (
            "extra_hosts: {a: [1.1.1.1]}",
            "extra_hosts: {a: [1.1.1.1, 2.2.2.2]}",
            "extra_hosts: ['a=1.1.1.1', 'a=2.2.2.2']",
        ),
        ("extra_hosts: ['a=[::1]']", "hostname: h", "extra_hosts: ['a=::1'], hostname: h"),
        ("command: [a, b]", "command: [c]", "command: [c]"),
        ("environment: {A: b, C: d}", "environment: [A=e]", "environment: {A: e, C: d}"),
        (
            "logging: {driver: x, options: {a: b}}",
            "logging: {options: {c: d}}",
            "logging: {driver: x, options: {a: b, c: d}}",
        ),
        (
            "logging: {driver: x, options: {a: b}}",
            "logging: {driver: y, options: {c: d}}",
            "logging: {driver: y, options: {c: d}}",
        ),
        ("security_opt: [a]", "security_opt: [a]", "security_opt: [a, a]"),
    ] {
        assert_eq!(merged(base, over), definition(result), "{base} and {over}");
    }
}

#[test]
fn configs_and_secrets_are_merged_by_the_place_of_their_mount() {
    let tops = "configs: {c: {file: ./c}, d: {file: ./d}}\nsecrets: {c: {file: ./c}, d: {file: ./d}}\n";
    let of = |base: &str, over: &str| {
        let base = format!("services: {{web: {{image: a, {base}}}}}\n{tops}");
        let over = format!("services: {{web: {{{over}}}}}");
        let mut files = vec![("blog/compose.yml", base.as_str()), ("blog/c", ""), ("blog/d", "")];
        if !over.contains("{{}}") {
            files.push(("blog/compose.override.yml", over.as_str()));
        }
        of_files(&files)
    };
    let alone = |attributes: &str| of(attributes, "");
    for (base, over, result) in [
        ("configs: [c]", "configs: [{source: d, target: /c}]", "configs: [{source: d, target: /c}]"),
        (
            "configs: [c]",
            "configs: [{source: d, target: /run/secrets/c}]",
            "configs: [c, {source: d, target: /run/secrets/c}]",
        ),
        (
            "secrets: [c]",
            "secrets: [{source: d, target: /run/secrets/c}]",
            "secrets: [{source: d, target: /run/secrets/c}]",
        ),
        ("secrets: [c]", "secrets: [{source: d, target: /c}]", "secrets: [c, {source: d, target: /c}]"),
    ] {
        assert_eq!(of(base, over), alone(result), "{base} and {over}");
    }
}

#[test]
fn subnets_of_a_network_are_merged_one_by_one() {
    let of = |base: &str, over: &str| {
        let compose = |config: &str| {
            format!(
                "services: {{web: {{image: a, networks: [n]}}}}\nnetworks: {{n: {{ipam: {{config: [{config}]}}}}}}\n"
            )
        };
        of_files(&[("blog/compose.yml", &compose(base)), ("blog/compose.override.yml", &compose(over))])
    };
    let (a, b) = ("{subnet: 10.0.0.0/24}", "{subnet: 10.0.1.0/24}");
    let changed = "{subnet: 10.0.0.0/24, gateway: 10.0.0.1}";
    let both = format!("{a}, {b}");
    assert_eq!(of(a, b), of(&both, &both));
    assert_eq!(of(a, changed), of(changed, changed));
    assert_ne!(of(a, changed), of(a, a));
}

#[test]
fn aliases_that_two_files_name_count_once() {
    let of = |base: &str, over: &str| {
        let compose = |options: &str| {
            format!("services: {{web: {{image: a, networks: {{n: {options}}}}}}}\nnetworks: {{n: {{}}}}\n")
        };
        of_files(&[("blog/compose.yml", &compose(base)), ("blog/compose.override.yml", &compose(over))])
    };
    assert_eq!(of("{aliases: [x]}", "{aliases: [x, y]}"), of("{aliases: [x, y]}", "{}"));
    assert_eq!(of("{link_local_ips: [x]}", "{link_local_ips: [x]}"), of("{link_local_ips: [x]}", "{}"));
    assert_ne!(of("{driver_opts: {a: b}}", "{}"), of("{}", "{}"));
}

#[test]
fn whole_services_and_volumes_may_be_reset() {
    let base = "services: {web: {image: a}, old: {image: b}}\nvolumes: {v: {driver: x}}\n";
    for value in ["null", "[]"] {
        let over = format!("services: {{old: !reset {value}}}\nvolumes: {{v: !reset {value}}}\n");
        let project =
            FakeTree::new(&[("blog/compose.yml", base), ("blog/compose.override.yml", &over)]).load();
        assert_eq!(messages(&project), Vec::<String>::new());
        assert_eq!(project.services.keys().collect::<Vec<_>>(), ["web"]);
    }
    let empty = FakeTree::new(&[
        ("blog/compose.yml", "services: {web: {image: a}}\nvolumes: {v: {}}"),
        ("blog/compose.override.yml", "services: null\nvolumes: null\n"),
    ]);
    assert_eq!(messages(&empty.load()), Vec::<String>::new());
}

#[test]
fn an_override_within_an_include_keeps_what_files_before_define() {
    let files = [
        ("blog/compose.yml", "services: {web: {image: a, hostname: h}}"),
        ("blog/compose.override.yml", "include: [{path: [a.yml, b.yml]}]"),
        ("blog/a.yml", "services: {web: {image: c, user: u}}"),
        ("blog/b.yml", "services: {web: !override {image: b}}"),
    ];
    let merged = of_files(&[("blog/compose.yml", "services: {web: {image: b, hostname: h}}")]);
    assert_eq!(of_files(&files), merged);
}

#[test]
fn a_reset_extends_extends_nothing() {
    let compose = "services: {common: {image: c, hostname: h}, web: {image: a, extends: !reset common}}";
    assert_eq!(web(&project(compose)).definition, definition(""));
}

#[test]
fn a_problem_of_a_service_that_two_others_extend_is_reported_once() {
    let compose =
        "services: {a: {extends: {file: b.yml, service: b}}, web: {extends: {file: b.yml, service: b}}}";
    let other = "services: {b: {image: b, extends: nothing}}";
    let found = messages(&FakeTree::new(&[("blog/compose.yml", compose), ("blog/b.yml", other)]).load());
    assert_eq!(found, ["services/blog/b.yml:1:35: service `b` extends `nothing`, which is not in this file"]);
}

#[test]
fn an_empty_file_is_an_error() {
    for empty in ["", "# nothing\n"] {
        assert_eq!(
            messages(&project(empty)),
            [
                "services/blog/compose.yml:1:1: the compose file is empty (bring its content back: it may have been lost; write `services: {}` if nothing is to run)"
            ]
        );
    }
}

#[test]
fn what_two_included_files_define_alike_is_no_conflict() {
    let of = |one: &str, other: &str| {
        let project = FakeTree::new(&[
            ("blog/compose.yml", "include: [one.yml, other.yml]\nservices: {web: {image: a}}"),
            (
                "blog/one.yml",
                &format!("services: {{b: {{image: b, networks: [n]}}}}\nnetworks: {{n: {one}}}"),
            ),
            (
                "blog/other.yml",
                &format!("services: {{c: {{image: c, networks: [n]}}}}\nnetworks: {{n: {other}}}"),
            ),
        ])
        .load();
        messages(&project).len()
    };
    for (one, other, errors) in [
        ("{}", "{}", 0),
        ("{driver: x}", "{driver: x}", 0),
        ("{driver: x}", "{driver: y}", 1),
        ("{driver: x}", "{}", 1),
        ("{labels: {a: null}}", "{labels: {a: null}}", 0),
        ("{ipam: {config: [{subnet: a}]}}", "{ipam: {config: [{subnet: a}]}}", 0),
        ("{ipam: {config: [{subnet: a}]}}", "{ipam: {config: [{subnet: b}]}}", 1),
        ("{ipam: {config: [{subnet: a}]}}", "{ipam: {config: [{subnet: a}, {subnet: b}]}}", 1),
        ("{ipam: {config: [{subnet: a}, {subnet: b}]}}", "{ipam: {config: [{subnet: a}, {subnet: c}]}}", 1),
    ] {
        assert_eq!(of(one, other), errors, "{one} {other}");
    }
}

#[test]
fn the_options_of_a_short_volume_are_those_of_the_long_one() {
    let long = |rest: &str| format!("volumes: [{{type: bind, source: ./x, target: /x, {rest}}}]");
    same(&[
        ("volumes: ['./x:/x:ro']", &long("read_only: true, bind: {create_host_path: true}")),
        ("volumes: ['./x:/x:rshared']", &long("bind: {propagation: rshared, create_host_path: true}")),
        ("volumes: ['./x:/x:z']", &long("bind: {selinux: z, create_host_path: true}")),
        ("volumes: ['./x:/x/../y']", "volumes: ['./x:/y']"),
    ]);
    let named = |volume: &str| definition_in(&format!("volumes: [{volume}]"), "volumes: {data: {}}\n");
    assert_eq!(
        named("'data:/x:nocopy'"),
        named("{type: volume, source: data, target: /x, volume: {nocopy: true}}")
    );
    assert_ne!(named("'data:/x:nocopy'"), named("'data:/x'"));
}

#[test]
fn what_a_service_is_besides_its_definition() {
    let compose = "services: {web: {image: a, container_name: box, scale: 0, ports: ['127.0.0.1:80:8080', '53:53/udp', '90-92:90-92', '7', '${P}:80']}}";
    let project = project(compose);
    let service = &project.services["web"];
    assert_eq!(service.container_name.as_ref().map(|(name, _)| name.as_str()), Some("box"));
    let ports: Vec<(&str, u16, u16, &str)> = service
        .ports
        .iter()
        .map(|port| (port.host_ip.as_str(), port.first, port.last, port.protocol.as_str()))
        .collect();
    assert_eq!(ports[..2], [("127.0.0.1", 80, 80, "tcp"), ("", 53, 53, "udp")]);
    assert!(ports[2..].iter().all(|port| (90..=92).contains(&port.1) && port.3 == "tcp"), "{ports:?}");
    assert!(service.is_scaled_to_zero() && service.build.is_none());
    let of = |attributes: &str| {
        let compose = format!("services: {{web: {{image: a, {attributes}}}}}");
        super::fake::project(&compose).services["web"].clone()
    };
    assert!(of("deploy: {replicas: 0}").is_scaled_to_zero());
    let scale = |attributes: &str| of(attributes).scale;
    assert_eq!((scale("deploy: {replicas: 2}"), scale("scale: 3"), scale("")), (Some(2), Some(3), Some(1)));
    assert_eq!((scale("scale: '${N}'"), scale("deploy: {replicas: '${N:-4}'}")), (None, None));
    let policy = |attributes: &str| of(attributes).restart;
    assert_eq!(policy(""), Some(RestartPolicy::No));
    assert_eq!(policy("restart: 'no'"), Some(RestartPolicy::No));
    assert_eq!(policy("restart: 'on-failure:3'"), Some(RestartPolicy::OnFailure));
    assert_eq!(policy("restart: '${R}'"), None);
    assert_eq!(policy("deploy: {restart_policy: {condition: any}}"), Some(RestartPolicy::Always));
    assert_eq!(
        policy("restart: unless-stopped, deploy: {restart_policy: {condition: none}}"),
        Some(RestartPolicy::UnlessStopped)
    );
    assert_eq!(of("container_name: '${N}'").container_name, None);
    assert_eq!(of("container_name: ''").container_name, None);
    let build = |arguments: &str| of(&format!("build: {{context: ., args: {arguments}}}")).build;
    assert_eq!(build("[A=1]"), build("{A: '1'}"));
    assert_ne!(build("{A: '1'}"), build("{A: '2'}"));
}

#[test]
fn labels_and_contexts_of_a_build_may_be_lists() {
    let of = |rest: &str| {
        let compose = format!("services: {{web: {{build: {{context: ., {rest}}}}}}}");
        let project = FakeTree::new(&[("blog/compose.yml", compose.as_str()), ("blog/c/x", "")]).load();
        let reads: Vec<String> = web(&project).reads.iter().map(|read| read.path.to_string()).collect();
        (web(&project).build.clone(), reads)
    };
    assert_eq!(of("labels: [a=b]"), of("labels: {a: b}"));
    let lists = of("additional_contexts: [c=./c]");
    assert_eq!(lists, of("additional_contexts: {c: ./c}"));
    assert_eq!(lists.1, ["blog", "blog/c"]);
}

#[test]
fn a_signal_holds_nothing_that_reaches_a_command_line() {
    let errors = |signal: &str| {
        messages(&project(&format!(
            "services: {{web: {{image: a, x-ghdeploy: {{on-change: {{signal: {signal}}}}}}}}}"
        )))
        .len()
    };
    for (signal, count) in [
        ("HUP", 0),
        ("'1'", 0),
        ("RTMIN+3", 0),
        ("''", 1),
        ("'-9'", 1),
        ("'A B'", 1),
        ("'A;B'", 1),
        ("ABCDEFGHIJKLMNOP", 0),
        ("ABCDEFGHIJKLMNOPQ", 1),
    ] {
        assert_eq!(errors(signal), count, "{signal}");
    }
}

#[test]
fn the_first_compose_file_may_lie_elsewhere() {
    let compose = "services: {web: {image: 'a:${TAG}-${OWN}'}}";
    let project = FakeTree::new(&[
        ("blog/.env", "COMPOSE_FILE=sub/a.yml;b.yml\nCOMPOSE_PATH_SEPARATOR=;\nTAG=1\n"),
        ("blog/sub/.env", "TAG=2\nOWN=3\n"),
        ("blog/sub/a.yml", compose),
        ("blog/b.yml", "services: {other: {image: b}}"),
    ])
    .load();
    assert_eq!(web(&project).image.as_deref(), Some("a:1-3"));
    assert!(project.services.contains_key("other"));
}

#[test]
fn a_file_may_use_the_name_of_its_project() {
    let of = |dotenv: &str| {
        let compose = "services: {web: {image: 'a:${COMPOSE_PROJECT_NAME}'}}";
        let project = FakeTree::new(&[("blog/compose.yml", compose), ("blog/.env", dotenv)]).load();
        web(&project).image.clone().unwrap()
    };
    assert_eq!(of(""), "a:blog");
    assert_eq!(of("COMPOSE_PROJECT_NAME=\n"), "a:blog");
    assert_eq!(of("COMPOSE_PROJECT_NAME=x\n"), "a:x");
}

#[test]
fn an_empty_name_is_none() {
    let project = FakeTree::new(&[("blog/compose.yml", "name: ''\nservices: {web: {image: a}}")]).load();
    assert_eq!(project.name, "blog");
}

#[test]
fn the_names_of_files_that_can_make_a_project() {
    let names = ["compose.yml", "docker-compose.yaml", ".env", "compose.override.yml", "x.yml"];
    assert_eq!(names.map(super::makes_project), [true, true, true, false, false]);
}
