//! Hosts whose disk is full or read-only, played by small filesystems in memory.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use ghdeploy::host::{Command, facts};

use crate::bed::{
    Bed, Node, Tree, expect_ok, file, found_text, link, program, tree, under_every_shell, under_some_shell,
    which,
};

/// Unit in which tmpfs allocates, in bytes.
const PAGE: u64 = 4096;

/// A separate filesystem for the root, unmounted on drop.
struct Disk {
    at: PathBuf,
}

/// Runs a program as root, which mounting needs: directly, or by sudo without a password.
fn as_root(program: &str) -> Program {
    let is_root = Program::new(which("id")).arg("-u").output().unwrap().stdout == b"0\n";
    if is_root {
        return Program::new(which(program));
    }
    let mut sudo = Program::new(which("sudo"));
    sudo.arg("-n").arg(program);
    sudo
}

impl Disk {
    fn mount(bed: &mut Bed, kib: u32) -> Self {
        let at = bed.beside("disk");
        fs::create_dir(&at).unwrap();
        let status = as_root("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k,mode=1777"), "tmpfs"])
            .arg(&at)
            .status()
            .unwrap();
        assert!(status.success(), "these tests mount small filesystems: run them as root or let sudo do so");
        bed.root = at.join("srv");
        Self { at }
    }

    /// Fills the disk up to this number of free pages.
    fn fill_but(&self, pages: u64) {
        let mut filler = File::create(self.at.join("filler")).unwrap();
        let mut size = 0;
        while filler.write_all(&[0; PAGE as usize]).is_ok() {
            size += PAGE;
        }
        filler.set_len(size.saturating_sub(pages * PAGE)).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.at.join("filler")).unwrap();
    }

    fn read_only(&self, read_only: bool) {
        let how = if read_only { "remount,ro" } else { "remount,rw" };
        assert!(as_root("mount").args(["-o", how]).arg(&self.at).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = as_root("umount").arg("-l").arg(&self.at).status();
    }
}

fn pages(name: &str, pages: usize) -> Node {
    file(&name.repeat(pages * PAGE as usize / name.len()))
}

fn old() -> Tree {
    tree([
        ("blog/changed", pages("o", 2)),
        ("blog/bound", pages("b", 1)),
        ("blog/gone/x", file("gone")),
        ("blog/link", link("changed")),
        ("blog/turns", file("turns")),
    ])
}

fn new() -> Tree {
    tree([
        ("blog/changed", pages("n", 3)),
        // Larger than before: it may not fit when it is written in place.
        ("blog/bound", pages("B", 5)),
        ("blog/added/y", program("added")),
        ("blog/link", link("bound")),
        ("blog/turns/z", file("z")),
    ])
}

fn has(dir: &Path, name: &str) -> bool {
    dir.join(name).exists()
}

under_every_shell! {
    async fn an_upload_that_does_not_fit_changes_nothing_and_makes_room_again(bed: Bed) {
        let mut bed = bed;
        let _disk = Disk::mount(&mut bed, 1024);
        bed.sync("blog", &old()).await;
        let driver = bed.opened().await;
        let mut wanted = new();
        wanted.insert("blog/large".to_owned(), pages("l", 512));
        let staged = bed.plan(&driver, "blog", &wanted, &[]).await;
        let error = bed.send(&driver, "blog", &wanted, &staged).await.unwrap_err();
        assert!(error.to_string().contains("the host's disk is full"), "{error}");
        assert!(!has(&bed.state(""), "stage"));
        driver.end().await;
        bed.settle().await;
        assert_eq!(bed.live(), old());
        bed.expect_deployed("blog", &old()).await;
        bed.sync("blog", &new()).await;
        assert_eq!(bed.live(), new());
    }

    async fn files_are_removed_without_room_for_a_copy(bed: Bed) {
        let mut bed = bed;
        let disk = Disk::mount(&mut bed, 1024);
        let large = tree([("blog/a", pages("a", 60)), ("blog/b", pages("b", 60)), ("blog/c", file("c"))]);
        bed.sync("blog", &large).await;
        let left = tree([("blog/a", pages("A", 1)), ("blog/c", file("c"))]);
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &left, &[]).await;
        disk.fill_but(4);
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        assert_eq!(bed.live(), left);
        for name in ["a", "b"] {
            let Node::File { content, .. } = pages(name, 60) else { unreachable!() };
            assert_eq!(bed.kept(&content), Some(content));
        }
        expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
        assert_eq!(bed.live(), large);
        bed.finish(driver).await;
        bed.expect_deployed("blog", &large).await;
        disk.make_room();
        bed.sync("blog", &left).await;
        bed.expect_deployed("blog", &left).await;
    }

    async fn a_state_that_does_not_fit_leaves_the_previous_one(bed: Bed) {
        let mut bed = bed;
        let disk = Disk::mount(&mut bed, 512);
        let driver = bed.opened().await;
        let (before, after) = (format!("{{\"a\":\"{}\"}}", "a".repeat(9000)), format!("{{\"b\":\"{}\"}}", "b".repeat(9000)));
        expect_ok(&driver.call(&Command::State(before.clone())).await.unwrap());
        expect_ok(&driver.call(&Command::History(before.clone())).await.unwrap());
        disk.fill_but(1);
        for command in [Command::State(after.clone()), Command::History(after.clone())] {
            let reply = driver.call(&command).await.unwrap();
            assert!(!reply.is_ok() && reply.output.join("; ").contains("No space left on device"), "{reply:?}");
        }
        assert_eq!(fs::read_to_string(bed.state("state.json")).unwrap(), format!("{before}\n"));
        disk.make_room();
        expect_ok(&driver.call(&Command::State(after.clone())).await.unwrap());
        expect_ok(&driver.call(&Command::History(after.clone())).await.unwrap());
        assert_eq!(fs::read_to_string(bed.state("state.json")).unwrap(), format!("{after}\n"));
        let history = fs::read_to_string(bed.state("history.jsonl")).unwrap();
        assert!(history.starts_with(&format!("{before}\n")) && history.ends_with(&format!("\n{after}\n")), "each has a line of its own");
        driver.end().await;
    }

    async fn a_new_root_on_a_full_disk_is_refused_with_the_reason(bed: Bed) {
        let mut bed = bed;
        let disk = Disk::mount(&mut bed, 64);
        // There is no inode left for a new name.
        as_root("mount").args(["-o", "remount,nr_inodes=2"]).arg(&disk.at).status().unwrap();
        let driver = bed.start().await;
        let error = facts::open(&driver, &bed.open_to_write(), "/srv", |_| {}).await.unwrap_err();
        assert!(error.to_string().contains("the host's disk is full"), "{error}");
    }

    async fn a_read_only_root_can_be_read(bed: Bed) {
        let mut bed = bed;
        let disk = Disk::mount(&mut bed, 1024);
        bed.sync("blog", &old()).await;
        fs::write(bed.path("blog/bound"), "drift").unwrap();
        disk.read_only(true);
        let driver = bed.start().await;
        let error = facts::open(&driver, &bed.open_to_write(), "/srv", |_| {}).await.unwrap_err();
        assert!(error.to_string().contains("Read-only file system"), "{error}");
        assert!(found_text(&bed.look("blog", &old()).await).starts_with("blog/bound: File"));
        disk.read_only(false);
    }
}

