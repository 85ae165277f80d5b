//! One settled demand as the report tells it: what was seen, what follows, what to do next.

use std::collections::BTreeSet;

use super::broken;
use super::judged::{Judged, loss_unknown, rule_of};
use super::path::path;
use super::presence::Presence;
use super::seen::{Seen, Worked};
use super::settle::Settled;
use super::words;
use crate::matrix::{Need, Rule, RulePort};
use crate::report::{Cause, Class, FlowFilter, Outcome, Path, PathKind, Requirement};

/// The report's form of a settled demand.
pub(super) fn requirement(j: &Judged<'_, '_>, s: &Settled) -> Requirement {
    let d = &s.demand;
    let (rule, port) = rule_of(j, s);
    let told = Telling { j, s, rule, port };
    let mut known = BTreeSet::new();
    let flows = s.presence.flows.iter().filter_map(|&i| j.seen.get(i)).map(|x| x.id.clone());
    let unique: Vec<_> = flows.filter(|id| known.insert(id.clone())).collect();
    let troubled = matches!(s.outcome, Outcome::Blocked | Outcome::Missing);
    Requirement {
        rule: rule.id.clone(),
        scenario: rule.scenario,
        operations: d.operations.clone(),
        from: d
            .drivers
            .iter()
            .map(|&h| words::host(j.site, h))
            .chain(words::blocks(j.site, &d.driver_blocks))
            .collect(),
        from_roles: d.driver_roles.clone(),
        to: words::ends(j.site, &d.responders, &d.responder_blocks),
        service: port.service.to_string(),
        need: d.need,
        stage: d.stage,
        outcome: s.outcome,
        cause: s.cause.or_else(|| told.broke_later().and_then(Seen::broke)),
        reason: told.reason(),
        path: told.path(),
        symptom: troubled.then(|| rule.blocked_symptom.clone()),
        next_step: told.next_step(),
        disagreement: told.disagreement(),
        fallback: port.fallback_service().map(|f| f.to_string()),
        substituted_by: s.substituted_by.map(|p| format!("{}/{p}", port.service.proto)),
        settle_at: s.settle_at.iter().map(|&h| words::host(j.site, h)).collect(),
        in_view: s.in_view,
        exception: told.exception(),
        flows: unique,
        display_filter: told.filter(),
    }
}

struct Telling<'a, 'p> {
    j: &'p Judged<'a, 'p>,
    s: &'p Settled,
    rule: &'p Rule,
    port: &'p RulePort,
}

