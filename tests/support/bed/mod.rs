//! The test bed of a sync: a repository, and a host behind a real sshd with a real Docker Engine.
//!
//! [`Bed::call`] runs the program between the two; `observe` shows what that did to files and containers.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod call;
pub(crate) mod observe;
pub(crate) mod sshd;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, Once, PoisonError};

use tempfile::TempDir;

use self::call::Call;
use self::sshd::{Sshd, is_root};
use crate::support::program::Output;
use crate::support::repo::Repo;

/// The host's PATH, besides `docker`. If ghdeploy needs any other tool, that is a bug.
const TOOLS: [&str; 27] = [
    "sh",
    "dd",
    "od",
    "tar",
    "gzip",
    "sha256sum",
    "flock",
    "stat",
    "xargs",
    "find",
    "awk",
    "sed",
    "tr",
    "readlink",
    "mkdir",
    "rm",
    "rmdir",
    "mv",
    "cp",
    "ln",
    "cat",
    "chmod",
    "sleep",
    "grep",
    "id",
    "dirname",
    "df",
];

/// A repository and a host. Dropping it removes its containers, networks, volumes and images.
pub(crate) struct Bed {
    /// Prefix of the names of its Compose projects.
    pub(crate) id: String,
    pub(crate) sshd: Sshd,
    repo: Repo,
    dir: TempDir,
    /// Unmanaged paths below the root that no run may touch.
    guarded: RefCell<BTreeSet<String>>,
    _turn: Turn,
}

