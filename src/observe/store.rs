//! Where the pieces of a stretch's keys are: an index over keys in order of first sight, and beside it a small table of the flows
//! whose packets may take the short way.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::base::{InputId, Proto, Stamp};
use crate::flow::{FlowKey, Hot, Look, Pieces, Seeds, Shift, Side, Taken, end_v4, prefix_cap};
use crate::packet::{Addresses, Glance, Tcp};

use super::firsts::Firsts;
use super::limits::Limits;

/// A key and its pieces.
#[derive(Clone, Debug)]
struct Entry {
    key: FlowKey,
    /// Number of its hot record, or [`COLD`].
    hot: u32,
    /// Whether something was added since [`Store::changed`] was asked.
    changed: bool,
    pieces: Pieces,
}

const COLD: u32 = u32::MAX;

/// The pieces of all keys.
#[derive(Clone, Debug)]
pub(super) struct Store {
    seeds: Seeds,
    /// Numbers of entries. Never iterated: `entries` has the order of first sight.
    index: HashTable<u32>,
    entries: Vec<Entry>,
    pieces: usize,
    warm: Warm,
    limits: Limits,
    /// Entries at which attempts are let go next, while reading and while folding.
    shed_at: (usize, usize),
    /// Attempts let go: the first moment and how many.
    shed: Option<(Stamp, u64)>,
    /// How often entries got other places.
    renumbered: u64,
}

/// Open addressing over hot records: half of a hash and a record's number plus one in each slot.
#[derive(Clone, Debug, Default)]
struct Warm {
    slots: Vec<u64>,
    records: Vec<Hot>,
    hashes: Vec<u64>,
    firsts: Firsts,
    /// The input all hot records are of.
    input: Option<InputId>,
    /// Frames of several inputs, or stretches appended: stamps do not grow with time.
    mixed: bool,
}

const TAG: u64 = 0xffff_ffff_0000_0000;

impl Warm {
    /// The number of the record with this hash that `is` the one sought.
    #[inline(always)]
    fn find(&self, hash: u64, is: impl Fn(&Hot) -> bool) -> Option<usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = low(hash) & mask;
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            if (slot ^ hash) & TAG == 0 {
                let number = low(slot & !TAG) - 1;
                if let Some(hot) = self.records.get(number)
                    && is(hot)
                {
                    return Some(number);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a record; its number.
    fn insert(&mut self, hash: u64, record: Hot) -> u32 {
        let number = u32::try_from(self.records.len()).unwrap_or(COLD);
        self.records.push(record);
        self.hashes.push(hash);
        if self.slots.len() < 2 * self.records.len() {
            self.slots = vec![0; (4 * self.records.len()).next_power_of_two().max(64)];
            (0..self.hashes.len()).for_each(|n| self.place(n));
        } else {
            self.place(self.records.len() - 1);
        }
        number
    }

    fn place(&mut self, number: usize) {
        let Some(&hash) = self.hashes.get(number) else { return };
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = low(hash) & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if *slot == 0 {
                *slot = hash & TAG | (number as u64 + 1);
                return;
            }
            at = (at + 1) & mask;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "what of a hash chooses a slot, or a number below 2^32")]
#[inline(always)]
const fn low(n: u64) -> usize {
    n as usize
}

/// A packet that a store is asked to take the short way.
pub(super) struct Short<'a> {
    pub(super) glance: &'a Glance<'a>,
    pub(super) at: Stamp,
    pub(super) lane: u16,
}

/// The ends of a glance's packet, and whether the higher one sent it.
pub(super) struct Ends {
    hash: u64,
    pub(super) from_b: bool,
    v4: Option<[u64; 2]>,
}

impl Ends {
    /// The hash of the key.
    #[inline(always)]
    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::within(&Limits::default())
    }
}

impl Store {
    fn empty() -> Self {
        Self {
            seeds: Seeds::default(),
            index: HashTable::new(),
            entries: Vec::new(),
            pieces: 0,
            warm: Warm::default(),
            limits: Limits::default(),
            shed_at: (0, 0),
            shed: None,
            renumbered: 0,
        }
    }

    /// The key of a packet as far as the short way needs it.
    #[inline(always)]
    pub(super) fn ends(&self, g: &Glance<'_>) -> Ends {
        match g.addresses {
            Addresses::V4(src, dst) => {
                let (src, dst) = (end_v4(src, g.src_port), end_v4(dst, g.dst_port));
                let (a, b) = (src.min(dst), src.max(dst));
                Ends { hash: self.seeds.v4(Proto::Tcp, a, b), from_b: src > dst, v4: Some([a, b]) }
            }
            Addresses::V6(src, dst) => {
                let (src, dst) = ((src, g.src_port), (dst, g.dst_port));
                let (a, b) = (src.min(dst), src.max(dst));
                Ends { hash: self.seeds.v6(Proto::Tcp, a, b), from_b: src > dst, v4: None }
            }
        }
    }

