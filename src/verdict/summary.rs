//! The verdict, its reasons, its scope, and what to know when reading it.

use super::broken;
use super::cut;
use super::hidden;
use super::judged::{Judged, rule_of};
use super::points::PointView;
use super::rules::expired;
use super::seen::{Seen, Worked};
use super::settle::Settled;
use super::unexpected::unexpected;
use super::words;
use crate::flow::FlowId;
use crate::matrix::Need;
use crate::report::{Cause, Class, Exception, ExceptionState, Outcome, Scope, ScopeMode, Verdict, Warning};
use crate::site::{AllowPeer, Change, Site};

/// The verdict and why, the most important first.
pub(super) fn verdict(j: &Judged<'_, '_>) -> (Verdict, Vec<String>) {
    let failures = failures(j);
    let doubts = doubts(j);
    if j.inferred {
        let mut reasons: Vec<String> =
            failures.into_iter().map(|f| format!("with the roles suggested here: {f}")).collect();
        reasons.push(NO_SITE.to_owned());
        return (Verdict::Inconclusive, reasons);
    }
    match (failures.is_empty(), doubts.is_empty()) {
        (false, _) => (Verdict::Fail, failures),
        (true, false) => (Verdict::Inconclusive, doubts),
        (true, true) => {
            let n = j.settled.iter().filter(|s| s.demand.need == Need::Required && s.is_satisfied()).count() as u64;
            let odd = match j.classes.unexpected_warning {
                0 => "nothing unexpected was seen".to_owned(),
                n => format!("{} to look at, see the warnings", words::count(n, "unexpected flow")),
            };
            let reasons = vec![format!("{} in view, each seen working; {odd}", words::count(n, "required row"))];
            (Verdict::Pass, reasons.into_iter().chain(peers_disagree(j)).collect())
        }
    }
}

/// The network did its part, and that is not all there is to know.
fn peers_disagree(j: &Judged<'_, '_>) -> Option<String> {
    let n = j.disagreeing().count() as u64;
    (n > 0).then(|| {
        format!(
            "the network is fine, but in {} the peers disagree; see what they said below",
            words::count(n, "connection")
        )
    })
}

const NO_SITE: &str = "no site was given: roles are only suggested by traffic, and nothing is claimed absent; `portwitness \
site init` drafts one";

fn failures(j: &Judged<'_, '_>) -> Vec<String> {
    let mut out = Vec::new();
    for (outcome, need) in
        [(Outcome::Blocked, Need::Required), (Outcome::Blocked, Need::Expected), (Outcome::Missing, Need::Required)]
    {
        for s in j.settled.iter().filter(|s| s.fails() && s.outcome == outcome && s.demand.need == need) {
            let (rule, port) = rule_of(j, s);
            let ports = s.presence.flows.first().and_then(|&i| j.seen.get(i)).map(Seen::port);
            let service = ports.map_or(port.service.to_string(), |p| format!("{}/{p}", port.service.proto));
            let why = s.cause.filter(|_| outcome == Outcome::Blocked).map(cause_words).unwrap_or_default();
            let (from, to) = failed_ends(j, s);
            out.push(format!("{} {}{why}: {from} to {to} {service} ({need})", rule.id, outcome.words()));
        }
    }
    out.extend(unexpected(j, true).into_iter().map(|(line, _)| line));
    if j.case.options.strict {
        out.extend(unexpected(j, false).into_iter().map(|(line, _)| format!("{line} (--strict)")));
    }
    out
}

/// The two ends of the attempt that failed, or all that were expected to talk.
fn failed_ends(j: &Judged<'_, '_>, s: &Settled) -> (String, String) {
    let d = &s.demand;
    match s.presence.flows.first().and_then(|&i| j.seen.get(i)) {
        Some(f) => (words::peer(j.site, f.pair.0), words::peer(j.site, f.pair.1)),
        None => {
            (words::ends(j.site, &d.drivers, &d.driver_blocks), words::ends(j.site, &d.responders, &d.responder_blocks))
        }
    }
}

