//! Valid and invalid `ghdeploy.yml` files.

use super::notify::TelegramChat;
use super::*;

fn problems(text: &str) -> String {
    let shown = |problem: Diagnostic| {
        let at = problem.at.map_or_else(String::new, |at| format!("{at}: "));
        let help = problem.help.map_or_else(String::new, |help| format!(" [{help}]"));
        format!("{at}{}{help}\n", problem.message)
    };
    Config::from_yaml(text, "ghdeploy.yml").unwrap_err().into_iter().map(shown).collect()
}

#[test]
fn every_key_is_read() {
    let config = Config::from_yaml(
        r#"
services: [services, stacks/*/*]
hosts:
  web: {ssh: deploy@203.0.113.10, root: /srv/services, projects: ["*", "!postgres"]}
  db:  {ssh: db, projects: postgres}
  node: {ssh: "local:/opt/services"}
  aaa: {ssh: local}
sync: {ignore: ["*.md"], include: [".env.production"]}
health: {timeout: 1m30s, stable_for: 5s, log_lines: 50}
gate: {checks: ["test*", "test ({project})"], junit: ["**/junit*.xml"], timeout: 30m}
build: {registry: "ghcr.io/ann", branch: release/1.x}
networks:
  proxy:
  back: {driver: bridge, driver_opts: {mtu: 1450}, labels: {team: ops}, subnet: 10.9.0.0/24, internal: true}
registries:
  ghcr.io: {username: ann, password: GHCR_TOKEN}
  index.docker.io: {username: "${HUB_USER}", password: HUB_TOKEN}
  nvcr.io: {username: $oauthtoken, password: NGC_KEY}
notify: {slack: SLACK_WEBHOOK_URL}
prune: true
prune_images: true
keep: 3
"#,
        "ghdeploy.yml",
    )
    .unwrap();
    let hosts: Vec<_> =
        config.hosts.iter().map(|h| (h.name.as_str(), h.address.to_string(), h.root.as_str())).collect();
    assert_eq!(
        hosts,
        [
            ("web", "deploy@203.0.113.10".to_owned(), "/srv/services"),
            ("db", "db".to_owned(), "/srv/services"),
            ("node", "local:/opt/services".to_owned(), "/opt/services"),
            ("aaa", "local".to_owned(), "/srv/services"),
        ]
    );
    assert!(config.hosts[0].projects.selects("web/blog"));
    assert!(!config.hosts[0].projects.selects("postgres"));
    assert!(config.hosts[1].projects.selects("postgres"));
    assert!(!config.hosts[1].projects.selects("blog"));
    assert!(config.hosts[2].projects.selects("blog"));
    assert_eq!(config.services.prefixes(), ["services", "stacks"]);
    assert_eq!(config.sync.include, [".env.production"]);
    assert_eq!(config.health.timeout, Duration::from_secs(90));
    assert_eq!(config.gate.timeout, Duration::from_secs(1800));
    assert_eq!(
        (config.registry.as_deref(), config.branch.as_deref()),
        (Some("ghcr.io/ann"), Some("release/1.x"))
    );
    let back = Network {
        name: "back".to_owned(),
        driver: Some("bridge".to_owned()),
        driver_opts: vec![("mtu".to_owned(), "1450".to_owned())],
        labels: vec![("team".to_owned(), "ops".to_owned())],
        subnet: Some("10.9.0.0/24".to_owned()),
        internal: true,
        ..Network::default()
    };
    assert_eq!(config.networks, [Network { name: "proxy".to_owned(), ..Network::default() }, back]);
    let literal = |name: &str| Username::Literal(name.to_owned());
    let registries =
        config.registries.into_iter().map(|registry| (registry.name, registry.username, registry.password));
    assert_eq!(
        registries.collect::<Vec<_>>(),
        [
            ("ghcr.io".to_owned(), literal("ann"), "GHCR_TOKEN".to_owned()),
            ("docker.io".to_owned(), Username::Variable("HUB_USER".to_owned()), "HUB_TOKEN".to_owned()),
            ("nvcr.io".to_owned(), literal("$oauthtoken"), "NGC_KEY".to_owned()),
        ]
    );
    assert_eq!(config.notify.slack.as_deref(), Some("SLACK_WEBHOOK_URL"));
    assert!(config.prune && config.prune_images);
    assert_eq!((config.keep, config.health.log_lines), (3, 50));
}

#[test]
fn nothing_is_required() {
    for text in ["", "# later\n", "{}\n", "sync:\nhosts:\nservices:\n", "\u{feff}keep: 10\n"] {
        let config = Config::from_yaml(text, "ghdeploy.yml").unwrap();
        assert_eq!(config.services.prefixes(), ["services"], "{text:?}");
        assert!(config.hosts.is_empty() && !config.prune && config.keep == 10, "{text:?}");
        assert_eq!(config.health, Health::default());
    }
}

#[test]
fn an_unknown_key_is_reported_with_its_location_and_the_nearest_known_one() {
    insta::assert_snapshot!(
        [
            "\nservice: x\n",
            "hosts:\n  web:\n    ssh: a\n    rot: /srv\n",
            "keep: 1\nhealth: {timeout: 5s, stable-for: 5s}\n",
            "registry: x\n",
        ]
        .map(problems)
        .concat(),
        @"
    ghdeploy.yml:2:1: unknown key `service` [did you mean `services`?]
    ghdeploy.yml:4:5: hosts.web: unknown key `rot` [did you mean `root`?]
    ghdeploy.yml:2:23: health: unknown key `stable-for` [did you mean `stable_for`?]
    ghdeploy.yml:1:1: unknown key `registry` [did you mean `registries`?]
    "
    );
}

#[test]
fn a_wrong_type_says_what_was_expected() {
    insta::assert_snapshot!(
        [
            "keep: many\n",
            "keep: -1\n",
            "prune: maybe\n",
            "services: {a: b}\n",
            "services: 5\n",
            "hosts: [web]\n",
            "hosts: {web: 5}\n",
            "hosts: {web: {root: /srv}}\n",
            "hosts:\n  web:\n",
            "sync: ['*.md']\n",
            "sync: {ignore: [[a]]}\n",
            "notify: {slack: {url: https://secret}}\n",
            "notify: {slack: [https://secret]}\n",
            "[]\n",
            "keep: 1\nkeep: 2\n",
            "hosts: [\n",
            "a: &a [*a]\n",
            "keep: 1\n---\nkeep: 2\n",
        ]
        .map(problems)
        .concat(),
        @r#"
    ghdeploy.yml:1:7: keep: invalid type: text "many", expected a number from 0 on
    ghdeploy.yml:1:7: keep: invalid type: integer `-1`, expected a number from 0 on
    ghdeploy.yml:1:8: prune: invalid type: text "maybe", expected `true` or `false`
    ghdeploy.yml:1:11: services: invalid type: mapping, expected a text or a list of texts
    ghdeploy.yml:1:11: services: invalid type: integer `5`, expected a text or a list of texts
    ghdeploy.yml:1:8: hosts: invalid type: list, expected a mapping of names to hosts
    ghdeploy.yml:1:14: hosts.web: invalid type: integer `5`, expected an address, or a mapping with `ssh`, `root`, `projects`, `compose`, `docker` and `url`
    ghdeploy.yml:1:14: hosts.web: missing key `ssh`
    ghdeploy.yml:2:7: hosts.web: missing key `ssh`
    ghdeploy.yml:1:7: sync: invalid type: list, expected a mapping with `ignore` and `include`
    ghdeploy.yml:1:17: sync.ignore[0]: invalid type: list, expected a text
    ghdeploy.yml:1:17: notify.slack: invalid type: mapping, expected the name of an environment variable
    ghdeploy.yml:1:17: notify.slack: invalid type: list, expected the name of an environment variable
    ghdeploy.yml:1:1: invalid type: list, expected a mapping of keys
    ghdeploy.yml:1:1: duplicate key `keep`
    ghdeploy.yml:1:8: hosts: invalid type: list, expected a mapping of names to hosts
    ghdeploy.yml:1:1: unknown key `a` [known keys: services, hosts, sync, health, compose, gate, notify, github, build, registries, networks, prune, prune_images, keep]
    ghdeploy.yml:1:1: deserializing from YAML containing more than one document is not supported
    "#
    );
}

#[test]
fn all_invalid_values_are_reported_at_once() {
    insta::assert_snapshot!(
        problems(
            r#"services: [services, ../x]
hosts:
  web:
    ssh: -oProxyCommand=x
    root: /
    projects: ["*", "a["]
  "my host": {ssh: 'a b'}
  node: {ssh: local:/a, root: /b}
  web: {ssh: b}
sync:
  ignore: ["[a"]
  include: "x\ny"
health: {timeout: 90, stable_for: soon}
gate: {junit: ["[z"], timeout: 1y}
notify: {slack: "https://hooks.slack.com/services/T0/B0/secret"}
keep: 0
"#
        ),
        @r"
    ghdeploy.yml:1:22: services: `../x` leads out of the repository
    ghdeploy.yml:7:14: hosts.my host: a host's name is made of letters, digits, `.`, `_` and `-`
    ghdeploy.yml:7:20: hosts.my host.ssh: `a b` holds a character that is not allowed in a host or user name
    ghdeploy.yml:8:31: hosts.node.root: `ssh` names another root, `/a`
    ghdeploy.yml:9:8: hosts.web.root: root `/` is the whole host; name a directory for the projects
    ghdeploy.yml:9:8: hosts.web.projects: `a[` is not a glob: unclosed character class; missing ']'
    ghdeploy.yml:9:8: hosts.web: there are two hosts of this name
    ghdeploy.yml:9:14: hosts.web.ssh: `-oProxyCommand=x` starts with `-`, which ssh takes as an option
    ghdeploy.yml:11:12: sync.ignore: `[a` is not a pattern: unclosed character class; missing ']'
    ghdeploy.yml:12:12: sync.include: a pattern is one line; write a list of patterns
    ghdeploy.yml:13:19: health.timeout: `90` has no unit; write `90s` for seconds or `90m` for minutes
    ghdeploy.yml:13:35: health.stable_for: `soon` is not a duration; write it like `90s`, `5m` or `1m30s`
    ghdeploy.yml:14:16: gate.junit: `[z` is not a glob: unclosed character class; missing ']'
    ghdeploy.yml:14:32: gate.timeout: `1y` is not a duration; write it like `90s`, `5m` or `1m30s`
    ghdeploy.yml:15:17: notify.slack: expected the name of an environment variable, never its value
    ghdeploy.yml:16:7: keep: at least 1 release must be kept, the one that runs
    "
    );
}

#[test]
fn unknown_keys_and_wrong_types_are_reported_together_with_invalid_values() {
    insta::assert_snapshot!(
        problems(
            "servces: x\nkeep: many\nhealth: {timout: 5s, stable_for: soon, log_lines: [1]}\nhosts:\n  web: {ssh: a, rot: /srv, projects: {}}\n  db: {root: /srv}\n  node: -x\nsync: ['*.md']\nprune: true\n"
        ),
        @r#"
        ghdeploy.yml:1:1: unknown key `servces` [did you mean `services`?]
        ghdeploy.yml:2:7: keep: invalid type: text "many", expected a number from 0 on
        ghdeploy.yml:3:18: health: unknown key `timout` [did you mean `timeout`?]
        ghdeploy.yml:3:34: health.stable_for: `soon` is not a duration; write it like `90s`, `5m` or `1m30s`
        ghdeploy.yml:3:51: health.log_lines: invalid type: list, expected a number from 0 on
        ghdeploy.yml:5:22: hosts.web: unknown key `rot` [did you mean `root`?]
        ghdeploy.yml:5:38: hosts.web.projects: invalid type: mapping, expected a text or a list of texts
        ghdeploy.yml:6:7: hosts.db: missing key `ssh`
        ghdeploy.yml:7:9: hosts.node: `-x` starts with `-`, which ssh takes as an option
        ghdeploy.yml:8:7: sync: invalid type: list, expected a mapping with `ignore` and `include`
        "#
    );
}

#[test]
fn a_host_may_be_its_address_alone() {
    let config =
        Config::from_yaml("hosts: {web: 'deploy@203.0.113.10:2222', here: 'local:/srv/x'}\n", "ghdeploy.yml")
            .unwrap();
    assert_eq!(config.hosts[0].address.to_string(), "deploy@203.0.113.10:2222");
    assert_eq!((config.hosts[0].root.as_str(), config.hosts[1].root.as_str()), ("/srv/services", "/srv/x"));
}

#[test]
fn a_registry_is_in_small_letters_and_a_branch_is_one_name() {
    insta::assert_snapshot!(
        ["build: {registry: ghcr.io/Ann}\n", "build: {branch: --all}\n", "build: {branch: 'a b'}\n"].map(problems).concat(),
        @"
        ghdeploy.yml:1:19: build.registry: expected a registry and a path in small letters, such as ghcr.io/ann
        ghdeploy.yml:1:17: build.branch: expected the name of a branch, such as main
        ghdeploy.yml:1:17: build.branch: expected the name of a branch, such as main
        "
    );
}

#[test]
fn a_secret_in_place_of_a_variable_name_is_not_repeated() {
    for value in ["https://hooks.example/secret", "[https://secret]", "{secret: x}", "'xoxb-secret'"] {
        let text = format!("notify: {{slack: {value}}}\n");
        assert!(!problems(&text).contains("secret"), "{}", problems(&text));
    }
}

#[test]
fn channels_name_the_variables_of_their_addresses_and_tokens() {
    let notify = |text: &str| Config::from_yaml(text, "ghdeploy.yml").unwrap().notify;
    let all = notify(
        "notify: {discord: D, ntfy: {url: N, token: NT}, gatus: {url: G, token: GT}, telegram: {token: T, chat: C, api: A}}\n",
    );
    assert_eq!(all.variables(), ["D", "T", "A", "C", "N", "NT", "G", "GT"]);
    let some = notify("notify: {ntfy: NTFY_URL, telegram: {token: T, chat: -1001234567890}}\n");
    assert_eq!(some.variables(), ["T", "NTFY_URL"]);
    assert_eq!(some.telegram.unwrap().chat, TelegramChat::Id("-1001234567890".to_owned()));
    let named = notify("notify: {telegram: {token: T, chat: '@deploys'}}\n").telegram.unwrap();
    assert_eq!(named.chat, TelegramChat::Id("@deploys".to_owned()));
    insta::assert_snapshot!(
        [
            "notify: {discrod: D}\n",
            "notify: {discord: https://secret}\n",
            "notify: {telegram: T}\n",
            "notify: {telegram: {token: T}}\n",
            "notify: {telegram: {token: '123:secret', chat: 'secret chat'}}\n",
            "notify: {ntfy: {url: 'https://secret', token: tk-secret}}\n",
            "notify: {ntfy: https://secret}\n",
            "notify: {ntfy: [secret]}\n",
            "notify: {ntfy: {topic: secret}}\n",
            "notify: {gatus: {url: G}}\n",
        ]
        .map(problems)
        .concat(),
        @r#"
        ghdeploy.yml:1:10: notify: unknown key `discrod` [did you mean `discord`?]
        ghdeploy.yml:1:19: notify.discord: expected the name of an environment variable, never its value
        ghdeploy.yml:1:20: notify.telegram: invalid type: text "T", expected a mapping with `token`, `chat` and `api`
        ghdeploy.yml:1:20: notify.telegram: missing key `chat`
        ghdeploy.yml:1:28: notify.telegram.token: expected the name of an environment variable, never its value
        ghdeploy.yml:1:48: notify.telegram.chat: expected the name of an environment variable, never its value
        ghdeploy.yml:1:22: notify.ntfy.url: expected the name of an environment variable, never its value
        ghdeploy.yml:1:47: notify.ntfy.token: expected the name of an environment variable, never its value
        ghdeploy.yml:1:16: notify.ntfy: expected the name of an environment variable, never its value
        ghdeploy.yml:1:16: notify.ntfy: invalid type: list, expected the name of an environment variable, or a mapping with `url` and `token`
        ghdeploy.yml:1:17: notify.ntfy: unknown key `topic` [known keys: url, token]
        ghdeploy.yml:1:17: notify.gatus: missing key `token`
        "#
    );
}

#[test]
fn the_files_of_compose_are_those_of_all_hosts_or_of_one() {
    let text = "compose: {files: [compose.yml, 'compose.{host}.yml'], env_files: ../common.env}\nhosts:\n  web: {ssh: a}\n  \
                db: {ssh: b, compose: {files: compose.db.yml}}\n";
    let config = Config::from_yaml(text, "ghdeploy.yml").unwrap();
    assert_eq!(config.compose.files, ["compose.yml", "compose.{host}.yml"]);
    assert_eq!(config.compose.env_files, ["../common.env"]);
    assert_eq!(config.hosts[0].compose, None);
    assert_eq!(config.hosts[1].compose.as_ref().unwrap().files, ["compose.db.yml"]);
    let said = problems("compose: {files: [/etc/compose.yml], env_files: ['']}\n");
    assert!(
        said.contains("compose.files: a compose file is named by its path from the project's folder"),
        "{said}"
    );
    assert!(said.contains("compose.env_files: an empty text names no file"), "{said}");
}

#[test]
fn a_login_names_one_registry_and_a_variable_and_no_message_repeats_a_password() {
    let problems = problems(
        r#"registries:
  ghcr.io/ann: {username: ann, password: GHCR_TOKEN}
  "https://ghcr.io": {username: ann, password: GHCR_TOKEN}
  docker.io: {username: ann, password: "hunter2!"}
  index.docker.io: {username: ann, password: HUB_TOKEN}
  registry-1.docker.io: {username: "", password: HUB_TOKEN}
  quay.io: {username: "${a b}", password: QUAY_TOKEN}
"#,
    );
    assert!(!problems.contains("hunter2"), "{problems}");
    insta::assert_snapshot!(problems, @"
        ghdeploy.yml:2:16: registries.ghcr.io/ann: expected the name of a registry as it begins the names of its images, such as ghcr.io or docker.io
        ghdeploy.yml:3:22: registries.https://ghcr.io: expected the name of a registry as it begins the names of its images, such as ghcr.io or docker.io
        ghdeploy.yml:4:40: registries.docker.io.password: expected the name of an environment variable, never its value
        ghdeploy.yml:6:25: registries.registry-1.docker.io: there are two logins to this registry
        ghdeploy.yml:6:36: registries.registry-1.docker.io.username: a user name is one line, and not empty
        ghdeploy.yml:7:23: registries.quay.io.username: expected the name of an environment variable, never its value
        ");
    insta::assert_snapshot!(
        self::problems("registries: {ghcr.io: {username: ann}}") + &self::problems("registries: {ghcr.io: {username: ann, token: X}}"),
        @"
        ghdeploy.yml:1:23: registries.ghcr.io: missing key `password`
        ghdeploy.yml:1:39: registries.ghcr.io: unknown key `token` [known keys: username, password]
        "
    );
}

#[test]
fn networks_are_a_list_of_names_or_a_mapping_to_settings() {
    let config = Config::from_yaml("networks: [proxy, back]\n", "ghdeploy.yml").unwrap();
    assert_eq!(config.networks.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["proxy", "back"]);
    assert!(Config::from_yaml("networks:\n", "ghdeploy.yml").unwrap().networks.is_empty());
    insta::assert_snapshot!(
        ["networks: proxy", "networks: [-x, 'a b', host, a, a]", "networks: {a: {external: true}}", "networks: {a: {labels: [x]}}"]
            .map(problems)
            .concat(),
        @r#"
        ghdeploy.yml:1:11: networks: invalid type: text "proxy", expected a list of names, or a mapping of names to settings
        ghdeploy.yml:1:11: networks: `-x` is no name of a network: letters, digits, `_`, `.` and `-`
        ghdeploy.yml:1:11: networks: `a b` is no name of a network: letters, digits, `_`, `.` and `-`
        ghdeploy.yml:1:11: networks: `host` is Docker's own and exists everywhere
        ghdeploy.yml:1:11: networks: `a` is there twice
        ghdeploy.yml:1:16: networks.a: unknown key `external` [did you mean `internal`?]
        ghdeploy.yml:1:24: networks.a.labels: invalid type: list, expected a map
        "#
    );
}

#[test]
fn a_host_names_the_engine_that_docker_talks_to() {
    let of = |docker: &str| {
        let text = format!("hosts: {{web: {{ssh: a@b, docker: {docker}}}}}\n");
        Config::from_yaml(&text, "ghdeploy.yml").map(|config| config.hosts[0].docker.clone())
    };
    let socket = "unix:///run/user/1000/docker.sock";
    assert_eq!(of(&format!("{{host: '{socket}'}}")), Ok(DockerAddress::host(socket).ok()));
    assert_eq!(of("{context: rootless}"), Ok(DockerAddress::context("rootless").ok()));
    insta::assert_snapshot!(
        [
            "hosts: {web: {ssh: a, docker: {host: docker.sock}}}\n",
            "hosts: {web: {ssh: a, docker: {host: 'tcp://ann:hunter2@b:1'}}}\n",
            "hosts: {web: {ssh: a, docker: {context: 'a b'}}}\n",
            "hosts: {web: {ssh: a, docker: {}}}\n",
            "hosts: {web: {ssh: a, docker: {host: 'unix:///a', context: ab}}}\n",
            "hosts: {web: {ssh: a, docker: {hots: x}}}\n",
            "hosts: {web: {ssh: a, docker: rootless}}\n",
        ]
        .map(problems)
        .concat(),
        @r#"
        ghdeploy.yml:1:38: hosts.web.docker.host: expected the address of an engine as the host reaches it, such as unix:///run/user/1000/docker.sock or tcp://127.0.0.1:2375
        ghdeploy.yml:1:38: hosts.web.docker.host: an address must not contain a password
        ghdeploy.yml:1:41: hosts.web.docker.context: expected the name of a context that the host has; on the host: docker context ls
        ghdeploy.yml:1:31: hosts.web.docker: expected either `host`, the address of an engine, or `context`, the name of a context
        ghdeploy.yml:1:31: hosts.web.docker: expected either `host`, the address of an engine, or `context`, the name of a context
        ghdeploy.yml:1:32: hosts.web.docker: unknown key `hots` [did you mean `host`?]
        ghdeploy.yml:1:31: hosts.web.docker: invalid type: text "rootless", expected a mapping with `host` or `context`
        "#
    );
}