    /// Takes a packet the short way; `false` where it has to go the long one.
    #[inline(always)]
    pub(super) fn short(&mut self, ends: &Ends, p: &Short<'_>) -> bool {
        let (g, at) = (p.glance, p.at);
        let Self { warm, entries, .. } = self;
        let Ok(frame) = u32::try_from(at.at.frame) else { return false };
        if warm.input != Some(at.at.input) || warm.mixed {
            return false;
        }
        let found = match ends.v4 {
            Some([a, b]) => warm.find(ends.hash, |hot| hot.ends[0] == a && hot.ends[1] == b),
            None => warm.find(ends.hash, |hot| entries.get(hot.place as usize).is_some_and(|e| is(&e.key, g))),
        };
        let Some((number, hot)) = found.and_then(|n| Some((n, warm.records.get_mut(n)?))) else { return false };
        let look = Look {
            from_b: ends.from_b,
            time: at.time,
            frame,
            lane: p.lane,
            ttl: g.ttl,
            flags: g.flags,
            window: g.window,
            seq: g.seq,
            ack: g.ack,
            payload: g.payload_len,
            ip_bytes: g.ip_bytes,
        };
        if !hot.plain(&look) {
            return false;
        }
        let pending = hot.pending(ends.from_b);
        if hot.add(&look) == Taken::Wanted {
            let side = if ends.from_b { Side::B } else { Side::A };
            if !warm.firsts.add(number, side, pending, g.payload, g.payload_len, at) {
                hot.sated(ends.from_b);
            }
            if warm.firsts.is_full() {
                self.spill();
            }
        }
        true
    }

    /// Moves the first bytes of plain packets to where they belong.
    #[cold]
    fn spill(&mut self) {
        let Self { entries, warm: Warm { records, firsts, .. }, .. } = self;
        for (number, hot) in records.iter().enumerate() {
            let entry = entries.get_mut(hot.place as usize);
            if let Some((key, body)) = entry.and_then(|e| Some((&e.key, e.pieces.newest_body()?))) {
                firsts.drain(number, body, prefix_cap(key));
            }
        }
        firsts.clear();
    }

    /// An empty store that keeps within limits.
    pub(super) fn within(limits: &Limits) -> Self {
        Self { shed_at: (limits.stretch(), limits.fold()), limits: limits.clone(), ..Self::empty() }
    }

    /// Adds something to a key's pieces; its place, `None` where the key is new and the store is full.
    pub(super) fn add(&mut self, key: &FlowKey, hash: u64, with: impl FnOnce(&mut Pieces) -> usize) -> Option<usize> {
        let place = match self.find(key, hash) {
            Some(place) => place,
            None => {
                if self.entries.len() >= self.shed_at.0 {
                    self.shed();
                }
                if self.pieces >= self.limits.flows() {
                    return None;
                }
                self.insert(*key, hash, Pieces::default())
            }
        };
        let Self { entries, warm, pieces, .. } = self;
        let entry = entries.get_mut(place)?;
        entry.changed = true;
        if let (Some(hot), Some(input)) = (warm.records.get_mut(entry.hot as usize), warm.input)
            && let Some(body) = entry.pieces.newest_body()
        {
            warm.firsts.drain(entry.hot as usize, body, prefix_cap(key));
            hot.flush(body, input);
        }
        *pieces += with(&mut entry.pieces);
        Some(place)
    }

    /// Adds a TCP packet, and learns what the short way needs for the next one.
    pub(super) fn tcp(&mut self, p: &Long<'_, '_>, add: impl FnOnce(&mut Pieces) -> usize) -> Option<()> {
        let place = self.add(p.key, p.hash, add)?;
        let input = *self.warm.input.get_or_insert(p.at.at.input);
        if input != p.at.at.input && !self.warm.mixed {
            // Frames of several inputs come one by one: there is no hurry.
            self.cool();
        }
        if self.warm.mixed || p.at.at.frame > u64::from(u32::MAX) {
            return Some(());
        }
        let Self { entries, warm, .. } = self;
        let entry = entries.get_mut(place)?;
        let body = entry.pieces.newest_body();
        if entry.hot == COLD {
            if body.as_ref().is_none_or(|b| !b.may_settle()) {
                return Some(());
            }
            entry.hot = warm.insert(p.hash, Hot::new(narrow_ends(p.key), u32::try_from(place).ok()?));
        }
        let lane = p.lane.filter(|_| !p.tcp.opens());
        let hot = warm.records.get_mut(entry.hot as usize)?;
        let rooms = hot.learn(body.as_deref(), p.side == Side::B, lane, prefix_cap(p.key), input);
        warm.firsts.expect(entry.hot as usize, rooms);
        Some(())
    }

