//! Swaps of files in the live tree, and their rollbacks.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use ghdeploy::host::Command;

use crate::bed::{Bed, Node, Shell, Tree, expect_ok, file, in_time, link, program, tree, under_every_shell};

fn private(content: &str) -> Node {
    Node::File { content: content.to_owned(), mode: 0o600 }
}

fn old() -> Tree {
    tree([
        ("blog/compose.yml", file("services: {}")),
        ("blog/same", file("same")),
        ("blog/mode", file("mode")),
        ("blog/bound", file("bound, and long before")),
        ("blog/secret", private("old secret")),
        ("blog/conf.d/a", file("a")),
        ("blog/conf.d/b", file("b")),
        ("blog/gone/deep/x", file("x")),
        ("blog/link", link("same")),
        ("blog/file-then-dir", file("file")),
        ("blog/dir-then-file/x", file("x")),
        ("blog/link-then-dir", link("conf.d")),
        ("blog/twin1", file("twin")),
        ("blog/twin2", file("twin")),
    ])
}

fn new() -> Tree {
    tree([
        ("blog/compose.yml", file("services: {web: {}}")),
        ("blog/same", file("same")),
        ("blog/mode", program("mode")),
        ("blog/bound", program("bound")),
        ("blog/secret", private("new secret")),
        ("blog/conf.d/a", file("a2")),
        ("blog/new/deep/y", file("y")),
        ("blog/link", link("compose.yml")),
        ("blog/file-then-dir/x", file("x")),
        ("blog/dir-then-file", file("file")),
        ("blog/link-then-dir/x", file("x")),
        ("blog/twin1", file("other")),
        ("top", file("top")),
    ])
}

fn unmanaged() -> Tree {
    tree([
        ("blog/.env", private("SECRET=1")),
        ("blog/gone/data", file("data")),
        ("blog/volume", Node::EmptyDir),
        ("other/x", file("x")),
    ])
}

fn with_unmanaged(ours: &Tree) -> Tree {
    unmanaged().into_iter().chain(ours.clone()).collect()
}

