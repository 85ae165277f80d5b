//! Which flows of two places are one connection: by the originator's sequence number, also under translated addresses; else by
//! the first bytes of both sides, where these are unlike all others; else by the tuple. What fits two is matched with neither.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::clock::{Bound, Link};
use crate::base::{Proto, Span, Stamp, Time};
use crate::flow::{Flow, FlowKey, HEAD_LENGTHS, Side};
use crate::observe::Observation;
use crate::site::HostId;

/// SYNs closer than this are copies of one, as mirror ports make them.
const COPIES: Span = Span::from_millis(200);
/// One connection's flows at two places begin and end within this, beside the uncertainty of the clocks: what either place may
/// have missed at its beginning or end.
const SLACK: u64 = 3_000_000_000;

/// How a connection was told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::verdict) enum How {
    /// The originator's initial sequence number.
    Isn,
    /// Digests of the first bytes of both sides; the sequence numbers differ.
    Payload,
    /// The tuple alone, at the same time.
    Tuple,
}

/// A flow as it is compared.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    flow: &'a Flow,
    orig: Side,
    /// Initial sequence numbers of the originator, and of the responder by its first SYN-ACK.
    isn: Option<u32>,
    answer: Option<u32>,
    hosts: [Option<HostId>; 2],
}

/// Matched flows by their indices at the two places.
type Pairs = Vec<(usize, usize, How)>;

impl<'a> Candidate<'a> {
    /// All flows of an observation, in their order.
    pub(super) fn all(seen: &'a Observation, host: &dyn Fn(IpAddr) -> Option<HostId>) -> Vec<Self> {
        seen.flows.iter().map(|f| Self::new(f, host)).collect()
    }

    fn new(flow: &'a Flow, host: &dyn Fn(IpAddr) -> Option<HostId>) -> Self {
        let syn = flow.syns.first();
        let answered = [Side::A, Side::B].into_iter().find(|s| flow.end(*s).syn_acks > 0).map(Side::other);
        let orig = syn.map(|r| r.from).or(answered).unwrap_or(Side::A);
        let answer = flow.end(orig.other()).syn_ack_seen.first();
        // A SYN-ACK names the number it answers.
        let isn = syn.map(|r| r.isn).or_else(|| answer.map(|a| a.ack.wrapping_sub(1)));
        let hosts = [orig, orig.other()].map(|s| host(flow.point(s).addr));
        Self { flow, orig, isn, answer: answer.map(|a| a.seq), hosts }
    }

    /// The side of the originator (0) or the responder (1).
    pub(super) const fn side(&self, end: usize) -> Side {
        if end == 0 { self.orig } else { self.orig.other() }
    }

    /// The host of the site at an end, with its address here.
    pub(super) fn host(&self, end: usize) -> Option<(HostId, IpAddr)> {
        Some((self.hosts.get(end).copied().flatten()?, self.addr(self.side(end))))
    }

    fn addr(&self, side: Side) -> IpAddr {
        self.flow.point(side).addr
    }

    fn resp_port(&self) -> u16 {
        self.flow.point(self.orig.other()).port
    }

    fn tuple(&self) -> (FlowKey, Side) {
        (self.flow.key, self.orig)
    }

    /// Digests of what originator and responder sent first, for one of [`HEAD_LENGTHS`].
    fn heads(&self, length: usize) -> Option<(u64, u64)> {
        let of = |side: Side| self.flow.end(side).heads.get(length).copied().flatten();
        Some((of(self.orig)?, of(self.orig.other())?))
    }

    /// Whether a side sent as many bytes from its beginning, but not all of them were captured.
    fn cut(&self, length: usize) -> bool {
        let long = HEAD_LENGTHS.get(length).copied().unwrap_or_default() as u64;
        let short =
            |s: Side| self.flow.end(s).payload_bytes >= long && self.flow.end(s).heads.get(length) == Some(&None);
        self.isn.is_some() && (short(self.orig) || short(self.orig.other()))
    }

    /// Whether an end of both is the same address, or the same host under another one.
    fn shares_an_end(&self, o: &Self) -> bool {
        let ends = [(self.orig, o.orig, 0), (self.orig.other(), o.orig.other(), 1)];
        ends.into_iter().any(|(mine, other, i)| {
            let host = self.hosts.get(i).copied().flatten();
            self.addr(mine) == o.addr(other) || host.is_some() && host == o.hosts.get(i).copied().flatten()
        })
    }
}

