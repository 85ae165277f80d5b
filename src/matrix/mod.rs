//! The vendor's port matrix as data, read from `rules/*.toml`.

mod model;
mod vocab;

pub use model::{
    Condition, Healing, Matrix, Participation, Peer, RestoreFacts, Rule, RulePort, RuleSet, SetKind, Source,
};
pub use vocab::{Carries, ExportAs, Need, Operation, Os, RestoreTo, Role, Scenario, StartedFrom};
