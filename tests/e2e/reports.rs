//! Notifications of a deploy: GitHub's deployments and statuses, Slack, a webhook.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::{Bed, stdout_of};
use crate::github::{GitHub, REPOSITORY, Refusal, TOKEN};
use crate::support::program::{self, Output};

const SECRET: &str = "T0/B0/hunter2hunter2";

/// A host with a project, and a GitHub.
fn bed(test: &str) -> (Bed, GitHub) {
    let bed = Bed::new(test);
    bed.write(
        "ghdeploy.yml",
        "health: {stable_for: 1s, timeout: 30s}\nnotify: {slack: SLACK_WEBHOOK_URL, webhook: HOOK_URL, start: true}\n",
    );
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./web.conf:/web.conf:ro']}");
    bed.write("services/app/web.conf", "one");
    bed.commit();
    (bed, GitHub::start())
}

/// Runs a command in a workflow run.
fn run(bed: &Bed, github: &GitHub, args: &[&str]) -> Output {
    let mut command = bed.call([]).command();
    command.args(args).env("GITHUB_ACTIONS", "true").env("GITHUB_ACTOR", "ann");
    command
        .env("GITHUB_API_URL", github.api())
        .env("GITHUB_REPOSITORY", REPOSITORY)
        .env("GITHUB_RUN_ID", "118");
    command.env("GITHUB_TOKEN", TOKEN).env("GITHUB_EVENT_NAME", "push");
    command.env("GITHUB_STEP_SUMMARY", bed.path("summary")).env("GITHUB_OUTPUT", bed.path("output"));
    command.env("RUNNER_TEMP", bed.path("tmp"));
    command.env("SLACK_WEBHOOK_URL", github.hook(SECRET)).env("HOOK_URL", github.hook("other"));
    let ran = Output::new(format!("{args:?}"), &command.output().unwrap());
    ran.never_prints(TOKEN)
}

/// Statuses of every deployment: oldest deployment first, each with its newest status first.
fn states(github: &GitHub) -> Vec<String> {
    github.state().states.values().map(|states| states.join(" ")).collect()
}

/// Messages that the hooks received since the last call.
fn notifications(github: &GitHub) -> Vec<Value> {
    std::mem::take(&mut github.state().hooks)
}

#[test]
fn a_deploy_becomes_the_active_deployment_of_its_host() {
    let (bed, github) = bed("deployments");
    let commit = bed.git(&["rev-parse", "HEAD"]).trim().to_owned();
    run(&bed, &github, &["sync"]).exits(0);
    {
        let state = github.state();
        assert_eq!(state.deployments.len(), 1);
        assert_eq!(state.deployments[0]["ref"], commit);
        assert_eq!(state.deployments[0]["environment"], "127.0.0.1");
        let status = json!({"state": "success", "context": "ghdeploy/127.0.0.1", "description": "1 project done: 2 files, 1 up",
            "target_url": "https://github.com/ann/side/actions/runs/118"});
        assert_eq!(state.statuses, [status]);
    }
    assert_eq!(states(&github), ["success in_progress"]);
    // A run with nothing to do makes no deployment, but a commit status.
    bed.commit();
    run(&bed, &github, &["sync"]).exits(0);
    assert_eq!(github.state().deployments.len(), 1);
    assert_eq!(github.state().statuses[1]["description"], "nothing to do; 1 unchanged");
    // A deploy that is rolled back leaves the deployment before it active.
    bed.write(
        "services/app/compose.yml",
        compose(&bed).replace("sleep 100000", "sh -c 'echo hunter3; exit 3'"),
    );
    bed.commit();
    run(&bed, &github, &["sync"]).exits(5);
    assert_eq!(states(&github), ["success in_progress", "failure in_progress"]);
    assert_eq!(github.state().statuses[2]["state"], "failure");
    bed.write(
        "services/app/compose.yml",
        compose(&bed).replace("sh -c 'echo hunter3; exit 3'", "sleep 200000"),
    );
    bed.commit();
    run(&bed, &github, &["sync"]).exits(0);
    assert_eq!(
        states(&github),
        ["inactive success in_progress", "failure in_progress", "success in_progress"]
    );
    // A rollback is a deployment of the old commit.
    run(&bed, &github, &["rollback"]).exits(0);
    assert_eq!(github.state().deployments.last().unwrap()["ref"], commit);
    let after = [
        "inactive success in_progress",
        "failure in_progress",
        "inactive success in_progress",
        "success in_progress",
    ];
    assert_eq!(states(&github), after);
    // A dry run notifies no one.
    let before = github.requests().len();
    bed.write("services/app/web.conf", "dry");
    run(&bed, &github, &["sync", "--dry-run"]).exits(0);
    assert_eq!(github.requests().len(), before);
}

fn compose(bed: &Bed) -> String {
    std::fs::read_to_string(bed.repo("services/app/compose.yml")).unwrap()
}

