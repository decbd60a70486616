//! Makes foreign text harmless: names of files, projects and services, messages, log lines.
//!
//! Owns what may reach a terminal or a workflow's log. GitHub's runner treats a line as a command if it
//! starts with `::` after leading white space, or if it contains `##[`, the older form, anywhere ([its
//! parser](https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs)).

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes `text` so that it fits on one line and has no effect.
///
/// Control characters and those that change the direction of writing become escapes (`\n`, `\u{1b}`). A
/// backslash beside them is doubled, and anything that the runner would treat as a command is broken up. All
/// other text, in any script, stays unchanged.
#[must_use]
pub fn name(text: &str) -> Cow<'_, str> {
    let commands = text.trim_start().starts_with(':') || text.contains("##[");
    if !commands && !text.chars().any(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut at_start = true;
    let mut hashes = 0;
    for c in text.chars() {
        match c {
            '\\' => shown.push_str("\\\\"),
            ':' if at_start => shown.push_str("\\u{3a}"),
            '[' if hashes >= 2 => shown.push_str("\\u{5b}"),
            c if is_unseen(c) => {
                let _ = write!(shown, "{}", c.escape_default());
            }
            c => shown.push(c),
        }
        at_start = at_start && c.is_whitespace();
        hashes = if c == '#' { hashes + 1 } else { 0 };
    }
    Cow::Owned(shown)
}

/// Escapes a line of a file with [`name`], but keeps its tabs.
pub(super) fn kept_tabs(line: &str) -> String {
    line.split('\t').map(name).collect::<Vec<_>>().join("\t")
}

/// Splits a message into lines, each escaped with [`name`].
pub fn lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.lines().map(name)
}

/// Whether a character moves the cursor, or hides or reverses text, instead of being visible.
///
/// Besides control characters, these are line and paragraph separators, direction marks and overrides, and
/// zero-width spaces. Joiners stay, because scripts and emoji need them.
pub(super) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_names_in_any_script_stay_unchanged() {
        for plain in ["a b", "größe/日本語.txt", "👩‍💻", "C:\\x", "100%0A", "a::b", "#[x]"] {
            assert_eq!(name(plain), plain);
        }
    }

    #[test]
    fn what_moves_the_cursor_is_shown() {
        assert_eq!(name("a\nb\r\t\u{1b}[2Jc"), "a\\nb\\r\\t\\u{1b}[2Jc");
        assert_eq!(name("a\u{202e}txt.exe\u{9b}"), "a\\u{202e}txt.exe\\u{9b}");
        assert_eq!(name("a\\n\n"), "a\\\\n\\n", "an escape is not to be had by writing one");
    }

    #[test]
    fn what_the_runner_takes_for_a_command_is_broken_up() {
        assert_eq!(name("::set-output name=a::b"), "\\u{3a}:set-output name=a::b");
        assert_eq!(name("  ::stop-commands::x"), "  \\u{3a}:stop-commands::x");
        assert_eq!(name("x ###[set-env name=PATH]/tmp"), "x ###\\u{5b}set-env name=PATH]/tmp");
        assert_eq!(name(":"), "\\u{3a}", "a colon of ours may follow");
    }

    proptest! {
        #[test]
        fn every_name_is_one_harmless_line(text in "[:#\\[\\n\\r \\u{1b}\\u{85}\\u{2028}\\\\a-c]{0,12}|\\PC{0,20}") {
            let shown = name(&text);
            prop_assert!(!shown.chars().any(is_unseen));
            prop_assert!(!shown.trim_start().starts_with(':'));
            prop_assert!(!shown.contains("##["));
        }
    }
}
