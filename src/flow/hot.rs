//! The short way for the packets that most of a capture consists of: data in order and the acknowledgements of it.
//!
//! A [`Body`] spreads over dozens of cache lines; to touch them for every packet costs more than everything else together.
//! What a *plain* packet changes fits into two lines of a [`Hot`] record. Any other packet first has the record flushed into
//! the body and then goes the long way, so the body stays the one meaning and this an exact shortcut, which a property test
//! holds. [`Hot::plain`] is the definition.

use std::hint::select_unpredictable;

use crate::base::{FrameRef, InputId, Span, Stamp, Time};
use crate::packet::{Headers, TcpFlags};

use super::body::Body;
use super::model::Side;

/// A flow silent for so long says something with its next packet: that one goes the long way.
const SILENCE: Span = Span::from_secs(10);
/// Sequence numbers of a plain packet lie so close together that all differences are what they seem. Bytes not flushed yet are fewer,
/// too.
const NEAR: u32 = 1 << 30;
/// Behind so many packets of its piece a plain one cannot be a copy of one before the piece: copies are looked for among this
/// many.
const SETTLED: u64 = 16;
/// A flow of fewer packets is not worth a record.
const WORTH_IT: u64 = 6;

/// A packet on the short way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<H> {
    /// Sent by side B.
    pub(crate) from_b: bool,
    pub(crate) time: Time,
    pub(crate) frame: u32,
    /// Number of its lane in the stretch.
    pub(crate) lane: u16,
    /// What its headers say, read where it is asked for: there are more fields than registers.
    pub(crate) head: H,
}

/// What of a side's sequence space a plain packet needs to know; see [`super::space::Space::settled`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    /// End of the payload seen, which is where the next segment is expected.
    pub(crate) edge: u32,
    /// Highest number sent, and when first.
    pub(crate) sent: Option<(u32, Stamp)>,
    /// Highest acknowledgement of it, and when first.
    pub(crate) acked: Option<(u32, Stamp)>,
    /// Whether any number that rises is only a new highest one: the list of the first few is full.
    pub(crate) sent_full: bool,
    pub(crate) acked_full: bool,
    /// Whether payload has been seen, so that more of it only moves the edge.
    pub(crate) has_payload: bool,
    /// Room left for first bytes.
    pub(crate) room: usize,
    /// Payload bytes of the largest segment.
    pub(crate) largest: u32,
}

/// What plain packets changed in a side's space; see [`super::space::Space::advance`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advance {
    pub(crate) payload: u32,
    /// Payload bytes of the largest segment, and how many came before the first of that size.
    pub(crate) largest: (u32, u32),
    /// The number that came last.
    pub(crate) last: u32,
    /// Whether this side sent any.
    pub(crate) sent: Option<(u32, Stamp)>,
    pub(crate) acked: Option<(u32, Stamp)>,
}

/// A side's permissions.
mod may {
    /// Send plain packets at all.
    pub(super) const SEND: u8 = 1;
    /// Raise the highest number sent.
    pub(super) const RISE: u8 = 2;
    /// Raise the highest number acknowledged.
    pub(super) const ACKNOWLEDGE: u8 = 4;
    /// Carry payload.
    pub(super) const PAYLOAD: u8 = 8;
    /// Not a permission: first bytes are still wanted.
    pub(super) const WANTED: u8 = 16;
}

/// What one direction changes, in one cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Way {
    last: i64,
    /// When the highest number sent, and the highest acknowledgement sent, were first seen.
    rose: i64,
    acked: i64,
    last_frame: u32,
    rose_frame: u32,
    acked_frame: u32,
    packets: u32,
    ip_bytes: u32,
    payload: u32,
    /// Payload of the largest segment, and what came before the first of that size since the last flush.
    largest: u32,
    largest_at: u32,
    window: (u16, u16),
    lane: u16,
    ttl: (u8, u8),
}

impl Way {
    #[cold]
    fn widen(&mut self, window: u16) {
        self.window = (self.window.0.min(window), self.window.1.max(window));
    }
}

