//! Hostile compose files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ghdeploy::base::path::RootPath;
use ghdeploy::compose::model::Project;
use ghdeploy::compose::{self, Files, NodeKind};

/// Time limit for one project, in a build without optimisation on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// The value of a variable.
const SECRET: &str = "hunter2";

/// Path of most cases.
const COMPOSE: &str = "blog/compose.yml";

/// Files by path.
struct Tree(BTreeMap<String, Vec<u8>>);

impl Files for Tree {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        self.0.contains_key(path.as_str()).then_some(NodeKind::File)
    }

    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        Ok(self.0.get(path.as_str()).map(|content| Arc::from(content.as_slice())))
    }

    fn shown(&self, path: &RootPath) -> String {
        path.to_string()
    }
}

/// Finds and loads the project `blog` of these files within the time limit.
fn load(files: &[(&str, Vec<u8>)]) -> Project {
    let tree = Tree(files.iter().map(|(path, content)| ((*path).to_owned(), content.clone())).collect());
    let dir = RootPath::new("blog").unwrap();
    let start = Instant::now();
    assert!(compose::find(&tree, &dir));
    let project = compose::load(&tree, &dir, "/srv/services");
    assert!(start.elapsed() < LIMIT, "took {:?}", start.elapsed());
    project
}

/// Returns the diagnostics of a project, each with its location.
fn messages(project: &Project) -> Vec<String> {
    let show = |found: &ghdeploy::base::diagnostic::Diagnostic| {
        let at = found.at.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{at}: {}{}", found.message, found.help.as_deref().unwrap_or(""))
    };
    project.diagnostics.iter().map(show).collect()
}

/// Asserts the start of the first message about these files, and that no message holds the secret.
fn says(files: &[(&str, Vec<u8>)], wanted: &str) {
    let found = messages(&load(files));
    let first = found.first().map_or("nothing", String::as_str);
    assert!(first.starts_with(wanted), "wanted: {wanted}\nfound: {first:.300}");
    assert!(!found.iter().any(|message| message.contains(SECRET)), "{wanted}: a value is shown");
}

/// Like [`says`], for a compose file alone.
fn says_of(compose: impl Into<Vec<u8>>, wanted: &str) {
    says(&[(COMPOSE, compose.into())], wanted);
}

/// Returns a line for each number.
fn lines(range: std::ops::Range<usize>, line: impl Fn(usize) -> String) -> String {
    range.map(|i| line(i) + "\n").collect()
}

/// One service `web` with this attribute.
fn web(attribute: &str) -> String {
    format!("services:\n  web:\n    image: a\n    {attribute}\n")
}

#[test]
fn alias_bombs_end_where_they_grow() {
    let grows = "blog/compose.yml:6:6: the file grows to more than 250000 nodes";
    for (first, item, all, wanted) in [
        ("[x]", "*a", "[%]", grows),
        ("{x: 1}", "kK: *a", "{%}", grows),
        // All of them merge into one key.
        ("{x: 1}", "*a", "{<<: [%]}", "nothing"),
    ] {
        let nine = |i: usize| {
            let items = (0..9).map(|k| item.replace('K', &format!("{k}")).replace("*a", &format!("*a{i}")));
            all.replace('%', &items.collect::<Vec<_>>().join(", "))
        };
        let bomb = lines(1..12, |i| format!("x-{i}: &a{i} {}", nine(i - 1)));
        says_of(format!("x-0: &a0 {first}\n{bomb}{}", web("")), wanted);
    }
}

#[test]
fn a_long_chain_of_builds_counts_against_the_budget() {
    let mut text = "services:\n".to_owned();
    for number in 0..3000 {
        let next = format!("additional_contexts: {{base: 'service:s{}'}}", number + 1);
        writeln!(text, "  s{number}: {{build: {{context: ., {next}}}}}").unwrap();
    }
    text += "  s3000: {build: .}\n";
    let found = messages(&load(&[(COMPOSE, text.into_bytes())]));
    assert!(found[0].contains("the project grows to more than 500000 nodes"), "{found:?}");
}

