//! A quicker look at the kinds of packets that most captures consist of.
//!
//! What is seen here [`super::glance`] sees, too, which its tests hold; it exists because a value of all fields does not fit into
//! registers. Here each is read from the frame where it is asked for.

use std::net::IpAddr;

use super::glance::{
    ETHERNET, Headers, IPV4, IPV4_BYTES, IPV6, IPV6_BYTES, PROTO_TCP, PROTO_UDP, TCP, TCP_LEAST, UDP, UDP_BYTES, word,
};
use super::tunnel;
use super::view::{Body, Packet, Tcp, TcpFlags, Vlans};
use crate::capture::{Frame, LinkType};

/// Octets that are looked at of each kind of packet that has a short way of its own, which tell the kinds apart: Ethernet, then IP, then
/// what is above it.
pub(crate) mod octets {
    use super::{ETHERNET, IPV4, IPV6, TCP, UDP};

    /// TCP over IPv4.
    pub(crate) const SEGMENT: usize = ETHERNET + IPV4 + TCP;
    /// UDP over IPv4.
    pub(crate) const DATAGRAM: usize = ETHERNET + IPV4 + UDP;
    /// TCP over IPv6.
    pub(crate) const SEGMENT_V6: usize = ETHERNET + IPV6 + TCP;
}

/// A packet over untagged Ethernet, of one of the kinds that almost all packets of most captures are. Its fields are read from the
/// frame where they are needed, since all of them at once do not fit into registers; whatever needs more takes a
/// [`Glance`](super::Glance) instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quick<'a, const N: usize> {
    octets: &'a [u8; N],
    ip_bytes: u32,
    payload_len: u32,
}

/// TCP over IPv4: most of all.
pub(crate) type Segment<'a> = Quick<'a, { octets::SEGMENT }>;
/// UDP over IPv4.
pub(crate) type Datagram<'a> = Quick<'a, { octets::DATAGRAM }>;
/// TCP over IPv6.
pub(crate) type SegmentV6<'a> = Quick<'a, { octets::SEGMENT_V6 }>;

impl<const N: usize> Quick<'_, N> {
    const V6: bool = N == octets::SEGMENT_V6;
    const UDP: bool = N == octets::DATAGRAM;
    /// Where TCP or UDP begins.
    const UPPER: usize = ETHERNET + if Self::V6 { IPV6 } else { IPV4 };

    /// Octets that are within what was looked at: else they would be zeros.
    #[inline(always)]
    fn at<const LEN: usize>(&self, at: usize) -> [u8; LEN] {
        word(self.octets, at).copied().unwrap_or([0; LEN])
    }

    /// Source, then destination, 16 bits each.
    #[inline(always)]
    pub(crate) fn ports(&self) -> u32 {
        u32::from_be_bytes(self.at(Self::UPPER))
    }
}

impl Segment<'_> {
    /// What [`super::decode`] makes of it, where it is a SYN that carries nothing.
    #[inline]
    pub(crate) fn syn(&self) -> Option<Packet<'static>> {
        if self.flags() != TcpFlags::SYN || self.payload_len > 0 {
            return None;
        }
        let (src, dst) = (self.at::<4>(26), self.at::<4>(30));
        Some(Packet {
            vlans: Vlans::NONE,
            src: IpAddr::V4(src.into()),
            dst: IpAddr::V4(dst.into()),
            ttl: self.ttl(),
            id: self.id(),
            ip_bytes: self.ip_bytes,
            group: false,
            body: Body::Tcp(Tcp {
                src_port: u16::from_be_bytes(self.at(34)),
                dst_port: u16::from_be_bytes(self.at(36)),
                seq: self.seq(),
                ack: self.ack(),
                flags: TcpFlags(self.flags()),
                window: self.window(),
                payload: &[],
                payload_len: 0,
                first_fragment: None,
            }),
        })
    }
}

impl SegmentV6<'_> {
    /// Source and destination.
    #[inline(always)]
    pub(crate) fn addresses_v6(&self) -> (u128, u128) {
        (u128::from_be_bytes(self.at(22)), u128::from_be_bytes(self.at(38)))
    }
}

impl<const N: usize> Quick<'_, N> {
    /// Source, then destination, 32 bits each, over IPv4.
    #[inline(always)]
    pub(crate) fn addresses(&self) -> u64 {
        const { assert!(!Self::V6) };
        u64::from_be_bytes(self.at(26))
    }

    /// Payload bytes captured in its frame, over TCP.
    #[inline]
    pub(crate) fn payload<'a>(&self, frame: &Frame<'a>) -> &'a [u8] {
        const { assert!(!Self::UDP) };
        let end = frame.data.len().min(ETHERNET + self.ip_bytes as usize);
        frame.data.get(ETHERNET + (self.ip_bytes - self.payload_len) as usize..end).unwrap_or(&[])
    }
}

