//! The handle to a driver that runs on a host: commands go out, replies come back.
//!
//! Several tasks may call at once; each reply finds its caller by the number of its command.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::listener::{Listener, Notices, TICK};
use super::protocol::{Command, DriverEvent, END_OF_PIECES, FailureKind, size_of_piece};
use super::transport::{Remote, Transport};
use super::{Start, driver_text};
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

/// Time between two heartbeats. The host considers a client dead after one minute of silence, so several may
/// be late.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Most of the host's stderr that is kept, in bytes.
const MAX_STDERR: usize = 64 << 10;

/// Most output of tools that is kept for one command, in bytes.
const MAX_OUTPUT: usize = 4 << 20;

/// Longest wait for a host that takes no more input, at the end of a run.
const END_LIMIT: Duration = Duration::from_secs(5);

/// A driver that runs on a host. When this is dropped, the driver finishes the command under way and exits.
pub struct Driver {
    stdin: Arc<Mutex<Stdin>>,
    listener: Arc<Listener>,
    next: AtomicU64,
    reader: JoinHandle<()>,
    /// Sends heartbeats, and notices when the host falls silent.
    watch: JoinHandle<()>,
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
        Self::start_with(transport, Start::default(), Notices::default()).await
    }

    /// Does the same as [`Driver::start`], with notices about the connection.
    ///
    /// # Errors
    ///
    /// See there.
    pub async fn start_with(
        transport: &dyn Transport,
        start: Start<'_>,
        notices: Notices,
    ) -> Result<Self, Error> {
        let Remote { mut stdin, stdout, stderr, exit } = transport.start().await?;
        let mark = new_mark();
        let listener = Arc::new(Listener::new(mark.clone(), notices));
        let reader = tokio::spawn(Arc::clone(&listener).listen(stdout));
        let collected: Arc<std::sync::Mutex<String>> = Arc::default();
        let stderr_reader = tokio::spawn({
            let collected = Arc::clone(&collected);
            async move {
                collect(stderr, &collected).await;
                let status = exit.await;
                tracing::debug!(?status, "driver ended");
            }
        });
        let text = driver_text(&mark, start)
            .map_err(|error| Error::unforeseen(format!("failed to compress the driver: {error}")))?;
        tracing::debug!(bytes = text.len(), "driver sent");
        let stdin = Arc::new(Mutex::new({
            // It fits into the buffers in between. If the other side has exited already, the first call
            // reports it.
            let _ = tokio::time::timeout(END_LIMIT, stdin.write_all(&text)).await;
            stdin
        }));
        let watch = tokio::spawn(watch(Arc::clone(&stdin), Arc::clone(&listener)));
        Ok(Self { stdin, listener, next: AtomicU64::new(1), reader, watch, stderr_reader, stderr: collected })
    }

    /// Number of bytes that login files on the host printed before the driver started.
    #[must_use]
    pub fn chatter(&self) -> u64 {
        self.listener.chatter()
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
        let (id, events) = self.expect(command);
        let _expected = Expected { listener: &self.listener, id };
        let bytes = command.bytes(id);
        tracing::trace!(id, bytes = bytes.len(), "call");
        let sending = self.send(bytes);
        self.reply(id, events, sending, on_event).await
    }

    /// Sends steps of the driver together, of which each is carried out only if those before it have succeeded.
    /// Returns the replies up to the first that failed; the last of them may be that of a job.
    ///
    /// # Errors
    ///
    /// See [`Driver::call_with`].
    pub async fn call_in_turn(&self, commands: &[Command]) -> Result<Vec<Reply>, Error> {
        let Chain { expected, bytes } = self.chain(commands, false);
        tracing::trace!(id = ?expected.ids(), bytes = bytes.len(), "call in turn");
        let sending = self.send(bytes);
        self.replies(expected, sending).await
    }

    /// Sends a command that data follows in pieces, and then steps as [`Driver::call_in_turn`] does. If the caller
    /// is dropped, the data ends after the piece under way: the host sees a stream that is cut off, and carries no
    /// further step out.
    ///
    /// # Errors
    ///
    /// See [`Driver::call_with`].
    pub(super) async fn call_with_pieces(
        &self,
        command: &Command,
        pieces: mpsc::Receiver<Vec<u8>>,
        then: &[Command],
    ) -> Result<Vec<Reply>, Error> {
        let Chain { mut expected, bytes: first } = self.chain(std::slice::from_ref(command), false);
        let Chain { expected: others, bytes: last } = self.chain(then, true);
        expected.0.extend(others.0);
        let (caller, dropped) = oneshot::channel();
        let (stdin, listener) = (Arc::clone(&self.stdin), Arc::clone(&self.listener));
        let sending = tokio::spawn(async move {
            let mut stdin = stdin.lock_owned().await;
            send_pieces(&mut stdin, first, pieces, dropped, &listener).await?;
            stdin.write_all(&last).await?;
            stdin.flush().await
        });
        let stop = sending.abort_handle();
        let sending = async { sending.await.unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into())) };
        let replies = self.replies(expected, sending).await;
        if replies.is_err() {
            // A host that takes nothing any more must not hold back whoever makes the pieces.
            stop.abort();
        }
        drop::<oneshot::Sender<()>>(caller);
        replies
    }

    /// Numbers commands that are sent together. Each depends on the one before it, also the first if it comes
    /// `after` another one.
    fn chain(&self, commands: &[Command], after: bool) -> Chain<'_> {
        let mut chain = Chain { expected: ExpectedReplies(VecDeque::new()), bytes: Vec::new() };
        for command in commands {
            let (id, events) = self.expect(command);
            let is_first = chain.bytes.is_empty() && !after;
            chain.bytes.extend(if is_first { command.bytes(id) } else { command.bytes_after(id) });
            chain.expected.0.push_back((Expected { listener: &self.listener, id }, events));
        }
        chain
    }

    /// Waits for the replies to a chain, up to the first that failed.
    async fn replies(
        &self,
        mut expected: ExpectedReplies<'_>,
        sending: impl Future<Output = std::io::Result<()>> + Send,
    ) -> Result<Vec<Reply>, Error> {
        let mut sending = std::pin::pin!(sending);
        let mut is_sent = false;
        let mut replies = Vec::new();
        while let Some((expected, events)) = expected.0.pop_front() {
            let sending = async {
                if is_sent {
                    return Ok(());
                }
                let sent = sending.as_mut().await;
                is_sent = true;
                sent
            };
            let reply = self.reply(expected.id, events, sending, |_| {}).await?;
            let is_ok = reply.is_ok();
            replies.push(reply);
            if !is_ok {
                break;
            }
        }
        Ok(replies)
    }

    /// Numbers a command; its events come from the receiver.
    fn expect(&self, command: &Command) -> (u64, mpsc::UnboundedReceiver<DriverEvent>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        (id, self.listener.expect(id, command))
    }

    /// Sends a command and waits until it is done. The host may answer, or fall silent, before it has taken
    /// the whole command.
    async fn reply(
        &self,
        id: u64,
        mut events: mpsc::UnboundedReceiver<DriverEvent>,
        sending: impl Future<Output = std::io::Result<()>> + Send,
        mut on_event: impl FnMut(&DriverEvent) + Send,
    ) -> Result<Reply, Error> {
        let mut sending = std::pin::pin!(sending);
        let mut is_sent = false;
        let mut reply = Reply::default();
        let mut output = Tail::default();
        let mut is_unreadable = false;
        loop {
            let event = tokio::select! {
                biased;
                event = events.recv() => event,
                sent = &mut sending, if !is_sent => {
                    is_sent = true;
                    if sent.is_err() {
                        // Answers that arrived before the end are still in the channel.
                        self.listener.forget(id);
                    }
                    continue;
                }
            };
            let Some(event) = event else { return Err(self.lost().await) };
            on_event(&event);
            match event {
                DriverEvent::Done { rc } => {
                    reply.rc = rc;
                    reply.output = output.lines.into();
                    return if is_unreadable {
                        Err(Error::unforeseen("the host's answer cannot be parsed"))
                    } else {
                        Ok(reply)
                    };
                }
                DriverEvent::Output { text } => output.push(text),
                DriverEvent::Failure { kind: FailureKind::Unreadable } => is_unreadable = true,
                event => reply.events.push(event),
            }
        }
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
        self.watch.abort();
        let end = async { self.stdin.lock().await.shutdown().await };
        // A host that takes nothing any more sees the end when this process exits.
        let _ = tokio::time::timeout(END_LIMIT, end).await;
    }

    /// Returns the error of a driver that has exited, with what it printed to stderr.
    async fn lost(&self) -> Error {
        if let Some(error) = self.listener.failure() {
            return error;
        }
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
        if !self.listener.has_begun() && lines.is_empty() {
            return Error::new(Exit::Unreachable, "the host ended the session before anything ran")
                .help("look at what a login without a terminal does there: `ssh HOST true`. The account needs a login shell such as /bin/sh, and neither ForceCommand nor a login file may end it")
                .transient();
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
        self.watch.abort();
        self.reader.abort();
    }
}

