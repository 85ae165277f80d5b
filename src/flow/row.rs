//! Rows: the pieces of one key as a flat list of integers, which is what a saved observation's lines hold.
//!
//! A line has a table of the packets it names, sorted, each as the difference to the one before, and a table of lanes; the
//! integers name both by index. Most facts of a flow name the same few packets, so this is short, and reading it is one pass
//! over integers. What may be absent is -1. Reading checks every bound: a row comes from a file, and a file from anyone.

use std::net::IpAddr;

use crate::base::{FrameRef, InputId, Stamp, Time};

use super::model::Lane;
use super::told::Told;
use super::tunnels::Tunnel;

/// Largest count and largest offset that is believed.
const LARGEST: i64 = 1 << 53;

/// A row being written.
#[derive(Debug, Default)]
pub(crate) struct Row {
    ints: Vec<i64>,
    stamps: Vec<(usize, Stamp)>,
    times: Vec<(usize, Time)>,
    lanes: Vec<(usize, Lane)>,
    addrs: Vec<IpAddr>,
    told: Vec<Told>,
    tunnels: Vec<Tunnel>,
}

/// A row and its tables.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Time, input, frame, each less that of the packet before.
    pub(crate) at: Vec<i64>,
    pub(crate) lanes: Vec<[u32; 5]>,
    pub(crate) addrs: Vec<IpAddr>,
    pub(crate) told: Vec<Told>,
    pub(crate) tunnels: Vec<Tunnel>,
    pub(crate) row: Vec<i64>,
}

impl Row {
    pub(crate) fn int(&mut self, n: i64) {
        self.ints.push(n);
    }

    pub(crate) fn count(&mut self, n: u64) {
        self.int(i64::try_from(n).unwrap_or(LARGEST).min(LARGEST));
    }

    pub(crate) fn len(&mut self, n: usize) {
        self.count(n as u64);
    }

    pub(crate) fn flag(&mut self, yes: bool) {
        self.int(i64::from(yes));
    }

    pub(crate) fn optional(&mut self, n: Option<impl Into<i64>>) {
        self.int(n.map_or(-1, Into::into));
    }

    pub(crate) fn pair(&mut self, pair: Option<(impl Into<i64>, impl Into<i64>)>) {
        let (a, b) = pair.map_or((-1, -1), |(a, b)| (a.into(), b.into()));
        self.int(a);
        self.int(b);
    }

    pub(crate) fn stamp(&mut self, at: Stamp) {
        self.stamps.push((self.ints.len(), at));
        self.int(0);
    }

    pub(crate) fn optional_stamp(&mut self, at: Option<Stamp>) {
        match at {
            Some(at) => self.stamp(at),
            None => self.int(-1),
        }
    }

    pub(crate) fn time(&mut self, t: Time) {
        self.times.push((self.ints.len(), t));
        self.int(0);
    }

    pub(crate) fn lane(&mut self, lane: Lane) {
        self.lanes.push((self.ints.len(), lane));
        self.int(0);
    }

    pub(crate) fn addr(&mut self, addr: IpAddr) {
        let known = self.addrs.iter().position(|a| *a == addr);
        let place = known.unwrap_or_else(|| {
            self.addrs.push(addr);
            self.addrs.len() - 1
        });
        self.len(place);
    }

    pub(crate) fn tunnel(&mut self, tunnel: Tunnel) {
        self.len(self.tunnels.len());
        self.tunnels.push(tunnel);
    }

    /// What payload told, but for digests, which are integers like the rest.
    pub(crate) fn told(&mut self, told: Option<&Told>) {
        self.optional(told.map(|_| i64::try_from(self.told.len()).unwrap_or(LARGEST)));
        let Some(told) = told else { return };
        self.flag(told.heads.is_some());
        for head in told.heads.iter().flatten().flatten() {
            self.flag(head.is_some());
            head.iter().for_each(|n| self.int(n.cast_signed()));
        }
        self.told.push(Told { heads: None, ..told.clone() });
    }

