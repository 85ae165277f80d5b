//! The rows a restore has to show, written by hand from the documentation of needs: who opens what to
//! whom, how much it is needed, and when.
//!
//! Deliberately a second account beside `rules/`: the two were written apart and are held against each other.

use std::ops::RangeInclusive;

use crate::hosts::Host::{
    self, BackupServer, Console, MountServer, Repository, SecondTarget, StagingServer, TargetLinux, TargetWindows,
};

/// How much a restore needs a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    Expected,
    Required,
}

/// The kinds of restore that the lab plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    ApplicationItem,
    Publish,
    InstantRecovery,
    EnterpriseManager,
    Export,
    /// Application items from a plug-in backup.
    PlugIn,
}

/// One row for one responder (or, where the originator is the one that counts, for that one).
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) rule: &'static str,
    pub(crate) service: &'static str,
    pub(crate) need: Need,
    pub(crate) stage: u8,
    /// The host that the row is about; none where any host of the role will do.
    pub(crate) each: Option<Host>,
    pub(crate) drivers: Vec<Host>,
    pub(crate) to: Host,
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) fallback: Option<RangeInclusive<u16>>,
    /// The port of the same rule that does the same job.
    pub(crate) substitute: Option<u16>,
    /// Part of a companion set: its traffic stays related.
    pub(crate) companion: bool,
}

impl Row {
    fn needs(mut self, need: Need) -> Self {
        self.need = need;
        self
    }

    fn each(mut self, host: Host) -> Self {
        self.each = Some(host);
        self
    }

    fn data(mut self) -> Self {
        self.fallback = Some(2500..=3300);
        self
    }

    fn related(mut self) -> Self {
        self.companion = true;
        self
    }
}

fn row(rule: &'static str, service: &'static str, stage: u8, drivers: &[Host], to: Host) -> Row {
    let ports = service.trim_start_matches("tcp/");
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| text.parse().unwrap_or(0);
    Row {
        rule,
        service,
        need: Need::Required,
        stage,
        each: None,
        drivers: drivers.to_vec(),
        to,
        ports: port(low)..=port(high),
        fallback: None,
        substitute: None,
        companion: false,
    }
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ApplicationItem | Self::PlugIn => "application-item",
            Self::Publish => "publish",
            Self::InstantRecovery => "instant-recovery",
            Self::EnterpriseManager => "enterprise-manager",
            Self::Export => "export",
        }
    }

    pub(crate) fn scenario(self) -> &'static str {
        if self == Self::PlugIn { "plug-in" } else { "image-level" }
    }

    /// All rows where the hosts of `cast` have their roles, in the order of rules and their ports.
    pub(crate) fn rows(self, cast: &[Host]) -> Vec<Row> {
        let mut rows = self.all(cast);
        for row in &mut rows {
            row.drivers.retain(|d| cast.contains(d));
        }
        rows.retain(|r| !r.drivers.is_empty() && cast.contains(&r.to));
        rows
    }

    fn all(self, cast: &[Host]) -> Vec<Row> {
        if self == Self::PlugIn { plug_in(cast) } else { self.image_level(cast) }
    }

    fn image_level(self, cast: &[Host]) -> Vec<Row> {
        let mut rows = Vec::new();
        let console = row("image.console", "tcp/443", 1, &[Console], BackupServer);
        match self {
            // The database may be restored by people who never open a console.
            Self::EnterpriseManager => {}
            Self::InstantRecovery => rows.push(console.needs(Need::Expected)),
            _ => rows.push(console),
        }
        let machines = if self == Self::Export { vec![StagingServer] } else { vec![TargetWindows, SecondTarget] };
        for windows in machines.into_iter().filter(|m| cast.contains(m)) {
            rows.extend(self.deploy(windows));
            rows.push(row("image.installer", "tcp/6160", 5, &[MountServer], windows).each(windows));
            let share = row("image.installer", "tcp/445", 5, &[MountServer], windows).each(windows);
            rows.push(share.needs(Need::Expected));
            rows.push(row("image.iscsi", "tcp/3260-3270", 6, &[windows], MountServer).each(windows));
        }
        rows.push(row("image.data-mover", "tcp/6162", 4, &[MountServer], Repository).data());
        if self != Self::Export {
            let drivers = if self == Self::EnterpriseManager { vec![MountServer] } else { vec![MountServer, Console] };
            rows.push(row("image.ssh", "tcp/22", 2, &drivers, TargetLinux).each(TargetLinux));
        }
        rows
    }

    /// Who copies the runtime there and talks to it.
    fn deploy(self, to: Host) -> Vec<Row> {
        match self {
            Self::InstantRecovery => {
                // The wizard on the console validates, too: expected of it. Where both are merely expected, either will do.
                let mut rows = deployment("image", &[MountServer], to);
                let wizard = deployment("image", &[Console], to);
                for (service, mine) in wizard.into_iter().map(|r| (r.service, r.needs(Need::Expected))) {
                    match rows.iter_mut().find(|r| r.service == service && r.need == Need::Expected) {
                        Some(both) => both.drivers.push(Console),
                        None => rows.push(mine),
                    }
                }
                rows
            }
            Self::EnterpriseManager => deployment("image", &[MountServer], to),
            _ => deployment("image", &[Console, BackupServer], to),
        }
    }
}

fn deployment(scenario: &str, drivers: &[Host], to: Host) -> Vec<Row> {
    let [deploy, dynamic, runtime] = match scenario {
        "image" => ["image.rpc-deploy", "image.rpc-dynamic", "image.oracle-runtime"],
        _ => ["plugin.rpc-deploy", "plugin.rpc-dynamic", "plugin.oracle-runtime"],
    };
    let mut mapper = row(deploy, "tcp/135", 2, drivers, to).needs(Need::Expected);
    mapper.substitute = Some(445);
    let rows = vec![
        row(deploy, "tcp/445", 2, drivers, to),
        mapper,
        row(dynamic, "tcp/49152-65535", 3, drivers, to).needs(Need::Expected),
        row(runtime, "tcp/1035-1075", 3, drivers, to),
    ];
    rows.into_iter().map(|r| r.each(to)).collect()
}

fn plug_in(cast: &[Host]) -> Vec<Row> {
    let mut rows = vec![row("plugin.console", "tcp/443", 1, &[Console], BackupServer)];
    if cast.contains(&TargetWindows) {
        rows.extend(deployment("plugin", &[Console], TargetWindows));
        // The page leaves this row to the plug-in's own documentation.
        let data = row("plugin-rman.data", "tcp/6162", 5, &[TargetWindows], Repository);
        rows.push(data.data().each(TargetWindows).related());
    }
    if cast.contains(&TargetLinux) {
        rows.push(row("plugin.ssh", "tcp/22", 2, &[Console], TargetLinux).each(TargetLinux));
        rows.push(row("plugin.data-mover", "tcp/6162", 5, &[TargetLinux], Repository).data().each(TargetLinux));
    }
    for target in [TargetWindows, TargetLinux].into_iter().filter(|t| cast.contains(t)) {
        rows.push(row("plugin-rman.control", "tcp/10006", 4, &[target], BackupServer).each(target).related());
        let web = row("plugin-rman.control", "tcp/443", 4, &[target], BackupServer).each(target).related();
        rows.push(web.needs(Need::Expected));
    }
    rows
}
