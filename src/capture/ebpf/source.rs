//! What the sieve lets rise and what it counted, as events in the order they happened in each flow.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rustix::time::{ClockId, clock_gettime};

use super::super::clock::Resolution;
use super::super::counted::{Counted, CountedSide};
use super::super::event::{Event, FrameSource, Growth};
use super::super::frame::{Frame, LinkType};
use super::super::interfaces::Halt;
use super::super::live::Arrivals;
use super::super::meta::{Clock, InputMeta};
use super::super::pcapng::Statistics;
use super::record::{self, Counters, Key, Record, Risen, Side};
use super::{Sieve, Unable};
use crate::base::{InputId, Time, WireText};

/// What is counted and was not told is looked up so often.
const LOOK: Duration = Duration::from_millis(200);
/// Between two looks at interfaces and lost frames.
const REPORT: Duration = Duration::from_secs(1);
/// Octets of the two addresses in an Ethernet header.
const ADDRESSES: usize = 12;

/// What was told of a flow.
#[derive(Clone, Copy, Debug)]
struct Told {
    id: u64,
    /// Frames of it that were taken.
    risen: u32,
    sides: [Side; 2],
}

/// Where a frame waits to be handed on.
#[derive(Clone, Copy, Debug)]
struct Head {
    time: Time,
    interface: u32,
    original_len: u32,
}

/// Pulls events out of the kernel.
pub struct Source {
    sieve: Sieve,
    halt: Halt,
    meta: InputMeta,
    start: Time,
    told: HashMap<Key, Told, RandomState>,
    /// Flows that something rose of since the last look, and those of the look before.
    busy: [Vec<Key>; 2],
    ready: VecDeque<Counted>,
    frame: Vec<u8>,
    head: Option<Head>,
    looked: Instant,
    reported: Instant,
    stage: Stage,
    waiting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// The program is off; what it left is still to be taken.
    Closed,
    Ended,
}

impl Sieve {
    /// Begins to hand on; ends when `halt` is asked to, or when an interface has gone.
    ///
    /// # Errors
    /// Where the ring cannot be waited for.
    pub fn start(self, halt: &Halt, input: InputId) -> Result<(Source, Arrivals), Unable> {
        let waits = self.maps.ring.as_fd().try_clone_to_owned();
        let waits = waits.map_err(|e| Unable(format!("its ring cannot be waited for: {e}")))?;
        let mut meta = InputMeta::new(input, "ebpf");
        meta.add_snaplen(0);
        meta.set_host(self.addresses.iter().copied().collect(), !self.framed);
        self.filter.iter().for_each(|f| meta.add_filter(&WireText::new(f.as_bytes())));
        let (now, start) = (Instant::now(), wall());
        let mut source = Source {
            sieve: self,
            halt: halt.clone(),
            meta,
            start,
            told: HashMap::default(),
            busy: [Vec::new(), Vec::new()],
            ready: VecDeque::new(),
            frame: Vec::new(),
            head: None,
            looked: now,
            reported: now,
            stage: Stage::Open,
            waiting: false,
        };
        source.report();
        Ok((source, Arrivals::ring(Arc::new(waits))))
    }
}

impl Source {
    fn time(&self, kernel: u64) -> Time {
        Time::from_nanos(self.sieve.offset.saturating_add_unsigned(kernel))
    }

    /// Takes the next record out of the ring; whether there was one.
    fn pull(&mut self) -> bool {
        let Some(item) = self.sieve.maps.ring.next() else { return false };
        // A record of ours is whole.
        let Some(Record { time, counters, frame }) = record::record(&item) else { return true };
        let head = frame.map(|risen| {
            let framed = self.sieve.framed;
            self.frame.clear();
            let original_len = if framed { ethernet(&mut self.frame, &risen) } else { cooked(&mut self.frame, &risen) };
            let place = self.sieve.sockets.iter().position(|s| s.index == risen.device);
            let interface = place.and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
            (interface, original_len)
        });
        drop(item);
        let time = self.time(time);
        self.head = head.map(|(interface, original_len)| Head { time, interface, original_len });
        if let Some(counters) = counters {
            self.note(&counters, self.head.is_some());
        }
        true
    }

