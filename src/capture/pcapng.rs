//! The pcapng format (draft-ietf-opsawg-pcapng): blocks and options, as views over bytes.
//!
//! ```text
//! block:  type u32 | total length u32 | body, padded to 4 octets | total length u32
//! option: code u16 | length u16 | value, padded to 4 octets
//! ```
//! Every multi-octet field is in the section's byte order, which the section header's magic tells.

use std::net::IpAddr;

use super::clock::Resolution;
use super::frame::LinkType;
use super::order::Order;
use crate::base::WireText;

/// Block types (section 4, and the registry of section 11.1).
pub(crate) mod block {
    /// Section Header Block: the same in both byte orders.
    pub(crate) const SECTION: u32 = 0x0a0d_0d0a;
    /// Interface Description Block.
    pub(crate) const INTERFACE: u32 = 1;
    /// Packet Block, obsolete.
    pub(crate) const PACKET: u32 = 2;
    /// Simple Packet Block.
    pub(crate) const SIMPLE: u32 = 3;
    /// Name Resolution Block.
    pub(crate) const NAMES: u32 = 4;
    /// Interface Statistics Block.
    pub(crate) const STATISTICS: u32 = 5;
    /// Enhanced Packet Block.
    pub(crate) const ENHANCED: u32 = 6;
    /// systemd Journal Export Block.
    pub(crate) const JOURNAL: u32 = 9;
    /// Decryption Secrets Block.
    pub(crate) const SECRETS: u32 = 10;
    /// Custom Block that may be copied.
    pub(crate) const CUSTOM: u32 = 0x0bad;
    /// Custom Block that may not be copied.
    pub(crate) const CUSTOM_NO_COPY: u32 = 0x4000_0bad;
}

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Octets before a block's body: type and total length.
pub(crate) const HEAD: usize = 8;
/// Octets of the smallest block: head and the repeated length.
pub(crate) const MIN_BLOCK: u32 = 12;
/// Octets that tell a section's byte order: head and magic.
pub(crate) const SECTION_HEAD: usize = 12;

/// The byte order of a section whose block begins with `bytes`; `None` where the magic is neither.
pub(crate) fn section_order(bytes: &[u8]) -> Option<Order> {
    [Order::Little, Order::Big].into_iter().find(|o| o.u32(bytes, HEAD) == Some(BYTE_ORDER_MAGIC))
}

/// Whether `bytes` begins like a pcapng file.
pub(crate) fn is_section(bytes: &[u8]) -> bool {
    Order::Little.u32(bytes, 0) == Some(block::SECTION)
}

/// Options of a block; ends at the first one that does not fit.
pub(crate) struct Options<'a> {
    order: Order,
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    /// Options in `bytes`.
    pub(crate) const fn new(order: Order, bytes: &'a [u8]) -> Self {
        Self { order, rest: bytes }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let code = self.order.u16(self.rest, 0)?;
        let len = usize::from(self.order.u16(self.rest, 2)?);
        if code == 0 {
            return None;
        }
        let value = self.rest.get(4..4 + len)?;
        self.rest = self.rest.get(4 + len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((code, value))
    }
}

/// What an Interface Description Block says (section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Link type of its frames.
    pub(crate) link: LinkType,
    /// Longest capture of a packet; 0 for no limit.
    pub(crate) snaplen: u32,
    /// Length of its ticks.
    pub(crate) resolution: Resolution,
    /// Seconds added to its times.
    pub(crate) offset: i64,
    /// Its capture filter, where it is a string.
    pub(crate) filter: Option<WireText>,
    /// Addresses of the host it is of, the first [`Interface::ADDRESSES`].
    pub(crate) addresses: Vec<IpAddr>,
    /// Whether it stands for all interfaces of a Linux host, as libpcap calls it.
    pub(crate) any: bool,
}

impl Interface {
    /// Addresses kept.
    pub(crate) const ADDRESSES: usize = 64;
    const NAME: u16 = 2;
    const IPV4: u16 = 4;
    const IPV6: u16 = 5;
    const FILTER: u16 = 11;
    const TSRESOL: u16 = 9;
    const TSOFFSET: u16 = 14;

    /// Reads a body (without the block's head); `None` where it is too short.
    pub(crate) fn parse(order: Order, body: &[u8]) -> Option<Self> {
        let mut this = Self {
            link: LinkType(order.u16(body, 0)?),
            snaplen: order.u32(body, 4)?,
            resolution: Resolution::MICROS,
            offset: 0,
            filter: None,
            addresses: Vec::new(),
            any: false,
        };
        for (code, value) in Options::new(order, body.get(8..).unwrap_or(&[])) {
            match (code, value) {
                (Self::TSRESOL, &[octet]) => this.resolution = Resolution::from_octet(octet),
                (Self::TSOFFSET, value) => this.offset = order.u64(value, 0).map_or(0, u64::cast_signed),
                // Octet 0 says that a libpcap filter string follows; others are compiled programs.
                (Self::FILTER, &[0, ref text @ ..]) => this.filter = Some(WireText::new(text)),
                (Self::NAME, name) => this.any = name == b"any",
                // An address with its mask, one with the length of its prefix.
                (Self::IPV4, &[a, b, c, d, _, _, _, _]) => this.add(IpAddr::from([a, b, c, d])),
                (Self::IPV6, &[ref address @ .., _]) => {
                    <[u8; 16]>::try_from(address).map(IpAddr::from).into_iter().for_each(|a| this.add(a));
                }
                _ => {}
            }
        }
        Some(this)
    }

