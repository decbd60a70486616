//! The command line.
//!
//! Owns options and their meaning; each command has a module of its own. Results go to stdout, progress and
//! diagnostics to stderr.

mod args;
mod bake;
mod base;
mod build;
mod check;
mod comment;
mod context;
mod diff;
mod doctor;
mod explain;
mod gate;
mod history;
mod notify;
mod place;
mod plan;
mod publish;
mod registries;
mod reports;
mod rollback;
mod secrets;
mod signals;
mod status;
mod sync;
mod tags;
mod usage;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::base::error::{Error, Exit, Result};
use crate::base::secret::note_secret_variables;
use crate::github;
use crate::host::credentials::{Credentials, GivenCredentials};
use crate::report::progress::Progress;
use crate::report::{Style, diagnostic};

pub use args::Args;
use args::CommandArgs;
use context::{Context, source};
use place::{Place, read_config};

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    seal();
    let workflow = github::WorkflowRun::here();
    let typed = match args::typed() {
        Ok(typed) => typed,
        Err(error) => return refused(&error, workflow.as_ref(), &[]),
    };
    if typed.iter().any(|arg| arg.to_string_lossy().contains("PRIVATE KEY-----")) {
        let error = Error::usage("there is a private key on the command line, where all users of this machine can see it")
            .help("treat it as leaked and make a new one; pass that in GHDEPLOY_SSH_KEY, or on stdin with `--ssh-key -`");
        return refused(&error, workflow.as_ref(), &typed);
    }
    let args = match Args::try_parse_from(&typed) {
        Ok(args) => args,
        Err(error) => {
            let shown = usage::error(&error, &typed);
            // At a terminal, the name alone shows the help.
            if usage::lacks_command(&error) && (workflow.is_some() || typed.len() > 1) {
                return refused(&shown, workflow.as_ref(), &typed);
            }
            let _ = error.print();
            // Help and version are results, not errors.
            if !error.use_stderr() {
                return ExitCode::from(Exit::Done.code());
            }
            if let Some(run) = &workflow {
                publish::failure(run, Path::new("."), &shown, usage::judges(&typed));
            }
            return ExitCode::from(shown.exit.code());
        }
    };
    let verbose = args.verbose > 0 || workflow.as_ref().is_some_and(|run| run.is_debug);
    let stderr = Style { colour: colours(&std::io::stderr()), verbose, groups: false };
    start_tracing(&args, stderr);
    let place = Place::of(&args);
    let dir = place.dir.clone();
    let (judges, changes_hosts) = (args.command.judges(), args.command.changes_hosts());
    if let Some(run) = workflow.clone().filter(|_| !changes_hosts) {
        let dir = dir.clone();
        signals::on_cancellation(move || publish::cancelled(&run, &dir, judges));
    }
    let report = {
        let workflow = workflow.clone();
        move |error: &Error| {
            let sources = |path: &str| source(&dir, path);
            let _ = diagnostic::error(&mut std::io::stderr().lock(), error, &sources, stderr);
            if let Some(run) = &workflow {
                publish::failure(run, &dir, error, judges);
            }
        }
    };
    end_if_it_panics(changes_hosts, report.clone());
    match run(args, place, stderr, workflow) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            report(&error);
            ExitCode::from(error.exit.code())
        }
    }
}

/// Ends with an error in the command line, whose words are `typed`.
fn refused(error: &Error, workflow: Option<&github::WorkflowRun>, typed: &[OsString]) -> ExitCode {
    let _ = diagnostic::error(&mut std::io::stderr().lock(), error, &|_| None, Style::default());
    if let Some(run) = workflow {
        publish::failure(run, Path::new("."), error, usage::judges(typed));
    }
    ExitCode::from(error.exit.code())
}

/// Makes a panic, in whatever thread, end the process like any other failure: with a documented exit code, and an
/// annotation in a workflow run. No value is dropped then. As after a kill, the agent forgets the private key within
/// seconds, the master of ssh ends, and the next run removes the directory of its socket.
fn end_if_it_panics(changes_hosts: bool, report: impl Fn(&Error) + Send + Sync + 'static) {
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        show(panic);
        let exit = if changes_hosts { Exit::NeedsLook } else { Exit::Unforeseen };
        let state = if changes_hosts { "; `ghdeploy status` shows the state of the hosts" } else { "" };
        let bug = Error::new(exit, "a bug in ghdeploy: it has panicked");
        report(
            &bug.help(format!(
                "report the lines above at https://github.com/ghdeploy/ghdeploy/issues{state}"
            )),
        );
        #[expect(clippy::exit, reason = "a panic cannot be returned")]
        std::process::exit(exit.code().into());
    }));
}

