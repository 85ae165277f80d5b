//! The first bytes one side sent, kept by offset until the parsers run.
//!
//! The law: per offset, the byte and stamp that were inserted first stay. It makes insertion in any grouping equal, which is what
//! threads and appended captures rely on, and it keeps what the receiver most likely saw when a sender repeats with other
//! bytes.

use crate::base::Stamp;

/// Bytes one side sent, by offset from a base of the caller's choice, gaps possible.
///
/// Offsets are signed, so that a stream whose base is only the first packet seen can keep what belongs before it until the base
/// is known ([`Self::around`], [`Self::shift_by`], [`Self::clip`]). Where [`Self::from_start`] is set, offset 0 is the byte at
/// ISN + 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    lo: i64,
    hi: i64,
    from_start: bool,
    sent: u64,
    /// By offset, with a gap between any two.
    pieces: Vec<Piece>,
}

/// Contiguous bytes of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Offset of the first byte.
    pub offset: i64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Who brought them: each stamp holds from its index in `bytes` to the next one's; the first index is 0. Neighbours have
    /// different stamps, so that equal content is equal.
    pub marks: Vec<(usize, Stamp)>,
}

impl Piece {
    /// Stamp of the frame that first brought the byte at `index` of this piece.
    pub fn stamp(&self, index: usize) -> Option<Stamp> {
        if index >= self.bytes.len() {
            return None;
        }
        let after = self.marks.partition_point(|(start, _)| *start <= index);
        self.marks.get(after.checked_sub(1)?).map(|(_, at)| *at)
    }

    /// Offset behind the last byte.
    fn end(&self) -> i64 {
        end_of(self.offset, &self.bytes)
    }

    /// What each frame brought, with its offset.
    fn runs(&self) -> impl Iterator<Item = (i64, &[u8], Stamp)> {
        let ends = self.marks.iter().skip(1).map(|m| m.0).chain([self.bytes.len()]);
        self.marks.iter().zip(ends).filter_map(|(&(from, at), to)| {
            Some((self.offset.saturating_add_unsigned(from as u64), self.bytes.get(from..to)?, at))
        })
    }

    /// Adds the bytes that follow.
    fn extend(&mut self, bytes: &[u8], at: Stamp) {
        if self.marks.last().is_none_or(|last| last.1 != at) {
            self.marks.push((self.bytes.len(), at));
        }
        self.bytes.extend_from_slice(bytes);
    }
}

impl Stream {
    /// Bytes kept per side of a flow.
    pub const CAP: u32 = 8 * 1024;
    /// Bytes kept per side where an end is the endpoint mapper's port: a connection may ask it many times.
    pub const CAP_MAPPER: u32 = 64 * 1024;

    /// Keeps offsets 0 to `cap`, exclusive.
    pub fn new(cap: u32) -> Self {
        Self { lo: 0, hi: i64::from(cap), from_start: false, sent: 0, pieces: Vec::new() }
    }

    /// Keeps `cap` bytes before and after offset 0: for a base that is not the stream's start.
    pub fn around(cap: u32) -> Self {
        Self { lo: -i64::from(cap), ..Self::new(cap) }
    }

    /// Says that offset 0 is the byte at ISN + 1.
    pub const fn set_from_start(&mut self, yes: bool) {
        self.from_start = yes;
    }

    /// Whether offset 0 is the byte at ISN + 1.
    pub const fn from_start(&self) -> bool {
        self.from_start
    }

    /// Payload bytes given to [`Self::insert`], kept or not, repeats included.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether no byte is kept.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes kept.
    pub fn held(&self) -> usize {
        self.pieces.iter().map(|p| p.bytes.len()).sum()
    }

    /// Adds the payload of one frame. What is outside the window is counted only; what is already there stays as it was.
    pub fn insert(&mut self, offset: i64, bytes: &[u8], at: Stamp) {
        self.sent = self.sent.saturating_add(count(bytes));
        self.fill(offset, bytes, at);
    }

    /// Makes room for what will be added to the last piece: so many bytes of so many frames.
    pub(crate) fn reserve(&mut self, frames: usize, bytes: usize) {
        if let Some(last) = self.pieces.last_mut() {
            last.bytes.reserve_exact(bytes);
            last.marks.reserve_exact(frames);
        }
    }

    /// Adds what a later piece of the same side kept, its offsets moved by `shift`. What is here stays; the window stays.
    pub fn append(&mut self, later: Self, shift: i64) {
        self.from_start |= later.from_start;
        self.sent = self.sent.saturating_add(later.sent);
        for (offset, bytes, at) in later.pieces.iter().flat_map(Piece::runs) {
            self.fill(offset.saturating_add(shift), bytes, at);
        }
    }

    /// Moves the base: every offset and the window grow by `by`.
    pub fn shift_by(&mut self, by: i64) {
        self.lo = self.lo.saturating_add(by);
        self.hi = self.hi.saturating_add(by);
        self.pieces.iter_mut().for_each(|p| p.offset = p.offset.saturating_add(by));
    }

