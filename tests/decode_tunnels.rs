//! What is inside tunnels takes the place of the packet that carries it; what is no tunnel stays as it is.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::cast_possible_truncation, reason = "a test's own small numbers")]

use portwitness::base::{InputId, ProblemKind, Proto, Time};
use portwitness::capture::{Frame, LinkType};
use portwitness::packet::{Body, Decoded, Encapsulation, Packet, Trail, decode, decode_along};
use proptest::prelude::*;

fn framed(data: &[u8], link: LinkType, original_len: usize) -> Frame<'_> {
    let (time, input) = (Time::from_nanos(0), InputId(0));
    Frame { time, input, number: 1, interface: 0, link, data, original_len: original_len as u32 }
}

fn cut(data: &[u8], link: LinkType, original_len: usize) -> Decoded<'_> {
    decode(&framed(data, link, original_len))
}

fn raw(data: &[u8]) -> Decoded<'_> {
    cut(data, LinkType::RAW, data.len())
}

/// An IPv4 packet from 10.0.0.`host` to 10.0.1.`host`.
fn v4(host: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len() as u16).to_be_bytes();
    let mut p = vec![0x45, 0, len[0], len[1], 0, 7, 0, 0, 64, protocol, 0, 0, 10, 0, 0, host, 10, 0, 1, host];
    p.extend(payload);
    p
}

fn v6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    let mut p = vec![0x60, 0, 0, 0, len[0], len[1], protocol, 64, 0x20, 1];
    p.extend([0; 13]);
    p.push(1);
    p.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    p.extend(payload);
    p
}

fn udp(dst: u16, payload: &[u8]) -> Vec<u8> {
    let (dst, len) = (dst.to_be_bytes(), (8 + payload.len() as u16).to_be_bytes());
    [&[0xc3, 0x50, dst[0], dst[1], len[0], len[1], 0, 0][..], payload].concat()
}

fn ether(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &ethertype.to_be_bytes(), payload].concat()
}

/// The innermost packet: UDP to port 53 with three octets.
fn query() -> Vec<u8> {
    v4(9, 17, &udp(53, b"abc"))
}

fn gtp(inner: &[u8]) -> Vec<u8> {
    let len = (inner.len() as u16).to_be_bytes();
    [&[0x30, 255, len[0], len[1], 0, 0, 0, 1][..], inner].concat()
}

/// Every tunnel around `inner`, an IPv4 packet; by name.
fn tunnels(inner: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let frame = ether(0x0800, inner);
    let over = |port, header: &[u8], inner: &[u8]| v4(1, 17, &udp(port, &[header, inner].concat()));
    vec![
        ("4 in 4", v4(1, 4, inner)),
        ("4 in 6", v6(4, inner)),
        ("6 in 4", v4(1, 41, &v6(4, inner))),
        ("6 in 6", v6(41, &v6(4, inner))),
        ("behind options", v6(60, &[&[4, 0, 0, 0, 0, 0, 0, 0][..], inner].concat())),
        ("GRE", v4(1, 47, &[&[0, 0, 8, 0][..], inner].concat())),
        ("bridged GRE", v4(1, 47, &[&[0x20, 0, 0x65, 0x58, 0, 0, 0, 1][..], &frame].concat())),
        ("MPLS in GRE", v4(1, 47, &[&[0, 0, 0x88, 0x47, 0, 1, 1, 64][..], inner].concat())),
        ("VXLAN", over(4789, &[8, 0, 0, 0, 0, 0, 5, 0], &frame)),
        ("VXLAN, Linux", over(8472, &[8, 0, 0, 0, 0, 0, 5, 0], &frame)),
        ("GENEVE", over(6081, &[1, 0, 0x65, 0x58, 0, 0, 5, 0, 0, 0, 0, 0], &frame)),
        ("GENEVE, IP", over(6081, &[0, 0, 8, 0, 0, 0, 5, 0], inner)),
        ("GTP-U", over(2152, &[], &gtp(inner))),
        ("Teredo", over(3544, &[], &v6(4, inner))),
        ("GRE in UDP", over(4754, &[0, 0, 8, 0], inner)),
    ]
}

fn is_the_query(p: &Packet<'_>) -> bool {
    matches!(p.body, Body::Udp(u) if u.dst_port == 53 && u.payload_len == 3) && p.src.to_string() == "10.0.0.9"
}

#[test]
fn the_innermost_packet_is_what_a_frame_yields() {
    for (name, bytes) in tunnels(&query()) {
        let decoded = raw(&bytes);
        let packet = decoded.packet.unwrap_or_else(|| panic!("{name}"));
        assert!(is_the_query(&packet), "{name}: {packet:?}");
        assert_eq!((packet.ip_bytes, decoded.issue), (31, None), "{name}");
        for (outer, nested) in tunnels(&bytes).into_iter().filter(|_| bytes[0] == 0x45) {
            assert!(is_the_query(&raw(&nested).packet.unwrap()), "{name} in {outer}");
        }
    }
}

