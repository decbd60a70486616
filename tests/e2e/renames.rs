//! Services that get another name within their project: the old container stops first, stays until the new one is
//! healthy, and is started again as it was if that does not become healthy.

use std::process::Stdio;

use crate::bed::Bed;

/// Notes if another one has the volume at the same time.
const DATABASE: &str = "stop_signal: SIGTERM
    volumes: [data:/data]
    command: [sh, -c, 'trap \"rmdir /data/lock; exit\" TERM; mkdir /data/lock || touch /data/two; while :; do sleep 1 & wait; done']";

/// A healthcheck that fails at once.
const ILL: &str = "healthcheck: {test: [CMD, 'false'], interval: 1s, retries: 1}";

/// Counts its starts in a file of its own.
const COUNTS: &str = "echo start >>/starts; exec sleep 100000";

fn database(bed: &Bed, name: &str, more: &str) {
    bed.compose(
        "app",
        &format!("services:\n  {name}:\n    <<: *s\n    {DATABASE}\n    {more}\nvolumes: {{data: }}"),
    );
}

#[test]
fn a_database_is_never_two_on_one_volume() {
    let bed = Bed::new("renamedb");
    database(&bed, "db", "");
    bed.sync([]).exits(0);
    bed.inside("app/db", &["sh", "-c", "echo precious >/data/rows"]);
    database(&bed, "database", "");
    assert_eq!(bed.deploy().fates, ["app/database started", "app/db removed"]);
    assert_eq!(
        bed.inside("app/database", &["sh", "-c", "cat /data/rows; ls /data"]),
        "precious\nlock\nrows\n"
    );
    // Back, with a version that does not become healthy.
    let id = bed.inspect("app/database", "{{.Id}}");
    database(&bed, "db", ILL);
    bed.sync([]).exits(5).ends_with("rolled back to release 2");
    assert_eq!(bed.inspect("app/database", "{{.Id}} {{.State.Running}}"), format!("{id} true"));
    assert_eq!(bed.containers().len(), 1);
    assert_eq!(
        bed.inside("app/database", &["sh", "-c", "cat /data/rows; ls /data"]),
        "precious\nlock\nrows\n"
    );
}

/// A service with an anonymous volume, a name, a port and a policy.
fn with_all(bed: &Bed, service: &str, port: u16, more: &str) {
    let text = format!(
        "services:\n  {service}: {{<<: *n, volumes: [/rows], container_name: {}-box, ports: ['127.0.0.1:{port}:80'], restart: always, command: [sh, -c, '{COUNTS}']{more}}}\n  other: {{<<: *s}}",
        bed.id
    );
    bed.compose("app", &text);
}

/// Writes what only this container has.
fn fill(bed: &Bed, service: &str) {
    bed.inside(service, &["sh", "-c", "echo precious >/rows/1; echo layer >/own"]);
}

/// Asserts that the old container runs again as it was, and was started so many times.
#[track_caller]
fn is_as_it_was(bed: &Bed, service: &str, id: &str, starts: usize) {
    let format = "{{.Id}} {{.Name}} {{.State.Running}} {{.HostConfig.RestartPolicy.Name}}";
    assert_eq!(bed.inspect(service, format), format!("{id} /{}-box true always", bed.id));
    assert_eq!(bed.inside(service, &["sh", "-c", "cat /rows/1 /own"]), "precious\nlayer\n");
    assert_eq!(bed.inside(service, &["cat", "/starts"]), "start\n".repeat(starts));
    assert_eq!(bed.containers().len(), 2, "{:?}", bed.containers());
}

#[test]
fn the_old_container_itself_comes_back_with_what_only_it_has() {
    let bed = Bed::new("renameback");
    let port = crate::bed::sshd::free_port();
    with_all(&bed, "web", port, "");
    bed.sync([]).exits(0);
    fill(&bed, "app/web");
    let (id, other) = (bed.inspect("app/web", "{{.Id}}"), bed.containers()["app/other"].clone());
    with_all(&bed, "app", port, &format!(", {ILL}"));
    bed.sync([]).exits(5).ends_with("rolled back to release 1");
    is_as_it_was(&bed, "app/web", &id, 2);
    assert_eq!(bed.containers()["app/other"], other, "it has nothing to do with that");
    // One that cannot even be made, because a device lacks.
    let text = std::fs::read_to_string(bed.repo("services/app/compose.yml")).unwrap();
    bed.write(
        "services/app/compose.yml",
        text.replace("restart:", "devices: [/dev/ghdeploy-none], restart:"),
    );
    bed.sync([]).exits(5).ends_with("rolled back to release 1");
    is_as_it_was(&bed, "app/web", &id, 3);
    with_all(&bed, "app", port, "");
    assert_eq!(bed.deploy().fates, ["app/app started", "app/web removed"]);
    assert_eq!(bed.inspect("app/app", "{{.Name}}"), format!("/{}-box", bed.id));
}

