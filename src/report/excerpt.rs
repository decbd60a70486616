//! The source line that a message is about, without secrets.
//!
//! Of env files nothing is shown: a line of theirs may be a part of a value that has several, and then nothing in
//! it tells. Only YAML files are shown. Even they contain values that must not reach a log. A value is shown only
//! if its name looks neither like an environment variable nor like a secret, and the value looks neither like a
//! key nor like a token. Nothing below `notify:` is shown, and no path of a webhook. A hidden value is shown as
//! `***`, whatever its length.

use super::Sources;
use super::escape::is_unseen;
use crate::base::diagnostic::Location;
use crate::base::secret::has_password_hash;

/// Largest source that is searched, in bytes. A larger one is not written by hand.
const MAX_SOURCE: usize = 1 << 20;

/// Characters of a line that are shown, with the place in the middle.
const WIDTH: usize = 100;

/// Excerpt of one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The text, escaped.
    pub(super) line: String,
    /// Number of characters before the place.
    pub(super) caret: usize,
}

/// Looks lines up. It keeps the source that was used last, because messages come file by file.
pub(super) struct Excerpts<'a> {
    sources: Sources<'a>,
    last: Option<(String, Vec<String>)>,
    /// The line that was shown last, with its number: many messages may be about one long line.
    line: Option<(usize, Line)>,
}

/// A line and its characters that must not be shown.
struct Line {
    chars: Vec<char>,
    hidden: Vec<bool>,
}

impl<'a> Excerpts<'a> {
    pub(super) fn new(sources: Sources<'a>) -> Self {
        Self { sources, last: None, line: None }
    }

    /// Returns the line at `at`; `None` if the source or the line does not exist.
    pub(super) fn at(&mut self, at: &Location) -> Option<Excerpt> {
        if !is_shown(&at.path) {
            return None;
        }
        if self.last.as_ref().is_none_or(|(path, _)| *path != at.path) {
            let text = (self.sources)(&at.path).filter(|text| text.len() <= MAX_SOURCE).unwrap_or_default();
            self.last = Some((at.path.clone(), text.lines().map(str::to_owned).collect()));
            self.line = None;
        }
        let (_, lines) = self.last.as_ref()?;
        let number = at.line.checked_sub(1)?;
        if self.line.as_ref().is_none_or(|(shown, _)| *shown != number) {
            let mut line = Line::new(lines.get(number)?);
            if is_address_list(lines, number) {
                line.hide_values();
            }
            self.line = Some((number, line));
        }
        let (_, line) = self.line.as_ref()?;
        Some(line.excerpt(at.column))
    }
}

/// Whether lines of a file may be shown: it is YAML.
fn is_shown(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    (file.ends_with(".yml") || file.ends_with(".yaml")) && !file.starts_with(".env")
}

/// Whether a line belongs to `notify:` of ghdeploy.yml, where an address that is a secret may stand by mistake.
fn is_address_list(lines: &[String], number: usize) -> bool {
    let is_key =
        |line: &&String| line.starts_with(|c: char| !c.is_whitespace() && !matches!(c, '#' | '-' | '}'));
    let section = lines[..=number].iter().rev().find(is_key);
    section.is_some_and(|line| line.trim_start_matches(['"', '\'', '{', ' ']).starts_with("notify"))
}

impl Line {
    fn new(line: &str) -> Self {
        let chars: Vec<char> = line.trim_end().chars().collect();
        let hidden = hidden(&chars);
        Self { chars, hidden }
    }

    /// Hides all but the first key.
    fn hide_values(&mut self) {
        let is_end = |at: &usize| {
            self.chars[*at] == ':' && self.chars.get(at + 1).is_none_or(|next| next.is_whitespace())
        };
        let key = (0..self.chars.len()).find(is_end).map_or(0, |at| at + 1);
        let value = (key..self.chars.len()).find(|at| !self.chars[*at].is_whitespace());
        let value = value.unwrap_or(self.chars.len());
        self.hidden[value..].fill(true);
    }

