//! The report as one value: every format prints this and nothing else. Its JSON form has a schema in `schema/`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::app::{AppFacts, MapperAnswer};
use crate::base::{Known, Problem, Proto, Time};
use crate::flow::FlowId;
use crate::matrix::{Need, Operation, Role, Scenario};

/// Name and major version of the JSON form.
pub const SCHEMA: &str = "portwitness.report/1";

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything required that is in view was seen working; nothing of the failing kinds was seen.
    Pass,
    /// Something needed is blocked or missing, or something unexpected was seen.
    Fail,
    /// The capture does not support an answer.
    Inconclusive,
}

impl Verdict {
    /// Exit status of the process: 0 pass, 1 fail, 3 inconclusive (2 is a run that failed).
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Inconclusive => 3,
        }
    }

    /// `PASS`, `FAIL`, `INCONCLUSIVE`
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA`]
    pub schema: String,
    /// The answer.
    pub verdict: Verdict,
    /// The answer with its scope, one line.
    pub headline: String,
    /// Why, the most important first, one sentence each.
    pub reasons: Vec<String>,
    /// What the answer covers.
    pub scope: Scope,
    /// What made this report.
    pub tool: Tool,
    /// Rules it was judged by.
    pub matrix: MatrixUsed,
    /// Place and restore; `null` where no site was given.
    pub site: Option<SiteUsed>,
    /// Roles worked out from traffic where no site was given.
    pub inferred_roles: Vec<InferredRole>,
    /// Exceptions of the site and what became of them.
    pub exceptions: Vec<Exception>,
    /// What was read.
    pub captures: Vec<Capture>,
    /// Observation points: what each could see.
    pub observation_points: Vec<Point>,
    /// Requirements, in the order of stages and rules.
    pub requirements: Vec<Requirement>,
    /// Flows, by first packet. Unrelated ones are only counted.
    pub flows: Vec<FlowRecord>,
    /// Counts of flows per class.
    pub classes: ClassCounts,
    /// Required rules exercised.
    pub coverage: Coverage,
    /// What the matrix opens here against what was used.
    pub exposure: Exposure,
    /// What to know when reading the above.
    pub warnings: Vec<Warning>,
    /// What this report does not say.
    pub limits: Vec<String>,
}

/// What the answer covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Scope {
    /// `observable` or `all`
    pub mode: ScopeMode,
    /// Required requirements in view.
    pub required_in_view: u64,
    /// Required requirements of this restore, in view or not.
    pub required: u64,
    /// Exceptions in force.
    pub exceptions: u64,
    /// First moment covered by any capture.
    pub first: Option<Time>,
    /// Last moment covered by any capture.
    pub last: Option<Time>,
}

/// Whether what cannot be seen counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ScopeMode {
    /// The verdict is about what is in view.
    #[default]
    Observable,
    /// A required row out of view makes the verdict inconclusive.
    All,
}

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
    /// Observation point it belongs to.
    pub observation_point: String,
    /// Problems met in it.
    pub problems: Vec<Problem>,
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

/// What became of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not asked for here.
    NotApplicable,
    /// Attempted and failed.
    Blocked,
    /// Seen working.
    Satisfied,
    /// Seen working on the fallback port.
    SatisfiedByFallback,
    /// An earlier step failed; this one was never due.
    NotReached,
    /// Out of sight of every observation point.
    NotObservable,
    /// The capture does not say.
    Inconclusive,
    /// Would have been seen, and was not.
    Missing,
}

impl Outcome {
    /// The word as in JSON, with spaces.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotApplicable => "not applicable",
            Self::Blocked => "blocked",
            Self::Satisfied => "satisfied",
            Self::SatisfiedByFallback => "satisfied by fallback",
            Self::NotReached => "not reached",
            Self::NotObservable => "not observable",
            Self::Inconclusive => "inconclusive",
            Self::Missing => "missing",
        }
    }
}

/// Why a requirement is blocked, or what stands behind another outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// SYNs met silence.
    Unanswered,
    /// The responder, or a device in its name, reset the attempt.
    Refused,
    /// A device reported an administrative prohibition.
    Prohibited,
    /// A device reported that the host or network cannot be reached.
    Unreachable,
    /// The handshake's answer was never acknowledged.
    HalfOpen,
    /// Dropped on the capturing host itself.
    DroppedLocally,
    /// A different protocol answered.
    WrongProtocol,
    /// An earlier step failed.
    EarlierStep,
    /// No observation point sees the pair.
    OutOfSight,
    /// The observation point could have seen it, but nothing of that pair was seen.
    PairUnseen,
    /// Packets were lost.
    Loss,
    /// A capture filter or capture length may have hidden it.
    Filter,
    /// Only one direction was captured.
    OneSided,
    /// Damage in a capture.
    Damage,
    /// Flows were left out for lack of memory.
    Memory,
    /// The capture does not cover the restore.
    Time,
    /// Who opened the flow cannot be told.
    Direction,
    /// Attempts whose outcome is open.
    Undetermined,
    /// The originator gave up.
    Withdrawn,
    /// A port that the endpoint mapper named was never tried.
    MapperPortUntried,
    /// Encapsulation hides the pair.
    Opaque,
}

/// A requirement and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Requirement {
    /// Rule id.
    pub rule: String,
    /// Table.
    pub scenario: Option<Scenario>,
    /// Operations that ask for it.
    pub operations: Vec<Operation>,
    /// Hosts expected to open it: label and address.
    pub from: Vec<String>,
    /// Roles they have in the rule.
    pub from_roles: Vec<Role>,
    /// Responder or responders (any one of them): label and address, separated by ", ".
    pub to: String,
    /// Service: `tcp/6162`.
    pub service: String,
    /// Need.
    pub need: Need,
    /// Stage.
    pub stage: Option<u8>,
    /// Outcome.
    pub outcome: Outcome,
    /// Structured cause.
    pub cause: Option<Cause>,
    /// One or two sentences: what was seen or not seen, and what follows.
    pub reason: String,
    /// What the administrator sees in the product when it is blocked.
    pub symptom: Option<String>,
    /// What to check or do next, with hosts and ports filled in.
    pub next_step: Option<String>,
    /// Fallback ports, where the rule has some.
    pub fallback: Option<String>,
    /// The service that did this one's job.
    pub substituted_by: Option<String>,
    /// Where a capture would settle it.
    pub settle_at: Vec<String>,
    /// Whether some observation point has the pair in sight.
    pub in_view: bool,
    /// An override of the site that applies.
    pub exception: Option<String>,
    /// Flows it rests on, the deciding one first.
    pub flows: Vec<FlowId>,
    /// Wireshark display filter for those flows, or for where they would have been.
    pub display_filter: String,
}

/// What the matrix says of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A rule allows it.
    Expected,
    /// No rule explains it.
    Unexpected,
    /// A companion set or the site's allow list explains it.
    Related,
    /// Two readings remain.
    Ambiguous,
    /// No end has a role; broadcast; multicast.
    Unrelated,
}

/// Kinds of unexpected flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnexpectedKind {
    /// No rule allows it between these roles.
    NoRule,
    /// A rule allows it the other way round.
    Reversed,
    /// Another protocol on a rule's port.
    WrongProtocol,
    /// Allowed, but not in this operation or window.
    ConditionOff,
    /// One end has no role.
    UnknownPeer,
}

impl UnexpectedKind {
    /// The kind as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRule => "no_rule",
            Self::Reversed => "reversed",
            Self::WrongProtocol => "wrong_protocol",
            Self::ConditionOff => "condition_off",
            Self::UnknownPeer => "unknown_peer",
        }
    }

    /// Whether it fails the verdict without `--strict`.
    pub const fn fails(self) -> bool {
        matches!(self, Self::NoRule | Self::Reversed | Self::WrongProtocol)
    }
}

/// One end of a flow in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EndRecord {
    /// Address.
    pub addr: String,
    /// Port.
    pub port: u16,
    /// Host label of the site, where it differs from the address.
    pub host: Option<String>,
    /// Roles; absent without a site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
}

/// How a flow's originator was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It sent a SYN.
    Syn,
    /// The other side sent a SYN-ACK.
    SynAck,
    /// The other side's port is a service of the matrix.
    ServicePort,
    /// It sent the first packet seen: uncertain.
    FirstPacket,
}

/// Application evidence in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AppRecord {
    /// `ssh`, `tls`, ...; `other`; null: not told.
    pub protocol: Option<String>,
    /// Against the rule: `confirmed`, `wrong_protocol`, `unconfirmed`; absent without a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<AppState>,
    /// One line for people.
    pub summary: String,
    /// Facts.
    pub facts: Vec<AppFacts>,
    /// Ports the endpoint mapper gave out.
    pub mapper: Vec<MapperAnswer>,
}

/// Application evidence against a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// The bytes are what the rule's port carries.
    Confirmed,
    /// The bytes are of another protocol.
    WrongProtocol,
    /// No bytes tell.
    Unconfirmed,
}

/// A flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FlowRecord {
    /// Community ID v1 and instance.
    pub id: FlowId,
    /// Protocol.
    pub proto: Proto,
    /// Originator.
    pub orig: EndRecord,
    /// Responder.
    pub resp: EndRecord,
    /// How the originator was told.
    pub direction: Direction,
    /// Zeek's vocabulary; informative.
    pub conn_state: String,
    /// Outcome of the attempt.
    pub attempt: String,
    /// Why that outcome, in words.
    pub attempt_reason: String,
    /// Class; absent without a matrix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Kind of an unexpected flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unexpected: Option<UnexpectedKind>,
    /// The orientation is an assumption.
    pub assumed: bool,
    /// Why this class, headed by the kind where it is unexpected (`no_rule: ...`); absent without a matrix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Rules that allow it, the naming one first.
    pub rules: Vec<String>,
    /// Label and source of a related flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Application evidence.
    pub app: AppRecord,
    /// First packet.
    pub first: Time,
    /// Last packet.
    pub last: Time,
    /// Packets by the originator.
    pub orig_packets: u64,
    /// IP bytes by the originator.
    pub orig_bytes: u64,
    /// Packets by the responder.
    pub resp_packets: u64,
    /// IP bytes by the responder.
    pub resp_bytes: u64,
    /// Payload bytes by the originator.
    pub orig_payload: u64,
    /// Payload bytes by the responder.
    pub resp_payload: u64,
    /// Connection attempts (SYNs of one sequence number are one).
    pub attempts: u64,
    /// VLAN stacks it was seen in, `10.20`.
    pub vlans: Vec<String>,
    /// ICMP errors about it: `3/13 by 10.0.0.1 x2`.
    pub icmp: Vec<String>,
    /// Warnings about it: `handshake_only`.
    pub warnings: Vec<String>,
    /// Input of the first frame, as given.
    pub input: String,
    /// 1-based number of the first frame there.
    pub first_frame: u64,
    /// Observation point; absent where there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observation_point: Option<String>,
    /// Wireshark display filter.
    pub display_filter: String,
}

/// Flows per class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClassCounts {
    /// Expected.
    pub expected: u64,
    /// Unexpected of the failing kinds.
    pub unexpected: u64,
    /// Unexpected of the warning kinds.
    pub unexpected_warning: u64,
    /// Related.
    pub related: u64,
    /// Ambiguous.
    pub ambiguous: u64,
    /// Unrelated.
    pub unrelated: u64,
}

/// Required rules exercised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Coverage {
    /// Required requirements satisfied.
    pub exercised: u64,
    /// Required requirements of this restore.
    pub required: u64,
    /// Rules of required requirements that were not seen working.
    pub not_exercised: Vec<String>,
}

/// Openings of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Openings {
    /// Distinct (source host, destination host, protocol, port) that the matrix opens here.
    pub opened: u64,
    /// Of those, used.
    pub used: u64,
}

/// What the matrix opens here against what was used. Unused is not unneeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Exposure {
    /// Rows that are required or expected.
    pub needed: Openings,
    /// Fallback ports.
    pub fallback: Openings,
    /// Rows that are only permitted.
    pub permitted: Openings,
    /// Companion rows between hosts of this site.
    pub companion: Openings,
}

/// Something to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Warning {
    /// Kind, in snake_case words that stay.
    pub kind: String,
    /// One sentence.
    pub text: String,
    /// Flows it is about.
    pub flows: Vec<FlowId>,
}
