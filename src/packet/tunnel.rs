//! Tunnels over UDP: by port and by what the payload is, never by port alone. What does not read as the tunnel to the last
//! bit that its specification fixes is an ordinary datagram.

use super::ether::{self, Link};
use super::issue::{Layer, be16, be32};
use super::{Encapsulation, Vlans, geneve, gre, gtp, teredo, vxlan};

/// Registered ports (IANA), and the one that Linux took for VXLAN before the registration.
mod port {
    pub(super) const GTP_U: u16 = 2152;
    pub(super) const TEREDO: u16 = 3544;
    pub(super) const GRE: u16 = 4754;
    pub(super) const VXLAN: u16 = 4789;
    pub(super) const VXLAN_LINUX: u16 = 8472;
    pub(super) const GENEVE: u16 = 6081;
}

/// Whether one of the ports is a tunnel's.
#[inline]
pub(super) const fn may_be(src: u16, dst: u16) -> bool {
    is_known(dst) || is_known(src)
}

#[inline]
const fn is_known(port: u16) -> bool {
    use port::{GENEVE, GRE, GTP_U, TEREDO, VXLAN, VXLAN_LINUX};
    matches!(port, GTP_U | TEREDO | GRE | VXLAN | VXLAN_LINUX | GENEVE)
}

/// A tunnel's name and the number in its header.
pub(super) type Name = (Encapsulation, Option<u32>);

/// What the header of the tunnel that the ports suggest leads to, the destination's first, and that tunnel's name; `None`
/// where it is none.
pub(super) fn over_udp(src: u16, dst: u16, payload: Layer<'_>) -> Option<(Link<'_>, Name)> {
    [dst, src].into_iter().find_map(|port| Some((by_port(port, payload)?, name(port, payload))))
}

fn by_port(port: u16, payload: Layer<'_>) -> Option<Link<'_>> {
    match port {
        port::VXLAN | port::VXLAN_LINUX => vxlan::parse(payload),
        port::GENEVE => geneve::parse(payload),
        port::GTP_U => gtp::parse(payload),
        port::GRE => gre::strict(payload),
        port::TEREDO => teredo::parse(payload),
        _ => None,
    }
}

fn name(port: u16, payload: Layer<'_>) -> Name {
    match port {
        port::GENEVE => (Encapsulation::Geneve, be32(payload.data, 4).map(|n| n >> 8)),
        port::GTP_U => (Encapsulation::GtpU, be32(payload.data, 4)),
        port::GRE => gre::name(payload),
        port::TEREDO => (Encapsulation::Teredo, None),
        _ => (Encapsulation::Vxlan, be32(payload.data, 4).map(|n| n >> 8)),
    }
}

/// Whether what is not IP is surely a frame: address resolution with its fixed fields, or what bridges and hosts say to one
/// another.
pub(super) fn is_plausible(link: &Link<'_>) -> bool {
    match ether::unwrap(link, &mut Vlans::default()) {
        Ok((0x0806, arp, _)) => arp.data.starts_with(&[0, 1, 8, 0, 6, 4]),
        // Spanning tree, SNAP, IS-IS: the length must fit, too.
        Ok((0, llc, _)) => {
            let fits = u32::from(link.ethertype) <= link.payload.len;
            fits && matches!(be16(llc.data, 0), Some(0x4242 | 0xaaaa | 0xfefe))
        }
        // Wake on LAN, reverse ARP, slow protocols, EAP, LLDP, precision time, connectivity faults, loopback.
        Ok((ethertype, ..)) => {
            matches!(ethertype, 0x0842 | 0x8035 | 0x8809 | 0x888e | 0x88cc | 0x88f7 | 0x8902 | 0x9000)
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plausible(ethertype: u16, payload: &[u8]) -> bool {
        is_plausible(&Link { group: false, ethertype, payload: Layer::new(payload, 0) })
    }

    #[test]
    fn what_is_not_ip_must_look_like_something() {
        assert!(plausible(0x0806, &[0, 1, 8, 0, 6, 4, 0, 1]));
        assert!(plausible(0x8100, &[0, 7, 0x88, 0xcc]), "behind a tag");
        assert!(plausible(3, &[0x42, 0x42, 3]));
        assert!(!plausible(4, &[0x42, 0x42, 3]), "longer than the frame");
        for (ethertype, payload) in [(0x0806, &[0; 8][..]), (0x1234, &[0; 8]), (0, &[]), (0x8100, &[])] {
            assert!(!plausible(ethertype, payload));
        }
    }

    #[test]
    fn ports_without_contents_are_nothing() {
        for dst in [2152, 3544, 4754, 4789, 8472, 6081] {
            assert!(may_be(50_000, dst) && may_be(dst, 50_000) && !may_be(50_000, 53));
            for payload in [&[][..], &[0xff; 40], &[0; 40]] {
                assert!(over_udp(50_000, dst, Layer::new(payload, 0)).is_none(), "{dst}");
            }
        }
    }
}
