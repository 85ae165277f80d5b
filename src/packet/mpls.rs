//! MPLS label stacks (RFC 3032).
//!
//! ```text
//! label 20 bits | traffic class 3 bits | bottom of stack 1 bit | time to live 8 bits
//! ```
//! Nothing says what is below the stack. The first nibble tells IP (RFC 4928), and the header must bear it out: an Ethernet
//! pseudo-wire without a control word may begin alike.

use super::ipv4::{self, Ipv4};
use super::ipv6::Ipv6;
use super::issue::{Issue, Layer, be16};
use crate::base::ProblemKind;

const LABEL: u32 = 4;
const MAX_LABELS: usize = 16;

/// What is below a label stack.
#[derive(Clone, Copy, Debug)]
pub(super) enum Below<'a> {
    V4(Layer<'a>),
    V6(Layer<'a>),
}

/// Passes the labels.
pub(super) fn below(stack: Layer<'_>) -> Result<Below<'_>, Issue> {
    let mut rest = stack;
    for _ in 0..MAX_LABELS {
        let label: &[u8; LABEL as usize] = rest.header("MPLS label")?;
        rest = rest.after(LABEL);
        if label[2] & 1 != 0 {
            return contents(rest);
        }
    }
    Err(Issue::new(ProblemKind::TooDeep, "MPLS labels"))
}

fn contents(rest: Layer<'_>) -> Result<Below<'_>, Issue> {
    let &[first] = rest.header("MPLS contents")?;
    match first >> 4 {
        4 if (ipv4::has_checksum(rest.data) || fills(rest)) && matches!(Ipv4::parse(rest), Ok((_, None))) => {
            Ok(Below::V4(rest))
        }
        6 if matches!(Ipv6::parse(rest), Ok((_, None))) => Ok(Below::V6(rest)),
        _ => Err(Issue::new(ProblemKind::Undecoded, "MPLS with other than IP inside")),
    }
}

/// Whether the IPv4 header's total length is exactly what is there: so in traces whose addresses were rewritten without
/// mending checksums.
fn fills(rest: Layer<'_>) -> bool {
    be16(rest.data, 2).is_some_and(|total| u32::from(total) == rest.len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: [u8; 20] = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];

    fn under(labels: usize, inner: &[u8]) -> Vec<u8> {
        let mut bytes = [0, 1, 0x40, 64].repeat(labels - 1);
        bytes.extend([0, 2, 0x01, 64]);
        bytes.extend(inner);
        bytes
    }

    fn kind(bytes: &[u8]) -> ProblemKind {
        below(Layer::new(bytes, 0)).unwrap_err().kind
    }

    #[test]
    fn ip_is_found_below_any_number_of_labels_up_to_a_bound() {
        for labels in [1, 2, 16] {
            let bytes = under(labels, &IP);
            assert!(matches!(below(Layer::new(&bytes, 0)), Ok(Below::V4(l)) if l.data == IP));
        }
        assert_eq!(kind(&under(17, &IP)), ProblemKind::TooDeep);
        let mut six = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
        six.extend([0; 32]);
        assert!(matches!(below(Layer::new(&under(1, &six), 0)), Ok(Below::V6(_))));
    }

    #[test]
    fn what_is_not_surely_ip_is_not_guessed() {
        assert_eq!(kind(&under(1, &[0, 0, 0, 0, 1, 2])), ProblemKind::Undecoded, "a control word");
        let mut wrong = IP;
        wrong[10] = 1;
        assert!(below(Layer::new(&under(1, &wrong), 0)).is_ok(), "rewritten");
        let padded = [&wrong[..], &[0; 4]].concat();
        assert_eq!(kind(&under(1, &padded)), ProblemKind::Undecoded, "neither checksum nor length fits");
        let mut long = IP;
        long[3] = 21;
        assert_eq!(kind(&under(1, &long)), ProblemKind::Undecoded, "longer than the frame");
    }

    #[test]
    fn a_stack_cut_anywhere_is_an_issue() {
        let bytes = under(3, &IP);
        for len in 0..bytes.len() {
            let cut = below(Layer { data: &bytes[..len], len: 32 }).unwrap_err();
            let expected = if len <= 12 { ProblemKind::PacketTruncated } else { ProblemKind::Undecoded };
            assert_eq!(cut.kind, expected, "{len}");
        }
    }
}
