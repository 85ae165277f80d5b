//! Sums, firsts and lasts of packets: facts for which neither order nor grouping matters.

use crate::base::Stamp;
use crate::capture::CountedSide;

use super::model::Lane;
use super::row::{Cursor, Row};
use super::shift::Shift;
use super::tunnels::Tunnels;

/// What a packet adds to its sender's sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// When and where.
    pub(crate) at: Stamp,
    /// Interface and tags.
    pub(crate) lane: Lane,
    /// Time to live.
    pub(crate) ttl: u8,
    /// Bytes of the IP packet.
    pub(crate) ip_bytes: u32,
    /// Bytes of transport payload.
    pub(crate) payload: u32,
    /// Sent to a group or to all.
    pub(crate) group: bool,
}

/// At most four lanes, sorted: the four lowest of those seen, which is the same however the packets are grouped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lanes {
    kept: [Option<Lane>; 4],
}

impl Lanes {
    fn insert(&mut self, lane: Lane) {
        let mut moving = lane;
        for slot in &mut self.kept {
            match slot {
                Some(l) if *l == moving => return,
                Some(l) if *l > moving => std::mem::swap(l, &mut moving),
                Some(_) => {}
                None => {
                    *slot = Some(moving);
                    return;
                }
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Lane> + '_ {
        self.kept.iter().copied().flatten()
    }
}

/// Sums over packets of one sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) packets: u64,
    pub(crate) ip_bytes: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) first: Option<Stamp>,
    pub(crate) last: Option<Stamp>,
    pub(crate) first_payload: Option<Stamp>,
    /// Of packets that are not RST.
    pub(crate) ttl: Option<(u8, u8)>,
    /// Of TCP packets that are not RST.
    pub(crate) window: Option<(u16, u16)>,
    pub(crate) lanes: Lanes,
    pub(crate) tunnels: Tunnels,
    pub(crate) group: bool,
}

/// The earlier of two stamps that may be absent.
pub(crate) fn earlier(a: Option<Stamp>, b: Option<Stamp>) -> Option<Stamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The later of two stamps that may be absent.
pub(crate) fn later(a: Option<Stamp>, b: Option<Stamp>) -> Option<Stamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

/// The smallest range that holds both.
pub(crate) fn span<T: Ord + Copy>(a: Option<(T, T)>, b: Option<(T, T)>) -> Option<(T, T)> {
    match (a, b) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (a, b) => a.or(b),
    }
}

impl Sums {
    /// Adds a packet. `window` is absent where the packet says nothing of the sender (RST) or is not TCP.
    pub(crate) fn add(&mut self, p: &Seen, rst: bool, window: Option<u16>) {
        self.packets = self.packets.saturating_add(1);
        self.ip_bytes = self.ip_bytes.saturating_add(u64::from(p.ip_bytes));
        self.payload_bytes = self.payload_bytes.saturating_add(u64::from(p.payload));
        self.first = earlier(self.first, Some(p.at));
        self.last = later(self.last, Some(p.at));
        if p.payload > 0 {
            self.first_payload = earlier(self.first_payload, Some(p.at));
        }
        if !rst {
            self.ttl = span(self.ttl, Some((p.ttl, p.ttl)));
            self.window = span(self.window, window.map(|w| (w, w)));
        }
        self.lanes.insert(p.lane);
        self.group |= p.group;
    }

    /// Adds TCP packets that were counted; packets of the same lane and time to live came before them.
    pub(crate) fn counted(&mut self, c: &CountedSide, last: Stamp) {
        self.packets = self.packets.saturating_add(c.packets);
        self.ip_bytes = self.ip_bytes.saturating_add(c.ip_bytes);
        self.payload_bytes = self.payload_bytes.saturating_add(c.payload);
        self.first = self.first.or(Some(last));
        self.last = later(self.last, Some(last));
        if c.payload > 0 {
            self.first_payload = self.first_payload.or(Some(last));
        }
        self.window = span(self.window, Some(c.window));
    }

    /// Takes in the sums of other packets of the same sender.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.ip_bytes = self.ip_bytes.saturating_add(other.ip_bytes);
        self.payload_bytes = self.payload_bytes.saturating_add(other.payload_bytes);
        self.first = earlier(self.first, other.first);
        self.last = later(self.last, other.last);
        self.first_payload = earlier(self.first_payload, other.first_payload);
        self.ttl = span(self.ttl, other.ttl);
        self.window = span(self.window, other.window);
        other.lanes.iter().for_each(|l| self.lanes.insert(l));
        self.tunnels.merge(&other.tunnels);
        self.group |= other.group;
    }

    pub(crate) fn write(&self, row: &mut Row) {
        let Self { packets, ip_bytes, payload_bytes, first, last, first_payload, ttl, window, lanes, group, tunnels } =
            self;
        row.count(*packets);
        if *packets == 0 {
            return;
        }
        row.count(*ip_bytes);
        row.count(*payload_bytes);
        [first, last, first_payload].into_iter().for_each(|at| row.optional_stamp(*at));
        row.pair(*ttl);
        row.pair(*window);
        row.len(lanes.iter().count());
        lanes.iter().for_each(|l| row.lane(l));
        row.flag(*group);
        tunnels.write(row);
    }

    pub(crate) fn read(from: &mut Cursor<'_>) -> Option<Self> {
        let packets = from.count()?;
        if packets == 0 {
            return Some(Self::default());
        }
        let mut sums = Self {
            packets,
            ip_bytes: from.count()?,
            payload_bytes: from.count()?,
            first: from.optional_stamp()?,
            last: from.optional_stamp()?,
            first_payload: from.optional_stamp()?,
            ttl: from.pair()?,
            window: from.pair()?,
            lanes: Lanes::default(),
            group: false,
            tunnels: Tunnels::default(),
        };
        for _ in 0..from.len(4)? {
            sums.lanes.insert(from.lane()?);
        }
        sums.group = from.flag()?;
        sums.tunnels = Tunnels::read(from)?;
        // Who sent packets was seen at some time.
        (sums.first.is_some() && sums.last.is_some()).then_some(sums)
    }

    /// Moves the frame numbers.
    pub(crate) fn shift(&mut self, by: &Shift) {
        by.option(&mut self.first);
        by.option(&mut self.last);
        by.option(&mut self.first_payload);
    }
}

/// Keeps, of stamped things, the earliest `max - 1` and the latest. `full` lists lose only what lies between, so any
/// grouping gives the same list.
pub(crate) fn keep_ends<T>(list: &mut Vec<T>, new: T, max: usize, at: impl Fn(&T) -> Stamp) {
    let place = list.partition_point(|x| at(x) <= at(&new));
    list.insert(place, new);
    if list.len() > max {
        list.remove(max - 1);
    }
}

/// Keeps the earliest `max`.
pub(crate) fn keep_first<T>(list: &mut Vec<T>, new: T, max: usize, at: impl Fn(&T) -> Stamp) {
    let place = list.partition_point(|x| at(x) <= at(&new));
    if place < max {
        list.insert(place, new);
        list.truncate(max);
    }
}
