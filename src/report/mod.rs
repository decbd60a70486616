//! Shows results and errors as text, JSON and Markdown, and progress as it happens.
//!
//! Owns the wording and the layout. A result implements [`Render`], in a file of its own below `render`. A
//! renderer is a function of a value and a writer: it decides nothing, and [`Style`] is the caller's. Names,
//! messages and log lines come from repositories and hosts and are hostile. They pass through [`escape`]
//! before they are written, so that they can neither move a cursor nor be a workflow command.

mod blocked;
pub mod comment;
pub mod diagnostic;
pub mod escape;
mod excerpt;
pub mod fit;
mod json;
mod markdown;
pub mod marker;
pub mod notification;
pub mod progress;
mod render;
mod style;
mod tally;
mod text;
mod wording;
pub mod workflow;

#[cfg(test)]
mod samples;

pub use render::{Checked, Format, Render, failure_as_markdown, no_comment_as_markdown, render};
pub use style::Style;
pub use wording::note as cause_in_words;

/// Returns the text of a file of the repository, to show the line that a message is about.
pub type Sources<'a> = &'a dyn Fn(&str) -> Option<String>;
