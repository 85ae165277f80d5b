//! What the flows themselves say of a requirement: working, blocked, or open. Presence needs no soundness.

use std::collections::{BTreeMap, BTreeSet};

use super::expand::Demand;
use super::healing::{Healed, Healers, Interfaces, Named, Pair};
use super::joined::{Joined, join};
use super::places::Places;
use super::seen::{Seen, Worked};
use super::who::Peer;
use crate::base::{Proto, Service, Time};
use crate::matrix::{Healing, Role, RulePort};
use crate::report::{AppState, Cause, Class, Outcome};
use crate::site::HostId;

/// What presence decides of a demand.
#[derive(Clone, Debug, Default)]
pub(super) struct Presence {
    pub(super) outcome: Option<Outcome>,
    pub(super) cause: Option<Cause>,
    /// Indices of flows, the deciding one first.
    pub(super) flows: Vec<usize>,
    /// Failed attempts on the primary port that a fallback or a later success made good.
    pub(super) healed: Vec<usize>,
    /// Those on the primary port that worked, and those that failed and were not made good.
    pub(super) works: Vec<usize>,
    pub(super) failed: Vec<usize>,
    /// A port that the mapper named and nobody tried afterwards.
    pub(super) untried: Option<Named>,
    /// Nothing lies in the declared windows, and this flow after one began: the window, or a clock, may be wrong.
    pub(super) outside: Option<usize>,
}

impl Presence {
    fn of(outcome: Outcome, cause: Option<Cause>, flows: Vec<usize>) -> Self {
        Self { outcome: Some(outcome), cause, flows, ..Self::default() }
    }

    /// Whether some driver asked for the service at all.
    pub(super) fn attempted(&self) -> bool {
        !self.flows.is_empty()
    }
}

/// The attempts on one service of a demand, by what became of them.
#[derive(Debug, Default)]
struct Attempts {
    works: Vec<usize>,
    failed: Vec<(usize, Cause)>,
    healed: Vec<usize>,
    wrong: Vec<usize>,
    open: Vec<(usize, Cause)>,
    /// Failed, and a success at another place may have come before or after.
    unsure: Vec<(usize, Cause)>,
}

impl Attempts {
    fn all(&self) -> Vec<usize> {
        let open = self.open.iter().chain(&self.unsure).map(|(i, _)| *i);
        let failed = self.failed.iter().map(|(i, _)| *i);
        self.works
            .iter()
            .copied()
            .chain(failed)
            .chain(self.healed.iter().copied())
            .chain(self.wrong.iter().copied())
            .chain(open)
            .collect()
    }
}

/// How a flow lies to the declared windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    /// In one, or there is none.
    In,
    /// In none, but after one began; or its capture's clock was set back, and nobody knows.
    Later,
    /// Before all of them.
    Before,
}

/// Everything presence is decided from.
pub(super) struct Evidence<'a, 'p> {
    seen: &'p [Seen<'a>],
    places: &'p Places,
    named: Vec<Named>,
    interfaces: Interfaces,
    /// How a flow lies to the declared windows.
    timing: &'p dyn Fn(&Seen<'_>) -> Timing,
    /// Flows between hosts of the site, by originator and responder, in their order.
    by_hosts: BTreeMap<(HostId, HostId), Vec<usize>>,
    /// All others: only a demand about a block of addresses asks for them, and a scan makes them many.
    strangers: Vec<usize>,
    /// When a port that the mapper named was last in use, by point.
    tried: BTreeMap<(Pair, u16), BTreeMap<usize, Time>>,
    joined: &'p Joined,
}

