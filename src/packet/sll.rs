//! Linux cooked captures (tcpdump.org "LINKTYPE_LINUX_SLL" and "LINKTYPE_LINUX_SLL2"): what `-i any` writes.
//!
//! ```text
//! v1: packet type u16 | hardware type u16 | address length u16 | address 8 | protocol u16
//! v2: protocol u16 | zero u16 | interface u32 | hardware type u16 | packet type u8 | address length u8 | address 8
//! ```
//! Network byte order.

use super::ether::Link;
use super::issue::{Issue, Layer};

const HEADER: u32 = 16;
const HEADER_V2: u32 = 20;

const BROADCAST: u16 = 1;
const MULTICAST: u16 = 2;
const OUTGOING: u16 = 4;

/// A cooked header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cooked<'a> {
    /// What follows.
    pub(super) link: Link<'a>,
    /// Whether the capturing host sent it.
    pub(super) outgoing: bool,
    /// Interface of the capturing host; version 2 only.
    pub(super) device: Option<u32>,
}

/// Hardware types whose protocol field is no Ethernet type (Linux `if_arp.h`): netlink, and wireless monitors.
const fn has_ethertype(hardware: u16) -> bool {
    !matches!(hardware, 801..=803 | 824)
}

fn cooked(packet_type: u16, hardware: u16, protocol: u16, payload: Layer<'_>, device: Option<u32>) -> Cooked<'_> {
    let group = matches!(packet_type, BROADCAST | MULTICAST);
    let ethertype = if has_ethertype(hardware) { protocol } else { 0 };
    Cooked { link: Link { group, ethertype, payload }, outgoing: packet_type == OUTGOING, device }
}

/// Reads a version 1 header.
pub(super) fn v1(frame: Layer<'_>) -> Result<Cooked<'_>, Issue> {
    let h: &[u8; HEADER as usize] = frame.header("Linux cooked header")?;
    let half = |a, b| u16::from_be_bytes([a, b]);
    Ok(cooked(half(h[0], h[1]), half(h[2], h[3]), half(h[14], h[15]), frame.after(HEADER), None))
}

/// Reads a version 2 header.
pub(super) fn v2(frame: Layer<'_>) -> Result<Cooked<'_>, Issue> {
    let h: &[u8; HEADER_V2 as usize] = frame.header("Linux cooked header v2")?;
    let half = |a, b| u16::from_be_bytes([a, b]);
    let device = u32::from_be_bytes([h[4], h[5], h[6], h[7]]);
    Ok(cooked(u16::from(h[10]), half(h[8], h[9]), half(h[0], h[1]), frame.after(HEADER_V2), Some(device)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_tell_protocol_and_direction_and_are_an_issue_where_cut() {
        let one = [0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0, 0x45];
        let two = [0x86, 0xdd, 0, 0, 0, 0, 0, 9, 0, 1, 1, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x60];
        for len in 0..=one.len() {
            let got = v1(Layer { data: &one[..len], len: 17 });
            assert_eq!(got.is_ok(), len >= 16);
            if let Ok(c) = got {
                assert_eq!((c.link.ethertype, c.outgoing, c.link.group, c.device), (0x0800, true, false, None));
            }
        }
        for len in 0..=two.len() {
            let got = v2(Layer { data: &two[..len], len: 21 });
            assert_eq!(got.is_ok(), len >= 20);
            if let Ok(c) = got {
                assert_eq!((c.link.ethertype, c.outgoing, c.link.group, c.device), (0x86dd, false, true, Some(9)));
            }
        }
    }

    #[test]
    fn netlink_messages_have_no_ethertype() {
        let h = [0, 0, 0x03, 0x38, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0];
        assert_eq!(v1(Layer::new(&h, 16)).unwrap().link.ethertype, 0);
    }
}
