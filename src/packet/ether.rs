//! Ethernet II, IEEE 802.3 with LLC/SNAP, and VLAN tags.
//!
//! ```text
//! destination 6 | source 6 | type or length u16 | payload
//! tag:  priority 3 bits, drop 1 bit, identifier 12 bits | type u16
//! SNAP: aa aa 03 | organisation 3 | type u16
//! ```

use super::Vlans;
use super::issue::{Issue, Layer, be16};
use crate::base::ProblemKind;

/// Ethernet types (IEEE registry).
pub(super) mod ethertype {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const QINQ: u16 = 0x88a8;
    pub(crate) const QINQ_OLD: u16 = 0x9100;
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const MPLS_MULTICAST: u16 = 0x8848;
    pub(crate) const PPPOE: u16 = 0x8864;
    pub(crate) const BACKBONE: u16 = 0x88e7;
}

/// Below this the field is a length (IEEE 802.3 section 3.2.6).
const LOWEST_TYPE: u16 = 0x0600;
/// Tags passed over before giving up.
const MAX_TAGS: usize = 16;

const HEADER: u32 = 14;
const TAG: u32 = 4;
const SNAP: [u8; 6] = [0xaa, 0xaa, 0x03, 0, 0, 0];

/// A link-layer header: whom it was sent to, what follows and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link<'a> {
    /// Whether it was sent to a group.
    pub(super) group: bool,
    /// The Ethernet type of what follows; 0 where it has none.
    pub(super) ethertype: u16,
    /// What follows.
    pub(super) payload: Layer<'a>,
}

/// Reads an Ethernet header.
#[inline]
pub(super) fn ethernet(frame: Layer<'_>) -> Result<Link<'_>, Issue> {
    let h: &[u8; HEADER as usize] = frame.header("Ethernet header")?;
    let (ethertype, payload) = (u16::from_be_bytes([h[12], h[13]]), frame.after(HEADER));
    Ok(Link { group: h[0] & 1 != 0, ethertype, payload })
}

/// Where tags and a SNAP header lead to: the last Ethernet type, 0 for plain LLC, and what follows.
pub(super) fn unwrap<'a>(link: &Link<'a>, vlans: &mut Vlans) -> Result<(u16, Layer<'a>, Option<Issue>), Issue> {
    let (mut ethertype, mut rest, mut issue) = (link.ethertype, link.payload, None);
    for _ in 0..=MAX_TAGS {
        match ethertype {
            ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD => {
                let tag: &[u8; TAG as usize] = rest.header("VLAN tag")?;
                if !vlans.push(u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff) {
                    issue = Some(Issue::new(ProblemKind::TooDeep, "VLAN tags"));
                }
                ethertype = u16::from_be_bytes([tag[2], tag[3]]);
                rest = rest.after(TAG);
            }
            0..LOWEST_TYPE => return Ok(snap(rest).map_or((0, rest, issue.clone()), |(t, r)| (t, r, issue))),
            _ => return Ok((ethertype, rest, issue)),
        }
    }
    Err(Issue::new(ProblemKind::TooDeep, "VLAN tags"))
}

/// RFC 1042: an Ethernet type inside LLC.
fn snap(llc: Layer<'_>) -> Option<(u16, Layer<'_>)> {
    let ethertype = be16(llc.data, SNAP.len()).filter(|_| llc.data.starts_with(&SNAP))?;
    Some((ethertype, llc.after(8)))
}

/// The issue of an Ethernet type that carries hosts' traffic and is not decoded; `None` for what is normal in any network.
pub(super) fn undecoded(ethertype: u16) -> Option<Issue> {
    let (kind, name) = match ethertype {
        0x880b => (ProblemKind::Undecoded, "PPP"),
        0x6558 => (ProblemKind::Undecoded, "transparent Ethernet bridging"),
        0x893f => (ProblemKind::Undecoded, "bridge port extension (802.1BR)"),
        0x8926 => (ProblemKind::Undecoded, "VN-Tag"),
        0x8909 => (ProblemKind::Undecoded, "Cisco MetaData"),
        0x894f => (ProblemKind::Undecoded, "network service header"),
        0x22f3 => (ProblemKind::Undecoded, "TRILL"),
        0x8903 => (ProblemKind::Undecoded, "FabricPath"),
        0x88be | 0x22eb => (ProblemKind::Undecoded, "ERSPAN"),
        0x4305 => (ProblemKind::Undecoded, "B.A.T.M.A.N."),
        0x88e5 => (ProblemKind::Opaque, "MACsec"),
        _ => return None,
    };
    Some(Issue::new(kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8]) -> Layer<'_> {
        Layer::new(bytes, u32::try_from(bytes.len()).unwrap())
    }

    #[test]
    fn tags_are_read_from_the_outside_in_and_a_header_cut_anywhere_is_an_issue() {
        let bytes = [
            &[0xff; 6][..],
            &[2, 0, 0, 0, 0, 1, 0x88, 0xa8],
            &[0x20, 100, 0x81, 0x00],
            &[0xf0, 0x07, 0x08, 0x00],
            &[0x45],
        ]
        .concat();
        for len in 0..=bytes.len() {
            let mut vlans = Vlans::default();
            let layer = Layer { data: &bytes[..len], len: 23 };
            let got = ethernet(layer).and_then(|l| unwrap(&l, &mut vlans));
            assert_eq!(got.is_ok(), len >= 22, "{len}");
            if let Ok((ethertype, rest, issue)) = got {
                assert_eq!((ethertype, rest.len, issue), (0x0800, 1, None));
                assert_eq!(vlans.as_slice(), [100, 7]);
            } else {
                assert_eq!(got.unwrap_err().kind, ProblemKind::PacketTruncated);
            }
        }
    }

    #[test]
    fn five_tags_keep_four_and_say_so_and_seventeen_are_too_deep() {
        for (tags, ok) in [(5, true), (16, true), (17, false)] {
            let mut bytes = vec![0; 12];
            for _ in 0..tags {
                bytes.extend([0x81, 0, 0, 5]);
            }
            bytes.extend([0x86, 0xdd]);
            let mut vlans = Vlans::default();
            let got = unwrap(&ethernet(frame(&bytes)).unwrap(), &mut vlans);
            assert_eq!(vlans.as_slice(), [5; 4]);
            assert_eq!(got.is_ok(), ok);
            let issue = got.map_or_else(Some, |g| g.2);
            assert_eq!(issue.unwrap().kind, ProblemKind::TooDeep);
        }
    }

    #[test]
    fn llc_is_not_ip_but_snap_may_be() {
        let mut bytes = [&[0; 12][..], &[0, 38, 0x42, 0x42, 3]].concat();
        let mut vlans = Vlans::default();
        assert_eq!(unwrap(&ethernet(frame(&bytes)).unwrap(), &mut vlans).unwrap().0, 0);
        bytes = [&[0; 12][..], &[0, 38], &SNAP, &[8, 0, 0x45]].concat();
        let (ethertype, rest, _) = unwrap(&ethernet(frame(&bytes)).unwrap(), &mut vlans).unwrap();
        assert_eq!((ethertype, rest.data), (ethertype::IPV4, &[0x45][..]));
    }
}
