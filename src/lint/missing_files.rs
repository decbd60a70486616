//! Finds files that a service reads and the repository does not have.
//!
//! The host may have them. An `.example` file beside such a file says so and silences the rule.

use super::HostProjects;
use crate::base::diagnostic::Diagnostic;
use crate::base::path::{RootPath, looks_like_a_file};
use crate::compose::model::{ReadMethod, Service};
use crate::compose::{Files, NodeKind};

pub(super) fn check(host: &HostProjects<'_>) -> Vec<Diagnostic> {
    host.services().flat_map(|this| missing(this.name, this.service, host.files)).collect()
}

fn missing(name: &str, service: &Service, files: &dyn Files) -> impl Iterator<Item = Diagnostic> {
    let reads = service.reads.iter().filter(|read| read.kind.is_none() && read.required);
    reads.filter_map(move |read| {
        let does = match read.how {
            ReadMethod::EnvFile => "takes its variables from",
            ReadMethod::LabelFile => "takes its labels from",
            ReadMethod::Config => "reads",
            ReadMethod::Bind if looks_like_a_file(read.path.as_str()) => "mounts",
            // A secret belongs on the host alone.
            ReadMethod::Secret | ReadMethod::Bind | ReadMethod::Build => return None,
        };
        let example = RootPath::new(&format!("{}.example", read.path)).ok()?;
        if files.kind(&example) == Some(NodeKind::File) {
            return None;
        }
        let path = read.written.clone().unwrap_or_else(|| files.shown(&read.path));
        let message = format!("service `{name}` {does} {path}, which is not in the repository");
        Some(
            Diagnostic::warning(message, Some(read.at.clone()))
                .help("add it, or add an .example file beside it if only the host has it"),
        )
    })
}
