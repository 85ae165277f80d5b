//! Judging again what has grown: of a flow that did not change, what was worked out before is taken, as long as what it rests on
//! besides the flow is the same.
//!
//! Kept are flows of one point whose originator is certain. They are in the order of the observation, so looking them up is
//! walking two lists side by side.

use std::iter::Peekable;
use std::sync::Arc;
use std::vec::IntoIter;

use super::Case;
use super::rules::expired;
use super::seen::{Facts, Lens, Seen};
use crate::base::{Stamp, Time};
use crate::flow::{Flow, FlowKey, Outcome};
use crate::observe::Changes;
use crate::site::Site;

/// What was worked out before, of the same matrix and options.
#[derive(Debug, Default)]
pub struct Memo {
    kept: Vec<Kept>,
    changed: Vec<FlowKey>,
    /// What classes rest on: the site, and which of its exceptions had expired.
    terms: Option<(Site, Vec<bool>)>,
}

#[derive(Debug)]
struct Kept {
    order: Order,
    facts: Arc<Facts>,
}

/// A flow's place in an observation.
type Order = (Stamp, FlowKey, u32);

fn order(f: &Flow) -> Order {
    (f.first, f.key, f.ordinal)
}

impl Memo {
    /// Takes note of what changed in the one observation of the case.
    pub fn note(&mut self, changes: Changes) {
        match changes {
            Changes::All => self.kept.clear(),
            Changes::Keys(keys) => {
                self.changed = keys;
                self.changed.sort_unstable();
            }
        }
    }

    /// What may be asked of it at this time, in the order of the observation; what is kept is put together anew.
    pub(super) fn recall(&mut self, case: &Case<'_>, site: &Site, at: Option<Time>) -> Recall<'_> {
        let dates = site.allow.iter().map(|a| a.expires).chain(site.overrides.iter().map(|o| o.expires));
        let dates: Vec<bool> = dates.map(|date| expired(date, at)).collect();
        if case.points.len() != 1 || self.terms.as_ref().is_none_or(|(s, d)| (s, d) != (site, &dates)) {
            self.kept.clear();
            self.terms = Some((site.clone(), dates));
        }
        let old = std::mem::take(&mut self.kept).into_iter().peekable();
        Recall { old, changed: std::mem::take(&mut self.changed), kept: &mut self.kept, alone: case.points.len() == 1 }
    }
}

/// A memo that is being walked through.
pub(super) struct Recall<'m> {
    old: Peekable<IntoIter<Kept>>,
    changed: Vec<FlowKey>,
    kept: &'m mut Vec<Kept>,
    alone: bool,
}

impl Recall<'_> {
    /// As [`Lens::look`]; flows must be asked for in the order of their observation.
    pub(super) fn look<'a>(&mut self, lens: &Lens<'a, '_>, index: usize, flow: &'a Flow) -> Option<Seen<'a>> {
        let order = order(flow);
        while self.old.next_if(|k| k.order < order).is_some() {}
        let same = self.old.next_if(|k| k.order == order).filter(|_| self.changed.binary_search(&flow.key).is_err());
        let seen = match same.filter(|k| holds(lens, flow, &k.facts)) {
            Some(kept) => lens.again(index, flow, kept.facts),
            None => lens.look(index, flow)?,
        };
        if self.alone && seen.certain() {
            self.kept.push(Kept { order, facts: seen.facts() });
        }
        Some(seen)
    }
}

/// Whether what the facts of an unchanged flow rest on is still so.
fn holds(lens: &Lens<'_, '_>, flow: &Flow, facts: &Facts) -> bool {
    let seen = lens.point.observation;
    let context = || lens.context(flow, &facts.direction, facts.orig_host);
    let attempt = facts.ground.context.is_none_or(|before| match facts.attempt.outcome {
        // Only times to live.
        Outcome::Refused => context().resp_ttl == before.resp_ttl,
        _ => context() == before,
    });
    attempt && facts.ground.open.iter().all(|(t, open)| seen.open_after(*t) == *open)
}
