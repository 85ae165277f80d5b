//! Pieces of a file that workers read apart, and the rule by which they count.

use super::order::Order;
use super::pcap;
use super::pcapng::Interface;
use super::snoop;
use crate::base::Time;

/// Bytes of a segment, at least.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Segments of a file of middling size. Each flow is begun anew in each, which costs it a dozen packets on the long way; so they
/// are few, and more than four threads are busy only where there are several files, or a very large one.
const SEGMENTS: u64 = 4;
/// Bytes of a segment, at most.
const MOST_BYTES: u64 = 1024 * 1024 * 1024;

/// Bytes of the segments of a file, by its length alone: the output must not depend on the number of threads.
pub fn segment_len(file: u64) -> u64 {
    file.div_ceil(SEGMENTS).clamp(SEGMENT_BYTES, MOST_BYTES)
}

/// What a reader must know to read on at some offset: pcap's header, or pcapng's section and its interfaces.
#[derive(Clone, Debug)]
pub struct Context {
    pub(super) format: Format,
    /// Time of the last frame before, for a packet block that has none of its own.
    pub(super) carried: Option<Time>,
}

/// The format and what was declared so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Pcap(pcap::Header),
    Pcapng(Section),
    Snoop(snoop::Header),
}

/// A pcapng section as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// Its byte order; `None` before the first section header.
    pub(super) order: Option<Order>,
    /// Interfaces of the sections before it.
    pub(super) base: u32,
    /// Its interfaces so far.
    pub(super) interfaces: Vec<Interface>,
}

impl Context {
    /// The format's name.
    pub(super) const fn name(&self) -> &'static str {
        match &self.format {
            Format::Pcap(header) => header.name(),
            Format::Pcapng(_) => "pcapng",
            Format::Snoop(_) => "snoop",
        }
    }
}

/// Where a segment begins.
#[derive(Clone, Debug)]
pub enum SegmentStart {
    /// A record or block begins exactly here.
    Exact {
        /// Byte offset.
        offset: u64,
        /// What was declared before.
        context: Context,
    },
    /// The first record at or after the offset is to be found; it may be found wrongly, see [`SegmentReport::follows`].
    Guess {
        /// Byte offset.
        offset: u64,
        /// What was declared at the beginning of the file, in the hope that nothing was added.
        context: Context,
    },
}

/// Where a segment began and ended.
#[derive(Clone, Debug)]
pub struct SegmentReport {
    /// Offset of its first record; `None` where a guess found none.
    pub started_at: Option<u64>,
    pub(super) start: Format,
    /// Offset of the first record it did not read.
    pub ended_at: u64,
    /// What was declared up to its end.
    pub end: Context,
    /// Whether nothing can follow: the file ended, or is damaged here.
    pub finished: bool,
}

impl SegmentReport {
    /// Whether this segment, begun by a guess, is what reading on from the end of `before` would have given.
    ///
    /// Where it is not, its frames must be dropped and the segment be read again from [`SegmentReport::next`] of `before`.
    /// Where it is, it takes over from `before` what only that one knew.
    pub fn follows(&mut self, before: &Self) -> bool {
        let follows = !before.finished && self.started_at == Some(before.ended_at) && self.start == before.end.format;
        if follows {
            self.end.carried = self.end.carried.or(before.end.carried);
        }
        follows
    }

    /// How to read on.
    pub fn next(&self) -> SegmentStart {
        SegmentStart::Exact { offset: self.ended_at, context: self.end.clone() }
    }
}
