//! Application evidence: what a flow's first bytes say about the protocol spoken, one protocol per file, each pure.
//!
//! A parser sees only bytes, never ports, roles or rules, and answers with evidence, "need more", or "no". A false positive is worse
//! than "other": a wrong protocol fails a verdict, an unknown one does not.
//!
//! Order in a stream: TLS, SMB, DCE/RPC, iSCSI, Kerberos, TNS, DNS, LDAP, HTTP, SSH; of datagrams: Kerberos, LDAP, DNS, NTP. The first
//! that does not say no decides. The flow code keeps a [`Stream`] or the first datagrams per side and calls [`evidence`] or
//! [`datagram_evidence`] once, when it seals the flow; from then on there is no payload.

mod codes;
mod der;
mod dns;
mod evidence;
mod http;
mod iscsi;
mod kerberos;
mod ldap;
mod model;
mod ntp;
mod outcome;
mod part;
mod reader;
mod refusal;
mod rpc;
mod smb;
mod smb_session;
mod ssh;
mod ssh_packets;
mod stream;
mod summary;
#[cfg(test)]
mod tests;
mod tls;
mod tls_records;
mod tns;
mod x509;

pub use evidence::{datagram_evidence, evidence, opening};
pub use model::{AppFacts, AppProto, Evidence, LdapOperation, MapperAnswer, Refusal, RefusalStep, Speaks};
pub use outcome::Outcome;
pub use part::Part;
pub use rpc::interface_name;
pub use stream::{Piece, Stream};