    /// How long it is.
    pub(crate) fn size(&self) -> usize {
        self.ints.len() + 32 * self.told.iter().map(|t| 1 + t.facts.len() + t.mapper.len()).sum::<usize>()
    }

    /// Replaces stamps, times and lanes by their places in the tables.
    pub(crate) fn finish(mut self) -> Tables {
        let mut stamps: Vec<Stamp> = self.stamps.iter().map(|s| s.1).collect();
        stamps.sort_unstable();
        stamps.dedup();
        let mut lanes: Vec<Lane> = self.lanes.iter().map(|l| l.1).collect();
        lanes.sort_unstable();
        lanes.dedup();
        let base = stamps.first().map_or(0, |s| s.time.as_nanos());
        let place = |i: usize| i64::try_from(i).unwrap_or(-1);
        let mut set = |at: usize, value: i64| {
            if let Some(slot) = self.ints.get_mut(at) {
                *slot = value;
            }
        };
        self.stamps.iter().for_each(|(at, s)| set(*at, stamps.binary_search(s).map_or(-1, place)));
        self.lanes.iter().for_each(|(at, l)| set(*at, lanes.binary_search(l).map_or(-1, place)));
        self.times.iter().for_each(|(at, t)| set(*at, t.as_nanos().saturating_sub(base)));
        let lane = |l: &Lane| {
            let [a, b, c, d] = l.vlans.map(u32::from);
            [l.interface, a, b, c, d]
        };
        let lanes = lanes.iter().map(lane).collect();
        let Self { ints: row, addrs, told, tunnels, .. } = self;
        Tables { at: differences(&stamps), lanes, addrs, told, tunnels, row }
    }
}

fn differences(stamps: &[Stamp]) -> Vec<i64> {
    let mut at = Vec::with_capacity(stamps.len() * 3);
    let mut last = [0_i64; 3];
    for s in stamps {
        let frame = i64::try_from(s.at.frame).unwrap_or(LARGEST);
        let now = [s.time.as_nanos(), i64::from(s.at.input.0), frame];
        at.extend(now.iter().zip(last).map(|(a, b)| a.wrapping_sub(b)));
        last = now;
    }
    at
}

/// A row being read. Everything answers `None` where the row cannot be right.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    ints: std::slice::Iter<'a, i64>,
    stamps: Vec<Stamp>,
    lanes: Vec<Lane>,
    addrs: &'a [IpAddr],
    /// `None` where nobody wants to know.
    told: Option<&'a mut [Told]>,
    tunnels: &'a [Tunnel],
}

