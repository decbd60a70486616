//! Options and arguments. Each option also reads `GHDEPLOY_<OPTION>`. An empty variable counts as not given,
//! because that is how an Action passes an input that is not set. [`super::secrets`] has the exceptions.

mod select;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Parser, Subcommand};

use crate::base::duration::parse_duration;
use crate::base::error::{Error, Result};
use crate::base::secret::Secret;
use crate::host::credentials::GivenCredentials;
use crate::report::Format;

pub(super) use select::{NamedArgs, SelectArgs, lines};
pub(super) use words::typed;

const EXIT_CODES: &str = "\
Exit codes:
  0   done, or nothing to do
  1   a bug or an unforeseen failure, or an image was not built
  2   usage or configuration: the command line, ghdeploy.yml or a compose file
  3   the gate is closed: something required of the commit is not proven
  4   a host or GitHub was not reached, or a host lacks something or is locked for too long
  5   a deploy failed or was stopped; the host is as it was before
  6   a deploy failed or was stopped in the middle; look at the host: run ghdeploy status
  10  with --exit-code: there is something to do
  130 a workflow run was cancelled during a command that changes no host

Every option is also read from the environment: --ssh-key from GHDEPLOY_SSH_KEY, and so on.
GHDEPLOY_ARGS may hold more options, quoted as in a shell.";

/// Deploy a repository of Docker Compose service folders over SSH and restart only what is affected
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Args {
    /// Work in this folder of the repository [default: the one around the working directory that holds
    /// ghdeploy.yml]
    #[arg(short = 'C', long, global = true, env = "GHDEPLOY_DIRECTORY", hide_env = true, value_name = "DIR")]
    directory: Option<String>,
    /// Read this configuration file, relative to the folder [default: ghdeploy.yml, if there is one]
    #[arg(long, global = true, env = "GHDEPLOY_CONFIG", hide_env = true, value_name = "FILE")]
    config: Option<String>,
    /// Write the result as text, json or markdown [default: text]
    #[arg(long, global = true, env = "GHDEPLOY_FORMAT", hide_env = true, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
    /// Work on this host: a name from ghdeploy.yml, user@address[:port], an alias of ~/.ssh/config,
    /// local or local:/path; may be repeated [default: all of ghdeploy.yml]
    #[arg(
        long,
        global = true,
        env = "GHDEPLOY_HOST",
        hide_env = true,
        value_name = "HOST",
        value_delimiter = ','
    )]
    host: Vec<String>,
    /// Directory on the host that holds the projects [default: /srv/services]
    #[arg(long, global = true, env = "GHDEPLOY_ROOT", hide_env = true, value_name = "DIR")]
    root: Option<String>,
    /// Log in with this private key; `-` reads it from stdin. The environment variable may hold the key
    /// itself
    #[arg(long, global = true, env = "GHDEPLOY_SSH_KEY", hide_env = true, value_name = "FILE")]
    ssh_key: Option<Secret>,
    /// Trust the host keys in this file [default: ssh's own]. The environment variable may hold the keys
    /// themselves
    #[arg(long, global = true, env = "GHDEPLOY_KNOWN_HOSTS", hide_env = true, value_name = "FILE")]
    known_hosts: Option<String>,
    /// Give ssh this configuration file instead of ~/.ssh/config
    #[arg(long, global = true, env = "GHDEPLOY_SSH_CONFIG", hide_env = true, value_name = "FILE")]
    ssh_config: Option<String>,
    /// Accept the key of a host that is not known yet, and store it
    #[arg(long, global = true, env = "GHDEPLOY_ACCEPT_NEW_HOST_KEY", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub accept_new_host_key: bool,
    /// Print more details; repeat for even more
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Print no progress
    #[arg(short, long, global = true, env = "GHDEPLOY_QUIET", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub quiet: bool,
    /// The command.
    #[command(subcommand)]
    pub(super) command: CommandArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum CommandArgs {
    /// Validate the configuration and every project, without a host
    Check,
    /// Show what would change between two revisions, without a host
    Plan(PlanArgs),
    /// Create or update the comment on a pull request that shows what it would change
    Comment(CommentArgs),
    /// Decide whether the images of a commit may be built: only if its tests exist and succeeded
    Gate(GateArgs),
    /// Build the images of projects that have changed, if their gate is open
    Build(BuildArgs),
    /// Make the hosts match this tree: sync files, then restart exactly the affected services
    Sync(SyncArgs),
    /// Show what is deployed on the hosts, what has drifted, and whether the services run
    Status(StatusArgs),
    /// Show how the content of files on the hosts differs from this tree
    Diff(DiffArgs),
    /// Show the releases of the hosts, and which of them you can roll back to
    History(HistoryArgs),
    /// Roll back to an earlier release with what the host has kept, without the repository
    Rollback(RollbackArgs),
    /// Show which services read a file, by which line, and what a change to it would do
    Explain(ExplainArgs),
    /// Check the connection to the hosts, their tools and permissions, and how to fix what is wrong
    Doctor,
}

