//! IPv6 and its extension headers (RFC 8200; authentication header RFC 4302; mobility RFC 6275).
//!
//! ```text
//! 0 version, class, flow | 4 payload length | 6 next header | 7 hop limit | 8 source | 24 destination
//! extension: next header | length in 8 octets, without the first | ...
//! fragment:  next header | 0 | offset 13 bits, 0, more 1 bit | identification u32
//! ```

use std::net::Ipv6Addr;

use super::issue::{Issue, Layer};
use crate::base::ProblemKind;

const HEADER: u32 = 40;
const MAX_EXTENSIONS: usize = 16;

/// Next header numbers that are extensions.
mod next {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const NONE: u8 = 59;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// A fixed header whose lengths were checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ipv6<'a> {
    header: &'a [u8; HEADER as usize],
    /// Bytes of the packet on the wire, header included.
    pub(super) len: u32,
    /// What follows the fixed header, without link-layer padding.
    pub(super) payload: Layer<'a>,
}

/// Where extension headers lead to.
#[derive(Clone, Debug)]
pub(super) struct Upper<'a> {
    /// Number of the protocol that follows.
    pub(super) protocol: u8,
    /// What follows.
    pub(super) payload: Layer<'a>,
    /// Identification and place, where the packet is a fragment of several.
    pub(super) fragment: Option<Fragment>,
    /// Why the chain was not followed to its end.
    pub(super) issue: Option<Issue>,
}

/// A fragment's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) id: u32,
    pub(super) first: bool,
}

impl<'a> Ipv6<'a> {
    /// Checks a header at the start of `layer`. The second value is a length that contradicts the frame.
    #[inline]
    pub(super) fn parse(layer: Layer<'a>) -> Result<(Self, Option<Issue>), Issue> {
        let header: &[u8; HEADER as usize] = layer.header("IPv6 header")?;
        if header[0] >> 4 != 6 {
            return Err(Issue::malformed("IPv6 version"));
        }
        // 0: a jumbogram (RFC 2675) or segmentation offload; the frame tells the length.
        let claimed = match u16::from_be_bytes([header[4], header[5]]) {
            0 if header[6] == next::NONE => HEADER,
            0 => layer.len,
            n => HEADER + u32::from(n),
        };
        let issue = (claimed > layer.len).then(|| Issue::malformed("IPv6 payload length beyond the frame"));
        let packet = layer.limit(claimed);
        Ok((Self { header, len: packet.len, payload: packet.after(HEADER) }, issue))
    }

    /// Source address.
    pub(super) fn src(&self) -> Ipv6Addr {
        self.address(8)
    }

    /// Destination address; the fixed header's, also under a routing header.
    pub(super) fn dst(&self) -> Ipv6Addr {
        self.address(24)
    }

    #[inline]
    fn address(&self, at: usize) -> Ipv6Addr {
        let octets: Option<&[u8; 16]> = self.header.get(at..).and_then(<[u8]>::first_chunk);
        octets.map_or(Ipv6Addr::UNSPECIFIED, |o| Ipv6Addr::from(*o))
    }

    /// Hop limit.
    pub(super) const fn hop_limit(&self) -> u8 {
        self.header[7]
    }

    /// Follows the extension headers.
    #[inline]
    pub(super) fn upper(&self) -> Upper<'a> {
        follow(self.header[6], self.payload)
    }
}

