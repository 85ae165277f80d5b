//! The short way of plain packets changes nothing: a stretch read with it equals the same stretch read the long way.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may stop at the first surprise"
)]

mod synth;

use portwitness::base::{FrameRef, InputId, Stamp, Time};
use portwitness::capture::{Frame, LinkType};
use portwitness::observe::{Observation, Partial, Place};
use portwitness::packet::decode;
use proptest::prelude::*;
use synth::steps::{Shot, play, step};
use synth::{ACK, MS, Pk, S};

fn frame<'a>((data, at, interface): &'a Shot, number: u64) -> Frame<'a> {
    let (time, original_len) = (Time::from_nanos(*at), data.len() as u32);
    Frame { time, input: InputId(0), number, interface: *interface, link: LinkType::ETHERNET, data, original_len }
}

fn short(shots: &[Shot]) -> Partial {
    let mut partial = Partial::default();
    (1..).zip(shots).for_each(|(n, shot)| partial.frame(&frame(shot, n)));
    partial.set_frames(InputId(0), shots.len() as u64);
    partial
}

/// Every packet decoded in general and added in general.
fn long(shots: &[Shot]) -> Observation {
    let mut partial = Partial::default();
    for (n, shot) in (1..).zip(shots) {
        let frame = frame(shot, n);
        let decoded = decode(&frame);
        let at = Stamp { time: frame.time, at: FrameRef { input: frame.input, frame: n } };
        partial.packet(Place { at, interface: frame.interface, carried: 0 }, &decoded.packet.unwrap());
    }
    partial.set_frames(InputId(0), shots.len() as u64);
    partial.finish(Vec::new(), Vec::new())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_short_way_ends_where_the_long_one_does(steps in prop::collection::vec(step(1, 3), 1..400)) {
        let shots = play(&steps);
        prop_assert_eq!(short(&shots).finish(Vec::new(), Vec::new()), long(&shots));
    }

    #[test]
    fn so_it_does_in_stretches(steps in prop::collection::vec(step(1, 3), 1..400), cut in any::<usize>()) {
        let shots = play(&steps);
        let (early, late) = shots.split_at(cut % (shots.len() + 1));
        let mut cut = short(early);
        cut.append(short(late));
        let (cut, whole) = (cut.finish(Vec::new(), Vec::new()), long(&shots));
        let exact = |o: &Observation| o.flows.iter().flat_map(|f| &f.ends).all(|e| !e.approximate);
        prop_assume!(exact(&cut) && exact(&whole));
        prop_assert_eq!(cut, whole);
    }
}

#[test]
fn long_streams_beyond_half_the_sequence_space_keep_their_counts() {
    // Segments as offload makes them, so that a few thousand of them go round.
    let mut shots = Vec::new();
    let (mut seq, mut at) = (u32::MAX - 100_000, 1_000_000 * S);
    let big = vec![9; 65_000];
    for n in 0..140_000_u32 {
        at += MS / 100;
        let pk = if n % 2 == 0 {
            let pk = Pk::tcp(at, (1, 50_000), (2, 445), ACK, seq, 7, &big);
            seq = seq.wrapping_add(65_000);
            pk
        } else {
            Pk::tcp(at, (2, 445), (1, 50_000), ACK, 7, seq, b"")
        };
        let mut data = pk.frame();
        let wire = data.len() as u32;
        data.truncate(80);
        shots.push((data, at, wire));
    }
    let read = |short: bool| {
        let mut partial = Partial::default();
        for (n, (data, at, wire)) in (1..).zip(&shots) {
            let time = Time::from_nanos(*at);
            let (input, link) = (InputId(0), LinkType::ETHERNET);
            let f = Frame { time, input, number: n, interface: 0, link, data, original_len: *wire };
            if short {
                partial.frame(&f);
            } else {
                let stamp = Stamp { time: f.time, at: FrameRef { input: f.input, frame: n } };
                partial.packet(Place { at: stamp, interface: 0, carried: 0 }, &decode(&f).packet.unwrap());
            }
        }
        partial.finish(Vec::new(), Vec::new())
    };
    let seen = read(true);
    assert_eq!(seen, read(false));
    assert_eq!((seen.flows[0].ends[0].payload_bytes, seen.flows[0].ends[0].retransmitted), (70_000 * 65_000, 0));
}
