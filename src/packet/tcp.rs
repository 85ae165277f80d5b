//! TCP (RFC 9293 section 3.1).
//!
//! ```text
//! 0 source port | 2 destination port | 4 sequence | 8 acknowledgement
//! 12 header words, reserved | 13 flags | 14 window | 16 checksum | 18 urgent | 20 options
//! ```

use super::issue::{Issue, Layer};
use super::{Tcp, TcpFlags};

/// Smallest header.
const HEADER: u32 = 20;
/// Octets read; checksum and urgent pointer are not, so a capture may cut them.
const NEEDED: usize = 16;

/// Reads a segment at the start of `layer`.
#[inline]
pub(super) fn parse(layer: Layer<'_>, first_fragment: Option<u32>) -> Result<Tcp<'_>, Issue> {
    if layer.len < HEADER {
        let what = if first_fragment.is_some() { "TCP header split over fragments" } else { "TCP header" };
        return Err(Issue::malformed(what));
    }
    let h: &[u8; NEEDED] = layer.header("TCP header")?;
    let header_len = u32::from(h[12] >> 4) * 4;
    // A first fragment may end inside the options; its flags are good all the same.
    if header_len < HEADER || header_len > layer.len && first_fragment.is_none() {
        return Err(Issue::malformed("TCP data offset"));
    }
    let payload = layer.after(header_len);
    Ok(Tcp {
        src_port: u16::from_be_bytes([h[0], h[1]]),
        dst_port: u16::from_be_bytes([h[2], h[3]]),
        seq: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
        ack: u32::from_be_bytes([h[8], h[9], h[10], h[11]]),
        flags: TcpFlags(h[13] & 0x3f),
        window: u16::from_be_bytes([h[14], h[15]]),
        payload: payload.data,
        payload_len: payload.len,
        first_fragment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ProblemKind;

    const SEGMENT: [u8; 27] =
        [0xc0, 0, 0, 22, 0, 0, 0, 1, 0, 0, 0, 2, 0x60, 0xd8, 0x10, 0, 0, 0, 0, 0, 1, 1, 1, 1, b'S', b'S', b'H'];

    #[test]
    fn every_field_is_where_the_rfc_says() {
        let t = parse(Layer::new(&SEGMENT, 27), None).unwrap();
        assert_eq!((t.src_port, t.dst_port, t.seq, t.ack, t.window), (0xc000, 22, 1, 2, 0x1000));
        assert_eq!((t.flags, t.payload, t.payload_len), (TcpFlags(0x18), &b"SSH"[..], 3));
    }

    #[test]
    fn a_cut_segment_keeps_its_length_on_the_wire_or_is_an_issue() {
        for len in 0..SEGMENT.len() {
            let data = &SEGMENT[..len];
            match parse(Layer { data, len: 27 }, None) {
                Ok(t) => assert!(len >= 16 && t.payload_len == 3 && t.payload == &SEGMENT[24.min(len)..len]),
                Err(issue) => assert!(len < 16 && issue.kind == ProblemKind::PacketTruncated),
            }
            let short = parse(Layer::new(data, 0), None);
            assert_eq!(short.is_err(), len < 24, "{len}");
        }
    }

    #[test]
    fn impossible_data_offsets_are_malformed() {
        for offset in [0x40, 0x70] {
            let mut s = SEGMENT;
            s[12] = offset;
            assert_eq!(parse(Layer::new(&s, 0), None).unwrap_err(), Issue::malformed("TCP data offset"));
        }
        let mut s = SEGMENT;
        s[12] = 0x70;
        let first = parse(Layer::new(&s, 0), Some(9)).unwrap();
        assert_eq!((first.payload, first.payload_len, first.first_fragment), (&[][..], 0, Some(9)));
    }
}
