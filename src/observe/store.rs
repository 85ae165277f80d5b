//! Where the pieces of a stretch's keys are: an index over keys in order of first sight, and beside it a small table of the flows
//! whose packets may take the short way.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::{InputId, Proto, Stamp, Time, fetch};
use crate::flow::{
    Before, FlowKey, Look, Pair, Pair6, Pieces, Seeds, Shift, Side, Taken, Tuple, ports, prefix_cap, worth_a_record,
};
use crate::packet::{Addresses, Glance, Headers};

use super::index::Index;
use super::limits::Limits;
use super::warm::{COLD, Warm};

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

/// Keys of a later stretch that are fetched for before they are taken in.
const AHEAD: usize = 16;

/// The pieces of all keys.
#[derive(Clone, Debug)]
pub(super) struct Store {
    seeds: Seeds,
    /// Numbers of entries. Never iterated: `entries` has the order of first sight.
    index: Index,
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

impl Default for Store {
    fn default() -> Self {
        Self::within(&Limits::default())
    }
}

impl Store {
    fn empty() -> Self {
        Self {
            seeds: Seeds::default(),
            index: Index::default(),
            entries: Vec::new(),
            pieces: 0,
            warm: Warm::default(),
            limits: Limits::default(),
            shed_at: (0, 0),
            shed: None,
            renumbered: 0,
        }
    }

    /// The hot record of a packet over IPv4, and whether side B sent it.
    #[inline(always)]
    pub(super) fn hot_v4(&self, pair: Pair) -> Option<(usize, bool)> {
        self.warm.find_v4(&self.seeds, pair)
    }

    /// The same of a packet over IPv6.
    #[inline(always)]
    pub(super) fn hot_v6(&self, pair: &Pair6) -> Option<(usize, bool)> {
        self.warm.find_v6(&self.seeds, pair)
    }

    /// The same of a packet at a glance.
    #[inline]
    pub(super) fn hot(&self, udp: bool, g: &Glance<'_>) -> Option<(usize, bool)> {
        let ports = ports(udp, u32::from(g.src_port) << 16 | u32::from(g.dst_port));
        match g.addresses {
            Addresses::V4(src, dst) => self.hot_v4(Pair { addresses: u64::from(src) << 32 | u64::from(dst), ports }),
            Addresses::V6(src, dst) => self.hot_v6(&Pair6 { src, dst, ports }),
        }
    }

    /// Takes a datagram of a hot record the short way: the hash of its key, or `None` where it has to go the long one.
    #[inline]
    pub(super) fn short_datagram<H: Headers>(&mut self, number: usize, input: InputId, look: &Look<H>) -> Option<u64> {
        let warm = &mut self.warm;
        let hot = warm.records.get_mut(number).filter(|hot| warm.input == Some(input) && hot.plain_datagram(look))?;
        hot.add_datagram(look);
        Some(hot.hash)
    }

    /// Takes a packet of a hot record the short way: the hash of its key, or `None` where it has to go the long one. `payload` is
    /// what was captured of it.
    #[inline(always)]
    pub(super) fn short<'a, H: Headers>(
        &mut self,
        number: usize,
        input: InputId,
        look: &Look<H>,
        payload: impl FnOnce() -> &'a [u8],
    ) -> Option<u64> {
        let warm = &mut self.warm;
        if warm.input != Some(input) {
            return None;
        }
        let hot = warm.records.get_mut(number)?;
        if !hot.plain(look) {
            return None;
        }
        let hash = hot.hash;
        if hot.add(look) == Taken::Wanted {
            self.want(number, look.from_b, (look.time, look.frame), look.head.payload_len(), payload());
        }
        Some(hash)
    }

