//! The transport over SSH: one connection, multiplexed by OpenSSH itself.
//!
//! Owns how `ssh` is called and what its errors mean. Host keys are checked strictly.

use std::future::Future;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openssh::{Session, Stdio};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, getgid, getuid, kill_process_group};
use tokio::sync::{Mutex, OnceCell};

use super::transport::{Remote, Starting, Transport};
use crate::base::error::{Error, Exit};
use crate::base::secret::secret_variables;
use crate::tree::regular;

/// Options of a connection. The user's `~/.ssh/config` decides what is `None`.
#[derive(Debug, Clone, Default)]
pub struct SshOptions {
    /// An address, or an alias of the ssh configuration.
    pub destination: String,
    /// The user.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The private key; `None`: ssh's own choice (agent, default files).
    pub key: Option<PathBuf>,
    /// The file of host keys.
    pub known_hosts: Option<PathBuf>,
    /// A configuration file to use instead of `~/.ssh/config`.
    pub config: Option<PathBuf>,
    /// Whether an unknown host's key is accepted and stored.
    pub accept_new_host_key: bool,
}

/// A host that is reached over SSH.
pub struct Ssh {
    options: SshOptions,
    session: OnceCell<Arc<Session>>,
    /// Holds the control socket; removed when the connection is closed.
    directory: Mutex<Option<PrivateDirectory>>,
}

impl std::fmt::Debug for Ssh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ssh").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Ssh {
    /// Makes a transport that is not connected yet.
    #[must_use]
    pub fn new(options: SshOptions) -> Self {
        Self { options, session: OnceCell::new(), directory: Mutex::new(None) }
    }

    /// Connects and logs in, once.
    ///
    /// # Errors
    ///
    /// When the host cannot be reached or refuses the login, with what to do about it.
    pub async fn connect(&self) -> Result<&Arc<Session>, Error> {
        self.session.get_or_try_init(|| self.login()).await
    }

    async fn login(&self) -> Result<Arc<Session>, Error> {
        let options = &self.options;
        let directory = short_directory().map_err(|error| {
            Error::new(
                Exit::Unreachable,
                format!("failed to make a directory for ssh's control socket: {error}"),
            )
        })?;
        let log = directory.path().join("log");
        let mut master = self.master(directory.path(), &log);
        let mut master = master.spawn().map_err(|error| not_started(&error))?;
        let group = master.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        // It goes to the background once the login is complete.
        let status = match tokio::time::timeout(LOGIN_LIMIT, master.wait()).await {
            Ok(status) => status.map_err(|error| explain(options, &error.to_string()))?,
            Err(_) => {
                // What it has started, such as a ProxyCommand, ends with it.
                if let Some(group) = group {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                return Err(not_logged_in(options));
            }
        };
        if !status.success() {
            return Err(match regular::read_start(&log, MAX_LOG) {
                Ok(words) => explain(options, said(&String::from_utf8_lossy(&words))),
                // It opens its log once it has read its options.
                Err(_) => does_not_run(status).await,
            });
        }
        let session = Session::resume_mux(directory.path().join("master").into(), None);
        *self.directory.lock().await = Some(directory);
        tracing::debug!(destination = options.destination, "connected");
        Ok(Arc::new(session))
    }

    /// The command of an ssh that logs in, listens on a control socket in `directory`, and goes to the
    /// background.
    fn master(&self, directory: &Path, log: &Path) -> tokio::process::Command {
        let options = &self.options;
        let mut command = ssh();
        command.process_group(0);
        command.arg("-E").arg(log).arg("-S").arg(directory.join("master")).args(["-M", "-f", "-N"]);
        // The driver's session lasts from the login to the end, so the master is never idle during a run.
        // After a client that was killed it exits within these seconds.
        command.args(["-o", "ControlPersist=10s", "-o", "BatchMode=yes"]);
        let checking = if options.accept_new_host_key { "accept-new" } else { "yes" };
        command.arg("-o").arg(format!("StrictHostKeyChecking={checking}"));
        command.args(["-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15"]);
        if let Some(port) = options.port {
            command.arg("-p").arg(port.to_string());
        }
        if let Some(user) = &options.user {
            command.arg("-l").arg(user);
        }
        if let Some(key) = &options.key {
            // Only this key.
            command.args(["-o", "IdentitiesOnly=yes"]).arg("-i").arg(key);
        }
        if let Some(config) = &options.config {
            command.arg("-F").arg(config);
        }
        if let Some(known_hosts) = &options.known_hosts {
            let mut option = std::ffi::OsString::from("UserKnownHostsFile=");
            option.push(known_hosts);
            command.arg("-o").arg(option);
        }
        command.arg("--").arg(&options.destination);
        command
    }

    fn explain(&self, error: &openssh::Error) -> Error {
        let mut words = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            words = format!("{words}: {inner}");
            source = inner.source();
        }
        explain(&self.options, &words)
    }
}

