//! A network that goes down for some seconds, or without a word for ever: client and host in network
//! namespaces of their own, with one wire between them.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::bed::{Bed, privileged, ran};
use crate::support::wait;

/// A wire between a client and the host of a bed.
struct Wire<'b> {
    bed: &'b Bed,
    name: String,
    sshd: Child,
}

const PORT: u16 = 2222;

impl<'b> Wire<'b> {
    fn new(bed: &'b Bed) -> Self {
        static WIRES: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}", std::process::id(), WIRES.fetch_add(1, Ordering::Relaxed));
        let (client, server) = (format!("gc{name}"), format!("gs{name}"));
        for space in [&client, &server] {
            ran(privileged(["ip", "netns", "add"]).arg(space));
            ran(privileged(["ip", "-n"]).args([space, "link", "set", "lo", "up"]));
        }
        ran(privileged([
            "ip", "-n", &client, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns",
        ])
        .arg(&server));
        for (space, address) in [(&client, "10.99.7.1/24"), (&server, "10.99.7.2/24")] {
            ran(privileged(["ip", "-n"]).args([space, "addr", "add", address, "dev", "wire"]));
            ran(privileged(["ip", "-n"]).args([space, "link", "set", "wire", "up"]));
        }
        let config = std::fs::read_to_string(bed.path("ssh/sshd_config")).unwrap();
        let config: String = config
            .lines()
            .map(|line| {
                if line.starts_with("ListenAddress") {
                    format!("ListenAddress 10.99.7.2:{PORT}\n")
                } else {
                    format!("{line}\n")
                }
            })
            .collect();
        std::fs::write(bed.path("ssh/wire_config"), config).unwrap();
        let key = std::fs::read_to_string(bed.path("ssh/host_key.pub")).unwrap();
        std::fs::write(bed.path("known"), format!("[10.99.7.2]:{PORT} {key}")).unwrap();
        let mut sshd = privileged(["ip", "netns", "exec"]);
        sshd.arg(&server).args(["/usr/sbin/sshd", "-D", "-f"]).arg(bed.path("ssh/wire_config"));
        let sshd = sshd.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let wire = Self { bed, name, sshd };
        let listens = || {
            ran(privileged(["ip", "netns", "exec"]).args([&format!("gs{}", wire.name), "ss", "-ltn"]))
                .contains(":2222")
        };
        wait::until("sshd listens", listens);
        wire
    }

    fn set(&self, state: &str) {
        ran(privileged(["ip", "-n"]).args([&format!("gc{}", self.name), "link", "set", "wire", state]));
    }

    /// A sync over the wire.
    fn sync(&self, options: &[&str]) -> Run {
        let user = ran(Command::new("id").arg("-un"));
        let call = self.bed.call(["sync"]).host(format!("{}@10.99.7.2:{PORT}", user.trim()));
        let call = options
            .iter()
            .fold(call.known_hosts(Some(&self.bed.path("known"))), |call, option| call.args([*option]));
        let command = call.command();
        let mut inside = privileged(["env"]);
        for (name, value) in command.get_envs() {
            let mut set = name.to_owned();
            set.push("=");
            set.push(value.unwrap_or_default());
            inside.arg(set);
        }
        inside
            .args(["ip", "netns", "exec", &format!("gc{}", self.name)])
            .arg(command.get_program())
            .args(command.get_args());
        Run(inside.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap(), Instant::now())
    }
}

impl Drop for Wire<'_> {
    fn drop(&mut self) {
        for space in [format!("gc{}", self.name), format!("gs{}", self.name)] {
            let pids = privileged(["ip", "netns", "pids"]).arg(&space).output().map(|output| output.stdout);
            for pid in String::from_utf8_lossy(&pids.unwrap_or_default()).split_whitespace() {
                let _ = privileged(["kill", "-9", pid]).stderr(Stdio::null()).status();
            }
            let _ = privileged(["ip", "netns", "del"]).arg(&space).status();
        }
        let _ = self.sshd.wait();
    }
}

/// A sync that runs.
struct Run(Child, Instant);

