//! `plan`: what would change between two revisions. Needs no host.

use std::collections::BTreeSet;

use super::args::PlanArgs;
use super::base::{Base, base};
use super::context::Context;
use super::context::selection;
use super::publish::Shown;
use crate::base::commit::short;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Exit, Result};
use crate::base::path::RootPath;
use crate::compose::ProjectCache;
use crate::compose::model::ProjectSettings;
use crate::config::FileRules;
use crate::config::layout::Layout;
use crate::config::selection::{Known, Selected};
use crate::deploy::known;
use crate::plan::{self, Plan, PlanOptions, VERSION};
use crate::state::deployed::Deployed;
use crate::tree;
use crate::tree::Snapshot;
use crate::tree::git::{GitTree, Repository};

pub(super) async fn run(context: &Context, args: &PlanArgs) -> Result<Exit> {
    let plan = plan(context, args)?;
    context.find_movable(&plan).await;
    let exit = plan.exit(args.select.exit_code);
    context.publish(Shown::Plan(&plan), exit)?;
    Ok(exit)
}

/// The plan between two revisions.
///
/// # Errors
///
/// When a revision is not known or cannot be read, or `--project` matches nothing.
pub(super) fn plan(context: &Context, args: &PlanArgs) -> Result<Plan> {
    let repository = Repository::open(&context.dir)?;
    let base = match args.base() {
        Some(rev) => Base { commit: Some(repository.commit(rev)?), note: None },
        None => base(context, &repository, &repository.commit(args.head())?)?,
    };
    plan_against(context, args, &repository, base)
}

/// The plan of the projects whose images are built: those that have changed, or all that were named.
///
/// # Errors
///
/// As [`plan`].
pub(super) fn plan_of_images(context: &Context, args: &PlanArgs) -> Result<Plan> {
    if args.select.globs().is_empty() {
        return plan(context, args);
    }
    let repository = Repository::open(&context.dir)?;
    plan_against(context, args, &repository, Base { commit: None, note: None })
}

fn plan_against(context: &Context, args: &PlanArgs, repository: &Repository, base: Base) -> Result<Plan> {
    let selection = selection(&args.select.globs())?;
    let (layout, rules) = (&context.config.services, &context.config.sync);
    let Base { commit: base, note } = base;
    let (head, base) = trees(repository, args.head(), base.as_deref(), layout, rules)?;
    let shown = |path: &RootPath| crate::compose::Files::shown(&head, path);
    let mut hosts = Vec::new();
    let mut all = Known::default();
    for target in context.targets_or_any()? {
        let cache = ProjectCache::default();
        let read = |tree: &dyn Snapshot| {
            let runs = |name: &str, settings: &ProjectSettings| target.runs(name, settings);
            tree::read_again(
                &cache,
                &tree::OnHost::new(tree).compose(&target.compose),
                layout,
                &target.root,
                &runs,
            )
        };
        let wanted = read(&head)?;
        let mut deployed = match &base {
            Some(base) => Deployed::from_wanted(&read(base)?),
            None => Deployed::default(),
        };
        // In a comparison of revisions nothing has drifted and nothing is in the way.
        deployed.state.commit = base.as_ref().and_then(|base| base.commit().map(str::to_owned));
        let mut here = known(Some(&wanted), &deployed.state);
        for dir in tree::project_dirs(&tree::OnHost::new(&head).compose(&target.compose), layout)? {
            here.add_project(&dir.name);
        }
        all.add(&here);
        let selected = selection.as_ref().map_or_else(Selected::default, |selection| selection.among(&here));
        let selects = |name: &str| selected.selects(name);
        let services = |name: &str| selected.services(name).cloned();
        let options =
            PlanOptions { prune: context.config.prune, services: &services, ..PlanOptions::new(&selects) };
        let work = plan::host(&target.name, &wanted, &deployed, &options, &shown);
        let mut host = work.plan();
        host.notes.extend(plan::left_to_hosts(&work, &head, &target.root));
        host.notes.extend(moved_submodules(&head, base.as_ref()));
        host.notes.extend(note.clone());
        hosts.push(host);
    }
    if let Some(selection) = &selection {
        selection.refuse_unknown(&all)?;
    }
    let commit = |tree: &dyn Snapshot| tree.commit().map(str::to_owned);
    let base = base.as_ref().and_then(|base| commit(base));
    Ok(Plan { version: VERSION, commit: commit(&head), dirty: false, base, hosts })
}

/// The trees of two revisions. A submodule is looked into only if the files of both of its commits are here.
fn trees(
    repository: &Repository,
    head: &str,
    base: Option<&str>,
    layout: &Layout,
    rules: &FileRules,
) -> Result<(GitTree, Option<GitTree>)> {
    let mut closed = BTreeSet::new();
    loop {
        let head = repository.tree(head, layout, rules, &closed)?;
        let base = base.map(|rev| repository.past_tree(rev, layout, rules, &closed)).transpose()?;
        let all = head.submodules().values().chain(base.iter().flat_map(|base| base.submodules().values()));
        let found: BTreeSet<String> = all.map(|submodule| submodule.repo_path.clone()).collect();
        if found.is_subset(&closed) {
            return Ok((head, base));
        }
        closed.extend(found);
    }
}

/// Warnings about submodules that are at another commit, and whose files are not here to be compared.
fn moved_submodules(head: &GitTree, base: Option<&GitTree>) -> Vec<Diagnostic> {
    let Some(base) = base else { return Vec::new() };
    let (new, old) = (head.submodules(), base.submodules());
    let paths: BTreeSet<&RootPath> = new.keys().chain(old.keys()).collect();
    let moved = paths.into_iter().filter_map(|path| {
        let (now, before) = (new.get(path), old.get(path));
        let (name, change) = match (before, now) {
            (Some(before), Some(now)) if before.commit == now.commit => return None,
            (Some(before), Some(now)) => {
                let (from, to) = (short(&before.commit), short(&now.commit));
                (&now.repo_path, format!("moves from commit {from} to {to}"))
            }
            (None, Some(now)) => (&now.repo_path, format!("comes, at commit {}", short(&now.commit))),
            (Some(before), None) => (&before.repo_path, "goes".to_owned()),
            (None, None) => return None,
        };
        Some((name, change))
    });
    let note = |(name, change): (&String, String)| {
        let message = format!(
            "the submodule {name} {change}, and its files are not here to be compared: each of them counts as changed"
        );
        Diagnostic::warning(message, None).help(format!(
            "check it out with both commits: `submodules: true` and `fetch-depth: 0` for actions/checkout, or `git submodule update --init {name}`"
        ))
    };
    moved.map(note).collect()
}
