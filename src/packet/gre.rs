//! GRE (RFC 2784, key and sequence number RFC 2890), its version 1 for PPTP (RFC 2637 section 4.1), and what vendors put
//! between it and an Ethernet frame: ERSPAN (draft-foschiano-erspan-03 section 4) and WCCP's redirect header.
//!
//! ```text
//! 0 flags: checksum, routing, key, sequence, ... version 3 bits | 2 Ethernet type u16
//! checksum u16, reserved u16 | key u32 | sequence u32          each where its flag is set
//! version 1: key is payload length u16, call u16; sequence u32 | acknowledgement u32 where bit 8 is set | PPP
//! ERSPAN: I nothing | II 8 octets, version 1 | III 12 octets, version 2, and 8 more where the last bit is set
//! ```

use super::ether::{self, Link, ethertype};
use super::issue::{Issue, Layer, be16, be32};
use super::tunnel::Name;
use super::{Encapsulation, ppp};
use crate::base::ProblemKind;

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;
/// ERSPAN's session: the low bits of its second 16.
const SESSION: u16 = 0x03ff;
/// Flags of version 1 that RFC 2637 fixes: key set; checksum, routing, strict source route, recursion and the reserved clear.
const PPTP_FIXED: u16 = !(SEQUENCE | ACKNOWLEDGEMENT);

/// Protocols of GRE beside those that links have.
mod protocol {
    pub(super) const BRIDGED: u16 = 0x6558;
    pub(super) const PPP: u16 = 0x880b;
    pub(super) const WCCP: u16 = 0x883e;
    pub(super) const ERSPAN: u16 = 0x88be;
    pub(super) const ERSPAN_III: u16 = 0x22eb;
}

