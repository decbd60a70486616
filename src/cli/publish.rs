//! Where a result goes besides stdout: in a workflow run to the job summary, the outputs and the annotations.
//!
//! Owns who gets what. That something of it cannot be written is said, and fails nothing: what was deployed is
//! deployed.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Context, source};
use crate::answers::CheckReport;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Exit, Result};
use crate::github::Run;
use crate::outcome::{Outcome, ProjectResult};
use crate::plan::{Action, Deed, Plan};
use crate::report::markdown::fit::{self, SUMMARY};
use crate::report::workflow::{Output, annotations, outputs};
use crate::report::{Format, Style, diagnostic, render_check, render_outcome, render_plan};

/// A result that a workflow run learns of.
#[derive(Clone, Copy)]
pub(super) enum Shown<'a> {
    /// What would change.
    Plan(&'a Plan),
    /// What became of a plan.
    Outcome(&'a Outcome),
    /// What a check found.
    Check(&'a CheckReport),
}

impl Context {
    /// Writes a result to stdout, and in a workflow run to where the run learns of it. `exit` is how this process
    /// will end.
    pub(super) fn publish(&self, shown: Shown<'_>, exit: Exit) -> Result<()> {
        self.print(|out| self.render(shown, self.format, out))?;
        let Some(run) = &self.workflow else { return Ok(()) };
        let publication = Publication { run, dir: &self.dir, quiet: self.args.quiet };
        let mut markdown = Vec::new();
        let rendered = self.render(shown, Format::Markdown, &mut markdown);
        publication.summarise(rendered.map(|()| String::from_utf8_lossy(&markdown).into_owned()));
        publication.annotate(&shown.diagnostics());
        let mut results = shown.outputs();
        results.push(Output { name: "result", value: shown.word(exit).to_owned() });
        if let Some(document) = publication.keep(|file| self.render(shown, Format::Json, file)) {
            results.push(Output { name: "plan", value: document.to_string_lossy().into_owned() });
        }
        publication.put_out(&results);
        Ok(())
    }

    fn render(&self, shown: Shown<'_>, format: Format, w: &mut dyn Write) -> std::io::Result<()> {
        match shown {
            Shown::Plan(plan) => render_plan(format, w, plan, self.style),
            Shown::Outcome(outcome) => render_outcome(format, w, outcome, self.style),
            Shown::Check(report) => render_check(format, w, report, &|path| self.source(path), self.style),
        }
    }
}

/// Lets a workflow run know of a failure that has no other result.
pub(super) fn failure(run: &Run, dir: &Path, error: &Error) {
    let publication = Publication { run, dir, quiet: false };
    let mut text = Vec::new();
    let told = diagnostic::error(&mut text, error, &|path| source(dir, path), Style::default());
    let text = told.map(|()| String::from_utf8_lossy(&text).into_owned());
    let summary = text.and_then(|text| {
        let mut markdown = Vec::new();
        crate::report::markdown::failure(&mut markdown, &text)?;
        Ok(String::from_utf8_lossy(&markdown).into_owned())
    });
    publication.summarise(summary);
    publication.annotate(&error.diagnostics.iter().collect::<Vec<_>>());
    publication.put_out(&[Output { name: "result", value: word(error.exit).to_owned() }]);
}

/// Puts into the summary what cannot be a comment, and why that is so.
pub(super) fn instead_of_a_comment(run: &Run, dir: &Path, plan: Option<&Plan>, why: &str) {
    let publication = Publication { run, dir, quiet: false };
    let mut markdown = Vec::new();
    let rendered = plan.map_or(Ok(()), |plan| crate::report::markdown::plan(&mut markdown, plan));
    let text = String::from_utf8_lossy(&markdown);
    publication.summarise(
        rendered.map(|()| format!("{text}This is not a comment on the pull request, for {why}.\n")),
    );
}

/// The output `result` of a run that ends so and has nothing better to tell.
fn word(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done",
        Exit::Unforeseen => "failed",
        Exit::Usage => "invalid",
        Exit::Unreachable => "unreachable",
        Exit::RolledBack => "rolled_back",
        Exit::NeedsLook => "needs_look",
        Exit::Pending => "planned",
    }
}

impl Shown<'_> {
    /// All messages in it.
    fn diagnostics(&self) -> Vec<&Diagnostic> {
        match self {
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
            Self::Check(report) => report.diagnostics.iter().collect(),
        }
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
            _ => word(exit),
        }
    }

    /// What takes part: each project with its folder and its actions.
    fn projects(&self) -> Vec<(&str, &str, Vec<&Action>)> {
        match self {
            Self::Plan(plan) => {
                let of = plan.hosts.iter().flat_map(|host| &host.projects);
                of.filter(|project| !project.is_empty())
                    .map(|project| (&*project.name, &*project.path, project.actions.iter().collect()))
                    .collect()
            }
            Self::Outcome(outcome) => {
                let of = outcome.hosts.iter().flat_map(|host| &host.projects);
                of.filter(|project| project.result != ProjectResult::Unchanged)
                    .map(|project| {
                        let actions = project.actions.iter().map(|done| &done.action).collect();
                        (&*project.name, &*project.path, actions)
                    })
                    .collect()
            }
            Self::Check(_) => Vec::new(),
        }
    }

    /// The other outputs.
    fn outputs(&self) -> Vec<Output> {
        let changed = match self {
            Self::Plan(plan) => !plan.is_empty(),
            Self::Outcome(outcome) => outcome.hosts.iter().any(|host| host.changed),
            Self::Check(_) => return Vec::new(),
        };
        let projects = self.projects();
        let builds = projects.iter().flat_map(|(project, path, actions)| {
            let builds = actions.iter().filter(|action| action.deed == Deed::Build);
            builds.map(move |action| json!({"project": project, "path": path, "service": action.service}))
        });
        let matrix = json!({"include": distinct(builds)});
        let names = json!(distinct(projects.iter().map(|(project, ..)| *project)));
        let mut results = vec![
            Output { name: "changed", value: changed.to_string() },
            Output { name: "projects", value: names.to_string() },
            Output { name: "matrix", value: matrix.to_string() },
        ];
        if let Self::Outcome(outcome) = self {
            let release = match outcome.hosts.as_slice() {
                [host] => host.release.map(|release| release.to_string()).unwrap_or_default(),
                hosts => {
                    let of = hosts.iter().map(|host| (host.name.clone(), json!(host.release)));
                    serde_json::Value::Object(of.collect()).to_string()
                }
            };
            results.push(Output { name: "release", value: release });
        }
        results
    }
}

