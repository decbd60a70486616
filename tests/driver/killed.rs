//! Drivers that are killed at any point. The next run brings the host to what is wanted then.

use std::fs;
use std::path::Path;
use std::process::Command as Program;
use std::time::Duration;

use ghdeploy::host::Command;

use crate::bed::{Bed, Node, Shell, Tree, expect_ok, file, link, program, tree, under_some_shell, which};

fn old() -> Tree {
    tree([
        ("blog/changed", file("old changed")),
        ("blog/bound", file("old bound")),
        ("blog/gone/x", file("old gone")),
        ("blog/link", link("changed")),
        ("blog/turns", file("old turns")),
        ("blog/mode", file("old mode")),
    ])
}

fn new() -> Tree {
    tree([
        ("blog/changed", file("new changed")),
        ("blog/bound", file("new bound")),
        ("blog/added/y", file("new added")),
        ("blog/link", link("bound")),
        ("blog/turns/z", file("new turns")),
        ("blog/mode", program("old mode")),
    ])
}

/// Trees that the next run may want.
fn targets() -> [Tree; 3] {
    [new(), old(), tree([("blog/changed", file("third")), ("blog/bound", file("new bound"))])]
}

fn unmanaged() -> Tree {
    tree([("blog/.env", file("SECRET=1")), ("blog/gone/data", file("data")), ("x", file("x"))])
}

/// Makes every program that changes something kill the driver and everything that it has started, at the call
/// that `aim` sets: before its work, or with half or all of it done.
fn arm(bed: &Bed) {
    for tool in ["mv", "cp", "rm", "ln", "rmdir", "mkdir", "cat", "chmod", "sync", "find"] {
        let half = match tool {
            "cat" => "for last; do :; done; head -c 3 \"$last\"; kill -9 0",
            "cp" => "for last; do from=${to-} to=$last; done; head -c 3 \"$from\" >\"$to\"; kill -9 0",
            _ => "\"$real\" \"$@\"; kill -9 0",
        };
        bed.wrap(
            tool,
            &format!("read -r n <\"$bed/count\"; n=$((n + 1)); echo $n >\"$bed/count\"\nread -r at how <\"$bed/kill\"\n[ $n != $at ] || [ $how = half ] || kill -9 0\n[ $n != $at ] || {{ {half}; }}\nexec \"$real\" \"$@\""),
        );
    }
    aim(bed, 0, "never");
}

