//! The words of the command line, also those in GHDEPLOY_ARGS.

use std::ffi::OsString;

use crate::base::error::{Error, Result};

/// The command line, followed by the options in GHDEPLOY_ARGS, quoted as in a shell: the action passes them
/// that way.
///
/// # Errors
///
/// When a quote is not closed there.
pub(in crate::cli) fn typed() -> Result<Vec<OsString>> {
    let mut typed: Vec<OsString> = std::env::args_os().collect();
    if let Ok(more) = std::env::var("GHDEPLOY_ARGS") {
        let more = words(&more).ok_or_else(|| {
            Error::usage("GHDEPLOY_ARGS has a quote that is not closed")
                .help("it is split into words the way a shell does; the action's input `args` goes there")
        })?;
        typed.extend(more.into_iter().map(OsString::from));
    }
    Ok(typed)
}

/// Splits a text into words the way a shell does, which first joins lines that end with a backslash.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut joined, mut quote) = (String::new(), None);
    // A text that was written in a browser has Windows line ends.
    let text = text.replace("\r\n", "\n");
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => match rest.next() {
                Some('\n') => {}
                next => joined.extend(std::iter::once('\\').chain(next)),
            },
            ('\'' | '"', None) => {
                quote = Some(c);
                joined.push(c);
            }
            _ => {
                quote = quote.filter(|quote| *quote != c);
                joined.push(c);
            }
        }
    }
    shlex::split(&joined)
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn options_that_come_as_one_text_are_split_as_a_shell_would() {
        assert_eq!(
            words("--project 'a b' --force\n--prune").unwrap(),
            ["--project", "a b", "--force", "--prune"]
        );
        assert_eq!(words("$(touch x) ; y").unwrap(), ["$(touch", "x)", ";", "y"]);
        assert_eq!(words("--project 'a"), None);
        assert_eq!(
            words("--base x \\\n  --project\\\r\n wiki").unwrap(),
            ["--base", "x", "--project", "wiki"]
        );
        assert_eq!(words("'a\\\nb' \"c\\\nd\" e\\\\ f\\'").unwrap(), ["a\\\nb", "cd", "e\\", "f'"]);
        assert_eq!(words("--prune # a comment's\n--force").unwrap(), ["--prune", "--force"]);
    }
}
