//! Provider backbone bridging (IEEE 802.1ah; IEEE 802.1Q section 9.7): the customer's frame behind an I-TAG.
//!
//! ```text
//! 0 priority 3 bits, drop 1 bit, UCA 1 bit, reserved 3 bits | 1 service u24 | customer's Ethernet frame
//! ```

use super::ether::{self, Link};
use super::issue::{Issue, Layer};
use crate::base::ProblemKind;

const TAG: u32 = 4;
/// Two bits that tell another format (IEEE 802.1Q section 9.7 d).
const FORMAT: u8 = 0x03;

/// The customer's frame and the service's number.
pub(super) fn parse(layer: Layer<'_>) -> Result<(Link<'_>, u32), Issue> {
    let tag: &[u8; TAG as usize] = layer.header("I-TAG")?;
    if tag[0] & FORMAT != 0 {
        return Err(Issue::new(ProblemKind::Undecoded, "provider backbone bridge (802.1ah)"));
    }
    let service = u32::from_be_bytes([0, tag[1], tag[2], tag[3]]);
    Ok((ether::ethernet(layer.after(TAG))?, service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_behind_the_tag_and_a_cut_one_is_an_issue() {
        let mut bytes = [&[0x60, 0, 0, 5][..], &[3; 12], &[8, 0, 0x45]].concat();
        for len in 0..=bytes.len() {
            let got = parse(Layer { data: &bytes[..len], len: 19 });
            let got = got.map(|(l, service)| (l.group, l.ethertype, service)).ok();
            assert_eq!(got, (len >= 18).then_some((true, 0x0800, 5)), "{len}");
        }
        bytes[0] = 1;
        assert_eq!(parse(Layer::new(&bytes, 0)).unwrap_err().kind, ProblemKind::Undecoded);
    }
}
