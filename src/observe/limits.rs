//! How much memory a reading may take, and what is let go first where that is not enough.

use std::sync::Arc;

use crate::base::AddrSet;

use super::rest::Keep;

/// Bounds of a reading.
///
/// Each stretch and each fold of stretches is bounded by numbers that depend on these limits alone, never on what other threads
/// do, so that the result is the same for any number of them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes that flows may take, about.
    pub bytes: u64,
    /// Addresses whose flows among each other are never let go, as opaque data.
    pub protected: Arc<AddrSet>,
    /// Flows held at most, where that is less than what fits.
    most: Option<usize>,
    /// Which flows are held as flows in the end; the others become sums.
    pub keep: Keep,
}

/// How many bytes rows may take.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    /// Beyond this, attempts are let go.
    pub(super) shed: u64,
    /// Beyond this, rows are turned away.
    pub(super) most: u64,
}

/// Bytes of a flow that is hardly more than an attempt; the bound on the number of flows follows from it.
const FLOW: u64 = 512;
/// Flows that are held in any case.
const LEAST: usize = 1024;
/// Attempts begin to be let go in a stretch at this part of the bound: several stretches are in memory at once.
const STRETCH: usize = 32;
/// The same in a fold, whose flows are to be sealed and reported, which takes more.
const FOLD: usize = 8;

/// Bytes that the allocator holds back for each thread and size of allocation, about; at most half of all.
const HELD_BACK: u64 = 6 << 20;

impl Bounds {
    /// What is left of them behind so many bytes.
    pub(super) const fn behind(self, before: u64) -> Self {
        Self { shed: self.shed.saturating_sub(before), most: self.most.saturating_sub(before) }
    }
}

impl Limits {
    /// The usual limit.
    pub const BYTES: u64 = 1 << 30;

    /// So much memory, and who is protected.
    pub fn new(bytes: u64, protected: Arc<AddrSet>) -> Self {
        Self { bytes, protected, most: None, keep: Keep::all() }
    }

    /// The same, of which only some flows are held as flows in the end.
    #[must_use]
    pub fn keeping(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    /// The same for a program that takes so many bytes for other things, at most half of all, and keeps flows in so many forms
    /// beside each other.
    #[must_use]
    pub fn shared(self, other: u64, forms: u64) -> Self {
        let flows = (self.bytes - other.min(self.bytes / 2)) / FLOW / forms.max(1);
        Self { most: usize::try_from(flows).ok(), ..self }
    }

    /// Flows that fit.
    fn fit(&self) -> usize {
        usize::try_from(self.bytes / FLOW).unwrap_or(usize::MAX)
    }

    /// Flows held at most.
    pub(super) fn flows(&self) -> usize {
        self.most.unwrap_or(usize::MAX).min(self.fit()).max(LEAST)
    }

    /// Flows in a stretch at which attempts begin to be let go.
    pub(super) fn stretch(&self) -> usize {
        (self.fit().max(LEAST) / STRETCH).min(self.flows() / 2)
    }

    /// Bounds of all rows, and of the flows they will become: the rest is for those that are being read.
    pub(super) const fn shelf(&self) -> Bounds {
        let spare = if self.bytes / 2 < HELD_BACK { self.bytes / 2 } else { HELD_BACK };
        let bytes = self.bytes - spare;
        Bounds { shed: bytes / 8 * 5, most: bytes / 4 * 3 }
    }

    /// Bytes of rows of a saved observation that is read before its turn.
    pub(super) const fn ahead(&self) -> u64 {
        self.bytes / 64
    }

    /// Flows in a fold at which attempts begin to be let go.
    pub(super) fn fold(&self) -> usize {
        self.flows() / FOLD
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(Self::BYTES, Arc::default())
    }
}
