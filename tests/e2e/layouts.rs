//! Ways in which people lay their projects out: links to shared files, folders that are not there yet, folders that
//! containers have made their own.

use std::os::unix::fs::{MetadataExt as _, symlink};

use crate::bed::{Bed, chmod, privileged, stdout_of};
use crate::users::User;

/// Makes a link in the repository.
fn link(bed: &Bed, path: &str, target: &str) {
    let full = bed.repo(path);
    std::fs::create_dir_all(full.parent().unwrap()).unwrap();
    symlink(target, full).unwrap();
}

#[test]
fn links_lead_to_shared_files_whose_changes_reach_every_reader() {
    let bed = Bed::new("linked");
    bed.compose("app", "services:\n  web: {<<: *s, environment: {T: '${TZ}'}}");
    bed.compose(
        "mount",
        "services:\n  web: {<<: *s, volumes: ['./base.conf:/base.conf:ro', './nginx:/nginx:ro']}",
    );
    bed.compose("vars", "services:\n  web: {<<: *s, env_file: [conf/s.env]}");
    bed.remove_guarded("app/.env");
    bed.write("services/shared/global.env", "TZ=one\n")
        .write("services/shared/nginx/base.conf", "one")
        .write("services/shared/conf/s.env", "A=one\n");
    link(&bed, "services/app/.env", "../shared/global.env");
    link(&bed, "services/mount/base.conf", "../shared/nginx/base.conf");
    link(&bed, "services/mount/nginx", "../shared/nginx");
    link(&bed, "services/vars/conf", "../shared/conf");
    bed.sync([]).exits(0);
    let env = |service: &str, name: &str| bed.inside(service, &["sh", "-c", &format!("echo ${name}")]);
    assert_eq!((env("app/web", "T"), env("vars/web", "A")), ("one\n".to_owned(), "one\n".to_owned()));
    assert_eq!(bed.inside("mount/web", &["cat", "/base.conf", "/nginx/base.conf"]), "oneone");
    assert_eq!(bed.root("app/.env").read_link().unwrap().to_str(), Some("../shared/global.env"));

    bed.write("services/shared/global.env", "TZ=two\n").write("services/shared/conf/s.env", "A=two\n");
    bed.write("services/shared/nginx/base.conf", "two");
    let change = bed.deploy();
    assert_eq!(change.actions.len(), 3, "{change:?}");
    assert_eq!((env("app/web", "T"), env("vars/web", "A")), ("two\n".to_owned(), "two\n".to_owned()));
    assert_eq!(bed.inside("mount/web", &["cat", "/base.conf", "/nginx/base.conf"]), "twotwo");
    bed.call(["sync", "--dry-run", "--exit-code"]).run().exits(0);
}

#[test]
fn a_link_may_lead_to_a_file_that_only_the_host_has() {
    let bed = Bed::new("hostlink");
    bed.compose("app", "services:\n  web: {<<: *s, environment: {T: '${TZ}'}}");
    bed.remove_guarded("app/.env");
    bed.guard("global.env", "TZ=host\n");
    link(&bed, "services/app/.env", "../global.env");
    bed.sync([]).exits(0);
    assert_eq!(bed.inside("app/web", &["sh", "-c", "echo $T"]), "host\n");
}

#[test]
fn folders_that_are_mounted_and_missing_belong_to_the_deploying_user() {
    let bed = Bed::new("folders");
    let user = User::new(&bed, "folders", "/bin/sh", true);
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./state/db:/db', './logs:/logs']}");
    user.own_root(&bed);
    bed.commit();
    bed.call(["sync"]).user(&user.name).run().exits(0);
    let id: u32 =
        stdout_of(std::process::Command::new("id").args(["-u", &user.name])).trim().parse().unwrap();
    for folder in ["app/state", "app/state/db", "app/logs"] {
        assert_eq!(bed.root(folder).metadata().unwrap().uid(), id, "{folder}");
    }
}