/// An ssh without streams. Its environment, which other processes of the user can read, holds no secret of ours.
fn ssh() -> tokio::process::Command {
    let mut command = tokio::process::Command::new("ssh");
    for name in secret_variables(std::env::vars_os().map(|(name, _)| name)) {
        command.env_remove(name);
    }
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null()).kill_on_drop(true);
    command
}

/// Longest time for a login, with all jump hosts. ssh's own time-out ends with the greeting of the server.
const LOGIN_LIMIT: Duration = Duration::from_secs(90);

/// Longest time in which the connection starts a command, and in which it closes.
const SPAWN_LIMIT: Duration = Duration::from_secs(60);
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Most that is read of what ssh says, in bytes. A server may send any banner.
const MAX_LOG: u64 = 64 << 10;

/// The part of ssh's messages that says why it failed.
fn said(words: &str) -> &str {
    let words = words.trim();
    let words = words.strip_prefix("ssh: ").unwrap_or(words);
    if words.starts_with("Warning: Permanently added ") {
        return words.split_once('\n').map_or("", |(_, rest)| rest.trim());
    }
    words
}

/// Error about an ssh that did not start.
fn not_started(error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::new(Exit::Unreachable, "ssh is not installed on this machine")
            .help("install the OpenSSH client (openssh-client)");
    }
    Error::new(Exit::Unreachable, format!("failed to start ssh: {error}")).help("try `ssh -V` by hand")
}

/// Longest time in which ssh shows its version.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// Error about an ssh that exits before it reads its options, and so before it opens its log. It does the same
/// when it is asked for its version, and says why on its stderr.
async fn does_not_run(status: std::process::ExitStatus) -> Error {
    let mut version = ssh();
    version.arg("-V").stderr(std::process::Stdio::piped());
    let asked = tokio::time::timeout(VERSION_LIMIT, version.output()).await;
    let failed = asked.ok().and_then(Result::ok).filter(|asked| !asked.status.success());
    let words = failed.map(|asked| String::from_utf8_lossy(&asked.stderr).into_owned()).unwrap_or_default();
    match words.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(words) if words.contains("No user exists for uid") => {
            let (user, group) = (getuid().as_raw(), getgid().as_raw());
            Error::new(Exit::Unreachable, format!("ssh does not run as this user: {words}")).help(format!(
                "ssh needs an entry for the user in /etc/passwd. Remove `--user` from the `options` of the job's container, or add the entry to its image: RUN echo runner:x:{user}:{group}::/tmp:/bin/sh >>/etc/passwd"
            ))
        }
        Some(words) => Error::new(Exit::Unreachable, format!("ssh does not run on this machine: {words}"))
            .help("`ssh -V` by hand shows the same"),
        None => Error::new(Exit::Unreachable, format!("ssh ended without a word ({status})"))
            .help("try `ssh -V` by hand"),
    }
}

fn not_logged_in(options: &SshOptions) -> Error {
    let host = &options.destination;
    let secs = LOGIN_LIMIT.as_secs();
    Error::new(Exit::Unreachable, format!("{host} did not complete the login within {secs} s"))
        .help(format!("try `ssh -v {host} true` by hand: the server, a jump host or a ProxyCommand hangs"))
}

/// Parts of ssh's messages after which a retry may succeed: the server restarts, or has too many logins at a
/// time.
const TRANSIENT: [&str; 9] = [
    "refused",
    "timed out",
    "unreachable",
    "No route",
    "reset by peer",
    "Connection closed",
    "kex_exchange",
    "Broken pipe",
    "ssh_dispatch_run_fatal",
];

