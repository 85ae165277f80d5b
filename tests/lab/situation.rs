//! The situations: a scenario, what stands in its way, and what must come of it.

use crate::block::{Block, Fate};
use crate::hosts::Host::{
    self, BackupServer, Console, MountServer, Repository, SecondTarget, StagingServer, TargetLinux, TargetWindows,
};
use crate::hosts::{Place, Topology};
use crate::rows::Operation;
use crate::scenario::{
    Act, Odd, Scenario, Stage, Step, export_staged, image_level_linux, image_level_two_targets, image_level_windows,
    mount_server_deploys, plug_in_linux, plug_in_windows, step,
};

/// One situation and its expected story.
pub(crate) struct Situation {
    /// Name of the test and, with `file`, of what is recorded.
    pub(crate) file: &'static str,
    /// One line for the reader of a kept capture.
    pub(crate) story: &'static str,
    pub(crate) operation: Operation,
    /// Further facts of the restore, as the site file says them.
    pub(crate) facts: &'static str,
    /// Hosts that the site knows.
    pub(crate) cast: &'static [Host],
    pub(crate) topology: fn() -> Topology,
    pub(crate) scenario: fn() -> Scenario,
    pub(crate) blocks: fn() -> Vec<Block>,
    /// Places whose captures travel with the project; the lab captures everywhere.
    pub(crate) kept: &'static [Place],
    pub(crate) stops_at: Option<Stage>,
}

const WINDOWS: &[Host] = &[Console, BackupServer, MountServer, Repository, TargetWindows];
const LINUX: &[Host] = &[Console, BackupServer, MountServer, Repository, TargetLinux];

const BASE: Situation = Situation {
    file: "",
    story: "",
    operation: Operation::ApplicationItem,
    facts: "",
    cast: WINDOWS,
    topology: Topology::routed,
    scenario: image_level_windows,
    blocks: Vec::new,
    kept: &[],
    stops_at: None,
};

fn block(place: Place, from: Host, to: Host, port: u16, fate: Fate) -> Block {
    Block { place, from, to, ports: port..=port, fate }
}

/// All situations; a new one is a new row here and a test in `main.rs`.
pub(crate) const ALL: &[&Situation] = &[
    &CLEAN,
    &RPC_DYNAMIC_DROPPED,
    &DATA_MOVER_FALLBACK,
    &PUBLISH_INSTALLER_RESET,
    &INSTANT_ISCSI_HALF_OPEN,
    &ENTERPRISE_RUNTIME_REFUSED,
    &EXPORT_MAPPER_PROHIBITED,
    &LINUX_SHARED,
    &OWN_FIREWALL,
    &PLUGIN_WINDOWS_SERVER_CONSOLE,
    &PLUGIN_LINUX_PROHIBITED,
    &TWO_TARGETS,
    &IPV6_LOSSY,
    &DUAL_UNREACHABLE,
    &NAT_BLACK_HOLE,
    &STRANGERS,
    &WRONG_SERVICE,
];

pub(crate) const CLEAN: Situation = Situation {
    file: "restore-clean",
    story: "An image-level restore of application items to a Windows target; nothing is blocked and every stage works.",
    kept: &[Place::At(MountServer), Place::At(TargetWindows), Place::At(Console), Place::Router],
    ..BASE
};

pub(crate) const RPC_DYNAMIC_DROPPED: Situation = Situation {
    file: "rpc-dynamic-dropped",
    story: "The same restore. The endpoint mapper on the target names a dynamic port, and the firewall between the \
            subnets drops what the console sends there: the restore stops, no later stage is tried.",
    blocks: || {
        let (from, to) = (Console, TargetWindows);
        vec![Block { place: Place::Router, from, to, ports: 49152..=65535, fate: Fate::Drop }]
    },
    kept: &[Place::At(MountServer), Place::At(TargetWindows), Place::At(Console)],
    stops_at: Some(Stage::RpcDynamic),
    ..BASE
};

