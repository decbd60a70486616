//! Hosts that cannot be reached or lack a tool: the message, the exit code, and that nothing changed.

use std::process::{Child, Command, Stdio};

use crate::bed::Bed;
use crate::bed::call::Call;
use crate::bed::sshd::free_port;
use crate::support::program::Output;
use crate::users::User;

fn bed(test: &str) -> Bed {
    let bed = Bed::new(test);
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./web.conf:/web.conf:ro']}");
    bed.write("services/app/web.conf", "one");
    bed.commit();
    bed
}

/// Runs it, and asserts exit code 4, an unchanged host, and a last line that says so.
#[track_caller]
fn does_not_reach(bed: &Bed, call: Call<'_>) -> Output {
    let root = bed.listing("root");
    let ran = call.run().exits(4).ends_with("nothing was changed").prints("help: ");
    assert_eq!(bed.listing("root"), root);
    ran
}

#[test]
fn a_host_key_that_is_unknown_or_has_changed_is_refused() {
    let bed = bed("hostkey");
    let known = bed.path("known");
    std::fs::write(&known, "").unwrap();
    does_not_reach(&bed, bed.call(["sync"]).known_hosts(Some(&known)))
        .prints("is not known")
        .prints("ssh-keyscan");
    let other = std::fs::read_to_string(bed.sshd.client_key().with_extension("pub")).unwrap();
    std::fs::write(&known, format!("[127.0.0.1]:{} {other}", bed.sshd.port)).unwrap();
    does_not_reach(&bed, bed.call(["sync"]).known_hosts(Some(&known))).prints("is not the one that is known");
    // A changed key is refused even then.
    does_not_reach(&bed, bed.call(["sync", "--accept-new-host-key"]).known_hosts(Some(&known)));
    std::fs::write(&known, "").unwrap();
    bed.call(["sync", "--no-restart", "--accept-new-host-key"]).known_hosts(Some(&known)).run().exits(0);
    assert!(known.metadata().unwrap().len() > 0, "the key was not kept");
    bed.call(["sync", "--no-restart"]).known_hosts(Some(&known)).run().exits(0);
}

#[test]
fn a_tool_that_the_host_lacks_is_named() {
    let bed = bed("tools");
    bed.call(["sync", "--no-restart"]).run().exits(0);
    bed.write("services/app/web.conf", "two");
    for tool in ["sh", "dd", "gzip", "tar", "sha256sum", "flock"] {
        let (there, away) = (bed.path("bin").join(tool), bed.path("away"));
        std::fs::rename(&there, &away).unwrap();
        does_not_reach(&bed, bed.call(["sync"]))
            .prints(&format!("the host lacks: {tool}\n"))
            .prints("install them");
        std::fs::rename(&away, &there).unwrap();
    }
}

#[test]
fn a_host_that_refuses_connections_is_told_apart_from_one_without_an_address() {
    let bed = bed("refused");
    does_not_reach(&bed, bed.call(["sync"]).host(format!("root@127.0.0.1:{}", free_port())))
        .prints("refuses the connection");
    does_not_reach(&bed, bed.call(["sync"]).host("root@no-such-host.invalid")).prints("cannot be resolved");
    does_not_reach(&bed, bed.call(["sync"]).user("ghdt-nobody")).prints("permission denied");
    bed.call(["sync"]).host("-oProxyCommand=x").run().exits(2);
    let key = bed.path("no-such-key").display().to_string();
    bed.call(["sync"]).ssh_key(&key).run().exits(4);
}

#[test]
fn a_root_without_write_permission_is_reported_before_anything_happens() {
    let bed = bed("notmine");
    let user = User::new(&bed, "notmine", "/bin/sh", false);
    does_not_reach(&bed, bed.call(["sync"]).user(&user.name)).prints("may not write").prints("install -d -o");
}

#[test]
fn a_user_without_access_to_docker_is_told_which_group_to_join() {
    let bed = Bed::new("nogroup");
    let user = User::new(&bed, "nogroup", "/bin/sh", false);
    user.own_root(&bed);
    bed.write("services/app/compose.yml", "services: {web: {image: 'ghdeploy-test/busybox:1'}}\n");
    bed.commit();
    let output = bed
        .call(["sync"])
        .user(&user.name)
        .run()
        .prints("usermod -aG docker")
        .ends_with("nothing was changed");
    assert_ne!(output.code, Some(0), "{}", output.all());
    assert!(!bed.root("app").exists());
}

