//! What a report rests on: tool, rules, site, exceptions, captures, observation points.

use schemars::JsonSchema;
use serde::Serialize;

use crate::base::{Known, Problem, Time};
use crate::matrix::{Operation, Role, Scenario};

/// What made the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tool {
    /// `portwitness`
    pub name: String,
    /// Version.
    pub version: String,
    /// Time of the run: only from SOURCE_DATE_EPOCH, since the same input gives the same bytes.
    pub run_at: Option<Time>,
}

/// The matrix, and the sets that stood beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MatrixUsed {
    /// Id of the vendor's matrix.
    pub id: String,
    /// Title.
    pub title: String,
    /// Product build.
    pub build: Option<String>,
    /// The vendor's page.
    pub page: Option<String>,
    /// Date of the page.
    pub date: Option<String>,
    /// SHA-256 of the file.
    pub digest: String,
    /// Companion sets, and further matrices where the user gave some.
    pub companions: Vec<SetUsed>,
}

impl MatrixUsed {
    /// A matrix and what stood beside it.
    pub fn new(main: SetUsed, companions: Vec<SetUsed>) -> Self {
        let SetUsed { id, title, build, page, date, digest } = main;
        Self { id, title, build, page, date, digest, companions }
    }

    /// The matrix by itself.
    pub fn main(&self) -> SetUsed {
        let Self { id, title, build, page, date, digest, .. } = self.clone();
        SetUsed { id, title, build, page, date, digest }
    }
}

/// A rule set that took part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SetUsed {
    /// Id.
    pub id: String,
    /// Title.
    pub title: String,
    /// Product build.
    pub build: Option<String>,
    /// The vendor's page.
    pub page: Option<String>,
    /// Date of the page.
    pub date: Option<String>,
    /// SHA-256 of the file.
    pub digest: String,
}

/// The site in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SiteUsed {
    /// File as given.
    pub path: String,
    /// SHA-256 of the file.
    pub digest: String,
    /// Scenario.
    pub scenario: Scenario,
    /// Operations.
    pub operations: Vec<Operation>,
    /// Hosts with roles.
    pub hosts: Vec<HostUsed>,
    /// Zone for local times.
    pub timezone: Option<String>,
}

/// One host of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostUsed {
    /// Label.
    pub label: String,
    /// Addresses.
    pub addresses: Vec<String>,
    /// Roles.
    pub roles: Vec<Role>,
}

/// A role worked out from traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InferredRole {
    /// Host.
    pub address: String,
    /// Role that its traffic suggests.
    pub role: Role,
    /// Why.
    pub because: String,
}

/// What became of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExceptionState {
    /// It changed or allowed something.
    InForce,
    /// In force, but nothing needed it here.
    Unused,
    /// Past its date when the capture was taken: ignored.
    Expired,
}

/// An exception of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Exception {
    /// `allow` or `override`
    pub kind: String,
    /// What it says, one line.
    pub what: String,
    /// Why.
    pub reason: String,
    /// By whom.
    pub approved_by: Option<String>,
    /// Until when.
    pub expires: Option<Time>,
    /// State.
    pub state: ExceptionState,
    /// Line in the site file.
    pub line: u64,
    /// Flows it applies to.
    pub flows: u64,
}

/// Packets that were not captured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LossUsed {
    /// Dropped by the capturing system; null: not recorded.
    pub kernel: Known<u64>,
    /// Dropped by the interface; null: not recorded.
    pub interface: Known<u64>,
    /// Bytes that were acknowledged but never seen: a lower bound.
    pub inferred: u64,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Capture {
    /// As given.
    pub path: String,
    /// Format.
    pub format: String,
    /// SHA-256 of what was read, where asked for.
    pub sha256: Known<String>,
    /// Link types met.
    pub linktypes: Vec<String>,
    /// Frames.
    pub packets: u64,
    /// Bytes read.
    pub bytes: u64,
    /// First frame.
    pub first: Option<Time>,
    /// Last frame.
    pub last: Option<Time>,
    /// Loss.
    pub loss: LossUsed,
    /// Capture filter; null: not recorded.
    pub filter: Known<String>,
    /// Capture length; null: not recorded, 0: no limit.
    pub snaplen: Known<u32>,
    /// Byte offset of damage.
    pub truncated: Option<u64>,
    /// Claims it forbids, one sentence each; absent where it forbids none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cannot_tell: Vec<String>,
    /// Observation point it belongs to.
    pub observation_point: String,
    /// Problems met in it.
    pub problems: Vec<Problem>,
}

/// How far the clocks of two observation points are apart, worked out from connections that both saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClockOffset {
    /// The point whose clock is compared.
    pub of: String,
    /// The point it is compared with.
    pub against: String,
    /// By how many nanoseconds the first one's clock is ahead; negative where it is behind; null: no connection tells.
    pub ahead_nanos: Known<i64>,
    /// By how many nanoseconds that may be wrong, either way.
    pub uncertainty_nanos: Known<u64>,
    /// By how much it changes, in parts per billion.
    pub drift_ppb: Known<i64>,
    /// Connections it was worked out from.
    pub connections: u64,
    /// The point whose clock the site's windows and dates are read by.
    pub reference: String,
}

/// An observation point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Point {
    /// Name: as declared, or as worked out.
    pub name: String,
    /// Whether it was declared or worked out.
    pub inferred: bool,
    /// Hosts whose own traffic it sees; empty for a mirror or router.
    pub hosts: Vec<String>,
    /// Declared to see everything of them.
    pub complete: bool,
    /// Claims it forbids, one sentence each.
    pub forbids: Vec<String>,
}
