//! Captures that end early: what came after the damage was never seen, so that nothing vouches for it.

use super::judged::Judged;
use super::points::PointView;
use super::sound::{hides, local_window};
use crate::base::{Problem, ProblemKind, Time};
use crate::observe::InputSummary;

/// Why the damage of captures keeps the verdict from being a pass, one sentence for each. None where all that is judged ended
/// before the damage, or where the next file of a series took over at once.
pub(super) fn ends_early(j: &Judged<'_, '_>) -> Vec<String> {
    let mut out = Vec::new();
    for (at, p) in j.points.iter().enumerate() {
        let damaged = p.observation.inputs.iter().filter(|i| matters(j, at, p, i));
        out.extend(damaged.map(|i| reason(p, i, !j.site.windows.is_empty())));
        let saved = p.observation.problems.iter().filter(|x| tells(x.kind));
        out.extend(saved.map(|x| half_saved(p, x)));
    }
    out
}

/// Problems that forbid a pass and are told here.
pub(super) const fn tells(kind: ProblemKind) -> bool {
    matches!(kind, ProblemKind::SavedIncomplete)
}

/// A saved observation is in no order of time: no window lies before its damage.
fn half_saved(p: &PointView<'_>, x: &Problem) -> String {
    let name = p.observation.inputs.iter().find(|i| i.input == x.input).map_or("a capture", |i| &i.name);
    let at = x.offset.map_or_else(String::new, |at| format!(" at byte {at}"));
    format!(
        "the capture ends early: what was saved of {name} cannot be read on{at} ({}); get the whole file, or save it again",
        x.detail
    )
}

fn matters(j: &Judged<'_, '_>, at: usize, p: &PointView<'_>, i: &InputSummary) -> bool {
    if j.site.windows.is_empty() {
        return hides(p, i, Time::from_nanos(i64::MIN), Time::from_nanos(i64::MAX));
    }
    j.site.windows.iter().map(|w| local_window(j.places, at, w)).any(|(from, to)| hides(p, i, from, to))
}

fn reason(p: &PointView<'_>, i: &InputSummary, windows: bool) -> String {
    let offset = i.damaged_at.unwrap_or_default();
    // The offset counts what was read: of a compressed file that is not where to look on disk.
    let of = if i.format.contains(", ") { " of what it unpacks to" } else { "" };
    let cut = |k| matches!(k, ProblemKind::FileTruncated | ProblemKind::FileCorrupt);
    let kind = p.observation.problems.iter().find(|x| x.input == i.input && cut(x.kind)).map(|x| x.kind);
    let how = if kind == Some(ProblemKind::FileTruncated) { "is cut off" } else { "cannot be read on" };
    let since = i.last.map_or_else(String::new, |t| format!(" after {}", t.short()));
    let time = if windows { "" } else { ", or, if the restore had ended by then, say when it ran (--from, --to)" };
    format!(
        "the capture ends early: {} {how} at byte {offset}{of}, and what came{since} was never seen; get the whole file or \
         capture again{time}",
        i.name
    )
}
