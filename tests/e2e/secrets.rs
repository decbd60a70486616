//! Values of `.env` and of env files, at every place and with every error that they cause: no output has a
//! piece of one.
//!
//! `SECRETS_SEED` repeats a run.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bed::{Bed, chmod};
use crate::support::program::{self, Output};
use crate::support::random::Random;

/// Length of the pieces that are searched for.
const PIECE: usize = 5;

/// Uses of a value: a service, its `.env`, and an env file `e.env`. `@` is the value, `%` another one. `&b` is a
/// service that sleeps.
const CASES: &[(&str, &str, &str)] = &[
    ("web: {<<: *s}", "A=\"@\n", ""),
    ("web: {<<: *s}", "A='@ %\nB=2\n", ""),
    ("web: {<<: *s, environment: {A: '${A}'}}", "A=${@\n", ""),
    ("web: {<<: *s, environment: {A: '${A}'}}", "A=%${@!}\n", ""),
    ("web: {<<: *s, environment: {A: '${A}'}}", "A=%$@\n", ""),
    ("web: {<<: *s, environment: {A: '${A}'}}", "A=%$@ # $%\n", ""),
    ("web: {<<: *s}", "A!@=1\n", ""),
    ("web: {<<: *s}", "A @=%\n", ""),
    ("web: {<<: *s}", "A=1\n@ and %\n", ""),
    ("web: {<<: *s}", "A='-----BEGIN KEY-----\n@=\n%+/=\n", ""),
    ("web: {<<: *s, environment: {A: '${X:?set it to $A}'}}", "A=@\n", ""),
    ("web: {<<: *s, environment: {A: '${X?$A}'}}", "A=@\n", ""),
    ("web: {<<: *n, ports: ['${A}:80']}", "A=@\n", ""),
    ("web: {<<: *n, ports: ['${A}:99:80']}", "A=@\n", ""),
    ("web: {<<: *n, ports: ['99:80/${A}']}", "A=@\n", ""),
    ("web: {<<: *n, ports: [{target: '${A}'}]}", "A=@\n", ""),
    ("web: {<<: *n, ports: [{target: 80, published: '${A}'}]}", "A=@\n", ""),
    ("web: {<<: *n, ports: [{target: 80, published: '80', host_ip: '${A}'}]}", "A=@\n", ""),
    ("web: {<<: *s, healthcheck: {test: 'true', interval: '${A}'}}", "A=@\n", ""),
    ("web: {<<: *s, stop_grace_period: '${A}'}", "A=@\n", ""),
    ("web: {<<: *s, mem_limit: '${A}'}", "A=@\n", ""),
    ("web: {<<: *s, shm_size: '${A}'}", "A=@\n", ""),
    ("web: {<<: *s, privileged: '${A}'}", "A=@\n", ""),
    ("web: {<<: *s, cpus: '${A}'}", "A=@\n", ""),
    ("web: {<<: *s, scale: '${A}'}", "A=@\n", ""),
    ("web: {<<: *s, restart: '${A}'}", "A=@\n", ""),
    ("web: {<<: *s, pull_policy: '${A}'}", "A=@\n", ""),
    ("web: {<<: *s, platform: '${A}'}", "A=linux/@\n", ""),
    ("web: {<<: *s, runtime: '${A}'}", "A=@\n", ""),
    ("web: {<<: *s, user: '${A}'}", "A=@\n", ""),
    ("web: {<<: *s, working_dir: '${A}'}", "A=@\n", ""),
    ("web: {<<: *s, hostname: '${A}'}", "A=@_%!\n", ""),
    ("web: {<<: *s, container_name: '${A}'}", "A=@ %\n", ""),
    ("web: {<<: *s, cap_add: ['${A}']}", "A=@\n", ""),
    ("web: {<<: *s, security_opt: ['${A}']}", "A=@:%\n", ""),
    ("web: {<<: *s, devices: ['${A}']}", "A=/dev/@\n", ""),
    ("web: {<<: *s, sysctls: {'net.x': '${A}'}}", "A=@\n", ""),
    ("web: {<<: *s, ulimits: {nofile: '${A}'}}", "A=@\n", ""),
    ("web: {<<: *s, logging: {driver: '${A}'}}", "A=@\n", ""),
    ("web: {<<: *s, logging: {driver: json-file, options: {'${A}': '${A}', max-size: '${A}'}}}", "A=@\n", ""),
    ("web: {<<: *s, deploy: {resources: {limits: {memory: '${A}'}}}}", "A=@\n", ""),
    ("web: {<<: *s, volumes: ['${A}:/x']}", "A=@\n", ""),
    ("web: {<<: *s, volumes: ['${A}']}", "A=:@:x:%\n", ""),
    ("web: {<<: *s, volumes: ['/nowhere/${A}.conf:/x.conf']}", "A=@\n", ""),
    (
        "web: {<<: *s, volumes: [{type: bind, source: '/nowhere/${A}', target: /x, bind: {create_host_path: false}}]}",
        "A=@\n",
        "",
    ),
    ("web: {<<: *s, tmpfs: '/x:size=${A}'}", "A=@\n", ""),
    ("web: {<<: *s, volumes: [{type: tmpfs, target: /x, tmpfs: {size: '${A}'}}]}", "A=@\n", ""),
    ("web: {<<: *n, networks: ['${A}']}", "A=@\n", ""),
    ("web: {<<: *s, depends_on: ['${A}']}", "A=@\n", ""),
    ("web: {<<: *s, depends_on: {b: {condition: '${A}'}}}\n  b: {<<: *s}", "A=@\n", ""),
    ("web: {<<: *s, network_mode: '${A}'}", "A=service:@\n", ""),
    ("web: {<<: *s, network_mode: '${A}'}", "A=container:@\n", ""),
    ("web: {<<: *s, secrets: ['${A}']}", "A=@\n", ""),
    ("web: {<<: *s, configs: ['${A}']}", "A=@\n", ""),
    ("web: {<<: *s, extends: {service: '${A}'}}", "A=@\n", ""),
    ("web: {<<: *s, extends: {file: '${A}.yml', service: x}}", "A=@\n", ""),
    ("web: {<<: *n, extra_hosts: ['${A}']}", "A=@\n", ""),
    ("web: {<<: *n, dns: ['${A}']}", "A=@\n", ""),
    ("web: {<<: *s, labels: ['${A}'], annotations: ['${A}']}", "A==@\n", ""),
    ("web: {<<: *s, image: '${A}'}", "A=@ %\n", ""),
    ("web: {<<: *s, image: '127.0.0.1:1/x:${A}'}", "A=@\n", ""),
    ("web: {<<: *s, image: '127.0.0.1:1/x:${A}', pull_policy: never}", "A=@\n", ""),
    ("web: {<<: *s, build: {context: '${A}'}}", "A=@\n", ""),
    (
        "web: {<<: *s, build: {context: ., dockerfile_inline: \"FROM ghdeploy-test/busybox:1\\nARG A\\nRUN cat $$A\", args: {A: '${A}'}}}",
        "A=@\n",
        "",
    ),
    ("web: {<<: *s, command: ['${A}']}", "A=@\n", ""),
    ("web: {<<: *s, entrypoint: ['${A}']}", "A=/@/%\n", ""),
    (
        "web: {<<: *s, healthcheck: {test: ['CMD', 'test', '-e', '${A}'], interval: 1s, retries: 1}}",
        "A=@\n",
        "",
    ),
    ("web: {<<: *s, command: [sh, -c, 'exit 3', '${A}']}", "A=@\n", ""),
    ("web: {<<: *s, x-ghdeploy: {health: {timeout: '${A}'}}}", "A=@\n", ""),
    ("web: {<<: *s, x-ghdeploy: {on-change: '${A}', paths: {x: '${A}'}}}", "A=@\n", ""),
    ("web: {<<: *s, env_file: ['${A}']}", "A=@\n", ""),
    ("web: {<<: *s, env_file: [e.env]}", "", "B=\"@\n"),
    ("web: {<<: *s, env_file: [e.env]}", "", "B @=%\n"),
    ("web: {<<: *s, env_file: [e.env]}", "", "B=${@\n"),
    ("web: {<<: *s, env_file: [e.env]}", "", "B=%$@\n"),
    ("web: {<<: *s, env_file: [e.env]}", "", "@\n!%=1\n"),
    ("web: {<<: *n}\nnetworks: {default: {external: true, name: '${A}'}}", "A=@\n", ""),
    ("web: {<<: *n}\nnetworks: {default: {driver: '${A}'}}", "A=@\n", ""),
    ("web: {<<: *n}\nnetworks: {default: {ipam: {config: [{subnet: '${A}'}]}}}", "A=@\n", ""),
    ("web: {<<: *s, volumes: ['v:/v']}\nvolumes: {v: {external: true, name: '${A}'}}", "A=@\n", ""),
    ("web: {<<: *s, volumes: ['v:/v']}\nvolumes: {v: {driver: '${A}'}}", "A=@\n", ""),
    (
        "web: {<<: *s, volumes: ['v:/v']}\nvolumes: {v: {driver_opts: {type: cifs, device: '//127.0.0.1/x', o: 'username=u,password=${A}'}}}",
        "A=@\n",
        "",
    ),
    ("web: {<<: *s, secrets: [k]}\nsecrets: {k: {file: '/nowhere/${A}'}}", "A=@\n", ""),
    ("web: {<<: *s}\nname: '${A}'", "A=@!\n", ""),
    ("web: {<<: *s}\ninclude: ['${A}.yml']", "A=@\n", ""),
    ("web: {<<: *s}", "COMPOSE_PROJECT_NAME=@!\n", ""),
    ("web: {<<: *s}", "COMPOSE_PROFILES=@,$%\n", ""),
];

