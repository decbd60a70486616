//! Ways to a host: login shells, users, aliases, jump hosts, and no ssh at all.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::bed::{Bed, chmod, privileged, stdout_of};
use crate::support::{program, wait};
use crate::users::User;

/// Writes the project `app`, with a file name that needs careful quoting, and with a data directory that
/// the user of the connection cannot read.
fn repository(bed: &Bed, user: &User) {
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./web.conf:/web.conf:ro']}");
    bed.write("services/app/web.conf", "one").write("services/app/it's $HOME `x` !1", "x");
    bed.commit();
    user.own_root(bed);
}

/// Syncs twice as a user with this shell, the second time with a changed file.
fn syncs_under(test: &str, shell: &str) {
    let bed = Bed::new(test);
    bed.log_docker();
    let user = User::new(&bed, test, shell, true);
    repository(&bed, &user);
    bed.call(["sync"]).user(&user.name).run().exits(0);
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "one");
    bed.write("services/app/web.conf", "two");
    bed.commit();
    bed.call(["sync"]).user(&user.name).run().exits(0);
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "two");
    let calls = bed.docker_calls();
    bed.call(["sync"]).user(&user.name).run().exits(0).prints("nothing to do");
    assert_eq!(bed.docker_calls(), calls);
}

#[test]
fn a_login_shell_that_is_fish_changes_nothing() {
    syncs_under("fish", "/usr/bin/fish");
}

#[test]
fn a_login_shell_that_is_csh_changes_nothing() {
    syncs_under("tcsh", "/usr/bin/tcsh");
}

/// Syncs as a user with this shell whose login file, below the home directory, holds this.
fn syncs_with_login_file(test: &str, shell: &str, file: &str, text: &str) {
    let bed = Bed::new(test);
    let path = bed.path("home").join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    let user = User::new(&bed, test, shell, true);
    repository(&bed, &user);
    let noted = "the login files on the host print";
    bed.call(["doctor"]).user(&user.name).run().exits(0).prints(noted);
    bed.call(["sync"]).user(&user.name).run().exits(0).prints(noted);
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "one");
    // None of them holds the lock for longer than its run.
    bed.call(["sync", "--lock-wait", "10s"]).user(&user.name).run().exits(0).prints("nothing to do");
}

#[test]
fn login_files_that_print_read_and_wait_change_nothing() {
    let answers = r#"{"id":1,"event":"done","rc":0}\n{"id":2,"event":"state","state":{}}\n{"id":0,"event":"done","rc":7}"#;
    let long = "dd if=/dev/zero bs=1000 count=300 2>/dev/null | tr '\\000' x";
    let text = format!(
        "echo noise >&2\nread -r answer\nsleep 1\n{long}\nprintf '{answers}'\nprintf '\\033]0;title\\007'\n"
    );
    syncs_with_login_file("noisy", "/bin/bash", ".bashrc", &text);
}

#[test]
fn a_login_file_of_fish_that_prints_without_a_newline_changes_nothing() {
    syncs_with_login_file("noisyfish", "/usr/bin/fish", ".config/fish/config.fish", "echo -n title\n");
}

#[test]
fn a_login_file_of_csh_that_prints_without_a_newline_changes_nothing() {
    syncs_with_login_file("noisytcsh", "/usr/bin/tcsh", ".tcshrc", "echo -n title\n");
}

#[test]
fn the_local_host_is_a_host_like_any_other() {
    let bed = Bed::new("local");
    let local = || format!("local:{}", bed.path("root").display());
    bed.compose(
        "app",
        "services:\n  web: {<<: *s, volumes: ['./web.conf:/web.conf:ro']}\n  worker: {<<: *s}",
    );
    bed.write("services/app/web.conf", "one");
    bed.commit();
    bed.call(["sync"]).host(local()).run().exits(0);
    let before = bed.containers();
    bed.write("services/app/web.conf", "two");
    bed.commit();
    bed.call(["sync"]).host(local()).run().exits(0);
    let after = bed.containers();
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "two");
    assert_eq!(after["app/worker"], before["app/worker"]);
    assert_eq!(after["app/web"].id, before["app/web"].id);
    // Over ssh it is the same host, so nothing is left to do.
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
    assert_eq!(bed.sshd.logins_and_commands(), (1, 1));
}

