//! Parses YAML into a tree whose nodes have marks.
//!
//! Owns anchors, aliases, `<<` merges, duplicate keys, and the limits that bound time and memory for hostile
//! input. Knows nothing about Compose except that the tags `!reset` and `!override` matter.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag as YamlTag};

use super::MAX_BYTES;

/// Deepest nesting that is parsed. Real compose files stay below 20, and every walk over the tree is
/// recursive.
const MAX_DEPTH: usize = 100;

/// Number of nodes that one file may have once its aliases are expanded: 10,000 services of 25 nodes. Long
/// text counts as several.
const MAX_NODES: usize = 250_000;

/// Length of the longest key, in bytes: YAML's own limit for keys in short form.
const MAX_KEY: usize = 1024;

/// Number of bytes of text that count as one more node.
const NODE_BYTES: usize = 64;

/// Position in one of the files of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// Index of the file in the project's list of sources.
    pub(super) source: u32,
    /// The line number, counted from 1.
    pub(super) line: u32,
    /// The column in characters, counted from 1.
    pub(super) column: u32,
}

/// Node of a YAML tree.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Mark of its start.
    pub(super) at: Mark,
    /// Its tag, which decides how it is merged.
    pub(super) tag: Tag,
    /// Its content.
    pub(super) value: Value,
}

/// Tag that matters to Compose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// No tag, or one without meaning here.
    None,
    /// `!reset`: the key is removed.
    Reset,
    /// `!override`: the value replaces the earlier one.
    Override,
}

/// Content of a [`Node`].
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// Any other scalar.
    Text(Text),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// Scalar as it was written.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// The characters, unquoted.
    pub(super) text: Rc<str>,
    /// Whether it was written without quotes. Then `1e3` is a number.
    pub(super) plain: bool,
    /// Names of variables in it that the tree does not define.
    pub(super) unknown: Rc<[Rc<str>]>,
}

/// Mapping. Its order has no meaning to Compose.
pub(super) type Map = BTreeMap<Rc<str>, MapEntry>;

/// Entry of a mapping.
#[derive(Debug, Clone)]
pub(super) struct MapEntry {
    /// Mark of the key.
    pub(super) at: Mark,
    /// The value.
    pub(super) node: Node,
}

/// Reason why a file is not valid YAML, or not accepted by Compose.
#[derive(Debug)]
pub(super) struct YamlProblem {
    /// The problem.
    pub(super) message: String,
    /// Its mark.
    pub(super) at: Mark,
}

impl Text {
    /// Creates a scalar that is a string, whatever it looks like.
    pub(super) fn quoted(text: impl Into<Rc<str>>) -> Self {
        Self { text: text.into(), plain: false, unknown: Rc::from([]) }
    }
}

impl Node {
    /// Creates a node without a tag.
    pub(super) fn new(at: Mark, value: Value) -> Self {
        Self { at, tag: Tag::None, value }
    }

    /// Creates a string.
    pub(super) fn text(at: Mark, text: impl Into<Rc<str>>) -> Self {
        Self::new(at, Value::Text(Text::quoted(text)))
    }

    /// The characters of a scalar.
    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub(super) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The items of a sequence.
    pub(super) fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value of a key, if this is a mapping with that key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key).map(|entry| &entry.node)
    }

    /// Its kind, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Text(_) => "a scalar",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Number of nodes in it, itself included.
    pub(super) fn size(&self) -> usize {
        match &self.value {
            Value::Null => 1,
            Value::Text(text) => text_size(&text.text),
            Value::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Value::Map(map) => 1 + map.values().map(|entry| entry.node.size()).sum::<usize>(),
        }
    }
}

/// Number of nodes that text counts as, because its bytes are hashed and copied.
pub(super) fn text_size(text: &str) -> usize {
    1 + text.len() / NODE_BYTES
}

