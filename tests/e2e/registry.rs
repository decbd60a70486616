//! A registry for one test: Debian's docker-registry on the loopback interface.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bed::sshd::free_port;
use crate::bed::stdout_of;

/// The user of a registry with a login.
pub(crate) const USER: &str = "ann";

/// Their password, and its bcrypt hash.
pub(crate) const PASSWORD: &str = "kT7-pull-Wq93-never-Zx58";
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuumhoVRMId2YrOKgwrFoAsUajgb5UCAT6";

/// A running registry. Dropping it stops it and removes its images.
pub(crate) struct Registry {
    dir: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// A registry that asks for the user [`USER`] and the password [`PASSWORD`].
    pub(crate) fn start_with_login() -> Self {
        Self::start_with(Some(format!("{USER}:{HASH}\n")))
    }

    fn start_with(users: Option<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let auth = users.map(|users| {
            std::fs::write(dir.path().join("users"), users).unwrap();
            format!("auth: {{htpasswd: {{realm: test, path: '{}'}}}}\n", dir.path().join("users").display())
        });
        let port = free_port();
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: '{}'}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n{}",
            dir.path().join("data").display(),
            auth.unwrap_or_default()
        );
        std::fs::write(dir.path().join("config.yml"), config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(dir.path().join("config.yml"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("docker-registry: {error}: run tests/setup.sh"));
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "the registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { dir, port, child }
    }

    /// Its address, as in the names of images.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Pushes an image under a name in this registry that asks for a login, and removes that name here.
    pub(crate) fn push(&self, image: &str, name: &str) -> String {
        let name = format!("{}/{name}", self.address());
        let config = self.dir.path().join("docker");
        std::fs::create_dir_all(&config).unwrap();
        let login = format!(r#"{{"auths":{{"{}":{{"auth":"{}"}}}}}}"#, self.address(), basic(USER, PASSWORD));
        std::fs::write(config.join("config.json"), login).unwrap();
        let docker =
            |args: &[&str]| stdout_of(Command::new("docker").args(args).env("DOCKER_CONFIG", &config));
        docker(&["tag", image, &name]);
        docker(&["push", "-q", &name]);
        docker(&["image", "rm", &name]);
        name
    }

    /// Sorted tags of an image; none if the registry does not have it.
    pub(crate) fn tags(&self, image: &str) -> Vec<String> {
        let tags =
            self.dir.path().join("data/docker/registry/v2/repositories").join(image).join("_manifests/tags");
        let mut found: Vec<String> = std::fs::read_dir(tags)
            .into_iter()
            .flatten()
            .flatten()
            .map(|tag| tag.file_name().into_string().unwrap())
            .collect();
        found.sort();
        found
    }

    /// Digest of a tag of an image.
    pub(crate) fn digest(&self, image: &str, tag: &str) -> String {
        let link = self.dir.path().join("data/docker/registry/v2/repositories").join(image);
        std::fs::read_to_string(link.join("_manifests/tags").join(tag).join("current/link")).unwrap()
    }

    /// Value of a label of an image.
    pub(crate) fn label(&self, image: &str, tag: &str, label: &str) -> String {
        let name = format!("{}/{image}:{tag}", self.address());
        drop(stdout_of(Command::new("docker").args(["pull", "-q", &name])));
        let format = format!("{{{{index .Config.Labels {label:?}}}}}");
        stdout_of(Command::new("docker").args(["image", "inspect", "--format", &format, &name]))
            .trim()
            .to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let images = Command::new("docker")
            .args(["image", "ls", "-q", "--filter", &format!("reference={}/*", self.address())])
            .output();
        let images =
            images.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let mut images: Vec<&str> = images.split_whitespace().collect();
        images.dedup();
        if !images.is_empty() {
            let _ = Command::new("docker")
                .args(["image", "rm", "-f"])
                .args(images)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A login as HTTP's basic authentication writes it.
pub(crate) fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
}
