//! `build`: the images, and why some were not built.

use std::io::{self, Write};

use crate::images::builds::{Builds, ImageResult};
use crate::report::blocked;
use crate::report::escape::name;
use crate::report::markdown::code;
use crate::report::style::{Ink, Style};
use crate::report::wording::{commit, count};
use crate::report::{Render, json};

impl Render for Builds {
    fn text(&self, w: &mut dyn Write, style: Style) -> io::Result<()> {
        for image in &self.images {
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
            for stays in &image.unmoved {
                writeln!(w, "  not moved: {}: {}", name(&stays.tag), name(&stays.why))?;
            }
        }
        if self.images.iter().any(|image| image.result == ImageResult::Closed) || self.images.is_empty() {
            self.verdict.text(w, style)?;
        } else {
            blocked::text(w, &self.verdict.blocked, style)?;
        }
        let with = |result| self.images.iter().filter(|image| image.result == result).count();
        let counts = [
            (ImageResult::Built, "built"),
            (ImageResult::Failed, "failed"),
            (ImageResult::Closed, "not started"),
        ];
        let blocked = self.verdict.blocked.len();
        let blocked = (blocked > 0).then(|| format!("{} blocked", count(blocked, "project")));
        let counts: Vec<String> = counts
            .into_iter()
            .map(|(result, word)| (with(result), word))
            .filter(|(number, _)| *number > 0)
            .map(|(number, word)| format!("{} {word}", count(number, "image")))
            .chain(blocked)
            .collect();
        let said =
            if counts.is_empty() { "no image needs to be built".to_owned() } else { counts.join("; ") };
        writeln!(w, "{}", style.ink(Ink::Heading, format!("{said}, commit {}", commit(&self.sha))))
    }

    fn markdown(&self, w: &mut dyn Write) -> io::Result<()> {
        let with = |result| self.images.iter().filter(|image| image.result == result).count();
        let (built, all) = (with(ImageResult::Built), self.images.len());
        if all == 0 && !self.verdict.blocked.is_empty() {
            writeln!(w, "### ghdeploy: no image built\n")?;
        } else if all == 0 {
            writeln!(w, "### ghdeploy: no image needs to be built\n")?;
        } else {
            writeln!(
                w,
                "### ghdeploy: {built} of {} built from {}\n",
                count(all, "image"),
                code(&commit(&self.sha))
            )?;
        }
        if all > 0 {
            writeln!(w, "| project | service | result | tags | digest |\n| --- | --- | --- | --- | --- |")?;
        }
        for image in &self.images {
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
        for stays in self.images.iter().flat_map(|image| &image.unmoved) {
            writeln!(w, "- {} was not moved: {}", code(&stays.tag), code(&stays.why))?;
        }
        if self.images.iter().any(|image| !image.unmoved.is_empty()) {
            writeln!(w)?;
        }
        if with(ImageResult::Closed) > 0 || all == 0 {
            return self.verdict.markdown(w);
        }
        blocked::markdown(w, &self.verdict.blocked)
    }

    fn json(&self, w: &mut dyn Write) -> io::Result<()> {
        json::versioned(w, self)
    }
}
