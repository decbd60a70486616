//! Hostile folders, which the program must handle in little memory and time.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::program::{self, Output};
use crate::support::repo::Repo;

/// The value of a variable.
const SECRET: &str = "hunter2";

/// A folder with one project.
struct Bed {
    repo: Repo,
}

impl Bed {
    fn new() -> Self {
        let bed = Self { repo: Repo::without_git() };
        bed.write("ghdeploy.yml", "services: services/*\n");
        bed.write(
            "services/blog/compose.yml",
            "services: {web: {image: 'a:1', env_file: [{path: web.env, required: false}]}}\n",
        );
        bed.write("services/blog/.env", format!("A={SECRET}\n"));
        bed
    }

    fn path(&self, path: &str) -> PathBuf {
        self.repo.path(path)
    }

    /// A path in the project's folder.
    fn blog(&self, path: &str) -> PathBuf {
        self.path("services/blog").join(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        self.repo.write(path, content);
    }

    /// Runs the program in 1.5 GB of address space, for a minute at most.
    fn run(&self, arguments: &[&str]) -> Output {
        let program = program::ghdeploy(self.repo.top(), self.repo.top());
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -v 1500000; exec timeout 60 \"$0\" \"$@\""]).arg(program.get_program());
        limited.args(program.get_args()).args(arguments);
        limited.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        program::run(&mut limited)
    }

    /// Asserts the exit code of `check` and part of its output.
    #[track_caller]
    fn check(&self, code: i32, wanted: &str) {
        self.run(&["check"]).exits(code).prints(wanted).never_prints(SECRET);
    }
}

/// Change of a bed before `check`.
type Change = fn(&Bed);

#[test]
fn a_compose_file_that_is_not_a_regular_file_is_refused() {
    let cases: [(Change, &str); 10] = [
        (
            |bed| instead(bed, |path| symlink("compose.yml", path).unwrap()),
            "symbolic link `services/blog/compose.yml` leads to no file",
        ),
        (
            |bed| instead(bed, |path| symlink("/etc/passwd", path).unwrap()),
            "symbolic link `services/blog/compose.yml` points to `/etc/passwd`, outside of what is deployed",
        ),
        (
            |bed| instead(bed, |path| symlink("../../../secret", path).unwrap()),
            "symbolic link `services/blog/compose.yml` points to `../../../secret`, outside of what is deployed",
        ),
        (|bed| instead(bed, |path| fs::create_dir(path).unwrap()), "no project found in services/*"),
        (
            |bed| instead(bed, make_fifo),
            "`services/blog/compose.yml` is a named pipe, which cannot be deployed",
        ),
        (
            |bed| instead(bed, make_socket),
            "`services/blog/compose.yml` is a socket, which cannot be deployed",
        ),
        (
            |bed| make_fifo(&bed.blog("pipe")),
            "`services/blog/pipe` is a named pipe, which cannot be deployed",
        ),
        (
            |bed| make_socket(&bed.blog("socket")),
            "`services/blog/socket` is a socket, which cannot be deployed",
        ),
        (
            |bed| make_fifo(&bed.blog("web.env")),
            "`services/blog/web.env` is a named pipe, which cannot be deployed",
        ),
        (
            |bed| fs::write(bed.blog("").join(OsStr::from_bytes(b"\xff\xfe")), "").unwrap(),
            "the name `services/blog/\\xff\\xfe` is not UTF-8",
        ),
    ];
    for (change, wanted) in cases {
        let bed = Bed::new();
        change(&bed);
        bed.check(2, wanted);
    }
}

/// Replaces the compose file by something else.
fn instead(bed: &Bed, make: impl Fn(&Path)) {
    let path = bed.blog("compose.yml");
    fs::remove_file(&path).unwrap();
    make(&path);
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn make_socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
}

#[test]
fn circular_links_lead_nowhere() {
    let bed = Bed::new();
    for (link, to) in [("up", ".."), ("one", "two"), ("two", "one"), ("self", "self")] {
        symlink(to, bed.blog(link)).unwrap();
    }
    let volumes = "['./up/blog/up:/a', './one/x:/b', './self:/c']";
    let compose = format!("services: {{web: {{image: 'a:1', volumes: {volumes}, env_file: one}}}}\n");
    bed.write("services/blog/compose.yml", compose);
    bed.check(0, "service `web` takes its variables from services/blog/one, which is not in the repository");
}

#[test]
fn files_that_are_too_large_are_reported() {
    for path in ["compose.yml", ".env", "web.env"] {
        let bed = Bed::new();
        File::create(bed.blog(path)).unwrap().set_len(20 << 20).unwrap();
        bed.check(2, &format!("`services/blog/{path}` is larger than 4 MiB"));
    }
}

#[test]
fn names_that_a_shell_would_run_are_not_run() {
    let bed = Bed::new();
    for name in ["a\nb", "it's \"quoted\"", "$(touch owned)", "-rf", "a;b&c|d"] {
        fs::write(bed.blog(name), "").unwrap();
        let project = format!("services/{name} p");
        fs::create_dir(bed.path(&project)).unwrap();
        bed.write(&format!("{project}/compose.yml"), "services: {a: {image: 'a:1'}}");
    }
    bed.check(0, "6 projects, 6 services: no problems");
    assert!(!bed.path("owned").exists() && !Path::new("owned").exists());
}

