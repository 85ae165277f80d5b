//! Packets captured more than once are told, whichever way the capture is cut, and change no attempt.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's own small numbers")]

mod synth;

use portwitness::base::{InputId, Known, PortSet, Problem, ProblemKind, Time};
use portwitness::capture::{Frame, LinkType};
use portwitness::flow::{Outcome, attempt, orient};
use portwitness::observe::{Observation, PairIndex, Partial};
use synth::{ACK, MS, Pk, S, SYN};

/// A packet, its IPv4 identification, and the interface that saw it.
type Shot = (Pk, u16, u32);

fn partial(shots: &[Shot]) -> Partial {
    let mut partial = Partial::default();
    for (number, (pk, id, interface)) in (1..).zip(shots) {
        let mut data = pk.frame();
        data[18..20].copy_from_slice(&id.to_be_bytes());
        let (time, len) = (Time::from_nanos(pk.at), data.len() as u32);
        let (input, link) = (InputId(0), LinkType::ETHERNET);
        partial.frame(&Frame { time, input, number, interface: *interface, link, data: &data, original_len: len });
    }
    partial.set_frames(InputId(0), shots.len() as u64);
    partial
}

fn seen(shots: &[Shot]) -> Observation {
    partial(shots).finish(Vec::new(), Vec::new())
}

fn told(seen: &Observation) -> Option<&Problem> {
    seen.problems.iter().find(|p| p.kind == ProblemKind::RepeatedPackets)
}

/// What pktmon writes: each packet once per component, a few microseconds apart, those of a burst interleaved.
fn components(packets: &[Pk], copies: i64, several_interfaces: bool) -> Vec<Shot> {
    let mut shots = Vec::new();
    for (burst, packets) in packets.chunks(3).enumerate() {
        for copy in 0..copies {
            for (n, pk) in packets.iter().enumerate() {
                let id = (burst * 3 + n + 1) as u16;
                let pk = Pk { at: pk.at + copy * 20_000, ..pk.clone() };
                shots.push((pk, id, if several_interfaces { copy as u32 } else { 0 }));
            }
        }
    }
    shots.sort_by_key(|s| s.0.at);
    shots
}

/// A handshake that works, and SYNs that nobody answers.
fn restore() -> Vec<Pk> {
    let syn = |at| Pk::tcp(at, (1, 50_001), (2, 445), SYN, 77, 0, b"");
    let mut all = vec![
        Pk::tcp(S, (1, 50_000), (2, 445), SYN, 10, 0, b""),
        Pk::tcp(S + MS, (2, 445), (1, 50_000), SYN | ACK, 20, 11, b""),
        Pk::tcp(S + 2 * MS, (1, 50_000), (2, 445), ACK, 11, 21, b"hello"),
    ];
    all.extend([syn(2 * S), syn(3 * S), syn(5 * S)]);
    all.extend((0..9).map(|n| Pk::tcp(12 * S + n * MS, (2, 445), (1, 50_000), ACK, 21, 16 + n as u32, b"")));
    all
}

fn outcomes(seen: &Observation) -> Vec<Outcome> {
    let pairs = PairIndex::new(seen);
    let of = |f| {
        let direction = orient(f, &PortSet::none());
        attempt(f, &direction, &|| pairs.context(seen, f, &direction, Known::Unknown)).outcome
    };
    seen.flows.iter().map(of).collect()
}

#[test]
fn copies_are_told_and_attempts_stay_what_they_were() {
    let once = seen(&components(&restore(), 1, false));
    assert_eq!(told(&once), None);
    for several in [false, true] {
        let seen = seen(&components(&restore(), 4, several));
        let problem = told(&seen).unwrap();
        assert_eq!((problem.count, problem.frame), (3 * 15, Some(2)), "{several}");
        assert_eq!(outcomes(&seen), outcomes(&once));
    }
}

#[test]
fn a_lone_syn_and_a_lone_answer_stay_one_however_often_they_were_captured() {
    let lone = [
        Pk::tcp(S, (1, 50_000), (2, 445), SYN, 10, 0, b""),
        Pk::tcp(2 * S, (1, 50_001), (2, 445), SYN, 30, 0, b""),
        Pk::tcp(2 * S + MS, (2, 445), (1, 50_001), SYN | ACK, 40, 31, b""),
        Pk::udp(30 * S, (2, 53), (1, 53), b"x"),
    ];
    let seen = seen(&components(&lone, 5, false));
    assert_eq!(outcomes(&seen)[..2], [Outcome::Undetermined, Outcome::Undetermined]);
}

#[test]
fn what_merely_looks_alike_is_no_copy() {
    let ack = |at| Pk::tcp(at, (1, 50_000), (2, 445), ACK, 11, 21, b"");
    let shots = |id: fn(i64) -> u16| -> Vec<Shot> { (0..30).map(|n| (ack(S + n * MS), id(n), 0)).collect() };
    assert_eq!(told(&seen(&shots(|_| 0))), None, "no identification: repeated acknowledgements");
    assert_eq!(told(&seen(&shots(|n| n as u16 + 1))), None, "sent again");
    assert_eq!(told(&seen(&shots(|_| 9))).map(|p| p.count), Some(29));
    let slow: Vec<Shot> = (0..30).map(|n| (ack(S + n * 201 * MS), 9, 0)).collect();
    assert_eq!(told(&seen(&slow)), None, "too far apart");
}

#[test]
fn it_does_not_matter_where_the_capture_is_cut() {
    let shots = components(&restore(), 3, false);
    let whole = seen(&shots);
    for a in 0..=shots.len() {
        for b in (a..=shots.len()).step_by(3) {
            let mut left = partial(&shots[..a]);
            let mut right = partial(&shots[a..b]);
            if b % 2 == 0 {
                right.append(partial(&shots[b..]));
                left.append(right);
            } else {
                left.append(right);
                left.append(partial(&shots[b..]));
            }
            assert_eq!(left.finish(Vec::new(), Vec::new()).problems, whole.problems, "{a} {b}");
        }
    }
}
