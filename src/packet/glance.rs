//! A look at the headers most frames of a restore have: TCP or UDP, whole, in one IP packet without options, tunnel or group address.
//!
//! A shortcut, not a second reading: where it sees a packet, [`super::decode`] sees the same one and no issue, which a property
//! test holds. Whatever is unusual in any way is left to that one. It exists because the general way builds values of several
//! hundred bytes per frame, and this one a few registers.

use std::net::IpAddr;

use super::ether::ethertype;
use super::tunnel;
use super::view::{Body, Packet, Tcp, TcpFlags, Udp, Vlans};
use crate::capture::{Frame, LinkType};

pub(super) const ETHERNET: usize = 14;
const TAG: usize = 4;
pub(super) const IPV4: usize = 20;
pub(super) const IPV6: usize = 40;
/// Octets of a TCP header that are looked at; checksum and urgent pointer may be cut.
pub(super) const TCP: usize = 16;
pub(super) const TCP_LEAST: u32 = 20;
pub(super) const UDP: usize = 8;
pub(super) const IPV4_BYTES: u32 = 20;
pub(super) const IPV6_BYTES: u32 = 40;
pub(super) const UDP_BYTES: u32 = 8;
pub(super) const PROTO_TCP: u8 = 6;
pub(super) const PROTO_UDP: u8 = 17;

/// Source and destination as numbers, most significant octet first: they order as addresses do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// IPv4.
    V4(u32, u32),
    /// IPv6.
    V6(u128, u128),
}

/// A TCP segment at a glance, or a UDP datagram: then what only TCP has is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glance<'a> {
    pub(crate) addresses: Addresses,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    /// Without CWR and ECE.
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) ttl: u8,
    /// Identification; 0 for IPv6.
    pub(crate) id: u16,
    pub(crate) ip_bytes: u32,
    /// Payload bytes on the wire.
    pub(crate) payload_len: u32,
    /// Those captured.
    pub(crate) payload: &'a [u8],
    /// The one VLAN identifier, or [`Glance::UNTAGGED`].
    pub(crate) tag: u16,
    /// Interface of the capturing host, where the link layer tells it.
    pub(crate) device: Option<u32>,
}

impl Glance<'_> {
    /// Above every VLAN identifier.
    pub(crate) const UNTAGGED: u16 = u16::MAX;
}

impl<'a> Glance<'a> {
    /// What [`super::decode`] makes of a segment.
    #[inline]
    pub(crate) fn segment(&self) -> Packet<'a> {
        self.packet(Body::Tcp(Tcp {
            src_port: self.src_port,
            dst_port: self.dst_port,
            seq: self.seq,
            ack: self.ack,
            flags: TcpFlags(self.flags),
            window: self.window,
            payload: self.payload,
            payload_len: self.payload_len,
            first_fragment: None,
        }))
    }

    /// What [`super::decode`] makes of a datagram.
    #[inline]
    pub(crate) fn datagram(&self) -> Packet<'a> {
        self.packet(Body::Udp(Udp {
            src_port: self.src_port,
            dst_port: self.dst_port,
            payload: self.payload,
            payload_len: self.payload_len,
            first_fragment: None,
        }))
    }

    #[inline(always)]
    fn packet(&self, body: Body<'a>) -> Packet<'a> {
        let (src, dst) = match self.addresses {
            Addresses::V4(src, dst) => (IpAddr::V4(src.into()), IpAddr::V4(dst.into())),
            Addresses::V6(src, dst) => (IpAddr::V6(src.into()), IpAddr::V6(dst.into())),
        };
        let mut vlans = Vlans::NONE;
        if self.tag != Self::UNTAGGED {
            vlans.push(self.tag);
        }
        Packet { vlans, src, dst, ttl: self.ttl, id: self.id, ip_bytes: self.ip_bytes, group: false, body }
    }
}

/// What the short way asks of a packet's headers.
pub(crate) trait Headers {
    fn seq(&self) -> u32;
    fn ack(&self) -> u32;
    /// Without CWR and ECE.
    fn flags(&self) -> u8;
    fn window(&self) -> u16;
    fn ttl(&self) -> u8;
    /// Identification; 0 for IPv6.
    fn id(&self) -> u16;
    fn ip_bytes(&self) -> u32;
    /// Payload bytes on the wire.
    fn payload_len(&self) -> u32;
}

