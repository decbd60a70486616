//! Known messages of Compose and Docker, one function per family.
//!
//! Each takes one line and returns our own words for it. Nothing of the line is copied without asking the
//! vocabulary, except numbers at places where only Compose itself writes.

use super::problem::{Problem, after, between, number};
use super::{Vocabulary, engine, explain_pull};

/// Reads a line.
pub(super) fn read(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    let line = line.trim();
    let families: [fn(&str, &Vocabulary<'_>) -> Option<Problem>; 12] = [
        env_files,
        attributes,
        references,
        files,
        ports,
        resources,
        engine::mounts,
        engine::users,
        containers,
        engine::settings,
        images,
        engine::host,
    ];
    families.iter().find_map(|family| family(line, vocabulary)).or_else(|| not_started(line))
}

/// Syntax of `.env` and of env files.
fn env_files(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    let (file, rest) = match line.strip_prefix("failed to read ") {
        Some(rest) => {
            let (path, rest) = rest.split_once(": ")?;
            (vocabulary.file(path).map(|name| format!("`{name}`")), rest)
        }
        None => (None, line),
    };
    let is_template = rest.to_ascii_lowercase().starts_with("invalid template");
    let (number, rest) = match rest.strip_prefix("line ") {
        Some(rest) => (number(rest), rest),
        None => (None, rest),
    };
    let (kind, help) = if is_template || number.is_some() && rest.contains("nvalid template") {
        (
            "a `$` in a value does not begin a variable",
            "put the value in single quotes, or write `$$` for `$`",
        )
    } else if number.is_some() && rest.contains("unterminated quoted value") {
        ("a quote is not closed", "close it; a value that has a quote goes in quotes of the other kind")
    } else if number.is_some() && rest.contains("unexpected character") {
        ("a name has a character that is not allowed", "names have letters, digits and `_`")
    } else if number.is_some() && rest.contains("key cannot contain a space") {
        ("a name has a blank", "write NAME=value; a value of several lines goes in quotes")
    } else if number.is_some() && rest.contains("zero length string") {
        ("a line has no name", "write NAME=value")
    } else if file.is_some() {
        ("its syntax is wrong", "write NAME=value on each line")
    } else {
        return None;
    };
    let file = file.unwrap_or_else(|| "an env file".to_owned());
    let place = number.map(|number| format!(", line {number}")).unwrap_or_default();
    Some(Problem::new(format!("{file} on the host{place}: {kind}")).help(help))
}

/// Values that do not fit their attribute, and unknown keys.
fn attributes(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    const KINDS: &[(&str, &str)] = &[
        ("strconv.ParseBool", "is not true or false"),
        ("invalid boolean", "is not true or false"),
        ("strconv.Parse", "is not a number"),
        ("strconv.Atoi", "is not a number"),
        ("invalid duration", "is not a duration such as 30s"),
        ("missing unit in duration", "is a duration without a unit"),
        ("format 'duration'", "is not a duration such as 30s"),
        ("invalid size", "is not a size such as 512m"),
        ("must be one of", "is not one of the allowed words"),
        ("must be a mapping", "is not a mapping"),
        ("must be a list", "is not a list"),
        ("must be a array", "is not a list"),
        ("must be a string", "is not a text"),
        ("must be a", "has the wrong type"),
        ("contains an invalid type", "has the wrong type"),
        ("expected a map", "is not a mapping"),
        ("missing IP", "has no address"),
        ("invalid spec", "has an item that is not valid"),
        ("nvalid hostPort", "has a port that is not valid"),
        ("nvalid containerPort", "has a port that is not valid"),
        ("nvalid proto", "has a protocol that is not valid"),
        ("nvalid ip", "has an address that is not valid"),
        ("nvalid interpolation format", "has a `$` that does not begin a variable"),
        ("is required", "lacks a key"),
        ("missing propert", "lacks a key"),
        ("value must be ", "is not one of the allowed words"),
        ("does not match", "is not valid"),
        ("Does not match", "is not valid"),
    ];
    let kind = |text: &str| KINDS.iter().find(|(mark, _)| text.contains(mark)).map(|(_, kind)| *kind);
    if let Some(name) = after(line, "required variable ") {
        let name = name.trim_matches('`');
        if !vocabulary.refers_to(name) {
            return Some(Problem::new("a required variable is not set on the host"));
        }
        let why = vocabulary.required_message(name).map(|why| format!(" ({why})")).unwrap_or_default();
        let problem = Problem::new(format!("required variable {name} is not set on the host{why}"));
        let problem = Problem { at: vocabulary.place_of_variable(name), ..problem };
        return Some(problem.help(format!("set {name} in .env in the project's folder on the host")));
    }
    // Compose before version 2.38 or so, and after it.
    let unknown = between(line, "dditional property ", " is not allowed");
    if let Some(name) = unknown.or_else(|| between(line, "dditional properties '", "' not allowed")) {
        let shown = vocabulary.show(name, "a key");
        let path = between(line, ": ", " ").unwrap_or_default();
        let (_, words) = vocabulary.attribute(path).unwrap_or((None, "the compose file".to_owned()));
        let place = if vocabulary.knows(name) { format!("{path}.{name}") } else { path.to_owned() };
        let problem = Problem::new(format!("{words} has the unknown key {shown}"));
        let help = "correct it if it is a mistake, or install a Compose on the host that knows it";
        return Some(problem.at_attribute(vocabulary, &place).help(help));
    }
    if line.contains("yaml: ") {
        let (_, rest) = line.split_once("yaml: ")?;
        let number = rest.strip_prefix("line ").and_then(number);
        let line = number.map(|line| format!(" at line {line}")).unwrap_or_default();
        let problem = Problem::new(format!("a compose file is not valid YAML{line}"));
        return Some(Problem { at: number.and_then(|line| vocabulary.place_of_line(line)), ..problem });
    }
    let (path, rest) = if let Some(rest) = line.split_once("error while interpolating ").map(|(_, rest)| rest)
    {
        rest.split_once(": ")?
    } else if let Some(rest) = line.split_once("error decoding '").map(|(_, rest)| rest) {
        rest.split_once("': ")?
    } else if let Some(rest) = line.trim_start_matches(['*', ' ']).strip_prefix("'services[") {
        let (path, rest) = rest.split_once('\'')?;
        (path, rest)
    } else if let Some(rest) = line.strip_prefix("validating ") {
        rest.split_once(": ")?.1.split_once(' ')?
    } else if let Some(rest) = line.split_once("invalid interpolation format for ").map(|(_, rest)| rest) {
        (
            rest.split(['.', ':'])
                .next()
                .map(|_| rest.split([':', '"', '\n']).next().unwrap_or(rest).trim())?,
            "invalid interpolation format",
        )
    } else if line.starts_with("nvalid hostPort")
        || line.starts_with("invalid spec")
        || line.starts_with("Invalid ")
        || line.starts_with("invalid ")
    {
        let (key, kind) = match kind(line) {
            Some(kind) if line.starts_with("invalid spec") => ("`volumes`", kind),
            Some(kind) => ("`ports`", kind),
            None => return None,
        };
        return Some(Problem::new(format!("{key} of a service {kind}")));
    } else {
        return None;
    };
    let path = if line.contains(&format!("'services[{path}'")) {
        format!("services[{path}")
    } else {
        path.to_owned()
    };
    let (_, words) = vocabulary.attribute(&path).unwrap_or((None, "an attribute".to_owned()));
    let kind = kind(rest).unwrap_or("is not valid");
    let problem = Problem::new(format!("{words} {kind}")).at_attribute(vocabulary, &path);
    Some(problem.help("the value may come from .env in the project's folder on the host"))
}

/// Names that refer to nothing.
fn references(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    let named = |name: &str| vocabulary.show(name.trim_matches('"'), "one that a variable names");
    let service = || vocabulary.service(between(line, "ervice \"", "\"")?);
    for kind in ["network", "volume", "secret", "config", "service"] {
        for does in ["refers to", "depends on"] {
            if let Some(name) = after(line, &format!(" {does} undefined {kind} ")) {
                let service = service();
                let who = service.map_or_else(|| "a service".to_owned(), |name| format!("service `{name}`"));
                let problem =
                    Problem::new(format!("{who} {does} a {kind} that is not defined: {}", named(name)));
                return Some(problem.at(vocabulary, service));
            }
        }
    }
    if let Some(name) = between(line, "ervice \"", "\" has neither an image nor a build") {
        let service = vocabulary.service(name);
        let who = service.map_or_else(|| "a service".to_owned(), |name| format!("service `{name}`"));
        let problem = Problem::new(format!("{who} has neither an `image` nor a `build`"));
        return Some(problem.at(vocabulary, service));
    }
    if line.contains("dependency cycle detected") {
        return Some(Problem::new("services depend on each other in a circle").help("look at `depends_on`"));
    }
    if let Some(name) = between(line, "environment variable \"", "\" required by ") {
        let shown = if vocabulary.refers_to(name) || vocabulary.knows(name) { name } else { "" };
        let shown = if shown.is_empty() { String::new() } else { format!(" {shown}") };
        let message =
            format!("a config or secret takes its content from the variable{shown}, which is not set");
        return Some(Problem::new(message).help("set it in .env in the project's folder on the host"));
    }
    if line.contains("unsupported external secret") || line.contains("unsupported external config") {
        let message = "a secret or config is `external`, which only a swarm has";
        return Some(Problem::new(message).help("give it a `file`"));
    }
    if line.starts_with("cannot extend service") {
        return Some(Problem::new("a service extends one that is not defined"));
    }
    if let Some(name) = line.strip_prefix("no such service: ") {
        return Some(Problem::new(format!("there is no such service: {}", named(name))));
    }
    if line.contains("invalid project name") {
        let help = "check COMPOSE_PROJECT_NAME in .env on the host, and `name:`";
        return Some(Problem::new("the name of the project is not valid").help(help));
    }
    if line.contains("no configuration file provided") {
        return Some(Problem::new("the project has no compose file on the host"));
    }
    if line.contains("unknown flag: ") || line.contains("unknown shorthand flag") {
        let help = "`ghdeploy doctor` shows the oldest version that is supported";
        return Some(Problem::new("Compose on the host lacks an option").help(help));
    }
    None
}

/// Files that are missing.
fn files(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    let missing = |what: &str, path: &str| {
        let name = vocabulary
            .file(path)
            .map_or_else(|| "one that a variable names".to_owned(), |name| format!("`{name}`"));
        Problem::new(format!("{what} is not there: {name}"))
    };
    if let Some(path) =
        between(line, "nv file ", " not found").or_else(|| between(line, "Failed to load ", ": open "))
    {
        return Some(missing("an env file", path).help("put it on the host, or write `required: false`"));
    }
    if line.contains("failed to read dockerfile")
        || line.contains("Cannot locate Dockerfile")
        || line.contains("the Dockerfile (")
    {
        return Some(Problem::new("the Dockerfile of a build is not there"));
    }
    let unreadable = ["permission denied", "is a directory"].into_iter().find(|why| line.ends_with(why));
    let opened = ["open ", "read ", "stat ", "lstat "].iter().find_map(|start| line.strip_prefix(start));
    if let (Some(why), Some((path, _))) = (unreadable, opened.and_then(|rest| rest.split_once(": "))) {
        let name = vocabulary
            .file(path)
            .map_or_else(|| "that a variable names".to_owned(), |name| format!("`{name}`"));
        let why = if why == "is a directory" {
            "is a directory on the host"
        } else {
            "may not be read by the user of the connection"
        };
        return Some(Problem::new(format!("a file that Compose reads {why}: {name}")));
    }
    for start in ["open ", "stat ", "lstat "] {
        let path = line.strip_prefix(start).and_then(|rest| rest.split_once(": no such file or directory"));
        if let Some((path, _)) = path {
            return Some(missing("a file that Compose reads", path));
        }
    }
    if let Some(path) = between(line, "ind source path does not exist: ", " ")
        .or_else(|| line.split_once("ind source path does not exist: ").map(|(_, path)| path))
    {
        return Some(missing("what a service mounts", path));
    }
    None
}

/// Ports and addresses that are taken.
fn ports(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    const HELP: &str =
        "another container or program has it; `docker ps` and `ss -ltnp` on the host show which";
    let is_taken = line.contains("port is already allocated") || line.contains("address already in use");
    let is_forbidden = line.contains("permission denied") && line.contains("listen tcp");
    if is_taken || is_forbidden {
        let marks = [
            "ind for ",
            "host port for ",
            "bind port ",
            "listen tcp4 ",
            "listen tcp6 ",
            "listen tcp ",
            "listen udp4 ",
            "listen udp6 ",
            "listen udp ",
        ];
        let address = marks.iter().find_map(|mark| after(line, mark));
        let port = address.and_then(|address| {
            // `0.0.0.0:80/tcp`, and newer engines add the address of the container: `0.0.0.0:80:172.17.0.2:80/tcp`.
            let rest = address.strip_prefix('[').and_then(|rest| rest.split_once("]:")).map(|(_, rest)| rest);
            let rest = rest.or_else(|| address.split_once(':').map(|(_, rest)| rest))?;
            Some(rest.split([':', '/']).next().unwrap_or(rest))
        });
        let service =
            between(line, "on endpoint ", " (").and_then(|container| vocabulary.service_of(container));
        let port = port.filter(|port| vocabulary.knows(port)).map(|port| format!("port {port}"));
        let of = service.map(|service| format!(" of service `{service}`")).unwrap_or_default();
        let port = port.unwrap_or_else(|| "a port".to_owned());
        let problem = if is_taken {
            Problem::new(format!("{port}{of} is already in use on the host")).help(HELP)
        } else {
            Problem::new(format!("Docker may not open {port}{of}"))
        };
        return Some(problem.at(vocabulary, service));
    }
    if line.contains("Address already in use") {
        return Some(Problem::new("a fixed address of a service is already in use in its network"));
    }
    None
}

/// Networks and volumes.
fn resources(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    let shown = |name: &str| {
        let name = name.trim_matches(['"', '\'']);
        vocabulary
            .resource(name)
            .map_or_else(|| "that a variable names".to_owned(), |name| format!("`{name}`"))
    };
    for kind in ["network", "volume"] {
        let external = after(line, &format!("{kind} ")).filter(|_| line.contains("declared as external"));
        let external = external
            .or_else(|| after(line, &format!("xternal {kind} ")).filter(|_| line.contains("not found")));
        if let Some(name) = external {
            let name = shown(name);
            let problem = Problem::new(format!("the external {kind} {name} does not exist on the host"));
            return Some(match name.strip_prefix('`') {
                Some(plain) => problem.help(format!(
                    "create it on the host: docker {kind} create {}",
                    plain.trim_end_matches('`')
                )),
                None => problem,
            });
        }
        let missing = between(line, &format!("{kind} "), " not found").filter(|name| !name.contains(' '));
        if let Some(name) = missing {
            return Some(Problem::new(format!("the {kind} {} does not exist on the host", shown(name))));
        }
    }
    None
}

/// Containers that do not start, and builds.
fn containers(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    let service = |container: &str| vocabulary.service_of(container);
    let who = |service: Option<&str>| {
        service.map_or_else(|| "a service".to_owned(), |name| format!("service `{name}`"))
    };
    if line.contains("is already in use by container") {
        let name = between(line, "container name \"", "\"").map(|name| name.trim_start_matches('/'));
        let service = name.and_then(service);
        let shown = name.map_or_else(String::new, |name| {
            if vocabulary.knows(name) { format!(" `{name}`") } else { String::new() }
        });
        let problem = Problem::new(format!("another container has the name{shown} of {}", who(service)));
        let help =
            "`docker ps -a` on the host shows it; remove or rename it, or choose another `container_name`";
        return Some(problem.help(help).at(vocabulary, service));
    }
    if line.contains("cannot join") && line.contains(" of a ") {
        let service = between(line, "for container ", ":").and_then(service);
        return Some(
            Problem::new("a service uses the namespace of a container that does not run")
                .at(vocabulary, service),
        );
    }
    if line.contains("is restarting, wait until the container is running") {
        return Some(Problem::new("a container that is needed exits again and again"));
    }
    if let Some((_, name)) = line.split_once("can't set container_name and ") {
        let service = name.split(' ').next().and_then(|name| vocabulary.service(name));
        let message = format!("{} has a `container_name`, so it can have only one container", who(service));
        let help = "remove `container_name`, or `scale` and `deploy.replicas`";
        return Some(Problem::new(message).help(help).at(vocabulary, service));
    }
    let status =
        |mark: &str| line.split_once(mark).and_then(|(_, rest)| number(rest)).filter(|status| *status <= 255);
    if let Some(name) = between(line, "ervice \"", "\" didn't complete successfully") {
        let service = vocabulary.service(name);
        let exit = status("exit ").map(|status| format!(" with status {status}")).unwrap_or_default();
        return Some(
            Problem::new(format!("{} has not completed: it exited{exit}", who(service)))
                .at(vocabulary, service),
        );
    }
    if let Some(rest) = line.split_once("dependency failed to start: ").map(|(_, rest)| rest) {
        let service = between(rest, "container ", " ").and_then(service);
        let why = match (rest.contains("unhealthy"), status("exited (")) {
            (true, _) => " is unhealthy".to_owned(),
            (false, Some(status)) => format!(" exited with status {status}"),
            (false, None) => " has not started".to_owned(),
        };
        let message = format!("a dependency failed: {}{why}", who(service));
        return Some(Problem::new(message).at(vocabulary, service));
    }
    if let Some(name) = between(line, "ervice \"", "\" is not running") {
        return Some(Problem::new(format!("{} is not running", who(vocabulary.service(name)))));
    }
    if let Some(command) = between(line, "exec: \"", "\"") {
        let command = vocabulary.show(command, "the command");
        let known = [
            (
                &["executable file not found", "no such file or directory"][..],
                "is not in the image",
                "check `command` and `entrypoint`, and the interpreter in the first line of a script",
            ),
            (&["permission denied"], "is not executable", "run `chmod +x` on it and commit that"),
            (
                &["exec format error"],
                "is for another platform, or is a script without `#!`",
                "use an image for the host's platform",
            ),
        ];
        let known = known.iter().find(|(marks, ..)| marks.iter().any(|mark| line.contains(mark)));
        if let Some((_, why, help)) = known {
            return Some(Problem::new(format!("{command} of a container {why}")).help(*help));
        }
    }
    if line.contains("failed to solve") || line.contains("did not complete successfully") {
        let step = between(line, "process \"", "\" did not");
        let step = step.map(|step| step.strip_prefix("/bin/sh -c ").unwrap_or(step));
        let step = step.filter(|step| vocabulary.knows(step)).map(|step| format!(" `{step}`"));
        let exit =
            status("exit code: ").map(|status| format!(" with exit code {status}")).unwrap_or_default();
        let message = match (line.contains("did not complete"), line.contains("not found")) {
            (true, _) => format!("a step of a Dockerfile{} failed{exit}", step.unwrap_or_default()),
            (false, true) => "a file or image that a Dockerfile names is not there".to_owned(),
            (false, false) => "an image cannot be built".to_owned(),
        };
        return Some(Problem::new(message));
    }
    None
}

/// A container that the kernel or the runtime refuses for a reason that is not known.
fn not_started(line: &str) -> Option<Problem> {
    (line.contains("OCI runtime") || line.contains("unable to start container process"))
        .then(|| Problem::new("a container could not be started"))
}

/// Images that are missing or cannot be pulled.
fn images(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Problem> {
    let name = [
        "No such image: ",
        "no such image: ",
        "access denied for ",
        "manifest for ",
        "failed to resolve reference \"",
    ]
    .iter()
    .find_map(|mark| after(line, mark));
    let marks = [
        "invalid reference format",
        "manifest unknown",
        "toomanyrequests",
        "no matching manifest",
        "no basic auth credentials",
        "unauthorized: ",
        "x509: ",
        "Get \"http",
        "Head \"http",
    ];
    if name.is_none() && !marks.iter().any(|mark| line.contains(mark)) {
        return None;
    }
    let shown = name.map_or_else(
        || "an image".to_owned(),
        |name| match vocabulary.knows(name) {
            true => format!("image {name}"),
            false => "an image".to_owned(),
        },
    );
    if line.contains("o such image") && !line.contains("invalid reference format") {
        return Some(Problem::new(format!("{shown} is not on the host")));
    }
    let problem = explain_pull(&[line.to_owned()]);
    let words = Problem::new(format!("{shown} cannot be pulled: {}", problem.why));
    Some(Problem { help: problem.help.map(str::to_owned), ..words })
}
