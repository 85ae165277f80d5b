//! Restores as data: who does what to whom, in which order.

use crate::net::Host::{self, BackupServer, Console, MountServer, Repository, TargetWindows};

/// Part of a restore; the order is the order in which a restore goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Not the restore: shows that the paths are up before it starts.
    Before,
    Console,
    RpcDeploy,
    RpcDynamic,
    OracleRuntime,
    DataMover,
    Installer,
    Iscsi,
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

/// One act in its place in the script.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) stage: Stage,
    pub(crate) from: Host,
    pub(crate) to: Host,
    pub(crate) act: Act,
}

/// A script. The restore stops at the first step that fails; `before` and `after` frame it.
pub(crate) struct Scenario {
    pub(crate) before: Vec<Step>,
    pub(crate) restore: Vec<Step>,
    pub(crate) after: Vec<Step>,
}

/// Image-level restore of application items to a Windows target.
///
/// The order of the stages is the one documented for the product's workflow. The endpoint mapper
/// and the dynamic port are one step because one client call does both; its stage is the later one.
pub(crate) fn image_level_windows() -> Scenario {
    let step = |stage, from, to, act| Step { stage, from, to, act };
    let send = |ports: &[u16], bytes| Act::Send { ports: ports.to_vec(), bytes };
    Scenario {
        before: pings(Stage::Before),
        restore: vec![
            step(Stage::Console, Console, BackupServer, Act::Tls(443)),
            step(Stage::RpcDeploy, Console, TargetWindows, Act::SmbPut { bytes: 12_000 }),
            step(Stage::RpcDynamic, Console, TargetWindows, Act::RpcCall),
            step(Stage::OracleRuntime, Console, TargetWindows, send(&[1035], 2_000)),
            step(Stage::DataMover, MountServer, Repository, send(&[6162, 2500], 12_000)),
            step(Stage::Installer, MountServer, TargetWindows, send(&[6160], 2_000)),
            step(Stage::Installer, MountServer, TargetWindows, Act::SmbPut { bytes: 8_000 }),
            step(Stage::Iscsi, TargetWindows, MountServer, Act::IscsiRead { port: 3260, blocks: 16 }),
        ],
        after: pings(Stage::After),
    }
}

/// One echo over each pair that a restore uses, as a monitoring system would send.
///
/// They give every capture unicast packets of these pairs before and after the restore: without
/// them a capture could not tell "the pair was silent" from "the pair is out of sight", nor show
/// that it was still running when nothing more came.
fn pings(stage: Stage) -> Vec<Step> {
    let pairs =
        [(Console, BackupServer), (Console, TargetWindows), (MountServer, Repository), (MountServer, TargetWindows)];
    pairs.map(|(from, to)| Step { stage, from, to, act: Act::Ping }).to_vec()
}
