//! `gate`: decides whether the images of a commit may be built.
//!
//! Owns where the evidence comes from and how long it is waited for. What it proves is decided by
//! [`crate::images::gate`].

use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::args::GateArgs;
use super::context::Context;
use super::plan::plan_of_images;
use super::publish::Shown;
use super::reports::{Since, listed, reports};
use super::secrets::no_token;
use crate::base::error::{Error, Exit, Result};
use crate::github::ThisJob;
use crate::github::checks::ChecksReader;
use crate::github::client::{ApiError, Client};
use crate::github::trigger::{Trigger, is_sha};
use crate::github::workflow::jobs_to_come;
use crate::images::gate::checks::{Check, Relation};
use crate::images::gate::{BlockedProject, Evidence, GateState, Rules, ToCome, Verdict, judge};
use crate::plan::Plan;
use crate::tree::git::Repository;
use crate::tree::regular;

/// First and longest pause between two requests to GitHub.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// Largest file of a workflow that is read, in bytes. GitHub's own limit is 512 KiB.
const MAX_WORKFLOW: u64 = 1 << 20;

pub(super) async fn run(context: &Context, args: &GateArgs) -> Result<Exit> {
    let Decision { verdict, plan } = decide(context, args).await?;
    let exit = match (verdict.gate, verdict.blocked.is_empty()) {
        (GateState::Closed, _) => Exit::GateClosed,
        (GateState::Open, false) => Exit::Usage,
        (GateState::Open, true) => Exit::Done,
    };
    if let Some(plan) = &plan {
        context.find_movable(plan).await;
    }
    context.publish(Shown::Verdict(&verdict, plan.as_ref()), exit)?;
    Ok(exit)
}

/// Verdict with the plan that it is about.
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    /// The plan; `None` without a repository.
    pub(super) plan: Option<Plan>,
}

/// Judges a commit, and waits for pending checks.
///
/// # Errors
///
/// When an option or the configuration is wrong, or GitHub is not reached or refuses.
pub(super) async fn decide(context: &Context, args: &GateArgs) -> Result<Decision> {
    let mut decision = judged(context, args).await?;
    decision.verdict.blocked = decision.plan.as_ref().map(blocked).unwrap_or_default();
    Ok(decision)
}

async fn judged(context: &Context, args: &GateArgs) -> Result<Decision> {
    let rules = rules(context, args);
    let repository = Repository::open(&context.dir).ok();
    let head = repository.as_ref().and_then(|repository| repository.commit("HEAD").ok());
    let sha = sha(context, args, head.as_deref())?;
    let plan = repository.as_ref().map(|_| plan_of_images(context, &args.plan)).transpose()?;
    let projects: Vec<String> = plan.iter().flat_map(built).collect();
    let since = Since::new(repository.as_ref(), head.as_deref(), context.github.as_ref());
    let mut evidence = Evidence {
        reports: reports(&context.dir, &rules.reports(&projects), &report_globs(context, args).1, &since)?,
        needs: results_of_jobs(args.needs())?,
        mismatch: repository
            .as_ref()
            .zip(sha.as_deref())
            .and_then(|(repository, sha)| mismatch(repository, context, sha)),
        ..Evidence::default()
    };
    let judge = |evidence: &Evidence| judge(sha.as_deref(), &rules, evidence, &projects);
    let asks = !rules.checks.is_empty() || !rules.forbid.is_empty();
    let first = judge(&evidence);
    // Waiting is pointless once a requirement has failed.
    let is_worth_a_look = asks && (first.may_change() || first.gate == GateState::Open);
    let Some(sha) = sha.as_deref().filter(|_| is_worth_a_look) else {
        return Ok(Decision { verdict: first, plan });
    };
    let timeout = args.timeout.unwrap_or(context.config.gate.timeout);
    let end = Instant::now() + timeout;
    let (client, name, this) = client(context, timeout)?;
    let workflow = own_workflow(context, repository.as_ref());
    let mut reader = ChecksReader::new(&client, &name, sha, &this);
    let mut pause = PAUSES.0;
    let mut said = String::new();
    let mut was_settled = false;
    loop {
        let looked = reader.read().await;
        let left = end.saturating_duration_since(Instant::now());
        match looked {
            Ok(found) => {
                // Two looks must agree, because a workflow can be about to start.
                evidence.is_settled = found.is_settled && was_settled;
                was_settled = found.is_settled;
                (evidence.checks, evidence.running) = (found.checks, found.running);
                evidence.to_come = to_come(context, workflow.as_ref(), &evidence.checks);
                evidence.has_broken_workflow = found.has_broken_workflow;
                evidence.unread = found.unread;
                let verdict = judge(&evidence);
                if !verdict.may_change() || left.is_zero() {
                    return Ok(Decision { verdict, plan });
                }
                let waits = pending(&verdict);
                if waits != said {
                    context.say(&format!("waiting for {waits}"));
                    said = waits;
                }
            }
            // A transient failure is waited for, like a pending check.
            Err(error) if error.is_transient() && !left.is_zero() => {}
            Err(failure) => return Err(refused(&failure)),
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(PAUSES.1);
    }
}

/// Pending requirements in words.
fn pending(verdict: &Verdict) -> String {
    let own = verdict.projects.iter().flat_map(|project| &project.requirements);
    let all = verdict.requirements.iter().chain(own);
    let pending =
        all.filter(|requirement| requirement.standing == crate::images::gate::checks::Standing::Pending);
    pending
        .map(|requirement| format!("{} ({})", requirement.wants, requirement.why))
        .collect::<Vec<_>>()
        .join("; ")
}

/// Projects with images to build, in the order of the plan. No image of a blocked project is built.
pub(super) fn built(plan: &Plan) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for project in plan.hosts.iter().flat_map(|host| &host.projects).filter(|project| project.builds()) {
        if !names.contains(&project.name) {
            names.push(project.name.clone());
        }
    }
    names
}

