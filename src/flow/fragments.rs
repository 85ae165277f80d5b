//! Later fragments, which have no ports, and the first ones that lend them theirs.
//!
//! A later fragment belongs to the last first fragment before it with the same addresses, protocol and identification, else to the
//! next one after it, and in either case to one within a minute: identifications come round. What is before the first such
//! fragment of a stretch waits for what came earlier.

use std::collections::BTreeMap;
use std::net::IpAddr;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::base::{Proto, Span, Stamp};

use super::model::{FlowKey, Side};
use super::shift::Shift;

/// How long a datagram's fragments may lie apart.
const REACH: Span = Span::from_secs(60);
/// Datagrams remembered.
const DATAGRAMS: usize = 1 << 20;
/// Fragments of one datagram that may wait: 64 KiB in smallest usual packets are 44.
const WAITING: usize = 64;
/// Attached fragments are summed over this much packet time.
const BUCKET: i64 = 10_000_000_000;

/// What the fragments of a datagram share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct DatagramKey {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) proto: Proto,
    pub(crate) id: u32,
}

/// A first fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
struct Owner {
    key: FlowKey,
    side: Side,
    at: Stamp,
}

impl Owner {
    fn reaches(&self, at: Stamp) -> bool {
        at.time.since(self.at.time) <= REACH && self.at.time.since(at.time) <= REACH
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
struct State {
    /// Before the first owner.
    lead: Vec<Stamp>,
    first: Option<Owner>,
    last: Option<Owner>,
    /// After the last owner and too late for it.
    tail: Vec<Stamp>,
}

/// Fragments attached to a side of a flow: by bucket of the owner's time, the first owner and the count.
type Attached = BTreeMap<(FlowKey, Side, i64), (Stamp, u64)>;

/// Fragments of a stretch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fragments {
    index: HashMap<DatagramKey, usize, RandomState>,
    states: Vec<(DatagramKey, State)>,
    attached: Attached,
    /// First one and count of those without an owner.
    orphans: Option<(Stamp, u64)>,
    /// Left out for lack of room.
    overflow: Option<(Stamp, u64)>,
}

/// Part of the fragments of a stretch, as saved: one datagram, one sum, or what could not be placed.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SavedFragments {
    /// A datagram's first fragments and those that wait for one.
    Datagram(DatagramKey, Waiting),
    /// Fragments of a side's datagrams: the bucket of time, the first owner, how many.
    Attached(FlowKey, Side, i64, Stamp, u64),
    /// Those without a first fragment: the first one, and how many.
    Orphans(Stamp, u64),
    /// Those left out.
    Overflow(Stamp, u64),
}

impl SavedFragments {
    /// Under other numbers of inputs; `None` where a count cannot be right.
    pub(crate) fn renumbered(mut self, by: &Shift) -> Option<Self> {
        const LARGEST: u64 = 1 << 53;
        match &mut self {
            Self::Datagram(_, Waiting(s)) => {
                s.lead.iter_mut().chain(&mut s.tail).for_each(|at| by.stamp(at));
                s.first.iter_mut().chain(&mut s.last).for_each(|o| by.stamp(&mut o.at));
            }
            Self::Attached(.., at, n) | Self::Orphans(at, n) | Self::Overflow(at, n) => {
                by.stamp(at);
                (*n <= LARGEST).then_some(())?;
            }
        }
        Some(self)
    }
}

/// See [`State`].
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub(crate) struct Waiting(State);

/// Fragments as they came out.
pub(crate) struct Resolved {
    /// Per side of a flow, in order of the owners' times.
    pub(crate) attached: Vec<(FlowKey, Side, Stamp, u64)>,
    pub(crate) orphans: Option<(Stamp, u64)>,
    pub(crate) overflow: Option<(Stamp, u64)>,
}

fn count(into: &mut Option<(Stamp, u64)>, at: Stamp, n: u64) {
    *into = Some(into.map_or((at, n), |(first, m)| (first.min(at), m.saturating_add(n))));
}

fn attach(to: &mut Attached, owner: &Owner, n: u64) {
    let bucket = owner.at.time.as_nanos().div_euclid(BUCKET);
    let entry = to.entry((owner.key, owner.side, bucket)).or_insert((owner.at, 0));
    entry.0 = entry.0.min(owner.at);
    entry.1 = entry.1.saturating_add(n);
}

impl Fragments {
    fn state(&mut self, key: DatagramKey) -> Option<usize> {
        let next = self.states.len();
        if let Some(&at) = self.index.get(&key) {
            return Some(at);
        }
        if next >= DATAGRAMS {
            return None;
        }
        self.index.insert(key, next);
        self.states.push((key, State::default()));
        Some(next)
    }

    /// A first fragment of a flow.
    pub(crate) fn first(&mut self, datagram: DatagramKey, key: FlowKey, side: Side, at: Stamp) {
        let owner = Owner { key, side, at };
        let Some(i) = self.state(datagram) else { return count(&mut self.overflow, at, 1) };
        if let Some((_, state)) = self.states.get_mut(i) {
            state.settle(&owner, &mut self.attached, &mut self.orphans);
            state.first.get_or_insert(owner);
            state.last = Some(owner);
        }
    }

