//! Hostile and broken hosts: what they send and do not send, the client ends in bounded time and memory.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ghdeploy::base::error::{Error, Exit};
use ghdeploy::host::{Command, ComposeFolder, Driver, Notices, Remote, Start, Starting, Transport};
use ghdeploy::state::question::HostOnlyQuestion;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::time::Instant;

/// What a host does with its ends of the streams.
type Script = Box<dyn Fn(Ends) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The host's ends of the streams.
struct Ends {
    stdin: BufReader<DuplexStream>,
    stdout: DuplexStream,
    stderr: DuplexStream,
    sent: Arc<AtomicU64>,
}

impl Ends {
    /// Reads the driver and starts like one.
    async fn start(&mut self) {
        let mut line = String::new();
        while !line.starts_with("ghdeploy ") {
            line.clear();
            if self.stdin.read_line(&mut line).await.unwrap() == 0 {
                return;
            }
        }
        let [size, mark, ..] = line.split_whitespace().skip(1).collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let mut code = vec![0; size.parse().unwrap()];
        self.stdin.read_exact(&mut code).await.unwrap();
        self.send(&format!("\n{mark}\n")).await;
    }

    /// Prints a text, as long as somebody reads it.
    async fn send(&mut self, text: &str) -> bool {
        self.sent.fetch_add(text.len() as u64, Ordering::Relaxed);
        self.stdout.write_all(text.as_bytes()).await.is_ok()
    }

    /// Prints a text again and again.
    async fn flood(&mut self, text: &str) {
        while self.send(text).await {
            tokio::task::yield_now().await;
        }
    }

    /// Answers heartbeats, and nothing else.
    async fn answer_heartbeats(&mut self) {
        let mut line = String::new();
        while self.stdin.read_line(&mut line).await.unwrap_or(0) > 0 {
            if line.ends_with("0 heartbeat\n") && !self.send("{\"id\":0,\"event\":\"done\",\"rc\":0}\n").await
            {
                return;
            }
            line.clear();
        }
    }
}

/// A host that follows a script.
struct Evil {
    script: Script,
    sent: Arc<AtomicU64>,
}

impl Evil {
    fn new<F: Future<Output = ()> + Send + 'static>(
        script: impl Fn(Ends) -> F + Send + Sync + 'static,
    ) -> Self {
        Self { script: Box::new(move |ends| Box::pin(script(ends))), sent: Arc::default() }
    }

    /// Calls a command on this host. Returns the error, the notices, and how long it took.
    async fn call(&self, command: &Command) -> (Error, Vec<String>, Duration) {
        let begin = Instant::now();
        let notices = Notices::default();
        let driver = Driver::start_with(self, Start::default(), notices.clone()).await.unwrap();
        let error = driver.call(command).await.unwrap_err();
        driver.end().await;
        (error, std::iter::from_fn(|| notices.take()).collect(), begin.elapsed())
    }

    /// Bytes that were sent, of which a buffer may still hold some.
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Transport for Evil {
    fn start(&self) -> Starting<'_> {
        Box::pin(async {
            let (stdin, theirs) = tokio::io::duplex(64 << 10);
            let (stdout, ours) = tokio::io::duplex(64 << 10);
            let (stderr, errors) = tokio::io::duplex(64 << 10);
            let ends = Ends { stdin: BufReader::new(theirs), stdout, stderr, sent: Arc::clone(&self.sent) };
            let script = tokio::spawn((self.script)(ends));
            Ok(Remote {
                stdin: Box::new(stdin),
                stdout: Box::new(ours),
                stderr: Box::new(errors),
                exit: Box::pin(async { script.await.map(|()| 0).map_err(|error| error.to_string()) }),
            })
        })
    }

    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {})
    }
}

fn pull() -> Command {
    Command::Compose {
        dir: "blog".to_owned(),
        folder: ComposeFolder::Live,
        argv: ["--ansi", "never", "pull", "--quiet"].map(str::to_owned).to_vec(),
    }
}

fn lock(wait_secs: u64) -> Command {
    Command::OpenToWrite { root: "/srv".to_owned(), wait_secs, holder: "{}".to_owned() }
}

#[track_caller]
fn says(error: &Error, text: &str) {
    assert_eq!(error.exit, Exit::Unreachable);
    assert!(error.to_string().starts_with(text), "{error}");
    assert!(error.diagnostics[0].help.as_ref().is_some_and(|help| !help.is_empty()));
}

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn a_line_without_end_is_given_up() {
    let evil = Evil::new(|mut host| async move {
        host.start().await;
        host.flood(&"x".repeat(64 << 10)).await;
    });
    says(&evil.call(&pull()).await.0, "the host sends a line without end");
    assert!(evil.sent() < 66 * MIB, "{}", evil.sent());
}