impl Default for Way {
    fn default() -> Self {
        Self {
            last: 0,
            rose: 0,
            acked: 0,
            last_frame: 0,
            rose_frame: 0,
            acked_frame: 0,
            packets: 0,
            ip_bytes: 0,
            payload: 0,
            largest: 0,
            largest_at: 0,
            window: (0, 0),
            lane: NO_LANE,
            ttl: (0, 0),
        }
    }
}

/// Of a side that sent nothing yet.
const NO_LANE: u16 = u16::MAX;

/// Whose record it is, as packets of side A say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tuple {
    /// IPv4.
    V4(Pair),
    /// IPv6.
    V6(Pair6),
}

/// Source and destination of an IPv6 packet as its header has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair6 {
    /// Source address.
    pub(crate) src: u128,
    /// Destination address.
    pub(crate) dst: u128,
    /// 16 bits each, and above them a bit for UDP.
    pub(crate) ports: u64,
}

impl Pair6 {
    /// The same of a packet in the other direction.
    pub(crate) const fn turned(self) -> Self {
        Self { src: self.dst, dst: self.src, ports: turned(self.ports) }
    }
}

/// Ports in the other order.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
const fn turned(ports: u64) -> u64 {
    ports & !0xffff_ffff | (ports as u32).rotate_left(16) as u64
}

/// Ports and protocol as pairs have them; `both`: source, then destination, 16 bits each.
#[inline(always)]
pub(crate) const fn ports(udp: bool, both: u32) -> u64 {
    (udp as u64) << 32 | both as u64
}

/// Source and destination of an IPv4 packet as its header has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// 32 bits each.
    pub(crate) addresses: u64,
    /// 16 bits each, and above them a bit for UDP.
    pub(crate) ports: u64,
}

impl Pair {
    /// The same of a packet in the other direction.
    #[inline(always)]
    pub(crate) const fn turned(self) -> Self {
        Self { addresses: self.addresses.rotate_left(32), ports: turned(self.ports) }
    }
}

/// The hot record of a TCP flow: this line of it and a direction's are touched per packet.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Hot {
    /// As side A sends; for IPv6 what no packet sends.
    pair: Pair,
    /// Hash of its key.
    pub(crate) hash: u64,
    /// Where its key is.
    pub(crate) place: u32,
    may: [u8; 2],
    /// Whether something has to be flushed.
    dirty: bool,
    /// Whether side B sent the last plain packet.
    last_b: bool,
    last: i64,
    edge: [u32; 2],
    sent: [u32; 2],
    /// By the side that acknowledges: highest number of the other one.
    acks: [u32; 2],
    ways: [Way; 2],
}

/// Of IPv6.
const NO_PAIR: Pair = Pair { addresses: 0, ports: u64::MAX };

const _: () = assert!(size_of::<Hot>() == 192, "three cache lines");

/// What became of a packet on the short way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is in the record.
    Wholly,
    /// It is, and its payload is wanted among the first bytes.
    Wanted,
}

#[expect(clippy::indexing_slicing, reason = "of two things, by an index that is 0 or 1")]
impl Hot {
    /// A record that takes nothing yet.
    pub(crate) fn new(tuple: Tuple, hash: u64, place: u32) -> Self {
        let pair = if let Tuple::V4(pair) = tuple { pair } else { NO_PAIR };
        Self {
            pair,
            hash,
            place,
            may: [0; 2],
            dirty: false,
            last_b: false,
            last: 0,
            edge: [0; 2],
            sent: [0; 2],
            acks: [0; 2],
            ways: [Way::default(), Way::default()],
        }
    }

    /// Whether it is the record of a flow of which this side sends like this.
    #[inline(always)]
    pub(crate) const fn is(&self, pair: Pair, from_b: bool) -> bool {
        let pair = if from_b { pair.turned() } else { pair };
        self.pair.addresses == pair.addresses && self.pair.ports == pair.ports
    }

