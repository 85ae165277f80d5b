//! The hosts: who there is, where they sit, what their packets look like. Data only; `net.rs` builds it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::failure::{Context, Result};

const ROUTER: &str = "router";

/// A host of the lab, named by the role it plays in a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Host {
    Console,
    BackupServer,
    MountServer,
    Repository,
    TargetWindows,
    /// Another database server, restored in the same session.
    SecondTarget,
    StagingServer,
    TargetLinux,
}

/// Where a program can run or a capture be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    At(Host),
    /// Every interface of the router: a routed packet shows up to four times.
    Router,
    /// The bridge of the first subnet, as a mirror port shows it: what its hosts send, each packet once.
    Mirror,
}

impl Host {
    /// Name of the namespace, and of the host in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SecondTarget => "target-windows-2",
            other => other.role(),
        }
    }

    /// Role name as the site file spells it.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::BackupServer => "backup-server",
            Self::MountServer => "mount-server",
            Self::Repository => "repository",
            Self::TargetWindows | Self::SecondTarget => "target-windows",
            Self::StagingServer => "staging-server",
            Self::TargetLinux => "target-linux",
        }
    }
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::At(host) => host.name(),
            Self::Router => ROUTER,
            Self::Mirror => "mirror",
        }
    }

    /// The namespace a program at this place runs in.
    pub(crate) fn namespace(self) -> &'static str {
        match self {
            Self::At(host) => host.name(),
            Self::Router | Self::Mirror => ROUTER,
        }
    }
}

/// What the packets of a host look like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Windows,
    Linux,
}

/// One machine and its place in the network.
#[derive(Clone, Copy)]
pub(crate) struct HostSpec {
    pub(crate) host: Host,
    pub(crate) address: Ipv4Addr,
    pub(crate) look: Look,
}

impl HostSpec {
    /// The same place in the plan of IPv6 addresses.
    pub(crate) fn v6(&self) -> Ipv6Addr {
        let [_, _, subnet, last] = self.address.octets();
        Ipv6Addr::new(0xfd00, 0x77, u16::from(subnet), 0, 0, 0, 0, u16::from(last))
    }

    /// Its address behind the router where that one translates: last part plus 100, in the second subnet.
    pub(crate) fn translated(&self) -> Ipv4Addr {
        let [a, b, _, last] = self.address.octets();
        Ipv4Addr::new(a, b, 1, last.saturating_add(100))
    }
}

/// How hosts are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
    /// All hosts have both; those of the second subnet are called by their IPv6 address.
    Dual,
}

/// Hosts and the subnets (all /24, the router is .1) they sit in. Another topology is another table.
pub(crate) struct Topology {
    pub(crate) hosts: Vec<HostSpec>,
    /// Roles that share a machine: the first lives on the second.
    pub(crate) shared: Vec<(Host, Host)>,
    pub(crate) family: Family,
    /// Whether the router gives packets from the first subnet to the second another source address.
    pub(crate) nat: bool,
}

impl Topology {
    /// Backup infrastructure in one subnet, database machines in the other, a router between them.
    pub(crate) fn routed() -> Self {
        let spec = |host, subnet, last, look| HostSpec { host, address: Ipv4Addr::new(10, 77, subnet, last), look };
        Self {
            hosts: vec![
                spec(Host::Console, 0, 10, Look::Windows),
                spec(Host::BackupServer, 0, 11, Look::Windows),
                spec(Host::MountServer, 0, 12, Look::Windows),
                spec(Host::Repository, 0, 13, Look::Linux),
                spec(Host::TargetWindows, 1, 20, Look::Windows),
                spec(Host::StagingServer, 1, 21, Look::Windows),
                spec(Host::TargetLinux, 1, 22, Look::Linux),
                spec(Host::SecondTarget, 1, 23, Look::Windows),
            ],
            shared: vec![],
            family: Family::V4,
            nat: false,
        }
    }

    /// The repository's data mover runs on the mount server.
    pub(crate) fn repository_on_mount_server() -> Self {
        Self { shared: vec![(Host::Repository, Host::MountServer)], ..Self::routed() }
    }

    /// The console is the one on the backup server.
    pub(crate) fn console_on_backup_server() -> Self {
        Self { shared: vec![(Host::Console, Host::BackupServer)], ..Self::routed() }
    }

    pub(crate) fn v6() -> Self {
        Self { family: Family::V6, ..Self::routed() }
    }

    pub(crate) fn dual() -> Self {
        Self { family: Family::Dual, ..Self::routed() }
    }

    /// The router translates: the second subnet sees every host of the first under another address.
    pub(crate) fn translating() -> Self {
        Self { nat: true, ..Self::routed() }
    }

    /// The machine that a role runs on.
    pub(crate) fn machine(&self, host: Host) -> Host {
        self.shared.iter().find(|(guest, _)| *guest == host).map_or(host, |(_, on)| *on)
    }

    /// What the role's machine is, and where it sits.
    pub(crate) fn spec(&self, host: Host) -> Result<&HostSpec> {
        let machine = self.machine(host);
        let spec = self.hosts.iter().find(|s| s.host == machine);
        spec.context(format!("{} is not in this topology", host.name()))
    }

    /// The address at which others reach it.
    pub(crate) fn address(&self, host: Host) -> Result<IpAddr> {
        let spec = self.spec(host)?;
        Ok(match self.family {
            Family::V6 => spec.v6().into(),
            Family::Dual if spec.address.octets()[2] == 1 => spec.v6().into(),
            _ => spec.address.into(),
        })
    }

    /// The address from which it reaches another: of the family in which that one is called.
    pub(crate) fn source(&self, host: Host, to: Host) -> Result<IpAddr> {
        let spec = self.spec(host)?;
        Ok(if self.address(to)?.is_ipv4() { spec.address.into() } else { spec.v6().into() })
    }

    /// All addresses under which packets may show a host.
    pub(crate) fn addresses(&self, host: Host) -> Result<Vec<IpAddr>> {
        let spec = self.spec(host)?;
        let mut all: Vec<IpAddr> = match self.family {
            Family::V4 => vec![spec.address.into()],
            Family::V6 => vec![spec.v6().into()],
            Family::Dual => vec![spec.address.into(), spec.v6().into()],
        };
        if self.nat && spec.address.octets()[2] == 0 {
            all.push(spec.translated().into());
        }
        Ok(all)
    }

    /// Whether two hosts sit in the same subnet.
    pub(crate) fn neighbours(&self, a: Host, b: Host) -> Result<bool> {
        Ok(self.spec(a)?.address.octets()[2] == self.spec(b)?.address.octets()[2])
    }
}