/// A value: no piece of it is in a text by accident, because each third character is a digit, a small and a
/// capital letter in turn, none of them a hex digit.
fn value(random: &mut Random) -> String {
    let classes: [&[u8]; 3] = [b"GHJKLMNPQRSTUVWXYZ", b"ghjkmnpqrstuvwxyz", b"23456789"];
    let start = random.below(3);
    (0..14).map(|at| char::from(*random.pick(classes[(start + at) % 3]).unwrap())).collect()
}

/// The number of a case whose value has a piece in a text, and the line.
fn leaks(text: &str, values: &[(usize, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (case, value) in values {
        let pieces = (0..=value.len() - PIECE).map(|at| &value[at..at + PIECE]);
        // Compose's names of projects are in small letters.
        let is_in = |line: &str| {
            let small = line.to_lowercase();
            pieces.clone().any(|piece| line.contains(piece) || small.contains(&piece.to_lowercase()))
        };
        if let Some(line) = text.lines().find(|line| is_in(line)) {
            let (service, env, file) = CASES[*case];
            found.push(format!("case {case} {service:?} {env:?} {file:?}: {line}"));
        }
    }
    found
}

struct Cases {
    bed: Bed,
    seed: u64,
    values: Vec<(usize, String)>,
}

impl Cases {
    /// A project for each case; the values are on the host, or in the tree.
    fn new(test: &str, is_on_host: bool) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let seed = std::env::var("SECRETS_SEED").map_or(now, |seed| seed.parse().unwrap());
        let mut random = Random::new(seed);
        let bed = Bed::new(test);
        bed.write("ghdeploy.yml", "health: {stable_for: 0s, timeout: 3s, log_lines: 0}\n");
        let mut values = Vec::new();
        for (case, (service, env, file)) in CASES.iter().enumerate() {
            // The folder of a build is a result of a plan: the workflow builds there.
            if !is_on_host && service.contains("context: '${A}'") {
                continue;
            }
            let [first, second] = [value(&mut random), value(&mut random)];
            let sleeps = "x-n: &n {image: 'ghdeploy-test/busybox:1', command: sleep 100000, stop_signal: SIGKILL}\nx-s: &s {<<: *n, network_mode: none}";
            let name = if service.contains("\nname:") {
                String::new()
            } else {
                format!("name: {}-c{case}\n", bed.id)
            };
            bed.write(
                &format!("services/c{case}/compose.yml"),
                format!("{name}{sleeps}\nservices:\n  {service}\n"),
            );
            for (name, content) in [(".env", env), ("e.env", file)] {
                if content.is_empty() {
                    continue;
                }
                let content = content.replace('@', &first).replace('%', &second);
                let path = if is_on_host {
                    bed.root(&format!("c{case}"))
                } else {
                    bed.repo(&format!("services/c{case}"))
                };
                std::fs::create_dir_all(&path).unwrap();
                std::fs::write(path.join(name), content).unwrap();
            }
            values.extend([(case, first), (case, second)]);
        }
        bed.commit();
        Self { bed, seed, values }
    }

    /// Runs a command and searches what it prints and writes.
    fn run(&self, args: &[&str]) -> Output {
        let results: Vec<PathBuf> = ["summary", "outputs"].map(|name| self.bed.path(name)).to_vec();
        let mut command = self.bed.call([]).command();
        command.args(args).env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &results[0]);
        command.env("GITHUB_OUTPUT", &results[1]);
        let output = program::run(&mut command);
        let mut text = output.all();
        for path in results {
            text += &std::fs::read_to_string(path).unwrap_or_default();
        }
        self.is_free_of_values(&format!("{args:?}"), &text);
        output
    }

    fn is_free_of_values(&self, what: &str, text: &str) {
        let leaks = leaks(text, &self.values);
        assert!(leaks.is_empty(), "SECRETS_SEED={} {what}: {leaks:#?}", self.seed);
    }
}