impl CommandArgs {
    /// Whether it decides on images.
    pub(super) fn judges(&self) -> bool {
        matches!(self, Self::Gate(_) | Self::Build(_))
    }

    /// Whether it changes hosts. It handles signals itself then.
    pub(super) fn changes_hosts(&self) -> bool {
        matches!(self, Self::Sync(_) | Self::Rollback(_))
    }

    /// Whether it only shows something, so that a workflow run gets no outputs but the result.
    pub(super) fn only_shows(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Diff(_) | Self::History(_) | Self::Explain(_) | Self::Doctor)
    }

    /// Whether it connects to hosts.
    pub(super) fn needs_host(&self) -> bool {
        !matches!(
            self,
            Self::Check
                | Self::Plan(_)
                | Self::Comment(_)
                | Self::Gate(_)
                | Self::Build(_)
                | Self::Explain(_)
        )
    }
}

/// Options of `plan`.
#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    /// Compare with this revision [default: in a workflow run, the base of its event; otherwise none, so that
    /// everything counts as added]
    #[arg(long, env = "GHDEPLOY_BASE", hide_env = true, value_name = "REV")]
    base: Option<String>,
    /// Show what this revision would change [default: HEAD]
    #[arg(long, env = "GHDEPLOY_HEAD", hide_env = true, value_name = "REV")]
    head: Option<String>,
    #[command(flatten)]
    pub(super) select: SelectArgs,
}

/// Options of `comment`.
#[derive(Debug, clap::Args)]
pub(super) struct CommentArgs {
    /// Show the plan in this file, written by `plan --format json`; `-` is stdin [default: make a new plan]
    #[arg(long = "plan", env = "GHDEPLOY_PLAN", hide_env = true, value_name = "FILE")]
    file: Option<String>,
    /// Comment on this pull request [default: the one that the workflow run is about]
    #[arg(long, env = "GHDEPLOY_PULL_REQUEST", hide_env = true, value_name = "NUMBER", value_parser = pull_request)]
    pull_request: Option<u64>,
    #[command(flatten)]
    pub(super) plan: PlanArgs,
}

/// Options of `gate`.
#[derive(Debug, clap::Args)]
pub(super) struct GateArgs {
    /// Require that every check and commit status of this name, or matching this glob, succeeded, and that there
    /// is one; may be repeated; `{project}` stands for each project's name [default: gate.checks]
    #[arg(long, env = "GHDEPLOY_CHECK", hide_env = true, value_name = "NAME")]
    pub(super) check: Vec<String>,
    /// Keep the gate closed if there is a check of this name, or one that matches this glob; may be repeated
    /// [default: gate.forbid]
    #[arg(long, env = "GHDEPLOY_FORBID", hide_env = true, value_name = "NAME")]
    pub(super) forbid: Vec<String>,
    /// Require that all tests in these JUnit reports passed, and that there is one: globs, separated by commas,
    /// from this folder or absolute; a folder stands for the `.xml` files below, `{project}` for each project's
    /// name, and `!` leaves out what it matches [default: gate.junit]
    #[arg(long, env = "GHDEPLOY_JUNIT", hide_env = true, value_name = "GLOB")]
    pub(super) junit: Vec<String>,
    /// Require that all of these jobs succeeded: the `needs` context of the job as JSON, or a list of results;
    /// `@FILE` and `-` (stdin) take what is longer than an argument may be
    #[arg(long, env = "GHDEPLOY_NEEDS", hide_env = true, value_name = "RESULTS")]
    needs: Option<String>,
    /// Require that at least this many tests ran in the reports of each glob [default: gate.min_tests, or 1]
    #[arg(long, env = "GHDEPLOY_MIN_TESTS", hide_env = true, value_name = "NUMBER", value_parser = min_tests)]
    pub(super) min_tests: Option<u64>,
    /// Judge this commit [default: in a workflow run, the commit of its event; otherwise HEAD]
    #[arg(long, env = "GHDEPLOY_SHA", hide_env = true, value_name = "COMMIT")]
    sha: Option<String>,
    /// Wait this long for pending checks [default: gate.timeout, or 30m]
    #[arg(long, env = "GHDEPLOY_TIMEOUT", hide_env = true, value_name = "DURATION", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    #[command(flatten)]
    pub(super) plan: PlanArgs,
}

