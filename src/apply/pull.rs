//! Images of the services that get a container: which of them are missing, and their pull.
//!
//! As `docker compose up` does it: an image that the host has is not pulled, whatever its tag means by now,
//! unless `pull_policy: always` says so. A tested image is always pulled: a tag that the host has may mean
//! an older one.
//!
//! Images of a registry with a login are pulled one by one by `docker pull`, which reads no compose file: the login is
//! in its environment. All others are pulled with what the user of the connection has in Docker's own configuration.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use super::engine::Call;
use super::failure::{Failure, ProjectFailureKind};
use super::run::ProjectRun;
use super::steps::with_dependencies;
use super::words::{PullProblem, explain_pull};
use crate::base::diagnostic::{Diagnostic, Location};
use crate::compose::model::{Hook, OtherImage, Project, PullPolicy, Service};
use crate::host::{Command, ComposeFolder, Reply};
use crate::images::login::{RegistryLogin, login_of};
use crate::images::platform;
use crate::plan::{Action, ActionKind, ProjectWork};
use crate::state::versions::{RUN_WITHOUT_PULL, older_than};
use crate::state::wanted::WantedProject;

/// Number of images of a project that are pulled at a time, like Docker's default for the layers of one.
const PARALLEL_PULLS: usize = 3;

/// Image that a service is created from.
struct NeededImage<'w> {
    service: &'w str,
    of: &'w Service,
    /// Its references. Of an image that only the host knows by name, also those of services that it needs.
    references: Vec<String>,
    /// Which of the images that it needs beside its own, unless it is its own.
    other: Option<&'w OtherImage>,
    /// Whether the service gets a container; others only come up with one that does.
    is_created: bool,
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
        self.check_hooks().await?;
        let mut needed = Vec::new();
        for name in self.with_images(wanted) {
            let Some((name, of)) = wanted.model.services.get_key_value(name) else { continue };
            let is_created = self.created().any(|created| created == name);
            let others = of.other_images.iter().filter(|other| !is_built(&wanted.model, &other.image));
            needed.extend(others.map(|other| NeededImage {
                service: name,
                of,
                references: vec![other.image.clone()],
                other: Some(other),
                is_created,
                is_tested: false,
            }));
            if of.provider.is_some() {
                continue;
            }
            let is_tested = tested.iter().any(|(tested, _)| tested == name);
            let Some(image) = of.image.as_deref().filter(|_| is_tested || of.build.is_none()) else {
                continue;
            };
            let references = match image.contains("${") {
                false => vec![image.to_owned()],
                true => self.references(wanted, name, folder).await?,
            };
            needed.push(NeededImage { service: name, of, references, other: None, is_created, is_tested });
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
                _ if image.other.is_some() && is_there => continue,
                // Compose pulls the image of a mount whatever the policy says.
                _ if image.other.is_some() => {}
                PullPolicy::Always if image.is_created => {}
                // Compose, which knows how old it is, pulls nothing of this project.
                PullPolicy::Refresh if image.is_created && !self.work.pulls_ahead.is_empty() => {}
                _ if is_there => continue,
                PullPolicy::Never if image.is_created => {
                    problems.push(image.is_never_pulled());
                    continue;
                }
                // Compose makes it, or says what it lacks.
                PullPolicy::Build | PullPolicy::Never => continue,
                PullPolicy::Missing | PullPolicy::Always | PullPolicy::Refresh => {}
            }
            let is_same = |other: &&NeededImage<'_>| {
                other.references == image.references && other.platform() == image.platform()
            };
            if !missing.iter().any(is_same) {
                missing.push(image);
            }
        }
        if !problems.is_empty() {
            return Err(Failure::of(problems));
        }
        if self.host.task.only_looks {
            return self.foresee_pulls(&missing, &tested).await;
        }
        if !missing.is_empty() {
            self.report("pull images");
            let pulls = missing.iter().map(|image| self.pull_image(image, folder));
            let ends: Vec<Result<(), Failure>> = stream::iter(pulls).buffered(PARALLEL_PULLS).collect().await;
            all_of(ends)?;
        }
        self.check_tested(&tested).await
    }

    /// The services whose images have to be on the host: those that get a container and, if Compose pulls none, those
    /// that come up with them.
    fn with_images<'w>(&'w self, wanted: &'w WantedProject) -> Vec<&'w str> {
        let mut names: Vec<&str> = self.created().collect();
        if !self.work.pulls_ahead.is_empty() {
            let all = &wanted.model.services;
            let hooks = self.work.plan.hooks.iter().filter_map(Hook::own_service);
            let needed = with_dependencies(all, names.iter().copied().chain(hooks).collect(), |name, _| {
                all.get(name).is_some_and(|service| service.active)
            });
            let more: Vec<&str> = needed.into_iter().filter(|name| !names.contains(name)).collect();
            names.extend(more);
        }
        names
    }

    /// Checks that no hook pulls an image again: the login is gone by then.
    async fn check_hooks(&self) -> Result<(), Failure> {
        let engine = self.host.task.engine;
        let hooks = self.work.plan.hooks.iter();
        let again: Vec<_> = hooks.filter(|hook| engine.pulls_again(self.work, hook)).collect();
        if again.is_empty() {
            return Ok(());
        }
        let version = self.host.docker.version(&engine.probe()).await?.output.join(" ");
        let Some(why) = older_than(&version, RUN_WITHOUT_PULL) else { return Ok(()) };
        let problems = again.into_iter().map(|hook| {
            let message = format!(
                "{} {} would pull its image again, without the login to the registry: Docker Compose {why}",
                hook.name(),
                hook.place()
            );
            let help = "remove `pull_policy` from the service, or update Docker Compose on the host";
            Diagnostic::error(message, Some(hook.at.clone())).help(help)
        });
        Err(Failure::of(problems.collect()))
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
        let known = match self.host.docker.platforms(&asked) {
            Some(known) => known,
            None => platforms(&asked).await?,
        };
        let mut found: Vec<Option<String>> = known.into_iter().map(Some).collect();
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
                || platform
                    .is_some_and(|there| image.platform().is_none_or(|wanted| platform::fits(wanted, &there)))
        };
        Ok(needed.iter().map(|image| image.references.iter().all(|name| is_there(image, name))).collect())
    }

    /// Finds out which images cannot be pulled, and pulls none.
    async fn foresee_pulls(
        &self,
        missing: &[&NeededImage<'_>],
        tested: &[(&str, &Service)],
    ) -> Result<(), Failure> {
        let looks = missing.iter().map(|image| self.foresee_pull(image));
        let ends: Vec<Result<(), Failure>> = stream::iter(looks).buffered(PARALLEL_PULLS).collect().await;
        all_of(ends)?;
        for (name, service) in tested {
            let message =
                format!("whether the image of service `{name}` is the tested one is known after its pull");
            let at = service.image_at.clone().or_else(|| Some(service.at.clone()));
            self.host.notes.lock().await.push(Diagnostic::warning(message, at));
        }
        Ok(())
    }

    async fn foresee_pull(&self, image: &NeededImage<'_>) -> Result<(), Failure> {
        let engine = self.host.task.engine;
        for reference in &image.references {
            let registry = registry(reference);
            let is_near = registry == "localhost" || registry.starts_with("127.") || registry == "[::1]";
            let mut reply = self.call_any(&engine.find_image(reference, is_near)).await?;
            if reply.is_ok() {
                continue;
            }
            let way = self.call_any(&engine.registries()).await?;
            let way = RegistryAccess::read(&way.output.join(""));
            if !is_near && way.is_insecure(reference) {
                reply = self.call_any(&engine.find_image(reference, true)).await?;
                if reply.is_ok() {
                    continue;
                }
            }
            let problem = explain_pull(&reply.output);
            let login = login_of(&self.host.task.settings.logins, reference);
            if let Some((login, Err(variable))) = login.map(|login| (login, &login.credentials)) {
                return Err(image.has_no_login(login, variable));
            }
            // With the login for the time of the pull, it may be there.
            if login.is_none() && way.proves(reference, problem) {
                return Err(image.is_not_pulled(&reply));
            }
            let message = format!("whether {} can be pulled is known only after the pull", image.shown());
            let note = Diagnostic::warning(message, image.at());
            self.host.notes.lock().await.push(note);
        }
        Ok(())
    }

    async fn pull_image(&self, image: &NeededImage<'_>, folder: &ComposeFolder) -> Result<(), Failure> {
        let engine = self.host.task.engine;
        let logins = &self.host.task.settings.logins;
        if image.references.iter().any(|reference| login_of(logins, reference).is_some()) {
            for reference in &image.references {
                self.pull_reference(image, reference, login_of(logins, reference)).await?;
            }
            return Ok(());
        }
        let call = match image.references.as_slice() {
            // Compose would leave out an image that it builds.
            [reference] if image.is_tested || image.other.is_some() => {
                engine.pull_image(reference, image.platform())
            }
            _ => engine.pull(image.service),
        };
        let reply = self.host.docker.call(&call, &self.work.state, folder.clone()).await?;
        if reply.is_ok() { Ok(()) } else { Err(image.is_not_pulled(&reply)) }
    }

    /// Pulls an image by its reference, with a login if its registry has one.
    async fn pull_reference(
        &self,
        image: &NeededImage<'_>,
        reference: &str,
        login: Option<&RegistryLogin>,
    ) -> Result<(), Failure> {
        let platform = image.platform();
        let Some(login) = login else {
            let reply = self.call_any(&self.host.task.engine.pull_image(reference, platform)).await?;
            return if reply.is_ok() { Ok(()) } else { Err(image.is_not_pulled(&reply)) };
        };
        let answer = match (login.answer(), &login.credentials) {
            (Some(answer), _) => answer,
            (None, Ok(_)) => return Ok(()),
            (None, Err(variable)) => return Err(image.has_no_login(login, variable)),
        };
        let command = Command::Pull {
            image: reference.to_owned(),
            platform: platform.map(str::to_owned),
            config: login.config(),
            answer,
        };
        let reply = self.host.task.driver.call(&command).await?;
        if reply.is_ok() { Ok(()) } else { Err(image.is_not_pulled_with(login, &reply)) }
    }

    /// Makes a call that may fail.
    async fn call_any(&self, call: &Call) -> Result<Reply, Failure> {
        Ok(self.host.docker.call(call, &self.work.state, ComposeFolder::Live).await?)
    }
}

