//! Builds of real images, by real buildx and into a real registry, if the gate is open.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::registry::Registry;
use crate::runner::{Runner, run};
use crate::support::program::Output;

const OPEN: &str = r#"{"test": {"result": "success"}}"#;
const CLOSED: &str = r#"{"test": {"result": "failure"}}"#;

/// Two projects with images in the registry: `app` names its image, `tool` does not.
fn with_registry(registry: &Registry) -> Runner {
    let runner = Runner::with_images(&format!("build: {{registry: '{}'}}\n", registry.address()));
    for project in ["blog", "shop"] {
        std::fs::remove_dir_all(runner.path("services").join(project)).unwrap();
    }
    runner.write(
        "services/app/compose.yml",
        format!("services:\n  web.site: {{build: ., image: '{}/ann/app:main'}}\n", registry.address()),
    );
    runner.write("services/app/Dockerfile", "FROM ghdeploy-test/busybox:1\nCOPY page /page\n");
    runner.write("services/app/page", "one");
    runner.write("services/tool/compose.yml", "services:\n  tool: {build: {context: ., target: final}}\n");
    runner
        .write("services/tool/Dockerfile", "FROM ghdeploy-test/busybox:1 AS final\nRUN echo built >/built\n");
    runner.commit();
    runner
}

fn build(runner: &Runner, args: &[&str]) -> Output {
    let mut command = runner.event("workflow_dispatch", &json!({}), &[&["build", "--push"], args].concat());
    command.env("HOME", std::env::var_os("HOME").unwrap_or_default());
    run(&mut command)
}

#[test]
fn images_are_pushed_with_their_tags_labels_and_digests() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    build(&runner, &["--needs", OPEN]).exits(0).prints("2 images built");
    let short = format!("sha-{}", &runner.head()[..12]);
    let tags = |mut tags: Vec<&str>| {
        tags.sort_unstable();
        tags.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(registry.tags("ann/app"), tags(vec![&short, "latest", "main"]));
    assert_eq!(registry.tags("tool"), tags(vec![&short, "latest"]));
    let images: Value = serde_json::from_str(&runner.output("images")).unwrap();
    assert_eq!(images[0]["digest"], registry.digest("ann/app", "main"));
    assert_eq!(images[1]["digest"], registry.digest("tool", "latest"));
    assert_eq!(
        (runner.output("gate"), runner.output("projects")),
        ("open".to_owned(), r#"["app","tool"]"#.to_owned())
    );
    let label = |name: &str| registry.label("ann/app", &short, &format!("org.opencontainers.image.{name}"));
    assert_eq!(
        (label("revision"), label("source")),
        (runner.head(), "https://github.com/ann/side".to_owned())
    );
    assert_eq!(label("version"), short);
    assert!(label("created").starts_with("20"));
    let summary = std::fs::read_to_string(runner.beside("summary")).unwrap();
    assert!(
        summary.contains("### ghdeploy: 2 of 2 images built")
            && summary.contains(&registry.digest("tool", "latest")),
        "{summary}"
    );
}

#[test]
fn only_changed_images_are_built_unless_a_project_is_named() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    let before = runner.head();
    runner.write("services/app/page", "two");
    runner.commit();
    let mut push = runner.event("push", &json!({"before": before}), &["build", "--push", "--needs", OPEN]);
    run(&mut push).exits(0).prints("1 image built");
    assert_eq!((registry.tags("ann/app").len(), registry.tags("tool").len()), (3, 0));
    let mut same =
        runner.event("push", &json!({"before": runner.head()}), &["build", "--push", "--needs", OPEN]);
    run(&mut same).exits(0).prints("no image needs to be built");
    assert_eq!(runner.output("matrix"), r#"{"include":[]}"#);
    let mut asked = runner.event(
        "push",
        &json!({"before": runner.head()}),
        &["build", "--push", "--project", "tool", "--needs", OPEN],
    );
    run(&mut asked).exits(0).prints("1 image built");
    assert_eq!(registry.tags("tool").len(), 2);
}

#[test]
fn a_failing_image_hides_none_of_the_others() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    runner.write("services/app/Dockerfile", "FROM ghdeploy-test/busybox:1\nRUN echo out of luck; false\n");
    runner.commit();
    build(&runner, &["--needs", OPEN]).exits(1).prints("error: the image of app web.site was not built");
    assert_eq!((registry.tags("ann/app").len(), registry.tags("tool").len()), (0, 2));
    let images: Value = serde_json::from_str(&runner.output("images")).unwrap();
    assert_eq!((&images[0]["result"], &images[1]["result"]), (&json!("failed"), &json!("built")));
    assert_eq!(runner.output("projects"), r#"["tool"]"#);
}

#[test]
fn nothing_is_built_behind_a_closed_gate_or_with_the_verdict_of_another_commit() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    let none = |why: &str| {
        assert!(registry.tags("ann/app").is_empty() && registry.tags("tool").is_empty(), "{why}");
    };
    build(&runner, &["--needs", CLOSED]).exits(3).prints("`test` failure");
    none("the gate is closed");
    build(&runner, &[]).exits(3).prints("nothing is required");
    none("nothing is required");
    runner.gate(&["--needs", OPEN]).exits(0).prints("gate open");
    let verdict = runner.output("verdict");
    let stale = std::fs::read_to_string(&verdict).unwrap();
    runner.write("services/app/page", "two");
    runner.commit();
    build(&runner, &["--verdict", &verdict]).exits(3).prints("gate closed");
    none("the verdict is of another commit");
    // A closed verdict that claims to be open counts for nothing.
    runner.gate(&["--needs", CLOSED]).exits(3).prints("gate closed");
    let closed = std::fs::read_to_string(runner.output("verdict")).unwrap();
    std::fs::write(&verdict, closed.replace("\"closed\"", "\"open\"")).unwrap();
    build(&runner, &["--verdict", &verdict]).exits(3).prints("gate closed");
    none("the verdict was closed");
    for text in ["", "{}", &stale[..stale.len() / 2]] {
        std::fs::write(&verdict, text).unwrap();
        build(&runner, &["--verdict", &verdict]).exits(2).prints("is not a verdict");
        none("the verdict is none");
    }
    // The verdict of this very commit counts.
    runner.gate(&["--needs", OPEN]).exits(0).prints("gate open");
    build(&runner, &["--verdict", &runner.output("verdict")]).exits(0).prints("2 images built");
    assert_eq!(registry.tags("ann/app").len(), 3);
}

