//! `history`: the releases of the hosts, and which of them can be gone back to.

use futures_util::future::join_all;

use super::context::Context;
use crate::base::error::{Exit, Result};
use crate::deploy::history::history;
use crate::outcome::queries::{History, HostHistory};
use crate::report::render;

pub(super) async fn run(context: &Context) -> Result<Exit> {
    let targets = context.targets()?;
    let hosts = join_all(targets.iter().map(|target| async {
        let found = context.look(target, async |session, transport| history(session, transport).await);
        let (releases, problems) = match found.await {
            Ok(releases) => (releases, Vec::new()),
            Err(error) => (Vec::new(), error.diagnostics),
        };
        HostHistory { name: target.name.clone(), releases, problems }
    }));
    let history = History { hosts: hosts.await };
    context.print(|out| render(&history, context.format, out, context.style))?;
    Ok(if history.hosts.iter().all(|host| host.problems.is_empty()) { Exit::Done } else { Exit::Unreachable })
}
