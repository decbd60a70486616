//! Networks and volumes on the host, compared with their definitions before anything changes.
//!
//! Docker changes neither a network nor a volume, and Compose leaves one that exists as it is, without a word. A
//! deploy that asks for another one would be told as done, and the host would keep the old one for ever.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::failure::Failure;
use super::run::ProjectRun;
use crate::base::diagnostic::Diagnostic;
use crate::compose::model::Resource;
use crate::host::{Command, ComposeFolder};
use crate::state::wanted::WantedProject;

/// The form of [`FoundResource`], as `docker volume inspect` fills it in.
const VOLUME_FORMAT: &str = r#"{"name":{{json .Name}},"driver":{{json .Driver}},"options":{{json .Options}},"labels":{{json .Labels}}}"#;

/// The same for `docker network inspect`.
const NETWORK_FORMAT: &str = r#"{"name":{{json .Name}},"driver":{{json .Driver}},"options":{{json .Options}},"labels":{{json .Labels}},"internal":{{json .Internal}},"attachable":{{json .Attachable}},"enable_ipv6":{{json .EnableIPv6}},"pools":{{json .IPAM.Config}}}"#;

/// Network or volume that exists.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FoundResource {
    name: String,
    driver: String,
    options: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    internal: bool,
    attachable: bool,
    enable_ipv6: bool,
    pools: Option<Vec<Pool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pool {
    #[serde(rename = "Subnet")]
    subnet: String,
}

