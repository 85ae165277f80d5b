//! The judge against hand-written observations: every outcome and class of the contract, one named test each.

mod classes;
mod healing;
mod outcomes;
mod soundness;
mod verdicts;
mod world;
