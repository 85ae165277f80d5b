//! The report's closed vocabularies in words for people.

use std::net::IpAddr;

use crate::flow::Break;

use super::{Cause, Class, Direction, ExceptionState, UnexpectedKind};

impl Cause {
    /// The cause in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Refused => "refused",
            Self::Prohibited => "prohibited by a device",
            Self::Unreachable => "unreachable",
            Self::HalfOpen => "half open",
            Self::DroppedLocally => "dropped on the capturing host",
            Self::Stalled => "opens, then stalls",
            Self::IdleCut => "opens, then is cut when idle",
            Self::MtuBlackHole => "opens, then loses full-sized packets",
            Self::ResetMidstream => "opens, then is reset",
            Self::WrongProtocol => "another protocol answers",
            Self::EarlierStep => "an earlier step failed or is in doubt",
            Self::OutOfSight => "out of sight",
            Self::PairUnseen => "nothing of this pair was seen",
            Self::Loss => "packets were lost",
            Self::Filter => "a capture filter or length may have hidden it",
            Self::OneSided => "one direction only",
            Self::Damage => "damaged capture",
            Self::Memory => "flows were left out for lack of memory",
            Self::Time => "the capture does not cover the restore",
            Self::Direction => "originator unknown",
            Self::Undetermined => "outcome open",
            Self::Withdrawn => "withdrawn by the originator",
            Self::MapperPortUntried => "a port named by the endpoint mapper was never tried",
            Self::Opaque => "hidden by encapsulation",
            Self::Clocks => "order of events not known",
        }
    }
}

impl Break {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::MtuBlackHole => "full-sized packets vanish",
            Self::IdleCut => "cut after a silence",
            Self::Stalled => "stalled",
            Self::ResetMidstream => "reset in mid-stream",
            Self::ZeroWindow => "the receiver stopped reading",
        }
    }
}

impl Class {
    /// The class in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Unexpected => "unexpected",
            Self::Related => "related",
            Self::Ambiguous => "ambiguous",
            Self::Unrelated => "unrelated",
        }
    }
}

impl UnexpectedKind {
    /// The kind in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoRule => "no rule",
            Self::Reversed => "reversed",
            Self::WrongProtocol => "wrong protocol",
            Self::ConditionOff => "not in this operation",
            Self::UnknownPeer => "unknown peer",
        }
    }
}

impl Direction {
    /// How the originator was told, in the word of the JSON form.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::SynAck => "syn_ack",
            Self::ServicePort => "service_port",
            Self::FirstPacket => "first_packet",
        }
    }
}

impl ExceptionState {
    /// The state in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::Unused => "unused",
            Self::Expired => "expired, ignored",
        }
    }
}

/// Protocol of an address as Wireshark's display filters name it.
pub(crate) const fn ip(addr: IpAddr) -> &'static str {
    if addr.is_ipv4() { "ip" } else { "ipv6" }
}
