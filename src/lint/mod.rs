//! What is valid and still goes wrong: found by looking at the projects of a host side by side, and into
//! their files.
//!
//! Owns the advice of `check` that neither the reader nor the plan needs. Pure; prints no content.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::path::{RootPath, looks_like_a_file};
use crate::compose::model::{Hook, How, Port, Project, Service};
use crate::compose::{Files, NodeKind};
use crate::state::wanted::WantedProject;

/// The largest file that is searched for secrets, in bytes: keys and configuration are small.
const MAX_SEARCHED_BYTES: u64 = 1 << 20;

/// Looks at all projects of one host. Where it `is_named` in the configuration they all run there;
/// otherwise projects that ask for different hosts may not, and what both claim is only a warning.
#[must_use]
pub fn lint(projects: &[Arc<WantedProject>], files: &dyn Files, is_named: bool) -> Vec<Diagnostic> {
    let mut found = collisions(projects, is_named);
    for project in projects {
        found.extend(idle_hooks(&project.model));
        for (name, service) in &project.model.services {
            found.extend(image(name, service));
            found.extend(missing(name, service, files));
        }
        for (path, entry) in project.manifest.0.iter().filter(|(_, entry)| entry.size <= MAX_SEARCHED_BYTES) {
            if entry.size > 0
                && let Ok(Some(content)) = files.read(path)
            {
                found.extend(secrets(&files.shown(path), &content));
            }
        }
    }
    found
}

/// A service with the project that it belongs to.
type Named<'p> = (&'p Arc<WantedProject>, &'p str, &'p Service);

/// Names of containers and ports of the host that two services claim.
fn collisions(projects: &[Arc<WantedProject>], is_named: bool) -> Vec<Diagnostic> {
    let diagnostic = |message: String, at: &Location, this: &Named<'_>, other: &Named<'_>| {
        let at = Some(at.clone());
        let same_hosts = this.0.model.settings.hosts == other.0.model.settings.hosts;
        if is_named || same_hosts { Diagnostic::error(message, at) } else { Diagnostic::warning(message, at) }
    };
    let mut found = Vec::new();
    let mut names: BTreeMap<&str, Named<'_>> = BTreeMap::new();
    let mut ports: BTreeMap<u16, Vec<(Named<'_>, &Port)>> = BTreeMap::new();
    let services = projects.iter().flat_map(|project| {
        project.model.services.iter().map(move |(name, service)| (project, &**name, service))
    });
    for this in services.filter(|(_, _, service)| service.active) {
        if let Some((name, at)) = &this.2.container_name
            && let Some(other) = names.insert(name, this)
        {
            let message =
                format!("{} has the container name `{name}` that {} has", shown(&this), shown(&other));
            found.push(
                diagnostic(message, at, &this, &other)
                    .help("Docker starts only one of them: give it another, or leave it to Compose"),
            );
        }
        // A range may be had if any port of it is free.
        for port in this.2.ports.iter().filter(|port| port.first == port.last) {
            let others = ports.entry(port.first).or_default();
            if let Some((other, _)) = others.iter().find(|(_, there)| overlap(port, there)) {
                let message = format!(
                    "{} publishes port {}/{} that {} publishes",
                    shown(&this),
                    port.first,
                    port.protocol,
                    shown(other)
                );
                found.push(
                    diagnostic(message, &port.at, &this, other)
                        .help("only one of them can have it: publish another port, or on another address"),
                );
            }
            others.push((this, port));
        }
    }
    found
}

fn shown((project, name, _): &Named<'_>) -> String {
    format!("service `{name}` of `{}`", project.name)
}

/// Whether two services cannot have the same number of these at once.
fn overlap(a: &Port, b: &Port) -> bool {
    let is_any =
        |address: &str| address.parse::<IpAddr>().map_or(address.is_empty(), |ip| ip.is_unspecified());
    let same_address = a.host_ip == b.host_ip || is_any(&a.host_ip) || is_any(&b.host_ip);
    same_address && a.protocol == b.protocol
}

/// Hooks of services that nothing starts.
fn idle_hooks(project: &Project) -> impl Iterator<Item = Diagnostic> {
    let is_idle = |hook: &&Hook| project.services.get(&hook.service).is_some_and(|service| !service.active);
    project.settings.hooks.iter().filter(is_idle).map(|hook| {
        let message = format!("{} never runs: no profile starts service `{}`", hook.name(), hook.service);
        Diagnostic::warning(message, Some(hook.at.clone())).help(
            "a hook runs when its service is started anew: name one that is, or say COMPOSE_PROFILES in the project's .env",
        )
    })
}

/// An image that is another one tomorrow.
fn image(name: &str, service: &Service) -> Option<Diagnostic> {
    let (image, at) = (service.image.as_deref()?, service.image_at.clone());
    if service.build.is_some() || image.contains(['$', '@']) || image.is_empty() {
        return None;
    }
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let what = match tag {
        None => "has no tag: it is `latest`",
        Some("latest") => "has the tag `latest`",
        Some(_) => return None,
    };
    Some(
        Diagnostic::warning(format!("the image of service `{name}` {what}"), at)
            .help("what runs depends on the day of the pull, and a rollback cannot name the one before: give it a version"),
    )
}

/// Files that neither the tree has nor, as far as one can tell, is the host meant to have.
fn missing<'s>(
    name: &'s str,
    service: &'s Service,
    files: &'s dyn Files,
) -> impl Iterator<Item = Diagnostic> + 's {
    let reads = service.reads.iter().filter(|read| read.kind.is_none() && read.required);
    reads.filter_map(move |read| {
        let what = match read.how {
            How::EnvFile => "takes its variables from",
            How::LabelFile => "takes its labels from",
            How::Config => "reads",
            How::Bind if looks_like_a_file(read.path.as_str()) => "mounts",
            // A secret is where it should be.
            How::Secret | How::Bind | How::Build => return None,
        };
        let example = RootPath::new(&format!("{}.example", read.path)).ok()?;
        if files.kind(&example) == Some(NodeKind::File) {
            return None;
        }
        let message =
            format!("service `{name}` {what} {}, which is not in the repository", files.shown(&read.path));
        Some(
            Diagnostic::warning(message, Some(read.at.clone()))
                .help("the host must have it; if that is so, say it by an .example file beside it"),
        )
    })
}