impl Headers for &Glance<'_> {
    fn seq(&self) -> u32 {
        self.seq
    }

    fn ack(&self) -> u32 {
        self.ack
    }

    fn flags(&self) -> u8 {
        self.flags
    }

    fn window(&self) -> u16 {
        self.window
    }

    fn ttl(&self) -> u8 {
        self.ttl
    }

    fn id(&self) -> u16 {
        self.id
    }

    fn ip_bytes(&self) -> u32 {
        self.ip_bytes
    }

    fn payload_len(&self) -> u32 {
        self.payload_len
    }
}

/// Where the link layer ends.
struct Link {
    at: usize,
    ethertype: u16,
    tag: u16,
    device: Option<u32>,
}

#[inline(always)]
pub(super) fn word<const N: usize>(data: &[u8], at: usize) -> Option<&[u8; N]> {
    data.get(at..)?.first_chunk()
}

#[inline(always)]
fn be16(data: &[u8], at: usize) -> Option<u16> {
    word(data, at).map(|b| u16::from_be_bytes(*b))
}

/// Whether a frame is, more likely than not, a UDP datagram over IPv4: no TCP segment in any case.
#[inline]
pub(crate) fn is_datagram(frame: &Frame<'_>) -> bool {
    let h: Option<&[u8; ETHERNET + IPV4]> = frame.data.first_chunk();
    let is = |h: &[u8; ETHERNET + IPV4]| [h[12], h[13], h[14], h[23]] == [8, 0, 0x45, PROTO_UDP];
    frame.link == LinkType::ETHERNET && h.is_some_and(is)
}

/// A frame's TCP segment, or `None` where it has none or anything about it is unusual.
#[inline(always)]
pub(crate) fn glance<'a>(frame: &Frame<'a>) -> Option<Glance<'a>> {
    look::<PROTO_TCP>(frame)
}

/// The same of a UDP datagram. Those to or from a tunnel's port are unusual.
#[inline]
pub(crate) fn glance_datagram<'a>(frame: &Frame<'a>) -> Option<Glance<'a>> {
    look::<PROTO_UDP>(frame)
}

#[inline(always)]
fn look<'a, const PROTO: u8>(frame: &Frame<'a>) -> Option<Glance<'a>> {
    let link = link(frame)?;
    let wire =
        frame.original_len.max(u32::try_from(frame.data.len()).ok()?).checked_sub(u32::try_from(link.at).ok()?)?;
    let ip = frame.data.get(link.at..)?;
    match link.ethertype {
        ethertype::IPV4 => v4::<PROTO>(ip, wire, &link),
        ethertype::IPV6 => v6::<PROTO>(ip, wire, &link),
        _ => None,
    }
}

#[inline(always)]
fn link(frame: &Frame<'_>) -> Option<Link> {
    let data = frame.data;
    if frame.link == LinkType::ETHERNET {
        let h: &[u8; ETHERNET] = data.first_chunk()?;
        if h[0] & 1 != 0 {
            return None;
        }
        let plain =
            Link { at: ETHERNET, ethertype: u16::from_be_bytes([h[12], h[13]]), tag: Glance::UNTAGGED, device: None };
        return match plain.ethertype {
            ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD => {
                let tag = be16(data, ETHERNET)? & 0x0fff;
                Some(Link { at: ETHERNET + TAG, ethertype: be16(data, ETHERNET + 2)?, tag, ..plain })
            }
            _ => Some(plain),
        };
    }
    other_link(frame)
}

/// Cooked captures and bare IP.
fn other_link(frame: &Frame<'_>) -> Option<Link> {
    /// To the capturing host, to somebody else, or from the capturing host.
    const UNICAST: [u16; 3] = [0, 3, 4];
    /// Hardware types Ethernet and loopback: the protocol field is an Ethernet type.
    const HARDWARE: [u16; 2] = [1, 772];
    let data = frame.data;
    let bare = |at, ethertype, device| Link { at, ethertype, tag: Glance::UNTAGGED, device };
    let known = |kind: u16, hardware: u16| UNICAST.contains(&kind) && HARDWARE.contains(&hardware);
    match frame.link {
        LinkType::SLL => known(be16(data, 0)?, be16(data, 2)?).then_some(bare(16, be16(data, 14)?, None)),
        LinkType::SLL2 => {
            let &[kind, _] = word(data, 10)?;
            let device = u32::from_be_bytes(*word(data, 4)?);
            known(u16::from(kind), be16(data, 8)?).then_some(bare(20, be16(data, 0)?, Some(device)))
        }
        LinkType::RAW => match data.first()? >> 4 {
            4 => Some(bare(0, ethertype::IPV4, None)),
            6 => Some(bare(0, ethertype::IPV6, None)),
            _ => None,
        },
        _ => None,
    }
}

