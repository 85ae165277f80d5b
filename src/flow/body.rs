//! What a piece of a flow holds besides SYNs.

use std::net::IpAddr;

use crate::base::{Span, Stamp, Time};
use crate::capture::CountedSide;
use crate::packet::{Tcp, TcpFlags};

use super::datagrams::Datagrams;
use super::model::{End, Rst, Side, SynAck};
use super::row::{Cursor, Row};
use super::shift::Shift;
use super::space::{Segment, Space};
use super::sums::{Seen, Sums, earlier, keep_ends, keep_first, later as later_of};

/// An ICMP error about the flow. Equal ones are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) reporter: IpAddr,
    pub(crate) at: Stamp,
    pub(crate) count: u64,
    pub(crate) v6: bool,
    pub(crate) ty: u8,
    pub(crate) code: u8,
    pub(crate) quoted: Side,
    pub(crate) seq: Option<u32>,
}

impl Quote {
    fn write(&self, row: &mut Row) {
        let Self { reporter, at, count, v6, ty, code, quoted, seq } = self;
        row.addr(*reporter);
        row.stamp(*at);
        row.count(*count);
        row.flag(*v6);
        row.int(i64::from(*ty));
        row.int(i64::from(*code));
        row.flag(*quoted == Side::B);
        row.optional(*seq);
    }

    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        Some(Self {
            reporter: from.addr()?,
            at: from.stamp()?,
            count: from.count()?,
            v6: from.flag()?,
            ty: from.number()?,
            code: from.number()?,
            quoted: if from.flag()? { Side::B } else { Side::A },
            seq: from.optional()?,
        })
    }

    fn equals(&self, o: &Self) -> bool {
        (self.reporter, self.v6, self.ty, self.code, self.quoted, self.seq)
            == (o.reporter, o.v6, o.ty, o.code, o.quoted, o.seq)
    }
}

/// Facts of one side that only TCP has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signals {
    pub(crate) syn_acks: u64,
    pub(crate) syn_ack_seen: Vec<SynAck>,
    pub(crate) fins: u64,
    pub(crate) fin_first: Option<Stamp>,
    pub(crate) rsts: u64,
    pub(crate) rst_seen: Vec<Rst>,
    /// Last packet with a window of 0, RSTs left out: theirs says nothing.
    pub(crate) zero_window: Option<Stamp>,
}

/// All packets of a piece that are not SYNs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) sums: [Sums; 2],
    pub(crate) signals: [Signals; 2],
    /// Boxed and late, so that a flood of half-dead tuples costs little.
    pub(crate) spaces: Option<Box<[Space; 2]>>,
    /// Of UDP alone; boxed for the same reason.
    pub(crate) datagrams: Option<Box<[Datagrams; 2]>>,
    pub(crate) quotes: Vec<Quote>,
    /// Times of the first and last packet in file order.
    pub(crate) order: Option<(Time, Time)>,
    /// The last few stretches of [`SILENCE`] or longer between two packets.
    pub(crate) silences: Vec<(Time, Time)>,
}

/// Distinct ICMP errors kept per piece: one per cause is enough for a verdict.
const QUOTES: usize = 16;
/// Silence after which what a firewall knows of a connection may be gone.
const SILENCE: Span = Span::from_secs(60);
/// Stretches of it kept. A sender that gets no answer leaves up to seven behind, and one before them is wanted.
const SILENCES: usize = 8;

impl Body {
    fn met(&mut self, at: Time) {
        self.hushed(at);
        self.order = Some(self.order.map_or((at, at), |(first, _)| (first, at)));
    }

    /// Notes the silence before a packet.
    fn hushed(&mut self, at: Time) {
        if let Some((_, last)) = self.order.filter(|(_, last)| at.since(*last) >= SILENCE) {
            self.keep_silence((last, at));
        }
    }

    fn keep_silence(&mut self, silence: (Time, Time)) {
        if self.silences.len() == SILENCES {
            self.silences.remove(0);
        }
        self.silences.push(silence);
    }

    /// Adds a packet of a protocol without sequence numbers.
    pub(crate) fn plain(&mut self, side: Side, p: &Seen) {
        self.met(p.at.time);
        side.of_mut(&mut self.sums).add(p, false, None);
    }

    /// Adds what a UDP packet carried.
    pub(crate) fn datagram(&mut self, side: Side, data: &[u8], wire: u32, at: Stamp) {
        if wire > 0 && self.datagrams.as_ref().is_none_or(|d| !side.of(d).is_full()) {
            side.of_mut(self.datagrams.get_or_insert_default()).add(data, wire, at);
        }
    }

