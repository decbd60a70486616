//! Verdicts of the gate, and images, as Markdown.

use std::io::{self, Write};

use crate::images::builds::{Builds, ImageResult};
use crate::images::gate::{Gate, Requirement, Verdict};
use crate::report::wording::{commit, gate_word, standing_word};

use super::{LISTED, code, fold, unfold};

/// Writes what was required, what was found, and whether the gate is open.
///
/// # Errors
///
/// When `w` fails.
pub fn verdict(w: &mut dyn Write, verdict: &Verdict) -> io::Result<()> {
    let of = verdict.sha.as_deref().map(|sha| format!(" for {}", code(&commit(sha)))).unwrap_or_default();
    writeln!(w, "### ghdeploy: gate {}{of}\n", gate_word(verdict.gate))?;
    requirements(w, verdict)?;
    if verdict.projects.is_empty() {
        writeln!(w, "No image has to be built.\n")?;
    }
    unfold(w, "What was found", None)?;
    let own = verdict.projects.iter().flat_map(|project| &project.requirements);
    for requirement in verdict.requirements.iter().chain(own).filter(|shown| !shown.found.is_empty()) {
        writeln!(w, "{}\n", code(&requirement.wants))?;
        for found in requirement.found.iter().take(LISTED) {
            let at = found.at.as_deref().map(|at| format!(" ({})", code(at))).unwrap_or_default();
            writeln!(w, "- {} {}{at}", code(&found.name), code(&found.says))?;
        }
        if requirement.found.len() > LISTED {
            writeln!(w, "- and {} more", requirement.found.len() - LISTED)?;
        }
        writeln!(w)?;
    }
    fold(w)
}

fn requirements(w: &mut dyn Write, verdict: &Verdict) -> io::Result<()> {
    writeln!(w, "| project | required | | why |\n| --- | --- | --- | --- |")?;
    let mut row = |project: &str, gate: Gate, shown: &Requirement| {
        let project = if project.is_empty() {
            "all".to_owned()
        } else {
            format!("{} {}", code(project), gate_word(gate))
        };
        let word = standing_word(shown.standing);
        writeln!(w, "| {project} | {} | {word} | {} |", code(&shown.wants), code(&shown.why))
    };
    for shown in &verdict.requirements {
        row("", verdict.gate, shown)?;
    }
    for project in &verdict.projects {
        for shown in &project.requirements {
            row(&project.name, project.gate, shown)?;
        }
    }
    for project in verdict.projects.iter().filter(|project| project.requirements.is_empty()) {
        writeln!(w, "| {} {} | nothing of its own | | |", code(&project.name), gate_word(project.gate))?;
    }
    writeln!(w)
}

/// Writes which images were built, and if some were not, why.
///
/// # Errors
///
/// When `w` fails.
pub fn builds(w: &mut dyn Write, builds: &Builds) -> io::Result<()> {
    let with = |result| builds.images.iter().filter(|image| image.result == result).count();
    let (built, all) = (with(ImageResult::Built), builds.images.len());
    match all {
        0 => writeln!(w, "### ghdeploy: no image has to be built\n")?,
        _ => writeln!(w, "### ghdeploy: {built} of {all} images built of {}\n", code(&commit(&builds.sha)))?,
    }
    if all > 0 {
        writeln!(w, "| project | service | result | tags | digest |\n| --- | --- | --- | --- | --- |")?;
    }
    for image in &builds.images {
        let result = match image.result {
            ImageResult::Built => "built",
            ImageResult::Failed => "**failed**",
            ImageResult::Closed => "**gate closed**",
        };
        let tags: Vec<String> = image.tags.iter().map(|tag| code(tag)).collect();
        let digest = image.digest.as_deref().map_or_else(|| "–".to_owned(), code);
        let (project, service) = (code(&image.project), code(&image.service));
        writeln!(w, "| {project} | {service} | {result} | {} | {digest} |", tags.join(" "))?;
    }
    writeln!(w)?;
    if with(ImageResult::Closed) > 0 || all == 0 {
        verdict(w, &builds.verdict)?;
    }
    Ok(())
}
