//! `plan`: what would change between two revisions. Needs no host.

use super::Context;
use super::args::PlanArgs;
use super::hosts::selection;
use crate::compose::Memory;
use crate::compose::model::ProjectSettings;
use crate::deployed::Deployed;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Exit, Result};
use crate::plan::{self, Options, Plan, VERSION};
use crate::report::render_plan;
use crate::tree::Snapshot;
use crate::tree::git::Repository;
use crate::wanted;

pub(super) fn run(context: &Context, args: &PlanArgs) -> Result<Exit> {
    let selection = selection(&args.select)?;
    let (layout, rules) = (&context.config.services, &context.config.sync);
    let repository = Repository::open(&context.dir)?;
    let head = repository.tree(args.head(), layout, rules)?;
    let base = args.base().map(|rev| repository.past_tree(rev, layout, rules)).transpose()?;
    let shown = |path: &crate::path::RootPath| crate::compose::Files::shown(&head, path);
    let mut hosts = Vec::new();
    let mut any = selection.is_none();
    for target in context.targets_or_any()? {
        let memory = Memory::default();
        let read = |tree: &dyn Snapshot| {
            let runs = |name: &str, settings: &ProjectSettings| target.runs(name, settings);
            wanted::read_again(&memory, tree, layout, &target.root, &runs)
        };
        let wanted = read(&head)?;
        let mut deployed = match &base {
            Some(base) => Deployed::from_wanted(&read(base)?),
            None => Deployed::default(),
        };
        // In a comparison nothing has drifted and nothing is in the way.
        deployed.state.commit = base.as_ref().and_then(|base| base.commit().map(str::to_owned));
        let selects = |name: &str| selection.as_ref().is_none_or(|globs| globs.selects(name));
        let options = Options { prune: context.config.prune, ..Options::new(&selects) };
        let mut host = plan::host(&target.name, &wanted, &deployed, &options, &shown).plan;
        if base.is_none() {
            host.notes.push(
                Diagnostic::warning("no base revision is given, so everything counts as added", None)
                    .help("--base names the revision to compare with"),
            );
        }
        any |= !host.projects.is_empty();
        hosts.push(host);
    }
    if !any {
        return Err(Error::usage("--project matches no project"));
    }
    let plan = Plan { version: VERSION, commit: head.commit().map(str::to_owned), hosts };
    context.print(|out| render_plan(context.format, out, &plan, context.style))?;
    let broken =
        plan.hosts.iter().flat_map(|host| &host.projects).any(|project| !project.problems.is_empty());
    Ok(if broken {
        Exit::Usage
    } else if args.select.exit_code && !plan.is_empty() {
        Exit::Pending
    } else {
        Exit::Done
    })
}
