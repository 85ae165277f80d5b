//! Two reports compared: before a change of the firewall and after it.
//!
//! Only what an administrator would call a difference counts: the same flow on another ephemeral port, another time or
//! another file name is none.

mod flows;
mod model;
mod read;
mod requirements;
#[cfg(test)]
mod tests;

pub use model::*;
pub use read::Judged;

use std::collections::BTreeSet;

use self::read::Openings;
use self::requirements::Tier;

/// Compares an older report with a newer one.
pub fn compare(old: &Judged, new: &Judged) -> Diff {
    let mut diff = Diff {
        schema: DIFF_SCHEMA.to_owned(),
        change: Change::None,
        rules: rules(old, new),
        places: swap("places", places(old), places(new)),
        verdict: verdict(old, new),
        requirements: requirements::changes(old, new),
        flows: flows::changes(old, new),
        warnings: warnings(old, new),
        counts: counts(old, new),
    };
    diff.change = whole(&diff);
    diff
}

/// The worst of all changes; differences that have no direction of their own make it `Other`.
fn whole(diff: &Diff) -> Change {
    let directed = diff.requirements.iter().map(|c| c.change).chain(diff.flows.iter().map(|c| c.change));
    let worst = directed.chain([diff.verdict.change]).min().unwrap_or(Change::None);
    let differs = !diff.rules.is_empty()
        || diff.places.is_some()
        || !diff.warnings.is_empty()
        || !diff.counts.is_empty()
        || diff.verdict.old != diff.verdict.new;
    if worst == Change::None && differs { Change::Other } else { worst }
}

fn swap(what: &str, old: Option<String>, new: Option<String>) -> Option<Swap> {
    (old != new).then(|| Swap { what: what.to_owned(), old, new })
}

fn rules(old: &Judged, new: &Judged) -> Vec<Swap> {
    let set = |id: &str, digest: &str| format!("{id} sha256 {digest}");
    let matrix = |r: &Judged| Some(set(&r.matrix.id, &r.matrix.digest));
    let companions = |r: &Judged| {
        let all: BTreeSet<String> = r.matrix.companions.iter().map(|s| set(&s.id, &s.digest)).collect();
        (!all.is_empty()).then(|| all.into_iter().collect::<Vec<_>>().join(", "))
    };
    let site = |r: &Judged| r.site.as_ref().map(|s| format!("sha256 {}", s.digest));
    let scope = |r: &Judged| Some(r.scope.mode.clone());
    let program = |r: &Judged| Some(r.tool.version.clone());
    let all = [
        swap("matrix", matrix(old), matrix(new)),
        swap("companions", companions(old), companions(new)),
        swap("site", site(old), site(new)),
        swap("scope", scope(old), scope(new)),
        swap("program", program(old), program(new)),
    ];
    all.into_iter().flatten().collect()
}

/// The hosts whose traffic was in sight; a mirror or router by its name.
fn places(report: &Judged) -> Option<String> {
    let points = report.observation_points.iter();
    let all: BTreeSet<String> =
        points.map(|p| if p.hosts.is_empty() { p.name.clone() } else { p.hosts.join(", ") }).collect();
    (!all.is_empty()).then(|| all.into_iter().collect::<Vec<_>>().join(", "))
}

fn verdict(old: &Judged, new: &Judged) -> VerdictChange {
    let tier = |r: &Judged| match r.verdict.as_str() {
        "pass" => Tier::Works,
        "fail" => Tier::Fails,
        "inconclusive" => Tier::Open,
        _ => Tier::Outside,
    };
    let answer = |r: &Judged| Answer { verdict: r.verdict.clone(), headline: r.headline.clone() };
    let change = if old.verdict == new.verdict { Change::None } else { tier(old).to(tier(new)) };
    VerdictChange { change, old: answer(old), new: answer(new) }
}

fn warnings(old: &Judged, new: &Judged) -> Vec<WarningChange> {
    let (before, now): (BTreeSet<_>, BTreeSet<_>) = (old.warnings.iter().collect(), new.warnings.iter().collect());
    let told = |new: bool| move |w: &&read::Warning| WarningChange { new, kind: w.kind.clone(), text: w.text.clone() };
    now.difference(&before).map(told(true)).chain(before.difference(&now).map(told(false))).collect()
}

fn counts(old: &Judged, new: &Judged) -> Vec<CountChange> {
    let all = |r: &Judged| {
        let of = |o: Openings| Count { part: o.used, of: o.opened };
        [
            ("coverage", Count { part: r.coverage.exercised, of: r.coverage.required }),
            ("exposure.needed", of(r.exposure.needed)),
            ("exposure.fallback", of(r.exposure.fallback)),
            ("exposure.permitted", of(r.exposure.permitted)),
            ("exposure.companion", of(r.exposure.companion)),
        ]
    };
    let pairs = all(old).into_iter().zip(all(new)).filter(|((_, a), (_, b))| a != b);
    pairs.map(|((what, old), (_, new))| CountChange { what: what.to_owned(), old, new }).collect()
}
