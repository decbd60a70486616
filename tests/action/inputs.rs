//! How inputs reach the program, and which outputs it has.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_yaml::Value;
use tempfile::TempDir;

use crate::{TOP, files, program, read};

/// Shells that may be `/bin/sh` on a runner. In mksh, a here-document is a temporary file, as in older bash, and
/// printf is another program.
const SHELLS: [&[&str]; 4] = [&["dash"], &["bash", "--posix"], &["busybox", "sh"], &["mksh"]];

const KEY: &str = "-----BEGIN KEY-----\n%s \\n \"$HOME\" `id`\n-----END KEY-----";

/// A runner on which ghdeploy is a script.
struct Runner(TempDir);

impl Runner {
    /// `does` is what ghdeploy does.
    fn new(does: &str) -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        program(this.path("ghdeploy"), &format!("#!/bin/sh\n{does}\n"));
        // No other program may get the key as an argument.
        program(this.path("bin/printf"), "#!/bin/sh\necho 'printf as a program' >&2\nexit 1\n");
        fs::create_dir(this.path("temp")).unwrap();
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, shell: &[&str], inputs: &[(&str, &str)]) -> Output {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(format!("{TOP}/.github/action/run.sh")).current_dir(self.path("temp"));
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.env_clear().env("PATH", path).env("BINARY", self.path("ghdeploy"));
        command.env("RUNNER_TEMP", self.path("temp")).env("TMPDIR", self.path("temp"));
        command.env("GITHUB_OUTPUT", self.path("output")).envs(inputs.iter().copied());
        command.output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_key_is_on_no_disk_and_in_no_environment_under_any_shell() {
    for shell in SHELLS {
        let runner = Runner::new("stat -L -c %F /proc/self/fd/0; cat; env | grep -c BEGIN; ls -A");
        let output = runner.run(shell, &[("COMMAND", "sync"), ("SSH_KEY", KEY)]);
        assert_eq!(text(&output.stdout), format!("fifo\n{KEY}\n0\n"), "{shell:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{shell:?}");
    }
}

#[test]
fn without_named_pipes_the_key_is_a_variable_of_the_program_alone() {
    let runner = Runner::new("stat -L -c %F /proc/self/fd/0; printf '%s' \"$GHDEPLOY_SSH_KEY\"");
    program(runner.path("bin/mkfifo"), "#!/bin/sh\necho no >&2\nexit 1\n");
    let output = runner.run(&["dash"], &[("COMMAND", "sync"), ("SSH_KEY", KEY)]);
    let wanted = format!("character special file\n{KEY}");
    assert_eq!((text(&output.stdout), text(&output.stderr)), (wanted.clone(), String::new()));
    assert_eq!(fs::read_dir(runner.path("temp")).unwrap().count(), 0);
    // Nor a folder of the job.
    let inputs = [("COMMAND", "sync"), ("SSH_KEY", KEY), ("RUNNER_TEMP", "/nowhere")];
    assert_eq!(text(&runner.run(&["dash"], &inputs).stdout), wanted);
}

#[test]
fn no_script_that_handles_secrets_has_a_here_document() {
    let scripts = [files(".github/action"), files("src/host/driver")].concat();
    for path in scripts.iter().filter(|path| path.ends_with(".sh")) {
        assert!(!read(path).contains("<<"), "{path} has a here-document");
    }
    for path in [files(".github/workflows"), vec!["action.yml".to_owned()]].concat() {
        for script in scripts_of(&serde_yaml::from_str(&read(&path)).unwrap()) {
            assert!(!script.contains("<<"), "{path} has a here-document: {script}");
        }
    }
}

/// The texts below `run:`.
fn scripts_of(value: &Value) -> Vec<String> {
    match value {
        Value::Mapping(map) => map
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value.as_str()) {
                (Some("run"), Some(script)) => vec![script.to_owned()],
                _ => scripts_of(value),
            })
            .collect(),
        Value::Sequence(list) => list.iter().flat_map(scripts_of).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn scripts_of_the_workflows_contain_no_expression() {
    for path in [files(".github/workflows"), vec!["action.yml".to_owned()]].concat() {
        for script in scripts_of(&serde_yaml::from_str(&read(&path)).unwrap()) {
            assert!(!script.contains("${{"), "{path}: {script}");
        }
    }
}

#[test]
fn an_input_is_one_value_whatever_is_in_it() {
    let hostile = "test [12] (a, \"b\")\n* $(touch owned) `touch owned`; touch owned\n--force\\";
    for shell in SHELLS {
        let runner = Runner::new("echo \"$#\"; printf '%s' \"$GHDEPLOY_CHECK|$GHDEPLOY_BASE\"; ls");
        let inputs = [("COMMAND", "gate"), ("INPUT_CHECK", hostile), ("INPUT_BASE", "-x y")];
        let output = runner.run(shell, &inputs);
        assert_eq!(text(&output.stdout), format!("1\n{hostile}|-x y"), "{shell:?}: {}", text(&output.stderr));
    }
}

#[test]
fn an_input_that_is_not_given_leaves_the_variable_of_the_job() {
    let runner = Runner::new("echo \"$GHDEPLOY_PRUNE $GHDEPLOY_FORCE\"");
    let inputs = [
        ("COMMAND", "sync"),
        ("INPUT_PRUNE", ""),
        ("GHDEPLOY_PRUNE", "true"),
        ("INPUT_FORCE", "false"),
        ("GHDEPLOY_FORCE", "true"),
    ];
    assert_eq!(text(&runner.run(&["dash"], &inputs).stdout), "true false\n");
}

#[test]
fn an_input_of_another_command_is_refused() {
    let runner = Runner::new("echo ran");
    let output = runner.run(&["dash"], &[("COMMAND", "rollback"), ("INPUT_FORCE", "true")]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stdout),
        "::error::the input `force` has no effect on this command, only on: sync\n"
    );
    assert_eq!(fs::read_to_string(runner.path("output")).unwrap(), "result=invalid\n");
    let output = runner.run(&["dash"], &[("COMMAND", "rollback"), ("INPUT_FORCE", "false")]);
    assert_eq!(text(&output.stdout), "ran\n");
}

