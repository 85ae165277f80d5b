//! Pieces of a 5-tuple: what one stretch of a capture says about it, before it is known what came earlier.
//!
//! Every SYN whose side or sequence number differs from the SYN before it begins a piece. Its head (the SYNs) is kept apart from
//! its body (all other packets): when everything is known, a SYN of an older instance goes back to that one, while the packets
//! after it continue the newest. Appending looks only at the seam, so it is associative and a capture may be cut anywhere.

use crate::base::{Proto, Span, Stamp, Time};
use crate::capture::CountedSide;
use crate::packet::{Tcp, Trail, Udp};

use super::body::{Body, Quote};
use super::model::{FlowKey, Side, SynRun};
use super::prefix::Prefix;
use super::row::{Cursor, Row};
use super::shift::Shift;
use super::sums::{Seen, Sums, keep_ends};
use super::told::{Opening, Told};

/// Silence that splits a UDP flow.
const UDP_SILENCE: Span = Span::from_secs(60);

/// Evidence bytes kept per side.
const PREFIX: usize = 8 * 1024;
/// The same where an end is the DCE endpoint mapper, which one connection may ask many times.
const PREFIX_MAPPER: usize = 64 * 1024;
/// TCP port of the DCE endpoint mapper (C706 appendix A).
const MAPPER: u16 = 135;

/// Evidence bytes to keep per side of a flow.
#[inline]
pub(crate) fn prefix_cap(key: &FlowKey) -> usize {
    if key.ends.iter().any(|e| e.port == MAPPER) { PREFIX_MAPPER } else { PREFIX }
}

/// The SYNs a piece begins with: all of one side and sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) run: SynRun,
    pub(crate) sums: Sums,
    /// What they carried, from ISN + 1.
    pub(crate) data: Prefix,
}

impl Head {
    fn new(side: Side, isn: u32) -> Self {
        let run = SynRun { from: side, isn, payload: 0, count: 0, stamps: Vec::new() };
        Self { run, sums: Sums::default(), data: Prefix::default() }
    }

    const fn is(&self, side: Side, isn: u32) -> bool {
        self.run.from.index() == side.index() && self.run.isn == isn
    }

    fn add(&mut self, p: &Seen, t: &Tcp<'_>, cap: usize) {
        self.sums.add(p, false, Some(t.window));
        self.run.count += 1;
        self.run.payload = self.run.payload.max(t.payload_len);
        keep_ends(&mut self.run.stamps, p.at, SynRun::KEPT, |s| *s);
        self.data.add(0, t.payload, t.payload_len as usize, p.at, cap);
    }

    /// Takes in other SYNs of the same run.
    pub(crate) fn merge(&mut self, other: Self, cap: usize) {
        self.sums.merge(&other.sums);
        self.run.count += other.run.count;
        self.run.payload = self.run.payload.max(other.run.payload);
        other.run.stamps.into_iter().for_each(|at| keep_ends(&mut self.run.stamps, at, SynRun::KEPT, |s| *s));
        self.data.append(&other.data, 0, cap);
    }

    /// Drops what the SYNs carried.
    pub(crate) fn seal(&mut self) {
        self.data.seal(None);
    }

    fn write(&self, row: &mut Row) {
        let Self { run, sums, data } = self;
        let SynRun { from, isn, payload, count, stamps } = run;
        row.flag(*from == Side::B);
        row.int(i64::from(*isn));
        row.int(i64::from(*payload));
        row.count(*count);
        row.len(stamps.len());
        stamps.iter().for_each(|s| row.stamp(*s));
        sums.write(row);
        data.write(row);
    }

    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        let side = if from.flag()? { Side::B } else { Side::A };
        let mut head = Self::new(side, from.number()?);
        head.run.payload = from.number()?;
        head.run.count = from.count()?;
        let n = from.len(SynRun::KEPT)?;
        head.run.stamps = (0..n).map(|_| from.stamp()).collect::<Option<_>>()?;
        head.sums = Sums::read(from)?;
        head.data = Prefix::read(from)?;
        // A run has at least one SYN, and its sender sent it.
        (n > 0 && head.run.count > 0 && head.sums.packets > 0).then_some(head)
    }

    fn shift(&mut self, by: &Shift) {
        self.sums.shift(by);
        self.run.stamps.iter_mut().for_each(|s| by.stamp(s));
        self.data.shift(by);
    }
}

/// One piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) head: Option<Box<Head>>,
    pub(crate) body: Option<Box<Body>>,
    /// What payload told, where it is sealed.
    pub(crate) told: Option<Box<Told>>,
}

impl Piece {
    fn body(&mut self) -> &mut Body {
        self.body.get_or_insert_default()
    }

