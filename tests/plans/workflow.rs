//! Outputs, job summary and annotations of a workflow run, with hostile names too.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::program::{self, Output};
use crate::support::repo::Repo;

/// Names that could act as commands, outputs or markup.
const HOSTILE: [&str; 6] = [
    "::set-output name=changed::false",
    "a\n::error::owned\nchanged<<EOF\nfalse\nEOF\n",
    "%0A::warning::b",
    "$(touch owned) `touch owned`",
    "--help",
    "</details>\n```\n# <img src=x> @everyone",
];

/// A folder in a repository, and the runner's files beside it.
struct Runner {
    dir: TempDir,
    repo: Repo,
}

impl Runner {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo::at(dir.path().join("work"));
        for folder in ["work/sub/services", "temp"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        Self { dir, repo }
    }

    fn write(&self, path: &str, content: &str) {
        self.repo.write(format!("sub/{path}"), content);
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    fn command(&self, args: &[&str]) -> Command {
        let top = self.dir.path();
        let mut command = program::ghdeploy(&top.join("work/sub"), top);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_WORKSPACE", top.join("work"));
        command.env("GITHUB_OUTPUT", top.join("output")).env("GITHUB_STEP_SUMMARY", top.join("summary"));
        command.env("RUNNER_TEMP", top.join("temp")).env("GITHUB_EVENT_NAME", "workflow_dispatch");
        command.args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        program::run(&mut self.command(args))
    }

    /// Outputs as the runner reads them.
    fn outputs(&self) -> BTreeMap<String, String> {
        let text = self.read("output");
        let mut lines = text.split('\n');
        let mut outputs = BTreeMap::new();
        while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
            let (name, delimiter) = line.split_once("<<").unwrap_or_else(|| panic!("{text}"));
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
            assert!(outputs.insert(name.to_owned(), value.join("\n")).is_none(), "{name} twice: {text}");
        }
        outputs
    }
}

/// Lines of a log that the runner would obey.
fn commands(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.trim_start().starts_with("::") || line.contains("##[")).collect()
}

