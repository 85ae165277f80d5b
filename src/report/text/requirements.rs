//! Requirements: those that failed first and in full, then all as a table, then those the capture does not settle.

use std::collections::BTreeMap;

use super::moment::Clock;
use super::page::{Ink, Page, Row};
use super::plural;
use super::traffic::{inside, processes};
use crate::matrix::Need;
use crate::report::{AfterRecord, EndRecord, FlowRecord, Outcome, Report, Requirement};

/// Evidence lines per requirement without `--verbose`.
const EVIDENCE: usize = 2;

/// Symbol and ink of an outcome.
const fn mark(outcome: Outcome) -> (&'static str, Ink) {
    match outcome {
        Outcome::Satisfied | Outcome::SatisfiedByFallback => ("✓", Ink::Good),
        Outcome::Blocked | Outcome::Missing => ("✗", Ink::Bad),
        Outcome::Inconclusive => ("?", Ink::Warn),
        Outcome::NotReached | Outcome::NotObservable => ("·", Ink::Plain),
        Outcome::NotApplicable => ("–", Ink::Dim),
    }
}

/// Writes blocks of requirements with their evidence.
pub(super) struct Blocks<'a> {
    requirements: &'a [Requirement],
    flows: BTreeMap<&'a str, &'a FlowRecord>,
    clock: &'a Clock,
}

/// Whether a blocked or missing row leaves the verdict alone: another port did its job, or it is not required.
fn is_harmless(r: &Requirement) -> bool {
    r.substituted_by.is_some() || (r.outcome == Outcome::Missing && r.need < Need::Required)
}

/// Rows that are open for the same reason; their paths stand in the table.
fn together(page: &mut Page, rows: &[&Requirement]) {
    let Some(first) = rows.first() else { return };
    let names: Vec<String> = rows.iter().map(|r| format!("{} {}", r.rule, r.service)).collect();
    let cause = first.cause.map_or(String::new(), |c| format!(", {}", c.words()));
    page.bullet(2, mark(first.outcome), &format!("{} {}{cause}", names.join(", "), first.outcome.words()));
    page.field(4, "seen", &first.reason);
    if let Some(next) = rows.iter().find_map(|r| r.next_step.as_ref()) {
        page.field(4, "next", next);
    }
}

impl<'a> Blocks<'a> {
    pub(super) fn new(report: &'a Report, clock: &'a Clock) -> Self {
        let mut flows = BTreeMap::new();
        // Several places may have the same flow: the first of them shows it.
        for f in &report.flows {
            flows.entry(&*f.id.0).or_insert(f.as_ref());
        }
        Self { requirements: &report.requirements, flows, clock }
    }

    /// What is blocked or missing and fails the verdict.
    pub(super) fn failing(&self, page: &mut Page) {
        self.write(page, "What failed", &[Outcome::Blocked, Outcome::Missing], |r| !is_harmless(r));
    }

    /// What is blocked or missing and fails nothing.
    pub(super) fn harmless(&self, page: &mut Page) {
        self.write(page, "Blocked or not seen, but fails nothing", &[Outcome::Blocked, Outcome::Missing], is_harmless);
    }

    /// What the capture does not settle: rows without flows that are open for one reason stand together.
    pub(super) fn open(&self, page: &mut Page) {
        let mut groups: Vec<Vec<&Requirement>> = Vec::new();
        for r in self.requirements.iter().filter(|r| r.outcome == Outcome::Inconclusive) {
            let same = |g: &&mut Vec<&Requirement>| {
                g.iter()
                    .all(|o| o.flows.is_empty() && r.flows.is_empty() && (o.cause, &o.reason) == (r.cause, &r.reason))
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(r),
                None => groups.push(vec![r]),
            }
        }
        let mut head = Some("What the capture does not settle");
        for group in groups {
            match head.take() {
                Some(title) => page.heading(title),
                None => page.blank(),
            }
            match group.as_slice() {
                [one] => self.block(page, one),
                several => together(page, several),
            }
        }
    }

