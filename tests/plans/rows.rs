//! Actions that follow from changed files: one test per row of a table that was measured with Compose.

use crate::bench::{Projects, plan_lines};

const COMPOSE: &str = "\
services:
  web:
    image: nginx:1
    environment: {A: '1'}
    ports: ['80:80']
    labels: {a: b}
    env_file: [web.env]
    volumes:
      - ./nginx.conf:/etc/nginx/nginx.conf
      - ./html:/html
    configs: [site]
    secrets: [token]
  worker:
    image: worker:1
    build: {context: ./app, args: {V: '1'}}
    volumes: ['./html:/html:ro']
  inline:
    image: x:${TAG:-1}
    configs: [text]
  other:
    image: other:1
configs:
  site: {file: ./site.conf}
  text: {content: hello}
secrets:
  token: {file: ./token}
";

const FILES: &[(&str, &str)] = &[
    ("blog/compose.yml", COMPOSE),
    ("blog/web.env", "B=1\n"),
    ("blog/nginx.conf", "events {}\n"),
    ("blog/html/a/index.html", "hi\n"),
    ("blog/site.conf", "s\n"),
    ("blog/token", "t\n"),
    ("blog/app/Dockerfile", "FROM scratch\n"),
    ("blog/app/main.c", "int main;\n"),
    ("blog/README.md", "read me\n"),
];

/// Plan for `change` on a host that has all of [`FILES`].
fn row(change: impl for<'r> FnOnce(&'r Projects) -> &'r Projects) -> Vec<String> {
    let repo = Projects::new(FILES);
    let deployed = repo.deployed();
    change(&repo);
    plan_lines(&repo.plan(&deployed))
}

/// Plan for a change of the compose file's text.
fn edited(from: &str, to: &str) -> Vec<String> {
    assert!(COMPOSE.contains(from), "{from}");
    row(|repo| repo.write("blog/compose.yml", &COMPOSE.replace(from, to)))
}

#[test]
fn nothing_changed_is_nothing_to_do() {
    assert_eq!(row(|repo| repo), Vec::<String>::new());
}

#[test]
fn a_changed_definition_is_an_up_of_that_service_alone() {
    for (from, to) in [
        ("image: nginx:1", "image: nginx:2"),
        ("A: '1'", "A: '2'"),
        ("80:80", "81:80"),
        ("a: b", "a: c"),
        ("./html:/html\n", "./html:/other\n"),
    ] {
        assert_eq!(
            edited(from, to),
            ["blog changed", "  modified blog/compose.yml", "  up web: blog/compose.yml:2"],
            "{from}"
        );
    }
    assert_eq!(
        edited("other:1", "other:2"),
        ["blog changed", "  modified blog/compose.yml", "  up other: blog/compose.yml:20"]
    );
}

#[test]
fn keys_that_compose_does_not_hash_owe_nothing() {
    for (from, to) in [
        ("image: nginx:1", "image: nginx:1 # a comment"),
        ("image: other:1", "pull_policy: always\n    image: other:1"),
        ("image: other:1", "image: other:1\n    depends_on: [web]"),
        ("image: other:1", "scale: 1\n    image: other:1"),
    ] {
        assert_eq!(edited(from, to), ["blog changed", "  modified blog/compose.yml"], "{to}");
    }
}

#[test]
fn an_override_counts_as_the_definition() {
    let plan = row(|repo| repo.write("blog/compose.override.yml", "services:\n  other: {hostname: h}\n"));
    assert_eq!(
        plan,
        ["blog changed", "  added blog/compose.override.yml", "  up other: blog/compose.override.yml:2"]
    );
}

#[test]
fn an_env_file_is_an_up_of_the_services_that_use_it() {
    let plan = row(|repo| repo.write("blog/web.env", "B=2\n"));
    assert_eq!(plan, ["blog changed", "  modified blog/web.env", "  up web: blog/web.env envfile@7"]);
    let plan = row(|repo| repo.write("blog/web.env", "B=1\n# a comment\n"));
    assert_eq!(plan, ["blog changed", "  modified blog/web.env"]);
}

#[test]
fn a_value_of_dotenv_is_an_up_of_the_services_that_use_it() {
    let plan = row(|repo| repo.write("blog/.env", "TAG=2\n"));
    assert_eq!(plan, ["blog changed", "  added blog/.env", "  up inline: blog/.env@17"]);
    let plan = row(|repo| repo.write("blog/.env", "UNUSED=2\n"));
    assert_eq!(plan, ["blog changed", "  added blog/.env"]);
}

