//! What the reader does with each pcapng block.

use super::frame::LinkType;
use super::meta::{Clock, InterfaceMeta};
use super::order::Order;
use super::pcapng::{self, Interface, PacketHead, Statistics, block};
use super::reader::{Found, KEPT, PACKET_DATA, Reader, Step, Stop, max_frame};
use super::segment::{Format, Section};
use crate::base::ProblemKind;

/// Bytes of a block that are looked at; the rest of a longer one is passed over.
const LOOKED_AT: usize = 512 * 1024;
/// Longest packet block believed, beyond the longest frame: options are at most a few.
const PACKET_EXTRA: u32 = 1024 * 1024;
/// Interfaces remembered over all sections of a file.
const INTERFACES: usize = 65_536;

/// A block's head.
#[derive(Clone, Copy)]
struct Head {
    order: Order,
    kind: u32,
    len: u32,
}

impl Reader {
    fn section(&mut self) -> Option<&mut Section> {
        match &mut self.context.format {
            Format::Pcapng(section) => Some(section),
            Format::Pcap(_) | Format::Snoop(_) => None,
        }
    }

    /// Reads one block.
    pub(super) fn pcapng_block(&mut self) -> Result<Step, Stop> {
        let at = self.window.offset();
        let Some(head) = self.block_head()? else { return Err(Stop::End) };
        let looked_at = usize::try_from(head.len).unwrap_or(usize::MAX).min(LOOKED_AT);
        let wanted = match head.kind {
            block::SECTION | block::INTERFACE | block::STATISTICS | block::ENHANCED | block::SIMPLE | block::PACKET => {
                looked_at
            }
            _ => pcapng::HEAD,
        };
        if self.window.peek(wanted)?.len() < wanted {
            return Err(Stop::Truncated);
        }
        let step = match head.kind {
            block::SECTION => self.section_header(head),
            block::INTERFACE => self.interface(head, wanted, at)?,
            block::STATISTICS => self.statistics(head, wanted, at)?,
            block::ENHANCED | block::PACKET => self.packet(head, wanted)?,
            block::SIMPLE => self.simple_packet(head, wanted)?,
            _ => Step::Nothing,
        };
        if wanted == looked_at && looked_at as u64 == u64::from(head.len) {
            self.check_trailer(head, wanted)?;
        }
        self.window.take(wanted);
        self.owed = (u64::from(head.len) - wanted as u64, at);
        Ok(step)
    }

    /// The next block's head, nothing consumed; `None` at the end.
    fn block_head(&mut self) -> Result<Option<Head>, Stop> {
        let order = self.section().and_then(|s| s.order);
        let bytes = self.window.peek(pcapng::SECTION_HEAD)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let order = if pcapng::is_section(bytes) {
            if bytes.len() < pcapng::SECTION_HEAD {
                return Err(Stop::Truncated);
            }
            pcapng::section_order(bytes).ok_or(Stop::Corrupt("section without a byte order"))?
        } else {
            order.ok_or(Stop::Corrupt("block before the first section"))?
        };
        // The smallest block is as long as a section's head, so nothing shorter is whole.
        let (Some(kind), Some(len)) = (order.u32(bytes, 0), order.u32(bytes, 4)) else {
            return Err(Stop::Truncated);
        };
        if len < pcapng::MIN_BLOCK || len % 4 != 0 {
            return Err(Stop::Corrupt("impossible block length"));
        }
        let is_packet = matches!(kind, block::ENHANCED | block::PACKET | block::SIMPLE);
        if is_packet && len > max_frame(LinkType(220)) + PACKET_EXTRA {
            return Err(Stop::Corrupt("block length beyond any packet"));
        }
        Ok(Some(Head { order, kind, len }))
    }

    fn check_trailer(&mut self, head: Head, len: usize) -> Result<(), Stop> {
        let bytes = self.window.peek(len)?;
        if bytes.len() < len {
            return Err(Stop::Truncated);
        }
        match head.order.u32(bytes, len - 4) {
            Some(again) if again == head.len => Ok(()),
            _ => Err(Stop::Corrupt("a block's two lengths differ")),
        }
    }

    /// The block's body as far as it is looked at, without the repeated length.
    fn body(&mut self, head: Head, looked_at: usize) -> Result<&[u8], Stop> {
        let whole = looked_at as u64 == u64::from(head.len);
        let bytes = self.window.peek(looked_at)?;
        let end = if whole { looked_at - 4 } else { looked_at };
        Ok(bytes.get(pcapng::HEAD..end).unwrap_or(&[]))
    }

