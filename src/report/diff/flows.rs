//! Flows of two reports, side by side: by what they are for an administrator, not by their identifiers.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{End, Flow, Judged};
use super::{Change, FlowChange, Standing};
use crate::base::Service;

/// Originator, responder, service.
type Key = (String, String, String);

/// What one report says of flows with one key.
#[derive(Clone, Debug, Default)]
struct Seen {
    standings: BTreeSet<Standing>,
    evidence: String,
}

/// Labels of addresses: those of the new report first, since a site may have been added between the two.
type Names = BTreeMap<String, String>;

pub(super) fn changes(old: &Judged, new: &Judged) -> Vec<FlowChange> {
    let names = names(old, new);
    let (before, now) = (seen(old, &names), seen(new, &names));
    let keys: BTreeSet<&Key> = before.keys().chain(now.keys()).collect();
    let mut out: Vec<FlowChange> = keys.iter().filter_map(|k| change(k, before.get(*k), now.get(*k))).collect();
    out.sort_by_key(|c| c.change);
    out
}

fn names(old: &Judged, new: &Judged) -> Names {
    let ends = old.flows.iter().chain(&new.flows).flat_map(|f| [&f.orig, &f.resp]);
    ends.filter_map(|e| Some((e.addr.clone(), e.host.clone()?))).collect()
}

fn seen(report: &Judged, names: &Names) -> BTreeMap<Key, Seen> {
    let ranges = ranges(report);
    let name = |end: &End| names.get(&end.addr).unwrap_or(&end.addr).clone();
    let mut all: BTreeMap<Key, Seen> = BTreeMap::new();
    for flow in &report.flows {
        let Some(class) = flow.class.clone() else { continue };
        let at = all.entry((name(&flow.orig), name(&flow.resp), service(flow, &ranges))).or_default();
        at.standings.insert(Standing { class, unexpected: flow.unexpected.clone() });
        if at.evidence.is_empty() {
            at.evidence = format!("{}:{}", flow.input, flow.first_frame);
        }
    }
    all
}

/// Services of rules that span several ports.
fn ranges(report: &Judged) -> BTreeSet<(&str, String)> {
    let of = |r| {
        let r: &super::read::Requirement = r;
        [Some(&r.service), r.fallback.as_ref()].into_iter().flatten().map(|s| (r.rule.as_str(), s.clone()))
    };
    report.requirements.iter().flat_map(of).filter(|(_, s)| s.contains('-')).collect()
}

/// A port out of a rule's range is chosen anew each time: the range stands for it. Other protocols have no ports.
fn service(flow: &Flow, ranges: &BTreeSet<(&str, String)>) -> String {
    let holds = |s: &str| Service::parse(s).is_ok_and(|s| s.contains(flow.proto, flow.resp.port));
    let range = ranges.iter().find(|(rule, s)| flow.rules.iter().any(|r| r == rule) && holds(s));
    match (range, flow.resp.port) {
        (Some((_, range)), _) if flow.class.as_deref() == Some("expected") => range.clone(),
        (_, 0) => flow.proto.to_string(),
        (_, port) => format!("{}/{port}", flow.proto),
    }
}

fn change(key: &Key, before: Option<&Seen>, now: Option<&Seen>) -> Option<FlowChange> {
    let of = |side: Option<&Seen>| side.map(|s| s.standings.clone()).unwrap_or_default();
    let (old, new) = (of(before), of(now));
    if old == new {
        return None;
    }
    let (orig, resp, service) = key.clone();
    let change = direction(&old, &new);
    let evidence = now.or(before).map(|s| s.evidence.clone()).unwrap_or_default();
    let (old, new) = (old.into_iter().collect(), new.into_iter().collect());
    Some(FlowChange { change, orig, resp, service, old, new, evidence })
}

/// A kind of unexpected that was not there is worse. That unexpected flows did not occur again repairs nothing.
fn direction(old: &BTreeSet<Standing>, new: &BTreeSet<Standing>) -> Change {
    let unexpected = |s: &BTreeSet<Standing>| s.iter().any(|s| s.class == "unexpected");
    if new.difference(old).any(|s| s.class == "unexpected") {
        Change::Worse
    } else if unexpected(old) && !unexpected(new) && !new.is_empty() {
        Change::Better
    } else {
        Change::Other
    }
}
