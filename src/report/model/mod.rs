//! The report as one value: every format prints this and nothing else. Its JSON form has a schema in `schema/`.

mod basis;
mod flow;
mod mapper;
mod requirement;

pub use basis::*;
pub use flow::*;
pub use mapper::*;
pub use requirement::*;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::base::Time;
use crate::flow::FlowId;

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
    /// How the clocks of each two observation points differ.
    pub clocks: Vec<ClockOffset>,
    /// Requirements, in the order of stages and rules.
    pub requirements: Vec<Requirement>,
    /// Connections that the network carried and in which the peers disagree.
    pub disagreements: Vec<Disagreement>,
    /// What endpoint mappers gave out, and what became of it.
    pub endpoint_mapper: Vec<MapperEntry>,
    /// Flows, by first packet. Unrelated ones are only counted.
    pub flows: Vec<Arc<FlowRecord>>,
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
