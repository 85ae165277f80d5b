//! From the pieces of a whole observation point to its [`Observation`].

use std::collections::BTreeMap;
use std::thread;

use crate::base::{Problem, ProblemKind, Problems, Stamp};
use crate::flow::{Flow, FlowKey, Pieces, Quote, Resolved, Side, resolve, seal};

use super::model::{Hole, InputSummary, Observation};
use super::partial::Partial;

impl Partial {
    /// Resolves everything: nothing more will come. Payload is turned into evidence and dropped.
    pub fn finish(self, inputs: Vec<InputSummary>, holes: Vec<Hole>) -> Observation {
        self.finish_on(1, inputs, holes)
    }

    /// As [`Self::finish`], on several threads. What comes out does not depend on how many there are.
    pub(super) fn finish_on(self, threads: usize, inputs: Vec<InputSummary>, mut holes: Vec<Hole>) -> Observation {
        let mut problems = self.problems_so_far();
        let mut flows = Vec::new();
        for (mut some, orphans) in sealed(self.store.into_keys().collect(), threads) {
            orphans.iter().for_each(|q| problems.add(orphan(q)));
            flows.append(&mut some);
        }
        flows.sort_by_key(|f| (f.first, f.key, f.ordinal));
        attach(&mut flows, &mut problems, self.fragments.resolve());
        holes.sort_unstable();
        holes.dedup();
        Observation { inputs, flows, holes, evicted: 0, problems: problems.iter().collect() }
    }

    /// Problems but for those that come from resolving.
    pub(super) fn problems_so_far(&self) -> Problems {
        let mut problems = self.problems.clone();
        self.repeats.problems(&self.frames).into_iter().for_each(|p| problems.add(p));
        self.store.shed_attempts().into_iter().for_each(|(at, n)| problems.add(attempts_counted(at, n)));
        problems
    }
}

/// Keys and their pieces.
type Keys = Vec<(FlowKey, Pieces)>;

/// Fewer keys than this are not worth a thread.
const WORTH_A_THREAD: usize = 256;

/// The flows of all keys, and the ICMP errors about none of them, in the order of the keys.
fn sealed(mut keys: Keys, threads: usize) -> Vec<(Vec<Flow>, Vec<Quote>)> {
    let shares = threads.min(keys.len() / WORTH_A_THREAD).max(1);
    let share = keys.len().div_ceil(shares);
    let mut later: Vec<Keys> = (1..shares).rev().map(|n| keys.split_off((n * share).min(keys.len()))).collect();
    later.reverse();
    thread::scope(|scope| {
        let others: Vec<_> = later.into_iter().map(|keys| scope.spawn(move || seal_all(keys))).collect();
        let mut all = vec![seal_all(keys)];
        for other in others {
            all.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    })
}

fn seal_all(keys: Keys) -> (Vec<Flow>, Vec<Quote>) {
    let (mut flows, mut orphans) = (Vec::with_capacity(keys.len()), Vec::new());
    for (key, pieces) in keys {
        let (instances, none) = resolve(&key, pieces);
        orphans.extend(none);
        let from = flows.len();
        flows.extend(instances.into_iter().filter_map(|i| seal(key, i)));
        number(flows.get_mut(from..).unwrap_or_default());
    }
    (flows, orphans)
}

/// Attempts that were let go for want of memory.
pub(super) fn attempts_counted(at: Stamp, n: u64) -> Problem {
    problem(ProblemKind::AttemptsCounted, String::new(), at, n)
}

pub(super) fn number(flows: &mut [Flow]) {
    flows.sort_by_key(|f| f.first);
    (1..).zip(flows).for_each(|(n, flow)| flow.ordinal = n);
}

fn problem(kind: ProblemKind, detail: String, at: Stamp, count: u64) -> Problem {
    Problem { input: at.at.input, kind, detail, offset: None, frame: Some(at.at.frame), count }
}

pub(super) fn orphan(q: &Quote) -> Problem {
    let version = if q.v6 { "ICMPv6" } else { "ICMP" };
    problem(ProblemKind::OrphanIcmp, format!("{version} {}/{}", q.ty, q.code), q.at, q.count)
}

/// Gives later fragments to the newest instance that had begun when their first one was seen.
pub(super) fn attach(flows: &mut [Flow], problems: &mut Problems, resolved: Resolved) {
    let mut wanted: BTreeMap<FlowKey, Vec<(Side, Stamp, u64)>> = BTreeMap::new();
    for (key, side, at, n) in resolved.attached {
        wanted.entry(key).or_default().push((side, at, n));
    }
    if !wanted.is_empty() {
        let mut of: BTreeMap<FlowKey, Vec<usize>> = BTreeMap::new();
        for (i, flow) in flows.iter().enumerate().filter(|(_, f)| wanted.contains_key(&f.key)) {
            of.entry(flow.key).or_default().push(i);
        }
        for (key, list) in wanted {
            let places = of.get(&key).map_or(&[][..], Vec::as_slice);
            for (side, at, n) in list {
                let begun = |&&i: &&usize| flows.get(i).is_some_and(|f| f.first <= at);
                let home = places.iter().rev().find(begun).or(places.first());
                if let Some(flow) = home.copied().and_then(|i| flows.get_mut(i)) {
                    let end = side.of_mut(&mut flow.ends);
                    end.fragments = end.fragments.saturating_add(n);
                }
            }
        }
    }
    if let Some((at, n)) = resolved.orphans {
        problems.add(problem(ProblemKind::OrphanFragments, String::new(), at, n));
    }
    if let Some((at, n)) = resolved.overflow {
        problems.add(problem(ProblemKind::StoreOverflow, "fragments".to_owned(), at, n));
    }
}
