//! How hosts, flows and filters are named in a report.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::who::Peer;
use crate::base::{Service, Span};
use crate::matrix::Role;
use crate::report::ip;
use crate::site::{HostId, Site};

/// A host for people: `tgt01 (10.77.1.20)`, or the bare address where it has no label of its own.
pub(super) fn host(site: &Site, id: HostId) -> String {
    let Some(h) = site.host(id) else { return "?".to_owned() };
    let addrs = h.addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if h.label == addrs { addrs } else { format!("{} ({addrs})", h.label) }
}

/// Several hosts, separated by ", ".
pub(super) fn hosts(site: &Site, ids: &[HostId]) -> String {
    ids.iter().map(|&id| host(site, id)).collect::<Vec<_>>().join(", ")
}

/// Roles that blocks of addresses have: `console (10.77.2.0/24)`.
pub(super) fn blocks(site: &Site, roles: &BTreeSet<Role>) -> Vec<String> {
    site.role_nets.iter().filter(|(r, _)| roles.contains(r)).map(|(r, n)| format!("{r} ({n})")).collect()
}

/// Hosts and blocks, separated by ", ".
pub(super) fn ends(site: &Site, ids: &[HostId], roles: &BTreeSet<Role>) -> String {
    ids.iter().map(|&id| host(site, id)).chain(blocks(site, roles)).collect::<Vec<_>>().join(", ")
}

/// An end of a connection.
pub(super) fn peer(site: &Site, peer: Peer) -> String {
    match peer {
        Peer::Host(id) => host(site, id),
        Peer::Addr(a) => a.to_string(),
    }
}

/// An address with the label of its host.
pub(super) fn addr(site: &Site, addr: IpAddr) -> String {
    match site.host_of(addr).and_then(|id| site.host(id)) {
        Some(h) if h.label != addr.to_string() => format!("{} ({addr})", h.label),
        _ => addr.to_string(),
    }
}

/// "1 packet", "3 packets".
pub(super) fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A length of time for people, rounded down: `48 s`, `45 min`, `3 h`.
pub(super) fn lasting(span: Span) -> String {
    match span.as_nanos() / 1_000_000_000 {
        secs @ ..120 => format!("{secs} s"),
        secs @ 120..7200 => format!("{} min", secs / 60),
        secs => format!("{} h", secs / 3600),
    }
}

/// Wireshark display filter for where flows between hosts on a service would be.
pub(super) fn pair_filter(site: &Site, from: &[HostId], to: &[HostId], service: Service) -> String {
    let any = |ids: &[HostId]| {
        let all: Vec<String> = ids
            .iter()
            .filter_map(|&id| site.host(id))
            .flat_map(|h| &h.addrs)
            .map(|a| format!("{}.addr == {a}", ip(*a)))
            .collect();
        if all.len() == 1 { all.concat() } else { format!("({})", all.join(" || ")) }
    };
    let (p, ports) = (service.proto, service.ports);
    let port = if ports.is_single() {
        format!("{p}.port == {}", ports.lo())
    } else {
        format!("{p}.port in {{{}..{}}}", ports.lo(), ports.hi())
    };
    format!("{} && {} && {port}", any(from), any(to))
}
