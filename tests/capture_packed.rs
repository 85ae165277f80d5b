//! Compressed captures read like plain ones, damage is told where it is, and a bomb is told, not obeyed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's own small numbers")]

mod synth;

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use lzma_rust2::{XzOptions, XzWriter};
use portwitness::base::{InputId, Known, Problem, ProblemKind};
use portwitness::capture::{CaptureFile, Event, FrameSource, InputMeta};
use portwitness::observe::{Observation, Options, observe};
use sha2::{Digest as _, Sha256};
use synth::{ACK, MS, Pk, S, SYN, pcap};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    out.include_checksum(true).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = XzWriter::new(Vec::new(), XzOptions::with_preset(1)).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

type Pack = (&'static str, fn(&[u8]) -> Vec<u8>);
const PACKS: [Pack; 3] = [("gzip", gzip), ("zstd", zstd), ("xz", xz)];

/// Connections of which each packet differs from the others.
fn packets(n: u32, from: i64) -> Vec<Pk> {
    let at = |i: u32| from + i64::from(i) * 7 * MS;
    let payload = |i: u32| i.to_be_bytes().repeat(20);
    (0..n)
        .map(|i| match i % 3 {
            0 => Pk::tcp(at(i), (1, 40_000 + (i % 50) as u16), (2, 445), SYN, i * 99, 0, b""),
            1 => Pk::tcp(at(i), (2, 445), (1, 40_000 + (i % 50) as u16), SYN | ACK, i * 7, i * 99 + 1, b""),
            _ => Pk::tcp(at(i), (1, 40_000 + (i % 50) as u16), (2, 445), ACK, i, i, &payload(i)),
        })
        .collect()
}

/// Times and bytes of the frames, problems, and what the input says of itself.
type Seen = (Vec<(i64, Vec<u8>)>, Vec<Problem>, InputMeta);

fn drain(file: CaptureFile) -> Seen {
    let mut reader = file.frames();
    let (mut frames, mut problems) = (Vec::new(), Vec::new());
    while let Some(event) = reader.next() {
        match event {
            Event::Frame(f) => frames.push((f.time.as_nanos(), f.data.to_vec())),
            Event::Problem(p) => problems.push(p),
            Event::Counted(_) | Event::Host(_) => unreachable!("in files there are none"),
        }
    }
    (frames, problems, reader.finish())
}

fn stream(bytes: Vec<u8>) -> Result<CaptureFile, String> {
    CaptureFile::from_read("x", InputId(0), Box::new(Cursor::new(bytes))).map_err(|e| e.to_string())
}

fn read(bytes: &[u8]) -> Seen {
    drain(stream(bytes.to_vec()).unwrap())
}

/// The one problem, and how many frames there were.
fn trouble(bytes: &[u8]) -> (usize, Problem) {
    let (frames, problems, _) = read(bytes);
    assert_eq!(problems.len(), 1, "{problems:?}");
    (frames.len(), problems[0].clone())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn watch(paths: &[PathBuf], hashed: bool) -> Observation {
    let open = |(n, path): (u32, &PathBuf)| {
        let file = CaptureFile::open(path, InputId(n));
        (InputId(n), file.map(|f| if hashed { f.hashed() } else { f }))
    };
    observe((0..).zip(paths).map(open).collect(), &Options { threads: 2, segment_len: 4_000 }).unwrap()
}

#[test]
fn what_is_compressed_reads_like_what_is_not() {
    let plain = pcap(&packets(3000, S));
    let (frames, _, meta) = read(&plain);
    let half = plain.len() / 2;
    for (name, pack) in PACKS {
        let whole = pack(&plain);
        let parts = [pack(&plain[..half]), pack(&plain[half..])].concat();
        let padded = [parts.clone(), vec![0; if name == "zstd" { 0 } else { 64 }]].concat();
        for bytes in [whole, parts, padded] {
            let (f, problems, mut m) = read(&bytes);
            assert_eq!((f == frames, problems), (true, vec![]), "{name}");
            assert_eq!((m.packing, m.format, m.bytes), (Some(name), "pcap (nanosecond)", plain.len() as u64));
            m.packing = None;
            assert_eq!(m, meta);
        }
    }
    let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9][..], &zstd(&plain)].concat();
    assert!(read(&skipped).0 == frames, "a skippable frame first");
}

#[test]
fn files_and_streams_are_told_by_their_bytes_whatever_their_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, pack) in PACKS {
        let path = write(folder.path(), "misleading.pcap", &pack(&pcap(&packets(10, S))));
        let file = CaptureFile::open(&path, InputId(0)).unwrap();
        assert!(file.is_reopenable() && !file.is_segmentable(), "{name}");
        assert_eq!(drain(file).0.len(), 10);
    }
}