impl<'a, 'p> Evidence<'a, 'p> {
    pub(super) fn new(
        seen: &'p [Seen<'a>],
        (places, joined): (&'p Places, &'p Joined),
        named: Vec<Named>,
        timing: &'p dyn Fn(&Seen<'_>) -> Timing,
    ) -> Self {
        let (mut by_hosts, mut strangers) = (BTreeMap::<_, Vec<usize>>::new(), Vec::new());
        for (i, s) in seen.iter().enumerate() {
            match s.pair {
                (Peer::Host(orig), Peer::Host(resp)) => by_hosts.entry((orig, resp)).or_default().push(i),
                _ => strangers.push(i),
            }
        }
        let mut tried: BTreeMap<(Pair, u16), BTreeMap<usize, Time>> =
            named.iter().map(|n| (((n.asker, n.host), n.port), BTreeMap::new())).collect();
        for s in seen.iter().filter(|_| !named.is_empty()) {
            if let Some(points) = tried.get_mut(&(s.pair, s.port())) {
                let last = points.entry(s.point).or_insert(s.flow.last.time);
                *last = (*last).max(s.flow.last.time);
            }
        }
        Self { seen, places, interfaces: Interfaces::new(&named), named, timing, by_hosts, strangers, tried, joined }
    }

    /// Decides a demand on a rule's port from flows alone.
    pub(super) fn presence(&self, d: &Demand, port: &RulePort) -> Presence {
        let primary = self.attempts(d, port, port.service, port.healing);
        let fallback = port.fallback_service().map(|s| self.attempts(d, port, s, Healing::Range)).unwrap_or_default();
        let mut found = self.decide(&primary, &fallback);
        found.healed = primary.healed.clone();
        found.works = primary.works.clone();
        found.failed = primary.failed.iter().map(|(i, _)| *i).collect();
        if found.outcome.is_none() && port.healing == Healing::Mapper {
            found.untried = self.untried(d, port.service);
            if found.untried.is_some() {
                found.outcome = Some(Outcome::Inconclusive);
                found.cause = Some(Cause::MapperPortUntried);
            }
        }
        if found.outcome.is_none() {
            let services = [Some(port.service), port.fallback_service()].into_iter().flatten();
            // One that did not work says most.
            let later = services.flat_map(|s| self.of_demand(d, s, Timing::Later));
            found.outside = later.min_by_key(|(i, s)| (s.network() == Worked::Yes, *i)).map(|(i, _)| i);
            if found.outside.is_some() {
                found.outcome = Some(Outcome::Inconclusive);
                found.cause = Some(Cause::Time);
            }
        }
        found
    }

    fn attempts(&self, d: &Demand, port: &RulePort, service: Service, healing: Healing) -> Attempts {
        let mine: Vec<(usize, &Seen<'_>)> = self.of_demand(d, service, Timing::In);
        let judged = mine.iter().map(|(i, s)| (*i, self.worked(s, d, port, service))).collect();
        let mut out = Attempts::default();
        for (i, worked) in join(self.seen, judged) {
            match worked {
                Worked::Yes => out.works.push(i),
                Worked::Wrong => out.wrong.push(i),
                Worked::Open(cause) => out.open.push((i, cause)),
                Worked::Failed(cause) => out.failed.push((i, cause)),
            }
        }
        let all: Vec<&Seen<'_>> = mine.iter().map(|(_, s)| *s).collect();
        let works: Vec<&Seen<'_>> = out.works.iter().flat_map(|&i| self.everywhere(i)).collect();
        let healers = Healers::new(self.places, &all, &works);
        for (i, cause) in std::mem::take(&mut out.failed) {
            match healers.heal(&self.everywhere(i), healing, &self.interfaces) {
                Healed::Yes => out.healed.push(i),
                Healed::Unknown => out.unsure.push((i, cause)),
                Healed::No => out.failed.push((i, cause)),
            }
        }
        out
    }

    /// A flow, and what other points saw of its connection.
    fn everywhere(&self, i: usize) -> Vec<&Seen<'a>> {
        let Some(own) = self.seen.get(i) else { return Vec::new() };
        let mut all = vec![own];
        all.extend(self.joined.elsewhere(self.seen, own));
        all
    }

    /// Flows that ask for a service of a demand at some time, in their order.
    fn of_demand(&self, d: &Demand, service: Service, timing: Timing) -> Vec<(usize, &Seen<'a>)> {
        let strangers = d.has_block().then_some(&self.strangers);
        let may = |host: HostId, hosts: &[HostId], blocks: &BTreeSet<Role>| !blocks.is_empty() || hosts.contains(&host);
        let hosts = self
            .by_hosts
            .iter()
            .filter(|((o, r), _)| may(*o, &d.drivers, &d.driver_blocks) && may(*r, &d.responders, &d.responder_blocks));
        let flows = hosts.map(|(_, flows)| flows).chain(strangers).flatten();
        let flows = flows.filter_map(|&i| self.seen.get(i).map(|s| (i, s)));
        let mut mine: Vec<(usize, &Seen<'a>)> = flows
            .filter(|(_, s)| {
                service.contains(s.flow.key.proto, s.port()) && d.is_between(s) && (self.timing)(s) == timing
            })
            .collect();
        mine.sort_by_key(|(i, _)| *i);
        mine
    }

    /// What a flow says for this demand: an uncertain direction or an ambiguous range proves less.
    fn worked(&self, s: &Seen<'_>, d: &Demand, port: &RulePort, service: Service) -> Worked {
        let network = s.network();
        if network != Worked::Yes {
            return network;
        }
        if s.class.is_wrong_protocol() {
            return Worked::Wrong;
        }
        let names = s.class.hits.iter().any(|h| h.rule == d.rule && port.carries.is_some());
        let confirmed = s.class.app == Some(AppState::Confirmed) && names;
        match (s.certain(), s.class.class) {
            (_, Class::Ambiguous) => Worked::Open(Cause::Undetermined),
            (false, _) if !service.ports.is_single() && !confirmed => Worked::Open(Cause::Direction),
            _ => Worked::Yes,
        }
    }

    /// A port that the mapper named to a driver and that the driver never tried afterwards.
    fn untried(&self, d: &Demand, service: Service) -> Option<Named> {
        let asked = |n: &&Named| {
            let responds = match n.host {
                Peer::Host(h) => d.responders.contains(&h),
                Peer::Addr(_) => true,
            };
            service.contains(Proto::Tcp, n.port) && responds && self.seen.get(n.flow).is_some_and(|s| d.is_between(s))
        };
        // Use at a time that cannot be compared may have come after.
        let later = |n: &Named, use_of: (usize, Time)| {
            let point = self.seen.get(n.flow).map_or(use_of.0, |s| s.point);
            self.places.order(use_of, (point, n.at)) != Some(std::cmp::Ordering::Less)
        };
        let tried = |n: &Named| {
            let points = self.tried.get(&((n.asker, n.host), n.port));
            points.into_iter().flatten().any(|(point, last)| later(n, (*point, *last)))
        };
        self.named.iter().filter(asked).find(|n| !tried(n)).cloned()
    }

    /// The outcome that attempts on the primary port and on the fallback range lead to; first that applies.
    fn decide(&self, primary: &Attempts, fallback: &Attempts) -> Presence {
        let all = || [primary.all(), fallback.all()].concat();
        let of = |outcome, cause, first: usize| {
            let rest = all().into_iter().filter(|&i| i != first);
            Presence::of(outcome, cause, std::iter::once(first).chain(rest).collect())
        };
        if let Some(found) = self.after_failure(primary, fallback, &of) {
            return found;
        }
        if let Some(&(i, _)) = primary.unsure.last() {
            return of(Outcome::Inconclusive, Some(Cause::Clocks), i);
        }
        if let Some(&w) = primary.works.first() {
            return of(Outcome::Satisfied, None, w);
        }
        if let Some(&w) = fallback.works.first() {
            return of(Outcome::SatisfiedByFallback, None, w);
        }
        if let Some(&(i, cause)) = fallback.failed.last() {
            // Blocked needs the primary's failure, too, and that was not seen.
            return of(Outcome::Inconclusive, Some(cause), i);
        }
        let wrong = primary.wrong.iter().chain(&fallback.wrong).map(|&i| (i, Cause::WrongProtocol));
        let open = primary.open.iter().chain(&fallback.open).copied();
        match wrong.chain(open).next() {
            Some((i, cause)) => of(Outcome::Inconclusive, Some(cause), i),
            None => Presence::default(),
        }
    }

    /// With a failure on the primary port, what the fallback of the same pair says of it.
    fn after_failure(
        &self,
        primary: &Attempts,
        fallback: &Attempts,
        of: &dyn Fn(Outcome, Option<Cause>, usize) -> Presence,
    ) -> Option<Presence> {
        let pair = |i: usize| self.seen.get(i).map(|s| s.pair);
        let works: BTreeMap<Option<Pair>, usize> = fallback.works.iter().rev().map(|&w| (pair(w), w)).collect();
        let unclear = fallback.open.iter().map(|(i, _)| *i).chain(fallback.wrong.iter().copied());
        let unclear: BTreeSet<Option<Pair>> = unclear.map(pair).collect();
        let mut last = primary.failed.iter().rev();
        let stuck = last.clone().find(|(i, _)| !works.contains_key(&pair(*i)) && !unclear.contains(&pair(*i)));
        if let Some(&(i, cause)) = stuck {
            return Some(of(Outcome::Blocked, Some(cause), i));
        }
        if let Some(&(i, cause)) = last.clone().find(|(i, _)| !works.contains_key(&pair(*i))) {
            return Some(of(Outcome::Inconclusive, Some(cause), i));
        }
        let (i, cause) = last.next()?;
        Some(of(Outcome::SatisfiedByFallback, Some(*cause), *works.get(&pair(*i))?))
    }
}