fn cause_words(cause: Cause) -> &'static str {
    match cause {
        Cause::Unanswered => " (no answer)",
        Cause::Refused => " (reset or refused)",
        Cause::Prohibited => " (rejected by a device)",
        Cause::Unreachable => " (reported unreachable)",
        Cause::HalfOpen => " (answer never acknowledged)",
        Cause::DroppedLocally => " (dropped on the capturing host)",
        Cause::Stalled => " (opens, then stalls)",
        Cause::IdleCut => " (opens, then is cut when idle)",
        Cause::MtuBlackHole => " (opens, then loses full-sized packets)",
        Cause::ResetMidstream => " (opens, then is reset)",
        _ => "",
    }
}

fn ends(j: &Judged<'_, '_>, s: &Seen<'_>) -> String {
    let (o, r) = (s.flow.point(s.direction.orig).addr, s.flow.point(s.direction.orig.other()).addr);
    format!("{} to {} {}/{}", words::addr(j.site, o), words::addr(j.site, r), s.flow.key.proto, s.port())
}

/// Why the verdict cannot be a pass although nothing failed.
fn doubts(j: &Judged<'_, '_>) -> Vec<String> {
    // A row that stays open may be open because of this, so it comes first.
    let mut out = cut::ends_early(j);
    if j.site.hosts.iter().all(|h| h.roles.is_empty()) && j.site.role_nets.is_empty() {
        out.push("the site gives no host a role: nothing can be judged before [roles] is filled in".to_owned());
    } else if !j.restore_seen() {
        out.push(
            "no restore was seen: no host tried target SSH, deployment, runtime, iSCSI or data mover ports".to_owned(),
        );
    }
    // What probably stopped the restore comes first, whatever it is needed for; what waits for it follows as one line.
    for s in j.applicable().filter(|s| s.cause == Some(Cause::MapperPortUntried)) {
        let (rule, port) = rule_of(j, s);
        out.push(format!("{} {}: {}", rule.id, port.service, super::requirement::requirement(j, s).reason));
    }
    out.extend(open_rows(j));
    for p in
        j.points.iter().flat_map(|p| &p.observation.problems).filter(|p| p.kind.forbids().pass && !cut::tells(p.kind))
    {
        out.push(format!("an input {}: {}", p.kind.words(), p.detail));
    }
    out
}

/// Required rows that are not told, those with the same reason in one line.
fn open_rows(j: &Judged<'_, '_>) -> Vec<String> {
    let counts = |s: &&Settled| match s.outcome {
        Outcome::Inconclusive => s.cause != Some(Cause::MapperPortUntried),
        Outcome::NotObservable => j.case.options.scope == ScopeMode::All,
        _ => false,
    };
    let mut groups: Vec<(Outcome, String, Vec<String>)> = Vec::new();
    // Of an expected row, absence fails nothing; an attempt that may have been blocked would.
    let in_vain = |i: usize| j.seen.get(i).is_some_and(|f| f.network() != Worked::Yes);
    let tried = |s: &Settled| {
        let tried = s.presence.attempted() || s.presence.outside.is_some_and(in_vain);
        s.outcome == Outcome::Inconclusive && tried && s.substituted_by.is_none()
    };
    let matters = |s: &&Settled| s.demand.need == Need::Required || s.demand.need == Need::Expected && tried(s);
    for s in j.applicable().filter(matters).filter(counts) {
        let (rule, port) = rule_of(j, s);
        let (name, why) = (format!("{} {}", rule.id, port.service), super::requirement::requirement(j, s).reason);
        match groups.iter_mut().find(|(o, w, _)| (*o, w) == (s.outcome, &why)) {
            Some((_, _, names)) => names.push(name),
            None => groups.push((s.outcome, why, vec![name])),
        }
    }
    groups.into_iter().map(|(o, why, names)| format!("{} {}: {why}", names.join(", "), o.words())).collect()
}

