//! What the flows themselves say of a requirement: working, blocked, or open. Presence needs no soundness.

use super::expand::Demand;
use super::seen::{Seen, Worked};
use crate::base::{Service, Time};
use crate::matrix::{Healing, RulePort};
use crate::report::{AppState, Cause, Outcome};
use crate::site::HostId;

/// A port the endpoint mapper gave out.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) asker: HostId,
    pub(super) host: HostId,
    pub(super) port: u16,
    pub(super) interface: String,
    pub(super) at: Time,
}

/// What presence decides of a demand.
#[derive(Clone, Debug, Default)]
pub(super) struct Presence {
    pub(super) outcome: Option<Outcome>,
    pub(super) cause: Option<Cause>,
    /// Indices of flows, the deciding one first.
    pub(super) flows: Vec<usize>,
    /// Failed attempts on the primary port that a fallback or a later success made good.
    pub(super) healed: Vec<usize>,
    /// A port that the mapper named and nobody tried afterwards.
    pub(super) untried: Option<Named>,
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
}

impl Attempts {
    fn all(&self) -> Vec<usize> {
        let open = self.open.iter().map(|(i, _)| *i);
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

/// Everything presence is decided from.
pub(super) struct Evidence<'a, 'p> {
    pub(super) seen: &'p [Seen<'a>],
    pub(super) named: &'p [Named],
    /// Whether a flow lies in the declared windows.
    pub(super) in_window: &'p dyn Fn(&Seen<'_>) -> bool,
}

impl Evidence<'_, '_> {
    /// Decides a demand on a rule's port from flows alone.
    pub(super) fn presence(&self, d: &Demand, port: &RulePort) -> Presence {
        let primary = self.attempts(d, port, port.service, port.healing);
        let fallback = port.fallback_service().map(|s| self.attempts(d, port, s, Healing::Range)).unwrap_or_default();
        let mut found = decide(&primary, &fallback);
        found.healed = primary.healed.clone();
        if found.outcome.is_none() && port.healing == Healing::Mapper {
            found.untried = self.untried(d, port.service);
            if found.untried.is_some() {
                found.outcome = Some(Outcome::Inconclusive);
                found.cause = Some(Cause::MapperPortUntried);
            }
        }
        found
    }

    fn attempts(&self, d: &Demand, port: &RulePort, service: Service, healing: Healing) -> Attempts {
        let mine: Vec<usize> = (0..self.seen.len()).filter(|&i| self.is_attempt(i, d, service)).collect();
        let mut out = Attempts::default();
        for &i in &mine {
            let Some(s) = self.seen.get(i) else { continue };
            match self.worked(s, d, port, service) {
                Worked::Yes => out.works.push(i),
                Worked::Wrong => out.wrong.push(i),
                Worked::Open(cause) => out.open.push((i, cause)),
                Worked::Failed(cause) => out.failed.push((i, cause)),
            }
        }
        self.join_points(&mut out);
        let (healed, failed) =
            std::mem::take(&mut out.failed).into_iter().partition(|(i, _)| self.is_healed(*i, &out.works, healing));
        out.failed = failed;
        out.healed = Vec::from_iter::<Vec<(usize, Cause)>>(healed).into_iter().map(|(i, _)| i).collect();
        out
    }