    /// What was seen working.
    pub(super) fn satisfied(&self, page: &mut Page) {
        self.write(page, "What was seen working", &[Outcome::Satisfied, Outcome::SatisfiedByFallback], |_| true);
    }

    fn write(&self, page: &mut Page, title: &str, outcomes: &[Outcome], pick: fn(&Requirement) -> bool) {
        let of = |&o: &Outcome| self.requirements.iter().filter(move |r| r.outcome == o && pick(r));
        let mut head = Some(title);
        for requirement in outcomes.iter().flat_map(of) {
            match head.take() {
                Some(title) => page.heading(title),
                None => page.blank(),
            }
            self.block(page, requirement);
        }
    }

    fn block(&self, page: &mut Page, r: &Requirement) {
        let cause = r.cause.map_or(String::new(), |c| format!(", {}", c.words()));
        page.bullet(2, mark(r.outcome), &format!("{} {} {}{cause}", r.rule, r.service, r.outcome.words()));
        page.field(4, "path", &path(r));
        page.field(4, "seen", &r.reason);
        if let Some(path) = &r.path {
            page.field(4, "where", &path.text);
        }
        match &r.next_step {
            Some(next) => page.field(4, "next", next),
            None if r.settle_at.is_empty() => {}
            None => page.field(4, "next", &format!("a capture at {} would tell", r.settle_at.join(" or "))),
        }
        if let Some(symptom) = r.symptom.as_deref().filter(|_| fails(r)) {
            page.field(4, "product", symptom);
        }
        details(page, r);
        self.evidence(page, r);
        if !r.display_filter.is_empty() {
            page.copyable(4, "wireshark", &r.display_filter);
        }
    }

    fn evidence(&self, page: &mut Page, r: &Requirement) {
        let shown = if page.verbose() { r.flows.len() } else { EVIDENCE };
        let flows = r.flows.iter().filter_map(|id| self.flows.get(&*id.0));
        for (i, flow) in flows.take(shown).enumerate() {
            let label = if i == 0 { "evidence" } else { "" };
            page.field(4, label, &format!("{} {}", frame(flow), self.clock.moment(flow.first)));
            page.field(4, "", &format!("{}, {}", ends(flow), attempt(flow)));
            processes(flow).iter().for_each(|text| page.field(4, "", text));
            let inside = inside(flow);
            if !inside.is_empty() {
                page.field(4, "", &format!("inside {}", inside.join(", ")));
            }
            if let Some(after) = &flow.after {
                broke(page, self.clock, flow, after);
            }
            if page.verbose() {
                page.field(4, "", &format!("{}; {}", flow.id.0, flow.attempt_reason));
            }
        }
        let more = r.flows.len().saturating_sub(shown);
        if more > 0 {
            page.field(4, "", &format!("and {} (--verbose)", plural(more as u64, "more flow")));
        }
    }
}

const fn fails(r: &Requirement) -> bool {
    matches!(r.outcome, Outcome::Blocked | Outcome::Missing)
}

fn details(page: &mut Page, r: &Requirement) {
    if let Some(other) = &r.substituted_by {
        page.field(4, "instead", &format!("{other} did its job: this blocks nothing"));
    }
    if let Some(fallback) = r.fallback.as_deref().filter(|_| r.outcome != Outcome::Satisfied) {
        page.field(4, "fallback", fallback);
    }
    if let Some(exception) = &r.exception {
        page.field(4, "exception", exception);
    }
    if page.verbose() {
        let stage = r.stage.map_or(String::new(), |s| format!(", stage {s}"));
        let operations: Vec<&str> = r.operations.iter().map(|o| o.word()).collect();
        page.field(4, "need", &format!("{}{stage}, for {}", r.need, operations.join(", ")));
    }
}

