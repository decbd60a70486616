//! The processes that are killed, and when.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bed::{Bed, privileged};
use crate::support::random::Random;
use crate::world::World;

/// The process of a sync that is killed, and the time.
#[derive(Debug)]
pub(crate) enum Kill {
    /// The client, after N milliseconds.
    Client(u64),
    /// The client gets SIGHUP after N milliseconds, as from a terminal that closes.
    Hangup(u64),
    /// The ssh that holds the connection, after N milliseconds.
    Master(u64),
    /// The process of sshd that serves the connection, after N milliseconds.
    Session(u64),
    /// The driver and its children, before or after the Nth call of a tool.
    Tool { at: usize, after: bool },
    /// `docker compose up`, N milliseconds after its start.
    Compose(u64),
}

/// Tools whose calls count the steps of a driver.
const TOOLS: [&str; 17] = [
    "tar",
    "sha256sum",
    "stat",
    "xargs",
    "find",
    "awk",
    "sed",
    "tr",
    "mkdir",
    "rm",
    "rmdir",
    "mv",
    "cp",
    "ln",
    "cat",
    "chmod",
    "grep",
];

impl Kill {
    pub(crate) fn any(random: &mut Random, world: &World) -> Self {
        let millis = |random: &mut Random, end| random.below(end) as u64;
        match random.below(9) {
            0 => Self::Client(millis(random, 2500)),
            1 => Self::Master(millis(random, 2000)),
            2 => Self::Session(millis(random, 2000)),
            8 => Self::Hangup(millis(random, 2500)),
            3 | 4 => Self::Compose(millis(random, 700)),
            _ => Self::Tool { at: 1 + random.below(world.calls.max(20)), after: random.below(2) == 0 },
        }
    }
}

/// Makes the host's tools count their calls, and its `docker` able to kill `docker compose up`.
pub(crate) fn prepare(bed: &Bed) {
    let at = |name: &str| bed.path(name).display().to_string();
    let (delay, killed) = (at("delay"), at("was-killed"));
    bed.before_docker(&format!(
        r#"case " $* " in *' up '*) read -r d <{delay} && {{
  : >{delay}; : >{killed}
  "$real" "$@" & p=$!
  sleep "$d"; /usr/bin/pkill -9 -P $p; kill -9 $p; wait $p; exit
}} 2>/dev/null ;; esac"#
    ));
    let (count, kill) = (at("count"), at("kill"));
    for tool in TOOLS {
        bed.before_tool(
            tool,
            &format!(
                r#"read -r n <{count}; n=$((n + 1)); echo $n >{count}
read -r at after <{kill}
if [ "$n" = "$at" ]; then : >{killed}; [ "$after" = false ] || "$real" "$@"; kill -9 0; fi"#
            ),
        );
    }
    aim(bed, None);
}

fn aim(bed: &Bed, kill: Option<&Kill>) {
    let (at, after, delay) = match kill {
        Some(Kill::Tool { at, after }) => (*at, *after, String::new()),
        Some(Kill::Compose(millis)) => (0, false, format!("{}.{:03}\n", millis / 1000, millis % 1000)),
        _ => (0, false, String::new()),
    };
    // In one step, because the tools read them at any time.
    for (name, content) in
        [("kill", format!("{at} {after}\n")), ("count", "0\n".to_owned()), ("delay", delay)]
    {
        std::fs::write(bed.path("new"), content).unwrap();
        std::fs::rename(bed.path("new"), bed.path(name)).unwrap();
    }
    let _ = std::fs::remove_file(bed.path("was-killed"));
}

/// Runs a sync that is killed, and returns whether that happened before its end.
pub(crate) fn sync(bed: &Bed, kill: &Kill) -> bool {
    aim(bed, Some(kill));
    let mut sync = bed.call(["sync", "--prune"]).command();
    let mut sync = sync.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let killed = match kill {
        Kill::Client(millis) => {
            std::thread::sleep(Duration::from_millis(*millis));
            let is_late = sync.try_wait().unwrap().is_some();
            let _ = sync.kill();
            !is_late
        }
        Kill::Hangup(millis) => {
            std::thread::sleep(Duration::from_millis(*millis));
            let is_late = sync.try_wait().unwrap().is_some();
            !is_late
                && Command::new("kill").args(["-HUP", &sync.id().to_string()]).status().unwrap().success()
        }
        Kill::Master(millis) => {
            std::thread::sleep(Duration::from_millis(*millis));
            let socket = bed.path("tmp/ghd-").display().to_string();
            let found = Command::new("pgrep").args(["-f", &socket]).output().unwrap();
            kill_all(String::from_utf8(found.stdout).unwrap().split_whitespace())
        }
        Kill::Session(millis) => {
            std::thread::sleep(Duration::from_millis(*millis));
            kill_all(bed.sshd.sessions().iter().map(String::as_str))
        }
        Kill::Tool { .. } | Kill::Compose(_) => false,
    };
    end(&mut sync);
    let killed = killed || bed.path("was-killed").exists();
    // The next run starts at once, whatever is left of this one.
    aim(bed, None);
    killed
}

fn kill_all<'p>(pids: impl Iterator<Item = &'p str>) -> bool {
    let pids: Vec<&str> = pids.collect();
    !pids.is_empty()
        && privileged(["kill", "-9"]).args(&pids).stderr(Stdio::null()).status().unwrap().success()
}

fn end(sync: &mut Child) {
    let begin = Instant::now();
    while sync.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(100), "the client does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}
