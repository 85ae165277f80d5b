//! Packets that were captured more than once: at several components of a Windows host (pktmon), in several of a Linux
//! host's interfaces, by a mirror port at both ends of a switch.
//!
//! A copy is a packet that equals one of the few before it, within a fifth of a second, identification included. Where the
//! identification says nothing it must have come over another interface or in another encapsulation. What is counted depends on the packets alone,
//! not on where a stretch was cut: the first and last few are kept, and compared when stretches are appended.

use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;

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
struct Print {
    hash: u64,
    time: Time,
    /// Interface and encapsulation: what differs between two sightings of a packet that carries no identification.
    sighting: (u32, u64),
    /// Whether equal prints are copies also on one interface.
    unique: bool,
}

impl Print {
    fn new(place: Place, p: &Packet<'_>) -> Self {
        let body = match &p.body {
            Body::Tcp(t) => (1_u8, t.src_port, t.dst_port, t.seq, t.ack, u16::from(t.flags.0), t.payload_len),
            Body::Udp(u) => (2, u.src_port, u.dst_port, 0, 0, 0, u.payload_len),
            Body::Icmp(i) => (3, u16::from(i.ty), u16::from(i.code), 0, 0, 0, 0),
            Body::LaterFragment { .. } => (4, 0, 0, 0, 0, 0, 0),
            Body::Other(_) => (5, 0, 0, 0, 0, 0, 0),
        };
        // Not the time to live: a router's copy has one less.
        let hash = FixedState::with_seed(0).hash_one((p.src, p.dst, p.id, p.ip_bytes, body));
        let unique = p.id != 0 && !matches!(p.body, Body::LaterFragment { .. });
        Self { hash, time: place.at.time, sighting: (place.interface, place.carried), unique }
    }

    fn repeats(&self, before: &Self) -> bool {
        self.hash == before.hash
            && (self.unique || self.sighting != before.sighting)
            && before.time <= self.time
            && self.time.since(before.time) <= WITHIN
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
    last: VecDeque<Print>,
    /// By input: the first copy and how many.
    counts: BTreeMap<InputId, (u64, u64)>,
}

impl Repeats {
    /// Takes in the next packet.
    pub(super) fn add(&mut self, place: Place, p: &Packet<'_>) {
        let print = Print::new(place, p);
        let counted = self.last.iter().any(|before| print.repeats(before));
        if counted {
            self.count(place.at.at);
        }
        if self.first.len() < NEAR {
            self.first.push(Early { print, at: place.at.at, counted });
        }
        self.remember(print);
    }

    fn remember(&mut self, print: Print) {
        if self.last.len() == NEAR {
            self.last.pop_front();
        }
        self.last.push_back(print);
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
            let mut before = self.last.iter().rev().take(NEAR - place);
            let found = !early.counted && before.any(|b| early.print.repeats(b));
            if found {
                self.count(at);
            }
            if self.first.len() < NEAR {
                self.first.push(Early { at, counted: early.counted || found, ..early });
            }
        }
        later.last.into_iter().for_each(|print| self.remember(print));
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