impl Bed {
    /// A bed for the test of this name, with a repository that has no project yet.
    pub(crate) fn new(test: &str) -> Self {
        static IMAGES: Once = Once::new();
        IMAGES.call_once(|| {
            drop(ran(&mut Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images.sh"))));
        });
        let turn = Turn::take();
        let dir = tempfile::Builder::new().prefix("ghdt-").tempdir_in("/tmp").unwrap();
        chmod(dir.path(), 0o755);
        for name in ["bin", "home", "tmp"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        chmod(dir.path().join("home"), 0o1777);
        for tool in TOOLS {
            symlink(which(tool), dir.path().join("bin").join(tool)).unwrap();
        }
        let sshd = Sshd::start(&dir.path().join("ssh"), &dir.path().join("bin"), &dir.path().join("home"));
        let bed = Self {
            id: format!("ghdt-{test}-{}", std::process::id()),
            sshd,
            repo: Repo::at(dir.path().join("repo")),
            dir,
            guarded: RefCell::default(),
            _turn: turn,
        };
        std::fs::write(bed.path("docker.log"), "").unwrap();
        chmod(bed.path("docker.log"), 0o666);
        bed.docker_is("");
        bed.write("ghdeploy.yml", "health: {stable_for: 1s, timeout: 90s}\n");
        bed
    }

    /// A path beside the repository and the root.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A path in the repository.
    pub(crate) fn repo(&self, path: &str) -> PathBuf {
        self.path("repo").join(path)
    }

    /// A path below the root.
    pub(crate) fn root(&self, path: &str) -> PathBuf {
        self.path("root").join(path)
    }

    /// Puts a program in the host's PATH, given as a script of `sh`.
    pub(crate) fn tool_is(&self, tool: &str, script: &str) {
        let new = self.path("tool.new");
        std::fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
        chmod(&new, 0o755);
        // In one step, because the host may be calling it.
        std::fs::rename(new, self.path("bin").join(tool)).unwrap();
    }

    /// Runs this before each call of one of the host's tools. `$real` is the tool itself, `$*` are its arguments.
    pub(crate) fn before_tool(&self, tool: &str, script: &str) {
        self.tool_is(tool, &format!("real={}\n{script}\nexec \"$real\" \"$@\"", which(tool).display()));
    }

    /// Gives the host a tool back as it was.
    pub(crate) fn restore_tool(&self, tool: &str) {
        self.before_tool(tool, "");
    }

    /// Runs this before each call of the host's `docker`, which is noted in [`Bed::docker_calls`].
    pub(crate) fn docker_is(&self, script: &str) {
        let log = self.path("docker.log");
        self.before_tool("docker", &format!("echo \"$*\" >>{}\n{script}", log.display()));
    }

    /// Removes `docker` from the host's PATH.
    pub(crate) fn remove_docker(&self) {
        std::fs::remove_file(self.path("bin/docker")).unwrap();
    }

    /// Calls of the host's `docker` so far, each as its arguments.
    pub(crate) fn docker_calls(&self) -> Vec<String> {
        std::fs::read_to_string(self.path("docker.log")).unwrap().lines().map(str::to_owned).collect()
    }

    /// Writes a file of the repository.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        self.repo.write(path, content);
        self
    }

    /// Writes a project's compose file. `&s`, in every one, is a service that sleeps and has no network,
    /// `&n` one that may have. The host gets an unmanaged `.env` and a data directory of another owner there, which nothing may touch.
    pub(crate) fn compose(&self, project: &str, text: &str) -> &Self {
        let sleeps = "x-n: &n {image: 'ghdeploy-test/busybox:1', command: sleep 100000, stop_signal: SIGKILL}\nx-s: &s {<<: *n, network_mode: none}";
        self.write(
            &format!("services/{project}/compose.yml"),
            format!("name: {}-{project}\n{sleeps}\n{}\n", self.id, text.trim()),
        );
        if !self.root(project).exists() {
            self.guard(&format!("{project}/.env"), "SECRET=only-the-host-knows\n");
            self.guard(&format!("{project}/data/rows.db"), "precious");
            let data = self.root(&format!("{project}/data"));
            chmod(&data, 0o700);
            ran(privileged(["chown", "-R", "12345:12345"]).arg(&data));
            self.guarded.borrow_mut().insert(format!("{project}/data"));
        }
        self
    }

    /// Puts an unmanaged file on the host that must stay as it is from now on.
    pub(crate) fn guard(&self, path: &str, content: &str) {
        let full = self.root(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::fs::write(full, content).unwrap();
        self.guarded.borrow_mut().insert(path.to_owned());
    }

    /// Lets an unmanaged path be touched from now on.
    pub(crate) fn guarded_no_more(&self, path: &str) {
        assert!(self.guarded.borrow_mut().remove(path), "{path} was not guarded");
    }

    /// Lets all unmanaged paths be touched from now on.
    pub(crate) fn guarded_no_more_at_all(&self) {
        self.guarded.borrow_mut().clear();
    }

    /// Removes an unmanaged path.
    pub(crate) fn unguard(&self, path: &str) {
        self.guarded_no_more(path);
        ran(privileged(["rm", "-rf"]).arg(self.root(path)));
    }

    /// Owner, mode, times, inode and content of all that must stay as it is.
    fn unmanaged(&self) -> String {
        let guarded = self.guarded.borrow();
        if guarded.is_empty() {
            return String::new();
        }
        let script = r#"cd "$1" && shift && find "$@" -printf '%p %y %m %U:%G %s %T@ %i %l\n' && find "$@" -type f -exec sha256sum {} +"#;
        ran(privileged(["sh", "-c", script, "sh"]).arg(self.root("")).args(&*guarded))
    }

    /// Runs `git` in the repository.
    #[track_caller]
    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.repo.git(args)
    }

    /// Runs `git` in the repository at another date.
    #[track_caller]
    pub(crate) fn git_at(&self, date: &str, args: &[&str]) -> String {
        self.repo.git_at(date, args)
    }

    /// Commits the repository as it is, and returns the commit's id.
    #[track_caller]
    pub(crate) fn commit(&self) -> String {
        self.repo.commit()
    }

    /// A call of `ghdeploy` with these arguments, to this host.
    pub(crate) fn call<const N: usize>(&self, args: [&str; N]) -> Call<'_> {
        Call::new(self, &args)
    }

    /// Commits and runs `ghdeploy sync` with these options.
    pub(crate) fn sync<const N: usize>(&self, options: [&str; N]) -> Output {
        self.commit();
        self.call(["sync"]).args(options).run()
    }

    /// Runs something and makes sure that it leaves the unmanaged files alone.
    pub(crate) fn guarding<T>(&self, run: impl FnOnce() -> T) -> T {
        let before = self.unmanaged();
        let result = run();
        assert_eq!(self.unmanaged(), before, "unmanaged files were touched");
        result
    }

    /// Waits until the host has cleared up: nobody else waits for that.
    pub(crate) fn settle(&self) {
        ran(Command::new("flock").arg("-w").arg("20").arg(self.root(".ghdeploy/lock")).arg("true"));
    }

    /// The content of a file below the root.
    pub(crate) fn on_host(&self, path: &str) -> String {
        std::fs::read_to_string(self.root(path)).unwrap_or_else(|error| panic!("{path} on the host: {error}"))
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let list = |args: &[&str]| {
            let output =
                Command::new("docker").args(args).output().map(|output| output.stdout).unwrap_or_default();
            String::from_utf8_lossy(&output).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let name = format!("name={}-", self.id);
        let images = format!("reference={}-*", self.id);
        for (listed, removed) in [
            (&["ps", "-aq", "--filter", &name][..], &["rm", "-fv"][..]),
            (&["network", "ls", "-q", "--filter", &name], &["network", "rm"]),
            (&["volume", "ls", "-q", "--filter", &name], &["volume", "rm", "-f"]),
            (&["image", "ls", "-q", "--filter", &images], &["image", "rm", "-f"]),
        ] {
            let ids = list(listed);
            if !ids.is_empty() {
                let _ = Command::new("docker").args(removed).args(ids).stdout(Stdio::null()).status();
            }
        }
        // What belongs to others cannot be removed with the directory.
        let _ = privileged(["rm", "-rf"]).arg(self.root("")).status();
    }
}

/// One of a few turns: more beds at a time only slow each other down.
struct Turn;

static TURNS: (Mutex<usize>, Condvar) = (Mutex::new(4), Condvar::new());

impl Turn {
    fn take() -> Self {
        let turns = TURNS.0.lock().unwrap_or_else(PoisonError::into_inner);
        *TURNS.1.wait_while(turns, |turns| *turns == 0).unwrap_or_else(PoisonError::into_inner) -= 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        TURNS.1.notify_one();
    }
}

/// A command that root runs.
pub(crate) fn privileged<const N: usize>(argv: [&str; N]) -> Command {
    let mut command = if is_root() { Command::new(argv[0]) } else { Command::new("sudo") };
    if !is_root() {
        command.args(["-n", argv[0]]);
    }
    command.args(&argv[1..]);
    command
}

/// What a command that must succeed writes to stdout.
pub(crate) fn ran(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Sets the permission bits of a file.
pub(crate) fn chmod(path: impl AsRef<Path>, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn which(tool: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|dir| dir.join(tool)).find(|path| Path::new(path).is_file());
    found.unwrap_or_else(|| panic!("{tool} is missing: run tests/setup.sh"))
}
