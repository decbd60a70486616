//! A private key as it comes out of a secret store, made fit for OpenSSH.
//!
//! Owns what goes wrong on a key's way through browsers and secret stores: Windows line ends, line breaks
//! that became spaces or `\n`, a missing last newline, base64 around the whole. All of that can be mended
//! without a doubt, and is said. Pure; never shows any part of a key.

use base64::prelude::{BASE64_STANDARD, Engine};

use crate::base::secret::Secret;

/// A private key that OpenSSH can read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The key, with a newline at its end.
    pub(super) text: Secret,
    /// What had to be mended, as a fragment of a sentence.
    pub(super) mended: Vec<&'static str>,
}

/// Whether a text is a private key, or is meant to be one, and no path.
#[must_use]
pub(super) fn is_key(text: &str) -> bool {
    text.contains("PRIVATE KEY") || text.contains('\n') || text.contains('\r') || unwrapped(text).is_some()
}

/// Reads a private key.
///
/// # Errors
///
/// What the text is instead, and what to do: a public key, a key of `PuTTY`, one that is cut off or protected
/// by a passphrase.
pub(super) fn read(text: &str) -> Result<Key, (&'static str, &'static str)> {
    let mut mended = Vec::new();
    let mut text = text.trim_start_matches('\u{feff}').trim().to_owned();
    if text.is_empty() {
        return Err(("the private key is empty", "check that the secret exists and has this name"));
    }
    if let Some(inner) = unwrapped(&text) {
        mended.push("was wrapped in base64");
        inner.trim().clone_into(&mut text);
    }
    if text.contains('\r') {
        mended.push("had Windows line ends");
        text = text.replace("\r\n", "\n").replace('\r', "\n");
    }
    if !text.contains('\n') && text.contains("\\n") {
        mended.push("had its line breaks written as \\n");
        text = text.replace("\\n", "\n").trim_end().to_owned();
    }
    if text.starts_with("PuTTY-User-Key-File") {
        return Err((
            "the private key is one of PuTTY",
            "convert it: `puttygen key.ppk -O private-openssh -o key`",
        ));
    }
    if ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| text.starts_with(kind)) {
        return Err(("that is a public key", "give the private one: the file without .pub"));
    }
    let Some(parts) = Parts::of(&text) else {
        return Err(if text.starts_with("-----BEGIN ") {
            (
                "the private key is cut off",
                "copy the whole file, from the line with BEGIN to the line with END",
            )
        } else {
            (
                "that is no private key",
                "give the content of the file that ssh-keygen made, from the line with BEGIN to the line with END",
            )
        });
    };
    if !text[..text.len() - parts.end.len()].ends_with('\n') || !parts.body.starts_with('\n') {
        mended.push("had lost its line breaks");
        text = parts.rebuilt();
    }
    if is_encrypted(&text) {
        return Err((
            "the private key is protected by a passphrase, and there is nobody to ask",
            "use a key of its own for deploys: `ssh-keygen -t ed25519 -N '' -f deploy_key`",
        ));
    }
    text.push('\n');
    Ok(Key { text: Secret::new(text), mended })
}

/// The three parts of a key in PEM's armour.
struct Parts<'a> {
    begin: &'a str,
    body: &'a str,
    end: &'a str,
}

impl<'a> Parts<'a> {
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

/// The text inside base64, if it is a key.
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
/// OpenSSH's [own form](https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key) starts with.
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

    /// A key as ssh-keygen makes it.
    fn made(arguments: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-f"]).arg(&path).args(arguments).status().unwrap();
        assert!(made.success());
        std::fs::read_to_string(path).unwrap()
    }

    fn mended(text: &str, key: &str) -> Vec<&'static str> {
        let read = read(text).unwrap();
        assert_eq!(read.text.reveal(), key);
        assert!(is_key(text));
        read.mended
    }

    #[test]
    fn what_browsers_and_secret_stores_do_to_a_key_is_mended_and_said() {
        for kind in [["-t", "ed25519"], ["-t", "rsa"], ["-m", "PEM"]] {
            let key = made(&[kind.as_slice(), &["-N", ""]].concat());
            assert_eq!(mended(&key, &key), [""; 0]);
            assert_eq!(
                mended(key.trim_end(), &key),
                [""; 0],
                "a missing last newline is nothing to speak of"
            );
            assert_eq!(mended(&format!("\n  {key}\n\n"), &key), [""; 0]);
            assert_eq!(mended(&key.replace('\n', "\r\n"), &key), ["had Windows line ends"]);
            assert_eq!(mended(&key.replace('\n', " "), &key), ["had lost its line breaks"]);
            assert_eq!(mended(&key.replace('\n', "\\n"), &key), ["had its line breaks written as \\n"]);
            let wrapped = BASE64_STANDARD.encode(&key);
            assert_eq!(mended(&wrapped, &key), ["was wrapped in base64"]);
            let (first, second) = wrapped.split_at(76);
            assert_eq!(mended(&format!("{first}\n{second}\n"), &key), ["was wrapped in base64"]);
        }
    }

    #[test]
    fn what_cannot_be_mended_is_told_without_showing_it() {
        let key = made(&["-t", "ed25519", "-N", ""]);
        let cut = &key[..key.len() - 60];
        for (text, message) in [
            (
                made(&["-t", "ed25519", "-N", "hunter2"]),
                "the private key is protected by a passphrase, and there is nobody to ask",
            ),
            (
                made(&["-m", "PEM", "-N", "hunter2"]),
                "the private key is protected by a passphrase, and there is nobody to ask",
            ),
            (cut.to_owned(), "the private key is cut off"),
            ("ssh-ed25519 AAAAC3Nza me@here".to_owned(), "that is a public key"),
            (
                "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none".to_owned(),
                "the private key is one of PuTTY",
            ),
            ("hello\nworld".to_owned(), "that is no private key"),
            (" \n".to_owned(), "the private key is empty"),
        ] {
            let (told, help) = read(&text).unwrap_err();
            assert_eq!(told, message);
            assert!(!help.contains("hunter2"));
        }
    }

    #[test]
    fn a_path_is_no_key() {
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