#[test]
fn slack_and_a_webhook_are_notified_of_start_and_end_without_secrets() {
    let (bed, github) = bed("slack");
    run(&bed, &github, &["sync"]).exits(0).prints("::add-mask::http://127.0.0.1:");
    let sent = notifications(&github);
    assert_eq!(sent.len(), 4, "{sent:?}");
    assert_eq!(sent[0]["text"], "Deploying to 127.0.0.1");
    assert_eq!((&sent[1]["event"], &sent[1]["outcome"]), (&json!("started"), &Value::Null));
    assert_eq!(sent[2]["text"], "127.0.0.1: 1 project done");
    assert!(
        sent[2].to_string().contains("<https://github.com/ann/side/actions/runs/118|run>"),
        "{}",
        sent[2]
    );
    assert_eq!(
        (&sent[3]["event"], &sent[3]["outcome"]["hosts"][0]["release"]),
        (&json!("succeeded"), &json!(1))
    );
    run(&bed, &github, &["sync"]).exits(0);
    assert_eq!(notifications(&github), [Value::Null; 0], "that nothing had to be done is no news");
    bed.write(
        "services/app/compose.yml",
        compose(&bed).replace("sleep 100000", "sh -c 'echo hunter3; exit 3'"),
    );
    bed.commit();
    let ran = run(&bed, &github, &["sync"]).exits(5).prints("hunter3");
    let sent = notifications(&github);
    assert_eq!((&sent[2]["text"], &sent[3]["event"]), (&json!("127.0.0.1: deploy failed"), &json!("failed")));
    assert!(sent[2].to_string().contains("service `web` is unhealthy: "), "{}", sent[2]);
    for (number, message) in sent.iter().enumerate() {
        let text = message.to_string();
        assert!(!text.contains("hunter") && !text.contains("only-the-host-knows"), "{number}: {text}");
    }
    drop(ran);
    // An unreachable host is a failure like any other.
    let mut command = bed.call(["sync"]).host("nobody@127.0.0.1:1").command();
    command.env("SLACK_WEBHOOK_URL", github.hook(SECRET));
    assert_eq!(command.output().unwrap().status.code(), Some(4));
    let sent = notifications(&github);
    assert_eq!(sent.len(), 1);
    assert!(sent[0].to_string().contains("127.0.0.1 refuses the connection"), "{}", sent[0]);
}

#[test]
fn a_failed_notification_is_noted_and_fails_nothing() {
    let (bed, github) = bed("untold");
    let no = "Resource not accessible by integration";
    github.refuse("POST /repos/ann/side/deployments", Refusal::new(403, no));
    github.refuse("POST /repos/ann/side/statuses/", Refusal::new(403, no));
    for _ in 0..2 {
        github.refuse("POST /hook/T0", Refusal::new(404, "no_service"));
    }
    github.refuse("POST /hook/other", Refusal::new(429, "slow down").header("retry-after", "1"));
    github.refuse("POST /hook/other", Refusal::new(500, "oops"));
    run(&bed, &github, &["sync"])
        .exits(0)
        .prints("note: no deployment on GitHub (GitHub says 403: Resource not accessible by integration): the job needs `permissions: deployments: write`")
        .prints("note: no commit status on GitHub (GitHub says 403")
        .prints("note: no Slack notification: the server answered 404");
    assert_eq!(notifications(&github).len(), 2, "what passes is tried again");
    assert!(states(&github).is_empty());
    // No server listens.
    bed.write("services/app/web.conf", "two");
    bed.commit();
    let mut command = bed.call(["sync"]).command();
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_API_URL", "http://127.0.0.1:1")
        .env("GITHUB_REPOSITORY", REPOSITORY);
    command.env("GITHUB_TOKEN", TOKEN).env("HOOK_URL", format!("http://127.0.0.1:1/{SECRET}"));
    let ran = Output::new("sync".to_owned(), &command.output().unwrap()).exits(0);
    let ran = ran
        .prints("note: no deployment on GitHub: GitHub was not reached")
        .prints("no webhook notification: ");
    let ran = ran.prints("no Slack notification: the variable SLACK_WEBHOOK_URL is not set");
    let shown: String = ran.all().lines().filter(|line| !line.starts_with("::add-mask::")).collect();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(bed.on_host("app/web.conf"), "two");
}

#[test]
fn deployments_and_statuses_can_be_turned_off() {
    let (bed, github) = bed("nodeploy");
    bed.write(
        "ghdeploy.yml",
        "health: {stable_for: 1s, timeout: 30s}\ngithub: {deployments: false, statuses: false}\n",
    );
    run(&bed, &github, &["sync"]).exits(0).never_prints("note: ");
    assert_eq!(github.requests(), [""; 0]);
}

#[test]
fn two_signals_end_the_wait_for_notifications() {
    let (bed, _) = bed("hanging");
    // It accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = bed.call(["sync"]).command();
    command.env("HOOK_URL", format!("http://{}/x", silent.local_addr().unwrap()));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The outcome is shown before the notifications are sent.
    assert!(lines.any(|line| line.unwrap().contains("host 127.0.0.1: release 1")));
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(300));
        drop(stdout_of(Command::new("kill").args(["-INT", &child.id().to_string()])));
    }
    program::wait(child, "sync".to_owned(), Duration::from_secs(10))
        .exits(0)
        .prints("note: notifications were not sent: an immediate stop was requested");
}