/// Kills the client of a sync while the call of `docker` with these words runs, which then fails.
fn kill_at(bed: &Bed, words: &str) {
    let held = bed.hold("docker", words);
    let mut sync = bed.call(["sync"]).command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    held.wait();
    sync.kill().unwrap();
    sync.wait().unwrap();
    held.release();
    bed.settle();
    bed.restore_docker();
}

#[test]
fn a_killed_rename_neither_loses_the_old_container_nor_leaves_it_behind() {
    let bed = Bed::new("renamekill");
    let port = crate::bed::sshd::free_port();
    with_all(&bed, "web", port, "");
    bed.sync([]).exits(0);
    fill(&bed, "app/web");
    let id = bed.inspect("app/web", "{{.Id}}");
    for (round, words) in [" stop ", " up -d "].into_iter().enumerate() {
        with_all(&bed, "app", port, &format!(", {ILL}"));
        bed.commit();
        kill_at(&bed, words);
        assert_eq!(bed.inspect("app/web", "{{.Id}} {{.State.Running}}"), format!("{id} false"), "{words}");
        // The same version again.
        let output = bed.call(["sync"]).run().exits(5);
        assert!(output.contains("rolled back to release"), "{}", output.all());
        let state = bed.inspect("app/web", "{{.Id}} {{.Name}} {{.State.Running}}");
        assert_eq!(state, format!("{id} /{}-box true", bed.id), "{words}: {}", output.all());
        assert_eq!(bed.inside("app/web", &["sh", "-c", "cat /rows/1 /own"]), "precious\nlayer\n");
        assert_eq!(bed.inside("app/web", &["cat", "/starts"]), "start\n".repeat(round * 2 + 2));
        // Killed again, and taken back.
        kill_at(&bed, words);
        with_all(&bed, "web", port, "");
        bed.sync([]).exits(0);
        let state = bed.inspect("app/web", "{{.Id}} {{.Name}} {{.State.Running}}");
        assert_eq!(state, format!("{id} /{}-box true", bed.id), "{words}");
        assert_eq!(bed.inside("app/web", &["sh", "-c", "cat /rows/1 /own"]), "precious\nlayer\n");
        assert_eq!(bed.inside("app/web", &["cat", "/starts"]), "start\n".repeat(round * 2 + 3));
        assert_eq!(bed.containers().len(), 2, "{:?}", bed.containers());
        bed.call(["sync"]).run().exits(0).prints("nothing to do");
    }
    // Killed once more, and a version that becomes healthy.
    with_all(&bed, "app", port, "");
    bed.commit();
    kill_at(&bed, " up -d ");
    bed.call(["sync"]).run().exits(0);
    let names: Vec<String> = bed.containers().into_keys().collect();
    assert_eq!(names, ["app/app", "app/other"]);
    assert_eq!(bed.inspect("app/app", "{{.Name}}"), format!("/{}-box", bed.id));
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
}

#[test]
fn an_up_that_fails_restarts_no_service_that_did_not_act() {
    let bed = Bed::new("upfails");
    let compose = |more: &str| {
        bed.compose(
            "app",
            &format!(
                "services:\n  web: {{<<: *s{more}}}\n  reader: {{<<: *s, volumes: ['./conf:/conf']}}\n  told: {{<<: *s, volumes: ['./conf:/conf'], x-ghdeploy: {{on-change: {{exec: ['true']}}}}}}"
            ),
        );
    };
    compose("");
    bed.write("services/app/conf", "1");
    bed.sync([]).exits(0);
    let before = bed.containers();
    compose(", devices: [/dev/ghdeploy-none]");
    bed.write("services/app/conf", "2");
    bed.sync([]).exits(5).ends_with("rolled back to release 1");
    let after = bed.containers();
    for service in ["app/reader", "app/told"] {
        assert_eq!(after[service], before[service], "{service}");
    }
    assert_eq!(after["app/web"].state, "running");
    assert_eq!(bed.inside("app/reader", &["cat", "/conf"]), "1");
    // What has acted by then reads the old file again.
    compose(", command: [sh, -c, 'exit 3']");
    bed.write("services/app/conf", "3");
    bed.sync([]).exits(5).ends_with("rolled back to release 1");
    let after = bed.containers();
    for service in ["app/reader", "app/told"] {
        assert_eq!(after[service].id, before[service].id, "{service}");
        assert_ne!(after[service].started, before[service].started, "{service}");
        assert_eq!(bed.inside(service, &["cat", "/conf"]), "1");
    }
}
