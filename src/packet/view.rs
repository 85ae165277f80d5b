//! What is left of a frame once its headers are read.

use std::net::IpAddr;

use crate::base::Proto;

/// VLAN identifiers from the outside in, at most [`Vlans::MAX`]; deeper tags are passed over and counted as a problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vlans {
    ids: [u16; Self::MAX],
    len: u8,
}

impl Vlans {
    /// Tags kept.
    pub const MAX: usize = 4;
    /// No tags.
    pub const NONE: Self = Self { ids: [0; Self::MAX], len: 0 };

    /// Adds an inner tag; `false` where there is no room.
    pub fn push(&mut self, id: u16) -> bool {
        match self.ids.get_mut(usize::from(self.len)) {
            Some(slot) => {
                *slot = id;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// The tags, outermost first, and zeros.
    pub const fn padded(self) -> [u16; Self::MAX] {
        self.ids
    }

    /// The tags, outermost first.
    pub fn as_slice(&self) -> &[u16] {
        self.ids.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// A decoded IP packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// VLAN tags of the frame.
    pub vlans: Vlans,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Time to live or hop limit as captured.
    pub ttl: u8,
    /// Identification of an IPv4 packet as captured; 0 for IPv6.
    pub id: u16,
    /// Bytes of the IP packet on the wire, header included: the header's total length, or what the frame's original length
    /// leaves where that field is 0 (segmentation offload, RFC 2675 jumbograms).
    pub ip_bytes: u32,
    /// Whether the frame was sent to all: link-layer broadcast or multicast, or an IP group.
    pub group: bool,
    /// What the packet carries.
    pub body: Body<'a>,
}

/// What an IP packet carries.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// TCP, also a first fragment.
    Tcp(Tcp<'a>),
    /// UDP, also a first fragment.
    Udp(Udp<'a>),
    /// ICMP or ICMPv6.
    Icmp(Icmp),
    /// A fragment other than the first: it has no ports.
    LaterFragment {
        /// The protocol of the whole datagram.
        proto: Proto,
        /// Identification (16 bits for IPv4).
        id: u32,
    },
    /// Another protocol, or a header the snaplen cut before the ports.
    Other(Proto),
}

/// TCP flags as in the header (RFC 9293 section 3.1), without CWR and ECE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN bit.
    pub const FIN: u8 = 0x01;
    /// SYN bit.
    pub const SYN: u8 = 0x02;
    /// RST bit.
    pub const RST: u8 = 0x04;
    /// ACK bit.
    pub const ACK: u8 = 0x10;

    /// Whether every bit of `mask` is set.
    pub const fn has(self, mask: u8) -> bool {
        self.0 & mask == mask
    }
}

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number, host order.
    pub seq: u32,
    /// Acknowledgement number, host order; meaningless without the ACK flag.
    pub ack: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// Advertised window, unscaled.
    pub window: u16,
    /// Captured payload; may be shorter than `payload_len` (snaplen) and empty for a fragment's unseen rest.
    pub payload: &'a [u8],
    /// Payload bytes on the wire according to the IP header; trailing link-layer padding is not payload.
    pub payload_len: u32,
    /// Datagram identification where this is the first fragment of several.
    pub first_fragment: Option<u32>,
}

impl Tcp<'_> {
    /// Whether it is a SYN: without ACK, without RST.
    #[inline]
    pub const fn opens(&self) -> bool {
        self.flags.has(TcpFlags::SYN) && self.flags.0 & (TcpFlags::ACK | TcpFlags::RST) == 0
    }
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Captured payload.
    pub payload: &'a [u8],
    /// Payload bytes on the wire.
    pub payload_len: u32,
    /// Datagram identification where this is the first fragment of several.
    pub first_fragment: Option<u32>,
}

/// An ICMP message.
#[derive(Clone, Copy, Debug)]
pub struct Icmp {
    /// Whether it is ICMPv6.
    pub v6: bool,
    /// Type.
    pub ty: u8,
    /// Code.
    pub code: u8,
    /// The packet that an error message quotes.
    pub quoted: Option<Quoted>,
}

/// The head of a packet inside an ICMP error (RFC 792: at least 8 bytes past the IP header; RFC 4443: as much as fits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Sender of the quoted packet.
    pub src: IpAddr,
    /// Its destination.
    pub dst: IpAddr,
    /// Its protocol.
    pub proto: Proto,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// TCP sequence number, where it was quoted.
    pub seq: Option<u32>,
}
