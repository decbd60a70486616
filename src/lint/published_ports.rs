//! Finds two services that publish the same port of the host. Docker starts only the first of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{HostProjects, HostService};
use crate::base::diagnostic::Diagnostic;
use crate::compose::model::Port;

pub(super) fn check(host: &HostProjects<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut published: BTreeMap<u16, Vec<(HostService<'_>, &Port)>> = BTreeMap::new();
    for this in host.services().filter(|this| this.service.active) {
        // Of a range, Docker takes any port that is free.
        for port in this.service.ports.iter().filter(|port| port.first == port.last) {
            let others = published.entry(port.first).or_default();
            if let Some((other, _)) = others.iter().find(|(_, there)| overlap(port, there)) {
                let (this_shown, other_shown) = (this.shown(), other.shown());
                let message = format!(
                    "{this_shown} publishes port {}/{}, which {other_shown} publishes too",
                    port.first, port.protocol
                );
                found.push(
                    host.conflict(message, &port.at, &this, other)
                        .help("change one of the ports, or publish them on different addresses"),
                );
            }
            others.push((this, port));
        }
    }
    found
}

/// Whether two ports of the same number exclude each other.
fn overlap(a: &Port, b: &Port) -> bool {
    let is_any =
        |address: &str| address.parse::<IpAddr>().map_or(address.is_empty(), |ip| ip.is_unspecified());
    let same_address = a.host_ip == b.host_ip || is_any(&a.host_ip) || is_any(&b.host_ip);
    same_address && a.protocol == b.protocol
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diagnostic::Location;

    #[test]
    fn ports_overlap_on_the_same_address_and_protocol() {
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
