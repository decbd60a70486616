//! How text looks: whether it has colours, and how much of it there is.

use std::fmt;

use anstyle::{AnsiColor, Style as Ansi};

/// How a text is to look. The caller decides it: only the caller knows the terminal and the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Whether colours may be used.
    pub colour: bool,
    /// Whether long lists are written out.
    pub verbose: bool,
    /// Whether what is well is folded, by commands to GitHub's runner.
    pub groups: bool,
}

/// What a piece of text means; the colours follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// The name of a host or a project.
    Heading,
    /// It went well, or something is added.
    Good,
    /// It failed, or something is taken away.
    Bad,
    /// It needs a look.
    Warning,
    /// Advice.
    Help,
    /// Context.
    Faint,
    /// No meaning of its own.
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
    /// Gives `text`, already padded, its colour if there are colours.
    pub(super) fn ink<T: fmt::Display>(self, ink: Ink, text: T) -> Inked<T> {
        Inked { ansi: if self.colour { ink.ansi() } else { Ansi::new() }, text }
    }
}
