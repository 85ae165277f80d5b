//! Flows: ends, pieces and their append law, instances, orientation, conn_state and attempt outcome.

mod after;
mod attempt;
mod body;
mod conn_state;
mod datagrams;
mod fragments;
mod hash;
mod head;
mod hot;
mod id;
mod instance;
mod intervals;
mod local;
mod lone;
mod model;
mod orient;
mod piece;
mod prefix;
mod row;
mod seal;
mod shift;
mod space;
mod sums;
mod told;
mod trail;
mod tunnels;

pub(crate) use attempt::is_protection;
pub(crate) use body::{Body, Quote};
pub(crate) use fragments::{DatagramKey, Fragments, Resolved, SavedFragments};
pub(crate) use hash::Seeds;
pub(crate) use hot::{Before, Hot, Look, Pair, Pair6, Taken, Tuple, ports, worth_a_record};
pub(crate) use instance::resolve;
pub(crate) use lone::Lone;
pub(crate) use piece::{Pieces, prefix_cap};
pub(crate) use row::{Cursor, Tables};
pub(crate) use seal::{forget, seal, seal_lone, unseen};
pub(crate) use shift::Shift;
pub(crate) use sums::{Seen, span};
pub(crate) use told::Told;

pub use after::{After, Break, after};
pub use attempt::{Attempt, AttemptContext, Cause, Outcome, Warning, attempt, patience};
pub use conn_state::{ConnState, conn_state};
pub use head::HEAD_LENGTHS;
pub use id::{community_id, id};
pub use local::{Local, LocalDrop, Owner};
pub use model::{
    End, EndPoint, Flow, FlowId, FlowKey, Hole, IcmpError, Lane, Repeated, Rst, Sent, Side, Silence, SynAck, SynRun,
};
pub use orient::{Method, Orientation, orient};
pub use tunnels::Tunnel;

/// Part of a [`Tunnel`]: what looks at flows has no need to look at packets.
pub use crate::packet::Encapsulation;