#[test]
fn variables_of_the_client_and_of_the_session_do_not_reach_containers() {
    let bed = Bed::new("variables");
    let services =
        "services:\n  web: {<<: *s, environment: {A: '${GITHUB_TOKEN:-none}', B: '${ONLY_SESSION:-none}'}}";
    bed.compose("app", services);
    bed.commit();
    let local = format!("local:{}", bed.path("root").display());
    let mut command = bed.call(["sync"]).host(local).command();
    program::run(command.env("GITHUB_TOKEN", "hunter2").env("COMPOSE_PROJECT_NAME", "another")).exits(0);
    assert_eq!(bed.inside("app/web", &["sh", "-c", "printf %s-%s $A $B"]), "none-none");
    let session = "export ONLY_SESSION=hunter2 COMPOSE_PROJECT_NAME=another COMPOSE_FILE=/nowhere\n";
    std::fs::write(bed.path("home/.bashrc"), session).unwrap();
    let user = User::new(&bed, "variables", "/bin/bash", true);
    user.own_root(&bed);
    stdout_of(privileged(["chown", "-R", &user.name]).arg(bed.root(".ghdeploy")));
    bed.call(["sync"]).user(&user.name).run().exits(0).prints("nothing to do");
    bed.call(["sync", "--force"]).user(&user.name).run().exits(0);
    assert_eq!(bed.inside("app/web", &["sh", "-c", "printf %s-%s $A $B"]), "none-none");
    // What only the session has, the host does not have.
    bed.compose("app", "services:\n  web: {<<: *s, environment: {B: '${ONLY_SESSION}'}}");
    bed.commit();
    bed.call(["sync"]).user(&user.name).run().exits(5).prints("ONLY_SESSION").never_prints("hunter2");
}

#[test]
fn an_alias_of_an_ssh_config_with_a_jump_host_is_followed() {
    let bed = Bed::new("jump");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.commit();
    let (port, key, known) = (bed.sshd.port, bed.sshd.client_key(), bed.sshd.known_hosts());
    let all = format!(
        "  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {}\n  UserKnownHostsFile {}\n  StrictHostKeyChecking yes\n",
        key.display(),
        known.display()
    );
    let config = bed.path("ssh_config");
    std::fs::write(&config, format!("Host jump\n{all}Host web\n{all}  ProxyJump jump\n")).unwrap();
    chmod(&config, 0o600);
    let config = config.display().to_string();
    bed.call(["sync", "--no-restart", "--ssh-config", &config]).host("web").known_hosts(None).run().exits(0);
    // One login on the jump host, one on the host.
    assert_eq!(bed.sshd.logins_and_commands().0, 2);
    assert!(bed.root("app/compose.yml").exists());
}

