//! Verdicts of the gate, and images, as text.

use std::io::{self, Write};

use crate::images::builds::{Builds, ImageResult};
use crate::images::gate::checks::Standing;
use crate::images::gate::{Gate, Requirement, Verdict};
use crate::report::escape::name;
use crate::report::style::{Ink, Style};
use crate::report::wording::{commit, count, gate_word, standing_word};

/// So much of one sort is listed; the document has all of it.
const LISTED: usize = 50;

/// Writes what was required, what was found, and at the very end whether the gate is open.
///
/// # Errors
///
/// When `w` fails.
pub fn verdict(w: &mut dyn Write, verdict: &Verdict, style: Style) -> io::Result<()> {
    verdict.requirements.iter().try_for_each(|shown| requirement(w, shown, style))?;
    for project in &verdict.projects {
        let ink = ink(project.gate);
        writeln!(
            w,
            "{}  {}",
            style.ink(Ink::Heading, name(&project.name)),
            style.ink(ink, gate_word(project.gate))
        )?;
        project.requirements.iter().try_for_each(|shown| requirement(w, shown, style))?;
    }
    let of = verdict.sha.as_deref().map(|sha| format!(" for commit {}", commit(sha))).unwrap_or_default();
    write!(w, "gate {}{of}", style.ink(ink(verdict.gate), gate_word(verdict.gate)))?;
    let open = verdict.projects.iter().filter(|project| project.gate == Gate::Open).count();
    match verdict.projects.len() {
        0 => writeln!(w, "; no image has to be built"),
        all => writeln!(w, ": {open} of {}", count(all, "project")),
    }
}

fn requirement(w: &mut dyn Write, shown: &Requirement, style: Style) -> io::Result<()> {
    let ink = match shown.standing {
        Standing::Proven => Ink::Good,
        Standing::Pending => Ink::Warning,
        Standing::Failed => Ink::Bad,
    };
    let word = format!("{:<7}", standing_word(shown.standing));
    writeln!(w, "  {}  {}: {}", style.ink(ink, word), name(&shown.wants), name(&shown.why))?;
    if shown.standing != Standing::Proven || style.verbose {
        for found in shown.found.iter().take(LISTED) {
            let at = found.at.as_deref().map(|at| format!("  {}", name(at))).unwrap_or_default();
            writeln!(
                w,
                "             {}: {}{}",
                name(&found.name),
                name(&found.says),
                style.ink(Ink::Faint, at)
            )?;
        }
    }
    if shown.found.len() > LISTED && (shown.standing != Standing::Proven || style.verbose) {
        writeln!(w, "             and {} more", shown.found.len() - LISTED)?;
    }
    Ok(())
}

fn ink(gate: Gate) -> Ink {
    if gate == Gate::Open { Ink::Good } else { Ink::Bad }
}

/// Writes which images were built, and if some were not, why.
///
/// # Errors
///
/// When `w` fails.
pub fn builds(w: &mut dyn Write, builds: &Builds, style: Style) -> io::Result<()> {
    for image in &builds.images {
        let (ink, word) = match image.result {
            ImageResult::Built => (Ink::Good, "built"),
            ImageResult::Failed => (Ink::Bad, "failed"),
            ImageResult::Closed => (Ink::Bad, "gate closed"),
        };
        writeln!(
            w,
            "{} {}  {}",
            style.ink(Ink::Heading, name(&image.project)),
            name(&image.service),
            style.ink(ink, word)
        )?;
        let tags: Vec<_> = image.tags.iter().map(|tag| name(tag)).collect();
        writeln!(w, "  {}", tags.join("  "))?;
        if let Some(digest) = &image.digest {
            writeln!(w, "  {}", name(digest))?;
        }
    }
    if builds.images.iter().any(|image| image.result == ImageResult::Closed) || builds.images.is_empty() {
        verdict(w, &builds.verdict, style)?;
    }
    let with = |result| builds.images.iter().filter(|image| image.result == result).count();
    let counts =
        [(ImageResult::Built, "built"), (ImageResult::Failed, "failed"), (ImageResult::Closed, "not begun")];
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(result, word)| (with(result), word))
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{} {word}", count(number, "image")))
        .collect();
    let said = if counts.is_empty() { "no image has to be built".to_owned() } else { counts.join("; ") };
    writeln!(w, "{}", style.ink(Ink::Heading, format!("{said}, commit {}", commit(&builds.sha))))
}
