//! What stands in a restore's way, as data: which packets, where, and what becomes of them.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use crate::cmd::{command, run};
use crate::failure::{Context, Failure, Result};
use crate::hosts::{Host, Place, Topology};
use crate::net::inside;

/// What happens to a packet that a block catches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Silence: the originator's SYNs stay unanswered.
    Drop,
    /// A TCP reset, as if nothing listened.
    Reset,
    /// ICMP 3/13 (v6 1/1), what a router's access list says.
    Prohibited,
    /// ICMP 3/3 (v6 1/4), what a host without that service says.
    PortUnreachable,
    /// ICMP 3/1 (v6 1/3), often a host that is down.
    HostUnreachable,
    /// This many of a hundred packets are lost.
    Loss(u8),
    /// The answers are dropped: the responder sees SYNs and answers in vain.
    ReturnDrop,
    /// Nothing listens there; no firewall is involved.
    NotServed,
    /// Full-sized segments vanish, small ones pass: a path with a smaller MTU and no word about it.
    BlackHole,
    /// A device resets the connection at its first full-sized segment.
    ResetMidstream,
}

/// A firewall rule against TCP connections from one host to another.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The router (a network firewall), the responder or the originator (its own firewall).
    ///
    /// A capture on a host sees arriving packets before that host's own inbound firewall does, but
    /// never what the router dropped, nor what the originator's own outbound firewall held back.
    pub(crate) place: Place,
    pub(crate) from: Host,
    pub(crate) to: Host,
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) fate: Fate,
}

impl Block {
    /// Whether it concerns a connection.
    pub(crate) fn catches(&self, from: Host, to: Host, port: u16) -> bool {
        self.from == from && self.to == to && self.ports.contains(&port)
    }

    /// Puts the rule in force.
    pub(crate) fn apply(&self, topology: &Topology, work: &Path, number: usize) -> Result<()> {
        if self.fate == Fate::NotServed {
            return Ok(());
        }
        if self.place == Place::Router && !topology.can_filter(self.from, self.to)? {
            return Err(Failure::new("filtering within a subnet needs the kernel module br_netfilter"));
        }
        let rules = self.rules(topology.source(self.from, self.to)?, topology.address(self.to)?, number);
        let file = work.join(format!("block-{number}.nft"));
        std::fs::write(&file, rules).context(format!("cannot write {}", file.display()))?;
        inside(self.place, || {
            let cmd = &mut command("nft", &["-f", &file.to_string_lossy()]);
            run(&format!("nft-{number}"), &work.join("logs"), cmd, Duration::from_secs(5)).map(drop)
        })
    }

    /// Where the kernel meets the packets: passing through, arriving, leaving.
    fn hook(&self) -> &'static str {
        let answers = self.fate == Fate::ReturnDrop;
        match self.place {
            Place::Router | Place::Mirror => "forward",
            Place::At(host) if (host == self.from) == answers => "input",
            Place::At(_) => "output",
        }
    }

    fn rules(&self, from: IpAddr, to: IpAddr, number: usize) -> String {
        let hook = self.hook();
        let (low, high) = (self.ports.start(), self.ports.end());
        let ip = if to.is_ipv4() { "ip" } else { "ip6" };
        let there = format!("{ip} saddr {from} {ip} daddr {to} tcp dport {low}-{high}");
        let caught = match self.fate {
            Fate::Drop | Fate::NotServed => format!("{there} drop"),
            Fate::Reset => format!("{there} reject with tcp reset"),
            Fate::Prohibited => format!("{there} reject with icmpx type admin-prohibited"),
            Fate::PortUnreachable => format!("{there} reject with icmpx type port-unreachable"),
            Fate::HostUnreachable => format!("{there} reject with icmpx type host-unreachable"),
            Fate::Loss(percent) => format!("{there} numgen random mod 100 < {percent} drop"),
            Fate::ReturnDrop => format!("{ip} saddr {to} {ip} daddr {from} tcp sport {low}-{high} drop"),
            Fate::BlackHole => format!("{there} meta length > 1000 drop"),
            Fate::ResetMidstream => format!("{there} meta length > 1000 reject with tcp reset"),
        };
        format!(
            "table inet block{number} {{\n  chain caught {{\n    type filter hook {hook} priority 0; policy accept;\n    \
             {caught}\n  }}\n}}\n"
        )
    }
}