#[test]
fn every_tunnel_leaves_its_name_its_number_and_its_ends_on_the_trail() {
    use Encapsulation as E;
    let expected: [&[(Encapsulation, Option<u32>)]; 15] = [
        &[(E::Ip, None)],
        &[(E::Ip, None)],
        &[(E::Ip, None), (E::Ip, None)],
        &[(E::Ip, None), (E::Ip, None)],
        &[(E::Ip, None)],
        &[(E::Gre, None)],
        &[(E::Gre, Some(1))],
        &[(E::Gre, None), (E::Mpls, None)],
        &[(E::Vxlan, Some(5))],
        &[(E::Vxlan, Some(5))],
        &[(E::Geneve, Some(5))],
        &[(E::Geneve, Some(5))],
        &[(E::GtpU, Some(1))],
        &[(E::Teredo, None), (E::Ip, None)],
        &[(E::Gre, None)],
    ];
    for ((name, bytes), expected) in tunnels(&query()).into_iter().zip(expected) {
        let trail = Trail::default();
        decode_along(&framed(&bytes, LinkType::RAW, bytes.len()), &trail);
        let found: Vec<_> = trail.iter().map(|(_, c)| (c.encapsulation, c.id)).collect();
        assert_eq!(found, expected, "{name}");
        let first = trail.iter().next().unwrap().1;
        assert_eq!(first.ends.map(|e| e.0.is_ipv4()), Some(bytes[0] == 0x45), "{name}");
        assert_eq!(first.fragment, None);
    }
    let trail = Trail::default();
    let backbone = ether(0x88e7, &[&[0, 0, 1, 9][..], &ether(0x0800, &query())].concat());
    decode_along(&framed(&backbone, LinkType::ETHERNET, backbone.len()), &trail);
    let session = ether(0x8864, &[&[0x11, 0, 0, 3, 0, 33, 0, 0x21][..], &query()].concat());
    assert!(trail.iter().all(|(_, c)| (c.encapsulation, c.id, c.ends) == (E::BackboneBridge, Some(265), None)));
    trail.clear();
    decode_along(&framed(&session, LinkType::ETHERNET, session.len()), &trail);
    assert!(
        trail.iter().all(|(_, c)| (c.encapsulation, c.id, c.ends) == (E::Pppoe, Some(3), None)) && !trail.is_empty()
    );
}

#[test]
fn what_is_not_opened_leaves_nothing_on_the_trail() {
    let trail = Trail::default();
    for bytes in [query(), v4(1, 17, &udp(4789, &query())), v4(1, 4, &[0x45, 0, 0, 10]), v4(1, 50, &query())] {
        decode_along(&framed(&bytes, LinkType::RAW, bytes.len()), &trail);
        assert!(trail.is_empty(), "{bytes:?}");
    }
}

#[test]
fn cut_anywhere_there_is_a_packet_or_an_issue_and_no_wrong_one() {
    for (name, bytes) in tunnels(&query()) {
        for len in 0..bytes.len() {
            let decoded = cut(&bytes[..len], LinkType::RAW, bytes.len());
            assert!(decoded.packet.is_some() || decoded.issue.is_some(), "{name} cut at {len}");
            if len + 11 < bytes.len() {
                assert!(!decoded.packet.is_some_and(|p| is_the_query(&p)), "{name} cut at {len}");
            }
            // Less on the wire, too.
            raw(&bytes[..len]);
        }
    }
}

#[test]
fn eight_tunnels_are_opened_and_nine_are_too_deep() {
    let mut bytes = query();
    for depth in 1..=9 {
        bytes = v4(depth, 4, &bytes);
        let decoded = raw(&bytes);
        assert_eq!(decoded.issue.map(|i| i.kind), (depth > 8).then_some(ProblemKind::TooDeep));
        assert_eq!(is_the_query(&decoded.packet.unwrap()), depth <= 8);
    }
}

#[test]
fn tags_are_kept_from_the_outside_in_and_the_inner_frame_tells_the_group() {
    let inner = ether(0x8100, &[&[0, 7, 8, 0][..], &query()].concat());
    let vxlan = v4(1, 17, &udp(4789, &[&[8, 0, 0, 0, 0, 0, 5, 0][..], &inner].concat()));
    let mut frame = ether(0x8100, &[&[0, 5, 8, 0][..], &vxlan].concat());
    frame[0] = 0xff;
    let packet = cut(&frame, LinkType::ETHERNET, frame.len()).packet.unwrap();
    assert_eq!(packet.vlans.as_slice(), [5, 7]);
    assert!(!packet.group);
    let backbone = ether(0x88a8, &[&[0, 5, 0x88, 0xe7, 0, 0, 0, 9][..], &inner].concat());
    let packet = cut(&backbone, LinkType::ETHERNET, backbone.len()).packet.unwrap();
    assert_eq!(packet.vlans.as_slice(), [5, 7]);
}