#[inline(always)]
fn v4<'a, const PROTO: u8>(ip: &'a [u8], wire: u32, link: &Link) -> Option<Glance<'a>> {
    let h: &[u8; IPV4] = ip.first_chunk()?;
    let total = u32::from(u16::from_be_bytes([h[2], h[3]]));
    // Version 4, no options; neither a later nor a first fragment.
    let whole = h[0] == 0x45 && h[9] == PROTO && (h[6] & 0x3f) | h[7] == 0;
    let src = u32::from_be_bytes([h[12], h[13], h[14], h[15]]);
    let dst = u32::from_be_bytes([h[16], h[17], h[18], h[19]]);
    // Multicast, reserved and broadcast begin with three ones.
    if !whole || total > wire || h[16] >= 0xe0 {
        return None;
    }
    let id = u16::from_be_bytes([h[4], h[5]]);
    upper::<PROTO>(ip, IPV4, total, Glance { ttl: h[8], id, ..empty(Addresses::V4(src, dst), link) })
}

#[inline(always)]
fn v6<'a, const PROTO: u8>(ip: &'a [u8], wire: u32, link: &Link) -> Option<Glance<'a>> {
    let h: &[u8; IPV6] = ip.first_chunk()?;
    let len = u32::from(u16::from_be_bytes([h[4], h[5]]));
    let total = u32::try_from(IPV6).ok()? + len;
    if h[0] >> 4 != 6 || h[6] != PROTO || len == 0 || total > wire || h[24] == 0xff {
        return None;
    }
    let (src, dst) = (u128::from_be_bytes(*word(ip, 8)?), u128::from_be_bytes(*word(ip, 24)?));
    upper::<PROTO>(ip, IPV6, total, Glance { ttl: h[7], ..empty(Addresses::V6(src, dst), link) })
}

#[inline(always)]
const fn empty<'a>(addresses: Addresses, link: &Link) -> Glance<'a> {
    Glance {
        addresses,
        src_port: 0,
        dst_port: 0,
        seq: 0,
        ack: 0,
        flags: 0,
        window: 0,
        ttl: 0,
        id: 0,
        ip_bytes: 0,
        payload_len: 0,
        payload: &[],
        tag: link.tag,
        device: link.device,
    }
}

#[inline(always)]
fn upper<'a, const PROTO: u8>(ip: &'a [u8], at: usize, total: u32, seen: Glance<'a>) -> Option<Glance<'a>> {
    if PROTO == PROTO_TCP { segment(ip, at, total, seen) } else { datagram(ip, at, total, seen) }
}

#[inline(always)]
fn datagram<'a>(ip: &'a [u8], at: usize, total: u32, seen: Glance<'a>) -> Option<Glance<'a>> {
    let h: &[u8; UDP] = word(ip, at)?;
    let (src_port, dst_port) = (u16::from_be_bytes([h[0], h[1]]), u16::from_be_bytes([h[2], h[3]]));
    let (room, len) = (total.checked_sub(u32::try_from(at).ok()?)?, u16::from_be_bytes([h[4], h[5]]));
    let payload_len = u32::from(len).checked_sub(u32::try_from(UDP).ok()?)?;
    if u32::from(len) > room || tunnel::may_be(src_port, dst_port) {
        return None;
    }
    let end = ip.len().min(at + usize::from(len));
    let payload = ip.get(at + UDP..end).unwrap_or(&[]);
    Some(Glance { src_port, dst_port, ip_bytes: total, payload_len, payload, ..seen })
}