impl Telling<'_, '_> {
    fn flow(&self, i: usize) -> Option<&Seen<'_>> {
        self.s.presence.flows.get(i).and_then(|&f| self.j.seen.get(f))
    }

    fn lead(&self) -> Option<&Seen<'_>> {
        self.flow(0)
    }

    /// `con01 (10.77.0.10) to tgt01 (10.77.1.20) tcp/49154` of an attempt.
    fn ends(&self, s: &Seen<'_>) -> String {
        let (o, r) = (s.flow.point(s.direction.orig), s.flow.point(s.direction.orig.other()));
        format!(
            "{} to {} {}/{}",
            words::addr(self.j.site, o.addr),
            words::addr(self.j.site, r.addr),
            s.flow.key.proto,
            r.port
        )
    }

    fn attempt(&self, s: &Seen<'_>) -> String {
        let mut text = format!("{}: {}", self.ends(s), s.told());
        for other in self.j.elsewhere(s) {
            text.push_str(&format!("; at {}: {}", self.place(s, other), other.told()));
        }
        if let Some(n) = self.mapper_note(s) {
            text.push_str(&n);
        }
        text
    }

    /// A place that saw the same connection, and as what where addresses are translated in between.
    fn place(&self, s: &Seen<'_>, other: &Seen<'_>) -> String {
        let name = self.j.points.get(other.point).map_or("another place", |p| p.name.as_str());
        if s.flow.key == other.flow.key {
            return name.to_owned();
        }
        let end = |side| {
            let p = other.flow.point(side);
            std::net::SocketAddr::new(p.addr, p.port).to_string()
        };
        format!("{name} as {} to {}", end(other.direction.orig), end(other.direction.orig.other()))
    }

    /// Where on its way the attempt was lost.
    fn path(&self) -> Option<Path> {
        match self.s.outcome {
            Outcome::Blocked | Outcome::Inconclusive => self.lead().and_then(|f| self.lost(f)),
            Outcome::SatisfiedByFallback => self.failed_primary().and_then(|f| self.lost(f)),
            _ => None,
        }
    }

    fn lost(&self, f: &Seen<'_>) -> Option<Path> {
        if matches!(f.network(), Worked::Yes) { None } else { path(self.j, f) }
    }

    /// The last attempt on the primary port.
    fn failed_primary(&self) -> Option<&Seen<'_>> {
        let mut flows = self.s.presence.flows.iter().filter_map(|&i| self.j.seen.get(i)).rev();
        flows.find(|p| self.port.service.contains(p.flow.key.proto, p.port()))
    }

    /// Says where a dynamic port came from.
    fn mapper_note(&self, s: &Seen<'_>) -> Option<String> {
        let all = self.j.seen.iter().filter(|m| m.orig_host == s.orig_host && m.resp_host == s.resp_host);
        let answer = all.flat_map(|m| &m.flow.evidence.mapper).find(|a| a.port == s.port())?;
        let name = crate::app::interface_name(&answer.interface).unwrap_or(answer.interface.as_str()).to_owned();
        Some(format!("; the endpoint mapper on tcp/135 had given out this port for {name}"))
    }

    fn reason(&self) -> String {
        let s = self.s;
        let mut text = match s.outcome {
            Outcome::Satisfied => self.satisfied(),
            Outcome::SatisfiedByFallback => self.by_fallback(),
            Outcome::Blocked => self.lead().map(|f| self.attempt(f)).unwrap_or_default() + &self.tries(),
            Outcome::Missing => self.missing(),
            Outcome::Inconclusive => self.inconclusive(),
            Outcome::NotApplicable | Outcome::NotReached | Outcome::NotObservable => {
                s.because.clone().unwrap_or_default()
            }
        };
        if let Some(by) = s.substituted_by {
            text.push_str(&format!(". {}/{by} did its job, so it blocks nothing", self.port.service.proto));
        }
        if !s.presence.healed.is_empty() {
            text.push_str(&self.healed(&s.presence));
        }
        text
    }

    /// How often it was tried in vain, where that was more than once.
    fn tries(&self) -> String {
        let mut ids = BTreeSet::new();
        let failed = self.s.presence.failed.iter().filter_map(|&i| self.j.seen.get(i));
        let failed: Vec<&Seen<'_>> = failed.filter(|f| ids.insert(&f.id)).collect();
        match failed.as_slice() {
            [first, .., last] => format!(
                "; {} failed over {}, none worked after them",
                words::count(failed.len() as u64, "attempt"),
                words::lasting(last.began().since(first.began()))
            ),
            _ => String::new(),
        }
    }

    /// The connection of a satisfied row that broke later, with none to take its place.
    fn broke_later(&self) -> Option<&Seen<'_>> {
        let works = matches!(self.s.outcome, Outcome::Satisfied).then_some(self.s.presence.works.as_slice())?;
        broken::last_broken(self.j.seen, works)
    }

    fn satisfied(&self) -> String {
        let Some(f) = self.lead() else { return String::new() };
        let n = self.s.presence.flows.iter().collect::<BTreeSet<_>>().len() as u64;
        let more = if n > 1 { format!(" ({})", words::count(n, "connection")) } else { String::new() };
        let app = f.flow.evidence.summary();
        let app = if app.is_empty() { app } else { format!(", {app}") };
        let assumed = if f.certain() { "" } else { "; its beginning was not captured, so who opened it is assumed" };
        let translated = self.j.elsewhere(f).into_iter().find(|o| o.flow.key != f.flow.key);
        let translated = translated.map(|o| format!("; at {}", self.place(f, o))).unwrap_or_default();
        let broke = self.broke_later().map_or_else(String::new, |f| format!("; {}", broken::later(f)));
        format!("{} established{more}{app}{assumed}{translated}{broke}", self.ends(f))
    }

    fn by_fallback(&self) -> String {
        let Some(f) = self.lead() else { return String::new() };
        let why = match self.failed_primary() {
            Some(p) if matches!(p.network(), Worked::Failed(_)) => {
                format!("{} failed ({})", self.port.service, p.told())
            }
            Some(p) => format!("{} was tried, to no clear end ({})", self.port.service, p.attempt.reason),
            None => format!("{} was not tried in this capture", self.port.service),
        };
        format!("{} established as fallback; {why}", self.ends(f))
    }

    fn missing(&self) -> String {
        let d = &self.s.demand;
        let mut text = format!(
            "no attempt by {} to reach {} on {} is in this capture, which would show it",
            words::hosts(self.j.site, &d.drivers),
            words::hosts(self.j.site, &d.responders),
            self.port.service
        );
        if loss_unknown(self.j) {
            text.push_str(" (capture loss unknown)");
        }
        if let Some((earlier, hidden)) = self.unproven_earlier_step() {
            let what = if hidden { "is out of sight here" } else { "was not seen working either" };
            text.push_str(&format!("; {earlier}, an earlier step, {what}: this one may never have been due"));
        }
        text
    }

    /// The first required step before this one that no capture shows working, and whether it is merely out of sight.
    fn unproven_earlier_step(&self) -> Option<(&str, bool)> {
        let stage = self.s.demand.stage?;
        let earlier = |s: &&Settled| s.demand.stage.is_some_and(|n| n < stage) && s.demand.need == Need::Required;
        let open = self.j.settled.iter().filter(earlier);
        let first = open.into_iter().find(|s| !s.is_satisfied() && s.outcome != Outcome::NotApplicable)?;
        Some((rule_of(self.j, first).0.id.as_str(), first.outcome == Outcome::NotObservable))
    }

    fn inconclusive(&self) -> String {
        let s = self.s;
        if let Some(n) = &s.presence.untried {
            let name = crate::app::interface_name(&n.interface).unwrap_or(n.interface.as_str());
            return format!(
                "the endpoint mapper of {} gave {} port tcp/{} for {name}, and it was never tried afterwards here: dropped before this place?",
                words::peer(self.j.site, n.host),
                words::peer(self.j.site, n.asker),
                n.port
            );
        }
        if let Some(f) = s.presence.outside.and_then(|i| self.j.seen.get(i)) {
            return format!(
                "{} was seen at {}, after the declared window: the window or a clock may be wrong",
                self.ends(f),
                f.began().short()
            );
        }
        match (self.lead(), s.cause) {
            (Some(f), Some(Cause::WrongProtocol)) => {
                format!("{}: another service answers ({})", self.ends(f), f.flow.evidence.summary())
            }
            (Some(f), Some(Cause::Direction)) => {
                format!("{}: its beginning was not captured, so who opened it cannot be told", self.ends(f))
            }
            (Some(f), _) if f.class.class == Class::Ambiguous => format!("{}: {}", self.ends(f), f.class.reason),
            (Some(f), _) => self.attempt(f),
            (None, _) => s.because.clone().unwrap_or_default(),
        }
    }

    /// What one peer said to the other on a connection that the network carried.
    fn disagreement(&self) -> Option<String> {
        let mine =
            |s: &&Seen<'_>| self.s.presence.flows.iter().filter_map(|&i| self.j.seen.get(i)).any(|f| f.id == s.id);
        let s = self.j.disagreeing().filter(|_| self.s.is_satisfied()).find(mine)?;
        super::disagree::disagreement(self.j, s).map(|d| d.said)
    }

    fn healed(&self, p: &Presence) -> String {
        let mut failed = p.healed.iter().filter_map(|&i| self.j.seen.get(i));
        let Some(f) = failed.next() else { return String::new() };
        let over = failed
            .next_back()
            .map_or_else(String::new, |last| format!(" over {}", words::lasting(last.began().since(f.began()))));
        let n = words::count(p.healed.len() as u64, "earlier attempt");
        format!(". {n}{over} failed before that, the first at {} ({})", f.first().time.short(), f.told())
    }

    fn next_step(&self) -> Option<String> {
        let s = self.s;
        let step = match s.outcome {
            Outcome::Blocked => self.lead().zip(s.cause).map(|(f, cause)| blocked_hint(self, f, cause)),
            Outcome::Satisfied => self.broke_later().zip(self.broke_later().and_then(Seen::broke)).map(|(f, cause)| {
                format!("The row is satisfied. {}", blocked_hint(self, f, cause))
            }),
            Outcome::Missing => Some(format!(
                "Check in the product's session log whether this step ran at all; it needs {} from {} to {}.",
                self.port.service,
                words::hosts(self.j.site, &s.demand.drivers),
                words::hosts(self.j.site, &s.demand.responders)
            )),
            Outcome::SatisfiedByFallback => s.cause.and_then(|c| {
                let f = self.failed_primary()?;
                Some(format!(
                    "Not urgent, but the matrix wants {} open. {}",
                    self.port.service,
                    blocked_hint(self, f, c)
                ))
            }),
            Outcome::Inconclusive if s.presence.untried.is_some() => s.presence.untried.as_ref().map(|n| {
                let (asker, host) = (words::peer(self.j.site, n.asker), words::peer(self.j.site, n.host));
                format!(
                    "If {asker} did try it, something before this place drops tcp/{}: check the firewalls between {asker} and {host} for {}. A capture at {asker} settles it.",
                    n.port, self.port.service
                )
            }),
            Outcome::NotObservable | Outcome::Inconclusive if !s.settle_at.is_empty() => {
                let at: Vec<String> = s.settle_at.iter().map(|&h| words::host(self.j.site, h)).collect();
                Some(format!("Capture at {} to settle it.", at.join(" or ")))
            }
            Outcome::Inconclusive if s.cause == Some(Cause::Time) => Some(
                "If the capture covers the whole restore, say so with a [[window]] in the site; otherwise capture from before the restore until it has ended.".to_owned(),
            ),
            _ => None,
        }?;
        // How to open the port is no help where it is open and the connection broke afterwards, nor where a device answers for
        // the host: whoever reads it would go to the wrong place.
        let other = |f: &Seen<'_>| f.broke().is_some() || device_suspected(f);
        let closed = s.outcome == Outcome::Blocked && !self.lead().is_some_and(other);
        let more = if closed { self.rule.next_step.as_str() } else { "" };
        Some(format!("{step} {more}").trim_end().to_owned())
    }

    fn exception(&self) -> Option<String> {
        let r = self.j.rules.list.get(self.s.demand.rule)?;
        let o = self.j.site.overrides.get((*r.changed.get(self.s.demand.port)?)?)?;
        Some(format!("line {}: {}", o.line, o.reason))
    }

    fn filter(&self) -> String {
        match self.lead() {
            Some(f) => FlowFilter::of(f.flow).to_string(),
            None if self.s.demand.responders.is_empty() => String::new(),
            None => {
                words::pair_filter(self.j.site, &self.s.demand.drivers, &self.s.demand.responders, self.port.service)
            }
        }
    }
}