#[test]
fn files_that_differ_from_the_tested_commit_are_not_built() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    runner.write("services/app/page", "edited after the tests");
    build(&runner, &["--needs", OPEN]).exits(3).prints("`services/app/page` differs from the commit");
    assert_eq!((registry.tags("ann/app").len(), registry.tags("tool").len()), (0, 0));
    runner.git(&["checkout", "-q", "--", "services"]);
    build(&runner, &["--needs", OPEN]).exits(0).prints("2 images built");
}

#[test]
fn a_project_whose_tests_failed_is_left_out_and_the_others_are_built() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    runner.put(&[("test (app)", "failure"), ("test (tool)", "success")]);
    build(&runner, &["--check", "test ({project})", "--timeout", "1s"])
        .exits(3)
        .prints("1 image built; 1 image not started");
    assert_eq!((registry.tags("ann/app").len(), registry.tags("tool").len()), (0, 2));
}

#[test]
fn an_image_may_be_loaded_instead_and_caches_and_platforms_are_passed_on() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    let mut command = runner.event(
        "workflow_dispatch",
        &json!({}),
        &["build", "--load", "--needs", OPEN, "--platform", "linux/amd64,linux/arm64"],
    );
    command.env("HOME", std::env::var_os("HOME").unwrap_or_default());
    // The engine's own builder cannot build two platforms, and its message is shown.
    run(&mut command).exits(1).prints("manifest lists");
    let mut command = runner.event(
        "workflow_dispatch",
        &json!({}),
        &["build", "--load", "--project", "tool", "--needs", OPEN],
    );
    command.env("HOME", std::env::var_os("HOME").unwrap_or_default());
    run(&mut command).exits(0).prints("1 image built");
    assert!(registry.tags("tool").is_empty());
    runner.gate(&["--needs", OPEN]).exits(0).prints("gate open");
    let mut both =
        runner.event("workflow_dispatch", &json!({}), &["build", "--load", "--push", "--needs", OPEN]);
    both.env("HOME", "/nowhere");
    run(&mut both).exits(2).prints("--push and --load exclude each other");
}

impl Runner {
    /// Names the newest commit of the default branch, as GitHub knows it.
    fn newest(&self, commit: &str) {
        self.github.state().branches.insert("main".to_owned(), commit.to_owned());
    }
}

