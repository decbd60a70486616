//! Real workflows that `act` runs with the real `action.yml`, a real sshd and Compose as the host, and a fake
//! GitHub.
//!
//! They are the workflows of this repository, unchanged: users copy exactly what is tested here.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::bed::{Bed, stdout_of};
use crate::github::{GitHub, REPOSITORY, TOKEN};
use crate::registry::Registry;
use crate::support::program::{self, Output};
use crate::support::wait;

const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// A value of the host's own `.env`, which must not leave the host.
const HOST_SECRET: &str = "only-the-host-knows";

/// A repository, its host and its GitHub.
pub(crate) struct Workflows {
    pub(crate) bed: Bed,
    pub(crate) github: GitHub,
    /// Private key for the action.
    pub(crate) key: String,
}

/// A folder with a `sh` for steps that stays for a moment when it has done its work: act loses what a step prints
/// if its shell has gone before act reads it from the terminal.
fn lingering_sh(bed: &Bed) -> PathBuf {
    let dir = bed.path("shells");
    std::fs::create_dir_all(&dir).unwrap();
    let script = "#!/bin/bash\n[ \"$1\" = -e ] && [ $# = 2 ] || exec /bin/sh \"$@\"\nexec /bin/bash --posix -e -c 'trap \"sleep 0.3\" EXIT; . \"$0\"' \"$2\"\n";
    std::fs::write(dir.join("sh"), script).unwrap();
    std::fs::set_permissions(dir.join("sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

impl Workflows {
    /// A repository with two projects and the workflows of this repository.
    pub(crate) fn new(test: &str) -> Self {
        let bed = Bed::new(test);
        let user = stdout_of(Command::new("id").arg("-un"));
        bed.write(
            "ghdeploy.yml",
            format!(
                "health: {{stable_for: 1s, timeout: 30s}}\nnotify: {{slack: SLACK_WEBHOOK_URL}}\nhosts:\n  web: {{ssh: '{}@127.0.0.1:{}', root: '{}', url: 'https://side.example.com'}}\n",
                user.trim(),
                bed.sshd.port,
                bed.root("").display()
            ),
        );
        bed.compose(
            "blog",
            "services:\n  web: {<<: *s, volumes: ['./web.conf:/web.conf:ro']}\n  db: {<<: *s}",
        );
        bed.compose("shop", "services:\n  web: {<<: *s}");
        bed.write("services/blog/web.conf", "one");
        for name in ["deploy.yml", "plan.yml", "comment.yml"] {
            let path = format!(".github/workflows/{name}");
            bed.write(&path, std::fs::read(Path::new(TOP).join(&path)).unwrap());
        }
        bed.git(&["remote", "add", "origin", &format!("https://github.com/{REPOSITORY}.git")]);
        bed.commit();
        let key = std::fs::read_to_string(bed.sshd.client_key()).unwrap();
        export(&bed.path("action"));
        Self { bed, github: GitHub::start(), key }
    }

    /// `act` for an event, in a clean environment.
    pub(crate) fn act(&self, event: &str, payload: &Value) -> Command {
        self.act_with(event, payload, &["SSH_KEY", "KNOWN_HOSTS", "GITHUB_TOKEN", "SLACK_WEBHOOK_URL"])
    }

    /// `act` for an event, in a clean environment, with these secrets. Any other secret is empty.
    fn act_with(&self, event: &str, payload: &Value, secrets: &[&str]) -> Command {
        let bed = &self.bed;
        std::fs::write(bed.path("event.json"), payload.to_string()).unwrap();
        std::fs::create_dir_all(bed.path("act")).unwrap();
        let known_hosts = std::fs::read_to_string(bed.sshd.known_hosts()).unwrap();
        let mut act = Command::new("act");
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", lingering_sh(bed).display());
        act.current_dir(bed.path("repo")).env_clear().env("PATH", path);
        act.env("HOME", bed.path("home"))
            .env("XDG_CACHE_HOME", bed.path("act"))
            .env("TMPDIR", bed.path("tmp"));
        act.args([event, "--no-cache-server", "--actor", "ann", "--eventpath"]).arg(bed.path("event.json"));
        act.args(["--platform", "ubuntu-24.04=-self-hosted"]);
        // All users see the arguments of act, so secrets are in its environment.
        act.env("SSH_KEY", &self.key).env("KNOWN_HOSTS", known_hosts).env("GITHUB_TOKEN", TOKEN);
        act.env("SLACK_WEBHOOK_URL", self.github.hook("hunter2hunter2"));
        for secret in secrets {
            act.args(["--secret", secret]);
        }
        act.args(["--env", &format!("GITHUB_API_URL={}", self.github.api())]);
        act.args(["--env", concat!("GHDEPLOY_BINARY=", env!("CARGO_BIN_EXE_ghdeploy"))]);
        for action in BTreeSet::from([pinned("ghdeploy/ghdeploy"), callable()]) {
            act.arg("--local-repository").arg(format!("{action}={}", bed.path("action").display()));
        }
        cache(bed, &mut act);
        act
    }

    pub(crate) fn run(&self, act: &mut Command) -> Output {
        self.clean(self.bed.guarding(|| program::run(act)))
    }

    /// Parts of secrets that must not appear anywhere.
    fn secrets(&self) -> Vec<String> {
        // The first line is the same in every key.
        let key =
            self.key.lines().filter(|line| !line.starts_with("-----")).skip(1).filter(|line| line.len() > 20);
        key.chain([TOKEN, "hunter2hunter2", HOST_SECRET]).map(|line| line.trim().to_owned()).collect()
    }

    /// Asserts that no secret was printed, sent or left on the disk.
    #[track_caller]
    fn clean(&self, ran: Output) -> Output {
        let sent = format!("{:?}", self.github.state().requests);
        for secret in &self.secrets() {
            assert!(!ran.all().contains(secret.as_str()), "{secret} is in the log: {}", ran.all());
            // The address of the hook is itself a secret.
            assert!(
                !sent.replace("/hook/hunter2hunter2", "").contains(secret.as_str()),
                "{secret} was sent: {sent}"
            );
        }
        for entry in
            ["act", "tmp", "home"].iter().flat_map(|dir| walkdir::WalkDir::new(self.bed.path(dir))).flatten()
        {
            let text = std::fs::read(entry.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let found = self.secrets().into_iter().find(|secret| text.contains(secret.as_str()));
            assert!(found.is_none(), "{found:?} was left in {}", entry.path().display());
        }
        ran
    }

    /// Adds a workflow, and commits.
    fn workflow(&self, name: &str, text: &str) -> &Self {
        self.bed.write(&format!(".github/workflows/{name}"), text);
        self.bed.commit();
        self
    }

    pub(crate) fn head(&self) -> String {
        self.bed.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.bed.path(name)).unwrap_or_default()
    }
}

/// Copies the action as a runner has it after a checkout.
fn export(to: &Path) {
    for file in ["action.yml", ".github/action", ".github/workflows", "Cargo.toml"] {
        let to = to.join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        stdout_of(Command::new("cp").arg("-r").arg(Path::new(TOP).join(file)).arg(to));
    }
}

/// An action as the workflows and the action name it: `OWNER/NAME@SHA`.
fn pinned(action: &str) -> String {
    let mut texts = walkdir::WalkDir::new(Path::new(TOP).join(".github/workflows"))
        .into_iter()
        .flatten()
        .map(|entry| entry.path().to_owned())
        .chain([Path::new(TOP).join("action.yml")])
        .filter_map(|path| std::fs::read_to_string(path).ok());
    let name = format!("{action}@");
    let found = texts.find_map(|text| {
        let at = text.find(&name)?;
        text[at..].split_whitespace().next().map(str::to_owned)
    });
    found.unwrap_or_else(|| panic!("nothing uses {action}"))
}

/// The commit of this repository whose workflows the README calls: `OWNER/NAME@SHA`.
fn callable() -> String {
    let block = crate::readme::block("yaml", "/.github/workflows/deploy.yml@");
    let commit = block.split("deploy.yml@").nth(1).unwrap().split_whitespace().next().unwrap();
    format!("ghdeploy/ghdeploy@{commit}")
}

/// Replaces GitHub's cache by a folder of the test. act fetches an action even if its step is skipped.
fn cache(bed: &Bed, act: &mut Command) {
    let (dir, store) = (bed.path("actions/cache"), bed.path("cached"));
    std::fs::create_dir_all(&store).unwrap();
    for (name, does) in [
        ("restore", "if [ -e \"$STORE/$KEY\" ]; then mkdir -p \"$FILE\"; cp \"$STORE/$KEY/\"* \"$FILE\"; fi"),
        ("save", "cp -r \"$FILE\" \"$STORE/$KEY\""),
    ] {
        let action = format!(
            "name: x\ndescription: x\ninputs:\n  path: {{required: true}}\n  key: {{required: true}}\nruns:\n  using: composite\n  steps:\n    - shell: sh\n      env: {{FILE: '${{{{ inputs.path }}}}', KEY: '${{{{ inputs.key }}}}', STORE: '{}'}}\n      run: {does}\n",
            store.display()
        );
        std::fs::create_dir_all(dir.join(name)).unwrap();
        std::fs::write(dir.join(name).join("action.yml"), action).unwrap();
    }
    let (_, commit) =
        pinned("actions/cache/restore").split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    act.arg("--local-repository").arg(format!("actions/cache@{commit}={}", dir.display()));
}

/// A job that uses the action of the repository and keeps its outputs.
fn job(on: &str, bed: &Bed, with: &str) -> String {
    let kept = bed.path("outputs.json");
    let checkout = pinned("actions/checkout");
    format!(
        "on: {on}\njobs:\n  x:\n    runs-on: ubuntu-24.04\n    outputs: {{projects: '${{{{ steps.x.outputs.projects }}}}', changed: '${{{{ steps.x.outputs.changed }}}}'}}\n    steps:\n      - uses: {checkout}\n      - uses: ./\n        id: x\n        with: {with}\n      - if: always()\n        env: {{OUTPUTS: '${{{{ toJSON(steps.x.outputs) }}}}'}}\n        run: printf '%s' \"$OUTPUTS\" >'{}'\n",
        kept.display()
    )
}

#[test]
fn a_push_deploys_a_failing_deploy_is_rolled_back_and_a_dispatch_follows_its_inputs() {
    let workflows = Workflows::new("actdeploy");
    let bed = &workflows.bed;
    workflows
        .run(
            workflows
                .act("push", &json!({"ref": "refs/heads/main"}))
                .args(["-W", ".github/workflows/deploy.yml"]),
        )
        .exits(0);
    let first = bed.containers();
    assert_eq!(first.len(), 3, "{first:?}");
    assert_eq!(
        workflows.github.state().states.values().cloned().collect::<Vec<_>>(),
        [["success", "in_progress"]]
    );
    assert_eq!(workflows.github.state().deployments[0]["environment"], "web");
    assert!(workflows.github.state().hooks[0].to_string().contains("web: 2 projects done"));

    // One changed file restarts one service.
    bed.write("services/blog/web.conf", "two");
    bed.commit();
    workflows.run(workflows.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"])).exits(0);
    let fates = crate::bed::observe::fates(&first, &bed.containers());
    let restarted: Vec<&str> =
        fates.iter().filter(|(_, fate)| **fate != "same").map(|(name, _)| name.as_str()).collect();
    assert_eq!(restarted, ["blog/web"], "{fates:?}");

    // A service stays unhealthy: the job fails, the host is as before, and the log has the reason.
    let compose = std::fs::read_to_string(bed.repo("services/shop/compose.yml")).unwrap();
    bed.write(
        "services/shop/compose.yml",
        compose.replace("sleep 100000", "sh -c 'echo out of luck; exit 3'"),
    );
    bed.commit();
    let before = bed.containers();
    workflows
        .run(workflows.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"]))
        .exits(1)
        .prints("out of luck")
        .prints("rolled back")
        .prints("::error")
        .prints("services/shop/compose.yml");
    let after = bed.containers();
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert_eq!(workflows.github.state().states.values().last().unwrap(), &["failure", "in_progress"]);
    bed.write("services/shop/compose.yml", &compose);

    // A dry run by hand changes nothing and notifies no one.
    bed.write("services/blog/web.conf", "three");
    bed.commit();
    let dispatch = |inputs: &Value| {
        let mut act = workflows.act("workflow_dispatch", &json!({"inputs": inputs}));
        act.args(["-W", ".github/workflows/deploy.yml"]);
        workflows.run(&mut act)
    };
    let asked = workflows.github.requests().len();
    dispatch(&json!({"dry-run": "true"})).exits(0).prints("restart");
    assert_eq!((bed.on_host("blog/web.conf").as_str(), workflows.github.requests().len()), ("two", asked));
    dispatch(&json!({"project": "shop", "dry-run": "false"})).exits(0);
    assert_eq!(bed.on_host("blog/web.conf"), "two");
    dispatch(&json!({"host": "web", "force": "true", "project": "blog"})).exits(0);
    assert_eq!(bed.on_host("blog/web.conf"), "three");
    dispatch(&json!({"rollback-to": "previous"})).exits(0).prints("a rollback to release");
    assert_eq!(bed.on_host("blog/web.conf"), "two");
    dispatch(&json!({"host": "nowhere"})).exits(1);
}

#[test]
fn a_pull_request_gets_its_plan_as_a_comment_and_in_the_summary() {
    let workflows = Workflows::new("actplan");
    let bed = &workflows.bed;
    bed.git(&["checkout", "-q", "-b", "topic"]);
    bed.write("services/blog/web.conf", "two");
    bed.commit();
    let head = workflows.head();
    bed.git(&["checkout", "-q", "main"]);
    bed.write("services/shop/other", "x");
    bed.commit();
    let base = workflows.head();
    bed.git(&["merge", "-q", "--no-ff", "-m", "merge", "topic"]);
    workflows.github.state().heads.insert(7, head.clone());
    let repo = |id: u64, name: &str| json!({"id": id, "full_name": name});
    let pull = |fork: Value| json!({"pull_request": {"number": 7, "base": {"sha": base, "repo": repo(1, REPOSITORY)}, "head": {"sha": head, "repo": fork}}});
    let plan = |payload: &Value| {
        let mut act = workflows.act("pull_request", payload);
        act.args(["-W", ".github/workflows/plan.yml"]);
        for (name, does) in ARTIFACTS {
            artifacts(bed, name, does, &mut act);
        }
        workflows.run(&mut act)
    };
    plan(&pull(repo(1, REPOSITORY)))
        .exits(0)
        .prints("commented on #7")
        .prints("### ghdeploy: 1 project changes");
    let body = workflows.github.state().bodies(7)[0].to_owned();
    assert!(
        body.contains("| `blog` | changed, 1 file | restart `web` |") && !body.contains("`shop`"),
        "{body}"
    );

    // The run of a fork may not write and hands its plan over; the following run posts it where GitHub says.
    workflows.github.state().comments.clear();
    workflows.github.state().forks.insert(7, "bob/side".to_owned());
    plan(&pull(repo(2, "bob/side"))).exits(0).never_prints("commented on #7");
    assert!(workflows.github.state().bodies(7).is_empty());
    assert!(workflows.read("handed-over/plan.json").contains("\"version\""));
    let payload = json!({"workflow_run": {"id": 1, "event": "pull_request", "conclusion": "success", "head_sha": head,
        "head_repository": {"full_name": "bob/side"}, "pull_requests": []}});
    bed.git(&["checkout", "-q", "--detach", &base]);
    let mut act = workflows.act("workflow_run", &payload);
    act.args(["-W", ".github/workflows/comment.yml"]);
    for (name, does) in ARTIFACTS {
        artifacts(bed, name, does, &mut act);
    }
    workflows.run(&mut act).exits(0).prints("commented on #7");
    let state = workflows.github.state();
    assert!(state.bodies(7)[0].contains("made by the code of the pull request itself"));
}

/// GitHub's actions for artifacts, and what replaces them here: its servers are a folder.
const ARTIFACTS: [(&str, &str); 2] = [
    ("actions/upload-artifact", "cp $FILE \"$STORE\""),
    ("actions/download-artifact", "mkdir -p \"$FILE\" && cp \"$STORE\"/* \"$FILE\""),
];

/// Replaces one of GitHub's actions. `does` finds its input `path` in `$FILE`, and a folder of the test in `$STORE`.
fn artifacts(bed: &Bed, name: &str, does: &str, act: &mut Command) {
    let (dir, store) = (bed.path(name), bed.path("handed-over"));
    std::fs::create_dir_all(&store).unwrap();
    std::fs::create_dir_all(&dir).unwrap();
    let inputs =
        ["name", "path", "retention-days", "run-id", "github-token", "merge-multiple", "if-no-files-found"]
            .map(|input| format!("  {input}: {{required: false}}\n"));
    let action = format!(
        "name: x\ndescription: x\ninputs:\n{}runs:\n  using: composite\n  steps:\n    - shell: sh\n      env: {{FILE: '${{{{ inputs.path }}}}', STORE: '{}'}}\n      run: {does}\n",
        inputs.concat(),
        store.display()
    );
    std::fs::write(dir.join("action.yml"), action).unwrap();
    act.arg("--local-repository").arg(format!("{}={}", pinned(name), dir.display()));
}

#[test]
fn outputs_feed_a_matrix_and_hostile_names_cannot_inject_anything() {
    let workflows = Workflows::new("actmatrix");
    let bed = &workflows.bed;
    export(&bed.repo(""));
    std::fs::remove_dir_all(bed.repo(".github/workflows")).unwrap();
    let more = format!(
        "  y:\n    needs: x\n    if: needs.x.outputs.changed == 'true'\n    runs-on: ubuntu-24.04\n    strategy: {{matrix: {{project: '${{{{ fromJSON(needs.x.outputs.projects) }}}}'}}}}\n    steps:\n      - env: {{PROJECT: '${{{{ matrix.project }}}}'}}\n        run: printf '%s\\n' \"$PROJECT\" >>'{}'\n",
        bed.path("matrix").display()
    );
    workflows.workflow("x.yml", &(job("merge_group", bed, "{command: plan}") + &more));
    let base = workflows.head();
    let hostile = "a\n::set-output name=changed::false\n%0A$(touch owned)`touch owned`";
    bed.write(&format!("services/{hostile}/compose.yml"), "services:\n  web: {image: 'a:1'}\n");
    bed.write("services/shop/new", "x");
    bed.commit();
    let payload = json!({"merge_group": {"base_sha": base, "head_sha": workflows.head()}});
    workflows.run(&mut workflows.act("merge_group", &payload)).exits(0);
    let outputs: Value = serde_json::from_str(&workflows.read("outputs.json")).unwrap();
    assert_eq!(
        outputs["projects"].as_str().map(|text| serde_json::from_str::<Value>(text).unwrap()),
        Some(json!([hostile, "shop"]))
    );
    assert_eq!((&outputs["changed"], &outputs["result"]), (&json!("true"), &json!("planned")));
    let ran: BTreeSet<String> = workflows.read("matrix").split("\nshop\n").map(str::to_owned).collect();
    assert!(
        workflows.read("matrix").contains(hostile) && workflows.read("matrix").contains("shop\n"),
        "{ran:?}"
    );
    assert_eq!(ran_find(bed, "owned"), "");
    // Without a change the matrix is empty.
    let _ = std::fs::remove_file(bed.path("matrix"));
    let payload = json!({"merge_group": {"base_sha": workflows.head(), "head_sha": workflows.head()}});
    workflows.run(&mut workflows.act("merge_group", &payload)).exits(0);
    let outputs: Value = serde_json::from_str(&workflows.read("outputs.json")).unwrap();
    assert_eq!(
        (&outputs["changed"], &outputs["projects"], &outputs["result"]),
        (&json!("false"), &json!("[]"), &json!("unchanged"))
    );
    assert_eq!(workflows.read("matrix"), "");
}

fn ran_find(bed: &Bed, name: &str) -> String {
    stdout_of(
        Command::new("find").args([bed.path("repo"), bed.path("act"), bed.path("tmp")]).args(["-name", name]),
    )
}

#[test]
fn the_working_directory_may_be_a_subfolder_and_a_push_compares_with_the_commit_before_it() {
    let workflows = Workflows::new("actfolder");
    let bed = &workflows.bed;
    export(&bed.repo(""));
    std::fs::remove_dir_all(bed.repo(".github/workflows")).unwrap();
    std::fs::create_dir_all(bed.repo("infra")).unwrap();
    bed.git(&["mv", "services", "ghdeploy.yml", "infra"]);
    let with = "{command: plan, working-directory: infra, args: '--project \"sh?p\" --project blog'}";
    workflows.workflow("x.yml", &job("push", bed, with));
    let before = workflows.head();
    bed.write("infra/services/shop/compose.yml", "services:\n  web:\n    image: a:1\n    ports: [x]\n");
    bed.commit();
    let ran = workflows
        .run(&mut workflows.act("push", &json!({"before": before, "after": workflows.head()})))
        .exits(1);
    // The annotation names the file relative to the runner's workspace.
    ran.prints("file=infra/services/shop/compose.yml,line=4,col=13");
    let outputs: Value = serde_json::from_str(&workflows.read("outputs.json")).unwrap();
    assert_eq!((&outputs["projects"], &outputs["result"]), (&json!("[\"shop\"]"), &json!("blocked")));
}

#[test]
fn a_cancelled_run_leaves_no_key_and_the_next_one_finishes_its_work() {
    let workflows = Workflows::new("actcancel");
    let bed = &workflows.bed;
    workflows.run(workflows.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"])).exits(0);
    bed.write("services/blog/web.conf", "two");
    bed.commit();
    let restart = bed.hold("docker", "restart");
    let mut act = workflows.act("push", &json!({}));
    act.args(["-W", ".github/workflows/deploy.yml"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = act.spawn().unwrap();
    restart.wait();
    let seen = arguments_with(&workflows.secrets());
    stdout_of(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let output = ended(&mut child);
    assert!(!output.contains(workflows.key.lines().nth(1).unwrap()), "{output}");
    assert_eq!(seen, [""; 0]);
    wait::until("the agent ends", || agents(bed) == 0);
    restart.release();
    bed.settle();
    bed.restore_docker();
    workflows.run(workflows.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"])).exits(0);
    assert_eq!(bed.inside("blog/web", &["cat", "/web.conf"]), "two");
}

fn ended(child: &mut Child) -> String {
    let mut text = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut text).unwrap();
    child.wait().unwrap();
    text
}

/// Number of running agents of this bed.
fn agents(bed: &Bed) -> usize {
    let list = Command::new("pgrep").args(["-af", "--", "ssh-agent -a"]).output().unwrap();
    let ours = bed.path("").display().to_string();
    String::from_utf8(list.stdout).unwrap().lines().filter(|line| line.contains(&ours)).count()
}

/// Arguments of all processes that contain a secret.
fn arguments_with(secrets: &[String]) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let arguments = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let arguments = arguments.map(|arguments| String::from_utf8_lossy(&arguments).into_owned());
    arguments.filter(|arguments| secrets.iter().any(|secret| arguments.contains(secret))).collect()
}

#[test]
fn no_process_has_a_secret_among_its_arguments() {
    let workflows = Workflows::new("actargv");
    let secrets = workflows.secrets();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut looks = 0;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(arguments_with(&secrets), [""; 0]);
                looks += 1;
            }
            looks
        });
        workflows
            .run(workflows.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"]))
            .exits(0);
        stop.store(true, Ordering::Relaxed);
        assert!(watch.join().unwrap() > 20);
    });
}

#[test]
fn a_damaged_key_is_reported_without_showing_it() {
    let mut workflows = Workflows::new("actkey");
    let whole = workflows.key.clone();
    workflows.key = whole.replace('\n', "\r\n").trim_end().to_owned();
    workflows
        .run(workflows.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"]))
        .exits(0)
        .prints("note: the private key had Windows line ends");
    workflows.key = whole[..whole.len() - 60].to_owned();
    workflows
        .run(workflows.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"]))
        .exits(1)
        .prints("the private key is cut off");
}

#[test]
fn an_empty_secret_stops_the_deploy_as_that() {
    let workflows = Workflows::new("actempty");
    let push = |secrets: &[&str]| {
        let mut act = workflows.act_with("push", &json!({}), secrets);
        act.args(["-W", ".github/workflows/deploy.yml"]);
        workflows.run(&mut act)
    };
    push(&["GITHUB_TOKEN", "KNOWN_HOSTS", "SLACK_WEBHOOK_URL"])
        .exits(1)
        .prints("`ssh-key` is empty: its secret does not exist, or this run does not get it")
        .prints("check the spelling of the secret's name");
    push(&["GITHUB_TOKEN"]).exits(1).prints("`ssh-key` and `known-hosts` are empty");
    assert!(!workflows.bed.root("blog/compose.yml").exists());
    assert_eq!(workflows.bed.sshd.logins_and_commands().0, 0);
    // An address that nobody set costs the notification alone.
    push(&["GITHUB_TOKEN", "SSH_KEY", "KNOWN_HOSTS"])
        .exits(0)
        .prints("no Slack notification: the variable SLACK_WEBHOOK_URL is empty");
    assert!(workflows.bed.root("blog/compose.yml").exists());
}

#[test]
fn a_chain_without_its_key_builds_what_is_tested_and_deploys_nothing() {
    let (workflows, registry) = (Workflows::new("actnokey"), Registry::start());
    let bed = &workflows.bed;
    chain(&workflows, &registry, "@echo all well");
    plugins(bed);
    let act =
        workflows.act_with("push", &json!({"before": NOTHING_BEFORE}), &["KNOWN_HOSTS", "GITHUB_TOKEN"]);
    push_by(&workflows, &registry, act)
        .exits(1)
        .prints("1 image built")
        .prints("error: `ssh-key` is empty: its secret does not exist, or this run does not get it");
    assert_eq!(registry.tags("ann/app").len(), 3);
    assert_eq!(bed.sshd.logins_and_commands().0, 0);
    assert!(!bed.root("app/compose.yml").exists() && bed.containers().is_empty());
    // With the secret, the next run deploys what was built.
    push(&workflows, &registry, NOTHING_BEFORE).exits(0).prints("3 projects done");
    assert_eq!(bed.inside("app/web", &["cat", "/page"]), "one");
}

#[test]
fn a_run_that_never_began_has_the_result_failed_and_a_closed_gate() {
    let workflows = Workflows::new("actnone");
    let bed = &workflows.bed;
    export(&bed.repo(""));
    std::fs::remove_dir_all(bed.repo(".github/workflows")).unwrap();
    workflows.workflow("x.yml", &job("push", bed, "{command: gate}"));
    let mut act = workflows.act("push", &json!({}));
    act.args(["--env", "GHDEPLOY_BINARY=/nowhere/ghdeploy"]);
    workflows.run(&mut act).exits(1).prints("GHDEPLOY_BINARY names no program: /nowhere/ghdeploy");
    let outputs: Value = serde_json::from_str(&workflows.read("outputs.json")).unwrap();
    assert_eq!((&outputs["result"], &outputs["gate"]), (&json!("failed"), &json!("closed")));
    // A command that shows something has a result of its own.
    let local = format!("{{command: history, host: 'local:{}'}}", bed.path("elsewhere").display());
    workflows.workflow("x.yml", &job("push", bed, &local));
    workflows.run(&mut workflows.act("push", &json!({}))).exits(0);
    let outputs: Value = serde_json::from_str(&workflows.read("outputs.json")).unwrap();
    assert_eq!((&outputs["result"], &outputs["gate"]), (&json!("done"), &json!("")));
}

/// Adds the workflow of tests, gate, images and deploy. `tests` is the command of the tests.
pub(crate) fn chain(workflows: &Workflows, registry: &Registry, tests: &str) {
    let bed = &workflows.bed;
    let config = std::fs::read_to_string(bed.repo("ghdeploy.yml")).unwrap();
    bed.write("ghdeploy.yml", format!("{config}gate: {{require_tested: true, timeout: 2s}}\n"));
    bed.compose(
        "app",
        &format!("services:\n  web: {{<<: *s, build: ., image: '{}/ann/app:main'}}", registry.address()),
    );
    bed.write("services/app/Dockerfile", "FROM ghdeploy-test/busybox:1\nCOPY page /page\n");
    bed.write("services/app/page", "one");
    bed.write("Makefile", format!("test:\n\t{tests}\n"));
    let workflow = std::fs::read_to_string(Path::new(TOP).join(".github/workflows/build.yml")).unwrap();
    bed.write(".github/workflows/build.yml", workflow);
    bed.commit();
}

/// Runs that workflow by a push.
pub(crate) fn push(workflows: &Workflows, registry: &Registry, before: &str) -> Output {
    push_by(workflows, registry, workflows.act("push", &json!({"before": before})))
}

/// The same, by this call of act.
fn push_by(workflows: &Workflows, registry: &Registry, mut act: Command) -> Output {
    act.args(["-W", ".github/workflows/build.yml", "--var", &format!("REGISTRY={}", registry.address())]);
    // A configuration of Docker for this test alone.
    act.env("DOCKER_CONFIG", workflows.bed.path("docker-config"));
    act.args(["--env", &format!("DOCKER_CONFIG={}", workflows.bed.path("docker-config").display())]);
    workflows.run(&mut act)
}

pub(crate) const NOTHING_BEFORE: &str = "0000000000000000000000000000000000000000";

#[test]
fn tested_code_is_built_and_the_built_image_is_what_runs() {
    let (workflows, registry) = (Workflows::new("actchain"), Registry::start());
    let bed = &workflows.bed;
    chain(&workflows, &registry, "@echo all well");
    plugins(bed);
    push(&workflows, &registry, NOTHING_BEFORE).exits(0).prints("1 image built").prints("3 projects done");
    let short = format!("sha-{}", &workflows.head()[..12]);
    assert_eq!(registry.tags("ann/app"), ["latest", "main", &short]);
    assert_eq!(bed.inside("app/web", &["cat", "/page"]), "one");
    // The outcome names the pushed digest and the tested commit.
    let first = workflows.head();
    bed.write("services/app/page", "two");
    bed.commit();
    let ran = push(&workflows, &registry, &first).exits(0);
    let (digest, commit) = (registry.digest("ann/app", "main"), workflows.head());
    let line = format!("/ann/app:main  {}  commit {}", &digest["sha256:".len()..][..10], &commit[..10]);
    ran.prints(&line);
    assert_eq!(bed.inside("app/web", &["cat", "/page"]), "two");
    assert_eq!(registry.label("ann/app", "main", "org.opencontainers.image.revision"), commit);
    // A commit that does not change the image deploys without a build and without a restart.
    bed.write("services/blog/web.conf", "new");
    bed.commit();
    let before = bed.containers();
    push(&workflows, &registry, &commit).exits(0).prints("no image needs to be built");
    assert_eq!(before["app/web"].id, bed.containers()["app/web"].id);
    // An untested image is not deployed, and the host builds nothing.
    bed.write("services/app/page", "three");
    bed.commit();
    bed.call(["sync", "--ssh-key", &bed.sshd.client_key().display().to_string()])
        .without_host()
        .known_hosts(Some(&bed.sshd.known_hosts()))
        .run()
        .exits(5)
        .prints(&format!(
            "is not the one that was tested for this commit: it was built from commit {commit}"
        ));
    assert_eq!(bed.inside("app/web", &["cat", "/page"]), "two");
}

/// Makes the folder of this test's Docker configuration.
pub(crate) fn plugins(bed: &Bed) {
    std::fs::create_dir_all(bed.path("docker-config")).unwrap();
}

#[test]
fn failed_skipped_or_missing_tests_leave_no_image_and_no_deploy() {
    let (workflows, registry) = (Workflows::new("actclosed"), Registry::start());
    let bed = &workflows.bed;
    chain(&workflows, &registry, "@echo broken; exit 1");
    plugins(bed);
    let none = |why: &str| {
        assert!(registry.tags("ann/app").is_empty(), "{why}: {:?}", registry.tags("ann/app"));
        assert!(!bed.root("app/compose.yml").exists(), "{why}: it was deployed");
    };
    push(&workflows, &registry, NOTHING_BEFORE)
        .exits(1)
        .prints("the jobs that this one needs: `test` failure");
    none("a test fails");
    let workflow = std::fs::read_to_string(bed.repo(".github/workflows/build.yml")).unwrap();
    let skipped = workflow.replacen(
        "    if: github.repository != 'ghdeploy/ghdeploy' && !inputs.needs\n",
        "    if: false\n",
        1,
    );
    bed.write(".github/workflows/build.yml", skipped).write("Makefile", "test:\n\t@echo all well\n");
    bed.commit();
    push(&workflows, &registry, NOTHING_BEFORE).exits(1).prints("`test` skipped");
    none("the tests are skipped");
    // Checks of other workflows are required too: one is missing, one was cancelled.
    let config = std::fs::read_to_string(bed.repo("ghdeploy.yml")).unwrap();
    bed.write(".github/workflows/build.yml", &workflow);
    bed.write("ghdeploy.yml", config.replace("timeout: 2s", "timeout: 2s, checks: ['e2e*']"));
    bed.commit();
    push(&workflows, &registry, NOTHING_BEFORE).exits(1).prints("check `e2e*`: no check matches");
    none("a check is missing");
    let check = |conclusion: &str| json!({"id": 1, "name": "e2e (1)", "head_sha": workflows.head(), "status": "completed", "conclusion": conclusion, "check_suite": {"id": 5}});
    workflows.github.state().checks = vec![check("cancelled")];
    push(&workflows, &registry, NOTHING_BEFORE).exits(1).prints("`e2e (1)` cancelled");
    none("a job was cancelled");
    workflows.github.state().checks = vec![check("success")];
    push(&workflows, &registry, NOTHING_BEFORE).exits(0).prints("1 image built");
    assert_eq!(registry.tags("ann/app").len(), 3);
}

/// A repository whose workflows call those of this one, as the README says.
fn calling(test: &str, workflow: &str) -> Workflows {
    let workflows = Workflows::new(test);
    let bed = &workflows.bed;
    std::fs::remove_dir_all(bed.repo(".github/workflows")).unwrap();
    let caller = crate::readme::block("yaml", &format!("/.github/workflows/{workflow}.yml@"));
    bed.write(&format!(".github/workflows/{workflow}.yml"), caller);
    bed.commit();
    workflows
}

#[test]
fn eight_lines_deploy_and_their_inputs_are_obeyed() {
    let workflows = calling("actcall", "deploy");
    let bed = &workflows.bed;
    let path = ".github/workflows/deploy.yml";
    let caller = std::fs::read_to_string(bed.repo(path)).unwrap();
    assert_eq!(caller.lines().count(), 8, "{caller}");
    let push = || workflows.run(workflows.act("push", &json!({"ref": "refs/heads/main"})).args(["-W", path]));
    push().exits(0).prints("2 projects done");
    assert_eq!(bed.containers().len(), 3);
    assert_eq!(workflows.github.state().deployments[0]["environment"], "web");
    bed.write("services/blog/web.conf", "two");
    bed.write("services/shop/new", "x");
    let secrets = "    secrets: {SSH_KEY";
    let with = |inputs: &str| {
        bed.write(path, caller.replacen(secrets, &format!("    with: {{{inputs}}}\n{secrets}"), 1));
        bed.commit();
    };
    with("dry-run: true");
    push().exits(0).prints("restart");
    assert_eq!(bed.on_host("blog/web.conf"), "one");
    with("project: blog, force: true, args: '--lock-wait 1m --parallel 1'");
    push().exits(0).prints("1 project done");
    assert_eq!((bed.on_host("blog/web.conf").as_str(), bed.root("shop/new").exists()), ("two", false));
    with("rollback-to: previous");
    push().exits(0).prints("a rollback to release");
    assert_eq!(bed.on_host("blog/web.conf"), "one");
    // An input that a rollback has no use for is not ignored.
    with("rollback-to: previous, force: true");
    push().exits(1).prints("the input `force` has no effect on this command, only on: sync");
}

#[test]
fn eight_lines_plan_a_pull_request() {
    let workflows = calling("actcallplan", "plan");
    let bed = &workflows.bed;
    let base = workflows.head();
    bed.git(&["checkout", "-q", "-b", "topic"]);
    bed.write("services/blog/web.conf", "two");
    bed.commit();
    let head = workflows.head();
    bed.git(&["checkout", "-q", "main"]);
    bed.git(&["merge", "-q", "--no-ff", "-m", "merge", "topic"]);
    workflows.github.state().heads.insert(7, head.clone());
    let repo = json!({"id": 1, "full_name": REPOSITORY});
    let payload = json!({"pull_request": {"number": 7, "base": {"sha": base, "repo": repo}, "head": {"sha": head, "repo": repo}}});
    let mut act = workflows.act("pull_request", &payload);
    act.args(["-W", ".github/workflows/plan.yml"]);
    for (name, does) in ARTIFACTS {
        artifacts(bed, name, does, &mut act);
    }
    workflows.run(&mut act).exits(0).prints("commented on #7");
    assert!(workflows.github.state().bodies(7)[0].contains("| `blog` | changed, 1 file | restart `web` |"));
}

#[test]
fn a_called_build_judges_its_own_tests_or_the_jobs_of_its_caller() {
    let (workflows, registry) = (calling("actcallbuild", "build"), Registry::start());
    let bed = &workflows.bed;
    let path = ".github/workflows/build.yml";
    let caller = std::fs::read_to_string(bed.repo(path)).unwrap();
    chain(&workflows, &registry, "@echo all well");
    plugins(bed);
    bed.write(path, &caller);
    bed.commit();
    push(&workflows, &registry, NOTHING_BEFORE).exits(0).prints("1 image built").prints("3 projects done");
    // Jobs of the caller instead: after a failed one, the gate is closed and nothing is deployed.
    let own = |tests: &str| {
        let job = format!("jobs:\n  unit:\n    runs-on: ubuntu-24.04\n    steps: [{{run: {tests}}}]\n");
        let needs =
            "    needs: unit\n    if: ${{ !cancelled() }}\n    with: {needs: '${{ toJSON(needs) }}'}\n";
        bed.write(
            path,
            caller.replacen("jobs:\n", &job, 1).replacen("    with: {test: make test}\n", needs, 1),
        );
        bed.write("services/app/page", tests);
        bed.commit();
    };
    let tags = registry.tags("ann/app");
    let before = workflows.head();
    own("exit 1");
    push(&workflows, &registry, &before).exits(1).prints("`unit` failure");
    assert_eq!((registry.tags("ann/app"), bed.inside("app/web", &["cat", "/page"]).as_str()), (tags, "one"));
    own("exit 0");
    push(&workflows, &registry, &before).exits(0).prints("1 image built");
    assert_eq!(bed.inside("app/web", &["cat", "/page"]), "exit 0");
}

// Merged pull requests.

#[test]
fn a_squash_merge_is_tested_built_and_deployed_like_a_push() {
    let (workflows, registry) = (Workflows::new("actsquash"), Registry::start());
    let bed = &workflows.bed;
    chain(&workflows, &registry, "@echo all well");
    plugins(bed);
    let on = "  push:\n    branches: [main]\n";
    let workflow = std::fs::read_to_string(bed.repo(".github/workflows/build.yml")).unwrap();
    assert!(workflow.contains(on), "{workflow}");
    workflows.workflow("build.yml", &workflow.replace(on, "  pull_request:\n    types: [closed]\n"));
    let base = workflows.head();
    bed.git(&["checkout", "-q", "-b", "topic"]);
    bed.write("services/app/page", "two");
    bed.commit();
    bed.write("services/app/page", "three");
    bed.commit();
    let head = workflows.head();
    bed.git(&["checkout", "-q", "main"]);
    bed.git(&["merge", "-q", "--squash", "topic"]);
    bed.git(&["commit", "-q", "-m", "page three (#7)"]);
    let merge = workflows.head();
    let run = |merged: bool| {
        let repo = json!({"id": 1, "full_name": REPOSITORY});
        let payload = json!({"action": "closed", "number": 7, "repository": {"default_branch": "main"}, "pull_request": {
            "number": 7, "merged": merged, "merge_commit_sha": merge, "commits": 2,
            "base": {"sha": base, "ref": "main", "repo": repo}, "head": {"sha": head, "ref": "topic", "repo": repo}}});
        let mut act = workflows.act("pull_request", &payload);
        let config = bed.path("docker-config");
        act.args(["-W", ".github/workflows/build.yml", "--var", &format!("REGISTRY={}", registry.address())]);
        act.env("DOCKER_CONFIG", &config).args(["--env", &format!("DOCKER_CONFIG={}", config.display())]);
        workflows.run(&mut act)
    };
    workflows.github.state().branches.insert("main".to_owned(), merge.clone());
    run(true).exits(0).prints("1 image built").prints("3 projects done");
    let short = format!("sha-{}", &merge[..12]);
    assert_eq!(registry.tags("ann/app"), ["latest", "main", &short]);
    assert_eq!(registry.label("ann/app", "latest", "org.opencontainers.image.revision"), merge);
    assert_eq!(bed.inside("app/web", &["cat", "/page"]), "three");
    // Closed without a merge, the commit is none of the pull request's.
    run(false).exits(1).prints("neither the pull request nor its merge is checked out");
}
