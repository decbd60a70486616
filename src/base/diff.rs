//! Unified diffs, and names of files that must not be shown in one. Pure.

use similar::TextDiff;

/// Returns the unified diff from the content on the host to the wanted content: `None` if one of them is not
/// text, empty if they are equal.
#[must_use]
pub fn unified(path: &str, host: Option<&[u8]>, wanted: Option<&[u8]>) -> Option<String> {
    let text = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) if bytes.contains(&0) => None,
        Some(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
        None => Some(String::new()),
    };
    let (old, new) = (text(host)?, text(wanted)?);
    let name = |bytes: Option<&[u8]>, side: &str| match bytes {
        // Escaped, so that the name is always one line.
        Some(_) => format!("{side}/{}", path.escape_debug()),
        None => "/dev/null".to_owned(),
    };
    let (from, to) = (name(host, "host"), name(wanted, "repository"));
    Some(TextDiff::from_lines(&old, &new).unified_diff().context_radius(3).header(&from, &to).to_string())
}

/// Whether a file of this name usually holds secrets.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ends = [".env", ".key", ".pem", ".p12", ".pfx", ".htpasswd", ".netrc", ".pgpass"];
    name == ".env"
        || name.starts_with(".env.")
        || ends.iter().any(|end| name.ends_with(end))
        || name.contains("secret")
        || name.contains("password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_old_side() {
        insta::assert_snapshot!(unified("services/blog/a", Some(b"1\n2\n3\n"), Some(b"1\ntwo\n3\n")).unwrap(), @"
        --- host/services/blog/a
        +++ repository/services/blog/a
        @@ -1,3 +1,3 @@
         1
        -2
        +two
         3
        ");
        insta::assert_snapshot!(unified("a\nb", None, Some(b"new")).unwrap(), @r"
        --- /dev/null
        +++ repository/a\nb
        @@ -0,0 +1 @@
        +new
        \ No newline at end of file
        ");
        assert_eq!(unified("a", Some(b"same"), Some(b"same")).unwrap(), "");
        assert_eq!(unified("a", Some(b"\0"), Some(b"x")), None);
        assert_eq!(unified("a", Some(b"\xff"), Some(b"x")), None);
    }

    #[test]
    fn files_named_like_secrets_count_as_secrets() {
        for name in [".env", ".env.production", "app.env", "tls.key", "db_password.txt", "Secrets.yml"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["nginx.conf", "environment.yml", "keyboard.txt", "compose.yml"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
