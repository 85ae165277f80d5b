//! Flows that an observation holds as sums alone: most captures are full of traffic that no judgement looks at, and a flow of it
//! would cost as much as one that matters.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::flow::{Flow, FlowKey, Lane, Lone, Side, span};

use super::shelf::Alone;

type Which = Arc<dyn Fn(&FlowKey) -> bool + Send + Sync>;

/// Which flows to hold as flows.
#[derive(Clone, Default)]
pub struct Keep(Option<Which>);

impl Keep {
    /// Those of which this is true.
    pub fn of(which: impl Fn(&FlowKey) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(which)))
    }

    /// All of them.
    pub const fn all() -> Self {
        Self(None)
    }

    /// None: what is only saved becomes no flows.
    pub fn none() -> Self {
        Self::of(|_| false)
    }

    /// Whether this tuple's flows are held as flows.
    pub(super) fn holds(&self, key: &FlowKey) -> bool {
        self.0.as_ref().is_none_or(|which| which(key))
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Keep(some)" } else { "Keep(all)" })
    }
}

/// Times to live of one address in one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ttl {
    /// The sender.
    pub addr: IpAddr,
    /// Where.
    pub lane: Lane,
    /// Lowest and highest, RSTs left out.
    pub range: (u8, u8),
}

/// Sums over flows that are not held as flows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// How many flows.
    pub flows: u64,
    /// Packets of both sides, those to groups left out.
    pub packets: u64,
    /// Bytes acknowledged and never seen, over flows of which both directions were captured.
    pub unseen: u64,
    /// Times to live of addresses that are also ends of flows that are held, sorted.
    pub ttls: Vec<Ttl>,
}

/// The ends of flows that are held.
pub(super) type Peers = HashSet<IpAddr, foldhash::fast::RandomState>;

/// Sums being made.
#[derive(Debug, Default)]
pub(super) struct Sums {
    flows: u64,
    packets: u64,
    unseen: u64,
    ttls: HashMap<(IpAddr, Lane), (u8, u8), foldhash::fast::RandomState>,
    /// Latest packet between each of the times asked for and the one before it, by the number of the time.
    before: BTreeMap<usize, Time>,
}

/// Times at which a flow's packets are known to have been seen.
pub(super) fn times(flow: &Flow) -> impl Iterator<Item = Time> {
    let ends = flow.ends.iter().flat_map(|e| [e.first, e.last]).flatten();
    let syns = flow.syns.iter().flat_map(|r| r.stamps.iter().copied());
    ends.chain(syns).map(|s| s.time)
}

impl Sums {
    /// Adds a flow; `peers` are those whose times to live are wanted, `asked` the times before which the latest packet is.
    pub(super) fn add(&mut self, flow: &Flow, peers: &Peers, asked: &[Time]) {
        if !asked.is_empty() {
            times(flow).for_each(|t| self.at(t, asked.partition_point(|a| *a <= t)));
        }
        self.flows = self.flows.saturating_add(1);
        let [a, b] = &flow.ends;
        if a.packets > 0 && b.packets > 0 {
            self.unseen = self.unseen.saturating_add(a.unseen_acked).saturating_add(b.unseen_acked);
        }
        if flow.group {
            return;
        }
        for side in [Side::A, Side::B] {
            let (end, addr) = (flow.end(side), flow.point(side).addr);
            self.packets = self.packets.saturating_add(end.packets).saturating_add(end.fragments);
            if let Some(ttl) = end.ttl.filter(|_| peers.contains(&addr)) {
                end.lanes.iter().for_each(|lane| self.ttl((addr, *lane), ttl));
            }
        }
    }

    /// Adds a flow of nothing but a few SYNs: what [`Sums::add`] would.
    pub(super) fn add_attempt(&mut self, key: &FlowKey, lone: &Lone, peers: &Peers) {
        self.flows = self.flows.saturating_add(1);
        self.packets = self.packets.saturating_add(lone.count());
        let (from, lane, ttl) = lone.sender();
        let addr = from.of(&key.ends).addr;
        if peers.contains(&addr) {
            self.ttl((addr, lane), (ttl, ttl));
        }
    }

    fn at(&mut self, t: Time, place: usize) {
        let latest = self.before.entry(place).or_insert(t);
        *latest = t.max(*latest);
    }

    /// Adds what a tuple amounts to whose times to live are not wanted.
    pub(super) fn add_alone(&mut self, a: Alone) {
        self.flows = self.flows.saturating_add(a.flows);
        self.packets = self.packets.saturating_add(a.packets);
        self.unseen = self.unseen.saturating_add(a.unseen);
    }

    /// The sums without times to live.
    pub(super) const fn alone(&self) -> Alone {
        Alone { flows: self.flows, packets: self.packets, unseen: self.unseen }
    }

    fn ttl(&mut self, of: (IpAddr, Lane), ttl: (u8, u8)) {
        let known = self.ttls.entry(of).or_insert(ttl);
        *known = span(Some(*known), Some(ttl)).unwrap_or(ttl);
    }

    /// Takes in other ones. Ranges widen to the same in any order.
    pub(super) fn merge(&mut self, other: Self) {
        self.flows = self.flows.saturating_add(other.flows);
        self.packets = self.packets.saturating_add(other.packets);
        self.unseen = self.unseen.saturating_add(other.unseen);
        for (of, ttl) in other.ttls {
            self.ttl(of, ttl);
        }
        other.before.into_iter().for_each(|(place, t)| self.at(t, place));
    }

    /// The sums, and moments of packets, the latest before each time that was asked for among them.
    pub(super) fn finish(self) -> (Rest, Vec<Time>) {
        let Self { flows, packets, unseen, ttls, before } = self;
        let mut ttls: Vec<Ttl> = ttls.into_iter().map(|((addr, lane), range)| Ttl { addr, lane, range }).collect();
        ttls.sort_unstable();
        (Rest { flows, packets, unseen, ttls }, before.into_values().collect())
    }
}