/// References of the images of the services of a project that get a container, as far as they are known here.
pub(super) fn created_images(work: &ProjectWork) -> impl Iterator<Item = String> {
    let creates = |action: &&Action| matches!(action.kind, ActionKind::Up | ActionKind::Recreate);
    let created = work.plan.actions.iter().filter(creates).filter_map(|action| action.service.as_ref());
    let model = work.wanted.as_deref().map(|wanted| &wanted.model);
    let created = created.filter_map(move |name| Some((model?, model?.services.get(name)?)));
    let images = created.flat_map(|(model, service)| {
        let own = service.image.as_ref().filter(|_| service.build.is_none() && service.provider.is_none());
        let others = service.other_images.iter().map(|other| &other.image);
        own.into_iter().chain(others.filter(|image| !is_built(model, image)))
    });
    images.filter(|image| !image.contains("${")).cloned()
}

/// Whether a service of the project builds this image.
fn is_built(model: &Project, image: &str) -> bool {
    let mut built = model.services.iter().filter(|(_, service)| service.build.is_some());
    built.any(|(name, service)| match &service.image {
        Some(own) => own == image,
        None => format!("{}-{name}", model.name) == image,
    })
}

/// The registry in a reference, without its port; empty for Docker Hub.
fn registry(reference: &str) -> &str {
    let Some((first, _)) = reference.split_once('/') else { return "" };
    if !(first.contains(['.', ':']) || first == "localhost") || first == "docker.io" {
        return "";
    }
    match first.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => first,
    }
}

