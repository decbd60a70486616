//! Known messages of Docker Engine about a container that it does not create or start: mounts, users, limits and
//! settings, one function per family. The same rules hold as in `patterns`.

use super::Vocabulary;
use super::problem::{Problem, after, between};

/// What is in a message, our words for it, and what to do.
type Known = (&'static str, &'static str, Option<&'static str>);

fn find(line: &str, table: &[Known]) -> Option<Problem> {
    let (_, message, help) = table.iter().find(|(mark, ..)| line.contains(mark))?;
    let problem = Problem::new(*message);
    Some(match help {
        Some(help) => problem.help(*help),
        None => problem,
    })
}

/// Mounts.
pub(super) fn mounts(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    let at = |path: Option<&str>| {
        let path = path.filter(|path| vocabulary.knows(path));
        path.map(|path| format!(" at `{path}`")).unwrap_or_default()
    };
    // `mount path must be absolute: 'd:/x'`, and the other way round.
    if let Some(path) = between(line, "invalid mount path: '", "'") {
        let mut chars = path.chars();
        if chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.next() == Some(':') {
            let shown = vocabulary.show(path, "a mount");
            let message = format!("Docker takes {shown} for a path with a drive letter");
            return Some(Problem::new(message).help("give the volume a name of two or more letters"));
        }
        let shown = if vocabulary.knows(path) { format!(" `{path}`") } else { String::new() };
        let message = format!("the target{shown} of a mount is not an absolute path");
        return Some(Problem::new(message).help("begin it with `/`"));
    }
    // The words of runc, and those of Docker before version 24.
    let target = || {
        let target = between(line, "to rootfs at \"", "\"").or_else(|| between(line, "to rootfs \"", "\""));
        at(target)
    };
    let is_mount = line.contains("error mounting \"") || line.contains("mounting \\\"");
    if is_mount && line.contains("not a directory") || line.contains("mount a directory onto a file") {
        let message = format!(
            "a service mounts a folder where the image has a file, or a file where it has a folder{}",
            target()
        );
        let help = "look at the source on the host: Docker makes a folder in the place of a missing file";
        return Some(Problem::new(message).help(help));
    }
    if is_mount && line.contains("read-only file system") {
        let message = format!("the mount point{} cannot be made: what it lies in is read-only", target());
        let help = "make the folder in the image, or in what is mounted read-only";
        return Some(Problem::new(message).help(help));
    }
    if is_mount && line.contains("permission denied") {
        let message = format!("Docker may not mount what a service wants{}", target());
        return Some(Problem::new(message).help("look at the owner and mode of the source on the host"));
    }
    if is_mount && line.contains("no such file or directory") {
        return Some(Problem::new(format!("the source of a mount{} is not on the host", target())));
    }
    if is_mount {
        return Some(Problem::new(format!("a mount{} is not possible as it is written", target())));
    }
    if let Some(target) = after(line, "uplicate mount point: ") {
        let shown = if vocabulary.knows(target) { format!(": `{target}`") } else { String::new() };
        return Some(Problem::new(format!("a service mounts two things at the same place{shown}")));
    }
    if line.contains("error while creating mount source path") {
        let path = between(line, "mount source path '", "'").filter(|path| vocabulary.knows(path));
        let shown = path.map_or_else(|| "a folder".to_owned(), |path| format!("`{path}`"));
        let why = [
            ("read-only file system", "the file system is read-only"),
            ("permission denied", "permission denied"),
            ("not a directory", "a file is in its way"),
            ("file exists", "something else is in its place"),
        ];
        let why = why.iter().find(|(mark, _)| line.contains(mark));
        let why = why.map(|(_, why)| format!(": {why}")).unwrap_or_default();
        let message = format!("Docker cannot make {shown} on the host that a service mounts{why}");
        let help = "make it by hand; Docker as a snap sees only folders below /home";
        return Some(Problem::new(message).help(help));
    }
    find(
        line,
        &[
            ("destination can't be '/'", "a service mounts something at `/`", Some("name a folder below it")),
            ("invalid propagation mode", "the `propagation` of a mount is not a known one", None),
            ("invalid bind mode", "a mount has a mode that is not known", None),
            (
                "invalid mode: ",
                "a mount has a mode that is not known",
                Some("`ro` and `rw` are the usual ones"),
            ),
            ("invalid volume specification", "a mount is not written correctly", None),
            ("invalid mount config", "a mount is not written correctly", None),
            ("not a shared mount", "a mount needs a path that is shared on the host", None),
        ],
    )
}

/// Users, groups and the working directory of a container.
pub(super) fn users(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    let named = |name: Option<&str>| {
        let name = name.filter(|name| vocabulary.knows(name));
        name.map(|name| format!(" `{name}`")).unwrap_or_default()
    };
    for (kind, file) in [("user", "passwd"), ("group", "group")] {
        if line.contains(&format!("no matching entries in {file} file")) {
            let name = named(after(line, &format!("nable to find {kind} ")));
            let help = format!("write a number, or add the {kind} in the image's Dockerfile");
            return Some(Problem::new(format!("the image has no {kind}{name}")).help(help));
        }
    }
    if line.contains("the working directory '") && line.contains("absolute path") {
        let message = "the `working_dir` of a service is not an absolute path";
        return Some(Problem::new(message).help("begin it with `/`"));
    }
    let is_directory = line.contains("Cannot mkdir: ") || line.contains("chdir to cwd");
    is_directory.then(|| Problem::new("the `working_dir` of a service is not a folder that it may enter"))
}

/// Settings of a service that Docker or the kernel of the host refuses.
pub(super) fn settings(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    if let Some(name) = between(line, "sysctl \"", "\"").or_else(|| between(line, "open /proc/sys/", ":")) {
        let name = name.replace('/', ".");
        let shown = if vocabulary.knows(&name) {
            format!("the sysctl `{name}`")
        } else {
            "a sysctl of a service".to_owned()
        };
        let (why, help) = if line.contains("host network") {
            ("cannot be set with `network_mode: host`", "set it on the host itself")
        } else if line.contains("not in a separate kernel namespace") {
            ("cannot be set for a container alone", "set it on the host itself")
        } else {
            ("is not known to the host's kernel", "check its name")
        };
        return Some(Problem::new(format!("{shown} {why}")).help(help));
    }
    if let Some(name) = between(line, "unknown capability: \"", "\"") {
        let name = name.trim_start_matches("CAP_");
        let shown = if vocabulary.knows(name) { format!(" `{name}`") } else { String::new() };
        return Some(Problem::new(format!("`cap_add` or `cap_drop` has an unknown capability{shown}")));
    }
    if let Some(name) = between(line, "custom device \"", "\"") {
        let shown = vocabulary.show(name, "that a service uses");
        return Some(Problem::new(format!("the device {shown} is not on the host")));
    }
    if let Some(name) = between(line, "plugin \"", "\" not found") {
        let kind = if line.contains("logging plugin") { "logging driver" } else { "driver" };
        let shown = vocabulary.show(name, "that a service or network uses");
        let help = "`docker plugin ls` and `docker info` show those that it has";
        return Some(Problem::new(format!("the host lacks the {kind} {shown}")).help(help));
    }
    if let Some(options) = line.split_once("onflicting options: ").map(|(_, options)| options) {
        let message = if options.contains("port publishing") {
            "a service publishes ports, but uses the network of another container"
        } else if options.contains("hostname") {
            "a service has a `hostname`, but uses the network of another container or of the host"
        } else if options.contains("custom host-to-IP") {
            "a service has `extra_hosts`, but uses the network of another container"
        } else if options.contains("dns") {
            "a service has `dns`, but uses the network of another container"
        } else {
            "two options of a service exclude each other"
        };
        return Some(Problem::new(message).help("set it on the service whose network is used, or remove it"));
    }
    find(line, SETTINGS)
}

const SETTINGS: &[Known] = &[
    ("gathering device information", "a device of a service is not there on the host", None),
    (
        "could not select device driver",
        "the host has no driver for a device that a service asks for",
        Some("for a GPU, install the NVIDIA Container Toolkit"),
    ),
    (
        "CDI device injection failed",
        "the host does not know a device that a service asks for",
        Some("for a GPU, install the NVIDIA Container Toolkit"),
    ),
    (
        "nvidia-container-cli",
        "the GPU of the host cannot be used",
        Some("run `nvidia-smi` on the host; after an update of its driver, reboot"),
    ),
    ("invalid device cgroup rule", "a rule in `device_cgroup_rules` is not written correctly", None),
    (
        "nknown runtime specified",
        "the host lacks the `runtime` of a service",
        Some("`docker info` shows those that it has"),
    ),
    (
        "nknown or invalid runtime name",
        "the host lacks the `runtime` of a service",
        Some("`docker info` shows those that it has"),
    ),
    ("memory reservation limit", "`mem_reservation` of a service is larger than `mem_limit`", None),
    ("inimum memoryswap limit", "`memswap_limit` of a service is smaller than `mem_limit`", None),
    ("inimum memory limit", "the memory limit of a service is too small", None),
    ("set the Memory limit when using", "a service has `memswap_limit` without `mem_limit`", None),
    ("ange of CPUs is from", "a service asks for more CPUs than the host has", None),
    ("Requested CPUs are not available", "`cpuset` of a service names CPUs that the host lacks", None),
    (
        "Requested memory nodes are not available",
        "`cpuset` of a service names memory that the host lacks",
        None,
    ),
    (
        "wrong rlimit value",
        "a service sets a ulimit that does not exist",
        Some("`ulimit -a` shows the names"),
    ),
    (
        "invalid ulimit type",
        "a service sets a ulimit that does not exist",
        Some("`ulimit -a` shows the names"),
    ),
    (
        "error setting rlimit",
        "a ulimit of a service is higher than the host allows, or its soft limit is above the hard one",
        None,
    ),
    ("oom_score_adj", "the `oom_score_adj` of a service is not allowed on the host", None),
    (
        "cgroup",
        "the cgroups of the host cannot be set up for a container",
        Some(
            "check `cgroup_parent` and the limits; `docker info` warns if the host lacks support for a limit",
        ),
    ),
    ("sethostname", "the `hostname` of a service is not valid", Some("it has at most 63 characters")),
    ("nvalid container name", "a `container_name` has characters that are not allowed", None),
    ("nvalid MAC address", "a `mac_address` is not valid", None),
    ("nvalid IP address in add-host", "an address in `extra_hosts` is not valid", None),
    ("nvalid restart policy", "the `restart` of a service is not a known policy", None),
    ("nvalid signal", "the `stop_signal` of a service is not a known signal", None),
    ("nvalid IPC mode", "the `ipc` of a service is not a known mode", None),
    ("nvalid PID mode", "the `pid` of a service is not a known mode", None),
    ("nvalid UTS mode", "the `uts` of a service is not a known mode", None),
    ("nvalid isolation", "`isolation` of a service is not possible on Linux", None),
    ("nvalid --security-opt", "an item of `security_opt` is not known", None),
    ("seccomp profile", "the seccomp profile of a service is not there, or is not valid", None),
    (
        "apparmor profile",
        "the AppArmor profile of a service is not loaded on the host",
        Some("`aa-status` on the host shows the loaded ones"),
    ),
    ("--storage-opt is supported only", "the host's storage driver does not support `storage_opt`", None),
    ("in Healthcheck cannot be", "a time of a `healthcheck` is too short", None),
    ("unknown log opt", "the logging driver does not know an option of a service", None),
    ("failed to initialize logging driver", "an option of a service's logging driver is not valid", None),
    ("logging driver", "the host lacks the logging driver of a service", None),
];

/// Networks, and the Docker Engine as a whole.
pub(super) fn host(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    if let Some(name) = after(line, "No such container: ").filter(|name| vocabulary.knows(name)) {
        return Some(Problem::new(format!("the container `{name}` does not exist on the host")));
    }
    if let Some(address) = between(line, "listen tcp4 ", ": bind: cannot assign") {
        let address = address.rsplit_once(':').map_or(address, |(address, _)| address);
        let shown = if vocabulary.knows(address) { format!(" `{address}`") } else { String::new() };
        return Some(Problem::new(format!("the address{shown} in `ports` is not one of the host")));
    }
    find(line, HOST)
}

const HOST: &[Known] = &[
    ("cannot assign requested address", "an address in `ports` is not one of the host", None),
    (
        "Pool overlaps with other one",
        "the subnet of a network overlaps with another network of the host",
        Some("`docker network ls` and `ip route` show them"),
    ),
    (
        "networks have overlapping",
        "the subnet of a network overlaps with another network of the host",
        Some("`docker network ls` and `ip route` show them"),
    ),
    (
        "non-overlapping IPv4 address pool",
        "Docker has no more addresses for networks",
        Some("remove unused networks: docker network prune"),
    ),
    (
        "address pools have been fully subnetted",
        "Docker has no more addresses for networks",
        Some("remove unused networks: docker network prune"),
    ),
    ("no available IPv4 addresses", "a network has no more free addresses", None),
    ("nvalid subnet", "the `subnet` of a network is not valid", Some("write it like 10.20.0.0/16")),
    ("nvalid CIDR address", "an address range of a network is not valid", Some("write it like 10.20.0.0/16")),
    (
        "failed to allocate gateway",
        "the `gateway` of a network is outside of its subnet, or already in use",
        None,
    ),
    ("no matching subnet for gateway", "the `gateway` of a network is outside of its subnet", None),
    (
        "supported only when connecting to networks with user configured subnets",
        "a service has a fixed address in a network without a `subnet`",
        Some("give the network an `ipam.config` with a subnet"),
    ),
    (
        "does not belong to any of this network's subnets",
        "a fixed address of a service is outside of the subnet of its network",
        None,
    ),
    (
        "no configured subnet contains",
        "a fixed address of a service is outside of the subnet of its network",
        None,
    ),
    (
        "no configured subnet or ip-range contains",
        "a fixed address of a service is outside of the subnet of its network",
        None,
    ),
    (
        "network-scoped alias",
        "a service joins a network of Docker itself (`host` or `bridge`) like one of its own",
        Some("write `network_mode: host` instead"),
    ),
    (
        "network is allowed",
        "Docker has only one network of that driver",
        Some("write `network_mode: host` or `none` instead"),
    ),
    (
        "not a swarm manager",
        "a network has a driver that needs a swarm",
        Some("remove the `driver`, or run `docker swarm init` on the host"),
    ),
    ("is already using parent interface", "another network has the `parent` interface of this one", None),
    ("nvalid subinterface vlan", "the `parent` interface of a network is not on the host", None),
    ("parent interface was not found", "the `parent` interface of a network is not on the host", None),
    (
        "has active endpoints",
        "a network is still in use",
        Some("`docker network inspect` shows by which containers"),
    ),
    (
        "endpoint with name",
        "a network still lists a container that is gone",
        Some("on the host: docker network disconnect -f NETWORK CONTAINER"),
    ),
    (
        "incorrect label com.docker.compose.network",
        "a network of that name was not made by Compose",
        Some("remove it, or declare it as `external: true`"),
    ),
    (
        "iptables",
        "Docker cannot set up its firewall rules",
        Some("something else has changed them; on the host: systemctl restart docker"),
    ),
    (
        "sandbox pair interfaces",
        "the host's kernel cannot make a network interface",
        Some("after an update of the kernel, reboot the host"),
    ),
    (
        "join network of a non running container",
        "the container whose network a service uses does not run",
        None,
    ),
    (
        "joining network namespace of container",
        "the container whose network a service uses is gone",
        Some("run `ghdeploy sync` again; it recreates both"),
    ),
    (
        "No such container",
        "a container that a service refers to does not exist",
        Some("look at `network_mode`, `pid`, `ipc` and `volumes_from`"),
    ),
    (
        "failed to mount local volume",
        "a volume cannot be mounted",
        Some("check its driver_opts, and that its server answers"),
    ),
    (
        "error while mounting volume",
        "a volume cannot be mounted",
        Some("check its driver_opts, and that its server answers"),
    ),
    ("invalid option: \"", "a volume has a driver option that does not exist", None),
    ("invalid option key", "a volume has a driver option that does not exist", None),
    (
        "does not match the specified platform",
        "an image on the host is for another platform than the service asks for",
        Some("name a tag that has the host's platform, or change `platform`"),
    ),
    (
        "device or resource busy",
        "Docker cannot remove a container whose files are in use",
        Some("run it again; if that does not help, on the host: systemctl restart docker"),
    ),
    ("failed to remove root filesystem", "Docker cannot remove the files of a container", None),
    (
        "marked for removal",
        "a container is only half removed",
        Some("remove it on the host: docker rm -f CONTAINER"),
    ),
    (
        "did not receive an exit event",
        "Docker cannot stop a container",
        Some("on the host: systemctl restart docker"),
    ),
    (
        "cannot stop container",
        "Docker cannot stop a container",
        Some("AppArmor may forbid it, above all with Docker as a snap; on the host: aa-remove-unknown"),
    ),
    (
        "cannot kill container",
        "Docker cannot stop a container",
        Some("AppArmor may forbid it, above all with Docker as a snap; on the host: aa-remove-unknown"),
    ),
    ("unpause the container", "a container is paused", Some("on the host: docker unpause CONTAINER")),
    ("is restarting, wait until", "a container restarts again and again", None),
    ("exec format error", "a program in a container is for another platform", None),
    ("disk quota exceeded", "a disk quota of the host is used up", None),
    ("read-only file system", "a file system of the host is read-only", None),
    ("context deadline exceeded", "Docker did not answer in time", None),
    (
        "panic: runtime error",
        "Compose on the host has crashed",
        Some(
            "a value that it does not expect, such as a negative `scale`, may be the cause; a newer Compose may name it",
        ),
    ),
];
