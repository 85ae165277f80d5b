//! Which demands belong to one target's restore, and how far each restore went.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::joined::Joined;
use super::places::Places;
use super::seen::Seen;
use super::settle::{Settled, stops};
use crate::base::{Span, Time};
use crate::matrix::Role;
use crate::report::Outcome;
use crate::site::{HostId, Site};

/// The restores of a case: one per target, or per `each` host where there is no target. Demands without such a host, and those of
/// a staging server beside targets, are shared by all.
#[derive(Debug)]
pub(super) struct Restores<'p> {
    places: &'p Places,
    hosts: BTreeSet<HostId>,
    times: Vec<Times>,
}

/// When the flows of a demand began, by the clocks of the points that saw them.
#[derive(Clone, Debug, Default)]
struct Times {
    /// The first and the last of those that show this stage, by point: a flow that an earlier stage asks for as well shows only
    /// that one.
    own: BTreeMap<usize, (Time, Time)>,
    /// The first whose beginning was captured, by point.
    begun: BTreeMap<usize, Time>,
    /// The decisive one, at every point that saw it.
    decisive: Vec<(usize, Time)>,
}

/// Whether traffic of a later stage came after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Followed {
    /// None did.
    No,
    /// There is some, and which came first is not known.
    Unknown,
    /// Some did.
    Yes,
}

impl<'p> Restores<'p> {
    pub(super) fn new(
        site: &Site,
        (places, joined): (&'p Places, &Joined),
        seen: &[Seen<'_>],
        all: &[Settled],
    ) -> Self {
        let each: BTreeSet<HostId> =
            all.iter().filter(|s| s.outcome != Outcome::NotApplicable).filter_map(|s| s.demand.each).collect();
        let is_target = |h: &HostId| {
            let roles = site.host(*h).map(|h| &h.roles);
            roles.is_some_and(|r| r.contains(&Role::TargetWindows) || r.contains(&Role::TargetLinux))
        };
        let targets: BTreeSet<HostId> = each.iter().copied().filter(is_target).collect();
        let stages = earliest_stages(all);
        let times = all.iter().map(|s| times(seen, joined, &stages, s)).collect();
        Self { places, hosts: if targets.is_empty() { each } else { targets }, times }
    }

    /// The restore a demand belongs to; `None`: to all of them.
    fn of(&self, s: &Settled) -> Option<HostId> {
        s.demand.each.filter(|h| self.hosts.contains(h))
    }

    /// Whether traffic of `l` says something of how far `s` went: the same restore, or only one there is, or any where `s` is
    /// shared by all.
    fn tells(&self, l: &Settled, s: &Settled) -> bool {
        self.hosts.len() <= 1 || self.of(s).is_none() || self.of(l) == self.of(s)
    }

    /// Whether a blocked demand may be why another one was never due: the same restore, or a step shared by all. A shared step is
    /// stopped only where no other restore may have come as far as that.
    pub(super) fn stops(&self, all: &[Settled], b: &Settled, s: &Settled) -> bool {
        match (self.of(b), self.of(s)) {
            (None, _) => true,
            (Some(x), Some(y)) => x == y,
            (Some(x), None) => self.hosts.iter().filter(|h| **h != x).all(|h| self.stands_still(all, *h, s)),
        }
    }

    /// Whether a restore was stopped before a shared step, or shows nothing at all.
    fn stands_still(&self, all: &[Settled], host: HostId, s: &Settled) -> bool {
        let own = || all.iter().filter(|x| self.of(x) == Some(host));
        let idle = own().all(|x| !x.presence.attempted());
        idle || own().any(|x| stops(x) && x.demand.stage < s.demand.stage && self.followed(all, x) == Followed::No)
    }

    fn later<'s>(&'s self, all: &'s [Settled], s: &'s Settled) -> impl Iterator<Item = (usize, (Time, Time))> + 's {
        let later = move |l: &Settled| l.demand.stage.is_some() && l.demand.stage > s.demand.stage && self.tells(l, s);
        let times = all.iter().zip(&self.times).filter(move |(l, _)| later(l));
        times.flat_map(|(_, t)| t.own.iter().map(|(point, own)| (*point, *own)))
    }

