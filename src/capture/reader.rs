//! The one loop that walks records, whatever the format and wherever the bytes come from.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use super::event::{Event, FrameSource, Growth};
use super::frame::{Frame, LinkType};
use super::meta::{InputMeta, InterfaceMeta};
use super::packed::{Damage, What};
use super::segment::{Context, Format, SegmentReport};
use super::source::Digest;
use super::window::Window;
use super::{pcap, pcapng, snoop};
use crate::base::{InputId, Problem, ProblemKind, Time};

/// Longest frame kept, in bytes: libpcap's `MAXIMUM_SNAPLEN`. What a record holds beyond it is passed over.
pub(super) const KEPT: u32 = 262_144;

/// Longest frame a record may claim (libpcap's `max_snaplen_for_dlt`): beyond it the record is corrupt.
#[inline]
pub(super) const fn max_frame(link: LinkType) -> u32 {
    match link.0 {
        // D-Bus, USBPcap, Linux USB.
        231 | 249 | 220 => 128 * 1024 * 1024,
        // EBHSCR.
        279 => 8 * 1024 * 1024,
        _ => KEPT,
    }
}

/// Why reading stops for good.
pub(super) enum Stop {
    /// Nothing is left.
    End,
    /// The file ends inside the record.
    Truncated,
    /// The record cannot be right.
    Corrupt(&'static str),
    /// What it is compressed with says so.
    Packed(Damage),
    /// The system could not read.
    Io(io::ErrorKind),
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Self {
        match e.get_ref().and_then(|e| e.downcast_ref::<Damage>()) {
            Some(damage) => Self::Packed(*damage),
            None => Self::Io(e.kind()),
        }
    }
}

/// A frame found in the window's buffer.
pub(super) struct Found {
    pub(super) data: Range<usize>,
    pub(super) original: u32,
    pub(super) captured: u32,
    pub(super) interface: u32,
    pub(super) link: LinkType,
    /// `None` where the record's time cannot be represented.
    pub(super) time: Option<Time>,
    /// Whether the record has no time of its own.
    pub(super) untimed: bool,
    /// Drops since the packet before, where the record counts them.
    pub(super) drops: Option<u64>,
}

/// What one record was.
pub(super) enum Step {
    /// A frame.
    Frame(Found),
    /// A packet that cannot be handed on; counted.
    Counted(ProblemKind, &'static str),
    /// Something else, taken in or passed over.
    Nothing,
}

/// Pulls frames out of a capture, or out of a segment of it.
pub struct Reader {
    pub(super) window: Window,
    pub(super) context: Context,
    pub(super) meta: InputMeta,
    /// Counters of the current section's interfaces, put into `meta` when the section ends.
    pub(super) tallies: Vec<InterfaceMeta>,
    pub(super) pending: VecDeque<Problem>,
    /// Bytes of the last record that are still to be passed over, and where that record began.
    pub(super) owed: (u64, u64),
    begin: u64,
    pub(super) end: u64,
    start: Format,
    started_at: Option<u64>,
    guessed: bool,
    stopped: bool,
    /// Nothing more was there when it was last asked, and more may come.
    waiting: bool,
    damaged: bool,
    digest: Option<Digest>,
}

impl Reader {
    /// A reader of the records that begin before `end`. `begin` is the offset its bytes count from.
    pub(super) fn new(input: InputId, window: Window, context: Context, begin: u64, end: u64) -> Self {
        let mut meta = InputMeta::new(input, context.name());
        let mut tallies = Vec::new();
        match &context.format {
            Format::Snoop(_) => tallies.push(InterfaceMeta::default()),
            Format::Pcap(header) => {
                meta.add_snaplen(header.snaplen);
                tallies.push(InterfaceMeta::default());
            }
            Format::Pcapng(section) => {
                for i in &section.interfaces {
                    meta.add_interface(i);
                    tallies.push(InterfaceMeta::default());
                }
            }
        }
        Self {
            started_at: Some(window.offset()),
            start: context.format.clone(),
            window,
            context,
            meta,
            tallies,
            pending: VecDeque::new(),
            owed: (0, 0),
            begin,
            end,
            guessed: false,
            stopped: false,
            waiting: false,
            damaged: false,
            digest: None,
        }
    }

    /// Says what the bytes are compressed with, and who digests them.
    pub(super) fn of(mut self, packing: Option<&'static str>, digest: Option<Digest>) -> Self {
        self.meta.packing = packing;
        self.digest = digest;
        self
    }

    /// Marks the start as guessed: what the reader cannot know then makes the segment not count.
    pub(super) const fn guessed(mut self) -> Self {
        self.guessed = true;
        self
    }

    /// A guess that found no record: nothing to read.
    pub(super) const fn lost(mut self) -> Self {
        self.started_at = None;
        self.stopped = true;
        self
    }

