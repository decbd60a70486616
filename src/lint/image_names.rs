//! Finds names of images with capital letters. A registry takes none, so the push or the pull would fail.

use super::HostProjects;
use crate::base::diagnostic::Diagnostic;
use crate::compose::model::Service;
use crate::images::reference;

pub(super) fn check(host: &HostProjects<'_>) -> Vec<Diagnostic> {
    host.services().filter_map(|this| capitals(this.name, this.service)).collect()
}

fn capitals(name: &str, service: &Service) -> Option<Diagnostic> {
    let image = service.image.as_deref().filter(|image| reference::has_capitals(image))?;
    // Values of variables are not shown.
    let written = service.image_written.as_deref().unwrap_or_default();
    let shown = if written == image { format!(" `{image}`") } else { String::new() };
    let message = format!("the name of the image{shown} of service `{name}` has a capital letter");
    Some(
        Diagnostic::error(message, service.image_at.clone()).help(
            "write the name in small letters: registries take no others, also where GitHub shows capitals",
        ),
    )
}
