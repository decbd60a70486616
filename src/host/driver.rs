//! The handle to a driver that runs on a host: commands go out, replies come back.
//!
//! Several tasks may call at once; each reply finds its caller by the number of its command.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::driver_text;
use super::protocol::{Command, DriverEvent, END_OF_PIECES, FailureKind, piece};
use super::transport::{Remote, Transport};
use crate::base::error::{Error, Exit};
use crate::state::container::Container;

/// Everything that a driver answered to one command.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// The exit status of the command.
    pub rc: i32,
    /// Its events, without the closing one and without lines of text.
    pub events: Vec<DriverEvent>,
    /// Lines that tools printed. They may hold what a container logs: never show them in a plan.
    pub output: Vec<String>,
}

impl Reply {
    /// Whether the command succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.rc == 0
    }

    /// Returns the containers that it reports.
    #[must_use]
    pub fn into_containers(self) -> Vec<Container> {
        let containers = self.events.into_iter().filter_map(|event| match event {
            DriverEvent::Container { container } => Some(*container),
            _ => None,
        });
        containers.collect()
    }
}

type Stdin = Box<dyn tokio::io::AsyncWrite + Send + Unpin>;
type Callers = Arc<std::sync::Mutex<HashMap<u64, mpsc::UnboundedSender<DriverEvent>>>>;

