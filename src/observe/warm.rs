//! The flows whose packets may take the short way, by what their packets say.

use crate::base::InputId;
use crate::flow::{Hot, Pair, Pair6, Seeds, Tuple};

use super::firsts::Firsts;
use super::index::{TAG, home, low, put};

/// Hot records, each of an entry of the store, and an index over them.
///
/// The index is open addressing over slots that hold half of a hash, and a record's number plus one with the direction in the lowest
/// bit. A flow has two, one for each direction, so that a packet is found by the bytes of its header as they lie: nothing is put in
/// order first.
#[derive(Clone, Debug, Default)]
pub(super) struct Warm {
    slots: Vec<u64>,
    pub(super) records: Vec<Hot>,
    /// By record.
    tuples: Vec<Tuple>,
    pub(super) firsts: Firsts,
    /// The input all hot records are of.
    pub(super) input: Option<InputId>,
    /// Frames of several inputs, or stretches appended: stamps do not grow with time.
    pub(super) mixed: bool,
}

/// Number of no record.
pub(super) const COLD: u32 = u32::MAX;

impl Warm {
    /// One that stays empty.
    pub(super) fn closed() -> Self {
        Self { mixed: true, ..Self::default() }
    }

    /// The record of a packet over IPv4, and whether side B sent it.
    #[inline(always)]
    pub(super) fn find_v4(&self, seeds: &Seeds, pair: Pair) -> Option<(usize, bool)> {
        self.find(seeds.way(pair), |_, hot, from_b| hot.is(pair, from_b))
    }

    /// The same of a packet over IPv6.
    #[inline]
    pub(super) fn find_v6(&self, seeds: &Seeds, pair: &Pair6) -> Option<(usize, bool)> {
        self.find(seeds.way_v6(pair), |number, _, from_b| {
            let pair = if from_b { pair.turned() } else { *pair };
            self.tuples.get(number) == Some(&Tuple::V6(pair))
        })
    }

    #[inline(always)]
    fn find(&self, hash: u64, is: impl Fn(usize, &Hot, bool) -> bool) -> Option<(usize, bool)> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = home(hash) & mask;
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            let (number, from_b) = (low((slot & !TAG) >> 1).wrapping_sub(1), slot & 1 == 1);
            if (slot ^ hash) & TAG == 0
                && let Some(hot) = self.records.get(number)
                && is(number, hot, from_b)
            {
                return Some((number, from_b));
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a record; its number. There are fewer than 2^31.
    pub(super) fn insert(&mut self, seeds: &Seeds, tuple: Tuple, hash: u64, place: u32) -> u32 {
        let Some(number) = u32::try_from(self.records.len()).ok().filter(|n| *n < u32::MAX / 2 - 1) else {
            return COLD;
        };
        self.records.push(Hot::new(tuple, hash, place));
        self.tuples.push(tuple);
        if self.slots.len() < 4 * self.records.len() {
            self.slots = vec![0; (8 * self.records.len()).next_power_of_two().max(64)];
            (0..=number).for_each(|n| self.place(seeds, n));
        } else {
            self.place(seeds, number);
        }
        number
    }

    fn place(&mut self, seeds: &Seeds, number: u32) {
        let n = number as usize;
        let Some(tuple) = self.tuples.get(n) else { return };
        // Both are the same where a host talks to itself from and to one port: then the first is found.
        let ways = match tuple {
            Tuple::V4(pair) => [seeds.way(*pair), seeds.way(pair.turned())],
            Tuple::V6(pair) => [seeds.way_v6(pair), seeds.way_v6(&pair.turned())],
        };
        let numbered = (u64::from(number) + 1) << 1;
        put(&mut self.slots, ways[0], numbered);
        put(&mut self.slots, ways[1], numbered | 1);
    }
}
