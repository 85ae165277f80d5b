//! One place and one restore, checked.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::base::{Service, Time};
use crate::matrix::{Need, Operation, Os, RestoreFacts, Role, RulePort, Scenario};

/// Index of a host in [`Site::hosts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub usize);

/// One host: a label and all its addresses, also those it is translated to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Label of the site file, or the address itself.
    pub label: String,
    /// Addresses, in the file's order.
    pub addrs: Vec<IpAddr>,
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// Operating system, where given (staging server).
    pub os: Option<Os>,
}

/// A place in words that are resolved against the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One host's own interfaces.
    Host(HostId),
    /// A mirror port or a router: it is no end of the traffic it sees.
    Mirror,
}

/// Where a capture was taken, as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointDecl {
    /// Its name as the user wrote it.
    pub name: String,
    /// The places it stands for (a role may name several hosts).
    pub places: Vec<Place>,
    /// File name patterns of its captures (long form); empty: all that no other point claims.
    pub captures: Vec<String>,
    /// Declared to see every interface of its host, or everything between our hosts.
    pub complete: bool,
    /// Pairs of hosts it is declared to see.
    pub sees: Vec<(HostId, HostId)>,
}

/// When the restore ran, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Start.
    pub from: Time,
    /// End.
    pub to: Time,
}

/// An end of an exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowPeer {
    /// Anybody; on one side at most.
    Any,
    /// Any host of a role.
    Role(Role),
    /// A host.
    Host(HostId),
    /// Addresses.
    Net(IpNet),
}

/// An exception for traffic the matrix does not explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// Originator.
    pub from: AllowPeer,
    /// Responder.
    pub to: AllowPeer,
    /// Service at the responder.
    pub service: Service,
    /// Why, as written.
    pub reason: String,
    /// By whom.
    pub approved_by: Option<String>,
    /// Not for captures later than this.
    pub expires: Option<Time>,
    /// Line in the site file.
    pub line: usize,
}

/// What an override changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The service is offered elsewhere.
    Service(Service),
    /// Another need.
    Need(Need),
    /// Not asked for here.
    Skip,
}

/// An exception to a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Rule id.
    pub rule: String,
    /// Which port of the rule; `None`: all of them.
    pub port: Option<Service>,
    /// What changes.
    pub change: Change,
    /// Why, as written.
    pub reason: String,
    /// By whom.
    pub approved_by: Option<String>,
    /// Not for captures later than this.
    pub expires: Option<Time>,
    /// Line in the site file.
    pub line: usize,
}

impl Override {
    /// Whether it is about this port of its rule: by the port itself, by its fallback, or about all ports.
    pub fn is_about(&self, port: &RulePort) -> bool {
        self.port.is_none_or(|p| p == port.service || Some(p) == port.fallback_service())
    }

    /// The port as it is judged here; `None` where it is skipped.
    ///
    /// An override of the fallback changes the fallback alone: other ports, or none where it is skipped.
    pub fn apply(&self, port: &RulePort) -> Option<RulePort> {
        let mut port = port.clone();
        let fallback = self.port.is_some() && self.port == port.fallback_service();
        match self.change {
            Change::Service(service) if fallback => port.fallback = Some(service.ports),
            Change::Service(service) => port.service = service,
            Change::Need(need) => port.need = need,
            Change::Skip if fallback => port.fallback = None,
            Change::Skip => return None,
        }
        Some(port)
    }
}

/// A checked site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Path as given; `None` where roles were inferred.
    pub path: Option<String>,
    /// Lower-case hex SHA-256 of the file.
    pub digest: Option<String>,
    /// Which table.
    pub scenario: Scenario,
    /// What is being done; never empty.
    pub operations: BTreeSet<Operation>,
    /// Facts of the restore.
    pub facts: RestoreFacts,
    /// Companion sets by id.
    pub companions: Vec<String>,
    /// Zone to show local time in.
    pub timezone: Option<String>,
    /// Hosts, in the file's order.
    pub hosts: Vec<Host>,
    /// Roles given to blocks of addresses: they classify, nothing is required of them.
    pub role_nets: Vec<(Role, IpNet)>,
    /// Observation points as declared, the short form included.
    pub points: Vec<PointDecl>,
    /// When the restore ran.
    pub windows: Vec<Window>,
    /// Exceptions for traffic.
    pub allow: Vec<Allow>,
    /// Exceptions to rules.
    pub overrides: Vec<Override>,
}

impl Site {
    /// The host an address belongs to.
    pub fn host_of(&self, addr: IpAddr) -> Option<HostId> {
        self.hosts.iter().position(|h| h.addrs.contains(&addr)).map(HostId)
    }

    /// A host by index.
    pub fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(id.0)
    }

    /// All roles of an address, from its host and from blocks of addresses.
    pub fn roles_of(&self, addr: IpAddr) -> BTreeSet<Role> {
        let own = self.host_of(addr).and_then(|h| self.host(h)).map(|h| h.roles.clone()).unwrap_or_default();
        own.into_iter().chain(self.role_nets.iter().filter(|(_, n)| n.contains(&addr)).map(|(r, _)| *r)).collect()
    }

    /// Hosts with a role, in the file's order.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = HostId> + '_ {
        self.hosts.iter().enumerate().filter(move |(_, h)| h.roles.contains(&role)).map(|(i, _)| HostId(i))
    }
}
