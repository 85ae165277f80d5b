//! Looking at what grows: what a look costs follows what changed since the one before, not what there is.
//!
//! Of every key the flows are kept as they were sealed last. A look seals those keys again whose pieces changed, puts their flows
//! where the old ones were, and leaves all others alone. A property test holds that each look shows what finishing a copy would.

use std::collections::BTreeMap;

use crate::base::{Problem, Stamp};
use crate::flow::{Flow, FlowKey, Pieces, Quote, resolve, seal};

use super::finish::{attach, number, orphan};
use super::model::Observation;
use super::partial::Partial;

/// Flows that are put where they belong in one go.
const AT_ONCE: usize = 4096;

/// What is new since a look before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Anything may have changed.
    All,
    /// Only flows of these keys have.
    Keys(Vec<FlowKey>),
}

/// What looks before showed, by place of the key in the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    /// Of each place the order of its flows, by which an observation is sorted.
    shown: Vec<Vec<Stamp>>,
    /// ICMP errors that no flow of a key can have caused, where there are some.
    orphans: BTreeMap<usize, Vec<Quote>>,
    /// Keys whose flows later fragments were added to.
    attached: Vec<FlowKey>,
    /// How often the store had been renumbered.
    renumbered: u64,
}

/// A flow's place in an observation.
type Order = (Stamp, FlowKey, u32);

fn order(f: &Flow) -> Order {
    (f.first, f.key, f.ordinal)
}

/// What a look found.
#[derive(Default)]
struct Found {
    keys: Vec<FlowKey>,
    gone: Vec<Order>,
    new: Vec<Flow>,
}

impl Looks {
    /// Brings `seen` up to date: its flows and the problems that come from resolving. It must be what the look before left.
    /// `own` are the input's own problems.
    pub(super) fn look(
        &mut self,
        partial: &mut Partial,
        seen: &mut Observation,
        own: impl IntoIterator<Item = Problem>,
    ) -> Changes {
        let whole = self.renumbered != partial.store.renumbered();
        if whole {
            *self = Self { renumbered: partial.store.renumbered(), ..Self::default() };
            seen.flows.clear();
            partial.store.touch_all();
        }
        // What was attached is attached anew: a key without it is the one to begin from.
        std::mem::take(&mut self.attached).iter().for_each(|key| partial.store.touch(key));
        let mut found = Found::default();
        partial.store.changed(|place, key, pieces| {
            self.resolve(place, *key, pieces.clone(), &mut found);
            if found.new.len() >= AT_ONCE {
                found.put(&mut seen.flows);
            }
        });
        found.put(&mut seen.flows);
        let mut keys = found.keys;
        let mut problems = partial.problems_so_far();
        own.into_iter().for_each(|p| problems.add(p));
        self.orphans.values().flatten().for_each(|q| problems.add(orphan(q)));
        let resolved = partial.fragments.clone().resolve();
        self.attached = resolved.attached.iter().map(|a| a.0).collect();
        self.attached.sort_unstable();
        self.attached.dedup();
        keys.extend_from_slice(&self.attached);
        attach(&mut seen.flows, &mut problems, resolved);
        seen.problems = problems.iter().collect();
        if whole { Changes::All } else { Changes::Keys(keys) }
    }

    fn resolve(&mut self, place: usize, key: FlowKey, pieces: Pieces, found: &mut Found) {
        if self.shown.len() <= place {
            self.shown.resize(place + 1, Vec::new());
        }
        let (instances, orphans) = resolve(&key, pieces);
        if orphans.is_empty() {
            self.orphans.remove(&place);
        } else {
            self.orphans.insert(place, orphans);
        }
        let mut flows: Vec<Flow> = instances.into_iter().filter_map(|i| seal(key, i)).collect();
        number(&mut flows);
        if let Some(shown) = self.shown.get_mut(place) {
            let before = std::mem::replace(shown, flows.iter().map(|f| f.first).collect());
            found.gone.extend((1..).zip(before).map(|(n, first)| (first, key, n)));
        }
        found.keys.push(key);
        found.new.append(&mut flows);
    }
}

impl Found {
    /// Puts new flows in the place of those that are gone, and the rest where they belong.
    fn put(&mut self, flows: &mut Vec<Flow>) {
        let (mut gone, mut new) = (std::mem::take(&mut self.gone), std::mem::take(&mut self.new));
        gone.sort_unstable();
        new.sort_by_key(order);
        let mut gone = gone.into_iter().peekable();
        let (mut left, mut added) = (Vec::new(), Vec::new());
        for flow in new {
            let at = order(&flow);
            while let Some(old) = gone.next_if(|g| *g < at) {
                left.push(old);
            }
            let same = gone.next_if(|g| *g == at).and_then(|g| flows.binary_search_by_key(&g, order).ok());
            match same.and_then(|i| flows.get_mut(i)) {
                Some(home) => *home = flow,
                None => added.push(flow),
            }
        }
        left.extend(gone);
        if !left.is_empty() {
            flows.retain(|f| left.binary_search(&order(f)).is_err());
        }
        let in_order = flows.last().zip(added.first()).is_none_or(|(last, first)| order(last) < order(first));
        if flows.capacity() < flows.len() + added.len() {
            // Flows are large: doubling would waste as much as they are.
            flows.reserve_exact(added.len() + flows.len() / 8);
        }
        flows.append(&mut added);
        if !in_order {
            // Two runs, each in order: merging them is what this sort does.
            flows.sort_by_key(order);
        }
    }
}
