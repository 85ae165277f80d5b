//! Captures rotated into many files: they are appended as they are read, and nothing shows of it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may stop at the first surprise"
)]

mod synth;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::{Compression, write::GzEncoder};
use portwitness::base::{InputId, Known, ProblemKind};
use portwitness::capture::{CaptureFile, Meter, OpenError, OpenReason};
use portwitness::observe::{Limits, Observation, Options, Saved, collect};
use proptest::prelude::*;
use synth::random::packets;
use synth::{ACK, Pk, S, pcap};

/// What becomes of a part of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Packed,
    Saved,
    Missing,
    Cut,
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![
        12 => Just(Form::Plain),
        2 => Just(Form::Packed),
        1 => Just(Form::Saved),
        1 => Just(Form::Missing),
        1 => Just(Form::Cut),
    ]
}

/// Writes a part; its path.
fn write(folder: &Path, number: usize, packets: &[Pk], form: Form) -> PathBuf {
    let path = folder.join(number.to_string());
    let mut bytes = pcap(packets);
    match form {
        Form::Plain => {}
        Form::Packed => {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(&bytes).unwrap();
            bytes = packed.finish().unwrap();
        }
        Form::Saved => {
            fs::write(&path, &bytes).unwrap();
            let capture = (InputId(0), CaptureFile::open(&path, InputId(0)).map(CaptureFile::hashed));
            bytes.clear();
            let point = collect(vec![capture], Vec::new(), &Options::default(), &Limits::default()).unwrap();
            point.save(&mut bytes).unwrap();
        }
        Form::Missing => return path,
        Form::Cut => bytes.truncate(bytes.len() - 3),
    }
    fs::write(&path, bytes).unwrap();
    path
}

/// How files are given and read.
#[derive(Clone, Debug)]
struct How {
    options: Options,
    hash: bool,
    limits: Limits,
}

/// Observes the files, numbered in the order given. Beside a stream, which cannot be read a second time, everything is known of all
/// files before anything is appended.
fn observed(paths: &[PathBuf], how: &How, beside_a_stream: bool) -> Observation {
    let (mut captures, mut saved) = (Vec::new(), Vec::new());
    for (id, path) in (0..).map(InputId).zip(paths) {
        let file = match Saved::open(path) {
            Ok(Some(file)) => {
                saved.push((file, vec![id]));
                continue;
            }
            _ => CaptureFile::open(path, id),
        };
        captures.push((id, file.map(|f| if how.hash { f.hashed() } else { f })));
    }
    if beside_a_stream {
        let (id, empty) = (InputId(u32::MAX), pcap(&[]));
        captures.push((id, CaptureFile::from_read("-", id, Box::new(std::io::Cursor::new(empty)))));
    } else if captures.iter().all(|c| c.1.is_err()) && saved.is_empty() {
        // Nothing at all is an error, and none beside a stream.
        return observed(paths, how, true);
    }
    let mut seen = collect(captures, saved, &how.options, &how.limits).unwrap().finish_on(how.options.threads);
    seen.inputs.retain(|i| i.input != InputId(u32::MAX));
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Times run backwards within files and between them, so some files overlap, and some lie before what was appended.
    #[test]
    fn what_is_appended_early_equals_what_is_appended_when_all_is_known(
        packets in packets(160),
        parts in prop::collection::vec((0..1000_usize, form()), 2..14),
        order in Just((0..14).collect::<Vec<usize>>()).prop_shuffle(),
        (segment, hash, small) in (prop_oneof![Just(0), 100..4000_u64], any::<bool>(), prop::bool::weighted(0.2)),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut cuts: Vec<usize> = parts.iter().map(|p| p.0 % (packets.len() + 1)).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().skip(1).copied().chain([packets.len()]);
        let slices: Vec<&[Pk]> = cuts.iter().zip(ends).map(|(from, to)| &packets[*from..to]).collect();
        let written: Vec<PathBuf> =
            (0..).zip(slices).zip(&parts).map(|((n, packets), (_, form))| write(folder.path(), n, packets, *form)).collect();
        let paths: Vec<PathBuf> = order.iter().filter_map(|n| written.get(*n)).cloned().collect();
        let limits = if small { Limits::new(1, Arc::default()) } else { Limits::default() };
        let how = |threads| How { options: Options { threads, segment_len: segment }, hash, limits: limits.clone() };
        let known = observed(&paths, &how(1), true);
        for threads in [1, 2, 3, 8] {
            prop_assert_eq!(&known, &observed(&paths, &how(threads), false));
        }
    }
}

/// One connection's data: a byte each second, from so many seconds on.
fn seconds(times: &[i64]) -> Vec<Pk> {
    let byte = |t: &i64| Pk::tcp(t * S, (1, 50_000), (2, 445), ACK, 1 + *t as u32, 1, b"x");
    times.iter().map(byte).collect()
}

