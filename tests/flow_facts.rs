//! Facts of flows: instances, sequence bookkeeping, evidence, fragments, ICMP, conn_state, inputs.
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

use portwitness::app::Speaks;
use portwitness::base::{InputId, Known, PortSet, ProblemKind, RunError, Service, Time};
use portwitness::capture::CaptureFile;
use portwitness::flow::{ConnState, Flow, Method, Side, conn_state, id, orient};
use portwitness::observe::{Hole, Observation, Options, PairIndex, observe};
use synth::{ACK, FIN, MS, Pk, RST, S, SYN, addr, observation, pcap, stamp};

const C: (u8, u16) = (1, 50_000);
const V: (u8, u16) = (2, 445);
const I: u32 = 1_000;
const J: u32 = 90_000;

fn c(at: i64, flags: u8, seq: u32, payload: &[u8]) -> Pk {
    Pk::tcp(at, C, V, flags, I.wrapping_add(seq), J + 1, payload)
}
fn v(at: i64, flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Pk {
    Pk::tcp(at, V, C, flags, J + seq, I.wrapping_add(ack), payload)
}
fn shake() -> Vec<Pk> {
    vec![c(0, SYN, 0, b""), v(MS, SYN | ACK, 0, 1, b""), c(2 * MS, ACK, 1, b"")]
}
fn with(more: &[Pk]) -> Flow {
    one(&[&shake()[..], more].concat())
}
fn one(packets: &[Pk]) -> Flow {
    let mut seen = observation(packets);
    assert_eq!(seen.flows.len(), 1);
    seen.flows.remove(0)
}
/// The client is 10.0.0.1, the lower end.
fn client(f: &Flow) -> &portwitness::flow::End {
    f.end(Side::A)
}

#[test]
fn retransmissions_are_bytes_beyond_distinct_ones() {
    let f = with(&[c(S, ACK, 1, &[1; 100]), c(2 * S, ACK, 1, &[1; 100]), c(3 * S, ACK, 51, &[1; 100])]);
    assert_eq!((client(&f).payload_bytes, client(&f).retransmitted), (300, 150));
}

#[test]
fn acknowledged_bytes_that_were_never_seen_are_counted() {
    let f = with(&[c(S, ACK, 1, &[1; 100]), v(2 * S, ACK, 1, 301, b"")]);
    assert_eq!(client(&f).unseen_acked, 200);
    let f = with(&[c(S, ACK | FIN, 1, &[1; 100]), v(2 * S, ACK, 1, 102, b"")]);
    assert_eq!(client(&f).unseen_acked, 0, "a FIN takes a number");
    let f = with(&[c(S, ACK, 1, &[1; 100]), v(2 * S, ACK, 1, 102, b"")]);
    assert_eq!(client(&f).unseen_acked, 1, "a FIN that was missed");
}

#[test]
fn sequence_numbers_wrap() {
    let near = u32::MAX - 49;
    let packets = [
        Pk::tcp(0, C, V, SYN, near - 1, 0, b""),
        Pk::tcp(1, V, C, SYN | ACK, J, near, b""),
        Pk::tcp(2, C, V, ACK, near, J + 1, &[1; 100]),
        Pk::tcp(3, V, C, ACK, J + 1, 50, b""),
        Pk::tcp(4, C, V, ACK, 50, J + 1, &[1; 100]),
        Pk::tcp(5, V, C, ACK, J + 1, 150, b""),
    ];
    let f = one(&packets);
    let facts = (client(&f).retransmitted, client(&f).unseen_acked, client(&f).payload_acked);
    assert_eq!(facts, (0, 0, Some(stamp(&packets, 4))));
}

#[test]
fn keepalives_are_neither_repeats_nor_gaps() {
    let mut packets = vec![c(S, ACK, 1, &[1; 100]), v(2 * S, ACK, 1, 101, b"")];
    for n in 0..5 {
        packets.push(c((60 + n) * S, ACK, 100, b"\0"));
        packets.push(v((60 + n) * S + MS, ACK, 1, 101, b""));
    }
    let f = with(&packets);
    assert_eq!((client(&f).retransmitted, client(&f).unseen_acked), (0, 0));
    // A connection that is idle from before the capture on.
    for probe in [&b""[..], b"\0"] {
        let idle: Vec<Pk> = (0..3).flat_map(|n| [c(n * S, ACK, 500, probe), v(n * S + MS, ACK, 9, 501, b"")]).collect();
        let f = one(&idle);
        assert_eq!((client(&f).retransmitted, client(&f).unseen_acked), (0, 0), "{probe:?}");
    }
}

#[test]
fn more_gaps_than_are_kept_make_the_counts_approximate_but_not_absurd() {
    let packets: Vec<Pk> = (0..40).map(|n| c(S + n, ACK, 1 + n as u32 * 20, &[1; 10])).collect();
    let f = with(&packets);
    assert!(client(&f).approximate);
    assert_eq!(client(&f).retransmitted, 0);
}

#[test]
fn simultaneous_open_is_one_instance() {
    let packets = [
        Pk::tcp(0, C, V, SYN, I, 0, b""),
        Pk::tcp(1, V, C, SYN, J, 0, b""),
        Pk::tcp(2, C, V, SYN | ACK, I, J + 1, b""),
        Pk::tcp(3, V, C, SYN | ACK, J, I + 1, b""),
    ];
    let f = one(&packets);
    assert_eq!(f.syns.len(), 2);
    assert_eq!(orient(&f, &PortSet::none()).orig, Side::A);
}

#[test]
fn a_syn_captured_behind_its_answer_is_one_instance() {
    let mut packets = shake();
    packets.swap(0, 1);
    let f = one(&packets);
    assert_eq!(
        (orient(&f, &PortSet::none()).method, client(&f).acked_handshake),
        (Method::Syn, Some(stamp(&packets, 3)))
    );
}

#[test]
fn udp_splits_at_60_seconds_of_silence() {
    let u = |at| Pk::udp(at, C, (2, 53), b"q");
    assert_eq!(observation(&[u(0), u(60 * S - 1)]).flows.len(), 1);
    let split = observation(&[u(0), u(60 * S)]);
    assert_eq!(split.flows.iter().map(|f| f.ordinal).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(observation(&[u(100 * S), u(0)]).flows.len(), 1, "backwards is no silence");
}

#[test]
fn names_are_community_ids_with_the_ordinal() {
    let u = |at| Pk::udp(at, C, (2, 53), b"q");
    let names: Vec<String> = observation(&[u(0), u(60 * S)]).flows.iter().map(|f| id(f).0.to_string()).collect();
    assert!(names[0].starts_with("1:") && names[0].ends_with("=.1"), "{names:?}");
    assert_eq!(names[0].replace("=.1", "=.2"), names[1]);
}

#[test]
fn evidence_needs_the_isn_to_be_from_the_start() {
    let ssh = b"SSH-2.0-OpenSSH_9.2\r\n";
    let f = with(&[v(S, ACK, 1, 1, ssh), c(2 * S, ACK, 1, b"nonsense that is no protocol at all, whatever it is")]);
    assert_eq!(f.evidence.speaks[1], Speaks::Known(portwitness::app::AppProto::Ssh));
    assert!(matches!(f.evidence.speaks[0], Speaks::Other | Speaks::Undecided), "{:?}", f.evidence);
    let f = one(&[c(2 * S, ACK, 1, b"nonsense that is no protocol at all, whatever it is")]);
    assert_eq!(f.evidence.speaks[0], Speaks::NoStart);
}

#[test]
fn fast_open_payload_is_the_streams_beginning() {
    let packets =
        [c(0, SYN, 0, b"SSH-2.0-"), v(1, SYN | ACK, 0, 9, b""), c(2, ACK, 9, b"client_1.0\r\n"), v(3, ACK, 1, 21, b"")];
    let f = one(&packets);
    assert_eq!(f.evidence.speaks[0], Speaks::Known(portwitness::app::AppProto::Ssh), "{:?}", f.evidence);
    assert_eq!((client(&f).unseen_acked, client(&f).retransmitted), (0, 0));
}

#[test]
fn later_fragments_join_the_flow_of_their_first_one() {
    let first = |at| Pk { body: synth::Body::First { id: 7 }, ..Pk::udp(at, C, (2, 53), b"") };
    let later = |at| Pk { body: synth::Body::Later { id: 7 }, ..Pk::udp(at, C, (2, 53), b"") };
    let count = |packets: &[Pk]| {
        let seen = observation(packets);
        let orphans = seen.problems.iter().find(|p| p.kind == ProblemKind::OrphanFragments).map_or(0, |p| p.count);
        (seen.flows.iter().map(|f| client(f).fragments).sum::<u64>(), orphans)
    };
    assert_eq!(count(&[first(0), later(1), later(2)]), (2, 0));
    assert_eq!(count(&[later(0), first(1)]), (1, 0), "out of order");
    assert_eq!(count(&[first(0), later(60 * S)]), (1, 0));
    assert_eq!(count(&[first(0), later(60 * S + 1)]), (0, 1), "identifications come round");
}

#[test]
fn icmp_about_a_flow_never_seen_is_a_problem_and_no_flow() {
    let seen = observation(&[Pk::icmp(0, 254, 1, 3, 13, Some((6, C, V, I)))]);
    assert_eq!(seen.flows.len(), 1, "the ICMP packet itself");
    assert_eq!((seen.problems[0].kind, seen.problems[0].detail.as_str()), (ProblemKind::OrphanIcmp, "ICMP 3/13"));
}

#[test]
fn direction_comes_from_a_syn_an_answer_a_single_service_port_or_the_first_packet() {
    let mut ports = PortSet::none();
    ports.insert(Service::parse("tcp/445").unwrap());
    let data = [v(0, ACK, 1, 1, b"x"), c(1, ACK, 1, b"y")];
    let method = |packets: &[Pk], ports: &PortSet| {
        let o = orient(&one(packets), ports);
        (o.orig, o.method, o.certain)
    };
    assert_eq!(method(&shake(), &ports), (Side::A, Method::Syn, true));
    assert_eq!(method(&shake()[1..], &ports), (Side::A, Method::SynAck, true));
    assert_eq!(method(&data, &ports), (Side::A, Method::ServicePort, false));
    assert_eq!(method(&data, &PortSet::none()), (Side::B, Method::FirstPacket, false));
    ports.insert(Service::parse("tcp/50000").unwrap());
    assert_eq!(method(&data, &ports), (Side::B, Method::FirstPacket, false), "both ends are service ports");
}

#[test]
fn conn_state_is_zeeks() {
    let state = |packets: &[Pk]| {
        let f = one(packets);
        conn_state(&f, orient(&f, &PortSet::none()).orig)
    };
    let more = |more: &[Pk]| state(&[&shake()[..], more].concat());
    let (syn, syn_ack) = (c(0, SYN, 0, b""), v(MS, SYN | ACK, 0, 1, b""));
    let (fin, end) = (c(S, FIN | ACK, 1, b""), v(2 * S, FIN | ACK, 1, 2, b""));
    let data = c(S, ACK, 1, b"x");
    assert_eq!(state(std::slice::from_ref(&syn)), ConnState::S0);
    assert_eq!(more(&[]), ConnState::S1);
    assert_eq!(more(&[fin.clone(), end.clone()]), ConnState::Sf);
    assert_eq!(state(&[syn.clone(), v(MS, RST | ACK, 0, 1, b"")]), ConnState::Rej);
    assert_eq!(more(&[c(S, RST, 1, b""), v(S, RST, 1, 1, b"")]), ConnState::Rej, "both reset, no payload");
    assert_eq!(more(std::slice::from_ref(&fin)), ConnState::S2);
    assert_eq!(more(std::slice::from_ref(&end)), ConnState::S3);
    assert_eq!(more(&[data.clone(), c(2 * S, RST, 2, b"")]), ConnState::Rsto);
    assert_eq!(more(&[data, v(2 * S, RST | ACK, 1, 2, b"")]), ConnState::Rstr);
    assert_eq!(state(&[syn.clone(), c(S, RST, 1, b"")]), ConnState::Rstos0);
    assert_eq!(state(&[syn_ack.clone(), v(S, RST, 1, 1, b"")]), ConnState::Rstrh);
    assert_eq!(state(&[syn, c(S, FIN, 1, b"")]), ConnState::Sh);
    assert_eq!(state(&[syn_ack, v(S, FIN | ACK, 1, 1, b"")]), ConnState::Shr);
    assert_eq!(state(&[c(S, ACK, 1, b"x")]), ConnState::Oth);
    let (ask, answer) = (Pk::udp(0, C, (2, 53), b"q"), Pk::udp(1, (2, 53), C, b"a"));
    assert_eq!((state(std::slice::from_ref(&ask)), state(&[ask, answer])), (ConnState::S0, ConnState::Sf));
}

#[test]
fn pairs_know_who_sent_to_whom() {
    let seen = observation(&[c(0, SYN, 0, b"").ttl(128), Pk::icmp(S, 2, 3, 8, 0, None)]);
    let pairs = PairIndex::new(&seen);
    assert_eq!(pairs.seen(addr(1), addr(2)).count(), 1);
    assert!(pairs.seen(addr(2), addr(1)).next().is_none() && pairs.met(addr(2), addr(1)));
    assert!(pairs.both_directions(addr(2)) && !pairs.both_directions(addr(1)));
    assert_eq!(pairs.ttl_range(addr(1), seen.flows[0].ends[0].lanes[0]), Some((128, 128)));
}

/// Writes captures to a folder and observes them in the order given.
fn files(captures: &[Vec<u8>]) -> Result<Observation, RunError> {
    let dir = tempfile::tempdir().unwrap();
    let open = |(n, bytes): (u32, &Vec<u8>)| {
        let path = dir.path().join(format!("{n}.pcap"));
        std::fs::write(&path, bytes).unwrap();
        (InputId(n), CaptureFile::open(&path, InputId(n)))
    };
    observe((0..).zip(captures).map(open).collect(), &Options::default())
}

#[test]
fn rotated_files_are_appended_in_order_of_time_with_a_hole_between() {
    let all = with_data();
    let seen = files(&[pcap(&all[3..]), pcap(&all[..3])]).unwrap();
    assert_eq!(seen.flows.len(), 1);
    assert_eq!(seen.flows[0].first.at.input, InputId(1));
    assert_eq!(seen.flows[0].last.at.frame, 2, "numbered in its own file");
    assert_eq!(seen.holes, [Hole { from: Time::from_nanos(2 * MS), to: Time::from_nanos(S) }]);
    assert_eq!(seen.inputs.iter().map(|i| i.packets).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(seen.inputs[0].loss_kernel, Known::Unknown);
}

#[test]
fn overlapping_files_are_merged_without_a_hole() {
    let all = with_data();
    let of = |side: u8| pcap(&all.iter().filter(|p| p.src.0 == side).cloned().collect::<Vec<_>>());
    let seen = files(&[of(1), of(2)]).unwrap();
    assert_eq!((seen.flows.len(), seen.holes.len()), (1, 0));
    assert_eq!(client(&seen.flows[0]).payload_acked.map(|s| s.time), Some(Time::from_nanos(2 * S)));
}

fn with_data() -> Vec<Pk> {
    let mut all = shake();
    all.extend([c(S, ACK, 1, b"hello"), v(2 * S, ACK, 1, 6, b"")]);
    all
}

#[test]
fn an_unreadable_input_is_a_problem_and_the_others_go_on() {
    let seen = files(&[b"not a capture".to_vec(), pcap(&shake())]).unwrap();
    assert_eq!((seen.flows.len(), seen.inputs.len()), (1, 2));
    let told: Vec<_> = seen.problems.iter().filter(|p| p.kind == ProblemKind::InputUnreadable).collect();
    assert_eq!((told.len(), told[0].input), (1, InputId(0)));
    assert!(!told[0].detail.contains("0.pcap"), "{}", told[0].detail);
    assert!(matches!(files(&[b"not a capture".to_vec()]), Err(RunError::NoInput(_))));
}

#[test]
fn a_stream_is_read_like_a_file() {
    let bytes = pcap(&with_data());
    let stream = CaptureFile::from_read("-", InputId(0), Box::new(std::io::Cursor::new(bytes.clone()))).unwrap();
    let from_stream = observe(vec![(InputId(0), Ok(stream))], &Options::default()).unwrap();
    assert_eq!(from_stream.flows, files(&[bytes]).unwrap().flows);
}
