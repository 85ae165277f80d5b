//! From the pieces of a whole observation point to its [`Observation`].

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use crate::base::{Problem, ProblemKind, Problems, Stamp, Time};
use crate::flow::{Flow, FlowKey, Pieces, Quote, Resolved, Side, resolve, seal, seal_lone};

use super::model::{Hole, InputSummary, Observation};
use super::partial::Partial;
use super::rest::{Peers, Sums};
use super::shelf::{Alone, Shelf};
use super::store::Store;

/// What is known before tuples are finished.
pub(super) struct Finishing<'a> {
    /// Tuples that are held as flows whatever is kept.
    pub(super) wanted: &'a BTreeSet<FlowKey>,
    /// Ends of flows that are held.
    pub(super) peers: &'a Peers,
    /// Times, sorted, before which the latest packet is asked for.
    pub(super) asked: &'a [Time],
}

/// Tuples that were finished.
#[derive(Debug, Default)]
pub(super) struct Finished {
    pub(super) flows: Vec<Flow>,
    pub(super) rest: Sums,
    pub(super) problems: Vec<Problem>,
}

impl Finished {
    /// Takes in other tuples.
    pub(super) fn merge(&mut self, mut other: Self) {
        self.flows.append(&mut other.flows);
        self.rest.merge(other.rest);
        self.problems.append(&mut other.problems);
    }
}

impl Finishing<'_> {
    /// Whether more than sums is wanted of a tuple's flows.
    pub(super) fn knows_more(&self, key: &FlowKey) -> bool {
        !self.asked.is_empty() || key.ends.iter().any(|e| self.peers.contains(&e.addr))
    }

    /// Finishes the pieces of a tuple: as flows where they are held, else as sums.
    pub(super) fn tuple(&self, key: FlowKey, pieces: Pieces, held: bool, done: &mut Finished) {
        match pieces.lone() {
            Some(lone) if held => {
                done.flows.extend(seal_lone(key, lone).map(|flow| Flow { ordinal: 1, ..flow }));
                return;
            }
            Some(lone) if self.asked.is_empty() => return done.rest.add_attempt(&key, lone, self.peers),
            _ => {}
        }
        let (instances, orphans) = resolve(&key, pieces);
        done.problems.extend(orphans.iter().map(orphan));
        let sealed = instances.into_iter().filter_map(|i| seal(key, i));
        if held {
            let from = done.flows.len();
            done.flows.extend(sealed);
            number(done.flows.get_mut(from..).unwrap_or_default());
        } else {
            sealed.for_each(|flow| done.rest.add(&flow, self.peers, self.asked));
        }
    }
}

/// What a tuple amounts to if nothing else is known of it; `None` where more than sums would come of it.
pub(super) fn alone(key: FlowKey, pieces: Pieces) -> Option<Alone> {
    let finishing = Finishing { wanted: &BTreeSet::new(), peers: &Peers::default(), asked: &[] };
    let mut done = Finished::default();
    finishing.tuple(key, pieces, false, &mut done);
    done.problems.is_empty().then(|| done.rest.alone())
}

impl Partial {
    /// Resolves everything: nothing more will come. Payload is turned into evidence and dropped.
    pub fn finish(self, inputs: Vec<InputSummary>, holes: Vec<Hole>) -> Observation {
        self.finish_on(1, inputs, holes, &[]).0
    }

    /// As [`Partial::finish`], on several threads, of which nothing shows; and moments of packets of flows that are not held,
    /// among them the latest before each of the times `asked` for, which are sorted.
    pub(super) fn finish_on(
        self,
        threads: usize,
        inputs: Vec<InputSummary>,
        mut holes: Vec<Hole>,
        asked: &[Time],
    ) -> (Observation, Vec<Time>) {
        let mut problems = self.problems_so_far();
        let resolved = self.fragments.resolve();
        let wanted: BTreeSet<FlowKey> = resolved.attached.iter().map(|a| a.0).collect();
        let done = match self.shelf {
            Some(shelf) => shelf.finish(&wanted, asked, threads),
            None => finish_store(self.store, &wanted, asked, threads),
        };
        done.problems.into_iter().for_each(|p| problems.add(p));
        let (mut flows, (rest, moments)) = (done.flows, done.rest.finish());
        // A flow is large: each is moved once.
        flows.sort_by_cached_key(|f| (f.first, f.key, f.ordinal));
        attach(&mut flows, &mut problems, resolved);
        holes.sort_unstable();
        holes.dedup();
        (Observation { inputs, flows, rest, holes, evicted: 0, problems: problems.iter().collect() }, moments)
    }

