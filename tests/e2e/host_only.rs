//! What Compose reads on the host beside managed files: compose files, the host's own `.env`, env files.

use crate::bed::observe::{Containers, fates};
use crate::bed::{Bed, stdout_of};

/// Replaces an unmanaged file on the host.
fn put(bed: &Bed, path: &str, content: &str) {
    if bed.root(path).exists() {
        bed.remove_guarded(path);
    }
    bed.guard(path, content);
}

fn names(containers: &Containers) -> Vec<&str> {
    containers.keys().map(String::as_str).collect()
}

#[test]
fn a_compose_file_of_the_host_stops_its_project_until_the_repository_wins() {
    let bed = Bed::new("rival");
    bed.compose("app", "services:\n  web: {<<: *s, environment: {FROM: repository}}");
    bed.compose("blog", "services:\n  web: {<<: *s}");
    let own = format!(
        "name: {}-app\nservices: {{web: {{image: 'ghdeploy-test/busybox:1', command: sleep 100000, \
         stop_signal: SIGKILL, network_mode: none, environment: {{FROM: host}}}}}}\n",
        bed.id
    );
    put(&bed, "app/compose.yaml", &own);
    let mut up = std::process::Command::new("docker");
    stdout_of(up.args(["compose", "up", "-d"]).current_dir(bed.root("app")));
    let before = bed.containers();
    let said = "the host has an unmanaged services/app/compose.yaml, and Compose reads it instead of services/app/compose.yml";
    bed.commit();
    bed.call(["sync", "--dry-run"]).run().exits(5).prints(said).prints("--adopt");
    bed.sync([]).exits(5).prints(said).prints("--adopt").ends_with("nothing was changed: app");
    assert!(!bed.root("app/compose.yml").exists());
    assert_eq!(fates(&before, &bed.containers()), [("blog/web".to_owned(), "started")].into());

    bed.allow("app/compose.yaml");
    bed.sync(["--adopt"]).exits(0);
    assert_eq!(bed.env("app/web", "FROM"), "repository");
    assert!(!bed.root("app/compose.yaml").exists());
    let kept = std::fs::read_dir(bed.root(".ghdeploy/objects")).unwrap();
    let mut kept = kept.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap_or_default());
    assert!(kept.any(|content| content == own), "the host's own file is lost");

    // One that comes later is found in the next run, and by `status`.
    put(&bed, "app/docker-compose.override.yml", "services: {web: {environment: {FROM: override}}}\n");
    let said = "the host has an unmanaged services/app/docker-compose.override.yml, and Compose merges it over the compose files of services/app";
    bed.call(["sync"]).run().exits(5).prints(said);
    bed.call(["status"]).run().prints(said);
    bed.remove_guarded("app/docker-compose.override.yml");
    // Compose does not read this one.
    put(&bed, "app/docker-compose.yml", "services: {web: {image: other}}\n");
    bed.call(["sync"]).run().exits(0).prints("nothing to do");

    // A project that leaves is not taken down by a compose file that ghdeploy does not know.
    put(&bed, "app/compose.yaml", &own);
    std::fs::remove_dir_all(bed.repo("services/app")).unwrap();
    let before = bed.containers();
    let said = "the host has an unmanaged services/app/compose.yaml, which would decide what is taken down, so services/app is left alone";
    bed.sync(["--prune"]).exits(5).prints(said).prints("docker compose -p");
    assert!(bed.root("app/compose.yml").exists());
    assert_eq!(fates(&before, &bed.containers()), [].into());
    bed.remove_guarded("app/compose.yaml");
    bed.sync(["--prune"]).exits(0);
    assert_eq!(names(&bed.containers()), ["blog/web"]);
}

