//! Substitutes variables in text like Compose.
//!
//! Owns the forms `$X`, `${X}`, `${X:-d}`, `${X-d}`, `${X:?e}`, `${X?e}`, `${X:+r}`, `${X+r}` and
//! `$$` (<https://docs.docker.com/reference/compose-file/interpolation/>). A variable that the
//! tree does not define stays in the text as `${NAME}`: only the host may know it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::model::VariableNeed;
use super::yaml::text_size;

/// Deepest nesting of `${A:-${B:-…}}` that is expanded.
const MAX_DEPTH: usize = 50;

/// Length of the longest text that substitution may produce, in bytes.
const MAX_LENGTH: usize = 1 << 20;

/// Variables that the tree defines.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    values: BTreeMap<Rc<str>, Variable>,
}

/// Value of a variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Variable {
    /// The text.
    pub(super) text: String,
    /// Names that the tree does not define and that stay in the text as `${NAME}`.
    pub(super) unknown: BTreeSet<Rc<str>>,
}

/// Failure to substitute. Never quotes the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SubstitutionError {
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
    /// The value of a variable, if the tree defines it.
    pub(super) fn get(&self, name: &str) -> Option<&Variable> {
        self.values.get(name)
    }

    /// Defines a variable or replaces its value.
    pub(super) fn set(&mut self, name: &str, value: Variable) {
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

    /// Number of nodes that they count as.
    pub(super) fn size(&self) -> usize {
        self.values.values().map(|value| text_size(&value.text)).sum()
    }

    /// All variables by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.values.iter().map(|(name, value)| (&**name, value))
    }
}

/// Substitutes every variable in `text`; `lookup` returns the values that the tree defines.
pub(super) fn substitute<'a>(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<&'a Variable>,
) -> Result<Variable, SubstitutionError> {
    let mut out = Variable::default();
    expand(text, lookup, 0, &mut out)?;
    Ok(out)
}

fn expand<'a>(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<&'a Variable>,
    depth: usize,
    out: &mut Variable,
) -> Result<(), SubstitutionError> {
    if depth > MAX_DEPTH {
        return Err(SubstitutionError::TooLarge);
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
                return Err(SubstitutionError::Invalid);
            };
            if operator == '}' {
                plain(name, lookup, out);
                rest = &body[name.len() + 1..];
            } else {
                let length = braced_length(body).ok_or(SubstitutionError::Invalid)?;
                let form = Form::read(&body[name.len()..length]).ok_or(SubstitutionError::Invalid)?;
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
            return Err(SubstitutionError::TooLarge);
        }
    }
    out.text.push_str(rest);
    Ok(())
}

/// The variables that a text refers to, each with what it needs of a host that may define it. What defaults and other
/// words refer to in turn is left out. Empty if the text is not valid.
pub(super) fn references(text: &str) -> Vec<(&str, VariableNeed)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let after = &rest[dollar + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            rest = tail;
        } else if let Some(body) = after.strip_prefix('{') {
            let name = &body[..name_length(body)];
            let length = braced_length(body).filter(|length| !name.is_empty() && *length >= name.len());
            let Some(length) = length else {
                return Vec::new();
            };
            let need = match Form::read(&body[name.len()..length]) {
                None => VariableNeed::Value,
                Some(Form { operator: '?', or_empty: true, .. }) => VariableNeed::NotEmpty,
                Some(Form { operator: '?', .. }) => VariableNeed::Required,
                Some(_) => VariableNeed::Nothing,
            };
            found.push((name, need));
            rest = &body[length + 1..];
        } else {
            let name = &after[..name_length(after)];
            if !name.is_empty() {
                found.push((name, VariableNeed::Value));
            }
            rest = &after[name.len()..];
        }
    }
    found
}

fn name_length(text: &str) -> usize {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { 0 } else { end }
}

/// Returns the index of the `}` of a reference in the text after its `${`. Like compose-go's template
/// package, counts braces, skips the character after an opening one, and ends a reference on its line.
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

fn plain<'a>(name: &str, lookup: &dyn Fn(&str) -> Option<&'a Variable>, out: &mut Variable) {
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

/// Text after the name in `${NAME:-word}`.
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
        lookup: &dyn Fn(&str) -> Option<&'v Variable>,
        depth: usize,
        out: &mut Variable,
    ) -> Result<(), SubstitutionError> {
        let known = lookup(name);
        let is_set = known.is_some_and(|value| !(self.or_empty && value.text.is_empty()));
        if matches!((self.operator, is_set), ('-', false) | ('+', true)) {
            return expand(self.word, lookup, depth + 1, out);
        }
        // Compose substitutes the word even if it is not used, so an error in it counts anyway. Of the values
        // in it only matters whether they are empty.
        let short = Variable { text: "x".to_owned(), ..Variable::default() };
        let short = |name: &str| lookup(name).map(|value| if value.text.is_empty() { value } else { &short });
        expand(self.word, &short, depth + 1, &mut Variable::default())?;
        match self.operator {
            '+' => {}
            '?' if known.is_some() && !is_set => return Err(SubstitutionError::Required(name.to_owned())),
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
            variables.set(name, Variable { text: text.to_owned(), ..Variable::default() });
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
    fn unknown_variables_stay_and_are_listed() {
        let known = known();
        let value = substitute("$HOST:${PORT}/${A}/${MUST:?why}", &|name| known.get(name)).unwrap();
        assert_eq!(value.text, "${HOST}:${PORT}/a/${MUST}");
        let names: Vec<&str> = value.unknown.iter().map(|name| &**name).collect();
        assert_eq!(names, ["HOST", "MUST", "PORT"]);
    }

    #[test]
    fn an_invalid_reference_is_an_error_that_quotes_nothing() {
        for text in ["${", "${}", "${A", "${A:-x", "${1}", "${A!}", "${A:}", "${A:-\n}"] {
            assert!(shown(text).starts_with("error: invalid variable reference"), "{text}");
        }
        assert_eq!(shown("${EMPTY:?my secret}"), "error: required variable EMPTY is empty");
    }

    #[test]
    fn references_say_what_they_need() {
        use VariableNeed::{NotEmpty, Nothing, Required, Value};
        assert_eq!(
            references("$A-${B} ${C:-$X} ${D-} ${E:?why $Y} ${F?} ${G:+r} $$H $$ $1 5$"),
            [
                ("A", Value),
                ("B", Value),
                ("C", Nothing),
                ("D", Nothing),
                ("E", NotEmpty),
                ("F", Required),
                ("G", Nothing)
            ]
        );
        assert_eq!(references("$A ${"), []);
        assert_eq!(references("${A:-{x}} $B"), [("A", Nothing), ("B", Value)]);
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
            references(&text);
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
