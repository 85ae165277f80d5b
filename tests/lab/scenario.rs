//! Restores as data: who does what to whom, in which order.

use crate::hosts::Host::{
    self, BackupServer, Console, MountServer, Repository, SecondTarget, StagingServer, TargetLinux, TargetWindows,
};

/// Part of a restore; the order is the order in which a restore goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Not the restore: shows that the paths are up before it starts.
    Before,
    Console,
    RpcDeploy,
    RpcDynamic,
    OracleRuntime,
    /// The database plug-in's own channel to the backup server.
    PluginControl,
    DataMover,
    Installer,
    Iscsi,
    /// Not the restore: something else these hosts do meanwhile.
    Aside,
    /// Not the restore: traffic after it, so that captures demonstrably outlast it.
    After,
}

/// Something one host does to another.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// One ICMP echo.
    Ping,
    /// A request over HTTPS.
    Tls(u16),
    /// A file of zeros put on the administrative share.
    SmbPut { bytes: usize },
    /// Endpoint mapper on 135, then a call on the port it names.
    RpcCall,
    /// Zeros to the first of the ports that takes them.
    Send { ports: Vec<u16>, bytes: usize },
    /// Login, read, logout.
    IscsiRead { port: u16, blocks: u16 },
    /// A command over SSH.
    Ssh(u16),
}

/// What is strange about a step that the matrix does not foresee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Odd {
    No,
    /// No rule has this connection.
    NoRule,
    /// The port is a rule's, what is spoken there is not.
    WrongProtocol,
}

/// One act in its place in the script.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) stage: Stage,
    pub(crate) from: Host,
    pub(crate) to: Host,
    pub(crate) act: Act,
    /// The restore goes on without it.
    pub(crate) optional: bool,
    pub(crate) odd: Odd,
}

/// A script. The restore stops at the first step that fails; `before` and `after` frame it.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) before: Vec<Step>,
    pub(crate) restore: Vec<Step>,
    pub(crate) after: Vec<Step>,
}

/// A step that the restore cannot do without.
pub(crate) fn step(stage: Stage, from: Host, to: Host, act: Act) -> Step {
    Step { stage, from, to, act, optional: false, odd: Odd::No }
}

fn send(ports: &[u16], bytes: usize) -> Act {
    Act::Send { ports: ports.to_vec(), bytes }
}

impl Scenario {
    fn of(restore: Vec<Step>) -> Self {
        Self { before: pings(&restore, Stage::Before), after: pings(&restore, Stage::After), restore }
    }

    /// The same script where a failing call over RPC does not end the restore: calls also travel in named pipes over 445.
    pub(crate) fn calling_through_pipes(mut self) -> Self {
        self.restore.iter_mut().filter(|s| matches!(s.act, Act::RpcCall)).for_each(|s| s.optional = true);
        self
    }

    /// The same script after something else these hosts do.
    pub(crate) fn beside(mut self, other: Step) -> Self {
        self.restore.insert(0, other);
        self
    }
}

/// Deployment of the runtime from `driver`: the administrative share, the endpoint mapper and the port it names, the runtime.
///
/// The endpoint mapper and the dynamic port are one step because one client call does both; its stage is the later one.
fn deploy(driver: Host, to: Host) -> Vec<Step> {
    vec![
        step(Stage::RpcDeploy, driver, to, Act::SmbPut { bytes: 12_000 }),
        step(Stage::RpcDynamic, driver, to, Act::RpcCall),
        step(Stage::OracleRuntime, driver, to, send(&[1035], 2_000)),
    ]
}

/// What happens once the disks of the backup are to be mounted on `to`.
fn mount(to: Host) -> Vec<Step> {
    vec![
        step(Stage::Installer, MountServer, to, send(&[6160], 2_000)),
        step(Stage::Installer, MountServer, to, Act::SmbPut { bytes: 8_000 }),
        step(Stage::Iscsi, to, MountServer, Act::IscsiRead { port: 3260, blocks: 16 }),
    ]
}

fn login() -> Step {
    step(Stage::Console, Console, BackupServer, Act::Tls(443))
}

fn data(from: Host) -> Step {
    step(Stage::DataMover, from, Repository, send(&[6162, 2500], 12_000))
}

/// Image-level restore of application items to a Windows target; publishing goes the same way.
///
/// The order of the stages is the one documented for the product's workflow.
pub(crate) fn image_level_windows() -> Scenario {
    Scenario::of(
        [vec![login()], deploy(Console, TargetWindows), vec![data(MountServer)], mount(TargetWindows)].concat(),
    )
}

/// The same with two databases on two servers, one after the other, from one backup.
pub(crate) fn image_level_two_targets() -> Scenario {
    let second = [deploy(Console, SecondTarget), mount(SecondTarget)].concat();
    let mut scenario = image_level_windows();
    scenario.restore.extend(second);
    Scenario::of(scenario.restore)
}

/// Instant recovery, or a restore from Enterprise Manager: the mount server deploys the runtime.
pub(crate) fn mount_server_deploys(console: bool) -> Scenario {
    let first = if console { vec![login()] } else { vec![] };
    Scenario::of([first, deploy(MountServer, TargetWindows), vec![data(MountServer)], mount(TargetWindows)].concat())
}

/// Export through a staging server; the target is not touched.
pub(crate) fn export_staged() -> Scenario {
    Scenario::of(
        [vec![login()], deploy(Console, StagingServer), vec![data(MountServer)], mount(StagingServer)].concat(),
    )
}

/// Image-level restore to a Linux target: everything there travels over SSH.
pub(crate) fn image_level_linux() -> Scenario {
    let ssh = step(Stage::RpcDeploy, MountServer, TargetLinux, Act::Ssh(22));
    Scenario::of(vec![login(), ssh, data(MountServer)])
}

fn control(target: Host) -> Vec<Step> {
    vec![
        step(Stage::PluginControl, target, BackupServer, send(&[10_006], 2_000)),
        step(Stage::PluginControl, target, BackupServer, Act::Tls(443)),
        data(target),
    ]
}

/// Restore from a plug-in backup to a Windows target, which fetches the data itself.
pub(crate) fn plug_in_windows() -> Scenario {
    Scenario::of([vec![login()], deploy(Console, TargetWindows), control(TargetWindows)].concat())
}

/// Restore from a plug-in backup to a Linux target.
pub(crate) fn plug_in_linux() -> Scenario {
    let ssh = step(Stage::RpcDeploy, Console, TargetLinux, Act::Ssh(22));
    Scenario::of([vec![login(), ssh], control(TargetLinux)].concat())
}

/// One echo over each pair that a restore uses, as a monitoring system would send.
///
/// They give every capture unicast packets of these pairs before and after the restore: without
/// them a capture could not tell "the pair was silent" from "the pair is out of sight", nor show
/// that it was still running when nothing more came.
fn pings(restore: &[Step], stage: Stage) -> Vec<Step> {
    let mut pairs: Vec<(Host, Host)> = Vec::new();
    for s in restore {
        if !pairs.contains(&(s.from, s.to)) && !pairs.contains(&(s.to, s.from)) {
            pairs.push((s.from, s.to));
        }
    }
    pairs.into_iter().map(|(from, to)| step(stage, from, to, Act::Ping)).collect()
}
