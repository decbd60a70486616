//! Errors in the command line, as errors of ours: in a workflow run they become annotations and outputs.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::args::Args;
use crate::base::error::Error;

/// Whether no command was typed, or an empty one, as an action passes an input that is not set.
pub(super) fn lacks_command(error: &clap::Error) -> bool {
    let is_empty = |value: Option<&ContextValue>| matches!(value, Some(ContextValue::String(text)) if text.trim().is_empty());
    matches!(error.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand)
        || (error.kind() == ErrorKind::InvalidSubcommand
            && is_empty(error.get(ContextKind::InvalidSubcommand)))
}

/// An error of clap about the words `typed`.
pub(super) fn error(error: &clap::Error, typed: &[OsString]) -> Error {
    if lacks_command(error) {
        return Error::usage("no command is given")
            .help("`ghdeploy --help` lists the commands; the action's input `command` names one");
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(joined);
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
    let tip = paragraphs.find(|paragraph| paragraph.starts_with("tip: "));
    let help = match (error.get(ContextKind::InvalidSubcommand), tip) {
        (Some(ContextValue::String(command)), _) if command.trim().contains(char::is_whitespace) => {
            "`command` is one word; options go into `args`".to_owned()
        }
        (_, Some(tip)) => tip.trim_start_matches("tip: ").to_owned(),
        _ => match command(typed) {
            Some(command) => format!("`ghdeploy {command} --help` lists its options"),
            None => "`ghdeploy --help` lists the commands, and `ghdeploy COMMAND --help` the options of each"
                .to_owned(),
        },
    };
    Error::usage(message).help(help)
}

/// The command among these words.
fn command(typed: &[OsString]) -> Option<&str> {
    let known = Args::command();
    typed.iter().skip(1).filter_map(|word| word.to_str()).find(|word| known.find_subcommand(word).is_some())
}

/// Whether one of these words is a command that decides on images.
pub(super) fn judges(typed: &[OsString]) -> bool {
    typed.iter().skip(1).any(|word| word == "gate" || word == "build")
}

/// A paragraph in one line.
fn joined(paragraph: &str) -> String {
    paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn an_error_of_clap_is_one_message_with_help() {
        let of = |words: &str| {
            let typed: Vec<OsString> = words.split('_').map(OsString::from).collect();
            let error = error(&Args::try_parse_from(&typed).unwrap_err(), &typed);
            format!("{}: {}", error.diagnostics[0].message, error.diagnostics[0].help.as_ref().unwrap())
        };
        let all = [
            "_sync_--prunee",
            "_plan --base x",
            "_sync_--parallel_two",
            "_explain",
            "_--parallel",
            "_",
            "_ ",
            "",
        ];
        let all: Vec<String> = all.iter().map(|words| of(&format!("ghdeploy{words}"))).collect();
        insta::assert_snapshot!(all.join("\n"), @"
            unexpected argument '--prunee' found: a similar argument exists: '--prune'
            unrecognized subcommand 'plan --base x': `command` is one word; options go into `args`
            invalid value 'two' for '--parallel <NUMBER>': expected a number from 1 to 64: `ghdeploy sync --help` lists its options
            the following required arguments were not provided: <PATH>...: `ghdeploy explain --help` lists its options
            unexpected argument '--parallel' found: `ghdeploy --help` lists the commands, and `ghdeploy COMMAND --help` the options of each
            no command is given: `ghdeploy --help` lists the commands; the action's input `command` names one
            no command is given: `ghdeploy --help` lists the commands; the action's input `command` names one
            no command is given: `ghdeploy --help` lists the commands; the action's input `command` names one
            ");
    }
}