    fn excerpt(&self, column: usize) -> Excerpt {
        excerpt(&self.chars, &self.hidden, column)
    }
}

fn excerpt(chars: &[char], hidden: &[bool], column: usize) -> Excerpt {
    let place = column.saturating_sub(1).min(chars.len());
    let start = place.saturating_sub(WIDTH / 2);
    let mut shown = String::new();
    let mut caret = 0;
    for index in start..chars.len().min(start + WIDTH) {
        if index == place {
            caret = shown.chars().count();
        }
        if !hidden[index] {
            match chars[index] {
                '\t' => shown.push(' '),
                c if is_unseen(c) => shown.extend(c.escape_default()),
                '[' if shown.ends_with("##") => shown.push_str("\\u{5b}"),
                c => shown.push(c),
            }
        } else if index == start || !hidden[index - 1] {
            shown.push_str("***");
        }
    }
    if place == chars.len() {
        caret = shown.chars().count();
    }
    Excerpt { line: shown, caret }
}

/// Marks the characters of a line that must not be shown.
fn hidden(line: &[char]) -> Vec<bool> {
    let mut hidden = vec![false; line.len()];
    let mut hide = |from: usize, to: usize| hidden[from..to].fill(true);
    for (at, c) in line.iter().enumerate() {
        let named = match c {
            '=' => true,
            ':' => line.get(at + 1).is_none_or(|next| next.is_whitespace()),
            c => c.is_whitespace(),
        };
        if !named {
            continue;
        }
        let key = word_before(line, at);
        let flag = c.is_whitespace() && !key.starts_with('-');
        if !flag && is_private(&key) && !is_variable(&line[at + 1..]) {
            let value = (at + 1..line.len()).find(|&at| !line[at].is_whitespace());
            hide(value.unwrap_or(line.len()), line.len());
            // All that follows is hidden.
            break;
        }
    }
    for (from, to) in words(line) {
        let word: String = line[from..to].iter().collect();
        if looks_random(&word) {
            hide(from, to);
        }
    }
    if let Some(from) = line.iter().position(|c| *c == '$')
        && has_password_hash(&line.iter().collect::<String>())
    {
        let to = (from..line.len()).find(|&at| matches!(line[at], '"' | '\''));
        hide(from, to.unwrap_or(line.len()));
    }
    // USER:PASSWORD@HOST, and not IMAGE:TAG@DIGEST.
    let mut colon = None;
    for (at, c) in line.iter().enumerate() {
        match c {
            c if c.is_whitespace() || "\"'{[,(".contains(*c) => colon = None,
            ':' if colon.is_none() => colon = Some(at),
            '@' if !line[at + 1..].starts_with(&['s', 'h', 'a']) => {
                if let Some(colon) = colon.filter(|colon| line[colon + 1] != '/') {
                    hide(colon + 1, at);
                    break;
                }
            }
            _ => {}
        }
    }
    let mut word_end = 0;
    for at in 0..line.len() {
        if line[at..].starts_with(&[':', '/', '/']) {
            let end = (at + 3..line.len()).find(|&at| line[at] == '/' || line[at].is_whitespace());
            let end = end.unwrap_or(line.len());
            if let Some(host) = (at + 3..end).rev().find(|&at| line[at] == '@') {
                hide(at + 3, host);
            }
            if at >= word_end {
                let is_end = |&at: &usize| line[at].is_whitespace() || "\"',}]".contains(line[at]);
                word_end = (at..line.len()).find(is_end).unwrap_or(line.len());
                let address: String = line[at..word_end].iter().collect::<String>().to_ascii_lowercase();
                // The path of a webhook is its password.
                if address.contains("hook") || address.contains('?') {
                    hide(end.min(word_end), word_end);
                }
            }
        }
    }
    hidden
}

