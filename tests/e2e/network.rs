//! A network that goes down for some seconds or forever, without closing connections. Client and host
//! have network namespaces of their own, with one wire between them.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::bed::{Bed, chmod, privileged, stdout_of};
use crate::support::program::{self, Output};
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
            stdout_of(privileged(["ip", "netns", "add"]).arg(space));
            stdout_of(privileged(["ip", "-n"]).args([space, "link", "set", "lo", "up"]));
        }
        stdout_of(
            privileged([
                "ip", "-n", &client, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns",
            ])
            .arg(&server),
        );
        for (space, address) in [(&client, "10.99.7.1/24"), (&server, "10.99.7.2/24")] {
            stdout_of(privileged(["ip", "-n"]).args([space, "addr", "add", address, "dev", "wire"]));
            stdout_of(privileged(["ip", "-n"]).args([space, "link", "set", "wire", "up"]));
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
            stdout_of(privileged(["ip", "netns", "exec"]).args([&format!("gs{}", wire.name), "ss", "-ltn"]))
                .contains(":2222")
        };
        wait::until("sshd listens", listens);
        wire
    }

    fn set(&self, state: &str) {
        stdout_of(privileged(["ip", "-n"]).args([&format!("gc{}", self.name), "link", "set", "wire", state]));
    }

    /// Starts a sync over the wire, with an `ssh` that gives up a silent connection after 3 × `alive`
    /// seconds.
    fn sync(&self, options: &[&str], alive: u32) -> Child {
        let user = stdout_of(Command::new("id").arg("-un"));
        let call = self.bed.call(["sync"]).host(format!("{}@10.99.7.2:{PORT}", user.trim()));
        let known_hosts = self.bed.path("known");
        let call =
            options.iter().fold(call.known_hosts(Some(&known_hosts)), |call, option| call.args([*option]));
        let command = call.command();
        // The first of several values is the one that ssh takes.
        let bin = self.bed.path("client-bin");
        std::fs::create_dir_all(&bin).unwrap();
        let ssh = stdout_of(Command::new("sh").args(["-c", "command -v ssh"]));
        let script = format!("#!/bin/sh\nexec {} -o ServerAliveInterval={alive} \"$@\"\n", ssh.trim());
        std::fs::write(bin.join("ssh"), script).unwrap();
        chmod(bin.join("ssh"), 0o755);
        let mut inside = privileged(["env"]);
        for (name, value) in command.get_envs() {
            let mut set = name.to_owned();
            set.push("=");
            if name == "PATH" {
                set.push(&bin);
                set.push(":");
            }
            set.push(value.unwrap_or_default());
            inside.arg(set);
        }
        inside
            .args(["ip", "netns", "exec", &format!("gc{}", self.name)])
            .arg(command.get_program())
            .args(command.get_args());
        inside.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// The interval that ghdeploy itself asks for.
const REAL: u32 = 15;

/// Waits for a sync, at most for some seconds.
fn output(sync: Child, seconds: u64) -> Output {
    program::wait(sync, "sync".to_owned(), Duration::from_secs(seconds))
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

fn compose(bed: &Bed, mode: &str) {
    bed.compose("app", &format!("services:\n  web: {{<<: *s, environment: {{MODE: {mode}}}}}\n  worker: {{<<: *s, volumes: ['./conf:/conf:ro']}}"));
    bed.write("services/app/conf", mode);
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
    let upload = bed.hold("tar", "-x");
    let wire = Wire::new(&bed);
    let sync = wire.sync(&[], REAL);
    upload.wait();
    wire.set("down");
    upload.release();
    std::thread::sleep(Duration::from_secs(5));
    wire.set("up");
    output(sync, 120).exits(0);
    assert_eq!(std::fs::read(bed.root("app/blob")).unwrap(), noise(24 << 20));
    assert_eq!(bed.env("app/web", "MODE"), "one");
}

#[test]
fn a_dead_link_ends_the_run_and_does_not_block_the_next_one() {
    let bed = Bed::new("netever");
    compose(&bed, "one");
    bed.sync([]).exits(0);
    compose(&bed, "two");
    // The link dies during the upload, so the run knows that nothing was changed.
    bed.write("services/app/blob", noise(24 << 20));
    bed.commit();
    let wire = Wire::new(&bed);
    let upload = bed.hold("tar", "-x");
    let sync = wire.sync(&[], REAL);
    upload.wait();
    wire.set("down");
    upload.release();
    output(sync, 120).exits(4).prints("nothing was changed").never_prints("trying again");
    assert_eq!(bed.on_host("app/conf"), "one");
    // The driver on the host does not know: it holds the lock and waits for its client. After a minute of
    // silence, the next run ends it.
    wire.set("up");
    stdout_of(&mut privileged(["ip", "-n", &format!("gs{}", wire.name), "link", "set", "wire", "down"]));
    bed.call(["sync", "--lock-wait", "3m"]).run().exits(0);
    is_converged(&bed);
}

#[test]
fn a_link_that_dies_during_an_up_leaves_the_rest_to_the_next_sync() {
    let bed = Bed::new("netact");
    compose(&bed, "one");
    bed.sync([]).exits(0);
    compose(&bed, "two");
    bed.commit();
    let up = bed.hold("docker", " up ");
    let wire = Wire::new(&bed);
    let sync = wire.sync(&[], 3);
    up.wait();
    wire.set("down");
    up.release();
    output(sync, 60).exits(6).prints("unknown: run ghdeploy status");
    wire.set("up");
    // The minute of silence is waited for in the test above.
    stdout_of(privileged(["touch", "-d", "2 minutes ago"]).arg(bed.root(".ghdeploy/beat")));
    output(wire.sync(&["--lock-wait", "3m"], REAL), 200).exits(0);
    is_converged(&bed);
}

/// Asserts that everything of the second commit is deployed.
#[track_caller]
fn is_converged(bed: &Bed) {
    assert_eq!(
        (bed.env("app/web", "MODE"), bed.inside("app/worker", &["cat", "/conf"])),
        ("two".to_owned(), "two".to_owned())
    );
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
}
