//! Flows that no requirement speaks of: unexpected, ambiguous, related; and, when asked for, every flow.

use std::collections::BTreeMap;

use super::moment::{Clock, size};
use super::page::{Ink, Page};
use super::plural;
use super::requirements::{attempt, ends, frame};
use crate::base::WireText;
use crate::report::alike::{Line, Service, lines};
use crate::report::{Class, EndRecord, FlowRecord, ProcessRecord, Report, TunnelRecord};

/// Groups printed per section without `--verbose`: a port scan has thousands.
const GROUPS: usize = 12;

/// What is told in one bullet.
struct Group<'a> {
    what: String,
    flows: Vec<&'a FlowRecord>,
    /// Whether one reason holds for all of them.
    same: bool,
    /// For Wireshark, where that is not the first flow's.
    filter: Option<String>,
}

/// Unexpected flows, the failing kinds first, those that are alike together.
pub(super) fn unexpected(page: &mut Page, report: &Report, clock: &Clock) {
    let of = |fails: bool| -> Vec<Group<'_>> {
        let flows = report.flows.iter().map(AsRef::as_ref).filter(|f| f.class == Some(Class::Unexpected) && counts(f));
        alike(flows.filter(|f| f.unexpected.is_some_and(|k| k.fails()) == fails))
    };
    let (failing, warning) = (of(true), of(false));
    if failing.is_empty() && warning.is_empty() {
        return;
    }
    page.heading("Unexpected flows");
    groups(page, clock, ("✗", Ink::Bad), &failing);
    groups(page, clock, ("!", Ink::Warn), &warning);
}

/// Unexpected flows in the groups in which they are told.
fn alike<'a>(flows: impl Iterator<Item = &'a FlowRecord>) -> Vec<Group<'a>> {
    let service = |f: &FlowRecord| {
        let (orig, resp) = (f.orig.addr, f.resp.addr);
        Some(Service { kind: f.unexpected?, orig, resp, proto: f.proto, port: f.resp.port })
    };
    let stranger = |f: &FlowRecord| f.orig.roles.as_ref().is_none_or(Vec::is_empty);
    let (records, services): (Vec<&FlowRecord>, Vec<(Service, bool)>) =
        flows.filter_map(|f| Some((f, (service(f)?, stranger(f))))).unzip();
    let group = |members: &[usize], line: Line| {
        let flows: Vec<&FlowRecord> = members.iter().filter_map(|&i| records.get(i).copied()).collect();
        let services: Vec<Service> = members.iter().filter_map(|&i| services.get(i)).map(|(s, _)| *s).collect();
        let ends = || flows.iter().flat_map(|f| [&f.orig, &f.resp]);
        let name = |addr| ends().find(|e| e.addr == addr).map_or_else(String::new, EndRecord::named);
        let told = line.told(&services, &name)?;
        let what = format!("{}: {} → {} {}", told.kind.words(), told.from, told.to, told.services);
        // One flow can be told again by both its ports.
        let filter = (flows.len() > 1).then_some(told.filter);
        Some(Group { what, flows, same: matches!(line, Line::Service(_)), filter })
    };
    lines(&services).into_iter().filter_map(|(line, members)| group(&members, line)).collect()
}

/// Flows with two readings.
pub(super) fn ambiguous(page: &mut Page, report: &Report, clock: &Clock) {
    let flows = report.flows.iter().map(AsRef::as_ref).filter(|f| f.class == Some(Class::Ambiguous) && counts(f));
    let what = |f: &FlowRecord| format!("{} → {} {}", f.orig.named(), f.resp.named(), service(f));
    let of = grouped(flows, what)
        .into_iter()
        .filter_map(|flows| Some(Group { what: what(flows.first()?), flows, same: true, filter: None }));
    let of: Vec<Group<'_>> = of.collect();
    if !of.is_empty() {
        page.heading("Flows with two readings");
        groups(page, clock, ("?", Ink::Warn), &of);
    }
}