#[test]
fn a_missing_docker_or_compose_is_reported_with_what_to_install() {
    let bed = bed("nodocker");
    let files = bed.listing("root/app");
    bed.remove_docker();
    let output = bed.call(["sync"]).run().prints("the host has no docker").ends_with("nothing was changed");
    assert_ne!(output.code, Some(0), "{}", output.all());
    bed.before_docker("case $1 in compose) echo \"docker: 'compose' is not a docker command.\" >&2; exit 1 ;; ps) exit 0 ;; esac; exit 1");
    let output = bed.call(["sync"]).run().prints("no Compose v2").ends_with("nothing was changed");
    assert_ne!(output.code, Some(0), "{}", output.all());
    assert_eq!(bed.listing("root/app"), files);
}

#[test]
fn a_stopped_engine_is_reported() {
    let bed = bed("noengine");
    let files = bed.listing("root/app");
    bed.before_docker("case \"$1 $2\" in 'compose version') echo v2; exit 0 ;; esac; echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?' >&2; exit 1");
    let output =
        bed.call(["sync"]).run().prints("Docker Engine is not running").ends_with("nothing was changed");
    assert_ne!(output.code, Some(0), "{}", output.all());
    assert_eq!(bed.listing("root/app"), files);
}

/// A process that holds a lock. Dropping it releases the lock.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_held_lock_is_waited_for_and_its_holder_is_named() {
    let bed = bed("busy");
    bed.call(["sync"]).run().exits(0);
    let lock = bed.root(".ghdeploy/lock");
    // `cat` waits for the end of stdin.
    let details = r#"{"actor":"alice","commit":"abc","run":"https://example.org/runs/7","since":"2026-01-01T00:00:00Z","pid":1}"#;
    let script = r#"printf '%s\n' "$1" >"$2"; exec cat"#;
    let holder = Command::new("flock")
        .arg("--no-fork")
        .arg(&lock)
        .args(["sh", "-c", script, "sh", details])
        .arg(bed.root(".ghdeploy/lock.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let holder = Holder(holder.unwrap());
    // The driver of the first run may still be writing its records.
    while !std::fs::read_to_string(bed.root(".ghdeploy/lock.json")).is_ok_and(|text| text.contains("alice")) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    bed.write("services/app/web.conf", "two");
    bed.commit();
    does_not_reach(&bed, bed.call(["sync", "--lock-wait", "1s"]))
        .prints("alice")
        .prints("https://example.org/runs/7");
    assert_eq!(bed.on_host("app/web.conf"), "one");
    // A dry run needs no lock.
    bed.call(["sync", "--dry-run", "--exit-code"]).run().exits(10);
    let release = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(2));
        drop(holder);
    });
    bed.call(["sync"]).run().exits(0);
    release.join().unwrap();
    assert_eq!(bed.on_host("app/web.conf"), "two");
}

#[test]
fn two_concurrent_syncs_go_one_after_the_other() {
    let bed = bed("twice");
    let calls: Vec<_> = (0..2)
        .map(|_| bed.call(["sync"]).command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    let outputs: Vec<_> = calls.into_iter().map(|call| call.wait_with_output().unwrap()).collect();
    assert!(outputs.iter().all(|output| output.status.success()), "{outputs:?}");
    let idle = outputs
        .iter()
        .filter(|output| String::from_utf8_lossy(&output.stdout).contains("nothing to do"))
        .count();
    assert_eq!(idle, 1, "{outputs:?}");
}

#[test]
fn doctor_reports_what_is_ok_and_what_is_not() {
    let bed = bed("doctor");
    let root = bed.listing("root");
    bed.call(["doctor"]).run().exits(0);
    bed.remove_docker();
    bed.call(["doctor"]).run().exits(4);
    bed.call(["doctor"])
        .host(format!("root@127.0.0.1:{}", free_port()))
        .run()
        .exits(4)
        .prints("refuses the connection");
    assert_eq!(bed.listing("root"), root);
}
