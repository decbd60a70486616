//! The script that makes releases, with a real repository and a real origin. GitHub, and what would compile for
//! minutes, are small programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::lab::{GH, Lab, TARGETS, VERSION, all};
use crate::{program, read};

impl Lab {
    /// Runs release.yml.
    fn workflow(&self, inputs: &Value) -> Output {
        let _ = fs::remove_dir_all(self.path("store"));
        self.act("workflow_dispatch", "release.yml", &json!({"inputs": inputs})).output().unwrap()
    }
}

#[test]
fn only_a_commit_of_main_whose_ci_was_green_is_released() {
    let lab = Lab::new();
    lab.passes(&["check"]);
    let asked = fs::read_to_string(lab.path("asked")).unwrap();
    assert!(asked.contains(&format!("/ci.yml/runs?head_sha={}", lab.git(&["rev-parse", "HEAD"]))), "{asked}");
    for (runs, found) in [
        (&[][..], "absent"),
        (&[("completed", "failure")], "failure"),
        (&[("completed", "cancelled")], "cancelled"),
        (&[("completed", "skipped")], "skipped"),
        (&[("in_progress", "")], "in_progress"),
        (&[("completed", "success"), ("completed", "failure")], "failure"),
        (&[("completed", "success"), ("queued", "")], "queued"),
    ] {
        lab.ci(runs);
        lab.refuses(&["check"], &format!("is not green, but {found}"));
    }
    lab.ci(&[("completed", "failure"), ("completed", "success")]);
    lab.passes(&["check"]);
    // What GitHub says about something else proves nothing.
    let head = lab.git(&["rev-parse", "HEAD"]);
    for run in [
        json!({"head_sha": "f".repeat(40), "event": "push"}),
        json!({"head_sha": head, "event": "pull_request"}),
    ] {
        let mut run = run;
        run["run_number"] = json!(1);
        run["status"] = json!("completed");
        run["conclusion"] = json!("success");
        lab.answer(&json!({"workflow_runs": [run]}));
        lab.refuses(&["check"], "is not green, but absent");
    }
    program(lab.path("bin/gh"), "#!/bin/sh\nexit 1\n");
    lab.refuses(&["check"], "GitHub does not say");
    program(lab.path("bin/gh"), GH);
    lab.ci(&[("completed", "success")]);
    lab.git(&["commit", "-q", "--allow-empty", "-m", "not pushed"]);
    lab.ci(&[("completed", "success")]);
    lab.refuses(&["check"], "is not on main");
    lab.git(&["reset", "-q", "--hard", "origin/main"]);
    lab.write("README.md", "changed");
    lab.refuses(&["check"], "the working tree differs");
}

#[test]
fn only_a_new_version_that_is_the_same_everywhere_is_released() {
    let lab = Lab::new();
    let output = lab.command(".github/release.sh", &["check"]).env("WANTED", "9.9.9").output().unwrap();
    assert!(!output.status.success() && all(&output).contains("the release of 9.9.9 was asked for"));
    let output =
        lab.command(".github/release.sh", &["check"]).env("GITHUB_SHA", "f".repeat(40)).output().unwrap();
    assert!(!output.status.success() && all(&output).contains("of this run"), "{}", all(&output));
    for (tag, reason) in
        [(format!("v{VERSION}"), "exists: raise the version"), ("v999.0.0".to_owned(), "older than")]
    {
        lab.git(&["push", "-q", "origin", &format!("HEAD:refs/tags/{tag}")]);
        lab.refuses(&["check"], reason);
        lab.git(&["push", "-q", "origin", &format!(":refs/tags/{tag}")]);
    }
    // Tags of other kinds are no versions.
    for tag in ["v999", "v999.9", "v999.9.9-rc1", "x999.9.9"] {
        lab.git(&["push", "-q", "origin", &format!("HEAD:refs/tags/{tag}")]);
    }
    lab.passes(&["check"]);
    fs::write(lab.path("release.json"), "{\"isDraft\": false}").unwrap();
    let out = lab.assembled();
    lab.refuses(&["publish", &out], "is published already");

    let manifest = lab.text("Cargo.toml");
    let raised = |version: &str| manifest.replacen(&format!("\"{VERSION}\""), &format!("\"{version}\""), 1);
    lab.write("Cargo.toml", &raised("998.0.0"));
    lab.refuses(&["check"], "Cargo.lock has version");
    lab.write("Cargo.toml", &raised("998.0.0-rc.1"));
    lab.refuses(&["check"], "not of the form 1.2.3");
}

