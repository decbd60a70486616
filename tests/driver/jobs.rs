//! Jobs beside the driver. They run scripts in place of Docker.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command as Program;
use std::time::Duration;

use ghdeploy::host::{Command, ComposeFolder, Driver, DriverEvent, HookContainer, TIMED_OUT, facts};

use crate::bed::{Bed, expect_ok, file, tree, under_every_shell, which};

fn compose(words: &[&str]) -> Command {
    Command::Compose {
        dir: "blog".to_owned(),
        folder: ComposeFolder::Live,
        argv: words.iter().map(|word| (*word).to_owned()).collect(),
    }
}

async fn wait_for(bed: &Bed, name: &str) {
    for _ in 0..500 {
        if bed.beside(name).exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name} does not appear");
}

/// Replaces Docker by a script that notes its start and exits when the file `go` exists.
fn slow_docker(bed: &Bed) {
    bed.wrap("docker", "echo $$ >\"$bed/started\"; until [ -e \"$bed/go\" ]; do sleep 0.02; done\necho says docker; touch \"$bed/ended\"");
}

/// Whether the lock is held for longer than a driver takes that has lost its client.
async fn stays_locked(bed: &Bed) -> bool {
    let driver = bed.start().await;
    let root = bed.root.to_str().unwrap();
    let command = Command::OpenToWrite { root: root.to_owned(), wait_secs: 0, holder: "{}".to_owned() };
    facts::open(&driver, &command, root, |_| {}).await.is_err()
}

/// The output of a command that succeeds.
async fn says(driver: &Driver, command: &Command) -> Vec<String> {
    let reply = driver.call(command).await.unwrap();
    expect_ok(&reply);
    reply.output
}

