//! What an input says about itself, in pieces that add up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clock::Resolution;
use super::frame::{LinkType, Loss};
use super::link_name;
use super::pcapng::{Interface, Statistics};
use crate::base::{InputId, Known, Problem, ProblemKind, Span, Time, WireText};

/// Statistics further than this after the last frame, or a start further than this before the first, are not believed.
const PLAUSIBLE: Span = Span::from_secs(366 * 24 * 3600);
/// Statistics may be this much older than the first frame: a live capture writes them every second, from before that one on.
const BEFORE_FRAMES: Span = Span::from_secs(10);
/// A step back longer than this is a clock that was set; capturing on several queues or interfaces swaps neighbours only.
const SET_BACK: Span = Span::from_millis(100);
/// 2000-01-01: the earliest time believed of statistics where no frame tells better.
const EARLIEST: Time = Time::from_nanos(946_684_800 * 1_000_000_000);

/// What was read of one input, or of a segment of it.
///
/// Metas of consecutive segments [`append`](Self::append) to exactly the meta of reading them in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputMeta {
    /// The input.
    pub input: InputId,
    /// `pcap`, `pcap (nanosecond)`, `pcap (modified)`, `pcapng`, `snoop`.
    pub format: &'static str,
    /// What it is compressed with.
    pub packing: Option<&'static str>,
    /// Lower-case hex SHA-256 of the input as it lies on disk, where it was asked for and read to its end.
    pub sha256: Known<String>,
    /// Link types of the frames met.
    pub links: BTreeSet<LinkType>,
    /// Frames read, also those that could not be handed on.
    pub packets: u64,
    /// Bytes read, decompressed.
    pub bytes: u64,
    /// Frames of which less was captured than was on the wire.
    pub cut_frames: u64,
    /// Byte offset at which a damaged file stopped being readable.
    pub damaged_at: Option<u64>,
    /// Drops a packet block dates (`epb_dropcount`): time of the packet after them, and how many. The first
    /// [`InputMeta::DROPS`] of them.
    pub drops: Vec<(Time, u64)>,
    /// Drops beyond those dated in `drops`.
    pub further_drops: u64,
    pub(crate) span: Option<(Time, Time)>,
    /// In file order, the first frame that has a time and its number, and the last one's time: to compare with the
    /// neighbouring segments.
    pub(super) ends: Option<((Time, u64), Time)>,
    pub(super) backwards: u64,
    pub(super) backwards_at: Option<u64>,
    /// The longest step back.
    pub(super) back_by: Span,
    pub(super) interfaces: BTreeMap<u32, InterfaceMeta>,
    pub(super) filters: BTreeSet<WireText>,
    pub(super) snaplen: Option<u32>,
    pub(super) host: Option<CapturedHost>,
}

/// The host that captured, as far as the capture itself says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapturedHost {
    /// Addresses of the interfaces, sorted.
    pub addresses: BTreeSet<IpAddr>,
    /// Whether all interfaces of the host were captured on.
    pub all_interfaces: bool,
}

impl CapturedHost {
    /// Takes in what another interface says.
    fn add(&mut self, other: &Self) {
        self.addresses.extend(&other.addresses);
        self.all_interfaces |= other.all_interfaces;
    }
}

/// What is known of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InterfaceMeta {
    pub(super) packets: u64,
    /// Packets whose block counted the drops before it.
    pub(super) counted: u64,
    pub(super) dropped: u64,
    pub(super) statistics: Option<(Statistics, Clock)>,
}

/// How an interface's ticks become time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) resolution: Resolution,
    pub(super) offset: i64,
}

/// The times of a statistics block that could be believed.
struct Stated {
    first: Option<Time>,
    last: Time,
}

impl InputMeta {
    /// Dated drops kept.
    pub const DROPS: usize = 4096;
    /// Different capture filters kept.
    const FILTERS: usize = 16;

    pub(super) fn new(input: InputId, format: &'static str) -> Self {
        Self {
            input,
            format,
            packing: None,
            sha256: Known::Unknown,
            links: BTreeSet::new(),
            packets: 0,
            bytes: 0,
            cut_frames: 0,
            damaged_at: None,
            drops: Vec::new(),
            further_drops: 0,
            span: None,
            ends: None,
            backwards: 0,
            backwards_at: None,
            back_by: Span::default(),
            interfaces: BTreeMap::new(),
            filters: BTreeSet::new(),
            snaplen: None,
            host: None,
        }
    }