/// Parses the documents of a file. Also returns the problems. A duplicate key leaves a usable tree; after a
/// syntax error only the documents before it are returned.
pub(super) fn parse(source: u32, bytes: &[u8]) -> (Vec<Node>, Vec<YamlProblem>) {
    let start = Mark { source, line: 1, column: 1 };
    let fail = |message: String| (Vec::new(), vec![YamlProblem { message, at: start }]);
    if bytes.len() > MAX_BYTES {
        return fail(format!("the file is larger than {} MiB", MAX_BYTES >> 20));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(err) => {
            let line = 1 + bytes[..err.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            let at = Mark { line: line as u32, ..start };
            return (Vec::new(), vec![YamlProblem { message: "the file is not UTF-8".into(), at }]);
        }
    };
    if let Some(index) = text.find(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}')) {
        let before = &text[..index];
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or("").chars().count();
        let at = Mark { source, line: line as u32, column: column as u32 };
        let message = "control characters are not allowed in YAML".into();
        return (Vec::new(), vec![YamlProblem { message, at }]);
    }
    let mut builder = Builder::new(source);
    if let Err(problem) = builder.read(text) {
        // Compose accepts a tab between a key and its value. This parser does not.
        if text.contains(":\t") {
            let mut again = Builder::new(source);
            if again.read(&with_spaces_after_colons(text)).is_ok() {
                return (again.documents, again.problems);
            }
        }
        let tab = tab_near(text, problem.at.line as usize).map(|(line, column)| YamlProblem {
            message: "invalid YAML: a tab cannot indent, write spaces".into(),
            at: Mark { source, line: line as u32, column: column as u32 },
        });
        builder.problems.push(tab.unwrap_or(problem));
    }
    (builder.documents, builder.problems)
}

/// Replaces tabs that follow a colon by spaces.
fn with_spaces_after_colons(text: &str) -> String {
    let mut follows = false;
    let space = |c: char| {
        follows = c == ':' || follows && c == '\t';
        if follows && c == '\t' { ' ' } else { c }
    };
    text.chars().map(space).collect()
}

/// Returns line and column of the tab that indents the line at which the parser failed, or the next line. The
/// parser reports it in other words and may point at the line before.
fn tab_near(text: &str, line: usize) -> Option<(usize, usize)> {
    let near = text.lines().enumerate().skip(line.saturating_sub(1)).take(2);
    let mut found = near.filter_map(|(index, line)| {
        let indent = &line[..line.len() - line.trim_start().len()];
        indent.find('\t').map(|column| (index + 1, column + 1))
    });
    found.next()
}

/// Collection whose end has not been reached.
struct Open {
    at: Mark,
    tag: Tag,
    anchor: usize,
    content: Collection,
}

enum Collection {
    List(Vec<Node>),
    Map { entries: Map, key: Option<PendingKey>, merges: Vec<Node> },
}

struct PendingKey {
    text: Rc<str>,
    at: Mark,
    is_merge: bool,
}

struct Builder {
    source: u32,
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    problems: Vec<YamlProblem>,
}

impl Builder {
    fn new(source: u32) -> Self {
        let (documents, open, problems) = (Vec::new(), Vec::new(), Vec::new());
        Self { source, documents, open, anchors: BTreeMap::new(), nodes: 0, problems }
    }

    fn mark(&self, span: Span) -> Mark {
        Mark {
            source: self.source,
            line: span.start.line().max(1) as u32,
            column: span.start.col() as u32 + 1,
        }
    }

    fn read(&mut self, text: &str) -> Result<(), YamlProblem> {
        let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|err| YamlProblem {
                message: format!("invalid YAML: {}", err.info()),
                at: Mark {
                    source: self.source,
                    line: err.marker().line().max(1) as u32,
                    column: err.marker().col() as u32 + 1,
                },
            })?;
            let at = self.mark(span);
            match event {
                Event::StreamEnd => break,
                Event::DocumentEnd => self.anchors.clear(),
                Event::Scalar(text, style, anchor, tag) => {
                    let (tag, as_string) = read_tag(tag.as_deref());
                    let plain = style == ScalarStyle::Plain && !as_string;
                    let value = if plain && is_null(&text) {
                        Value::Null
                    } else {
                        Value::Text(Text { text: Rc::from(&*text), plain, unknown: Rc::from([]) })
                    };
                    let size = text_size(&text);
                    self.count(size, at)?;
                    self.add(Node { at, tag, value }, anchor, size)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.start(at, read_tag(tag.as_deref()).0, anchor, Collection::List(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    let content = Collection::Map { entries: Map::new(), key: None, merges: Vec::new() };
                    self.start(at, read_tag(tag.as_deref()).0, anchor, content)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end()?,
                Event::Alias(anchor) => {
                    let Some(size) = self.anchors.get(&anchor).map(|(_, size)| *size) else {
                        return Err(YamlProblem {
                            message: "the alias refers to an anchor that contains it".into(),
                            at,
                        });
                    };
                    // Counted before it is copied.
                    self.count(size, at)?;
                    if let Some((node, _)) = self.anchors.get(&anchor).cloned() {
                        self.add(node, 0, size)?;
                    }
                }
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            }
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, at: Mark) -> Result<(), YamlProblem> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let message = format!("the file grows to more than {MAX_NODES} nodes");
            return Err(YamlProblem { message, at });
        }
        Ok(())
    }

