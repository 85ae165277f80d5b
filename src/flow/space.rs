//! One side's sequence space inside a piece.
//!
//! Every number in it, whether the side's own sequence numbers or the peer's acknowledgements, is unwrapped by the wrapping
//! difference to the number before it. The first number has offset 0, and a later piece is moved by the same rule, so cutting
//! a capture anywhere changes nothing. SYN and RST numbers stay out: a RST may carry anything.

use crate::base::Stamp;
use crate::capture::CountedSide;

use super::hot::{Advance, Settled};
use super::intervals::Intervals;
use super::prefix::Prefix;
use super::shift::Shift;
use super::told::Opening;
use super::trail::{Leap, Run, Trail};

mod marks;
mod saved;

use marks::Marks;

/// Intervals of covered payload kept per side.
const INTERVALS: usize = 16;

/// Numbers further apart are not compared by plain packets.
const NEAR: i64 = 1 << 30;
/// Numbers of a whole sequence space.
const TURN: i64 = 1 << 32;

/// The low half of an offset, to be added to a sequence number.
#[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
const fn low(off: i64) -> u32 {
    off.cast_unsigned() as u32
}

/// A chain of unwrapped numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chain {
    base: u32,
    last: u32,
    last_off: i64,
}

/// How far `to` lies from `from` in wrapping sequence space.
pub(crate) const fn distance(from: u32, to: u32) -> i64 {
    to.wrapping_sub(from).cast_signed() as i64
}

/// A segment as the space sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) seq: u32,
    pub(crate) len: u32,
    pub(crate) fin: bool,
    pub(crate) ack: bool,
    pub(crate) data: &'a [u8],
    pub(crate) at: Stamp,
    /// Evidence bytes to keep.
    pub(crate) cap: usize,
}

/// The sequence space of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Space {
    chain: Option<Chain>,
    /// Payload seen.
    covered: Intervals,
    /// Bytes of the segments in `covered`, repeats included.
    payload: u64,
    /// Sequence numbers of this side's segments with ACK.
    pub(crate) sent: Marks,
    /// The peer's acknowledgements.
    pub(crate) acked: Marks,
    /// Offset and length of the first segment, end of the latest.
    opening: Option<(i64, u32)>,
    end: i64,
    /// Segments of one byte just below the end of the segment before them.
    keepalives: u64,
    /// Highest number taken by a FIN.
    fin: Option<i64>,
    prefix: Prefix,
    inexact: bool,
    /// First segment with payload.
    lead: Option<(i64, Stamp)>,
    /// Length of the largest segment, and where the first one of that length began.
    largest: (u32, i64),
    trail: Option<Box<Trail>>,
    /// How far this side was when the peer first sent a RST.
    reset: Option<Reach>,
}

/// How far a side was at some moment: what it had sent, and what of it was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    sent: Option<i64>,
    acked: Option<i64>,
}

impl Reach {
    fn max(self, other: Self) -> Self {
        Self { sent: self.sent.max(other.sent), acked: self.acked.max(other.acked) }
    }

    fn up(self, by: i64) -> Self {
        let up = |n: i64| n.saturating_add(by);
        Self { sent: self.sent.map(up), acked: self.acked.map(up) }
    }
}

impl Space {
    fn unwrap(&mut self, n: u32) -> i64 {
        let chain = self.chain.get_or_insert(Chain { base: n, last: n, last_off: 0 });
        chain.last_off = chain.last_off.saturating_add(distance(chain.last, n));
        chain.last = n;
        chain.last_off
    }

    /// The peer acknowledged `n`.
    pub(crate) fn acknowledge(&mut self, n: u32, at: Stamp) {
        let off = self.unwrap(n);
        self.acked.note(off, at);
    }

