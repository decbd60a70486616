//! Drift: the proof that a host has what was deployed, and the reports when it does not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command as Program;

use ghdeploy::host::Command;
use ghdeploy::state::deployed::Found;

use crate::bed::{
    Bed, Node, Tree, entry, expect_ok, file, found_text, link, manifest, program, tree, under_every_shell,
    under_shells_with_tools, which,
};

fn deployed() -> Tree {
    tree([
        ("blog/a", file("aaaa")),
        ("blog/dir/b", file("bbbb")),
        ("blog/dir/c", file("cccc")),
        ("blog/link", link("dir/b")),
        ("blog/run", program("#!/bin/sh\n")),
    ])
}

/// Makes the bed note which programs the driver starts, and which files it hashes.
fn watch(bed: &Bed) {
    for tool in [
        "awk", "cat", "chmod", "cp", "cut", "date", "dd", "find", "flock", "grep", "head", "ln", "mkdir",
        "mv", "readlink", "rm", "rmdir", "sed", "sleep", "stat", "sync", "tail", "tr", "wc", "xargs",
    ] {
        bed.wrap(tool, &format!("printf '%s\\n' {tool} >>\"$bed/started\"\nexec \"$real\" \"$@\""));
    }
    bed.wrap(
        "sha256sum",
        r#"printf '%s\n' sha256sum >>"$bed/started"
case $# in
  0) printf 'one\n' >>"$bed/hashed"; exec "$real" ;;
  1) tee -a "$bed/hashed" | "$real" -c ;;
  *) exec "$real" "$@" ;;
esac"#,
    );
}

/// Lines that were noted since the last call, sorted.
fn noted(bed: &Bed, what: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        fs::read_to_string(bed.beside(what)).unwrap_or_default().lines().map(str::to_owned).collect();
    let _ = fs::remove_file(bed.beside(what));
    lines.sort();
    lines
}

/// Names of the files that were hashed since the last call.
fn hashed(bed: &Bed) -> Vec<String> {
    noted(bed, "hashed")
        .iter()
        .map(|line| line.split_once("  ./").map_or(line.clone(), |(_, name)| name.to_owned()))
        .collect()
}

/// Runs a sync that finds nothing to do; returns the drift that it sees.
async fn idle_run(bed: &Bed, wanted: &Tree) -> String {
    let driver = bed.opened().await;
    let deployed = bed.facts(&driver, "blog", wanted).await;
    driver.end().await;
    bed.settle().await;
    found_text(&deployed)
}

/// Changes a file and sets its mtime back.
fn forge(bed: &Bed, path: &str, content: &str) {
    let like = bed.beside("times");
    Program::new(which("touch")).arg("-r").arg(bed.path(path)).arg(&like).status().unwrap();
    fs::write(bed.path(path), content).unwrap();
    Program::new(which("touch")).arg("-r").arg(&like).arg(bed.path(path)).status().unwrap();
}

