//! The handle to a driver that runs on a host: commands go out, replies come back.
//!
//! Several tasks may call at once; each reply finds its caller by the number of its command.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::protocol::{Command, DriverEvent, FailureKind};
use super::transport::{Remote, Transport};
use super::{DRIVER, driver_text};
use crate::base::error::{Error, Exit};

/// All that a driver answered to one command.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// The exit status of the command.
    pub rc: i32,
    /// Its events, without the closing one and without lines of text.
    pub events: Vec<DriverEvent>,
    /// What tools printed, line by line. May hold what a container logs: never show it in a plan.
    pub output: Vec<String>,
}

impl Reply {
    /// Whether the command succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.rc == 0
    }
}

type Stdin = Box<dyn tokio::io::AsyncWrite + Send + Unpin>;
type Waiting = Arc<std::sync::Mutex<HashMap<u64, mpsc::UnboundedSender<DriverEvent>>>>;

/// How often the host hears of a client that has nothing to say: several times in the minute after which
/// who waits for the lock takes it for gone.
const BEAT: Duration = Duration::from_secs(10);

/// A driver that runs on a host. It ends when this is dropped: it finishes what it is doing first.
pub struct Driver {
    stdin: Arc<Mutex<Stdin>>,
    waiting: Waiting,
    next: AtomicU64,
    reader: JoinHandle<()>,
    beats: JoinHandle<()>,
    complaints: JoinHandle<()>,
    words: Arc<std::sync::Mutex<String>>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Driver {
    /// Starts a driver on the host.
    ///
    /// # Errors
    ///
    /// When the host cannot be reached; see [`Transport::start`].
    pub async fn start(transport: &dyn Transport) -> Result<Self, Error> {
        let Remote { mut stdin, stdout, stderr, exit } = transport.start().await?;
        let waiting: Waiting = Arc::default();
        let reader = tokio::spawn(read_events(stdout, Arc::clone(&waiting)));
        let words: Arc<std::sync::Mutex<String>> = Arc::default();
        let complaints = tokio::spawn({
            let words = Arc::clone(&words);
            async move {
                let text = read_all(stderr).await;
                let status = exit.await;
                tracing::debug!(?status, "driver ended");
                *lock(&words) = text;
            }
        });
        // If the other side is gone already, the first call says so.
        let _ = stdin.write_all(driver_text().as_bytes()).await;
        tracing::debug!(bytes = DRIVER.len(), "driver sent");
        let stdin = Arc::new(Mutex::new(stdin));
        let beats = tokio::spawn(beat(Arc::clone(&stdin)));
        Ok(Self { stdin, waiting, next: AtomicU64::new(1), reader, beats, complaints, words })
    }

    /// Sends a command and waits until it is through. `on_event` sees each event as it comes.
    ///
    /// # Errors
    ///
    /// When the connection is lost before the command is through: whether it was carried out is
    /// not known then.
    pub async fn call_with(
        &self,
        command: &Command,
        mut on_event: impl FnMut(&DriverEvent) + Send,
    ) -> Result<Reply, Error> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, mut events) = mpsc::unbounded_channel();
        lock(&self.waiting).insert(id, sender);
        let bytes = command.bytes(id);
        tracing::trace!(id, bytes = bytes.len(), "call");
        if self.send(bytes).await.is_err() || self.reader.is_finished() {
            // What was answered before the end is still in the channel.
            lock(&self.waiting).remove(&id);
        }
        let mut reply = Reply::default();
        let mut unread = false;
        while let Some(event) = events.recv().await {
            on_event(&event);
            match event {
                DriverEvent::Done { rc } => {
                    lock(&self.waiting).remove(&id);
                    reply.rc = rc;
                    return if unread {
                        Err(Error::unforeseen("an answer of the host cannot be understood"))
                    } else {
                        Ok(reply)
                    };
                }
                DriverEvent::Output { text } => reply.output.push(text),
                DriverEvent::Failure { kind: FailureKind::Unreadable } => unread = true,
                event => reply.events.push(event),
            }
        }
        Err(self.lost().await)
    }

    /// Writes a command, all of it even if nobody waits for that any more: half a line would spoil the next.
    async fn send(&self, bytes: Vec<u8>) -> std::io::Result<()> {
        let mut stdin = Arc::clone(&self.stdin).lock_owned().await;
        let writing = tokio::spawn(async move {
            stdin.write_all(&bytes).await?;
            stdin.flush().await
        });
        writing.await.unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into()))
    }

    /// As [`Driver::call_with`] without looking at events.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn call(&self, command: &Command) -> Result<Reply, Error> {
        self.call_with(command, |_| {}).await
    }

    /// Ends the driver: it sees the end of its stdin, finishes what it is doing and goes.
    pub async fn end(self) {
        self.beats.abort();
        let _ = self.stdin.lock().await.shutdown().await;
    }

    /// What to say when the driver is gone: with what its side complained, if it did.
    async fn lost(&self) -> Error {
        // The other stream ends with the one that has just ended, or never will.
        for _ in 0..100 {
            if self.complaints.is_finished() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let words = lock(&self.words).clone();
        let words: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
        let missing = |tool: &&str| {
            let says = |line: &str| {
                line.split([' ', ':']).any(|word| word == *tool) && line.to_lowercase().contains("not found")
            };
            words.iter().any(|line| says(line))
        };
        if let Some(tool) = ["sh", "dd"].into_iter().find(missing) {
            return lacks(tool);
        }
        let error = Error::new(Exit::Unreachable, "the connection to the host was lost").transient();
        if words.is_empty() {
            error
        } else {
            error.help(format!("the host's last words: {}", words.join("; ")))
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.beats.abort();
        self.reader.abort();
    }
}

/// Tells a driver again and again that its client is there. Nobody waits for the answer.
async fn beat(stdin: Arc<Mutex<Stdin>>) {
    let mut sent = Ok(());
    while sent.is_ok() {
        tokio::time::sleep(BEAT).await;
        let mut stdin = stdin.lock().await;
        sent = stdin.write_all(&Command::Heartbeat.bytes(0)).await;
        if sent.is_ok() {
            sent = stdin.flush().await;
        }
    }
}

/// What to say of a host without these tools.
pub(super) fn lacks(tools: &str) -> Error {
    Error::new(Exit::Unreachable, format!("the host lacks: {tools}")).help("install them there; on Debian and Ubuntu they are in the packages dash, coreutils, tar, util-linux, findutils, mawk and sed")
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn read_all(mut stream: Box<dyn tokio::io::AsyncRead + Send + Unpin>) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(serde::Deserialize)]
struct Numbered {
    id: u64,
    #[serde(flatten)]
    event: DriverEvent,
}

/// The number of a line that is not understood, if it was meant for a caller: such a line starts
/// like an event, whatever is broken behind that. Other lines are what a login shell's rc files print.
fn number_of(line: &str) -> Option<u64> {
    line.strip_prefix("{\"id\":")?.split_once(',')?.0.parse().ok()
}

/// Hands each event to its caller, until the driver's stdout ends; then all callers see the end.
async fn read_events(stdout: Box<dyn tokio::io::AsyncRead + Send + Unpin>, waiting: Waiting) {
    let mut lines = BufReader::with_capacity(64 * 1024, stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        match serde_json::from_str::<Numbered>(&text) {
            Ok(Numbered { id, event }) => {
                if let Some(caller) = lock(&waiting).get(&id) {
                    let _ = caller.send(event);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a line from the host that is no event");
                if let Some(id) = number_of(&text)
                    && let Some(caller) = lock(&waiting).get(&id)
                {
                    let _ = caller.send(DriverEvent::Failure { kind: FailureKind::Unreadable });
                }
            }
        }
    }
    lock(&waiting).clear();
}
