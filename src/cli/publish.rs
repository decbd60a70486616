//! Publishes a result: on stdout, and in a workflow run in the job summary, the outputs and the annotations.
//!
//! A part that cannot be written is a note and no failure: the deploy is done.

use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::context::{Context, source};
use super::signals;
use crate::base::diagnostic::{Diagnostic, folded};
use crate::base::error::{Error, Exit, Result};
use crate::github::WorkflowRun;
use crate::images::builds::{Builds, ImageOutcome, ImageResult};
use crate::images::gate::checks::Standing;
use crate::images::gate::{GateState, Verdict};
use crate::images::reference;
use crate::outcome::queries::CheckReport;
use crate::outcome::{Outcome, ProjectResult};
use crate::plan::{ImageToBuild, Plan, ProjectPlan};
use crate::report::fit::{self, SUMMARY};
use crate::report::workflow::{Output, annotations, outputs};
use crate::report::{
    Checked, Format, Render, diagnostic, failure_as_markdown, no_comment_as_markdown, render,
};

/// Most jobs of a matrix
/// ([GitHub's limit](https://docs.github.com/actions/reference/limits)).
const MAX_JOBS: usize = 256;

/// A result to publish.
#[derive(Clone, Copy)]
pub(super) enum Shown<'a> {
    /// A plan.
    Plan(&'a Plan),
    /// The outcome of a plan.
    Outcome(&'a Outcome),
    /// The findings of a check.
    Check(&'a CheckReport),
    /// A verdict on images, with the plan of what has changed, if that is known.
    Verdict(&'a Verdict, Option<&'a Plan>),
    /// Images that were built, with the plan of what has changed.
    Builds(&'a Builds, &'a Plan),
}

impl Context {
    /// Writes a result to stdout, and in a workflow run to its files. `exit` is how this process will end.
    pub(super) fn publish(&self, shown: Shown<'_>, exit: Exit) -> Result<()> {
        self.print(|out| self.render(shown, self.format, out))?;
        let Some(run) = &self.workflow else { return Ok(()) };
        let publication = Publication { run, dir: &self.dir, quiet: self.args.quiet };
        let mut markdown = Vec::new();
        let rendered = self.render(shown, Format::Markdown, &mut markdown);
        publication.summarise(rendered.map(|()| String::from_utf8_lossy(&markdown).into_owned()));
        publication.annotate(&shown.diagnostics().iter().map(AsRef::as_ref).collect::<Vec<_>>());
        let matrix = self.matrix(shown, run);
        if matrix.len() > MAX_JOBS {
            let message = format!(
                "the matrix has {} images, and GitHub runs at most {MAX_JOBS} jobs of one",
                matrix.len()
            );
            let warning = Diagnostic::warning(message, None)
                .help("select projects with `--project`, or let `ghdeploy build` build them in one job");
            publication.annotate(&[&warning]);
        }
        let mut results = shown.outputs(&matrix);
        results.push(Output { name: "result", value: shown.word(exit).to_owned() });
        if let Some(document) =
            publication.keep(shown.document(), |file| self.render(shown, Format::Json, file))
        {
            results.push(Output { name: shown.document(), value: document.to_string_lossy().into_owned() });
        }
        publication.put_out(&results);
        Ok(())
    }

    /// Writes warnings to stderr, and in a workflow run as annotations too.
    pub(super) fn warn(&self, warnings: &[Diagnostic]) {
        if !self.args.quiet {
            let stderr = &mut std::io::stderr().lock();
            let _ = diagnostic::diagnostics(stderr, warnings, &|path| self.source(path), self.stderr);
        }
        if let Some(run) = &self.workflow {
            let publication = Publication { run, dir: &self.dir, quiet: self.args.quiet };
            publication.annotate(&warnings.iter().collect::<Vec<_>>());
        }
    }

    /// The images to build, each as a job of a matrix. Paths start from the workspace, because that is where
    /// the jobs check out the repository.
    fn matrix(&self, shown: Shown<'_>, run: &WorkflowRun) -> Vec<Value> {
        let (registry, folder) = (self.registry(), run.folder(&self.dir));
        let from_top = |path: &str| match (folder.is_empty(), path) {
            (true, _) => path.to_owned(),
            (false, "" | ".") => folder.clone(),
            (false, path) => format!("{folder}/{path}"),
        };
        let of = |project: &str, path: &str, image: &ImageToBuild, is_alone: bool| {
            let own = image.image.as_deref();
            let name = reference::name(own, &registry, project, &image.service, is_alone);
            let context = match image.of.is_remote {
                true => image.of.context.clone(),
                false => from_top(&image.of.context),
            };
            json!({
                "project": project, "path": from_top(path), "service": image.service, "context": context,
                "dockerfile": image.of.dockerfile.as_deref().map(from_top), "target": image.of.target,
                "image": name, "tags": self.tags_in_matrix(shown, project, image, &name).join(","),
            })
        };
        let projects = shown.projects();
        let jobs = projects.iter().flat_map(|(project, path, images)| {
            images.iter().map(move |image| (project, path, image, images.len() == 1))
        });
        distinct(jobs.map(|(project, path, image, is_alone)| of(project, path, image, is_alone)))
    }

    /// The tags that the job of an image may set.
    fn tags_in_matrix(
        &self,
        shown: Shown<'_>,
        project: &str,
        image: &ImageToBuild,
        name: &str,
    ) -> Vec<String> {
        if let Shown::Builds(builds, _) = shown {
            let is_it = |built: &&ImageOutcome| built.project == project && built.service == image.service;
            return builds.images.iter().find(is_it).map(|built| built.tags.clone()).unwrap_or_default();
        }
        let Some(commit) = shown.commit() else { return Vec::new() };
        let key = (project.to_owned(), image.service.clone());
        let moves = self.movable.get().is_some_and(|movable| movable.contains(&key));
        let shared = if moves { reference::shared_tags(name, image.image.as_deref()) } else { Vec::new() };
        std::iter::once(reference::commit_tag(name, commit)).chain(shared).collect()
    }

    fn render(&self, shown: Shown<'_>, format: Format, w: &mut dyn Write) -> std::io::Result<()> {
        let value: &dyn Render = match shown {
            Shown::Plan(plan) => plan,
            Shown::Outcome(outcome) => outcome,
            Shown::Verdict(verdict, _) => verdict,
            Shown::Builds(builds, _) => builds,
            Shown::Check(report) => &Checked { report, sources: &|path| self.source(path) },
        };
        render(value, format, w, self.style)
    }
}

/// Publishes a failure that has no other result. `judges` is whether the command decides on images: its gate is
/// closed then.
pub(super) fn failure(run: &WorkflowRun, dir: &Path, error: &Error, judges: bool) {
    let publication = Publication { run, dir, quiet: false };
    let mut markdown = Vec::new();
    let rendered = failure_as_markdown(&mut markdown, error, &|path| source(dir, path));
    publication.summarise(rendered.map(|()| String::from_utf8_lossy(&markdown).into_owned()));
    publication.annotate(&error.diagnostics.iter().collect::<Vec<_>>());
    publication.put_out(&ended(word(error.exit), judges));
}

/// Publishes the result of a command that has no other outputs.
pub(super) fn done(run: &WorkflowRun, dir: &Path, exit: Exit) {
    Publication { run, dir, quiet: false }.put_out(&ended(word(exit), false));
}

/// Publishes that the run was cancelled.
pub(super) fn cancelled(run: &WorkflowRun, dir: &Path, judges: bool) {
    Publication { run, dir, quiet: false }.put_out(&ended("cancelled", judges));
}

fn ended(result: &str, judges: bool) -> Vec<Output> {
    let gate = judges.then(|| Output { name: "gate", value: gate(GateState::Closed).to_owned() });
    std::iter::once(Output { name: "result", value: result.to_owned() }).chain(gate).collect()
}

/// Writes to the summary what cannot be a comment, with the reason.
pub(super) fn instead_of_a_comment(run: &WorkflowRun, dir: &Path, plan: Option<&Plan>, why: &Diagnostic) {
    let publication = Publication { run, dir, quiet: false };
    let mut markdown = Vec::new();
    let rendered = no_comment_as_markdown(&mut markdown, plan, why);
    publication.summarise(rendered.map(|()| String::from_utf8_lossy(&markdown).into_owned()));
}

/// The output `result` of a run that ends this way, if nothing else is known.
fn word(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done",
        Exit::Unforeseen => "failed",
        Exit::Usage => "invalid",
        Exit::GateClosed => "closed",
        // Stopped before anything was changed.
        Exit::Unreachable if signals::is_stopped() => "cancelled",
        Exit::Unreachable => "unreachable",
        Exit::RolledBack => "rolled_back",
        Exit::NeedsLook => "needs_look",
        Exit::Pending => "planned",
    }
}

impl Shown<'_> {
    /// The output that names the file of its document.
    fn document(&self) -> &'static str {
        match self {
            Self::Plan(_) | Self::Outcome(_) => "plan",
            Self::Check(_) => "report",
            Self::Verdict(..) => "verdict",
            Self::Builds(..) => "builds",
        }
    }

    /// Its messages.
    fn diagnostics(&self) -> Vec<Cow<'_, Diagnostic>> {
        let found: Vec<&Diagnostic> = match self {
            Self::Verdict(verdict, _) => {
                return with_blocked(closed(verdict), verdict).into_iter().map(Cow::Owned).collect();
            }
            Self::Builds(builds, _) => {
                let found = with_blocked(failed(builds), &builds.verdict);
                return found.into_iter().map(Cow::Owned).collect();
            }
            Self::Plan(plan) => {
                let problems = plan.hosts.iter().flat_map(|host| &host.projects);
                let problems = problems.flat_map(|project| &project.problems);
                problems.chain(plan.hosts.iter().flat_map(|host| &host.notes)).collect()
            }
            Self::Outcome(outcome) => {
                let hosts = outcome.hosts.iter();
                let failures = hosts.clone().filter_map(|host| host.failure.as_ref());
                let problems = hosts.clone().flat_map(|host| &host.projects);
                failures
                    .flat_map(|failure| &failure.diagnostics)
                    .chain(problems.flat_map(|project| &project.problems))
                    .chain(hosts.flat_map(|host| &host.notes))
                    .collect()
            }
            Self::Check(report) => {
                return folded(&report.diagnostics).into_iter().map(Cow::Owned).collect();
            }
        };
        found.into_iter().map(Cow::Borrowed).collect()
    }

    /// The output `result`.
    fn word(&self, exit: Exit) -> &'static str {
        let is_well = matches!(exit, Exit::Done | Exit::Pending);
        match self {
            Self::Plan(plan) if is_well && plan.is_empty() => "unchanged",
            Self::Plan(_) if is_well => "planned",
            Self::Plan(_) if exit == Exit::Usage => "blocked",
            Self::Outcome(outcome) if is_well && !outcome.hosts.iter().any(|host| host.changed) => {
                "unchanged"
            }
            Self::Verdict(..) | Self::Builds(..) if exit == Exit::Usage => "blocked",
            Self::Verdict(verdict, _) => gate(verdict.gate),
            _ => word(exit),
        }
    }

    /// The projects that take part, each with its folder and the images that it needs.
    fn projects(&self) -> Vec<(&str, &str, &[ImageToBuild])> {
        match self {
            Self::Plan(plan) => of_plan(plan),
            Self::Outcome(outcome) => {
                let of = outcome.hosts.iter().flat_map(|host| &host.projects);
                of.filter(|project| project.result != ProjectResult::Unchanged)
                    .map(|project| (&*project.name, &*project.path, &*project.images))
                    .collect()
            }
            Self::Check(_) | Self::Verdict(_, None) => Vec::new(),
            Self::Verdict(verdict, Some(plan)) => {
                let is_open = |name: &str| {
                    verdict
                        .projects
                        .iter()
                        .any(|project| project.name == name && project.gate == GateState::Open)
                };
                of_plan(plan).into_iter().filter(|(name, ..)| is_open(name)).collect()
            }
            Self::Builds(builds, plan) => {
                let is_built = |name: &str| {
                    let mut of = builds.images.iter().filter(|image| image.project == name).peekable();
                    of.peek().is_some() && of.all(|image| image.result == ImageResult::Built)
                };
                of_plan(plan).into_iter().filter(|(name, ..)| is_built(name)).collect()
            }
        }
    }

    /// The commit that images are tagged by.
    fn commit(&self) -> Option<&str> {
        match self {
            Self::Plan(plan) | Self::Verdict(_, Some(plan)) => plan.commit.as_deref(),
            // No image of a commit is built from a tree that differs from it.
            Self::Outcome(outcome) => outcome.commit.as_deref().filter(|_| !outcome.dirty),
            Self::Builds(builds, _) => Some(&builds.sha),
            Self::Check(_) | Self::Verdict(_, None) => None,
        }
    }

    /// The other outputs.
    fn outputs(&self, matrix: &[Value]) -> Vec<Output> {
        let mut results = Vec::new();
        let changed = match self {
            Self::Plan(plan) => Some(!plan.is_empty()),
            Self::Outcome(outcome) => Some(outcome.hosts.iter().any(|host| host.changed)),
            Self::Verdict(..) | Self::Builds(..) => None,
            Self::Check(_) => return results,
        };
        let projects = self.projects();
        let matrix = json!({"include": matrix});
        let names = json!(distinct(projects.iter().map(|(project, ..)| *project)));
        if let Some(changed) = changed {
            results.push(Output { name: "changed", value: changed.to_string() });
        }
        results.push(Output { name: "projects", value: names.to_string() });
        results.push(Output { name: "matrix", value: matrix.to_string() });
        match self {
            Self::Outcome(outcome) => {
                results.push(Output { name: "release", value: release(outcome) });
                results.push(Output { name: "owed", value: outcome.owed().to_string() });
            }
            Self::Verdict(verdict, _) => {
                results.push(Output { name: "gate", value: gate(verdict.gate).to_owned() });
            }
            Self::Builds(builds, _) => {
                results.push(Output { name: "gate", value: gate(builds.verdict.gate).to_owned() });
                results.push(Output { name: "images", value: json!(builds.images).to_string() });
            }
            Self::Plan(_) | Self::Check(_) => {}
        }
        results
    }
}