under_every_shell! {
    async fn a_swap_and_its_rollback_are_exact(bed: Bed) {
        bed.put(&unmanaged());
        bed.sync("blog", &old()).await;
        assert_eq!(bed.live(), with_unmanaged(&old()));
        let inode = |path| fs::metadata(bed.path(path)).unwrap().ino();
        let (bound, same) = (inode("blog/bound"), inode("blog/same"));

        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &new(), &["blog/bound"]).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        assert_eq!(bed.live(), with_unmanaged(&new()));
        assert_eq!((inode("blog/bound"), inode("blog/same")), (bound, same));
        for content in ["services: {}", "mode", "bound, and long before", "old secret", "a", "b", "x", "same", "conf.d", "file", "twin"] {
            let kept = bed.kept(content);
            // "same" is the target of the old link; the file with that content was not replaced.
            assert_eq!(kept.as_deref(), Some(content));
        }
        for object in fs::read_dir(bed.state("objects")).unwrap() {
            assert_eq!(object.unwrap().file_name().len(), 64, "nothing else lies among the objects");
        }

        expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
        assert_eq!(bed.live(), with_unmanaged(&old()));
        assert_eq!((inode("blog/bound"), inode("blog/same")), (bound, same));
        bed.finish(driver).await;
        bed.expect_deployed("blog", &old()).await;

        bed.sync("blog", &new()).await;
        bed.expect_deployed("blog", &new()).await;
        bed.sync("blog", &Tree::new()).await;
        assert_eq!(bed.live(), unmanaged());
        assert_eq!(fs::read_dir(bed.state("manifest")).unwrap().count(), 0);
    }

    async fn a_first_deploy_that_is_rolled_back_leaves_nothing(bed: Bed) {
        bed.put(&unmanaged());
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &new(), &[]).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
        bed.finish(driver).await;
        assert_eq!(bed.live(), unmanaged());
        bed.expect_deployed("blog", &Tree::new()).await;
    }

    async fn an_unmanaged_empty_folder_survives_a_rollback(bed: Bed) {
        bed.put(&unmanaged());
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &tree([("blog/volume/in/it", file("1"))]), &[]).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
        driver.end().await;
        assert_eq!(bed.live(), unmanaged());
    }

    async fn unmanaged_files_in_a_removed_folder_stay(bed: Bed) {
        bed.sync("blog", &old()).await;
        bed.put(&tree([("blog/gone/deep/uploads/cat.jpg", file("cat"))]));
        bed.sync("blog", &Tree::new()).await;
        assert_eq!(bed.live(), tree([("blog/gone/deep/uploads/cat.jpg", file("cat"))]));
    }

    async fn a_file_that_changes_before_the_swap_stops_it(bed: Bed) {
        bed.sync("blog", &old()).await;
        for damage in 0..4 {
            let driver = bed.opened().await;
            bed.stage(&driver, "blog", &new(), &["blog/bound"]).await;
            let path = bed.path("blog/conf.d/a");
            fs::remove_file(&path).unwrap();
            match damage {
                0 => fs::write(&path, "by hand").unwrap(),
                1 => fs::create_dir(&path).unwrap(),
                // Same content, but replacing it would lose the link.
                2 => symlink("../../twin", &path).unwrap(),
                _ => drop(std::process::Command::new("mkfifo").arg(&path).status().unwrap()),
            }
            let before = fs::symlink_metadata(&path).unwrap().ino();
            let reply = driver.call(&Command::Swap("blog".to_owned())).await.unwrap();
            assert_eq!(reply.output, ["changed before it could be replaced: blog/conf.d/a"]);
            expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
            assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before, "it is not touched");
            if path.is_dir() { fs::remove_dir(&path).unwrap() } else { fs::remove_file(&path).unwrap() }
            fs::write(&path, "a").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            bed.finish(driver).await;
            assert_eq!(bed.live(), old());
            bed.expect_deployed("blog", &old()).await;
        }
    }

    async fn a_file_that_appears_before_the_swap_is_not_overwritten(bed: Bed) {
        bed.sync("blog", &old()).await;
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &new(), &["blog/bound"]).await;
        bed.put(&tree([("blog/new/deep/y", file("theirs"))]));
        let reply = driver.call(&Command::Swap("blog".to_owned())).await.unwrap();
        assert_eq!(reply.output, ["appeared while the files were being put in place: blog/new/deep/y"]);
        expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
        bed.finish(driver).await;
        let mut expected = old();
        expected.insert("blog/new/deep/y".to_owned(), file("theirs"));
        assert_eq!(bed.live(), expected);
    }

    async fn a_folder_that_is_not_empty_stops_a_file_and_everything_is_restored(bed: Bed) {
        bed.sync("blog", &old()).await;
        bed.put(&tree([("blog/dir-then-file/theirs", file("theirs"))]));
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &new(), &["blog/bound"]).await;
        let reply = driver.call(&Command::Swap("blog".to_owned())).await.unwrap();
        assert!(!reply.is_ok());
        expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
        bed.finish(driver).await;
        let mut expected = old();
        expected.insert("blog/dir-then-file/theirs".to_owned(), file("theirs"));
        assert_eq!(bed.live(), expected);
        bed.expect_deployed("blog", &old()).await;
    }

    async fn content_that_services_wrote_to_new_files_is_kept_by_a_rollback(bed: Bed) {
        bed.sync("blog", &old()).await;
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &new(), &["blog/bound"]).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        fs::write(bed.path("blog/conf.d/a"), "by a service").unwrap();
        fs::write(bed.path("blog/new/deep/y"), "by another").unwrap();
        fs::write(bed.path("blog/bound"), "by a third").unwrap();
        expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
        assert_eq!(bed.live(), old());
        for content in ["by a service", "by another", "by a third"] {
            assert_eq!(bed.kept(content).as_deref(), Some(content));
        }
        driver.end().await;
    }

    async fn a_replaced_file_keeps_its_owner_and_mode_but_for_the_executable_bit(bed: Bed) {
        let of = |content: &str| tree([
            ("blog/a", file(content)), ("blog/runs", program(content)), ("blog/becomes-program", file(content)),
            ("blog/own", file(content)), ("blog/sub/private", private(content)), ("blog/sub/link", link(content)),
        ]);
        bed.sync("blog", &of("one")).await;
        let is_root = fs::metadata(bed.path("blog/a")).unwrap().uid() == 0;
        for name in ["a", "runs", "becomes-program", "sub/private"] {
            let path = bed.path("blog").join(name);
            let mode = if name == "runs" { 0o750 } else { 0o640 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            if is_root {
                std::os::unix::fs::chown(&path, Some(999), Some(998)).unwrap();
            }
        }
        std::process::Command::new("touch").args(["-d", "@86400"]).arg(bed.path("blog/a")).status().unwrap();
        let mut wanted = of("two");
        wanted.insert("blog/becomes-program".to_owned(), program("two"));
        wanted.insert("blog/runs".to_owned(), file("two"));
        let looks = |name: &str| {
            let meta = fs::metadata(bed.path("blog").join(name)).unwrap();
            (meta.permissions().mode() & 0o7777, if is_root { (meta.uid(), meta.gid()) } else { (999, 998) })
        };
        let before: Vec<_> = ["a", "runs", "becomes-program", "own"].map(looks).into();
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &wanted, &[]).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        let theirs = (999, 998);
        assert_eq!(looks("a"), (0o640, theirs));
        assert_eq!(looks("runs"), (0o640, theirs));
        assert_eq!(looks("becomes-program"), (0o750, theirs));
        assert_eq!(looks("sub/private"), (0o600, theirs));
        assert_eq!(looks("own").0, 0o644);
        assert_eq!(fs::read_to_string(bed.path("blog/a")).unwrap(), "two");
        assert!(fs::metadata(bed.path("blog/a")).unwrap().mtime() > 86400, "the times are those of the staged file");
        expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
        let after: Vec<_> = ["a", "runs", "becomes-program", "own"].map(looks).into();
        assert_eq!(after, before);
        bed.finish(driver).await;
        bed.expect_deployed("blog", &of("one")).await;
    }

    async fn a_rollback_restores_the_mode_of_a_file(bed: Bed) {
        // An unmanaged secret that is adopted: no manifest holds its mode.
        bed.put(&tree([("blog/.env", private("SECRET=1"))]));
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &tree([("blog/.env", file("SECRET=2"))]), &[]).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
        assert_eq!(bed.live(), tree([("blog/.env", private("SECRET=1"))]));
        driver.end().await;
    }

    async fn an_upload_that_did_not_arrive_whole_is_not_swapped_in(bed: Bed) {
        bed.sync("blog", &old()).await;
        let damages: [&[&str]; 4] = [&["files/blog/conf.d/a"], &["inplace/blog/bound"], &["files/blog/link"], &["files"]];
        for damage in damages {
            let driver = bed.opened().await;
            bed.stage(&driver, "blog", &new(), &["blog/bound"]).await;
            for path in damage {
                let path = bed.staged("blog").join(path);
                if path.is_dir() {
                    fs::remove_dir_all(path).unwrap();
                } else {
                    fs::remove_file(&path).unwrap();
                    fs::write(&path, "damaged").unwrap();
                }
            }
            for command in [Command::Candidate("blog".to_owned()), Command::Swap("blog".to_owned())] {
                let reply = driver.call(&command).await.unwrap();
                assert!(reply.output.iter().any(|line| line == "staged files did not arrive as they were sent:"), "{reply:?}");
            }
            expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
            bed.finish(driver).await;
            assert_eq!(bed.live(), old());
        }
    }

    async fn a_unit_that_was_never_staged_changes_nothing(bed: Bed) {
        bed.sync("blog", &old()).await;
        let driver = bed.opened().await;
        for command in [Command::Candidate("blog".to_owned()), Command::Swap("blog".to_owned())] {
            assert!(!driver.call(&command).await.unwrap().is_ok());
        }
        expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
        driver.end().await;
        assert_eq!(bed.live(), old());
    }

    async fn history_is_one_line_per_release_also_after_half_a_line(bed: Bed) {
        let driver = bed.opened().await;
        expect_ok(&driver.call(&Command::History(r#"{"release":1,"words":"a b\\n * $(x)"}"#.to_owned())).await.unwrap());
        let before = fs::read_to_string(bed.state("history.jsonl")).unwrap();
        assert_eq!(before, "{\"release\":1,\"words\":\"a b\\\\n * $(x)\"}\n");
        fs::write(bed.state("history.jsonl"), format!("{before}{{\"rele")).unwrap();
        expect_ok(&driver.call(&Command::History(r#"{"release":2}"#.to_owned())).await.unwrap());
        assert_eq!(fs::read_to_string(bed.state("history.jsonl")).unwrap(), format!("{before}{{\"rele\n{{\"release\":2}}\n"));
        driver.end().await;
    }
}

async fn swap_in_and_restore_a_large_unit(bed: Bed) {
    // More files than one call of mv and one batch of copies hold.
    let of = |content: &str| -> Tree {
        (0..620).map(|n| (format!("blog/d{}/{n}", n % 7), file(&format!("{content} {n}")))).collect()
    };
    bed.sync("blog", &of("old")).await;
    let driver = bed.opened().await;
    bed.stage(&driver, "blog", &of("new"), &[]).await;
    expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
    assert_eq!(bed.live(), of("new"));
    assert_eq!(fs::read_dir(bed.state("objects")).unwrap().count(), 620);
    expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
    assert_eq!(bed.live(), of("old"));
    driver.end().await;
}

/// The tools differ, and what the shells do with many lines is tested elsewhere.
#[tokio::test]
async fn a_large_unit_is_swapped_in_and_restored() {
    in_time(swap_in_and_restore_a_large_unit(Bed::new(Shell::Dash))).await;
}

#[tokio::test]
async fn a_large_unit_is_swapped_in_and_restored_by_busybox() {
    in_time(swap_in_and_restore_a_large_unit(Bed::new(Shell::BusyBox))).await;
}
