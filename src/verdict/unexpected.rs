//! Unexpected flows in a few lines: those of one service are one, and where there are many services or many strangers, those are
//! one, too. A scan is one finding, not a hundred thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::judged::Judged;
use super::seen::Seen;
use super::words;
use crate::base::Proto;
use crate::flow::FlowId;
use crate::report::UnexpectedKind;

/// Services of one pair, and strangers of one host, that are told one by one.
const TOLD: usize = 16;

/// One service of one pair.
type Service = (UnexpectedKind, IpAddr, IpAddr, Proto, u16);

/// What is told in one line, by what its flows have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Service(Service),
    Pair(UnexpectedKind, IpAddr, IpAddr),
    /// From anyone to it.
    To(UnexpectedKind, IpAddr),
    /// From it to anyone.
    From(UnexpectedKind, IpAddr),
}

/// Unexpected flows of the kinds that fail, or of the others: what to say, and which they are, in the order of their first flows. One
/// connection seen at several places is one flow.
pub(super) fn unexpected(j: &Judged<'_, '_>, fails: bool) -> Vec<(String, Vec<FlowId>)> {
    let all: Vec<&Seen<'_>> = j.unexpected(fails).collect();
    let mut peers: BTreeMap<Line, BTreeSet<IpAddr>> = BTreeMap::new();
    for (line, stranger) in all.iter().filter_map(|s| strangers(s)) {
        few(peers.entry(line).or_default(), stranger);
    }
    let many = |line: &Line| peers.get(line).is_some_and(|all| all.len() > TOLD);
    let folded = |s: &Seen<'_>| strangers(s).map(|(line, _)| line).filter(many);
    let mut services: BTreeMap<Line, BTreeSet<(Proto, u16)>> = BTreeMap::new();
    for (kind, orig, resp, proto, port) in all.iter().filter(|s| folded(s).is_none()).filter_map(|s| service(s)) {
        few(services.entry(Line::Pair(kind, orig, resp)).or_default(), (proto, port));
    }
    let mut lines: Vec<(Line, Vec<&Seen<'_>>)> = Vec::new();
    let mut places: BTreeMap<Line, usize> = BTreeMap::new();
    for s in all {
        let Some(service) = service(s) else { continue };
        let pair = Line::Pair(service.0, service.1, service.2);
        let many = || services.get(&pair).is_some_and(|all| all.len() > TOLD);
        let line = folded(s).unwrap_or_else(|| if many() { pair } else { Line::Service(service) });
        let place = *places.entry(line).or_insert(lines.len());
        match lines.get_mut(place) {
            Some((_, flows)) => flows.push(s),
            None => lines.push((line, vec![s])),
        }
    }
    lines
        .into_iter()
        .map(|(line, flows)| (told(j, line, &flows), flows.iter().map(|s| s.id.clone()).collect()))
        .collect()
}

fn service(s: &Seen<'_>) -> Option<Service> {
    let (o, r) = (s.flow.point(s.direction.orig).addr, s.flow.point(s.direction.orig.other()).addr);
    Some((s.class.unexpected?, o, r, s.flow.key.proto, s.port()))
}

/// The line of all strangers that talk to the same host in the same direction, and which one it is.
fn strangers(s: &Seen<'_>) -> Option<(Line, IpAddr)> {
    let (kind, orig, resp, ..) = service(s).filter(|s| s.0 == UnexpectedKind::UnknownPeer)?;
    Some(if s.orig_roles.is_empty() { (Line::To(kind, resp), orig) } else { (Line::From(kind, orig), resp) })
}

/// Adds to a set of which only matters whether it holds more than [`TOLD`].
fn few<T: Ord>(set: &mut BTreeSet<T>, item: T) {
    if set.len() <= TOLD {
        set.insert(item);
    }
}

fn told(j: &Judged<'_, '_>, line: Line, flows: &[&Seen<'_>]) -> String {
    let host = |addr| words::addr(j.site, addr);
    let others = |of: &dyn Fn(&Service) -> IpAddr| {
        let all: BTreeSet<IpAddr> = flows.iter().filter_map(|s| service(s)).map(|s| of(&s)).collect();
        let first = flows.first().and_then(|s| service(s)).map(|s| of(&s).to_string()).unwrap_or_default();
        format!("{} and {} more addresses", first, all.len().saturating_sub(1))
    };
    let (kind, what) = match line {
        Line::Service((kind, orig, resp, proto, port)) => {
            (kind, format!("{} to {} {proto}/{port}", host(orig), host(resp)))
        }
        Line::Pair(kind, orig, resp) => (kind, format!("{} to {} {}", host(orig), host(resp), services(flows))),
        Line::To(kind, resp) => (kind, format!("{} to {} {}", others(&|s| s.1), host(resp), services(flows))),
        Line::From(kind, orig) => (kind, format!("{} to {} {}", host(orig), others(&|s| s.2), services(flows))),
    };
    let n = flows.len() as u64;
    let count = if n > 1 { format!(", {}", words::count(n, "flow")) } else { String::new() };
    format!("unexpected ({}): {what}{count}", kind_words(kind))
}

/// `tcp/445`, or how many there are and between which.
fn services(flows: &[&Seen<'_>]) -> String {
    let all: BTreeSet<(Proto, u16)> = flows.iter().map(|s| (s.flow.key.proto, s.port())).collect();
    let name = |s: Option<&(Proto, u16)>| s.map_or_else(String::new, |(proto, port)| format!("{proto}/{port}"));
    match all.len() {
        ..=3 => all.iter().map(|s| name(Some(s))).collect::<Vec<_>>().join(", "),
        n => format!("{} to {} ({n} ports)", name(all.first()), name(all.last())),
    }
}

const fn kind_words(kind: UnexpectedKind) -> &'static str {
    match kind {
        UnexpectedKind::NoRule => "no rule allows it",
        UnexpectedKind::Reversed => "allowed only in the other direction",
        UnexpectedKind::WrongProtocol => "another protocol than the rule's",
        UnexpectedKind::ConditionOff => "not in this operation or window",
        UnexpectedKind::UnknownPeer => "peer without a role",
    }
}