    /// Adds plain packets that were counted; `false` where the key is new and the store is full.
    pub(super) fn counted(&mut self, key: &FlowKey, input: InputId, add: impl FnOnce(&mut Pieces) -> usize) -> bool {
        let Some(place) = self.add(key, self.hash(key), add) else { return false };
        let Self { entries, warm, .. } = self;
        let Some(entry) = entries.get_mut(place) else { return true };
        if let Some(hot) = warm.records.get_mut(entry.hot as usize) {
            // What the short way knew is past; the next packet on the long way teaches it again.
            hot.learn(None, false, None, 0, input);
            warm.firsts.expect(entry.hot as usize, [0; 2]);
        }
        true
    }

    /// Writes all hot records into the pieces.
    pub(super) fn flush(&mut self) {
        self.spill();
        let Self { entries, warm, .. } = self;
        let Some(input) = warm.input else { return };
        for hot in &mut warm.records {
            if let Some(body) = entries.get_mut(hot.place as usize).and_then(|e| e.pieces.newest_body()) {
                hot.flush(body, input);
            }
        }
    }

    /// Gives up the short way, for good: what comes next has no order with what is there.
    pub(super) fn cool(&mut self) {
        self.flush();
        self.warm = Warm { mixed: true, ..Warm::default() };
        self.entries.iter_mut().for_each(|e| e.hot = COLD);
    }

    /// The pieces of a key that was met.
    pub(super) fn pieces_of(&mut self, key: &FlowKey) -> Option<&mut Pieces> {
        let place = self.find(key, self.hash(key))?;
        let entry = self.entries.get_mut(place)?;
        entry.changed = true;
        Some(&mut entry.pieces)
    }

    /// Has a key told as changed.
    pub(super) fn touch(&mut self, key: &FlowKey) {
        let _same = self.pieces_of(key);
    }

    /// Has all keys told as changed.
    pub(super) fn touch_all(&mut self) {
        self.entries.iter_mut().for_each(|e| e.changed = true);
    }

    /// Calls `with` for every key that changed since this was asked last, in order of first sight. What is kept apart for speed
    /// is written back where there is some, and the short way stays open.
    pub(super) fn changed(&mut self, mut with: impl FnMut(usize, &FlowKey, &Pieces)) {
        let Self { entries, warm: Warm { records, firsts, input, .. }, .. } = self;
        if let Some(input) = *input {
            for (number, hot) in records.iter_mut().enumerate().filter(|(_, hot)| hot.is_dirty()) {
                let Some(entry) = entries.get_mut(hot.place as usize) else { continue };
                entry.changed = true;
                if let Some(body) = entry.pieces.newest_body() {
                    firsts.drain(number, body, prefix_cap(&entry.key));
                    hot.flush(body, input);
                }
            }
            firsts.clear();
        }
        for (place, entry) in entries.iter_mut().enumerate().filter(|(_, e)| e.changed) {
            entry.changed = false;
            with(place, &entry.key, &entry.pieces);
        }
    }

    /// How many keys there are.
    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// How often keys got other places.
    pub(super) const fn renumbered(&self) -> u64 {
        self.renumbered
    }

    fn find(&self, key: &FlowKey, hash: u64) -> Option<usize> {
        let is = |&n: &u32| self.entries.get(n as usize).is_some_and(|e| e.key == *key);
        self.index.find(hash, is).map(|&n| n as usize)
    }

    fn insert(&mut self, key: FlowKey, hash: u64, pieces: Pieces) -> usize {
        let Self { index, entries, seeds, .. } = self;
        let place = entries.len();
        entries.push(Entry { key, hot: COLD, changed: true, pieces });
        let rehash = |&n: &u32| entries.get(n as usize).map_or(0, |e| seeds.key(&e.key));
        index.insert_unique(hash, u32::try_from(place).unwrap_or(COLD), rehash);
        place
    }

    /// The hash of a key.
    pub(super) fn hash(&self, key: &FlowKey) -> u64 {
        self.seeds.key(key)
    }

    fn shift(&mut self, by: &Shift) {
        self.entries.iter_mut().for_each(|e| e.pieces.shift(by));
    }

    /// Takes in the pieces of a later stretch, its frames numbered on; calls `full` with the first moment of what has no room.
    pub(super) fn append(&mut self, mut later: Self, by: &Shift, full: impl FnMut(Stamp)) {
        self.cool();
        later.flush();
        if !by.is_empty() {
            later.shift(by);
        }
        if let Some((mut at, n)) = later.shed {
            by.stamp(&mut at);
            self.count_shed(at, n);
        }
        self.take_all(later.entries.into_iter().map(|e| (e.key, e.pieces)), full);
    }