#[test]
fn values_of_the_host_are_in_no_output() {
    let cases = Cases::new("secrets", true);
    cases.run(&["check"]);
    cases.run(&["-vv", "sync", "--dry-run", "--format", "json"]);
    let failed = cases.run(&["-vv", "sync", "--format", "json"]);
    let blocked = failed.json()["hosts"][0]["projects"]
        .as_array()
        .map_or(0, |projects| projects.iter().filter(|project| project["result"] != "done").count());
    assert!(blocked > CASES.len() / 2, "{blocked} of {} cases fail: {}", CASES.len(), failed.all());
    // The same messages in other forms.
    for format in ["text", "markdown"] {
        cases.run(&["-vv", "sync", "--project", "c[1-4]*", "--format", format]);
    }
    for command in ["status", "diff", "doctor", "history"] {
        for format in ["text", "json", "markdown"] {
            cases.run(&[command, "--format", format, "-vv"]);
        }
    }
    for record in ["state.json", "history.jsonl"] {
        cases.is_free_of_values(record, &cases.bed.on_host(&format!(".ghdeploy/{record}")));
    }
}

#[test]
fn values_of_the_tree_are_in_no_message() {
    let cases = Cases::new("treesecrets", false);
    for command in [&["check"][..], &["plan", "--base", "none"], &["-vv", "sync", "--dry-run"]] {
        for format in ["text", "json", "markdown"] {
            cases.run(&[command, &["--format", format]].concat());
        }
    }
}

#[test]
fn a_file_that_only_its_owner_may_read_on_the_host_is_not_shown() {
    let bed = Bed::new("ownerdiff");
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./conf:/conf:ro']}");
    bed.write("services/app/conf/a.txt", "public\n").write("services/app/conf/b.txt", "public\n");
    bed.deploy();
    for (name, mode) in [("a", 0o600), ("b", 0o640)] {
        let path = bed.root(&format!("app/conf/{name}.txt"));
        std::fs::write(&path, format!("hunter-{name}\n")).unwrap();
        chmod(path, mode);
    }
    let shown = bed.call(["diff"]).run().exits(0);
    shown.prints("not shown: it may hold secrets").prints("hunter-b").never_prints("hunter-a");
}
