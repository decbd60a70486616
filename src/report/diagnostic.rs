//! Shows errors and warnings the way rustc does: what happened, where, what to do.
//!
//! ```text
//! error: service `web` mounts a file that is not in the repository
//!   --> services/shop/compose.yml:14:9
//!    |
//! 14 |       - ./nginx.conf:/etc/nginx/nginx.conf:ro
//!    |         ^
//! help: add services/shop/nginx.conf, or list it under `host_files`
//! ```

use std::io::{self, Write};

use crate::base::diagnostic::{Diagnostic, Severity};
use crate::base::error::{Error, HostState};

use super::Sources;
use super::escape::{lines, name};
use super::excerpt::Excerpts;
use super::style::{Ink, Style};

/// Writes a failure, followed by the state of the host that it is about.
///
/// # Errors
///
/// When `w` fails.
pub fn error(w: &mut dyn Write, error: &Error, sources: Sources<'_>, style: Style) -> io::Result<()> {
    diagnostics(w, &error.diagnostics, sources, style)?;
    match &error.host {
        Some((host, state)) => host_state(w, host, state, style),
        None => Ok(()),
    }
}

/// Writes messages with the source lines that they are about, where `sources` has them.
///
/// # Errors
///
/// When `w` fails.
pub fn diagnostics(
    w: &mut dyn Write,
    diagnostics: &[Diagnostic],
    sources: Sources<'_>,
    style: Style,
) -> io::Result<()> {
    let mut excerpts = Excerpts::new(sources);
    for (number, diagnostic) in diagnostics.iter().enumerate() {
        if number > 0 {
            writeln!(w)?;
        }
        one(w, diagnostic, &mut excerpts, "", style)?;
    }
    Ok(())
}

/// Writes messages without source lines, each line after `indent`.
pub(super) fn brief(
    w: &mut dyn Write,
    diagnostics: &[Diagnostic],
    indent: &str,
    style: Style,
) -> io::Result<()> {
    let mut excerpts = Excerpts::new(&|_| None);
    diagnostics.iter().try_for_each(|diagnostic| one(w, diagnostic, &mut excerpts, indent, style))
}

fn host_state(w: &mut dyn Write, host: &str, state: &HostState, style: Style) -> io::Result<()> {
    let ink = match state {
        HostState::Unknown => Ink::Bad,
        HostState::Unchanged | HostState::RolledBack { .. } => Ink::Warning,
    };
    writeln!(w, "host {}: {}", style.ink(Ink::Heading, name(host)), style.ink(ink, state))
}

fn one(
    w: &mut dyn Write,
    diagnostic: &Diagnostic,
    excerpts: &mut Excerpts<'_>,
    indent: &str,
    style: Style,
) -> io::Result<()> {
    let (word, ink) = match diagnostic.severity {
        Severity::Error => ("error:", Ink::Bad),
        Severity::Warning => ("warning:", Ink::Warning),
    };
    let mut message = lines(&diagnostic.message);
    writeln!(w, "{indent}{} {}", style.ink(ink, word), message.next().unwrap_or_default())?;
    for line in message {
        writeln!(w, "{indent}  {} {line}", style.ink(Ink::Faint, "|"))?;
    }
    if let Some(at) = &diagnostic.at {
        let excerpt = excerpts.at(at);
        let number = format!("{:>2}", at.line);
        let margin = " ".repeat(number.len());
        let place = format!("{}:{}:{}", name(&at.path), at.line, at.column);
        writeln!(w, "{indent}  {} {place}", style.ink(Ink::Faint, "-->"))?;
        if let Some(excerpt) = excerpt {
            let bar = style.ink(Ink::Faint, "|");
            let caret = format!("{}^", " ".repeat(excerpt.caret));
            writeln!(w, "{indent}{margin} {bar}")?;
            writeln!(w, "{indent}{} {bar} {}", style.ink(Ink::Faint, number), excerpt.line)?;
            writeln!(w, "{indent}{margin} {bar} {}", style.ink(ink, caret))?;
        }
    }
    if let Some(help) = &diagnostic.help {
        let mut help = lines(help);
        let first = help.next().unwrap_or_default();
        writeln!(w, "{indent}{} {first}", style.ink(Ink::Help, "help:"))?;
        for line in help {
            writeln!(w, "{indent}      {line}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diagnostic::Location;
    use crate::base::error::Exit;
    use crate::report::samples::{at, text_of};

    const COMPOSE: &str =
        "services:\n  web:\n    image: nginx\n    environment:\n      DB_PASSWORD: hunter2\n";

    fn source(path: &str) -> Option<String> {
        (path == "services/shop/compose.yml").then(|| COMPOSE.to_owned())
    }

    #[test]
    fn an_error_says_what_where_and_what_to_do_and_ends_with_the_state_of_the_host() {
        let shown = Error {
            is_transient: false,
            exit: Exit::Usage,
            diagnostics: vec![
                Diagnostic::error("service `web` has no tag", Some(at("services/shop/compose.yml", 3, 12)))
                    .help("pin it\nas in nginx:1.27"),
                Diagnostic::warning(
                    "elsewhere\nand on a second line",
                    Some(at("services/x/compose.yml", 7, 1)),
                ),
                Diagnostic::error("no place at all", None),
            ],
            host: Some(("web".to_owned(), HostState::RolledBack { release: 41 })),
        };
        insta::assert_snapshot!(text_of(|w| error(w, &shown, &source, Style::default())), @"
        error: service `web` has no tag
          --> services/shop/compose.yml:3:12
           |
         3 |     image: nginx
           |            ^
        help: pin it
              as in nginx:1.27

        warning: elsewhere
          | and on a second line
          --> services/x/compose.yml:7:1

        error: no place at all
        host web: rolled back to release 41
        ");
    }

    #[test]
    fn a_line_with_a_secret_is_shown_without_it() {
        let shown =
            [Diagnostic::warning("looks like a secret", Some(at("services/shop/compose.yml", 5, 20)))];
        let text = text_of(|w| diagnostics(w, &shown, &source, Style::default()));
        assert!(!text.contains("hunter2"), "{text}");
        insta::assert_snapshot!(text, @"
        warning: looks like a secret
          --> services/shop/compose.yml:5:20
           |
         5 |       DB_PASSWORD: ***
           |                    ^
        ");
    }

    #[test]
    fn a_place_that_the_source_lacks_is_only_named() {
        let beyond = Location { path: "services/shop/compose.yml".to_owned(), line: 99, column: 1 };
        let text =
            text_of(|w| diagnostics(w, &[Diagnostic::error("x", Some(beyond))], &source, Style::default()));
        insta::assert_snapshot!(text, @"
        error: x
          --> services/shop/compose.yml:99:1
        ");
    }

    #[test]
    fn colours_are_there_only_when_asked_for() {
        let shown = Error::usage("x").help("y").on_host("web", HostState::Unknown);
        let text = |colour| text_of(|w| error(w, &shown, &|_| None, Style { colour, ..Style::default() }));
        assert!(text(true).contains('\u{1b}'));
        assert!(!text(false).contains('\u{1b}'));
    }

    #[test]
    fn a_message_cannot_be_a_command() {
        let shown =
            Error::usage("a\n::error::b").help("c\n::error::d").on_host("::e::f", HostState::Unchanged);
        let text = text_of(|w| error(w, &shown, &|_| None, Style::default()));
        assert!(text.lines().all(|line| !line.trim_start().starts_with("::")), "{text}");
    }
}
