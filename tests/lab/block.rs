//! What stands in a restore's way, as data: which packets, where, and what becomes of them.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use crate::cmd::{command, run};
use crate::failure::{Context, Failure, Result};
use crate::net::{Host, Place, Topology, inside};

/// What happens to a packet that a block catches.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    /// Silence: the originator's SYNs stay unanswered.
    Drop,
    /// A TCP reset, as if nothing listened.
    Reset,
    /// ICMP 3/13, what a router's access list says.
    Prohibited,
    /// ICMP 3/3, what a host without that service says.
    PortUnreachable,
    /// ICMP 3/1, often a host that is down.
    HostUnreachable,
    /// This many of a hundred packets are lost.
    Loss(u8),
}

/// A firewall rule against TCP connections from one host to another.
#[derive(Clone)]
pub(crate) struct Block {
    /// The router (a network firewall) or a host (its own firewall, inbound).
    ///
    /// A capture on a host sees packets before that host's own inbound firewall does, but never
    /// what the router dropped: the two differ in what the responder's capture shows.
    pub(crate) place: Place,
    pub(crate) from: Host,
    pub(crate) to: Host,
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) fate: Fate,
}

impl Block {
    /// Puts the rule in force.
    pub(crate) fn apply(&self, topology: &Topology, work: &Path, number: usize) -> Result<()> {
        if self.place == Place::Router && !topology.can_filter(self.from, self.to)? {
            return Err(Failure::new("filtering within a subnet needs the kernel module br_netfilter"));
        }
        let rules = self.rules(topology.address(self.from)?, topology.address(self.to)?, number);
        let file = work.join(format!("block-{number}.nft"));
        std::fs::write(&file, rules).context(format!("cannot write {}", file.display()))?;
        inside(self.place, || {
            let cmd = &mut command("nft", &["-f", &file.to_string_lossy()]);
            run(&format!("nft-{number}"), &work.join("logs"), cmd, Duration::from_secs(5)).map(drop)
        })
    }

    fn rules(&self, from: Ipv4Addr, to: Ipv4Addr, number: usize) -> String {
        let hook = match self.place {
            Place::Router => "forward",
            Place::At(_) => "input",
        };
        let (low, high) = (self.ports.start(), self.ports.end());
        let fate = match self.fate {
            Fate::Drop => "drop".to_owned(),
            Fate::Reset => "reject with tcp reset".to_owned(),
            Fate::Prohibited => "reject with icmp type admin-prohibited".to_owned(),
            Fate::PortUnreachable => "reject with icmp type port-unreachable".to_owned(),
            Fate::HostUnreachable => "reject with icmp type host-unreachable".to_owned(),
            Fate::Loss(percent) => format!("numgen random mod 100 < {percent} drop"),
        };
        format!(
            "table ip block{number} {{\n  chain caught {{\n    type filter hook {hook} priority 0; policy accept;\n    \
             ip saddr {from} ip daddr {to} tcp dport {low}-{high} {fate}\n  }}\n}}\n"
        )
    }
}
