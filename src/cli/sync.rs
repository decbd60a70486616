//! `sync`: makes hosts match this tree.

use super::args::SyncArgs;
use super::context::{Context, selection};
use super::publish::Shown;
use super::signals;
use crate::apply::stop::Stop;
use crate::base::commit::short;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, HostState, Result};
use crate::deploy::sync::Sync;
use crate::deploy::{Reached, Session, Worktree, failed_before_start, on_each, plan_of};
use crate::host::Notices;
use crate::notify::Notifier;
use crate::outcome::{Outcome, worse};
use crate::plan::{Plan, VERSION};
use crate::report::Format;
use crate::report::progress::observer;
use crate::state::unusable::{listed, problems};
use crate::tree::Snapshot as _;

pub(super) async fn run(context: &Context, args: &SyncArgs) -> Result<Exit> {
    let stop = signals::listen();
    let targets = context.targets()?;
    let worktree = context.worktree();
    if args.require_clean {
        refuse_changes(&worktree).await?;
    }
    let sync = Sync {
        worktree: &worktree,
        selection: selection(&args.select.projects(&args.named))?,
        force: args.force,
        prune: args.prune || context.config.prune,
        adopt: args.adopt,
        allow_older: args.allow_older,
        take_over: args.take_over,
        new_repository: args.new_repository,
        run_repository: context.run_repository(),
    };
    let options = context.deploying(args.dry_run, args.no_restart, args.lock_wait);
    if !args.dry_run && !args.no_restart {
        context.refuse_empty_logins(&options.logins)?;
    }
    let notifier = (!args.dry_run).then(|| context.notifier());
    let mut observer = observer(context.progress, targets.len(), context.stderr);
    if let Some(notifier) = &notifier {
        observer = notifier.observing(observer);
    }
    let run = on_each(&targets, args.parallel, args.fail_fast, async |target| {
        let session = Session {
            target,
            options: &options,
            observer: &*observer,
            stop: stop.clone(),
            notices: Notices::default(),
        };
        context.on(&session, async |session, transport| sync.run(session, transport).await).await
    });
    let results = signals::announcing(&stop, &*observer, run).await;
    // Spinners are removed before results are written.
    drop(observer);
    // With one host there is nothing beside its failure that a report could show.
    let alone = match results.as_slice() {
        [Err(error)] if context.format != Format::Json => {
            Some(error.clone().on_host(&targets[0].name, HostState::Unchanged))
        }
        _ => None,
    };
    let (mut plans, mut outcomes) = (Vec::new(), Vec::new());
    for (target, result) in targets.iter().zip(results) {
        match result {
            Ok(Reached::Planned(plan)) => plans.push(plan),
            Ok(Reached::Applied(outcome)) => outcomes.push(outcome),
            Err(error) => outcomes.push(failed_before_start(target, error)),
        }
    }
    let (commit, dirty) = (worktree.commit(), worktree.is_dirty());
    let outcome = Outcome { version: VERSION, commit, dirty, hosts: outcomes };
    if let Some(notifier) = notifier {
        return finish(context, notifier, &outcome, alone, &stop).await;
    }
    if let Some(error) = alone {
        return Err(error);
    }
    // In a dry run, what is not known of a host stands in its place.
    let failed = outcome.exit();
    plans.extend(outcome.hosts.into_iter().map(plan_of));
    let plan = Plan { version: VERSION, commit: outcome.commit, dirty, base: None, hosts: plans };
    let exit = worse(failed, plan.exit_of_dry_run(args.select.exit_code));
    context.find_movable(&plan).await;
    context.publish(Shown::Plan(&plan), exit)?;
    Ok(exit)
}

/// Refuses a tree that is not the commit that it was made from.
async fn refuse_changes(worktree: &Worktree) -> Result<()> {
    let tree = worktree.tree().await?;
    let Some(commit) = tree.commit() else {
        return Err(Error::usage("--require-clean: the files are not those of a commit"));
    };
    let mut problems = problems(&tree.unusable());
    let changes = tree.changes();
    if !changes.is_empty() {
        let shown = listed(changes.iter().map(String::as_str), changes.len());
        let verb = if changes.len() == 1 { "differs" } else { "differ" };
        let message = format!("{shown} {verb} from commit {}, and --require-clean is given", short(commit));
        problems.push(
            Diagnostic::error(message, None)
                .help("commit the files, or let git ignore what is made here and name it in `sync.include`"),
        );
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::invalid(problems)) }
}

/// Shows an outcome, or the error that takes its place, and then notifies others.
pub(super) async fn finish(
    context: &Context,
    notifier: Notifier,
    outcome: &Outcome,
    alone: Option<Error>,
    stop: &Stop,
) -> Result<Exit> {
    let exit = outcome.exit();
    let result = match alone {
        Some(error) => Err(error),
        None => context.publish(Shown::Outcome(outcome), exit).map(|()| exit),
    };
    context.notified(notifier, outcome, stop).await;
    result
}
