//! Reading a file by segments gives exactly what reading it in one go gives, whatever the segments' size.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::cast_possible_truncation, reason = "a test's own small numbers")]

use std::io::Write;
use std::path::{Path, PathBuf};

use portwitness::base::{InputId, Problem, ProblemKind, Time};
use portwitness::capture::{CaptureFile, Event, Frame, FrameSource, InputMeta, LinkType, Reader, Sink};
use proptest::prelude::*;

/// A frame that outlives its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    number: u64,
    time: Time,
    interface: u32,
    link: LinkType,
    data: Vec<u8>,
    original_len: u32,
}

#[derive(Debug, PartialEq, Eq)]
struct Whole {
    frames: Vec<Owned>,
    problems: Vec<Problem>,
    meta: InputMeta,
}

fn owned(f: &Frame<'_>, before: u64) -> Owned {
    Owned {
        number: f.number + before,
        time: f.time,
        interface: f.interface,
        link: f.link,
        data: f.data.to_vec(),
        original_len: f.original_len,
    }
}

/// Pulls everything; numbers of frames are shifted by `before`.
fn drain(reader: &mut Reader, before: u64) -> Whole {
    let (mut frames, mut problems) = (Vec::new(), Vec::new());
    while let Some(event) = reader.next() {
        match event {
            Event::Frame(f) => frames.push(owned(&f, before)),
            Event::Problem(mut p) => {
                p.frame = p.frame.map(|f| f + before);
                problems.push(p);
            }
            Event::Counted(_) | Event::Host(_) => unreachable!("in files there are none"),
        }
    }
    Whole { frames, problems, meta: reader.finish() }
}

fn straight(path: &Path) -> Whole {
    drain(&mut CaptureFile::open(path, InputId(3)).unwrap().frames(), 0)
}

/// What is handed to a sink.
#[derive(Default)]
struct Handed(Vec<Owned>, Vec<Problem>);

impl Sink for Handed {
    fn frame(&mut self, frame: &Frame<'_>) {
        self.0.push(owned(frame, 0));
    }

    fn problem(&mut self, problem: Problem) {
        self.1.push(problem);
    }
}

/// Reads as workers do: the loop over whole records, which takes what it can of a file, and whatever it leaves.
fn walked(path: &Path) -> Whole {
    let mut handed = Handed::default();
    let meta = CaptureFile::open(path, InputId(3)).unwrap().frames().each(&mut handed);
    Whole { frames: handed.0, problems: handed.1, meta }
}

/// Reads by segments as workers do: every segment but the first is guessed, and read again where it does not follow.
/// Also returns how many guesses counted.
fn by_segments(path: &Path, size: u64) -> (Whole, usize) {
    let file = CaptureFile::open(path, InputId(3)).unwrap();
    let len = file.len().unwrap();
    let mut first = file.read_segment(file.first_segment(), size.min(len)).unwrap();
    let mut whole = drain(&mut first, 0);
    let (mut before, mut good, mut begin) = (first.report(), 0, size);
    while begin < len && !before.finished {
        let end = (begin + size).min(len);
        let mut segment = file.read_segment(file.guess(begin), end).unwrap();
        let mut part = drain(&mut segment, whole.meta.packets);
        let mut report = segment.report();
        if report.follows(&before) {
            good += 1;
        } else {
            segment = file.read_segment(before.next(), end).unwrap();
            part = drain(&mut segment, whole.meta.packets);
            report = segment.report();
        }
        before = report;
        whole.frames.append(&mut part.frames);
        whole.problems.append(&mut part.problems);
        whole.meta.append(part.meta);
        begin = end;
    }
    (whole, good)
}

/// Has the file cut at a frame.
struct Cutting<F>(u64, F);

impl<F: FnMut(u64)> Sink for Cutting<F> {
    fn frame(&mut self, frame: &Frame<'_>) {
        self.0 += 1;
        assert_eq!(frame.data, [7; 64], "bytes that were not in the file");
        (self.1)(self.0);
    }

