//! Packets that were captured more than once: at several components of a Windows host (pktmon), in several of a Linux
//! host's interfaces, by a mirror port at both ends of a switch.
//!
//! A copy is a packet that equals one of the few before it, within a fifth of a second, identification included. Where the
//! identification says nothing it must have come over another interface or in another encapsulation. What is counted depends on the packets alone,
//! not on where a stretch was cut: the first and last few are kept, and compared when stretches are appended.

use std::collections::BTreeMap;

use crate::base::{FrameRef, InputId, Problem, ProblemKind, Span, Time};
use crate::packet::{Body, Packet};

use super::partial::Place;

/// Packets before it that one is compared with: copies of several packets come interleaved.
const NEAR: usize = 16;
/// Copies are at most so far apart.
const WITHIN: Span = Span::from_millis(200);
/// Told where at least one packet in so many is a copy: below that it is the network's own doing.
const ONE_IN: u64 = 10;

/// What is compared of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Print {
    /// A hash of the tuple.
    who: u64,
    /// Sequence and acknowledgement number; lengths; the rest of the contents and who of the two sent it.
    contents: [u64; 3],
    time: Time,
    /// Interface and encapsulation: what differs between two sightings of a packet that carries no identification.
    sighting: (u32, u64),
}

/// What of a packet's contents makes a copy: not the time to live, since a router's copy has one less.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Contents {
    /// What tells kinds of packets apart, ICMP's type and code, TCP's flags.
    pub(super) kind: u32,
    pub(super) id: u16,
    pub(super) ip_bytes: u32,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) payload: u32,
}

impl Print {
    /// `who` is a hash of the tuple, `from_b` who of the two sent the packet.
    #[inline(always)]
    pub(super) fn new(place: Place, who: u64, from_b: bool, c: &Contents) -> Self {
        let numbers = u64::from(c.seq) << 32 | u64::from(c.ack);
        let lengths = u64::from(c.ip_bytes) << 32 | u64::from(c.payload);
        let rest = u64::from(c.kind) << 17 | u64::from(c.id) << 1 | u64::from(from_b);
        Self {
            who,
            contents: [numbers, lengths, rest],
            time: place.at.time,
            sighting: (place.interface, place.carried),
        }
    }

    /// Whether equal prints are copies also on one interface: the packet has an identification of its own.
    const fn is_unique(&self) -> bool {
        let [.., rest] = self.contents;
        rest >> 1 & 0xffff != 0 && rest >> 17 != LATER_FRAGMENT as u64
    }

    /// The print of a packet on the long way.
    pub(super) fn of(place: Place, p: &Packet<'_>, who: u64, from_b: bool) -> Self {
        let common = Contents { id: p.id, ip_bytes: p.ip_bytes, ..Contents::default() };
        let contents = match &p.body {
            Body::Tcp(t) => Contents { kind: tcp(t.flags.0), seq: t.seq, ack: t.ack, payload: t.payload_len, ..common },
            Body::Udp(u) => Contents { kind: UDP, payload: u.payload_len, ..common },
            Body::Icmp(i) => Contents { kind: 3 | u32::from(i.ty) << 8 | u32::from(i.code) << 16, ..common },
            Body::LaterFragment { .. } => Contents { kind: LATER_FRAGMENT, ..common },
            Body::Other(_) => Contents { kind: 5, ..common },
        };
        Self::new(place, who, from_b, &contents)
    }

    /// Equal for copies, and for almost nothing else.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    const fn digest(&self) -> u32 {
        let [numbers, lengths, rest] = self.contents;
        let all = self.who ^ numbers ^ lengths.rotate_left(16) ^ rest;
        (all ^ all >> 32) as u32
    }

    fn repeats(&self, before: &Self) -> bool {
        self.who == before.who
            && self.contents == before.contents
            && (self.is_unique() || self.sighting != before.sighting)
            && before.time <= self.time
            && self.time.since(before.time) <= WITHIN
    }
}

/// The kind of a TCP packet with these flags.
#[inline(always)]
pub(super) const fn tcp(flags: u8) -> u32 {
    1 | (flags as u32) << 8
}

/// The kind of a UDP packet.
pub(super) const UDP: u32 = 2;
const LATER_FRAGMENT: u32 = 4;

/// The last few packets, in a ring.
#[derive(Clone, Debug)]
struct Ring {
    prints: [Print; NEAR],
    /// The digest of each, so that most packets are compared with all of them in a few instructions.
    digests: [u32; NEAR],
    /// Packets so far.
    seen: usize,
}

