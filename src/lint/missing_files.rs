//! Finds files that a service reads and the repository does not have.
//!
//! The host may have them. An `.example` file beside such a file says so and silences the rule.

use super::{HostProjects, HostService};
use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::path::{RootPath, looks_like_a_file};
use crate::compose::model::{ReadMethod, Service};
use crate::compose::{Files, NodeKind};

/// Number of such files of a project from which on they are shown as one message.
const FOLDED_FROM: usize = 6;

pub(super) fn check(host: &HostProjects<'_>) -> Vec<Diagnostic> {
    let of = |this: HostService<'_>| -> Vec<Diagnostic> {
        let files = missing(this.name, this.service, host.files);
        let all = files.chain(missing_for_build(this.name, this.service, host.files));
        let what = format!("files that `{}` reads are not in the repository", this.project.name);
        all.map(|(path, found)| found.in_group(what.clone(), path, FOLDED_FROM)).collect()
    };
    host.services().flat_map(of).collect()
}

/// Finds what a build needs: its context, Dockerfile, additional contexts and secrets. A step before the build may
/// make them, so these are warnings.
fn missing_for_build(name: &str, service: &Service, files: &dyn Files) -> Vec<(String, Diagnostic)> {
    let Some(build) = &service.built_of else { return Vec::new() };
    let exists = |path: &RootPath| files.kind(path).is_some();
    let has_example = |path: &RootPath| {
        RootPath::new(&format!("{path}.example"))
            .is_ok_and(|example| files.kind(&example) == Some(NodeKind::File))
    };
    let reads = || service.reads.iter().filter(|read| read.how == ReadMethod::Build);
    let mut found: Vec<(RootPath, &Location)> = reads()
        .filter(|read| read.kind.is_none() && read.required && !has_example(&read.path))
        .map(|read| (read.path.clone(), &read.at))
        .collect();
    // Without `dockerfile:`, it is the file of that name in the context, which is the first thing that is read.
    let context = reads().next().filter(|read| !build.is_remote && exists(&read.path));
    if let Some(context) = context
        && let Ok(dockerfile) = context.path.join("Dockerfile")
        && build.dockerfile.as_deref() == Some(files.shown(&dockerfile).as_str())
        && !exists(&dockerfile)
        && !found.iter().any(|(path, _)| *path == dockerfile)
    {
        found.push((dockerfile, &context.at));
    }
    let said = found.into_iter().map(|(path, at)| {
        let shown = files.shown(&path);
        let message = format!("service `{name}` is built from {shown}, which is not in the repository");
        let found = Diagnostic::warning(message, Some(at.clone()))
            .help("add it, or add an .example file beside it if a step before the build makes it");
        (shown, found)
    });
    said.collect()
}

fn missing(name: &str, service: &Service, files: &dyn Files) -> impl Iterator<Item = (String, Diagnostic)> {
    let reads = service.reads.iter().filter(|read| read.kind.is_none() && read.required);
    reads.filter_map(move |read| {
        let does = match read.how {
            ReadMethod::EnvFile => "takes its variables from",
            ReadMethod::LabelFile => "takes its labels from",
            ReadMethod::Config => "reads",
            ReadMethod::Bind
                if looks_like_a_file(read.path.as_str())
                    || read.target.as_deref().is_some_and(looks_like_a_file) =>
            {
                "mounts"
            }
            // A secret belongs on the host alone. Builds have a message of their own.
            ReadMethod::Secret | ReadMethod::Bind | ReadMethod::Build => return None,
        };
        let example = RootPath::new(&format!("{}.example", read.path)).ok()?;
        if files.kind(&example) == Some(NodeKind::File) {
            return None;
        }
        let path = read.written.clone().unwrap_or_else(|| files.shown(&read.path));
        let message = format!("service `{name}` {does} {path}, which is not in the repository");
        let found = Diagnostic::warning(message, Some(read.at.clone()))
            .help("add it, or add an .example file beside it if only the host has it");
        Some((path, found))
    })
}
