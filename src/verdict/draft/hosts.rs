//! Hosts that were seen, busiest first, and what each does: for looking up what no role was suggested for.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use crate::app::Speaks;
use crate::base::{PortSet, Proto};
use crate::flow;
use crate::site::Site;
use crate::verdict::points::packets;
use crate::verdict::{PointSeen, words};

/// Most services listed per host.
pub(super) const SHOWN: usize = 8;

/// Most hosts listed: a scan must not bury the roles.
const HOSTS: usize = 40;

/// A service and what was spoken on it.
type Services = BTreeMap<(Proto, u16), Option<&'static str>>;

/// What one address was seen doing.
#[derive(Debug, Default)]
struct Doing {
    packets: u64,
    serves: Services,
    asks: Services,
}

/// The list as comments.
pub(super) fn seen(points: &[PointSeen], ports: &PortSet, site: &Site) -> String {
    let mut hosts: Vec<(IpAddr, Doing)> = doings(points, ports).into_iter().collect();
    hosts.sort_by_key(|(addr, d)| (std::cmp::Reverse(d.packets), *addr));
    if hosts.is_empty() {
        return "\n# No traffic between hosts was seen.\n".to_owned();
    }
    let mut out = String::from("\n# Hosts seen, busiest first:\n");
    for (addr, doing) in hosts.iter().take(HOSTS) {
        let roles = site.roles_of(*addr).iter().map(|r| r.word()).collect::<Vec<_>>().join(", ");
        let roles = if roles.is_empty() { String::new() } else { format!(" ({roles})") };
        let _ = writeln!(out, "#   {addr}{roles}: {}", words::count(doing.packets, "packet"));
        doing.lines(&mut out);
    }
    if hosts.len() > HOSTS {
        let _ = writeln!(out, "#   and {} more", hosts.len() - HOSTS);
    }
    out
}

fn doings(points: &[PointSeen], ports: &PortSet) -> BTreeMap<IpAddr, Doing> {
    let mut hosts = BTreeMap::<IpAddr, Doing>::new();
    for f in points.iter().flat_map(|p| &p.observation.flows).filter(|f| !f.group) {
        let direction = flow::orient(f, ports);
        let (o, r) = (f.point(direction.orig), f.point(direction.resp()));
        let spoken =
            f.evidence.speaks.iter().find_map(|s| if let Speaks::Known(p) = s { Some(p.word()) } else { None });
        for (addr, is_server) in [(o.addr, false), (r.addr, true)] {
            let doing = hosts.entry(addr).or_default();
            // A host that talks to itself sends each packet once.
            doing.packets += if is_server && o.addr == r.addr { 0 } else { packets(f) };
            if matches!(f.key.proto, Proto::Tcp | Proto::Udp) {
                let list = if is_server { &mut doing.serves } else { &mut doing.asks };
                let slot = list.entry((f.key.proto, r.port)).or_default();
                *slot = slot.or(spoken);
            }
        }
    }
    hosts
}

impl Doing {
    fn lines(&self, out: &mut String) {
        for (verb, services) in [("is asked for", &self.serves), ("asks for", &self.asks)] {
            if services.is_empty() {
                continue;
            }
            let word = |((proto, port), spoken): (&(Proto, u16), &Option<&str>)| {
                spoken.map_or_else(|| format!("{proto}/{port}"), |s| format!("{proto}/{port} ({s})"))
            };
            let mut shown: Vec<String> = services.iter().take(SHOWN).map(word).collect();
            if services.len() > SHOWN {
                shown.push(format!("and {}", words::count((services.len() - SHOWN) as u64, "other")));
            }
            let _ = writeln!(out, "#     {verb} {}", shown.join(", "));
        }
    }
}
