//! The pcap format (draft-ietf-opsawg-pcap; older variants as libpcap's `sf-pcap.c` reads them).
//!
//! ```text
//! file header:    magic u32 | major u16 | minor u16 | zone u32 | accuracy u32 | snaplen u32 | link type u32
//! record header:  seconds u32 | fraction u32 | captured u32 | original u32
//! "modified":     ... | interface u32 | protocol u16 | packet type u8 | padding u8
//! ```
//! All fields are in the byte order of the machine that wrote the file, which the magic number tells.

use super::frame::LinkType;
use super::order::Order;

/// Octets of the file header.
pub(crate) const HEADER: usize = 24;

/// Octets of the part of a record header that all variants have.
const RECORD: usize = 16;

const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
const MAGIC_MODIFIED: u32 = 0xa1b2_cd34;

mod field {
    pub(super) const MAJOR: usize = 4;
    pub(super) const MINOR: usize = 6;
    pub(super) const SNAPLEN: usize = 16;
    pub(super) const LINK: usize = 20;
}

/// Which pcap it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Microseconds, magic a1b2c3d4.
    Micros,
    /// Nanoseconds, magic a1b23c4d.
    Nanos,
    /// Microseconds and a longer record header, magic a1b2cd34 (Kuznetsov's libpcap of old Linux distributions).
    Modified,
}

/// How captured and original length are ordered in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    /// Captured first: versions 2.4 and later.
    Normal,
    /// Original first: versions before 2.3, and DG/UX's 543.0.
    Swapped,
    /// Either, told by which is larger: version 2.3.
    Guess,
}

/// A file header that was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    order: Order,
    variant: Variant,
    lengths: Lengths,
    /// Longest capture of a packet; 0 for no limit.
    pub(crate) snaplen: u32,
    /// Link type of every frame: the low 16 bits of the field (the rest describe the frame check sequence).
    pub(crate) link: LinkType,
}

/// Why a header was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// The magic number is not one of pcap's.
    NotPcap,
    /// The file ends inside the header.
    Short,
    /// A version nobody documented.
    Version(u16, u16),
}

/// A record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Seconds since 1970, unsigned: until 2106.
    pub(crate) secs: u32,
    /// Nanoseconds; above 999 999 999 where the file is wrong.
    pub(crate) nanos: u64,
    /// Bytes of the frame that follow.
    pub(crate) captured: u32,
    /// Bytes on the wire.
    pub(crate) original: u32,
}

/// The variant and order a magic number tells.
pub(crate) fn magic(bytes: &[u8]) -> Option<(Order, Variant)> {
    [Order::Little, Order::Big].into_iter().find_map(|order| match order.u32(bytes, 0)? {
        MAGIC_MICROS => Some((order, Variant::Micros)),
        MAGIC_NANOS => Some((order, Variant::Nanos)),
        MAGIC_MODIFIED => Some((order, Variant::Modified)),
        _ => None,
    })
}

