//! IPv4 (RFC 791).
//!
//! ```text
//! 0 version, header words | 2 total length | 4 identification | 6 flags, fragment offset
//! 8 time to live | 9 protocol | 12 source | 16 destination | 20 options
//! ```

use std::net::Ipv4Addr;

use super::issue::{Issue, Layer};

const HEADER: u32 = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// An IPv4 header whose lengths were checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ipv4<'a> {
    header: &'a [u8; HEADER as usize],
    /// Bytes of the packet on the wire, header included.
    pub(super) len: u32,
    /// What follows the header, without link-layer padding.
    pub(super) payload: Layer<'a>,
}

impl<'a> Ipv4<'a> {
    /// Checks a header at the start of `layer`. The second value is a length that contradicts the frame: the packet is then
    /// as long as the frame.
    #[inline]
    pub(super) fn parse(layer: Layer<'a>) -> Result<(Self, Option<Issue>), Issue> {
        let header: &[u8; HEADER as usize] = layer.header("IPv4 header")?;
        if header[0] >> 4 != 4 {
            return Err(Issue::malformed("IPv4 version"));
        }
        let header_len = u32::from(header[0] & 0x0f) * 4;
        let total = u32::from(u16::from_be_bytes([header[2], header[3]]));
        if header_len < HEADER || header_len > layer.len {
            return Err(Issue::malformed("IPv4 header length"));
        }
        // 0: segmentation offload, the kernel had not yet cut the packet up when it was captured.
        let claimed = if total == 0 { layer.len } else { total };
        if claimed < header_len {
            return Err(Issue::malformed("IPv4 total length"));
        }
        let issue = (claimed > layer.len).then(|| Issue::malformed("IPv4 total length beyond the frame"));
        let packet = layer.limit(claimed);
        Ok((Self { header, len: packet.len, payload: packet.after(header_len) }, issue))
    }

    /// Source address.
    pub(super) const fn src(&self) -> Ipv4Addr {
        let h = self.header;
        Ipv4Addr::new(h[12], h[13], h[14], h[15])
    }

    /// Destination address.
    pub(super) const fn dst(&self) -> Ipv4Addr {
        let h = self.header;
        Ipv4Addr::new(h[16], h[17], h[18], h[19])
    }

    /// Time to live.
    pub(super) const fn ttl(&self) -> u8 {
        self.header[8]
    }

    /// Number of the protocol that follows.
    pub(super) const fn protocol(&self) -> u8 {
        self.header[9]
    }

    /// Identification of the datagram.
    pub(super) const fn id(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    const fn fragmentation(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }

    /// Whether it is a fragment other than the first.
    pub(super) const fn is_later_fragment(&self) -> bool {
        self.fragmentation() & OFFSET != 0
    }

    /// Whether fragments follow.
    pub(super) const fn more_fragments(&self) -> bool {
        self.fragmentation() & MORE_FRAGMENTS != 0
    }
}

/// Whether the header at the start of `bytes` bears its checksum (RFC 791), or none was filled in yet (offload).
pub(super) fn has_checksum(bytes: &[u8]) -> bool {
    let header_len = bytes.first().map_or(0, |b| usize::from(b & 0x0f) * 4);
    let Some(header) = bytes.get(..header_len).filter(|h| h.len() >= HEADER as usize) else { return false };
    if matches!(header, [_, _, _, _, _, _, _, _, _, _, 0, 0, ..]) {
        return true;
    }
    let sum: u32 = header.as_chunks::<2>().0.iter().map(|w| u32::from(u16::from_be_bytes(*w))).sum();
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ProblemKind;

    const PACKET: [u8; 28] =
        [0x46, 0, 0, 26, 0x12, 0x34, 0x20, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 1, 9, 9, 0, 0];

    #[test]
    fn options_are_passed_and_padding_is_not_payload() {
        let (ip, issue) = Ipv4::parse(Layer::new(&PACKET, 28)).unwrap();
        assert_eq!((ip.src(), ip.dst()), (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)));
        assert_eq!((ip.ttl(), ip.protocol(), ip.id(), ip.len), (64, 17, 0x1234, 26));
        assert_eq!((ip.payload.data, ip.payload.len, issue), (&[9, 9][..], 2, None));
        assert!(ip.more_fragments() && !ip.is_later_fragment());
    }

    #[test]
    fn a_header_cut_anywhere_is_truncated_by_the_capture_or_malformed_on_the_wire() {
        for len in 0..20 {
            let data = &PACKET[..len];
            let cut = Ipv4::parse(Layer { data, len: 28 }).unwrap_err();
            assert_eq!(cut.kind, ProblemKind::PacketTruncated);
            let short = Ipv4::parse(Layer::new(data, 0)).unwrap_err();
            assert_eq!(short.kind, ProblemKind::PacketMalformed);
        }
    }

    #[test]
    fn a_checksum_is_right_wrong_or_not_filled_in() {
        let mut h = [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 192, 168, 0, 1, 192, 168, 0, 199];
        assert!(has_checksum(&h) && !has_checksum(&h[..19]) && !has_checksum(&[]));
        h[11] = 0x60;
        assert!(!has_checksum(&h));
        (h[10], h[11]) = (0, 0);
        assert!(has_checksum(&h));
    }

    #[test]
    fn total_length_zero_is_the_frame_and_too_long_is_cut_to_it() {
        let mut p = PACKET;
        p[3] = 0;
        assert_eq!(Ipv4::parse(Layer::new(&p, 60_000)).unwrap().0.len, 60_000);
        p[2] = 1;
        let (ip, issue) = Ipv4::parse(Layer::new(&p, 28)).unwrap();
        assert_eq!((ip.len, issue.unwrap().kind), (28, ProblemKind::PacketMalformed));
        (p[2], p[3]) = (0, 23);
        assert!(Ipv4::parse(Layer::new(&p, 28)).is_err(), "shorter than its header");
        p[0] = 0x44;
        assert!(Ipv4::parse(Layer::new(&p, 28)).is_err(), "four words of header");
        p[0] = 0x65;
        assert!(Ipv4::parse(Layer::new(&p, 28)).is_err(), "version 6");
    }
}
