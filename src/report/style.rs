//! The look of text: colours, length, folding.

use std::fmt;

use anstyle::{AnsiColor, Style as Ansi};

/// Look of text. The caller decides, because only the caller knows the terminal and the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Whether colours may be used.
    pub colour: bool,
    /// Whether long lists are written in full.
    pub verbose: bool,
    /// Whether successful parts are folded, by commands to GitHub's runner.
    pub groups: bool,
}

/// Meaning of a piece of text, which determines its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// The name of a host or a project.
    Heading,
    /// A success, or something added.
    Good,
    /// A failure, or something removed.
    Bad,
    /// Something that needs a look.
    Warning,
    /// Help.
    Help,
    /// Context.
    Faint,
    /// Anything else.
    Plain,
}

impl Ink {
    fn ansi(self) -> Ansi {
        let plain = Ansi::new();
        match self {
            Self::Heading => plain.bold(),
            Self::Good => plain.fg_color(Some(AnsiColor::Green.into())),
            Self::Bad => plain.fg_color(Some(AnsiColor::Red.into())).bold(),
            Self::Warning => plain.fg_color(Some(AnsiColor::Yellow.into())).bold(),
            Self::Help => plain.fg_color(Some(AnsiColor::Cyan.into())),
            Self::Faint => plain.dimmed(),
            Self::Plain => plain,
        }
    }
}

/// Text that displays itself in its colour.
pub(super) struct Inked<T> {
    ansi: Ansi,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Inked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:#}", self.ansi, self.text, self.ansi)
    }
}

impl Style {
    /// Colours `text`, which is already padded, if colours may be used.
    pub(super) fn ink<T: fmt::Display>(self, ink: Ink, text: T) -> Inked<T> {
        Inked { ansi: if self.colour { ink.ansi() } else { Ansi::new() }, text }
    }
}
