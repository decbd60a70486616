//! The transport over SSH: one connection, multiplexed by OpenSSH itself.
//!
//! Owns how `ssh` is called. Host keys are checked strictly.

mod causes;
mod directory;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openssh::{Session, Stdio};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::{Mutex, OnceCell};

use causes::{does_not_run, not_connected, not_logged_in, not_started};
pub(super) use directory::{PrivateDirectory, short_directory};

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
            Ok(status) => status.map_err(|error| causes::explain(options, &error.to_string()))?,
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
        causes::explain(&self.options, &words)
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
