//! Reports: one value, one file per format. Nothing here decides anything.

pub(crate) mod alike;
pub mod diff;
pub mod flows;
pub mod json;
pub mod line;
mod model;
#[cfg(feature = "parquet")]
pub mod parquet;
#[cfg(test)]
mod sample;
pub mod text;
mod words;

pub use model::*;
pub(crate) use text::size;
pub(crate) use words::ip;
