//! What becomes of connections after their handshake: each outcome at its boundaries, and the ordinary ends that are none.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

mod synth;

use portwitness::base::{InputId, Known, PortSet, Time};
use portwitness::flow::{After, Break, Side, after, orient};
use portwitness::observe::{Hole, InputSummary, Observation};
use synth::{ACK, FIN, MS, Pk, RST, S, SYN, partial};

const C: (u8, u16) = (1, 50_000);
const V: (u8, u16) = (2, 445);
/// The client's first sequence number and the server's.
const I: u32 = 1_000;
const J: u32 = 90_000;
/// Payload of a full-sized segment.
const FULL: usize = 1460;

fn c(at: i64, flags: u8, seq: u32, ack: u32, len: usize) -> Pk {
    Pk::tcp(at, C, V, flags, I + 1 + seq, J + 1 + ack, &vec![7; len])
}
fn v(at: i64, flags: u8, seq: u32, ack: u32, len: usize) -> Pk {
    Pk::tcp(at, V, C, flags, J + 1 + seq, I + 1 + ack, &vec![7; len])
}
fn window(mut p: Pk, to: u16) -> Pk {
    if let synth::Body::Tcp { window, .. } = &mut p.body {
        *window = to;
    }
    p
}

/// A handshake, a request of 100 bytes and an answer of 50.
fn talk() -> Vec<Pk> {
    vec![
        Pk::tcp(0, C, V, SYN, I, 0, b""),
        Pk::tcp(MS, V, C, SYN | ACK, J, I + 1, b""),
        c(2 * MS, ACK, 0, 0, 0),
        c(3 * MS, ACK, 0, 0, 100),
        v(4 * MS, ACK, 0, 100, 50),
        c(5 * MS, ACK, 100, 50, 0),
    ]
}

fn seen(packets: &[Pk], end: i64) -> Observation {
    let input = InputSummary {
        first: Some(Time::from_nanos(0)),
        last: Some(Time::from_nanos(end)),
        ..InputSummary::unread(InputId(0), "hand")
    };
    assert_eq!(input.loss_kernel, Known::Unknown);
    let seen = partial(packets).finish(vec![input], vec![]);
    for cut in 0..=packets.len() {
        let mut left = partial(&packets[..cut]);
        left.append(partial(&packets[cut..]));
        assert_eq!(left.finish(seen.inputs.clone(), vec![]), seen, "cut before packet {cut}");
    }
    seen
}

fn judged(seen: &Observation) -> Option<After> {
    let flow = &seen.flows[0];
    after(flow, &orient(flow, &PortSet::none()), &|t| seen.open_after(t))
}

/// After the packets, the capture going on for an hour.
fn told(more: &[Pk]) -> Option<After> {
    judged(&seen(&[&talk()[..], more].concat(), 3600 * S))
}

fn what(more: &[Pk]) -> Option<Break> {
    told(more).map(|a| a.what)
}

/// The same segment at these milliseconds.
fn again(times: &[i64], seq: u32, len: usize) -> Vec<Pk> {
    times.iter().map(|t| c(t * MS, ACK, seq, 50, len)).collect()
}

/// As Linux repeats.
const BACKOFF: [i64; 6] = [1000, 1200, 1600, 2400, 4000, 7200];

#[test]
fn the_same_bytes_again_and_again_without_an_acknowledgement_are_a_stall() {
    let a = told(&again(&BACKOFF, 100, 80)).unwrap();
    assert_eq!((a.what, a.side, a.early, a.seq), (Break::Stalled, Side::A, true, Some(I + 101)));
    assert_eq!(
        a.reason,
        "10.0.0.1 sent the same 80 bytes 5 times more within 6.0 s, and 10.0.0.2 never acknowledged them"
    );
    assert_eq!((a.first.time, a.last.time), (Time::from_nanos(1200 * MS), Time::from_nanos(7200 * MS)));
    assert_eq!(a.carried, 150);
}

