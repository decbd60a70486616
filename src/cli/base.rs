//! The revision that a plan compares with when `--base` names none: the base of the workflow run's event.
//!
//! An unknown base never means that nothing has changed: then everything counts as changed, and a note says
//! why.

use super::context::Context;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::github::WorkflowRun;
use crate::github::trigger::{Merge, PullRequestTrigger, Trigger};
use crate::tree::git::{Depth, Login, Repository};

/// Base of a plan.
pub(super) struct Base {
    /// The full name of the commit; `None`: with nothing.
    pub(super) commit: Option<String>,
    /// A note about it for the reader.
    pub(super) note: Option<Diagnostic>,
}

/// The base of the revision `head`, given by its full name.
///
/// # Errors
///
/// When the event is about another commit than the one that is checked out.
pub(super) fn base(context: &Context, repository: &Repository, head: &str) -> Result<Base> {
    let Some(run) = &context.workflow else {
        return Ok(unknown("no base revision is given", Some("--base names the revision to compare with")));
    };
    let finder = Finder { run, repository };
    match &run.trigger {
        Err(error) => Ok(unknown(error, Some("--base names the revision to compare with"))),
        Ok(Trigger::Push { before: Some(before), .. }) => {
            Ok(finder.known(before, "what the branch was at before this push"))
        }
        Ok(Trigger::Push { before: None, .. }) => {
            Ok(unknown("this is the first push of a branch, or a tag", None))
        }
        Ok(Trigger::MergeGroup { base, .. }) => Ok(finder.known(base, "the base of the merge group")),
        Ok(Trigger::PullRequest(pull)) => finder.of_pull_request(pull, head),
        Ok(Trigger::WorkflowRun { .. }) => {
            Ok(unknown("a run that follows another workflow compares with nothing", None))
        }
        Ok(Trigger::Other { name }) => Ok(unknown(&format!("a run by {name} compares with nothing"), None)),
    }
}

/// Advice about what a branch was at before a force push.
const GONE: &str = "a force push has removed it from the branch, and a deeper clone does not have it either: pass --base \
                    with a revision that exists, such as origin/main";

/// Advice about a commit that a clone lacks.
const DEEPER: &str = "set `fetch-depth: 0` for actions/checkout";

fn unknown(why: &str, help: Option<&str>) -> Base {
    let note = Diagnostic::warning(format!("{why}, so everything counts as added"), None);
    Base { commit: None, note: Some(Diagnostic { help: help.map(str::to_owned), ..note }) }
}

fn found(commit: String) -> Base {
    Base { commit: Some(commit), note: None }
}

struct Finder<'a> {
    run: &'a WorkflowRun,
    repository: &'a Repository,
}

