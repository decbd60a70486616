//! Names that break careless code, and files that change their kind.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::bed::{Bed, chmod};

/// Names that trip up shells, `xargs`, `printf`, `sed`, `awk`, `tar` and `sha256sum`.
fn hostile() -> Vec<String> {
    let mut names: Vec<String> = [
        "with blanks  and two",
        " leading blank",
        "trailing blank ",
        "it's",
        "\"quoted\"",
        "$(touch x)",
        "`touch x`",
        "${HOME}",
        "; touch x",
        "a&b|c>d<e",
        "-n",
        "--help",
        "*",
        "?",
        "[a]",
        "{a,b}",
        "~",
        "#comment",
        "!bang",
        "%s%n%b",
        "back\\slash",
        "\\n",
        "\\0101",
        "new\nline",
        "\nleading newline",
        "trailing newline\n",
        "tab\tbed",
        "\u{1b}[31mred",
        "carriage\rreturn",
        "ünïcödé",
        "日本語",
        "e\u{301}",
        "\u{202e}rtl",
        "🦀",
        "f 644 1 -",
        "end",
        "a: OK",
        "a: FAILED",
        "...",
        ".hidden",
        "..x",
        "\u{1}",
        "\u{7f}",
        "a=b",
        "x\\",
        "\\",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(255));
    names.push("ü".repeat(127));
    names
}

/// All files below a folder, with their content.
fn tree(dir: &std::path::Path) -> Vec<(String, String)> {
    let files = walkdir::WalkDir::new(dir)
        .sort_by_file_name()
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file());
    files
        .map(|entry| {
            (
                entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned(),
                std::fs::read_to_string(entry.path()).unwrap(),
            )
        })
        .collect()
}

#[test]
fn files_with_hostile_names_are_deployed_and_removed() {
    let bed = Bed::new("names");
    bed.log_docker();
    let write = |content: &str| {
        for name in hostile() {
            bed.write(&format!("services/app/conf/{name}"), content);
            if name.len() < 200 {
                bed.write(&format!("services/app/conf/{name}.d/{name}"), content);
            }
        }
        bed.write(&format!("services/app/conf/{}end", "a long way down/".repeat(40)), content);
    };
    let same = || assert_eq!(tree(&bed.root("app/conf")), tree(&bed.repo("services/app/conf")));
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./conf:/conf:ro']}");
    write("one");
    bed.sync([]).exits(0);
    same();
    let calls = bed.docker_calls();
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
    assert_eq!(bed.docker_calls(), calls);
    write("two");
    let change = bed.deploy();
    assert_eq!(change.fates, ["app/web restarted"]);
    assert_eq!(change.files.len(), tree(&bed.repo("services/app/conf")).len());
    same();
    // Drift is found under any name.
    std::fs::write(bed.root("app/conf/new\nline"), "drift").unwrap();
    std::fs::remove_file(bed.root("app/conf/back\\slash")).unwrap();
    let drift = bed.call(["sync", "--dry-run", "--format", "json"]).run().exits(0).json();
    assert_eq!(
        crate::bed::observe::files(&drift),
        ["drift services/app/conf/back\\slash", "drift services/app/conf/new\nline"]
    );
    bed.sync([]).exits(0);
    same();
    std::fs::remove_dir_all(bed.repo("services/app/conf")).unwrap();
    bed.write("services/app/conf/only", "x");
    bed.deploy();
    same();
    assert_eq!(std::fs::read_dir(bed.root("app/conf")).unwrap().count(), 1, "directories were left behind");
    for stray in [bed.root("x"), bed.root("app/x"), bed.path("home/x"), bed.repo("x")] {
        assert!(!stray.exists(), "{}", stray.display());
    }
}

#[test]
fn a_root_and_projects_may_have_spaces_and_quotes_in_their_names() {
    let bed = Bed::new("blanks");
    bed.write("services/my app's/compose.yml", format!("name: {}-app\nservices: {{web: {{image: 'ghdeploy-test/busybox:1', command: sleep 100000, stop_signal: SIGKILL, network_mode: none, volumes: ['./a b.conf:/conf:ro']}}}}\n", bed.id));
    bed.write("services/my app's/a b.conf", "one");
    bed.commit();
    let local = format!("local:{}", bed.path("my \"root\" $(x)").display());
    bed.call(["sync"]).host(&local).run().exits(0);
    bed.write("services/my app's/a b.conf", "two");
    bed.commit();
    bed.call(["sync"]).host(&local).run().exits(0);
    assert_eq!(bed.inside("app/web", &["cat", "/conf"]), "two");
    bed.call(["sync"]).host(&local).run().exits(0).prints("nothing to do");
}

#[test]
fn links_files_and_directories_turn_into_each_other() {
    let bed = Bed::new("kinds");
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./conf:/conf:ro']}");
    let repo = |path: &str| bed.repo(&format!("services/app/conf/{path}"));
    bed.write("services/app/conf/real", "real").write("services/app/conf/thing", "file");
    symlink("real", repo("link")).unwrap();
    symlink("nowhere at all", repo("dangling")).unwrap();
    bed.sync([]).exits(0);
    let link =
        |path: &str| std::fs::read_link(bed.root(&format!("app/conf/{path}"))).unwrap().display().to_string();
    assert_eq!((link("link"), link("dangling")), ("real".to_owned(), "nowhere at all".to_owned()));

    std::fs::remove_file(repo("link")).unwrap();
    std::fs::write(repo("link"), "a file now").unwrap();
    std::fs::remove_file(repo("thing")).unwrap();
    std::fs::create_dir(repo("thing")).unwrap();
    std::fs::write(repo("thing/inside"), "dir now").unwrap();
    std::fs::remove_file(repo("dangling")).unwrap();
    symlink("real", repo("dangling")).unwrap();
    assert_eq!(bed.deploy().fates, ["app/web restarted"]);
    assert_eq!(
        (bed.on_host("app/conf/link"), bed.on_host("app/conf/thing/inside"), link("dangling")),
        ("a file now".to_owned(), "dir now".to_owned(), "real".to_owned())
    );

    std::fs::remove_file(repo("link")).unwrap();
    symlink("thing", repo("link")).unwrap();
    std::fs::remove_dir_all(repo("thing")).unwrap();
    std::fs::write(repo("thing"), "file again").unwrap();
    assert_eq!(bed.deploy().fates, ["app/web restarted"]);
    assert_eq!((link("link"), bed.on_host("app/conf/thing")), ("thing".to_owned(), "file again".to_owned()));
    assert_eq!(bed.inside("app/web", &["cat", "/conf/link"]), "file again");
}

#[test]
fn the_executable_bit_is_synced_and_restarts_its_reader() {
    let bed = Bed::new("mode");
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./run.sh:/run.sh:ro']}\n  worker: {<<: *s}");
    bed.write("services/app/run.sh", "#!/bin/sh\necho ran\n");
    bed.sync([]).exits(0);
    let mode = || bed.root("app/run.sh").metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o644);
    chmod(bed.repo("services/app/run.sh"), 0o755);
    let change = bed.deploy();
    assert_eq!(change.files, ["mode services/app/run.sh"]);
    assert_eq!(mode(), 0o755);
    assert!(!change.fates.iter().any(|fate| fate.contains("worker")), "{change:?}");
    assert_eq!(bed.inside("app/web", &["/run.sh"]), "ran\n");
    chmod(bed.repo("services/app/run.sh"), 0o644);
    bed.deploy();
    assert_eq!(mode(), 0o644);
}
