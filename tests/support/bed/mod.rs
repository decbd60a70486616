//! The test bed of a sync: a repository, and a host behind a real sshd with a real Docker Engine.
//!
//! [`Bed::call`] runs the program between the two; `observe` shows what that did to files and containers.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod call;
pub(crate) mod engine;
pub(crate) mod observe;
pub(crate) mod sshd;
pub(crate) mod tools;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex, Once, PoisonError};

use tempfile::TempDir;

use self::call::Call;
use self::sshd::{Sshd, is_root};
use crate::support::program::Output;
use crate::support::repo::Repo;

/// Running services are healthy immediately. A test about health writes another configuration.
pub(crate) const HEALTH: &str = "health: {stable_for: 0s, timeout: 90s}\n";

/// A repository and a host. Dropping it removes its containers, networks, volumes and images.
pub(crate) struct Bed {
    /// Prefix of the names of its Compose projects.
    pub(crate) id: String,
    pub(crate) sshd: Sshd,
    repo: Repo,
    dir: TempDir,
    /// Unmanaged paths below the root that no run may touch.
    guarded: RefCell<BTreeSet<String>>,
    _place: Place,
}

impl Bed {
    /// A bed for the test of this name, with a repository that has no project yet.
    pub(crate) fn new(test: &str) -> Self {
        static IMAGES: Once = Once::new();
        IMAGES.call_once(|| {
            drop(stdout_of(&mut Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images.sh"))));
        });
        let place = Place::take();
        let dir = tempfile::Builder::new().prefix("ghdt-").tempdir_in("/tmp").unwrap();
        chmod(dir.path(), 0o755);
        for name in ["bin", "home", "tmp"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        chmod(dir.path().join("home"), 0o1777);
        tools::link_all(&dir.path().join("bin"));
        let sshd = Sshd::start(&dir.path().join("ssh"), &dir.path().join("bin"), &dir.path().join("home"));
        let bed = Self {
            id: format!("ghdt-{test}-{}", std::process::id()),
            sshd,
            repo: Repo::at(dir.path().join("repo")),
            dir,
            guarded: RefCell::default(),
            _place: place,
        };
        bed.restore_docker();
        bed.write("ghdeploy.yml", HEALTH);
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

    /// Writes a file of the repository.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        self.repo.write(path, content);
        self
    }

    /// Writes a project's compose file, in which `&s` is a service that sleeps and has no network, and `&n`
    /// the same with a network. On the host, the project gets a guarded `.env` and a guarded data directory
    /// of another owner.
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
            stdout_of(privileged(["chown", "-R", "12345:12345"]).arg(&data));
            self.guarded.borrow_mut().insert(format!("{project}/data"));
        }
        self
    }

    /// Puts an unmanaged file on the host. From now on no run may touch it.
    pub(crate) fn guard(&self, path: &str, content: &str) {
        let full = self.root(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::fs::write(full, content).unwrap();
        self.guarded.borrow_mut().insert(path.to_owned());
    }

    /// From now on, runs may touch this path.
    pub(crate) fn allow(&self, path: &str) {
        assert!(self.guarded.borrow_mut().remove(path), "{path} was not guarded");
    }

    /// From now on, runs may touch every path.
    pub(crate) fn allow_all(&self) {
        self.guarded.borrow_mut().clear();
    }

    /// Removes a guarded path.
    pub(crate) fn remove_guarded(&self, path: &str) {
        self.allow(path);
        stdout_of(privileged(["rm", "-rf"]).arg(self.root(path)));
    }

    /// Owner, mode, times, inode and content of every guarded path.
    fn unmanaged(&self) -> String {
        let guarded = self.guarded.borrow();
        if guarded.is_empty() {
            return String::new();
        }
        let script = r#"cd "$1" && shift && find "$@" -printf '%p %y %m %U:%G %s %T@ %i %l\n' && find "$@" -type f -exec sha256sum {} +"#;
        stdout_of(privileged(["sh", "-c", script, "sh"]).arg(self.root("")).args(&*guarded))
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

    /// Commits the repository as it is, and replaces the commit's id.
    #[track_caller]
    pub(crate) fn commit(&self) -> String {
        self.repo.commit()
    }

    /// A run of `ghdeploy` on this host.
    pub(crate) fn call<const N: usize>(&self, args: [&str; N]) -> Call<'_> {
        Call::new(self, &args)
    }

    /// Commits and runs `ghdeploy sync` with these options.
    pub(crate) fn sync<const N: usize>(&self, options: [&str; N]) -> Output {
        self.commit();
        self.call(["sync"]).args(options).run()
    }

    /// Runs something, and asserts that it leaves the guarded files alone.
    pub(crate) fn guarding<T>(&self, run: impl FnOnce() -> T) -> T {
        let before = self.unmanaged();
        let result = run();
        assert_eq!(self.unmanaged(), before, "unmanaged files were touched");
        result
    }

    /// Waits until the host has finished its clean-up, which goes on after the client has ended.
    pub(crate) fn settle(&self) {
        stdout_of(Command::new("flock").arg("-w").arg("20").arg(self.root(".ghdeploy/lock")).arg("true"));
    }

    /// Content of a file below the root.
    pub(crate) fn on_host(&self, path: &str) -> String {
        std::fs::read_to_string(self.root(path)).unwrap_or_else(|error| panic!("{path} on the host: {error}"))
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let name = format!("{}-", self.id);
        for (kind, key, filter, value) in [
            ("containers", "Id", "name", &name),
            ("networks", "Id", "name", &name),
            ("volumes", "Name", "name", &name),
            ("images", "Id", "reference", &format!("{name}*")),
        ] {
            let list = if kind == "volumes" || kind == "networks" {
                format!("/{kind}")
            } else {
                format!("/{kind}/json")
            };
            for one in engine::listed(&list, filter, value) {
                engine::remove(&format!("/{kind}/{}", one[key].as_str().unwrap()));
            }
        }
        // Only root can remove files of other users.
        let _ = privileged(["rm", "-rf"]).arg(self.root("")).status();
    }
}

/// A place among the beds that exist at one time. More beds only slow each other down.
struct Place;

static PLACES: (Mutex<usize>, Condvar) = (Mutex::new(4), Condvar::new());

impl Place {
    fn take() -> Self {
        let places = PLACES.0.lock().unwrap_or_else(PoisonError::into_inner);
        *PLACES.1.wait_while(places, |places| *places == 0).unwrap_or_else(PoisonError::into_inner) -= 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *PLACES.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        PLACES.1.notify_one();
    }
}

/// A command that runs as root.
pub(crate) fn privileged<const N: usize>(argv: [&str; N]) -> Command {
    let mut command = if is_root() { Command::new(argv[0]) } else { Command::new("sudo") };
    if !is_root() {
        command.args(["-n", argv[0]]);
    }
    command.args(&argv[1..]);
    command
}

/// Runs a command that must succeed, and replaces its stdout.
pub(crate) fn stdout_of(command: &mut Command) -> String {
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