    /// Whether a packet is plain. All of this has to hold:
    ///
    /// - TCP, whole, not to a group, not in a tunnel, nothing wrong with it; its key is known; no FIN or RST was seen in its piece.
    /// - 16 packets were seen in this stretch before it, and where its piece is not the first one of its key there, 16 of its piece.
    /// - Its flags are ACK, or ACK and PSH; its window is not 0.
    /// - It is not earlier than the flow's packet before it, and less than 10 seconds later.
    /// - It came over the same lane as its side's packet before it, with a time to live in the range already seen.
    /// - Its sequence number is the end of what its side sent so far: data is new and in order, and what carries none is no
    ///   keepalive. It acknowledges no less than its side did before, and nothing that was not seen.
    /// - It carries data, or acknowledges more than before, or is the first at its sequence number: no repeat, no change of
    ///   window alone.
    /// - What it raises has been raised often enough: the bounded lists of firsts are full.
    /// - Its side sent fewer than 2^30 bytes since the record was flushed last.
    ///
    /// It then changes only: its side's packets and bytes, time of the last one, range of windows; the end of payload, the
    /// highest number sent and acknowledged with their times, the largest segment, and, until enough is held, the first bytes.
    #[inline(always)]
    pub(crate) fn plain<H: Headers>(&self, p: &Look<H>) -> bool {
        let (me, peer) = (usize::from(p.from_b), usize::from(!p.from_b));
        let (way, head) = (&self.ways[me], &p.head);
        let does = self.does(p);
        let gap = p.time.as_nanos().wrapping_sub(self.last).cast_unsigned();
        // What has to be equal, and what has to be no less than something: one look at all of each, since most packets pass.
        let differs = (head.seq() ^ self.edge[me])
            | u32::from(p.lane ^ way.lane)
            | u32::from((head.flags() | PSH) ^ (TcpFlags::ACK | PSH))
            | u32::from(does & !self.may[me]);
        let ttl = u32::from(head.ttl());
        let above = self.edge[peer].wrapping_sub(head.ack())
            | head.ack().wrapping_sub(self.acks[me])
            | ttl.wrapping_sub(way.ttl.0.into())
            | u32::from(way.ttl.1).wrapping_sub(ttl)
            | u32::from(head.window()).wrapping_sub(1)
            // Far from what does not fit, whatever the next packet adds.
            | way.ip_bytes;
        (differs == 0) & (above < NEAR) & (gap < SILENCE.as_nanos()) & (does != may::SEND)
    }

    /// What of a side's permissions a packet uses.
    #[inline(always)]
    fn does<H: Headers>(&self, p: &Look<H>) -> u8 {
        let me = usize::from(p.from_b);
        may::SEND
            | if p.head.seq() == self.sent[me] { 0 } else { may::RISE }
            | if p.head.ack() == self.acks[me] { 0 } else { may::ACKNOWLEDGE }
            | if p.head.payload_len() == 0 { 0 } else { may::PAYLOAD }
    }

    /// Adds a plain packet.
    #[inline(always)]
    pub(crate) fn add<H: Headers>(&mut self, p: &Look<H>) -> Taken {
        let me = usize::from(p.from_b);
        let at = p.time.as_nanos();
        let does = self.does(p);
        let (seq, payload, window) = (p.head.seq(), p.head.payload_len(), p.head.window());
        let way = &mut self.ways[me];
        way.last = at;
        way.last_frame = p.frame;
        // Which of the two a packet does is anybody's guess, and a wrong one costs more than both together.
        let (rises, acknowledges) = (does & may::RISE != 0, does & may::ACKNOWLEDGE != 0);
        (way.rose, way.rose_frame) = select_unpredictable(rises, (at, p.frame), (way.rose, way.rose_frame));
        (way.acked, way.acked_frame) = select_unpredictable(acknowledges, (at, p.frame), (way.acked, way.acked_frame));
        if payload > way.largest {
            (way.largest, way.largest_at) = (payload, way.payload);
        }
        way.packets += 1;
        way.ip_bytes += p.head.ip_bytes();
        way.payload += payload;
        // Seldom, and written only then: both halves are read at once, which has to wait for a half just written.
        if (window < way.window.0) | (window > way.window.1) {
            way.widen(window);
        }
        self.last = at;
        self.dirty = true;
        self.sent[me] = seq;
        self.acks[me] = p.head.ack();
        self.last_b = p.from_b;
        self.edge[me] = seq.wrapping_add(payload);
        if (payload > 0) & (self.may[me] & may::WANTED != 0) { Taken::Wanted } else { Taken::Wholly }
    }

