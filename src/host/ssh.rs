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
        // A jump host's ssh and a ProxyCommand say why they fail on stderr. A pipe would stay open with the
        // master.
        let stderr = directory.path().join("stderr");
        if let Ok(stderr) = std::fs::File::create(&stderr) {
            master.stderr(stderr);
        }
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
            let read = |path: &Path| {
                let words = regular::read_start(path, MAX_LOG);
                words.map(|words| String::from_utf8_lossy(&words).into_owned())
            };
            return Err(match read(&log) {
                Ok(words) => not_connected(options, &words, &read(&stderr).unwrap_or_default(), status),
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
        // A quiet one would not say why it fails.
        command.args(["-o", "LogLevel=INFO"]);
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

/// Whether the configuration of ssh says more about a name than the name itself. `config` takes the place of
/// `~/.ssh/config`.
#[must_use]
pub fn knows_alias(name: &str, config: Option<&Path>) -> bool {
    let mut command = std::process::Command::new("ssh");
    if let Some(config) = config {
        command.arg("-F").arg(config);
    }
    let asked = command.args(["-G", "--", name]).stdin(std::process::Stdio::null()).output();
    let Ok(asked) = asked else { return false };
    let says = |line: &str| match line.split_once(' ') {
        Some(("hostname", value)) => value != name,
        Some(("proxyjump" | "proxycommand", value)) => value != "none",
        _ => false,
    };
    // A configuration that ssh does not accept is reported when it connects.
    !asked.status.success() || String::from_utf8_lossy(&asked.stdout).lines().any(says)
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
        None => {
            Error::new(Exit::Unreachable, format!("failed to connect: ssh ended without a word ({status})"))
                .help("try `ssh -V` by hand")
        }
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

/// Error about an ssh that has not connected. `words` is its log, `aside` what a jump host's ssh or a
/// ProxyCommand has printed.
fn not_connected(options: &SshOptions, words: &str, aside: &str, status: std::process::ExitStatus) -> Error {
    let (words, aside) = (said(words), said(aside));
    let host = &options.destination;
    if words.is_empty() && aside.is_empty() {
        use std::os::unix::process::ExitStatusExt as _;
        let how = match status.signal() {
            Some(signal) => format!("ssh was ended by signal {signal}"),
            None => format!("ssh ended without a word ({status})"),
        };
        let port = port_option(options);
        return Error::new(Exit::Unreachable, format!("failed to connect to {host}: {how}"))
            .help(format!("`ssh -v{port} {host} true` by hand shows how far it comes"))
            .transient();
    }
    // Behind a jump host or a ProxyCommand that fails, ssh itself only sees the end of a stream.
    let is_cut = ["Connection closed", "Broken pipe", "Connection reset", "reset by peer"];
    let is_cut = is_cut.iter().any(|end| words.contains(end));
    if words.is_empty() || aside.is_empty() || !is_cut {
        return explain(options, if words.is_empty() { aside } else { words });
    }
    let (message, help) = cause("the jump host", "JUMP_HOST", "", aside);
    let message = message.strip_prefix("failed to connect to the jump host: ").unwrap_or(&message);
    let error = Error::new(
        Exit::Unreachable,
        format!("the way to {host} by ProxyJump or ProxyCommand failed: {message}"),
    );
    with_transience(error.help(help), aside)
}

/// The port as an option of ssh.
fn port_option(options: &SshOptions) -> String {
    options.port.map(|port| format!(" -p {port}")).unwrap_or_default()
}

/// Returns the error that a message of ssh stands for, with what to do about it.
fn explain(options: &SshOptions, ssh_message: &str) -> Error {
    let host = &options.destination;
    let (message, help) = cause(host, host, &port_option(options), ssh_message);
    with_transience(Error::new(Exit::Unreachable, message).help(help), ssh_message)
}

/// Marks an error as transient if the message of ssh says so.
fn with_transience(error: Error, ssh_message: &str) -> Error {
    let says = |needle: &str| ssh_message.contains(needle);
    if TRANSIENT.iter().any(|needle| says(needle))
        && !says("Host key verification failed")
        && !says("Permission denied")
        && !says("Too many authentication failures")
    {
        error.transient()
    } else {
        error
    }
}

/// What a message of ssh means, and what to do about it. `host` is the host in messages and `name` in
/// commands, where `port` goes before it.
fn cause(host: &str, name: &str, port: &str, ssh_message: &str) -> (String, String) {
    let says = |needle: &str| ssh_message.contains(needle);
    let line = |needle: &str| {
        let mut lines = ssh_message.lines().map(str::trim);
        lines.find(|line| line.contains(needle)).unwrap_or_default().to_owned()
    };
    let of = |message: String, help: &str| (message, help.to_owned());
    if says("Could not resolve") {
        of(
            format!("the name {host:?} cannot be resolved").replace("\"the jump host\"", "of the jump host"),
            "check the spelling of the host, or use its address",
        )
    } else if says("Connection refused") {
        of(format!("{host} refuses the connection"), "check that sshd runs there, the port, and the firewall")
    } else if says("timed out") || says("Network is unreachable") || says("No route to host") {
        of(
            format!("{host} does not answer"),
            "check that the server is up, the address, and that the firewall lets this machine in",
        )
    } else if says("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        (
            format!("the host key of {host} is not the one that is known"),
            format!(
                "if the server was reinstalled, check the new key on its console and replace the line in known_hosts (`ssh-keygen -R`); if not, the connection may be intercepted: do not continue. `ssh-keyscan{port} {name}` shows the present key"
            ),
        )
    } else if says("host key is known") || says("Host key verification failed") {
        (
            format!("the host key of {host} is not known"),
            format!(
                "get it with `ssh-keyscan{port} {name}`, compare its fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the server's console, and put the line into known_hosts; or trust this once with --accept-new-host-key"
            ),
        )
    } else if says("UNPROTECTED PRIVATE KEY FILE") || says("bad permissions") {
        of("ssh refuses the private key because others may read it".to_owned(), "chmod 600 the key file")
    } else if says("error in libcrypto") || says("invalid format") && !says("banner") {
        of(
            "the private key cannot be read".to_owned(),
            "check that it is complete: with its first and last line, a newline at the end, and no Windows line ends",
        )
    } else if says("Too many authentication failures") {
        of(
            format!("{host} refuses the login: too many keys were tried"),
            "name the key with --ssh-key: then ssh tries no other one",
        )
    } else if says("Permission denied") && says("not accessible") {
        of(
            format!("{host} refuses the login: {}", line("not accessible").trim_start_matches("Warning: ")),
            "check the path of the key",
        )
    } else if says("Permission denied") {
        of(
            format!("{host} refuses the login: permission denied"),
            "check the user, and that the public key is in its ~/.ssh/authorized_keys; a key with a passphrase needs an agent",
        )
    } else if says("too long for Unix domain socket") {
        of(
            "the path of ssh's control socket is too long".to_owned(),
            "set TMPDIR to a short path such as /tmp",
        )
    } else if says("no matching") {
        of(
            format!("{host} and this machine's ssh have no method in common: {}", line("no matching")),
            "update the older of the two, or allow the method for this host in ~/.ssh/config",
        )
    } else if says("Bad owner or permissions on") {
        of(
            format!("ssh does not accept its configuration: {}", line("Bad owner")),
            "it must belong to this user, and no one else may write to it: chmod 600",
        )
    } else if says("Bad configuration option") || says("terminating,") || says("Can't open user config") {
        of(
            format!("ssh does not accept its configuration: {}", first_line(ssh_message)),
            "correct the line that it names",
        )
    } else if says("Session open refused") || says("refused the session") || says("open failed") {
        of(
            format!("{host} opens no session after the login: {}", first_line(ssh_message)),
            "raise MaxSessions in its sshd_config, and check that the user may run commands there",
        )
    } else if says("kex_exchange") || says("banner") || says("Connection closed") || says("reset by peer") {
        (
            format!("{host} ends the connection before the login: {}", first_line(ssh_message)),
            format!(
                "check that the port is that of sshd; sshd does this, too, while too many log in (MaxStartups), and so do programs like fail2ban. `ssh -v{port} {name} true` by hand shows more"
            ),
        )
    } else {
        let why = match first_line(ssh_message).trim() {
            "" => "ssh gives no reason",
            why => why,
        };
        (format!("failed to connect to {host}: {why}"), format!("try `ssh -v{port} {name} true` by hand"))
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
            "web ends the connection before the login: kex_exchange: gone"
        );
        assert_eq!(
            message("banner exchange: Connection to 127.0.0.1 port 80: invalid format"),
            "web ends the connection before the login: banner exchange: Connection to 127.0.0.1 port 80: invalid format"
        );
        assert_eq!(
            message("Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures"),
            "web refuses the login: too many keys were tried"
        );
        assert_eq!(
            message(
                "Warning: Identity file /k not accessible: No such file or directory.\nweb: Permission denied (publickey)."
            ),
            "web refuses the login: Identity file /k not accessible: No such file or directory."
        );
        assert_eq!(
            message(
                "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa"
            ),
            "web and this machine's ssh have no method in common: Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa"
        );
        assert_eq!(
            message("failed to connect to the remote host: "),
            "failed to connect to web: ssh gives no reason"
        );
        assert_eq!(message(" \n"), "failed to connect to web: ssh gives no reason");
    }

    #[test]
    fn an_ssh_that_fails_has_a_reason_whatever_it_says() {
        use std::os::unix::process::ExitStatusExt as _;
        let options = SshOptions { destination: "web".into(), ..SshOptions::default() };
        let of = |words: &str, aside: &str, raw: i32| {
            let status = std::process::ExitStatus::from_raw(raw);
            let error = not_connected(&options, words, aside, status);
            assert!(error.diagnostics[0].help.is_some());
            error.to_string()
        };
        assert_eq!(
            of("", "", 255 << 8),
            "failed to connect to web: ssh ended without a word (exit status: 255)"
        );
        assert_eq!(of("", "\n", 9), "failed to connect to web: ssh was ended by signal 9");
        let closed = "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535";
        let jump = "the way to web by ProxyJump or ProxyCommand failed: ";
        assert_eq!(
            of(closed, "ssh: connect to host 10.0.0.1 port 22: Connection refused\n", 255 << 8),
            format!("{jump}the jump host refuses the connection")
        );
        assert_eq!(
            of(closed, "deploy@10.0.0.1: Permission denied (publickey).", 255 << 8),
            format!("{jump}the jump host refuses the login: permission denied")
        );
        assert_eq!(
            of(closed, "sh: 1: connect-proxy: not found", 255 << 8),
            format!("{jump}sh: 1: connect-proxy: not found")
        );
        assert_eq!(of("", "kerberos: no ticket", 255 << 8), "failed to connect to web: kerberos: no ticket");
        // What a jump host prints does not hide why the host itself refuses.
        assert_eq!(
            of("deploy@web: Permission denied (publickey).", "a banner", 255 << 8),
            "web refuses the login: permission denied"
        );
    }
}
