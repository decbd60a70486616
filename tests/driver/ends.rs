//! Drivers that are told to end, whose client has gone, or that wait for nobody.

use std::fs;
use std::path::Path;
use std::process::Command as Program;
use std::time::Duration;

use ghdeploy::host::{Command, ComposeFolder, Driver, facts};

use crate::bed::{Bed, file, tree, under_every_shell, under_shells_with_tools, which};

/// Goes for the lock, and says whether it was had within `wait_secs`.
async fn opens(bed: &Bed, wait_secs: u64) -> bool {
    let driver = bed.start().await;
    let root = bed.root.to_str().unwrap();
    let command = Command::OpenToWrite { root: root.to_owned(), wait_secs, holder: "{}".to_owned() };
    facts::open(&driver, &command, root, |_| {}).await.is_ok()
}

/// The process number of the driver that was started last.
fn pid(bed: &Bed) -> String {
    fs::read_to_string(bed.beside("pid")).unwrap().trim().to_owned()
}

fn runs(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
        && fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn is_gone(pid: &str) -> bool {
    for _ in 0..2000 {
        if !runs(pid) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

fn terminate(pid: &str) {
    assert!(Program::new(which("kill")).args(["-TERM", pid]).status().unwrap().success());
}

/// Makes what was heard of a client some minutes old.
fn age(bed: &Bed) {
    let touched =
        Program::new(which("touch")).args(["-d", "4 minutes ago"]).arg(bed.state("heartbeat")).status();
    assert!(touched.unwrap().success());
}

/// A job that goes on until the file `go` is there.
async fn start_job(bed: &Bed, driver: &Driver) {
    bed.wrap(
        "docker",
        "touch \"$bed/started\"; until [ -e \"$bed/go\" ]; do sleep 0.02; done; touch \"$bed/ended\"",
    );
    let up =
        Command::Compose { dir: "blog".to_owned(), folder: ComposeFolder::Live, argv: vec!["up".to_owned()] };
    tokio::select! {
        _ = driver.call(&up) => panic!("the job is not through"),
        () = async { while !bed.beside("started").exists() { tokio::time::sleep(Duration::from_millis(10)).await } } => {}
    }
}

under_every_shell! {
    async fn a_driver_that_is_told_to_end_while_it_waits_ends_in_order(bed: Bed) {
        let wanted = tree([("blog/a", file("a"))]);
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &wanted, &[]).await;
        assert!(driver.call(&Command::Swap("blog".to_owned())).await.unwrap().is_ok());
        let number = pid(&bed);
        terminate(&number);
        assert!(is_gone(&number).await);
        assert!(opens(&bed, 0).await);
        assert!(!bed.state("stage").exists());
        bed.expect_deployed("blog", &wanted).await;
        drop(driver);
    }

    async fn a_driver_that_is_told_to_end_awaits_its_jobs(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        let driver = bed.opened().await;
        start_job(&bed, &driver).await;
        terminate(&pid(&bed));
        assert!(!opens(&bed, 0).await);
        fs::write(bed.beside("go"), "").unwrap();
        assert!(opens(&bed, 20).await && bed.beside("ended").exists());
    }

    async fn the_lock_of_a_client_that_is_silent_for_minutes_is_had(bed: Bed) {
        let silent = bed.opened().await;
        let number = pid(&bed);
        assert!(!opens(&bed, 2).await, "a client may be silent for some seconds");
        age(&bed);
        assert!(opens(&bed, 20).await);
        assert!(is_gone(&number).await);
        silent.call(&Command::Heartbeat).await.unwrap_err();
    }

    async fn a_long_step_is_not_silence(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        let driver = bed.opened().await;
        let number = pid(&bed);
        // The driver has answered, and is about to wait.
        tokio::time::sleep(Duration::from_millis(200)).await;
        fs::write(bed.state("heartbeat"), format!("{number} busy\n")).unwrap();
        age(&bed);
        assert!(!opens(&bed, 3).await && runs(&number));
        driver.end().await;
    }

    async fn nobody_else_is_told_to_end(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        let driver = bed.opened().await;
        start_job(&bed, &driver).await;
        // The driver is killed, its job holds the lock, and its number is somebody else's by now.
        let kill = Program::new(which("kill")).args(["-9", &pid(&bed)]).status();
        assert!(kill.unwrap().success());
        let mut stranger = Program::new(which("sleep")).arg("100").spawn().unwrap();
        for number in [stranger.id().to_string(), "1".to_owned(), "0".to_owned(), "-1".to_owned(), "x; exit".to_owned()] {
            fs::write(bed.state("heartbeat"), format!("{number} idle\n")).unwrap();
            age(&bed);
            assert!(!opens(&bed, 2).await, "{number}");
        }
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        fs::write(bed.beside("go"), "").unwrap();
        assert!(opens(&bed, 20).await && bed.beside("ended").exists());
    }

    async fn who_waits_for_the_lock_and_leaves_does_not_wait_on(bed: Bed) {
        let first = bed.opened().await;
        let second = bed.start().await;
        let root = bed.root.to_str().unwrap();
        let command = Command::OpenToWrite { root: root.to_owned(), wait_secs: 60, holder: "{}".to_owned() };
        tokio::select! {
            _ = facts::open(&second, &command, root, |_| {}) => panic!("the lock is not free"),
            () = tokio::time::sleep(Duration::from_millis(1500)) => {}
        }
        let number = pid(&bed);
        assert!(runs(&number));
        drop(second);
        assert!(is_gone(&number).await);
        first.end().await;
    }
}

under_shells_with_tools! {
    async fn a_driver_that_is_told_to_end_at_a_step_ends_the_step(bed: Bed) {
        let (old, new) = (tree([("blog/a", file("a"))]), tree([("blog/a", file("b")), ("blog/c", file("c"))]));
        bed.sync("blog", &old).await;
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &new, &[]).await;
        bed.wrap("mv", "touch \"$bed/moving\"; sleep 0.3; exec \"$real\" \"$@\"");
        let swap = Command::Swap("blog".to_owned());
        let meanwhile = async {
            while !bed.beside("moving").exists() { tokio::time::sleep(Duration::from_millis(10)).await }
            terminate(&pid(&bed));
        };
        let (reply, ()) = tokio::join!(driver.call(&swap), meanwhile);
        assert!(reply.unwrap().is_ok());
        bed.settle().await;
        assert_eq!(bed.live(), new);
        bed.expect_deployed("blog", &new).await;
    }
}
