//! Which addresses were seen sending to which, where and when: what absence and silence are measured against.

use std::net::IpAddr;
use std::panic::resume_unwind;
use std::thread;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::base::{Known, Problem, ProblemKind, Span, Stamp};
use crate::flow::{AttemptContext, End, Flow, Lane, Orientation, Side, span};

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

/// By sender and receiver.
type Pairs = HashMap<(IpAddr, IpAddr), Sights, RandomState>;
/// By address.
type Hosts = HashMap<IpAddr, Host, RandomState>;
/// Lowest and highest time to live by sender and lane.
type Ttls = HashMap<(IpAddr, Lane), (u8, u8), RandomState>;

/// An index over the unicast flows of an observation. Broadcast and multicast prove no path. Of flows that are not held it knows
/// times to live alone.
#[derive(Clone, Debug, Default)]
pub struct PairIndex {
    pairs: Pairs,
    hosts: Hosts,
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

/// Flows that are worth a thread.
const WORTH_A_THREAD: usize = 4096;

/// Of each unicast flow and each side that sent something: who sent, to whom, and what.
fn sides(seen: &Observation) -> impl Iterator<Item = (IpAddr, IpAddr, &End)> {
    let unicast = seen.flows.iter().filter(|f| !f.group);
    let sides = unicast
        .flat_map(|f| [Side::A, Side::B].map(|side| (f.point(side).addr, f.point(side.other()).addr, f.end(side))));
    sides.filter(|(.., end)| end.first.is_some())
}

fn pairs(seen: &Observation) -> Pairs {
    let mut pairs = Pairs::default();
    for (from, to, end) in sides(seen) {
        let (Some(first), Some(last)) = (end.first, end.last) else { continue };
        let mut lanes = end.lanes.iter().map(|&lane| Sight { lane, first, last });
        if let Some(sight) = lanes.next() {
            let sights = pairs.entry((from, to)).or_insert_with(|| Sights { first: sight, more: Vec::new() });
            std::iter::once(sight).chain(lanes).for_each(|sight| sights.add(sight));
        }
    }
    pairs
}

fn hosts(seen: &Observation) -> (Hosts, Ttls) {
    let (mut hosts, mut ttls) = (Hosts::default(), Ttls::default());
    let mut add = |of: (IpAddr, Lane), ttl: (u8, u8)| {
        let known = ttls.entry(of).or_insert(ttl);
        *known = span(Some(*known), Some(ttl)).unwrap_or(ttl);
    };
    for (from, to, end) in sides(seen) {
        hosts.entry(from).or_default().sent = true;
        hosts.entry(to).or_default().received = true;
        if let Some(ttl) = end.ttl {
            end.lanes.iter().for_each(|&lane| add((from, lane), ttl));
        }
    }
    seen.rest.ttls.iter().for_each(|t| add((t.addr, t.lane), t.range));
    (hosts, ttls)
}

impl PairIndex {
    /// From all flows of an observation.
    pub fn new(seen: &Observation) -> Self {
        Self::made_by(1, seen)
    }

    /// The same, made by several threads, of which nothing shows.
    pub fn made_by(threads: usize, seen: &Observation) -> Self {
        let cut = |p: &Problem| p.kind == ProblemKind::PacketTruncated && p.detail == CUT_QUOTE;
        let errors_cut = seen.problems.iter().any(cut);
        let (pairs, (hosts, ttls)) = if threads > 1 && seen.flows.len() >= WORTH_A_THREAD {
            thread::scope(|scope| {
                let hosts = scope.spawn(|| hosts(seen));
                (pairs(seen), hosts.join().unwrap_or_else(|panic| resume_unwind(panic)))
            })
        } else {
            (pairs(seen), hosts(seen))
        };
        Self { pairs, hosts, ttls, errors_cut }
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
