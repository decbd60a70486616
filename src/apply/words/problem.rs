//! What a line of Docker or Compose says, in our own words, and how such a line is taken apart.

use super::Vocabulary;
use crate::base::diagnostic::Location;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) at: Option<Location>,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, at: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub(super) fn at_attribute(self, vocabulary: &Vocabulary<'_>, path: &str) -> Self {
        Self { at: vocabulary.place_of_attribute(path), ..self }
    }

    pub(super) fn at(self, vocabulary: &Vocabulary<'_>, service: Option<&str>) -> Self {
        Self { at: service.and_then(|service| vocabulary.place(service)), ..self }
    }
}

/// The text between two marks.
pub(super) fn between<'l>(line: &'l str, before: &str, after: &str) -> Option<&'l str> {
    let (_, rest) = line.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// The word after a mark, without quotes around it.
pub(super) fn after<'l>(line: &'l str, mark: &str) -> Option<&'l str> {
    let (_, rest) = line.split_once(mark)?;
    rest.split([' ', '"', '\'', ',', ';'])
        .find(|word| !word.is_empty())
        .map(|word| word.trim_end_matches([':', '.']))
}

/// A small number at the start of a text.
pub(super) fn number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok().filter(|_| end <= 6)
}
