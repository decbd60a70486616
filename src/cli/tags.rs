//! Finds out which tags a build moves: the branch of the commit, the newest commit of the default branch, and
//! what a tag shows now. What follows from that is decided by [`crate::images::moving`].
//!
//! GitHub's API is asked first, then `origin` by git, and at last the clone itself, which may be older.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::context::Context;
use crate::base::error::Result;
use crate::base::secret::secret_variables;
use crate::compose::model::ProjectSettings;
use crate::github::WorkflowRun;
use crate::github::branches;
use crate::github::client::Client;
use crate::github::trigger::{OnBranch, Trigger, is_sha};
use crate::images::builds::UnmovedTag;
use crate::images::moving::{Newest, Position, Relation, Tagged};
use crate::images::reference;
use crate::plan::Plan;
use crate::state::wanted;
use crate::tree::git::{Depth, Login, Repository};
use crate::tree::{self, Snapshot};

/// Time that one call may wait for rate limits.
const PATIENCE: Duration = Duration::from_secs(60);

/// Digests of everything that images are built from, by project and service.
pub(super) type Inputs = BTreeMap<(String, String), String>;

/// Where tags are looked up, and where they move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At the registry.
    Registry,
    /// In the engine of this machine.
    Engine,
}

/// Decides which tags move to the images of one commit.
pub(super) struct Tags<'a> {
    context: &'a Context,
    repository: Repository,
    /// The commit that is built.
    head: String,
    /// Whether GitHub has failed to answer, so that it is not asked again.
    is_silent: bool,
    /// The images of commits, by the name of the commit.
    images: BTreeMap<String, Result<Inputs, String>>,
}

impl<'a> Tags<'a> {
    pub(super) fn new(context: &'a Context, head: &str) -> Result<Self> {
        let repository = Repository::open(&context.dir)?;
        let head = head.to_owned();
        Ok(Self { context, repository, head, is_silent: false, images: BTreeMap::new() })
    }

    /// Separates the shared tags of an image into those that move to it, and those that stay.
    pub(super) async fn separate(
        &mut self,
        image: (&str, &str),
        tags: &[String],
        place: Place,
        inputs: Option<&String>,
    ) -> (Vec<String>, Vec<UnmovedTag>) {
        let position = self.position().await;
        let is_same = self.is_same(&position, image);
        let (mut moved, mut unmoved) = (Vec::new(), Vec::new());
        for tag in tags {
            let tagged = position.asks_tag().then(|| self.tagged(tag, place, inputs));
            match position.moves(&is_same, tagged.as_ref()) {
                Ok(()) => moved.push(tag.clone()),
                Err(why) => unmoved.push(UnmovedTag { tag: tag.clone(), why }),
            }
        }
        (moved, unmoved)
    }

    /// Position of the commit now.
    async fn position(&mut self) -> Position {
        let run = self.context.workflow.as_ref();
        let on = run.map_or(OnBranch::Unknown, |run| match &run.trigger {
            Ok(trigger) => trigger.branch_of(&self.head, run.git_ref.as_deref(), run.repository.as_deref()),
            Err(_) => OnBranch::Unknown,
        });
        let configured = self.context.config.branch.clone();
        let named = configured.or_else(|| run.and_then(|run| run.default_branch.clone()));
        let elsewhere = |branch: Option<&String>| match &on {
            OnBranch::Other(elsewhere) => Some(elsewhere.clone()),
            OnBranch::Branch(on) if branch.is_some_and(|branch| branch != on) => {
                Some(format!("the branch `{on}`"))
            }
            _ => None,
        };
        if let Some(elsewhere) = elsewhere(named.as_ref()) {
            let newest = Err("it was not asked for".to_owned());
            return Position { branch: named, elsewhere: Some(elsewhere), newest };
        }
        let (branch, newest) = self.newest(named, &on).await;
        Position { elsewhere: elsewhere(branch.as_ref()), branch, newest }
    }

    /// The default branch and its newest commit.
    async fn newest(
        &mut self,
        named: Option<String>,
        on: &OnBranch,
    ) -> (Option<String>, Result<Newest, String>) {
        let (branch, certain) = match self.asked(named.clone()).await {
            Ok((branch, commit)) => (branch, Some(commit)),
            Err(why) => {
                // In a re-run of an old workflow, the clone is as old as that workflow.
                if let Some(run) = self.context.workflow.as_ref().filter(|run| run.attempt > 1) {
                    let why = format!("{why}, and this is attempt {} of the run", run.attempt);
                    return (named, Err(why));
                }
                (named.or_else(|| self.repository.default_branch()), None)
            }
        };
        let is_certain = certain.is_some();
        let here = || self.repository.newest_here(branch.as_ref()?);
        let Some(commit) = certain.or_else(here).or_else(|| self.pushed()) else {
            return (branch, Err("neither its server nor this clone shows it".to_owned()));
        };
        let is_built = commit == self.head || self.is_ahead(branch.as_deref(), on, &commit);
        (branch, Ok(Newest { commit, is_certain, is_built }))
    }