impl<'a> Cursor<'a> {
    /// `inputs` gives the row's inputs their numbers here; without it they have them. `told` is false where what payload told is
    /// not wanted: it is then passed over unseen.
    pub(crate) fn new(tables: &'a mut Tables, inputs: Option<&[InputId]>, told: bool) -> Option<Self> {
        let stamps = stamps(&tables.at, inputs)?;
        let lane = |l: &[u32; 5]| {
            let [interface, vlans @ ..] = *l;
            let [a, b, c, d] = vlans.map(|v| u16::try_from(v).ok());
            Some(Lane { interface, vlans: [a?, b?, c?, d?] })
        };
        let lanes = tables.lanes.iter().map(lane).collect::<Option<_>>()?;
        Some(Self {
            ints: tables.row.iter(),
            stamps,
            lanes,
            addrs: &tables.addrs,
            told: told.then_some(&mut tables.told),
            tunnels: &tables.tunnels,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ints.len() == 0
    }

    pub(crate) fn int(&mut self) -> Option<i64> {
        self.ints.next().copied()
    }

    pub(crate) fn offset(&mut self) -> Option<i64> {
        self.int().filter(|n| (-LARGEST..=LARGEST).contains(n))
    }

    pub(crate) fn count(&mut self) -> Option<u64> {
        self.int().filter(|n| *n <= LARGEST).and_then(|n| u64::try_from(n).ok())
    }

    /// The length of a list of at most so many.
    pub(crate) fn len(&mut self, most: usize) -> Option<usize> {
        self.int().and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= most)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.int()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> Option<T> {
        T::try_from(self.int()?).ok()
    }

    #[expect(clippy::option_option, reason = "the outer one is a row that cannot be right")]
    pub(crate) fn optional<T: TryFrom<i64>>(&mut self) -> Option<Option<T>> {
        match self.int()? {
            -1 => Some(None),
            n => T::try_from(n).ok().map(Some),
        }
    }

    #[expect(clippy::option_option, reason = "the outer one is a row that cannot be right")]
    pub(crate) fn pair<T: TryFrom<i64> + Ord>(&mut self) -> Option<Option<(T, T)>> {
        match (self.optional()?, self.optional()?) {
            (Some(a), Some(b)) if a <= b => Some(Some((a, b))),
            (None, None) => Some(None),
            _ => None,
        }
    }

    pub(crate) fn stamp(&mut self) -> Option<Stamp> {
        let place: usize = self.number()?;
        self.stamps.get(place).copied()
    }

    #[expect(clippy::option_option, reason = "the outer one is a row that cannot be right")]
    pub(crate) fn optional_stamp(&mut self) -> Option<Option<Stamp>> {
        match self.int()? {
            -1 => Some(None),
            n => usize::try_from(n).ok().and_then(|n| self.stamps.get(n)).map(|s| Some(*s)),
        }
    }

    pub(crate) fn time(&mut self) -> Option<Time> {
        let base = self.stamps.first().map_or(0, |s| s.time.as_nanos());
        self.int().map(|n| Time::from_nanos(base.saturating_add(n)))
    }

    pub(crate) fn lane(&mut self) -> Option<Lane> {
        let place: usize = self.number()?;
        self.lanes.get(place).copied()
    }

    pub(crate) fn addr(&mut self) -> Option<IpAddr> {
        let place: usize = self.number()?;
        self.addrs.get(place).copied()
    }

    pub(crate) fn tunnel(&mut self) -> Option<Tunnel> {
        let place: usize = self.number()?;
        let largest = u64::try_from(LARGEST).ok()?;
        self.tunnels.get(place).copied().filter(|t| t.packets <= largest)
    }

    #[expect(clippy::option_option, reason = "the outer one is a row that cannot be right")]
    pub(crate) fn told(&mut self) -> Option<Option<Told>> {
        let Some(place) = self.optional::<usize>()? else { return Some(None) };
        let heads = self.heads()?;
        let Some(told) = &mut self.told else { return Some(None) };
        let told = told.get_mut(place).filter(|t| t.is_bounded()).map(std::mem::take)?;
        Some(Some(Told { heads, ..told }))
    }

    #[expect(clippy::option_option, reason = "the outer one is a row that cannot be right")]
    fn heads(&mut self) -> Option<Option<[[Option<u64>; 3]; 2]>> {
        if !self.flag()? {
            return Some(None);
        }
        let mut heads = [[None; 3]; 2];
        for head in heads.iter_mut().flatten() {
            if self.flag()? {
                *head = Some(self.int()?.cast_unsigned());
            }
        }
        Some(Some(heads))
    }
}

fn stamps(at: &[i64], inputs: Option<&[InputId]>) -> Option<Vec<Stamp>> {
    let mut stamps = Vec::with_capacity(at.len() / 3);
    let (mut time, mut input, mut frame) = (0_i64, 0_i64, 0_i64);
    let mut parts = at.chunks_exact(3);
    for part in parts.by_ref() {
        let [dt, di, df] = part else { return None };
        time = time.wrapping_add(*dt);
        input = input.checked_add(*di)?;
        frame = frame.checked_add(*df).filter(|f| (0..=LARGEST).contains(f))?;
        let input = match inputs {
            Some(inputs) => *inputs.get(usize::try_from(input).ok()?)?,
            None => InputId(u32::try_from(input).ok()?),
        };
        let frame = u64::try_from(frame).ok()?;
        stamps.push(Stamp { time: Time::from_nanos(time), at: FrameRef { input, frame } });
    }
    parts.remainder().is_empty().then_some(stamps)
}