/// How much of the restore is in view.
pub(super) fn scope(j: &Judged<'_, '_>, exceptions: &[Exception]) -> Scope {
    let required: Vec<&Settled> = j.applicable().filter(|s| s.demand.need == Need::Required).collect();
    Scope {
        mode: j.case.options.scope,
        required_in_view: required.iter().filter(|s| s.in_view).count() as u64,
        required: required.len() as u64,
        exceptions: exceptions.iter().filter(|e| e.state == ExceptionState::InForce).count() as u64,
        first: j.points.iter().filter_map(|p| p.observation.first()).min(),
        last: j.at,
    }
}

/// `PASS, 5 of 9 required in view, 2 exceptions`
pub(super) fn headline(j: &Judged<'_, '_>, verdict: Verdict, scope: &Scope) -> String {
    let mut text = format!("{}, {} of {} required in view", verdict.word(), scope.required_in_view, scope.required);
    if scope.exceptions > 0 {
        text.push_str(&format!(", {}", words::count(scope.exceptions, "exception")));
    }
    if !j.points.is_empty() && hidden::only_hidden(j).len() == j.points.len() {
        text.push_str(", practically only encapsulation that hides its contents was captured");
    }
    let inputs: usize = j.points.iter().map(|p| p.observation.inputs.len()).sum();
    match (cut::ends_early(j).len(), inputs) {
        (0, _) => {}
        (_, 1) => text.push_str(", the capture ends early"),
        (1, _) => text.push_str(", a capture ends early"),
        (n, _) => text.push_str(&format!(", {n} captures end early")),
    }
    text
}

/// The site's exceptions and what became of them.
pub(super) fn exceptions(j: &Judged<'_, '_>) -> Vec<Exception> {
    let allow = j.site.allow.iter().enumerate().map(|(i, a)| {
        let flows = j.seen.iter().filter(|s| s.class.allow == Some(i) && j.counts(s)).count() as u64;
        Exception {
            kind: "allow".to_owned(),
            what: format!("{} to {} {}", peer(j.site, &a.from), peer(j.site, &a.to), a.service),
            reason: a.reason.clone(),
            approved_by: a.approved_by.clone(),
            expires: a.expires,
            state: state(expired(a.expires, j.at), flows > 0),
            line: a.line as u64,
            flows,
        }
    });
    let overrides = j.site.overrides.iter().enumerate().map(|(i, o)| {
        let used = j.rules.list.iter().any(|r| r.changed.contains(&Some(i)));
        let port = o.port.map_or_else(String::new, |p| format!(" {p}"));
        let change = match o.change {
            Change::Service(s) => format!("is offered on {s}"),
            Change::Need(n) => format!("is {n}"),
            Change::Skip => "is left out".to_owned(),
        };
        Exception {
            kind: "override".to_owned(),
            what: format!("{}{port} {change}", o.rule),
            reason: o.reason.clone(),
            approved_by: o.approved_by.clone(),
            expires: o.expires,
            state: state(expired(o.expires, j.at), used),
            line: o.line as u64,
            flows: 0,
        }
    });
    allow.chain(overrides).collect()
}

const fn state(expired: bool, used: bool) -> ExceptionState {
    match (expired, used) {
        (true, _) => ExceptionState::Expired,
        (false, true) => ExceptionState::InForce,
        (false, false) => ExceptionState::Unused,
    }
}

fn peer(site: &Site, p: &AllowPeer) -> String {
    match p {
        AllowPeer::Any => "any".to_owned(),
        AllowPeer::Role(r) => r.to_string(),
        AllowPeer::Host(h) => words::host(site, *h),
        AllowPeer::Net(n) => n.to_string(),
    }
}