#[test]
fn a_stall_needs_three_sendings_again_over_three_seconds() {
    assert_eq!(what(&again(&[1000, 1200, 2400, 4199], 100, 80)), None);
    assert_eq!(what(&again(&[1000, 1200, 2400, 4200], 100, 80)), Some(Break::Stalled));
    assert_eq!(what(&again(&[1000, 1200, 9000], 100, 80)), None, "twice only");
}

#[test]
fn a_stall_that_recovered_is_history() {
    let mut packets = again(&BACKOFF, 100, 80);
    packets.push(v(7201 * MS, ACK, 50, 180, 0));
    assert_eq!(what(&packets), None);
    // An acknowledgement of a part is an advance, too.
    packets.pop();
    packets.push(v(7201 * MS, ACK, 50, 180, 0));
    packets.extend(again(&[8000, 8300], 180, 80));
    assert_eq!(what(&packets), None);
}

#[test]
fn a_stall_needs_a_capture_that_goes_on_or_a_side_that_gave_up() {
    let packets = [talk(), again(&BACKOFF, 100, 80)].concat();
    // The next sending was due 6.4 seconds after the last one, at the latest.
    assert_eq!(judged(&seen(&packets, 7200 * MS + 6400 * MS - 1)), None);
    assert_eq!(judged(&seen(&packets, 7200 * MS + 6400 * MS)).map(|a| a.what), Some(Break::Stalled));
    let gave_up = [packets, vec![c(8 * S, RST | ACK, 180, 50, 0)]].concat();
    assert_eq!(judged(&seen(&gave_up, 8 * S)).map(|a| a.what), Some(Break::Stalled));
}

#[test]
fn a_hole_in_the_capture_may_hide_the_acknowledgement() {
    let mut seen = seen(&[talk(), again(&BACKOFF, 100, 80)].concat(), 3600 * S);
    seen.holes.push(Hole { from: Time::from_nanos(2 * S), to: Time::from_nanos(3 * S) });
    assert_eq!(judged(&seen), None);
    seen.holes = vec![Hole { from: Time::from_nanos(0), to: Time::from_nanos(S) }];
    assert_eq!(judged(&seen).map(|a| a.what), Some(Break::Stalled));
}

#[test]
fn copies_of_a_packet_are_not_sendings() {
    // One segment as six components of a host show it, and once more after two seconds; then it is acknowledged no more.
    let copies = |at: i64| (0..6).map(move |n| at * 1000 + n);
    let packets: Vec<Pk> = copies(1000).chain(copies(4500)).map(|t| c(t * MS / 1000, ACK, 100, 50, 80)).collect();
    assert_eq!(what(&packets), None);
    let ttl: Vec<Pk> =
        again(&[1000, 1001, 4200, 4201], 100, 80).into_iter().zip([64, 63, 64, 63]).map(|(p, t)| p.ttl(t)).collect();
    assert_eq!(what(&ttl), None);
}

#[test]
fn keepalives_are_not_data() {
    let probes: Vec<Pk> = (1..20).map(|n| c(n * S, ACK, 99, 50, 1)).collect();
    assert_eq!(what(&probes), None, "of one byte that is acknowledged already");
    let bare: Vec<Pk> = (1..20).map(|n| c(n * S, ACK, 99, 50, 0)).collect();
    assert_eq!(what(&bare), None, "of none");
}

#[test]
fn a_closed_window_is_the_peer_and_no_stall() {
    let mut packets = vec![window(v(500 * MS, ACK, 50, 100, 0), 0)];
    packets.extend(again(&BACKOFF, 100, 1));
    packets.push(window(v(7300 * MS, ACK, 50, 100, 0), 0));
    let a = told(&packets).unwrap();
    assert_eq!((a.what, a.side, a.early), (Break::ZeroWindow, Side::B, false));
    packets.push(v(8 * S, ACK, 50, 101, 0));
    assert_eq!(what(&packets), None, "it opened again");
}

