//! ICMP (RFC 792) and ICMPv6 (RFC 4443): type, code, and the packet an error quotes from octet 8 on.

use std::net::IpAddr;

use super::issue::{Issue, Layer, be16, be32};
use super::{Icmp, Quoted, ipv6};
use crate::base::Proto;

/// What was cut where an error does not tell whom it is about.
pub const CUT_QUOTE: &str = "packet quoted by an ICMP error";

const QUOTE: u32 = 8;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: u32 = 40;

/// Reads a message at the start of `layer`.
pub(super) fn parse(layer: Layer<'_>, v6: bool) -> Result<Icmp, Issue> {
    let &[ty, code] = layer.header("ICMP header")?;
    let quoted = if is_error(ty, v6) { quote(layer.after(QUOTE), v6) } else { None };
    Ok(Icmp { v6, ty, code, quoted })
}

/// The trouble with an error of which too little was captured to say whom it is about.
pub(super) fn cut(icmp: &Icmp, layer: Layer<'_>) -> Option<Issue> {
    let short = u32::try_from(layer.data.len()).is_ok_and(|n| n < layer.len);
    (short && icmp.quoted.is_none() && is_error(icmp.ty, icmp.v6)).then(|| Issue::truncated(CUT_QUOTE))
}

/// Whether messages of a type quote a packet.
const fn is_error(ty: u8, v6: bool) -> bool {
    if v6 { ty >= 1 && ty <= 4 } else { matches!(ty, 3 | 4 | 5 | 11 | 12) }
}

/// Reads as much of a quoted packet as tells its flow. Its lengths are the original's, so they are not checked against the
/// quote; `None` where the ports were not quoted, or where it is a later fragment and has none.
fn quote(inner: Layer<'_>, v6: bool) -> Option<Quoted> {
    let (src, dst, protocol, transport) = if v6 { quoted_v6(inner)? } else { quoted_v4(inner)? };
    let proto = Proto::from_number(protocol);
    let (src_port, dst_port) = match proto {
        Proto::Tcp | Proto::Udp => (be16(transport, 0)?, be16(transport, 2)?),
        _ => (0, 0),
    };
    let seq = if proto == Proto::Tcp { be32(transport, 4) } else { None };
    Some(Quoted { src, dst, proto, src_port, dst_port, seq })
}

fn quoted_v4(inner: Layer<'_>) -> Option<(IpAddr, IpAddr, u8, &[u8])> {
    let h: &[u8; IPV4_HEADER] = inner.data.first_chunk()?;
    let header_len = usize::from(h[0] & 0x0f) * 4;
    let later_fragment = u16::from_be_bytes([h[6], h[7]]) & 0x1fff != 0;
    if h[0] >> 4 != 4 || header_len < IPV4_HEADER || later_fragment {
        return None;
    }
    let src = IpAddr::from([h[12], h[13], h[14], h[15]]);
    let dst = IpAddr::from([h[16], h[17], h[18], h[19]]);
    Some((src, dst, h[9], inner.data.get(header_len..)?))
}

fn quoted_v6(inner: Layer<'_>) -> Option<(IpAddr, IpAddr, u8, &[u8])> {
    let h: &[u8; IPV6_HEADER as usize] = inner.data.first_chunk()?;
    if h[0] >> 4 != 6 {
        return None;
    }
    let address = |at: usize| Some(IpAddr::from(*h.get(at..)?.first_chunk::<16>()?));
    let upper = ipv6::follow(h[6], inner.after(IPV6_HEADER));
    if upper.issue.is_some() || upper.fragment.is_some_and(|f| !f.first) {
        return None;
    }
    Some((address(8)?, address(24)?, upper.protocol, upper.payload.data))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Port unreachable, quoting 8 bytes of a TCP segment from 10.0.0.1:50000 to 10.0.0.2:22.
    fn unreachable() -> Vec<u8> {
        let mut m = vec![3, 3, 0, 0, 0, 0, 0, 0];
        m.extend([0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        m.extend([0xc3, 0x50, 0, 22, 0, 0, 1, 0]);
        m
    }

    #[test]
    fn a_quote_tells_the_flow_and_cut_anywhere_tells_less() {
        let whole = unreachable();
        for len in 0..=whole.len() {
            let got = parse(Layer { data: &whole[..len], len: 36 }, false);
            let Ok(icmp) = got else {
                assert!(len < 2);
                continue;
            };
            assert_eq!((icmp.ty, icmp.code, icmp.quoted.is_some()), (3, 3, len >= 32), "{len}");
            if let Some(q) = icmp.quoted {
                assert_eq!((q.proto, q.src_port, q.dst_port), (Proto::Tcp, 50000, 22));
                assert_eq!(q.seq, (len >= 36).then_some(256));
            }
        }
    }

    #[test]
    fn a_quoted_later_fragment_has_no_ports_and_an_echo_quotes_nothing() {
        let mut m = unreachable();
        m[8 + 7] = 1;
        assert_eq!(parse(Layer::new(&m, 0), false).unwrap().quoted, None);
        m[0] = 8;
        assert_eq!(parse(Layer::new(&m, 0), false).unwrap().quoted, None);
    }

    #[test]
    fn a_quoted_ipv6_packet_is_read_through_its_extension_headers() {
        let mut m = vec![1, 4, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0, 4, 0, 60, 64];
        m.extend([0; 15]);
        m.push(1);
        m.extend([0; 15]);
        m.push(2);
        m.extend([17, 0, 1, 4, 0, 0, 0, 0, 0x12, 0x34, 0, 53]);
        let q = parse(Layer::new(&m, 0), true).unwrap().quoted.unwrap();
        assert_eq!((q.proto, q.src_port, q.dst_port, q.seq), (Proto::Udp, 0x1234, 53, None));
        assert_eq!(q.dst.to_string(), "::2");
    }
}
