//! Parses `.env` files like Compose.
//!
//! Owns the syntax: comments, `export`, quotes, multi-line values, escapes, variables in values. Follows
//! compose-go's dotenv package (<https://github.com/compose-spec/compose-go/tree/main/dotenv>), not
//! the shell.

use super::variables::{SubstitutionError, Variable, Variables, substitute};

/// Size of the largest file that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Number of nodes that parsing a file counts as.
pub(super) fn size(bytes: &[u8]) -> usize {
    1 + bytes.len().min(MAX_BYTES) / 16
}

/// Syntax error in a file. Never quotes the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DotenvError {
    /// The problem.
    pub(super) message: String,
    /// The line number, counted from 1.
    pub(super) line: usize,
}

/// Content of a file.
#[derive(Debug, Default)]
pub(super) struct Dotenv {
    /// The variables it defines.
    pub(super) variables: Variables,
    /// Names without a value, which are passed on if the environment has them.
    pub(super) inherited: Vec<String>,
}

/// Parses a file. Values may use variables of the file and of `environment`. The environment wins over the
/// file, and its earlier parts win over later ones.
pub(super) fn parse(bytes: &[u8], environment: &[&Variables]) -> Result<Dotenv, DotenvError> {
    if bytes.len() > MAX_BYTES {
        let message = format!("the file is larger than {} MiB", MAX_BYTES >> 20);
        return Err(DotenvError { message, line: 1 });
    }
    let text = std::str::from_utf8(bytes).map_err(|err| DotenvError {
        message: "the file is not UTF-8".into(),
        line: 1 + bytes[..err.valid_up_to()].iter().filter(|b| **b == b'\n').count(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = DotenvReader { text, rest: text, environment, out: Dotenv::default(), size: 0 };
    while reader.statement()? {}
    Ok(reader.out)
}

struct DotenvReader<'a> {
    text: &'a str,
    rest: &'a str,
    environment: &'a [&'a Variables],
    out: Dotenv,
    size: usize,
}

impl DotenvReader<'_> {
    fn fail(&self, message: &str) -> DotenvError {
        let before = &self.text[..self.text.len() - self.rest.len()];
        DotenvError { message: message.to_owned(), line: 1 + before.matches('\n').count() }
    }

    /// Parses one assignment. Returns `false` at the end of the file.
    fn statement(&mut self) -> Result<bool, DotenvError> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                break;
            }
            self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
        }
        if self.rest.is_empty() {
            return Ok(false);
        }
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(char::is_whitespace)
        {
            self.rest = after.trim_start();
        }
        let end = self.rest.find(['=', ':', '\n']);
        let name = self.rest[..end.unwrap_or(self.rest.len())].trim_end();
        let bad = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']'));
        if let Some(found) = name.chars().find(|c| bad(*c)) {
            let what = if is_space(found) {
                "a variable name cannot contain a space"
            } else {
                "unexpected character in a variable name"
            };
            return Err(self.fail(what));
        }
        let name = name.to_owned();
        let inherits = end.is_none_or(|end| self.rest[end..].starts_with('\n'));
        self.rest = end.map_or("", |end| &self.rest[end + 1..]);
        if inherits {
            if let Some(value) = self.environment.iter().find_map(|part| part.get(&name)) {
                self.out.variables.set(&name, value.clone());
            } else {
                self.out.inherited.push(name);
            }
            return Ok(true);
        }
        self.rest = self.rest.trim_start_matches(is_space);
        let value = self.value()?;
        // Like compose-go, ignores names that start with a digit.
        if !name.starts_with(|c: char| c.is_ascii_digit()) {
            self.out.variables.set(&name, value);
        }
        Ok(true)
    }

    fn value(&mut self) -> Result<Variable, DotenvError> {
        let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            let (line, rest) = match self.rest.split_once('\n') {
                Some((line, rest)) => (line, rest),
                None => (self.rest, ""),
            };
            let line = line.split(" #").next().unwrap_or("").trim_end();
            let value = self.expand(line)?;
            self.rest = rest;
            return Ok(value);
        };
        let body = &self.rest[1..];
        let mut raw = String::new();
        let mut chars = body.char_indices();
        let end = loop {
            match chars.next() {
                None => return Err(self.fail("unterminated quoted value")),
                Some((end, c)) if c == quote => break end,
                Some((_, '\\')) => match chars.next() {
                    None => return Err(self.fail("unterminated quoted value")),
                    Some((_, c)) if c == quote => raw.push(c),
                    Some((_, c)) => raw.extend(['\\', c]),
                },
                Some((_, c)) => raw.push(c),
            }
        };
        let value = if quote == '"' {
            self.expand(&unescape(&raw))?
        } else {
            Variable { text: raw, ..Variable::default() }
        };
        self.rest = &body[end + 1..];
        Ok(value)
    }

    fn expand(&mut self, text: &str) -> Result<Variable, DotenvError> {
        let own = &self.out.variables;
        let environment = self.environment;
        let lookup =
            |name: &str| environment.iter().find_map(|part| part.get(name)).or_else(|| own.get(name));
        let value = substitute(text, &lookup).map_err(|err| self.fail(&err.to_string()))?;
        self.size += value.text.len();
        if self.size > 4 * MAX_BYTES {
            return Err(self.fail(&SubstitutionError::TooLarge.to_string()));
        }
        Ok(value)
    }
}