impl ProjectRun<'_> {
    /// Checks that external networks and volumes exist, and that the others are as their definitions want them.
    pub(super) async fn check_resources(&self, wanted: &WantedProject) -> Result<(), Failure> {
        let mut problems = Vec::new();
        for (kind, format) in [("network", NETWORK_FORMAT), ("volume", VOLUME_FORMAT)] {
            let asked: Vec<&Resource> = known_resources(wanted, kind).collect();
            if asked.is_empty() {
                continue;
            }
            // In one call for all projects.
            let all = self.host.task.work.projects.iter().filter_map(|work| work.wanted.as_deref());
            let names = all.flat_map(|wanted| known_resources(wanted, kind)).map(|one| one.name.as_str());
            let reply = self.host.docker.resources(kind, format, names.collect()).await?;
            let found: Vec<FoundResource> =
                reply.output.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
            let is_answer = reply.is_ok()
                || reply.output.iter().any(|line| {
                    let line = line.to_lowercase();
                    line.contains("no such") || line.contains("not found")
                });
            for one in asked {
                match found.iter().find(|found| found.name == one.name) {
                    Some(found) if !one.is_external => {
                        let differing = differing(one, found);
                        if !differing.is_empty() {
                            problems.push(self.is_other(one, &differing));
                        }
                    }
                    Some(_) => {}
                    None if one.is_external && !reply.is_ok() && is_answer && !self.is_made_before(one) => {
                        problems.push(is_missing(one));
                    }
                    None => {}
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
    }

    /// Checks that external networks and volumes exist whose names a variable of the host decides. The host
    /// looks the names up and keeps them. `folder` has the definition.
    pub(super) async fn check_host_names(
        &self,
        wanted: &WantedProject,
        folder: &ComposeFolder,
    ) -> Result<(), Failure> {
        let all = wanted.model.resources.iter();
        let asked: Vec<&Resource> = all.filter(|one| one.is_external && one.is_named_by_host).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let dir = self.work.state.dir.to_string();
        let asks = asked.iter().map(|one| format!("{}/{}", one.kind, one.key)).collect();
        let made = self.made_before().map(|(kind, name)| format!("{kind}/{name}")).collect();
        let command = Command::Externals { dir, folder: folder.clone(), asked: asks, made };
        let reply = self.host.task.driver.call(&command).await?;
        let is_missing =
            |one: &&Resource| reply.is_ok() && reply.output.contains(&format!("{}/{}", one.kind, one.key));
        let missing = asked.into_iter().filter(is_missing);
        let env = format!("{}/{}/.env", self.host.task.root, self.work.state.dir);
        let problems: Vec<Diagnostic> = missing.map(|one| is_missing_by_host(one, &env)).collect();
        if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
    }

    /// Whether another project of this run makes it; such a project goes first.
    fn is_made_before(&self, one: &Resource) -> bool {
        self.made_before().any(|(kind, name)| kind == one.kind && name == one.name)
    }

    /// The networks and volumes that other projects of this run make, or that are made before them, each with its kind.
    fn made_before(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let others = self.host.task.work.projects.iter().filter(|work| work.name() != self.work.name());
        let planned = self.host.task.work.networks.iter().map(|network| ("network", network.name.as_str()));
        let made = others.filter_map(|work| work.wanted.as_deref()).flat_map(|other| {
            let networks = other.model.owned_networks.iter().map(|name| ("network", name.as_str()));
            let own = other.model.resources.iter().filter(|own| !own.is_external);
            networks.chain(own.map(|own| (own.kind, own.name.as_str())))
        });
        planned.chain(made)
    }

    fn is_other(&self, one: &Resource, differing: &[String]) -> Diagnostic {
        let Resource { kind, key, at, .. } = one;
        let (name, meaning) = shown_name(one);
        let folder = format!("{}/{}", self.host.task.root, self.work.state.dir);
        let verb = if differing.len() == 1 { "differs" } else { "differ" };
        let message = format!(
            "{kind} `{key}` exists on the host with another configuration, and Docker cannot change it: {} {verb}",
            differing.join(", ")
        );
        let help = if *kind == "network" {
            format!(
                "make way for the new one, on the host: cd {folder} && docker compose down, which removes the network if no other project uses it (docker network inspect {name} lists who does); then sync again{meaning}"
            )
        } else {
            format!(
                "its data is in the old volume. Keep that definition, or give the new one another `name:` and copy the \
                 data over; or, if the data may go, on the host: cd {folder} && docker compose down && docker volume rm {name}{meaning}"
            )
        };
        Diagnostic::error(message, at.clone()).help(help)
    }
}

/// The networks or volumes of a project whose names are known here. What another name means is known on the host only:
/// see [`ProjectRun::check_host_names`].
fn known_resources<'w>(wanted: &'w WantedProject, kind: &'static str) -> impl Iterator<Item = &'w Resource> {
    let is_known = |one: &&Resource| !(one.name.contains("${") || one.is_external && one.is_named_by_host);
    wanted.model.resources.iter().filter(move |one| one.kind == kind).filter(is_known)
}

fn is_missing(one: &Resource) -> Diagnostic {
    let Resource { kind, key, at, .. } = one;
    let (name, meaning) = shown_name(one);
    let message = format!("the external {kind} `{key}` does not exist on the host");
    let help = format!("create it on the host: docker {kind} create {name}{meaning}");
    Diagnostic::error(message, at.clone()).help(help + instead(kind))
}

/// The name as it may be shown within a command, and what it stands for if a variable is in it: the value may be
/// secret, also in the repository's own `.env`.
fn shown_name(one: &Resource) -> (&str, String) {
    match &one.name_written {
        Some(written) if written.contains('$') => {
            ("NAME", format!(", where NAME is `{written}` with the values of its variables"))
        }
        _ => (&one.name, String::new()),
    }
}

/// The problem of an external one whose name is a value of the host, which is not shown.
fn is_missing_by_host(one: &Resource, env: &str) -> Diagnostic {
    let Resource { kind, key, name_written, at, .. } = one;
    let written = name_written.as_deref().unwrap_or(key);
    let message = format!("the external {kind} `{key}` does not exist on the host");
    let help = format!(
        "create it on the host: docker {kind} create NAME, where NAME is `{written}` with the values in {env}"
    );
    Diagnostic::error(message, at.clone()).help(help + instead(kind))
}

/// What else can be done, or why ghdeploy does not.
fn instead(kind: &str) -> &'static str {
    match kind {
        "network" => "; or list its name under `networks` in ghdeploy.yml, and ghdeploy makes it",
        _ => ". ghdeploy makes no external volume: an empty one must not pass for its data",
    }
}

/// The settings by which what exists differs from its definition. Their values may be secret.
fn differing(one: &Resource, found: &FoundResource) -> Vec<String> {
    let none = BTreeMap::new();
    let options = found.options.as_ref().unwrap_or(&none);
    let labels = found.labels.as_ref().unwrap_or(&none);
    let mut differing: Vec<String> = Vec::new();
    let is = |key: &str, value: &str| match key.split_once('.') {
        Some(("driver_opts", option)) => options.get(option).is_some_and(|there| there == value),
        Some(("labels", label)) => labels.get(label).is_some_and(|there| there == value),
        _ => match key {
            "driver" => found.driver == value,
            "internal" => found.internal.to_string() == value,
            "attachable" => found.attachable.to_string() == value,
            "enable_ipv6" => found.enable_ipv6.to_string() == value,
            "subnet" => found.pools.iter().flatten().any(|pool| pool.subnet == value),
            _ => true,
        },
    };
    for (key, value) in &one.settings {
        if value.as_deref().is_some_and(|value| !is(key, value)) && !differing.contains(key) {
            differing.push(key.clone());
        }
    }
    let sets = |key: &str| one.settings.iter().any(|(own, _)| own == key);
    if one.kind == "volume" {
        if !sets("driver") && found.driver != "local" {
            differing.push("driver".to_owned());
        }
        let gone = options.keys().map(|option| format!("driver_opts.{option}"));
        differing.extend(gone.filter(|option| !sets(option)));
    } else {
        // Docker adds options and subnets of its own.
        for (key, is_set) in [("internal", found.internal), ("attachable", found.attachable)] {
            if is_set && !sets(key) {
                differing.push(key.to_owned());
            }
        }
    }
    differing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(kind: &'static str, settings: &[(&str, Option<&str>)]) -> Resource {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)));
        let (key, name) = ("data".to_owned(), "blog_data".to_owned());
        let settings = settings.collect();
        let (is_named_by_host, name_written, is_external) = (false, None, false);
        Resource { kind, key, name, is_named_by_host, name_written, is_external, settings, at: None }
    }

    fn found(json: &str) -> FoundResource {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_differs_of_a_volume_is_named_by_its_keys() {
        let local = r#"{"name":"blog_data","driver":"local","options":{"type":"nfs","o":"addr=10.0.0.1"},"labels":{"com.docker.compose.project":"blog"}}"#;
        for (settings, wanted) in [
            (&[("driver_opts.type", Some("nfs")), ("driver_opts.o", Some("addr=10.0.0.1"))][..], &[][..]),
            (
                &[("driver_opts.type", Some("nfs")), ("driver_opts.o", Some("addr=10.0.0.2"))],
                &["driver_opts.o"],
            ),
            (&[("driver_opts.type", Some("nfs")), ("driver_opts.o", None)], &[]),
            (&[("driver_opts.type", Some("nfs"))], &["driver_opts.o"]),
            (
                &[("driver_opts.type", Some("nfs")), ("driver_opts.o", None), ("driver", Some("x"))],
                &["driver"],
            ),
            (
                &[("driver_opts.type", Some("nfs")), ("driver_opts.o", None), ("labels.backup", Some("yes"))],
                &["labels.backup"],
            ),
        ] {
            assert_eq!(differing(&resource("volume", settings), &found(local)), wanted, "{settings:?}");
        }
        assert_eq!(
            differing(&resource("volume", &[]), &found(r#"{"driver":"local","options":null}"#)),
            [""; 0]
        );
    }

    #[test]
    fn what_differs_of_a_network_is_named_by_its_keys() {
        let bridge = r#"{"name":"n","driver":"bridge","options":{"com.docker.network.enable_ipv4":"true"},"labels":{},"internal":true,"pools":[{"Subnet":"10.1.0.0/24","Gateway":"10.1.0.1"}]}"#;
        for (settings, wanted) in [
            (&[("subnet", Some("10.1.0.0/24")), ("internal", Some("true"))][..], &[][..]),
            (&[("subnet", Some("10.2.0.0/24"))], &["subnet", "internal"]),
            (&[("driver", Some("macvlan")), ("internal", None)], &["driver"]),
            (&[("enable_ipv6", Some("true")), ("internal", None)], &["enable_ipv6"]),
        ] {
            assert_eq!(differing(&resource("network", settings), &found(bridge)), wanted, "{settings:?}");
        }
    }
}
