//! What one stretch of frames yields: flows in pieces, and what cannot be resolved before it is known what came earlier.
//!
//! Law: observing frames in any number of consecutive stretches and appending them equals observing them in one go, as long as
//! nothing overflowed and no count is approximate. Appending is associative.

use std::collections::BTreeMap;
use std::net::IpAddr;

use foldhash::quality::RandomState;
use hashbrown::HashMap;

use crate::base::{FrameRef, InputId, Problem, ProblemKind, Problems, Proto, Stamp};
use crate::capture::Frame;
use crate::flow::{DatagramKey, EndPoint, FlowKey, Fragments, Lane, Pieces, Quote, Seen, Shift, Side};
use crate::packet::{self, Body, Icmp, Packet, Trail};

use super::repeats::Repeats;

/// Pieces kept in a stretch. What would begin another one is counted instead: a flood of forged tuples must not take all
/// memory.
const MAX_PIECES: usize = 2_000_000;

/// What a stretch of frames of one observation point yields.
#[derive(Clone, Debug, Default)]
pub struct Partial {
    /// Where a key's pieces are. Never iterated: `keys` has the order of first sight.
    pub(super) index: HashMap<FlowKey, usize, RandomState>,
    pub(super) keys: Vec<(FlowKey, Pieces)>,
    pub(super) fragments: Fragments,
    pub(super) problems: Problems,
    pub(super) repeats: Repeats,
    /// Frames read of each input.
    pub(super) frames: BTreeMap<InputId, u64>,
    pieces: usize,
    /// Tunnels around the packet at hand.
    trail: Trail,
}

/// A packet's surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// When, and which frame of its stretch.
    pub at: Stamp,
    /// Interface of the frame.
    pub interface: u32,
    /// What carried it ([`Trail::mark`]): 0 for a packet in no tunnel.
    pub carried: u64,
}

impl Partial {
    /// Takes in a frame: counts it, decodes it, adds its packet to its flow.
    pub fn frame(&mut self, frame: &Frame<'_>) {
        let decoded = packet::decode_along(frame, &self.trail);
        if let Some(issue) = &decoded.issue {
            let mut problem = issue.problem(frame);
            if decoded.packet.is_none() && matches!(issue.kind, ProblemKind::Opaque | ProblemKind::Undecoded) {
                problem.kind = ProblemKind::HiddenFrames;
            }
            self.problem(problem);
        }
        if let Some(packet) = &decoded.packet {
            let at = Stamp { time: frame.time, at: FrameRef { input: frame.input, frame: frame.number } };
            // Cooked captures on "any" name the interface in every frame.
            let interface = decoded.device.unwrap_or(frame.interface);
            self.packet(Place { at, interface, carried: self.trail.mark() }, packet);
            if !self.trail.is_empty() {
                self.tunnelled(at, packet);
            }
        }
    }

