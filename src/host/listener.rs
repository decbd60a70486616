//! What is heard of a driver: its events, its silence, and what is printed before it starts.
//!
//! Owns the bounds on what a host may send and on how long it may be silent. A host may be broken, or not be
//! ours: nothing that it sends makes this process grow without limit, and nothing that it does not send makes
//! it wait for ever.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::protocol::{Command, DriverEvent, FailureKind};
use crate::base::error::{Error, Exit};

/// Longest line that is read, in bytes. The longest that a driver sends is the content of a file, in hex.
const MAX_LINE: usize = 16 << 20;

/// Longest line that is skipped, in bytes. A container may log long lines, but none without end.
const MAX_SKIPPED: u64 = 64 << 20;

/// Most output of tools that one command may have, in bytes. Only the end of it is kept.
const MAX_OUTPUT: u64 = 1 << 30;

/// Most that is ignored because it answers nothing, in bytes.
const MAX_STRAY: u64 = 16 << 20;

/// Most that login files may print, in bytes.
const MAX_CHATTER: u64 = 1 << 20;

/// Longest time from the login to the first sign of the driver. Login files may be slow, but they end.
const LOGIN_LIMIT: Duration = Duration::from_secs(60);

/// Silence after which a notice says so. A heartbeat is answered every ten seconds, unless the host works on
/// something else.
const NOTICED_AFTER: Duration = Duration::from_secs(20);

/// Time between two looks at the clock.
pub(super) const TICK: Duration = Duration::from_secs(5);

/// Notices about a connection, for whoever shows them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Notices(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    texts: Mutex<VecDeque<String>>,
    added: Notify,
}

impl Notices {
    fn add(&self, text: String) {
        held(&self.0.texts).push_back(text);
        self.0.added.notify_one();
    }

    /// Returns the next notice, if there is one now.
    #[must_use]
    pub fn take(&self) -> Option<String> {
        held(&self.0.texts).pop_front()
    }

    /// Waits for a future, and passes each notice to `show` when it comes up.
    pub async fn shown_during<T>(&self, future: impl Future<Output = T>, show: impl Fn(String)) -> T {
        let mut future = std::pin::pin!(future);
        loop {
            let result = tokio::select! {
                result = &mut future => Some(result),
                () = self.0.added.notified() => None,
            };
            while let Some(text) = self.take() {
                show(text);
            }
            if let Some(result) = result {
                return result;
            }
        }
    }
}

/// The side of a connection that listens.
#[derive(Debug)]
pub(super) struct Listener {
    state: Mutex<State>,
    /// The word by which the driver is recognised.
    mark: String,
    notices: Notices,
}

#[derive(Debug)]
struct State {
    calls: HashMap<u64, Call>,
    /// The highest number of a command so far.
    last: u64,
    /// When the driver last gave a sign of life.
    heard: Instant,
    /// Silence after which the next notice is due.
    next_notice: Duration,
    is_ready: bool,
    /// Bytes that were printed before the driver started.
    chatter: u64,
    stray: u64,
    failure: Option<Error>,
    has_ended: bool,
}

/// A command whose answer is awaited.
#[derive(Debug)]
struct Call {
    events: mpsc::UnboundedSender<DriverEvent>,
    title: String,
    silence: Duration,
    since: Instant,
    total: Duration,
    max_answer: u64,
    answer: u64,
    output: u64,
}

impl Listener {
    pub(super) fn new(mark: String, notices: Notices) -> Self {
        let state = State {
            calls: HashMap::new(),
            last: 0,
            heard: Instant::now(),
            next_notice: NOTICED_AFTER,
            is_ready: false,
            chatter: 0,
            stray: 0,
            failure: None,
            has_ended: false,
        };
        Self { state: Mutex::new(state), mark, notices }
    }

