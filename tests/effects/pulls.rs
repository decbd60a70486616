//! Which images are pulled before anything changes.

use ghdeploy::base::error::Exit;
use ghdeploy::outcome::ProjectResult;

use crate::bench::{Ask, Projects, Run};
use crate::host::Host;
use crate::peer::Fault;

const APP: &str = "\
services:
  web: {image: 'web:1', environment: {A: '1'}}
  worker: {image: 'worker:1'}
";

fn lacks(names: &[&str]) -> std::collections::BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The commands of a sync about images, and those between the check with Compose and the swap.
fn pulls<'r>(run: &'r Run) -> Vec<&'r str> {
    let checked = run.at("blog (candidate): config -q");
    let to = run.commands.iter().position(|command| command == "swap blog").unwrap_or(run.commands.len());
    let inspect = "docker image inspect --format {{.Os}}/{{.Architecture}}/{{.Variant}} ";
    let of_images = |(at, command): (usize, &'r String)| {
        let inspected = command.strip_prefix(inspect);
        inspected.or((at > checked).then_some(command.as_str()))
    };
    run.commands[..to].iter().enumerate().filter_map(of_images).collect()
}

fn sync(compose: &str, lacking: &[&str]) -> Run {
    let repo = Projects::new(&[("blog/compose.yml", compose)]);
    repo.sync(&Host { lacks: lacks(lacking), ..Host::default() }, Ask::default())
}

#[test]
fn an_image_that_the_host_has_is_not_pulled_again() {
    let repo = Projects::new(&[("blog/compose.yml", APP)]);
    let host = repo.deployed();
    repo.write("blog/compose.yml", &APP.replace("A: '1'", "A: '2'").replace("web:1", "web"));
    let run = repo.sync(&host, Ask::default());
    assert_eq!((run.exit, pulls(&run)), (Exit::Done, vec!["web"]));
}

#[test]
fn missing_images_are_pulled_and_no_others() {
    let run = sync(APP, &["worker:1"]);
    assert_eq!(run.exit, Exit::Done);
    assert_eq!(pulls(&run), ["web:1 worker:1", "web:1", "worker:1", "blog (candidate): pull --quiet worker"]);
}

#[test]
fn the_images_of_mounts_and_of_pre_start_are_pulled_unless_the_project_builds_them() {
    let mounts = "{type: image, source: 'data:1', target: /d}, {type: image, source: 'built:1', target: /b}";
    let compose = format!(
        "services: {{web: {{image: 'web:1', volumes: [{mounts}], pre_start: [{{image: 'init:1', command: x}}]}}, \
         app: {{image: 'built:1', build: ., profiles: [off]}}}}"
    );
    let run = sync(&compose, &["data:1", "init:1"]);
    assert_eq!(run.exit, Exit::Done, "{:?}", run.project("blog").problems);
    assert_eq!(
        pulls(&run)[4..],
        ["docker pull --quiet data:1", "docker pull --quiet init:1"],
        "{:?}",
        pulls(&run)
    );
    assert!(pulls(&sync(&compose, &[])).iter().all(|command| !command.contains("pull")));
}

#[test]
fn services_of_one_image_pull_it_once() {
    let run = sync("services: {a: {image: x}, b: {image: x}}", &["x"]);
    assert_eq!(pulls(&run), ["x", "x", "blog (candidate): pull --quiet a"]);
}

#[test]
fn the_pull_policy_of_a_service_is_obeyed() {
    for (policy, is_there, pulled) in [
        ("always", true, true),
        ("missing", true, false),
        ("missing", false, true),
        ("if_not_present", true, false),
        ("build", false, false),
        ("daily", true, false),
        ("every_12h", false, true),
        ("never", true, false),
    ] {
        let compose = format!("services: {{web: {{image: x, pull_policy: {policy}}}}}");
        let run = sync(&compose, if is_there { &[] } else { &["x"] });
        assert_eq!(run.exit, Exit::Done, "{policy}");
        let is_pulled = pulls(&run).contains(&"blog (candidate): pull --quiet web");
        assert_eq!(is_pulled, pulled, "{policy} {is_there}");
    }
}

#[test]
fn an_image_that_must_not_be_pulled_is_missed_before_anything_changes() {
    let run = sync("services: {web: {image: 'x:1', pull_policy: never}}", &["x:1"]);
    assert_eq!((run.exit, run.result("blog")), (Exit::RolledBack, ProjectResult::NothingChanged));
    assert_eq!(
        run.project("blog").problems[0].message,
        "the host does not have image x:1 of service `web`, and `pull_policy: never` forbids pulling it"
    );
    assert!(!run.did("swap"));
}

