//! The comment on a pull request: written once, kept up to date, never by an outdated run.

use std::process::Command;

use serde_json::{Value, json};

use crate::github::{BRANCH, REPOSITORY, Refusal};
use crate::runner::{Runner, run};
use crate::support::program;

const PULL: u64 = 7;

/// A clone with the merge of a pull request, and its GitHub.
struct PullRequest {
    runner: Runner,
    head: String,
}

impl PullRequest {
    /// A pull request that changes the project `shop`.
    fn new() -> Self {
        let mut this = Self { runner: Runner::new(), head: String::new() };
        this.tag("blog", "1");
        this.tag("shop", "1");
        this.git(&["checkout", "-q", "-b", "topic"]);
        this.tag("shop", "2");
        this.head = this.runner.head();
        this.git(&["checkout", "-q", "main"]);
        this.tag("blog", "2");
        this.git(&["merge", "-q", "--no-ff", "-m", "merge", "topic"]);
        this.github.state().heads.insert(PULL, this.head.clone());
        this
    }

    /// Commits another image tag of a project.
    fn tag(&self, project: &str, tag: &str) {
        let text = format!("services:\n  web: {{image: 'a:{tag}'}}\n");
        self.write(format!("services/{project}/compose.yml"), &text);
        self.commit();
    }

    fn event(&self, name: &str, payload: &Value) -> Command {
        self.runner.event(name, payload, &["comment"])
    }

    /// A run for the pull request when `head` was its newest commit.
    fn pull(&self) -> Command {
        self.event(
            "pull_request",
            &json!({"pull_request": {
                "number": PULL, "base": {"sha": self.git(&["rev-parse", "HEAD^1"]), "repo": {"id": 1}},
                "head": {"sha": self.head, "repo": {"id": 1}},
            }}),
        )
    }

    /// Bodies of all comments on the pull request.
    fn bodies(&self) -> Vec<String> {
        self.github.state().bodies(PULL).into_iter().map(str::to_owned).collect()
    }

    fn summary(&self) -> String {
        std::fs::read_to_string(self.beside("summary")).unwrap_or_default()
    }
}

impl std::ops::Deref for PullRequest {
    type Target = Runner;

    fn deref(&self) -> &Runner {
        &self.runner
    }
}

#[track_caller]
fn succeeds(command: &mut Command, words: &str) {
    run(command).exits(0).prints(words);
}

#[test]
fn one_comment_is_written_and_then_kept_up_to_date() {
    let pr = PullRequest::new();
    succeeds(&mut pr.pull(), "commented on #7: https://github.com/ann/side/pull/7#issuecomment-101");
    assert_eq!(pr.output("result"), "done");
    let [body] = <[String; 1]>::try_from(pr.bodies()).unwrap();
    assert!(
        body.contains("ghdeploy: 1 project changes")
            && body.contains("| `shop` | changed, 1 file | up `web` |"),
        "{body}"
    );
    assert!(body.contains(&format!("For commit `{}`", pr.head)), "{body}");
    assert!(body.contains(&format!("/{REPOSITORY}/actions/runs/118)")), "{body}");
    // The second comment differs only in the run.
    succeeds(pr.pull().env("GITHUB_RUN_ID", "119000911"), "updated the comment on #7");
    let [again] = <[String; 1]>::try_from(pr.bodies()).unwrap();
    assert_eq!(again.replace("119000911", "118"), body);
}

#[test]
fn a_plan_that_becomes_empty_updates_the_comment_and_an_empty_one_makes_none() {
    let pr = PullRequest::new();
    succeeds(pr.pull().args(["--project", "blog"]), "nothing to say on #7: the plan is empty");
    assert_eq!(pr.bodies(), [""; 0]);
    succeeds(&mut pr.pull(), "commented on #7");
    succeeds(pr.pull().args(["--base", "HEAD"]), "updated the comment on #7");
    let [body] = <[String; 1]>::try_from(pr.bodies()).unwrap();
    assert!(body.contains("### ghdeploy: nothing to do"), "{body}");
}

#[test]
fn every_configuration_has_a_comment_of_its_own() {
    let pr = PullRequest::new();
    succeeds(&mut pr.pull(), "commented on #7");
    succeeds(pr.pull().args(["--host", "deploy@db"]), "commented on #7");
    std::fs::write(pr.path("other -->.yml"), "keep: 3\n").unwrap();
    for _ in 0..2 {
        succeeds(pr.pull().args(["--config", "other -->.yml"]), "on #7: https://github.com/");
    }
    assert_eq!(pr.bodies().len(), 3);
}