    /// Whether it holds no packet, only ICMP errors: it then came before the first packet of its key.
    pub(crate) fn only_quotes(&self) -> bool {
        self.head.is_none() && self.body.as_ref().is_none_or(|b| b.order.is_none())
    }

    /// Whether there is payload to be sealed.
    pub(crate) fn holds_payload(&self) -> bool {
        let mut prefixes =
            self.body.iter().filter_map(|b| b.spaces.as_deref()).flatten().map(|s| s.prefix().is_empty());
        self.head.as_ref().is_some_and(|h| !h.data.is_empty())
            || self.body.as_ref().is_some_and(|b| b.datagrams.is_some())
            || prefixes.any(|empty| !empty)
    }

    /// Drops the payload.
    pub(crate) fn seal(&mut self) {
        self.head.iter_mut().for_each(|h| h.seal());
        self.body.iter_mut().for_each(|b| b.datagrams = None);
        self.body.iter_mut().filter_map(|b| b.spaces.as_deref_mut()).flatten().for_each(|s| s.seal(None));
    }

    /// Notes what the first bytes of each side were, where this piece has the beginning of the side's sequence space.
    pub(crate) fn note(&mut self, openings: &mut [Option<(i64, Opening)>; 2]) {
        let Some(spaces) = self.body.as_mut().and_then(|b| b.spaces.as_deref_mut()) else { return };
        for side in [Side::A, Side::B] {
            let space = side.of_mut(spaces);
            if space.is_begun() {
                space.seal(side.of_mut(openings).take());
            }
        }
    }

    fn write(&self, row: &mut Row) {
        let Self { head, body, told } = self;
        row.flag(head.is_some());
        head.iter().for_each(|h| h.write(row));
        row.flag(body.is_some());
        body.iter().for_each(|b| b.write(row));
        row.told(told.as_deref());
    }

    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        let head = if from.flag()? { Some(Box::new(Head::read(from)?)) } else { None };
        let body = if from.flag()? { Some(Box::new(Body::read(from)?)) } else { None };
        let told = from.told()?.map(Box::new);
        (head.is_some() || body.is_some()).then_some(Self { head, body, told })
    }

    fn merge(&mut self, later: Self, cap: usize) {
        tell(&mut self.told, later.told);
        match (&mut self.head, later.head) {
            (Some(own), Some(more)) => own.merge(*more, cap),
            (own, more) => *own = own.take().or(more),
        }
        if let Some(more) = later.body {
            match &mut self.body {
                Some(own) => own.append(*more, cap),
                own => *own = Some(more),
            }
        }
    }
}

/// Adds what a later piece told.
pub(crate) fn tell(own: &mut Option<Box<Told>>, later: Option<Box<Told>>) {
    match (own, later) {
        (Some(own), Some(later)) => own.append(*later),
        (own, later) => *own = own.take().or(later),
    }
}

/// The pieces of one key, in file order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pieces(Vec<Piece>);

/// Pieces added to a store: what a bounded store must count.
pub(crate) type Grown = usize;

impl Pieces {
    /// Adds a TCP packet; how many pieces that began.
    pub(crate) fn tcp(&mut self, key: &FlowKey, side: Side, p: &Seen, t: &Tcp<'_>) -> Grown {
        let cap = prefix_cap(key);
        let opens = t.opens();
        let before = self.0.len();
        if !opens {
            self.current(false).body().tcp(side, p, t, cap);
        } else if let Some(head) = self.0.last_mut().and_then(|l| l.head.as_mut()).filter(|h| h.is(side, t.seq)) {
            head.add(p, t, cap);
        } else {
            let mut head = Head::new(side, t.seq);
            head.add(p, t, cap);
            self.0.push(Piece { head: Some(Box::new(head)), ..Piece::default() });
        }
        self.0.len() - before
    }

    /// Adds plain TCP packets that were counted; how many pieces that began.
    pub(crate) fn counted(&mut self, sides: &[Option<CountedSide>; 2], at: impl Fn(Time) -> Stamp) -> Grown {
        let before = self.0.len();
        self.current(false).body().counted(sides, at);
        self.0.len() - before
    }

    /// Adds a UDP packet.
    pub(crate) fn udp(&mut self, side: Side, p: &Seen, u: &Udp<'_>) -> Grown {
        let before = self.0.len();
        let last = self.0.last().and_then(|l| l.body.as_ref()?.order);
        let silence = last.is_some_and(|(_, last)| p.at.time.since(last) >= UDP_SILENCE);
        let body = self.current(silence).body();
        body.plain(side, p);
        body.datagram(side, u.payload, u.payload_len, p.at);
        self.0.len() - before
    }

    /// Adds a packet of a protocol without ports.
    pub(crate) fn plain(&mut self, side: Side, p: &Seen) -> Grown {
        let before = self.0.len();
        self.current(false).body().plain(side, p);
        self.0.len() - before
    }