impl Run {
    #[track_caller]
    fn ends(self, code: i32, seconds: u64) -> String {
        let output = self.0.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(self.1.elapsed() < Duration::from_secs(seconds), "it took {:?}: {said}", self.1.elapsed());
        said
    }
}

fn compose(bed: &Bed, mode: &str) {
    bed.compose("app", &format!("services:\n  web: {{<<: *s, environment: {{MODE: {mode}}}}}\n  worker: {{<<: *s, volumes: ['./conf:/conf:ro']}}"));
    bed.write("services/app/conf", mode);
}

/// Delays calls of one of the host's tools that have these words among their arguments, and notes that one began.
fn slow(bed: &Bed, tool: &str, words: &str, seconds: u32) {
    let began = bed.path("began").display().to_string();
    bed.before_tool(tool, &format!("case \" $* \" in *'{words}'*) : >{began}; sleep {seconds} ;; esac"));
}

/// Bytes that do not compress.
fn noise(bytes: usize) -> Vec<u8> {
    let mut x = 88_172_645_463_325_252_u64;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()
    };
    (0..bytes / 8).flat_map(|_| next()).collect()
}

#[test]
fn a_link_that_is_down_for_seconds_during_the_upload_is_survived() {
    let bed = Bed::new("netshort");
    compose(&bed, "one");
    bed.write("services/app/blob", noise(24 << 20));
    bed.commit();
    slow(&bed, "tar", "-x", 3);
    let wire = Wire::new(&bed);
    let run = wire.sync(&[]);
    wait::until("the upload begins", || bed.path("began").exists());
    wire.set("down");
    std::thread::sleep(Duration::from_secs(6));
    wire.set("up");
    run.ends(0, 120);
    assert_eq!(std::fs::read(bed.root("app/blob")).unwrap(), noise(24 << 20));
    assert_eq!(bed.env("app/web", "MODE"), "one");
}

#[test]
fn a_dead_link_ends_the_run_and_does_not_block_the_next_one() {
    let bed = Bed::new("netever");
    compose(&bed, "one");
    bed.sync([]).exits(0);
    compose(&bed, "two");
    bed.commit();
    let wire = Wire::new(&bed);
    // In mid-upload: nothing was changed, and that is known.
    bed.write("services/app/blob", noise(24 << 20));
    bed.commit();
    slow(&bed, "tar", "-x", 4);
    let run = wire.sync(&[]);
    wait::until("the upload begins", || bed.path("began").exists());
    wire.set("down");
    let said = run.ends(4, 120);
    assert!(said.contains("nothing was changed") && !said.contains("trying again"), "{said}");
    assert_eq!(bed.on_host("app/conf"), "one");
    // The host has not heard of that: its driver waits, with the lock, for a client that has gone. Who needs
    // the lock gets it all the same.
    wire.set("up");
    let held = privileged(["ip", "-n", &format!("gs{}", wire.name), "link", "set", "wire", "down"]).status();
    assert!(held.unwrap().success());
    bed.call(["sync", "--lock-wait", "3m"]).run().exits(0);
    assert_eq!(
        (bed.env("app/web", "MODE"), bed.inside("app/worker", &["cat", "/conf"])),
        ("two".to_owned(), "two".to_owned())
    );
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
}

#[test]
fn a_link_that_dies_during_an_up_leaves_the_rest_to_the_next_sync() {
    let bed = Bed::new("netact");
    compose(&bed, "one");
    bed.sync([]).exits(0);
    compose(&bed, "two");
    bed.commit();
    let began = bed.path("began");
    slow(&bed, "docker", " up ", 3);
    let wire = Wire::new(&bed);
    let run = wire.sync(&[]);
    wait::until("the up begins", || began.exists());
    wire.set("down");
    let said = run.ends(6, 120);
    assert!(said.contains("unknown: run ghdeploy status"), "{said}");
    wire.set("up");
    wire.sync(&["--lock-wait", "3m"]).ends(0, 200);
    assert_eq!(
        (bed.env("app/web", "MODE"), bed.inside("app/worker", &["cat", "/conf"])),
        ("two".to_owned(), "two".to_owned())
    );
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
}
