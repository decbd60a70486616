//! Drivers that get a stop request, lose their client, or wait for the lock.

use std::fs;
use std::path::Path;
use std::process::Command as Program;
use std::time::Duration;

use ghdeploy::host::{Command, ComposeFolder, Driver, facts};

use crate::bed::{Bed, file, tree, under_every_shell, under_shells_with_tools, which};

/// Whether the lock can be acquired within `wait_secs`.
async fn can_lock(bed: &Bed, wait_secs: u64) -> bool {
    let driver = bed.start().await;
    let root = bed.root.to_str().unwrap();
    let command = Command::OpenToWrite { root: root.to_owned(), wait_secs, holder: "{}".to_owned() };
    facts::open(&driver, &command, root, |_| {}).await.is_ok()
}

/// Process id of the driver that was started last.
fn pid(bed: &Bed) -> String {
    fs::read_to_string(bed.beside("pid")).unwrap().trim().to_owned()
}

fn is_running(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
        && fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Whether a process exits within 20 seconds.
async fn exits(pid: &str) -> bool {
    for _ in 0..2000 {
        if !is_running(pid) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

fn terminate(pid: &str) {
    assert!(Program::new(which("kill")).args(["-TERM", pid]).status().unwrap().success());
}

/// Makes the last heartbeat some minutes old.
fn age_heartbeat(bed: &Bed) {
    let touched =
        Program::new(which("touch")).args(["-d", "4 minutes ago"]).arg(bed.state("heartbeat")).status();
    assert!(touched.unwrap().success());
}

/// Starts a job that runs until the file `go` exists.
async fn start_job(bed: &Bed, driver: &Driver) {
    bed.wrap(
        "docker",
        "touch \"$bed/started\"; until [ -e \"$bed/go\" ]; do sleep 0.02; done; touch \"$bed/ended\"",
    );
    let up =
        Command::Compose { dir: "blog".to_owned(), folder: ComposeFolder::Live, argv: vec!["up".to_owned()] };
    tokio::select! {
        _ = driver.call(&up) => panic!("the job is still running"),
        () = async { while !bed.beside("started").exists() { tokio::time::sleep(Duration::from_millis(10)).await } } => {}
    }
}

under_every_shell! {
    async fn a_stop_request_while_it_waits_lets_a_driver_clean_up(bed: Bed) {
        let wanted = tree([("blog/a", file("a"))]);
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &wanted, &[]).await;
        assert!(driver.call(&Command::Swap("blog".to_owned())).await.unwrap().is_ok());
        let number = pid(&bed);
        terminate(&number);
        assert!(exits(&number).await);
        assert!(can_lock(&bed, 0).await);
        assert!(!bed.state("stage").exists());
        bed.expect_deployed("blog", &wanted).await;
        drop(driver);
    }

    async fn a_driver_with_a_stop_request_awaits_its_jobs(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        let driver = bed.opened().await;
        start_job(&bed, &driver).await;
        terminate(&pid(&bed));
        assert!(!can_lock(&bed, 0).await);
        fs::write(bed.beside("go"), "").unwrap();
        assert!(can_lock(&bed, 20).await && bed.beside("ended").exists());
    }

    async fn the_lock_of_a_client_that_is_silent_for_minutes_is_acquired(bed: Bed) {
        let silent = bed.opened().await;
        let number = pid(&bed);
        assert!(!can_lock(&bed, 2).await, "a client may be silent for some seconds");
        age_heartbeat(&bed);
        assert!(can_lock(&bed, 20).await);
        assert!(exits(&number).await);
        silent.call(&Command::Heartbeat).await.unwrap_err();
    }

    async fn a_long_step_is_not_silence(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        let driver = bed.opened().await;
        let number = pid(&bed);
        // By now the driver has answered and waits for a command.
        tokio::time::sleep(Duration::from_millis(200)).await;
        fs::write(bed.state("heartbeat"), format!("{number} busy\n")).unwrap();
        age_heartbeat(&bed);
        assert!(!can_lock(&bed, 3).await && is_running(&number));
        driver.end().await;
    }

    async fn no_other_process_gets_a_stop_request(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        let driver = bed.opened().await;
        start_job(&bed, &driver).await;
        // The driver is killed, its job holds the lock, and another process has its process id by now.
        let kill = Program::new(which("kill")).args(["-9", &pid(&bed)]).status();
        assert!(kill.unwrap().success());
        let mut stranger = Program::new(which("sleep")).arg("100").spawn().unwrap();
        for number in [stranger.id().to_string(), "1".to_owned(), "0".to_owned(), "-1".to_owned(), "x; exit".to_owned()] {
            fs::write(bed.state("heartbeat"), format!("{number} idle\n")).unwrap();
            age_heartbeat(&bed);
            assert!(!can_lock(&bed, 2).await, "{number}");
        }
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        fs::write(bed.beside("go"), "").unwrap();
        assert!(can_lock(&bed, 20).await && bed.beside("ended").exists());
    }

    async fn a_driver_that_waits_for_the_lock_exits_with_its_client(bed: Bed) {
        let first = bed.opened().await;
        let second = bed.start().await;
        let root = bed.root.to_str().unwrap();
        let command = Command::OpenToWrite { root: root.to_owned(), wait_secs: 60, holder: "{}".to_owned() };
        tokio::select! {
            _ = facts::open(&second, &command, root, |_| {}) => panic!("the first driver holds the lock"),
            () = tokio::time::sleep(Duration::from_millis(1500)) => {}
        }
        let number = pid(&bed);
        assert!(is_running(&number));
        drop(second);
        assert!(exits(&number).await);
        first.end().await;
    }
}

under_shells_with_tools! {
    async fn a_stop_request_during_a_step_lets_the_step_finish(bed: Bed) {
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
