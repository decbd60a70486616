//! The transport to the model of a host: every command is recorded, and one of them may go wrong.

use std::sync::{Arc, Mutex, MutexGuard};

use std::future::Future;
use std::pin::Pin;

use ghdeploy::apply::stop::{Stop, StopRequest};
use ghdeploy::base::error::{Error, Exit};
use ghdeploy::host::{Remote, Start, Starting, Transport, driver_text};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::sync::{oneshot, watch};

use crate::host::Host;

/// Way in which a command goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails and does nothing.
    Refused,
    /// It fails in the middle.
    Half,
    /// The connection breaks before the host sees it.
    CutBefore,
    /// The host carries it out, and the connection breaks before the answer.
    CutAfter,
    /// It succeeds, but a stop is requested meanwhile.
    Stop,
    /// It succeeds, but a person edits `blog/x` meanwhile.
    Meddle,
    /// The upload arrives in full, but one file has other content.
    Garbled,
}

/// State that both ends share.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) host: Host,
    /// The commands of the apply, in order.
    pub(crate) commands: Vec<String>,
    /// Whether commands are recorded and counted, so that faults strike.
    pub(crate) is_armed: bool,
    pub(crate) faults: [Option<(usize, Fault)>; 2],
    is_cut: bool,
    stop: StopControl,
}

/// Stop requests of the test.
#[derive(Debug)]
struct StopControl(watch::Sender<StopRequest>, Stop);

impl Default for StopControl {
    fn default() -> Self {
        let (sender, stop) = Stop::channel();
        Self(sender, stop)
    }
}

/// Transport to the model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer(Arc<Mutex<Line>>);

impl Peer {
    pub(crate) fn new(host: Host, faults: [Option<(usize, Fault)>; 2]) -> Self {
        Self(Arc::new(Mutex::new(Line { host, faults, ..Line::default() })))
    }

    pub(crate) fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap()
    }

    pub(crate) fn stop(&self) -> Stop {
        self.line().stop.1.clone()
    }

    /// Records a command and returns its fault, if it has one.
    fn takes(&self, command: String) -> Option<Fault> {
        let mut line = self.line();
        if !line.is_armed {
            return None;
        }
        line.commands.push(command);
        let fault = line
            .faults
            .iter()
            .flatten()
            .find(|(at, _)| *at + 1 == line.commands.len())
            .map(|(_, fault)| *fault);
        if fault == Some(Fault::Meddle) {
            line.host.put_by_hand("blog/x", "by hand");
        }
        if fault == Some(Fault::Stop) {
            line.stop.0.send_replace(StopRequest::Graceful);
        }
        line.is_cut |= matches!(fault, Some(Fault::CutBefore | Fault::CutAfter));
        fault
    }

    /// Plays the driver until its stdin ends. Returns the exit status, or `None` if the connection broke.
    async fn play(self, input: DuplexStream, mut output: DuplexStream) -> Option<i32> {
        let mut input = BufReader::new(input);
        let mut text = String::new();
        while !text.starts_with("ghdeploy ") {
            text.clear();
            input.read_line(&mut text).await.unwrap();
        }
        let [size, mark, ..] = text.split_whitespace().skip(1).collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        let lists_containers = text.contains("list_containers");
        let code = behind(&mut input, size).await;
        assert!(
            driver_text(mark, Start { lists_containers, docker: None })
                .unwrap()
                .ends_with(&[text.as_bytes(), &code].concat()),
            "the driver comes first"
        );
        output.write_all(format!("\n{mark}\n").as_bytes()).await.unwrap();
        let mut is_ok = true;
        loop {
            text.clear();
            if input.read_line(&mut text).await.unwrap() == 0 {
                return Some(0);
            }
            let command = text.trim_end_matches('\n').to_owned();
            let (id, rest) = command.split_once(' ').unwrap();
            let (rest, is_reached) = match rest.strip_prefix('+') {
                Some(rest) => (rest, is_ok),
                None => (rest, true),
            };
            let mut words: Vec<&str> = rest.split(' ').collect();
            if words[0] == "heartbeat" {
                continue;
            }
            let mut list = Vec::new();
            let has_data = [
                "facts",
                "host_only",
                "probe",
                "state",
                "history",
                "note",
                "make_folders",
                "pull",
                "release",
                "script",
            ];
            if has_data.contains(&words[0]) {
                // Those of `facts` are two lists.
                let sizes = words.split_off(words.len() - if words[0] == "facts" { 2 } else { 1 });
                for (number, size) in sizes.into_iter().enumerate() {
                    list.extend((number > 0).then(|| "?".to_owned()));
                    let lines = String::from_utf8(behind(&mut input, size).await).unwrap();
                    list.extend(lines.lines().map(str::to_owned));
                    assert_eq!(list.pop().as_deref(), Some("end"));
                }
            }
            if !is_reached {
                output
                    .write_all(format!("{{\"id\":{id},\"event\":\"done\",\"rc\":1}}\n").as_bytes())
                    .await
                    .ok()?;
                continue;
            }
            if words[0] == "stage" {
                let rc = self.receive(pieces(&mut input)).await?;
                is_ok = rc == 0;
                let done = json!({"event": "done", "rc": rc, "id": id.parse::<u64>().unwrap()});
                output.write_all(format!("{done}\n").as_bytes()).await.ok()?;
                continue;
            }
            let fault = self.takes(shown(&words));
            if fault == Some(Fault::CutBefore) || self.line().is_cut && fault.is_none() {
                return None;
            }
            let (mut events, rc) = match fault {
                Some(Fault::Refused) => (vec![json!({"event": "output", "text": "refused"})], 1),
                fault => {
                    let (events, rc) = self.line().host.obey(&words, &list, fault == Some(Fault::Half));
                    (events, if fault == Some(Fault::Half) { rc.max(1) } else { rc })
                }
            };
            if fault == Some(Fault::CutAfter) {
                return None;
            }
            is_ok = rc == 0;
            events.push(json!({"event": "done", "rc": rc}));
            for mut event in events {
                event["id"] = Value::from(id.parse::<u64>().unwrap());
                output.write_all(format!("{event}\n").as_bytes()).await.ok()?;
            }
        }
    }

    async fn receive(&self, bytes: impl Future<Output = Vec<u8>>) -> Option<i32> {
        let fault = self.takes("upload".to_owned());
        if fault == Some(Fault::CutBefore) {
            return None;
        }
        let mut bytes = bytes.await;
        match fault {
            Some(Fault::Refused) => return Some(2),
            Some(Fault::Half) => bytes.truncate(bytes.len() / 2),
            _ => {}
        }
        let arrived = self.line().host.receive(&bytes);
        if fault == Some(Fault::Garbled) {
            self.line().host.garble();
        }
        match fault {
            Some(Fault::CutAfter) => None,
            _ => Some(if arrived.is_ok() { 0 } else { 2 }),
        }
    }
}

