//! Images that ghdeploy itself has replaced, and that no kept release needs any more.
//!
//! An image goes only if a release of this root used it, no release that is kept did, no container of the host uses it
//! (of any project, running or not), every name that it has is one that such a release gave it, and no project wants one
//! of these names. Docker itself refuses the rest, because nothing is forced. What cannot be removed is tried again
//! later, and fails no deploy.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::run::HostRun;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::host::releases::used_images;
use crate::images::reference::{familiar, parts};
use crate::outcome::RemovedImage;
use crate::state::deployed::UsedImages;

/// The form of [`FoundImage`], as `docker image inspect` fills it in, one line per image.
const FORMAT: &str = r#"{"id":{{json .Id}},"tags":{{json .RepoTags}}}"#;

/// Image that is on the host.
#[derive(Debug, Deserialize)]
struct FoundImage {
    id: String,
    tags: Option<Vec<String>>,
}

/// Names of images that projects want.
#[derive(Debug, Default)]
struct Wanted {
    /// In Docker's short form.
    names: BTreeSet<String>,
    /// Beginning and end of those that hold a variable of the host.
    open: Vec<(String, String)>,
}

impl HostRun<'_> {
    /// Notes the images that kept releases of this root used, and those that its containers use now, to be recorded
    /// with the release. Not to know them is no failure: they stay on the host.
    pub(super) async fn note_images(&self) {
        match self.used_images().await {
            Ok(used) => self.records.use_images(used).await,
            Err(error) => tracing::debug!(%error, "images are not known"),
        }
    }

    async fn used_images(&self) -> Result<UsedImages> {
        let own = self.records.compose_projects().await;
        let mut used = UsedImages::new();
        let mut enter = |project: &str, id: String, name: String| {
            if own.contains(project) && !id.is_empty() {
                used.entry(id).or_default().insert(name);
            }
        };
        for image in used_images(self.task.driver).await? {
            enter(&image.project, image.id, image.name);
        }
        for container in self.docker.containers().await? {
            enter(&container.project, container.image, container.image_name);
        }
        Ok(used)
    }

    /// Removes the images that are not needed any more, and notes which are gone.
    pub(super) async fn prune_images(&self) {
        let (mut removed, mut warnings) = (Vec::new(), Vec::new());
        if let Err(error) = self.try_to_prune(&mut removed, &mut warnings).await {
            warnings.push(Diagnostic::warning(format!("replaced images were not removed: {error}"), None));
        }
        if let Ok(mut pruned) = self.pruned.lock() {
            *pruned = (removed, warnings);
        }
    }

    async fn try_to_prune(
        &self,
        removed: &mut Vec<RemovedImage>,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<()> {
        let known = self.records.known_images().await;
        let mut needed: BTreeSet<String> =
            used_images(self.task.driver).await?.into_iter().map(|image| image.id).collect();
        needed.extend(self.images_of_containers().await?);
        let replaced: Vec<&str> =
            known.keys().filter(|id| !needed.contains(*id)).map(String::as_str).collect();
        if replaced.is_empty() {
            return Ok(());
        }
        let argv: Vec<&str> =
            ["image", "inspect", "--format", FORMAT].into_iter().chain(replaced.iter().copied()).collect();
        let reply = self.docker.run(&argv).await?;
        let found: Vec<FoundImage> =
            reply.output.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let is_missing = |line: &String| line.to_lowercase().contains("no such image");
        if !reply.is_ok() && found.is_empty() && !reply.output.iter().any(is_missing) {
            return Ok(());
        }
        let is_found = |id: &str| found.iter().any(|image| image.id == id);
        let mut gone: Vec<String> =
            replaced.iter().filter(|id| !is_found(id)).map(|id| (*id).to_owned()).collect();
        let wanted = self.wanted_images();
        for image in found {
            let Some(names) = known.get(&image.id) else { continue };
            let names: BTreeSet<String> = names.iter().map(|name| familiar(name)).collect();
            let tags = image.tags.unwrap_or_default();
            if !tags.iter().all(|tag| names.contains(tag) && !wanted.has(tag)) {
                continue;
            }
            // Parents without a name are not ours.
            let reply = self.docker.run(&["image", "rm", "--no-prune", &image.id]).await?;
            let says = |needle: &str| reply.output.iter().any(|line| line.to_lowercase().contains(needle));
            let shown = RemovedImage { name: wanted.shown(&tags), id: image.id.clone() };
            if reply.is_ok() {
                removed.push(shown);
                gone.push(image.id);
            } else if says("no such image") {
                gone.push(image.id);
            } else if !says("conflict") {
                let message = format!("the replaced image {} could not be removed", shown.short());
                let help = format!("to see why, run on the host: docker image rm {}", image.id);
                warnings.push(Diagnostic::warning(message, None).help(help));
            }
        }
        self.records.forget_images(&gone).await
    }

    /// Ids of the images that the containers of the host use, those of no project too.
    async fn images_of_containers(&self) -> Result<Vec<String>> {
        let unknown = || Error::unforeseen("Docker does not list the containers");
        let listed = self.docker.run(&["ps", "--all", "--quiet", "--no-trunc"]).await?;
        if !listed.is_ok() {
            return Err(unknown());
        }
        if listed.output.is_empty() {
            return Ok(Vec::new());
        }
        let ids = listed.output.iter().map(String::as_str);
        let argv = ["inspect", "--type", "container", "--format", "{{.Image}}"];
        let argv: Vec<&str> = argv.into_iter().chain(ids).collect();
        let reply = self.docker.run(&argv).await?;
        let images: Vec<String> =
            reply.output.iter().filter(|line| line.starts_with("sha256:")).cloned().collect();
        // One that has gone meanwhile needs no image.
        let gone = reply.output.iter().filter(|line| line.contains("No such container")).count();
        if images.len() + gone < listed.output.len() { Err(unknown()) } else { Ok(images) }
    }

    /// The images that projects want, the services too that no profile activates.
    fn wanted_images(&self) -> Wanted {
        let models = self.task.work.projects.iter().filter_map(|work| work.wanted.as_ref());
        let images = models.flat_map(|wanted| wanted.model.services.values());
        let mut wanted = Wanted::default();
        for image in images.filter_map(|service| service.image.as_deref()) {
            match image.split_once("${") {
                None => drop(wanted.names.insert(familiar(image))),
                Some((start, rest)) => {
                    let end = rest.rsplit_once('}').map_or("", |(_, end)| end);
                    wanted.open.push((start.to_owned(), end.to_owned()));
                }
            }
        }
        wanted
    }
}

