//! The private key and the host keys of a run, in the forms that ssh takes.
//!
//! Owns where a private key goes that was passed as text: into an `ssh-agent` of this run alone, and never
//! onto a disk. The agent lives as long as a pipe of this process is open, so it exits however this process
//! ends.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::key;
use super::ssh::{PrivateDirectory, short_directory};
use crate::base::error::{Error, Exit, Result};
use crate::base::secret::{Secret, secret_variables};

/// Credentials as the user passed them.
#[derive(Debug, Clone, Default)]
pub struct GivenCredentials {
    /// A file with a private key, or the key itself.
    pub key: Option<Secret>,
    /// A file with host keys, or its content.
    pub known_hosts: Option<String>,
    /// The configuration file instead of `~/.ssh/config`.
    pub config: Option<PathBuf>,
    /// Likely reason why a key that is read from stdin is empty, with what to do about it.
    pub reason_if_empty: Option<&'static str>,
}

/// Credentials in the forms that ssh takes. The user's own configuration decides what is `None`.
#[derive(Debug, Default)]
pub struct Credentials {
    /// The file with the private key.
    pub key: Option<PathBuf>,
    /// The file with the host keys.
    pub known_hosts: Option<PathBuf>,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Repairs that the key needed.
    pub notes: Vec<String>,
    agent: Option<Agent>,
    /// Holds the agent's socket, the configuration that names it, and the host keys; no secret.
    _directory: Option<PrivateDirectory>,
}

/// An `ssh-agent` that holds one key.
#[derive(Debug)]
struct Agent {
    socket: PathBuf,
    /// Exits when its stdin is closed, and the agent with it.
    holder: Child,
}

impl Credentials {
    /// Brings credentials into the forms that ssh takes.
    ///
    /// # Errors
    ///
    /// When a text that was passed as a key is not one, or `ssh-agent` or `ssh-add` is missing.
    pub fn new(given: &GivenCredentials) -> Result<Self> {
        let mut this = Self { config: given.config.clone(), ..Self::default() };
        let key = match given.key.as_ref().map(Secret::reveal) {
            None => None,
            Some("-") => Some(from_stdin()?),
            Some(text) if key::is_key(text) => given.key.clone(),
            Some(path) => {
                this.key = Some(path.into());
                None
            }
        };
        let known_hosts = match &given.known_hosts {
            Some(text) if is_known_hosts(text) => Some(text),
            path => {
                this.known_hosts = path.as_ref().map(PathBuf::from);
                None
            }
        };
        if key.is_none() && known_hosts.is_none() {
            return Ok(this);
        }
        let directory = short_directory()
            .map_err(|error| Error::unforeseen(format!("failed to make a temporary directory: {error}")))?;
        let put = |name: &str, text: &str| {
            let path = directory.path().join(name);
            let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            file.and_then(|mut file| file.write_all(text.as_bytes())).map(|()| path).map_err(|error| {
                Error::unforeseen(format!("failed to write into the temporary directory: {error}"))
            })
        };
        if let Some(text) = known_hosts {
            this.known_hosts = Some(put("known_hosts", &format!("{}\n", text.replace('\r', "").trim()))?);
        }
        if let Some(text) = key {
            let is_empty = text.reveal().trim().is_empty();
            let reason = given.reason_if_empty.filter(|_| is_empty);
            let key = key::read(text.reveal());
            let key = key.map_err(|(what, help)| Error::usage(what).help(reason.unwrap_or(help)))?;
            this.notes = key.repairs.iter().map(|repair| format!("the private key {repair}")).collect();
            let agent = Agent::with(&key.text, &directory.path().join("agent"))?;
            this.config = Some(put("config", &configuration(&agent.socket, given.config.as_deref()))?);
            this.agent = Some(agent);
        }
        this._directory = Some(directory);
        Ok(this)
    }
}

fn from_stdin() -> Result<Secret> {
    // No key is longer, and a mistaken stdin may never end.
    const MAX_BYTES: u64 = 64 << 10;
    let mut text = String::new();
    let read =
        std::io::Read::read_to_string(&mut std::io::Read::take(std::io::stdin(), MAX_BYTES), &mut text);
    read.map_err(|error| Error::usage(format!("the private key cannot be read from stdin: {error}")))?;
    Ok(Secret::new(text))
}

/// Whether a text is the content of a `known_hosts` file and not a path: a line names hosts, then the type of
/// a key.
fn is_known_hosts(text: &str) -> bool {
    text.lines().any(|line| {
        let fields = line.split_whitespace().skip(1).take(2);
        fields.into_iter().any(|field| {
            ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|kind| field.starts_with(kind))
        })
    })
}

/// Configuration that asks this agent first and otherwise includes the user's own. Because it is a file, jump
/// hosts use it too.
fn configuration(socket: &Path, own: Option<&Path>) -> String {
    // ssh uses the first value of an option. With the user's own `IdentitiesOnly` it might not ask the agent.
    let agent = format!("IdentityAgent \"{}\"\nIdentitiesOnly no\n", socket.display());
    match own {
        Some(own) => {
            let own = std::path::absolute(own).unwrap_or_else(|_| own.to_owned());
            format!("{agent}Include \"{}\"\n", own.display())
        }
        None => format!("{agent}Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n"),
    }
}