    fn start(&mut self, at: Mark, tag: Tag, anchor: usize, content: Collection) -> Result<(), YamlProblem> {
        self.count(1, at)?;
        if self.open.len() >= MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} levels deep");
            return Err(YamlProblem { message, at });
        }
        self.open.push(Open { at, tag, anchor, content });
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlProblem> {
        let Some(Open { at, tag, anchor, content }) = self.open.pop() else { return Ok(()) };
        let value = match content {
            Collection::List(items) => Value::List(items),
            Collection::Map { mut entries, merges, .. } => {
                // Keys of the mapping itself win over merged keys, and earlier merges over later ones.
                for merge in merges {
                    self.merge(&mut entries, merge);
                }
                Value::Map(entries)
            }
        };
        let node = Node { at, tag, value };
        if anchor == 0 {
            return self.add(node, 0, 1);
        }
        // The anchor keeps a copy.
        let size = node.size();
        self.count(size, at)?;
        self.add(node, anchor, size)
    }

    fn merge(&mut self, entries: &mut Map, from: Node) {
        match from.value {
            Value::Map(map) => {
                for (key, entry) in map {
                    entries.entry(key).or_insert(entry);
                }
            }
            Value::List(items) if items.iter().all(|item| item.as_map().is_some()) => {
                for item in items {
                    self.merge(entries, item);
                }
            }
            _ => self.problems.push(YamlProblem {
                message: "`<<` needs a mapping or a list of mappings".into(),
                at: from.at,
            }),
        }
    }

    fn add(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), YamlProblem> {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut open.content {
            Collection::List(items) => items.push(node),
            Collection::Map { entries, key, merges } => match key.take() {
                None => *key = Some(read_key(node)?),
                Some(key) if key.is_merge => merges.push(node),
                Some(PendingKey { text, at, .. }) => match entries.entry(text) {
                    btree_map::Entry::Vacant(slot) => {
                        slot.insert(MapEntry { at, node });
                    }
                    btree_map::Entry::Occupied(slot) => {
                        let message =
                            format!("key `{}` is already defined at line {}", slot.key(), slot.get().at.line);
                        self.problems.push(YamlProblem { message, at });
                    }
                },
            },
        }
        Ok(())
    }
}

fn read_key(node: Node) -> Result<PendingKey, YamlProblem> {
    let at = node.at;
    match node.value {
        Value::Text(text) if text.text.len() > MAX_KEY => {
            Err(YamlProblem { message: format!("a key is longer than {MAX_KEY} bytes"), at })
        }
        Value::Text(text) => {
            Ok(PendingKey { is_merge: text.plain && &*text.text == "<<", text: text.text, at })
        }
        Value::Null => Ok(PendingKey { text: Rc::from("null"), at, is_merge: false }),
        _ => Err(YamlProblem { message: "a key must be a scalar".into(), at }),
    }
}