#[test]
fn repeated_long_text_counts_against_the_budget() {
    let long = "x".repeat(1 << 20);
    let many = |item: &str| vec![item; 5_000].join(",");
    let grows = "the project grows to more than 500000 nodes";
    let services = |attribute: &str| lines(0..5_000, |i| format!("  s{i}: {{image: a, {attribute}}}"));
    for (compose, dotenv, wanted) in [
        (
            format!("x-a: &a {long}\n{}", web(&format!("command: [{}]", many("*a")))),
            "",
            "the file grows to more than 250000 nodes",
        ),
        (web(&format!("command: [{}]", many("$A"))), "A=", grows),
        (format!("services:\n{}", services("environment: [A]")), "A=", grows),
        (format!("services:\n{}", services("env_file: a.env")), "", grows),
        (format!("services:\n{}configs:\n  c: {{content: {long}}}\n", services("configs: [c]")), "", grows),
        (format!("services:\n{}configs:\n  c: {{environment: A}}\n", services("configs: [c]")), "A=", grows),
    ] {
        let dotenv =
            if dotenv.is_empty() { String::new() } else { format!("{dotenv}{}", &long[..1_000_000]) };
        let env_file = format!("B={}", &long[..1_000_000]);
        let project =
            load(&[(COMPOSE, compose.into()), ("blog/.env", dotenv.into()), ("blog/a.env", env_file.into())]);
        let found = messages(&project);
        assert!(found.iter().any(|message| message.ends_with(wanted)), "{wanted}: {:.200}", found.join("\n"));
        assert!(found.iter().all(|message| message.len() < 1_000));
    }
}

#[test]
fn large_files_are_refused() {
    let large = || vec![b'#'; 10 << 20];
    says_of(large(), "blog/compose.yml:1:1: the file is larger than 4 MiB");
    let files = |path| [(COMPOSE, web("env_file: web.env").into_bytes()), (path, large())];
    says(&files("blog/.env"), "blog/.env:1:1: the file is larger than 1 MiB");
    says(&files("blog/web.env"), "blog/web.env:1:1: the file is larger than 1 MiB");
}

#[test]
fn ten_thousand_services_are_read() {
    for attribute in
        ["depends_on: [s%]", "extends: base", "extends: {file: other.yml, service: base}", "env_file: a.env"]
    {
        let services = lines(1..10_000, |i| {
            format!("  s{i}: {{image: a, {}}}", attribute.replace('%', &(i - 1).to_string()))
        });
        let base = "services:\n  base: {image: a}\n  s0: {image: a}\n";
        let files = [
            (COMPOSE, format!("{base}{services}").into()),
            ("blog/other.yml", base.into()),
            ("blog/a.env", b"A=1".to_vec()),
        ];
        let project = load(&files);
        assert_eq!(messages(&project), Vec::<String>::new());
        assert_eq!(project.services.len(), 10_001);
    }
}

#[test]
fn one_service_with_many_of_everything_is_read() {
    let list = |key: &str, item: &dyn Fn(usize) -> String| {
        format!("    {key}:\n{}", lines(0..20_000, |i| format!("    - {}", item(i))))
    };
    for (key, item) in [
        ("volumes", "./a%:/a%"),
        ("env_file", "a%"),
        ("depends_on", "s%"),
        ("ports", "%"),
        ("labels", "a%=b"),
    ] {
        let project =
            load(&[(COMPOSE, (web("") + &list(key, &|i| item.replace('%', &i.to_string()))).into())]);
        assert!(!messages(&project).iter().any(|message| message.contains("grows")), "{key}");
        let reads = if matches!(key, "volumes" | "env_file") { 20_000 } else { 0 };
        assert_eq!(project.services["web"].reads.len(), reads, "{key}");
    }
}

#[test]
fn one_service_in_many_documents_and_files_is_read() {
    let document = "---\nservices: {web: {image: a}}\n";
    let project = load(&[(COMPOSE, document.repeat(20_000).into())]);
    assert_eq!(messages(&project), Vec::<String>::new());
    assert_eq!(project.services["web"].defined_at.len(), 20_000);
    let listed = |names: String| [(COMPOSE, web("").into_bytes()), ("blog/.env", names.into_bytes())];
    let project = load(&listed(format!("COMPOSE_FILE={}", "compose.yml:".repeat(900))));
    assert_eq!(project.services["web"].defined_at.len(), 1);
    let many = listed(format!("COMPOSE_FILE={}", "compose.yml:".repeat(50_000)));
    says(&many, "blog/.env:1:1: `COMPOSE_FILE` names more than 1000 files");
}

#[test]
fn includes_that_fan_out_end_in_an_error() {
    let compose = |items: &str| format!("include: [{items}]\n{}", web(""));
    let variables = lines(0..50_000, |i| format!("A{i}=x"));
    let files = |items: String| {
        [
            (COMPOSE, compose(&items).into_bytes()),
            ("blog/.env", variables.clone().into()),
            ("blog/part/a.yml", b"{}".to_vec()),
            ("blog/part/.env", variables.clone().into()),
        ]
    };
    says(
        &files("part/a.yml,".repeat(20_000)),
        "blog/part/.env:1:1: the project grows to more than 500000 nodes",
    );
    let missing = |i: usize| format!("part/{i}.yml,");
    let found = messages(&load(&[(COMPOSE, compose(&(0..30_000).map(missing).collect::<String>()).into())]));
    assert!(found[0].starts_with("blog/compose.yml:1:11: there is no file blog/part/0.yml"), "{}", found[0]);
    assert_eq!(found.len(), 500);
}

