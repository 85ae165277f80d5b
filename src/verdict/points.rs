//! Observation points: what each place could have seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::PointSeen;
use crate::base::{Proto, Time};
use crate::flow::{Flow, Side};
use crate::observe::Observation;
use crate::site::{HostId, Place, PointDecl, Site};

/// Packets of how many in a hundred a host must be an end of for the capture to be taken as its own.
const OWN_PERCENT: u64 = 98;

/// Whether a point sees a pair of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// It would have seen the flow.
    Seen,
    /// It is an end of the pair, but nothing of the pair was seen and not every interface is declared captured.
    EndUnseen,
    /// It sees packets of the pair, but none from the originator's side.
    OneSided,
    /// Only encrypted or undecoded encapsulation between the two was seen.
    Opaque,
    /// Neither an end of the pair nor known to see it.
    Hidden,
}

/// Packets seen between two hosts at a point.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    /// TCP, UDP or ICMP packets from the lower host id to the higher, and back.
    plain: [u64; 2],
    /// Packets of encapsulations that hide their contents.
    opaque: u64,
}

/// One observation point, resolved against the site.
#[derive(Debug)]
pub(super) struct PointView<'a> {
    pub(super) name: String,
    pub(super) inferred: bool,
    pub(super) hosts: BTreeSet<HostId>,
    pub(super) mirror: bool,
    pub(super) complete: bool,
    sees: Vec<(HostId, HostId)>,
    pairs: BTreeMap<(HostId, HostId), Pair>,
    /// Packets sent and received per host.
    ends: BTreeMap<HostId, [u64; 2]>,
    pub(super) observation: &'a Observation,
}

impl<'a> PointView<'a> {
    /// Resolves a point: what the site declares of it, else what its packets suggest.
    pub(super) fn new(site: &Site, seen: &'a PointSeen) -> Self {
        let observation = &seen.observation;
        let (pairs, ends) = traffic(site, observation);
        let mut view = Self {
            name: seen.name.clone().unwrap_or_default(),
            inferred: false,
            hosts: BTreeSet::new(),
            mirror: false,
            complete: false,
            sees: Vec::new(),
            pairs,
            ends,
            observation,
        };
        let declared = declared(site, seen.name.as_deref());
        if declared.is_empty() {
            view.infer(site);
        } else {
            declared.iter().for_each(|d| view.declare(d));
            view.name = declared.iter().map(|d| d.name.as_str()).collect::<Vec<_>>().join(", ");
        }
        view
    }

    fn declare(&mut self, d: &PointDecl) {
        for place in &d.places {
            match place {
                Place::Host(h) => {
                    self.hosts.insert(*h);
                }
                Place::Mirror => self.mirror = true,
            }
        }
        self.complete |= d.complete;
        self.sees.extend(d.sees.iter().copied());
    }

    /// A host that is an end of practically every packet is taken for the capturing one; two such hosts leave it open.
    fn infer(&mut self, site: &Site) {
        self.inferred = true;
        let own = own_addresses(self.observation);
        let hosts: BTreeSet<HostId> = own.iter().filter_map(|a| site.host_of(*a)).collect();
        if let (1, Some(&host)) = (hosts.len(), hosts.first()) {
            self.name = site.host(host).map(|h| h.label.clone()).unwrap_or_default();
            self.hosts.insert(host);
        } else {
            self.mirror = true;
            "unknown place".clone_into(&mut self.name);
        }
    }

    fn pair(&self, a: HostId, b: HostId) -> (Pair, usize) {
        let key = (a.min(b), a.max(b));
        (self.pairs.get(&key).copied().unwrap_or_default(), usize::from(a > b))
    }