impl Header {
    /// Reads a file header.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let (order, variant) = magic(bytes).ok_or(HeaderError::NotPcap)?;
        let bytes: &[u8; HEADER] = bytes.first_chunk().ok_or(HeaderError::Short)?;
        let half = |at| order.u16(bytes, at).ok_or(HeaderError::Short);
        let word = |at| order.u32(bytes, at).ok_or(HeaderError::Short);
        let lengths = match (half(field::MAJOR)?, half(field::MINOR)?) {
            (2, 0..=2) | (543, _) => Lengths::Swapped,
            (2, 3) => Lengths::Guess,
            (2, _) => Lengths::Normal,
            (major, minor) => return Err(HeaderError::Version(major, minor)),
        };
        let [_, _, high, low] = word(field::LINK)?.to_be_bytes();
        let link = LinkType(u16::from_be_bytes([high, low]));
        Ok(Self { order, variant, lengths, snaplen: word(field::SNAPLEN)?, link })
    }

    /// The format's name.
    pub(crate) const fn name(&self) -> &'static str {
        match self.variant {
            Variant::Micros => "pcap",
            Variant::Nanos => "pcap (nanosecond)",
            Variant::Modified => "pcap (modified)",
        }
    }

    /// The same as most files have it: least significant byte first, microseconds, the captured length first, Ethernet.
    #[inline(always)]
    pub(crate) const fn as_most(self) -> Self {
        let Self { snaplen, .. } = self;
        Self {
            order: Order::Little,
            variant: Variant::Micros,
            lengths: Lengths::Normal,
            snaplen,
            link: LinkType::ETHERNET,
        }
    }

    /// Octets of a record header.
    #[inline(always)]
    pub(crate) const fn record_len(&self) -> usize {
        match self.variant {
            Variant::Modified => 24,
            Variant::Micros | Variant::Nanos => RECORD,
        }
    }

    /// Reads a record header; `None` where `bytes` is too short for one.
    #[inline(always)]
    pub(crate) fn record(&self, bytes: &[u8]) -> Option<Record> {
        if bytes.len() < self.record_len() {
            return None;
        }
        let head: &[u8; RECORD] = bytes.first_chunk()?;
        let [secs, fraction, first, second] = self.order.words(head);
        let swapped = match self.lengths {
            Lengths::Normal => false,
            Lengths::Swapped => true,
            Lengths::Guess => first > second,
        };
        let (captured, original) = if swapped { (second, first) } else { (first, second) };
        let scale = if self.variant == Variant::Nanos { 1 } else { 1000 };
        Some(Record { secs, nanos: u64::from(fraction) * scale, captured, original })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 2.4, snaplen 65535, with the given magic and link type field.
    fn header(magic: u32, link: u32, order: Order) -> Vec<u8> {
        let word = |v: u32| if order == Order::Big { v.to_be_bytes() } else { v.to_le_bytes() };
        let half = |v: u16| if order == Order::Big { v.to_be_bytes() } else { v.to_le_bytes() };
        [&word(magic)[..], &half(2), &half(4), &word(0), &word(0), &word(65535), &word(link)].concat()
    }

    #[test]
    fn every_magic_in_both_orders_is_known() {
        for order in [Order::Little, Order::Big] {
            for (m, name, len) in [
                (MAGIC_MICROS, "pcap", 16),
                (MAGIC_NANOS, "pcap (nanosecond)", 16),
                (MAGIC_MODIFIED, "pcap (modified)", 24),
            ] {
                let h = Header::parse(&header(m, 0xf400_0001, order)).unwrap();
                assert_eq!((h.name(), h.record_len(), h.link.0, h.snaplen), (name, len, 1, 65535));
            }
        }
    }

    #[test]
    fn a_header_cut_anywhere_is_short_and_a_strange_version_is_named() {
        let whole = header(MAGIC_MICROS, 1, Order::Little);
        for len in 4..HEADER {
            assert_eq!(Header::parse(&whole[..len]), Err(HeaderError::Short));
        }
        assert_eq!(Header::parse(&whole[..3]), Err(HeaderError::NotPcap));
        let mut strange = whole;
        strange[4] = 9;
        assert_eq!(Header::parse(&strange), Err(HeaderError::Version(9, 4)));
    }

    #[test]
    fn old_versions_write_the_original_length_first() {
        let mut bytes = header(MAGIC_MICROS, 1, Order::Little);
        let record = [[1, 0, 0, 0], [2, 0, 0, 0], [100, 0, 0, 0], [60, 0, 0, 0]].concat();
        bytes[6] = 2;
        let r = Header::parse(&bytes).unwrap().record(&record).unwrap();
        assert_eq!((r.secs, r.nanos, r.captured, r.original), (1, 2000, 60, 100));
        bytes[6] = 3;
        assert_eq!(Header::parse(&bytes).unwrap().record(&record).unwrap().captured, 60);
        bytes[6] = 4;
        assert_eq!(Header::parse(&bytes).unwrap().record(&record).unwrap().captured, 100);
    }
}