    fn problem(&mut self, problem: Problem) {
        assert_eq!(problem.kind, ProblemKind::FileTruncated);
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_ends_where_it_ends_by_then() {
    const RECORDS: usize = 20_000;
    let packet = Item::Packet { data: vec![7; 64], nanos: 1 << 60, interface: 0, more: 0, drops: None };
    let bytes = pcap(&vec![packet; RECORDS], false);
    let len = bytes.len();
    // Between two records, within one, and before what was read already.
    for left in [24 + 80 * 9_000, 24 + 80 * 9_000 + 30, 24] {
        let stored = stored(&bytes);
        let file = CaptureFile::open(stored.path(), InputId(3)).unwrap();
        let mut sink = Cutting(0, |n| {
            if n == 6_000 {
                stored.as_file().set_len(left).unwrap();
            }
        });
        let meta = file.read_segment(file.first_segment(), len as u64).unwrap().each(&mut sink);
        assert!(sink.0 == meta.packets && (6_000..=9_000).contains(&sink.0), "{left}: {}", sink.0);
    }
}

/// One thing to write into a file.
#[derive(Clone, Debug)]
enum Item {
    Packet { data: Vec<u8>, nanos: u64, interface: u32, more: u32, drops: Option<u64> },
    Simple(Vec<u8>),
    Interface { resolution: u8, link: u16 },
    Statistics { interface: u32, drops: u64, nanos: u64 },
    Custom(Vec<u8>),
    Section,
}

fn packet() -> impl Strategy<Value = Item> {
    // A payload that itself looks like records is what a resynchronisation may fall for.
    let lure = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..90),
        1 => Just(pcap(&vec![Item::Packet { data: vec![1; 9], nanos: 1 << 60, interface: 0, more: 0, drops: None }; 9], false)),
        1 => Just(vec![0; 64]),
    ];
    (lure, 0..1_000_000_000_u64, 0..3_u32, 0..3_u32, proptest::option::of(0..3_u64)).prop_map(
        |(data, nanos, interface, more, drops)| Item::Packet { data, nanos: (1 << 60) + nanos, interface, more, drops },
    )
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        20 => packet(),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Item::Simple),
        1 => (prop_oneof![Just(6_u8), Just(9), Just(0x80 | 20)], prop_oneof![Just(1_u16), Just(113)])
            .prop_map(|(resolution, link)| Item::Interface { resolution, link }),
        1 => (0..3_u32, 0..9_u64, 0..1_000_000_000_u64)
            .prop_map(|(interface, drops, n)| Item::Statistics { interface, drops, nanos: (1 << 60) + n }),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Item::Custom),
        1 => Just(Item::Section),
    ]
}

fn pcap(items: &[Item], nano: bool) -> Vec<u8> {
    pcap_in(items, nano, false)
}

fn pcap_in(items: &[Item], nano: bool, little: bool) -> Vec<u8> {
    let half = |n: u16| if little { n.to_le_bytes() } else { n.to_be_bytes() };
    let word = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
    let mut out = word(if nano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }).to_vec();
    out.extend([half(2), half(4)].concat());
    out.extend([0, 0, 0xffff, 1].map(word).concat());
    for item in items {
        let Item::Packet { data, nanos, more, .. } = item else { continue };
        let fraction = nanos % 1_000_000_000 / if nano { 1 } else { 1000 };
        let captured = data.len() as u32;
        let head = [(nanos / 1_000_000_000) as u32, fraction as u32, captured, captured + more];
        out.extend(head.map(word).concat());
        out.extend(data);
    }
    out
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let len = (padded as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &len, body, &vec![0; padded - body.len()], &len].concat()
}

fn pcapng(items: &[Item]) -> Vec<u8> {
    let section = block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    let interface = |resolution: u8, link: u16| {
        let options = [9, 0, 1, 0, resolution, 0, 0, 0, 0, 0, 0, 0];
        block(1, &[&link.to_le_bytes()[..], &[0, 0, 0, 0, 1, 0], &options].concat())
    };
    let ticks = |nanos: u64| {
        let [a, b] = [(nanos >> 32) as u32, nanos as u32];
        [a.to_le_bytes(), b.to_le_bytes()].concat()
    };
    let mut out = [section.clone(), interface(9, 1)].concat();
    for item in items {
        out.extend(match item {
            Item::Packet { data, nanos, interface, more, drops } => {
                let captured = data.len() as u32;
                let mut body = [&interface.to_le_bytes()[..], &ticks(*nanos)].concat();
                body.extend(captured.to_le_bytes());
                body.extend((captured + more).to_le_bytes());
                body.extend(data);
                body.resize(body.len().next_multiple_of(4), 0);
                if let Some(n) = drops {
                    body.extend([4, 0, 8, 0]);
                    body.extend(n.to_le_bytes());
                    body.extend([0; 4]);
                }
                block(6, &body)
            }
            Item::Simple(data) => block(3, &[&(data.len() as u32).to_le_bytes()[..], data].concat()),
            Item::Interface { resolution, link } => interface(*resolution, *link),
            Item::Statistics { interface, drops, nanos } => {
                let options = [&[5, 0, 8, 0][..], &drops.to_le_bytes()].concat();
                block(5, &[&interface.to_le_bytes()[..], &ticks(*nanos), &options].concat())
            }
            Item::Custom(data) => block(0x0bad, data),
            Item::Section => [section.clone(), interface(6, 1)].concat(),
        });
    }
    out
}

/// Fails with the first thing that differs, not with two whole files.
fn compare(path: &Path, size: u64) {
    let whole = straight(path);
    same(&by_segments(path, size).0, &whole, &format!("{} by {size}", path.display()));
    same(&walked(path), &whole, &format!("{} walked", path.display()));
}