    fn is_attempt(&self, i: usize, d: &Demand, service: Service) -> bool {
        self.seen.get(i).is_some_and(|s| {
            let (Some(orig), Some(resp)) = (s.orig_host, s.resp_host) else { return false };
            orig != resp
                && d.drivers.contains(&orig)
                && d.responders.contains(&resp)
                && service.contains(s.flow.key.proto, s.port())
                && (self.in_window)(s)
        })
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
            (_, crate::report::Class::Ambiguous) => Worked::Open(Cause::Undetermined),
            (false, _) if !service.ports.is_single() && !confirmed => Worked::Open(Cause::Direction),
            _ => Worked::Yes,
        }
    }

    /// One connection seen at several points is one attempt: where one of them saw it work, it worked.
    fn join_points(&self, a: &mut Attempts) {
        let same = |i: usize, j: usize| matches!((self.seen.get(i), self.seen.get(j)), (Some(x), Some(y)) if x.point != y.point && x.same_connection(y));
        let works = a.works.clone();
        a.failed.retain(|(i, _)| !works.iter().any(|&w| same(*i, w)));
        a.open.retain(|(i, _)| !works.iter().any(|&w| same(*i, w)));
    }

    fn is_healed(&self, failed: usize, works: &[usize], healing: Healing) -> bool {
        let Some(f) = self.seen.get(failed) else { return false };
        works.iter().filter_map(|&w| self.seen.get(w)).any(|w| {
            let same_pair = w.orig_host == f.orig_host && w.resp_host == f.resp_host;
            same_pair && w.began() >= f.began() && self.heals(f, w, works, healing)
        })
    }

    /// Whether a later success `w` of the same pair shows that what `f` was for did work.
    fn heals(&self, f: &Seen<'_>, w: &Seen<'_>, works: &[usize], healing: Healing) -> bool {
        let same_port = w.port() == f.port();
        match healing {
            Healing::SamePort => same_port,
            Healing::Range => true,
            Healing::Mapper => {
                let interfaces = self.interfaces(f, f.port());
                same_port
                    || interfaces.is_empty()
                    || self.interfaces(w, w.port()).iter().any(|i| interfaces.contains(i))
            }
            Healing::NextFree => same_port || !self.used_before(f, w, works),
        }
    }

    /// Interfaces for which the mapper named a port to a flow's originator.
    fn interfaces(&self, s: &Seen<'_>, port: u16) -> Vec<&str> {
        self.named
            .iter()
            .filter(|n| Some(n.asker) == s.orig_host && Some(n.host) == s.resp_host && n.port == port)
            .map(|n| n.interface.as_str())
            .collect()
    }

    /// Whether the port of `w` had been in use before `f` failed: it then belongs to another component.
    fn used_before(&self, f: &Seen<'_>, w: &Seen<'_>, works: &[usize]) -> bool {
        works.iter().filter_map(|&i| self.seen.get(i)).any(|x| {
            x.port() == w.port() && x.resp_host == w.resp_host && x.orig_host == w.orig_host && x.began() < f.began()
        })
    }

    /// A port that the mapper named to a driver and that the driver never tried afterwards.
    fn untried(&self, d: &Demand, service: Service) -> Option<Named> {
        let asked = |n: &&Named| {
            d.drivers.contains(&n.asker) && d.responders.contains(&n.host) && service.ports.contains(n.port)
        };
        self.named
            .iter()
            .filter(asked)
            .find(|n| {
                !self.seen.iter().any(|s| {
                    s.orig_host == Some(n.asker)
                        && s.resp_host == Some(n.host)
                        && s.port() == n.port
                        && s.flow.last.time >= n.at
                })
            })
            .cloned()
    }
}

/// The outcome that attempts on the primary port and on the fallback range lead to; first that applies.
fn decide(primary: &Attempts, fallback: &Attempts) -> Presence {
    let lead = |first: usize, rest: Vec<usize>| {
        let mut flows = vec![first];
        flows.extend(rest.into_iter().filter(|&i| i != first));
        flows
    };
    let all = || [primary.all(), fallback.all()].concat();
    if let Some(&(i, cause)) = primary.failed.last() {
        let fallback_open = !fallback.works.is_empty() || !fallback.open.is_empty() || !fallback.wrong.is_empty();
        if !fallback_open {
            return Presence::of(Outcome::Blocked, Some(cause), lead(i, all()));
        }
        if let Some(&w) = fallback.works.first() {
            return Presence::of(Outcome::SatisfiedByFallback, Some(cause), lead(w, all()));
        }
        return Presence::of(Outcome::Inconclusive, Some(cause), lead(i, all()));
    }
    if let Some(&w) = primary.works.first() {
        return Presence::of(Outcome::Satisfied, None, lead(w, all()));
    }
    if let Some(&w) = fallback.works.first() {
        return Presence::of(Outcome::SatisfiedByFallback, None, lead(w, all()));
    }
    if let Some(&(i, cause)) = fallback.failed.last() {
        // Blocked needs the primary's failure, too, and that was not seen.
        return Presence::of(Outcome::Inconclusive, Some(cause), lead(i, all()));
    }
    let wrong = primary.wrong.iter().chain(&fallback.wrong).map(|&i| (i, Cause::WrongProtocol));
    let open = primary.open.iter().chain(&fallback.open).copied();
    match wrong.chain(open).next() {
        Some((i, cause)) => Presence::of(Outcome::Inconclusive, Some(cause), lead(i, all())),
        None => Presence::default(),
    }
}