#[test]
fn a_file_without_an_extension_is_foreseen_and_takes_the_place_of_the_folder_that_docker_made() {
    let bed = Bed::new("caddyfile");
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./Caddyfile:/etc/caddy/Caddyfile:ro']}");
    bed.sync([])
        .exits(5)
        .prints("mounts services/app/Caddyfile, which is neither in the repository nor on the host")
        .ends_with("nothing was changed");
    assert!(!bed.root("app/Caddyfile").exists() && bed.containers().is_empty());

    // By hand, it came up with a folder in the place of the file.
    std::fs::create_dir(bed.root("app/Caddyfile")).unwrap();
    stdout_of(privileged(["chown", "0:0"]).arg(bed.root("app/Caddyfile")));
    bed.write("services/app/Caddyfile", "localhost");
    bed.sync([]).exits(0);
    assert_eq!(bed.inside("app/web", &["cat", "/etc/caddy/Caddyfile"]), "localhost");

    // The container was made with the folder, so a restart would not do.
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./plain:/plain:ro']}");
    bed.sync([]).exits(0);
    bed.write("services/app/plain", "now a file");
    let change = bed.deploy();
    assert!(change.actions[0].starts_with("recreate"), "{change:?}");
    assert_eq!(bed.inside("app/web", &["cat", "/plain"]), "now a file");
    // What is in a folder stays.
    bed.guard("app/full/by-hand", "x");
    bed.write("services/app/full", "file");
    bed.sync([]).exits(5).prints("an unmanaged directory is in the place of services/app/full");
}

#[test]
fn what_a_container_has_made_its_own_blocks_only_a_change_of_it() {
    let bed = Bed::new("closed");
    let user = User::new(&bed, "closed", "/bin/sh", true);
    let text = "services:\n  web: {<<: *s, volumes: ['./config:/config', './app.json:/app.json']}";
    bed.compose("app", text).compose("blog", "services:\n  web: {<<: *s}");
    bed.write("services/app/config/mosquitto.conf", "one").write("services/app/config/certs/a.pem", "one");
    bed.write("services/app/app.json", "one").write("services/app/README", "one");
    user.own_root(&bed);
    bed.commit();
    bed.call(["sync"]).user(&user.name).run().exits(0);
    stdout_of(privileged(["chown", "-R", "1883:1883"]).arg(bed.root("app/config")));
    chmod(bed.root("app/config"), 0o700);
    stdout_of(privileged(["chown", "1883:1883"]).arg(bed.root("app/app.json")));
    chmod(bed.root("app/app.json"), 0o600);

    bed.call(["sync", "--dry-run", "--exit-code"]).user(&user.name).run().exits(0);
    bed.write("services/app/README", "two").write("services/blog/README", "two");
    bed.commit();
    bed.call(["sync"]).user(&user.name).run().exits(0);
    assert_eq!(bed.on_host("app/README"), "two");

    for (path, shown) in [
        ("services/app/config/certs/a.pem", "services/app/config/certs/a.pem"),
        ("services/app/config/new.conf", "services/app/config/new.conf"),
        ("services/app/app.json", "services/app/app.json"),
    ] {
        let before = std::fs::read(bed.repo(path)).ok();
        bed.write(path, "changed").write("services/blog/README", path);
        bed.commit();
        bed.call(["sync"])
            .user(&user.name)
            .run()
            .exits(5)
            .prints(&format!("may not read what the host has in the place of {shown}"))
            .prints("setfacl")
            .ends_with("nothing was changed: app");
        assert_eq!(bed.on_host("blog/README"), path);
        match before {
            Some(before) => drop(bed.write(path, before)),
            None => std::fs::remove_file(bed.repo(path)).unwrap(),
        }
    }
}