#[test]
fn an_image_for_another_platform_is_pulled() {
    let run = sync("services: {web: {image: x, platform: linux/arm64}, b: {image: y, platform: linux}}", &[]);
    assert_eq!(pulls(&run), ["x y", "blog (candidate): pull --quiet web"]);
}

#[test]
fn an_image_that_only_the_host_can_name_is_looked_up_and_not_shown() {
    let compose = "services: {web: {image: '${REGISTRY}/web:1'}, b: {image: b}}";
    let repo = Projects::new(&[("blog/compose.yml", compose)]);
    let names = ["b secret/web:1", "b", "secret/web:1"];
    // Its own .env has the variable.
    let env_files = [("blog/.env".to_owned(), "one".to_owned())].into();
    let host = Host { lacks: lacks(&["secret/web:1"]), env_files, ..Host::default() };
    let run = repo.sync(&host, Ask::default());
    assert_eq!(
        pulls(&run),
        [
            &["b", "blog (candidate): config --images web"],
            &names[..],
            &["blog (candidate): pull --quiet web"]
        ]
        .concat()
    );
    let at = run.at("blog (candidate): pull --quiet web");
    let faults = [Some((at, Fault::Refused)), None];
    let run = repo.sync(&host, Ask { faults, ..Ask::default() });
    let problem = &run.project("blog").problems[0];
    assert_eq!(run.exit, Exit::RolledBack);
    assert_eq!(problem.message, "image ${REGISTRY}/web:1 of service `web` cannot be pulled: docker failed");
    assert!(!format!("{:?}", run.outcome).contains("secret"));
}

#[test]
fn every_image_that_cannot_be_pulled_is_named() {
    let clean = sync(APP, &["web:1", "worker:1"]);
    let at = clean.at("blog (candidate): pull --quiet web");
    let repo = Projects::new(&[("blog/compose.yml", APP)]);
    let faults = [Some((at, Fault::Refused)), Some((at + 1, Fault::Refused))];
    let run = repo.sync(
        &Host { lacks: lacks(&["web:1", "worker:1"]), ..Host::default() },
        Ask { faults, ..Ask::default() },
    );
    let problems = &run.project("blog").problems;
    let named: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.at.as_ref().unwrap(), problem.message))
        .collect();
    assert_eq!(
        named,
        [
            "services/blog/compose.yml:2:16: image web:1 of service `web` cannot be pulled: docker failed",
            "services/blog/compose.yml:3:19: image worker:1 of service `worker` cannot be pulled: docker failed",
        ]
    );
    assert!(!run.did("swap") && !run.did("blog: up"));
}

#[test]
fn a_compose_that_is_too_old_is_mentioned_and_used() {
    for (version, is_old) in
        [("2.19.1", true), ("v2.9.0", true), ("2.20.3", false), ("5.1.0", false), ("dev", false)]
    {
        let repo = Projects::new(&[("blog/compose.yml", APP), ("shop/compose.yml", APP)]);
        let run = repo.sync(&Host { compose_version: version.to_owned(), ..Host::default() }, Ask::default());
        assert_eq!(run.exit, Exit::Done);
        let notes: Vec<&str> = run.outcome.notes.iter().map(|note| note.message.as_str()).collect();
        let said = format!(
            "Docker Compose on the host is too old: {} is older than 2.20, and may fail in the middle of a deploy",
            version.trim_start_matches('v')
        );
        assert_eq!(notes, if is_old { vec![said.as_str()] } else { vec![] }, "{version}");
        // Once for the host, not for each project.
        let asked = run.commands.iter().filter(|command| *command == "docker compose version --short");
        assert_eq!(asked.count(), 1);
    }
}

const PRIVATE: &str = "\
services:
  web: {image: 'ghcr.io/ann/app:1', pull_policy: always, depends_on: [cache]}
  cache: {image: 'cache:1'}
  worker: {image: 'worker:1'}
";

fn with_login() -> Ask {
    Ask { login: Some("ghcr.io"), ..Ask::default() }
}