/// What to check for a failed attempt, by its cause.
fn blocked_hint(t: &Telling<'_, '_>, f: &Seen<'_>, cause: Cause) -> String {
    let (o, r) = (f.flow.point(f.direction.orig).addr, f.flow.point(f.direction.orig.other()).addr);
    let (o, r) = (words::addr(t.j.site, o), words::addr(t.j.site, r));
    let port = format!("{}/{}", f.flow.key.proto, f.port());
    let range = if t.port.service.ports.is_single() { port.clone() } else { t.port.service.to_string() };
    if let Some(hint) = path_hint(t, f, [&o, &r, &port, &range]) {
        return hint;
    }
    match cause {
        Cause::Unanswered => silent_hint(t, f, [&o, &r, &port, &range]),
        Cause::Refused if device_suspected(f) => format!(
            "Look for a reject rule for {range} on the devices between {o} and {r}, beginning with the gateway of the capturing host: one of them seems to reset {port} in the name of {r}. Leave {r} itself alone until that is settled. A capture at {r} that shows no reset leaving proves it."
        ),
        Cause::Refused if reporter(f).is_some() => format!(
            "{} answers for {r} that {port} is closed, by ICMP: a firewall's reject rule, or nothing listens there. Check the rules of that device for {range} from {o}, and on {r} that the service runs and listens.",
            reporter(f).map_or_else(String::new, |a| words::addr(t.j.site, a))
        ),
        Cause::Refused => format!(
            "{r} answers {port} with a reset: nothing listens there, or a firewall rejects it. Check on {r} that the service runs and listens, then its host firewall for {range} from {o}."
        ),
        Cause::Prohibited | Cause::Unreachable => {
            let by = reporter(f).map_or_else(String::new, |a| format!(" by {}", words::addr(t.j.site, a)));
            let (what, check) = if cause == Cause::Prohibited {
                ("rejected", "check the rules")
            } else {
                ("reported unreachable", "check that the host is up, then the routes and rules")
            };
            format!("{port} from {o} to {r} is {what}{by}: {check} of that device for {range}.")
        }
        Cause::HalfOpen => format!(
            "{r} answers {port}, but its answer is never acknowledged: check the return path from {r} to {o} (asymmetric routing, a stateful firewall that saw one direction only) and the host firewall of {o}."
        ),
        Cause::DroppedLocally => {
            format!("The firewall of the capturing host itself drops {port} between {o} and {r}: allow {range}.")
        }
        _ => broken::hint(t.j, f, cause, [&o, &r, &port, &range])
            .unwrap_or_else(|| format!("Check the path from {o} to {r} for {range}.")),
    }
}

