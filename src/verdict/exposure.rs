//! Coverage and exposure: what was exercised, and what the matrix opens here against what was used.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

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
    Needed,
    Fallback,
    Permitted,
    Companion,
}

type Pair = (HostId, HostId, Proto);

/// Ranges that are open, and for what; they may overlap.
type Opened = BTreeMap<Pair, Vec<(RangeInclusive<u16>, Kind)>>;

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
    let mut used = BTreeMap::<(Pair, u16), Kind>::new();
    for s in seen {
        let (Some(o), Some(r)) = (s.orig_host, s.resp_host) else { continue };
        let pair = (o, r, s.flow.key.proto);
        if let Some(kind) = opened.get(&pair).and_then(|ranges| kind_at(ranges, s.port())) {
            used.insert((pair, s.port()), kind);
        }
    }
    for ranges in opened.values() {
        // Between one boundary and the next the same ranges are open.
        let bounds = ranges.iter().flat_map(|(r, _)| [u32::from(*r.start()), u32::from(*r.end()) + 1]);
        let bounds: Vec<u32> = bounds.collect::<BTreeSet<_>>().into_iter().collect();
        for (from, to) in bounds.iter().zip(bounds.iter().skip(1)) {
            if let Some(kind) = u16::try_from(*from).ok().and_then(|port| kind_at(ranges, port)) {
                of_kind(&mut out, kind).opened += u64::from(to - from);
            }
        }
    }
    for kind in used.values() {
        of_kind(&mut out, *kind).used += 1;
    }
    out
}

fn kind_at(ranges: &[(RangeInclusive<u16>, Kind)], port: u16) -> Option<Kind> {
    ranges.iter().filter(|(r, _)| r.contains(&port)).map(|(_, kind)| *kind).min()
}

const fn of_kind(e: &mut Exposure, kind: Kind) -> &mut Openings {
    match kind {
        Kind::Needed => &mut e.needed,
        Kind::Fallback => &mut e.fallback,
        Kind::Permitted => &mut e.permitted,
        Kind::Companion => &mut e.companion,
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
    opened.entry(pair).or_default().push((service.ports.lo()..=service.ports.hi(), kind));
}
