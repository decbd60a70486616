//! A clone of this repository with an origin. GitHub, and what would compile for minutes, are small programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{TOP, program, read};

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) const TARGETS: [&str; 4] = [
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
];

/// Answers with what the test has put beside it, and notes what would change something.
pub(crate) const GH: &str = r#"#!/bin/sh
lab=$(dirname "$(dirname "$0")")
case "$1 $2" in
  'api '*) echo "$2" >"$lab/asked"; cat "$lab/runs.json" ;;
  'release view') cat "$lab/release.json" 2>/dev/null || exit 1 ;;
  'release create') shift 2; echo "release create $*" >>"$lab/done"
    for file; do case $file in *.tar.gz|*.json|SHA256SUMS|*.md) cp "$file" "$lab/assets" ;; esac; done ;;
  *) echo "$*" >>"$lab/done" ;;
esac
"#;

/// Compiles in no time, and notes that it did; everything else is cargo's own.
const CARGO: &str = r#"#!/bin/sh
case $1 in
  build)
    echo "$*" >>"$(dirname "$(dirname "$0")")/compiled"
    target='' dir=$CARGO_TARGET_DIR
    while [ $# -gt 0 ]; do
      case $1 in --target) target=$2 ;; --target-dir) dir=$2 ;; esac
      shift
    done
    mkdir -p "$dir/$target/release"
    printf '#!/bin/sh\necho "ghdeploy for %s"\n' "$target" >"$dir/$target/release/ghdeploy"
    chmod 755 "$dir/$target/release/ghdeploy" ;;
  *) exec "$REAL_CARGO" "$@" ;;
esac
"#;

/// Replaces actions of GitHub, whose servers are a folder of the test: their inputs, and what they do. An input is
/// a variable.
const ACTIONS: [(&str, &[&str], &str); 5] = [
    (
        "actions/upload-artifact",
        &["name", "path", "if-no-files-found"],
        "mkdir \"$STORE/$NAME\" && cp $FILES \"$STORE/$NAME\"",
    ),
    (
        "actions/download-artifact",
        &["name", "path", "pattern", "merge-multiple"],
        "mkdir -p \"$FILES\" && cp \"$STORE\"/${PATTERN:-$NAME}/* \"$FILES\"",
    ),
    (
        "actions/attest",
        &["subject-path", "sbom-path"],
        "for file in $SUBJECT; do echo \"${file##*/} ${SBOM##*/}\" >>\"$STORE/attested\"; done; test -z \"$SBOM\" || test -s \"$SBOM\"",
    ),
    (
        "actions/cache/restore",
        &["path", "key"],
        "if [ -e \"$STORE/$KEY\" ]; then mkdir -p \"$FILES\" && cp \"$STORE/$KEY\"/* \"$FILES\"; fi",
    ),
    ("actions/cache/save", &["path", "key"], "cp -r \"$FILES\" \"$STORE/$KEY\""),
];

/// A clone of this repository with a changelog for its version, on main, and pushed.
pub(crate) struct Lab(TempDir);