#[test]
fn bulk_sent_again_under_loss_is_no_stall() {
    let mut packets = Vec::new();
    for n in 0..200_u32 {
        let t = 1000 + i64::from(n) * 100;
        packets.push(c(t * MS, ACK, 100 + n * 1460, 50, FULL));
        if n % 5 == 4 {
            packets.push(c((t + 50) * MS, ACK, 100 + (n - 3) * 1460, 50, FULL));
            packets.push(v((t + 60) * MS, ACK, 50, 100 + (n + 1) * 1460, 0));
        }
    }
    assert_eq!(what(&packets), None);
}

#[test]
fn one_direction_alone_proves_nothing() {
    let only: Vec<Pk> = [talk(), again(&BACKOFF, 100, 80)].concat().into_iter().filter(|p| p.src == C).collect();
    assert_eq!(judged(&seen(&only, 3600 * S)), None);
    let other_vlan: Vec<Pk> = [talk(), again(&BACKOFF, 100, 80)]
        .concat()
        .into_iter()
        .map(|p| if p.src == V { p.vlan(7) } else { p })
        .collect();
    assert_eq!(judged(&seen(&other_vlan, 3600 * S)), None, "answers were never seen in that lane");
}

#[test]
fn full_size_that_never_arrives_while_smaller_does_is_a_black_hole() {
    let mut packets = again(&BACKOFF, 100, FULL);
    packets.push(v(9 * S, ACK, 50, 100, 0));
    let a = told(&packets).unwrap();
    assert_eq!((a.what, a.side, a.early), (Break::MtuBlackHole, Side::A, true));
    assert!(a.reason.ends_with("No ICMP message that they are too long was seen here"), "{}", a.reason);
    // Without a word of the peer it may as well be gone.
    packets.pop();
    assert_eq!(what(&packets), Some(Break::Stalled));
}

#[test]
fn an_icmp_message_that_was_not_obeyed_is_named() {
    let mut packets = again(&BACKOFF, 100, FULL);
    packets.insert(1, Pk::icmp(1001 * MS, 254, 1, 3, 4, Some((6, C, V, I + 101))));
    packets.push(v(9 * S, ACK, 50, 100, 0));
    let a = told(&packets).unwrap();
    assert!(a.reason.contains("10.0.0.254 said that they are too long (ICMP 3/4), to no effect"), "{}", a.reason);
}

#[test]
fn where_full_size_passed_before_it_is_only_a_stall() {
    let mut packets = vec![c(500 * MS, ACK, 100, 50, FULL), v(501 * MS, ACK, 50, 1560, 0)];
    packets.extend(again(&BACKOFF, 1560, FULL));
    packets.push(v(9 * S, ACK, 50, 1560, 0));
    let a = told(&packets).unwrap();
    assert_eq!(a.what, Break::Stalled);
    assert!(a.reason.ends_with(", whose own packets still came"), "{}", a.reason);
}

/// What the receiver sees of a black hole: a small segment behind bytes that never come.
fn behind(len: usize, last_word: i64) -> Vec<Pk> {
    vec![
        c(S, ACK, 100 + FULL as u32, 50, len),
        v(S + MS, ACK, 50, 100, 0),
        v(last_word, ACK | FIN, 50, 100, 0),
        c(last_word + MS, ACK, 100 + (FULL + len) as u32, 51, 0),
    ]
}

#[test]
fn the_receiver_sees_a_black_hole_as_bytes_that_never_come() {
    let a = told(&behind(540, 11 * S)).unwrap();
    assert_eq!((a.what, a.side, a.seq), (Break::MtuBlackHole, Side::A, Some(I + 101)));
    assert!(
        a.reason.starts_with("1460 bytes from 10.0.0.1 never arrived, though later ones did; 10.0.0.2 was still waiting for them 10.0 s later"),
        "{}",
        a.reason
    );
    assert_eq!(what(&behind(540, 3 * S)), None, "two seconds are no time");
    assert_eq!(what(&behind(FULL, 11 * S)), Some(Break::Stalled), "full size does get through");
}

