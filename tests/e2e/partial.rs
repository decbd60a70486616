//! Checkouts that have less than their commit, or more.

use serde_json::Value;

use crate::bed::Bed;

/// A bed with two committed projects that are deployed.
fn deployed(test: &str) -> Bed {
    let bed = Bed::new(test);
    for project in ["app", "blog"] {
        bed.compose(project, "services:\n  web: {<<: *s, volumes: ['./page:/page:ro']}");
        bed.write(&format!("services/{project}/page"), "one");
    }
    bed.commit();
    bed.sync([]).exits(0);
    bed
}

#[test]
fn a_sparse_checkout_takes_no_project_down() {
    let bed = deployed("sparse");
    bed.git(&["sparse-checkout", "set", "--cone", "services/app"]);
    bed.write("services/app/page", "two").git(&["commit", "-q", "-a", "-m", "two"]);
    let before = bed.containers();
    let output = bed.sync(["--prune"]).exits(5);
    assert!(output.contains("are in the commit and not in the sparse checkout"), "{}", output.all());
    assert!(!output.contains("no longer in the repository"), "{}", output.all());
    assert_eq!((bed.on_host("app/page"), bed.on_host("blog/page")), ("two".to_owned(), "one".to_owned()));
    let ids = |containers: &crate::bed::observe::Containers| format!("{:?}", containers.get("blog/web"));
    assert_eq!(ids(&bed.containers()), ids(&before));
    // What is not selected is not missed.
    bed.sync(["--prune", "--project", "app"]).exits(0);
    bed.call(["check"]).without_host().run().exits(2).prints("not in the sparse checkout");
    bed.git(&["sparse-checkout", "disable"]);
    bed.sync(["--prune"]).exits(0).prints("nothing to do");
}

#[test]
fn files_that_differ_from_the_commit_are_told_everywhere() {
    let bed = deployed("dirty");
    let commit = bed.git(&["rev-parse", "HEAD"]);
    let label = format!("{}+changes", &commit[..10]);
    bed.write("services/app/page", "edited");
    let output = bed.call(["sync", "--require-clean"]).run().exits(2);
    let words =
        format!("`services/app/page` differs from commit {}, and --require-clean is given", &commit[..10]);
    assert!(output.contains(&words), "{}", output.all());
    let plan = bed.call(["--format", "json", "sync", "--dry-run"]).run().exits(0).json();
    assert_eq!((&plan["commit"], &plan["dirty"]), (&Value::from(commit.as_str()), &Value::from(true)));
    let output = bed.call(["sync"]).run().exits(0);
    assert!(
        output.contains(&format!("`services/app/page` differs from commit {}", &commit[..10])),
        "{}",
        output.all()
    );
    assert!(output.contains(&format!("release 2, commit {label}")), "{}", output.all());
    for command in ["history", "status"] {
        bed.call([command]).run().exits(0).prints(&format!("commit {label}"));
    }
    let state: Value = serde_json::from_str(&bed.on_host(".ghdeploy/state.json")).unwrap();
    assert_eq!(state["commit"], format!("{commit}+changes"));
    assert_eq!(state["newest"]["commit"], commit);
    bed.git(&["checkout", "-q", "--", "services"]);
    let clean = bed.call(["--format", "json", "sync", "--require-clean"]).run().exits(0).json();
    assert_eq!(clean["dirty"], false);
    let state: Value = serde_json::from_str(&bed.on_host(".ghdeploy/state.json")).unwrap();
    assert_eq!(state["commit"], commit);
    // A rollback to that release says so as well.
    let back = bed.call(["--format", "json", "rollback", "--to", "2"]).run().exits(0).json();
    assert_eq!((&back["commit"], &back["dirty"]), (&Value::from(commit.as_str()), &Value::from(true)));
}
