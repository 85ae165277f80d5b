//! Zeek's `conn_state` (zeek, base/protocols/conn/main.zeek): informative, decides nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::Proto;

use super::model::{Flow, Side};

/// Zeek's summary of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConnState {
    /// An attempt without answer; UDP: only the originator sent.
    S0,
    /// Established, not ended. Zeek's reading: the SYN-ACK is enough.
    S1,
    /// Established and ended on both sides; UDP: both sent.
    Sf,
    /// Refused. Also where both sides reset without payload, even after a handshake: Zeek counts so.
    Rej,
    /// Established, ended by the originator only.
    S2,
    /// Established, ended by the responder only.
    S3,
    /// Established, reset by the originator.
    Rsto,
    /// Reset by the responder.
    Rstr,
    /// SYN and RST by the originator, no SYN-ACK.
    Rstos0,
    /// SYN-ACK and RST by the responder, no SYN.
    Rstrh,
    /// SYN and FIN by the originator, no SYN-ACK.
    Sh,
    /// SYN-ACK and FIN by the responder, no SYN; UDP: only the responder sent.
    Shr,
    /// Anything else: midstream traffic, other protocols.
    Oth,
}

impl ConnState {
    /// As Zeek writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::Sf => "SF",
            Self::Rej => "REJ",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::Rsto => "RSTO",
            Self::Rstr => "RSTR",
            Self::Rstos0 => "RSTOS0",
            Self::Rstrh => "RSTRH",
            Self::Sh => "SH",
            Self::Shr => "SHR",
            Self::Oth => "OTH",
        }
    }
}

impl fmt::Display for ConnState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// States of an endpoint, Zeek's `TCP_INACTIVE` and so on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Also Zeek's `TCP_PARTIAL`: sent something, but no part of a handshake was seen.
    Inactive,
    SynSent,
    Established,
    Closed,
    Reset,
}

/// The state of a flow whose originator is `orig`.
pub fn conn_state(flow: &Flow, orig: Side) -> ConnState {
    match flow.key.proto {
        Proto::Tcp => tcp(flow, orig),
        Proto::Udp => match (flow.end(orig).packets > 0, flow.end(orig.other()).packets > 0) {
            (true, true) => ConnState::Sf,
            (true, false) => ConnState::S0,
            (false, true) => ConnState::Shr,
            (false, false) => ConnState::Oth,
        },
        _ => ConnState::Oth,
    }
}

fn tcp(flow: &Flow, orig: Side) -> ConnState {
    use ConnState as C;
    use State as S;
    let payload: u64 = flow.ends.iter().map(|e| e.payload_bytes).sum();
    match (state(flow, orig, orig), state(flow, orig.other(), orig)) {
        (S::SynSent, S::Reset) => C::Rej,
        (S::Reset, S::Reset) if payload == 0 => C::Rej,
        (S::Inactive, S::Reset) => C::Rstrh,
        (_, S::Reset) => C::Rstr,
        (S::Reset, S::Inactive) if flow.syns.iter().any(|s| s.from == orig) => C::Rstos0,
        (S::Reset, S::Inactive) => C::Oth,
        (S::Reset, _) => C::Rsto,
        (S::Closed, S::Closed) => C::Sf,
        (S::Closed, S::Inactive) => C::Sh,
        (S::Closed, _) => C::S2,
        (S::Inactive, S::Closed) => C::Shr,
        (_, S::Closed) => C::S3,
        (S::SynSent, S::Inactive) => C::S0,
        (S::Established, S::Established) => C::S1,
        _ => C::Oth,
    }
}

fn state(flow: &Flow, side: Side, orig: Side) -> State {
    let end = flow.end(side);
    let syn = flow.syns.iter().any(|s| s.from == side);
    let answered = flow.end(orig.other()).syn_acks > 0;
    if end.rsts > 0 {
        State::Reset
    } else if end.fins > 0 {
        State::Closed
    } else if side == orig {
        match (syn, answered) {
            // An answer was seen, or must have been: Zeek too takes the third step for the missing second.
            (true, true) => State::Established,
            (true, false) if end.acked_handshake.is_some() => State::Established,
            (true, false) => State::SynSent,
            (false, _) => State::Inactive,
        }
    } else if answered || syn {
        State::Established
    } else {
        State::Inactive
    }
}
