//! Secrets that were given to a workflow run and are empty are reported first, and as that.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::bed::{privileged, stdout_of};
use crate::runner::{Runner, run};
use crate::support::program;

const TOP: &str = env!("CARGO_MANIFEST_DIR");

const DEPENDABOT: &str = "only the secrets under Settings, Secrets and variables, Dependabot";
const FORK: &str = "GitHub gives runs for pull requests from forks no secrets";
const SPELLING: &str = "check the spelling of the secret's name";

/// A repository whose host is reached over SSH.
fn runner() -> Runner {
    let runner = Runner::new();
    runner.write("ghdeploy.yml", "hosts: {web: {ssh: 'deploy@127.0.0.1:1'}}\n");
    runner.write("services/app/compose.yml", "services:\n  web: {image: 'a:1'}\n");
    runner.commit();
    runner
}

/// The step of the action for an event, in this shell.
fn step(runner: &Runner, shell: &[&str], event: &str, command: &str) -> Command {
    let mut step = Command::new(shell[0]);
    step.args(&shell[1..]).arg(Path::new(TOP).join(".github/action/run.sh")).env_clear();
    let ghdeploy = runner.event(event, &json!({}), &[]);
    step.envs(ghdeploy.get_envs().filter_map(|(name, value)| Some((name, value?))));
    step.env_remove("GITHUB_EVENT_PATH").env("GITHUB_ACTOR", "ann").current_dir(runner.top());
    step.env("BINARY", env!("CARGO_BIN_EXE_ghdeploy")).env("COMMAND", command);
    step
}

#[test]
fn empty_inputs_are_the_first_error_with_the_likely_reason() {
    let runner = runner();
    let known = "web ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA";
    for (shell, event, actor, key, keys, what, why) in [
        (
            &["sh"][..],
            "pull_request",
            "dependabot[bot]",
            "",
            "",
            "`ssh-key` and `known-hosts` are empty",
            DEPENDABOT,
        ),
        (&["dash"], "pull_request", "ann", "", "", "`ssh-key` and `known-hosts` are empty", FORK),
        (&["bash"], "push", "ann", " \n", known, "`ssh-key` is empty", SPELLING),
        (&["busybox", "sh"], "push", "ann", "none", "\n", "`known-hosts` is empty", SPELLING),
    ] {
        for command in ["sync", "status", "doctor", "rollback"] {
            let mut step = step(&runner, shell, event, command);
            step.env("GITHUB_ACTOR", actor)
                .env("SSH_KEY", key)
                .env("KNOWN_HOSTS", keys)
                .env("GHDEPLOY_HOST", "");
            let output = run(&mut step).exits(2);
            let first = output.stderr.lines().next().unwrap();
            assert!(first.starts_with(&format!("error: {what}: ")), "{}", output.all());
            output.prints(why).prints(&format!("::error::{what}")).never_prints("ssh-keyscan");
            assert_eq!(runner.output("result"), "invalid");
        }
    }
}

#[test]
fn empty_inputs_come_before_the_errors_of_the_configuration() {
    let runner = runner();
    runner.write("ghdeploy.yml", "nonsense: true\n");
    let mut both = step(&runner, &["sh"], "push", "sync");
    let output =
        run(both.env("SSH_KEY", "").env("KNOWN_HOSTS", "")).exits(2).prints("unknown key `nonsense`");
    assert!(output.stderr.starts_with("error: `ssh-key` and `known-hosts` are empty: "), "{}", output.all());
    // Nothing of it matters to a command that needs no host.
    let mut check = step(&runner, &["sh"], "push", "check");
    run(check.env("SSH_KEY", "").env("KNOWN_HOSTS", "")).exits(2).never_prints("ssh-key");
}

#[test]
fn an_empty_key_on_stdin_is_reported_with_the_same_reason() {
    let runner = runner();
    let mut command = runner.event("push", &json!({}), &["history", "--ssh-key", "-"]);
    let output = program::feed(command.env("GITHUB_ACTOR", "dependabot[bot]"), "\n").exits(2);
    output.prints("error: the private key is empty").prints(DEPENDABOT);
}

