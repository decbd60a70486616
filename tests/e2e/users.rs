//! Users of the host that exist for one test.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::bed::{Bed, privileged, ran};

/// A user who may log in with the bed's key; gone when this is dropped.
pub(crate) struct User {
    pub(crate) name: String,
}

/// The user database takes one writer at a time.
static ONE: Mutex<()> = Mutex::new(());

impl User {
    /// A user with this login shell, who may use Docker if `docker` is true.
    pub(crate) fn new(bed: &Bed, tag: &str, shell: &str, docker: bool) -> Self {
        let name = format!("ghdt-{tag}-{}", std::process::id());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut useradd = privileged(["useradd", "--no-create-home", "--no-log-init", "-s", shell, "-d"]);
        useradd.arg(bed.path("home"));
        if docker {
            useradd.args(["-G", "docker"]);
        }
        ran(useradd.arg(&name));
        let user = Self { name };
        // sshd without PAM takes a password of `!` for a locked account.
        ran(privileged(["usermod", "-p", "*"]).arg(&user.name));
        user
    }

    /// Makes the root and the folders in it theirs; what lies in those stays its owners'.
    pub(crate) fn own_root(&self, bed: &Bed) {
        ran(privileged(["install", "-d", "-o", &self.name]).arg(bed.root("")));
        ran(privileged(["find"]).arg(bed.root("")).args([
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
        // A session that is just ending would keep the user from going.
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