/// Options of `build`.
#[derive(Debug, clap::Args)]
pub(super) struct BuildArgs {
    /// Push the images to their registry, with docker's own login
    #[arg(long, env = "GHDEPLOY_PUSH", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) push: bool,
    /// Load the images into the engine of this machine
    #[arg(long, env = "GHDEPLOY_LOAD", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) load: bool,
    /// Build for these platforms, such as linux/amd64,linux/arm64
    #[arg(long, env = "GHDEPLOY_PLATFORM", hide_env = true, value_name = "LIST")]
    pub(super) platform: Vec<String>,
    /// Take layers from this cache, in the form that `docker buildx` takes, such as type=registry,ref=IMAGE;
    /// may be repeated
    #[arg(long, env = "GHDEPLOY_CACHE_FROM", hide_env = true, value_name = "CACHE")]
    pub(super) cache_from: Vec<String>,
    /// Put layers into this cache; may be repeated
    #[arg(long, env = "GHDEPLOY_CACHE_TO", hide_env = true, value_name = "CACHE")]
    pub(super) cache_to: Vec<String>,
    /// Move `latest` and the tag in `image:` to this commit, even if it is not the newest of the default
    /// branch
    #[arg(long, env = "GHDEPLOY_ALLOW_OLDER", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) allow_older: bool,
    /// Use this verdict, which `gate --format json` wrote for this very commit [default: judge again]
    #[arg(long, env = "GHDEPLOY_VERDICT", hide_env = true, value_name = "FILE")]
    verdict: Option<String>,
    #[command(flatten)]
    pub(super) gate: GateArgs,
}

/// Options of `sync`.
#[derive(Debug, clap::Args)]
pub(super) struct SyncArgs {
    /// Show the plan against the real host, change nothing and take no lock
    #[arg(long, env = "GHDEPLOY_DRY_RUN", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) named: NamedArgs,
    #[command(flatten)]
    pub(super) select: SelectArgs,
    /// Recreate every service of the projects, or those that are named, whether or not an action is owed
    #[arg(long, env = "GHDEPLOY_FORCE", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) force: bool,
    /// Sync files only, without Docker; the next sync does the restarts
    #[arg(long, env = "GHDEPLOY_NO_RESTART", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) no_restart: bool,
    /// Take down projects that have left the repository; volumes and unmanaged files stay
    #[arg(long, env = "GHDEPLOY_PRUNE", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) prune: bool,
    /// Replace unmanaged files that differ from the repository; the host's version is kept
    #[arg(long, env = "GHDEPLOY_ADOPT", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) adopt: bool,
    /// Deploy a commit that is older than the deployed one
    #[arg(long, env = "GHDEPLOY_ALLOW_OLDER", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) allow_older: bool,
    /// Recreate containers that were started from another folder of the host; data that lies there is not moved
    #[arg(long, env = "GHDEPLOY_TAKE_OVER", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) take_over: bool,
    /// Hand a root over to this repository that was deployed from another one
    #[arg(long, env = "GHDEPLOY_NEW_REPOSITORY", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) new_repository: bool,
    /// Refuse files that differ from the commit, instead of deploying them as COMMIT+changes
    #[arg(long, env = "GHDEPLOY_REQUIRE_CLEAN", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) require_clean: bool,
    /// Wait this long for another run on the same host
    #[arg(long, env = "GHDEPLOY_LOCK_WAIT", hide_env = true, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub(super) lock_wait: Duration,
    /// Work on this many hosts at a time, in the order of their listing
    #[arg(long, env = "GHDEPLOY_PARALLEL", hide_env = true, value_name = "NUMBER", default_value = "4", value_parser = parallel)]
    pub(super) parallel: usize,
    /// Skip the remaining hosts once one has failed; with --parallel 1 the first is a canary
    #[arg(long, env = "GHDEPLOY_FAIL_FAST", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) fail_fast: bool,
}

