//! A host in trouble: its disk is full or read-only, its clock is wrong, its engine stops.

use std::process::Command;

use crate::bed::{Bed, privileged, stdout_of};
use crate::own_engine::Engine;

fn compose(bed: &Bed, mode: &str) {
    bed.compose("app", &format!("services:\n  web: {{<<: *s, restart: always, environment: {{MODE: {mode}}}, volumes: ['./conf:/conf:ro']}}\n  worker: {{<<: *s, restart: always}}"));
    bed.write("services/app/conf", mode);
}

/// A small disk below the root.
struct Disk<'b>(&'b Bed);

impl<'b> Disk<'b> {
    fn mount(bed: &'b Bed) -> Self {
        std::fs::create_dir_all(bed.root("")).unwrap();
        stdout_of(privileged(["mount", "-t", "tmpfs", "-o", "size=2m,mode=777", "none"]).arg(bed.root("")));
        Self(bed)
    }

    fn remount(&self, options: &str) {
        stdout_of(privileged(["mount", "-o", &format!("remount,{options}")]).arg(self.0.root("")));
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // Lazily, because containers still use it. They are removed with the bed.
        let _ = privileged(["umount", "-l"]).arg(self.0.root("")).status();
    }
}

#[test]
fn a_full_disk_stops_a_sync_before_or_in_the_swap_without_loss() {
    let bed = Bed::new("full");
    let disk = Disk::mount(&bed);
    compose(&bed, "one");
    bed.sync([]).exits(0);
    let before = bed.containers();
    // The upload does not fit.
    compose(&bed, "two");
    bed.write("services/app/blob", vec![7_u8; 3 << 20]);
    bed.sync([]).exits(4).prints("the host's disk is full").ends_with("nothing was changed");
    // The upload fits, but not the replaced files that are kept for a rollback.
    bed.write("services/app/blob", "small");
    bed.settle();
    let fill = |room: u64| {
        let free = stdout_of(Command::new("df").args(["--output=avail", "-B1"]).arg(bed.root("")));
        let free: u64 = free.lines().last().unwrap().trim().parse().unwrap();
        std::fs::write(bed.root("filling"), vec![0; usize::try_from(free.saturating_sub(room)).unwrap()])
            .unwrap();
    };
    for room in [60_000, 90_000, 120_000] {
        fill(room);
        let ran = bed.call(["sync"]).run();
        let (code, output) = (ran.code, ran.all());
        assert!(matches!(code, Some(0 | 4 | 5 | 6)), "{output}");
        assert!(
            code == Some(0) || output.contains("No space left") || output.contains("disk is full"),
            "{output}"
        );
        if code != Some(0) {
            assert_eq!(
                (bed.on_host("app/conf"), bed.containers()),
                ("one".to_owned(), before.clone()),
                "{output}"
            );
        }
        std::fs::remove_file(bed.root("filling")).unwrap();
        bed.settle();
    }
    bed.call(["sync"]).run().exits(0);
    assert_eq!(
        (bed.env("app/web", "MODE"), bed.inside("app/web", &["cat", "/conf"])),
        ("two".to_owned(), "two".to_owned())
    );
    drop(bed.containers());
    disk.remount("size=4m");
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
}

#[test]
fn a_read_only_root_is_refused_and_can_still_be_inspected() {
    let bed = Bed::new("readonly");
    let disk = Disk::mount(&bed);
    compose(&bed, "one");
    bed.sync([]).exits(0);
    bed.settle();
    compose(&bed, "two");
    bed.commit();
    disk.remount("ro");
    bed.call(["sync"]).run().exits(4).prints("Read-only file system").ends_with("nothing was changed");
    bed.call(["sync", "--dry-run"]).run().exits(4).prints("Read-only file system");
    bed.call(["status"]).run().exits(0).prints("release 1");
    bed.call(["diff"]).run().exits(0).prints("+two");
    disk.remount("rw");
    bed.call(["sync"]).run().exits(0);
    assert_eq!(bed.env("app/web", "MODE"), "two");
}

#[test]
fn false_file_times_do_not_hide_drift() {
    let bed = Bed::new("clock");
    compose(&bed, "one");
    bed.write("services/app/other", "same size 1");
    bed.sync([]).exits(0);
    for (when, text) in [("1 hour ago", "same size 2"), ("next hour", "same size 3")] {
        bed.settle();
        // A writer can set the clock back or give the file any time.
        std::fs::write(bed.root("app/other"), text).unwrap();
        stdout_of(Command::new("touch").args(["-d", when]).arg(bed.root("app/other")));
        bed.call(["status"]).run().exits(0).prints("app/other  (drift");
        bed.call(["sync"]).run().exits(0).prints("drift");
        assert_eq!(bed.on_host("app/other"), "same size 1");
        for name in ["names.0", "listing", "proof.0", "state.json", "lock", "heartbeat"] {
            stdout_of(
                Command::new("touch").args(["-c", "-d", when]).arg(bed.root(&format!(".ghdeploy/{name}"))),
            );
        }
        bed.call(["sync"]).run().exits(0).prints("nothing to do");
    }
}

#[test]
fn an_engine_that_stops_before_or_during_an_apply_loses_nothing() {
    let bed = Bed::new("engine");
    let mut engine = Engine::start(&bed);
    compose(&bed, "one");
    bed.sync([]).exits(0);
    let at = |mode: &str| vec![format!("web-1 running MODE={mode}"), "worker-1 running PATH=/bin".to_owned()];
    let is_at = |engine: &Engine<'_>, mode: &str| {
        let (there, wanted) = (engine.containers(), at(mode));
        assert!(
            there.len() == 2 && there[0] == wanted[0] && there[1].starts_with("worker-1 running"),
            "{there:?}"
        );
    };
    is_at(&engine, "one");
    // The engine stops before the run.
    engine.down();
    compose(&bed, "two");
    bed.sync([])
        .exits(5)
        .prints("Docker Engine is not running on the host")
        .prints("systemctl start docker")
        .ends_with("nothing was changed (release 1)");
    assert_eq!(bed.on_host("app/conf"), "one");
    bed.call(["status"]).run().exits(4).prints("Docker");
    engine.up();
    bed.call(["sync"]).run().exits(0);
    is_at(&engine, "two");
    // The engine stops during an up.
    let flag = bed.path("engine-stopped");
    bed.before_docker(&format!(
        "export DOCKER_HOST={}\ncase \" $* \" in *' up '*) [ -e {flag} ] || {{ : >{flag}; kill {}; while \"$real\" version; do sleep 0.1; done >/dev/null; }} 2>/dev/null ;; esac",
        engine.socket(),
        engine.pid(),
        flag = flag.display(),
    ));
    compose(&bed, "three");
    bed.sync([]).exits(6).prints("the rollback failed").prints("run ghdeploy status");
    engine.down();
    engine.up();
    bed.call(["sync"]).run().exits(0);
    is_at(&engine, "three");
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
}
