//! The lines of a saved observation.

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};

use crate::base::{InputId, Known, Problem, Time};
use crate::capture::CapturedHost;
use crate::flow::SavedFragments;
use crate::observe::model::{Hole, InputSummary};

/// What the schema's name begins with, and the one major version that is read.
pub(super) const NAME: &str = "portwitness.observation/";
/// See [`NAME`].
pub(super) const MAJOR: u32 = 2;

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Header {
    /// `portwitness.observation/2`
    pub(super) schema: String,
    /// What wrote it.
    pub(super) tool: Tool,
    /// The captures, in the order in which they were given; lines name them by their place here, from 0.
    pub(super) inputs: Vec<SavedInput>,
    /// Stretches of time in which nothing could have been seen.
    pub(super) holes: Vec<Hole>,
    /// Times of dated drops.
    pub(super) drops: Vec<Time>,
    /// Earliest and latest frame.
    pub(super) span: Option<(Time, Time)>,
}

/// A program.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Tool {
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
}

/// A capture that was observed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct SavedInput {
    /// As it was named.
    pub(super) name: String,
    /// Its format.
    pub(super) format: String,
    /// SHA-256 of the capture as it lay on disk.
    pub(super) sha256: Known<String>,
    /// Link types met.
    pub(super) linktypes: Vec<String>,
    /// Frames read.
    pub(super) packets: u64,
    /// Bytes read, decompressed.
    pub(super) bytes: u64,
    /// Earliest moment covered.
    pub(super) first: Option<Time>,
    /// Latest moment covered.
    pub(super) last: Option<Time>,
    /// Packets dropped by the capturing system.
    pub(super) loss_kernel: Known<u64>,
    /// Packets dropped by the interface.
    pub(super) loss_interface: Known<u64>,
    /// Capture filter.
    pub(super) filter: Known<String>,
    /// Capture length, 0 for no limit.
    pub(super) snaplen: Known<u32>,
    /// Frames that were cut.
    pub(super) cut_frames: u64,
    /// Where a damaged capture stopped being readable.
    pub(super) damaged_at: Option<u64>,
    /// The host that captured, where the capture says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<CapturedHost>,
}

impl From<InputSummary> for SavedInput {
    fn from(i: InputSummary) -> Self {
        let InputSummary { input: _, name, format, sha256, linktypes, packets, bytes, first, last, .. } = i;
        let InputSummary { loss_kernel, loss_interface, filter, snaplen, cut_frames, damaged_at, host, .. } = i;
        Self {
            name: name.to_string(),
            format,
            sha256,
            linktypes,
            packets,
            bytes,
            first,
            last,
            loss_kernel,
            loss_interface,
            filter,
            snaplen,
            cut_frames,
            damaged_at,
            host,
        }
    }
}

impl SavedInput {
    /// The summary, under a number.
    pub(super) fn numbered(self, input: InputId) -> InputSummary {
        let Self { name, format, sha256, linktypes, packets, bytes, first, last, .. } = self;
        let Self { loss_kernel, loss_interface, filter, snaplen, cut_frames, damaged_at, host, .. } = self;
        InputSummary {
            input,
            name: name.into(),
            format,
            sha256,
            linktypes,
            packets,
            bytes,
            first,
            last,
            loss_kernel,
            loss_interface,
            filter,
            snaplen,
            cut_frames,
            damaged_at,
            host,
        }
    }
}

/// Any line but the first. Exactly one of its fields is there.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// Rows follow the line's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rows: Option<Rows>,
    /// Trouble in captures or traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<Problem>,
    /// Packets that were captured more than once: input, frame of the first, how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) copies: Option<(InputId, u64, u64)>,
    /// Fragments that wait for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fragments: Option<SavedFragments>,
    /// The last line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<End>,
}

/// Rows, as docs/observation.md lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Rows {
    /// Their bytes, which begin behind the line's end; the next line begins behind them.
    pub(super) bytes: usize,
    /// How many.
    pub(super) count: u64,
}

/// What the lines before amount to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct End {
    /// How many, the header included.
    pub(super) lines: u64,
    /// How many rows.
    pub(super) rows: u64,
    /// Lower-case hex SHA-256 of all bytes before this line, rows and line ends included.
    pub(super) sha256: String,
}

/// The JSON schema of a line.
pub fn schema() -> Schema {
    /// A line of a saved observation: the first one is a header.
    #[derive(Serialize, JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, clippy::large_enum_variant, reason = "only described")]
    enum AnyLine {
        Header(Header),
        Line(Line),
    }
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<AnyLine>()
}
