//! Flows as stored: canonical ends and the facts of each end. Who originated is not a fact; see [`crate::flow::orient`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::app::Evidence;
use crate::base::{Proto, Span, Stamp, Time};
use crate::packet::Vlans;

use super::local::Local;
use super::tunnels::Tunnel;

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EndPoint {
    /// IP address.
    pub addr: IpAddr,
    /// Port; 0 for protocols without ports.
    pub port: u16,
}

/// Unordered 5-tuple: `ends[0] <= ends[1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FlowKey {
    /// Protocol. ICMP and other protocols have ports 0: they are kept as evidence that two hosts reach each other.
    pub proto: Proto,
    /// Both ends, the lower one first.
    pub ends: [EndPoint; 2],
}

impl FlowKey {
    /// The key of a packet, and which of its ends sent the packet. Where both ends are the same point, that is side A.
    #[inline]
    pub fn new(proto: Proto, src: EndPoint, dst: EndPoint) -> (Self, Side) {
        if let (IpAddr::V4(a), IpAddr::V4(b)) = (&src.addr, &dst.addr) {
            return Self::v4(proto, (a.to_bits(), src.port), (b.to_bits(), dst.port));
        }
        if src <= dst {
            (Self { proto, ends: [src, dst] }, Side::A)
        } else {
            (Self { proto, ends: [dst, src] }, Side::B)
        }
    }

    /// The same of IPv4 addresses as numbers, which order as they do. Fields are written one by one: an end just written would have to
    /// get out of the processor's store buffer before it could be moved as a whole.
    #[inline]
    fn v4(proto: Proto, src: (u32, u16), dst: (u32, u16)) -> (Self, Side) {
        let in_order = src <= dst;
        let (a, b) = if in_order { (src, dst) } else { (dst, src) };
        let end = |(addr, port)| EndPoint { addr: IpAddr::V4(Ipv4Addr::from_bits(addr)), port };
        (Self { proto, ends: [end(a), end(b)] }, if in_order { Side::A } else { Side::B })
    }
}

/// Index of an end in [`FlowKey::ends`] and [`Flow::ends`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Side {
    /// `ends[0]`
    A,
    /// `ends[1]`
    B,
}

impl Side {
    /// The opposite side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
    /// 0 or 1.
    pub const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
    /// This side's one of two things held in the order of the key's ends.
    pub const fn of<T>(self, pair: &[T; 2]) -> &T {
        let [a, b] = pair;
        match self {
            Self::A => a,
            Self::B => b,
        }
    }
    /// As [`Side::of`], to change it.
    pub const fn of_mut<T>(self, pair: &mut [T; 2]) -> &mut T {
        let [a, b] = pair;
        match self {
            Self::A => a,
            Self::B => b,
        }
    }
}

/// Where in the network picture a packet was seen: interface of the input and innermost VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// Interface index, made unique over the inputs of an observation point.
    pub interface: u32,
    /// VLAN identifiers, outermost first; 0 where absent.
    pub vlans: [u16; 4],
}

impl Lane {
    /// The lane of a frame.
    #[inline]
    pub const fn new(interface: u32, vlans: Vlans) -> Self {
        Self { interface, vlans: vlans.padded() }
    }
}

/// SYNs (without ACK) of one initial sequence number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SynRun {
    /// Who sent them.
    pub from: Side,
    /// The initial sequence number.
    pub isn: u32,
    /// Payload bytes the SYN carried (TCP Fast Open), the largest seen.
    pub payload: u32,
    /// SYN packets, repeats and duplicates included.
    pub count: u64,
    /// Their stamps, the first [`SynRun::KEPT`]; where there were more, the last one replaces the last entry.
    pub stamps: Vec<Stamp>,
}

impl SynRun {
    /// Stamps kept. Systems repeat a SYN at most about 10 times; more only on mirror ports.
    pub const KEPT: usize = 16;
}

/// A SYN-ACK as seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SynAck {
    /// When.
    pub at: Stamp,
    /// The responder's initial sequence number.
    pub seq: u32,
    /// What it acknowledges.
    pub ack: u32,
}