#[test]
fn a_cut_file_is_read_up_to_the_cut_and_says_so() {
    let plain = pcap(&packets(400, S));
    for (name, pack) in PACKS {
        let bytes = pack(&plain);
        for cut in (0..bytes.len()).step_by(bytes.len() / 90).chain([bytes.len() - 1]) {
            let Ok(file) = stream(bytes[..cut].to_vec()) else { continue };
            let (frames, problems, meta) = drain(file);
            assert!(frames.len() <= 400, "{name} {cut}");
            assert_eq!(problems.len(), 1, "{name} {cut}: {problems:?}");
            assert_eq!(problems[0].kind, ProblemKind::FileTruncated, "{name} {cut}: {problems:?}");
            assert_eq!(meta.damaged_at, problems[0].offset);
            assert!(meta.damaged_at.unwrap() <= plain.len() as u64, "an offset of the decompressed bytes");
        }
        let (n, problem) = trouble(&bytes[..bytes.len() - 1]);
        assert_eq!((n, problem.detail), (400, format!("the {name} data end in the middle")));
    }
}

#[test]
fn damage_anywhere_never_stops_the_run_and_a_wrong_checksum_is_told() {
    let plain = pcap(&packets(120, S));
    for (name, pack) in PACKS {
        let bytes = pack(&plain);
        for at in (0..bytes.len()).step_by(bytes.len() / 300 + 1) {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0x55;
            if let Ok(file) = stream(wrong) {
                assert!(drain(file).0.len() <= 130, "{name} {at}");
            }
        }
    }
    let mut wrong = gzip(&plain);
    let crc = wrong.len() - 8;
    wrong[crc] ^= 1;
    let (n, problem) = trouble(&wrong);
    assert_eq!((n, problem.kind, &*problem.detail), (120, ProblemKind::FileCorrupt, "the gzip data are damaged"));
    assert_eq!(problem.offset, Some(plain.len() as u64));
}

#[test]
fn what_is_inside_must_be_a_capture_and_compressed_once() {
    let capture = pcap(&packets(3, S));
    for (name, pack) in PACKS {
        let say = |bytes: &[u8]| stream(pack(bytes)).err().unwrap();
        let told = say(&gzip(&capture));
        assert!(told.contains(&format!("it is {name}-compressed and gzip-compressed inside")), "{told}");
        assert!(say(b"BZh91AY&SY").contains("bzip2-compressed inside"));
        let told = say(b"10:00 IP 10.0.0.1 > 10.0.0.2\n");
        assert!(told.contains(&format!("it is {name}-compressed, and inside it is text")), "{told}");
        assert!(say(b"").contains("inside it is empty"));
        assert!(say(&[0; 1000]).contains("not recognised"), "zeros are no capture");
    }
}

/// A capture's header, then zeros without end: each sixteen are an empty record.
fn bomb_head() -> Vec<u8> {
    pcap(&[])
}

fn is_bomb(bytes: &[u8], name: &str) {
    let (_, problem) = trouble(bytes);
    assert_eq!(problem.kind, ProblemKind::FileCorrupt);
    assert!(problem.detail.starts_with(&format!("the {name} data unfold more than")), "{}", problem.detail);
    assert!(problem.offset.unwrap() <= 130 << 20, "{:?}", problem.offset);
}

#[test]
fn a_bomb_is_stopped() {
    let member = gzip(&vec![0; 1 << 20]);
    is_bomb(&[gzip(&bomb_head()), member.repeat(4000)].concat(), "gzip");
    let part = xz(&vec![0; 4 << 20]);
    is_bomb(&[xz(&bomb_head()), part.repeat(1000)].concat(), "xz");
    // One frame of 2^17 bytes of window: a raw block, then blocks of one byte repeated 2^17 times.
    let head = bomb_head();
    let raw = u32::try_from(head.len() << 3).unwrap().to_le_bytes();
    let frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0x38][..], &raw[..3], &head].concat();
    let block = [&((1_u32 << 20) | 2).to_le_bytes()[..3], &[0]].concat();
    is_bomb(&[frame, block.repeat(40_000)].concat(), "zstd");
}

