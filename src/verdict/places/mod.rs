//! Several places: which flows of them are one connection, how their clocks differ, and so what may be said of the order of events.
//!
//! Clocks of two machines are never in step. How far they are apart is worked out from connections that both saw; where that cannot
//! be, or two events lie closer than it is known, which came first is not known, and nothing is concluded from it.

mod clock;
mod matching;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(super) use self::clock::Link;
pub(super) use self::matching::How;
use self::matching::{Candidate, match_points};
use super::PointSeen;
use super::who::Who;
use crate::base::Time;
use crate::flow::{Flow, Side};
use crate::site::HostId;

/// A flow of a point: index of the point, index in its observation.
pub(super) type FlowAt = (usize, usize);

/// Which connections several places saw, and how their clocks differ.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Connections seen at more than one place, each with its flows in the order of places.
    connections: Vec<Vec<(FlowAt, How)>>,
    by_flow: BTreeMap<FlowAt, usize>,
    /// Addresses of the site that another place saw in the stead of one that nobody has, by the order of the flow's key.
    aliases: BTreeMap<FlowAt, [Option<IpAddr>; 2]>,
    /// How the second point's clock differs from the first's, for each pair in that order.
    links: BTreeMap<(usize, usize), Link>,
    /// The shortest way over links from one point to another.
    ways: BTreeMap<(usize, usize), Vec<usize>>,
    reference: usize,
    count: usize,
}

impl Places {
    /// Compares all places with each other.
    pub(super) fn new(who: &Who<'_>, points: &[PointSeen]) -> Self {
        let mut all = Self { count: points.len(), ..Self::default() };
        if points.len() < 2 {
            return all;
        }
        let candidates: Vec<Vec<Candidate<'_>>> =
            points.iter().map(|p| Candidate::all(&p.observation, &|a| who.host(a))).collect();
        for (p, first) in candidates.iter().enumerate() {
            for (q, second) in candidates.iter().enumerate().skip(p + 1) {
                let (pairs, link) = match_points(first, second);
                pairs.into_iter().for_each(|(a, b, how)| all.tie((p, a), (q, b), how));
                link.into_iter().for_each(|link| all.links.insert((p, q), link).map_or((), drop));
            }
        }
        all.find_aliases(&candidates);
        all.find_ways();
        all.reference = reference(who, points);
        all
    }

    /// Notes that two flows are one connection. A connection has one flow per place.
    fn tie(&mut self, a: FlowAt, b: FlowAt, how: How) {
        let (home, other) = (self.by_flow.get(&a).copied(), self.by_flow.get(&b).copied());
        match (home, other) {
            (Some(c), None) => self.add(c, b, how),
            (None, Some(c)) => self.add(c, a, how),
            (None, None) => {
                let c = self.connections.len();
                self.connections.push(Vec::new());
                self.add(c, a, how);
                self.add(c, b, how);
            }
            (Some(c), Some(d)) if c != d => self.merge(c, d),
            _ => {}
        }
    }

    fn add(&mut self, connection: usize, flow: FlowAt, how: How) {
        let Some(members) = self.connections.get_mut(connection) else { return };
        if members.iter().all(|((point, _), _)| *point != flow.0) {
            members.push((flow, how));
            members.sort_unstable();
            self.by_flow.insert(flow, connection);
        }
    }

    fn merge(&mut self, c: usize, d: usize) {
        let places = |i: usize| self.connections.get(i).into_iter().flatten().map(|((p, _), _)| *p);
        if places(c).any(|p| places(d).any(|o| o == p)) {
            return;
        }
        let moved = self.connections.get_mut(d).map(std::mem::take).unwrap_or_default();
        moved.into_iter().for_each(|(flow, how)| self.add(c, flow, how));
    }

    /// The connection a flow belongs to; `None` where no other place saw it.
    pub(super) fn connection(&self, flow: FlowAt) -> Option<usize> {
        self.by_flow.get(&flow).copied()
    }

    /// Flows of a connection, in the order of places.
    pub(super) fn members(&self, connection: usize) -> &[(FlowAt, How)] {
        self.connections.get(connection).map_or(&[], Vec::as_slice)
    }

