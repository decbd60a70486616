//! A root belongs to one repository.

use std::process::Command;

use crate::bed::{Bed, stdout_of};
use crate::support::repo::Repo;

/// Another repository with one project, beside that of the bed.
fn other(bed: &Bed, folder: &str, project: &str) -> Repo {
    let repo = Repo::at(bed.path(folder));
    repo.write("ghdeploy.yml", crate::bed::HEALTH);
    repo.write(
        format!("services/{project}/compose.yml"),
        format!(
            "name: {}-{project}\nservices: {{web: {{image: 'ghdeploy-test/busybox:1', command: sleep 100000, stop_signal: SIGKILL, network_mode: none}}}}\n",
            bed.id
        ),
    );
    repo.commit();
    repo
}

/// The bed's repository and root, and the arguments for another repository in the same root.
fn deployed(bed: &Bed) {
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.sync([]).exits(0);
}

#[test]
fn another_repository_stops_before_anything_is_changed() {
    let bed = Bed::new("owner");
    deployed(&bed);
    let _blog = other(&bed, "blog", "blog");
    let on_host = || {
        let records = ["state.json", "manifest/app", "history.jsonl"];
        let records = records.map(|name| bed.on_host(&format!(".ghdeploy/{name}")));
        (bed.containers(), bed.listing("root/app"), records)
    };
    let before = on_host();
    let dir = bed.path("blog").display().to_string();
    for options in [&["--dry-run"][..], &[], &["--prune"]] {
        let mut call = bed.call(["sync", "-C", &dir]);
        for option in options {
            call = call.args([option]);
        }
        call.run().exits(2).prints("belongs to another repository").prints("--new-repository");
    }
    assert_eq!(on_host(), before);
    assert!(!bed.root("blog").exists());
    bed.call(["status"]).run().exits(0).prints("from the repository whose first commit is");
    // Handed over on purpose, it belongs to the other one, and the first one stops.
    bed.call(["sync", "-C", &dir, "--new-repository"])
        .run()
        .exits(0)
        .prints("is no longer in the repository");
    bed.call(["sync", "-C", &dir]).run().exits(0);
    bed.call(["sync", "--prune"]).run().exits(2).prints("belongs to another repository");
    assert_eq!(bed.containers().len(), 2);
}

#[test]
fn a_fork_deploys_with_a_note_but_takes_nothing_down() {
    let bed = Bed::new("fork");
    bed.compose("app", "services:\n  web: {<<: *s}").compose("old", "services:\n  web: {<<: *s}");
    bed.commit();
    bed.git(&["remote", "add", "origin", "https://example.org/ann/side.git"]);
    bed.call(["sync"]).run().exits(0);
    bed.call(["status"]).run().prints("from ann/side");
    let fork = bed.path("fork");
    stdout_of(Command::new("git").args(["clone", "-q"]).arg(bed.path("repo")).arg(&fork));
    let git = |argv: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        stdout_of(Command::new("git").arg("-C").arg(&fork).args(identity).args(argv));
    };
    git(&["remote", "set-url", "origin", "git@example.org:bob/side.git"]);
    git(&["rm", "-rq", "services/old"]);
    git(&["commit", "-qm", "less"]);
    let dir = fork.display().to_string();
    let note = "was deployed from ann/side, and this is bob/side";
    bed.call(["sync", "-C", &dir, "--prune"])
        .run()
        .exits(2)
        .prints("--prune would take down old")
        .prints(note.trim_start_matches("was "));
    bed.call(["sync", "-C", &dir]).run().exits(0).prints(note);
    assert_eq!(bed.containers().len(), 2);
    // The same repository under its new name, once that is said.
    bed.call(["sync", "-C", &dir, "--new-repository", "--prune"]).run().exits(0).never_prints(note);
    assert_eq!(bed.containers().len(), 1);
}

#[test]
fn a_shallow_clone_and_a_renamed_remote_are_the_same_repository() {
    let bed = Bed::new("sameowner");
    deployed(&bed);
    bed.git(&["remote", "add", "origin", "https://example.org/ann/side.git"]);
    // The name is learnt from the history that both have.
    bed.call(["sync"]).run().exits(0);
    let shallow = bed.path("shallow");
    let from = format!("file://{}", bed.path("repo").display());
    stdout_of(Command::new("git").args(["clone", "-q", "--depth", "1", &from]).arg(&shallow));
    let set = ["remote", "set-url", "origin", "git@alias:Ann/Side.git"];
    stdout_of(Command::new("git").arg("-C").arg(&shallow).args(set));
    let dir = shallow.display().to_string();
    bed.call(["sync", "-C", &dir, "--prune"]).run().exits(0).never_prints("repository that");
    bed.git(&["remote", "set-url", "origin", "https://example.org/ann/services.git"]);
    bed.call(["sync"]).run().exits(0).prints("a new name of it");
}
