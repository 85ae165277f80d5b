//! What keeps a packet from being understood, and the checked views everything here is built on.

use std::borrow::Cow;

use crate::base::{Problem, ProblemKind};
use crate::capture::Frame;

/// Why a frame, or a part of it, was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Its kind.
    pub kind: ProblemKind,
    /// What exactly, in our own words.
    pub detail: Cow<'static, str>,
}

impl Issue {
    pub(super) const fn new(kind: ProblemKind, detail: &'static str) -> Self {
        Self { kind, detail: Cow::Borrowed(detail) }
    }

    pub(super) const fn malformed(detail: &'static str) -> Self {
        Self::new(ProblemKind::PacketMalformed, detail)
    }

    pub(super) const fn truncated(detail: &'static str) -> Self {
        Self::new(ProblemKind::PacketTruncated, detail)
    }

    /// As a problem of the frame it was met in.
    pub fn problem(&self, frame: &Frame<'_>) -> Problem {
        Problem {
            input: frame.input,
            kind: self.kind,
            detail: self.detail.clone().into_owned(),
            offset: None,
            frame: Some(frame.number),
            count: 1,
        }
    }
}

/// The bytes of a layer: what was captured of them, and how many there were on the wire.
///
/// Never more captured than on the wire; that is checked at construction and kept by every step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer<'a> {
    pub(super) data: &'a [u8],
    pub(super) len: u32,
}

impl<'a> Layer<'a> {
    /// A layer of `len` bytes of which `data` was captured; a capture that claims less on the wire is not believed.
    #[inline]
    pub(super) fn new(data: &'a [u8], len: u32) -> Self {
        Self { data, len: len.max(u32::try_from(data.len()).unwrap_or(u32::MAX)) }
    }

    /// The first `N` bytes; an issue naming `what` where there are fewer, malformed on the wire or cut by the capture.
    #[inline]
    pub(super) fn header<const N: usize>(&self, what: &'static str) -> Result<&'a [u8; N], Issue> {
        self.data.first_chunk().ok_or_else(|| self.short(N, what))
    }

    /// The issue of a header of `n` bytes that is not there.
    #[cold]
    const fn short(&self, n: usize, what: &'static str) -> Issue {
        if (self.len as usize) < n { Issue::malformed(what) } else { Issue::truncated(what) }
    }

    /// What follows the first `n` bytes; nothing where there are fewer.
    #[inline]
    pub(super) fn after(self, n: u32) -> Self {
        Self { data: self.data.get(n as usize..).unwrap_or(&[]), len: self.len.saturating_sub(n) }
    }

    /// At most the first `n` bytes.
    #[inline]
    pub(super) fn limit(self, n: u32) -> Self {
        Self { data: self.data.get(..n as usize).unwrap_or(self.data), len: self.len.min(n) }
    }
}

/// Two bytes in network order at `at`.
#[inline]
pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Four bytes in network order at `at`.
#[inline]
pub(super) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
