//! PPP and its framings: HDLC-like (RFC 1662), PPPoE (RFC 2516), with a direction octet (tcpdump.org "LINKTYPE_PPP" and its
//! relatives); and Cisco HDLC (RFC 1547 section 4.3.1), which shares link types with it.
//!
//! ```text
//! HDLC-like:   ff 03 | PPP          direction: 0 or 1 in place of ff, or before it
//! PPPoE:       version and type 11 | code | session u16 | length u16 | PPP
//! PPP:         protocol u16, or one octet where that is odd | payload
//! Cisco HDLC:  0f unicast, 8f multicast | 0 | Ethernet type u16 | payload
//! ```
//! Network byte order.

use super::ether::{Link, ethertype};
use super::issue::{Issue, Layer, be16};
use crate::base::ProblemKind;

const ADDRESS: u8 = 0xff;
const CONTROL: u8 = 0x03;
const CISCO_MULTICAST: u8 = 0x8f;
const CISCO_HEADER: u32 = 4;

const SESSION_HEADER: u32 = 6;
const SESSION_VERSION: u8 = 0x11;
const SESSION_CODE: u8 = 0;

/// PPP protocol numbers (IANA "PPP DLL Protocol Numbers").
mod protocol {
    pub(super) const IPV4: u16 = 0x0021;
    pub(super) const IPV6: u16 = 0x0057;
    pub(super) const MPLS: u16 = 0x0281;
    pub(super) const MPLS_MULTICAST: u16 = 0x0283;
    pub(super) const BRIDGED: u16 = 0x0031;
    pub(super) const MULTILINK: u16 = 0x003d;
}

