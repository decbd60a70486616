//! External networks that are made because the configuration names them.
//!
//! They are made after all checks and before the first file is swapped in. None is ever removed: another project, also
//! one that ghdeploy does not know, may use it by then.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::run::HostRun;
use super::words::{Failed, Vocabulary, explain};
use crate::config::Network;
use crate::outcome::ProjectOutcome;
use crate::plan::ProjectWork;

/// Label of a network that ghdeploy has made.
pub const MADE: &str = "io.github.ghdeploy.network=made";

impl HostRun<'_> {
    /// Makes the networks that the host lacks. A project that needs one which cannot be made is left alone and
    /// entered into `results`.
    pub(super) async fn make_networks(
        &self,
        able: &mut Vec<&ProjectWork>,
        results: &mut BTreeMap<String, ProjectOutcome>,
    ) {
        if self.task.settings.no_restart {
            return;
        }
        for network in &self.task.work.networks {
            if !able.iter().any(|work| needs(work, network)) {
                continue;
            }
            let Err(failure) = self.make_network(network).await else {
                if let Ok(mut made) = self.made_networks.lock() {
                    made.push(network.name.clone());
                }
                continue;
            };
            let (left, stays): (Vec<&ProjectWork>, Vec<&ProjectWork>) =
                able.drain(..).partition(|work| needs(work, network));
            *able = stays;
            for work in left {
                self.enter(results, work, failure.clone());
            }
        }
    }

    async fn make_network(&self, network: &Network) -> Result<(), Failure> {
        let argv = argv(network);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let reply = self.docker.run(&argv).await?;
        // Somebody else may have been quicker.
        if reply.is_ok() || reply.output.iter().any(|line| line.contains("already exists")) {
            return Ok(());
        }
        let see = format!("all of it is at the end of {}/.ghdeploy/failed.log on the host", self.task.root);
        let what = format!("docker network create {}", network.name);
        let failed = Failed { what: &what, see: Some(&see), version: None };
        Err(Failure::new(explain(failed, &reply.output, &Vocabulary::default())))
    }
}

/// Whether a project has something to do for which it needs the network.
fn needs(work: &ProjectWork, network: &Network) -> bool {
    let resources = work.wanted.iter().flat_map(|wanted| &wanted.model.resources);
    let mut external = resources.filter(|one| one.kind == "network" && one.is_external);
    external.any(|one| one.is_named_by_host || one.name == network.name)
}

/// The arguments of `docker` that make a network.
fn argv(network: &Network) -> Vec<String> {
    let Network { name, driver, driver_opts, labels, subnet, internal, attachable, enable_ipv6 } = network;
    let mut argv: Vec<String> = ["network", "create", "--label", MADE].map(str::to_owned).to_vec();
    let pair = |(key, value): &(String, String)| format!("{key}={value}");
    let options = [("--driver", driver.clone()), ("--subnet", subnet.clone())];
    let options = options.into_iter().filter_map(|(option, value)| Some((option, value?)));
    let options = options.chain(driver_opts.iter().map(|one| ("--opt", pair(one))));
    for (option, value) in options.chain(labels.iter().map(|one| ("--label", pair(one)))) {
        argv.extend([option.to_owned(), value]);
    }
    for (option, is_set) in [("--internal", internal), ("--attachable", attachable), ("--ipv6", enable_ipv6)]
    {
        argv.extend(is_set.then(|| option.to_owned()));
    }
    argv.push(name.clone());
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_made_with_its_settings_and_marked() {
        let plain = Network { name: "proxy".to_owned(), ..Network::default() };
        assert_eq!(argv(&plain).join(" "), "network create --label io.github.ghdeploy.network=made proxy");
        let pair = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        let full = Network {
            name: "back".to_owned(),
            driver: Some("bridge".to_owned()),
            driver_opts: pair("com.docker.network.driver.mtu", "1450"),
            labels: pair("team", "ops"),
            subnet: Some("10.9.0.0/24".to_owned()),
            internal: true,
            attachable: true,
            enable_ipv6: true,
        };
        assert_eq!(
            argv(&full)[4..].join(" "),
            "--driver bridge --subnet 10.9.0.0/24 --opt com.docker.network.driver.mtu=1450 --label team=ops --internal --attachable --ipv6 back"
        );
    }
}