under_some_shell! {
    async fn a_swap_that_does_not_fit_can_be_restored_in_full(bed: Bed) {
        let mut bed = bed;
        let disk = Disk::mount(&mut bed, 1024);
        let mut failed = 0;
        for room in 0.. {
            bed.sync("blog", &old()).await;
            let _ = fs::remove_dir_all(bed.state("objects"));
            let driver = bed.opened().await;
            bed.stage(&driver, "blog", &new(), &["blog/bound"]).await;
            disk.fill_but(room);
            let reply = driver.call(&Command::Swap("blog".to_owned())).await.unwrap();
            if reply.is_ok() {
                assert_eq!(bed.live(), new());
                // The rollback has no room, either.
                disk.fill_but(room);
                break;
            }
            failed += 1;
            let words = reply.output.join("; ");
            assert!(words.contains("No space left on device"), "{words}");
            let back = driver.call(&Command::Restore("blog".to_owned())).await.unwrap();
            assert!(back.is_ok(), "with room for {room}: {back:?}");
            assert_eq!(bed.live(), old(), "with room for {room}");
            expect_ok(&driver.call(&Command::Finish { keep: 10, stay: Vec::new() }).await.unwrap());
            driver.end().await;
            bed.settle().await;
            bed.expect_deployed("blog", &old()).await;
            disk.make_room();
        }
        assert!(failed > 3, "only {failed} sizes were too small");
    }

    async fn a_listing_that_does_not_fit_hides_no_drift(bed: Bed) {
        let mut bed = bed;
        let disk = Disk::mount(&mut bed, 8192);
        let of = |content: &str| -> Tree { (0..90).map(|n| (format!("blog/{n}-{}", "n".repeat(140)), file(&format!("{content} {n}")))).collect() };
        bed.sync("blog", &of("old")).await;
        for room in [0, 1, 2, 4, 7, 10, 16] {
            let (wanted, other) = (of("new"), of("old"));
            let driver = bed.opened().await;
            bed.stage(&driver, "blog", &wanted, &[]).await;
            expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
            // The driver removes the stage before it makes the listing.
            fs::remove_dir_all(bed.state("stage")).unwrap();
            fs::remove_dir_all(bed.state("objects")).unwrap();
            disk.fill_but(room);
            expect_ok(&driver.call(&Command::Finish { keep: 10, stay: Vec::new() }).await.unwrap());
            driver.end().await;
            bed.settle().await;
            disk.make_room();
            bed.expect_deployed("blog", &wanted).await;
            let (first, last) = (wanted.keys().next().unwrap(), wanted.keys().last().unwrap());
            for path in [first, last] {
                fs::write(bed.path(path), "drift").unwrap();
            }
            assert_eq!(bed.look("blog", &wanted).await.found.len(), 2, "with room for {room}");
            bed.sync("blog", &other).await;
        }
    }
}
