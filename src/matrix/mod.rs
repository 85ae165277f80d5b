//! The vendor's port matrix as data, read from `rules/*.toml`.

mod lint;
mod load;
mod model;
mod parse;
mod parse_rule;
pub mod text;
mod vocab;

pub use lint::{Diagnostic, Severity};
pub use load::{EMBEDDED, lint, load};
pub use model::{
    Condition, Healing, Matrix, Participation, Peer, RestoreFacts, Rule, RulePort, RuleSet, SetKind, Source,
};
pub use vocab::{Carries, ExportAs, Need, Operation, Os, RestoreTo, Role, Scenario, StartedFrom};
