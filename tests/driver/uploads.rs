//! Uploads: every process that touches the stage holds the lock, and none outlives its client for long.

use std::time::Duration;

use ghdeploy::host::{Command, Remote, Start, Transport as _, Upload, driver_text, upload};
use tokio::io::AsyncWriteExt as _;

use crate::bed::{Bed, Node, Tree, expect_ok, file, packed, tree, under_every_shell};

/// Text that gzip can hardly shrink, so that it takes several pieces.
fn noise(bytes: usize, mut seed: u64) -> String {
    let mut next = || {
        // Knuth's constants for a 64-bit generator.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(u8::try_from(33 + (seed >> 33) % 90).unwrap())
    };
    (0..bytes).map(|_| next()).collect()
}

fn large(seed: u64) -> Tree {
    tree([
        ("blog/a", file(&noise(800_000, seed))),
        ("blog/b", file(&noise(800_000, seed + 1))),
        ("blog/c", file("c")),
    ])
}

/// Starts a driver that has the lock and is in the middle of an upload.
async fn uploading(bed: &Bed) -> Remote {
    let mut remote = bed.local().start().await.unwrap();
    let stdin = &mut remote.stdin;
    stdin.write_all(&driver_text("ghdeploy-test", Start::default()).unwrap()).await.unwrap();
    stdin.write_all(&bed.open_to_write().bytes(1)).await.unwrap();
    stdin.write_all(&Command::Stage { files: "few" }.bytes(2)).await.unwrap();
    stdin.write_all(format!("100000\n{}", noise(5000, 1)).as_bytes()).await.unwrap();
    stdin.flush().await.unwrap();
    while !bed.state("stage").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    remote
}

under_every_shell! {
    async fn a_large_upload_arrives_whole(bed: Bed) {
        bed.sync("blog", &large(1)).await;
        assert_eq!(bed.live(), large(1));
        bed.sync("blog", &large(5)).await;
        assert_eq!(bed.live(), large(5));
    }

    async fn of_a_long_manifest_only_what_changes_is_sent(bed: Bed) {
        let many = |version: &str, numbers: std::ops::Range<u32>| {
            let path = |number| format!("blog/data/{number:03} with \n and \\ and 'é'");
            numbers.map(|number| (path(number), file(version))).collect::<Vec<_>>()
        };
        let of = |parts: Vec<Vec<(String, Node)>>| -> Tree { parts.into_iter().flatten().collect() };
        let first = of(vec![many("1", 0..300)]);
        bed.sync("blog", &first).await;
        // What is first, last and between is replaced, removed and added.
        let second = of(vec![many("2", 1..2), many("1", 2..100), many("1", 101..299), many("2", 299..301)]);
        let driver = bed.opened().await;
        let staged = bed.stage(&driver, "blog", &second, &[]).await;
        let sent = packed("blog", &second, &staged).lists;
        assert!(sent.contains_key("changes") && !sent.contains_key("new"), "{sent:?}");
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
        bed.finish(driver).await;
        bed.expect_deployed("blog", &first).await;
        bed.sync("blog", &second).await;
        bed.expect_deployed("blog", &second).await;
        assert_eq!(bed.live(), second);
        // Another record than the client has seen.
        let driver = bed.opened().await;
        let staged = bed.plan(&driver, "blog", &first, &[]).await;
        let record = bed.state("manifest/blog");
        let text = std::fs::read_to_string(&record).unwrap();
        std::fs::write(&record, text.split_once('\n').unwrap().1).unwrap();
        let error = bed.send(&driver, "blog", &first, &staged).await.unwrap_err();
        let help = error.diagnostics[0].help.as_deref().unwrap();
        assert!(help.contains("the record of blog could not be brought"), "{help}");
        driver.end().await;
        assert_eq!(bed.live(), second);
    }

    async fn the_next_run_has_the_stage_for_itself(bed: Bed) {
        bed.sync("blog", &tree([("blog/c", file("0"))])).await;
        for round in 0..5 {
            let dead = uploading(&bed).await;
            assert!(bed.is_locked(), "an upload holds the lock");
            // A client that is killed: all its pipes close.
            drop(dead);
            bed.sync("blog", &large(round)).await;
            assert_eq!(bed.live(), large(round));
        }
        assert!(!bed.state("stage").exists());
    }

    async fn a_stop_request_ends_an_upload_whose_client_is_silent(bed: Bed) {
        bed.sync("blog", &large(1)).await;
        let silent = uploading(&bed).await;
        let number = std::fs::read_to_string(bed.beside("pid")).unwrap();
        let kill = std::process::Command::new(crate::bed::which("kill")).args(["-TERM", number.trim()]).status();
        assert!(kill.unwrap().success());
        bed.settle().await;
        assert!(!bed.state("stage").exists());
        assert_eq!(bed.live(), large(1));
        drop(silent);
    }

    async fn an_upload_that_the_client_gives_up_leaves_a_driver_that_obeys(bed: Bed) {
        bed.sync("blog", &large(1)).await;
        let driver = bed.opened().await;
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let endless = move |out: &mut dyn std::io::Write| {
            let mut begun = Some(begun);
            for seed in 0.. {
                out.write_all(noise(200_000, seed).as_bytes())?;
                if let Some(begun) = begun.take_if(|_| seed > 20) {
                    let _ = begun.send(());
                }
            }
            Ok(())
        };
        tokio::select! {
            _ = upload(&driver, bed.root.to_str().unwrap(), Upload { pack: endless, files: 1 }, &[]) => panic!("it never ends"),
            _ = has_begun => {}
        }
        expect_ok(&driver.call(&Command::Heartbeat).await.unwrap());
        assert!(!bed.state("stage").exists());
        bed.stage(&driver, "blog", &large(3), &[]).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        bed.finish(driver).await;
        assert_eq!(bed.live(), large(3));
    }

    async fn a_file_that_cannot_be_read_ends_the_upload(bed: Bed) {
        bed.sync("blog", &large(1)).await;
        let driver = bed.opened().await;
        let pack = |out: &mut dyn std::io::Write| {
            out.write_all(noise(3_000_000, 1).as_bytes())?;
            Err(std::io::Error::other("it is gone"))
        };
        let error = upload(&driver, bed.root.to_str().unwrap(), Upload { pack, files: 1 }, &[]).await.unwrap_err();
        assert_eq!(error.to_string(), "failed to read a file for the upload: it is gone");
        assert!(!bed.state("stage").exists());
        bed.finish(driver).await;
        assert_eq!(bed.live(), large(1));
    }
}