#[test]
fn the_hosts_own_env_file_decides_as_it_does_for_compose() {
    let bed = Bed::new("settings");
    let app = "services:\n  web: {<<: *s}\n  opt: {<<: *s, profiles: [x]}";
    bed.compose("app", app);
    bed.write(
        "services/app/compose.prod.yml",
        "services:\n  web: {volumes: ['./prod.conf:/prod.conf:ro']}\n  extra: {image: 'ghdeploy-test/busybox:1', command: sleep 100000, stop_signal: SIGKILL, network_mode: none}\n",
    );
    bed.write("services/app/prod.conf", "1");
    let settings = format!(
        "SECRET=only-the-host-knows\nCOMPOSE_PROFILES=x\nCOMPOSE_FILE='compose.yml:compose.prod.yml' # both\nCOMPOSE_PROJECT_NAME={}-other\n",
        bed.id
    );
    put(&bed, "app/.env", &settings);
    bed.sync([]).exits(0);
    let first = bed.containers();
    assert_eq!(names(&first), ["other/extra", "other/opt", "other/web"]);
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
    bed.write("services/app/prod.conf", "2");
    bed.sync([]).exits(0).never_prints("only-the-host-knows");
    assert_eq!(fates(&first, &bed.containers()), [("other/web".to_owned(), "restarted")].into());
    assert_eq!(bed.inside("other/web", &["cat", "/prod.conf"]), "2");
    // What the host's file names and the repository lacks stops the project, with both names.
    put(&bed, "app/.env", &settings.replace("compose.prod.yml", "local.yml"));
    let root = bed.root("");
    let said =
        format!("`COMPOSE_FILE` in {}app/.env on the host names services/app/local.yml", root.display());
    // Also while nothing else changes; other projects go on.
    bed.compose("blog", "services:\n  web: {<<: *s}");
    bed.commit();
    bed.call(["sync", "--dry-run"]).run().exits(5).prints(&said);
    bed.call(["sync"]).run().exits(5).prints(&said).ends_with("nothing was changed: app");
    assert!(names(&bed.containers()).contains(&"blog/web"));
    bed.call(["sync"]).run().exits(5).prints(&said);
    bed.call(["status", "--exit-code"]).run().exits(10).prints(&said);
    // One that is there, but not in the repository.
    bed.guard("app/local.yml", "services: {web: {hostname: other}}\n");
    bed.call(["sync"]).run().exits(5).prints(&said);
    bed.remove_guarded("app/local.yml");
    bed.write("services/app/prod.conf", "3");
    bed.sync([]).exits(5).prints(&said);
    assert_eq!(bed.on_host("app/prod.conf"), "2");
}

#[test]
fn a_change_of_an_env_file_that_only_the_host_has_brings_its_readers_up() {
    let bed = Bed::new("hostenv");
    bed.compose(
        "app",
        "services:\n  web: {<<: *s, environment: {V: '${V:-none}'}}\n  app: {<<: *s, env_file: [app.env]}\n  plain: {<<: *s}",
    );
    put(&bed, "app/app.env", "A=hunter2\n");
    bed.sync([]).exits(0);
    assert_eq!((bed.env("app/web", "V"), bed.env("app/app", "A")), ("none".into(), "hunter2".into()));
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
    for (file, content, reader, variable, value) in [
        ("app/.env", "V=hunter3\n", "app/web", "V", "hunter3"),
        ("app/app.env", "A=hunter4\n", "app/app", "A", "hunter4"),
    ] {
        put(&bed, file, content);
        let before = bed.containers();
        bed.call(["sync", "--dry-run", "--exit-code"]).run().exits(10).prints(&format!("services/{file}"));
        bed.call(["sync"]).run().exits(0).prints("changed on the host").never_prints("hunter");
        assert_eq!(fates(&before, &bed.containers()), [(reader.to_owned(), "recreated")].into());
        assert_eq!(bed.env(reader, variable), value);
        bed.call(["sync"]).run().exits(0).prints("nothing to do");
    }
    let state = bed.on_host(".ghdeploy/state.json");
    assert!(!state.contains("hunter") && state.contains("app/app.env"), "{state}");
}

