//! The base of a plan in a workflow run, in clones like those of actions/checkout.

use serde_json::{Value, json};

use crate::support::program;
use crate::support::repo::Repo;

const ZEROS: &str = "0000000000000000000000000000000000000000";

/// A repository on a server, beside a runner's clone of it.
struct Origin {
    dir: tempfile::TempDir,
    repo: Repo,
}

impl Origin {
    /// Two commits on main, the second of which changes `blog`, and a branch from the first that changes
    /// `shop`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo::at(dir.path().join("origin"));
        repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        for project in ["blog", "shop", "wiki"] {
            repo.write(format!("services/{project}/compose.yml"), "services:\n  web: {image: 'a:1'}\n");
        }
        repo.commit();
        repo.git(&["checkout", "-q", "-b", "topic"]);
        repo.write("services/shop/compose.yml", "services:\n  web: {image: 'a:2'}\n").commit();
        repo.git(&["checkout", "-q", "main"]);
        repo.write("services/blog/compose.yml", "services:\n  web: {image: 'a:2'}\n").commit();
        Self { dir, repo }
    }

    fn sha(&self, revision: &str) -> String {
        self.repo.sha(revision)
    }

    /// GitHub's test merge of the topic, as `refs/pull/7/merge`.
    fn merge(&self) -> String {
        self.repo.git(&["checkout", "-q", "--detach", "main"]);
        self.repo.git(&["merge", "-q", "--no-ff", "-m", "merge", "topic"]);
        self.repo.git(&["update-ref", "refs/pull/7/merge", "HEAD"]);
        self.repo.git(&["checkout", "-q", "main"]);
        self.sha("refs/pull/7/merge")
    }

    /// A clone of one commit, like that of actions/checkout. Depth 0 is the whole history.
    fn checkout(&self, commit: &str, depth: u32) -> Checkout<'_> {
        let dir = self.dir.path().join("checkout");
        let _ = std::fs::remove_dir_all(&dir);
        let repo = Repo::at(dir);
        repo.git(&["remote", "add", "origin", &format!("file://{}", self.repo.top().display())]);
        let depth = format!("--depth={depth}");
        let all = [
            "fetch",
            "-q",
            "--no-tags",
            "origin",
            "+refs/heads/*:refs/remotes/origin/*",
            "+refs/pull/*:refs/remotes/pull/*",
        ];
        if depth == "--depth=0" {
            repo.git(&all);
        } else {
            repo.git(&["fetch", "-q", "--no-tags", &depth, "origin", commit]);
        }
        repo.git(&["checkout", "-q", "--detach", commit]);
        Checkout { origin: self, repo }
    }
}

struct Checkout<'a> {
    origin: &'a Origin,
    repo: Repo,
}

impl Checkout<'_> {
    /// `ghdeploy plan` in a run for this event: the exit code, the changed projects, and the messages.
    fn plan(&self, event: &str, payload: &Value) -> (Option<i32>, String, String) {
        let home = self.origin.dir.path();
        let path = home.join("event.json");
        std::fs::write(&path, payload.to_string()).unwrap();
        let mut command = program::ghdeploy(self.repo.top(), home);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", event).env("GITHUB_EVENT_PATH", path);
        command
            .env("GITHUB_TOKEN", "hunter2-token")
            .env("GIT_ALLOW_PROTOCOL", "file")
            .env("RUNNER_TEMP", home);
        let output = program::run(command.args(["plan", "--format", "json"])).never_prints("hunter2");
        let plan: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        let mut changed = Vec::new();
        for project in plan["hosts"][0]["projects"].as_array().into_iter().flatten() {
            if project["change"] != "unchanged" {
                changed.push(project["name"].as_str().unwrap().to_owned());
            }
        }
        let notes = plan["hosts"][0]["notes"].as_array().into_iter().flatten();
        let notes: Vec<_> = notes.map(|note| format!("{} {}", note["message"], note["help"])).collect();
        (output.code, changed.join(" "), notes.join("\n") + &output.stderr)
    }

    /// Asserts which projects change, without any note.
    #[track_caller]
    fn changes(&self, event: &str, payload: &Value, projects: &str) {
        let (code, changed, output) = self.plan(event, payload);
        assert_eq!((code, &*changed, &*output), (Some(0), projects, ""));
    }

    /// Asserts that everything counts as changed, and the reason.
    #[track_caller]
    fn is_unknown(&self, event: &str, payload: &Value, words: &str) {
        let (code, changed, output) = self.plan(event, payload);
        assert_eq!((code, &*changed), (Some(0), "blog shop wiki"), "{output}");
        assert!(output.contains(words) && output.contains("so everything counts as added"), "{output}");
    }
}

