//! From a frame's bytes to a [`Packet`]: one protocol per file, each a checked view over bytes.
//!
//! Checksums are not verified: offload makes them wrong on the capturing host. Lengths are taken from headers, never trusted
//! beyond the captured bytes.

mod carrier;
mod decode;
mod ether;
mod geneve;
mod glance;
mod gre;
mod gtp;
mod icmp;
mod ipip;
mod ipv4;
mod ipv6;
mod issue;
mod mpls;
mod null;
mod pbb;
mod ppp;
mod quick;
mod sll;
mod tcp;
mod teredo;
mod tunnel;
mod udp;
mod view;
mod vxlan;

pub use carrier::{Carrier, Encapsulation, Trail};
pub use decode::{Decoded, decode, decode_along};
pub(crate) use glance::{Addresses, Glance, Headers, glance, glance_datagram, is_datagram};
pub use icmp::CUT_QUOTE;
pub use issue::Issue;
pub(crate) use quick::{Datagram, Segment, SegmentV6, quick};
pub use view::{Body, Icmp, Packet, Quoted, Tcp, TcpFlags, Udp, Vlans};
