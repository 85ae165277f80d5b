//! Packet sockets that see every frame of an interface and keep none.
#![allow(unsafe_code, reason = "addresses of packet sockets are made by the system's own calls alone")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Every protocol (linux/if_ether.h `ETH_P_ALL`), in network byte order.
const ALL: u16 = 3_u16.to_be();

/// A packet socket that does not receive yet. `framed`: its frames begin with their link-layer header.
pub(super) fn open(framed: bool) -> io::Result<OwnedFd> {
    let kind = if framed { SocketType::RAW } else { SocketType::DGRAM };
    // Without a protocol nothing arrives before there is a filter.
    Ok(socket_with(AddressFamily::PACKET, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}

/// Lets a socket receive from the interface of this index; 0 for all of them.
pub(super) fn bind(socket: &OwnedFd, index: u32) -> io::Result<()> {
    let family = u16::try_from(libc::AF_PACKET).unwrap_or_default();
    let address = libc::sockaddr_ll {
        sll_family: family,
        sll_protocol: ALL,
        sll_ifindex: i32::try_from(index).unwrap_or(i32::MAX),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or_default();
    // SAFETY: the address is a whole `sockaddr_ll` that outlives the call, and `len` is its size.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Hardware type (linux/if_arp.h) of the interface a socket is bound to.
pub(super) fn hardware(socket: &OwnedFd) -> io::Result<u16> {
    let mut address = libc::sockaddr_ll {
        sll_family: 0,
        sll_protocol: 0,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let mut len = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or_default();
    // SAFETY: `address` has room for `len` octets, both outlive the call, and any octets make a `sockaddr_ll`.
    let done = unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut len) };
    if done == 0 { Ok(address.sll_hatype) } else { Err(io::Error::last_os_error()) }
}
