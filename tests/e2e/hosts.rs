//! Several hosts, hosts that were restored, and flaky connections.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bed::observe::fates;
use crate::bed::sshd::free_port;
use crate::bed::{Bed, privileged, stdout_of};
use crate::support::program::Output;

/// A bed with the hosts `a`, `b` and `c` on this machine. `b` is the address of the second one.
fn three(test: &str, b: &str) -> Bed {
    let bed = Bed::new(test);
    let at = |name: &str| bed.path(name).display().to_string();
    bed.write(
        "ghdeploy.yml",
        format!(
            "health: {{stable_for: 0s, timeout: 60s}}\nhosts:\n  a: {{ssh: 'local:{}', projects: [one, all]}}\n  b: {{ssh: '{b}', root: {}, projects: [all]}}\n  c: {{ssh: 'local:{}', projects: [all]}}\n",
            at("ra"),
            at("rb"),
            at("rc")
        ),
    );
    for project in ["one", "all"] {
        bed.write(&format!("services/{project}/compose.yml"), "services:\n  web: {image: a}\n");
    }
    bed
}

fn sync(bed: &Bed, options: &[&str]) -> Output {
    bed.commit();
    let call = bed.call(["sync", "--no-restart"]).without_host();
    options.iter().fold(call, |call, option| call.args([*option])).run()
}

fn has(bed: &Bed, path: &str) -> bool {
    bed.path(path).exists()
}

#[test]
fn projects_go_to_their_hosts_and_a_failing_host_does_not_affect_the_others() {
    let bed = three("hosts", &format!("tester@127.0.0.1:{}", free_port()));
    let output = sync(&bed, &["--dry-run"]).exits(4).prints("trying again in 1 s");
    assert!(
        output.stdout.contains("; 1 host failed")
            && output.stdout.contains("services/one/compose.yml")
            && output.stdout.contains("refuses the connection"),
        "{}",
        output.all()
    );
    let json = sync(&bed, &["--dry-run", "--format", "json"]).exits(4).json();
    assert_eq!(json["hosts"].as_array().unwrap().len(), 3);
    sync(&bed, &[])
        .exits(4)
        .prints("host a: release 1")
        .prints("host c: release 1")
        .prints("host b: nothing was changed");
    assert!(
        has(&bed, "ra/one/compose.yml") && has(&bed, "ra/all/compose.yml") && has(&bed, "rc/all/compose.yml")
    );
    assert!(!has(&bed, "rc/one") && !has(&bed, "rb"));
    let markdown = sync(&bed, &["--format", "markdown"]).exits(4);
    assert!(markdown.stdout.contains("refuses the connection"), "{}", markdown.all());
}

#[test]
fn a_failing_canary_stops_the_hosts_after_it() {
    let bed = three("canary", &format!("tester@127.0.0.1:{}", free_port()));
    sync(&bed, &["--parallel", "1", "--fail-fast"])
        .exits(4)
        .prints("host a: release 1")
        .prints("skipped: host b failed")
        .prints("host c: nothing was changed");
    assert!(has(&bed, "ra/all/compose.yml") && !has(&bed, "rc"));
    // The hosts run in the given order.
    sync(&bed, &["--parallel", "1", "--fail-fast", "--host", "c,b,a"]).exits(4).prints("host c: release 1");
    sync(&bed, &["--parallel", "0"]).exits(2).prints("from 1 to 64");
}

#[test]
fn one_server_is_not_two_hosts() {
    let bed = three("twins", "local");
    bed.write(
        "ghdeploy.yml",
        format!("hosts:\n  a: {{ssh: 'local:{0}'}}\n  b: {{ssh: 'local:{0}'}}\n", bed.path("ra").display()),
    );
    sync(&bed, &[]).exits(2).prints("a and b are the same server and root");
    assert!(!has(&bed, "ra"));
}

/// A proxy to a port. `breaks` decides by a connection's number when it breaks off.
fn proxy(to: u16, breaks: impl Fn(usize) -> Break + Send + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), number) = (client, counter.fetch_add(1, Ordering::SeqCst)) else { return };
            let how = breaks(number);
            if how == Break::AtOnce {
                continue;
            }
            let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { return };
            let (from, into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || copy(from, into, Break::Never));
            std::thread::spawn(move || copy(server, client, how));
        }
    });
    (port, count)
}

/// The moment at which a connection breaks off.
#[derive(Clone, PartialEq, Eq)]
enum Break {
    Never,
    AtOnce,
    /// After N bytes from the server.
    After(usize),
    /// Once this path exists.
    With(std::path::PathBuf),
}

