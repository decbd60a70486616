//! The gate: it opens only on proof, whatever GitHub, files and events contain.

use serde_json::{Value, json};

use crate::github::{REPOSITORY, Refusal};
use crate::runner::{Runner, run};
use crate::support::program::{self, Output};

impl Runner {
    /// A repository with two projects that have images.
    pub(crate) fn with_images(config: &str) -> Self {
        let this = Self::new();
        this.write("ghdeploy.yml", config);
        for project in ["blog", "shop"] {
            this.write(
                format!("services/{project}/compose.yml"),
                "services:\n  web: {build: {context: app, target: final}}\n  db: {image: 'a:1'}\n",
            );
            this.write(format!("services/{project}/app/Dockerfile"), "FROM x AS final\n");
        }
        this.write(".gitignore", "*.xml\n");
        this.commit();
        this
    }

    /// A check run of the newest commit.
    fn check(&self, name: &str, conclusion: &str) -> Value {
        check_run(&self.head(), name, conclusion)
    }

    pub(crate) fn put(&self, checks: &[(&str, &str)]) {
        let checks: Vec<Value> =
            checks.iter().map(|(name, conclusion)| self.check(name, conclusion)).collect();
        self.github.state().checks = checks;
    }

    pub(crate) fn gate(&self, args: &[&str]) -> Output {
        run(&mut self.event("workflow_dispatch", &json!({}), &[&["gate"], args].concat()))
    }
}

/// A check run of the suite 5 in GitHub's format.
fn check_run(sha: &str, name: &str, conclusion: &str) -> Value {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let (status, conclusion) =
        if conclusion == "pending" { ("in_progress", Value::Null) } else { ("completed", json!(conclusion)) };
    json!({"id": id, "name": name, "head_sha": sha, "status": status, "conclusion": conclusion, "check_suite": {"id": 5},
        "app": null, "html_url": format!("https://github.com/{REPOSITORY}/actions/runs/99/job/{id}")})
}

/// A job of a run of a workflow, which is the suite ten times its number. An attempt takes 50 seconds.
pub(crate) fn job(run: u64, attempt: u32, sha: &str, name: &str, conclusion: &str) -> Value {
    let mut job = check_run(sha, name, conclusion);
    let id = job["id"].clone();
    job["html_url"] = json!(format!("https://github.com/{REPOSITORY}/actions/runs/{run}/job/{id}"));
    job["check_suite"]["id"] = json!(run * 10);
    job["started_at"] = json!(format!("2026-01-01T00:{attempt:02}:00Z"));
    job["completed_at"] =
        if conclusion == "pending" { Value::Null } else { json!(format!("2026-01-01T00:{attempt:02}:50Z")) };
    job
}

/// A run of a workflow of this name.
fn workflow(run: u64, sha: &str, name: &str, event: &str) -> Value {
    json!({"id": run, "head_sha": sha, "name": name, "event": event, "status": "completed", "check_suite_id": run * 10,
        "head_branch": "main", "run_attempt": 1, "run_started_at": "2026-01-01T00:00:00Z"})
}

