//! Which engine the host's `docker` talks to: `ghdeploy.yml`, a context or the session names it, or a proxy stands
//! before it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use serde_json::Value;

use crate::bed::{Bed, HEALTH, stdout_of};
use crate::own_engine::Engine;
use crate::support::wait::until;
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
        Self::of(test, true)
    }

    /// Whether its user is in the group `docker`: `docker`.
    fn of(test: &str, docker: bool) -> Self {
        let bed = Bed::new(test);
        bed.compose(
            "app",
            "services:\n  web: {<<: *s, volumes: ['./conf:/conf:ro'], x-ghdeploy: {on-change: restart}}",
        );
        bed.write("services/app/conf", "one");
        bed.commit();
        let user = User::new(&bed, test, "/bin/bash", docker);
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

#[test]
fn rootless_docker_deploys_restarts_heals_and_goes_back() {
    let host = Host::of("rootless", false);
    let engine = Engine::rootless(&host.bed, &host.user.name);
    host.call(["doctor"]).run().exits(4);
    host.configure(&format!("{{host: '{}'}}", engine.socket()));
    let web = format!("{}-app-web-1", host.bed.id);
    let conf = || engine.docker(&["exec", &web, "cat", "/conf"]);
    let id = || engine.docker(&["inspect", "--format", "{{.Id}}", &web]);
    // With a network of its own, and a file that its root owns.
    let compose = |command: &str| {
        host.bed.compose("app", &format!("services:\n  web: {{image: 'ghdeploy-test/busybox:1', command: {command}, stop_signal: SIGKILL, volumes: ['./conf:/conf:ro', './kept:/kept'], x-ghdeploy: {{on-change: restart}}}}"));
    };
    let deploy = |content: &str| {
        host.bed.write("services/app/conf", content);
        host.bed.commit();
        host.call(["sync"]).run()
    };
    compose("[sh, -c, 'cp /conf /kept/last; sleep 1000']");
    deploy("one").exits(0);
    assert_eq!(conf(), "one");
    let first = id();
    deploy("two").exits(0).prints("restart");
    assert_eq!((conf(), id()), ("two".to_owned(), first.clone()));
    assert_eq!(host.doctor()["kind"], "docker");
    assert_eq!(host.doctor()["rootless"], true);
    host.call(["doctor"]).run().exits(0).prints("rootless");
    // A crash, and the way back.
    compose("['false']");
    deploy("three").exits(5).prints("rolled back");
    assert_eq!((conf(), host.bed.on_host("app/conf")), ("two".to_owned(), "two".to_owned()));
    // A container that has gone is made again, and files of the container's root are no drift.
    compose("[sh, -c, 'cp /conf /kept/last; sleep 1000']");
    host.bed.write("services/app/conf", "two");
    host.bed.commit();
    engine.docker(&["rm", "-f", &web]);
    host.call(["sync"]).run().exits(0);
    assert_ne!(id(), first);
    host.call(["rollback", "--to", "1"]).run().exits(0);
    assert_eq!(conf(), "one");
    host.call(["status"]).run().exits(0);
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

/// A proxy in front of the engine that lets only some requests through. It is the program that docker-socket-proxy
/// runs, with rules of the same kind.
struct Proxy {
    child: Child,
    address: String,
}

impl Proxy {
    /// `parts`: below which paths, besides `/_ping` and `/version`. `writes`: whether also requests that change something.
    fn start(bed: &Bed, parts: &str, writes: bool) -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let config = bed.path(&format!("haproxy-{port}.cfg"));
        let deny = if writes { "" } else { "http-request deny unless METH_GET" };
        std::fs::write(
            &config,
            format!(
                "defaults\n mode http\n timeout connect 5s\n timeout client 5m\n timeout server 5m\nfrontend docker\n bind 127.0.0.1:{port}\n {deny}\n http-request deny unless {{ path -m reg ^(/v[0-9.]+)?/(_ping|version|{parts}) }}\n default_backend engine\nbackend engine\n server engine unix@/var/run/docker.sock\n"
            ),
        )
        .unwrap();
        let child = Command::new("haproxy").args(["-db", "-f"]).arg(&config).spawn().unwrap();
        let proxy = Self { child, address: format!("tcp://127.0.0.1:{port}") };
        until("the proxy answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_proxy_that_passes_what_a_deploy_needs_is_enough_and_another_one_is_named() {
    let host = Host::new("proxied");
    let passes = Proxy::start(&host.bed, "info|containers|images|networks|volumes|events", true);
    host.configure(&format!("{{host: '{}'}}", passes.address));
    host.deploys("one");
    let before = host.bed.containers();
    host.deploys("two");
    let after = host.bed.containers();
    assert_eq!(after["app/web"].id, before["app/web"].id, "a restart is enough");
    assert_eq!(host.engine().1, passes.address);
    host.call(["doctor"]).run().exits(0).never_prints("refuses");
    // What fails is rolled back.
    host.bed.compose("app", "services:\n  web: {<<: *s, command: 'false', volumes: ['./conf:/conf:ro']}");
    host.bed.commit();
    host.call(["sync"]).run().exits(5).prints("rolled back");
    assert_eq!(host.bed.inside("app/web", &["cat", "/conf"]), "two");
    let before = host.bed.containers();
    // One that only lets look.
    let looks = Proxy::start(&host.bed, "info|containers|images|networks|volumes|events", false);
    let other = Proxy::start(&host.bed, "info|containers|images|networks|events", true);
    for (proxy, refused) in [(&looks, "POST /containers"), (&other, "GET /volumes")] {
        host.configure(&format!("{{host: '{}'}}", proxy.address));
        let told = format!("the proxy before Docker at {} refuses {refused}", proxy.address);
        host.bed.commit();
        host.call(["sync", "--dry-run"]).run().exits(5).prints(&told);
        host.call(["sync"]).run().exits(5).prints(&told).ends_with("nothing was changed (release 2)");
        host.call(["doctor"]).run().exits(4).prints(refused);
        assert_eq!(host.bed.containers(), before);
    }
}
