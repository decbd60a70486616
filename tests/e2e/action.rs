//! The binary of the action: given, released, or built.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::bed::{privileged, stdout_of};

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

    /// A folder with these programs, each a script of `sh`, before all others on PATH.
    fn with_programs(&self, programs: &[(&str, &str)]) -> String {
        let bin = self.programs("programs", programs);
        format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
    }

    /// A folder with these programs and a few of this machine's.
    fn with_few_programs(&self, programs: &[(&str, &str)]) -> String {
        let bin = self.programs("few", programs);
        for tool in FEW {
            let found = Command::new("sh").args(["-c", "command -v \"$0\"", tool]).output().unwrap();
            symlink(String::from_utf8(found.stdout).unwrap().trim(), bin.join(tool)).unwrap();
        }
        bin.display().to_string()
    }

    fn programs(&self, folder: &str, programs: &[(&str, &str)]) -> PathBuf {
        let bin = self.path(folder);
        let _ = fs::remove_dir_all(&bin);
        fs::create_dir(&bin).unwrap();
        for (name, does) in programs {
            fs::write(bin.join(name), format!("#!/bin/sh\n{does}\n")).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        bin
    }

    /// The only file of the tool cache with this name.
    fn cached(&self, name: &str) -> PathBuf {
        let all = walkdir::WalkDir::new(self.path("cache/ghdeploy")).into_iter().flatten();
        let is_it = |entry: &walkdir::DirEntry| {
            entry.file_type().is_file()
                && entry.file_name() == name
                && !entry.path().components().any(|part| part.as_os_str() == "target")
        };
        let found: Vec<PathBuf> = all.filter(is_it).map(walkdir::DirEntry::into_path).collect();
        <[PathBuf; 1]>::try_from(found).unwrap()[0].clone()
    }

    /// Version that the binary prints that the action found.
    fn found(&self) -> String {
        let output = fs::read_to_string(self.path("output")).unwrap();
        let binary = output.lines().find_map(|line| line.strip_prefix("binary=")).unwrap();
        String::from_utf8(Command::new(binary).arg("--version").output().unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    }
}

/// What a small image has.
const FEW: [&str; 19] = [
    "sh",
    "env",
    "dirname",
    "sed",
    "head",
    "uname",
    "mkdir",
    "mktemp",
    "mv",
    "cp",
    "rm",
    "find",
    "sort",
    "sha256sum",
    "cut",
    "cat",
    "tar",
    "gzip",
    "id",
];

/// A cargo that makes a program that prints `built`.
const CARGO: &str = "while [ $# -gt 0 ]; do [ \"$1\" != --target-dir ] || to=$2/release; shift; done
mkdir -p \"$to\"; printf '#!/bin/sh\\necho built\\n' >\"$to/ghdeploy\"; chmod +x \"$to/ghdeploy\"";

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
        let missing = "echo 'curl: (22) The requested URL returned error: 404' >&2; exit 22";
        let path = action.with_programs(&[("curl", missing)]);
        let output = action.get(shell, &[("PATH", path.as_str())]);
        assert!(printed(&output).contains("has no binary for "), "{}", printed(&output));
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
    // The target directory is kept for the next time, and the optimisers are off: a real build takes minutes.
    let target = Path::new(TOP).join("target");
    fs::create_dir_all(&target).unwrap();
    fs::create_dir_all(action.path("cache/ghdeploy")).unwrap();
    symlink(target, action.path("cache/ghdeploy/target")).unwrap();
    let quick = [("OPT_LEVEL", "0"), ("LTO", "off"), ("CODEGEN_UNITS", "64")]
        .map(|(setting, value)| (format!("CARGO_PROFILE_RELEASE_{setting}"), value));
    let quick = quick.each_ref().map(|(variable, value)| (variable.as_str(), *value));
    let output = action.get_of(Path::new(TOP), &["sh"], &quick);
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(action.found(), format!("ghdeploy {VERSION}"));
    assert!(printed(&output).contains("(built from the action's sources)"));
    // The same sources are not built again, wherever they are. Without cargo and without a binary there is an
    // error.
    let output = action.get(&["sh"], &[]);
    assert!(output.status.success() && !printed(&output).contains("building"), "{}", printed(&output));
    fs::remove_dir_all(action.path("cache")).unwrap();
    let output = action.get(&["sh"], &[("PATH", &action.with_few_programs(&[]))]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        printed(&output).contains("cargo is not installed: install Rust, or set GHDEPLOY_BINARY"),
        "{}",
        printed(&output)
    );
}

