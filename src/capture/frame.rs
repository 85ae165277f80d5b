//! What a capture hands on: frames and what its blocks say about themselves.

use crate::base::{InputId, Known, Time};

/// A link-layer type as captures number it (tcpdump.org "Link-Layer Header Types"), not yet judged decodable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

/// One captured frame, borrowed from its reader's buffer; it never leaves the worker that read it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When it was captured.
    pub time: Time,
    /// The input it came from.
    pub input: InputId,
    /// 1-based number in its input, or in its segment until the fold has numbered it.
    pub number: u64,
    /// Interface index inside the input: pcapng's interface id, 0 for pcap.
    pub interface: u32,
    /// How `data` begins.
    pub link: LinkType,
    /// The captured bytes.
    pub data: &'a [u8],
    /// Bytes on the wire, at least `data.len()` where the capture is sane.
    pub original_len: u32,
}

/// What is known of packets that were not captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Dropped by the capturing kernel or library for lack of room.
    pub kernel: Known<u64>,
    /// Dropped by the interface or its driver.
    pub interface: Known<u64>,
}

impl Loss {
    /// A source that stores no counters.
    pub const UNKNOWN: Self = Self { kernel: Known::Unknown, interface: Known::Unknown };
}
