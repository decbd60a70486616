//! The way back after a run that was cut off: the last version that was well, not what that run has left.

use std::fs;

use ghdeploy::host::{Command, ReleaseImages};

use crate::bed::{Bed, Tree, expect_ok, file, link, program, tree, under_every_shell};

const STATE: &str = r#"{"version":1,"release":1,"commit":null,"at":null,"projects":{}}"#;

fn well() -> Tree {
    tree([
        ("blog/changed", file("well")),
        ("blog/same", file("same")),
        ("blog/gone/deep/x", file("gone")),
        ("blog/link", link("same")),
        ("blog/turns", file("turns")),
        ("blog/mode", file("mode")),
    ])
}

fn halfway() -> Tree {
    tree([
        ("blog/changed", file("halfway")),
        ("blog/same", file("same")),
        ("blog/added/deep/y", file("added")),
        ("blog/link", link("changed")),
        ("blog/turns/z", file("z")),
        ("blog/mode", program("mode")),
    ])
}

fn bad() -> Tree {
    let mut bad = halfway();
    bad.insert("blog/changed".to_owned(), file("bad"));
    bad.remove("blog/added/deep/y");
    bad.insert("blog/other/y".to_owned(), file("other"));
    bad
}

/// A host with a well version, and what a run that was cut off has made of it.
async fn cut_off(bed: &Bed) {
    bed.put(&tree([("blog/.env", file("SECRET=1")), ("blog/added/data", file("data"))]));
    let driver = bed.opened().await;
    bed.stage(&driver, "blog", &well(), &[]).await;
    expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
    expect_ok(&driver.call(&Command::State(STATE.to_owned())).await.unwrap());
    expect_ok(&driver.call(&Command::Release { number: 1, images: ReleaseImages::Listed }).await.unwrap());
    bed.finish(driver).await;
    let driver = bed.opened().await;
    bed.stage(&driver, "blog", &halfway(), &[]).await;
    expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
    drop(driver);
    bed.settle().await;
}

fn unmanaged() -> Tree {
    tree([("blog/.env", file("SECRET=1")), ("blog/added/data", file("data"))])
}

under_every_shell! {
    async fn leads_to_the_version_that_was_well(bed: Bed) {
        cut_off(&bed).await;
        for wanted in [halfway(), bad(), well()] {
            let driver = bed.opened().await;
            bed.stage_with_way_back(&driver, "blog", &wanted, &well()).await;
            expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
            fs::write(bed.path("blog/changed"), "by a service").unwrap();
            expect_ok(&driver.call(&Command::RestoreWell("blog".to_owned())).await.unwrap());
            let expected: Tree = unmanaged().into_iter().chain(well()).collect();
            if wanted == well() {
                // It is the wanted version itself, and what a service writes to it is drift.
                assert_eq!(fs::read_to_string(bed.path("blog/changed")).unwrap(), "by a service");
            } else {
                assert_eq!(bed.live(), expected);
                assert_eq!(bed.kept("by a service").as_deref(), Some("by a service"));
            }
            bed.finish(driver).await;
            bed.sync("blog", &halfway()).await;
        }
    }

    async fn leads_nowhere_if_the_content_is_gone(bed: Bed) {
        cut_off(&bed).await;
        let driver = bed.opened().await;
        bed.stage_with_way_back(&driver, "blog", &bad(), &well()).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        for entry in fs::read_dir(bed.state("objects")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let reply = driver.call(&Command::RestoreWell("blog".to_owned())).await.unwrap();
        assert!(!reply.is_ok());
        assert!(reply.output.iter().any(|line| line.starts_with("no longer on the host: ")), "{reply:?}");
        let expected: Tree = unmanaged().into_iter().chain(bad()).collect();
        assert_eq!(bed.live(), expected);
        bed.finish(driver).await;
    }

    async fn stays_while_newer_releases_come_and_go(bed: Bed) {
        cut_off(&bed).await;
        for number in 2..6 {
            let driver = bed.opened().await;
            expect_ok(&driver.call(&Command::Release { number, images: ReleaseImages::Listed }).await.unwrap());
            expect_ok(&driver.call(&Command::Finish { keep: 2, stay: vec![1] }).await.unwrap());
            driver.end().await;
            bed.settle().await;
        }
        let mut kept: Vec<_> =
            fs::read_dir(bed.state("releases")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        kept.sort();
        assert_eq!(kept, ["1", "4", "5"]);
        let driver = bed.opened().await;
        bed.stage_with_way_back(&driver, "blog", &bad(), &well()).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        expect_ok(&driver.call(&Command::RestoreWell("blog".to_owned())).await.unwrap());
        let expected: Tree = unmanaged().into_iter().chain(well()).collect();
        assert_eq!(bed.live(), expected);
        bed.finish(driver).await;
    }

    async fn a_note_stays_until_it_is_withdrawn(bed: Bed) {
        let driver = bed.opened().await;
        expect_ok(&driver.call(&Command::Note(r#"{"release":1,"words":"a b\\n * $(x)"}"#.to_owned())).await.unwrap());
        drop(driver);
        bed.settle().await;
        let note = bed.look("blog", &Tree::new()).await.note;
        assert_eq!(note.as_deref(), Some(r#"{"release":1,"words":"a b\\n * $(x)"}"#));
        let driver = bed.opened().await;
        expect_ok(&driver.call(&Command::Note(String::new())).await.unwrap());
        driver.end().await;
        bed.settle().await;
        assert_eq!(bed.look("blog", &Tree::new()).await.note, None);
    }
}
