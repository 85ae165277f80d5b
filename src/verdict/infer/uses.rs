//! Who asked whom for what, as far as it can tell roles apart: restore ports only, spoken as they should be, no scanners.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::app::{AppProto, Speaks};
use crate::base::{PortSet, Proto};
use crate::flow::{self, Flow, Method};
use crate::verdict::PointSeen;

/// Distinct ports of one server, or servers where nothing worked, from which on an asker counts as a scanner. A restore
/// tries far fewer outside the ranges that it draws from.
const SCAN: usize = 12;

/// Ports on which a domain controller answers: DNS, Kerberos, LDAP and its global catalogue.
const DIRECTORY: [u16; 6] = [53, 88, 389, 464, 636, 3268];

/// One service seen in use or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    pub(super) asker: IpAddr,
    pub(super) server: IpAddr,
    pub(super) port: u16,
    /// The server answered.
    pub(super) worked: bool,
    /// iSCSI was spoken.
    pub(super) iscsi: bool,
}

/// What was seen, ready to be asked.
#[derive(Debug, Default)]
pub(super) struct Uses {
    all: BTreeSet<Use>,
    directories: BTreeSet<IpAddr>,
    /// Who was answered by whom on a port that an endpoint mapper may have named.
    dynamic: BTreeSet<(IpAddr, IpAddr)>,
    /// To whom an endpoint mapper named a port.
    named: BTreeSet<(IpAddr, IpAddr)>,
}

impl Uses {
    /// Uses of all points. A scanner's attempts say nothing of anybody's role.
    pub(super) fn new(points: &[PointSeen], ports: &PortSet) -> Self {
        let flows = || points.iter().flat_map(|p| &p.observation.flows).filter(|f| !f.group);
        let scanners = scanners(flows().filter(|f| f.key.proto == Proto::Tcp), ports);
        let mut uses = Self::default();
        for f in flows() {
            let direction = flow::orient(f, ports);
            let (asker, server) = (f.point(direction.orig).addr, f.point(direction.resp()));
            if DIRECTORY.contains(&server.port) && f.end(direction.resp()).packets > 0 {
                uses.directories.insert(server.addr);
            }
            if matches!(server.port, 49152..) && f.end(direction.resp()).syn_acks > 0 {
                uses.dynamic.insert((asker, server.addr));
            }
            if !f.evidence.mapper.is_empty() {
                uses.named.insert((asker, server.addr));
            }
            if f.key.proto == Proto::Tcp && !scanners.contains(&asker) && host(asker) && host(server.addr) {
                uses.all.extend(of_flow(f, direction.orig, direction.method));
            }
        }
        uses
    }

    /// All of them, in a fixed order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Use> {
        self.all.iter()
    }

    /// Whether `asker` asked `server` for a port that passes.
    pub(super) fn asked(&self, asker: IpAddr, server: IpAddr, port: impl Fn(u16) -> bool) -> bool {
        self.all.iter().any(|u| u.asker == asker && u.server == server && port(u.port))
    }

    /// Servers that `asker` asked for a port.
    pub(super) fn servers(&self, asker: IpAddr, port: u16) -> BTreeSet<IpAddr> {
        self.all.iter().filter(|u| u.asker == asker && u.port == port).map(|u| u.server).collect()
    }

    /// Who asked `server` for a port.
    pub(super) fn askers(&self, server: IpAddr, port: u16) -> BTreeSet<IpAddr> {
        self.all.iter().filter(|u| u.server == server && u.port == port).map(|u| u.asker).collect()
    }

    /// Whether remote procedure calls were stopped: at the endpoint mapper, or at the port it named.
    pub(super) fn stopped(&self, asker: IpAddr, server: IpAddr) -> bool {
        let refused = |u: &&Use| (u.asker, u.server, u.port, u.worked) == (asker, server, 135, false);
        let pair = (asker, server);
        !self.dynamic.contains(&pair) && (self.named.contains(&pair) || self.all.iter().any(|u| refused(&u)))
    }

    /// Whether a host answers as a domain controller does: its shares and its mapper are everybody's.
    pub(super) fn is_directory(&self, addr: IpAddr) -> bool {
        self.directories.contains(&addr)
    }
}

/// Whether an address can be a host's at all.
fn host(addr: IpAddr) -> bool {
    !addr.is_unspecified() && !addr.is_multicast() && !matches!(addr, IpAddr::V4(v4) if v4.is_broadcast())
}

fn of_flow(f: &Flow, orig: flow::Side, method: Method) -> Option<Use> {
    let resp = orig.other();
    let port = f.point(resp).port;
    let spoken = f.evidence.speaks.iter().find_map(|s| if let Speaks::Known(p) = s { Some(*p) } else { None });
    let end = f.end(resp);
    let worked = end.syn_acks > 0 || end.payload_bytes > 0;
    // Without a handshake the port alone would decide who serves: only what the bytes confirm counts then.
    let sure = matches!(method, Method::Syn | Method::SynAck) || (method == Method::ServicePort && spoken.is_some());
    let use_ = Use {
        asker: f.point(orig).addr,
        server: f.point(resp).addr,
        port,
        worked,
        iscsi: spoken == Some(AppProto::Iscsi),
    };
    (sure && use_.asker != use_.server && fits(port, spoken, worked)).then_some(use_)
}

/// Whether a port is one of a restore, and what was spoken on it does not contradict that.
fn fits(port: u16, spoken: Option<AppProto>, worked: bool) -> bool {
    let only = |proto| spoken.is_none_or(|p| p == proto);
    match port {
        22 => only(AppProto::Ssh),
        135 => only(AppProto::DceRpc),
        443 => only(AppProto::Tls),
        445 => only(AppProto::Smb),
        // The global catalogue and others live in this range: only iSCSI itself, or an attempt that failed.
        3260..=3270 => spoken == Some(AppProto::Iscsi) || !worked,
        1035..=1075 | 6160 | 6162 | 10006 => {
            !matches!(spoken, Some(AppProto::Ssh | AppProto::Http | AppProto::Smb | AppProto::Iscsi))
        }
        _ => spoken == Some(AppProto::Iscsi),
    }
}

/// Askers that try many ports of a host, or many hosts in vain.
fn scanners<'f>(flows: impl Iterator<Item = &'f Flow>, ports: &PortSet) -> BTreeSet<IpAddr> {
    let mut tried = BTreeMap::<(IpAddr, IpAddr), BTreeSet<u16>>::new();
    let mut answered = BTreeSet::new();
    for f in flows {
        let direction = flow::orient(f, ports);
        let (asker, server) = (f.point(direction.orig).addr, f.point(direction.resp()));
        let drawn = matches!(server.port, 1035..=1075 | 2500..=3300 | 49152..);
        let seen = tried.entry((asker, server.addr)).or_default();
        if !drawn && direction.certain {
            seen.insert(server.port);
        }
        if f.end(direction.resp()).syn_acks > 0 {
            answered.insert((asker, server.addr));
        }
    }
    let mut silent = BTreeMap::<IpAddr, usize>::new();
    for ((asker, _), _) in tried.iter().filter(|(pair, p)| !p.is_empty() && !answered.contains(pair)) {
        *silent.entry(*asker).or_default() += 1;
    }
    let wide = silent.into_iter().filter(|(_, n)| *n >= SCAN).map(|(a, _)| a);
    let deep = tried.iter().filter(|(_, p)| p.len() >= SCAN).map(|((a, _), _)| *a);
    wide.chain(deep).collect()
}
