//! UDP (RFC 768): source port, destination port, length, checksum; 8 octets.

use super::Udp;
use super::issue::{Issue, Layer, be16};

const HEADER: u32 = 8;
/// Octets that hold the ports: all that is needed.
const PORTS: usize = 4;

/// Reads a datagram at the start of `layer`. The second value is a length that contradicts the packet.
#[inline]
pub(super) fn parse(layer: Layer<'_>, first_fragment: Option<u32>) -> Result<(Udp<'_>, Option<Issue>), Issue> {
    if layer.len < HEADER {
        return Err(Issue::malformed("UDP header"));
    }
    let h: &[u8; PORTS] = layer.header("UDP header")?;
    // 0: a jumbogram (RFC 2675 section 4) or segmentation offload; the packet tells the length.
    let claimed = match be16(layer.data, PORTS).map(u32::from) {
        None | Some(0) => layer.len,
        Some(n) if n < HEADER => return Err(Issue::malformed("UDP length")),
        Some(n) => n,
    };
    // A first fragment's length is the whole datagram's.
    let beyond = claimed > layer.len && first_fragment.is_none();
    let payload = layer.limit(claimed).after(HEADER);
    let udp = Udp {
        src_port: u16::from_be_bytes([h[0], h[1]]),
        dst_port: u16::from_be_bytes([h[2], h[3]]),
        payload: payload.data,
        payload_len: payload.len,
        first_fragment,
    };
    Ok((udp, beyond.then(|| Issue::malformed("UDP length beyond the packet"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATAGRAM: [u8; 12] = [0, 53, 0xc0, 1, 0, 11, 0, 0, 1, 2, 3, 0];

    #[test]
    fn the_length_bounds_the_payload() {
        let (u, issue) = parse(Layer::new(&DATAGRAM, 0), None).unwrap();
        assert_eq!((u.src_port, u.dst_port, u.payload, u.payload_len), (53, 0xc001, &[1, 2, 3][..], 3));
        assert_eq!(issue, None);
        let mut d = DATAGRAM;
        d[5] = 0;
        assert_eq!(parse(Layer::new(&d, 70_000), None).unwrap().0.payload_len, 69_992);
        d[5] = 7;
        assert!(parse(Layer::new(&d, 0), None).is_err());
        d[5] = 200;
        assert!(parse(Layer::new(&d, 0), None).unwrap().1.is_some());
        assert!(parse(Layer::new(&d, 0), Some(1)).unwrap().1.is_none(), "the rest comes in later fragments");
    }

    #[test]
    fn a_cut_datagram_keeps_its_ports_or_is_an_issue() {
        for len in 0..DATAGRAM.len() {
            let got = parse(Layer { data: &DATAGRAM[..len], len: 12 }, None);
            assert_eq!(got.is_ok(), len >= 4);
            if let Ok((u, _)) = got {
                assert_eq!(u.payload_len, if len >= 6 { 3 } else { 4 }, "without a length the packet tells it");
            }
        }
    }
}
