//! Packets written by hand, as frames and as capture files.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod random;
pub mod steps;

use std::net::{IpAddr, Ipv4Addr};

use portwitness::base::{FrameRef, InputId, Stamp, Time};
use portwitness::capture::{Frame, LinkType};
use portwitness::observe::{Observation, Partial};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

pub const MS: i64 = 1_000_000;
pub const S: i64 = 1_000 * MS;

/// A host and a port.
pub type Point = (u8, u16);

pub fn addr(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))
}

#[derive(Clone, Debug)]
pub enum Body {
    Tcp {
        seq: u32,
        ack: u32,
        flags: u8,
        window: u16,
        payload: Vec<u8>,
    },
    Udp {
        payload: Vec<u8>,
    },
    /// Type, code and the 8 bytes of the quoted transport header.
    Icmp {
        ty: u8,
        code: u8,
        quoted: Option<(u8, Point, Point, u32)>,
    },
    /// The first fragment of a UDP datagram.
    First {
        id: u16,
    },
    Later {
        id: u16,
    },
}

/// A packet to be.
#[derive(Clone, Debug)]
pub struct Pk {
    pub at: i64,
    pub src: Point,
    pub dst: Point,
    pub ttl: u8,
    pub vlan: Option<u16>,
    pub body: Body,
}

impl Pk {
    pub fn tcp(at: i64, src: Point, dst: Point, flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Self {
        let body = Body::Tcp { seq, ack, flags, window: 1000, payload: payload.to_vec() };
        Self { at, src, dst, ttl: 64, vlan: None, body }
    }

    pub fn udp(at: i64, src: Point, dst: Point, payload: &[u8]) -> Self {
        Self { at, src, dst, ttl: 64, vlan: None, body: Body::Udp { payload: payload.to_vec() } }
    }

    pub fn icmp(at: i64, from: u8, to: u8, ty: u8, code: u8, quoted: Option<(u8, Point, Point, u32)>) -> Self {
        Self { at, src: (from, 0), dst: (to, 0), ttl: 60, vlan: None, body: Body::Icmp { ty, code, quoted } }
    }

    pub fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    pub fn vlan(self, vlan: u16) -> Self {
        Self { vlan: Some(vlan), ..self }
    }

    /// The frame's bytes.
    pub fn frame(&self) -> Vec<u8> {
        let mut f = vec![0; 12];
        if let Some(vlan) = self.vlan {
            f.extend([0x81, 0]);
            f.extend(vlan.to_be_bytes());
        }
        f.extend([8, 0]);
        let (proto, offset, transport) = self.transport();
        f.extend(ipv4(proto, self.src.0, self.dst.0, self.ttl, offset, &transport));
        f
    }

    fn transport(&self) -> (u8, (u16, u16), Vec<u8>) {
        let mut t = Vec::new();
        match &self.body {
            Body::Tcp { seq, ack, flags, window, payload } => {
                t.extend(self.src.1.to_be_bytes());
                t.extend(self.dst.1.to_be_bytes());
                t.extend(seq.to_be_bytes());
                t.extend(ack.to_be_bytes());
                t.extend([0x50, *flags]);
                t.extend(window.to_be_bytes());
                t.extend([0; 4]);
                t.extend(payload);
                (6, (0, 0), t)
            }
            Body::Udp { payload } => (17, (0, 0), self.datagram(payload)),
            Body::First { id } => (17, (*id, 0x2000), self.datagram(&[7; 16])),
            Body::Later { id } => (17, (*id, 3), vec![7; 8]),
            Body::Icmp { ty, code, quoted } => {
                t.extend([*ty, *code, 0, 0, 0, 0, 0, 0]);
                if let Some((proto, src, dst, seq)) = quoted {
                    let mut q = Vec::new();
                    q.extend(src.1.to_be_bytes());
                    q.extend(dst.1.to_be_bytes());
                    q.extend(seq.to_be_bytes());
                    t.extend(ipv4(*proto, src.0, dst.0, 63, (0, 0), &q));
                }
                (1, (0, 0), t)
            }
        }
    }

    fn datagram(&self, payload: &[u8]) -> Vec<u8> {
        let mut t = Vec::new();
        t.extend(self.src.1.to_be_bytes());
        t.extend(self.dst.1.to_be_bytes());
        t.extend((8 + payload.len() as u16).to_be_bytes());
        t.extend([0; 2]);
        t.extend(payload);
        t
    }
}

fn ipv4(proto: u8, src: u8, dst: u8, ttl: u8, (id, offset): (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x45, 0];
    ip.extend((20 + payload.len() as u16).to_be_bytes());
    ip.extend(id.to_be_bytes());
    ip.extend(offset.to_be_bytes());
    ip.extend([ttl, proto, 0, 0, 10, 0, 0, src, 10, 0, 0, dst]);
    ip.extend(payload);
    ip
}

/// A stretch of packets, its frames numbered from 1.
pub fn partial(packets: &[Pk]) -> Partial {
    let mut partial = Partial::default();
    for (number, p) in (1..).zip(packets) {
        let data = p.frame();
        let original_len = data.len() as u32;
        partial.frame(&Frame {
            time: Time::from_nanos(p.at),
            input: InputId(0),
            number,
            interface: 0,
            link: LinkType(1),
            data: &data,
            original_len,
        });
    }
    partial.set_frames(InputId(0), packets.len() as u64);
    partial
}

pub fn observation(packets: &[Pk]) -> Observation {
    partial(packets).finish(Vec::new(), Vec::new())
}

/// The stamp of the `n`th packet, from 1.
pub fn stamp(packets: &[Pk], n: usize) -> Stamp {
    Stamp { time: Time::from_nanos(packets[n - 1].at), at: FrameRef { input: InputId(0), frame: n as u64 } }
}

/// A pcap file with nanoseconds.
pub fn pcap(packets: &[Pk]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xa1b2_3c4d_u32.to_le_bytes());
    file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    file.extend(65535_u32.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    for p in packets {
        let data = p.frame();
        file.extend(((p.at / S) as u32).to_le_bytes());
        file.extend(((p.at % S) as u32).to_le_bytes());
        file.extend((data.len() as u32).to_le_bytes());
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
    }
    file
}
