//! What users of capture tools trip over in the field: the traps that no other test stands at, and the table of all of them in
//! CONTRIBUTING.md, whose tests must exist.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's own small numbers")]

mod synth;

use std::path::{Path, PathBuf};

use portwitness::base::{InputId, Known, PortSet, ProblemKind, Proto, Time};
use portwitness::capture::{CaptureFile, Frame, LinkType};
use portwitness::flow::{Outcome, attempt, orient};
use portwitness::observe::{Observation, Options, PairIndex, Partial, observe};
use synth::{ACK, MS, Pk, S, SYN, observation};

const A: synth::Point = (1, 50_000);
const B: synth::Point = (2, 445);

/// Frames with what was captured of them.
fn seen(frames: &[(i64, Vec<u8>, usize)]) -> Observation {
    let mut partial = Partial::default();
    for (number, (at, data, captured)) in (1..).zip(frames) {
        let (time, original_len) = (Time::from_nanos(*at), data.len() as u32);
        let (input, link) = (InputId(0), LinkType::ETHERNET);
        partial.frame(&Frame { time, input, number, interface: 0, link, data: &data[..*captured], original_len });
    }
    partial.set_frames(InputId(0), frames.len() as u64);
    partial.finish(Vec::new(), Vec::new())
}

fn outcomes(o: &Observation) -> Vec<Outcome> {
    let pairs = PairIndex::new(o);
    let of = |f| {
        let direction = orient(f, &PortSet::none());
        attempt(f, &direction, &|| pairs.context(o, f, &direction, Known::Unknown)).outcome
    };
    o.flows.iter().map(of).collect()
}

fn handshake() -> Vec<Pk> {
    vec![
        Pk::tcp(S, A, B, SYN, 10, 0, b""),
        Pk::tcp(S + MS, B, A, SYN | ACK, 20, 11, b""),
        Pk::tcp(S + 2 * MS, A, B, ACK, 11, 21, &[7; 900]),
        Pk::tcp(S + 3 * MS, B, A, ACK, 21, 911, &[8; 100]),
    ]
}

#[test]
fn checksums_that_the_network_card_would_have_filled_in_discard_nothing() {
    let mut frames: Vec<_> = handshake().iter().map(|p| (p.at, p.frame())).collect();
    for (_, f) in &mut frames {
        // IPv4's and TCP's.
        (f[24], f[25], f[50], f[51]) = (0xde, 0xad, 0xbe, 0xef);
    }
    let whole: Vec<_> = frames.into_iter().map(|(at, f)| (at, f.clone(), f.len())).collect();
    let o = seen(&whole);
    assert_eq!(outcomes(&o), [Outcome::Established]);
    assert!(o.problems.is_empty(), "{:?}", o.problems);
}

#[test]
fn packets_cut_at_54_bytes_count_with_the_bytes_they_had() {
    let frames: Vec<_> = handshake().iter().map(|p| (p.at, p.frame(), 54)).collect();
    let o = seen(&frames);
    assert_eq!(outcomes(&o), [Outcome::Established]);
    let [a, b] = &o.flows[0].ends;
    assert_eq!((a.payload_bytes, b.payload_bytes, a.ip_bytes), (900, 100, 40 + 940));
}

#[test]
fn three_vlan_tags_are_passed_and_kept() {
    let mut frames = Vec::new();
    for p in handshake() {
        let plain = p.frame();
        let tags = [0x88, 0xa8, 0, 10, 0x81, 0, 0, 20, 0x81, 0, 0, 30];
        let f = [&plain[..12], &tags[..], &plain[12..]].concat();
        frames.push((p.at, f.clone(), f.len()));
    }
    let o = seen(&frames);
    assert_eq!(outcomes(&o), [Outcome::Established]);
    assert_eq!(o.flows[0].ends[0].lanes[0].vlans, [10, 20, 30, 0]);
}

#[test]
fn copies_with_one_hop_less_are_told_and_repeat_no_syn() {
    let mut frames = Vec::new();
    let mut all = vec![Pk::tcp(S, A, B, SYN, 10, 0, b"")];
    all.extend((0..4).map(|n| Pk::udp(9 * S + n * MS, (2, 53), (1, 53), b"x")));
    for (id, p) in (1_u16..).zip(&all) {
        for (later, ttl) in [(0, 64), (300_000, 63)] {
            let mut f = Pk { at: p.at + later, ..p.clone() }.ttl(ttl).frame();
            f[18..20].copy_from_slice(&id.to_be_bytes());
            frames.push((p.at + later, f.clone(), f.len()));
        }
    }
    let o = seen(&frames);
    let syn = o.flows.iter().position(|f| f.key.proto == Proto::Tcp).unwrap();
    assert_eq!((o.flows[syn].syns.len(), o.flows[syn].syns[0].count), (1, 2));
    assert_eq!(outcomes(&o)[syn], Outcome::Undetermined, "one SYN seen twice is not two that nobody answered");
    assert_eq!(o.problems.iter().find(|p| p.kind == ProblemKind::RepeatedPackets).unwrap().count, 5);
}

