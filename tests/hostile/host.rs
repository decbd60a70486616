//! Hostile and broken hosts: what they send and do not send, the client ends in bounded time and memory.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ghdeploy::base::error::{Error, Exit};
use ghdeploy::host::{Command, ComposeFolder, Driver, Remote, Starting, Transport};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

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
        let [size, mark] = line.split_whitespace().skip(1).collect::<Vec<_>>()[..] else { panic!("{line}") };
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

    /// Calls a command on this host, and returns the error.
    async fn call(&self, command: &Command) -> Error {
        let driver = Driver::start(self).await.unwrap();
        let error = driver.call(command).await.unwrap_err();
        driver.end().await;
        error
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
    says(&evil.call(&pull()).await, "the host sends a line without end");
    assert!(evil.sent() < 66 * MIB, "{}", evil.sent());
}

#[tokio::test]
async fn login_files_that_print_without_end_are_given_up() {
    for text in ["x", "welcome\n"] {
        let evil = Evil::new(move |mut host| async move { host.flood(&text.repeat(8 << 10)).await });
        says(&evil.call(&pull()).await, "the login files on the host print without end");
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
    let wants = Command::Facts { wants: Vec::new(), containers: false };
    says(&evil.call(&wants).await, "the host sends an answer without end");
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
        says(&evil.call(&pull()).await, "the host sends something else than answers");
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
    let error = evil.call(&pull()).await;
    says(&error, "the connection to the host was lost");
    assert!(error.diagnostics[0].help.as_ref().unwrap().len() < 70_000);
}
