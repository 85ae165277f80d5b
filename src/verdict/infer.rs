//! Roles worked out from traffic, where no site was given: a draft to be confirmed, never a ground for absence.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::PointSeen;
use crate::app::{AppProto, Speaks};
use crate::base::{PortSet, Proto};
use crate::flow;
use crate::matrix::{Operation, RestoreFacts, Role, Scenario};
use crate::report::InferredRole;
use crate::site::{Host, Site};

/// One service seen in use or asked for: who asked whom, on which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    asker: IpAddr,
    server: IpAddr,
    port: u16,
    iscsi: bool,
}

/// A site from traffic alone, with the reasons.
pub(super) fn infer(points: &[PointSeen], ports: &PortSet) -> (Site, Vec<InferredRole>) {
    let uses = uses(points, ports);
    let mut draft = Draft::default();
    draft.by_iscsi(&uses);
    draft.by_runtime(&uses);
    draft.by_data_mover(&uses);
    draft.by_ssh(&uses);
    draft.by_console(&uses);
    let windows = draft.has(Role::TargetWindows);
    let scenario = if draft.plug_in(&uses) { Scenario::PlugIn } else { Scenario::ImageLevel };
    let companions = ["infrastructure", "veeam-13", "plugin-rman-13"].map(str::to_owned);
    let keep = if scenario == Scenario::PlugIn { 3 } else { 2 };
    let site = Site {
        path: None,
        digest: None,
        scenario,
        operations: BTreeSet::from([Operation::ApplicationItem]),
        facts: RestoreFacts {
            os: Some(if windows { crate::matrix::Os::Windows } else { crate::matrix::Os::Linux }),
            ..RestoreFacts::default()
        },
        companions: companions.into_iter().take(keep).collect(),
        timezone: None,
        hosts: draft.hosts(),
        role_nets: Vec::new(),
        points: Vec::new(),
        windows: Vec::new(),
        allow: Vec::new(),
        overrides: Vec::new(),
    };
    (site, draft.reasons())
}

/// Whether a port is one that only a restore of this kind opens: worth a role even where the attempt failed.
const fn is_restore_port(port: u16) -> bool {
    matches!(port, 22 | 135 | 443 | 445 | 1035..=1075 | 2500..=3300 | 6160 | 6162)
}

fn uses(points: &[PointSeen], ports: &PortSet) -> BTreeSet<Use> {
    let mut uses = BTreeSet::new();
    for flow in points.iter().flat_map(|p| &p.observation.flows).filter(|f| f.key.proto == Proto::Tcp && !f.group) {
        let direction = flow::orient(flow, ports);
        let (orig, resp) = (direction.orig, direction.orig.other());
        let iscsi = flow.evidence.speaks.contains(&Speaks::Known(AppProto::Iscsi));
        let port = flow.point(resp).port;
        if !iscsi && !is_restore_port(port) {
            continue;
        }
        uses.insert(Use { asker: flow.point(orig).addr, server: flow.point(resp).addr, port, iscsi });
    }
    uses
}

/// Roles with their reasons, the first reason of each kept.
#[derive(Debug, Default)]
struct Draft {
    reasons: BTreeMap<(IpAddr, Role), String>,
    /// Roles that somebody has.
    given: BTreeSet<Role>,
}

impl Draft {
    fn give(&mut self, addr: IpAddr, role: Role, because: String) {
        self.reasons.entry((addr, role)).or_insert(because);
        self.given.insert(role);
    }

    fn has(&self, role: Role) -> bool {
        self.given.contains(&role)
    }

    fn is(&self, addr: IpAddr, role: Role) -> bool {
        self.reasons.contains_key(&(addr, role))
    }

    /// The iSCSI target is the mount server, its initiator the restore's target: the surest sign there is.
    fn by_iscsi(&mut self, uses: &BTreeSet<Use>) {
        for u in uses.iter().filter(|u| u.iscsi || matches!(u.port, 3260..=3270)) {
            self.give(u.server, Role::MountServer, format!("serves iSCSI on tcp/{} to {}", u.port, u.asker));
            self.give(u.asker, Role::TargetWindows, format!("asks {} for iSCSI on tcp/{}", u.server, u.port));
        }
    }