fn copy(mut from: TcpStream, mut to: TcpStream, how: Break) {
    let (mut buffer, mut all) = ([0; 4096], 0);
    let _ = from.set_read_timeout(Some(std::time::Duration::from_millis(20)));
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                all += read;
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        if matches!(&how, Break::After(bytes) if all > *bytes)
            || matches!(&how, Break::With(path) if path.exists())
        {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn through(bed: &Bed, port: u16) -> Output {
    let known = bed.path("known");
    let key = std::fs::read_to_string(bed.sshd.known_hosts()).unwrap();
    std::fs::write(&known, format!("[127.0.0.1]:{port} {}", key.split_once(' ').unwrap().1)).unwrap();
    let user = stdout_of(std::process::Command::new("id").arg("-un"));
    let host = format!("{}@127.0.0.1:{port}", user.trim());
    bed.call(["sync"]).host(host).known_hosts(Some(&known)).run()
}

#[test]
fn a_flaky_connection_is_retried_while_nothing_was_changed() {
    let bed = Bed::new("retries");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.commit();
    // The first connection closes immediately, the second one in the handshake, the third one works.
    let (port, count) = proxy(bed.sshd.port, |number| match number {
        0 => Break::AtOnce,
        1 => Break::After(30),
        _ => Break::Never,
    });
    through(&bed, port).exits(0).prints("trying again in 1 s").prints("trying again in 2 s");
    assert_eq!(count.load(Ordering::SeqCst), 3);
    assert_eq!(bed.containers().len(), 1);
    let (port, count) = proxy(bed.sshd.port, |_| Break::AtOnce);
    through(&bed, port).exits(4).ends_with("nothing was changed");
    assert_eq!(count.load(Ordering::SeqCst), 4, "it gives up after a while");
}

#[test]
fn a_connection_that_is_lost_after_a_change_is_not_retried() {
    let bed = Bed::new("noretry");
    bed.compose("app", "services:\n  web: {<<: *s, environment: {V: one}}");
    bed.sync([]).exits(0);
    bed.compose("app", "services:\n  web: {<<: *s, environment: {V: two}}");
    bed.write("services/app/new", "x");
    bed.commit();
    let swapped = bed.root("app/new");
    let (port, count) = proxy(bed.sshd.port, move |_| Break::With(swapped.clone()));
    through(&bed, port).exits(6).never_prints("trying again").ends_with("unknown: run ghdeploy status");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    bed.settle();
    bed.call(["sync"]).run().exits(0);
    assert_eq!(bed.env("app/web", "V"), "two");
}

#[test]
fn one_sync_makes_a_host_restored_from_a_snapshot_match_the_repository() {
    let bed = Bed::new("snapshot");
    let version = |version: &str| {
        bed.compose("app", &format!("services:\n  web: {{<<: *s, volumes: ['./conf:/conf:ro']}}\n  worker: {{<<: *s, environment: {{V: {version}}}}}"));
        bed.write("services/app/conf", version);
    };
    version("one");
    bed.sync([]).exits(0);
    bed.settle();
    stdout_of(privileged(["cp", "-a"]).arg(bed.root("")).arg(bed.path("snapshot")));
    version("two");
    bed.compose("blog", "services:\n  web: {<<: *s}");
    bed.sync([]).exits(0);
    for gone in [false, true] {
        // The files are old. The containers are new, or there are none.
        bed.settle();
        bed.allow_all();
        stdout_of(privileged(["rm", "-rf"]).arg(bed.root("")));
        stdout_of(privileged(["cp", "-a"]).arg(bed.path("snapshot")).arg(bed.root("")));
        let before = bed.containers();
        if gone {
            for container in before.values() {
                stdout_of(std::process::Command::new("docker").args(["rm", "-f", &container.id]));
            }
        }
        bed.call(["sync"]).run().exits(0);
        assert_eq!(
            (bed.on_host("app/conf"), bed.inside("app/web", &["cat", "/conf"])),
            ("two".to_owned(), "two".to_owned())
        );
        assert_eq!(bed.env("app/worker", "V"), "two");
        let fates = fates(&before, &bed.containers());
        assert_eq!(fates["app/web"], if gone { "recreated" } else { "restarted" }, "{fates:?}");
        assert!(bed.containers().contains_key("blog/web"));
        bed.call(["sync"]).run().exits(0).prints("nothing to do");
    }
}
