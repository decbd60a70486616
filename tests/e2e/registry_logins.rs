//! Logins to a registry for the time of a pull, with a real registry, a real Docker and a real sshd.

use std::process::Command;

use crate::bed::{Bed, stdout_of};
use crate::registry::{PASSWORD, Registry, USER, basic};
use crate::support::program::{self, Output};

/// What the host's Docker can see of a run: at calls of Compose and at pulls the files below the root and of its user,
/// and the arguments of all processes; at every call but a pull its environment.
const WATCH: &str = r#"
case $1 in compose | pull)
  find "$bed/root" "$bed/home" "$bed/tmp" -type f -exec cat {} + >>"$bed/seen" 2>/dev/null
  cat /proc/[0-9]*/cmdline >>"$bed/seen" 2>/dev/null ;;
esac
case $1 in pull) ;; *) export -p >>"$bed/seen" ;; esac
"#;

struct Login {
    bed: Bed,
    registry: Registry,
    image: String,
}

impl Login {
    /// A project whose service `web` has an image of a registry with a login, and `cache` one that the host has.
    fn new(test: &str) -> Self {
        let (bed, registry) = (Bed::new(test), Registry::start_with_login());
        let image = registry.push("ghdeploy-test/busybox:1", "ann/app:1");
        let config = format!(
            "health: {{stable_for: 0s, timeout: 90s}}\nregistries: {{'{}': {{username: {USER}, password: PULL_TOKEN}}}}\n",
            registry.address()
        );
        bed.write("ghdeploy.yml", config);
        bed.before_docker(&format!("bed='{}'\n{WATCH}", bed.path("").display()));
        let login = Self { bed, registry, image };
        login.compose("1");
        login
    }

    fn compose(&self, value: &str) {
        let web = format!(
            "web: {{<<: *s, image: '{}', pull_policy: always, environment: {{A: '{value}'}}, depends_on: [cache]}}",
            self.image
        );
        self.bed.compose("app", &format!("services:\n  {web}\n  cache: {{<<: *s}}"));
    }

    fn sync(&self, variables: &[(&str, &str)], args: &[&str]) -> Output {
        self.bed.commit();
        let mut command = self.bed.call(["-vv", "sync"]).command();
        let output = program::run(command.args(args).envs(variables.iter().copied()));
        self.is_free_of_it("the output", &output.all());
        output
    }

    fn is_free_of_it(&self, what: &str, text: &str) {
        for piece in [PASSWORD, "kT7-pull", "never-Zx58", &basic(USER, PASSWORD)] {
            assert!(!text.contains(piece), "{piece} is in {what}");
        }
    }

    /// Nothing that others can see has the password.
    fn left_nothing(&self) {
        self.bed.settle();
        let seen = std::fs::read(self.bed.path("seen")).unwrap();
        self.is_free_of_it("what Docker sees", &String::from_utf8_lossy(&seen));
        let files = ["root", "home", "tmp"].map(|name| self.bed.path(name));
        let all = stdout_of(
            Command::new("sh").args(["-c", "find \"$@\" -type f -exec cat {} +", "sh"]).args(files),
        );
        self.is_free_of_it("a file", &all);
        for container in self.bed.containers().values() {
            self.is_free_of_it(
                "a container",
                &stdout_of(Command::new("docker").args(["inspect", &container.id])),
            );
            let inside = ["exec", &container.id, "sh", "-c", "cat /proc/[0-9]*/environ"];
            self.is_free_of_it("a container", &stdout_of(Command::new("docker").args(inside)));
        }
    }

    fn pulls(&self) -> Vec<String> {
        self.bed.docker_calls().into_iter().filter(|call| call.contains("pull ")).collect()
    }
}