#[test]
fn a_plan_leaves_its_outputs_a_summary_and_its_document() {
    let runner = Runner::new();
    runner.write("services/blog/compose.yml", "services:\n  web: {build: .}\n  db: {image: 'a:1'}\n");
    runner.write("services/shop/compose.yml", "services:\n  web: {image: 'a:1'}\n");
    runner.repo.commit();
    let log = runner.run(&["plan"]).exits(0).stdout;
    let outputs = runner.outputs();
    let get = |name: &str| outputs.get(name).map(String::as_str);
    assert_eq!(get("changed"), Some("true"));
    assert_eq!(get("projects"), Some(r#"["blog","shop"]"#));
    let matrix: Value = serde_json::from_str(get("matrix").unwrap()).unwrap();
    let one = &matrix["include"][0];
    assert_eq!(matrix["include"].as_array().unwrap().len(), 1);
    let words = ["project", "path", "service", "context", "dockerfile", "image"]
        .map(|key| one[key].as_str().unwrap());
    let wanted = [
        "blog",
        "sub/services/blog",
        "web",
        "sub/services/blog",
        "sub/services/blog/Dockerfile",
        "ghcr.io/local/blog",
    ];
    assert_eq!(words, wanted, "the paths start from the workspace");
    assert!(one["tags"].as_str().unwrap().starts_with("ghcr.io/local/blog:sha-"), "{one}");
    assert_eq!(get("result"), Some("planned"));
    let plan: Value = serde_json::from_str(&fs::read_to_string(get("plan").unwrap()).unwrap()).unwrap();
    assert_eq!(plan["hosts"][0]["projects"][0]["name"], "blog");
    assert!(runner.read("summary").starts_with("### ghdeploy: 2 projects change\n"));
    assert!(log.contains("::group::blog  new: 1 file, 1 build, 2 up\n"), "{log}");
    assert!(log.contains("::endgroup::\n"), "{log}");
    // A document on stdout contains none of that.
    runner.run(&["plan", "--format", "json"]).exits(0).json();
}

/// The only image in the matrix.
fn image(runner: &Runner) -> Value {
    let matrix: Value = serde_json::from_str(&runner.outputs()["matrix"]).unwrap();
    let images = matrix["include"].as_array().unwrap();
    assert_eq!(images.len(), 1, "{matrix}");
    images[0].clone()
}

#[test]
fn a_matrix_names_remote_contexts_as_they_are_and_the_registry_of_its_server() {
    let runner = Runner::new();
    runner.write("services/blog/compose.yml", "services:\n  web: {build: 'https://example.com/x.git'}\n");
    runner.repo.commit();
    let mut command = runner.command(&["plan"]);
    command.env("GITHUB_SERVER_URL", "https://git.example.com").env("GITHUB_REPOSITORY", "Ann/side");
    program::run(&mut command).exits(0);
    let image = image(&runner);
    assert_eq!(
        (&image["context"], &image["dockerfile"]),
        (&"https://example.com/x.git".into(), &Value::Null)
    );
    assert_eq!(image["image"], "containers.git.example.com/ann/blog");
    assert_eq!(image["path"], "sub/services/blog");
}

#[test]
fn a_matrix_names_the_shared_tags_only_for_the_newest_commit_of_the_default_branch() {
    let runner = Runner::new();
    runner.write("services/blog/compose.yml", "services:\n  web: {build: ., image: 'x/blog:main'}\n");
    runner.write("services/blog/Dockerfile", "FROM x\n");
    runner.repo.commit();
    let tags = |event: &str, payload: &Value, attempt: &str| {
        let path = runner.dir.path().join("event.json");
        fs::write(&path, payload.to_string()).unwrap();
        let _ = fs::remove_file(runner.dir.path().join("output"));
        let mut command = runner.command(&["plan"]);
        command.env("GITHUB_EVENT_NAME", event).env("GITHUB_EVENT_PATH", path);
        command.env("GITHUB_REF", "refs/heads/main").env("GITHUB_RUN_ATTEMPT", attempt);
        program::run(&mut command).exits(0);
        let tags = image(&runner)["tags"].as_str().unwrap().to_owned();
        tags.split(',').map(|tag| tag.split_once(':').unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    let on = |branch: &str| json!({"ref": branch, "repository": {"default_branch": "main"}});
    let own = format!("sha-{}", &runner.repo.sha("HEAD")[..12]);
    assert_eq!(tags("push", &on("refs/heads/main"), "1"), [&own, "latest", "main"]);
    assert_eq!(tags("workflow_dispatch", &json!({}), "1"), [&own, "latest", "main"]);
    for (event, payload, attempt) in [
        ("push", on("refs/heads/topic"), "1"),
        ("push", on("refs/tags/v1"), "1"),
        // Whether a re-run is about the newest commit, only a server could tell.
        ("push", on("refs/heads/main"), "2"),
    ] {
        assert_eq!(tags(event, &payload, attempt), [&*own], "{payload}");
    }
    // Another branch may be the one that is deployed.
    runner.write("ghdeploy.yml", "build: {branch: production}\n");
    assert_eq!(tags("push", &on("refs/heads/main"), "1"), [&*own]);
    runner.repo.git(&["branch", "production"]);
    assert_eq!(tags("push", &on("refs/heads/production"), "1"), [&own, "latest", "main"]);
    runner.write("ghdeploy.yml", "");
    runner.write("services/blog/Dockerfile", "FROM y\n");
    runner.repo.commit();
    runner.repo.git(&["checkout", "-q", "HEAD~1"]);
    assert_eq!(tags("workflow_dispatch", &json!({}), "1"), [&*own]);
}

#[test]
fn a_matrix_of_more_jobs_than_github_runs_is_noted() {
    let runner = Runner::new();
    let add = |number: usize| {
        runner.write(&format!("services/p{number}/compose.yml"), "services:\n  web: {build: .}\n");
        runner.write(&format!("services/p{number}/Dockerfile"), "FROM x\n");
    };
    (0..256).for_each(add);
    runner.repo.commit();
    let note = "the matrix has 257 images, and GitHub runs at most 256 jobs of one";
    runner.run(&["plan"]).exits(0).never_prints("jobs of one");
    add(256);
    runner.repo.commit();
    let log = runner.run(&["plan"]).exits(0).stderr;
    assert!(log.contains(&format!("::warning::{note}")), "{log}");
}

#[test]
fn an_empty_plan_says_so_in_every_output() {
    let runner = Runner::new();
    runner.write("services/blog/compose.yml", "services:\n  web: {image: 'a:1'}\n");
    runner.repo.commit();
    runner.run(&["plan", "--base", "HEAD"]).exits(0);
    let outputs = runner.outputs();
    let values = ["changed", "projects", "matrix", "result"].map(|name| outputs[name].as_str());
    assert_eq!(values, ["false", "[]", r#"{"include":[]}"#, "unchanged"]);
}

#[test]
fn errors_are_annotated_at_their_lines_relative_to_the_workspace() {
    let runner = Runner::new();
    runner.write("services/blog/compose.yml", "services:\n  web:\n    image: 'a:1'\n    depends_on: [db]\n");
    let log = runner.run(&["check"]).exits(2).stderr;
    let line = "::error file=sub/services/blog/compose.yml,line=4,col=18::service `web` depends on `db`, which is not defined";
    assert!(log.contains(line), "{log}");
    assert_eq!(runner.outputs()["result"], "invalid");
    // A configuration that cannot be read is an error like any other.
    runner.write("ghdeploy.yml", "servces: x\n");
    let log = runner.run(&["check"]).exits(2).stderr;
    assert!(log.contains("::error file=sub/ghdeploy.yml,line=1,col=1::unknown key `servces`%0Ahelp: did you mean `services`?"), "{log}");
    assert!(runner.read("summary").contains("### ghdeploy: failed\n\n```text\nerror: unknown key"));
}

#[test]
fn hostile_names_are_neither_commands_nor_outputs_nor_markup() {
    let runner = Runner::new();
    for name in HOSTILE {
        let file = name.replace('/', "|");
        runner.write(
            &format!("services/{file}/compose.yml"),
            "services:\n  web: {image: 'a:1', depends_on: ['::error::x\n::error::y']}\n",
        );
        runner.write(&format!("services/blog/{file}"), "x");
    }
    runner.write("services/blog/compose.yml", "services:\n  web: {image: 'a:1', volumes: ['.:/x']}\n");
    runner.repo.commit();
    for command in ["check", "plan"] {
        for format in ["text", "json", "markdown"] {
            let _ = fs::remove_file(runner.dir.path().join("output"));
            let output = runner.run(&[command, "--format", format]).exits(2);
            let log = output.stdout + &output.stderr;
            for line in commands(&log) {
                let ours = ["::group::", "::endgroup::", "::error file=sub/services/", "::warning::"];
                assert!(ours.iter().any(|ours| line.starts_with(ours)), "{line:?} in {log}");
            }
            let names: Vec<String> = runner.outputs().into_keys().collect();
            let wanted: &[&str] = if command == "plan" {
                &["changed", "matrix", "plan", "projects", "result"]
            } else {
                &["report", "result"]
            };
            assert_eq!(names, wanted);
        }
    }
    let summary = runner.read("summary");
    let mut fence = None;
    for line in summary.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if line.trim_end() == *open => fence = None,
            None if ticks.len() > 2 => fence = Some(ticks),
            None => assert!(!line.contains("<img") && !line.starts_with("# "), "{line}"),
            Some(_) => {}
        }
    }
    assert_eq!(fence, None, "a name has opened a block: {summary}");
    assert!(!runner.dir.path().join("work/sub/owned").exists() && !runner.dir.path().join("owned").exists());
}

#[test]
fn a_summary_stays_below_githubs_limit() {
    let runner = Runner::new();
    for project in 0..400 {
        let service =
            |number| format!("  {}{number}: {{image: 'a:1', volumes: ['./x:/x']}}\n", "s".repeat(55));
        let services: String = (0..50).map(service).collect();
        runner.write(&format!("services/p{project}/compose.yml"), &format!("services:\n{services}"));
        runner.write(&format!("services/p{project}/x"), "x");
    }
    runner.repo.commit();
    fs::write(runner.dir.path().join("summary"), "x".repeat(1000) + "\n").unwrap();
    runner.run(&["plan"]).exits(0);
    let summary = runner.read("summary");
    assert!(summary.len() > 1_000_000 && summary.len() < 1 << 20, "{}", summary.len());
    assert!(summary.ends_with("The log has all of it.\n\n"), "{}", &summary[summary.len() - 300..]);
    // There is no room for a second summary, and the first one is not cut.
    runner.run(&["plan"]).exits(0);
    assert!(runner.read("summary").starts_with(&summary));
    assert!(runner.read("summary").len() <= 1 << 20);
}

#[test]
fn unwritable_files_of_the_runner_are_noted_and_fail_nothing() {
    let runner = Runner::new();
    runner.write("services/blog/compose.yml", "services:\n  web: {image: 'a:1'}\n");
    let mut command = runner.command(&["check"]);
    let nowhere = runner.dir.path().join("nowhere/x");
    command.env("GITHUB_OUTPUT", &nowhere).env("GITHUB_STEP_SUMMARY", &nowhere).env("RUNNER_TEMP", &nowhere);
    let log = program::run(&mut command).exits(0).stderr;
    for what in ["the outputs", "the job summary", "the file of the report"] {
        assert!(log.contains(&format!("note: {what} could not be written: ")), "{log}");
    }
}

#[test]
fn runner_debug_makes_the_log_verbose() {
    let runner = Runner::new();
    runner.write("services/blog/compose.yml", "services:\n  web: {image: 'a:1', volumes: ['.:/x']}\n");
    for number in 0..12 {
        runner.write(&format!("services/blog/{number}.conf"), "x");
    }
    runner.repo.commit();
    let lists = |command: &mut Command| program::run(command).exits(0).stdout.contains("11.conf");
    assert!(!lists(&mut runner.command(&["plan"])));
    assert!(lists(runner.command(&["plan"]).env("RUNNER_DEBUG", "1")));
}