#[inline(always)]
fn segment<'a>(ip: &'a [u8], at: usize, total: u32, seen: Glance<'a>) -> Option<Glance<'a>> {
    let h: &[u8; TCP] = word(ip, at)?;
    let len = total.checked_sub(u32::try_from(at).ok()?)?;
    let header = u32::from(h[12] >> 4) * 4;
    if header < TCP_LEAST || header > len {
        return None;
    }
    let end = ip.len().min(total as usize);
    Some(Glance {
        src_port: u16::from_be_bytes([h[0], h[1]]),
        dst_port: u16::from_be_bytes([h[2], h[3]]),
        seq: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
        ack: u32::from_be_bytes([h[8], h[9], h[10], h[11]]),
        flags: h[13] & 0x3f,
        window: u16::from_be_bytes([h[14], h[15]]),
        ip_bytes: total,
        payload_len: len - header,
        payload: ip.get(at + header as usize..end).unwrap_or(&[]),
        ..seen
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::{InputId, Time};
    use crate::packet::decode;
    use crate::packet::quick::octets::{DATAGRAM, SEGMENT, SEGMENT_V6};
    use crate::packet::quick::{Quick, quick};

    fn frame(link: LinkType, data: &[u8], original_len: u32) -> Frame<'_> {
        Frame { time: Time::from_nanos(0), input: InputId(0), number: 1, interface: 0, link, data, original_len }
    }

    /// What the general way says where the glance sees something.
    fn agrees(frame: &Frame<'_>) -> bool {
        let (segment, datagram) = (glance(frame), glance_datagram(frame));
        let Some(seen) = segment.or(datagram) else {
            assert!(quick::<SEGMENT>(frame).is_none() && quick::<DATAGRAM>(frame).is_none());
            assert!(quick::<SEGMENT_V6>(frame).is_none());
            return false;
        };
        assert!(segment.is_none() || !is_datagram(frame));
        let packet = if segment.is_some() { seen.segment() } else { seen.datagram() };
        let decoded = decode(frame);
        assert_eq!(decoded.issue, None, "{seen:?}");
        assert_eq!(format!("{:?}", decoded.packet.unwrap()), format!("{packet:?}"));
        assert_eq!(seen.device, decoded.device);
        let half = |n: u64| u32::try_from(n & 0xffff_ffff).unwrap();
        let v4 = |addresses: u64| Addresses::V4(half(addresses >> 32), half(addresses));
        if let Some(q) = quick::<SEGMENT>(frame) {
            assert!(segment.is_some());
            assert_eq!(v4(q.addresses()), seen.addresses);
            assert_eq!(q.payload(frame), seen.payload);
            same(&q, &seen);
        }
        if let Some(q) = quick::<DATAGRAM>(frame) {
            assert!(segment.is_none());
            assert_eq!(v4(q.addresses()), seen.addresses);
            same(&q, &seen);
        }
        if let Some(q) = quick::<SEGMENT_V6>(frame) {
            assert!(segment.is_some());
            let (src, dst) = q.addresses_v6();
            assert_eq!(Addresses::V6(src, dst), seen.addresses);
            assert_eq!(q.payload(frame), seen.payload);
            same(&q, &seen);
        }
        true
    }

    fn same<const N: usize>(q: &Quick<'_, N>, seen: &Glance<'_>) {
        assert_eq!(q.ports(), u32::from(seen.src_port) << 16 | u32::from(seen.dst_port));
        assert_eq!((q.seq(), q.ack(), q.flags(), q.window()), (seen.seq, seen.ack, seen.flags, seen.window));
        assert_eq!((q.ttl(), q.id(), q.ip_bytes()), (seen.ttl, seen.id, seen.ip_bytes));
        assert_eq!(q.payload_len(), seen.payload_len);
        assert_eq!(seen.tag, Glance::UNTAGGED);
    }

    /// An IP packet with a TCP segment or a UDP datagram.
    fn ip(v6: bool, udp: bool, payload: usize) -> Vec<u8> {
        let len = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
        let mut tcp = vec![0xc0, 0, 1, 0xbd, 0, 0, 0, 1, 0, 0, 0, 2, 0x60, 0x18, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1];
        if udp {
            tcp = [&[0xc0, 0, 1, 0xbd][..], &len(8 + payload), &[1, 2]].concat();
        }
        tcp.resize(tcp.len() + payload, 7);
        let proto = if udp { PROTO_UDP } else { PROTO_TCP };
        let mut p = if v6 {
            let mut h = [&[0x60, 0, 0, 0][..], &len(tcp.len()), &[proto, 64]].concat();
            h.extend([0xfd; 16]);
            h.extend([0xfc; 16]);
            h
        } else {
            [&[0x45, 0][..], &len(20 + tcp.len()), &[0, 9, 0x40, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]].concat()
        };
        p.extend(tcp);
        p
    }

    fn headers() -> impl Strategy<Value = (LinkType, Vec<u8>)> {
        let eth = |v6: bool, tags: usize| {
            let mut h = vec![2; 12];
            (0..tags).for_each(|_| h.extend([0x81, 0, 0x20, 5]));
            h.extend(if v6 { [0x86, 0xdd] } else { [8, 0] });
            (LinkType::ETHERNET, h)
        };
        let cooked = |v6: bool, two: bool| {
            let proto = if v6 { [0x86, 0xdd] } else { [8, 0] };
            if two {
                (LinkType::SLL2, [&proto[..], &[0, 0, 0, 0, 0, 9, 0, 1, 4, 6], &[2; 8]].concat())
            } else {
                (LinkType::SLL, [&[0, 4, 0, 1, 0, 6][..], &[2; 8], &proto].concat())
            }
        };
        (any::<bool>(), 0..7_usize).prop_map(move |(v6, kind)| match kind {
            0..=2 => eth(v6, kind),
            3 | 4 => cooked(v6, kind == 4),
            _ => (LinkType::RAW, Vec::new()),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_seen_at_a_glance_is_what_decoding_says(
            (link, head) in headers(),
            v6 in any::<bool>(),
            udp in any::<bool>(),
            payload in 0..80_usize,
            changes in prop::collection::vec((0..90_usize, any::<u8>()), 0..3),
            cut in 0..160_usize,
            more in 0..3_u32,
        ) {
            let mut data = [head, ip(v6, udp, payload)].concat();
            for (at, byte) in changes {
                if let Some(b) = data.get_mut(at) {
                    *b = byte;
                }
            }
            let wire = u32::try_from(data.len()).unwrap() + more;
            data.truncate(cut.max(1));
            agrees(&frame(link, &data, wire));
        }
    }

    #[test]
    fn usual_frames_are_seen() {
        for (v6, udp) in [(false, false), (true, false), (false, true), (true, true)] {
            let ether: [u8; 2] = if v6 { [0x86, 0xdd] } else { [8, 0] };
            let data = [&[2; 12][..], &ether, &ip(v6, udp, 30)].concat();
            let tagged = [&[2; 12][..], &[0x81, 0, 0, 5], &ether, &ip(v6, udp, 30)].concat();
            for data in [data, tagged] {
                let wire = u32::try_from(data.len()).unwrap();
                let whole = frame(LinkType::ETHERNET, &data, wire);
                assert!(agrees(&whole));
                let plain = !v6 && data[12..14] == [8, 0];
                assert_eq!((quick::<SEGMENT>(&whole).is_some(), is_datagram(&whole)), (plain && !udp, plain && udp));
                assert_eq!(quick::<DATAGRAM>(&whole).is_some(), plain && udp);
                assert_eq!(quick::<SEGMENT_V6>(&whole).is_some(), data[12..14] == [0x86, 0xdd] && !udp);
                assert!(agrees(&frame(LinkType::ETHERNET, &data[..data.len() - 20], wire)), "cut by the snaplen");
            }
        }
    }

    #[test]
    fn what_goes_to_or_comes_from_a_tunnels_port_is_not_usual() {
        for (v6, at) in [(false, 34), (false, 36), (true, 54), (true, 56)] {
            let ether: [u8; 2] = if v6 { [0x86, 0xdd] } else { [8, 0] };
            let mut data = [&[2; 12][..], &ether, &ip(v6, true, 30)].concat();
            data[at..at + 2].copy_from_slice(&4789_u16.to_be_bytes());
            assert!(!agrees(&frame(LinkType::ETHERNET, &data, u32::try_from(data.len()).unwrap())));
        }
    }

    #[test]
    fn so_it_is_with_any_value_of_any_octet_of_the_headers() {
        for (v6, udp) in [(false, false), (true, false), (false, true), (true, true)] {
            let ether: [u8; 2] = if v6 { [0x86, 0xdd] } else { [8, 0] };
            let usual = [&[2; 12][..], &ether, &ip(v6, udp, 30)].concat();
            let wire = u32::try_from(usual.len()).unwrap();
            for (at, value) in (0..usual.len() - 30).flat_map(|at| (0..=255).map(move |v| (at, v))) {
                let mut data = usual.clone();
                data[at] = value;
                agrees(&frame(LinkType::ETHERNET, &data, wire));
            }
        }
    }
}
