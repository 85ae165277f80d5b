//! What can be opened, what is said of what cannot, and what a pcapng file tells of itself.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::cast_possible_truncation, reason = "a test's own small numbers")]

use std::io::Cursor;

use portwitness::base::{InputId, Known, ProblemKind, Time};
use portwitness::capture::{CaptureFile, Event, FrameSource, InputMeta};

/// Times and lengths of frames, problems with their offsets, and what the whole says of itself.
type Read = (Vec<(Time, u32)>, Vec<(ProblemKind, Option<u64>)>, InputMeta);

fn read(bytes: Vec<u8>) -> Read {
    let file = CaptureFile::from_read("x", InputId(0), Box::new(Cursor::new(bytes))).unwrap();
    assert!(!file.is_segmentable() && file.len().is_none());
    let mut reader = file.frames();
    let (mut frames, mut problems) = (Vec::new(), Vec::new());
    while let Some(event) = reader.next() {
        match event {
            Event::Frame(f) => frames.push((f.time, f.interface)),
            Event::Problem(p) => problems.push((p.kind, p.offset)),
            Event::Counted(_) | Event::Host(_) => unreachable!("in files there are none"),
        }
    }
    (frames, problems, reader.finish())
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let len = (padded as u32 + 12).to_be_bytes();
    [&kind.to_be_bytes()[..], &len, body, &vec![0; padded - body.len()], &len].concat()
}

