//! Unexpected flows in a few lines: those of one service are one, and where there are many services or many strangers, those are
//! one, too. A scan is one finding, not a hundred thousand.

use std::collections::BTreeSet;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Line {
    Service(Service),
    Pair(UnexpectedKind, IpAddr, IpAddr),
    /// From anyone to it.
    To(UnexpectedKind, IpAddr),
    /// From it to anyone.
    From(UnexpectedKind, IpAddr),
}

impl Line {
    /// Of the flows of a line, who is the stranger; of a line about a pair, the originator.
    const fn stranger(self, (_, orig, resp, ..): Service) -> IpAddr {
        if let Self::From(..) = self { resp } else { orig }
    }
}

/// What is known of lines. Never iterated.
type ByLine<T> = HashMap<Line, T, RandomState>;

/// Unexpected flows of the kinds that fail, or of the others: what to say, and which they are, in the order of their first flows. One
/// connection seen at several places is one flow.
pub(super) fn unexpected(j: &Judged<'_, '_>, fails: bool) -> Vec<(String, Vec<FlowId>)> {
    let all: Vec<(&Seen<'_>, Service, Option<Line>)> = j
        .unexpected(fails)
        .filter_map(|s| {
            let service = service(s)?;
            Some((s, service, strangers(s, service)))
        })
        .collect();
    let mut peers: ByLine<BTreeSet<IpAddr>> = ByLine::default();
    for (_, service, line) in &all {
        line.iter().for_each(|line| few(peers.entry(*line).or_default(), line.stranger(*service)));
    }
    let many = |line: &Line| peers.get(line).is_some_and(|all| all.len() > TOLD);
    let all = all.into_iter().map(|(s, service, line)| (s, service, line.filter(many)));
    let all: Vec<(&Seen<'_>, Service, Option<Line>)> = all.collect();
    let mut services: ByLine<BTreeSet<(Proto, u16)>> = ByLine::default();
    for ((kind, orig, resp, proto, port), _) in all.iter().map(|(_, s, folded)| (*s, folded)).filter(|f| f.1.is_none())
    {
        few(services.entry(Line::Pair(kind, orig, resp)).or_default(), (proto, port));
    }
    let mut lines: Vec<(Line, Vec<(&Seen<'_>, Service)>)> = Vec::new();
    let mut places: ByLine<usize> = ByLine::default();
    for (s, service, folded) in all {
        let pair = Line::Pair(service.0, service.1, service.2);
        let many = || services.get(&pair).is_some_and(|all| all.len() > TOLD);
        let line = folded.unwrap_or_else(|| if many() { pair } else { Line::Service(service) });
        let place = *places.entry(line).or_insert(lines.len());
        match lines.get_mut(place) {
            Some((_, flows)) => flows.push((s, service)),
            None => lines.push((line, vec![(s, service)])),
        }
    }
    let ids = |flows: &[(&Seen<'_>, Service)]| flows.iter().map(|(s, _)| s.id.clone()).collect();
    let told = |flows: &[(&Seen<'_>, Service)], line| {
        let services: Vec<Service> = flows.iter().map(|(_, s)| *s).collect();
        told(j, line, &services)
    };
    lines.into_iter().map(|(line, flows)| (told(&flows, line), ids(&flows))).collect()
}

fn service(s: &Seen<'_>) -> Option<Service> {
    let (o, r) = (s.flow.point(s.direction.orig).addr, s.flow.point(s.direction.orig.other()).addr);
    Some((s.class.unexpected?, o, r, s.flow.key.proto, s.port()))
}

/// The line of all strangers that talk to the same host in the same direction.
fn strangers(s: &Seen<'_>, (kind, orig, resp, ..): Service) -> Option<Line> {
    let line = || if s.orig_roles.is_empty() { Line::To(kind, resp) } else { Line::From(kind, orig) };
    (kind == UnexpectedKind::UnknownPeer).then(line)
}

/// Adds to a set of which only matters whether it holds more than [`TOLD`].
fn few<T: Ord>(set: &mut BTreeSet<T>, item: T) {
    if set.len() <= TOLD {
        set.insert(item);
    }
}

fn told(j: &Judged<'_, '_>, line: Line, flows: &[Service]) -> String {
    let host = |addr| words::addr(j.site, addr);
    let others = || {
        let all = sorted(flows.iter().map(|s| line.stranger(*s)));
        let first = flows.first().map(|s| line.stranger(*s).to_string()).unwrap_or_default();
        format!("{} and {} more addresses", first, all.len().saturating_sub(1))
    };
    let (kind, what) = match line {
        Line::Service((kind, orig, resp, proto, port)) => {
            (kind, format!("{} to {} {proto}/{port}", host(orig), host(resp)))
        }
        Line::Pair(kind, orig, resp) => (kind, format!("{} to {} {}", host(orig), host(resp), services(flows))),
        Line::To(kind, resp) => (kind, format!("{} to {} {}", others(), host(resp), services(flows))),
        Line::From(kind, orig) => (kind, format!("{} to {} {}", host(orig), others(), services(flows))),
    };
    let n = flows.len() as u64;
    let count = if n > 1 { format!(", {}", words::count(n, "flow")) } else { String::new() };
    format!("unexpected ({}): {what}{count}", kind_words(kind))
}

/// `tcp/445`, or how many there are and between which.
fn services(flows: &[Service]) -> String {
    let all = sorted(flows.iter().map(|(.., proto, port)| (*proto, *port)));
    let name = |s: Option<&(Proto, u16)>| s.map_or_else(String::new, |(proto, port)| format!("{proto}/{port}"));
    match all.len() {
        ..=3 => all.iter().map(|s| name(Some(s))).collect::<Vec<_>>().join(", "),
        n => format!("{} to {} ({n} ports)", name(all.first()), name(all.last())),
    }
}

/// All different ones, in order.
fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = items.collect();
    all.sort_unstable();
    all.dedup();
    all
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
