//! Finds two services that publish the same port of the host. Docker starts only the first of them.
//!
//! A port on `0.0.0.0` and one on `[::]` are two ports. Without an address, Docker takes both.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{HostProjects, HostService};
use crate::base::diagnostic::Diagnostic;
use crate::compose::model::Port;

const HELP: &str = "change one of the ports, or publish them on different addresses";

pub(super) fn check(host: &HostProjects<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut published: BTreeMap<u16, Vec<(HostService<'_>, &Port)>> = BTreeMap::new();
    let active = || host.services().filter(|this| this.service.active);
    let ports = || active().flat_map(|this| this.service.ports.iter().map(move |port| (this, port)));
    for (this, port) in ports().filter(|(_, port)| port.first == port.last) {
        let others = published.entry(port.first).or_default();
        if let Some((other, _)) = others.iter().find(|(_, there)| overlap(port, there)) {
            let message = if this.is(other) {
                format!("{} publishes port {}/{} twice", this.shown(), port.first, port.protocol)
            } else {
                let (this_shown, other_shown) = (this.shown(), other.shown());
                let number = port.first;
                format!(
                    "{this_shown} publishes port {number}/{}, which {other_shown} publishes too",
                    port.protocol
                )
            };
            found.push(host.conflict(message, &port.at, &this, other).help(HELP));
        }
        others.push((this, port));
    }
    // Of a range, Docker takes any port that is free.
    for (this, port) in ports().filter(|(_, port)| port.first < port.last) {
        let taken = published.range(port.first..=port.last).filter_map(|(number, there)| {
            Some((number, there.iter().find(|(_, there)| overlap(port, there))?.0))
        });
        let taken: BTreeMap<&u16, HostService<'_>> = taken.collect();
        let Some((_, other)) = taken.first_key_value() else { continue };
        if taken.len() == usize::from(port.last - port.first) + 1 {
            let (first, last, protocol) = (port.first, port.last, &port.protocol);
            let who: BTreeSet<String> = taken.values().map(HostService::shown).collect();
            let message = format!(
                "{} publishes a port of {first}-{last}/{protocol}, and {} take all of them",
                this.shown(),
                who.into_iter().collect::<Vec<_>>().join(", ")
            );
            found.push(host.conflict(message, &port.at, &this, other).help("publish a larger range"));
        }
    }
    found
}

/// Whether two ports of the same number exclude each other.
fn overlap(a: &Port, b: &Port) -> bool {
    let same_address = match (address(a), address(b)) {
        (Address::Any, _) | (_, Address::Any) => true,
        (Address::Ip(a), Address::Ip(b)) => {
            a.is_ipv4() == b.is_ipv4() && (a == b || a.is_unspecified() || b.is_unspecified())
        }
        (Address::Other(a), Address::Other(b)) => a == b,
        (Address::Ip(_), Address::Other(_)) | (Address::Other(_), Address::Ip(_)) => false,
    };
    same_address && a.protocol.eq_ignore_ascii_case(&b.protocol)
}

/// Address of a published port.
enum Address<'p> {
    /// None: all of both families.
    Any,
    Ip(IpAddr),
    /// Something that is no address, which Docker refuses.
    Other(&'p str),
}

fn address(port: &Port) -> Address<'_> {
    let text = port.host_ip.trim_start_matches('[').trim_end_matches(']');
    match text.parse() {
        Ok(ip) => Address::Ip(ip),
        Err(_) if text.is_empty() => Address::Any,
        Err(_) => Address::Other(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diagnostic::Location;

    #[test]
    fn ports_overlap_by_address_family_protocol_and_address() {
        let port = |host_ip: &str, protocol: &str| Port {
            host_ip: host_ip.to_owned(),
            first: 80,
            last: 80,
            protocol: protocol.to_owned(),
            at: Location { path: String::new(), line: 1, column: 1 },
        };
        let web = port("", "tcp");
        for other in ["", "0.0.0.0", "::", "[::]", "127.0.0.1", "::1"] {
            assert!(overlap(&web, &port(other, "tcp")) && overlap(&port(other, "TCP"), &web), "{other}");
        }
        for (one, other, excludes) in [
            ("0.0.0.0", "::", false),
            ("0.0.0.0", "127.0.0.1", true),
            ("0.0.0.0", "::1", false),
            ("::", "127.0.0.1", false),
            ("::", "::1", true),
            ("::1", "0:0:0:0:0:0:0:1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "10.0.0.1", false),
            ("10.0.0.1", "10.0.0.1", true),
        ] {
            let (one, other) = (port(one, "tcp"), port(other, "tcp"));
            assert_eq!(overlap(&one, &other), excludes, "{} {}", one.host_ip, other.host_ip);
            assert_eq!(overlap(&other, &one), excludes, "{} {}", one.host_ip, other.host_ip);
        }
        assert!(!overlap(&web, &port("", "udp")));
    }
}