    /// Who serves the runtime's ports is the target; who asks for them and for the admin share, the console.
    fn by_runtime(&mut self, uses: &BTreeSet<Use>) {
        let sharing: BTreeSet<IpAddr> = uses.iter().filter(|v| matches!(v.port, 135 | 445)).map(|v| v.server).collect();
        for u in uses.iter().filter(|u| matches!(u.port, 1035..=1075 | 6160)) {
            let shares = sharing.contains(&u.server);
            if shares {
                self.give(
                    u.server,
                    Role::TargetWindows,
                    format!("is asked by {} for tcp/{} and for its shares", u.asker, u.port),
                );
            }
            if u.port == 6160 && shares {
                self.give(u.asker, Role::MountServer, format!("asks {} for the installer service tcp/6160", u.server));
            } else if shares && !self.is(u.asker, Role::MountServer) {
                self.give(u.asker, Role::Console, format!("asks {} for the restore runtime tcp/{}", u.server, u.port));
            }
        }
    }

    fn by_data_mover(&mut self, uses: &BTreeSet<Use>) {
        let mover =
            |u: &&Use| u.port == 6162 || (matches!(u.port, 2500..=3300) && !u.iscsi && !matches!(u.port, 3260..=3270));
        for u in uses.iter().filter(mover) {
            self.give(u.server, Role::Repository, format!("is asked by {} for the data mover tcp/{}", u.asker, u.port));
            if !self.has(Role::MountServer) && !self.is(u.asker, Role::Repository) {
                self.give(u.asker, Role::MountServer, format!("asks {} for the data mover tcp/{}", u.server, u.port));
            }
        }
    }

    /// SSH from a mount server means a Linux target; any other SSH is administration.
    fn by_ssh(&mut self, uses: &BTreeSet<Use>) {
        for u in uses.iter().filter(|u| u.port == 22) {
            if self.is(u.asker, Role::MountServer) && !self.is(u.server, Role::TargetWindows) {
                self.give(u.server, Role::TargetLinux, format!("is asked by the mount server {} for SSH", u.asker));
            }
        }
    }

    /// Of the hosts that deploy to the target or ask a server for 443, the one that asks is the console.
    fn by_console(&mut self, uses: &BTreeSet<Use>) {
        self.by_deployment(uses);
        for u in uses.iter().filter(|u| matches!(u.port, 135 | 445)) {
            let deploys = self.is(u.server, Role::TargetWindows)
                && !self.is(u.asker, Role::MountServer)
                && !self.is(u.asker, Role::Repository);
            if deploys {
                self.give(u.asker, Role::Console, format!("deploys to {} over tcp/{}", u.server, u.port));
            }
        }
        for u in uses.iter().filter(|u| u.port == 443) {
            if self.is(u.asker, Role::Console) && !self.is(u.server, Role::Console) {
                self.give(u.server, Role::BackupServer, format!("is asked by the console {} for tcp/443", u.asker));
            }
        }
    }

    /// Shares and the endpoint mapper of one host, both asked for by another: a deployment, where nothing surer was seen.
    fn by_deployment(&mut self, uses: &BTreeSet<Use>) {
        if self.has(Role::TargetWindows) {
            return;
        }
        for u in uses.iter().filter(|u| u.port == 445) {
            if [false, true].iter().any(|&iscsi| uses.contains(&Use { port: 135, iscsi, ..*u })) {
                self.give(u.server, Role::TargetWindows, format!("is asked by {} for tcp/135 and tcp/445", u.asker));
            }
        }
    }

    /// A target that sends data to the repository itself, and no mount: a plug-in restore.
    fn plug_in(&self, uses: &BTreeSet<Use>) -> bool {
        let iscsi = uses.iter().any(|u| u.iscsi || matches!(u.port, 3260..=3270));
        !iscsi && uses.iter().any(|u| u.port == 6162 && self.is(u.asker, Role::TargetLinux))
    }

    fn hosts(&self) -> Vec<Host> {
        let mut by = BTreeMap::<IpAddr, BTreeSet<Role>>::new();
        for (addr, role) in self.reasons.keys() {
            by.entry(*addr).or_default().insert(*role);
        }
        by.into_iter().map(|(a, roles)| Host { label: a.to_string(), addrs: vec![a], roles, os: None }).collect()
    }

    fn reasons(self) -> Vec<InferredRole> {
        self.reasons
            .into_iter()
            .map(|((address, role), because)| InferredRole { address: address.to_string(), role, because })
            .collect()
    }
}
