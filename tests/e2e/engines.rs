//! Which engine the host's `docker` talks to: `ghdeploy.yml`, a context or the session names it, or a proxy stands
//! before it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::Value;

use crate::bed::{Bed, HEALTH, stdout_of};
use crate::users::User;

/// A host whose sessions read a `.bashrc`, as bash does under sshd. Its engine has another socket, too.
struct Host {
    user: User,
    bed: Bed,
    /// The address of that socket.
    other: String,
}

/// An engine that does not exist.
const NOWHERE: &str = "unix:///nowhere.sock";

impl Host {
    fn new(test: &str) -> Self {
        let bed = Bed::new(test);
        bed.compose(
            "app",
            "services:\n  web: {<<: *s, volumes: ['./conf:/conf:ro'], x-ghdeploy: {on-change: restart}}",
        );
        bed.write("services/app/conf", "one");
        bed.commit();
        let user = User::new(&bed, test, "/bin/bash", true);
        user.own_root(&bed);
        symlink("/var/run/docker.sock", bed.path("engine.sock")).unwrap();
        let other = format!("unix://{}", bed.path("engine.sock").display());
        Self { user, bed, other }
    }

    /// Writes the `.bashrc`.
    fn session(&self, text: &str) {
        std::fs::write(self.bed.path("home/.bashrc"), text).unwrap();
    }

    /// Makes a context on the host.
    fn context(&self, name: &str, address: &str) {
        let docker = self.bed.path("home/.docker");
        let mut create = Command::new("docker");
        create.env("DOCKER_CONFIG", &docker).args(["context", "create", name, "--docker"]);
        stdout_of(create.arg(format!("host={address}")));
        stdout_of(Command::new("chmod").args(["-R", "a+rX"]).arg(&docker));
    }

    /// Names the engine of the host in `ghdeploy.yml`.
    fn configure(&self, docker: &str) {
        let address = format!("{}@127.0.0.1:{}", self.user.name, self.bed.sshd.port);
        self.bed.write(
            "ghdeploy.yml",
            format!("{HEALTH}hosts: {{web: {{ssh: '{address}', docker: {docker}}}}}\n"),
        );
    }

    fn call<const N: usize>(&self, args: [&str; N]) -> crate::bed::call::Call<'_> {
        self.bed.call(args).user(&self.user.name)
    }

    /// Deploys another version, and asserts that it runs.
    #[track_caller]
    fn deploys(&self, version: &str) {
        self.bed.write("services/app/conf", version);
        self.bed.commit();
        self.call(["sync"]).run().exits(0);
        assert_eq!(self.bed.inside("app/web", &["cat", "/conf"]), version);
    }

    /// The engine, as `doctor` reports it: what names it, and its address.
    #[track_caller]
    fn engine(&self) -> (String, String) {
        let engine = self.doctor();
        let text = |key: &str| engine[key].as_str().unwrap_or_default().to_owned();
        (text("named_by"), text("address"))
    }

    #[track_caller]
    fn doctor(&self) -> Value {
        let report = self.call(["doctor", "--format", "json"]).run().exits(0).json();
        report["hosts"][0]["engine"].clone()
    }
}

#[test]
fn docker_talks_to_the_engine_that_the_configuration_the_session_or_a_context_names() {
    let host = Host::new("engines");
    let own = "unix:///var/run/docker.sock".to_owned();
    assert_eq!(host.engine(), ("default".to_owned(), own.clone()));
    assert_eq!(host.doctor()["kind"], "docker");
    // The session.
    host.session(&format!("export DOCKER_HOST={}\n", host.other));
    host.deploys("session");
    assert_eq!(host.engine(), ("DOCKER_HOST".to_owned(), host.other.clone()));
    // A session that names none that answers.
    host.session(&format!("export DOCKER_HOST={NOWHERE} DOCKER_TLS_VERIFY=1\n"));
    host.call(["doctor"])
        .run()
        .exits(4)
        .prints(&format!("the engine at {NOWHERE} (DOCKER_HOST) does not answer"));
    host.bed.write("services/app/conf", "two");
    host.bed.commit();
    let run = host.call(["sync"]).run().exits(5);
    run.prints("does not answer").ends_with("nothing was changed (release 1)");
    // The configuration wins over it.
    host.configure(&format!("{{host: '{}'}}", host.other));
    host.deploys("configured");
    assert_eq!(host.engine(), ("ghdeploy.yml".to_owned(), host.other.clone()));
    host.configure("{context: default}");
    host.deploys("default");
    assert_eq!(host.engine(), ("ghdeploy.yml".to_owned(), own));
    // A context of the user, and another one that the configuration names.
    host.bed.write("ghdeploy.yml", HEALTH);
    host.session("");
    host.context("own", &host.other);
    host.context("gone", NOWHERE);
    std::fs::write(host.bed.path("home/.docker/config.json"), "{\n\t\"currentContext\": \"own\"\n}").unwrap();
    host.deploys("context");
    assert_eq!(host.engine(), ("context".to_owned(), host.other.clone()));
    host.configure("{context: gone}");
    host.call(["doctor"])
        .run()
        .exits(4)
        .prints(&format!("the engine at {NOWHERE} (ghdeploy.yml) does not answer"));
    // On the host itself.
    host.bed.write("ghdeploy.yml", HEALTH);
    let local = format!("local:{}", host.bed.path("root").display());
    let run = |dead: &str| {
        let mut command = host.bed.call(["doctor", "--format", "json"]).host(&local).command();
        crate::support::program::run(command.env("DOCKER_HOST", dead))
    };
    assert_eq!(run(&host.other).exits(0).json()["hosts"][0]["engine"]["named_by"], "DOCKER_HOST");
    run(NOWHERE).exits(4);
}

/// Passes connections to the engine on.
fn relay() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(engine) = UnixStream::connect("/var/run/docker.sock") else { break };
            let (from, to) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
            std::thread::spawn(move || copy(from, &to, || to.shutdown(Shutdown::Write)));
            std::thread::spawn(move || {
                copy(engine, &client, || TcpStream::shutdown(&client, Shutdown::Write));
            });
        }
    });
    port
}

fn copy(mut from: impl Read, mut to: impl Write, end: impl FnOnce() -> std::io::Result<()>) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = end();
}

#[test]
fn an_engine_on_another_machine_gets_no_service_that_mounts_paths_of_the_host() {
    let host = Host::new("elsewhere");
    let address = format!("tcp://127.0.0.1:{}", relay());
    host.configure(&format!("{{host: '{address}'}}"));
    host.deploys("here");
    assert_eq!(host.doctor()["elsewhere"], false);
    // The machine of the engine has another name than the host.
    host.bed.before_tool("cat", "case $* in */hostname) echo another; exit ;; esac");
    let before = host.bed.containers();
    host.bed.write("services/app/conf", "two");
    host.bed.compose("plain", "services: {web: *s}");
    host.user.own_root(&host.bed);
    host.bed.commit();
    let told = format!("mounts a path of this host, and the engine is on another machine: {address}");
    host.call(["sync", "--dry-run"]).run().exits(5).prints(&told);
    host.call(["sync"]).run().exits(5).prints(&told).prints("plain  done");
    assert_eq!(
        (host.bed.on_host("app/conf"), &host.bed.containers()["app/web"]),
        ("here".to_owned(), &before["app/web"])
    );
    assert_eq!(host.doctor()["elsewhere"], true);
    host.call(["doctor"]).run().exits(0).prints("the engine is on another machine");
}