/// A big-endian section with one Ethernet interface of the given resolution.
fn head(resolution: u8) -> Vec<u8> {
    let section = block(0x0a0d_0d0a, &[0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    let filter = [&[0, 11, 0, 6, 0][..], b"udp 5", &[0, 0]].concat();
    let interface = block(1, &[&[0, 1, 0, 0, 0, 0, 0, 96, 0, 9, 0, 1, resolution, 0, 0, 0][..], &filter].concat());
    [section, interface].concat()
}

fn packet(interface: u32, ticks: u64) -> Vec<u8> {
    let body = [&interface.to_be_bytes()[..], &ticks.to_be_bytes(), &[0, 0, 0, 2, 0, 0, 0, 3, 1, 2]].concat();
    block(6, &body)
}

fn statistics(interface: u32, ticks: u64, options: &[(u16, u64)]) -> Vec<u8> {
    let mut body = [&interface.to_be_bytes()[..], &ticks.to_be_bytes()].concat();
    for (code, value) in options {
        body.extend(code.to_be_bytes());
        body.extend([0, 8]);
        body.extend(value.to_be_bytes());
    }
    block(5, &body)
}

const SECOND: u64 = 1_000_000_000;
const T: u64 = 1_700_000_000 * SECOND;

fn time(nanos: u64) -> Time {
    Time::from_nanos(nanos.cast_signed())
}

#[test]
fn statistics_widen_the_capture_and_count_losses_and_the_last_block_counts() {
    let bytes = [
        head(9),
        packet(0, T),
        statistics(0, T + 2 * SECOND, &[(5, 1), (7, 0)]),
        packet(0, T + 3 * SECOND),
        statistics(0, T + 9 * SECOND, &[(2, T - SECOND), (3, T + 8 * SECOND), (5, 4)]),
    ];
    let (frames, problems, meta) = read(bytes.concat());
    assert_eq!((frames.len(), problems.len(), meta.problems().len()), (2, 0, 0));
    assert_eq!((meta.first(), meta.last()), (Some(time(T - SECOND)), Some(time(T + 9 * SECOND))));
    assert_eq!((meta.loss().interface, meta.loss().kernel), (Known::Known(4), Known::Known(0)));
    assert_eq!(meta.snaplen(), Known::Known(96));
    assert_eq!(meta.cut_frames, 2);
    assert!(matches!(meta.filter(), Known::Known(f) if f.as_bytes() == b"udp 5"));
    assert_eq!(meta.link_names(), ["Ethernet"]);
}

#[test]
fn statistics_written_in_microseconds_on_a_nanosecond_interface_are_read_so() {
    let micros = |nanos: u64| nanos / 1000;
    let options = [(2, micros(T - SECOND)), (3, micros(T + SECOND))];
    let (_, _, meta) = read([head(9), packet(0, T), statistics(0, micros(T + SECOND), &options)].concat());
    assert_eq!((meta.first(), meta.last()), (Some(time(T - SECOND)), Some(time(T + SECOND))));
    assert_eq!(meta.problems(), []);
}

#[test]
fn statistics_that_cannot_be_right_lose_their_times_but_not_their_counters() {
    let (_, _, meta) = read([head(9), packet(0, T), statistics(0, 12345, &[(5, 7)])].concat());
    assert_eq!((meta.first(), meta.last()), (Some(time(T)), Some(time(T))));
    assert_eq!(meta.problems()[0].kind, ProblemKind::StatisticsTimeIgnored);
    assert_eq!(meta.loss().interface, Known::Known(7));
}

#[test]
fn statistics_from_before_the_first_frame_tell_since_when_it_listened() {
    let before = statistics(0, T - SECOND, &[(2, T - 2 * SECOND), (3, T - SECOND)]);
    let (_, _, meta) = read([head(9), before, packet(0, T)].concat());
    assert_eq!((meta.first(), meta.last()), (Some(time(T - 2 * SECOND)), Some(time(T))));
    assert_eq!(meta.problems(), []);
}

#[test]
fn loss_is_unknown_unless_every_interface_with_packets_reported_it() {
    let second = block(1, &[0, 1, 0, 0, 0, 0, 0, 0]);
    let bytes = [head(9), second, packet(0, T), statistics(0, T, &[(5, 7)])].concat();
    assert_eq!(read(bytes.clone()).2.loss().interface, Known::Known(7), "the second one was silent");
    let bytes = [bytes, packet(1, T / 1000)].concat();
    assert_eq!(read(bytes).2.loss().interface, Known::Unknown);
    assert_eq!(read([head(9), packet(0, T)].concat()).2.loss().interface, Known::Unknown);
}

#[test]
fn sections_have_their_own_interfaces_numbered_over_the_file() {
    let bytes = [head(9), packet(0, T), head(6), packet(0, T / 1000), packet(5, T)].concat();
    let at = (bytes.len() - packet(5, T).len()) as u64;
    let (frames, problems, meta) = read(bytes);
    assert_eq!(frames, [(time(T), 0), (time(T), 1)]);
    assert_eq!(problems, [(ProblemKind::UnknownInterface, Some(at))]);
    assert_eq!(meta.packets, 3, "counted all the same");
}

#[test]
fn a_time_beyond_the_years_is_counted_and_not_handed_on() {
    let (frames, problems, meta) = read([head(0), packet(0, u64::MAX), packet(0, 5)].concat());
    assert_eq!((frames.len(), meta.packets), (1, 2));
    assert_eq!(problems[0].0, ProblemKind::TimeOutOfRange);
}

#[test]
fn lengths_that_no_record_has_are_corrupt_at_their_offset() {
    let start = head(9).len() as u64;
    for (name, block) in [
        ("length not of 4", [0, 0, 0, 6, 0, 0, 0, 33].to_vec()),
        ("length below a block", [0, 0, 0, 6, 0, 0, 0, 8].to_vec()),
        ("length beyond packets", [0, 0, 0, 6, 0xff, 0xff, 0xff, 0xf0].to_vec()),
    ] {
        let (_, problems, meta) = read([head(9), block, vec![0; 64]].concat());
        assert_eq!(problems, [(ProblemKind::FileCorrupt, Some(start))], "{name}");
        assert_eq!(meta.damaged_at, Some(start));
    }
    let skipped = [[0, 0, 0x0b, 0xad, 0xff, 0xff, 0xff, 0xf0].to_vec(), vec![0; 64]].concat();
    assert_eq!(read([head(9), skipped].concat()).1, [(ProblemKind::FileTruncated, Some(start))]);
    let mut differ = packet(0, T);
    *differ.last_mut().unwrap() += 4;
    assert_eq!(read([head(9), differ].concat()).1, [(ProblemKind::FileCorrupt, Some(start))]);
    let mut beyond = packet(0, T);
    beyond[22] = 1;
    assert_eq!(read([head(9), beyond].concat()).1, [(ProblemKind::FileCorrupt, Some(start))]);
}

#[test]
fn a_pcap_record_longer_than_any_frame_is_corrupt_and_a_long_usb_one_is_passed() {
    let header =
        |link| [0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, link].to_vec();
    let record = |len: u32| [&[0; 8][..], &len.to_be_bytes(), &len.to_be_bytes()].concat();
    let long = |link, len: u32| [header(link), record(len), vec![0; len as usize], record(0)].concat();
    assert_eq!(read(long(1, 262_145)).1, [(ProblemKind::FileCorrupt, Some(24))]);
    assert_eq!(read(long(1, 262_144)).0.len(), 2);
    assert_eq!(read(long(220, 1_000_000)).0.len(), 2);
    let cut = [header(220), record(100_000_000), vec![0; 300_000]].concat();
    assert_eq!(read(cut).1, [(ProblemKind::FileTruncated, Some(24))], "named by the record's own offset");
}

#[test]
fn time_that_runs_backwards_is_told_with_its_first_frame() {
    let (_, _, meta) = read([head(9), packet(0, T + 5), packet(0, T), packet(0, T + 6)].concat());
    let problem = &meta.problems()[0];
    assert_eq!((problem.kind, problem.frame, problem.count), (ProblemKind::TimeBackwards, Some(2), 1));
}

#[test]
fn what_cannot_be_opened_is_told_in_distinct_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pcap");
    let say = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        CaptureFile::open(&path, InputId(0)).err().unwrap().to_string()
    };
    for (bytes, words) in [
        (&b""[..], "it is empty"),
        (b"\xd4\xc3\xb2\xa1\x02\0\x04\0", "it ends after 8 of the 24 bytes"),
        (b"\xd4\xc3\xb2\xa1\x09\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "pcap version 9.4"),
        (b"BZh91AY", "bzip2-compressed: not read; decompress it first"),
        (b"\x1f\x8b\x08\0", "the gzip data end in the middle"),
        (b"\x28\xb5\x2f\xfd", "the zstd data end in the middle"),
        (b"\xfd7zXZ\0", "the xz data end in the middle"),
        (b"snoop\0\0\0\0\0\0\x02", "it ends after 12 of the 16 bytes"),
        (b"snoop\0\0\0\0\0\0\x02\0\0\0\x63", "a snoop capture of data link 99"),
        (b"hello\n", "it is text"),
        (b"\x01\x02\x03", "not recognised (it begins with 01 02 03)"),
    ] {
        let said = say(bytes);
        assert!(said.contains(words) && said.contains("a.pcap"), "{said}");
    }
    let open = |p: &std::path::Path| CaptureFile::open(p, InputId(0)).err().unwrap().to_string();
    assert!(open(folder.path()).contains("is a directory"));
    assert!(open(&folder.path().join("none")).contains("no such file"));
}

#[test]
fn a_header_without_packets_is_fine() {
    let (frames, problems, meta) = read(head(9));
    assert_eq!((frames.len(), problems.len(), meta.packets, meta.first()), (0, 0, 0, None));
    assert_eq!(meta.loss().kernel, Known::Unknown);
}
