use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::base::path::RootPath;
use crate::compose::model::Project;
use crate::compose::{Files, NodeKind};

const COMPOSE: &str = "\
services:
  web:
    image: nginx:99
    container_name: my-web
    ports: ['8080:80', '${PORT}:81']
    command: [/entry.sh]
    user: ann
    volumes: ['d:/x', './p:/etc/passwd']
    env_file: [e.env]
    healthcheck: {interval: '${EVERY}'}
    networks: [front]
    environment: {TOKEN: '${TOKEN:?ask $PERSON}'}
  db: {image: '${IMAGE}', networks: [front], enviroment: {}}
networks: {front: {external: true, name: edge}}
";

struct OneFile(BTreeMap<&'static str, &'static str>);

impl Files for OneFile {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        self.0.contains_key(path.as_str()).then_some(NodeKind::File)
    }

    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        Ok(self.0.get(path.as_str()).map(|text| Arc::from(text.as_bytes())))
    }

    fn shown(&self, path: &RootPath) -> String {
        format!("services/{path}")
    }
}

fn project() -> Project {
    let files = OneFile(BTreeMap::from([("blog/compose.yml", COMPOSE)]));
    crate::compose::load(&files, &RootPath::new("blog").unwrap(), "/srv")
}

fn said(lines: &str) -> String {
    let project = project();
    let vocabulary =
        Vocabulary::new(Some(&project), vec![("services/blog/compose.yml".to_owned(), COMPOSE.to_owned())]);
    let output: Vec<String> = lines.lines().map(str::to_owned).collect();
    let failed = Failed { what: "it", see: Some("all of it is in the log"), version: None };
    let Diagnostic { message, help, .. } = explain(failed, &output, &vocabulary);
    assert!(help.is_some_and(|help| !help.is_empty()) || message.len() > 9, "{message}");
    message.strip_prefix("it failed: ").unwrap_or(&message).to_owned()
}

