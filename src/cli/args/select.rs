//! Selection of projects and services.

use clap::ArgAction;
use clap::builder::FalseyValueParser;

/// Selection of projects.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SelectArgs {
    /// Work on the projects that match, and, for `sync`, `status` and `plan`, on services, as PROJECT/SERVICE; may
    /// be repeated, `!` excludes [default: all]
    #[arg(long, env = "GHDEPLOY_PROJECT", hide_env = true, value_name = "GLOB", value_delimiter = ',')]
    project: Vec<String>,
    /// Exit with 10 when there is something to do, and for `status`, when a service that should run does not
    #[arg(long, env = "GHDEPLOY_EXIT_CODE", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(in crate::cli) exit_code: bool,
}

/// Names behind a command.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct NamedArgs {
    /// The same as --project
    #[arg(value_name = "PROJECT[/SERVICE]")]
    pub(in crate::cli) names: Vec<String>,
}

impl SelectArgs {
    /// The globs for projects and services; those of the option first.
    pub(in crate::cli) fn projects<'a>(&'a self, named: &'a NamedArgs) -> Vec<&'a str> {
        lines(&self.project).chain(lines(&named.names)).collect()
    }

    /// Those of the option alone.
    pub(in crate::cli) fn globs(&self) -> Vec<&str> {
        lines(&self.project).collect()
    }
}

/// The lines of texts, without empty ones.
pub(in crate::cli) fn lines(texts: &[String]) -> impl Iterator<Item = &str> {
    texts.iter().flat_map(|text| text.lines()).map(str::trim).filter(|line| !line.is_empty())
}
