//! Frames: Ethernet, IPv4 or IPv6, TCP or UDP.
//!
//! Checksums of the transport layer are left empty, as in a capture taken on a host whose network card fills them in.

use crate::random::mix;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ip {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Ip {
    /// A made-up hardware address, the same for the same host.
    fn mac(self) -> [u8; 6] {
        let n = match self {
            Self::V4(a) => u64::from(u32::from_be_bytes(a)),
            Self::V6(a) => u64::from_be_bytes(a[8..].try_into().unwrap()),
        };
        let [a, b, c, d, e, ..] = mix(n).to_be_bytes();
        [2, a, b, c, d, e]
    }
}

/// One direction of a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) from: Ip,
    pub(crate) to: Ip,
    pub(crate) ports: [u16; 2],
    pub(crate) ttl: u8,
    pub(crate) tcp: bool,
}

/// What differs from packet to packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Segment {
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) len: usize,
    pub(crate) id: u16,
}

/// A frame under construction; its payload follows, borrowed from elsewhere.
pub(crate) struct Header {
    bytes: [u8; 96],
    len: usize,
    /// Length on the wire, payload included.
    pub(crate) wire: usize,
}

impl Header {
    pub(crate) fn new(way: &Way, s: &Segment) -> Self {
        let mut h = Self { bytes: [0; 96], len: 0, wire: 0 };
        h.put(&way.to.mac());
        h.put(&way.from.mac());
        let options: &[u8] = if s.flags & SYN != 0 { &[2, 4, 5, 0xb4, 1, 3, 3, 8] } else { &[] };
        let transport = if way.tcp { 20 + options.len() } else { 8 };
        h.ip(way, s, transport + s.len);
        h.put(&way.ports[0].to_be_bytes());
        h.put(&way.ports[1].to_be_bytes());
        if way.tcp {
            h.put(&s.seq.to_be_bytes());
            h.put(&s.ack.to_be_bytes());
            h.put(&[((transport / 4) << 4) as u8, s.flags, 0xfa, 0xf0, 0, 0, 0, 0]);
            h.put(options);
        } else {
            h.put(&((8 + s.len) as u16).to_be_bytes());
            h.put(&[0, 0]);
        }
        h.wire = h.len + s.len;
        h
    }

    fn put(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    fn ip(&mut self, way: &Way, s: &Segment, payload: usize) {
        let proto = if way.tcp { 6 } else { 17 };
        match (way.from, way.to) {
            (Ip::V4(from), Ip::V4(to)) => {
                self.put(&[8, 0, 0x45, 0]);
                let start = self.len - 2;
                self.put(&((20 + payload) as u16).to_be_bytes());
                self.put(&s.id.to_be_bytes());
                self.put(&[0x40, 0, way.ttl, proto, 0, 0]);
                self.put(&from);
                self.put(&to);
                let sum = checksum(&self.bytes[start..start + 20]);
                self.bytes[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
            }
            (Ip::V6(from), Ip::V6(to)) => {
                self.put(&[0x86, 0xdd, 0x60, 0, 0, 0]);
                self.put(&(payload as u16).to_be_bytes());
                self.put(&[proto, way.ttl]);
                self.put(&from);
                self.put(&to);
            }
            _ => panic!("both ends are of one family"),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// RFC 1071.
fn checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}
