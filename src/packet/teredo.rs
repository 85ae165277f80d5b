//! Teredo (RFC 4380 section 5.1.1): IPv6 over UDP, behind an authentication, an origin indication, or both.
//!
//! ```text
//! authentication: 00 01 | identifier length | value length | identifier | value | nonce 8 | confirmation
//! origin:         00 00 | port u16 | address u32
//! ```

use std::net::Ipv6Addr;

use super::ether::{Link, ethertype};
use super::ipv6::Ipv6;
use super::issue::Layer;

const AUTHENTICATION: u32 = 13;
const ORIGIN: u32 = 8;

/// The packet inside; `None` where it does not fill the datagram, or neither address is one that Teredo uses.
pub(super) fn parse(payload: Layer<'_>) -> Option<Link<'_>> {
    let mut rest = payload;
    if let [0, 1, identifier, value, ..] = rest.data {
        rest = rest.after(AUTHENTICATION + u32::from(*identifier) + u32::from(*value));
    }
    if rest.data.starts_with(&[0, 0]) {
        rest = rest.after(ORIGIN);
    }
    let (ip, issue) = Ipv6::parse(rest).ok()?;
    let ours = is_teredo(ip.src()) || is_teredo(ip.dst());
    (issue.is_none() && ip.len == rest.len && ours).then_some(Link {
        group: false,
        ethertype: ethertype::IPV6,
        payload: rest,
    })
}

/// 2001::/32 (RFC 4380 section 2.6), or link-local as in solicitations.
const fn is_teredo(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0x2001, 0, ..]) || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Vec<u8> {
        let mut p = vec![0x60, 0, 0, 0, 0, 1, 17, 64, 0x20, 1];
        p.extend([0; 14]);
        p.extend([0x26; 16]);
        p.push(9);
        p
    }

    #[test]
    fn indications_are_passed_and_cut_anywhere_are_none() {
        let authentication = [0, 1, 1, 2, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let origin = [0, 0, 1, 2, 3, 4, 5, 6];
        for headers in [&[][..], &authentication, &origin, &[&authentication[..], &origin].concat()] {
            let bytes = [headers, &packet()].concat();
            for len in 0..=bytes.len() {
                let got = parse(Layer { data: &bytes[..len], len: u32::try_from(bytes.len()).unwrap() });
                assert_eq!(got.is_some(), len >= headers.len() + 40, "{len}");
            }
        }
    }

    #[test]
    fn other_addresses_and_lengths_are_none() {
        for (at, value) in [(0, 0x40), (5, 0), (5, 2), (8, 0x30)] {
            let mut wrong = packet();
            wrong[at] = value;
            assert_eq!(parse(Layer::new(&wrong, 0)).is_some(), at == 5 && value == 0, "{at}");
        }
        assert!(parse(Layer::new(&[&packet()[..], &[0]].concat(), 0)).is_none(), "longer than the packet");
    }
}
