//! Random edits of a project that reads files in every possible way. The services that read an edited
//! file act and read the new content, and no other service acts.
//!
//! The table of readers below is written by hand. `EDITS_SEED` selects another series.

use std::collections::{BTreeMap, BTreeSet};

use crate::bed::Bed;

/// First value of everything that is edited.
const FIRST: &str = "first";

/// Files below `services/`. `<name>` stands for the current value of that name.
const FILES: [(&str, &str); 20] = [
    ("app/compose.yml", APP),
    ("app/base.yml", BASE),
    ("app/extra.yml", EXTRA),
    ("app/.env", "VALUE=<value>\nUNUSED=<unused value>\n"),
    ("app/mode.env", "# <comment in env_file>\nMODE=<mode>\n"),
    ("app/file.conf", "<file>\n"),
    ("app/mixed.conf", "<mixed>\n"),
    ("app/dir/a.conf", "<dir>\n"),
    ("app/dir/sub/b.conf", "<sub>\n"),
    ("app/dir/sub/late.conf", "<late>\n"),
    ("app/page.txt", "<page>\n"),
    ("app/word.txt", "<word>\n"),
    ("app/signal.conf", "<signal>\n"),
    ("app/exec.conf", "<exec>\n"),
    ("app/none.conf", "<none>\n"),
    ("app/init.conf", "<init>\n"),
    ("app/notes.md", "<notes>\n"),
    ("other/compose.yml", OTHER),
    ("shared/zone.conf", "<zone>\n"),
    ("shared/common.env", "COMMON=<common>\n"),
];

/// `pair` shares a file with `file` and `none`, the other project's `reader` two with `shared` and `envfile`.
const APP: &str = r#"include: [extra.yml]
# <comment>
services:
  file: {<<: *s, volumes: ['./file.conf:/file.conf:ro', './mixed.conf:/mixed.conf:ro'], environment: {EDIT: '<edit file>'}}
  pair: {<<: *s, volumes: ['./mixed.conf:/mixed.conf:ro'], environment: {EDIT: '<edit pair>'}}
  dir: {<<: *s, volumes: ['./dir:/dir:ro'], depends_on: [inline], environment: {EDIT: '<edit dir>'}}
  config: {<<: *s, configs: [page], environment: {EDIT: '<edit config>'}}
  secret: {<<: *s, secrets: [word], environment: {EDIT: '<edit secret>'}}
  inline: {<<: *s, configs: [{source: note, target: /note}], depends_on: [file], environment: {EDIT: '<edit inline>'}}
  envfile: {<<: *s, env_file: [mode.env, ../shared/common.env], environment: {EDIT: '<edit envfile>'}}
  value: {<<: *s, environment: {SEEN: 'is ${VALUE}', EDIT: '<edit value>'}}
  extended: {extends: {file: base.yml, service: base}, environment: {EDIT: '<edit extended>'}}
  shared: {<<: *s, volumes: ['../shared/zone.conf:/zone.conf:ro'], environment: {EDIT: '<edit shared>'}}
  signal:
    <<: *s
    command: [sh, -c, "trap 'cp /signal.conf /seen' HUP; cp /signal.conf /seen; while :; do sleep 0.3; done"]
    volumes: ['./signal.conf:/signal.conf:ro']
    environment: {EDIT: '<edit signal>'}
    x-ghdeploy: {on-change: {signal: SIGHUP}}
  exec:
    <<: *s
    command: [sh, -c, 'cp /exec.conf /seen; sleep 100000']
    volumes: ['./exec.conf:/exec.conf:ro']
    environment: {EDIT: '<edit exec>'}
    x-ghdeploy: {on-change: {exec: [cp, /exec.conf, /seen]}}
  none:
    <<: *s
    volumes: ['./none.conf:/none.conf:ro', './mixed.conf:/mixed.conf:ro']
    environment: {EDIT: '<edit none>'}
    x-ghdeploy: {on-change: none}
  init:
    <<: *s
    command: [sh, -c, 'cp /init.conf /made/conf; echo $$EDIT >/made/edit']
    volumes: ['./init.conf:/init.conf:ro', 'made:/made']
    environment: {EDIT: '<edit init>'}
  waits:
    <<: *s
    command: [sh, -c, 'cp /made/* /; sleep 100000']
    volumes: ['made:/made']
    environment: {EDIT: '<edit waits>'}
    depends_on: {init: {condition: service_completed_successfully}}
