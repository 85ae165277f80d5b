//! The situations: a scenario, what stands in its way, and what must come of it.

use crate::block::{Block, Fate};
use crate::net::{Host, Place};
use crate::scenario::{Scenario, Stage, image_level_windows};

/// One situation and its expected story.
pub(crate) struct Situation {
    /// Name of the test and, with `file`, of what is recorded.
    pub(crate) file: &'static str,
    /// One line for the reader of a kept capture.
    pub(crate) story: &'static str,
    pub(crate) scenario: fn() -> Scenario,
    pub(crate) blocks: fn() -> Vec<Block>,
    pub(crate) places: &'static [Place],
    pub(crate) stops_at: Option<Stage>,
}

/// All situations; a new one is a new row here and a test in `main.rs`.
pub(crate) const ALL: &[Situation] = &[CLEAN, RPC_DYNAMIC_DROPPED, DATA_MOVER_FALLBACK];

pub(crate) const CLEAN: Situation = Situation {
    file: "restore-clean",
    story: "An image-level restore of application items to a Windows target; nothing is blocked and every stage works.",
    scenario: image_level_windows,
    blocks: Vec::new,
    places: &[Place::At(Host::MountServer), Place::At(Host::TargetWindows), Place::At(Host::Console), Place::Router],
    stops_at: None,
};

pub(crate) const RPC_DYNAMIC_DROPPED: Situation = Situation {
    file: "rpc-dynamic-dropped",
    story: "The same restore. The endpoint mapper on the target names a dynamic port, and the firewall between the \
            subnets drops what the console sends there: the restore stops, no later stage is tried.",
    scenario: image_level_windows,
    blocks: || {
        let (from, to) = (Host::Console, Host::TargetWindows);
        vec![Block { place: Place::Router, from, to, ports: 49152..=65535, fate: Fate::Drop }]
    },
    places: &[Place::At(Host::MountServer), Place::At(Host::TargetWindows), Place::At(Host::Console)],
    stops_at: Some(Stage::RpcDynamic),
};

pub(crate) const DATA_MOVER_FALLBACK: Situation = Situation {
    file: "data-mover-fallback",
    story: "The same restore. The repository's own firewall drops port 6162 from the mount server, which then uses \
            2500; everything else works.",
    scenario: image_level_windows,
    blocks: || {
        let (from, to) = (Host::MountServer, Host::Repository);
        vec![Block { place: Place::At(to), from, to, ports: 6162..=6162, fate: Fate::Drop }]
    },
    places: &[
        Place::At(Host::MountServer),
        Place::At(Host::Repository),
        Place::At(Host::TargetWindows),
        Place::At(Host::Console),
    ],
    stops_at: None,
};