#[test]
fn depth_is_bounded() {
    let deep = "nested more than 100 levels deep";
    let block: String = (0..1_000).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    let merges = lines(1..1_000, |i| format!("x-{i}: &m{i} {{<<: *m{}, k{i}: 1}}", i - 1));
    says_of(block, &format!("blog/compose.yml:101:101: {deep}"));
    says_of("- ".repeat(1_000), &format!("blog/compose.yml:1:201: {deep}"));
    says_of(
        format!("x-0: &m0 {{a: 1}}\n{merges}"),
        "blog/compose.yml:497:8: the file grows to more than 250000 nodes",
    );
    let nested = web(&format!("labels: {{a: \"{}{}\"}}", "${A:-".repeat(1_000), "}".repeat(1_000)));
    says_of(nested, "blog/compose.yml:4:17: variables nest too deeply");
}

#[test]
fn circles_are_reported() {
    says_of(
        "services: {a: &a {image: x, environment: [*a]}}",
        "blog/compose.yml:1:43: the alias refers to an anchor that contains it",
    );
    says_of(
        "include: [compose.yml]",
        "blog/compose.yml:1:11: files include each other in a circle: blog/compose.yml includes blog/compose.yml",
    );
    says_of(
        web("extends: web"),
        "blog/compose.yml:4:14: services extend each other in a circle: `web` in blog/compose.yml extends `web`",
    );
    says_of(
        web("depends_on: [web]"),
        "blog/compose.yml:2:3: services depend on each other in a circle: web -> web",
    );
    let ring =
        lines(0..20_000, |i| format!("  s{i:05}: {{image: a, depends_on: [s{:05}]}}", (i + 1) % 20_000));
    says_of(
        format!("services:\n{ring}"),
        "blog/compose.yml:2:3: services depend on each other in a circle: s00000 -> s00001 -> ",
    );
}

#[test]
fn invalid_bytes_are_reported_with_their_line() {
    let with =
        |path, content: &[u8]| [(COMPOSE, web("env_file: web.env").into_bytes()), (path, content.to_vec())];
    says(&with("blog/.env", b"A=1\nB=\xffhunter2"), "blog/.env:2:1: the file is not UTF-8");
    says(&with("blog/web.env", b"A=1\nB=\xffhunter2"), "blog/web.env:2:1: the file is not UTF-8");
    says(
        &with("blog/compose.override.yml", b"\n\n\xff"),
        "blog/compose.override.yml:3:1: the file is not UTF-8",
    );
    says_of("services:\n\tweb:\n", "blog/compose.yml:2:1: invalid YAML: a tab cannot indent");
    says_of(web("image: b"), "blog/compose.yml:4:5: key `image` is already defined at line 3");
    says_of(web("volumes: [\"./a\\0:/a\"]"), "blog/compose.yml:4:15: a path holds a NUL byte");
}

#[test]
fn a_byte_order_mark_and_carriage_returns_change_nothing() {
    let text = format!("{}    env_file: web.env\n", web("environment: {A: $A}"));
    let definition = |text: &str, dotenv: &str| {
        let files = [(COMPOSE, text.into()), ("blog/.env", dotenv.into()), ("blog/web.env", dotenv.into())];
        let project = load(&files);
        assert_eq!(messages(&project), Vec::<String>::new());
        project.services["web"].definition.clone()
    };
    let plain = definition(&text, "A=1\nB=2\n");
    let odd = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(definition(&odd(&text), &odd("A=1\nB=2\n")), plain);
}

#[test]
fn long_lines_keys_and_ranges_are_bounded() {
    let long = "k".repeat(1 << 20);
    says_of(web(&format!("? {long}\n    : a")), "blog/compose.yml:4:7: a key is longer than 1024 bytes");
    says_of(web(&format!("labels: {{a: {long}}}")), "nothing");
    let ranges = web(&format!("ports: [{}]", vec!["'1-65535:1-65535'"; 1_000].join(",")));
    says_of(ranges, "blog/compose.yml:4:31: the project grows to more than 500000 nodes");
}

#[test]
fn variables_that_double_end_in_an_error() {
    let double = format!("A0={SECRET}\n{}", lines(1..40, |i| format!("A{i}=$A{}$A{}", i - 1, i - 1)));
    let files =
        |dotenv: &str| [(COMPOSE, web("environment: {A: $A39}").into_bytes()), ("blog/.env", dotenv.into())];
    says(&files(&double), "blog/.env:19:1: variables nest too deeply or make the text too long");
    // Unused default words are not expanded.
    let mut unused = format!("A={}\n", "x".repeat(200_000));
    for i in 0..30_000 {
        writeln!(unused, "B{i}=${{NO:+$A$A$A$A}}").unwrap();
    }
    says(&files(&unused), "nothing");
}