#[test]
fn bytes_this_capture_missed_are_no_hole() {
    let mut packets = behind(540, 11 * S);
    packets[2] = v(11 * S, ACK | FIN, 50, 2100, 0);
    assert_eq!(what(&packets), None, "the peer has them");
    let mut packets = behind(540, 11 * S);
    packets.insert(2, c(1300 * MS, ACK, 100, 50, FULL));
    assert_eq!(what(&packets), None, "sent again, and it arrives here");
}

#[test]
fn data_after_a_long_silence_that_meets_nothing_is_an_idle_cut() {
    let late = |t: &[i64]| -> Vec<Pk> { again(&t.iter().map(|t| t + 1_900_000).collect::<Vec<_>>(), 100, 80) };
    let a = told(&late(&BACKOFF)).unwrap();
    assert_eq!((a.what, a.early), (Break::IdleCut, false));
    assert!(a.reason.starts_with("after 31 min without a packet 10.0.0.1 sent the same 80 bytes"), "{}", a.reason);
    let mut alive = late(&BACKOFF);
    alive.insert(1, v(1_901_100 * MS, ACK, 50, 100, 30));
    assert_eq!(what(&alive), Some(Break::Stalled), "the peer still sends: the connection is known");
    // The long waits of a sender that gets no answer are no silence before it.
    let waits = [1000, 1200, 1600, 2400, 4000, 7200, 20_000, 70_000, 150_000, 270_000, 390_000];
    assert_eq!(what(&again(&waits, 100, 80)), Some(Break::Stalled));
    assert_eq!(what(&late(&waits)), Some(Break::IdleCut));
}

#[test]
fn a_reset_that_knows_of_no_connection_after_a_long_silence_is_an_idle_cut() {
    let cut = [c(900 * S, ACK, 100, 50, 80), v(900 * S + MS, RST, 50, 0, 0)];
    assert_eq!(what(&cut), Some(Break::IdleCut));
    let closed = [v(900 * S, RST | ACK, 50, 100, 0)];
    assert_eq!(what(&closed), None, "a server that closes what is idle");
}

#[test]
fn a_reset_that_knows_of_no_connection_in_the_middle_of_it_is_told() {
    let a = told(&[c(S, ACK, 100, 50, FULL), v(S + MS, RST, 50, 0, 0)]).unwrap();
    assert_eq!((a.what, a.side, a.early, a.device), (Break::ResetMidstream, Side::B, true, None));
    assert_eq!(a.reason, "a RST in the name of 10.0.0.2 met 1460 bytes that 10.0.0.1 had sent");
}

#[test]
fn a_reset_whose_ttl_does_not_fit_is_told_whatever_it_acknowledges() {
    let a = told(&[c(S, ACK, 100, 50, 80), v(S + MS, RST | ACK, 50, 180, 0).ttl(250)]).unwrap();
    assert_eq!((a.what, a.device), (Break::ResetMidstream, Some((250, (64, 64)))));
    assert!(a.reason.contains("consistent with a device in the path"), "{}", a.reason);
    // Also towards the server, in the client's name.
    let a = told(&[v(S, ACK, 50, 100, 80), c(S + MS, RST | ACK, 100, 50, 0).ttl(250)]).unwrap();
    assert_eq!((a.what, a.side), (Break::ResetMidstream, Side::A));
}

