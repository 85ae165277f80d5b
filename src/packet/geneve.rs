//! GENEVE (RFC 8926 section 3.4).
//!
//! ```text
//! 0 version 2 bits, options in words 6 bits | 1 control, critical, reserved 6 bits | 2 protocol type u16
//! 4 network u24 | 7 reserved | options | contents
//! ```

use super::ether::{self, Link, ethertype};
use super::issue::Layer;

const HEADER: u32 = 8;
const OPTIONS: u8 = 0x3f;
const RESERVED: u8 = 0x3f;
const CONTROL: u8 = 0x80;
const BRIDGED: u16 = 0x6558;

/// The frame or packet inside; `None` where a fixed bit is not as it must be, or options do not fit.
pub(super) fn parse(payload: Layer<'_>) -> Option<Link<'_>> {
    let h: &[u8; HEADER as usize] = payload.data.first_chunk()?;
    // Version 0. A control packet carries none of the hosts'.
    if h[0] > OPTIONS || h[1] & (RESERVED | CONTROL) != 0 || h[7] != 0 {
        return None;
    }
    let len = HEADER + u32::from(h[0] & OPTIONS) * 4;
    if payload.data.len() < len as usize {
        return None;
    }
    let rest = payload.after(len);
    match u16::from_be_bytes([h[2], h[3]]) {
        BRIDGED => ether::ethernet(rest).ok(),
        t @ (ethertype::IPV4 | ethertype::IPV6) => Some(Link { group: false, ethertype: t, payload: rest }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_passed_and_a_cut_header_is_none() {
        let bytes = [&[2, 0x40, 0x65, 0x58, 0, 0, 1, 0][..], &[0; 8], &[2; 12], &[0x86, 0xdd, 0x60]].concat();
        for len in 0..=bytes.len() {
            let got = parse(Layer { data: &bytes[..len], len: 31 });
            assert_eq!(got.map(|l| l.ethertype), (len >= 30).then_some(ethertype::IPV6), "{len}");
        }
        let plain = parse(Layer::new(&[0, 0, 8, 0, 0, 0, 1, 0, 0x45], 0)).unwrap();
        assert_eq!((plain.ethertype, plain.payload.data), (ethertype::IPV4, &[0x45][..]));
    }

    #[test]
    fn other_versions_control_packets_and_protocols_are_none() {
        let good = [0, 0, 8, 0, 0, 0, 1, 0, 0x45];
        for (at, value) in [(0, 0x40), (0, 0x3f), (1, 0x80), (1, 0x01), (2, 9), (7, 1)] {
            let mut wrong = good;
            wrong[at] = value;
            assert!(parse(Layer::new(&wrong, 0)).is_none(), "{at}");
        }
    }
}