    /// Takes in what an interface is declared to be.
    pub(super) fn add_interface(&mut self, interface: &Interface) {
        self.add_snaplen(interface.snaplen);
        interface.filter.iter().for_each(|f| self.add_filter(f));
        if interface.addresses.is_empty() {
            return;
        }
        let addresses = interface.addresses.iter().copied().collect();
        self.merge_host(Some(CapturedHost { addresses, all_interfaces: interface.any }));
    }

    fn merge_host(&mut self, other: Option<CapturedHost>) {
        match (&mut self.host, other) {
            (Some(known), Some(other)) => known.add(&other),
            (None, other) => self.host = other,
            (Some(_), None) => {}
        }
    }

    /// Says which host captures, and whether on all its interfaces.
    #[cfg_attr(not(ebpf), allow(dead_code, reason = "only what counts in the kernel does so"))]
    pub(super) fn set_host(&mut self, addresses: BTreeSet<IpAddr>, all_interfaces: bool) {
        self.host = (!addresses.is_empty()).then_some(CapturedHost { addresses, all_interfaces });
    }

    /// The host that captured, where an interface is described with addresses.
    pub const fn host(&self) -> Option<&CapturedHost> {
        self.host.as_ref()
    }

    pub(super) fn add_snaplen(&mut self, snaplen: u32) {
        self.snaplen = Some(match self.snaplen {
            // 0 is "no limit", so any limit is smaller.
            Some(old) if old != 0 && (snaplen == 0 || old < snaplen) => old,
            _ => snaplen,
        });
    }

    pub(super) fn add_filter(&mut self, filter: &WireText) {
        self.filters.insert(filter.clone());
        if self.filters.len() > Self::FILTERS {
            // The smallest are kept, not the first: so the order in which pieces are appended does not matter.
            self.filters.pop_last();
        }
    }

    /// Counts a frame's time; `number` is the frame's.
    #[inline]
    pub(super) fn add_time(&mut self, time: Time, number: u64) {
        if let Some((_, last)) = self.ends.filter(|(_, last)| time < *last) {
            self.backwards += 1;
            self.back_by = self.back_by.max(last.since(time));
            self.backwards_at = self.backwards_at.or(Some(number));
        }
        self.ends = Some(self.ends.map_or(((time, number), time), |(first, _)| (first, time)));
        self.span = Some(self.span.map_or((time, time), |(min, max)| (min.min(time), max.max(time))));
    }

    pub(super) fn add_drops(&mut self, at: Time, count: u64) {
        if count == 0 {
            return;
        }
        if self.drops.len() < Self::DROPS {
            self.drops.push((at, count));
        } else {
            self.further_drops = self.further_drops.saturating_add(count);
        }
    }

    /// The same input without its frames: what is left is what it says of itself.
    pub(crate) fn without_frames(self) -> Self {
        let fresh = Self::new(self.input, self.format);
        let mut interfaces = self.interfaces;
        interfaces.values_mut().for_each(|i| (i.packets, i.counted) = (0, 0));
        let Self { packing, bytes, damaged_at, drops, further_drops, filters, snaplen, host, .. } = self;
        Self { packing, bytes, damaged_at, drops, further_drops, filters, snaplen, host, interfaces, ..fresh }
    }

    /// Counts a frame that was handed on.
    pub(crate) fn count(&mut self, time: Time, interface: u32, link: LinkType, cut: bool) {
        self.packets += 1;
        self.cut_frames += u64::from(cut);
        self.links.insert(link);
        self.interfaces.entry(interface).or_default().packets += 1;
        self.add_time(time, self.packets);
    }

    /// Counts frames that were not handed on one by one, of which the last came at this time.
    #[cfg_attr(not(ebpf), allow(dead_code, reason = "only what counts in the kernel does so"))]
    pub(crate) fn count_unseen(&mut self, packets: u64, last: Time) {
        self.packets = self.packets.saturating_add(packets);
        let i = self.interfaces.entry(0).or_default();
        i.packets = i.packets.saturating_add(packets);
        self.span = Some(self.span.map_or((last, last), |(min, max)| (min.min(last), max.max(last))));
    }

