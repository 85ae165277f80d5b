//! Laws of flows: a capture cut anywhere equals the whole, direction depends on the flow alone, threads change nothing.
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

use portwitness::base::{InputId, PortSet, Service};
use portwitness::capture::CaptureFile;
use portwitness::flow::{Flow, Side, conn_state, orient};
use portwitness::observe::{Observation, Options, Partial, observe};
use proptest::prelude::*;
use synth::random::packets;
use synth::{Pk, observation, partial, pcap};

/// Cuts the packets at the given places and appends the pieces in the order that `joins` picks.
fn in_pieces(packets: &[Pk], cuts: &[usize], joins: &[usize]) -> Observation {
    let mut at: Vec<usize> = cuts.iter().map(|c| c % (packets.len() + 1)).collect();
    at.extend([0, packets.len()]);
    at.sort_unstable();
    let mut pieces: Vec<Partial> = at.windows(2).map(|w| partial(&packets[w[0]..w[1]])).collect();
    let mut joins = joins.iter().cycle();
    while pieces.len() > 1 {
        let first = joins.next().unwrap() % (pieces.len() - 1);
        let later = pieces.remove(first + 1);
        pieces[first].append(later);
    }
    pieces.remove(0).finish(Vec::new(), Vec::new())
}

fn is_exact(o: &Observation) -> bool {
    o.flows.iter().flat_map(|f| &f.ends).all(|e| !e.approximate)
}

fn swapped(flow: &Flow) -> Flow {
    let mut f = flow.clone();
    f.key.ends.swap(0, 1);
    f.ends.swap(0, 1);
    f.syns.iter_mut().for_each(|s| s.from = s.from.other());
    f.icmp.iter_mut().for_each(|e| e.quoted = e.quoted.other());
    f
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn a_capture_cut_anywhere_and_appended_in_any_grouping_equals_the_whole(
        packets in packets(60),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
        joins in prop::collection::vec(any::<usize>(), 1..6),
    ) {
        let (whole, cut) = (observation(&packets), in_pieces(&packets, &cuts, &joins));
        prop_assume!(is_exact(&whole) && is_exact(&cut));
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn direction_depends_on_the_flow_alone_and_not_on_which_end_is_called_a(packets in packets(40)) {
        let mut ports = PortSet::none();
        ports.insert(Service::parse("tcp/445").unwrap());
        for flow in observation(&packets).flows {
            let direction = orient(&flow, &ports);
            prop_assert_eq!(direction, orient(&flow, &ports));
            // Both ends of this tuple are the same point: there is nothing to swap.
            if flow.point(Side::A) == flow.point(Side::B) {
                continue;
            }
            let mirrored = swapped(&flow);
            let other = orient(&mirrored, &ports);
            prop_assert_eq!((direction.orig, direction.method), (other.orig.other(), other.method));
            prop_assert_eq!(conn_state(&flow, direction.orig), conn_state(&mirrored, other.orig));
        }
    }

    #[test]
    fn no_packet_is_lost_or_counted_twice(packets in packets(60)) {
        let seen = observation(&packets);
        let flows: u64 = seen.flows.iter().flat_map(|f| &f.ends).map(|e| e.packets + e.fragments).sum();
        let orphans: u64 = seen.problems.iter().filter(|p| p.detail.is_empty()).map(|p| p.count).sum();
        prop_assert_eq!(flows + orphans, packets.len() as u64);
        for flow in &seen.flows {
            for end in &flow.ends {
                prop_assert!(end.retransmitted <= end.payload_bytes);
            }
        }
    }
}

fn read(dir: &std::path::Path, files: usize, threads: usize, segment_len: u64) -> Observation {
    let inputs = (0..files as u32).map(|i| (InputId(i), CaptureFile::open(&dir.join(i.to_string()), InputId(i))));
    let mut seen = observe(inputs.collect(), &Options { threads, segment_len }).unwrap();
    // The folder's name is not what is compared.
    seen.inputs.iter_mut().for_each(|i| i.name = "".into());
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn neither_threads_nor_segments_show_in_the_result(packets in packets(200), segment in 1..4000_u64) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("0"), pcap(&packets)).unwrap();
        let whole = read(dir.path(), 1, 1, u64::MAX);
        prop_assert_eq!(&whole.flows, &observation(&packets).flows);
        prop_assume!(is_exact(&whole));
        for threads in [1, 2, 3, 8] {
            let seen = read(dir.path(), 1, threads, segment);
            if is_exact(&seen) {
                prop_assert_eq!(&whole, &seen);
            }
        }
    }

    #[test]
    fn overlapping_files_equal_one_file_in_order_of_time(packets in packets(120), pick in prop::collection::vec(0..3_usize, 120)) {
        let mut packets = packets;
        packets.sort_by_key(|p| p.at);
        // Equal times are ordered by input, which one file cannot show.
        packets.dedup_by_key(|p| p.at);
        let dir = tempfile::tempdir().unwrap();
        let of = |n: usize| -> Vec<Pk> { packets.iter().zip(&pick).filter(|(_, p)| **p == n).map(|(p, _)| p.clone()).collect() };
        (0..3).for_each(|n| std::fs::write(dir.path().join(n.to_string()), pcap(&of(n))).unwrap());
        let seen = read(dir.path(), 3, 2, 1000);
        let facts = |o: &Observation| -> Vec<(Flow, Vec<u64>)> {
            let mut o = o.clone();
            o.flows.iter_mut().map(|f| (blank(f), f.ends.iter().map(|e| e.packets).collect())).collect()
        };
        prop_assert_eq!(facts(&seen), facts(&observation(&packets)));
    }
}