fn action() -> Value {
    serde_yaml::from_str(&read("action.yml")).unwrap()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_mapping().unwrap().keys().map(|key| key.as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_input_belongs_to_the_commands_that_have_its_option() {
    let script = read(".github/action/run.sh");
    let options = script.lines().filter_map(|line| line.strip_prefix("option "));
    let mut passed = BTreeSet::new();
    for option in options {
        let words: Vec<&str> = option.split(' ').collect();
        let [name, variable, commands @ ..] = words.as_slice() else { panic!("{option}") };
        assert_eq!(*variable, name.to_uppercase());
        let inputs = read("action.yml");
        assert!(inputs.contains(&format!("INPUT_{variable}: ${{{{ inputs.{name} }}}}")), "{name}");
        let has_it = all_commands().into_iter().filter(|command| {
            let help = help(&[command, "--help"]);
            help.split(|letter: char| letter.is_whitespace() || letter == ',')
                .any(|word| word == format!("--{name}"))
        });
        let has_it: BTreeSet<String> = has_it.collect();
        assert_eq!(has_it, commands.iter().map(|command| (*command).to_owned()).collect(), "--{name}");
        passed.insert((*name).to_owned());
    }
    assert!(passed.len() >= 7 && passed.is_subset(&keys(&action()["inputs"])), "{passed:?}");
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ghdeploy")).args(arguments).output().unwrap();
    text(&output.stdout)
}

fn all_commands() -> Vec<String> {
    let help = help(&["--help"]);
    let rows = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    // A line that is indented further goes on with the one before it.
    let rows = rows.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    let names = rows.filter_map(|line| line.split_whitespace().next());
    let names: Vec<String> = names.filter(|name| *name != "help").map(str::to_owned).collect();
    assert!(names.len() > 10, "{names:?}");
    names
}

#[test]
fn each_output_of_the_program_is_an_output_of_the_action() {
    let source = read("src/cli/publish.rs");
    let named = source.split("Output { name: \"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let documents = source.split("fn document(").nth(1).unwrap().split("    }\n    }\n").next().unwrap();
    let documents = documents.split("=> \"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let written: BTreeSet<String> = named.chain(documents).map(str::to_owned).collect();
    let declared = keys(&action()["outputs"]);
    assert_eq!(written, declared);
    for name in declared {
        let value = action()["outputs"][name.as_str()]["value"].clone();
        // `result` and `gate` go on: a step that was killed has written nothing.
        assert!(value.as_str().unwrap().starts_with(&format!("${{{{ steps.run.outputs.{name} ")));
    }
}

#[test]
fn the_readme_says_which_permissions_each_command_needs() {
    let readme = read("README.md");
    let rows = readme.lines().skip_while(|line| *line != "| command | permissions |").skip(2);
    let rows =
        rows.take_while(|line| line.starts_with('|')).map(|row| row.split('|').nth(1).unwrap().to_owned());
    let named: BTreeSet<String> = rows
        .flat_map(|cell| {
            cell.split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(named, all_commands().into_iter().collect());
}

#[test]
fn callers_in_the_readme_grant_what_the_called_workflows_ask_for() {
    for name in ["build", "deploy", "plan"] {
        let readme = read("README.md");
        let call = readme.split(&format!("/.github/workflows/{name}.yml@")).nth(1).unwrap();
        let line = call.lines().find_map(|line| line.trim().strip_prefix("permissions: ")).unwrap();
        let granted: Value = serde_yaml::from_str(line).unwrap();
        let called: Value = serde_yaml::from_str(&read(&format!(".github/workflows/{name}.yml"))).unwrap();
        let mut asked = BTreeSet::new();
        for (job, text) in called["jobs"].as_mapping().unwrap() {
            for (permission, level) in text["permissions"].as_mapping().unwrap() {
                asked.insert(permission.as_str().unwrap().to_owned());
                let has = granted[permission].as_str().unwrap_or("none");
                assert!(
                    has == "write" || has == level.as_str().unwrap(),
                    "{name}: {job:?} asks for {permission:?}"
                );
            }
        }
        assert_eq!(keys(&granted), asked, "{name}: nobody asks for the rest");
    }
}
