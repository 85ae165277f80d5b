//! Requirements and what became of them.

use schemars::JsonSchema;
use serde::Serialize;

use crate::app::RefusalStep;
use crate::base::{Time, WireText};
use crate::flow::FlowId;
use crate::matrix::{Need, Operation, Role, Scenario};

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
    /// Established, and then what one side sent no longer arrived.
    Stalled,
    /// Established, and gone after a long silence.
    IdleCut,
    /// Established, and full-sized packets do not arrive.
    MtuBlackHole,
    /// Established, and reset in the middle of the conversation.
    ResetMidstream,
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
    /// What came first is not known: the clocks of two places cannot be compared that closely.
    Clocks,
}

/// Where on its way an attempt was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// The SYN was seen at the first place and never reached the second.
    SynLost,
    /// The SYN reached the second place, the responder's own, and no answer left it.
    ResponderSilent,
    /// The answer was seen at the first place and never came back to the second, the originator's own.
    AnswerLost,
    /// The reset that arrived at the first place was not sent at the second, the responder's own.
    ResetBetween,
}

/// A frame that shows something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PathFrame {
    /// Observation point.
    pub observation_point: String,
    /// Input, as given.
    pub input: String,
    /// 1-based number there.
    pub frame: u64,
    /// By the capture's own clock.
    pub time: Time,
    /// Wireshark display filter.
    pub display_filter: String,
}

/// Where on its way an attempt was lost, told from two observation points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Path {
    /// What happened.
    pub kind: PathKind,
    /// The place up to which it was seen.
    pub from: String,
    /// The place that shows the rest, or nothing.
    pub to: String,
    /// One sentence.
    pub text: String,
    /// Whether the place that shows nothing did not record its loss.
    pub loss_unknown: bool,
    /// Frames it rests on.
    pub frames: Vec<PathFrame>,
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
    /// Where on its way the failed attempt was lost, where two places tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// What the administrator sees in the product when it is blocked.
    pub symptom: Option<String>,
    /// What to check or do next, with hosts and ports filled in.
    pub next_step: Option<String>,
    /// What one peer said when it would not go on although the network carried it; null where none did.
    pub disagreement: Option<String>,
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

/// A connection that the network carried and in which one peer would not go on with the other, before work began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Disagreement {
    /// The first flow.
    pub flow: FlowId,
    /// All flows of these two hosts on this service with the same answer.
    pub flows: Vec<FlowId>,
    /// Rules of the requirements that rest on it.
    pub rules: Vec<String>,
    /// Originator, responder and service: `con01 (10.77.0.10) to tgt01 (10.77.1.20) tcp/445`.
    pub path: String,
    /// The protocol it was said in: `smb`.
    pub protocol: String,
    /// What was refused.
    pub step: RefusalStep,
    /// Who said so: label and address; null where it follows from what both said.
    pub by: Option<String>,
    /// Code as on the wire.
    pub code: u32,
    /// Its usual name.
    pub name: Option<String>,
    /// What was asked for, or the words of the side that refused.
    pub text: Option<WireText>,
    /// One sentence.
    pub said: String,
    /// What to check or do next.
    pub next_step: String,
    /// When it was said.
    pub at: Time,
    /// Input of the frame that brought it.
    pub input: String,
    /// 1-based number of that frame there.
    pub frame: u64,
    /// Wireshark display filter for the flow.
    pub display_filter: String,
}
