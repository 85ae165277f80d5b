//! What differs, as a value: its JSON form has a schema in `schema/`.

use schemars::JsonSchema;
use serde::Serialize;

/// Name and major version of the JSON form.
pub const DIFF_SCHEMA: &str = "portwitness.diff/1";

/// What differs between two reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diff {
    /// [`DIFF_SCHEMA`]
    pub schema: String,
    /// The whole in one word: `worse` where anything got worse, `better` where nothing did and something got better.
    pub change: Change,
    /// What the reports were judged by, where it differs: matrix, companions, site, scope, program.
    pub rules: Vec<Swap>,
    /// Where the captures were taken, where it differs.
    pub places: Option<Swap>,
    /// The answers.
    pub verdict: VerdictChange,
    /// Requirements that are new, gone, or came out differently.
    pub requirements: Vec<RequirementChange>,
    /// Flows that are new, gone, or judged differently.
    pub flows: Vec<FlowChange>,
    /// Warnings that are new or gone.
    pub warnings: Vec<WarningChange>,
    /// Coverage and exposure, where they differ.
    pub counts: Vec<CountChange>,
}

/// Direction of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Something fails that did not, or is no longer shown to work.
    Worse,
    /// Something works that was not shown to.
    Better,
    /// Different, and neither better nor worse by itself.
    Other,
    /// No difference.
    None,
}

impl Change {
    /// The word as in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Other => "other",
            Self::None => "none",
        }
    }
}

/// One text instead of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Swap {
    /// What it is about: `matrix`, `companions`, `site`, `scope`, `program`, `places`.
    pub what: String,
    /// In the old report; null: it had none.
    pub old: Option<String>,
    /// In the new report; null: it has none.
    pub new: Option<String>,
}

/// One report's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Answer {
    /// `pass`, `fail`, `inconclusive`
    pub verdict: String,
    /// The answer with its scope, one line.
    pub headline: String,
}

/// Both answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VerdictChange {
    /// Direction.
    pub change: Change,
    /// Of the old report.
    pub old: Answer,
    /// Of the new report.
    pub new: Answer,
}

/// How a requirement came out in one report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct State {
    /// Outcome, as in the report.
    pub outcome: String,
    /// Cause, as in the report.
    pub cause: Option<String>,
    /// What was seen or not seen.
    pub reason: String,
}

/// A requirement that is new, gone, or came out differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RequirementChange {
    /// Direction.
    pub change: Change,
    /// Rule id.
    pub rule: String,
    /// Service.
    pub service: String,
    /// Hosts expected to open it.
    pub from: Vec<String>,
    /// Responder or responders.
    pub to: String,
    /// Need, as in the newest report that has it.
    pub need: String,
    /// Before; null: the old report has no such requirement.
    pub old: Option<State>,
    /// Now; null: the new report has no such requirement.
    pub new: Option<State>,
    /// What to check or do next, of the new report.
    pub next_step: Option<String>,
}

/// What a report says of the flows between two hosts on one service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Standing {
    /// Class, as in the report.
    pub class: String,
    /// Kind of an unexpected flow.
    pub unexpected: Option<String>,
}

/// Flows between two hosts on one service that are new, gone, or judged differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FlowChange {
    /// Direction.
    pub change: Change,
    /// Originator: host label, or address.
    pub orig: String,
    /// Responder: host label, or address.
    pub resp: String,
    /// `tcp/443`; a range where the rule that allows it has one, since the port in it is chosen anew each time.
    pub service: String,
    /// Before; empty: there were none.
    pub old: Vec<Standing>,
    /// Now; empty: there are none.
    pub new: Vec<Standing>,
    /// File and frame of the first of them, in the new report or, where they are gone, the old one.
    pub evidence: String,
}

/// A warning that is new or gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WarningChange {
    /// Whether it is in the new report; otherwise only in the old one.
    pub new: bool,
    /// Kind.
    pub kind: String,
    /// One sentence.
    pub text: String,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Count {
    /// Exercised, or used.
    pub part: u64,
    /// Required, or opened.
    pub of: u64,
}

/// A count that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CountChange {
    /// `coverage`, or `exposure.` and the kind of openings.
    pub what: String,
    /// Before.
    pub old: Count,
    /// Now.
    pub new: Count,
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.change == Change::None
    }

    /// Exit status of the process: 1 where something got worse, else 0 (2 is a run that failed).
    pub const fn exit_status(&self) -> u8 {
        match self.change {
            Change::Worse => 1,
            Change::Better | Change::Other | Change::None => 0,
        }
    }
}
