//! How the action gets its binary as long as there is no release for the runner.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use serde_json::json;

use crate::lab::{Lab, all};
use crate::program;

impl Lab {
    /// Runs the first step of the action, and returns its outputs.
    fn find(&self, libc: &str) -> BTreeMap<String, String> {
        program(self.path("bin/getconf"), &format!("#!/bin/sh\n{libc}\n"));
        let _ = fs::remove_file(self.path("output"));
        let mut get = self.command(".github/action/get.sh", &["find"]);
        get.env("RUNNER_TOOL_CACHE", self.path("tools")).env("GITHUB_OUTPUT", self.path("output"));
        let output = get.env("RUNNER_TEMP", self.path("temp")).output().unwrap();
        assert!(output.status.success(), "{}", all(&output));
        let lines = fs::read_to_string(self.path("output")).unwrap();
        lines.lines().map(|line| line.split_once('=').unwrap()).map(|(a, b)| (a.into(), b.into())).collect()
    }

    /// Runs a workflow that uses the action, on a runner that has nothing yet.
    fn use_action(&self) -> Output {
        let _ = fs::remove_dir_all(self.path("act"));
        self.act("push", "x.yml", &json!({})).output().unwrap()
    }

    /// How often the sources were compiled.
    fn compiled(&self) -> usize {
        fs::read_to_string(self.path("compiled")).unwrap_or_default().lines().count()
    }
}

#[test]
fn a_binary_is_kept_for_its_sources_its_system_and_its_c_library() {
    let lab = Lab::new();
    let first = lab.find("echo glibc 2.39");
    assert_eq!(first.keys().collect::<Vec<_>>(), ["key", "path"]);
    assert!(first["key"].contains("-glibc-2.39-"), "{first:?}");
    assert_eq!(lab.find("echo glibc 2.39"), first);
    assert_ne!(lab.find("echo glibc 2.35")["key"], first["key"]);
    // This machine may or may not have the loader of musl.
    let other = lab.find("exit 1");
    assert!(["-other-", "-musl-"].iter().any(|libc| other["key"].contains(libc)), "{other:?}");
    lab.write("README.md", "other");
    assert_eq!(lab.find("echo glibc 2.39"), first);
    lab.write("src/main.rs", "fn main() { }");
    let other = lab.find("echo glibc 2.39");
    assert!(other["key"] != first["key"] && other["path"] != first["path"], "{other:?}");
    assert_eq!(lab.compiled(), 0);
}

#[test]
fn a_built_binary_is_kept_in_githubs_cache_even_if_the_run_fails() {
    let lab = Lab::new();
    let workflow = |with: &str| {
        lab.write(
            ".github/workflows/x.yml",
            &format!(
                "on: push\njobs:\n  x:\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: actions/checkout@v7\n      - uses: ./\n        with: {{{with}}}\n"
            ),
        );
        lab.commit();
    };
    workflow("command: check, push: true");
    let output = lab.use_action();
    assert!(!output.status.success() && all(&output).contains("the input `push`"), "{}", all(&output));
    assert_eq!(lab.compiled(), 1);
    workflow("command: check");
    let output = lab.use_action();
    assert!(output.status.success() && all(&output).contains("| ghdeploy for"), "{}", all(&output));
    assert_eq!(lab.compiled(), 1, "{}", all(&output));
    // What does not run here is built again.
    let kept = fs::read_dir(lab.path("store")).unwrap().next().unwrap().unwrap().path();
    fs::write(kept.join("ghdeploy"), "#!/nowhere/ld.so\n").unwrap();
    let output = lab.use_action();
    assert!(output.status.success() && all(&output).contains("| ghdeploy for"), "{}", all(&output));
    assert_eq!(lab.compiled(), 2);
    // Without the cache every run builds.
    fs::remove_dir_all(&kept).unwrap();
    workflow("command: check, cache: false");
    assert!(lab.use_action().status.success());
    assert!(lab.use_action().status.success());
    assert_eq!((lab.compiled(), kept.exists()), (4, false));
}
