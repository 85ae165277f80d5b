//! Coverage and exposure: what was exercised, and what the matrix opens here against what was used.

use std::collections::BTreeMap;

use super::rules::Rules;
use super::seen::Seen;
use super::settle::Settled;
use crate::base::{Proto, Service};
use crate::matrix::{Need, Peer, Source};
use crate::report::{Coverage, Exposure, Openings, Outcome};
use crate::site::{HostId, Site};

/// Kinds of openings, the one that counts first where rows overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Needed = 1,
    Fallback,
    Permitted,
    Companion,
}

type Pair = (HostId, HostId, Proto);

/// One byte per port: 0 for closed, else a [`Kind`].
type Opened = BTreeMap<Pair, Vec<u8>>;

/// Required rules exercised.
pub(super) fn coverage(rules: &Rules<'_>, settled: &[Settled]) -> Coverage {
    let required: Vec<&Settled> =
        settled.iter().filter(|s| s.demand.need == Need::Required && s.outcome != Outcome::NotApplicable).collect();
    let mut not: Vec<String> = required
        .iter()
        .filter(|s| !s.is_satisfied())
        .filter_map(|s| rules.list.get(s.demand.rule).map(|r| r.rule.id.clone()))
        .collect();
    not.dedup();
    Coverage {
        exercised: required.iter().filter(|s| s.is_satisfied()).count() as u64,
        required: required.len() as u64,
        not_exercised: not,
    }
}

/// Distinct (source host, destination host, protocol, port) opened and used.
pub(super) fn exposure(rules: &Rules<'_>, site: &Site, seen: &[Seen<'_>]) -> Exposure {
    let opened = opened(rules, site);
    let mut out = Exposure::default();
    let mut used = BTreeMap::<(Pair, u16), u8>::new();
    for s in seen {
        let (Some(o), Some(r)) = (s.orig_host, s.resp_host) else { continue };
        let pair = (o, r, s.flow.key.proto);
        if let Some(&kind) = opened.get(&pair).and_then(|ports| ports.get(usize::from(s.port()))) {
            used.insert((pair, s.port()), kind);
        }
    }
    for kind in opened.values().flatten() {
        if let Some(o) = of_kind(&mut out, *kind) {
            o.opened += 1;
        }
    }
    for kind in used.values() {
        if let Some(o) = of_kind(&mut out, *kind) {
            o.used += 1;
        }
    }
    out
}

const fn of_kind(e: &mut Exposure, kind: u8) -> Option<&mut Openings> {
    match kind {
        k if k == Kind::Needed as u8 => Some(&mut e.needed),
        k if k == Kind::Fallback as u8 => Some(&mut e.fallback),
        k if k == Kind::Permitted as u8 => Some(&mut e.permitted),
        k if k == Kind::Companion as u8 => Some(&mut e.companion),
        _ => None,
    }
}

fn opened(rules: &Rules<'_>, site: &Site) -> Opened {
    let mut opened = Opened::new();
    for r in &rules.list {
        for source in &r.rule.from {
            for (from, to) in pairs(rules, site, source, &r.rule.to) {
                for port in &r.rule.ports {
                    let kind = match (r.is_companion(), port.need) {
                        (true, _) => Kind::Companion,
                        (false, Need::Permitted) => Kind::Permitted,
                        (false, _) => Kind::Needed,
                    };
                    mark(&mut opened, (from, to, port.service.proto), port.service, kind);
                    if let Some(f) = port.fallback_service() {
                        let kind = if r.is_companion() { Kind::Companion } else { Kind::Fallback };
                        mark(&mut opened, (from, to, f.proto), f, kind);
                    }
                }
            }
        }
    }
    opened
}

/// Pairs of different hosts that a source of a rule opens in this restore. Peers without a role have no hosts to count.
fn pairs(rules: &Rules<'_>, site: &Site, source: &Source, to: &[Peer]) -> Vec<(HostId, HostId)> {
    let hosts = |peer: &Peer| -> Vec<HostId> {
        match peer {
            Peer::Role(r) => site.with_role(*r).collect(),
            Peer::AnyRole | Peer::Outside => Vec::new(),
        }
    };
    let takes_part = |peer: &Peer, o| !matches!(peer, Peer::Role(r) if !rules.takes_part(*r, o));
    let mut out = Vec::new();
    for peer in to {
        let open = rules
            .operations()
            .any(|o| source.allowed(o, rules.facts()) && takes_part(&source.peer, o) && takes_part(peer, o));
        if !open {
            continue;
        }
        for f in hosts(&source.peer) {
            out.extend(hosts(peer).into_iter().filter(|t| *t != f).map(|t| (f, t)));
        }
    }
    out
}

fn mark(opened: &mut Opened, pair: Pair, service: Service, kind: Kind) {
    let ports = opened.entry(pair).or_insert_with(|| vec![0; 65536]);
    let range = usize::from(service.ports.lo())..=usize::from(service.ports.hi());
    for p in ports.get_mut(range).into_iter().flatten() {
        if *p == 0 || (kind as u8) < *p {
            *p = kind as u8;
        }
    }
}