#[test]
fn a_window_beyond_the_limit_is_refused_before_it_is_allocated() {
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 18 << 3, 1, 0, 0];
    assert!(stream(frame.to_vec()).err().unwrap().contains("zstd data need a window of more than 128 MiB"));
    let mut bytes = xz(&bomb_head());
    // Block header: size, flags, filter 0x21, one octet of properties, dictionary size, padding, CRC-32.
    let len = (usize::from(bytes[12]) + 1) * 4;
    assert_eq!(bytes[14..16], [0x21, 1]);
    bytes[16] = 40;
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..12 + len - 4]);
    bytes[12 + len - 4..12 + len].copy_from_slice(&crc.sum().to_le_bytes());
    assert!(stream(bytes).err().unwrap().contains("xz data need a window of more than 128 MiB"));
}

#[test]
fn compressed_files_are_appended_and_merged_like_plain_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, c) = (packets(300, S), packets(300, S + 3 * MS), packets(90, 60 * S));
    let plain: Vec<PathBuf> = [("a", &a), ("b", &b), ("c", &c)].map(|(n, p)| write(folder.path(), n, &pcap(p))).into();
    let packed: Vec<PathBuf> = [("a.gz", gzip(&pcap(&a))), ("b.zst", zstd(&pcap(&b))), ("c.xz", xz(&pcap(&c)))]
        .map(|(n, p)| write(folder.path(), n, &p))
        .into();
    let (plain, packed) = (watch(&plain, false), watch(&packed, false));
    assert_eq!((&plain.flows, &plain.holes, &plain.problems), (&packed.flows, &packed.holes, &packed.problems));
    let formats: Vec<&str> = packed.inputs.iter().map(|i| &*i.format).collect();
    assert_eq!(formats, ["pcap (nanosecond), gzip", "pcap (nanosecond), zstd", "pcap (nanosecond), xz"]);
}

#[test]
fn a_digest_is_that_of_the_file_and_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let plain = pcap(&packets(2000, S));
    let mut damaged = plain.clone();
    damaged.truncate(plain.len() / 2 + 3);
    damaged.extend([0xff; 300_000]);
    let files = [
        ("plain", plain),
        ("overlaps.gz", gzip(&pcap(&packets(500, S + MS)))),
        ("later.xz", xz(&pcap(&packets(50, 90 * S)))),
        ("damaged", damaged),
    ];
    let paths: Vec<PathBuf> = files.iter().map(|(n, b)| write(folder.path(), n, b)).collect();
    let (with, without) = (watch(&paths, true), watch(&paths, false));
    for (input, (name, bytes)) in with.inputs.iter().zip(&files) {
        let expected: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(input.sha256, Known::Known(expected), "{name}");
    }
    let mut undone = with.clone();
    undone.inputs.iter_mut().for_each(|i| i.sha256 = Known::Unknown);
    assert_eq!(undone, without);
    let (_, bytes) = &files[1];
    let meta = drain(stream(bytes.clone()).unwrap().hashed()).2;
    assert_eq!(meta.sha256, with.inputs[1].sha256, "a compressed stream");
}

/// snoop, as RFC 1761 has it.
fn snoop(frames: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let mut file = [b"snoop\0\0\0", &[0, 0, 0, 2, 0, 0, 0, 4][..]].concat();
    for (secs, drops, data) in frames {
        let (len, pad) = (data.len() as u32, (4 - data.len() % 4) % 4);
        for word in [len, len, 24 + len + pad as u32, *drops, *secs, 250_000] {
            file.extend(word.to_be_bytes());
        }
        file.extend(*data);
        file.extend(vec![0; pad]);
    }
    file
}

#[test]
fn snoop_is_read_with_its_drops() {
    let folder = tempfile::tempdir().unwrap();
    let data = packets(3, S)[2].frame();
    let odd = &data[..data.len() - 1];
    let bytes = snoop(&[(10, 0, &data), (11, 0, odd), (12, 5, &data)]);
    let (frames, problems, meta) = read(&bytes);
    assert_eq!((frames.len(), problems, meta.format, meta.bytes), (3, vec![], "snoop", bytes.len() as u64));
    assert_eq!(frames[1], (11_250_000_000, odd.to_vec()));
    assert_eq!((meta.loss().kernel, meta.drops.len()), (Known::Known(5), 1));
    let (whole, path) = (read(&bytes), write(folder.path(), "x", &bytes));
    let seen =
        observe(vec![(InputId(0), CaptureFile::open(&path, InputId(0)))], &Options { threads: 2, segment_len: 50 });
    assert_eq!(seen.unwrap().inputs[0].packets, whole.2.packets, "in segments");
    for cut in 16..bytes.len() {
        let (f, p, _) = read(&bytes[..cut]);
        assert!(f.len() <= 3 && p.len() <= 1);
    }
    let mut wrong = bytes.clone();
    wrong[16 + 7] = 255;
    assert_eq!(trouble(&wrong).1.kind, ProblemKind::FileCorrupt, "longer than its record");
}
