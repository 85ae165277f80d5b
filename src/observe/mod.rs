//! From inputs to observations: segments become Partials, Partials fold in file order, folds of one point append.

mod collected;
mod finish;
mod firsts;
mod groups;
mod growing;
mod host;
mod index;
mod limits;
mod looks;
mod model;
mod pairs;
mod partial;
mod repeats;
mod rest;
mod run;
mod saved;
mod sequence;
mod shelf;
mod store;
mod taking;
mod warm;
mod workers;

pub use collected::Collected;
pub use growing::Growing;
pub use limits::Limits;
pub use looks::Changes;
pub use model::{Hole, InputSummary, Observation};
pub use pairs::{PairIndex, Sight};
pub use partial::{Partial, Place};
pub use rest::{Keep, Rest, Ttl};
pub use run::{Input, Options, collect, observe, observe_within};
pub use saved::{Saved, schema as saved_schema};

/// Part of an [`InputSummary`]: what judges observations has no need to look at captures.
pub use crate::capture::CapturedHost;
