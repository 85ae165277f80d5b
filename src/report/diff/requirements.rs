//! Requirements of two reports, side by side.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{Judged, Requirement};
use super::{Change, RequirementChange, State};

/// Rule, service, responders, originators: what makes two requirements the same one.
type Key = (String, String, String, Vec<String>);

/// How sure it is that something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    Works,
    /// On a fallback port.
    Substitute,
    Open,
    Fails,
    /// Not asked for, or a word of a later program.
    Outside,
}

pub(super) fn changes(old: &Judged, new: &Judged) -> Vec<RequirementChange> {
    let (before, now) = (by_key(old), by_key(new));
    let order = new.requirements.iter().chain(&old.requirements).map(key);
    let mut done = BTreeSet::new();
    let mut out = Vec::new();
    for key in order.filter(|k| done.insert(k.clone())) {
        let of = |side: &BTreeMap<Key, Vec<Requirement>>| side.get(&key).cloned().unwrap_or_default();
        let (before, now) = (of(&before), of(&now));
        let pairs = (0..before.len().max(now.len())).map(|i| (before.get(i), now.get(i)));
        out.extend(pairs.filter_map(|(a, b)| change(a, b)));
    }
    out.sort_by_key(|c| c.change);
    out
}

fn key(r: &Requirement) -> Key {
    let mut from = r.from.clone();
    from.sort();
    (r.rule.clone(), r.service.clone(), r.to.clone(), from)
}

/// Several operations may ask for one row: equal keys stay in the report's order.
fn by_key(report: &Judged) -> BTreeMap<Key, Vec<Requirement>> {
    let mut all: BTreeMap<Key, Vec<Requirement>> = BTreeMap::new();
    report.requirements.iter().for_each(|r| all.entry(key(r)).or_default().push(r.clone()));
    all
}

fn change(old: Option<&Requirement>, new: Option<&Requirement>) -> Option<RequirementChange> {
    let shown = new.or(old)?;
    let same = match (old, new) {
        (Some(a), Some(b)) => a.outcome == b.outcome && a.cause == b.cause,
        // A row that nobody asked for is as good as none.
        _ => shown.outcome == "not_applicable",
    };
    if same {
        return None;
    }
    Some(RequirementChange {
        change: direction(old, new),
        rule: shown.rule.clone(),
        service: shown.service.clone(),
        from: shown.from.clone(),
        to: shown.to.clone(),
        need: shown.need.clone(),
        old: old.map(state),
        new: new.map(state),
        next_step: new.and_then(|r| r.next_step.clone()),
    })
}

fn state(r: &Requirement) -> State {
    State { outcome: r.outcome.clone(), cause: r.cause.clone(), reason: r.reason.clone() }
}

fn direction(old: Option<&Requirement>, new: Option<&Requirement>) -> Change {
    let (before, now) = (old.map_or(Tier::Outside, tier), new.map_or(Tier::Outside, tier));
    // A row that is only permitted need not be used: that it was not says nothing.
    let unused = now == Tier::Open && new.is_some_and(|r| r.need == "permitted");
    if unused { Change::Other } else { before.to(now) }
}

fn tier(r: &Requirement) -> Tier {
    match r.outcome.as_str() {
        "satisfied" => Tier::Works,
        "satisfied_by_fallback" => Tier::Substitute,
        "blocked" => Tier::Fails,
        "missing" if r.need == "required" => Tier::Fails,
        "missing" | "not_reached" | "not_observable" | "inconclusive" => Tier::Open,
        _ => Tier::Outside,
    }
}

impl Tier {
    /// Worse: it fails and did not, or is no longer shown to work. That a failure is no longer seen repairs nothing.
    pub(super) const fn to(self, now: Self) -> Change {
        match (self, now) {
            (Self::Fails, Self::Fails) => Change::Other,
            (_, Self::Fails) | (Self::Works, Self::Substitute | Self::Open) | (Self::Substitute, Self::Open) => {
                Change::Worse
            }
            (Self::Open | Self::Fails, Self::Works | Self::Substitute) | (Self::Substitute, Self::Works) => {
                Change::Better
            }
            _ => Change::Other,
        }
    }
}
