//! Repair of a private key that comes out of a secret store, so that OpenSSH can read it.
//!
//! Owns the damage that browsers and secret stores do to a key: Windows line ends, line breaks that became
//! spaces or `\n`, a missing last newline, base64 around the whole. All of it can be repaired without doubt,
//! and each repair is reported. Pure; never shows any part of a key.

use base64::prelude::{BASE64_STANDARD, Engine};

use crate::base::secret::Secret;

/// A private key that OpenSSH can read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PrivateKey {
    /// The key, with a newline at its end.
    pub(super) text: Secret,
    /// Repairs that it needed, each as a fragment of a sentence.
    pub(super) repairs: Vec<&'static str>,
}

/// Whether a text is meant to be a private key and not a path.
#[must_use]
pub(super) fn is_key(text: &str) -> bool {
    text.contains("PRIVATE KEY") || text.contains('\n') || text.contains('\r') || unwrapped(text).is_some()
}

/// Reads a private key.
///
/// # Errors
///
/// When the text is a public key, a key of `PuTTY`, or a key that is cut off or protected by a passphrase: a
/// message and what to do.
pub(super) fn read(text: &str) -> Result<PrivateKey, (&'static str, &'static str)> {
    let mut repairs = Vec::new();
    let mut text = text.trim_start_matches('\u{feff}').trim().to_owned();
    if text.is_empty() {
        return Err(("the private key is empty", "check that the secret exists and has this name"));
    }
    if let Some(inner) = unwrapped(&text) {
        repairs.push("was wrapped in base64");
        inner.trim().clone_into(&mut text);
    }
    if text.contains('\r') {
        repairs.push("had Windows line ends");
        text = text.replace("\r\n", "\n").replace('\r', "\n");
    }
    if let Some(inner) = text.strip_prefix(['"', '\'']).filter(|inner| inner.starts_with("-----BEGIN ")) {
        repairs.push("was in quotes");
        text = inner.trim_end_matches(['"', '\'']).trim_end().to_owned();
    }
    // No line of a key has a backslash, so some of its line breaks may be real ones.
    if text.starts_with("-----BEGIN ") && (text.contains("\\n") || text.contains("\\r")) {
        repairs.push("had its line breaks written as \\n");
        let lines = text.replace("\\r", "").replace("\\n", "\n").replace('\\', "");
        let lines: Vec<&str> = lines.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        text = lines.join("\n");
    }
    if text.starts_with("PuTTY-User-Key-File") {
        return Err((
            "the private key is in PuTTY's format",
            "convert it: `puttygen key.ppk -O private-openssh -o key`",
        ));
    }
    if ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| text.starts_with(kind)) {
        return Err(("that is a public key", "pass the private one: the file without .pub"));
    }
    let Some(parts) = PemParts::of(&text) else {
        return Err(if text.starts_with("-----BEGIN ") {
            (
                "the private key is cut off",
                "copy the whole file, from the line with BEGIN to the line with END",
            )
        } else {
            (
                "that is not a private key",
                "pass the content of the file that ssh-keygen made, from the line with BEGIN to the line with END",
            )
        });
    };
    if !text[..text.len() - parts.end.len()].ends_with('\n') || !parts.body.starts_with('\n') {
        repairs.push("had lost its line breaks");
        text = parts.rebuilt();
    }
    if is_encrypted(&text) {
        return Err((
            "the private key is protected by a passphrase",
            "use a separate key without one for deploys: `ssh-keygen -t ed25519 -N '' -f deploy_key`",
        ));
    }
    text.push('\n');
    Ok(PrivateKey { text: Secret::new(text), repairs })
}

/// The three parts of a key in PEM form.
struct PemParts<'a> {
    begin: &'a str,
    body: &'a str,
    end: &'a str,
}

impl<'a> PemParts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let begin_end = text.strip_prefix("-----BEGIN ")?.find("-----")? + "-----BEGIN ".len() + 5;
        let end_at = text.rfind("-----END ")?;
        let (begin, end) = (&text[..begin_end], &text[end_at..]);
        let is_private = begin.ends_with("PRIVATE KEY-----") && end.ends_with("PRIVATE KEY-----");
        (is_private && begin_end <= end_at).then(|| Self { begin, body: &text[begin_end..end_at], end })
    }

    fn rebuilt(&self) -> String {
        let body: Vec<&str> = self.body.split_whitespace().collect();
        [&[self.begin], body.as_slice(), &[self.end]].concat().join("\n")
    }
}