#[test]
fn a_compose_file_in_the_top_folder_deploys_what_it_includes_as_one_project() {
    let bed = Bed::new("topfile");
    let sleeps = "x-s: &s {image: 'ghdeploy-test/busybox:1', command: sleep 100000, stop_signal: SIGKILL}\n";
    bed.write("ghdeploy.yml", format!("{}\nservices: .\n", crate::bed::HEALTH))
        .write("compose.yml", format!("name: {}-top\ninclude: [apps/a/compose.yml, b/compose.yml]\n", bed.id))
        .write(
            "apps/a/compose.yml",
            format!("{sleeps}services:\n  a: {{<<: *s, volumes: ['./a.conf:/a.conf:ro']}}\n"),
        )
        .write("apps/a/a.conf", "one")
        .write(
            "b/compose.yml",
            format!("{sleeps}services:\n  b: {{<<: *s, depends_on: [a], env_file: [../common.env]}}\n"),
        )
        .write("common.env", "A=one\n")
        .write("README.md", "about")
        .write(".github/workflows/deploy.yml", "on: push\n");
    bed.sync([]).exits(0).prints("1 project done");
    assert_eq!(bed.containers().into_keys().collect::<Vec<_>>(), ["top/a", "top/b"]);
    assert!(
        bed.root("README.md").exists() && !bed.root(".github").exists() && !bed.root("ghdeploy.yml").exists()
    );
    assert_eq!(bed.inside("top/a", &["cat", "/a.conf"]), "one");

    bed.write("apps/a/a.conf", "two");
    bed.sync([]).exits(0).prints("restart  a").prints("1 restart");
    assert_eq!(bed.inside("top/a", &["cat", "/a.conf"]), "two");
    bed.write("common.env", "A=two\n");
    bed.sync([]).exits(0).prints("up  b").prints("1 up");
    bed.call(["sync", "--dry-run", "--exit-code"]).run().exits(0);
    bed.call(["status", "--exit-code"]).run().exits(0).prints("a").prints("b");
    bed.call(["explain", "common.env"]).run().exits(0).prints("b/compose.yml");

    // A bad version goes back, and so does a release.
    bed.write("b/compose.yml", format!("{sleeps}services:\n  b: {{<<: *s, entrypoint: 'false'}}\n"));
    bed.sync([]).exits(5).prints("rolled back");
    assert_eq!(bed.inside("top/b", &["sh", "-c", "echo $A"]), "two\n");
    bed.call(["rollback"]).run().exits(0);
    assert_eq!(bed.inside("top/b", &["sh", "-c", "echo $A"]), "one\n");
    assert_eq!(bed.on_host("common.env"), "A=one\n");
}

#[test]
fn folders_that_share_one_name_of_composes_leave_each_other_alone() {
    let bed = Bed::new("group");
    let media = |service: &str, more: &str| {
        format!(
            "name: {}-media\nservices:\n  {service}: {{image: 'ghdeploy-test/busybox:1', command: sleep 100000, stop_signal: SIGKILL{more}}}\n",
            bed.id
        )
    };
    for service in ["sonarr", "radarr", "lidarr"] {
        bed.write(&format!("services/{service}/compose.yml"), media(service, ""));
    }
    // One that does not come up takes nothing of the others along.
    bed.write("services/radarr/compose.yml", media("radarr", ", entrypoint: 'false'"));
    bed.sync([]).exits(5).prints("2 projects done");
    assert_eq!(bed.containers().into_keys().collect::<Vec<_>>(), ["media/lidarr", "media/sonarr"]);
    bed.write("services/radarr/compose.yml", media("radarr", ""));
    bed.sync([]).exits(0).prints("1 project done");
    let ids = |bed: &Bed| -> Vec<String> {
        bed.containers().into_iter().map(|(name, it)| format!("{name} {}", it.id)).collect()
    };
    let all = ids(&bed);
    assert_eq!(all.len(), 3);

    // A change, a restart and a failure of one leave the others as they are.
    bed.write("services/radarr/compose.yml", media("radarr", ", hostname: r"));
    bed.sync([]).exits(0);
    let after = ids(&bed);
    assert_eq!(after.iter().filter(|id| all.contains(id)).count(), 2, "{after:?}");
    bed.write("services/radarr/compose.yml", media("radarr", ", entrypoint: 'false'"));
    bed.sync([]).exits(5);
    assert_eq!(ids(&bed).iter().filter(|id| after.contains(id)).count(), 2);
    bed.write("services/radarr/compose.yml", media("radarr", ", hostname: r"));
    bed.sync([]).exits(0);
    bed.call(["status", "--exit-code"]).run().exits(0);

    // A service moves to another folder: its container stays one.
    std::fs::remove_dir_all(bed.repo("services/lidarr")).unwrap();
    let both = format!(
        "{}  lidarr: {{image: 'ghdeploy-test/busybox:1', command: sleep 100000, stop_signal: SIGKILL}}\n",
        media("sonarr", "")
    );
    bed.write("services/sonarr/compose.yml", both);
    bed.sync(["--prune"]).exits(0);
    assert_eq!(
        bed.containers().into_keys().collect::<Vec<_>>(),
        ["media/lidarr", "media/radarr", "media/sonarr"]
    );

    // One folder is taken down, and the others stay.
    let before = ids(&bed);
    std::fs::remove_dir_all(bed.repo("services/radarr")).unwrap();
    bed.sync(["--prune"]).exits(0);
    let after = ids(&bed);
    assert_eq!(bed.containers().into_keys().collect::<Vec<_>>(), ["media/lidarr", "media/sonarr"]);
    assert!(after.iter().all(|id| before.contains(id)), "{before:?} {after:?}");

    // The same service twice is none of that.
    bed.write("services/other/compose.yml", media("sonarr", ""));
    bed.call(["check"]).run().exits(2).prints("both define a service `sonarr`");
}