    /// This side sent a segment.
    pub(crate) fn segment(&mut self, s: &Segment<'_>) {
        let off = self.unwrap(s.seq);
        let end = off.saturating_add(i64::from(s.len));
        if s.ack {
            self.sent.note(off, s.at);
        }
        self.keepalives += u64::from(self.opening.is_some() && is_keepalive(off, s.len, self.end));
        self.note(off, s);
        self.opening.get_or_insert((off, s.len));
        self.end = end;
        if s.fin {
            self.fin = self.fin.max(Some(end));
            self.end = end.saturating_add(1);
        }
        if s.len > 0 {
            self.cover(off, s.len);
            self.prefix.add(off, s.data, s.len as usize, s.at, s.cap);
        }
    }

    /// Notes what a segment with payload says beyond its bytes.
    fn note(&mut self, off: i64, s: &Segment<'_>) {
        if s.len == 0 {
            return;
        }
        if self.opening.is_some() && steps_back(off, s.len, self.end) {
            self.trail.get_or_insert_default().back(Run::new(off, s.len, s.at));
        }
        if let Some(from) = self.covered.highest().filter(|from| off > *from) {
            self.trail.get_or_insert_default().leap(Leap { from, to: off, at: s.at });
        }
        self.lead.get_or_insert((off, s.at));
        if s.len > self.largest.0 {
            self.largest = (s.len, off);
        }
    }

    /// The peer sent its first RST.
    pub(crate) fn reset(&mut self) {
        self.reset = Some(self.reach());
    }

    /// How far this side is.
    fn reach(&self) -> Reach {
        Reach { sent: self.covered.highest(), acked: self.acked.highest() }
    }

    /// The peer's first RST lies in a later stretch or, unset, in this one or in none.
    fn append_reset(&mut self, later: Option<Reach>, by: i64, first: bool) {
        if first {
            self.reset = Some(self.reach().max(later.unwrap_or_default().up(by)));
        }
    }

    /// The peer reset before anything of this side was seen.
    pub(crate) fn forget_reset(&mut self) {
        self.reset = None;
    }

    fn cover(&mut self, off: i64, len: u32) {
        self.payload = self.payload.saturating_add(u64::from(len));
        self.covered.insert(off, off.saturating_add(i64::from(len)));
        self.inexact |= self.covered.limit(INTERVALS);
    }

    /// Takes in the same side's space of a later piece. `reset`: the peer's first RST lies in that piece.
    pub(crate) fn append(&mut self, later: &Self, cap: usize, reset: bool) {
        let Some(next) = later.chain else {
            self.append_reset(later.reset, 0, reset);
            return;
        };
        let Some(chain) = self.chain else {
            let own = if reset { later.reset } else { self.reset };
            self.clone_from(later);
            self.reset = own;
            return;
        };
        let by = chain.last_off.saturating_add(distance(chain.last, next.base));
        self.append_reset(later.reset, by, reset);
        self.append_trail(later, by);
        self.chain = Some(Chain { base: chain.base, last: next.last, last_off: next.last_off.saturating_add(by) });
        self.inexact |= later.inexact;
        self.inexact |= !self.sent.append(&later.sent, by) | !self.acked.append(&later.acked, by);
        self.covered.merge(&later.covered, by);
        self.inexact |= self.covered.limit(INTERVALS);
        self.payload = self.payload.saturating_add(later.payload);
        self.keepalives += later.keepalives;
        if let Some((off, len)) = later.opening {
            let known = self.opening.is_some();
            self.keepalives += u64::from(known && is_keepalive(off.saturating_add(by), len, self.end));
            self.opening.get_or_insert((off.saturating_add(by), len));
            self.end = later.end.saturating_add(by);
        }
        self.fin = self.fin.max(later.fin.map(|f| f.saturating_add(by)));
        self.prefix.append(&later.prefix, by, cap);
    }