/// Returns the name that ends before `end`.
fn word_before(line: &[char], end: usize) -> String {
    let part = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let end = if end > 0 && matches!(line[end - 1], '"' | '\'') { end - 1 } else { end };
    let start = line[..end].iter().rposition(|c| !part(c)).map_or(0, |at| at + 1);
    line[start..end].iter().collect()
}

/// Whether a name stands for a private value: an environment variable, a secret.
fn is_private(name: &str) -> bool {
    let variable =
        name.chars().any(|c| c.is_ascii_uppercase()) && !name.chars().any(|c| c.is_ascii_lowercase());
    let lower = name.to_ascii_lowercase();
    let secret = ["pass", "secret", "token", "credential", "private", "apikey", "api_key", "api-key", "pwd"];
    // `secrets:` and similar keys open a section, whose names are public.
    variable
        || (!lower.ends_with('s') || lower.ends_with("pass"))
            && secret.iter().any(|word| lower.contains(word))
}

/// Whether a value is only the name of a variable: `${DB_PASSWORD}`.
fn is_variable(value: &[char]) -> bool {
    // No name of a variable is longer, and a line may be.
    const MAX_CHARS: usize = 200;
    let value: String =
        value.iter().filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\'')).take(MAX_CHARS).collect();
    let Some(name) = value.strip_prefix('$') else { return false };
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Splits a line at blanks, quotes and punctuation.
fn words(line: &[char]) -> Vec<(usize, usize)> {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '/' | '.' | '$');
    let mut words = Vec::new();
    let mut start = None;
    for (at, &c) in line.iter().enumerate() {
        match (inside(c), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                words.push((from, at));
                start = None;
            }
            _ => {}
        }
    }
    words.extend(start.map(|from| (from, line.len())));
    words
}

