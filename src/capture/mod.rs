//! Where frames come from: pcap, pcapng and snoop, compressed or not, from files and streams.
//!
//! [`CaptureFile`] recognises an input; a [`Reader`] pulls [`Event`]s out of it, a whole file or a segment, and says in
//! an [`InputMeta`] what it read. Files are read at positions into a buffer of the reader's own. Memory is bounded whatever
//! lengths a file claims.

mod blocks;
mod clock;
mod counted;
mod detect;
#[cfg(ebpf)]
pub mod ebpf;
mod event;
mod file;
mod frame;
mod host;
#[cfg(live_capture)]
pub mod interfaces;
mod linktype;
mod live;
#[cfg_attr(not(live_capture), allow(dead_code, reason = "only several interfaces are merged"))]
mod merge;
mod meta;
mod order;
mod packed;
#[cfg(live_capture)]
mod patience;
mod pcap;
mod pcapng;
mod reader;
mod resync;
mod segment;
mod snoop;
mod source;
mod walk;
mod window;
pub mod write;

/// Why this program has no [`ebpf`](self) module.
#[cfg(not(ebpf))]
pub const NO_EBPF: &str = match option_env!("PORTWITNESS_NO_EBPF") {
    Some(why) => why,
    None => "built without it",
};

pub use counted::{Counted, CountedSide};
pub use event::{Event, FrameSource, Growth};
pub use file::{CaptureFile, OpenError, OpenReason, saved_stream};
pub use frame::{Frame, LinkType, Loss};
pub use host::{Dropped, HostFact, Point, Process, Socket};
pub use linktype::link_name;
pub use live::Arrivals;
pub use meta::{CapturedHost, InputMeta};
pub use reader::Reader;
pub use segment::{Context, SEGMENT_BYTES, SegmentReport, SegmentStart, segment_len};
pub use source::Meter;
pub use walk::Sink;
