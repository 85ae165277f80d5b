//! Pieces of a 5-tuple: what one stretch of a capture says about it, before it is known what came earlier.
//!
//! Every SYN whose side or sequence number differs from the SYN before it begins a piece. Its head (the SYNs) is kept apart from
//! its body (all other packets): when everything is known, a SYN of an older instance goes back to that one, while the packets
//! after it continue the newest. Appending looks only at the seam, so it is associative and a capture may be cut anywhere.

use crate::base::{Proto, Span, Stamp, Time, fetch};
use crate::capture::CountedSide;
use crate::packet::{Tcp, Trail, Udp};

use super::body::{Body, Quote};
use super::lone::Lone;
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
    pub(super) fn new(side: Side, isn: u32) -> Self {
        let run = SynRun { from: side, isn, payload: 0, count: 0, stamps: Vec::new() };
        Self { run, sums: Sums::default(), data: Prefix::default() }
    }

    const fn is(&self, side: Side, isn: u32) -> bool {
        self.run.from.index() == side.index() && self.run.isn == isn
    }

    fn add(&mut self, p: &Seen, t: &Tcp<'_>, cap: usize) {
        self.add_plain(p, t.window);
        self.run.payload = self.run.payload.max(t.payload_len);
        self.data.add(0, t.payload, t.payload_len as usize, p.at, cap);
    }

    /// Adds a SYN without payload.
    pub(super) fn add_plain(&mut self, p: &Seen, window: u16) {
        self.sums.add(p, false, Some(window));
        self.run.count += 1;
        keep_ends(&mut self.run.stamps, p.at, SynRun::KEPT, |s| *s);
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
#[derive(Clone, Debug)]
pub(crate) enum Pieces {
    /// One, of a few SYNs.
    Lone(Lone),
    /// Any.
    Many(Vec<Piece>),
}

impl Default for Pieces {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// Pieces added to a store: what a bounded store must count.
pub(crate) type Grown = usize;

impl Pieces {
    /// Adds a TCP packet; how many pieces that began.
    pub(crate) fn tcp(&mut self, key: &FlowKey, side: Side, p: &Seen, t: &Tcp<'_>) -> Grown {
        match self {
            Self::Lone(lone) => {
                if lone.add(side, p, t) {
                    return 0;
                }
            }
            Self::Many(many) if many.is_empty() => {
                if let Some(lone) = Lone::new(side, p, t) {
                    *self = Self::Lone(lone);
                    return 1;
                }
            }
            Self::Many(_) => {}
        }
        let cap = prefix_cap(key);
        let opens = t.opens();
        let before = self.len();
        if !opens {
            self.current(false).body().tcp(side, p, t, cap);
            return self.len() - before;
        }
        let many = self.many();
        if let Some(head) = many.last_mut().and_then(|l| l.head.as_mut()).filter(|h| h.is(side, t.seq)) {
            head.add(p, t, cap);
        } else {
            let mut head = Head::new(side, t.seq);
            head.add(p, t, cap);
            many.push(Piece { head: Some(Box::new(head)), ..Piece::default() });
        }
        many.len() - before
    }

    /// Adds plain TCP packets that were counted; how many pieces that began.
    pub(crate) fn counted(&mut self, sides: &[Option<CountedSide>; 2], at: impl Fn(Time) -> Stamp) -> Grown {
        let before = self.len();
        self.current(false).body().counted(sides, at);
        self.len() - before
    }

    /// Adds a UDP packet.
    pub(crate) fn udp(&mut self, side: Side, p: &Seen, u: &Udp<'_>) -> Grown {
        let before = self.len();
        let last = self.many().last().and_then(|l| l.body.as_ref()?.order);
        let silence = last.is_some_and(|(_, last)| p.at.time.since(last) >= UDP_SILENCE);
        let body = self.current(silence).body();
        body.plain(side, p);
        body.datagram(side, u.payload, u.payload_len, p.at);
        self.len() - before
    }

    /// Adds a packet of a protocol without ports.
    pub(crate) fn plain(&mut self, side: Side, p: &Seen) -> Grown {
        let before = self.len();
        self.current(false).body().plain(side, p);
        self.len() - before
    }

    /// The packet that was added last came along this trail of tunnels; `opens` where it was a SYN.
    #[cold]
    pub(crate) fn tunnelled(&mut self, side: Side, opens: bool, trail: &Trail) {
        let Some(last) = self.many().last_mut() else { return };
        match &mut last.head {
            Some(head) if opens => head.sums.tunnels.add(trail),
            _ => side.of_mut(&mut last.body().sums).tunnels.add(trail),
        }
    }

    /// Adds an ICMP error about the key.
    pub(crate) fn quote(&mut self, q: Quote) -> Grown {
        let before = self.len();
        let many = self.many();
        if many.is_empty() {
            many.push(Piece::default());
        }
        if let Some(last) = many.last_mut() {
            last.body().quote(q);
        }
        self.len() - before
    }

    /// All of them, as pieces.
    fn many(&mut self) -> &mut Vec<Piece> {
        if let Self::Lone(lone) = self {
            *self = Self::Many(vec![lone.piece()]);
        }
        match self {
            Self::Many(many) => many,
            Self::Lone(_) => unreachable!("it was made many just before"),
        }
    }

    /// The piece that takes the next packet. One that holds only ICMP errors takes none: whether it belongs to an earlier
    /// piece is not known yet.
    #[expect(clippy::indexing_slicing, reason = "pushed just before where it was empty")]
    fn current(&mut self, fresh: bool) -> &mut Piece {
        let many = self.many();
        if fresh || many.last().is_none_or(Piece::only_quotes) {
            many.push(Piece::default());
        }
        let last = many.len() - 1;
        &mut many[last]
    }

    /// Takes in the pieces of the same key from a later stretch.
    pub(crate) fn append(&mut self, key: &FlowKey, later: Self) {
        if let (Self::Lone(own), Self::Lone(more)) = (&mut *self, &later)
            && own.append(more)
        {
            return;
        }
        let cap = prefix_cap(key);
        let many = self.many();
        let mut later = later.into_vec().into_iter();
        for next in later.by_ref() {
            let quotes = next.only_quotes();
            // Only a SYN closes the seam: behind a stretch without one, the next SYN may still repeat the earlier piece's.
            let closes = next.head.is_some();
            match many.last_mut() {
                Some(last) if quotes || joins(key, last, &next) => last.merge(next, cap),
                _ => many.push(next),
            }
            if closes {
                break;
            }
        }
        many.extend(later);
    }

    /// First moment and number of SYNs where there is nothing else: an attempt without any answer.
    pub(crate) fn attempt(&self) -> Option<(Stamp, u64)> {
        match self {
            Self::Lone(lone) => Some((lone.first()?, lone.count())),
            Self::Many(many) => {
                let [Piece { head: Some(head), body: None, .. }] = many.as_slice() else { return None };
                Some((head.sums.first?, head.run.count))
            }
        }
    }

    /// The attempt that nothing else was seen of, where it is held as such.
    pub(crate) const fn lone(&self) -> Option<&Lone> {
        match self {
            Self::Lone(lone) => Some(lone),
            Self::Many(_) => None,
        }
    }

    /// Has fetched what another SYN would touch.
    #[inline]
    pub(crate) fn fetch(&self) {
        match self {
            Self::Lone(lone) => lone.fetch(),
            Self::Many(many) => fetch(many, many.len().saturating_sub(1)),
        }
    }

    /// The body that the next packet without SYN goes to, where there is one.
    #[inline]
    pub(crate) fn newest_body(&mut self) -> Option<&mut Body> {
        match self {
            Self::Lone(_) => None,
            Self::Many(many) => many.last_mut()?.body.as_deref_mut(),
        }
    }

    /// Moves the frame numbers.
    pub(crate) fn shift(&mut self, by: &Shift) {
        if let Self::Lone(lone) = self
            && lone.shift(by)
        {
            return;
        }
        for piece in self.many() {
            piece.head.iter_mut().for_each(|h| h.shift(by));
            piece.body.iter_mut().for_each(|b| b.shift(by));
            piece.told.iter_mut().for_each(|t| t.shift(by));
        }
    }

    /// As rows of at most so many integers, more or less; all of them together are these pieces.
    pub(crate) fn rows(&self, most: usize) -> Vec<Row> {
        let alone;
        let pieces = match self {
            Self::Lone(lone) => {
                alone = [lone.piece()];
                &alone[..]
            }
            Self::Many(many) => many.as_slice(),
        };
        let mut rows: Vec<Row> = Vec::new();
        for piece in pieces {
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
        let many = self.many();
        while !from.is_empty() {
            many.push(Piece::read(from)?);
        }
        Some(())
    }

    /// To be sealed, piece by piece. Nothing where nothing can hold payload.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [Piece] {
        match self {
            Self::Lone(_) => &mut [],
            Self::Many(many) => many,
        }
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Lone(_) => 1,
            Self::Many(many) => many.len(),
        }
    }

    /// First packet or ICMP error, for naming what had to be left out.
    pub(crate) fn first_stamp(&self) -> Option<Stamp> {
        let head = |p: &Piece| p.head.as_ref().and_then(|h| h.sums.first);
        let body = |p: &Piece| {
            let body = p.body.as_ref()?;
            let quote = body.quotes.first().map(|q| q.at);
            body.sums.iter().filter_map(|s| s.first).min().or(quote)
        };
        match self {
            Self::Lone(lone) => lone.first(),
            Self::Many(many) => many.iter().find_map(|p| head(p).or_else(|| body(p))),
        }
    }

    /// The pieces.
    pub(crate) fn into_vec(self) -> Vec<Piece> {
        match self {
            Self::Lone(lone) => vec![lone.piece()],
            Self::Many(many) => many,
        }
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
