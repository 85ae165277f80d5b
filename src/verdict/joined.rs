//! One connection seen at several points is one attempt.

use std::collections::BTreeMap;

use super::seen::{Seen, Worked};
use super::who::Peer;
use crate::flow::{FlowKey, Side};
use crate::report::Cause;

type Tuple = (FlowKey, Side, Option<u32>);
type Translated = (Peer, Peer, u16, u32);

/// Groups flows by connection and leaves of each group those that say most: where one point saw it work, it worked, unless another
/// saw it break afterwards; a failure that somebody reported says more than silence, and silence more than nothing.
pub(super) fn join(seen: &[Seen<'_>], attempts: Vec<(usize, Worked)>) -> Vec<(usize, Worked)> {
    let mut groups: Vec<Vec<(usize, Worked)>> = Vec::new();
    let mut by_tuple = BTreeMap::<Tuple, usize>::new();
    let mut by_hosts = BTreeMap::<Translated, usize>::new();
    for (i, worked) in attempts {
        let Some(s) = seen.get(i) else { continue };
        let isn = s.flow.syns.first().map(|r| r.isn);
        let tuple = (s.flow.key, s.direction.orig, isn);
        let hosts = isn.map(|isn| (s.pair.0, s.pair.1, s.port(), isn));
        let candidates = [by_tuple.get(&tuple), hosts.as_ref().and_then(|h| by_hosts.get(h))];
        let home =
            candidates.into_iter().flatten().copied().find(|&g| groups.get(g).is_some_and(|g| belongs(seen, g, s)));
        let at = home.unwrap_or(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push((i, worked)),
            None => groups.push(vec![(i, worked)]),
        }
        by_tuple.entry(tuple).or_insert(at);
        if let Some(hosts) = hosts {
            by_hosts.entry(hosts).or_insert(at);
        }
    }
    let mut kept: Vec<(usize, Worked)> = groups.into_iter().filter_map(|g| g.into_iter().max_by_key(rank)).collect();
    kept.sort_by_key(|(i, _)| *i);
    kept
}

/// Whether a flow is a group's connection, seen at a point that the group does not have.
fn belongs(seen: &[Seen<'_>], group: &[(usize, Worked)], s: &Seen<'_>) -> bool {
    let mut members = group.iter().filter_map(|(i, _)| seen.get(*i));
    members.clone().all(|m| m.point != s.point) && members.any(|m| m.same_connection(s))
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

/// What other points saw of a connection: the first flow of each.
pub(super) fn elsewhere<'s, 'a>(seen: &'s [Seen<'a>], s: &Seen<'_>) -> Vec<&'s Seen<'a>> {
    let mut found: Vec<&Seen<'a>> = Vec::new();
    for other in seen.iter().filter(|o| o.point != s.point && o.same_connection(s)) {
        if found.iter().all(|f| f.point != other.point) {
            found.push(other);
        }
    }
    found
}
