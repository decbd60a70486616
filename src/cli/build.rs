//! `build`: builds the images of changed projects whose gate is open.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use super::args::BuildArgs;
use super::bake::{Bake, Buildx, move_tags, refuse_missing_cache};
use super::context::Context;
use super::gate::{Decision, blocked, built, decide, mismatch};
use super::publish::Shown;
use super::tags::{Inputs, Place, Tags, inputs};
use crate::base::error::{Error, Exit, Result};
use crate::base::path::RootPath;
use crate::compose::model::{ProjectSettings, ReadMethod};
use crate::images::builds::{Builds, ImageOutcome, ImageResult};
use crate::images::gate::Verdict;
use crate::images::reference;
use crate::plan::{ImageToBuild, Plan, ProjectPlan};
use crate::report::escape::name;
use crate::state::unusable::listed;
use crate::state::wanted::WantedProject;
use crate::tree;
use crate::tree::disk::DiskTree;
use crate::tree::git::Repository;

/// Largest verdict that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

pub(super) async fn run(context: &Context, args: &BuildArgs) -> Result<Exit> {
    if args.push && args.load {
        return Err(Error::usage("--push and --load exclude each other"));
    }
    refuse_missing_cache(args)?;
    let (verdict, plan) = match args.verdict() {
        Some(file) => (read(file)?, super::plan::plan_of_images(context, &args.gate.plan)?),
        None => {
            let Decision { verdict, plan } = decide(context, &args.gate).await?;
            (verdict, plan.ok_or_else(|| Error::usage("there is no repository to build from"))?)
        }
    };
    let sha = plan.commit.clone().ok_or_else(|| Error::usage("the checked-out files are not a commit"))?;
    let tested = verdict.sha.clone().unwrap_or_default();
    let mut verdict = verdict;
    verdict.blocked = blocked(&plan);
    if args.verdict().is_some()
        && let Some(why) = mismatch(&Repository::open(&context.dir)?, context, &tested)
    {
        // A verdict decides about no other commit.
        verdict.refuse(&why);
    }
    let tree = DiskTree::open(&context.dir, &context.config.services, &context.config.sync)?;
    let (inputs, differences) = (inputs(context, &tree)?, differences(context, &tree)?);
    // Its tests have proven the commit, and nothing else.
    for project in projects(&plan) {
        for why in differences.get(&project.name).into_iter().flatten() {
            verdict.refuse(why);
        }
    }
    let mut images = Vec::new();
    let mut builder =
        Builder { context, args, inputs, tags: Tags::new(context, &sha)?, buildx: None, sha: &sha };
    for project in projects(&plan) {
        let is_open = verdict.opens(&project.name, &tested);
        for image in &project.images {
            let mut outcome = not_built(context, project, image, &sha);
            if is_open {
                builder.build(project, image, &mut outcome).await?;
            }
            images.push(outcome);
        }
    }
    let builds = Builds { sha, images, verdict };
    let exit = exit(&builds, &built(&plan));
    context.publish(Shown::Builds(&builds, &plan), exit)?;
    Ok(exit)
}

fn exit(builds: &Builds, wanted: &[String]) -> Exit {
    let with = |result: ImageResult| builds.images.iter().any(|image| image.result == result);
    if with(ImageResult::Failed) {
        Exit::Unforeseen
    } else if with(ImageResult::Closed)
        || (wanted.is_empty() && builds.verdict.gate != crate::images::gate::GateState::Open)
    {
        Exit::GateClosed
    } else if builds.verdict.blocked.is_empty() {
        Exit::Done
    } else {
        Exit::Usage
    }
}

/// Returns the projects with images to build, each once.
fn projects(plan: &Plan) -> Vec<&ProjectPlan> {
    let mut found: Vec<&ProjectPlan> = Vec::new();
    for project in plan.hosts.iter().flat_map(|host| &host.projects).filter(|project| project.builds()) {
        if !found.iter().any(|known| known.name == project.name) {
            found.push(project);
        }
    }
    found
}

/// Reads a verdict that `gate --format json` wrote.
fn read(file: &str) -> Result<Verdict> {
    let wrong = |why: String| {
        Error::usage(format!("{file} is not a verdict: {why}"))
            .help("give what `ghdeploy gate --format json` writes")
    };
    let file = std::fs::File::open(file).map_err(|error| wrong(error.to_string()))?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX_BYTES), &mut text)
        .map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// Returns an image before it is built.
fn not_built(context: &Context, project: &ProjectPlan, image: &ImageToBuild, sha: &str) -> ImageOutcome {
    let is_alone = project.images.len() == 1;
    let (own, registry) = (image.image.as_deref(), context.registry());
    let name = reference::name(own, &registry, &project.name, &image.service, is_alone);
    ImageOutcome {
        project: project.name.clone(),
        service: image.service.clone(),
        tags: vec![reference::commit_tag(&name, sha)],
        unmoved: Vec::new(),
        image: name,
        digest: None,
        result: ImageResult::Closed,
    }
}

/// Builds images one by one. A failure does not stop the others.
struct Builder<'a> {
    context: &'a Context,
    args: &'a BuildArgs,
    inputs: Inputs,
    tags: Tags<'a>,
    /// The installed buildx, once it was asked.
    buildx: Option<Buildx>,
    sha: &'a str,
}