    /// Whether flows that `from` opens to `to` would have been seen here.
    pub(super) fn sight(&self, from: HostId, to: HostId) -> Sight {
        let (pair, toward) = self.pair(from, to);
        let forward = pair.plain.get(toward).copied().unwrap_or_default();
        let any = pair.plain.iter().sum::<u64>();
        let declared = self.sees.iter().any(|&(a, b)| (a, b) == (from, to) || (b, a) == (from, to));
        let at_end = self.hosts.contains(&from) || self.hosts.contains(&to);
        let certain = declared || ((at_end || self.mirror) && self.complete);
        match (any > 0, forward > 0) {
            _ if !(at_end || self.mirror || declared) => Sight::Hidden,
            (true, true) => Sight::Seen,
            (true, false) => Sight::OneSided,
            (false, _) if pair.opaque > 0 => Sight::Opaque,
            (false, _) if certain && self.captures_toward(from, to) => Sight::Seen,
            (false, _) if certain => Sight::OneSided,
            (false, _) if at_end => Sight::EndUnseen,
            (false, _) => Sight::Hidden,
        }
    }

    /// Whether the capture shows the direction in which `from` would have sent at all: a one-sided tap at a host does not.
    fn captures_toward(&self, from: HostId, to: HostId) -> bool {
        let count = |h: HostId, i: usize| self.ends.get(&h).and_then(|e| e.get(i)).copied().unwrap_or_default();
        if self.hosts.contains(&from) {
            return count(from, 0) > 0;
        }
        if self.hosts.contains(&to) {
            return count(to, 1) > 0;
        }
        true
    }

    /// Whether the capture was made on this host.
    pub(super) fn is_at(&self, host: Option<HostId>) -> bool {
        host.is_some_and(|h| self.hosts.contains(&h))
    }

    /// The stretch of time it covers.
    pub(super) fn span(&self) -> Option<(Time, Time)> {
        Some((self.observation.first()?, self.observation.last()?))
    }
}

/// Declarations that a point answers to: by name; without a name, those that claim no files of their own.
fn declared<'s>(site: &'s Site, name: Option<&str>) -> Vec<&'s PointDecl> {
    match name {
        Some(name) => site.points.iter().filter(|d| d.name == name).collect(),
        None => site.points.iter().filter(|d| d.captures.is_empty()).collect(),
    }
}

type Traffic = (BTreeMap<(HostId, HostId), Pair>, BTreeMap<HostId, [u64; 2]>);

fn traffic(site: &Site, observation: &Observation) -> Traffic {
    let (mut pairs, mut ends) = (BTreeMap::<_, Pair>::new(), BTreeMap::<_, [u64; 2]>::new());
    for flow in observation.flows.iter().filter(|f| !f.group) {
        let host = |s: Side| site.host_of(flow.point(s).addr);
        let sent = |s: Side| flow.end(s).packets + flow.end(s).fragments;
        let (a, b) = (host(Side::A), host(Side::B));
        for (h, s) in [(a, Side::A), (b, Side::B)] {
            let Some(h) = h else { continue };
            let [out, inn] = ends.entry(h).or_default();
            *out += sent(s);
            *inn += sent(s.other());
        }
        let (Some(a), Some(b)) = (a, b) else { continue };
        let pair = pairs.entry((a.min(b), a.max(b))).or_default();
        if hides_contents(flow.key.proto) {
            pair.opaque += sent(Side::A) + sent(Side::B);
        } else {
            let [up, down] = &mut pair.plain;
            let (lo, hi) = if a <= b { (Side::A, Side::B) } else { (Side::B, Side::A) };
            *up += sent(lo);
            *down += sent(hi);
        }
    }
    (pairs, ends)
}

/// IP protocols whose contents are not decoded: IP-in-IP 4 and 41, GRE 47, ESP 50.
const fn hides_contents(proto: Proto) -> bool {
    matches!(proto, Proto::Other(4 | 41 | 47 | 50))
}

/// Addresses that are an end of practically every unicast packet.
pub(super) fn own_addresses(observation: &Observation) -> BTreeSet<IpAddr> {
    let (mut all, mut by) = (0u64, BTreeMap::<IpAddr, u64>::new());
    for flow in observation.flows.iter().filter(|f| !f.group) {
        let n = packets(flow);
        all += n;
        for side in [Side::A, Side::B] {
            *by.entry(flow.point(side).addr).or_default() += n;
        }
    }
    by.into_iter().filter(|(_, n)| *n * 100 >= all * OWN_PERCENT && all > 0).map(|(a, _)| a).collect()
}

/// Packets of both sides.
pub(super) fn packets(flow: &Flow) -> u64 {
    flow.ends.iter().map(|e| e.packets + e.fragments).sum()
}
