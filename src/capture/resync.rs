//! Finding the first record after an arbitrary offset.
//!
//! A wrong find costs time, never correctness: the segment counts only where its predecessor ends.

use std::fs::File;
use std::io;

use super::pcapng::{self, PacketHead, block};
use super::reader::{KEPT, max_frame};
use super::segment::{Format, Section};
use super::window::read_at;
use super::{order::Order, pcap};

/// Records in a row that must look right.
const CHAIN: usize = 6;
/// Bytes searched: more than the longest usual record.
const SEARCHED: u64 = 2 * KEPT as u64;
/// Neighbouring packets further apart than this are not believed here.
const APART: u32 = 30 * 24 * 3600;
/// Bytes of the file held while searching.
const HELD: usize = 64 * 1024;

/// Random reads with a buffer around the searched place.
struct Probe<'f> {
    file: &'f File,
    len: u64,
    buf: Vec<u8>,
    base: u64,
}

impl Probe<'_> {
    /// The `n` bytes at `at`, which must be few; fewer at the end of the file.
    fn get(&mut self, at: u64, n: usize) -> io::Result<&[u8]> {
        let held = at.checked_sub(self.base).and_then(|o| usize::try_from(o).ok());
        let inside = held.filter(|o| o + n <= self.buf.len() || self.base + self.buf.len() as u64 == self.len);
        let from = match inside {
            Some(o) => o,
            None => {
                self.load(at)?;
                0
            }
        };
        Ok(self.buf.get(from..self.buf.len().min(from + n)).unwrap_or(&[]))
    }

    fn load(&mut self, at: u64) -> io::Result<()> {
        self.buf.resize(HELD, 0);
        self.base = at;
        let mut got = 0;
        while let Some(room) = self.buf.get_mut(got..).filter(|r| !r.is_empty()) {
            match read_at(self.file, room, at + got as u64)? {
                0 => break,
                n => got += n,
            }
        }
        self.buf.truncate(got);
        Ok(())
    }
}

/// A record that looks right: where the next one begins, and its seconds where they were told.
struct Plausible {
    next: u64,
    secs: Option<u32>,
}

/// The offset of the first record at or after `from` that begins a chain of plausible records; the file's length where
/// nothing is left; `None` where none was found.
pub(super) fn first_record(file: &File, len: u64, format: &Format, from: u64) -> io::Result<Option<u64>> {
    if matches!(format, Format::Snoop(_)) {
        // Not worth a guess: such a file is read in order.
        return Ok(None);
    }
    let mut near = Probe { file, len, buf: Vec::new(), base: 0 };
    let mut far = Probe { file, len, buf: Vec::new(), base: 0 };
    let step = if matches!(format, Format::Pcap(_)) { 1 } else { 4 };
    let mut at = from.next_multiple_of(step);
    while at < len && at < from + SEARCHED {
        if let Some(first) = plausible(&mut near, &mut far, format, at)?
            && chain(&mut far, format, first)?
        {
            return Ok(Some(at));
        }
        at += step;
    }
    Ok((at >= len).then_some(len))
}

/// Whether what follows a plausible record goes on being plausible up to the chain's length or the end of the file.
fn chain(far: &mut Probe<'_>, format: &Format, first: Plausible) -> io::Result<bool> {
    let (mut at, mut secs) = (first.next, first.secs);
    let mut ahead = Probe { file: far.file, len: far.len, buf: Vec::new(), base: 0 };
    for links in 1..CHAIN {
        if at >= far.len {
            return Ok(at == far.len || links > 1);
        }
        let Some(p) = plausible(far, &mut ahead, format, at)? else {
            return Ok(false);
        };
        if secs.zip(p.secs).is_some_and(|(a, b)| a.abs_diff(b) > APART) {
            return Ok(false);
        }
        (at, secs) = (p.next, p.secs.or(secs));
    }
    Ok(true)
}

fn plausible(near: &mut Probe<'_>, far: &mut Probe<'_>, format: &Format, at: u64) -> io::Result<Option<Plausible>> {
    match format {
        Format::Pcap(header) => Ok(pcap_record(near.get(at, header.record_len())?, header, at)),
        Format::Pcapng(section) => {
            let Some((order, len)) = block_head(near.get(at, pcapng::HEAD + PacketHead::LEN)?, section) else {
                return Ok(None);
            };
            let next = at + u64::from(len);
            let whole = next > near.len || order.u32(far.get(next - 4, 4)?, 0) == Some(len);
            Ok(whole.then_some(Plausible { next, secs: None }))
        }
        Format::Snoop(_) => Ok(None),
    }
}

fn pcap_record(bytes: &[u8], header: &pcap::Header, at: u64) -> Option<Plausible> {
    let r = header.record(bytes)?;
    // An empty record is allowed, but a run of zero bytes looks like many of them.
    let fits = 0 < r.captured && r.captured <= max_frame(header.link).min(KEPT) && r.captured <= r.original;
    let sane = fits && r.nanos < 1_000_000_000 && r.original <= 64 * KEPT;
    sane.then(|| Plausible { next: at + header.record_len() as u64 + u64::from(r.captured), secs: Some(r.secs) })
}

fn block_head(bytes: &[u8], section: &Section) -> Option<(Order, u32)> {
    let order = if pcapng::is_section(bytes) { pcapng::section_order(bytes)? } else { section.order? };
    let (kind, len) = (order.u32(bytes, 0)?, order.u32(bytes, 4)?);
    let known = match kind {
        block::ENHANCED | block::PACKET => {
            let p = PacketHead::parse(order, kind, bytes.get(pcapng::HEAD..)?)?;
            let room = len.checked_sub(32)?;
            p.captured <= room && p.captured <= KEPT && (p.interface as usize) < section.interfaces.len()
        }
        block::SECTION
        | block::INTERFACE
        | block::SIMPLE
        | block::NAMES
        | block::STATISTICS
        | block::JOURNAL
        | block::SECRETS
        | block::CUSTOM
        | block::CUSTOM_NO_COPY => true,
        _ => false,
    };
    (known && len >= pcapng::MIN_BLOCK && len % 4 == 0 && len <= 64 * KEPT).then_some((order, len))
}
