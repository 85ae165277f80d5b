//! Observation points: what each place could have seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::PointSeen;
use super::who::Who;
use crate::base::{Proto, Time};
use crate::flow::{Flow, FlowKey, Side};
use crate::observe::CapturedHost;
use crate::observe::{Keep, Observation};
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
    /// Packets of some addresses of the two hosts were seen, of others not, and not every interface is declared captured.
    PartlyUnseen,
    /// It sees packets of the pair, but none from the originator's side.
    OneSided,
    /// Only encrypted or undecoded encapsulation between the two was seen.
    Opaque,
    /// Nothing of the pair was seen as it is, and encapsulation with another end (a gateway's, a client's) may carry it.
    Carried,
    /// Neither an end of the pair nor known to see it.
    Hidden,
}

/// Packets seen between two addresses at a point.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    /// TCP, UDP or ICMP packets from the lower address to the higher, and back.
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
    pub(super) site: &'a Site,
    traffic: Traffic,
    pub(super) observation: &'a Observation,
}

impl<'a> PointView<'a> {
    /// Resolves a point: what the site declares of it, else what its packets suggest.
    pub(super) fn new(who: &Who<'a>, seen: &'a PointSeen) -> Self {
        let (site, observation) = (who.site(), &seen.observation);
        let mut view = Self {
            name: seen.name.clone().unwrap_or_default(),
            inferred: false,
            hosts: BTreeSet::new(),
            mirror: false,
            complete: false,
            sees: Vec::new(),
            site,
            traffic: Traffic::of(who, observation),
            observation,
        };
        let mut declared = declared(site, seen.name.as_deref());
        if declared.len() > 1 && seen.name.is_none() {
            // Several places, and nobody said whose capture this is: its packets may.
            let own = view.own_hosts();
            let fits = |d: &&&PointDecl| match (own.len(), own.first()) {
                (1, Some(&host)) => d.places.contains(&Place::Host(host)),
                _ => d.places.contains(&Place::Mirror),
            };
            if let Some(&one) = declared.iter().find(fits) {
                declared = vec![one];
            }
        }
        let (hosts, all) = captured_by(who, observation);
        match declared.is_empty() {
            true if hosts.is_empty() => view.infer(site),
            true => {
                (view.hosts, view.complete) = (hosts, all);
                let labels = view.hosts.iter().filter_map(|&h| site.host(h)).map(|h| h.label.as_str());
                view.name = labels.collect::<Vec<_>>().join(", ");
            }
            false => {
                declared.iter().for_each(|d| view.declare(d));
                view.name = declared.iter().map(|d| d.name.as_str()).collect::<Vec<_>>().join(", ");
                // Where it was declared to be; on all interfaces of the host nothing of it is missed.
                view.complete |= all && !view.mirror && view.hosts.is_subset(&hosts);
            }
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

    /// Hosts that are an end of practically every packet.
    fn own_hosts(&self) -> BTreeSet<HostId> {
        let Traffic { all, ends, .. } = &self.traffic;
        let own = |n: &[u64; 2]| *all > 0 && n.iter().sum::<u64>() * 100 >= all * OWN_PERCENT;
        ends.iter().filter(|(_, n)| own(n)).map(|(h, _)| *h).collect()
    }

    /// A host that is an end of practically every packet is taken for the capturing one; two such hosts leave it open.
    fn infer(&mut self, site: &Site) {
        self.inferred = true;
        let hosts = self.own_hosts();
        if let (1, Some(&host)) = (hosts.len(), hosts.first()) {
            self.name = site.host(host).map(|h| h.label.clone()).unwrap_or_default();
            self.hosts.insert(host);
        } else {
            self.mirror = true;
            "unknown place".clone_into(&mut self.name);
        }
    }

    /// Packets between the addresses of two hosts: from the first and in all, per pair of addresses that could talk.
    fn between(&self, from: HostId, to: HostId) -> Vec<(u64, Pair)> {
        let addrs = |h: HostId| self.site.host(h).map_or(&[][..], |h| h.addrs.as_slice());
        let all = addrs(from).iter().flat_map(|a| addrs(to).iter().map(move |b| (*a, *b)));
        all.filter(|(a, b)| a.is_ipv4() == b.is_ipv4())
            .map(|(a, b)| {
                let pair = self.traffic.pairs.get(&(a.min(b), a.max(b))).copied().unwrap_or_default();
                (pair.plain.get(usize::from(a > b)).copied().unwrap_or_default(), pair)
            })
            .collect()
    }

    /// Whether flows that `from` opens to `to` would have been seen here.
    pub(super) fn sight(&self, from: HostId, to: HostId) -> Sight {
        let declared = self.sees.iter().any(|&(a, b)| (a, b) == (from, to) || (b, a) == (from, to));
        let at_end = self.hosts.contains(&from) || self.hosts.contains(&to);
        if !(at_end || self.mirror || declared) {
            return Sight::Hidden;
        }
        let between = self.between(from, to);
        let certain = declared || self.complete;
        let met = between.iter().any(|(_, p)| p.plain.iter().sum::<u64>() > 0);
        let forward = between.iter().any(|(n, _)| *n > 0);
        match (met, forward) {
            // What is inside may be the very flow that is looked for.
            _ if between.iter().any(|(_, p)| p.opaque > 0) => Sight::Opaque,
            (true, false) => Sight::OneSided,
            (true, true) if certain || between.iter().all(|(n, _)| *n > 0) => Sight::Seen,
            (true, true) => Sight::PartlyUnseen,
            (false, _) if certain && self.traffic.may_carry(from, to) => Sight::Carried,
            (false, _) if certain && self.captures_toward(from, to) => Sight::Seen,
            (false, _) if certain => Sight::OneSided,
            (false, _) if at_end => Sight::EndUnseen,
            (false, _) => Sight::Hidden,
        }
    }

    /// Whether the capture shows the direction in which `from` would have sent at all: a one-sided tap at a host does not.
    fn captures_toward(&self, from: HostId, to: HostId) -> bool {
        let count = |h: HostId, i: usize| self.traffic.ends.get(&h).and_then(|e| e.get(i)).copied().unwrap_or_default();
        if self.hosts.contains(&from) {
            return count(from, 0) > 0;
        }
        if self.hosts.contains(&to) {
            return count(to, 1) > 0;
        }
        // A mirror of one direction shows some hosts as senders only, others as receivers only.
        count(from, 0) > 0 || self.traffic.pairs.values().any(|p| p.plain.iter().all(|n| *n > 0))
    }

    /// Unicast packets in all, and those in encapsulations that hide their contents, by encapsulation and addresses.
    pub(super) fn hidden(&self) -> (u64, impl Iterator<Item = (&'static str, IpAddr, IpAddr, u64)> + '_) {
        (self.traffic.all, self.traffic.hidden.iter().map(|(&(name, a, b), &n)| (name, a, b, n)))
    }

    /// Whether a recorded filter, if there is one, surely passes what two hosts say to each other.
    pub(super) fn passes(&self, filter: &str, from: HostId, to: HostId) -> bool {
        let addrs = |h: HostId| self.site.host(h).map_or(&[][..], |h| h.addrs.as_slice());
        let pairs = addrs(from).iter().flat_map(|a| addrs(to).iter().map(move |b| (*a, *b)));
        let passes =
            pairs.filter(|(a, b)| a.is_ipv4() == b.is_ipv4()).all(|(a, b)| super::filter::passes(filter, a, b));
        // Tagged frames pass no filter by address: packets of the pair must have come through.
        passes && self.between(from, to).iter().any(|(n, _)| *n > 0)
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

/// The hosts whose interfaces its captures say they were taken on, and whether on all interfaces; none where one does not say.
fn captured_by(who: &Who<'_>, seen: &Observation) -> (BTreeSet<HostId>, bool) {
    let said: Option<Vec<&CapturedHost>> = seen.inputs.iter().map(|i| i.host.as_ref()).collect();
    let said = said.unwrap_or_default();
    let hosts = said.iter().flat_map(|h| &h.addresses).filter_map(|a| who.host(*a)).collect();
    (hosts, !said.is_empty() && said.iter().all(|h| h.all_interfaces))
}

/// Declarations that a point answers to: by name; without a name, those that claim no files of their own.
fn declared<'s>(site: &'s Site, name: Option<&str>) -> Vec<&'s PointDecl> {
    match name {
        Some(name) => site.points.iter().filter(|d| d.name == name).collect(),
        None => site.points.iter().filter(|d| d.captures.is_empty()).collect(),
    }
}

/// Unicast packets at a point.
#[derive(Debug, Default)]
struct Traffic {
    /// In all.
    all: u64,
    /// Between addresses of hosts, the lower address first.
    pairs: BTreeMap<(IpAddr, IpAddr), Pair>,
    /// Sent and received per host.
    ends: BTreeMap<HostId, [u64; 2]>,
    /// Hosts at one end of encapsulation that hides its contents, whose other end is nobody's; `None` where neither end is.
    hides: BTreeSet<Option<HostId>>,
    /// Packets in encapsulations that hide their contents, by encapsulation and addresses.
    hidden: BTreeMap<(&'static str, IpAddr, IpAddr), u64>,
}

impl Traffic {
    fn of(who: &Who<'_>, observation: &Observation) -> Self {
        let mut t = Self { all: observation.rest.packets, ..Self::default() };
        observation.flows.iter().filter(|f| !f.group).for_each(|f| t.add(who, f));
        t
    }

    fn add(&mut self, who: &Who<'_>, flow: &Flow) {
        let sent = |s: Side| flow.end(s).packets + flow.end(s).fragments;
        let (a, b) = (who.host(flow.point(Side::A).addr), who.host(flow.point(Side::B).addr));
        self.all += sent(Side::A) + sent(Side::B);
        for (h, s) in [(a, Side::A), (b, Side::B)] {
            let Some(h) = h else { continue };
            let [out, inn] = self.ends.entry(h).or_default();
            *out += sent(s);
            *inn += sent(s.other());
        }
        if let Some(name) = hides_contents(&flow.key) {
            let ends = (name, flow.point(Side::A).addr, flow.point(Side::B).addr);
            *self.hidden.entry(ends).or_default() += sent(Side::A) + sent(Side::B);
        }
        if a.is_none() || b.is_none() {
            if hides_contents(&flow.key).is_some() {
                self.hides.insert(a.or(b));
            }
            return;
        }
        // The ends of a key are ordered by address first.
        let key = (flow.point(Side::A).addr, flow.point(Side::B).addr);
        let pair = self.pairs.entry(key).or_default();
        if hides_contents(&flow.key).is_some() {
            pair.opaque += sent(Side::A) + sent(Side::B);
        } else {
            let [up, down] = &mut pair.plain;
            *up += sent(Side::A);
            *down += sent(Side::B);
        }
    }
}

impl Traffic {
    /// Whether encapsulation that ends elsewhere may carry what two hosts say: a gateway's carries anybody's, a host's its own.
    fn may_carry(&self, from: HostId, to: HostId) -> bool {
        [None, Some(from), Some(to)].iter().any(|h| self.hides.contains(h))
    }
}

/// Encapsulations that were not opened, by name: a packet whose contents were read is theirs. IP protocols: IP-in-IP 4, 41 and 94, GRE 47, IPsec 50 and 51, EtherIP 97,
/// L2TP 115. Over UDP: OpenVPN, L2TP, IPsec behind NAT, VXLAN (also Linux' old port), GENEVE, WireGuard.
fn hides_contents(key: &FlowKey) -> Option<&'static str> {
    let port = |p: u16| {
        Some(match p {
            1194 => "OpenVPN (udp/1194)",
            1701 => "L2TP (udp/1701)",
            4500 => "IPsec over UDP (udp/4500)",
            4789 | 8472 => "VXLAN that could not be read",
            6081 => "GENEVE that could not be read",
            51820 => "WireGuard (udp/51820)",
            _ => return None,
        })
    };
    match key.proto {
        Proto::Other(4 | 41 | 94) => Some("IP in IP that could not be read"),
        Proto::Other(47) => Some("GRE that could not be read"),
        Proto::Other(50) => Some("IPsec (ESP)"),
        Proto::Other(51) => Some("IPsec (AH) that could not be read"),
        Proto::Other(97) => Some("Ethernet in IP"),
        Proto::Other(115) => Some("L2TP"),
        Proto::Udp => key.ends.iter().find_map(|e| port(e.port)),
        _ => None,
    }
}

/// The flows at a place that a judgement by this site looks at one by one: those of its addresses, and encapsulation. With
/// several places any flow may be one of those under translated addresses.
pub(super) fn keep(site: &Site, places: usize) -> Keep {
    if places > 1 {
        return Keep::all();
    }
    let addrs: HashSet<IpAddr, RandomState> = site.hosts.iter().flat_map(|h| h.addrs.iter().copied()).collect();
    let nets: Vec<_> = site.role_nets.iter().map(|(_, net)| *net).collect();
    let ours = move |a: IpAddr| addrs.contains(&a) || nets.iter().any(|n| n.contains(&a));
    Keep::of(move |key| key.ends.iter().any(|e| ours(e.addr)) || hides_contents(key).is_some())
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
