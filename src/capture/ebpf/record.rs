//! What the sieve writes (`sieve.bpf.c`), field by field. Native byte order but where the wire's is named.

use std::net::{IpAddr, Ipv6Addr};

/// Octets of a flow's key.
pub(super) const KEY: usize = 40;
/// Octets of a flow in the map.
pub(super) const FLOW: usize = 248;
/// Octets of a record before its frame.
const HEAD: usize = 216;
const SIDE: usize = 64;

/// A flow's key: both ends, as the map has it.
pub(super) type Key = [u8; KEY];

/// Counters of one side; times are the kernel's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) packets: u64,
    pub(super) ip_bytes: u64,
    pub(super) payload: u64,
    pub(super) last: u64,
    pub(super) rose: u64,
    pub(super) acked: u64,
    pub(super) edge: u32,
    pub(super) sent: u32,
    pub(super) ack: u32,
    pub(super) window: (u16, u16),
}

/// A flow's counters, and where among its frames they were taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counters {
    pub(super) key: Key,
    /// Another one where the flow began anew.
    pub(super) id: u64,
    /// Frames of it that rose before.
    pub(super) risen: u32,
    /// The kernel is done with it.
    pub(super) gone: bool,
    pub(super) sides: [Side; 2],
}

/// A frame that rose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Risen<'a> {
    /// Index of its interface.
    pub(super) device: u32,
    /// Octets on the wire, without a tag that the kernel took off.
    pub(super) wire: u32,
    /// Ethernet type, in network byte order as the two that follow would be.
    pub(super) protocol: [u8; 2],
    /// The tag the kernel took off: type and contents.
    pub(super) tag: Option<[u8; 4]>,
    /// As in `AF_PACKET` addresses.
    pub(super) packet_type: u8,
    pub(super) data: &'a [u8],
}

/// A record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    /// The kernel's time.
    pub(super) time: u64,
    pub(super) counters: Option<Counters>,
    pub(super) frame: Option<Risen<'a>>,
}

pub(super) fn array<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..)?.first_chunk().copied()
}

pub(super) fn u64_at(from: &[u8], at: usize) -> Option<u64> {
    array(from, at).map(u64::from_ne_bytes)
}

pub(super) fn u32_at(from: &[u8], at: usize) -> Option<u32> {
    array(from, at).map(u32::from_ne_bytes)
}

pub(super) fn u16_at(from: &[u8], at: usize) -> Option<u16> {
    array(from, at).map(u16::from_ne_bytes)
}

fn side(from: &[u8]) -> Option<Side> {
    Some(Side {
        packets: u64_at(from, 0)?,
        ip_bytes: u64_at(from, 8)?,
        payload: u64_at(from, 16)?,
        last: u64_at(from, 24)?,
        rose: u64_at(from, 32)?,
        acked: u64_at(from, 40)?,
        edge: u32_at(from, 48)?,
        sent: u32_at(from, 52)?,
        ack: u32_at(from, 56)?,
        window: (u16_at(from, 60)?, u16_at(from, 62)?),
    })
}

fn sides(from: &[u8], at: usize) -> Option<[Side; 2]> {
    Some([side(from.get(at..)?)?, side(from.get(at + SIDE..)?)?])
}

/// Reads a record; `None` where it is shorter than it says.
pub(super) fn record(from: &[u8]) -> Option<Record<'_>> {
    let [kind, flags, packet_type] = array(from, 40)?;
    let id = u64_at(from, 8)?;
    let counters = if flags & 1 == 0 {
        None
    } else {
        let (key, risen) = (array(from, 48)?, u32_at(from, 28)?);
        Some(Counters { key, id, risen, gone: flags & 2 != 0, sides: sides(from, 88)? })
    };
    let frame = if kind == 0 {
        let captured = usize::try_from(u32_at(from, 24)?).ok()?;
        let [a, b]: [u8; 2] = array(from, 34)?;
        let [c, d] = u16_at(from, 36)?.to_be_bytes();
        Some(Risen {
            device: u32_at(from, 16)?,
            wire: u32_at(from, 20)?,
            protocol: array(from, 32)?,
            tag: (a != 0 || b != 0).then_some([a, b, c, d]),
            packet_type,
            data: from.get(HEAD..HEAD.checked_add(captured)?)?,
        })
    } else {
        None
    };
    Some(Record { time: u64_at(from, 0)?, counters, frame })
}

/// Reads a flow of the map.
pub(super) fn flow(key: Key, from: &[u8; FLOW]) -> Option<Counters> {
    Some(Counters { key, id: u64_at(from, 208)?, risen: u32_at(from, 240)?, gone: false, sides: sides(from, 0)? })
}

/// Address and port of both ends.
pub(super) fn ends(key: &Key) -> Option<[(IpAddr, u16); 2]> {
    let end = |addr, port| {
        let addr = Ipv6Addr::from(array::<16>(key, addr)?);
        let port = u16::from_be_bytes(array(key, port)?);
        // IPv4 stands there as mapped; on the wire such an address does not occur.
        Some((addr.to_ipv4_mapped().map_or(IpAddr::V6(addr), IpAddr::V4), port))
    };
    Some([end(0, 32)?, end(16, 34)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_short_is_no_record() {
        let mut bytes = vec![0; HEAD + 4];
        bytes[24] = 4;
        bytes[41] = 3;
        bytes[28] = 7;
        bytes[48 + 8..48 + 16].copy_from_slice(&[0, 0, 0xff, 0xff, 10, 0, 0, 1]);
        bytes[48 + 32..48 + 34].copy_from_slice(&[0, 22]);
        bytes[88] = 9;
        let r = record(&bytes).unwrap();
        let counters = r.counters.unwrap();
        assert_eq!((counters.risen, counters.gone, counters.sides[0].packets), (7, true, 9));
        assert_eq!(ends(&counters.key).unwrap()[0], ("10.0.0.1".parse().unwrap(), 22));
        assert_eq!(r.frame.unwrap().data.len(), 4);
        assert!((0..bytes.len()).all(|len| record(&bytes[..len]).is_none()));
    }
}