#[test]
fn only_images_of_its_registry_are_pulled_with_a_login_and_compose_pulls_none() {
    let repo = Projects::new(&[("blog/compose.yml", PRIVATE)]);
    let host = Host { lacks: lacks(&["ghcr.io/ann/app:1", "worker:1"]), ..Host::default() };
    let run = repo.sync(&host, with_login());
    assert_eq!(run.exit, Exit::Done, "{run:#?}");
    assert_eq!(
        pulls(&run)[4..],
        ["pull ghcr.io/ann/app:1 -", "blog (candidate): pull --quiet worker"],
        "{:?}",
        pulls(&run)
    );
    assert!(run.did("blog: up -d --pull never "), "{:#?}", run.commands);
    // Services that come up with another one are looked after, too.
    let host = Host { lacks: lacks(&["cache:1"]), ..run.host };
    repo.write("blog/compose.yml", &PRIVATE.replace("always,", "always, environment: {A: '1'},"));
    let run = repo.sync(&host, with_login());
    let shown = pulls(&run);
    assert_eq!(
        shown[shown.len() - 2..],
        ["pull ghcr.io/ann/app:1 -", "blog (candidate): pull --quiet cache"]
    );
    assert!(run.did("blog: up -d --pull never web"), "{:#?}", run.commands);
}

#[test]
fn what_compose_would_refresh_is_pulled_ahead_for_services_that_get_a_container() {
    let compose = PRIVATE.replace("cache:1'", "cache:1', pull_policy: daily");
    let repo = Projects::new(&[("blog/compose.yml", &compose)]);
    let run = repo.sync(&Host::default(), with_login());
    let shown = pulls(&run);
    assert_eq!(run.exit, Exit::Done, "{run:#?}");
    assert!(
        shown.contains(&"pull ghcr.io/ann/app:1 -")
            && shown.contains(&"blog (candidate): pull --quiet cache")
    );
    repo.write("blog/compose.yml", &compose.replace("always,", "always, environment: {A: '1'},"));
    let run = repo.sync(&run.host, with_login());
    let shown = pulls(&run);
    assert!(shown.contains(&"pull ghcr.io/ann/app:1 -"), "{shown:?}");
    assert!(!shown.contains(&"blog (candidate): pull --quiet cache"), "{shown:?}");
}

#[test]
fn without_a_login_to_its_registry_everything_is_pulled_as_before() {
    let repo = Projects::new(&[("blog/compose.yml", &PRIVATE.replace("ghcr.io", "quay.io"))]);
    let run = repo.sync(&Host { lacks: lacks(&["quay.io/ann/app:1"]), ..Host::default() }, with_login());
    assert_eq!(run.exit, Exit::Done, "{run:#?}");
    assert!(pulls(&run).contains(&"blog (candidate): pull --quiet web") && !run.did("pull "));
    assert!(run.did("blog: up -d --quiet-pull "), "{:#?}", run.commands);
}

#[test]
fn a_login_that_is_refused_changes_nothing_and_names_registry_service_and_variable() {
    let repo = Projects::new(&[("blog/compose.yml", PRIVATE)]);
    let host = Host { lacks: lacks(&["ghcr.io/ann/app:1"]), ..Host::default() };
    let well = repo.sync(&host, with_login());
    let at = well.at("pull ghcr.io/ann/app:1 -");
    let run = repo.sync(&host, Ask { faults: [Some((at, Fault::Half)), None], ..with_login() });
    assert_eq!((run.exit, run.result("blog")), (Exit::RolledBack, ProjectResult::NothingChanged));
    assert!(!run.did("swap"), "{:#?}", run.commands);
    let problem = &run.project("blog").problems[0];
    assert_eq!(
        problem.message,
        "image ghcr.io/ann/app:1 of service `web` cannot be pulled with the login to ghcr.io: its registry does not have it, or asks for a login"
    );
    assert!(problem.help.as_ref().unwrap().contains("the password in the variable TOKEN"));
    assert!(!format!("{run:?}").contains("hunter2"));
}

#[test]
fn a_hook_that_would_pull_again_needs_a_compose_that_can_be_told_not_to() {
    let hook = format!("{PRIVATE}x-ghdeploy: {{hooks: {{before: {{service: web, run: [migrate]}}}}}}\n");
    let repo = Projects::new(&[("blog/compose.yml", &hook)]);
    let run = repo.sync(&Host::default(), with_login());
    assert_eq!((run.exit, run.result("blog")), (Exit::RolledBack, ProjectResult::NothingChanged));
    assert!(
        run.project("blog").problems[0]
            .message
            .contains("without the login to the registry: Docker Compose 2.26.1-4 is older than 2.33"),
        "{:?}",
        run.project("blog").problems
    );
    let newer = Host { compose_version: "2.40.0".to_owned(), ..Host::default() };
    let run = repo.sync(&newer, with_login());
    assert_eq!(run.exit, Exit::Done, "{run:#?}");
    assert_eq!(run.host.hooks, ["blog: run --rm -T --no-deps --name blog.web.hook --pull never web migrate"]);
}
