//! Finds images without a version. What runs then depends on the day of the pull, and a rollback cannot name
//! the image that ran before.

use super::HostProjects;
use crate::base::diagnostic::Diagnostic;
use crate::compose::model::Service;

pub(super) fn check(host: &HostProjects<'_>) -> Vec<Diagnostic> {
    host.services().filter_map(|this| unversioned(this.name, this.service)).collect()
}

fn unversioned(name: &str, service: &Service) -> Option<Diagnostic> {
    let (image, at) = (service.image.as_deref()?, service.image_at.clone());
    if service.build.is_some() || image.contains(['$', '@']) || image.is_empty() {
        return None;
    }
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let what = match tag {
        None => "has no tag, which means `latest`",
        Some("latest") => "has the tag `latest`",
        Some(_) => return None,
    };
    let message = format!("the image of service `{name}` {what}");
    Some(Diagnostic::warning(message, at).help(
        "name a version: otherwise the day of the pull decides what runs, and a rollback cannot name the image before",
    ))
}
