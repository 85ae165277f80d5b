//! What a shelf takes, and what it lets go of where that is too much.

use super::packed::{Packed, RowAt};
use super::{At, Chunk, Shelf, Unpacking, key_of, put};
use crate::base::Stamp;
use crate::flow::{Flow, FlowKey, Tables};

/// What a flow that is held as one takes beside its own size: its lists, and what the judge makes of it.
const HELD: u64 = size_of::<Flow>() as u64 + 2048;

/// What a row's place takes while rows are sorted: lists grow by doubling.
const PLACE: u64 = 2 * size_of::<At>() as u64;
/// Packed bytes of the longest row of nothing but SYNs, and some more: 16 of them, each a packet of its own.
const ATTEMPT: u32 = 256;

/// Bytes that rows take now and will take when they are finished.
pub(super) fn cost(packed: &Packed) -> u64 {
    let flows = packed.rows().iter().filter(|r| r.held() && !r.continues()).count() as u64;
    packed.size() + packed.rows().len() as u64 * PLACE + flows * HELD
}

impl Shelf {
    /// Keeps within the limit after something was added to the end.
    pub(super) fn make_room(&mut self, full: &mut impl FnMut(Stamp)) {
        if self.size > self.shed_at {
            self.compact();
            self.shed_at = self.bounds.shed.max(self.size.saturating_mul(2));
        }
        if self.size > self.bounds.most {
            self.turn_away(full);
        }
    }

    /// Puts the rows of each tuple together, and lets go of attempts without any answer: first those between unprotected
    /// addresses, then, where that was not half of all, those with one protected end.
    fn compact(&mut self) {
        let before = self.size;
        for most in 0..2 {
            self.rebuild(most);
            if self.size < before / 2 {
                break;
            }
        }
    }

    /// Puts the rows of each tuple into one, without attempts that have at most so many protected ends. What the newest stretch
    /// shows may still be answered in the next.
    fn rebuild(&mut self, most: usize) {
        let newest = self.chunks.len().saturating_sub(1);
        let mut gone: Vec<Vec<bool>> = self.chunks.iter().map(|c| vec![false; c.packed.rows().len()]).collect();
        let (mut joined, mut wrong, mut tables) = (Packed::default(), Vec::new(), Tables::default());
        let mut places: Vec<(&FlowKey, At)> =
            self.places().filter_map(|at| Some((key_of(&self.chunks, at)?, at))).collect();
        places.sort_unstable();
        let mut shed = Vec::new();
        for group in places.chunk_by(|a, b| a.0 == b.0) {
            let (Some((key, _)), Some((_, last))) = (group.first(), group.last()) else { continue };
            if group.len() == 1 && !self.may_be_attempt(*last) {
                continue;
            }
            let problem = |p| wrong.push(p);
            let mut unpacking = Unpacking { shelf: self, tables: &mut tables, told: true, problem };
            let pieces = unpacking.pieces(key, group.iter().map(|g| g.1));
            let lasting = last.chunk as usize >= newest || self.guarded(key) > most;
            match pieces.attempt().filter(|_| !lasting) {
                Some(attempt) => shed.push(attempt),
                None if group.len() == 1 => continue,
                None => put(&mut joined, **key, &pieces, &self.limits.keep),
            }
            group.iter().for_each(|(_, at)| self.mark(*at, &mut gone));
        }
        shed.into_iter().for_each(|(at, n)| self.count_shed(at, n));
        self.wrong.append(&mut wrong);
        self.known = Default::default();
        self.size = 0;
        for (chunk, gone) in std::mem::take(&mut self.chunks).into_iter().zip(gone) {
            let packed = if gone.contains(&true) { without(&chunk.packed, &gone) } else { chunk.packed };
            self.push(Chunk { packed, ..chunk });
        }
        self.push(Chunk { packed: joined, ..Chunk::default() });
    }

    /// Whether a row is short enough to be nothing but SYNs.
    fn may_be_attempt(&self, at: At) -> bool {
        let row = self.chunks.get(at.chunk as usize).and_then(|c| c.packed.rows().get(at.row as usize));
        row.is_some_and(|r| r.packed_len() <= ATTEMPT)
    }

    /// Protected ends of a tuple.
    fn guarded(&self, key: &FlowKey) -> usize {
        key.ends.iter().filter(|e| self.limits.protected.contains(e.addr)).count()
    }

    /// Marks a row and those that continue it.
    fn mark(&self, at: At, gone: &mut [Vec<bool>]) {
        let chunk = at.chunk as usize;
        let (Some(c), Some(gone)) = (self.chunks.get(chunk), gone.get_mut(chunk)) else { return };
        let from = at.row as usize;
        let rows = c.packed.rows().get(from..).unwrap_or_default();
        let whole = rows.iter().skip(1).take_while(|r| r.continues()).count() + 1;
        gone.iter_mut().skip(from).take(whole).for_each(|g| *g = true);
    }

    /// Turns away what has no room: rows of the newest chunk, first those of flows that are not held.
    fn turn_away(&mut self, full: &mut impl FnMut(Stamp)) {
        let Some(newest) = self.chunks.pop() else { return };
        self.size = self.size.saturating_sub(cost(&newest.packed));
        self.known = Default::default();
        let room = self.bounds.most.saturating_sub(self.size);
        let (kept, away) = divide(&newest, room);
        let index = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
        self.chunks.push(newest);
        let mut tables = Tables::default();
        for row in away {
            let at = At { hash: 0, chunk: index, row };
            let Some(key) = key_of(&self.chunks, at) else { continue };
            let mut unpacking = Unpacking { shelf: self, tables: &mut tables, told: false, problem: |_| () };
            unpacking.pieces(key, [at].into_iter()).first_stamp().into_iter().for_each(&mut *full);
        }
        if let Some(newest) = self.chunks.pop() {
            self.push(Chunk { packed: kept, ..newest });
        }
    }
}

/// The rows that are not marked.
fn without(packed: &Packed, gone: &[bool]) -> Packed {
    let mut kept = Packed::default();
    for (row, _) in packed.rows().iter().zip(gone).filter(|(_, gone)| !**gone) {
        // A row of a smaller whole has its place.
        let _placed = kept.copy(packed, row);
    }
    kept
}

/// The rows that find room, and the places of those that do not.
fn divide(chunk: &Chunk, room: u64) -> (Packed, Vec<u32>) {
    let rows = chunk.packed.rows();
    let mut stays = vec![false; rows.len()];
    let mut left = room;
    for held in [true, false] {
        let mut last = false;
        for (row, stays) in rows.iter().zip(&mut stays).filter(|(r, _)| r.held() == held) {
            let takes = one(row);
            last = if row.continues() { last } else { takes <= left };
            if last {
                left = left.saturating_sub(takes);
                *stays = true;
            }
        }
    }
    let mut kept = Packed::default();
    let mut away = Vec::new();
    for ((n, row), stays) in (0..).zip(rows).zip(stays) {
        if stays && kept.copy(&chunk.packed, row).is_some() {
            continue;
        }
        away.extend((!row.continues()).then_some(n));
    }
    (kept, away)
}

fn one(row: &RowAt) -> u64 {
    let held = if row.held() && !row.continues() { HELD } else { 0 };
    row.size() + PLACE + held
}