/// Whether a word looks like a key, a token or a hash rather than a name or a path.
fn looks_random(word: &str) -> bool {
    let has = |class: fn(&char) -> bool| word.chars().any(|c| class(&c));
    let (upper, lower) = (has(char::is_ascii_uppercase), has(char::is_ascii_lowercase));
    let digit = has(char::is_ascii_digit);
    let dotted = word.contains('.') || word.starts_with('/') || word.starts_with('$');
    let hex = word.len() >= 32 && word.chars().all(|c| c.is_ascii_hexdigit());
    let token = word.len() >= 20 && upper && digit && (lower || !word.contains(['_', '-']));
    hex || word.starts_with("eyJ") && word.len() >= 20 || !dotted && token
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        excerpt(line, 1).line
    }

    fn excerpt(line: &str, column: usize) -> Excerpt {
        Line::new(line).excerpt(column)
    }

    #[test]
    fn addresses_of_webhooks_are_not_shown() {
        let text = "services: x\nnotify:\n  slack: https://example.com/T0/B0/secret # secret\n  - secret\n  start: false\nhosts: {web: {url: https://example.com/a}}\n";
        let sources = |_: &str| Some(text.to_owned());
        let mut excerpts = Excerpts::new(&sources);
        let mut at = |line| {
            let place = Location { path: "ghdeploy.yml".to_owned(), line, column: 1 };
            excerpts.at(&place).unwrap().line
        };
        assert_eq!([at(3), at(4), at(5)], ["  slack: ***", "  ***", "  start: ***"]);
        assert_eq!([at(2), at(6)], ["notify:", "hosts: {web: {url: https://example.com/a}}"]);
        let one = |_: &str| Some("{notify: {slack: secret}}".to_owned());
        let place = Location { path: "ghdeploy.yml".to_owned(), line: 1, column: 5 };
        assert_eq!(Excerpts::new(&one).at(&place).unwrap().line, "{notify: ***");
        for (line, safe) in [
            ("  url: https://hooks.slack.com/services/T0/B0/secret", "  url: https://hooks.slack.com***"),
            ("  url: 'https://me:secret@example.com/x?key=secret'", "  url: 'https://***@example.com***'"),
        ] {
            assert_eq!(shown(line), safe);
        }
    }

    #[test]
    fn a_long_line_is_looked_at_once() {
        // Each of these took minutes when the work grew with the square of the length.
        for part in ["A= ", "A=$B ", "x", "://", "://a?", "A: ${B}c ", " "] {
            let line = part.repeat((1 << 18) / part.len());
            let sources = |_: &str| Some(line.clone());
            let mut excerpts = Excerpts::new(&sources);
            for column in 0..2_000 {
                let place = Location { path: "ghdeploy.yml".to_owned(), line: 1, column: column * 500 };
                assert!(excerpts.at(&place).unwrap().line.len() <= WIDTH + 3);
            }
        }
    }

    #[test]
    fn files_and_images_of_a_compose_file_are_shown() {
        for line in [
            "      - ./nginx.conf:/etc/nginx/nginx.conf:ro",
            "    image: ghcr.io/owner/very-long-name-of-an-image-2024:v1.27.3",
            "    env_file: [.env.production]",
            "  DB_PASSWORD: ${DB_PASSWORD}",
            "secrets:",
            "    secrets: [db]",
            "    container_name: web",
        ] {
            assert_eq!(shown(line), line);
        }
    }

    #[test]
    fn values_are_not_shown() {
        for (line, safe) in [
            ("  POSTGRES_USER: alice", "  POSTGRES_USER: ***"),
            ("  - \"API=hunter2 and more\"", "  - \"API=***"),
            ("  password: 'hunter2'", "  password: ***"),
            ("  \"DB_PASSWORD\": hunter2", "  \"DB_PASSWORD\": ***"),
            ("  X: ${X:-hunter2}", "  X: ***"),
            ("  command: redis-server --requirepass hunter2", "  command: redis-server --requirepass ***"),
            ("  url: postgres://me:hunter2@db:5432/x", "  url: postgres://***@db:5432/x"),
            ("hosts: {web: 'me:hun:ter2@h'}", "hosts: {web: 'me:***@h'}"),
            ("  image: a/b:1@sha256:0123", "  image: a/b:1@sha256:0123"),
            ("  x-id: AKIAIOSFODNN7EXAMPLE", "  x-id: ***"),
            ("  key: ghp_16C7e42F292c6912E7710c838347Ae178B4a", "  key: ***"),
            ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj", "***"),
            ("  - \"users=ann:$apr1$x8vH2f1k$Qb0n0hUuZyIh5sYl1v3aB.\"", "  - \"users=ann:***\""),
            ("  x: $argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ", "  x: ***"),
        ] {
            assert_eq!(shown(line), safe);
        }
    }

    #[test]
    fn only_lines_of_yaml_are_shown() {
        let sources = |_: &str| Some("A=\"MIIE\nhunter2==".to_owned());
        let mut excerpts = Excerpts::new(&sources);
        let mut at = |path: &str| {
            let place = Location { path: path.to_owned(), line: 2, column: 1 };
            excerpts.at(&place).is_some()
        };
        assert!(at("services/a/compose.yml") && at("ghdeploy.YAML"));
        for path in ["services/a/.env", "services/a/prod.env", "app.conf", ".env.yml", "Dockerfile"] {
            assert!(!at(path), "{path}");
        }
    }

    #[test]
    fn the_caret_stays_at_its_place() {
        let long = format!("{}x{}", "a ".repeat(500), " b".repeat(500));
        let found = excerpt(&long, 1001);
        assert_eq!(found.line.chars().nth(found.caret), Some('x'));
        assert_eq!(found.line.chars().count(), WIDTH);
        assert_eq!(excerpt("a\u{1b}\tb", 4), Excerpt { line: "a\\u{1b} b".to_owned(), caret: 8 });
        assert_eq!(shown("# ##[group]"), "# ##\\u{5b}group]");
        assert_eq!(excerpt("ab", 3).caret, 2, "the end of a line is a place");
        assert_eq!(excerpt("A_B: secret", 8), Excerpt { line: "A_B: ***".to_owned(), caret: 8 });
    }
}