pub(crate) const DATA_MOVER_FALLBACK: Situation = Situation {
    file: "data-mover-fallback",
    story: "The same restore. The repository's own firewall drops port 6162 from the mount server, which then uses \
            2500; everything else works.",
    blocks: || vec![block(Place::At(Repository), MountServer, Repository, 6162, Fate::Drop)],
    kept: &[Place::At(MountServer), Place::At(Repository), Place::At(TargetWindows), Place::At(Console)],
    ..BASE
};

pub(crate) const PUBLISH_INSTALLER_RESET: Situation = Situation {
    file: "publish-installer-reset",
    story: "Publishing a database. A firewall between the subnets resets what the mount server sends to the target's \
            port 6160: its time to live gives it away.",
    operation: Operation::Publish,
    blocks: || vec![block(Place::Router, MountServer, TargetWindows, 6160, Fate::Reset)],
    kept: &[Place::At(MountServer)],
    stops_at: Some(Stage::Installer),
    ..BASE
};

pub(crate) const INSTANT_ISCSI_HALF_OPEN: Situation = Situation {
    file: "instant-iscsi-half-open",
    story: "Instant recovery; the mount server deploys the runtime. What it answers on 3260 is dropped on the way back \
            to the target: the disks are never mounted.",
    operation: Operation::InstantRecovery,
    scenario: || mount_server_deploys(true),
    blocks: || vec![block(Place::Router, TargetWindows, MountServer, 3260, Fate::ReturnDrop)],
    kept: &[Place::At(TargetWindows)],
    stops_at: Some(Stage::Iscsi),
    ..BASE
};

pub(crate) const ENTERPRISE_RUNTIME_REFUSED: Situation = Situation {
    file: "enterprise-runtime-refused",
    story: "A restore from Enterprise Manager; no console takes part. Nothing listens on the target's port 1035: it \
            answers with a reset.",
    operation: Operation::EnterpriseManager,
    cast: &[MountServer, Repository, TargetWindows],
    scenario: || mount_server_deploys(false),
    blocks: || vec![block(Place::At(TargetWindows), MountServer, TargetWindows, 1035, Fate::NotServed)],
    kept: &[Place::Mirror],
    stops_at: Some(Stage::OracleRuntime),
    ..BASE
};

pub(crate) const EXPORT_MAPPER_PROHIBITED: Situation = Situation {
    file: "export-mapper-prohibited",
    story: "Export through a staging server. The router's access list forbids port 135, and says so; the calls travel \
            in named pipes over 445 instead, and the export succeeds.",
    operation: Operation::Export,
    facts: "export_as  = \"rman\"\nrestore_to = \"latest\"\n",
    cast: &[Console, BackupServer, MountServer, Repository, StagingServer],
    scenario: || export_staged().calling_through_pipes(),
    blocks: || vec![block(Place::Router, Console, StagingServer, 135, Fate::Prohibited)],
    kept: &[Place::At(Console)],
    ..BASE
};

pub(crate) const LINUX_SHARED: Situation = Situation {
    file: "linux-shared-host",
    story: "Image-level restore to a Linux target. The repository is the mount server itself, so that its data never \
            cross the network.",
    cast: LINUX,
    topology: Topology::repository_on_mount_server,
    scenario: image_level_linux,
    kept: &[Place::At(TargetLinux)],
    ..BASE
};

pub(crate) const OWN_FIREWALL: Situation = Situation {
    file: "own-firewall",
    story: "Image-level restore to a Windows target. The mount server's own firewall holds back what it would send to \
            the repository on 6162 and on the ports after it: no packet of it is on any wire.",
    blocks: || {
        let (from, to) = (MountServer, Repository);
        vec![Block { place: Place::At(from), from, to, ports: 2500..=6162, fate: Fate::Drop }]
    },
    kept: &[Place::Mirror],
    stops_at: Some(Stage::DataMover),
    ..BASE
};

pub(crate) const PLUGIN_WINDOWS_SERVER_CONSOLE: Situation = Situation {
    file: "plugin-windows",
    story: "Restore from a plug-in backup to a Windows target, started on the backup server's own console; the target \
            fetches the data from the repository itself.",
    operation: Operation::PlugIn,
    topology: Topology::console_on_backup_server,
    scenario: plug_in_windows,
    kept: &[Place::At(TargetWindows)],
    ..BASE
};

