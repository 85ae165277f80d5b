//! What was seen at one observation point: the one value between packets and judgement.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::{InputId, Known, Problem, Span, Time};
use crate::capture::CapturedHost;
use crate::flow::Flow;

use super::rest::Rest;

/// One input of an observation point, as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSummary {
    /// Its number.
    pub input: InputId,
    /// As the user named it; `-` for standard input.
    pub name: Arc<str>,
    /// `pcap`, `pcap (nanosecond)`, `pcapng`, ..., and what it is compressed with: `pcapng, gzip`.
    pub format: String,
    /// Lower-case hex SHA-256 of the input as it lies on disk, taken while it was read, where it was asked for.
    pub sha256: Known<String>,
    /// Names of the link types met, sorted.
    pub linktypes: Vec<String>,
    /// Frames read, also those that could not be decoded.
    pub packets: u64,
    /// Bytes of the input that were read, decompressed.
    pub bytes: u64,
    /// Earliest frame, or start time in a statistics block where that is earlier.
    pub first: Option<Time>,
    /// Latest frame, or end time in a statistics block where that is later.
    pub last: Option<Time>,
    /// Packets dropped by the capturing system.
    pub loss_kernel: Known<u64>,
    /// Packets dropped by the interface.
    pub loss_interface: Known<u64>,
    /// Capture filter, where the file names one.
    pub filter: Known<String>,
    /// Smallest capture length of its interfaces, 0 for "no limit".
    pub snaplen: Known<u32>,
    /// Frames of which less was captured than was on the wire.
    pub cut_frames: u64,
    /// Byte offset at which a damaged file stopped being readable.
    pub damaged_at: Option<u64>,
    /// The host that captured, where the input says so.
    pub host: Option<CapturedHost>,
}

impl InputSummary {
    /// The summary of an input of which nothing was read.
    pub fn unread(input: InputId, name: &str) -> Self {
        Self {
            input,
            name: name.into(),
            format: "unreadable".to_owned(),
            sha256: Known::Unknown,
            linktypes: Vec::new(),
            packets: 0,
            bytes: 0,
            first: None,
            last: None,
            loss_kernel: Known::Unknown,
            loss_interface: Known::Unknown,
            filter: Known::Unknown,
            snaplen: Known::Unknown,
            cut_frames: 0,
            damaged_at: None,
            host: None,
        }
    }
}

/// Everything seen at one observation point. Holds no payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Inputs, in order.
    pub inputs: Vec<InputSummary>,
    /// Flows that are held, ordered by first stamp.
    pub flows: Vec<Flow>,
    /// Sums over the others.
    #[serde(default)]
    pub rest: Rest,
    /// Stretches in which nothing could have been seen: between rotated files, or dated drops. Sorted.
    pub holes: Vec<Hole>,
    /// Flows left out for lack of memory.
    pub evicted: u64,
    /// What went wrong.
    pub problems: Vec<Problem>,
}

/// A stretch of time in which the capture was blind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Hole {
    /// Last thing seen before.
    pub from: Time,
    /// First thing seen after.
    pub to: Time,
}

impl Observation {
    /// First moment covered.
    pub fn first(&self) -> Option<Time> {
        self.inputs.iter().filter_map(|i| i.first).min()
    }

    /// Last moment covered.
    pub fn last(&self) -> Option<Time> {
        self.inputs.iter().filter_map(|i| i.last).max()
    }

    /// How long after `t` the capture went on without a hole; zero where it ended before.
    pub fn open_after(&self, t: Time) -> Span {
        let end = self.holes.iter().filter(|h| h.to > t).map(|h| h.from.max(t)).min().or_else(|| self.last());
        end.map_or(Span::default(), |end| end.since(t))
    }
}