/// Each item once, in the order of its first place.
fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for item in items {
        if !found.contains(&item) {
            found.push(item);
        }
    }
    found
}

/// The ways to let a run know.
struct Publication<'a> {
    run: &'a Run,
    dir: &'a Path,
    quiet: bool,
}

impl Publication<'_> {
    /// Appends to the summary of the step as much as there is room for.
    fn summarise(&self, markdown: std::io::Result<String>) {
        let Some(path) = &self.run.summary else { return };
        let write = || {
            let there = std::fs::metadata(path).map(|meta| usize::try_from(meta.len()).unwrap_or(SUMMARY));
            // Two bytes for the empty line before, and some to spare for what the runner does.
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
            // In one piece, so that the lines of others come before or after.
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

    /// Keeps a document in a file of its own, for later steps.
    fn keep(&self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Option<PathBuf> {
        let keep = || {
            let mut file = tempfile::Builder::new()
                .prefix("ghdeploy-plan-")
                .suffix(".json")
                .tempfile_in(&self.run.temp)?;
            write(&mut file)?;
            Ok(file.keep()?.1)
        };
        self.tell("the file of the plan", keep())
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

/// A word that nobody can foresee.
fn delimiter() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().fold("ghdeploy_".to_owned(), |word, byte| format!("{word}{byte:02x}")))
}
