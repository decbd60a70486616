//! A swap and its restore by the real driver; the model of a host behaves the same way.

use std::fs;
use std::path::Path;

use ghdeploy::apply::stage::{Source, Unit, pack};
use ghdeploy::base::manifest::{Digest, Entry, Kind, Manifest};
use ghdeploy::base::path::RootPath;
use ghdeploy::host::{Command, Driver, Local, Reply, Upload, facts, upload};
use ghdeploy::plan::{FileChange, FileChangeKind};
use ghdeploy::state::deployed::Deployed;

fn entry(content: &str) -> Entry {
    Entry {
        kind: Kind::File,
        mode: 0o644,
        size: content.len() as u64,
        digest: Digest::of(content.as_bytes()),
    }
}

fn manifest(files: &[(&str, &str)]) -> Manifest {
    Manifest(files.iter().map(|(path, content)| (RootPath::new(path).unwrap(), entry(content))).collect())
}

/// Changes two files from `old` to `new` with a real driver; `meanwhile` happens before the swap.
fn swap_and_restore(prepare: impl Fn(&Path), meanwhile: impl Fn(&Path)) -> (tempfile::TempDir, Reply, Reply) {
    let host = tempfile::tempdir().unwrap();
    let root = host.path().join("root");
    fs::create_dir_all(root.join("blog")).unwrap();
    fs::create_dir_all(root.join(".ghdeploy/objects")).unwrap();
    let files = ["blog/a", "blog/x"];
    let repo = tempfile::tempdir().unwrap();
    fs::create_dir(repo.path().join("blog")).unwrap();
    for path in files {
        fs::write(root.join(path), "old").unwrap();
        fs::write(repo.path().join(path), "new").unwrap();
    }
    prepare(&root);
    let changes: Vec<FileChange> = files
        .iter()
        .map(|path| FileChange {
            path: format!("services/{path}"),
            change: FileChangeKind::Modified,
            at: RootPath::new(path).unwrap(),
            before: Some(entry("old")),
            after: Some(entry("new")),
            in_place: false,
        })
        .collect();
    let (old, new) = (manifest(&files.map(|path| (path, "old"))), manifest(&files.map(|path| (path, "new"))));
    let deployed = Deployed { manifests: [("blog".to_owned(), old)].into(), ..Deployed::default() };
    let unit =
        Unit::new("blog", &changes.iter().collect::<Vec<_>>(), &new, &deployed, &[], &Default::default());
    let text = root.to_str().unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let replies = runtime.block_on(async {
        let local = Local::default();
        let driver = Driver::start(&local).await.unwrap();
        facts::open(
            &driver,
            &Command::OpenToWrite { root: text.clone(), wait_secs: 0, holder: "{}".to_owned() },
            &text,
            |_| {},
        )
        .await
        .unwrap();
        let from = repo.path().to_owned();
        upload(
            &driver,
            &text,
            Upload {
                files: 3,
                pack: move |out: &mut dyn std::io::Write| {
                    pack(&[unit], &|path| Some(Source::File(from.join(path.as_str()))), out)
                },
            },
            &[],
        )
        .await
        .unwrap();
        meanwhile(&root);
        let swap = driver.call(&Command::Swap("blog".to_owned())).await.unwrap();
        let restore = driver.call(&Command::Restore("blog".to_owned())).await.unwrap();
        driver.end().await;
        (swap, restore)
    });
    (host, replies.0, replies.1)
}

fn content(host: &tempfile::TempDir, path: &str) -> String {
    fs::read_to_string(host.path().join("root").join(path)).unwrap()
}

#[test]
fn a_swap_is_undone() {
    let (host, swap, restore) = swap_and_restore(|_| {}, |_| {});
    assert!(swap.is_ok() && restore.is_ok(), "{swap:?} {restore:?}");
    assert_eq!((content(&host, "blog/a"), content(&host, "blog/x")), ("old".to_owned(), "old".to_owned()));
}

#[test]
fn a_swap_that_replaced_nothing_yet_is_undone_too() {
    let (host, swap, restore) =
        swap_and_restore(|_| {}, |root| fs::write(root.join("blog/x"), "by hand").unwrap());
    assert!(!swap.is_ok());
    assert!(restore.is_ok(), "{restore:?}");
    assert_eq!(
        (content(&host, "blog/a"), content(&host, "blog/x")),
        ("old".to_owned(), "by hand".to_owned())
    );
}

#[test]
fn an_edit_meanwhile_is_noticed_even_if_the_old_content_is_kept_already() {
    let kept = |root: &Path| {
        fs::write(root.join(".ghdeploy/objects").join(Digest::of(b"old").as_str()), "old").unwrap();
    };
    let (host, swap, _) = swap_and_restore(kept, |root| fs::write(root.join("blog/x"), "by hand").unwrap());
    assert!(!swap.is_ok(), "the edit was overwritten and is kept nowhere");
    assert_eq!(content(&host, "blog/x"), "by hand");
}
