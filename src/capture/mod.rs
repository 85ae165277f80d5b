//! Where frames come from: pcap and pcapng, from files and streams.

mod frame;

pub use frame::{Frame, LinkType, Loss};