    /// What plain packets would change; `None` where the numbers are not all near the end of what was sent, or a FIN was seen.
    pub(crate) fn settled(&self, cap: usize) -> Option<Settled> {
        let chain = self.chain?;
        let edge = self.covered.highest().or(self.sent.highest()).or(self.acked.highest())?;
        let number = |off: i64| chain.last.wrapping_add(low(off.wrapping_sub(chain.last_off)));
        let near = |off: i64| (0..NEAR).contains(&edge.saturating_sub(off));
        let mark = |m: &Marks| m.top.map(|(off, at)| (number(off), at));
        let tops = [self.sent.highest(), self.acked.highest(), Some(chain.last_off)];
        if self.fin.is_some() || self.end > edge || !tops.into_iter().flatten().all(near) {
            return None;
        }
        Some(Settled {
            edge: number(edge),
            sent: mark(&self.sent),
            acked: mark(&self.acked),
            sent_full: self.sent.is_full(),
            acked_full: self.acked.is_full(),
            has_payload: self.covered.highest().is_some(),
            room: self.prefix.room(cap),
            largest: self.largest.0,
        })
    }

    /// Takes in what plain packets changed since [`Space::settled`].
    pub(crate) fn advance(&mut self, by: &Advance) {
        let Some(chain) = self.chain else { return };
        let from = self.covered.highest().or(self.sent.highest()).or(self.acked.highest()).unwrap_or(0);
        let offset = |n: u32| chain.last_off.saturating_add(distance(chain.last, n));
        let edge = from.saturating_add(i64::from(by.payload));
        if by.payload > 0 {
            self.payload = self.payload.saturating_add(u64::from(by.payload));
            self.covered.insert(from, edge);
            if by.largest.0 > self.largest.0 {
                self.largest = (by.largest.0, from.saturating_add(i64::from(by.largest.1)));
            }
        }
        // Near the new edge, which may be far from the old one.
        let ahead = |n: u32| {
            let seen = offset(n);
            let turns = edge.saturating_sub(seen).saturating_add(TURN / 2).div_euclid(TURN);
            seen.saturating_add(turns.saturating_mul(TURN))
        };
        if let Some((n, at)) = by.sent {
            self.sent.top = Some((ahead(n), at));
            self.end = edge;
        }
        if let Some((n, at)) = by.acked {
            self.acked.top = Some((ahead(n), at));
        }
        self.chain = Some(Chain { base: chain.base, last: by.last, last_off: ahead(by.last) });
    }

    /// Takes in segments of this side that were counted: each begins where the one before it ended, and none is the largest,
    /// opens anything, or carries bytes that are wanted.
    pub(crate) fn counted(&mut self, s: &CountedSide, rose: Stamp) {
        let [.., a, b, c, d] = s.payload.to_be_bytes();
        let off = self.unwrap(s.edge.wrapping_sub(u32::from_be_bytes([a, b, c, d])));
        let end = off.saturating_add_unsigned(s.payload);
        if s.payload > 0 {
            self.payload = self.payload.saturating_add(s.payload);
            self.covered.insert(off, end);
            self.inexact |= self.covered.limit(INTERVALS);
        }
        self.sent.note(end.saturating_add(distance(s.edge, s.sent.0)), rose);
        self.opening.get_or_insert((off, 0));
        self.end = end;
        if let Some(chain) = &mut self.chain {
            (chain.last, chain.last_off) = (s.edge, end);
        }
    }

    /// Makes room for first bytes: so many runs of so many.
    pub(crate) fn make_room(&mut self, runs: usize, bytes: usize) {
        self.prefix.reserve(runs, bytes);
    }

