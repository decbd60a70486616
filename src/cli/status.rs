//! `status`: what is deployed on the hosts, what has drifted, what is owed, and the services.

use futures_util::future::join_all;

use super::args::StatusArgs;
use super::context::{Context, selection};
use crate::base::error::{Exit, Result};
use crate::deploy::status::{status, unknown};
use crate::outcome::queries::Status;
use crate::report::render;

pub(super) async fn run(context: &Context, args: &StatusArgs) -> Result<Exit> {
    let targets = context.targets()?;
    let worktree = context.worktree();
    let selection = selection(&args.select.projects(&args.named))?;
    let hosts = join_all(targets.iter().map(|target| async {
        let found = context.look(target, async |session, transport| {
            status(session, &worktree, selection.as_ref(), transport).await
        });
        match found.await {
            Err(error) if error.exit == Exit::Usage => Err(error),
            found => Ok(found.unwrap_or_else(|error| unknown(target, error))),
        }
    }));
    // An error in the command line is no problem of a host.
    let status = Status { hosts: hosts.await.into_iter().collect::<Result<_>>()? };
    context.print(|out| render(&status, context.format, out, context.style))?;
    Ok(if status.hosts.iter().any(|host| host.is_unknown) {
        Exit::Unreachable
    } else if args.select.exit_code && !status.is_good() {
        Exit::Pending
    } else {
        Exit::Done
    })
}
