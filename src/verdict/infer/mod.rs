//! Roles worked out from traffic, where no site was given: a draft to be confirmed, never a ground for absence.
//!
//! A wrong role is worse than none: it turns ordinary traffic into findings. So every role rests on two signs of which at
//! least one is the product's own, and where two hosts could have it, none gets it.

mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use self::uses::Uses;
use super::PointSeen;
use crate::base::PortSet;
use crate::matrix::{Operation, Os, RestoreFacts, Role, Scenario};
use crate::report::InferredRole;
use crate::site::{Host, Site};

/// A site from traffic alone, with the reasons.
pub(super) fn infer(points: &[PointSeen], ports: &PortSet) -> (Site, Vec<InferredRole>) {
    let uses = Uses::new(points, ports);
    let mut draft = Draft::default();
    let plug_in = draft.by_plug_in(&uses);
    if !plug_in {
        draft.by_iscsi(&uses);
        draft.by_installer(&uses);
        draft.by_runtime(&uses);
        draft.by_deployment(&uses);
        draft.by_data_mover(&uses);
        draft.by_ssh(&uses);
    }
    draft.by_console(&uses);
    let scenario = if plug_in { Scenario::PlugIn } else { Scenario::ImageLevel };
    (draft.site(scenario), draft.reasons())
}

/// Roles with their reasons, the first reason of each kept.
#[derive(Debug, Default)]
struct Draft(BTreeMap<(IpAddr, Role), String>);

const fn runtime(port: u16) -> bool {
    matches!(port, 1035..=1075)
}

impl Draft {
    fn give(&mut self, addr: IpAddr, role: Role, because: String) {
        self.0.entry((addr, role)).or_insert(because);
    }

    fn has(&self, role: Role) -> bool {
        self.0.keys().any(|(_, r)| *r == role)
    }

    fn is(&self, addr: IpAddr, role: Role) -> bool {
        self.0.contains_key(&(addr, role))
    }

    fn is_any(&self, addr: IpAddr) -> bool {
        self.0.keys().any(|(a, _)| *a == addr)
    }

    fn with(&self, role: Role) -> Vec<IpAddr> {
        self.0.keys().filter(|(_, r)| *r == role).map(|(a, _)| *a).collect()
    }

    /// The plug-in's own port, and data sent by the same host: the database server of a plug-in restore.
    fn by_plug_in(&mut self, uses: &Uses) -> bool {
        for u in uses.iter().filter(|u| u.port == 10006) {
            for repository in uses.servers(u.asker, 6162) {
                let linux = !uses.askers(u.asker, 22).is_empty();
                let windows = uses.iter().any(|v| v.server == u.asker && (v.port == 445 || runtime(v.port)));
                let role = match (linux, windows) {
                    (true, false) => Role::TargetLinux,
                    (false, true) => Role::TargetWindows,
                    _ => continue,
                };
                let because =
                    format!("asks {} for the plug-in's tcp/10006 and {repository} for the data mover", u.server);
                self.give(u.asker, role, because);
                self.give(u.server, Role::BackupServer, format!("is asked by {} for the plug-in's tcp/10006", u.asker));
                let because = format!("is asked by {} for the data mover tcp/6162", u.asker);
                self.give(repository, Role::Repository, because);
            }
        }
        self.has(Role::Repository)
    }

    /// Whether `mount` does to `target` what a mount server does, besides serving iSCSI to it. Storage serves iSCSI, too.
    fn mounts(uses: &Uses, mount: IpAddr, target: IpAddr) -> bool {
        uses.asked(mount, target, |p| p == 6160)
            || !uses.servers(mount, 6162).is_empty()
            || uses.iter().any(|u| u.server == target && runtime(u.port))
    }

    /// The iSCSI target is the mount server, its initiator the restore's target: the surest sign there is.
    fn by_iscsi(&mut self, uses: &Uses) {
        let iscsi = uses.iter().filter(|u| u.iscsi || matches!(u.port, 3260..=3270));
        for u in iscsi.filter(|u| Self::mounts(uses, u.server, u.asker)) {
            self.give(u.server, Role::MountServer, format!("is asked by {} for iSCSI on tcp/{}", u.asker, u.port));
            self.give(u.asker, Role::TargetWindows, format!("asks {} for iSCSI on tcp/{}", u.server, u.port));
        }
    }

