//! Finds the line of a key in `ghdeploy.yml`.
//!
//! Owns the search for a path of keys in the text, for messages. Anchors are not followed: an error in their
//! content is shown where they are used.

use saphyr_parser::{Event, Parser, Span, StrInput};

/// Step from a node to one of its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyStep<'a> {
    /// Into a mapping.
    Key(&'a str),
    /// Into a sequence, counted from 0.
    Item(usize),
}

/// Returns line and column, counted from 1, of the node that `steps` lead to, or of the last node on the way
/// if the text does not hold it.
pub(super) fn locate(text: &str, steps: &[KeyStep<'_>]) -> (usize, usize) {
    let mut search = Search { parser: Parser::new_from_str(text), found: (1, 1) };
    search.node(Some(steps));
    search.found
}

struct Search<'a> {
    parser: Parser<'a, StrInput<'a>>,
    found: (usize, usize),
}

impl Search<'_> {
    fn next(&mut self) -> Option<(Event<'_>, Span)> {
        loop {
            match self.parser.next_event()? {
                Ok((Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _)) => {}
                Ok(found) => return Some(found),
                Err(_) => return None,
            }
        }
    }

    /// Reads one node. With `steps` it is on the way to the wanted node. Returns the text of a scalar, or
    /// `None` at the end of a collection or of the text.
    fn node(&mut self, steps: Option<&[KeyStep<'_>]>) -> Option<String> {
        let (event, span) = self.next()?;
        let scalar = match event {
            Event::Scalar(text, ..) => Some(text.into_owned()),
            Event::Alias(_) => Some(String::new()),
            Event::MappingStart(..) => None,
            Event::SequenceStart(..) => {
                self.arrive(steps, span);
                self.items(steps);
                return Some(String::new());
            }
            _ => return None,
        };
        self.arrive(steps, span);
        if scalar.is_none() {
            self.entries(steps);
        }
        Some(scalar.unwrap_or_default())
    }

    fn arrive(&mut self, steps: Option<&[KeyStep<'_>]>, span: Span) {
        if steps.is_some() {
            self.found = (span.start.line().max(1), span.start.col() + 1);
        }
    }

    fn items(&mut self, steps: Option<&[KeyStep<'_>]>) {
        let mut number = 0;
        loop {
            let inner = match steps {
                Some([KeyStep::Item(item), rest @ ..]) if *item == number => Some(rest),
                _ => None,
            };
            if self.node(inner).is_none() {
                return;
            }
            number += 1;
        }
    }

    fn entries(&mut self, steps: Option<&[KeyStep<'_>]>) {
        while let Some(key) = self.node(None) {
            let inner = match steps {
                Some([KeyStep::Key(wanted), rest @ ..]) if *wanted == key => Some(rest),
                _ => None,
            };
            if self.node(inner).is_none() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# hosts\nhosts:\n  web: {ssh: a, projects: [\"*\", b]}\n  db:\n    ssh: &a b\n    root: *a\nkeep: 1\n";

    #[test]
    fn a_path_of_keys_leads_to_its_value() {
        use KeyStep::{Item, Key};
        assert_eq!(locate(TEXT, &[]), (2, 1));
        assert_eq!(locate(TEXT, &[Key("hosts"), Key("web"), Key("ssh")]), (3, 14));
        assert_eq!(locate(TEXT, &[Key("hosts"), Key("web"), Key("projects"), Item(1)]), (3, 33));
        assert_eq!(locate(TEXT, &[Key("hosts"), Key("db"), Key("root")]), (6, 11));
        assert_eq!(locate(TEXT, &[Key("keep")]), (7, 7));
    }

    #[test]
    fn a_missing_key_is_located_at_its_nearest_parent() {
        use KeyStep::{Item, Key};
        assert_eq!(locate(TEXT, &[Key("hosts"), Key("web"), Key("root")]), (3, 8));
        assert_eq!(locate(TEXT, &[Key("keep"), Item(3)]), (7, 7));
        assert_eq!(locate("", &[Key("keep")]), (1, 1));
        assert_eq!(locate("a: [", &[Key("keep")]), (1, 1));
    }
}