    /// Keeps payload of plain packets: each with how many bytes behind the end of what was covered it begins, what was captured
    /// of it, and its length on the wire.
    pub(crate) fn keep<'a>(&mut self, all: impl Iterator<Item = (u32, &'a [u8], u32, Stamp)>, cap: usize) {
        let edge = self.covered.highest().unwrap_or(0);
        let off = |pending: u32| edge.saturating_add(i64::from(pending));
        self.prefix.add_all(all.map(|(pending, data, wire, at)| (off(pending), data, wire as usize, at)), cap);
    }

    /// Takes in what a later piece left behind, before anything else of it is.
    fn append_trail(&mut self, later: &Self, by: i64) {
        let edge = self.covered.highest();
        if let (Some((off, len)), Some((_, at))) = (later.opening.filter(|o| o.1 > 0), later.lead) {
            let off = off.saturating_add(by);
            if self.opening.is_some() && steps_back(off, len, self.end) {
                self.trail.get_or_insert_default().back(Run::new(off, len, at));
            }
        }
        if let (Some(from), Some((to, at))) = (edge, later.lead.map(|(off, at)| (off.saturating_add(by), at)))
            && to > from
        {
            self.trail.get_or_insert_default().leap(Leap { from, to, at });
        }
        if let Some(more) = &later.trail {
            self.trail.get_or_insert_default().append(more, by, edge);
        }
        self.lead = self.lead.or(later.lead.map(|(off, at)| (off.saturating_add(by), at)));
        if later.largest.0 > self.largest.0 {
            self.largest = (later.largest.0, later.largest.1.saturating_add(by));
        }
    }

    /// Moves the frame numbers.
    pub(crate) fn shift(&mut self, by: &Shift) {
        self.lead.iter_mut().for_each(|l| by.stamp(&mut l.1));
        self.trail.iter_mut().for_each(|t| t.shift(by));
        self.sent.shift(by);
        self.acked.shift(by);
        self.prefix.shift(by);
    }

    /// Whether any number was met: offsets mean something.
    pub(crate) const fn is_begun(&self) -> bool {
        self.chain.is_some()
    }

    /// Drops the payload; what its first bytes were is noted where it is known.
    pub(crate) fn seal(&mut self, opening: Option<(i64, Opening)>) {
        self.prefix.seal(opening);
    }

    /// Adds what SYNs carried (TCP Fast Open), once it is known whose they are.
    pub(crate) fn cover_syn(&mut self, start: i64, largest: u32, total: u64) {
        if total > 0 {
            self.cover(start, largest);
            self.payload = self.payload.saturating_add(total.saturating_sub(u64::from(largest)));
        }
    }

    /// The offset of a sequence number near the beginning; 0 where nothing was seen.
    pub(crate) fn offset(&self, n: u32) -> i64 {
        self.chain.map_or(0, |c| distance(c.base, n))
    }

    /// First payload byte seen.
    pub(crate) fn first_byte(&self) -> Option<i64> {
        self.covered.lowest()
    }

    /// Where this side's stream was when first seen, for want of its ISN.
    pub(crate) fn opening(&self) -> Option<i64> {
        self.opening.map(|o| o.0)
    }

    /// Payload beyond that of distinct sequence numbers; keepalive probes are none.
    pub(crate) fn retransmitted(&self) -> u64 {
        self.payload.saturating_sub(self.covered.total()).saturating_sub(self.keepalives)
    }

    /// Bytes from `start` on that the peer acknowledged and that were never seen. A hole of one byte at the very start of a
    /// stream whose beginning is not known (`exact` unset) is a keepalive probe's, whose number lies one below the next byte.
    pub(crate) fn unseen(&self, start: i64, exact: bool) -> u64 {
        let Some(acked) = self.acked.highest() else { return 0 };
        let hole = |(lo, hi): (i64, i64)| {
            let fin = self.fin.is_some_and(|f| lo <= f && f < hi);
            let probe = !exact && (lo, hi) == (start, start.saturating_add(1));
            if probe { 0 } else { hi.abs_diff(lo) - u64::from(fin) }
        };
        let holes = self.covered.missing(start, acked).map(hole).fold(0, u64::saturating_add);
        holes.saturating_add(self.covered.closed())
    }

    /// Whether the counts are approximate.
    pub(crate) const fn inexact(&self) -> bool {
        self.inexact
    }

    /// The sequence number at an offset.
    pub(crate) fn number(&self, off: i64) -> u32 {
        // Sequence numbers are offsets modulo 2^32: the lower half is all that is wanted.
        let [.., a, b, c, d] = off.to_be_bytes();
        self.chain.map_or(0, |chain| chain.base.wrapping_add(u32::from_be_bytes([a, b, c, d])))
    }

    /// The offset of a sequence number near the newest one.
    pub(crate) fn near(&self, n: u32) -> Option<i64> {
        self.chain.map(|c| c.last_off.saturating_add(distance(c.last, n)))
    }

    /// Length of the largest segment.
    pub(crate) const fn largest(&self) -> u32 {
        self.largest.0
    }

    /// End of the payload seen.
    pub(crate) fn edge(&self) -> Option<i64> {
        self.covered.highest()
    }

    /// The run of sendings of the byte at `frontier`, and whether no segment of its length began below that byte.
    pub(crate) fn run_at(&self, frontier: i64) -> Option<(&Run, bool)> {
        let run = self.trail.as_ref()?.run.as_ref()?;
        let holds = run.off <= frontier && frontier < run.off.saturating_add(i64::from(run.len));
        holds.then_some((run, run.len >= self.largest.0 && self.largest.1 >= frontier))
    }

    /// Bytes from `frontier` on that were skipped and never seen, and when later ones were. `start`: where the stream began,
    /// where that is known.
    pub(crate) fn hole_at(&self, frontier: i64, start: Option<i64>) -> Option<(u64, Stamp)> {
        let leaps = self.trail.as_ref().map_or(&[][..], |t| t.leaps.as_slice());
        let leap = leaps.iter().find(|l| l.from == frontier).map(|l| (l.to, l.at));
        let (to, at) = leap.or_else(|| self.lead.filter(|l| start == Some(frontier) && l.0 > frontier))?;
        let (lo, hi) = self.covered.missing(frontier, to).next()?;
        (lo == frontier).then(|| (hi.abs_diff(lo), at))
    }

    /// Bytes this side had sent and the peer had not acknowledged when it first sent a RST that acknowledges `ack`.
    pub(crate) fn in_flight_at_reset(&self, start: i64, ack: Option<u32>) -> u64 {
        let Some(Reach { sent: Some(sent), acked }) = self.reset else { return 0 };
        let told = ack.and_then(|n| self.near(n));
        let acked = acked.max(told).unwrap_or(start).max(start);
        if sent > acked { sent.abs_diff(acked) } else { 0 }
    }

    /// The first payload bytes.
    pub(crate) const fn prefix(&self) -> &Prefix {
        &self.prefix
    }
}

