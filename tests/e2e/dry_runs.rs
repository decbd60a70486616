//! Dry runs: they find what the run itself would, in its words, and change nothing.

use std::process::Command;

use serde_json::Value;

use crate::bed::{Bed, privileged, stdout_of};
use crate::support::program::Output;
use crate::support::wait;
use crate::users::User;

/// The problems of each project: message and place.
fn problems(run: &Output) -> Vec<(String, Vec<(Value, Value)>)> {
    let json = run.json();
    let projects = json["hosts"][0]["projects"].as_array().unwrap().clone();
    let of = |project: &Value| {
        let all = project["problems"].as_array().cloned().unwrap_or_default();
        let all = all.iter().map(|problem| (problem["message"].clone(), problem["at"].clone()));
        (project["name"].as_str().unwrap().to_owned(), all.collect())
    };
    projects.iter().map(of).collect()
}

#[test]
fn a_dry_run_finds_what_the_run_itself_would() {
    let bed = Bed::new("dryrun");
    let id = &bed.id;
    bed.compose("fine", "services:\n  web: {<<: *s}");
    bed.compose("key", "services:\n  web: {<<: *s, imagee: x}");
    bed.compose("value", "services:\n  web: {<<: *s, mem_limit: lots}");
    bed.compose("mount", &format!("services:\n  web: {{<<: *s, volumes: ['/opt/{id}/x.conf:/x']}}"));
    bed.compose("network", &format!("services:\n  web: {{<<: *s, networks: [n]}}\nnetworks: {{n: {{external: true, name: {id}-none}}}}"));
    bed.compose("unset", "services:\n  web: {<<: *s, environment: {A: '${NOBODY_SETS_THIS}'}}");
    bed.compose("image", "services:\n  web: {<<: *s, image: '127.0.0.1:1/nobody/nothing:1'}");
    bed.compose(
        "never",
        "services:\n  web: {<<: *s, image: '127.0.0.1:1/nobody/none:1', pull_policy: never}",
    );
    bed.compose("held", &format!("services:\n  web: {{<<: *s, container_name: {id}-other}}"));
    bed.compose("shared", "services:\n  web: {<<: *s, env_file: ../one.env}");
    bed.compose(
        "sharedtoo",
        "services:\n  web: {<<: *s, env_file: ../one.env, environment: {A: '${NOBODY_SETS_THAT}'}}",
    );
    bed.write("services/one.env", "A=1");
    bed.guard("conflict/site.conf", "host");
    bed.compose("conflict", "services:\n  web: {<<: *s}");
    bed.write("services/conflict/site.conf", "repository");
    bed.commit();
    let other = format!("{id}-other");
    stdout_of(Command::new("docker").args([
        "run",
        "-d",
        "--rm",
        "--name",
        &other,
        "ghdeploy-test/busybox:1",
        "sleep",
        "600",
    ]));
    let (host, root) = (format!("local:{}", bed.path("root").display()), bed.listing("root"));
    let dry = bed.call(["sync", "--dry-run", "--format", "json"]).host(host.clone()).run();
    assert_eq!(bed.listing("root"), root, "a dry run has changed something");
    // The driver may end after its client.
    wait::until("the stage of the dry run goes", || std::fs::read_dir(bed.path("tmp")).unwrap().count() == 0);
    let run = bed.call(["sync", "--format", "json"]).host(host.clone()).run();
    stdout_of(Command::new("docker").args(["rm", "-f", &other]));
    let (dry, run) = (dry.exits(5), run.exits(5));
    assert_eq!(problems(&dry), problems(&run));
    for (name, problems) in problems(&run) {
        assert_eq!(problems.is_empty(), name == "fine", "{name}: {problems:?}");
        // It is reported when it happens.
        let line = format!("{name}: failed, nothing was changed: ");
        assert_eq!(
            run.stderr.lines().filter(|shown| shown.starts_with(&line)).count(),
            usize::from(name != "fine"),
            "{}",
            run.all()
        );
    }
    // Over ssh, too.
    let over_ssh = bed.call(["sync", "--dry-run", "--format", "json", "--project", "unset"]).run().exits(5);
    let unset = problems(&over_ssh).into_iter().find(|(name, _)| name == "unset").unwrap();
    assert_eq!(unset.1[0].0, "variable NOBODY_SETS_THIS is not set on the host");
}

#[test]
fn the_actions_of_a_dry_run_are_those_of_the_run() {
    let bed = Bed::new("dryacts");
    for project in ["app", "old"] {
        bed.compose(project, "services:\n  web: {<<: *s}\n  worker: {<<: *s}");
    }
    bed.sync([]).exits(0);
    std::fs::remove_dir_all(bed.repo("services/old")).unwrap();
    bed.compose("app", "services:\n  web: {<<: *s, environment: {A: '2'}}\n  worker: {<<: *s}");
    bed.commit();
    let actions = |run: &Output| {
        let json = run.json();
        let projects = json["hosts"][0]["projects"].as_array().unwrap().clone();
        let of = |project: &Value| {
            let kinds = project["actions"].as_array().unwrap().iter();
            let kinds: Vec<_> =
                kinds.map(|action| (action["kind"].clone(), action["service"].clone())).collect();
            (project["name"].clone(), kinds)
        };
        projects.iter().map(of).collect::<Vec<_>>()
    };
    for options in [["--no-restart", "--prune"], ["--force", "--prune"]] {
        let [one, two] = options;
        let dry =
            bed.call(["sync", "--dry-run", "--exit-code", "--format", "json", one, two]).run().exits(10);
        let run = bed.call(["sync", "--format", "json", one, two]).run().exits(0);
        assert_eq!(actions(&dry), actions(&run), "{options:?}");
        if one == "--no-restart" {
            // What it has left is still owed.
            bed.call(["sync", "--dry-run", "--exit-code", one])
                .run()
                .exits(10)
                .prints("stay owed to the next sync");
        }
    }
}

#[test]
fn a_root_that_the_user_may_not_write_fails_a_dry_run_like_the_run() {
    let bed = Bed::new("dryroot");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.commit();
    let user = User::new(&bed, "dryroot", "/bin/sh", false);
    stdout_of(privileged(["install", "-d", "-o", "root", "-m", "755"]).arg(bed.root("")));
    let said = |args: [&str; 2]| {
        let run = bed.call([]).args(args).user(&user.name).run().exits(4);
        run.stderr
            .lines()
            .filter(|line| line.starts_with("error: ") || line.starts_with("help: "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (dry, run) = (said(["sync", "--dry-run"]), said(["sync", "-v"]));
    assert_eq!(dry, run);
    let root = bed.path("root").display().to_string();
    assert_eq!(
        dry,
        [
            format!("error: the user {} may not write below {root}: {root}: Permission denied", user.name),
            format!(
                "help: it belongs to root: on the host, as root: install -d -o {} {root}; or choose another --root",
                user.name
            ),
        ]
    );
    bed.call(["doctor"])
        .user(&user.name)
        .run()
        .exits(4)
        .prints(&format!("install -d -o {} {root}", user.name))
        .prints(&format!("usermod -aG docker {}", user.name));
    // A run as root leaves records that the user cannot write.
    stdout_of(privileged(["chown", &user.name]).arg(bed.root("")));
    bed.call(["sync", "--no-restart"]).run().exits(0);
    bed.call(["sync", "--no-restart"])
        .user(&user.name)
        .run()
        .exits(4)
        .prints(&format!("chown -R {} {root}/.ghdeploy", user.name));
}