/// Which claims a point forbids, one sentence each.
pub(super) fn forbids(p: &PointView<'_>, inferred_roles: bool) -> Vec<String> {
    let mut out = Vec::new();
    if inferred_roles {
        out.push("roles are inferred: nothing is claimed absent".to_owned());
    }
    if !p.complete {
        out.push(
            "not declared complete: absence is claimed only for pairs of hosts of which some packet was seen"
                .to_owned(),
        );
    }
    out.extend(hidden::of_place(p));
    out
}

/// What to know when reading the report.
pub(super) fn warnings(j: &Judged<'_, '_>) -> Vec<Warning> {
    let blind = |text| Warning { kind: "only_hidden".to_owned(), text, flows: Vec::new() };
    let mut out: Vec<Warning> = hidden::only_hidden(j).into_iter().map(blind).collect();
    for (text, flows) in unexpected(j, false) {
        out.push(Warning { kind: "unexpected".to_owned(), text, flows });
    }
    let mut of = |kind: &str, text: &str, pick: &dyn Fn(&Seen<'_>) -> bool| {
        let flows: Vec<FlowId> = j.seen.iter().filter(|s| pick(s) && j.counts(s)).map(|s| s.id.clone()).collect();
        if !flows.is_empty() {
            let text = format!("{}: {text}", words::count(flows.len() as u64, "flow"));
            out.push(Warning { kind: kind.to_owned(), text, flows });
        }
    };
    of(
        "handshake_only",
        "the responder completed the handshake and sent no data; a proxy in the path can do that in its name",
        &|s| s.attempt.warnings.contains(&crate::flow::Warning::HandshakeOnly) && s.class.class == Class::Expected,
    );
    of("ambiguous", "two readings remain; the bytes do not tell which", &|s| s.class.class == Class::Ambiguous);
    of("assumed_direction", "their beginning was not captured; who opened them is assumed from the matrix", &|s| {
        !s.certain() && s.class.class == Class::Expected
    });
    of("zero_window", "the receiver closed its window and read nothing more: that host, not the network", &|s| {
        s.after.is_some() && s.broke().is_none() && s.class.class == Class::Expected
    });
    out.extend(broke_later(j));
    for d in super::disagree::disagreements(j) {
        let text = format!("the network is fine, the peers disagree: {}: {}", d.path, d.said);
        out.push(Warning { kind: "peers_disagree".to_owned(), text, flows: d.flows });
    }
    for e in exceptions(j).iter().filter(|e| e.state == ExceptionState::Expired) {
        let text = format!("the exception in line {} of the site had expired and was ignored: {}", e.line, e.what);
        out.push(Warning { kind: "expired_exception".to_owned(), text, flows: Vec::new() });
    }
    out
}

/// Expected connections that worked and then broke, one by one up to a few.
fn broke_later(j: &Judged<'_, '_>) -> Vec<Warning> {
    const TOLD: usize = 8;
    let warning = |text, flows| Warning { kind: "broke_later".to_owned(), text, flows };
    let all: Vec<&Seen<'_>> =
        j.seen.iter().filter(|s| s.class.class == Class::Expected && broken::worked_and_broke(s)).collect();
    let mut out: Vec<Warning> = all
        .iter()
        .take(TOLD)
        .map(|s| warning(format!("{} worked, then broke: {}", ends(j, s), broken::later(s)), vec![s.id.clone()]))
        .collect();
    if let Some(rest) = all.get(TOLD..).filter(|r| !r.is_empty()) {
        let text = format!("{} more worked and then broke", words::count(rest.len() as u64, "connection"));
        out.push(warning(text, rest.iter().map(|s| s.id.clone()).collect()));
    }
    out
}

/// What no report of this tool says.
pub(super) fn limits() -> Vec<String> {
    [
        "It judges network flows; it does not prove that data was restored.",
        "It does not prove who made the captures, or that they are whole.",
        "A completed handshake does not prove that the two services agreed afterwards.",
    ]
    .map(str::to_owned)
    .to_vec()
}
