//! Notifications of chats and of Gatus, as their servers get them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::runner::{Runner, run};
use crate::support::program::Output;

const TOKEN: &str = "123456:hunter2-hunter2";

const CONFIG: &str = "\
notify:
  discord: DISCORD_WEBHOOK_URL
  telegram: {token: BOT_TOKEN, chat: '@deploys', api: BOT_API}
  ntfy: {url: NTFY_URL, token: NTFY_TOKEN}
  gatus: {url: GATUS_URL, token: GATUS_TOKEN}
  start: true
github: {deployments: false, statuses: false}
";

/// A request that the server got.
#[derive(Debug, Clone)]
struct Request {
    /// Such as `POST /path?query`.
    line: String,
    authorization: Option<String>,
    body: Value,
}

/// A server for all of them.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers every request with a status.
    fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let got = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let mut head = Vec::new();
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                        break;
                    }
                    head.push(line.trim_end().to_owned());
                }
                let header = |name: &str| {
                    let mut pairs = head.iter().filter_map(|line| line.split_once(": "));
                    pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
                };
                let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let line = head[0].trim_end_matches(" HTTP/1.1").to_owned();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                got.lock().unwrap().push(Request { line, authorization: header("authorization"), body });
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = reader.get_mut().write_all(answer.as_bytes());
            }
        });
        Self { port, requests }
    }

    fn taken(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn runner() -> Runner {
    let runner = Runner::new();
    runner.write("ghdeploy.yml", CONFIG);
    runner.write("services/app/compose.yml", "services:\n  web: {image: 'a:1'}\n");
    runner.commit();
    runner
}

fn sync(runner: &Runner, port: u16) -> Command {
    let local = format!("local:{}", runner.beside("root").display());
    let mut command = runner.event("push", &json!({}), &["sync", "--no-restart", "--host", &local]);
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    command.env("DISCORD_WEBHOOK_URL", at("/api/webhooks/1/hunter3")).env("BOT_TOKEN", TOKEN);
    command.env("BOT_API", at("/bots")).env("NTFY_URL", at("/deploys?x=hunter4"));
    command.env("NTFY_TOKEN", "tk_hunter5");
    command.env("GATUS_URL", at("/api/v1/endpoints/ci_deploy/external")).env("GATUS_TOKEN", "hunter6");
    command
}

#[test]
fn each_gets_the_start_and_the_end_in_its_own_form() {
    let (runner, server) = (runner(), Server::start(200));
    run(&mut sync(&runner, server.port)).exits(0).never_prints("no Discord");
    let got = server.taken();
    let lines: Vec<&str> = got.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "POST /api/webhooks/1/hunter3",
            "POST /bots/bot123456:hunter2-hunter2/sendMessage",
            "POST /?x=hunter4",
            "POST /api/webhooks/1/hunter3",
            "POST /bots/bot123456:hunter2-hunter2/sendMessage",
            "POST /?x=hunter4",
            "POST /api/v1/endpoints/ci_deploy/external?success=true",
        ]
    );
    let tokens: Vec<Option<&str>> = got[3..].iter().map(|request| request.authorization.as_deref()).collect();
    assert_eq!(tokens, [None, None, Some("Bearer tk_hunter5"), Some("Bearer hunter6")]);
    assert_eq!(got[0].body["embeds"][0]["title"], "Deploying to local");
    assert_eq!(got[3].body["embeds"][0]["title"], "local\\: 1 project done, 1 action still owed");
    assert_eq!(got[3].body["embeds"][0]["url"], "https://github.com/ann/side/actions/runs/118");
    assert_eq!((&got[4].body["chat_id"], &got[4].body["parse_mode"]), (&json!("@deploys"), &json!("HTML")));
    assert_eq!((&got[5].body["topic"], &got[5].body["priority"]), (&json!("deploys"), &json!(3)));
    // Nothing to do is no news, but the state of the endpoint.
    run(&mut sync(&runner, server.port)).exits(0);
    let got = server.taken();
    assert_eq!(got.len(), 1, "{got:?}");
    assert!(got[0].line.ends_with("success=true"), "{got:?}");
    // A failure is urgent, and names its cause.
    runner.write("services/app/compose.yml", "services:\n  web: {imag: 'a:1'}\n");
    runner.commit();
    run(&mut sync(&runner, server.port)).exits(5);
    let got = server.taken();
    assert_eq!(got.len(), 4, "{got:?}");
    assert_eq!(got[2].body["priority"], 4);
    let text = got[2].body["message"].as_str().unwrap();
    assert!(text.starts_with("app failed, nothing was changed\n"), "{text}");
    assert!(got[3].line.contains("success=false&error=local%3A+deploy+failed%3A+app%3A+"), "{got:?}");
}

#[test]
fn what_is_refused_is_noted_without_a_secret_and_fails_nothing() {
    let (runner, server) = (runner(), Server::start(403));
    let shown = |output: &Output| -> String {
        output.all().lines().filter(|line| !line.starts_with("::add-mask::")).collect()
    };
    let mut output =
        run(&mut sync(&runner, server.port)).exits(0).prints("::add-mask::123456:hunter2-hunter2");
    for kind in ["Discord", "Telegram", "ntfy", "Gatus"] {
        output = output.prints(&format!("note: no {kind} notification: the server answered 403"));
    }
    assert!(!shown(&output).contains("hunter"), "{}", output.all());
    // No server listens.
    let config = "notify: {telegram: {token: BOT_TOKEN, chat: '@deploys', api: BOT_API}}\ngithub: {deployments: false, statuses: false}\n";
    runner.write("ghdeploy.yml", config).write("services/app/x", "1");
    runner.commit();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = run(&mut sync(&runner, port)).exits(0).prints("note: no Telegram notification: ");
    assert!(!shown(&output).contains("hunter"), "{}", output.all());
}

#[test]
fn variables_that_are_of_no_use_are_named_before_the_deploy() {
    let (runner, server) = (runner(), Server::start(200));
    let mut command = sync(&runner, server.port);
    command.env("DISCORD_WEBHOOK_URL", "hunter3").env("BOT_TOKEN", "hunter2 hunter2").env("NTFY_TOKEN", "");
    let output = run(command.env("GATUS_URL", format!("http://127.0.0.1:{}/hunter6", server.port))).exits(0);
    let output = output
        .prints("::warning::no Discord notification: the variable DISCORD_WEBHOOK_URL does not hold a URL")
        .prints("no Telegram notification: the variable BOT_TOKEN does not hold the token of a bot")
        .prints("no ntfy notification: the variable NTFY_TOKEN is empty")
        .prints("no Gatus notification: the variable GATUS_URL is no external endpoint");
    let shown: String = output.all().lines().filter(|line| !line.starts_with("::add-mask::")).collect();
    assert!(!shown.contains("hunter"), "{shown}");
    assert_eq!(server.taken().len(), 0);
    let mut command = sync(&runner, server.port);
    run(command.env("NTFY_URL", format!("http://127.0.0.1:{}/", server.port)).env_remove("BOT_API"))
        .exits(0)
        .prints("no ntfy notification: the variable NTFY_URL names no topic")
        .prints("no Telegram notification: the variable BOT_API is not set");
}
