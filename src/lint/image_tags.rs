//! Finds images without a version. What runs then depends on the day of the pull, and a rollback cannot name
//! the image that ran before.

use super::HostProjects;
use crate::base::diagnostic::Diagnostic;
use crate::compose::model::Service;

pub(super) fn check(host: &HostProjects<'_>) -> Vec<Diagnostic> {
    let found = host.services().filter_map(|this| {
        let (tag, found) = unversioned(this.name, this.service)?;
        let what = format!("images of `{}` without a version", this.project.name);
        Some(found.in_group(what, format!("`{}` ({tag})", this.name), 2))
    });
    found.collect()
}

/// The warning about an image without a version, with its tag in words.
fn unversioned(name: &str, service: &Service) -> Option<(&'static str, Diagnostic)> {
    let (image, at) = (service.image.as_deref()?, service.image_at.clone());
    if service.build.is_some() || image.contains(['$', '@']) || image.is_empty() {
        return None;
    }
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let (tag, what) = match tag {
        None => ("no tag", "has no tag, which means `latest`"),
        Some("latest") => ("latest", "has the tag `latest`"),
        Some(_) => return None,
    };
    let message = format!("the image of service `{name}` {what}");
    Some((tag, Diagnostic::warning(message, at).help(
        "name a version: otherwise the day of the pull decides what runs, and a rollback cannot name the image before",
    )))
}