    /// Whether the last `None` meant that nothing more is there yet: only where it reads [live](super::CaptureFile::live).
    pub const fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Where it began and ended, once everything was pulled.
    pub fn report(&self) -> SegmentReport {
        SegmentReport {
            started_at: self.started_at,
            start: self.start.clone(),
            ended_at: self.window.offset() + self.owed.0,
            end: self.context.clone(),
            finished: self.stopped && (self.damaged || self.started_at.is_some() && self.window.offset() < self.end),
        }
    }

    /// Whether the next record may be read like the one before it.
    pub(super) fn is_walking(&self) -> bool {
        self.pending.is_empty() && !self.stopped && self.owed.0 == 0
    }

    /// Where the next record begins.
    pub(super) const fn offset(&self) -> u64 {
        self.window.offset()
    }

    /// The time of the first frame that had one.
    pub(super) fn first_time(&self) -> Option<Time> {
        self.meta.ends.map(|((first, _), _)| first)
    }

    /// What was declared so far.
    pub(super) const fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn add_problem(&mut self, kind: ProblemKind, detail: String, offset: u64, frame: Option<u64>) {
        let input = self.meta.input;
        self.pending.push_back(Problem { input, kind, detail, offset: Some(offset), frame, count: 1 });
    }

    /// Reads until a frame, a problem or the end.
    pub(super) fn advance(&mut self) -> Option<Found> {
        self.waiting = false;
        while self.pending.is_empty() && !self.stopped {
            let at = self.window.offset();
            match self.step() {
                Ok(Step::Nothing) => {}
                Ok(Step::Frame(found)) => {
                    if let Some(found) = self.count(found, at) {
                        return Some(found);
                    }
                }
                Ok(Step::Counted(kind, detail)) => {
                    self.meta.packets += 1;
                    self.add_problem(kind, detail.to_owned(), at, Some(self.meta.packets));
                }
                Err(Stop::Io(io::ErrorKind::WouldBlock)) => {
                    self.waiting = true;
                    return None;
                }
                Err(stop) => self.stop(&stop, at),
            }
        }
        None
    }

    fn step(&mut self) -> Result<Step, Stop> {
        if self.owed.0 > 0 {
            let before = self.window.offset();
            let whole = self.window.skip(self.owed.0);
            // What was passed over is not owed again where the rest has yet to come.
            self.owed.0 = self.owed.0.saturating_sub(self.window.offset() - before);
            if !whole? {
                return Err(Stop::Truncated);
            }
            self.owed = (0, 0);
            return Ok(Step::Nothing);
        }
        if self.window.offset() >= self.end {
            return Err(Stop::End);
        }
        match &self.context.format {
            Format::Pcap(header) => {
                let header = *header;
                self.pcap_record(&header)
            }
            Format::Pcapng(_) => self.pcapng_block(),
            Format::Snoop(_) => self.snoop_record(),
        }
    }

    fn stop(&mut self, stop: &Stop, at: u64) {
        // A record whose rest was passed over is named by its own beginning.
        let at = if self.owed.0 > 0 { self.owed.1 } else { at };
        self.owed = (0, 0);
        self.stopped = true;
        let (kind, detail) = match stop {
            Stop::End => return,
            Stop::Truncated => (ProblemKind::FileTruncated, String::new()),
            Stop::Packed(damage) if damage.what == What::Cut => (ProblemKind::FileTruncated, damage.to_string()),
            Stop::Packed(damage) => (ProblemKind::FileCorrupt, damage.to_string()),
            Stop::Corrupt(why) => (ProblemKind::FileCorrupt, (*why).to_owned()),
            Stop::Io(kind) => (ProblemKind::FileCorrupt, format!("read error: {kind}")),
        };
        self.damaged = true;
        self.meta.damaged_at = Some(at);
        self.add_problem(kind, detail, at, None);
    }

    /// Counts a frame; `None` where its time keeps it from being handed on.
    fn count(&mut self, found: Found, at: u64) -> Option<Found> {
        self.meta.packets += 1;
        if found.captured < found.original {
            self.meta.cut_frames += 1;
        }
        let base = if let Format::Pcapng(s) = &self.context.format { s.base } else { 0 };
        if let Some(tally) = self.tallies.get_mut(found.interface.saturating_sub(base) as usize) {
            if tally.packets == 0 {
                self.meta.links.insert(found.link);
            }
            tally.packets += 1;
            tally.counted += u64::from(found.drops.is_some());
            tally.dropped = tally.dropped.saturating_add(found.drops.unwrap_or(0));
        }
        let Some(time) = found.time else {
            self.add_problem(ProblemKind::TimeOutOfRange, String::new(), at, Some(self.meta.packets));
            return None;
        };
        if found.untimed {
            self.add_problem(ProblemKind::TimeAssumed, String::new(), at, Some(self.meta.packets));
        } else {
            self.meta.add_time(time, self.meta.packets);
            self.context.carried = Some(time);
        }
        self.meta.add_drops(time, found.drops.unwrap_or(0));
        Some(found)
    }

