//! `build`: builds the images of changed projects whose gate is open.
//!
//! Owns how `docker buildx bake` is called. It reads the compose files by itself; what is added are tags,
//! labels and where the result goes. Logins are Docker's own.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::args::BuildArgs;
use super::context::Context;
use super::gate::{Decision, built, decide, mismatch};
use super::publish::Shown;
use crate::base::error::{Error, Exit, Result};
use crate::base::path::RootPath;
use crate::base::secret::secret_variables;
use crate::compose::model::{ProjectSettings, ReadMethod};
use crate::images::builds::{Builds, ImageOutcome, ImageResult};
use crate::images::gate::Verdict;
use crate::images::reference;
use crate::plan::{Plan, ProjectPlan};
use crate::report::escape::name;
use crate::state::unusable::listed;
use crate::state::wanted::{self, WantedProject};
use crate::tree;
use crate::tree::disk::DiskTree;
use crate::tree::git::Repository;
use crate::tree::regular;

/// Largest verdict that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

pub(super) async fn run(context: &Context, args: &BuildArgs) -> Result<Exit> {
    if args.push && args.load {
        return Err(Error::usage("--push and --load exclude each other"));
    }
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
    if args.verdict().is_some()
        && let Some(why) = mismatch(&Repository::open(&context.dir)?, context, &tested)
    {
        // A verdict decides about no other commit.
        verdict.refuse(&why);
    }
    let (inputs, differences) = inputs(context)?;
    // Its tests have proven the commit, and nothing else.
    for project in projects(&plan) {
        for why in differences.get(&project.name).into_iter().flatten() {
            verdict.refuse(why);
        }
    }
    let mut images = Vec::new();
    for project in projects(&plan) {
        let is_open = verdict.opens(&project.name, &tested);
        let built = match is_open {
            true => build(context, args, project, &sha, &inputs)?,
            false => not_built(context, project, &sha, ImageResult::Closed),
        };
        images.extend(built);
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
    } else {
        Exit::Done
    }
}