/// How the engine on a host reaches registries. Another program there may reach less.
#[derive(Debug, Default)]
struct RegistryAccess {
    has_mirrors: bool,
    has_proxy: bool,
    /// Registries without certificates, each with its port.
    insecure: Vec<String>,
    /// Whether whole networks of such registries are configured.
    has_insecure_networks: bool,
    is_known: bool,
}

impl RegistryAccess {
    /// Reads the answer to [`super::engine::Engine::registries`].
    fn read(text: &str) -> Self {
        let parts: Vec<&str> = text.trim().split('|').collect();
        let [mirrors, proxy, insecure, networks] = parts.as_slice() else { return Self::default() };
        Self {
            has_mirrors: *mirrors != "0",
            has_proxy: !proxy.is_empty(),
            insecure: insecure.split_whitespace().map(str::to_owned).collect(),
            has_insecure_networks: networks
                .split_whitespace()
                .any(|net| !matches!(net, "127.0.0.0/8" | "::1/128")),
            is_known: true,
        }
    }

    fn is_insecure(&self, reference: &str) -> bool {
        let first = reference.split('/').next().unwrap_or_default();
        self.insecure.iter().any(|known| known == first)
    }

    /// Whether the engine would fail, too, after another program failed to find an image like this.
    fn proves(&self, reference: &str, problem: PullProblem) -> bool {
        let is_hub = registry(reference).is_empty();
        let may_be_reached = self.has_proxy || (self.has_mirrors && is_hub);
        self.is_known
            && problem.help.is_some()
            && !(problem.is_unreached && may_be_reached)
            && (is_hub || !self.has_insecure_networks || self.is_insecure(reference))
    }
}

