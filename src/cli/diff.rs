//! `diff`: how the content of files on the hosts differs from that of the tree.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::Context;
use super::args::DiffArgs;
use super::hosts::{Target, selection};
use crate::base::diff::{is_secret_name, unified};
use crate::base::error::{Error, Exit, Result};
use crate::base::manifest::Manifest;
use crate::base::path::RootPath;
use crate::compose::Files as _;
use crate::compose::model::How;
use crate::config::globs::ProjectGlobs;
use crate::host::facts::{facts, open, probe_new};
use crate::host::releases::{Content, contents};
use crate::host::{Command, Driver, Transport};
use crate::outcome::answers::{Diff, FileDiff, HostDiff};
use crate::plan::{self, FileChange, Options};
use crate::report::render_diff;
use crate::state::deployed::{SHARED, unit};
use crate::state::wanted::Wanted;
use crate::tree;
use crate::tree::disk::DiskTree;

/// Size of the largest file whose content is shown, in bytes: more than people write or read.
const MAX_BYTES: u64 = 1 << 20;

pub(super) async fn run(context: &Context, args: &DiffArgs) -> Result<Exit> {
    let targets = context.targets()?;
    let selection = selection(&args.select)?;
    let tree = DiskTree::open(&context.dir, &context.config.services, &context.config.sync)?;
    let hosts = join_all(targets.iter().map(|target| async {
        let transport = target.transport(context);
        let found = host(context, target, &tree, args, selection.as_ref(), &*transport).await;
        transport.close().await;
        let (files, problems) = match found {
            Ok(files) => (files, Vec::new()),
            Err(error) => (Vec::new(), error.diagnostics),
        };
        HostDiff { name: target.name.clone(), files, problems }
    }));
    let diff = Diff { hosts: hosts.await };
    context.print(|out| render_diff(context.format, out, &diff, context.style))?;
    Ok(if diff.hosts.iter().any(|host| !host.problems.is_empty()) {
        Exit::Unreachable
    } else if args.select.exit_code && diff.hosts.iter().any(|host| !host.files.is_empty()) {
        Exit::Pending
    } else {
        Exit::Done
    })
}

async fn host(
    context: &Context,
    target: &Target,
    tree: &DiskTree,
    args: &DiffArgs,
    selection: Option<&ProjectGlobs>,
    transport: &dyn Transport,
) -> Result<Vec<FileDiff>> {
    let wanted = tree::read(tree, &context.config.services, &target.root, &|name, settings| {
        target.runs(name, settings)
    })?;
    let selects = |name: &str| selection.is_none_or(|globs| globs.selects(name));
    let driver = Driver::start(transport).await?;
    open(&driver, &Command::OpenToRead { root: target.root.clone() }, &target.root, |_| {}).await?;
    let wants: BTreeMap<String, Manifest> = wanted
        .projects
        .iter()
        .filter(|project| selects(&project.name))
        .map(|project| (unit(&project.name), project.manifest.clone()))
        .chain([(SHARED.to_owned(), wanted.shared.clone())])
        .collect();
    let mut deployed = facts(&driver, &wants).await?;
    probe_new(&driver, &wants, &mut deployed).await?;
    let options = Options { prune: context.config.prune, ..Options::new(&selects) };
    let plan = plan::host(&target.name, &wanted, &deployed, &options, &|path| tree.shown(path)).plan;
    let all = plan.projects.iter().flat_map(|project| &project.files).chain(&plan.shared);
    let by_path: BTreeMap<&str, &FileChange> =
        all.filter(|file| args.concerns(&file.path)).map(|file| (file.path.as_str(), file)).collect();
    let files: Vec<&FileChange> = by_path.into_values().collect();
    let wants = files.iter().map(|file| (None, file.at.clone())).collect();
    let found = contents(&driver, wants, MAX_BYTES).await?;
    driver.end().await;
    files.into_iter().zip(found).map(|(file, there)| difference(file, &there, tree, &wanted)).collect()
}

/// How one file differs.
fn difference(file: &FileChange, there: &Content, tree: &DiskTree, wanted: &Wanted) -> Result<FileDiff> {
    let shown = |diff, note: Option<&str>| FileDiff {
        path: file.path.clone(),
        change: file.change,
        diff,
        note: note.map(str::to_owned),
    };
    if may_hold_secrets(&file.at, wanted) || is_private(file) {
        return Ok(shown(None, Some("not shown, for it may hold secrets")));
    }
    let old = match there {
        Content::Bytes(bytes) => Some(bytes),
        Content::Missing => None,
        Content::Large => return Ok(shown(None, Some("too large to be shown"))),
    };
    let new = match &file.after {
        Some(entry) if entry.size > MAX_BYTES => return Ok(shown(None, Some("too large to be shown"))),
        Some(_) => tree.content(&file.at).map_err(|error| {
            Error::new(Exit::Unforeseen, format!("failed to read {}: {error}", file.path))
        })?,
        None => None,
    };
    Ok(match unified(&file.path, old.map(AsRef::as_ref), new.as_deref()) {
        Some(text) => shown(Some(text), None),
        None => shown(None, Some("binary")),
    })
}

/// Whether nobody but its owner may read a file, here or there.
fn is_private(file: &FileChange) -> bool {
    file.before.iter().chain(&file.after).any(|entry| entry.mode & 0o077 == 0)
}

fn may_hold_secrets(path: &RootPath, wanted: &Wanted) -> bool {
    let services = wanted.projects.iter().flat_map(|project| project.model.services.values());
    let mut reads = services.flat_map(|service| &service.reads);
    is_secret_name(path.file_name())
        || reads.any(|read| matches!(read.how, How::Secret | How::EnvFile) && read.covers(path))
}