/// Lines of a file that look like a secret. What they hold is not told.
fn secrets(path: &str, content: &[u8]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (number, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let (what, column) = if let Some(column) = private_key(line) {
            ("a private key", column)
        } else if let Some(column) = aws_key(line).or_else(|| aws_secret(line)) {
            ("a key of AWS", column)
        } else {
            continue;
        };
        let at = Location { path: path.to_owned(), line: number + 1, column: column + 1 };
        found.push(Diagnostic::warning(format!("{what} lies in plain sight"), Some(at)).help(
            "whoever reads the repository has it: take it out of the history, make a new one, and keep that on the host",
        ));
    }
    found
}

/// Where `-----BEGIN … PRIVATE KEY-----` begins.
fn private_key(line: &[u8]) -> Option<usize> {
    let begin = find(line, b"-----BEGIN ")?;
    find(&line[begin..], b"PRIVATE KEY-----").map(|_| begin)
}

/// Where an access key id begins: `AKIA` or `ASIA` and sixteen more, in a word of its own.
fn aws_key(line: &[u8]) -> Option<usize> {
    const LENGTH: usize = 20;
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric();
    (0..=line.len().checked_sub(LENGTH)?).find(|&at| {
        let key = &line[at..at + LENGTH];
        (key.starts_with(b"AKIA") || key.starts_with(b"ASIA"))
            && key.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            && !(at > 0 && is_word(&line[at - 1]))
            && !line.get(at + LENGTH).is_some_and(is_word)
    })
}

/// Where a secret access key begins: forty characters of base64 after a name that says what they are.
fn aws_secret(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"secret_access_key";
    const LENGTH: usize = 40;
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+');
    let name = find(&line.to_ascii_lowercase(), NAME)? + NAME.len();
    let begin = name + line[name..].iter().position(is_base64)?;
    let is_between = |byte: &u8| matches!(byte, b' ' | b'\t' | b'=' | b':' | b'"' | b'\'');
    let length = line[begin..].iter().take_while(|byte| is_base64(byte)).count();
    (line[name..begin].iter().all(is_between) && length == LENGTH).then_some(begin)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_their_form_and_not_told() {
        let content = b"key: AKIAIOSFODNN7EXAMPLE\nx\n  -----BEGIN OPENSSH PRIVATE KEY-----\n-----BEGIN PUBLIC KEY-----\nXAKIAIOSFODNN7EXAMPLE AKIAIOSFODNN7EXAMPLEs AKIAshort";
        let found: Vec<String> = secrets("services/a/x", content)
            .iter()
            .map(|found| format!("{}: {}", found.at.as_ref().unwrap(), found.message))
            .collect();
        assert_eq!(
            found,
            [
                "services/a/x:1:6: a key of AWS lies in plain sight",
                "services/a/x:3:3: a private key lies in plain sight",
            ]
        );
        let keys = b"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\naws_secret_access_key: '${SECRET}'\n";
        assert_eq!(secrets("x", keys).len(), 1);
        assert!(secrets("x", b"").is_empty() && secrets("x", b"short").is_empty());
    }

    #[test]
    fn a_port_is_one_address_and_one_protocol() {
        let port = |host_ip: &str, protocol: &str| Port {
            host_ip: host_ip.to_owned(),
            first: 80,
            last: 80,
            protocol: protocol.to_owned(),
            at: Location { path: String::new(), line: 1, column: 1 },
        };
        let web = port("", "tcp");
        assert!(overlap(&web, &port("0.0.0.0", "tcp")) && overlap(&web, &port("::", "tcp")));
        assert!(overlap(&port("127.0.0.1", "tcp"), &web));
        assert!(!overlap(&port("127.0.0.1", "tcp"), &port("10.0.0.1", "tcp")));
        assert!(!overlap(&web, &port("", "udp")));
    }
}