/// Builds `app` in a run of this event and attempt.
fn build_app(runner: &Runner, event: &str, payload: &Value, attempt: &str, args: &[&str]) -> Output {
    let args = [&["build", "--push", "--project", "app", "--needs", OPEN], args].concat();
    let mut command = runner.event(event, payload, &args);
    command.env("HOME", std::env::var_os("HOME").unwrap_or_default());
    run(command.env("GITHUB_RUN_ATTEMPT", attempt).env("GITHUB_REF", "refs/heads/main"))
}

/// A push to a ref of a repository whose default branch is `main`.
fn pushed(to: &str) -> Value {
    json!({"ref": to, "repository": {"default_branch": "main"}})
}

#[test]
fn shared_tags_move_only_to_the_newest_commit_of_the_default_branch() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    let shows = |tag: &str| registry.label("ann/app", tag, "org.opencontainers.image.revision");
    let main = pushed("refs/heads/main");
    let first = runner.head();
    runner.newest(&first);
    build_app(&runner, "push", &main, "1", &[]).exits(0).never_prints("not moved");
    assert_eq!((shows("latest"), shows("main")), (first.clone(), first.clone()));
    runner.write("services/app/page", "two");
    runner.commit();
    let second = runner.head();
    runner.newest(&second);
    build_app(&runner, "push", &main, "1", &[]).exits(0).prints("1 image built");
    let (latest, own) = (registry.digest("ann/app", "latest"), format!("sha-{}", &second[..12]));
    assert_eq!((shows("latest"), &registry.digest("ann/app", &own)), (second.clone(), &latest));
    let stays = |why: &str| assert_eq!(registry.digest("ann/app", "main"), latest, "{why}");
    // A run for an older commit, be it a re-run or a late one.
    runner.git(&["checkout", "-q", &first]);
    for attempt in ["1", "2"] {
        build_app(&runner, "push", &main, attempt, &[])
            .exits(0)
            .prints(&format!("`main` has moved on to {}, whose image differs", &second[..10]));
        stays("it is older");
    }
    let images: Value = serde_json::from_str(&runner.output("images")).unwrap();
    assert_eq!(images[0]["tags"].as_array().unwrap().len(), 1, "{images}");
    assert_eq!(images[0]["unmoved"].as_array().unwrap().len(), 2, "{images}");
    let matrix: Value = serde_json::from_str(&runner.output("matrix")).unwrap();
    assert_eq!(matrix["include"][0]["tags"], images[0]["tags"][0]);
    let summary = std::fs::read_to_string(runner.beside("summary")).unwrap();
    assert!(summary.contains("ann/app:latest` was not moved: "), "{summary}");
    // Pull requests, other branches, tags and merge queues.
    runner.git(&["checkout", "-q", "-b", "topic", &second]);
    runner.write("services/app/page", "three");
    runner.commit();
    let head = runner.head();
    let pull = json!({"pull_request": {"number": 7, "base": {"sha": second, "repo": {"id": 1}}, "head": {"sha": head, "repo": {"id": 1}}}});
    let queue = json!({"merge_group": {"base_sha": second, "head_sha": head}});
    for (event, payload, why) in [
        ("pull_request", pull, "this is pull request #7; only commits of"),
        ("push", pushed("refs/heads/topic"), "this is the branch `topic`; only commits of `main` move it"),
        ("push", pushed("refs/tags/v1"), "this is the tag `v1`; only commits of `main` move it"),
        ("merge_group", queue, "this is a run of a merge queue"),
        ("workflow_dispatch", json!({}), "has moved on to"),
    ] {
        build_app(&runner, event, &payload, "1", &[]).exits(0).prints(why);
        assert_eq!(shows(&format!("sha-{}", &head[..12])), head);
        stays(why);
    }
    // On purpose.
    build_app(&runner, "push", &pushed("refs/tags/v1"), "1", &["--allow-older"]).exits(0);
    assert_eq!((shows("latest"), shows("main")), (head.clone(), head));
}

#[test]
fn a_late_run_moves_shared_tags_if_no_newer_commit_has_changed_its_image() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    let late = runner.head();
    runner.write("services/tool/other", "x");
    runner.commit();
    runner.newest(&runner.head());
    runner.git(&["checkout", "-q", &late]);
    build_app(&runner, "push", &pushed("refs/heads/main"), "2", &[]).exits(0).never_prints("not moved");
    assert_eq!(registry.tags("ann/app").len(), 3);
    // Otherwise its image would be in no tag: the run of the newer commit does not build it.
}