/// Sets the number of the call that kills, and `before` or `half`.
fn aim(bed: &Bed, at: usize, how: &str) {
    fs::write(bed.beside("count"), "0\n").unwrap();
    fs::write(bed.beside("kill"), format!("{at} {how}\n")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    assert!(Program::new(which("cp")).arg("-a").args([from, to]).status().unwrap().success());
}

/// Kills the process group of a driver.
fn kill(pid: &str) {
    assert!(Program::new(which("kill")).args(["-9", "--", &format!("-{pid}")]).status().unwrap().success());
}

/// Kills the driver after some time, a little later each time, and lets the next run converge.
async fn at_some_time(bed: &Bed, rollback: bool) {
    bed.put(&unmanaged());
    bed.sync("blog", &old()).await;
    let start = bed.beside("start");
    copy(&bed.root, &start);
    for round in 0..12 {
        copy(&start, &bed.root);
        let driver = bed.opened().await;
        let pid = fs::read_to_string(bed.beside("pid")).unwrap();
        bed.stage(&driver, "blog", &new(), &["blog/bound"]).await;
        if rollback {
            expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        }
        let command =
            if rollback { Command::Restore("blog".to_owned()) } else { Command::Swap("blog".to_owned()) };
        tokio::select! {
            _ = driver.call(&command) => {}
            () = tokio::time::sleep(Duration::from_millis(4 * round)) => kill(pid.trim()),
        }
        drop(driver);
        bed.settle().await;
        converge(bed, &targets()[round as usize % 3]).await;
    }
}

/// The ways in which a step ends, and the first step that does. Of two steps, one is cut off before it begins and
/// the next one in its middle.
const WAYS: [(usize, &str); 2] = [(1, "before"), (2, "half")];

/// Number of steps from one that is cut off to the next one that is cut off in the same way. Dash goes through all
/// steps. The other shells do the same steps in the same order, so a sample is enough.
fn stride(bed: &Bed) -> usize {
    if bed.shell == Shell::Dash { 2 } else { 14 }
}

/// Kills the driver at every step of a swap or of a rollback, and lets the next run converge.
async fn enumerate(bed: &Bed, rollback: bool) {
    bed.put(&unmanaged());
    bed.sync("blog", &old()).await;
    let start = bed.beside("start");
    copy(&bed.root, &start);
    arm(bed);
    for (first, how) in WAYS {
        for at in (first..).step_by(stride(bed)) {
            copy(&start, &bed.root);
            aim(bed, 0, "never");
            let driver = bed.opened().await;
            bed.stage(&driver, "blog", &new(), &["blog/bound"]).await;
            if rollback {
                expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
            }
            aim(bed, at, how);
            let command = if rollback { Command::Restore } else { Command::Swap };
            let reply = driver.call(&command("blog".to_owned())).await;
            aim(bed, 0, "never");
            drop(driver);
            if let Ok(reply) = reply {
                assert!(reply.is_ok() && at > 15, "{reply:?} {at}");
                bed.settle().await;
                break;
            }
            converge(bed, &targets()[at % 3]).await;
        }
    }
}

async fn converge(bed: &Bed, wanted: &Tree) {
    bed.sync("blog", wanted).await;
    let live = bed.live();
    let expected: Tree = unmanaged().into_iter().chain(wanted.clone()).collect();
    assert_eq!(live, expected);
    bed.expect_deployed("blog", wanted).await;
    for (path, node) in old() {
        let (Node::File { content, .. } | Node::Link(content)) = &node else { continue };
        let there = live.get(&path).is_some_and(|there| *there == node);
        assert!(
            there || bed.kept(content).as_ref() == Some(content) || content == "old mode",
            "{path} is lost"
        );
    }
}

under_some_shell! {
    async fn at_some_time_of_a_swap(bed: Bed) {
        at_some_time(&bed, false).await;
    }

    async fn at_some_time_of_a_rollback(bed: Bed) {
        at_some_time(&bed, true).await;
    }
}

under_some_shell! {
    async fn at_any_step_of_a_swap(bed: Bed) {
        enumerate(&bed, false).await;
    }

    async fn at_any_step_of_a_rollback(bed: Bed) {
        enumerate(&bed, true).await;
    }

    async fn at_any_step_of_the_way_back(bed: Bed) {
        bed.put(&unmanaged());
        bed.sync("blog", &old()).await;
        let start = bed.beside("start");
        copy(&bed.root, &start);
        arm(&bed);
        for (first, how) in WAYS {
            for at in (first..).step_by(stride(&bed)) {
                copy(&start, &bed.root);
                aim(&bed, 0, "never");
                // A run that was cut off has left another version.
                let driver = bed.opened().await;
                bed.stage(&driver, "blog", &targets()[2], &[]).await;
                expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
                drop(driver);
                bed.settle().await;
                let driver = bed.opened().await;
                bed.stage_with_way_back(&driver, "blog", &new(), &old()).await;
                expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
                aim(&bed, at, how);
                let reply = driver.call(&Command::RestoreWell("blog".to_owned())).await;
                aim(&bed, 0, "never");
                drop(driver);
                if let Ok(reply) = reply {
                    assert!(reply.is_ok() && at > 15, "{reply:?} {at}");
                    bed.settle().await;
                    let expected: Tree = unmanaged().into_iter().chain(old()).collect();
                    assert_eq!(bed.live(), expected);
                    break;
                }
                converge(&bed, &targets()[at % 3]).await;
            }
        }
    }

    async fn while_it_writes_the_listing(bed: Bed) {
        bed.sync("blog", &old()).await;
        arm(&bed);
        for at in 1..8 {
            aim(&bed, 0, "never");
            let (wanted, other) = if at % 2 == 0 { (old(), new()) } else { (new(), old()) };
            let driver = bed.opened().await;
            bed.stage(&driver, "blog", &wanted, &[]).await;
            expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
            aim(&bed, at, "before");
            let _ = driver.call(&Command::Finish { keep: 10, stay: Vec::new() }).await;
            driver.end().await;
            bed.settle().await;
            aim(&bed, 0, "never");
            bed.expect_deployed("blog", &wanted).await;
            // The listing that was written hides no drift.
            fs::write(bed.path("blog/changed"), "drift drift").unwrap();
            assert_eq!(bed.look("blog", &wanted).await.found.len(), 1);
            bed.sync("blog", &other).await;
            bed.sync("blog", &wanted).await;
        }
    }
}
