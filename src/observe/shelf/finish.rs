//! From rows to flows, by several threads: each takes the tuples whose hash begins alike, so that no two share one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{At, Shelf, Unpacking, key_of};
use crate::base::Time;
use crate::flow::{FlowKey, Tables};
use crate::observe::finish::{Finished, Finishing};
use crate::observe::rest::Peers;

/// Shares of the tuples; more of them than threads, so that none waits long for another.
const SHARES: usize = 64;

impl Shelf {
    /// Finishes all tuples. `wanted` are held as flows whatever the limits say.
    pub(in crate::observe) fn finish(self, wanted: &BTreeSet<FlowKey>, asked: &[Time], threads: usize) -> Finished {
        let shares = self.shares();
        let mut peers = Peers::default();
        let rows = self.chunks.iter().flat_map(|c| c.packed.rows());
        for row in rows.filter(|r| r.held() || wanted.contains(&r.key)) {
            peers.extend(row.key.ends.iter().map(|e| e.addr));
        }
        let finishing = Finishing { wanted, peers: &peers, asked };
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Finished::default();
            while let Some(share) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.finish_share(share.clone(), &finishing, &mut done);
            }
            done
        };
        let mut all = thread::scope(|scope| {
            let others: Vec<_> = (1..threads.clamp(1, SHARES)).map(|_| scope.spawn(work)).collect();
            let mut all = work();
            others
                .into_iter()
                .for_each(|o| all.merge(o.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))));
            all
        });
        all.problems.extend(self.wrong);
        all
    }

    /// Places of rows, shared out by the highest bits of their hashes.
    fn shares(&self) -> Vec<Vec<At>> {
        let mut shares = vec![Vec::new(); SHARES];
        for at in self.places() {
            let share = usize::try_from(at.hash >> (u64::BITS - SHARES.ilog2())).unwrap_or_default();
            shares.get_mut(share).into_iter().for_each(|s| s.push(at));
        }
        shares
    }

    fn finish_share(&self, mut share: Vec<At>, finishing: &Finishing<'_>, done: &mut Finished) {
        share.sort_unstable();
        let mut tables = Tables::default();
        for alike in share.chunk_by(|a, b| a.hash == b.hash) {
            if let [only] = alike {
                self.finish_tuple(&[*only], &mut tables, finishing, done);
                continue;
            }
            // Two tuples of one hash are as good as impossible, and must not be taken for one.
            let mut left = alike.to_vec();
            while let Some(key) = left.first().and_then(|at| key_of(&self.chunks, *at)) {
                let (same, others) = left.iter().partition::<Vec<_>, _>(|at| key_of(&self.chunks, **at) == Some(key));
                self.finish_tuple(&same, &mut tables, finishing, done);
                left = others;
            }
        }
    }

    /// Finishes a tuple whose rows are at these places.
    fn finish_tuple(&self, places: &[At], tables: &mut Tables, finishing: &Finishing<'_>, done: &mut Finished) {
        let rows = |at: &At| Some(&self.chunks.get(at.chunk as usize)?.packed);
        let Some((packed, first)) = places.first().and_then(|at| Some((rows(at)?, at.row as usize))) else { return };
        let Some(row) = packed.rows().get(first) else { return };
        let held = row.held() || finishing.wanted.contains(&row.key);
        if places.len() == 1
            && !held
            && !finishing.knows_more(&row.key)
            && let Some(alone) = packed.alone(row)
        {
            return done.rest.add_alone(alone);
        }
        let problem = |p| done.problems.push(p);
        let pieces = Unpacking { shelf: self, tables, told: held, problem }.pieces(&row.key, places.iter().copied());
        finishing.tuple(row.key, pieces, held, done);
    }
}
