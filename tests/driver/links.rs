//! Links on the host, which may lead anywhere: only those that ghdeploy made, and those in the place of a
//! project's folder, are followed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ghdeploy::base::path::RootPath;
use ghdeploy::host::releases::{KeptContent, contents};
use ghdeploy::host::{Command, facts};

use crate::bed::{Bed, Tree, expect_ok, file, found_text, link, tree, under_every_shell};

const PASSWORDS: &str = "root:secret";

fn old() -> Tree {
    tree([
        ("blog/compose.yml", file("services: {}")),
        ("blog/data/conf.d/a", file("a")),
        ("blog/data/conf.d/b", file("b")),
        ("blog/data/conf.d/sub/c", file("c")),
        ("blog/data/other/x", file("x")),
    ])
}

fn new() -> Tree {
    tree([
        ("blog/compose.yml", file("services: {web: {}}")),
        // Replaced, written in place, removed and added.
        ("blog/data/conf.d/a", file("a2")),
        ("blog/data/conf.d/b", file("b2")),
        ("blog/data/conf.d/new", file("new")),
        ("blog/data/other/x", file("x")),
    ])
}

/// A folder beside the root with files of the same names.
fn foreign(bed: &Bed) -> PathBuf {
    let dir = bed.beside("foreign");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("sub")).unwrap();
    for name in ["a", "b", "sub/c"] {
        fs::write(dir.join(name), PASSWORDS).unwrap();
    }
    dir
}

#[track_caller]
fn is_untouched(dir: &Path) {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "sub"]);
    for name in ["a", "b", "sub/c"] {
        assert_eq!(fs::read_to_string(dir.join(name)).unwrap(), PASSWORDS, "{name}");
    }
}

/// Replaces a folder of the live tree by a link; returns where the folder is now.
fn replace_by_link(bed: &Bed, path: &str, target: &Path) -> PathBuf {
    let away = bed.beside("away");
    fs::rename(bed.path(path), &away).unwrap();
    symlink(target, bed.path(path)).unwrap();
    away
}

fn put_back(bed: &Bed, path: &str, away: &Path) {
    fs::remove_file(bed.path(path)).unwrap();
    fs::rename(away, bed.path(path)).unwrap();
}

