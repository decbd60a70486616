//! `status`: what is deployed on the hosts, what has drifted, what is owed, and the containers.

use futures_util::future::join_all;

use super::context::Context;
use crate::base::error::{Exit, Result};
use crate::deploy::status::{status, unknown};
use crate::outcome::queries::Status;
use crate::report::render;

pub(super) async fn run(context: &Context) -> Result<Exit> {
    let targets = context.targets()?;
    let worktree = context.worktree();
    let hosts = join_all(targets.iter().map(|target| async {
        let found =
            context.look(target, async |session, transport| status(session, &worktree, transport).await);
        found.await.unwrap_or_else(|error| unknown(target, error))
    }));
    let status = Status { hosts: hosts.await };
    context.print(|out| render(&status, context.format, out, context.style))?;
    Ok(if status.hosts.iter().all(|host| host.problems.is_empty()) { Exit::Done } else { Exit::Unreachable })
}
