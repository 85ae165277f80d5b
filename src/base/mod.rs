//! The small types everything else stands on: time, knowledge, foreign text, problems, addresses.
//!
//! Nothing here knows about captures, flows, roles or rules.

mod fetch;
mod known;
mod net;
mod problem;
mod text;
mod time;

pub(crate) use fetch::fetch;
pub use known::Known;
pub use net::{AddrSet, PortRange, PortSet, Proto, Service};
pub use problem::{Forbids, InputId, Problem, ProblemKind, Problems, RunError};
pub use text::{WireText, shell_word, visible};
pub use time::{Span, Time};

use serde::{Deserialize, Serialize};

/// A frame's place: which input, and its 1-based number there, as Wireshark counts.
///
/// Segments number their frames from 1; the fold shifts them, so only a folded reference is a file position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FrameRef {
    /// The input the frame came from.
    pub input: InputId,
    /// 1-based number of the frame in its input.
    pub frame: u64,
}

/// When and where: ordered by time, then input, then frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Stamp {
    /// Packet time.
    pub time: Time,
    /// The frame that shows it.
    pub at: FrameRef,
}