/// What a GRE header leads to, as if a link had carried it; Ethernet type 0 where that is no packet.
pub(super) fn parse(layer: Layer<'_>) -> Result<Link<'_>, Issue> {
    let h: &[u8; 4] = layer.header("GRE header")?;
    let (flags, protocol) = (u16::from_be_bytes([h[0], h[1]]), u16::from_be_bytes([h[2], h[3]]));
    match flags & VERSION {
        0 if flags & ROUTING == 0 => contents(protocol, flags, past(layer, flags, 0)?),
        1 if protocol == protocol::PPP && flags & PPTP_FIXED == KEY | 1 => pptp(layer, flags),
        _ => Err(undecoded()),
    }
}

/// As [`parse`], for what is GRE by its looks only: version 0, no reserved bit set (RFC 8086).
pub(super) fn strict(layer: Layer<'_>) -> Option<Link<'_>> {
    let flags = be16(layer.data, 0)?;
    let clean = flags & !(CHECKSUM | KEY | SEQUENCE) == 0;
    clean.then(|| parse(layer).ok()).flatten()
}

/// What kind of GRE a header is that [`parse`] could read, and its key; of ERSPAN the session, where a header tells it.
pub(super) fn name(layer: Layer<'_>) -> Name {
    let (flags, protocol) = (be16(layer.data, 0).unwrap_or(0), be16(layer.data, 2).unwrap_or(0));
    if !matches!(protocol, protocol::ERSPAN | protocol::ERSPAN_III) {
        let at = if flags & CHECKSUM == 0 { 4 } else { 8 };
        // Version 1 keeps a length in the upper half.
        let mask = if flags & VERSION == 0 { u32::MAX } else { 0xffff };
        return (Encapsulation::Gre, be32(layer.data, at).filter(|_| flags & KEY != 0).map(|n| n & mask));
    }
    let header = past(layer, flags, 0).ok().filter(|_| protocol == protocol::ERSPAN_III || flags & SEQUENCE != 0);
    (Encapsulation::Erspan, header.and_then(|h| be16(h.data, 2)).map(|n| u32::from(n & SESSION)))
}

/// What follows the fields that the flags announce.
fn past(layer: Layer<'_>, flags: u16, more: u32) -> Result<Layer<'_>, Issue> {
    let words = (flags & (CHECKSUM | KEY | SEQUENCE)).count_ones();
    skip(layer, 4 + 4 * words + more, "GRE header")
}

fn skip<'a>(layer: Layer<'a>, n: u32, what: &'static str) -> Result<Layer<'a>, Issue> {
    match (layer.len < n, layer.data.len() < n as usize) {
        (true, _) => Err(Issue::malformed(what)),
        (_, true) => Err(Issue::truncated(what)),
        _ => Ok(layer.after(n)),
    }
}

fn pptp(layer: Layer<'_>, flags: u16) -> Result<Link<'_>, Issue> {
    let rest = past(layer, flags, if flags & ACKNOWLEDGEMENT == 0 { 0 } else { 4 })?;
    let len = be16(layer.data, 4).map_or(0, u32::from);
    // Without a sequence number it only acknowledges.
    if flags & SEQUENCE == 0 || len == 0 {
        return Ok(Link { group: false, ethertype: 0, payload: rest.limit(0) });
    }
    ppp::framed(rest.limit(len))
}

fn contents(protocol: u16, flags: u16, rest: Layer<'_>) -> Result<Link<'_>, Issue> {
    let plain = |ethertype, payload| Ok(Link { group: false, ethertype, payload });
    match protocol {
        ethertype::IPV4 | ethertype::IPV6 | ethertype::MPLS | ethertype::MPLS_MULTICAST => plain(protocol, rest),
        protocol::BRIDGED => ether::ethernet(rest),
        protocol::PPP => ppp::framed(rest),
        // Version 1 of WCCP has no header of its own, version 2 four octets of it.
        protocol::WCCP => {
            let &[first] = rest.header("WCCP redirect")?;
            plain(ethertype::IPV4, if first >> 4 == 4 { rest } else { skip(rest, 4, "WCCP redirect header")? })
        }
        protocol::ERSPAN | protocol::ERSPAN_III => erspan(protocol, flags & SEQUENCE != 0, rest),
        _ => Err(undecoded()),
    }
}

fn erspan(protocol: u16, sequence: bool, rest: Layer<'_>) -> Result<Link<'_>, Issue> {
    const WHAT: &str = "ERSPAN header";
    if protocol == protocol::ERSPAN && !sequence {
        return ether::ethernet(rest);
    }
    let &[first] = rest.header(WHAT)?;
    let len = match (protocol, first >> 4) {
        (protocol::ERSPAN, 1) => 8,
        (_, 2) => {
            let h: &[u8; 12] = rest.header(WHAT)?;
            if h[11] & 1 == 0 { 12 } else { 20 }
        }
        _ => return Err(Issue::new(ProblemKind::Undecoded, "ERSPAN")),
    };
    ether::ethernet(skip(rest, len, WHAT)?)
}

const fn undecoded() -> Issue {
    Issue::new(ProblemKind::Undecoded, "GRE")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [u8; 15] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45];

    /// The Ethernet type and the contents of `header` and `inner`; every cut inside the headers is an issue.
    fn read(header: &[u8], inner: &[u8], headers: usize) -> (u16, Vec<u8>) {
        let whole = [header, inner].concat();
        let len = u32::try_from(whole.len()).unwrap();
        for cut in 0..whole.len() {
            let got = parse(Layer { data: &whole[..cut], len });
            assert_eq!(got.is_ok(), cut >= headers, "{cut} of {whole:02x?}");
            if let Err(issue) = got {
                assert_eq!(issue.kind, ProblemKind::PacketTruncated);
            }
        }
        let link = parse(Layer::new(&whole, len)).unwrap();
        (link.ethertype, link.payload.data.to_vec())
    }

    #[test]
    fn flags_tell_the_length_of_the_header() {
        for (flags, words) in [(0x00, 0), (0x80, 1), (0x20, 1), (0x10, 1), (0xb0, 3)] {
            let header = [&[flags, 0, 8, 0][..], &[0; 12][..words * 4]].concat();
            assert_eq!(read(&header, &[0x45, 1], header.len()), (ethertype::IPV4, vec![0x45, 1]));
        }
        assert_eq!(read(&[0, 0, 0x88, 0x47], &[1], 4).0, ethertype::MPLS);
        for bytes in [[0x40, 0, 8, 0], [0, 2, 8, 0], [0, 0, 0, 0], [0, 1, 8, 0], [0x20, 1, 8, 0]] {
            assert_eq!(parse(Layer::new(&bytes, 0)).unwrap_err().detail, "GRE", "{bytes:?}");
        }
    }

    #[test]
    fn frames_are_found_bridged_and_behind_every_erspan_header() {
        let inner = (ethertype::IPV4, vec![0x45]);
        assert_eq!(read(&[0x20, 0, 0x65, 0x58, 0, 0, 0, 1], &FRAME, 22), inner);
        assert_eq!(read(&[0, 0, 0x88, 0xbe], &FRAME, 18), inner);
        let second = [&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1][..], &[0x10, 1, 0, 1, 0, 0, 0, 2]].concat();
        assert_eq!(read(&second, &FRAME, 30), inner);
        let mut third = [&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &[0x20, 1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0]].concat();
        assert_eq!(read(&third, &FRAME, 34), inner);
        third[19] = 1;
        third.extend([0; 8]);
        assert_eq!(read(&third, &FRAME, 42), inner);
        third[8] = 0x30;
        assert_eq!(parse(Layer::new(&third, 0)).unwrap_err().detail, "ERSPAN");
    }

    #[test]
    fn redirects_have_a_header_or_none() {
        assert_eq!(read(&[0, 0, 0x88, 0x3e], &[0x45, 9], 5), (ethertype::IPV4, vec![0x45, 9]));
        assert_eq!(read(&[0, 0, 0x88, 0x3e, 0, 0x3d, 0, 0], &[0x45, 9], 8), (ethertype::IPV4, vec![0x45, 9]));
    }

    #[test]
    fn version_1_carries_ppp_or_only_acknowledges() {
        let data = [0x30, 0x81, 0x88, 0x0b, 0, 5, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21];
        assert_eq!(read(&data, &[0x45, 9], 20), (ethertype::IPV4, vec![0x45]), "the length bounds it");
        let acknowledgement = [0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 7, 0, 0, 0, 1];
        assert_eq!(read(&acknowledgement, &[], 12), (0, vec![]));
    }

    #[test]
    fn by_looks_alone_reserved_bits_must_be_clear() {
        assert!(strict(Layer::new(&[0x20, 0, 8, 0, 0, 0, 0, 1, 0x45], 0)).is_some());
        assert!(strict(Layer::new(&[0x20, 0x08, 8, 0, 0, 0, 0, 1, 0x45], 0)).is_none());
        assert!(strict(Layer::new(&[0x20, 0, 8], 0)).is_none());
    }
}