/// Reads the pieces that follow a command.
async fn pieces(input: &mut BufReader<DuplexStream>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut size = String::new();
    while input.read_line(&mut size).await.unwrap() > 0 && size != "end\n" {
        bytes.extend(behind(input, size.trim()).await);
        size.clear();
    }
    bytes
}

/// Reads the data that follows a line with its size.
async fn behind(input: &mut BufReader<DuplexStream>, size: &str) -> Vec<u8> {
    let mut bytes = vec![0; size.parse().unwrap()];
    input.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// A command without the parts that differ from run to run.
fn shown(words: &[&str]) -> String {
    match words {
        ["act", dir, _, "--ansi", "never", argv @ ..] => format!("{dir}: {}", argv.join(" ")),
        ["compose", dir, place, _, "--ansi", "never", argv @ ..] => {
            format!("{dir}{}: {}", if *place == "live" { "" } else { " (candidate)" }, argv.join(" "))
        }
        ["hook", dir, _, _, "--ansi", "never", argv @ ..] => format!("{dir}: hook {}", argv.join(" ")),
        ["hook", dir, _, "@", argv @ ..] => format!("{dir}: host {}", argv.join(" ")),
        ["release" | "finish" | "containers", ..] => words[0].to_owned(),
        words => words.join(" "),
    }
}

impl Transport for Peer {
    fn start(&self) -> Starting<'_> {
        Box::pin(async {
            if self.line().is_cut {
                return Err(Error::new(Exit::Unreachable, "the host cannot be reached"));
            }
            let (stdin, input) = tokio::io::duplex(1 << 20);
            let (output, stdout) = tokio::io::duplex(1 << 20);
            let (tell, told) = oneshot::channel();
            let peer = self.clone();
            tokio::spawn(async move {
                let _ = tell.send(peer.play(input, output).await);
            });
            Ok(Remote {
                stdin: Box::new(stdin),
                stdout: Box::new(stdout),
                stderr: Box::new(tokio::io::empty()),
                exit: Box::pin(async {
                    told.await.ok().flatten().ok_or_else(|| "the connection was lost".to_owned())
                }),
            })
        })
    }

    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {})
    }
}