    /// The commit that is built, if the push of it has started this run.
    fn pushed(&self) -> Option<String> {
        let run = self.context.workflow.as_ref()?;
        let is_it =
            matches!(&run.trigger, Ok(Trigger::Push { after: Some(after), .. }) if *after == self.head);
        is_it.then(|| self.head.clone())
    }

    /// Whether the commit was made from `newest` on the same branch. That is so for a person's own commits, which the
    /// server does not have yet, and for a push that is so recent that GitHub still answers with the commit before it.
    fn is_ahead(&self, branch: Option<&str>, on: &OnBranch, newest: &str) -> bool {
        let Some(branch) = branch else { return false };
        let Some(run) = &self.context.workflow else {
            return self.repository.branch().as_deref() == Some(branch)
                && self.repository.is_ancestor(newest, &self.head) == Some(true);
        };
        let is_next =
            matches!(&run.trigger, Ok(Trigger::Push { before: Some(before), .. }) if before == newest);
        // By the time of a re-run, the branch may have been reset.
        run.attempt == 1 && *on == OnBranch::Branch(branch.to_owned()) && is_next && self.pushed().is_some()
    }

    /// The default branch and its newest commit, by what its server answers.
    async fn asked(&mut self, named: Option<String>) -> Result<(Option<String>, String), String> {
        let run = self.context.github.as_ref();
        let is_token_empty = run.is_some_and(|run| run.is_token_empty);
        let mut failed = is_token_empty.then(|| "`github-token` is empty".to_owned());
        if !self.is_silent
            && let Some(run) = run
            && let (Some(token), Some(repository)) = (&run.token, &run.repository)
        {
            let ask = async || {
                let client = Client::new(&run.api, token, PATIENCE)?;
                let branch = match named.clone() {
                    Some(branch) => branch,
                    None => branches::default_branch(&client, repository).await?,
                };
                let newest = branches::newest(&client, repository, &branch).await?;
                Ok::<_, crate::github::client::ApiError>((branch, newest))
            };
            match ask().await {
                Ok((branch, newest)) if is_sha(&newest) => return Ok((Some(branch), newest)),
                Ok(_) => failed = Some("GitHub's answer names no commit".to_owned()),
                Err(failure) => {
                    let advice = failure.advice("contents: read").map(|advice| format!(": {advice}"));
                    failed = Some(format!("{failure}{}", advice.unwrap_or_default()));
                }
            }
            self.is_silent = true;
        }
        if self.repository.origin().is_none() {
            return Err(failed.unwrap_or_else(|| "the clone has no `origin`".to_owned()));
        }
        let found = self.repository.newest_at_origin(named.as_deref(), run.and_then(login));
        found.map_err(|why| failed.unwrap_or(why))
    }

    /// Whether the image of the newest commit is the one of this commit.
    fn is_same(&mut self, position: &Position, image: (&str, &str)) -> Result<bool, String> {
        let Ok(newest) = &position.newest else { return Ok(false) };
        if newest.is_built || position.elsewhere.is_some() {
            return Ok(newest.is_built);
        }
        let key = (image.0.to_owned(), image.1.to_owned());
        let mut of = |commit: &str| -> Result<Option<String>, String> {
            if !self.images.contains_key(commit) {
                let images = images(self.context, &self.repository, commit);
                self.images.insert(commit.to_owned(), images);
            }
            match self.images.get(commit) {
                Some(Ok(images)) => Ok(images.get(&key).cloned()),
                Some(Err(why)) => Err(why.clone()),
                None => Ok(None),
            }
        };
        let (head, newest) = (self.head.clone(), newest.commit.clone());
        let (built, latest) = (of(&head)?, of(&newest)?);
        Ok(built.is_some() && built == latest)
    }

    /// What a tag shows.
    fn tagged(&self, tag: &str, place: Place, inputs: Option<&String>) -> Tagged {
        let labels = match labels(tag, place) {
            Labels::Absent => return Tagged::Absent,
            Labels::Unreadable => return Tagged::Unreadable,
            Labels::Known(labels) => labels,
        };
        let label = |name: &str| labels.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let Some(commit) = label(reference::REVISION) else { return Tagged::Unnamed };
        let is_same =
            commit == self.head || inputs.is_some_and(|own| label(reference::INPUTS) == Some(own.as_str()));
        let relation = if is_same { Relation::Same } else { self.relation(commit) };
        Tagged::Commit { commit: commit.to_owned(), relation }
    }

    fn relation(&self, commit: &str) -> Relation {
        let is_ancestor = |older: &str, newer: &str| self.repository.is_ancestor(older, newer);
        match (is_ancestor(commit, &self.head), is_ancestor(&self.head, commit)) {
            (Some(true), _) => Relation::Older,
            (_, Some(true)) => Relation::Newer,
            (Some(false), Some(false)) => Relation::Unrelated,
            _ => Relation::Unknown,
        }
    }
}

