//! Finds private keys and access keys of AWS in files of the repository. Everyone who reads the repository
//! has them.

use super::HostProjects;
use crate::base::diagnostic::{Diagnostic, Location};

/// Size of the largest file that is searched, in bytes: keys and configuration are small.
const MAX_SEARCHED_BYTES: u64 = 1 << 20;

pub(super) fn check(host: &HostProjects<'_>) -> Vec<Diagnostic> {
    let entries = host.projects.iter().flat_map(|project| &project.manifest.0);
    let searched = entries.filter(|(_, entry)| (1..=MAX_SEARCHED_BYTES).contains(&entry.size));
    searched
        .filter_map(|(path, _)| Some(secrets(&host.files.shown(path), &host.files.read(path).ok()??)))
        .flatten()
        .collect()
}

/// The lines of a file that look like a secret, without what they hold.
fn secrets(path: &str, content: &[u8]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (number, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let (what, column) = if let Some(column) = private_key(line) {
            ("a private key", column)
        } else if let Some(column) = aws_key(line).or_else(|| aws_secret(line)) {
            ("an AWS access key", column)
        } else {
            continue;
        };
        let at = Location { path: path.to_owned(), line: number + 1, column: column + 1 };
        found.push(Diagnostic::warning(format!("{what} is in the repository"), Some(at)).help(
            "everyone who reads the repository has it: remove it from the history, create a new one, and keep that on the host",
        ));
    }
    found
}

/// Column of `-----BEGIN … PRIVATE KEY-----`, counted from 0.
fn private_key(line: &[u8]) -> Option<usize> {
    let begin = find(line, b"-----BEGIN ")?;
    find(&line[begin..], b"PRIVATE KEY-----").map(|_| begin)
}

/// Column of an access key id: `AKIA` or `ASIA` and sixteen more, in a word of its own.
fn aws_key(line: &[u8]) -> Option<usize> {
    const LENGTH: usize = 20;
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric();
    (0..=line.len().checked_sub(LENGTH)?).find(|&at| {
        let key = &line[at..at + LENGTH];
        (key.starts_with(b"AKIA") || key.starts_with(b"ASIA"))
            && key.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            && !(at > 0 && is_word(&line[at - 1]))
            && !line.get(at + LENGTH).is_some_and(is_word)
    })
}

/// Column of a secret access key: forty characters of base64 after its name.
fn aws_secret(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"secret_access_key";
    const LENGTH: usize = 40;
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+');
    let name = find(&line.to_ascii_lowercase(), NAME)? + NAME.len();
    let begin = name + line[name..].iter().position(is_base64)?;
    let is_between = |byte: &u8| matches!(byte, b' ' | b'\t' | b'=' | b':' | b'"' | b'\'');
    let length = line[begin..].iter().take_while(|byte| is_base64(byte)).count();
    (line[name..begin].iter().all(is_between) && length == LENGTH).then_some(begin)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_their_form_and_not_shown() {
        let content = b"key: AKIAIOSFODNN7EXAMPLE\nx\n  -----BEGIN OPENSSH PRIVATE KEY-----\n-----BEGIN PUBLIC KEY-----\nXAKIAIOSFODNN7EXAMPLE AKIAIOSFODNN7EXAMPLEs AKIAshort";
        let found: Vec<String> = secrets("services/a/x", content)
            .iter()
            .map(|found| format!("{}: {}", found.at.as_ref().unwrap(), found.message))
            .collect();
        assert_eq!(
            found,
            [
                "services/a/x:1:6: an AWS access key is in the repository",
                "services/a/x:3:3: a private key is in the repository",
            ]
        );
        let keys = b"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\naws_secret_access_key: '${SECRET}'\n";
        assert_eq!(secrets("x", keys).len(), 1);
        assert!(secrets("x", b"").is_empty() && secrets("x", b"short").is_empty());
    }
}
