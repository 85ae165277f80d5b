//! The first payload bytes of one side, for application evidence.
//!
//! Kept are the first so-many *distinct* bytes in the order they arrived, whatever their sequence numbers. That is the one rule that
//! needs no knowledge of where the stream began (a later piece does not have it) and still obeys the append law: of the first
//! `cap` distinct bytes of a later piece at most as many are already known as the earlier piece holds, so what is left always
//! fills the room that is left.

use crate::base::Stamp;

use super::intervals::Intervals;
use super::shift::Shift;

/// A run of bytes as one packet brought them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    off: i64,
    len: usize,
    at: Stamp,
}

/// First distinct bytes in order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefix {
    bytes: Vec<u8>,
    runs: Vec<Run>,
    held: Intervals,
}

impl Prefix {
    /// Takes what is new of `data` at offset `off`, as long as there is room.
    pub(crate) fn add(&mut self, off: i64, data: &[u8], at: Stamp, cap: usize) {
        let mut room = cap.saturating_sub(self.bytes.len());
        if room == 0 || data.is_empty() {
            return;
        }
        let end = off.saturating_add_unsigned(data.len() as u64);
        let mut taken = Vec::new();
        for (lo, hi) in self.held.missing(off, end) {
            let from = index(lo, off);
            let part = data.get(from..index(hi, off)).unwrap_or(&[]);
            let part = part.get(..part.len().min(room)).unwrap_or(&[]);
            if part.is_empty() {
                break;
            }
            room -= part.len();
            self.bytes.extend_from_slice(part);
            self.runs.push(Run { off: lo, len: part.len(), at });
            taken.push((lo, lo.saturating_add_unsigned(part.len() as u64)));
        }
        taken.into_iter().for_each(|(lo, hi)| self.held.insert(lo, hi));
    }

    /// Takes in a later prefix, moved up by `by`.
    pub(crate) fn append(&mut self, later: &Self, by: i64, cap: usize) {
        if self.bytes.is_empty() && by == 0 {
            self.clone_from(later);
            return;
        }
        later.runs().for_each(|(off, data, at)| self.add(off.saturating_add(by), data, at, cap));
    }

    /// Offset, bytes and stamp of each run, in order of arrival.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (i64, &[u8], Stamp)> {
        let mut at = 0;
        self.runs.iter().map(move |r| {
            let bytes = self.bytes.get(at..at + r.len).unwrap_or(&[]);
            at += r.len;
            (r.off, bytes, r.at)
        })
    }

    /// Moves the frame numbers.
    pub(crate) fn shift(&mut self, by: &Shift) {
        self.runs.iter_mut().for_each(|r| by.stamp(&mut r.at));
    }
}

fn index(n: i64, base: i64) -> usize {
    usize::try_from(n.abs_diff(base)).unwrap_or(usize::MAX)
}