    fn add(&mut self, address: IpAddr) {
        if self.addresses.len() < Self::ADDRESSES {
            self.addresses.push(address);
        }
    }
}

/// The head of an Enhanced Packet Block (section 4.3) or an obsolete Packet Block (appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PacketHead {
    /// Interface of the section.
    pub(crate) interface: u32,
    /// Ticks since the epoch.
    pub(crate) ticks: u64,
    /// Bytes of the frame that follow.
    pub(crate) captured: u32,
    /// Bytes on the wire.
    pub(crate) original: u32,
    /// Drops since the packet before, where the head itself counts them.
    pub(crate) drops: Option<u64>,
}

impl PacketHead {
    /// Octets of both kinds of head.
    pub(crate) const LEN: usize = 20;

    /// Reads a body of type [`block::ENHANCED`] or [`block::PACKET`].
    #[inline]
    pub(crate) fn parse(order: Order, kind: u32, body: &[u8]) -> Option<Self> {
        let (interface, drops) = if kind == block::ENHANCED {
            (order.u32(body, 0)?, None)
        } else {
            // 0xffff: not counted.
            let drops = order.u16(body, 2)?;
            (u32::from(order.u16(body, 0)?), (drops != u16::MAX).then_some(u64::from(drops)))
        };
        Some(Self {
            interface,
            ticks: order.split_u64(body, 4)?,
            captured: order.u32(body, 12)?,
            original: order.u32(body, 16)?,
            drops,
        })
    }

    /// Drops an Enhanced Packet Block counts in its options (`epb_dropcount`).
    pub(crate) fn dropcount(order: Order, options: &[u8]) -> Option<u64> {
        const DROPCOUNT: u16 = 4;
        Options::new(order, options).find(|o| o.0 == DROPCOUNT).and_then(|o| order.u64(o.1, 0))
    }
}

/// What an Interface Statistics Block says (section 4.6). Times are ticks, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statistics {
    /// Interface of the section.
    pub(crate) interface: u32,
    /// When it was written.
    pub(crate) written: u64,
    /// When capturing started.
    pub(crate) start: Option<u64>,
    /// When capturing ended.
    pub(crate) end: Option<u64>,
    /// Packets dropped by the interface for lack of resources. dumpcap writes libpcap's `ps_drop` here.
    pub(crate) ifdrop: Option<u64>,
    /// Packets dropped by the operating system.
    pub(crate) osdrop: Option<u64>,
}

impl Statistics {
    /// Reads a body; `None` where it is too short.
    pub(crate) fn parse(order: Order, body: &[u8]) -> Option<Self> {
        let mut this = Self {
            interface: order.u32(body, 0)?,
            written: order.split_u64(body, 4)?,
            start: None,
            end: None,
            ifdrop: None,
            osdrop: None,
        };
        for (code, value) in Options::new(order, body.get(12..).unwrap_or(&[])) {
            match code {
                2 => this.start = order.split_u64(value, 0),
                3 => this.end = order.split_u64(value, 0),
                5 => this.ifdrop = order.u64(value, 0),
                7 => this.osdrop = order.u64(value, 0),
                _ => {}
            }
        }
        Some(this)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_tells_link_resolution_offset_and_filter_cut_anywhere() {
        let body = [
            &[0, 113, 0, 0, 0, 0, 0, 96][..],
            &[0, 9, 0, 1, 9, 0, 0, 0],
            &[0, 14, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7],
            &[0, 11, 0, 4, 0, b'u', b'd', b'p'],
            &[0, 0, 0, 0],
        ]
        .concat();
        let i = Interface::parse(Order::Big, &body).unwrap();
        assert_eq!((i.link.0, i.snaplen, i.resolution, i.offset), (113, 96, Resolution::Decimal(9), 7));
        assert_eq!(i.filter, Some(WireText::new(b"udp")));
        for len in 0..body.len() {
            assert_eq!(Interface::parse(Order::Big, &body[..len]).is_some(), len >= 8);
        }
    }

    #[test]
    fn an_option_longer_than_its_block_ends_the_options() {
        assert_eq!(Options::new(Order::Little, &[1, 0, 200, 0, 1, 2, 3, 4]).count(), 0);
        assert_eq!(Options::new(Order::Little, &[1, 0, 1, 0, 9]).count(), 1, "missing padding at the end is forgiven");
    }

    #[test]
    fn statistics_cut_anywhere_keep_what_was_whole() {
        let body = [
            &[0, 0, 0, 2][..],
            &[0, 0, 0, 1, 0, 0, 0, 5],
            &[0, 3, 0, 8, 0, 0, 0, 1, 0, 0, 0, 9],
            &[0, 5, 0, 8, 0, 0, 0, 0, 0, 0, 0, 4],
            &[0, 7, 0, 8, 0, 0, 0, 0, 0, 0, 0, 3],
        ]
        .concat();
        for len in 0..=body.len() {
            let Some(s) = Statistics::parse(Order::Big, &body[..len]) else {
                assert!(len < 12);
                continue;
            };
            assert_eq!((s.interface, s.written), (2, (1 << 32) + 5));
            assert_eq!(s.ifdrop, (len >= 36).then_some(4));
            assert_eq!(s.osdrop, (len >= 48).then_some(3));
        }
    }
}