fn gate(gate: GateState) -> &'static str {
    match gate {
        GateState::Open => "open",
        GateState::Closed => "closed",
    }
}

/// The number of the release that the host is at; of several hosts an object.
fn release(outcome: &Outcome) -> String {
    match outcome.hosts.as_slice() {
        [host] => host.release.map(|release| release.to_string()).unwrap_or_default(),
        hosts => {
            let of = hosts.iter().map(|host| (host.name.clone(), json!(host.release)));
            serde_json::Value::Object(of.collect()).to_string()
        }
    }
}

/// Reasons why a gate is closed.
fn closed(verdict: &Verdict) -> Vec<Diagnostic> {
    let own = verdict.projects.iter().flat_map(|project| {
        project.requirements.iter().map(move |requirement| (format!("of {}", project.name), requirement))
    });
    let all = verdict.requirements.iter().map(|requirement| (String::new(), requirement)).chain(own);
    let open = all.filter(|(_, requirement)| requirement.standing != Standing::Proven);
    let tell = |(who, requirement): (String, &crate::images::gate::Requirement)| {
        Diagnostic::error(
            format!("the gate {who} is closed: {}: {}", requirement.wants, requirement.why)
                .replace("  ", " "),
            None,
        )
    };
    open.map(tell).collect()
}

