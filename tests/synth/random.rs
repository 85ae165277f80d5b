//! Random packet sequences over few tuples, so that everything that can happen to a tuple does.

use proptest::prelude::*;

use super::{ACK, Body, FIN, Pk, Point, RST, S, SYN};

/// Initial sequence numbers of the two sides; one wraps early.
const ISNS: [u32; 3] = [1_000, 50_000, u32::MAX - 60];

fn tuple() -> impl Strategy<Value = (Point, Point)> {
    prop_oneof![
        6 => Just(((1, 50_000), (2, 445))),
        2 => Just(((1, 50_001), (2, 135))),
        1 => Just(((3, 137), (3, 137))),
    ]
}

fn gap() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => 0..2_000_000_i64,
        4 => Just(300_000_000),
        2 => Just(1_000_000_000),
        1 => Just(60 * S - 1),
        1 => Just(60 * S),
        1 => Just(-5 * S),
        1 => Just(-70 * S),
    ]
}

/// What a TCP side may send: sequence numbers near its ISN, acknowledgements near the peer's.
fn tcp() -> impl Strategy<Value = Body> {
    let number = (0..2_usize, prop_oneof![4 => 0..20_u32, 4 => 0..200_u32, 1 => 0..20_000_u32]);
    let seq = number.clone().prop_map(|(i, n)| ISNS[i].wrapping_add(1 + n));
    let ack = number.prop_map(|(i, n)| ISNS[i + 1].wrapping_add(1 + n));
    let payload = prop_oneof![5 => 1..40_usize, 1 => 1400..1461_usize, 1 => Just(1_usize)];
    let data = move |seq: u32, len: usize, salt: u8| -> Vec<u8> {
        (0..len as u32).map(|i| (seq.wrapping_add(i) % 251) as u8 ^ salt).collect()
    };
    let segment = move |(seq, ack, flags, len, salt): (u32, u32, u8, usize, u8)| {
        // A keepalive's garbage and a repeat with other bytes are told apart from nothing.
        Body::Tcp { seq, ack, flags, window: (seq % 700) as u16, payload: data(seq, len, salt) }
    };
    let salt = || prop_oneof![9 => Just(0_u8), 1 => Just(0x55)];
    prop_oneof![
        4 => (0..3_usize, prop_oneof![9 => Just(0_usize), 1 => Just(9)], salt())
            .prop_map(move |(i, len, salt)| segment((ISNS[i], 0, SYN, len, salt))),
        3 => (0..3_usize, 0..3_usize, prop_oneof![9 => Just(0_usize), 1 => Just(9)])
            .prop_map(move |(i, j, len)| segment((ISNS[i], ISNS[j].wrapping_add(1), SYN | ACK, len, 0))),
        4 => (seq.clone(), ack.clone(), Just(ACK), Just(0_usize), Just(0_u8)).prop_map(segment),
        8 => (seq.clone(), ack.clone(), Just(ACK), payload.clone(), salt()).prop_map(segment),
        2 => (seq.clone(), ack.clone(), Just(ACK | FIN), prop_oneof![Just(0_usize), Just(5)], salt()).prop_map(segment),
        1 => (seq.clone(), ack.clone(), Just(0_u8), payload, salt()).prop_map(segment),
        2 => (seq, ack, prop_oneof![Just(RST), Just(RST | ACK)], Just(0_usize), Just(0_u8)).prop_map(segment),
        2 => (0..3_usize).prop_map(move |i| segment((0, ISNS[i].wrapping_add(1), RST | ACK, 0, 0))),
    ]
}

/// Noise, or a DNS message of which the first ones are told as evidence; some are long enough to fill what is kept.
fn udp() -> impl Strategy<Value = Vec<u8>> {
    let dns =
        (0..4_u8, any::<bool>(), prop_oneof![3 => Just(0_usize), 1 => Just(900)]).prop_map(|(n, answer, more)| {
            let flags = if answer { 0x81 } else { 0x01 };
            let head = [0, n, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a' + n, 0, 0, 1, 0, 1];
            [&head[..], &vec![0; more]].concat()
        });
    prop_oneof![1 => (1..30_usize).prop_map(|n| vec![3; n]), 3 => dns]
}

fn packet() -> impl Strategy<Value = Pk> {
    let quoted = (prop_oneof![3 => Just(6_u8), 1 => Just(17_u8)], tuple(), any::<bool>(), 0..4_usize);
    let icmp =
        (prop_oneof![Just((3, 1)), Just((3, 3)), Just((3, 13)), Just((3, 4)), Just((11, 0)), Just((8, 0))], quoted)
            .prop_map(|((ty, code), (proto, (a, b), swap, i))| {
                let (a, b) = if swap { (b, a) } else { (a, b) };
                let seq = ISNS.get(i).copied().unwrap_or(7);
                Body::Icmp { ty, code, quoted: (ty != 8).then_some((proto, a, b, seq)) }
            });
    let body = prop_oneof![
        12 => tcp(),
        3 => udp().prop_map(|payload| Body::Udp { payload }),
        2 => icmp,
        1 => (0..2_u16).prop_map(|id| Body::First { id }),
        2 => (0..2_u16).prop_map(|id| Body::Later { id }),
    ];
    let vlan = prop_oneof![8 => Just(None), 1 => (1..9_u16).prop_map(Some)];
    (tuple(), any::<bool>(), body, vlan, 60..64_u8).prop_map(|((a, b), swap, body, vlan, ttl)| {
        let (src, dst) = if swap { (b, a) } else { (a, b) };
        Pk { at: 0, src, dst, ttl, vlan, body }
    })
}

/// Up to `max` packets in file order; time mostly grows.
pub fn packets(max: usize) -> impl Strategy<Value = Vec<Pk>> {
    prop::collection::vec((packet(), gap()), 1..max).prop_map(|list| {
        let mut at = 1_000_000 * S;
        list.into_iter()
            .map(|(p, gap)| {
                at += gap;
                Pk { at, ..p }
            })
            .collect()
    })
}