/// Options of `diff`.
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// Paths in the repository: files, or folders with all below [default: all]
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<String>,
    #[command(flatten)]
    pub(super) select: SelectArgs,
}

/// Options of `rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    /// The same as --to
    #[arg(value_name = "RELEASE", value_parser = release)]
    release: Option<u64>,
    /// Roll back to this release; `previous` is the one before the deployed one [default: previous]
    #[arg(long, env = "GHDEPLOY_TO", hide_env = true, value_name = "RELEASE", value_parser = release)]
    to: Option<u64>,
    /// Show the plan and change nothing
    #[arg(long, env = "GHDEPLOY_DRY_RUN", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) select: SelectArgs,
    /// Restore files only; the next sync does the restarts
    #[arg(long, env = "GHDEPLOY_NO_RESTART", hide_env = true, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) no_restart: bool,
    /// Wait this long for another run on the same host
    #[arg(long, env = "GHDEPLOY_LOCK_WAIT", hide_env = true, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub(super) lock_wait: Duration,
}

/// Options of `status`.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) named: NamedArgs,
    #[command(flatten)]
    pub(super) select: SelectArgs,
}

/// Options of `history`.
#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// Show the releases that changed one of these projects [default: all]
    #[arg(value_name = "PROJECT")]
    pub(super) names: Vec<String>,
    /// The same; may be repeated, `!` excludes
    #[arg(long, env = "GHDEPLOY_PROJECT", hide_env = true, value_name = "GLOB", value_delimiter = ',')]
    pub(super) project: Vec<String>,
}

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// Paths in the repository
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<String>,
}

fn format(text: &str) -> std::result::Result<Format, String> {
    match text {
        "" | "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        "markdown" => Ok(Format::Markdown),
        _ => Err("expected text, json or markdown".to_owned()),
    }
}

fn parallel(text: &str) -> std::result::Result<usize, String> {
    let text = if text.is_empty() { "4" } else { text };
    text.parse()
        .ok()
        .filter(|number| (1..=64).contains(number))
        .ok_or_else(|| "expected a number from 1 to 64".to_owned())
}

/// The least number of tests.
fn min_tests(text: &str) -> std::result::Result<u64, String> {
    let text = if text.is_empty() { "1" } else { text };
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a number of at least 1".to_owned())
}

/// The number of a pull request; 0 when it is empty (they are counted from 1).
fn pull_request(text: &str) -> std::result::Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "expected the number of a pull request".to_owned())
}

/// The number of a release; 0 for the previous one (they are counted from 1).
fn release(text: &str) -> std::result::Result<u64, String> {
    if text.is_empty() || text == "previous" {
        return Ok(0);
    }
    text.parse()
        .ok()
        .filter(|release| *release > 0)
        .ok_or_else(|| {
            "expected the number of a release, as `ghdeploy history` lists them; `--project` takes names of projects"
                .to_owned()
        })
}

fn duration(text: &str) -> std::result::Result<Duration, String> {
    parse_duration(if text.is_empty() { "5m" } else { text })
}

/// An option that was given and is not empty.
fn given(option: Option<&String>) -> Option<&str> {
    option.map(String::as_str).filter(|text| !text.trim().is_empty())
}

