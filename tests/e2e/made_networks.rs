//! External networks that the configuration lets ghdeploy make, with a real Docker.

use std::process::Command;

use crate::bed::{Bed, HEALTH, stdout_of};

fn networks(bed: &Bed) -> String {
    let filter = format!("name={}-", bed.id);
    let mut names: Vec<String> = stdout_of(Command::new("docker").args([
        "network",
        "ls",
        "--format",
        "{{.Name}}",
        "--filter",
        &filter,
    ]))
    .lines()
    .map(|name| name.replace(&bed.id, ""))
    .collect();
    names.sort();
    names.join(" ")
}

#[test]
fn a_missing_external_network_is_made_if_the_configuration_names_it_and_never_removed() {
    let bed = Bed::new("madenet");
    let proxy = format!("{}-proxy", bed.id);
    for project in ["blog", "shop"] {
        bed.compose(
            project,
            &format!("services:\n  web: {{<<: *n, networks: [proxy]}}\nnetworks: {{proxy: {{external: true, name: {proxy}}}}}"),
        );
    }
    let missing = "the external network `proxy` does not exist on the host";
    bed.sync([]).exits(5).prints(missing).prints("or list its name under `networks` in ghdeploy.yml");
    assert_eq!(networks(&bed), "");
    bed.write(
        "ghdeploy.yml",
        format!("{HEALTH}networks: {{{proxy}: {{internal: true, labels: {{team: ops}}}}}}\n"),
    );
    bed.sync(["--dry-run"]).exits(0).prints(&format!("would create network {proxy}"));
    assert_eq!(networks(&bed), "", "a dry run changes nothing");
    let outcome = bed.sync(["--format", "json"]).exits(0).json();
    assert_eq!(outcome["hosts"][0]["networks"][0], proxy.as_str());
    let format = r#"{{.Internal}} {{index .Labels "team"}} {{index .Labels "io.github.ghdeploy.network"}}"#;
    assert_eq!(
        stdout_of(Command::new("docker").args(["network", "inspect", "--format", format, &proxy])),
        "true ops made\n"
    );
    assert_eq!(bed.containers().len(), 2);
    // It is used as it is from now on, and stays without its projects.
    bed.write("ghdeploy.yml", format!("{HEALTH}networks: [{proxy}]\n"));
    bed.sync(["--force"]).exits(0).never_prints("created network");
    for project in ["blog", "shop"] {
        std::fs::remove_dir_all(bed.repo(&format!("services/{project}"))).unwrap();
    }
    bed.compose("wiki", "services:\n  web: {<<: *s}");
    bed.sync(["--prune"]).exits(0);
    assert_eq!((networks(&bed).as_str(), bed.containers().len()), ("-proxy", 1));
}

#[test]
fn a_network_whose_name_only_the_host_knows_is_made_from_the_list_and_a_volume_never() {
    let bed = Bed::new("hostnet");
    let name = format!("{}-edge", bed.id);
    bed.compose(
        "app",
        "services:\n  web: {<<: *n, networks: [edge]}\nnetworks: {edge: {external: true, name: '${NET}'}}",
    );
    bed.compose("db", "services:\n  web: {<<: *s, volumes: ['rows:/rows']}\nvolumes: {rows: {external: true, name: nowhere-rows}}");
    bed.guard("app/.env", &format!("NET={name}\n"));
    bed.write("ghdeploy.yml", format!("{HEALTH}networks: [{name}]\n"));
    bed.sync([])
        .exits(5)
        .prints(&format!("created network {name}"))
        .prints("the external volume `rows` does not exist on the host")
        .prints("ghdeploy makes no external volume: an empty one must not pass for its data");
    assert_eq!(networks(&bed), "-edge");
    assert_eq!(bed.containers().keys().collect::<Vec<_>>(), ["app/web"]);
}
