//! Services that do not become healthy, and the rollback.

use ghdeploy::base::error::{Exit, HostState};
use ghdeploy::base::manifest::Digest;
use ghdeploy::base::path::RootPath;
use ghdeploy::outcome::{ActionResult, ProjectResult};

use crate::bench::{Ask, Projects};
use crate::host::Host;
use crate::peer::Fault;

const WEB: &str = "services:\n  web: {image: a, volumes: ['./x:/x']}\n  idle: {image: b}\n";

fn poison(path: &str, content: &str) -> Vec<(RootPath, Digest)> {
    vec![(RootPath::new(path).unwrap(), Digest::of(content.as_bytes()))]
}

#[test]
fn an_unhealthy_service_gets_its_old_content_back() {
    let repo = Projects::new(&[("blog/compose.yml", WEB), ("blog/x", "good")]);
    let before = Host { poison: poison("blog/x", "bad"), ..repo.deployed() };
    repo.write("blog/x", "bad");
    let run = repo.sync(&before, Ask::default());
    assert_eq!((run.exit, run.result("blog")), (Exit::RolledBack, ProjectResult::RolledBack));
    assert_eq!(run.actions("blog"), [("restart web".to_owned(), ActionResult::Failed)]);
    insta::assert_snapshot!(run.commands.join("\n"), @"
    docker compose version --short
    script
    containers
    upload
    note
    swap blog
    state
    blog: restart --no-deps web
    containers
    restore blog
    docker tag sha256:0 blog-idle
    docker tag sha256:0 blog-web
    containers
    blog: up -d --no-build --pull never web
    blog: restart --no-deps web
    state
    note
    finish
    ");
    assert_eq!(
        (&run.host.files, &run.host.manifests, &run.host.state),
        (&before.files, &before.manifests, &before.state)
    );
    repo.write("blog/x", "good");
    assert_eq!(repo.misses(&run.host), Vec::<String>::new());
    // A failed change is tried again, because the host is not as wanted.
    repo.write("blog/x", "better");
    let run = repo.sync(&run.host, Ask::default());
    assert_eq!((run.exit, repo.misses(&run.host)), (Exit::Done, Vec::new()));
}

#[test]
fn a_first_deploy_that_fails_leaves_nothing() {
    let repo = Projects::new(&[("blog/compose.yml", WEB), ("blog/x", "bad")]);
    let run = repo.sync(&Host { poison: poison("blog/x", "bad"), ..Host::default() }, Ask::default());
    assert_eq!((run.exit, run.result("blog")), (Exit::RolledBack, ProjectResult::RolledBack));
    assert!(
        run.host.files.is_empty() && run.host.manifests.is_empty() && run.host.containers.is_empty(),
        "{:#?}",
        run.host
    );
    assert!(run.host.state.is_none() || run.host.state.as_ref().unwrap()["projects"]["blog"].is_null());
}

#[test]
fn a_failing_project_stops_no_other() {
    let repo = Projects::new(&[
        ("a/compose.yml", WEB),
        ("a/x", "good"),
        ("b/compose.yml", &format!("x-ghdeploy: {{after: [a]}}\n{WEB}")),
        ("b/x", "good"),
    ]);
    let host = Host { poison: poison("a/x", "bad"), ..repo.deployed() };
    repo.write("a/x", "bad").write("b/x", "better");
    let run = repo.sync(&host, Ask::default());
    assert_eq!(
        (run.result("a"), run.result("b"), run.exit),
        (ProjectResult::RolledBack, ProjectResult::Done, Exit::RolledBack)
    );
    let project = |host: &Host, name: &str| host.state.as_ref().unwrap()["projects"][name].clone();
    assert_eq!(project(&run.host, "a"), project(&host, "a"));
    assert_ne!(project(&run.host, "b"), project(&host, "b"));
    assert!(run.host.history.last().unwrap()["projects"]["a"]["result"] == "rolled_back");
}

#[test]
fn a_shared_file_that_breaks_its_only_reader_is_restored_too() {
    let repo = Projects::new(&[
        ("a/compose.yml", "services:\n  web: {image: a, volumes: ['../shared/x:/x']}\n"),
        ("shared/x", "good"),
    ]);
    let before = Host { poison: poison("shared/x", "bad"), ..repo.deployed() };
    repo.write("shared/x", "bad");
    let run = repo.sync(&before, Ask::default());
    assert_eq!(run.exit, Exit::RolledBack, "{:#?}", run.commands);
    assert_eq!(run.host.files, before.files);
}

#[test]
fn a_failed_check_leaves_the_shared_files_of_that_project_alone() {
    let repo = Projects::new(&[
        ("a/compose.yml", "services:\n  web: {image: a, volumes: ['../shared/x:/x']}\n"),
        ("shared/x", "1"),
        ("b/compose.yml", WEB),
        ("b/x", "1"),
    ]);
    let before = repo.deployed();
    repo.write("shared/x", "2")
        .write("b/x", "2")
        .write("a/compose.yml", "services:\n  web: {image: a2, volumes: ['../shared/x:/x']}\n");
    let clean = repo.sync(&before, Ask::default());
    let check = clean.at("a (candidate): config -q");
    let run = repo.sync(&before, Ask { faults: [Some((check, Fault::Refused)), None], ..Ask::default() });
    assert_eq!((run.result("a"), run.result("b")), (ProjectResult::NothingChanged, ProjectResult::Done));
    let shared = RootPath::new("shared/x").unwrap();
    assert_eq!(
        run.host.files[&shared], before.files[&shared],
        "`a` is said to be unchanged, and its file is another"
    );
}

#[test]
fn a_failed_rollback_needs_a_look() {
    let repo = Projects::new(&[("blog/compose.yml", WEB), ("blog/x", "good")]);
    let before = Host { poison: poison("blog/x", "bad"), ..repo.deployed() };
    repo.write("blog/x", "bad");
    let plain = repo.sync(&before, Ask::default());
    let back = plain.at("restore blog");
    let end = plain.commands.len() - 2;
    assert_eq!(plain.commands[end..], ["note", "finish"]);
    for at in back..end {
        for fault in [Fault::Refused, Fault::CutBefore, Fault::CutAfter] {
            let run = repo.sync(&before, Ask { faults: [Some((at, fault)), None], ..Ask::default() });
            if plain.commands[at].starts_with("docker tag") && fault == Fault::Refused {
                continue;
            }
            assert_eq!(
                (run.result("blog"), run.exit),
                (ProjectResult::Unknown, Exit::NeedsLook),
                "{fault:?} at {:?}",
                plain.commands[at]
            );
            let services = |host: &Host| host.state.clone().unwrap()["projects"]["blog"]["services"].clone();
            if plain.commands[at] != "state" || fault != Fault::CutAfter {
                assert_ne!(services(&run.host), services(&before), "nobody knows what runs");
            }
            assert!(
                run.project("blog")
                    .problems
                    .iter()
                    .any(|problem| problem.message.starts_with("the rollback failed")),
                "{:?}",
                run.project("blog").problems
            );
            // Once the repository is fixed, the next sync fixes the host.
            repo.write("blog/x", "mended");
            let run = repo.sync(&run.host, Ask::default());
            assert_eq!(
                (run.exit, repo.misses(&run.host)),
                (Exit::Done, Vec::new()),
                "{fault:?} at {:?}",
                plain.commands[at]
            );
            repo.write("blog/x", "bad");
        }
    }
}

#[test]
fn a_file_that_changes_meanwhile_is_not_overwritten() {
    let repo = Projects::new(&[("blog/compose.yml", WEB), ("blog/x", "1")]);
    let host = repo.deployed();
    repo.write("blog/x", "2").write("blog/compose.yml", &WEB.replace("image: a", "image: a2"));
    // A person edits the file between the facts and the swap: the model does it during the check.
    let clean = repo.sync(&host, Ask::default());
    let run = repo.sync(
        &host,
        Ask {
            faults: [Some((clean.at("blog (candidate): config -q"), Fault::Meddle)), None],
            ..Ask::default()
        },
    );
    assert_eq!((run.result("blog"), run.exit), (ProjectResult::NothingChanged, Exit::RolledBack));
    assert!(run.did("restore blog") && !run.did("blog: up"), "{:#?}", run.commands);
    let x = RootPath::new("blog/x").unwrap();
    assert_eq!(run.host.files[&x].digest, Digest::of(b"by hand"), "theirs stays");
}

#[test]
fn shared_files_that_cannot_be_restored_need_a_look() {
    let repo = Projects::new(&[
        ("a/compose.yml", "services:\n  web: {image: a, volumes: ['../shared/x:/x']}\n"),
        ("shared/x", "1"),
    ]);
    let host = repo.deployed();
    repo.write("shared/x", "2");
    let swap = repo.sync(&host, Ask::default()).at("swap +shared");
    let refused = repo.sync(&host, Ask { faults: [Some((swap, Fault::Half)), None], ..Ask::default() });
    assert_eq!(refused.outcome.failure.as_ref().unwrap().state, HostState::Unchanged);
    assert_eq!((refused.exit, &refused.host.files), (Exit::RolledBack, &host.files));
    let lost = repo.sync(
        &host,
        Ask { faults: [Some((swap, Fault::Half)), Some((swap + 1, Fault::Refused))], ..Ask::default() },
    );
    assert_eq!(lost.outcome.failure.as_ref().unwrap().state, HostState::Unknown);
    assert_eq!(lost.exit, Exit::NeedsLook);
}

#[test]
fn an_upload_that_arrives_changed_is_not_used() {
    let repo = Projects::new(&[("blog/compose.yml", WEB), ("blog/x", "1")]);
    let host = repo.deployed();
    for (path, content) in [("blog/x", "2"), ("blog/compose.yml", "services:\n  web: {image: a2}\n")] {
        repo.write(path, content);
        let upload = repo.sync(&host, Ask::default()).at("upload");
        let run = repo.sync(&host, Ask { faults: [Some((upload, Fault::Garbled)), None], ..Ask::default() });
        assert_eq!((run.result("blog"), run.exit), (ProjectResult::NothingChanged, Exit::RolledBack));
        assert_eq!((&run.host.files, &run.host.containers), (&host.files, &host.containers));
        let said = &run.project("blog").problems[0].message;
        assert!(said.contains("did not arrive as they were sent"), "{said}");
    }
}

#[test]
fn a_stopped_run_ends_with_the_step_under_way() {
    let files = |image: &str| {
        let web =
            format!("services:\n  web: {{image: {image}}}\n  worker: {{image: a, volumes: ['./x:/x']}}\n");
        (web.clone(), format!("x-ghdeploy: {{after: [a]}}\n{web}"))
    };
    let (a, b) = files("a1");
    let repo = Projects::new(&[("a/compose.yml", &a), ("a/x", "1"), ("b/compose.yml", &b), ("b/x", "1")]);
    let before = repo.deployed();
    let (a, b) = files("a2");
    repo.write("a/compose.yml", &a).write("a/x", "2").write("b/compose.yml", &b).write("b/x", "2");
    let clean = repo.sync(&before, Ask::default());
    let stopped = |command: &str| {
        let at = clean.at(command);
        repo.sync(&before, Ask { faults: [Some((at, Fault::Stop)), None], ..Ask::default() })
    };
    let run = stopped("a: up -d --quiet-pull web");
    assert_eq!((run.result("a"), run.exit), (ProjectResult::Interrupted, Exit::NeedsLook));
    assert_eq!(run.result("b"), ProjectResult::NothingChanged);
    let owed = [("up web".to_owned(), ActionResult::Owed), ("restart worker".to_owned(), ActionResult::Owed)];
    assert_eq!(run.actions("a"), owed);
    assert!(!run.did("a: restart") && !run.did("swap b") && !run.did("restore"), "{:#?}", run.commands);
    // The first action goes along with the swap.
    let run = stopped("swap a");
    assert_eq!((run.result("a"), run.exit), (ProjectResult::Interrupted, Exit::NeedsLook));
    assert!(run.did("a: up") && !run.did("a: restart") && !run.did("swap b"), "{:#?}", run.commands);
    let run = stopped("b (candidate): config -q");
    assert_eq!(
        (run.result("a"), run.result("b")),
        (ProjectResult::NothingChanged, ProjectResult::NothingChanged)
    );
    assert_eq!(
        (run.exit, &run.host.files, &run.host.containers),
        (Exit::RolledBack, &before.files, &before.containers)
    );
    assert_eq!(run.host.manifests, before.manifests);
    let run = stopped("b: restart --no-deps worker");
    assert_eq!((run.result("a"), run.result("b")), (ProjectResult::Done, ProjectResult::Interrupted));
    assert_eq!(run.host.history.len(), 2, "what is done is written down");
    let again = repo.sync(&run.host, Ask::default());
    assert_eq!((again.exit, repo.misses(&again.host)), (Exit::Done, Vec::new()));
    assert!(!again.did("a: "), "{:#?}", again.commands);
}

#[test]
fn a_project_that_is_stopped_before_it_acts_gets_its_files_and_its_record_back() {
    let compose = "x-ghdeploy: {hooks: {before: {service: web, run: [migrate]}}}\nservices:\n  web: {image: IMAGE, volumes: ['./x:/x']}\n";
    let of = |image: &str| compose.replace("IMAGE", image);
    let repo = Projects::new(&[("blog/compose.yml", &of("a1")), ("blog/x", "1")]);
    let before = repo.deployed();
    repo.write("blog/compose.yml", &of("a2")).write("blog/x", "2");
    let swap = repo.sync(&before, Ask::default()).at("swap blog");
    let run = repo.sync(&before, Ask { faults: [Some((swap, Fault::Stop)), None], ..Ask::default() });
    assert_eq!((run.result("blog"), run.exit), (ProjectResult::NothingChanged, Exit::RolledBack));
    assert_eq!((&run.host.files, &run.host.manifests), (&before.files, &before.manifests));
    let projects = |host: &Host| host.state.as_ref().map(|state| state["projects"].clone());
    assert_eq!(projects(&run.host), projects(&before));
    assert!(run.did("restore") && !run.did("blog: "), "{:#?}", run.commands);
}

/// A project that no longer reads a shared file, which is gone from the repository.
fn with_a_dropped_file() -> (Projects, Host) {
    let repo = Projects::new(&[
        ("a/compose.yml", "services:\n  web: {image: a, volumes: ['../shared/x:/x', './y:/y']}\n"),
        ("a/y", "good"),
        ("shared/x", "1"),
    ]);
    let host = repo.deployed();
    repo.write("a/compose.yml", "services:\n  web: {image: a, volumes: ['./y:/y']}\n")
        .write("a/y", "bad")
        .remove("shared/x");
    (repo, host)
}

#[test]
fn a_shared_file_goes_after_the_last_project_that_read_it_is_deployed() {
    let (repo, host) = with_a_dropped_file();
    let run = repo.sync(&host, Ask::default());
    assert_eq!(run.exit, Exit::Done, "{run:#?}");
    assert!(run.at("swap +shared+last") > run.at("swap a"), "{:#?}", run.commands);
    assert!(!run.host.files.contains_key(&RootPath::new("shared/x").unwrap()));
    assert!(!run.host.manifests.contains_key("+shared"));
    assert!(repo.sync(&run.host, Ask::default()).outcome.release == run.outcome.release);
}

#[test]
fn a_shared_file_stays_for_a_version_that_has_to_come_back() {
    let (repo, host) = with_a_dropped_file();
    let run = repo.sync(&Host { poison: poison("a/y", "bad"), ..host.clone() }, Ask::default());
    assert_eq!(run.result("a"), ProjectResult::RolledBack, "{run:#?}");
    assert_eq!(run.host.files, host.files);
    let run = repo.sync(&host, Ask { no_restart: true, ..Ask::default() });
    let is_there = |host: &Host| host.files.contains_key(&RootPath::new("shared/x").unwrap());
    assert!(is_there(&run.host), "the container still mounts it");
    assert!(!is_there(&repo.sync(&run.host, Ask::default()).host));
}

#[test]
fn shared_files_of_a_project_that_is_taken_down_go_after_it() {
    let repo = Projects::new(&[
        ("a/compose.yml", "services:\n  web: {extends: {file: ../shared/common.yml, service: base}}\n"),
        ("b/compose.yml", WEB),
        ("b/x", "1"),
        ("shared/common.yml", "services:\n  base: {image: a}\n"),
    ]);
    let host = repo.deployed();
    repo.remove("a/compose.yml").remove("shared/common.yml");
    let kept = repo.sync(&host, Ask::default());
    assert_eq!(kept.host.files, host.files);
    let run = repo.sync(&host, Ask { prune: true, ..Ask::default() });
    let down = run.commands.iter().position(|command| command.contains(": down")).unwrap();
    assert!(run.at("swap +shared+last") > down, "{:#?}", run.commands);
    assert!(run.host.files.keys().all(|path| path.as_str().starts_with("b/")), "{:?}", run.host.files);
}
