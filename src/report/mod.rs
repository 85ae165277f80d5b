//! Reports: one value, one file per format. Nothing here decides anything.

mod model;

pub use model::*;