#[test]
fn the_comment_is_found_on_a_late_page_and_a_persons_comment_is_left_alone() {
    let pr = PullRequest::new();
    succeeds(&mut pr.pull(), "commented on #7");
    let ours = pr.bodies().remove(0);
    {
        let mut state = pr.github.state();
        let (_, mine) = state.comments.remove(0);
        for number in 0..25 {
            state.put_comment(PULL, "bob", "User", &format!("talk {number}"));
        }
        // A person copied the marker into a comment of their own, and into another pull request.
        state.put_comment(PULL, "mallory", "User", &ours);
        state.put_comment(8, "github-actions[bot]", "Bot", &ours);
        state.comments.push((PULL, mine));
        state.page = Some(10);
    }
    succeeds(pr.pull().env("GITHUB_RUN_ID", "120"), "updated the comment on #7");
    let bodies = pr.bodies();
    assert_eq!((bodies.len(), &bodies[25]), (27, &ours));
    assert!(bodies[26].contains("run=120.1"), "{bodies:?}");
}

#[test]
fn a_run_for_an_old_commit_writes_nothing() {
    let pr = PullRequest::new();
    pr.github.state().heads.insert(PULL, "f".repeat(40));
    succeeds(&mut pr.pull(), "nothing was written: #7 is at ffffffff");
    assert_eq!(pr.bodies(), [""; 0]);
    // GitHub may report the newest commit late; the comment shows it as well.
    let pr = PullRequest::new();
    succeeds(pr.pull().env("GITHUB_RUN_ID", "130"), "commented on #7");
    let newer = pr.bodies().remove(0).replace(&pr.head, &"e".repeat(40));
    pr.github.state().comments[0].1["body"] = json!(newer);
    succeeds(&mut pr.pull(), "nothing was written: #7 is at eeeeeeee");
    assert_eq!(pr.bodies(), [newer]);
}

#[test]
fn a_run_that_is_overtaken_while_it_writes_withdraws_its_plan() {
    for (there, request) in
        [(false, "POST /repos/ann/side/issues/7/comments"), (true, "PATCH /repos/ann/side/issues/comments/")]
    {
        let pr = PullRequest::new();
        if there {
            succeeds(pr.pull().env("GITHUB_RUN_ID", "110"), "commented on #7");
        }
        pr.github.surprise(request, |state| drop(state.heads.insert(PULL, "d".repeat(40))));
        succeeds(&mut pr.pull(), "nothing was written: #7 is at dddddddd");
        let [body] = <[String; 1]>::try_from(pr.bodies()).unwrap();
        assert!(
            body.contains("### ghdeploy: the pull request has moved on") && !body.contains("`shop`"),
            "{body}"
        );
    }
}

#[test]
fn two_runs_that_both_find_no_comment_leave_one() {
    let pr = PullRequest::new();
    let first = PullRequest::new();
    succeeds(first.pull().env("GITHUB_RUN_ID", "117"), "commented on #7");
    let theirs = first.bodies().remove(0).replace(&first.head, &pr.head);
    pr.github.surprise("POST /repos/ann/side/issues/7/comments", move |state| {
        state.put_comment(PULL, "github-actions[bot]", "Bot", &theirs);
    });
    succeeds(&mut pr.pull(), "updated the comment on #7");
    let [body] = <[String; 1]>::try_from(pr.bodies()).unwrap();
    assert!(body.contains("run=118.1"), "{body}");
}

#[test]
fn a_comment_that_was_deleted_meanwhile_is_written_again() {
    let pr = PullRequest::new();
    succeeds(&mut pr.pull(), "commented on #7");
    pr.github.surprise("PATCH /", |state| state.comments.clear());
    succeeds(pr.pull().env("GITHUB_RUN_ID", "119"), "commented on #7");
    assert_eq!(pr.bodies().len(), 1);
}

