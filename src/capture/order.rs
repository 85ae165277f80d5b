//! Byte order of a capture file, and checked reads in it.

/// The byte order in which a file, or a section of one, was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Order {
    /// Two bytes at `at`; `None` past the end.
    #[inline(always)]
    pub(crate) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let b = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(b),
            Self::Big => u16::from_be_bytes(b),
        })
    }

    /// Four bytes at `at`; `None` past the end.
    #[inline(always)]
    pub(crate) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let b = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(b),
            Self::Big => u32::from_be_bytes(b),
        })
    }

    /// Four words. Without a branch per word: this is read once per record.
    #[inline(always)]
    pub(crate) const fn words(self, b: &[u8; 16]) -> [u32; 4] {
        let [first, second, third, fourth] = [
            u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            u32::from_le_bytes([b[4], b[5], b[6], b[7]]),
            u32::from_le_bytes([b[8], b[9], b[10], b[11]]),
            u32::from_le_bytes([b[12], b[13], b[14], b[15]]),
        ];
        match self {
            Self::Little => [first, second, third, fourth],
            Self::Big => [first.swap_bytes(), second.swap_bytes(), third.swap_bytes(), fourth.swap_bytes()],
        }
    }

    /// Eight bytes at `at`; `None` past the end.
    pub(crate) fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let b = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u64::from_le_bytes(b),
            Self::Big => u64::from_be_bytes(b),
        })
    }

    /// A pcapng timestamp at `at`: the high half first, each half in the section's order.
    #[inline(always)]
    pub(crate) fn split_u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let (high, low) = (self.u32(bytes, at)?, self.u32(bytes, at.checked_add(4)?)?);
        Some(u64::from(high) << 32 | u64::from(low))
    }
}