/// Connections that the network carried and in which one peer would not go on.
pub(super) fn disagreements(page: &mut Page, report: &Report, clock: &Clock) {
    let mut head = Some("The network is fine, the peers disagree");
    for d in &report.disagreements {
        match head.take() {
            Some(title) => page.heading(title),
            None => page.blank(),
        }
        let rules = if d.rules.is_empty() { String::new() } else { format!(" ({})", d.rules.join(", ")) };
        let times = match d.flows.len() as u64 {
            1 => String::new(),
            n => format!(", {}", plural(n, "connection")),
        };
        page.bullet(2, ("!", Ink::Warn), &format!("{}{rules}{times}", d.path));
        page.field(4, "said", &d.said);
        page.field(4, "next", &d.next_step);
        page.field(4, "evidence", &format!("{}:{} {}", d.input, d.frame, clock.moment(d.at)));
        page.copyable(4, "wireshark", &d.display_filter);
    }
}

/// All requirements that apply, in the report's order.
pub(super) fn table(page: &mut Page, report: &Report) {
    let applies = |r: &&Requirement| page.verbose() || r.outcome != Outcome::NotApplicable;
    let rows: Vec<Row> = report.requirements.iter().filter(applies).map(row).collect();
    let hidden = report.requirements.len() - rows.len();
    if report.requirements.is_empty() {
        return;
    }
    page.heading("Requirements");
    page.table(2, &rows);
    if hidden > 0 {
        let verb = if hidden == 1 { "does" } else { "do" };
        page.para(
            2,
            Ink::Dim,
            &format!("– {} {verb} not apply here (--verbose lists them)", plural(hidden as u64, "row")),
        );
    }
}

fn row(r: &Requirement) -> Row {
    let (symbol, ink) = mark(r.outcome);
    let cells =
        vec![format!("{symbol} {}", r.outcome.words()), r.rule.clone(), r.service.clone(), r.need.to_string(), path(r)];
    let told = matches!(r.outcome, Outcome::SatisfiedByFallback | Outcome::NotReached);
    let reason = told.then(|| r.reason.clone());
    let substituted = r.substituted_by.as_ref().map(|s| format!("{s} did its job"));
    let disagreement = r.disagreement.as_ref().map(|d| format!("the network is fine, the peers disagree: {d}"));
    let exception = r.exception.as_ref().map(|e| format!("exception: {e}"));
    Row { ink, cells, notes: [reason, substituted, disagreement, exception].into_iter().flatten().collect() }
}

/// `con01 (10.77.0.10) → tgt01 (10.77.1.20)`
fn path(r: &Requirement) -> String {
    let any = if several(&r.to) { "any of " } else { "" };
    format!("{} → {any}{}", r.from.join(" or "), r.to)
}

/// Whether a list of responders names more than one: a host's own addresses stand in brackets, `tgt01 (10.0.0.1, fd00::1)`.
fn several(to: &str) -> bool {
    let mut depth = 0_u32;
    to.chars().any(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

/// Input and frame number: `restore.pcap:118`
pub(super) fn frame(flow: &FlowRecord) -> String {
    format!("{}:{}", flow.input, flow.first_frame)
}

/// The packets that show how a connection broke.
fn broke(page: &mut Page, clock: &Clock, flow: &FlowRecord, after: &AfterRecord) {
    let frames = if after.first_frame == after.last_frame {
        format!("{}:{} {}", flow.input, after.first_frame, clock.moment(after.first))
    } else {
        let span = clock.span(after.first, after.last);
        format!("{}:{} to {}, {span}", flow.input, after.first_frame, after.last_frame)
    };
    page.field(4, "broke", &format!("{}: {frames}", after.outcome.words()));
    page.copyable(4, "", &after.display_filter);
}

/// `unanswered (S0)`; only TCP has connection states.
pub(super) fn attempt(flow: &FlowRecord) -> String {
    if flow.conn_state.is_empty() { flow.attempt.to_owned() } else { format!("{} ({})", flow.attempt, flow.conn_state) }
}

/// `con01 10.77.0.10:50011 → tgt01 10.77.1.20:49154`
pub(super) fn ends(flow: &FlowRecord) -> String {
    let end = |e: &EndRecord| {
        let host = e.host.as_ref().map_or(String::new(), |h| format!("{h} "));
        format!("{host}{}", e.socket())
    };
    format!("{} → {}", end(&flow.orig), end(&flow.resp))
}
