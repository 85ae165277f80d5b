//! Sealed stretches as rows: what saved observations hold stays packed until everything is known, and is unpacked tuple by tuple.
//!
//! A flow in pieces takes several kilobytes, a row a few hundred bytes. Most tuples lie in one file, and most flows are looked at
//! once and then only counted; so nothing is unpacked before the end, and then by several threads, each with its share of the
//! tuples.

mod finish;
mod packed;
mod room;

use hashbrown::HashTable;

pub(super) use self::packed::{Alone, Packed, Reader, save};
use crate::base::{InputId, Problem, ProblemKind, Stamp};
use crate::flow::{Cursor, FlowKey, Pieces, Seeds, Shift, Tables, Told, forget};

use super::limits::{Bounds, Limits};
use super::rest::Keep;

/// Integers after which a key's pieces go on in the next row.
pub(super) const ROW: usize = 16 * 1024;
/// Largest count that is believed.
const LARGEST: u64 = 1 << 53;

/// Rows of one stretch.
#[derive(Clone, Debug, Default)]
struct Chunk {
    packed: Packed,
    /// The numbers of its inputs here; without them rows name inputs as they are.
    inputs: Option<Vec<InputId>>,
    /// How its stamps are moved, one after the other.
    shifts: Vec<Shift>,
}

/// A row's place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    hash: u64,
    chunk: u32,
    row: u32,
}

/// Rows of consecutive stretches.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    seeds: Seeds,
    chunks: Vec<Chunk>,
    /// Tuples, once somebody asked for them, and how many chunks they are of.
    known: (HashTable<At>, usize),
    limits: Limits,
    bounds: Bounds,
    /// What it takes, and at how much attempts are let go next.
    size: u64,
    shed_at: u64,
    /// Attempts let go: the first moment and how many.
    shed: Option<(Stamp, u64)>,
    /// What was found wrong while rows were put together.
    wrong: Vec<Problem>,
}

impl Shelf {
    /// An empty one that keeps within limits.
    pub(super) fn within(limits: &Limits) -> Self {
        Self { bounds: limits.shelf(), shed_at: limits.shelf().shed, limits: limits.clone(), ..Self::default() }
    }

    /// Leaves room for so many bytes of rows that come before these: both will be put together.
    pub(super) fn come_behind(&mut self, before: u64) {
        self.bounds = self.limits.shelf().behind(before);
        self.shed_at = self.shed_at.max(self.bounds.shed).min(self.bounds.most);
    }

    /// Bytes of rows, and of the flows they will become.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Puts rows of a saved observation behind the others, whose inputs have these numbers here.
    pub(super) fn put(&mut self, packed: Packed, inputs: &[InputId], mut full: impl FnMut(Stamp)) {
        self.push(Chunk { packed, inputs: Some(inputs.to_vec()), shifts: Vec::new() });
        self.make_room(&mut full);
    }

    /// Of pieces, whose payload is turned into what it tells.
    pub(super) fn of_pieces(keys: impl Iterator<Item = (FlowKey, Pieces)>, limits: &Limits) -> Self {
        let mut packed = Packed::default();
        for (key, mut pieces) in keys {
            forget(&key, &mut pieces);
            put(&mut packed, key, &pieces, &limits.keep);
        }
        let mut shelf = Self::within(limits);
        shelf.push(Chunk { packed, ..Chunk::default() });
        shelf
    }

    fn push(&mut self, mut chunk: Chunk) {
        if !chunk.packed.rows().is_empty() {
            chunk.packed.shrink();
            self.size += room::cost(&chunk.packed);
            self.chunks.push(chunk);
        }
    }

    /// Attempts let go: the first moment and how many.
    pub(super) const fn shed_attempts(&self) -> Option<(Stamp, u64)> {
        self.shed
    }

    /// Takes in the rows of a later stretch, its frames numbered on; calls `full` with the first moment of what has no room.
    pub(super) fn append(&mut self, later: Self, by: &Shift, mut full: impl FnMut(Stamp)) {
        self.wrong.extend(later.wrong);
        if let Some((mut at, n)) = later.shed {
            by.stamp(&mut at);
            self.count_shed(at, n);
        }
        for mut chunk in later.chunks {
            if !by.is_empty() {
                chunk.shifts.push(by.clone());
            }
            self.push(chunk);
            self.make_room(&mut full);
        }
    }

    /// Notes attempts that were let go before.
    pub(super) fn count_shed(&mut self, at: Stamp, n: u64) {
        self.shed = Some(self.shed.map_or((at, n), |(first, m)| (first.min(at), m.saturating_add(n))));
    }

    /// All tuples, some of them several times.
    pub(super) fn keys(&self) -> impl Iterator<Item = &FlowKey> {
        self.chunks.iter().flat_map(|c| c.packed.rows()).map(|r| &r.key)
    }

