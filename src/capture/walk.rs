//! The loop over records that lie whole in the window, for the two formats almost all captures have.
//!
//! It takes what [`Reader::advance`] would have taken and counts it the same way, without building a value per layer. Whatever is
//! unusual about a record, and every record that the window's end cuts, is left to that one.

use super::event::{Event, FrameSource as _};
use super::frame::Frame;
use super::meta::{InputMeta, InterfaceMeta};
use super::order::Order;
use super::pcap;
use super::pcapng::{self, Interface, PacketHead, block};
use super::reader::{KEPT, PACKET_DATA, Reader, max_frame};
use super::segment::{Context, Format};
use super::window::Window;
use crate::base::{Problem, Span, Time};

/// Who takes what a reader comes to.
pub trait Sink {
    /// A frame, valid during the call.
    fn frame(&mut self, frame: &Frame<'_>);
    /// Something wrong with the capture.
    fn problem(&mut self, problem: Problem);
}

/// What frames of one walk add to an [`InputMeta`]. There were frames before it.
struct Tally {
    packets: u64,
    cut: u64,
    last: Time,
    span: (Time, Time),
    backwards: u64,
    backwards_at: Option<u64>,
    back_by: Span,
}

impl Tally {
    fn new(meta: &InputMeta) -> Option<Self> {
        let ((_, last), span) = (meta.ends?, meta.span?);
        Some(Self {
            packets: meta.packets,
            cut: 0,
            last,
            span,
            backwards: 0,
            backwards_at: None,
            back_by: Span::default(),
        })
    }

    #[inline(always)]
    fn add(&mut self, time: Time, cut: bool) {
        self.packets += 1;
        self.cut += u64::from(cut);
        if time < self.last {
            self.back(time);
        }
        self.last = time;
    }

    #[cold]
    fn back(&mut self, time: Time) {
        self.backwards += 1;
        self.backwards_at = self.backwards_at.or(Some(self.packets));
        self.back_by = self.back_by.max(self.last.since(time));
        // Until here time rose, so that the packet before is the latest.
        self.span = (self.span.0.min(time), self.span.1.max(self.last));
    }

    fn settle(self, meta: &mut InputMeta) {
        meta.packets = self.packets;
        meta.cut_frames += self.cut;
        meta.ends = meta.ends.map(|(first, _)| (first, self.last));
        meta.span = Some((self.span.0, self.span.1.max(self.last)));
        meta.backwards += self.backwards;
        meta.backwards_at = meta.backwards_at.or(self.backwards_at);
        meta.back_by = meta.back_by.max(self.back_by);
    }
}

impl Reader {
    /// Hands everything that is left to a sink, and says what was read.
    pub fn each(&mut self, sink: &mut impl Sink) -> InputMeta {
        loop {
            if self.is_walking() {
                let (mut walk, window) = self.walk();
                let n = walk.over(window.held(), window.offset(), sink);
                window.take(n);
                if n > 0 {
                    continue;
                }
            }
            match self.next() {
                Some(Event::Frame(frame)) => sink.frame(&frame),
                Some(Event::Problem(problem)) => sink.problem(problem),
                // In files there are none.
                Some(Event::Counted(_) | Event::Host(_)) => {}
                None => return self.finish(),
            }
        }
    }

    fn walk(&mut self) -> (Walk<'_>, &mut Window) {
        let Self { window, meta, tallies, context, end, .. } = self;
        (Walk { meta, tallies, context, end: *end }, window)
    }
}

/// What a walk counts into.
struct Walk<'a> {
    meta: &'a mut InputMeta,
    tallies: &'a mut Vec<InterfaceMeta>,
    context: &'a mut Context,
    end: u64,
}

