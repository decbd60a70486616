//! Substitutes variables in text as Compose does.
//!
//! Owns the forms `$X`, `${X}`, `${X:-d}`, `${X-d}`, `${X:?e}`, `${X?e}`, `${X:+r}`, `${X+r}` and
//! `$$` (<https://docs.docker.com/reference/compose-file/interpolation/>). A variable that nobody
//! in the tree defines stays in the text as `${NAME}`: only the host may know it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::yaml::text_size;

/// Deepest nesting of `${A:-${B:-…}}` that is followed.
const MAX_DEPTH: usize = 50;

/// Length of the longest text that substitution may produce, in bytes.
const MAX_LENGTH: usize = 1 << 20;

/// What the tree knows about variables.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    values: BTreeMap<Rc<str>, Value>,
}

/// The value of a variable, with the names in it that nobody in the tree defines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Value {
    /// The text.
    pub(super) text: String,
    /// Names that stayed in it as `${NAME}`.
    pub(super) unknown: BTreeSet<Rc<str>>,
}

/// Why text cannot be substituted. Never quotes the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    /// `${` without a name or an end.
    #[error("invalid variable reference, write `$$` for a literal `$`")]
    Invalid,
    /// `${X:?}` where X is empty in the tree.
    #[error("required variable {0} is empty")]
    Required(String),
    /// Nested too deeply, or the result is too long.
    #[error("variables nest too deeply or make the text too long")]
    TooLarge,
}

impl Variables {
    /// The value of a variable, when the tree has it.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Defines a variable, replacing what it was.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.values.insert(Rc::from(name), value);
    }

    /// Adds the variables of another set that this one lacks.
    pub(super) fn fill(&mut self, other: &Self) {
        for (name, value) in &other.values {
            self.values.entry(Rc::clone(name)).or_insert_with(|| value.clone());
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many nodes they count as.
    pub(super) fn size(&self) -> usize {
        self.values.values().map(|value| text_size(&value.text)).sum()
    }

    /// All variables by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (&**name, value))
    }
}

/// Substitutes every variable in `text`; `lookup` says what the tree knows.
pub(super) fn substitute<'a>(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<&'a Value>,
) -> Result<Value, Problem> {
    let mut out = Value::default();
    expand(text, lookup, 0, &mut out)?;
    Ok(out)
}

fn expand<'a>(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<&'a Value>,
    depth: usize,
    out: &mut Value,
) -> Result<(), Problem> {
    if depth > MAX_DEPTH {
        return Err(Problem::TooLarge);
    }
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.text.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.text.push('$');
            rest = tail;
        } else if let Some(body) = after.strip_prefix('{') {
            let name = &body[..name_length(body)];
            let Some(operator) = body[name.len()..].chars().next().filter(|_| !name.is_empty()) else {
                return Err(Problem::Invalid);
            };
            if operator == '}' {
                plain(name, lookup, out);
                rest = &body[name.len() + 1..];
            } else {
                let length = braced_length(body).ok_or(Problem::Invalid)?;
                let form = Form::read(&body[name.len()..length]).ok_or(Problem::Invalid)?;
                form.apply(name, lookup, depth, out)?;
                rest = &body[length + 1..];
            }
        } else {
            let name = &after[..name_length(after)];
            if name.is_empty() {
                out.text.push('$');
            } else {
                plain(name, lookup, out);
            }
            rest = &after[name.len()..];
        }
        if out.text.len() > MAX_LENGTH {
            return Err(Problem::TooLarge);
        }
    }
    out.text.push_str(rest);
    Ok(())
}

fn name_length(text: &str) -> usize {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { 0 } else { end }
}

/// Where the `}` of a reference stands, given what follows its `${`. As in compose-go's template
/// package braces are counted, the character after an opening one is not looked at, and a reference
/// ends on its line.
fn braced_length(body: &str) -> Option<usize> {
    let bytes = body.as_bytes();
    let mut last = None;
    let mut open = 1;
    let mut i = 1;
    while i < bytes.len() && bytes[i] != b'\n' {
        match bytes[i] {
            b'}' => {
                last = Some(i);
                open -= 1;
                if open == 0 {
                    return last;
                }
            }
            b'{' => {
                open += 1;
                i += 1;
                if bytes.get(i) == Some(&b'}') {
                    last = Some(i);
                }
            }
            _ => {}
        }
        i += 1;
    }
    last
}

fn plain<'a>(name: &str, lookup: &dyn Fn(&str) -> Option<&'a Value>, out: &mut Value) {
    match lookup(name) {
        Some(value) => {
            out.text.push_str(&value.text);
            out.unknown.extend(value.unknown.iter().cloned());
        }
        None => {
            out.text.push_str("${");
            out.text.push_str(name);
            out.text.push('}');
            out.unknown.insert(Rc::from(name));
        }
    }
}