configs: {page: {file: ./page.txt}, note: {content: '<note>'}}
secrets: {word: {file: ./word.txt}}
volumes: {made: {}}"#;

const BASE: &str = "services:
  base: {image: 'ghdeploy-test/busybox:1', command: sleep 100000, stop_signal: SIGKILL, network_mode: none, environment: {BASE: '<base>'}}
  unused: {image: 'ghdeploy-test/busybox:1', command: sleep 100000, environment: {BASE: '<unused base>'}}
";

const EXTRA: &str = "# <comment in extra>
services:
  included: {image: 'ghdeploy-test/busybox:1', command: sleep 100000, stop_signal: SIGKILL, network_mode: none, environment: {EXTRA: '<extra>'}}
";

const OTHER: &str = "services:
  reader: {<<: *s, volumes: ['../shared/zone.conf:/zone.conf:ro'], env_file: ../shared/common.env}
  alone: {<<: *s, environment: {EDIT: '<edit alone>'}}";

/// Possible edits, the actions that must follow, and the commands that show the new value in a container.
type Row = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

const EDITS: [Row; 26] = [
    ("file", &["restart app/file"], &[("app/file", "cat /file.conf")]),
    (
        "mixed",
        &["restart app/file", "restart app/pair", "none app/none"],
        &[("app/file", "cat /mixed.conf"), ("app/pair", "cat /mixed.conf"), ("app/none", "cat /mixed.conf")],
    ),
    ("dir", &["restart app/dir"], &[("app/dir", "cat /dir/a.conf")]),
    ("sub", &["restart app/dir"], &[("app/dir", "cat /dir/sub/b.conf")]),
    ("late", &["restart app/dir"], &[("app/dir", "cat /dir/sub/late.conf")]),
    ("page", &["restart app/config"], &[("app/config", "cat /page")]),
    ("word", &["restart app/secret"], &[("app/secret", "cat /run/secrets/word")]),
    ("note", &["recreate app/inline"], &[("app/inline", "cat /note")]),
    ("mode", &["up app/envfile"], &[("app/envfile", "echo $MODE")]),
    ("comment in env_file", &[], &[]),
    ("value", &["up app/value"], &[("app/value", "echo ${SEEN#is }")]),
    ("unused value", &[], &[]),
    ("base", &["up app/extended"], &[("app/extended", "echo $BASE")]),
    ("unused base", &[], &[]),
    ("extra", &["up app/included"], &[("app/included", "echo $EXTRA")]),
    ("comment in extra", &[], &[]),
    (
        "zone",
        &["restart app/shared", "restart other/reader"],
        &[("app/shared", "cat /zone.conf"), ("other/reader", "cat /zone.conf")],
    ),
    (
        "common",
        &["up app/envfile", "up other/reader"],
        &[("app/envfile", "echo $COMMON"), ("other/reader", "echo $COMMON")],
    ),
    ("signal", &["signal app/signal"], &[("app/signal", "cat /signal.conf"), ("app/signal", "cat /seen")]),
    ("exec", &["exec app/exec"], &[("app/exec", "cat /exec.conf"), ("app/exec", "cat /seen")]),
    ("none", &["none app/none"], &[("app/none", "cat /none.conf")]),
    ("init", &["restart app/init", "restart app/waits"], &[("app/waits", "cat /conf")]),
    ("notes", &[], &[]),
    ("comment", &[], &[]),
    ("edit init", &["up app/init", "restart app/waits"], &[("app/waits", "cat /edit")]),
    ("edit alone", &["up other/alone"], &[("other/alone", "echo $EDIT")]),
];

/// Services of `app` whose definition may be edited too: `edit file` and so on.
const DEFINITIONS: [&str; 14] = [
    "file", "pair", "dir", "config", "secret", "inline", "envfile", "value", "extended", "shared", "signal",
    "exec", "none", "waits",
];

/// If several edits concern a service, it performs the first of these.
const STRONGEST_FIRST: [&str; 6] = ["up", "recreate", "restart", "signal", "exec", "none"];

/// A possible edit.
struct Edit {
    name: String,
    does: Vec<String>,
    shows: Vec<(String, String)>,
}