under_every_shell! {
    async fn a_client_that_exits_leaves_the_lock_to_the_job(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        slow_docker(&bed);
        let driver = bed.opened().await;
        let up = compose(&["up", "-d"]);
        tokio::select! {
            _ = driver.call(&up) => panic!("the job is still running"),
            () = wait_for(&bed, "started") => {}
        }
        drop(driver);
        assert!(stays_locked(&bed).await);
        fs::write(bed.beside("go"), "").unwrap();
        let next = bed.opened().await;
        assert!(bed.beside("ended").exists(), "the job has run to its end");
        next.end().await;
    }

    async fn a_driver_that_is_killed_leaves_the_lock_to_the_job(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        slow_docker(&bed);
        let driver = bed.opened().await;
        let pid = fs::read_to_string(bed.beside("pid")).unwrap();
        let up = compose(&["up", "-d"]);
        tokio::select! {
            _ = driver.call(&up) => panic!("the job is still running"),
            () = wait_for(&bed, "started") => {}
        }
        assert!(Program::new(which("kill")).args(["-9", pid.trim()]).status().unwrap().success());
        assert!(stays_locked(&bed).await);
        fs::write(bed.beside("go"), "").unwrap();
        let next = bed.opened().await;
        assert!(bed.beside("ended").exists(), "the job has run to its end");
        next.end().await;
    }

    async fn answers_of_jobs_and_of_the_driver_do_not_mix(bed: Bed) {
        let long = "long ".repeat(300);
        bed.sync("blog", &(0..60).map(|n| (format!("blog/{n}{}", "n".repeat(200)), file(&n.to_string()))).collect()).await;
        let names: Vec<String> = bed.live().into_keys().collect();
        bed.wrap("docker", &format!("for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo \"$3 $n {long}\"; done; printf 'no\\tnewline \\001\\\\ \" \\377'; exit \"$3\""));
        let driver = bed.opened().await;
        let jobs: Vec<Command> = (1..9).map(|n| compose(&["up", &n.to_string()])).collect();
        let probes = vec![Command::Probe { hash: true, units: Vec::new(), paths: names.clone() }; 4];
        let jobs = futures_util::future::join_all(jobs.iter().map(|job| driver.call(job)));
        let probes = futures_util::future::join_all(probes.iter().map(|probe| driver.call(probe)));
        let (jobs, probes) = tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(jobs, probes) }).await.unwrap();
        for (number, reply) in jobs.into_iter().enumerate() {
            let reply = reply.unwrap();
            assert_eq!(reply.rc, i32::try_from(number).unwrap() + 1);
            assert_eq!(reply.output.len(), 21);
            assert!(reply.output[..20].iter().all(|line| line.ends_with(&long) && line.starts_with(&format!("{} ", reply.rc))));
        }
        for reply in probes {
            assert_eq!(reply.unwrap().events.iter().filter(|event| matches!(event, DriverEvent::Found { .. })).count(), names.len());
        }
        driver.end().await;
    }

    async fn a_job_cannot_read_commands(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        bed.wrap("docker", "cat");
        let driver = bed.opened().await;
        for _ in 0..3 {
            let (job, direct, containers) = (compose(&["up"]), Command::Docker(vec!["version".to_owned()]), Command::Containers);
            let replies = tokio::join!(driver.call(&job), driver.call(&direct), driver.call(&containers));
            expect_ok(&replies.0.unwrap());
            expect_ok(&replies.1.unwrap());
            expect_ok(&replies.2.unwrap());
        }
        driver.end().await;
    }

    async fn compose_is_started_without_docker_where_that_is_the_same(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        // Here `docker` is a program that prints nothing, and Compose is a script that prints how it was started.
        let docker = bed.bin.join("docker");
        fs::copy(which("true"), &docker).unwrap();
        bed.wrap("docker-compose", "echo \"$DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND\" \"$PWD\" \"$@\"");
        let plugin = bed.beside("docker/cli-plugins/docker-compose");
        fs::create_dir_all(plugin.parent().unwrap()).unwrap();
        fs::rename(bed.bin.join("docker-compose"), &plugin).unwrap();
        let driver = bed.opened().await;
        let up = [compose(&["--ansi", "never", "up", "a b"]), hook(60, None, &["up", "a b"])];
        let asked = Command::Docker(["compose", "version"].map(str::to_owned).to_vec());
        let at = bed.path("blog");
        for command in &up {
            assert_eq!(says(&driver, command).await, [format!("docker {} compose --ansi never up a b", at.display())]);
        }
        let said = says(&driver, &asked).await;
        assert!(said[0].starts_with("docker ") && said[0].ends_with(" compose version"), "{said:?}");

        // The Docker CLI would look elsewhere first.
        let config = bed.beside("docker/config.json");
        fs::write(&config, r#"{"cliPluginsExtraDirs": ["/elsewhere"]}"#).unwrap();
        assert_eq!(says(&driver, &up[0]).await, Vec::<String>::new());
        fs::write(&config, r#"{"auths": {}}"#).unwrap();
        assert_eq!(says(&driver, &up[0]).await.len(), 1);
        // It would say that it cannot start it.
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(says(&driver, &up[0]).await, Vec::<String>::new());
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
        // A link is as good as what it leads to. A program of another name may choose another Docker, and a script may
        // do so too.
        let elsewhere = bed.beside("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::rename(&docker, elsewhere.join("docker")).unwrap();
        symlink(elsewhere.join("docker"), &docker).unwrap();
        assert_eq!(says(&driver, &up[0]).await.len(), 1);
        fs::remove_file(&docker).unwrap();
        symlink(which("true"), &docker).unwrap();
        assert_eq!(says(&driver, &up[0]).await, Vec::<String>::new());
        fs::remove_file(&docker).unwrap();
        bed.wrap("docker", "echo a script: \"$@\"");
        for command in &up {
            assert_eq!(says(&driver, command).await, ["a script: compose --ansi never up a b"]);
        }
        driver.end().await;
    }

    async fn variables_of_the_session_do_not_reach_docker(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        bed.wrap("docker", "env");
        let mut local = bed.local();
        let at = local.shell.iter().position(|word| word.starts_with("PATH=")).unwrap();
        for variable in [
            "COMPOSE_PROJECT_NAME=x", "COMPOSE_FILE=x", "TZ=x", "UID=7", "OPTIND=7", "name=x", "nl=x", "SEVERAL=two\nlines",
            "DOCKER_HOST=unix:///kept", "https_proxy=http://kept", "HOME=/kept",
        ] {
            local.shell.insert(at, variable.to_owned());
        }
        let driver = Driver::start(&local).await.unwrap();
        let root = bed.root.to_str().unwrap();
        facts::open(&driver, &bed.open_to_write(), root, |_| {}).await.unwrap();
        let reply = driver.call(&compose(&["up"])).await.unwrap();
        expect_ok(&reply);
        let value = |name: &str| reply.output.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        for gone in ["COMPOSE_PROJECT_NAME", "COMPOSE_FILE", "TZ", "name", "nl", "SEVERAL"] {
            assert_eq!(value(gone), None, "{gone}");
        }
        assert_ne!(value("UID"), Some("7"));
        for (name, kept) in [("DOCKER_HOST", "unix:///kept"), ("https_proxy", "http://kept"), ("HOME", "/kept"), ("PWD", bed.path("blog").to_str().unwrap())] {
            assert_eq!(value(name), Some(kept), "{name}");
        }
        driver.end().await;
    }

    async fn containers_that_vanish_while_they_are_listed_are_left_out(bed: Bed) {
        bed.wrap("docker", "[ \"$1\" != ps ] || { echo one; echo two; exit; }\necho\nfor id in one two; do echo \"Error response from daemon: No such container: $id\" >&2; done; exit 1");
        let driver = bed.opened().await;
        let reply = driver.call(&Command::Containers).await.unwrap();
        expect_ok(&reply);
        assert_eq!(reply.events, []);
        bed.wrap("docker", "[ \"$1\" != ps ] || { echo one; exit; }\necho; echo 'Cannot connect to the Docker daemon' >&2; exit 1");
        assert!(!driver.call(&Command::Containers).await.unwrap().is_ok());
        driver.end().await;
    }

    async fn what_a_failed_command_printed_is_kept_for_the_people_of_the_host(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        bed.wrap("docker", "echo \"says $*\"; case $* in *fails*) exit 3 ;; esac; case $1 in image) exit 1 ;; esac");
        let log = bed.path(".ghdeploy/failed.log");
        let driver = bed.opened().await;
        expect_ok(&driver.call(&compose(&["works"])).await.unwrap());
        assert!(!driver.call(&Command::Docker(vec!["image".to_owned(), "inspect".to_owned()])).await.unwrap().is_ok());
        assert!(!log.exists(), "nothing has failed");
        let jobs = ["fails 1", "fails 2", "fails 3"].map(|word| compose(&["up", word]));
        for reply in futures_util::future::join_all(jobs.iter().map(|job| driver.call(job))).await {
            assert_eq!(reply.unwrap().rc, 3);
        }
        let kept = fs::read_to_string(&log).unwrap();
        let said: Vec<&str> = kept.lines().filter(|line| line.starts_with("says ")).collect();
        assert_eq!(said.len(), 3, "{kept}");
        let of = |line: &str| kept.lines().skip_while(|at| !at.ends_with(line)).nth(1).map(str::to_owned);
        assert_eq!(of("/blog up fails 2").as_deref(), Some("says compose up fails 2"), "{kept}");
        assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
        // It does not grow without bound: the newest remains.
        fs::write(&log, "old\n".repeat(100_000)).unwrap();
        assert_eq!(driver.call(&compose(&["up", "fails 4"])).await.unwrap().rc, 3);
        let kept = fs::read_to_string(&log).unwrap();
        assert!(kept.len() < 100_000 && kept.ends_with("says compose up fails 4\n"), "{}", kept.len());
        driver.end().await;
        bed.settle().await;
    }

    async fn arguments_reach_docker_unchanged(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        bed.wrap("docker", "for word; do printf '<%s>' \"$word\"; done; pwd; umask");
        let driver = bed.opened().await;
        let reply = driver.call(&compose(&["exec", "", "a b", "*", "$(x)", "-T", "\\", "\\c", "it's", "\""])).await.unwrap();
        assert_eq!(reply.output, [format!("<compose><exec><><a b><*><$(x)><-T><\\><\\c><it's><\">{}", bed.path("blog").display()), "0022".to_owned()]);
        driver.end().await;
    }
}

fn hook(seconds: u64, container: Option<&str>, words: &[&str]) -> Command {
    Command::Hook {
        dir: "blog".to_owned(),
        timeout_secs: seconds,
        container: HookContainer::Compose(container.map(str::to_owned)),
        argv: words.iter().map(|word| (*word).to_owned()).collect(),
    }
}

/// A command on the host, by `sh`.
fn on_host(seconds: u64, script: &str, words: &[&str]) -> Command {
    let argv = ["sh", "-c", script, "sh"].into_iter().chain(words.iter().copied());
    Command::Hook {
        dir: "blog".to_owned(),
        timeout_secs: seconds,
        container: HookContainer::None,
        argv: argv.map(str::to_owned).collect(),
    }
}

/// Replaces Docker by a script that runs a hook in a plugin, awaits the plugin whatever signal it gets, and
/// notes which containers are removed. The file `oneoff` holds the label of a hook's container.
fn hooking_docker(bed: &Bed) {
    bed.wrap(
        "docker",
        r#"case $1 in
inspect) cat "$bed/oneoff" 2>/dev/null; exit ;;
rm) echo "$*" >>"$bed/removed"; exit ;;
esac
shift 3; case $1 in
fails) echo says the hook; exit "$2" ;;
hangs) trap '' TERM; echo begins; bed=$bed sh -c 'sleep 100 & echo $! >"$bed/new"; mv "$bed/new" "$bed/child"; wait' & wait ;;
esac; pwd"#,
    );
}