/// What follows the name in `${NAME:-word}`.
struct Form<'a> {
    operator: char,
    /// With `:`, an empty value counts as unset.
    or_empty: bool,
    word: &'a str,
}

impl<'a> Form<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (or_empty, text) = match text.strip_prefix(':') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let operator = text.chars().next().filter(|c| matches!(c, '-' | '?' | '+'))?;
        Some(Self { operator, or_empty, word: &text[1..] })
    }

    fn apply<'v>(
        &self,
        name: &str,
        lookup: &dyn Fn(&str) -> Option<&'v Value>,
        depth: usize,
        out: &mut Value,
    ) -> Result<(), Problem> {
        let known = lookup(name);
        let is_set = known.is_some_and(|value| !(self.or_empty && value.text.is_empty()));
        if matches!((self.operator, is_set), ('-', false) | ('+', true)) {
            return expand(self.word, lookup, depth + 1, out);
        }
        // Compose substitutes the word even where it is not used, so an error in it is one anyway. What
        // the variables in it hold matters only by being empty or not.
        let short = Value { text: "x".to_owned(), ..Value::default() };
        let short = |name: &str| lookup(name).map(|value| if value.text.is_empty() { value } else { &short });
        expand(self.word, &short, depth + 1, &mut Value::default())?;
        match self.operator {
            '+' => {}
            '?' if known.is_some() && !is_set => return Err(Problem::Required(name.to_owned())),
            _ => plain(name, lookup, out),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known() -> Variables {
        let mut variables = Variables::default();
        for (name, text) in [("A", "a"), ("EMPTY", ""), ("B", "b")] {
            variables.set(name, Value { text: text.to_owned(), ..Value::default() });
        }
        variables
    }

    fn shown(text: &str) -> String {
        let known = known();
        match substitute(text, &|name| known.get(name)) {
            Ok(value) => value.text,
            Err(problem) => format!("error: {problem}"),
        }
    }

    #[test]
    fn every_form_is_substituted() {
        for (text, wanted) in [
            ("$A", "a"),
            ("${A}", "a"),
            ("x$A-${B}.y", "xa-b.y"),
            ("$$A $${A}", "$A ${A}"),
            ("${EMPTY:-d} ${EMPTY-d}", "d "),
            ("${NO:-d} ${NO-d}", "d d"),
            ("${A:-d} ${A-d}", "a a"),
            ("${A:+r} ${A+r}", "r r"),
            ("${EMPTY:+r}|${EMPTY+r}|${NO+r}", "|r|"),
            ("${A:?message} ${EMPTY?message}", "a "),
            ("${NO:-${ALSO:-deep $A}}", "deep a"),
            ("${NO:-a}b ${NO:-c}d", "ab cd"),
            ("${NO:-{\"a\": 1}}", "{\"a\": 1}"),
            ("${NO:-}", ""),
            ("5$ only, $1", "5$ only, $1"),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn unknown_variables_stay_and_are_named() {
        let known = known();
        let value = substitute("$HOST:${PORT}/${A}/${MUST:?why}", &|name| known.get(name)).unwrap();
        assert_eq!(value.text, "${HOST}:${PORT}/a/${MUST}");
        let names: Vec<&str> = value.unknown.iter().map(|name| &**name).collect();
        assert_eq!(names, ["HOST", "MUST", "PORT"]);
    }

    #[test]
    fn what_is_no_reference_is_an_error_that_quotes_nothing() {
        for text in ["${", "${}", "${A", "${A:-x", "${1}", "${A!}", "${A:}", "${A:-\n}"] {
            assert!(shown(text).starts_with("error: invalid variable reference"), "{text}");
        }
        assert_eq!(shown("${EMPTY:?my secret}"), "error: required variable EMPTY is empty");
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let text = "${A:-".repeat(10_000) + &"}".repeat(10_000);
        assert_eq!(shown(&text), "error: variables nest too deeply or make the text too long");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".*|([${}:?+-]|A|B|NO|\n){0,40}") {
            shown(&text);
        }

        #[test]
        fn doubled_dollars_give_back_any_text(text in "[^$]*(\\$[^$]*){0,5}") {
            prop_assert_eq!(shown(&text.replace('$', "$$")), text);
        }

        #[test]
        fn a_default_is_used_only_where_the_variable_is_not_set(word in "[a-z/.:]{0,9}") {
            prop_assert_eq!(shown(&format!("<${{NO:-{word}}}>")), format!("<{word}>"));
            prop_assert_eq!(shown(&format!("<${{A:-{word}}}>")), "<a>");
        }
    }
}
