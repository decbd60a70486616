//! Cancelled runs: one signal, then another, in the way that GitHub sends them.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::bed::{Bed, stdout_of};
use crate::support::program::{self, Output};
use crate::support::repo::BEGINNING;
use crate::support::wait;

/// A run in a process group of its own.
struct Run(Child);

impl Run {
    fn start(bed: &Bed, args: &[&str]) -> Self {
        bed.commit();
        let mut command = args.iter().fold(bed.call([]), |call, arg| call.args([*arg])).command();
        Self(command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Sends a signal to all of its processes, like a terminal.
    fn signal(self, name: &str) -> Self {
        stdout_of(Command::new("kill").args([name, "--", &format!("-{}", self.0.id())]));
        self
    }

    /// Its output. It must end within some seconds.
    fn ends_within(self, seconds: u64) -> Output {
        program::wait(self.0, "sync".to_owned(), Duration::from_secs(seconds))
    }
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
    let up = bed.hold("docker", " up ");
    compose(&bed, "two", "");
    let run = Run::start(&bed, &["sync"]);
    up.wait();
    let run = run.signal("-INT");
    // The client has to have read the signal before the step ends.
    std::thread::sleep(Duration::from_millis(300));
    up.release();
    run.ends_within(40)
        .exits(6)
        .prints("stopped in the middle (app): run ghdeploy sync to finish")
        .prints("stopped by a signal before anything of it was changed");
    assert_eq!(bed.on_host("blog/compose.yml").matches("MODE: one").count(), 1);
    bed.settle();
    assert_eq!(bed.env("app/web", "MODE"), "two", "the step under way was not finished");
    converges(&bed, "two");
}

#[test]
fn a_signal_is_answered_at_once() {
    let bed = Bed::new("sigsaid");
    compose(&bed, "one", "");
    bed.sync([]).exits(0);
    let up = bed.hold("docker", " up ");
    compose(&bed, "two", "");
    let mut run = Run::start(&bed, &["sync"]);
    up.wait();
    let mut lines = BufReader::new(run.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut hears = |what: &str| lines.any(|line| line.starts_with("stopping: ") && line.contains(what));
    // The step is still held.
    let run = run.signal("-INT");
    assert!(hears("a step that is under way on the host is finished first; press Ctrl-C again"));
    let run = run.signal("-INT");
    assert!(hears("continues on the host"));
    run.ends_within(10).exits(6).prints("unknown: run ghdeploy status");
    up.release();
    converges(&bed, "two");
}

#[test]
fn a_signal_during_the_health_check_ends_the_run_and_the_next_sync_finishes() {
    let bed = Bed::new("sigwait");
    bed.log_docker();
    compose(&bed, "one", "");
    bed.sync([]).exits(0);
    bed.write("ghdeploy.yml", "health: {stable_for: 60s, timeout: 90s}\n");
    compose(&bed, "two", "");
    let run = Run::start(&bed, &["sync"]);
    // The host is asked for the containers' state once the last step is done.
    wait::until("the last step is done", || {
        let calls = bed.docker_calls();
        let restart = calls.iter().position(|call| call.contains(" restart --no-deps worker"));
        restart.is_some_and(|at| calls[at..].iter().any(|call| call.starts_with("inspect")))
    });
    let output = run.signal("-TERM").ends_within(10).exits(6);
    assert!(output.contains("stopped in the middle (app)"), "{}", output.all());
    bed.write("ghdeploy.yml", "health: {stable_for: 0s, timeout: 90s}\n");
    converges(&bed, "two");
}

#[test]
fn a_second_signal_ends_the_run_immediately_and_the_step_keeps_the_lock() {
    let bed = Bed::new("sigterm");
    compose(&bed, "one", "");
    bed.sync([]).exits(0);
    let up = bed.hold("docker", " up ");
    compose(&bed, "two", "");
    let run = Run::start(&bed, &["sync"]);
    up.wait();
    let run = run.signal("-INT");
    std::thread::sleep(Duration::from_millis(500));
    run.signal("-TERM")
        .ends_within(10)
        .exits(6)
        .prints("continues on the host and holds the lock")
        .prints("unknown: run ghdeploy status");
    bed.call(["sync", "--lock-wait", "0s"])
        .run()
        .exits(4)
        .prints("tester since 20")
        .ends_with("nothing was changed");
    bed.call(["sync", "--dry-run"]).run().exits(0);
    bed.call(["status"]).run().exits(0);
    up.release();
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
    let (_, commands) = bed.sshd.logins_and_commands();
    let run = Run::start(&bed, &["sync"]);
    wait::until("the driver starts", || bed.sshd.logins_and_commands().1 > commands);
    std::thread::sleep(Duration::from_millis(500));
    run.signal("-INT").ends_within(20).exits(4).prints("stopped by a signal").prints("nothing was changed");
    // flock(1) runs its command in a child.
    stdout_of(Command::new("pkill").args(["-P", &lock.id().to_string()]));
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
    let up = bed.hold("docker", " up ");
    let first = Run::start(&bed, &["sync"]);
    up.wait();
    let (_, commands) = bed.sshd.logins_and_commands();
    compose(&bed, "three", "");
    let second = Run::start(&bed, &["sync"]);
    wait::until("the second driver starts", || bed.sshd.logins_and_commands().1 > commands);
    std::thread::sleep(Duration::from_millis(500));
    up.release();
    first.ends_within(60).exits(0);
    second.ends_within(60).exits(0).prints("tester since 20");
    assert_eq!(bed.env("app/web", "MODE"), "three");
    compose(&bed, "four", "");
    bed.commit();
    let runs: Vec<Run> = (0..8).map(|_| Run::start(&bed, &["sync"])).collect();
    let outputs: Vec<Output> = runs.into_iter().map(|run| run.ends_within(120).exits(0)).collect();
    let idle = outputs.iter().filter(|output| output.contains("nothing to do")).count();
    assert_eq!(idle, 7, "{outputs:?}");
    converges(&bed, "four");
}

#[test]
fn a_signal_during_the_upload_ends_the_run_promptly_with_nothing_changed() {
    let bed = Bed::new("sigupload");
    compose(&bed, "one", "");
    bed.sync([]).exits(0);
    let upload = bed.hold("tar", "");
    for size in [10, 1 << 20] {
        compose(&bed, "two", "");
        bed.write("services/app/blob", vec![b'x'; size]);
        upload.again();
        let run = Run::start(&bed, &["sync"]);
        upload.wait();
        run.signal("-INT")
            .ends_within(12)
            .exits(5)
            .prints("stopped by a signal before anything of it was changed");
        upload.release();
        bed.settle();
        assert_eq!(bed.on_host("app/conf"), "one");
    }
    bed.restore_tool("tar");
    converges(&bed, "two");
}

/// `sync` of another working copy.
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
    let copies: Vec<_> = (1..=8)
        .map(|version| {
            compose(&bed, &format!("v{version}"), "");
            bed.git(&["add", "-A"]);
            // A clone that lacks the newer commits compares dates.
            bed.git_at(
                &format!("@{} +0000", BEGINNING + 1000 * version),
                &["commit", "-q", "-m", "a change"],
            );
            let copy = bed.path(&format!("copy{version}"));
            stdout_of(Command::new("git").args(["clone", "-q"]).arg(bed.path("repo")).arg(&copy));
            copy
        })
        .collect();
    let start = |copy: &std::path::PathBuf| {
        let mut command = on_copy(&bed, copy);
        Run(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    // The newest commit is neither first nor last.
    let runs: Vec<Run> = [5, 2, 7, 0, 3, 1, 6, 4].map(|at| start(&copies[at])).into_iter().collect();
    for run in runs {
        let output = run.ends_within(180);
        let is_older = output.code == Some(2) && output.contains("was made before");
        assert!(output.code == Some(0) || is_older, "{}", output.all());
    }
    assert_eq!((bed.env("app/web", "MODE"), bed.on_host("app/conf")), ("v8".to_owned(), "v8".to_owned()));
    assert_eq!(bed.inside("app/worker", &["cat", "/conf"]), "v8");
    converges(&bed, "v8");
}