/// Time between two heartbeats. The host considers a client dead after one minute of silence, so several may
/// be late.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// A driver that runs on a host. When this is dropped, the driver finishes the command under way and exits.
pub struct Driver {
    stdin: Arc<Mutex<Stdin>>,
    callers: Callers,
    next: AtomicU64,
    reader: JoinHandle<()>,
    heartbeats: JoinHandle<()>,
    /// Reads stderr to its end.
    stderr_reader: JoinHandle<()>,
    stderr: Arc<std::sync::Mutex<String>>,
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
        let callers: Callers = Arc::default();
        let reader = tokio::spawn(read_events(stdout, Arc::clone(&callers)));
        let collected: Arc<std::sync::Mutex<String>> = Arc::default();
        let stderr_reader = tokio::spawn({
            let collected = Arc::clone(&collected);
            async move {
                let text = read_all(stderr).await;
                let status = exit.await;
                tracing::debug!(?status, "driver ended");
                *lock(&collected) = text;
            }
        });
        // If the other side has exited already, the first call reports it.
        let text = packed_driver()?;
        let _ = stdin.write_all(&text).await;
        tracing::debug!(bytes = text.len(), "driver sent");
        let stdin = Arc::new(Mutex::new(stdin));
        let heartbeats = tokio::spawn(send_heartbeats(Arc::clone(&stdin)));
        Ok(Self {
            stdin,
            callers,
            next: AtomicU64::new(1),
            reader,
            heartbeats,
            stderr_reader,
            stderr: collected,
        })
    }

    /// Sends a command and waits until it is done. `on_event` gets each event when it arrives.
    ///
    /// # Errors
    ///
    /// When the connection is lost before the command is done. Whether the command was carried out is then
    /// unknown.
    pub async fn call_with(
        &self,
        command: &Command,
        on_event: impl FnMut(&DriverEvent) + Send,
    ) -> Result<Reply, Error> {
        let (id, events) = self.register();
        let bytes = command.bytes(id);
        tracing::trace!(id, bytes = bytes.len(), "call");
        let sent = self.send(bytes).await;
        self.reply(id, events, sent, on_event).await
    }

    /// Does the same for a command that data follows in pieces. If the caller is dropped, the data ends after
    /// the piece under way, and the host sees a stream that is cut off.
    ///
    /// # Errors
    ///
    /// See [`Driver::call_with`].
    pub(super) async fn call_with_pieces(
        &self,
        command: &Command,
        pieces: mpsc::Receiver<Vec<u8>>,
    ) -> Result<Reply, Error> {
        let (id, events) = self.register();
        let stdin = Arc::clone(&self.stdin).lock_owned().await;
        let (caller, dropped) = oneshot::channel();
        let sending = tokio::spawn(send_pieces(stdin, command.bytes(id), pieces, dropped));
        let sent = sending.await.unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into()));
        let reply = self.reply(id, events, sent, |_| {}).await;
        drop::<oneshot::Sender<()>>(caller);
        reply
    }

    /// Numbers a command; its events come from the receiver.
    fn register(&self) -> (u64, mpsc::UnboundedReceiver<DriverEvent>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::unbounded_channel();
        lock(&self.callers).insert(id, sender);
        (id, events)
    }

    /// Waits until a command is done.
    async fn reply(
        &self,
        id: u64,
        mut events: mpsc::UnboundedReceiver<DriverEvent>,
        sent: std::io::Result<()>,
        mut on_event: impl FnMut(&DriverEvent) + Send,
    ) -> Result<Reply, Error> {
        if sent.is_err() || self.reader.is_finished() {
            // Answers that arrived before the end are still in the channel.
            lock(&self.callers).remove(&id);
        }
        let mut reply = Reply::default();
        let mut is_unreadable = false;
        while let Some(event) = events.recv().await {
            on_event(&event);
            match event {
                DriverEvent::Done { rc } => {
                    lock(&self.callers).remove(&id);
                    reply.rc = rc;
                    return if is_unreadable {
                        Err(Error::unforeseen("the host's answer cannot be parsed"))
                    } else {
                        Ok(reply)
                    };
                }
                DriverEvent::Output { text } => reply.output.push(text),
                DriverEvent::Failure { kind: FailureKind::Unreadable } => is_unreadable = true,
                event => reply.events.push(event),
            }
        }
        Err(self.lost().await)
    }

    /// Writes a whole command, also if the caller is dropped meanwhile: half a line would corrupt the next
    /// command.
    async fn send(&self, bytes: Vec<u8>) -> std::io::Result<()> {
        let mut stdin = Arc::clone(&self.stdin).lock_owned().await;
        let writing = tokio::spawn(async move {
            stdin.write_all(&bytes).await?;
            stdin.flush().await
        });
        writing.await.unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into()))
    }

    /// Does the same as [`Driver::call_with`] without looking at events.
    ///
    /// # Errors
    ///
    /// See there.
    pub async fn call(&self, command: &Command) -> Result<Reply, Error> {
        self.call_with(command, |_| {}).await
    }

    /// Closes the driver's stdin: it finishes the command under way and exits.
    pub async fn end(self) {
        self.heartbeats.abort();
        let _ = self.stdin.lock().await.shutdown().await;
    }

    /// Returns the error of a driver that has exited, with what it printed to stderr.
    async fn lost(&self) -> Error {
        // stderr ends together with stdout, which has just ended, or never will.
        for _ in 0..100 {
            if self.stderr_reader.is_finished() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let stderr = lock(&self.stderr).clone();
        let lines: Vec<&str> =
            stderr.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
        let missing = |tool: &&str| {
            let says = |line: &str| {
                line.split([' ', ':']).any(|word| word == *tool) && line.to_lowercase().contains("not found")
            };
            lines.iter().any(|line| says(line))
        };
        if let Some(tool) = ["sh", "dd", "gzip"].into_iter().find(missing) {
            return lacks(tool);
        }
        let error = Error::new(Exit::Unreachable, "the connection to the host was lost").transient();
        if lines.is_empty() {
            error
        } else {
            error.help(format!("the host's last output: {}", lines.join("; ")))
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.heartbeats.abort();
        self.reader.abort();
    }
}

/// Sends a command and the pieces that follow it. Nothing else is sent meanwhile, so empty pieces are the
/// heartbeats.
async fn send_pieces(
    mut stdin: OwnedMutexGuard<Stdin>,
    command: Vec<u8>,
    mut pieces: mpsc::Receiver<Vec<u8>>,
    mut dropped: oneshot::Receiver<()>,
) -> std::io::Result<()> {
    stdin.write_all(&command).await?;
    loop {
        let next = tokio::select! {
            biased;
            _ = &mut dropped => break,
            next = pieces.recv() => next,
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => Some(Vec::new()),
        };
        let Some(next) = next else { break };
        stdin.write_all(&piece(&next)).await?;
        // What has arrived is unpacked meanwhile.
        stdin.flush().await?;
    }
    stdin.write_all(END_OF_PIECES).await?;
    stdin.flush().await
}

/// Sends heartbeats to a driver until it has exited. No caller waits for the answers.
async fn send_heartbeats(stdin: Arc<Mutex<Stdin>>) {
    let mut sent = Ok(());
    while sent.is_ok() {
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        let mut stdin = stdin.lock().await;
        sent = stdin.write_all(&Command::Heartbeat.bytes(0)).await;
        if sent.is_ok() {
            sent = stdin.flush().await;
        }
    }
}

/// Returns the driver in the form in which it is sent.
fn packed_driver() -> Result<Vec<u8>, Error> {
    driver_text().map_err(|error| Error::unforeseen(format!("failed to pack the driver: {error}")))
}

/// Returns the error of a host that lacks these tools.
pub(super) fn lacks(tools: &str) -> Error {
    Error::new(Exit::Unreachable, format!("the host lacks: {tools}")).help(
        "install them; on Debian and Ubuntu they are in the packages dash, coreutils, gzip, tar, util-linux, findutils, mawk and sed",
    )
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

/// Number of the command to which an unreadable line belongs, if it is an event: an event starts with it,
/// whatever is broken after that. Other lines come from the rc files of a login shell.
fn number_of(line: &str) -> Option<u64> {
    line.strip_prefix("{\"id\":")?.split_once(',')?.0.parse().ok()
}

/// Passes each event to its caller until the driver's stdout ends. Then every caller sees the end.
async fn read_events(stdout: Box<dyn tokio::io::AsyncRead + Send + Unpin>, callers: Callers) {
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
                if let Some(caller) = lock(&callers).get(&id) {
                    let _ = caller.send(event);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a line from the host is not an event");
                if let Some(id) = number_of(&text)
                    && let Some(caller) = lock(&callers).get(&id)
                {
                    let _ = caller.send(DriverEvent::Failure { kind: FailureKind::Unreadable });
                }
            }
        }
    }
    lock(&callers).clear();
}