    /// Sets the window to `lo..hi` and drops what lies outside.
    pub fn clip(&mut self, lo: i64, hi: i64) {
        (self.lo, self.hi) = (lo, hi);
        for (offset, bytes, at) in std::mem::take(&mut self.pieces).iter().flat_map(Piece::runs) {
            self.fill(offset, bytes, at);
        }
    }

    /// Stamp of the frame that first brought the byte at `offset`.
    pub fn stamp_at(&self, offset: i64) -> Option<Stamp> {
        let piece = self.pieces.get(self.before(offset)?)?;
        piece.stamp(usize::try_from(offset.saturating_sub(piece.offset)).ok()?)
    }

    /// Rewrites every stamp, as the fold does when it turns a segment's frame numbers into the file's. `f` must keep different
    /// stamps different.
    pub fn restamp(&mut self, mut f: impl FnMut(Stamp) -> Stamp) {
        for mark in self.pieces.iter_mut().flat_map(|p| &mut p.marks) {
            mark.1 = f(mark.1);
        }
    }

    /// The kept bytes as contiguous pieces, by offset.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The contiguous bytes from the stream's start; empty where that was not seen.
    pub fn prefix(&self) -> &[u8] {
        let first = self.pieces.iter().find(|p| p.offset >= 0);
        first.filter(|p| self.from_start && p.offset == 0).map_or(&[], |p| &p.bytes)
    }

    /// The first contiguous bytes, `max` at most; empty where the stream's start was not seen.
    pub fn start(&self, max: usize) -> &[u8] {
        let prefix = self.prefix();
        prefix.get(..max).unwrap_or(prefix)
    }

    /// The last piece that begins at or before an offset.
    fn before(&self, offset: i64) -> Option<usize> {
        self.pieces.partition_point(|p| p.offset <= offset).checked_sub(1)
    }

    /// Puts bytes where there are none yet.
    fn fill(&mut self, offset: i64, bytes: &[u8], at: Stamp) {
        // In order, which most bytes are: they lie behind everything that is there.
        if let Some(last) = self.pieces.last_mut()
            && offset == last.end()
            && end_of(offset, bytes) <= self.hi
            && !bytes.is_empty()
        {
            last.extend(bytes, at);
            return;
        }
        let (bytes, mut from) = self.inside(offset, bytes);
        let start = from;
        let end = end_of(from, bytes);
        if let Some(before) = self.before(from).and_then(|i| self.pieces.get(i)) {
            from = from.max(before.end());
        }
        while from < end {
            let next = self.pieces.get(self.pieces.partition_point(|p| p.offset < from)).map(|p| (p.offset, p.end()));
            let gap_end = next.map_or(end, |(offset, _)| offset.min(end));
            if let Some(gap) = between(bytes, from - start, gap_end - start) {
                self.put(from, gap, at);
            }
            from = next.map_or(end, |(_, end)| end);
        }
    }

    /// The part of `bytes` inside the window, and its offset.
    fn inside<'a>(&self, offset: i64, bytes: &'a [u8]) -> (&'a [u8], i64) {
        let from = offset.max(self.lo);
        let to = end_of(offset, bytes).min(self.hi);
        (between(bytes, from.saturating_sub(offset), to.saturating_sub(offset)).unwrap_or_default(), from)
    }

    /// Adds bytes into a gap; what they touch becomes one piece with them.
    fn put(&mut self, offset: i64, bytes: &[u8], at: Stamp) {
        let mut place = self.pieces.partition_point(|p| p.offset < offset);
        match place.checked_sub(1).and_then(|i| self.pieces.get_mut(i)).filter(|p| p.end() == offset) {
            Some(before) => {
                before.extend(bytes, at);
                place -= 1;
            }
            None => self.pieces.insert(place, Piece { offset, bytes: bytes.to_vec(), marks: vec![(0, at)] }),
        }
        let end = end_of(offset, bytes);
        if self.pieces.get(place + 1).is_some_and(|after| after.offset == end) {
            let after = self.pieces.remove(place + 1);
            if let Some(piece) = self.pieces.get_mut(place) {
                after.runs().for_each(|(_, bytes, at)| piece.extend(bytes, at));
            }
        }
    }
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn end_of(offset: i64, bytes: &[u8]) -> i64 {
    offset.saturating_add_unsigned(count(bytes))
}

