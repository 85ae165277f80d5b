//! Unexpected flows in a few lines: those of one service are one, and where there are many services or many strangers, those are
//! one, too. A scan is one finding, not a hundred thousand.

use std::collections::BTreeSet;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{UnexpectedKind, ip};
use crate::base::Proto;

/// Services of one pair, and strangers of one host, that are told one by one.
const TOLD: usize = 16;

/// One service of one pair, and why a flow of it is unexpected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    pub(crate) kind: UnexpectedKind,
    pub(crate) orig: IpAddr,
    pub(crate) resp: IpAddr,
    pub(crate) proto: Proto,
    /// The responder's.
    pub(crate) port: u16,
}

/// What is told in one line, by what its flows have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Line {
    /// All of it.
    Service(Service),
    /// Kind, originator and responder.
    Pair(UnexpectedKind, IpAddr, IpAddr),
    /// From any stranger to it.
    To(IpAddr),
    /// From it to any stranger.
    From(IpAddr),
}

/// A line's flows in words.
pub(crate) struct Told {
    pub(crate) kind: UnexpectedKind,
    /// `192.0.2.7`, `192.0.2.7 and 16 more addresses`
    pub(crate) from: String,
    pub(crate) to: String,
    /// `tcp/445`; of many how many there are and between which.
    pub(crate) services: String,
    /// Wireshark display filter for them. Of strangers it shows what was sent to or by the host they have in common.
    pub(crate) filter: String,
}

/// What is known of lines. Never iterated.
type ByLine<T> = HashMap<Line, T, RandomState>;

/// The lines in the order of their first flows, each with the indices of its flows. Of each flow its service, and whether its
/// originator is the end that has no role.
pub(crate) fn lines(flows: &[(Service, bool)]) -> Vec<(Line, Vec<usize>)> {
    let mut strangers: ByLine<BTreeSet<IpAddr>> = ByLine::default();
    for (service, from_stranger) in flows {
        let of = service.of_strangers(*from_stranger);
        of.iter().for_each(|line| few(strangers.entry(*line).or_default(), line.stranger(*service)));
    }
    let many = |line: &Line| strangers.get(line).is_some_and(|all| all.len() > TOLD);
    let of_many = |service: Service, from_stranger| service.of_strangers(from_stranger).filter(many);
    let mut services: ByLine<BTreeSet<(Proto, u16)>> = ByLine::default();
    for (service, from_stranger) in flows {
        if of_many(*service, *from_stranger).is_none() {
            few(services.entry(service.of_pair()).or_default(), (service.proto, service.port));
        }
    }
    let of_pair = |pair: &Line| services.get(pair).is_some_and(|all| all.len() > TOLD);
    let mut lines: Vec<(Line, Vec<usize>)> = Vec::new();
    let mut places: ByLine<usize> = ByLine::default();
    for (i, (service, from_stranger)) in flows.iter().enumerate() {
        let pair = Some(service.of_pair()).filter(of_pair);
        let line = of_many(*service, *from_stranger).or(pair).unwrap_or(Line::Service(*service));
        let place = *places.entry(line).or_insert(lines.len());
        match lines.get_mut(place) {
            Some((_, members)) => members.push(i),
            None => lines.push((line, vec![i])),
        }
    }
    lines
}

impl Service {
    const fn of_pair(self) -> Line {
        Line::Pair(self.kind, self.orig, self.resp)
    }

    /// The line of all strangers that talk to the same host in the same direction.
    fn of_strangers(self, from_stranger: bool) -> Option<Line> {
        let line = if from_stranger { Line::To(self.resp) } else { Line::From(self.orig) };
        (self.kind == UnexpectedKind::UnknownPeer).then_some(line)
    }
}

impl Line {
    /// Of the flows of a line, who is the stranger; of a line about a pair, the originator.
    const fn stranger(self, service: Service) -> IpAddr {
        if let Self::From(_) = self { service.resp } else { service.orig }
    }

    /// The line's flows in words; `name` is that of an address. `None` where there are none.
    pub(crate) fn told(self, flows: &[Service], name: &dyn Fn(IpAddr) -> String) -> Option<Told> {
        let first = flows.first()?;
        let others = || {
            let all = sorted(flows.iter().map(|s| self.stranger(*s)));
            format!("{} and {} more addresses", self.stranger(*first), all.len().saturating_sub(1))
        };
        let (from, to) = match self {
            Self::Service(_) | Self::Pair(..) => (name(first.orig), name(first.resp)),
            Self::To(host) => (others(), name(host)),
            Self::From(host) => (name(host), others()),
        };
        Some(Told { kind: first.kind, from, to, services: services(flows), filter: self.filter(*first, flows) })
    }

