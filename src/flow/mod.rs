//! Flows: ends, pieces and their append law, instances, orientation, conn_state and attempt outcome.

mod model;

pub use model::{End, EndPoint, Flow, FlowId, FlowKey, IcmpError, Lane, Rst, Side, SynAck, SynRun};