fn pull(base: &str, head: &str) -> Value {
    json!({"pull_request": {"number": 7, "base": {"sha": base, "repo": {"id": 1}}, "head": {"sha": head, "repo": {"id": 2}}}})
}

#[test]
fn a_push_compares_with_the_commit_before_it_even_in_a_clone_of_depth_1() {
    let origin = Origin::new();
    let (first, second) = (origin.sha("main~1"), origin.sha("main"));
    for depth in [0, 1] {
        let here = origin.checkout(&second, depth);
        here.changes("push", &json!({"before": first, "after": second}), "blog");
        here.is_unknown(
            "push",
            &json!({"before": ZEROS, "after": second}),
            "first push of a branch, or a tag",
        );
    }
}

#[test]
fn a_force_push_compares_with_the_replaced_commit_while_the_server_has_it() {
    let origin = Origin::new();
    let topic = origin.sha("topic");
    let here = origin.checkout(&origin.sha("main"), 1);
    here.changes("push", &json!({"before": topic}), "blog shop");
    let gone = "1234567890123456789012345678901234567890";
    let here = origin.checkout(&origin.sha("main"), 1);
    here.is_unknown(
        "push",
        &json!({"before": gone}),
        "a force push has removed it from the branch, and a deeper clone does not have it either: pass --base",
    );
}

#[test]
fn a_pull_request_shows_only_what_its_merge_would_change() {
    let origin = Origin::new();
    let (base, topic, merge) = (origin.sha("main"), origin.sha("topic"), origin.merge());
    for depth in [0, 1, 2] {
        origin.checkout(&merge, depth).changes("pull_request", &pull(&base, &topic), "shop");
        // If the branch itself is checked out, the base is where it left main.
        origin.checkout(&topic, depth).changes("pull_request", &pull(&base, &topic), "shop");
    }
    // main has moved since the event, and the checked-out merge counts.
    let old = origin.sha("main~1");
    origin.checkout(&merge, 1).changes("pull_request", &pull(&old, &topic), "shop");
}

/// The event of a pull request of two commits that was merged as `commit`.
fn merged(base: &str, head: &str, commit: &str) -> Value {
    let mut event = pull(base, head);
    event["action"] = json!("closed");
    event["pull_request"]["merged"] = json!(true);
    event["pull_request"]["commits"] = json!(2);
    event["pull_request"]["merge_commit_sha"] = json!(commit);
    event
}

#[test]
fn a_merged_pull_request_compares_with_the_branch_before_the_merge() {
    let origin = Origin::new();
    let repo = &origin.repo;
    let (base, onto) = (origin.sha("main~1"), origin.sha("main"));
    repo.git(&["checkout", "-q", "topic"]);
    repo.write("services/wiki/compose.yml", "services:\n  web: {image: 'a:2'}\n").commit();
    let head = origin.sha("topic");
    repo.git(&["update-ref", "refs/pull/7/head", &head]);
    // Each way to merge leaves the branch at a commit that is neither the pull request nor its test merge.
    let at_main = |how: &[&[&str]]| {
        repo.git(&["checkout", "-q", "--detach", "main"]);
        how.iter().for_each(|args| drop(repo.git(args)));
        let commit = origin.sha("HEAD");
        repo.git(&["update-ref", &format!("refs/heads/kept-{commit}"), &commit]);
        commit
    };
    let squash = at_main(&[&["merge", "-q", "--squash", "topic"], &["commit", "-q", "-m", "two (#7)"]]);
    let rebase = at_main(&[&["cherry-pick", "topic~1", "topic"]]);
    let merge = at_main(&[&["merge", "-q", "--no-ff", "-m", "merge", "topic"]]);
    for commit in [&squash, &rebase, &merge] {
        for depth in [0, 1] {
            let here = origin.checkout(commit, depth);
            for event in ["pull_request", "pull_request_target"] {
                here.changes(event, &merged(&base, &head, commit), "shop wiki");
            }
        }
    }
    // The last of the rebased commits has changed `wiki` alone.
    assert_ne!(origin.sha(&format!("{rebase}~1")), onto);
    // It is not merged, or another commit is checked out.
    let mut open = merged(&base, &head, &squash);
    open["pull_request"]["merged"] = json!(false);
    for event in [open, merged(&base, &head, &merge)] {
        let (code, changed, output) = origin.checkout(&squash, 1).plan("pull_request", &event);
        assert_eq!((code, &*changed), (Some(2), ""));
        assert!(output.contains("neither the pull request nor its merge is checked out"), "{output}");
    }
}