/// Reads PPP with or without HDLC-like framing.
pub(super) fn framed(frame: Layer<'_>) -> Result<Link<'_>, Issue> {
    let h: &[u8; 1] = frame.header("PPP header")?;
    if h[0] != ADDRESS {
        return parse(frame);
    }
    match frame.header("PPP header")? {
        [ADDRESS, CONTROL] => parse(frame.after(2)),
        _ => Err(Issue::malformed("PPP framing")),
    }
}

/// Reads PPP in HDLC-like framing, or Cisco HDLC, whichever the first octet tells (link type 50).
pub(super) fn serial(frame: Layer<'_>) -> Result<Link<'_>, Issue> {
    let h: &[u8; 1] = frame.header("PPP header")?;
    if h[0] == ADDRESS { framed(frame) } else { cisco(frame) }
}

/// Reads PPP behind a direction octet; the second value is whether the capturing host sent it (link type 204).
pub(super) fn directed(frame: Layer<'_>) -> Result<(Link<'_>, bool), Issue> {
    let h: &[u8; 1] = frame.header("PPP direction")?;
    Ok((framed(frame.after(1))?, h[0] != 0))
}

/// Reads PPP whose address octet is the direction, as Linux' pppd writes it (link type 166).
pub(super) fn pppd(frame: Layer<'_>) -> Result<(Link<'_>, Option<bool>), Issue> {
    let h: &[u8; 2] = frame.header("PPP header")?;
    let outgoing = match *h {
        [ADDRESS, CONTROL] => None,
        [sent @ 0..=1, CONTROL] => Some(sent == 1),
        _ => return Err(Issue::malformed("PPP framing")),
    };
    Ok((parse(frame.after(2))?, outgoing))
}

/// Reads a PPPoE session header and the PPP inside. The second value is a length that contradicts the frame.
pub(super) fn session(frame: Layer<'_>) -> Result<(Link<'_>, Option<Issue>), Issue> {
    let h: &[u8; SESSION_HEADER as usize] = frame.header("PPPoE header")?;
    if h[0] != SESSION_VERSION || h[1] != SESSION_CODE {
        return Err(Issue::malformed("PPPoE version or code"));
    }
    let (len, rest) = (u32::from(u16::from_be_bytes([h[4], h[5]])), frame.after(SESSION_HEADER));
    let issue = (len > rest.len).then(|| Issue::malformed("PPPoE length beyond the frame"));
    Ok((parse(rest.limit(len))?, issue))
}

/// The session's number in a PPPoE header that [`session`] could read.
pub(super) fn session_id(frame: Layer<'_>) -> Option<u32> {
    be16(frame.data, 2).map(u32::from)
}

/// Reads a Cisco HDLC header.
pub(super) fn cisco(frame: Layer<'_>) -> Result<Link<'_>, Issue> {
    let h: &[u8; CISCO_HEADER as usize] = frame.header("Cisco HDLC header")?;
    if !matches!(h[0], 0x0f | CISCO_MULTICAST) || h[1] != 0 {
        return Err(Issue::malformed("Cisco HDLC address"));
    }
    let (group, ethertype) = (h[0] == CISCO_MULTICAST, u16::from_be_bytes([h[2], h[3]]));
    Ok(Link { group, ethertype, payload: frame.after(CISCO_HEADER) })
}

/// Reads the protocol field.
fn parse(ppp: Layer<'_>) -> Result<Link<'_>, Issue> {
    let h: &[u8; 1] = ppp.header("PPP protocol")?;
    let (protocol, len) = match h[0] {
        // RFC 1661 section 6.5: compressed to its low octet, which is odd.
        low if low & 1 != 0 => (u16::from(low), 1),
        _ => (u16::from_be_bytes(*ppp.header("PPP protocol")?), 2),
    };
    let ethertype = match protocol {
        protocol::IPV4 => ethertype::IPV4,
        protocol::IPV6 => ethertype::IPV6,
        protocol::MPLS => ethertype::MPLS,
        protocol::MPLS_MULTICAST => ethertype::MPLS_MULTICAST,
        protocol::BRIDGED => return Err(undecoded("Ethernet in PPP")),
        protocol::MULTILINK => return Err(undecoded("PPP multilink")),
        0x002d | 0x002f | 0x0061..=0x0069 | 0x2061..=0x2069 => return Err(undecoded("compressed headers in PPP")),
        0x00fb | 0x00fd => return Err(undecoded("compressed PPP")),
        0x0053 | 0x0055 => return Err(Issue::new(ProblemKind::Opaque, "encrypted PPP")),
        // RFC 1661 section 2: both octets' lowest bits are fixed.
        n if n & 0x0101 != 1 => return Err(Issue::malformed("PPP protocol")),
        // Control protocols (from 8000 on), and other network layers.
        _ => 0,
    };
    Ok(Link { group: false, ethertype, payload: ppp.after(len) })
}

const fn undecoded(what: &'static str) -> Issue {
    Issue::new(ProblemKind::Undecoded, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(bytes: &[u8]) -> Layer<'_> {
        Layer::new(bytes, u32::try_from(bytes.len()).unwrap())
    }

    #[test]
    fn the_protocol_is_read_with_and_without_framing_and_compression() {
        for bytes in [&[0xff, 3, 0, 0x21, 0x45][..], &[0, 0x21, 0x45], &[0x21, 0x45], &[0xff, 3, 0x21, 0x45]] {
            let link = framed(layer(bytes)).unwrap();
            assert_eq!((link.ethertype, link.payload.data), (ethertype::IPV4, &[0x45][..]), "{bytes:?}");
        }
        assert_eq!(framed(layer(&[0, 0x57])).unwrap().ethertype, ethertype::IPV6);
        assert_eq!(framed(layer(&[0xc0, 0x21, 1])).unwrap().ethertype, 0, "link control");
        assert_eq!(framed(layer(&[0, 0x3d])).unwrap_err().detail, "PPP multilink");
        assert_eq!(framed(layer(&[0, 0x53])).unwrap_err().kind, ProblemKind::Opaque);
        assert_eq!(framed(layer(&[2, 2])).unwrap_err().kind, ProblemKind::PacketMalformed);
        assert_eq!(framed(layer(&[0xff])).unwrap_err().kind, ProblemKind::PacketMalformed);
    }

    #[test]
    fn directions_and_cisco_framing_are_told() {
        assert!(directed(layer(&[1, 0xff, 3, 0, 0x21])).unwrap().1);
        assert!(!directed(layer(&[0, 0x21])).unwrap().1);
        assert_eq!(pppd(layer(&[1, 3, 0, 0x21])).unwrap().1, Some(true));
        assert!(pppd(layer(&[2, 3, 0, 0x21])).is_err());
        let link = serial(layer(&[0x8f, 0, 8, 0, 0x45])).unwrap();
        assert_eq!((link.group, link.ethertype, link.payload.len), (true, ethertype::IPV4, 1));
        assert_eq!(serial(layer(&[0xff, 3, 0, 0x21])).unwrap().ethertype, ethertype::IPV4);
        assert!(serial(layer(&[0x10, 0, 8, 0])).is_err());
    }

    #[test]
    fn a_session_is_as_long_as_it_says_and_an_issue_where_cut() {
        let bytes = [0x11, 0, 0, 7, 0, 3, 0, 0x21, 0x45, 0, 0];
        for len in 0..=bytes.len() {
            let got = session(Layer { data: &bytes[..len], len: 11 });
            assert_eq!(got.is_ok(), len >= 8, "{len}");
        }
        let (link, issue) = session(layer(&bytes)).unwrap();
        assert_eq!((link.payload.data, issue), (&[0x45][..], None));
        assert!(session(layer(&bytes[..8])).unwrap().1.is_some(), "longer than the frame");
        assert!(session(layer(&[0x11, 9, 0, 7, 0, 3, 0, 0x21])).is_err(), "discovery");
    }
}