/// Matches the flows of two places and compares the clocks by them.
pub(super) fn match_points(first: &[Candidate<'_>], second: &[Candidate<'_>]) -> (Pairs, Option<Link>) {
    let mut m = Matcher { sides: [first, second], taken: Default::default(), pairs: Vec::new() };
    let tcp = |c: &Candidate<'_>| (c.flow.key.proto == Proto::Tcp).then_some(());
    let any = |_: &Candidate<'_>, _: &Candidate<'_>| true;
    let isn = |c: &Candidate<'_>| tcp(c).and(c.isn);
    m.pass(How::Isn, &|c| Some((c.tuple(), isn(c)?)), &any);
    m.pass(How::Isn, &|c| Some((isn(c)?, c.answer?, c.resp_port())), &any);
    m.pass(How::Isn, &|c| Some((isn(c)?, c.answer?)), &Candidate::shares_an_end);
    for length in m.usable() {
        m.by_payload(length, &|a, b| a.tuple() == b.tuple());
    }
    let link = m.link();
    let timely = |a: &Candidate<'_>, b: &Candidate<'_>| link.as_ref().is_none_or(|l| together(l, a.flow, b.flow));
    m.pass(How::Isn, &|c| Some((isn(c)?, c.resp_port())), &|a, b| a.shares_an_end(b) && timely(a, b));
    if link.is_some() {
        // Equal bytes under another tuple tell a connection again only at the same time.
        for length in m.usable() {
            m.by_payload(length, &timely);
        }
    }
    m.by_tuple(link.as_ref());
    let link = link.or_else(|| m.link());
    (m.pairs, link)
}

struct Matcher<'c, 'a> {
    sides: [&'c [Candidate<'a>]; 2],
    taken: [BTreeSet<usize>; 2],
    pairs: Pairs,
}

/// One flow of a side with a key, or more than one.
#[derive(Clone, Copy)]
enum Found {
    One(usize),
    Many,
}

