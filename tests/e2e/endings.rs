//! However a run ends, its outputs, its annotations and what others are told of it are true.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::github::Refusal;
use crate::runner::{Runner, run};
use crate::support::{program, wait};

/// A repository with one project.
fn runner() -> Runner {
    let runner = Runner::new();
    runner.write("services/app/compose.yml", "services:\n  web: {image: 'a:1'}\n");
    runner.commit();
    runner
}

/// The outputs `result` and `gate` of the last run; empty if it has none.
fn ending(runner: &Runner) -> (String, String) {
    let text = std::fs::read_to_string(runner.beside("output")).unwrap_or_default();
    let of = |name: &str| match text.contains(&format!("{name}<<")) {
        true => runner.output(name),
        false => String::new(),
    };
    (of("result"), of("gate"))
}

#[test]
fn an_error_in_the_command_line_is_an_annotation_and_invalid() {
    let runner = runner();
    for (args, more, message, help, gate) in [
        (
            &["sync", "--prunee"][..],
            "",
            "unexpected argument '--prunee' found",
            "a similar argument exists: '--prune'",
            "",
        ),
        (&["sync --prune"], "", "unrecognized subcommand 'sync --prune'", "options go into `args`", ""),
        (&[""], "", "no command is given", "the action's input `command` names one", ""),
        (&["plan"], "--parallel 2", "unexpected argument '--parallel' found", "`ghdeploy plan --help`", ""),
        (
            &["build"],
            "--timeout soon",
            "invalid value 'soon' for '--timeout <DURATION>'",
            "`ghdeploy build --help` lists its options",
            "closed",
        ),
        (
            &["plan"],
            "--base \"x",
            "GHDEPLOY_ARGS has a quote that is not closed",
            "the action's input `args`",
            "",
        ),
    ] {
        let mut command = runner.event("push", &json!({}), args);
        let output = run(command.env("GHDEPLOY_ARGS", more)).exits(2);
        let output = output.prints(&format!("::error::{message}"));
        output.prints(help);
        assert_eq!(ending(&runner), ("invalid".to_owned(), gate.to_owned()), "{args:?}");
        let summary = std::fs::read_to_string(runner.beside("summary")).unwrap();
        assert!(summary.contains(&format!("error: {message}")), "{summary}");
    }
    // Help is a result.
    run(&mut runner.event("push", &json!({}), &["gate", "--help"])).exits(0).never_prints("::error::");
    assert_eq!(ending(&runner), (String::new(), String::new()));
}

#[test]
fn options_may_go_on_over_several_lines() {
    let runner = runner();
    let mut command = runner.event("push", &json!({}), &["plan"]);
    command.env("GHDEPLOY_ARGS", "--project app \\\r\n  --format json\n");
    let plan = run(&mut command).exits(0).json();
    assert_eq!(plan["hosts"][0]["projects"][0]["name"], "app");
}

#[test]
fn a_gate_is_closed_whatever_it_fails_with() {
    let runner = runner();
    runner.github.refuse("GET /", Refusal::new(401, "Bad credentials"));
    run(&mut runner.event("push", &json!({}), &["gate", "--check", "test"])).exits(2);
    assert_eq!(ending(&runner), ("invalid".to_owned(), "closed".to_owned()));
    runner.write("ghdeploy.yml", "nonsense: true\n");
    for command in ["gate", "build"] {
        run(&mut runner.event("push", &json!({}), &[command]))
            .exits(2)
            .prints("::error file=ghdeploy.yml,line=1");
        assert_eq!(ending(&runner), ("invalid".to_owned(), "closed".to_owned()));
    }
    run(&mut runner.event("push", &json!({}), &["plan"])).exits(2);
    assert_eq!(ending(&runner), ("invalid".to_owned(), String::new()));
}

#[test]
fn a_cancelled_gate_is_closed() {
    for signal in ["-INT", "-TERM"] {
        let runner = runner();
        let args = ["gate", "--check", "test", "--timeout", "10m"];
        let mut command = runner.event("push", &json!({}), &args);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait::until("the gate waits for the check", || {
            runner.github.requests().iter().any(|request| request.contains("/statuses"))
        });
        assert!(
            std::process::Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
        program::wait(child, args.join(" "), Duration::from_secs(60)).exits(130).prints("cancelled");
        assert_eq!(ending(&runner), ("cancelled".to_owned(), "closed".to_owned()));
    }
}

#[test]
fn a_sync_that_is_cancelled_before_it_changes_anything_is_cancelled() {
    let runner = runner();
    // A server that never says a word.
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("deploy@127.0.0.1:{}", server.local_addr().unwrap().port());
    let mut command = runner.event("push", &json!({}), &["sync", "--host", &host]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _connection = server.accept().unwrap();
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let output = program::wait(child, "sync".to_owned(), Duration::from_secs(60));
    output.exits(4).prints("stopped by a signal").prints("nothing was changed");
    assert_eq!(ending(&runner).0, "cancelled");
}

#[test]
fn a_command_that_only_shows_something_has_a_result() {
    let runner = runner();
    let local = format!("local:{}", runner.beside("root").display());
    run(&mut runner.event("push", &json!({}), &["history", "--host", &local])).exits(0);
    assert_eq!(ending(&runner).0, "done");
    run(&mut runner.event("push", &json!({}), &["history", "--host", "nobody@127.0.0.1:1"])).exits(4);
    assert_eq!(ending(&runner).0, "unreachable");
}

#[test]
fn what_a_deploy_leaves_to_the_next_one_is_told_to_nobody_as_done() {
    let runner = runner();
    runner.write("ghdeploy.yml", "notify: {slack: CHAT, webhook: HOOK}\n");
    runner.commit();
    let local = format!("local:{}", runner.beside("root").display());
    let mut command = runner.event("push", &json!({}), &["sync", "--no-restart", "--host", &local]);
    command.env("CHAT", runner.github.hook("chat")).env("HOOK", runner.github.hook("other"));
    run(&mut command)
        .exits(0)
        .prints("owed     up  web")
        .prints("1 project done: 1 file; 1 action still owed");
    let state = runner.github.state();
    assert_eq!(state.states.values().collect::<Vec<_>>(), [&["pending", "in_progress"]]);
    let status = &state.statuses[0];
    assert_eq!((&status["state"], &status["context"]), (&json!("pending"), &json!("ghdeploy/local")));
    assert!(status["description"].as_str().unwrap().contains("1 action still owed"), "{status}");
    let [chat, hook] = <[serde_json::Value; 2]>::try_from(state.hooks.clone()).unwrap();
    assert_eq!(chat["text"], "local: 1 project done, 1 action still owed");
    assert_eq!(chat["blocks"][1]["text"]["text"], "`app` done: 1 file; still owed: 1 up\n_release 1_");
    assert_eq!((&hook["event"], &hook["owed"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(hook["outcome"]["hosts"][0]["projects"][0]["actions"][0]["result"], "owed");
    drop(state);
    assert_eq!((runner.output("result"), runner.output("owed")), ("done".to_owned(), "1".to_owned()));
    let summary = std::fs::read_to_string(runner.beside("summary")).unwrap();
    assert!(summary.starts_with("### ghdeploy: 1 project done, 1 action still owed\n"), "{summary}");
}
