//! Every attempt outcome, at its boundaries, from packets.
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

use portwitness::base::{InputId, Known, PortSet, Span, Time};
use portwitness::flow::{Attempt, AttemptContext, Cause, Flow, Outcome, Warning, attempt, orient};
use portwitness::observe::{Hole, InputSummary, Observation, PairIndex};
use synth::{ACK, FIN, MS, Pk, RST, S, SYN, addr, partial};

const C: (u8, u16) = (1, 50_000);
const V: (u8, u16) = (2, 445);
/// The client's first sequence number and the server's.
const I: u32 = 1_000;
const J: u32 = 90_000;

fn syn(at: i64) -> Pk {
    Pk::tcp(at, C, V, SYN, I, 0, b"")
}
fn syn_ack(at: i64) -> Pk {
    Pk::tcp(at, V, C, SYN | ACK, J, I + 1, b"")
}
fn third(at: i64) -> Pk {
    Pk::tcp(at, C, V, ACK, I + 1, J + 1, b"")
}
fn rst(at: i64, ack: u32) -> Pk {
    Pk::tcp(at, V, C, RST | ACK, 0, ack, b"")
}
/// Something else the server sends to the client: proof of a return path.
fn elsewhere(at: i64) -> Pk {
    Pk::udp(at, (2, 53), (1, 40_000), b"x")
}
fn icmp(at: i64, ty: u8, code: u8) -> Pk {
    Pk::icmp(at, 254, 1, ty, code, Some((6, C, V, I)))
}

fn input(first: i64, last: i64) -> InputSummary {
    InputSummary {
        input: InputId(0),
        name: "hand".into(),
        format: "pcap".into(),
        sha256: Known::Unknown,
        linktypes: vec![],
        packets: 0,
        bytes: 0,
        first: Some(Time::from_nanos(first)),
        last: Some(Time::from_nanos(last)),
        loss_kernel: Known::Unknown,
        loss_interface: Known::Unknown,
        filter: Known::Unknown,
        snaplen: Known::Unknown,
        cut_frames: 0,
        damaged_at: None,
        host: None,
    }
}

fn seen_until(packets: &[Pk], end: i64) -> Observation {
    partial(packets).finish(vec![input(0, end)], vec![])
}

/// All attempts from C to V, in order.
fn judged(seen: &Observation, at_originator: Known<bool>) -> Vec<Attempt> {
    let index = PairIndex::new(seen);
    let is_it = |f: &&Flow| f.key.ends.iter().any(|e| (e.addr, e.port) == (addr(C.0), C.1));
    let judge = |f: &Flow| {
        let direction = orient(f, &PortSet::none());
        attempt(f, &direction, &|| index.context(seen, f, &direction, at_originator))
    };
    seen.flows.iter().filter(is_it).map(judge).collect()
}