impl Context {
    /// Finds out for which images of a plan the matrix may name the shared tags. Only a workflow run has a
    /// matrix.
    pub(super) async fn find_movable(&self, plan: &Plan) {
        let images: Vec<(&str, &str)> = plan
            .hosts
            .iter()
            .flat_map(|host| &host.projects)
            .filter(|project| project.builds())
            .flat_map(|project| project.images.iter().map(|image| (&*project.name, &*image.service)))
            .collect();
        let (Some(commit), Some(_), false) = (&plan.commit, &self.workflow, images.is_empty()) else {
            return;
        };
        let Ok(mut tags) = Tags::new(self, commit) else { return };
        let position = tags.position().await;
        let mut movable = std::collections::BTreeSet::new();
        let mut reason = None;
        for image in images {
            let is_same = tags.is_same(&position, image);
            match position.moves(&is_same, None) {
                Ok(()) => drop(movable.insert((image.0.to_owned(), image.1.to_owned()))),
                Err(why) => reason = reason.or(Some(why)),
            }
        }
        if let Some(why) = reason {
            self.say(&format!("the matrix leaves out `latest` and the tag in `image:`: {why}"));
        }
        let _ = self.movable.set(movable);
    }
}

fn login(run: &WorkflowRun) -> Option<Login<'_>> {
    Some(Login { server: &run.server, token: run.token.as_ref()? })
}

/// The images of a commit, which is fetched if the clone lacks it.
fn images(context: &Context, repository: &Repository, commit: &str) -> Result<Inputs, String> {
    if !repository.has(commit) {
        let login = context.github.as_ref().and_then(login);
        repository
            .fetch(&[commit], Depth::Named, login)
            .map_err(|why| format!("it cannot be fetched ({why})"))?;
    }
    let config = &context.config;
    let read =
        || inputs(context, &repository.past_tree(commit, &config.services, &config.sync, &BTreeSet::new())?);
    read().map_err(|error| error.to_string())
}

/// Digests of everything that the images of a tree are built from.
pub(super) fn inputs(context: &Context, tree: &dyn Snapshot) -> Result<Inputs> {
    let mut inputs = Inputs::new();
    for target in context.targets_or_any()? {
        let runs = |name: &str, settings: &ProjectSettings| target.runs(name, settings);
        let wanted = tree::read(
            &tree::OnHost::new(tree).compose(&target.compose),
            &context.config.services,
            &target.root,
            &runs,
        )?;
        let manifests = wanted.projects.iter().map(|project| &project.manifest);
        let files = wanted::union(manifests.chain([&wanted.shared]));
        for project in &wanted.projects {
            for (name, service) in &project.model.services {
                if let Some(digest) = wanted::service_state(&project.model, service, &files).build {
                    inputs.insert((project.name.clone(), name.clone()), digest);
                }
            }
        }
    }
    Ok(inputs)
}

/// Labels of an image.
enum Labels {
    Absent,
    Unreadable,
    Known(Value),
}

/// The labels of the image that a tag shows.
fn labels(tag: &str, place: Place) -> Labels {
    let mut command = docker();
    match place {
        Place::Registry => {
            command.args(["buildx", "imagetools", "inspect", "--format", "{{json .Image}}", tag])
        }
        Place::Engine => command.args(["image", "inspect", "--format", "{{json .Config.Labels}}", tag]),
    };
    let Ok(output) = command.output() else { return Labels::Unreadable };
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).to_lowercase();
        let absent = [
            "not found",
            "no such image",
            "manifest unknown",
            "manifest_unknown",
            "name unknown",
            "name_unknown",
        ];
        let is_absent = absent.iter().any(|known| words.contains(known));
        return if is_absent { Labels::Absent } else { Labels::Unreadable };
    }
    let Ok(answer) = serde_json::from_slice::<Value>(&output.stdout) else { return Labels::Unreadable };
    Labels::Known(match place {
        Place::Engine => answer,
        Place::Registry => labels_of(&answer).cloned().unwrap_or_default(),
    })
}

/// The labels in an image's configuration, or in that of the first of several platforms.
fn labels_of(image: &Value) -> Option<&Value> {
    let labels = |image: &'_ Value| image.get("config").is_some();
    let one = if labels(image) { Some(image) } else { image.as_object()?.values().find(|one| labels(one)) };
    one?.get("config")?.get("Labels")
}

/// A docker command without the secrets of this program.
pub(super) fn docker() -> Command {
    let mut command = Command::new("docker");
    for variable in secret_variables(std::env::vars_os().map(|(name, _)| name)) {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_are_found_with_one_platform_and_with_several() {
        let image = json!({"architecture": "amd64", "config": {"Labels": {"a": "b"}}});
        assert_eq!(labels_of(&image), Some(&json!({"a": "b"})));
        let several = json!({"linux/amd64": image, "linux/arm64": image});
        assert_eq!(labels_of(&several), Some(&json!({"a": "b"})));
        assert_eq!(labels_of(&json!({"config": {}})), None);
        assert_eq!(labels_of(&json!(null)), None);
    }
}