#[test]
fn a_configuration_that_is_no_file_of_the_repository_is_refused() {
    let cases: [(Change, &str); 5] = [
        (
            |bed| symlink("/etc/passwd", bed.path("ghdeploy.yml")).unwrap(),
            "ghdeploy.yml is a link that leads out of the repository",
        ),
        (
            |bed| symlink("/dev/zero", bed.path("ghdeploy.yml")).unwrap(),
            "ghdeploy.yml is a link that leads out of the repository",
        ),
        (
            |bed| assert!(Command::new("mkfifo").arg(bed.path("ghdeploy.yml")).status().unwrap().success()),
            "ghdeploy.yml cannot be read: it is a named pipe, not a file",
        ),
        (
            |bed| drop(UnixListener::bind(bed.path("ghdeploy.yml")).unwrap()),
            "ghdeploy.yml cannot be read: it is a socket, not a file",
        ),
        (
            |bed| File::create(bed.path("ghdeploy.yml")).unwrap().set_len(5 << 30).unwrap(),
            "the file is larger than 64 KiB: it has 5120 MiB",
        ),
    ];
    for (change, wanted) in cases {
        let bed = Bed::new();
        fs::remove_file(bed.path("ghdeploy.yml")).unwrap();
        change(&bed);
        bed.run(&["check"]).exits(2).prints(wanted).never_prints("root:");
    }
    let bed = Bed::new();
    fs::rename(bed.path("ghdeploy.yml"), bed.path("services/real.yml")).unwrap();
    symlink("services/real.yml", bed.path("ghdeploy.yml")).unwrap();
    bed.check(0, "no problems");
}

#[test]
fn an_ignore_file_that_is_large_or_no_file_does_not_decide() {
    let bed = Bed::new();
    File::create(bed.blog(".gitignore")).unwrap().set_len(5 << 30).unwrap();
    bed.check(2, "`services/blog/.gitignore` is larger than 1 MiB");
    fs::remove_file(bed.blog(".gitignore")).unwrap();
    assert!(Command::new("mkfifo").arg(bed.blog(".gitignore")).status().unwrap().success());
    symlink("/dev/zero", bed.blog(".dockerignore")).unwrap();
    bed.run(&["check"]).prints("`services/blog/.gitignore` is a named pipe, which cannot be deployed");
}

#[test]
fn long_lines_are_shown_in_linear_time() {
    for part in ["A= ", "A=$B ", "x", "://hook"] {
        let bed = Bed::new();
        let long = part.repeat(60_000 / part.len());
        bed.write("ghdeploy.yml", format!("services: services\nunknown: \"{long}\"\n"));
        bed.check(2, "unknown key `unknown`");
        bed.write("ghdeploy.yml", "services: services\n");
        bed.write("services/blog/compose.yml", format!("services:\n  web:\n    image: a:1\n    {long}: 1\n"));
        bed.run(&["check"]).never_prints(SECRET);
    }
}

#[test]
fn the_address_of_a_webhook_in_the_configuration_is_not_shown() {
    let bed = Bed::new();
    for text in [
        format!("services: services\nnotify:\n  slack: https://hooks.slack.com/services/T0/B0/{SECRET}\n"),
        format!("services: services\nnotify: {{slack: 'https://example.com/{SECRET}', x: {SECRET}}}\n"),
        format!("services: services\nnotify: {{webhook: [{SECRET}]}}\n"),
        format!("services: services\nnotfy: {{webhook: 'https://example.com/hooks/{SECRET}'}}\n"),
        format!("services: services\nhosts: {{web: {{ssh: 'ssh://me:{SECRET}@h/x', rot: a}}}}\n"),
        format!("services: services\nhosts: {{web: 'me:{SECRET}@h'}}\n"),
    ] {
        bed.write("ghdeploy.yml", &text);
        bed.run(&["check"]).exits(2).prints("ghdeploy.yml").never_prints(SECRET);
    }
}

#[test]
fn an_exploding_configuration_is_refused() {
    let list = |i: usize| format!("x{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","));
    let bomb: String = (1..12).map(list).collect();
    let bed = Bed::new();
    for (text, wanted) in [
        (format!("x0: &a0 [x]\n{bomb}services: *a11\n"), "unknown key `x0`"),
        (format!("services: {}\n", "[".repeat(20_000)), "services[0]: invalid type: list, expected a text"),
        (format!("services: [{}]\n", "a*,".repeat(2_000)), "no project found in a*, a*"),
        ("#".repeat(10 << 20), "the file is larger than 64 KiB"),
        ("services: \0".to_owned(), "control characters are not allowed"),
        ("services: \t[".to_owned(), "ghdeploy.yml"),
    ] {
        bed.write("ghdeploy.yml", text);
        bed.check(2, wanted);
    }
    bed.write("ghdeploy.yml", b"services: \xff");
    bed.check(2, "UTF-8");
}

#[test]
fn a_plan_of_hostile_revisions_ends() {
    let bed = Bed::new();
    bed.repo.git(&["init", "-q"]);
    bed.repo.commit();
    for (content, wanted) in [
        ("[".repeat(100_000), "invalid YAML: recursion limit exceeded\n    --> services/blog/compose.yml:1:"),
        ("#".repeat(10 << 20), "`services/blog/compose.yml` is larger than 4 MiB"),
        (
            "a: &a [*a]".to_owned(),
            "the alias refers to an anchor that contains it\n    --> services/blog/compose.yml:1:8",
        ),
    ] {
        bed.write("services/blog/compose.yml", content);
        bed.repo.commit();
        bed.run(&["plan", "--base", "HEAD~1", "--head", "HEAD"]).exits(2).prints(wanted).never_prints(SECRET);
    }
    bed.run(&["plan", "--base", "HEAD", "--head", "HEAD~3"])
        .exits(0)
        .prints("1 project changes")
        .never_prints(SECRET);
}
