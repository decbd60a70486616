//! `comment`: keeps one comment on a pull request that shows what it would change.

use std::io::Read;
use std::time::Duration;

use serde_json::Value;

use super::args::CommentArgs;
use super::context::Context;
use super::secrets::no_token;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, Result};
use crate::github::WorkflowRun;
use crate::github::client::{ApiError, Client};
use crate::github::comment::{CommentPlace, CommentText, Posted};
use crate::github::pulls;
use crate::github::refusal::RefusalCause;
use crate::github::trigger::{PullRequestTrigger, Trigger};
use crate::plan::{Plan, VERSION};
use crate::report::comment::{Frame, comment, outdated};
use crate::report::marker::Marker;

/// Time that one call may wait for rate limits.
const PATIENCE: Duration = Duration::from_secs(90);

/// Largest plan that is read, in bytes: some ten thousand changes.
const MAX_BYTES: u64 = 16 << 20;

pub(super) async fn run(context: &Context, args: &CommentArgs) -> Result<Exit> {
    let Some(run) = &context.github else {
        return Err(Error::usage("a comment needs a workflow run, and this is none").help(
            "`ghdeploy plan --format markdown` shows what it would say; GITHUB_REPOSITORY and GITHUB_TOKEN stand for a run",
        ));
    };
    let repository = run.repository.as_ref();
    let repository = repository.ok_or_else(|| Error::usage("GITHUB_REPOSITORY names no repository"))?;
    let token = run.token.as_ref().ok_or_else(|| {
        let help = "set GHDEPLOY_GITHUB_TOKEN: ${{ github.token }}, and `permissions: pull-requests: write` for the job";
        no_token(run, "write a comment", help)
    })?;
    let plan = match args.file() {
        Some(file) => read(file)?,
        None => super::plan::plan(context, &args.plan)?,
    };
    let client = Client::new(&run.api, token, PATIENCE).map_err(|failure| failed(&failure))?;
    let client = client.noting(context.note());
    let pull = match pull_request(&client, repository, run, args, &plan).await {
        Ok(pull) => pull?,
        Err(failure) => return refused(context, run, args, &plan, &failure),
    };
    let marker =
        Marker { key: key(context, run, args), head: pull.head.clone(), run: run.id, attempt: run.attempt };
    let url = run.url();
    let frame =
        Frame { base: plan.base.as_deref(), run_url: url.as_deref(), is_unverified: pull.is_unverified };
    let text = CommentText {
        body: comment(&plan, &marker, &frame),
        outdated: outdated(&marker),
        is_news: !plan.is_empty() || plan.hosts.iter().any(|host| !host.notes.is_empty()),
        marker,
    };
    let posted = CommentPlace { client: &client, repository, number: pull.number }.post(&text).await;
    let said = match posted {
        Ok(Posted::Created(url)) => format!("commented on #{}: {url}", pull.number),
        Ok(Posted::Updated(url)) => format!("updated the comment on #{}: {url}", pull.number),
        Ok(Posted::Nothing) => format!("nothing to say on #{}: the plan is empty", pull.number),
        Ok(Posted::Stale(newer)) => {
            format!(
                "nothing was written: #{} is at {newer} by now, and the run for that commit writes the comment",
                pull.number
            )
        }
        Err(failure) => return refused(context, run, args, &plan, &failure),
    };
    context.print(|out| writeln!(out, "{said}"))?;
    if let Some(run) = &context.workflow {
        super::publish::done(run, &context.dir, Exit::Done);
    }
    Ok(Exit::Done)
}

/// Pull request that is commented on.
struct TargetPullRequest {
    number: u64,
    head: String,
    is_unverified: bool,
}

/// Finds the pull request. The outer error is GitHub's, the inner one the user's.
async fn pull_request(
    client: &Client,
    repository: &str,
    run: &WorkflowRun,
    args: &CommentArgs,
    plan: &Plan,
) -> Result<Result<TargetPullRequest>, ApiError> {
    let asked = args.pull_request();
    Ok(match (&run.trigger, asked) {
        (Ok(Trigger::WorkflowRun { head, event, branch }), _) if event == "pull_request" => {
            let Some(branch) = branch else {
                return Ok(Err(Error::usage("the repository of the pull request's branch was deleted")
                    .help("without it, GitHub does not tell which pull request the run was for")));
            };
            // What such a run hands over may come from a fork, so only GitHub's own record of it counts: its
            // commit, and the repository and branch that it ran for. It names no pull request of a fork.
            let mut numbers = pulls::open_at(client, repository, head, branch).await?;
            numbers.retain(|number| asked.is_none_or(|asked| asked == *number));
            match numbers.as_slice() {
                [number] => {
                    Ok(TargetPullRequest { number: *number, head: head.clone(), is_unverified: true })
                }
                [] => {
                    let of = &branch.repository;
                    let message = match asked {
                        None => format!("no open pull request from {of} is at {head}"),
                        Some(asked) => format!("#{asked} is no open pull request from {of} at {head}"),
                    };
                    Err(Error::usage(message).help(
                        "it was closed, or has moved on and the run for its newest commit writes the comment",
                    ))
                }
                _ => Err(Error::usage(format!("several pull requests are at {head}"))
                    .help("name one with --pull-request")),
            }
        }
        (_, Some(number)) => {
            let head = plan.commit.clone().ok_or_else(|| Error::usage("the plan names no commit"));
            head.map(|head| TargetPullRequest { number, head, is_unverified: false })
        }
        (Ok(Trigger::PullRequest(PullRequestTrigger { number, head, .. })), None) => {
            Ok(TargetPullRequest { number: *number, head: head.clone(), is_unverified: false })
        }
        (Ok(_), None) => Err(Error::usage("this run is not about a pull request").help(
            "run it on `pull_request`, or on `workflow_run` after that; or name one with --pull-request",
        )),
        (Err(error), None) => Err(Error::usage(error.clone())),
    })
}

