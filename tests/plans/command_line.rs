//! `plan`, `check` and `explain` on the command line.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::program::{self, Output};
use crate::support::repo::Repo;

fn ghdeploy(dir: &Path, args: &[&str]) -> Output {
    program::run(program::ghdeploy(dir, dir).args(args))
}

/// A repository with two projects.
fn repository() -> Repo {
    let repo = Repo::new();
    repo.write("services/blog/compose.yml", "services:\n  web:\n    image: nginx:1\n    volumes: ['./nginx.conf:/etc/nginx.conf', '../shared/tz:/tz']\n  db: {image: postgres}\n");
    repo.write("services/blog/nginx.conf", "events {}\n");
    repo.write("services/shop/compose.yml", "services:\n  web: {image: a}\n");
    repo.write("services/shared/tz", "UTC\n").write("README.md", "hello\n").commit();
    repo
}

/// Runs `plan` for the last commit.
fn plan(repo: &Repo, args: &[&str]) -> Output {
    ghdeploy(repo.top(), &[&["plan", "--base", "HEAD~1"], args].concat())
}

#[test]
fn a_pull_request_names_exactly_the_affected_service() {
    let repo = repository();
    repo.write("services/blog/nginx.conf", "events { }\n");
    repo.write("README.md", "hello there\n");
    repo.commit();
    let plan = plan(&repo, &["--format", "json"]).exits(0).json();
    assert_eq!(plan["version"], 2);
    assert_eq!(plan["commit"].as_str().unwrap().len(), 40);
    assert_eq!(plan["hosts"].as_array().unwrap().len(), 1);
    let projects = plan["hosts"][0]["projects"].as_array().unwrap();
    let changes: Vec<(&str, &str, &str)> = projects
        .iter()
        .map(|p| (p["name"].as_str().unwrap(), p["path"].as_str().unwrap(), p["change"].as_str().unwrap()))
        .collect();
    assert_eq!(changes, [("blog", "services/blog", "changed"), ("shop", "services/shop", "unchanged")]);
    let blog = &projects[0];
    assert_eq!(
        blog["files"],
        serde_json::json!([{"path": "services/blog/nginx.conf", "change": "modified"}])
    );
    assert_eq!(blog["actions"].as_array().unwrap().len(), 1);
    let action = &blog["actions"][0];
    assert_eq!((&action["kind"], &action["service"]), (&"restart".into(), &"web".into()));
    let reason = &action["reasons"][0];
    assert_eq!((&reason["path"], &reason["line"]), (&"services/blog/nginx.conf".into(), &Value::Null));
    assert_eq!(reason["by"]["line"], 4);
}

#[test]
fn a_shared_file_names_its_readers_alone() {
    let repo = repository();
    repo.write("services/shared/tz", "CET\n");
    repo.commit();
    let plan = plan(&repo, &["--format", "json"]).exits(0).json();
    assert_eq!(plan["hosts"][0]["projects"][0]["actions"][0]["service"], "web");
    assert_eq!(plan["hosts"][0]["projects"][0]["actions"].as_array().unwrap().len(), 1);
    assert_eq!(plan["hosts"][0]["projects"][1]["actions"], serde_json::json!([]));
}

#[test]
fn the_exit_code_shows_whether_there_is_something_to_do() {
    let repo = repository();
    repo.write("README.md", "more\n");
    repo.commit();
    plan(&repo, &["--exit-code"]).exits(0);
    repo.write("services/blog/nginx.conf", "x\n");
    repo.commit();
    plan(&repo, &[]).exits(0);
    plan(&repo, &["--exit-code"]).exits(10);
    plan(&repo, &["--exit-code", "--project", "shop"]).exits(0);
    repo.write("services/blog/compose.yml", "services:\n  web: {imgae: a}\n");
    repo.commit();
    plan(&repo, &["--exit-code"]).exits(2);
    assert_ne!(plan(&repo, &["--exit-code", "--head", "HEAD~1", "--base", "HEAD~2"]).code, Some(0));
}

#[test]
fn an_unknown_revision_or_project_is_an_error() {
    let repo = repository();
    for args in [
        &["plan", "--base", "nowhere"][..],
        &["plan", "--base", "0000000000000000000000000000000000000000"],
        &["plan", "--project", "nowhere"],
        &["plan", "--head", "nowhere"],
    ] {
        let output = ghdeploy(repo.top(), args).exits(2);
        assert!(output.stdout.is_empty() && output.stderr.starts_with("error"), "{args:?}");
    }
}