impl<'c, 'a> Matcher<'c, 'a> {
    /// Matches what has the same key and no third one of it, among flows that are not yet matched.
    fn pass<K: Ord>(
        &mut self,
        how: How,
        key: &dyn Fn(&Candidate<'a>) -> Option<K>,
        accept: &dyn Fn(&Candidate<'a>, &Candidate<'a>) -> bool,
    ) {
        let free = |side: usize, i: usize| self.taken.get(side).is_some_and(|t| !t.contains(&i));
        let found = self.common(key, &free);
        self.take(how, found, accept);
    }

    /// As [`Self::pass`], by the first bytes of both sides, which must be unlike those of all others, matched or not.
    fn by_payload(&mut self, length: usize, accept: &dyn Fn(&Candidate<'a>, &Candidate<'a>) -> bool) {
        let free = |side: usize| {
            let mut heads = BTreeSet::new();
            for (i, c) in self.sides.get(side).copied().unwrap_or_default().iter().enumerate() {
                if self.taken.get(side).is_some_and(|t| !t.contains(&i)) {
                    heads.extend(c.heads(length));
                }
            }
            heads
        };
        // Only what waits for its like on both sides is looked for among all.
        let wanted: BTreeSet<(u64, u64)> = free(0).intersection(&free(1)).copied().collect();
        let found = self.common(&|c| c.heads(length).filter(|h| wanted.contains(h)), &|_, _| true);
        self.take(How::Payload, found, accept);
    }

    /// Lengths at which first bytes can be compared: where one place cut what it captured, a flow that was cut may be the
    /// like of any other.
    fn usable(&self) -> Vec<usize> {
        let whole = |length: &usize| !self.sides.iter().any(|s| s.iter().any(|c| c.cut(*length)));
        (0..HEAD_LENGTHS.len()).rev().filter(whole).collect()
    }

    fn common<K: Ord>(
        &self,
        key: &dyn Fn(&Candidate<'a>) -> Option<K>,
        pick: &dyn Fn(usize, usize) -> bool,
    ) -> Vec<(usize, usize)> {
        let of = |side: usize| {
            let mut found = BTreeMap::<K, Found>::new();
            for (i, c) in self.sides.get(side).copied().unwrap_or_default().iter().enumerate() {
                if let Some(k) = Some(i).filter(|&i| pick(side, i)).and_then(|_| key(c)) {
                    found.entry(k).and_modify(|f| *f = Found::Many).or_insert(Found::One(i));
                }
            }
            found
        };
        let (first, second) = (of(0), of(1));
        let both = first.iter().filter_map(|(k, f)| Some((*f, *second.get(k)?)));
        both.filter_map(|pair| if let (Found::One(a), Found::One(b)) = pair { Some((a, b)) } else { None }).collect()
    }

    fn take(&mut self, how: How, found: Vec<(usize, usize)>, accept: &dyn Fn(&Candidate<'a>, &Candidate<'a>) -> bool) {
        let [first, second] = self.sides;
        let [a_taken, b_taken] = &mut self.taken;
        for (a, b) in found {
            let fits = first.get(a).zip(second.get(b)).is_some_and(|(x, y)| accept(x, y));
            if fits && !a_taken.contains(&a) && !b_taken.contains(&b) {
                a_taken.insert(a);
                b_taken.insert(b);
                self.pairs.push((a, b, how));
            }
        }
    }

    /// What has only its tuple: rewritten sequence numbers without payload, protocols without numbers, connections whose beginning
    /// was not captured. Where the clocks are compared they must coincide; where not, only what has no number is matched.
    fn by_tuple(&mut self, link: Option<&Link>) {
        let numbered = |c: &Candidate<'a>| c.flow.key.proto == Proto::Tcp && c.isn.is_some();
        let accept = |a: &Candidate<'a>, b: &Candidate<'a>| match link {
            Some(link) => together(link, a.flow, b.flow),
            None => !numbered(a) && !numbered(b),
        };
        // Without a SYN the originator is not known.
        self.pass(How::Tuple, &|c| Some(c.flow.key), &accept);
    }

    fn link(&self) -> Option<Link> {
        let [first, second] = self.sides;
        let told = self.pairs.iter().filter(|(.., how)| *how != How::Tuple);
        let bounds = told.filter_map(|(a, b, how)| bound(first.get(*a)?, second.get(*b)?, *how));
        Link::new(bounds.collect())
    }
}

/// What a connection seen at both places says of their clocks.
fn bound(a: &Candidate<'_>, b: &Candidate<'_>, how: How) -> Option<Bound> {
    let mut out = Vec::new();
    let mut back = Vec::new();
    // A proxy answers a SYN itself and asks anew: its packets are not the same ones under other numbers.
    if how == How::Isn {
        out.extend(difference(only(syns(a)), only(syns(b))));
        if a.answer.is_some() && a.answer == b.answer {
            back.extend(difference(only(answers(a)), only(answers(b))));
        }
    }
    let clean = |c: &Candidate<'_>, s: Side| c.flow.end(s).retransmitted == 0 && c.flow.end(s).unseen_acked == 0;
    for (list, s, o) in [(&mut out, a.orig, b.orig), (&mut back, a.orig.other(), b.orig.other())] {
        let (x, y) = (a.flow.end(s), b.flow.end(o));
        let same = x.heads.iter().zip(&y.heads).any(|(x, y)| x.is_some() && x == y);
        if same && clean(a, s) && clean(b, o) {
            list.extend(difference(x.first_payload, y.first_payload));
        }
    }
    Bound::new(a.flow.first.time, &out, &back)
}

fn syns(c: &Candidate<'_>) -> Vec<Stamp> {
    c.flow.syns.first().map(|r| r.stamps.clone()).unwrap_or_default()
}

fn answers(c: &Candidate<'_>) -> Vec<Stamp> {
    c.flow.end(c.orig.other()).syn_ack_seen.iter().map(|s| s.at).collect()
}

/// The stamp of a packet of which all that was seen are copies: a repeated one may be another at the other place.
fn only(stamps: Vec<Stamp>) -> Option<Stamp> {
    let (first, last) = (stamps.first()?, stamps.last()?);
    (last.time.since(first.time) < COPIES).then_some(*first)
}

fn difference(a: Option<Stamp>, b: Option<Stamp>) -> Option<i64> {
    b?.time.as_nanos().checked_sub(a?.time.as_nanos())
}

/// Whether two flows may be one by their times.
fn together(link: &Link, a: &Flow, b: &Flow) -> bool {
    let ((first, d1), (last, d2)) = (link.forward(a.first.time), link.forward(a.last.time));
    let slack = Span::from_nanos(d1.max(d2).saturating_add(SLACK));
    first.minus(slack) <= b.last.time && b.first.time <= Time::plus(last, slack)
}
