//! From inputs to observations: segments become Partials, Partials fold in file order, folds of one point append.

mod model;

pub use model::{Hole, InputSummary, Observation};
