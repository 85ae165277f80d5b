//! Capture files: pcap in one file or in several, pcapng.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// A captured frame: when (microseconds since 1970), its bytes in two parts, its length on the wire.
pub(crate) struct Captured<'a> {
    pub(crate) micros: u64,
    pub(crate) header: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) wire: usize,
}

impl Captured<'_> {
    /// Bytes kept at a capture length.
    fn kept(&self, snaplen: usize) -> usize {
        self.wire.min(snaplen)
    }

    fn write(&self, to: &mut BufWriter<File>, kept: usize) {
        let header = self.header.len().min(kept);
        to.write_all(&self.header[..header]).unwrap();
        to.write_all(&self.payload[..kept - header]).unwrap();
    }
}

/// Takes frames, in order of time.
pub(crate) trait Sink {
    fn frame(&mut self, frame: &Captured<'_>);
    fn finish(&mut self);
}

fn create(path: &Path) -> BufWriter<File> {
    let file = File::create(path).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    BufWriter::with_capacity(1 << 20, file)
}

/// A pcap file with microseconds, little-endian.
pub(crate) struct Pcap {
    to: BufWriter<File>,
    snaplen: usize,
}

impl Pcap {
    pub(crate) fn new(path: &Path, snaplen: usize) -> Self {
        let mut to = create(path);
        to.write_all(&0xa1b2_c3d4_u32.to_le_bytes()).unwrap();
        to.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        to.write_all(&(snaplen as u32).to_le_bytes()).unwrap();
        to.write_all(&1_u32.to_le_bytes()).unwrap();
        Self { to, snaplen }
    }
}

impl Sink for Pcap {
    fn frame(&mut self, f: &Captured<'_>) {
        let kept = f.kept(self.snaplen);
        let mut record = [0; 16];
        let words = [(f.micros / 1_000_000) as u32, (f.micros % 1_000_000) as u32, kept as u32, f.wire as u32];
        record.chunks_mut(4).zip(words).for_each(|(to, word)| to.copy_from_slice(&word.to_le_bytes()));
        self.to.write_all(&record).unwrap();
        f.write(&mut self.to, kept);
    }

    fn finish(&mut self) {
        self.to.flush().unwrap();
    }
}

/// pcap files of so many frames each, as a capture program rotates them.
pub(crate) struct Rotated {
    folder: PathBuf,
    snaplen: usize,
    frames: u64,
    each: u64,
    now: Pcap,
}

impl Rotated {
    pub(crate) fn new(folder: &Path, snaplen: usize, each: u64) -> Self {
        let now = Pcap::new(&folder.join("part-000.pcap"), snaplen);
        Self { folder: folder.to_owned(), snaplen, frames: 0, each, now }
    }
}

impl Sink for Rotated {
    fn frame(&mut self, f: &Captured<'_>) {
        if self.frames > 0 && self.frames.is_multiple_of(self.each) {
            self.now.finish();
            let name = format!("part-{:03}.pcap", self.frames / self.each);
            self.now = Pcap::new(&self.folder.join(name), self.snaplen);
        }
        self.frames += 1;
        self.now.frame(f);
    }

    fn finish(&mut self) {
        self.now.finish();
    }
}

/// A pcapng file as dumpcap writes it: one section, one interface, its statistics at the end.
pub(crate) struct PcapNg {
    to: BufWriter<File>,
    snaplen: usize,
    last: u64,
}

impl PcapNg {
    pub(crate) fn new(path: &Path, snaplen: usize) -> Self {
        let mut ng = Self { to: create(path), snaplen, last: 0 };
        ng.block(0x0a0d_0d0a, &[&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0], &[0xff; 8]]);
        ng.block(1, &[&[1, 0, 0, 0], &(snaplen as u32).to_le_bytes()]);
        ng
    }

    fn block(&mut self, kind: u32, parts: &[&[u8]]) {
        let len = parts.iter().map(|p| p.len()).sum::<usize>();
        let padding = len.next_multiple_of(4) - len;
        let total = ((12 + len + padding) as u32).to_le_bytes();
        self.to.write_all(&kind.to_le_bytes()).unwrap();
        self.to.write_all(&total).unwrap();
        parts.iter().for_each(|p| self.to.write_all(p).unwrap());
        self.to.write_all(&[0; 3][..padding]).unwrap();
        self.to.write_all(&total).unwrap();
    }
}

/// Two 32-bit words, the higher one first (pcapng, section 4.3).
fn stamp(micros: u64) -> [u8; 8] {
    let mut words = [0; 8];
    words[..4].copy_from_slice(&((micros >> 32) as u32).to_le_bytes());
    words[4..].copy_from_slice(&(micros as u32).to_le_bytes());
    words
}

impl Sink for PcapNg {
    fn frame(&mut self, f: &Captured<'_>) {
        self.last = f.micros;
        let kept = f.kept(self.snaplen);
        let header = f.header.len().min(kept);
        let lengths = [(kept as u32).to_le_bytes(), (f.wire as u32).to_le_bytes()].concat();
        let (head, rest) = (&f.header[..header], &f.payload[..kept - header]);
        self.block(6, &[&[0; 4], &stamp(f.micros), &lengths, head, rest]);
    }

    fn finish(&mut self) {
        // isb_ifdrop and isb_osdrop, both 0, and the end of options.
        let none = [[5, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0], [7, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        let at = stamp(self.last);
        self.block(5, &[&[0; 4], &at, &none, &[0; 4]]);
        self.to.flush().unwrap();
    }
}