/// The only attempt, the capture going on for an hour.
fn outcome(packets: &[Pk]) -> Attempt {
    let mut all = judged(&seen_until(packets, 3600 * S), Known::Unknown);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn a_handshake_is_established_and_warns_while_the_responder_has_sent_no_payload() {
    let shake = [syn(0), syn_ack(MS), third(2 * MS)];
    let a = outcome(&shake);
    assert_eq!((a.outcome, a.warnings.as_slice()), (Outcome::Established, &[Warning::HandshakeOnly][..]));
    assert_eq!(a.decided.unwrap().time, Time::from_nanos(2 * MS));
    let banner = Pk::tcp(3 * MS, V, C, ACK, J + 1, I + 1, b"220");
    let a = outcome(&[&shake[..], &[banner]].concat());
    assert_eq!((a.outcome, a.warnings.len()), (Outcome::Established, 0));
}

#[test]
fn a_completed_handshake_is_established_whatever_ended_it() {
    let reset = Pk::tcp(3 * MS, V, C, RST | ACK, J + 1, I + 1, b"");
    assert_eq!(outcome(&[syn(0), syn_ack(MS), third(2 * MS), reset]).outcome, Outcome::Established);
}

#[test]
fn acknowledged_payload_establishes_where_the_third_step_was_missed() {
    let data = Pk::tcp(2 * MS, V, C, ACK, J + 1, I + 1, b"220");
    let late = Pk::tcp(3 * MS, C, V, FIN | ACK, I + 1, J + 4, b"");
    assert_eq!(outcome(&[syn(0), syn_ack(MS), data, late]).outcome, Outcome::Established);
    // Only the responder's direction was captured: its acknowledgement of data nobody saw is not enough.
    let one_sided = [syn_ack(MS), Pk::tcp(2 * MS, V, C, ACK, J + 1, I + 40, b"")];
    assert_eq!(outcome(&one_sided).outcome, Outcome::Undetermined);
}

#[test]
fn an_old_acknowledgement_below_the_new_isn_establishes_nothing() {
    let old = Pk::tcp(MS, C, V, ACK, I - 500, J + 1, b"");
    assert_eq!(outcome(&[syn(0), old]).outcome, Outcome::Undetermined);
    let exactly = Pk::tcp(MS, C, V, ACK, I, J + 1, b"");
    assert_eq!(outcome(&[syn(0), exactly]).outcome, Outcome::Undetermined, "ISN itself is not beyond the SYN");
}

#[test]
fn only_a_rst_that_acknowledges_the_syn_refuses() {
    let a = outcome(&[syn(0), rst(MS, I + 1)]);
    assert_eq!(a.outcome, Outcome::Refused);
    assert_eq!(a.cause, Some(Cause::Reset { reporter: addr(2), ttl: 64, host_ttl: None }));
    let a = outcome(&[syn(0), rst(MS, I + 2)]);
    assert_eq!((a.outcome, a.reason.contains("does not acknowledge")), (Outcome::Undetermined, true));
    let bare = Pk::tcp(MS, V, C, RST, 0, 0, b"");
    assert_eq!(outcome(&[syn(0), bare]).outcome, Outcome::Undetermined);
}

#[test]
fn a_rst_may_acknowledge_the_payload_of_a_fast_open_syn_too() {
    let tfo = Pk::tcp(0, C, V, SYN, I, 0, b"hello");
    for (ack, expected) in [
        (I + 1, Outcome::Refused),
        (I + 6, Outcome::Refused),
        (I + 5, Outcome::Undetermined),
        (I + 7, Outcome::Undetermined),
    ] {
        assert_eq!(outcome(&[tfo.clone(), rst(MS, ack)]).outcome, expected, "ack ISN + {}", ack - I);
    }
}

#[test]
fn fast_open_data_acknowledged_by_the_syn_ack_is_established() {
    let tfo = Pk::tcp(0, C, V, SYN, I, 0, b"hello");
    let all = Pk::tcp(MS, V, C, SYN | ACK, J, I + 6, b"");
    assert_eq!(outcome(&[tfo.clone(), all]).outcome, Outcome::Established);
    assert_eq!(outcome(&[tfo, syn_ack(MS)]).outcome, Outcome::Undetermined, "the server took no data");
}

#[test]
fn a_rst_with_a_foreign_ttl_is_consistent_with_a_device_in_the_path() {
    let other = elsewhere(5 * MS).ttl(127);
    let a = outcome(&[syn(0), rst(MS, I + 1).ttl(64), other.clone()]);
    assert_eq!(a.cause, Some(Cause::Reset { reporter: addr(2), ttl: 64, host_ttl: Some((127, 127)) }));
    assert!(a.reason.contains("consistent with a device in the path"), "{}", a.reason);
    let a = outcome(&[syn(0), rst(MS, I + 1).ttl(127), other]);
    assert_eq!(a.cause, Some(Cause::Reset { reporter: addr(2), ttl: 127, host_ttl: None }));
}

#[test]
fn icmp_errors_mean_what_the_table_says() {
    for (ty, code, expected) in [
        (3, 2, Outcome::Refused),
        (3, 3, Outcome::Refused),
        (3, 9, Outcome::Prohibited),
        (3, 10, Outcome::Prohibited),
        (3, 13, Outcome::Prohibited),
        (3, 0, Outcome::Unreachable),
        (3, 1, Outcome::Unreachable),
        (11, 0, Outcome::Unreachable),
        (3, 4, Outcome::Undetermined),
        (5, 1, Outcome::Undetermined),
    ] {
        let a = outcome(&[syn(0), icmp(MS, ty, code)]);
        assert_eq!(a.outcome, expected, "ICMP {ty}/{code}");
        if expected != Outcome::Undetermined {
            assert_eq!(a.cause, Some(Cause::Icmp { reporter: addr(254), v6: false, ty, code }));
        }
    }
}

#[test]
fn refusal_goes_before_prohibition_and_prohibition_before_unreachability() {
    assert_eq!(outcome(&[syn(0), icmp(MS, 3, 1), icmp(2 * MS, 3, 13)]).outcome, Outcome::Prohibited);
    assert_eq!(outcome(&[syn(0), icmp(MS, 3, 13), rst(2 * MS, I + 1)]).outcome, Outcome::Refused);
}

#[test]
fn an_icmp_error_about_other_bytes_or_the_other_side_is_not_about_the_attempt() {
    let data = Pk::icmp(MS, 254, 1, 3, 13, Some((6, C, V, I + 700)));
    assert_eq!(outcome(&[syn(0), data]).outcome, Outcome::Undetermined);
    let answer = Pk::icmp(2 * MS, 254, 2, 3, 13, Some((6, V, C, J)));
    assert_eq!(outcome(&[syn(0), syn_ack(MS), answer]).outcome, Outcome::Undetermined);
}

#[test]
fn half_open_needs_a_repetition() {
    assert_eq!(outcome(&[syn(0), syn_ack(MS)]).outcome, Outcome::Undetermined);
    assert_eq!(outcome(&[syn(0), syn_ack(MS), syn_ack(S)]).outcome, Outcome::HalfOpen);
    assert_eq!(outcome(&[syn(0), syn_ack(MS), syn(S)]).outcome, Outcome::HalfOpen);
    let copies: Vec<Pk> = (0..5).map(|n| syn_ack(MS + n * 1000)).collect();
    assert_eq!(outcome(&[&[syn(0)][..], &copies].concat()).outcome, Outcome::Undetermined, "copies on a mirror port");
    assert_eq!(outcome(&[&[syn(0)][..], &copies, &[syn_ack(S)]].concat()).outcome, Outcome::HalfOpen);
}

#[test]
fn syn_cookies_vary_the_answer_and_split_nothing() {
    let cookie = Pk::tcp(S, V, C, SYN | ACK, J + 77, I + 1, b"");
    let done = Pk::tcp(S + MS, C, V, ACK, I + 1, J + 78, b"");
    let a = outcome(&[syn(0), syn_ack(MS), cookie, done]);
    assert_eq!(a.outcome, Outcome::Established);
}

#[test]
fn a_reset_by_the_originator_withdraws_its_syn() {
    let own = Pk::tcp(S, C, V, RST, I + 1, 0, b"");
    assert_eq!(outcome(&[syn(0), own.clone()]).outcome, Outcome::Withdrawn);
    assert_eq!(outcome(&[syn(0), syn_ack(MS), own]).outcome, Outcome::Withdrawn, "a half-open scan");
}

#[test]
fn unanswered_needs_two_syns_at_least_200_ms_apart() {
    let a = outcome(&[elsewhere(0), syn(0), syn(199 * MS)]);
    assert_eq!((a.outcome, &*a.reason), (Outcome::Undetermined, "one SYN only"));
    assert_eq!(outcome(&[elsewhere(0), syn(0), syn(200 * MS)]).outcome, Outcome::Unanswered);
    let copies = [elsewhere(0), syn(0), syn(1000), syn(2000), syn(150 * MS)];
    assert_eq!(outcome(&copies).outcome, Outcome::Undetermined, "copies on a mirror port are one SYN");
}

#[test]
fn unanswered_needs_three_seconds_or_twice_the_last_interval_after_the_last_syn() {
    for (second, end, expected) in [
        (S, S + 3 * S - 1, Outcome::Undetermined),
        (S, S + 3 * S, Outcome::Unanswered),
        (2 * S, 2 * S + 4 * S - 1, Outcome::Undetermined),
        (2 * S, 2 * S + 4 * S, Outcome::Unanswered),
    ] {
        let seen = seen_until(&[elsewhere(0), syn(0), syn(second)], end);
        let a = judged(&seen, Known::Unknown).remove(0);
        assert_eq!(a.outcome, expected, "second SYN at {second}, capture until {end}: {}", a.reason);
    }
    let seen = seen_until(&[elsewhere(0), syn(0), syn(S)], 2 * S + 200 * MS);
    assert_eq!(
        &*judged(&seen, Known::Unknown)[0].reason,
        "the capture ended 1.2 s after the last SYN, 3.0 s are needed"
    );
}

#[test]
fn a_hole_closes_the_window() {
    let mut seen = seen_until(&[elsewhere(0), syn(0), syn(S)], 3600 * S);
    seen.holes.push(Hole { from: Time::from_nanos(2 * S), to: Time::from_nanos(3 * S) });
    let a = judged(&seen, Known::Unknown).remove(0);
    assert_eq!(
        (a.outcome, &*a.reason),
        (Outcome::Undetermined, "the capture has a hole 1.0 s after the last SYN, 3.0 s are needed")
    );
    seen.holes = vec![Hole { from: Time::from_nanos(0), to: Time::from_nanos(S) }];
    assert_eq!(
        judged(&seen, Known::Unknown)[0].outcome,
        Outcome::Unanswered,
        "a hole before the last SYN does no harm"
    );
}

#[test]
fn unanswered_needs_a_proven_return_path() {
    let syns = [syn(0), syn(S)];
    let a = outcome(&syns);
    assert_eq!(
        (a.outcome, &*a.reason),
        (Outcome::Undetermined, "no packet from 10.0.0.2 towards 10.0.0.1's side was seen: return path unproven")
    );
    // Later in the capture counts too; another VLAN, another pair or the wrong direction does not.
    let with = |p: Pk| outcome(&[&syns[..], &[p]].concat()).outcome;
    assert_eq!(with(elsewhere(9 * S)), Outcome::Unanswered);
    assert_eq!(with(elsewhere(9 * S).vlan(7)), Outcome::Undetermined);
    assert_eq!(with(Pk::udp(9 * S, (2, 53), (3, 9), b"x")), Outcome::Undetermined);
    assert_eq!(with(Pk::udp(9 * S, (1, 9), (2, 53), b"x")), Outcome::Undetermined);
}

#[test]
fn at_the_originator_both_directions_of_anything_prove_the_return_path() {
    let other = Pk::udp(9 * S, (3, 53), (1, 9), b"x");
    let seen = seen_until(&[syn(0), syn(S), other], 3600 * S);
    assert_eq!(judged(&seen, Known::Known(true))[0].outcome, Outcome::Unanswered);
    assert_eq!(judged(&seen, Known::Known(false))[0].outcome, Outcome::Undetermined);
    assert_eq!(judged(&seen, Known::Unknown)[0].outcome, Outcome::Undetermined);
    let outwards = seen_until(&[syn(0), syn(S)], 3600 * S);
    assert_eq!(judged(&outwards, Known::Known(true))[0].outcome, Outcome::Undetermined, "only one direction was seen");
}

#[test]
fn windows_repeating_its_syn_within_a_second_of_the_rst_is_one_attempt() {
    let again = |at, isn| Pk::tcp(at, C, V, SYN, isn, 0, b"");
    let within = [syn(0), rst(MS, I + 1), again(MS + S, I + 7000), rst(MS + S + MS, I + 7001)];
    let seen = seen_until(&within, 3600 * S);
    assert_eq!((seen.flows.len(), seen.flows[0].syns.len()), (1, 2));
    assert_eq!(judged(&seen, Known::Unknown)[0].outcome, Outcome::Refused);
    let after = [syn(0), rst(MS, I + 1), again(MS + S + 1, I + 7000)];
    assert_eq!(seen_until(&after, 3600 * S).flows.len(), 2);
    let not_refused = [syn(0), rst(MS, I + 9), again(2 * MS, I + 7000)];
    assert_eq!(seen_until(&not_refused, 3600 * S).flows.len(), 2, "that RST answered something else");
}

#[test]
fn a_repetition_that_succeeds_is_established() {
    let packets = [
        syn(0),
        rst(MS, I + 1),
        Pk::tcp(500 * MS, C, V, SYN, I + 7000, 0, b""),
        Pk::tcp(501 * MS, V, C, SYN | ACK, J, I + 7001, b""),
        Pk::tcp(502 * MS, C, V, ACK, I + 7001, J + 1, b""),
    ];
    assert_eq!(outcome(&packets).outcome, Outcome::Established);
}

#[test]
fn a_port_used_again_with_a_new_isn_is_a_new_attempt() {
    let packets = [
        syn(0),
        syn_ack(MS),
        third(2 * MS),
        Pk::tcp(60 * S, C, V, SYN, I + 99_000, 0, b""),
        Pk::tcp(60 * S + MS, V, C, RST | ACK, 0, I + 99_001, b""),
        // A late copy of the first SYN changes nothing about the second attempt.
        syn(60 * S + 2 * MS),
    ];
    let seen = seen_until(&packets, 3600 * S);
    let outcomes: Vec<Outcome> = judged(&seen, Known::Unknown).iter().map(|a| a.outcome).collect();
    assert_eq!(outcomes, [Outcome::Established, Outcome::Refused]);
    assert_eq!(seen.flows.iter().map(|f| (f.ordinal, f.syns[0].count)).collect::<Vec<_>>(), [(1, 2), (2, 1)]);
}

#[test]
fn icmp_errors_go_to_the_attempt_whose_number_they_quote() {
    let packets = [
        syn(0),
        Pk::tcp(10 * S, C, V, SYN, I + 99_000, 0, b""),
        icmp(10 * S + MS, 3, 1),
        Pk::icmp(10 * S + 2 * MS, 254, 1, 3, 13, Some((6, C, V, I + 99_000))),
    ];
    let outcomes: Vec<Outcome> =
        judged(&seen_until(&packets, 3600 * S), Known::Unknown).iter().map(|a| a.outcome).collect();
    assert_eq!(outcomes, [Outcome::Unreachable, Outcome::Prohibited]);
}

#[test]
fn a_connection_seen_from_the_middle_is_established_by_acknowledged_payload_only() {
    let data = Pk::tcp(0, C, V, ACK, 5_000, 9_000, b"data");
    assert_eq!(outcome(std::slice::from_ref(&data)).outcome, Outcome::Undetermined);
    let a = outcome(&[data, Pk::tcp(MS, V, C, ACK, 9_000, 5_004, b"")]);
    assert_eq!(a.outcome, Outcome::Established);
}

#[test]
fn udp_is_answered_silent_or_told_by_icmp() {
    let ask = Pk::udp(0, C, (2, 53), b"q");
    let a = |packets: &[Pk]| outcome(packets).outcome;
    assert_eq!(a(std::slice::from_ref(&ask)), Outcome::Silent);
    assert_eq!(a(&[ask.clone(), Pk::udp(MS, (2, 53), C, b"a")]), Outcome::Answered);
    let closed = Pk::icmp(MS, 2, 1, 3, 3, Some((17, C, (2, 53), 0)));
    assert_eq!(a(&[ask, closed]), Outcome::Refused);
}

#[test]
fn the_table_is_read_without_the_index_too() {
    let seen = seen_until(&[syn(0), syn(S)], 3600 * S);
    let direction = orient(&seen.flows[0], &PortSet::none());
    let context =
        AttemptContext { open: Span::from_secs(3), hole: false, return_path: true, errors_cut: false, resp_ttl: None };
    let a = attempt(&seen.flows[0], &direction, &|| context);
    assert_eq!(
        (a.outcome, a.first, a.decided.unwrap().time),
        (Outcome::Unanswered, seen.flows[0].first, Time::from_nanos(S))
    );
}