/// Projects that cannot be deployed, each once.
pub(super) fn blocked(plan: &Plan) -> Vec<BlockedProject> {
    let mut found: Vec<BlockedProject> = Vec::new();
    for project in plan.hosts.iter().flat_map(|host| &host.projects) {
        if !project.problems.is_empty() && !found.iter().any(|known| known.name == project.name) {
            found.push(BlockedProject { name: project.name.clone(), problems: project.problems.clone() });
        }
    }
    found
}

fn rules(context: &Context, args: &GateArgs) -> Rules {
    let config = &context.config.gate;
    Rules {
        checks: given_or(&args.check, &config.checks),
        forbid: given_or(&args.forbid, &config.forbid),
        junit: report_globs(context, args).0,
        needs: args.needs().is_some() || config.needs,
        min_tests: args.min_tests.unwrap_or(config.min_tests),
    }
}

/// The lines of an option, or else the configured ones.
fn given_or(given: &[String], otherwise: &[String]) -> Vec<String> {
    let lines = given.iter().flat_map(|lines| lines.lines()).map(str::trim).filter(|line| !line.is_empty());
    let given: Vec<String> = lines.map(str::to_owned).collect();
    if given.is_empty() { otherwise.to_vec() } else { given }
}

/// Globs for reports, and, with a `!` in front, for what is left out.
fn report_globs(context: &Context, args: &GateArgs) -> (Vec<String>, Vec<String>) {
    let globs = given_or(&args.junit, &context.config.gate.junit);
    let (out, globs): (Vec<&str>, Vec<&str>) =
        globs.iter().flat_map(|globs| listed(globs)).partition(|glob| glob.starts_with('!'));
    let owned =
        |globs: Vec<&str>| globs.into_iter().map(|glob| glob.trim_start_matches('!').to_owned()).collect();
    (owned(globs), owned(out))
}

/// Returns the commit whose checks count.
fn sha(context: &Context, args: &GateArgs, head: Option<&str>) -> Result<Option<String>> {
    if let Some(given) = args.sha() {
        return match is_sha(given) {
            true => Ok(Some(given.to_owned())),
            false => Err(Error::usage("--sha is not the full name of a commit").help("write all 40 digits")),
        };
    }
    let event = context.github.as_ref().map(|run| &run.trigger);
    Ok(match event {
        // The merge itself is tested like a push.
        Some(Ok(Trigger::PullRequest(pull))) if head.is_some_and(|head| pull.merged_as(head).is_some()) => {
            head.map(str::to_owned)
        }
        // The checks of a pull request are those of its newest commit, not of the checked-out merge.
        Some(Ok(Trigger::PullRequest(pull))) => Some(pull.head.clone()),
        Some(Ok(Trigger::WorkflowRun { head, .. } | Trigger::MergeGroup { head, .. })) => Some(head.clone()),
        Some(Err(error)) => return Err(Error::usage(error.clone()).help("--sha names the commit")),
        _ => head.map(str::to_owned),
    })
}

/// Returns the reason why the checked-out files are not the tested commit.
pub(super) fn mismatch(repository: &Repository, context: &Context, sha: &str) -> Option<String> {
    let Ok(head) = repository.commit("HEAD") else {
        return Some("the checked-out files are not a commit".to_owned());
    };
    let is_pull =
        context.github.as_ref().is_some_and(|run| matches!(run.trigger, Ok(Trigger::PullRequest(_))));
    let is_merge = || {
        is_pull && repository.parents(&head).is_some_and(|parents| parents.len() == 2 && parents[1] == sha)
    };
    if head != sha && !is_merge() {
        return Some(format!("{head} is checked out, but the checks are those of {sha}"));
    }
    match repository.is_modified() {
        Ok(false) => None,
        Ok(true) => Some("the checked-out files differ from the commit".to_owned()),
        Err(error) => Some(format!("git does not report whether files are changed: {error}")),
    }
}