#[test]
fn containers_that_run_from_another_folder_are_not_started_on_an_empty_one() {
    let bed = Bed::new("elsewhere");
    let db = "services:\n  db: {<<: *s, volumes: ['./rows:/data']}";
    bed.compose("app", db);
    bed.compose("blog", "services:\n  web: {<<: *s}");
    let old = bed.path("old");
    std::fs::create_dir_all(old.join("rows")).unwrap();
    std::fs::write(old.join("rows/db"), "precious").unwrap();
    std::fs::copy(bed.repo("services/app/compose.yml"), old.join("compose.yml")).unwrap();
    let compose = |argv: &[&str]| {
        let mut command = std::process::Command::new("docker");
        stdout_of(command.arg("compose").args(argv).current_dir(&old));
    };
    compose(&["up", "-d"]);
    let before = bed.containers();
    let said = format!("containers of services/app were started in {}", old.display());
    bed.commit();
    bed.call(["sync", "--dry-run"]).run().exits(5).prints(&said).prints("--take-over");
    bed.sync([]).exits(5).prints(&said).ends_with("nothing was changed: app");
    assert_eq!(fates(&before, &bed.containers()), [("blog/web".to_owned(), "started")].into());
    assert_eq!(bed.inside("app/db", &["cat", "/data/db"]), "precious");
    // Moved: the old folder has no data any more.
    compose(&["down"]);
    std::fs::rename(old.join("rows"), bed.root("app/rows")).unwrap();
    bed.call(["sync"]).run().exits(0);
    assert_eq!(bed.inside("app/db", &["cat", "/data/db"]), "precious");
    bed.write("services/app/note", "2");
    bed.sync([]).exits(0);
    // By hand from the old folder once more, after it was deployed.
    compose(&["up", "-d"]);
    bed.call(["rollback", "--project", "app"]).run().exits(5).prints(&said);
    bed.call(["status"]).run().prints(&said);
    bed.call(["sync"]).run().exits(5).prints(&said);
    bed.call(["sync", "--take-over"]).run().exits(0);
    assert_eq!(bed.inside("app/db", &["cat", "/data/db"]), "precious");
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
}

#[test]
fn a_linked_project_folder_is_the_same_folder() {
    let bed = Bed::new("linkedroot");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.sync([]).exits(0);
    let before = bed.containers();
    // Another way to the same root.
    std::os::unix::fs::symlink("root", bed.path("way")).unwrap();
    let host = format!("local:{}", bed.path("way").display());
    bed.call(["sync"]).host(host).run().exits(0).prints("nothing to do");
    assert_eq!(bed.containers(), before);
}

#[test]
fn variables_of_the_session_and_env_files_of_other_folders_count_nowhere() {
    let bed = Bed::new("session");
    bed.compose(
        "app",
        "services:\n  web: {<<: *s, environment: {V: '${V:-none}'}}\n  opt: {<<: *s, profiles: [x]}",
    );
    bed.commit();
    let leak = format!("V=leak\nCOMPOSE_PROFILES=x\nCOMPOSE_PROJECT_NAME={}-copy\n", bed.id);
    // In the folder above the project's on the host, in the working directory, and named by a variable.
    put(&bed, ".env", &leak);
    std::fs::write(bed.repo(".env"), &leak).unwrap();
    std::fs::write(bed.path("leak.env"), &leak).unwrap();
    for round in 0..2 {
        let mut command = bed.call(["sync"]).host(format!("local:{}", bed.root("").display())).command();
        command.env("V", "leak").env("COMPOSE_PROFILES", "x").env("COMPOSE_FILE", bed.path("no.yml"));
        command.env("COMPOSE_PROJECT_NAME", format!("{}-copy", bed.id));
        command.env("COMPOSE_ENV_FILES", bed.path("leak.env"));
        let output = bed.guarding(|| crate::support::program::run(&mut command)).exits(0);
        if round > 0 {
            output.prints("nothing to do");
        }
        assert_eq!(names(&bed.containers()), ["app/web"]);
        assert_eq!(bed.env("app/web", "V"), "none");
    }
}