/// Sends a command and the pieces that follow it. Nothing else is sent meanwhile, so empty pieces are the
/// heartbeats.
async fn send_pieces(
    stdin: &mut Stdin,
    command: Vec<u8>,
    mut pieces: mpsc::Receiver<Vec<u8>>,
    mut dropped: oneshot::Receiver<()>,
    listener: &Listener,
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
        stdin.write_all(&size_of_piece(&next)).await?;
        stdin.write_all(&next).await?;
        // What has arrived is unpacked meanwhile.
        stdin.flush().await?;
        if !next.is_empty() {
            listener.hear();
        }
    }
    stdin.write_all(END_OF_PIECES).await?;
    stdin.flush().await
}

/// The end of what tools have printed.
#[derive(Default)]
struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > MAX_OUTPUT && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len());
        }
    }
}

/// Commands that are sent together.
struct Chain<'a> {
    expected: ExpectedReplies<'a>,
    bytes: Vec<u8>,
}

/// The commands of a chain whose replies are still to come, in order.
struct ExpectedReplies<'a>(VecDeque<(Expected<'a>, mpsc::UnboundedReceiver<DriverEvent>)>);

impl ExpectedReplies<'_> {
    fn ids(&self) -> Vec<u64> {
        self.0.iter().map(|(expected, _)| expected.id).collect()
    }
}