#[test]
fn ordinary_ends_are_no_failure() {
    let ends: [(&str, Vec<Pk>); 9] = [
        ("a client that resets after its last answer", vec![c(S, RST | ACK, 100, 50, 0)]),
        ("a server that resets when all is acknowledged", vec![v(S, RST | ACK, 50, 100, 0)]),
        ("a bare RST when all is acknowledged", vec![v(S, RST, 50, 0, 0)]),
        (
            "FINs both ways, then a RST",
            vec![c(S, ACK | FIN, 100, 50, 0), v(S + MS, ACK | FIN, 50, 101, 0), c(S + 2 * MS, RST, 101, 0, 0)],
        ),
        (
            "data that meets a closed socket",
            vec![c(S, ACK | FIN, 100, 50, 0), v(S + MS, ACK, 50, 101, 200), c(S + 2 * MS, RST, 101, 0, 0)],
        ),
        (
            "a client that gives up a download",
            vec![
                v(S, ACK, 50, 100, FULL),
                v(S + MS, ACK, 50 + FULL as u32, 100, FULL),
                c(S + 2 * MS, RST | ACK, 100, 50, 0),
                v(S + 3 * MS, ACK, 50 + 2 * FULL as u32, 100, FULL),
                c(S + 4 * MS, RST, 100, 0, 0),
            ],
        ),
        (
            "a server that closes with unread data",
            vec![
                c(S, ACK, 100, 50, FULL),
                c(S + MS, ACK, 100 + FULL as u32, 50, FULL),
                v(S + 2 * MS, RST | ACK, 50, 100 + FULL as u32, 0),
                c(S + 3 * MS, ACK, 100 + 2 * FULL as u32, 50, FULL),
                v(S + 4 * MS, RST, 50, 0, 0),
            ],
        ),
        (
            "a server that answers and resets before the answer is acknowledged",
            vec![c(S, ACK, 100, 50, 80), v(S + MS, ACK, 50, 180, 900), v(S + 2 * MS, RST | ACK, 950, 180, 0)],
        ),
        (
            "a RST outside the window, which nobody heeds",
            vec![
                c(S, ACK, 100, 50, 80),
                v(S + MS, RST, 50, 0, 0),
                v(S + 10 * MS, ACK, 50, 180, 10),
                c(4 * S, ACK, 180, 60, 80),
                v(4 * S + MS, ACK, 60, 260, 10),
            ],
        ),
    ];
    for (name, packets) in ends {
        assert_eq!(told(&packets), None, "{name}");
    }
}

#[test]
fn a_server_whose_fin_this_capture_missed_did_not_reset_in_midstream() {
    // The client has acknowledged one number more than was seen: the FIN's.
    let packets = [c(S, ACK, 100, 51, 0), c(S + MS, ACK, 100, 51, 80), v(S + 2 * MS, RST, 51, 0, 0)];
    assert_eq!(what(&packets), None);
}

#[test]
fn a_handshake_and_a_reset_without_a_byte_are_left_to_the_handshake_warning() {
    let packets = [talk()[..3].to_vec(), vec![v(S, RST | ACK, 0, 0, 0)]].concat();
    assert_eq!(judged(&seen(&packets, 3600 * S)), None);
}

#[test]
fn a_stall_of_data_that_a_closed_peer_will_not_take_is_none() {
    let mut packets = vec![v(500 * MS, ACK | FIN, 50, 100, 0)];
    packets.extend(again(&BACKOFF, 100, 80));
    assert_eq!(what(&packets), None);
}

#[test]
fn what_had_carried_its_load_did_not_break_early() {
    let mut packets = Vec::new();
    for n in 0..60_u32 {
        let t = 100 + i64::from(n);
        packets.push(c(t * MS, ACK, 100 + n * 1460, 50, FULL));
        packets.push(v(t * MS + 1000, ACK, 50, 100 + (n + 1) * 1460, 0));
    }
    packets.extend(again(&BACKOFF, 100 + 60 * 1460, 900));
    let a = told(&packets).unwrap();
    assert_eq!((a.what, a.early, a.carried), (Break::Stalled, false, 60 * 1460 + 150));
}