#[test]
fn inputs_that_were_not_given_leave_the_login_to_ssh() {
    let runner = runner();
    let known = runner.beside("known");
    std::fs::write(&known, "").unwrap();
    let hosts = known.display().to_string();
    // The defaults of the action, no variable at all, and empty inputs beside variables of the job.
    let jobs: [&[(&str, &str)]; 3] = [
        &[("SSH_KEY", "none"), ("KNOWN_HOSTS", "none")],
        &[],
        &[
            ("SSH_KEY", ""),
            ("KNOWN_HOSTS", ""),
            ("GHDEPLOY_SSH_KEY", "/key"),
            ("GHDEPLOY_KNOWN_HOSTS", &hosts),
        ],
    ];
    for job in jobs {
        let mut step = step(&runner, &["sh"], "push", "history");
        run(step.envs(job.iter().copied())).exits(4).prints("127.0.0.1 refuses the connection");
    }
    // A host on the runner itself needs neither.
    let local = format!("local:{}", runner.beside("root").display());
    let mut step = step(&runner, &["sh"], "push", "history");
    run(step.env("SSH_KEY", "").env("KNOWN_HOSTS", "").env("GHDEPLOY_HOST", local)).exits(0);
    // On a laptop an empty variable is none.
    let mut laptop = program::ghdeploy(runner.top(), runner.top());
    laptop.arg("history").env("GHDEPLOY_SSH_KEY", "").env("GHDEPLOY_KNOWN_HOSTS", "");
    program::run(&mut laptop).exits(4).prints("127.0.0.1 refuses the connection");
}

#[test]
fn an_empty_host_is_reported_only_if_nothing_else_names_one() {
    let runner = runner();
    runner.write("ghdeploy.yml", "keep: 3\n");
    let mut only = step(&runner, &["sh"], "push", "sync");
    only.env("GHDEPLOY_HOST", "");
    run(&mut only).exits(2).prints("error: no host is given: `host` is empty").prints(SPELLING);
    let mut all = step(&runner, &["sh"], "push", "sync");
    all.env("GHDEPLOY_HOST", "").env("SSH_KEY", "").env("KNOWN_HOSTS", "");
    run(&mut all).exits(2).prints("error: `host`, `ssh-key` and `known-hosts` are empty: their secrets");
}

#[test]
fn an_empty_address_of_a_webhook_is_reported_before_the_deploy_and_does_not_fail_it() {
    let runner = runner();
    runner.write(
        "ghdeploy.yml",
        "notify: {slack: CHAT, webhook: HOOK}\ngithub: {deployments: false, statuses: false}\n",
    );
    let local = format!("local:{}", runner.beside("root").display());
    let mut command = runner.event("push", &json!({}), &["sync", "--no-restart", "--host", &local]);
    let output = run(command.env("CHAT", " ").env("GITHUB_ACTOR", "dependabot[bot]")).exits(0);
    assert!(
        output.stderr.starts_with("warning: no Slack notification: the variable CHAT is empty\n"),
        "{}",
        output.all()
    );
    let output =
        output.prints(DEPENDABOT).prints("::warning::no Slack notification: the variable CHAT is empty");
    let output = output.prints("no webhook notification: the variable HOOK is not set");
    output.prints("`HOOK: ${{ secrets.HOOK }}`").prints("1 project done");
}

#[test]
fn an_empty_token_is_reported_by_the_commands_that_need_it() {
    let runner = runner();
    for (args, what) in [
        (&["gate", "--check", "test"][..], "no token to read checks with: `github-token` is empty"),
        (&["comment"], "no token to write a comment with: `github-token` is empty"),
    ] {
        let mut command = runner.event("push", &json!({}), args);
        command.env("GITHUB_TOKEN", "").env("GHDEPLOY_GITHUB_TOKEN", "\n");
        run(&mut command).exits(2).prints(&format!("error: {what}")).prints(SPELLING);
        assert_eq!(runner.output("result"), "invalid");
    }
    let local = format!("local:{}", runner.beside("root").display());
    let mut command = runner.event("push", &json!({}), &["sync", "--no-restart", "--host", &local]);
    let output = run(command.env("GITHUB_TOKEN", "")).exits(0);
    output
        .prints("warning: no deployment and no commit status on GitHub: `github-token` is empty")
        .prints(SPELLING);
}

#[test]
fn a_user_without_an_entry_in_passwd_is_told_what_ssh_says() {
    let dir = tempfile::Builder::new().prefix("ghdeploy-test-").tempdir().unwrap();
    stdout_of(Command::new("chmod").arg("755").arg(dir.path()));
    let binary = dir.path().join("ghdeploy");
    // Not by this process: a child that another test starts meanwhile would hold it open for writing.
    stdout_of(Command::new("cp").arg(env!("CARGO_BIN_EXE_ghdeploy")).arg(&binary));
    std::fs::create_dir(dir.path().join("repo")).unwrap();
    let mut command =
        privileged(["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "env", "-i", "HOME=/tmp"]);
    command.arg(format!("PATH={}", std::env::var("PATH").unwrap())).arg(binary);
    command.arg("-C").arg(dir.path().join("repo")).args(["history", "--host", "deploy@127.0.0.1:1"]);
    let output = program::run(&mut command).exits(4);
    output.prints("error: ssh does not run as this user: No user exists for uid 54321").prints("/etc/passwd");
}
