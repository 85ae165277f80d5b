//! What one stretch of frames yields: flows in pieces, and what cannot be resolved before it is known what came earlier.
//!
//! Law: observing frames in any number of consecutive stretches and appending them equals observing them in one go, as long as
//! nothing overflowed and no count is approximate. Appending is associative.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::base::{FrameRef, InputId, Problem, ProblemKind, Problems, Proto, Stamp};
use crate::capture::{Counted, Frame};
use crate::flow::{
    DatagramKey, EndPoint, FlowKey, Fragments, Lane, Look, Pair, Pair6, Pieces, Quote, Seen, Shift, Side, ports,
};
use crate::packet::{self, Body, Datagram, Glance, Headers, Icmp, Packet, Segment, SegmentV6, Trail, Vlans};

use super::finish::attempts_counted;
use super::limits::Limits;
use super::repeats::{self, Contents, Print, Repeats};
use super::shelf::Shelf;
use super::store::{Long, Store};

/// What a stretch of frames of one observation point yields.
#[derive(Clone, Debug, Default)]
pub struct Partial {
    pub(super) store: Store,
    pub(super) fragments: Fragments,
    pub(super) problems: Problems,
    pub(super) repeats: Repeats,
    /// Frames read of each input.
    pub(super) frames: BTreeMap<InputId, u64>,
    lanes: LaneNumbers,
    /// Tunnels around the packet at hand.
    trail: Trail,
    /// Where payload was turned into what it told, everything that the store held.
    pub(super) shelf: Option<Shelf>,
}