/// Returns the projects with images to build, each once.
fn projects(plan: &Plan) -> Vec<&ProjectPlan> {
    let mut found: Vec<&ProjectPlan> = Vec::new();
    for project in
        plan.hosts.iter().flat_map(|host| &host.projects).filter(|project| !project.images.is_empty())
    {
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

/// Returns the images of a project with a result, before any is built.
fn not_built(context: &Context, project: &ProjectPlan, sha: &str, result: ImageResult) -> Vec<ImageOutcome> {
    let registry = context.registry();
    let is_alone = project.images.len() == 1;
    let outcome = |built: &crate::plan::ImageToBuild| {
        let name =
            reference::name(built.image.as_deref(), &registry, &project.name, &built.service, is_alone);
        let tags = reference::tags(&name, built.image.as_deref(), sha);
        ImageOutcome {
            project: project.name.clone(),
            service: built.service.clone(),
            image: name,
            tags,
            digest: None,
            result,
        }
    };
    project.images.iter().map(outcome).collect()
}

/// Builds the images of one project one by one. A failure does not stop the others.
fn build(
    context: &Context,
    args: &BuildArgs,
    project: &ProjectPlan,
    sha: &str,
    inputs: &Inputs,
) -> Result<Vec<ImageOutcome>> {
    let mut outcomes = not_built(context, project, sha, ImageResult::Failed);
    let folder = context.dir.join(&project.path);
    for outcome in &mut outcomes {
        let title = format!("{} {}", outcome.project, outcome.service);
        context.say(&format!("building {title}"));
        let metadata = tempfile::NamedTempFile::new()
            .map_err(|error| Error::unforeseen(format!("failed to make a temporary file: {error}")))?;
        let marks = Marks { sha, inputs: inputs.get(&(outcome.project.clone(), outcome.service.clone())) };
        let mut command = bake(context, args, project, outcome, &marks, metadata.path());
        let status = command
            .current_dir(&folder)
            .stdin(Stdio::null())
            // stdout carries only the result.
            .stdout(Stdio::from(std::io::stderr()))
            .status()
            .map_err(|error| {
                Error::usage(format!("failed to start docker: {error}")).help("install Docker with buildx")
            })?;
        if !status.success() {
            let _ = writeln!(std::io::stderr().lock(), "error: the image of {} was not built", name(&title));
            continue;
        }
        outcome.result = ImageResult::Built;
        outcome.digest = digest(metadata.path(), &outcome.service);
        // A pushed image has a digest. Without it, the image cannot be identified.
        if args.push && outcome.digest.is_none() {
            outcome.result = ImageResult::Failed;
            let _ = writeln!(
                std::io::stderr().lock(),
                "error: buildx does not report the digest of {}",
                name(&title)
            );
        }
    }
    Ok(outcomes)
}

/// Command `docker buildx bake` for one image.
fn bake(
    context: &Context,
    args: &BuildArgs,
    project: &ProjectPlan,
    outcome: &ImageOutcome,
    marks: &Marks<'_>,
    metadata: &Path,
) -> Command {
    let sha = marks.sha;
    let target = target(&outcome.service);
    let mut command = Command::new("docker");
    // The cache on GitHub needs the one token, and a compose file may name another as the secret of a build.
    let texts: Vec<Vec<u8>> = project
        .compose_files
        .iter()
        .filter_map(|file| regular::read(&context.dir.join(file), MAX_BYTES).ok())
        .collect();
    for variable in secret_variables(std::env::vars_os().map(|(name, _)| name)) {
        let is_named = |text: &Vec<u8>| String::from_utf8_lossy(text).contains(&*variable.to_string_lossy());
        if variable != "ACTIONS_RUNTIME_TOKEN" && !texts.iter().any(is_named) {
            command.env_remove(variable);
        }
    }
    command.args(["buildx", "bake", "--progress", "plain", "--metadata-file"]).arg(metadata);
    for file in &project.compose_files {
        let path = context.dir.join(file);
        command.arg("--file").arg(std::path::absolute(&path).unwrap_or(path));
    }
    let mut set = |key: &str, value: &str| {
        command.arg("--set").arg(format!("{target}.{key}={value}"));
    };
    for tag in &outcome.tags {
        set("tags", tag);
    }
    // https://github.com/opencontainers/image-spec/blob/main/annotations.md
    let run = context.github.as_ref();
    let source = run.and_then(|run| Some(format!("{}/{}", run.server, run.repository.as_ref()?)));
    let created = crate::deploy::now();
    let version = format!("sha-{}", &sha[..12.min(sha.len())]);
    let own = |name: &str| format!("org.opencontainers.image.{name}");
    let labels = [
        (reference::REVISION.to_owned(), Some(sha)),
        (reference::INPUTS.to_owned(), marks.inputs.map(String::as_str)),
        (own("source"), source.as_deref()),
        (own("created"), Some(&*created)),
        (own("version"), Some(&*version)),
    ];
    for (label, value) in labels {
        if let Some(value) = value {
            set(&format!("labels.{label}"), value);
        }
    }
    for (key, values) in
        [("platform", &args.platform), ("cache-from", &args.cache_from), ("cache-to", &args.cache_to)]
    {
        for value in
            values.iter().flat_map(|values| values.lines()).map(str::trim).filter(|value| !value.is_empty())
        {
            set(key, value);
        }
    }
    if args.push {
        command.arg("--push");
    }
    if args.load {
        command.arg("--load");
    }
    command.arg(target);
    command
}

/// Labels that identify the source of an image.
struct Marks<'a> {
    /// The commit.
    sha: &'a str,
    /// The digest of everything that it is built from.
    inputs: Option<&'a String>,
}

/// Digests of everything that images are built from, by project and service. By them, a host recognises the
/// images.
type Inputs = BTreeMap<(String, String), String>;

/// Why the images of a project would not be those of the commit, by project.
type Differences = BTreeMap<String, Vec<String>>;

/// What images are built from, and what of it is not as the commit has it.
fn inputs(context: &Context) -> Result<(Inputs, Differences)> {
    let config = &context.config;
    let tree = DiskTree::open(&context.dir, &config.services, &config.sync)?;
    let (mut inputs, mut differences) = (Inputs::new(), Differences::new());
    for target in context.targets_or_any()? {
        let runs = |name: &str, settings: &ProjectSettings| target.runs(name, settings);
        let wanted = tree::read(&tree, &config.services, &target.root, &runs)?;
        let manifests = wanted.projects.iter().map(|project| &project.manifest);
        let files = wanted::union(manifests.chain([&wanted.shared]));
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
            for (name, service) in &project.model.services {
                if let Some(digest) = wanted::service_state(&project.model, service, &files).build {
                    inputs.insert((project.name.clone(), name.clone()), digest);
                }
            }
        }
    }
    Ok((inputs, differences))
}

/// Whether an image of the project depends on the file at a path below the root.
fn is_built_from(project: &WantedProject, path: &RootPath) -> bool {
    let services = || project.model.services.values().filter(|service| service.build.is_some());
    let mut reads =
        services().flat_map(|service| &service.reads).filter(|read| read.how == ReadMethod::Build);
    reads.any(|read| path.is_within(&read.path))
        || services().next().is_some() && project.model.definition_files.iter().any(|file| file.path == *path)
}

/// Name of bake's target for a service
/// ([its own rule](https://github.com/docker/buildx/blob/master/bake/compose.go)).
fn target(service: &str) -> String {
    service.replace('.', "_")
}

fn digest(metadata: &Path, service: &str) -> Option<String> {
    let text = std::fs::read_to_string(metadata).ok()?;
    let metadata: Value = serde_json::from_str(&text).ok()?;
    let digest = metadata.get(target(service))?.get("containerimage.digest")?.as_str()?;
    digest.starts_with("sha256:").then(|| digest.to_owned())
}
