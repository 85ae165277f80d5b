//! Which addresses were seen sending to which, where and when: what absence and silence are measured against.

use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::base::{Known, Problem, ProblemKind, Span, Stamp};
use crate::flow::{AttemptContext, Flow, Lane, Orientation, Side, span};

use super::model::Observation;
use crate::packet::CUT_QUOTE;

/// Packets of one address pair and direction in one lane. Times are those of the flows' ends, which may have been seen in several
/// lanes: where one was, its times count for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Where.
    pub lane: Lane,
    /// First packet.
    pub first: Stamp,
    /// Last packet.
    pub last: Stamp,
}

/// Almost all pairs are seen in one lane.
#[derive(Clone, Debug)]
struct Sights {
    first: Sight,
    more: Vec<Sight>,
}

/// What a host did in this capture.
#[derive(Clone, Copy, Debug, Default)]
struct Host {
    sent: bool,
    received: bool,
}

/// Lowest and highest time to live by sender and lane.
type Ttls = HashMap<(IpAddr, Lane), (u8, u8), RandomState>;

/// An index over the unicast flows of an observation. Broadcast and multicast prove no path. Of flows that are not held it knows
/// times to live alone.
#[derive(Clone, Debug, Default)]
pub struct PairIndex {
    pairs: HashMap<(IpAddr, IpAddr), Sights, RandomState>,
    hosts: HashMap<IpAddr, Host, RandomState>,
    ttls: Ttls,
    /// Whether ICMP errors were cut before the packet they quote.
    errors_cut: bool,
}

impl Sights {
    fn add(&mut self, sight: Sight) {
        let Self { first, more } = self;
        match std::iter::once(first).chain(&mut *more).find(|s| s.lane == sight.lane) {
            Some(s) => (s.first, s.last) = (s.first.min(sight.first), s.last.max(sight.last)),
            None => more.push(sight),
        }
    }
}

impl PairIndex {
    /// From all flows of an observation.
    pub fn new(seen: &Observation) -> Self {
        let cut = |p: &Problem| p.kind == ProblemKind::PacketTruncated && p.detail == CUT_QUOTE;
        let mut index = Self { errors_cut: seen.problems.iter().any(cut), ..Self::default() };
        for flow in seen.flows.iter().filter(|f| !f.group) {
            index.add(flow, Side::A);
            index.add(flow, Side::B);
        }
        seen.rest.ttls.iter().for_each(|t| index.ttl((t.addr, t.lane), t.range));
        index
    }

    fn add(&mut self, flow: &Flow, side: Side) {
        let end = flow.end(side);
        let (Some(first), Some(last)) = (end.first, end.last) else { return };
        let (from, to) = (flow.point(side).addr, flow.point(side.other()).addr);
        self.hosts.entry(from).or_default().sent = true;
        self.hosts.entry(to).or_default().received = true;
        let mut lanes = end.lanes.iter().map(|&lane| Sight { lane, first, last });
        if let Some(sight) = lanes.next() {
            let new = || Sights { first: sight, more: Vec::new() };
            let sights = self.pairs.entry((from, to)).or_insert_with(new);
            std::iter::once(sight).chain(lanes).for_each(|sight| sights.add(sight));
        }
        if let Some(ttl) = end.ttl {
            end.lanes.iter().for_each(|&lane| self.ttl((from, lane), ttl));
        }
    }

    fn ttl(&mut self, of: (IpAddr, Lane), ttl: (u8, u8)) {
        let known = self.ttls.entry(of).or_insert(ttl);
        *known = span(Some(*known), Some(ttl)).unwrap_or(ttl);
    }

    /// Packets from one address to another, by lane in the order of first flows; empty where there were none.
    pub fn seen(&self, from: IpAddr, to: IpAddr) -> impl Iterator<Item = &Sight> {
        self.pairs.get(&(from, to)).into_iter().flat_map(|s| std::iter::once(&s.first).chain(&s.more))
    }

    /// Whether any packet was seen between two addresses, in either direction.
    pub fn met(&self, a: IpAddr, b: IpAddr) -> bool {
        [(a, b), (b, a)].into_iter().any(|pair| self.pairs.contains_key(&pair))
    }

    /// Whether an address both sent and received unicast packets in this capture.
    pub fn both_directions(&self, addr: IpAddr) -> bool {
        self.hosts.get(&addr).is_some_and(|h| h.sent && h.received)
    }

    /// Lowest and highest time to live of an address's packets in a lane, RSTs left out.
    pub fn ttl_range(&self, addr: IpAddr, lane: Lane) -> Option<(u8, u8)> {
        self.ttls.get(&(addr, lane)).copied()
    }

    /// Whether an answer to a flow's attempt would have been seen: some packet from the responder's address to the originator's was,
    /// earlier or later, in a lane in which the attempt was; or the capture is at the originator and shows both directions.
    pub fn return_path(&self, flow: &Flow, direction: &Orientation, at_originator: Known<bool>) -> bool {
        let (orig, resp) = (flow.point(direction.orig).addr, flow.point(direction.resp()).addr);
        let lanes = &flow.end(direction.orig).lanes;
        let proven = self.seen(resp, orig).any(|s| lanes.contains(&s.lane));
        proven || at_originator == Known::Known(true) && self.both_directions(orig)
    }

    /// All that judging a flow's attempt needs. `at_originator`: whether the capture was made on the originator's host.
    pub fn context(
        &self,
        seen: &Observation,
        flow: &Flow,
        direction: &Orientation,
        at_originator: Known<bool>,
    ) -> AttemptContext {
        let syns = flow.syns.iter().filter(|r| r.from == direction.orig);
        let last = syns.filter_map(|r| r.stamps.last()).map(|s| s.time).max();
        let open = last.map_or(Span::default(), |t| seen.open_after(t));
        let whole = last.zip(seen.last()).map_or(Span::default(), |(t, end)| end.since(t));
        let resp = flow.point(direction.resp()).addr;
        // The reply's lane is not known before it is seen: any lane of the flow will do.
        let lanes = flow.ends.iter().flat_map(|e| &e.lanes);
        let resp_ttl = lanes.fold(None, |range, &lane| span(range, self.ttl_range(resp, lane)));
        let return_path = self.return_path(flow, direction, at_originator);
        AttemptContext { open, hole: open < whole, return_path, errors_cut: self.errors_cut, resp_ttl }
    }
}
