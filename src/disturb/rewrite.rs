//! Changes to the bytes of a frame that a path makes: hops taken, a VLAN tag added.

use crate::capture::LinkType;

/// Bytes of a VLAN tag (IEEE 802.1Q): identifier of the protocol, and the tag.
pub(super) const TAG: u32 = 4;
const ETHERNET: usize = 14;
/// Where the Ethernet type begins, and a tag goes.
const TYPE: usize = 12;
const TAGGED: [u8; 2] = [0x81, 0x00];

/// Lowers the time to live or hop limit, and mends the IPv4 header's checksum (RFC 1624). Frames without an IP header
/// where one is expected stay as they are.
pub(super) fn age(link: LinkType, data: &mut [u8], hops: u8) {
    let Some(ip) = ip_header(link, data) else { return };
    let Some(packet) = data.get_mut(ip..) else { return };
    let version = packet.first().map_or(0, |b| b >> 4);
    match (version, packet) {
        (4, [_, _, _, _, _, _, _, _, ttl, _, high, low, ..]) => {
            let taken = hops.min(*ttl);
            *ttl -= taken;
            let sum = u32::from(u16::from_be_bytes([*high, *low])) + (u32::from(taken) << 8);
            let folded = (sum & 0xffff) + (sum >> 16);
            [*high, *low] = u16::try_from(folded & 0xffff).unwrap_or(0).to_be_bytes();
        }
        (6, [_, _, _, _, _, _, _, limit, ..]) => *limit = limit.saturating_sub(hops),
        _ => {}
    }
}

/// Puts a VLAN tag around what an Ethernet frame carries; whether it did.
pub(super) fn tag(link: LinkType, data: &mut Vec<u8>, vlan: u16) -> bool {
    if link != LinkType::ETHERNET || data.len() < ETHERNET {
        return false;
    }
    let [high, low] = (vlan & 0x0fff).to_be_bytes();
    data.splice(TYPE..TYPE, [TAGGED[0], TAGGED[1], high, low]);
    true
}

/// Where the IP header begins, past VLAN tags.
fn ip_header(link: LinkType, data: &[u8]) -> Option<usize> {
    let mut at = match link {
        LinkType::ETHERNET => ETHERNET,
        LinkType::SLL => 16,
        LinkType::SLL2 => return Some(20),
        LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => return Some(0),
        _ => return None,
    };
    loop {
        match data.get(at.checked_sub(2)?..at)? {
            [0x08, 0x00] | [0x86, 0xdd] => return Some(at),
            [0x81, 0x00] | [0x88, 0xa8] => at += 4,
            _ => return None,
        }
    }
}
