//! Container names and ports that move: the old container makes way, and comes back if the new one does not run.

use crate::bed::Bed;

/// A bed whose project `old` runs a container with a fixed name and a port.
fn with_old(test: &str) -> (Bed, String, u16) {
    let bed = Bed::new(test);
    let (name, port) = (format!("{}-box", bed.id), crate::bed::sshd::free_port());
    bed.compose("old", &service(&name, port, ""));
    bed.sync([]).exits(0);
    (bed, name, port)
}

fn service(name: &str, port: u16, more: &str) -> String {
    format!("services:\n  web: {{<<: *s, container_name: {name}, ports: ['127.0.0.1:{port}:80']{more}}}")
}

fn rename(bed: &Bed, text: &str) {
    std::fs::remove_dir_all(bed.repo("services/old")).unwrap();
    bed.compose("new", text);
}

#[test]
fn a_renamed_folder_takes_name_and_port_over_and_the_old_project_goes_last() {
    let (bed, name, port) = with_old("moved");
    rename(&bed, &service(&name, port, ""));
    let before = bed.containers();
    let output = bed.sync([]).exits(5);
    assert!(
        output.contains(&format!("needs the container name `{name}`, which is held by service `web` of services/old, which is no longer in the repository")),
        "{}",
        output.all()
    );
    assert_eq!(bed.containers(), before);
    let change = bed.deploy_with(["--prune"]);
    assert_eq!(change.fates, ["new/web started", "old/web removed"]);
    assert_eq!(bed.inspect("new/web", "{{.Name}}"), format!("/{name}"));
    assert!(!bed.root("old/compose.yml").exists());
    bed.sync(["--prune"]).exits(0).prints("nothing to do");
}

#[test]
fn the_old_container_runs_again_if_the_new_one_does_not() {
    let (bed, name, port) = with_old("fails");
    let id = bed.inspect("old/web", "{{.Id}}");
    rename(&bed, &service(&name, port, ", command: [sh, -c, 'exit 3']"));
    let output = bed.sync(["--prune"]).exits(5);
    assert!(
        output
            .contains(&format!("container `{name}` makes way only together with services/new, which failed")),
        "{}",
        output.all()
    );
    let state = bed.inspect("old/web", "{{.Id}} {{.Name}} {{.State.Running}}");
    assert_eq!(state, format!("{id} /{name} true"), "the very same container");
    assert!(bed.root("old/compose.yml").exists() && !bed.root("new/compose.yml").exists());
    // A new version that does not pass its checks stops nothing.
    let started = bed.inspect("old/web", "{{.State.StartedAt}}");
    bed.compose("new", &service(&name, port, ", environment: ['X=${UNSET:?}']"));
    bed.sync(["--prune"]).exits(5);
    assert_eq!(bed.inspect("old/web", "{{.State.StartedAt}}"), started);
    bed.compose("new", &service(&name, port, ""));
    let change = bed.deploy_with(["--prune"]);
    assert_eq!(change.fates, ["new/web started", "old/web removed"]);
}

#[test]
fn a_container_of_no_project_is_named_before_anything_changes() {
    let (bed, name, _) = with_old("foreign");
    let other = format!("{name}-2");
    let run = |args: &[&str]| {
        let status =
            std::process::Command::new("docker").args(args).stdout(std::process::Stdio::null()).status();
        assert!(status.unwrap().success(), "{args:?}");
    };
    run(&["create", "--name", &other, "ghdeploy-test/busybox:1", "true"]);
    bed.compose("new", &format!("services:\n  web: {{<<: *s, container_name: {other}}}"));
    let output = bed.sync([]);
    run(&["rm", &other]);
    let words = format!(
        "needs the container name `{other}`, which is held by container `{other}`, which belongs to no project"
    );
    assert!(output.contains(&words), "{}", output.all());
    assert!(!bed.root("new/compose.yml").exists());
    output.exits(5);
    bed.sync([]).exits(0);
}

#[test]
fn a_service_moves_between_projects_and_within_one() {
    let bed = Bed::new("between");
    let name = format!("{}-box", bed.id);
    let named = |service: &str| format!("  {service}: {{<<: *s, container_name: {name}}}\n");
    bed.compose("a", &format!("services:\n  keep: {{<<: *s}}\n{}", named("web")));
    bed.compose("b", "services:\n  keep: {<<: *s}\n");
    bed.sync([]).exits(0);
    bed.compose("a", "services:\n  keep: {<<: *s}\n");
    bed.compose("b", &format!("services:\n  keep: {{<<: *s}}\n{}", named("web")));
    assert_eq!(bed.deploy().fates, ["a/web removed", "b/web started"]);
    bed.compose("b", &format!("services:\n  keep: {{<<: *s}}\n{}", named("renamed")));
    assert_eq!(bed.deploy().fates, ["b/renamed started", "b/web removed"]);
    assert_eq!(bed.inspect("b/renamed", "{{.Name}}"), format!("/{name}"));
}
