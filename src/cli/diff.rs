//! `diff`: how the content of files on the hosts differs from that of the tree.

use futures_util::future::join_all;

use super::args::DiffArgs;
use super::context::{Context, selection};
use crate::base::error::{Exit, Result};
use crate::deploy::diff::Diff as Comparison;
use crate::outcome::queries::{DiffReport, HostDiff};
use crate::report::render;

pub(super) async fn run(context: &Context, args: &DiffArgs) -> Result<Exit> {
    let targets = context.targets()?;
    let worktree = context.worktree();
    let comparison = Comparison {
        worktree: &worktree,
        selection: selection(&args.select.globs())?,
        prune: context.config.prune,
        concerns: &|path| args.concerns(path),
    };
    // A tree that cannot be read is no problem of a host.
    worktree.tree().await?;
    let hosts = join_all(targets.iter().map(|target| async {
        let found = context.look(target, async |session, transport| comparison.run(session, transport).await);
        let (files, problems) = match found.await {
            Err(error) if error.exit == Exit::Usage => return Err(error),
            Ok(files) => (files, Vec::new()),
            Err(error) => (Vec::new(), error.diagnostics),
        };
        Ok(HostDiff { name: target.name.clone(), files, problems })
    }));
    // An error in the command line is no problem of a host.
    let diff = DiffReport { hosts: hosts.await.into_iter().collect::<Result<_>>()? };
    context.print(|out| render(&diff, context.format, out, context.style))?;
    Ok(if diff.hosts.iter().any(|host| !host.problems.is_empty()) {
        Exit::Unreachable
    } else if args.select.exit_code && diff.hosts.iter().any(|host| !host.files.is_empty()) {
        Exit::Pending
    } else {
        Exit::Done
    })
}
