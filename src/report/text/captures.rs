//! What was read, what it could show, and where a capture would show the rest.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::moment::{Clock, size};
use super::page::{Ink, Page};
use super::plural;
use crate::base::{Known, Problem};
use crate::report::{Capture, ClockOffset, Outcome, Point, Report};

/// One block per capture.
pub(super) fn captures(page: &mut Page, report: &Report, clock: &Clock) {
    page.heading("Captures");
    report.captures.iter().for_each(|c| capture(page, clock, c));
}

fn capture(page: &mut Page, clock: &Clock, c: &Capture) {
    let link = if c.linktypes.is_empty() { String::new() } else { format!(", {}", c.linktypes.join(", ")) };
    let counts = format!("{}, {}", plural(c.packets, "packet"), size(c.bytes));
    page.bullet(2, ("•", Ink::Plain), &format!("{}: {}{link}, {counts}, at {}", c.path, c.format, c.observation_point));
    if let (Some(first), Some(last)) = (c.first, c.last) {
        page.field(4, "time", &clock.span(first, last));
    }
    page.field(4, "loss", &loss(c));
    let snaplen = match &c.snaplen {
        Known::Known(0) => "no limit".to_owned(),
        Known::Known(n) => format!("{n} bytes"),
        Known::Unknown => "unknown".to_owned(),
    };
    page.field(4, "filter", &format!("{}; capture length {snaplen}", or_unknown(&c.filter)));
    if let Some(at) = c.truncated {
        page.field(4, "damage", &format!("readable up to byte {at}; nothing after it was judged"));
    }
    if let Known::Known(sha256) = &c.sha256 {
        page.copyable(4, "sha256", sha256);
    }
    c.problems.iter().for_each(|p| page.field(4, "problem", &problem(p)));
    c.cannot_tell.iter().for_each(|text| page.field(4, "forbids", text));
}

fn or_unknown<T: Display>(value: &Known<T>) -> String {
    match value {
        Known::Known(v) => v.to_string(),
        Known::Unknown => "unknown".to_owned(),
    }
}

/// What a source could not know is "unknown", never 0.
fn loss(c: &Capture) -> String {
    let l = &c.loss;
    let told = format!("kernel {}, interface {}", or_unknown(&l.kernel), or_unknown(&l.interface));
    match l.inferred {
        0 => format!("{told}; none inferred from acknowledgements"),
        n => format!("{told}; at least {n} bytes acknowledged but never seen"),
    }
}

fn problem(p: &Problem) -> String {
    let detail = if p.detail.is_empty() { String::new() } else { format!(": {}", p.detail) };
    let place = match (p.frame, p.offset) {
        (Some(frame), _) => format!(", first at frame {frame}"),
        (None, Some(offset)) => format!(", first at byte {offset}"),
        (None, None) => String::new(),
    };
    let times = if p.count > 1 { format!(", {} times", p.count) } else { String::new() };
    format!("{}{detail}{place}{times}", p.kind.words())
}

/// What was in sight, what was not, and where a capture would settle it.
pub(super) fn sight(page: &mut Page, report: &Report) {
    page.heading("In sight");
    report.observation_points.iter().for_each(|p| point(page, p));
    let mut by_place: BTreeMap<&[String], Vec<String>> = BTreeMap::new();
    for r in report.requirements.iter().filter(|r| r.outcome == Outcome::NotObservable) {
        by_place.entry(&r.settle_at).or_default().push(format!("{} {}", r.rule, r.service));
    }
    for (place, mut rules) in by_place {
        rules.dedup();
        let place = if place.is_empty() { "another place".to_owned() } else { place.join(" or ") };
        let text = format!("not in sight: {}; a capture at {place} would settle it", rules.join(", "));
        page.bullet(2, ("·", Ink::Plain), &text);
    }
}

/// How the clocks of the places differ, and by which one times are compared.
pub(super) fn clocks(page: &mut Page, report: &Report) {
    let Some(first) = report.clocks.first() else { return };
    page.heading("Clocks");
    report.clocks.iter().for_each(|c| page.bullet(2, ("•", Ink::Plain), &clock(c)));
    let text = format!(
        "The site's windows are read by the clock of {}; every time shown is the capture's own.",
        first.reference
    );
    page.para(2, Ink::Dim, &text);
}

fn clock(c: &ClockOffset) -> String {
    let (Known::Known(ahead), Known::Known(doubt)) = (&c.ahead_nanos, &c.uncertainty_nanos) else {
        return format!(
            "{} against {}: unknown, no connection was seen at both; nothing is concluded from what came first at which",
            c.of, c.against
        );
    };
    let from = plural(c.connections, "connection");
    let doubt = length(*doubt);
    let drift = match c.drift_ppb {
        Known::Known(ppb) if ppb != 0 => {
            format!(", {} {} per hour", if ppb > 0 { "gaining" } else { "losing" }, length(ppb.unsigned_abs() * 3600))
        }
        _ => String::new(),
    };
    match ahead.unsigned_abs() {
        apart if apart <= c.uncertainty_nanos.get().unwrap_or_default() => {
            format!("{} and {} in step, ±{doubt}{drift}, from {from}", c.of, c.against)
        }
        apart => {
            let which = if *ahead > 0 { "ahead of" } else { "behind" };
            format!("{} is {} {which} {}, ±{doubt}{drift}, from {from}", c.of, length(apart), c.against)
        }
    }
}

/// Nanoseconds for people, three digits after the point: `2.310 s`, `0.400 ms`, `12.000 us`.
fn length(nanos: u64) -> String {
    let (unit, word) = match nanos {
        1_000_000_000.. => (1_000_000_000, "s"),
        100_000.. => (1_000_000, "ms"),
        _ => (1_000, "us"),
    };
    format!("{}.{:03} {word}", nanos / unit, nanos % unit * 1000 / unit)
}

fn point(page: &mut Page, p: &Point) {
    let how = if p.inferred { "worked out from the traffic" } else { "declared" };
    let hosts = if p.hosts.is_empty() { "no host's own interface".to_owned() } else { p.hosts.join(", ") };
    let complete = if p.complete { "all its traffic" } else { "only pairs of which packets were seen count" };
    page.bullet(2, ("•", Ink::Plain), &format!("{} ({how}): {hosts}; {complete}", p.name));
    p.forbids.iter().for_each(|f| page.bullet(4, ("!", Ink::Warn), f));
}