impl NeededImage<'_> {
    /// What it is called in messages: as the compose file writes it, because a value may be secret.
    fn shown(&self) -> String {
        format!("image {} of service `{}`", self.written(), self.service)
    }

    fn written(&self) -> &str {
        match self.other {
            Some(other) => &other.written,
            None => self.of.image_written.as_deref().unwrap_or_default(),
        }
    }

    fn at(&self) -> Option<Location> {
        self.other.map(|other| other.at.clone()).or_else(|| self.of.image_at.clone())
    }

    /// The platform that it must be for. Compose takes the engine's for all but the image of the service.
    fn platform(&self) -> Option<&str> {
        self.of.platform.as_deref().filter(|_| self.other.is_none())
    }

    fn problem(&self, message: String, help: impl Into<String>) -> Failure {
        Failure::new(Diagnostic::error(message, self.at()).help(help))
    }

    /// The failure of a pull with the host's own configuration.
    fn is_not_pulled(&self, reply: &Reply) -> Failure {
        let PullProblem { why, help, is_unreached, .. } = explain_pull(&reply.output);
        let help = match help {
            _ if self.of.pull_policy == PullPolicy::Always && is_unreached => {
                "`pull_policy: always` pulls at every change; without it, the image that the host has is used"
                    .to_owned()
            }
            Some(help) => help.to_owned(),
            None => format!("to see why, run on the host: docker pull {}", self.written()),
        };
        self.problem(format!("{} cannot be pulled: {why}", self.shown()), help)
    }

    /// The failure of a pull with a login.
    fn is_not_pulled_with(&self, login: &RegistryLogin, reply: &Reply) -> Failure {
        let RegistryLogin { registry, variable, .. } = login;
        if reply.output.iter().any(|line| line == "noexec") {
            let message = format!(
                "{} cannot be pulled: programs below the root cannot be executed, so Docker gets no login to {registry}",
                self.shown()
            );
            return self.problem(message, "mount the filesystem of the root without `noexec`, or log the host in to the registry (docker login) and remove it from `registries` in ghdeploy.yml");
        }
        let PullProblem { why, is_refused, .. } = explain_pull(&reply.output);
        if !is_refused {
            return self.is_not_pulled(reply);
        }
        let message = format!("{} cannot be pulled with the login to {registry}: {why}", self.shown());
        let mut help = format!(
            "check `registries` in ghdeploy.yml and the password in the variable {variable}, and that this login may read the image"
        );
        if registry == "ghcr.io" {
            help += ". The token of a job needs `packages: read`, and the package must give the repository access";
        }
        self.problem(message, help)
    }

    /// The failure of a pull whose login is not given.
    fn has_no_login(&self, login: &RegistryLogin, variable: &str) -> Failure {
        let registry = &login.registry;
        let message = format!(
            "{} cannot be pulled: the variable {variable} with the login to {registry} is empty or not set",
            self.shown()
        );
        self.problem(message, format!("set {variable} where ghdeploy runs, or remove {registry} from `registries` in ghdeploy.yml: the host's own login counts then"))
    }

    fn is_never_pulled(&self) -> Diagnostic {
        let message =
            format!("the host does not have {}, and `pull_policy: never` forbids pulling it", self.shown());
        let help = "build or load it on the host, or remove `pull_policy`";
        Diagnostic::error(message, self.at()).help(help)
    }
}