fn read_tag(tag: Option<&YamlTag>) -> (Tag, bool) {
    match tag {
        Some(tag) if tag.handle == "!" && tag.suffix == "reset" => (Tag::Reset, false),
        Some(tag) if tag.handle == "!" && tag.suffix == "override" => (Tag::Override, false),
        Some(tag) => (Tag::None, tag.is_yaml_core_schema() && tag.suffix == "str"),
        None => (Tag::None, false),
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Node {
        let (mut documents, problems) = parse(0, text.as_bytes());
        assert!(problems.is_empty(), "{problems:?}");
        documents.remove(0)
    }

    fn problem(text: &[u8]) -> String {
        let (_, problems) = parse(0, text);
        let first = problems.first().expect("a problem");
        format!("{}:{} {}", first.at.line, first.at.column, first.message)
    }

    #[test]
    fn nodes_have_their_marks() {
        let node = one("a:\n  - x\n  - key: 'v'\n");
        let list = node.get("a").unwrap().as_list().unwrap();
        let entry = &list[1].as_map().unwrap()["key"];
        assert_eq!((entry.at.line, entry.at.column), (3, 5));
        assert_eq!((entry.node.at.line, entry.node.at.column), (3, 10));
    }

    #[test]
    fn merges_lose_to_keys_of_the_mapping_and_to_earlier_merges() {
        let node = one("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 3\n");
        let z = node.get("z").unwrap();
        let get = |key: &str| z.get(key).and_then(Node::as_str).unwrap();
        assert_eq!((get("a"), get("b"), get("c")), ("3", "1", "2"));
        assert!(z.get("<<").is_none());
    }

    #[test]
    fn tags_and_quotes_are_kept() {
        let node =
            one("a: !reset null\nb: !override [x]\nc: !!str 5\nd: '5'\ne: 5\nf: ~\ng: !!int 5\nh: !own x");
        let is_plain = |key: &str| matches!(&node.get(key).unwrap().value, Value::Text(text) if text.plain);
        assert_eq!(node.get("a").unwrap().tag, Tag::Reset);
        assert_eq!(node.get("b").unwrap().tag, Tag::Override);
        assert!(!is_plain("c") && !is_plain("d") && is_plain("e") && is_plain("g"));
        assert_eq!(node.get("h").unwrap().tag, Tag::None);
        assert!(matches!(node.get("f").unwrap().value, Value::Null));
    }

    #[test]
    fn problems_have_their_marks() {
        assert_eq!(problem(b"a: 1\nb: 2\na: 3"), "3:1 key `a` is already defined at line 1");
        assert_eq!(problem(b"a: {<<: 5}"), "1:9 `<<` needs a mapping or a list of mappings");
        assert_eq!(problem(b"a: 1\nb: \xff"), "2:1 the file is not UTF-8");
        assert_eq!(problem(b"a: 1\nb: x\0"), "2:5 control characters are not allowed in YAML");
        assert!(problem(b"a: [1").contains("invalid YAML"));
        assert!(problem(b"a: *no").contains("anchor"));
        assert!(problem(b"a: 1\nb: *no").starts_with("2:4 invalid YAML"));
        assert!(problem(b"a: &a [*a]").contains("an anchor that contains it"));
    }

    #[test]
    fn a_tab_that_indents_is_shown_where_it_stands() {
        let tab = "invalid YAML: a tab cannot indent, write spaces";
        assert_eq!(problem(b"a:\n  b: 1\n\tc: 2\n"), format!("3:1 {tab}"));
        assert_eq!(problem(b"a:\n  b:\n  \t- 2\n"), format!("3:3 {tab}"));
        // A tab in content is valid.
        let node = one("a: |\n  x\n  \ty\nb:\t1\n");
        assert_eq!(node.get("a").and_then(Node::as_str), Some("x\n\ty\n"));
        assert_eq!(node.get("b").and_then(Node::as_str), Some("1"));
    }

    #[test]
    fn hostile_files_end_in_an_error() {
        let aliases: String = (1..12)
            .map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(",")))
            .collect();
        assert!(problem(format!("a0: &a0 [x]\n{aliases}").as_bytes()).contains("grows to more than"));
        let long = "x".repeat(1 << 20);
        let anchors = format!("{}{}", "&a [".repeat(90), ["x,".repeat(100_000), "]".repeat(90)].concat());
        for text in [format!("a: &a {long}\nb: [{}]", "*a,".repeat(1_000)), anchors] {
            let found = problem(text.as_bytes());
            assert!(found.contains("grows to more than"), "{found}");
        }
        assert!(problem(format!("? {long}\n: 1").as_bytes()).contains("a key is longer than 1024 bytes"));
        for text in ["[".repeat(100_000), "- ".repeat(50_000), "{a: ".repeat(50_000), "? ".repeat(50_000)] {
            problem(text.as_bytes());
        }
        assert!(parse(0, &vec![b'#'; MAX_BYTES]).1.is_empty());
        assert!(problem(&vec![b'#'; MAX_BYTES + 1]).contains("larger than 4 MiB"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".*|([a-c:&*<>{}\\[\\],|!'\"\n -]|<<: |- ){0,60}") {
            parse(0, text.as_bytes());
        }
    }
}
