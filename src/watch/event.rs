//! The events, as `watch --json` prints them: one object per line, told apart by `event`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;

use super::state::{Counts, State};
use crate::base::{Known, ProblemKind, Time};
use crate::flow::FlowId;
use crate::matrix::Need;
use crate::report::{Cause, Outcome, Report, UnexpectedKind};

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A requirement is in another state than before, or in its first one.
    Requirement(RequirementEvent),
    /// A flow that the matrix does not explain appeared.
    Unexpected(UnexpectedEvent),
    /// A flow told as unexpected is explained by what came later.
    Explained {
        /// Packet time up to which was judged.
        at: Option<Time>,
        /// The flow.
        flow: FlowId,
    },
    /// Something is wrong with the capture or the traffic, or occurred again.
    Problem {
        /// Packet time up to which was judged.
        at: Option<Time>,
        /// What.
        kind: ProblemKind,
        /// Which, where there are several.
        detail: String,
        /// How often so far.
        count: u64,
    },
    /// Packets were not captured: counters of the source grew.
    Loss {
        /// Packet time up to which was judged.
        at: Option<Time>,
        /// Dropped by the capturing system so far; null: not told.
        kernel: Known<u64>,
        /// Dropped by the interface so far; null: not told.
        interface: Known<u64>,
    },
    /// More changed at once than is told.
    Further {
        /// Packet time up to which was judged.
        at: Option<Time>,
        /// Unexpected flows that are not told one by one; the report has them all.
        unexpected: u64,
    },
    /// Events could not be printed, because nobody took them.
    NotShown {
        /// How many.
        events: u64,
    },
    /// Watching is over; the report follows.
    End {
        /// Packet time up to which was judged.
        at: Option<Time>,
        /// Why.
        why: Ended,
        /// Requirements by state, before absence is judged.
        requirements: Counts,
    },
    /// The report, the last line: the same value that `verify --format json` prints.
    Report {
        /// The report; its schema is that of `verify --format json`.
        #[schemars(with = "serde_json::Value")]
        report: Box<Report>,
    },
}

/// A requirement's new state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RequirementEvent {
    /// Packet time up to which was judged.
    pub at: Option<Time>,
    /// Where it stands.
    pub state: State,
    /// Where it stood; null at first.
    pub was: Option<State>,
    /// Rule id.
    pub rule: String,
    /// Hosts expected to open it: label and address.
    pub from: Vec<String>,
    /// Responders, as in the report.
    pub to: String,
    /// Service: `tcp/6162`.
    pub service: String,
    /// Need.
    pub need: Need,
    /// Outcome as judged so far; null while waiting, since absence is judged at the end.
    pub outcome: Option<Outcome>,
    /// Cause, where there is an outcome.
    pub cause: Option<Cause>,
    /// What was seen, where there is an outcome.
    pub reason: Option<String>,
    /// What the administrator sees in the product, where it is blocked.
    pub symptom: Option<String>,
    /// What to check or do next, where it is blocked.
    pub next_step: Option<String>,
    /// Flows it rests on.
    pub flows: Vec<FlowId>,
}

/// An unexpected flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnexpectedEvent {
    /// Packet time up to which was judged.
    pub at: Option<Time>,
    /// Kind.
    pub kind: UnexpectedKind,
    /// Whether it fails the verdict without `--strict`.
    pub fails: bool,
    /// The flow's id, as in the report.
    pub flow: FlowId,
    /// Originator: label and address, and port.
    pub from: String,
    /// Responder: label and address.
    pub to: String,
    /// Service: `tcp/3389`.
    pub service: String,
    /// What became of the attempt.
    pub attempt: String,
    /// Why it is unexpected.
    pub reason: String,
}

/// Why watching ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The source ended.
    Source,
    /// Ctrl-C or a request to terminate.
    Signal,
    /// The time asked for with `--for` is over.
    Time,
    /// What `--until` waits for is there.
    Satisfied,
    /// Nobody reads standard output any more.
    NoReader,
}

impl Ended {
    /// The reason in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Source => "the source ended",
            Self::Signal => "stopped",
            Self::Time => "the time asked for is over",
            Self::Satisfied => "everything required was seen working",
            Self::NoReader => "nobody reads the output",
        }
    }
}

/// JSON Schema (draft 2020-12) of a line that `watch --json` prints.
pub fn event_schema() -> Schema {
    let mut schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Event>();
    schema.insert("$id".to_owned(), "urn:portwitness:watch:1".into());
    schema.insert("title".to_owned(), "portwitness watch event, major version 1".into());
    schema
}
