//! What the capturing host's own kernel says of a flow.

use serde::{Deserialize, Serialize};

use crate::base::Stamp;
use crate::capture::Process;

use super::model::Side;

/// Segments of an attempt that the kernel dropped, all for one reason: because somebody wanted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalDrop {
    /// Who sent them.
    pub side: Side,
    /// Whether they are answers (SYN-ACK) rather than SYNs.
    pub answer: bool,
    /// Their sequence number.
    pub seq: u32,
    /// The kernel's name of the reason.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// The first one; the frame is the one captured before.
    pub first: Stamp,
    /// The last one.
    pub last: Stamp,
}

/// The process behind one end of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Which end.
    pub side: Side,
    /// Whether it listened there, rather than having opened the flow.
    pub listens: bool,
    /// The process.
    pub process: Process,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// Segments that were dropped.
    pub drops: Vec<LocalDrop>,
    /// Processes of this host.
    pub owners: Vec<Owner>,
}

impl Local {
    /// Whether the kernel said nothing.
    pub const fn is_empty(&self) -> bool {
        self.drops.is_empty() && self.owners.is_empty()
    }
}