#[test]
fn the_gate_opens_on_checks_and_statuses_of_the_commit_on_any_page() {
    let runner = Runner::with_images("gate: {checks: ['test*', lint], timeout: 1s}\n");
    runner.put(&[
        ("test (1)", "success"),
        ("test (2)", "success"),
        ("other", "failure"),
        ("test (3)", "success"),
    ]);
    let head = runner.head();
    runner.github.state().page = Some(2);
    // Of several statuses the newest counts.
    let lint = |state: &str| (head.clone(), "lint".to_owned(), state.to_owned());
    runner.github.state().contexts = vec![lint("pending"), lint("failure"), lint("pending"), lint("success")];
    runner.gate(&[]).exits(0).prints(&format!("gate open for commit {}: 2 of 2 projects", &head[..10]));
    assert_eq!(
        (runner.output("gate"), runner.output("projects"), runner.output("result")),
        ("open".to_owned(), r#"["blog","shop"]"#.to_owned(), "open".to_owned())
    );
    let matrix: Value = serde_json::from_str(&runner.output("matrix")).unwrap();
    assert_eq!(
        matrix["include"][0],
        json!({"project": "blog", "path": "services/blog", "service": "web", "context": "services/blog/app",
        "dockerfile": "services/blog/app/Dockerfile", "target": "final", "image": "ghcr.io/ann/blog",
        "tags": format!("ghcr.io/ann/blog:sha-{},ghcr.io/ann/blog:latest", &head[..12])})
    );
    let verdict: Value =
        serde_json::from_str(&std::fs::read_to_string(runner.output("verdict")).unwrap()).unwrap();
    assert_eq!((&verdict["gate"], &verdict["sha"]), (&json!("open"), &json!(head)));
    let summary = std::fs::read_to_string(runner.beside("summary")).unwrap();
    assert!(
        summary.contains("### ghdeploy: gate open") && summary.contains("`test (3)` `success`"),
        "{summary}"
    );
    // The check on the last page counts too.
    runner.put(&[
        ("test (1)", "success"),
        ("test (2)", "success"),
        ("other", "failure"),
        ("test (3)", "failure"),
    ]);
    runner.gate(&[]).exits(3).prints("check `test*`: `test (3)` failure");
    assert_eq!(
        (runner.output("gate"), runner.output("projects"), runner.output("matrix")),
        ("closed".to_owned(), "[]".to_owned(), r#"{"include":[]}"#.to_owned())
    );
}

#[test]
fn any_conclusion_but_success_closes_the_gate_with_its_reason() {
    let runner = Runner::with_images("gate: {checks: [test], timeout: 1s}\n");
    for conclusion in ["failure", "neutral", "skipped", "cancelled", "timed_out", "action_required"] {
        runner.put(&[("test", conclusion)]);
        runner
            .gate(&[])
            .exits(3)
            .prints(&format!("::error::the gate is closed: check `test`: `test` {conclusion}"));
    }
    runner.put(&[("test", "pending")]);
    runner.gate(&[]).exits(3).prints("check `test`: `test` pending");
    runner.put(&[]);
    runner.gate(&[]).exits(3).prints("check `test`: no check has this name");
    // Checks of another commit do not count.
    runner.github.state().checks = vec![check_run(&"b".repeat(40), "test", "success")];
    runner.gate(&[]).exits(3).prints("no check has this name");
    for state in ["pending", "failure", "error"] {
        runner.github.state().contexts = vec![(runner.head(), "test".to_owned(), state.to_owned())];
        runner.gate(&[]).exits(3).prints(&format!("`test` {state}"));
    }
    // Without any requirement the gate stays closed.
    runner.write("ghdeploy.yml", "keep: 3\n");
    runner.commit();
    runner.gate(&[]).exits(3).prints("nothing is required, so nothing is proven");
}

#[test]
fn late_checks_are_waited_for_and_unchanged_answers_are_not_sent_again() {
    let runner = Runner::with_images("gate: {checks: ['test*'], timeout: 60s}\n");
    let head = runner.head();
    runner.github.state().running = vec![5];
    // First no check, then a running one, then a finished one in a running workflow, then all finished.
    let (one, two) = (check_run(&head, "test (1)", "pending"), check_run(&head, "test (2)", "success"));
    let mut done = one.clone();
    (done["status"], done["conclusion"]) = (json!("completed"), json!("success"));
    let looked = |times: usize| {
        while runner.github.requests().iter().filter(|request| request.contains("/statuses")).count() < times
        {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    };
    let output = std::thread::scope(|scope| {
        let output = scope.spawn(|| runner.gate(&[]));
        looked(1);
        runner.github.state().checks = vec![one];
        looked(2);
        runner.github.state().checks = vec![done];
        looked(3);
        runner.github.state().checks.push(two);
        runner.github.state().running.clear();
        output.join().unwrap()
    });
    assert_eq!(output.code, Some(0), "{output:?}");
    let reasons = ["no check matches", "`test (1)` pending", "is still running and may add more checks"];
    for words in reasons {
        let waits =
            |line: &str| line.starts_with("note: waiting for check `test*` (") && line.contains(words);
        assert!(output.all().lines().any(waits), "{words}: {output:?}");
    }
    assert!(runner.github.state().unchanged > 0);
}

#[test]
fn a_github_that_fails_for_a_while_is_asked_again_and_one_that_is_down_keeps_the_gate_closed() {
    let runner = Runner::with_images("gate: {checks: [test], timeout: 60s}\n");
    runner.put(&[("test", "success")]);
    for _ in 0..5 {
        runner.github.refuse("GET /repos/ann/side/commits/", Refusal::new(502, "Bad Gateway"));
    }
    let limited =
        Refusal::new(403, "rate limit").header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", "1");
    runner.github.refuse("GET /repos/ann/side/commits/", limited);
    runner.gate(&[]).exits(0).prints("gate open");
    runner.github.refuse("GET /", Refusal::new(403, "Resource not accessible by integration"));
    runner.gate(&[]).exits(2).prints("`permissions: {checks: read, statuses: read}`");
    let mut command = runner.event("workflow_dispatch", &json!({}), &["gate", "--timeout", "1s"]);
    command.env("GITHUB_API_URL", "http://127.0.0.1:1");
    run(&mut command).exits(4).prints("nothing is proven, so the gate stays closed");
    let limited = Refusal::new(429, "slow down").header("retry-after", "7200");
    runner.github.refuse("GET /", limited);
    runner.gate(&[]).exits(4).prints("GitHub limits calls for 120 min more and says 429: slow down");
    assert_eq!(
        (runner.output("result"), runner.output("gate")),
        ("unreachable".to_owned(), "closed".to_owned())
    );
    // One that is waited for is noted, unless it is short.
    let slow = Refusal::new(403, "You have exceeded a secondary rate limit.").header("retry-after", "11");
    runner.github.refuse("GET /", slow);
    let words = "note: waiting 11 s for GitHub (GitHub says 403: You have exceeded a secondary rate limit.)";
    runner.gate(&[]).exits(0).prints(words);
    // One that asks for little and stays is no lack of a permission either.
    for _ in 0..2 {
        let words =
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        runner.github.refuse("GET /", Refusal::new(403, words).header("retry-after", "1"));
    }
    let stays = runner.gate(&["--timeout", "1s"]).exits(4).never_prints("permissions");
    stays.prints("You have exceeded a secondary rate limit.");
}

#[test]
fn each_project_has_a_gate_of_its_own() {
    let runner = Runner::with_images("gate: {checks: [lint, 'test ({project})'], timeout: 1s}\n");
    runner.put(&[("lint", "success"), ("test (blog)", "success"), ("test (shop)", "failure")]);
    runner.gate(&[]).exits(3).prints("gate closed");
    assert_eq!(runner.output("projects"), r#"["blog"]"#);
    let matrix: Value = serde_json::from_str(&runner.output("matrix")).unwrap();
    assert_eq!(matrix["include"].as_array().unwrap().len(), 1);
    runner.gate(&["--project", "blog"]).exits(0).prints("1 of 1 project");
}

#[test]
fn the_gate_judges_the_commit_of_the_event_which_must_be_checked_out() {
    let runner = Runner::with_images("gate: {checks: [test], timeout: 1s}\n");
    let base = runner.head();
    runner.git(&["checkout", "-q", "-b", "topic"]);
    runner.write("services/blog/app/x", "x");
    runner.commit();
    let head = runner.head();
    runner.git(&["checkout", "-q", "main"]);
    runner.write("other", "x");
    runner.commit();
    runner.git(&["merge", "-q", "--no-ff", "-m", "m", "topic"]);
    let merge = runner.head();
    runner.github.state().checks = vec![check_run(&head, "test", "success")];
    let pull = json!({"pull_request": {"number": 7, "base": {"sha": base, "repo": {"id": 1}}, "head": {"sha": head, "repo": {"id": 1}}}});
    run(&mut runner.event("pull_request", &pull, &["gate"]))
        .exits(0)
        .prints(&format!("gate open for commit {}", &head[..10]));
    assert_eq!(runner.output("projects"), r#"["blog"]"#, "only what has changed is to be built");
    // A push is judged by the pushed commit, which has no checks here.
    run(&mut runner.event("push", &json!({"before": base}), &["gate"]))
        .exits(3)
        .prints("no check has this name");
    // A workflow_run is about the commit of the run before it, and another commit is checked out.
    let after = json!({"workflow_run": {"head_sha": head, "event": "push"}});
    run(&mut runner.event("workflow_run", &after, &["gate"]))
        .exits(3)
        .prints(&format!("{merge} is checked out, but the checks are those of {head}"));
    runner.git(&["checkout", "-q", &head]);
    run(&mut runner.event("workflow_run", &after, &["gate"])).exits(0).prints("gate open");
    // With a changed file the checkout is not the tested commit.
    runner.write("services/blog/app/Dockerfile", "FROM evil\n");
    run(&mut runner.event("workflow_run", &after, &["gate"]))
        .exits(3)
        .prints("the checked-out files differ from the commit");
    runner.gate(&["--sha", "main"]).exits(2).prints("--sha is not the full name of a commit");
}

#[test]
fn the_merge_of_a_pull_request_is_judged_like_a_push() {
    let runner = Runner::with_images("gate: {checks: [test], timeout: 1s}\n");
    let base = runner.head();
    runner.git(&["checkout", "-q", "-b", "topic"]);
    runner.write("services/blog/app/x", "x");
    runner.commit();
    let head = runner.head();
    runner.git(&["checkout", "-q", "main"]);
    runner.git(&["merge", "-q", "--squash", "topic"]);
    runner.git(&["commit", "-q", "-m", "topic (#7)"]);
    let merge = runner.head();
    let closed = json!({"action": "closed", "pull_request": {"number": 7, "merged": true, "merge_commit_sha": merge,
        "base": {"sha": base, "ref": "main", "repo": {"id": 1}}, "head": {"sha": head, "repo": {"id": 1}}}});
    let gate = |args: &[&str]| run(&mut runner.event("pull_request", &closed, &[&["gate"], args].concat()));
    // The tests of the pull request were those of another commit.
    runner.github.state().checks = vec![check_run(&head, "test", "success")];
    gate(&[]).exits(3).prints("no check has this name");
    runner.github.state().checks = vec![check_run(&merge, "test", "success")];
    gate(&[]).exits(0).prints(&format!("gate open for commit {}: 1 of 1 project", &merge[..10]));
    assert_eq!(runner.output("projects"), r#"["blog"]"#);
    let matrix: Value = serde_json::from_str(&runner.output("matrix")).unwrap();
    assert!(matrix["include"][0]["tags"].as_str().unwrap().ends_with(":latest"), "{matrix}");
}

#[test]
fn every_report_that_the_glob_matches_is_read() {
    let runner = Runner::with_images("gate: {junit: ['**/junit*.xml']}\n");
    let good = "<testsuite><testcase name='a'/></testsuite>";
    runner.gate(&[]).exits(3).prints("tests in `**/junit*.xml`: no file matches");
    runner.write("junit-a.xml", good);
    runner.write("services/blog/out/junit.xml", good);
    runner.gate(&[]).exits(0).prints("2 tests passed");
    runner.gate(&["--min-tests", "3"]).exits(3).prints("2 tests ran, and at least 3 must");
    runner.write(
        "deep/er/junit.xml",
        "<testsuite><testcase classname='c' name='b'><failure/></testcase></testsuite>",
    );
    runner.gate(&[]).exits(3).prints("`deep/er/junit.xml` has 1 that failed: c b");
    runner.write("deep/er/junit.xml", "");
    runner.gate(&[]).exits(3).prints("`deep/er/junit.xml` cannot be read: it is empty");
    std::fs::remove_file(runner.path("deep/er/junit.xml")).unwrap();
    // Each project has its own reports.
    runner
        .gate(&["--junit", "services/{project}/out/*.xml"])
        .exits(3)
        .prints("tests in `services/shop/out/*.xml`: no file matches");
    assert_eq!(runner.output("projects"), r#"["blog"]"#);
    // A dangling link is a report that cannot be read.
    std::os::unix::fs::symlink("nowhere", runner.path("junit-b.xml")).unwrap();
    runner.gate(&[]).exits(3).prints("`junit-b.xml` cannot be read");
    runner.gate(&["--junit", "[x"]).exits(2).prints("`[x` is no glob");
}

#[test]
fn reports_are_found_behind_links_and_outside_of_the_folder() {
    let runner = Runner::with_images("keep: 3\n");
    let good = "<testsuite><testcase name='a'/></testsuite>";
    let bad = "<testsuite><testcase name='a'><failure/></testcase></testsuite>";
    // Bazel links its output folder.
    std::fs::create_dir_all(runner.beside("bazel/pkg")).unwrap();
    std::fs::write(runner.beside("bazel/pkg/test.xml"), good).unwrap();
    std::os::unix::fs::symlink(runner.beside("bazel"), runner.path("bazel-testlogs")).unwrap();
    runner.gate(&["--junit", "bazel-testlogs/**/test.xml"]).exits(0).prints("1 test passed");
    runner.write("out/test.xml", good);
    runner.gate(&["--junit", "**/test.xml"]).exits(0).prints("2 tests passed");
    std::fs::write(runner.beside("bazel/pkg/test.xml"), bad).unwrap();
    runner
        .gate(&["--junit", "**/test.xml"])
        .exits(3)
        .prints("`bazel-testlogs/pkg/test.xml` has 1 that failed: a");
    // Absolute paths, paths upwards, folders and lists.
    let absolute = runner.path("out/test.xml");
    for list in
        [absolute.to_str().unwrap(), "out", "out/", "services/../out/test.xml", "out/test.xml,out/*.xml"]
    {
        runner.gate(&["--junit", list]).exits(0).prints("1 test passed");
    }
    // What is left out closes nothing.
    runner.write("node_modules/x/test.xml", bad);
    runner
        .gate(&["--junit", "out,node_modules"])
        .exits(3)
        .prints("`node_modules/x/test.xml` has 1 that failed");
    runner.gate(&["--junit", "**/test.xml,!bazel-*,!**/node_modules"]).exits(0).prints("1 test passed");
    std::fs::write(runner.beside("beside.xml"), good).unwrap();
    runner.gate(&["--junit", "../beside.xml"]).exits(0).prints("1 test passed");
    runner
        .gate(&["--junit", "out/test.xml,none.xml"])
        .exits(3)
        .prints("tests in `none.xml`: no file matches");
    runner.gate(&["--junit", "../bazel"]).exits(3).prints("`../bazel/pkg/test.xml` has 1 that failed");
}

#[test]
fn a_report_that_no_test_of_this_run_has_written_proves_nothing() {
    let runner = Runner::with_images("gate: {junit: ['**/junit*.xml']}\n");
    let good = "<testsuite><testcase name='a'/></testsuite>";
    runner.write("tests/junit-sample.xml", good);
    runner.git(&["add", "-f", "tests/junit-sample.xml"]);
    runner.git(&["commit", "-q", "-m", "fixture"]);
    runner
        .gate(&[])
        .exits(3)
        .prints("`tests/junit-sample.xml` is part of the commit: no test of this run has written it");
    // A fixture of another checkout is one, too.
    let other = runner.path("other");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("junit.xml"), good).unwrap();
    for args in [&["init", "-q"][..], &["add", "-f", "junit.xml"], &["commit", "-q", "-m", "x"]] {
        runner.git(&[&["-C", other.to_str().unwrap()], args].concat());
    }
    runner.gate(&[]).exits(3).prints("`other/junit.xml` and 1 more are part of the commit");
    runner.write("junit.xml", good);
    runner.gate(&[]).exits(0).prints("1 test passed");
    // One that is older than the commit, or than the push.
    let date: i64 = runner.git(&["show", "-s", "--format=%ct", "HEAD"]).trim().parse().unwrap();
    let age = |seconds: i64| {
        let time =
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(date + seconds).unwrap());
        let file = std::fs::File::options().write(true).open(runner.path("junit.xml")).unwrap();
        file.set_modified(time).unwrap();
    };
    age(-3 * 86_400);
    runner
        .gate(&[])
        .exits(3)
        .prints("`junit.xml` is no result of this commit: it was written 3 days before the commit");
    age(60);
    runner.gate(&[]).exits(0).prints("1 test passed");
    let pushed = json!({"before": runner.head(), "repository": {"pushed_at": date + 3_600}});
    run(&mut runner.event("push", &pushed, &["gate"]))
        .exits(3)
        .prints("it was written 59m before the event that started this run");
}

#[test]
fn results_of_jobs_may_be_longer_than_an_argument() {
    let runner = Runner::with_images("keep: 3\n");
    let long = "x".repeat(200 << 10);
    let needs = |result: &str| {
        json!({"test": {"result": "success", "outputs": {"log": long}}, "lint": {"result": result}})
            .to_string()
    };
    let file = runner.beside("needs.json");
    let given = format!("@{}", file.display());
    std::fs::write(&file, needs("success")).unwrap();
    runner.gate(&["--needs", &given]).exits(0).prints("gate open");
    let mut command = runner.event("workflow_dispatch", &json!({}), &["gate", "--needs", "-"]);
    program::feed(&mut command, &needs("success")).exits(0).prints("gate open");
    std::fs::write(&file, needs("skipped")).unwrap();
    runner.gate(&["--needs", &given]).exits(3).prints("`lint` skipped");
    std::fs::write(&file, "").unwrap();
    runner.gate(&["--needs", &given]).exits(3).prints("their results are missing");
    runner.gate(&["--needs", "@nowhere"]).exits(2).prints("nowhere does not hold the results of jobs");
    // Or a list of the results alone.
    runner.gate(&["--needs", "success,success"]).exits(0).prints("gate open");
    runner.gate(&["--needs", "success,cancelled"]).exits(3).prints("`job 2` cancelled");
}

#[test]
fn needed_jobs_are_a_proof_and_their_absence_is_not() {
    let runner = Runner::with_images("keep: 3\n");
    runner
        .gate(&["--needs", r#"{"test": {"result": "success", "outputs": {}}}"#])
        .exits(0)
        .prints("gate open");
    runner.gate(&["--needs", r#"{"test": {"result": "skipped"}}"#]).exits(3).prints("`test` skipped");
    runner.gate(&["--needs", ""]).exits(3).prints("their results are missing");
    // Of all sources together, each is required.
    runner.put(&[("test", "success")]);
    runner.write("junit.xml", "<testsuite><testcase name='a'/></testsuite>");
    let all = [
        "--check",
        "test",
        "--junit",
        "*.xml",
        "--needs",
        r#"{"a": {"result": "success"}}"#,
        "--timeout",
        "1s",
    ];
    runner.gate(&all).exits(0).prints("gate open");
    runner
        .gate(&[&all[..], &["--forbid", "test"]].concat())
        .exits(3)
        .prints("no check `test`: there is `test` success");
}

#[test]
fn outside_a_workflow_only_reports_can_prove() {
    let runner = Runner::with_images("gate: {junit: ['*.xml']}\n");
    runner.write("a.xml", "<testsuite><testcase name='a'/></testsuite>");
    let mut command = runner.event("x", &json!({}), &["gate"]);
    command.env_remove("GITHUB_ACTIONS");
    run(&mut command).exits(0).prints("gate open");
    let mut command = runner.event("x", &json!({}), &["gate", "--check", "test"]);
    command.env_remove("GITHUB_ACTIONS").env_remove("GITHUB_REPOSITORY");
    run(&mut command).exits(2).prints("require reports instead: --junit");
    // Unless a variable names the repository.
    runner.put(&[("test", "success")]);
    let mut command = runner.event("", &json!({}), &["gate", "--check", "test"]);
    command.env_remove("GITHUB_ACTIONS");
    run(&mut command).exits(0).prints("gate open");
}

#[test]
fn every_job_of_a_name_must_succeed_and_only_a_re_run_replaces_its_result() {
    let runner = Runner::with_images("gate: {checks: [test], timeout: 1s}\n");
    let head = runner.head();
    let of = |run: u64, attempt: u32, says: &str| job(run, attempt, &head, "test", says);
    runner.github.state().checks = vec![of(97, 1, "failure"), of(98, 1, "success")];
    runner.gate(&[]).exits(3).prints(&format!(
        "check `test`: `test` failure; another `test` succeeded, but each of them must: re-run the one that did not\n             test: failure  https://github.com/{REPOSITORY}/actions/runs/97/job/"
    ));
    runner.github.state().checks.push(of(97, 2, "pending"));
    runner.gate(&[]).exits(3).prints("`test` pending");
    runner.github.state().checks.pop();
    runner.github.state().checks.push(of(97, 2, "success"));
    runner.gate(&[]).exits(0).prints("gate open");
    // Two jobs of one name in one run: GitHub's own list of the latest shows one of them.
    runner.github.state().checks = vec![of(97, 1, "failure"), of(97, 1, "success")];
    runner.gate(&[]).exits(3).prints("`test` failure");
    // A newer run for the same branch replaces an older one, a run by hand does not.
    let runs = |event: &str| vec![workflow(97, &head, "unit", event), workflow(98, &head, "unit", event)];
    runner.github.state().checks = vec![of(97, 1, "cancelled"), of(98, 1, "success")];
    runner.github.state().workflows = runs("push");
    runner.gate(&[]).exits(0).prints("gate open");
    runner.github.state().workflows = runs("workflow_dispatch");
    runner.gate(&[]).exits(3).prints("`test` cancelled");
    // A re-run that is under way has not created the job yet.
    let mut again = workflow(97, &head, "unit", "push");
    (again["status"], again["run_attempt"]) = (json!("in_progress"), json!(2));
    again["run_started_at"] = json!("2026-01-01T00:02:00Z");
    runner.github.state().checks = vec![of(97, 1, "failure")];
    runner.github.state().workflows = vec![again];
    runner.gate(&[]).exits(3).prints("`test` pending: it was failure, and is running again");
}

#[test]
fn names_that_look_like_globs_are_names() {
    let runner = Runner::with_images("gate: {checks: ['test [12]', 'build [linux'], timeout: 1s}\n");
    let checks = |says: &str| {
        runner.put(&[("test 1", "success"), ("test [12]", says), ("build [linux", "success")]);
    };
    checks("failure");
    runner.gate(&[]).exits(3).prints("check `test [12]`: `test [12]` failure");
    checks("success");
    runner.gate(&[]).exits(0).prints("gate open");
    runner.gate(&["--forbid", "build [linux"]).exits(3).prints("there is `build [linux` success");
}

#[test]
fn the_gate_does_not_wait_for_its_own_run() {
    // With this timeout, a gate that waits does not end in time.
    let runner = Runner::with_images("gate: {checks: ['*'], timeout: 1h}\n");
    let head = runner.head();
    let own = |name: &str, says: &str| job(118, 1, &head, name, says);
    runner.github.state().running = vec![1180];
    // Its first attempt closed. This is the second one.
    let first = job(118, 0, &head, "gate", "failure");
    runner.github.state().checks = vec![job(97, 1, &head, "test", "success"), own("gate", "pending"), first];
    runner.github.state().contexts = vec![(head.clone(), "ghdeploy/web".to_owned(), "failure".to_owned())];
    runner.gate(&[]).exits(0).prints("gate open");
    runner.github.state().checks.push(own("lint", "success"));
    runner.gate(&[]).exits(3).prints("check `*`: it matches `lint`, a job of this very run");
    runner.gate(&["--check", "lint"]).exits(0).prints("gate open");
    runner
        .gate(&["--check", "gate"])
        .exits(3)
        .prints("check `gate`: this is the job that asks, and it cannot wait for itself");
    // So does a job that this run has not created yet.
    runner.github.state().checks.pop();
    let workflow = "jobs: {unit: {}, gate: {}, e2e: {name: 'e2e (${{ matrix.os }})', needs: unit}}";
    runner.write(".github/workflows/ci.yml", workflow);
    runner.commit();
    let sha = runner.head();
    runner.github.state().checks.iter_mut().for_each(|check| check["head_sha"] = json!(sha));
    let mut command = runner.event("workflow_dispatch", &json!({}), &["gate"]);
    command.env("GITHUB_JOB", "gate");
    command.env("GITHUB_WORKFLOW_REF", format!("{REPOSITORY}/.github/workflows/ci.yml@refs/heads/main"));
    run(&mut command).exits(3).prints("check `*`: it matches `e2e (…`, a job of this very run");
    let head = sha;
    let own = |name: &str, says: &str| job(118, 1, &head, name, says);
    // What waits for the gate is not waited for, and a forbidden job is as bad before it exists as after.
    let workflow = "jobs: {unit: {}, gate: {}, freeze: {needs: unit}, after: {needs: gate}}";
    runner.write(".github/workflows/ci.yml", workflow);
    runner.commit();
    let sha = runner.head();
    runner.github.state().checks.iter_mut().for_each(|check| check["head_sha"] = json!(sha));
    let gate = |options: &[&str]| {
        let mut command =
            runner.event("workflow_dispatch", &json!({}), &[&["gate", "--check", "test"], options].concat());
        command.env("GITHUB_JOB", "gate");
        command.env("GITHUB_WORKFLOW_REF", format!("{REPOSITORY}/.github/workflows/ci.yml@refs/heads/main"));
        run(&mut command)
    };
    gate(&["--check", "after"]).exits(3).prints("check `after`: `after` waits for this job");
    gate(&["--forbid", "freeze*"]).exits(3).prints("`freeze`, a job of this very run, does not exist yet");
    gate(&["--forbid", "after"]).exits(0).prints("gate open");
    // So is one that another workflow may still add.
    runner.github.state().running.push(970);
    gate(&["--forbid", "hold", "--timeout", "1s"])
        .exits(3)
        .prints("no check `hold`: a workflow is still running and may add one");
    runner.github.state().running.pop();
    gate(&["--forbid", "hold"]).exits(0).prints("gate open");
    // The action passes on which of several jobs it is.
    runner.github.state().checks.push(own("e2e", "pending"));
    let number = runner.github.state().checks[1]["id"].to_string();
    let mut command = runner.event("workflow_dispatch", &json!({}), &["gate", "--check", "gate"]);
    run(command.env("GHDEPLOY_CHECK_RUN", number)).exits(3).prints("this is the job that asks");
}

#[test]
fn a_name_as_the_page_shows_it_is_found_or_answered_with_those_that_exist() {
    let runner = Runner::with_images("gate: {checks: ['CI / test (push)'], timeout: 1h}\n");
    let head = runner.head();
    let looks = || runner.github.requests().iter().filter(|request| request.contains("/statuses")).count();
    runner.github.state().checks =
        vec![job(97, 1, &head, "test", "success"), job(98, 1, &head, "test", "failure")];
    runner.github.state().workflows =
        vec![workflow(97, &head, "CI", "push"), workflow(98, &head, "CI", "pull_request")];
    runner.gate(&[]).exits(0).prints("gate open");
    runner.gate(&["--check", "CI / test (pull_request)"]).exits(3).prints("`test` failure");
    // Without the permission for it, the names of workflows are not known. It is asked for once.
    let forbidden = Refusal::new(403, "Resource not accessible by integration");
    runner.github.refuse(&format!("GET /repos/{REPOSITORY}/actions/runs"), forbidden);
    let before = looks();
    runner.gate(&[]).exits(3).prints(
        "check `CI / test (push)`: no check has this name, and none is still to come; this commit has `test`; \
         write `test`, or allow `actions: read`",
    );
    assert_eq!(looks() - before, 2, "all suites are complete");
    runner.gate(&["--check", "e2e / test (push)"]).exits(3).prints("did you mean `CI / test");
}
