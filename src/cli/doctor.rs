//! `doctor`: checks the connection to the hosts, their tools and permissions, and says how to fix what is
//! wrong.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::context::Context;
use crate::base::error::{Error, Exit, Result};
use crate::config::address::HostAddress;
use crate::deploy::Target;
use crate::host::facts::{facts, open};
use crate::host::{Command, Driver, Transport, chatter_in_words};
use crate::outcome::queries::{Checkup, CheckupResult, CheckupStep, HostCheckup};
use crate::report::render;
use crate::state::compose_version::{PACKAGES, too_old};

/// The check of Compose.
const COMPOSE: &str = "docker compose";

pub(super) async fn run(context: &Context) -> Result<Exit> {
    let targets = context.targets()?;
    let hosts = join_all(targets.iter().map(|target| async {
        let transport = context.transport(target);
        let mut steps = Vec::new();
        look(target, &*transport, &mut steps).await;
        transport.close().await;
        HostCheckup { name: target.name.clone(), steps }
    }));
    let checkup = Checkup { hosts: hosts.await };
    context.print(|out| render(&checkup, context.format, out, context.style))?;
    Ok(if checkup.is_ok() { Exit::Done } else { Exit::Unreachable })
}

fn step(what: &str, result: CheckupResult, detail: impl Into<String>, help: Option<String>) -> CheckupStep {
    CheckupStep { what: what.to_owned(), result, detail: detail.into(), help }
}

fn failed(what: &str, error: Error) -> CheckupStep {
    let help = error.diagnostics.last().and_then(|diagnostic| diagnostic.help.clone());
    step(what, CheckupResult::Failed, error.to_string(), help)
}

async fn look(target: &Target, transport: &dyn Transport, steps: &mut Vec<CheckupStep>) {
    let way = match &target.address {
        HostAddress::Local { .. } => "this machine".to_owned(),
        HostAddress::Ssh { destination, .. } => format!("ssh to {destination}"),
    };
    let driver = match Driver::start(transport).await {
        Ok(driver) => driver,
        Err(error) => return steps.push(failed(&way, error)),
    };
    // A host without `sh`, or with a login shell that prints something, fails here.
    if let Err(error) =
        open(&driver, &Command::OpenToRead { root: target.root.clone() }, &target.root, |_| {}).await
    {
        return steps.push(failed(&way, error));
    }
    let connected = match &target.address {
        HostAddress::Local { .. } => "nothing to connect to",
        HostAddress::Ssh { .. } => "connected, the host key is known",
    };
    steps.push(step(&way, CheckupResult::Ok, connected, None));
    if driver.chatter() > 0 {
        steps.push(step("login files", CheckupResult::Warning, chatter_in_words(driver.chatter()), None));
    }
    steps.push(step(
        "tools",
        CheckupResult::Ok,
        "sh, tar, gzip, sha256sum, flock, stat, find, awk, sed, xargs, dd, od",
        None,
    ));
    steps.push(root(&driver, &target.root).await);
    if let Ok(deployed) = facts(&driver, &BTreeMap::new()).await
        && let Some(repository) = deployed.state.repository.shown()
    {
        steps.push(step("repository", CheckupResult::Ok, format!("deployed from {repository}"), None));
    }
    for (what, argv, help) in [
        (
            "docker engine",
            &["version", "--format", "{{.Server.Version}}"][..],
            "start it (systemctl start docker), and let the user of the connection use it (usermod -aG docker <user>)",
        ),
        (COMPOSE, &["compose", "version", "--short"][..], PACKAGES),
    ] {
        let reply = driver.call(&Command::Docker(argv.iter().map(ToString::to_string).collect())).await;
        steps.push(match reply {
            Ok(reply) if reply.is_ok() => {
                let version = reply.output.join(" ");
                match too_old(&version).filter(|_| what == COMPOSE) {
                    Some(why) => step(what, CheckupResult::Failed, why, Some(help.to_owned())),
                    None => step(what, CheckupResult::Ok, version, None),
                }
            }
            Ok(reply) => step(
                what,
                CheckupResult::Failed,
                reply.output.last().cloned().unwrap_or_default(),
                Some(help.to_owned()),
            ),
            Err(error) => failed(what, error),
        });
    }
    driver.end().await;
}

/// Whether the user may write below the root, without writing anything.
async fn root(driver: &Driver, root: &str) -> CheckupStep {
    match driver.call(&Command::Writable { root: root.to_owned() }).await {
        Ok(reply) if reply.is_ok() => step("root", CheckupResult::Ok, reply.output.join("; "), None),
        Ok(reply) => step(
            "root",
            CheckupResult::Failed,
            reply.output.join("; "),
            Some(format!("on the host, as root: install -d -o <user> {root}")),
        ),
        Err(error) => failed("root", error),
    }
}
