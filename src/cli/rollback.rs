//! `rollback`: goes back to an earlier release with what the host has kept, without the repository.

use super::args::RollbackArgs;
use super::context::{Context, selection};
use super::publish::Shown;
use super::signals;
use super::sync::finish;
use crate::base::commit::{has_changes, hash};
use crate::base::error::{Error, Exit, HostState, Result};
use crate::deploy::rollback::Rollback;
use crate::deploy::{Reached, Session, failed_before_start};
use crate::host::Notices;
use crate::outcome::Outcome;
use crate::plan::{Plan, VERSION};
use crate::report::Format;
use crate::report::progress::observer;

pub(super) async fn run(context: &Context, args: &RollbackArgs) -> Result<Exit> {
    let stop = signals::listen();
    let targets = context.targets()?;
    let [target] = targets.as_slice() else {
        return Err(Error::usage("a rollback works on one host: the releases of hosts differ")
            .help("name it with --host"));
    };
    let rollback = Rollback { to: args.to()?, selection: selection(&args.select.globs())? };
    let options = context.deploying(args.dry_run, args.no_restart, args.lock_wait);
    if !args.dry_run && !args.no_restart {
        context.refuse_empty_logins(&options.logins)?;
    }
    let notifier = (!args.dry_run).then(|| context.notifier());
    let mut observer = observer(context.progress, 1, context.stderr);
    if let Some(notifier) = &notifier {
        observer = notifier.observing(observer);
    }
    let session = Session {
        target,
        options: &options,
        observer: &*observer,
        stop: stop.clone(),
        notices: Notices::default(),
    };
    let run = context.on(&session, async |session, transport| rollback.run(session, transport).await);
    let reached = signals::announcing(&stop, &*observer, run).await;
    drop(session);
    // Spinners are removed before results are written.
    drop(observer);
    let (commit, outcome, error) = match reached {
        Ok((commit, Reached::Planned(plan))) => {
            let (commit, dirty) = parts(commit);
            let plan = Plan { version: VERSION, commit, dirty, base: None, hosts: vec![plan] };
            let exit = plan.exit_of_dry_run(args.select.exit_code);
            context.publish(Shown::Plan(&plan), exit)?;
            return Ok(exit);
        }
        Ok((commit, Reached::Applied(outcome))) => (commit, outcome, None),
        Err(error) => (None, failed_before_start(target, error.clone()), Some(error)),
    };
    // A program gets every result as JSON.
    let alone = error.filter(|_| context.format != Format::Json);
    let alone = alone.map(|error| error.on_host(&target.name, HostState::Unchanged));
    let (commit, dirty) = parts(commit);
    let outcome = Outcome { version: VERSION, commit, dirty, hosts: vec![outcome] };
    match notifier {
        Some(notifier) => finish(context, notifier, &outcome, alone, &stop).await,
        None => match alone {
            Some(error) => Err(error),
            None => context.publish(Shown::Outcome(&outcome), outcome.exit()).map(|()| outcome.exit()),
        },
    }
}

/// The commit in a label, and whether what was deployed differs from it.
fn parts(label: Option<String>) -> (Option<String>, bool) {
    let is_dirty = label.as_deref().is_some_and(has_changes);
    (label.map(|label| hash(&label).to_owned()), is_dirty)
}
