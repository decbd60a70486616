//! `diff`: how the content of files on the hosts differs from that of the tree.

use futures_util::future::join_all;

use super::args::DiffArgs;
use super::context::{Context, selection};
use super::explain::near_files;
use crate::base::error::{Error, Exit, Result};
use crate::deploy::diff::Diff as Comparison;
use crate::outcome::queries::{DiffReport, HostDiff};
use crate::report::render;

pub(super) async fn run(context: &Context, args: &DiffArgs) -> Result<Exit> {
    let targets = context.targets()?;
    let worktree = context.worktree();
    let asked: Vec<String> = args.paths.iter().map(|text| context.place.path(text)).collect();
    let comparison = Comparison {
        worktree: &worktree,
        selection: selection(&args.select.globs())?,
        prune: context.config.prune,
        concerns: &|path| DiffArgs::concerns(&asked, path),
    };
    // A tree that cannot be read is no problem of a host.
    let tree = worktree.tree().await?;
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
    let differs = |path: &String| {
        let mut files = diff.hosts.iter().flat_map(|host| &host.files);
        files.any(|file| DiffArgs::concerns(std::slice::from_ref(path), &file.path))
    };
    let is_there = |path: &String| context.dir.join(path).symlink_metadata().is_ok();
    // What only a host has cannot be known of one that could not be asked.
    let are_known = diff.hosts.iter().all(|host| host.problems.is_empty());
    if let Some(unknown) = asked.iter().find(|path| are_known && !is_there(path) && !differs(path)) {
        return Err(Error::usage(format!(
            "{unknown} is neither in the repository nor a managed file of a host"
        ))
        .help(near_files(&tree, unknown)));
    }
    context.print(|out| render(&diff, context.format, out, context.style))?;
    Ok(if diff.hosts.iter().any(|host| !host.problems.is_empty()) {
        Exit::Unreachable
    } else if args.select.exit_code && diff.hosts.iter().any(|host| !host.files.is_empty()) {
        Exit::Pending
    } else {
        Exit::Done
    })
}
