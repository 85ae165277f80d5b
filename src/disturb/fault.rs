//! Faults as plain data: what befalls which frames. A list of them can be printed, kept and played again.

use std::net::IpAddr;
use std::ops::Range;

use crate::base::{Span, Time};

/// Something that goes wrong between the wire and the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Frames never arrive.
    Drop {
        /// Those.
        which: Which,
        /// What the capture says of it.
        told: Told,
    },
    /// Frames arrive once more.
    Again {
        /// Those.
        which: Which,
        /// How the copy differs.
        copy: Copied,
    },
    /// Frames change places with others, at most so many places away.
    Reorder {
        /// Places.
        within: usize,
        /// Of the random numbers.
        seed: u64,
    },
    /// Of each frame at most so many bytes are captured.
    Snaplen(u32),
    /// From the frame of this index on (0-based) the clock is ahead by so many nanoseconds, or behind.
    ClockStep {
        /// First frame stamped by the changed clock.
        at: u64,
        /// Nanoseconds, negative for a step back.
        by: i64,
    },
}

/// A choice of frames. Indices count the frames that reach the fault, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// Those with these indices.
    Frames(Range<u64>),
    /// So many of a thousand, each by itself.
    Random {
        /// Of a thousand.
        per_mille: u16,
        /// Of the random numbers.
        seed: u64,
    },
    /// Runs of frames, of which so many of a thousand frames begin one.
    Bursts {
        /// Of a thousand.
        per_mille: u16,
        /// Frames of a run.
        length: u64,
        /// Of the random numbers.
        seed: u64,
    },
    /// Stamped before.
    Before(Time),
    /// Stamped then or later.
    From(Time),
    /// IP packets sent by one of these.
    SentBy(Vec<IpAddr>),
}

/// What a capture says of frames it lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// How many in all, as statistics do.
    Total,
    /// How many before which frame, as pcapng's packet blocks can.
    Dated,
}

/// How a second copy of a frame differs from the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Stamped so much later, and handed on in the order of time.
    pub later: Span,
    /// Hops between the two: the time to live is so much less.
    pub hops: u8,
    /// Ethernet only: tagged with this VLAN in addition.
    pub vlan: Option<u16>,
    /// Added to the number of the interface.
    pub interface: u32,
}

impl Fault {
    /// Frames lost without a word.
    pub const fn lost(which: Which) -> Self {
        Self::Drop { which, told: Told::Nothing }
    }

    /// Everything seen by a second tap as well, behind a router, whose clock or path lags behind.
    pub const fn second_tap(later: Span) -> Self {
        Self::Again { which: Which::All, copy: Copied { later, hops: 1, vlan: None, interface: 1 } }
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): small, and the same everywhere.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn chance(&mut self, per_mille: u16) -> bool {
        self.next() % 1000 < u64::from(per_mille)
    }
}
