//! What carried a packet is kept with its flow; the same flow in several encapsulations is one flow.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's own small numbers")]

mod synth;

use portwitness::base::{InputId, Known, PortSet, ProblemKind, Time};
use portwitness::capture::{Frame, LinkType};
use portwitness::flow::{Flow, Outcome, Tunnel, attempt, orient};
use portwitness::observe::{Observation, PairIndex, Partial};
use portwitness::packet::Encapsulation;
use proptest::prelude::*;
use synth::{ACK, MS, Pk, S, SYN};

/// A packet and how it came.
#[derive(Clone, Debug)]
struct Shot {
    at: i64,
    frame: Vec<u8>,
}

/// IPv4 without options: identification, flags and offset, protocol, last octets of 192.0.2.x.
fn outer(id: u16, offset: u16, protocol: u8, (src, dst): (u8, u8), payload: &[u8]) -> Vec<u8> {
    let mut f = vec![0; 12];
    f.extend([8, 0, 0x45, 0]);
    f.extend((20 + payload.len() as u16).to_be_bytes());
    f.extend(id.to_be_bytes());
    f.extend(offset.to_be_bytes());
    f.extend([64, protocol, 0, 0, 192, 0, 2, src, 192, 0, 2, dst]);
    f.extend(payload);
    f
}

/// The packet's frame with an identification, as every system's packets have.
fn inner(pk: &Pk, id: u16) -> Vec<u8> {
    let mut frame = pk.frame();
    frame[18..20].copy_from_slice(&id.to_be_bytes());
    frame
}

fn plain(pk: &Pk, id: u16) -> Shot {
    Shot { at: pk.at, frame: inner(pk, id) }
}

fn vxlan_payload(pk: &Pk, id: u16, vni: u8) -> Vec<u8> {
    let frame = inner(pk, id);
    let len = (16 + frame.len() as u16).to_be_bytes();
    [&[0xc0, 0, 0x12, 0xb5, len[0], len[1], 0, 0, 8, 0, 0, 0, 0, 0, vni, 0][..], &frame].concat()
}

fn vxlan(pk: &Pk, id: u16, vni: u8, ends: (u8, u8)) -> Shot {
    Shot { at: pk.at, frame: outer(1, 0, 17, ends, &vxlan_payload(pk, id, vni)) }
}

/// ERSPAN type II, session 7, around a whole frame.
fn mirrored(shot: &Shot) -> Shot {
    let header = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 7, 0, 0, 0, 2];
    Shot { at: shot.at, frame: outer(1, 0, 47, (8, 9), &[&header[..], &shot.frame].concat()) }
}

fn partial(shots: &[Shot]) -> Partial {
    let mut partial = Partial::default();
    for (number, shot) in (1..).zip(shots) {
        let (time, original_len) = (Time::from_nanos(shot.at), shot.frame.len() as u32);
        let (input, link) = (InputId(0), LinkType::ETHERNET);
        partial.frame(&Frame { time, input, number, interface: 0, link, data: &shot.frame, original_len });
    }
    partial.set_frames(InputId(0), shots.len() as u64);
    partial
}

fn seen(shots: &[Shot]) -> Observation {
    partial(shots).finish(Vec::new(), Vec::new())
}

const A: synth::Point = (1, 50_000);
const B: synth::Point = (2, 445);

fn handshake() -> [Pk; 4] {
    [
        Pk::tcp(S, A, B, SYN, 10, 0, b""),
        Pk::tcp(S + MS, B, A, SYN | ACK, 20, 11, b""),
        Pk::tcp(S + 2 * MS, A, B, ACK, 11, 21, b"hello"),
        Pk::tcp(S + 3 * MS, B, A, ACK, 21, 16, b"world"),
    ]
}

fn names(tunnels: &[Tunnel]) -> Vec<(u8, Encapsulation, Option<u32>, String, u64)> {
    let ends = |t: &Tunnel| t.ends.map(|(a, b)| format!("{a} {b}")).unwrap_or_default();
    tunnels.iter().map(|t| (t.depth, t.encapsulation, t.id, ends(t), t.packets)).collect()
}

fn outcome(o: &Observation, f: &Flow) -> Outcome {
    let direction = orient(f, &PortSet::none());
    attempt(f, &direction, &|| PairIndex::new(o).context(o, f, &direction, Known::Unknown)).outcome
}

#[test]
fn a_flow_keeps_the_tunnels_its_packets_came_in_by_direction() {
    let way = |i: usize| if i.is_multiple_of(2) { (1, 2) } else { (2, 1) };
    let shots: Vec<Shot> = (0..).zip(&handshake()).map(|(i, p)| vxlan(p, 1 + i as u16, 42, way(i))).collect();
    let o = seen(&shots);
    assert_eq!(o.flows.len(), 1, "the carrier is no flow");
    let [a, b] = &o.flows[0].ends;
    let way = |ends: &str| vec![(0, Encapsulation::Vxlan, Some(42), ends.to_owned(), 2)];
    assert_eq!(names(&a.tunnels), way("192.0.2.1 192.0.2.2"), "the SYN's, too");
    assert_eq!(names(&b.tunnels), way("192.0.2.2 192.0.2.1"));
}

#[test]
fn tunnels_within_one_another_are_kept_from_the_outside_in() {
    let shots: Vec<Shot> = (1..).zip(&handshake()).map(|(id, p)| mirrored(&vxlan(p, id, 42, (1, 2)))).collect();
    let o = seen(&shots);
    let expected = [
        (0, Encapsulation::Erspan, Some(7), "192.0.2.8 192.0.2.9".to_owned(), 2),
        (1, Encapsulation::Vxlan, Some(42), "192.0.2.1 192.0.2.2".to_owned(), 2),
    ];
    assert_eq!(names(&o.flows[0].ends[0].tunnels), expected);
}