pub(crate) const PLUGIN_LINUX_PROHIBITED: Situation = Situation {
    file: "plugin-linux-prohibited",
    story: "Restore from a plug-in backup to a Linux target. The router's access list forbids the target 6162 and 2500 \
            of the repository, and says so.",
    operation: Operation::PlugIn,
    cast: LINUX,
    scenario: plug_in_linux,
    blocks: || {
        let (from, to) = (TargetLinux, Repository);
        vec![Block { place: Place::Router, from, to, ports: 2500..=6162, fate: Fate::Prohibited }]
    },
    kept: &[Place::At(TargetLinux)],
    stops_at: Some(Stage::DataMover),
    ..BASE
};

pub(crate) const TWO_TARGETS: Situation = Situation {
    file: "two-targets",
    story: "Two databases on two servers from one backup. The first restore works; the second server's own firewall \
            drops the console on 445.",
    cast: &[Console, BackupServer, MountServer, Repository, TargetWindows, SecondTarget],
    scenario: image_level_two_targets,
    blocks: || vec![block(Place::At(SecondTarget), Console, SecondTarget, 445, Fate::Drop)],
    kept: &[Place::At(Console)],
    stops_at: Some(Stage::RpcDeploy),
    ..BASE
};

pub(crate) const IPV6_LOSSY: Situation = Situation {
    file: "ipv6-lossy",
    story: "Image-level restore over IPv6. The path to the repository loses two packets of a hundred; TCP makes up for it.",
    topology: Topology::v6,
    blocks: || vec![block(Place::Router, MountServer, Repository, 6162, Fate::Loss(2))],
    kept: &[Place::At(TargetWindows)],
    ..BASE
};

pub(crate) const DUAL_UNREACHABLE: Situation = Situation {
    file: "dual-stack-unreachable",
    story: "Image-level restore with the target on IPv6 and the rest on IPv4. The router calls the target unreachable \
            when the console asks for port 1035.",
    topology: Topology::dual,
    blocks: || vec![block(Place::Router, Console, TargetWindows, 1035, Fate::HostUnreachable)],
    kept: &[Place::At(Console)],
    stops_at: Some(Stage::OracleRuntime),
    ..BASE
};

pub(crate) const NAT_BLACK_HOLE: Situation = Situation {
    file: "nat-black-hole",
    story: "Image-level restore through a router that translates addresses. On the way to the target's port 1035 \
            full-sized packets vanish: the connection stands, and its data never arrive.",
    topology: Topology::translating,
    blocks: || vec![block(Place::Router, Console, TargetWindows, 1035, Fate::BlackHole)],
    kept: &[Place::At(TargetWindows)],
    stops_at: Some(Stage::OracleRuntime),
    ..BASE
};

pub(crate) const STRANGERS: Situation = Situation {
    file: "strangers",
    story: "Image-level restore to a Windows target. Before it the target opens a connection to the repository that no \
            rule has; the mount server's connection to 6162 is reset at its first full-sized packet, and 2500 works.",
    scenario: || {
        let act = Act::Send { ports: vec![8080], bytes: 500 };
        let alien = Step { odd: Odd::NoRule, ..step(Stage::Aside, TargetWindows, Repository, act) };
        image_level_windows().beside(alien)
    },
    blocks: || vec![block(Place::Router, MountServer, Repository, 6162, Fate::ResetMidstream)],
    kept: &[Place::Mirror],
    ..BASE
};

pub(crate) const WRONG_SERVICE: Situation = Situation {
    file: "wrong-service",
    story: "Image-level restore to a Windows target. On the backup server's port 443 a secure shell answers instead of \
            HTTPS: the port is open, and what it leads to is not the service.",
    scenario: || {
        let mut scenario = image_level_windows();
        let shell = Step { odd: Odd::WrongProtocol, ..step(Stage::Console, Console, BackupServer, Act::Ssh(443)) };
        if let Some(login) = scenario.restore.first_mut() {
            *login = shell;
        }
        scenario
    },
    kept: &[Place::At(Console)],
    ..BASE
};