#[test]
fn the_notes_are_the_section_of_the_version() {
    let lab = Lab::new();
    let heading = format!("## {VERSION}");
    lab.write("CHANGELOG.md", &format!("# Changelog\n\n## Unreleased\n\n- new\n\n{heading} - 2026-11-26\n\n- one\n  more\n\n### Fixed\n\n- two\n\n## 0.0.9\n\n- old\n"));
    assert_eq!(lab.passes(&["notes"]), "- one\n  more\n\n### Fixed\n\n- two\n");
    for text in [
        "# Changelog\n\n## Unreleased\n\n- new\n".to_owned(),
        format!("{heading}\n\n## 0.0.9\n\n- old\n"),
        format!("{heading}0\n\n- other\n"),
    ] {
        lab.write("CHANGELOG.md", &text);
        lab.commit();
        lab.ci(&[("completed", "success")]);
        lab.refuses(&["check"], "has no section");
    }
}

#[test]
fn exactly_the_archives_of_all_targets_are_assembled() {
    let lab = Lab::new();
    let out = lab.assembled();
    let out = Path::new(&out);
    let sums = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), TARGETS.len() + 1, "{sums}");
    for name in [format!("ghdeploy-{VERSION}.cdx.json"), "SHA256SUMS".to_owned(), "notes.md".to_owned()] {
        fs::remove_file(out.join(name)).unwrap();
    }
    let shown = out.display().to_string();
    fs::write(out.join("evil.tar.gz"), "").unwrap();
    lab.refuses(&["assemble", &shown], "should hold exactly these archives");
    fs::remove_file(out.join("evil.tar.gz")).unwrap();
    let first = out.join(format!("ghdeploy-{VERSION}-{}.tar.gz", TARGETS[0]));
    let kept = fs::read(&first).unwrap();
    fs::remove_file(&first).unwrap();
    lab.refuses(&["assemble", &shown], "should hold exactly these archives");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(lab.path("repo")).arg("-czf").arg(&first).args(["README.md", "src/lib.rs"]);
    assert!(tar.status().unwrap().success());
    lab.refuses(&["assemble", &shown], "holds: README.md src/lib.rs");
    fs::write(&first, kept).unwrap();
    lab.passes(&["assemble", &shown]);
    // What was handed over is what was assembled.
    fs::write(&first, "other").unwrap();
    lab.refuses(&["publish", &shown], "SHA256SUMS");
    assert_eq!((lab.tags(), lab.done()), (vec![], vec![]));
}

#[test]
fn the_bill_of_materials_lists_what_is_in_the_binary() {
    let lab = Lab::new();
    let out = lab.assembled();
    let bill = fs::read_to_string(Path::new(&out).join(format!("ghdeploy-{VERSION}.cdx.json"))).unwrap();
    let bill: Value = serde_json::from_str(&bill).unwrap();
    assert_eq!(
        (&bill["bomFormat"], &bill["metadata"]["component"]["version"]),
        (&json!("CycloneDX"), &json!(VERSION))
    );
    let components = bill["components"].as_array().unwrap();
    let lock = read("Cargo.lock");
    for component in components {
        let name = component["name"].as_str().unwrap();
        let version = component["version"].as_str().unwrap();
        let checksum = component["hashes"][0]["content"].as_str().unwrap();
        let entry = format!(
            "name = \"{name}\"\nversion = \"{version}\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{checksum}\"\n"
        );
        assert!(lock.contains(&entry), "{entry}");
        assert_eq!(component["purl"], format!("pkg:cargo/{name}@{version}"));
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
    }
    let names: BTreeSet<&str> =
        components.iter().map(|component| component["name"].as_str().unwrap()).collect();
    assert!(
        ["tokio", "serde_json", "rustls", "roxmltree"].iter().all(|name| names.contains(name)),
        "{names:?}"
    );
    // What only tests use is not in the binary.
    assert!(
        ["insta", "proptest", "assert_cmd", "ghdeploy"].iter().all(|name| !names.contains(name)),
        "{names:?}"
    );
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = components.iter().chain([&bill["metadata"]["component"]]);
    let known: BTreeSet<String> = all.map(|component| text(&component["bom-ref"])).collect();
    let dependencies = bill["dependencies"].as_array().unwrap();
    assert_eq!(dependencies.len(), known.len());
    for dependency in dependencies {
        let others = dependency["dependsOn"].as_array().unwrap().iter();
        assert!(others.chain([&dependency["ref"]]).all(|one| known.contains(&text(one))), "{dependency}");
    }
}

