//! What endpoint mappers were asked, and what became of the ports they gave out.

use schemars::JsonSchema;
use serde::Serialize;

use super::Cause;
use crate::base::{Time, WireText};
use crate::flow::FlowId;

/// What an endpoint mapper's answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MapperKind {
    /// It gave out a TCP port.
    Port,
    /// It named a pipe: the calls go inside SMB.
    Pipe,
    /// It is encrypted, and what it gave out cannot be read.
    Encrypted,
    /// It is an error, such as "not registered".
    Refused,
    /// The mapper was asked through its pipe, inside SMB; its answers are not read.
    OverSmb,
    /// An object was activated over DCOM; the ports such answers name are not read.
    Activation,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MapperOutcome {
    /// A connection to the port was established.
    Reached,
    /// Every attempt on the port failed.
    Blocked,
    /// The port was tried, and the capture does not say what came of it.
    Open,
    /// The port was not tried in this capture.
    NotTried,
    /// No port was read.
    Unread,
}

impl MapperOutcome {
    /// The outcome in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Blocked => "blocked",
            Self::Open => "outcome open",
            Self::NotTried => "never tried",
            Self::Unread => "not read",
        }
    }
}

/// One answer of an endpoint mapper; equal ones of one host to another are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MapperEntry {
    /// What the answer was.
    pub kind: MapperKind,
    /// Host that asked: label and address.
    pub asked_by: String,
    /// Host that was asked, or the one its answer points to.
    pub host: String,
    /// Interface asked for, UUID in lower case.
    pub interface: Option<String>,
    /// Its usual name.
    pub interface_name: Option<String>,
    /// Service given out: `tcp/49154`.
    pub service: Option<String>,
    /// Pipe named or used.
    pub pipe: Option<WireText>,
    /// Status of a refusal; 0x16c9a0d6 is "not registered".
    pub status: Option<u32>,
    /// What became of the port.
    pub outcome: MapperOutcome,
    /// Why it is blocked.
    pub cause: Option<Cause>,
    /// Flows to that port at the time of the answer or later.
    pub flows: Vec<FlowId>,
    /// How many such answers there were.
    pub answers: u64,
    /// The flow that asked.
    pub asking_flow: FlowId,
    /// When the first answer was seen; of what is not read, when the flow began.
    pub at: Time,
    /// Input of that frame.
    pub input: String,
    /// 1-based number of that frame there.
    pub frame: u64,
}
