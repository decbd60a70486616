//! The binary of the action: given, released, or built.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const TOP: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The action as a runner has it, and a server of releases.
struct Action(TempDir);

impl Action {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        for file in ["action.yml", ".github/action", "Cargo.toml", "Cargo.lock", "src"] {
            let to = this.path("action").join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            assert!(
                Command::new("cp")
                    .arg("-r")
                    .arg(Path::new(TOP).join(file))
                    .arg(to)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        fs::create_dir(this.path("temp")).unwrap();
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Publishes a release with a program that prints `words`, and returns its digest.
    fn release(&self, words: &str) -> String {
        let dir = self.path("releases").join(format!("v{VERSION}"));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("ghdeploy"), format!("#!/bin/sh\necho {words}\n")).unwrap();
        fs::set_permissions(dir.join("ghdeploy"), fs::Permissions::from_mode(0o755)).unwrap();
        let archive = dir.join(self.archive());
        let made = Command::new("tar").arg("-C").arg(&dir).arg("-czf").arg(&archive).arg("ghdeploy").status();
        assert!(made.unwrap().success());
        Sha256::digest(fs::read(archive).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn archive(&self) -> String {
        format!("ghdeploy-{VERSION}-{}-unknown-linux-musl.tar.gz", std::env::consts::ARCH)
    }

    /// Adds a digest to those that the action trusts.
    fn trust(&self, digest: &str) {
        let table = self.path("action/.github/action/sha256sums");
        let lines = fs::read_to_string(&table).unwrap();
        fs::write(table, format!("{lines}{digest}  {}\n", self.archive())).unwrap();
    }

    fn get(&self, shell: &[&str], variables: &[(&str, &str)]) -> Output {
        self.get_of(&self.path("action"), shell, variables)
    }

    /// [`Action::get`] with the action in another folder.
    fn get_of(&self, action: &Path, shell: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(action.join(".github/action/get.sh")).current_dir(self.path("temp"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("RUNNER_TEMP", self.path("temp"));
        command.env("HOME", std::env::var_os("HOME").unwrap_or_default());
        command.env("RUNNER_TOOL_CACHE", self.path("cache")).env("GITHUB_OUTPUT", self.path("output"));
        command.env("GHDEPLOY_RELEASES", format!("file://{}", self.path("releases").display()));
        command.envs(variables.iter().copied());
        let _ = fs::remove_file(self.path("output"));
        command.output().unwrap()
    }

    /// Version that the binary prints that the action found.
    fn found(&self) -> String {
        let output = fs::read_to_string(self.path("output")).unwrap();
        let binary = output.strip_prefix("binary=").unwrap().trim_end();
        String::from_utf8(Command::new(binary).arg("--version").output().unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    }
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

#[test]
fn a_release_is_downloaded_once_and_runs_only_with_the_known_digest() {
    for shell in [&["dash"][..], &["bash"], &["busybox", "sh"]] {
        let action = Action::new();
        let good = action.release("good");
        action.trust(&good);
        let output = action.get(shell, &[]);
        assert!(output.status.success(), "{shell:?}: {}", printed(&output));
        assert_eq!(action.found(), "good");
        // The second time nothing is downloaded.
        fs::remove_dir_all(action.path("releases")).unwrap();
        let output = action.get(shell, &[]);
        assert!(output.status.success() && !printed(&output).contains("downloading"), "{}", printed(&output));
        assert_eq!(action.found(), "good");
        // The server has another file in its place.
        fs::remove_dir_all(action.path("cache")).unwrap();
        assert_ne!(action.release("evil"), good);
        let output = action.get(shell, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(printed(&output).contains("was released with: it was not run"), "{}", printed(&output));
        assert!(!action.path("output").exists());
        // It is not kept.
        let left = walkdir::WalkDir::new(action.path("cache"))
            .into_iter()
            .flatten()
            .filter(|entry| entry.file_type().is_file());
        assert_eq!(left.count(), 0);
        fs::remove_dir_all(action.path("releases")).unwrap();
        let output = action.get(shell, &[]);
        assert!(
            printed(&output).contains("::error::cannot download release ") && output.status.code() == Some(1),
            "{}",
            printed(&output)
        );
    }
}

#[test]
fn a_given_binary_is_used_and_a_missing_one_is_reported() {
    let action = Action::new();
    action.trust(&"0".repeat(64));
    for given in [env!("CARGO_BIN_EXE_ghdeploy"), "mine"] {
        let bin = action.path("bin");
        fs::create_dir_all(&bin).unwrap();
        let _ = symlink(env!("CARGO_BIN_EXE_ghdeploy"), bin.join("mine"));
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let output = action.get(&["sh"], &[("GHDEPLOY_BINARY", given), ("PATH", &path)]);
        assert!(output.status.success(), "{}", printed(&output));
        assert_eq!(action.found(), format!("ghdeploy {VERSION}"));
    }
    let output = action.get(&["sh"], &[("GHDEPLOY_BINARY", "/nowhere/ghdeploy")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("::error::GHDEPLOY_BINARY names no program: /nowhere/ghdeploy"));
}

#[test]
fn without_a_release_the_action_builds_its_own_sources() {
    let action = Action::new();
    // The target directory is kept for the next time, and the optimiser is off: a real build takes minutes.
    let target = Path::new(TOP).join("target");
    fs::create_dir_all(&target).unwrap();
    fs::create_dir_all(action.path("cache/ghdeploy")).unwrap();
    symlink(target, action.path("cache/ghdeploy/target")).unwrap();
    let output = action.get_of(Path::new(TOP), &["sh"], &[("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")]);
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(action.found(), format!("ghdeploy {VERSION}"));
    assert!(printed(&output).contains("(built from the action's sources)"));
    // The same sources are not built again, wherever they are. Without cargo and without a binary there is an
    // error.
    let output = action.get(&["sh"], &[]);
    assert!(output.status.success() && !printed(&output).contains("building"), "{}", printed(&output));
    let bin = action.path("bin");
    fs::create_dir_all(&bin).unwrap();
    for tool in ["sh", "dirname", "sed", "head", "uname", "mkdir", "find", "sort", "sha256sum", "cut", "cat"]
    {
        let found = Command::new("sh").args(["-c", "command -v \"$0\"", tool]).output().unwrap();
        symlink(String::from_utf8(found.stdout).unwrap().trim(), bin.join(tool)).unwrap();
    }
    fs::remove_dir_all(action.path("cache")).unwrap();
    let output = action.get(&["sh"], &[("PATH", &bin.display().to_string())]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        printed(&output).contains("cargo is not installed: install Rust, or set GHDEPLOY_BINARY"),
        "{}",
        printed(&output)
    );
}