impl Builder<'_> {
    async fn build(
        &mut self,
        project: &ProjectPlan,
        image: &ImageToBuild,
        outcome: &mut ImageOutcome,
    ) -> Result<()> {
        let title = format!("{} {}", outcome.project, outcome.service);
        self.context.say(&format!("building {title}"));
        outcome.result = match self.built(project, image, outcome).await? {
            Ok(()) => ImageResult::Built,
            Err(why) => {
                let mut stderr = std::io::stderr().lock();
                let (title, why) = (name(&title), name(&why));
                let _ = match &*why {
                    "" => writeln!(stderr, "error: the image of {title} was not built"),
                    why => writeln!(stderr, "error: the image of {title} was not built: {why}"),
                };
                ImageResult::Failed
            }
        };
        Ok(())
    }

    /// Builds an image. The inner error says why that failed, if docker has not said it already.
    async fn built(
        &mut self,
        project: &ProjectPlan,
        image: &ImageToBuild,
        outcome: &mut ImageOutcome,
    ) -> Result<Result<(), String>> {
        if reference::has_capitals(&outcome.image) {
            return Ok(Err(format!("`{}` has a capital letter, and registries take none", outcome.image)));
        }
        let buildx = match self.buildx {
            Some(buildx) => buildx,
            None => *self.buildx.insert(Buildx::find()?),
        };
        let shared = reference::shared_tags(&outcome.image, image.image.as_deref());
        let key = (outcome.project.clone(), outcome.service.clone());
        let inputs = self.inputs.get(&key).cloned();
        let place = if self.args.push { Place::Registry } else { Place::Engine };
        // At a registry, shared tags move at the end, so that what another run has pushed in the meantime
        // counts.
        let moves_later = self.args.push && buildx.moves_tags;
        if !moves_later {
            self.separate(outcome, &shared, place, inputs.as_ref()).await;
        }
        let metadata = tempfile::NamedTempFile::new()
            .map_err(|error| Error::unforeseen(format!("failed to make a temporary file: {error}")))?;
        let (context, args, sha) = (self.context, self.args, self.sha);
        let bake = Bake { context, args, project, outcome, sha, inputs: inputs.as_ref() };
        let tags: Vec<&str> = outcome.tags.iter().map(String::as_str).collect();
        let mut command = match bake.command(buildx, &tags, metadata.path()) {
            Ok(command) => command,
            Err(why) => return Ok(Err(why.to_string())),
        };
        // stdout carries only the result.
        let status = command.stdout(Stdio::from(std::io::stderr())).status();
        let status = status.map_err(|error| Error::usage(format!("failed to start docker: {error}")))?;
        if !status.success() {
            return Ok(Err(String::new()));
        }
        let digest = bake.digest(metadata.path());
        outcome.digest.clone_from(&digest);
        // A pushed image has a digest. Without it, the image cannot be identified.
        let Some(digest) = digest.filter(|_| args.push) else {
            return Ok(if args.push { Err("buildx does not report its digest".to_owned()) } else { Ok(()) });
        };
        if moves_later {
            let before = outcome.tags.len();
            self.separate(outcome, &shared, place, inputs.as_ref()).await;
            let moved = outcome.tags.split_off(before);
            if !moved.is_empty() && !move_tags(&moved, &format!("{}@{digest}", outcome.image)) {
                return Ok(Err(format!("its tags {} were not moved", moved.join(", "))));
            }
            outcome.tags.extend(moved);
        }
        Ok(Ok(()))
    }

    /// Adds the shared tags that move to an image to its tags, and notes the others.
    async fn separate(
        &mut self,
        outcome: &mut ImageOutcome,
        shared: &[String],
        place: Place,
        inputs: Option<&String>,
    ) {
        if self.args.allow_older {
            outcome.tags.extend(shared.iter().cloned());
            return;
        }
        let image = (outcome.project.as_str(), outcome.service.as_str());
        let (moved, unmoved) = self.tags.separate(image, shared, place, inputs).await;
        outcome.tags.extend(moved);
        outcome.unmoved = unmoved;
    }
}

/// Why the images of a project would not be those of the commit, by project.
type Differences = BTreeMap<String, Vec<String>>;

/// What images are built from and is not as the commit has it.
fn differences(context: &Context, tree: &DiskTree) -> Result<Differences> {
    let config = &context.config;
    let mut differences = Differences::new();
    for target in context.targets_or_any()? {
        let runs = |name: &str, settings: &ProjectSettings| target.runs(name, settings);
        let wanted = tree::read(
            &tree::OnHost::new(tree).compose(&target.compose),
            &config.services,
            &target.root,
            &runs,
        )?;
        for project in &wanted.projects {
            let changed = wanted.changes.iter().filter(|path| {
                let path = config.services.root_path(path);
                path.is_some_and(|path| is_built_from(project, &path))
            });
            let changed: Vec<&str> = changed.map(String::as_str).collect();
            let why = (!changed.is_empty()).then(|| {
                let verb = if changed.len() == 1 { "differs" } else { "differ" };
                format!("{} {verb} from the commit", listed(changed.iter().copied(), changed.len()))
            });
            let unusable = project.refused.iter().map(|problem| problem.message.clone());
            differences.insert(project.name.clone(), why.into_iter().chain(unusable).collect());
        }
    }
    Ok(differences)
}

/// Whether an image of the project depends on the file at a path below the root.
fn is_built_from(project: &WantedProject, path: &RootPath) -> bool {
    let services = || project.model.services.values().filter(|service| service.build.is_some());
    let mut reads =
        services().flat_map(|service| &service.reads).filter(|read| read.how == ReadMethod::Build);
    reads.any(|read| path.is_within(&read.path))
        || services().next().is_some() && project.model.definition_files.iter().any(|file| file.path == *path)
}