    /// Says that enough first bytes of a side are held.
    pub(crate) const fn sated(&mut self, from_b: bool) {
        self.may[from_b as usize] &= !may::WANTED;
    }

    /// Payload of a side that was not flushed yet.
    pub(crate) const fn pending(&self, from_b: bool) -> u32 {
        self.ways[from_b as usize].payload
    }

    /// Whether plain packets changed anything that was not written into the body yet.
    pub(crate) const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Writes what plain packets changed into the body.
    pub(crate) fn flush(&mut self, body: &mut Body, input: InputId) {
        if !self.dirty {
            return;
        }
        self.dirty = false;
        let stamp =
            |time, frame: u32| Stamp { time: Time::from_nanos(time), at: FrameRef { input, frame: u64::from(frame) } };
        for side in [Side::A, Side::B] {
            let (me, peer) = (side.index(), side.other().index());
            let (way, other) = (&self.ways[me], &self.ways[peer]);
            if way.packets > 0 {
                let sums = side.of_mut(&mut body.sums);
                sums.packets = sums.packets.saturating_add(u64::from(way.packets));
                sums.ip_bytes = sums.ip_bytes.saturating_add(u64::from(way.ip_bytes));
                sums.payload_bytes = sums.payload_bytes.saturating_add(u64::from(way.payload));
                sums.last = Some(stamp(way.last, way.last_frame));
                if body.spaces.is_some() {
                    sums.window = Some(way.window);
                }
            }
            if let Some(spaces) = &mut body.spaces {
                side.of_mut(spaces).advance(&Advance {
                    payload: way.payload,
                    largest: (way.largest, way.largest_at),
                    // The last packet moved both: its own side's with its number, the peer's with what it acknowledged.
                    last: if usize::from(self.last_b) == me { self.sent[me] } else { self.acks[peer] },
                    sent: (way.packets > 0).then(|| (self.sent[me], stamp(way.rose, way.rose_frame))),
                    acked: (other.packets > 0).then(|| (self.acks[peer], stamp(other.acked, other.acked_frame))),
                });
            }
        }
        for way in &mut self.ways {
            (way.packets, way.ip_bytes, way.payload) = (0, 0, 0);
        }
        if let Some((_, last)) = &mut body.order {
            *last = Time::from_nanos(self.last);
        }
    }

    /// Takes nothing until it learns again: what it knew is past.
    pub(crate) const fn forget(&mut self) {
        self.may = [0; 2];
    }

    /// Learns from a body what plain packets would change. Says for how many first bytes each side has room.
    pub(crate) fn learn(&mut self, body: Option<&Body>, before: &Before, cap: usize) -> [usize; 2] {
        let input = before.input;
        self.ways[usize::from(before.from_b)].lane = before.lane.unwrap_or(NO_LANE);
        self.may = [0; 2];
        let Some((body, (_, last))) = body.and_then(|b| Some((b, b.order?))) else { return [0; 2] };
        let open = body.signals.iter().all(|s| s.rsts == 0);
        let settled = open && before.settled && (before.only || packets(body) >= SETTLED);
        let Some(spaces) = body.spaces.as_ref().filter(|_| settled) else { return [0; 2] };
        let (Some(x), Some(y)) = (spaces[0].settled(cap), spaces[1].settled(cap)) else { return [0; 2] };
        self.last = last.as_nanos();
        for (me, (own, peer)) in [(x, y), (y, x)].into_iter().enumerate() {
            self.edge[me] = own.edge;
            let (sums, way) = (&body.sums[me], &mut self.ways[me]);
            let known = (sums.last, sums.ttl, sums.window, own.sent, peer.acked);
            let (Some(newest), Some(ttl), Some(window), Some(sent), Some(acked)) = known else { continue };
            // Only what came in order of time, from one input, has stamps that grow with it.
            if newest.at.input != input || newest.time > last || sums.packets == 0 {
                continue;
            }
            (way.last, way.last_frame) = (newest.time.as_nanos(), narrow(newest));
            (way.rose, way.rose_frame) = (sent.1.time.as_nanos(), narrow(sent.1));
            (way.acked, way.acked_frame) = (acked.1.time.as_nanos(), narrow(acked.1));
            (way.ttl, way.window, way.largest) = (ttl, window, own.largest);
            self.sent[me] = sent.0;
            self.acks[me] = acked.0;
            self.may[me] = may::SEND
                | if own.sent_full { may::RISE } else { 0 }
                | if peer.acked_full { may::ACKNOWLEDGE } else { 0 }
                | if own.has_payload && sums.first_payload.is_some() { may::PAYLOAD } else { 0 }
                | if own.room > 0 { may::WANTED } else { 0 };
        }
        [x.room, y.room]
    }