    /// Adds a TCP packet that does not open an instance.
    pub(crate) fn tcp(&mut self, side: Side, p: &Seen, t: &Tcp<'_>, cap: usize) {
        self.met(p.at.time);
        let rst = t.flags.has(TcpFlags::RST);
        let ack = t.flags.has(TcpFlags::ACK).then_some(t.ack);
        side.of_mut(&mut self.sums).add(p, rst, (!rst).then_some(t.window));
        let signals = side.of_mut(&mut self.signals);
        if t.flags.has(TcpFlags::FIN) {
            signals.fins += 1;
            signals.fin_first = earlier(signals.fin_first, Some(p.at));
        }
        if rst {
            if signals.rsts == 0
                && let Some(spaces) = &mut self.spaces
            {
                side.other().of_mut(spaces).reset();
            }
            signals.rsts += 1;
            keep_first(&mut signals.rst_seen, Rst { at: p.at, seq: t.seq, ack, ttl: p.ttl }, End::KEPT, |r| r.at);
            return;
        }
        if t.window == 0 {
            signals.zero_window = later_of(signals.zero_window, Some(p.at));
        }
        let mut seq = t.seq;
        if t.flags.has(TcpFlags::SYN) {
            signals.syn_acks += 1;
            let seen = SynAck { at: p.at, seq: t.seq, ack: t.ack };
            keep_ends(&mut signals.syn_ack_seen, seen, End::KEPT, |s| s.at);
            if t.payload_len == 0 {
                return;
            }
            // A server may send data with its SYN-ACK (RFC 7413 section 3).
            seq = seq.wrapping_add(1);
        }
        let spaces = self.spaces.get_or_insert_default();
        side.of_mut(spaces).segment(&Segment {
            seq,
            len: t.payload_len,
            fin: t.flags.has(TcpFlags::FIN),
            ack: ack.is_some() && !t.flags.has(TcpFlags::SYN),
            data: t.payload,
            at: p.at,
            cap,
        });
        if let Some(ack) = ack {
            side.other().of_mut(spaces).acknowledge(ack, p.at);
        }
    }

    /// Adds plain packets that were counted, as if they came one by one.
    pub(crate) fn counted(&mut self, sides: &[Option<CountedSide>; 2], at: impl Fn(Time) -> Stamp) {
        let spaces = self.spaces.get_or_insert_default();
        let both = [Side::A, Side::B].into_iter().filter_map(|side| Some((side, side.of(sides).as_ref()?)));
        for (side, s) in both.clone() {
            side.of_mut(&mut self.sums).counted(s, at(s.last));
            side.of_mut(spaces).counted(s, at(s.sent.1));
        }
        // What is acknowledged lies near the end of what was sent, which is known by now.
        for (side, s) in both.clone() {
            side.other().of_mut(spaces).acknowledge(s.ack.0, at(s.ack.1));
        }
        if let Some(last) = both.map(|(_, s)| s.last).max() {
            self.order = Some(self.order.map_or((last, last), |(first, _)| (first, last)));
        }
    }

    /// Adds an ICMP error.
    pub(crate) fn quote(&mut self, q: Quote) {
        if let Some(old) = self.quotes.iter_mut().find(|old| old.equals(&q)) {
            old.count = old.count.saturating_add(q.count);
            old.at = old.at.min(q.at);
        } else if self.quotes.len() < QUOTES {
            self.quotes.push(q);
        }
    }