    /// Where an address is translated on the way, one place sees the site's address and another one that is nobody's.
    fn find_aliases(&mut self, candidates: &[Vec<Candidate<'_>>]) {
        for connection in &self.connections {
            let flows: Vec<(FlowAt, &Candidate<'_>)> =
                connection.iter().filter_map(|(at, _)| Some((*at, candidates.get(at.0)?.get(at.1)?))).collect();
            for end in [0, 1] {
                let known: Vec<(HostId, IpAddr)> = flows.iter().filter_map(|(_, c)| c.host(end)).collect();
                let Some(&(host, addr)) = known.first().filter(|f| known.iter().all(|k| k.0 == f.0)) else { continue };
                for (at, c) in flows.iter().filter(|(_, c)| c.host(end).is_none_or(|h| h.0 != host)) {
                    let names = self.aliases.entry(*at).or_default();
                    *c.side(end).of_mut(names) = Some(addr);
                }
            }
        }
    }

    /// The addresses of a flow's ends, in the order of its key, as the site knows them.
    pub(super) fn known_as(&self, at: FlowAt, flow: &Flow) -> [IpAddr; 2] {
        let names = self.aliases.get(&at).copied().unwrap_or_default();
        [Side::A, Side::B].map(|s| s.of(&names).unwrap_or(flow.point(s).addr))
    }

    /// Shortest ways over links, first by fewest hops, then by the order of places.
    fn find_ways(&mut self) {
        for from in 0..self.count {
            let mut found = BTreeMap::from([(from, vec![from])]);
            let mut edge = vec![from];
            while !edge.is_empty() {
                let mut next = Vec::new();
                for at in edge {
                    for to in (0..self.count).filter(|&to| self.links.contains_key(&(at.min(to), at.max(to)))) {
                        let Some(way) = found.get(&at).cloned().filter(|_| !found.contains_key(&to)) else { continue };
                        found.insert(to, way.into_iter().chain([to]).collect());
                        next.push(to);
                    }
                }
                edge = next;
            }
            self.ways.extend(found.into_iter().map(|(to, way)| ((from, to), way)));
        }
    }

    /// A moment of one place's clock by another's, and how far that may be wrong, in nanoseconds; `None` where it is not known.
    pub(super) fn convert(&self, from: usize, to: usize, t: Time) -> Option<(Time, u64)> {
        if from == to {
            return Some((t, 0));
        }
        let way = self.ways.get(&(from, to))?;
        let (mut now, mut doubt) = (t, 0u64);
        for hop in way.windows(2) {
            let [a, b] = hop else { continue };
            let link = self.links.get(&(*a.min(b), *a.max(b)))?;
            let (moved, more) = if a < b { link.forward(now) } else { link.back(now) };
            (now, doubt) = (moved, doubt.saturating_add(more));
        }
        Some((now, doubt))
    }

    /// Which of two moments came first; `None` where that is not known. At one place its own clock says.
    pub(super) fn order(&self, a: (usize, Time), b: (usize, Time)) -> Option<Ordering> {
        if a.0 == b.0 {
            return Some(a.1.cmp(&b.1));
        }
        let (there, doubt) = self.convert(a.0, b.0, a.1)?;
        let apart = there.as_nanos().abs_diff(b.1.as_nanos());
        (apart > doubt).then(|| there.cmp(&b.1))
    }

    /// The place by whose clock times are compared with those of the site.
    pub(super) const fn reference(&self) -> usize {
        self.reference
    }

    /// A moment by the reference clock; as it is where that is not known.
    pub(super) fn common(&self, point: usize, t: Time) -> (Time, u64) {
        self.convert(point, self.reference, t).unwrap_or((t, 0))
    }

    /// A moment of the reference clock by that of a place; as it is where that is not known.
    pub(super) fn local(&self, point: usize, t: Time) -> (Time, u64) {
        self.convert(self.reference, point, t).unwrap_or((t, 0))
    }

    /// How two places' clocks differ, for each pair of places; `None`: not known.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize, Option<&Link>)> {
        let all = (0..self.count).flat_map(|p| (p + 1..self.count).map(move |q| (p, q)));
        all.map(|(p, q)| (p, q, self.links.get(&(p, q))))
    }
}

/// The place whose clock fits the declared windows best; the first one where none are declared or all fit alike.
fn reference(who: &Who<'_>, points: &[PointSeen]) -> usize {
    let covered = |p: &PointSeen| {
        let span = p.observation.first().zip(p.observation.last());
        let windows = who.site().windows.iter();
        windows.filter(|w| span.is_some_and(|(a, b)| a <= w.from && w.to <= b)).count()
    };
    let best = points.iter().map(covered).max().unwrap_or_default();
    points.iter().position(|p| covered(p) == best).unwrap_or_default()
}