    /// Problems but for those that come from resolving.
    pub(super) fn problems_so_far(&self) -> Problems {
        let mut problems = self.problems.clone();
        self.repeats.problems(&self.frames).into_iter().for_each(|p| problems.add(p));
        let shed = self.shelf.as_ref().map_or_else(|| self.store.shed_attempts(), Shelf::shed_attempts);
        shed.into_iter().for_each(|(at, n)| problems.add(attempts_counted(at, n)));
        problems
    }
}

/// Keys and their pieces.
type Keys = Vec<(FlowKey, Pieces)>;

/// Fewer keys than this are not worth a thread.
const WORTH_A_THREAD: usize = 256;

fn finish_store(store: Store, wanted: &BTreeSet<FlowKey>, asked: &[Time], threads: usize) -> Finished {
    let keep = store.limits().keep.clone();
    let held = |key: &FlowKey| wanted.contains(key) || keep.holds(key);
    let mut peers = Peers::default();
    let mut count = 0;
    for key in store.keys().filter(|key| held(key)) {
        count += 1;
        peers.extend(key.ends.iter().map(|e| e.addr));
    }
    let finishing = Finishing { wanted, peers: &peers, asked };
    let work = |keys: Keys, room: usize| {
        let mut done = Finished::default();
        // Most tuples that are held are one flow.
        done.flows.reserve(room);
        keys.into_iter().for_each(|(key, pieces)| finishing.tuple(key, pieces, held(&key), &mut done));
        done
    };
    let mut keys: Keys = store.into_keys().collect();
    let shares = threads.min(keys.len() / WORTH_A_THREAD).max(1);
    let share = keys.len().div_ceil(shares);
    let later: Vec<Keys> = (1..shares).rev().map(|n| keys.split_off((n * share).min(keys.len()))).collect();
    thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = later.into_iter().map(|keys| scope.spawn(move || work(keys, count / shares))).collect();
        let mut done = work(keys, count);
        others.into_iter().for_each(|o| done.merge(o.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))));
        done
    })
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::base::{FrameRef, InputId, Proto};
    use crate::flow::{EndPoint, Lane, Seen};
    use crate::packet::{Tcp, TcpFlags, Vlans};

    /// An attempt of so many SYNs from 10.0.0.9 to 10.0.0.2.
    fn attempt(syns: i64) -> (FlowKey, Pieces) {
        let end = |host, port| EndPoint { addr: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port };
        let (key, side) = FlowKey::new(Proto::Tcp, end(9, 50_000), end(2, 445));
        let mut pieces = Pieces::default();
        for n in 1..=syns {
            let at = Stamp { time: Time::from_nanos(n), at: FrameRef { input: InputId(0), frame: n.unsigned_abs() } };
            let lane = Lane::new(7, Vlans::NONE);
            let seen = Seen { at, lane, ttl: 64, ip_bytes: 60, payload: 0, group: false };
            let syn = Tcp {
                src_port: 50_000,
                dst_port: 445,
                seq: 1,
                ack: 0,
                flags: TcpFlags(2),
                window: 500,
                payload: &[],
                payload_len: 0,
                first_fragment: None,
            };
            pieces.tcp(&key, side, &seen, &syn);
        }
        (key, pieces)
    }

    #[test]
    fn an_attempt_alone_sums_up_to_what_its_sealed_flow_does() {
        let (key, pieces) = attempt(3);
        assert!(pieces.lone().is_some());
        let many = Pieces::Many(pieces.clone().into_vec());
        for known in [9, 2] {
            let peers: Peers = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, known))].into_iter().collect();
            let finishing = Finishing { wanted: &BTreeSet::new(), peers: &peers, asked: &[] };
            let sums = |pieces: &Pieces| {
                let mut done = Finished::default();
                finishing.tuple(key, pieces.clone(), false, &mut done);
                done.rest.finish()
            };
            assert_eq!(sums(&pieces), sums(&many));
            assert_eq!(sums(&pieces).0.packets, 3);
            assert_eq!(sums(&pieces).0.ttls.len(), usize::from(known == 9));
        }
    }

    #[test]
    fn an_attempt_alone_becomes_the_flow_that_its_pieces_would() {
        let finishing = Finishing { wanted: &BTreeSet::new(), peers: &Peers::default(), asked: &[] };
        for syns in 1..=8 {
            let (key, pieces) = attempt(syns);
            assert!(pieces.lone().is_some());
            let many = Pieces::Many(pieces.clone().into_vec());
            let flows = |pieces: Pieces| {
                let mut done = Finished::default();
                finishing.tuple(key, pieces, true, &mut done);
                done.flows
            };
            let alone = flows(pieces);
            assert_eq!(alone.len(), 1);
            assert_eq!(alone, flows(many));
        }
    }
}
