//! Numbers of entries by the hash of their keys.
//!
//! Open addressing over slots that hold half of a hash and a number: a look touches one line of it, almost never a wrong entry, and
//! both can be fetched before they are needed. Where there are millions of keys, that is what a packet of one costs. The half that is
//! held is the one that chooses the slot, so that the index grows without a look at any key.

use crate::base::fetch;

/// The half of a hash that a slot holds. What is below it is never 0 in a slot that is taken; here it is the number plus one.
pub(super) const TAG: u64 = !0 << 32;

/// Puts what belongs below the tag into the first empty slot from a hash's own on; there is one.
pub(super) fn put(slots: &mut [u64], hash: u64, below: u64) {
    let mask = slots.len().wrapping_sub(1);
    let mut at = home(hash) & mask;
    while let Some(slot) = slots.get_mut(at) {
        if *slot == 0 {
            *slot = hash & TAG | below;
            return;
        }
        at = (at + 1) & mask;
    }
}

/// The index. It may be rebuilt, and nothing is ever removed.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    slots: Vec<u64>,
    used: usize,
}

impl Index {
    /// The number under a hash for which `is` is true.
    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = home(hash) & mask;
        loop {
            let slot = *self.slots.get(at).filter(|s| **s != 0)?;
            let number = low(slot & !TAG) - 1;
            if (slot ^ hash) & TAG == 0 && is(number) {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a number, less than 2^32 - 1.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        if 4 * (self.used + 1) > 3 * self.slots.len() {
            let more = (2 * self.slots.len()).max(64);
            let old = std::mem::replace(&mut self.slots, vec![0; more]);
            for slot in old.into_iter().filter(|s| *s != 0) {
                put(&mut self.slots, slot, slot & !TAG);
            }
        }
        put(&mut self.slots, hash, u64::from(number) + 1);
        self.used += 1;
    }

    /// Forgets all numbers.
    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
        self.used = 0;
    }

    /// Has the slot of a hash fetched.
    #[inline]
    pub(super) fn fetch(&self, hash: u64) {
        fetch(&self.slots, home(hash) & self.slots.len().wrapping_sub(1));
    }

    /// The number that a hash most likely leads to.
    #[inline]
    pub(super) fn guess(&self, hash: u64) -> Option<usize> {
        self.find(hash, |_| true)
    }
}

/// Where the slots for a hash begin, before the mask.
#[inline(always)]
pub(super) const fn home(hash: u64) -> usize {
    low(hash >> 32)
}

#[expect(clippy::cast_possible_truncation, reason = "numbers below 2^32")]
#[inline(always)]
pub(super) const fn low(n: u64) -> usize {
    n as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_found_by_its_hash_and_key_even_among_equal_hashes() {
        // Few hashes, so that many keys share one, and slots run on into each other.
        let hash = |n: usize| ((n as u64 % 13) << 32) | (n as u64 % 97) << 36;
        let mut index = Index::default();
        assert_eq!(index.find(0, |_| true), None);
        for n in 0..1000_u32 {
            index.insert(hash(n as usize), n);
        }
        for n in 0..1000 {
            assert_eq!(index.find(hash(n), |m| m == n), Some(n));
            assert!(index.guess(hash(n)).is_some_and(|m| hash(m) & TAG == hash(n) & TAG));
        }
        assert_eq!(index.find(hash(5), |_| false), None);
        index.clear();
        assert_eq!(index.find(hash(5), |_| true), None);
        index.insert(hash(7), 7);
        assert_eq!(index.find(hash(7), |_| true), Some(7));
    }
}
