//! Variables of the host: what it lacks is named before anything is pulled; files that an earlier step has made; keys
//! that the Compose of the host does not know; projects without services.

use std::os::unix::fs::PermissionsExt as _;

use crate::bed::observe::{each, fates};
use crate::bed::{Bed, chmod};

#[test]
fn all_variables_that_the_host_lacks_are_named_at_once_by_dry_run_sync_and_doctor() {
    let bed = Bed::new("lacks");
    bed.compose(
        "app",
        "services:\n  web:\n    <<: *s\n    image: '127.0.0.1:1/nobody/nothing:1'\n    environment:\n      A: '${APP_KEY:?ask ann}'\n      \
         B: $APP_HOST\n      C: ${APP_PORT:-80}\n      D: '${SECRET}'\n  old: {<<: *s, user: '${APP_USER?}'}",
    );
    bed.compose("blog", "services:\n  web: {<<: *s}");
    bed.commit();
    let dotenv = bed.root("app/.env").display().to_string();
    let names = "3 variables are not set on the host: APP_HOST, APP_KEY, APP_USER";
    let dry = bed.call(["sync", "--dry-run", "--exit-code"]).run();
    let lines =
        ["APP_KEY: services/app/compose.yml:9:10, required", "APP_HOST: services/app/compose.yml:10:10"];
    for line in lines.iter().copied().chain([names, &dotenv]) {
        assert!(dry.contains(line), "{line}: {}", dry.all());
    }
    let dry = dry.never_prints("only-the-host-knows").never_prints("APP_PORT");
    assert_ne!(dry.code, Some(0), "{}", dry.all());
    let before = bed.listing("root/app");
    bed.sync([])
        .exits(5)
        .prints(names)
        .prints(&dotenv)
        .never_prints("nobody/nothing")
        .never_prints("only-the-host");
    assert_eq!(bed.listing("root/app"), before);
    let doctor = bed.call(["doctor"]).run().exits(4).prints("variables of app").prints(names);
    doctor.never_prints("variables of blog").never_prints("only-the-host-knows");
    // Each of them is found, wherever the host defines it.
    bed.allow("app/.env");
    bed.guard("app/.env", "SECRET=only-the-host-knows\nexport APP_KEY=hunter2\nAPP_HOST=\nAPP_USER='0'\n");
    bed.call(["doctor"]).run().exits(0).never_prints("hunter2");
    bed.compose(
        "app",
        "services:\n  web: {<<: *s, environment: {A: '${APP_KEY:?ask ann}', B: $APP_HOST, D: '${SECRET}'}}",
    );
    bed.sync([]).exits(0).never_prints("hunter2");
    assert_eq!(bed.env("app/web", "A"), "hunter2");
}

#[test]
fn check_lists_what_hosts_must_define_and_explains_a_dollar_that_begins_no_variable() {
    let bed = Bed::new("listed");
    bed.compose("app", "services:\n  web: {<<: *s, user: '${APP_USER:?}', hostname: '${APP_NAME:-app}'}");
    let ran = bed
        .call(["check"])
        .without_host()
        .run()
        .exits(0)
        .prints("APP_USER  services/app/compose.yml:5, required");
    ran.prints("APP_NAME  services/app/compose.yml:5, has a default");
    let hash = "$apr1$x8vH2f1k$Qb0n0hUuZyIh5sYl1v3aB.";
    bed.compose("app", &format!("services:\n  web: {{<<: *s, labels: ['auth.users=ann:{hash}']}}"));
    let said = "a `$` in what looks like the hash of a password begins a variable for Compose";
    bed.call(["check"])
        .without_host()
        .run()
        .exits(2)
        .prints(said)
        .prints("compose.yml:5:")
        .never_prints("Qb0n0hUu");
    bed.commit();
    bed.call(["sync", "--dry-run"]).run().prints(said).prints("write `$$`").never_prints("Qb0n0hUu");
    bed.compose(
        "app",
        &format!("services:\n  web: {{<<: *s, labels: ['auth.users=ann:{}']}}", hash.replace('$', "$$")),
    );
    bed.sync([]).exits(0);
    assert_eq!(bed.inspect("app/web", "{{index .Config.Labels \"auth.users\"}}"), format!("ann:{hash}"));
}