    /// The time for a packet that has none: that of the frame before it, else 1970, which is no claim but keeps the order.
    pub(super) fn carried(&mut self) -> Time {
        if self.guessed && self.context.carried.is_none() {
            // Only the segment before knows; this one must be read again after it.
            self.started_at = None;
        }
        self.context.carried.unwrap_or(Time::from_nanos(0))
    }

    fn pcap_record(&mut self, header: &pcap::Header) -> Result<Step, Stop> {
        let head = header.record_len();
        let bytes = self.window.peek(head)?;
        if bytes.is_empty() {
            return Err(Stop::End);
        }
        let record = header.record(bytes).ok_or(Stop::Truncated)?;
        if record.captured > max_frame(header.link) {
            return Err(Stop::Corrupt("captured length beyond any frame"));
        }
        let kept = record.captured.min(KEPT);
        let want = head + kept as usize;
        if self.window.peek(want)?.len() < want {
            return Err(Stop::Truncated);
        }
        let at = self.window.offset();
        let taken = self.window.take(want);
        self.owed = (u64::from(record.captured - kept), at);
        if record.nanos >= 1_000_000_000 {
            let frame = Some(self.meta.packets + 1);
            self.add_problem(ProblemKind::PacketMalformed, "fraction of a second beyond a second".into(), at, frame);
        }
        let nanos = i64::from(record.secs) * 1_000_000_000 + record.nanos.cast_signed();
        Ok(Step::Frame(Found {
            untimed: false,
            data: taken.start + head..taken.end,
            original: record.original,
            captured: record.captured,
            interface: 0,
            link: header.link,
            time: Some(Time::from_nanos(nanos)),
            drops: None,
        }))
    }

    fn snoop_record(&mut self) -> Result<Step, Stop> {
        let Format::Snoop(header) = self.context.format else { return Err(Stop::End) };
        let head = snoop::RECORD as usize;
        let bytes = self.window.peek(head)?;
        if bytes.is_empty() {
            return Err(Stop::End);
        }
        let record = snoop::Record::parse(bytes).ok_or(Stop::Truncated)?;
        if !record.is_sane() || record.captured > KEPT {
            return Err(Stop::Corrupt("captured length beyond its record or any frame"));
        }
        let want = head + record.captured as usize;
        if self.window.peek(want)?.len() < want {
            return Err(Stop::Truncated);
        }
        let at = self.window.offset();
        let taken = self.window.take(want);
        self.owed = (u64::from(record.len) - want as u64, at);
        if record.micros >= 1_000_000 {
            let frame = Some(self.meta.packets + 1);
            self.add_problem(ProblemKind::PacketMalformed, "fraction of a second beyond a second".into(), at, frame);
        }
        self.context.format = Format::Snoop(snoop::Header { drops: record.drops, ..header });
        let nanos = i64::from(record.secs) * 1_000_000_000 + i64::from(record.micros) * 1000;
        Ok(Step::Frame(Found {
            data: taken.start + head..taken.end,
            original: record.original,
            captured: record.captured,
            interface: 0,
            link: header.link,
            time: Some(Time::from_nanos(nanos)),
            untimed: false,
            drops: Some(u64::from(record.drops.saturating_sub(header.drops))),
        }))
    }
}

impl FrameSource for Reader {
    fn next(&mut self) -> Option<Event<'_>> {
        let found = if self.pending.is_empty() { self.advance() } else { None };
        let Some(found) = found else {
            return self.pending.pop_front().map(Event::Problem);
        };
        Some(Event::Frame(Frame {
            time: found.time?,
            input: self.meta.input,
            number: self.meta.packets,
            interface: found.interface,
            link: found.link,
            data: self.window.bytes(found.data),
            original_len: found.original,
        }))
    }

    fn finish(&mut self) -> InputMeta {
        self.settle_section();
        if let Some(digest) = self.digest.take() {
            self.meta.sha256 = digest.finish().into();
        }
        let mut meta = self.meta.clone();
        meta.bytes = (self.window.offset() + self.owed.0).saturating_sub(self.begin);
        meta
    }
}

impl Growth for Reader {
    fn is_waiting(&self) -> bool {
        Self::is_waiting(self)
    }
}

impl Reader {
    /// Puts the current section's counters into the meta.
    pub(super) fn settle_section(&mut self) {
        let base = if let Format::Pcapng(s) = &self.context.format { s.base } else { 0 };
        for (id, tally) in (base..).zip(&mut self.tallies) {
            if tally.packets > 0 || tally.statistics.is_some() {
                self.meta.interfaces.entry(id).or_default().append(tally);
            }
            *tally = InterfaceMeta::default();
        }
    }
}

/// Octets of a pcapng packet block before its data.
pub(super) const PACKET_DATA: usize = pcapng::HEAD + pcapng::PacketHead::LEN;