#[test]
fn a_temporary_failure_of_github_is_retried() {
    let pr = PullRequest::new();
    let limited = |headers: &[(&'static str, &str)]| {
        headers.iter().fold(Refusal::new(403, "API rate limit exceeded"), |refusal, (name, value)| {
            refusal.header(name, value)
        })
    };
    pr.github.refuse("GET /repos/ann/side/pulls/7", Refusal::new(502, "Bad Gateway"));
    pr.github
        .refuse("GET /repos/ann/side/pulls/7", Refusal::new(503, "unavailable").header("retry-after", "0"));
    pr.github.refuse(
        "GET /repos/ann/side/issues/7/comments",
        limited(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")]),
    );
    pr.github.refuse("POST /repos/ann/side/issues/7/comments", limited(&[("retry-after", "1")]));
    succeeds(&mut pr.pull(), "commented on #7");
    assert_eq!(pr.bodies().len(), 1);
}

#[test]
fn a_rate_limit_that_lasts_too_long_is_reported() {
    let pr = PullRequest::new();
    let refusal = Refusal::new(429, "You have exceeded a secondary rate limit").header("retry-after", "3600");
    pr.github.refuse("GET /repos/ann/side/pulls/7", refusal);
    let output = run(&mut pr.pull());
    let words = "error: no comment was written: GitHub limits calls for 60 min more and says 429: You have exceeded a secondary rate limit";
    output.exits(4).prints(words).prints("run the job again in 60 min").never_prints("permissions:");
    assert_eq!(pr.output("result"), "unreachable");
    // The plan is not lost.
    assert!(pr.summary().contains("| `shop` | changed, 1 file |"), "{}", pr.summary());
}

#[test]
fn an_old_servers_abuse_detection_is_a_limit() {
    let pr = PullRequest::new();
    let message =
        "You have triggered an abuse detection mechanism. Please wait a few minutes before you try again.";
    let refusal = Refusal::new(403, message).header("retry-after", "600");
    pr.github.refuse("POST /repos/ann/side/issues/7/comments", refusal);
    run(&mut pr.pull())
        .exits(4)
        .prints(message)
        .prints("GitHub limits calls for 10 min more")
        .never_prints("permissions:");
}

#[test]
fn each_refusal_is_told_in_githubs_own_words_with_what_helps_against_it() {
    let pr = PullRequest::new();
    let not_accessible = "Resource not accessible by integration";
    for (status, message, help) in [
        (403, "Unable to create comment because issue is locked.", "unlock the conversation"),
        (
            403,
            "Although you appear to have the correct authorization credentials, the `ann` organization has an IP allow list enabled, and your IP address is not permitted to access this resource.",
            "IP allow list, or use a runner",
        ),
        (
            403,
            "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization.",
            "single sign-on",
        ),
        (401, "Bad credentials", "the token is wrong or has expired"),
        (404, "Not Found", "the token may not see it"),
        (403, "Sorry. Your account was suspended.", ""),
        (
            403,
            not_accessible,
            "`permissions: pull-requests: write`; a token of your own needs the same (GitHub accepts `issues: write` or `pull-requests: write`)",
        ),
    ] {
        let refusal = Refusal::new(status, message);
        let refusal = refusal.header("x-accepted-github-permissions", "issues=write; pull_requests=write");
        pr.github.refuse("POST /repos/ann/side/issues/7/comments", refusal);
        std::fs::write(pr.beside("summary"), "").unwrap();
        let output = run(&mut pr.pull()).exits(0);
        let words = format!("no comment was written: GitHub says {status}: {message}");
        let output =
            output.prints(&format!("warning: {words}")).prints(&format!("::warning::{words}")).prints(help);
        assert_eq!(
            output.contains("permissions:"),
            message == not_accessible || status == 404,
            "{}",
            output.all()
        );
        assert!(pr.summary().contains(&words) && pr.summary().contains(help), "{}", pr.summary());
        assert!(pr.summary().contains("| `shop` | changed, 1 file |"), "{}", pr.summary());
    }
    // Only the lack of a permission is the fork's.
    let fork = json!({"pull_request": {"number": PULL, "base": {"sha": pr.git(&["rev-parse", "HEAD^1"]), "repo": {"id": 1}},
        "head": {"sha": pr.head, "repo": {"id": 2}}}});
    pr.github.refuse("POST /", Refusal::new(403, "Unable to create comment because issue is locked."));
    run(&mut pr.event("pull_request", &fork)).exits(0).prints("is locked").never_prints("fork");
}

#[test]
fn a_refusal_of_the_comment_itself_is_an_error_with_its_details_and_without_the_token() {
    let pr = PullRequest::new();
    pr.github.refuse(
        "POST /",
        Refusal::new(422, concat!("Validation Failed for ghs_hunter2hunter2", "hunter2hunter2hunter2")),
    );
    let output = run(&mut pr.pull()).exits(1);
    let output = output.prints("error: no comment was written: GitHub says 422: Validation Failed for ***");
    output.prints("running the job again does not help");
    assert_eq!(pr.output("result"), "failed");
}

#[test]
fn without_permission_to_write_the_plan_is_in_the_summary_with_the_reason() {
    let pr = PullRequest::new();
    pr.github.refuse("POST /", Refusal::new(403, "Resource not accessible by integration"));
    succeeds(&mut pr.pull(), "the job needs `permissions: pull-requests: write`");
    assert!(pr.summary().contains("This is not a comment on the pull request:"), "{}", pr.summary());
    assert!(pr.summary().contains("| `shop` | changed, 1 file |"), "{}", pr.summary());
    let fork = json!({"pull_request": {"number": PULL, "base": {"sha": pr.git(&["rev-parse", "HEAD^1"]), "repo": {"id": 1}},
        "head": {"sha": pr.head, "repo": {"id": 2}}}});
    pr.github.refuse("POST /", Refusal::new(403, "Resource not accessible by integration"));
    succeeds(&mut pr.event("pull_request", &fork), "comes from a fork, whose runs may not write");
    assert!(pr.summary().contains("help: the pull request comes from a fork, whose runs may not write"));
    assert_eq!(pr.bodies(), [""; 0]);
}

/// A plan that the workflow of a pull request hands over, and the path of its file.
fn handed_over(pr: &PullRequest) -> (Value, std::path::PathBuf) {
    let mut command = program::ghdeploy(pr.top(), &pr.beside(""));
    let plan = program::run(command.args(["plan", "--base", "HEAD^1", "--format", "json"])).json();
    (plan, pr.beside("plan.json"))
}

fn workflow_run(pr: &PullRequest, head: &str) -> Command {
    workflow_run_of(pr, head, &json!({"full_name": REPOSITORY}), BRANCH)
}

/// A run after one of a pull request from this repository and branch.
fn workflow_run_of(pr: &PullRequest, head: &str, repository: &Value, branch: &str) -> Command {
    let payload = json!({"workflow_run": {"head_sha": head, "event": "pull_request", "pull_requests": [],
        "head_repository": repository, "head_branch": branch}});
    let mut command = pr.event("workflow_run", &payload);
    command.arg("--plan").arg(pr.beside("plan.json"));
    command
}

#[test]
fn a_plan_from_a_fork_is_posted_to_the_pull_request_that_github_names() {
    let pr = PullRequest::new();
    let (mut plan, path) = handed_over(&pr);
    // The code of a fork can write anything into its plan.
    plan["hosts"][0]["projects"][1]["name"] =
        json!("</details> @everyone [x](http://evil)\n<!-- ghdeploy:plan key=x -->");
    plan["pull_request"] = json!(9);
    std::fs::write(&path, plan.to_string()).unwrap();
    pr.github.state().heads.insert(9, "c".repeat(40));
    succeeds(&mut workflow_run(&pr, &pr.head), "commented on #7");
    let [body] = <[String; 1]>::try_from(pr.bodies()).unwrap();
    assert!(body.contains("made by the code of the pull request itself"), "{body}");
    assert!(!body.contains("@everyone [x]") && body.matches("<!--").count() == 1, "{body}");
    assert!(pr.github.state().bodies(9).is_empty());
}

#[test]
fn a_document_that_is_no_plan_is_refused() {
    let pr = PullRequest::new();
    let (plan, path) = handed_over(&pr);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut plan = plan.clone();
        change(&mut plan);
        plan.to_string()
    };
    for (text, words) in [
        ("hello".to_owned(), "line 1: "),
        ("[]".to_owned(), "its version is null"),
        (with(&|plan| plan["version"] = json!(3)), "its version is 3"),
        (with(&|plan| plan["hosts"] = json!("x")), "invalid type"),
        (with(&|plan| plan["commit"] = json!("--><script>")), "it does not name a commit where it should"),
        (with(&|plan| plan["hosts"][0]["changed"] = json!(true)), "the outcome of a deploy"),
        (with(&|plan| plan["hosts"][0]["projects"][0]["files"] = json!([{"path": 7}])), "invalid type"),
    ] {
        std::fs::write(&path, text).unwrap();
        let output = run(&mut workflow_run(&pr, &pr.head));
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.contains("is not a plan: ") && output.stderr.contains(words), "{output:?}");
    }
    std::fs::write(&path, plan.to_string()).unwrap();
    let output = run(&mut workflow_run(&pr, &"b".repeat(40)));
    assert_eq!(
        (output.code, output.stderr.contains("no open pull request from ann/side is at bbbb")),
        (Some(2), true),
        "{output:?}"
    );
    pr.github.state().heads.insert(9, pr.head.clone());
    let output = run(&mut workflow_run(&pr, &pr.head));
    assert_eq!(
        (output.code, output.stderr.contains("several pull requests are at")),
        (Some(2), true),
        "{output:?}"
    );
    assert_eq!(pr.bodies(), [""; 0]);
}

