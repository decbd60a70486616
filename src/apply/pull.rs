//! Images of the services that get a container: which of them are missing, and their pull.
//!
//! As `docker compose up` does it: an image that the host has is not pulled, whatever its tag means by now,
//! unless `pull_policy: always` says so. A tested image is always pulled: a tag that the host has may mean
//! an older one.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use super::engine::Call;
use super::failure::{Failure, ProjectFailureKind};
use super::run::ProjectRun;
use super::words::{PullProblem, explain_pull};
use crate::base::diagnostic::Diagnostic;
use crate::compose::model::{PullPolicy, Service};
use crate::host::{ComposeFolder, Reply};
use crate::images::platform;
use crate::state::wanted::WantedProject;

/// Number of images of a project that are pulled at a time, like Docker's default for the layers of one.
const PARALLEL_PULLS: usize = 3;

/// Image that a service is created from.
struct NeededImage<'w> {
    service: &'w str,
    of: &'w Service,
    /// Its references. Of an image that only the host knows by name, also those of services that it needs.
    references: Vec<String>,
    /// Whether it must be a tested one.
    is_tested: bool,
}

impl ProjectRun<'_> {
    /// Pulls the images of services that get a container, as far as the host lacks them. The old containers
    /// keep running meanwhile.
    pub(super) async fn pull(&self, wanted: &WantedProject, folder: &ComposeFolder) -> Result<(), Failure> {
        if !self.acts() {
            return Ok(());
        }
        let tested = self.tested(wanted);
        let mut needed = Vec::new();
        for name in self.created() {
            let Some((name, of)) = wanted.model.services.get_key_value(name) else { continue };
            let is_tested = tested.iter().any(|(tested, _)| tested == name);
            let Some(image) = of.image.as_deref().filter(|_| is_tested || of.build.is_none()) else {
                continue;
            };
            let references = match image.contains("${") {
                false => vec![image.to_owned()],
                true => self.references(wanted, name, folder).await?,
            };
            needed.push(NeededImage { service: name, of, references, is_tested });
        }
        if needed.is_empty() {
            return Ok(());
        }
        let is_there = self.are_there(&needed).await?;
        let mut missing: Vec<&NeededImage<'_>> = Vec::new();
        let mut problems = Vec::new();
        for (image, is_there) in needed.iter().zip(is_there) {
            match &image.of.pull_policy {
                _ if image.is_tested => {}
                PullPolicy::Always => {}
                _ if is_there => continue,
                PullPolicy::Never => {
                    problems.push(image.is_never_pulled());
                    continue;
                }
                // Compose makes it.
                PullPolicy::Build => continue,
                PullPolicy::Missing | PullPolicy::Refresh => {}
            }
            let is_same = |other: &&NeededImage<'_>| {
                other.references == image.references && other.of.platform == image.of.platform
            };
            if !missing.iter().any(is_same) {
                missing.push(image);
            }
        }
        if !problems.is_empty() {
            return Err(Failure::of(problems));
        }
        if !missing.is_empty() {
            self.report("pull images");
            let pulls = missing.iter().map(|image| self.pull_image(image, folder));
            let ends: Vec<Result<(), Failure>> = stream::iter(pulls).buffered(PARALLEL_PULLS).collect().await;
            let mut failure = Failure::default();
            for why in ends.into_iter().filter_map(Result::err) {
                if why.kind != ProjectFailureKind::Failed {
                    return Err(why);
                }
                failure = failure.and(why);
            }
            if !failure.problems.is_empty() {
                return Err(failure);
            }
        }
        self.check_tested(&tested).await
    }

    /// Asks Compose for the references of an image that a variable of the host decides.
    async fn references(
        &self,
        wanted: &WantedProject,
        service: &str,
        folder: &ComposeFolder,
    ) -> Result<Vec<String>, Failure> {
        let reply = self.call(&self.host.task.engine.image_names(service), folder.clone()).await?;
        // It also names the images of services that this one needs, and warnings may be among them.
        let is_other = |line: &String| {
            let mut known = wanted.model.services.values().filter_map(|service| service.image.as_ref());
            line.contains([' ', '"']) || known.any(|known| known == line)
        };
        Ok(reply.output.into_iter().filter(|line| !line.is_empty() && !is_other(line)).collect())
    }

    /// For each image whether the host has it, for the right platform.
    async fn are_there(&self, needed: &[NeededImage<'_>]) -> Result<Vec<bool>, Failure> {
        let mut asked: Vec<&str> = Vec::new();
        for reference in needed.iter().flat_map(|image| &image.references) {
            if !asked.contains(&reference.as_str()) {
                asked.push(reference);
            }
        }
        if asked.is_empty() {
            return Ok(vec![true; needed.len()]);
        }
        let engine = self.host.task.engine;
        let platforms = async |names: &[&str]| -> Result<Vec<String>, Failure> {
            let reply = self.call_any(&engine.image_platforms(names)).await?;
            Ok(if reply.is_ok() { reply.output } else { Vec::new() })
        };
        let mut found: Vec<Option<String>> = platforms(&asked).await?.into_iter().map(Some).collect();
        // Which of several names Docker does not know, its answer does not tell on all versions.
        if found.len() != asked.len() {
            let each = asked.iter().map(|name| async { platforms(&[*name]).await });
            let each: Result<Vec<Vec<String>>, Failure> = join_all(each).await.into_iter().collect();
            found = each?.into_iter().map(|lines| lines.into_iter().next()).collect();
        }
        // A rollback gives these names to images that the host has.
        let is_tagged = |name: &str| self.work.images.iter().any(|(_, tagged)| tagged == name);
        let is_there = |image: &NeededImage<'_>, name: &String| {
            let at = asked.iter().position(|asked| asked == name);
            let platform = at.and_then(|at| found.get(at).cloned().flatten());
            is_tagged(name)
                || platform.is_some_and(|there| {
                    image.of.platform.as_deref().is_none_or(|wanted| platform::fits(wanted, &there))
                })
        };
        Ok(needed.iter().map(|image| image.references.iter().all(|name| is_there(image, name))).collect())
    }

    async fn pull_image(&self, image: &NeededImage<'_>, folder: &ComposeFolder) -> Result<(), Failure> {
        let engine = self.host.task.engine;
        let call = match image.references.as_slice() {
            // Compose would leave out an image that it builds.
            [reference] if image.is_tested => engine.pull_image(reference, image.of.platform.as_deref()),
            _ => engine.pull(image.service),
        };
        let reply = self.host.docker.call(&call, &self.work.state, folder.clone()).await?;
        if reply.is_ok() {
            return Ok(());
        }
        let PullProblem { why, help, is_unreached } = explain_pull(&reply.output);
        let help = match help {
            _ if image.of.pull_policy == PullPolicy::Always && is_unreached => {
                "`pull_policy: always` pulls at every change; without it, the image that the host has is used"
                    .to_owned()
            }
            Some(help) => help.to_owned(),
            None => format!("to see why, run on the host: docker pull {}", image.written()),
        };
        let message = format!("{} cannot be pulled: {why}", image.shown());
        Err(Failure::new(Diagnostic::error(message, image.of.image_at.clone()).help(help)))
    }

    /// Makes a call that may fail.
    async fn call_any(&self, call: &Call) -> Result<Reply, Failure> {
        Ok(self.host.docker.call(call, &self.work.state, ComposeFolder::Live).await?)
    }
}

impl NeededImage<'_> {
    /// What it is called in messages: as the compose file writes it, because a value may be secret.
    fn shown(&self) -> String {
        format!("image {} of service `{}`", self.written(), self.service)
    }

    fn written(&self) -> &str {
        self.of.image_written.as_deref().unwrap_or_default()
    }

    fn is_never_pulled(&self) -> Diagnostic {
        let message =
            format!("the host does not have {}, and `pull_policy: never` forbids pulling it", self.shown());
        let help = "build or load it on the host, or remove `pull_policy`";
        Diagnostic::error(message, self.of.image_at.clone()).help(help)
    }
}