#[test]
fn what_only_has_the_port_of_a_tunnel_stays_udp() {
    let frame = ether(0x0800, &query());
    let junk: &[&[u8]] = &[&[], &[8], &[0xff; 60], &[0; 60], b"GET / HTTP/1.1\r\n\r\n", &frame];
    let unknown = [&[8, 0, 0, 0, 0, 0, 5, 0][..], &ether(0x1234, &[0; 40])].concat();
    let no_ip = [&[8, 0, 0, 0, 0, 0, 5, 0][..], &ether(0x0800, &[0; 40])].concat();
    for payload in junk.iter().copied().chain([&unknown[..], &no_ip]) {
        for port in [2152, 3544, 4754, 4789, 6081, 8472] {
            let bytes = v4(1, 17, &udp(port, payload));
            let decoded = raw(&bytes);
            assert!(matches!(decoded.packet.unwrap().body, Body::Udp(u) if u.dst_port == port), "{port}");
            assert_eq!(decoded.issue, None, "{port} {payload:02x?}");
        }
    }
    let arp = ether(0x0806, &[&[0, 1, 8, 0, 6, 4, 0, 1][..], &[0; 20]].concat());
    let bytes = v4(1, 17, &udp(4789, &[&[8, 0, 0, 0, 0, 0, 5, 0][..], &arp].concat()));
    assert!(raw(&bytes).is_not_ip(), "address resolution in a tunnel is no traffic between its ends");
}

#[test]
fn an_inner_packet_that_cannot_be_read_leaves_the_outer_one_and_an_issue() {
    let bytes = v4(1, 4, &[0x45, 0, 0, 10]);
    let decoded = raw(&bytes);
    assert!(matches!(decoded.packet.unwrap().body, Body::Other(Proto::Other(4))));
    assert_eq!(decoded.issue.unwrap().kind, ProblemKind::PacketMalformed);
    let bytes = v4(1, 47, &[&[0, 0, 8, 0][..], &query()].concat());
    let decoded = cut(&bytes[..34], LinkType::RAW, bytes.len());
    assert!(matches!(decoded.packet.unwrap().body, Body::Other(Proto::Other(47))));
    assert_eq!(decoded.issue.unwrap().kind, ProblemKind::PacketTruncated);
    let esp = v4(1, 4, &v4(2, 50, &[0; 20]));
    assert_eq!(raw(&esp).issue.unwrap().kind, ProblemKind::Opaque);
}

#[test]
fn only_a_first_fragment_is_opened_and_counts_the_inner_packet_whole() {
    let inner = v4(9, 17, &udp(53, &[1; 100]));
    for whole in [v4(1, 4, &inner), v4(1, 17, &udp(2152, &gtp(&inner)))] {
        let mut first = whole[..84].to_vec();
        (first[3], first[6]) = (84, 0x20);
        let decoded = raw(&first);
        let packet = decoded.packet.unwrap();
        assert!(matches!(packet.body, Body::Udp(u) if u.payload_len == 100 && u.payload.len() < 100), "{packet:?}");
        assert_eq!((packet.ip_bytes, decoded.issue), (128, None));
        (first[6], first[7]) = (0, 8);
        assert!(matches!(raw(&first).packet.unwrap().body, Body::LaterFragment { .. }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_and_cut_tunnels_never_claim_more_than_there_was(
        outer in 0..15_usize, inner in 0..15_usize, cut_at in 0..200_usize, original_len: u32,
        damage in proptest::collection::vec((0..120_usize, any::<u8>()), 0..4),
    ) {
        let mut bytes = tunnels(&query()).swap_remove(inner).1;
        if bytes[0] == 0x45 {
            bytes = tunnels(&bytes).swap_remove(outer).1;
        }
        for (at, value) in damage {
            if let Some(b) = bytes.get_mut(at) {
                *b = value;
            }
        }
        bytes.truncate(cut_at);
        if let Some(p) = cut(&bytes, LinkType::RAW, original_len as usize).packet {
            let (captured, on_wire) = match p.body {
                Body::Tcp(t) => (t.payload.len(), t.payload_len),
                Body::Udp(u) => (u.payload.len(), u.payload_len),
                _ => (0, 0),
            };
            prop_assert!(captured <= on_wire as usize && on_wire <= p.ip_bytes);
        }
    }
}
