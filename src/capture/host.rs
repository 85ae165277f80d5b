//! What a host's own kernel says of connections, beside packets. Only live capture on that host has any of it.

use std::net::IpAddr;

use crate::base::{Time, WireText};

/// An address and a port.
pub type Point = (IpAddr, u16);

/// A program that runs on the capturing host.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Process {
    /// Its number, as this program would name it; absent for one that cannot be named here.
    pub pid: Option<u32>,
    /// Its executable: the path where that could be read, otherwise the file's name.
    pub program: WireText,
    /// The systemd unit or other control group it belongs to.
    pub unit: Option<WireText>,
}

/// A segment with SYN that the kernel dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// When.
    pub at: Time,
    /// Who sent it.
    pub src: Point,
    /// Where to.
    pub dst: Point,
    /// Its sequence number.
    pub seq: u32,
    /// Whether it answers one (SYN-ACK).
    pub answer: bool,
    /// The kernel's name of the reason: `NETFILTER_DROP`.
    pub reason: String,
}

/// A socket whose process is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    /// It listens there; the unspecified address stands for all.
    Listens(Point),
    /// It began to connect.
    Connects {
        /// When.
        at: Time,
        /// Its own address, and its port where that is known already.
        local: (IpAddr, Option<u16>),
        /// Where to.
        remote: Point,
        /// The kernel's number of it while it lives.
        socket: u64,
    },
    /// Of one that began to connect the port is known now.
    Bound {
        /// The kernel's number of it.
        socket: u64,
        /// Its own port.
        port: u16,
    },
}

/// Something that a host's kernel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostFact {
    /// Addresses of this host.
    Addresses(Vec<IpAddr>),
    /// A segment was dropped.
    Dropped(Dropped),
    /// A process has a socket.
    Owns(Socket, Option<Process>),
}