/// Content of a file of the candidate of `blog`.
fn in_candidate(bed: &Bed, path: &str) -> String {
    let stage = fs::read_dir(bed.path(".ghdeploy/stage")).unwrap().next().unwrap().unwrap().path();
    let file = stage.join("blog/candidate").join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

under_every_shell! {
    async fn links_lead_to_the_staged_files_in_the_candidate(bed: Bed) {
        let version = |text: &str| {
            tree([
                ("blog/.env", link("../shared/global.env")),
                ("blog/deep", link("../shared")),
                ("blog/host", link("../only.env")),
                ("blog/a b", link("new\nline")),
                ("blog/new\nline", file(text)),
                ("shared/global.env", file(text)),
                ("shared/vars/x.env", file(text)),
            ])
        };
        let reads = ["blog/.env", "blog/a b", "blog/deep", "blog/deep/vars/x.env", "blog/host", "blog/new\nline", "only.env",
            "shared/global.env", "shared/vars/x.env", "blog/theirs"];
        bed.put(&tree([("only.env", file("host")), ("blog/theirs", link("../../elsewhere"))]));
        fs::write(bed.beside("elsewhere"), "theirs").unwrap();
        for text in ["one", "two"] {
            let driver = bed.opened().await;
            bed.stage_for_compose(&driver, "blog", &version(text), &reads).await;
            expect_ok(&driver.call(&Command::Candidate("blog".to_owned())).await.unwrap());
            for path in ["blog/.env", "blog/deep/vars/x.env", "blog/a b", "shared/global.env"] {
                assert_eq!(in_candidate(&bed, path), text, "{path}");
            }
            assert_eq!((in_candidate(&bed, "blog/host"), in_candidate(&bed, "blog/theirs")), ("host".into(), "theirs".into()));
            expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
            bed.finish(driver).await;
        }
    }

    async fn folders_are_made_where_they_are_missing_and_never_behind_a_link(bed: Bed) {
        bed.sync("blog", &old()).await;
        let dir = foreign(&bed);
        symlink(&dir, bed.path("blog/elsewhere")).unwrap();
        let driver = bed.opened().await;
        let paths = ["blog/data/conf.d", "blog/a b/c\nd/e", "blog/elsewhere/made", "blog/compose.yml/x", "shop/data"];
        let paths = paths.map(|path| RootPath::new(path).unwrap()).to_vec();
        expect_ok(&driver.call(&Command::MakeFolders(paths)).await.unwrap());
        assert!(bed.path("blog/a b/c\nd/e").is_dir() && bed.path("shop/data").is_dir());
        assert_eq!(fs::read_to_string(bed.path("blog/compose.yml")).unwrap(), "services: {}");
        is_untouched(&dir);
        bed.finish(driver).await;
    }

    async fn a_link_on_the_way_to_managed_files_is_found_whatever_it_leads_to(bed: Bed) {
        bed.sync("blog", &old()).await;
        let dir = foreign(&bed);
        let nowhere = bed.beside("nowhere");
        for target in [&dir, &nowhere, &bed.beside("away")] {
            // The last one is the very folder, in another place: no file has changed.
            let away = replace_by_link(&bed, "blog/data/conf.d", target);
            for wanted in [old(), Tree::new()] {
                let deployed = bed.look("blog", &wanted).await;
                let barred = format!("behind blog/data/conf.d -> {}", target.display());
                let expected: String = ["a", "b", "sub/c"].iter().map(|name| format!("blog/data/conf.d/{name}: {barred}\n")).collect();
                assert_eq!(found_text(&deployed), expected);
            }
            put_back(&bed, "blog/data/conf.d", &away);
        }
        bed.expect_deployed("blog", &old()).await;
        // Also when the last listing proves nothing.
        let _ = fs::remove_file(bed.state("proof.0"));
        replace_by_link(&bed, "blog/data", &dir);
        assert_eq!(bed.look("blog", &old()).await.links.len(), 1);
        is_untouched(&dir);
    }

    async fn a_link_on_the_way_to_new_files_is_found(bed: Bed) {
        bed.sync("blog", &tree([("blog/compose.yml", file("services: {}"))])).await;
        let dir = foreign(&bed);
        fs::create_dir(bed.path("blog/data")).unwrap();
        symlink(&dir, bed.path("blog/data/conf.d")).unwrap();
        let driver = bed.opened().await;
        let deployed = bed.facts(&driver, "blog", &old()).await;
        driver.end().await;
        assert!(found_text(&deployed).starts_with("blog/data/conf.d/a: behind blog/data/conf.d -> /"));
    }

    async fn a_swap_never_follows_a_link(bed: Bed) {
        bed.sync("blog", &old()).await;
        let dir = foreign(&bed);
        for (at, is_before) in [("blog/data/conf.d", true), ("blog/data", true), ("blog/data/conf.d", false), ("blog/data", false)] {
            let driver = bed.opened().await;
            bed.stage(&driver, "blog", &new(), &["blog/data/conf.d/b"]).await;
            let target = if at == "blog/data" { bed.beside("") } else { dir.clone() };
            if at == "blog/data" {
                symlink(&dir, bed.beside("conf.d")).unwrap();
            }
            if is_before {
                let away = replace_by_link(&bed, at, &target);
                let reply = driver.call(&Command::Swap("blog".to_owned())).await.unwrap();
                assert!(!reply.is_ok() && reply.output.join("; ").contains(&format!("{at} is a link to ")), "{reply:?}");
                expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
                put_back(&bed, at, &away);
                is_untouched(&dir);
            } else {
                expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
                let away = replace_by_link(&bed, at, &target);
                assert!(!driver.call(&Command::Restore("blog".to_owned())).await.unwrap().is_ok());
                is_untouched(&dir);
                put_back(&bed, at, &away);
                expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
            }
            bed.finish(driver).await;
            let _ = fs::remove_file(bed.beside("conf.d"));
            is_untouched(&dir);
            assert_eq!(bed.live(), old());
            bed.expect_deployed("blog", &old()).await;
        }
    }

    async fn content_behind_a_link_is_not_shown(bed: Bed) {
        bed.sync("blog", &old()).await;
        replace_by_link(&bed, "blog/data/conf.d", &foreign(&bed));
        symlink(bed.beside("foreign/a"), bed.path("blog/data/other/link")).unwrap();
        let driver = bed.opened_to_read().await;
        let wants = ["blog/data/conf.d/a", "blog/data/other/link", "blog/data/other/x", "blog/data/conf.d/../other/x"];
        let wants = wants.map(|path| (None, RootPath::new(path).unwrap()));
        let found = contents(&driver, wants.to_vec(), 1000).await.unwrap();
        let target = bed.beside("foreign/a").to_str().unwrap().to_owned();
        let bytes = |text: &str| KeptContent::Bytes(text.as_bytes().into());
        assert_eq!(found, [KeptContent::Missing, bytes(&target), bytes("x"), bytes("x")]);
        driver.end().await;
    }

    async fn a_project_folder_that_was_moved_and_linked_is_deployed_and_proven(bed: Bed) {
        let wanted = |content: &str| tree([("web/blog/compose.yml", file(content)), ("web/blog/conf/a", file(content))]);
        bed.sync("web%2Fblog", &wanted("one")).await;
        fs::rename(bed.path("web/blog"), bed.beside("blog")).unwrap();
        symlink(bed.beside("blog"), bed.path("web/blog")).unwrap();
        fs::rename(bed.path("web"), bed.beside("web")).unwrap();
        symlink("../web", bed.path("web")).unwrap();
        bed.expect_deployed("web%2Fblog", &wanted("one")).await;
        bed.sync("web%2Fblog", &wanted("two")).await;
        assert_eq!(fs::read_to_string(bed.beside("blog/conf/a")).unwrap(), "two");
        bed.expect_deployed("web%2Fblog", &wanted("two")).await;
        // Files of another unit are not reached through it.
        let other = tree([("web/blog/conf/b", file("b"))]);
        let driver = bed.opened().await;
        bed.stage(&driver, "web%2Fblog", &wanted("three"), &["web/blog/conf/a"]).await;
        expect_ok(&driver.call(&Command::Swap("web%2Fblog".to_owned())).await.unwrap());
        expect_ok(&driver.call(&Command::Restore("web%2Fblog".to_owned())).await.unwrap());
        bed.finish(driver).await;
        drop(other);
        bed.sync("web%2Fblog", &Tree::new()).await;
        assert!(fs::read_dir(bed.beside("blog")).unwrap().next().is_none());
    }

    async fn a_link_in_the_place_of_a_new_project_is_followed(bed: Bed) {
        fs::create_dir_all(bed.beside("big/conf")).unwrap();
        fs::create_dir(&bed.root).unwrap();
        symlink(bed.beside("big"), bed.path("blog")).unwrap();
        fs::write(bed.beside("big/conf/theirs"), "theirs").unwrap();
        let wanted = tree([("blog/conf/theirs", file("ours"))]);
        let driver = bed.opened().await;
        let deployed = bed.facts(&driver, "blog", &wanted).await;
        assert!(found_text(&deployed).starts_with("blog/conf/theirs: File"), "{}", found_text(&deployed));
        driver.end().await;
        // The link has a name only for this project.
        let driver = bed.opened().await;
        let deployed = bed.facts(&driver, "+shared", &wanted).await;
        assert!(found_text(&deployed).starts_with("blog/conf/theirs: behind blog ->"), "{}", found_text(&deployed));
        driver.end().await;
    }

    async fn our_own_link_gives_way_to_a_folder_and_back(bed: Bed) {
        let dir = foreign(&bed);
        let linked = tree([("blog/compose.yml", file("x")), ("blog/conf", link(dir.to_str().unwrap()))]);
        let folder = tree([("blog/compose.yml", file("x")), ("blog/conf/a", file("ours"))]);
        for wanted in [&linked, &folder, &linked, &folder] {
            bed.sync("blog", wanted).await;
            assert_eq!(&bed.live(), wanted);
            bed.expect_deployed("blog", wanted).await;
        }
        is_untouched(&dir);
        // Cut off after the folder became a link: what the record lists below it is gone, not behind a link.
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &linked, &[]).await;
        fs::copy(bed.staged("blog").join("new"), bed.state("pending/blog")).unwrap();
        driver.end().await;
        bed.settle().await;
        fs::remove_dir_all(bed.path("blog/conf")).unwrap();
        symlink(&dir, bed.path("blog/conf")).unwrap();
        let text = found_text(&bed.look("blog", &linked).await);
        assert!(text.contains("blog/conf/a: missing") && text.contains("blog/conf: Symlink"), "{text}");
        bed.sync("blog", &linked).await;
        bed.expect_deployed("blog", &linked).await;
        is_untouched(&dir);
    }

    async fn objects_that_are_links_are_not_read(bed: Bed) {
        bed.sync("blog", &old()).await;
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &new(), &["blog/data/conf.d/b"]).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        let dir = foreign(&bed);
        for object in fs::read_dir(bed.state("objects")).unwrap() {
            let object = object.unwrap().path();
            fs::remove_file(&object).unwrap();
            symlink(dir.join("a"), &object).unwrap();
        }
        assert!(!driver.call(&Command::Restore("blog".to_owned())).await.unwrap().is_ok());
        assert!(!driver.call(&Command::StageKept("blog".to_owned())).await.unwrap().is_ok());
        let digest = ghdeploy::base::manifest::Digest::of(b"a");
        let found = contents(&driver, vec![(Some(digest), RootPath::new("none").unwrap())], 1000).await.unwrap();
        assert_eq!(found, [KeptContent::Missing]);
        for (path, node) in bed.live() {
            assert!(!format!("{node:?}").contains("secret"), "{path}");
        }
        driver.end().await;
        is_untouched(&dir);
    }

    async fn records_that_are_links_are_named_and_not_used(bed: Bed) {
        bed.sync("blog", &old()).await;
        let dir = foreign(&bed);
        for name in ["", "manifest", "pending", "objects", "lock", "lock.json", "heartbeat", "state.json", "history.jsonl", "kept", "listing", "folders"] {
            let at = if name.is_empty() { bed.path(".ghdeploy") } else { bed.state(name) };
            let _ = fs::rename(&at, bed.beside("away"));
            let target = if bed.beside("away").is_dir() { dir.clone() } else { dir.join("a") };
            symlink(target, &at).unwrap();
            for command in [bed.open_to_write(), Command::OpenToRead { root: bed.root.to_str().unwrap().to_owned() }] {
                let driver = bed.start().await;
                let error = facts::open(&driver, &command, "/srv", |_| {}).await.unwrap_err();
                let name = if name.is_empty() { ".ghdeploy" } else { name };
                assert!(error.to_string().contains(&format!("{name} is a link to ")), "{error}");
                driver.end().await;
            }
            fs::remove_file(&at).unwrap();
            let _ = fs::rename(bed.beside("away"), &at);
        }
        is_untouched(&dir);
        bed.expect_deployed("blog", &old()).await;
    }
}