/// Returns the text inside base64, if it is a key.
fn unwrapped(text: &str) -> Option<String> {
    let text = text.trim();
    if text.contains("-----") || text.len() < 64 {
        return None;
    }
    let packed: String = text.split_whitespace().collect();
    let inner = String::from_utf8(BASE64_STANDARD.decode(packed).ok()?).ok()?;
    inner.contains("PRIVATE KEY-----").then_some(inner)
}

/// Whether a passphrase protects a key: by the headers of PEM and PKCS#8, or by the name of the cipher that
/// OpenSSH's [own format](https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key) starts with.
fn is_encrypted(text: &str) -> bool {
    if text.starts_with("-----BEGIN ENCRYPTED ") || text.contains("\nProc-Type: 4,ENCRYPTED") {
        return true;
    }
    let packed: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let Ok(bytes) = BASE64_STANDARD.decode(packed) else { return false };
    let Some(rest) = bytes.strip_prefix(b"openssh-key-v1\0") else { return false };
    let Some((size, rest)) = rest.split_first_chunk::<4>() else { return false };
    rest.get(..u32::from_be_bytes(*size) as usize).is_some_and(|cipher| cipher != b"none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Runs ssh-keygen and returns the private key.
    fn generated(arguments: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let status =
            Command::new("ssh-keygen").args(["-q", "-f"]).arg(&path).args(arguments).status().unwrap();
        assert!(status.success());
        std::fs::read_to_string(path).unwrap()
    }

    /// Repairs that turn `text` into `key`.
    fn repairs(text: &str, key: &str) -> Vec<&'static str> {
        let read = read(text).unwrap();
        assert_eq!(read.text.reveal(), key);
        assert!(is_key(text));
        read.repairs
    }

    #[test]
    fn damage_by_browsers_and_secret_stores_is_repaired_and_reported() {
        for kind in [["-t", "ed25519"], ["-t", "rsa"], ["-m", "PEM"]] {
            let key = generated(&[kind.as_slice(), &["-N", ""]].concat());
            assert_eq!(repairs(&key, &key), [""; 0]);
            assert_eq!(repairs(key.trim_end(), &key), [""; 0], "a missing last newline is not worth a note");
            assert_eq!(repairs(&format!("\n  {key}\n\n"), &key), [""; 0]);
            assert_eq!(repairs(&key.replace('\n', "\r\n"), &key), ["had Windows line ends"]);
            assert_eq!(repairs(&key.replace('\n', " "), &key), ["had lost its line breaks"]);
            assert_eq!(repairs(&key.replace('\n', "\\n"), &key), ["had its line breaks written as \\n"]);
            for escaped in [
                key.replace('\n', "\\n\n"),
                key.replace('\n', "\\r\\n"),
                key.replace('\n', "\\\\n"),
                key.replacen('\n', "\\n", 2),
                key.trim_end().to_owned() + "\\n",
                key.trim_end().to_owned() + "\\n\n",
            ] {
                assert_eq!(repairs(&escaped, &key), ["had its line breaks written as \\n"], "{kind:?}");
            }
            let quoted = format!("\"{}\"", key.replace('\n', "\\n"));
            assert_eq!(repairs(&quoted, &key), ["was in quotes", "had its line breaks written as \\n"]);
            let wrapped = BASE64_STANDARD.encode(&key);
            assert_eq!(repairs(&wrapped, &key), ["was wrapped in base64"]);
            let (first, second) = wrapped.split_at(76);
            assert_eq!(repairs(&format!("{first}\n{second}\n"), &key), ["was wrapped in base64"]);
        }
    }

    #[test]
    fn the_error_about_an_unusable_key_does_not_show_it() {
        let key = generated(&["-t", "ed25519", "-N", ""]);
        let cut = &key[..key.len() - 60];
        for (text, message) in [
            (generated(&["-t", "ed25519", "-N", "hunter2"]), "the private key is protected by a passphrase"),
            (generated(&["-m", "PEM", "-N", "hunter2"]), "the private key is protected by a passphrase"),
            (cut.to_owned(), "the private key is cut off"),
            ("ssh-ed25519 AAAAC3Nza me@here".to_owned(), "that is a public key"),
            (
                "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none".to_owned(),
                "the private key is in PuTTY's format",
            ),
            ("hello\nworld".to_owned(), "that is not a private key"),
            (" \n".to_owned(), "the private key is empty"),
        ] {
            let (error, help) = read(&text).unwrap_err();
            assert_eq!(error, message);
            assert!(!help.contains("hunter2"));
        }
    }

    #[test]
    fn a_path_is_not_a_key() {
        for path in [
            "/home/ann/.ssh/id_ed25519",
            "deploy key",
            "~/.ssh/a-very-long-name-of-a-key-that-is-longer-than-sixty-four-characters",
            "-",
        ] {
            assert!(!is_key(path), "{path}");
        }
    }
}