impl Walk<'_> {
    /// Walks over bytes that lie at this offset; how many.
    #[inline(always)]
    fn over(&mut self, bytes: &[u8], offset: u64, sink: &mut impl Sink) -> usize {
        let within = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        match &self.context.format {
            Format::Pcap(header) => {
                let header = *header;
                if header.as_most() == header {
                    self.pcap::<true>(&header, bytes, within, sink)
                } else {
                    self.pcap::<false>(&header, bytes, within, sink)
                }
            }
            Format::Pcapng(_) => self.pcapng(bytes, within, sink),
            Format::Snoop(_) => 0,
        }
    }

    /// Compiled once more for what almost all files are, where much of what is asked of a record is known beforehand.
    #[inline(never)]
    fn pcap<const MOST: bool>(
        &mut self,
        header: &pcap::Header,
        bytes: &[u8],
        within: usize,
        sink: &mut impl Sink,
    ) -> usize {
        let header = if MOST { header.as_most() } else { *header };
        let Self { meta, tallies, context, .. } = self;
        let Some(mut tally) = Tally::new(meta) else { return 0 };
        let Some(own) = tallies.first_mut().filter(|t| t.packets > 0) else { return 0 };
        let before = tally.packets;
        let (head, most) = (header.record_len(), max_frame(header.link).min(KEPT));
        let mut at = 0;
        while at < within
            && let Some(record) = bytes.get(at..).and_then(|b| header.record(b))
            && record.captured <= most
            && record.nanos < 1_000_000_000
            && let Some(data) = bytes.get(at + head..at + head + record.captured as usize)
        {
            at += head + data.len();
            let time = Time::from_nanos(i64::from(record.secs) * 1_000_000_000 + record.nanos.cast_signed());
            tally.add(time, record.captured < record.original);
            sink.frame(&Frame {
                time,
                input: meta.input,
                number: tally.packets,
                interface: 0,
                link: header.link,
                data,
                original_len: record.original,
            });
        }
        own.packets += tally.packets - before;
        context.carried = Some(tally.last);
        tally.settle(meta);
        at
    }

    fn pcapng(&mut self, bytes: &[u8], within: usize, sink: &mut impl Sink) -> usize {
        let Self { meta, tallies, context, .. } = self;
        let Format::Pcapng(section) = &context.format else { return 0 };
        let (Some(mut tally), Some(order)) = (Tally::new(meta), section.order) else { return 0 };
        let mut at = 0;
        while at < within
            && let Some(packet) = bytes.get(at..).and_then(|b| enhanced(order, b))
            && let Some(interface) = section.interfaces.get(packet.head.interface as usize)
            && let Some(own) = tallies.get_mut(packet.head.interface as usize).filter(|t| t.packets > 0)
            && packet.head.captured <= max_frame(interface.link).min(KEPT)
            && let Some(time) = time(interface, packet.head.ticks)
        {
            at += packet.len;
            tally.add(time, packet.head.captured < packet.head.original);
            own.packets += 1;
            sink.frame(&Frame {
                time,
                input: meta.input,
                number: tally.packets,
                interface: section.base.saturating_add(packet.head.interface),
                link: interface.link,
                data: packet.data,
                original_len: packet.head.original,
            });
        }
        context.carried = Some(tally.last);
        tally.settle(meta);
        at
    }
}

fn time(interface: &Interface, ticks: u64) -> Option<Time> {
    interface.resolution.time(ticks, interface.offset)
}

/// A whole Enhanced Packet Block that counts no drops.
struct Enhanced<'a> {
    len: usize,
    head: PacketHead,
    data: &'a [u8],
}

#[inline(always)]
fn enhanced(order: Order, bytes: &[u8]) -> Option<Enhanced<'_>> {
    /// Longer ones are few.
    const MOST: usize = 128 * 1024;
    let (kind, claimed) = (order.u32(bytes, 0)?, order.u32(bytes, 4)?);
    let len = usize::try_from(claimed).ok().filter(|n| n % 4 == 0 && *n <= MOST)?;
    if kind != block::ENHANCED || order.u32(bytes, len.checked_sub(4)?)? != claimed {
        return None;
    }
    let head = PacketHead::parse(order, kind, bytes.get(pcapng::HEAD..)?)?;
    let captured = head.captured as usize;
    let padded = captured.checked_next_multiple_of(4)?;
    // An options list, if only its end, goes the long way unless it counts no drops.
    let rest = len.checked_sub(PACKET_DATA + 4)?.checked_sub(padded)?;
    let options = bytes.get(PACKET_DATA + padded..PACKET_DATA + padded + rest)?;
    if rest > 0 && PacketHead::dropcount(order, options).is_some() {
        return None;
    }
    Some(Enhanced { len, head, data: bytes.get(PACKET_DATA..PACKET_DATA + captured)? })
}
