//! Whose address is it: the site's hosts by address. Captures hold millions of flows, sites hundreds of hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::matrix::Role;
use crate::site::{HostId, Site};

/// An end of a connection: a host whatever address it used, or an address that no host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    /// A host of the site.
    Host(HostId),
    /// Anybody else.
    Addr(IpAddr),
}

/// The site's hosts by address.
#[derive(Debug)]
pub(super) struct Who<'a> {
    site: &'a Site,
    by_addr: BTreeMap<IpAddr, HostId>,
}

impl<'a> Who<'a> {
    /// An index of a site.
    pub(super) fn new(site: &'a Site) -> Self {
        let hosts = site.hosts.iter().enumerate().rev();
        let by_addr = hosts.flat_map(|(i, h)| h.addrs.iter().map(move |a| (*a, HostId(i)))).collect();
        Self { site, by_addr }
    }

    /// The site.
    pub(super) const fn site(&self) -> &'a Site {
        self.site
    }

    /// The host an address belongs to.
    pub(super) fn host(&self, addr: IpAddr) -> Option<HostId> {
        self.by_addr.get(&addr).copied()
    }

    /// The host of an address, else the address.
    pub(super) fn peer(&self, addr: IpAddr) -> Peer {
        self.host(addr).map_or(Peer::Addr(addr), Peer::Host)
    }

    /// Whether an address has a role, by its host or by a block of addresses.
    pub(super) fn has_role(&self, addr: IpAddr) -> bool {
        self.own_roles(addr).is_some_and(|r| !r.is_empty())
            || self.site.role_nets.iter().any(|(_, n)| n.contains(&addr))
    }

    /// All roles of an address, from its host and from blocks of addresses.
    pub(super) fn roles(&self, addr: IpAddr) -> BTreeSet<Role> {
        let own = self.own_roles(addr).cloned().unwrap_or_default();
        let nets = self.site.role_nets.iter().filter(|(_, n)| n.contains(&addr)).map(|(r, _)| *r);
        own.into_iter().chain(nets).collect()
    }

    fn own_roles(&self, addr: IpAddr) -> Option<&'a BTreeSet<Role>> {
        self.host(addr).and_then(|h| self.site.host(h)).map(|h| &h.roles)
    }
}