#[test]
fn a_mounted_file_is_a_restart_of_the_services_that_mount_it() {
    let plan = row(|repo| repo.write("blog/nginx.conf", "events { }\n"));
    assert_eq!(plan, ["blog changed", "  modified blog/nginx.conf", "  restart web: blog/nginx.conf bind@9"]);
}

#[test]
fn a_file_below_a_mounted_directory_restarts_every_service_that_mounts_it() {
    let plan = row(|repo| repo.write("blog/html/a/index.html", "ho\n").write("blog/html/new", "n\n"));
    let why = |line| format!("blog/html/a/index.html bind@{line}, services/blog/html/new bind@{line}");
    assert_eq!(
        plan,
        [
            "blog changed".to_owned(),
            "  modified blog/html/a/index.html".to_owned(),
            "  added blog/html/new".to_owned(),
            format!("  restart web: {}", why(10)),
            format!("  restart worker: {}", why(16)),
        ]
        .map(|line| line.replace("services/", ""))
    );
    let plan = row(|repo| repo.remove("blog/html/a/index.html"));
    assert_eq!(
        plan[1..],
        [
            "  removed blog/html/a/index.html",
            "  restart web: blog/html/a/index.html bind@10",
            "  restart worker: blog/html/a/index.html bind@16"
        ]
    );
}

#[test]
fn the_content_of_a_config_or_a_secret_is_a_restart() {
    let plan = row(|repo| repo.write("blog/site.conf", "s2\n"));
    assert_eq!(
        plan,
        ["blog changed", "  modified blog/site.conf", "  restart web: blog/site.conf config@23"]
    );
    let plan = row(|repo| repo.write("blog/token", "t2\n"));
    assert_eq!(plan, ["blog changed", "  modified blog/token", "  restart web: blog/token secret@26"]);
}

#[test]
fn inline_content_is_a_recreate() {
    assert_eq!(
        edited("content: hello", "content: hallo"),
        [
            "blog changed",
            "  modified blog/compose.yml",
            "  recreate inline: blog/compose.yml:17 (`up` alone would keep the old container)"
        ]
    );
}

#[test]
fn another_file_for_a_config_is_a_recreate() {
    let plan = row(|repo| {
        repo.write("blog/other.conf", "o\n")
            .write("blog/compose.yml", &COMPOSE.replace("./site.conf", "./other.conf"))
    });
    assert_eq!(plan[..3], ["blog changed", "  modified blog/compose.yml", "  added blog/other.conf"]);
    assert_eq!(plan.len(), 4, "{plan:?}");
    assert!(plan[3].starts_with("  recreate web: "), "{plan:?}");
}

#[test]
fn a_build_context_is_a_build_and_an_up() {
    for file in ["blog/app/Dockerfile", "blog/app/main.c"] {
        let plan = row(|repo| repo.write(file, "FROM x\n"));
        assert_eq!(
            plan,
            [
                "blog changed".to_owned(),
                format!("  modified {file}"),
                format!("  build worker: {file} build@15"),
                format!("  up worker: {file} build@15")
            ]
        );
    }
}

#[test]
fn another_build_argument_is_a_build_and_an_up() {
    let plan = edited("V: '1'", "V: '2'");
    assert_eq!(plan.len(), 4, "{plan:?}");
    assert!(plan[2].starts_with("  build worker: blog/compose.yml"), "{plan:?}");
    assert!(plan[3].starts_with("  up worker: blog/compose.yml"), "{plan:?}");
}

#[test]
fn a_file_that_no_service_reads_is_synced_only() {
    let plan = row(|repo| repo.write("blog/README.md", "more\n").write("blog/script.sh", "x\n"));
    assert_eq!(plan, ["blog changed", "  modified blog/README.md", "  added blog/script.sh"]);
}

#[test]
fn a_service_that_leaves_the_compose_file_is_removed() {
    assert_eq!(
        edited("  other:\n    image: other:1\n", ""),
        [
            "blog changed",
            "  modified blog/compose.yml",
            "  remove other: blog/compose.yml (no longer in the compose file)"
        ]
    );
}

#[test]
fn a_renamed_service_is_an_up_and_a_removal() {
    assert_eq!(
        edited("  other:\n", "  another:\n"),
        [
            "blog changed",
            "  modified blog/compose.yml",
            "  up another: blog/compose.yml:20 (new service)",
            "  remove other: blog/compose.yml (no longer in the compose file)"
        ]
    );
}