impl Args {
    /// The folder of the repository.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        given(self.directory.as_ref()).unwrap_or(".").into()
    }

    /// Whether the folder was named.
    #[must_use]
    pub fn is_directory_given(&self) -> bool {
        given(self.directory.as_ref()).is_some()
    }

    /// The configuration file, if one was named.
    #[must_use]
    pub fn config(&self) -> Option<PathBuf> {
        given(self.config.as_ref()).map(PathBuf::from)
    }

    /// The form of the result.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format.unwrap_or_default()
    }

    /// The hosts, the way they were written.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.host.iter().flat_map(|hosts| hosts.lines()).map(str::trim).filter(|host| !host.is_empty())
    }

    /// Whether hosts were given and are empty.
    #[must_use]
    pub fn is_host_empty(&self) -> bool {
        !self.host.is_empty() && self.hosts().next().is_none()
    }

    /// Whether a private key was given and is empty.
    #[must_use]
    pub fn is_key_empty(&self) -> bool {
        self.ssh_key.as_ref().is_some_and(|key| key.reveal().trim().is_empty())
    }

    /// Whether host keys were given and are empty.
    #[must_use]
    pub fn are_known_hosts_empty(&self) -> bool {
        self.known_hosts.as_ref().is_some_and(|keys| keys.trim().is_empty())
    }

    /// The root, if one was given.
    #[must_use]
    pub fn root(&self) -> Option<&str> {
        given(self.root.as_ref())
    }

    /// The key and the host keys, and the configuration of ssh.
    #[must_use]
    pub fn credentials(&self) -> GivenCredentials {
        GivenCredentials {
            key: self.ssh_key.clone().filter(|_| !self.is_key_empty()),
            known_hosts: given(self.known_hosts.as_ref()).map(str::to_owned),
            config: given(self.ssh_config.as_ref()).map(PathBuf::from),
            reason_if_empty: None,
        }
    }
}

impl PlanArgs {
    /// The revision to compare with.
    pub(super) fn base(&self) -> Option<&str> {
        given(self.base.as_ref())
    }

    /// The revision that is wanted.
    pub(super) fn head(&self) -> &str {
        given(self.head.as_ref()).unwrap_or("HEAD")
    }
}

impl GateArgs {
    /// The commit, if one was given.
    pub(super) fn sha(&self) -> Option<&str> {
        given(self.sha.as_ref())
    }

    /// The results of the jobs. Given and empty differs from not given: then nothing is known of the jobs.
    pub(super) fn needs(&self) -> Option<&str> {
        self.needs.as_deref()
    }
}

impl BuildArgs {
    /// The file with the verdict.
    pub(super) fn verdict(&self) -> Option<&str> {
        given(self.verdict.as_ref())
    }
}

impl CommentArgs {
    /// The file with the plan.
    pub(super) fn file(&self) -> Option<&str> {
        given(self.file.as_ref())
    }

    /// The number of the pull request.
    pub(super) fn pull_request(&self) -> Option<u64> {
        self.pull_request.filter(|number| *number > 0)
    }
}

impl DiffArgs {
    /// Whether a path of the repository was asked for.
    pub(super) fn concerns(asked: &[String], path: &str) -> bool {
        let is_at_or_below = |asked: &String| {
            let asked = asked.trim_start_matches("./").trim_end_matches('/');
            path.strip_prefix(asked)
                .is_some_and(|rest| rest.is_empty() || asked.is_empty() || rest.starts_with('/'))
        };
        asked.is_empty() || asked.iter().any(is_at_or_below)
    }
}

