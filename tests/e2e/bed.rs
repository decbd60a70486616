//! The test bed: a repository, a "host" behind a real sshd, and what there is to see on both.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, Once, PoisonError};

use tempfile::TempDir;

use crate::call::{Call, Ran};
use crate::sshd::{Sshd, is_root};

/// All that the host has in its PATH, besides docker. What ghdeploy needs beyond is a bug.
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

/// A repository and a host. When it is dropped, all that it has brought to Docker goes.
pub(crate) struct Bed {
    /// What the names of its Compose projects begin with.
    pub(crate) id: String,
    pub(crate) sshd: Sshd,
    dir: TempDir,
    /// Unmanaged paths below the root that must stay as they are, whatever is done.
    guarded: RefCell<BTreeSet<String>>,
    _turn: Turn,
}

impl Bed {
    /// A bed for the test of this name, with an empty repository.
    pub(crate) fn new(test: &str) -> Self {
        static IMAGES: Once = Once::new();
        IMAGES.call_once(|| {
            drop(ran(&mut Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images.sh"))));
        });
        let turn = Turn::take();
        let dir = tempfile::Builder::new().prefix("ghdt-").tempdir_in("/tmp").unwrap();
        chmod(dir.path(), 0o755);
        for name in ["bin", "home", "repo", "tmp"] {
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
            dir,
            guarded: RefCell::default(),
            _turn: turn,
        };
        std::fs::write(bed.path("docker.log"), "").unwrap();
        chmod(bed.path("docker.log"), 0o666);
        bed.docker_is(&format!(
            "echo \"$*\" >>{}\nexec {} \"$@\"",
            bed.path("docker.log").display(),
            which("docker").display()
        ));
        bed.git(&["init", "-q", "-b", "main"]);
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

    /// What the host's `docker` does, as a script of `sh`.
    pub(crate) fn docker_is(&self, script: &str) {
        let new = self.path("docker.new");
        std::fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
        chmod(&new, 0o755);
        std::fs::rename(new, self.path("bin/docker")).unwrap();
    }

    /// Takes docker out of the host's PATH, until what is returned is given to `put_docker_back`.
    pub(crate) fn take_docker_away(&self) {
        std::fs::rename(self.path("bin/docker"), self.path("docker.away")).unwrap();
    }

    pub(crate) fn put_docker_back(&self) {
        std::fs::rename(self.path("docker.away"), self.path("bin/docker")).unwrap();
    }

    /// The commands that the host's `docker` was called with so far.
    pub(crate) fn docker_calls(&self) -> Vec<String> {
        std::fs::read_to_string(self.path("docker.log")).unwrap().lines().map(str::to_owned).collect()
    }

    /// Writes a file of the repository.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let full = self.repo(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::fs::write(full, content).unwrap();
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
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let identity =
            ["-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false"];
        ran(Command::new("git")
            .args(identity)
            .arg("-C")
            .arg(self.path("repo"))
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null"))
    }

    /// Runs `git` in the repository as if it were another time.
    pub(crate) fn git_at(&self, date: &str, args: &[&str]) -> String {
        let identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"];
        ran(Command::new("git")
            .args(identity)
            .arg("-C")
            .arg(self.path("repo"))
            .args(args)
            .env("GIT_COMMITTER_DATE", date)
            .env("GIT_CONFIG_GLOBAL", "/dev/null"))
    }

    /// Commits the repository as it is.
    pub(crate) fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "a change"]);
    }

    /// A call of `ghdeploy` with these arguments, to this host.
    pub(crate) fn call<const N: usize>(&self, args: [&str; N]) -> Call<'_> {
        Call::new(self, &args)
    }

    /// Commits and runs `ghdeploy sync` with these options.
    pub(crate) fn sync<const N: usize>(&self, options: [&str; N]) -> Ran {
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
