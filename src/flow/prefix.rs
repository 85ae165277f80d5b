//! The first payload bytes of one side, for application evidence.
//!
//! Kept is what was captured of the first so-many *distinct* bytes in the order they arrived, whatever their sequence numbers.
//! That is the one rule that needs no knowledge of where the stream began (a later piece does not have it) and still obeys the
//! append law: of the first `cap` distinct bytes of a later piece at most as many are already known as the earlier piece holds,
//! so what is left always fills the room that is left. Bytes count as they were on the wire: a short snaplen must not stretch
//! the beginning of a stream over megabytes.

use crate::base::{FrameRef, InputId, Stamp, Time};

use super::intervals::Intervals;
use super::row::{Cursor, Row};
use super::shift::Shift;
use super::told::{Opening, Openings};

/// A run of bytes as one packet brought them. Short segments make hundreds of them per side, so a stamp is taken apart to leave no
/// holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    off: i64,
    time: Time,
    frame: u64,
    input: InputId,
    /// Bytes captured, from `off` on.
    len: u16,
    /// Bytes on the wire.
    wire: u16,
}

const _: () = assert!(size_of::<Run>() == 32, "no holes");

impl Run {
    /// Bytes on the wire, at most.
    const MOST: usize = u16::MAX as usize;

    fn len(&self) -> usize {
        usize::from(self.len)
    }

    const fn at(&self) -> Stamp {
        Stamp { time: self.time, at: FrameRef { input: self.input, frame: self.frame } }
    }
}

/// First distinct bytes in order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefix {
    bytes: Vec<u8>,
    runs: Vec<Run>,
    /// Distinct bytes on the wire that `runs` stand for.
    used: usize,
    held: Intervals,
    /// What is left of the bytes once they are sealed.
    openings: Openings,
}

impl Prefix {
    /// Takes what is new of a segment at offset `off`, as long as there is room. `data` may be shorter than the segment's
    /// length on the wire.
    pub(crate) fn add(&mut self, off: i64, data: &[u8], wire: usize, at: Stamp, cap: usize) {
        let mut room = self.room(cap);
        if room == 0 || wire == 0 {
            return;
        }
        let end = off.saturating_add_unsigned(wire as u64);
        // In order, which most data is: all of it is new.
        if self.held.highest().is_none_or(|highest| off >= highest) {
            let wire = wire.min(room);
            self.take(off, data.get(..wire).unwrap_or(data), wire, at);
            self.held.insert(off, off.saturating_add_unsigned(wire as u64));
            return;
        }
        let mut taken = Vec::new();
        let missing: Vec<_> = self.held.missing(off, end).collect();
        for (lo, hi) in missing {
            let from = index(lo, off);
            let wire = index(hi, lo).min(room);
            if wire == 0 {
                break;
            }
            let part = data.get(from.min(data.len())..data.len().min(from.saturating_add(wire))).unwrap_or(&[]);
            room -= wire;
            self.take(lo, part, wire, at);
            taken.push((lo, lo.saturating_add_unsigned(wire as u64)));
        }
        taken.into_iter().for_each(|(lo, hi)| self.held.insert(lo, hi));
    }