#[test]
fn a_published_release_is_what_the_action_downloads() {
    let lab = Lab::new();
    let built = lab.git(&["rev-parse", "HEAD"]);
    let out = lab.assembled();
    // A draft of an attempt that failed is replaced.
    fs::write(lab.path("release.json"), "{\"isDraft\": true}").unwrap();
    lab.passes(&["publish", &out]);
    let version = format!("v{VERSION}");
    let expected = [
        format!("release delete {version}"),
        format!("release create {version}"),
        format!("release edit {version}"),
    ];
    assert_eq!(lab.done(), expected);
    let assets: BTreeSet<String> = fs::read_dir(lab.path("assets"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(assets.len(), TARGETS.len() + 3, "{assets:?}");
    let numbers: Vec<&str> = VERSION.split('.').collect();
    let names = [format!("v{}", numbers[0]), format!("v{}.{}", numbers[0], numbers[1]), version.clone()];
    let tags = lab.tags();
    assert_eq!(tags.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), names);
    assert_eq!(tags.iter().map(|(_, commit)| commit).collect::<BTreeSet<_>>().len(), 1);
    // The tagged commit is the one that was built, and the digests.
    lab.git(&["fetch", "-q", "--tags"]);
    assert_eq!(lab.git(&["rev-parse", &format!("{version}^")]), built);
    assert_eq!(lab.git(&["diff", "--name-only", &built, &version]), ".github/action/sha256sums");
    assert_eq!(lab.git(&["rev-parse", "main"]), built);
    assert!(!lab.git(&["worktree", "list"]).contains('\n'));

    // The action at each of these tags downloads and runs it.
    let releases = lab.path("releases").join(&version);
    fs::create_dir_all(&releases).unwrap();
    for asset in assets.iter().filter(|name| name.ends_with(".tar.gz")) {
        fs::copy(lab.path("assets").join(asset), releases.join(asset)).unwrap();
    }
    for tag in names {
        lab.git(&["checkout", "-q", "--detach", &tag]);
        let mut get = lab.command(".github/action/get.sh", &["find"]);
        get.env("RUNNER_TEMP", lab.path("temp")).env("GITHUB_OUTPUT", lab.path("output"));
        get.env("GHDEPLOY_RELEASES", format!("file://{}", lab.path("releases").display()));
        let _ = fs::remove_file(lab.path("output"));
        let output = get.output().unwrap();
        assert!(output.status.success(), "{}", all(&output));
        let found = fs::read_to_string(lab.path("output")).unwrap();
        let binary = found.strip_prefix("binary=").unwrap().trim_end().to_owned();
        let ran = Command::new(binary).output().unwrap();
        let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
        assert_eq!(all(&ran), format!("ghdeploy for {target}\n"));
    }

    // The next release moves the tags of its series.
    lab.git(&["checkout", "-q", "main"]);
    let next = format!("{}.{}.{}", numbers[0], numbers[1], numbers[2].parse::<u32>().unwrap() + 1);
    for name in ["Cargo.toml", "Cargo.lock"] {
        let old = format!("name = \"ghdeploy\"\nversion = \"{VERSION}\"");
        lab.write(name, &lab.text(name).replace(&old, &old.replace(VERSION, &next)));
    }
    lab.write("CHANGELOG.md", &format!("## {next}\n\n- better\n"));
    lab.commit();
    lab.ci(&[("completed", "success")]);
    fs::remove_file(lab.path("release.json")).unwrap();
    let out = lab.assembled();
    lab.passes(&["publish", &out]);
    let tags = lab.tags();
    let commit = |name: &str| tags.iter().find(|(tag, _)| tag == name).unwrap().1.clone();
    assert_eq!(commit(&format!("v{}.{}", numbers[0], numbers[1])), commit(&format!("v{next}")));
    assert_eq!(commit(&format!("v{}", numbers[0])), commit(&format!("v{next}")));
    assert_ne!(commit(&version), commit(&format!("v{next}")));
    lab.refuses(&["publish", &out], "exists: raise the version");
}

#[test]
fn a_dry_run_says_what_it_would_do_and_changes_nothing() {
    let lab = Lab::new();
    let out = lab.assembled();
    let output =
        lab.command(".github/release.sh", &["publish", &out]).env("DRY_RUN", "true").output().unwrap();
    assert!(output.status.success(), "{}", all(&output));
    for wanted in
        ["would run: gh release create", "would run: git push --quiet origin", "would run: gh release edit"]
    {
        assert!(all(&output).contains(wanted), "{}", all(&output));
    }
    assert_eq!((lab.tags(), lab.done()), (vec![], vec![]));
    assert_eq!(lab.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_failure_on_the_way_leaves_no_tag_that_has_no_release() {
    let lab = Lab::new();
    let out = lab.assembled();
    program(lab.path("bin/gh"), &GH.replace("'release create') ", "'release create') exit 1; "));
    assert!(!lab.release(&["publish", &out]).status.success());
    assert_eq!(lab.tags(), vec![]);
    program(lab.path("bin/gh"), &GH.replace("  *) echo", "  'release edit') exit 1 ;;\n  *) echo"));
    assert!(!lab.release(&["publish", &out]).status.success());
    let names: Vec<String> = lab.tags().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [format!("v{VERSION}")], "the tags that users follow have moved");
}

#[test]
fn pins_name_the_release_and_a_wrong_one_is_noticed() {
    let lab = Lab::new();
    lab.passes(&["pin", "HEAD"]);
    let pinned = lab.git(&["rev-parse", "HEAD~2"]);
    assert!(lab.passes(&["pins"]).contains(&pinned));
    assert!(
        lab.text(".github/workflows/deploy.yml")
            .contains(&format!("uses: ghdeploy/ghdeploy@{pinned} # v{VERSION}\n"))
    );
    // The README names workflows that name the action.
    let workflows = lab.git(&["rev-parse", "HEAD~1"]);
    let readme = lab.text("README.md");
    assert_eq!(readme.matches(&format!(".yml@{workflows} # v{VERSION}\n")).count(), 3);
    assert_eq!(readme.matches(&format!("ghdeploy/ghdeploy@{pinned} # v{VERSION}\n")).count(), 1);
    assert!(lab.git(&["show", &format!("{workflows}:.github/workflows/deploy.yml")]).contains(&pinned));
    // A second time there is nothing to do.
    let head = lab.git(&["rev-parse", "HEAD"]);
    lab.passes(&["pin", &pinned]);
    assert_eq!(lab.git(&["rev-parse", "HEAD"]), head);

    let (other, unknown) = (lab.git(&["rev-parse", "HEAD"]), "f".repeat(40));
    for (file, from, to, reason) in [
        ("README.md", &pinned, &other, "different commits of the action"),
        (".github/workflows/comment.yml", &pinned, &other, "different commits of the action"),
        ("README.md", &workflows, &unknown, "is not in this clone"),
    ] {
        lab.write(file, &lab.text(file).replace(from.as_str(), to));
        lab.refuses(&["pins"], reason);
        lab.git(&["checkout", "-q", "."]);
    }
    for (file, reason) in [
        (".github/action/run.sh", "the action has changed since"),
        ("action.yml", "the action has changed since"),
        (".github/workflows/plan.yml", "the workflows have changed since"),
    ] {
        lab.write(file, &format!("{}\n# more\n", lab.text(file)));
        lab.refuses(&["pins"], reason);
        lab.refuses(&["pin", "HEAD"], "commit or stash your changes");
        lab.git(&["checkout", "-q", "."]);
    }

    // Once there is a release, its tag decides, and the action may be ahead of it.
    lab.git(&["checkout", "-q", "--detach"]);
    lab.write(".github/action/sha256sums", "digests\n");
    lab.git(&["commit", "-qam", "release"]);
    lab.git(&["tag", &format!("v{VERSION}")]);
    lab.git(&["checkout", "-q", "main"]);
    lab.refuses(&["pins"], &format!("run .github/release.sh pin v{VERSION}"));
    lab.passes(&["pin", &format!("v{VERSION}")]);
    lab.write("action.yml", &format!("{}# more\n", lab.text("action.yml")));
    lab.passes(&["pins"]);
    lab.refuses(&["pin", "v999.0.0"], "commit or stash");
}

#[test]
fn jobs_that_may_write_run_githubs_actions_and_the_release_script() {
    let workflow: serde_yaml::Value = serde_yaml::from_str(&read(".github/workflows/release.yml")).unwrap();
    let mut writers = 0;
    for (name, job) in workflow["jobs"].as_mapping().unwrap() {
        let may_write =
            job["permissions"].as_mapping().unwrap().values().any(|permission| permission == "write");
        let steps = job["steps"].as_sequence().unwrap();
        for step in steps.iter().filter(|_| may_write) {
            if let Some(uses) = step["uses"].as_str() {
                assert!(uses.starts_with("actions/"), "{name:?}: {uses}");
            }
            for line in step["run"].as_str().unwrap_or_default().lines() {
                assert!(
                    line.starts_with(".github/release.sh ") || line == "gh auth setup-git",
                    "{name:?}: {line}"
                );
            }
        }
        writers += usize::from(may_write);
    }
    assert_eq!(writers, 1);
    // In what that job runs, nothing compiles: of cargo only `assemble` needs anything.
    let script = read(".github/release.sh");
    let calls: Vec<&str> = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#') && line.contains("cargo ") && !line.contains("die \""))
        .collect();
    assert!(
        calls.iter().all(|call| call.starts_with("cargo metadata --locked")) && calls.len() == 1,
        "{calls:?}"
    );
}

#[test]
fn every_target_is_built_released_and_asked_for() {
    let workflow: serde_yaml::Value = serde_yaml::from_str(&read(".github/workflows/release.yml")).unwrap();
    let matrix = workflow["jobs"]["build"]["strategy"]["matrix"]["include"].as_sequence().unwrap().clone();
    let built: BTreeSet<String> =
        matrix.iter().map(|one| one["target"].as_str().unwrap().to_owned()).collect();
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| (*target).to_owned()).collect();
    assert_eq!(built, targets);
    assert!(read(".github/release.sh").contains(&format!("TARGETS='{}'", TARGETS.join(" "))));
    let get = read(".github/action/get.sh");
    let asked: BTreeSet<String> = get
        .lines()
        .filter_map(|line| Some(line.split_once("target=")?.1.split(' ').next()?.to_owned()))
        .filter(|target| target.contains('-') && !target.contains('$'))
        .collect();
    assert_eq!(asked, targets);
}

#[test]
fn the_workflow_builds_assembles_attests_and_publishes() {
    let lab = Lab::new();
    let output = lab.workflow(&json!({"version": "9.9.9", "dry-run": "false"}));
    assert!(
        !output.status.success() && all(&output).contains("the release of 9.9.9 was asked for"),
        "{}",
        all(&output)
    );
    assert!(!lab.path("store").join("release").exists());
    // A dry run ends with the artifact.
    let output = lab.workflow(&json!({"version": VERSION, "dry-run": "true"}));
    assert!(output.status.success(), "{}", all(&output));
    let assembled = |lab: &Lab| fs::read_dir(lab.path("store/release")).unwrap().count();
    assert_eq!((assembled(&lab), lab.tags(), lab.done()), (TARGETS.len() + 3, vec![], vec![]));

    let output = lab.workflow(&json!({"version": VERSION, "dry-run": "false"}));
    assert!(output.status.success(), "{}", all(&output));
    let done = lab.done();
    assert_eq!(done.iter().filter(|line| line.starts_with("release ")).count(), 2, "{done:?}");
    assert_eq!(lab.tags().len(), 3, "{}", all(&output));
    let attested = fs::read_to_string(lab.path("store/attested")).unwrap();
    for target in TARGETS {
        let archive = format!("ghdeploy-{VERSION}-{target}.tar.gz");
        assert!(attested.contains(&format!("{archive} \n")), "{attested}");
        assert!(attested.contains(&format!("{archive} ghdeploy-{VERSION}.cdx.json\n")), "{attested}");
    }
}

#[test]
fn the_readme_follows_the_workflows() {
    let lab = Lab::new();
    let commit = "a".repeat(40);
    let pin = lab.text("README.md");
    let pin = pin.split("uses: actions/checkout@").nth(1).unwrap().lines().next().unwrap();
    for entry in fs::read_dir(lab.path("repo/.github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(pin, &format!("{commit} # v8.1.0"))).unwrap();
    }
    lab.passes(&["readme"]);
    assert!(lab.text("README.md").contains(&format!("uses: actions/checkout@{commit} # v8.1.0\n")));
    assert!(!lab.text("README.md").contains(pin));
}