fn same(got: &Whole, whole: &Whole, name: &str) {
    for (n, (a, b)) in got.frames.iter().zip(&whole.frames).enumerate() {
        assert_eq!(a, b, "{name}: frame {n}");
    }
    assert_eq!(got.frames.len(), whole.frames.len(), "{name}");
    assert_eq!(got.problems, whole.problems, "{name}");
    assert_eq!(got.meta, whole.meta, "{name}");
}

fn stored(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_pcap_read_by_segments_is_the_whole(
        items in proptest::collection::vec(packet(), 0..60), nano: bool, little: bool, size in 30_u64..700,
        cut in 0_usize..40,
    ) {
        let mut bytes = pcap_in(&items, nano, little);
        bytes.truncate((bytes.len() - cut.saturating_sub(20)).max(24));
        let file = stored(&bytes);
        compare(file.path(), size);
    }

    #[test]
    fn a_pcapng_read_by_segments_is_the_whole(
        items in proptest::collection::vec(item(), 0..60), size in 30_u64..700, cut in 0_usize..40,
    ) {
        let mut bytes = pcapng(&items);
        bytes.truncate((bytes.len() - cut.saturating_sub(20)).max(24));
        let file = stored(&bytes);
        compare(file.path(), size);
    }

    #[test]
    fn a_damaged_file_read_by_segments_is_the_whole(
        items in proptest::collection::vec(item(), 1..40), ng: bool, size in 30_u64..700,
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = if ng { pcapng(&items) } else { pcap(&items, false) };
        for (at, value) in damage {
            let len = bytes.len();
            if len > 24 {
                bytes[24 + at.index(len - 24)] = value;
            }
        }
        let file = stored(&bytes);
        compare(file.path(), size);
    }

    #[test]
    fn no_byte_sequence_panics_or_ends_otherwise_than_by_an_end(
        head in prop_oneof![
            Just(pcap(&[], false)), Just(pcap(&[], true)), Just(pcapng(&[])), Just(vec![])
        ],
        tail in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let bytes = [head, tail].concat();
        let read = Box::new(std::io::Cursor::new(bytes));
        if let Ok(file) = CaptureFile::from_read("x", InputId(0), read) {
            drain(&mut file.frames(), 0);
        }
    }
}

#[test]
fn guesses_count_where_nothing_lures_them() {
    let items: Vec<Item> = (0..2000)
        .map(|n| Item::Packet { data: vec![0xee; 100], nanos: (1 << 60) + n, interface: 0, more: 0, drops: None })
        .collect();
    for bytes in [pcap(&items, false), pcapng(&items)] {
        let file = stored(&bytes);
        let (whole, good) = by_segments(file.path(), 10_000);
        assert_eq!(whole.frames.len(), 2000);
        assert_eq!(good, bytes.len().div_ceil(10_000) - 1, "every guess must hit");
    }
}

#[test]
fn a_file_cut_anywhere_is_read_up_to_the_cut() {
    let items: Vec<Item> = (0..3)
        .map(|n| Item::Packet {
            data: vec![n; 10],
            nanos: (1 << 60) + u64::from(n),
            interface: 0,
            more: 0,
            drops: None,
        })
        .collect();
    for whole in [pcap(&items, false), pcapng(&items)] {
        let starts = {
            let record = (whole.len() - pcapng_head(&whole)) / 3;
            [0, 1, 2, 3].map(|n| pcapng_head(&whole) + n * record)
        };
        for len in starts[0]..=whole.len() {
            let got = straight(stored(&whole[..len]).path());
            let full = starts.iter().filter(|&&s| s <= len).count() - 1;
            assert_eq!(got.frames.len(), full, "{len}");
            let clean = starts.contains(&len);
            assert_eq!(got.meta.damaged_at, (!clean).then_some(starts[full] as u64));
            assert_eq!(got.problems.iter().any(|p| p.kind == ProblemKind::FileTruncated), !clean);
        }
    }
}

/// Where the first packet begins in the files of the test above.
fn pcapng_head(bytes: &[u8]) -> usize {
    if bytes.starts_with(&[0x0a]) { pcapng(&[]).len() } else { 24 }
}

#[test]
fn every_file_of_the_corpus_read_by_segments_is_the_whole() {
    let Some(folder) = std::env::var_os("PORTWITNESS_CORPUS").map(PathBuf::from) else {
        assert!(std::env::var_os("CI").is_none(), "PORTWITNESS_CORPUS must be set under CI");
        skip("corpus: PORTWITNESS_CORPUS names no folder of captures");
        return;
    };
    for entry in std::fs::read_dir(folder.join("files")).unwrap() {
        let path = entry.unwrap().path();
        if CaptureFile::open(&path, InputId(3)).is_ok() {
            let len = path.metadata().unwrap().len();
            for size in [(len / 2).max(100), (len / 7).max(100)] {
                compare(&path, size);
            }
        }
    }
}

/// Says what was not tested, past the runner that hides what passing tests print.
fn skip(what: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "SKIP {what}");
}