    /// A later fragment.
    pub(crate) fn later(&mut self, datagram: DatagramKey, at: Stamp) {
        let Some(i) = self.state(datagram) else { return count(&mut self.overflow, at, 1) };
        if let Some((_, state)) = self.states.get_mut(i)
            && !state.later(at, &mut self.attached)
        {
            count(&mut self.overflow, at, 1);
        }
    }

    /// Takes in a later stretch.
    pub(crate) fn append(&mut self, later: Self) {
        for (key, owner) in later.attached {
            let entry = self.attached.entry(key).or_insert((owner.0, 0));
            *entry = (entry.0.min(owner.0), entry.1.saturating_add(owner.1));
        }
        if let Some((at, n)) = later.orphans {
            count(&mut self.orphans, at, n);
        }
        if let Some((at, n)) = later.overflow {
            count(&mut self.overflow, at, n);
        }
        for (key, mut more) in later.states {
            more.lead.drain(..).for_each(|at| self.later(key, at));
            let (Some(first), Some(last)) = (more.first, more.last) else { continue };
            self.first(key, first.key, first.side, first.at);
            if let Some((_, state)) = self.state(key).and_then(|i| self.states.get_mut(i)) {
                state.last = Some(last);
                state.tail = more.tail;
            }
        }
    }

    /// Moves the frame numbers.
    pub(crate) fn shift(&mut self, by: &Shift) {
        for (_, s) in &mut self.states {
            s.lead.iter_mut().chain(&mut s.tail).for_each(|at| by.stamp(at));
            s.first.iter_mut().chain(&mut s.last).for_each(|o| by.stamp(&mut o.at));
        }
        self.attached.values_mut().for_each(|(at, _)| by.stamp(at));
        self.orphans.iter_mut().chain(&mut self.overflow).for_each(|(at, _)| by.stamp(at));
    }

    /// Everything, part by part.
    pub(crate) fn parts(&self) -> impl Iterator<Item = SavedFragments> + '_ {
        let states = self.states.iter().map(|(key, s)| SavedFragments::Datagram(*key, Waiting(s.clone())));
        let attached = self.attached.iter();
        let attached =
            attached.map(|(&(key, side, bucket), &(at, n))| SavedFragments::Attached(key, side, bucket, at, n));
        let orphans = self.orphans.iter().map(|&(at, n)| SavedFragments::Orphans(at, n));
        let overflow = self.overflow.iter().map(|&(at, n)| SavedFragments::Overflow(at, n));
        states.chain(attached).chain(orphans).chain(overflow)
    }

    /// Adds a part of those that were saved; `None` where it cannot be right.
    pub(crate) fn take(&mut self, part: SavedFragments) -> Option<()> {
        match part {
            SavedFragments::Datagram(key, Waiting(state)) => {
                let bounded = state.lead.len() <= WAITING && state.tail.len() <= WAITING;
                let whole = state.first.is_some() == state.last.is_some();
                if !bounded || !whole || self.index.contains_key(&key) {
                    return None;
                }
                let place = self.state(key)?;
                self.states.get_mut(place)?.1 = state;
            }
            SavedFragments::Attached(key, side, bucket, at, n) => {
                if self.attached.len() >= DATAGRAMS || self.attached.insert((key, side, bucket), (at, n)).is_some() {
                    return None;
                }
            }
            SavedFragments::Orphans(at, n) => count(&mut self.orphans, at, n),
            SavedFragments::Overflow(at, n) => count(&mut self.overflow, at, n),
        }
        Some(())
    }

    /// Nothing more will come.
    pub(crate) fn resolve(mut self) -> Resolved {
        for (_, state) in &mut self.states {
            state.finish(&mut self.attached, &mut self.orphans);
        }
        let mut attached: Vec<_> = self.attached.into_iter().map(|((k, s, _), (at, n))| (k, s, at, n)).collect();
        attached.sort_by_key(|a| a.2);
        Resolved { attached, orphans: self.orphans, overflow: self.overflow }
    }
}

impl State {
    /// Fragments that came too late for the owner before go to the next one, or to none.
    fn settle(&mut self, owner: &Owner, attached: &mut Attached, orphans: &mut Option<(Stamp, u64)>) {
        for at in self.tail.drain(..) {
            if owner.reaches(at) {
                attach(attached, owner, 1);
            } else {
                count(orphans, at, 1);
            }
        }
    }

    /// `false` where there was no room.
    fn later(&mut self, at: Stamp, attached: &mut Attached) -> bool {
        let waiting = match &self.last {
            Some(owner) if owner.reaches(at) => {
                attach(attached, owner, 1);
                return true;
            }
            Some(_) => &mut self.tail,
            None => &mut self.lead,
        };
        let room = waiting.len() < WAITING;
        if room {
            waiting.push(at);
        }
        room
    }

    fn finish(&mut self, attached: &mut Attached, orphans: &mut Option<(Stamp, u64)>) {
        for at in self.lead.drain(..) {
            match &self.first {
                Some(owner) if owner.reaches(at) => attach(attached, owner, 1),
                _ => count(orphans, at, 1),
            }
        }
        self.tail.drain(..).for_each(|at| count(orphans, at, 1));
    }
}