#[test]
fn a_push_that_github_does_not_know_of_yet_moves_shared_tags_and_a_reset_branch_does_not() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    let before = runner.head();
    runner.newest(&before);
    runner.write("services/app/page", "two");
    runner.commit();
    let push = json!({"ref": "refs/heads/main", "before": before, "after": runner.head(),
        "repository": {"default_branch": "main"}});
    build_app(&runner, "push", &push, "2", &[]).exits(0).prints("`main` has moved on to");
    assert_eq!(registry.tags("ann/app").len(), 1);
    build_app(&runner, "push", &push, "1", &[]).exits(0).never_prints("not moved");
    assert_eq!(registry.tags("ann/app").len(), 3);
}

#[test]
fn without_an_answer_of_github_the_registry_shows_whether_a_commit_is_older() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    let main = pushed("refs/heads/main");
    let shows = || registry.label("ann/app", "latest", "org.opencontainers.image.revision");
    let first = runner.head();
    runner.write("services/app/page", "two");
    runner.commit();
    let second = runner.head();
    build_app(&runner, "push", &main, "2", &[]).exits(0).never_prints("not moved");
    assert_eq!(shows(), second);
    // As actions/checkout leaves it in a re-run: the branch is where that old workflow saw it.
    runner.git(&["checkout", "-q", "-B", "main", &first]);
    build_app(&runner, "push", &main, "2", &[])
        .exits(0)
        .prints(&format!("it shows {}, which is newer", &second[..10]));
    build_app(&runner, "push", &main, "1", &[]).exits(0).prints("which is newer");
    assert_eq!(shows(), second);
    // A commit that this clone does not have may be newer.
    let other = with_registry(&registry);
    other.write("services/app/page", "elsewhere");
    other.git(&["add", "-A"]);
    other.git(&["commit", "-q", "--amend", "-m", "another history"]);
    build_app(&other, "push", &main, "1", &[])
        .exits(0)
        .prints("which may be newer: this clone does not have it");
    assert_eq!(shows(), second);
}

