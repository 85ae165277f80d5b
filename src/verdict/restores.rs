//! Which demands belong to one target's restore, and how far each restore went.

use std::collections::{BTreeMap, BTreeSet};

use super::seen::Seen;
use super::settle::{Settled, stops};
use crate::base::Time;
use crate::matrix::Role;
use crate::report::Outcome;
use crate::site::{HostId, Site};

/// The restores of a case: one per target, or per `each` host where there is no target. Demands without such a host, and those of
/// a staging server beside targets, are shared by all.
#[derive(Debug)]
pub(super) struct Restores {
    hosts: BTreeSet<HostId>,
    times: Vec<Times>,
}

/// When the flows of a demand began.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    /// The first and the last of those that show this stage: a flow that an earlier stage asks for as well shows only that one.
    own: Option<(Time, Time)>,
    /// The first whose beginning was captured.
    begun: Option<Time>,
    /// The decisive one.
    decisive: Option<Time>,
}

impl Restores {
    pub(super) fn new(site: &Site, seen: &[Seen<'_>], all: &[Settled]) -> Self {
        let each: BTreeSet<HostId> =
            all.iter().filter(|s| s.outcome != Outcome::NotApplicable).filter_map(|s| s.demand.each).collect();
        let is_target = |h: &HostId| {
            let roles = site.host(*h).map(|h| &h.roles);
            roles.is_some_and(|r| r.contains(&Role::TargetWindows) || r.contains(&Role::TargetLinux))
        };
        let targets: BTreeSet<HostId> = each.iter().copied().filter(is_target).collect();
        let stages = earliest_stages(all);
        let times = all
            .iter()
            .map(|s| {
                let began = |i: &usize| seen.get(*i).map(Seen::began);
                let shows = |i: &&usize| stages.get(*i).copied() == s.demand.stage;
                let own = || s.presence.flows.iter().filter(shows).filter_map(began);
                let whole = |i: &&usize| seen.get(**i).is_some_and(|s| !s.headless());
                let begun = s.presence.flows.iter().filter(whole).filter_map(began).min();
                Times { own: own().min().zip(own().max()), begun, decisive: s.presence.flows.first().and_then(began) }
            })
            .collect();
        Self { hosts: if targets.is_empty() { each } else { targets }, times }
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
        idle || own().any(|x| stops(x) && x.demand.stage < s.demand.stage && !self.followed(all, x))
    }

    fn later<'s>(&'s self, all: &'s [Settled], s: &'s Settled) -> impl Iterator<Item = (Time, Time)> + 's {
        let later = move |l: &Settled| l.demand.stage.is_some() && l.demand.stage > s.demand.stage && self.tells(l, s);
        all.iter().zip(&self.times).filter(move |(l, _)| later(l)).filter_map(|(_, t)| t.own)
    }

    /// Whether traffic of a later stage than a blocked demand's came after its failure.
    pub(super) fn followed(&self, all: &[Settled], blocked: &Settled) -> bool {
        let own = all.iter().position(|x| std::ptr::eq(x, blocked));
        let failed = own.and_then(|i| self.times.get(i)).and_then(|t| t.decisive);
        self.later(all, blocked).any(|(_, last)| Some(last) >= failed)
    }

    /// When something of an earlier stage was first seen to begin.
    pub(super) fn earlier_step(&self, all: &[Settled], s: &Settled) -> Option<Time> {
        s.demand.stage?;
        let earlier = |l: &Settled| l.demand.stage.is_some() && l.demand.stage < s.demand.stage && self.tells(l, s);
        all.iter().zip(&self.times).filter(|(l, _)| earlier(l)).filter_map(|(_, t)| t.begun).min()
    }

    /// When something of a later stage was first seen.
    pub(super) fn later_step(&self, all: &[Settled], s: &Settled) -> Option<Time> {
        s.demand.stage?;
        self.later(all, s).map(|(first, _)| first).min()
    }
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