/// Images that were not built, and why.
fn failed(builds: &Builds) -> Vec<Diagnostic> {
    let failed = builds.images.iter().filter(|image| image.result == ImageResult::Failed);
    let failed = failed.map(|image| {
        Diagnostic::error(format!("the image of {} {} was not built", image.project, image.service), None)
            .help("the log has what docker says")
    });
    let is_closed =
        builds.images.iter().any(|image| image.result == ImageResult::Closed) || builds.images.is_empty();
    failed.chain(if is_closed { closed(&builds.verdict) } else { Vec::new() }).collect()
}

/// Messages about a verdict, and about the projects that are blocked.
fn with_blocked(mut found: Vec<Diagnostic>, verdict: &Verdict) -> Vec<Diagnostic> {
    found.extend(verdict.blocked.iter().flat_map(|project| &project.problems).cloned());
    found
}

/// The projects of a plan that have something to do, each with its folder and the images to build.
fn of_plan(plan: &Plan) -> Vec<(&str, &str, &[ImageToBuild])> {
    let of = plan.hosts.iter().flat_map(|host| &host.projects).filter(|project| !project.is_empty());
    let images = |project: &'_ ProjectPlan| project.builds();
    of.map(|project| (&*project.name, &*project.path, if images(project) { &*project.images } else { &[] }))
        .collect()
}

