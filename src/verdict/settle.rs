//! From presence and soundness to the outcome of every requirement.

use super::expand::Demand;
use super::presence::{Evidence, Named, Presence};
use super::rules::Rules;
use super::seen::Seen;
use super::sound::{Ground, Progress};
use super::words;
use crate::base::Time;
use crate::matrix::{Need, RulePort};
use crate::report::{Cause, Outcome};
use crate::site::{HostId, Site};

/// A demand with its outcome.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    pub(super) demand: Demand,
    pub(super) outcome: Outcome,
    pub(super) cause: Option<Cause>,
    /// What soundness or an earlier step adds to the reason.
    pub(super) because: Option<String>,
    /// Host whose capture would settle it.
    pub(super) settle_at: Vec<HostId>,
    pub(super) presence: Presence,
    pub(super) substituted_by: Option<u16>,
    pub(super) in_view: bool,
}

impl Settled {
    /// Whether it fails a verdict.
    pub(super) fn fails(&self) -> bool {
        match self.outcome {
            Outcome::Blocked => self.demand.need >= Need::Expected && self.substituted_by.is_none(),
            Outcome::Missing => self.demand.need == Need::Required,
            _ => false,
        }
    }

    /// Whether it was seen working.
    pub(super) const fn is_satisfied(&self) -> bool {
        matches!(self.outcome, Outcome::Satisfied | Outcome::SatisfiedByFallback)
    }
}

/// Settles every demand.
pub(super) struct Settler<'a, 'p> {
    pub(super) site: &'a Site,
    pub(super) rules: &'p Rules<'a>,
    pub(super) seen: &'p [Seen<'a>],
    pub(super) ground: &'p Ground<'a, 'p>,
    pub(super) evidence: &'p Evidence<'a, 'p>,
}

impl Settler<'_, '_> {
    /// Outcomes of all demands, in their order.
    pub(super) fn settle(&self, demands: Vec<Demand>) -> Vec<Settled> {
        let mut all: Vec<Settled> = demands.into_iter().map(|d| self.first_pass(d)).collect();
        self.substitute(&mut all);
        for i in 0..all.len() {
            let done = self.second_pass(&all, i);
            if let (Some(done), Some(slot)) = (done, all.get_mut(i)) {
                *slot = done;
            }
        }
        all
    }

    fn port(&self, d: &Demand) -> Option<&RulePort> {
        self.rules.list.get(d.rule).and_then(|r| r.rule.ports.get(d.port))
    }

    fn first_pass(&self, demand: Demand) -> Settled {
        let presence = match self.port(&demand) {
            Some(port) if demand.not_applicable.is_none() => self.evidence.presence(&demand, port),
            _ => Presence::default(),
        };
        let outcome = if demand.not_applicable.is_some() {
            Outcome::NotApplicable
        } else {
            // A placeholder until the second pass where presence decides nothing.
            presence.outcome.unwrap_or(Outcome::NotObservable)
        };
        Settled {
            outcome,
            cause: presence.cause,
            because: demand.not_applicable.clone(),
            settle_at: Vec::new(),
            substituted_by: None,
            in_view: presence.attempted(),
            demand,
            presence,
        }
    }

    /// Marks ports whose job another port of the same rule and hosts did.
    fn substitute(&self, all: &mut [Settled]) {
        let working: Vec<(usize, Option<HostId>, u16)> = all
            .iter()
            .filter(|s| s.is_satisfied())
            .filter_map(|s| Some((s.demand.rule, s.demand.each, self.port(&s.demand)?.service.ports.lo())))
            .collect();
        for s in all.iter_mut().filter(|s| !s.is_satisfied() && s.outcome != Outcome::NotApplicable) {
            let Some(by) = self.port(&s.demand).and_then(|p| p.substituted_by) else { continue };
            if working.contains(&(s.demand.rule, s.demand.each, by)) {
                s.substituted_by = Some(by);
            }
        }
    }

    /// Decides what presence left open.
    fn second_pass(&self, all: &[Settled], i: usize) -> Option<Settled> {
        let s = all.get(i)?;
        if s.outcome == Outcome::NotApplicable || s.presence.outcome.is_some() {
            return None;
        }
        let d = &s.demand;
        let view = self.ground.view(d);
        let decided = |outcome, cause, because: String| Settled {
            outcome,
            cause: Some(cause),
            because: Some(because),
            in_view: outcome != Outcome::NotObservable,
            ..s.clone()
        };
        let stopped = self.stopped(all, s);
        if let (None, None, Some((because, true))) = (view.out_of_sight, view.opaque, &stopped) {
            return Some(decided(Outcome::NotReached, Cause::EarlierStep, because.clone()));
        }
        if let Some((from, to)) = view.out_of_sight.or(view.opaque) {
            let opaque = view.out_of_sight.is_none();
            let mut because = self.out_of_sight(from, to, opaque);
            if let Some((why, _)) = &stopped {
                because.push_str(&format!(". Possibly not reached: {why}"));
            }
            let cause = if opaque { Cause::Opaque } else { Cause::OutOfSight };
            let settle_at = if from == to { vec![from] } else { vec![from, to] };
            return Some(Settled { settle_at, ..decided(Outcome::NotObservable, cause, because) });
        }
        if let Some((because, _)) = stopped {
            return Some(decided(Outcome::Inconclusive, Cause::EarlierStep, because));
        }
        let least = self.rules.list.get(d.rule).map_or(3, |r| r.rule.least_packets);
        Some(match self.ground.doubt(d, least, self.progress(all, s)) {
            Some((cause, because)) => Settled {
                settle_at: match cause {
                    Cause::PairUnseen => d.drivers.clone(),
                    Cause::Time => self.first_step_out_of_sight(all),
                    _ => Vec::new(),
                },
                ..decided(Outcome::Inconclusive, cause, because)
            },
            None => Settled { cause: None, ..decided(Outcome::Missing, Cause::PairUnseen, String::new()) },
        })
    }