/// Handles a comment that was not written: its plan goes to the job summary, with the reason. A refusal is not a
/// failure, because the plan is shown all the same.
fn refused(
    context: &Context,
    run: &WorkflowRun,
    args: &CommentArgs,
    plan: &Plan,
    failure: &ApiError,
) -> Result<Exit> {
    let read_only = match failure {
        ApiError::Refused { cause: RefusalCause::LacksPermission { .. }, .. } => run.is_read_only(),
        _ => None,
    };
    let mut why = Diagnostic::warning(format!("no comment was written: {failure}"), None);
    why.help = read_only.map(str::to_owned).or_else(|| failure.advice("pull-requests: write"));
    // A plan that a step of this job has made is in the summary already.
    let is_shown = args.file().is_some() && matches!(run.trigger, Ok(Trigger::PullRequest(_)));
    super::publish::instead_of_a_comment(run, &context.dir, (!is_shown).then_some(plan), &why);
    if !matches!(failure, ApiError::Refused { status: 401 | 403 | 404 | 410, .. }) {
        return Err(failed(failure));
    }
    if read_only.is_some() {
        // Each pull request of a fork would have the same warning.
        context.say(&format!(
            "{}. {}. The plan is in the job summary",
            why.message,
            capitalized(&why.help.unwrap_or_default())
        ));
    } else {
        context.warn(&[why]);
        context.say("the plan is in the job summary");
    }
    Ok(Exit::Done)
}

fn failed(failure: &ApiError) -> Error {
    let exit = if failure.is_unreachable() { Exit::Unreachable } else { Exit::Unforeseen };
    let help = match failure {
        // GitHub has understood the call and does not take what it says.
        ApiError::Refused { status: 400..=499, .. } => {
            "GitHub would refuse it again, so running the job again does not help; the plan itself is in the job summary. \
             If GitHub's words do not explain it, report them at https://github.com/ghdeploy/ghdeploy/issues"
                .to_owned()
        }
        _ => format!("{}; the plan itself is in the job summary", failure.when_again()),
    };
    Error::new(exit, format!("no comment was written: {failure}")).help(help)
}

/// A fragment as a sentence of its own.
fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Key of a comment. Each configuration of a repository, and each selection, has a comment of its own.
fn key(context: &Context, run: &WorkflowRun, args: &CommentArgs) -> String {
    let file = context.args.config().unwrap_or_else(|| super::place::CONFIG.into());
    let place = std::path::Path::new(&run.folder(&context.dir)).join(file);
    let hosts = context.args.hosts().map(|host| format!(" host {host}"));
    let projects = args.plan.select.globs().into_iter().map(|glob| format!(" project {glob}"));
    std::iter::once(place.to_string_lossy().into_owned()).chain(hosts).chain(projects).collect()
}

/// Reads a plan that `plan --format json` wrote, possibly in a run of unreviewed code.
fn read(file: &str) -> Result<Plan> {
    let wrong = |why: String| {
        Error::usage(format!("{file} is not a plan: {why}"))
            .help("give what `ghdeploy plan --format json` writes, or the output `plan` of the action")
    };
    let mut text = String::new();
    let input: Box<dyn Read> = match file {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?),
    };
    input.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| wrong(format!("line {}: {error}", error.line())))?;
    if value["version"] != VERSION {
        return Err(wrong(format!("its version is {}, and {VERSION} is known", value["version"])));
    }
    if value.pointer("/hosts/0/projects/0/result").is_some() || value.pointer("/hosts/0/changed").is_some() {
        return Err(wrong("it is the outcome of a deploy".to_owned()));
    }
    let plan: Plan = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
    for commit in plan.commit.iter().chain(&plan.base) {
        if !crate::github::trigger::is_sha(commit) {
            return Err(wrong("it does not name a commit where it should".to_owned()));
        }
    }
    Ok(plan)
}
