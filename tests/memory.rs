//! A flood does not push out what matters, is told, and looks the same whatever the number of threads.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test"
)]

mod synth;

use std::sync::Arc;

use portwitness::base::{AddrSet, InputId, ProblemKind};
use portwitness::capture::CaptureFile;
use portwitness::flow::Flow;
use portwitness::observe::{Limits, Observation, Options, observe_within};
use synth::{ACK, MS, Pk, S, SYN, addr, pcap};

/// Attempts of forged sources per packet of the restore.
const FORGED: u32 = 100;

/// A connection between hosts 1 and 2, and an attempt between them that nobody answers.
fn restore() -> Vec<Pk> {
    let mut all = vec![
        Pk::tcp(S, (1, 50_000), (2, 445), SYN, 10, 0, b""),
        Pk::tcp(S + MS, (1, 50_001), (2, 6162), SYN, 77, 0, b""),
        Pk::tcp(S + 2 * MS, (2, 445), (1, 50_000), SYN | ACK, 20, 11, b""),
        Pk::tcp(S + 3 * MS, (1, 50_000), (2, 445), ACK, 11, 21, b""),
    ];
    for n in 0..60_u32 {
        let at = 2 * S + i64::from(n) * 20 * MS;
        all.push(Pk::tcp(at, (1, 50_000), (2, 445), ACK, 11 + 10 * n, 21 + 4 * n, b"0123456789"));
        all.push(Pk::tcp(at + 10 * MS, (2, 445), (1, 50_000), ACK, 21 + 4 * n, 21 + 10 * n, b"abcd"));
    }
    all
}

/// The same with forged attempts around each packet, half of them at a host of the restore.
fn flooded() -> Vec<Pk> {
    let mut n = 0_u32;
    let mut all = Vec::new();
    for pk in restore() {
        let at = pk.at;
        all.push(pk);
        for _ in 0..FORGED {
            n += 1;
            let (host, port) = (10 + (n % 200) as u8, 1024 + (n / 200) as u16);
            let dst = if n.is_multiple_of(2) { (9, 80) } else { (2, 445) };
            all.push(Pk::tcp(at + i64::from(n % FORGED) * 1000, (host, port), dst, SYN, n, 0, b""));
        }
    }
    all
}

fn read(packets: &[Pk], bytes: u64, threads: usize) -> Observation {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flood");
    std::fs::write(&path, pcap(packets)).unwrap();
    let mut protected = AddrSet::none();
    [1, 2].into_iter().for_each(|host| protected.insert(addr(host)));
    let limits = Limits::new(bytes, Arc::new(protected));
    let options = Options { threads, segment_len: 50_000 };
    let mut seen = observe_within(vec![(InputId(0), CaptureFile::open(&path, InputId(0)))], &options, &limits).unwrap();
    seen.inputs[0].name = "".into();
    seen
}

fn of_restore(seen: &Observation) -> Vec<Flow> {
    let ours = |f: &&Flow| f.key.ends.iter().all(|e| e.addr == addr(1) || e.addr == addr(2));
    seen.flows.iter().filter(ours).cloned().collect()
}

#[test]
fn a_flood_is_counted_and_the_restore_stays_whole_whatever_the_number_of_threads() {
    let packets = flooded();
    let all = read(&packets, Limits::BYTES, 1);
    let some = read(&packets, 1 << 20, 1);
    assert_eq!(of_restore(&some), of_restore(&all));
    assert_eq!(of_restore(&some).len(), 2);
    assert!(some.flows.len() < 1000 && all.flows.len() > 10_000, "{} of {}", some.flows.len(), all.flows.len());
    let told = some.problems.iter().find(|p| p.kind == ProblemKind::AttemptsCounted).unwrap();
    let kept: u64 =
        some.flows.iter().filter(|f| of_restore(&some).iter().all(|r| r.key != f.key)).map(|f| f.syns[0].count).sum();
    assert_eq!(told.count + kept, packets.len() as u64 - restore().len() as u64, "every attempt is kept or counted");
    assert_eq!((some.evicted, told.kind.forbids().absence), (0, false));
    for threads in [2, 3, 8] {
        assert_eq!(read(&packets, 1 << 20, threads), some, "{threads} threads");
    }
}
