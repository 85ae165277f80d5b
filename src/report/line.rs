//! One line for a support case: the answer, what failed, what was read, and by which rules.

use std::fmt::Write as _;

use super::text::first_last_utc;
use super::{Class, FlowRecord, Outcome, Report, Requirement, Verdict};
use crate::base::visible;

/// Longest line, in characters. What does not fit is counted, not cut silently.
pub const MAX: usize = 400;

/// Longest single part: a name from a file cannot push the rest of the line out.
const PART: usize = 160;

/// Renders a report as one line, without the line end.
pub fn render(report: &Report) -> String {
    let scope = &report.scope;
    let head = format!(
        "{} {} {}/{} required in view",
        report.tool.name,
        report.verdict.word(),
        scope.required_in_view,
        scope.required
    );
    let head = match scope.exceptions {
        0 => head,
        1 => format!("{head}, 1 exception"),
        n => format!("{head}, {n} exceptions"),
    };
    let tail: Vec<String> = [captures(report), matrix(report)].into_iter().flatten().map(|p| part(&p)).collect();
    let reserved = head.chars().count() + tail.iter().map(|t| t.chars().count() + 2).sum::<usize>();
    let mut line = head;
    line.push_str(&findings(report, MAX.saturating_sub(reserved)));
    tail.iter().for_each(|t| line.extend(["; ", t]));
    line
}

/// As many findings as fit into `room` characters, each behind "; ", and the number of the others.
fn findings(report: &Report, room: usize) -> String {
    const MORE: usize = "; and 1000000 more".len();
    let all = all_findings(report);
    let mut out = String::new();
    for (i, finding) in all.iter().enumerate() {
        let finding = part(finding);
        let last = i + 1 == all.len();
        let needed = out.chars().count() + 2 + finding.chars().count() + if last { 0 } else { MORE };
        if needed > room {
            let _infallible = write!(out, "; and {} more", all.len() - i);
            break;
        }
        out.extend(["; ", &finding]);
    }
    out
}

fn all_findings(report: &Report) -> Vec<String> {
    let requirements = |outcome: Outcome| {
        let of = report.requirements.iter().filter(move |r| r.outcome == outcome);
        of.map(move |r| format!("{}: {}", outcome.words(), requirement(report, r)))
    };
    let unexpected =
        report.flows.iter().map(AsRef::as_ref).filter(|f: &&FlowRecord| f.class == Some(Class::Unexpected));
    let failing = unexpected.filter(|f| f.unexpected.is_some_and(|k| k.fails()));
    let mut all: Vec<String> = requirements(Outcome::Blocked).chain(requirements(Outcome::Missing)).collect();
    all.extend(failing.map(flow));
    if report.verdict == Verdict::Inconclusive || (all.is_empty() && report.verdict == Verdict::Fail) {
        // Without a site what is blocked stands first, and is told above.
        let reason = if report.site.is_none() { report.reasons.last() } else { report.reasons.first() };
        all.extend(reason.cloned());
    }
    all
}

/// `image.rpc-dynamic con01 (10.77.0.10) -> tgt01 (10.77.1.20) tcp/49154 unanswered`
fn requirement(report: &Report, r: &Requirement) -> String {
    let deciding = r.flows.first().and_then(|id| report.flows.iter().find(|f| f.id == *id));
    let cause = r.cause.map_or(String::new(), |c| format!(" {}", c.words()));
    match deciding {
        Some(f) => format!("{} {} -> {} {}{cause}", r.rule, f.orig.named(), f.resp.named(), service(f)),
        None => format!("{} {} -> {} {}{cause}", r.rule, r.from.join(" or "), r.to, r.service),
    }
}

fn flow(f: &FlowRecord) -> String {
    let kind = f.unexpected.map_or("", super::UnexpectedKind::words);
    format!("unexpected: {kind} {} -> {} {}", f.orig.named(), f.resp.named(), service(f))
}

fn service(f: &FlowRecord) -> String {
    format!("{}/{}", f.proto, f.resp.port)
}

fn captures(report: &Report) -> Option<String> {
    let name = match report.captures.as_slice() {
        [] => return None,
        // The folder says nothing to support, and may say much about the sender.
        [one] => format!("capture {}", one.path.rsplit(['/', '\\']).next().unwrap_or_default()),
        many => format!("{} captures", many.len()),
    };
    let times = report.scope.first.zip(report.scope.last).map(|(a, b)| format!(" {}", first_last_utc(a, b)));
    Some(name + &times.unwrap_or_default())
}

fn matrix(report: &Report) -> Option<String> {
    let id = &report.matrix.id;
    (!id.is_empty()).then(|| format!("matrix {id}"))
}

/// A part made visible and bounded; a shortened one ends in "...".
fn part(text: &str) -> String {
    let text = visible(text);
    if text.chars().count() <= PART {
        return text.into_owned();
    }
    text.chars().take(PART - 3).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn one_line_says_what_failed_where_and_by_which_rules() {
        insta::assert_snapshot!(render(&sample::blocked()), @r#"portwitness FAIL 2/3 required in view, 1 exception; blocked: image.rpc-dynamic con01 (10.77.0.10) -> tgt01 (10.77.1.20) tcp/49154 unanswered; unexpected: no rule mnt01 (10.77.0.12) -> tgt01 (10.77.1.20) tcp/3389; capture restore.pcap 2026-11-20T21:00:00Z..21:04:10Z; matrix veeam-oracle-13.0.1"#);
        insta::assert_snapshot!(render(&sample::pass()), @r#"portwitness PASS 2/3 required in view; capture restore.pcap 2026-11-20T21:00:00Z..21:04:10Z; matrix veeam-oracle-13.0.1"#);
        insta::assert_snapshot!(render(&sample::no_site()), @r#"portwitness INCONCLUSIVE 2/3 required in view; Without a site file roles are guesses: write one and run again.; capture evil\u{1b}[2J\nname\u{202e}.pcap 2026-11-20T21:00:00Z..21:04:10Z; matrix veeam-oracle-13.0.1"#);
    }

    #[test]
    fn a_thousand_findings_and_a_long_name_stay_inside_the_bound() {
        let mut report = sample::blocked();
        let one = report.requirements.remove(1);
        report.requirements = vec![one; 1000];
        report.captures[0].path = "x".repeat(5000);
        report.matrix.id = "m".repeat(5000);
        let line = render(&report);
        assert!(line.chars().count() <= MAX + 40, "{}: {line}", line.chars().count());
        assert!(line.contains(" more"), "{line}");
        assert!(!line.contains('\n'));
    }
}
