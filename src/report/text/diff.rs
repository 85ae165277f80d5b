//! The difference between two reports, for a terminal: first what makes them hard to compare, then what got worse.

use super::Style;
use super::page::{Ink, Page};
use crate::report::diff::{Change, Count, CountChange, Diff, FlowChange, RequirementChange, Standing, State, Swap};

/// Renders a comparison.
pub fn render(diff: &Diff, style: &Style) -> String {
    let mut page = Page::new(*style);
    basis(&mut page, diff);
    answer(&mut page, diff);
    requirements(&mut page, diff);
    flows(&mut page, diff);
    warnings(&mut page, diff);
    counts(&mut page, diff);
    page.finish()
}

fn basis(page: &mut Page, diff: &Diff) {
    if !diff.rules.is_empty() {
        page.para(0, Ink::Warn, "Not judged by the same rules: a difference below may come from that");
        diff.rules.iter().for_each(|s| swap(page, s));
    }
    if let Some(places) = &diff.places {
        page.para(0, Ink::Warn, "Not seen from the same places: what is out of sight differs");
        swap(page, places);
    }
    if !diff.rules.is_empty() || diff.places.is_some() {
        page.blank();
    }
}

fn swap(page: &mut Page, swap: &Swap) {
    let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    page.bullet(2, ("•", Ink::Plain), &swap.what);
    page.field(4, "was", &side(&swap.old));
    page.field(4, "now", &side(&swap.new));
}

fn answer(page: &mut Page, diff: &Diff) {
    let (ink, text) = match diff.change {
        Change::Worse => (Ink::Bad, "WORSE"),
        Change::Better => (Ink::Good, "BETTER, nothing got worse"),
        Change::Other => (Ink::Plain, "CHANGED, nothing got worse"),
        Change::None => (Ink::Good, "NO CHANGE"),
    };
    page.para(0, ink, text);
    page.field(2, "was", &diff.verdict.old.headline);
    page.field(2, "now", &diff.verdict.new.headline);
}

/// Mark and word of a change; what has no direction is told by whether it is there.
fn mark(change: Change, before: bool, now: bool) -> ((&'static str, Ink), &'static str) {
    let word = match (before, now) {
        (false, true) => "new",
        (true, false) => "gone",
        _ => change.word(),
    };
    match change {
        Change::Worse => (("✗", Ink::Bad), if before { word } else { "new, worse" }),
        Change::Better => (("✓", Ink::Good), word),
        Change::Other | Change::None => (("•", Ink::Plain), if word == "other" { "changed" } else { word }),
    }
}

fn requirements(page: &mut Page, diff: &Diff) {
    if !diff.requirements.is_empty() {
        page.heading("Requirements");
    }
    diff.requirements.iter().for_each(|r| requirement(page, r));
}

fn requirement(page: &mut Page, r: &RequirementChange) {
    let (mark, word) = mark(r.change, r.old.is_some(), r.new.is_some());
    page.bullet(2, mark, &format!("{word}: {} {} ({})", r.rule, r.service, r.need));
    if !r.from.is_empty() || !r.to.is_empty() {
        page.field(4, "path", &format!("{} → {}", r.from.join(" or "), r.to));
    }
    r.old.iter().for_each(|s| page.field(4, "was", &state(s)));
    r.new.iter().for_each(|s| page.field(4, "now", &state(s)));
    if let (Change::Worse, Some(s)) = (r.change, &r.new) {
        page.field(4, "because", &s.reason);
        r.next_step.iter().for_each(|n| page.field(4, "next", n));
    }
}

fn state(s: &State) -> String {
    let words = |w: &str| w.replace('_', " ");
    s.cause.as_ref().map_or_else(|| words(&s.outcome), |c| format!("{}, {}", words(&s.outcome), words(c)))
}

fn flows(page: &mut Page, diff: &Diff) {
    if !diff.flows.is_empty() {
        page.heading("Flows");
    }
    diff.flows.iter().for_each(|f| flow(page, f));
}

fn flow(page: &mut Page, f: &FlowChange) {
    let (mark, word) = mark(f.change, !f.old.is_empty(), !f.new.is_empty());
    let standing = match (f.old.as_slice(), f.new.as_slice()) {
        (one, []) | ([], one) => standings(one),
        (old, new) => format!("{} → {}", standings(old), standings(new)),
    };
    page.bullet(2, mark, &format!("{word}: {} → {} {}, {standing}", f.orig, f.resp, f.service));
    if f.change == Change::Worse {
        page.field(4, "evidence", &f.evidence);
    }
}

fn standings(all: &[Standing]) -> String {
    let one = |s: &Standing| match &s.unexpected {
        Some(kind) => format!("{} ({})", s.class, kind.replace('_', " ")),
        None => s.class.clone(),
    };
    all.iter().map(one).collect::<Vec<_>>().join(" and ")
}

fn warnings(page: &mut Page, diff: &Diff) {
    if !diff.warnings.is_empty() {
        page.heading("Warnings");
    }
    for w in &diff.warnings {
        let (mark, word) = mark(Change::Other, !w.new, w.new);
        page.bullet(2, mark, &format!("{word}: {}", w.text));
    }
}

fn counts(page: &mut Page, diff: &Diff) {
    if !diff.counts.is_empty() {
        page.heading("Coverage and exposure");
    }
    diff.counts.iter().for_each(|c| count(page, c));
}

fn count(page: &mut Page, change: &CountChange) {
    let what = match change.what.split_once('.') {
        None => "required requirements seen working".to_owned(),
        Some((_, kind)) => format!("openings used, {kind}"),
    };
    let of = |c: Count| format!("{} of {}", c.part, c.of);
    page.bullet(2, ("•", Ink::Plain), &format!("{what}: {} → {}", of(change.old), of(change.new)));
}