impl Default for Ring {
    fn default() -> Self {
        let none = Print { who: 0, contents: [0; 3], time: Time::from_nanos(0), sighting: (0, 0) };
        Self { prints: [none; NEAR], digests: [0; NEAR], seen: 0 }
    }
}

impl Ring {
    #[inline(always)]
    fn push(&mut self, print: Print) {
        let at = self.seen % NEAR;
        if let (Some(slot), Some(digest)) = (self.prints.get_mut(at), self.digests.get_mut(at)) {
            (*slot, *digest) = (print, print.digest());
        }
        self.seen = self.seen.wrapping_add(1);
    }

    /// Whether there may be a packet that this one is a copy of.
    fn may_hold(&self, print: &Print) -> bool {
        let digest = print.digest();
        self.digests.iter().fold(false, |found, d| found | (*d == digest))
    }

    /// The newest first.
    fn iter(&self) -> impl DoubleEndedIterator<Item = &Print> {
        (1..=self.seen.min(NEAR)).filter_map(|back| self.prints.get((self.seen - back) % NEAR))
    }
}

/// One of the first packets of a stretch.
#[derive(Clone, Copy, Debug)]
struct Early {
    print: Print,
    at: FrameRef,
    counted: bool,
}

/// Copies seen in a stretch.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    first: Vec<Early>,
    last: Ring,
    /// By input: the first copy and how many.
    counts: BTreeMap<InputId, (u64, u64)>,
}

impl Repeats {
    /// Takes in the next packet.
    pub(super) fn add(&mut self, at: FrameRef, print: Print) {
        let counted = self.last.may_hold(&print) && self.last.iter().any(|before| print.repeats(before));
        if counted {
            self.count(at);
        }
        if self.first.len() < NEAR {
            self.first.push(Early { print, at, counted });
        }
        self.last.push(print);
    }

    /// Whether the first packets of the stretch, which may be copies of the last ones of the stretch before, are behind it.
    pub(super) const fn is_settled(&self) -> bool {
        self.first.len() >= NEAR
    }

    /// Takes in a plain packet, which is no copy of one before it but may be copied itself.
    #[inline(always)]
    pub(super) fn add_plain(&mut self, print: Print) {
        self.last.push(print);
    }

    fn count(&mut self, at: FrameRef) {
        let (first, n) = self.counts.entry(at.input).or_insert((at.frame, 0));
        (*first, *n) = ((*first).min(at.frame), *n + 1);
    }

    /// Takes in the stretch that follows; `frames` are those before it, by input.
    pub(super) fn append(&mut self, later: Self, frames: &BTreeMap<InputId, u64>) {
        let shift = |input: &InputId| frames.get(input).copied().unwrap_or(0);
        for (input, (first, n)) in later.counts {
            let first = first + shift(&input);
            let ours = self.counts.entry(input).or_insert((first, 0));
            *ours = (ours.0.min(first), ours.1 + n);
        }
        for (place, early) in later.first.into_iter().enumerate() {
            let at = FrameRef { frame: early.at.frame + shift(&early.at.input), ..early.at };
            // Those of its own stretch it was compared with already.
            let found = !early.counted && self.last.iter().take(NEAR - place).any(|b| early.print.repeats(b));
            if found {
                self.count(at);
            }
            if self.first.len() < NEAR {
                self.first.push(Early { at, counted: early.counted || found, ..early });
            }
        }
        later.last.iter().rev().for_each(|print| self.last.push(*print));
    }

    /// By input: the first copy and how many. What a saved observation keeps: copies across its ends are not recognised.
    pub(super) const fn counts(&self) -> &BTreeMap<InputId, (u64, u64)> {
        &self.counts
    }

    /// Copies as they were counted.
    pub(super) fn counted(counts: BTreeMap<InputId, (u64, u64)>) -> Self {
        Self { counts, ..Self::default() }
    }

    /// What is to be told of inputs that have so many frames.
    pub(super) fn problems(&self, frames: &BTreeMap<InputId, u64>) -> Vec<Problem> {
        let told = |input: &InputId, n: u64| n > 1 && n * ONE_IN >= frames.get(input).copied().unwrap_or(0);
        self.counts
            .iter()
            .filter(|(input, (_, n))| told(input, *n))
            .map(|(&input, &(frame, count))| Problem {
                input,
                kind: ProblemKind::RepeatedPackets,
                detail: "counts are per sighting, attempts count once".to_owned(),
                offset: None,
                frame: Some(frame),
                count,
            })
            .collect()
    }
}
