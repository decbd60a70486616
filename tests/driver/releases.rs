//! Releases: what the host keeps of them, what it reports, and what it removes when no release needs it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use ghdeploy::base::manifest::Digest;
use ghdeploy::base::path::RootPath;
use ghdeploy::host::releases::{KeptContent, contents, releases, snapshot, state_of, used_images};
use ghdeploy::host::{Command, Driver, ReleaseImages};

use crate::bed::{Bed, Node, Tree, entry, expect_ok, file, link, manifest, program, tree, under_every_shell};

/// Brings the host to `wanted` as the release of this number, of which the last `keep` stay.
async fn release(bed: &Bed, number: u64, wanted: &Tree, keep: u32) {
    let driver = bed.opened().await;
    bed.stage(&driver, "blog", wanted, &[]).await;
    expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
    let state = format!(r#"{{"version":1,"release":{number},"commit":null,"at":null,"projects":{{}}}}"#);
    expect_ok(&driver.call(&Command::State(state)).await.unwrap());
    let line = format!(r#"{{"release":{number}}}"#);
    expect_ok(&driver.call(&Command::History(line)).await.unwrap());
    expect_ok(&driver.call(&Command::Release { number, images: ReleaseImages::Listed }).await.unwrap());
    expect_ok(&driver.call(&Command::Finish { keep, stay: Vec::new() }).await.unwrap());
    driver.end().await;
    bed.settle().await;
}

fn content(node: &Node) -> &str {
    match node {
        Node::File { content, .. } | Node::Link(content) => content,
        Node::EmptyDir => "",
    }
}

fn of(number: u64) -> Tree {
    tree([
        ("blog/compose.yml", file(&format!("compose of {number}"))),
        ("blog/a name\nwith $(x) 'quotes'", file(&format!("odd {number}"))),
        ("blog/-run", program(&format!("run {number}"))),
        ("blog/empty", file(if number.is_multiple_of(2) { "" } else { "odd" })),
        ("blog/link", link(&format!("target {number}"))),
        ("blog/same", file("same")),
    ])
}

async fn bytes(driver: &Driver, wanted: &Tree) -> Vec<KeptContent> {
    let wants = wanted.iter().map(|(path, node)| (Some(entry(node).digest), RootPath::new(path).unwrap()));
    contents(driver, wants.collect(), 1000).await.unwrap()
}

under_every_shell! {
    async fn the_images_of_all_kept_releases_are_reported(bed: Bed) {
        for number in 1..=3 {
            release(&bed, number, &of(number), 2).await;
        }
        for number in 2..=3 {
            let images = format!("sha256:{number} blog web app:{number}\n");
            fs::write(bed.state(&format!("releases/{number}/images")), images).unwrap();
        }
        let driver = bed.opened_to_read().await;
        let used = used_images(&driver).await.unwrap();
        let used: Vec<_> = used.into_iter().map(|image| format!("{} {} {} {}", image.id, image.project, image.service, image.name)).collect();
        assert_eq!(used, ["sha256:2 blog web app:2", "sha256:3 blog web app:3"]);
        driver.end().await;
    }

    async fn every_kept_release_can_be_read_and_restored(bed: Bed) {
        for number in 1..=4 {
            release(&bed, number, &of(number), 3).await;
        }
        let driver = bed.opened_to_read().await;
        let found = releases(&driver).await.unwrap();
        let mut kept = found.kept;
        kept.sort_unstable();
        assert_eq!((kept, found.lines.len()), (vec![2, 3, 4], 4));
        assert!(snapshot(&driver, 1).await.unwrap().is_none() && state_of(&driver, 1).await.unwrap().is_none());
        for number in 2..=4 {
            let (past, _) = snapshot(&driver, number).await.unwrap().unwrap();
            assert_eq!(state_of(&driver, number).await.unwrap(), Some(past.state.clone()));
            assert_eq!(past.state.release, number);
            assert_eq!(past.manifests, BTreeMap::from([("blog".to_owned(), manifest(&of(number)))]));
            let wanted: Vec<KeptContent> =
                of(number).values().map(|node| KeptContent::Bytes(content(node).as_bytes().into())).collect();
            assert_eq!(bytes(&driver, &of(number)).await, wanted);
        }
        driver.end().await;
        assert_eq!(bed.kept("compose of 1"), Some("compose of 1".to_owned()), "release 2 has replaced it");
        release(&bed, 5, &of(5), 3).await;
        assert_eq!((bed.kept("compose of 1"), bed.kept("odd 1")), (None, None));

        // The same lists as for an upload, but the host has the files.
        let driver = bed.opened().await;
        let staged = bed.plan(&driver, "blog", &of(3), &["blog/-run"]).await;
        bed.send_lists(&driver, "blog", &of(3), &staged).await;
        expect_ok(&driver.call(&Command::StageKept("blog".to_owned())).await.unwrap());
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        bed.finish(driver).await;
        assert_eq!(bed.live(), of(3));
        bed.expect_deployed("blog", &of(3)).await;
    }

    async fn a_restored_folder_has_the_mode_of_an_uploaded_one(bed: Bed) {
        let wanted = tree([("blog/conf.d/a", file("a"))]);
        let mode = || fs::metadata(bed.path("blog/conf.d")).unwrap().permissions().mode() & 0o777;
        release(&bed, 1, &wanted, 3).await;
        assert_eq!(mode(), 0o755);
        release(&bed, 2, &tree([("blog/b", file("b"))]), 3).await;
        let driver = bed.opened().await;
        let staged = bed.plan(&driver, "blog", &wanted, &[]).await;
        bed.send_lists(&driver, "blog", &wanted, &staged).await;
        expect_ok(&driver.call(&Command::StageKept("blog".to_owned())).await.unwrap());
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        bed.finish(driver).await;
        assert_eq!(mode(), 0o755);
    }

    async fn missing_or_damaged_content_is_not_restored(bed: Bed) {
        release(&bed, 1, &of(1), 3).await;
        release(&bed, 2, &of(2), 3).await;
        let object = |content: &str| bed.state("objects").join(Digest::of(content.as_bytes()).as_str());
        for damage in ["missing", "damaged"] {
            let at = object("odd 1");
            if damage == "missing" { fs::remove_file(&at).unwrap() } else { fs::write(&at, "other").unwrap() }
            let driver = bed.opened().await;
            let staged = bed.plan(&driver, "blog", &of(1), &[]).await;
            bed.send_lists(&driver, "blog", &of(1), &staged).await;
            let fetched = driver.call(&Command::StageKept("blog".to_owned())).await.unwrap();
            if damage == "missing" {
                assert!(!fetched.is_ok() && fetched.output[0].contains("no longer on the host: blog/a name"), "{fetched:?}");
            } else {
                let swapped = driver.call(&Command::Swap("blog".to_owned())).await.unwrap();
                assert!(swapped.output[0].contains("did not arrive as they were sent"), "{swapped:?}");
            }
            bed.finish(driver).await;
            assert_eq!(bed.live(), of(2));
            fs::write(&at, "odd 1").unwrap();
        }
    }

    async fn the_content_of_a_path_is_reported_whatever_lies_there(bed: Bed) {
        release(&bed, 1, &of(1), 3).await;
        bed.put(&tree([("blog/large", file(&"x".repeat(1001)))]));
        fs::write(bed.path("blog/binary"), [0, 1, 255, 10]).unwrap();
        let driver = bed.opened_to_read().await;
        let paths = ["blog/binary", "blog/large", "blog/nothing", "blog", "blog/link"];
        let wants = paths.map(|path| (None, RootPath::new(path).unwrap())).to_vec();
        let found = contents(&driver, wants, 1000).await.unwrap();
        let bytes = |bytes: &[u8]| KeptContent::Bytes(bytes.into());
        assert_eq!(
            found,
            [bytes(&[0, 1, 255, 10]), KeptContent::Large, KeptContent::Missing, KeptContent::Missing, bytes(b"target 1")]
        );
        driver.end().await;
    }

    async fn overwritten_content_is_kept_as_long_as_the_release_that_replaced_it(bed: Bed) {
        release(&bed, 1, &of(1), 2).await;
        bed.put(&tree([("blog/compose.yml", file("by hand"))]));
        release(&bed, 2, &of(2), 2).await;
        release(&bed, 3, &of(3), 2).await;
        assert_eq!(bed.kept("by hand").as_deref(), Some("by hand"));
        release(&bed, 4, &of(4), 2).await;
        assert_eq!(bed.kept("by hand"), None);
    }

    async fn content_that_was_sent_is_kept_whatever_its_size(bed: Bed) {
        let large = "large ".repeat(10_000);
        let names = ["blog/a", "-b", "blog/a name\nwith $(x) \\ 'quotes'"];
        let first: Tree = names.iter().map(|name| ((*name).to_owned(), file(&format!("{large}{name}")))).collect();
        release(&bed, 1, &first, 3).await;
        // Each is edited in place, so what the swap finds is not what was sent.
        for name in names {
            fs::write(bed.path(name), "by hand").unwrap();
            assert_eq!(bed.kept(&format!("{large}{name}")), Some(format!("{large}{name}")));
        }
        release(&bed, 2, &of(2), 3).await;
        let driver = bed.opened().await;
        let staged = bed.plan(&driver, "blog", &first, &[]).await;
        bed.send_lists(&driver, "blog", &first, &staged).await;
        expect_ok(&driver.call(&Command::StageKept("blog".to_owned())).await.unwrap());
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        bed.finish(driver).await;
        assert_eq!(bed.live(), first);
    }

    async fn an_interrupted_run_loses_nothing_that_it_has_kept(bed: Bed) {
        release(&bed, 1, &of(1), 1).await;
        bed.put(&tree([("blog/compose.yml", file("by hand"))]));
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &of(2), &[]).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        let pid = fs::read_to_string(bed.beside("pid")).unwrap();
        let kill = std::process::Command::new("kill").args(["-9", "--", &format!("-{}", pid.trim())]).status();
        assert!(kill.unwrap().success());
        drop(driver);
        bed.settle().await;
        release(&bed, 2, &of(3), 1).await;
        assert_eq!(bed.kept("by hand").as_deref(), Some("by hand"));
        assert!(!bed.state("kept").exists() && bed.state("releases/2/kept").exists());
        assert!(!bed.state("objects.all").exists() && !bed.state("objects.unused").exists());
    }

    async fn no_object_is_removed_while_a_list_cannot_be_read(bed: Bed) {
        release(&bed, 1, &of(1), 9).await;
        release(&bed, 2, &of(2), 9).await;
        std::os::unix::fs::symlink("nowhere", bed.state("releases/1/manifest/broken")).unwrap();
        let count = || fs::read_dir(bed.state("objects")).unwrap().count();
        let before = count();
        // A link is not a manifest and is ignored. A list that cannot be read is not ignored.
        bed.wrap("stat", "case \"$*\" in *'%i %n'*) exit 1 ;; esac\nexec \"$real\" \"$@\"");
        let driver = bed.opened().await;
        let _ = driver.call(&Command::Finish { keep: 1, stay: Vec::new() }).await.unwrap();
        driver.end().await;
        bed.settle().await;
        assert_eq!(count(), before);
    }

    async fn no_object_is_removed_while_a_list_is_damaged(bed: Bed) {
        release(&bed, 1, &of(1), 9).await;
        release(&bed, 2, &of(2), 9).await;
        release(&bed, 3, &of(3), 9).await;
        let count = || fs::read_dir(bed.state("objects")).unwrap().count();
        let before = count();
        let file = bed.state("releases/2/manifest/blog");
        let manifest = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        fs::write(&file, &manifest[..40]).unwrap();
        let driver = bed.opened().await;
        expect_ok(&driver.call(&Command::Finish { keep: 2, stay: Vec::new() }).await.unwrap());
        driver.end().await;
        bed.settle().await;
        assert_eq!(count(), before);
        fs::write(&file, manifest).unwrap();
        let driver = bed.opened().await;
        expect_ok(&driver.call(&Command::Finish { keep: 1, stay: Vec::new() }).await.unwrap());
        driver.end().await;
        bed.settle().await;
        assert!(count() < before);
    }

    async fn a_long_history_keeps_its_end(bed: Bed) {
        release(&bed, 1, &of(1), 3).await;
        let lines: String = (0..1200).map(|number| format!("{{\"release\":{number}}}\n")).collect();
        fs::write(bed.state("history.jsonl"), lines).unwrap();
        release(&bed, 1200, &of(2), 3).await;
        let text = fs::read_to_string(bed.state("history.jsonl")).unwrap();
        let all: Vec<&str> = text.lines().collect();
        assert_eq!((all.len(), all[0], all[499]), (500, "{\"release\":701}", "{\"release\":1200}"));
    }
}