fn edits() -> Vec<Edit> {
    let listed = EDITS.iter().map(|(name, does, shows)| Edit {
        name: (*name).to_owned(),
        does: does.iter().map(|action| (*action).to_owned()).collect(),
        shows: shows
            .iter()
            .map(|(service, command)| ((*service).to_owned(), (*command).to_owned()))
            .collect(),
    });
    let definitions = DEFINITIONS.iter().map(|service| Edit {
        name: format!("edit {service}"),
        does: vec![format!("up app/{service}")],
        shows: vec![(format!("app/{service}"), "echo $EDIT".to_owned())],
    });
    listed.chain(definitions).collect()
}

/// Actions that must follow these edits.
fn expected(edits: &[Edit]) -> BTreeSet<String> {
    let mut strongest: BTreeMap<&str, usize> = BTreeMap::new();
    for action in edits.iter().flat_map(|edit| &edit.does) {
        let (kind, service) = action.split_once(' ').unwrap();
        let rank = STRONGEST_FIRST.iter().position(|other| *other == kind).unwrap();
        let known = strongest.entry(service).or_insert(rank);
        *known = rank.min(*known);
    }
    strongest.into_iter().map(|(service, rank)| format!("{} {service}", STRONGEST_FIRST[rank])).collect()
}

/// Files of the repository with these values. The late file does not exist before its first edit.
fn files(values: &BTreeMap<String, String>) -> BTreeMap<&'static str, String> {
    let filled = FILES.iter().map(|(path, text)| {
        let text = values
            .iter()
            .fold((*text).to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value));
        (*path, text)
    });
    filled.filter(|(path, _)| !path.ends_with("late.conf") || values["late"] != FIRST).collect()
}

fn write(bed: &Bed, files: &BTreeMap<&str, String>) {
    for (path, text) in files {
        match path.strip_suffix("/compose.yml") {
            Some(project) => bed.compose(project, text),
            None => bed.write(&format!("services/{path}"), text),
        };
    }
}

/// A sequence of numbers that is the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// Prints the current edits if the test fails.
struct Doing(String);

impl Drop for Doing {
    #[expect(clippy::print_stderr, reason = "it is read beside the panic")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

#[test]
fn any_edit_acts_on_the_services_that_read_the_file_and_on_no_other() {
    let seed: u64 = std::env::var("EDITS_SEED").map_or(20, |seed| seed.parse().unwrap());
    // No seed may be 0, and small ones should differ from the start.
    let mut random = Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut doing = Doing(format!("seed {seed}: the first deploy"));
    let bed = Bed::new("edits");
    bed.write("ghdeploy.yml", "health: {stable_for: 300ms, timeout: 90s}\n");
    let mut deck = edits();
    let mut values: BTreeMap<String, String> =
        deck.iter().map(|edit| (edit.name.clone(), FIRST.to_owned())).collect();
    let mut present = files(&values);
    write(&bed, &present);
    bed.remove_guarded("app/.env");
    bed.sync([]).exits(0);

    let mut shown = BTreeMap::new();
    for step in 1..=10 {
        let picked: Vec<Edit> =
            (0..=random.below(3)).map(|_| deck.swap_remove(random.below(deck.len()))).collect();
        // Sometimes longer, sometimes shorter, sometimes of the same length.
        let value = format!("edit{step}{}", "-and-more".repeat(random.below(3)));
        let names: Vec<&str> = picked.iter().map(|edit| edit.name.as_str()).collect();
        doing.0 = format!("seed {seed}, step {step}: {names:?} become {value}");
        for edit in &picked {
            values.insert(edit.name.clone(), value.clone());
            shown.extend(edit.shows.iter().cloned().map(|show| (show, value.clone())));
        }
        let before = std::mem::replace(&mut present, files(&values));
        write(&bed, &present);

        let change = bed.deploy();
        assert_eq!(BTreeSet::from_iter(change.actions), expected(&picked));
        let edited =
            present.iter().filter(|(path, text)| before.get(*path) != Some(text)).map(|(path, _)| {
                let word = if before.contains_key(path) { "modified" } else { "added" };
                format!("{word} services/{path}")
            });
        assert_eq!(BTreeSet::from_iter(change.files), edited.collect::<BTreeSet<_>>());
        for (service, command) in picked.iter().flat_map(|edit| &edit.shows) {
            bed.wait_for_output(service, command, &value);
        }
        let restarted: Vec<_> = bed.containers().into_iter().filter(|(_, seen)| seen.again != "0").collect();
        assert!(restarted.is_empty(), "Docker had to start these again: {restarted:?}");
    }
    doing.0 = format!("seed {seed}: after all edits");
    for ((service, command), value) in shown {
        bed.wait_for_output(&service, &command, &value);
    }
}