#[tokio::test]
async fn login_files_that_print_without_end_are_given_up() {
    for text in ["x", "welcome\n"] {
        let evil = Evil::new(move |mut host| async move { host.flood(&text.repeat(8 << 10)).await });
        says(&evil.call(&pull()).await.0, "the login files on the host print without end");
        assert!(evil.sent() < 2 * MIB, "{}", evil.sent());
    }
}

#[tokio::test]
async fn events_without_end_are_given_up() {
    let entry = format!("{{\"id\":1,\"event\":\"entry\",\"text\":\"{}\"}}\n", "x".repeat(8 << 10));
    let evil = Evil::new(move |mut host| {
        let entry = entry.clone();
        async move {
            host.start().await;
            host.flood(&entry).await;
        }
    });
    let wants =
        Command::Facts { wants: Vec::new(), containers: false, question: HostOnlyQuestion::default() };
    says(&evil.call(&wants).await.0, "the host sends an answer without end");
    assert!(evil.sent() < 66 * MIB, "{}", evil.sent());
}

#[tokio::test]
async fn answers_to_commands_that_were_never_sent_are_given_up() {
    for line in [
        "{\"id\":77,\"event\":\"done\",\"rc\":0}\n",
        "no event at all\n",
        "\n",
        "{\"id\":0,\"event\":\"waiting\"}\n",
    ] {
        let evil = Evil::new(move |mut host| async move {
            host.start().await;
            host.flood(&line.repeat(1000)).await;
        });
        says(&evil.call(&pull()).await.0, "the host sends something else than answers");
        assert!(evil.sent() < 18 * MIB, "{line}: {}", evil.sent());
    }
}

#[tokio::test]
async fn an_endless_stderr_is_read_but_not_kept() {
    let evil = Evil::new(|mut host| async move {
        for _ in 0..1000 {
            let _ = host.stderr.write_all("no line break ".repeat(2000).as_bytes()).await;
        }
    });
    let (error, ..) = evil.call(&pull()).await;
    says(&error, "the connection to the host was lost");
    assert!(error.diagnostics[0].help.as_ref().unwrap().len() < 70_000);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_driver_is_noticed_and_then_given_up() {
    let evil = Evil::new(|mut host| async move {
        host.start().await;
        std::future::pending::<()>().await;
    });
    let (error, notices, took) = evil.call(&pull()).await;
    says(&error, "no answer from the host for 120 s, while waiting for `docker compose pull` in blog");
    assert_eq!(
        notices,
        [
            "no answer from the host for 20 s, still waiting for `docker compose pull` in blog",
            "no answer from the host for 80 s, still waiting for `docker compose pull` in blog",
        ]
    );
    assert!(took < Duration::from_secs(150), "{took:?}");
    // The driver itself is at this step and answers no heartbeat.
    let (error, _, took) = evil.call(&Command::Swap("blog".to_owned())).await;
    says(&error, "no answer from the host for 600 s, while waiting for the files of blog");
    assert!(took < Duration::from_secs(650), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_takes_no_input_is_given_up() {
    let evil = Evil::new(|mut host| async move {
        host.start().await;
        std::future::pending::<()>().await;
    });
    let argv = vec!["x".repeat(1 << 20)];
    let command = Command::Compose { dir: "blog".to_owned(), folder: ComposeFolder::Live, argv };
    says(&evil.call(&command).await.0, "no answer from the host for 120 s, while waiting for");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_never_ends_is_given_up() {
    let evil = Evil::new(|mut host| async move {
        host.start().await;
        host.answer_heartbeats().await;
    });
    let (error, notices, took) = evil.call(&pull()).await;
    says(&error, "timed out after 120 min waiting for `docker compose pull` in blog");
    assert!(notices.is_empty(), "heartbeats are answered: {notices:?}");
    assert!(took < Duration::from_secs(2 * 3600 + 60), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_lock_ends_whatever_the_host_says() {
    let evil = Evil::new(|mut host| async move {
        host.start().await;
        while host.send("{\"id\":1,\"event\":\"waiting\"}\n").await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let (error, _, took) = evil.call(&lock(300)).await;
    says(&error, "timed out after 7 min waiting for the lock");
    assert!(took < Duration::from_secs(440), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn login_files_that_never_end_are_noticed_and_then_given_up() {
    let evil = Evil::new(|mut host| async move {
        host.send("welcome\n").await;
        std::future::pending::<()>().await;
    });
    let (error, notices, took) = evil.call(&lock(300)).await;
    says(
        &error,
        "the login files on the host did not end within 60 s, or they read stdin, after printing 8 bytes",
    );
    assert_eq!(notices, ["no answer from the host for 20 s, still waiting for its login files to end"]);
    assert!(took < Duration::from_secs(70), "{took:?}");
}
