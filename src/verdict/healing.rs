//! What a later success makes good: per pair of hosts, by the measure of the rule.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::places::Places;
use super::seen::Seen;
use super::who::Peer;
use crate::base::Time;
use crate::matrix::Healing;

/// Originator and responder.
pub(super) type Pair = (Peer, Peer);

/// A port the endpoint mapper gave out.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// Index of the flow that asked.
    pub(super) flow: usize,
    pub(super) asker: Peer,
    pub(super) host: Peer,
    pub(super) port: u16,
    pub(super) interface: String,
    pub(super) at: Time,
}

/// Interfaces for which the mapper named ports, by pair and port.
#[derive(Debug, Default)]
pub(super) struct Interfaces(BTreeMap<Pair, BTreeMap<u16, BTreeSet<String>>>);

impl Interfaces {
    pub(super) fn new(named: &[Named]) -> Self {
        let mut all = Self::default();
        for n in named {
            let ports = all.0.entry((n.asker, n.host)).or_default();
            ports.entry(n.port).or_default().insert(n.interface.clone());
        }
        all
    }

    /// The ports named for what this one was named for; `None` where it was not named.
    fn like(&self, pair: Pair, port: u16) -> Option<Vec<u16>> {
        let ports = self.0.get(&pair)?;
        let interfaces = ports.get(&port)?;
        Some(ports.iter().filter(|(_, i)| !i.is_disjoint(interfaces)).map(|(p, _)| *p).collect())
    }
}

/// Whether a later success made a failure good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Healed {
    /// None came later.
    No,
    /// There is one, at a place whose clock cannot be compared that closely.
    Unknown,
    /// One came later.
    Yes,
}

/// A moment per point: the last or the first of several.
type ByPoint = BTreeMap<usize, Time>;

/// Successes on one service, so that each failure finds its healer at once.
#[derive(Debug)]
pub(super) struct Healers<'p> {
    places: &'p Places,
    /// Last success on a port.
    port: BTreeMap<(Pair, u16), ByPoint>,
    /// Last success on any port.
    any: BTreeMap<Pair, ByPoint>,
    /// First use of each port that has had a success.
    fresh: BTreeMap<Pair, BTreeMap<u16, ByPoint>>,
}

impl<'p> Healers<'p> {
    /// From all attempts and those of them that worked, each at every point that saw it.
    pub(super) fn new<'s>(places: &'p Places, all: &[&'s Seen<'s>], works: &[&'s Seen<'s>]) -> Self {
        let mut first = BTreeMap::<(Pair, u16), ByPoint>::new();
        for s in all {
            let (point, t) = s.moment();
            let slot = first.entry((s.pair, s.port())).or_default().entry(point).or_insert(t);
            *slot = (*slot).min(t);
        }
        let mut healers = Self { places, port: BTreeMap::new(), any: BTreeMap::new(), fresh: BTreeMap::new() };
        for s in works {
            let key = (s.pair, s.port());
            later(healers.port.entry(key).or_default(), s.moment());
            later(healers.any.entry(s.pair).or_default(), s.moment());
            if let Some(first) = first.get(&key) {
                healers.fresh.entry(s.pair).or_default().entry(s.port()).or_insert_with(|| first.clone());
            }
        }
        healers
    }

    /// Whether a later success of the same pair shows that what `f` was for did work. `f` is every point's flow of the failed
    /// connection.
    pub(super) fn heal(&self, f: &[&Seen<'_>], healing: Healing, named: &Interfaces) -> Healed {
        let Some(lead) = f.first() else { return Healed::No };
        let pair = lead.pair;
        let any = || self.any.get(&pair).map_or(Healed::No, |t| self.after(t, f));
        let on_port = |port| self.port.get(&(pair, port)).map_or(Healed::No, |t| self.after(t, f));
        let more = || match healing {
            Healing::SamePort => Healed::No,
            Healing::Range => any(),
            Healing::Mapper => match named.like(pair, lead.port()) {
                Some(ports) => ports.into_iter().map(on_port).max().unwrap_or(Healed::No),
                None => any(),
            },
            // A port in use before the failure belongs to another component.
            Healing::NextFree => {
                let ports = self.fresh.get(&pair).into_iter().flat_map(BTreeMap::values);
                ports.map(|first| self.never_before(first, f)).max().unwrap_or(Healed::No)
            }
        };
        match on_port(lead.port()) {
            Healed::Yes => Healed::Yes,
            own => own.max(more()),
        }
    }

    /// Whether one of these moments came after a failure.
    fn after(&self, moments: &ByPoint, f: &[&Seen<'_>]) -> Healed {
        moments.iter().map(|(point, t)| self.follows((*point, *t), f)).max().unwrap_or(Healed::No)
    }

    /// Whether each of these moments did.
    fn never_before(&self, moments: &ByPoint, f: &[&Seen<'_>]) -> Healed {
        moments.iter().map(|(point, t)| self.follows((*point, *t), f)).min().unwrap_or(Healed::No)
    }

    /// Whether a moment came after a failure, as far as any point that saw the failure can tell.
    fn follows(&self, moment: (usize, Time), f: &[&Seen<'_>]) -> Healed {
        let own = f.iter().find(|s| s.point == moment.0);
        let told = match own {
            Some(s) => Some(moment.1.cmp(&s.flow.first.time)),
            None => f.iter().find_map(|s| self.places.order(moment, s.moment())),
        };
        told.map_or(Healed::Unknown, |o| if o == Ordering::Less { Healed::No } else { Healed::Yes })
    }
}

fn later(moments: &mut ByPoint, (point, t): (usize, Time)) {
    let slot = moments.entry(point).or_insert(t);
    *slot = (*slot).max(t);
}
