//! Commits that are older than the deployed one or of another history, and clones that cannot tell.

use crate::bed::Bed;
use crate::support::program::Output;

/// A bed with these versions committed one second apart, and the ids of the commits.
fn history(test: &str, versions: &[&str]) -> (Bed, Vec<String>) {
    let bed = Bed::new(test);
    let commits =
        versions.iter().enumerate().map(|(number, version)| commit(&bed, number, version)).collect();
    (bed, commits)
}

fn commit(bed: &Bed, second: usize, version: &str) -> String {
    bed.compose("app", &format!("services:\n  web: {{<<: *s, environment: {{V: {version}}}}}"));
    bed.git(&["add", "-A"]);
    let date = format!("@{} +0000", 1_700_000_000 + second);
    let message = format!("--date={date}");
    bed.git_at(&date, &["commit", "-q", "--allow-empty", "-m", version, &message]);
    bed.git(&["rev-parse", "HEAD"]).trim().to_owned()
}

fn sync(bed: &Bed, options: &[&str]) -> Output {
    options.iter().fold(bed.call(["sync", "--no-restart"]), |call, option| call.args([*option])).run()
}

/// Makes the repository a clone of depth one at this commit.
fn shallow(bed: &Bed, full: &str, commit: &str) {
    if !bed.path("full").exists() {
        std::fs::rename(bed.path("repo"), bed.path("full")).unwrap();
    } else {
        std::fs::remove_dir_all(bed.path("repo")).unwrap();
    }
    std::fs::create_dir(bed.path("repo")).unwrap();
    bed.git(&["init", "-q"]);
    let url = format!("file://{}", bed.path(full).display());
    bed.git(&["-c", "protocol.file.allow=always", "fetch", "-q", "--depth=1", &url, commit]);
    bed.git(&["checkout", "-q", "FETCH_HEAD"]);
}

#[test]
fn an_ancestor_is_refused_without_allow_older() {
    let (bed, commits) = history("ancestor", &["one", "two", "three"]);
    sync(&bed, &[]).exits(0);
    bed.git(&["checkout", "-q", &commits[0]]);
    for options in [&[][..], &["--dry-run"]] {
        sync(&bed, options)
            .exits(2)
            .prints("is older than")
            .prints("--allow-older")
            .ends_with("nothing was changed");
    }
    assert!(bed.on_host("app/compose.yml").contains("V: three"));
    sync(&bed, &["--allow-older"]).exits(0);
    assert!(bed.on_host("app/compose.yml").contains("V: one"));
    // The newest commit stays the newest: a re-run of the middle one is still older.
    bed.git(&["checkout", "-q", &commits[1]]);
    sync(&bed, &[]).exits(2).prints("is older than");
    bed.git(&["checkout", "-q", &commits[2]]);
    sync(&bed, &[]).exits(0).never_prints("warning");
}

#[test]
fn an_unrelated_history_is_noted_and_a_merge_is_not() {
    let (bed, commits) = history("forced", &["one", "two"]);
    sync(&bed, &[]).exits(0);
    bed.git(&["checkout", "-q", "-B", "main", &commits[0]]);
    commit(&bed, 5, "other");
    sync(&bed, &["--dry-run"]).exits(0).prints("was not made from");
    sync(&bed, &[]).exits(0).prints("was not made from").prints("history was rewritten");
    bed.git(&["checkout", "-q", "-b", "side", &commits[1]]);
    commit(&bed, 6, "side");
    bed.git(&["checkout", "-q", "main"]);
    bed.git(&["merge", "-q", "-X", "theirs", "-m", "merge", "side"]);
    sync(&bed, &[]).exits(0).never_prints("warning").never_prints("was not made from");
}

#[test]
fn a_shallow_clone_compares_dates_and_says_what_it_cannot_know() {
    let (bed, commits) = history("shallow", &["one", "two", "three"]);
    shallow(&bed, "full", &commits[1]);
    sync(&bed, &[]).exits(0).never_prints("warning");
    shallow(&bed, "full", &commits[2]);
    sync(&bed, &[]).exits(0).prints("this clone is shallow").prints("fetch-depth: 0");
    shallow(&bed, "full", &commits[0]);
    sync(&bed, &[])
        .exits(2)
        .prints("was made before")
        .prints("this clone is shallow")
        .prints("git fetch --unshallow");
    assert!(bed.on_host("app/compose.yml").contains("V: three"));
    bed.git(&[
        "-c",
        "protocol.file.allow=always",
        "fetch",
        "-q",
        "--unshallow",
        &format!("file://{}", bed.path("full").display()),
    ]);
    sync(&bed, &[]).exits(2).prints("is older than");
    sync(&bed, &["--allow-older"]).exits(0);
    assert!(bed.on_host("app/compose.yml").contains("V: one"));
}

#[test]
fn a_commit_from_before_a_rollback_still_counts_as_older() {
    let (bed, commits) = history("beforeback", &["one", "two", "three"]);
    for commit in [&commits[0], &commits[2]] {
        bed.git(&["checkout", "-q", commit]);
        sync(&bed, &[]).exits(0);
    }
    bed.call(["rollback", "--no-restart"]).run().exits(0);
    bed.git(&["checkout", "-q", &commits[1]]);
    sync(&bed, &[]).exits(2).prints("is older than");
    assert!(bed.on_host("app/compose.yml").contains("V: one"));
}
