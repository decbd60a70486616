//! Realistic working directories.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::base::manifest::Digest;
use crate::tree::repo::Repo;

fn open(dir: &Path, ignore: &[&str], include: &[&str]) -> Result<DiskTree> {
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    let rules = FileRules { ignore: owned(ignore), include: owned(include) };
    DiskTree::open(dir, &Layout::default(), &rules)
}

fn paths(tree: &DiskTree) -> Vec<&str> {
    tree.nodes().keys().map(RootPath::as_str).collect()
}

fn mode(tree: &DiskTree, path: &str) -> u16 {
    tree.nodes()[&RootPath::new(path).unwrap()].mode()
}

#[test]
fn a_folder_outside_of_git_is_taken_as_it_is() {
    let repo = Repo::without_git();
    repo.write("services/blog/compose.yml", "services: {}\n");
    repo.write("services/blog/.gitignore", "*.log\n");
    repo.write("services/blog/x.log", "x");
    repo.write("services/blog/sub/.git/config", "x");
    repo.write("README.md", "x");
    fs::create_dir(repo.path("services/empty")).unwrap();
    let tree = open(repo.top(), &[], &[]).unwrap();
    assert_eq!(paths(&tree), ["blog/.gitignore", "blog/compose.yml"]);
    assert_eq!(tree.commit(), None);
    let path = RootPath::new("blog/compose.yml").unwrap();
    assert_eq!(tree.source(&path), Some(repo.path("services/blog/compose.yml")));
    let manifest = tree.manifest(&mut [&path].into_iter()).unwrap();
    assert_eq!(manifest.get(&path).unwrap().digest, Digest::of(b"services: {}\n"));
    let missing = RootPath::new("blog/missing").unwrap();
    assert!(tree.manifest(&mut [&missing].into_iter()).is_err());
}

#[test]
fn a_missing_folder_is_an_error_not_an_empty_tree() {
    let repo = Repo::without_git();
    let err = open(repo.top(), &[], &[]).unwrap_err();
    assert!(err.to_string().starts_with("there is no folder `services` in "), "{err}");
    repo.write("services", "x");
    let err = open(repo.top(), &[], &[]).unwrap_err();
    assert_eq!(err.to_string(), "`services`, which `services` names, is not a folder");
}

#[test]
fn tracked_files_are_wanted_whatever_gitignore_says() {
    let repo = Repo::new();
    repo.write(".gitignore", "*.env\nbuild/\n");
    for name in ["kept.env", "local.env", "build/kept", "build/sub/kept", "build/other/x", "plain"] {
        repo.write(format!("services/blog/{name}"), "x");
    }
    repo.git(&["add", "-f", "services/blog/kept.env", "services/blog/build/kept", "services/blog/build/sub"]);
    repo.write("services/blog/build/sub/local", "x");
    let tree = open(repo.top(), &[], &[]).unwrap();
    assert_eq!(paths(&tree), ["blog/build/kept", "blog/build/sub/kept", "blog/kept.env", "blog/plain"]);
    assert_eq!(tree.commit(), None, "nothing is committed yet");
    let tree = open(repo.top(), &["kept*"], &[]).unwrap();
    assert_eq!(paths(&tree), ["blog/plain"], "our own rules beat tracked files");
}

#[test]
fn include_brings_files_in_from_ignored_folders_and_keeps_them_private() {
    let repo = Repo::new();
    repo.write(".gitignore", ".env*\nnode_modules\nsecrets/\n");
    for name in [
        ".env",
        ".env.production",
        "node_modules/a/.env.production",
        "secrets/key",
        "secrets/run",
        "compose.yml",
    ] {
        repo.write(format!("services/blog/{name}"), "x");
    }
    repo.chmod("services/blog/.env.production", 0o600);
    repo.chmod("services/blog/secrets/key", 0o640);
    repo.chmod("services/blog/secrets/run", 0o700);
    repo.chmod("services/blog/compose.yml", 0o600);
    let tree =
        open(repo.top(), &["/services/blog/.env*"], &["/services/*/.env.production", "secrets/"]).unwrap();
    assert_eq!(
        paths(&tree),
        ["blog/.env.production", "blog/compose.yml", "blog/secrets/key", "blog/secrets/run"]
    );
    assert_eq!(mode(&tree, "blog/.env.production"), 0o600);
    assert_eq!(mode(&tree, "blog/secrets/key"), 0o644);
    assert_eq!(mode(&tree, "blog/secrets/run"), 0o700);
    assert_eq!(mode(&tree, "blog/compose.yml"), 0o644, "what git has is no secret");
    repo.git(&["add", "-f", "services/blog/.env.production"]);
    let tree = open(repo.top(), &[], &[".env.production"]).unwrap();
    assert_eq!(mode(&tree, "blog/.env.production"), 0o644);
    assert!(paths(&tree).contains(&"blog/node_modules/a/.env.production"));
}