/// Returns the error that a message of ssh stands for, with what to do about it.
fn explain(options: &SshOptions, ssh_message: &str) -> Error {
    let host = &options.destination;
    let port = options.port.map(|port| format!(" -p {port}")).unwrap_or_default();
    let says = |needle: &str| ssh_message.contains(needle);
    let (message, help) = if says("Could not resolve") {
        (
            format!("the name {host:?} cannot be resolved"),
            "check the spelling of the host, or use its address".to_owned(),
        )
    } else if says("Connection refused") {
        (
            format!("{host} refuses the connection"),
            "check that sshd runs there, the port, and the firewall".to_owned(),
        )
    } else if says("timed out") || says("Network is unreachable") || says("No route to host") {
        (
            format!("{host} does not answer"),
            "check that the server is up, the address, and that the firewall lets this machine in".to_owned(),
        )
    } else if says("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        (
            format!("the host key of {host} is not the one that is known"),
            format!(
                "if the server was reinstalled, check the new key on its console and replace the line in known_hosts (`ssh-keygen -R`); if not, the connection may be intercepted: do not continue. `ssh-keyscan{port} {host}` shows the present key"
            ),
        )
    } else if says("host key is known") || says("Host key verification failed") {
        (
            format!("the host key of {host} is not known"),
            format!(
                "get it with `ssh-keyscan{port} {host}`, compare its fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the server's console, and put the line into known_hosts; or trust this once with --accept-new-host-key"
            ),
        )
    } else if says("UNPROTECTED PRIVATE KEY FILE") || says("bad permissions") {
        (
            "ssh refuses the private key because others may read it".to_owned(),
            "chmod 600 the key file".to_owned(),
        )
    } else if says("error in libcrypto") || says("invalid format") {
        ("the private key cannot be read".to_owned(), "check that it is complete: with its first and last line, a newline at the end, and no Windows line ends".to_owned())
    } else if says("Permission denied") {
        (format!("{host} refuses the login: permission denied"), "check the user, and that the public key is in its ~/.ssh/authorized_keys; a key with a passphrase needs an agent".to_owned())
    } else if says("too long for Unix domain socket") {
        (
            "the path of ssh's control socket is too long".to_owned(),
            "set TMPDIR to a short path such as /tmp".to_owned(),
        )
    } else if says("Bad configuration option") || says("terminating,") {
        (
            format!("ssh does not accept its configuration: {}", first_line(ssh_message)),
            "correct the line that it names".to_owned(),
        )
    } else {
        (
            format!("failed to connect to {host}: {}", first_line(ssh_message)),
            format!("try `ssh{port} {host} true` by hand"),
        )
    };
    let error = Error::new(Exit::Unreachable, message).help(help);
    if TRANSIENT.iter().any(|needle| says(needle))
        && !says("Host key verification failed")
        && !says("Permission denied")
    {
        error.transient()
    } else {
        error
    }
}

fn first_line(words: &str) -> &str {
    let words = words.strip_prefix("failed to connect to the remote host: ").unwrap_or(words);
    words.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('@')).unwrap_or(words)
}

/// A new directory that only this user can enter, and that no other run touches while this one lives.
#[derive(Debug)]
pub(super) struct PrivateDirectory {
    directory: tempfile::TempDir,
    /// Locked for as long as this process lives.
    _lock: std::fs::File,
}

impl PrivateDirectory {
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn new_in(parent: &Path) -> std::io::Result<Self> {
        let private = std::fs::Permissions::from_mode(0o700);
        let directory =
            tempfile::Builder::new().prefix(PREFIX).permissions(private.clone()).tempdir_in(parent)?;
        // Whatever the umask is.
        std::fs::set_permissions(directory.path(), private)?;
        let lock = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.path().join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { directory, _lock: lock })
    }
}

/// Makes a directory for sockets whose path leaves room for the name of a control socket: the path of a Unix
/// socket has at most 108 bytes on Linux, and ssh needs 27 of them.
pub(super) fn short_directory() -> std::io::Result<PrivateDirectory> {
    let default = std::env::temp_dir();
    let parent = if default.as_os_str().len() <= 40 { default } else { PathBuf::from("/tmp") };
    sweep(&parent);
    PrivateDirectory::new_in(&parent)
}

/// First letters of the names of these directories.
const PREFIX: &str = "ghd-";

/// Name of the file in such a directory that a living run has locked.
const LOCK: &str = "lock";

/// Age from which a directory counts as left over: longer than any login takes.
const LEFT_OVER_AFTER: Duration = Duration::from_secs(600);

/// Removes the directories of runs that were killed: nobody holds their lock. No socket in them is asked, for
/// what listens there may hang. Those of other users cannot be removed, and do not matter.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        let is_left_over = |meta: &std::fs::Metadata| {
            meta.is_dir()
                && meta.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFT_OVER_AFTER))
        };
        // This does not follow links.
        if !is_ours || !entry.metadata().is_ok_and(|meta| is_left_over(&meta)) {
            continue;
        }
        let is_held = regular::open(&entry.path().join(LOCK))
            .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err());
        if !is_held && std::fs::remove_dir_all(entry.path()).is_ok() {
            tracing::debug!(path = %entry.path().display(), "removed the directory of a killed run");
        }
    }
}