/// Whether a character is white space within a line.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// Replaces the escapes of double quotes: `\n` and similar ones, `\"`, `\\`, `\0` with octal digits, and `\$`
/// for a literal dollar.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let Some(c) = after.chars().next() else {
            out.push('\\');
            return out;
        };
        rest = &after[c.len_utf8()..];
        match c {
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            '$' => out.push_str("$$"),
            '"' | '\\' => out.push(c),
            '0' => {
                let digits: String = rest.chars().take(3).take_while(char::is_ascii_digit).collect();
                rest = &rest[digits.len()..];
                match u8::from_str_radix(&digits, 8).ok().filter(|_| digits.len() == 3) {
                    Some(byte) => out.push(char::from(byte)),
                    // compose-go drops the zero of an invalid escape.
                    None => {
                        out.push('\\');
                        out.push_str(&digits);
                    }
                }
            }
            c => {
                out.push('\\');
                out.push(c);
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let read = parse(text.as_bytes(), &[]).unwrap();
        read.variables.iter().map(|(name, value)| (name.to_owned(), value.text.clone())).collect()
    }

    fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
        wanted.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_form_of_assignment_is_read() {
        let text = "\u{feff}# comment\nA=1\nexport B = two words  # tail\n\nC: yaml\nD=a#b\nE=\nF='$A \\n'\r\n9=x\n\
                    G=\"say \\\"hi\\\"\\n${A} \\$A\"\nH=\"two\nlines\"\nI=$A-${NO:-d}\nJ=$$A";
        let wanted = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "yaml"),
            ("D", "a#b"),
            ("E", ""),
            ("F", "$A \\n"),
            ("G", "say \"hi\"\n1 $A"),
            ("H", "two\nlines"),
            ("I", "1-d"),
            ("J", "$A"),
        ];
        assert_eq!(read(text), pairs(&wanted));
    }

    #[test]
    fn escapes_are_those_of_compose_go() {
        let text = r#"A='it\'s'
B="\0101\07 \t\q"
"#;
        assert_eq!(read(text), pairs(&[("A", "it's"), ("B", "A\\7 \t\\q")]));
    }

    #[test]
    fn the_environment_wins_in_what_is_substituted() {
        let mut environment = Variables::default();
        environment.set("A", Variable { text: "outer".to_owned(), ..Variable::default() });
        let read = parse(b"A=inner\nB=$A\nC=$HOST\nPASSED", &[&environment]).unwrap();
        assert_eq!(read.variables.get("A").unwrap().text, "inner");
        assert_eq!(read.variables.get("B").unwrap().text, "outer");
        assert_eq!(read.variables.get("C").unwrap().text, "${HOST}");
        assert_eq!(read.variables.get("C").unwrap().unknown.len(), 1);
        assert_eq!(read.inherited, ["PASSED"]);
    }

    #[test]
    fn errors_name_the_line_and_no_value() {
        for (text, line, message) in [
            ("A=1\nB=\"open secret", 2, "unterminated quoted value"),
            ("A=1\n\nTWO WORDS=x", 3, "a variable name cannot contain a space"),
            ("A!=x", 1, "unexpected character in a variable name"),
        ] {
            let problem = parse(text.as_bytes(), &[]).unwrap_err();
            assert_eq!(problem, DotenvError { message: message.to_owned(), line }, "{text}");
        }
        let problem = parse(b"A=1\nB=\xff", &[]).unwrap_err();
        assert_eq!(problem, DotenvError { message: "the file is not UTF-8".to_owned(), line: 2 });
    }

    #[test]
    fn a_file_over_the_limit_is_an_error() {
        assert!(parse(&vec![b'#'; MAX_BYTES], &[]).is_ok());
        assert!(parse(&vec![b'#'; MAX_BYTES + 1], &[]).is_err());
    }

    #[test]
    fn values_that_are_too_long_together_are_an_error() {
        let copies = |count: usize| {
            let copies: String = (0..count).map(|number| format!("B{number}=$A\n")).collect();
            parse(format!("A={}\n{copies}", "x".repeat(MAX_BYTES / 2)).as_bytes(), &[])
        };
        // With the value that they copy these are 4 MiB.
        assert!(copies(7).is_ok() && copies(8).is_err());
    }

    #[test]
    fn variables_that_multiply_end_in_an_error() {
        let lines = (1..100).map(|i| format!("A{i}=${{A{}}}${{A{}}}\n", i - 1, i - 1));
        let text = format!("A0=xxxxxxxx\n{}", lines.collect::<String>());
        assert!(parse(text.as_bytes(), &[]).is_err());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".*|([A-C=:'\"\\\\ #$\n]|export ){0,40}") {
            let _ = parse(text.as_bytes(), &[]);
        }

        #[test]
        fn single_quotes_keep_any_text(text in "[^'\\\\]*") {
            prop_assert_eq!(read(&format!("A='{text}'")), pairs(&[("A", &text)]));
        }
    }
}
