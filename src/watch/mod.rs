//! What changed between two judgements of an observation that grows: events, for people and for programs.
//!
//! While a capture goes on, absence is no fact yet: what is not there may still come. So a requirement is never called missing
//! here, and no verdict is given; both are the report's, at the end. Knows reports, and nothing of how they were come to.

mod event;
mod ledger;
mod state;
mod text;

pub use event::{Ended, Event, RequirementEvent, UnexpectedEvent, event_schema};
pub use ledger::{Ledger, all_satisfied};
pub use state::{Counts, State};
pub use text::plain;