impl Wanted {
    /// Whether a project may want the image of this name.
    fn has(&self, tag: &str) -> bool {
        let fits = |(start, end): &(String, String)| {
            let full = [tag.to_owned(), format!("docker.io/{tag}"), format!("docker.io/library/{tag}")];
            full.iter().any(|tag| tag.starts_with(start.as_str()) && tag.ends_with(end.as_str()))
        };
        self.names.contains(tag) || self.open.iter().any(fits)
    }

    /// A name that may be shown: one of an image of which a compose file writes another tag. Others may come from a
    /// variable of the host.
    fn shown(&self, tags: &[String]) -> Option<String> {
        let is_known = |tag: &&String| self.names.iter().any(|name| parts(name).0 == parts(tag).0);
        tags.iter().find(is_known).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_variable_may_be_any_that_begins_and_ends_like_it() {
        let open = |start: &str, end: &str| (start.to_owned(), end.to_owned());
        let wanted = Wanted {
            names: [familiar("nginx"), familiar("ghcr.io/ann/app:2")].into(),
            open: vec![open("quay.io/", "/app:1"), open("docker.io/library/cache:", "")],
        };
        for (tag, is_wanted) in [
            ("nginx:latest", true),
            ("nginx:1", false),
            ("ghcr.io/ann/app:2", true),
            ("ghcr.io/ann/app:1", false),
            ("quay.io/x/app:1", true),
            ("quay.io/x/app:2", false),
            ("cache:7", true),
        ] {
            assert_eq!(wanted.has(tag), is_wanted, "{tag}");
        }
        let tags = |tag: &str| vec![tag.to_owned()];
        assert_eq!(wanted.shown(&tags("ghcr.io/ann/app:1")).as_deref(), Some("ghcr.io/ann/app:1"));
        assert_eq!(wanted.shown(&tags("quay.io/secret/app:2")), None);
    }
}