/// Whether a segment with payload begins below the end of the one before it. A keepalive does and sends nothing again.
const fn steps_back(off: i64, len: u32, end: i64) -> bool {
    off < end && !is_keepalive(off, len, end)
}

const fn is_keepalive(off: i64, len: u32, end: i64) -> bool {
    len == 1 && off.saturating_add(1) == end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::{FrameRef, InputId, Time};

    fn space(numbers: &[(u64, u32)]) -> Space {
        let mut space = Space::default();
        for &(frame, n) in numbers {
            let at = Stamp { time: Time::from_nanos(0), at: FrameRef { input: InputId(0), frame } };
            space.acknowledge(n, at);
        }
        space
    }

    proptest! {
        #[test]
        fn marks_of_a_cut_capture_are_those_of_the_whole_or_marked(
            numbers in prop::collection::vec(0..40_u32, 1..40),
            cut in any::<usize>(),
        ) {
            let numbers: Vec<(u64, u32)> = (1..).zip(numbers).collect();
            let (early, late) = numbers.split_at(cut % numbers.len());
            let (whole, mut cut) = (space(&numbers), space(early));
            cut.append(&space(late), 0, false);
            prop_assert!(cut.inexact() || cut == whole, "{cut:?}\n{whole:?}");
        }
    }

    #[test]
    fn marks_that_may_be_missing_are_owned_up_to() {
        let late = [(2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 900)];
        let mut cut = space(&[(1, 800)]);
        cut.append(&space(&late), 0, false);
        assert!(cut.inexact(), "the mark at 900 was beyond the four that the later piece kept");
        assert_eq!(cut.acked.highest(), Some(100), "the highest is exact all the same");
    }
}
