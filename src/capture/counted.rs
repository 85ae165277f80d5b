//! Packets that were counted where they passed, in place of being captured.

use std::net::IpAddr;

use crate::base::{InputId, Time};

/// What counted TCP packets of one side come to. They carry data in order, or acknowledgements of data, and nothing else; what
/// exactly is [`crate::flow`]'s idea of a plain packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedSide {
    /// How many there were.
    pub packets: u64,
    /// Bytes of the IP packets.
    pub ip_bytes: u64,
    /// Bytes of payload; they end at `edge`.
    pub payload: u64,
    /// When the last one came.
    pub last: Time,
    /// End of the data, a sequence number.
    pub edge: u32,
    /// Highest sequence number of a segment, and when it was first seen.
    pub sent: (u32, Time),
    /// Highest acknowledgement, and when it was first seen.
    pub ack: (u32, Time),
    /// Smallest and largest window, as sent.
    pub window: (u16, u16),
}

/// Packets of a TCP flow since it was last told of, or since the frame of it that came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The input they belong to.
    pub input: InputId,
    /// Number of the last of them in its input.
    pub number: u64,
    /// Address and port of both ends.
    pub ends: [(IpAddr, u16); 2],
    /// What each end sent, where it sent any.
    pub sides: [Option<CountedSide>; 2],
}
