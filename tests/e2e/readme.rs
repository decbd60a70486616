//! The commands and snippets of the README.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::act::Workflows;
use crate::bed::{chmod, stdout_of};
use crate::support::program;

const README: &str = include_str!("../../README.md");

/// Code blocks of the README in a language, in order.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut inside = false;
    for line in README.lines() {
        match (inside, line.strip_prefix("```")) {
            (false, Some(found)) if found == language => {
                inside = true;
                blocks.push(String::new());
            }
            (true, Some(_)) => inside = false,
            (true, None) => {
                let block = blocks.last_mut().unwrap();
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

pub(crate) fn block(language: &str, words: &str) -> String {
    let found: Vec<String> = blocks(language).into_iter().filter(|block| block.contains(words)).collect();
    let [block] = <[String; 1]>::try_from(found).unwrap();
    block
}

#[test]
fn the_quick_start_deploys_from_the_key_to_the_container() {
    let mut workflows = Workflows::new("readme");
    let bed = &workflows.bed;
    let (user, port) = (stdout_of(Command::new("id").arg("-un")), bed.sshd.port);
    // Exactly the README's text, except for the address, the port, and the tools that need GitHub or a
    // password.
    let tools = bed.path("tools");
    std::fs::create_dir(&tools).unwrap();
    let stub = |name: &str, does: &str| {
        std::fs::write(tools.join(name), format!("#!/bin/sh\n{does}\n")).unwrap();
        chmod(tools.join(name), 0o755);
    };
    stub("ssh-copy-id", &format!("cat deploy_key.pub >>'{}'", bed.path("ssh/authorized_keys").display()));
    stub(
        "gh",
        &format!(
            "case $5 in '') cat ;; *) printf '%s' \"$5\" ;; esac >'{}/secret.'$3",
            bed.path("").display()
        ),
    );
    let keys =
        block("sh", "ssh-keygen -t ed25519").replace("ssh-keyscan -t", &format!("ssh-keyscan -p {port} -t"));
    let script = format!("set -e\n{keys}{}", block("sh", "gh secret set"))
        .replace("deploy@", &format!("{}@", user.trim()));
    let script = script.replace("203.0.113.10", "127.0.0.1").replace("--body ", "--body '' ");
    let script = script.replace(
        &format!("--body '' {}@127.0.0.1", user.trim()),
        &format!("--body {}@127.0.0.1:{port}", user.trim()),
    );
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    std::fs::write(bed.path("script"), script).unwrap();
    stdout_of(Command::new("sh").arg(bed.path("script")).current_dir(bed.path("tmp")).env("PATH", path));
    assert!(!bed.path("tmp/deploy_key").exists());
    let secret = |name: &str| std::fs::read_to_string(bed.path(&format!("secret.{name}"))).unwrap();
    let (key, known_hosts, host) = (secret("SSH_KEY"), secret("KNOWN_HOSTS"), secret("SSH_HOST"));

    // The workflow of the README, with the root of the test's host.
    bed.write("ghdeploy.yml", "health: {stable_for: 1s}\n");
    let workflow = block("yaml", "runs-on").replace(
        "    steps:\n",
        &format!("    env: {{GHDEPLOY_ROOT: '{}'}}\n    steps:\n", bed.root("").display()),
    );
    bed.write(".github/workflows/deploy.yml", workflow);
    bed.commit();
    workflows.key = key;
    let mut act = workflows.act("push", &json!({}));
    act.args(["-W", ".github/workflows/deploy.yml", "--secret", "SSH_HOST"]);
    act.env("SSH_HOST", host).env("KNOWN_HOSTS", known_hosts).stdin(Stdio::null());
    workflows.run(&mut act).exits(0).prints("2 projects done");
    assert_eq!(workflows.bed.containers().len(), 3);
}

#[test]
fn snippets_of_the_readme_are_valid() {
    let dir = tempfile::tempdir().unwrap();
    let check = |config: &str, compose: &str| {
        let folder = dir.path().join("services/blog");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(dir.path().join("ghdeploy.yml"), config).unwrap();
        std::fs::write(folder.join("compose.yml"), compose).unwrap();
        program::run(program::ghdeploy(dir.path(), dir.path()).arg("check")).exits(0);
    };
    // A project that the snippet about hooks names.
    std::fs::create_dir_all(dir.path().join("services/data")).unwrap();
    std::fs::write(dir.path().join("services/data/compose.yml"), "services: {db: {image: 'a:1'}}").unwrap();
    let compose = "services:\n  web: {image: 'a:1'}\n";
    check(&block("yaml", "stable_for"), compose);
    let reactions = block("yaml", "on-change")
        .replace("  proxy:\n", "  proxy:\n    image: a:1\n")
        .replace("[traefik]", "[]");
    check("hosts: {web: {ssh: a@b}}", &reactions);
    let hooks = block("yaml", "hooks:");
    check("", &format!("{hooks}services:\n  app: {{image: 'a:1'}}\n"));
    for script in blocks("sh") {
        std::fs::write(dir.path().join("script"), script).unwrap();
        stdout_of(Command::new("sh").arg("-n").arg(dir.path().join("script")));
    }
}

#[test]
fn the_readme_lists_the_inputs_and_outputs_of_the_action() {
    let action = include_str!("../../action.yml");
    let part = |name: &str| {
        let inside = action.lines().skip_while(|line| *line != format!("{name}:")).skip(1);
        let inside = inside.take_while(|line| line.is_empty() || line.starts_with(' '));
        let keys = inside.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        keys.map(|line| line.trim().trim_end_matches(':').to_owned()).collect::<Vec<_>>()
    };
    let told = |heading: &str| {
        let rows = README
            .lines()
            .skip_while(|line| *line != heading)
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let first = rows.map(|row| row.split('|').nth(1).unwrap().to_owned());
        first
            .flat_map(|cell| {
                cell.split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
    };
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(told("| input | meaning |")), sorted(part("inputs")));
    assert_eq!(sorted(told("| output | meaning |")), sorted(part("outputs")));
}