#[test]
fn overlays_and_a_shared_env_file_are_those_of_the_host() {
    let bed = Bed::new("overlay");
    let config = "compose: {files: [compose.yml, 'compose.{host}.yml', compose.other.yml], env_files: [../common.env, ../secret.env]}";
    bed.write("ghdeploy.yml", format!("{}{config}\n", crate::bed::HEALTH));
    bed.compose("app", "services:\n  web: {<<: *s, environment: {T: '${TZ}', S: '${SECRET}'}}");
    bed.compose("blog", "services:\n  web: {<<: *s, environment: {T: '${TZ}'}}");
    bed.write("services/app/compose.127.0.0.1.yml", "services: {web: {environment: {WHERE: here}}}\n")
        .write("services/app/compose.else.yml", "services: {web: {environment: {WHERE: elsewhere}}}\n")
        .write("services/app/compose.override.yml", "services: {web: {environment: {WHERE: laptop}}}\n")
        .write("services/common.env", "TZ=one\n");
    bed.guard("secret.env", "SECRET=host\n");
    bed.sync([]).exits(0);
    let env = |service: &str| bed.inside(service, &["sh", "-c", "echo $T $S $WHERE"]);
    assert_eq!((env("app/web"), env("blog/web")), ("one host here\n".to_owned(), "one\n".to_owned()));

    bed.write("services/common.env", "TZ=two\n");
    assert_eq!(bed.deploy().actions, ["up app/web", "up blog/web"]);
    bed.write("services/app/compose.127.0.0.1.yml", "services: {web: {environment: {WHERE: there}}}\n")
        .write("services/app/compose.else.yml", "services: {web: {environment: {WHERE: nowhere}}}\n");
    assert_eq!(bed.deploy().actions, ["up app/web"]);
    assert_eq!(env("app/web"), "two host there\n");
    bed.allow("secret.env");
    std::fs::write(bed.root("secret.env"), "SECRET=new\n").unwrap();
    assert_eq!(bed.deploy().actions, ["up app/web"]);
    assert_eq!(env("app/web"), "two new there\n");
    // What goes back and what is taken down knows the files without the configuration.
    bed.call(["rollback", "--to", "1"]).run().exits(0);
    assert_eq!(env("app/web"), "one new here\n");
    std::fs::remove_dir_all(bed.repo("services/app")).unwrap();
    bed.write("ghdeploy.yml", crate::bed::HEALTH);
    std::fs::remove_dir_all(bed.repo("services/blog")).unwrap();
    bed.compose("lone", "services:\n  web: {<<: *s}");
    bed.sync(["--prune"]).exits(0);
    assert_eq!(bed.containers().into_keys().collect::<Vec<_>>(), ["lone/web"]);
}
