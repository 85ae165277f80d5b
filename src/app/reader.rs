//! A cursor over bytes that never reads past their end.

/// Reads fields in order; every read past the end is `None` and leaves nothing half read that matters.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    big: bool,
}

impl<'a> Reader<'a> {
    /// Big endian, the order of network protocols.
    pub(super) const fn big(data: &'a [u8]) -> Self {
        Self { data, at: 0, big: true }
    }

    /// Little endian.
    pub(super) const fn little(data: &'a [u8]) -> Self {
        Self { data, at: 0, big: false }
    }

    /// Big endian where `big`, else little endian.
    pub(super) const fn ordered(data: &'a [u8], big: bool) -> Self {
        Self { data, at: 0, big }
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(n)?;
        let bytes = self.data.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    /// All bytes not yet read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    /// Skips `n` bytes.
    pub(super) fn skip(&mut self, n: usize) -> Option<()> {
        self.take(n).map(|_| ())
    }

    /// Skips to the next multiple of `n` from the start of the data (NDR alignment, C706 section 14.2.2).
    pub(super) fn align(&mut self, n: usize) -> Option<()> {
        let over = self.at.checked_rem(n)?;
        if over == 0 { Some(()) } else { self.skip(n - over) }
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// One byte.
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[b]| b)
    }

    /// 16 bits in the reader's order.
    pub(super) fn u16(&mut self) -> Option<u16> {
        let b = self.array()?;
        Some(if self.big { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) })
    }

    /// 32 bits in the reader's order.
    pub(super) fn u32(&mut self) -> Option<u32> {
        let b = self.array()?;
        Some(if self.big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) })
    }

    /// 64 bits in the reader's order.
    pub(super) fn u64(&mut self) -> Option<u64> {
        let b = self.array()?;
        Some(if self.big { u64::from_be_bytes(b) } else { u64::from_le_bytes(b) })
    }

    /// 24 bits, big endian: the length fields of TLS handshakes, direct TCP and iSCSI.
    pub(super) fn be24(&mut self) -> Option<usize> {
        let [a, b, c] = self.array()?;
        Some(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
    }

    /// A UUID in lower-case text; its first three fields are in the reader's order (C706 appendix A).
    pub(super) fn uuid(&mut self) -> Option<String> {
        let (a, b, c) = (self.u32()?, self.u16()?, self.u16()?);
        let [d0, d1, e @ ..] = self.array::<8>()?;
        let node: String = e.iter().map(|b| format!("{b:02x}")).collect();
        Some(format!("{a:08x}-{b:04x}-{c:04x}-{d0:02x}{d1:02x}-{node}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_both_orders_and_stops_at_the_end() {
        let bytes = [0x08, 0x83, 0xaf, 0xe1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(Reader::little(&bytes).uuid().unwrap(), "e1af8308-0201-0403-0506-0708090a0b0c");
        assert_eq!(Reader::big(&bytes).uuid().unwrap(), "0883afe1-0102-0304-0506-0708090a0b0c");
        let mut r = Reader::big(&bytes);
        r.skip(13).unwrap();
        assert_eq!(r.be24(), Some(0x000a_0b0c));
        assert_eq!((r.u8(), r.align(4), r.rest().len()), (None, Some(()), 0));
        r = Reader::big(&bytes[..5]);
        r.skip(5).unwrap();
        assert_eq!((r.align(4), r.take(usize::MAX)), (None, None));
    }
}
