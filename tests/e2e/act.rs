//! Real workflows, run by `act` with the real `action.yml`: a real sshd and Compose as the host, a server of our own as
//! GitHub.
//!
//! The workflows of this repository are run as they are, so that whoever copies one copies what was seen to work.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::bed::{Bed, ran};
use crate::github::{GitHub, REPOSITORY, TOKEN};
use crate::registry::Registry;
use crate::support::program::Output;
use crate::support::wait;

const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// What must be seen nowhere but on the host: a value of its own `.env`.
const HOST_SECRET: &str = "only-the-host-knows";

/// A repository with a host, and GitHub.
pub(crate) struct Workshop {
    pub(crate) bed: Bed,
    pub(crate) github: GitHub,
    /// The private key that is given to the action.
    pub(crate) key: String,
}

impl Workshop {
    /// Two projects and this repository's own workflows.
    pub(crate) fn new(test: &str) -> Self {
        let bed = Bed::new(test);
        let user = ran(Command::new("id").arg("-un"));
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

    /// `act` with an event, in nothing of this machine's environment but PATH.
    pub(crate) fn act(&self, event: &str, payload: &Value) -> Command {
        let bed = &self.bed;
        std::fs::write(bed.path("event.json"), payload.to_string()).unwrap();
        std::fs::create_dir_all(bed.path("act")).unwrap();
        let known_hosts = std::fs::read_to_string(bed.sshd.known_hosts()).unwrap();
        let mut act = Command::new("act");
        act.current_dir(bed.path("repo")).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        act.env("HOME", bed.path("home"))
            .env("XDG_CACHE_HOME", bed.path("act"))
            .env("TMPDIR", bed.path("tmp"));
        act.args([event, "--no-cache-server", "--actor", "ann", "--eventpath"]).arg(bed.path("event.json"));
        act.args(["--platform", "ubuntu-24.04=-self-hosted"]);
        // Secrets by the environment of act: its arguments are seen by all.
        act.env("SSH_KEY", &self.key).env("KNOWN_HOSTS", known_hosts).env("GITHUB_TOKEN", TOKEN);
        act.env("SLACK_WEBHOOK_URL", self.github.hook("hunter2hunter2"));
        for secret in ["SSH_KEY", "KNOWN_HOSTS", "GITHUB_TOKEN", "SLACK_WEBHOOK_URL"] {
            act.args(["--secret", secret]);
        }
        act.args(["--env", &format!("GITHUB_API_URL={}", self.github.api())]);
        act.args(["--env", concat!("GHDEPLOY_BINARY=", env!("CARGO_BIN_EXE_ghdeploy"))]);
        act.arg("--local-repository").arg(format!("{}={}", published(), bed.path("action").display()));
        act
    }

    pub(crate) fn run(&self, act: &mut Command) -> Output {
        let output = self.bed.guarding(|| act.stdin(Stdio::null()).output().unwrap());
        self.clean(Output::new("act".to_owned(), &output))
    }

    /// Parts of what must be seen nowhere.
    fn secrets(&self) -> Vec<String> {
        // The first line is the same in all keys.
        let key =
            self.key.lines().filter(|line| !line.starts_with("-----")).skip(1).filter(|line| line.len() > 20);
        key.chain([TOKEN, "hunter2hunter2", HOST_SECRET]).map(|line| line.trim().to_owned()).collect()
    }

    /// Claims that nothing secret is in what was written, sent or left.
    #[track_caller]
    fn clean(&self, ran: Output) -> Output {
        let sent = format!("{:?}", self.github.state().requests);
        for secret in &self.secrets() {
            assert!(!ran.all().contains(secret.as_str()), "{secret} is in the log: {}", ran.all());
            // The address of a hook is itself the secret.
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

    /// A workflow of one file, besides the others.
    fn workflow(&self, name: &str, text: &str) -> &Self {
        self.bed.write(&format!(".github/workflows/{name}"), text);
        self.bed.commit();
        self
    }

    fn head(&self) -> String {
        self.bed.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.bed.path(name)).unwrap_or_default()
    }
}

/// The action as a repository would have it that is checked out by a runner.
fn export(to: &Path) {
    for file in ["action.yml", ".github/action", "Cargo.toml"] {
        let to = to.join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        ran(Command::new("cp").arg("-r").arg(Path::new(TOP).join(file)).arg(to));
    }
}

/// How the workflows name the action: `ghdeploy/ghdeploy@SHA`.
fn published() -> String {
    let text = std::fs::read_to_string(Path::new(TOP).join(".github/workflows/deploy.yml")).unwrap();
    let at = text.find("ghdeploy/ghdeploy@").unwrap();
    text[at..].split_whitespace().next().unwrap().to_owned()
}

/// A job that uses the action as it lies in the repository, and keeps its outputs.
fn job(on: &str, bed: &Bed, with: &str) -> String {
    let kept = bed.path("outputs.json");
    format!(
        "on: {on}\njobs:\n  x:\n    runs-on: ubuntu-24.04\n    outputs: {{projects: '${{{{ steps.x.outputs.projects }}}}', changed: '${{{{ steps.x.outputs.changed }}}}'}}\n    steps:\n      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8\n      - uses: ./\n        id: x\n        with: {with}\n      - if: always()\n        env: {{OUTPUTS: '${{{{ toJSON(steps.x.outputs) }}}}'}}\n        run: printf '%s' \"$OUTPUTS\" >'{}'\n",
        kept.display()
    )
}

#[test]
fn a_push_deploys_a_failing_deploy_is_rolled_back_and_a_dispatch_follows_its_inputs() {
    let shop = Workshop::new("actdeploy");
    let bed = &shop.bed;
    shop.run(
        shop.act("push", &json!({"ref": "refs/heads/main"})).args(["-W", ".github/workflows/deploy.yml"]),
    )
    .exits(0);
    let first = bed.containers();
    assert_eq!(first.len(), 3, "{first:?}");
    assert_eq!(
        shop.github.state().states.values().cloned().collect::<Vec<_>>(),
        [["success", "in_progress"]]
    );
    assert_eq!(shop.github.state().deployments[0]["environment"], "web");
    assert!(shop.github.state().hooks[0].to_string().contains("web: 2 projects done"));

    // One file: one service.
    bed.write("services/blog/web.conf", "two");
    bed.commit();
    shop.run(shop.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"])).exits(0);
    let fates = crate::bed::observe::fates(&first, &bed.containers());
    let restarted: Vec<&str> =
        fates.iter().filter(|(_, fate)| **fate != "same").map(|(name, _)| name.as_str()).collect();
    assert_eq!(restarted, ["blog/web"], "{fates:?}");

    // What does not get well: the job fails, the host is as before, and the log says why.
    let compose = std::fs::read_to_string(bed.repo("services/shop/compose.yml")).unwrap();
    bed.write(
        "services/shop/compose.yml",
        compose.replace("sleep 100000", "sh -c 'echo out of luck; exit 3'"),
    );
    bed.commit();
    let before = bed.containers();
    shop.run(shop.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"]))
        .exits(1)
        .prints("out of luck")
        .prints("rolled back")
        .prints("::error")
        .prints("services/shop/compose.yml");
    let after = bed.containers();
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert_eq!(shop.github.state().states.values().last().unwrap(), &["failure", "in_progress"]);
    bed.write("services/shop/compose.yml", &compose);

    // By hand: a dry run changes nothing, not even what is told to others.
    bed.write("services/blog/web.conf", "three");
    bed.commit();
    let dispatch = |inputs: &Value| {
        let mut act = shop.act("workflow_dispatch", &json!({"inputs": inputs}));
        act.args(["-W", ".github/workflows/deploy.yml"]);
        shop.run(&mut act)
    };
    let asked = shop.github.requests().len();
    dispatch(&json!({"dry-run": "true"})).exits(0).prints("restart");
    assert_eq!((bed.on_host("blog/web.conf").as_str(), shop.github.requests().len()), ("two", asked));
    dispatch(&json!({"project": "shop", "dry-run": "false"})).exits(0);
    assert_eq!(bed.on_host("blog/web.conf"), "two");
    dispatch(&json!({"host": "web", "force": "true", "project": "blog"})).exits(0);
    assert_eq!(bed.on_host("blog/web.conf"), "three");
    dispatch(&json!({"rollback-to": "previous"})).exits(0).prints("back to release");
    assert_eq!(bed.on_host("blog/web.conf"), "two");
    dispatch(&json!({"host": "nowhere"})).exits(1);
}

#[test]
fn a_pull_request_gets_its_plan_as_a_comment_and_in_the_summary() {
    let shop = Workshop::new("actplan");
    let bed = &shop.bed;
    bed.git(&["checkout", "-q", "-b", "topic"]);
    bed.write("services/blog/web.conf", "two");
    bed.commit();
    let head = shop.head();
    bed.git(&["checkout", "-q", "main"]);
    bed.write("services/shop/other", "x");
    bed.commit();
    let base = shop.head();
    bed.git(&["merge", "-q", "--no-ff", "-m", "merge", "topic"]);
    shop.github.state().heads.insert(7, head.clone());
    let repo = |id: u64, name: &str| json!({"id": id, "full_name": name});
    let pull = |fork: Value| json!({"pull_request": {"number": 7, "base": {"sha": base, "repo": repo(1, REPOSITORY)}, "head": {"sha": head, "repo": fork}}});
    let plan = |payload: &Value| {
        let mut act = shop.act("pull_request", payload);
        act.args(["-W", ".github/workflows/plan.yml"]);
        for (name, does) in ARTIFACTS {
            artifacts(bed, name, does, &mut act);
        }
        shop.run(&mut act)
    };
    plan(&pull(repo(1, REPOSITORY)))
        .exits(0)
        .prints("commented on #7")
        .prints("### ghdeploy: 1 project changes");
    let body = shop.github.state().bodies(7)[0].to_owned();
    assert!(
        body.contains("| `blog` | changed, 1 file | restart `web` |") && !body.contains("`shop`"),
        "{body}"
    );

    // A fork: its run may write nothing and hands the plan over; the run that follows writes it, by what GitHub says.
    shop.github.state().comments.clear();
    plan(&pull(repo(2, "bob/side"))).exits(0).never_prints("commented on #7");
    assert!(shop.github.state().bodies(7).is_empty());
    assert!(shop.read("handed-over/plan.json").contains("\"version\""));
    let payload = json!({"workflow_run": {"id": 1, "event": "pull_request", "conclusion": "success", "head_sha": head,
        "head_repository": {"full_name": "bob/side"}, "pull_requests": []}});
    bed.git(&["checkout", "-q", "--detach", &base]);
    let mut act = shop.act("workflow_run", &payload);
    act.args(["-W", ".github/workflows/comment.yml"]);
    for (name, does) in ARTIFACTS {
        artifacts(bed, name, does, &mut act);
    }
    shop.run(&mut act).exits(0).prints("commented on #7");
    let state = shop.github.state();
    assert!(state.bodies(7)[0].contains("made by the code of the pull request itself"));
}

/// GitHub's own actions for artifacts, which need its servers; here a folder stands for those.
const ARTIFACTS: [(&str, &str); 2] = [
    ("actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02", "cp \"$FILE\" \"$STORE\""),
    (
        "actions/download-artifact@634f93cb2916e3fdff6788551b99b062d0335ce0",
        "mkdir -p \"$FILE\" && cp \"$STORE\"/* \"$FILE\"",
    ),
];

fn artifacts(bed: &Bed, name: &str, does: &str, act: &mut Command) {
    let (dir, store) = (bed.path(name.split('@').next().unwrap()), bed.path("handed-over"));
    std::fs::create_dir_all(&store).unwrap();
    std::fs::create_dir_all(&dir).unwrap();
    let inputs = ["name", "path", "retention-days", "run-id", "github-token"]
        .map(|input| format!("  {input}: {{required: false}}\n"));
    let action = format!(
        "name: x\ndescription: x\ninputs:\n{}runs:\n  using: composite\n  steps:\n    - shell: sh\n      env: {{FILE: '${{{{ inputs.path }}}}', STORE: '{}'}}\n      run: {does}\n",
        inputs.concat(),
        store.display()
    );
    std::fs::write(dir.join("action.yml"), action).unwrap();
    act.arg("--local-repository").arg(format!("{name}={}", dir.display()));
}

#[test]
fn outputs_feed_a_matrix_and_hostile_names_cannot_inject_anything() {
    let shop = Workshop::new("actmatrix");
    let bed = &shop.bed;
    export(&bed.repo(""));
    std::fs::remove_dir_all(bed.repo(".github/workflows")).unwrap();
    let more = format!(
        "  y:\n    needs: x\n    if: needs.x.outputs.changed == 'true'\n    runs-on: ubuntu-24.04\n    strategy: {{matrix: {{project: '${{{{ fromJSON(needs.x.outputs.projects) }}}}'}}}}\n    steps:\n      - env: {{PROJECT: '${{{{ matrix.project }}}}'}}\n        run: printf '%s\\n' \"$PROJECT\" >>'{}'\n",
        bed.path("matrix").display()
    );
    shop.workflow("x.yml", &(job("merge_group", bed, "{command: plan}") + &more));
    let base = shop.head();
    let hostile = "a\n::set-output name=changed::false\n%0A$(touch owned)`touch owned`";
    bed.write(&format!("services/{hostile}/compose.yml"), "services:\n  web: {image: 'a:1'}\n");
    bed.write("services/shop/new", "x");
    bed.commit();
    let payload = json!({"merge_group": {"base_sha": base, "head_sha": shop.head()}});
    shop.run(&mut shop.act("merge_group", &payload)).exits(0);
    let outputs: Value = serde_json::from_str(&shop.read("outputs.json")).unwrap();
    assert_eq!(
        outputs["projects"].as_str().map(|text| serde_json::from_str::<Value>(text).unwrap()),
        Some(json!([hostile, "shop"]))
    );
    assert_eq!((&outputs["changed"], &outputs["result"]), (&json!("true"), &json!("planned")));
    let ran: BTreeSet<String> = shop.read("matrix").split("\nshop\n").map(str::to_owned).collect();
    assert!(shop.read("matrix").contains(hostile) && shop.read("matrix").contains("shop\n"), "{ran:?}");
    assert_eq!(ran_find(bed, "owned"), "");
    // Without a change, no job of the matrix.
    let _ = std::fs::remove_file(bed.path("matrix"));
    let payload = json!({"merge_group": {"base_sha": shop.head(), "head_sha": shop.head()}});
    shop.run(&mut shop.act("merge_group", &payload)).exits(0);
    let outputs: Value = serde_json::from_str(&shop.read("outputs.json")).unwrap();
    assert_eq!(
        (&outputs["changed"], &outputs["projects"], &outputs["result"]),
        (&json!("false"), &json!("[]"), &json!("unchanged"))
    );
    assert_eq!(shop.read("matrix"), "");
}

fn ran_find(bed: &Bed, name: &str) -> String {
    ran(Command::new("find").args([bed.path("repo"), bed.path("act"), bed.path("tmp")]).args(["-name", name]))
}

#[test]
fn the_working_directory_may_be_a_subfolder_and_a_push_compares_with_the_commit_before_it() {
    let shop = Workshop::new("actfolder");
    let bed = &shop.bed;
    export(&bed.repo(""));
    std::fs::remove_dir_all(bed.repo(".github/workflows")).unwrap();
    std::fs::create_dir_all(bed.repo("infra")).unwrap();
    bed.git(&["mv", "services", "ghdeploy.yml", "infra"]);
    let with = "{command: plan, working-directory: infra, args: '--project \"sh?p\" --project blog'}";
    shop.workflow("x.yml", &job("push", bed, with));
    let before = shop.head();
    bed.write("infra/services/shop/compose.yml", "services:\n  web:\n    image: a:1\n    ports: [x]\n");
    bed.commit();
    let ran = shop.run(&mut shop.act("push", &json!({"before": before, "after": shop.head()}))).exits(1);
    // The line of a file is told as the runner sees the file.
    ran.prints("file=infra/services/shop/compose.yml,line=4,col=13");
    let outputs: Value = serde_json::from_str(&shop.read("outputs.json")).unwrap();
    assert_eq!((&outputs["projects"], &outputs["result"]), (&json!("[\"shop\"]"), &json!("blocked")));
}

#[test]
fn a_cancelled_run_leaves_no_key_and_the_next_one_finishes_its_work() {
    let shop = Workshop::new("actcancel");
    let bed = &shop.bed;
    shop.run(shop.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"])).exits(0);
    bed.write("services/blog/web.conf", "two");
    bed.commit();
    // The restart hangs until somebody looks.
    let at_it = bed.path("at-it");
    bed.docker_is(&format!("case \"$*\" in *restart*) : >'{}'; sleep 8 ;; esac", at_it.display()));
    let mut act = shop.act("push", &json!({}));
    act.args(["-W", ".github/workflows/deploy.yml"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = act.spawn().unwrap();
    wait::until("the restart begins", || at_it.exists());
    let seen = arguments_with(&shop.secrets());
    ran(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let output = ended(&mut child);
    assert!(!output.contains(shop.key.lines().nth(1).unwrap()), "{output}");
    assert_eq!(seen, [""; 0]);
    wait::until("the agent ends", || agents(bed) == 0);
    bed.settle();
    bed.docker_is("");
    std::fs::remove_file(at_it).unwrap();
    shop.run(shop.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"])).exits(0);
    assert_eq!(bed.inside("blog/web", &["cat", "/web.conf"]), "two");
}

fn ended(child: &mut Child) -> String {
    let mut text = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut text).unwrap();
    child.wait().unwrap();
    text
}

/// How many agents of this bed there are.
fn agents(bed: &Bed) -> usize {
    let list = Command::new("pgrep").args(["-af", "--", "ssh-agent -a"]).output().unwrap();
    let ours = bed.path("").display().to_string();
    String::from_utf8(list.stdout).unwrap().lines().filter(|line| line.contains(&ours)).count()
}

/// The arguments of all processes in which something secret stands.
fn arguments_with(secrets: &[String]) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let arguments = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let arguments = arguments.map(|arguments| String::from_utf8_lossy(&arguments).into_owned());
    arguments.filter(|arguments| secrets.iter().any(|secret| arguments.contains(secret))).collect()
}

#[test]
fn no_process_has_a_secret_among_its_arguments() {
    let shop = Workshop::new("actargv");
    let secrets = shop.secrets();
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
        shop.run(shop.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"])).exits(0);
        stop.store(true, Ordering::Relaxed);
        assert!(watch.join().unwrap() > 20);
    });
}

#[test]
fn a_damaged_key_is_reported_without_showing_it() {
    let mut shop = Workshop::new("actkey");
    let whole = shop.key.clone();
    shop.key = whole.replace('\n', "\r\n").trim_end().to_owned();
    shop.run(shop.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"]))
        .exits(0)
        .prints("note: the private key had Windows line ends");
    shop.key = whole[..whole.len() - 60].to_owned();
    shop.run(shop.act("push", &json!({})).args(["-W", ".github/workflows/deploy.yml"]))
        .exits(1)
        .prints("the private key is cut off");
}

/// A workflow of tests, gate, images and a deploy, with what the tests do.
fn chain(shop: &Workshop, registry: &Registry, tests: &str) {
    let bed = &shop.bed;
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

/// Runs it by a push, as it stands in the repository.
fn push(shop: &Workshop, registry: &Registry, before: &str) -> Output {
    let mut act = shop.act("push", &json!({"before": before}));
    act.args(["-W", ".github/workflows/build.yml", "--var", &format!("REGISTRY={}", registry.address())]);
    // Docker's own configuration is that of this test.
    act.env("DOCKER_CONFIG", shop.bed.path("docker-config"));
    act.args(["--env", &format!("DOCKER_CONFIG={}", shop.bed.path("docker-config").display())]);
    shop.run(&mut act)
}

const NOTHING_BEFORE: &str = "0000000000000000000000000000000000000000";

#[test]
fn tested_code_is_built_and_the_built_image_is_what_runs() {
    let (shop, registry) = (Workshop::new("actchain"), Registry::start());
    let bed = &shop.bed;
    chain(&shop, &registry, "@echo all well");
    plugins(bed);
    push(&shop, &registry, NOTHING_BEFORE).exits(0).prints("1 image built").prints("3 projects done");
    let short = format!("sha-{}", &shop.head()[..12]);
    assert_eq!(registry.tags("ann/app"), ["latest", "main", &short]);
    assert_eq!(bed.inside("app/web", &["cat", "/page"]), "one");
    // The outcome names what runs: the digest that was pushed, and the commit that was tested.
    let first = shop.head();
    bed.write("services/app/page", "two");
    bed.commit();
    let ran = push(&shop, &registry, &first).exits(0);
    let (digest, commit) = (registry.digest("ann/app", "main"), shop.head());
    let line = format!("/ann/app:main  {}  commit {}", &digest["sha256:".len()..][..10], &commit[..10]);
    ran.prints(&line);
    assert_eq!(bed.inside("app/web", &["cat", "/page"]), "two");
    assert_eq!(registry.label("ann/app", "main", "org.opencontainers.image.revision"), commit);
    // Another commit in which the image is the same deploys without a build, and restarts nothing of it.
    bed.write("services/blog/web.conf", "new");
    bed.commit();
    let before = bed.containers();
    push(&shop, &registry, &commit).exits(0).prints("no image needs to be built");
    assert_eq!(before["app/web"].id, bed.containers()["app/web"].id);
    // What was not built is not deployed, and nothing is built on the host.
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

/// Lets docker find its plugins with a configuration of this test's own.
fn plugins(bed: &Bed) {
    std::fs::create_dir_all(bed.path("docker-config")).unwrap();
}

#[test]
fn failed_skipped_or_missing_tests_leave_no_image_and_no_deploy() {
    let (shop, registry) = (Workshop::new("actclosed"), Registry::start());
    let bed = &shop.bed;
    chain(&shop, &registry, "@echo broken; exit 1");
    plugins(bed);
    let none = |why: &str| {
        assert!(registry.tags("ann/app").is_empty(), "{why}: {:?}", registry.tags("ann/app"));
        assert!(!bed.root("app/compose.yml").exists(), "{why}: it was deployed");
    };
    push(&shop, &registry, NOTHING_BEFORE).exits(1).prints("the jobs that this one needs: `test` failure");
    none("a test fails");
    let workflow = std::fs::read_to_string(bed.repo(".github/workflows/build.yml")).unwrap();
    let skipped =
        workflow.replacen("    if: github.repository != 'ghdeploy/ghdeploy'\n", "    if: false\n", 1);
    bed.write(".github/workflows/build.yml", skipped).write("Makefile", "test:\n\t@echo all well\n");
    bed.commit();
    push(&shop, &registry, NOTHING_BEFORE).exits(1).prints("`test` skipped");
    none("the tests are skipped");
    // Checks of other workflows are required besides: one is missing, one was cancelled.
    let config = std::fs::read_to_string(bed.repo("ghdeploy.yml")).unwrap();
    bed.write(".github/workflows/build.yml", &workflow);
    bed.write("ghdeploy.yml", config.replace("timeout: 2s", "timeout: 2s, checks: ['e2e*']"));
    bed.commit();
    push(&shop, &registry, NOTHING_BEFORE).exits(1).prints("check `e2e*`: no check has this name");
    none("a check is missing");
    let check = |conclusion: &str| json!({"id": 1, "name": "e2e (1)", "head_sha": shop.head(), "status": "completed", "conclusion": conclusion, "check_suite": {"id": 5}});
    shop.github.state().checks = vec![check("cancelled")];
    push(&shop, &registry, NOTHING_BEFORE).exits(1).prints("`e2e (1)` cancelled");
    none("a job was cancelled");
    shop.github.state().checks = vec![check("success")];
    push(&shop, &registry, NOTHING_BEFORE).exits(0).prints("1 image built");
    assert_eq!(registry.tags("ann/app").len(), 3);
}
