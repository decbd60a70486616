//! `plan`, `check` and `explain` as they are typed.

use std::fs;
use std::path::Path;
use std::process::Command as Process;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;

fn ghdeploy(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ghdeploy"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", dir).arg("-C").arg(dir);
    command
}

fn text(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn json(assert: &Assert) -> Value {
    serde_json::from_str(&text(assert)).unwrap()
}

/// A git repository with two projects and a change of one.
struct Git(tempfile::TempDir);

impl Git {
    fn new() -> Self {
        let git = Self(tempfile::tempdir().unwrap());
        git.run(&["init", "-q", "-b", "main"]);
        git.write("services/blog/compose.yml", "services:\n  web:\n    image: nginx:1\n    volumes: ['./nginx.conf:/etc/nginx.conf', '../shared/tz:/tz']\n  db: {image: postgres}\n");
        git.write("services/blog/nginx.conf", "events {}\n");
        git.write("services/shop/compose.yml", "services:\n  web: {image: a}\n");
        git.write("services/shared/tz", "UTC\n");
        git.write("README.md", "hello\n");
        git.commit();
        git
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn run(&self, args: &[&str]) {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"];
        let output = Process::new("git").current_dir(self.path()).args(identity).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn commit(&self) {
        self.run(&["add", "-A"]);
        self.run(&["commit", "-q", "-m", "x"]);
    }

    fn plan(&self, args: &[&str]) -> Command {
        let mut command = ghdeploy(self.path());
        command.args(["plan", "--base", "HEAD~1"]).args(args);
        command
    }
}

#[test]
fn a_pull_request_names_exactly_the_affected_service() {
    let git = Git::new();
    git.write("services/blog/nginx.conf", "events { }\n");
    git.write("README.md", "hello there\n");
    git.commit();
    let plan = json(&git.plan(&["--format", "json"]).assert().success());
    assert_eq!(plan["version"], 2);
    assert_eq!(plan["commit"].as_str().unwrap().len(), 40);
    assert_eq!(plan["hosts"].as_array().unwrap().len(), 1);
    let projects = plan["hosts"][0]["projects"].as_array().unwrap();
    let changes: Vec<(&str, &str, &str)> = projects
        .iter()
        .map(|p| (p["name"].as_str().unwrap(), p["path"].as_str().unwrap(), p["change"].as_str().unwrap()))
        .collect();
    assert_eq!(changes, [("blog", "services/blog", "changed"), ("shop", "services/shop", "unchanged")]);
    let blog = &projects[0];
    assert_eq!(
        blog["files"],
        serde_json::json!([{"path": "services/blog/nginx.conf", "change": "modified"}])
    );
    assert_eq!(blog["actions"].as_array().unwrap().len(), 1);
    let action = &blog["actions"][0];
    assert_eq!((&action["kind"], &action["service"]), (&"restart".into(), &"web".into()));
    let reason = &action["reasons"][0];
    assert_eq!((&reason["path"], &reason["line"]), (&"services/blog/nginx.conf".into(), &Value::Null));
    assert_eq!(reason["by"]["line"], 4);
}

#[test]
fn a_shared_file_names_its_readers_alone() {
    let git = Git::new();
    git.write("services/shared/tz", "CET\n");
    git.commit();
    let plan = json(&git.plan(&["--format", "json"]).assert().success());
    assert_eq!(plan["hosts"][0]["projects"][0]["actions"][0]["service"], "web");
    assert_eq!(plan["hosts"][0]["projects"][0]["actions"].as_array().unwrap().len(), 1);
    assert_eq!(plan["hosts"][0]["projects"][1]["actions"], serde_json::json!([]));
}

#[test]
fn the_exit_code_tells_whether_there_is_something_to_do() {
    let git = Git::new();
    git.write("README.md", "more\n");
    git.commit();
    git.plan(&["--exit-code"]).assert().code(0);
    git.write("services/blog/nginx.conf", "x\n");
    git.commit();
    git.plan(&[]).assert().code(0);
    git.plan(&["--exit-code"]).assert().code(10);
    git.plan(&["--exit-code", "--project", "shop"]).assert().code(0);
    git.write("services/blog/compose.yml", "services:\n  web: {imgae: a}\n");
    git.commit();
    git.plan(&["--exit-code"]).assert().code(2);
    git.plan(&["--exit-code", "--head", "HEAD~1", "--base", "HEAD~2"]).assert().failure();
}

#[test]
fn what_cannot_be_had_is_an_error_and_never_nothing_changed() {
    let git = Git::new();
    for args in [
        &["plan", "--base", "nowhere"][..],
        &["plan", "--base", "0000000000000000000000000000000000000000"],
        &["plan", "--project", "nowhere"],
        &["plan", "--head", "nowhere"],
    ] {
        let assert = ghdeploy(git.path()).args(args).assert();
        let output = assert.get_output();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty() && output.stderr.starts_with(b"error"), "{args:?}");
    }
}

#[test]
fn without_a_base_everything_counts_as_added() {
    let git = Git::new();
    let plan = json(&ghdeploy(git.path()).args(["plan", "--format", "json"]).assert().success());
    let changes: Vec<&str> = plan["hosts"][0]["projects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|project| project["change"].as_str().unwrap())
        .collect();
    assert_eq!(changes, ["added", "added"]);
}

#[test]
fn a_removed_folder_is_reported() {
    let git = Git::new();
    fs::remove_dir_all(git.path().join("services/shop")).unwrap();
    git.commit();
    let plan = json(&git.plan(&["--format", "json", "--exit-code"]).assert().success());
    assert_eq!(plan["hosts"][0]["projects"][1]["change"], "removed");
    assert!(
        plan["hosts"][0]["notes"][0]["message"]
            .as_str()
            .unwrap()
            .contains("services/shop is no longer in the repository")
    );
}

/// The folders that come with the project, where nobody else's file can be in the way.
fn own_services() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let status = Process::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "ls-files", "-z", "services"])
        .output()
        .unwrap();
    for path in String::from_utf8(status.stdout).unwrap().split_terminator('\0') {
        let to = copy.path().join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), to).unwrap();
    }
    copy
}