    /// The packet that was added last came along this trail of tunnels; `opens` where it was a SYN.
    #[cold]
    pub(crate) fn tunnelled(&mut self, side: Side, opens: bool, trail: &Trail) {
        let Some(last) = self.0.last_mut() else { return };
        match &mut last.head {
            Some(head) if opens => head.sums.tunnels.add(trail),
            _ => side.of_mut(&mut last.body().sums).tunnels.add(trail),
        }
    }

    /// Adds an ICMP error about the key.
    pub(crate) fn quote(&mut self, q: Quote) -> Grown {
        let before = self.0.len();
        if self.0.is_empty() {
            self.0.push(Piece::default());
        }
        if let Some(last) = self.0.last_mut() {
            last.body().quote(q);
        }
        self.0.len() - before
    }

    /// The piece that takes the next packet. One that holds only ICMP errors takes none: whether it belongs to an earlier
    /// piece is not known yet.
    #[expect(clippy::indexing_slicing, reason = "pushed just before where it was empty")]
    fn current(&mut self, fresh: bool) -> &mut Piece {
        if fresh || self.0.last().is_none_or(Piece::only_quotes) {
            self.0.push(Piece::default());
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// Takes in the pieces of the same key from a later stretch.
    pub(crate) fn append(&mut self, key: &FlowKey, later: Self) {
        let cap = prefix_cap(key);
        let mut later = later.0.into_iter();
        for next in later.by_ref() {
            let quotes = next.only_quotes();
            // Only a SYN closes the seam: behind a stretch without one, the next SYN may still repeat the earlier piece's.
            let closes = next.head.is_some();
            match self.0.last_mut() {
                Some(last) if quotes || joins(key, last, &next) => last.merge(next, cap),
                _ => self.0.push(next),
            }
            if closes {
                break;
            }
        }
        self.0.extend(later);
    }

    /// First moment and number of SYNs where there is nothing else: an attempt without any answer.
    pub(crate) fn attempt(&self) -> Option<(Stamp, u64)> {
        let [Piece { head: Some(head), body: None, .. }] = self.0.as_slice() else { return None };
        Some((head.sums.first?, head.run.count))
    }

    /// The body that the next packet without SYN goes to, where there is one.
    #[inline]
    pub(crate) fn newest_body(&mut self) -> Option<&mut Body> {
        self.0.last_mut()?.body.as_deref_mut()
    }

    /// Moves the frame numbers.
    pub(crate) fn shift(&mut self, by: &Shift) {
        for piece in &mut self.0 {
            piece.head.iter_mut().for_each(|h| h.shift(by));
            piece.body.iter_mut().for_each(|b| b.shift(by));
            piece.told.iter_mut().for_each(|t| t.shift(by));
        }
    }

    /// As rows of at most so many integers, more or less; all of them together are these pieces.
    pub(crate) fn rows(&self, most: usize) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for piece in &self.0 {
            if rows.last().is_none_or(|r| r.size() >= most) {
                rows.push(Row::default());
            }
            if let Some(row) = rows.last_mut() {
                piece.write(row);
            }
        }
        rows
    }

    /// Adds the pieces of a row that follows.
    pub(crate) fn read(&mut self, from: &mut Cursor<'_>) -> Option<()> {
        while !from.is_empty() {
            self.0.push(Piece::read(from)?);
        }
        Some(())
    }

    /// To be sealed, piece by piece.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [Piece] {
        &mut self.0
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// First packet or ICMP error, for naming what had to be left out.
    pub(crate) fn first_stamp(&self) -> Option<Stamp> {
        let head = |p: &Piece| p.head.as_ref().and_then(|h| h.sums.first);
        let body = |p: &Piece| {
            let body = p.body.as_ref()?;
            let quote = body.quotes.first().map(|q| q.at);
            body.sums.iter().filter_map(|s| s.first).min().or(quote)
        };
        self.0.iter().find_map(|p| head(p).or_else(|| body(p)))
    }

    /// The pieces.
    pub(crate) fn into_vec(self) -> Vec<Piece> {
        self.0
    }
}

/// Whether the first packets of a later stretch continue the last piece before it.
fn joins(key: &FlowKey, last: &Piece, next: &Piece) -> bool {
    if let Some(head) = &next.head {
        return last.head.as_ref().is_some_and(|h| h.is(head.run.from, head.run.isn));
    }
    if last.only_quotes() {
        return false;
    }
    let end = last.body.as_ref().and_then(|b| b.order).map(|o| o.1);
    let begin = next.body.as_ref().and_then(|b| b.order).map(|o| o.0);
    match (end, begin) {
        (Some(end), Some(begin)) if key.proto == Proto::Udp => begin.since(end) < UDP_SILENCE,
        _ => true,
    }
}
