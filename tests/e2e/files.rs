//! Selection of files, and files of every size.

use std::process::Stdio;
use std::time::Duration;

use crate::bed::Bed;

#[test]
fn ignored_files_are_not_uploaded_unless_included() {
    let bed = Bed::new("ignored");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.write(".gitignore", "*.log\n.env.*\n").write("services/app/.ghdeployignore", "drafts/\n");
    bed.write(
        "ghdeploy.yml",
        "health: {stable_for: 1s}\nsync: {ignore: ['*.md'], include: ['.env.production']}\n",
    );
    for path in [
        "kept",
        "debug.log",
        ".env.staging",
        ".env.production",
        "README.md",
        "drafts/one",
        "docs/page.md",
        "untracked",
    ] {
        bed.write(&format!("services/app/{path}"), path);
    }
    bed.sync(["--no-restart"]).exits(0);
    for (path, wanted) in [
        ("kept", true),
        ("untracked", true),
        (".env.production", true),
        ("debug.log", false),
        (".env.staging", false),
        ("README.md", false),
        ("drafts/one", false),
        ("docs", false),
    ] {
        assert_eq!(bed.root("app").join(path).exists(), wanted, "{path}");
    }
    // A file that is ignored from now on is removed from the host.
    bed.write("services/app/.ghdeployignore", "drafts/\nkept\n");
    bed.sync(["--no-restart"]).exits(0);
    assert!(!bed.root("app/kept").exists());
}

#[test]
fn empty_and_large_binary_files_arrive_without_growing_memory() {
    let bed = Bed::new("large");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.write("services/app/empty", "");
    // Incompressible, with every byte value.
    let mut state = 1_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let bytes: Vec<u8> = words.take(20 * 1024 * 1024 / 8).flatten().collect();
    bed.write("services/app/large.bin", &bytes);
    bed.commit();
    let peak = bed.guarding(|| {
        let mut sync = bed
            .call(["sync", "--no-restart"])
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut peak = 0;
        let status = loop {
            if let Some(status) = sync.try_wait().unwrap() {
                break status;
            }
            // It may end between two looks; the earlier values count.
            let status = std::fs::read_to_string(format!("/proc/{}/status", sync.id())).unwrap_or_default();
            let high = status
                .lines()
                .find_map(|line| line.strip_prefix("VmHWM:"))
                .and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
            peak = peak.max(high.unwrap_or_default());
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success());
        peak
    });
    assert!(peak > 1_000 && peak < 60_000, "a peak of {peak} kB");
    assert_eq!(std::fs::read(bed.root("app/large.bin")).unwrap(), bytes);
    assert_eq!(bed.root("app/empty").metadata().unwrap().len(), 0);
    bed.call(["sync", "--no-restart"]).run().exits(0);
    bed.write("services/app/empty", "no longer").write("services/app/large.bin", "");
    bed.sync(["--no-restart"]).exits(0);
    assert_eq!(
        (bed.on_host("app/empty"), bed.on_host("app/large.bin")),
        ("no longer".to_owned(), String::new())
    );
}

#[test]
fn a_thousand_files_cost_no_more_commands_than_one() {
    let bed = Bed::new("thousand");
    bed.compose("app", "services:\n  web: {<<: *s}");
    let write = |content: &str| {
        for n in 0..1000 {
            bed.write(&format!("services/app/d{}/f{n}", n % 30), format!("{content}{n}"));
        }
    };
    write("one");
    bed.sync(["--no-restart"]).exits(0);
    let before = bed.sshd.logins_and_commands();
    write("two");
    bed.sync(["--no-restart"]).exits(0);
    let after = bed.sshd.logins_and_commands();
    assert_eq!(after.0 - before.0, 1);
    assert!(after.1 - before.1 <= 2, "{before:?} {after:?}");
    let differ = std::process::Command::new("diff")
        .arg("-r")
        .arg(bed.repo("services/app"))
        .arg(bed.root("app"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&differ.stdout)
            .lines()
            .filter(|line| !line.ends_with(": .env") && !line.ends_with(": data"))
            .count(),
        0,
        "{differ:?}"
    );
}