    /// Expects answers to a command. After the end there are none.
    pub(super) fn expect(&self, id: u64, command: &Command) -> mpsc::UnboundedReceiver<DriverEvent> {
        let (sender, events) = mpsc::unbounded_channel();
        let mut state = held(&self.state);
        let limits = command.limits();
        if state.calls.is_empty() {
            state.next_notice = NOTICED_AFTER;
        }
        state.last = state.last.max(id);
        if !state.has_ended {
            let call = Call {
                events: sender,
                title: command.title(),
                silence: limits.silence,
                since: Instant::now(),
                total: limits.total,
                max_answer: limits.bytes,
                answer: 0,
                output: 0,
            };
            state.calls.insert(id, call);
        }
        events
    }

    /// Expects no more answers to a command.
    pub(super) fn forget(&self, id: u64) {
        held(&self.state).calls.remove(&id);
    }

    /// Notes a sign of life that is no event: the host takes what it is sent.
    pub(super) fn hear(&self) {
        held(&self.state).heard = Instant::now();
    }

    /// Why the connection was given up.
    pub(super) fn failure(&self) -> Option<Error> {
        held(&self.state).failure.clone()
    }

    /// Whether the driver has started.
    pub(super) fn has_begun(&self) -> bool {
        held(&self.state).is_ready
    }

    /// Number of bytes that were printed on the host before the driver started.
    pub(super) fn chatter(&self) -> u64 {
        held(&self.state).chatter
    }

    /// Whether no answer will come any more.
    pub(super) fn has_ended(&self) -> bool {
        held(&self.state).has_ended
    }

    /// Reads events until the driver's stdout ends or the connection is given up. Then every caller sees the
    /// end.
    pub(super) async fn listen(self: Arc<Self>, stdout: Box<dyn AsyncRead + Send + Unpin>) {
        let mut reader = BufReader::with_capacity(64 * 1024, stdout);
        let mut line = Vec::new();
        // The length of the line, also if it is too long to be kept.
        let mut length = 0;
        while !self.has_ended() {
            let Ok(chunk) = reader.fill_buf().await else { break };
            if chunk.is_empty() {
                if length > 0 {
                    self.take_line(&line, length);
                }
                break;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            length += part.len() as u64;
            if length <= MAX_LINE as u64 {
                line.extend_from_slice(part);
            } else {
                // The start shows to which command it belongs.
                line.truncate(64);
                line.shrink_to(64 * 1024);
            }
            let used = end.map_or(chunk.len(), |end| end + 1);
            reader.consume(used);
            if end.is_some() {
                self.take_line(&line, length);
                line.clear();
                length = 0;
            } else {
                self.bound_line(length);
            }
        }
        let mut state = held(&self.state);
        state.has_ended = true;
        state.calls.clear();
    }

    /// Gives up if a line has no end.
    fn bound_line(&self, length: u64) {
        let mut state = held(&self.state);
        if !state.is_ready && state.chatter + length > MAX_CHATTER {
            state.fail(endless_login());
        } else if length > MAX_SKIPPED {
            state.fail(flood("a line without end"));
        }
    }

    fn take_line(&self, line: &[u8], length: u64) {
        let text = String::from_utf8_lossy(line);
        let mut state = held(&self.state);
        if !state.is_ready {
            if text.contains(&self.mark) {
                state.is_ready = true;
                state.heard = Instant::now();
                if state.chatter > 0 {
                    self.notices.add(chatter_in_words(state.chatter));
                }
            } else if length > 0 {
                state.chatter += length + 1;
                if state.chatter > MAX_CHATTER {
                    state.fail(endless_login());
                }
            }
            return;
        }
        match serde_json::from_str::<Numbered>(&text) {
            Ok(Numbered { id, event }) => state.deliver(id, event, length),
            Err(error) => {
                // The error itself would quote the line.
                let category = error.classify();
                tracing::debug!(?category, column = error.column(), "a line from the host is not an event");
                match number_of(&text) {
                    Some(id) if length > MAX_LINE as u64 && text.contains("\"event\":\"output\"") => {
                        let text = format!("(a line of {} MiB, left out)", length >> 20);
                        state.deliver(id, DriverEvent::Output { text }, length);
                    }
                    // The record itself is damaged.
                    Some(id) if text.starts_with(&format!("{{\"id\":{id},\"event\":\"state\",")) => {
                        state.deliver(id, DriverEvent::State { state: serde_json::Value::Null }, length);
                    }
                    Some(id) => {
                        state.deliver(id, DriverEvent::Failure { kind: FailureKind::Unreadable }, length);
                    }
                    None => state.ignore(length),
                }
            }
        }
    }

    /// Looks at the clock: a notice is due after some silence, and an end after more.
    pub(super) fn check(&self) {
        let mut state = held(&self.state);
        let now = Instant::now();
        let silence = now.duration_since(state.heard);
        if state.has_ended {
            return;
        }
        if !state.is_ready {
            if silence >= LOGIN_LIMIT {
                let error = stuck_login(state.chatter);
                state.fail(error);
            } else if silence >= state.next_notice {
                state.next_notice = LOGIN_LIMIT;
                let secs = silence.as_secs();
                self.notices.add(format!(
                    "no answer from the host for {secs} s, still waiting for its login files to end"
                ));
            }
            return;
        }
        let Some(patience) = state.calls.values().map(|call| call.silence).max() else { return };
        let Some((_, oldest)) = state.calls.iter().min_by_key(|(id, _)| **id) else { return };
        let title = oldest.title.clone();
        let overdue = state.calls.values().find(|call| now.duration_since(call.since) >= call.total);
        if let Some(call) = overdue {
            let error = overdue_call(call);
            state.fail(error);
        } else if silence >= patience {
            state.fail(silent(silence, &title));
        } else if silence < NOTICED_AFTER {
            state.next_notice = NOTICED_AFTER;
        } else if silence >= state.next_notice {
            state.next_notice = silence + Duration::from_secs(60);
            let secs = silence.as_secs();
            self.notices.add(format!("no answer from the host for {secs} s, still waiting for {title}"));
        }
    }
}

impl State {
    fn deliver(&mut self, id: u64, event: DriverEvent, length: u64) {
        // Nobody waits for the answers to heartbeats, nor for those to a command whose caller has gone.
        if id > self.last {
            return self.ignore(length);
        }
        self.heard = Instant::now();
        let Some(call) = self.calls.get_mut(&id) else {
            if id == 0 && !matches!(event, DriverEvent::Done { .. }) {
                self.ignore(length);
            }
            return;
        };
        let (used, max) = match event {
            DriverEvent::Output { .. } => (&mut call.output, MAX_OUTPUT),
            _ => (&mut call.answer, call.max_answer),
        };
        *used += length;
        if *used > max {
            return self.fail(flood("an answer without end"));
        }
        let _ = call.events.send(event);
    }

