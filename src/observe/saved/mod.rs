//! Saved observations: what one observation point showed, without payload, as zstd-compressed JSON Lines.
//!
//! Saved are pieces, not finished flows, so that files saved one by one append to what one run over all of them gives. A file
//! has a header, a line for every problem, for fragments, for every key's pieces, and a last line that counts and digests the
//! lines before it. Its bytes depend on the captures alone. docs/observation.md describes it for other programs.

mod line;
mod read;
mod write;

pub use line::schema;
pub use read::Saved;
pub(super) use read::read_all;
