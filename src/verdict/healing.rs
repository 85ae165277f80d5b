//! What a later success makes good: per pair of hosts, by the measure of the rule.

use std::collections::{BTreeMap, BTreeSet};

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

/// Successes on one service, so that each failure finds its healer at once.
#[derive(Debug, Default)]
pub(super) struct Healers {
    /// Last success on a port.
    port: BTreeMap<(Pair, u16), Time>,
    /// Last success on any port.
    any: BTreeMap<Pair, Time>,
    /// The latest first use among ports that have had a success.
    fresh: BTreeMap<Pair, Time>,
}

impl Healers {
    /// From all attempts and those of them that worked.
    pub(super) fn new<'s>(all: &[&'s Seen<'s>], works: &[&'s Seen<'s>]) -> Self {
        let mut healers = Self::default();
        let mut first = BTreeMap::<(Pair, u16), Time>::new();
        for s in all {
            let t = first.entry((s.pair, s.port())).or_insert_with(|| s.began());
            *t = (*t).min(s.began());
        }
        for s in works {
            let key = (s.pair, s.port());
            later(&mut healers.port, key, s.began());
            later(&mut healers.any, s.pair, s.began());
            first.get(&key).into_iter().for_each(|&t| later(&mut healers.fresh, s.pair, t));
        }
        healers
    }

    /// Whether a later success of the same pair shows that what `f` was for did work.
    pub(super) fn heal(&self, f: &Seen<'_>, healing: Healing, named: &Interfaces) -> bool {
        let after = |t: Option<&Time>| t.is_some_and(|t| *t >= f.began());
        let on_port = |port| after(self.port.get(&(f.pair, port)));
        on_port(f.port())
            || match healing {
                Healing::SamePort => false,
                Healing::Range => after(self.any.get(&f.pair)),
                Healing::Mapper => match named.like(f.pair, f.port()) {
                    Some(ports) => ports.into_iter().any(on_port),
                    None => after(self.any.get(&f.pair)),
                },
                // A port in use before the failure belongs to another component.
                Healing::NextFree => after(self.fresh.get(&f.pair)),
            }
    }
}

fn later<K: Ord>(map: &mut BTreeMap<K, Time>, key: K, t: Time) {
    let slot = map.entry(key).or_insert(t);
    *slot = (*slot).max(t);
}