impl Agent {
    fn with(key: &Secret, socket: &Path) -> Result<Self> {
        let missing = |program: &str, error: &std::io::Error| {
            let message = match error.kind() {
                std::io::ErrorKind::NotFound => format!("{program} is not installed on this machine"),
                _ => format!("failed to start {program}: {error}"),
            };
            Error::new(Exit::Usage, message)
                .help("install the OpenSSH client (openssh-client), or pass the key as a file")
        };
        // Its own process group: Ctrl-C reaches only this process, which needs the agent until it exits.
        let mut command = Command::new("ssh-agent");
        for name in secret_variables(std::env::vars_os().map(|(name, _)| name)) {
            command.env_remove(name);
        }
        let holder = command
            .arg("-a")
            .arg(socket)
            .arg("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| missing("ssh-agent", &error))?;
        let agent = Self { socket: socket.to_owned(), holder };
        let end = Instant::now() + Duration::from_secs(10);
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            if Instant::now() > end {
                return Err(
                    Error::new(Exit::Usage, "ssh-agent does not answer").help("pass the key as a file")
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut add = agent.ssh_add();
        let mut adding = add
            .args(["-q", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| missing("ssh-add", &error))?;
        if let Some(mut stdin) = adding.stdin.take() {
            // If ssh-add exits without reading everything, its stderr says why.
            let _ = stdin.write_all(key.reveal().as_bytes());
        }
        let added = adding.wait_with_output().map_err(|error| missing("ssh-add", &error))?;
        if !added.status.success() {
            let stderr = String::from_utf8_lossy(&added.stderr);
            let reason = stderr.lines().next().unwrap_or_default();
            return Err(Error::usage(format!("the private key cannot be read: {reason}"))
                .help("check that it is complete: `ssh-keygen -y -f KEY` shows its public key"));
        }
        Ok(agent)
    }

    fn ssh_add(&self) -> Command {
        let mut command = Command::new("ssh-add");
        for name in secret_variables(std::env::vars_os().map(|(name, _)| name)) {
            command.env_remove(name);
        }
        command
            .env("SSH_AUTH_SOCK", &self.socket)
            .env("SSH_ASKPASS_REQUIRE", "never")
            .env_remove("SSH_ASKPASS")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        command
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // The agent notices within seconds that its holder has exited. This removes the key from it at once.
        let _ = self.ssh_add().arg("-D").stdin(Stdio::null()).status();
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_keys_and_paths_are_distinguished() {
        for content in [
            "web ssh-ed25519 AAAAC3Nza",
            "# comment\n\n[127.0.0.1]:2222 ecdsa-sha2-nistp256 AAAAE2\n",
            "@cert-authority *.example.com ssh-rsa AAAAB3\r\n",
            "|1|hash=|hash= ssh-ed25519 AAAA",
        ] {
            assert!(is_known_hosts(content), "{content}");
        }
        for path in ["/etc/ssh/known_hosts", "known hosts", "ssh-keys/hosts", "my ssh keys"] {
            assert!(!is_known_hosts(path), "{path}");
        }
    }

    #[test]
    fn a_path_stays_a_path() {
        let given = GivenCredentials {
            key: Some(Secret::new("/nowhere/key")),
            known_hosts: Some("/nowhere/hosts".to_owned()),
            ..GivenCredentials::default()
        };
        let made = Credentials::new(&given).unwrap();
        assert_eq!(made.key.as_deref(), Some(Path::new("/nowhere/key")));
        assert_eq!(made.known_hosts.as_deref(), Some(Path::new("/nowhere/hosts")));
        assert!(made.agent.is_none() && made.config.is_none());
    }

    #[test]
    fn a_key_passed_as_text_is_in_an_agent_and_in_no_file_and_both_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status();
        assert!(made.unwrap().success());
        let key = std::fs::read_to_string(&path).unwrap();
        let given = GivenCredentials {
            key: Some(Secret::new(key.replace('\n', "\r\n"))),
            ..GivenCredentials::default()
        };
        let credentials = Credentials::new(&given).unwrap();
        assert_eq!(credentials.notes, ["the private key had Windows line ends"]);
        let socket = credentials.agent.as_ref().unwrap().socket.clone();
        let list = Command::new("ssh-add").arg("-L").env("SSH_AUTH_SOCK", &socket).output().unwrap();
        let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        let of = |text: &str| text.split(' ').take(2).collect::<Vec<_>>().join(" ");
        assert_eq!(of(&String::from_utf8(list.stdout).unwrap()), of(&public));
        let temp = socket.parent().unwrap().to_owned();
        let body = key.lines().nth(2).unwrap();
        for entry in std::fs::read_dir(&temp).unwrap() {
            let text = std::fs::read(entry.unwrap().path()).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains(body));
        }
        drop(credentials);
        assert!(!temp.exists());
        let list = Command::new("ssh-add").arg("-L").env("SSH_AUTH_SOCK", &socket).output().unwrap();
        assert!(!list.status.success());
    }

    #[test]
    fn the_error_about_a_damaged_key_shows_no_part_of_it() {
        let text = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----";
        let error = Credentials::new(&GivenCredentials {
            key: Some(Secret::new(text)),
            ..GivenCredentials::default()
        })
        .unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        assert!(error.to_string().starts_with("the private key cannot be read: "), "{error}");
        assert!(!error.to_string().contains("c2VjcmV0"));
    }
}
