//! Saved observations: what one observation point showed, without payload, compressed with zstd.
//!
//! Saved are pieces, not finished flows, so that files saved one by one append to what one run over all of them gives. A file
//! is JSON Lines, a header first, with blocks of binary rows between them, one row for each tuple's pieces, and a last line that
//! counts and digests what precedes it. Its bytes depend on the captures alone. docs/observation.md describes it for other
//! programs.

mod bytes;
mod line;
mod read;
mod turns;
mod write;

pub use line::schema;
pub use read::Saved;
pub(super) use turns::in_turn;
