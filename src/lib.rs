//! portwitness: proves from packets whether a restore used the network the way its vendor's port matrix says.
//!
//! Data flows one way: `capture` → `packet` → `flow` → `observe` → `verdict` → `report`. Left of an
//! [`observe::Observation`] nothing knows roles or rules; right of it nothing knows packets.

pub mod app;
pub mod base;
pub mod capture;
pub mod config;
pub mod disturb;
pub mod flow;
pub mod matrix;
pub mod observe;
pub mod packet;
pub mod plan;
pub mod report;
pub mod site;
pub mod verdict;
pub mod watch;