#[test]
fn pull_requests_of_a_fork_and_of_the_repository_at_one_commit_are_told_apart() {
    for (ours, theirs) in [(7, 9), (9, 7)] {
        let pr = PullRequest::new();
        let (plan, path) = handed_over(&pr);
        std::fs::write(&path, plan.to_string()).unwrap();
        {
            let mut state = pr.github.state();
            state.heads = [(ours, pr.head.clone()), (theirs, pr.head.clone())].into();
            state.forks.insert(theirs, "mallory/side".to_owned());
        }
        let count = |number: u64| pr.github.state().bodies(number).len();
        let fork = json!({"full_name": "mallory/side"});
        let words = format!("commented on #{theirs}");
        succeeds(&mut workflow_run_of(&pr, &pr.head, &fork, BRANCH), &words);
        assert_eq!((count(ours), count(theirs)), (0, 1));
        // The number of the other one, which may come from the artifact as well, does not lead there.
        let mut other = workflow_run_of(&pr, &pr.head, &fork, BRANCH);
        let output = run(other.args(["--pull-request", &ours.to_string()]));
        let words = format!("#{ours} is no open pull request from mallory/side");
        assert_eq!((output.code, output.stderr.contains(&words)), (Some(2), true), "{output:?}");
        let output = run(&mut workflow_run_of(&pr, &pr.head, &fork, "another"));
        assert_eq!(output.code, Some(2), "{output:?}");
        let output = run(&mut workflow_run_of(&pr, &pr.head, &Value::Null, BRANCH));
        let words = "the repository of the pull request's branch was deleted";
        assert_eq!((output.code, output.stderr.contains(words)), (Some(2), true), "{output:?}");
        assert_eq!((count(ours), count(theirs)), (0, 1));
        succeeds(&mut workflow_run(&pr, &pr.head), &format!("commented on #{ours}"));
        assert_eq!((count(ours), count(theirs)), (1, 1));
    }
}