#[test]
fn a_file_that_an_earlier_step_has_made_is_deployed_as_private_as_it_is() {
    let bed = Bed::new("made");
    bed.compose("app", "services:\n  web: {<<: *s, env_file: secrets.env}");
    bed.write(".gitignore", "secrets.env\n");
    bed.write("ghdeploy.yml", "health: {stable_for: 1s}\nsync: {include: [secrets.env]}\n");
    let commit = bed.commit();
    // What `sops -d services/app/secrets.enc.env > services/app/secrets.env` does under umask 077.
    bed.write("services/app/secrets.env", "TOKEN=hunter2\n");
    chmod(bed.repo("services/app/secrets.env"), 0o600);
    let outcome = bed.call(["sync", "--format", "json"]).run().exits(0).never_prints("hunter2").json();
    assert_eq!((outcome["commit"].as_str(), outcome["dirty"].as_bool()), (Some(commit.trim()), Some(false)));
    let there = std::fs::metadata(bed.root("app/secrets.env")).unwrap();
    assert_eq!(there.permissions().mode() & 0o777, 0o600);
    assert_eq!(bed.env("app/web", "TOKEN"), "hunter2");
    bed.write("services/app/secrets.env", "TOKEN=hunter3\n");
    bed.call(["diff"]).run().never_prints("hunter");
    bed.call(["sync", "-v"]).run().exits(0).never_prints("hunter");
    assert_eq!(bed.env("app/web", "TOKEN"), "hunter3");
}

#[test]
fn what_compose_on_the_host_refuses_is_about_a_line_of_the_repository() {
    let bed = Bed::new("newer");
    bed.compose("app", "services:\n  web:\n    <<: *s\n    quantum_link: {a: b}");
    let ran = bed.sync([]).exits(5).prints("service `web` has the unknown key `quantum_link`");
    ran.prints("--> services/app/compose.yml:7:5")
        .prints("the host has Docker Compose ")
        .never_prints("/stage/");
    assert!(bed.containers().is_empty());
}

#[test]
fn a_project_may_have_no_services_and_loses_those_that_it_had() {
    let bed = Bed::new("nothing");
    bed.compose("app", "services:\n  web: {<<: *s}\n  db: {<<: *s}");
    bed.compose("off", "services: {}");
    bed.sync([]).exits(0);
    let before = bed.containers();
    assert_eq!(before.len(), 2);
    // A file that has lost its content is no statement.
    let whole = std::fs::read_to_string(bed.repo("services/app/compose.yml")).unwrap();
    bed.write("services/app/compose.yml", "# nothing is left\n");
    bed.call(["check"]).without_host().run().exits(2).prints("the compose file is empty");
    bed.commit();
    bed.call(["sync"]).run().prints("the compose file is empty");
    assert!(fates(&before, &bed.containers()).is_empty());
    let (head, _) = whole.split_once("services:").unwrap();
    bed.write("services/app/compose.yml", format!("{head}services:\n  # web: {{<<: *s}}\n"));
    bed.call(["check"]).without_host().run().exits(0);
    let plan = bed.call(["sync", "--dry-run", "--format", "json"]).run().exits(0).json();
    let kinds: Vec<String> =
        each(&plan, "actions").iter().map(|(_, action)| action["kind"].to_string()).collect();
    assert_eq!(kinds, ["\"remove\"", "\"remove\""]);
    bed.sync([]).exits(0);
    assert!(bed.containers().is_empty());
    bed.write("services/app/compose.yml", whole);
    bed.sync([]).exits(0);
    assert_eq!(bed.containers().len(), 2);
}

#[test]
fn a_folder_that_is_archived_is_gone_and_pruned() {
    let bed = Bed::new("archived");
    bed.compose("app", "services:\n  web: {<<: *s}").compose("blog", "services:\n  web: {<<: *s}");
    bed.sync([]).exits(0);
    std::fs::create_dir(bed.repo("services/_archive")).unwrap();
    std::fs::rename(bed.repo("services/blog"), bed.repo("services/_archive/blog")).unwrap();
    bed.write("services/.template/compose.yml", "services: {web: {image: a:1}}");
    bed.commit();
    bed.call(["check", "-v"]).without_host().run().exits(0).prints("1 project, ");
    bed.sync([]).exits(0).prints("blog");
    assert_eq!(bed.containers().len(), 2, "nothing is pruned unasked");
    bed.allow_all();
    bed.sync(["--prune"]).exits(0);
    assert_eq!(bed.containers().len(), 1);
}