    /// The installer service, asked for by a host that reads from a data mover elsewhere. Where the data mover is asked for on
    /// the same host, a server is being managed, not restored to.
    fn by_installer(&mut self, uses: &Uses) {
        for u in uses.iter().filter(|u| u.port == 6160) {
            let elsewhere = !uses.servers(u.asker, 6162).is_empty();
            let deployed = uses.iter().any(|v| v.server == u.server && v.asker != u.asker && runtime(v.port));
            let managed = uses.asked(u.asker, u.server, |p| p == 6162);
            if managed || self.is(u.asker, Role::TargetWindows) || !(elsewhere || deployed) {
                continue;
            }
            let because = format!("is asked by {} for the installer service tcp/6160", u.asker);
            self.give(u.server, Role::TargetWindows, because);
            self.give(u.asker, Role::MountServer, format!("asks {} for the installer service tcp/6160", u.server));
        }
    }

    /// Who serves the runtime's ports, and its shares to the same asker, is the target.
    fn by_runtime(&mut self, uses: &Uses) {
        for u in uses.iter().filter(|u| runtime(u.port)) {
            if uses.asked(u.asker, u.server, |p| p == 445) && !uses.is_directory(u.server) {
                let because = format!("is asked by {} for its shares and for the runtime tcp/{}", u.asker, u.port);
                self.give(u.server, Role::TargetWindows, because);
            }
        }
    }

    /// Shares and the endpoint mapper of one host, both asked for by another, and no further: a deployment that was stopped,
    /// where nothing surer was seen and only one host could be meant. Windows administration goes on to a dynamic port, and
    /// a deployment that gets there goes on to the runtime. Every domain member asks its domain controllers the same.
    fn by_deployment(&mut self, uses: &Uses) {
        if self.has(Role::TargetWindows) {
            return;
        }
        let both = uses.iter().filter(|u| u.port == 445 && uses.asked(u.asker, u.server, |p| p == 135));
        let pairs: BTreeSet<(IpAddr, IpAddr)> = both.map(|u| (u.asker, u.server)).collect();
        let servers: BTreeSet<IpAddr> = pairs.iter().map(|(_, s)| *s).collect();
        if let (1, Some(&(asker, server))) = (servers.len(), pairs.first())
            && !uses.is_directory(server)
            && uses.stopped(asker, server)
        {
            let because =
                format!("is asked by {asker} for tcp/135 and tcp/445 and gets no further, as in a blocked deployment");
            self.give(server, Role::TargetWindows, because);
        }
    }

    /// Whom a mount server asks for the data mover is a repository. Where only one host asks, and only one is asked, that is
    /// taken for a mount server and its repository.
    fn by_data_mover(&mut self, uses: &Uses) {
        let movers: BTreeSet<(IpAddr, IpAddr)> =
            uses.iter().filter(|u| u.port == 6162).map(|u| (u.asker, u.server)).collect();
        let known = self.has(Role::MountServer);
        let of_mount = |d: &Self, a: IpAddr, s: IpAddr| d.is(a, Role::MountServer) && !d.is(s, Role::TargetWindows);
        for &(asker, server) in movers.iter().filter(|(a, s)| of_mount(self, *a, *s)).collect::<Vec<_>>() {
            let because = format!("is asked by the mount server {asker} for the data mover tcp/6162");
            self.give(server, Role::Repository, because);
        }
        let (1, false, Some(&(asker, server))) = (movers.len(), known, movers.first()) else { return };
        if self.is_any(asker) || self.is_any(server) {
            return;
        }
        self.give(server, Role::Repository, format!("is asked by {asker} for the data mover tcp/6162"));
        // A backup server asks for the installer there, too, and a database server is asked for its own shell or shares.
        let managed = uses.asked(asker, server, |p| matches!(p, 22 | 445 | 6160));
        let served = uses.iter().any(|u| u.server == asker && matches!(u.port, 22 | 135 | 445 | 6162));
        if !managed && !served {
            self.give(asker, Role::MountServer, format!("asks {server} for the data mover tcp/6162"));
        }
    }