/// Waits until a process has vanished. init reaps it after its parent has exited, which may take a moment.
async fn wait_for_exit(pid: &str) {
    for _ in 0..500 {
        if !std::path::Path::new("/proc").join(pid.trim()).exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{pid} is still running");
}

fn removed(bed: &Bed) -> String {
    fs::read_to_string(bed.beside("removed")).unwrap_or_default()
}

under_every_shell! {
    async fn a_hook_reports_its_output_and_its_status(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        hooking_docker(&bed);
        let driver = bed.opened().await;
        let reply = driver.call(&hook(60, Some("blog.web.hook"), &["works"])).await.unwrap();
        assert_eq!((reply.rc, reply.output[0].ends_with("/blog")), (0, true), "{reply:?}");
        // timeout(1) exits with 124. A hook's own 124 does not mean a timeout.
        for status in [3, 124] {
            let reply = driver.call(&hook(60, None, &["fails", &status.to_string()])).await.unwrap();
            assert_eq!((reply.rc, reply.output), (status, vec!["says the hook".to_owned()]));
        }
        driver.end().await;
        bed.settle().await;
    }

    async fn the_leftover_of_an_earlier_hook_is_removed_and_no_other_container(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        hooking_docker(&bed);
        let driver = bed.opened().await;
        for (label, expected) in [("False", ""), ("", ""), ("True", "rm -f blog.web.hook\n")] {
            fs::write(bed.beside("oneoff"), label).unwrap();
            expect_ok(&driver.call(&hook(60, Some("blog.web.hook"), &["works"])).await.unwrap());
            assert_eq!(removed(&bed), expected, "{label}");
            expect_ok(&driver.call(&hook(60, None, &["works"])).await.unwrap());
            assert_eq!(removed(&bed), expected, "{label}");
        }
        driver.end().await;
    }

    async fn a_hook_that_times_out_is_killed_and_leaves_nothing(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        hooking_docker(&bed);
        fs::write(bed.beside("oneoff"), "True").unwrap();
        for container in [Some("blog.web.hook"), None] {
            let driver = bed.opened().await;
            let hangs = hook(1, container, &["hangs"]);
            let reply = tokio::time::timeout(Duration::from_secs(30), driver.call(&hangs)).await.unwrap().unwrap();
            assert_eq!((reply.rc, reply.output), (TIMED_OUT, vec!["begins".to_owned()]));
            wait_for_exit(&fs::read_to_string(bed.beside("child")).unwrap()).await;
            driver.end().await;
            bed.settle().await;
        }
        assert_eq!(removed(&bed), "rm -f blog.web.hook\n".repeat(2), "before and after");
        assert!(!fs::read_dir(bed.state("")).unwrap().any(|entry| entry.unwrap().file_name().to_str().unwrap().starts_with("timeout")));
    }

    async fn a_command_on_the_host_runs_in_the_folder_of_the_project(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        bed.wrap("docker", "echo \"$*\" >>\"$bed/asked\"");
        let driver = bed.opened().await;
        let script = "pwd; for word; do printf '<%s>' \"$word\"; done; cat; exit 3";
        let reply = driver.call(&on_host(60, script, &["a b", "", "$(x)", "*"])).await.unwrap();
        let folder = bed.path("blog").display().to_string();
        assert_eq!((reply.rc, reply.output), (3, vec![folder, "<a b><><$(x)><*>".to_owned()]));
        let missing = Command::Hook {
            dir: "blog".to_owned(),
            timeout_secs: 60,
            container: HookContainer::None,
            argv: vec!["./no-such-script".to_owned()],
        };
        assert_eq!(driver.call(&missing).await.unwrap().rc, 127);
        assert!(!bed.beside("asked").exists(), "Docker has nothing to do with it");
        driver.end().await;
        bed.settle().await;
    }

    async fn what_a_command_on_the_host_leaves_behind_ends_with_it(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        let left = format!("sleep 100 & echo $! >'{}'; echo done", bed.beside("left").display());
        let driver = bed.opened().await;
        let leaves = on_host(60, &left, &[]);
        let reply = tokio::time::timeout(Duration::from_secs(30), driver.call(&leaves)).await.unwrap().unwrap();
        assert_eq!((reply.rc, reply.output), (0, vec!["done".to_owned()]));
        wait_for_exit(&fs::read_to_string(bed.beside("left")).unwrap()).await;
        // The same after a timeout, also if its parent has gone.
        let hangs = format!("(sleep 100 & echo $! >'{}'); echo begins; sleep 100", bed.beside("left").display());
        let hangs = on_host(1, &hangs, &[]);
        let reply = tokio::time::timeout(Duration::from_secs(30), driver.call(&hangs)).await.unwrap().unwrap();
        assert_eq!((reply.rc, reply.output), (TIMED_OUT, vec!["begins".to_owned()]));
        wait_for_exit(&fs::read_to_string(bed.beside("left")).unwrap()).await;
        driver.end().await;
        bed.settle().await;
    }

    async fn a_hook_times_out_without_a_client(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        hooking_docker(&bed);
        let driver = bed.opened().await;
        let hangs = hook(2, None, &["hangs"]);
        tokio::select! {
            _ = driver.call(&hangs) => panic!("it hangs"),
            () = wait_for(&bed, "child") => {}
        }
        drop(driver);
        assert!(bed.is_locked());
        bed.opened().await.end().await;
    }
}