fn plain(folder: &Path, files: &[&[i64]]) -> Observation {
    let write = |(n, times): (usize, &&[i64])| write(folder, n, &seconds(times), Form::Plain);
    let paths: Vec<PathBuf> = files.iter().enumerate().map(write).collect();
    let options = Options { threads: 2, segment_len: 0 };
    observed(&paths, &How { options, hash: true, limits: Limits::default() }, false)
}

/// Bytes that were never seen, of a connection that all are of.
fn unseen(seen: &Observation) -> Vec<(u64, u64)> {
    seen.flows.iter().flat_map(|f| &f.ends).filter(|e| e.packets > 0).map(|e| (e.packets, e.retransmitted)).collect()
}

#[test]
fn a_frame_far_before_its_files_first_one_is_put_where_it_belongs() {
    let folder = tempfile::tempdir().unwrap();
    // The fourth file holds a frame of the first one's time: both are merged, and the others stay between holes.
    let seen = plain(folder.path(), &[&[1, 2, 4], &[5, 6], &[7, 8], &[9, 10, 3], &[11, 12]]);
    assert_eq!(seen.flows.len(), 1);
    assert_eq!(unseen(&seen), [(12, 0)]);
    // Files from the first one's beginning to the last frame of the one that reaches back into it are one group.
    assert_eq!(seen.holes.len(), 1);
    let stepped: Vec<InputId> =
        seen.problems.iter().filter(|p| p.kind == ProblemKind::TimeBackwards).map(|p| p.input).collect();
    assert_eq!(stepped, [InputId(3)]);
    assert!(seen.inputs.iter().all(|i| i.sha256 != Known::Unknown));
}

#[test]
fn what_cannot_be_opened_among_many_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |n: u32, times: &[i64]| {
        let path = write(folder.path(), n as usize, &seconds(times), Form::Plain);
        (InputId(n), CaptureFile::open(&path, InputId(n)))
    };
    let gone = OpenError { name: "gone".to_owned(), reason: OpenReason::Missing };
    let inputs = vec![file(0, &[7, 8, 1]), (InputId(1), Err(gone)), file(2, &[2, 3]), file(3, &[5, 6])];
    let seen = collect(inputs, Vec::new(), &Options::default(), &Limits::default()).unwrap().finish();
    let told: Vec<_> = seen.problems.iter().filter(|p| p.kind == ProblemKind::InputUnreadable).collect();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].input, told[0].count, seen.inputs.len()), (InputId(1), 1, 4));
}

/// What a meter shows of files given in this order: bytes read, and how many of these are told to be read a second time. Read, it
/// never shows more than there is.
fn metered(files: &[&[i64]], form: Form, threads: usize) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let meter = Arc::new(Meter::default());
    let open = |(n, times): (u32, &&[i64])| {
        let path = write(folder.path(), n as usize, &seconds(times), form);
        (InputId(n), CaptureFile::open(&path, InputId(n)).map(|f| f.metered(Arc::clone(&meter))))
    };
    let inputs: Vec<_> = (0..).zip(files).map(open).collect();
    let bytes: u64 = inputs.iter().filter_map(|i| i.1.as_ref().ok()?.len()).sum();
    let options = Options { threads, segment_len: 0 };
    let seen = collect(inputs, Vec::new(), &options, &Limits::default()).unwrap().finish();
    assert_eq!(seen.inputs.len(), files.len());
    assert!(meter.read() <= bytes + meter.again(), "{} of {bytes} and {}", meter.read(), meter.again());
    (meter.read(), meter.again())
}

#[test]
fn files_are_read_once_unless_they_overlap() {
    let shuffled: [&[i64]; 5] = [&[7, 8], &[1, 2], &[9, 10], &[3, 4], &[5, 6]];
    // Two of them overlap.
    let pair: [&[i64]; 4] = [&[5, 8], &[1, 2], &[7, 10], &[3, 4]];
    let late: [&[i64]; 5] = [&[1, 2, 4], &[5, 6], &[7, 8], &[9, 10, 3], &[11, 12]];
    for (form, threads) in [(Form::Plain, 1), (Form::Plain, 3), (Form::Packed, 1), (Form::Packed, 3)] {
        let alone = |files: &[&[i64]]| -> u64 { files.iter().map(|f| metered(&[f], form, threads).0).sum() };
        // Looking for their order counts as nothing.
        assert_eq!(metered(&shuffled, form, threads), (alone(&shuffled), 0), "{form:?}, {threads} threads");
        assert_eq!(
            metered(&pair, form, threads).0,
            alone(&pair) + alone(&[pair[0], pair[2]]),
            "{form:?}, {threads} threads"
        );
        // At the same instant the one given first goes first: only one of these orders needs merging.
        assert_eq!(metered(&[&[1, 2], &[2, 3]], form, threads).1, 0);
        assert_ne!(metered(&[&[2, 3], &[1, 2]], form, threads).1, 0);
        assert_eq!(metered(&late, form, threads).0, 2 * alone(&late), "{form:?}, {threads} threads");
    }
}