#[test]
fn an_image_is_pulled_with_the_login_of_the_run_and_nothing_of_it_stays() {
    let login = Login::new("login");
    let right = [("PULL_TOKEN", format!("{PASSWORD}\n"))];
    let right = [(right[0].0, right[0].1.as_str())];
    login.sync(&right, &[]).exits(0);
    assert_eq!(login.bed.env("app/web", "A"), "1");
    login.left_nothing();
    assert_eq!(login.pulls()[0], format!("pull --quiet {}", login.image));
    // Compose would pull again, because the policy is `always`, and it has no login.
    login.compose("2");
    login.sync(&right, &[]).exits(0);
    assert_eq!(login.bed.env("app/web", "A"), "2");
    let pulls = login.pulls();
    assert!(pulls.iter().any(|call| call.contains(" up -d --pull never ")), "{pulls:?}");
    assert_eq!(pulls.iter().filter(|call| call.starts_with("pull ")).count(), 2, "{pulls:?}");
    // Where nothing is pulled, no login is missed.
    login.sync(&[], &[]).exits(0);
    login.sync(&[("GITHUB_ACTIONS", "true"), ("PULL_TOKEN", "")], &["--dry-run"]).exits(0);
    login.left_nothing();
}

#[test]
fn the_action_passes_the_token_of_the_run() {
    let login = Login::new("actionlogin");
    let bed = &login.bed;
    let config = std::fs::read_to_string(bed.repo("ghdeploy.yml")).unwrap();
    bed.write("ghdeploy.yml", config.replace("PULL_TOKEN", "GHDEPLOY_GITHUB_TOKEN"));
    bed.commit();
    let call = bed.call([]).command();
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut step = Command::new("sh");
    step.arg(top.join(".github/action/run.sh")).current_dir(bed.repo("")).env_clear();
    step.envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let user = stdout_of(Command::new("id").arg("-un"));
    step.env("BINARY", env!("CARGO_BIN_EXE_ghdeploy"))
        .env("COMMAND", "sync")
        .env("SSH_KEY", std::fs::read_to_string(bed.sshd.client_key()).unwrap())
        .env("KNOWN_HOSTS", std::fs::read_to_string(bed.sshd.known_hosts()).unwrap())
        .env("GHDEPLOY_HOST", format!("{}@127.0.0.1:{}", user.trim(), bed.sshd.port))
        .env("GHDEPLOY_ROOT", bed.root(""))
        .env("GITHUB_ACTIONS", "true")
        .env("GHDEPLOY_GITHUB_TOKEN", PASSWORD);
    for name in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"] {
        step.env(name, bed.path(name));
    }
    let output = program::run(&mut step).exits(0);
    login.is_free_of_it("the log", &output.all());
    for name in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"] {
        login.is_free_of_it(name, &std::fs::read_to_string(bed.path(name)).unwrap());
    }
    assert_eq!(bed.env("app/web", "A"), "1");
    login.left_nothing();
}

#[test]
fn without_the_right_login_nothing_changes_and_the_message_names_it() {
    let login = Login::new("wronglogin");
    let web = format!("image {} of service `web` cannot be pulled", login.image);
    let registry = login.registry.address();
    for (variables, exit, why) in [
        (
            &[][..],
            5,
            format!("{web}: the variable PULL_TOKEN with the login to {registry} is empty or not set"),
        ),
        (
            &[("PULL_TOKEN", "\n")],
            5,
            format!("{web}: the variable PULL_TOKEN with the login to {registry} is empty"),
        ),
        (&[("PULL_TOKEN", "kT7-pull-Wq93")], 5, format!("{web} with the login to {registry}: ")),
        (
            &[("GITHUB_ACTIONS", "true"), ("PULL_TOKEN", "")],
            2,
            format!("the variable PULL_TOKEN with the login to {registry} is empty"),
        ),
        (
            &[("GITHUB_ACTIONS", "true")],
            2,
            format!("the variable PULL_TOKEN with the login to {registry} is not set"),
        ),
    ] {
        // The wrong password is a piece of the right one.
        let mut command = login.bed.call(["sync"]).command();
        login.bed.commit();
        let output = program::run(command.envs(variables.iter().copied()));
        output.exits(exit).prints(&why).prints("PULL_TOKEN").never_prints("kT7");
        assert!(login.bed.containers().is_empty() && !login.bed.root("app/compose.yml").exists());
    }
    login.left_nothing();
}
