//! BSD loopback (tcpdump.org "LINKTYPE_NULL", "LINKTYPE_LOOP"): a 4-byte address family before the packet.

use super::ether::{Link, ethertype};
use super::issue::{Issue, Layer};

const HEADER: u32 = 4;

/// Reads the header. The family is in the capturing host's byte order, or the network's: families are small, so the
/// order is told by which end is not zero.
pub(super) fn parse(frame: Layer<'_>) -> Result<Link<'_>, Issue> {
    let h: &[u8; HEADER as usize] = frame.header("loopback header")?;
    let (little, big) = (u32::from_le_bytes(*h), u32::from_be_bytes(*h));
    // AF_INET is 2 everywhere. AF_INET6: NetBSD and OpenBSD 24, FreeBSD 28, macOS 30, Linux 10.
    let ethertype = match little.min(big) {
        2 => ethertype::IPV4,
        10 | 24 | 28 | 30 => ethertype::IPV6,
        _ => 0,
    };
    Ok(Link { group: false, ethertype, payload: frame.after(HEADER) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_read_in_either_order() {
        for (bytes, ethertype) in [
            ([2, 0, 0, 0], 0x0800),
            ([0, 0, 0, 2], 0x0800),
            ([0, 0, 0, 30], 0x86dd),
            ([24, 0, 0, 0], 0x86dd),
            ([7, 0, 0, 0], 0),
        ] {
            assert_eq!(parse(Layer::new(&bytes, 4)).unwrap().ethertype, ethertype);
        }
        assert!(parse(Layer::new(&[2, 0, 0], 3)).is_err());
    }
}