fn run(args: Args, place: Place, stderr: Style, workflow: Option<github::WorkflowRun>) -> Result<Exit> {
    let note = |text: &str| {
        if !args.quiet {
            remark(text);
        }
    };
    if args.verbose > 0 && !place.below.as_os_str().is_empty() {
        note(&format!("the folder of the repository is {}", place.dir.display()));
    }
    let read = read_config(&args, &place, &note);
    let config = match &workflow {
        Some(run) if args.command.needs_host() => secrets::refuse_empty(&args, read, run)?,
        _ => read?,
    };
    let named = config.notify.variables().into_iter().chain(registries::variables(&config).cloned());
    note_secret_variables(named.collect());
    let format = args.format();
    let progress = match (args.quiet, std::io::stderr().is_terminal()) {
        (true, _) => Progress::Quiet,
        (false, true) if std::env::var_os("CI").is_none() => Progress::Live,
        (false, _) => Progress::Lines,
    };
    let style = Style { colour: colours(&std::io::stdout()), groups: workflow.is_some(), ..stderr };
    let credentials = if args.command.needs_host() {
        let reason_if_empty = workflow.as_ref().map(github::WorkflowRun::reason_for_empty_secrets);
        Credentials::new(&GivenCredentials { reason_if_empty, ..args.credentials() })?
    } else {
        Credentials::default()
    };
    let github = workflow.clone().or_else(github::WorkflowRun::by_hand);
    let movable = std::cell::OnceCell::new();
    let context = Context {
        dir: place.dir.clone(),
        place,
        args,
        config,
        credentials,
        format,
        style,
        stderr,
        progress,
        workflow,
        github,
        movable,
    };
    for note in &context.credentials.notes {
        context.say(note);
    }
    let exit = match &context.args.command {
        CommandArgs::Check => check::run(&context),
        CommandArgs::Plan(options) => block_on(plan::run(&context, options)),
        CommandArgs::Gate(options) => block_on(gate::run(&context, options)),
        CommandArgs::Build(options) => block_on(build::run(&context, options)),
        CommandArgs::Comment(options) => block_on(comment::run(&context, options)),
        CommandArgs::Explain(options) => explain::run(&context, options),
        CommandArgs::Sync(options) => block_on(sync::run(&context, options)),
        CommandArgs::Status(options) => block_on(status::run(&context, options)),
        CommandArgs::Diff(options) => block_on(diff::run(&context, options)),
        CommandArgs::History(args) => block_on(history::run(&context, args)),
        CommandArgs::Rollback(options) => block_on(rollback::run(&context, options)),
        CommandArgs::Doctor => block_on(doctor::run(&context)),
    }?;
    if let Some(run) = context.workflow.as_ref().filter(|_| context.args.command.only_shows()) {
        publish::done(run, &context.dir, exit);
    }
    Ok(exit)
}

/// Writes a remark to stderr. A closed stderr is no failure.
fn remark(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "note: {}", crate::report::escape::name(text));
}

fn block_on(future: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::unforeseen(format!("failed to start: {error}")))?;
    let result = runtime.block_on(future);
    // A reader of a stream that never ends must not keep the process alive.
    runtime.shutdown_background();
    result
}

/// Keeps the memory of this process out of core dumps, and from other processes of the same user.
fn seal() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

fn colours(stream: &impl IsTerminal) -> bool {
    // The runner reads a workflow's log first, and recognises no command in a line with colours.
    stream.is_terminal()
        && std::env::var_os("GITHUB_ACTIONS").is_none()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn start_tracing(args: &Args, style: Style) {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::prelude::*;
    let level = match args.verbose.max(style.verbose.into()) {
        0 => "off",
        1 => "ghdeploy=debug",
        _ => "ghdeploy=trace",
    };
    let wanted = std::env::var("GHDEPLOY_LOG").ok().and_then(|wanted| wanted.parse::<Targets>().ok());
    let filter = wanted.or_else(|| level.parse().ok()).unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(style.colour);
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// The process that panics is another one that runs this test.
    #[test]
    fn a_panic_ends_like_any_other_failure() {
        const CHANGES_HOSTS: &str = "GHDEPLOY_TEST_OF_PANICS";
        if let Ok(changes) = std::env::var(CHANGES_HOSTS) {
            let say = |error: &Error| {
                let help = error.diagnostics[0].help.as_deref().unwrap_or_default();
                let _ = writeln!(std::io::stderr(), "error: {error}\nhelp: {help}");
            };
            end_if_it_panics(changes == "true", say);
            panic!("for a test");
        }
        let panics = |changes_hosts: bool| {
            let mut this = std::process::Command::new(std::env::current_exe().unwrap());
            this.args(["--exact", "--nocapture", "cli::tests::a_panic_ends_like_any_other_failure"]);
            let ended = this.env(CHANGES_HOSTS, changes_hosts.to_string()).output().unwrap();
            (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
        };
        for (changes_hosts, exit) in [(false, Exit::Unforeseen), (true, Exit::NeedsLook)] {
            let (code, said) = panics(changes_hosts);
            assert_eq!(code, Some(exit.code().into()), "{said}");
            assert!(said.contains("for a test") && said.contains("error: a bug in ghdeploy"), "{said}");
            assert_eq!(said.contains("`ghdeploy status` shows"), changes_hosts, "{said}");
        }
    }
}