/// Forgets a command when its caller has gone.
struct Expected<'a> {
    listener: &'a Listener,
    id: u64,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.listener.forget(self.id);
    }
}

/// A word that nothing on the host prints by itself.
fn new_mark() -> String {
    format!("ghdeploy-{:016x}", RandomState::new().build_hasher().finish())
}

/// Sends heartbeats to a driver until it has exited, and notices when it falls silent. No caller waits for
/// the answers.
async fn watch(stdin: Arc<Mutex<Stdin>>, listener: Arc<Listener>) {
    let mut last = Instant::now();
    while !listener.has_ended() {
        tokio::time::sleep(TICK).await;
        listener.check();
        if last.elapsed() < HEARTBEAT_INTERVAL {
            continue;
        }
        last = Instant::now();
        // While something else is being sent, there is no need for a heartbeat.
        let Ok(mut stdin) = Arc::clone(&stdin).try_lock_owned() else { continue };
        tokio::spawn(async move {
            stdin.write_all(&Command::Heartbeat.bytes(0)).await?;
            stdin.flush().await
        });
    }
}

/// Tools with the names of their packages on Debian and Alpine.
const PACKAGES: [(&str, &str, &str); 13] = [
    ("sh", "dash", "busybox"),
    ("dd", "coreutils", "coreutils"),
    ("gzip", "gzip", "gzip"),
    ("tar", "tar", "tar"),
    ("sha256sum", "coreutils", "coreutils"),
    ("stat", "coreutils", "coreutils"),
    ("tr", "coreutils", "coreutils"),
    ("od", "coreutils", "coreutils"),
    ("readlink", "coreutils", "coreutils"),
    ("flock", "util-linux", "util-linux"),
    ("find", "findutils", "findutils"),
    ("xargs", "findutils", "findutils"),
    ("awk", "mawk", "gawk"),
];

/// Returns the error of a host that lacks these tools.
pub(super) fn lacks(tools: &str) -> Error {
    let packages = |of: fn(&(&'static str, &'static str, &'static str)) -> &'static str| {
        let names = tools.split_whitespace().map(|tool| {
            PACKAGES
                .iter()
                .find(|(own, ..)| *own == tool)
                .map_or_else(|| tool.to_owned(), |found| of(found).to_owned())
        });
        names.collect::<std::collections::BTreeSet<String>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    let (debian, alpine) = (packages(|package| package.1), packages(|package| package.2));
    Error::new(Exit::Unreachable, format!("the host lacks: {tools}")).help(format!(
        "install them, as root: `apt-get install {debian}` on Debian and Ubuntu, `apk add {alpine}` on Alpine. If they \
         are there, they are not in the PATH of a login without a terminal"
    ))
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Reads a stream to its end and keeps its beginning.
async fn collect(mut stream: Box<dyn tokio::io::AsyncRead + Send + Unpin>, to: &std::sync::Mutex<String>) {
    let mut bytes = [0; 4096];
    let mut kept = Vec::new();
    while let Ok(read) = stream.read(&mut bytes).await {
        if read == 0 {
            break;
        }
        if kept.len() < MAX_STDERR {
            kept.extend_from_slice(&bytes[..read]);
            *lock(to) = String::from_utf8_lossy(&kept).into_owned();
        }
    }
}