#[test]
fn a_small_image_downloads_with_wget_or_is_told_what_it_lacks() {
    let action = Action::new();
    action.trust(&action.release("good"));
    let output = action.get(&["sh"], &[("PATH", &action.with_few_programs(&[]))]);
    let words = "::error::neither curl nor wget is installed on this runner: install one of them";
    assert!(printed(&output).contains(words) && output.status.code() == Some(1), "{}", printed(&output));
    assert!(!action.path("output").exists());
    let wget = "while [ $# -gt 1 ]; do [ \"$1\" != -O ] || to=$2; shift; done; cat \"${1#file://}\" >\"$to\"";
    let output = action.get(&["sh"], &[("PATH", &action.with_few_programs(&[("wget", wget)]))]);
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(action.found(), "good");
}

#[test]
fn an_archive_that_another_job_has_changed_is_downloaded_again() {
    let action = Action::new();
    let digest = action.release("good");
    action.trust(&digest);
    assert!(action.get(&["sh"], &[]).status.success());
    fs::write(action.cached(&format!("{digest}.tar.gz")), "evil").unwrap();
    let output = action.get(&["sh"], &[]);
    assert!(output.status.success() && printed(&output).contains("downloading"), "{}", printed(&output));
    assert_eq!(action.found(), "good");
}

#[test]
fn a_tool_cache_that_cannot_be_written_is_replaced_by_the_folder_of_the_job() {
    let action = Action::new();
    action.trust(&action.release("good"));
    fs::create_dir_all(action.path("cache")).unwrap();
    // Even root cannot make a folder there.
    fs::write(action.path("cache/ghdeploy"), "").unwrap();
    let output = action.get(&["sh"], &[]);
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(action.found(), "good");
    let temp = format!("binary={}/", action.path("temp").display());
    assert!(fs::read_to_string(action.path("output")).unwrap().starts_with(&temp));
}

#[test]
fn a_cached_build_runs_only_if_it_is_of_this_user_and_of_this_machine() {
    let action = Action::new();
    let path = action.with_programs(&[("cargo", CARGO), ("cc", "exit 0")]);
    let get = || {
        let output = action.get(&["sh"], &[("PATH", &path)]);
        assert!(output.status.success(), "{}", printed(&output));
        (action.found(), printed(&output).contains("::group::building"))
    };
    assert_eq!(get(), ("built".to_owned(), true));
    assert_eq!(get(), ("built".to_owned(), false));
    // A program of another processor.
    fs::write(action.cached("ghdeploy"), b"\x7fELF\x02\x01\x01 of another machine").unwrap();
    assert_eq!(get(), ("built".to_owned(), true));
    // A program that another user has put there.
    let evil = action.cached("ghdeploy");
    fs::write(&evil, "#!/bin/sh\necho evil\n").unwrap();
    let folder = evil.parent().unwrap();
    stdout_of(privileged(["chown", "-R", "nobody"]).arg(folder));
    assert_eq!(get(), ("built".to_owned(), true));
    stdout_of(privileged(["rm", "-r"]).arg(folder));
}

#[test]
fn a_build_that_fails_ends_its_group_and_says_so() {
    let action = Action::new();
    let path = action.with_programs(&[("cargo", "echo no default toolchain; exit 101"), ("cc", "exit 0")]);
    let output = action.get(&["sh"], &[("PATH", &path)]);
    assert_eq!(output.status.code(), Some(1));
    let text = printed(&output);
    let ended = text.find("no default toolchain\n::endgroup::\n").unwrap();
    let told = text.find(" cannot be built here (cargo exited with 101;").unwrap();
    assert!(ended < told && text.contains("\n::error::ghdeploy "), "{text}");
    assert!(!action.path("output").exists());
    let output = action.get(&["sh"], &[("PATH", &action.with_few_programs(&[("cargo", CARGO)]))]);
    assert!(printed(&output).contains("a build needs a C compiler"), "{}", printed(&output));
}

#[test]
fn a_windows_runner_is_refused_before_anything_is_built() {
    let action = Action::new();
    let windows = "case $1 in -s) echo MINGW64_NT-10.0-26100;; *) echo x86_64;; esac";
    let path = action.with_programs(&[("uname", windows), ("cargo", CARGO)]);
    let output = action.get(&["sh"], &[("PATH", &path), ("GHDEPLOY_BINARY", "sh")]);
    assert_eq!(output.status.code(), Some(1));
    let text = printed(&output);
    assert!(text.starts_with("::error::ghdeploy does not run on Windows: use a Linux runner"), "{text}");
    assert!(!action.path("cache").exists());
}

#[test]
fn a_given_binary_that_does_not_run_here_is_reported() {
    let action = Action::new();
    let path = action.with_programs(&[("mine", "exit 126")]);
    let output = action.get(&["sh"], &[("GHDEPLOY_BINARY", "mine"), ("PATH", &path)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("names a program that does not run here"), "{}", printed(&output));
}