under_shells_with_tools! {
    async fn an_idle_run_hashes_no_file_and_starts_nine_programs(bed: Bed) {
        let wanted = deployed();
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &wanted, &[]).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        expect_ok(&driver.call(&Command::State(r#"{"version":1,"release":1,"commit":null,"at":null,"projects":{}}"#.to_owned())).await.unwrap());
        bed.finish(driver).await;
        watch(&bed);
        assert_eq!(idle_run(&bed, &wanted).await, "");
        assert_eq!(hashed(&bed), [""; 0]);
        assert_eq!(noted(&bed, "started"), ["cat", "dd", "dd", "flock", "sha256sum", "sha256sum", "stat", "tr", "xargs"]);
    }

    async fn a_file_that_was_touched_is_hashed_once(bed: Bed) {
        bed.sync("blog", &deployed()).await;
        Program::new(which("touch")).arg(bed.path("blog/dir/b")).status().unwrap();
        // Same content in another inode.
        fs::copy(bed.path("blog/a"), bed.beside("copy")).unwrap();
        fs::rename(bed.beside("copy"), bed.path("blog/a")).unwrap();
        watch(&bed);
        assert_eq!(idle_run(&bed, &deployed()).await, "");
        // Once to compare, and once more for the new listing; "one" are the digests of the listing.
        assert_eq!(hashed(&bed), ["blog/a", "blog/a", "blog/dir/b", "blog/dir/b", "one", "one"]);
        assert_eq!(idle_run(&bed, &deployed()).await, "");
        assert_eq!(hashed(&bed), [""; 0]);
    }

    async fn a_listing_that_could_not_be_written_proves_nothing(bed: Bed) {
        let wanted = deployed();
        let driver = bed.opened().await;
        bed.stage(&driver, "blog", &wanted, &[]).await;
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        // This has the effect of a disk that is full while the names are written.
        bed.wrap("tr", "[ $1 = -d ] || { \"$real\" \"$@\" | head -c 9; exit; }\nexec \"$real\" \"$@\"");
        bed.finish(driver).await;
        fs::remove_file(bed.bin.join("tr")).unwrap();
        forge(&bed, "blog/run", "#!/bin/XX\n");
        assert!(found_text(&bed.look("blog", &wanted).await).starts_with("blog/run: File"));
    }

    async fn records_that_cannot_be_compared_prove_nothing(bed: Bed) {
        bed.sync("blog", &deployed()).await;
        fs::write(bed.path("blog/a"), "b").unwrap();
        bed.wrap("awk", "exit 2");
        let driver = bed.opened_to_read().await;
        let wants = [("blog".to_owned(), manifest(&deployed()))].into();
        ghdeploy::host::facts::facts(&driver, &wants).await.unwrap_err();
    }
}

under_every_shell! {
    async fn every_kind_of_drift_is_reported(bed: Bed) {
        let mut wanted = deployed();
        for n in 0..6 {
            wanted.insert(format!("blog/more/{n}"), file("more"));
        }
        bed.sync("blog", &wanted).await;
        forge(&bed, "blog/a", "AAAA");
        fs::remove_file(bed.path("blog/dir/b")).unwrap();
        fs::set_permissions(bed.path("blog/dir/c"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(bed.path("blog/link")).unwrap();
        symlink("dir/c", bed.path("blog/link")).unwrap();
        fs::set_permissions(bed.path("blog/run"), fs::Permissions::from_mode(0o644)).unwrap();
        let more = |n| bed.path(&format!("blog/more/{n}"));
        for n in 1..6 {
            fs::remove_file(more(n)).unwrap();
        }
        fs::create_dir(more(1)).unwrap();
        fs::write(more(1).join("x"), "").unwrap();
        // A link to the same content is not a file.
        symlink("0", more(2)).unwrap();
        Program::new(which("mkfifo")).arg(more(3)).status().unwrap();
        fs::write(more(4), "").unwrap();
        fs::write(more(5), "more").unwrap();
        fs::set_permissions(more(5), fs::Permissions::from_mode(0o600)).unwrap();
        for _ in 0..2 {
            let found = idle_run(&bed, &wanted).await;
            insta::allow_duplicates! { insta::assert_snapshot!(found, @r"
            blog/a: File 644 63c1dd
            blog/dir/b: missing
            blog/dir/c: File 755 b6fbd6
            blog/link: Symlink 777 3d32a1
            blog/more/1: a directory
            blog/more/2: Symlink 777 5feceb
            blog/more/3: something else
            blog/more/4: File 644 e3b0c4
            blog/run: File 644 a8076d
            "); }
        }
    }

    async fn a_removed_or_moved_folder_is_reported(bed: Bed) {
        bed.sync("blog", &deployed()).await;
        fs::rename(bed.path("blog/dir"), bed.path("blog/moved")).unwrap();
        let found = bed.look("blog", &deployed()).await.found;
        assert!(found.len() == 2 && found.values().all(|found| *found == Found::Missing), "{found:?}");
        fs::remove_dir_all(bed.path("blog")).unwrap();
        fs::write(bed.path("blog"), "").unwrap();
        let found = bed.look("blog", &deployed()).await.found;
        assert!(found.len() == 5 && found.values().all(|found| *found == Found::Missing), "{found:?}");
    }

    async fn drift_is_reported_whatever_the_state_of_the_listing(bed: Bed) {
        let wanted = deployed();
        bed.sync("blog", &wanted).await;
        forge(&bed, "blog/a", "AAAA");
        let names = fs::read(bed.state("names.0")).unwrap();
        let seen = fs::read(bed.state("listing")).unwrap_or_default();
        let restore = || {
            fs::write(bed.state("names.0"), &names).unwrap();
            fs::write(bed.state("listing"), &seen).unwrap();
        };
        for file in ["names.0", "listing", "proof.0"] {
            for damage in 0..4 {
                let at = bed.state(file);
                let old = fs::read(&at).unwrap_or_default();
                match damage {
                    0 => drop(fs::remove_file(&at)),
                    1 => fs::write(&at, "").unwrap(),
                    2 => fs::write(&at, &old[..old.len() / 2]).unwrap(),
                    _ => fs::write(&at, "garbage ./blog/a\0\n  *\\ \n").unwrap(),
                }
                assert_eq!(found_text(&bed.look("blog", &wanted).await), "blog/a: File 644 63c1dd\n", "{file} {damage}");
                restore();
            }
        }
    }

    async fn units_are_the_same_or_different_or_unknown_or_removed(bed: Bed) {
        bed.sync("blog", &deployed()).await;
        let proxy = tree([("proxy/p", file("p"))]);
        bed.sync("proxy", &proxy).await;
        let driver = bed.opened_to_read().await;
        let other = tree([("blog/a", file("other"))]);
        let wants = [("blog".to_owned(), manifest(&other)), ("new".to_owned(), manifest(&other))].into();
        let found = ghdeploy::host::facts::facts(&driver, &wants).await.unwrap();
        assert_eq!(found.manifests, [("blog".to_owned(), manifest(&deployed())), ("proxy".to_owned(), manifest(&proxy))].into());
        assert!(found.found.is_empty() && found.pending.is_empty());
    }

    async fn a_pending_unit_is_reported_with_the_files_that_have_arrived(bed: Bed) {
        bed.sync("blog", &deployed()).await;
        // "blog.new" is a project like any other.
        let pending = tree([("blog/a", file("new")), ("blog/x", file("xx")), ("blog/y", file("yy")), ("blog/n\nl", program("n"))]);
        fs::write(bed.state("pending/blog.new"), manifest(&pending).to_text()).unwrap();
        bed.put(&tree([("blog/x", file("xx")), ("blog/n\nl", program("n"))]));
        let deployed = bed.look("blog", &deployed()).await;
        assert_eq!(deployed.pending, [("blog.new".to_owned(), manifest(&pending))].into());
        let mut found: Vec<&str> = deployed.found.keys().map(ghdeploy::base::path::RootPath::as_str).collect();
        found.retain(|path| *path != "blog/a");
        assert_eq!(found, ["blog/n\nl", "blog/x"]);
        let Node::File { .. } = &pending["blog/x"] else { unreachable!() };
        assert!(matches!(&deployed.found.values().last(), Some(Found::Entry(there)) if there.digest == entry(&pending["blog/x"]).digest));
    }
}