#[test]
fn a_rebase_of_commits_that_are_gone_misses_none_of_them() {
    let origin = Origin::new();
    let repo = &origin.repo;
    repo.git(&["checkout", "-q", "--detach", "main"]);
    repo.write("services/shop/compose.yml", "services:\n  web: {image: 'a:3'}\n").commit();
    repo.write("services/wiki/compose.yml", "services:\n  web: {image: 'a:3'}\n").commit();
    let (commit, gone) = (origin.sha("HEAD"), "1234567890123456789012345678901234567890");
    repo.git(&["branch", "kept"]);
    let here = origin.checkout(&commit, 1);
    here.changes("pull_request", &merged(&origin.sha("main"), gone, &commit), "shop wiki");
}

#[test]
fn a_pull_request_that_is_not_checked_out_is_an_error() {
    let origin = Origin::new();
    let (base, topic) = (origin.sha("main"), origin.sha("topic"));
    let here = origin.checkout(&base, 1);
    let (code, _, output) = here.plan("pull_request_target", &pull(&base, &topic));
    assert_eq!(code, Some(2));
    assert!(output.contains("the target branch is checked out, not the pull request"), "{output}");
    let here = origin.checkout(&origin.sha("main~1"), 1);
    let (code, _, output) = here.plan("pull_request", &pull(&base, &topic));
    assert_eq!(code, Some(2));
    assert!(output.contains("neither the pull request nor its merge"), "{output}");
    let mut closed = pull(&base, &topic);
    closed["pull_request"]["state"] = "closed".into();
    let (code, _, output) = here.plan("pull_request", &closed);
    assert_eq!(code, Some(2));
    assert!(output.contains("the pull request was closed without a merge"), "{output}");
}

#[test]
fn a_pull_request_without_a_reachable_base_counts_everything_as_added() {
    let origin = Origin::new();
    let (base, topic, merge) = (origin.sha("main"), origin.sha("topic"), origin.merge());
    for commit in [&merge, &topic] {
        let here = origin.checkout(commit, 1);
        here.repo.git(&["remote", "set-url", "origin", "file:///nowhere"]);
        here.is_unknown("pull_request", &pull(&base, &topic), "set `fetch-depth: 0` for actions/checkout");
    }
}

#[test]
fn a_merge_queue_compares_with_the_base_of_its_group() {
    let origin = Origin::new();
    let (base, merge) = (origin.sha("main"), origin.merge());
    let here = origin.checkout(&merge, 1);
    here.changes("merge_group", &json!({"merge_group": {"base_sha": base, "head_sha": merge}}), "shop");
}

#[test]
fn an_event_without_a_base_counts_everything_as_added() {
    let origin = Origin::new();
    let here = origin.checkout(&origin.sha("main"), 1);
    here.is_unknown("workflow_dispatch", &json!({"inputs": {}}), "a run by workflow_dispatch");
    here.is_unknown("schedule", &json!({"schedule": "0 4 * * *"}), "a run by schedule");
    here.is_unknown("pull_request", &json!({}), "`pull_request.number` of the event is not a number");
}

#[test]
fn a_shallow_clone_asks_its_origin_which_commit_is_the_newest() {
    let origin = Origin::new();
    let repo = &origin.repo;
    repo.write("services/blog/compose.yml", "services:\n  web: {build: .}\n");
    repo.write("services/blog/Dockerfile", "FROM x\n").commit();
    let first = origin.sha("main");
    repo.write("services/wiki/other", "x").commit();
    let second = origin.sha("main");
    let tags = |commit: &str| {
        let here = origin.checkout(commit, 1);
        let output = origin.dir.path().join("output");
        let _ = std::fs::remove_file(&output);
        let mut command = program::ghdeploy(here.repo.top(), origin.dir.path());
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "schedule");
        command.env("GITHUB_REF", "refs/heads/main").env("GITHUB_RUN_ATTEMPT", "2");
        command.env("GIT_ALLOW_PROTOCOL", "file").env("GITHUB_OUTPUT", &output);
        program::run(command.arg("plan")).exits(0);
        let output = std::fs::read_to_string(output).unwrap();
        let (_, rest) = output.split_once("\"tags\":\"").unwrap();
        rest.split('"').next().unwrap().split(',').count()
    };
    assert_eq!((tags(&first), tags(&second)), (2, 2), "the newest commit has the same image");
    repo.write("services/blog/Dockerfile", "FROM y\n").commit();
    assert_eq!((tags(&second), tags(&origin.sha("main"))), (1, 2));
}
