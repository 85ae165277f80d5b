//! Where bytes come from before they are looked at: files read in order, streams of which the first bytes were looked at,
//! and threads that digest what they hand on or decompress ahead.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use sha2::{Digest as _, Sha256};

use super::window::{CHUNK, read_at};

/// Anything that can only be read forwards.
pub(super) type Stream = Box<dyn Read + Send>;

/// Buffers on their way from the thread that digests to the one that decodes.
const IN_FLIGHT: usize = 8;
/// Bytes of a compressed stream kept until its contents are recognised.
const MOST_KEPT: usize = 16 * 1024 * 1024;

/// How much was read of inputs as they lie on disk, for those who wait.
#[derive(Debug, Default)]
pub struct Meter {
    read: AtomicU64,
    again: AtomicU64,
}

impl Meter {
    /// Bytes read so far.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes that are read a second time, because inputs overlap.
    pub fn again(&self) -> u64 {
        self.again.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, n: usize) {
        self.read.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(super) fn expect(&self, n: u64) {
        self.again.fetch_add(n, Ordering::Relaxed);
    }
}

/// A file from its beginning to its end.
pub(super) struct InOrder {
    file: Arc<File>,
    pos: u64,
}

impl InOrder {
    pub(super) const fn new(file: Arc<File>) -> Self {
        Self { file, pos: 0 }
    }
}

impl Read for InOrder {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        read_at(&self.file, buf, self.pos).inspect(|&n| self.pos += n as u64)
    }
}

/// A stream of which no more is read at once than a first record needs.
pub(super) struct Sips(pub(super) Stream);

impl Read for Sips {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        const SIP: usize = 4096;
        let len = buf.len().min(SIP);
        self.0.read(buf.get_mut(..len).unwrap_or_default())
    }
}

/// Counts what is read.
pub(super) struct Metered {
    pub(super) stream: Stream,
    pub(super) meter: Arc<Meter>,
}

impl Read for Metered {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buf).inspect(|&n| self.meter.add(n))
    }
}

/// A stream whose first bytes were read before.
pub(super) fn again(head: Vec<u8>, stream: Stream) -> Stream {
    Box::new(Cursor::new(head).chain(stream))
}

/// A stream that keeps what is read of it, so that it can be read once more.
pub(super) struct Recorder(Arc<Mutex<Recorded>>);

struct Recorded {
    stream: Stream,
    kept: Vec<u8>,
    /// How much of `kept` was handed on.
    at: usize,
}

impl Recorder {
    /// A stream of which `head` was read.
    pub(super) fn new(head: Vec<u8>, stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(Recorded { stream, kept: head, at: 0 })))
    }

    /// A reader; there must be only one.
    pub(super) fn reader(&self) -> Stream {
        Box::new(Self(Arc::clone(&self.0)))
    }

    /// What was read so far, and the rest. The reader must be gone.
    pub(super) fn rewind(self) -> io::Result<(Vec<u8>, Stream)> {
        let recorded = Arc::into_inner(self.0).ok_or(io::ErrorKind::ResourceBusy)?;
        let recorded = recorded.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((recorded.kept, recorded.stream))
    }
}

impl Read for Recorder {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let this = &mut *guard;
        if this.at >= this.kept.len() {
            if this.kept.len() > MOST_KEPT {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            let n = this.stream.read(buf)?;
            this.kept.extend_from_slice(buf.get(..n).unwrap_or_default());
            this.at = this.kept.len();
            return Ok(n);
        }
        let n = this.kept.get(this.at..).unwrap_or_default().read(buf)?;
        this.at += n;
        Ok(n)
    }
}

/// A buffer as it was read; who has read and who digests it hold it together.
type Buffer = Arc<Vec<u8>>;
type Buffers = Receiver<io::Result<Buffer>>;

/// The digest of a stream that is being read.
pub(super) struct Digest {
    buffers: Buffers,
    reading: JoinHandle<()>,
    digesting: JoinHandle<Option<String>>,
}

impl Digest {
    /// Lower-case hex SHA-256 of the whole stream, of which the rest is read now. `None` where it could not be read to its end.
    pub(super) fn finish(self) -> Option<String> {
        while self.buffers.recv().is_ok() {}
        self.reading.join().ok()?;
        self.digesting.join().ok().flatten()
    }
}

/// Buffers as they were read.
struct Relayed {
    buffers: Buffers,
    held: Buffer,
    at: usize,
}

impl Read for Relayed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.held.get(self.at..).unwrap_or_default().read(buf)?;
            self.at += n;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            // A closed channel is the end of the stream.
            let Ok(next) = self.buffers.recv() else { return Ok(0) };
            (self.held, self.at) = (next?, 0);
        }
    }
}

/// Reads a stream in a thread of its own, while another digests the very buffers that are handed on.
pub(super) fn digested(stream: Stream) -> io::Result<(Stream, Digest)> {
    let (send, buffers) = bounded(IN_FLIGHT);
    let digesting = thread::Builder::new().spawn(move || digest(&buffers))?;
    let (relayed, buffers, reading) = relayed(stream, Some(send))?;
    Ok((relayed, Digest { buffers, reading, digesting }))
}

/// Reads a stream in a thread of its own: what is costly to read is read while what came before is looked at.
pub(super) fn ahead(stream: Stream) -> io::Result<Stream> {
    // The thread ends with the stream, or when nobody listens any more.
    relayed(stream, None).map(|(relayed, ..)| relayed)
}

/// What the digesting thread is sent: a buffer, or nothing once the stream was read to its end.
type Part = Option<Buffer>;

fn digest(buffers: &Receiver<Part>) -> Option<String> {
    let mut sha = Sha256::new();
    // Where the channel closes before its end was told, the stream could not be read to its own.
    while let Some(buffer) = buffers.recv().ok()? {
        sha.update(buffer.as_slice());
    }
    Some(hex(&sha.finalize()))
}

fn relayed(stream: Stream, digest: Option<Sender<Part>>) -> io::Result<(Stream, Buffers, JoinHandle<()>)> {
    let (send, buffers) = bounded(IN_FLIGHT);
    let thread = thread::Builder::new().spawn(move || {
        // Where nobody listens the reader was dropped before it was finished.
        let _dropped = relay(stream, digest.as_ref(), &send);
    })?;
    let relayed = Relayed { buffers: buffers.clone(), held: Buffer::default(), at: 0 };
    Ok((Box::new(relayed), buffers, thread))
}

/// `None` where nobody listens any more.
fn relay(mut stream: Stream, digest: Option<&Sender<Part>>, buffers: &Sender<io::Result<Buffer>>) -> Option<()> {
    let tell = |part: Part| digest.map_or(Some(()), |d| d.send(part).ok());
    // Those that were sent, the oldest first: once nobody holds one it is filled again.
    let mut sent: VecDeque<Buffer> = VecDeque::new();
    loop {
        let free = sent.front().is_some_and(|b| Arc::strong_count(b) == 1);
        let mut buffer = if free { sent.pop_front().and_then(Arc::into_inner) } else { None }.unwrap_or_default();
        buffer.resize(CHUNK, 0);
        match stream.read(&mut buffer) {
            Ok(0) => return tell(None),
            Ok(n) => {
                buffer.truncate(n);
                let buffer = Arc::new(buffer);
                sent.push_back(Arc::clone(&buffer));
                tell(Some(Arc::clone(&buffer)))?;
                buffers.send(Ok(buffer)).ok()?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                buffers.send(Err(e)).ok()?;
                return None;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
