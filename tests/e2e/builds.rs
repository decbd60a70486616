//! Builds of real images, by real buildx and into a real registry, if the gate is open.

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
