//! Records that something else has damaged: a crash of the host, a full disk, a person.
//!
//! Each record is damaged in each way, under each command. No command may fail as if by a bug, hang, or lose
//! anything, and a sync, after what the message says was done, makes the host right again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Output};

use crate::bed::which;

/// A way to damage a file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Damage {
    Empty,
    CutOff,
    Zeroes,
    Directory,
    Garbage,
    Unreadable,
}

const DAMAGES: [Damage; 6] =
    [Damage::Empty, Damage::CutOff, Damage::Zeroes, Damage::Directory, Damage::Garbage, Damage::Unreadable];

impl Damage {
    fn to(self, file: &Path) {
        let content = fs::read(file).unwrap();
        match self {
            Self::Empty => fs::write(file, "").unwrap(),
            Self::CutOff => fs::write(file, &content[..content.len() * 2 / 3]).unwrap(),
            // As filesystems leave a block that was not written before a crash.
            Self::Zeroes => {
                let half = content.len() / 2;
                fs::write(file, [&content[..half], &vec![0; content.len() - half]].concat()).unwrap();
            }
            Self::Directory => {
                fs::remove_file(file).unwrap();
                fs::create_dir(file).unwrap();
                fs::write(file.join("x"), "x").unwrap();
            }
            Self::Garbage => fs::write(file, "}{\"\\\nnot this\n\u{1}{\"id\":1,\"event\":\"x\"}").unwrap(),
            Self::Unreadable => fs::set_permissions(file, fs::Permissions::from_mode(0o0)).unwrap(),
        }
    }
}