impl Finder<'_> {
    /// The base of a commit that the event names.
    fn known(&self, commit: &str, what: &str) -> Base {
        match self.had(commit) {
            Ok(()) => found(commit.to_owned()),
            Err(why) => {
                // git's words for a commit that its server does not have, or does not give away.
                let is_gone = ["not our ref", "unadvertised object"].iter().any(|words| why.contains(words));
                let is_push = matches!(self.run.trigger, Ok(Trigger::Push { .. }));
                let help = if is_gone && is_push { GONE } else { self.advice() };
                unknown(&format!("{what}, {commit}, cannot be fetched ({why})"), Some(help))
            }
        }
    }

    /// The base of what the pull request changes once it is merged.
    fn of_pull_request(&self, pull: &PullRequestTrigger, head: &str) -> Result<Base> {
        if let Some(merge) = pull.merged_as(head) {
            return Ok(self.of_merge(pull, merge));
        }
        let parents = self.repository.parents(head).unwrap_or_default();
        // actions/checkout checks out the merge that GitHub has tried. Its first parent is the branch.
        if let [onto, merged] = parents.as_slice()
            && *merged == pull.head
        {
            return Ok(self.known(onto, "the base of the pull request"));
        }
        if head != pull.head {
            if pull.is_closed && pull.merge.is_none() {
                return Err(Error::usage("the pull request was closed without a merge, and its commit is not checked out")
                    .help("there is nothing to plan for it: run the job only `if: github.event.pull_request.merged`, or pass both --base and --head"));
            }
            let what = if pull.is_target && head == pull.base {
                "the target branch is checked out, not the pull request"
            } else {
                "neither the pull request nor its merge is checked out"
            };
            let help = match &pull.merge {
                Some(merge) => format!(
                    "the branch has moved on since the merge: check out the merge itself (actions/checkout with `ref: {}`, which is `${{{{ github.event.pull_request.merge_commit_sha }}}}`), or pass both --base and --head",
                    merge.commit
                ),
                None => "run the plan on `pull_request`, for which actions/checkout checks out the merge, or pass both --base and --head".to_owned(),
            };
            return Err(Error::usage(what).help(help));
        }
        let parted = || self.repository.merge_base(&pull.base, head);
        // In a shallow clone the merge base that git finds may be too old.
        if !self.repository.is_shallow()
            && let Some(base) = parted()
        {
            return Ok(found(base));
        }
        let fetched = self.repository.fetch(&[&pull.base, head], Depth::All, self.login());
        Ok(match (parted(), fetched) {
            (Some(base), Ok(())) => found(base),
            (_, Err(why)) => {
                let message = format!("the merge base with {} cannot be fetched ({why})", pull.base);
                unknown(&message, Some(self.advice()))
            }
            (None, Ok(())) => unknown("the pull request has no commit in common with its base", None),
        })
    }

    /// The base of what the merge of a pull request brought to its base branch: like the push of that merge,
    /// what the branch was at before it.
    fn of_merge(&self, pull: &PullRequestTrigger, merge: &Merge) -> Base {
        const WHAT: &str = "what the branch was at before the merge";
        let parents = |commit: &str| self.repository.parents(commit).unwrap_or_default();
        let Some(mut base) = parents(&merge.commit).into_iter().next() else {
            return unknown("the merge has no commit before it", None);
        };
        // A rebase has put every commit of the pull request on the branch, so the parent of the last one is
        // only the one before it.
        if merge.commits > 1 && self.is_rebased(pull, merge) {
            let depth = Depth::Last(merge.commits.saturating_add(1));
            if self.repository.is_shallow()
                && let Err(why) = self.repository.fetch(&[&merge.commit], depth, self.login())
            {
                return unknown(&format!("{WHAT} cannot be fetched ({why})"), Some(DEEPER));
            }
            for _ in 1..merge.commits {
                let Some(before) = parents(&base).into_iter().next() else {
                    return unknown(&format!("{WHAT} is not in this clone"), Some(DEEPER));
                };
                base = before;
            }
        }
        self.known(&base, WHAT)
    }

    /// Whether the commits of a pull request were rebased: then author and message of the last one are those
    /// of its newest commit. If that cannot be fetched, they count as rebased, because then nothing is
    /// missed.
    fn is_rebased(&self, pull: &PullRequestTrigger, merge: &Merge) -> bool {
        let of = |commit: &str| self.repository.authored(commit);
        if self.repository.parents(&merge.commit).is_some_and(|parents| parents.len() > 1) {
            return false;
        }
        let _ = self.had(&pull.head);
        match (of(&pull.head), of(&merge.commit)) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }

    /// Makes sure that the clone holds a commit.
    fn had(&self, commit: &str) -> Result<(), String> {
        if self.repository.has(commit) {
            return Ok(());
        }
        self.repository.fetch(&[commit], Depth::Named, self.login())?;
        if self.repository.has(commit) { Ok(()) } else { Err("it was fetched and is not there".to_owned()) }
    }

    /// Advice about a commit that the clone lacks and that could not be fetched.
    fn advice(&self) -> &'static str {
        if self.run.is_token_empty {
            return "set `fetch-depth: 0` for actions/checkout, or leave `github-token` out: it is empty";
        }
        DEEPER
    }

    fn login(&self) -> Option<Login<'_>> {
        Some(Login { server: &self.run.server, token: self.run.token.as_ref()? })
    }
}
