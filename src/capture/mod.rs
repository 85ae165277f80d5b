//! Where frames come from: pcap, pcapng and snoop, compressed or not, from files and streams.
//!
//! [`CaptureFile`] recognises an input; a [`Reader`] pulls [`Event`]s out of it, a whole file or a segment, and says in
//! an [`InputMeta`] what it read. Files are read at positions into a buffer of the reader's own, never mapped: a file that
//! shrinks while it is read is then a short read, not a signal. Memory is bounded whatever lengths a file claims.

mod blocks;
mod clock;
mod detect;
mod event;
mod file;
mod frame;
#[cfg(live_capture)]
pub mod interfaces;
mod linktype;
mod live;
#[cfg_attr(not(live_capture), allow(dead_code, reason = "only several interfaces are merged"))]
mod merge;
mod meta;
mod order;
mod packed;
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

pub use event::{Event, FrameSource};
pub use file::{CaptureFile, OpenError, OpenReason, saved_stream};
pub use frame::{Frame, LinkType, Loss};
pub use linktype::link_name;
pub use live::Arrivals;
pub use meta::{CapturedHost, InputMeta};
pub use reader::Reader;
pub use segment::{Context, SEGMENT_BYTES, SegmentReport, SegmentStart, segment_len};
pub use source::Meter;
pub use walk::Sink;