/// `bytes[from..to]` by signed indices; `None` where that is no range or empty.
fn between(bytes: &[u8], from: i64, to: i64) -> Option<&[u8]> {
    let range = usize::try_from(from).ok()?..usize::try_from(to).ok()?;
    bytes.get(range).filter(|b| !b.is_empty())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::{FrameRef, InputId, Time};

    /// A stamp of frame `n` at `n` nanoseconds.
    pub(in crate::app) fn stamp(n: u32) -> Stamp {
        Stamp { time: Time::from_nanos(i64::from(n)), at: FrameRef { input: InputId::default(), frame: u64::from(n) } }
    }

    /// A whole stream from its start, each part in a frame of its own.
    pub(in crate::app) fn from_start(parts: &[&[u8]]) -> Stream {
        let mut s = Stream::new(Stream::CAP_MAPPER);
        s.set_from_start(true);
        let mut offset = 0;
        for (part, n) in parts.iter().zip(1..) {
            s.insert(offset, part, stamp(n));
            offset = end_of(offset, part);
        }
        s
    }

    #[test]
    fn the_first_bytes_seen_stay_and_gaps_are_filled_around_them() {
        let mut s = Stream::new(10);
        s.insert(4, b"EF", stamp(1));
        s.insert(0, b"abcdefghijkl", stamp(2));
        s.set_from_start(true);
        assert_eq!(s.prefix(), b"abcdEFghij");
        assert_eq!((s.sent(), s.held()), (14, 10));
        let frames: Vec<_> = (0..11).map(|o| s.stamp_at(o).map(|at| at.at.frame)).collect();
        let expected = [2, 2, 2, 2, 1, 1, 2, 2, 2, 2].map(Some);
        assert_eq!(frames[..10], expected);
        assert_eq!(frames[10], None);
        let piece = &s.pieces()[0];
        assert_eq!(piece.marks.len(), 3);
        assert_eq!((0..11).map(|i| piece.stamp(i).map(|at| at.at.frame)).collect::<Vec<_>>(), frames);
    }

    #[test]
    fn a_stream_without_a_start_can_learn_it_later() {
        let mut s = Stream::around(8);
        s.insert(0, b"world", stamp(1));
        s.insert(-6, b"hello ", stamp(2));
        s.insert(-20, b"too early", stamp(3));
        assert_eq!((s.prefix().len(), s.pieces().len()), (0, 1));
        s.shift_by(6);
        s.clip(0, 8);
        s.set_from_start(true);
        assert_eq!(s.prefix(), b"hello wo");
    }

    #[test]
    fn offsets_at_the_edge_of_the_range_do_not_overflow() {
        let mut s = Stream::new(8);
        s.insert(i64::MAX, b"abc", stamp(1));
        s.insert(i64::MIN, b"abc", stamp(1));
        assert!(s.is_empty());
        s.insert(0, b"abc", stamp(1));
        s.shift_by(i64::MAX);
        s.clip(i64::MIN, i64::MAX);
        assert!(s.held() <= 3);
    }

    #[test]
    fn restamping_changes_frames_and_nothing_else() {
        let mut s = from_start(&[b"ab", b"cd"]);
        s.restamp(|at| Stamp { at: FrameRef { frame: at.at.frame + 100, ..at.at }, ..at });
        assert_eq!(s.stamp_at(2).unwrap().at.frame, 102);
        assert_eq!(s.prefix(), b"abcd");
    }

    fn build(segments: &[(i64, Vec<u8>, u32)]) -> Stream {
        let mut s = Stream::new(48);
        segments.iter().for_each(|(o, b, n)| s.insert(*o, b, stamp(*n)));
        s
    }

    proptest! {
        #[test]
        fn any_grouping_equals_insertion_in_order(
            segments in prop::collection::vec((-8i64..60, prop::collection::vec(any::<u8>(), 0..12), 0u32..6), 0..20),
            cuts in prop::collection::vec(0usize..20, 2),
        ) {
            let whole = build(&segments);
            let (i, j) = (cuts[0].min(cuts[1]).min(segments.len()), cuts[0].max(cuts[1]).min(segments.len()));
            let parts = [&segments[..i], &segments[i..j], &segments[j..]].map(build);
            let [mut left, b, c] = parts.clone();
            left.append(b, 0);
            left.append(c, 0);
            let [mut right, mut bc, c] = parts;
            bc.append(c, 0);
            right.append(bc, 0);
            prop_assert_eq!(&left, &whole);
            prop_assert_eq!(&right, &whole);
            let mut model = [None; 48];
            for (o, bytes, n) in &segments {
                for (at, b) in (*o..).zip(bytes) {
                    if let Some(slot) = usize::try_from(at).ok().and_then(|i| model.get_mut(i)) {
                        slot.get_or_insert((*b, *n));
                    }
                }
            }
            let mut got = [None; 48];
            for p in whole.pieces() {
                for (i, b) in p.bytes.iter().enumerate() {
                    let at = usize::try_from(p.offset).unwrap() + i;
                    got[at] = p.stamp(i).and_then(|s| u32::try_from(s.at.frame).ok()).map(|n| (*b, n));
                }
            }
            prop_assert_eq!(got, model);
        }

        #[test]
        fn a_moved_base_is_the_same_stream(
            segments in prop::collection::vec((0i64..40, prop::collection::vec(any::<u8>(), 0..12), 0u32..6), 0..12),
            by in -1000i64..1000,
        ) {
            let whole = build(&segments);
            let mut moved = whole.clone();
            moved.shift_by(by);
            let mut back = Stream::new(48);
            back.append(moved, -by);
            prop_assert_eq!(back, whole);
        }
    }
}
