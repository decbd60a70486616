//! Users of the host, each for one test.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::bed::{Bed, privileged, stdout_of};

/// A user who can log in with the bed's key. Dropping it removes the user.
pub(crate) struct User {
    pub(crate) name: String,
}

/// The user database allows one writer at a time.
static ONE: Mutex<()> = Mutex::new(());

impl User {
    /// Adds a user with this login shell, in the group `docker` if `docker` is true.
    pub(crate) fn new(bed: &Bed, tag: &str, shell: &str, docker: bool) -> Self {
        let name = format!("ghdt-{tag}-{}", std::process::id());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut useradd = privileged(["useradd", "--no-create-home", "--no-log-init", "-s", shell, "-d"]);
        useradd.arg(bed.path("home"));
        if docker {
            useradd.args(["-G", "docker"]);
        }
        stdout_of(useradd.arg(&name));
        let user = Self { name };
        // sshd without PAM takes a password of `!` for a locked account.
        stdout_of(privileged(["usermod", "-p", "*"]).arg(&user.name));
        user
    }

    /// Gives the user the root and the folders in it, but not the content of those folders.
    pub(crate) fn own_root(&self, bed: &Bed) {
        stdout_of(privileged(["install", "-d", "-o", &self.name]).arg(bed.root("")));
        stdout_of(privileged(["find"]).arg(bed.root("")).args([
            "-mindepth",
            "1",
            "-maxdepth",
            "1",
            "-exec",
            "chown",
            &self.name,
            "{}",
            "+",
        ]));
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        // A session that is just ending blocks the removal.
        for _ in 0..40 {
            let gone = privileged(["userdel"])
                .arg(&self.name)
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success());
            if gone
                || !Command::new("id")
                    .arg(&self.name)
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .is_ok_and(|status| status.success())
            {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}