#[test]
fn without_a_base_everything_counts_as_added() {
    let repo = repository();
    let plan = ghdeploy(repo.top(), &["plan", "--format", "json"]).exits(0).json();
    let changes: Vec<&str> = plan["hosts"][0]["projects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|project| project["change"].as_str().unwrap())
        .collect();
    assert_eq!(changes, ["added", "added"]);
}

#[test]
fn a_removed_folder_is_reported() {
    let repo = repository();
    repo.remove("services/shop");
    repo.commit();
    let plan = plan(&repo, &["--format", "json", "--exit-code"]).exits(0).json();
    assert_eq!(plan["hosts"][0]["projects"][1]["change"], "removed");
    assert!(
        plan["hosts"][0]["notes"][0]["message"]
            .as_str()
            .unwrap()
            .contains("services/shop is no longer in the repository")
    );
}

/// A copy of the tracked files of this repository's own `services/`.
fn own_services() -> Repo {
    let copy = Repo::without_git();
    let listed = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "ls-files", "-z", "services"])
        .output()
        .unwrap();
    for path in String::from_utf8(listed.stdout).unwrap().split_terminator('\0') {
        copy.write(path, fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap());
    }
    copy
}

#[test]
fn the_folders_that_come_with_the_project_are_clean() {
    let copy = own_services();
    let report = ghdeploy(copy.top(), &["check", "--format", "json"]).exits(0).json();
    let errors: Vec<&Value> = report["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|diagnostic| diagnostic["severity"] == "error")
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(report["projects"], 9);
    let output = ghdeploy(copy.top(), &["check"]).exits(0).stdout;
    assert!(output.contains("9 projects"), "{output}");
}

#[test]
fn check_names_the_line_and_fails() {
    let repo = repository();
    repo.write("services/blog/compose.yml", "services:\n  web:\n    image: a\n    ports: [http]\n");
    let report = ghdeploy(repo.top(), &["check", "--format", "json"]).exits(2).json();
    let wrong = &report["diagnostics"][0];
    assert_eq!(
        (wrong["at"]["path"].as_str(), wrong["at"]["line"].as_u64()),
        (Some("services/blog/compose.yml"), Some(4))
    );
    let output = ghdeploy(repo.top(), &["check"]).exits(2).stdout;
    assert!(output.contains("services/blog/compose.yml:4:"), "{output}");
}

#[test]
fn check_finds_capital_letters_in_names_of_images() {
    let repo = repository();
    let compose = "services:\n  web: {build: ., image: 'ghcr.io/Ann/app:Main'}\n  db: {image: 'ghcr.io/ann/db:V1'}\n  env: {image: '${HUB}/Side/app:1'}\n";
    repo.write("services/blog/compose.yml", compose).write("services/blog/Dockerfile", "FROM x\n");
    let output = ghdeploy(repo.top(), &["check"]).exits(2).stdout;
    let message = "error: the name of the image `ghcr.io/Ann/app:Main` of service `web` has a capital letter";
    assert!(output.contains(message) && output.contains("services/blog/compose.yml:2:"), "{output}");
    assert!(output.contains("of service `env` has a capital letter") && !output.contains("`db`"), "{output}");
    repo.write("services/blog/compose.yml", "services:\n  web: {build: .}\n");
    ghdeploy(repo.top(), &["check"]).exits(0);
    let mut command = program::ghdeploy(repo.top(), repo.top());
    program::run(command.env("GHDEPLOY_REGISTRY", "ghcr.io/Ann").arg("check"))
        .exits(2)
        .prints("the registry `ghcr.io/Ann` has a capital letter");
}

#[test]
fn check_warns_of_what_a_build_reads_and_the_repository_lacks() {
    let repo = repository();
    let compose = "services:\n  web:\n    build: {context: ./app}\n  two:\n    build:\n      context: .\n      dockerfile: Nope\n      additional_contexts: {lib: ./lib, image: docker-image://a, own: ./own}\n      secrets: [token, key]\n  inline:\n    build: {context: ., dockerfile_inline: FROM a}\n  far: {build: https://example.test/a.git}\n  plain: {build: .}\nsecrets: {token: {file: ./token}, key: {file: ./key}}\n";
    repo.write("services/blog/compose.yml", compose);
    repo.write("services/blog/own/x", "");
    repo.write("services/blog/key.example", "");
    let report = ghdeploy(repo.top(), &["check", "--format", "json"]).exits(0).json();
    let found: Vec<String> = report["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|found| found["at"]["path"] == "services/blog/compose.yml")
        .map(|found| format!("{} {}", found["at"]["line"], found["message"].as_str().unwrap()))
        .filter(|message| message.contains("is built from"))
        .collect();
    insta::assert_snapshot!(found.join("\n"), @"
        3 service `web` is built from services/blog/app, which is not in the repository
        7 service `two` is built from services/blog/Nope, which is not in the repository
        8 service `two` is built from services/blog/lib, which is not in the repository
        13 service `plain` is built from services/blog/Dockerfile, which is not in the repository
        14 service `two` is built from services/blog/token, which is not in the repository
        ");
    repo.write("services/blog/Dockerfile", "FROM a\n");
    let report = ghdeploy(repo.top(), &["check", "--format", "json"]).exits(0).json();
    assert!(!report.to_string().contains("`plain` is built from"));
}

#[test]
fn check_knows_which_ports_exclude_each_other_on_a_host() {
    let repo = repository();
    let said = |blog: &str, shop: &str| {
        let compose = |ports: &str| format!("services: {{web: {{image: 'a:1', {ports}}}}}\n");
        repo.write("services/blog/compose.yml", compose(blog))
            .write("services/shop/compose.yml", compose(shop));
        let report = ghdeploy(repo.top(), &["check", "--format", "json"]).json();
        let found = report["diagnostics"].as_array().unwrap().clone();
        found.iter().map(|found| found["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("; ")
    };
    let none = "restart: always";
    for (blog, shop) in [
        ("ports: ['0.0.0.0:53:53/udp', '[::]:53:53/udp']", none),
        ("ports: ['0.0.0.0:80:80']", "ports: ['[::]:80:80']"),
        ("ports: ['127.0.0.1:80:80']", "ports: ['127.0.0.2:80:80', '[::1]:80:80']"),
        ("ports: ['53:53/udp', '53:53/tcp']", none),
        (
            "ports: [{target: 80, published: 80, host_ip: 0.0.0.0}]",
            "ports: [{target: 80, published: 80, host_ip: '::'}]",
        ),
        ("ports: ['8000-8010:80']", "ports: ['8000:80', '8001:80']"),
        ("ports: ['8000-8001:80-81']", "ports: ['8002-8003:80-81']"),
        ("ports: ['80:80'], network_mode: host", "ports: ['80:80']"),
    ] {
        assert_eq!(said(blog, shop), "", "{blog} | {shop}");
    }
    let clash = "service `web` of `shop` publishes port 80/tcp, which service `web` of `blog` publishes too";
    for (blog, shop) in [
        ("ports: ['80:80']", "ports: ['[::]:80:80']"),
        ("ports: ['80:80']", "ports: ['127.0.0.1:80:80']"),
        ("ports: ['127.0.0.1:80:80']", "ports: ['0.0.0.0:80:80']"),
        ("ports: ['[::1]:80:80']", "ports: ['[::]:80:80']"),
        ("ports: ['79-80:79-80']", "ports: ['80-81:80-81']"),
        ("ports: [{target: 80, published: 80}]", "ports: [{target: 80, published: '80', host_ip: '::1'}]"),
    ] {
        assert_eq!(said(blog, shop), clash, "{blog} | {shop}");
    }
    assert_eq!(
        said("ports: ['80:80', '80:81']", none),
        "service `web` of `blog` publishes port 80/tcp twice"
    );
    assert_eq!(
        said("ports: ['8000:80', '8001:81']", "ports: ['8000-8001:80']"),
        "service `web` of `shop` publishes a port of 8000-8001/tcp, and service `web` of `blog` take all of them"
    );
}

#[test]
fn check_folds_what_comes_often_and_lists_what_hosts_must_define() {
    let repo = repository();
    let services: String = (0..30).map(|number| format!("  s{number:02}: {{image: nginx}}\n")).collect();
    let compose = format!(
        "services:\n{services}  web: {{image: 'a:$TAG', hostname: '${{NAME:-x}}', user: '${{U:?}}'}}\n"
    );
    repo.write("services/blog/compose.yml", compose);
    repo.write("services/_archive/compose.yml", "services: {}\n")
        .write("services/.template/compose.yml", "x");
    let folded = ghdeploy(repo.top(), &["check"]).exits(0).stdout;
    assert!(folded.contains("warning: 30 images of `blog` without a version: `s00` (no tag), "), "{folded}");
    assert!(folded.contains("and 20 more\n") && folded.lines().count() < 25, "{folded}");
    for line in [
        "TAG   services/blog/compose.yml:32\n",
        "NAME  services/blog/compose.yml:32, has a default\n",
        "U     services/blog/compose.yml:32, required\n",
    ] {
        assert!(folded.contains(line), "{line}: {folded}");
    }
    let all = ghdeploy(repo.top(), &["check", "-v"]).exits(0).stdout;
    assert_eq!(all.matches("has no tag, which means `latest`").count(), 31);
    assert!(all.contains("left out: services/_archive: `_archive` begins with `_`"), "{all}");
    let report = ghdeploy(repo.top(), &["check", "--format", "json"]).exits(0).json();
    let count = |key: &str| report[key].as_array().unwrap().len();
    assert_eq!((count("diagnostics"), count("left_out")), (31, 2));
    assert_eq!(report["variables"][0]["variables"][1]["name"], "TAG");
}

#[test]
fn check_warns_of_valid_files_that_fail_when_deployed() {
    let repo = repository();
    repo.write("services/blog/compose.yml", "services:\n  web:\n    image: nginx\n    container_name: web\n    ports: ['8080:80', '${PORT}:81']\n    volumes: ['./nginx.conf:/etc/nginx.conf', './gone.conf:/gone', './data:/data', './own.env:/env']\n    env_file: .env\n");
    repo.write("services/blog/own.env.example", "A=\n");
    let shop = "services:\n  web:\n    image: a:1\n    container_name: web\n    ports: ['127.0.0.1:8080:80', '${PORT}:81']\n  off: {image: a:1, container_name: web, ports: ['8080:80'], profiles: [off]}\nx-ghdeploy:\n  hooks: {before: [{service: web, run: a}, {service: off, run: a}]}\n";
    repo.write("services/shop/compose.yml", shop);
    repo.write("services/shop/id", "\n-----BEGIN RSA PRIVATE KEY-----\nhunter2\n");
    let report = ghdeploy(repo.top(), &["check", "--format", "json"]).exits(2).never_prints("hunter2").json();
    let line = |found: &Value| {
        let at = &found["at"];
        let place = format!("{}:{}", at["path"].as_str().unwrap(), at["line"]);
        format!("{} {place} {}", found["severity"].as_str().unwrap(), found["message"].as_str().unwrap())
    };
    let found: Vec<String> = report["diagnostics"].as_array().unwrap().iter().map(line).collect();
    insta::assert_snapshot!(found.join("\n"), @"
    error services/shop/compose.yml:4 service `web` of `shop` has the container name `web` of service `web` of `blog`
    error services/shop/compose.yml:5 service `web` of `shop` publishes port 8080/tcp, which service `web` of `blog` publishes too
    warning services/blog/compose.yml:3 the image of service `web` has no tag, which means `latest`
    warning services/blog/compose.yml:6 service `web` mounts services/blog/gone.conf, which is not in the repository
    warning services/blog/compose.yml:7 service `web` takes its variables from services/blog/.env, which is not in the repository
    warning services/shop/compose.yml:8 hook `before` never runs: no profile starts service `off`
    warning services/shop/id:2 a private key is in the repository
    ");
    // Projects on different hosts do not collide.
    repo.write("services/shop/compose.yml", format!("{shop}  hosts: [db]\n"));
    ghdeploy(repo.top(), &["check"]).exits(0);
    repo.write(
        "ghdeploy.yml",
        "hosts: {web: {ssh: web, projects: [blog]}, db: {ssh: db, projects: [shop]}}\n",
    );
    ghdeploy(repo.top(), &["check"]).exits(0);
    repo.write("ghdeploy.yml", "hosts: {db: {ssh: db}}\n");
    ghdeploy(repo.top(), &["check"]).exits(2);
}

#[test]
fn explain_answers_for_every_kind_of_file() {
    let copy = own_services();
    copy.write("services/app/.env", "SECRET=hunter2\n");
    let paths = [
        "services/shared/tz.env",
        "services/traefik/dynamic/tls.yml",
        "services/app/src/app.py",
        "services/redis/README.md",
        "services/app/.env",
        "services/nowhere",
    ];
    let answer =
        ghdeploy(copy.top(), &[&["explain", "--format", "json"], &paths[..]].concat()).exits(2).json();
    let of = |number: usize| &answer["paths"][number];
    let readers = |number: usize| -> Vec<String> {
        let readers = of(number)["readers"].as_array().unwrap().iter();
        readers
            .map(|r| {
                format!(
                    "{}/{} {} {}",
                    r["project"].as_str().unwrap(),
                    r["service"].as_str().unwrap(),
                    r["how"].as_str().unwrap(),
                    r["kind"].as_str().unwrap()
                )
            })
            .collect()
    };
    // Every service that extends the common one reads a shared file.
    assert!(
        readers(0).contains(&"redis/redis env_file up".to_owned()) && readers(0).len() >= 12,
        "{:?}",
        readers(0)
    );
    assert_eq!(of(0)["managed"], true);
    // A file that its service watches itself.
    assert_eq!(readers(1), ["traefik/traefik bind none"]);
    assert_eq!(of(1)["readers"][0]["at"]["path"], "services/traefik/compose.yml");
    // Part of a build context; read by no service; ignored, but part of the definition; not there.
    assert_eq!(readers(2), ["app/migrate build build"]);
    assert_eq!((readers(3).len(), &of(3)["managed"], &of(3)["known"]), (0, &true.into(), &true.into()));
    assert_eq!((&of(4)["managed"], &of(4)["known"]), (&false.into(), &true.into()));
    assert!(readers(4).contains(&"app/web definition up".to_owned()), "{:?}", readers(4));
    assert_eq!((readers(5).len(), &of(5)["managed"], &of(5)["known"]), (0, &false.into(), &false.into()));
    let output = ghdeploy(copy.top(), &[&["explain"], &paths[..]].concat())
        .exits(2)
        .prints("services/nowhere is not in the repository, and no service reads it")
        .stdout;
    assert!(
        output.contains("services/traefik/compose.yml:") && output.contains("dynamic/tls.yml"),
        "{output}"
    );
    assert!(!output.contains("services/nowhere"), "the error says it: {output}");
    assert!(!output.contains("hunter2"));
    ghdeploy(copy.top(), &["explain", "../outside"]).exits(2);
}

#[test]
fn a_path_or_project_that_does_not_exist_is_answered_with_the_nearest() {
    let repo = repository();
    let answers = |args: &[&str], said: &str| {
        ghdeploy(repo.top(), args).exits(2).prints(said);
    };
    answers(&["explain", "services/blog/ngnix.conf"], "did you mean `services/blog/nginx.conf`?");
    answers(&["explain", "blog"], "did you mean `services/blog`?");
    answers(&["plan", "--project", "bolg"], "did you mean `blog`?");
    answers(&["plan", "--project", "blog,shpo"], "`shpo` matches no project");
    answers(&["plan", "--project", "x"], "the projects are: blog, shop");
    repo.write("ghdeploy.yml", "hosts: {web: a.example, db: b.example}\n");
    answers(&["plan", "--host", "wbe"], "`wbe` is neither a host of the configuration nor an alias of ssh");
    answers(&["plan", "--host", "wbe"], "did you mean `web`?");
}

#[test]
fn explain_answers_for_a_folder() {
    let repo = repository();
    let output = ghdeploy(repo.top(), &["explain", "services/blog/"]).exits(0).stdout;
    assert!(output.contains("blog/web  bind") && output.contains("blog/db   definition"), "{output}");
    assert!(output.contains("a folder with 2 files"), "{output}");
    fs::create_dir(repo.path("empty")).unwrap();
    ghdeploy(repo.top(), &["explain", "empty"]).exits(0).prints("a folder without files that are synced");
}

#[test]
fn a_configuration_of_another_name_is_not_ignored_in_silence() {
    let repo = repository();
    repo.write("ghdeploy.yaml", "services: stacks\n");
    ghdeploy(repo.top(), &["check"]).exits(2).prints("git mv ghdeploy.yaml ghdeploy.yml");
    ghdeploy(repo.top(), &["check", "--config", "ghdeploy.yaml"])
        .exits(2)
        .prints("there is no folder `stacks`");
    repo.write("ghdeploy.yml", "services: services\n");
    ghdeploy(repo.top(), &["check"]).exits(0).prints("note: ghdeploy.yaml is not read");
}

#[test]
fn a_folder_below_the_repository_stands_for_it() {
    let repo = repository();
    repo.write("ghdeploy.yml", "services: services\n");
    let from = |folder: &str, args: &[&str]| {
        let like = program::ghdeploy(repo.top(), repo.top());
        let mut command = Command::new(like.get_program());
        command.env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        program::run(command.current_dir(repo.path(folder)).args(args))
    };
    from("services/blog", &["check"]).exits(0).prints("2 projects");
    from("services/blog", &["-v", "check"]).exits(0).prints("note: the folder of the repository is ");
    from("services/blog", &["explain", "nginx.conf"]).exits(0).prints("services/blog/nginx.conf");
    // `-C` is taken as it is.
    from("services/blog", &["-C", ".", "check"]).exits(2);
}

/// Each line of a compose file counts for the service that it defines.
#[test]
fn explain_names_the_services_that_a_file_defines() {
    let repo = Repo::without_git();
    let write = |path: &str, content: &str| repo.write(format!("services/{path}"), content);
    write(
        "blog/compose.yml",
        "services:\n  web: {image: a, extends: {file: ../base.yml, service: base}}\n  db: {image: b, volumes: ['$DIR/conf:/c']}\n",
    );
    write("blog/compose.override.yml", "services:\n  db: {hostname: db}\n");
    write("blog/conf/a", "");
    write("base.yml", "services:\n  base: {image: c}\n");
    let paths = [
        "services/blog/compose.yml",
        "services/blog/compose.override.yml",
        "services/base.yml",
        "services/blog/conf/a",
    ];
    let output = ghdeploy(repo.top(), &[&["explain"], &paths[..]].concat()).exits(0).stdout;
    insta::assert_snapshot!(output, @r"
    services/blog/compose.yml
      blog/db   definition  services/blog/compose.yml:3  up, if its definition changes
      blog/web  definition  services/blog/compose.yml:2  up, if its definition changes

    services/blog/compose.override.yml
      blog/db  definition  services/blog/compose.override.yml:2  up, if its definition changes

    services/base.yml
      blog/web  definition  services/base.yml:2  up, if its definition changes

    services/blog/conf/a
      blog/db  bind  services/blog/compose.yml:3  restart, only if ${DIR} leads there on the host
    ");
}

#[test]
fn check_warns_of_a_circle_of_projects() {
    let repo = repository();
    repo.write("services/blog/compose.yml", "x-ghdeploy: {after: shop}\nservices: {web: {image: a:1}}\n");
    repo.write("services/shop/compose.yml", "x-ghdeploy: {after: blog}\nservices: {web: {image: a:1}}\n");
    let output = ghdeploy(repo.top(), &["check"]).exits(0).stdout;
    assert!(
        output.contains("projects come after each other in a circle: blog after shop after blog"),
        "{output}"
    );
    assert!(output.contains("services/blog/compose.yml:1:21"), "{output}");
}

#[test]
fn explain_names_what_only_a_compose_file_that_the_host_names_reads() {
    let repo = repository();
    repo.write("services/blog/prod.yml", "services:\n  web: {volumes: ['./own:/own']}\n");
    repo.write("services/blog/own", "1").commit();
    let only = "only on a host whose own .env names services/blog/prod.yml in COMPOSE_FILE";
    ghdeploy(repo.top(), &["explain", "services/blog/own"]).exits(0).prints("blog/web").prints(only);
    // What is read anyway has no condition.
    ghdeploy(repo.top(), &["explain", "services/blog/nginx.conf"]).exits(0).never_prints("COMPOSE_FILE");
    let named = "a host whose own .env names it in COMPOSE_FILE reads it";
    ghdeploy(repo.top(), &["explain", "services/blog/prod.yml"]).exits(0).prints(named);
    repo.write("services/blog/.env", "A=1\n");
    ghdeploy(repo.top(), &["explain", "services/blog/own"]).exits(0).never_prints("COMPOSE_FILE");
}