/// Each item once, in the order of its first occurrence.
fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for item in items {
        if !found.contains(&item) {
            found.push(item);
        }
    }
    found
}

/// Files and log of a workflow run.
struct Publication<'a> {
    run: &'a WorkflowRun,
    dir: &'a Path,
    quiet: bool,
}

impl Publication<'_> {
    /// Appends to the summary of the step as much as fits.
    fn summarise(&self, markdown: std::io::Result<String>) {
        let Some(path) = &self.run.summary else { return };
        let write = || {
            let there = std::fs::metadata(path).map(|meta| usize::try_from(meta.len()).unwrap_or(SUMMARY));
            // Two bytes for the empty line before it, and some spare for the runner.
            let room = SUMMARY.saturating_sub(there.unwrap_or(0)).saturating_sub(64);
            let note =
                "The rest is left out: GitHub takes 1 MiB for the summary of a step. The log has all of it.";
            if room <= note.len() + 2 {
                return Ok(());
            }
            append(path, format!("{}\n\n", fit::cut(&markdown?, room - 2, note).trim_end()).as_bytes())
        };
        self.tell("the job summary", write());
    }

    fn annotate(&self, diagnostics: &[&Diagnostic]) {
        let folder = self.run.folder(self.dir);
        let mut text = Vec::new();
        if annotations(&mut text, diagnostics.iter().copied(), &folder).is_ok() {
            // In one write, so that lines of other processes come before or after it.
            let _ = std::io::stderr().lock().write_all(&text);
        }
    }

    fn put_out(&self, results: &[Output]) {
        let Some(path) = &self.run.outputs else { return };
        let write = || {
            let mut text = Vec::new();
            outputs(&mut text, results, &delimiter()?)?;
            append(path, &text)
        };
        self.tell("the outputs", write());
    }

    /// Writes a document to a file of its own, for later steps.
    fn keep(&self, what: &str, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Option<PathBuf> {
        let keep = || {
            let mut file = tempfile::Builder::new()
                .prefix("ghdeploy-plan-")
                .suffix(".json")
                .tempfile_in(&self.run.temp)?;
            write(&mut file)?;
            Ok(file.keep()?.1)
        };
        self.tell(&format!("the file of the {what}"), keep())
    }

    fn tell<T>(&self, what: &str, result: std::io::Result<T>) -> Option<T> {
        match result {
            Ok(done) => Some(done),
            Err(error) => {
                if !self.quiet {
                    let _ = writeln!(std::io::stderr().lock(), "note: {what} could not be written: {error}");
                }
                None
            }
        }
    }
}

fn append(path: &Path, text: &[u8]) -> std::io::Result<()> {
    std::fs::OpenOptions::new().append(true).create(true).open(path)?.write_all(text)
}

/// A random word.
fn delimiter() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().fold("ghdeploy_".to_owned(), |word, byte| format!("{word}{byte:02x}")))
}
