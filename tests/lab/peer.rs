//! Both ends of the vendor's own ports, for which no free software speaks the protocol.
//!
//! The bytes are the lab's: a greeting line, zeros (they compress to nothing in kept captures), an
//! acknowledgement. Nothing may be concluded from them about the vendor's protocol; what is real is
//! the TCP connection, who opened it, and the fallback from one port to the next.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

use crate::failure::{Context, Failure, Result};
use crate::hosts::{Host, Place};
use crate::net::inside;

/// Longer than the kernel's own patience with a dropped SYN (7 s), so that it is the kernel that gives up.
const CONNECT: Duration = Duration::from_secs(12);
const QUIET: Duration = Duration::from_secs(10);
const ACK: &[u8] = b"portwitness-lab received\n";

/// Accepts connections on one port until dropped.
pub(crate) struct Receiver {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    pub(crate) fn listen(host: Host, address: IpAddr, port: u16) -> Result<Self> {
        let listener = inside(Place::At(host), || {
            TcpListener::bind((address, port)).context(format!("cannot listen on {address}:{port}"))
        })?;
        listener.set_nonblocking(true).context("cannot make a listener non-blocking")?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                match listener.accept() {
                    // A peer that gives up half-way is the situation's business, not the receiver's.
                    Ok((stream, _)) => drop(thread::spawn(move || receive(stream))),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(10)),
                    Err(_) => return,
                }
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn receive(stream: TcpStream) -> Option<()> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(QUIET)).ok()?;
    let mut reader = BufReader::new(&stream);
    let mut greeting = String::new();
    reader.read_line(&mut greeting).ok()?;
    let size: u64 = greeting.split_whitespace().nth(2)?.parse().ok()?;
    std::io::copy(&mut reader.take(size), &mut std::io::sink()).ok()?;
    (&stream).write_all(ACK).ok()
}

/// Sends `bytes` zeros to the first of `ports` that takes them, in order; says which one did.
pub(crate) fn send(to: IpAddr, ports: &[u16], bytes: usize) -> Result<u16> {
    let mut failed = Vec::new();
    for &port in ports {
        match send_once(to, port, bytes) {
            Ok(()) => return Ok(port),
            Err(e) => failed.push(e.to_string()),
        }
    }
    Err(Failure::new(failed.join("; ")))
}

fn send_once(to: IpAddr, port: u16, bytes: usize) -> Result<()> {
    let peer = SocketAddr::from((to, port));
    let mut stream = TcpStream::connect_timeout(&peer, CONNECT).context(format!("cannot connect to {peer}"))?;
    stream.set_read_timeout(Some(QUIET)).context("cannot set a timeout")?;
    stream.set_write_timeout(Some(QUIET)).context("cannot set a timeout")?;
    stream.write_all(format!("portwitness-lab sends {bytes}\n").as_bytes()).context(format!("sending to {peer}"))?;
    stream.write_all(&vec![0; bytes]).context(format!("sending to {peer}"))?;
    let mut answer = vec![0; ACK.len()];
    stream.read_exact(&mut answer).context(format!("waiting for {peer}"))
}

/// One ICMP echo, asked for twice, each time for 2 s. The kernel fills in identifier and checksum.
pub(crate) fn ping(to: IpAddr) -> Result<()> {
    let (family, protocol, kind) = match to {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP, 8),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6, 128),
    };
    let raw = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(protocol))
        .context("cannot open an ICMP socket")?;
    let socket = UdpSocket::from(raw);
    socket.set_read_timeout(Some(Duration::from_secs(2))).context("cannot set a timeout")?;
    socket.connect((to, 0)).context(format!("cannot ping {to}"))?;
    let request = [kind, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut answer = [0; 64];
    // Over IPv6 the first packet may fall into the time when a neighbour is not yet known to the router.
    let mut once = || socket.send(&request).and_then(|_| socket.recv(&mut answer)).map(drop);
    once().or_else(|_| once()).context(format!("no echo from {to}"))
}