    /// Keeps first bytes of a packet just added: values, not a reference, since whatever is referred to would have to lie in
    /// memory for every packet.
    #[inline(never)]
    fn want(&mut self, number: usize, from_b: bool, at: (Time, u32), wire: u32, payload: &[u8]) {
        let Warm { records, firsts, .. } = &mut self.warm;
        let Some(hot) = records.get_mut(number) else { return };
        let side = if from_b { Side::B } else { Side::A };
        if !firsts.add(number, side, hot.pending(from_b) - wire, payload, wire, at) {
            hot.sated(from_b);
        }
        if firsts.is_full() {
            self.spill();
        }
    }

    /// Moves the first bytes of plain packets to where they belong.
    #[cold]
    fn spill(&mut self) {
        let Self { entries, warm: Warm { records, firsts, input, .. }, .. } = self;
        let Some(input) = *input else { return };
        for (number, hot) in records.iter().enumerate() {
            let entry = entries.get_mut(hot.place as usize);
            if let Some((key, body)) = entry.and_then(|e| Some((&e.key, e.pieces.newest_body()?))) {
                firsts.drain(number, body, input, prefix_cap(key));
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
            warm.firsts.drain(entry.hot as usize, body, input, prefix_cap(key));
            hot.flush(body, input);
        }
        *pieces += with(&mut entry.pieces);
        Some(place)
    }

    /// Adds a TCP or UDP packet, and learns what the short way needs for the next one.
    pub(super) fn packet(&mut self, p: &Long<'_>, add: impl FnOnce(&mut Pieces) -> usize) -> Option<()> {
        let place = self.add(p.key, p.hash, add)?;
        let input = *self.warm.input.get_or_insert(p.at.at.input);
        if input != p.at.at.input && !self.warm.mixed {
            // Frames of several inputs come one by one: there is no hurry.
            self.cool();
        }
        if self.warm.mixed || p.at.at.frame > u64::from(u32::MAX) {
            return Some(());
        }
        let Self { entries, warm, seeds, .. } = self;
        let entry = entries.get_mut(place)?;
        let only = entry.pieces.len() == 1;
        let body = entry.pieces.newest_body();
        if entry.hot == COLD {
            if body.as_ref().is_none_or(|b| !worth_a_record(b)) {
                return Some(());
            }
            entry.hot = warm.insert(seeds, tuple(p.key), p.hash, u32::try_from(place).ok()?);
        }
        let before = Before { from_b: p.side == Side::B, lane: p.lane, input, settled: p.settled, only };
        let hot = warm.records.get_mut(entry.hot as usize)?;
        if p.key.proto == Proto::Udp {
            hot.learn_datagrams(body?, &before);
        } else {
            let rooms = hot.learn(body.as_deref(), &before, prefix_cap(p.key));
            warm.firsts.expect(entry.hot as usize, rooms);
        }
        Some(())
    }

    /// Adds plain packets that were counted; `false` where the key is new and the store is full.
    pub(super) fn counted(&mut self, key: &FlowKey, add: impl FnOnce(&mut Pieces) -> usize) -> bool {
        let Some(place) = self.add(key, self.hash(key), add) else { return false };
        let Self { entries, warm, .. } = self;
        let Some(entry) = entries.get_mut(place) else { return true };
        if let Some(hot) = warm.records.get_mut(entry.hot as usize) {
            hot.forget();
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
        self.warm = Warm::closed();
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
                    firsts.drain(number, body, input, prefix_cap(&entry.key));
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

    /// How often keys got other places.
    pub(super) const fn renumbered(&self) -> u64 {
        self.renumbered
    }

    fn find(&self, key: &FlowKey, hash: u64) -> Option<usize> {
        self.index.find(hash, |n| self.entries.get(n).is_some_and(|e| e.key == *key))
    }

    /// Has fetched what the first look for a key needs; its hash.
    #[inline]
    pub(super) fn ahead(&self, key: &FlowKey) -> u64 {
        let hash = self.hash(key);
        self.index.fetch(hash);
        hash
    }

    /// Has fetched what a key's entry holds, once the first look is done.
    #[inline]
    pub(super) fn ahead_entry(&self, hash: u64) {
        if let Some(entry) = self.index.guess(hash).and_then(|n| self.entries.get(n..)?.first()) {
            fetch(std::slice::from_ref(&entry.key), 0);
            fetch(std::slice::from_ref(&entry.changed), 0);
            entry.pieces.fetch();
        }
    }

    fn insert(&mut self, key: FlowKey, hash: u64, pieces: Pieces) -> usize {
        let place = self.entries.len();
        self.entries.push(Entry { key, hot: COLD, changed: true, pieces });
        self.index.insert(hash, u32::try_from(place).unwrap_or(COLD - 1));
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
    pub(super) fn append(&mut self, mut later: Self, by: &Shift, mut full: impl FnMut(Stamp)) {
        self.cool();
        later.flush();
        if !by.is_empty() {
            later.shift(by);
        }
        if let Some((mut at, n)) = later.shed {
            by.stamp(&mut at);
            self.count_shed(at, n);
        }
        if self.entries.is_empty() && later.entries.len() < self.shed_at.1 && later.pieces <= self.limits.flows() {
            // Nothing to look up: its own index goes on with it.
            later.cool();
            later.touch_all();
            let Self { seeds, index, entries, pieces, .. } = later;
            (self.seeds, self.index, self.entries, self.pieces) = (seeds, index, entries, pieces);
            self.renumbered += 1;
            return;
        }
        self.entries.reserve(later.entries.len());
        let mut later = later.entries.into_iter();
        loop {
            // What is looked up later is fetched by then: its slot first, then its entry.
            let next = |n: usize| later.as_slice().get(n).map(|e| self.hash(&e.key));
            next(AHEAD).into_iter().for_each(|hash| self.index.fetch(hash));
            next(AHEAD / 2).into_iter().for_each(|hash| self.ahead_entry(hash));
            let Some(Entry { key, pieces, .. }) = later.next() else { return };
            self.take(key, pieces, &mut full);
        }
    }

    /// Adds pieces of a key that follow. What is in the hot table was written back before.
    fn take(&mut self, key: FlowKey, pieces: Pieces, full: &mut impl FnMut(Stamp)) {
        let hash = self.hash(&key);
        if let Some(entry) = self.find(&key, hash).and_then(|n| self.entries.get_mut(n)) {
            self.pieces -= entry.pieces.len();
            entry.pieces.append(&key, pieces);
            self.pieces += entry.pieces.len();
            return;
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

    /// All keys, in order of first sight.
    pub(super) fn keys(&self) -> impl Iterator<Item = &FlowKey> {
        self.entries.iter().map(|e| &e.key)
    }

    /// Whether it holds pieces of a key.
    pub(super) fn contains(&self, key: &FlowKey) -> bool {
        self.find(key, self.seeds.key(key)).is_some()
    }

    /// What it keeps within.
    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
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
            index.insert(seeds.key(&entry.key), place);
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

/// A TCP or UDP packet on the long way.
pub(super) struct Long<'p> {
    pub(super) key: &'p FlowKey,
    pub(super) hash: u64,
    pub(super) side: Side,
    pub(super) at: Stamp,
    /// Number of its lane, where it has one and it is no SYN.
    pub(super) lane: Option<u16>,
    /// Whether enough packets were seen that a plain one can be no copy of one before the stretch.
    pub(super) settled: bool,
}

/// What packets of a key's side A say.
fn tuple(key: &FlowKey) -> Tuple {
    let [a, b] = key.ends;
    let ports = ports(key.proto == Proto::Udp, u32::from(a.port) << 16 | u32::from(b.port));
    match (a.addr, b.addr) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            Tuple::V4(Pair { addresses: u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits()), ports })
        }
        (src, dst) => Tuple::V6(Pair6 { src: wide(src), dst: wide(dst), ports }),
    }
}

const fn wide(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(a) => a.to_bits() as u128,
        IpAddr::V6(a) => a.to_bits(),
    }
}
