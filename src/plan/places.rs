//! Candidate places: the hosts at an end of some requirement, and a mirror where the site declares one.

use std::net::IpAddr;

use super::{PlacePlan, Shown, Wish, commands};
use crate::matrix::{Carries, Os, Role};
use crate::site::{HostId, Place as Declared, Site};
use crate::verdict::Asked;

/// Bytes kept of a frame where the restored data passes by. Enough for the hellos, names and endpoint mapper answers that
/// the judge reads: a frame's headers take 54 to 110 bytes, an answer of the mapper 150 to 300.
const SNAPLEN: u32 = 512;

/// A place to capture at.
pub(super) enum Place {
    /// A host's own interfaces.
    Host(HostId),
    /// A mirror port or router: pairs it is declared to see; empty: all.
    Mirror(Vec<(HostId, HostId)>),
}

impl Place {
    /// Whether flows between a pair are seen here.
    pub(super) fn shows(&self, (from, to): (HostId, HostId)) -> bool {
        match self {
            Self::Host(h) => *h == from || *h == to,
            Self::Mirror(sees) => sees.is_empty() || sees.contains(&(from, to)) || sees.contains(&(to, from)),
        }
    }

    pub(super) fn is_at(&self, host: HostId) -> bool {
        matches!(self, Self::Host(h) if *h == host)
    }

    pub(super) const fn is_mirror(&self) -> bool {
        matches!(self, Self::Mirror(_))
    }
}

/// Where to capture first, other things being equal: the mount server meets every other role.
const PREFERENCE: [Role; 7] = [
    Role::MountServer,
    Role::TargetWindows,
    Role::TargetLinux,
    Role::Console,
    Role::StagingServer,
    Role::Repository,
    Role::BackupServer,
];

/// All places that show something, preferred ones first.
pub(super) fn candidates(site: &Site, asked: &[Asked]) -> Vec<Place> {
    let rank = |h: HostId| {
        let roles = site.host(h).map(|host| host.roles.clone()).unwrap_or_default();
        PREFERENCE.iter().position(|r| roles.contains(r)).unwrap_or(PREFERENCE.len())
    };
    let mut hosts: Vec<HostId> = asked.iter().flat_map(Asked::pairs).flat_map(|(a, b)| [a, b]).collect();
    hosts.sort_by_key(|&h| (rank(h), h));
    hosts.dedup();
    let mut all: Vec<Place> = hosts.into_iter().map(Place::Host).collect();
    if let Some(point) = site.points.iter().find(|p| p.places.contains(&Declared::Mirror)) {
        all.push(Place::Mirror(point.sees.clone()));
    }
    all
}

/// A host's word where places are named: a role that only it has, else its label.
pub(super) fn name(site: &Site, id: HostId) -> String {
    let Some(host) = site.host(id) else { return String::new() };
    let alone = |r: &&Role| site.with_role(**r).count() == 1;
    let role = PREFERENCE.iter().filter(|r| host.roles.contains(r)).find(alone);
    role.map_or_else(|| host.label.clone(), |r| r.word().to_owned())
}

/// What to do at a place.
pub(super) fn plan(wish: &Wish<'_>, place: &Place, asked: &[Asked], chosen: bool) -> PlacePlan {
    let site = wish.site;
    let (word, addresses, roles) = match place {
        Place::Host(h) => {
            let host = site.host(*h);
            let addrs = host.map(|x| x.addrs.clone()).unwrap_or_default();
            (name(site, *h), addrs, host.map(|x| x.roles.iter().copied().collect()).unwrap_or_default())
        }
        Place::Mirror(_) => ("mirror".to_owned(), Vec::new(), Vec::new()),
    };
    let (os, os_because) = match place {
        Place::Host(h) => system(wish, *h),
        Place::Mirror(_) => (Os::Linux, "taken for the machine behind the mirror port".to_owned()),
    };
    let (snaplen, snaplen_because) = snaplen(place, asked);
    let peers: Vec<IpAddr> =
        site.hosts.iter().flat_map(|h| &h.addrs).filter(|a| !addresses.contains(a)).copied().collect();
    let job = commands::Job { stem: stem(&word), peers, snaplen, mirror: place.is_mirror() };
    PlacePlan {
        place: word,
        addresses: addresses.iter().map(ToString::to_string).collect(),
        roles,
        os,
        os_because,
        chosen,
        snaplen,
        snaplen_because,
        shows: asked.iter().filter_map(|a| shown(place, a)).collect(),
        file: job.file(os),
        commands: job.commands(os),
    }
}

fn shown(place: &Place, a: &Asked) -> Option<Shown> {
    let (mut some, mut whole) = (false, true);
    for pair in a.pairs() {
        let seen = place.shows(pair);
        some |= seen;
        whole &= seen;
    }
    let service = a.fallback.map_or_else(|| a.service.to_string(), |f| format!("{} or {}", a.service, f.ports));
    some.then(|| Shown { rule: a.rule.clone(), service, need: a.need, whole })
}

/// The operating system of a host: said, in the site, or what its role suggests.
fn system(wish: &Wish<'_>, host: HostId) -> (Os, String) {
    let Some(h) = wish.site.host(host) else { return (Os::Linux, String::new()) };
    if let Some(os) = wish.os.get(&host) {
        return (*os, "as said with --os".to_owned());
    }
    if let Some(os) = h.os {
        return (os, "by the site".to_owned());
    }
    let windows = wish.site.facts.os == Some(Os::Windows);
    if windows && h.roles.contains(&Role::MountServer) {
        return (Os::Windows, "a mount server of a Windows restore is a Windows machine".to_owned());
    }
    if h.roles.contains(&Role::Console) {
        return (Os::Windows, "the console runs on Windows".to_owned());
    }
    (Os::Linux, "assumed; --os changes it".to_owned())
}

/// Where the restored data itself passes by, whole frames would make a file as large as the database.
fn snaplen(place: &Place, asked: &[Asked]) -> (u32, String) {
    // Only data channels have a fallback range.
    let data = |a: &&Asked| a.carries == Some(Carries::Iscsi) || a.fallback.is_some();
    let passes = asked.iter().filter(data).flat_map(Asked::pairs).any(|pair| place.shows(pair));
    if passes {
        let why = "the restored data passes by here, and whole frames would make a file as large as it";
        (SNAPLEN, why.to_owned())
    } else {
        (0, "only control traffic passes by here".to_owned())
    }
}

/// A file name's stem from a place's word.
fn stem(word: &str) -> String {
    word.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' }).collect()
}
