//! What a file is, from its first bytes.

use super::packed::Codec;
use super::snoop;

/// Bytes wanted to tell formats apart.
pub(super) const WANTED: usize = 64;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any pcap.
    Pcap,
    /// pcapng.
    Pcapng,
    /// Solaris' snoop.
    Snoop,
    /// Compressed, and read.
    Packed(Codec),
    /// Compressed by the named program, and not read.
    Compressed(&'static str),
    /// Another capture or file format.
    Other(&'static str),
    /// A saved observation.
    Saved,
    /// Printable text.
    Text,
    /// Nothing known.
    Unknown,
}

/// Formats told by their first bytes. Magic numbers from each format's documentation.
const MAGIC: &[(&[u8], Kind)] = &[
    (b"\x1f\x8b", Kind::Packed(Codec::Gzip)),
    (b"\x28\xb5\x2f\xfd", Kind::Packed(Codec::Zstd)),
    (b"\xfd7zXZ\0", Kind::Packed(Codec::Xz)),
    (b"{\"schema\":\"portwitness.observation/", Kind::Saved),
    (b"BZh", Kind::Compressed("bzip2")),
    (b"\x04\x22\x4d\x18", Kind::Compressed("lz4")),
    (b"PK\x03\x04", Kind::Compressed("zip")),
    (b"7z\xbc\xaf\x27\x1c", Kind::Compressed("7z")),
    (snoop::MAGIC, Kind::Snoop),
    (b"GMBU", Kind::Other("a Microsoft Network Monitor 2 capture")),
    (b"RTSS", Kind::Other("a Microsoft Network Monitor 1 capture")),
    (b"TRSNIFF data", Kind::Other("a Sniffer capture")),
    (b"XCP\0", Kind::Other("a NetXRay capture")),
    (b"\x7fver", Kind::Other("an EtherPeek capture")),
    (b"SQLite format 3\0", Kind::Other("an SQLite database")),
    (b"%PDF", Kind::Other("a PDF document")),
    (b"PAR1", Kind::Other("a Parquet table")),
];

/// Tells what begins with `head`.
pub(super) fn kind(head: &[u8]) -> Kind {
    if super::pcap::magic(head).is_some() {
        return Kind::Pcap;
    }
    if super::pcapng::is_section(head) {
        return Kind::Pcapng;
    }
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return *kind;
    }
    // A skippable frame: some zstd writers begin with one.
    if let [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] = head {
        return Kind::Packed(Codec::Zstd);
    }
    let printable = |b: &u8| b.is_ascii_graphic() || b.is_ascii_whitespace();
    if head.iter().all(printable) || std::str::from_utf8(head).is_ok_and(|s| !s.contains(char::is_control)) {
        return Kind::Text;
    }
    Kind::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        assert_eq!(kind(b"\xd4\xc3\xb2\xa1"), Kind::Pcap);
        assert_eq!(kind(b"\x0a\x0d\x0d\x0a"), Kind::Pcapng);
        assert_eq!(kind(b"\x1f\x8b\x08"), Kind::Packed(Codec::Gzip));
        assert_eq!(kind(b"BZh91AY"), Kind::Compressed("bzip2"));
        assert_eq!(kind(b"10:00:01 IP 1.2.3.4 > 5.6.7.8\n"), Kind::Text);
        assert_eq!(kind(b"\x00\x01\x02\x03"), Kind::Unknown);
    }
}