#[test]
fn the_folders_that_come_with_the_project_are_clean() {
    let copy = own_services();
    let report = json(&ghdeploy(copy.path()).args(["check", "--format", "json"]).assert().success());
    let errors: Vec<&Value> = report["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|diagnostic| diagnostic["severity"] == "error")
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(report["projects"], 9);
    let said = text(&ghdeploy(copy.path()).arg("check").assert().success());
    assert!(said.contains("9 projects"), "{said}");
}

#[test]
fn check_names_the_line_and_fails() {
    let git = Git::new();
    git.write("services/blog/compose.yml", "services:\n  web:\n    image: a\n    ports: [http]\n");
    let report = json(&ghdeploy(git.path()).args(["check", "--format", "json"]).assert().code(2));
    let wrong = &report["diagnostics"][0];
    assert_eq!(
        (wrong["at"]["path"].as_str(), wrong["at"]["line"].as_u64()),
        (Some("services/blog/compose.yml"), Some(4))
    );
    let said = text(&ghdeploy(git.path()).arg("check").assert().code(2));
    assert!(said.contains("services/blog/compose.yml:4:"), "{said}");
}

#[test]
fn check_tells_what_is_valid_and_still_goes_wrong() {
    let git = Git::new();
    git.write("services/blog/compose.yml", "services:\n  web:\n    image: nginx\n    container_name: web\n    ports: ['8080:80', '${PORT}:81']\n    volumes: ['./nginx.conf:/etc/nginx.conf', './gone.conf:/gone', './data:/data', './own.env:/env']\n    env_file: .env\n");
    git.write("services/blog/own.env.example", "A=\n");
    let shop = "services:\n  web:\n    image: a:1\n    container_name: web\n    ports: ['127.0.0.1:8080:80', '${PORT}:81']\n  off: {image: a:1, container_name: web, ports: ['8080:80'], profiles: [off]}\nx-ghdeploy:\n  hooks: {before: [{service: web, run: a}, {service: off, run: a}]}\n";
    git.write("services/shop/compose.yml", shop);
    git.write("services/shop/id", "\n-----BEGIN RSA PRIVATE KEY-----\nhunter2\n");
    let assert = ghdeploy(git.path()).args(["check", "--format", "json"]).assert().code(2);
    assert!(!text(&assert).contains("hunter2"));
    let report = json(&assert);
    let line = |found: &Value| {
        let at = &found["at"];
        let place = format!("{}:{}", at["path"].as_str().unwrap(), at["line"]);
        format!("{} {place} {}", found["severity"].as_str().unwrap(), found["message"].as_str().unwrap())
    };
    let found: Vec<String> = report["diagnostics"].as_array().unwrap().iter().map(line).collect();
    insta::assert_snapshot!(found.join("\n"), @"
    error services/shop/compose.yml:4 service `web` of `shop` has the container name `web` of service `web` of `blog`
    error services/shop/compose.yml:5 service `web` of `shop` publishes port 8080/tcp, which service `web` of `blog` publishes too
    warning services/blog/compose.yml:3 the image of service `web` has no tag, which means `latest`
    warning services/blog/compose.yml:6 service `web` mounts services/blog/gone.conf, which is not in the repository
    warning services/blog/compose.yml:7 service `web` takes its variables from services/blog/.env, which is not in the repository
    warning services/shop/compose.yml:8 hook `before` never runs: no profile starts service `off`
    warning services/shop/id:2 a private key is in the repository
    ");
    // One that asks for another host may never meet the other.
    git.write("services/shop/compose.yml", &format!("{shop}  hosts: [db]\n"));
    ghdeploy(git.path()).arg("check").assert().success();
    git.write(
        "ghdeploy.yml",
        "hosts: {web: {ssh: web, projects: [blog]}, db: {ssh: db, projects: [shop]}}\n",
    );
    ghdeploy(git.path()).arg("check").assert().success();
    git.write("ghdeploy.yml", "hosts: {db: {ssh: db}}\n");
    ghdeploy(git.path()).arg("check").assert().code(2);
}

#[test]
fn explain_answers_for_every_sort_of_file() {
    let copy = own_services();
    fs::write(copy.path().join("services/app/.env"), "SECRET=hunter2\n").unwrap();
    let paths = [
        "services/shared/tz.env",
        "services/traefik/dynamic/tls.yml",
        "services/app/src/app.py",
        "services/redis/README.md",
        "services/app/.env",
        "services/nowhere",
    ];
    let answer = ghdeploy(copy.path()).args(["explain", "--format", "json"]).args(paths).assert().success();
    let answer = json(&answer);
    let of = |number: usize| &answer["paths"][number];
    let readers = |number: usize| -> Vec<String> {
        let readers = of(number)["readers"].as_array().unwrap().iter();
        readers
            .map(|r| {
                format!(
                    "{}/{} {} {}",
                    r["project"].as_str().unwrap(),
                    r["service"].as_str().unwrap(),
                    r["how"].as_str().unwrap(),
                    r["kind"].as_str().unwrap()
                )
            })
            .collect()
    };
    // A shared file: every service that extends the common one.
    assert!(
        readers(0).contains(&"redis/redis env_file up".to_owned()) && readers(0).len() >= 12,
        "{:?}",
        readers(0)
    );
    assert_eq!(of(0)["managed"], true);
    // A file that its service watches by itself.
    assert_eq!(readers(1), ["traefik/traefik bind none"]);
    assert_eq!(of(1)["readers"][0]["at"]["path"], "services/traefik/compose.yml");
    // Part of a build context; read by nobody; ignored, but part of the definition; not there.
    assert_eq!(readers(2), ["app/migrate build build"]);
    assert_eq!((readers(3).len(), &of(3)["managed"], &of(3)["known"]), (0, &true.into(), &true.into()));
    assert_eq!((&of(4)["managed"], &of(4)["known"]), (&false.into(), &true.into()));
    assert!(readers(4).contains(&"app/web definition up".to_owned()), "{:?}", readers(4));
    assert_eq!((readers(5).len(), &of(5)["managed"], &of(5)["known"]), (0, &false.into(), &false.into()));
    let said = text(&ghdeploy(copy.path()).arg("explain").args(paths).assert().success());
    assert!(said.contains("services/traefik/compose.yml:") && said.contains("dynamic/tls.yml"), "{said}");
    assert!(!said.contains("hunter2"));
    ghdeploy(copy.path()).args(["explain", "../outside"]).assert().code(2);
}

/// A compose file is of interest to those that it defines, by each line that does.
#[test]
fn explain_names_who_is_defined_by_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = dir.path().join("services").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write(
        "blog/compose.yml",
        "services:\n  web: {image: a, extends: {file: ../base.yml, service: base}}\n  db: {image: b, volumes: ['$DIR/conf:/c']}\n",
    );
    write("blog/compose.override.yml", "services:\n  db: {hostname: db}\n");
    write("blog/conf/a", "");
    write("base.yml", "services:\n  base: {image: c}\n");
    let paths = [
        "services/blog/compose.yml",
        "services/blog/compose.override.yml",
        "services/base.yml",
        "services/blog/conf/a",
    ];
    let said = text(&ghdeploy(dir.path()).arg("explain").args(paths).assert().success());
    insta::assert_snapshot!(said, @r"
    services/blog/compose.yml
      blog/db   definition  services/blog/compose.yml:3  up, if its definition changes
      blog/web  definition  services/blog/compose.yml:2  up, if its definition changes

    services/blog/compose.override.yml
      blog/db  definition  services/blog/compose.override.yml:2  up, if its definition changes

    services/base.yml
      blog/web  definition  services/base.yml:2  up, if its definition changes

    services/blog/conf/a
      blog/db  bind  services/blog/compose.yml:3  restart, only if ${DIR} leads there on the host
    ");
}

#[test]
fn check_tells_of_projects_that_come_after_each_other() {
    let git = Git::new();
    git.write("services/blog/compose.yml", "x-ghdeploy: {after: shop}\nservices: {web: {image: a:1}}\n");
    git.write("services/shop/compose.yml", "x-ghdeploy: {after: blog}\nservices: {web: {image: a:1}}\n");
    let said = text(&ghdeploy(git.path()).arg("check").assert().success());
    assert!(
        said.contains("projects come after each other in a circle: blog after shop after blog"),
        "{said}"
    );
    assert!(said.contains("services/blog/compose.yml:1:21"), "{said}");
}