#[test]
fn a_missing_token_or_pull_request_is_reported_with_what_to_do() {
    let pr = PullRequest::new();
    let output = run(pr.pull().env_remove("GITHUB_TOKEN"));
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("set GHDEPLOY_GITHUB_TOKEN: ${{ github.token }}"), "{output:?}");
    let output = run(&mut pr.event("push", &json!({"before": pr.head})));
    assert_eq!(
        (output.code, output.stderr.contains("this run is not about a pull request")),
        (Some(2), true),
        "{output:?}"
    );
    let output = run(pr.pull().env_remove("GITHUB_ACTIONS").env_remove("GITHUB_REPOSITORY"));
    assert_eq!(
        (output.code, output.stderr.contains("`ghdeploy plan --format markdown` shows")),
        (Some(2), true),
        "{output:?}"
    );
}

#[test]
fn outside_a_workflow_the_repository_can_be_given_by_variable() {
    let pr = PullRequest::new();
    pr.git(&["checkout", "-q", &pr.head]);
    let mut command = pr.event("", &json!({}));
    command.env_remove("GITHUB_ACTIONS").env_remove("GITHUB_EVENT_PATH");
    succeeds(command.args(["--base", "main~1", "--pull-request", "7"]), "commented on #7");
}

#[test]
fn a_large_plan_is_cut_to_the_size_of_a_comment() {
    let pr = PullRequest::new();
    let (mut plan, path) = handed_over(&pr);
    let project = plan["hosts"][0]["projects"][1].clone();
    let many = (0..3000).map(|number| {
        let mut project = project.clone();
        project["name"] = json!(format!("größe-{number:04}"));
        project
    });
    plan["hosts"][0]["projects"] = many.collect();
    std::fs::write(&path, plan.to_string()).unwrap();
    succeeds(&mut workflow_run(&pr, &pr.head), "commented on #7");
    let body = pr.bodies().remove(0);
    assert!(body.chars().count() <= 65_536 && body.chars().count() > 50_000, "{}", body.chars().count());
    assert!(body.contains("The rest is left out"));
}
