//! What a requirement is while the capture goes on.

use schemars::JsonSchema;
use serde::Serialize;

use crate::report::{Cause, Outcome, Requirement};

/// Where a requirement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Green: seen working.
    Satisfied,
    /// Red: attempted, and failed so far.
    Blocked,
    /// Amber: nothing of it was seen yet, or what was seen is still under way.
    Waiting,
    /// Amber: what was seen does not say, and waiting alone will not settle it.
    Inconclusive,
    /// No place of this capture sees it.
    OutOfSight,
    /// Not asked for here.
    NotApplicable,
}

impl State {
    /// The state of a requirement as judged so far.
    pub fn of(r: &Requirement) -> Self {
        match r.outcome {
            Outcome::Satisfied | Outcome::SatisfiedByFallback => Self::Satisfied,
            // Another service did its job, and the restore went on.
            Outcome::Blocked if r.substituted_by.is_some() => Self::Satisfied,
            Outcome::Blocked => Self::Blocked,
            Outcome::Missing | Outcome::NotReached => Self::Waiting,
            Outcome::Inconclusive if settles_itself(r) => Self::Waiting,
            Outcome::Inconclusive => Self::Inconclusive,
            Outcome::NotObservable => Self::OutOfSight,
            Outcome::NotApplicable => Self::NotApplicable,
        }
    }

    /// The state in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Satisfied => "satisfied",
            Self::Blocked => "blocked",
            Self::Waiting => "waiting",
            Self::Inconclusive => "inconclusive",
            Self::OutOfSight => "out of sight",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// Whether more packets of the same kind may settle it: nothing was seen, or an attempt is under way.
fn settles_itself(r: &Requirement) -> bool {
    r.flows.is_empty() || matches!(r.cause, Some(Cause::Undetermined))
}

/// How many requirements are in each state, those that apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// Seen working.
    pub satisfied: u64,
    /// Attempted and failed.
    pub blocked: u64,
    /// Not seen yet, under way, or inconclusive.
    pub waiting: u64,
    /// Out of sight.
    pub out_of_sight: u64,
}

impl Counts {
    /// Counts the requirements of a report.
    pub fn of(requirements: &[Requirement]) -> Self {
        let mut counts = Self::default();
        for state in requirements.iter().map(State::of) {
            match state {
                State::Satisfied => counts.satisfied += 1,
                State::Blocked => counts.blocked += 1,
                State::Waiting | State::Inconclusive => counts.waiting += 1,
                State::OutOfSight => counts.out_of_sight += 1,
                State::NotApplicable => {}
            }
        }
        counts
    }
}