#[test]
fn one_flow_seen_plain_and_in_a_tunnel_is_one_flow_with_one_attempt_and_copies_are_told() {
    let mut shots = Vec::new();
    for (id, p) in (1..).zip(&handshake()) {
        shots.extend([plain(p, id), vxlan(p, id, 42, (1, 2)), mirrored(&plain(p, id))]);
    }
    let o = seen(&shots);
    assert_eq!(o.flows.len(), 1);
    let flow = &o.flows[0];
    assert_eq!((flow.syns.len(), flow.syns[0].count, outcome(&o, flow)), (1, 3, Outcome::Established));
    assert_eq!(flow.ends[0].packets, 6, "per sighting");
    let told = o.problems.iter().find(|p| p.kind == ProblemKind::RepeatedPackets).unwrap();
    assert_eq!(told.count, 8);
}

#[test]
fn packets_without_identification_are_copies_where_the_encapsulation_differs() {
    let mut shots = Vec::new();
    for p in &handshake() {
        shots.extend([plain(p, 0), vxlan(p, 0, 42, (1, 2))]);
    }
    let told = |shots: &[Shot]| seen(shots).problems.iter().find(|p| p.kind == ProblemKind::RepeatedPackets).cloned();
    assert_eq!(told(&shots).unwrap().count, 4);
    let twice: Vec<Shot> = handshake().iter().flat_map(|p| [plain(p, 0), plain(p, 0)]).collect();
    assert_eq!(told(&twice), None, "the same way twice may be a repetition");
}

#[test]
fn one_syn_in_two_tunnels_is_no_repeated_syn() {
    let syn = Pk::tcp(S, A, B, SYN, 10, 0, b"");
    let late = Pk::udp(20 * S, (2, 9), (1, 9), b"x");
    let o = seen(&[plain(&syn, 0), vxlan(&Pk { at: S + MS, ..syn.clone() }, 0, 42, (1, 2)), plain(&late, 3)]);
    assert_eq!(outcome(&o, &o.flows[0]), Outcome::Undetermined, "sightings a millisecond apart are one SYN");
}

#[test]
fn later_fragments_of_a_carrier_belong_to_the_flow_inside() {
    let data = Pk::tcp(S, A, B, ACK, 11, 21, &[7; 400]);
    let whole = vxlan_payload(&data, 5, 42);
    let (head, rest) = whole.split_at(208);
    let first = Shot { at: S, frame: outer(99, 0x2000, 17, (1, 2), head) };
    let later = Shot { at: S + 1000, frame: outer(99, 26, 17, (1, 2), rest) };
    for shots in [[first.clone(), later.clone()], [later, first]] {
        let o = seen(&shots);
        assert_eq!(o.flows.len(), 1, "{:?}", o.flows);
        let end = &o.flows[0].ends[0];
        assert_eq!((end.packets, end.payload_bytes, end.fragments), (1, 400, 1));
        assert!(!o.problems.iter().any(|p| p.kind == ProblemKind::OrphanFragments), "{:?}", o.problems);
    }
}

#[test]
fn what_only_has_a_tunnels_port_has_no_tunnel() {
    let o = seen(&[plain(&Pk::udp(S, (1, 4789), (2, 4789), b"no tunnel at all"), 1)]);
    assert!(o.flows[0].ends.iter().all(|e| e.tunnels.is_empty()));
}

fn shots() -> impl Strategy<Value = Vec<Shot>> {
    let one = (0..6_usize, 0..6_u8, 0..3_u8, 0..3_u8, 0..4_i64).prop_map(|(packet, how, vni, to, later)| {
        let hs = handshake();
        let again = Pk::tcp(S, A, B, SYN, 900, 0, b"");
        let ping = Pk::udp(S, (3, 7), (4, 7), b"x");
        let all = [&hs[0], &hs[1], &hs[2], &hs[3], &again, &ping];
        let pk = Pk { at: S + later * 400 * MS, ..all[packet].clone() };
        let shot = vxlan(&pk, 1 + u16::from(to), vni, (1, 2 + to));
        match how {
            0 | 1 => plain(&pk, 1 + u16::from(vni)),
            2 | 3 => shot,
            4 => mirrored(&plain(&pk, 1)),
            _ => mirrored(&shot),
        }
    });
    prop::collection::vec(one, 1..40)
}

proptest! {
    #[test]
    fn tunnels_of_a_cut_capture_are_those_of_the_whole(shots in shots(), a in any::<usize>(), b in any::<usize>()) {
        let (a, b) = (a % (shots.len() + 1), b % (shots.len() + 1));
        let (a, b) = (a.min(b), a.max(b));
        let whole = seen(&shots);
        let (mut left, mut right) = (partial(&shots[..a]), partial(&shots[a..b]));
        if (a + b) % 2 == 0 {
            right.append(partial(&shots[b..]));
            left.append(right);
        } else {
            left.append(right);
            left.append(partial(&shots[b..]));
        }
        let cut = left.finish(Vec::new(), Vec::new());
        let exact = |o: &Observation| o.flows.iter().flat_map(|f| &f.ends).all(|e| !e.approximate);
        prop_assume!(exact(&whole) && exact(&cut));
        prop_assert_eq!(cut, whole);
    }
}