/// Messages of Compose 2.20, 2.26 and Docker 20.10 to 28 as they print them, and what is made of them.
/// `SECRET` stands for a value.
const MESSAGES: &[(&str, &str)] = &[
    (
        "failed to read /srv/.ghdeploy/stage/x/blog/.env: line 3: unterminated quoted value \"SECRET",
        "`.env` on the host, line 3: a quote is not closed",
    ),
    (
        "failed to read /srv/blog/.env: Invalid template: \"${SECRET\"",
        "`.env` on the host: a `$` in a value does not begin a variable",
    ),
    (
        "failed to read /srv/blog/.env: line 1: unexpected character \"!\" in variable name \"A!SECRET=1\"",
        "`.env` on the host, line 1: a name has a character that is not allowed",
    ),
    (
        "failed to read /srv/blog/e.env: line 7: key cannot contain a space",
        "`e.env` on the host, line 7: a name has a blank",
    ),
    ("line 2: unterminated quoted value \"SECRET", "an env file on the host, line 2: a quote is not closed"),
    (
        "parsing /srv/blog/compose.yml: error while interpolating services.web.environment.TOKEN: required variable TOKEN is missing a value: ask SECRET",
        "required variable TOKEN is not set on the host (ask $PERSON)",
    ),
    ("required variable SECRET is missing a value", "a required variable is not set on the host"),
    ("Invalid hostPort: SECRET", "`ports` of a service has a port that is not valid"),
    ("* error decoding 'ports': Invalid ip address: SECRET", "`ports` has an address that is not valid"),
    (
        "error while interpolating services.web.ports.[].target: failed to cast to expected type: strconv.Atoi: parsing \"SECRET\": invalid syntax",
        "`ports` of service `web` is not a number",
    ),
    (
        "error decoding 'services[web].healthcheck.interval': time: invalid duration \"SECRET\"",
        "`healthcheck.interval` of service `web` is not a duration such as 30s",
    ),
    (
        "error while interpolating services.db.SECRET: failed to cast to expected type: invalid boolean: SECRET",
        "service `db` is not true or false",
    ),
    (
        "validating /srv/blog/compose.yml: services.db Additional property enviroment is not allowed",
        "service `db` has the unknown key `enviroment`",
    ),
    (
        "validating /srv/blog/compose.yml: services.web.command must be a list",
        "`command` of service `web` is not a list",
    ),
    (
        "service \"web\" refers to undefined volume SECRET: invalid compose project",
        "service `web` refers to a volume that is not defined: one that a variable names",
    ),
    (
        "service \"web\" depends on undefined service \"SECRET\": invalid compose project",
        "service `web` depends on a service that is not defined: one that a variable names",
    ),
    (
        "env file /srv/blog/SECRET not found: stat /srv/blog/SECRET: no such file or directory",
        "an env file is not there: one that a variable names",
    ),
    (
        "env file /srv/blog/e.env not found: stat /srv/blog/e.env: no such file or directory",
        "an env file is not there: `e.env`",
    ),
    (
        "stat /srv/blog/SECRET.yml: no such file or directory",
        "a file that Compose reads is not there: one that a variable names",
    ),
    ("yaml: line 12: did not find expected key SECRET", "a compose file is not valid YAML at line 12"),
    (
        "invalid project name \"SECRET!\": must consist only of lowercase",
        "the name of the project is not valid",
    ),
    (
        "Error response from daemon: driver failed programming external connectivity on endpoint blog-web-1 (ab12): Bind for 0.0.0.0:8080 failed: port is already allocated",
        "port 8080 of service `web` is already in use on the host",
    ),
    (
        "Error response from daemon: failed to set up container networking: driver failed programming external connectivity on endpoint my-web (ab12): failed to bind host port for 127.0.0.1:47113:172.18.0.2:81/tcp: address already in use",
        "a port of service `web` is already in use on the host",
    ),
    (
        "Error response from daemon: Conflict. The container name \"/my-web\" is already in use by container \"ab12\".",
        "another container has the name `my-web` of service `web`",
    ),
    (
        "network edge declared as external, but could not be found",
        "the external network `edge` does not exist on the host",
    ),
    (
        "network SECRET declared as external, but could not be found",
        "the external network that a variable names does not exist on the host",
    ),
    (
        "Error response from daemon: network blog_front not found",
        "the network `front` does not exist on the host",
    ),
    (
        "Error response from daemon: OCI runtime create failed: runc create failed: exec: \"/entry.sh\": stat /entry.sh: no such file or directory: unknown",
        "`/entry.sh` of a container is not in the image",
    ),
    (
        "Error response from daemon: failed to create task: OCI runtime create failed: exec: \"SECRET\": executable file not found in $PATH: unknown",
        "the command of a container is not in the image",
    ),
    (
        "Error response from daemon: error while mounting volume '/var/lib/docker/volumes/blog_d/_data': failed to mount local volume: mount //nas/x:/y, data: username=a,password=SECRET: invalid argument",
        "a volume cannot be mounted",
    ),
    (
        "service \"db\" didn't complete successfully: exit 3",
        "service `db` has not completed: it exited with status 3",
    ),
    (
        "dependency failed to start: container blog-db-1 is unhealthy",
        "a dependency failed: service `db` is unhealthy",
    ),
    ("Error response from daemon: No such image: nginx:99", "image nginx:99 is not on the host"),
    ("Error response from daemon: No such image: SECRET", "an image is not on the host"),
    (
        "Error response from daemon: pull access denied for SECRET, repository does not exist or may require 'docker login'",
        "an image cannot be pulled: its registry does not have it, or asks for a login",
    ),
    (
        "failed to solve: process \"/bin/sh -c make SECRET\" did not complete successfully: exit code: 2",
        "a step of a Dockerfile failed with exit code 2",
    ),
    (
        "Error response from daemon: Pool overlaps with other one on this address space",
        "the subnet of a network overlaps with another network of the host",
    ),
    (
        "Error response from daemon: invalid mount config for type \"volume\": invalid mount path: 'd:/x' mount path must be absolute",
        "Docker takes `d:/x` for a path with a drive letter",
    ),
    (
        "Error response from daemon: invalid mount config for type \"bind\": invalid mount path: 'SECRET' mount path must be absolute",
        "the target of a mount is not an absolute path",
    ),
    (
        "Error response from daemon: invalid mount config for type \"bind\": bind source path does not exist: /srv/blog/SECRET",
        "what a service mounts is not there: one that a variable names",
    ),
    (
        "Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: error mounting \"/srv/blog/SECRET\" to rootfs at \"/etc/passwd\": mount /srv/blog/SECRET:/etc/passwd (via /proc/self/fd/6), flags: 0x5000: not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type",
        "a service mounts a folder where the image has a file, or a file where it has a folder at `/etc/passwd`",
    ),
    (
        "Error response from daemon: OCI runtime create failed: container_linux.go:380: starting container process caused: process_linux.go:545: container init caused: rootfs_linux.go:75: mounting \\\"/srv/SECRET\\\" to rootfs at \"/a\" caused: mount through procfd: not a directory: unknown",
        "a service mounts a folder where the image has a file, or a file where it has a folder",
    ),
    (
        "Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: error mounting \"/srv/SECRET\" to rootfs at \"/m/sub\": mkdir /var/lib/docker/overlay2/5c/merged/m/sub: read-only file system: unknown",
        "the mount point cannot be made: what it lies in is read-only",
    ),
    (
        "Error response from daemon: error while creating mount source path '/srv/SECRET': mkdir /srv/SECRET: permission denied",
        "Docker cannot make a folder on the host that a service mounts: permission denied",
    ),
    (
        "Error response from daemon: Duplicate mount point: /SECRET",
        "a service mounts two things at the same place",
    ),
    (
        "Error response from daemon: unable to find user SECRET: no matching entries in passwd file",
        "the image has no user",
    ),
    (
        "Error response from daemon: unable to find user ann: no matching entries in passwd file",
        "the image has no user `ann`",
    ),
    (
        "Error response from daemon: Unable to find group SECRET: no matching entries in group file",
        "the image has no group",
    ),
    (
        "Error response from daemon: the working directory 'SECRET' is invalid, it needs to be an absolute path",
        "the `working_dir` of a service is not an absolute path",
    ),
    (
        "services.scale: can't set container_name and web as container name must be unique: invalid compose project",
        "service `web` has a `container_name`, so it can have only one container",
    ),
    ("panic: runtime error: makeslice: len out of range [recovered]", "Compose on the host has crashed"),
    (
        "Error response from daemon: could not select device driver \"nvidia\" with capabilities: [[gpu]]",
        "the host has no driver for a device that a service asks for",
    ),
    (
        "Error response from daemon: error gathering device information while adding custom device \"/dev/SECRET\": no such file or directory",
        "the device that a service uses is not on the host",
    ),
    (
        "Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: sysctl \"vm.SECRET\" is not in a separate kernel namespace: unknown",
        "a sysctl of a service cannot be set for a container alone",
    ),
    (
        "Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: error setting rlimits for ready process: error setting rlimit type 7: operation not permitted: unknown",
        "a ulimit of a service is higher than the host allows, or its soft limit is above the hard one",
    ),
    (
        "Error response from daemon: conflicting options: port publishing and the container type network mode",
        "a service publishes ports, but uses the network of another container",
    ),
    (
        "Error response from daemon: error looking up logging plugin SECRET: plugin \"SECRET\" not found",
        "the host lacks the logging driver that a service or network uses",
    ),
    (
        "failed to create network blog_front: Error response from daemon: plugin \"SECRET\" not found",
        "the host lacks the driver that a service or network uses",
    ),
    (
        "Error response from daemon: Unknown runtime specified SECRET",
        "the host lacks the `runtime` of a service",
    ),
    (
        "failed to create network blog_front: Error response from daemon: Invalid subnet SECRET : invalid CIDR address: SECRET",
        "the `subnet` of a network is not valid",
    ),
    (
        "Error response from daemon: Invalid address SECRET: It does not belong to any of this network's subnets",
        "a fixed address of a service is outside of the subnet of its network",
    ),
    (
        "Error response from daemon: driver failed programming external connectivity on endpoint blog-web-1 (6c): Error starting userland proxy: listen tcp4 10.99.99.99:81: bind: cannot assign requested address",
        "the address in `ports` is not one of the host",
    ),
    (
        "Error response from daemon: driver failed programming external connectivity on endpoint blog-web-1 (6c):  (iptables failed: iptables --wait -t nat -A DOCKER: iptables: No chain/target/match by that name.",
        "Docker cannot set up its firewall rules",
    ),
    (
        "Error response from daemon: Minimum memory limit can not be less than memory reservation limit, see usage",
        "`mem_reservation` of a service is larger than `mem_limit`",
    ),
    (
        "Error response from daemon: image with reference SECRET was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64",
        "an image on the host is for another platform than the service asks for",
    ),
    (
        "Error response from daemon: no matching manifest for linux/arm64/v8 in the manifest list entries",
        "an image cannot be pulled: its registry has it for other platforms only",
    ),
    (
        "Error response from daemon: toomanyrequests: You have reached your pull rate limit.",
        "an image cannot be pulled: its registry allows no more pulls for now",
    ),
    (
        "Error response from daemon: no such image: SECRET:1: No such image: SECRET:1",
        "an image is not on the host",
    ),
    (
        "unable to get image 'SECRET': Error response from daemon: no such image: SECRET: invalid reference format: repository name must be lowercase",
        "an image cannot be pulled: this does not name an image",
    ),
    (
        "Error response from daemon: cannot stop container: 5ba1: permission denied",
        "Docker cannot stop a container",
    ),
    (
        "Error response from daemon: failed to create task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/entry.sh\": permission denied: unknown",
        "`/entry.sh` of a container is not executable",
    ),
    (
        "Error response from daemon: failed to create task: OCI runtime create failed: something new about SECRET",
        "a container could not be started",
    ),
    (
        "service \"db\" has neither an image nor a build context specified: invalid compose project",
        "service `db` has neither an `image` nor a `build`",
    ),
    (
        "validating /srv/blog/compose.yml: services.db additional properties 'enviroment' not allowed",
        "service `db` has the unknown key `enviroment`",
    ),
    (
        "environment variable \"SECRET\" required by file \"blog_s\" is not set",
        "a config or secret takes its content from the variable, which is not set",
    ),
    (
        "open /srv/blog/.env: permission denied",
        "a file that Compose reads may not be read by the user of the connection: `.env`",
    ),
    ("something new about SECRET", "it failed"),
];