    /// Counts frames that were lost, before one of this time where that is known.
    pub(crate) fn lose(&mut self, interface: u32, before: Option<Time>, count: u64) {
        if let Some(at) = before {
            self.add_drops(at, count);
        }
        let i = self.interfaces.entry(interface).or_default();
        i.dropped = i.dropped.saturating_add(count);
    }

    /// Counts frames that were lost, as statistics at the end do: every interface then has a counter.
    pub(crate) fn lose_in_all(&mut self, count: u64) {
        self.interfaces.values_mut().for_each(|i| i.counted = i.packets);
        let first = self.interfaces.keys().next().copied().unwrap_or_default();
        self.lose(first, None, count);
    }

    /// Notes a capture length.
    pub(crate) fn cut_at(&mut self, snaplen: u32) {
        self.add_snaplen(snaplen);
    }

    /// Adds the meta of what follows in the same input.
    pub fn append(&mut self, later: Self) {
        let shifted = later.ends.map(|((t, n), last)| ((t, n + self.packets), last));
        if let (Some((_, last)), Some(((first, number), _))) = (self.ends, shifted)
            && first < last
        {
            self.backwards += 1;
            self.back_by = self.back_by.max(last.since(first));
            self.backwards_at = self.backwards_at.or(Some(number));
        }
        self.backwards_at = self.backwards_at.or(later.backwards_at.map(|n| n + self.packets));
        self.backwards += later.backwards;
        self.back_by = self.back_by.max(later.back_by);
        self.ends = merge(self.ends, shifted, |a, b| (a.0, b.1));
        self.span = merge(self.span, later.span, |a, b| (a.0.min(b.0), a.1.max(b.1)));
        self.links.extend(later.links);
        if self.sha256 == Known::Unknown {
            self.sha256 = later.sha256;
        }
        self.packets += later.packets;
        self.bytes += later.bytes;
        self.cut_frames += later.cut_frames;
        self.damaged_at = self.damaged_at.or(later.damaged_at);
        later.drops.iter().for_each(|&(at, n)| self.add_drops(at, n));
        self.further_drops = self.further_drops.saturating_add(later.further_drops);
        later.filters.iter().for_each(|f| self.add_filter(f));
        if let Some(snaplen) = later.snaplen {
            self.add_snaplen(snaplen);
        }
        self.merge_host(later.host);
        for (id, i) in later.interfaces {
            self.interfaces.entry(id).or_default().append(&i);
        }
    }

    /// Earliest frame, or start of capturing according to a plausible statistics block where that is earlier.
    pub fn first(&self) -> Option<Time> {
        let stated = self.stated().filter_map(|s| s.ok()?.first).min();
        merge(self.span.map(|s| s.0), stated, Ord::min)
    }

    /// Latest frame, or end of capturing according to a plausible statistics block where that is later.
    pub fn last(&self) -> Option<Time> {
        let stated = self.stated().filter_map(|s| Some(s.ok()?.last)).max();
        merge(self.span.map(|s| s.1), stated, Ord::max)
    }

    /// Packets lost. A counter is known only where every interface with packets reported it; the newest report of an
    /// interface counts, since its counters only grow.
    ///
    /// dumpcap files libpcap's kernel drops under the interface (`isb_ifdrop`), so either counter may be the only one.
    pub fn loss(&self) -> Loss {
        let sum = |of: fn(&InterfaceMeta) -> Option<u64>| {
            let mut busy = self.interfaces.values().filter(|i| i.packets > 0 || i.statistics.is_some()).peekable();
            busy.peek()?;
            busy.try_fold(0_u64, |sum, i| Some(sum.saturating_add(of(i)?)))
        };
        Loss { kernel: sum(InterfaceMeta::kernel).into(), interface: sum(InterfaceMeta::interface).into() }
    }

    /// The capture filter, where the file names one; several are joined by ` | `.
    pub fn filter(&self) -> Known<WireText> {
        let all: Vec<&[u8]> = self.filters.iter().map(WireText::as_bytes).collect();
        if all.is_empty() { Known::Unknown } else { Known::Known(WireText::new(&all.join(&b" | "[..]))) }
    }