    /// Takes what is new of segments that follow each other, as [`Self::add`] would of one after the other. In order, which most
    /// are, what is held is noted down once.
    pub(crate) fn add_all<'a>(&mut self, all: impl Iterator<Item = (i64, &'a [u8], usize, Stamp)>, cap: usize) {
        let mut fresh: Option<(i64, i64)> = None;
        for (off, data, wire, at) in all {
            let room = self.room(cap);
            if room == 0 {
                break;
            }
            let follows = match fresh {
                Some((_, end)) => off == end,
                None => self.held.highest().is_none_or(|highest| off >= highest),
            };
            if follows {
                let wire = wire.min(room);
                self.take(off, data.get(..wire).unwrap_or(data), wire, at);
                fresh = Some((fresh.map_or(off, |f| f.0), off.saturating_add_unsigned(wire as u64)));
            } else {
                fresh.take().into_iter().for_each(|(lo, hi)| self.held.insert(lo, hi));
                self.add(off, data, wire, at, cap);
            }
        }
        fresh.into_iter().for_each(|(lo, hi)| self.held.insert(lo, hi));
    }

    #[inline]
    fn take(&mut self, off: i64, part: &[u8], wire: usize, at: Stamp) {
        if wire == 0 {
            return;
        }
        self.used += wire;
        self.bytes.extend_from_slice(part);
        let Stamp { time, at: FrameRef { input, frame } } = at;
        if let (Ok(len), Ok(wire)) = (u16::try_from(part.len()), u16::try_from(wire)) {
            self.runs.push(Run { off, time, frame, input, len, wire });
            return;
        }
        let mut before = 0;
        while before < wire {
            let step = (wire - before).min(Run::MOST);
            let len = part.len().saturating_sub(before).min(step);
            // Both are at most what fits.
            let (len, short) = (u16::try_from(len).unwrap_or(u16::MAX), u16::try_from(step).unwrap_or(u16::MAX));
            self.runs.push(Run {
                off: off.saturating_add_unsigned(before as u64),
                time,
                frame,
                input,
                len,
                wire: short,
            });
            before += step;
        }
    }

    /// Makes room for so many runs of so many bytes that will be added, and for little more: what is left over counts where there
    /// are many flows.
    pub(crate) fn reserve(&mut self, runs: usize, bytes: usize) {
        make_room(&mut self.runs, runs);
        make_room(&mut self.bytes, bytes);
    }

    /// How many runs and bytes are held.
    pub(crate) const fn size(&self) -> (usize, usize) {
        (self.runs.len(), self.bytes.len())
    }

    /// Bytes on the wire for which there is room.
    pub(crate) const fn room(&self, cap: usize) -> usize {
        cap.saturating_sub(self.used)
    }

    /// Takes in a later prefix, moved up by `by`.
    pub(crate) fn append(&mut self, later: &Self, by: i64, cap: usize) {
        if self.runs.is_empty() && self.openings == Openings::default() && by == 0 {
            self.clone_from(later);
            return;
        }
        self.openings.append(&later.openings, by);
        let mut at = 0;
        let runs = later.runs.iter().map(|r| {
            let data = later.bytes.get(at..at + r.len()).unwrap_or(&[]);
            at += r.len();
            (r.off.saturating_add(by), data, usize::from(r.wire), r.at())
        });
        self.add_all(runs, cap);
    }

    /// Offset, bytes and stamp of each run, in order of arrival.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (i64, &[u8], Stamp)> {
        let mut at = 0;
        self.runs.iter().map(move |r| {
            let bytes = self.bytes.get(at..at + r.len()).unwrap_or(&[]);
            at += r.len();
            (r.off, bytes, r.at())
        })
    }

    /// Whether no bytes are held.
    pub(crate) const fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Drops the bytes; what they were is noted where it is known.
    pub(crate) fn seal(&mut self, opening: Option<(i64, Opening)>) {
        let mut openings = std::mem::take(&mut self.openings);
        if let Some((off, is)) = opening {
            openings.note(off, is);
        }
        *self = Self { openings, ..Self::default() };
    }

    /// What sealed bytes were.
    pub(crate) const fn openings(&self) -> &Openings {
        &self.openings
    }

    /// Writes what is left once it is sealed.
    pub(crate) fn write(&self, row: &mut Row) {
        self.openings.write(row);
    }

    pub(crate) fn read(from: &mut Cursor<'_>) -> Option<Self> {
        Some(Self { openings: Openings::read(from)?, ..Self::default() })
    }

    /// Moves the frame numbers.
    pub(crate) fn shift(&mut self, by: &Shift) {
        for run in &mut self.runs {
            let mut at = run.at();
            by.stamp(&mut at);
            (run.time, run.input, run.frame) = (at.time, at.at.input, at.at.frame);
        }
    }
}

fn make_room<T>(of: &mut Vec<T>, more: usize) {
    if of.capacity() - of.len() < more {
        of.reserve_exact(more.max(of.len() / 4));
    }
}

fn index(n: i64, base: i64) -> usize {
    usize::try_from(n.abs_diff(base)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_longer_than_a_datagram_is_held_in_parts() {
        let at = Stamp { time: Time::from_nanos(5), at: FrameRef { input: InputId(3), frame: 1 << 40 } };
        let mut prefix = Prefix::default();
        prefix.add(7, &[1; 65_536], 70_000, at, 100_000);
        let runs: Vec<_> = prefix.runs().map(|(off, bytes, at)| (off, bytes.len(), at)).collect();
        assert_eq!(runs, [(7, 65_535, at), (65_542, 1, at)]);
        assert_eq!(prefix.room(100_000), 30_000);
        let mut later = Prefix::default();
        later.add(0, &[2; 5], 5, at, 100_000);
        prefix.append(&later, 70_007, 100_000);
        assert_eq!(prefix.runs().last(), Some((70_007, &[2; 5][..], at)));
    }

    #[test]
    fn bytes_count_as_on_the_wire_and_only_captured_ones_are_kept() {
        let at = Stamp { time: Time::from_nanos(0), at: FrameRef { input: InputId(0), frame: 1 } };
        let mut prefix = Prefix::default();
        prefix.add(0, &[1; 10], 600, at, 1000);
        prefix.add(600, &[2; 10], 600, at, 1000);
        prefix.add(1200, &[3; 10], 600, at, 1000);
        let runs: Vec<_> = prefix.runs().map(|(off, bytes, _)| (off, bytes.to_vec())).collect();
        assert_eq!(runs, [(0, vec![1; 10]), (600, vec![2; 10])], "the third segment lies beyond the first 1000 bytes");
    }
}