    /// Notes a problem, its frame counted from the beginning of the stretch.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.add(problem);
    }

    /// Says how many frames of an input were read, the undecodable ones included: what comes later is numbered behind them.
    pub fn set_frames(&mut self, input: InputId, frames: u64) {
        self.frames.insert(input, frames);
    }

    /// Adds a decoded packet to its flow.
    pub fn packet(&mut self, place: Place, p: &Packet<'_>) {
        self.repeats.add(place, p);
        let seen = |payload| Seen {
            at: place.at,
            lane: Lane::new(place.interface, p.vlans),
            ttl: p.ttl,
            ip_bytes: p.ip_bytes,
            payload,
            group: p.group,
        };
        match &p.body {
            Body::Tcp(t) => {
                let (key, side) = key(p, Proto::Tcp, t.src_port, t.dst_port);
                self.fragment(p, t.first_fragment, key, side, place.at);
                self.add(key, place.at, |pieces| pieces.tcp(&key, side, &seen(t.payload_len), t));
            }
            Body::Udp(u) => {
                let (key, side) = key(p, Proto::Udp, u.src_port, u.dst_port);
                self.fragment(p, u.first_fragment, key, side, place.at);
                self.add(key, place.at, |pieces| pieces.udp(side, &seen(u.payload_len), u));
            }
            Body::Icmp(icmp) => {
                let proto = if icmp.v6 { Proto::Icmp6 } else { Proto::Icmp };
                let (key, side) = key(p, proto, 0, 0);
                self.add(key, place.at, |pieces| pieces.plain(side, &seen(0)));
                self.quote(p.src, place.at, icmp);
            }
            Body::LaterFragment { proto, id } => {
                let datagram = DatagramKey { src: p.src, dst: p.dst, proto: *proto, id: *id };
                self.fragments.later(datagram, place.at);
            }
            Body::Other(proto) => {
                let (key, side) = key(p, *proto, 0, 0);
                self.add(key, place.at, |pieces| pieces.plain(side, &seen(0)));
            }
        }
    }

    /// Tells the packet's flow what carried it. Later fragments of a carrier hold the rest of the packet.
    #[cold]
    fn tunnelled(&mut self, at: Stamp, p: &Packet<'_>) {
        if let Some((key, side)) = flow_of(p) {
            let opens = matches!(&p.body, Body::Tcp(t) if t.opens());
            let known = self.index.get(&key).and_then(|&i| self.keys.get_mut(i));
            if let Some((_, pieces)) = known {
                pieces.tunnelled(side, opens, &self.trail);
            }
            for (_, carrier) in self.trail.iter() {
                if let (Some((src, dst)), Some((proto, id))) = (carrier.ends, carrier.fragment) {
                    self.fragments.first(DatagramKey { src, dst, proto, id }, key, side, at);
                }
            }
        }
        self.trail.clear();
    }

    fn fragment(&mut self, p: &Packet<'_>, id: Option<u32>, key: FlowKey, side: Side, at: Stamp) {
        if let Some(id) = id {
            let datagram = DatagramKey { src: p.src, dst: p.dst, proto: key.proto, id };
            self.fragments.first(datagram, key, side, at);
        }
    }

    fn quote(&mut self, reporter: IpAddr, at: Stamp, icmp: &Icmp) {
        let Some(q) = &icmp.quoted else { return };
        let point = |addr, port| EndPoint { addr, port };
        let (key, quoted) = FlowKey::new(q.proto, point(q.src, q.src_port), point(q.dst, q.dst_port));
        let (v6, ty, code) = (icmp.v6, icmp.ty, icmp.code);
        let quote = Quote { reporter, at, count: 1, v6, ty, code, quoted, seq: q.seq };
        self.add(key, at, |pieces| pieces.quote(quote));
    }

    /// Adds something to a key's pieces. In a full store only what begins no key is taken.
    fn add(&mut self, key: FlowKey, at: Stamp, with: impl FnOnce(&mut Pieces) -> usize) {
        let found = self.index.get(&key).copied();
        if found.is_none() && self.pieces >= MAX_PIECES {
            return self.overflow(at);
        }
        let place = found.unwrap_or_else(|| {
            self.index.insert(key, self.keys.len());
            self.keys.push((key, Pieces::default()));
            self.keys.len() - 1
        });
        if let Some((_, pieces)) = self.keys.get_mut(place) {
            self.pieces += with(pieces);
        }
    }

    fn overflow(&mut self, at: Stamp) {
        self.problem(Problem {
            input: at.at.input,
            kind: ProblemKind::StoreOverflow,
            detail: "flows".to_owned(),
            offset: None,
            frame: Some(at.at.frame),
            count: 1,
        });
    }

    /// Takes in the stretch that follows, of the same observation point.
    pub fn append(&mut self, mut later: Self) {
        let shift = Shift::new(self.frames.iter().map(|(input, n)| (*input, *n)));
        for (input, by) in &self.frames {
            later.problems.shift_frames(*input, *by);
        }
        if !shift.is_empty() {
            later.fragments.shift(&shift);
            later.keys.iter_mut().for_each(|(_, pieces)| pieces.shift(&shift));
        }
        self.repeats.append(later.repeats, &self.frames);
        for (key, pieces) in later.keys {
            self.take(key, pieces);
        }
        self.fragments.append(later.fragments);
        self.problems.merge(&later.problems);
        for (input, n) in later.frames {
            *self.frames.entry(input).or_default() += n;
        }
    }

    fn take(&mut self, key: FlowKey, more: Pieces) {
        if let Some((_, pieces)) = self.index.get(&key).and_then(|&at| self.keys.get_mut(at)) {
            self.pieces -= pieces.len();
            pieces.append(&key, more);
            self.pieces += pieces.len();
        } else if self.pieces < MAX_PIECES {
            self.index.insert(key, self.keys.len());
            self.pieces += more.len();
            self.keys.push((key, more));
        } else if let Some(at) = more.first_stamp() {
            self.overflow(at);
        }
    }
}

/// The flow that a packet was added to; none of a later fragment's is known yet.
fn flow_of(p: &Packet<'_>) -> Option<(FlowKey, Side)> {
    Some(match &p.body {
        Body::Tcp(t) => key(p, Proto::Tcp, t.src_port, t.dst_port),
        Body::Udp(u) => key(p, Proto::Udp, u.src_port, u.dst_port),
        Body::Icmp(i) => key(p, if i.v6 { Proto::Icmp6 } else { Proto::Icmp }, 0, 0),
        Body::Other(proto) => key(p, *proto, 0, 0),
        Body::LaterFragment { .. } => return None,
    })
}

fn key(p: &Packet<'_>, proto: Proto, src_port: u16, dst_port: u16) -> (FlowKey, Side) {
    FlowKey::new(proto, EndPoint { addr: p.src, port: src_port }, EndPoint { addr: p.dst, port: dst_port })
}
