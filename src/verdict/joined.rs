//! One connection seen at several points is one attempt.

use std::collections::BTreeMap;

use super::seen::{Seen, Worked};
use crate::report::Cause;

/// Groups flows by connection and leaves of each group those that say most: where one point saw it work, it worked, unless another
/// saw it break afterwards; a failure that somebody reported says more than silence, and silence more than nothing.
pub(super) fn join(seen: &[Seen<'_>], attempts: Vec<(usize, Worked)>) -> Vec<(usize, Worked)> {
    let mut kept: Vec<(usize, Worked)> = Vec::new();
    let mut home = BTreeMap::<usize, usize>::new();
    for one in attempts {
        let Some(connection) = seen.get(one.0).map(|s| s.connection) else { continue };
        let known = connection.and_then(|c| home.get(&c)).and_then(|&at| kept.get_mut(at));
        match known {
            Some(best) if rank(best) < rank(&one) => *best = one,
            Some(_) => {}
            None => {
                connection.into_iter().for_each(|c| home.insert(c, kept.len()).map_or((), drop));
                kept.push(one);
            }
        }
    }
    kept.sort_by_key(|(i, _)| *i);
    kept
}

/// How much a flow says, then the earlier one.
fn rank((i, worked): &(usize, Worked)) -> (u8, std::cmp::Reverse<usize>) {
    let weight = match worked {
        // The place that saw it break knows more than the one that saw it open.
        Worked::Failed(Cause::Stalled | Cause::IdleCut | Cause::MtuBlackHole | Cause::ResetMidstream) => 7,
        Worked::Yes => 6,
        Worked::Wrong => 5,
        Worked::Failed(Cause::Unanswered) => 2,
        Worked::Failed(Cause::HalfOpen) => 3,
        Worked::Failed(_) => 4,
        Worked::Open(_) => 1,
    };
    (weight, std::cmp::Reverse(*i))
}

/// Flows of connections that several points saw.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// Indices of flows, in the order of time.
    by_connection: BTreeMap<usize, Vec<usize>>,
}

impl Joined {
    pub(super) fn new(seen: &[Seen<'_>]) -> Self {
        let mut all = Self::default();
        for (i, s) in seen.iter().enumerate() {
            s.connection.into_iter().for_each(|c| all.by_connection.entry(c).or_default().push(i));
        }
        all
    }

    fn of(&self, s: &Seen<'_>) -> &[usize] {
        s.connection.and_then(|c| self.by_connection.get(&c)).map_or(&[], Vec::as_slice)
    }

    /// What other points saw of a connection.
    pub(super) fn elsewhere<'s, 'a>(&self, seen: &'s [Seen<'a>], s: &Seen<'_>) -> Vec<&'s Seen<'a>> {
        self.of(s).iter().filter_map(|&i| seen.get(i)).filter(|o| o.point != s.point).collect()
    }

    /// Whether a flow is the one of its connection that counts: what speaks another protocol than its rule's, else what was seen from
    /// its beginning, else what is explained best, else the first.
    pub(super) fn counts(&self, seen: &[Seen<'_>], s: &Seen<'_>) -> bool {
        let all = self.of(s).iter().filter_map(|&i| seen.get(i));
        let best = all.min_by_key(|o| (!o.class.is_wrong_protocol(), !o.certain(), o.explained()));
        best.is_none_or(|best| best.point == s.point)
    }
}