/// What to check where two places tell how far an attempt came.
fn path_hint(t: &Telling<'_, '_>, f: &Seen<'_>, [o, r, port, range]: [&str; 4]) -> Option<String> {
    let path = t.lost(f)?;
    let (from, to) = (&path.from, &path.to);
    Some(match path.kind {
        PathKind::SynLost => format!(
            "No SYN of it is in the capture at {to}, which sees other packets of these hosts: something between {from} and {to} stops {port} from {o} to {r}. Check the firewalls on that path for a rule that lets {o} reach {range}."
        ),
        PathKind::ResponderSilent => return None,
        PathKind::AnswerLost => format!(
            "{r} answers {port}, and its answer is lost between {from} and {to}: check the return path from {r} to {o} (asymmetric routing, a stateful firewall that saw one direction only)."
        ),
        PathKind::ResetBetween => format!(
            "A device between {from} and {to} resets {port} in the name of {r}, which sent no reset: check the firewalls between them for a rule that rejects {range} from {o}."
        ),
    })
}

/// What to check where nothing came back, by how far the SYN is seen to come.
fn silent_hint(t: &Telling<'_, '_>, f: &Seen<'_>, [o, r, port, range]: [&str; 4]) -> String {
    if arrived(t, f) {
        return format!(
            "The SYN to {port} arrives at {r} and gets no answer there: check the host firewall of {r} for a rule that lets {o} reach {range}, and that the service is not overloaded."
        );
    }
    format!(
        "No answer to {port} came back, which this capture alone cannot explain: something between {o} and {r} drops the SYN, {r} keeps silent (its host firewall, or nothing listens), or the answer is lost on its way back. A capture at {r} tells: no SYN there, it is the path; a SYN and no answer, it is {r}; an answer, it is the way back. Until then check the firewalls on the path and that of {r} for a rule that lets {o} reach {range}, and that the service listens."
    )
}

/// Whether a capture made on the responder's own host shows the SYN of an attempt.
fn arrived(t: &Telling<'_, '_>, f: &Seen<'_>) -> bool {
    let there = |s: &Seen<'_>| t.j.points.get(s.point).is_some_and(|p| p.is_at(s.resp_host) && !p.is_at(s.orig_host));
    there(f) || t.j.elsewhere(f).into_iter().any(there)
}

/// Whether a RST's time to live does not fit the host it claims to come from.
fn device_suspected(f: &Seen<'_>) -> bool {
    matches!(f.attempt.cause, Some(crate::flow::Cause::Reset { host_ttl: Some(_), .. }))
}

/// Who sent the error that ended an attempt.
fn reporter(f: &Seen<'_>) -> Option<std::net::IpAddr> {
    match f.attempt.cause {
        Some(crate::flow::Cause::Icmp { reporter, .. }) => Some(reporter),
        _ => None,
    }
}