/// Follows extension headers from the one numbered `protocol`; also from an authentication header in IPv4.
pub(super) fn follow(protocol: u8, payload: Layer<'_>) -> Upper<'_> {
    let mut upper = Upper { protocol, payload, fragment: None, issue: None };
    for _ in 0..=MAX_EXTENSIONS {
        match step(&mut upper) {
            Ok(true) => {}
            Ok(false) => return upper,
            Err(issue) => {
                upper.issue = Some(issue);
                return upper;
            }
        }
    }
    upper.issue = Some(Issue::new(ProblemKind::TooDeep, "IPv6 extension headers"));
    upper
}

/// Passes one extension header; `false` where none follows.
#[inline]
fn step(upper: &mut Upper<'_>) -> Result<bool, Issue> {
    let rest = upper.payload;
    let len = match upper.protocol {
        next::HOP_BY_HOP | next::ROUTING | next::DESTINATION | next::MOBILITY | next::HIP | next::SHIM6 => {
            let h: &[u8; 2] = rest.header("IPv6 extension header")?;
            // Mobility and the like usually end the chain: then they are what the packet carries.
            if h[0] == next::NONE && matches!(upper.protocol, next::MOBILITY | next::HIP | next::SHIM6) {
                return Ok(false);
            }
            (u32::from(h[1]) + 1) * 8
        }
        next::AUTHENTICATION => {
            let h: &[u8; 2] = rest.header("authentication header")?;
            (u32::from(h[1]) + 2) * 4
        }
        next::FRAGMENT => {
            let h: &[u8; 8] = rest.header("IPv6 fragment header")?;
            let (offset, more) = (u16::from_be_bytes([h[2], h[3]]) >> 3, h[3] & 1 != 0);
            // Neither offset nor more: an atomic fragment is a whole packet (RFC 6946).
            if offset != 0 || more {
                let id = u32::from_be_bytes([h[4], h[5], h[6], h[7]]);
                upper.fragment = Some(Fragment { id, first: offset == 0 });
            }
            if offset != 0 {
                upper.protocol = h[0];
                upper.payload = rest.after(8);
                return Ok(false);
            }
            8
        }
        _ => return Ok(false),
    };
    let next: &[u8; 1] = rest.header("IPv6 extension header")?;
    if len > rest.len {
        return Err(Issue::malformed("IPv6 extension header length"));
    }
    if rest.data.len() < len as usize {
        return Err(Issue::truncated("IPv6 extension header"));
    }
    upper.protocol = next[0];
    upper.payload = rest.after(len);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet from ::1 to ::2 whose first next header is `next`.
    fn packet(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut p = vec![0x60, 0, 0, 0, 0, u8::try_from(payload.len()).unwrap(), next, 64];
        p.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        p.extend(payload);
        p
    }

    fn upper(bytes: &[u8]) -> Upper<'_> {
        Ipv6::parse(Layer::new(bytes, 0)).unwrap().0.upper()
    }

    #[test]
    fn extension_headers_are_passed_and_cut_anywhere_are_an_issue() {
        let chain = [
            &[43, 0, 1, 4, 0, 0, 0, 0][..],
            &[60, 0, 0, 0, 0, 0, 0, 0],
            &[51, 0, 1, 4, 0, 0, 0, 0],
            &[44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[17, 0, 0, 0, 0, 0, 0, 7],
            &[1, 2, 3],
        ]
        .concat();
        let whole = packet(0, &chain);
        for len in 0..=whole.len() {
            let layer = Layer { data: &whole[..len], len: u32::try_from(whole.len()).unwrap() };
            let Ok((ip, _)) = Ipv6::parse(layer) else {
                assert!(len < 40);
                continue;
            };
            let u = ip.upper();
            let headers_are_there = len >= 40 + chain.len() - 3;
            assert_eq!(u.issue.is_none(), headers_are_there, "{len}");
            if headers_are_there {
                assert_eq!((u.protocol, u.payload.len, u.fragment), (17, 3, None), "an atomic fragment is whole");
            }
        }
    }

    #[test]
    fn fragments_tell_their_place_and_later_ones_end_the_chain() {
        let first = packet(44, &[6, 0, 0, 1, 0, 0, 0, 9, 1, 2]);
        assert_eq!(upper(&first).fragment, Some(Fragment { id: 9, first: true }));
        let later = packet(44, &[60, 0, 0, 8, 0, 0, 0, 9, 1, 2]);
        let u = upper(&later);
        assert_eq!((u.protocol, u.fragment), (60, Some(Fragment { id: 9, first: false })));
    }

    #[test]
    fn a_chain_without_end_is_too_deep() {
        let deep = packet(60, &[60, 0, 0, 0, 0, 0, 0, 0].repeat(20));
        assert_eq!(upper(&deep).issue.unwrap().kind, ProblemKind::TooDeep);
    }

    #[test]
    fn payload_length_zero_is_the_frame_and_padding_is_not_payload() {
        let mut p = packet(6, &[1, 2, 3, 4]);
        p.extend([0, 0]);
        assert_eq!(upper(&p).payload.data, [1, 2, 3, 4]);
        p[5] = 0;
        assert_eq!(Ipv6::parse(Layer::new(&p, 100_000)).unwrap().0.len, 100_000);
        p[5] = 9;
        assert!(Ipv6::parse(Layer::new(&p, 0)).unwrap().1.is_some(), "longer than the frame");
    }
}