#[test]
fn everything_that_cannot_be_deployed_is_named_at_once() {
    let repo = Repo::without_git();
    repo.write("services/blog/compose.yml", "x");
    let _socket = UnixListener::bind(repo.path("services/blog/app.sock")).unwrap();
    let made = Command::new("mkfifo").arg(repo.path("services/blog/pipe")).status().unwrap();
    assert!(made.success());
    fs::write(repo.path("services/blog").join(OsStr::from_bytes(b"bad\xff\n")), "x").unwrap();
    fs::create_dir(repo.path("services").join(OsStr::from_bytes(b"dir\xfe"))).unwrap();
    symlink("/var/run/docker.sock", repo.path("services/blog/docker.sock")).unwrap();
    symlink("../../secret", repo.path("services/blog/out")).unwrap();
    symlink("../blog/compose.yml", repo.path("services/blog/in")).unwrap();
    let err = open(repo.top(), &[], &[]).unwrap_err();
    let messages: Vec<_> = err.diagnostics.iter().map(|refused| refused.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "`services/blog/app.sock` is a socket, which cannot be deployed",
            "`services/blog/pipe` is a named pipe, which cannot be deployed",
            "symbolic link `services/blog/docker.sock` points to `/var/run/docker.sock`, outside of what is deployed",
            "symbolic link `services/blog/out` points to `../../secret`, outside of what is deployed",
            "the name `services/blog/bad\\xff\\n` is not UTF-8",
            "the name `services/dir\\xfe` is not UTF-8",
        ]
    );
    assert!(err.diagnostics.iter().all(|refused| refused.help.is_some()));
    let ignore = ["*.sock", "pipe", "out", "bad*", "dir*"];
    assert_eq!(paths(&open(repo.top(), &ignore, &[]).unwrap()), ["blog/compose.yml", "blog/in"]);
}

#[test]
fn a_repository_of_another_user_is_not_read_as_if_git_were_absent() {
    let repo = Repo::new();
    repo.write("services/blog/compose.yml", "x");
    // Only root can give a folder away; for others it stays their own, which git trusts.
    let given = std::os::unix::fs::chown(repo.path(".git"), Some(12345), None)
        .and_then(|()| std::os::unix::fs::chown(repo.top(), Some(12345), None));
    let git = Command::new("git").current_dir(repo.top()).args(["rev-parse", "--git-dir"]).output().unwrap();
    if given.is_err() || git.status.success() {
        assert_eq!(paths(&open(repo.top(), &[], &[]).unwrap()), ["blog/compose.yml"]);
        return;
    }
    let err = open(repo.top(), &[], &[]).unwrap_err();
    assert!(err.to_string().contains("belongs to another user"), "{err}");
    assert!(
        err.diagnostics[0].help.as_ref().unwrap().starts_with("git config --global --add safe.directory")
    );
}

/// What git itself would take: tracked files, and untracked ones that nothing ignores.
fn by_git(repo: &Repo) -> BTreeSet<String> {
    let listed = repo.git(&[
        "ls-files",
        "-z",
        "-c",
        "-o",
        "--exclude-per-directory=.gitignore",
        "--exclude-from=.git/info/exclude",
        "services",
    ]);
    let names = listed.split_terminator('\0');
    names.map(|name| name["services/".len()..].to_owned()).collect()
}

const NAMES: [&str; 8] = ["a", "b", "a.md", "b.log", "foo", ".env", "a{b}", "a b"];
const LINES: [&str; 46] = [
    "*",
    "!*",
    "a",
    "!a",
    "/a",
    "a/",
    "!a/",
    "*.md",
    "!a.md",
    "*.log",
    "foo/*",
    "!foo/a",
    "foo/**",
    "**/b",
    "a/**/b",
    "services/a",
    "/services/b/",
    "services/*/foo",
    "!services/**/a.md",
    "[ab]",
    "[!a]*",
    "\\!x",
    "# x",
    "a{b}",
    "{a,b}",
    "a b",
    "b.log  ",
    "?",
    "*/",
    "!*/",
    "/*",
    "/",
    "**a",
    "a**",
    "[a",
    "[]a]",
    "[^a]",
    "a\\ b",
    "\\a",
    " a",
    "foo/**/",
    "services",
    "services/**",
    "!services/foo/",
    ".*",
    "**",
];

fn lines() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&LINES[..]), 0..4).prop_map(|lines| lines.join("\n") + "\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_tree_is_what_git_takes(
        files in prop::collection::btree_set(prop::collection::vec(prop::sample::select(&NAMES[..]), 1..4), 1..12),
        ignore_files in prop::collection::btree_map(prop::collection::vec(prop::sample::select(&NAMES[..5]), 0..3), lines(), 0..4),
        top in lines(),
        exclude in lines(),
        tracked in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let repo = Repo::new();
        repo.write(".gitignore", &top);
        repo.write(".git/info/exclude", &exclude);
        fs::create_dir(repo.path("services")).unwrap();
        let mut written = Vec::new();
        let ignore_files = ignore_files.into_iter().map(|(mut path, text)| { path.push(".gitignore"); (path, text) });
        for (parts, text) in files.into_iter().map(|path| (path, "x".to_owned())).chain(ignore_files) {
            let path = format!("services/{}", parts.join("/"));
            let full = repo.path(&path);
            // A name may already be a file where this one needs a folder, or the other way round.
            if fs::create_dir_all(full.parent().unwrap()).is_ok() && fs::write(&full, text).is_ok() {
                written.push(path);
            }
        }
        for index in tracked {
            if !written.is_empty() {
                repo.git(&["add", "-f", "--", index.get::<String>(&written)]);
            }
        }
        let tree = open(repo.top(), &[], &[]).unwrap();
        let ours: BTreeSet<String> = tree.nodes().keys().map(|path| path.as_str().to_owned()).collect();
        prop_assert_eq!(ours, by_git(&repo));
    }
}
