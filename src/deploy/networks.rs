//! External networks that a host lacks and that the configuration lets ghdeploy make.

use std::collections::BTreeSet;

use crate::base::error::Result;
use crate::compose::model::Resource;
use crate::config::Network;
use crate::host::{Command, Driver};
use crate::plan::{ActionKind, HostWork, ProjectWork};

/// Plans the networks among `known` that projects with something to do need and the host lacks.
///
/// # Errors
///
/// When the connection is lost.
pub(super) async fn plan_networks(driver: &Driver, known: &[Network], work: &mut HostWork) -> Result<()> {
    let mut needed = needed(known, work);
    if needed.is_empty() {
        return Ok(());
    }
    let argv = ["network", "inspect", "--format", "{{.Name}}"].into_iter();
    let argv = argv.chain(needed.iter().map(|network| network.name.as_str())).map(str::to_owned);
    let reply = driver.call(&Command::Docker(argv.collect())).await?;
    let is_missing = |line: &String| {
        let line = line.to_lowercase();
        line.contains("no such network") || line.contains("not found")
    };
    // A Docker that does not answer is reported by the checks.
    if reply.is_ok() || reply.output.iter().any(is_missing) {
        needed.retain(|network| !reply.output.contains(&network.name));
        work.networks = needed;
    }
    Ok(())
}

/// Those of the known networks that a project with something to do takes for external, and that no project makes by
/// itself. Where only the host knows the name of one, it may be any of them.
fn needed(known: &[Network], work: &HostWork) -> Vec<Network> {
    let models =
        || work.projects.iter().filter_map(|project| Some((project, &project.wanted.as_ref()?.model)));
    let own: BTreeSet<&String> = models().flat_map(|(_, model)| &model.owned_networks).collect();
    let acting = models().filter(|(project, _)| acts(project)).flat_map(|(_, model)| &model.resources);
    let external: Vec<&Resource> = acting.filter(|one| one.kind == "network" && one.is_external).collect();
    let is_needed = |network: &&Network| {
        let may_be = |one: &&Resource| one.is_named_by_host || one.name == network.name;
        !own.contains(&network.name) && external.iter().any(may_be)
    };
    known.iter().filter(is_needed).cloned().collect()
}

fn acts(work: &ProjectWork) -> bool {
    work.plan.problems.is_empty() && work.plan.actions.iter().any(|action| action.kind != ActionKind::None)
}
