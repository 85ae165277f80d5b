//! VXLAN (RFC 7348 section 5).
//!
//! ```text
//! 0 flags 08 | 1 reserved 3 octets | 4 network u24 | 7 reserved | Ethernet frame
//! ```

use super::ether::{self, Link};
use super::issue::Layer;

const HEADER: u32 = 8;

/// The frame inside; `None` where a fixed bit is not as it must be.
pub(super) fn parse(payload: Layer<'_>) -> Option<Link<'_>> {
    let [8, 0, 0, 0, _, _, _, 0, ..] = payload.data else { return None };
    ether::ethernet(payload.after(HEADER)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fixed_bit_counts_and_a_cut_header_is_none() {
        let bytes = [&[8, 0, 0, 0, 1, 2, 3, 0][..], &[2; 12], &[8, 0, 0x45]].concat();
        for len in 0..=bytes.len() {
            let got = parse(Layer { data: &bytes[..len], len: 23 });
            assert_eq!(got.map(|l| l.ethertype), (len >= 22).then_some(0x0800), "{len}");
        }
        for at in [0, 1, 2, 3, 7] {
            for bit in 0..8 {
                let mut wrong = bytes.clone();
                wrong[at] ^= 1 << bit;
                assert!(parse(Layer::new(&wrong, 0)).is_none());
            }
        }
    }
}