    /// SSH from a mount server means a Linux target, unless that is a server of the backup itself; any other SSH is
    /// administration.
    fn by_ssh(&mut self, uses: &Uses) {
        if self.has(Role::TargetWindows) {
            return;
        }
        for mount in self.with(Role::MountServer) {
            let mut servers = uses.servers(mount, 22);
            servers.retain(|s| !self.is_any(*s) && !uses.asked(mount, *s, |p| matches!(p, 6160 | 6162)));
            if let (1, Some(&server)) = (servers.len(), servers.first()) {
                self.give(server, Role::TargetLinux, format!("is asked by the mount server {mount} for SSH"));
            }
        }
    }

    /// Of the hosts that deploy to the target, the one that asks a private host for 443 is the console and that host the
    /// backup server.
    fn by_console(&mut self, uses: &Uses) {
        let targets = [self.with(Role::TargetWindows), self.with(Role::TargetLinux)].concat();
        let deploys = |p: u16| matches!(p, 22 | 445) || runtime(p);
        let askers: BTreeSet<IpAddr> = uses
            .iter()
            .filter(|u| targets.contains(&u.server) && deploys(u.port))
            .map(|u| u.asker)
            .filter(|a| !self.is(*a, Role::MountServer) && !self.is(*a, Role::Repository) && !targets.contains(a))
            .collect();
        let (1, Some(&asker)) = (askers.len(), askers.first()) else { return };
        let mut https = uses.servers(asker, 443);
        https.retain(|s| private(*s) && !targets.contains(s) && *s != asker);
        if self.is(asker, Role::BackupServer) {
            return;
        }
        let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let what = format!("deploys to {}", targets.join(", "));
        match (https.len(), https.first()) {
            (1, Some(&server)) => {
                self.give(asker, Role::Console, format!("{what}, and asks {server} for tcp/443"));
                if !self.has(Role::BackupServer) {
                    self.give(server, Role::BackupServer, format!("is asked by {asker}, which deploys, for tcp/443"));
                }
            }
            // Where the mount server is not known, the deploying host may be that: in some operations it deploys.
            (0, _) if uses.askers(asker, 443).is_empty() && self.has(Role::MountServer) => {
                self.give(asker, Role::Console, format!("{what}; the backup server may do that, too: check"));
            }
            _ => {}
        }
    }

    fn site(&self, scenario: Scenario) -> Site {
        let companions = ["infrastructure", "veeam-13", "plugin-rman-13"].map(str::to_owned);
        let keep = if scenario == Scenario::PlugIn { 3 } else { 2 };
        let os = if self.has(Role::TargetWindows) { Os::Windows } else { Os::Linux };
        Site {
            path: None,
            digest: None,
            scenario,
            operations: BTreeSet::from([Operation::ApplicationItem]),
            facts: RestoreFacts { os: Some(os), ..RestoreFacts::default() },
            companions: companions.into_iter().take(keep).collect(),
            timezone: None,
            hosts: self.hosts(),
            role_nets: Vec::new(),
            points: Vec::new(),
            windows: Vec::new(),
            allow: Vec::new(),
            overrides: Vec::new(),
        }
    }

    fn hosts(&self) -> Vec<Host> {
        let mut by = BTreeMap::<IpAddr, BTreeSet<Role>>::new();
        for (addr, role) in self.0.keys() {
            by.entry(*addr).or_default().insert(*role);
        }
        by.into_iter().map(|(a, roles)| Host { label: a.to_string(), addrs: vec![a], roles, os: None }).collect()
    }

    fn reasons(self) -> Vec<InferredRole> {
        self.0
            .into_iter()
            .map(|((address, role), because)| InferredRole { address: address.to_string(), role, because })
            .collect()
    }
}

/// Addresses of a site's own networks: web servers elsewhere are nobody's backup server.
const fn private(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