    /// Takes in counters that came with a frame or alone.
    fn note(&mut self, counters: &Counters, with_frame: bool) {
        self.differ(counters);
        if counters.gone {
            self.told.remove(&counters.key);
        } else if let Some(told) = self.told.get_mut(&counters.key) {
            told.risen = counters.risen.wrapping_add(u32::from(with_frame));
            self.busy[0].push(counters.key);
        }
    }

    /// Tells what was counted since the last time.
    fn differ(&mut self, now: &Counters) {
        let fresh = Told { id: now.id, risen: now.risen, sides: [Side::default(); 2] };
        let told = self.told.entry(now.key).or_insert(fresh);
        if told.id != now.id {
            *told = fresh;
        }
        let [a, b] = now.sides;
        let [x, y] = std::mem::replace(&mut told.sides, now.sides);
        let sides = [self.since(&x, &a), self.since(&y, &b)];
        if sides.iter().any(Option::is_some)
            && let Some(ends) = record::ends(&now.key)
        {
            self.ready.push_back(Counted { input: self.meta.input, number: 0, ends, sides });
        }
    }

    fn since(&self, before: &Side, now: &Side) -> Option<CountedSide> {
        let packets = now.packets.checked_sub(before.packets).filter(|n| *n > 0)?;
        Some(CountedSide {
            packets,
            ip_bytes: now.ip_bytes.saturating_sub(before.ip_bytes),
            payload: now.payload.saturating_sub(before.payload),
            last: self.time(now.last),
            edge: now.edge,
            sent: (now.sent, self.time(now.rose)),
            ack: (now.ack, self.time(now.acked)),
            window: now.window,
        })
    }

    /// Looks up what flows have counted that something rose of lately.
    fn look(&mut self) {
        let [newer, older] = std::mem::take(&mut self.busy);
        let mut keys: Vec<Key> = newer.iter().chain(&older).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().for_each(|key| self.look_up(key, true));
        let mut newer = newer;
        newer.sort_unstable();
        newer.dedup();
        self.busy = [Vec::new(), newer];
    }

    /// Looks up a flow. `ordered`: only where all frames of it were taken; otherwise what it counted comes with the next one.
    fn look_up(&mut self, key: Key, ordered: bool) {
        let Ok(value) = self.sieve.maps.flows.get(&key, 0) else { return };
        let Some(counters) = record::flow(key, &value) else { return };
        let told = self.told.get(&key).is_some_and(|t| t.id == counters.id && t.risen == counters.risen);
        if told || !ordered {
            self.differ(&counters);
        }
    }

    /// The program is taken off, so nothing changes any more; then all counters are looked up.
    fn rest(&mut self) {
        let keys: Vec<Key> = self.sieve.maps.flows.keys().filter_map(Result::ok).collect();
        keys.into_iter().for_each(|key| self.look_up(key, false));
    }

    /// Whether an interface has gone for good; one that is down may come back.
    fn has_lost_an_interface(&self) -> bool {
        let gone = |s: &super::Socket| s.index != 0 && s.is_gone();
        self.sieve.sockets.iter().any(gone)
    }

    /// Notes until when all was seen, and how many frames found no room.
    fn report(&mut self) {
        let lost = self.sieve.maps.lost.get(&0, 0).ok();
        let ticks = |t: Time| u64::try_from(t.as_nanos()).unwrap_or_default();
        let statistics = Statistics {
            interface: 0,
            written: ticks(wall()),
            start: Some(ticks(self.start)),
            end: None,
            ifdrop: None,
            osdrop: lost,
        };
        let clock = Clock { resolution: Resolution::Decimal(9), offset: 0 };
        self.meta.interfaces.entry(0).or_default().report(statistics, clock);
    }

    fn counted(&mut self, mut counted: Counted) -> Event<'_> {
        for side in counted.sides.iter().flatten() {
            self.meta.count_unseen(side.packets, side.last);
        }
        counted.number = self.meta.packets;
        Event::Counted(counted)
    }

    fn handed(&mut self, head: Head) -> Event<'_> {
        let link = if self.sieve.framed { LinkType::ETHERNET } else { LinkType::SLL2 };
        self.meta.count(head.time, 0, link, false);
        self.meta.bytes = self.meta.bytes.saturating_add(self.frame.len() as u64);
        let Head { time, interface, original_len } = head;
        let (input, number) = (self.meta.input, self.meta.packets);
        Event::Frame(Frame { time, input, number, interface, link, data: &self.frame, original_len })
    }
}

