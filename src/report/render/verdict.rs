//! `gate`: the requirements, the findings, and whether the gate is open.

use std::io::{self, Write};

use crate::images::gate::checks::Standing;
use crate::images::gate::{GateState, Requirement, Verdict};
use crate::report::blocked;
use crate::report::escape::name;
use crate::report::markdown::{self, code, fold, unfold};
use crate::report::style::{Ink, Style};
use crate::report::wording::{commit, count, gate_word, standing_word};
use crate::report::{Render, json};

/// Most findings of one requirement that are listed; the document has all.
const LISTED: usize = 50;

impl Render for Verdict {
    fn text(&self, w: &mut dyn Write, style: Style) -> io::Result<()> {
        self.requirements.iter().try_for_each(|shown| text_of_requirement(w, shown, style))?;
        for project in &self.projects {
            let ink = ink(project.gate);
            writeln!(
                w,
                "{}  {}",
                style.ink(Ink::Heading, name(&project.name)),
                style.ink(ink, gate_word(project.gate))
            )?;
            project.requirements.iter().try_for_each(|shown| text_of_requirement(w, shown, style))?;
        }
        blocked::text(w, &self.blocked, style)?;
        let of = self.sha.as_deref().map(|sha| format!(" for commit {}", commit(sha))).unwrap_or_default();
        write!(w, "gate {}{of}", style.ink(ink(self.gate), gate_word(self.gate)))?;
        let open = self.projects.iter().filter(|project| project.gate == GateState::Open).count();
        let blocked = match self.blocked.len() {
            0 => String::new(),
            blocked => format!("; {} blocked", count(blocked, "project")),
        };
        match self.projects.len() {
            0 if blocked.is_empty() => writeln!(w, "; no image needs to be built"),
            0 => writeln!(w, "{blocked}"),
            all => writeln!(w, ": {open} of {}{blocked}", count(all, "project")),
        }
    }

    fn markdown(&self, w: &mut dyn Write) -> io::Result<()> {
        let of = self.sha.as_deref().map(|sha| format!(" for {}", code(&commit(sha)))).unwrap_or_default();
        writeln!(w, "### ghdeploy: gate {}{of}\n", gate_word(self.gate))?;
        markdown_of_requirements(w, self)?;
        blocked::markdown(w, &self.blocked)?;
        if self.projects.is_empty() && self.blocked.is_empty() {
            writeln!(w, "No image needs to be built.\n")?;
        }
        let own = self.projects.iter().flat_map(|project| &project.requirements);
        let mut with_findings =
            self.requirements.iter().chain(own).filter(|shown| !shown.found.is_empty()).peekable();
        if with_findings.peek().is_none() {
            return Ok(());
        }
        unfold(w, "What was found", None)?;
        for requirement in with_findings {
            writeln!(w, "{}\n", code(&requirement.wants))?;
            for found in requirement.found.iter().take(markdown::LISTED) {
                let at = found.at.as_deref().map(|at| format!(" ({})", code(at))).unwrap_or_default();
                writeln!(w, "- {} {}{at}", code(&found.name), code(&found.says))?;
            }
            if requirement.found.len() > markdown::LISTED {
                writeln!(w, "- and {}", count(requirement.found.len() - markdown::LISTED, "more result"))?;
            }
            writeln!(w)?;
        }
        fold(w)
    }

    fn json(&self, w: &mut dyn Write) -> io::Result<()> {
        json::document(w, self)
    }
}

fn text_of_requirement(w: &mut dyn Write, shown: &Requirement, style: Style) -> io::Result<()> {
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
        writeln!(w, "             and {}", count(shown.found.len() - LISTED, "more result"))?;
    }
    Ok(())
}

fn ink(gate: GateState) -> Ink {
    if gate == GateState::Open { Ink::Good } else { Ink::Bad }
}

fn markdown_of_requirements(w: &mut dyn Write, verdict: &Verdict) -> io::Result<()> {
    writeln!(w, "| project | required | | why |\n| --- | --- | --- | --- |")?;
    let mut row = |project: &str, gate: GateState, shown: &Requirement| {
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