    fn filter(self, first: Service, flows: &[Service]) -> String {
        let (hosts, port) = match self {
            Self::Service(_) | Self::Pair(..) => {
                let name = ip(first.orig);
                (format!("{name}.addr == {} && {name}.addr == {}", first.orig, first.resp), "port")
            }
            Self::To(host) => (format!("{}.dst == {host}", ip(host)), "dstport"),
            Self::From(host) => (format!("{}.src == {host}", ip(host)), "dstport"),
        };
        let proto = first.proto;
        let ports = flows.iter().map(|s| s.port);
        let (lowest, highest) = (ports.clone().min().unwrap_or(0), ports.max().unwrap_or(0));
        if !matches!(proto, Proto::Tcp | Proto::Udp) || flows.iter().any(|s| s.proto != proto) {
            hosts
        } else if lowest == highest {
            format!("{hosts} && {proto}.{port} == {lowest}")
        } else {
            format!("{hosts} && {proto}.{port} in {{{lowest}..{highest}}}")
        }
    }
}

/// Adds to a set of which only matters whether it holds more than [`TOLD`].
fn few<T: Ord>(set: &mut BTreeSet<T>, item: T) {
    if set.len() <= TOLD {
        set.insert(item);
    }
}

fn services(flows: &[Service]) -> String {
    let all = sorted(flows.iter().map(|s| (s.proto, s.port)));
    let name = |(proto, port): &(Proto, u16)| format!("{proto}/{port}");
    match all.as_slice() {
        [first, _, _, .., last] if all.len() > 3 => {
            format!("{} to {} ({} ports)", name(first), name(last), all.len())
        }
        few => few.iter().map(name).collect::<Vec<_>>().join(", "),
    }
}

/// All different ones, in order.
fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = items.collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn addr(n: u16) -> IpAddr {
        let [high, low] = n.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(192, 0, high, low))
    }

    /// From one to another, to a port.
    fn service(kind: UnexpectedKind, orig: u16, resp: u16, port: u16) -> Service {
        Service { kind, orig: addr(orig), resp: addr(resp), proto: Proto::Tcp, port }
    }

    fn told(flows: &[(Service, bool)]) -> Vec<(String, usize)> {
        let line = |(line, members): &(Line, Vec<usize>)| {
            let services: Vec<Service> = members.iter().map(|&i| flows[i].0).collect();
            let t = line.told(&services, &|a| format!("<{a}>")).unwrap();
            (format!("{}: {} to {} {}; {}", t.kind.name(), t.from, t.to, t.services, t.filter), members.len())
        };
        lines(flows).iter().map(line).collect()
    }

    #[test]
    fn up_to_sixteen_strangers_and_services_are_told_one_by_one() {
        use UnexpectedKind::{NoRule, UnknownPeer};
        for n in [16, 17] {
            let scan: Vec<_> = (0..n).map(|i| (service(UnknownPeer, 100 + i, 1, 1000 + i), true)).collect();
            let ports: Vec<_> = (0..n).map(|i| (service(NoRule, 2, 1, 2000 + i), false)).collect();
            let out: Vec<_> = (0..n).map(|i| (service(UnknownPeer, 1, 300 + i, 443), false)).collect();
            let all = told(&[scan, ports, out].concat());
            if n == 16 {
                assert_eq!(all.len(), 48);
                assert_eq!(
                    all[0].0,
                    "unknown_peer: <192.0.0.100> to <192.0.0.1> tcp/1000; ip.addr == 192.0.0.100 && ip.addr == 192.0.0.1 && tcp.port == 1000"
                );
            } else {
                let lines: Vec<&str> = all.iter().map(|l| l.0.as_str()).collect();
                assert_eq!(
                    lines,
                    [
                        "unknown_peer: 192.0.0.100 and 16 more addresses to <192.0.0.1> tcp/1000 to tcp/1016 (17 ports); ip.dst == 192.0.0.1 && tcp.dstport in {1000..1016}",
                        "no_rule: <192.0.0.2> to <192.0.0.1> tcp/2000 to tcp/2016 (17 ports); ip.addr == 192.0.0.2 && ip.addr == 192.0.0.1 && tcp.port in {2000..2016}",
                        "unknown_peer: <192.0.0.1> to 192.0.1.44 and 16 more addresses tcp/443; ip.src == 192.0.0.1 && tcp.dstport == 443",
                    ]
                );
            }
            assert_eq!(all.iter().map(|l| l.1).sum::<usize>(), 3 * usize::from(n));
        }
    }

    #[test]
    fn a_line_has_the_flows_of_its_service_in_their_order() {
        let one = service(UnexpectedKind::Reversed, 1, 2, 22);
        let other = service(UnexpectedKind::Reversed, 1, 2, 445);
        let all = lines(&[(one, false), (other, false), (one, false)]);
        assert_eq!(all, [(Line::Service(one), vec![0, 2]), (Line::Service(other), vec![1])]);
    }
}
