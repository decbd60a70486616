//! A Docker Engine for one bed alone.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bed::{Bed, privileged, stdout_of};

/// A running engine with the test image. Its `docker` is asked by [`Engine::docker`].
pub(crate) struct Engine<'b> {
    bed: &'b Bed,
    runs_as: RunsAs,
    child: Option<Child>,
}

enum RunsAs {
    /// root, in the network namespace of this name and without networks.
    Root { space: String },
    /// This user, in a user namespace.
    User(String),
}

impl<'b> Engine<'b> {
    /// Starts one as root, and makes it that of the host.
    pub(crate) fn start(bed: &'b Bed) -> Self {
        let space = format!("ge{}", std::process::id());
        stdout_of(&mut privileged(["ip", "netns", "add", &space]));
        stdout_of(&mut privileged(["ip", "-n", &space, "link", "set", "lo", "up"]));
        std::fs::create_dir(bed.path("engine")).unwrap();
        let engine = Self { bed, runs_as: RunsAs::Root { space }, child: None }.begin();
        bed.before_docker(&format!("export DOCKER_HOST={}", engine.socket()));
        engine
    }

    /// Starts one as this user, without privileges.
    pub(crate) fn rootless(bed: &'b Bed, user: &str) -> Self {
        stdout_of(privileged(["install", "-d", "-o", user]).arg(bed.path("engine")));
        Self { bed, runs_as: RunsAs::User(user.to_owned()), child: None }.begin()
    }

    fn begin(mut self) -> Self {
        self.up();
        let image = self.at("image.tar");
        stdout_of(privileged(["docker", "save", "-o"]).arg(&image).arg("ghdeploy-test/busybox:1"));
        self.docker(&["load", "-i", &image.display().to_string()]);
        self
    }

    fn at(&self, name: &str) -> PathBuf {
        self.bed.path("engine").join(name)
    }

    pub(crate) fn socket(&self) -> String {
        format!("unix://{}", self.at("socket").display())
    }

    pub(crate) fn docker(&self, args: &[&str]) -> String {
        stdout_of(privileged(["docker", "-H", &self.socket()]).args(args))
    }

    fn answers(&self) -> bool {
        let mut version = privileged(["docker", "-H", &self.socket(), "version"]);
        version.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    /// The command that becomes `dockerd`.
    fn program(&self) -> Command {
        match &self.runs_as {
            RunsAs::Root { space } => {
                let mut command =
                    privileged(["nsenter", &format!("--net=/run/netns/{space}"), "--", "dockerd"]);
                command.args(["--bridge", "none"]);
                command
            }
            // As Docker's dockerd-rootless.sh does it, but for the way to the network, which no test needs.
            RunsAs::User(user) => {
                let folder = self.bed.path("engine").display().to_string();
                let mut command =
                    privileged(["setpriv", "--reuid", user, "--regid", user, "--init-groups", "env"]);
                command.args([format!("HOME={folder}"), format!("XDG_RUNTIME_DIR={folder}")]);
                command.args([
                    "rootlesskit",
                    "--net=host",
                    "--copy-up=/etc",
                    "--copy-up=/run",
                    "--propagation=rslave",
                ]);
                command.arg(format!("--state-dir={folder}/state"));
                let script = "rm -f /run/docker /run/containerd /run/xtables.lock; exec dockerd \"$@\"";
                command.args(["unshare", "--net", "sh", "-c", script, "sh", "--rootless"]);
                command.args(["--default-address-pool", "base=10.203.0.0/16,size=24"]);
                command
            }
        }
    }

    /// Starts it again.
    pub(crate) fn up(&mut self) {
        let at = |name: &str| self.at(name).display().to_string();
        let mut command = self.program();
        command.args(["--host", &self.socket(), "--data-root", &at("data"), "--exec-root", &at("exec")]);
        command.args(["--pidfile", &at("pid")]);
        let path = self.bed.path("engine.log");
        let log = std::fs::File::create(&path).unwrap();
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let begin = Instant::now();
        while !self.answers() {
            assert!(begin.elapsed() < Duration::from_secs(60), "{}", std::fs::read_to_string(&path).unwrap());
            std::thread::sleep(Duration::from_millis(100));
        }
        if matches!(self.runs_as, RunsAs::Root { .. }) {
            let _ = privileged(["chmod", "666"]).arg(self.at("socket")).status();
        }
    }

    pub(crate) fn pid(&self) -> String {
        self.child.as_ref().unwrap().id().to_string()
    }

    pub(crate) fn down(&mut self) {
        let _ = privileged(["kill", &self.pid()]).stderr(Stdio::null()).status();
        self.child.take().unwrap().wait().unwrap();
    }

    /// `service state MODE` of each container.
    pub(crate) fn containers(&self) -> Vec<String> {
        let ids = self.docker(&["ps", "-aq"]);
        let format = r#"{{.Name}} {{.State.Status}} {{range .Config.Env}}{{println .}}{{end}}"#;
        let mut all: Vec<String> = ids
            .split_whitespace()
            .map(|id| self.docker(&["inspect", "--format", format, id]))
            .map(|text| {
                let first = text.lines().next().unwrap().trim_start_matches('/').to_owned();
                first.replace(&format!("{}-app-", self.bed.id), "")
            })
            .collect();
        all.sort();
        all
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        let ids = privileged(["docker", "-H", &self.socket(), "ps", "-aq"]).output();
        for id in String::from_utf8_lossy(&ids.unwrap().stdout).split_whitespace() {
            let _ =
                privileged(["docker", "-H", &self.socket(), "rm", "-fv", id]).stdout(Stdio::null()).status();
        }
        if self.child.is_some() {
            self.down();
        }
        if let RunsAs::Root { space } = &self.runs_as {
            let _ = privileged(["ip", "netns", "del", space]).status();
        }
        let _ = privileged(["rm", "-rf"]).arg(self.bed.path("engine")).status();
    }
}
