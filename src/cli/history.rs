//! `history`: the releases of the hosts, and which of them can be gone back to.

use futures_util::future::join_all;

use super::Context;
use super::hosts::Target;
use crate::base::error::{Exit, Result};
use crate::host::facts::open;
use crate::host::releases::releases;
use crate::host::{Command, Driver, Transport};
use crate::outcome::answers::{History, HostHistory, PastRelease};
use crate::outcome::history::Release;
use crate::report::render_history;

pub(super) async fn run(context: &Context) -> Result<Exit> {
    let targets = context.targets()?;
    let hosts = join_all(targets.iter().map(|target| async {
        let transport = target.transport(context);
        let found = host(target, &*transport).await;
        transport.close().await;
        let (releases, problems) = match found {
            Ok(releases) => (releases, Vec::new()),
            Err(error) => (Vec::new(), error.diagnostics),
        };
        HostHistory { name: target.name.clone(), releases, problems }
    }));
    let history = History { hosts: hosts.await };
    context.print(|out| render_history(context.format, out, &history, context.style))?;
    Ok(if history.hosts.iter().all(|host| host.problems.is_empty()) { Exit::Done } else { Exit::Unreachable })
}

async fn host(target: &Target, transport: &dyn Transport) -> Result<Vec<PastRelease>> {
    let driver = Driver::start(transport).await?;
    open(&driver, &Command::OpenToRead { root: target.root.clone() }, &target.root, |_| {}).await?;
    let found = releases(&driver).await?;
    driver.end().await;
    let mut releases: Vec<PastRelease> = found
        .lines
        .iter()
        .filter_map(|line| Release::from_line(line))
        .map(|release| PastRelease { is_kept: found.kept.contains(&release.release), release })
        .collect();
    releases.reverse();
    Ok(releases)
}