/// Largest file with the results of jobs, in bytes.
const MAX_NEEDS: u64 = 64 << 20;

/// Reads the results of the jobs that this one needs: the text itself, or, because an argument and a variable
/// have at most 128 KiB, `@FILE` or `-` for stdin.
fn results_of_jobs(given: Option<&str>) -> Result<Option<String>> {
    let Some(given) = given else { return Ok(None) };
    let (name, read) = match given.trim().strip_prefix('@') {
        Some(file) if file.trim().is_empty() => {
            return Err(Error::usage("`@` in --needs names no file").help(
                "write the file behind it: `--needs @needs.json`; is the variable that holds its name empty?",
            ));
        }
        Some(file) => (file, regular::read(Path::new(file), MAX_NEEDS)),
        None if given.trim() == "-" => {
            let mut text = Vec::new();
            ("stdin", std::io::stdin().take(MAX_NEEDS).read_to_end(&mut text).map(|_| text))
        }
        None => return Ok(Some(given.to_owned())),
    };
    let wrong = |why: String| {
        Error::usage(format!("{name} does not hold the results of jobs: {why}"))
            .help("write `${{ toJSON(needs) }}` there, or pass a list: --needs '${{ join(needs.*.result) }}'")
    };
    let text = read.map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8(text).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
    // PowerShell writes a mark in front.
    Ok(Some(text.trim_start_matches('\u{feff}').to_owned()))
}

/// Returns the client of the API, the repository, and the job that asks.
fn client(context: &Context, patience: Duration) -> Result<(Client, String, ThisJob)> {
    let run = context.github.as_ref().ok_or_else(|| {
        Error::usage("checks need a workflow run, and this is none")
            .help("require reports instead: --junit; or set GITHUB_REPOSITORY and GITHUB_TOKEN")
    })?;
    let token = run.token.as_ref().ok_or_else(|| {
        let help = "set GHDEPLOY_GITHUB_TOKEN: ${{ github.token }}, and `permissions: {checks: read, statuses: read}` for the job";
        no_token(run, "read checks", help)
    })?;
    let repository =
        run.repository.clone().ok_or_else(|| Error::usage("GITHUB_REPOSITORY names no repository"))?;
    let client = Client::with_cache(&run.api, token, patience).map_err(|failure| refused(&failure))?;
    Ok((client.noting(context.note()), repository, run.this.clone()))
}

/// Returns the file of the workflow that this run follows, as the checked-out commit has it, or the reason why it
/// cannot be read. `None` outside of a workflow.
fn own_workflow(context: &Context, repository: Option<&Repository>) -> Option<Result<String, String>> {
    let run = context.github.as_ref()?;
    let name = run.workflow.as_ref()?;
    let in_commit = || repository?.content("HEAD", name);
    let on_disk = || regular::read(&run.workspace.as_ref()?.join(name), MAX_WORKFLOW).ok();
    Some(match on_disk().or_else(in_commit) {
        Some(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        None => Err(format!("{name} is not in the checkout")),
    })
}

/// Returns the jobs of this run that do not exist yet.
fn to_come(context: &Context, workflow: Option<&Result<String, String>>, checks: &[Check]) -> ToCome {
    let (Some(run), Some(workflow)) = (&context.github, workflow) else { return ToCome::default() };
    let own = checks.iter().find(|check| check.relation == Relation::SameJob);
    let key = run.this.job.as_deref();
    ToCome(workflow.clone().and_then(|text| {
        let file = run.workflow.as_deref().unwrap_or_default();
        jobs_to_come(&text, key, own.map(|check| check.name.as_str()))
            .ok_or_else(|| format!("this job is not found in {file}"))
    }))
}

fn refused(failure: &ApiError) -> Error {
    let message = format!("the checks cannot be read: {failure}");
    if failure.is_unreachable() {
        return Error::new(Exit::Unreachable, message)
            .help(format!("nothing is proven, so the gate stays closed; {}", failure.when_again()));
    }
    let advice = failure.advice("{checks: read, statuses: read}");
    let help = match (advice, failure) {
        (Some(advice), _) => advice,
        (None, ApiError::Refused { status: 403, .. }) => {
            "nothing is proven, so the gate stays closed until GitHub allows this".to_owned()
        }
        (None, _) => "check that the commit is pushed".to_owned(),
    };
    Error::usage(message).help(help)
}