/// Whether a record counts: a connection that several places saw has one that does.
fn counts(f: &FlowRecord) -> bool {
    f.connection.as_ref().is_none_or(|c| c.counts)
}

/// Groups in order of their first flow; each holds at least one.
fn grouped<'a, K: Ord>(
    flows: impl Iterator<Item = &'a FlowRecord>,
    key: impl Fn(&FlowRecord) -> K,
) -> Vec<Vec<&'a FlowRecord>> {
    let mut by_key: BTreeMap<K, Vec<&FlowRecord>> = BTreeMap::new();
    for flow in flows {
        by_key.entry(key(flow)).or_default().push(flow);
    }
    let mut groups: Vec<_> = by_key.into_values().collect();
    groups.sort_by_key(|g| g.first().map(|f| (f.first, f.first_frame)));
    groups
}

fn groups(page: &mut Page, clock: &Clock, mark: (&str, Ink), groups: &[Group<'_>]) {
    let shown = if page.verbose() { groups.len() } else { GROUPS };
    for Group { what, flows, same, filter } in groups.iter().take(shown) {
        let Some(first) = flows.first() else { continue };
        page.bullet(2, mark, &format!("{what}, {}", plural(flows.len() as u64, "flow")));
        if let Some(reason) = &first.reason {
            // The group's head says the kind in words already.
            let kind = first.unexpected.map_or(String::new(), |k| format!("{}: ", k.name()));
            let reason = reason.strip_prefix(&kind).unwrap_or(reason);
            page.field(4, "seen", &format!("{}{reason}", if *same { "" } else { "the first: " }));
        }
        let of = if flows.len() > 1 { "the first: " } else { "" };
        let evidence = format!("{of}{} {}, {}", frame(first), clock.moment(first.first), first.attempt);
        page.field(4, "evidence", &evidence);
        page.copyable(4, "wireshark", &filter.clone().unwrap_or_else(|| first.display_filter.to_string()));
    }
    let rest = groups.iter().skip(shown);
    let flows: usize = rest.clone().map(|g| g.flows.len()).sum();
    if flows > 0 {
        let text = format!("and {} ({})", plural(rest.count() as u64, "more group"), plural(flows as u64, "flow"));
        page.bullet(2, mark, &format!("{text}; --verbose lists them"));
    }
}

/// Related flows: per label the services and the hosts that took part.
pub(super) fn related(page: &mut Page, report: &Report) {
    let flows = report.flows.iter().map(AsRef::as_ref).filter(|f| f.class == Some(Class::Related) && counts(f));
    let by_label = grouped(flows, |f| (f.label.clone(), service(f)));
    if by_label.is_empty() {
        return;
    }
    page.heading("Related traffic (explained by companion sets or exceptions)");
    for group in &by_label {
        let Some(first) = group.first() else { continue };
        let mut pairs: Vec<String> = group.iter().map(|f| format!("{} → {}", f.orig.named(), f.resp.named())).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let shown = if page.verbose() { pairs.len() } else { 3 };
        let more = pairs.len().saturating_sub(shown);
        let mut text = pairs.iter().take(shown).cloned().collect::<Vec<_>>().join(", ");
        if more > 0 {
            text.push_str(&format!(", and {} (--verbose)", plural(more as u64, "more pair")));
        }
        let label = first.label.as_deref().unwrap_or("related");
        let count = plural(group.len() as u64, "flow");
        page.bullet(2, ("•", Ink::Plain), &format!("{label}: {}, {count}: {text}", service(first)));
    }
}

/// Every flow, with `--verbose`.
pub(super) fn all(page: &mut Page, report: &Report, clock: &Clock) {
    let c = &report.classes;
    page.heading("Flows");
    let kinds = [
        (c.expected, "expected"),
        (c.unexpected, "unexpected"),
        (c.unexpected_warning, "unexpected but only a warning"),
        (c.related, "related"),
        (c.ambiguous, "ambiguous"),
        (c.unrelated, "unrelated (only counted)"),
    ];
    let counts: Vec<String> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    page.para(2, Ink::Plain, &counts);
    if page.verbose() {
        report.flows.iter().for_each(|f| one(page, clock, f));
    }
}

fn one(page: &mut Page, clock: &Clock, f: &FlowRecord) {
    let class = f.class.map_or("", Class::words);
    let assumed = if f.assumed { ", direction assumed" } else { "" };
    page.blank();
    page.bullet(2, ("•", Ink::Plain), &format!("{} {}: {class}{assumed}", ends(f), f.proto));
    page.field(4, "id", &f.id.0);
    page.field(4, "when", &format!("{}, {}", clock.span(f.first, f.last), frame(f)));
    page.field(4, "attempt", &format!("{}: {}", attempt(f), f.attempt_reason));
    if let Some(after) = &f.after {
        page.field(4, "then", &format!("{}: {}", after.outcome.words(), after.reason));
    }
    let sides = format!(
        "{} / {} out, {} / {} back, direction by {}",
        plural(f.orig_packets, "packet"),
        size(f.orig_bytes),
        plural(f.resp_packets, "packet"),
        size(f.resp_bytes),
        f.direction.word()
    );
    page.field(4, "traffic", &sides);
    if let Some(reason) = &f.reason {
        page.field(4, "class", reason);
    }
    if !f.rules.is_empty() {
        page.field(4, "rules", &f.rules.join(", "));
    }
    if !f.app.summary.is_empty() {
        page.field(4, "speaks", &f.app.summary);
    }
    for also in f.connection.iter().flat_map(|c| &c.also) {
        let text =
            format!("{}: {} → {}, {}:{}", also.observation_point, also.orig, also.resp, also.input, also.first_frame);
        page.field(4, "also at", &text);
    }
    let inside = inside(f);
    let (dropped, processes) = (&f.dropped, processes(f));
    let lists = [
        ("process", &processes),
        ("dropped", dropped),
        ("inside", &inside),
        ("icmp", &f.icmp),
        ("vlans", &f.vlans),
        ("warnings", &f.warnings),
    ];
    for (label, list) in lists.into_iter().filter(|(_, l)| !l.is_empty()) {
        page.field(4, label, &list.join(", "));
    }
    page.copyable(4, "wireshark", &f.display_filter.to_string());
}

/// Processes at its ends: `opened by /usr/bin/ssh (pid 812, user.slice)`.
pub(super) fn processes(f: &FlowRecord) -> Vec<String> {
    let one = |p: &ProcessRecord| {
        let verb = if p.listens { "accepted" } else { "opened" };
        let pid = p.pid.map(|pid| format!("pid {pid}"));
        let more: Vec<String> = pid.into_iter().chain(p.unit.as_ref().map(WireText::terminal)).collect();
        let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
        format!("{verb} by {}{more}", p.program.terminal())
    };
    f.processes.iter().map(one).collect()
}

/// Tunnels a flow was seen in: `VXLAN 42 from 192.0.2.1 to 192.0.2.2 (3 packets)`.
pub(super) fn inside(f: &FlowRecord) -> Vec<String> {
    let mut all: Vec<String> = f.tunnels.iter().map(tunnel).collect();
    if let Some(n) = f.untunnelled_packets.filter(|n| *n > 0) {
        all.push(format!("{} in none", plural(n, "packet")));
    }
    all
}

fn tunnel(t: &TunnelRecord) -> String {
    let mut text = t.encapsulation.name().to_owned();
    if let Some(id) = t.id {
        text.push_str(&format!(" {id}"));
    }
    if let (Some(from), Some(to)) = (&t.from, &t.to) {
        text.push_str(&format!(" from {from} to {to}"));
    }
    format!("{text} ({})", plural(t.packets, "packet"))
}

/// `tcp/445`; `icmp` where there are no ports.
fn service(flow: &FlowRecord) -> String {
    if flow.resp.port == 0 { flow.proto.to_string() } else { format!("{}/{}", flow.proto, flow.resp.port) }
}