#[test]
fn known_messages_are_told_in_our_own_words_and_without_values() {
    for (line, wanted) in MESSAGES {
        for secret in ["hunter2", "Qx9/v+=&", "et99", "a b:c"] {
            let line = line.replace("SECRET", secret);
            let said = said(&line);
            assert_eq!(said, *wanted, "{line}");
        }
    }
}

#[test]
fn a_message_of_compose_is_about_a_line_of_the_repository() {
    let project = project();
    let file = "services/blog/compose.yml";
    let vocabulary = Vocabulary::new(Some(&project), vec![(file.to_owned(), COMPOSE.to_owned())]);
    let stage = "/srv/.ghdeploy/stage/77/blog/candidate/blog";
    for (line, place) in [
        ("validating STAGE/compose.yml: services.web.healthcheck.interval must be a string", "10:5"),
        ("validating STAGE/compose.yml: services.web.ports.0 must be a string", "5:5"),
        ("'services[web].healthcheck.interval' time: invalid duration \"x\"", "10:5"),
        ("error while interpolating services.web.ports.[].target: strconv.Atoi: parsing \"x\"", "5:5"),
        ("validating STAGE/compose.yml: services.db Additional property enviroment is not allowed", "13:3"),
        ("required variable TOKEN is missing a value: ask x", "12:26"),
        ("yaml: line 12: did not find expected key", "12:1"),
    ] {
        let failed = Failed { what: "docker compose config", see: None, version: Some("2.26.1") };
        let line = line.replace("STAGE", stage);
        let found = explain(failed, std::slice::from_ref(&line), &vocabulary);
        assert_eq!(found.at.map(|at| at.to_string()), Some(format!("{file}:{place}")), "{line}");
        assert!(!found.message.contains("stage"), "{}", found.message);
        if let Some(help) = found.help {
            assert!(help.ends_with("; the host has Docker Compose 2.26.1"), "{help}");
        }
    }
    let below = format!("{stage}/../shared/x.yml").replace("blog/../", "");
    assert_eq!(vocabulary.file(&format!("{stage}/.env")), Some(".env"));
    assert_eq!(vocabulary.file(&below), None, "nothing of the project is called so");
}

