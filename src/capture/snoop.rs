//! Solaris' snoop format (RFC 1761). Network byte order throughout.
//!
//! ```text
//! file header: "snoop" and three zeros | version u32 | data link u32
//! record:      original u32 | captured u32 | record length u32 | drops so far u32 | seconds u32 | microseconds u32 | data, padded
//! ```

use super::frame::LinkType;
use super::order::Order;

/// What a file begins with.
pub(crate) const MAGIC: &[u8] = b"snoop\0\0\0";
/// Octets of the file header.
pub(crate) const HEADER: usize = 16;
/// Octets of a record header.
pub(crate) const RECORD: u32 = 24;

const VERSION: u32 = 2;

/// A snoop file as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Link type of every frame.
    pub(crate) link: LinkType,
    /// Drops counted up to the last record.
    pub(crate) drops: u32,
}

/// Why a header was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// The file ends inside the header.
    Short,
    /// Another version than RFC 1761's.
    Version(u32),
    /// A data link this tool has no number for.
    Link(u32),
}

/// A record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Bytes on the wire.
    pub(crate) original: u32,
    /// Bytes of the frame that follow.
    pub(crate) captured: u32,
    /// Octets of the record, header and padding included.
    pub(crate) len: u32,
    /// Packets dropped since the file began.
    pub(crate) drops: u32,
    /// Seconds since 1970, unsigned.
    pub(crate) secs: u32,
    /// Microseconds; above 999 999 where the file is wrong.
    pub(crate) micros: u32,
}

impl Header {
    /// Reads a file header.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let word = |at| Order::Big.u32(bytes, at).ok_or(HeaderError::Short);
        match word(8)? {
            VERSION => {}
            other => return Err(HeaderError::Version(other)),
        }
        let link = match word(12)? {
            // IEEE 802.3 and Ethernet: the length field tells them apart.
            0 | 4 => LinkType::ETHERNET,
            2 => LinkType(6),
            5 => LinkType(104),
            8 => LinkType(10),
            18 => LinkType(123),
            other => return Err(HeaderError::Link(other)),
        };
        Ok(Self { link, drops: 0 })
    }
}

impl Record {
    /// Reads a record header; `None` where `bytes` is too short for one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at| Order::Big.u32(bytes, at);
        Some(Self {
            original: word(0)?,
            captured: word(4)?,
            len: word(8)?,
            drops: word(12)?,
            secs: word(16)?,
            micros: word(20)?,
        })
    }

    /// Whether the frame fits into its record.
    pub(crate) fn is_sane(&self) -> bool {
        self.len.checked_sub(RECORD).is_some_and(|room| self.captured <= room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_its_link_or_why_not_and_is_short_where_cut() {
        let header = |version: u32, link: u32| [MAGIC, &version.to_be_bytes(), &link.to_be_bytes()].concat();
        assert_eq!(Header::parse(&header(2, 4)), Ok(Header { link: LinkType::ETHERNET, drops: 0 }));
        assert_eq!(Header::parse(&header(3, 4)), Err(HeaderError::Version(3)));
        assert_eq!(Header::parse(&header(2, 77)), Err(HeaderError::Link(77)));
        for len in 0..HEADER {
            assert_eq!(Header::parse(&header(2, 4)[..len]), Err(HeaderError::Short));
        }
    }

    #[test]
    fn a_record_whose_frame_does_not_fit_is_told() {
        let words = [60_u32, 58, 84, 7, 1, 2];
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
        let r = Record::parse(&bytes).unwrap();
        assert_eq!((r.original, r.captured, r.len, r.drops, r.secs, r.micros), (60, 58, 84, 7, 1, 2));
        assert!(r.is_sane() && !Record { captured: 61, ..r }.is_sane() && !Record { len: 23, ..r }.is_sane());
        assert!(Record::parse(&bytes[..23]).is_none());
    }
}
