//! Application evidence: what a flow's first bytes say about the protocol spoken, one protocol per file, each pure.
//!
//! A parser sees only bytes, never ports, roles or rules, and answers with evidence, "need more", or "no". A false positive is worse
//! than "other": a wrong protocol fails a verdict, an unknown one does not.
//!
//! Order: TLS, SMB, DCE/RPC, iSCSI, HTTP, SSH; the first that does not say no decides. The flow code keeps a [`Stream`] per side and
//! calls [`evidence`] once, when it seals the flow; from then on there is no payload.

mod evidence;
mod http;
mod iscsi;
mod model;
mod outcome;
mod reader;
mod rpc;
mod smb;
mod ssh;
mod stream;
mod summary;
#[cfg(test)]
mod tests;
mod tls;

pub use evidence::evidence;
pub use model::{AppFacts, AppProto, Evidence, MapperAnswer, Speaks};
pub use outcome::Outcome;
pub use rpc::interface_name;
pub use stream::{Piece, Stream};