impl FrameSource for Source {
    fn next(&mut self) -> Option<Event<'_>> {
        self.waiting = false;
        loop {
            if let Some(counted) = self.ready.pop_front() {
                return Some(self.counted(counted));
            }
            if let Some(head) = self.head.take() {
                return Some(self.handed(head));
            }
            if self.pull() {
                continue;
            }
            let now = Instant::now();
            match self.stage {
                Stage::Ended => return None,
                Stage::Closed => {
                    self.rest();
                    self.report();
                    self.stage = Stage::Ended;
                }
                Stage::Open if self.halt.is_asked() => self.close(),
                Stage::Open => {
                    if now - self.reported >= REPORT {
                        self.reported = now;
                        self.report();
                        if self.has_lost_an_interface() {
                            self.close();
                            continue;
                        }
                    }
                    if now - self.looked >= LOOK {
                        self.looked = now;
                        self.look();
                        if !self.ready.is_empty() {
                            continue;
                        }
                    }
                    self.waiting = true;
                    return None;
                }
            }
        }
    }

    fn finish(&mut self) -> InputMeta {
        self.meta.clone()
    }
}

impl Source {
    fn close(&mut self) {
        self.sieve.sockets.clear();
        self.stage = Stage::Closed;
    }
}

impl Growth for Source {
    fn is_waiting(&self) -> bool {
        self.waiting
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.sieve)
    }
}

/// A frame with its tag put back where the kernel took it from; its length on the wire.
fn ethernet(to: &mut Vec<u8>, risen: &Risen<'_>) -> u32 {
    let (addresses, rest) = risen.data.split_at(risen.data.len().min(ADDRESSES));
    to.extend_from_slice(addresses);
    let tag = risen.tag.unwrap_or_default();
    let tag = if risen.tag.is_some() { &tag[..] } else { &[] };
    to.extend_from_slice(tag);
    to.extend_from_slice(rest);
    risen.wire.saturating_add(if tag.is_empty() { 0 } else { 4 })
}

/// A packet behind a cooked header of version 2, as libpcap makes them of all interfaces; its length with that.
fn cooked(to: &mut Vec<u8>, risen: &Risen<'_>) -> u32 {
    /// Hardware type Ethernet: the protocol is an Ethernet type.
    const HARDWARE: [u8; 2] = [0, 1];
    const HEADER: u32 = 20;
    let tag = risen.tag.unwrap_or_default();
    let [_, _, c0, c1] = tag;
    to.extend_from_slice(if risen.tag.is_some() { &tag[..2] } else { &risen.protocol });
    to.extend_from_slice(&[0, 0]);
    to.extend_from_slice(&risen.device.to_be_bytes());
    to.extend_from_slice(&HARDWARE);
    to.extend_from_slice(&[risen.packet_type, 6, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut len = HEADER.saturating_add(risen.wire);
    if risen.tag.is_some() {
        to.extend_from_slice(&[c0, c1]);
        to.extend_from_slice(&risen.protocol);
        len = len.saturating_add(4);
    }
    to.extend_from_slice(risen.data);
    len
}

/// This host's clock.
fn wall() -> Time {
    let t = clock_gettime(ClockId::Realtime);
    Time::from_nanos(nanos(&t))
}

fn nanos(t: &rustix::time::Timespec) -> i64 {
    t.tv_sec.saturating_mul(1_000_000_000).saturating_add(t.tv_nsec)
}

/// Nanoseconds between the kernel's clock and UTC, from the closest of a few pairs of readings.
pub(super) fn offset() -> i64 {
    let read = || {
        let before = nanos(&clock_gettime(ClockId::Monotonic));
        let wall = nanos(&clock_gettime(ClockId::Realtime));
        let after = nanos(&clock_gettime(ClockId::Monotonic));
        (after - before, wall - (before + (after - before) / 2))
    };
    (0..16).map(|_| read()).min().unwrap_or_default().1
}
