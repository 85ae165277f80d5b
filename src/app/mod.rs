//! Application evidence: what a flow's first bytes say about the protocol spoken, one protocol per file, each pure.
//!
//! A parser sees only bytes, never ports, roles or rules, and answers with evidence, "need more", or "no".

mod model;

pub use model::{AppFacts, AppProto, Evidence, MapperAnswer, Speaks};
