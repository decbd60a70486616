//! `history`: the releases of the hosts, and which of them can be gone back to.

use futures_util::future::join_all;

use super::args::{HistoryArgs, lines};
use super::context::{Context, selection};
use crate::base::error::{Exit, Result};
use crate::config::selection::{Known, Selected};
use crate::deploy::history::history;
use crate::outcome::queries::{History, HostHistory};
use crate::report::render;

pub(super) async fn run(context: &Context, args: &HistoryArgs) -> Result<Exit> {
    let targets = context.targets()?;
    let globs: Vec<&str> = lines(&args.project).chain(lines(&args.names)).collect();
    let selection = selection(&globs)?;
    let hosts = join_all(targets.iter().map(|target| async {
        let found = context.look(target, async |session, transport| history(session, transport).await);
        let (releases, problems) = match found.await {
            Ok(releases) => (releases, Vec::new()),
            Err(error) => (Vec::new(), error.diagnostics),
        };
        HostHistory { name: target.name.clone(), releases, is_selection: selection.is_some(), problems }
    }));
    let mut history = History { hosts: hosts.await };
    if let Some(selection) = &selection {
        // What a project is called may be known from the tree only, or, once it has gone, from one of the hosts.
        let mut known = Known::default();
        let worktree = context.worktree();
        for target in &targets {
            let names = worktree.project_names(target).await.unwrap_or_default();
            names.iter().for_each(|name| known.add_project(name));
        }
        let past = history.hosts.iter().flat_map(|host| &host.releases);
        past.flat_map(|past| past.release.projects.keys()).for_each(|name| known.add_project(name));
        // A host that was not reached may know it.
        if history.hosts.iter().all(|host| host.problems.is_empty()) {
            selection.refuse_unknown(&known)?;
        }
        let selected = selection.among(&known);
        selected.refuse_services("history")?;
        keep(&mut history, &selected);
    }
    context.print(|out| render(&history, context.format, out, context.style))?;
    Ok(if history.hosts.iter().all(|host| host.problems.is_empty()) { Exit::Done } else { Exit::Unreachable })
}

/// Keeps what concerns the projects that were asked for.
fn keep(history: &mut History, selected: &Selected) {
    for host in &mut history.hosts {
        for past in &mut host.releases {
            past.release.projects.retain(|name, _| selected.selects(name));
        }
        host.releases.retain(|past| !past.release.projects.is_empty());
    }
}