impl Transport for Ssh {
    fn start(&self) -> Starting<'_> {
        Box::pin(async {
            let session = self.connect().await?;
            let command = format!("exec sh -c '{}' ghdeploy", super::BOOTSTRAP);
            let mut command = Session::to_raw_command(Arc::clone(session), command);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = match tokio::time::timeout(SPAWN_LIMIT, command.spawn()).await {
                Ok(child) => child.map_err(|error| self.explain(&error))?,
                Err(_) => {
                    let host = &self.options.destination;
                    let secs = SPAWN_LIMIT.as_secs();
                    let message = format!("{host} did not start a command within {secs} s of the login");
                    return Err(
                        Error::new(Exit::Unreachable, message).help(format!("try `ssh {host} true` by hand"))
                    );
                }
            };
            let (Some(stdin), Some(stdout), Some(stderr)) =
                (child.stdin().take(), child.stdout().take(), child.stderr().take())
            else {
                return Err(Error::unforeseen("a remote command has no streams"));
            };
            Ok(Remote {
                stdin: Box::new(stdin),
                stdout: Box::new(stdout),
                stderr: Box::new(stderr),
                exit: Box::pin(async move {
                    let status = child.wait().await.map_err(|error| error.to_string())?;
                    status.code().ok_or_else(|| format!("ended by a signal: {status}"))
                }),
            })
        })
    }

    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let directory = self.directory.lock().await.take();
            if let Some(session) = self.session.get() {
                // Commands that are about to exit still hold the session; ssh waits for them itself.
                let master = Session::resume_mux(session.control_socket().into(), None);
                let closed = tokio::time::timeout(CLOSE_LIMIT, master.close()).await;
                tracing::debug!(?closed, "asked the ssh master to exit");
            }
            drop(directory);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_killed_runs_are_removed() {
        use std::process::Command;
        let temp = tempfile::tempdir().unwrap();
        let make = |name: &str, is_old: bool| {
            let dir = temp.path().join(name);
            std::fs::create_dir_all(dir.join("inner")).unwrap();
            std::fs::write(dir.join("inner/log"), "").unwrap();
            if is_old {
                assert!(
                    Command::new("touch").args(["-d", "1 hour ago"]).arg(&dir).status().unwrap().success()
                );
            }
            dir
        };
        let (left, fresh, other) = (make("ghd-left", true), make("ghd-fresh", false), make("other", true));
        let used = PrivateDirectory::new_in(temp.path()).unwrap();
        assert_eq!(used.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let age = |path: &Path| {
            assert!(Command::new("touch").args(["-d", "1 hour ago"]).arg(path).status().unwrap().success());
        };
        age(used.path());
        // A master that never answers, and a lock that cannot be opened without waiting.
        let hangs = make("ghd-hangs", false);
        let _listener = std::os::unix::net::UnixListener::bind(hangs.join("inner/master")).unwrap();
        assert!(Command::new("mkfifo").arg(hangs.join(LOCK)).status().unwrap().success());
        age(&hangs);
        std::os::unix::fs::symlink(&other, temp.path().join("ghd-link")).unwrap();
        sweep(temp.path());
        assert!(!left.exists() && !hangs.exists());
        for stays in [fresh, other.join("inner/log"), used.path().to_owned(), temp.path().join("ghd-link")] {
            assert!(stays.exists(), "{}", stays.display());
        }
    }

    fn message(ssh_message: &str) -> String {
        let error = explain(
            &SshOptions { destination: "web".into(), port: Some(2222), ..SshOptions::default() },
            ssh_message,
        );
        assert_eq!(error.exit, Exit::Unreachable);
        assert!(error.diagnostics[0].help.is_some());
        error.to_string()
    }

    #[test]
    fn messages_of_ssh_become_causes() {
        assert_eq!(
            message("Could not resolve hostname web: Name or service not known"),
            "the name \"web\" cannot be resolved"
        );
        assert_eq!(message("connect to host web port 22: Connection refused"), "web refuses the connection");
        assert_eq!(message("connect to host web port 22: Connection timed out"), "web does not answer");
        assert_eq!(
            message(
                "No ED25519 host key is known for web and you have requested strict checking.\nHost key verification failed."
            ),
            "the host key of web is not known"
        );
        assert_eq!(
            message("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed."),
            "the host key of web is not the one that is known"
        );
        assert_eq!(
            message("deploy@web: Permission denied (publickey)."),
            "web refuses the login: permission denied"
        );
        assert_eq!(
            message("failed to connect to the remote host: kex_exchange: gone"),
            "failed to connect to web: kex_exchange: gone"
        );
    }
}
