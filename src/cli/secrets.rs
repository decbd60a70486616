//! Secrets that were given to a workflow run and are empty.
//!
//! GitHub passes a secret that does not exist, or that it withholds from a run, as an empty text. ssh would
//! then fail in words that lead elsewhere: an unknown host key, a login that is refused. So an empty secret is
//! reported before anything else.

use super::args::Args;
use crate::base::error::{Error, Result};
use crate::config::Config;
use crate::config::address::HostAddress;
use crate::deploy::Target;
use crate::github::WorkflowRun;

/// Refuses a run over SSH whose key, host keys or hosts were given and are empty. `config` may be invalid; its
/// errors come second.
///
/// # Errors
///
/// When one of them is, with the likely reason.
pub(super) fn refuse_empty(args: &Args, config: Result<Config>, run: &WorkflowRun) -> Result<Config> {
    let asked: Vec<&str> = args.hosts().collect();
    let known = config.as_ref().ok();
    let targets = Target::all(known.unwrap_or(&Config::default()), &asked, args.root());
    let is_local = |target: &Target| matches!(target.address, HostAddress::Local { .. });
    if targets.as_ref().is_ok_and(|targets| targets.iter().all(is_local)) {
        return config;
    }
    let lacks_hosts = known.is_some_and(|config| config.hosts.is_empty()) && args.is_host_empty();
    let needs_host_keys = !args.accept_new_host_key;
    let empty: Vec<&str> = [
        ("`host`", lacks_hosts),
        ("`ssh-key`", args.is_key_empty()),
        ("`known-hosts`", needs_host_keys && args.are_known_hosts_empty()),
    ]
    .into_iter()
    .filter_map(|(name, is_empty)| is_empty.then_some(name))
    .collect();
    let message = match empty.as_slice() {
        [] => return config,
        // An input `host` that is not given is empty as well.
        ["`host`"] => return Err(no_host(run)),
        [one] => format!("{one} is empty: its secret does not exist, or this run does not get it"),
        [first @ .., last] => format!(
            "{} and {last} are empty: their secrets do not exist, or this run does not get them",
            first.join(", ")
        ),
    };
    let mut error = Error::usage(message).help(run.reason_for_empty_secrets());
    if let Err(invalid) = config {
        error.diagnostics.extend(invalid.diagnostics);
    }
    Err(error)
}

fn no_host(run: &WorkflowRun) -> Error {
    Error::usage("no host is given: `host` is empty, and ghdeploy.yml lists none").help(format!(
        "name one with `host`, or list hosts in ghdeploy.yml. If `host` comes from a secret: {}",
        run.reason_for_empty_secrets()
    ))
}

/// An error about a token that a command cannot do without: `what` it is for, and `help` if none was given.
pub(super) fn no_token(run: &WorkflowRun, what: &str, help: &str) -> Error {
    if run.is_token_empty {
        let message = format!("no token to {what} with: `github-token` is empty");
        return Error::usage(message).help(format!(
            "leave it out, so that it is the job's own token, or: {}",
            run.reason_for_empty_secrets()
        ));
    }
    Error::usage(format!("no token to {what} with")).help(help)
}