    /// Adds pieces of keys that follow. What is in the hot table was written back before.
    pub(super) fn take_all(&mut self, later: impl Iterator<Item = (FlowKey, Pieces)>, mut full: impl FnMut(Stamp)) {
        for (key, pieces) in later {
            let hash = self.seeds.key(&key);
            if let Some(entry) = self.find(&key, hash).and_then(|n| self.entries.get_mut(n)) {
                self.pieces -= entry.pieces.len();
                entry.pieces.append(&key, pieces);
                self.pieces += entry.pieces.len();
                continue;
            }
            if self.entries.len() >= self.shed_at.1 {
                self.shed();
            }
            if self.pieces < self.limits.flows() {
                self.pieces += pieces.len();
                self.insert(key, hash, pieces);
            } else if let Some(at) = pieces.first_stamp() {
                full(at);
            }
        }
    }

    /// All keys, in order of first sight.
    pub(super) fn keys(&self) -> impl Iterator<Item = &FlowKey> {
        self.entries.iter().map(|e| &e.key)
    }

    /// Whether it holds pieces of a key.
    pub(super) fn contains(&self, key: &FlowKey) -> bool {
        self.find(key, self.seeds.key(key)).is_some()
    }

    /// Changes the pieces of every key; what is in the hot table was written back before.
    pub(super) fn for_each(&mut self, mut change: impl FnMut(&FlowKey, &mut Pieces)) {
        self.entries.iter_mut().for_each(|e| change(&e.key, &mut e.pieces));
    }

    /// Lets go of what carries least: attempts without any answer, first those between unprotected addresses, then those with
    /// one protected end. Between protected addresses nothing is let go, so absence may still be claimed there.
    #[inline(never)]
    fn shed(&mut self) {
        let before = self.entries.len();
        let protected = Arc::clone(&self.limits.protected);
        let guarded = |key: &FlowKey| key.ends.iter().filter(|e| protected.contains(e.addr)).count();
        for most in 0..2 {
            let mut entries = std::mem::take(&mut self.entries);
            entries.retain(|e| {
                let Some((at, n)) = e.pieces.attempt().filter(|_| guarded(&e.key) <= most) else { return true };
                self.count_shed(at, n);
                self.pieces -= e.pieces.len();
                false
            });
            self.entries = entries;
            if self.entries.len() < before / 2 {
                break;
            }
        }
        self.renumber();
        let len = self.entries.len();
        self.shed_at = (self.limits.stretch().max(2 * len), self.limits.fold().max(2 * len));
    }

    fn count_shed(&mut self, at: Stamp, n: u64) {
        self.shed = Some(self.shed.map_or((at, n), |(first, m)| (first.min(at), m.saturating_add(n))));
    }

    /// Builds the index anew.
    fn renumber(&mut self) {
        self.renumbered += 1;
        let Self { index, entries, seeds, warm, .. } = self;
        index.clear();
        for (place, entry) in (0..).zip(&*entries) {
            let rehash = |&n: &u32| entries.get(n as usize).map_or(0, |e| seeds.key(&e.key));
            index.insert_unique(seeds.key(&entry.key), place, rehash);
            if let Some(hot) = warm.records.get_mut(entry.hot as usize) {
                hot.place = place;
            }
        }
    }

    /// Attempts let go: the first moment and how many.
    pub(super) const fn shed_attempts(&self) -> Option<(Stamp, u64)> {
        self.shed
    }

    /// The keys and their pieces, in order of first sight.
    pub(super) fn into_keys(mut self) -> impl Iterator<Item = (FlowKey, Pieces)> {
        self.flush();
        self.entries.into_iter().map(|e| (e.key, e.pieces))
    }
}

/// A TCP packet on the long way.
pub(super) struct Long<'p, 'a> {
    pub(super) key: &'p FlowKey,
    pub(super) hash: u64,
    pub(super) side: Side,
    pub(super) at: Stamp,
    /// Number of its lane, where it has one.
    pub(super) lane: Option<u16>,
    pub(super) tcp: &'p Tcp<'a>,
}

/// The ends of an IPv4 key as numbers; for IPv6 what no IPv4 end is.
fn narrow_ends(key: &FlowKey) -> [u64; 2] {
    key.ends.map(|e| match e.addr {
        std::net::IpAddr::V4(a) => end_v4(a.to_bits(), e.port),
        std::net::IpAddr::V6(_) => u64::MAX,
    })
}

/// Whether a packet over IPv6 is of a key.
fn is(key: &FlowKey, g: &Glance<'_>) -> bool {
    let Addresses::V6(src, dst) = g.addresses else { return false };
    let end = |addr: u128, port| (std::net::IpAddr::V6(addr.into()), port);
    let (src, dst) = (end(src, g.src_port), end(dst, g.dst_port));
    let [a, b] = key.ends.map(|e| (e.addr, e.port));
    key.proto == Proto::Tcp && ((a, b) == (src, dst) || (a, b) == (dst, src))
}
