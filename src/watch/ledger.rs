//! What was told before, compared with what is so now.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Event, RequirementEvent, UnexpectedEvent};
use super::state::State;
use crate::base::{Known, Problem, ProblemKind, Time};
use crate::flow::FlowId;
use crate::matrix::{Need, Role};
use crate::report::{Class, FlowRecord, Report, Requirement};

/// Unexpected flows told one by one at a time: a scan has thousands.
const FLOWS_AT_ONCE: usize = 20;
/// Unexpected flows remembered; beyond that they are only counted.
const FLOWS_KEPT: usize = 10_000;

/// Which requirement: what of it does not change while a capture grows.
type Key = (String, Vec<Role>, Vec<String>, String, String);

/// Remembers what was told.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    requirements: BTreeMap<Key, State>,
    unexpected: BTreeSet<FlowId>,
    /// Told as a number.
    further: u64,
    problems: BTreeMap<(ProblemKind, String), u64>,
    loss: Option<(Known<u64>, Known<u64>)>,
}

impl Ledger {
    /// What changed since the report before, in the order requirements, flows, problems, loss. `report` must be of a longer
    /// stretch of the same input, judged by the same rules.
    pub fn update(&mut self, report: &Report) -> Vec<Event> {
        let at = report.scope.last;
        let mut events = Vec::new();
        report.requirements.iter().for_each(|r| events.extend(self.requirement(at, r)));
        self.flows(at, report, &mut events);
        let problems = report.captures.iter().flat_map(|c| &c.problems);
        self.problems(at, problems, &mut events);
        self.losses(at, report, &mut events);
        events
    }

    fn requirement(&mut self, at: Option<Time>, r: &Requirement) -> Option<Event> {
        let state = State::of(r);
        let key = (r.rule.clone(), r.from_roles.clone(), r.from.clone(), r.to.clone(), r.service.clone());
        let was = self.requirements.insert(key, state);
        if was == Some(state) || was.is_none() && state == State::NotApplicable {
            return None;
        }
        // While it waits its outcome would claim absence, and so would the reason.
        let told = state != State::Waiting;
        let blocked = state == State::Blocked;
        Some(Event::Requirement(RequirementEvent {
            at,
            state,
            was,
            rule: r.rule.clone(),
            from: r.from.clone(),
            to: r.to.clone(),
            service: r.service.clone(),
            need: r.need,
            outcome: told.then_some(r.outcome),
            cause: r.cause.filter(|_| told),
            reason: told.then(|| r.reason.clone()),
            symptom: r.symptom.clone().filter(|_| blocked),
            next_step: r.next_step.clone().filter(|_| blocked),
            flows: r.flows.clone(),
        }))
    }

    fn flows(&mut self, at: Option<Time>, report: &Report, events: &mut Vec<Event>) {
        let mut now = BTreeSet::new();
        let (mut told, mut further) = (0, 0);
        for f in report.flows.iter().filter(|f| f.class == Some(Class::Unexpected)) {
            if self.unexpected.contains(&f.id) {
                now.insert(&f.id);
                continue;
            }
            if told == FLOWS_AT_ONCE || self.unexpected.len() >= FLOWS_KEPT {
                further += 1;
                continue;
            }
            if let Some(event) = unexpected(at, f) {
                now.insert(&f.id);
                self.unexpected.insert(f.id.clone());
                events.push(Event::Unexpected(event));
                told += 1;
            }
        }
        let explained: Vec<FlowId> = self.unexpected.iter().filter(|id| !now.contains(id)).cloned().collect();
        for flow in explained {
            self.unexpected.remove(&flow);
            events.push(Event::Explained { at, flow });
        }
        if further > 0 && further != self.further {
            events.push(Event::Further { at, unexpected: further });
        }
        self.further = further;
    }

    /// A problem is told when it appears, and again when it has become ten times as frequent.
    fn problems<'a>(&mut self, at: Option<Time>, problems: impl Iterator<Item = &'a Problem>, events: &mut Vec<Event>) {
        let mut now: BTreeMap<(ProblemKind, &str), u64> = BTreeMap::new();
        problems.for_each(|p| *now.entry((p.kind, &p.detail)).or_default() += p.count);
        for ((kind, detail), count) in now {
            let told = self.problems.entry((kind, detail.to_owned())).or_default();
            if count >= told.saturating_mul(10).max(1) {
                *told = count;
                events.push(Event::Problem { at, kind, detail: detail.to_owned(), count });
            }
        }
    }

    fn losses(&mut self, at: Option<Time>, report: &Report, events: &mut Vec<Event>) {
        let Some(capture) = report.captures.first() else { return };
        let (kernel, interface) = (capture.loss.kernel, capture.loss.interface);
        let before = self.loss.replace((kernel, interface));
        let any = [kernel, interface].iter().any(|n| n.get().is_some_and(|n| n > 0));
        if any && before != Some((kernel, interface)) {
            events.push(Event::Loss { at, kernel, interface });
        }
    }
}

fn unexpected(at: Option<Time>, f: &FlowRecord) -> Option<UnexpectedEvent> {
    let kind = f.unexpected?;
    Some(UnexpectedEvent {
        at,
        kind,
        fails: kind.fails(),
        flow: f.id.clone(),
        from: f.orig.named(),
        to: f.resp.named(),
        service: format!("{}/{}", f.proto, f.resp.port),
        attempt: f.attempt.to_owned(),
        reason: f.reason.as_deref().unwrap_or_default().to_owned(),
    })
}

/// Whether everything required was seen working, and something was: what is out of sight is left out only where the place of
/// the capture was declared, since it is guessed from traffic otherwise and may still turn out to be another.
pub fn all_satisfied(report: &Report) -> bool {
    let declared = report.observation_points.iter().all(|p| !p.inferred);
    let required = || report.requirements.iter().filter(|r| r.need == Need::Required).map(State::of);
    let open = |s: State| match s {
        State::Satisfied | State::NotApplicable => false,
        State::OutOfSight => !declared,
        State::Blocked | State::Waiting | State::Inconclusive => true,
    };
    required().any(|s| s == State::Satisfied) && !required().any(open)
}