/// A repository and a host on this machine.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    /// A host with two releases, a shared file, an unmanaged file, and a swap that was interrupted.
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        world.write(
            "repo/services/app/compose.yml",
            "services: {web: {image: a, env_file: [../shared.env]}}\n",
        );
        world.write("repo/services/blog/compose.yml", "services: {web: {image: a}}\n");
        world.write("repo/services/shared.env", "A=1\n");
        world.write("repo/services/app/conf/a", "one\n");
        assert_eq!(world.run(&["sync", "--no-restart"]).status.code(), Some(0));
        world.write("root/app/conf/unmanaged", "theirs\n");
        // A manifest that is cut off may name it.
        world.write("repo/services/app/conf/unmanaged-not", "ours\n");
        world.write("repo/services/app/conf/a", "two\n");
        world.write("repo/services/blog/x", "x\n");
        assert_eq!(world.run(&["sync", "--no-restart"]).status.code(), Some(0));
        let manifest = fs::read(world.path("root/.ghdeploy/manifest/blog")).unwrap();
        fs::write(world.path("root/.ghdeploy/pending/blog"), manifest).unwrap();
        fs::rename(world.path("root"), world.path("pristine")).unwrap();
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), content).unwrap();
    }

    /// Makes the host as it was before.
    fn reset(&self) {
        let run = |program: &str, args: &[&str]| {
            let status = Program::new(which(program)).args(args).current_dir(self.dir.path()).status();
            assert!(status.unwrap().success());
        };
        run("rm", &["-rf", "root"]);
        run("cp", &["-a", "pristine", "root"]);
    }

    fn run(&self, args: &[&str]) -> Output {
        let root = self.path("root");
        let output = Program::new(which("timeout"))
            .arg("60")
            .arg(env!("CARGO_BIN_EXE_ghdeploy"))
            .args(args)
            .args(["--host", "local", "--root"])
            .arg(root)
            .current_dir(self.path("repo"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path())
            .output()
            .unwrap();
        // The driver may still be sealing.
        let lock = self.path("root/.ghdeploy/lock");
        if lock.exists() {
            Program::new(which("flock")).args(["-w", "60"]).arg(lock).arg("true").status().unwrap();
        }
        output
    }

    /// Fails unless the host has the files of the repository and the unmanaged one.
    #[track_caller]
    fn is_right(&self, case: &str) {
        let live = |path: &str| fs::read_to_string(self.path(&format!("root/{path}"))).unwrap_or_default();
        for path in [
            "app/compose.yml",
            "app/conf/a",
            "app/conf/unmanaged-not",
            "blog/compose.yml",
            "blog/x",
            "shared.env",
        ] {
            let wanted = fs::read_to_string(self.path(&format!("repo/services/{path}"))).unwrap();
            assert_eq!(live(path), wanted, "{case}: {path}");
        }
        assert_eq!(live("app/conf/unmanaged"), "theirs\n", "{case}");
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Every record of a host.
const RECORDS: [&str; 19] = [
    "state.json",
    "manifest/app",
    "manifest/blog",
    "manifest/+shared",
    "pending/blog",
    "listing",
    "names.0",
    "names.1",
    "folders",
    "proof.0",
    "history.jsonl",
    "lock",
    "lock.json",
    "heartbeat",
    "print.lock",
    "releases/1/state.json",
    "releases/1/manifest/app",
    "releases/2/state.json",
    "releases/2/manifest/app",
];

/// Tests the records of which the number leaves this remainder.
fn every_damage_is_told_or_mended(part: usize) {
    let world = World::new();
    let is_root = Program::new(which("id")).arg("-u").output().unwrap().stdout == b"0\n";
    for (number, record) in RECORDS.iter().enumerate().filter(|(number, _)| number % 4 == part) {
        for (turn, damage) in DAMAGES.into_iter().enumerate() {
            if damage == Damage::Unreadable && is_root {
                continue;
            }
            world.reset();
            let file = world.path("root/.ghdeploy").join(record);
            if !file.exists() {
                panic!("{record} is no record (number {number})");
            }
            damage.to(&file);
            // Each damage of a record meets one of these, in turn.
            let others: [&[&str]; 5] = [
                &["history"],
                &["diff"],
                &["doctor"],
                &["rollback", "--no-restart", "--dry-run"],
                &["status"],
            ];
            let other = others[(number + turn) % others.len()];
            let dry_run: &[&str] = &["sync", "--no-restart", "--dry-run"];
            for command in [dry_run, other, &["sync", "--no-restart"]] {
                let case = format!("{record} {damage:?} {command:?}");
                let output = world.run(command);
                let code = output.status.code();
                assert!(![Some(1), Some(124), None].contains(&code), "{case}: {code:?} {}", said(&output));
                if ![Some(0), Some(2)].contains(&code) && command[0] != "status" && command[0] != "doctor" {
                    let name = record.rsplit('/').next().unwrap();
                    assert!(said(&output).contains(name), "{case}: {code:?} {}", said(&output));
                }
                world.is_right(&case);
            }
            let case = format!("{record} {damage:?}");
            if [Damage::Directory, Damage::Unreadable].contains(&damage) {
                // The cure that the message names.
                let _ = fs::remove_dir_all(&file).or_else(|_| fs::remove_file(&file));
            }
            for options in [&["sync", "--no-restart"][..], &["sync", "--no-restart", "--dry-run"]] {
                let output = world.run(options);
                assert_eq!(output.status.code(), Some(0), "{case}: {}", said(&output));
                let is_last = options.len() == 3;
                assert!(
                    !is_last
                        || said(&output).contains("nothing to do")
                        || said(&output).contains("owed")
                        || said(&output).contains("up "),
                    "{case}: {}",
                    said(&output)
                );
                assert!(!is_last || !said(&output).contains("is damaged"), "{case}: {}", said(&output));
            }
            world.is_right(&case);
            let history = said(&world.run(&["history"]));
            assert!(record.starts_with("history") || history.contains('2'), "{case}: {history}");
        }
    }
}

#[test]
fn every_damage_is_told_or_mended_1() {
    every_damage_is_told_or_mended(0);
}

#[test]
fn every_damage_is_told_or_mended_2() {
    every_damage_is_told_or_mended(1);
}

#[test]
fn every_damage_is_told_or_mended_3() {
    every_damage_is_told_or_mended(2);
}

#[test]
fn every_damage_is_told_or_mended_4() {
    every_damage_is_told_or_mended(3);
}

#[test]
fn numbers_of_releases_go_on_when_the_state_is_lost() {
    let world = World::new();
    for name in ["state.json", "releases/2/state.json", "releases/1/state.json"] {
        world.reset();
        for lost in ["state.json", name] {
            let _ = fs::remove_file(world.path("root/.ghdeploy").join(lost));
        }
        world.write("repo/services/app/conf/a", "three\n");
        let output = world.run(&["sync", "--no-restart"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains("release 3"), "{}", said(&output));
        assert!(said(&output).contains("state.json on the host is missing"), "{}", said(&output));
        world.is_right(name);
        world.write("repo/services/app/conf/a", "two\n");
    }
}
