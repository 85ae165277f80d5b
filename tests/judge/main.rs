//! The judge against hand-written observations: every outcome and class of the contract, one named test each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test stops at the first surprise, and so may its helpers"
)]

mod after;
mod classes;
mod clocks;
mod disagree;
mod healing;
mod hosts;
mod operations;
mod outcomes;
mod paths;
mod places;
mod sight;
mod soundness;
mod time;
mod verdicts;
mod world;