#[test]
fn a_blocked_project_is_never_a_silent_success() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    runner.write("services/bad/compose.yml", "services:\n  web: {build: {context: ../../../src}}\n");
    runner.commit();
    let why = "a relative path leads above the folder that holds the projects";
    runner.gate(&["--needs", OPEN, "--project", "bad"]).exits(2).prints(why).prints("1 project blocked");
    assert_eq!(
        (runner.output("result"), runner.output("gate"), runner.output("matrix")),
        ("blocked".to_owned(), "open".to_owned(), r#"{"include":[]}"#.to_owned())
    );
    build(&runner, &["--needs", OPEN, "--project", "bad"])
        .exits(2)
        .prints(why)
        .prints("services/bad/compose.yml,line=2")
        .never_prints("no image needs to be built");
    // It hides none of the others.
    build(&runner, &["--needs", OPEN]).exits(2).prints(why).prints("2 images built; 1 project blocked");
    assert_eq!(
        (runner.output("result"), runner.output("projects")),
        ("blocked".to_owned(), r#"["app","tool"]"#.to_owned())
    );
    let summary = std::fs::read_to_string(runner.beside("summary")).unwrap();
    assert!(summary.contains("`bad` **blocked**"), "{summary}");
    runner.gate(&["--needs", CLOSED]).exits(3).prints(why);
}

#[test]
fn contexts_and_dockerfiles_outside_of_the_folder_are_built() {
    let registry = Registry::start();
    let runner = with_registry(&registry);
    runner.write("services/lib/Other", "FROM ghdeploy-test/busybox:1\nCOPY f /f\n");
    runner.write("services/lib/f", "x");
    let build_of =
        |of: &str| format!("services:\n  web: {{build: {of}, image: '{}/x:1'}}\n", registry.address());
    for of in ["{context: ../lib, dockerfile: Other}", "{context: ../lib, dockerfile: ../lib/Other}"] {
        runner.write("services/app/compose.yml", build_of(of));
        runner.commit();
        build(&runner, &["--needs", OPEN, "--project", "app"]).exits(0).prints("1 image built");
    }
}

/// A `docker` that answers like a buildx that demands permissions, and keeps its arguments and a variable.
fn recording_docker(runner: &Runner, printed: &Value) -> std::path::PathBuf {
    let bin = runner.beside("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(runner.beside("printed.json"), printed.to_string()).unwrap();
    let top = runner.beside("");
    let script = format!(
        "#!/bin/sh\ncd '{}'\ncase \"$*\" in\n*--help*) echo --allow ;;\n*--print*) cat printed.json ;;\n*bake*) for a; do printf '%s\\n' \"$a\"; done >arguments; printf '%s' \"$ACTIONS_RUNTIME_TOKEN $ACTIONS_CACHE_SERVICE_V2\" >token ;;\n*) exit 1 ;;\nesac\n",
        top.display()
    );
    std::fs::write(bin.join("docker"), script).unwrap();
    std::fs::set_permissions(bin.join("docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

#[test]
fn bake_is_allowed_exactly_what_the_compose_file_names() {
    let runner = Runner::with_images("");
    for file in ["services/lib/f", "key"] {
        runner.write(file, "x");
    }
    let printed = json!({"target": {
        "web": {"context": "../lib", "dockerfile": "../blog/app/Dockerfile", "contexts": {"a": "target:db", "own": "app"},
            "secret": [{"id": "s", "src": "../../key"}], "ssh": [{"id": "default"}],
            "cache-to": [{"type": "local", "dest": "../../cache"}], "entitlements": ["network.host"]},
        "db": {"context": "/usr"},
    }});
    let bin = recording_docker(&runner, &printed);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command =
        runner.event("workflow_dispatch", &json!({}), &["build", "--project", "blog", "--needs", OPEN]);
    run(command.env("PATH", path)).exits(0).prints("1 image built");
    let arguments = std::fs::read_to_string(runner.beside("arguments")).unwrap();
    let mut allowed: Vec<&str> = arguments.lines().filter(|line| line.starts_with("--allow")).collect();
    allowed.sort_unstable();
    let folder = runner.path("services/blog").display().to_string();
    let expected = [
        format!("--allow=fs.read={folder}/../../key"),
        format!("--allow=fs.read={folder}/../lib"),
        "--allow=fs.read=/usr".to_owned(),
        format!("--allow=fs.write={folder}/../../cache"),
        "--allow=network.host".to_owned(),
        "--allow=ssh".to_owned(),
    ];
    assert_eq!(allowed, expected);
    assert!(runner.path("cache").is_dir());
}

#[test]
fn the_cache_on_github_is_used_or_refused_and_never_left_out_silently() {
    let runner = Runner::with_images("");
    let printed = json!({"target": {"web": {"context": "app", "cache-to": [{"type": "gha"}]}}});
    let bin = recording_docker(&runner, &printed);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let build = |args: &[&str], variables: &[(&str, &str)]| {
        let args = [&["build", "--project", "blog", "--needs", OPEN], args].concat();
        let mut command = runner.event("workflow_dispatch", &json!({}), &args);
        command.env("PATH", &path).envs(variables.iter().copied());
        run(&mut command)
    };
    let given = [("ACTIONS_RUNTIME_TOKEN", "hush"), ("ACTIONS_RESULTS_URL", "https://results.example.com/")];
    for option in ["--cache-to", "--cache-from"] {
        build(&[option, "type=gha,mode=max"], &given[..1]).exits(2).prints(&format!(
            "{option} type=gha,mode=max needs ACTIONS_RUNTIME_TOKEN and ACTIONS_RESULTS_URL"
        ));
    }
    assert!(!runner.beside("arguments").exists(), "nothing was built");
    build(&["--cache-to", "type=gha,mode=max"], &given)
        .exits(0)
        .never_prints("hush")
        .never_prints("not used");
    assert_eq!(std::fs::read_to_string(runner.beside("token")).unwrap(), "hush true");
    // A compose file may name it for its own reasons.
    build(&[], &[]).exits(0).prints("the compose files of blog name the cache type=gha, which is not used");
    // Nothing else gets the token.
    std::fs::write(runner.beside("printed.json"), r#"{"target": {"web": {"context": "app"}}}"#).unwrap();
    build(&[], &given).exits(0);
    assert_eq!(std::fs::read_to_string(runner.beside("token")).unwrap(), " ");
}

#[test]
fn an_image_name_with_a_capital_letter_fails_before_docker_is_called() {
    let runner = Runner::with_images("");
    let bin = recording_docker(&runner, &json!({}));
    runner
        .write("services/blog/compose.yml", "services:\n  web: {build: app, image: 'ghcr.io/Ann/blog:1'}\n");
    runner.commit();
    let mut command =
        runner.event("workflow_dispatch", &json!({}), &["build", "--project", "blog", "--needs", OPEN]);
    run(command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())))
        .exits(1)
        .prints("`ghcr.io/Ann/blog` has a capital letter");
    assert!(!runner.beside("arguments").exists());
}