/// The failures of several images as one; what stops a run counts alone.
fn all_of(ends: Vec<Result<(), Failure>>) -> Result<(), Failure> {
    let mut failure = Failure::default();
    for why in ends.into_iter().filter_map(Result::err) {
        if why.kind != ProjectFailureKind::Failed {
            return Err(why);
        }
        failure = failure.and(why);
    }
    if failure.problems.is_empty() { Ok(()) } else { Err(failure) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_look_proves_a_failed_pull_only_if_the_engine_goes_the_same_way() {
        let unknown = |line: &str| explain_pull(&[line.to_owned()]);
        let (missing, unreached) = (unknown("manifest unknown"), unknown("dial tcp: lookup: no such host"));
        let way = |text: &str| RegistryAccess::read(text);
        let plain = "0|||::1/128 127.0.0.0/8 ";
        assert!(way(plain).proves("a/b:1", missing) && way(plain).proves("ghcr.io/a/b:1", unreached));
        assert!(!way(plain).proves("a:1", unknown("something else")));
        // Through a proxy or a mirror, the engine may reach what others do not.
        assert!(!way("0|proxy||127.0.0.0/8").proves("a:1", unreached));
        assert!(way("0|proxy||127.0.0.0/8").proves("a:1", missing));
        assert!(!way("2|||127.0.0.0/8").proves("a:1", unreached));
        assert!(way("2|||127.0.0.0/8").proves("ghcr.io/a:1", unreached));
        // Without certificates, too.
        assert!(!way("0|||10.0.0.0/8 127.0.0.0/8").proves("reg.lan:5000/a:1", missing));
        assert!(way("0||reg.lan:5000 |10.0.0.0/8").proves("reg.lan:5000/a:1", missing));
        assert!(!way("").proves("a:1", missing));
    }

    #[test]
    fn the_registry_of_a_reference_is_its_first_part() {
        for (reference, wanted) in [
            ("nginx:1", ""),
            ("ann/app:1", ""),
            ("docker.io/ann/app", ""),
            ("ghcr.io/ann/app:1", "ghcr.io"),
            ("127.0.0.1:5000/app:1", "127.0.0.1"),
            ("localhost/app", "localhost"),
            ("[::1]:5000/app", "[::1]"),
        ] {
            assert_eq!(registry(reference), wanted, "{reference}");
        }
    }
}