    /// Whether it holds rows of a tuple.
    pub(super) fn contains(&mut self, key: &FlowKey) -> bool {
        let Self { chunks, known: (known, of), seeds, .. } = self;
        for (n, chunk) in (0..).zip(&*chunks).skip(*of) {
            for (row, r) in (0..).zip(chunk.packed.rows()) {
                let at = At { hash: seeds.key(&r.key), chunk: n, row };
                let known = known.entry(at.hash, |k| key_of(chunks, *k) == Some(&r.key), |k| k.hash);
                known.or_insert(at);
            }
        }
        *of = chunks.len();
        known.find(seeds.key(key), |k| key_of(chunks, *k) == Some(key)).is_some()
    }

    /// Where the rows are, those left out that continue others.
    fn places(&self) -> impl Iterator<Item = At> + '_ {
        (0..).zip(&self.chunks).flat_map(move |(chunk, c)| {
            let rows = (0..).zip(c.packed.rows()).filter(|(_, r)| !r.continues());
            let seeds = self.seeds;
            rows.map(move |(row, r)| At { hash: seeds.key(&r.key), chunk, row })
        })
    }

    /// Calls `with` with every tuple and its pieces, in the order of tuples. What cannot be read is told.
    pub(super) fn each(&self, mut problem: impl FnMut(Problem), mut with: impl FnMut(&FlowKey, Pieces)) {
        self.wrong.iter().cloned().for_each(&mut problem);
        let mut places: Vec<(&FlowKey, At)> =
            self.places().filter_map(|at| Some((key_of(&self.chunks, at)?, at))).collect();
        places.sort_unstable();
        let mut tables = Tables::default();
        for group in places.chunk_by(|a, b| a.0 == b.0) {
            let Some((key, _)) = group.first() else { continue };
            let mut unpacking = Unpacking { shelf: self, tables: &mut tables, told: true, problem: &mut problem };
            with(key, unpacking.pieces(key, group.iter().map(|g| g.1)));
        }
    }
}

fn key_of(chunks: &[Chunk], at: At) -> Option<&FlowKey> {
    chunks.get(at.chunk as usize)?.packed.rows().get(at.row as usize).map(|r| &r.key)
}

/// Packs the pieces of a tuple.
fn put(to: &mut Packed, key: FlowKey, pieces: &Pieces, keep: &Keep) {
    let mut continues = false;
    for row in pieces.rows(ROW) {
        // What has no place was counted by the limit long before.
        let _full = to.push(key, (continues, keep.holds(&key)), &row.finish());
        continues = true;
    }
}

/// Turns rows back into pieces.
struct Unpacking<'a, P> {
    shelf: &'a Shelf,
    tables: &'a mut Tables,
    /// Whether what payload told is wanted.
    told: bool,
    problem: P,
}

impl<P: FnMut(Problem)> Unpacking<'_, P> {
    /// The pieces of one tuple, appended in the order of stretches.
    fn pieces(&mut self, key: &FlowKey, places: impl Iterator<Item = At>) -> Pieces {
        let mut all = Pieces::default();
        for (n, at) in places.enumerate() {
            let Some(chunk) = self.shelf.chunks.get(at.chunk as usize) else { continue };
            let mut next = Pieces::default();
            if self.read(chunk, at.row as usize, &mut next).is_none() {
                (self.problem)(impossible(chunk));
            }
            chunk.shifts.iter().for_each(|by| next.shift(by));
            if n == 0 { all = next } else { all.append(key, next) }
        }
        all
    }

    /// Reads a row and those that continue it, as far as they can be right.
    fn read(&mut self, chunk: &Chunk, row: usize, into: &mut Pieces) -> Option<()> {
        let rows = chunk.packed.rows().get(row..)?;
        let whole = rows.iter().skip(1).take_while(|r| r.continues()).count() + 1;
        for row in rows.get(..whole)? {
            chunk.packed.unpack(row, self.told, self.tables)?;
            let inputs = chunk.inputs.as_deref();
            if let Some(inputs) = inputs {
                self.tables.told.iter_mut().flat_map(Told::stamps).try_for_each(|s| {
                    s.at.input = *inputs.get(usize::try_from(s.at.input.0).ok()?)?;
                    (s.at.frame <= LARGEST).then_some(())
                })?;
            }
            into.read(&mut Cursor::new(self.tables, inputs, self.told)?)?;
        }
        Some(())
    }
}

fn impossible(chunk: &Chunk) -> Problem {
    Problem {
        input: chunk.inputs.as_ref().and_then(|i| i.first().copied()).unwrap_or_default(),
        kind: ProblemKind::SavedIncomplete,
        detail: "a flow in it cannot be right".to_owned(),
        offset: None,
        frame: None,
        count: 1,
    }
}
