//! Flows: ends, pieces and their append law, instances, orientation, conn_state and attempt outcome.

mod attempt;
mod body;
mod conn_state;
mod datagrams;
mod fragments;
mod id;
mod instance;
mod intervals;
mod model;
mod orient;
mod piece;
mod prefix;
mod seal;
mod shift;
mod space;
mod sums;

pub(crate) use body::Quote;
pub(crate) use fragments::{DatagramKey, Fragments, Resolved};
pub(crate) use instance::resolve;
pub(crate) use piece::Pieces;
pub(crate) use seal::seal;
pub(crate) use shift::Shift;
pub(crate) use sums::{Seen, span};

pub use attempt::{Attempt, AttemptContext, Cause, Outcome, Warning, attempt, patience};
pub use conn_state::{ConnState, conn_state};
pub use id::{community_id, id};
pub use model::{End, EndPoint, Flow, FlowId, FlowKey, IcmpError, Lane, Rst, Side, SynAck, SynRun};
pub use orient::{Method, Orientation, orient};