    /// Learns from a body of UDP what plain datagrams would change.
    pub(crate) fn learn_datagrams(&mut self, body: &Body, before: &Before) {
        self.ways[usize::from(before.from_b)].lane = before.lane.unwrap_or(NO_LANE);
        self.may = [0; 2];
        let Some((_, last)) = body.order else { return };
        self.last = last.as_nanos();
        for me in [0, 1] {
            let (sums, way) = (&body.sums[me], &mut self.ways[me]);
            let (Some(newest), Some(ttl)) = (sums.last, sums.ttl) else { continue };
            if newest.at.input != before.input || newest.time > last {
                continue;
            }
            (way.last, way.last_frame, way.ttl) = (newest.time.as_nanos(), narrow(newest), ttl);
            let full = body.datagrams.as_ref().is_some_and(|d| d[me].is_full());
            self.may[me] = may::SEND | if full && sums.first_payload.is_some() { may::PAYLOAD } else { 0 };
        }
    }

    /// Whether a datagram is plain: whole, not to a group, not in a tunnel; not earlier than the flow's one before it, less than 10
    /// seconds later, over the same lane as its side's before it, with a time to live in the range already seen; and the first
    /// few with payload are kept already. It then changes only its side's packets and bytes and the time of the last one.
    #[inline]
    pub(crate) fn plain_datagram<H: Headers>(&self, p: &Look<H>) -> bool {
        let me = usize::from(p.from_b);
        let way = &self.ways[me];
        let ttl = p.head.ttl();
        let needs = may::SEND | if p.head.payload_len() > 0 { may::PAYLOAD } else { 0 };
        let gap = p.time.as_nanos().wrapping_sub(self.last).cast_unsigned();
        (needs & !self.may[me] == 0)
            & (gap < SILENCE.as_nanos())
            & (p.lane == way.lane)
            & (way.ttl.0 <= ttl)
            & (ttl <= way.ttl.1)
            & (way.ip_bytes < NEAR)
    }

    /// Adds a plain datagram.
    #[inline]
    pub(crate) fn add_datagram<H: Headers>(&mut self, p: &Look<H>) {
        let way = &mut self.ways[usize::from(p.from_b)];
        (way.last, way.last_frame) = (p.time.as_nanos(), p.frame);
        way.packets += 1;
        way.ip_bytes += p.head.ip_bytes();
        way.payload += p.head.payload_len();
        self.last = p.time.as_nanos();
        self.dirty = true;
    }
}

/// Packets in a body.
const fn packets(body: &Body) -> u64 {
    let [a, b] = &body.sums;
    a.packets.saturating_add(b.packets)
}

/// Whether a flow is worth a record.
pub(crate) const fn worth_a_record(body: &Body) -> bool {
    packets(body) >= WORTH_IT && (body.spaces.is_some() || body.datagrams.is_some())
}

/// The packet that a record learns behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    /// Who sent it.
    pub(crate) from_b: bool,
    /// Where it was seen, if it went into the body.
    pub(crate) lane: Option<u16>,
    /// Its input.
    pub(crate) input: InputId,
    /// Whether its stretch has seen as many packets as copies are looked for among.
    pub(crate) settled: bool,
    /// Whether its piece is the only one of its key in the stretch.
    pub(crate) only: bool,
}

const PSH: u8 = 0x08;

/// A frame number of a stretch that has fewer than 2^32; the caller sees to that.
fn narrow(stamp: Stamp) -> u32 {
    u32::try_from(stamp.at.frame).unwrap_or(u32::MAX)
}
