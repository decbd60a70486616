//! Why ssh has failed, in our own words, and what to do about it.

use std::time::Duration;

use rustix::process::{getgid, getuid};

use super::{LOGIN_LIMIT, SshOptions, ssh};
use crate::base::error::{Error, Exit};

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
pub(super) fn not_started(error: &std::io::Error) -> Error {
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
pub(super) async fn does_not_run(status: std::process::ExitStatus) -> Error {
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

/// Error about a login that does not end.
pub(super) fn not_logged_in(options: &SshOptions) -> Error {
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
pub(super) fn not_connected(
    options: &SshOptions,
    words: &str,
    aside: &str,
    status: std::process::ExitStatus,
) -> Error {
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
pub(super) fn explain(options: &SshOptions, ssh_message: &str) -> Error {
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

#[cfg(test)]
mod tests {
    use super::*;

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