/// A RST as seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rst {
    /// When.
    pub at: Stamp,
    /// Its sequence number.
    pub seq: u32,
    /// What it acknowledges, where the ACK flag is set.
    pub ack: Option<u32>,
    /// Its time to live: where it differs from the host's other packets, a device in the path may have sent it.
    pub ttl: u8,
}

/// The first byte that was not acknowledged at the end, sent again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeated {
    /// Sequence number of the segment.
    pub seq: u32,
    /// Payload bytes of the longest of the segments.
    pub len: u32,
    /// Times it was sent again, at least 200 ms apart: the sending before those is not among them.
    pub times: u64,
    /// First time it was sent again.
    pub first: Stamp,
    /// Last time.
    pub last: Stamp,
    /// Between the last two.
    pub interval: Span,
    /// Whether no segment of this length was ever acknowledged.
    pub never_so_long: bool,
}

/// Bytes from the first one not acknowledged on that were skipped and never seen, nor received by the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// Sequence number of its first byte.
    pub seq: u32,
    /// Bytes.
    pub len: u64,
    /// When a segment behind it was first seen.
    pub at: Stamp,
}

/// A stretch of at least 60 seconds without a packet of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Last packet before it.
    pub from: Time,
    /// First packet after it.
    pub to: Time,
}

/// An ICMP error that quotes the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcmpError {
    /// Who sent the error.
    pub reporter: IpAddr,
    /// First one.
    pub at: Stamp,
    /// How many equal ones.
    pub count: u64,
    /// ICMPv6.
    pub v6: bool,
    /// Type.
    pub ty: u8,
    /// Code.
    pub code: u8,
    /// The side that sent the quoted packet.
    pub quoted: Side,
    /// The quoted sequence number.
    pub seq: Option<u32>,
}

/// Facts of one end: what this end sent. Sums, firsts and lasts only, so that pieces append exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Packets with ports (later fragments are apart).
    pub packets: u64,
    /// IP bytes of those packets.
    pub ip_bytes: u64,
    /// Transport payload bytes of those packets.
    pub payload_bytes: u64,
    /// Later fragments.
    pub fragments: u64,
    /// First packet.
    pub first: Option<Stamp>,
    /// Last packet.
    pub last: Option<Stamp>,
    /// SYN-ACKs sent: how many, and the first few.
    pub syn_acks: u64,
    /// The first few SYN-ACKs.
    pub syn_ack_seen: Vec<SynAck>,
    /// FINs sent.
    pub fins: u64,
    /// First FIN.
    pub fin_first: Option<Stamp>,
    /// RSTs sent.
    pub rsts: u64,
    /// The first few RSTs.
    pub rst_seen: Vec<Rst>,
    /// Lowest and highest TTL of packets that are not RST.
    pub ttl: Option<(u8, u8)>,
    /// The first ACK without SYN or RST at or beyond its own ISN+1 (for an originator: the handshake's third step), or any
    /// such ACK where the ISN is not known.
    pub acked_handshake: Option<Stamp>,
    /// First moment at which the peer acknowledged payload of this end.
    pub payload_acked: Option<Stamp>,
    /// First packet with payload.
    pub first_payload: Option<Stamp>,
    /// Payload bytes beyond those of distinct sequence numbers.
    pub retransmitted: u64,
    /// Bytes the peer acknowledged that were never seen: packets this capture missed.
    pub unseen_acked: u64,
    /// Whether sequence bookkeeping overflowed: the two counts above are then approximate.
    pub approximate: bool,
    /// Smallest and largest window advertised.
    pub window: Option<(u16, u16)>,
    /// Lanes this end's packets were seen in, at most 4, sorted.
    pub lanes: Vec<Lane>,
    /// Tunnels this end's packets were seen in, at most [`Tunnel::KEPT`], sorted. Packets in none were seen as they are.
    pub tunnels: Vec<Tunnel>,
    /// Digests of the first 16, 64 and 256 bytes this end sent, each where all of them were captured from the stream's start
    /// ([`crate::flow::HEAD_LENGTHS`]): they tell a connection again where its sequence numbers were rewritten on the way.
    #[serde(default)]
    pub heads: [Option<u64>; 3],
    /// Payload bytes of its largest segment.
    pub largest: u32,
    /// Payload bytes of this end that the peer acknowledged.
    pub acked_bytes: u64,
    /// When the peer's highest acknowledgement was first seen.
    pub acked_last: Option<Stamp>,
    /// Last packet with a window of 0.
    pub zero_window: Option<Stamp>,
    /// Bytes sent again and again at the end.
    pub repeated: Option<Repeated>,
    /// Bytes that never came.
    pub hole: Option<Hole>,
    /// Payload bytes of the peer under way when this end first sent a RST: not acknowledged by it before or with the RST.
    pub reset_in_flight: u64,
}