    /// Smallest capture length of its interfaces, 0 for no limit.
    pub fn snaplen(&self) -> Known<u32> {
        self.snaplen.into()
    }

    /// Names of the link types met, sorted.
    pub fn link_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.links.iter().map(|&l| link_name(l).into_owned()).collect();
        names.sort();
        names
    }

    /// Problems only the whole input shows: time that ran backwards, statistics that cannot be right.
    pub fn problems(&self) -> Vec<Problem> {
        let problem =
            |kind, frame, count| Problem { input: self.input, kind, detail: String::new(), offset: None, frame, count };
        let set_back = self.back_by > SET_BACK;
        let by = format!("by {:.1} s", self.back_by.as_secs_f64());
        let ignored = self.stated().filter(Result::is_err).count() as u64;
        [
            problem(ProblemKind::TimeBackwards, self.backwards_at, self.backwards),
            Problem { detail: by, ..problem(ProblemKind::ClockSetBack, self.backwards_at, u64::from(set_back)) },
            problem(ProblemKind::StatisticsTimeIgnored, None, ignored),
        ]
        .into_iter()
        .filter(|p| p.count > 0)
        .collect()
    }

    fn stated(&self) -> impl Iterator<Item = Result<Stated, ()>> + '_ {
        self.interfaces.values().filter_map(|i| i.statistics).map(|(s, clock)| self.believe(&s, clock))
    }

    /// dumpcap 4.0 writes these ticks in microseconds whatever the interface declares: where the declared reading cannot
    /// be, microseconds are tried for the whole block.
    fn believe(&self, s: &Statistics, clock: Clock) -> Result<Stated, ()> {
        [clock.resolution, Resolution::MICROS]
            .into_iter()
            .find_map(|resolution| {
                let time = |ticks| resolution.time(ticks, clock.offset);
                let last = time(s.written).filter(|&t| self.is_plausible_end(t))?;
                let end = s.end.and_then(time).filter(|&t| self.is_plausible_end(t));
                let first = s.start.and_then(time).filter(|&t| {
                    let early = self.span.map_or(EARLIEST, |(min, _)| min.minus(PLAUSIBLE));
                    early <= t && t <= last
                });
                Some(Stated { first, last: end.map_or(last, |e| e.max(last)) })
            })
            .ok_or(())
    }

    fn is_plausible_end(&self, t: Time) -> bool {
        match self.span {
            Some((min, max)) => min.minus(BEFORE_FRAMES) <= t && t <= max.plus(PLAUSIBLE),
            None => t >= EARLIEST,
        }
    }
}

impl InterfaceMeta {
    pub(super) fn append(&mut self, later: &Self) {
        self.packets += later.packets;
        self.counted += later.counted;
        self.dropped = self.dropped.saturating_add(later.dropped);
        if let Some((newer, clock)) = later.statistics {
            self.report(newer, clock);
        }
    }

    /// Takes in a statistics block: counters grow, so the newest value of each replaces the one before.
    pub(super) fn report(&mut self, mut newer: Statistics, clock: Clock) {
        if let Some((older, _)) = self.statistics {
            newer.ifdrop = newer.ifdrop.or(older.ifdrop);
            newer.osdrop = newer.osdrop.or(older.osdrop);
            newer.start = newer.start.or(older.start);
            newer.end = newer.end.or(older.end);
        }
        self.statistics = Some((newer, clock));
    }

    fn interface(&self) -> Option<u64> {
        self.statistics.and_then(|(s, _)| s.ifdrop)
    }

    /// Where every packet counted the drops before it, their sum stands in for a counter; where only those say so that had
    /// any before them, it is known that there were at least so many.
    fn kernel(&self) -> Option<u64> {
        let counted = (self.packets > 0 && self.counted == self.packets || self.dropped > 0).then_some(self.dropped);
        self.statistics.and_then(|(s, _)| s.osdrop).max(counted)
    }
}

fn merge<T>(a: Option<T>, b: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(both(a, b)),
        (a, b) => a.or(b),
    }
}