#[test]
fn a_capture_of_one_direction_calls_nothing_unanswered() {
    let syn = |at| Pk::tcp(at, A, B, SYN, 10, 0, b"");
    let mut all = vec![syn(S), syn(2 * S), syn(4 * S)];
    all.extend((0..9).map(|n| Pk::tcp(20 * S + n * MS, (1, 50_001), B, ACK, 5, 6, b"data")));
    assert_eq!(outcomes(&observation(&all))[0], Outcome::Undetermined, "answers would not have been seen");
}

#[test]
fn frames_encrypted_below_ip_are_told_as_hidden_and_not_as_not_ip() {
    let frame = [&[2; 12][..], &[0x88, 0xe5], &[0x20; 40]].concat();
    let o = seen(&[(S, frame.clone(), frame.len())]);
    let hidden: Vec<_> = o.problems.iter().map(|p| (p.kind, p.detail.as_str())).collect();
    assert_eq!(hidden, [(ProblemKind::HiddenFrames, "MACsec")]);
    assert!(ProblemKind::HiddenFrames.forbids().like_loss);
}

/// A pcapng block with its lengths.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = (12 + body.len() as u32).to_le_bytes();
    [&kind.to_le_bytes()[..], &len, body, &len].concat()
}

fn interface(link: u16, snaplen: u32) -> Vec<u8> {
    block(1, &[&link.to_le_bytes()[..], &[0, 0], &snaplen.to_le_bytes()].concat())
}

/// An enhanced packet block; `drops` is its `epb_dropcount`.
fn packet(interface: u32, at: i64, data: &[u8], drops: Option<u64>) -> Vec<u8> {
    let micros = (at / 1000) as u64;
    let mut body = interface.to_le_bytes().to_vec();
    body.extend(((micros >> 32) as u32).to_le_bytes());
    body.extend((micros as u32).to_le_bytes());
    body.extend([(data.len() as u32).to_le_bytes(); 2].concat());
    body.extend(data);
    body.resize(body.len().next_multiple_of(4), 0);
    if let Some(n) = drops {
        body.extend([4, 0, 8, 0]);
        body.extend(n.to_le_bytes());
        body.extend([0; 4]);
    }
    block(6, &body)
}

fn pcapng(blocks: &[Vec<u8>]) -> Observation {
    let section = block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.pcapng");
    std::fs::write(&path, [section, blocks.concat()].concat()).unwrap();
    observe(vec![(InputId(0), CaptureFile::open(&path, InputId(0)))], &Options::default()).unwrap()
}

#[test]
fn a_pcapng_with_several_link_types_is_read_by_each_ones_own() {
    let h = handshake();
    let o = pcapng(&[
        interface(1, 65_535),
        interface(101, 100),
        packet(0, h[0].at, &h[0].frame(), None),
        packet(1, h[1].at, &h[1].frame()[14..], None),
        packet(0, h[2].at, &h[2].frame(), None),
        packet(1, h[3].at, &h[3].frame()[14..], None),
    ]);
    assert_eq!(outcomes(&o), [Outcome::Established]);
    assert_eq!(o.inputs[0].linktypes.len(), 2);
    assert_eq!(o.inputs[0].snaplen, Known::Known(100));
    assert_eq!(o.flows[0].ends.iter().map(|e| e.lanes[0].interface).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn drops_that_only_some_packets_tell_of_are_known_loss() {
    let h = handshake();
    let o =
        pcapng(&[interface(1, 0), packet(0, h[0].at, &h[0].frame(), None), packet(0, h[1].at, &h[1].frame(), Some(9))]);
    assert_eq!(o.inputs[0].loss_kernel, Known::Known(9), "at least those");
    let o = pcapng(&[interface(1, 0), packet(0, h[0].at, &h[0].frame(), None)]);
    assert_eq!(o.inputs[0].loss_kernel, Known::Unknown, "no word of drops is not no drops");
}

fn sources(folder: &Path, into: &mut String) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_trap_of_the_table_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let table = text.split("### Traps of the field").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut code = String::new();
    sources(&root.join("src"), &mut code);
    sources(&root.join("tests"), &mut code);
    let rows: Vec<&str> = table.lines().filter(|l| l.starts_with("| ")).skip(1).collect();
    assert!(rows.len() >= 22, "{}", rows.len());
    for row in rows {
        let tests = row.trim_matches('|').split('|').nth(1).unwrap();
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(code.contains(&format!("fn {name}(")), "{name}: {row}");
        }
    }
}
