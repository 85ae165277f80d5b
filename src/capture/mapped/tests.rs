#![cfg(target_os = "linux")]

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Mapped;
use super::linux::STRETCH;
use crate::base::{InputId, Problem};
use crate::capture::{CaptureFile, Frame, InputMeta, SegmentReport, Sink};

/// Just written, so in memory.
fn file(folder: &Path, bytes: &[u8]) -> (PathBuf, Arc<File>) {
    let path = folder.join("file");
    fs::write(&path, bytes).unwrap();
    let file = File::open(&path).unwrap();
    (path, Arc::new(file))
}

fn shrink(path: &Path, len: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn counting(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[test]
fn what_is_mapped_are_the_files_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = counting(STRETCH + 3 * 65_536 + 77);
    let (_, file) = file(folder.path(), &bytes);
    for offset in [0, 1, 4095, 4096, 70_001] {
        let map = Mapped::of(&file, offset as u64).unwrap();
        let seen = map.bytes();
        assert!(seen.len() > STRETCH - 65_536 && seen.len() <= STRETCH);
        assert!(seen == &bytes[offset..offset + seen.len()]);
        assert!(!map.is_torn());
    }
    // The last page is not whole.
    assert!(Mapped::of(&file, bytes.len() as u64 - 5).is_none());
    assert!(Mapped::of(&file, bytes.len() as u64 + 500_000).is_none());
}

#[test]
fn a_file_that_shrinks_tears_what_is_mapped_and_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = file(folder.path(), &counting(STRETCH));
    let (map, other) = (Mapped::of(&file, 0).unwrap(), Mapped::of(&file, 0).unwrap());
    shrink(&path, 131_072);
    assert!(map.bytes()[..131_072] == counting(131_072));
    assert!(map.bytes()[131_072..].iter().all(|b| *b == 0));
    assert!(map.is_torn() && other.is_torn());
    drop((map, other));
    let map = Mapped::of(&file, 0).unwrap();
    assert_eq!((map.bytes().len(), map.is_torn()), (131_072, false));
}

#[test]
fn zeros_behind_a_new_end_on_the_same_page_are_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = file(folder.path(), &counting(65_536));
    let map = Mapped::of(&file, 0).unwrap();
    shrink(&path, 65_530);
    assert_eq!(map.bytes().last(), Some(&0));
    assert!(map.is_torn());
}

/// Records of 64 bytes of data, a millisecond apart.
fn capture(records: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for n in 0..records {
        for word in [1 + n / 1000, n % 1000 * 1000, 64, 64] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend([7; 64]);
    }
    bytes
}

/// Counts frames, and may have something done at one of them.
struct Counting<F>(u64, F);

impl<F: FnMut(u64)> Sink for Counting<F> {
    fn frame(&mut self, frame: &Frame<'_>) {
        self.0 += 1;
        (self.1)(self.0);
        assert!(frame.data.len() <= 64);
    }

    fn problem(&mut self, _: Problem) {}
}

fn read(file: &CaptureFile, at_frame: impl FnMut(u64)) -> (u64, InputMeta, SegmentReport) {
    let mut reader = file.read_segment(file.first_segment(), u64::MAX).unwrap();
    let mut sink = Counting(0, at_frame);
    let meta = reader.each(&mut sink);
    (sink.0, meta, reader.report())
}

/// Reads a capture that shrinks to `left` bytes while it is read, and one that had been so short before.
fn shrunk(left: u64) {
    const RECORDS: u32 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = file(folder.path(), &capture(RECORDS));
    let growing = CaptureFile::open(&path, InputId(0)).unwrap();
    let whole = read(&growing, |_| ());
    assert_eq!((whole.0, whole.1.damaged_at), (u64::from(RECORDS), None));
    let torn = read(&growing, |n| {
        // Beyond what is read before anything is mapped.
        if n == 6000 {
            shrink(&path, left);
        }
    });
    assert_eq!(torn.2.started_at, None, "void");
    let (again, known) = (read(&growing, |_| ()), read(&CaptureFile::open(&path, InputId(0)).unwrap(), |_| ()));
    assert_eq!((again.0, &again.1), (known.0, &known.1));
    assert_eq!(again.2.started_at, Some(24));
    assert_eq!(again.2.finished, known.2.finished);
}

#[test]
fn a_capture_that_shrinks_while_it_is_read_is_read_as_what_is_left() {
    // On a page, within a record, between two, and nearly nothing.
    for left in [409_600, 409_601, 24 + 80 * 9000, 30, 24] {
        shrunk(left);
    }
}
