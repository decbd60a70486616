//! Errors in the command line, as errors of ours: in a workflow run they become annotations and outputs.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};

use crate::base::error::Error;

/// An error of clap.
pub(super) fn error(error: &clap::Error) -> Error {
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
        _ => "`ghdeploy --help` lists the commands, and `ghdeploy COMMAND --help` the options of each"
            .to_owned(),
    };
    Error::usage(message).help(help)
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
    use crate::cli::Args;
    use clap::Parser as _;

    #[test]
    fn an_error_of_clap_is_one_message_with_help() {
        let of = |words: &str| {
            let typed: Vec<OsString> = words.split('_').map(OsString::from).collect();
            let error = error(&Args::try_parse_from(&typed).unwrap_err());
            format!("{}: {}", error.diagnostics[0].message, error.diagnostics[0].help.as_ref().unwrap())
        };
        let all = ["sync_--prunee", "plan --base x", "sync_--parallel_two", "explain", ""];
        let all: Vec<String> = all.iter().map(|words| of(&format!("ghdeploy_{words}"))).collect();
        insta::assert_snapshot!(all.join("\n"), @"
            unexpected argument '--prunee' found: a similar argument exists: '--prune'
            unrecognized subcommand 'plan --base x': `command` is one word; options go into `args`
            invalid value 'two' for '--parallel <NUMBER>': expected a number from 1 to 64: `ghdeploy --help` lists the commands, and `ghdeploy COMMAND --help` the options of each
            the following required arguments were not provided: <PATH>...: `ghdeploy --help` lists the commands, and `ghdeploy COMMAND --help` the options of each
            unrecognized subcommand '': `ghdeploy --help` lists the commands, and `ghdeploy COMMAND --help` the options of each
            ");
    }
}