impl Lab {
    pub(crate) fn new() -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        let top = lab.path("repo");
        fs::create_dir_all(lab.path("assets")).unwrap();
        for entry in [
            ".cargo",
            ".github",
            "CHANGELOG.md",
            "Cargo.lock",
            "Cargo.toml",
            "LICENSE-APACHE",
            "LICENSE-MIT",
            "README.md",
            "action.yml",
            "src",
        ] {
            fs::create_dir_all(&top).unwrap();
            let copied = Command::new("cp").arg("-r").arg(Path::new(TOP).join(entry)).arg(&top).status();
            assert!(copied.unwrap().success());
        }
        let changes = read("CHANGELOG.md");
        let heading = format!("## {VERSION}");
        if !changes.lines().any(|line| line == heading) {
            lab.write("CHANGELOG.md", &changes.replace("## Unreleased", &heading));
        }
        lab.git(&["init", "-q", "-b", "main"]);
        lab.git(&["init", "-q", "--bare", "-b", "main", &lab.path("origin").display().to_string()]);
        lab.git(&["remote", "add", "origin", &lab.path("origin").display().to_string()]);
        program(lab.path("bin/gh"), GH);
        program(lab.path("bin/cargo"), CARGO);
        for tool in ["rustup", "musl-gcc"] {
            program(lab.path(&format!("bin/{tool}")), "#!/bin/sh\n");
        }
        lab.commit();
        lab.ci(&[("completed", "success")]);
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path("repo").join(name), text).unwrap();
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path("repo").join(name)).unwrap()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.current_dir(self.path("repo")).args(["-c", "user.name=ann", "-c", "user.email=ann@example.com"]);
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let output = git.args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits everything and pushes it.
    pub(crate) fn commit(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", "x", "--allow-empty"]);
        self.git(&["push", "-q", "origin", "main"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs of CI at the current commit, oldest first: status and conclusion.
    pub(crate) fn ci(&self, runs: &[(&str, &str)]) {
        let head = self.git(&["rev-parse", "HEAD"]);
        let runs = runs.iter().enumerate().map(|(number, (status, conclusion))| {
            json!({"run_number": number, "head_sha": head, "event": "push", "status": status, "conclusion": conclusion})
        });
        // GitHub lists the newest first.
        let runs: Vec<Value> = runs.rev().collect();
        self.answer(&json!({"workflow_runs": runs}));
    }

    pub(crate) fn answer(&self, runs: &Value) {
        fs::write(self.path("runs.json"), runs.to_string()).unwrap();
    }

    /// A script of the repository.
    pub(crate) fn command(&self, script: &str, arguments: &[&str]) -> Command {
        self.program(&self.path("repo").join(script).display().to_string(), arguments)
    }

    pub(crate) fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let home = std::env::var_os("HOME").unwrap_or_default();
        command
            .args(arguments)
            .current_dir(self.path("repo"))
            .env_clear()
            .env("PATH", path)
            .env("HOME", &home);
        for name in ["CARGO_HOME", "RUSTUP_HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("CARGO_TARGET_DIR", self.path("target")).env("REAL_CARGO", env!("CARGO"));
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for name in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{name}_NAME"), "ann")
                .env(format!("GIT_{name}_EMAIL"), "ann@example.com");
        }
        command
    }

    pub(crate) fn release(&self, arguments: &[&str]) -> Output {
        self.command(".github/release.sh", arguments).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn passes(&self, arguments: &[&str]) -> String {
        let output = self.release(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", all(&output));
        all(&output)
    }

    /// Asserts that the script refuses for this reason.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &[&str], reason: &str) {
        let output = self.release(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", all(&output));
        assert!(all(&output).contains(reason), "{}", all(&output));
    }

    /// Builds the archives of all targets the way the workflow does, and assembles them.
    pub(crate) fn assembled(&self) -> String {
        let _ = fs::remove_dir_all(self.path("out"));
        let out = self.path("out").display().to_string();
        for target in TARGETS {
            let output = self.command(".github/action/archive.sh", &[target, &out]).output().unwrap();
            assert!(output.status.success(), "{}", all(&output));
        }
        self.passes(&["assemble", &out]);
        out
    }

    /// Tags at the origin, with their commits.
    pub(crate) fn tags(&self) -> Vec<(String, String)> {
        let tags = self.git(&["ls-remote", "--tags", "origin"]);
        let tags = tags.lines().map(|line| line.split_once('\t').unwrap());
        tags.map(|(commit, name)| (name.trim_start_matches("refs/tags/").to_owned(), commit.to_owned()))
            .collect()
    }

    pub(crate) fn done(&self) -> Vec<String> {
        let done = fs::read_to_string(self.path("done")).unwrap_or_default();
        done.lines().map(|line| line.split(" --").next().unwrap().to_owned()).collect()
    }

    /// Runs a workflow by `act`, without Docker. The tool cache of its runner is below `act`.
    pub(crate) fn act(&self, event: &str, workflow: &str, payload: &Value) -> Command {
        let file = self.path("event.json");
        fs::write(&file, payload.to_string()).unwrap();
        let mut act = self.program("act", &[event, "-W", &format!(".github/workflows/{workflow}")]);
        act.args(["--no-cache-server", "--eventpath"]).arg(file).args(["--defaultbranch", "main"]);
        for runner in ["ubuntu-24.04", "ubuntu-24.04-arm", "macos-15"] {
            act.args(["--platform", &format!("{runner}=-self-hosted")]);
        }
        act.env("XDG_CACHE_HOME", self.path("act")).env("GITHUB_TOKEN", "ghs_x");
        act.args(["--secret", "GITHUB_TOKEN"]);
        for name in ["CARGO_TARGET_DIR", "REAL_CARGO", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"] {
            let value = act.get_envs().find(|(variable, _)| *variable == name).unwrap().1.unwrap().to_owned();
            act.arg("--env").arg(format!("{name}={}", value.to_str().unwrap()));
        }
        let store = self.path("store");
        fs::create_dir_all(&store).unwrap();
        let uses = read(".github/workflows/release.yml") + &read("action.yml");
        for (action, inputs, does) in ACTIONS {
            let (_, rest) = uses.split_once(&format!("uses: {action}@")).unwrap();
            let commit = rest.split(' ').next().unwrap();
            let dir = self.path(action);
            fs::create_dir_all(&dir).unwrap();
            let declared: String =
                inputs.iter().map(|input| format!("  {input}: {{required: false}}\n")).collect();
            let variables = [("NAME", "name"), ("FILES", "path"), ("PATTERN", "pattern"), ("KEY", "key")];
            let variables = variables.into_iter().chain([("SUBJECT", "subject-path"), ("SBOM", "sbom-path")]);
            let variables: String = variables
                .map(|(name, input)| format!("        {name}: ${{{{ inputs.{input} }}}}\n"))
                .collect();
            let text = format!(
                "name: x\ndescription: x\ninputs:\n{declared}runs:\n  using: composite\n  steps:\n    - shell: sh\n      env:\n        STORE: '{}'\n{variables}      run: '{does}'\n",
                store.display()
            );
            fs::write(dir.join("action.yml"), text).unwrap();
            let repository = action.split('/').take(2).collect::<Vec<_>>().join("/");
            let top = self.path(&repository);
            act.arg("--local-repository").arg(format!("{repository}@{commit}={}", top.display()));
        }
        act
    }
}

pub(crate) fn all(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}