impl RollbackArgs {
    /// The release to go back to.
    ///
    /// # Errors
    ///
    /// When two different ones are given.
    pub(super) fn to(&self) -> Result<Option<u64>> {
        if let (Some(release), Some(to)) = (self.release, self.to)
            && release != to
            && to > 0
        {
            return Err(Error::usage(format!(
                "release {release} is named, and --to or GHDEPLOY_TO says {to}"
            ))
            .help("name one of them"));
        }
        Ok(self.release.or(self.to).filter(|release| *release > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    /// The commands that a text tells people to run: those in backticks, those after a prompt, and `run ghdeploy X`.
    fn commands(text: &str) -> Vec<String> {
        let text = text.replace("\\\n", "");
        let mut found = Vec::new();
        let quoted = text.split("`ghdeploy ").skip(1).filter_map(|rest| rest.split('`').next());
        found.extend(quoted.filter(|command| !command.contains('\n')).map(str::to_owned));
        let told = text.split("run ghdeploy ").skip(1);
        let word = |rest: &str| rest.split(|c: char| !c.is_ascii_lowercase()).next().map(str::to_owned);
        found.extend(told.filter_map(word));
        let typed = text.lines().filter_map(|line| line.strip_prefix("$ ghdeploy "));
        found.extend(typed.map(str::to_owned));
        found
    }

    #[test]
    fn every_command_that_a_message_or_the_readme_names_can_be_typed_like_this() {
        let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources =
            walkdir::WalkDir::new(top.join("src")).into_iter().map(|entry| entry.unwrap().into_path());
        let sources = sources.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
        let mut wrong = Vec::new();
        let mut seen = 0;
        for path in sources.chain(["README.md", "action.yml", "CHANGELOG.md"].map(|name| top.join(name))) {
            let text = std::fs::read_to_string(&path).unwrap();
            // Tests have commands that are wrong on purpose.
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let is_said = |line: &&str| !line.trim_start().starts_with("//");
            let text: String = text.lines().filter(is_said).flat_map(|line| [line, "\n"]).collect();
            for command in commands(&text) {
                // What a message fills in: options for the host, a command, or one word.
                let filled = command
                    .replace("{host}", "--host web")
                    .replace("{command}", "sync")
                    .replace("COMMAND", "sync")
                    .replace(['{', '}', '…'], "1");
                let typed = ["ghdeploy".to_owned()].into_iter().chain(shlex::split(&filled).unwrap());
                seen += 1;
                if let Err(error) = Args::try_parse_from(typed)
                    && error.kind() != clap::error::ErrorKind::DisplayHelp
                {
                    wrong.push(format!("{}: `ghdeploy {command}`: {}", path.display(), error.kind()));
                }
            }
        }
        assert_eq!(wrong, [""; 0]);
        assert!(seen > 30, "{seen}");
        assert!(Args::try_parse_from(["ghdeploy", "sync", "--not-an-option"]).is_err());
    }

    #[test]
    fn options_may_stand_before_and_after_the_command() {
        let args = Args::try_parse_from([
            "ghdeploy",
            "--host",
            "web",
            "sync",
            "--root",
            "/srv/x",
            "--project",
            "a,b",
        ])
        .unwrap();
        assert_eq!(args.hosts().collect::<Vec<_>>(), ["web"]);
        assert_eq!(args.root(), Some("/srv/x"));
        let CommandArgs::Sync(sync) = args.command else { panic!("another command") };
        assert_eq!(sync.select.projects(&sync.named), ["a", "b"]);
        assert_eq!(sync.lock_wait, Duration::from_secs(300));
    }
    #[test]
    fn projects_and_releases_may_stand_behind_the_command() {
        let read =
            |words: &[&str]| Args::try_parse_from(["ghdeploy"].iter().chain(words)).map(|args| args.command);
        let CommandArgs::Sync(sync) = read(&["sync", "a", "--project", "b,c", "d/web", "!e"]).unwrap() else {
            panic!("another command")
        };
        assert_eq!(sync.select.projects(&sync.named), ["b", "c", "a", "d/web", "!e"]);
        let to = |words: &[&str]| {
            let CommandArgs::Rollback(rollback) = read(words)? else { panic!("another command") };
            Ok(rollback.to().map_err(|error| error.diagnostics[0].message.clone()))
        };
        let of = |words: &[&str]| to(words).map_err(|error: clap::Error| error.to_string());
        assert_eq!(of(&["rollback", "41"]), Ok(Ok(Some(41))));
        assert_eq!(of(&["rollback", "previous"]), Ok(Ok(None)));
        assert_eq!(of(&["rollback", "41", "--to", "41", "--project", "a"]), Ok(Ok(Some(41))));
        let two = "release 41 is named, and --to or GHDEPLOY_TO says 42";
        assert_eq!(of(&["rollback", "41", "--to", "42"]), Ok(Err(two.to_owned())));
        for words in [&["rollback", "abc"][..], &["rollback", "0"], &["rollback", "--to", "abc"]] {
            let refused = of(words).unwrap_err();
            assert!(refused.contains("expected the number of a release"), "{refused}");
        }
        assert!(of(&["rollback", "release", "41"]).is_err());
    }
}
