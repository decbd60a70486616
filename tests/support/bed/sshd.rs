//! A throwaway sshd on a free port of the loopback interface.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{privileged, stdout_of};

/// A running sshd with keys of its own. Dropping it stops it.
pub(crate) struct Sshd {
    child: Child,
    pub(crate) port: u16,
    dir: PathBuf,
}

impl Sshd {
    /// Starts an sshd that keeps its files in `dir`. Sessions have `path` as PATH and `home` as HOME, so
    /// that the machine's own set-up does not affect a test.
    pub(crate) fn start(dir: &Path, path: &Path, home: &Path) -> Self {
        std::fs::create_dir(dir).unwrap();
        for key in ["host_key", "client_key"] {
            stdout_of(
                Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f"])
                    .arg(dir.join(key)),
            );
        }
        std::fs::copy(dir.join("client_key.pub"), dir.join("authorized_keys")).unwrap();
        if !Path::new("/run/sshd").exists() && is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        // Another process may take the port between its choice and its use.
        (0..5)
            .find_map(|_| Self::try_start(dir, path, home))
            .expect("sshd does not start; its log is shown above")
    }

    fn try_start(dir: &Path, path: &Path, home: &Path) -> Option<Self> {
        let port = free_port();
        let d = dir.display();
        // OpenSSH's default exchange of keys, which resists quantum computers, is most of the work of a login.
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {d}/host_key\nPidFile none\nAuthorizedKeysFile {d}/authorized_keys\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             LogLevel VERBOSE\nMaxStartups 100\nKexAlgorithms curve25519-sha256\nSetEnv PATH={} HOME={}\n",
            path.display(),
            home.display()
        );
        std::fs::write(dir.join("sshd_config"), config).unwrap();
        let key = std::fs::read_to_string(dir.join("host_key.pub")).unwrap();
        std::fs::write(dir.join("known_hosts"), format!("[127.0.0.1]:{port} {key}")).unwrap();
        let program = ["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let program = program.expect("sshd is missing: run tests/setup.sh");
        let mut child = Command::new(program)
            .args(["-D", "-f"])
            .arg(dir.join("sshd_config"))
            .arg("-E")
            .arg(dir.join("log"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) && child.try_wait().unwrap().is_none() {
            let mut banner = [0; 4];
            if TcpStream::connect(("127.0.0.1", port))
                .and_then(|mut stream| stream.read_exact(&mut banner))
                .is_ok()
            {
                return Some(Self { child, port, dir: dir.to_owned() });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
        eprint_log(dir);
        None
    }

    pub(crate) fn client_key(&self) -> PathBuf {
        self.dir.join("client_key")
    }

    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// Number of logins and of commands since the sshd started.
    pub(crate) fn logins_and_commands(&self) -> (usize, usize) {
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap();
        let count = |needle: &str| log.lines().filter(|line| line.contains(needle)).count();
        (count("Accepted publickey"), count("Starting session: command"))
    }
}

impl Sshd {
    /// Ids of the processes that serve a connection.
    pub(crate) fn sessions(&self) -> Vec<String> {
        let pid = self.child.id().to_string();
        let ours = Command::new("ps").args(["-o", "pid=", "--ppid", &pid]).output();
        let ours = ours.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        ours.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // The connection of a killed client may still be open.
        let ours = self.sessions();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in ours {
            let _ = privileged(["kill", &pid]).stderr(Stdio::null()).status();
        }
    }
}

/// A free port of the loopback interface.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    static ROOT: std::sync::LazyLock<bool> =
        std::sync::LazyLock::new(|| stdout_of(Command::new("id").arg("-u")).trim() == "0");
    *ROOT
}

#[expect(clippy::print_stderr, reason = "it says why the test fails")]
fn eprint_log(dir: &Path) {
    eprintln!("{}", std::fs::read_to_string(dir.join("log")).unwrap_or_default());
}
