//! The sequence of commands for each kind of change.

use std::time::Duration;

use ghdeploy::base::error::Exit;
use ghdeploy::outcome::{ActionResult, ProjectResult};

use crate::bench::{Ask, Projects, Run};
use crate::host::Host;
use crate::peer::Fault;

const BLOG: &str = "\
services:
  web:
    image: web:1
    volumes: [./conf:/conf]
  worker:
    image: worker:1
";

fn repo() -> Projects {
    Projects::new(&[("blog/compose.yml", BLOG), ("blog/conf/a", "1")])
}

/// The commands of a sync after a change, one per line; everything is as wanted afterwards.
fn commands(repo: &Projects, host: &Host, ask: Ask) -> String {
    let run = repo.sync(host, ask);
    succeeded(repo, &run);
    run.commands.join("\n")
}

fn succeeded(repo: &Projects, run: &Run) {
    assert_eq!(run.exit, Exit::Done, "{run:#?}");
    assert_eq!(repo.misses(&run.host), Vec::<String>::new());
    assert!(run.host.state.is_some());
}

#[test]
fn a_first_sync() {
    insta::assert_snapshot!(commands(&repo(), &Host::default(), Ask::default()), @r#"
    docker compose version --short
    docker image inspect --format {{.Os}}/{{.Architecture}}/{{.Variant}} web:1 worker:1
    script
    containers
    upload
    note
    candidate blog
    blog (candidate): config -q
    swap blog
    state
    blog: up -d --quiet-pull web worker
    docker image inspect --format {"id":{{json\0040.Id}},"digests":{{json\0040.RepoDigests}},"labels":{{json\0040.Config.Labels}}} sha256:0
    state
    release
    history
    note
    finish
    "#);
}

#[test]
fn projects_that_wait_hold_up_no_others_and_share_what_they_see() {
    let folders: Vec<String> = (0..9).map(|number| format!("p{number}/compose.yml")).collect();
    let all: Vec<(&str, &str)> =
        folders.iter().map(|file| (file.as_str(), "services: {web: {image: 'web:1'}}\n")).collect();
    let repo = Projects::new(&all);
    let run = repo.sync(&Host::default(), Ask { stable_for: Duration::from_secs(2), ..Ask::default() });
    succeeded(&repo, &run);
    let last_up = run.commands.iter().rposition(|command| command.contains(": up ")).unwrap();
    let records = run.commands[..last_up].iter().filter(|command| *command == "state").count();
    assert_eq!(
        records, 9,
        "a project is recorded before it comes up, and once it is well: {:#?}",
        run.commands
    );
    let looks = run.commands.iter().filter(|command| *command == "containers").count();
    assert!(looks < 2 * 9, "each project looks for itself: {:#?}", run.commands);
}

#[test]
fn an_env_file_of_the_host_is_noted_without_a_release_and_its_change_brings_the_reader_up() {
    let repo = Projects::new(&[("blog/compose.yml", "services:\n  web: {image: 'web:${TAG:-1}'}\n")]);
    let mut host = repo.deployed();
    let marks = |host: &Host| {
        let state = host.state.as_ref().unwrap();
        state["projects"]["blog"]["services"]["web"]["env_files"]["blog/.env"].clone()
    };
    assert_eq!(marks(&host), "-");
    // A version that did not know of them recorded none.
    let services = &mut host.state.as_mut().unwrap()["projects"]["blog"]["services"];
    services["web"].as_object_mut().unwrap().remove("env_files");
    host.env_files.insert("blog/.env".to_owned(), "one".to_owned());
    let run = repo.sync(&host, Ask::default());
    assert_eq!((run.exit, run.host.history.len()), (Exit::Done, host.history.len()));
    assert_eq!(marks(&run.host), "01234567.one");
    let mut host = run.host;
    host.env_files.insert("blog/.env".to_owned(), "two".to_owned());
    let owed = repo.sync(&host, Ask { no_restart: true, ..Ask::default() });
    assert_eq!(marks(&owed.host), "01234567.one", "a change is lost");
    let run = repo.sync(&owed.host, Ask::default());
    assert!(run.commands.contains(&"blog: up -d --quiet-pull web".to_owned()), "{:?}", run.commands);
    assert_eq!(marks(&run.host), "01234567.two");
}

#[test]
fn a_sync_without_a_change_is_not_an_apply() {
    let repo = repo();
    assert_eq!(repo.sync(&repo.deployed(), Ask::default()).commands, Vec::<String>::new());
}

#[test]
fn a_mounted_file() {
    let repo = repo();
    let host = repo.deployed();
    repo.write("blog/conf/a", "2");
    insta::assert_snapshot!(commands(&repo, &host, Ask::default()), @r#"
    docker compose version --short
    script
    containers
    upload
    note
    swap blog
    state
    blog: restart --no-deps web
    docker image inspect --format {"id":{{json\0040.Id}},"digests":{{json\0040.RepoDigests}},"labels":{{json\0040.Config.Labels}}} sha256:0
    state
    release
    history
    note
    finish
    "#);
}

#[test]
fn a_file_that_no_service_reads() {
    let repo = repo();
    let host = repo.deployed();
    repo.write("blog/README.md", "2");
    insta::assert_snapshot!(commands(&repo, &host, Ask::default()), @"
    upload
    note
    swap blog
    state
    release
    history
    note
    finish
    ");
}

#[test]
fn a_definition() {
    let repo = repo();
    let host = repo.deployed();
    repo.write("blog/compose.yml", &BLOG.replace("web:1", "web:2"));
    insta::assert_snapshot!(commands(&repo, &host, Ask::default()), @r#"
    docker compose version --short
    docker image inspect --format {{.Os}}/{{.Architecture}}/{{.Variant}} web:2
    script
    containers
    upload
    note
    candidate blog
    blog (candidate): config -q
    swap blog
    state
    blog: up -d --quiet-pull web
    docker image inspect --format {"id":{{json\0040.Id}},"digests":{{json\0040.RepoDigests}},"labels":{{json\0040.Config.Labels}}} sha256:0
    state
    release
    history
    note
    finish
    "#);
}

#[test]
fn a_definition_and_a_mounted_file_of_another_service() {
    let repo = repo();
    let host = repo.deployed();
    repo.write("blog/compose.yml", &BLOG.replace("worker:1", "worker:2")).write("blog/conf/a", "2");
    insta::assert_snapshot!(commands(&repo, &host, Ask::default()), @r#"
    docker compose version --short
    docker image inspect --format {{.Os}}/{{.Architecture}}/{{.Variant}} worker:2
    script
    containers
    upload
    note
    candidate blog
    blog (candidate): config -q
    swap blog
    state
    blog: up -d --quiet-pull worker
    blog: restart --no-deps web
    docker image inspect --format {"id":{{json\0040.Id}},"digests":{{json\0040.RepoDigests}},"labels":{{json\0040.Config.Labels}}} sha256:0
    state
    release
    history
    note
    finish
    "#);
}

#[test]
fn an_image_that_is_built() {
    let repo = Projects::new(&[
        ("app/compose.yml", "services:\n  web: {build: image}\n"),
        ("app/image/Dockerfile", "FROM a\n"),
    ]);
    let host = repo.deployed();
    repo.write("app/image/Dockerfile", "FROM b\n");
    insta::assert_snapshot!(commands(&repo, &host, Ask::default()), @r#"
    docker compose version --short
    script
    containers
    upload
    note
    swap app
    state
    app: build web
    app: up -d --quiet-pull web
    docker image inspect --format {"id":{{json\0040.Id}},"digests":{{json\0040.RepoDigests}},"labels":{{json\0040.Config.Labels}}} sha256:2
    state
    release
    history
    note
    finish
    "#);
}

#[test]
fn inline_content() {
    let inline = "services:\n  web: {image: a, configs: [c]}\nconfigs: {c: {content: one}}\n";
    let repo = Projects::new(&[("blog/compose.yml", inline)]);
    let host = repo.deployed();
    repo.write("blog/compose.yml", &inline.replace("one", "two"));
    insta::assert_snapshot!(commands(&repo, &host, Ask::default()), @r#"
    docker compose version --short
    docker image inspect --format {{.Os}}/{{.Architecture}}/{{.Variant}} a
    script
    containers
    upload
    note
    candidate blog
    blog (candidate): config -q
    swap blog
    state
    blog: up -d --force-recreate web
    docker image inspect --format {"id":{{json\0040.Id}},"digests":{{json\0040.RepoDigests}},"labels":{{json\0040.Config.Labels}}} sha256:0
    state
    release
    history
    note
    finish
    "#);
}

#[test]
fn a_removed_service() {
    let repo = repo();
    let host = repo.deployed();
    repo.write("blog/compose.yml", &BLOG.replace("  worker:\n    image: worker:1\n", ""));
    insta::assert_snapshot!(commands(&repo, &host, Ask::default()), @"
    docker compose version --short
    script
    containers
    upload
    note
    candidate blog
    blog (candidate): config -q
    swap blog
    state
    remove blog worker
    state
    release
    history
    note
    finish
    ");
}

#[test]
fn a_signal_and_a_command() {
    let compose = "services:\n  a: {image: a, volumes: ['./x:/x'], x-ghdeploy: {on-change: {signal: HUP}}}\n  b: {image: b, volumes: ['./x:/x'], x-ghdeploy: {on-change: {exec: [reload, now]}}}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("blog/x", "1")]);
    let host = repo.deployed();
    repo.write("blog/x", "2");
    insta::assert_snapshot!(commands(&repo, &host, Ask::default()), @r#"
    docker compose version --short
    script
    containers
    upload
    note
    swap blog
    state
    blog: kill -s HUP a
    blog: exec -T b reload now
    containers
    docker image inspect --format {"id":{{json\0040.Id}},"digests":{{json\0040.RepoDigests}},"labels":{{json\0040.Config.Labels}}} sha256:0
    state
    release
    history
    note
    finish
    "#);
}

#[test]
fn a_change_that_a_service_watches_needs_no_docker() {
    let compose = "services:\n  a: {image: a, volumes: ['./x:/x'], x-ghdeploy: {on-change: none}}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("blog/x", "1")]);
    let host = repo.deployed();
    repo.write("blog/x", "2");
    insta::assert_snapshot!(commands(&repo, &host, Ask::default()), @"
    upload
    note
    swap blog
    state
    release
    history
    note
    finish
    ");
}

#[test]
fn a_project_that_is_pruned() {
    let repo = repo();
    repo.write("shop/compose.yml", "services:\n  web: {image: a}\n");
    let host = repo.deployed();
    repo.remove("shop");
    let run = repo.sync(&host, Ask { prune: true, ..Ask::default() });
    succeeded(&repo, &run);
    assert!(run.host.state.as_ref().unwrap()["projects"]["shop"].is_null());
    assert!(run.host.containers.iter().all(|container| container.project != "shop"));
    insta::assert_snapshot!(run.commands.join("\n"), @"
    script
    containers
    upload
    note
    state
    shop: down
    swap shop
    state
    docker volume ls -q --filter label=com.docker.compose.project=shop
    list shop
    state
    release
    history
    note
    finish
    ");
}

#[test]
fn projects_follow_their_order_and_shared_files_come_first() {
    let plain = |after: &str| {
        format!(
            "x-ghdeploy: {{after: [{after}]}}\nservices:\n  web: {{image: a, volumes: ['../shared/tz:/tz']}}\n"
        )
    };
    let repo = Projects::new(&[
        ("a/compose.yml", &plain("c")),
        ("b/compose.yml", &plain("a")),
        ("c/compose.yml", &plain("")),
        ("shared/tz", "1"),
    ]);
    let host = repo.deployed();
    repo.write("shared/tz", "2");
    insta::assert_snapshot!(commands(&repo, &host, Ask::default()), @r#"
    docker compose version --short
    script
    containers
    upload
    note
    swap +shared
    swap c
    state
    c: restart --no-deps web
    state
    swap a
    state
    a: restart --no-deps web
    state
    swap b
    state
    b: restart --no-deps web
    docker image inspect --format {"id":{{json\0040.Id}},"digests":{{json\0040.RepoDigests}},"labels":{{json\0040.Config.Labels}}} sha256:0
    state
    release
    history
    note
    finish
    "#);
}

#[test]
fn force_recreates_once() {
    let repo = repo();
    let host = repo.deployed();
    insta::assert_snapshot!(commands(&repo, &host, Ask { force: true, ..Ask::default() }), @r#"
    docker compose version --short
    docker image inspect --format {{.Os}}/{{.Architecture}}/{{.Variant}} web:1 worker:1
    script
    containers
    upload
    note
    state
    blog: up -d --force-recreate web worker
    docker image inspect --format {"id":{{json\0040.Id}},"digests":{{json\0040.RepoDigests}},"labels":{{json\0040.Config.Labels}}} sha256:0
    state
    release
    history
    note
    finish
    "#);
}

#[test]
fn an_owed_restart_needs_no_upload() {
    let repo = repo();
    let old = repo.deployed();
    repo.write("blog/conf/a", "2");
    let cut = repo.sync(&old, Ask { no_restart: true, ..Ask::default() });
    insta::assert_snapshot!(commands(&repo, &cut.host, Ask::default()), @r#"
    docker compose version --short
    script
    containers
    upload
    note
    state
    blog: restart --no-deps web
    docker image inspect --format {"id":{{json\0040.Id}},"digests":{{json\0040.RepoDigests}},"labels":{{json\0040.Config.Labels}}} sha256:0
    state
    release
    history
    note
    finish
    "#);
}

#[test]
fn a_reader_of_another_projects_file_acts_after_the_file_is_in_place() {
    let repo = Projects::new(&[
        ("blog/compose.yml", "services:\n  web: {image: a, volumes: ['../db/ca.pem:/ca']}\n"),
        ("db/compose.yml", "services:\n  db: {image: d}\n"),
        ("db/ca.pem", "1"),
    ]);
    let host = repo.deployed();
    repo.write("db/ca.pem", "2");
    let run = repo.sync(&host, Ask::default());
    succeeded(&repo, &run);
    assert!(run.at("swap db") < run.at("blog: restart --no-deps web"), "{:#?}", run.commands);
}

const HOOKED: &str = "\
x-ghdeploy:
  hooks:
    before: [{service: web, run: [./migrate, --all]}]
    after: {service: web, exec: warm up}
services:
  web: {image: a, build: image, depends_on: [db], volumes: ['./conf:/conf']}
  db: {image: d}
  worker: {image: w, volumes: ['./other:/other']}
";

#[test]
fn hooks_run_before_anything_is_replaced_and_after_all_is_healthy() {
    let repo = Projects::new(&[
        ("blog/compose.yml", HOOKED),
        ("blog/image/Dockerfile", "FROM a"),
        ("blog/conf", "1"),
        ("blog/other", "1"),
    ]);
    insta::assert_snapshot!(commands(&repo, &Host::default(), Ask::default()), @r#"
    docker compose version --short
    docker image inspect --format {{.Os}}/{{.Architecture}}/{{.Variant}} d w
    script
    containers
    upload
    note
    candidate blog
    blog (candidate): config -q
    swap blog
    state
    blog: build web
    containers
    blog: up -d --no-recreate db
    blog: hook run --rm -T --no-deps --name blog.web.hook web ./migrate --all
    blog: up -d --quiet-pull db web worker
    blog: hook exec -T web warm up
    docker image inspect --format {"id":{{json\0040.Id}},"digests":{{json\0040.RepoDigests}},"labels":{{json\0040.Config.Labels}}} sha256:0 sha256:1
    state
    release
    history
    note
    finish
    "#);
    let host = repo.deployed();
    repo.write("blog/image/Dockerfile", "FROM b")
        .write("blog/compose.yml", &HOOKED.replace("image: d", "image: d2"));
    insta::assert_snapshot!(commands(&repo, &host, Ask::default()), @r#"
    docker compose version --short
    docker image inspect --format {{.Os}}/{{.Architecture}}/{{.Variant}} d2
    script
    containers
    upload
    note
    candidate blog
    blog (candidate): config -q
    swap blog
    state
    blog: build web
    containers
    blog: hook run --rm -T --no-deps --name blog.web.hook web ./migrate --all
    blog: up -d --quiet-pull db web
    blog: hook exec -T web warm up
    docker image inspect --format {"id":{{json\0040.Id}},"digests":{{json\0040.RepoDigests}},"labels":{{json\0040.Config.Labels}}} sha256:0 sha256:2
    state
    release
    history
    note
    finish
    "#);
    // No hook runs for a service that is not started again.
    let host = repo.deployed();
    repo.write("blog/other", "2");
    assert!(!repo.sync(&host, Ask::default()).did("blog: hook"));
    repo.write("blog/conf", "2");
    assert!(repo.sync(&host, Ask::default()).did("blog: hook"));
    assert!(!repo.sync(&host, Ask { no_restart: true, ..Ask::default() }).did("blog: hook"));
}

#[test]
fn a_hook_starts_only_services_that_would_run() {
    let compose = "\
x-ghdeploy: {hooks: {before: {service: web, run: [a]}}}
services:
  web: {image: a, depends_on: {debug: {condition: service_started, required: false}, none: {condition: service_started}, db: {condition: service_started}}}
  debug: {image: d, profiles: [debug]}
  none: {image: n, scale: 0}
  db: {image: d}
";
    let repo = Projects::new(&[("blog/compose.yml", compose)]);
    let run = repo.sync(&Host::default(), Ask::default());
    succeeded(&repo, &run);
    let started: Vec<_> = run.commands.iter().filter(|command| command.contains("--no-recreate")).collect();
    assert_eq!(started, ["blog: up -d --no-recreate db"]);
}

#[test]
fn hooks_run_on_the_host_and_in_the_container_of_another_project() {
    let compose = "\
x-ghdeploy:
  hooks:
    before: [{host: [./backup.sh, --all]}, {service: zoo/db, exec: [dump]}]
    after: {service: web, host: [curl, 'http://localhost/']}
services:
  web: {image: a}
";
    let repo =
        Projects::new(&[("blog/compose.yml", compose), ("zoo/compose.yml", "services: {db: {image: d}}")]);
    let run = repo.sync(&Host::default(), Ask::default());
    succeeded(&repo, &run);
    let order = [
        "zoo: up -d --quiet-pull db",
        "blog: host ./backup.sh --all",
        "zoo: hook exec -T db dump",
        "blog: up -d --quiet-pull web",
        "blog: host curl http://localhost/",
    ];
    let at: Vec<usize> = order.iter().map(|command| run.at(command)).collect();
    assert!(at.is_sorted(), "{at:?} {:#?}", run.commands);
    // One that fails before leaves all as it was, and none runs on the way back.
    let host = repo.deployed();
    repo.write("blog/compose.yml", &compose.replace("image: a", "image: b"));
    let clean = repo.sync(&host, Ask::default());
    for (command, said) in [
        ("blog: host ./backup.sh --all", "hook `before` on the host failed: it exited with status 1"),
        ("zoo: hook exec -T db dump", "hook `before` in `zoo/db` failed: it exited with status 1"),
        ("blog: host curl http://localhost/", "hook `after` on the host failed: it exited with status 1"),
    ] {
        let at = clean.at(command);
        let run = repo.sync(&host, Ask { faults: [Some((at, Fault::Refused)), None], ..Ask::default() });
        assert_eq!(
            (run.exit, run.result("blog")),
            (Exit::RolledBack, ProjectResult::RolledBack),
            "{command}"
        );
        assert_eq!(run.project("blog").problems[0].message, said);
        assert_eq!(run.host.files, host.files);
        assert_eq!(
            run.commands.iter().filter(|done| done.contains("hook ") || done.contains(": host ")).count(),
            clean.commands[..=at]
                .iter()
                .filter(|done| done.contains("hook ") || done.contains(": host "))
                .count()
        );
    }
}

#[test]
fn a_failing_before_hook_leaves_every_service_as_it_was() {
    let repo = Projects::new(&[
        ("blog/compose.yml", HOOKED),
        ("blog/image/Dockerfile", "FROM a"),
        ("blog/conf", "1"),
        ("blog/other", "1"),
    ]);
    let host = repo.deployed();
    repo.write("blog/compose.yml", &HOOKED.replace("image: a", "image: a2"))
        .write("blog/conf", "2")
        .write("blog/other", "2");
    let clean = repo.sync(&host, Ask::default());
    let at = clean.commands.iter().position(|command| command.contains("hook run")).unwrap();
    let run = repo.sync(&host, Ask { faults: [Some((at, Fault::Refused)), None], ..Ask::default() });
    assert_eq!((run.exit, run.result("blog")), (Exit::RolledBack, ProjectResult::RolledBack));
    assert_eq!(
        (&run.host.files, &run.host.containers, &run.host.state),
        (&host.files, &host.containers, &host.state)
    );
    assert!(!run.did("blog: up") && !run.did("blog: restart"), "{:#?}", run.commands);
    assert!(run.actions("blog").iter().all(|(_, result)| *result == ActionResult::Skipped));
    let problem = &run.project("blog").problems[0];
    assert_eq!(problem.message, "hook `before` of service `web` failed: it exited with status 1");
    assert_eq!(problem.at.as_ref().unwrap().to_string(), "services/blog/compose.yml:3:14");
    let hooks = |run: &Run| run.project("blog").hooks.iter().map(|hook| hook.result).collect::<Vec<_>>();
    assert_eq!(hooks(&run), [ActionResult::Failed, ActionResult::Skipped]);
    assert_eq!(hooks(&clean), [ActionResult::Done, ActionResult::Done]);
    // A failure in between is not theirs.
    let at = clean.at("blog: up -d --quiet-pull web");
    let between = repo.sync(&host, Ask { faults: [Some((at, Fault::Refused)), None], ..Ask::default() });
    assert_eq!(hooks(&between), [ActionResult::Done, ActionResult::Skipped]);
    // A hook that fails afterwards rolls everything back.
    let at = clean.commands.iter().position(|command| command.contains("hook exec")).unwrap();
    let run = repo.sync(&host, Ask { faults: [Some((at, Fault::Refused)), None], ..Ask::default() });
    assert_eq!(
        (run.exit, run.result("blog"), &run.host.files),
        (Exit::RolledBack, ProjectResult::RolledBack, &host.files)
    );
    assert_eq!(hooks(&run), [ActionResult::Done, ActionResult::Failed]);
    assert!(run.actions("blog").iter().all(|(_, result)| *result == ActionResult::Done));
    assert_eq!(repo.misses(&repo.sync(&run.host, Ask::default()).host), Vec::<String>::new());
}