impl<const N: usize> Headers for Quick<'_, N> {
    #[inline(always)]
    fn seq(&self) -> u32 {
        if Self::UDP { 0 } else { u32::from_be_bytes(self.at(Self::UPPER + 4)) }
    }

    #[inline(always)]
    fn ack(&self) -> u32 {
        if Self::UDP { 0 } else { u32::from_be_bytes(self.at(Self::UPPER + 8)) }
    }

    #[inline(always)]
    fn flags(&self) -> u8 {
        let [flags] = if Self::UDP { [0] } else { self.at(Self::UPPER + 13) };
        flags & 0x3f
    }

    #[inline(always)]
    fn window(&self) -> u16 {
        if Self::UDP { 0 } else { u16::from_be_bytes(self.at(Self::UPPER + 14)) }
    }

    #[inline(always)]
    fn ttl(&self) -> u8 {
        let [ttl] = self.at(if Self::V6 { 21 } else { 22 });
        ttl
    }

    #[inline(always)]
    fn id(&self) -> u16 {
        if Self::V6 { 0 } else { u16::from_be_bytes(self.at(18)) }
    }

    #[inline(always)]
    fn ip_bytes(&self) -> u32 {
        self.ip_bytes
    }

    #[inline(always)]
    fn payload_len(&self) -> u32 {
        self.payload_len
    }
}

/// The same as [`super::glance()`] or [`super::glance_datagram`], of fewer frames.
#[inline(always)]
pub(crate) fn quick<'a, const N: usize>(frame: &Frame<'a>) -> Option<Quick<'a, N>> {
    let octets: &[u8; N] = frame.data.first_chunk()?;
    let q = Quick { octets, ip_bytes: 0, payload_len: 0 };
    let wire = frame.original_len.max(u32::try_from(frame.data.len()).ok()?) - u32::try_from(ETHERNET).ok()?;
    let proto = if Quick::<N>::UDP { PROTO_UDP } else { PROTO_TCP };
    let (ip_bytes, is_ip) = if Quick::<N>::V6 { q.v6(proto) } else { q.v4(proto) };
    let (payload_len, is_whole) = if Quick::<N>::UDP { q.udp(ip_bytes) } else { q.tcp(ip_bytes) };
    let [to] = q.at(0);
    // No group by hardware address.
    let usual = (frame.link == LinkType::ETHERNET) & (to & 1 == 0) & is_ip & (ip_bytes <= wire) & is_whole;
    usual.then_some(Quick { octets, ip_bytes, payload_len })
}

/// What a length says, and whether the header is one of the usual ones.
impl<const N: usize> Quick<'_, N> {
    #[inline(always)]
    fn v4(&self, proto: u8) -> (u32, bool) {
        /// Ethernet type IPv4, version 4 and no options; the type of service may be anything.
        const BEGINS: u32 = 0x0008_0045;
        /// Neither a later nor a first fragment; time to live and the flag against fragmentation may be anything.
        const WHOLE: u32 = 0x3fff_00ff;
        let [group] = self.at(30);
        let is = (u32::from_be_bytes(self.at(12)) >> 8 == BEGINS)
            & (u32::from_be_bytes(self.at(20)) & WHOLE == u32::from(proto))
            // Multicast, reserved and broadcast begin with three ones.
            & (group < 0xe0);
        (u32::from(u16::from_be_bytes(self.at(16))), is)
    }

    #[inline(always)]
    fn v6(&self, proto: u8) -> (u32, bool) {
        /// Ethernet type IPv6 and version 6; traffic class and flow label may be anything.
        const BEGINS: u32 = 0x0008_6dd6;
        let (len, [next], [group]) = (u32::from(u16::from_be_bytes(self.at(18))), self.at(20), self.at(38));
        let is = (u32::from_be_bytes(self.at(12)) >> 12 == BEGINS) & (next == proto) & (len != 0) & (group != 0xff);
        (len + IPV6_BYTES, is)
    }

    #[inline(always)]
    fn tcp(&self, ip_bytes: u32) -> (u32, bool) {
        let [offset] = self.at(Self::UPPER + 12);
        let header = u32::from(offset >> 4) * 4;
        let payload_at = header + if Self::V6 { IPV6_BYTES } else { IPV4_BYTES };
        (ip_bytes.wrapping_sub(payload_at), (header >= TCP_LEAST) & (payload_at <= ip_bytes))
    }

    #[inline(always)]
    fn udp(&self, ip_bytes: u32) -> (u32, bool) {
        let len = u32::from(u16::from_be_bytes(self.at(Self::UPPER + 4)));
        let (src, dst) = (u16::from_be_bytes(self.at(Self::UPPER)), u16::from_be_bytes(self.at(Self::UPPER + 2)));
        let is = (len >= UDP_BYTES) & (len + IPV4_BYTES <= ip_bytes) & !tunnel::may_be(src, dst);
        (len.wrapping_sub(UDP_BYTES), is)
    }
}
