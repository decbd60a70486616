//! Runs that are cancelled: a signal, then another, as GitHub sends them.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bed::{Bed, ran};
use crate::support::wait;

/// A run in a process group of its own.
struct Run(Child);

impl Run {
    fn start(bed: &Bed, args: &[&str]) -> Self {
        bed.commit();
        let mut command = args.iter().fold(bed.call([]), |call, arg| call.args([*arg])).command();
        Self(command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Sends a signal to all of its processes, as a terminal does.
    fn signal(self, name: &str) -> Self {
        ran(Command::new("kill").args([name, "--", &format!("-{}", self.0.id())]));
        self
    }

    /// Its exit code and what it said, once it has ended: within some seconds.
    #[track_caller]
    fn ends(mut self, seconds: u64) -> (i32, String) {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < Duration::from_secs(seconds), "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status.code().unwrap_or_else(|| panic!("{status}: {said}")), said)
    }
}

/// Lets the host's `docker` take `seconds` longer for `docker compose up`.
fn slow_up(bed: &Bed, seconds: f32) {
    std::fs::write(bed.path("docker.log"), "").unwrap();
    bed.docker_is(&format!("case \" $* \" in *' up '*) sleep {seconds} ;; esac"));
}

fn compose(bed: &Bed, mode: &str, health: &str) {
    bed.compose("app", &format!("services:\n  web: {{<<: *s, environment: {{MODE: {mode}}}{health}}}\n  worker: {{<<: *s, volumes: ['./conf:/conf:ro']}}"));
    bed.compose(
        "blog",
        &format!("x-ghdeploy: {{after: [app]}}\nservices:\n  web: {{<<: *s, environment: {{MODE: {mode}}}}}"),
    );
    bed.write("services/app/conf", mode);
}

fn converges(bed: &Bed, mode: &str) {
    bed.call(["sync"]).run().exits(0);
    assert_eq!((bed.env("app/web", "MODE"), bed.env("blog/web", "MODE")), (mode.to_owned(), mode.to_owned()));
    assert_eq!(bed.inside("app/worker", &["cat", "/conf"]), mode);
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
}

#[test]
fn a_signal_during_an_up_ends_the_run_after_the_step_and_the_next_sync_finishes() {
    let bed = Bed::new("sigint");
    compose(&bed, "one", "");
    bed.sync([]).exits(0);
    slow_up(&bed, 2.0);
    compose(&bed, "two", "");
    let run = Run::start(&bed, &["sync"]);
    wait::until("the up begins", || {
        bed.docker_calls().iter().any(|call| call.contains(" up -d --quiet-pull"))
    });
    let (code, said) = run.signal("-INT").ends(40);
    assert_eq!(code, 6, "{said}");
    assert!(said.contains("stopped in the middle (app): run ghdeploy sync to finish"), "{said}");
    assert!(said.contains("stopped by a signal before anything of it was changed"), "{said}");
    assert_eq!(bed.on_host("blog/compose.yml").matches("MODE: one").count(), 1);
    bed.settle();
    assert_eq!(bed.env("app/web", "MODE"), "two", "the step in hand is through");
    converges(&bed, "two");
}

#[test]
fn a_signal_during_the_health_check_ends_the_run_and_the_next_sync_finishes() {
    let bed = Bed::new("sigwait");
    compose(&bed, "one", "");
    bed.sync([]).exits(0);
    bed.write("ghdeploy.yml", "health: {stable_for: 60s, timeout: 90s}\n");
    compose(&bed, "two", "");
    let run = Run::start(&bed, &["sync"]);
    let restarted = || bed.docker_calls().iter().any(|call| call.contains(" restart --no-deps worker"));
    wait::until("the last step", restarted);
    std::thread::sleep(Duration::from_secs(2));
    let (code, said) = run.signal("-TERM").ends(10);
    assert_eq!(code, 6, "{said}");
    assert!(said.trim_end().contains("stopped in the middle (app)"), "{said}");
    bed.write("ghdeploy.yml", "health: {stable_for: 1s, timeout: 90s}\n");
    converges(&bed, "two");
}

#[test]
fn a_second_signal_ends_the_run_immediately_and_the_step_keeps_the_lock() {
    let bed = Bed::new("sigterm");
    compose(&bed, "one", "");
    bed.sync([]).exits(0);
    slow_up(&bed, 15.0);
    compose(&bed, "two", "");
    let run = Run::start(&bed, &["sync"]);
    wait::until("the up begins", || {
        bed.docker_calls().iter().any(|call| call.contains(" up -d --quiet-pull"))
    });
    let run = run.signal("-INT");
    std::thread::sleep(Duration::from_millis(500));
    let (code, said) = run.signal("-TERM").ends(10);
    assert_eq!(code, 6, "{said}");
    assert!(
        said.contains("continues on the host and holds the lock")
            && said.contains("unknown: run ghdeploy status"),
        "{said}"
    );
    bed.call(["sync", "--lock-wait", "0s"])
        .run()
        .exits(4)
        .prints("tester since 20")
        .ends_with("nothing was changed");
    bed.call(["sync", "--dry-run"]).run().exits(0);
    bed.call(["status"]).run().exits(0);
    slow_up(&bed, 0.0);
    converges(&bed, "two");
}

#[test]
fn a_signal_before_anything_is_changed_ends_the_run_promptly() {
    let bed = Bed::new("sigearly");
    compose(&bed, "one", "");
    bed.sync([]).exits(0);
    compose(&bed, "two", "");
    let lock = Command::new("flock").arg(bed.root(".ghdeploy/lock")).args(["sleep", "60"]).spawn();
    let mut lock = lock.unwrap();
    let run = Run::start(&bed, &["sync"]);
    std::thread::sleep(Duration::from_millis(2500));
    let (code, said) = run.signal("-INT").ends(20);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("stopped by a signal") && said.contains("nothing was changed"), "{said}");
    // flock(1) has made a child of its own.
    ran(Command::new("pkill").args(["-P", &lock.id().to_string()]));
    lock.kill().unwrap();
    lock.wait().unwrap();
    converges(&bed, "two");
}

#[test]
fn concurrent_runs_go_one_after_the_other() {
    let bed = Bed::new("sigmany");
    compose(&bed, "one", "");
    bed.sync([]).exits(0);
    compose(&bed, "two", "");
    let first = Run::start(&bed, &["sync"]);
    wait::until("it has begun", || bed.on_host("app/conf") == "two");
    compose(&bed, "three", "");
    let second = Run::start(&bed, &["sync"]);
    let (first, second) = (first.ends(60), second.ends(60));
    assert_eq!((first.0, second.0), (0, 0), "{}\n{}", first.1, second.1);
    assert!(second.1.contains("tester since 20"), "{}", second.1);
    assert_eq!(bed.env("app/web", "MODE"), "three");
    compose(&bed, "four", "");
    bed.commit();
    let runs: Vec<Run> = (0..8).map(|_| Run::start(&bed, &["sync"])).collect();
    let ends: Vec<(i32, String)> = runs.into_iter().map(|run| run.ends(90)).collect();
    assert!(ends.iter().all(|(code, _)| *code == 0), "{ends:?}");
    assert_eq!(ends.iter().filter(|(_, said)| said.contains("nothing to do")).count(), 7, "{ends:?}");
    converges(&bed, "four");
}

#[test]
fn a_signal_during_the_upload_ends_the_run_promptly_with_nothing_changed() {
    let bed = Bed::new("sigupload");
    compose(&bed, "one", "");
    bed.sync([]).exits(0);
    let began = bed.path("began");
    bed.before_tool("tar", &format!(": >{}; sleep 20", began.display()));
    for size in [10, 1 << 20] {
        compose(&bed, "two", "");
        bed.write("services/app/blob", vec![b'x'; size]);
        let _ = std::fs::remove_file(&began);
        let run = Run::start(&bed, &["sync"]);
        wait::until("the upload begins", || began.exists());
        let (code, said) = run.signal("-INT").ends(12);
        assert_eq!(code, 5, "{said}");
        assert!(said.contains("stopped by a signal before anything of it was changed"), "{said}");
        assert_eq!(bed.on_host("app/conf"), "one");
    }
    bed.restore_tool("tar");
    converges(&bed, "two");
}

/// The same command on another working copy.
fn on_copy(bed: &Bed, copy: &std::path::Path) -> Command {
    let command = bed.call(["sync"]).command();
    let mut other = Command::new(command.get_program());
    other.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    other.args(command.get_args().map(|arg| {
        if arg == bed.repo("").as_os_str() || arg == bed.path("repo") { copy.as_os_str() } else { arg }
    }));
    other
}

#[test]
fn concurrent_runs_of_different_commits_end_with_the_newest() {
    let bed = Bed::new("commits");
    compose(&bed, "v0", "");
    bed.sync([]).exits(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let copies: Vec<_> = (1..=8)
        .map(|version| {
            compose(&bed, &format!("v{version}"), "");
            bed.git(&["add", "-A"]);
            // A clone that does not have the newer ones goes by the dates.
            bed.git_at(&format!("@{} +0000", now + 10 * version), &["commit", "-q", "-m", "a change"]);
            let copy = bed.path(&format!("copy{version}"));
            ran(Command::new("git").args(["clone", "-q"]).arg(bed.path("repo")).arg(&copy));
            copy
        })
        .collect();
    let start = |copy: &std::path::PathBuf| {
        let mut command = on_copy(&bed, copy);
        Run(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    // The newest one neither first nor last.
    let runs: Vec<Run> = [5, 2, 7, 0, 3, 1, 6, 4].map(|at| start(&copies[at])).into_iter().collect();
    for run in runs {
        let (code, said) = run.ends(180);
        assert!(code == 0 || code == 2 && said.contains("was made before"), "{code} {said}");
    }
    assert_eq!((bed.env("app/web", "MODE"), bed.on_host("app/conf")), ("v8".to_owned(), "v8".to_owned()));
    assert_eq!(bed.inside("app/worker", &["cat", "/conf"]), "v8");
    converges(&bed, "v8");
}