/// A flow without what names frames.
fn blank(flow: &Flow) -> Flow {
    let mut f = flow.clone();
    let zero = |s: &mut portwitness::base::Stamp| s.at = portwitness::base::FrameRef { input: InputId(0), frame: 0 };
    zero(&mut f.first);
    zero(&mut f.last);
    f.syns.iter_mut().flat_map(|s| &mut s.stamps).for_each(zero);
    f.icmp.iter_mut().for_each(|e| zero(&mut e.at));
    f.evidence.mapper.clear();
    for e in f.ends.iter_mut().map(|e| &mut **e) {
        e.syn_ack_seen.iter_mut().for_each(|s| zero(&mut s.at));
        e.rst_seen.iter_mut().for_each(|s| zero(&mut s.at));
        let stamps = [&mut e.first, &mut e.last, &mut e.fin_first, &mut e.acked_handshake, &mut e.payload_acked];
        stamps
            .into_iter()
            .chain([&mut e.first_payload, &mut e.acked_last, &mut e.zero_window])
            .flatten()
            .for_each(zero);
        e.repeated.iter_mut().flat_map(|r| [&mut r.first, &mut r.last]).for_each(zero);
        e.hole.iter_mut().for_each(|h| zero(&mut h.at));
    }
    f
}

#[test]
fn a_syn_repeated_behind_a_cut_and_an_answer_is_still_the_same_run() {
    const C: (u8, u16) = (1, 50_001);
    const V: (u8, u16) = (2, 135);
    let packets = [
        Pk::tcp(1_000 * synth::S, C, V, synth::SYN, 1_000, 0, b""),
        Pk::tcp(1_061 * synth::S, V, C, synth::SYN, 50_000, 0, b""),
        // The clock steps back: only the whole run tells when the crossing SYN was first sent.
        Pk::tcp(990 * synth::S, C, V, synth::SYN | synth::ACK, 1_000, 50_001, b""),
        Pk::tcp(991 * synth::S, V, C, synth::SYN, 50_000, 0, b""),
    ];
    let whole = observation(&packets);
    for cut in 1..packets.len() {
        assert_eq!(in_pieces(&packets, &[cut], &[0]), whole, "cut before packet {cut}");
    }
}

/// SYNs that follow each other are looked up together: whatever comes between them, and however many there are, nothing shows of it.
#[test]
fn syns_in_a_row_are_as_syns_one_by_one() {
    let mut packets = Vec::new();
    let mut at = synth::S * 1_000_000;
    for round in 0..3_u32 {
        for n in 0..101_u16 {
            at += synth::MS;
            let (from, to) = ((1, 40_000 + n), (2, 445));
            let isn = 7 * u32::from(n);
            let data: &[u8] = if n % 31 == 5 { b"early" } else { b"" };
            packets.push(Pk::tcp(at, from, to, synth::SYN, isn, 0, data));
            // Some are answered at once, and the answer must find the attempt.
            if n % 17 == 3 && round == 0 {
                packets.push(Pk::tcp(at, to, from, synth::SYN | synth::ACK, 9, isn + 1, b""));
                packets.push(Pk::tcp(at, from, to, synth::ACK, isn + 1, 10, b""));
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    // Ending in the middle of a row, and with it.
    for len in [packets.len(), packets.len() - 5, 16, 17, 1] {
        std::fs::write(dir.path().join("0"), pcap(&packets[..len])).unwrap();
        for (threads, segment) in [(1, u64::MAX), (2, 900)] {
            let (seen, expected) = (read(dir.path(), 1, threads, segment), observation(&packets[..len]));
            assert_eq!((seen.flows, seen.problems), (expected.flows, expected.problems), "{len} packets");
        }
    }
}
