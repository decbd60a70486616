//! The root, the lock, and hosts that cannot be used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use ghdeploy::host::{Command, facts};

use crate::bed::{file, tree, under_every_shell};

under_every_shell! {
    async fn a_new_root_is_made_and_only_the_live_part_is_public(bed: Bed) {
        let driver = bed.opened().await;
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(bed.root.clone()), 0o755);
        for dir in ["", "manifest", "pending", "objects"] {
            assert_eq!(mode(bed.state(dir)), 0o700, "{dir}");
        }
        driver.end().await;
    }

    async fn reading_makes_nothing(bed: Bed) {
        let deployed = bed.look("blog", &tree([("blog/a", file("a"))])).await;
        assert!(deployed.manifests.is_empty() && deployed.found.is_empty());
        assert!(!bed.root.exists());
    }

    async fn a_missing_root_holds_nothing_whatever_lies_elsewhere(bed: Bed) {
        // Without a root the driver works in `/`, where `etc/passwd` exists on every host.
        let deployed = bed.look("etc", &tree([("etc/passwd", file("x"))])).await;
        assert_eq!(deployed.found.len(), 0);
    }

    async fn a_second_run_sees_who_holds_the_lock_and_acquires_it_afterwards(bed: Bed) {
        let first = bed.opened().await;
        let second = bed.start().await;
        let root = bed.root.to_str().unwrap();
        let command = Command::OpenToWrite { root: root.to_owned(), wait_secs: 0, holder: "{}".to_owned() };
        let seen = Mutex::new(Vec::new());
        let error = facts::open(&second, &command, root, |holder| seen.lock().unwrap().push(holder.clone())).await.unwrap_err();
        assert!(error.to_string().contains("timed out waiting for the host's lock: a test holds it"), "{error}");
        assert_eq!(*seen.lock().unwrap(), [serde_json::json!({"actor": "a test"})]);
        first.end().await;
        bed.settle().await;
        let third = bed.opened().await;
        third.end().await;
        bed.settle().await;
        assert_eq!(fs::read_to_string(bed.state("lock.json")).unwrap(), "", "the lock has no holder any more");
    }

    async fn an_unreadable_holder_is_reported_as_unknown(bed: Bed) {
        let first = bed.opened().await;
        for garbage in ["", "{\"actor\":", "{\"a\":1}\n{\"b\":2}"] {
            fs::write(bed.state("lock.json"), garbage).unwrap();
            let second = bed.start().await;
            let root = bed.root.to_str().unwrap();
            let command = Command::OpenToWrite { root: root.to_owned(), wait_secs: 0, holder: "{}".to_owned() };
            let error = facts::open(&second, &command, root, |holder| assert!(holder.is_null())).await.unwrap_err();
            assert!(error.to_string().contains("timed out waiting for the host's lock: another run holds it"), "{error}");
        }
        first.end().await;
    }

    async fn a_root_that_is_a_file_is_refused_with_the_reason(bed: Bed) {
        fs::write(&bed.root, "a file").unwrap();
        let driver = bed.start().await;
        let error = facts::open(&driver, &bed.open_to_write(), "/srv", |_| {}).await.unwrap_err();
        assert!(error.to_string().contains("may not write below /srv"), "{error}");
    }

    async fn a_state_that_is_not_json_does_not_count_as_missing(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        for garbage in ["", "{\"version\":1,", "two\nlines", "{}", "\0\0\0"] {
            fs::write(bed.state("state.json"), garbage).unwrap();
            let driver = bed.opened_to_read().await;
            let damaged = facts::facts(&driver, &Default::default()).await.unwrap().damaged;
            assert_eq!(damaged.len(), 1, "{garbage:?}");
            assert_eq!((damaged[0].file.as_str(), damaged[0].is_missing), ("state.json", false));
        }
        // A person may have formatted it.
        fs::write(bed.state("state.json"), "{\"version\": 1,\n \"release\": 7,\n \"commit\": null, \"at\": null, \"projects\": {}}\n").unwrap();
        let deployed = bed.look("blog", &tree([("blog/a", file("a"))])).await;
        assert_eq!((deployed.state.release, deployed.damaged.len()), (7, 0));
    }

    async fn the_root_may_have_any_name(bed: Bed) {
        let mut bed = bed;
        for name in ["with space", "-dash", "a=b", "$(touch x)", "*", "back\\slash", "new\nline", "'\"", "é"] {
            bed.root = bed.beside(name).join("srv");
            let wanted = tree([("blog/a b", file("a")), ("x", file("x"))]);
            bed.sync("blog", &wanted).await;
            assert_eq!(bed.live(), wanted, "{name}");
            bed.expect_deployed("blog", &wanted).await;
        }
    }

}
