//! The decoder against etherparse, and against bytes that nobody meant.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::cast_possible_truncation, reason = "a test's own small numbers")]

use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, PacketBuilder, TransportSlice};
use portwitness::base::{InputId, Time};
use portwitness::capture::{Frame, LinkType};
use portwitness::packet::{Body, Decoded, decode};
use proptest::prelude::*;

fn frame(data: &[u8], link: u16, original_len: u32) -> Frame<'_> {
    Frame {
        time: Time::from_nanos(0),
        input: InputId(0),
        number: 1,
        interface: 0,
        link: LinkType(link),
        data,
        original_len,
    }
}

fn ethernet(data: &[u8]) -> Decoded<'_> {
    decode(&frame(data, 1, data.len() as u32))
}

/// A frame built by etherparse: tags, either IP, TCP or UDP, payload.
fn built() -> impl Strategy<Value = Vec<u8>> {
    let payload = proptest::collection::vec(any::<u8>(), 0..60);
    (any::<[u16; 2]>(), any::<[u32; 2]>(), payload, 0..3_u8, any::<(bool, bool)>(), any::<u8>()).prop_map(
        |(ports, [seq, ack], payload, tags, (v6, tcp), ttl)| {
            let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
            let vlan = |id| etherparse::VlanId::try_new(id).unwrap();
            let (source, destination) = ([1; 16], [2; 16]);
            let ip = match (tags, v6) {
                (0, true) => link.ipv6(source, destination, ttl),
                (0, false) => link.ipv4([10, 0, 0, 1], [10, 0, 0, 2], ttl),
                (1, true) => link.single_vlan(vlan(7)).ipv6(source, destination, ttl),
                (1, false) => link.single_vlan(vlan(7)).ipv4([10, 0, 0, 1], [10, 0, 0, 2], ttl),
                (_, true) => link.double_vlan(vlan(7), vlan(8)).ipv6(source, destination, ttl),
                (_, false) => link.double_vlan(vlan(7), vlan(8)).ipv4([10, 0, 0, 1], [10, 0, 0, 2], ttl),
            };
            let mut out = Vec::new();
            if tcp {
                ip.tcp(ports[0], ports[1], seq, 1000).ack(ack).psh().write(&mut out, &payload).unwrap();
            } else {
                ip.udp(ports[0], ports[1]).write(&mut out, &payload).unwrap();
            }
            out
        },
    )
}