#[test]
fn a_new_folder_is_an_up_of_all_its_active_services() {
    let repo = Projects::new(&[(
        "blog/compose.yml",
        "services:\n  web: {image: a}\n  app: {build: .}\n  debug: {image: d, profiles: [debug]}\n",
    )]);
    assert_eq!(
        plan_lines(&repo.plan(&Default::default())),
        [
            "blog added",
            "  added blog/compose.yml",
            "  build app: blog/compose.yml:3 (new project)",
            "  up app: blog/compose.yml:3 (new project)",
            "  up web: blog/compose.yml:2 (new project)",
        ]
    );
}

#[test]
fn a_folder_that_disappears_is_reported_and_goes_only_with_prune() {
    let repo = Projects::new(FILES);
    repo.write("shop/compose.yml", "services:\n  web: {image: a}\n").write("shop/x", "x");
    let deployed = repo.deployed();
    repo.remove("shop");
    let work = repo.plan(&deployed);
    assert_eq!(plan_lines(&work), ["shop removed"]);
    assert!(work.plan().is_empty());
    assert_eq!(
        work.notes[0].message,
        "services/shop is no longer in the repository and stays as it is on the host"
    );
    let work = repo.plan_with(&deployed, |asked| asked.prune = true);
    assert_eq!(
        plan_lines(&work),
        [
            "shop removed",
            "  removed shop/compose.yml",
            "  removed shop/x",
            "  down: shop (no longer in the repository)"
        ]
    );
}

#[test]
fn a_mode_is_a_change_of_its_own() {
    let plan = row(|repo| repo.make_executable("blog/README.md"));
    assert_eq!(plan, ["blog changed", "  mode blog/README.md"]);
    let plan = row(|repo| repo.make_executable("blog/nginx.conf"));
    assert_eq!(plan, ["blog changed", "  mode blog/nginx.conf", "  restart web: blog/nginx.conf bind@9"]);
}

#[test]
fn a_compose_file_by_another_name_owes_nothing() {
    let plan = row(|repo| repo.remove("blog/compose.yml").write("blog/docker-compose.yaml", COMPOSE));
    assert_eq!(plan, ["blog changed", "  removed blog/compose.yml", "  added blog/docker-compose.yaml"]);
}

#[test]
fn an_absolute_path_below_the_root_is_the_file_of_the_repository() {
    let repo = Projects::new(&[
        ("blog/compose.yml", "services:\n  web:\n    image: a\n    volumes: ['/srv/services/blog/x:/x']\n"),
        ("blog/x", "1"),
    ]);
    let deployed = repo.deployed();
    repo.write("blog/x", "2");
    assert_eq!(
        plan_lines(&repo.plan(&deployed)),
        ["blog changed", "  modified blog/x", "  restart web: blog/x bind@4"]
    );
}

#[test]
fn a_service_with_two_causes_acts_once() {
    let plan = row(|repo| {
        repo.write("blog/compose.yml", &COMPOSE.replace("nginx:1", "nginx:2"))
            .write("blog/nginx.conf", "x\n")
            .write("blog/html/a/index.html", "y\n")
    });
    assert_eq!(
        plan[4..],
        ["  up web: blog/compose.yml:2", "  restart worker: blog/html/a/index.html bind@16"]
    );
}

#[test]
fn a_path_that_only_the_host_can_resolve_acts_and_says_so() {
    let compose = "services:\n  web: {image: a, volumes: ['${DIR}/conf/site.conf:/site.conf', '${DATA}:/data']}\n  \
                   app: {image: b, env_file: ['./env/${STAGE}.env']}\n";
    let files = [
        ("blog/compose.yml", compose),
        ("blog/conf/site.conf", "1\n"),
        ("blog/env/live.env", "A=1\n"),
        ("blog/notes", ""),
    ];
    let repo = Projects::new(&files);
    let deployed = repo.deployed();
    repo.write("blog/conf/site.conf", "2\n").write("blog/env/live.env", "A=2\n").write("blog/notes", "x");
    assert_eq!(
        plan_lines(&repo.plan(&deployed)),
        [
            "blog changed",
            "  modified blog/conf/site.conf",
            "  modified blog/env/live.env",
            "  modified blog/notes",
            "  up app: blog/env/live.env envfile@3 (only if ${STAGE} leads there on the host)",
            "  restart web: blog/conf/site.conf bind@2 (only if ${DIR} leads there on the host)",
        ]
    );
}