    fn ignore(&mut self, length: u64) {
        self.stray += length + 1;
        if self.stray > MAX_STRAY {
            self.fail(flood("something else than answers"));
        }
    }

    /// Gives the connection up: every caller sees the end.
    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.has_ended = true;
        self.calls.clear();
    }
}

#[derive(serde::Deserialize)]
struct Numbered {
    id: u64,
    #[serde(flatten)]
    event: DriverEvent,
}

/// Number of the command to which an unreadable line belongs, if it is an event: an event starts with it,
/// whatever is broken after that.
fn number_of(line: &str) -> Option<u64> {
    line.strip_prefix("{\"id\":")?.split_once(',')?.0.parse().ok()
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_bytes(bytes: u64) -> String {
    if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") }
}

/// How login files that print are described.
#[must_use]
pub fn chatter_in_words(bytes: u64) -> String {
    format!(
        "the login files on the host print {}, ignored here; let them print in interactive shells only",
        in_bytes(bytes)
    )
}

const LOGIN_HELP: &str = "`ssh HOST true </dev/null` must end at once and print nothing: in ~/.bashrc and the like, do in interactive shells only what prints, waits or reads stdin";

fn endless_login() -> Error {
    Error::new(Exit::Unreachable, "the login files on the host print without end").help(LOGIN_HELP)
}

fn stuck_login(chatter: u64) -> Error {
    let printed = if chatter > 0 { format!(", after printing {}", in_bytes(chatter)) } else { String::new() };
    let secs = LOGIN_LIMIT.as_secs();
    Error::new(
        Exit::Unreachable,
        format!("the login files on the host did not end within {secs} s, or they read stdin{printed}"),
    )
    .help(LOGIN_HELP)
}

fn flood(what: &str) -> Error {
    Error::new(Exit::Unreachable, format!("the host sends {what}, which is no answer of ghdeploy"))
        .help("check what answers at this address, and whether the host has free disk space and memory")
}

fn silent(silence: Duration, title: &str) -> Error {
    let secs = silence.as_secs();
    Error::new(Exit::Unreachable, format!("no answer from the host for {secs} s, while waiting for {title}"))
        .help("its disk may hang, or the process of ghdeploy there may be stopped, which then holds the lock: look with `ps` and `dmesg` on the host")
}

fn overdue_call(call: &Call) -> Error {
    let minutes = call.total.as_secs() / 60;
    Error::new(Exit::Unreachable, format!("timed out after {minutes} min waiting for {}", call.title))
        .help("it may still be under way on the host, and holds the lock until it ends: look with `ps` there")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> Listener {
        Listener::new("MARK".to_owned(), Notices::default())
    }

    async fn after(bytes: Vec<u8>) -> (Arc<Listener>, Vec<DriverEvent>) {
        let listener = Arc::new(listener());
        let mut events = listener.expect(1, &Command::Releases);
        Arc::clone(&listener).listen(Box::new(std::io::Cursor::new(bytes))).await;
        let mut all = Vec::new();
        while let Ok(event) = events.try_recv() {
            all.push(event);
        }
        (listener, all)
    }

    fn done(id: u64) -> String {
        format!("{{\"id\":{id},\"event\":\"done\",\"rc\":0}}\n")
    }

    #[tokio::test]
    async fn what_is_printed_before_the_driver_is_ignored_and_noted() {
        let title = "\x1b]0;me@web\x07";
        let text = format!("welcome\n{}{{}}\n{title}\nMARK\n{}", done(1).replace(":0", ":7"), done(1));
        let (listener, events) = after(text.into_bytes()).await;
        assert_eq!(events, [DriverEvent::Done { rc: 0 }]);
        assert_eq!(listener.failure(), None);
        let chatter = 8 + done(1).len() as u64 + 3 + title.len() as u64 + 1;
        assert_eq!(listener.notices.take(), Some(chatter_in_words(chatter)));
        let (listener, _) = after(format!("\nMARK\n{}", done(1)).into_bytes()).await;
        assert_eq!(listener.notices.take(), None, "the driver itself begins with an empty line");
    }

    #[tokio::test]
    async fn long_lines_of_output_are_left_out_and_other_long_lines_fail() {
        let long = "x".repeat(MAX_LINE + 1);
        let text = format!("MARK\n{{\"id\":1,\"event\":\"output\",\"text\":\"{long}\"}}\n{}", done(1));
        let (_, events) = after(text.into_bytes()).await;
        let left_out = DriverEvent::Output { text: "(a line of 16 MiB, left out)".to_owned() };
        assert_eq!(events, [left_out, DriverEvent::Done { rc: 0 }]);
        let text = format!("MARK\n{{\"id\":1,\"event\":\"found\",\"text\":\"{long}\"}}\n{}", done(1));
        let (_, events) = after(text.into_bytes()).await;
        assert_eq!(
            events,
            [DriverEvent::Failure { kind: FailureKind::Unreadable }, DriverEvent::Done { rc: 0 }]
        );
    }

    #[tokio::test]
    async fn answers_to_no_question_are_bounded() {
        let text = done(7).repeat(usize::try_from(MAX_STRAY).unwrap() / done(7).len() + 1);
        let (listener, events) = after(format!("MARK\n{text}{}", done(1)).into_bytes()).await;
        assert_eq!(events, []);
        assert_eq!(
            listener.failure().unwrap().to_string(),
            "the host sends something else than answers, which is no answer of ghdeploy"
        );
    }
}