/// What both readers must agree on, where both read a whole transport header.
fn agree(bytes: &[u8]) {
    let Ok(theirs) = LaxSlicedPacket::from_ethernet(bytes) else { return };
    let (Some(net), Some(transport)) = (theirs.net, theirs.transport) else { return };
    if let LaxNetSlice::Ipv4(ip) = &net
        && (1..ip.header().slice().len()).contains(&usize::from(ip.header().total_len()))
    {
        return; // Shorter than its own header: malformed for us; etherparse takes the rest of the frame.
    }
    let Some(ours) = ethernet(bytes).packet else { panic!("etherparse reads {net:?}") };
    let (src, dst, ttl) = match &net {
        LaxNetSlice::Ipv4(ip) => {
            let h = ip.header();
            (IpAddr::from(h.source()), IpAddr::from(h.destination()), h.ttl())
        }
        LaxNetSlice::Ipv6(ip) => {
            let h = ip.header();
            (IpAddr::from(h.source()), IpAddr::from(h.destination()), h.hop_limit())
        }
        LaxNetSlice::Arp(_) => return,
    };
    assert_eq!((ours.src, ours.dst, ours.ttl), (src, dst, ttl));
    match (ours.body, transport) {
        (Body::Tcp(a), TransportSlice::Tcp(b)) => {
            assert_eq!((a.src_port, a.dst_port, a.seq), (b.source_port(), b.destination_port(), b.sequence_number()));
            assert_eq!((a.ack, a.window), (b.acknowledgment_number(), b.window_size()));
            assert_eq!(a.flags.0 & 0x3f, b.slice()[13] & 0x3f);
            assert_eq!(a.payload, b.payload());
        }
        (Body::Udp(a), TransportSlice::Udp(b)) => {
            assert_eq!((a.src_port, a.dst_port), (b.source_port(), b.destination_port()));
            assert_eq!(a.payload, b.payload());
        }
        (Body::Icmp(a), TransportSlice::Icmpv4(b)) => {
            assert_eq!((a.ty, a.code, a.v6), (b.type_u8(), b.code_u8(), false))
        }
        (Body::Icmp(a), TransportSlice::Icmpv6(b)) => {
            assert_eq!((a.ty, a.code, a.v6), (b.type_u8(), b.code_u8(), true))
        }
        // RFC 768: the length counts the header, so less than 8 is no datagram; etherparse reads on.
        (Body::Other(_), TransportSlice::Udp(b)) if (1..8).contains(&b.length()) => {}
        (Body::Other(_), TransportSlice::Igmp(_)) => {}
        (ours, theirs) => panic!("{ours:?}, but etherparse reads {theirs:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn what_etherparse_builds_is_read_as_etherparse_reads_it(bytes in built()) {
        prop_assert!(ethernet(&bytes).issue.is_none());
        agree(&bytes);
    }

    #[test]
    fn damaged_and_cut_frames_are_read_as_etherparse_reads_them(
        mut bytes in built(), cut in 0..80_usize,
        damage in proptest::collection::vec((12..70_usize, any::<u8>()), 0..3),
    ) {
        for (at, value) in damage {
            if let Some(b) = bytes.get_mut(at) {
                *b = value;
            }
        }
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(40)));
        agree(&bytes);
    }

    #[test]
    fn no_byte_sequence_panics(
        start in prop_oneof![Just(vec![]), built()],
        tail in proptest::collection::vec(any::<u8>(), 0..120),
        link in prop_oneof![Just(0_u16), Just(1), Just(12), Just(101), Just(108), Just(113), Just(228), Just(229), Just(276), any::<u16>()],
        original_len: u32,
    ) {
        let bytes = [start, tail].concat();
        for data in [&bytes[..], &bytes[bytes.len() / 2..], &bytes[..bytes.len() / 2]] {
            let decoded = decode(&frame(data, link, original_len));
            if let Some(p) = decoded.packet {
                let lens = match p.body {
                    Body::Tcp(t) => (t.payload.len(), t.payload_len),
                    Body::Udp(u) => (u.payload.len(), u.payload_len),
                    _ => (0, 0),
                };
                prop_assert!(lens.0 <= lens.1 as usize, "more captured than was on the wire");
                prop_assert!(lens.1 <= p.ip_bytes);
            }
        }
    }
}

#[test]
fn segmentation_offload_takes_the_length_of_the_frame() {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([0; 6], [0; 6])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1, 2, 3, 4)
        .write(&mut bytes, &[0; 10])
        .unwrap();
    (bytes[16], bytes[17]) = (0, 0);
    let packet = decode(&frame(&bytes, 1, 70_000)).packet.unwrap();
    assert_eq!(packet.ip_bytes, 69_986);
    assert!(matches!(packet.body, Body::Tcp(t) if t.payload_len == 69_946 && t.payload.len() == 10));
}

#[test]
fn every_link_type_that_is_not_decoded_is_named() {
    let decoded = decode(&frame(&[0; 60], 127, 60));
    assert_eq!(decoded.issue.unwrap().detail, "IEEE 802.11 with radiotap header");
    assert!(decoded.packet.is_none());
}

#[test]
fn encapsulation_is_an_issue_beside_the_outer_packet_and_arp_is_none() {
    for (protocol, name) in [(4, "IPv4 in IP"), (41, "IPv6 in IP"), (47, "GRE"), (50, "ESP")] {
        let mut bytes = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        bytes.extend([0; 20]);
        let decoded = decode(&frame(&bytes, 101, 40));
        assert!(matches!(decoded.packet.unwrap().body, Body::Other(p) if p.number() == protocol));
        assert_eq!(decoded.issue.unwrap().detail, name);
    }
    let arp = [&[0xff; 12][..], &[0x08, 0x06], &[0; 46]].concat();
    assert!(ethernet(&arp).is_not_ip());
}