    /// A new section forgets the interfaces of the one before.
    fn section_header(&mut self, head: Head) -> Step {
        self.settle_section();
        self.tallies.clear();
        if let Some(s) = self.section() {
            let used = u32::try_from(s.interfaces.len()).unwrap_or(u32::MAX);
            s.base = s.base.saturating_add(used);
            s.interfaces.clear();
            s.order = Some(head.order);
        }
        Step::Nothing
    }

    fn interface(&mut self, head: Head, looked_at: usize, at: u64) -> Result<Step, Stop> {
        let order = head.order;
        let parsed = Interface::parse(order, self.body(head, looked_at)?);
        let Some(section) = self.section() else { return Ok(Step::Nothing) };
        let full = section.base as usize + section.interfaces.len() >= INTERFACES;
        let Some(interface) = parsed.filter(|_| !full) else {
            let what = if full { "more interfaces than are kept" } else { "interface description too short" };
            self.add_problem(ProblemKind::BlockSkipped, what.to_owned(), at, None);
            return Ok(Step::Nothing);
        };
        section.interfaces.push(interface.clone());
        self.tallies.push(InterfaceMeta::default());
        self.meta.add_interface(&interface);
        Ok(Step::Nothing)
    }

    fn statistics(&mut self, head: Head, looked_at: usize, at: u64) -> Result<Step, Stop> {
        let parsed = Statistics::parse(head.order, self.body(head, looked_at)?);
        let known = parsed.and_then(|s| {
            let i = self.section()?.interfaces.get(s.interface as usize)?;
            Some((s, Clock { resolution: i.resolution, offset: i.offset }))
        });
        match known.and_then(|(s, clock)| Some((self.tallies.get_mut(s.interface as usize)?, s, clock))) {
            Some((tally, statistics, clock)) => tally.report(statistics, clock),
            None => self.add_problem(ProblemKind::BlockSkipped, "statistics of no interface".to_owned(), at, None),
        }
        Ok(Step::Nothing)
    }

    fn packet(&mut self, head: Head, looked_at: usize) -> Result<Step, Stop> {
        const SHORT: Stop = Stop::Corrupt("captured length beyond its block");
        let body = self.body(head, looked_at)?;
        let packet = PacketHead::parse(head.order, head.kind, body).ok_or(SHORT)?;
        let padded = u64::from(packet.captured).next_multiple_of(4);
        if PACKET_DATA as u64 + padded + 4 > u64::from(head.len) {
            return Err(SHORT);
        }
        let kept = packet.captured.min(KEPT) as usize;
        let options = usize::try_from(padded).ok().and_then(|p| body.get(PacketHead::LEN + p..)).unwrap_or(&[]);
        let drops = packet.drops.or_else(|| PacketHead::dropcount(head.order, options));
        let Some(section) = self.section() else { return Ok(Step::Nothing) };
        let Some(interface) = section.interfaces.get(packet.interface as usize) else {
            return Ok(Step::Counted(ProblemKind::UnknownInterface, ""));
        };
        let link = interface.link;
        if packet.captured > max_frame(link) {
            return Err(Stop::Corrupt("captured length beyond any frame"));
        }
        let time = interface.resolution.time(packet.ticks, interface.offset);
        let number = section.base.saturating_add(packet.interface);
        let begin = self.window.start_of_next() + PACKET_DATA;
        Ok(Step::Frame(Found {
            data: begin..begin + kept,
            original: packet.original,
            captured: packet.captured,
            interface: number,
            link,
            time,
            untimed: false,
            drops,
        }))
    }

    /// A Simple Packet Block (section 4.4): the section's first interface, no time.
    fn simple_packet(&mut self, head: Head, looked_at: usize) -> Result<Step, Stop> {
        const DATA: usize = pcapng::HEAD + 4;
        let original = head.order.u32(self.body(head, looked_at)?, 0).ok_or(Stop::Corrupt("packet without length"))?;
        let Some(section) = self.section() else { return Ok(Step::Nothing) };
        let Some(interface) = section.interfaces.first() else {
            return Ok(Step::Counted(ProblemKind::UnknownInterface, ""));
        };
        let (link, snaplen, number) = (interface.link, interface.snaplen, section.base);
        let limit = if snaplen == 0 { u32::MAX } else { snaplen };
        let captured = original.min(limit).min(head.len - 16);
        if captured > max_frame(link) {
            return Err(Stop::Corrupt("captured length beyond any frame"));
        }
        let time = self.carried();
        let begin = self.window.start_of_next() + DATA;
        let kept = captured.min(KEPT) as usize;
        Ok(Step::Frame(Found {
            data: begin..begin + kept,
            original,
            captured,
            interface: number,
            link,
            time: Some(time),
            untimed: true,
            drops: None,
        }))
    }
}