    fn out_of_sight(&self, from: HostId, to: HostId, opaque: bool) -> String {
        let (f, t) = (words::host(self.site, from), words::host(self.site, to));
        if opaque {
            format!("traffic between {f} and {t} is hidden by encapsulation; a capture at either end would settle it")
        } else {
            format!("no capture sees {f} to {t}; one at either end would settle it")
        }
    }

    /// Whether an earlier failure explains that a demand was never due: why, and whether that is certain enough for
    /// `not_reached`. A failure of the same stage may have ended the restore first, or not; a port that the mapper named and
    /// nobody tried here was probably dropped before this place.
    fn stopped(&self, all: &[Settled], s: &Settled) -> Option<(String, bool)> {
        let stage = s.demand.stage?;
        let concerns = |b: &Settled| b.demand.each.is_none() || same_restore(all, b, s);
        let stops =
            |b: &Settled| (b.outcome == Outcome::Blocked && b.fails()) || b.cause == Some(Cause::MapperPortUntried);
        let mut best: Option<(String, bool)> = None;
        for b in all.iter().filter(|b| stops(b) && concerns(b) && !self.followed(all, b)) {
            let b_stage = b.demand.stage.unwrap_or(u8::MAX);
            let earlier_port = b.demand.rule == s.demand.rule && b.demand.port < s.demand.port;
            let earlier = b_stage < stage || earlier_port;
            if !earlier && b_stage != stage {
                continue;
            }
            let id = self.rules.list.get(b.demand.rule).map_or("?", |r| r.rule.id.as_str());
            let service = self.port(&b.demand).map(|p| p.service.to_string()).unwrap_or_default();
            let blocked = b.outcome == Outcome::Blocked;
            let what = if blocked { "is blocked" } else { "was never tried on the port the endpoint mapper named" };
            let which = if earlier { "" } else { " at the same stage" };
            let why = format!("{id} {service}{which} {what}, and nothing of a later step followed");
            if earlier && blocked {
                return Some((why, true));
            }
            best = best.or(Some((why, false)));
        }
        best
    }

    /// Whether traffic of a later stage than a blocked demand's came after its failure.
    fn followed(&self, all: &[Settled], blocked: &Settled) -> bool {
        let failed_at = blocked.presence.flows.first().and_then(|&i| self.seen.get(i)).map(Seen::began);
        all.iter()
            .filter(|l| l.demand.stage > blocked.demand.stage && same_restore(all, l, blocked))
            .any(|l| l.presence.flows.iter().filter_map(|&i| self.seen.get(i)).any(|s| Some(s.began()) >= failed_at))
    }

    /// Hosts that drive the first required step which no point sees: where a restore that is not seen here would show.
    fn first_step_out_of_sight(&self, all: &[Settled]) -> Vec<HostId> {
        let hidden = |x: &&Settled| {
            x.demand.need == Need::Required
                && x.demand.stage.is_some_and(|s| s > 1)
                && x.outcome != Outcome::NotApplicable
                && self.ground.view(&x.demand).out_of_sight.is_some()
        };
        all.iter().find(hidden).map(|x| x.demand.drivers.clone()).unwrap_or_default()
    }

    fn progress(&self, all: &[Settled], s: &Settled) -> Progress {
        let shows = |x: &Settled| self.rules.list.get(x.demand.rule).is_some_and(|r| r.rule.shows_restore());
        let restore_seen = all.iter().any(|x| x.presence.attempted() && shows(x));
        Progress { restore_seen, later: self.later_step(all, s) }
    }

    /// When something of a later stage was first seen.
    fn later_step(&self, all: &[Settled], s: &Settled) -> Option<Time> {
        let stage = s.demand.stage?;
        all.iter()
            .filter(|l| l.demand.stage.is_some_and(|n| n > stage) && same_restore(all, l, s))
            .flat_map(|l| &l.presence.flows)
            .filter_map(|&i| self.seen.get(i))
            .map(Seen::began)
            .min()
    }
}

/// Whether two demands belong to the same target's restore: the same `each` host; one without is shared, which says
/// something of a target only where there is one target.
fn same_restore(all: &[Settled], a: &Settled, b: &Settled) -> bool {
    match (a.demand.each, b.demand.each) {
        (Some(x), Some(y)) => x == y,
        _ => {
            let mut targets: Vec<HostId> = all.iter().filter_map(|s| s.demand.each).collect();
            targets.sort();
            targets.dedup();
            targets.len() <= 1
        }
    }
}

/// Ports that endpoint mappers gave out, by whom, to whom, for what.
pub(super) fn named_ports(site: &Site, seen: &[Seen<'_>]) -> Vec<Named> {
    let mut named = Vec::new();
    for s in seen {
        for m in &s.flow.evidence.mapper {
            let (Some(asker), Some(asked)) = (s.orig_host, s.resp_host) else { continue };
            // An answer of 0.0.0.0 means the host that was asked.
            let host = if m.addr.is_unspecified() { asked } else { site.host_of(m.addr).unwrap_or(asked) };
            named.push(Named { asker, host, port: m.port, interface: m.interface.clone(), at: m.at.time });
        }
    }
    named
}
