//! From presence and soundness to the outcome of every requirement.

use std::collections::BTreeSet;

use super::assemble::is_restore_step;
use super::expand::Demand;
use super::healing::{Named, Pair};
use super::places::Places;
use super::presence::{Evidence, Presence};
use super::restores::{Followed, Restores, When};
use super::rules::Rules;
use super::seen::Seen;
use super::sound::{Ground, Progress};
use super::words;
use crate::base::Span;
use crate::matrix::{Need, Role, RulePort};
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
    site: &'a Site,
    rules: &'p Rules<'a>,
    seen: &'p [Seen<'a>],
    ground: &'p Ground<'a, 'p>,
    evidence: &'p Evidence<'a, 'p>,
    /// When the first step of the restore was seen at any point, by the clock of each.
    first: Vec<When>,
}

impl<'a, 'p> Settler<'a, 'p> {
    pub(super) fn new(
        site: &'a Site,
        rules: &'p Rules<'a>,
        seen: &'p [Seen<'a>],
        ground: &'p Ground<'a, 'p>,
        evidence: &'p Evidence<'a, 'p>,
    ) -> Self {
        let first = (0..ground.points.len()).map(|i| first_step(ground.places, seen, i)).collect();
        Self { site, rules, seen, ground, evidence, first }
    }

    /// Outcomes of all demands, in their order.
    pub(super) fn settle(&self, demands: Vec<Demand>) -> Vec<Settled> {
        let mut all: Vec<Settled> = demands.into_iter().map(|d| self.first_pass(d)).collect();
        self.substitute(&mut all);
        let restores = Restores::new(self.site, (self.ground.places, self.ground.joined), self.seen, &all);
        for i in 0..all.len() {
            let done = self.second_pass(&all, &restores, i);
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

    /// Marks ports whose job another port of the same rule did, between the same two hosts.
    fn substitute(&self, all: &mut [Settled]) {
        let pairs = |flows: &[usize]| {
            flows.iter().filter_map(|&i| self.seen.get(i)).map(|s| s.pair).collect::<BTreeSet<Pair>>()
        };
        let working: Vec<(usize, Option<HostId>, u16, BTreeSet<Pair>)> = all
            .iter()
            .filter(|s| !s.presence.works.is_empty())
            .filter_map(|s| {
                let port = self.port(&s.demand)?.service.ports.lo();
                Some((s.demand.rule, s.demand.each, port, pairs(&s.presence.works)))
            })
            .collect();
        for s in all.iter_mut().filter(|s| !s.is_satisfied() && s.outcome != Outcome::NotApplicable) {
            let Some(by) = self.port(&s.demand).and_then(|p| p.substituted_by) else { continue };
            // What failed between two hosts is made up for between these two; what was never tried, by anybody.
            let wanted = pairs(&s.presence.failed);
            let mine = working
                .iter()
                .filter(|(rule, each, port, _)| (*rule, *each, *port) == (s.demand.rule, s.demand.each, by));
            let done: BTreeSet<Pair> = mine.flat_map(|(.., pairs)| pairs.iter().copied()).collect();
            let drives = |p: &Pair| matches!(p.0, super::who::Peer::Host(h) if s.demand.drivers.contains(&h));
            if !wanted.is_empty() && wanted.is_subset(&done) || wanted.is_empty() && done.iter().any(drives) {
                s.substituted_by = Some(by);
            }
        }
    }

    /// Decides what presence left open.
    fn second_pass(&self, all: &[Settled], restores: &Restores<'_>, i: usize) -> Option<Settled> {
        let s = all.get(i)?;
        if s.outcome == Outcome::Blocked
            && let Some((cause, because)) = self.fallback_doubt(s)
        {
            let failed = s.presence.clone();
            return Some(Settled { presence: failed, ..decided(s, Outcome::Inconclusive, cause, because) });
        }
        if s.outcome == Outcome::NotApplicable || s.presence.outcome.is_some() {
            return self.asker_place(s);
        }
        let d = &s.demand;
        if let Some(because) = self.nobody(d) {
            return Some(Settled { outcome: Outcome::NotApplicable, because: Some(because), ..s.clone() });
        }
        let view = self.ground.view(d);
        let stopped = self.stopped(all, restores, s);
        if let (None, None, Some((because, true))) = (view.out_of_sight, view.opaque, &stopped) {
            return Some(decided(s, Outcome::NotReached, Cause::EarlierStep, because.clone()));
        }
        if let Some((from, to)) = view.out_of_sight.or(view.opaque) {
            let opaque = view.out_of_sight.is_none();
            let mut because = self.out_of_sight(from, to, opaque);
            if let Some((why, _)) = &stopped {
                because.push_str(&format!(". Possibly not reached: {why}"));
            }
            let cause = if opaque { Cause::Opaque } else { Cause::OutOfSight };
            let settle_at = if from == to { vec![from] } else { vec![from, to] };
            return Some(Settled { settle_at, ..decided(s, Outcome::NotObservable, cause, because) });
        }
        if let Some((because, _)) = stopped {
            return Some(decided(s, Outcome::Inconclusive, Cause::EarlierStep, because));
        }
        if let Some(because) = self.off_the_wire(d) {
            return Some(decided(s, Outcome::NotObservable, Cause::OutOfSight, because));
        }
        Some(self.absent(all, restores, s))
    }

    /// What may be said of a demand of which nothing was seen although its pairs are in sight.
    fn absent(&self, all: &[Settled], restores: &Restores<'_>, s: &Settled) -> Settled {
        let least = self.rules.list.get(s.demand.rule).map_or(3, |r| r.rule.least_packets);
        let progress = self.progress(all, restores, s);
        match self.ground.doubt(&s.demand, least, &progress) {
            Some((cause, because)) => Settled {
                settle_at: match cause {
                    Cause::PairUnseen => s.demand.drivers.clone(),
                    Cause::Time if !progress.restore_seen => self.first_step_out_of_sight(all),
                    _ => Vec::new(),
                },
                ..decided(s, Outcome::Inconclusive, cause, because)
            },
            None => Settled { cause: None, ..decided(s, Outcome::Missing, Cause::PairUnseen, String::new()) },
        }
    }

    /// Why a failure on the primary port alone does not block: the fallback that was not seen may have been tried unseen.
    fn fallback_doubt(&self, s: &Settled) -> Option<(Cause, String)> {
        let service = self.port(&s.demand)?.fallback_service()?;
        let tried = |i: &usize| self.seen.get(*i).is_some_and(|f| service.contains(f.flow.key.proto, f.port()));
        if s.presence.flows.iter().any(tried) {
            return None;
        }
        let failed = self.seen.get(*s.presence.flows.first()?)?;
        let pair = (failed.orig_host?, failed.resp_host?);
        let least = self.rules.list.get(s.demand.rule).map_or(3, |r| r.rule.least_packets);
        let (cause, why) = self.ground.unseen_since(pair, least, (failed.point, failed.settled_at()))?;
        let what = format!("{} failed ({})", self.port(&s.demand)?.service, failed.told());
        Some((cause, format!("{what}, and whether the fallback {service} was tried is not known: {why}")))
    }

    /// Where a port that the mapper named was never tried here, the asker's own capture would settle it.
    fn asker_place(&self, s: &Settled) -> Option<Settled> {
        let asker = self.seen.get(s.presence.untried.as_ref()?.flow)?.orig_host?;
        Some(Settled { settle_at: vec![asker], ..s.clone() })
    }

    /// Why nothing is asked for: at one end there are but blocks of addresses.
    fn nobody(&self, d: &Demand) -> Option<String> {
        let only = |hosts: &[HostId], blocks: &BTreeSet<Role>| hosts.is_empty() && !blocks.is_empty();
        let roles = if only(&d.drivers, &d.driver_blocks) {
            &d.driver_blocks
        } else if only(&d.responders, &d.responder_blocks) {
            &d.responder_blocks
        } else {
            return None;
        };
        let roles = roles.iter().map(|r| r.word()).collect::<Vec<_>>().join(" or ");
        Some(format!("only a block of addresses is {roles}, and nothing of it was seen: nothing is required of it"))
    }

    /// Why the absence of packets says nothing, although every pair of hosts is in sight.
    fn off_the_wire(&self, d: &Demand) -> Option<String> {
        if d.has_block() {
            let roles = d.driver_blocks.union(&d.responder_blocks).map(|r| r.word()).collect::<Vec<_>>().join(" or ");
            return Some(format!("a block of addresses is {roles}: that none of it was there cannot be seen"));
        }
        let host = words::host(self.site, d.local()?);
        Some(format!("{host} has both roles: what it asks of itself never crosses the network"))
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
    fn stopped(&self, all: &[Settled], restores: &Restores<'_>, s: &Settled) -> Option<(String, bool)> {
        let stage = s.demand.stage?;
        let mut best: Option<(String, bool)> = None;
        for b in all.iter().filter(|b| stops(b)) {
            let b_stage = b.demand.stage.unwrap_or(u8::MAX);
            let same_pair = b.demand.rule == s.demand.rule && b.demand.drivers == s.demand.drivers;
            let earlier = b_stage < stage || (same_pair && b.demand.port < s.demand.port);
            let followed = restores.followed(all, b);
            if !earlier && b_stage != stage || !restores.stops(all, b, s) || followed == Followed::Yes {
                continue;
            }
            let id = self.rules.list.get(b.demand.rule).map_or("?", |r| r.rule.id.as_str());
            let service = self.port(&b.demand).map(|p| p.service.to_string()).unwrap_or_default();
            let blocked = b.outcome == Outcome::Blocked;
            let what = if blocked { "is blocked" } else { "was never tried on the port the endpoint mapper named" };
            let which = if earlier { "" } else { " at the same stage" };
            let known = followed == Followed::No;
            let after = if known {
                "nothing of a later step followed"
            } else {
                "whether what another place saw of a later step came after that is not known: the two clocks cannot be compared"
            };
            let why = format!("{id} {service}{which} {what}, and {after}");
            if earlier && blocked && known {
                return Some((why, true));
            }
            best = best.or(Some((why, false)));
        }
        best
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

    fn progress(&self, all: &[Settled], restores: &Restores<'_>, s: &Settled) -> Progress {
        let shows = |x: &Settled| self.rules.list.get(x.demand.rule).is_some_and(|r| r.rule.shows_restore());
        let restore_seen = all.iter().any(|x| x.presence.attempted() && shows(x));
        let each = |of: &dyn Fn(usize) -> When| (0..self.ground.points.len()).map(of).collect();
        Progress {
            restore_seen,
            later: each(&|i| restores.later_step(all, s, i)),
            earlier: each(&|i| restores.earlier_step(all, s, i)),
            first: self.first.clone(),
        }
    }
}

/// When the first step of the restore was seen at any point, at the earliest, by the clock of one.
fn first_step(places: &Places, seen: &[Seen<'_>], point: usize) -> When {
    let here: BTreeSet<usize> = seen.iter().filter(|s| s.point == point).filter_map(|s| s.connection).collect();
    // What this point saw as well, its own clock tells.
    let other = |s: &Seen<'_>| s.point != point && s.connection.is_some_and(|c| here.contains(&c));
    let steps = seen.iter().filter(|s| is_restore_step(s) && !other(s));
    let times = steps.map(|s| places.convert(s.point, point, s.flow.first.time));
    times.fold(When::Never, |first, there| match (first, there) {
        (_, None) | (When::Unknown, _) => When::Unknown,
        (When::Never, Some((t, doubt))) => When::At(t.minus(Span::from_nanos(doubt))),
        (When::At(known), Some((t, doubt))) => When::At(known.min(t.minus(Span::from_nanos(doubt)))),
    })
}

/// A demand that presence left open, decided.
fn decided(s: &Settled, outcome: Outcome, cause: Cause, because: String) -> Settled {
    Settled {
        outcome,
        cause: Some(cause),
        because: Some(because),
        in_view: outcome != Outcome::NotObservable,
        ..s.clone()
    }
}

/// Whether a demand's failure may have ended the restore.
pub(super) fn stops(b: &Settled) -> bool {
    (b.outcome == Outcome::Blocked && b.fails()) || b.cause == Some(Cause::MapperPortUntried)
}

/// Ports that endpoint mappers gave out, by whom, to whom, for what.
pub(super) fn named_ports(site: &Site, seen: &[Seen<'_>]) -> Vec<Named> {
    let mut named = Vec::new();
    for (flow, s) in seen.iter().enumerate() {
        for m in &s.flow.evidence.mapper {
            // An answer of 0.0.0.0, or of an address that nobody here has (translated), means the host that was asked.
            let host = site.host_of(m.addr).map_or(s.pair.1, super::who::Peer::Host);
            let (asker, interface) = (s.pair.0, m.interface.clone());
            named.push(Named { flow, asker, host, port: m.port, interface, at: m.at.time });
        }
    }
    named
}