#[test]
fn hosts_of_the_configuration_are_found_by_name_and_run_their_own_projects() {
    let bed = Bed::new("named");
    for project in ["app", "blog"] {
        bed.compose(project, "services:\n  web: {<<: *s}");
    }
    let (a, b) = (bed.path("root").display().to_string(), bed.path("other").display().to_string());
    bed.write("ghdeploy.yml", format!("hosts:\n  web: {{ssh: local, root: {a}, projects: ['*', '!blog']}}\n  db: {{ssh: local, root: {b}, projects: [blog]}}\n"));
    bed.commit();
    let both = bed.call(["sync", "--no-restart", "--format", "json"]).without_host().run().exits(0).json();
    let names: Vec<&str> =
        both["hosts"].as_array().unwrap().iter().map(|host| host["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["web", "db"]);
    assert!(bed.root("app/compose.yml").exists() && !bed.root("blog/compose.yml").exists());
    assert!(bed.path("other/blog/compose.yml").exists() && !bed.path("other/app").exists());
}

#[test]
fn a_key_in_the_environment_or_on_stdin_logs_in_and_is_never_shown() {
    let bed = Bed::new("keytext");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.commit();
    let key = std::fs::read_to_string(bed.sshd.client_key()).unwrap();
    let hosts = std::fs::read_to_string(bed.sshd.known_hosts()).unwrap();
    let body = key.lines().nth(1).unwrap();
    for (variable, stdin) in [(key.as_str(), ""), (&*key.replace('\n', "\r\n"), ""), ("-", &key)] {
        let mut command = bed.call(["sync", "--dry-run"]).known_hosts(None).key_variable(variable).command();
        command.env("GHDEPLOY_KNOWN_HOSTS", &hosts);
        let output = program::feed(&mut command, stdin).exits(0).prints("up  web").never_prints(body);
        let repaired = output.stderr.contains("note: the private key had Windows line ends");
        assert_eq!(repaired, variable.contains('\r'), "{}", output.all());
        assert_eq!(std::fs::read_dir(bed.path("tmp")).unwrap().count(), 0, "something was left");
    }
    // All users see arguments, so a key there is refused and not repeated.
    bed.call(["sync"])
        .ssh_key(&key)
        .run()
        .exits(2)
        .prints("a private key on the command line")
        .never_prints(body);
}

#[test]
fn a_key_given_as_text_is_used_for_jump_hosts_too() {
    let bed = Bed::new("keyjump");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.commit();
    let (port, known) = (bed.sshd.port, bed.sshd.known_hosts());
    let all = format!(
        "  HostName 127.0.0.1\n  Port {port}\n  IdentityFile /nowhere/key\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n",
        known.display()
    );
    let config = bed.path("ssh config");
    std::fs::write(&config, format!("Host jump\n{all}Host web\n{all}  ProxyJump jump\n")).unwrap();
    chmod(&config, 0o600);
    let key = std::fs::read_to_string(bed.sshd.client_key()).unwrap();
    let call = bed.call(["sync", "--no-restart", "--ssh-config", &config.display().to_string()]);
    call.host("web").known_hosts(None).key_variable(key).run().exits(0);
    assert_eq!(bed.sshd.logins_and_commands().0, 2);
}

/// The environments of all processes except one that have the name of a directory of the test in them.
fn environments(of: &str, except: u32) -> String {
    let mut all = String::new();
    let others = std::fs::read_dir("/proc").unwrap().flatten();
    for entry in others.filter(|entry| entry.file_name() != *except.to_string()) {
        let text = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        if text.contains(of) {
            all.push_str(&text);
        }
    }
    all
}

#[test]
fn no_child_has_a_secret_in_its_environment() {
    let bed = Bed::new("environ");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.write("ghdeploy.yml", "health: {stable_for: 0s}\nnotify: {webhook: DEPLOY_ADDRESS}\n");
    bed.commit();
    let held = bed.hold("docker", "");
    let key = std::fs::read_to_string(bed.sshd.client_key()).unwrap();
    let mut command = bed.call(["sync"]).key_variable(&key).command();
    command.env("GITHUB_TOKEN", "token-hunter2").env("DEPLOY_ADDRESS", "http://127.0.0.1:9/address-hunter2");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = command.spawn().unwrap();
    held.wait();
    let seen = environments(&bed.path("tmp").display().to_string(), run.id());
    let body = key.lines().nth(1).unwrap();
    assert!(seen.contains("TMPDIR="), "ssh and its agent have been seen");
    for secret in [body, "hunter2"] {
        assert!(!seen.contains(secret), "a child has a secret in its environment");
    }
    for entry in std::fs::read_dir(bed.path("tmp")).unwrap().flatten() {
        let mode = std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions()) & 0o777;
        assert_eq!(mode, 0o700, "{}", entry.path().display());
    }
    held.release();
    run.wait().unwrap();
    bed.settle();
}

#[test]
fn the_agent_of_a_key_given_as_text_ends_with_a_killed_run() {
    let bed = Bed::new("keykill");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.commit();
    bed.before_docker("sleep 5; exit");
    let mut command = bed.call(["sync"]).key_variable("-").command();
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = command.spawn().unwrap();
    let key = std::fs::read(bed.sshd.client_key()).unwrap();
    run.stdin.take().unwrap().write_all(&key).unwrap();
    let ours = format!("^ssh-agent -a {}", bed.path("tmp").display());
    let agents = || !Command::new("pgrep").args(["-f", "--", &ours]).output().unwrap().stdout.is_empty();
    wait::until("the host is reached", || bed.root(".ghdeploy/lock").exists());
    assert!(agents(), "the key is in no agent");
    run.kill().unwrap();
    run.wait().unwrap();
    wait::until("the agent ends with its run", || !agents());
    bed.settle();
}