impl End {
    /// SYN-ACKs, RSTs kept per end.
    pub const KEPT: usize = 4;

    /// An end that has sent nothing.
    pub const fn new() -> Self {
        Self {
            packets: 0,
            ip_bytes: 0,
            payload_bytes: 0,
            fragments: 0,
            first: None,
            last: None,
            syn_acks: 0,
            syn_ack_seen: Vec::new(),
            fins: 0,
            fin_first: None,
            rsts: 0,
            rst_seen: Vec::new(),
            ttl: None,
            acked_handshake: None,
            payload_acked: None,
            first_payload: None,
            retransmitted: 0,
            unseen_acked: 0,
            approximate: false,
            window: None,
            lanes: Vec::new(),
            tunnels: Vec::new(),
            heads: [None; 3],
            largest: 0,
            acked_bytes: 0,
            acked_last: None,
            zero_window: None,
            repeated: None,
            hole: None,
            reset_in_flight: 0,
        }
    }
}

impl Default for End {
    fn default() -> Self {
        Self::new()
    }
}

/// Facts of one end, apart from its flow. Those of an end that sent nothing take no room: of a scan that is every other one.
#[derive(Clone, Default)]
pub struct Sent(Option<Box<End>>);

/// Of an end that sent nothing.
static NOTHING: End = End::new();

impl From<End> for Sent {
    fn from(end: End) -> Self {
        Self((end != NOTHING).then(|| Box::new(end)))
    }
}

impl Deref for Sent {
    type Target = End;

    fn deref(&self) -> &End {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for Sent {
    fn deref_mut(&mut self) -> &mut End {
        self.0.get_or_insert_default()
    }
}

impl PartialEq for Sent {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Sent {}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Serialize for Sent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        End::deserialize(deserializer).map(Self::from)
    }
}

/// One instance of a 5-tuple at one observation point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The 5-tuple.
    pub key: FlowKey,
    /// 1-based number of the instance of its 5-tuple, by first stamp.
    pub ordinal: u32,
    /// First packet.
    pub first: Stamp,
    /// Last packet.
    pub last: Stamp,
    /// SYN runs in order of their first SYN. The first one's sender is the originator; more than one where a host repeated its
    /// SYN with a new sequence number right after a RST, or where both opened at once.
    pub syns: Vec<SynRun>,
    /// Facts per end, in the order of `key.ends`.
    pub ends: [Sent; 2],
    /// ICMP errors about it, the first few distinct ones.
    pub icmp: Vec<IcmpError>,
    /// Sent to a group or to all.
    pub group: bool,
    /// What its payload says, sealed: payload itself is gone.
    pub evidence: Evidence,
    /// The last few long silences.
    pub silences: Vec<Silence>,
    /// What the capturing host's kernel says of it.
    #[serde(default, skip_serializing_if = "Local::is_empty")]
    pub local: Local,
}

/// A stable name of a flow: Community ID v1 (seed 0), ".", ordinal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct FlowId(pub Arc<str>);

impl Flow {
    /// Facts of a side.
    pub fn end(&self, side: Side) -> &End {
        side.of::<Sent>(&self.ends)
    }
    /// Address and port of a side.
    pub const fn point(&self, side: Side) -> EndPoint {
        match side {
            Side::A => self.key.ends[0],
            Side::B => self.key.ends[1],
        }
    }
    /// When it began.
    pub const fn began(&self) -> Time {
        self.first.time
    }
}
