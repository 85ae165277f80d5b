//! Reading what is still being written: a thread waits for bytes, the reader takes what is there and never waits.

use std::io::{self, Cursor, Read};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Select, Sender, bounded};

use super::source::Stream;

/// Bytes read at once: what a pipe holds.
const AT_ONCE: usize = 64 * 1024;
/// Buffers waiting to be read. When they are full the thread waits, and so does whoever writes the stream.
const WAITING: usize = 256;

type Buffers = Receiver<io::Result<Vec<u8>>>;

/// Tells when a live reader has something to read again.
#[derive(Clone, Debug)]
pub struct Arrivals(What);

/// What is waited for.
#[derive(Clone, Debug)]
enum What {
    Buffers(Buffers),
    /// The ring that the kernel writes.
    #[cfg(ebpf)]
    Ring(std::sync::Arc<std::os::fd::OwnedFd>),
}

impl Arrivals {
    /// Waits until bytes are there or the stream has ended, at most so long; whether either is so.
    pub fn wait(&self, at_most: Duration) -> bool {
        match &self.0 {
            What::Buffers(buffers) => {
                let mut select = Select::new();
                select.recv(buffers);
                select.ready_timeout(at_most).is_ok()
            }
            #[cfg(ebpf)]
            What::Ring(ring) => {
                use rustix::event::{PollFd, PollFlags, Timespec, poll};
                let at_most = Timespec::try_from(at_most).ok();
                poll(&mut [PollFd::new(ring, PollFlags::IN)], at_most.as_ref()).is_ok_and(|n| n > 0)
            }
        }
    }

    #[cfg(ebpf)]
    pub(super) const fn ring(ring: std::sync::Arc<std::os::fd::OwnedFd>) -> Self {
        Self(What::Ring(ring))
    }
}

/// Buffers as the waiting thread read them.
struct Polled {
    buffers: Buffers,
    held: Cursor<Vec<u8>>,
    /// Bytes that were there before, a file header's: they are on their way and may be waited for.
    owed: u64,
}

impl Read for Polled {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.held.read(buf)?;
            if n > 0 || buf.is_empty() {
                self.owed = self.owed.saturating_sub(n as u64);
                return Ok(n);
            }
            let next = if self.owed > 0 {
                self.buffers.recv().ok()
            } else {
                match self.buffers.try_recv() {
                    Err(e) if e.is_empty() => return Err(io::ErrorKind::WouldBlock.into()),
                    other => other.ok(),
                }
            };
            // A closed channel is the end of the stream.
            let Some(next) = next else { return Ok(0) };
            self.held = Cursor::new(next?);
        }
    }
}

/// A stream that is read in a thread of its own and says [`io::ErrorKind::WouldBlock`] where nothing is there yet. Its first
/// `known` bytes are waited for. The thread ends with the stream, or when its buffers are no longer wanted.
pub(super) fn relayed(stream: Stream, known: u64) -> io::Result<(Stream, Arrivals)> {
    let (send, buffers) = bounded(WAITING);
    thread::Builder::new().name("reading".to_owned()).spawn(move || relay(stream, &send))?;
    let polled = Polled { buffers: buffers.clone(), held: Cursor::default(), owed: known };
    Ok((Box::new(polled), Arrivals(What::Buffers(buffers))))
}

fn relay(mut stream: Stream, buffers: &Sender<io::Result<Vec<u8>>>) {
    let mut buffer = vec![0; AT_ONCE];
    loop {
        let (read, last) = match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => (Ok(buffer.get(..n).unwrap_or_default().to_vec()), false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => (Err(e), true),
        };
        if buffers.send(read).is_err() || last {
            return;
        }
    }
}