    /// Whether traffic of a later stage than a blocked demand's came after its failure.
    pub(super) fn followed(&self, all: &[Settled], blocked: &Settled) -> Followed {
        let own = all.iter().position(|x| std::ptr::eq(x, blocked));
        let failed = own.and_then(|i| self.times.get(i)).map(|t| t.decisive.as_slice()).unwrap_or_default();
        let after = |last: (usize, Time)| {
            let here = failed.iter().find(|f| f.0 == last.0);
            let told = match here {
                Some(f) => Some(last.1.cmp(&f.1)),
                None => failed.iter().find_map(|f| self.places.order(last, *f)),
            };
            match told {
                Some(Ordering::Less) => Followed::No,
                Some(_) => Followed::Yes,
                None if failed.is_empty() => Followed::Yes,
                None => Followed::Unknown,
            }
        };
        self.later(all, blocked).map(|(point, (_, last))| after((point, last))).max().unwrap_or(Followed::No)
    }

    /// When something of an earlier stage was first seen to begin, at the latest, by the clock of a point.
    pub(super) fn earlier_step(&self, all: &[Settled], s: &Settled, point: usize) -> When {
        let earlier = |l: &Settled| l.demand.stage.is_some() && l.demand.stage < s.demand.stage && self.tells(l, s);
        let of = all.iter().zip(&self.times).filter(|(l, _)| earlier(l));
        self.earliest(of.flat_map(|(_, t)| t.begun.iter().map(|(p, t)| (*p, *t))), point)
    }

    /// When something of a later stage was seen for the first time, at the latest, by the clock of a point.
    pub(super) fn later_step(&self, all: &[Settled], s: &Settled, point: usize) -> When {
        match s.demand.stage {
            Some(_) => self.earliest(self.later(all, s).map(|(seen_at, (first, _))| (seen_at, first)), point),
            None => When::Never,
        }
    }

    /// The earliest of some moments, each by the clock of a point, at the latest by the clock of one of them.
    fn earliest(&self, moments: impl Iterator<Item = (usize, Time)>, point: usize) -> When {
        let mut when = When::Never;
        for (seen_at, first) in moments {
            let there = self.places.convert(seen_at, point, first);
            let latest = there.map(|(t, doubt)| t.plus(Span::from_nanos(doubt)));
            when = match (when, latest) {
                (When::At(known), Some(t)) => When::At(known.min(t)),
                (_, Some(t)) => When::At(t),
                (When::Never, None) => When::Unknown,
                (known, None) => known,
            };
        }
        when
    }
}

/// When something happened, by the clock of one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// It was not seen.
    Never,
    /// Then.
    At(Time),
    /// It was seen at a point whose clock cannot be compared with this one.
    Unknown,
}

fn times(seen: &[Seen<'_>], joined: &Joined, stages: &BTreeMap<usize, u8>, s: &Settled) -> Times {
    let shows = |i: &&usize| stages.get(*i).copied() == s.demand.stage;
    let mut times = Times::default();
    for f in s.presence.flows.iter().filter_map(|i| seen.get(*i)).filter(|f| !f.headless()) {
        let (point, t) = f.moment();
        let begun = times.begun.entry(point).or_insert(t);
        *begun = (*begun).min(t);
    }
    for f in s.presence.flows.iter().filter(shows).filter_map(|i| seen.get(*i)) {
        let (point, t) = f.moment();
        let own = times.own.entry(point).or_insert((t, t));
        *own = (own.0.min(t), own.1.max(t));
    }
    if let Some(f) = s.presence.flows.first().and_then(|i| seen.get(*i)) {
        times.decisive = std::iter::once(f).chain(joined.elsewhere(seen, f)).map(Seen::moment).collect();
    }
    times
}

/// The earliest stage that asks for each flow: the mount server's 445 may be deployment as well as the installer's.
fn earliest_stages(all: &[Settled]) -> BTreeMap<usize, u8> {
    let mut stages = BTreeMap::new();
    for s in all {
        let Some(stage) = s.demand.stage else { continue };
        for &i in &s.presence.flows {
            stages.entry(i).and_modify(|known: &mut u8| *known = stage.min(*known)).or_insert(stage);
        }
    }
    stages
}
