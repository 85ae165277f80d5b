//! Who originated a flow: derived, never stored.

use serde::{Deserialize, Serialize};

use crate::base::{PortSet, Proto, Stamp};

use super::model::{Flow, Side};

/// How a flow's direction was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A SYN was seen: its sender originated.
    Syn,
    /// A SYN-ACK was seen: its sender's peer originated.
    SynAck,
    /// Exactly one end is a service port.
    ServicePort,
    /// The sender of the first packet seen.
    FirstPacket,
}

impl Method {
    /// As in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::SynAck => "syn_ack",
            Self::ServicePort => "service_port",
            Self::FirstPacket => "first_packet",
        }
    }
}

/// A flow's direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orientation {
    /// The originator.
    pub orig: Side,
    /// How that was found.
    pub method: Method,
    /// Whether packets prove it. Ports and the order of arrival do not.
    pub certain: bool,
}

impl Orientation {
    /// The responder.
    pub const fn resp(&self) -> Side {
        self.orig.other()
    }
}

/// The direction of a flow. Looks at nothing but the flow.
pub fn orient(flow: &Flow, service_ports: &PortSet) -> Orientation {
    let (orig, method) = handshake(flow)
        .or_else(|| by_port(flow, service_ports).map(|side| (side, Method::ServicePort)))
        .unwrap_or_else(|| (by_arrival(flow), Method::FirstPacket));
    Orientation { orig, method, certain: matches!(method, Method::Syn | Method::SynAck) }
}

fn handshake(flow: &Flow) -> Option<(Side, Method)> {
    if flow.key.proto != Proto::Tcp {
        return None;
    }
    if let Some(syn) = flow.syns.first() {
        return Some((syn.from, Method::Syn));
    }
    let first = |side: Side| flow.end(side).syn_ack_seen.first().map(|s| s.at);
    earliest(first(Side::A), first(Side::B)).map(|answering| (answering.other(), Method::SynAck))
}

fn by_port(flow: &Flow, service_ports: &PortSet) -> Option<Side> {
    let serves = |side| service_ports.contains(flow.key.proto, flow.point(side).port);
    match (serves(Side::A), serves(Side::B)) {
        (true, false) => Some(Side::B),
        (false, true) => Some(Side::A),
        _ => None,
    }
}

fn by_arrival(flow: &Flow) -> Side {
    earliest(flow.end(Side::A).first, flow.end(Side::B).first).unwrap_or(Side::A)
}

/// The side whose stamp is earlier. Stamps of different packets differ.
fn earliest(a: Option<Stamp>, b: Option<Stamp>) -> Option<Side> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b < a { Side::B } else { Side::A }),
        (Some(_), None) => Some(Side::A),
        (None, Some(_)) => Some(Side::B),
        (None, None) => None,
    }
}
