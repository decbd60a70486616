//! The formats of GitHub's runner: commands on a stream, and the files that outputs are written to.
//!
//! Owns their syntax and its escapes. A command is a line `::name key=value,key=value::text` ([the
//! manual](https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands)), and an output
//! is a name, a delimiter that the value must not contain, and the value.

use std::io::{self, Write};

use crate::base::diagnostic::{Diagnostic, Location, Severity};

use super::escape::name;
use super::wording::count;

/// Annotations of one severity that the runner keeps per step. It silently drops the rest.
const KEPT: usize = 10;

/// Output of this run for later steps and jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name, a plain word.
    pub name: &'static str,
    /// Its value: any text.
    pub value: String,
}

/// Writes outputs in the format of the file behind `GITHUB_OUTPUT`. `delimiter` must be unpredictable: a
/// value that contains it as a line could end and start another output.
///
/// # Errors
///
/// When `w` fails, or a value contains the delimiter all the same.
pub fn outputs(w: &mut dyn Write, outputs: &[Output], delimiter: &str) -> io::Result<()> {
    for Output { name, value } in outputs {
        if value.contains(delimiter) {
            return Err(io::Error::other(format!("the value of {name} holds the delimiter")));
        }
        writeln!(w, "{name}<<{delimiter}\n{value}\n{delimiter}")?;
    }
    Ok(())
}

/// Writes messages as annotations: the errors, then the warnings, as many of each as the runner keeps.
/// `folder` is the folder that the paths of the messages are relative to, seen from the top of the workspace;
/// empty for the top.
///
/// # Errors
///
/// When `w` fails.
pub fn annotations<'a>(
    w: &mut dyn Write,
    diagnostics: impl Iterator<Item = &'a Diagnostic> + Clone,
    folder: &str,
) -> io::Result<()> {
    for (severity, command) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
        let of_it = diagnostics.clone().filter(|shown| shown.severity == severity);
        for shown in of_it.clone().take(KEPT) {
            annotation(w, command, shown, folder)?;
        }
        let left = of_it.count().saturating_sub(KEPT);
        if left > 0 {
            let (more, verb) =
                (count(left, &format!("more {command}")), if left == 1 { "is" } else { "are" });
            writeln!(w, "{more} {verb} shown in the log and the summary only")?;
        }
    }
    Ok(())
}

fn annotation(w: &mut dyn Write, command: &str, shown: &Diagnostic, folder: &str) -> io::Result<()> {
    let mut place = String::new();
    if let Some(Location { path, line, column }) = &shown.at {
        let path = if folder.is_empty() { path.clone() } else { format!("{folder}/{path}") };
        place = format!(" file={},line={line},col={column}", property(&path));
    }
    let lines = shown.message.lines().map(|line| name(line).into_owned());
    let help = shown.help.iter().flat_map(|help| help.lines()).enumerate();
    let help =
        help.map(|(number, line)| format!("{}{}", if number == 0 { "help: " } else { "" }, name(line)));
    let text: Vec<String> = lines.chain(help).collect();
    writeln!(w, "::{command}{place}::{}", data(&text.join("\n")))
}

/// Writes the command that hides a value in the log from then on. The command does not show the value.
///
/// # Errors
///
/// When `w` fails.
pub fn mask(w: &mut dyn Write, value: &str) -> io::Result<()> {
    // The runner compares line by line. Short lines would hide half of the log.
    for line in value.lines().map(str::trim).filter(|line| line.len() >= 6) {
        writeln!(w, "::add-mask::{}", data(line))?;
    }
    Ok(())
}

/// First line of a folded part of the log.
pub(super) fn group(title: &str) -> String {
    format!("::group::{}", data(&name(title)))
}

/// Last line of a folded part of the log.
pub(super) const END_GROUP: &str = "::endgroup::";

/// Escapes the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a value of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::text_of;
    use proptest::prelude::*;

    /// Reads a file of outputs the way that the runner's [own
    /// reader](https://github.com/actions/runner/blob/main/src/Runner.Worker/FileCommandManager.cs) does.
    fn read(text: &str) -> Vec<(String, String)> {
        let mut lines = text.split('\n');
        let mut read = Vec::new();
        while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
            let (name, delimiter) = line.split_once("<<").unwrap();
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
            read.push((name.to_owned(), value.join("\n")));
        }
        read
    }

    #[test]
    fn an_annotation_has_its_place_and_cannot_be_two() {
        let at = Location { path: "services/a,b:c%0A/compose.yml".to_owned(), line: 3, column: 7 };
        let shown = [
            Diagnostic::warning("odd\n::error::x", None).help("do this\nand ##[command]that"),
            Diagnostic::error("100% wrong\r", Some(at)),
        ];
        insta::assert_snapshot!(text_of(|w| annotations(w, shown.iter(), "infra")), @r"
        ::error file=infra/services/a%2Cb%3Ac%250A/compose.yml,line=3,col=7::100%25 wrong\r
        ::warning::odd%0A\u{3a}:error::x%0Ahelp: do this%0Aand ##\u{5b}command]that
        ");
    }

    #[test]
    fn annotations_that_the_runner_would_drop_are_counted() {
        let shown: Vec<_> = (0..13).map(|number| Diagnostic::error(format!("no {number}"), None)).collect();
        let text = text_of(|w| annotations(w, shown.iter(), ""));
        assert_eq!(text.matches("::error::").count(), 10);
        assert!(text.ends_with("3 more errors are shown in the log and the summary only\n"));
    }

    #[test]
    fn a_secret_of_many_lines_is_hidden_line_by_line() {
        assert_eq!(
            text_of(|w| mask(w, "abcdef\r\n%0Along\nx\n")),
            "::add-mask::abcdef\n::add-mask::%250Along\n"
        );
    }

    proptest! {
        #[test]
        fn any_value_comes_out_as_it_went_in(values in proptest::collection::vec("(?s).{0,40}|[a<\\n=D]{0,20}", 1..4)) {
            let written: Vec<Output> =
                values.iter().map(|value| Output { name: "x", value: value.clone() }).collect();
            let text = text_of(|w| outputs(w, &written, "DELIMITER"));
            let read: Vec<String> = read(&text).into_iter().map(|(_, value)| value).collect();
            prop_assert_eq!(read, values);
        }
    }

    #[test]
    fn a_value_with_the_delimiter_is_refused() {
        let output = Output { name: "x", value: "a\nD\nevil<<E\nb\nE".to_owned() };
        assert!(outputs(&mut Vec::new(), &[output], "D").is_err());
    }
}