/// What a saved observation holds beside its rows.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) fragments: Fragments,
    pub(super) problems: Problems,
    pub(super) repeats: Repeats,
    pub(super) frames: BTreeMap<InputId, u64>,
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
    /// An empty stretch that keeps within limits.
    pub fn within(limits: &Limits) -> Self {
        Self { store: Store::within(limits), ..Self::default() }
    }

    /// Takes in a frame: decodes it, adds its packet to its flow.
    #[inline(always)]
    pub fn frame(&mut self, frame: &Frame<'_>) {
        if !self.quick(frame) {
            // A copy, so that the frame itself need not lie in memory.
            self.slower(*frame);
        }
    }

    /// The short way of a plain packet over IPv4 and untagged Ethernet; `false` where it is none.
    #[inline(always)]
    fn quick(&mut self, frame: &Frame<'_>) -> bool {
        let q: Segment<'_> = if let Some(q) = packet::quick(frame) { q } else { return false };
        let found = self.store.hot_v4(Pair { addresses: q.addresses(), ports: ports(false, q.ports()) });
        self.plain(frame, (frame.interface, Glance::UNTAGGED), found, q, || q.payload(frame))
    }

    /// Takes in a plain segment of a hot record; `false` where it is none.
    #[inline(always)]
    fn plain<'a, H: Headers>(
        &mut self,
        frame: &Frame<'_>,
        lane: (u32, u16),
        found: Option<(usize, bool)>,
        head: H,
        payload: impl FnOnce() -> &'a [u8],
    ) -> bool {
        let Some((number, from_b)) = found else { return false };
        let Some(look) = self.look(frame, lane, from_b, head) else { return false };
        let Some(hash) = self.store.short(number, frame.input, &look, payload) else { return false };
        // It may be copied.
        let kind = repeats::tcp(look.head.flags());
        self.repeats.add_plain(print(frame, lane.0, hash, kind, &look));
        true
    }

    /// Takes in a plain datagram of a hot record; `false` where it is none.
    #[inline(always)]
    fn plain_datagram<H: Headers>(
        &mut self,
        frame: &Frame<'_>,
        lane: (u32, u16),
        found: Option<(usize, bool)>,
        head: H,
    ) -> bool {
        let Some((number, from_b)) = found else { return false };
        let Some(look) = self.look(frame, lane, from_b, head) else { return false };
        let Some(hash) = self.store.short_datagram(number, frame.input, &look) else { return false };
        // Datagrams have no numbers: any may be a copy.
        let at = FrameRef { input: frame.input, frame: frame.number };
        self.repeats.add(at, print(frame, lane.0, hash, repeats::UDP, &look));
        true
    }

    /// What the short way wants to know of a packet.
    #[inline(always)]
    fn look<H>(&mut self, frame: &Frame<'_>, (interface, tag): (u32, u16), from_b: bool, head: H) -> Option<Look<H>> {
        let lane = self.lanes.number(interface, tag)?;
        Some(Look { from_b, time: frame.time, frame: u32::try_from(frame.number).ok()?, lane, head })
    }

    /// What was not quick: the short way of datagrams, with tags, IPv6 or another link layer, and everything that is not plain.
    #[inline(never)]
    fn slower(&mut self, frame: Frame<'_>) {
        if packet::is_datagram(&frame) {
            if !self.quick_datagram(&frame) {
                self.other(&frame);
            }
        } else if !self.quick_v6(&frame) {
            self.segment(&frame);
        }
    }

    #[inline(always)]
    fn quick_datagram(&mut self, frame: &Frame<'_>) -> bool {
        let q: Datagram<'_> = if let Some(q) = packet::quick(frame) { q } else { return false };
        let found = self.store.hot_v4(Pair { addresses: q.addresses(), ports: ports(true, q.ports()) });
        self.plain_datagram(frame, (frame.interface, Glance::UNTAGGED), found, q)
    }

    #[inline(always)]
    fn quick_v6(&mut self, frame: &Frame<'_>) -> bool {
        let q: SegmentV6<'_> = if let Some(q) = packet::quick(frame) { q } else { return false };
        let (src, dst) = q.addresses_v6();
        let found = self.store.hot_v6(&Pair6 { src, dst, ports: ports(false, q.ports()) });
        self.plain(frame, (frame.interface, Glance::UNTAGGED), found, q, || q.payload(frame))
    }

    /// A TCP segment that was not quick, or what is none.
    #[inline(never)]
    fn segment(&mut self, frame: &Frame<'_>) {
        let Some(g) = packet::glance(frame) else { return self.other(frame) };
        let found = self.store.hot(false, &g);
        if !self.plain(frame, lane(frame, &g), found, &g, || g.payload) {
            self.usual(frame, g.device, &g.segment());
        }
    }

    /// What is no usual TCP segment.
    #[inline(never)]
    fn other(&mut self, frame: &Frame<'_>) {
        let Some(g) = packet::glance_datagram(frame) else { return self.long(frame) };
        let found = self.store.hot(true, &g);
        if !self.plain_datagram(frame, lane(frame, &g), found, &g) {
            self.usual(frame, g.device, &g.datagram());
        }
    }

    /// A packet in no tunnel with nothing wrong about it.
    #[inline(never)]
    fn usual(&mut self, frame: &Frame<'_>, device: Option<u32>, packet: &Packet<'_>) {
        let at = Stamp { time: frame.time, at: FrameRef { input: frame.input, frame: frame.number } };
        self.packet(Place { at, interface: device.unwrap_or(frame.interface), carried: 0 }, packet);
    }

    #[inline(never)]
    fn long(&mut self, frame: &Frame<'_>) {
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

    /// Takes in plain packets that were counted and not captured.
    pub fn counted(&mut self, c: &Counted) {
        let [src, dst] = c.ends.map(|(addr, port)| EndPoint { addr, port });
        let (key, first) = FlowKey::new(Proto::Tcp, src, dst);
        let [a, b] = c.sides;
        let sides = if first == Side::A { [a, b] } else { [b, a] };
        let at = |time| Stamp { time, at: FrameRef { input: c.input, frame: c.number } };
        if !self.store.counted(&key, |pieces| pieces.counted(&sides, at)) {
            let last = c.sides.iter().flatten().map(|s| s.last).max();
            last.into_iter().for_each(|last| self.overflow(at(last)));
        }
    }

    /// Nothing more comes into this stretch: what is kept apart for speed goes where it belongs.
    pub(super) fn settle(&mut self) {
        self.store.cool();
    }

    /// Says how many frames of an input were read, the undecodable ones included: what comes later is numbered behind them.
    pub fn set_frames(&mut self, input: InputId, frames: u64) {
        self.frames.insert(input, frames);
    }

    /// Adds a decoded packet to its flow.
    pub fn packet(&mut self, place: Place, p: &Packet<'_>) {
        let (proto, src_port, dst_port) = match &p.body {
            Body::Tcp(t) => (Proto::Tcp, t.src_port, t.dst_port),
            Body::Udp(u) => (Proto::Udp, u.src_port, u.dst_port),
            Body::Icmp(icmp) if icmp.v6 => (Proto::Icmp6, 0, 0),
            Body::Icmp(_) => (Proto::Icmp, 0, 0),
            Body::LaterFragment { proto, .. } | Body::Other(proto) => (*proto, 0, 0),
        };
        let (key, side) = key(p, proto, src_port, dst_port);
        let hash = self.store.hash(&key);
        self.keyed(place, p, (key, side), hash);
    }

    /// The key of a TCP packet, and who sent it.
    pub(super) fn flow_of_tcp(p: &Packet<'_>) -> (FlowKey, Side) {
        let (src_port, dst_port) = if let Body::Tcp(t) = &p.body { (t.src_port, t.dst_port) } else { (0, 0) };
        key(p, Proto::Tcp, src_port, dst_port)
    }

    /// Adds a packet to the flow of its key.
    #[inline(always)]
    pub(super) fn keyed(&mut self, place: Place, p: &Packet<'_>, (key, side): (FlowKey, Side), hash: u64) {
        self.repeats.add(place.at.at, Print::of(place, p, hash, side == Side::B));
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
                self.fragment(p, t.first_fragment, key, side, place.at);
                let lane = self.lanes.of(place.interface, p.vlans).filter(|_| !t.opens());
                let long = Long { key: &key, hash, side, at: place.at, lane, settled: self.repeats.is_settled() };
                if self.store.packet(&long, |pieces| pieces.tcp(&key, side, &seen(t.payload_len), t)).is_none() {
                    self.overflow(place.at);
                }
            }
            Body::Udp(u) => {
                self.fragment(p, u.first_fragment, key, side, place.at);
                let lane = self.lanes.of(place.interface, p.vlans);
                let long = Long { key: &key, hash, side, at: place.at, lane, settled: true };
                if self.store.packet(&long, |pieces| pieces.udp(side, &seen(u.payload_len), u)).is_none() {
                    self.overflow(place.at);
                }
            }
            Body::Icmp(icmp) => {
                self.add(&key, hash, place.at, |pieces| pieces.plain(side, &seen(0)));
                self.quote(p.src, place.at, icmp);
            }
            Body::LaterFragment { proto, id } => {
                let datagram = DatagramKey { src: p.src, dst: p.dst, proto: *proto, id: *id };
                self.fragments.later(datagram, place.at);
            }
            Body::Other(_) => self.add(&key, hash, place.at, |pieces| pieces.plain(side, &seen(0))),
        }
    }

    /// Tells the packet's flow what carried it. Later fragments of a carrier hold the rest of the packet.
    #[cold]
    fn tunnelled(&mut self, at: Stamp, p: &Packet<'_>) {
        if let Some((key, side)) = flow_of(p) {
            let opens = matches!(&p.body, Body::Tcp(t) if t.opens());
            if let Some(pieces) = self.store.pieces_of(&key) {
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
        let hash = self.store.hash(&key);
        self.add(&key, hash, at, |pieces| pieces.quote(quote));
    }

    /// Adds something to a key's pieces. In a full store only what begins no key is taken.
    fn add(&mut self, key: &FlowKey, hash: u64, at: Stamp, with: impl FnOnce(&mut Pieces) -> usize) {
        if self.store.add(key, hash, with).is_none() {
            self.overflow(at);
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
    ///
    /// Where one of them is sealed, both are from then on: payload never lies beside what other payload told.
    pub fn append(&mut self, mut later: Self) {
        if self.shelf.is_some() != later.shelf.is_some() {
            self.seal();
            later.seal();
        }
        let both = || self.frames.iter().filter(|(input, _)| later.frames.contains_key(input));
        let shift = Shift::new(both().map(|(input, n)| (*input, *n)));
        for (input, by) in self.frames.iter().filter(|_| !shift.is_empty()) {
            later.problems.shift_frames(*input, *by);
        }
        if !shift.is_empty() {
            later.fragments.shift(&shift);
        }
        self.repeats.append(later.repeats, &self.frames);
        let mut full = Vec::new();
        match (&mut self.shelf, later.shelf) {
            (Some(own), Some(more)) => own.append(more, &shift, |at| full.push(at)),
            _ => self.store.append(later.store, &shift, |at| full.push(at)),
        }
        full.into_iter().for_each(|at| self.overflow(at));
        self.fragments.append(later.fragments);
        self.problems.merge(&later.problems);
        for (input, n) in later.frames {
            *self.frames.entry(input).or_default() += n;
        }
    }
}

/// Turning payload into what it tells, and taking a stretch apart.
impl Partial {
    /// Turns payload into what it tells, and drops it.
    pub fn seal(&mut self) {
        if self.shelf.is_none() {
            let limits = self.store.limits().clone();
            let store = std::mem::replace(&mut self.store, Store::within(&limits));
            let shed = store.shed_attempts();
            let mut shelf = Shelf::of_pieces(store.into_keys(), &limits);
            shed.into_iter().for_each(|(at, n)| shelf.count_shed(at, n));
            self.shelf = Some(shelf);
        }
    }

    /// Takes it apart, sealed: its rows and the rest.
    pub(super) fn into_parts(mut self) -> (Shelf, Parts) {
        self.seal();
        let Self { shelf, fragments, mut problems, repeats, frames, .. } = self;
        let shelf = shelf.unwrap_or_default();
        shelf.shed_attempts().into_iter().for_each(|(at, n)| problems.add(attempts_counted(at, n)));
        (shelf, Parts { fragments, problems, repeats, frames })
    }

    /// Puts it together again.
    pub(super) fn from_parts(shelf: Shelf, parts: Parts) -> Self {
        let Parts { fragments, problems, repeats, frames } = parts;
        Self { fragments, problems, repeats, frames, shelf: Some(shelf), ..Self::default() }
    }

    /// Bytes of rows, where it is sealed.
    pub(super) fn rows_size(&self) -> u64 {
        self.shelf.as_ref().map_or(0, Shelf::size)
    }

    /// Whether some tuple of another stretch occurs here, too.
    pub(super) fn shares_a_tuple_with(&mut self, other: &Self) -> bool {
        let Self { store, shelf, .. } = self;
        let mut known = |key: &FlowKey| match shelf {
            Some(shelf) => shelf.contains(key),
            None => store.contains(key),
        };
        match &other.shelf {
            Some(shelf) => shelf.keys().any(&mut known),
            None => other.store.keys().any(&mut known),
        }
    }
}

/// Lanes of the stretch by number: two bytes of a hot record stand for twelve.
#[derive(Clone, Debug, Default)]
struct LaneNumbers {
    known: Vec<(u32, u16)>,
    /// The one asked for last, and its number.
    last: Option<(u32, u16, u16)>,
}

impl LaneNumbers {
    /// Lanes numbered; frames of others go the long way.
    const MOST: usize = 1024;

    #[inline(always)]
    fn number(&mut self, interface: u32, tag: u16) -> Option<u16> {
        match self.last {
            Some((i, t, number)) if (i, t) == (interface, tag) => Some(number),
            _ => self.search(interface, tag),
        }
    }

    #[inline(never)]
    fn search(&mut self, interface: u32, tag: u16) -> Option<u16> {
        let mut found = self.known.iter().position(|l| *l == (interface, tag));
        if found.is_none() && self.known.len() < Self::MOST {
            found = Some(self.known.len());
            self.known.push((interface, tag));
        }
        let number = u16::try_from(found?).ok()?;
        self.last = Some((interface, tag, number));
        Some(number)
    }

    /// The number of a decoded packet's lane; none where it has several tags.
    fn of(&mut self, interface: u32, vlans: Vlans) -> Option<u16> {
        match vlans.as_slice() {
            [] => self.number(interface, Glance::UNTAGGED),
            [tag] => self.number(interface, *tag),
            _ => None,
        }
    }
}

/// Where a packet was seen, tags included.
fn lane(frame: &Frame<'_>, g: &Glance<'_>) -> (u32, u16) {
    (g.device.unwrap_or(frame.interface), g.tag)
}

/// The print of a packet on the short way.
#[inline(always)]
fn print<H: Headers>(frame: &Frame<'_>, interface: u32, hash: u64, kind: u32, look: &Look<H>) -> Print {
    let at = Stamp { time: frame.time, at: FrameRef { input: frame.input, frame: frame.number } };
    let head = &look.head;
    let contents = Contents {
        kind,
        id: head.id(),
        ip_bytes: head.ip_bytes(),
        seq: head.seq(),
        ack: head.ack(),
        payload: head.payload_len(),
    };
    Print::new(Place { at, interface, carried: 0 }, hash, look.from_b, &contents)
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