#[test]
fn several_problems_are_told_each_once() {
    let lines = "Invalid hostPort: x\nInvalid hostPort: y\nyaml: line 3: x\nother";
    assert_eq!(
        said(lines),
        "`ports` of a service has a port that is not valid; a compose file is not valid YAML at line 3"
    );
}

#[test]
fn variables_are_named_if_a_compose_file_refers_to_them() {
    let project = project();
    let vocabulary =
        Vocabulary::new(Some(&project), vec![("services/blog/compose.yml".to_owned(), COMPOSE.to_owned())]);
    let warn = |name: &str| {
        format!(
            "time=\"2026-01-01T00:00:00Z\" level=warning msg=\"The \\\"{name}\\\" variable is not set. Defaulting to a blank string.\""
        )
    };
    let old = "WARN[0000] The \"TOKEN\" variable is not set. Defaulting to a blank string.".to_owned();
    let unset = unset_variables(&[warn("PERSON"), old, warn("et99"), warn("ort"), warn("POR")], &vocabulary);
    assert_eq!(unset, Unset { named: vec!["PERSON".into(), "TOKEN".into()], has_pieces: true });
    // The files of a release are not here.
    let vocabulary = Vocabulary::new(Some(&project), Vec::new());
    assert!(vocabulary.refers_to("PORT") && !vocabulary.refers_to("et99"));
}

#[test]
fn known_causes_come_with_what_to_do() {
    let help = |line: &str| {
        let failed = Failed { what: "up", see: None, version: None };
        explain(failed, &[line.to_owned()], &Vocabulary::default()).help.unwrap_or_default()
    };
    for (line, wanted) in [
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "systemctl start docker",
        ),
        ("Error response from daemon: Bind for 0.0.0.0:80 failed: port is already allocated", "ss -ltnp"),
        ("write /x: no space left on device", "docker system df"),
        ("who knows", "not shown"),
    ] {
        assert!(help(line).contains(wanted), "{line}");
    }
}

#[test]
fn lines_of_a_container_are_told_from_those_of_compose() {
    for line in [
        " Container blog-web-run-1 Creating ",
        " Network blog_default  Created",
        " Container web.hook Error response from daemon: Conflict.",
        "time=\"2026-01-01T00:00:00Z\" level=warning msg=\"x\"",
        "Error response from daemon: Conflict.",
    ] {
        assert!(is_of_docker(line), "{line}");
    }
    for line in ["Container images are built", "Network is down", "Creating table users", "Image 5 of 9"] {
        assert!(!is_of_docker(line), "{line}");
    }
}