    /// Takes in what came later.
    pub(crate) fn append(&mut self, later: Self, cap: usize) {
        let resets = [Side::A, Side::B].map(|side| {
            let rsts = |body: &Self| side.other().of(&body.signals).rsts > 0;
            !rsts(self) && rsts(&later)
        });
        if let Some((begin, _)) = later.order {
            self.hushed(begin);
        }
        later.silences.iter().for_each(|&s| self.keep_silence(s));
        for side in [Side::A, Side::B] {
            side.of_mut(&mut self.sums).merge(side.of(&later.sums));
            side.of_mut(&mut self.signals).merge(side.of(&later.signals));
        }
        self.append_spaces(later.spaces, cap, resets);
        match (&mut self.datagrams, later.datagrams) {
            (Some(own), Some(more)) => {
                own.iter_mut().zip(more.iter()).for_each(|(own, more)| own.append(more));
            }
            (own, more) => *own = own.take().or(more),
        }
        later.quotes.into_iter().for_each(|q| self.quote(q));
        self.order = match (self.order, later.order) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (a, b) => a.or(b),
        };
    }

    pub(crate) fn write(&self, row: &mut Row) {
        let Self { sums, signals, spaces, datagrams: _, quotes, silences, order } = self;
        row.flag(order.is_some());
        order.iter().for_each(|(first, last)| {
            row.time(*first);
            row.time(*last);
        });
        sums.iter().for_each(|s| s.write(row));
        signals.iter().for_each(|s| s.write(row));
        row.flag(spaces.is_some());
        spaces.iter().flat_map(|s| s.iter()).for_each(|s| s.write(row));
        row.len(quotes.len());
        quotes.iter().for_each(|q| q.write(row));
        row.len(silences.len());
        silences.iter().flat_map(|(from, to)| [from, to]).for_each(|t| row.time(*t));
    }

    pub(crate) fn read(from: &mut Cursor<'_>) -> Option<Self> {
        Some(Self {
            order: if from.flag()? { Some((from.time()?, from.time()?)) } else { None },
            sums: [Sums::read(from)?, Sums::read(from)?],
            signals: [Signals::read(from)?, Signals::read(from)?],
            datagrams: None,
            spaces: if from.flag()? { Some(Box::new([Space::read(from)?, Space::read(from)?])) } else { None },
            quotes: {
                let n = from.len(QUOTES)?;
                (0..n).map(|_| Quote::read(from)).collect::<Option<_>>()?
            },
            silences: {
                let n = from.len(SILENCES)?;
                (0..n).map(|_| Some((from.time()?, from.time()?))).collect::<Option<_>>()?
            },
        })
    }

    /// `resets`: whether the first RST of each side's peer lies in the later stretch.
    fn append_spaces(&mut self, later: Option<Box<[Space; 2]>>, cap: usize, resets: [bool; 2]) {
        for side in [Side::A, Side::B] {
            let first = *side.of(&resets);
            match (&mut self.spaces, &later) {
                (Some(own), Some(more)) => side.of_mut(own).append(side.of(more), cap, first),
                (Some(own), None) if first => side.of_mut(own).reset(),
                _ => {}
            }
        }
        if self.spaces.is_none() {
            self.spaces = later;
            for side in [Side::A, Side::B].into_iter().filter(|s| !*s.of(&resets)) {
                self.spaces.iter_mut().for_each(|s| side.of_mut(s).forget_reset());
            }
        }
    }

    /// Moves the frame numbers.
    pub(crate) fn shift(&mut self, by: &Shift) {
        self.sums.iter_mut().for_each(|s| s.shift(by));
        self.signals.iter_mut().for_each(|s| s.shift(by));
        self.spaces.iter_mut().flat_map(|s| s.iter_mut()).for_each(|s| s.shift(by));
        self.datagrams.iter_mut().flat_map(|d| d.iter_mut()).for_each(|d| d.shift(by));
        self.quotes.iter_mut().for_each(|q| by.stamp(&mut q.at));
    }
}

impl Signals {
    fn write(&self, row: &mut Row) {
        let Self { syn_acks, syn_ack_seen, fins, fin_first, rsts, rst_seen, zero_window } = self;
        row.optional_stamp(*zero_window);
        row.count(*syn_acks);
        row.count(*fins);
        row.count(*rsts);
        if *syn_acks > 0 {
            row.len(syn_ack_seen.len());
            for s in syn_ack_seen {
                row.stamp(s.at);
                row.int(i64::from(s.seq));
                row.int(i64::from(s.ack));
            }
        }
        if *fins > 0 {
            row.optional_stamp(*fin_first);
        }
        if *rsts > 0 {
            row.len(rst_seen.len());
            for r in rst_seen {
                row.stamp(r.at);
                row.int(i64::from(r.seq));
                row.optional(r.ack);
                row.int(i64::from(r.ttl));
            }
        }
    }

    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        let zero_window = from.optional_stamp()?;
        let mut s =
            Self { syn_acks: from.count()?, fins: from.count()?, rsts: from.count()?, zero_window, ..Self::default() };
        if s.syn_acks > 0 {
            for _ in 0..from.len(End::KEPT)? {
                s.syn_ack_seen.push(SynAck { at: from.stamp()?, seq: from.number()?, ack: from.number()? });
            }
        }
        if s.fins > 0 {
            s.fin_first = from.optional_stamp()?;
        }
        if s.rsts > 0 {
            for _ in 0..from.len(End::KEPT)? {
                let (at, seq, ack) = (from.stamp()?, from.number()?, from.optional()?);
                s.rst_seen.push(Rst { at, seq, ack, ttl: from.number()? });
            }
        }
        Some(s)
    }

    /// Takes in those of other packets of the same side.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.syn_acks += other.syn_acks;
        other.syn_ack_seen.iter().for_each(|&s| keep_ends(&mut self.syn_ack_seen, s, End::KEPT, |s| s.at));
        self.fins += other.fins;
        self.fin_first = earlier(self.fin_first, other.fin_first);
        self.rsts += other.rsts;
        other.rst_seen.iter().for_each(|&r| keep_first(&mut self.rst_seen, r, End::KEPT, |r| r.at));
        self.zero_window = later_of(self.zero_window, other.zero_window);
    }

    fn shift(&mut self, by: &Shift) {
        self.syn_ack_seen.iter_mut().for_each(|s| by.stamp(&mut s.at));
        self.rst_seen.iter_mut().for_each(|r| by.stamp(&mut r.at));
        by.option(&mut self.fin_first);
        by.option(&mut self.zero_window);
    }
}
